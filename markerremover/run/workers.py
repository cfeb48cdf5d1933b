"""Cleans jobs in this process, or in several processes whose crashes do not end the run."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol

import cv2
from pebble import ProcessExpired, ProcessPool

from ..errors import MarkerRemoverError, UsageError, WeightsError
from ..headers.profile import HeaderProfile
from ..options import RunOptions
from ..records import Corrections, Outcome
from ..redaction.cleaning import Cleaner
from ..system import capacity
from ..system.parent_process import end_with_parent
from .one_file import process_file, temporary_file

log = logging.getLogger(__name__)

OPENCV_THREADS = 1  # threads of OpenCV in a cleaning process: more would busy-wait on cores that have other work
FILES_EACH = 8  # smallest number of files per process that is worth its start
WORKER_BYTES, SECOND_LOOK_BYTES = 1_000_000_000, 500_000_000  # highest memory of a process, and of its second look, with large radiographs of many shapes
DIED = "the worker process died on this file"


class Job(NamedTuple):
    """One file to clean, its path below OUT, and corrections of it, if any."""

    source: Path
    relative: str
    corrections: Corrections | None = None


class Place(NamedTuple):
    """The run's folders, options and header profile, the same for every job."""

    out: Path
    audit: Path
    options: RunOptions
    headers: HeaderProfile = HeaderProfile()


def attempt(job: Job, place: Place, cleaner: Cleaner) -> Outcome:
    """Clean one file; after any exception it is marked failed and the run continues.

    The reason names the kind of exception and its place, never its message, which may quote the file's content.
    """
    try:
        return process_file(job.source, job.relative, place.out, place.audit, cleaner, place.options, place.headers, job.corrections)
    except Exception as error:  # the only broad except: a file may cause any exception, and the run continues
        frame = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"unexpected {type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
        log.error("a file failed: %s", reason)
        return Outcome(job.relative, "failed", reason)


class Equipment(NamedTuple):
    """Facts about the cleaner of a run.

    sha256, name, threshold, backend: of the localizer, see `localizer.Detector`.  reads: whether results are read by OCR.
    """

    sha256: str = ""
    name: str = ""
    threshold: float | None = None
    backend: str = ""
    reads: bool = False


def equipment(cleaner: Cleaner) -> Equipment:
    """The facts about a cleaner."""
    detector = cleaner.detector
    return Equipment(
        str(getattr(detector, "sha256", "")), str(getattr(detector, "card", {}).get("name", "")), getattr(detector, "threshold", None),
        str(getattr(detector, "backend", "")), cleaner.reader is not None)


class Crew(Protocol):
    """The workers of a run, for the duration of the context."""

    def __enter__(self) -> Crew: ...

    def __exit__(self, *error: Any) -> None: ...

    def equipment(self) -> Equipment:
        """Their equipment; raises UsageError or WeightsError where it cannot be opened."""

    def clean(self, jobs: Sequence[Job], place: Place) -> Iterator[Outcome]:
        """One outcome a job, as they finish."""


class Alone:
    """A `Crew` in this process: as many files at the same time as its cleaner allows (`Cleaner.at_once`), one thread each."""

    def __init__(self, open_cleaner: Callable[[int], Cleaner]) -> None:
        self._open = open_cleaner

    def __enter__(self) -> Alone:
        """Raises what `open_cleaner` raises."""
        self._cleaner = self._open(threads_each(1))
        self._threads = ThreadPoolExecutor(self._cleaner.at_once, "cleaning")
        self._opencv_threads = cv2.getNumThreads()
        cv2.setNumThreads(OPENCV_THREADS)
        return self

    def __exit__(self, *error: object) -> None:
        """Waits for files in progress."""
        self._threads.shutdown()
        cv2.setNumThreads(self._opencv_threads)

    def equipment(self) -> Equipment:
        """The facts about the one cleaner."""
        return equipment(self._cleaner)

    def clean(self, jobs: Sequence[Job], place: Place) -> Iterator[Outcome]:
        """One outcome per job, as they finish; in order where the cleaner takes one file at a time."""
        waiting = iter(jobs)

        def submitted(count: int) -> set[Future]:
            return {self._threads.submit(attempt, job, place, self._cleaner) for job in itertools.islice(waiting, count)}

        running = submitted(self._cleaner.at_once)
        while running:
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            running |= submitted(len(finished))
            for future in finished:
                yield future.result()


