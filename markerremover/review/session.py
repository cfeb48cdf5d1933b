"""One person's review of one audit: the order of files, the decisions, and undo.

Every decision is on disk before the page is told, so closing browser or server loses at most the last key press.
"""

from __future__ import annotations

import datetime
import os
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..audit import manifest_files
from ..boxes import iou_of
from ..errors import ReadError, UsageError
from ..records import RELEASED, Mark
from ..redaction import corrections, review_events
from ..redaction.corrections import Review
from ..run import run_file
from ..system import locks, regular_files
from ..system.files import write_private
from ..system.journal import now
from . import decisions, holding, sampling
from .history import History
from .queue import Doubt, doubts

SENT = ("frame", "xyxy", "score", "label", "action", "reason", "text", "confidence", "rotation_deg", "mirrored")


def base_boxes(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The boxes of a row as the program alone decided, also where they have been corrected since; corrections refer to these."""
    original = manifest_files.boxes_before(row)
    places = {(b["frame"], tuple(b["xyxy"])) for b in original}
    more = [b for b in row["boxes"] if (b["frame"], tuple(b["xyxy"])) not in places and b["label"] != corrections.LABEL]
    return [*original, *({**b, "action": _program_action(b)} for b in more)]


def _program_action(box: dict[str, Any]) -> str:
    """The action that the program alone decided for a box."""
    return {corrections.KEPT: "remove", corrections.COVERED: "remove", corrections.REMOVED: "keep"}.get(box["reason"], box["action"])


def _became(mark: Mark, row: dict[str, Any]) -> str:
    """Reason of the box that a drawn laterality marker led to in the present result; "" for other marks, and before `apply`."""
    results = [box for box in row["boxes"] if box["frame"] == mark.frame and box["label"] == corrections.LABEL and
        box["reason"] not in (corrections.DRAWN, corrections.REMOVED)]
    if mark.action != "keep" or not results:
        return ""
    best = max(results, key=lambda box: iou_of(box["xyxy"], mark.xyxy))
    return best["reason"] if iou_of(best["xyxy"], mark.xyxy) else ""


class Session:
    """The state of a review. Its methods may be called from several threads.

    Attributes:
        run: the run under review.  reviewer: name recorded with every decision.
        order: paths below OUT in the order of the review.
        sample: the random sample under review, None for all files by doubt.
    """

    def __init__(
        self, audit: Path, reviewer: str, *, sample: int | None = None, seed: int = 0, clock: Callable[[], str] = now
    ) -> None:
        """Open the review of an audit, continuing an earlier session.

        Args:
            audit: folder of the run.  reviewer: name, at most 100 printable characters.
            sample: number of results to draw at random; None for every file, the most doubtful first.
            seed: of the sample.  clock: gives the present time, ISO 8601.

        Raises:
            UsageError: no audit of a run, no name, another session is open on it, or its log is damaged.
        """
        self.reviewer = reviewer.strip()
        if not self.reviewer or not self.reviewer.isprintable() or len(self.reviewer) > 100:
            raise UsageError("a reviewer needs a name of at most 100 printable characters: --name")
        self.run, self._clock, self._lock = run_file.read(audit), clock, threading.RLock()
        self._rows: dict[str, dict[str, Any]] = {}
        self._carried: set[str] = set()  # files whose result includes corrections
        self._stamp: tuple[int, int] = (0, 0)
        self._sources: dict[str, Path] | None = None
        self._walking = threading.Lock()
        self._looked: set[tuple[str, str, str]] = set()
        regular_files.folder(self.run.audit / corrections.FOLDER)
        self._held = locks.hold(self.run.audit / corrections.FOLDER / "lock", f"{self.run.audit}: another review of it is open")
        try:
            self._open(sample, seed)
        except BaseException:
            self.close()
            raise

    def _open(self, sample: int | None, seed: int) -> None:
        """Read the log and the manifest, and determine the order."""
        events = corrections.read_events(corrections.log_path(self.run.audit))
        self._next = 1 + max((event["n"] for event in events), default=0)
        self._events: dict[str, list[dict[str, Any]]] = {}
        for event in events:
            self._events.setdefault(event["file"], []).append(event)
        self._history = History(events)
        self._reviews = corrections.standing(events)
        self._refresh()
        rows = list(self._rows.values())
        if sample is not None and self.run.options.dry_run:
            raise UsageError("a dry run has no results to draw a sample of")
        self.sample = sampling.drawn(self.run.audit, rows, sample, seed, self._clock()) if sample is not None else None
        if self.sample:
            sampling.bound(0, 1)  # imports scipy now, which takes seconds, instead of at the last key press
        policy = self.run.options.resolved_policy
        queue = doubts(rows, self._threshold() or policy.threshold or 0.5, policy.min_confidence)
        self._doubts = {d.relative: d for d in queue}
        self.order: tuple[str, ...] = self.sample.files if self.sample else tuple(d.relative for d in queue)
        self._number = {relative: i for i, relative in enumerate(self.order)}
        self._finish(rewrite=False)

    def _threshold(self) -> float | None:
        """The threshold in the summary of the run, None without one."""
        options = manifest_files.read_summary(self.run.audit).get("options")
        threshold = options.get("threshold") if isinstance(options, dict) else None
        if not isinstance(threshold, (int, float)) or isinstance(threshold, bool):
            return None
        return float(threshold) if 0 <= threshold <= 1 else None

    def unknown(self) -> list[str]:
        """Files with decisions that the run does not have; such decisions have no effect."""
        with self._lock:
            self._refresh()
            return corrections.unknown(self._events, self._rows)

    def close(self) -> None:
        """Release the lock, so that another session can open the audit."""
        self._held.release()

    def _refresh(self) -> None:
        """Read the manifest again if `apply` has changed it."""
        stat = os.lstat(self.run.audit / manifest_files.MANIFEST)
        if (stamp := (stat.st_mtime_ns, stat.st_ino)) != self._stamp:
            self._rows = manifest_files.checked_rows(self.run.audit)
            self._carried = {relative for relative, row in self._rows.items() if (row.get("review") or {}).get("digest")}
            self._stamp = stamp

    def row(self, number: int) -> dict[str, Any]:
        """The manifest row of the file at an index of the order.

        Raises:
            UsageError: there is no such index, or the file has no row any more.
        """
        with self._lock:
            self._refresh()
            if not 0 <= number < len(self.order) or self.order[number] not in self._rows:
                raise UsageError(f"there is no file {number}, allowed is 0 to {len(self.order) - 1}")
            return self._rows[self.order[number]]

    def first(self) -> int:
        """Index of the file that is shown first: the first one that is not reviewed or was redone since, 0 if there is none."""
        with self._lock:
            return next((i for i, relative in enumerate(self.order) if self._state(relative) in ("todo", "again")), 0)

    def source(self, relative: str) -> Path:
        """The original of a path below OUT.

        Raises:
            ReadError: it is not among the inputs of the run, or a link points outside them.
        """
        path = run_file.direct(self.run, relative)
        if path is None:
            with self._walking:  # a lock of its own, so that other requests do not wait for the walk through the inputs
                if self._sources is None:
                    self._sources = run_file.sources(self.run)
                path = self._sources.get(relative)
        roots = [p.resolve() for p in self.run.inputs]
        if path is None or not any(path.resolve() == root or path.resolve().is_relative_to(root) for root in roots):
            raise ReadError("its original is no longer where the run found it")
        return path

    def result(self, relative: str) -> Path:
        """The path of a file's result.

        Raises:
            ReadError: it is missing, no regular file, or a link points outside OUT.
        """
        root = self.run.out.resolve()
        path = (self.run.out / relative).resolve()
        if not path.is_relative_to(root) or path == root or not path.is_file():
            raise ReadError("its result is not in the output folder")
        return path

    def looked(self, row: dict[str, Any]) -> None:
        """Record that the present result of a file has been shown; only then can the file be accepted."""
        with self._lock:
            self._looked.add((row["relative"], row["sha256_in"], row["sha256_out"]))

    def review(self, relative: str) -> Review:
        """The review of a file, an empty one if there is none."""
        with self._lock:
            return self._reviews.get(relative, Review())

    def overview(self) -> dict[str, Any]:
        """The order with the state of each file, the run's limits, and the progress of the review."""
        with self._lock:
            self._refresh()
            items = [self._item(relative) for relative in self.order]
            return {
                "reviewer": self.reviewer, "files": items, "progress": self.progress(), "threshold": self._threshold(),
                "min_confidence": self.run.options.resolved_policy.min_confidence, "audit": self.run.audit.name,
                "sample": {"count": len(self.sample.files), "population": self.sample.population,
                    "seed": self.sample.seed} if self.sample else None,
            }

    def _item(self, relative: str) -> dict[str, Any]:
        row, review = self._rows.get(relative), self._reviews.get(relative)
        doubt = self._doubts.get(relative, Doubt(relative, 0.0, ()))
        return {
            "file": relative, "status": row["status"] if row else "gone", "boxes": len(row["boxes"]) if row else 0, "doubt": doubt.score,
            "why": list(doubt.words), "early": doubt.is_early, "state": self._state(relative), "by": review.who if review else "",
        }

    def _state(self, relative: str) -> str:
        """"todo"; "done"; "corrected": done, with corrections; "again": redone since its review; "gone": a file of the sample without a result
        by now."""
        row, review = self._rows.get(relative), self._reviews.get(relative)
        if self.sample and (row is None or row["status"] not in RELEASED):
            return "gone"
        if row is None or review is None or not review.verdict:
            return "todo"
        if not sampling.is_current(review, row):
            return "again"
        return "corrected" if review.digest else "done"

    def progress(self) -> dict[str, Any]:
        """Numbers of files: finished, corrected, redone since their review, waiting for `apply`; the result of a finished sample; and what undo
        takes back, see `_undoable`."""
        with self._lock:
            states = [self._state(relative) for relative in self._reviews if relative in self._number]  # all others are "todo"
            waiting = sum(self._waits(relative) for relative in self._carried | self._reviews.keys() if relative in self._rows)
            done = sum(state in ("done", "corrected") for state in states)
            result: dict[str, Any] = {"done": done, "of": len(self.order), "corrected": states.count("corrected"),
                "again": states.count("again"), "waiting": waiting, "statement": "", "undo": self._undoable()}
            if self.sample:
                counts = sampling.counted(self.sample, self._reviews, self._rows)
                result |= {"of": len(self.order) - counts.withdrawn, "statement": sampling.result(self.sample, counts)}
            return result

    def _undoable(self) -> dict[str, Any] | None:
        """The last decision of the whole log that stands, with the file that it is on; None where another person made it, or its file is not in
        this review or was redone since: then only decisions on the present file can be taken back."""
        event = self._history.last()
        row = self._rows.get(event["file"]) if event else None
        if event is None or row is None or event["who"] != self.reviewer or event["file"] not in self._number:
            return None
        if (event["sha256_in"], event["sha256_out"]) != (row["sha256_in"], row["sha256_out"]):
            return None
        return {"n": event["n"], "event": event["event"], "file": event["file"], "number": self._number[event["file"]],
            "seen": [row["sha256_in"], row["sha256_out"]]}

    def _waits(self, relative: str) -> bool:
        """Whether the review of a file is not yet applied to its result."""
        review = self._reviews.get(relative)
        return (review.digest if review else "") != (self._rows[relative].get("review") or {}).get("digest", "")

    def file(self, number: int) -> dict[str, Any]:
        """One file for the page: its boxes with corrections, drawn boxes, and its state."""
        with self._lock:
            row = self.row(number)
            relative = row["relative"]
            review = self._reviews.get(relative, Review())
            changed = {(m.frame, m.xyxy): m for m in (*review.marks, *review.named) if not m.drawn}
            boxes = []
            for box in base_boxes(row):
                mark = changed.get((box["frame"], tuple(box["xyxy"])))
                action = mark.action if mark else box["action"]
                boxes.append({**{key: box[key] for key in SENT}, "now": action, "kind": mark.kind if mark else "", "by": mark.who if
                    mark else ""})
            return {
                **self._item(relative), "number": number, "of": len(self.order), "reason": row["reason"], "format": row["format"],
                "shape": row["shape"], "released_held": row.get("released_held", ""), "seen": [row["sha256_in"], row["sha256_out"]],
                "boxes": boxes, "drawn": [asdict(m) | {"id": n, "became": _became(m, row)} for n, m in self._drawn(relative)],
                "holds": holding.places(row), "verdict": review.verdict,
                "waits": self._waits(relative), "when": review.when, "can_undo": self._last(relative) is not None,
            }

    def _drawn(self, relative: str) -> list[tuple[int, Mark]]:
        """The boxes drawn on a file, with the numbers of their events."""
        numbers = self._standing(relative, *review_events.DRAWING)
        erased = {event["of"] for event in self._standing(relative, "erase")}
        drawn = [event["n"] for event in numbers if event["n"] not in erased]
        marks = [m for m in self._reviews.get(relative, Review()).marks if m.drawn]
        return list(zip(drawn, marks))

    def _standing(self, relative: str, *kinds: str) -> list[dict[str, Any]]:
        """Events of a file that were not undone: of some kinds, or of any kind but undo."""
        events = self._events.get(relative, ())
        undone = {event["of"] for event in events if event["event"] == "undo"}
        remaining = (event for event in events if event["n"] not in undone and event["event"] != "undo")
        return [event for event in remaining if not kinds or event["event"] in kinds]

    def _last(self, relative: str) -> dict[str, Any] | None:
        standing = self._standing(relative)
        return standing[-1] if standing else None

    def decide(self, number: int, decision: dict[str, Any]) -> dict[str, Any]:
        """Save one decision from the page and return the file's new state, see `file`.

        Args:
            decision: `event` (draw, retain, erase, set, accept, release, undo), `seen` as `file` gave it, and the event's own fields; of an
                undo `of`, if given, is the event that the page takes for the last.

        Raises:
            UsageError: it is invalid, or about another state of the file than the present one.
        """
        with self._lock:
            row = self.row(number)
            if decision.get("seen") != [row["sha256_in"], row["sha256_out"]]:
                raise UsageError("the file was redone since it was shown: look at it again")
            relative = row["relative"]
            events = self._events.setdefault(relative, [])
            state = decisions.State(
                row, base_boxes(row), [n for n, _ in self._drawn(relative)], self._last(relative), len(events),
                (relative, row["sha256_in"], row["sha256_out"]) in self._looked, self.run.options.resolved_policy.keep)
            event = decisions.checked(state, decision) | {
                "n": self._next, "time": self._clock(), "who": self.reviewer, "file": relative,
                "sha256_in": row["sha256_in"], "sha256_out": row["sha256_out"],
            }
            if problem := review_events.problem(event):
                raise UsageError(problem)
            corrections.append(self.run.audit, event)
            self._next += 1
            events.append(event)
            self._history.add(event)
            self._reviews.pop(relative, None)
            self._reviews |= corrections.standing(events)
            self._finish()
            return self.file(number)

    def _finish(self, rewrite: bool = True) -> None:
        """Write the statement of a completely reviewed sample, an existing one only if `rewrite`; delete it where the review is not complete."""
        if self.sample is None:
            return
        path = self.statement_path()
        if self.progress()["statement"]:
            if not rewrite and path.exists():
                return
            day = datetime.datetime.fromisoformat(self._clock()).date()
            write_private(path, sampling.statement(self.sample, self._reviews, self._rows, day))
        else:
            path.unlink(missing_ok=True)

    def door(self) -> Path:
        """Path of the file that opens the page in a browser, see `cli.review`; only its owner may read it."""
        return self.run.audit / corrections.FOLDER / "open.html"

    def statement_path(self) -> Path:
        """Path of the statement on the sample, whether it exists or not.

        Raises:
            UsageError: the review has no sample.
        """
        if self.sample is None:
            raise UsageError("a review of all files has no sample, so there is no statement")
        return self.run.audit / corrections.FOLDER / f"statement-{len(self.sample.files)}-{self.sample.seed}.md"
