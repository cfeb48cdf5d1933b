"""Does a sign stand alone? The letter of a name, and an initial beside a larger laterality marker, are none."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from .. import boxes
from ..records import Reading
from . import glyphs
from .doubts import BESIDE, PART_OF_TEXT
from .sign_candidates import Candidate
from .strokes import Ink, coarse_ink, inside, on_plate, percentile
from .view import View, around

LARGER, LARGEST_SIGN, NEXT = 1.5, 4.0, 1.5  # a sign this many times as large, at most this far off, makes a letter its initial
CHARACTER = 0.75  # how alike a neighbour off the line must be to some character to count as text
BIG_SIGN = 0.85  # how alike that must be to a letter
NARROW_GAP = 0.4  # of its height: how far off a small letter, an I or a 1 still belongs to a sign's word
THINNEST = 0.3  # width of a tall neighbour that may be letters in one, as a share of its height; less is a bone's edge
ON_GROUND = 0.5  # share of what stands on a sign's pasted box, of itself
THIN, IN_CORNER = 0.1, 0.15  # of a sign's size: strokes of a frame, and what counts that stands in its corner


def spoils(view: View, c: Candidate, ink: Ink, same: list[Ink], ground: np.ndarray | None = None) -> str:
    """Why the sign is not isolated among the strokes of `ink` (of its own polarity; `same` at all thresholds), "" if it is. A
    ring isolates from what is outside of it, and from what stands in it but not on the sign's line. A pasted box or disc that the
    sign stands on, (h, w) bool `ground`, isolates from what is outside of it.

    Anything of the same size counts if it is in the box itself, elsewhere what stands on the same line,
    or under or above it in exactly the same size.
    """
    mine = c.ink.mask(c.letters)
    ringed = mine | (c.ink.labels == c.frame) if c.frame else mine
    own, box = set(np.unique(ink.labels[ringed]).tolist()), inside(view, ink)
    bright, sharp, wide = _look_of(c.ink, mine)
    me = _upright_box(c, c.ink, c.letters)
    w, h = me[2] - me[0], me[3] - me[1]
    if wide < THIN * max(w, h) and _holds_several(c, ink, own, me):
        return PART_OF_TEXT
    for i in range(1, len(ink.stats)):
        if i in own or max(ink.stats[i, 2:4]) < 0.4 * h or i in ink.rings or (c.frame and not _is_within(ink.stats[i], c.ink.stats[c.frame])):
            continue
        if ground is not None and ground[ink.labels == i].mean() < ON_GROUND:
            continue
        near = _upright_box(c, ink, (i,))
        ratio = (near[3] - near[1]) / h
        across = min(near[3], me[3]) - max(near[1], me[1])
        along = min(near[2], me[2]) - max(near[0], me[0])
        lower_case = 0.6 <= ratio < 0.8 and abs(near[3] - me[3]) < 0.15 * h
        narrow = near[2] - near[0] < THINNEST * (near[3] - near[1])
        beside = across > 0.5 * min(near[3] - near[1], h) and -0.25 * w < -along < (NARROW_GAP if lower_case or narrow else 1.0) * h
        line = (0.8 <= ratio <= 1.3 or lower_case) and beside
        stack = 0.9 <= ratio <= 1.12 and along > 0.5 * min(near[2] - near[0], w) and -0.2 * h < -across < 0.4 * h
        listed = i in box and 0.8 < ratio < 1.25 and not (along > 0 and across > 0)
        merged = ratio > 1.3 and beside and not narrow
        if not (line or merged or (stack or listed) and not c.frame):
            continue
        if not (line or merged) and abs(across) < 0.4 * h and across < 0 and _has_a_row(c, ink, i, own, near):
            continue
        its = _look_of(ink, ink.labels == i)
        alike = 0.4 < its[0] / bright < 2.5 and 0.45 < its[1] / sharp and 0.65 < its[2] / wide < (3.5 if merged else 1.6)
        if not alike or (ink.dark and not on_plate(view, ink, i)):
            continue
        if line and not merged and _are_stacked(c, ink.labels == i, same):
            continue
        # what is only near, not on the line, must look like a character by itself
        certain = (merged and -along < 0.5 * h) or (line and not lower_case)
        if certain or (its[1] > 0.7 * sharp and looks_like(ink, i, None) > CHARACTER):
            return PART_OF_TEXT
    return ""


def _holds_several(c: Candidate, ink: Ink, own: set[int], me: np.ndarray) -> bool:
    """Whether several things stand within the upright box of a sign, as within the corner of a frame, which looks like an L.

    Args:
        own: labels that belong to the sign.  me: its `_upright_box`.
    """
    large = [i for i in range(1, len(ink.stats)) if i not in own and max(ink.stats[i, 2:4]) >= IN_CORNER * max(me[2:] - me[:2])]
    middles = [_upright_box(c, ink, (i,)).reshape(2, 2).mean(axis=0) for i in large]
    return sum(bool((middle > me[:2]).all() and (middle < me[2:]).all()) for middle in middles) > 1


def _is_within(stats: np.ndarray, ring: np.ndarray) -> bool:
    """Whether a component (x, y, w, h, area) lies within the bounding box of a ring."""
    (x, y, w, h), (a, b, c, d) = (s[:4].astype(int) for s in (stats, ring))
    return bool(x >= a and y >= b and x + w <= a + c and y + h <= b + d)


def _are_stacked(c: Candidate, mask: np.ndarray, same: list[Ink]) -> bool:
    """Whether what seems to be one character beside the sign is two letters or more above each other, which only touch: at
    a stricter threshold they fall apart. Initials stand so beside a sign, and never the next letter of its word."""
    for ink in same:
        parts = Ink.of(mask & (ink.labels > 0), ink.hat, ink.dark)
        areas = parts.stats[1:, 4]
        big = [k for k in range(1, len(parts.stats)) if parts.stats[k, 4] > 0.25 * areas.sum()]
        if len(big) < 2:
            continue
        spans = sorted(tuple(_upright_box(c, parts, (k,))[[1, 3]]) for k in big)
        heights = [high - low for low, high in spans]
        apart = all(low >= high - 0.15 * min(heights) for (_, high), (low, _) in zip(spans, spans[1:]))
        if apart and min(heights) > 0.6 * max(heights):
            return True
    return False


def _has_a_row(c: Candidate, ink: Ink, index: int, own: set[int], near: np.ndarray) -> bool:
    """Whether a component stands in a line of its own, above or below the sign: as one of several letters, or as several
    in one. What is written there is not the sign's word.

    Args:
        own: labels that belong to the sign.
        near: the component's `_upright_box`.
    """
    h, w = near[3] - near[1], near[2] - near[0]
    if w > 1.4 * h:
        return True
    for j in range(1, len(ink.stats)):
        if j == index or j in own or max(ink.stats[j, 2:4]) < 0.6 * h:
            continue
        other = _upright_box(c, ink, (j,))
        across = min(other[3], near[3]) - max(other[1], near[1])
        along = min(other[2], near[2]) - max(other[0], near[0])
        if 0.7 < (other[3] - other[1]) / h < 1.4 and across > 0.6 * h and -0.7 * h < along < 0.2 * w:
            return True
    return False


def _look_of(ink: Ink, mask: np.ndarray) -> tuple[float, float, float]:
    """(contrast, sharpness of the outline, stroke width) of some strokes, none 0; anatomy is softer than lead or text."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y, x = max(0, rows[0] - 2), max(0, columns[0] - 2)
    part = np.s_[y : rows[-1] + 3, x : columns[-1] + 3]
    near, hat = glyphs.padded(mask[part].astype(np.uint8), 1), np.pad(ink.hat[part], 1, mode="edge")
    slope = cv2.morphologyEx(hat, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    outline = near - cv2.erode(near, np.ones((3, 3), np.uint8)) > 0
    width = 2 * float(cv2.distanceTransform(near, cv2.DIST_L2, 5).max())
    return max(1.0, percentile(hat[near > 0], 50)), max(1.0, percentile(slope[outline], 50)), max(1.0, width)


def _upright_box(c: Candidate, ink: Ink, indices: tuple[int, ...]) -> np.ndarray:
    """(4,) xyxy of components of `ink` after the turn and flip that make the candidate upright; any origin, work pixels."""
    points = []
    for i in indices:
        x, y, w, h, _ = ink.stats[i]
        rows, columns = np.nonzero(ink.labels[y : y + h, x : x + w] == i)
        points.append(np.stack([columns + x, rows + y]))
    angle = np.radians(c.skew + 90 * (c.view % 4))
    turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) @ np.concatenate(points, axis=1)
    if c.view > 3:
        turned[0] = -turned[0]
    return np.array([turned[0].min(), turned[1].min(), turned[0].max() + 1, turned[1].max() + 1])


