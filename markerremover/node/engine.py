"""The engine of a node: it takes objects, cleans them, and sends on what was verified.

    accept -> received -> working: cleaning -> working: waiting -> sent
                                   |-> held, failed -> (review, apply) -> working: waiting -> sent
                                                    -> (`queue`) -> received

Whatever ends the process, the next start finds every object in one state (`index`) and goes on.
"""

from __future__ import annotations

import functools
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..audit import full_pictures
from ..errors import MarkerRemoverError
from ..headers.profile import HeaderProfile
from ..options import RunOptions
from ..system import capacity
from .destinations import peer_of
from .incoming import Accepted, Incoming
from .index import CONFLICT, Index
from .records import Counts, Delivery, NodeSettings
from .sending import Sender, unexpected
from .spool import Spool, header_profile

if TYPE_CHECKING:  # what cleans is imported while the node listens already
    from ..redaction.cleaning import Cleaner
    from .cleaning import Cleaners
    from .quarantine import Quarantine

log = logging.getLogger(__name__)

HOUSEKEEPING_S = 1.0
FORGET_S, RECOUNT_S = 3600.0, 30.0
GONE = "its released result is no longer there: correct and apply it again"


class Engine:
    """A node without its services; see the module. `start` and `stop`, or `run` until another thread calls `stop`.

    Args:
        settings: of the node.  open_cleaner: makes a `Cleaner` for a number of threads; by default with the weights of the options.

    Attributes:
        index: the list of all objects; it can be read while the engine runs.  spool: the folders.
        error: what made cleaning impossible, None while all is well.
        dicom_port: of the DICOM services, once they listen.
    """

    def __init__(self, settings: NodeSettings, *, open_cleaner: Callable[[int], Cleaner] | None = None) -> None:
        self.settings, self._open = settings, open_cleaner
        self.spool = Spool(settings.spool)
        self.error: MarkerRemoverError | None = None
        self.dicom_port: int | None = None
        self._stack = ExitStack()
        self._ended, self._stopped = threading.Event(), threading.Lock()
        self._senders: list[Sender] = []
        self._cleaners: Cleaners | None = None
        self._quarantine: Quarantine | None = None
        self._last_counts: Counts | None = None
        self._wake, self._stopping, self._all_done = threading.Event(), threading.Event(), threading.Event()

    # From start to stop

    def start(self) -> None:
        """Open the spool, go on where the last process ended, and start to listen; the workers load the networks meanwhile.

        Raises:
            UsageError: the spool is in use or cannot be written, a destination or the key cannot be opened, or the port cannot be had.
        """
        settings, names = self.settings, tuple(destination.name for destination in self.settings.destinations)
        options = replace(settings.options, overwrite=True, audit=self.spool.audit)
        try:
            self.spool.open()
            self._stack.callback(self.spool.close)
            peers = [peer_of(destination) for destination in settings.destinations]
            self.index = Index(self.spool.folder)
            self._stack.callback(self.index.close)
            self._stack.callback(self._remember_counts)
            headers = header_profile(self.spool.audit, options)
            self._recover()
            self.incoming = Incoming(self.spool, self.index, settings.limits, self._came)
            self._senders = [
                Sender(name, peer, self.spool, self.index, settings.limits, self._wake.set, self._spoilt) for name, peer in zip(names, peers)]
            self._listen()
            self._begin(threading.Thread(target=self._keep_house, name="housekeeping", daemon=True), self._end_house)
            self._begin(threading.Thread(target=self._begin_cleaning, args=(options, headers), name="starting", daemon=True), self._end_cleaning)
            for sender in self._senders:
                sender.start()
                self._stack.callback(sender.stop)
        except BaseException:
            self._stack.close()
            raise
        for state in self.index.destinations():
            if state.pending and state.name not in names:
                log.warning("results wait for destination %s, which the settings do not name", state.name)

    def _listen(self) -> None:
        """Start the DICOM services, before anything that takes long."""
        if self.settings.listening:
            from .listening import Listener

            listener = Listener(self.settings.listening, self.settings.limits, self.incoming, self.index)
            self.dicom_port = listener.start()
            self._stack.callback(listener.stop)

    def _begin(self, thread: threading.Thread, end: Callable[[], None]) -> None:
        """Start a thread; at the end `end` is called, and the thread waited for."""
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(end)

    def _end_house(self) -> None:
        self._all_done.set()
        self._wake.set()

    def _begin_cleaning(self, options: RunOptions, headers: HeaderProfile) -> None:
        """Load what cleans, and start the workers, behind the process with the network where they share one; a thread of its own."""
        from ..inference.server import serving
        from ..run import batch, workers
        from .cleaning import Cleaners
        from .quarantine import Quarantine

        if options.workers is None:
            options = replace(options, workers=workers.fitting(workers.FILES_EACH * capacity.cores(), options.second_look))
        try:
            with nullcontext() if self._open else serving(options, workers.threads_each(1)) as server:
                opener = self._open or functools.partial(batch.open_shipped, options, server=server)
                self._quarantine = Quarantine(self.spool, self.index, options, headers, self.settings.route)
                cleaners = Cleaners(self.spool, self.index, options, headers, opener, self.settings.route, self._changed, self._fail)
                cleaners.start()
                self._cleaners = cleaners
                self._stopping.wait()
                cleaners.stop()
        except MarkerRemoverError as error:
            self._fail(error)
        except Exception as error:  # a thread that ends without a word would leave the node without workers
            self._fail(unexpected(error))

    def _end_cleaning(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        """`start`, and wait until `stop` is called.

        Raises:
            MarkerRemoverError: as `start`; or cleaning became impossible: all objects stay in the spool.
        """
        self.start()
        self.wait_end()
        self.stop()
        if self.error:
            raise self.error

    def wait_end(self) -> None:
        """Wait until `end` or `stop` is called, or cleaning is impossible."""
        self._ended.wait()

    def end(self) -> None:
        """Let `run` stop everything; returns at once, as a signal handler must."""
        self._ended.set()

    def stop(self) -> None:
        """End everything, and `run`. Objects in work are "received" again; results that wait stay in the spool. May be called twice."""
        self._ended.set()
        with self._stopped:
            self._stack.close()

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until the networks are loaded; returns whether they are."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until and self.error is None:
            if self.is_ready:
                return True
            time.sleep(0.02)
        return False

    @property
    def is_ready(self) -> bool:
        """Whether the networks are loaded and objects are cleaned."""
        return self._cleaners is not None and self._cleaners.ready.is_set()

    def counts(self) -> Counts:
        """Numbers of objects by state; after `stop` the last ones."""
        return self._last_counts or self.index.counts()

    def _remember_counts(self) -> None:
        self._last_counts = self.index.counts()

    def _fail(self, error: MarkerRemoverError) -> None:
        log.error("cleaning is impossible: %s", error)
        self.error = self.error or error
        self._ended.set()

    def accept(self, source: Path | bytes, origin: str, *, name: str = "") -> Accepted:
        """Take a file into the spool, see `Incoming.accept`."""
        return self.incoming.accept(source, origin, name=name)

    # In the background

    def _came(self, kind: str) -> None:
        if kind == CONFLICT:
            self._wake.set()
        elif self._cleaners:
            self._cleaners.wake()

    def _changed(self, waits: bool) -> None:
        if waits:
            for sender in self._senders:
                sender.wake()
        else:
            self._wake.set()

    def _spoilt(self, delivery: Delivery) -> None:
        """A result is not the one that was verified: it is made again from the object. One that a person released is held if it is gone; else
        it waits, since `apply` may just have replaced it, which housekeeping sees. What an operator gave up meanwhile stays so."""
        stored = self.index.get(delivery.number)
        if stored is None or stored.stage != "waiting" or stored.sha256_out != delivery.sha256_out:
            return
        if not stored.in_quarantine:
            self.spool.drop_result(stored.relative)
            self.index.begin_again([stored.number])
        elif not (self.spool.out / stored.relative).is_file():
            self.index.withdrawn(stored.number, "held", GONE, stored.sha256_out)

    def _keep_house(self) -> None:
        try:
            self._house()
        except Exception as error:  # as in `_begin_cleaning`
            self._fail(unexpected(error))

    def _house(self) -> None:
        """Quarantine, deletion of what was sent, and what is remembered of it."""
        begun, last, forget_at, recount_at = False, False, 0.0, time.monotonic() + RECOUNT_S
        while not last:
            last = self._all_done.is_set()
            try:
                if not begun and self._quarantine and self._cleaners and self._cleaners.ready.is_set():
                    self._quarantine.begin(self._cleaners.equipment)
                    begun = True
                if begun and self._quarantine and self._quarantine.follow(summarise=last):
                    self._changed(True)
                self._purge()
                if self.settings.limits.remember_days and time.monotonic() >= forget_at:
                    self.index.forget(time.time() - 86400 * self.settings.limits.remember_days)
                    forget_at = time.monotonic() + FORGET_S
                if time.monotonic() >= recount_at:
                    full_pictures.recount(self.spool.audit)
                    recount_at = time.monotonic() + RECOUNT_S
            except (sqlite3.Error, OSError, MarkerRemoverError) as error:
                log.error("housekeeping waits: %s", type(error).__name__)
            if not last:
                self._wake.wait(HOUSEKEEPING_S)
                self._wake.clear()

    def _purge(self) -> None:
        """Delete the files of objects that all destinations have."""
        while sent := self.index.to_purge():
            for stored in sent:
                self.spool.drop_result(stored.relative)
                self.spool.drop_object(stored.relative)
            self.index.purged([stored.number for stored in sent])

    def _recover(self) -> None:
        """Put every object into the state that it can go on from."""
        self._purge()
        interrupted = [*self.index.interrupted(), *(stored for stored, _ in self.index.leaving(1 << 30) if not (self.spool.out / stored.relative).is_file())]
        self.index.begin_again([stored.number for stored in interrupted])
        for stored in interrupted:
            self.spool.drop_result(stored.relative)
        for stored in self.index.waiting():
            if not (self.spool.out / stored.relative).is_file():
                self._spoilt(Delivery(stored.number, "", stored.relative, stored.sha256_out))
        pictures = {*self.index.in_quarantine(), *(stored.relative for stored, _ in self.index.new_in_quarantine(1 << 30))}
        left = self.spool.sweep(self.index.spooled(), pictures)
        counts = self.index.counts()
        log.info("spool opened: %d received, %d waiting, %d held, %d failed; %d begun again, %d incomplete deleted",
                 counts.received, counts.waiting, counts.held, counts.failed, len(interrupted), left)
