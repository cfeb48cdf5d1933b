"""Files that are written whole, are their owner's only, and are on the disk when the call returns; and their SHA-256."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from ..errors import UsageError, WriteError
from . import regular_files


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def open_private(path: Path, mode: str = "w") -> IO[str]:
    """Open a text file that only its owner may read; "w" replaces, "a" appends.

    Raises:
        UsageError: a link or something that is no regular file stands in its place.
    """
    descriptor = regular_files.opened(path, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if mode == "a" else 0))
    if mode != "a":
        os.ftruncate(descriptor, 0)
    return open(descriptor, mode, encoding="utf-8", newline="\n")


def write_private(path: Path, text: str | Iterable[str]) -> None:
    """Replace a file in one step: readers see the old one or the new one, whole. Pieces of a text are written as they come."""
    temporary = path.with_name(path.name + ".new")
    try:
        with open_private(temporary) as handle:
            handle.writelines([text] if isinstance(text, str) else text)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except UsageError:  # what stands there is not ours to take away
        raise
    except BaseException:  # the one before stays; nothing half is left beside it
        temporary.unlink(missing_ok=True)
        raise


def move_into(temporary: Path, relative: str, out: Path, *, replace: bool) -> None:
    """Rename a finished file to OUT/relative, making folders as needed.

    Args:
        out: an existing folder, its path without links: what is a link there later was put in its place.

    Raises:
        WriteError: a link at OUT or under it would lead the file elsewhere, a folder stands in its place, or (unless `replace`)
            a file does, as for two names that differ in case only on a file system that does not tell them apart.
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
    """Flush a file or folder to the disk; folders cannot be opened on Windows, which needs no such call, and files only to be written."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
