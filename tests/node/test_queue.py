"""What an operator asks of the objects in a spool: each object stays in one state, and nothing leaves that was not cleaned, verified and asked for."""

import sqlite3
import threading
from dataclasses import replace

import fakes
import nodes
import pytest
from pynetdicom import AE

from markerremover.audit import manifest_files
from markerremover.errors import UsageError
from markerremover.node import queue as queue_module
from markerremover.node.destinations.folder import FolderPeer
from markerremover.node.index import Index
from markerremover.node.quarantine import APPLY_LOCK, DECIDED
from markerremover.node.queue import CONFLICTING, NO_ORIGINAL, NO_RESULT, NONE, PURGED, Queue
from markerremover.node.records import DicomDestination, FolderDestination
from markerremover.review.apply import apply
from markerremover.review.session import Session
from markerremover.system import locks


class Localizer:
    """Finds something wherever it looks, so that every object is held, until it is mended."""

    sha256 = ""

    def __init__(self, mended=False):
        self.mended, self._restless = mended, fakes.restless()

    def __call__(self, frame, threshold=None):
        return fakes.find_white(frame) if self.mended else self._restless(frame)

    def cleaner(self, threads=1):
        return fakes.cleaner(threads, detector=self)


def settings_of(folder, *names, **changes):
    """Settings with a folder as each destination, without DICOM services."""
    for name in names or ("sent",):
        (folder / name).mkdir(parents=True, exist_ok=True)
    to = tuple(FolderDestination(name, folder / name) for name in names or ("sent",))
    return replace(nodes.settings(folder, *to), listening=None, **changes)


def held(engine, folder, *numbers):
    """Accept objects that are held; the numbers in the index, once all are in the quarantine."""
    found = [engine.accept(nodes.object_file(folder / "in", number), "test").number for number in numbers]
    nodes.until(lambda: all(engine.index.get(number).in_quarantine for number in found))
    return found


def rows_of(engine):
    return manifest_files.read_manifest(engine.spool.audit / "manifest.jsonl")


def ask(folder):
    return Queue(folder / "spool")


def waiting(folder, *numbers):
    """An ended node whose objects wait for the folders a and b, of which both are away; the settings and the numbers."""
    settings = settings_of(folder, "a", "b")
    with nodes.running(settings) as engine:
        for name in ("a", "b"):
            (folder / name).rename(folder / f"{name}-away")
        found = [engine.accept(nodes.object_file(folder / "in", number), "test").number for number in numbers]
        nodes.until(lambda: engine.counts().waiting == len(found) and {one.destination for one in queue_module.undelivered(engine.index)} == {"a", "b"})
    return settings, found


def sent_to(engine, name):
    """Number of deliveries that a destination has taken."""
    return sum(state.sent for state in engine.index.destinations() if state.name == name)


def back(folder, *names):
    for name in names:
        (folder / f"{name}-away").rename(folder / name)


# Clean again

def test_what_is_cleaned_again_while_the_node_runs_leaves_the_quarantine_and_is_sent_once(tmp_path):
    localizer = Localizer()
    with nodes.running(settings_of(tmp_path), localizer.cleaner) as engine:
        first, second = held(engine, tmp_path, 1, 2)
        assert len(rows_of(engine)) == 2 and nodes.sizes(engine.spool.audit / "crops")
        localizer.mended = True
        with ask(tmp_path) as queue:
            assert queue.clean_again([first]) == ((first,), ())
        nodes.until(lambda: engine.index.get(first).state == "sent")
        assert [row["relative"] for row in rows_of(engine)] == [engine.index.get(second).relative]
        sent, = (tmp_path / "sent").iterdir()
        assert nodes.white(sent) == 0 and not engine.index.get(first).in_quarantine
        nodes.until(lambda: len(nodes.sizes(engine.spool.objects)) == 1 and not nodes.sizes(engine.spool.out))
        assert engine.counts().reconciles and engine.counts().held == 1


