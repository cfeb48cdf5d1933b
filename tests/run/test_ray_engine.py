"""The Ray engine gives what the local one gives; what a cluster loses on the way is eval/ray_cluster.py's job."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import fakes
import pytest

from markerremover.audit import manifest_files
from markerremover.cli import main
from markerremover.errors import UsageError
from markerremover.formats import read_apart
from markerremover.inference.shipped_weights import default_weights
from markerremover.options import RunOptions
from markerremover.records import Outcome, Policy
from markerremover.run import batch, ray_engine
from markerremover.synthesis import synthesize
from markerremover.system.files import write_private

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


@pytest.fixture(autouse=True)
def no_process_of_other_tests():
    """Ends the one that reads files, which lives as long as this process."""
    read_apart.end()


@pytest.fixture(scope="module")
def ray_starts():
    """Skips where Ray is not installed, or cannot start at all: no shared memory, no loopback, a processor it was not built for."""
    pytest.importorskip("ray.data", reason="needs the extra ray")
    start = "import ray; ray.init(address='local', num_cpus=1, object_store_memory=80 << 20, include_dashboard=False); " \
        "print(ray.get(ray.remote(lambda: 1).remote()))"
    try:
        run = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, timeout=1800)
    except subprocess.TimeoutExpired:
        pytest.skip("Ray does not start here within four minutes")
    if run.returncode or run.stdout.split()[-1:] != ["1"]:
        pytest.skip(f"Ray does not start here: {(run.stderr.strip().splitlines() or ['no word'])[-1][:200]}")


def rows_of(out):
    rows = manifest_files.read_manifest(out.with_name(out.name + "-audit") / manifest_files.MANIFEST)
    return sorted(({k: v for k, v in row.items() if k != "timings_ms"} for row in rows), key=lambda row: row["relative"])


@pytest.fixture
def both(ray_starts, tmp_path, monkeypatch):
    """(source, options of the local engine, counts of both) of a run by each engine, into local/ and ray/: one actor, one process."""
    here = Path(__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(here), str(here.parent)]))  # for Ray's processes
    source = fakes.tree(tmp_path / "in", 3)
    fakes.put(source / "b" / "cut \u00e9.png", fakes.png(fakes.radiograph(3))[:100])
    write_private(tmp_path / "key", "0f" * 32)
    local = replace(fakes.NO_KEEP, key=tmp_path / "key")
    ends = [batch.remove([source], tmp_path / name, options=options, open_cleaner=fakes.cleaner)["counts"]
            for name, options in (("local", local), ("ray", replace(local, engine="ray")))]
    return source, local, ends


@pytest.mark.long
def test_the_ray_engine_gives_the_files_and_rows_of_the_local_one_which_goes_on_from_them(both, tmp_path):
    source, local, ends = both
    assert ends[0] == ends[1] == {"inputs": 4, "cleaned": 3, "unchanged": 0, "held": 0, "failed": 1}
    assert fakes.files(tmp_path / "ray") == fakes.files(tmp_path / "local") and len(fakes.files(tmp_path / "ray")) == 3
    assert rows_of(tmp_path / "ray") == rows_of(tmp_path / "local")
    again = batch.remove([source], tmp_path / "ray", options=replace(local, resume=True), open_cleaner=fakes.cleaner)
    assert again["resumed"] == 3 and rows_of(tmp_path / "ray") == rows_of(tmp_path / "local")


@pytest.mark.long
def test_the_ray_engine_goes_on_from_a_run_of_the_local_one(both, tmp_path):
    source, local, ends = both
    gone = sorted(path for path in (tmp_path / "local").rglob("*") if path.is_file())[:2]
    for path in gone:
        path.unlink()
    other = batch.remove([source], tmp_path / "local", options=replace(local, engine="ray", resume=True), open_cleaner=fakes.cleaner)
    assert other["resumed"] == 1 and other["counts"] == ends[0]
    assert fakes.files(tmp_path / "ray") == fakes.files(tmp_path / "local")


@pytest.mark.long
def test_a_network_that_is_an_actor_of_its_own_gives_the_files_of_the_local_engine(ray_starts, tmp_path):
    """What runs on GPUs, with the shipped weights on the CPU: who cleans asks the network's actor of its machine."""
    synthesize(tmp_path / "made", 3, 5, split="eval", formats=("png",), size=(384, 384))
    write_private(tmp_path / "key", "0f" * 32)
    options = RunOptions(policy=Policy(keep=()), key=tmp_path / "key")
    for name, more in (("local", {}), ("ray", {"engine": "ray", "batch": 2, "workers": 2})):
        summary = batch.remove([tmp_path / "made" / "images"], tmp_path / name, options=replace(options, **more))
        assert summary["counts"]["cleaned"] + summary["counts"]["unchanged"] == 3
    assert fakes.files(tmp_path / "ray") == fakes.files(tmp_path / "local")
    assert summary["backend"].endswith("in a process of its own, 2 pictures at once") and not multiprocessing.active_children()
    with pytest.raises(UsageError, match="SHA-256"):
        broken = fakes.put(tmp_path / "w.onnx", b"none")
        fakes.put(tmp_path / "w.json", default_weights().with_suffix(".json").read_bytes())
        batch.remove([tmp_path / "made" / "images"], tmp_path / "no", options=replace(options, engine="ray", batch=2, weights=broken))
    assert not (tmp_path / "no").exists()


