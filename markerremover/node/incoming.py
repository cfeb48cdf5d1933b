"""How objects come into the spool: checked against the limits, on the disk and in the index before the call returns."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, NamedTuple

from ..errors import RefusedError, UsageError
from ..formats.dicom.file_meta import MOST, FileFacts, file_facts, file_head
from .index import CONFLICT, DUPLICATE, Index
from .records import Limits
from .spool import PIECE_BYTES, Spool, digest_of, is_safe

log = logging.getLogger(__name__)

TOO_LARGE, TOO_MANY, FULL_SPOOL, FULL_DISK = "the object is too large", "too many objects in a minute", "the spool is full", "the disk is nearly full"


class Accepted(NamedTuple):
    """An object that is safely in the spool. number: in the index.  kind: `index.NEW`, `DUPLICATE` or `CONFLICT`."""

    number: int
    kind: str


class Incoming:
    """The way into a spool; safe to use from several threads.

    Args:
        on_new: called after each object, with its kind.
    """

    def __init__(self, spool: Spool, index: Index, limits: Limits, on_new: Callable[[str], None]) -> None:
        self._spool, self._index, self._limits, self._on_new = spool, index, limits, on_new
        self._refusing, self._recent = threading.Lock(), deque[float]()

    def accept(self, source: Path | bytes, origin: str, *, name: str = "", apart: bool = False) -> Accepted:
        """Take a file into the spool; it is on the disk when the call returns.

        Args:
            source: path of a file that nobody writes any more, or its bytes; it is not changed.
            origin: what it came through, such as "watch"; without identifiers.
            name: path below a watched folder, which its result gets in a folder destination; "" for a new one.
            apart: whether it is an object of its own even if another one has its SOP Instance UID, as a file that a person dropped has nothing to
                do with the same object that an archive sends; its name must be unique then.

        Raises:
            RefusedError: there is no room for it, see `Limits`.
            OSError, sqlite3.Error: it cannot be read, or the spool cannot be written.
        """
        if name and not is_safe(name):
            raise UsageError("the name of an object must be a path below its folder")
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        self._check_room(size)
        pieces = iter([source]) if isinstance(source, bytes) else _pieces(source)
        path, handle = self._spool.new_file()
        try:
            facts, digest = _copied(pieces, handle)
        except BaseException:
            handle.close()
            path.unlink(missing_ok=True)
            raise
        uid = facts.sop_instance if facts and not apart else f"file {name} {digest}"  # one picture under two names of a watched folder is two
        return self._accepted(path, handle, uid, digest, origin, name)

    def accept_data_set(self, data: memoryview | bytes, facts: FileFacts, origin: str) -> Accepted:
        """Take the data set of a C-STORE request into the spool; it is on the disk when the call returns.

        Args:
            data: encoded data set.  facts: of the request; `offset` does not count.  origin: calling AE title.

        Raises:
            As `accept`.
        """
        self._check_room(len(data))
        digest = digest_of(facts.transfer_syntax)
        digest.update(data)
        known = self._index.known(facts.sop_instance, digest.hexdigest())
        if known is not None:
            self._index.count_duplicate()
            return Accepted(known, DUPLICATE)
        path, handle = self._spool.new_file()
        try:
            handle.write(file_head(facts.sop_class, facts.sop_instance, facts.transfer_syntax))
            handle.write(data)
        except BaseException:
            _discard(path, handle)
            raise
        return self._accepted(path, handle, facts.sop_instance, digest.hexdigest(), origin, "")

    def _accepted(self, path: Path, handle: IO[bytes], uid: str, digest: str, origin: str, name: str) -> Accepted:
        """Record an object whose bytes are written; nothing is left of it where that fails."""
        size = handle.tell()
        try:
            known = self._index.known(uid, digest)
            if known is not None:
                self._index.count_duplicate()
                _discard(path, handle)
                return Accepted(known, DUPLICATE)
        except BaseException:
            _discard(path, handle)
            raise
        relative = self._spool.keep(path, handle, name)
        try:
            number, kind = self._index.add(relative, uid, digest, size, origin, name)
        except BaseException:
            self._spool.drop_object(relative)
            raise
        if kind == DUPLICATE:  # it came twice at the same moment
            self._spool.drop_object(relative)
        elif kind == CONFLICT:
            log.warning("object %d from %s: held, its SOP Instance UID is that of an object with other content", number, origin)
        else:
            log.info("object %d from %s: received, %d bytes", number, origin, size)
        self._on_new(kind)
        return Accepted(number, kind)

    def _check_room(self, size: int) -> None:
        """Refuse what is over a limit.

        Raises:
            RefusedError: see `Limits`.
        """
        limits, now = self._limits, time.monotonic()
        reason = ""
        if size > limits.object_bytes:
            reason = TOO_LARGE
        elif self._index.spool_bytes() + size > limits.spool_bytes:
            reason = FULL_SPOOL
        elif self._spool.free_bytes() - size < limits.free_bytes:
            reason = FULL_DISK
        elif limits.per_minute:
            with self._refusing:
                while self._recent and self._recent[0] < now - 60:
                    self._recent.popleft()
                if len(self._recent) >= limits.per_minute:
                    reason = TOO_MANY
                else:
                    self._recent.append(now)
        if reason:
            raise RefusedError(reason)


def _pieces(path: Path) -> Iterable[bytes]:
    with open(path, "rb") as handle:
        while piece := handle.read(PIECE_BYTES):
            yield piece


def _copied(pieces: Iterable[bytes], handle: IO[bytes]) -> tuple[FileFacts | None, str]:
    """Write pieces into a file; returns what their head says, and the digest of the object."""
    facts: FileFacts | None = None
    digest = hashlib.sha256()
    for number, piece in enumerate(pieces):
        handle.write(piece)
        if number == 0 and (facts := file_facts(piece[:MOST])):
            digest = digest_of(facts.transfer_syntax)
            piece = piece[facts.offset :]
        digest.update(piece)
    return facts, digest.hexdigest()


def _discard(path: Path, handle: IO[bytes]) -> None:
    """Close and delete a file; a disk that is full cannot take the rest of its buffer."""
    try:
        handle.close()
    except OSError:
        pass
    finally:
        path.unlink(missing_ok=True)
