"""Objects go in, verified results come out, everything else stays; whatever happens, every object is in one state."""

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import nodes
import pytest

from markerremover.audit import manifest_files
from markerremover.errors import RefusedError, UsageError, WeightsError
from markerremover.node.engine import Engine
from markerremover.node.incoming import FULL_DISK, FULL_SPOOL, TOO_LARGE, TOO_MANY
from markerremover.node.index import CONFLICT, CONFLICTS, DUPLICATE, NEW
from markerremover.node.records import FolderDestination, Limits, NodeSettings
from markerremover.options import RunOptions
from markerremover.run.batch import remove


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A running node, and its folder."""
    folder = tmp_path_factory.mktemp("node")
    with nodes.running(nodes.settings(folder)) as engine:
        yield engine, folder


def test_what_was_cleaned_is_sent_and_then_deleted_here(node):
    engine, folder = node
    number, kind = engine.accept(nodes.object_file(folder / "in", 1), "test")
    assert kind == NEW
    nodes.settled(engine)
    sent, = (folder / "sent").iterdir()
    assert nodes.white(sent) == 0 and engine.index.get(number).state == "sent"
    nodes.until(lambda: not nodes.sizes(engine.spool.objects) + nodes.sizes(engine.spool.out))
    assert nodes.sizes(engine.spool.audit / "crops") == []


def test_results_have_the_bytes_that_remove_gives(node, tmp_path):
    engine, folder = node
    paths = [nodes.object_file(tmp_path / "in", number) for number in (10, 11)]
    for path in paths:
        engine.accept(path, "test", name=path.name)
    nodes.settled(engine)
    remove([tmp_path / "in"], tmp_path / "out", options=replace(nodes.OPTIONS, key=engine.spool.audit / "key"), open_cleaner=nodes.fakes.cleaner)
    for path in paths:
        assert (folder / "sent" / path.name).read_bytes() == (tmp_path / "out" / path.name).read_bytes()


def test_the_same_object_again_is_recognised_also_after_it_was_sent(node, tmp_path):
    engine, folder = node
    path = nodes.object_file(tmp_path, 20)
    first = engine.accept(path, "test")
    nodes.settled(engine)
    before = nodes.sizes(folder / "sent")
    assert engine.accept(path.read_bytes(), "test") == (first.number, DUPLICATE)
    nodes.settled(engine)
    assert nodes.sizes(folder / "sent") == before and nodes.sizes(engine.spool.folder / "incoming") == []


def test_another_object_with_the_same_uid_is_held_beside_the_first(node, tmp_path):
    engine, _ = node
    engine.accept(nodes.object_file(tmp_path, 30), "test")
    number, kind = engine.accept(nodes.object_file(tmp_path, 30, seed=31), "test")
    assert kind == CONFLICT
    nodes.until(lambda: engine.index.get(number).in_quarantine)
    stored = engine.index.get(number)
    assert (stored.state, stored.reason) == ("held", CONFLICTS) and (engine.spool.objects / stored.relative).is_file()


def test_held_and_failed_objects_are_the_audit_of_a_run(node, tmp_path):
    engine, folder = node
    held = engine.accept(nodes.held_file(tmp_path, 40), "test").number
    cut = nodes.object_file(tmp_path, 41)
    failed = engine.accept(cut.read_bytes()[:-5000], "test").number
    nodes.settled(engine)
    nodes.until(lambda: engine.index.get(held).in_quarantine and engine.index.get(failed).in_quarantine)
    rows = {row["relative"]: row for row in manifest_files.read_manifest(engine.spool.audit / "manifest.jsonl")}
    for number in (held, failed):
        stored = engine.index.get(number)
        assert rows[stored.relative]["status"] == stored.state and rows[stored.relative]["reason"] == stored.reason
        assert not (engine.spool.out / stored.relative).exists()
    assert {engine.index.get(held).state, engine.index.get(failed).state} <= {"held", "failed"}


def test_a_file_that_is_no_dicom_goes_through_with_its_name(node, tmp_path):
    engine, folder = node
    engine.accept(nodes.fakes.png(nodes.fakes.radiograph(5)), "watch", name="ward/five.png")
    nodes.settled(engine)
    assert (folder / "sent" / "ward" / "five.png").is_file()


@pytest.mark.parametrize("name", ["../x.dcm", "/x.dcm", "a/../../x.dcm"])
def test_a_name_cannot_lead_out_of_the_folder(node, name):
    with pytest.raises(UsageError, match="below its folder"):
        node[0].accept(b"x", "watch", name=name)


def test_a_second_node_cannot_use_the_spool(node):
    with pytest.raises(UsageError, match="another node"):
        Engine(node[0].settings).start()


def test_counts_reconcile_and_no_identifier_is_logged(node, caplog, tmp_path):
    engine, _ = node
    caplog.set_level("DEBUG")
    engine.accept(nodes.object_file(tmp_path, 50), "test")
    nodes.settled(engine)
    nodes.until(lambda: "sent to folder" in caplog.text)
    for secret in ("SMITH", "QZ-400-17", "1.2.826"):
        assert secret not in caplog.text


# Limits

@pytest.mark.parametrize(("limits", "reason"), [
    ({"object_bytes": 100}, TOO_LARGE), ({"spool_bytes": 100}, FULL_SPOOL), ({"free_bytes": 1 << 60}, FULL_DISK), ({"per_minute": 1}, TOO_MANY)])
def test_over_a_limit_an_object_is_refused_and_nothing_is_left_of_it(tmp_path, limits, reason):
    with nodes.running(replace(nodes.settings(tmp_path, limits=replace(nodes.LIMITS, **limits)), listening=None)) as engine:
        if reason == TOO_MANY:
            engine.accept(nodes.object_file(tmp_path / "in", 1), "test")
            nodes.settled(engine)
        with pytest.raises(RefusedError, match=reason):
            engine.accept(nodes.object_file(tmp_path / "in", 2), "test")
        assert nodes.sizes(engine.spool.folder / "incoming") == [] and engine.counts().received == 0


# What ends and goes on

def test_after_the_process_ended_anywhere_the_next_start_goes_on(tmp_path):
    """The states that a kill leaves: an incomplete object, one without a row, one in work, a result without a record."""
    settings = replace(nodes.settings(tmp_path), listening=None)
    blocked = Engine(settings, open_cleaner=nodes.fakes.cleaner)
    blocked._begin_cleaning = lambda *_: None  # nothing is cleaned
    blocked.start()
    for number in range(4):
        blocked.accept(nodes.object_file(tmp_path / "in", number), "test")
    taken = blocked.index.take()
    (blocked.spool.out / taken.relative).parent.mkdir(parents=True)
    (blocked.spool.out / taken.relative).write_bytes(b"half a result")
    (blocked.spool.folder / "incoming" / "half").write_bytes(b"half")
    (blocked.spool.objects / "ZZ").mkdir(exist_ok=True)
    (blocked.spool.objects / "ZZ" / "unknown.dcm").write_bytes(b"never acknowledged")
    blocked.stop()
    with nodes.running(settings) as engine:
        counts = nodes.settled(engine)
        assert (counts.sent, counts.accepted) == (4, 4)
    assert len(nodes.sizes(tmp_path / "sent")) == 4
    assert nodes.sizes(tmp_path / "spool" / "objects") == [] and nodes.sizes(tmp_path / "spool" / "incoming") == []


def test_a_result_that_changed_after_its_check_is_not_sent_but_made_again(tmp_path):
    settings = replace(nodes.settings(tmp_path), listening=None)
    shutil.rmtree(tmp_path / "sent")
    (tmp_path / "sent").mkdir()
    engine = Engine(settings, open_cleaner=nodes.fakes.cleaner)
    engine.start()
    for sender in engine._senders:
        sender.stop()
    number = engine.accept(path := nodes.object_file(tmp_path / "in", 1), "test").number
    nodes.until(lambda: engine.counts().waiting == 1)
    result = engine.spool.out / engine.index.get(number).relative
    engine.stop()
    result.write_bytes(path.read_bytes())  # the original itself
    with nodes.running(settings) as engine:
        nodes.settled(engine)
        assert any("not the one that was verified" in problem.text for problem in engine.index.recent_errors())
    sent, = (tmp_path / "sent").iterdir()
    assert nodes.white(sent) == 0


def test_a_destination_that_is_down_gets_everything_once_it_is_up_again(tmp_path):
    settings = replace(nodes.settings(tmp_path), listening=None)
    with nodes.running(settings) as engine:
        (tmp_path / "sent").rename(tmp_path / "away")
        for number in range(3):
            engine.accept(nodes.object_file(tmp_path / "in", number), "test")
        nodes.until(lambda: engine.index.destinations()[0].last_error if engine.index.destinations() else "")
        counts = nodes.until(lambda: (c := engine.counts()).waiting == 3 and c)
        assert counts.reconciles and counts.sent == 0
    (tmp_path / "away").rename(tmp_path / "sent")
    with nodes.running(settings) as engine:
        assert nodes.settled(engine).sent == 3
    assert len(nodes.sizes(tmp_path / "sent")) == 3


def test_a_file_that_is_there_under_the_name_is_not_overwritten(tmp_path):
    settings = replace(nodes.settings(tmp_path), listening=None)
    (tmp_path / "sent" / "one.dcm").write_bytes(b"another file")
    with nodes.running(settings) as engine:
        engine.accept(nodes.object_file(tmp_path / "in", 1), "watch", name="one.dcm")
        nodes.until(lambda: any(state.last_error for state in engine.index.destinations()))
        assert engine.counts().waiting == 1
    assert (tmp_path / "sent" / "one.dcm").read_bytes() == b"another file"


def test_each_destination_gets_each_result_once(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    both = (FolderDestination("a", tmp_path / "a"), FolderDestination("b", tmp_path / "b"))
    with nodes.running(replace(nodes.settings(tmp_path, *both), listening=None)) as engine:
        engine.accept(nodes.object_file(tmp_path / "in", 1), "test")
        assert nodes.settled(engine).sent == 1
        assert [(s.name, s.sent) for s in engine.index.destinations()] == [("a", 1), ("b", 1)]
    assert nodes.sizes(tmp_path / "a") == nodes.sizes(tmp_path / "b") != []


def test_without_usable_weights_the_node_ends_and_keeps_what_it_has(tmp_path):
    def broken(threads):
        raise WeightsError("the weights are damaged")

    engine = Engine(replace(nodes.settings(tmp_path), listening=None), open_cleaner=broken)
    with pytest.raises(WeightsError, match="damaged"):
        engine.run()


@pytest.mark.parametrize("options", [{"release_held": True}, {"dry_run": True}, {"boxes": Path("x")}, {"engine": "ray"}])
def test_a_node_has_no_option_that_lets_out_what_was_not_verified(tmp_path, options):
    with pytest.raises(UsageError):
        NodeSettings(tmp_path / "s", (FolderDestination("f", tmp_path / "f"),), RunOptions(**options))


def test_limits_and_destinations_are_checked(tmp_path):
    with pytest.raises(UsageError, match="at least one destination"):
        NodeSettings(tmp_path, ())
    with pytest.raises(UsageError, match="named twice"):
        NodeSettings(tmp_path / "s", (FolderDestination("f", tmp_path / "f"), FolderDestination("f", tmp_path / "f")))
    with pytest.raises(UsageError, match="object_bytes"):
        Limits(object_bytes=0)




def test_whatever_a_destination_raises_the_others_and_the_next_attempt_go_on(tmp_path, monkeypatch):
    from markerremover.node.destinations.folder import FolderPeer

    tries, original = [], FolderPeer._put

    def put(self, parcel, path):
        tries.append(parcel)
        if len(tries) == 1:
            raise RuntimeError("a name: SMITH")
        return original(self, parcel, path)

    monkeypatch.setattr(FolderPeer, "_put", put)
    with nodes.running(replace(nodes.settings(tmp_path), listening=None)) as engine:
        engine.accept(nodes.object_file(tmp_path / "in", 1), "test")
        assert nodes.settled(engine).sent == 1
        text, = [problem.text for problem in engine.index.recent_errors()]
    assert text.startswith("unexpected RuntimeError at test_engine.py") and "SMITH" not in text


def test_a_worker_that_breaks_ends_the_node_and_the_next_start_cleans_the_object(tmp_path, monkeypatch):
    settings = replace(nodes.settings(tmp_path), listening=None)
    engine = Engine(settings, open_cleaner=nodes.fakes.cleaner)
    with monkeypatch.context() as patch:
        patch.setattr("markerremover.node.cleaning.Cleaners._record", lambda *_: 1 / 0)
        engine.start()
        engine.accept(nodes.object_file(tmp_path / "in", 1), "test")
        engine.wait_end()
        engine.stop()
    assert "ZeroDivisionError" in str(engine.error) and engine.counts().reconciles
    with nodes.running(settings) as engine:
        assert nodes.settled(engine).sent == 1


def test_while_the_disk_is_full_an_object_goes_back_and_is_cleaned_once_there_is_room(tmp_path, monkeypatch):
    """Neither its pictures nor the index can be written when it is cleaned."""
    from markerremover.node.index import Index
    from markerremover.run import workers

    full, monkeypatches = [True] * 3, monkeypatch.setattr
    attempt, note, give_back = workers.attempt, Index.note, Index.give_back

    def tried(job, place, cleaner):
        outcome = attempt(job, place, cleaner)
        return replace(outcome, status="failed", reason="OSError: No space left on device", sha256_out="") if full else outcome

    def no_room(method):
        def run(self, *values):
            if full:
                full.pop()
                raise sqlite3.OperationalError("database or disk is full")
            return method(self, *values)
        return run

    monkeypatches("markerremover.node.cleaning.FULL_S", 0.05)
    monkeypatches(workers, "attempt", tried)
    monkeypatches(Index, "note", no_room(note))
    monkeypatches(Index, "give_back", no_room(give_back))
    with nodes.running(replace(nodes.settings(tmp_path), listening=None)) as engine:
        engine.accept(nodes.object_file(tmp_path / "in", 1), "test")
        assert nodes.settled(engine).sent == 1 and not full


@pytest.mark.parametrize(("spool", "out"), [("out/spool", "out"), ("spool", "spool/out"), ("one", "one"), ("link/spool", "out")])
def test_originals_never_lie_below_an_output_folder_nor_results_among_originals(tmp_path, spool, out):
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with pytest.raises(UsageError, match="may not be the same or nested"):
        NodeSettings(tmp_path / spool, (FolderDestination("f", tmp_path / out),))
