"""Looks at a folder again and again, and takes what has settled into the spool.

`watchfiles` and `watchdog` were looked at: they tell of changes on local disks, while a network share, on which such folders usually lie, tells of
none, so that the folder has to be walked all the same; and what settles is seen only by looking twice.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ...configuration.node_tables import Watch
from ...errors import MarkerRemoverError, RefusedError, UsageError
from ...run.inputs import matches
from ...system import regular_files
from ..engine import Engine
from ..index import DUPLICATE
from ..sending import unexpected
from .result_names import ResultNames
from .taken_files import TakenFiles, Version

log = logging.getLogger(__name__)

ORIGIN = "watch"
COPIES = "watching"  # folder in the spool in which files are copied before they are taken
#: Names that programs give to files which they still write; such a file is taken once it is renamed.
UNFINISHED = (".*", "*.part", "*.partial", "*.tmp", "*.temp", "*.filepart", "*.crdownload", "~$*")


class Look(NamedTuple):
    """What one look found: numbers of files that were taken, that settle, that are left out by name, and that cannot be taken."""

    taken: int = 0
    settling: int = 0
    ignored: int = 0
    refused: int = 0


class _Changed(Exception):
    """A file changed while it was copied."""


class WatchedFolder:
    """One folder and the thread that looks at it.

    Args:
        folder: it must exist.
        engine: started; takes the files.
        watch: settings.
        ignore: globs of files to leave out.
        names: paths of results.
        clock: seconds that only go forward.
    """

    def __init__(
        self, folder: Path, engine: Engine, watch: Watch, *, ignore: tuple[str, ...], names: Callable[[TakenFiles], ResultNames],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._engine, self._watch, self._ignore, self._clock = Path(folder).resolve(), engine, watch, (*ignore, *UNFINISHED), clock
        self._files = TakenFiles(engine.spool.folder)
        self._names = names(self._files)
        self._copies = engine.spool.folder / COPIES
        regular_files.folder(self._copies)
        for path in self._copies.iterdir():  # left by a crash
            path.unlink()
        self._seen: dict[str, tuple[Version, float]] = {}
        self._told: set[tuple[str, str]] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watching", daemon=True)
        self.last = Look()

    @property
    def files(self) -> int:
        """Number of files that were taken so far, also by earlier processes."""
        return self._files.count()

    def start(self) -> None:
        """Start to look."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after the file that it is taking."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._files.close()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except (OSError, sqlite3.Error, MarkerRemoverError) as error:
                log.error("the watched folder waits: %s", type(error).__name__)
            except Exception as error:  # a thread that ends without a word would take nothing any more
                log.error("the watched folder waits: %s", unexpected(error))
            self._stopping.wait(self._watch.poll_s)

    def look(self) -> Look:
        """Look once, and take what has settled; returns what was found.

        Raises:
            OSError, sqlite3.Error: the spool cannot be written.
        """
        now, count = self._clock(), dict.fromkeys(Look._fields, 0)
        seen: dict[str, tuple[Version, float]] = {}
        for relative, path, version, problem in self._below():
            if self._stopping.is_set():
                break
            if matches(relative, self._ignore):
                count["ignored"] += 1
            elif version is None:
                count["refused"] += 1
                self._tell(relative, problem)
            elif not self._files.has(relative, version):
                before = self._seen.get(relative)
                since = before[1] if before and before[0] == version else now
                if now - since < self._watch.settle_s or before is None or before[0] != version:
                    count["settling"] += 1
                    seen[relative] = version, since
                elif self._take(relative, path, version):
                    count["taken"] += 1
                else:
                    count["refused"] += 1
                    seen[relative] = version, since
        self._seen, self.last = seen, Look(**count)
        return self.last

    def _below(self) -> Iterator[tuple[str, Path, Version | None, str]]:
        """Path below the folder, path, version and problem of everything but folders; links are not followed and have a problem."""
        def unlisted(error: OSError) -> None:
            self._tell(str(error.filename), f"a folder cannot be listed ({error.strerror})")

        for parent, folders, files in os.walk(self._folder, onerror=unlisted):
            for name in folders:
                if name.startswith("."):
                    self._tell(os.path.join(parent, name), "a folder whose name begins with a dot is left out")
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted([*files, *(name for name in folders if os.path.islink(Path(parent, name)))]):
                path = Path(parent, name)
                relative = path.relative_to(self._folder).as_posix()
                try:
                    found = os.lstat(path)
                except OSError:  # gone since it was listed
                    continue
                regular = stat.S_ISREG(found.st_mode)
                version = Version(found.st_size, found.st_mtime_ns, found.st_ino) if regular else None
                yield relative, path, version, "" if regular else "a link, or no regular file, in the watched folder: it is not followed"

    def _take(self, relative: str, path: Path, version: Version) -> bool:
        """Take one file; returns whether it is now in the spool."""
        if version.size > self._engine.settings.limits.object_bytes:
            self._tell(relative, "a file is too large")
            return False
        copy = self._copies / "copy"
        try:
            _copy(path, version, copy)
            accepted = self._engine.incoming.accept(copy, ORIGIN, name=self._names.of(copy, relative))
        except _Changed:
            return False
        except RefusedError as error:
            self._tell(relative, str(error))
            return False
        except UsageError:
            self._tell(relative, "a file cannot be taken under its name, or is no regular file")
            return False
        except OSError as error:
            self._tell(relative, f"a file cannot be read or the spool cannot be written ({error.strerror})")
            return False
        except Exception as error:  # one file keeps no other away
            self._tell(relative, str(unexpected(error)))
            return False
        finally:
            copy.unlink(missing_ok=True)
        self._files.add(relative, version, accepted.number, accepted.kind)
        if accepted.kind == DUPLICATE:
            log.info("a watched file is the same as object %d: not cleaned again", accepted.number)
        return True

    def _tell(self, relative: str, problem: str) -> None:
        """Note a trouble once for each file; its name is not noted."""
        if (relative, problem) not in self._told:
            self._told.add((relative, problem))
            log.warning("watching: %s", problem)
            self._engine.index.note("watching", problem)


def _copy(path: Path, version: Version, target: Path) -> None:
    """Copy a file that must be `version` before and after.

    Raises:
        _Changed: it is not.  UsageError, OSError: see `regular_files.opened`.
    """
    with os.fdopen(regular_files.opened(path), "rb") as source, os.fdopen(regular_files.opened(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as copy:
        for moment in ("before", "after"):
            found = os.fstat(source.fileno())
            if Version(found.st_size, found.st_mtime_ns, found.st_ino) != version:
                raise _Changed(moment)
            if moment == "before":
                shutil.copyfileobj(source, copy, 1 << 20)
    if target.stat().st_size != version.size:
        raise _Changed("size")
