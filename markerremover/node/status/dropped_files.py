"""Files that a person drops on the status page: taken into the spool like any object, but their results wait for that person alone.

Their names never leave the browser. What is given back is the verified result, checked once more against its hash; the original never is.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

from ...configuration.node_tables import Status
from ...errors import ReadError, RefusedError
from ...headers.profile import CONSONANTS
from ...system import regular_files
from ..engine import Engine
from ..records import FolderDestination, Stored

log = logging.getLogger(__name__)

ORIGIN = "dropped on the status page"  # longer than an AE title, so that no caller has it
DESTINATION = "status-page"  # name of the destination of such objects
FOLDER, COPIES = "dropped", "dropping"  # folders in the spool: of results, and of files that are being received
SHOWN = 200
_SUFFIXES = {b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg", b"II*\0": ".tif", b"MM\0*": ".tif"}
MEDIA = {".png": "image/png", ".jpg": "image/jpeg", ".tif": "image/tiff", ".dcm": "application/dicom"}


class Result(NamedTuple):
    """A result: its bytes and media type."""

    data: bytes
    media: str


def destination(spool: Path) -> FolderDestination:
    """The destination of dropped files; its folder is created.

    Raises:
        UsageError, OSError: it cannot be created, or a link is in its place.
    """
    spool.mkdir(parents=True, exist_ok=True, mode=0o700)
    regular_files.folder(spool / FOLDER)
    return FolderDestination(DESTINATION, (spool / FOLDER).resolve())


class DroppedFiles:
    """The dropped files of a node.

    Args:
        engine: started; `destination` is one of its destinations, reserved for ORIGIN.
    """

    def __init__(self, engine: Engine, status: Status) -> None:
        self._engine, self._status = engine, status
        self._results, self._copies = engine.spool.folder / FOLDER, engine.spool.folder / COPIES
        regular_files.folder(self._copies)
        for path in self._copies.iterdir():  # left by a crash
            path.unlink()

    @property
    def most_bytes(self) -> int:
        """Largest file; 0: none may be dropped."""
        return int(self._status.upload_mb * 1_000_000)

    def waiting(self) -> int:
        """Number of dropped files that are not done."""
        return sum(one.state in ("received", "working") for one in self._engine.index.of_origin(ORIGIN, self._status.upload_files))

    async def take(self, pieces: AsyncIterator[bytes]) -> int:
        """Receive a file; returns its number in the index.

        Raises:
            RefusedError: it is empty or too large, too many wait, or the spool is full.
            OSError, sqlite3.Error: the spool cannot be written.
        """
        from starlette.concurrency import run_in_threadpool

        if not self.most_bytes:
            raise RefusedError("no file may be dropped here: upload_mb of the configuration is 0")
        if self.waiting() >= self._status.upload_files:
            raise RefusedError("too many dropped files wait: come back when some are done")
        letters = "".join(secrets.choice(CONSONANTS) for _ in range(24))
        copy, size, head = self._copies / letters, 0, b""
        try:
            with os.fdopen(regular_files.opened(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as handle:
                async for piece in pieces:
                    size, head = size + len(piece), (head + piece)[:132] if len(head) < 132 else head
                    if size > self.most_bytes:
                        raise RefusedError(f"the file is larger than {self._status.upload_mb:g} MB")
                    handle.write(piece)
            if not size:
                raise RefusedError("the file is empty")
            return await run_in_threadpool(self._accept, copy, letters + _suffix(head))
        finally:
            copy.unlink(missing_ok=True)

    def _accept(self, copy: Path, name: str) -> int:
        return self._engine.incoming.accept(copy, ORIGIN, name=name, apart=True).number

    def rows(self) -> list[dict[str, Any]]:
        """Number, state, reason and, of those with a result, its suffix with a dot, of the latest dropped files."""
        return [
            {"number": one.number, "state": one.state, "reason": one.reason, "result": path.suffix if (path := self._path(one)) else ""}
            for one in self._engine.index.of_origin(ORIGIN, SHOWN)]

    def _path(self, stored: Stored) -> Path | None:
        path = self._results / stored.given_name
        return path if stored.state == "sent" and stored.given_name and path.is_file() and not path.is_symlink() else None

    def result(self, number: int) -> Result:
        """The verified result of a dropped file.

        Raises:
            ReadError: there is no such file, it has no result (yet), or the result is not the one that was verified.
        """
        stored = self._engine.index.get(number)
        path = self._path(stored) if stored is not None and stored.origin == ORIGIN else None
        if stored is None or path is None:
            raise ReadError("there is no result of that number")
        data = regular_files.read(path)
        if hashlib.sha256(data).hexdigest() != stored.sha256_out:
            log.error("object %d: its result is not the one that was verified: it is not given out", number)
            raise ReadError("the result is not the one that was verified")
        return Result(data, MEDIA[path.suffix])

    def tidy(self) -> int:
        """Delete results after the time that the settings say; returns their number."""
        before, count = time.time() - 3600 * self._status.keep_h, 0
        for path in self._results.iterdir():
            if path.lstat().st_mtime < before:
                path.unlink()
                count += 1
        return count


def _suffix(head: bytes) -> str:
    """The suffix of a file by its first bytes; that of DICOM for all that is no other format."""
    if head[128:132] == b"DICM":
        return ".dcm"
    return next((suffix for start, suffix in _SUFFIXES.items() if head.startswith(start)), ".dcm")
