"""The tables of the index, and the changes of deliveries that several of its transactions make; see `index`.

`row` of an object is a row for the quarantine's manifest that this does not have yet: of a held or failed object, or of one that is `leaving`.
`reason` of an object that waits says which delivery was given up, so that it fails once nothing more is due of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

#: Version of the tables, in the file as `user_version`.
VERSION = 1
TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE objects (
    number INTEGER PRIMARY KEY AUTOINCREMENT, relative TEXT NOT NULL UNIQUE, uid BLOB NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL,
    origin TEXT NOT NULL, given_name TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL CHECK (state IN ('received', 'working', 'sent', 'held', 'failed')),
    stage TEXT NOT NULL DEFAULT '' CHECK ((state = 'working') = (stage IN ('cleaning', 'waiting')) AND (state = 'working' OR stage = '')),
    reason TEXT NOT NULL DEFAULT '', sha256_out TEXT NOT NULL DEFAULT '', row TEXT NOT NULL DEFAULT '',
    in_quarantine INTEGER NOT NULL DEFAULT 0, purged INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
    received_at REAL NOT NULL, changed_at REAL NOT NULL, cleaned_at REAL, sent_at REAL
);
CREATE UNIQUE INDEX same ON objects (uid, digest);
CREATE INDEX states ON objects (state, stage, received_at);
CREATE INDEX received ON objects (received_at);
CREATE INDEX cleaned ON objects (cleaned_at);
CREATE INDEX sent ON objects (sent_at);
CREATE INDEX spooled ON objects (purged, size) WHERE purged = 0;
CREATE TABLE deliveries (
    number INTEGER NOT NULL REFERENCES objects ON DELETE CASCADE, destination TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'sent')), attempts INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL,
    since REAL NOT NULL, last_error TEXT NOT NULL DEFAULT '', again INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (number, destination)
) WITHOUT ROWID;
CREATE INDEX due ON deliveries (destination, state, next_at);
CREATE TABLE problems (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, place TEXT NOT NULL, number INTEGER, text TEXT NOT NULL);
"""
Execute = Callable[..., Any]  # `execute` within a transaction


def add_due(run: Execute, number: int, destinations: Sequence[str], now: float) -> None:
    """A result is due to these destinations; to one that has an earlier result of the object it is sent `again`."""
    for name in destinations:
        run("INSERT INTO deliveries (number, destination, state, next_at, since) VALUES (?, ?, 'pending', ?, ?) ON CONFLICT DO UPDATE SET "
            "again = again OR state = 'sent', state = 'pending', next_at = excluded.next_at, since = excluded.since, attempts = 0, last_error = ''",
            (number, name, now, now))


def drop_due(run: Execute, number: int, destination: str = "") -> int:
    """What is due of an object is dropped, to one destination or to all; one that has an earlier result keeps that. Returns the number of deliveries."""
    where, values = "number = ? AND state = 'pending' AND destination = coalesce(nullif(?, ''), destination)", (number, destination)
    dropped = run(f"DELETE FROM deliveries WHERE {where} AND again = 0", values).rowcount
    return dropped + run(f"UPDATE deliveries SET state = 'sent', last_error = '' WHERE {where}", values).rowcount


def settle(run: Execute, number: int) -> bool:
    """An object that waits, and of which nothing more is due, is "sent"; "failed" if it has a reason. Returns whether it is one of them now."""
    now = time.time()
    done = "number = ? AND stage = 'waiting' AND row = '' AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.number = objects.number AND d.state = 'pending')"
    if run(f"UPDATE objects SET state = 'sent', stage = '', changed_at = ?, sent_at = ? WHERE reason = '' AND {done}", (now, now, number)).rowcount:
        return True
    return bool(run(f"UPDATE objects SET state = 'failed', stage = '', sha256_out = '', row = '{{}}', changed_at = ? WHERE {done}", (now, number)).rowcount)
