"""Files and folders of an audit that are what they seem: reached through no link, no pipe or device, and nobody else's to write.

Whoever can put a link or a pipe in their place would have other files read, overwritten or sent on, or a program wait for ever.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ..errors import UsageError

MOST_BYTES = 1 << 32  # of a manifest or a log; one of a million files has 1.3 GB
STRANGE = "is a link, or no regular file: it is not followed; look who put it there, and take it away"
_FOLLOWS_NONE = getattr(os, "O_NOFOLLOW", 0)
_ALWAYS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)  # a pipe without a writer is not waited for


def opened(path: Path, flags: int = os.O_RDONLY, *, follow: bool = False) -> int:
    """A descriptor of a regular file; one that may be made (`O_CREAT`) is its owner's only then.

    Args:
        follow: whether the file may be reached through a link, as one that somebody named may.

    Raises:
        UsageError: it is a link, a folder, a pipe, a socket or a device.  OSError: as of `os.open`.
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


def read(path: Path, most: int = MOST_BYTES, *, follow: bool = False) -> bytes:
    """All of a regular file.

    Raises:
        UsageError: see `opened`; or it has more than `most` bytes.  OSError: as of `os.open`, for example there is none.
    """
    with os.fdopen(opened(path, follow=follow), "rb") as handle:
        if os.fstat(handle.fileno()).st_size > most:
            raise UsageError(f"{path}: has more than {most} bytes")
        return handle.read()


def folder(path: Path) -> None:
    """Make a folder that is its owner's only, or see that one is: what others could do in it until now, they no longer can.

    Raises:
        UsageError: a link or something else stands in its place, or its mode cannot be changed.  OSError: it cannot be made.
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
            raise UsageError(f"{path}: others may look or write into it, and that cannot be changed ({error.strerror})") from error


def only_files(path: Path) -> None:
    """See that a folder holds regular files and folders, and nothing else.

    Raises:
        UsageError: it holds something else, named.
    """
    with os.scandir(path) as entries:
        for entry in entries:
            if not entry.is_file(follow_symlinks=False) and not entry.is_dir(follow_symlinks=False):
                raise UsageError(f"{entry.path}: {STRANGE}")


def real(path: Path) -> bool:
    """Whether a folder is there.

    Raises:
        UsageError: a link or something else stands in its place.
    """
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{path}: is a link, or no folder: it is not followed; look who put it there, and take it away")
    return True
