"""Flags in rows, summary and print; duplicates across files and runs; files held for what they show."""

from __future__ import annotations

from dataclasses import replace

import fakes
import numpy as np
import pytest

from markerremover import MarkerRemover
from markerremover.audit import manifest_files
from markerremover.cli.main import main
from markerremover.options import RunOptions
from markerremover.records import Policy

BLANK = np.full((300, 260), 90, np.uint8)


@pytest.fixture
def odd(inputs):
    """Also a blank picture, a copy with the same pixels in another format, and a file that is no image."""
    import cv2

    first = sorted(inputs.rglob("*.png"))[0]
    fakes.put(inputs / "blank.png", fakes.png(BLANK))
    cv2.imwrite(str(inputs / "zz copy.tif"), cv2.imread(str(first), cv2.IMREAD_UNCHANGED))
    fakes.put(inputs / "broken.png", b"no image")
    return inputs, first.relative_to(inputs).as_posix()


def test_rows_have_flags_and_the_first_file_of_which_they_are_duplicates(odd, clean):
    _, first = odd
    summary, rows = clean()
    assert rows["blank.png"]["quality"] == ["blank"] and rows["blank.png"]["status"] == "unchanged"
    assert rows["zz copy.tif"]["duplicate_of"] == first and rows["zz copy.tif"]["quality"][-1:] == ["exact duplicate"]
    assert rows["zz copy.tif"]["pixel_hash"] == rows[first]["pixel_hash"] and rows[first]["duplicate_of"] == ""
    assert "quality" not in rows["broken.png"] and "pixel_hash" not in rows["broken.png"]
    assert summary["quality"]["blank"] == 1 and summary["quality"]["exact duplicate"] == 1 and summary["quality"]["noise"] == 0


def test_hold_unusable_holds_and_writes_nothing_and_duplicates_stay(odd, clean, out):
    summary, rows = clean(replace(fakes.NO_KEEP, hold_unusable=True))
    assert rows["blank.png"]["status"] == "held" and rows["blank.png"]["reason"] == "not usable: blank" and not (out / "blank.png").exists()
    assert rows["zz copy.tif"]["status"] == "cleaned" and summary["counts"]["held"] == 1


def test_the_setting_decides_which_rows_are_taken_over(odd, clean):
    default = RunOptions(policy=Policy(keep=()))
    assert default.settings_sha256() != replace(default, hold_unusable=True).settings_sha256()
    clean()
    summary, rows = clean(replace(fakes.NO_KEEP, resume=True))
    assert summary["resumed"] == 6 - 0 and rows["zz copy.tif"]["duplicate_of"]
    summary, rows = clean(replace(fakes.NO_KEEP, resume=True, hold_unusable=True))
    assert summary["resumed"] == 0 and rows["blank.png"]["status"] == "held"


def test_a_resumed_run_finds_duplicates_of_files_that_came_later(odd, clean):
    inputs, first = odd
    clean()
    fakes.put(inputs / "0 earlier.png", (inputs / first).read_bytes())
    _, rows = clean(replace(fakes.NO_KEEP, resume=True))
    assert rows[first]["duplicate_of"] == rows["zz copy.tif"]["duplicate_of"] == "0 earlier.png" and rows["0 earlier.png"]["duplicate_of"] == ""


def test_several_processes_find_the_same_duplicates(odd, clean, out):
    alone = clean()[1]
    several = clean(replace(fakes.NO_KEEP, workers=2, overwrite=True))[1]
    assert {k: (r.get("quality"), r.get("duplicate_of")) for k, r in alone.items()} == {k: (r.get("quality"), r.get("duplicate_of")) for k, r in several.items()}


def test_parts_know_their_own_duplicates_and_the_whole_all(odd, clean, out):
    for i in (1, 2):
        clean(replace(fakes.NO_KEEP, shard=(i, 2)))
    summary, rows = clean(replace(fakes.NO_KEEP, resume=True))
    assert summary["resumed"] == 6 and summary["quality"]["exact duplicate"] == 1
    assert manifest_files.read_manifest(out.with_name("out-audit") / "manifest.jsonl") == sorted(rows.values(), key=lambda r: list(rows).index(r["relative"]))


def test_the_command_prints_one_line(odd, out, fake_weights, capsys):
    inputs, _ = odd
    assert main(["remove", str(inputs), "-o", str(out), "--keep", "none"]) == 1  # the broken file
    printed = capsys.readouterr().out
    assert "picture quality: 1 blank, " in printed and "1 exact duplicate (see quality in manifest.jsonl)" in printed


def test_the_library_returns_flags():
    remover = MarkerRemover(cleaner=fakes.cleaner())
    assert remover.clean(BLANK).quality == ("blank",) and "blank" not in remover.clean(fakes.radiograph(1)).quality
