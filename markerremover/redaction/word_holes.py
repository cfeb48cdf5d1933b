"""Holes: the parts of boxes that are removed where a whole box need not be, one rectangle per word.

The strokes are those of the second pass (see `strokes`), with a lower threshold. A hole consists of rectangles, horizontal or
along a slanted line of print, never of outlines: its shape shows the number and length of the words, not their text.
In doubt the whole box is removed: where print has little contrast or fills most of the box, or where the rest of the box is not empty.
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
"""Reasons why a hole is the whole box."""

LEAST_CONTRAST = 24.0  # least contrast of print, grey levels
NOISE = 3.0  # least contrast of print, as a multiple of the third quartile of the flat-fielded background
GAP = 0.6  # greatest gap within a word, as a fraction of the letters' height
MARGIN, MARGIN_PX = 0.1, 3  # margin around a word, for its soft edge: fraction of the letters' height, and least margin in source pixels
SOFT_PX = 2  # width of the soft edge of a retained laterality marker's strokes, source pixels
SLANTED_AREA = 0.8  # greatest area of a rotated rectangle that is preferred, as a fraction of the horizontal one's
LONG_WORD = 1.6  # least ratio of length to height of a word that is covered by a rotated rectangle
SOLID = 0.85  # greatest share of a box's removed pixels that strokes fill; a plate, or a wrong threshold, fills more
LARGEST_HOLE = 0.95  # greatest share of a box's removed pixels in a hole; a larger hole becomes the whole box


@dataclass(frozen=True)
class Hole:
    """The removed part of one box.

    mask: (h, w) bool in the crop frame of the decision's xyxy.  reason: "" or one of REASONS, why the whole box is removed.
    """

    mask: np.ndarray
    reason: str = ""


def hole_in(views: Sequence[np.ndarray], decision: Decision) -> Hole:
    """The hole around the print of one box.

    Args:
        views: (H, W) uint8 each, all views of the decision's frame, before any removal; not changed.
        decision: a removed box, or a retained laterality marker, whose `strokes` are never part of the hole.

    Returns:
        A hole with a new mask, a subset of the pixels that the box removes, that covers the print of every view. It is empty for a retained
        laterality marker with nothing beside it.
    """
    x1, y1, x2, y2 = decision.xyxy
    marker_mask = np.zeros((y2 - y1, x2 - x1), bool) if decision.strokes is None else decision.strokes
    removed_mask, soft_marker = ~marker_mask, _dilated(marker_mask, SOFT_PX)
    print_mask = np.zeros(marker_mask.shape, bool)
    is_faint = False
    for view in views:
        strokes, is_view_faint = _print_in(view, decision.xyxy, soft_marker)
        print_mask, is_faint = print_mask | strokes, is_faint or is_view_faint
    if not print_mask.any() and decision.strokes is None:
        return Hole(removed_mask, FAINT if is_faint else NOTHING)
    if print_mask.sum() > SOLID * removed_mask.sum():
        return Hole(removed_mask, FULL)
    size = _letter_size(print_mask) if print_mask.any() else float(min(marker_mask.shape))
    mask = _words(print_mask, size) & removed_mask
    if mask.sum() > LARGEST_HOLE * removed_mask.sum():
        return Hole(removed_mask, FULL)
    ground = removed_mask & ~mask & ~soft_marker
    if not all(is_empty(view[y1:y2, x1:x2], ground, size) for view in views):
        return Hole(removed_mask, MORE)
    return Hole(mask)


def _print_in(frame: np.ndarray, xyxy: tuple[int, int, int, int], soft_marker: np.ndarray) -> tuple[np.ndarray, bool]:
    """(h, w) bool: strokes of either polarity in a box with enough contrast; and whether there are others with too little.

    Args:
        frame: (H, W) uint8.
        xyxy: source pixels.
        soft_marker: (h, w) bool in the crop frame of `xyxy`, a retained laterality marker with its soft edge, which is excluded.
    """
    x1, y1, x2, y2 = xyxy
    strokes, is_faint = np.zeros(soft_marker.shape, bool), False
    view = view_of_box(frame, np.array(xyxy, np.float64))
    if not isinstance(view, View):
        return strokes, False  # too small or flat: no print in this view
    X1, Y1 = view.window[:2]
    inside = np.s_[y1 - Y1 : y2 - Y1, x1 - X1 : x2 - X1]
    for levels in inks(view):
        certain = in_source(view, levels[0].labels > 0)[inside] & ~soft_marker
        if not certain.any():
            continue
        reached = in_source(view, _reached(levels))[inside] & ~soft_marker
        hat = cv2.resize(levels[0].hat, _window_size(view), interpolation=cv2.INTER_AREA)[inside]
        background = ~reached & ~soft_marker
        noise = float(np.percentile(hat[background], 75)) if background.any() else 0.0
        if float(np.median(hat[certain])) < max(LEAST_CONTRAST, NOISE * noise):
            is_faint = True  # print or grain: the rest of the box must be empty, too
            continue
        strokes |= reached
    return strokes, is_faint


def _window_size(view: View) -> tuple[int, int]:
    """(width, height) of a view's window in source pixels."""
    x1, y1, x2, y2 = view.window
    return x2 - x1, y2 - y1


def _reached(levels: list[Ink]) -> np.ndarray:
    """(h, w) bool, work frame: strokes at the lowest threshold that contain some at Otsu's, the first of `levels`."""
    certain, lax = levels[0].labels > 0, min(levels, key=lambda ink: -int((ink.labels > 0).sum()))
    return np.isin(lax.labels, np.unique(lax.labels[certain & (lax.labels > 0)])) & (lax.labels > 0) | certain


def _letter_size(strokes: np.ndarray) -> float:
    """Height of the letters, pixels: the median weighted by area; for letters that touch, about twice the height of their line at most."""
    stats = cv2.connectedComponentsWithStats(strokes.astype(np.uint8), connectivity=8)[2][1:]
    sizes = np.minimum(stats[:, 2:4].max(axis=1), 2 * stats[:, 2:4].min(axis=1)).astype(float)
    order = np.argsort(sizes)
    weights = np.cumsum(stats[order, 4])
    return float(sizes[order][np.searchsorted(weights, weights[-1] / 2)])


def _words(strokes: np.ndarray, size: float) -> np.ndarray:
    """(h, w) bool: a rectangle with a margin around each group of strokes."""
    result = np.zeros(strokes.shape, np.uint8)
    reach = int(np.ceil(GAP * size / 2))
    count, groups = cv2.connectedComponents(cv2.dilate(strokes.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)))
    margin = max(MARGIN_PX, int(np.ceil(MARGIN * size)))
    for k in range(1, count):
        ys, xs = np.nonzero(strokes & (groups == k))
        points = np.stack([xs, ys], axis=1).astype(np.int32)
        (cx, cy), (w, h), angle = cv2.minAreaRect(points)
        x, y, level_w, level_h = cv2.boundingRect(points)
        is_slanted = (w + 1) * (h + 1) < SLANTED_AREA * level_w * level_h and max(w, h) > LONG_WORD * min(w, h)
        if is_slanted:
            corners = cv2.boxPoints(((cx, cy), (w + 2 * margin, h + 2 * margin), angle))
            cv2.fillPoly(result, [np.rint(corners).astype(np.int32)], 1)
        else:
            result[max(0, y - margin) : y + level_h + margin, max(0, x - margin) : x + level_w + margin] = 1
    return result > 0


def _dilated(mask: np.ndarray, margin_px: int) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * margin_px + 1, 2 * margin_px + 1), np.uint8)) > 0
