"""What people say of a run's files: the log of a review, and what follows from it for the decisions of a file.

The log, `AUDIT/review/decisions.jsonl`, has one JSON object a line and is only ever added to. What holds is what its events add up to;
`events` says what each of them holds.

Doubt removes: what a person wants gone counts at once and goes before whatever else wants it kept; what a person keeps counts only
in a file that was accepted, and only where no other removal lies.
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
from ..records import Corrections, Decision, Mark
from ..system import journal, regular_files
from ..system.files import sha256_file
from . import review_events

FOLDER, LOG = "review", "decisions.jsonl"
LABEL = "reviewer"
DRAWN, REMOVED, KEPT = "reviewer: marking added", "reviewer: to be removed", "reviewer: to be kept"
COVERED = "reviewer: to be kept, but other boxes cover it"
REASONS = (DRAWN, REMOVED, KEPT, COVERED)
BY_HAND_LABEL, BY_HAND_REASON = "annotation", "drawn by hand"
SAME_IOU = 0.8  # from which a box is the one that a person meant: boxes jitter by pixels from one run to the next
VERDICTS = ("accept", "release")
MOST_MARKS = 1000  # that are carried out on one file: each is looked at and read around again; people make a few


@dataclass(frozen=True)
class Review:
    """What the log says of one file.

    marks: in the order they were made.  verdict: one of `VERDICTS`, or "" while it is not finished.
    who, when: of the last event.  sha256_in, sha256_out: the file and the result that the person saw; the latter "" where there
        was none.  missed: whether something still showed that had to go.
    named: boxes that end as the run ended them, and that a person calls something: this matters for labels only.
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
        """The marks that count: all of a finished file, removals only before."""
        return self.marks if self.verdict else tuple(m for m in self.marks if m.action == "remove")

    @cached_property
    def digest(self) -> str:
        """Hash of what decides the result: 64 hex digits, or "" where nothing differs from what the run decided."""
        names = ("frame", "xyxy", "action", "kind", "outline", "drawn")
        marks = [{name: getattr(m, name) for name in names} for m in self.effective]  # not `asdict`, which takes ten times as long
        if not marks and self.verdict != "release":
            return ""
        said = json.dumps([marks, self.verdict == "release", self.sha256_in], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()

    def as_row(self) -> dict[str, Any]:
        """What the manifest says of it."""
        return {"who": self.who, "when": self.when, "verdict": self.verdict, "digest": self.digest,
            "marks": [asdict(m) for m in self.effective]}


def log_path(audit: Path) -> Path:
    """Where an audit's log lies."""
    return audit / FOLDER / LOG


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a log in order, [] where there is none. A last line that a crash cut short is left out.

    Raises:
        UsageError: another line is damaged or no event: what was said is then not known. Or a link stands in the place of log or folder.
    """
    regular_files.real(path.parent)
    return review_events.read(path)


def reviews(events: Iterable[dict[str, Any]]) -> dict[str, Review]:
    """What the events add up to, by file (its path below OUT).

    Raises:
        UsageError: an event is none of those above.
    """
    events = list(events)
    for event in events:
        if wrong := review_events.problem(event):
            raise UsageError(f"the log of the review has an event that cannot be understood: {wrong}")
    return standing(events)


def standing(events: Sequence[dict[str, Any]]) -> dict[str, Review]:
    """`reviews` of events that have been checked."""
    undone = {event["of"] for event in events if event["event"] == "undo"}
    by_file: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if event["event"] != "undo" and event["n"] not in undone:
            by_file.setdefault(event["file"], []).append(event)
    return {file: _review(own) for file, own in by_file.items()}


def unapplied(review: Review | None, row: dict[str, Any]) -> bool:
    """Whether a person wants something gone that the result of a row still may show."""
    done = {(m["frame"], tuple(m["xyxy"])) for m in (row.get("review") or {}).get("marks", []) if m["action"] == "remove"}
    return any(m.action == "remove" and (m.frame, m.xyxy) not in done for m in (review.effective if review else ()))


def unknown(reviews: Iterable[str], there: Container[str]) -> list[str]:
    """Files that people spoke of and a run does not have, in order: what they said of them has no effect."""
    return sorted(relative for relative in reviews if relative not in there)


def carry_over(audit: Path, inputs: Iterable[tuple[str, Path]]) -> None:
    """Have what people wanted gone from a picture go from it under another path, too: a run with other pseudonyms, a file that was
    moved or is there twice. It is added to the log as drawn, so that `review` and `apply` know of it.

    Args:
        inputs: (path below OUT, file) of those of which the log says nothing.

    Raises:
        UsageError: the log is damaged.  OSError: it cannot be written.
    """
    events = read_events(log_path(audit))
    wanted: dict[str, list[Mark]] = {}
    for review in standing(events).values():
        wanted.setdefault(review.sha256_in, []).extend(m for m in review.effective if m.action == "remove")
    number = max((event["n"] for event in events), default=0)
    for relative, source in inputs if any(wanted.values()) else ():
        try:
            digest = sha256_file(source)
        except OSError:
            continue  # it cannot be cleaned either
        if marks := wanted.get(digest, ()):
            append(audit, *({
                "n": number + k, "file": relative, "event": "draw", "frame": mark.frame, "xyxy": list(mark.xyxy), "kind": mark.kind,
                "who": mark.who, "time": mark.when, "sha256_in": digest, "sha256_out": "",
            } for k, mark in enumerate(marks, 1)))
            number += len(marks)


def _review(events: Sequence[dict[str, Any]]) -> Review:
    """One file's events, none of them undone."""
    drawn: dict[int, Mark] = {}
    changed: dict[tuple[int, tuple[int, ...]], Mark | None] = {}
    named: dict[tuple[int, tuple[int, ...]], Mark] = {}
    verdict = ""
    for event in events:
        kind = event["event"]
        if kind in VERDICTS:
            verdict = kind
            continue
        verdict = ""  # it was about something else
        if kind == "erase":
            drawn.pop(event["of"], None)
            continue
        xyxy, frame = tuple(event["xyxy"]), event["frame"]
        said = {"who": event["who"], "when": event["time"]}
        if kind == "draw":
            drawn[event["n"]] = Mark(frame, xyxy, "remove", event["kind"], drawn=True, **said)
        else:
            mark, same = Mark(frame, xyxy, event["to"], event["kind"], **said), event["to"] == event["machine"]
            changed[frame, xyxy] = None if same else mark
            named.pop((frame, xyxy), None)
            if same and (mark.action, mark.kind) != ("keep", "laterality"):
                named[frame, xyxy] = mark
    marks = (*(m for m in changed.values() if m), *drawn.values())
    last = events[-1]
    missed = any(m.action == "remove" for m in marks)
    return Review(marks, verdict, last["who"], last["time"], last["sha256_in"], last["sha256_out"], missed, tuple(named.values()))


def of_run(review: Review | None, boxes_before: Sequence[dict[str, Any]]) -> Corrections | None:
    """A review as `Corrections`; None where it changes nothing.

    Args:
        boxes_before: the boxes of the manifest row as the program alone decided; its removals stay removals.
    """
    if review is None or not review.digest:
        return None
    carried = tuple(
        Decision(int(b["frame"]), tuple(int(v) for v in b["xyxy"]), "remove", str(b["reason"]), float(b["score"]), str(b["label"]))
        for b in boxes_before if b["action"] == "remove" and b["reason"] not in REASONS
    )
    return Corrections(review.effective, carried, review.sha256_in, release=review.verdict == "release")


def drawn(corrections: Corrections, shape_fhw: tuple[int, int, int]) -> list[Decision]:
    """A removal for every mark that wants one, cut to the image.

    Raises:
        HeldError: a mark lies outside the image or in a frame that is not there: it was made on something else. Or a review has more than
            `MOST_MARKS` of them.
    """
    if len(corrections.marks) > MOST_MARKS and not corrections.alone:
        raise HeldError(f"people marked {len(corrections.marks)} places on it, at most {MOST_MARKS} can be carried out")
    label, reasons = (BY_HAND_LABEL, (BY_HAND_REASON,) * 2) if corrections.alone else (LABEL, (REMOVED, DRAWN))
    return [
        Decision(m.frame, _inside(m, shape_fhw), "remove", reasons[m.drawn], 1.0, label, area=_area(m, _inside(m, shape_fhw)))
        for m in corrections.marks if m.action == "remove"
    ]


def corrected(decisions: Sequence[Decision], corrections: Corrections, shape_fhw: tuple[int, int, int]) -> tuple[Decision, ...]:
    """Decisions of the program with those of people in their place, settled.

    Raises:
        HeldError: see `drawn`; or a box that is to be kept is not among the removals, so it is not known what was meant.
    """
    own = drawn(corrections, shape_fhw)
    known, before = {(d.frame, d.xyxy) for d in decisions if d.action == "remove"}, {(c.frame, c.xyxy) for c in corrections.carried}
    result = [*decisions, *(c for c in corrections.carried if (c.frame, c.xyxy) not in known and c.frame < shape_fhw[0])]
    for mark in corrections.marks:
        if mark.action == "keep":
            xyxy = _inside(mark, shape_fhw)
            same, like = _meant(result, mark.frame, xyxy, before)
            others = [d for d in result if not any(d is m for m in (*same, *like))]
            whole = np.ones((xyxy[3] - xyxy[1], xyxy[2] - xyxy[0]), bool)
            kept = Decision(mark.frame, xyxy, "keep", KEPT, max(d.score for d in (*same, *like)), (*same, *like)[0].label, strokes=whole)
            result = [*others, *(rest for d in like if (rest := _beyond(d, xyxy))), kept]
    return settle([*result, *own], shape_fhw)


def _meant(
    decisions: Sequence[Decision], frame: int, xyxy: tuple[int, int, int, int], before: set[tuple[int, tuple[int, ...]]]
) -> tuple[list[Decision], list[Decision]]:
    """The removals that a person meant who kept a box: that very box, and those that are new since and about the same.

    A box that the person saw beside it, however alike, is not meant: it could have been kept as well, and was not.

    Raises:
        HeldError: there is none, or of several it is not known which.
    """
    here = [d for d in decisions if d.action == "remove" and d.frame == frame]
    same = [d for d in here if d.xyxy == xyxy]
    like = [d for d in here if d.xyxy != xyxy and (d.frame, d.xyxy) not in before and boxes.iou_of(d.xyxy, xyxy) >= SAME_IOU]
    if not before:  # nothing tells which of them the person saw
        like = [] if same else like
        if len(like) > 1:
            raise HeldError(f"several boxes are like the one that was to be kept, {xyxy}")
    if not same and not like:
        raise HeldError(f"a box that was to be kept, {xyxy}, is no longer among those removed")
    return same, like


def _beyond(removal: Decision, xyxy: tuple[int, int, int, int]) -> Decision | None:
    """A removal without what of it lies in a box; None where nothing is left."""
    x1, y1, x2, y2 = removal.xyxy
    area = np.ones((y2 - y1, x2 - x1), bool) if removal.area is None else removal.area.copy()
    area[max(0, xyxy[1] - y1) : max(0, xyxy[3] - y1), max(0, xyxy[0] - x1) : max(0, xyxy[2] - x1)] = False
    return replace(removal, area=area) if area.any() else None


def settle(decisions: Sequence[Decision], shape_fhw: tuple[int, int, int]) -> tuple[Decision, ...]:
    """The same decisions, where people kept something without what any other decision removes, and retained laterality markers without what
    people want gone. Of what keeps nothing then, a removal is left."""
    return tuple(_bounded(d, (o for o in decisions if o.frame == d.frame and o is not d), shape_fhw[1:]) for d in decisions)


def _bounded(own: Decision, others: Iterable[Decision], shape_hw: tuple[int, int]) -> Decision:
    if own.action == "remove":
        return own
    persons = own.reason == KEPT
    gone = np.zeros(shape_hw, bool)
    for other in others:
        if other.reason in (DRAWN, REMOVED) or (persons and other.reason != KEPT):
            x1, y1, x2, y2 = other.xyxy
            part = other.area if other.area is not None else True if other.strokes is None else ~other.strokes
            gone[y1:y2, x1:x2] |= part
    x1, y1, x2, y2 = own.xyxy
    strokes = own.strokes & ~gone[y1:y2, x1:x2]
    reason = COVERED if persons else REMOVED
    return replace(own, strokes=strokes) if strokes.any() else replace(own, action="remove", reason=reason, strokes=None)


def check(mask: np.ndarray, corrections: Corrections) -> None:
    """Hold the file unless everything that people want gone is.

    Args:
        mask: (F, H, W) bool, True where pixels were removed.

    Raises:
        HeldError: it is not.
    """
    for decision in drawn(corrections, mask.shape):
        x1, y1, x2, y2 = decision.xyxy
        part = mask[decision.frame, y1:y2, x1:x2]
        if not (part if decision.area is None else part[decision.area]).all():
            raise HeldError(f"what a person marked, {decision.xyxy}, is not all removed")


def _inside(mark: Mark, shape_fhw: tuple[int, int, int]) -> tuple[int, int, int, int]:
    frames, h, w = shape_fhw
    x1, y1, x2, y2 = max(0, mark.xyxy[0]), max(0, mark.xyxy[1]), min(w, mark.xyxy[2]), min(h, mark.xyxy[3])
    if mark.frame >= frames or x1 >= x2 or y1 >= y2:
        raise HeldError(f"a person's mark {mark.xyxy} in frame {mark.frame} lies outside the image of {w} x {h} pixels, {frames} frames")
    return x1, y1, x2, y2


def _area(mark: Mark, xyxy: tuple[int, int, int, int]) -> np.ndarray | None:
    """(h, w) bool of a polygon, every pixel that it touches; None for a box."""
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
