"""Reviewers' corrections of a run's files: the log of a review, and its effect on the decisions of a file.

The log, `AUDIT/review/decisions.jsonl`, has one JSON object per line and is append-only. Its events together give the state of a review;
their schema is in `review_events`.

In doubt pixels are removed: a reviewer's removal applies at once and overrides every retention; what a reviewer keeps is retained only
in a file that was accepted, and only where it meets no other removal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import boxes
from ..errors import HeldError, UsageError
from ..labels.masks import AreaMark
from ..records import LATERALITY, Corrections, Decision, Mark
from ..system import journal, regular_files
from ..system.files import sha256_file
from . import review_events

FOLDER, LOG = "review", "decisions.jsonl"
LABEL = "reviewer"
DRAWN, REMOVED, KEPT = "reviewer: marking added", "reviewer: to be removed", "reviewer: to be kept"
COVERED = "reviewer: to be kept, but other boxes cover it"
READ, UNREAD = "reviewer: laterality marker added", "reviewer: laterality marker added, but not read as one"
REASONS = (DRAWN, REMOVED, KEPT, COVERED, READ, UNREAD)
BY_HAND_LABEL, BY_HAND_REASON = "annotation", "drawn by hand"
LEAST_IOU = 0.8  # least IoU of a box with the one that a reviewer saw: boxes jitter by a few pixels between runs
VERDICTS = ("accept", "release")
MOST_MARKS = 1000  # greatest number of corrections of one file: the surroundings of each are read again; reviewers make a few


@dataclass(frozen=True)
class Review:
    """The state of one file's review.

    marks: the corrections, changed boxes first, then drawn ones, each in the order they were made.
    verdict: one of `VERDICTS`, or "" while the review is not finished.  who, when: of the last event.
    sha256_in, sha256_out: the file and the result that the reviewer saw; the latter "" where there was none.
    missed: whether an annotation was still visible that had to be removed.
    named: boxes with the action of the run whose kind a reviewer stated; used for labels only.
    """

    marks: tuple[Mark, ...] = ()
    verdict: str = ""
    who: str = ""
    when: str = ""
    sha256_in: str = ""
    sha256_out: str = ""
    missed: bool = False
    named: tuple[Mark, ...] = ()

    @property
    def effective(self) -> tuple[Mark, ...]:
        """The corrections that apply: all of them if the review is finished, else only the removals."""
        return self.marks if self.verdict else tuple(m for m in self.marks if m.action == "remove")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that determines the result: 64 hex digits, or "" where nothing differs from the run's decisions."""
        names = ("frame", "xyxy", "action", "kind", "outline", "drawn")
        marks = [{name: getattr(m, name) for name in names} for m in self.effective]  # not `asdict`, which takes ten times as long
        if not marks and self.verdict != "release":
            return ""
        content = json.dumps([marks, self.verdict == "release", self.sha256_in], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def as_row(self) -> dict[str, Any]:
        """The review's entry in the manifest; JSON-serializable."""
        return {"who": self.who, "when": self.when, "verdict": self.verdict, "digest": self.digest,
            "marks": [asdict(m) for m in self.effective]}


def log_path(audit: Path) -> Path:
    """Path of an audit's log."""
    return audit / FOLDER / LOG


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a log in order, [] where there is no log. A last line that a crash cut short is omitted.

    Raises:
        UsageError: another line is damaged or is not a valid event; or the log or its folder is a link.
    """
    regular_files.real(path.parent)
    return review_events.read(path)


def reviews(events: Iterable[dict[str, Any]]) -> dict[str, Review]:
    """The state of each file's review after the events, by the file's path below OUT.

    Raises:
        UsageError: an event is not valid, see `review_events.problem`.
    """
    events = list(events)
    for event in events:
        if wrong := review_events.problem(event):
            raise UsageError(f"the log of the review has an event that cannot be understood: {wrong}")
    return standing(events)


def standing(events: Sequence[dict[str, Any]]) -> dict[str, Review]:
    """`reviews` of events that are known to be valid."""
    undone = {event["of"] for event in events if event["event"] == "undo"}
    by_file: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if event["event"] != "undo" and event["n"] not in undone:
            by_file.setdefault(event["file"], []).append(event)
    return {file: _review(file_events) for file, file_events in by_file.items()}


def unapplied(review: Review | None, row: dict[str, Any]) -> bool:
    """Whether a reviewer's removal is not applied in the result of a manifest row."""
    applied = {(m["frame"], tuple(m["xyxy"])) for m in (row.get("review") or {}).get("marks", []) if m["action"] == "remove"}
    return any(m.action == "remove" and (m.frame, m.xyxy) not in applied for m in (review.effective if review else ()))


def unknown(reviews: Iterable[str], run_files: Container[str]) -> list[str]:
    """Reviewed files that are not in a run, sorted: their reviews have no effect.

    Args:
        reviews: paths below OUT of reviewed files.  run_files: those of the run's files.
    """
    return sorted(relative for relative in reviews if relative not in run_files)


def carry_over(audit: Path, inputs: Iterable[tuple[str, Path]]) -> None:
    """Copy the removals of reviewed files to files with the same content under another path.

    Such files occur in a run with other pseudonyms, after a move, or as duplicates. The removals are appended to the log as drawn boxes,
    so that `review` and `apply` find them.

    Args:
        audit: the folder of the audit.
        inputs: (path below OUT, file) of files that are not in the log; unreadable ones are skipped.

    Raises:
        UsageError: the log is damaged.  OSError: it cannot be written.
    """
    events = read_events(log_path(audit))
    removals: dict[str, list[Mark]] = {}
    for review in standing(events).values():
        removals.setdefault(review.sha256_in, []).extend(m for m in review.effective if m.action == "remove")
    number = max((event["n"] for event in events), default=0)
    for relative, source in inputs if any(removals.values()) else ():
        try:
            digest = sha256_file(source)
        except OSError:
            continue  # the run will fail on it, too
        if marks := removals.get(digest, ()):
            append(audit, *({
                "n": number + k, "file": relative, "event": "draw", "frame": mark.frame, "xyxy": list(mark.xyxy), "kind": mark.kind,
                "who": mark.who, "time": mark.when, "sha256_in": digest, "sha256_out": "",
            } for k, mark in enumerate(marks, 1)))
            number += len(marks)


def _review(events: Sequence[dict[str, Any]]) -> Review:
    """The review that one file's events give, at least one and none of them undone."""
    drawn: dict[int, Mark] = {}
    changed: dict[tuple[int, tuple[int, int, int, int]], Mark | None] = {}
    named: dict[tuple[int, tuple[int, int, int, int]], Mark] = {}
    verdict = ""
    for event in events:
        kind = event["event"]
        if kind in VERDICTS:
            verdict = kind
            continue
        verdict = ""  # a later change withdraws the verdict
        if kind == "erase":
            drawn.pop(event["of"], None)
            continue
        x1, y1, x2, y2 = event["xyxy"]
        xyxy, frame = (x1, y1, x2, y2), event["frame"]
        author = {"who": event["who"], "when": event["time"]}
        if kind in review_events.DRAWING:
            action, of_kind = ("keep", LATERALITY) if kind == "retain" else ("remove", event["kind"])
            drawn[event["n"]] = Mark(frame, xyxy, action, of_kind, drawn=True, **author)
        else:
            mark, is_unchanged = Mark(frame, xyxy, event["to"], event["kind"], **author), event["to"] == event["machine"]
            changed[frame, xyxy] = None if is_unchanged else mark
            named.pop((frame, xyxy), None)
            if is_unchanged and (mark.action, mark.kind) != ("keep", LATERALITY):
                named[frame, xyxy] = mark
    marks = (*(m for m in changed.values() if m), *drawn.values())
    last = events[-1]
    missed = any(m.action == "remove" for m in marks)
    return Review(marks, verdict, last["who"], last["time"], last["sha256_in"], last["sha256_out"], missed, tuple(named.values()))


def of_run(review: Review | None, boxes_before: Sequence[dict[str, Any]]) -> Corrections | None:
    """A review as `Corrections`; None where it changes nothing.

    Args:
        review: of one file; None if it was not reviewed.
        boxes_before: the boxes of the manifest row as decided by the program alone; its removals remain removals.
    """
    if review is None or not review.digest:
        return None
    carried = []
    for box in boxes_before:
        if box["action"] == "remove" and box["reason"] not in REASONS:
            x1, y1, x2, y2 = (int(v) for v in box["xyxy"])
            carried.append(Decision(int(box["frame"]), (x1, y1, x2, y2), "remove", str(box["reason"]), float(box["score"]), str(box["label"])))
    return Corrections(review.effective, tuple(carried), review.sha256_in, release=review.verdict == "release")


def drawn(corrections: Corrections, shape_fhw: tuple[int, int, int]) -> list[Decision]:
    """A removal for every correction with action "remove", clipped to the image.

    Raises:
        HeldError: a correction lies outside the image or in a missing frame, so it was made on another image; or a review has more than
            `MOST_MARKS` of them.
    """
    if len(corrections.marks) > MOST_MARKS and not corrections.alone:
        raise HeldError(f"people marked {len(corrections.marks)} places on it, at most {MOST_MARKS} can be carried out")
    label, reasons = (BY_HAND_LABEL, (BY_HAND_REASON,) * 2) if corrections.alone else (LABEL, (REMOVED, DRAWN))
    return [
        Decision(m.frame, clipped(m, shape_fhw), "remove", reasons[m.drawn], 1.0, label, area=_area(m, clipped(m, shape_fhw)))
        for m in corrections.marks if m.action == "remove"
    ]


def corrected(decisions: Sequence[Decision], corrections: Corrections, shape_fhw: tuple[int, int, int]) -> tuple[Decision, ...]:
    """The program's decisions with the reviewers' applied, see `settle`; drawn laterality markers are those of `drawn_markers`.

    Raises:
        HeldError: see `drawn`; or a box that is to be kept is not among the removals, or not identified by one of them.
    """
    drawn_removals = drawn(corrections, shape_fhw)
    program_boxes = {(d.frame, d.xyxy) for d in decisions if d.action == "remove"}
    carried_boxes = {(c.frame, c.xyxy) for c in corrections.carried}
    result = [*decisions, *(c for c in corrections.carried if (c.frame, c.xyxy) not in program_boxes and c.frame < shape_fhw[0])]
    for mark in corrections.marks:
        if mark.action == "keep" and not mark.drawn:
            xyxy = clipped(mark, shape_fhw)
            exact, similar = _removals_of(result, mark.frame, xyxy, carried_boxes)
            others = [d for d in result if not any(d is m for m in (*exact, *similar))]
            whole = np.ones((xyxy[3] - xyxy[1], xyxy[2] - xyxy[0]), bool)
            kept = Decision(mark.frame, xyxy, "keep", KEPT, max(d.score for d in (*exact, *similar)), (*exact, *similar)[0].label, strokes=whole)
            result = [*others, *(rest for d in similar if (rest := _remainder(d, xyxy))), kept]
    return settle([*result, *drawn_removals], shape_fhw)


def _removals_of(
    decisions: Sequence[Decision], frame: int, xyxy: tuple[int, int, int, int], carried_boxes: set[tuple[int, tuple[int, int, int, int]]]
) -> tuple[list[Decision], list[Decision]]:
    """The removals that a reviewer's retention of a box refers to: (the same box, similar boxes that are new since then).

    A similar box that the reviewer saw beside it is excluded: it could have been kept as well, and was not.

    Raises:
        HeldError: there is none, or several are similar and it is not known which one the reviewer saw.
    """
    removals = [d for d in decisions if d.action == "remove" and d.frame == frame]
    exact = [d for d in removals if d.xyxy == xyxy]
    similar = [d for d in removals if d.xyxy != xyxy and (d.frame, d.xyxy) not in carried_boxes and boxes.iou_of(d.xyxy, xyxy) >= LEAST_IOU]
    if not carried_boxes:  # it is not known which of them the reviewer saw
        similar = [] if exact else similar
        if len(similar) > 1:
            raise HeldError(f"several boxes are like the one that was to be kept, {xyxy}")
    if not exact and not similar:
        raise HeldError(f"a box that was to be kept, {xyxy}, is no longer among those removed")
    return exact, similar


def _remainder(removal: Decision, xyxy: tuple[int, int, int, int]) -> Decision | None:
    """A removal without its part in a box; None where nothing is left."""
    x1, y1, x2, y2 = removal.xyxy
    area = np.ones((y2 - y1, x2 - x1), bool) if removal.area is None else removal.area.copy()
    area[max(0, xyxy[1] - y1) : max(0, xyxy[3] - y1), max(0, xyxy[0] - x1) : max(0, xyxy[2] - x1)] = False
    return replace(removal, area=area) if area.any() else None


def settle(decisions: Sequence[Decision], shape_fhw: tuple[int, int, int]) -> tuple[Decision, ...]:
    """Decisions after conflicts with reviewers' removals and retentions are settled, as many and in the same order.

    A box that a reviewer keeps loses the pixels that any other decision removes; a laterality marker that the program retains loses the pixels
    that a reviewer removes. A decision that then retains nothing becomes a removal.
    """
    return tuple(_settled(d, (o for o in decisions if o.frame == d.frame and o is not d), shape_fhw[1:]) for d in decisions)


def _settled(decision: Decision, others: Iterable[Decision], shape_hw: tuple[int, int]) -> Decision:
    if decision.action == "remove":
        return decision
    is_reviewers = decision.reason == KEPT
    removed = np.zeros(shape_hw, bool)
    for other in others:
        if other.reason in (DRAWN, REMOVED) or (is_reviewers and other.reason != KEPT):
            x1, y1, x2, y2 = other.xyxy
            part = other.area if other.area is not None else True if other.strokes is None else ~other.strokes
            removed[y1:y2, x1:x2] |= part
    x1, y1, x2, y2 = decision.xyxy
    strokes = decision.strokes & ~removed[y1:y2, x1:x2]
    reason = COVERED if is_reviewers else REMOVED
    return replace(decision, strokes=strokes) if strokes.any() else replace(decision, action="remove", reason=reason, strokes=None)


def check(mask: np.ndarray, corrections: Corrections) -> None:
    """Check that all pixels of reviewers' removals are removed.

    Args:
        mask: (F, H, W) bool, True where pixels were removed.
        corrections: of the file.

    Raises:
        HeldError: one is not; or see `drawn`.
    """
    frames, height, width = mask.shape
    for decision in drawn(corrections, (frames, height, width)):
        x1, y1, x2, y2 = decision.xyxy
        part = mask[decision.frame, y1:y2, x1:x2]
        if not (part if decision.area is None else part[decision.area]).all():
            raise HeldError(f"what a person marked, {decision.xyxy}, is not all removed")


def clipped(mark: Mark, shape_fhw: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The part of a correction's box inside the image, xyxy.

    Raises:
        HeldError: there is none, or no such frame.
    """
    frames, h, w = shape_fhw
    x1, y1, x2, y2 = max(0, mark.xyxy[0]), max(0, mark.xyxy[1]), min(w, mark.xyxy[2]), min(h, mark.xyxy[3])
    if mark.frame >= frames or x1 >= x2 or y1 >= y2:
        raise HeldError(f"a person's mark {mark.xyxy} in frame {mark.frame} lies outside the image of {w} x {h} pixels, {frames} frames")
    return x1, y1, x2, y2


def _area(mark: Mark, xyxy: tuple[int, int, int, int]) -> np.ndarray | None:
    """(h, w) bool in the crop frame of `xyxy`: every pixel that the correction's polygon touches, or its area; None for a box."""
    if isinstance(mark, AreaMark):
        return mark.area
    if not mark.outline:
        return None
    import cv2

    x1, y1, x2, y2 = xyxy
    canvas = np.zeros((y2 - y1, x2 - x1), np.uint8)
    corners = np.floor(np.array(mark.outline, np.float64) - (x1, y1)).astype(np.int32)
    cv2.fillPoly(canvas, [corners], 1)
    cv2.polylines(canvas, [corners], True, 1, thickness=3)
    return canvas > 0


def append(audit: Path, *events: dict[str, Any]) -> None:
    """Add events to an audit's log, see `journal.append`, and `regular_files.folder` of the folder around it."""
    regular_files.folder(audit / FOLDER)
    journal.append(log_path(audit), *events)
