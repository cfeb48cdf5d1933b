"""Jobs in, outcomes out: in this process, or in several that may die without taking the run along."""

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

OPENCV_THREADS = 1  # of a process that cleans: more wait for each other in loops, on cores that have other work of the file or another file
FILES_EACH = 8  # that a process must have to clean to be worth its start
WORKER_BYTES, SECOND_LOOK_BYTES = 1_000_000_000, 500_000_000  # that a process takes at most, with large radiographs of many shapes
DIED = "the worker process died on this file"


class Job(NamedTuple):
    """One file to clean, where its result goes, and what people say of it."""

    source: Path
    relative: str
    corrections: Corrections | None = None


class Place(NamedTuple):
    """The run's folders, options and what it does to headers, the same for every job."""

    out: Path
    audit: Path
    options: RunOptions
    headers: HeaderProfile = HeaderProfile()


def attempt(job: Job, place: Place, cleaner: Cleaner) -> Outcome:
    """Clean one file; whatever goes wrong ends as `failed`, and the next file goes on.

    The reason names the kind of error and where it arose, never its message: that may quote the file's content.
    """
    try:
        return process_file(job.source, job.relative, place.out, place.audit, cleaner, place.options, place.headers, job.corrections)
    except Exception as error:  # the one broad except: a file may break anything, the run goes on
        last = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"unexpected {type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
        log.error("a file failed: %s", reason)
        return Outcome(job.relative, "failed", reason)


class Equipment(NamedTuple):
    """What the files of a run are cleaned with, as it says of itself.

    sha256, name, threshold, backend: of the localizer, see `localizer.Detector`.  reads: whether results are read by OCR.
    """

    sha256: str = ""
    name: str = ""
    threshold: float | None = None
    backend: str = ""
    reads: bool = False


def equipment(cleaner: Cleaner) -> Equipment:
    """What a cleaner says of itself."""
    detector = cleaner.detector
    return Equipment(
        str(getattr(detector, "sha256", "")), str(getattr(detector, "card", {}).get("name", "")), getattr(detector, "threshold", None),
        str(getattr(detector, "backend", "")), cleaner.reader is not None)


class Crew(Protocol):
    """Who cleans the files of a run, as long as its context lasts."""

    def __enter__(self) -> Crew: ...

    def __exit__(self, *error: Any) -> None: ...

    def equipment(self) -> Equipment:
        """What they clean with; raises UsageError or WeightsError where they cannot."""

    def clean(self, jobs: Sequence[Job], place: Place) -> Iterator[Outcome]:
        """One outcome a job, as they finish."""


class Alone:
    """A `Crew` of this process: as many files at the same time as its cleaner allows (`Cleaner.at_once`), in as many threads."""

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
        """Waits for the files that are begun."""
        self._threads.shutdown()
        cv2.setNumThreads(self._opencv_threads)

    def equipment(self) -> Equipment:
        """Of the one cleaner."""
        return equipment(self._cleaner)

    def clean(self, jobs: Sequence[Job], place: Place) -> Iterator[Outcome]:
        """One outcome a job, as they finish; in order where the cleaner takes one file at a time."""
        waiting = iter(jobs)

        def begun(count: int) -> set[Future]:
            return {self._threads.submit(attempt, job, place, self._cleaner) for job in itertools.islice(waiting, count)}

        running = begun(self._cleaner.at_once)
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= begun(len(done))
            for future in done:
                yield future.result()


