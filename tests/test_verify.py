from __future__ import annotations

import numpy as np
import pytest

import fakes
from markerremover import verify
from markerremover.errors import HeldError
from markerremover.records import Decision, Detections, Policy

POLICY = Policy(keep=())


def sees(*boxes):
    found = np.array(boxes, np.float32).reshape(-1, 4)
    return lambda frame, threshold=None: Detections(found, np.full(len(found), 0.8, np.float32), np.zeros(len(found), np.int64))


FRAME = np.zeros((50, 80), np.uint8)
KEPT = Decision(0, (10, 10, 30, 30), "keep", "isolated sign", 0.9, strokes=np.ones((20, 20), bool))
GONE = Decision(0, (50, 10, 70, 30), "remove", "no sign", 0.9)


@pytest.mark.parametrize(
    "box, left",
    [((11, 11, 29, 29), 0), ((9, 9, 31, 30), 0), ((52, 12, 60, 20), 0), ((30, 30, 45, 45), 1), ((20, 20, 45, 45), 1)],
    ids=["a kept sign", "a kept sign, boxed a little wider", "inside a black box", "somewhere else", "a kept sign and more"],
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


def test_removals_carry_margin_label_and_reason():
    found = sees((30, 30, 40, 50))(FRAME)
    (decision,) = verify.removals(2, found, POLICY, FRAME.shape)
    assert (decision.frame, decision.xyxy, decision.action, decision.label) == (2, (27, 27, 43, 50), "remove", "verify")
    assert verify.removals(0, Detections.empty(), POLICY, FRAME.shape) == []


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
