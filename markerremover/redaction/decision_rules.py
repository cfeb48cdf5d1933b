"""(box, reading, policy) -> Decision, and what happens where the boxes of one frame overlap. Pure; doubt removes.

A pixel ends up black if it lies in the `xyxy` of any decision and in the `strokes` of none, after `resolve`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np

from .. import boxes
from ..records import Decision, Policy, Reading, extent
from ..second_pass import glyphs
from ..second_pass.doubts import BESIDE, DOUBTS
from ..second_pass.isolation import LARGER, NEXT
from ..second_pass.reader import is_unlike

__all__ = ["REASONS", "decide", "resolve"]

KEPT = "isolated laterality marker"
NOTHING_KEPT = "nothing kept by policy"
NO_READING = "no reading"
LOOSE = "mostly in a better box"
NOT_KEPT = "no laterality marker to retain"
UNCERTAIN = "reading uncertain"
CONTRADICTED = "contradicted by another box"
CUT = "cut by another box"
REASONS = (KEPT, NOTHING_KEPT, NO_READING, LOOSE, NOT_KEPT, UNCERTAIN, CONTRADICTED, CUT, *DOUBTS)
"""Every `Decision.reason` there is: the only "keep" first; read text never appears in one."""

SIGN = "laterality"  # the localizer's class of laterality markers
SAME_BOX_IOU = 0.6  # above this, two boxes are about the same letter
CLEARLY = 0.7  # confidence with which a retained laterality marker outweighs a box that saw nothing to keep in the same place, and that a single
# letter needs which the localizer takes for something other than a laterality marker
OF_PRINT = 0.3  # of the length of a box that the localizer takes for print: a smaller letter in it is one of that print's
CONTAINS = 0.6  # share of a sign's strokes in a box that makes the sign part of what that box is about
REACH, REACH_PX = 0.25, 4  # how far a retained laterality marker's region may go beyond its box: share of the shorter side, and pixels
BITE = 0.15  # share of a sign's strokes up to which what another box takes of them goes: a letter's end bears it
EDGE_PX = 2  # a letter's soft edge
MORE_ALIKE = 0.015  # by how much more a letter must look like its sign without an end for that to be something else's
OF_IT = 0.9  # share of an unread laterality marker's box in a retained laterality marker's from which it is a piece of that sign
TIP = 0.05  # of a letter: so little tells nothing of whose it is, and nothing can be read in it
TOUCHING = 0.15  # of a letter's size: how far a larger sign may lie over it whose initial it is
WITHIN = 0.5  # share of a removed box that kept strokes must cover for it to be something of its own inside them


def decide(
    frame: int, xyxy: np.ndarray, score: float, label: str, reading: Reading | None, policy: Policy, shape_hw: tuple[int, int],
    loose: bool = False,
) -> Decision:
    """What happens to one box.

    Args:
        frame: 0-based frame index.
        xyxy: (4,) float detector box, source pixels.
        score: of the localizer, 0–1.
        label: the localizer's class name, or who else asked for the box.
        reading: the second pass; None if it did not run.
        policy: which signs stay, how sure the reading must be, how far boxes grow.
        shape_hw: of the frame.
        loose: whether the box lies mostly in better ones, see `Detections.loose`; then `reading` is None.

    Returns:
        A Decision over the box with the policy's margin (`boxes.widen`) and, if the sign stays, a little further along its strokes.
    """
    region = _region(xyxy, policy, shape_hw)
    reason = LOOSE if loose and policy.keep else _reason(reading, policy)
    if reason == KEPT and len(reading.text) == 1 and (is_unlike(reading) or label != SIGN and not _is_clearly_one(reading, xyxy)):
        reason = UNCERTAIN  # what the localizer takes for something else is a laterality marker only if it clearly is one
    if reason != KEPT:
        return Decision(frame, region, "remove", reason, float(score), label, reading)
    region, strokes = _kept_region(xyxy, region, reading, shape_hw)
    if not strokes.any():
        return Decision(frame, region, "remove", UNCERTAIN, float(score), label, reading)
    return Decision(frame, region, "keep", KEPT, float(score), label, reading, strokes)


def _is_clearly_one(reading: Reading, xyxy: np.ndarray) -> bool:
    """Whether a letter is clearly read and, unless a ring or plate sets it apart, large in its box, (4,) source pixels."""
    box = np.asarray(xyxy, np.float64)
    return reading.confidence >= CLEARLY and (reading.framed or max(extent(reading.strokes)) >= OF_PRINT * (box[2:] - box[:2]).max())


def _kept_region(
    xyxy: np.ndarray, region: tuple[int, int, int, int], reading: Reading, shape_hw: tuple[int, int]
) -> tuple[tuple[int, int, int, int], np.ndarray]:
    """The region of a retained laterality marker and its strokes in it. It follows the strokes out of the box by `REACH` at most: a plate
    may be far larger than its letter, and what lies around it was not asked to be removed."""
    near = boxes.grow(np.asarray(xyxy, np.float64).reshape(1, 4), REACH, REACH_PX, shape_hw)[0]
    x1, y1, x2, y2 = reading.xyxy
    own = max(x1, int(near[0])), max(y1, int(near[1])), min(x2, int(near[2])), min(y2, int(near[3]))
    if own[0] >= own[2] or own[1] >= own[3]:
        return region, np.zeros((region[3] - region[1], region[2] - region[0]), bool)
    region = min(region[0], own[0]), min(region[1], own[1]), max(region[2], own[2]), max(region[3], own[3])
    strokes = np.zeros((region[3] - region[1], region[2] - region[0]), bool)
    strokes[own[1] - region[1] : own[3] - region[1], own[0] - region[0] : own[2] - region[0]] = (
        reading.strokes[own[1] - y1 : own[3] - y1, own[0] - x1 : own[2] - x1]
    )
    return region, strokes


def _region(xyxy: np.ndarray, policy: Policy, shape_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box with its margin, at least one pixel of the image even for a box outside of it."""
    h, w = shape_hw
    grown = boxes.widen(np.nan_to_num(np.asarray(xyxy, np.float64)).reshape(1, 4), policy.margin, policy.margin_px, shape_hw)[0]
    x1, y1 = min(int(grown[0]), w - 1), min(int(grown[1]), h - 1)
    return x1, y1, max(int(grown[2]), x1 + 1), max(int(grown[3]), y1 + 1)


