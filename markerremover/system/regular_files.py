"""Access to an audit's files and folders that follows no link, opens no pipe or device, and keeps other users from writing.

Anybody who can put a link or a pipe in their place could have other files read, overwritten or disclosed, or block the program.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ..errors import UsageError

MAX_BYTES = 1 << 32  # maximum size of a manifest or a log; one of a million files has 1.3 GB
STRANGE = "is a link, or no regular file: it is not followed; check who put it there, and remove it"
_FOLLOWS_NONE = getattr(os, "O_NOFOLLOW", 0)
_ALWAYS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)  # opening a pipe without a writer does not block


def opened(path: Path, flags: int = os.O_RDONLY, *, follow: bool = False) -> int:
    """Open a regular file; with `O_CREAT` in `flags` its mode becomes 0600.

    Args:
        flags: of `os.open`.
        follow: whether the path may be a link, as for a file that the user named.

    Returns:
        A file descriptor, to be closed by the caller.

    Raises:
        UsageError: the path is a link, a folder, a pipe, a socket or a device.
        OSError: as `os.open`.
    """
    try:
        descriptor = os.open(path, flags | _ALWAYS | (0 if follow else _FOLLOWS_NONE), 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.ENODEV, errno.EISDIR, errno.EOPNOTSUPP):
            raise UsageError(f"{path}: {STRANGE}") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UsageError(f"{path}: {STRANGE}")
    if flags & os.O_CREAT and hasattr(os, "fchmod"):
        os.fchmod(descriptor, 0o600)
    return descriptor


def read(path: Path, max_bytes: int = MAX_BYTES, *, follow: bool = False) -> bytes:
    """The content of a regular file.

    Raises:
        UsageError: see `opened`; or it has more than `max_bytes` bytes.
        OSError: as `os.open`, for example if there is no such file.
    """
    with os.fdopen(opened(path, follow=follow), "rb") as handle:
        if os.fstat(handle.fileno()).st_size > max_bytes:
            raise UsageError(f"{path}: has more than {max_bytes} bytes")
        return handle.read()


def folder(path: Path) -> None:
    """Create a folder that only its owner can access, or restrict an existing one to its owner.

    Raises:
        UsageError: a link or something else is in its place, or its mode cannot be changed.
        OSError: it cannot be created.
    """
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    real(path)
    if os.name == "posix" and os.lstat(path).st_mode & 0o077:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _FOLLOWS_NONE | _ALWAYS)
            try:
                os.fchmod(descriptor, 0o700)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise UsageError(f"{path}: other users may read or write in it, and that cannot be changed ({error.strerror})") from error


def only_files(path: Path) -> None:
    """Check that a folder holds regular files and folders, and nothing else.

    Raises:
        UsageError: it holds something else; the message names it.
    """
    with os.scandir(path) as entries:
        for entry in entries:
            if not entry.is_file(follow_symlinks=False) and not entry.is_dir(follow_symlinks=False):
                raise UsageError(f"{entry.path}: {STRANGE}")


def real(path: Path) -> bool:
    """Whether a folder exists.

    Raises:
        UsageError: a link or something else is in its place.
    """
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{path}: is a link, or no folder: it is not followed; check who put it there, and remove it")
    return True