def test_what_is_cleaned_again_of_a_stopped_node_is_done_at_its_next_start(tmp_path):
    with nodes.running(settings_of(tmp_path), Localizer().cleaner) as engine:
        numbers = held(engine, tmp_path, 1, 2)
    with ask(tmp_path) as queue:
        assert queue.clean_again("all-held").done == tuple(numbers)
        assert queue.clean_again("all-held") == queue.clean_again("all-failed") == ((), ())
        assert queue.index.counts().received == 2 and queue.index.counts().reconciles
    with nodes.running(settings_of(tmp_path)) as engine:
        assert nodes.settled(engine).sent == 2
        nodes.until(lambda: not rows_of(engine) and not nodes.sizes(engine.spool.objects))
        assert nodes.sizes(engine.spool.audit / "crops") == []
        nodes.until(lambda: manifest_files.read_summary(engine.spool.audit)["counts"]["inputs"] == 0)
    assert len(nodes.sizes(tmp_path / "sent")) == 2


def test_what_is_held_again_stays_in_the_quarantine_with_its_new_row(tmp_path):
    localizer = Localizer()
    with nodes.running(settings_of(tmp_path), localizer.cleaner) as engine:
        number, = held(engine, tmp_path, 1)
        before, = rows_of(engine)
        with engine.index.changing() as run:  # as of other weights
            run("UPDATE objects SET reason = 'of before' WHERE number = ?", (number,))
        manifest_files.write_rows(engine.spool.audit / "manifest.jsonl", [before | {"reason": "of before"}])
        with ask(tmp_path) as queue:
            queue.clean_again([number])
        row = nodes.until(lambda: next((row for row in rows_of(engine) if row["reason"] != "of before"), None))
        nodes.until(lambda: engine.index.new_in_quarantine() == [])
        stored = engine.index.get(number)
        assert (stored.state, row["status"], row["reason"]) == ("held", "held", stored.reason) and len(rows_of(engine)) == 1
        assert nodes.sizes(tmp_path / "sent") == nodes.sizes(engine.spool.out) == []


def test_an_object_that_was_begun_too_often_gets_new_attempts(tmp_path):
    with nodes.running(settings_of(tmp_path)) as engine:
        engine.index.note("test", "opened")
    index = Index(tmp_path / "spool")
    (tmp_path / "spool" / "objects" / "x.dcm").write_bytes(nodes.object_file(tmp_path / "in", 1).read_bytes())
    number, _ = index.add("x.dcm", "1.2", "a", 9, "test")
    for _ in range(6):
        index.take()
        index.begin_again([number])
    index.close()
    with nodes.running(settings_of(tmp_path)) as engine:
        nodes.until(lambda: engine.index.get(number).state == "failed")
        with ask(tmp_path) as queue:
            assert queue.clean_again("all-failed").done == (number,)
        nodes.until(lambda: engine.index.get(number).state == "sent")


def test_a_conflicting_object_is_cleaned_again_only_with_the_extra_word_and_so_it_stays(tmp_path):
    with nodes.running(settings_of(tmp_path)) as engine:
        first = engine.accept(nodes.object_file(tmp_path / "in", 1), "test").number
        nodes.settled(engine)
        second = engine.accept(nodes.object_file(tmp_path / "in", 1, seed=2), "test").number
        nodes.until(lambda: engine.index.get(second).in_quarantine)
        with ask(tmp_path) as queue:
            assert queue.clean_again("all-held").left == queue.clean_again([second]).left == ((second, CONFLICTING),)
            with queue.index.changing() as run:  # held for something else by now
                run("UPDATE objects SET reason = 'still readable' WHERE number = ?", (second,))
            assert queue.clean_again([second]).left == ((second, CONFLICTING),)
            assert queue.clean_again([second], also_conflicting=True).done == (second,)
        nodes.until(lambda: engine.counts().waiting == 1)  # the folder has a file of that name, which is not overwritten
        assert engine.index.get(first).state == "sent" and engine.counts().reconciles


def test_what_cannot_be_cleaned_again_is_left_with_the_reason(tmp_path):
    with nodes.running(settings_of(tmp_path), Localizer().cleaner) as engine:
        number, = held(engine, tmp_path, 1)
    (tmp_path / "spool" / "objects" / engine_relative(tmp_path, number)).unlink()
    with ask(tmp_path) as queue:
        assert queue.clean_again([number, 99]).left == ((number, NO_ORIGINAL), (99, NONE))
        assert queue.index.get(number).state == "held"
    settings, (waits,) = waiting(tmp_path / "other", 1)
    with ask(tmp_path / "other") as queue:
        (_, why), = queue.clean_again([waits]).left
        assert why.startswith("it is waiting")