def unless_initial(frame: np.ndarray, reading: Reading, dark: bool) -> Reading:
    """The reading, doubted where it is an initial beside a larger laterality marker."""
    initial = reading.text and not reading.doubt and _is_initial(frame, reading, dark)
    return replace(reading, doubt=BESIDE) if initial else reading


def _is_initial(frame: np.ndarray, reading: Reading, dark: bool) -> bool:
    """Whether a much larger sign stands next to what was read, which then is an initial below it.

    A ring or plate makes a sign of its own.
    """
    if not reading.strokes.any():
        return False
    x1, y1 = reading.xyxy[:2]
    rows, columns = np.flatnonzero(reading.strokes.any(1)), np.flatnonzero(reading.strokes.any(0))
    box = x1 + int(columns[0]), y1 + int(rows[0]), x1 + int(columns[-1]) + 1, y1 + int(rows[-1]) + 1
    if reading.framed:
        return False
    view = around(frame, box, LARGEST_SIGN)
    if view is None:
        return False
    ink = coarse_ink(view, dark)
    x1, y1, x2, y2 = view.inner
    size = max(x2 - x1, y2 - y1)
    within = np.s_[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]
    bright = percentile(ink.hat[within], 75)
    for i in range(1, len(ink.stats)):
        x, y, w, h, _ = ink.stats[i]
        if not (LARGER * size < max(w, h) < LARGEST_SIGN * size and 0 <= boxes.gap(view.inner, (x, y, x + w, y + h)) < NEXT * size):
            continue
        if percentile(ink.hat[ink.labels == i], 50) > 0.6 * bright and looks_like(ink, i, reading.text[0]) > BIG_SIGN:
            return True
    return False


def looks_like(ink: Ink, index: int, sign: str | None) -> float:
    """How much a component resembles L, R or the sign, whatever way up it is; any character if `sign` is None."""
    shape = ink.shape(index)
    chars, scores = glyphs.likeness(glyphs.tight(glyphs.turn(shape, glyphs.skew_deg(shape)[0])))
    return float((scores if sign is None else scores[:, np.isin(chars, ["L", "R", sign])]).max())
