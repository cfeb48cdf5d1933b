"""Whether a shape is an L: two straight bars that end where they meet, at a right angle or, slanted, nearly one, and nothing else.

A marker may have any of eight orientations, and in one of them a J, 7, 1, 4 or F resembles an L, for the OCR engine too: a 7 and a 1
upside down have a foot at a narrower angle, the heel of a mirrored J is round, a 4 and an F have more than two strokes. The limits
were chosen between drawn characters of 60 fonts and 1,070 readings of the L of real radiographs.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from . import glyphs
from .sign_candidates import Candidate
from .strokes import Ink, filled, label_mask

__all__ = ["Bars", "bars_of", "is_an_l", "is_whole_l"]

SMALLEST_PX = 10.0  # least height of a letter that is tested, source pixels
STEM, FOOT = (0.06, 0.62), (0.12, 0.88)  # where the bars are measured, as fractions of the height and of the foot's reach beyond the stem
USUAL = 0.35  # greatest deviation of a row's width from a bar's median width, as a fraction of that; other rows hold further strokes
NARROW_DEG, SLANTED_DEG, LONG_FOOT = 71.0, 76.0, 0.5  # least angle of letters with a foot of at least LONG_FOOT (of the height), and of others
SHORT_FOOT, SHORT_DEG = 0.29, 84.0  # reach of a foot as short as the flag of a 1, as a fraction of the height; least angle of such a letter
# A heel is round if the corner is farther from the shape than the first two values, as fractions of the stroke width and of the height,
# and the foot is shorter than the third, as a fraction of the height.
ROUND = ((0.9, 0.0, 9.0), (0.65, 0.08, 9.0), (0.6, 0.0, 0.34), (0.5, 0.1, 9.0))
COARSE, BLUNT = 40, 0.15  # height in pixels below which only the first two rows of ROUND apply, and what is then added to their first values
SLACK, SLACK_PX = 0.3, 2.2  # tolerance for a bar's rough edge: a fraction of half its width, and pixels; the larger holds
# A serif, as fractions of the height: its greatest length, its greatest length left of the stem and under the foot, and its greatest height
# at the end of the foot. SERIF is also its greatest distance from an end of the stem.
SERIF, OUTSIDE, HIGH = 0.2, 0.14, 0.45
RINGED = 0.1  # least extent of a ring beyond its letter, as a fraction of the letter's longer side
MORE = 0.25  # least area of a further stroke, as a fraction of the square of the stroke width


@dataclass(frozen=True)
class Bars:
    """The stem and the foot of a shape in the orientation of an L; pixels of the shape, x right, y down.

    stem, foot: (intercept, slope) of their middle lines, x = a + b * y and y = a + b * x.
    stem_width, foot_width: stroke widths of the bars.  reach: length of the foot beyond the stem's right edge.
    """

    stem: tuple[float, float]
    foot: tuple[float, float]
    stem_width: float
    foot_width: float
    reach: float

    @property
    def angle_deg(self) -> float:
        """Angle between the stem, upwards, and the foot, to the right, degrees."""
        return 90 + float(np.degrees(np.arctan(self.stem[1]) + np.arctan(self.foot[1])))

    @property
    def corner(self) -> tuple[float, float]:
        """Where the outer edges of both bars meet, x and y."""
        left, below = self.stem[0] - self.stem_width / 2, self.foot[0] + self.foot_width / 2
        y = (below + self.foot[1] * left) / (1 - self.foot[1] * self.stem[1])
        return left + self.stem[1] * y, y


def is_whole_l(c: Candidate, base: Ink, scale: float) -> bool:
    """Whether a candidate for an L is one, and not the rest of another letter, such as an F or E without its thinner arms.

    Args:
        c: a single letter.
        base: the strokes of its polarity before any separation.
        scale: work pixels per source pixel.
    """
    x, y, w, h, _ = c.ink.stats[c.letters[0]]
    part = np.s_[y : y + h, x : x + w]
    letter = c.ink.shape(c.letters[0])
    component_mask = label_mask(base.labels[part], np.setdiff1d(np.unique(base.labels[part][letter]), [0]))
    remainder = component_mask & ~(cv2.dilate(letter.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    letter, remainder = (glyphs.dihedral(glyphs.turn(mask, c.skew))[c.view] for mask in (letter, remainder))
    rows, columns = np.flatnonzero(letter.any(1)), np.flatnonzero(letter.any(0))
    if not rows.size:
        return False
    tight = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height_px = (rows[-1] + 1 - rows[0]) / scale
    if not is_an_l(letter[tight], height_px, remainder[tight] if _is_ringed(c, base) else None):
        return False
    return height_px < SMALLEST_PX or not remainder.any() or not _stands_in_crook(letter[tight], remainder[tight])


def _is_ringed(c: Candidate, base: Ink) -> bool:
    """Whether the strokes that a candidate's letter was separated from extend beyond it on all four sides, as a ring or frame does."""
    x, y, w, h, _ = c.ink.stats[c.letters[0]]
    labels = np.setdiff1d(np.unique(base.labels[y : y + h, x : x + w][c.ink.shape(c.letters[0])]), [0])
    if not labels.size:
        return False
    left, top, widths, heights = base.stats[labels, :4].T
    margin = RINGED * max(w, h)
    return bool(((left < x - margin) & (top < y - margin) & (left + widths > x + w + margin) & (top + heights > y + h + margin)).any())


