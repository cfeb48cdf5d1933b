from pathlib import Path

import numpy as np
import pytest

from markerremover.errors import UsageError
from markerremover.records import Decision, Detections, Outcome, Policy, Radiograph, Reading

GREY = np.zeros((1, 4, 5), np.uint8)


def test_arrays_inside_records_are_locked_while_the_callers_own_stay_writable():
    mine = GREY.copy()
    record = Radiograph(mine, mine, (0,), Path("a.png"), "PNG")
    with pytest.raises(ValueError):
        record.stored[0, 0, 0] = 1
    mine[0, 0, 0] = 1


@pytest.mark.parametrize("stored, display", [
    (GREY[0], GREY[0]), (np.zeros((1, 0, 5), np.uint8), np.zeros((1, 0, 5), np.uint8)),
    (GREY, GREY.astype(np.uint16)), (GREY, np.zeros((1, 5, 4), np.uint8)),
])
def test_a_radiograph_of_wrong_shape_or_dtype_is_refused(stored, display):
    with pytest.raises(UsageError):
        Radiograph(stored, display, (0,), Path("a.png"), "PNG")


def test_no_detections_is_a_value():
    assert len(Detections.empty()) == 0 and Detections.empty().xyxy.shape == (0, 4)


def test_strokes_go_with_keep_and_only_with_it():
    strokes = np.ones((2, 3), bool)
    Decision(0, (0, 0, 3, 2), "keep", "isolated laterality marker", 0.9, strokes=strokes)
    for action, given in (("keep", None), ("remove", strokes), ("maybe", None), ("keep", np.ones((3, 3), bool))):
        with pytest.raises(UsageError):
            Decision(0, (0, 0, 3, 2), action, "x", 0.9, strokes=given)


def test_a_readings_strokes_fit_its_box():
    with pytest.raises(UsageError):
        Reading((0, 0, 4, 4), "L", 1.0, np.ones((3, 4), bool))


def test_policy_normalises_signs_and_refuses_thresholds_outside_0_to_1():
    assert Policy(keep=(" l", "R", "l", "")).keep == ("L", "R")
    for bad in (0, 1, -0.5, 1.5):
        with pytest.raises(UsageError):
            Policy(threshold=bad)


def test_an_outcome_has_one_of_four_statuses():
    with pytest.raises(UsageError):
        Outcome("a.png", "skipped")


def test_a_radiograph_locks_its_further_views_and_checks_them():
    frame = np.zeros((1, 4, 5), np.uint8)
    record = Radiograph(frame, frame, (0,), Path("a.png"), "PNG", also=(frame.copy(),))
    assert len(record.views) == 2 and record.views[0] is record.display
    assert not record.also[0].flags.writeable
    with pytest.raises(UsageError, match="display"):
        Radiograph(frame, frame, (0,), Path("a.png"), "PNG", also=(frame[:, :3],))
