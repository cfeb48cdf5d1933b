"""Fixtures shared by the tests; the fakes they use are plain callables in fakes.py."""

from __future__ import annotations

import os
from importlib import util
from pathlib import Path

import hypothesis
import pytest

import fakes
from markerremover import batch, report, unconnected

os.environ.update(unconnected.ENVIRONMENT)  # also of tests that import such a library themselves
unconnected.import_openvino() if util.find_spec("openvino") else None

# The suite tries the same examples every time: a red run must be somebody's change. Searching for new ones is eval/'s job.
hypothesis.settings.register_profile("suite", derandomize=True, deadline=None)
hypothesis.settings.load_profile("suite")


#: The files of tests that take longest: early, so that no process is left with one of them alone at the end.
SLOW = ("test_scale", "test_docs", "test_end_to_end", "test_workers", "test_faults", "test_review_browser")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """Where the suite runs in several processes: all that train in one, since torch takes half a minute to load; first they, then SLOW,
    then the others, a file of them in one process."""
    rank = {name: number for number, name in enumerate(SLOW)}
    for item in items:
        group = "train" if item.get_closest_marker("train") else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: -1 if item.get_closest_marker("train") else rank.get(item.path.stem, len(SLOW)))


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
        rows = report.read_manifest(Path(summary["audit"]) / report.MANIFEST)
        return summary, {row["relative"]: row for row in rows}

    return run


@pytest.fixture
def fake_weights(monkeypatch):
    """The command line with the fake localizer in place of the shipped weights."""

    def open_cleaner(policy, *, weights=None, device="auto", threads=None, second=False):
        return fakes.Cleaner(fakes.find_white, fakes.SilentReader() if policy.keep else None, policy)

    monkeypatch.setattr(batch, "open_cleaner", open_cleaner)
    monkeypatch.setattr("markerremover.cli.TIME_LIMIT", 0.0)  # a process apart would have the shipped ones
