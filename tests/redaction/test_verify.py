from __future__ import annotations

from pathlib import Path

import fakes
import numpy as np
import pytest

from markerremover.errors import HeldError
from markerremover.records import Decision, Detections, Policy, Radiograph
from markerremover.redaction import cleaning, verify

POLICY = Policy(keep=())


def sees(*boxes):
    found = np.array(boxes, np.float32).reshape(-1, 4)
    return lambda frame, threshold=None: Detections(found, np.full(len(found), 0.8, np.float32), np.zeros(len(found), np.int64))


FRAME = np.zeros((50, 80), np.uint8)
KEPT = Decision(0, (10, 10, 30, 30), "keep", "isolated laterality marker", 0.9, strokes=np.ones((20, 20), bool))
GONE = Decision(0, (50, 10, 70, 30), "remove", "no laterality marker to retain", 0.9)


@pytest.mark.parametrize(
    "box, left",
    [((11, 11, 29, 29), 0), ((9, 9, 31, 30), 0), ((52, 12, 60, 20), 0), ((30, 30, 45, 45), 1), ((20, 20, 45, 45), 1)],
    ids=["a retained laterality marker", "a retained laterality marker, boxed a little wider", "inside a black box", "somewhere else", "a retained laterality marker and more"],
)
def test_what_no_decision_explains_is_residual(box, left):
    found = verify.residual(sees(box), FRAME, [KEPT, GONE], POLICY)
    assert len(found) == left and found.xyxy.shape == (left, 4)


def test_nothing_found_is_nothing_residual():
    assert len(verify.residual(fakes.find_nothing, FRAME, [], POLICY)) == 0


def test_the_policy_threshold_reaches_the_detector():
    asked = []
    verify.residual(lambda frame, threshold: asked.append(threshold) or Detections.empty(), FRAME, [], Policy(keep=(), threshold=0.4))
    assert asked == [0.4]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (50, 80), (63, 37)])
def test_smoothed_changes_removed_pixels_only_and_stays_in_their_surroundings_range(shape):
    frame = np.random.default_rng(1).integers(90, 110, shape).astype(np.uint8)
    removed = np.zeros(shape, bool)
    removed[shape[0] // 4 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] = True
    before, result = frame.copy(), verify.smoothed(np.where(removed, np.uint8(255), frame), removed)
    assert np.array_equal(result[~removed], frame[~removed]) and np.array_equal(frame, before)
    assert result.dtype == np.uint8 and (result[removed] >= 89).all() and (result[removed] <= 111).all()


def test_smoothed_with_nothing_or_everything_removed():
    frame = np.full((5, 7), 9, np.uint8)
    assert np.array_equal(verify.smoothed(frame, np.zeros((5, 7), bool)), frame)
    assert not verify.smoothed(frame, np.ones((5, 7), bool)).any()


def test_holes_far_from_each_other_are_filled_as_each_alone():
    """In large images annotations lie in opposite corners: the area between them is not processed."""
    frame = np.random.default_rng(2).integers(0, 255, (700, 640)).astype(np.uint8)
    corners = [np.s_[10:60, 20:90], np.s_[600:680, 560:630], np.s_[30:50, 500:560], np.s_[30:50, 600:630]]
    masks = [np.zeros(frame.shape, bool) for _ in corners]
    for mask, corner in zip(masks, corners):
        mask[corner] = True
    together = verify.smoothed(frame, np.logical_or.reduce(masks))
    for mask in masks[:2]:
        assert np.array_equal(together[mask], verify.smoothed(frame, mask)[mask])
    near = masks[2] | masks[3]  # not so far apart: one fills beside the other
    assert np.array_equal(together[near], verify.smoothed(frame, near)[near])
    assert np.array_equal(together[~np.logical_or.reduce(masks)], frame[~np.logical_or.reduce(masks)])


def test_a_removed_box_is_not_itself_seen_as_something():
    frame = np.full((50, 80), 120, np.uint8)
    frame[10:30, 50:70] = 255

    def finds_black(view, threshold=None):
        return sees((48, 8, 72, 32))(view) if (view == 0).any() else Detections.empty()

    cleaned = cleaning.clean_radiograph(
        Radiograph(frame[None], frame[None], (0,), Path("x"), "PNG"),
        fakes.cleaner(detector=lambda view, threshold=None: fakes.find_white(view) if (view == 255).any() else finds_black(view)))
    assert [d.label for d in cleaned.decisions] == ["marker"] and not cleaned.shown[0, 10:30, 50:70].any()


def test_findings_of_the_second_look_carry_its_label_and_reason_and_kept_ones_keep_theirs():
    removed = Decision(2, (0, 0, 4, 4), "remove", "no laterality marker to retain", 0.5, "marker")
    kept = Decision(2, (0, 0, 4, 4), "keep", "isolated laterality marker", 0.5, "laterality", strokes=np.ones((4, 4), bool))
    assert [(d.label, d.reason) for d in verify.labelled([removed, kept])] == [
        ("verify", "still found after removal"), ("verify", "isolated laterality marker")]
    assert verify.labelled([]) == []



def test_check_pixels_passes_exactly_what_was_decided():
    stored = np.full((1, 4, 4), 9, np.int16)
    mask = np.zeros((1, 4, 4), bool)
    mask[0, 1:3, 1:3] = True
    new = np.where(mask, np.int16(-5), stored)
    verify.check_pixels(stored, new, mask, (-5,))
    colour, colour_new = np.repeat(stored[..., None], 3, 3), np.where(mask[..., None], np.int16([1, 2, 3]), np.int16(9))
    verify.check_pixels(colour, colour_new, mask, (1, 2, 3))


@pytest.mark.parametrize(
    "new, words",
    [
        (np.full((1, 4, 4), 9, np.int16), "not all black"), (np.zeros((1, 4, 4), np.int16), "outside"),
        (np.full((1, 4, 4), 9, np.uint8), "array"), (np.full((1, 4, 5), 9, np.int16), "array"),
    ],
    ids=["nothing removed", "everything removed", "another type", "another shape"],
)
def test_check_pixels_holds_everything_else(new, words):
    mask = np.zeros((1, 4, 4), bool)
    mask[0, 0, 0] = True
    with pytest.raises(HeldError, match=words):
        verify.check_pixels(np.full((1, 4, 4), 9, np.int16), new, mask, (0,))