@pytest.mark.long
def test_a_node_that_is_killed_in_the_middle_costs_no_file_and_none_is_done_twice(ray_starts, tmp_path):
    """Two nodes on loopback, the shipped weights; see eval/ray_cluster.py, of which this is the small one."""
    root = Path(__file__).parents[2]
    command = [sys.executable, str(root / "eval" / "ray_cluster.py"), "--count", "8", "--trials", "second node killed", "-o", str(tmp_path / "said")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=1800, env={**os.environ, "PYTHONPATH": str(root)})
    assert run.returncode == 0, run.stdout + run.stderr
    [trial] = json.loads((tmp_path / "said").read_text())["trials"]
    assert trial["killed_at"] >= 2 and trial["rows"] == 8 and trial["once"] and trial["same_files"] and trial["same_rows"] and trial["held"]


def test_an_output_that_reads_back_otherwise_is_failed(tmp_path):
    out = tmp_path / "out"
    good = fakes.put(out / "a.png", b"x")
    outcome = Outcome("a.png", "cleaned", sha256_out=ray_engine.sha256_file(good))
    assert ray_engine._confirmed_one(outcome, out, False) is outcome
    good.write_bytes(b"y")
    assert ray_engine._confirmed_one(outcome, out, False) == Outcome("a.png", "failed", ray_engine.UNCONFIRMED)
    good.unlink()
    assert ray_engine._confirmed_one(outcome, out, False).status == "failed" and ray_engine._confirmed_one(outcome, out, True) is outcome


def test_a_cluster_that_is_too_small_is_refused():
    with pytest.raises(UsageError, match="1 CPUs, fewer than the 2"):
        ray_engine._check_resources({"CPU": 1.0}, RunOptions(engine="ray", workers=2))
    with pytest.raises(UsageError, match="0 GPUs, too few for a network"):
        ray_engine._check_resources({"CPU": 4.0}, RunOptions(engine="ray", workers=2, device="cuda"))
    with pytest.raises(UsageError, match="0.25 GPUs, too few for 2 workers at 0.25 each"):
        ray_engine._check_resources({"CPU": 4.0, "GPU": 0.25}, RunOptions(engine="ray", workers=2, device="cuda", batch=1))
    ray_engine._check_resources({"CPU": 4.0, "GPU": 1.0}, RunOptions(engine="ray", workers=4, device="cuda"))


def test_a_machine_with_other_weights_or_another_version_takes_no_part():
    with pytest.raises(UsageError, match="other weights"):
        ray_engine._same_weights(fakes.cleaner, "ab" * 32, 1)
    with pytest.raises(UsageError, match="version"):
        ray_engine._Actor(None, fakes.cleaner, "ab" * 32, None, "0.0.0")


def test_without_ray_the_engine_says_what_it_needs(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    fakes.tree(tmp_path / "in", 1)
    with pytest.raises(UsageError, match=r"markerremover\[ray\]"):
        batch.remove([tmp_path / "in"], tmp_path / "out", options=replace(fakes.NO_KEEP, engine="ray"), open_cleaner=fakes.cleaner)


def test_an_address_goes_with_the_engine_only(tmp_path):
    fakes.tree(tmp_path / "in", 1)
    assert main.main(["remove", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--ray-address", "auto"]) == 2
