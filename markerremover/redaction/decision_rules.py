"""The decision for one box, and the resolution of overlaps between the boxes of one frame. Pure; in doubt a box is removed.

After `resolve`, a pixel is blacked out if it lies in the `xyxy` of any decision and in the `strokes` of none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import cv2
import numpy as np

from .. import boxes
from ..boxes import extent
from ..keep_lists.phrases import line_of
from ..laterality.burned_in import READ
from ..records import LATERALITY, Decision, Policy, Reading
from ..second_pass import glyphs
from ..second_pass.doubts import BESIDE, DOUBTS
from ..second_pass.isolation import LARGER, NEXT
from ..second_pass.kept_pixels import CLEAR_PX, is_empty, pieces
from ..second_pass.phrases.kept_lines import KEPT_PHRASE
from ..second_pass.reader import is_unlike
from ..second_pass.strokes import distance

__all__ = ["REASONS", "confirmed", "decide", "resolve", "set_aside", "with_empty_ground"]

KEPT = "isolated laterality marker"
NOTHING_KEPT = "nothing kept by policy"
NO_READING = "no reading"
LOOSE = "mostly in a better box"
NOT_KEPT = "no laterality marker to retain"
UNCERTAIN = "reading uncertain"
CONTRADICTED = "contradicted by another box"
CUT = "cut by another box"
REASONS = (KEPT, KEPT_PHRASE, NOTHING_KEPT, NO_READING, LOOSE, NOT_KEPT, UNCERTAIN, CONTRADICTED, CUT, *DOUBTS, READ)
"""Every `Decision.reason` of the program: the two of a "keep" first; none contains read text."""

SAME_BOX_IOU = 0.6  # IoU above which two boxes are about the same letter
CLEARLY = 0.7  # least confidence of a laterality marker that outweighs a box in the same place that read nothing, and of a single letter
# in a box of another class
LEAST_SHARE = 0.3  # least size of a single letter in a box of another class, as a fraction of the box's length; smaller letters are part of its print
LEAST_HELD = 0.6  # least share of a marker's strokes in a box that makes the marker part of that box's text
REACH, REACH_PX = 0.25, 4  # greatest extent of a retained marker's region beyond its box: fraction of the shorter side, and pixels
SMALL_SHARE = 0.15  # greatest share of a marker's strokes that another box may remove entirely: the end of a letter
EDGE_PX = 2  # width of a letter's soft edge, pixels
MORE_ALIKE = 0.015  # gain in a letter's correlation without an end from which that end is another stroke
FRAGMENT_SHARE = 0.9  # share of an unread laterality box in a retained marker's box from which it is a fragment of that marker
TIP = 0.05  # share of a letter that is too small to be assigned, and in which nothing can be read
TOUCHING = 0.15  # greatest overlap of a larger marker with its initial, as a fraction of the letter's size
LEAST_FILLED = 0.5  # least share of a removed box covered by kept strokes for it to be a separate annotation inside them


def decide(
    frame: int, xyxy: np.ndarray, score: float, label: str, reading: Reading | None, policy: Policy, shape_hw: tuple[int, int],
    loose: bool = False,
) -> Decision:
    """The decision for one box.

    Args:
        frame: 0-based frame index.
        xyxy: (4,) float detector box, source pixels.
        score: of the localizer, 0–1.
        label: the localizer's class name, or the name of the step that found the box.
        reading: the second pass; None if it did not run.
        policy: the laterality markers to retain, the least confidence of a reading, and the margins.
        shape_hw: (H, W) of the frame.
        loose: whether the box lies mostly in better ones, see `Detections.loose`; then `reading` is None.

    Returns:
        A Decision over the box with the policy's margin (`boxes.widen`); if the laterality marker is retained, extended a little along its strokes.
    """
    region = _region(xyxy, policy, shape_hw)
    reason = LOOSE if loose and policy.keep else _reason(reading, policy)
    if reading is not None and reason == KEPT and len(reading.text) == 1:
        if is_unlike(reading) or label != LATERALITY and not _is_clear(reading, xyxy):
            reason = UNCERTAIN  # a box of another class is a laterality marker only if that is clear
    if reading is None or reason != KEPT:
        return Decision(frame, region, "remove", reason, float(score), label, reading)
    region, strokes = _kept_region(xyxy, region, reading, shape_hw)
    if not strokes.any():
        return Decision(frame, region, "remove", UNCERTAIN, float(score), label, reading)
    return Decision(frame, region, "keep", KEPT, float(score), label, reading, strokes)


def _is_clear(reading: Reading, xyxy: np.ndarray) -> bool:
    """Whether a letter was read with confidence and, unless it has a ring or plate, is large in its box, (4,) xyxy in source pixels."""
    box = np.asarray(xyxy, np.float64)
    return reading.confidence >= CLEARLY and (reading.framed or max(extent(_strokes_of(reading))) >= LEAST_SHARE * (box[2:] - box[:2]).max())


def _kept_region(
    xyxy: np.ndarray, region: tuple[int, int, int, int], reading: Reading, shape_hw: tuple[int, int]
) -> tuple[tuple[int, int, int, int], np.ndarray]:
    """The region of a retained laterality marker, source xyxy, and its strokes in that crop frame. The region follows the strokes beyond the
    box by `REACH` at most: a plate may be far larger than its letter, and its surroundings are not to be removed."""
    limits = boxes.grow(np.asarray(xyxy, np.float64).reshape(1, 4), REACH, REACH_PX, shape_hw)[0]
    x1, y1, x2, y2 = reading.xyxy
    box = max(x1, int(limits[0])), max(y1, int(limits[1])), min(x2, int(limits[2])), min(y2, int(limits[3]))
    if box[0] >= box[2] or box[1] >= box[3]:
        return region, np.zeros((region[3] - region[1], region[2] - region[0]), bool)
    region = min(region[0], box[0]), min(region[1], box[1]), max(region[2], box[2]), max(region[3], box[3])
    strokes = np.zeros((region[3] - region[1], region[2] - region[0]), bool)
    strokes[box[1] - region[1] : box[3] - region[1], box[0] - region[0] : box[2] - region[0]] = (
        _strokes_of(reading)[box[1] - y1 : box[3] - y1, box[0] - x1 : box[2] - x1]
    )
    return region, strokes


def _region(xyxy: np.ndarray, policy: Policy, shape_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """The box with its margin, at least one pixel of the image even for a box outside it."""
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
    """Decisions in which retained laterality markers were checked against the other retained ones and the removed boxes of their frame.

    A letter beside a much larger retained marker is an initial, see `_is_initial`, and is removed.

    A marker is retained in the pixels of its strokes, whatever other box overlaps it (loose boxes are ignored), with these exceptions:

    1. A box about the same letter (IoU above `SAME_BOX_IOU`) whose reading was doubted turns the marker into a removal; so does one
       without a doubt that read nothing to keep, unless the marker was read with a confidence of at least `CLEARLY`.
    2. A box that holds most of the marker (`LEAST_HELD`) and was read as part of a longer text turns it into a removal, too, if the
       localizer's score of that box is at least the marker's, or the marker's box has another class than laterality marker.
    3. A smaller removed box that the strokes cover (`LEAST_FILLED`) is a separate annotation, such as initials on a retained plate: its
       pixels are excluded from the strokes. So are strokes in any removed box outside the marker's main piece,
       and all strokes in it where these are few (`SMALL_SHARE`), since initials that touch a letter lie there. The letter's strokes
       are retained, though, unless the letter resembles its text more without that end; so are they where the box is another,
       unread one of class laterality marker within the retained one (`FRAGMENT_SHARE`). Empty ground beside a letter is removed.

    A box that a reviewer keeps has no reading and is returned unchanged; `corrections.settle` limits it.

    Args:
        decisions: of any frames.

    Returns:
        As many decisions, in the same order.
    """
    decisions = tuple(decisions)
    kept = [d for d in decisions if d.action == "keep" and d.reading is not None]
    decisions = tuple(replace(d, action="remove", reason=BESIDE, strokes=None) if _is_initial(d, kept) else d for d in decisions)
    removed = [d for d in decisions if d.action == "remove" and d.reason != LOOSE]
    retained = {id(d) for d in decisions if d.action == "keep" and d.reading is not None}
    return tuple(_checked(d, [r for r in removed if r.frame == d.frame]) if id(d) in retained else d for d in decisions)


def set_aside(decisions: Sequence[Decision], policy: Policy) -> tuple[Decision, ...]:
    """Decisions of a policy that retains all of `policy.readable`, as those of `policy`: markers that it only reads become removals whose reason is
    READ. As many decisions, in the same order."""
    return tuple(
        replace(d, action="remove", reason=READ, strokes=None) if d.action == "keep" and d.reading and not _is_listed(d, policy) else d
        for d in decisions)


def _is_listed(kept: Decision, policy: Policy) -> bool:
    """Whether a policy retains what was read: a marker in its list, or a line of nothing but its phrases and markers."""
    text = _reading_of(kept).text
    return bool(line_of(text, policy.keep)) if kept.reason == KEPT_PHRASE else text in policy.keep


def confirmed(
    decisions: Sequence[Decision], read: Sequence[Decision], alone: Callable[[tuple[Decision, ...]], tuple[Decision, ...]]
) -> tuple[Decision, ...]:
    """Decisions in which markers that were read and not retained have that reason only if they would still be retained after the check of the result.

    Args:
        decisions: of the result, in any order.
        read: decisions before `set_aside`; those of the same marker have the same reading.
        alone: `lines_of_print.alone` with all print that was found.
    """
    if all(d.reason != READ for d in decisions):
        return tuple(decisions)
    before = {id(d.reading): d for d in read if d.action == "keep"}
    now = alone(tuple(before[id(d.reading)] if d.reason == READ else d for d in decisions))
    return tuple(replace(d, reason=after.reason) if d.reason == READ and after.action == "remove" else d for d, after in zip(decisions, now))


def with_empty_ground(decisions: Sequence[Decision], views: Sequence[np.ndarray]) -> tuple[Decision, ...]:
    """Decisions in which retained laterality markers keep the ground at the edges of their boxes, too, where it holds no print and no other box lies.

    Without it black slivers would stand around a marker on a pasted box, over what is anatomy and nothing else.

    Args:
        decisions: resolved, of any frames.
        views: (F, H, W) uint8 each, bright = dense; the ground must be empty in all of them.

    Returns:
        As many decisions, in the same order.
    """
    removed = np.zeros(views[0].shape, bool)
    for d in decisions:
        if d.action == "remove":
            x1, y1, x2, y2 = d.xyxy
            removed[d.frame, y1:y2, x1:x2] = True
    return tuple(d if d.action == "remove" or d.reading is None else _with_ground(d, removed, views) for d in decisions)


def _with_ground(kept: Decision, removed: np.ndarray, views: Sequence[np.ndarray]) -> Decision:
    x1, y1, x2, y2 = kept.xyxy
    part = np.s_[kept.frame, y1:y2, x1:x2]
    letter, strokes = _reading_of(kept).letter, _strokes_of(kept)  # with their soft edge, so that print near them is tried, too
    size_px = float(max(extent(strokes if letter is None or not letter.any() else letter)))
    away, result = distance(strokes) > CLEAR_PX, strokes.copy()
    for ground in pieces(~strokes & ~removed[part]):
        is_around = ground[0].any() or ground[-1].any() or ground[:, 0].any() or ground[:, -1].any()  # a hole is where the second pass found something
        if is_around and all(is_empty(view[part], ground & away, size_px, strict=True) for view in views):
            result |= ground
    return replace(kept, strokes=result)


def _is_initial(d: Decision, kept: list[Decision]) -> bool:
    """Whether a kept letter is beside a retained laterality marker that is `LARGER`. A letter with a ring or plate is a marker itself, unless
    its box has another class: initials on a small plate may seem to fill it."""
    if not any(d is each for each in kept):
        return False
    reading = _reading_of(d)
    if len(reading.text) != 1 or (reading.framed and d.label == LATERALITY):
        return False
    x1, y1, x2, y2 = _tight(d)
    size = max(x2 - x1, y2 - y1)
    for other in kept:
        if other is d or other.frame != d.frame:
            continue
        a, b, c, e = large = _tight(other)
        if (max if len(_reading_of(other).text) == 1 else min)(c - a, e - b) >= LARGER * size and -TOUCHING * size <= boxes.gap((x1, y1, x2, y2), large) < NEXT * size:
            return True
    return False


def _checked(kept: Decision, removed: list[Decision]) -> Decision:
    """One kept decision after rules 1 to 3 of `resolve`."""
    reading, strokes = _reading_of(kept), _strokes_of(kept).copy()
    x0, y0 = kept.xyxy[:2]
    tight_box = _tight(kept)
    main, total = _main_piece(strokes), int(strokes.sum())
    for other in removed:
        core = other.reading.xyxy if other.reading is not None else other.xyxy
        x1, y1, x2, y2 = (max(0, core[0] - x0), max(0, core[1] - y0), max(0, core[2] - x0), max(0, core[3] - y0))
        part = np.s_[y1:y2, x1:x2]
        covered = int(strokes[part].sum())
        if not covered:
            continue
        doubted = other.reading is not None and bool(other.reading.doubt) and not _is_letter_of(other.reading, reading)
        is_same_letter = max(boxes.iou_of(tight_box, core), boxes.iou_of(reading.xyxy, core)) > SAME_BOX_IOU
        if is_same_letter and (doubted or reading.confidence < CLEARLY):
            return replace(kept, action="remove", reason=CONTRADICTED, strokes=None)
        if is_same_letter:
            continue
        holds = covered >= LEAST_HELD * strokes.sum()
        if holds and doubted and (other.score >= kept.score or kept.label != LATERALITY):
            return replace(kept, action="remove", reason=CONTRADICTED, strokes=None)
        if not holds:
            covers = np.array([reading.xyxy], np.float64)
            fragment = other.label == LATERALITY and not doubted and boxes.covered_share(np.array(core, np.float64), covers) > FRAGMENT_SHARE
            inside = covered >= LEAST_FILLED * (core[2] - core[0]) * (core[3] - core[1])
            if len(reading.text) > 1 and reading.letter is not None:
                strokes[part] &= _letter(kept)[part]  # the box may be about its letters or about small print between them
            elif inside or covered <= SMALL_SHARE * total:
                strokes[part] &= (_letter(kept) if fragment else _letter_unless_foreign_end(kept, core))[part]
            else:
                strokes[part] &= main[part] & _with_frame(kept)[part]
    if not strokes.any():
        return replace(kept, action="remove", reason=CONTRADICTED, strokes=None)
    return replace(kept, strokes=strokes)


def _is_letter_of(doubted: Reading, kept: Reading) -> bool:
    """Whether a doubted reading is a letter of the word that is kept."""
    return len(kept.text) > len(doubted.text) > 0 and doubted.text in kept.text


def _letter(kept: Decision) -> np.ndarray:
    """(h, w) bool in the crop frame of the decision: the letter with a pixel of soft edge; empty where its strokes are not known."""
    letter = _reading_of(kept).letter
    return np.zeros(_strokes_of(kept).shape, bool) if letter is None else _letter_of(kept, letter, 1)


def _letter_unless_foreign_end(kept: Decision, core: tuple[int, int, int, int]) -> np.ndarray:
    """(h, w) bool in the crop frame of the decision: the letter with a pixel of soft edge; empty where its strokes are not
    known, or where it resembles its text more without its part in `core`, a box in source pixels."""
    reading, nothing = _reading_of(kept), np.zeros(_strokes_of(kept).shape, bool)
    letter = reading.letter
    if letter is None or not glyphs.drawable(reading.text):
        return nothing
    x0, y0 = reading.xyxy[:2]
    remainder = letter.copy()
    remainder[max(0, core[1] - y0) : max(0, core[3] - y0), max(0, core[0] - x0) : max(0, core[2] - x0)] = False
    whole, without = (glyphs.resembles(m, reading.text, reading.rotation_deg, reading.mirrored) for m in (letter, remainder))
    little = remainder.sum() >= (1 - TIP) * letter.sum()
    return nothing if without > whole + MORE_ALIKE and not little else _letter_of(kept, letter, 1)


def _with_frame(kept: Decision) -> np.ndarray:
    """(h, w) bool in the crop frame of the decision: all of it; of a letter with known strokes and without a ring or plate, the letter
    with its soft edge, since empty ground beside it is retained only where no other box lies."""
    reading = _reading_of(kept)
    if reading.letter is None or reading.framed:
        return np.ones(_strokes_of(kept).shape, bool)
    return _letter_of(kept, reading.letter, EDGE_PX)


def _letter_of(kept: Decision, letter: np.ndarray, edge_px: int) -> np.ndarray:
    """(h, w) bool in the crop frame of the decision: the letter, in that of its reading, dilated by `edge_px`."""
    result = np.zeros(_strokes_of(kept).shape, bool)
    (x0, y0, x1, y1), (X0, Y0, X1, Y1) = _reading_of(kept).xyxy, kept.xyxy
    a, b, c, d = max(x0, X0), max(y0, Y0), min(x1, X1), min(y1, Y1)
    soft = cv2.dilate(letter.astype(np.uint8), np.ones((2 * edge_px + 1, 2 * edge_px + 1), np.uint8)) > 0
    result[b - Y0 : d - Y0, a - X0 : c - X0] = soft[b - y0 : d - y0, a - x0 : c - x0]
    return result


def _tight(kept: Decision) -> tuple[int, int, int, int]:
    """Source xyxy of the bounding box of the strokes."""
    strokes, (x0, y0) = _strokes_of(kept), kept.xyxy[:2]
    rows, columns = np.flatnonzero(strokes.any(1)), np.flatnonzero(strokes.any(0))
    return x0 + int(columns[0]), y0 + int(rows[0]), x0 + int(columns[-1]) + 1, y0 + int(rows[-1]) + 1


def _main_piece(strokes: np.ndarray) -> np.ndarray:
    """(h, w) bool: the 8-connected piece of the strokes with the most pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(strokes.astype(np.uint8), connectivity=8)
    return labels == 1 + int(stats[1:, 4].argmax())


def _reading_of(kept: Decision) -> Reading:
    """The reading of a laterality marker that the program retains, which always has one."""
    assert kept.reading is not None
    return kept.reading


def _strokes_of(kept: Decision | Reading) -> np.ndarray:
    """The strokes of a retained laterality marker or of its reading, which always have some."""
    assert kept.strokes is not None
    return kept.strokes
