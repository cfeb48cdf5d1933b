"""The folders of a node, and how an object gets into and out of them so that a crash loses nothing.

    SPOOL/incoming/     objects while they are written
    SPOOL/objects/      the objects, as they came
    SPOOL/out/          verified results that wait for their destinations
    SPOOL/out-audit/    audit of held and failed objects, as `remove` writes it: `review` and `apply` open it
    SPOOL/outgoing/     links to results while they are sent
    SPOOL/index.sqlite  the list of all objects, see `index`

Names are random letters: a name, number or UID of a patient in a path would have the object held.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from ..audit import full_pictures, manifest_files
from ..audit.crops import file_id
from ..errors import UsageError, WriteError
from ..headers.profile import CONSONANTS, HeaderProfile, new_key, read_key
from ..options import KEY, RunOptions
from ..system import locks, regular_files
from ..system.files import sha256_file, sync, take_away

NAME_LETTERS = 24  # 20^24, about 10^31 names
PIECE_BYTES = 1 << 20
LOCK = "lock"


class Changed(WriteError):
    """A result is missing, or not the one that was verified."""


class Spool:
    """The folders below one spool folder, all readable by their owner only.

    Attributes:
        folder, objects, out, audit: see the module.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.abspath(folder)).resolve()
        self.objects, self.out, self.audit = (self.folder / name for name in ("objects", "out", "out-audit"))
        self._incoming, self._outgoing = self.folder / "incoming", self.folder / "outgoing"
        self._lock: ExitStack | None = None

    def open(self) -> None:
        """Create the folders and lock them for this process.

        Raises:
            UsageError: another node uses them, they cannot be written, or a link stands in the place of one.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path in (self.folder, self.objects, self.out, self.audit, self.audit / "tmp", self.audit / "crops", self._incoming, self._outgoing):
                regular_files.folder(path)
            lock = ExitStack()
            lock.enter_context(locks.held(self.folder / LOCK, f"{self.folder}: another node is at work in it", "use another folder"))
            self._lock = lock
        except OSError as error:
            raise UsageError(f"{error.filename}: cannot be written ({error.strerror})") from error

    def close(self) -> None:
        """Release the lock."""
        if self._lock:
            self._lock.close()
            self._lock = None

    # Objects

    def new_file(self) -> tuple[Path, IO[bytes]]:
        """A file for an object that comes in, open for writing."""
        path = self._incoming / _letters()
        return path, os.fdopen(regular_files.opened(path, os.O_RDWR | os.O_CREAT | os.O_EXCL), "w+b")

    def keep(self, path: Path, handle: IO[bytes], given_name: str = "") -> str:
        """Make an object that was written to `new_file` durable; returns its path below objects/.

        Args:
            given_name: path below a watched folder; "" for a new name ending in .dcm.

        Raises:
            OSError: the disk is full or fails; the file is deleted.
        """
        try:
            handle.flush()
            os.fsync(handle.fileno())
            handle.close()
            name = _letters()
            relative = f"{name}/{given_name}" if given_name else f"{name[:2]}/{name}.dcm"
            target = self.objects / relative
            made = [folder for folder in (target.parent, *target.parent.parents) if folder.is_relative_to(self.objects) and not folder.is_dir()]
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.replace(path, target)
            sync(target.parent)
            for folder in made:
                sync(folder.parent)
        except BaseException:
            handle.close()
            path.unlink(missing_ok=True)
            raise
        return relative

    def drop_object(self, relative: str) -> None:
        """Delete an object and its folder, if that is then empty."""
        take_away(relative, self.objects)
        _prune(self.objects, relative)

    # Results

    def drop_result(self, relative: str) -> None:
        """Delete a result, if there is one."""
        take_away(relative, self.out)
        _prune(self.out, relative)

    def drop_pictures(self, relative: str, crops: Iterable[tuple[str, str]] | None = None) -> None:
        """Delete the pictures that show what was removed from an object.

        Args:
            crops: file names as in `Outcome.crops`; None looks for them.
        """
        identity, folder = file_id(relative), self.audit / "crops"
        names = {path.name for path in folder.glob(f"{identity}*")} if crops is None else {f"{identity}-{end}.jpg" for end in ("before", "after")}
        names |= {name for pair in crops or () for name in pair if name}
        for name in names:
            (folder / name).unlink(missing_ok=True)
        for name in full_pictures.names(identity):
            (self.audit / full_pictures.FOLDER / name).unlink(missing_ok=True)

    @contextmanager
    def pinned(self, relative: str, sha256: str) -> Iterator[Path]:
        """A path of exactly the verified result for the duration of the block, whatever happens to that in out/.

        Raises:
            Changed: the result is missing, or its SHA-256 is another one.
        """
        path = self._outgoing / _letters()
        try:
            os.link(self.out / relative, path)
        except FileNotFoundError:
            raise Changed("the result is missing") from None
        try:
            if sha256_file(path) != sha256:
                raise Changed("the result is not the one that was verified")
            yield path
        finally:
            path.unlink(missing_ok=True)

    # Room and tidying

    def free_bytes(self) -> int:
        """Free bytes of the file system."""
        return shutil.disk_usage(self.folder).free

    def sweep(self, known: set[str], with_pictures: set[str]) -> int:
        """After a crash: delete files that no object of the index has; their senders got no status Success for them.

        Args:
            known: paths below objects/ of the index.  with_pictures: those whose pictures stay.

        Returns:
            Number of deleted objects.
        """
        for folder in (self._incoming, self._outgoing, self.audit / "tmp"):
            for path in folder.iterdir():
                path.unlink()
        count = 0
        for root in (self.objects, self.out):
            for parent, _, names in os.walk(root):
                for name in names:
                    relative = Path(parent, name).relative_to(root).as_posix()
                    if relative not in known:
                        take_away(relative, root)
                        _prune(root, relative)
                        count += root == self.objects
        identities = {file_id(relative) for relative in with_pictures}
        for pictures in (self.audit / "crops", self.audit / full_pictures.FOLDER):
            for path in pictures.iterdir() if pictures.is_dir() else ():
                if path.name != full_pictures.USED and path.name.split("-", 1)[0] not in identities:
                    path.unlink()
        full_pictures.recount(self.audit)
        return count


def header_profile(audit: Path, options: RunOptions) -> HeaderProfile:
    """The treatment of headers, with the given key or that of the audit folder, which is created once.

    Raises:
        UsageError: the key cannot be read.
    """
    if not options.needs_key:
        return HeaderProfile()
    if options.key is not None:
        return options.header_profile()
    path = audit / KEY
    key = read_key(path) if path.exists() else manifest_files.agreed_key(path, new_key())
    return HeaderProfile(options.headers, key, options.retain, options.shift_dates)


def digest_of(transfer_syntax: str) -> hashlib._Hash:
    """A hash to be updated with the bytes of a data set: the same object has the same digest by DICOM and as a file."""
    return hashlib.sha256(transfer_syntax.encode() + b"\0")


def is_safe(name: str) -> bool:
    """Whether a path below a watched folder stays below it.

    >>> is_safe("a/b.dcm"), is_safe("../b.dcm"), is_safe("/etc/passwd")
    (True, False, False)
    """
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\\" not in name and "\0" not in name


def _letters() -> str:
    return "".join(secrets.choice(CONSONANTS) for _ in range(NAME_LETTERS))


def _prune(root: Path, relative: str) -> None:
    """Delete the folders of a path below `root` that are empty, except the shared ones of two letters."""
    for folder in PurePosixPath(relative).parents:
        if len(folder.parts) == 0 or (len(folder.parts) == 1 and len(folder.name) <= 2):
            return
        try:
            os.rmdir(root / folder)
        except OSError:  # not empty, or gone
            return