def engine_relative(folder, number):
    index = Index(folder / "spool", read_only=True)
    try:
        return index.get(number).relative
    finally:
        index.close()


def test_what_a_person_marked_is_held_again_and_apply_carries_it_out(tmp_path):
    localizer = Localizer()
    with nodes.running(settings_of(tmp_path), localizer.cleaner) as engine:
        number, = held(engine, tmp_path, 1)
        relative = engine.index.get(number).relative
        nodes.until(lambda: manifest_files.read_summary(engine.spool.audit))
        session = Session(engine.spool.audit, "Ann")
        row = session.row(0)
        session.looked(row)
        session.decide(0, {"event": "draw", "frame": 0, "xyxy": [5, 5, 20, 20], "kind": "marker", "seen": [row["sha256_in"], row["sha256_out"]]})
        session.close()
        localizer.mended = True
        with ask(tmp_path) as queue:
            assert queue.clean_again([number]).done == (number,)
        nodes.until(lambda: engine.index.get(number).reason == DECIDED)
        nodes.until(lambda: [row["reason"] for row in rows_of(engine)] == [DECIDED])
        assert nodes.sizes(tmp_path / "sent") == [] and not (engine.spool.out / relative).exists()
        assert apply(engine.spool.audit, open_cleaner=localizer.cleaner)["redone"] == 1
        nodes.until(lambda: engine.index.get(number).state == "sent")
        sent, = (tmp_path / "sent").iterdir()
        assert not nodes.pydicom.dcmread(sent).pixel_array[5:20, 5:20].any() and engine.counts().reconciles


def test_what_apply_has_just_released_is_left_to_the_node(tmp_path):
    localizer = Localizer()
    with nodes.running(settings_of(tmp_path), localizer.cleaner) as engine:
        number, = held(engine, tmp_path, 1)
        relative = engine.index.get(number).relative
    result = tmp_path / "spool" / "out" / relative
    result.parent.mkdir(exist_ok=True)
    result.write_bytes(b"released")
    rows = rows_of(engine)
    digest = manifest_files.files.sha256_file(result)
    manifest_files.write_rows(engine.spool.audit / "manifest.jsonl", [rows[0] | {"status": "cleaned", "sha256_out": digest}])
    with ask(tmp_path) as queue:
        assert queue.clean_again([number]).left == ((number, queue_module.PASSED_ON),)
        result.unlink()  # then nothing will be passed on
        assert queue.clean_again([number]).done == (number,)


def test_while_apply_is_at_work_nothing_is_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(queue_module, "WAIT_S", 0.1)
    with nodes.running(settings_of(tmp_path), Localizer().cleaner) as engine:
        number, = held(engine, tmp_path, 1)
        with locks.held(engine.spool.audit / "review" / APPLY_LOCK, "busy", wait_s=5), ask(tmp_path) as queue:
            for request in (lambda: queue.clean_again([number]), lambda: queue.send_again([number]), lambda: queue.give_up([number], "sent"),
                            lambda: queue.drop_destination("sent")):
                with pytest.raises(UsageError, match="corrections are being applied"):
                    request()
            assert engine.index.get(number).state == "held"


def test_an_index_that_fails_while_an_object_leaves_the_quarantine_costs_only_time(tmp_path, monkeypatch):
    """The manifest has lost the row already; the next look goes on."""
    fails, left = [True, True], Index.left_quarantine

    def failing(self, *values):
        if fails:
            fails.pop()
            raise sqlite3.OperationalError("database or disk is full")
        return left(self, *values)

    monkeypatch.setattr(Index, "left_quarantine", failing)
    localizer = Localizer()
    with nodes.running(settings_of(tmp_path), localizer.cleaner) as engine:
        number, = held(engine, tmp_path, 1)
        localizer.mended = True
        with ask(tmp_path) as queue:
            queue.clean_again([number])
        nodes.until(lambda: engine.index.get(number).state == "sent")
        assert not fails and len(nodes.sizes(tmp_path / "sent")) == 1


