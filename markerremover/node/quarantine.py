"""Held and failed objects as the audit of a run, which `review` and `apply` open; and what `apply` released of them.

The index is the truth; the manifest follows it. `apply` rewrites the whole manifest, so rows are added only while no `apply` is running.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from ..audit import manifest_files, tables
from ..errors import UsageError
from ..headers.profile import HeaderProfile
from ..options import RunOptions
from ..records import RELEASED, Outcome
from ..redaction.corrections import FOLDER
from ..run import run_file, run_summary
from ..run.inputs import Input
from ..run.workers import Equipment
from ..system import locks, regular_files
from ..system.files import open_private, sha256_file
from .index import Index
from .spool import Spool

log = logging.getLogger(__name__)

APPLY_LOCK = "apply.lock"  # the lock that `apply` holds in the audit's review/
SUMMARY_S = 10.0  # least time between two summaries
TAKEN_BACK = "a person took its result back"


class Quarantine:
    """The audit of one spool.

    Args:
        options, headers: of cleaning.  route: origin of an object -> names of where its released result goes.
    """

    def __init__(self, spool: Spool, index: Index, options: RunOptions, headers: HeaderProfile, route: Callable[[str], tuple[str, ...]]) -> None:
        self._spool, self._index, self._options, self._headers, self._route = spool, index, options, headers, route
        self._manifest = spool.audit / manifest_files.MANIFEST
        self._seen: tuple[int, int, int] = (0, 0, 0)
        self._summary_due = self._has_row = False
        self._summary_at = 0.0
        self._equipment, self._facts = Equipment(), {"weights_sha256": ""}

    def begin(self, equipment: Equipment) -> None:
        """Write the audit's run.json, as soon as it is known with what is cleaned.

        Raises:
            OSError: it cannot be written.
        """
        self._equipment = equipment
        self._facts = run_summary.run_facts(equipment, self._options, self._headers)
        open_private(self._manifest, "a").close()
        run_file.write(self._spool.audit, self._spool.out, [self._spool.objects], self._options)
        self._has_row = bool(manifest_files.read_manifest(self._manifest))
        self._summary_due = self._has_row

    def follow(self, *, summarise: bool = False) -> int:
        """Take in new held and failed objects, and pass on what was released; returns the number of objects that changed.

        While an `apply` is running nothing is done.

        Args:
            summarise: bring the summary up to date now, not only after a while.

        Raises:
            OSError, sqlite3.Error: the disk is full or fails.
        """
        if summarise:
            self._summary_at = 0.0
        new = self._index.new_in_quarantine()
        stamp = self._stamp()
        if not new and stamp == self._seen and not self._summary_is_due():
            return 0
        regular_files.folder(self._spool.audit / FOLDER)
        try:
            lock = locks.hold(self._spool.audit / FOLDER / APPLY_LOCK, "")
        except UsageError:
            return 0  # an `apply` is running
        try:
            stamp = self._stamp()
            changed = self._release() if stamp != self._seen else 0
            self._seen = stamp
            if new:
                self._take_in(new)
                self._seen = self._stamp()
            if self._summary_is_due():
                self._summarise()
        finally:
            lock.release()
        return changed + len(new)

    def _stamp(self) -> tuple[int, int, int]:
        try:
            found = os.stat(self._manifest, follow_symlinks=False)
        except FileNotFoundError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)

    def _take_in(self, new: list[Any]) -> None:
        """Add rows to the manifest; a row of an object that was there is replaced."""
        fresh: dict[str, dict[str, Any]] = {}
        for stored, row in new:
            if not row:  # it was never cleaned, since it conflicts with another object
                source = self._spool.objects / stored.relative
                row = manifest_files.manifest_row(
                    Outcome(stored.relative, stored.state, stored.reason, sha256_in=sha256_file(source) if source.is_file() else ""), self._facts)
            fresh[stored.relative] = row
        rows = manifest_files.read_manifest(self._manifest)
        if any(row["relative"] in fresh for row in rows):
            manifest_files.write_rows(self._manifest, [row for row in rows if row["relative"] not in fresh] + list(fresh.values()))
        else:
            with open_private(self._manifest, "a") as handle:
                for row in fresh.values():
                    manifest_files.append(handle, row)
                os.fsync(handle.fileno())
        self._index.put_in_quarantine([stored.number for stored, _ in new])
        if not self._has_row:  # `apply` needs a summary
            self._has_row, self._summary_at = True, 0.0
        self._summary_due = True

    def _release(self) -> int:
        """Results that `apply` wrote wait for their destinations; those that it took away no longer do."""
        rows, changed = {row["relative"]: row for row in manifest_files.read_manifest(self._manifest)}, 0
        for relative, stored in self._index.in_quarantine().items():
            row = rows.get(relative)
            if row is None or stored.state == "received" or stored.stage == "cleaning":
                continue
            if row["status"] in RELEASED:
                if row["sha256_out"] and row["sha256_out"] != stored.sha256_out and self._is_there(relative, row["sha256_out"]):
                    self._index.cleaned(stored.number, row["sha256_out"], self._route(stored.origin))
                    log.info("object %d: released by a person", stored.number)
                    changed += 1
            elif stored.state not in ("held", "failed"):
                if stored.state == "sent":
                    self._index.note("quarantine", "a person took back a result that its destinations have: remove it there", stored.number)
                    log.error("object %d: its result was taken back, and its destinations have it", stored.number)
                self._index.withdrawn(stored.number, row["status"], row.get("reason") or TAKEN_BACK)
                changed += 1
        return changed

    def _is_there(self, relative: str, sha256: str) -> bool:
        try:
            return sha256_file(self._spool.out / relative) == sha256
        except OSError:
            return False

    def _summary_is_due(self) -> bool:
        return self._summary_due and time.monotonic() >= self._summary_at

    def _summarise(self) -> None:
        """Write summary.json, the tables and the page of the audit."""
        rows = manifest_files.read_manifest(self._manifest)
        inputs = [Input(self._spool.objects / row["relative"], row["relative"]) for row in rows]
        summary = run_summary.whole_summary(rows, inputs, [], self._equipment, self._options, self._facts) | {
            "by_hand": False, "audit": str(self._spool.audit), "unaccounted": [], "resumed": 0, "seconds": 0.0, "images_per_second": 0.0, "renamed": 0,
            "reviewed": sum(bool((row.get("review") or {}).get("verdict")) for row in rows),
            "corrected": sum(bool((row.get("review") or {}).get("digest")) for row in rows),
        }
        manifest_files.write_summary(self._spool.audit, summary)
        tables.write_tables(self._spool.audit, rows)
        manifest_files.write_page(self._spool.audit, rows, summary)
        self._summary_due, self._summary_at = False, time.monotonic() + SUMMARY_S
