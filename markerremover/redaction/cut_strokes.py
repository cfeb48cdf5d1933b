"""Strokes that the edge of a decided box cuts: what goes on outside of it is removed too.

A localizer's box may end in the middle of a letter, and the box of a retained laterality marker may cut the initial behind it. A stroke is
followed out of the box only if it ends close by and is as strong and as sharp as those in the box, so that no rib or
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
from ..second_pass.view import View, look
from .decision_rules import CUT

REACH, REACH_PX = 0.6, 6  # how far out of a box a stroke is followed: share of its shorter side, at least so many pixels
LEAST_OUTSIDE = 1.0  # source pixels that a stroke must reach out, less is a box's jitter
OWN_PX = 1.0  # source pixels around a retained laterality marker's strokes that are its own soft edge
STRONG, SHARP, WIDE = 0.5, 0.6, 1.6  # of the contrast, the sharpness (slope of the outline / contrast), and the width of the strokes in the box
DARKER = 1.3  # times the contrast of the bright strokes that dark ones need to be print themselves
NOISE = 3.0  # times what stands out around the box three quarters of the time: no less contrast makes strokes
NONE = (0.0, 0.0, 0.0)  # the strength of no strokes: nothing is as narrow as those
PAD_PX = 2  # a removed stroke's own soft edge


def cut_strokes(view: np.ndarray, decisions: Sequence[Decision], frame: int) -> list[Decision]:
    """Further removals: the boxes of strokes that the edges of some boxes cut.

    Args:
        view: (H, W) uint8, one frame, bright = dense, as it was before any removal.
        decisions: resolved; those of other frames do not matter.
        frame: its 0-based index.

    Returns:
        "remove" decisions, none where nothing is cut. They lie around what is outside the cutting box.
    """
    own = [d for d in decisions if d.frame == frame]
    gone, signs = np.zeros(view.shape, bool), np.zeros(view.shape, bool)
    for d in own:
        x1, y1, x2, y2 = d.xyxy
        gone[y1:y2, x1:x2] = True
    for d in own:
        if d.strokes is not None:
            x1, y1, x2, y2 = d.xyxy
            signs[y1:y2, x1:x2] |= d.strokes
    more = []
    for d in own:
        for xyxy in _cut_by(view, d.xyxy, gone, signs):
            region = tuple(int(v) for v in boxes.grow(np.array([xyxy], np.float64), 0.0, PAD_PX, view.shape)[0])
            more.append(Decision(frame, region, "remove", CUT, d.score, d.label))
    return more


def _cut_by(frame: np.ndarray, xyxy: tuple[int, int, int, int], gone: np.ndarray, signs: np.ndarray) -> list[tuple[int, ...]]:
    """Source xyxy around what is outside of one box of each stroke that it cuts, where nothing else removes it."""
    view = look(frame, np.array(xyxy, np.float64))
    if not isinstance(view, View):
        return []
    x1, y1, x2, y2 = np.round(view.inner).astype(int)
    inside = np.zeros(view.grey.shape, bool)
    inside[y1:y2, x1:x2] = True
    if inside.all():
        return []
    both = {same[0].dark: same[0] for same in inks(view, THRESHOLDS[:1])}
    usual = {dark: _usual(ink, inside) for dark, ink in both.items()}
    both = {dark: ink for dark, ink in both.items() if usual[dark][0] >= NOISE * percentile(ink.hat[~inside], 75)}
    if False in both and not usual.get(True, NONE)[0] > DARKER * usual[False][0]:
        both.pop(True, None)  # the gaps of bright print
    return [xyxy for dark, ink in both.items() for xyxy in _crossing(view, ink, usual[dark], inside, gone, signs)]


def _crossing(
    view: View, ink: Ink, usual: tuple[float, float, float], inside: np.ndarray, gone: np.ndarray, signs: np.ndarray
) -> list[tuple[int, ...]]:
    """Source xyxy of what is neither gone nor a sign of the components that lie partly `inside` and are like the usual."""
    X1, Y1, X2, Y2 = view.window
    h, w = ink.labels.shape
    rows = np.minimum(((np.arange(h) + 0.5) / view.scale).astype(int) + Y1, Y2 - 1)
    columns = np.minimum(((np.arange(w) + 0.5) / view.scale).astype(int) + X1, X2 - 1)
    here = np.ix_(rows, columns)
    own, left, found = distance(signs[here]) <= OWN_PX * view.scale, ~gone[here], []
    for i in np.unique(ink.labels[inside & (ink.labels > 0)]):
        part = _around(ink, int(i))
        mask = ink.labels[part] == i
        rest = mask & left[part]
        if not rest.any() or (mask & own[part]).any() or not _ends_near(view, ink, int(i)):
            continue
        ys, xs = np.flatnonzero(rest.any(1)) + part[0].start, np.flatnonzero(rest.any(0)) + part[1].start
        if max(ys[-1] - ys[0], xs[-1] - xs[0]) + 1 < LEAST_OUTSIDE * view.scale:
            continue
        contrast, sharp, wide = _strength(ink, int(i), left)
        if contrast >= STRONG * usual[0] and sharp * usual[0] >= SHARP * usual[1] * contrast and wide <= WIDE * usual[2]:
            found.append((int(columns[xs[0]]), int(rows[ys[0]]), int(columns[xs[-1]]) + 1, int(rows[ys[-1]]) + 1))
    return found


def _usual(ink: Ink, inside: np.ndarray) -> tuple[float, float, float]:
    """`_strength` of the clearest component that lies mostly in the box and is not small there."""
    counts = np.bincount(ink.labels[inside], minlength=len(ink.stats))
    counts[0] = 0
    within = counts > 0.5 * ink.stats[:, 4]
    large = np.flatnonzero(within & (counts >= 0.3 * max(1, (counts * within).max())))
    return max((_strength(ink, int(i)) for i in large), key=lambda s: s[0] * s[1], default=NONE)


def _ends_near(view: View, ink: Ink, index: int) -> bool:
    """Whether a component reaches no further out of the box than `REACH`, and ends before the picture does."""
    x, y, w, h, _ = ink.stats[index]
    x1, y1, x2, y2 = view.inner
    reach = max(REACH * min(x2 - x1, y2 - y1), REACH_PX * view.scale)
    if x == 0 or y == 0 or x + w == ink.labels.shape[1] or y + h == ink.labels.shape[0]:
        return False
    return bool(x >= x1 - reach and y >= y1 - reach and x + w <= x2 + reach and y + h <= y2 + reach)


def _around(ink: Ink, index: int) -> tuple[slice, slice]:
    """The component's rows and columns and one more on each side, where there is one."""
    x, y, w, h, _ = (int(v) for v in ink.stats[index])
    return slice(max(0, y - 1), y + h + 1), slice(max(0, x - 1), x + w + 1)


def _strength(ink: Ink, index: int, within: np.ndarray | None = None) -> tuple[float, float, float]:
    """Contrast, sharpness of the outline and greatest width of a component, grey levels and pixels of the work frame; the first two of
    what of it lies `within` a (h, w) bool mask only."""
    region = _around(ink, index)
    mask = ink.labels[region] == index
    part = mask if within is None else mask & within[region]
    solid = mask.astype(np.uint8)
    outline = part & ~(cv2.erode(solid, np.ones((3, 3), np.uint8)) > 0)
    wide = 2 * float(cv2.distanceTransform(padded(solid, 1), cv2.DIST_L2, 5).max())
    return percentile(ink.hat[region][part], 50), percentile(ink.slope[region][outline], 50) if outline.any() else 0.0, wide
