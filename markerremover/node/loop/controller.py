"""Looks from time to time whether it is time to learn, says so in the log and to the status page, and starts `improve` if it is asked to.

Which weights are adopted is decided by `improve` alone, by its rule; the controller reads its exit code. A node goes on with the weights that it
started with: adopted ones are used from its next start.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...configuration.node_tables import Loop
from ...errors import MarkerRemoverError
from ...improve import due
from ...system.files import open_private
from ..engine import Engine
from ..sending import unexpected

log = logging.getLogger(__name__)

OUTPUT = "improve.log"  # in the spool: what `improve` printed
ADOPTED, NOT_ADOPTED = 0, 1
STOP_S = 30.0  # time that `improve` has to end when the node ends; its work is resumed by the next round

Start = Callable[[Sequence[str], Path], "subprocess.Popen[bytes]"]


def start_process(command: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
    """Start a process that prints into a file."""
    with open_private(output) as handle:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=handle, stderr=subprocess.STDOUT)


class Controller:
    """The controller of one node.

    Args:
        engine: started.  start: starts a process, as `start_process`.

    Attributes:
        finding, reasons: of the last look; reasons are [] where it is not time to learn.
    """

    def __init__(self, engine: Engine, loop: Loop, start: Start = start_process) -> None:
        self._engine, self._loop, self._start = engine, loop, start
        self._audit = engine.spool.audit
        self._process: subprocess.Popen[bytes] | None = None
        self._tried: due.Finding | None = None
        self._last = ""
        self.finding, self.reasons = due.Finding(), list[str]()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="learning", daemon=True)

    def start(self) -> None:
        """Start to look."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and `improve` if it is at work; nothing is lost, the next round resumes its training."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                self.look()
            except (MarkerRemoverError, OSError, sqlite3.Error) as error:
                self._last = f"it cannot be told whether it is time to learn ({type(error).__name__})"
                log.error("%s", self._last)
            except Exception as error:  # a thread that ends without a word would never say that it is time
                self._last = f"it cannot be told whether it is time to learn ({unexpected(error)})"
                log.error("%s", self._last)
            self._stopping.wait(self._loop.check_s)

    def look(self) -> bool:
        """Look once; returns whether it is time to learn.

        Raises:
            MarkerRemoverError, OSError, sqlite3.Error: index, review log or history cannot be read.
        """
        self._collect()
        was_due = bool(self.reasons)
        self.finding = due.finding([self._audit], self._loop, self._engine.index.latest_cleaned)
        self.reasons = self.finding.reasons(self._loop)
        if self.reasons and not was_due:
            log.warning("time to learn: %s", "; ".join(self.reasons))
        elif was_due and not self.reasons:
            log.info("no longer time to learn")
        if self.reasons and self._loop.start and self._process is None and self._may_start():
            self._begin()
        return bool(self.reasons)

    def _may_start(self) -> bool:
        """Whether there is something to learn from that the last round did not have: finished reviews."""
        return self.finding.reviewed > 0 and (self._tried is None or self.finding.reviewed != self._tried.reviewed)

    def _begin(self) -> None:
        self._tried = self.finding
        command = [sys.executable, "-m", "markerremover", "improve", os.path.abspath(str(self._loop.site)), str(self._audit)]
        log.warning("starting `improve`; what it prints is in %s of the spool", OUTPUT)
        self._process = self._start(command, self._engine.spool.folder / OUTPUT)

    def _collect(self) -> None:
        """Say how `improve` ended, if it has."""
        if self._process is None or (code := self._process.poll()) is None:
            return
        self._process = None
        if code == ADOPTED:
            self._last = "the last round ended well: weights that it adopted are used from the next start of the node"
        elif code == NOT_ADOPTED:
            self._last = "the last round's weights were not adopted: they are no better by the rule of adoption"
        else:
            self._last = f"`improve` ended with exit code {code}: see {OUTPUT} in the spool"
            self._engine.index.note("learning", f"improve ended with exit code {code}")
        log.warning("%s", self._last)

    def state(self) -> dict[str, Any]:
        """What the status page shows."""
        running = self._process is not None and self._process.poll() is None
        return {
            "due": bool(self.reasons), "running": running, "starts": self._loop.start,
            "lines": [*self.finding.lines(self._loop), *([self._last] if self._last else [])],
        }