def is_an_l(upright: np.ndarray, height_px: float, ring: np.ndarray | None = None) -> bool:
    """Whether a shape that resembles an L is one.

    Args:
        upright: (h, w) bool, tight, in the orientation of an L.
        height_px: its height in source pixels; the result is True below `SMALLEST_PX`.
        ring: (h, w) bool, a ring or frame that was cut off it: where it passes the corner, the corner may be missing.
    """
    if height_px < SMALLEST_PX:
        return True
    shape = filled(upright)  # an L drawn as an outline is also an L
    bars = bars_of(shape)
    if bars is None:
        return False
    height, angle, reach = shape.shape[0], bars.angle_deg, bars.reach / shape.shape[0]
    if angle < (NARROW_DEG if reach >= LONG_FOOT else SLANTED_DEG) or (reach < SHORT_FOOT and angle < SHORT_DEG):
        return False
    y, x = np.nonzero(shape)
    gap = float(np.hypot(x + 0.5 - bars.corner[0], y + 0.5 - bars.corner[1]).min())
    stroke, coarse = min(bars.stem_width, bars.foot_width), height < COARSE
    if ring is not None and _nearest(ring, bars.corner) <= stroke:  # the corner was cut off with the ring and is not tested
        gap = 0.0
    heels = [(wide + BLUNT, share, long) for wide, share, long in ROUND[:2]] if coarse else ROUND
    if any(gap > wide * stroke and gap > share * height and reach < long for wide, share, long in heels):
        return False
    return not _has_more(shape, bars)


def _nearest(mask: np.ndarray, point: tuple[float, float]) -> float:
    """Pixels from a point, x and y, to the nearest set pixel of a (h, w) bool mask; infinite where none is set."""
    y, x = np.nonzero(mask)
    return float(np.hypot(x + 0.5 - point[0], y + 0.5 - point[1]).min(initial=np.inf))


def bars_of(shape: np.ndarray) -> Bars | None:
    """The bars of a (h, w) bool shape, tight, without holes and in the orientation of an L; None if the stem or the foot cannot be measured."""
    h, w = shape.shape
    rows = [y for y in range(int(STEM[0] * h), int(STEM[1] * h) + 1) if shape[y].any()]
    if len(rows) < 4:
        return None
    ends = np.array([_first_run(shape[y]) for y in rows], float)
    width = float(np.median(ends[:, 1] - ends[:, 0]))
    usual = _usual(ends, width)
    stem = _line_through(np.array(rows)[usual] + 0.5, ends[usual].mean(axis=1))
    edge = stem[0] + stem[1] * h + width / 2
    reach = w - edge
    columns = [x for x in range(max(0, int(edge + FOOT[0] * reach)), min(w, int(edge + FOOT[1] * reach) + 1)) if shape[:, x].any()]
    if len(columns) < 3:
        return None
    feet = np.array([_first_run(shape[::-1, x]) for x in columns], float)
    thickness = float(np.median(feet[:, 1] - feet[:, 0]))
    foot = _usual(feet, thickness)  # without the serif at its end
    return Bars(stem, _line_through(np.array(columns)[foot] + 0.5, h - feet[foot].mean(axis=1)), width, thickness, reach)


