"""The durable list of all objects of a node: an SQLite database (WAL, synchronous=FULL) in the spool folder.

Every change of state is one transaction that is on the disk when the call returns, so after a crash every object is in exactly one state. SOP
Instance UIDs are stored as HMAC-SHA-256 under a random key of the spool: once an object is sent and deleted, nothing here names it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..system import regular_files
from .records import STATES, Counts, Delivery, DestinationState, Problem, Rates, Stored
from .tables import TABLES, VERSION, add_due, drop_due, settle

INDEX = "index.sqlite"
PROBLEMS_KEPT = 500
NEW, DUPLICATE, CONFLICT = "new", "duplicate", "conflict"
#: Reason of an object whose SOP Instance UID another one with other content has.
CONFLICTS = "another object with the same SOP Instance UID and other content was received before"
_STORED = ("number", "relative", "size", "origin", "state", "stage", "reason", "received_at", "changed_at", "sha256_out", "in_quarantine", "attempts",
           "given_name")
_COLUMNS = ", ".join(_STORED)


class Index:
    """The list; safe to use from several threads, and from other processes: for reading with `read_only`, for changes through `queue`.

    Args:
        folder: the spool folder.

    Raises:
        UsageError: it is of another version, or (with `read_only`) there is none.
        sqlite3.Error: of every method: the disk is full or fails; nothing was changed then.
    """

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        path = Path(folder) / INDEX
        self._lock = threading.RLock()
        if read_only:
            if not path.is_file():
                raise UsageError(f"{path}: there is none, so no node has run with this spool folder")
            self._database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False, timeout=30)
        else:
            os.close(regular_files.opened(path, os.O_RDWR | os.O_CREAT))  # owner only; SQLite gives its other files the same mode
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute("PRAGMA foreign_keys = ON")
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not read_only:
            with self.changing() as run:
                for statement in filter(str.strip, TABLES.split(";")):
                    run(statement)
                run("INSERT INTO meta VALUES ('salt', ?), ('accepted', 0), ('duplicates', 0), ('forgotten', 0)", (secrets.token_bytes(32),))
                run(f"PRAGMA user_version = {VERSION}")
        elif version != VERSION:
            self._database.close()
            raise UsageError(f"{path}: is of version {version}, this program reads version {VERSION}")
        self._salt: bytes = self.rows("SELECT value FROM meta WHERE name = 'salt'")[0][0]

    def close(self) -> None:
        """Close the database; later calls fail."""
        with self._lock:
            self._database.close()

    @contextmanager
    def changing(self) -> Iterator[Any]:
        """One transaction; gives `execute`. Another process may have one, too: each waits for the other, up to 30 s."""
        with self._lock:
            if self._database.in_transaction:  # a disk that was full could not even take it back
                self._database.execute("ROLLBACK")
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database.execute
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        """What a query finds."""
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def stored(self, where: str, values: Sequence[Any] = ()) -> list[Stored]:
        """The objects that a condition of SQL finds."""
        return [_as_stored(row) for row in self.rows(f"SELECT {_COLUMNS} FROM objects {where}", values)]

    def _keyed(self, uid: str) -> bytes:
        return hmac.new(self._salt, uid.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()

    # What comes in

    def known(self, uid: str, digest: str) -> int | None:
        """Number of the object with this SOP Instance UID and content, None if there is none."""
        rows = self.rows("SELECT number FROM objects WHERE uid = ? AND digest = ?", (self._keyed(uid), digest))
        return rows[0][0] if rows else None

    def add(self, relative: str, uid: str, digest: str, size: int, origin: str, given_name: str = "") -> tuple[int, str]:
        """Accept an object that lies durably in the spool.

        Args:
            relative: its path below objects/.  uid: SOP Instance UID.  digest: of its content, the same however it came.
            size: bytes.  origin, given_name: see `Stored`.

        Returns:
            Its number and NEW, DUPLICATE or CONFLICT. A duplicate is not added: the number is that of the object that is there. A conflicting one
            is added in the state "held".
        """
        key, now = self._keyed(uid), time.time()
        with self.changing() as run:
            same = run("SELECT number FROM objects WHERE uid = ? AND digest = ?", (key, digest)).fetchone()
            if same:
                run("UPDATE meta SET value = value + 1 WHERE name = 'duplicates'")
                return same[0], DUPLICATE
            conflict = run("SELECT 1 FROM objects WHERE uid = ?", (key,)).fetchone() is not None
            number = run(
                "INSERT INTO objects (relative, uid, digest, size, origin, given_name, state, reason, received_at, changed_at) VALUES (?,?,?,?,?,?,?,?,?,?)",
                (relative, key, digest, size, origin, given_name, "held" if conflict else "received", CONFLICTS if conflict else "", now, now)).lastrowid
            run("UPDATE meta SET value = value + 1 WHERE name = 'accepted'")
        return number, CONFLICT if conflict else NEW

    def count_duplicate(self) -> None:
        """Count an object that `known` recognised."""
        with self.changing() as run:
            run("UPDATE meta SET value = value + 1 WHERE name = 'duplicates'")

    # Cleaning

    def take(self) -> Stored | None:
        """The object that was received first, now in the stage "cleaning"; None if there is none."""
        with self.changing() as run:
            row = run("SELECT number FROM objects WHERE state = 'received' AND stage = '' ORDER BY received_at, number LIMIT 1").fetchone()
            if row is None:
                return None
            run("UPDATE objects SET state = 'working', stage = 'cleaning', attempts = attempts + 1, changed_at = ? WHERE number = ?", (time.time(), row[0]))
            return _as_stored(run(f"SELECT {_COLUMNS} FROM objects WHERE number = ?", row).fetchone())

    def give_back(self, number: int) -> None:
        """An object whose cleaning could not be tried is "received" again."""
        with self.changing() as run:
            run("UPDATE objects SET state = 'received', stage = '', attempts = max(0, attempts - 1), changed_at = ? WHERE number = ? AND stage = 'cleaning'",
                (time.time(), number))

    def cleaned(self, number: int, sha256_out: str, destinations: Sequence[str], row: dict[str, Any] | None = None) -> bool:
        """A verified result lies in out/: it waits for its destinations. Destinations that have an earlier result of the object get it `again`.

        Args:
            row: what the result's row of a manifest is, of one that nobody released. An object that is in quarantine then waits until it has left
                that, see `leaving`, and nothing is due of it before.

        Returns:
            Whether it has to leave the quarantine first.
        """
        now = time.time()
        with self.changing() as run:
            leaves = row is not None and bool(run("SELECT in_quarantine FROM objects WHERE number = ?", (number,)).fetchone()[0])
            run("UPDATE objects SET state = 'working', stage = 'waiting', reason = '', row = ?, sha256_out = ?, changed_at = ?, cleaned_at = ?, sent_at = NULL "
                "WHERE number = ?", (json.dumps(row) if leaves else "", sha256_out, now, now, number))
            if not leaves:
                add_due(run, number, destinations, now)
        return leaves

    def ended(self, number: int, state: str, reason: str, row: dict[str, Any]) -> None:
        """An object is "held" or "failed"; `row` is its row for the quarantine's manifest. What was due of it is dropped."""
        now = time.time()
        with self.changing() as run:
            run("UPDATE objects SET state = ?, stage = '', reason = ?, row = ?, sha256_out = '', changed_at = ?, cleaned_at = ? WHERE number = ?",
                (state, reason, json.dumps(row), now, now, number))
            drop_due(run, number)

    # Sending

    def due(self, destination: str, limit: int = 50) -> list[Delivery]:
        """Deliveries of a destination whose time has come, those that wait longest first."""
        rows = self.rows(
            "SELECT o.number, d.destination, o.relative, o.sha256_out, d.attempts, d.again, o.given_name FROM deliveries d JOIN objects o USING (number) "
            "WHERE d.destination = ? AND d.state = 'pending' AND d.next_at <= ? AND o.stage = 'waiting' AND o.row = '' ORDER BY d.next_at, o.number LIMIT ?", (destination, time.time(), limit))
        return [Delivery(number, name, relative, digest, attempts, bool(again), given) for number, name, relative, digest, attempts, again, given in rows]

    def delivered(self, delivery: Delivery) -> bool:
        """A destination confirmed a result. Returns whether nothing more is due of the object, see `settle`. Nothing is changed where the object has
        another result by now, or none."""
        with self.changing() as run:
            same = run("SELECT 1 FROM objects WHERE number = ? AND sha256_out = ?", (delivery.number, delivery.sha256_out)).fetchone()
            if not same:
                return False
            now = time.time()  # a delivery that was dropped while it was made is recorded all the same
            run("INSERT INTO deliveries (number, destination, state, attempts, next_at, since) VALUES (?, ?, 'sent', 1, ?, ?) "
                "ON CONFLICT DO UPDATE SET state = 'sent', last_error = '', attempts = attempts + 1", (delivery.number, delivery.destination, now, now))
            return settle(run, delivery.number)

    def postponed(self, delivery: Delivery, error: str, wait_s: float) -> None:
        """A delivery did not succeed; it is tried again after `wait_s` seconds."""
        with self.changing() as run:
            run("UPDATE deliveries SET attempts = attempts + 1, last_error = ?, next_at = ? WHERE number = ? AND destination = ? AND state = 'pending'",
                (error, time.time() + wait_s, delivery.number, delivery.destination))

    def postpone_all(self, destination: str, error: str, wait_s: float) -> None:
        """No delivery of a destination is tried before `wait_s` seconds, since it does not answer at all."""
        until = time.time() + wait_s
        with self.changing() as run:
            run("UPDATE deliveries SET last_error = ?, next_at = ? WHERE destination = ? AND state = 'pending' AND next_at < ?",
                (error, until, destination, until))

    def attempts_of(self, destination: str) -> int:
        """The highest number of attempts of a pending delivery."""
        return self.rows("SELECT coalesce(max(attempts), 0) FROM deliveries WHERE destination = ? AND state = 'pending'", (destination,))[0][0]

    # Quarantine and release

    def new_in_quarantine(self, limit: int = 1000) -> list[tuple[Stored, dict[str, Any]]]:
        """Held and failed objects that the quarantine's manifest does not have yet, or has with a row of before, with their rows ({} of those without
        one of a cleaning that ended so)."""
        rows = self.rows(f"SELECT {_COLUMNS}, row FROM objects WHERE state IN ('held', 'failed') AND (in_quarantine = 0 OR row != '') ORDER BY number LIMIT ?", (limit,))
        return [(_as_stored(row[:-1]), json.loads(row[-1] or "{}")) for row in rows]

    def put_in_quarantine(self, numbers: Sequence[int]) -> None:
        """The quarantine's manifest has these objects."""
        with self.changing() as run:
            for number in numbers:
                run("UPDATE objects SET in_quarantine = 1, row = '' WHERE number = ?", (number,))

    def in_quarantine(self) -> dict[str, Stored]:
        """Path -> object, of those that the quarantine's manifest has."""
        return {stored.relative: stored for stored in self.stored("WHERE in_quarantine = 1")}

    def as_in_manifest(self) -> dict[str, Stored]:
        """As `in_quarantine`, without objects whose rows in the manifest are of before."""
        return {stored.relative: stored for stored in self.stored("WHERE in_quarantine = 1 AND row = ''")}

    def withdrawn(self, number: int, state: str, reason: str, sha256_out: str) -> None:
        """A person took the result of an object in quarantine back, or it is held or failed for another reason: nothing of it is due any more.
        Nothing is changed where the object has another result than `sha256_out`."""
        with self.changing() as run:
            if run("UPDATE objects SET state = ?, stage = '', reason = ?, sha256_out = '', changed_at = ? WHERE number = ? AND sha256_out = ?",
                   (state, reason, time.time(), number, sha256_out)).rowcount:
                drop_due(run, number)

    def leaving(self, limit: int = 1000) -> list[tuple[Stored, dict[str, Any]]]:
        """Objects in quarantine that were cleaned again and whose results nobody released, with their new rows: nothing is due of them yet."""
        rows = self.rows(f"SELECT {_COLUMNS}, row FROM objects WHERE state = 'working' AND stage = 'waiting' AND row != '' ORDER BY number LIMIT ?", (limit,))
        return [(_as_stored(row[:-1]), json.loads(row[-1])) for row in rows]

    def left_quarantine(self, number: int, destinations: Sequence[str]) -> None:
        """The quarantine's manifest no longer has an object that is `leaving`: its result waits for its destinations."""
        now = time.time()
        with self.changing() as run:
            if run("UPDATE objects SET in_quarantine = 0, row = '', changed_at = ? WHERE number = ? AND stage = 'waiting' AND row != ''", (now, number)).rowcount:
                add_due(run, number, destinations, now)

    # After a crash, and tidying

    def interrupted(self) -> list[Stored]:
        """Objects in the stage "cleaning"."""
        return self.stored("WHERE state = 'working' AND stage = 'cleaning'")

    def waiting(self) -> list[Stored]:
        """Objects in the stage "waiting"."""
        return self.stored("WHERE state = 'working' AND stage = 'waiting'")

    def begin_again(self, numbers: Sequence[int]) -> None:
        """Interrupted objects, or objects whose result is gone, are "received" again; deliveries that were not made are dropped. Objects that are no
        longer in work stay as they are."""
        with self.changing() as run:
            for number in numbers:
                if run("UPDATE objects SET state = 'received', stage = '', reason = '', row = '', sha256_out = '', changed_at = ? "
                       "WHERE number = ? AND state = 'working'", (time.time(), number)).rowcount:
                    drop_due(run, number)

    def spooled(self) -> set[str]:
        """The paths below objects/ of all objects whose files were not deleted."""
        return {row[0] for row in self.rows("SELECT relative FROM objects WHERE purged = 0")}

    def to_purge(self, limit: int = 1000) -> list[Stored]:
        """Sent objects whose files are no longer needed: those that never were in quarantine."""
        return self.stored("WHERE state = 'sent' AND purged = 0 AND in_quarantine = 0 LIMIT ?", (limit,))

    def purged(self, numbers: Sequence[int]) -> None:
        """The files of these objects were deleted."""
        with self.changing() as run:
            for number in numbers:
                run("UPDATE objects SET purged = 1 WHERE number = ?", (number,))

    def spool_bytes(self) -> int:
        """Size of all objects in the spool, bytes."""
        return self.rows("SELECT coalesce(sum(size), 0) FROM objects WHERE purged = 0")[0][0]

    def forget(self, before: float) -> int:
        """Delete the rows of sent objects that were sent before a time (seconds since 1970) and whose files were deleted; returns their number."""
        with self.changing() as run:
            count = run("DELETE FROM objects WHERE state = 'sent' AND purged = 1 AND sent_at < ?", (before,)).rowcount
            run("UPDATE meta SET value = value + ? WHERE name = 'forgotten'", (count,))
        return count

    def note(self, where: str, text: str, number: int | None = None) -> None:
        """Keep a trouble for the status page; `text` has no identifiers."""
        with self.changing() as run:
            last = run("INSERT INTO problems (at, place, number, text) VALUES (?, ?, ?, ?)", (time.time(), where, number, text)).lastrowid
            run("DELETE FROM problems WHERE id <= ?", (last - PROBLEMS_KEPT,))

    # What the status page shows

    def counts(self) -> Counts:
        """Numbers of objects by state, all from one moment."""
        with self._lock:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            self._database.execute("BEGIN")
            try:
                states = self.rows("SELECT state, stage, count(*) FROM objects GROUP BY state, stage")
                meta = dict(self.rows("SELECT name, value FROM meta WHERE name != 'salt'"))
            finally:
                self._database.execute("COMMIT")
        return Counts(**{stage or state: count for state, stage, count in states}, **meta)

    def oldest(self) -> dict[str, float]:
        """Age in seconds of the oldest object of each state, since it was received; states without any are missing."""
        now = time.time()
        rows = self.rows("SELECT state, min(received_at) FROM objects WHERE state != 'sent' GROUP BY state")
        return {state: max(0.0, now - first) for state, first in rows}

    def rates(self, window_s: float = 60.0) -> Rates:
        """What happened in the last seconds."""
        since = time.time() - window_s
        counts = [self.rows(f"SELECT count(*) FROM objects WHERE {name}_at >= ?", (since,))[0][0] for name in ("received", "cleaned", "sent")]
        return Rates(window_s, *counts)

    def objects(self, state: str, limit: int = 100, offset: int = 0) -> list[Stored]:
        """Objects of one state, those that changed last first."""
        if state not in STATES:
            raise UsageError(f"state is {state!r}, allowed are {', '.join(STATES)}")
        return self.stored("WHERE state = ? ORDER BY changed_at DESC, number DESC LIMIT ? OFFSET ?", (state, limit, offset))

    def held(self, limit: int = 100) -> list[Stored]:
        """Held and failed objects, those that changed last first."""
        return self.stored("WHERE state IN ('held', 'failed') ORDER BY changed_at DESC, number DESC LIMIT ?", (limit,))

    def get(self, number: int) -> Stored | None:
        """One object."""
        return next(iter(self.stored("WHERE number = ?", (number,))), None)

    def of_origin(self, origin: str, limit: int = 100) -> list[Stored]:
        """The latest objects that came through `origin`."""
        return self.stored("WHERE origin = ? ORDER BY number DESC LIMIT ?", (origin, limit))

    def latest_cleaned(self, limit: int, since: float = 0.0) -> tuple[int, int]:
        """Of the latest objects that were cleaned or held: their number, and how many were held, be they released by now or not.

        Args:
            since: only those after this time, seconds since 1970.
        """
        rows = self.rows("SELECT state = 'held' OR in_quarantine FROM objects WHERE cleaned_at > ? AND state != 'failed' ORDER BY cleaned_at DESC LIMIT ?", (since, limit))
        return len(rows), sum(bool(row[0]) for row in rows)

    def recent_errors(self, limit: int = 20) -> list[Problem]:
        """The last troubles, the newest first."""
        return [Problem(*row) for row in self.rows("SELECT at, place, number, text FROM problems ORDER BY id DESC LIMIT ?", (limit,))]

    def destinations(self, names: Sequence[str] = ()) -> list[DestinationState]:
        """Each destination that has deliveries, and those named."""
        now, result = time.time(), {name: DestinationState(name, 0, 0, None, None, "") for name in names}
        for name, pending, sent, since, next_at in self.rows(
                "SELECT destination, sum(state = 'pending'), sum(state = 'sent'), min(CASE state WHEN 'pending' THEN since END), "
                "min(CASE state WHEN 'pending' THEN next_at END) FROM deliveries GROUP BY destination"):
            error = self.rows("SELECT last_error FROM deliveries WHERE destination = ? AND state = 'pending' AND last_error != '' "
                               "ORDER BY next_at DESC LIMIT 1", (name,))
            result[name] = DestinationState(
                name, pending, sent, None if since is None else max(0.0, now - since), None if next_at is None else max(0.0, next_at - now),
                error[0][0] if error else "")
        return list(result.values())


def _as_stored(row: Sequence[Any]) -> Stored:
    values = dict(zip(_STORED, row))
    return Stored(**values | {"in_quarantine": bool(values["in_quarantine"])})