def _reason(reading: Reading | None, policy: Policy) -> str:
    if not policy.keep:
        return NOTHING_KEPT
    if reading is None:
        return NO_READING
    if reading.doubt:
        return reading.doubt if reading.doubt in REASONS else UNCERTAIN
    if reading.text not in policy.keep:
        return NOT_KEPT
    if not reading.confidence >= policy.min_confidence or reading.strokes is None or not reading.strokes.any():
        return UNCERTAIN
    return KEPT


def resolve(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
    """The same decisions, in order, with retained laterality markers checked against the other kept ones of their frame and every removed box that they meet.

    A letter beside a much larger retained laterality marker is an initial, see `_is_initial`, and goes.

    A sign stays in the pixels of its strokes, whatever other box lies over them (a loose one has nothing of its own), except that

    1. a box about the same letter (IoU above `SAME_BOX_IOU`) that doubted its reading turns the sign into a removal;
       one that just read nothing to keep does so too, unless the sign was read with at least `CLEARLY`;
    2. a box that holds most of the sign (`CONTAINS`) and found it part of a longer text does so as well, if the localizer
       was at least as sure of it or took the sign's own box for something other than a laterality marker;
    3. a smaller removed box that the strokes cover (`WITHIN`) is something of its own, say initials on a kept plate: its
       pixels leave the strokes; so does what the strokes hold of any removed box apart from the sign's main piece, and
       all of it where that is little (`BITE`): initials that touch a letter lie there. Unless the letter
       looks more like its sign without that end, though, the letter's own strokes stay; so they do where the box is another
       of a laterality marker, unread, within the kept one (`OF_IT`). Empty ground beside a letter goes.

    What a person keeps has no reading and passes as it is; `corrections.settle` gives it its bounds.
    """
    decisions = tuple(decisions)
    kept = [d for d in decisions if d.action == "keep" and d.reading is not None]
    decisions = tuple(replace(d, action="remove", reason=BESIDE, strokes=None) if _is_initial(d, kept) else d for d in decisions)
    removed = [d for d in decisions if d.action == "remove" and d.reason != LOOSE]
    signs = {id(d) for d in decisions if d.action == "keep" and d.reading is not None}
    return tuple(_checked(d, [r for r in removed if r.frame == d.frame]) if id(d) in signs else d for d in decisions)


def _is_initial(d: Decision, kept: list[Decision]) -> bool:
    """Whether a kept letter stands beside a retained laterality marker that is `LARGER`. In a ring or on a plate of its own it is a sign itself, unless
    the localizer takes it for something else: initials on a small plate seem to fill that."""
    if not any(d is each for each in kept) or len(d.reading.text) != 1 or (d.reading.framed and d.label == SIGN):
        return False
    x1, y1, x2, y2 = _tight(d)
    size = max(x2 - x1, y2 - y1)
    for other in kept:
        if other is d or other.frame != d.frame:
            continue
        a, b, c, e = large = _tight(other)
        if max(c - a, e - b) >= LARGER * size and -TOUCHING * size <= boxes.gap((x1, y1, x2, y2), large) < NEXT * size:
            return True
    return False


def _checked(kept: Decision, removed: list[Decision]) -> Decision:
    """One kept decision after rules 1 to 3."""
    strokes = kept.strokes.copy()
    x0, y0 = kept.xyxy[:2]
    own = _tight(kept)
    main, total = _main_piece(strokes), int(strokes.sum())
    for other in removed:
        core = other.reading.xyxy if other.reading is not None else other.xyxy
        x1, y1, x2, y2 = (max(0, core[0] - x0), max(0, core[1] - y0), max(0, core[2] - x0), max(0, core[3] - y0))
        part = np.s_[y1:y2, x1:x2]
        covered = int(strokes[part].sum())
        if not covered:
            continue
        doubted = other.reading is not None and bool(other.reading.doubt) and not _is_letter_of(other.reading, kept.reading)
        same = max(boxes.iou_of(own, core), boxes.iou_of(kept.reading.xyxy, core)) > SAME_BOX_IOU
        if same and (doubted or kept.reading.confidence < CLEARLY):
            return replace(kept, action="remove", reason=CONTRADICTED, strokes=None)
        if same:
            continue
        holds = covered >= CONTAINS * strokes.sum()
        if holds and doubted and (other.score >= kept.score or kept.label != SIGN):
            return replace(kept, action="remove", reason=CONTRADICTED, strokes=None)
        if not holds:
            fragment = other.label == SIGN and not doubted and boxes.covered_share(np.array(core, np.float64), np.array([kept.reading.xyxy], np.float64)) > OF_IT
            inside = covered >= WITHIN * (core[2] - core[0]) * (core[3] - core[1])
            if inside or covered <= BITE * total:
                strokes[part] &= (_own_letter(kept) if fragment else _own_end(kept, core))[part]
            else:
                strokes[part] &= main[part] & _with_frame(kept)[part]
    if not strokes.any():
        return replace(kept, action="remove", reason=CONTRADICTED, strokes=None)
    return replace(kept, strokes=strokes)


def _is_letter_of(doubted: Reading, kept: Reading) -> bool:
    """Whether what was found part of a longer text is a letter of the very word that is kept."""
    return len(kept.text) > len(doubted.text) > 0 and doubted.text in kept.text


def _own_letter(kept: Decision) -> np.ndarray:
    """(h, w) bool in the frame of the decision: the letter with a pixel of soft edge; nothing where its strokes are not known."""
    return np.zeros(kept.strokes.shape, bool) if kept.reading.letter is None else _letter_of(kept, 1)


def _own_end(kept: Decision, core: tuple[int, int, int, int]) -> np.ndarray:
    """(h, w) bool in the frame of the decision: the letter with a pixel of soft edge; nothing where its strokes are not
    known, or where it would look more like its sign without what a box in source pixels covers of it."""
    reading = kept.reading
    if reading.letter is None or not glyphs.drawable(reading.text):
        return np.zeros(kept.strokes.shape, bool)
    x0, y0 = reading.xyxy[:2]
    rest = reading.letter.copy()
    rest[max(0, core[1] - y0) : max(0, core[3] - y0), max(0, core[0] - x0) : max(0, core[2] - x0)] = False
    whole, without = (glyphs.resembles(m, reading.text, reading.rotation_deg, reading.mirrored) for m in (reading.letter, rest))
    little = rest.sum() >= (1 - TIP) * reading.letter.sum()
    return np.zeros(kept.strokes.shape, bool) if without > whole + MORE_ALIKE and not little else _letter_of(kept, 1)


def _with_frame(kept: Decision) -> np.ndarray:
    """(h, w) bool in the frame of the decision: all of it, but where the letter is known and has no ring or plate that letter
    with its soft edge: the empty ground beside it stays only where no other box lies."""
    if kept.reading.letter is None or kept.reading.framed:
        return np.ones(kept.strokes.shape, bool)
    return _letter_of(kept, EDGE_PX)


def _letter_of(kept: Decision, edge_px: int) -> np.ndarray:
    """(h, w) bool in the frame of the decision: the letter, grown by so many pixels."""
    reading, own = kept.reading, np.zeros(kept.strokes.shape, bool)
    (x0, y0, x1, y1), (X0, Y0, X1, Y1) = reading.xyxy, kept.xyxy
    a, b, c, d = max(x0, X0), max(y0, Y0), min(x1, X1), min(y1, Y1)
    soft = cv2.dilate(reading.letter.astype(np.uint8), np.ones((2 * edge_px + 1, 2 * edge_px + 1), np.uint8)) > 0
    own[b - Y0 : d - Y0, a - X0 : c - X0] = soft[b - y0 : d - y0, a - x0 : c - x0]
    return own


def _tight(kept: Decision) -> tuple[int, int, int, int]:
    """Source xyxy of the strokes themselves."""
    rows, columns = np.flatnonzero(kept.strokes.any(1)), np.flatnonzero(kept.strokes.any(0))
    x0, y0 = kept.xyxy[:2]
    return x0 + int(columns[0]), y0 + int(rows[0]), x0 + int(columns[-1]) + 1, y0 + int(rows[-1]) + 1


def _main_piece(strokes: np.ndarray) -> np.ndarray:
    """(h, w) bool: the 8-connected piece of the strokes with the most pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(strokes.astype(np.uint8), connectivity=8)
    return labels == 1 + int(stats[1:, 4].argmax())
