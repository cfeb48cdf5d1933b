"""Strokes that the edge of a decided box cuts: their continuation outside the box is removed, too.

A localizer's box may end in the middle of a letter, and the box of a retained laterality marker may cut the initial behind it. A stroke is
followed out of the box only if it ends nearby and has the contrast and sharpness of those in the box, so that no rib or
catheter is followed.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .. import boxes
from ..records import Decision
from ..second_pass.glyphs import padded
from ..second_pass.strokes import THRESHOLDS, Ink, distance, inks, percentile
from ..second_pass.view import View, view_of_box
from .decision_rules import CUT

REACH, REACH_PX = 0.6, 6  # greatest extent of a followed stroke beyond a box: fraction of its shorter side, and source pixels; the larger holds
LEAST_OUTSIDE = 1.0  # least extent of a stroke outside a box, source pixels; less is the box's jitter
SOFT_EDGE_PX = 1.0  # width of the soft edge of a retained laterality marker's strokes, source pixels
# Least contrast, least sharpness (slope of the outline / contrast) and greatest width of a followed stroke, as fractions of the values in the box.
STRONG, SHARP, WIDE = 0.5, 0.6, 1.6
DARKER = 1.3  # least contrast of dark strokes that are print, as a multiple of the bright strokes' contrast
NOISE = 3.0  # least contrast of strokes, as a multiple of the third quartile around the box
NO_STRENGTH = (0.0, 0.0, 0.0)  # `_strength` where there are no strokes
PAD_PX = 2  # width of a removed stroke's soft edge, source pixels


def cut_strokes(view: np.ndarray, decisions: Sequence[Decision], frame: int) -> list[Decision]:
    """Further removals: the boxes of strokes that the edges of some boxes cut.

    Args:
        view: (H, W) uint8, one frame, bright = dense, before any removal.
        decisions: resolved; those of other frames are ignored.
        frame: 0-based index of the frame.

    Returns:
        "remove" decisions with reason `CUT` around the parts of strokes outside the cutting box; [] where nothing is cut.
    """
    frame_decisions = [d for d in decisions if d.frame == frame]
    removed, markers = np.zeros(view.shape, bool), np.zeros(view.shape, bool)
    for d in frame_decisions:
        x1, y1, x2, y2 = d.xyxy
        removed[y1:y2, x1:x2] = True
    for d in frame_decisions:
        if d.strokes is not None:
            x1, y1, x2, y2 = d.xyxy
            markers[y1:y2, x1:x2] |= d.strokes
    removals = []
    for d in frame_decisions:
        for xyxy in _cut_by(view, d.xyxy, removed, markers):
            x1, y1, x2, y2 = (int(v) for v in boxes.grow(np.array([xyxy], np.float64), 0.0, PAD_PX, view.shape)[0])
            removals.append(Decision(frame, (x1, y1, x2, y2), "remove", CUT, d.score, d.label))
    return removals


def cut_in_views(decisions: Sequence[Decision], views: Sequence[np.ndarray]) -> list[list[Decision]]:
    """`cut_strokes` of all frames with decisions, by view; views: (F, H, W) uint8 each."""
    return [[d for index in sorted({d.frame for d in decisions}) for d in cut_strokes(view[index], decisions, index)] for view in views]


def _cut_by(frame: np.ndarray, xyxy: tuple[int, int, int, int], removed: np.ndarray, markers: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Source xyxy around the outside part of each stroke that one box cuts, where no other box removes it."""
    view = view_of_box(frame, np.array(xyxy, np.float64))
    if not isinstance(view, View):
        return []
    x1, y1, x2, y2 = np.round(view.inner).astype(int)
    inside = np.zeros(view.grey.shape, bool)
    inside[y1:y2, x1:x2] = True
    if inside.all():
        return []
    by_polarity = {levels[0].dark: levels[0] for levels in inks(view, THRESHOLDS[:1])}
    usual = {dark: _usual(ink, inside) for dark, ink in by_polarity.items()}
    by_polarity = {dark: ink for dark, ink in by_polarity.items() if usual[dark][0] >= NOISE * percentile(ink.hat[~inside], 75)}
    if False in by_polarity and not usual.get(True, NO_STRENGTH)[0] > DARKER * usual[False][0]:
        by_polarity.pop(True, None)  # they are the gaps between bright strokes
    return [xyxy for dark, ink in by_polarity.items() for xyxy in _crossing(view, ink, usual[dark], inside, removed, markers)]


