"""Files that hang or kill whoever parses them: each costs itself alone, also before anything is cleaned, and in every command."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time

import fakes
import numpy as np
import pytest
from dicom_files import random_stored, save

from markerremover.errors import AnnotationError, ReadError, UsageError
from markerremover.evaluation import results
from markerremover.formats import images, read_apart
from markerremover.options import RunOptions
from markerremover.records import Annotation, Policy
from markerremover.review import proposals
from markerremover.run import batch

HOSTILE = {"hangs.dcm": "its header took longer than 3 s to read", "kills.dcm": "the process that read it died at its header"}


@pytest.fixture
def folder(tmp_path):
    """A file that hangs, one that kills, and three good ones, of a patient whose name is in a path."""
    source = tmp_path / "in"
    (source / "SMITH").mkdir(parents=True)
    for name in ("a.dcm", *HOSTILE):
        save(source, random_stored(8), bits=8, name=name)
    save(source / "SMITH", random_stored(8, seed=1), bits=8, name="b.dcm")
    fakes.put(source / "c.png", fakes.png(fakes.radiograph(0)))
    return source


@pytest.mark.parametrize("options", [
    pytest.param({"workers": 1, "time_limit": 30.0}, id="one worker"), pytest.param({"workers": 2}, id="two workers", marks=pytest.mark.long),
    pytest.param({"workers": 1, "time_limit": 30.0, "shard": (1, 1)}, id="a part", marks=pytest.mark.long)])
def test_a_header_that_hangs_or_kills_while_paths_are_planned_fails_its_own_file(folder, tmp_path, monkeypatch, options):
    monkeypatch.setattr(images, "path_parts", fakes.parts_or_worse)
    monkeypatch.setattr(batch, "HEADER_S", 3.0)
    summary = batch.remove([folder], tmp_path / "out", options=RunOptions(policy=Policy(keep=()), **options), open_cleaner=fakes.cleaner)
    assert summary["counts"] == {"inputs": 5, "cleaned": 3, "unchanged": 0, "held": 0, "failed": 2}
    audit = tmp_path / "out-audit" / ("shard-1-of-1" if "shard" in options else "")
    rows = {row["relative"]: row for row in map(json.loads, (audit / "manifest.jsonl").read_text().splitlines())}
    assert {name: rows[name]["reason"] for name in HOSTILE} == HOSTILE
    assert sum(row["status"] != "failed" for row in rows.values()) == 3 and not any("SMITH" in name for name in rows), "the others got their paths"
    assert set(fakes.files(tmp_path / "out")) == {name for name in rows if name not in HOSTILE}


def test_resume_takes_over_what_was_cleaned_and_tries_those_again(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "path_parts", fakes.parts_or_worse)
    monkeypatch.setattr(batch, "HEADER_S", 3.0)
    options = RunOptions(policy=Policy(keep=()), workers=2)
    batch.remove([folder], tmp_path / "out", options=options, open_cleaner=fakes.cleaner)
    for name in HOSTILE:  # as after a repair
        (folder / name).rename(folder / f"good-{name}")
    summary = batch.remove([folder], tmp_path / "out", options=RunOptions(policy=Policy(keep=()), workers=2, resume=True), open_cleaner=fakes.cleaner)
    assert summary["counts"]["failed"] == 0 and summary["resumed"] == 3


def test_a_few_that_hang_among_many_cost_no_others(tmp_path):
    for i in range(150):
        fakes.put(tmp_path / f"{i:03d}.dcm", b"not DICOM")
    for name in ("hangs-1", "kills-1", "kills-2"):
        fakes.put(tmp_path / name, b"x")
    paths = sorted(tmp_path.iterdir())
    found = dict(read_apart.each_header(fakes.parts_or_worse, paths, 3.0, 2))
    assert set(found) == set(paths)
    assert {path.name for path, value in found.items() if isinstance(value, ReadError)} == {"hangs-1", "kills-1", "kills-2"}
    assert all(found[path] == frozenset() for path in paths[:150])


def test_no_header_is_parsed_in_the_process_that_starts_a_run(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(images, "path_parts", fakes.parts_and_process)
    for name in HOSTILE:
        (folder / name).unlink()
    mark = tmp_path / "pids"
    monkeypatch.setenv("MARKERREMOVER_TEST_MARK", str(mark))
    batch.remove([folder], tmp_path / "out", options=RunOptions(policy=Policy(keep=()), time_limit=60.0), open_cleaner=fakes.cleaner)
    pids = set(mark.read_text().split())
    assert pids and str(os.getpid()) not in pids


def test_files_that_are_no_dicom_start_no_process_for_their_headers(tmp_path, monkeypatch):
    monkeypatch.setattr(read_apart, "_headers_pool", lambda count: pytest.fail("a process"))
    fakes.put(tmp_path / "in" / "c.png", fakes.png(fakes.radiograph(0)))
    options = RunOptions(policy=Policy(keep=()), workers=2)
    assert batch.remove([tmp_path / "in"], tmp_path / "out", options=options, open_cleaner=fakes.cleaner)["counts"]["cleaned"] == 1


# any file, in another process


def test_a_radiograph_comes_over_as_it_is_read_here_and_cannot_be_written_to(tmp_path):
    for path in (save(tmp_path, random_stored(frames=2)), fakes.put(tmp_path / "a.png", fakes.png(fakes.radiograph(0))),
                 fakes.put(tmp_path / "a.jpg", fakes.jpeg(fakes.radiograph(0)))):  # fmt: skip
        here, there = images.read(path), read_apart.read(path)
        assert np.array_equal(here.stored, there.stored) and np.array_equal(here.display, there.display) and here.fill == there.fill
        assert (here.format, here.path) == (there.format, there.path) and not there.stored.flags.writeable and not there.display.flags.writeable
        assert all(np.array_equal(a, b) for a, b in zip(images.views_of(there, here.stored), here.views)), "its source came along"
        assert read_apart.size(path) == (len(here.display), here.shape_hw)


@pytest.mark.parametrize(("name", "words"), [("hangs", "took longer than 2 s to read"), ("kills", "the process that read it died")])
def test_what_hangs_or_kills_is_an_error_and_the_next_file_is_read(tmp_path, name, words):
    good = fakes.put(tmp_path / "a.png", fakes.png(fakes.radiograph(0)))
    with pytest.raises(ReadError, match=f"^{name}: {words}$"):
        read_apart.call(fakes.read_or_worse, tmp_path / name, limit=2.0)
    assert read_apart.read(good).shape_hw == fakes.SHAPE


def test_a_relative_path_is_that_of_this_process(tmp_path, monkeypatch):
    read_apart.size(fakes.put(tmp_path / "a" / "1.png", fakes.png(fakes.radiograph(0))))
    monkeypatch.chdir(tmp_path / "a")
    assert str(read_apart.read("1.png").path) == "1.png"


def test_errors_of_reading_are_those_of_images(tmp_path):
    with pytest.raises(ReadError, match="a.png: is not a PNG"):
        read_apart.read(fakes.put(tmp_path / "a.png", b"no image"))


def test_a_process_that_may_start_none_reads_for_itself(tmp_path):
    path = fakes.put(tmp_path / "a.png", fakes.png(fakes.radiograph(0)))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(read_apart.size, (path,)) == (1, fakes.SHAPE)


@pytest.fixture
def hostile_reading(monkeypatch):
    """Reading in the other process misbehaves by name, and gives up soon."""
    monkeypatch.setattr(images, "read", fakes.read_or_worse)
    monkeypatch.setattr(read_apart, "READ_S", 2.0)


def test_annotate_goes_on_after_a_file_that_hangs(tmp_path, hostile_reading):
    for name in ("a.png", "hangs.png", "kills.png"):
        fakes.put(tmp_path / "in" / name, fakes.png(fakes.radiograph(0)))
    told: list[str] = []
    done = proposals.annotate([tmp_path / "in"], tmp_path / "out", open_cleaner=fakes.cleaner, say=told.append)
    assert done["written"] == 1 and done["failed"] == ["hangs.png", "kills.png"] and len(told) == 2


def test_evaluate_names_an_original_that_hangs_and_counts_such_a_result_as_missing(tmp_path, hostile_reading):
    good = fakes.put(tmp_path / "a.png", fakes.png(fakes.radiograph(0)))
    bad = fakes.put(tmp_path / "hangs.png", fakes.png(fakes.radiograph(0)))
    truth = Annotation("a.png", fakes.SHAPE, ())

    def judged(source, result):
        task = results.Task(truth, source, "a.png", result, "a.png", "", "", None, False)
        return list(results.judge([task], None, None, 1))

    assert judged(good, bad)[0].identical is None and judged(good, good)[0].identical
    with pytest.raises(AnnotationError, match="hangs.png: an original that cannot be read"):
        judged(bad, good)


def test_evaluate_with_several_processes_ends_where_one_of_them_dies(tmp_path, monkeypatch):
    good = fakes.put(tmp_path / "a.png", fakes.png(fakes.radiograph(0)))
    monkeypatch.setattr(results, "_row", fakes.judge_or_die)
    tasks = [results.Task(Annotation(name, fakes.SHAPE, ()), good.with_name(name), name, None, "", "", "", None, False) for name in ("a.png", "kills.png")]
    begin = time.monotonic()
    with pytest.raises(AnnotationError, match="kills.png: it or its result ended the process"):
        list(results.judge(tasks, None, None, 2))
    assert time.monotonic() - begin < 120


IN_A_POOL = """
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from markerremover.formats import read_apart as apart

if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=get_context(sys.argv[1])) as pool:
        print(pool.submit(apart.size, Path(sys.argv[2])).result())
"""


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_a_process_of_a_pool_that_read_a_file_ends(tmp_path, start):
    (tmp_path / "script.py").write_text(IN_A_POOL)
    path = fakes.put(tmp_path / "a.png", fakes.png(fakes.radiograph(0)))
    done = subprocess.run([sys.executable, tmp_path / "script.py", start, path], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.startswith("(1, ("), done


def test_where_no_process_starts_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(read_apart, "_start", fakes.stillborn)
    read_apart.end()
    with pytest.raises(UsageError, match="no process can be started"):
        read_apart.read(tmp_path / "a.png")
    with pytest.raises(UsageError, match="no process can be started"):
        list(read_apart.each_header(images.path_parts, [tmp_path / "a"], 5.0, 1))
    read_apart.end()
