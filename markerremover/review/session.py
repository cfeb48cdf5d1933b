"""One person going through one audit: the order of files, what was decided, and the way back.

Every decision is on the disk before the page hears that it was taken, so closing browser or server loses at most the key in flight.
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
from ..errors import ReadError, UsageError
from ..records import RELEASED, Mark
from ..redaction import corrections, review_events
from ..redaction.corrections import Review
from ..run import run_file
from ..system import locks, regular_files
from ..system.files import write_private
from ..system.journal import now
from . import sampling
from .queue import doubts

LEAST_PX = 2  # a side of a drawn box
MOST_EVENTS = 10_000  # on one file, after which none is drawn or changed
SHOWN = ("frame", "xyxy", "score", "label", "action", "reason", "text", "confidence", "rotation_deg", "mirrored")


def base_boxes(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The boxes of a row as the program alone decided, also where they were corrected since: what corrections are made to."""
    before = manifest_files.boxes_before(row)
    known = {(b["frame"], tuple(b["xyxy"])) for b in before}
    more = [b for b in row["boxes"] if (b["frame"], tuple(b["xyxy"])) not in known and b["label"] != corrections.LABEL]
    return [*before, *({**b, "action": _turned_back(b)} for b in more)]


def _turned_back(box: dict[str, Any]) -> str:
    """What the program alone decided of a box."""
    return {corrections.KEPT: "remove", corrections.COVERED: "remove", corrections.REMOVED: "keep"}.get(box["reason"], box["action"])


