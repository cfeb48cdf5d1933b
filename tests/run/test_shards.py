"""Parts of a run: disjoint, complete, safe beside each other, and one run again in the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fakes
import pytest
from test_header_run import dicom_file

from markerremover.audit import full_pictures, manifest_files
from markerremover.audit.crops import file_id
from markerremover.cli import main
from markerremover.errors import UsageError
from markerremover.run import batch, shards

COUNT = 3


@pytest.fixture
def source(tmp_path):
    """Nine PNG files in two folders, and three DICOM files of a patient whose name is in their paths."""
    folder = fakes.tree(tmp_path / "in", 9)
    for i in range(3):
        dicom_file(folder / "SMITH^JOHN" / f"{i}.dcm")
    return folder


def part(source, out, number, count=COUNT, **options):
    options = replace(fakes.NO_KEEP, shard=(number, count), **options)
    return batch.remove([source], out, options=options, open_cleaner=fakes.cleaner)


def rows_of(out, number=None, count=COUNT):
    folder = shards.folder(out.with_name(out.name + "-audit"), (number, count) if number else None)
    return {row["relative"]: row for row in manifest_files.read_manifest(folder / manifest_files.MANIFEST)}


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import fakes
from dataclasses import replace
from markerremover.run import batch
batch.remove([{source!r}], {out!r}, options=replace(fakes.NO_KEEP, shard=({number}, {count})), open_cleaner=fakes.cleaner)
"""


def start(source, out, number):
    script = SCRIPT.format(tests=str(Path(__file__).parents[1]), source=str(source), out=str(out), number=number, count=COUNT)
    return subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2], stderr=subprocess.PIPE)


def test_parts_are_disjoint_and_complete_and_told_by_the_path_alone():
    names = [f"{folder}/{i}.dcm" for folder in "abc" for i in range(40)]
    for count in (1, 2, 7):
        parts = [{n for n in names if shards.shard_of(n, count) == i} for i in range(1, count + 1)]
        assert sum(map(len, parts)) == len(names) and set().union(*parts) == set(names) and all(parts)
    assert [shards.shard_of(name, 5) for name in ("a/0.dcm", "b/1.dcm", "\u00e9.png")] == [3, 2, 4]


def test_parts_at_work_at_the_same_time_give_what_one_run_gives(source, tmp_path):
    out = tmp_path / "out"
    ends = [process.communicate()[1] for process in [start(source, out, i) for i in range(1, COUNT + 1)]]
    assert not any(ends), ends
    key = tmp_path / "out-audit" / "key"
    whole = replace(fakes.NO_KEEP, key=key)
    batch.remove([source], tmp_path / "whole", options=whole, open_cleaner=fakes.cleaner)
    assert fakes.files(out) == fakes.files(tmp_path / "whole") and len(fakes.files(out)) == 12
    parts = [rows_of(out, i) for i in range(1, COUNT + 1)]
    assert sum(map(len, parts)) == 12 and set().union(*parts) == set(rows_of(tmp_path / "whole")) and all(parts)
    assert not any("SMITH" in name for name in fakes.files(out))


def test_a_whole_run_with_resume_takes_over_what_the_parts_did(source, tmp_path):
    out = tmp_path / "out"
    for number in (1, 3):
        assert part(source, out, number)["unaccounted"] == []
    before = fakes.files(out)
    left = 12 - len(rows_of(out, 1)) - len(rows_of(out, 3))
    summary = batch.remove([source], out, options=replace(fakes.NO_KEEP, resume=True), open_cleaner=fakes.cleaner)
    assert summary["resumed"] == 12 - left and summary["counts"]["inputs"] == 12 and summary["unaccounted"] == []
    assert before.items() <= fakes.files(out).items() and len(rows_of(out)) == 12
    audit = tmp_path / "out-audit"
    crops = {name for row in rows_of(out).values() for pair in row["crops"] for name in pair}
    assert crops and all((audit / "crops" / name).is_file() for name in crops)
    films = {name for relative in rows_of(out) for name in full_pictures.names(file_id(relative))}
    assert films and all((audit / full_pictures.FOLDER / name).is_file() for name in films)


