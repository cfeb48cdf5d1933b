"""Whether what was read holds what the header says: through OCR slips, but not for words that anyone's radiograph bears."""

from __future__ import annotations

from datetime import date

import pytest

from markerremover import telltales
from markerremover.records import Telling

JOHN = Telling(frozenset({"SMITH", "Jöhn", "4711-X", "LEE", "77"}), telltales.dates_of(date(1950, 2, 3)))


@pytest.mark.parametrize("text", [
    "SMITH", "smith", "5MITH", "SMlTH", "SMTH", "SMIITH", "JOHN", "ID 4711X", "4711-X", "47 11 X", "Lee,", "J. SM1TH",
    "19500203", "1950-02-03", "03.02.1950", "02/03/1950", "3.2.1950", "2/3/1950", "3 FEB 1950", "03-Feb-50", "03 02 1950", "O3.02.195O", "030250",
])
def test_what_the_header_says_is_recognised(text):
    assert telltales.tells(text.split(), JOHN)


@pytest.mark.parametrize("text", [
    "", "L", "PORTABLE AP", "SMOOTH", "SITE", "77", "77 kV", "LEER", "LED", "471", "1950", "0302", "04.02.1951", "2020-01-31", "12:34:56", "J O E", "...",
])
def test_what_it_does_not_say_is_not(text):
    assert not telltales.tells(text.split(), JOHN)


@pytest.mark.parametrize("part, text, told", [
    ("Wright", "RIGHT", False), ("Wright", "WRIGHT", True), ("Chest", "CHEST", False), ("Supin", "SUPINE", False), ("Able", "PORTABLE", False),
    ("Adeyemi", "ADEYEMICLARA", True), ("Ng", "NG", False), ("1234", "1234", True), ("125", "125 kV", False), ("12345", "12346", True), ("李", "L", False),
])
def test_short_ordinary_and_joined_words(part, text, told):
    assert telltales.tells(text.split(), Telling(frozenset({part}))) is told


def test_pieces_of_different_places_are_not_joined_and_nothing_is_told_of_no_header():
    assert telltales.tells(["471", "1X"], JOHN) and not telltales.tells(["471", "KW", "1X"], Telling(frozenset({"4711-X"})))
    assert not telltales.tells(["SMITH"], Telling())


def test_a_record_of_what_tells_does_not_show_it():
    assert "SMITH" not in repr(JOHN) and "1950" not in repr(JOHN)
