"""Decisions that the page sends, checked: the fields of an event that it supplies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from ..records import RELEASED
from ..redaction import corrections, review_events

LEAST_PX = 2  # smallest side of a drawn box, source pixels
MOST_EVENTS = 10_000  # highest number of events of one file with which boxes can still be drawn or changed
CHANGES = (*review_events.DRAWING, "set")


@dataclass(frozen=True)
class State:
    """What a decision on one file is checked against.

    row: of the manifest.  boxes: as the program alone decided.  drawn: numbers of the events whose drawn boxes stand.
    last: the last event that stands, None without any.  events: number of events.
    is_seen: whether the present result was shown.  keep: laterality markers that the run retains.
    """

    row: dict[str, Any]
    boxes: Sequence[dict[str, Any]]
    drawn: Sequence[int]
    last: dict[str, Any] | None
    events: int
    is_seen: bool
    keep: Sequence[str]


def checked(state: State, decision: dict[str, Any]) -> dict[str, Any]:
    """The fields of an event that the page supplies; others are dropped.

    Raises:
        UsageError: one of them is invalid.
    """
    kind, row = decision.get("event"), state.row
    if kind == "undo":
        return {"event": kind, "of": _undone(state, decision)}
    if kind in corrections.VERDICTS:
        if kind == "release" and row["status"] != "held":
            raise UsageError(f"only a file that was held can be released, this one is {row['status']}")
        if not state.is_seen and (kind == "release" or row["status"] in RELEASED):
            raise UsageError("its result has not been shown, so nobody can say that it is right; skip it")
        return {"event": kind}
    if kind == "erase":
        if type(decision.get("of")) is not int or decision["of"] not in state.drawn:
            raise UsageError("there is no such drawn box")
        return {"event": kind, "of": decision["of"]}
    if kind not in CHANGES:
        raise UsageError(f"event is {kind!r}, allowed are {', '.join((*CHANGES, 'erase', *corrections.VERDICTS, 'undo'))}")
    if state.events >= MOST_EVENTS:
        raise UsageError(f"{state.events} decisions have been made on this file: no more boxes are drawn or changed")
    frame, xyxy = _place(decision, row["shape"])
    if kind in review_events.DRAWING and len(state.drawn) >= corrections.MOST_MARKS:
        raise UsageError(f"{corrections.MOST_MARKS} boxes are drawn on this file: no more can be carried out")
    if kind == "retain":
        if not state.keep:
            raise UsageError("the run retains no laterality markers (--keep none)")
        return {"event": kind, "frame": frame, "xyxy": xyxy}
    if decision.get("kind") not in review_events.KINDS:
        raise UsageError("kind: allowed are marker, laterality and none")
    if kind == "draw":
        return {"event": kind, "frame": frame, "xyxy": xyxy, "kind": decision["kind"]}
    box = next((b for b in state.boxes if b["frame"] == frame and list(b["xyxy"]) == xyxy), None)
    if box is None or decision.get("to") not in ("keep", "remove"):
        raise UsageError("there is no such box, or it is to be neither kept nor removed")
    return {"event": kind, "frame": frame, "xyxy": xyxy, "kind": decision["kind"], "to": decision["to"], "machine": box["action"]}


def _undone(state: State, decision: dict[str, Any]) -> int:
    """The number of the event that an undo withdraws: the last one of the file.

    Raises:
        UsageError: there is none, or the page named another one.
    """
    if state.last is None:
        raise UsageError("there is nothing to undo in this file")
    of = decision.get("of", state.last["n"])
    if type(of) is not int or of != state.last["n"]:
        raise UsageError("another decision has been made on this file since: look at it again")
    return of


def _place(decision: dict[str, Any], shape: list[int]) -> tuple[int, list[int]]:
    """Frame and box of an event, checked against the size of the image.

    Raises:
        UsageError: no such frame, or no box of at least LEAST_PX pixels inside the image.
    """
    frame, xyxy = decision.get("frame"), decision.get("xyxy")
    if len(shape) < 3 or type(frame) is not int or not 0 <= frame < shape[0]:
        raise UsageError("there is no such frame")
    if not isinstance(xyxy, list) or len(xyxy) != 4 or not all(type(v) is int for v in xyxy):
        raise UsageError("a box is four whole numbers")
    x1, y1, x2, y2 = xyxy
    if not (0 <= x1 <= x2 - LEAST_PX and x2 <= shape[2] and 0 <= y1 <= y2 - LEAST_PX and y2 <= shape[1]):
        raise UsageError(f"a box lies inside the image of {shape[2]} x {shape[1]} pixels and has sides of at least {LEAST_PX}")
    return frame, xyxy
