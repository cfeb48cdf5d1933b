"""A few of the faults of eval/faults.py, in real runs of the command line with the shipped weights; all of them are run by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "eval"))
import faults  # noqa: E402

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux to see which processes are left")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    return faults.Bench(tmp_path_factory.mktemp("faults"), count=3, extra=("--keep", "none", "--fast"))


@pytest.mark.parametrize("moment, workers, whole", [
    pytest.param(0.1, 1, True, marks=pytest.mark.long, id="at the start"), pytest.param(0.45, 1, True, id="in the middle"),
    pytest.param(0.4, 2, False, marks=pytest.mark.long, id="main process alone")])
def test_after_kill_9_out_holds_whole_outputs_only_and_resume_finishes_alike(bench, tmp_path, moment, workers, whole):
    faults.kill(bench, tmp_path / "out", moment, workers, whole=whole)


@pytest.mark.long
def test_a_torn_manifest_is_carried_on_from_and_a_finished_run_does_nothing(bench, tmp_path):
    faults.torn(bench, tmp_path / "out", 0.5)


def test_an_output_that_is_not_the_references_is_seen(bench, tmp_path):
    name = sorted(bench.reference)[0]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_bytes(bench.originals[name])
    with pytest.raises(faults.Broken, match="not the reference's"):
        bench.only_reference(tmp_path / "out")


def test_the_table_tells_what_was_tried_and_what_was_skipped():
    text = faults.table([faults.Fault("one", "a", "b", tried=4, survived=3), faults.Fault("two", "a", "b", skipped="no mounts")])
    assert "| one | a | b | 4 | 3 |" in text and "skipped: no mounts" in text and "3 of 4 survived" in text
