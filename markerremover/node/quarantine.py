"""Held and failed objects as the audit of a run, which `review` and `apply` open; and what `apply` released of them.

The index is the truth; the manifest follows it. `apply` rewrites the whole manifest, so rows are changed only while no `apply` is running. `queue`
changes what is held, failed or waits only under the same lock.
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
from ..redaction import corrections
from ..redaction.corrections import FOLDER
from ..run import run_file, run_summary
from ..run.inputs import Input
from ..run.workers import Equipment
from ..system import locks, regular_files
from ..system.files import open_private, sha256_file
from .index import Index
from .records import Stored
from .spool import Spool

log = logging.getLogger(__name__)

APPLY_LOCK = "apply.lock"  # the lock that `apply` holds in the audit's review/
SUMMARY_S = 10.0  # least time between two summaries
TAKEN_BACK = "a person took its result back"
#: Reason of an object that was cleaned again and would leave, but for what a person marked in it.
DECIDED = "it was cleaned again, and a person has corrected or released it: apply carries that out"


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
        stamp = self._stamp()
        if not self._index.new_in_quarantine(1) and not self._index.leaving(1) and stamp == self._seen and not self._summary_is_due():
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
            if new := self._index.new_in_quarantine():  # read under the lock: nobody has any of them cleaned again meanwhile
                self._take_in(new)
                self._seen = self._stamp()
            if self._summary_is_due():
                self._summarise()
            if leaving := self._index.leaving():
                changed += self._let_go(leaving)
                self._seen = self._stamp()
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
        rows = manifest_files.read_manifest(self._manifest)
        before = {row["relative"]: row for row in rows}
        fresh: dict[str, dict[str, Any]] = {}
        for stored, row in new:
            if not row:  # it was never cleaned, since it conflicts with another object; or its delivery was given up
                self._spool.drop_result(stored.relative)
                row = before.get(stored.relative) or self._bare_row(stored)
                row = row | {"status": stored.state, "reason": stored.reason, "sha256_out": ""}
            fresh[stored.relative] = row
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

    def _bare_row(self, stored: Stored) -> dict[str, Any]:
        source = self._spool.objects / stored.relative
        return manifest_files.manifest_row(
            Outcome(stored.relative, stored.state, stored.reason, sha256_in=sha256_file(source) if source.is_file() else ""), self._facts)

    def _let_go(self, leaving: list[tuple[Stored, dict[str, Any]]]) -> int:
        """Objects that were cleaned again leave the manifest, and their results become due; what a person corrected or released is held instead, since
        the cleaning knew nothing of it. Returns how many left.

        Raises:
            UsageError: the log of the review is damaged: all of them wait.
        """
        reviews = corrections.reviews(corrections.read_events(corrections.log_path(self._spool.audit)))
        gone: list[Stored] = []
        for stored, row in leaving:
            if stored.relative in reviews and reviews[stored.relative].digest:
                self._index.ended(stored.number, "held", DECIDED, row | {"status": "held", "reason": DECIDED, "sha256_out": ""})
                self._spool.drop_result(stored.relative)
            elif self._is_there(stored.relative, stored.sha256_out):
                gone.append(stored)
            else:
                self._index.begin_again([stored.number])
        names = {stored.relative for stored in gone}
        rows = manifest_files.read_manifest(self._manifest)
        if any(row["relative"] in names for row in rows):
            manifest_files.write_rows(self._manifest, [row for row in rows if row["relative"] not in names])
        for stored in gone:
            self._index.left_quarantine(stored.number, self._route(stored.origin))
            self._spool.drop_pictures(stored.relative)
            log.info("object %d: cleaned again, left the quarantine", stored.number)
        self._summary_due = True
        return len(gone)

    def _release(self) -> int:
        """Results that `apply` wrote wait for their destinations; those that it took away no longer do."""
        rows, changed = {row["relative"]: row for row in manifest_files.read_manifest(self._manifest)}, 0
        for relative, stored in self._index.as_in_manifest().items():
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
                self._index.withdrawn(stored.number, row["status"], row.get("reason") or TAKEN_BACK, stored.sha256_out)
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