def test_a_node_that_ends_before_an_object_left_the_quarantine_goes_on_at_its_next_start(tmp_path, monkeypatch):
    localizer = Localizer()
    with monkeypatch.context() as patch:
        patch.setattr("markerremover.node.quarantine.Quarantine._let_go", lambda *_: 0)
        with nodes.running(settings_of(tmp_path), localizer.cleaner) as engine:
            kept, lost = held(engine, tmp_path, 1, 2)
            localizer.mended = True
            with ask(tmp_path) as queue:
                queue.clean_again([kept, lost])
            nodes.until(lambda: engine.counts().waiting == 2)
            assert engine.index.due("sent") == [] and nodes.sizes(tmp_path / "sent") == []
            (engine.spool.out / engine.index.get(lost).relative).unlink()
    with nodes.running(settings_of(tmp_path)) as engine:
        assert nodes.settled(engine).sent == 2 and len(nodes.sizes(tmp_path / "sent")) == 2
        nodes.until(lambda: not rows_of(engine))


def test_requests_while_the_engine_works_leave_every_object_in_one_state_and_send_each_once(tmp_path, monkeypatch):
    """Three threads ask for all that is held and failed, again and again, while objects come, are held, and are sent once the localizer is mended."""
    sent, asked, put, troubles, ended = [], [], FolderPeer._put, [], threading.Event()

    def counted(self, parcel, path):
        error = put(self, parcel, path)
        if not error:
            sent.append(parcel.delivery.number)
        return error

    def asking(which):
        try:
            with ask(tmp_path) as queue:
                while not ended.is_set():
                    answer = queue.clean_again(which)
                    counts = queue.index.counts()
                    asked.append(len(answer.done))
                    if answer.left or not counts.reconciles:
                        troubles.append((answer, counts))
                    ended.wait(0.02)
        except Exception as error:  # a thread's errors would be lost
            troubles.append(error)

    monkeypatch.setattr(FolderPeer, "_put", counted)
    localizer = Localizer()
    threads = [threading.Thread(target=asking, args=(which,), daemon=True) for which in ("all-held", "all-held", "all-failed")]
    with nodes.running(settings_of(tmp_path), localizer.cleaner) as engine:
        for thread in threads:
            thread.start()
        try:
            numbers = [engine.accept(nodes.object_file(tmp_path / "in", number), "test").number for number in range(12)]
            nodes.until(lambda: len(engine.index.in_quarantine()) > 3)
            localizer.mended = True
            nodes.until(lambda: engine.counts().sent == len(numbers))
        finally:
            ended.set()
        for thread in threads:
            thread.join()
        counts = nodes.settled(engine)
        nodes.until(lambda: not rows_of(engine) and not nodes.sizes(engine.spool.objects))
    assert not troubles and sum(asked) > 3 and (counts.sent, counts.accepted) == (len(numbers), len(numbers))
    assert sorted(sent) == sorted(numbers) and len(nodes.sizes(tmp_path / "sent")) == len(numbers)


# Destinations

def test_a_destination_that_is_gone_can_be_dropped_by_name_and_what_others_have_is_sent(tmp_path):
    settings, numbers = waiting(tmp_path, 1, 2)
    back(tmp_path, "a")
    only_a = replace(settings, destinations=settings.destinations[:1])
    with nodes.running(only_a) as engine:
        nodes.until(lambda: {s.name: s.sent for s in engine.index.destinations()} == {"a": 2, "b": 0})
        assert engine.counts().waiting == 2
        with ask(tmp_path) as queue:
            with pytest.raises(UsageError, match="there is a, b"):
                queue.drop_destination("c")
            assert queue.drop_destination("b") == (2, 0, 0)
            with pytest.raises(UsageError, match="there is a"):
                queue.drop_destination("b")
        assert nodes.settled(engine).sent == 2
        nodes.until(lambda: not nodes.sizes(engine.spool.objects) and not nodes.sizes(engine.spool.out))
        assert any("dropped destination b: 2" in problem.text for problem in engine.index.recent_errors())


def test_what_no_destination_has_is_not_lost_with_the_destination_that_is_dropped(tmp_path):
    settings, (number,) = waiting(tmp_path, 1)
    with ask(tmp_path) as queue:
        assert queue.drop_destination("a") == (0, 1, 0)
        assert queue.drop_destination("b") == (0, 0, 1)
        stored = queue.index.get(number)
        assert (stored.state, stored.reason) == ("failed", "destination b was dropped, and no other has it") and queue.index.counts().reconciles
    (tmp_path / "c").mkdir()
    with nodes.running(replace(settings, destinations=(FolderDestination("c", tmp_path / "c"),))) as engine:
        nodes.until(lambda: [row["reason"] for row in rows_of(engine)] == [stored.reason])
        assert not (engine.spool.out / stored.relative).exists() and (engine.spool.objects / stored.relative).is_file()
        with ask(tmp_path) as queue:
            assert queue.clean_again("all-failed").done == (number,)
        assert nodes.settled(engine).sent == 1
        nodes.until(lambda: not rows_of(engine))
    assert len(nodes.sizes(tmp_path / "c")) == 1


