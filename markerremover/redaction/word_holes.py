"""Where less than a whole box need be removed: a hole around its print, one rectangle a word.

The strokes are those that the second pass sees (see `strokes`), at a laxer threshold. A hole is made of rectangles, level or
along a slanted line of print, never of outlines: its shape tells how many words there were and how long, not what they said.
Doubt removes: where print does not stand out clearly, fills most of the box, or where anything else stands out in what would
stay, the whole box goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..records import Decision
from ..second_pass.kept_pixels import is_empty
from ..second_pass.strokes import Ink, inks
from ..second_pass.view import View, in_source, view_of_box

__all__ = ["REASONS", "Hole", "hole_in"]

NOTHING = "no print seen"
FAINT = "print hardly stands out"
FULL = "print fills the box"
MORE = "something else stands out"
REASONS = (NOTHING, FAINT, FULL, MORE)
"""Why a hole is the whole box."""

LEAST_CONTRAST = 24.0  # grey levels by which print stands out
NOISE = 3.0  # times what stands out off the print three quarters of the time: less contrast makes no clear print
LAX = 0.75  # of Otsu's threshold, one of `strokes.THRESHOLDS`: how far down print is followed
GAP = 0.6  # of a letter: what is nearer than that to each other is one word
MARGIN, MARGIN_PX = 0.1, 3  # around a word: share of a letter, source pixels at least; its soft edge lies within
SOFT_PX = 2  # of a retained laterality marker's strokes: its own soft edge is no print of others
SLANTED = 0.8  # of a level rectangle's area: how small a turned one must be to be taken instead
LONG = 1.6  # times its height: how long a word must be for a turned rectangle to be along its line
SOLID = 0.85  # of what a box removes: strokes that take more of it are a plate, or a threshold gone wrong
MOST = 0.95  # of what a box removes: a larger hole is the box


@dataclass(frozen=True)
class Hole:
    """What goes of one box.

    mask: (h, w) bool in the crop frame of the decision's xyxy.  reason: "" or one of REASONS, why it is all that the box removes.
    """

    mask: np.ndarray
    reason: str = ""


def hole_in(views: Sequence[np.ndarray], decision: Decision) -> Hole:
    """The hole around the print of one box.

    Args:
        views: (H, W) uint8 each, all views of the decision's frame, before any removal; not changed.
        decision: a removed box, or a retained laterality marker, whose `strokes` are never part of the hole.

    Returns:
        A mask that is a part of what the box removes, and covers in every view whatever stands out there. Of a retained laterality marker with
        nothing beside it none of the box goes.
    """
    x1, y1, x2, y2 = decision.xyxy
    signs = np.zeros((y2 - y1, x2 - x1), bool) if decision.strokes is None else decision.strokes
    whole, own = ~signs, _wider(signs, SOFT_PX)
    found = np.zeros(signs.shape, bool)
    faint = False
    for view in views:
        strokes, unclear = _print_in(view, decision.xyxy, own)
        found, faint = found | strokes, faint or unclear
    if not found.any() and decision.strokes is None:
        return Hole(whole, FAINT if faint else NOTHING)
    if found.sum() > SOLID * whole.sum():
        return Hole(whole, FULL)
    size = _letter_size(found) if found.any() else float(min(signs.shape))
    mask = _words(found, size) & whole
    if mask.sum() > MOST * whole.sum():
        return Hole(whole, FULL)
    ground = whole & ~mask & ~own
    if not all(is_empty(view[y1:y2, x1:x2], ground, size) for view in views):
        return Hole(whole, MORE)
    return Hole(mask)


def _print_in(frame: np.ndarray, xyxy: tuple[int, int, int, int], own: np.ndarray) -> tuple[np.ndarray, bool]:
    """(h, w) bool strokes of either polarity in a box that stand out clearly, and whether others do not.

    Args:
        own: (h, w) bool, what belongs to a retained laterality marker and is no print of others.
    """
    x1, y1, x2, y2 = xyxy
    strokes, faint = np.zeros(own.shape, bool), False
    view = view_of_box(frame, np.array(xyxy, np.float64))
    if not isinstance(view, View):
        return strokes, False  # too small or flat: no print in this view
    X1, Y1 = view.window[:2]
    inside = np.s_[y1 - Y1 : y2 - Y1, x1 - X1 : x2 - X1]
    for same in inks(view):
        sure = in_source(view, same[0].labels > 0)[inside] & ~own
        if not sure.any():
            continue
        both = in_source(view, _reached(same))[inside] & ~own
        hat = cv2.resize(same[0].hat, view_size(view), interpolation=cv2.INTER_AREA)[inside]
        rest = ~both & ~own
        noise = float(np.percentile(hat[rest], 75)) if rest.any() else 0.0
        if float(np.median(hat[sure])) < max(LEAST_CONTRAST, NOISE * noise):
            faint = True  # whether it is print or grain, what stays must be empty
            continue
        strokes |= both
    return strokes, faint


def view_size(view: View) -> tuple[int, int]:
    """Columns and rows of a view's window in source pixels."""
    x1, y1, x2, y2 = view.window
    return x2 - x1, y2 - y1


def _reached(same: list[Ink]) -> np.ndarray:
    """(h, w) bool, work frame: strokes at the lax threshold that hold something of those at Otsu's."""
    sure, lax = same[0].labels > 0, min(same, key=lambda ink: -int((ink.labels > 0).sum()))
    return np.isin(lax.labels, np.unique(lax.labels[sure & (lax.labels > 0)])) & (lax.labels > 0) | sure


def _letter_size(strokes: np.ndarray) -> float:
    """Height of the letters, pixels: the median over their area; of letters that touch the height of their line."""
    stats = cv2.connectedComponentsWithStats(strokes.astype(np.uint8), connectivity=8)[2][1:]
    sizes = np.minimum(stats[:, 2:4].max(axis=1), 2 * stats[:, 2:4].min(axis=1)).astype(float)
    order = np.argsort(sizes)
    weights = np.cumsum(stats[order, 4])
    return float(sizes[order][np.searchsorted(weights, weights[-1] / 2)])


def _words(strokes: np.ndarray, size: float) -> np.ndarray:
    """(h, w) bool: a rectangle with a margin around each group of strokes."""
    out = np.zeros(strokes.shape, np.uint8)
    reach = int(np.ceil(GAP * size / 2))
    count, groups = cv2.connectedComponents(cv2.dilate(strokes.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)))
    margin = max(MARGIN_PX, int(np.ceil(MARGIN * size)))
    for k in range(1, count):
        ys, xs = np.nonzero(strokes & (groups == k))
        points = np.stack([xs, ys], axis=1).astype(np.int32)
        (cx, cy), (w, h), angle = cv2.minAreaRect(points)
        x, y, level_w, level_h = cv2.boundingRect(points)
        slanted = (w + 1) * (h + 1) < SLANTED * level_w * level_h and max(w, h) > LONG * min(w, h)
        if slanted:
            corners = cv2.boxPoints(((cx, cy), (w + 2 * margin, h + 2 * margin), angle))
            cv2.fillPoly(out, [np.rint(corners).astype(np.int32)], 1)
        else:
            out[max(0, y - margin) : y + level_h + margin, max(0, x - margin) : x + level_w + margin] = 1
    return out > 0


def _wider(mask: np.ndarray, by_px: int) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * by_px + 1, 2 * by_px + 1), np.uint8)) > 0
