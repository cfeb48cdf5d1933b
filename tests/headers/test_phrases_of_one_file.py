"""Phrases that a file's own header gives as a name or number do not stay."""

import pytest

from markerremover.headers.kept_phrases import policy_for
from markerremover.records import Identifier, Policy

POLICY = Policy(keep=("L", "LEFT", "DER", "AP", "LAT", "ERECT", "SEMI-ERECT", "AP ERECT", "SUPINE", "DE PIE", "# MIN", "10 MIN", "ICU 3"))


def left_out(*identifiers):
    telling = frozenset(Identifier(kind, text) for kind, text in identifiers)
    return set(POLICY.keep) - set(policy_for(POLICY, telling).keep)


@pytest.mark.parametrize(
    "name, gone",
    [("Erect^Ann", {"ERECT", "SEMI-ERECT", "AP ERECT"}), ("ERECT", {"ERECT", "SEMI-ERECT", "AP ERECT"}), ("Lat", {"LAT"}), ("Smith^Lat", {"LAT"}), ("Ap^Li", {"AP", "AP ERECT"}),
     ("Éréct^Ann", {"ERECT", "SEMI-ERECT", "AP ERECT"}), ("Der^Ann", {"DER"}), ("Miller^Ann", set()), ("de Silva^Ann", set()), ("Left^Ann", set())],
)
def test_names(name, gone):
    assert left_out(("name", name)) == gone


def test_numbers():
    assert left_out(("number", "120")) == {"# MIN"}
    assert left_out(("number", "0047119")) == set()
    assert left_out(("number", "ICU3")) == {"ICU 3"}
    assert left_out(("number", "10MIN")) >= {"10 MIN"}


def test_nothing_to_compare_leaves_the_policy_itself():
    assert policy_for(POLICY, frozenset()) is POLICY
    assert policy_for(default := Policy(), frozenset({Identifier("name", "Left^Right")})) is default