def test_a_killed_part_is_finished_by_resume(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    part(source, out, 2)
    done = fakes.files(out)
    rows = list(rows_of(out, 2).values())
    manifest_files.write_rows(tmp_path / "out-audit" / "shard-2-of-3" / manifest_files.MANIFEST, rows[:1])
    summary = part(source, out, 2, resume=True)
    assert summary["resumed"] == 1 and fakes.files(out) == done and summary["options"]["shard"] == "2/3"


def test_a_part_refuses_its_own_outputs_other_numbers_and_a_second_process(source, tmp_path):
    out, audit = tmp_path / "out", tmp_path / "out-audit"
    part(source, out, 1)
    with pytest.raises(UsageError, match="earlier run"):
        part(source, out, 1)
    with pytest.raises(UsageError, match="parts of 3, not of 4"):
        part(source, out, 2, 4)
    with pytest.raises(UsageError, match="run in parts"):
        batch.remove([source], out, options=fakes.NO_KEEP, open_cleaner=fakes.cleaner)
    with shards.exclusive(shards.folder(audit, (2, 3))), pytest.raises(UsageError, match="at work"):
        part(source, out, 2)
    manifest_files.write_rows(audit / "shard-1-of-3" / manifest_files.MANIFEST, [])
    with pytest.raises(UsageError, match="outputs of this part"):
        part(source, out, 1)
    assert part(source, out, 1, overwrite=True)["counts"] == {**part(source, out, 1, resume=True)["counts"]}


def test_a_part_without_files_is_no_error(tmp_path):
    fakes.put(tmp_path / "in" / "a.png", fakes.png(fakes.radiograph(1)))
    ends = [part(tmp_path / "in", tmp_path / "out", i)["counts"]["inputs"] for i in (1, 2, 3)]
    assert sorted(ends) == [0, 0, 1] and len(fakes.files(tmp_path / "out")) == 1


def test_what_would_get_the_same_path_fails_in_every_part(tmp_path):
    for name in ("a", "b"):
        fakes.put(tmp_path / name / "x" / "1.png", fakes.png(fakes.radiograph(1)))
    options = [replace(fakes.NO_KEEP, shard=(i, 2)) for i in (1, 2)]
    inputs = [tmp_path / "a" / "x", tmp_path / "b" / "x"]
    ends = [batch.remove(inputs, tmp_path / "out", options=o, open_cleaner=fakes.cleaner)["counts"] for o in options]
    assert sum(end["failed"] for end in ends) == 2 and fakes.files(tmp_path / "out") == {}


def test_the_key_is_one_for_all_and_its_owners_only(tmp_path):
    keys = {manifest_files.agreed_key(tmp_path / "audit" / "key", bytes([i]) * 32) for i in range(5)}
    assert keys == {bytes(32)} and os.listdir(tmp_path / "audit") == ["key"]
    assert (tmp_path / "audit" / "key").stat().st_mode & 0o077 == 0 == (tmp_path / "audit").stat().st_mode & 0o077


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3", ""])
def test_a_part_is_written_i_of_n(text, tmp_path):
    fakes.put(tmp_path / "in" / "a.png", fakes.png(fakes.radiograph(1)))
    assert main.main(["remove", str(tmp_path / "in"), "-o", str(tmp_path / "out"), f"--shard={text}"]) == 2


def test_the_summary_of_a_part_lies_with_it(source, tmp_path):
    part(source, tmp_path / "out", 1)
    folder = tmp_path / "out-audit" / "shard-1-of-3"
    assert json.loads((folder / manifest_files.SUMMARY).read_text())["options"]["shard"] == "1/3"
    assert {"index.html", "crops", "tmp", "manifest.jsonl"} <= set(os.listdir(folder))
    assert not (tmp_path / "out-audit" / "manifest.jsonl").exists()
