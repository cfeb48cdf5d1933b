"""Which files of a watched folder were taken, kept over restarts in the spool: watched.sqlite, as confidential as the files."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path
from typing import NamedTuple

from ...system import regular_files

FILE = "watched.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    relative BLOB PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, taken_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (part BLOB PRIMARY KEY) WITHOUT ROWID;
"""


class Version(NamedTuple):
    """What a file was when it was looked at: size in bytes, time of its last change in nanoseconds, and its number in the file system."""

    size: int
    mtime_ns: int
    inode: int


class TakenFiles:
    """The list; used by one thread.

    Args:
        spool: folder of the node.

    Raises:
        UsageError: a link or something other than a regular file is in its place.
        sqlite3.Error: of every method: the disk is full or fails.
    """

    def __init__(self, spool: Path) -> None:
        path = spool / FILE
        os.close(regular_files.opened(path, os.O_RDWR | os.O_CREAT))  # owner only
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_SCHEMA)
        self._files = {os.fsdecode(name): (size, mtime_ns) for name, size, mtime_ns in self._database.execute("SELECT relative, size, mtime_ns FROM files")}

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._database.close()

    def has(self, relative: str, version: Version) -> bool:
        """Whether this version of a file was taken: one of the same size and time."""
        return self._files.get(relative) == (version.size, version.mtime_ns)

    def add(self, relative: str, version: Version, number: int, kind: str) -> None:
        """A version of a file is in the spool: object `number` of the index, taken as `kind`."""
        with self._lock:
            row = os.fsencode(relative), version.size, version.mtime_ns, number, kind, time.time()
            self._database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", row)
        self._files[relative] = version.size, version.mtime_ns

    def count(self) -> int:
        """Number of files that were taken, each once."""
        return len(self._files)

    def parts(self) -> set[str]:
        """Names of folders and files that a header was found to name; they get a pseudonym wherever they occur."""
        with self._lock:
            return {os.fsdecode(row[0]) for row in self._database.execute("SELECT part FROM parts")}

    def add_parts(self, parts: set[str]) -> None:
        """Remember such names."""
        with self._lock:
            self._database.executemany("INSERT OR IGNORE INTO parts VALUES (?)", [(os.fsencode(part),) for part in sorted(parts)])