class Session:
    """The state of a review. Its methods may be called from several threads.

    Attributes:
        run: the run that is looked at.  reviewer: name that goes with every decision.
        order: paths below OUT in the order in which they are shown.
        sample: the random sample that is looked at, None for all files by doubt.
    """

    def __init__(
        self, audit: Path, reviewer: str, *, sample: int | None = None, seed: int = 0, clock: Callable[[], str] = now
    ) -> None:
        """Open the review of an audit, going on where an earlier session ended.

        Args:
            sample: so many results drawn at random; None for every file, the most doubtful first.

        Raises:
            UsageError: no audit of a run, no name, another session is open on it, or its log is damaged.
        """
        self.reviewer = reviewer.strip()
        if not self.reviewer or not self.reviewer.isprintable() or len(self.reviewer) > 100:
            raise UsageError("a reviewer needs a name of at most 100 printable characters: --name")
        self.run, self._clock, self._lock = run_file.read(audit), clock, threading.RLock()
        self._rows: dict[str, dict[str, Any]] = {}
        self._carried: set[str] = set()  # files whose result has corrections in it
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
        """Read what there is and bring it into order."""
        said = corrections.read_events(corrections.log_path(self.run.audit))
        self._next = 1 + max((event["n"] for event in said), default=0)
        self._events: dict[str, list[dict[str, Any]]] = {}
        for event in said:
            self._events.setdefault(event["file"], []).append(event)
        self._reviews = corrections.standing(said)
        self._refresh()
        rows = list(self._rows.values())
        if sample is not None and self.run.options.dry_run:
            raise UsageError("a dry run has no results to draw a sample of")
        self.sample = sampling.drawn(self.run.audit, rows, sample, seed, self._clock()) if sample is not None else None
        if self.sample:
            sampling.bound(0, 1)  # loads what takes seconds to load, now rather than at the last key press
        found = doubts(rows, self._threshold() or self.run.options.policy.threshold or 0.5, self.run.options.policy.min_confidence)
        self._words = {d.relative: (d.score, d.words) for d in found}
        self.order: tuple[str, ...] = self.sample.files if self.sample else tuple(d.relative for d in found)
        self._number = {relative: i for i, relative in enumerate(self.order)}
        self._finish(again=False)

    def _threshold(self) -> float | None:
        """That of the run, as far as its summary tells."""
        options = manifest_files.read_summary(self.run.audit).get("options")
        found = options.get("threshold") if isinstance(options, dict) else None
        return float(found) if type(found) in (int, float) and 0 <= found <= 1 else None

    def unknown(self) -> list[str]:
        """Files that decisions are about and the run does not have: they have no effect."""
        with self._lock:
            self._refresh()
            return corrections.unknown(self._events, self._rows)

    def close(self) -> None:
        """Let another session open the audit."""
        self._held.release()

    def _refresh(self) -> None:
        """Take in what `apply` has changed since."""
        stat = os.lstat(self.run.audit / manifest_files.MANIFEST)
        if (stamp := (stat.st_mtime_ns, stat.st_ino)) != self._stamp:
            self._rows = manifest_files.checked_rows(self.run.audit)
            self._carried = {relative for relative, row in self._rows.items() if (row.get("review") or {}).get("digest")}
            self._stamp = stamp

    def row(self, number: int) -> dict[str, Any]:
        """The manifest row of the file at a place of the order.

        Raises:
            UsageError: there is no such place, or no row of the file any more.
        """
        with self._lock:
            self._refresh()
            if not 0 <= number < len(self.order) or self.order[number] not in self._rows:
                raise UsageError(f"there is no file {number}, allowed is 0 to {len(self.order) - 1}")
            return self._rows[self.order[number]]

    def first(self) -> int:
        """Place of the file that is shown first: the first one that waits to be looked at, as the page goes by."""
        with self._lock:
            return next((i for i, relative in enumerate(self.order) if self._state(relative) in ("todo", "again")), 0)

    def source(self, relative: str) -> Path:
        """The original of a path below OUT.

        Raises:
            ReadError: it is not among the inputs of the run, or a link leads out of them.
        """
        path = run_file.direct(self.run, relative)
        if path is None:
            with self._walking:  # another lock: other requests need not wait for a walk through the inputs
                if self._sources is None:
                    self._sources = run_file.sources(self.run)
                path = self._sources.get(relative)
        roots = [p.resolve() for p in self.run.inputs]
        if path is None or not any(path.resolve() == root or path.resolve().is_relative_to(root) for root in roots):
            raise ReadError("its original is no longer where the run found it")
        return path

    def result(self, relative: str) -> Path:
        """Where the result of a file lies.

        Raises:
            ReadError: it is not there, no regular file, or a link leads out of OUT.
        """
        root = self.run.out.resolve()
        path = (self.run.out / relative).resolve()
        if not path.is_relative_to(root) or path == root or not path.is_file():
            raise ReadError("its result is not in the output folder")
        return path

    def looked(self, row: dict[str, Any]) -> None:
        """Note that the result of a file has been shown, as its row speaks of it: only then can the file be accepted."""
        with self._lock:
            self._looked.add((row["relative"], row["sha256_in"], row["sha256_out"]))

    def review(self, relative: str) -> Review:
        """What has been said of a file, nothing included."""
        with self._lock:
            return self._reviews.get(relative, Review())

    def overview(self) -> dict[str, Any]:
        """The order with the state of each file, what the run kept to, and how far the review is."""
        with self._lock:
            self._refresh()
            items = [self._item(relative) for relative in self.order]
            return {
                "reviewer": self.reviewer, "files": items, "progress": self.progress(), "threshold": self._threshold(),
                "min_confidence": self.run.options.policy.min_confidence, "audit": self.run.audit.name,
                "sample": {"count": len(self.sample.files), "population": self.sample.population,
                    "seed": self.sample.seed} if self.sample else None,
            }

    def _item(self, relative: str) -> dict[str, Any]:
        row, review = self._rows.get(relative), self._reviews.get(relative)
        score, words = self._words.get(relative, (0.0, ()))
        return {
            "file": relative, "status": row["status"] if row else "gone", "boxes": len(row["boxes"]) if row else 0, "doubt": score,
            "why": list(words), "state": self._state(relative), "by": review.who if review else "",
        }

    def _state(self, relative: str) -> str:
        """"todo"; "done"; "corrected": done, with corrections; "again": it was redone after a person had looked; "gone": of a sample, it has
        no result any more."""
        row, review = self._rows.get(relative), self._reviews.get(relative)
        if self.sample and (row is None or row["status"] not in RELEASED):
            return "gone"
        if row is None or review is None or not review.verdict:
            return "todo"
        if not sampling.is_now(review, row):
            return "again"
        return "corrected" if review.digest else "done"

    def progress(self) -> dict[str, Any]:
        """How many files are finished, how many were corrected, how many were redone since and must be looked at again, how many wait for
        `apply`, and at the end of a sample what it says."""
        with self._lock:
            states = [self._state(relative) for relative in self._reviews if relative in self._number]  # of all others "todo"
            waiting = sum(self._waits(relative) for relative in self._carried | self._reviews.keys() if relative in self._rows)
            done = sum(state in ("done", "corrected") for state in states)
            found: dict[str, Any] = {"done": done, "of": len(self.order), "corrected": states.count("corrected"),
                "again": states.count("again"), "waiting": waiting, "statement": ""}
            if self.sample:
                counts = sampling.counted(self.sample, self._reviews, self._rows)
                found |= {"of": len(self.order) - counts.gone, "statement": sampling.result(self.sample, counts)}
            return found

    def _waits(self, relative: str) -> bool:
        """Whether what was said of a file is not yet in its result."""
        review = self._reviews.get(relative)
        return (review.digest if review else "") != (self._rows[relative].get("review") or {}).get("digest", "")

    def file(self, number: int) -> dict[str, Any]:
        """One file for the page: its boxes with what people said of each, what they drew, and its state."""
        with self._lock:
            row = self.row(number)
            relative = row["relative"]
            review = self._reviews.get(relative, Review())
            said = {(m.frame, m.xyxy): m for m in (*review.marks, *review.named) if not m.drawn}
            boxes = []
            for box in base_boxes(row):
                mark = said.get((box["frame"], tuple(box["xyxy"])))
                now_is = mark.action if mark else box["action"]
                boxes.append({**{key: box[key] for key in SHOWN}, "now": now_is, "kind": mark.kind if mark else "", "by": mark.who if
                    mark else ""})
            return {
                **self._item(relative), "number": number, "of": len(self.order), "reason": row["reason"], "format": row["format"],
                "shape": row["shape"], "released_held": row.get("released_held", ""), "seen": [row["sha256_in"], row["sha256_out"]],
                "boxes": boxes, "drawn": [asdict(m) | {"id": n} for n, m in self._drawn(relative)], "verdict": review.verdict,
                "waits": self._waits(relative), "when": review.when, "can_undo": self._last(relative) is not None,
            }

    def _drawn(self, relative: str) -> list[tuple[int, Mark]]:
        """What was drawn on a file, with the numbers of the events."""
        numbers = self._standing(relative, "draw")
        erased = {event["of"] for event in self._standing(relative, "erase")}
        drawn = [event["n"] for event in numbers if event["n"] not in erased]
        marks = [m for m in self._reviews.get(relative, Review()).marks if m.drawn]
        return list(zip(drawn, marks))

    def _standing(self, relative: str, *kinds: str) -> list[dict[str, Any]]:
        """Events of a file of some kinds, or of any but undo, that were not undone."""
        own = self._events.get(relative, ())
        undone = {event["of"] for event in own if event["event"] == "undo"}
        left = (event for event in own if event["n"] not in undone and event["event"] != "undo")
        return [event for event in left if not kinds or event["event"] in kinds]

    def _last(self, relative: str) -> dict[str, Any] | None:
        standing = self._standing(relative)
        return standing[-1] if standing else None

    def decide(self, number: int, said: dict[str, Any]) -> dict[str, Any]:
        """Take one decision from the page, save it, and return the file as it is then.

        Args:
            said: `event` (draw, erase, set, accept, release, undo), `seen` as `file` gave it, and what the event needs.

        Raises:
            UsageError: it makes no sense, or is about another state of the file than the one there is.
        """
        with self._lock:
            row = self.row(number)
            if said.get("seen") != [row["sha256_in"], row["sha256_out"]]:
                raise UsageError("the file was redone since it was shown: look at it again")
            relative = row["relative"]
            own = self._events.setdefault(relative, [])
            if len(own) >= MOST_EVENTS and said.get("event") in ("draw", "set"):
                raise UsageError(f"{len(own)} decisions have been made on this file: no more boxes are drawn or changed")
            event = self._checked(row, said) | {
                "n": self._next, "time": self._clock(), "who": self.reviewer, "file": relative,
                "sha256_in": row["sha256_in"], "sha256_out": row["sha256_out"],
            }
            if wrong := review_events.problem(event):
                raise UsageError(wrong)
            corrections.append(self.run.audit, event)
            self._next += 1
            own.append(event)
            self._reviews.pop(relative, None)
            self._reviews |= corrections.standing(own)
            self._finish()
            return self.file(number)

    def _checked(self, row: dict[str, Any], said: dict[str, Any]) -> dict[str, Any]:
        """The parts of an event that come from the page, nothing else.

        Raises:
            UsageError: one of them is wrong.
        """
        kind, relative = said.get("event"), row["relative"]
        if kind == "undo":
            last = self._last(relative)
            if last is None:
                raise UsageError("there is nothing to undo in this file")
            return {"event": kind, "of": last["n"]}
        if kind in corrections.VERDICTS:
            if kind == "release" and row["status"] != "held":
                raise UsageError(f"only a file that was held can be released, this one is {row['status']}")
            unseen = (relative, row["sha256_in"], row["sha256_out"]) not in self._looked
            if unseen and (kind == "release" or row["status"] in RELEASED):
                raise UsageError("its result has not been shown, so nobody can say that it is right; skip it")
            return {"event": kind}
        if kind == "erase":
            if type(said.get("of")) is not int or said["of"] not in [n for n, _ in self._drawn(relative)]:
                raise UsageError("there is no such drawn box")
            return {"event": kind, "of": said["of"]}
        if kind not in ("draw", "set"):
            raise UsageError(f"event is {kind!r}, allowed are draw, erase, set, accept, release, undo")
        frame, xyxy = _place(said, row["shape"])
        if said.get("kind") not in review_events.KINDS:
            raise UsageError("kind: allowed are marker, laterality and none")
        if kind == "draw":
            if sum(mark.drawn for mark in self._reviews.get(relative, Review()).marks) >= corrections.MOST_MARKS:
                raise UsageError(f"{corrections.MOST_MARKS} boxes are drawn on this file: no more can be carried out")
            return {"event": kind, "frame": frame, "xyxy": xyxy, "kind": said["kind"]}
        box = next((b for b in base_boxes(row) if b["frame"] == frame and list(b["xyxy"]) == xyxy), None)
        if box is None or said.get("to") not in ("keep", "remove"):
            raise UsageError("there is no such box, or it is to be neither kept nor removed")
        return {"event": kind, "frame": frame, "xyxy": xyxy, "kind": said["kind"], "to": said["to"], "machine": box["action"]}

    def _finish(self, again: bool = True) -> None:
        """Write the statement of a sample once all of it has been looked at, one that is there only if `again`; take it back when that is no
        longer so."""
        if self.sample is None:
            return
        path = self.statement_path()
        if self.progress()["statement"]:
            if not again and path.exists():
                return
            day = datetime.datetime.fromisoformat(self._clock()).date()
            write_private(path, sampling.statement(self.sample, self._reviews, self._rows, day))
        else:
            path.unlink(missing_ok=True)

    def door(self) -> Path:
        """Where the file goes that leads a browser to the page, see `cli`; it is its owner's only."""
        return self.run.audit / corrections.FOLDER / "open.html"

    def statement_path(self) -> Path:
        """Where the statement of the sample goes."""
        return self.run.audit / corrections.FOLDER / f"statement-{len(self.sample.files)}-{self.sample.seed}.md"


def _place(said: dict[str, Any], shape: list[int]) -> tuple[int, list[int]]:
    """Frame and box of an event, checked against the size of the image.

    Raises:
        UsageError: no such frame, or no box of at least LEAST_PX pixels inside the image.
    """
    frame, xyxy = said.get("frame"), said.get("xyxy")
    if len(shape) < 3 or type(frame) is not int or not 0 <= frame < shape[0]:
        raise UsageError("there is no such frame")
    if not isinstance(xyxy, list) or len(xyxy) != 4 or not all(type(v) is int for v in xyxy):
        raise UsageError("a box is four whole numbers")
    x1, y1, x2, y2 = xyxy
    if not (0 <= x1 <= x2 - LEAST_PX and x2 <= shape[2] and 0 <= y1 <= y2 - LEAST_PX and y2 <= shape[1]):
        raise UsageError(f"a box lies inside the image of {shape[2]} x {shape[1]} pixels and has sides of at least {LEAST_PX}")
    return frame, xyxy