class Processes:
    """A `Crew` of several processes, which start at once and end with the context, without delay where it is left by an error.

    Args:
        count: of processes.
        open_cleaner: importable by name; called once in each process with the number of threads it may use.
        files: how many there are to clean at most; no more processes are started.
    """

    def __init__(self, count: int, open_cleaner: Callable[[int], Cleaner], files: int | None = None) -> None:
        self._count = count if files is None else max(1, min(count, files))
        self._threads, self._open, self._stack = threads_each(self._count), open_cleaner, ExitStack()
        self._pool: ProcessPool | None = None
        self._told: Equipment | None = None

    def __enter__(self) -> Processes:
        self._first = self._started().schedule(_equipped)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)

    def equipment(self) -> Equipment:
        """Of the process that was ready first; waits for it. Once it is told, files that would be cleaned with other weights fail: rows
        say what the run has, and weights can be replaced while it goes on.

        Raises:
            UsageError, WeightsError: the cleaner cannot be opened.
        """
        try:
            self._told = self._first.result()
            return self._told
        except (ProcessExpired, BrokenProcessPool) as error:
            raise UsageError("the processes that clean die while they start; is there too little memory?") from error

    def clean(self, jobs: Sequence[Job], place: Place) -> Iterator[Outcome]:
        """One outcome a job, as they finish. A file that takes longer than the time limit ends `failed`; its process is ended and
        another one takes its place.

        When a process dies, the file that it was at is tried once more, alone at the end, for memory may have been short; if it
        kills again, it ends `failed`.
        """
        waiting = deque(jobs)
        while waiting:
            again: list[Job] = []
            yield from self._until_broken(waiting, again, place)
            if again:
                self._end()  # so that the one is alone
            for job in again:
                with _pool(1, self._threads, self._open) as pool:
                    try:
                        yield _outcome(_scheduled(pool, job, place, self._told), job, place)
                    except (ProcessExpired, BrokenProcessPool):
                        yield _failed(job, place, DIED)

    def _until_broken(self, waiting: deque[Job], again: list[Job], place: Place) -> Iterator[Outcome]:
        """Outcomes until `waiting` is empty, or processes die before they are at any file; `again` gets what is to be tried alone."""
        pool = self._started()
        running: dict[Future, Job] = {}
        while waiting or running:
            try:
                while waiting and len(running) < self._count:  # no queue: what is scheduled is what is in flight
                    running[_scheduled(pool, waiting[0], place, self._told)] = waiting[0]
                    waiting.popleft()
            except RuntimeError:  # the pool broke while nobody waited for it
                again += [waiting.popleft(), *running.values()]
                pool.stop()
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                try:
                    yield _outcome(future, job, place)
                except ProcessExpired:
                    log.warning("a worker process died; its file is tried again alone")
                    again.append(job)
                except BrokenProcessPool:
                    log.warning("worker processes died; the files in flight are tried again alone")
                    again += [job, *running.values()]
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
    """A process of its own that cleans one file after the other, and another one in its place where it dies or hangs.

    It lives as long as this object, or as this process.
    """

    def __init__(self, place: Place, open_cleaner: Callable[[int], Cleaner]) -> None:
        self._place, self._open, self._stack = place, open_cleaner, ExitStack()
        self._pool: ProcessPool | None = None

    def clean(self, job: Job) -> Outcome:
        """One outcome; a file on which the process dies is tried once more, for memory may have been short."""
        for _ in range(2):
            if self._pool is None:
                self._pool = self._stack.enter_context(_pool(1, threads_each(self._place.options.workers), self._open))
            try:
                return _outcome(_scheduled(self._pool, job, self._place), job, self._place)
            except ProcessExpired:
                log.warning("a worker process died; its file is tried again")
            except BrokenProcessPool:
                log.warning("a worker process could not be started; the file is tried again")
                self._pool = None
        return _failed(job, self._place, DIED)

    def close(self) -> None:
        """End the process."""
        self._stack.close()


def _outcome(future: Future, job: Job, place: Place) -> Outcome:
    """What became of a job, waited for.

    Raises:
        ProcessExpired: its process died.  BrokenProcessPool: processes died without a file to blame.
    """
    try:
        return future.result()
    except MarkerRemoverError as error:  # the process that was to clean it could not be equipped
        return _failed(job, place, str(error))
    except TimeoutError:
        return _failed(job, place, f"took longer than the time limit of {place.options.time_limit:g} s")


def _failed(job: Job, place: Place, reason: str) -> Outcome:
    """The end of a job whose process was ended; what it may have begun to write goes."""
    temporary_file(place.audit, job.relative).unlink(missing_ok=True)
    return Outcome(job.relative, "failed", reason)


def _scheduled(pool: ProcessPool, job: Job, place: Place, told: Equipment | None = None) -> Future:
    return pool.schedule(_in_worker, args=(job, place, told), timeout=place.options.time_limit)


def threads_each(workers: int) -> int:
    """CPU threads for each of `workers` processes: the cores this process may use, shared out, at least 1."""
    return max(1, capacity.cores() // workers)


def fitting(files: int, second_look: bool = False) -> int:
    """How many processes clean so many files fastest here: one a core that this process may use, as far as there are `FILES_EACH` for each
    and the memory that is free has `WORKER_BYTES` for each; at least 1.

    Args:
        second_look: whether each has the networks of the second look, too.
    """
    free, each = capacity.free_memory(), WORKER_BYTES + (SECOND_LOOK_BYTES if second_look else 0)
    return max(1, min(capacity.cores(), files // FILES_EACH, files if free is None else free // each))


@contextmanager
def _pool(count: int, threads: int, open_cleaner: Callable[[int], Cleaner]) -> Iterator[ProcessPool]:
    """Processes that end with the block, at once where it raises or is left early."""
    spawn = multiprocessing.get_context("spawn")  # forked inference and OCR engines hang
    pool = ProcessPool(count, initializer=_start_worker, initargs=(open_cleaner, threads), context=spawn)
    try:
        yield pool
        pool.close()
    except BaseException:
        pool.stop()
        raise
    finally:
        pool.join()


_worker: dict = {}


def _start_worker(open_cleaner: Callable[[int], Cleaner], threads: int) -> None:
    end_with_parent()
    os.environ.setdefault("OMP_THREAD_LIMIT", str(threads))
    cv2.setNumThreads(OPENCV_THREADS)
    try:
        _worker["cleaner"] = open_cleaner(threads)
    except MarkerRemoverError as error:  # whoever asks for anything gets to know it
        _worker["error"] = error


def _cleaner() -> Cleaner:
    if "error" in _worker:
        raise _worker["error"]
    return _worker["cleaner"]


def _equipped() -> Equipment:
    return equipment(_cleaner())


def _in_worker(job: Job, place: Place, told: Equipment | None) -> Outcome:
    if told is not None and _equipped().sha256 != told.sha256:
        raise WeightsError("the weights were replaced during the run")
    return attempt(job, place, _cleaner())
