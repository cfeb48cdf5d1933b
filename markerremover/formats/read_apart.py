"""Files read in separate processes: parsing may hang or end its process, which then costs that one file only.

`remove` cleans in such processes anyway (see `run.workers`); this module serves everything else that reads files: the headers that decide
about paths, and every command that opens the images of a folder. A worker process, which can be ended itself, reads its files directly.
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

READ_S = 300.0  # maximum time in seconds to read one file; the largest take some seconds
TOGETHER, TOGETHER_S = 64, 20.0  # headers per task of a process, and the maximum seconds for a task; after that its files are tried one by one
FILES_EACH = 2000  # minimum number of files per process that justifies starting it
TRIES = 3  # attempts to start a process
DIED = "the process that read it died"
UNSTARTED = "no process can be started to read files in; is there too little memory, or is a script without `if __name__ == \"__main__\"`?"


def read(path: Path | str) -> Radiograph:
    """`images.read`, in another process.

    Raises:
        ReadError: as `images.read`; also if reading takes longer than `READ_S` seconds or ends its process.
        HeldError: as `images.read`.
        UsageError: no process can be started.
    """
    return replace(call(images.read, Path(path)), path=Path(path))  # makes its arrays read-only again


def size(path: Path | str) -> tuple[int, tuple[int, int]]:
    """Number of frames, and (rows, columns), of a file that another process reads.

    Raises:
        ReadError, HeldError, UsageError: as `read`.
    """
    return call(_size, Path(path))


def _size(path: Path) -> tuple[int, tuple[int, int]]:
    radiograph = images.read(path)
    return len(radiograph.display), radiograph.shape_hw


def call(function: Callable[[Path], Any], path: Path, limit: float | None = None) -> Any:
    """The result of `function(path)` in another process; all calls share one process.

    Args:
        function: importable by name.
        path: passed as an absolute path.
        limit: maximum time in seconds; `READ_S` by default.

    Raises:
        ReadError: the function took longer than that, or ended its process.
        UsageError: no process can be started.
        Exception: whatever the function raises.
    """
    if multiprocessing.current_process().daemon:  # a worker process, which can be ended itself and may start no other
        return function(path)
    path = Path(os.path.abspath(path))  # the other process may have been started in another folder
    limit = READ_S if limit is None else limit
    for _ in range(TRIES):
        try:
            future = _shared().schedule(function, args=(path,), timeout=limit)
        except RuntimeError:  # the pool broke while no call waited for it
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
    """The results of a function for the headers of many DICOM files, in the order of completion.

    Args:
        function: importable by name; must return, not raise.
        paths: of the files.
        limit: maximum time in seconds for one file.
        processes: maximum number of processes; fewer are started for few files.

    Yields:
        (path, result), or (path, `ReadError`) for a file that took too long or ended its process.

    Raises:
        UsageError: no process can be started.
    """
    waiting = deque(tuple(paths[i : i + TOGETHER]) for i in range(0, len(paths), TOGETHER))
    count, attempts = max(1, min(processes, len(paths) // FILES_EACH)), TRIES
    while waiting:
        if not attempts:
            raise UsageError(UNSTARTED)
        attempts -= 1
        with _headers_pool(count) as pool:
            for result in _until_broken(pool, function, waiting, limit, count):
                attempts = TRIES
                yield result


def _until_broken(
    pool: ProcessPool, function: Callable[[Path], Any], waiting: deque[tuple[Path, ...]], limit: float, count: int
) -> Iterator[tuple[Path, Any]]:
    """Results until no group waits, or the pool breaks; a group that does not finish is queued again file by file."""
    running: dict[Future, tuple[Path, ...]] = {}
    while waiting or running:
        try:
            while waiting and len(running) < 2 * count:  # each process has a group to continue with while its last result is transferred
                timeout = limit if len(waiting[0]) == 1 else min(limit, TOGETHER_S)
                running[pool.schedule(_all, args=(function, waiting[0]), timeout=timeout)] = waiting[0]
                waiting.popleft()
        except RuntimeError:  # the pool broke while no call waited for it
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
    """A pool whose processes are stopped at the end of the block, without waiting for their tasks."""
    pool = ProcessPool(count, initializer=_start, initargs=(("DICOM",),), context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.stop()
        pool.join()


_one: dict[int, ProcessPool] = {}  # the shared pool by process id: a forked child makes its own
_lock = threading.Lock()


def _shared() -> ProcessPool:
    with _lock:
        if os.getpid() not in _one:
            _one[os.getpid()] = ProcessPool(1, initializer=_start, context=multiprocessing.get_context("spawn"))
            util.Finalize(None, end, exitpriority=1)  # runs in child processes too, before they wait for the processes that they started
        return _one[os.getpid()]


def end() -> None:
    """End the shared process of `call`, if there is one."""
    with _lock:
        pool = _one.pop(os.getpid(), None)
    if pool is not None:
        pool.stop()
        pool.join()


def _start(formats: Sequence[str] = images.FORMATS) -> None:
    """Prepare a process for reading, before the time limit counts."""
    import cv2

    end_with_parent()
    cv2.setNumThreads(1)
    images.prepare(formats)
