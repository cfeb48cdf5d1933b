"""One process at a time in a folder: a lock file in it, locked until it is released or the process ends.

The lock is the operating system's, acquired by `filelock`; it ends with the process, so a killed run leaves no lock. A file system without
such locks is an error: the mere existence of a file is not used as a lock, since a killed run would leave it.
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


def hold(path: Path, busy: str, hint: str = "", *, wait_s: float = 0.0) -> FileLock:
    """Lock a file, created if necessary and accessible to its owner only.

    Args:
        busy: message if another process, or another part of this one, holds the lock.
        hint: advice for a file system without locks, appended to the message.
        wait_s: time in seconds to wait for another holder.

    Returns:
        The lock; its `release()` may be called from any thread.

    Raises:
        UsageError: it is held, cannot be locked, or a link or something other than a regular file is in its place.
        OSError: it cannot be created.
    """
    from filelock import FileLock, Timeout

    os.close(regular_files.opened(path, os.O_RDWR | os.O_CREAT))
    lock = FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False, preserve_lock_file=True)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        raise UsageError(busy) from None
    except OSError as error:
        raise UsageError(f"{path.parent}: its file system cannot lock a file ({error.strerror}){hint and '; ' + hint}") from error
    return lock


@contextmanager
def held(path: Path, busy: str, hint: str = "", *, wait_s: float = 0.0) -> Iterator[None]:
    """`hold` for the duration of the block; arguments and errors are the same."""
    lock = hold(path, busy, hint, wait_s=wait_s)
    try:
        yield
    finally:
        lock.release()
