"""Files read in processes of their own: parsing one may hang or end its process, and then costs that one file only.

`remove` cleans in such processes anyway (see `workers`); this is for what reads files beside that: the headers that decide about paths,
and every command that looks at pictures of a folder. In a process that can be ended already files are read there.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import util
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from ..errors import ReadError, UsageError
from ..records import Radiograph
from ..system.parent_process import end_with_parent
from . import images

READ_S = 300.0  # that reading one file may take; the largest take some seconds
TOGETHER, TOGETHER_S = 64, 20.0  # files that go to a process at once, and seconds for them; those that do not end are tried one by one
FILES_EACH = 2000  # that a process must have to look at to be worth its start
TRIES = 3  # to start a process
DIED = "the process that read it died"
UNSTARTED = "no process can be started to read files in; is there too little memory, or is a script without `if __name__ == \"__main__\"`?"


def read(path: Path | str) -> Radiograph:
    """`images.read`, in another process.

    Raises:
        ReadError: also where reading takes longer than `READ_S`, or ends its process.
        HeldError, OSError: see `images.read`.
    """
    return replace(call(images.read, Path(path)), path=Path(path))  # makes its arrays read-only again


def size(path: Path | str) -> tuple[int, tuple[int, int]]:
    """Number of frames, and rows and columns, of a file that another process reads; raises what `read` does."""
    return call(_size, Path(path))


def _size(path: Path) -> tuple[int, tuple[int, int]]:
    radiograph = images.read(path)
    return len(radiograph.display), radiograph.shape_hw


def call(function: Callable[[Path], Any], path: Path, limit: float | None = None) -> Any:
    """What a function, importable by name, makes of a file, in another process; one process for all calls.

    Args:
        limit: seconds; `READ_S` by default.

    Raises:
        ReadError: it took longer than that, or ended its process.
        UsageError: no process can be started.
        Exception: whatever the function raises.
    """
    if multiprocessing.current_process().daemon:  # it was started for this, and may start none itself
        return function(path)
    path = Path(os.path.abspath(path))  # the other process may have been started in another folder
    limit = READ_S if limit is None else limit
    for _ in range(TRIES):
        try:
            future = _shared().schedule(function, args=(path,), timeout=limit)
        except RuntimeError:  # it broke while nobody waited for it
            end()
            continue
        try:
            return future.result()
        except TimeoutError as error:
            raise ReadError(f"{path.name}: took longer than {limit:g} s to read") from error
        except ProcessExpired as error:
            raise ReadError(f"{path.name}: {DIED}") from error
        except BrokenProcessPool:
            end()
    raise UsageError(UNSTARTED)


def each_header(function: Callable[[Path], Any], paths: Sequence[Path], limit: float, processes: int) -> Iterator[tuple[Path, Any]]:
    """What a function makes of the headers of many DICOM files, as they get done; a `ReadError` in place of what was lost.

    Args:
        function: importable by name; must return, not raise.
        limit: seconds for one file.
        processes: how many at most; fewer where there are few files.

    Raises:
        UsageError: no process can be started.
    """
    waiting = deque(tuple(paths[i : i + TOGETHER]) for i in range(0, len(paths), TOGETHER))
    count, left = max(1, min(processes, len(paths) // FILES_EACH)), TRIES
    while waiting:
        if not left:
            raise UsageError(UNSTARTED)
        left -= 1
        with _headers_pool(count) as pool:
            for found in _until_broken(pool, function, waiting, limit, count):
                left = TRIES
                yield found


def _until_broken(
    pool: ProcessPool, function: Callable[[Path], Any], waiting: deque[tuple[Path, ...]], limit: float, count: int
) -> Iterator[tuple[Path, Any]]:
    """Results until nothing waits, or the pool breaks; a group that does not end goes back file by file."""
    running: dict[Future, tuple[Path, ...]] = {}
    while waiting or running:
        try:
            while waiting and len(running) < 2 * count:  # each has one to go on with while its last result is on the way
                timeout = limit if len(waiting[0]) == 1 else min(limit, TOGETHER_S)
                running[pool.schedule(_all, args=(function, waiting[0]), timeout=timeout)] = waiting[0]
                waiting.popleft()
        except RuntimeError:  # it broke while nobody waited for it
            waiting.extend(running.values())
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            group = running.pop(future)
            try:
                yield from zip(group, future.result())
            except BrokenProcessPool:
                waiting.extend([group, *running.values()])
                return
            except (TimeoutError, ProcessExpired) as error:
                if len(group) > 1:
                    waiting.extend((path,) for path in group)
                    continue
                slow = isinstance(error, TimeoutError)
                yield group[0], ReadError(f"its header took longer than {limit:g} s to read" if slow else f"{DIED} at its header")


def _all(function: Callable[[Path], Any], paths: Sequence[Path]) -> list[Any]:
    return [function(path) for path in paths]


@contextmanager
def _headers_pool(count: int) -> Iterator[ProcessPool]:
    """Processes that end with the block, at once."""
    pool = ProcessPool(count, initializer=_start, initargs=(("DICOM",),), context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.stop()
        pool.join()


_one: dict[int, ProcessPool] = {}  # of this process, by its number: one that was forked from it makes its own
_lock = threading.Lock()


def _shared() -> ProcessPool:
    with _lock:
        if os.getpid() not in _one:
            _one[os.getpid()] = ProcessPool(1, initializer=_start, context=multiprocessing.get_context("spawn"))
            util.Finalize(None, end, exitpriority=1)  # runs in child processes too, before they wait for the processes that they started
        return _one[os.getpid()]


def end() -> None:
    """End the process, if there is one."""
    with _lock:
        pool = _one.pop(os.getpid(), None)
    if pool is not None:
        pool.stop()
        pool.join()


def _start(formats: Sequence[str] = images.FORMATS) -> None:
    """Get ready to read, before time counts."""
    import cv2

    end_with_parent()
    cv2.setNumThreads(1)
    images.prepare(formats)
