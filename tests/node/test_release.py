"""Held objects are reviewed and corrected by the commands for any run; what `apply` wrote goes to the destinations."""

from dataclasses import replace

import fakes
import nodes
import pydicom
import pytest

from markerremover.audit import manifest_files
from markerremover.node.quarantine import APPLY_LOCK
from markerremover.review.apply import apply
from markerremover.review.session import Session
from markerremover.system import locks


@pytest.fixture
def node(tmp_path):
    """A node whose localizer is blind, so that what shows in the result holds it back; and its folder."""
    with nodes.running(replace(nodes.settings(tmp_path), listening=None), open_cleaner=restless_cleaner) as engine:
        yield engine, tmp_path


def restless_cleaner(threads: int = 1):
    """A cleaner that finds something wherever it looks, so that every object is held."""
    return fakes.cleaner(threads, detector=fakes.restless())


def held(engine, folder, number=1):
    number = engine.accept(nodes.object_file(folder / "in", number), "test").number
    nodes.until(lambda: engine.index.get(number).in_quarantine)
    return engine.index.get(number)


def release(audit, relative):
    """What a reviewer does: look, and release."""
    session = Session(audit, "Ann")
    try:
        number = session.order.index(relative)
        row = session.row(number)
        session.looked(row)
        session.decide(number, {"event": "release", "seen": [row["sha256_in"], row["sha256_out"]]})
    finally:
        session.close()


def test_a_released_object_is_sent_and_stays_in_the_quarantine(node):
    engine, folder = node
    stored = held(engine, folder)
    assert stored.state == "held" and nodes.sizes(folder / "sent") == []
    nodes.until(lambda: manifest_files.read_summary(engine.spool.audit))
    release(engine.spool.audit, stored.relative)
    assert apply(engine.spool.audit, open_cleaner=restless_cleaner)["redone"] == 1
    nodes.until(lambda: engine.index.get(stored.number).state == "sent")
    sent, = (folder / "sent").iterdir()
    assert pydicom.dcmread(sent).PatientName != "SMITH^JOHN"
    assert engine.counts().reconciles and (engine.spool.objects / stored.relative).is_file()
    assert manifest_files.read_manifest(engine.spool.audit / "manifest.jsonl")[0]["status"] == "cleaned"


def test_while_apply_is_running_the_manifest_is_left_alone(node):
    engine, folder = node
    held(engine, folder)
    with locks.held(engine.spool.audit / "review" / APPLY_LOCK, "busy", wait_s=5):
        before = (engine.spool.audit / "manifest.jsonl").read_bytes()
        number = engine.accept(nodes.object_file(folder / "in", 2), "test").number
        nodes.until(lambda: engine.counts().held == 2)
        assert (engine.spool.audit / "manifest.jsonl").read_bytes() == before
    nodes.until(lambda: engine.index.get(number).in_quarantine)


def test_a_result_that_a_person_took_back_is_no_longer_due(node):
    engine, folder = node
    stored = held(engine, folder)
    engine.spool.out.joinpath(stored.relative).parent.mkdir(exist_ok=True)
    engine.spool.out.joinpath(stored.relative).write_bytes(b"released")
    for sender in engine._senders:
        sender.stop()
    rows = manifest_files.read_manifest(engine.spool.audit / "manifest.jsonl")
    digest = manifest_files.files.sha256_file(engine.spool.out / stored.relative)
    manifest_files.write_rows(engine.spool.audit / "manifest.jsonl", [rows[0] | {"status": "cleaned", "sha256_out": digest}])
    nodes.until(lambda: engine.counts().waiting == 1)
    manifest_files.write_rows(engine.spool.audit / "manifest.jsonl", [rows[0] | {"reason": "a person found an annotation"}])
    nodes.until(lambda: engine.counts().held == 1)
    assert engine.index.due("folder") == [] and engine.counts().reconciles


def test_a_row_whose_result_is_missing_releases_nothing(node):
    engine, folder = node
    stored = held(engine, folder)
    rows = manifest_files.read_manifest(engine.spool.audit / "manifest.jsonl")
    manifest_files.write_rows(engine.spool.audit / "manifest.jsonl", [rows[0] | {"status": "cleaned", "sha256_out": "0" * 64}])
    held(engine, folder, 2)
    assert engine.index.get(stored.number).state == "held"
