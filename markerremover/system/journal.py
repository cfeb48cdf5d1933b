"""Append-only logs with one JSON object per line that survive a crash."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

from . import regular_files


def append(path: Path, *entries: dict[str, Any]) -> None:
    """Append entries to a log and wait until they are on the disk; only its owner may read the file.

    An incomplete last line, left by a crash, is removed first.

    Raises:
        UsageError: a link or something other than a regular file is in its place.
        OSError: it cannot be written.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = regular_files.opened(path, os.O_RDWR | os.O_CREAT)
    try:
        end = _whole_lines(descriptor)
        os.ftruncate(descriptor, end)
        os.lseek(descriptor, end, os.SEEK_SET)
        data = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)  # ASCII only: file names need not be valid Unicode
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lines(path: Path) -> list[bytes]:
    """The lines of a log in order, [] if there is no log. An incomplete last line, left by a crash, is omitted.

    Raises:
        UsageError: see `append`; or it is too large.
    """
    try:
        return regular_files.read(path).split(b"\n")[:-1]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _whole_lines(descriptor: int) -> int:
    """Number of bytes up to and including the last line break."""
    size = os.fstat(descriptor).st_size
    if not size:
        return 0
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(os.dup(descriptor), "rb") as handle:
        handle.seek(size - 1)
        if handle.read(1) == b"\n":
            return size
        handle.seek(0)
        return handle.read().rfind(b"\n") + 1


def now() -> str:
    """The present time in UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