class Processes:
    """A `Crew` of several processes, which start immediately and end with the context, without delay after an exception.

    Args:
        count: number of processes.
        open_cleaner: importable by name; called once in each process with its number of threads.
        files: highest number of files; no more processes are started.
    """

    def __init__(self, count: int, open_cleaner: Callable[[int], Cleaner], files: int | None = None) -> None:
        self._count = count if files is None else max(1, min(count, files))
        self._threads, self._open, self._stack = threads_each(self._count), open_cleaner, ExitStack()
        self._pool: ProcessPool | None = None
        self._equipment: Equipment | None = None

    def __enter__(self) -> Processes:
        self._first = self._started().schedule(_equipped)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def equipment(self) -> Equipment:
        """The equipment of the first process that is ready; waits for it. Afterwards files that would be cleaned with other weights fail, since
        weights can be replaced during a run and rows record those of the run.

        Raises:
            UsageError, WeightsError: the cleaner cannot be opened.
        """
        try:
            self._equipment = self._first.result()
            return self._equipment
        except (ProcessExpired, BrokenProcessPool) as error:
            raise UsageError("the processes that clean die while they start; is there too little memory?") from error

    def clean(self, jobs: Sequence[Job], place: Place) -> Iterator[Outcome]:
        """One outcome per job, as they finish. A file that takes longer than the time limit is marked failed; its process is ended and
        replaced.

        When a process dies, its file is tried once more at the end, with no other process, since memory may have been short; if the process
        dies again, the file is marked failed.
        """
        waiting = deque(jobs)
        while waiting:
            retries: list[Job] = []
            yield from self._until_broken(waiting, retries, place)
            if retries:
                self._end()  # so that no other process runs
            for job in retries:
                with _pool(1, self._threads, self._open) as pool:
                    try:
                        yield _outcome(_scheduled(pool, job, place, self._equipment), job, place)
                    except (ProcessExpired, BrokenProcessPool):
                        yield _failed(job, place, DIED)

    def _until_broken(self, waiting: deque[Job], retries: list[Job], place: Place) -> Iterator[Outcome]:
        """Outcomes until `waiting` is empty or the pool breaks; jobs to be tried alone are added to `retries`."""
        pool = self._started()
        running: dict[Future, Job] = {}
        while waiting or running:
            try:
                while waiting and len(running) < self._count:  # no queue: all scheduled jobs are in progress
                    running[_scheduled(pool, waiting[0], place, self._equipment)] = waiting[0]
                    waiting.popleft()
            except RuntimeError:  # the pool broke between waits
                retries += [waiting.popleft(), *running.values()]
                pool.stop()
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                try:
                    yield _outcome(future, job, place)
                except ProcessExpired:
                    log.warning("a worker process died; its file is tried again alone")
                    retries.append(job)
                except BrokenProcessPool:
                    log.warning("worker processes died; the files in flight are tried again alone")
                    retries += [job, *running.values()]
                    pool.stop()
                    return

    def _started(self) -> ProcessPool:
        if self._pool is None:
            self._pool = self._stack.enter_context(_pool(self._count, self._threads, self._open))
        return self._pool

    def _end(self) -> None:
        self._stack.close()
        self._pool = None