def test_what_a_peer_refuses_is_listed_with_its_reason_and_can_be_given_up(tmp_path):
    entity = AE("ARCHIVE")
    entity.add_supported_context("1.2.840.10008.5.1.4.1.1.2")
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        to = DicomDestination("archive", "127.0.0.1", server.socket.getsockname()[1], "ARCHIVE")
        settings = replace(settings_of(tmp_path, "a"), destinations=(to, FolderDestination("a", tmp_path / "a")))
        with nodes.running(settings) as engine:
            (tmp_path / "a").rename(tmp_path / "a-away")
            number = engine.accept(nodes.object_file(tmp_path / "in", 1), "test").number
            refused = nodes.until(lambda: next((one for one in queue_module.undelivered(engine.index) if one.destination == "archive"), None))
            assert refused.number == number and refused.error == f"it does not accept SOP class {nodes.DX} in transfer syntax {nodes.EXPLICIT}"
            with ask(tmp_path) as queue:
                assert queue.give_up([number], "b").left == ((number, "nothing of it waits for b"),)
                assert queue.give_up([number], "archive").done == (number,)
            stored = engine.index.get(number)
            assert stored.stage == "waiting" and refused.error in stored.reason  # the other destination gets it all the same
            back(tmp_path, "a")
            nodes.until(lambda: engine.index.get(number).in_quarantine)
            row, = rows_of(engine)
            assert (row["status"], row["reason"]) == ("failed", stored.reason) and engine.index.get(number).state == "failed"
            assert len(nodes.sizes(tmp_path / "a")) == 1 and (engine.spool.objects / stored.relative).is_file()
            assert not (engine.spool.out / stored.relative).exists() and engine.counts().reconciles and engine.counts().failed == 1
    finally:
        server.shutdown()


def test_what_was_given_up_after_a_person_released_it_stays_failed(tmp_path):
    """The manifest's row says that it is released, until it is brought up to date."""
    localizer = Localizer()
    with nodes.running(settings_of(tmp_path), localizer.cleaner) as engine:
        number, = held(engine, tmp_path, 1)
        (tmp_path / "sent").rename(tmp_path / "sent-away")
        nodes.until(lambda: manifest_files.read_summary(engine.spool.audit))
        release(engine.spool.audit)
        apply(engine.spool.audit, open_cleaner=localizer.cleaner)
        nodes.until(lambda: engine.counts().waiting == 1)
    with ask(tmp_path) as queue:
        assert queue.give_up([number], "sent").done == (number,)
    back(tmp_path, "sent")
    with nodes.running(settings_of(tmp_path), localizer.cleaner) as engine:
        nodes.until(lambda: [row["status"] for row in rows_of(engine)] == ["failed"])
        apply(engine.spool.audit, open_cleaner=localizer.cleaner)  # nobody decided anything new
        nodes.until(lambda: engine.index.new_in_quarantine() == [])
        assert engine.counts().failed == 1 and nodes.sizes(tmp_path / "sent") == nodes.sizes(engine.spool.out) == []


def release(audit):
    session = Session(audit, "Ann")
    try:
        row = session.row(0)
        session.looked(row)
        session.decide(0, {"event": "release", "seen": [row["sha256_in"], row["sha256_out"]]})
    finally:
        session.close()


