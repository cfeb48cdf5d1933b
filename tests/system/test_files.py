"""Files that are written whole and are their owner's only."""

from __future__ import annotations

import stat

import pytest

from markerremover.errors import WriteError
from markerremover.system import files


def test_private_files_are_replaced_whole_and_owner_only(tmp_path):
    path = tmp_path / "f"
    path.write_text("old")
    path.chmod(0o644)
    files.write_private(path, "new")
    assert path.read_text() == "new" and stat.S_IMODE(path.stat().st_mode) == 0o600 and len(list(tmp_path.iterdir())) == 1


def test_a_text_that_breaks_off_leaves_the_file_before_and_nothing_beside_it(tmp_path):
    def pieces():
        yield "new"
        raise KeyError("a row without status")

    files.write_private(tmp_path / "f", "old")
    with pytest.raises(KeyError):
        files.write_private(tmp_path / "f", pieces())
    assert (tmp_path / "f").read_text() == "old" and len(list(tmp_path.iterdir())) == 1
    files.write_private(tmp_path / "f", iter(["a", "b"]))
    assert (tmp_path / "f").read_text() == "ab"


def test_move_into_refuses_what_stands_in_the_way(tmp_path):
    temporary, out = tmp_path / "t", (tmp_path / "out").resolve()
    temporary.write_bytes(b"new")
    (out / "folder").mkdir(parents=True)
    (out / "file").write_bytes(b"old")
    for relative, replace in (("file", False), ("folder", True)):
        with pytest.raises(WriteError, match="same name"):
            files.move_into(temporary, relative, out, replace=replace)
    files.move_into(temporary, "file", out, replace=True)
    assert (out / "file").read_bytes() == b"new" and not temporary.exists()


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert files.sha256_file(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4, example 1


def test_nothing_is_taken_away_through_a_link_that_leads_out(tmp_path):
    out = (tmp_path / "out").resolve()
    out.mkdir()
    (tmp_path / "elsewhere").mkdir()
    for path in (out / "file", tmp_path / "elsewhere" / "file"):
        path.write_bytes(b"x")
    (out / "away").symlink_to(tmp_path / "elsewhere")
    for relative in ("file", "away/file", "none"):
        files.take_away(relative, out)
    assert not (out / "file").exists() and (tmp_path / "elsewhere" / "file").exists()
    files.take_away("away", out)
    assert not (out / "away").is_symlink() and (tmp_path / "elsewhere" / "file").exists()
