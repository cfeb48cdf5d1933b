"""The list of objects: one state each, counts that reconcile, and everything on the disk when a call returns."""

import sqlite3
import time

import pytest

from markerremover.errors import UsageError
from markerremover.node.index import CONFLICT, DUPLICATE, INDEX, NEW, Index


@pytest.fixture
def index(tmp_path):
    index = Index(tmp_path)
    yield index
    index.close()


def added(index, uid="1.2.3", digest="a", relative=None):
    return index.add(relative or f"{uid}-{digest}.dcm", uid, digest, 100, "CT1")


def test_an_object_goes_through_the_states_and_is_counted_once_in_each(index):
    number, kind = added(index)
    assert kind == NEW and index.counts().received == 1
    assert index.take().number == number and index.take() is None
    assert (index.counts().cleaning, index.counts().working) == (1, 1)
    index.cleaned(number, "out", ["A", "B"])
    assert index.counts().waiting == 1
    first, second = index.due("A")[0], index.due("B")[0]
    assert not index.delivered(first) and index.counts().waiting == 1
    assert index.delivered(second)
    counts = index.counts()
    assert (counts.sent, counts.accepted) == (1, 1) and counts.reconciles


def test_the_same_object_again_is_no_second_one_and_another_content_is_held(index):
    number, _ = added(index)
    assert added(index, relative="other.dcm") == (number, DUPLICATE)
    second, kind = added(index, digest="b")
    assert kind == CONFLICT and index.get(second).state == "held"
    assert added(index, digest="b", relative="third.dcm") == (second, DUPLICATE)
    counts = index.counts()
    assert (counts.received, counts.held, counts.accepted, counts.duplicates) == (1, 1, 2, 2) and counts.reconciles


def test_a_result_that_was_replaced_meanwhile_is_not_recorded_as_delivered(index):
    number, _ = added(index)
    index.take()
    index.cleaned(number, "first", ["A"])
    old = index.due("A")[0]
    index.cleaned(number, "second", ["A"])
    assert not index.delivered(old) and index.counts().waiting == 1
    new = index.due("A")[0]
    assert new.sha256_out == "second" and not new.again
    assert index.delivered(new)
    index.cleaned(number, "third", ["A"])
    assert index.due("A")[0].again


def test_a_postponed_delivery_waits_and_keeps_its_error_over_a_restart(tmp_path):
    index = Index(tmp_path)
    number, _ = added(index)
    index.take()
    index.cleaned(number, "out", ["A"])
    index.postponed(index.due("A")[0], "no answer", 60)
    index.close()
    index = Index(tmp_path)
    assert index.due("A") == []
    state = index.destinations(["A", "B"])
    assert [(s.name, s.pending, s.last_error) for s in state] == [("A", 1, "no answer"), ("B", 0, "")]
    assert 50 < state[0].next_attempt_s <= 60 and index.attempts_of("A") == 1
    index.close()


def test_an_interrupted_object_begins_again(index):
    number, _ = added(index)
    index.take()
    assert [stored.number for stored in index.interrupted()] == [number]
    index.begin_again([number])
    assert index.counts().received == 1 and index.take().attempts == 2


def test_a_change_that_fails_changes_nothing(index):
    number, _ = added(index)
    with pytest.raises(sqlite3.IntegrityError), index.changing() as run:
        run("UPDATE objects SET state = 'sent' WHERE number = ?", (number,))
        run("UPDATE objects SET state = 'working', stage = '' WHERE number = ?", (number,))
    assert index.counts().received == 1


def test_uids_are_not_in_the_file(tmp_path):
    index = Index(tmp_path)
    added(index, uid="1.2.840.99999.777", relative="x.dcm")
    index.close()
    assert b"1.2.840.99999.777" not in (tmp_path / INDEX).read_bytes()
    assert (tmp_path / INDEX).stat().st_mode & 0o077 == 0


def test_held_objects_wait_for_the_quarantine_with_their_rows(index):
    number, _ = added(index)
    index.take()
    index.ended(number, "held", "still readable", {"relative": "1.2.3-a.dcm"})
    (stored, row), = index.new_in_quarantine()
    assert (stored.reason, row) == ("still readable", {"relative": "1.2.3-a.dcm"})
    index.put_in_quarantine([number])
    assert index.new_in_quarantine() == [] and list(index.in_quarantine()) == ["1.2.3-a.dcm"]
    assert [s.number for s in index.held()] == [number]


def test_sent_objects_are_forgotten_only_after_their_files_are_gone_and_still_counted(index):
    number, _ = added(index)
    index.take()
    index.cleaned(number, "out", ["A"])
    index.delivered(index.due("A")[0])
    assert index.forget(time.time() + 1) == 0
    assert [s.number for s in index.to_purge()] == [number] and index.spool_bytes() == 100
    index.purged([number])
    assert index.spool_bytes() == 0 and index.forget(time.time() + 1) == 1
    assert index.counts().forgotten == 1 and index.counts().reconciles


def test_another_process_reads_while_the_node_writes(tmp_path):
    index = Index(tmp_path)
    reader = Index(tmp_path, read_only=True)
    added(index)
    assert reader.counts().received == 1 and reader.rates(60).received == 1 and set(reader.oldest()) == {"received"}
    with pytest.raises(sqlite3.OperationalError):
        added(reader, uid="9")
    reader.close()
    index.close()
    with pytest.raises(UsageError, match="no node has run"):
        Index(tmp_path / "none", read_only=True)


def test_troubles_are_listed_newest_first(index):
    index.note("cleaning", "first", 1)
    index.note("sending A", "second")
    assert [(p.where, p.text, p.number) for p in index.recent_errors()] == [("sending A", "second", None), ("cleaning", "first", 1)]
