"""The burned-in side of a file, and whether its header agrees."""

from __future__ import annotations

import numpy as np
import pytest

from markerremover.laterality.burned_in import READ, Laterality, all_meanings, side
from markerremover.laterality.header_sides import HeaderSides
from markerremover.records import Decision, Reading

SHAPE = (100, 200)
CHEST = HeaderSides(((),), "", True)
MEANINGS = all_meanings(None)


def marker(text: str, x: int = 20, *, kept=True, mirrored=False, frame=0, confidence=0.9, reason="isolated laterality marker") -> Decision:
    box = (x, 10, x + 10, 24)
    reading = Reading(box, text, confidence, np.ones((14, 10), bool), mirrored=mirrored)
    return Decision(frame, box, "keep" if kept else "remove", reason, 0.9, "laterality", reading, reading.strokes if kept else None)


def found(*decisions: Decision, header: HeaderSides = HeaderSides(), meanings=MEANINGS) -> Laterality:
    return side(decisions, SHAPE, meanings, header)


def stated(*values: str) -> HeaderSides:
    return HeaderSides((values,))


@pytest.mark.parametrize("text, expected", [("L", "L"), ("RT", "R"), ("LEFT", "L"), ("D", "R"), ("I", "L"), ("X", "")])
def test_a_marker_says_its_side(text, expected):
    assert found(marker(text)).side == expected


def test_the_sites_meaning_counts_before_the_known_one():
    assert found(marker("D"), meanings=all_meanings({"D": "left"})).side == "L"


def test_what_was_read_and_removed_counts_and_other_removals_do_not():
    assert found(marker("L", kept=False, reason=READ)).side == "L"
    assert found(marker("L", kept=False, reason="part of a longer text")) == Laterality()


def test_two_sides_are_both_with_the_lesser_confidence():
    both = found(marker("L", 150, confidence=0.7), marker("R", 20, confidence=0.95), marker("L", 60, confidence=0.8))
    assert both.side == "both" and both.confidence == 0.8


@pytest.mark.parametrize("values, agrees", [(("L",), True), (("R",), False), (("U",), None), (("B",), None), ((), None), (("L", "R"), False)])
def test_a_header_agrees_or_contradicts_or_says_nothing(values, agrees):
    assert found(marker("L"), header=stated(*values)).agrees is agrees


def test_both_markers_agree_with_both_and_contradict_one():
    pair = marker("L", 150), marker("R")
    assert found(*pair, header=stated("B")).agrees is True and found(*pair, header=stated("L")).agrees is False


def test_each_frame_is_compared_with_its_own_side():
    header = HeaderSides((("L",), ("R",)))
    assert found(marker("L"), marker("R", frame=1), header=header).agrees is True
    assert found(marker("R"), marker("L", frame=1), header=header).agrees is False


@pytest.mark.parametrize("decision, flipped", [
    (marker("R", 20), False), (marker("L", 170), False), (marker("R", 170), True), (marker("L", 20), True), (marker("R", 20, mirrored=True), True),
    (marker("R", 95), None),
])
def test_a_frontal_film_may_be_flipped_where_a_marker_is_mirrored_or_in_the_wrong_half(decision, flipped):
    assert found(decision, header=CHEST).flipped is flipped and found(decision).flipped is None


def test_patient_orientation_is_what_the_place_is_compared_with():
    usual, reversed_film = HeaderSides(((),), "L", True), HeaderSides(((),), "R", True)
    assert (found(marker("R", 20), header=usual).agrees, found(marker("R", 20), header=reversed_film).agrees) == (True, False)
    assert (found(marker("R", 170), header=usual).flipped, found(marker("R", 170), header=reversed_film).flipped) == (True, False)


def test_without_a_marker_only_the_header_is_told():
    assert found(header=stated("R")).row == {"side": "", "mirrored": False, "confidence": 0.0, "header": "R", "agrees": None, "flipped": None}