class OneByOne:
    """A process that cleans one file after the other, and is replaced where it dies or hangs.

    It ends with this object, or with this process.

    Attributes:
        expected: equipment that the process must have, None for any.
    """

    def __init__(self, place: Place, open_cleaner: Callable[[int], Cleaner]) -> None:
        self._place, self._open, self._stack = place, open_cleaner, ExitStack()
        self._pool: ProcessPool | None = None
        self._running: Future | None = None
        self._stopped = False
        self.expected: Equipment | None = None

    def equipment(self) -> Equipment:
        """The equipment of the process, which is started; waits for it.

        Raises:
            UsageError, WeightsError: the cleaner cannot be opened.
        """
        try:
            return self._watched(self._started().schedule(_equipped)).result()
        except (ProcessExpired, BrokenProcessPool) as error:
            raise UsageError("the process that cleans dies while it starts; is there too little memory?") from error

    def clean(self, job: Job) -> Outcome:
        """One outcome; a file on which the process dies is tried once more, since memory may have been short."""
        for _ in range(2):
            pool = self._started()
            try:
                return _outcome(self._watched(_scheduled(pool, job, self._place, self.expected)), job, self._place)
            except ProcessExpired:
                log.warning("a worker process died; its file is tried again")
            except BrokenProcessPool:
                log.warning("a worker process could not be started; the file is tried again")
                self._pool = None
        return _failed(job, self._place, DIED)

    def _started(self) -> ProcessPool:
        if self._pool is None:
            self._pool = self._stack.enter_context(_pool(1, threads_each(self._place.options.process_count), self._open))
        return self._pool

    def _watched(self, future: Future) -> Future:
        """The same future, which `stop` can cancel: a pool that is stopped leaves futures in progress open for ever."""
        self._running = future
        if self._stopped:
            future.cancel()
        return future

    def stop(self) -> None:
        """End the process at once, from another thread: a `clean` or `equipment` in progress, and later ones, raise CancelledError or RuntimeError."""
        self._stopped = True
        if self._running is not None:
            self._running.cancel()
        if self._pool is not None:
            self._pool.stop()

    def close(self) -> None:
        """End the process."""
        self._stack.close()


def _outcome(future: Future, job: Job, place: Place) -> Outcome:
    """The outcome of a job; waits for it.

    Raises:
        ProcessExpired: its process died.  BrokenProcessPool: processes died outside of any file.
    """
    try:
        return future.result()
    except MarkerRemoverError as error:  # its process could not open a cleaner
        return _failed(job, place, str(error))
    except TimeoutError:
        return _failed(job, place, f"took longer than the time limit of {place.options.time_limit:g} s")


def _failed(job: Job, place: Place, reason: str) -> Outcome:
    """The outcome of a job whose process was ended; its partial output is deleted."""
    temporary_file(place.audit, job.relative).unlink(missing_ok=True)
    return Outcome(job.relative, "failed", reason)


def _scheduled(pool: ProcessPool, job: Job, place: Place, expected: Equipment | None = None) -> Future:
    return pool.schedule(_in_worker, args=(job, place, expected), timeout=place.options.time_limit)


def threads_each(workers: int) -> int:
    """Number of CPU threads for each of `workers` processes: the cores of this process divided by them, at least 1."""
    return max(1, capacity.cores() // workers)


def fitting(files: int, second_look: bool = False) -> int:
    """The number of processes that suits this machine and a number of files: one per core of this process, as far as there are `FILES_EACH`
    files and `WORKER_BYTES` of free memory for each; at least 1.

    Args:
        second_look: whether each also loads the networks of the second look.
    """
    free, each = capacity.free_memory(), WORKER_BYTES + (SECOND_LOOK_BYTES if second_look else 0)
    return max(1, min(capacity.cores(), files // FILES_EACH, files if free is None else free // each))


@contextmanager
def _pool(count: int, threads: int, open_cleaner: Callable[[int], Cleaner]) -> Iterator[ProcessPool]:
    """A pool that ends with the block, immediately after an exception."""
    spawn = multiprocessing.get_context("spawn")  # inference and OCR engines hang in forked processes
    pool = ProcessPool(count, initializer=_start_worker, initargs=(open_cleaner, threads), context=spawn)
    try:
        yield pool
        pool.close()
    except BaseException:
        pool.stop()
        raise
    finally:
        pool.join()


_worker: dict[str, Any] = {}  # cleaner of this process, or the error that prevented it


def _start_worker(open_cleaner: Callable[[int], Cleaner], threads: int) -> None:
    end_with_parent()
    os.environ.setdefault("OMP_THREAD_LIMIT", str(threads))
    cv2.setNumThreads(OPENCV_THREADS)
    try:
        _worker["cleaner"] = open_cleaner(threads)
    except MarkerRemoverError as error:  # raised by the first call that needs the cleaner
        _worker["error"] = error


def _cleaner() -> Cleaner:
    if "error" in _worker:
        raise _worker["error"]
    return _worker["cleaner"]


def _equipped() -> Equipment:
    return equipment(_cleaner())


def _in_worker(job: Job, place: Place, expected: Equipment | None) -> Outcome:
    if expected is not None and _equipped().sha256 != expected.sha256:
        raise WeightsError("the weights were replaced during the run")
    return attempt(job, place, _cleaner())
