"""The decisions for boxes whose line of print consists of phrases to retain: they are kept, and those that other print turns out to join are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...boxes import covered_share
from ...keep_lists.groups import phrases_of
from ...records import DEFAULT_KEEP, LATERALITY, Decision, Policy, Reading
from ..doubts import PART_OF_TEXT
from ..tesseract import Reader
from .line_reading import read_line
from .lines import in_line, lines_of

__all__ = ["KEPT_PHRASE", "alone", "decided"]

KEPT_PHRASE = "whole line of phrases to retain"
SAME = 0.6  # least share of a box in a line's own from which it is about that line
LEVEL_DEG = 20.0  # greatest rotation of a level word


def decided(
    decisions: Sequence[Decision], boxes: np.ndarray, frame: np.ndarray, others: Sequence[np.ndarray], policy: Policy, reader: Reader
) -> list[Decision]:
    """The decisions for the boxes of one frame, with those of retained lines replaced.

    Args:
        decisions: one for each box, in order, by everything but phrases.
        boxes: (N, 4) as found, source pixels.
        frame: (H, W) uint8, the view they were found in.  others: further views of the same frame.
        policy, reader: of the run; without phrases in the policy nothing is read.

    Returns:
        As many decisions, in the same order. A line's boxes share one reading. A word for a side in a line of several boxes is retained with the whole
        line only.
    """
    result = list(decisions)
    if not phrases_of(policy.keep) or not len(boxes):
        return result
    boxes = np.nan_to_num(np.asarray(boxes, np.float64))
    for members in lines_of(boxes):
        line = boxes[list(members)]
        bounds = np.concatenate([line[:, :2].min(axis=0), line[:, 2:].max(axis=0)])
        reading = read_line((frame, *others), bounds, policy.keep, reader, policy.min_confidence)
        for i in members:
            if reading is not None:
                result[i] = _kept(decisions[i], reading)
            elif len(members) > 1 and _is_word(decisions[i]):
                result[i] = replace(decisions[i], action="remove", reason=PART_OF_TEXT, strokes=None)
    return result


def _kept(decision: Decision, reading: Reading) -> Decision:
    """A decision that retains a line's strokes in its region; the decision itself where there are none."""
    assert reading.strokes is not None
    (x1, y1, x2, y2), (a, b, c, d) = decision.xyxy, reading.xyxy
    strokes = np.zeros((y2 - y1, x2 - x1), bool)
    left, top, right, bottom = max(x1, a), max(y1, b), min(x2, c), min(y2, d)
    if left < right and top < bottom:
        strokes[top - y1 : bottom - y1, left - x1 : right - x1] = reading.strokes[top - b : bottom - b, left - a : right - a]
    if not strokes.any():
        return decision
    return replace(decision, action="keep", reason=KEPT_PHRASE, reading=reading, strokes=strokes, area=None)


def alone(decisions: Sequence[Decision], others: Sequence[tuple[int, np.ndarray]] = ()) -> tuple[Decision, ...]:
    """Decisions in which retained lines become removals where another box of print lies in the same line, or part of the line was removed.

    Words for a side other than those retained by default are such lines, too, if they are level: DER is also a part of names.

    Args:
        decisions: resolved, of all frames.
        others: (frame, (4,) source xyxy) of further boxes that may hold print: those below the threshold, and text that was read.

    Returns:
        As many decisions, in the same order.
    """
    kept = [d for d in decisions if d.action == "keep" and _is_line(d)]
    if not kept:
        return tuple(decisions)
    removed = [d for d in decisions if d.action == "remove"]
    near = [*((d.frame, np.asarray(d.xyxy, np.float64)) for d in removed if d.label != LATERALITY), *others]
    spoilt = {
        id(d.reading) for d in kept
        if any(r.reading is d.reading and r.frame == d.frame for r in removed) or any(frame == d.frame and _adds(d, box) for frame, box in near)
    }
    return tuple(replace(d, action="remove", reason=PART_OF_TEXT, strokes=None) if d.action == "keep" and id(d.reading) in spoilt else d for d in decisions)


def _is_word(decision: Decision) -> bool:
    """Whether a decision retains a laterality marker of several letters."""
    return decision.action == "keep" and decision.reading is not None and len(decision.reading.text) > 1


def _is_line(kept: Decision) -> bool:
    """Whether a retained box is one of a line of phrases, or a level word that is not retained by default."""
    if kept.reading is None or kept.reason == KEPT_PHRASE:
        return kept.reason == KEPT_PHRASE
    return len(kept.reading.text) > 1 and kept.reading.text not in DEFAULT_KEEP and abs((kept.reading.rotation_deg + 45) % 180 - 45) < LEVEL_DEG


def _adds(kept: Decision, box: np.ndarray) -> bool:
    """Whether a box of print stands in a retained line beside or beyond it."""
    assert kept.reading is not None
    line = np.asarray(kept.reading.xyxy, np.float64)
    if covered_share(np.asarray(box, np.float64), line[None]) >= SAME:
        return False
    return in_line(line, np.asarray(box, np.float64))
