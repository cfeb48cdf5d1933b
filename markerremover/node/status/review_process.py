"""`markerremover review` and `apply` on the quarantine, each in a process of its own, started from the status page."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from ...audit import manifest_files
from ...errors import UsageError

START_S = 60.0  # time limit for the start of the review page, seconds
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/enter\?token=[\w-]+")


class ReviewProcess:
    """At most one review page and one `apply` at a time.

    Args:
        audit: of the quarantine.  name: of the reviewer, None for the login name.  port: of the review page, 0 for any free one.
    """

    def __init__(self, audit: Path, name: str | None, port: int) -> None:
        self._audit, self._name, self._port = audit, name, port
        self._lock = threading.Lock()
        self._review: subprocess.Popen[str] | None = None
        self._apply: subprocess.Popen[str] | None = None

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "markerremover", *arguments]

    def open(self) -> str:
        """Start the review page; returns its address, which works once. One that is open is ended before: all its decisions are saved.

        Raises:
            UsageError: there is nothing to review, or it does not start.
        """
        if not (self._audit / manifest_files.MANIFEST).is_file() or not (self._audit / manifest_files.MANIFEST).stat().st_size:
            raise UsageError("nothing was held or failed, so there is nothing to review")
        with self._lock:
            _end(self._review)
            options = ["--no-open", "--port", str(self._port), *(["--name", self._name] if self._name else [])]
            self._review = subprocess.Popen(
                self._command("review", str(self._audit), *options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            process, timer = self._review, threading.Timer(START_S, self._review.kill)
            timer.start()
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    if found := _ADDRESS.search(line):
                        threading.Thread(target=_drain, args=(process.stdout,), daemon=True).start()
                        return found.group()
            finally:
                timer.cancel()
            process.stdout.close()
            _end(process)
            raise UsageError(f"the review page did not start: try `markerremover review {self._audit}`")

    def apply(self) -> None:
        """Start `apply`, unless it is at work."""
        with self._lock:
            if self._apply is None or self._apply.poll() is not None:
                self._apply = subprocess.Popen(
                    self._command("apply", str(self._audit)), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)

    def applying(self) -> str:
        """"working", "" or, where the last `apply` ended with a trouble, its exit code in words."""
        process = self._apply
        if process is None:
            return ""
        code = process.poll()
        return "working" if code is None else "" if code == 0 else f"the last `apply` ended with exit code {code}"

    def stop(self) -> None:
        """End both; what is saved stays, and `apply` can be repeated."""
        with self._lock:
            _end(self._review)
            _end(self._apply)


def _drain(stream: IO[str]) -> None:
    """Read what a process prints later, so that it never waits for a reader; nothing of it is kept."""
    with stream:
        for _ in stream:
            pass


def _end(process: subprocess.Popen[str] | None) -> None:
    if process is not None and process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