def _usual(ends: np.ndarray, width: float) -> np.ndarray:
    """(n,) bool: which of (n, 2) runs are about `width` long; all of them where fewer than four are."""
    usual = np.abs(ends[:, 1] - ends[:, 0] - width) <= max(1.5, USUAL * width)
    return usual if usual.sum() >= 4 else np.ones(len(ends), bool)


def _first_run(line: np.ndarray) -> tuple[int, int]:
    """Start and stop of the first run of set values in (n,) bool with at least one."""
    start = int(line.argmax())
    rest = line[start:]
    return start, start + (int(rest.argmin()) if not rest.all() else len(rest))


def _line_through(positions: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """(a, b) of value = a + b * position: least squares, repeated without outliers."""
    selected = np.ones(len(positions), bool)
    for _ in range(3):
        slope, start = np.polyfit(positions[selected], values[selected], 1)
        residuals = np.abs(values - start - slope * positions)
        inliers = residuals <= max(1.0, 2 * float(np.median(residuals)))
        if inliers.sum() < 4 or (inliers == selected).all():
            break
        selected = inliers
    return float(start), float(slope)


def _has_more(shape: np.ndarray, bars: Bars) -> bool:
    """Whether the shape has a stroke besides the two bars. A serif does not count: it is short and at an end of a bar."""
    height = shape.shape[0]
    y, x = (grid + 0.5 for grid in np.mgrid[:height, : shape.shape[1]])
    (a, b), (c, d) = bars.stem, bars.foot
    aside, above = (x - a - b * y) / np.hypot(1, b), (c + d * x - y) / np.hypot(1, d)
    half, low = bars.stem_width / 2, bars.foot_width / 2
    edge, sole = half + max(SLACK * half, SLACK_PX), low + max(SLACK * low, SLACK_PX)
    on_stem, on_foot = (np.abs(aside) <= edge) & (above >= -sole), (np.abs(above) <= sole) & (aside >= -edge)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((shape & ~on_stem & ~on_foot).astype(np.uint8), connectivity=8)
    for k in np.flatnonzero(stats[1:, 4] >= MORE * min(bars.stem_width, bars.foot_width) ** 2) + 1:
        component = labels == k
        right, left, under, high = (float(v[component].max()) for v in (aside - half, -aside - half, -above - low, above - low))
        nearest = float(aside[component].min()) - edge
        if max(left, under) > OUTSIDE * height or (nearest >= 1.5 and high > HIGH * height):
            return True
        if 0 < nearest + 1 < 2.5 and (right > SERIF * height or SERIF < float(y[component].mean()) / height < 1 - SERIF):
            return True
    return False


def _stands_in_crook(upright: np.ndarray, remainder: np.ndarray) -> bool:
    """Whether a stroke that was cut off a shape was between its bars.

    Args:
        upright: (h, w) bool, in the orientation of an L.  remainder: (h, w) bool, the strokes cut off, in the same frame.
    """
    bars = bars_of(filled(upright))
    if bars is None:
        return True
    y, x = np.mgrid[: upright.shape[0], : upright.shape[1]] + 0.5
    crook = (x > bars.stem[0] + bars.stem[1] * y) & (y < bars.foot[0] + bars.foot[1] * x)
    sizes = cv2.connectedComponentsWithStats((remainder & crook).astype(np.uint8), connectivity=8)[2][1:, 4]
    return bool((sizes >= MORE * min(bars.stem_width, bars.foot_width) ** 2).any())
