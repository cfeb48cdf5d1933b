from __future__ import annotations

import doctest
import os
import unicodedata
from pathlib import Path

import fakes
import pytest

from markerremover.errors import UsageError
from markerremover.run import inputs


def relative(found):
    return [item.relative for item in found]


def test_doctests_hold():
    assert doctest.testmod(inputs).failed == 0


def test_one_folder_gives_sorted_paths_below_itself(tmp_path):
    for name in ("b/2.png", "b/10.png", "a.png"):
        fakes.put(tmp_path / "in" / name, b"x")
    found, ignored = inputs.gather([tmp_path / "in"], ())
    assert relative(found) == ["a.png", "b/10.png", "b/2.png"] and ignored == []


def test_several_inputs_keep_apart_under_their_own_names(tmp_path):
    for name in ("one/x.png", "two/x.png", "three.png"):
        fakes.put(tmp_path / name, b"x")
    found, _ = inputs.gather([tmp_path / "one", tmp_path / "two", tmp_path / "three.png"], ())
    assert relative(found) == ["one/x.png", "three.png", "two/x.png"]


def test_the_same_output_path_twice_is_a_problem_for_both(tmp_path):
    for name in ("one/in/x.png", "two/in/x.png"):
        fakes.put(tmp_path / name, b"x")
    found, _ = inputs.gather([tmp_path / "one/in", tmp_path / "two/in"], ())
    assert relative(found) == ["in/x.png"] * 2 and all("same output path" in item.problem for item in found)


@pytest.mark.parametrize("glob, left", [("*.txt", ["b/c.png"]), ("b/*", ["a.txt"]), ("b/c.png", ["a.txt"]), ("*", [])])
def test_ignored_files_are_listed(tmp_path, glob, left):
    fakes.put(tmp_path / "a.txt", b"x"), fakes.put(tmp_path / "b/c.png", b"x")
    found, ignored = inputs.gather([tmp_path], (glob,))
    assert relative(found) == left and sorted(left + ignored) == ["a.txt", "b/c.png"]


def test_globs_match_the_path_below_each_of_several_inputs(tmp_path):
    for name in ("one/skip/x.png", "one/y.png", "two/skip/x.png", "skip.png"):
        fakes.put(tmp_path / name, b"x")
    found, ignored = inputs.gather([tmp_path / "one", tmp_path / "two", tmp_path / "skip.png"], ("skip/*", "two/*"))
    assert ignored == ["one/skip/x.png", "two/skip/x.png"] and relative(found) == ["one/y.png", "skip.png"]


@pytest.mark.parametrize("again", ["one", "one/../one", "link"])
def test_the_same_input_twice_is_wrong_use(tmp_path, again):
    fakes.put(tmp_path / "one" / "x.png", b"x")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    with pytest.raises(UsageError, match="given twice"):
        inputs.gather([tmp_path / "one", tmp_path / again], ())


ALIKE = [("A.png", "a.png"), ("x/Stra\u00dfe.png", "X/STRASSE.png"), ("caf\u00e9.png", "cafe\u0301.png"), ("\u00c9", "e\u0301")]


@pytest.mark.parametrize("one, two", ALIKE)
def test_names_that_a_file_system_may_take_for_the_same_fail_both(one, two):
    found = [inputs.Input(Path(name), name) for name in (one, two, "other.png")]
    assert [bool(i.problem) for i in inputs.fail_clashes(found, inputs.folded)] == [True, True, False]
    assert not any(i.problem for i in inputs.fail_clashes(found))


def test_a_file_system_that_folds_names_is_recognised(tmp_path, monkeypatch):
    real, names = os.path.lexists, {"case": str.lower, "accents": lambda name: unicodedata.normalize("NFC", name)}
    for fold in names.values():
        def lexists(path):
            return any(fold(os.fsdecode(path)) == fold(str(p)) for p in tmp_path.iterdir()) or real(path)

        monkeypatch.setattr(os.path, "lexists", lexists)
        assert inputs.folds_names(tmp_path)
    monkeypatch.undo()
    fakes.put(tmp_path / "x" / "probe-of-the-tests", b"")
    assert inputs.folds_names(tmp_path / "x") == (tmp_path / "x" / "PROBE-OF-THE-TESTS").exists()
    assert {p.name for p in tmp_path.iterdir()} == {"x"} and len(list((tmp_path / "x").iterdir())) == 1


def test_an_input_given_as_a_link_is_followed_but_links_below_it_are_not(tmp_path):
    fakes.put(tmp_path / "real" / "x.png", b"x")
    (tmp_path / "real" / "loop").symlink_to(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    found, _ = inputs.gather([tmp_path / "link"], ())
    assert [(item.relative, bool(item.problem)) for item in found] == [("loop", True), ("x.png", False)]


def test_a_missing_input_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        inputs.gather([tmp_path / "nowhere"], ())


def test_names_that_are_not_unicode_survive(tmp_path):
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    fakes.put(tmp_path / name, b"x")
    assert relative(inputs.gather([tmp_path], ())[0]) == [name]


@pytest.mark.parametrize(
    "given, out, audit",
    [
        ("x", "x", "x-audit"), ("x", "x/out", "a"), ("x/in", "x", "a"), ("x", "y", "y"), ("x", "y", "y/audit"), ("x", "y/o", "y"),
        ("x", "y", "x/audit"), ("x/f.png", "x", "a"), ("x", "link", "a"), ("x", "y/../x/out", "a"),
    ],
    ids=["same", "OUT in INPUT", "INPUT in OUT", "audit is OUT", "audit in OUT", "OUT in audit", "audit in INPUT",
         "a file's own folder", "a link to INPUT", "dots"],
)
def test_folders_that_feed_on_each_other_are_wrong_use(tmp_path, given, out, audit):
    fakes.put(tmp_path / "x" / "in" / "f.png", b"x"), fakes.put(tmp_path / "x" / "f.png", b"x")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    with pytest.raises(UsageError, match="nested"):
        inputs.check_folders([tmp_path / given], tmp_path / out, tmp_path / audit)


def test_out_beside_a_file_is_allowed(tmp_path):
    fakes.put(tmp_path / "f.png", b"x")
    inputs.check_folders([tmp_path / "f.png"], tmp_path / "out", tmp_path / "out-audit")


def test_out_and_audit_on_two_file_systems_are_wrong_use(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "_device", lambda path: len(Path(path).name))
    with pytest.raises(UsageError, match="file system"):
        inputs.check_folders([], tmp_path / "out", tmp_path / "elsewhere")


def test_a_file_as_out_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="must be a folder"):
        inputs.check_folders([], fakes.put(tmp_path / "f", b"x"), tmp_path / "a")
