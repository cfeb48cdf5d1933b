import numpy as np
import pytest

from markerremover.errors import ParityError
from markerremover.records import Detections
from markerremover.training import parity

RULES = [parity.SAME_BOXES, parity.SAME_DECISIONS]
THRESHOLD = 0.2
NAMES = ("laterality", "marker")


def found(*rows):
    """Detections from rows of x1, y1, x2, y2, score, class."""
    rows = np.array(rows, np.float64).reshape(-1, 6)
    return Detections(rows[:, :4].astype(np.float32), rows[:, 4].astype(np.float32), rows[:, 5].astype(np.int64), NAMES)


A, B = (10, 10, 30, 40, 0.9, 1), (100, 50, 160, 70, 0.6, 0)


def verdict(reference, other, rule=parity.SAME_BOXES, scale=1.0, planted=None):
    result = parity.compare(reference, other, threshold=THRESHOLD, scale=scale, rule=rule, planted=planted)
    return parity.check(result, rule, "m.onnx through X")


@pytest.mark.parametrize("rule", RULES)
def test_the_same_boxes_in_any_order_are_the_same(rule):
    entry = verdict(found(A, B), found(B, A), rule)
    assert entry["matched"] == 2 and entry["max_shift_px"] == 0 and entry["rule"] == rule.name


@pytest.mark.parametrize("shift, passes", [(0.9, True), (2, False)])
def test_a_corner_may_move_by_a_pixel_not_by_two(shift, passes):
    moved = found((10 + shift, 10, 30, 40, 0.9, 1), B)
    if passes:
        assert verdict(found(A, B), moved)["max_shift_px"] == pytest.approx(shift, abs=1e-4)
    else:
        with pytest.raises(ParityError, match="2.00 network pixels off"):
            verdict(found(A, B), moved)
        verdict(found(A, B), moved, parity.SAME_DECISIONS)


def test_the_pixel_is_one_of_the_network():
    moved = found((12, 10, 30, 40, 0.9, 1))
    assert verdict(found(A), moved, scale=parity.network_scale((1280, 640), 640))["max_shift_px"] == 1
    with pytest.raises(ParityError):
        verdict(found(A), moved, scale=parity.network_scale((320, 320), 640))


def test_a_score_may_move_by_a_hundredth():
    assert verdict(found(A), found((*A[:4], 0.892, 1)))["max_score_difference"] == pytest.approx(0.008, abs=1e-4)
    with pytest.raises(ParityError, match="a score is 0.0200 off"):
        verdict(found(A), found((*A[:4], 0.88, 1)))


@pytest.mark.parametrize("rule", RULES)
def test_a_missing_or_an_extra_box_fails(rule):
    with pytest.raises(ParityError, match="1 boxes missing and 0 extra"):
        verdict(found(A, B), found(A), rule)
    with pytest.raises(ParityError, match="0 boxes missing and 1 extra"):
        verdict(found(A), found(A, B), rule)


@pytest.mark.parametrize("rule, score", [(parity.SAME_BOXES, 0.205), (parity.SAME_DECISIONS, 0.245)])
def test_a_box_near_the_threshold_may_be_missing_on_either_side(rule, score):
    weak = (*B[:4], score, 0)
    assert verdict(found(A, weak), found(A), rule)["near_threshold"] == 1
    assert verdict(found(A), found(A, weak), rule)["near_threshold"] == 1


def test_two_boxes_never_share_a_pair():
    with pytest.raises(ParityError, match="1 boxes missing"):
        verdict(found(A, (11, 10, 31, 40, 0.8, 1)), found(A))


@pytest.mark.parametrize("rule", [parity.SAME_BOXES, parity.SAME_DECISIONS])
def test_in_reduced_precision_a_box_that_the_other_model_covers_changes_no_decision(rule):
    twice, far = found(A, (11, 10, 31, 40, 0.8, 1)), found(A, (60, 10, 80, 40, 0.8, 1))
    for first, second in ((twice, found(A)), (found(A), twice)):
        if rule.covered is None:
            with pytest.raises(ParityError):
                verdict(first, second, rule)
        else:
            assert verdict(first, second, rule)["near_threshold"] == 1
    with pytest.raises(ParityError):
        verdict(far, found(A), rule)


def test_another_class_is_another_box_in_full_precision_only():
    other = found((*A[:5], 0))
    with pytest.raises(ParityError):
        verdict(found(A), other)
    assert verdict(found(A), other, parity.SAME_DECISIONS)["matched"] == 1


def test_fewer_planted_markings_fail_in_reduced_precision():
    weak, planted = (*B[:4], 0.22, 0), np.array([A[:4], B[:4]], float)
    with pytest.raises(ParityError, match="finds 1 of 2 planted annotations, its source 2"):
        verdict(found(A, weak), found(A), parity.SAME_DECISIONS, planted=planted)
    assert verdict(found(A), found(A, weak), parity.SAME_DECISIONS, planted=planted)["planted_found"] == (1, 2)


def test_a_comparison_of_nothing_proves_nothing():
    with pytest.raises(ParityError, match="nothing can be compared"):
        verdict(found(), found())


def test_images_add_up_and_the_worst_counts():
    one = parity.compare(found(A), found(A), threshold=THRESHOLD, scale=1, rule=parity.SAME_BOXES)
    two = parity.compare(found(A, B), found((13, 10, 30, 40, 0.9, 1)), threshold=THRESHOLD, scale=1, rule=parity.SAME_BOXES)
    both = parity.total([one, two])
    assert (both.matched, both.missing, both.max_shift_px) == (2, 1, 3)
