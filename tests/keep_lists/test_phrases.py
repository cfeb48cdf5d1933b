"""Spellings of phrases, and which lines consist of them alone."""

import pytest

from markerremover.errors import UsageError
from markerremover.keep_lists import phrases

KEEP = ("L", "R", "LEFT", "AP", "PA", "ERECT", "SEMI-ERECT", "EN PIE", "COUCHÉ", "# MIN", "# H")


@pytest.mark.parametrize("dash", "-\u2010\u2011\u2012\u2013\u2014\u2212\u00ad\uff0d")
def test_every_hyphen_and_run_of_blanks_is_one(dash):
    assert phrases.normal(f"  semi {dash}\t erect ") == "SEMI-ERECT"


@pytest.mark.parametrize(
    "line, found",
    [("ap", ("AP",)), ("AP  Erect", ("AP", "ERECT")), ("Semi – Erect", ("SEMI-ERECT",)), ("ENPIE", ("EN PIE",)), ("couche", ("COUCHÉ",)),
     ("10 MIN", ("# MIN",)), ("120min", ("# MIN",)), ("L AP", ("L", "AP")), ("10 MIN ERECT", ("# MIN", "ERECT"))],
)
def test_lines_of_phrases_alone(line, found):
    assert phrases.line_of(line, KEEP) == found


@pytest.mark.parametrize(
    "line",
    ["", "L", "L R", "L AP R", "A P", "P A", "E N PIE", "AP SMITH", "SMITH AP", "AP.", "AP1", "PAPA", "LAP", "ALP", "ERICH", "LATTA", "10", "10 AP", "1000 MIN", "1 0 MIN",
     "10:30", "10:30 MIN", "10 MIN 14:30", "2024-05-10", "10.5. MIN", "MIN", "# MIN", "SEMI", "ERECT-AP"],
)
def test_any_other_line_has_none(line):
    assert phrases.line_of(line, KEEP) == ()


@pytest.mark.parametrize("text", ["", "10", "10 30", "A*", "AP,PA", "#", "# 10", "#MIN#", "AP.", "-AP", "AP-", "10:30", "A_P"])
def test_what_no_keep_list_may_hold(text):
    with pytest.raises(UsageError):
        phrases.checked(text)
