"""One process at a time in a folder: a file in it that is locked for as long as it is held or the process lives.

The lock is the operating system's, taken by `filelock`; it ends with the process, so a run that was killed leaves none behind. On a file
system without such locks nothing is held by the mere existence of a file, which a killed run would leave: it is an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from . import regular_files

if TYPE_CHECKING:
    from filelock import FileLock


def hold(path: Path, busy: str, hint: str = "") -> FileLock:
    """Lock a file, made if need be and its owner's only; `release()` of what is returned gives it back, from any thread.

    Args:
        busy: what to say where another process, or another part of this one, holds it.
        hint: what to do where the file system has no locks, after a "; ".

    Raises:
        UsageError: it is held, cannot be locked, or a link or something that is no regular file stands in its place.
        OSError: it cannot be made.
    """
    from filelock import FileLock, Timeout

    os.close(regular_files.opened(path, os.O_RDWR | os.O_CREAT))
    lock = FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False, preserve_lock_file=True)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(busy) from None
    except OSError as error:
        raise UsageError(f"{path.parent}: its file system cannot lock a file ({error.strerror}){hint and '; ' + hint}") from error
    return lock


@contextmanager
def held(path: Path, busy: str, hint: str = "") -> Iterator[None]:
    """`hold` for as long as the block takes."""
    lock = hold(path, busy, hint)
    try:
        yield
    finally:
        lock.release()
