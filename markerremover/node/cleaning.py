"""The workers of a node: each takes the object that came first and cleans it by the same steps as `remove`.

Each worker is a thread with a process of its own (`workers.OneByOne`), in which the networks stay loaded; with one worker and no time limit it
cleans in this process, as a run does.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Protocol

from ..audit import manifest_files
from ..errors import InferenceError, MarkerRemoverError
from ..headers.profile import HeaderProfile
from ..inference.client import GONE
from ..options import RunOptions
from ..records import RELEASED, Outcome
from ..redaction.cleaning import Cleaner
from ..run import run_summary, workers
from ..run.workers import Equipment, Job, OneByOne, Place
from .index import Index
from .records import Stored
from .sending import unexpected
from .spool import Spool

log = logging.getLogger(__name__)

POLL_S = 1.0  # longest time until an object is seen whose arrival nobody told
FULL_S = 5.0  # wait after the disk was full
TRIES = 5  # times that cleaning an object is begun: a node that ends each time would otherwise never get beyond it
TOO_OFTEN = f"its cleaning was begun {TRIES} times, and each time the node ended"
FULL = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EIO))


class Bench(Protocol):
    """What cleans one object after the other."""

    expected: Equipment | None

    def equipment(self) -> Equipment:
        """What it cleans with."""

    def clean(self, job: Job) -> Outcome:
        """One outcome."""

    def stop(self) -> None:
        """End a `clean` in progress, if that can be ended."""

    def close(self) -> None:
        """Give everything back."""


class InThisProcess:
    """A `Bench` without a process of its own."""

    def __init__(self, place: Place, open_cleaner: Callable[[int], Cleaner]) -> None:
        self._place, self._open = place, open_cleaner
        self._cleaner: Cleaner | None = None
        self.expected: Equipment | None = None

    def equipment(self) -> Equipment:
        """Opens the cleaner; raises what that raises."""
        self._cleaner = self._cleaner or self._open(workers.threads_each(1))
        return workers.equipment(self._cleaner)

    def clean(self, job: Job) -> Outcome:
        """One outcome; the cleaner must be open."""
        assert self._cleaner is not None
        return workers.attempt(job, self._place, self._cleaner)

    def stop(self) -> None:
        """Nothing: the object in progress is finished."""

    def close(self) -> None:
        """Nothing."""


class Cleaners:
    """The threads that clean.

    Args:
        options: with the number of workers.  open_cleaner: as for `batch.remove`.
        route: origin of an object -> names of its destinations.
        on_change: called after each object, with whether its result is now due to its destinations.
        on_failure: called with an error that makes cleaning impossible.

    Attributes:
        ready: set as soon as the equipment is known.  equipment: of the first worker.
    """

    def __init__(
        self, spool: Spool, index: Index, options: RunOptions, headers: HeaderProfile, open_cleaner: Callable[[int], Cleaner],
        route: Callable[[str], tuple[str, ...]], on_change: Callable[[bool], None], on_failure: Callable[[MarkerRemoverError], None],
    ) -> None:
        self._spool, self._index, self._options, self._headers = spool, index, options, headers
        self._open, self._route, self._on_change, self._on_failure = open_cleaner, route, on_change, on_failure
        self.ready, self.equipment = threading.Event(), Equipment()
        self._stopping, self._more, self._first = threading.Event(), threading.Condition(), threading.Lock()
        self._benches: list[Bench] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the threads; their processes load the networks meanwhile."""
        place = Place(self._spool.out, self._spool.audit, self._options, self._headers)
        alone = self._options.workers == 1 and self._options.time_limit is None
        for number in range(self._options.process_count):
            bench: Bench = InThisProcess(place, self._open) if alone else OneByOne(place, self._open)
            self._benches.append(bench)
            self._threads.append(threading.Thread(target=self._work, args=(bench,), name=f"cleaning-{number + 1}", daemon=True))
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """An object was received."""
        with self._more:
            self._more.notify()

    def stop(self) -> None:
        """End the threads. What they were cleaning is "received" again."""
        self._stopping.set()
        with self._more:
            self._more.notify_all()
        for bench in self._benches:
            bench.stop()
        for thread in self._threads:
            thread.join()

    @property
    def facts(self) -> dict[str, str]:
        """The fields that all rows of the quarantine's manifest share."""
        return run_summary.run_facts(self.equipment, self._options, self._headers)

    def _work(self, bench: Bench) -> None:
        try:
            if not self._equip(bench):
                return
            while not self._stopping.is_set():
                stored: Stored | None = None
                try:
                    stored = self._index.take()
                    if stored is not None:
                        self._clean(bench, stored)
                        continue
                    with self._more:
                        self._more.wait(POLL_S)
                except (sqlite3.Error, OSError) as error:  # the disk is full or fails
                    log.error("cleaning waits: the index or the spool cannot be written: %s", type(error).__name__)
                    self._stopping.wait(FULL_S)
                    if stored is not None:
                        self._give_back(stored)
        except Exception as error:  # the node ends rather than go on with a worker less; at the next start the object is cleaned again
            self._on_failure(unexpected(error))
        finally:
            bench.close()

    def _equip(self, bench: Bench) -> bool:
        """Open the cleaner of a worker; returns whether it can be used."""
        try:
            found = bench.equipment()
        except (CancelledError, RuntimeError):
            return False  # the node is stopping
        except MarkerRemoverError as error:
            if not self._stopping.is_set():
                self._on_failure(error)
            return False
        with self._first:
            if not self.ready.is_set():
                self.equipment = found
                self.ready.set()
        bench.expected = self.equipment
        return True

    def _clean(self, bench: Bench, stored: Stored) -> None:
        """Clean one object and record what became of it; the record is repeated until the disk takes it."""
        if stored.attempts > TRIES:
            outcome = Outcome(stored.relative, "failed", TOO_OFTEN)
        else:
            try:
                outcome = bench.clean(Job(self._spool.objects / stored.relative, stored.relative))
            except (CancelledError, RuntimeError):
                if not self._stopping.is_set():
                    raise
                self._give_back(stored)
                return
        waits = outcome.status in RELEASED
        if not waits and (self._stopping.is_set() or self._is_passing(outcome.reason)):
            self._give_back(stored)
            return
        while True:
            try:
                due = self._record(stored, outcome)
                break
            except sqlite3.Error as error:
                log.error("object %d was cleaned, but the index cannot be written: %s", stored.number, type(error).__name__)
                if self._stopping.wait(FULL_S):
                    return  # at the next start it is cleaned again
        log.info("object %d: %s", stored.number, outcome.status)
        self._on_change(due)

    def _record(self, stored: Stored, outcome: Outcome) -> bool:
        """Record what became of an object; returns whether its result is due."""
        row = manifest_files.manifest_row(outcome, self.facts)
        if outcome.status in RELEASED:
            leaves = self._index.cleaned(stored.number, outcome.sha256_out, self._route(stored.origin), row)
            if not leaves:
                self._spool.drop_pictures(stored.relative, outcome.crops)
            return not leaves
        self._spool.drop_result(stored.relative)
        self._index.ended(stored.number, outcome.status, outcome.reason, row)
        return False

    def _give_back(self, stored: Stored) -> None:
        """An object that could not be cleaned now is "received" again, unless it was recorded; repeated until the disk takes it."""
        while True:
            try:
                self._index.give_back(stored.number)
                return
            except sqlite3.Error:
                log.error("object %d stays in work: the index cannot be written", stored.number)
                if self._stopping.wait(FULL_S):
                    return  # the next start finds it

    def _is_passing(self, reason: str) -> bool:
        """Whether an object failed for a reason that is not its own and may pass; waits a little then. Without the network's process the node ends."""
        if GONE in reason:
            self._on_failure(InferenceError(reason))
            return True
        if not any(text in reason for text in FULL):
            return False
        self._index.note("cleaning", "waits: the disk is full or fails")
        self._stopping.wait(FULL_S)
        return True
