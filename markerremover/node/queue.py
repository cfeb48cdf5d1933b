"""What an operator asks of the objects in a spool, while its node runs or is stopped: clean again, send again, give up, drop a destination.

Every request is a transaction of the index, so that an object is in one state before and after it; a node that runs sees it at its next look, one
that is stopped at its next start. Requests hold the lock of `apply`, as the node does while it changes the quarantine's manifest. What is received or
being cleaned is never touched. No request sends anything itself: results leave by the node alone, each checked against its hash.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from ..audit import manifest_files
from ..errors import UsageError
from ..records import RELEASED
from ..redaction.corrections import FOLDER
from ..system import locks, regular_files
from ..system.files import sha256_file
from .index import CONFLICTS, INDEX, Index
from .quarantine import APPLY_LOCK
from .records import ALL, STAGES, Stored
from .spool import Spool
from .tables import Execute, drop_due, settle

WAIT_S = 10.0  # the node holds the lock while it changes the manifest, which takes less
AT_ONCE = 500  # objects of one transaction: the node's own wait for its end
BUSY = "corrections are being applied to what is held: ask again when that is done"
NONE, CONFLICTING = "there is no such object", "another object with its SOP Instance UID was received before: it is left out unless --also-conflicting is given"
NO_ORIGINAL, NO_RESULT = "its original is no longer there", "its result is no longer there"
PURGED = "it was sent, and its files were deleted then: nothing is there that could be sent again"
PASSED_ON = "a person has released it: the node sends that result"
LEAVING = "it was cleaned again and is not due yet"


class Answer(NamedTuple):
    """Numbers of the objects that something was done with, and (number, why not) of the others."""

    done: tuple[int, ...]
    left: tuple[tuple[int, str], ...]


class Dropped(NamedTuple):
    """Numbers of objects whose delivery was dropped, by what they are now: sent, waiting for others, failed since no destination has them."""

    sent: int = 0
    waiting: int = 0
    failed: int = 0


class Undelivered(NamedTuple):
    """A delivery that was tried and not made: object, destination, attempts, seconds since it was due and until the next attempt, and why it was not."""

    number: int
    destination: str
    attempts: int
    since_s: float
    next_attempt_s: float
    error: str


def undelivered(index: Index, limit: int = 100) -> list[Undelivered]:
    """Deliveries that were tried and not made, those of most attempts first."""
    now = time.time()
    rows = index.rows("SELECT number, destination, attempts, since, next_at, last_error FROM deliveries WHERE state = 'pending' AND attempts > 0 "
                      "ORDER BY attempts DESC, number LIMIT ?", (limit,))
    return [Undelivered(number, name, attempts, max(0.0, now - since), max(0.0, next_at - now), error) for number, name, attempts, since, next_at, error in rows]


def objects_of(index: Index, state: str, limit: int) -> list[Stored]:
    """Objects of one of SHOWN_STATES, those that changed last first."""
    column = "stage" if state in STAGES else "state"
    return index.stored(f"WHERE {column} = ? ORDER BY changed_at DESC, number DESC LIMIT ?", (state, limit))


class Queue:
    """The objects of one spool, for requests; a context manager.

    Args:
        folder: the spool folder, in which a node has run.

    Raises:
        UsageError: it is none, or of another version. Of each request: `apply` is at work in its quarantine; nothing was changed.
        sqlite3.Error, OSError: of each request: the disk is full or fails; what was done with earlier objects stays.
    """

    def __init__(self, folder: Path) -> None:
        self._spool = Spool(folder)
        if not (self._spool.folder / INDEX).is_file():
            raise UsageError(f"{folder / INDEX}: there is none, so no node has run with this spool folder")
        self.index = Index(self._spool.folder)

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.index.close()

    def clean_again(self, which: Sequence[int] | str, *, also_conflicting: bool = False) -> Answer:
        """Held and failed objects are "received" again. One that is in the quarantine stays there until it ends otherwise; one that a person corrected or
        released is held again then, see `quarantine`.

        Args:
            which: numbers, or a key of ALL.  also_conflicting: also what has the SOP Instance UID of an object that came before.
        """
        with self._alone():
            rows = {row["relative"]: row for row in manifest_files.read_manifest(self._spool.audit / manifest_files.MANIFEST)}
            if isinstance(which, str):
                which = [row[0] for row in self.index.rows("SELECT number FROM objects WHERE state = ? ORDER BY number", (ALL[which],))]
            passed_on = {stored.number for number in which if (stored := self.index.get(number)) and self._is_passed_on(stored, rows.get(stored.relative))}
            return self._each(which, lambda run, stored: self._clean_again(run, stored, stored.number in passed_on, also_conflicting))

    def _is_passed_on(self, stored: Stored, row: dict[str, Any] | None) -> bool:
        """Whether `apply` has released an object, which the node has not seen yet."""
        if row is None or row["status"] not in RELEASED or stored.relative not in self.index.as_in_manifest():
            return False
        try:
            return sha256_file(self._spool.out / stored.relative) == row["sha256_out"]
        except OSError:
            return False

    def _clean_again(self, run: Execute, stored: Stored, is_passed_on: bool, also_conflicting: bool) -> str:
        if stored.state not in ("held", "failed"):
            return f"it is {stored.stage or stored.state}: only what is held or failed is cleaned again"
        earlier = run("SELECT 1 FROM objects WHERE uid = (SELECT uid FROM objects WHERE number = ?) AND number < ?", (stored.number, stored.number)).fetchone()
        if (earlier or stored.reason == CONFLICTS) and not also_conflicting:
            return CONFLICTING
        if not (self._spool.objects / stored.relative).is_file():
            return NO_ORIGINAL
        if is_passed_on:
            return PASSED_ON
        run("UPDATE objects SET state = 'received', reason = '', row = '', sha256_out = '', attempts = 0, changed_at = ? WHERE number = ?", (time.time(), stored.number))
        return ""

    def send_again(self, numbers: Sequence[int], to: str = "") -> Answer:
        """Results that are still there are due again, to all destinations of their objects or to one of them; what waits is due now.

        Args:
            to: name of a destination, "" for all.
        """
        with self._alone():
            return self._each(numbers, lambda run, stored: self._send_again(run, stored, to))

    def _send_again(self, run: Execute, stored: Stored, to: str) -> str:
        if stored.state == "sent" and not stored.in_quarantine:
            return PURGED
        if stored.state != "sent" and stored.stage != "waiting":
            return f"it is {stored.stage or stored.state}: nothing of it is sent"
        if run("SELECT row FROM objects WHERE number = ?", (stored.number,)).fetchone()[0]:
            return LEAVING
        if not (self._spool.out / stored.relative).is_file():  # its hash is checked whenever it is sent
            return NO_RESULT
        now = time.time()
        if not run("UPDATE deliveries SET again = again OR state = 'sent', since = CASE state WHEN 'sent' THEN ? ELSE since END, state = 'pending', next_at = ?, "
                   "attempts = 0, last_error = '' WHERE number = ? AND destination = coalesce(nullif(?, ''), destination)", (now, now, stored.number, to)).rowcount:
            return f"{to} is none of its destinations"
        run("UPDATE objects SET state = 'working', stage = 'waiting', sent_at = NULL, changed_at = ? WHERE number = ?", (now, stored.number))
        return ""

    def give_up(self, numbers: Sequence[int], to: str) -> Answer:
        """Deliveries to one destination are dropped. Their objects are "failed" with the reason, at once or when other destinations have them, and then
        lie in the quarantine."""
        with self._alone():
            return self._each(numbers, lambda run, stored: _give_up(run, stored, to))

    def drop_destination(self, name: str) -> Dropped:
        """All deliveries to one destination are dropped. Objects that another destination has, and of which nothing more is due, are "sent"; those that
        none has are "failed", in the quarantine.

        Raises:
            UsageError: nothing is or was due to a destination of this name.
        """
        with self._alone():
            if not self.index.rows("SELECT 1 FROM deliveries WHERE destination = ? LIMIT 1", (name,)):
                known = ", ".join(state.name for state in self.index.destinations()) or "none"
                raise UsageError(f"nothing is due to a destination {name!a}; there is {known}")
            numbers = [row[0] for row in self.index.rows("SELECT number FROM deliveries WHERE destination = ? AND state = 'pending' ORDER BY number", (name,))]
            states: dict[int, str] = {}

            def drop(run: Execute, stored: Stored) -> str:
                if drop_due(run, stored.number, name):
                    states[stored.number] = _settled(run, stored, f"destination {name} was dropped, and no other has it")
                return ""

            self._each(numbers, drop)
            found = list(states.values())
            if found:
                self.index.note("queue", f"an operator dropped destination {name}: {len(found)} deliveries")
            return Dropped(*(found.count(state) for state in Dropped._fields))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no `apply` is at work, and the node leaves manifest and quarantine alone."""
        regular_files.folder(self._spool.audit / FOLDER)
        with locks.held(self._spool.audit / FOLDER / APPLY_LOCK, BUSY, wait_s=WAIT_S):
            yield

    def _each(self, numbers: Iterable[int], change: Callable[[Execute, Stored], str]) -> Answer:
        """Change objects in transactions of AT_ONCE; `change` returns why not."""
        done: list[int] = []
        left: list[tuple[int, str]] = []
        remaining = list(dict.fromkeys(numbers))
        while remaining:
            part, remaining = remaining[:AT_ONCE], remaining[AT_ONCE:]
            with self.index.changing() as run:
                answers = [(number, change(run, stored) if (stored := self.index.get(number)) else NONE) for number in part]
            done += [number for number, why in answers if not why]
            left += [(number, why) for number, why in answers if why]
        return Answer(tuple(done), tuple(left))


def _give_up(run: Execute, stored: Stored, to: str) -> str:
    found = run("SELECT last_error FROM deliveries WHERE number = ? AND destination = ? AND state = 'pending'", (stored.number, to)).fetchone()
    if stored.stage != "waiting" or found is None:
        return f"nothing of it waits for {to}"
    reason = f"its delivery to {to} was given up" + (f": {found[0]}" if found[0] else "")
    run("UPDATE objects SET reason = CASE reason WHEN '' THEN ? ELSE reason || '; ' || ? END WHERE number = ?", (reason, reason, stored.number))
    drop_due(run, stored.number, to)
    settle(run, stored.number)
    return ""


def _settled(run: Execute, stored: Stored, reason: str) -> str:
    """Settle an object that lost a delivery; "failed" with the reason if no destination has it. Returns its state or stage."""
    run("UPDATE objects SET reason = ? WHERE number = ? AND reason = '' AND stage = 'waiting' AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.number = objects.number)",
        (reason, stored.number))
    settle(run, stored.number)
    state, stage = run("SELECT state, stage FROM objects WHERE number = ?", (stored.number,)).fetchone()
    return stage or state