def _crossing(
    view: View, ink: Ink, usual: tuple[float, float, float], inside: np.ndarray, removed: np.ndarray, markers: np.ndarray
) -> list[tuple[int, int, int, int]]:
    """Source xyxy of the parts, neither removed nor of a laterality marker, of components that lie partly `inside` and resemble the
    usual strokes of the box.

    Args:
        usual: `_strength` of the box's strokes.
        inside: (h, w) bool, the box in the work frame.
        removed, markers: (H, W) bool, source pixels.
    """
    X1, Y1, X2, Y2 = view.window
    h, w = ink.labels.shape
    rows = np.minimum(((np.arange(h) + 0.5) / view.scale).astype(int) + Y1, Y2 - 1)
    columns = np.minimum(((np.arange(w) + 0.5) / view.scale).astype(int) + X1, X2 - 1)
    grid = np.ix_(rows, columns)
    marker_mask, unremoved, result = distance(markers[grid]) <= SOFT_EDGE_PX * view.scale, ~removed[grid], []
    for i in np.unique(ink.labels[inside & (ink.labels > 0)]):
        part = _around(ink, int(i))
        mask = ink.labels[part] == i
        outside = mask & unremoved[part]
        if not outside.any() or (mask & marker_mask[part]).any() or not _ends_near(view, ink, int(i)):
            continue
        ys, xs = np.flatnonzero(outside.any(1)) + part[0].start, np.flatnonzero(outside.any(0)) + part[1].start
        if max(ys[-1] - ys[0], xs[-1] - xs[0]) + 1 < LEAST_OUTSIDE * view.scale:
            continue
        contrast, sharpness, width = _strength(ink, int(i), unremoved)
        if contrast >= STRONG * usual[0] and sharpness * usual[0] >= SHARP * usual[1] * contrast and width <= WIDE * usual[2]:
            result.append((int(columns[xs[0]]), int(rows[ys[0]]), int(columns[xs[-1]]) + 1, int(rows[ys[-1]]) + 1))
    return result


def _usual(ink: Ink, inside: np.ndarray) -> tuple[float, float, float]:
    """`_strength` of the component with the highest contrast and sharpness that lies mostly in the box and is not small there."""
    counts = np.bincount(ink.labels[inside], minlength=len(ink.stats))
    counts[0] = 0
    within = counts > 0.5 * ink.stats[:, 4]
    large = np.flatnonzero(within & (counts >= 0.3 * max(1, (counts * within).max())))
    return max((_strength(ink, int(i)) for i in large), key=lambda s: s[0] * s[1], default=NO_STRENGTH)


def _ends_near(view: View, ink: Ink, index: int) -> bool:
    """Whether a component extends beyond the box by `REACH` at most, and ends within the view."""
    x, y, w, h, _ = ink.stats[index]
    x1, y1, x2, y2 = view.inner
    reach = max(REACH * min(x2 - x1, y2 - y1), REACH_PX * view.scale)
    if x == 0 or y == 0 or x + w == ink.labels.shape[1] or y + h == ink.labels.shape[0]:
        return False
    return bool(x >= x1 - reach and y >= y1 - reach and x + w <= x2 + reach and y + h <= y2 + reach)


def _around(ink: Ink, index: int) -> tuple[slice, slice]:
    """The component's rows and columns, with a margin of one pixel."""
    x, y, w, h, _ = (int(v) for v in ink.stats[index])
    return slice(max(0, y - 1), y + h + 1), slice(max(0, x - 1), x + w + 1)


def _strength(ink: Ink, index: int, within: np.ndarray | None = None) -> tuple[float, float, float]:
    """Contrast and slope of the outline in grey levels, and greatest width in work pixels, of a component; the first two only of
    its part `within` a (h, w) bool mask."""
    region = _around(ink, index)
    mask = ink.labels[region] == index
    part = mask if within is None else mask & within[region]
    solid = mask.astype(np.uint8)
    outline = part & ~(cv2.erode(solid, np.ones((3, 3), np.uint8)) > 0)
    width = 2 * float(cv2.distanceTransform(padded(solid, 1), cv2.DIST_L2, 5).max())
    return percentile(ink.hat[region][part], 50), percentile(ink.slope[region][outline], 50) if outline.any() else 0.0, width
