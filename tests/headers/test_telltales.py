"""Whether what was read holds what the header says: through OCR slips, but not for words that anyone's radiograph bears."""

from __future__ import annotations

import pytest
from fakes import telling

from markerremover.headers import telltales
from markerremover.records import Telling

JOHN = telling("SMITH^Jöhn^LEE", numbers=("4711-X", "77"), births=("19500203",))


@pytest.mark.parametrize("text", [
    "SMITH", "smith", "5MITH", "SMlTH", "SMTH", "SMIITH", "JOHN", "ID 4711X", "4711-X", "47 11 X", "Lee,", "J. SM1TH",
    "19500203", "1950-02-03", "03.02.1950", "02/03/1950", "3.2.1950", "2/3/1950", "3 FEB 1950", "03-Feb-50", "03 02 1950", "O3.02.195O", "030250",
    "3. Februar 1950", "3 février 1950", "3 de febrero de 1950", "3rd FEB. 1950", "3 FE8 50", "1950/2/3 10:15", "ID: 0004711X", "SMITHJOHN", "J0HN-SM1TH",
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
    ("Adeyemi", "ADEYEMICLARA", True), ("Ng", "NG", False), ("李", "L", False),
])
def test_short_ordinary_and_joined_words(part, text, told):
    assert telltales.tells(text.split(), telling(part)) is told


@pytest.mark.parametrize("number, text, told", [
    ("1234", "1234", True), ("125", "125 kV", False), ("12345", "12346", True), ("004711", "4711", True), ("4711", "PAT 004711", True),
    ("PAT-47119", "47119", True), ("1234", "12345", False), ("4711981", "ID4711981F", True),
])
def test_numbers_count_without_prefix_and_zeros_but_not_within_longer_ones_where_they_are_short(number, text, told):
    assert telltales.tells(text.split(), telling(numbers=(number,))) is told


@pytest.mark.parametrize("name, text, told", [
    ("LI^WU", "LI WU", True), ("LI^WU", "WULI", True), ("LI^WU", "LI", False), ("MÜLLER^JÖRG", "MUELLER", True), ("Mueller", "MÜLLER", True),
    ("O'BRIEN^PAT", "O'BRIEN", True), ("SMYTHE-JOHANSSON^A", "JOHANSSON", True), ("HAND^MICHAEL", "HAND", False), ("HAND^MICHAEL", "M HAND", True),
])
def test_names_in_other_spellings(name, text, told):
    assert telltales.tells(text.split(), telling(name)) is told


def test_pieces_of_different_places_are_not_joined_and_nothing_is_told_of_no_header():
    assert telltales.tells(["471", "1X"], JOHN) and not telltales.tells(["471", "KW", "1X"], telling(numbers=("4711-X",)))
    assert not telltales.tells(["SMITH"], Telling())


def test_a_record_of_what_tells_does_not_show_it():
    assert "SMITH" not in repr(JOHN) and "1950" not in repr(JOHN)
