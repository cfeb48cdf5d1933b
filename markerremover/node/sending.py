"""One thread for each destination sends what waits for it, with growing pauses where it cannot.

A delivery is recorded after the destination confirmed it. If the node ends between the two, the object is sent once more at the next start: with
the same SOP Instance UID and the same bytes, which an archive takes as the object that it has.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from ..errors import MarkerRemoverError
from ..formats.dicom.file_meta import MOST, file_facts
from .destinations import Parcel, Peer, Send, Unreachable
from .index import Index
from .records import Delivery, Limits
from .spool import Changed, Spool

log = logging.getLogger(__name__)

BATCH = 50  # deliveries for one connection: an association has room for 128 presentation contexts
POLL_S = 1.0
JITTER = 0.1  # share by which a pause differs, so that many nodes do not come back at the same moment


def pause_s(attempts: int, limits: Limits) -> float:
    """The pause after so many failed attempts, seconds: doubled after each, up to the longest.

    >>> pause_s(0, Limits()), pause_s(3, Limits()), pause_s(99, Limits())
    (5.0, 40.0, 900.0)
    """
    return float(min(limits.longest_retry_s, limits.first_retry_s * 2 ** min(attempts, 60)))


def unexpected(error: Exception) -> MarkerRemoverError:
    """An error that names the kind of an exception and its place, never its message, which may quote an object."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return MarkerRemoverError(f"unexpected {type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}")


class Sender:
    """The thread of one destination.

    Args:
        name: of the destination.  on_sent: called after each object that all destinations have by now.
        on_spoilt: called with a delivery whose result is not the one that was verified.
    """

    def __init__(self, name: str, peer: Peer, spool: Spool, index: Index, limits: Limits, on_sent: Callable[[], None],
                 on_spoilt: Callable[[Delivery], None]) -> None:
        self._name, self._peer, self._spool, self._index, self._limits = name, peer, spool, index, limits
        self._on_sent, self._on_spoilt = on_sent, on_spoilt
        self._stopping, self._more = threading.Event(), threading.Event()
        self._not_before, self._lost = 0.0, 0
        self._thread = threading.Thread(target=self._work, name=f"sending-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """A result waits."""
        self._more.set()

    def stop(self) -> None:
        """End the thread, after the object that it is sending."""
        self._stopping.set()
        self._more.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                due = self._index.due(self._name, BATCH) if time.monotonic() >= self._not_before else []
                if not due:
                    self._more.wait(POLL_S)
                    self._more.clear()
                    continue
                self._send(due)
            except (sqlite3.Error, OSError) as error:
                log.error("destination %s waits: the index or the spool cannot be read or written: %s", self._name, type(error).__name__)
                self._stopping.wait(POLL_S)
            except Exception as error:  # whatever a library raises: the thread goes on, after a pause
                reason = str(unexpected(error))
                log.error("destination %s waits: %s", self._name, reason)
                self._not_before = time.monotonic() + self._limits.first_retry_s
                self._index.note(f"sending {self._name}", reason)

    def _send(self, due: list[Delivery]) -> None:
        """Send some deliveries over one connection."""
        parcels = [parcel for delivery in due if (parcel := self._parcel(delivery))]
        if not parcels:
            return
        current = parcels[0].delivery
        try:
            with self._peer.connected(parcels) as send:
                for parcel in parcels:
                    current = parcel.delivery
                    if self._stopping.is_set():
                        return
                    self._send_one(parcel, send)
        except Unreachable as error:
            self._lost += 1
            wait = pause_s(max(current.attempts, self._lost - 1), self._limits) * random.uniform(1 - JITTER, 1 + JITTER)
            self._not_before = time.monotonic() + wait
            log.warning("destination %s: %s; next attempt in %.0f s", self._name, error, wait)
            self._index.postponed(current, str(error), wait)
            self._index.postpone_all(self._name, str(error), wait)
            self._index.note(f"sending {self._name}", str(error), current.number)

    def _send_one(self, parcel: Parcel, send: Send) -> None:
        delivery = parcel.delivery
        try:
            with self._spool.pinned(delivery.relative, delivery.sha256_out) as path:
                error = send(parcel, path)
        except Changed as changed:
            self._spoilt(delivery, str(changed))
            return
        self._lost = 0
        if error:
            wait = pause_s(delivery.attempts, self._limits)
            log.warning("object %d: destination %s: %s; next attempt in %.0f s", delivery.number, self._name, error, wait)
            self._index.postponed(delivery, error, wait)
            self._index.note(f"sending {self._name}", error, delivery.number)
            return
        while True:  # the destination has it: this is recorded, however long the disk is full
            try:
                done = self._index.delivered(delivery)
                break
            except sqlite3.Error:
                log.error("object %d was sent to %s, but the index cannot be written", delivery.number, self._name)
                if self._stopping.wait(POLL_S):
                    return
        log.info("object %d: sent to %s", delivery.number, self._name)
        if done:
            self._on_sent()

    def _parcel(self, delivery: Delivery) -> Parcel | None:
        try:
            with open(self._spool.out / delivery.relative, "rb") as handle:
                return Parcel(delivery, file_facts(handle.read(MOST)))
        except FileNotFoundError:
            self._spoilt(delivery, "the result is missing")
            return None

    def _spoilt(self, delivery: Delivery, reason: str) -> None:
        log.error("object %d: not sent to %s: %s", delivery.number, self._name, reason)
        self._index.note(f"sending {self._name}", reason, delivery.number)
        self._on_spoilt(delivery)
        self._index.postponed(delivery, reason, pause_s(delivery.attempts, self._limits))
