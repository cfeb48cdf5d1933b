from __future__ import annotations

import numpy as np

from markerremover.records import Decision
from markerremover.redaction.across_frames import spread

TEXT = (np.indices((8, 20)).sum(0) % 3 * 100).astype(np.uint8)
BOX = (5, 5, 25, 13)
REMOVE = Decision(0, BOX, "remove", "no laterality marker to retain", 0.9)


def cine(*frames_with_text: int, count: int = 3) -> np.ndarray:
    display = np.random.default_rng(0).integers(0, 40, (count, 30, 40)).astype(np.uint8)
    for f in frames_with_text:
        display[f, 5:13, 5:25] = TEXT
    return display


def test_one_frame_stays_as_it_is():
    assert spread([REMOVE], cine(0, count=1)) == [REMOVE] and spread([], cine()) == []


def test_a_removal_reaches_the_frames_with_the_same_marking_and_no_other():
    assert [d.frame for d in spread([REMOVE], cine(0, 2))] == [0, 2]


def test_a_box_already_decided_in_the_other_frame_is_not_doubled():
    twin = Decision(2, BOX, "remove", "no laterality marker to retain", 0.8)
    assert spread([REMOVE, twin], cine(0, 2)) == [REMOVE, twin]


def test_a_kept_sign_is_not_spread():
    keep = Decision(0, BOX, "keep", "isolated laterality marker", 0.9, strokes=np.ones((8, 20), bool))
    assert spread([keep], cine(0, 1, 2)) == [keep]


def test_a_box_of_one_flat_value_correlates_with_nothing():
    display = np.zeros((2, 30, 40), np.uint8)
    assert spread([REMOVE], display) == [REMOVE]
