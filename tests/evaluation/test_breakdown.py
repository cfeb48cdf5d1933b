"""Classes of markings: what an annotation's text says, and how high a marking is."""

import doctest

import pytest

from markerremover.evaluation import breakdown
from markerremover.records import Element


def test_doctests_hold():
    assert doctest.testmod(breakdown).failed == 0


@pytest.mark.parametrize(("label", "text", "kind"), [
    ("laterality", "L", "laterality marker, upright"), ("laterality", "L flipped", "laterality marker, mirrored"), ("laterality", "R rot180", "laterality marker, turned"),
    ("laterality", "L mirrored rot-40", "laterality marker, mirrored and turned"), ("laterality", "LEFT mirrored rot90", "laterality marker, a word"),
    ("laterality", "", "laterality marker, not said which"), ("marker", "GV mirrored, cut", "initials"), ("marker", "SEMI-ERECT", "words"),
    ("marker", "anna", "words"), ("marker", "12:30", "text with digits"), ("marker", "arrow up", "arrow"),
    ("marker", "mirrored", "text, not transcribed"), ("marker", "JFC", "initials"),
])
def test_the_kind_of_an_element(label, text, kind):
    assert breakdown.kind(Element((0, 0, 9, 9), label, text)) == kind


@pytest.mark.parametrize(("text", "tokens"), [
    ("john smith", {"JOHN", "SMITH"}), ("GV rot90", set()), ("DG mirrored rot", set()), ("arrow", set()), ("2001-05-07", {"2001"}), ("", set()),
    ("rotary", {"ROTARY"}), ("MIRRORED", {"MIRRORED"}),
])
def test_words_that_ocr_could_give_away(text, tokens):
    """A name in small letters is one; notes of annotators are not."""
    assert breakdown.tokens(text) == tokens


def test_every_height_has_one_class():
    names = [breakdown.height(h) for h in (0, 7.9, 8, 12, 16, 24, 39.9, 40, 1e4)]
    assert names == [*(breakdown.heights()[i] for i in (0, 0, 1, 2, 3, 4, 4, 5, 5))]
