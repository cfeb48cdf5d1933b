"""Files written atomically, readable by their owner only, and on the disk when the call returns; and their SHA-256."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from ..errors import UsageError, WriteError
from . import regular_files


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def open_private(path: Path, mode: str = "w") -> IO[str]:
    """Open a UTF-8 text file for writing that only its owner may read; "w" replaces, "a" appends.

    Raises:
        UsageError: a link or something other than a regular file is in its place.
        OSError: it cannot be opened.
    """
    descriptor = regular_files.opened(path, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if mode == "a" else 0))
    if mode != "a":
        os.ftruncate(descriptor, 0)
    return open(descriptor, mode, encoding="utf-8", newline="\n")


def write_private(path: Path, text: str | Iterable[str]) -> None:
    """Replace a file atomically: readers see the old file or the complete new one.

    Args:
        text: the content, or an iterable of its pieces, which are written as they are produced.

    Raises:
        UsageError: a link or something other than a regular file is in the place of the temporary file, PATH.new.
        OSError: it cannot be written; the old file is unchanged.
    """
    temporary = path.with_name(path.name + ".new")
    try:
        with open_private(temporary) as handle:
            handle.writelines([text] if isinstance(text, str) else text)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except UsageError:  # the link or device was not made here, so it is not removed
        raise
    except BaseException:  # the old file is unchanged; the incomplete new one is removed
        temporary.unlink(missing_ok=True)
        raise


def move_into(temporary: Path, relative: str, out: Path, *, replace: bool) -> None:
    """Rename a finished file to OUT/relative, creating folders as needed.

    Args:
        temporary: the finished file, on the same file system.
        out: an existing folder, its path resolved: a link in it must have been put there later.
        replace: whether an existing file is replaced.

    Raises:
        WriteError: a link at OUT or below it would lead the file elsewhere; a folder has its name; or (unless `replace`) a file has,
            as for two names that differ only in case on a file system that ignores case.
    """
    target = out / relative
    if out.resolve() != out:
        raise WriteError("the output folder was replaced by a symbolic link")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.resolve().is_relative_to(out):
        raise WriteError("a symbolic link below the output folder leads out of it")
    if target.is_dir():
        raise WriteError("a folder of the same name stands in the output folder")
    if not replace and os.path.lexists(target):
        raise WriteError("a file of the same name stands in the output folder")
    os.replace(temporary, target)
    sync(target.parent)


def take_away(relative: str, out: Path) -> None:
    """Remove the file or link OUT/relative if there is one, never through a link that leads out of OUT.

    Args:
        out: as for `move_into`.
    """
    target = out / relative
    if target.parent.resolve().is_relative_to(out) and (os.path.islink(target) or os.path.isfile(target)):  # no error for a long path
        target.unlink()


def sync(path: Path) -> None:
    """Flush a file or folder to the disk. On Windows folders cannot be opened, and need not be flushed; files must be opened for writing."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
