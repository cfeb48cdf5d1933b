"""Fixtures shared by the tests; the fakes they use are plain callables in fakes.py."""

from __future__ import annotations

import os
from importlib import util
from pathlib import Path

import fakes
import hypothesis
import pytest

from markerremover.audit import manifest_files
from markerremover.run import batch
from markerremover.system import telemetry

os.environ.update(telemetry.ENVIRONMENT)  # also of tests that import such a library themselves
# Before torch is loaded. Its threads would wait for each other in loops: a training beside another busy process took 26 times the processor time.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
telemetry.import_openvino() if util.find_spec("openvino") else None

# The suite tries the same examples every time: a red run must be somebody's change. Searching for new ones is eval/'s job.
hypothesis.settings.register_profile("suite", derandomize=True, deadline=None)
hypothesis.settings.load_profile("suite")


#: The files of tests that take longest, the longest first, so that no process is left with one of them alone at the end.
SLOW = ("test_docs", "test_finetune", "test_ray_engine", "test_end_to_end", "test_improve", "test_forks", "test_faults", "test_export", "test_benchmark",
    "test_train_localizer", "test_workers", "test_review_browser", "test_inference_server", "test_audit_browser", "test_synthesis", "test_backends",
    "test_fuzz", "test_train_strokes")


def pytest_collection_modifyitems(items):
    """Files of SLOW first, the others as they were."""
    rank = {name: number for number, name in enumerate(SLOW)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(SLOW)))


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A folder of four marked radiographs."""
    return fakes.tree(tmp_path / "in")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where results go; not made yet. The audit is beside it."""
    return tmp_path / "out"


@pytest.fixture
def clean(inputs: Path, out: Path):
    """Run on `inputs` with the fake localizer; returns (summary, rows by relative path)."""

    def run(options=fakes.NO_KEEP, sources=None, open_cleaner=fakes.cleaner):
        summary = batch.remove(sources or [inputs], out, options=options, open_cleaner=open_cleaner)
        rows = manifest_files.read_manifest(Path(summary["audit"]) / manifest_files.MANIFEST)
        return summary, {row["relative"]: row for row in rows}

    return run


@pytest.fixture
def fake_weights(monkeypatch):
    """The command line with the fake localizer in place of the shipped weights."""

    def open_cleaner(policy, *, weights=None, device="auto", threads=None, second=False, effort="default"):
        return fakes.Cleaner(fakes.find_white, fakes.SilentReader() if policy.keep else None, policy)

    monkeypatch.setattr(batch, "open_cleaner", open_cleaner)
    monkeypatch.setattr("markerremover.cli.remove.TIME_LIMIT", 0.0)  # a process apart would have the shipped ones