def test_a_delivery_that_is_dropped_while_it_is_made_ends_in_one_state(tmp_path, monkeypatch):
    settings, (number,) = waiting(tmp_path, 1)
    back(tmp_path, "a", "b")
    put, begun, go_on = FolderPeer._put, threading.Event(), threading.Event()

    def slow(self, parcel, path):
        if parcel.delivery.destination == "b":
            begun.set()
            assert go_on.wait(20)
        return put(self, parcel, path)

    monkeypatch.setattr(FolderPeer, "_put", slow)
    with nodes.running(settings) as engine:
        assert begun.wait(20)
        nodes.until(lambda: nodes.sizes(tmp_path / "a"))
        nodes.until(lambda: sent_to(engine, "a") == 1)
        with ask(tmp_path) as queue:
            assert queue.drop_destination("b") == (1, 0, 0)
        go_on.set()
        nodes.until(lambda: sent_to(engine, "b") == 1)  # it has it all the same, and that is known
        assert nodes.settled(engine).sent == 1 and engine.index.get(number).state == "sent"


def test_what_was_given_up_is_not_revived_by_a_result_that_is_missing(tmp_path):
    settings, (number,) = waiting(tmp_path, 1)
    index = Index(tmp_path / "spool")
    before = index.get(number)
    with ask(tmp_path) as queue:
        queue.give_up([number], "a")
        queue.give_up([number], "b")
    index.begin_again([number])  # what a sender does that found it missing just before
    index.withdrawn(number, "held", "gone", before.sha256_out)
    assert index.get(number).state == "failed" and index.counts().reconciles
    index.close()


# Send again

def test_a_released_result_is_sent_again_to_one_destination_or_to_all(tmp_path, monkeypatch):
    sent, put = [], FolderPeer._put

    def counted(self, parcel, path):
        sent.append(parcel.delivery.destination)
        return put(self, parcel, path)

    monkeypatch.setattr(FolderPeer, "_put", counted)
    localizer = Localizer()
    with nodes.running(settings_of(tmp_path, "a", "b"), localizer.cleaner) as engine:
        number, = held(engine, tmp_path, 1)
        nodes.until(lambda: manifest_files.read_summary(engine.spool.audit))
        release(engine.spool.audit)
        apply(engine.spool.audit, open_cleaner=localizer.cleaner)
        nodes.until(lambda: engine.index.get(number).state == "sent")
        assert sorted(sent) == ["a", "b"]
        with ask(tmp_path) as queue:
            assert queue.send_again([number], "c").left == ((number, "c is none of its destinations"),)
            assert queue.send_again([number], "b").done == (number,)
            nodes.until(lambda: engine.index.get(number).state == "sent")
            assert sorted(sent) == ["a", "b", "b"]
            queue.send_again([number])
            nodes.until(lambda: engine.index.get(number).state == "sent")
            assert sorted(sent) == ["a", "a", "b", "b", "b"] and len(rows_of(engine)) == 1
            (engine.spool.out / engine.index.get(number).relative).unlink()
            assert queue.send_again([number]).left == ((number, NO_RESULT),)
        assert engine.counts().reconciles and engine.index.get(number).state == "sent"


def test_what_one_destination_has_can_go_there_again_while_it_waits_for_another(tmp_path):
    with nodes.running(settings_of(tmp_path, "a", "b")) as engine:
        (tmp_path / "b").rename(tmp_path / "b-away")
        number = engine.accept(nodes.object_file(tmp_path / "in", 1), "test").number
        nodes.until(lambda: sent_to(engine, "a") == 1)
        lost, = (tmp_path / "a").iterdir()
        lost.unlink()
        with ask(tmp_path) as queue:
            assert queue.send_again([number], "a").done == (number,)
        nodes.until(lambda: nodes.sizes(tmp_path / "a"))
        nodes.until(lambda: sent_to(engine, "a") == 1)
        back(tmp_path, "b")
        assert nodes.settled(engine).sent == 1


def test_of_what_was_sent_and_deleted_nothing_can_be_sent_again(tmp_path):
    with nodes.running(settings_of(tmp_path)) as engine:
        number = engine.accept(nodes.object_file(tmp_path / "in", 1), "test").number
        nodes.settled(engine)
        with ask(tmp_path) as queue:
            assert queue.send_again([number]).left == ((number, PURGED),)
            assert queue.give_up([number], "sent").left == ((number, "nothing of it waits for sent"),)
            (_, why), = queue.clean_again([number]).left
        assert why.startswith("it is sent") and engine.counts().sent == 1


def test_a_folder_in_which_no_node_has_run_is_left_as_it_is(tmp_path):
    with pytest.raises(UsageError, match="no node has run"):
        Queue(tmp_path / "spool")
    assert list(tmp_path.iterdir()) == []
