"""Is a shape an L? Two straight bars that end where they meet, at a right angle or, slanted, nearly one, and nothing else.

A marker may lie in any of eight ways, and in one of them a J, 7, 1, 4 or F looks much like an L, to the OCR engine too: a 7 and a 1
upside down have a foot at a narrower angle, the heel of a J in a mirror is round, a 4 and an F have more strokes than two. The limits
lie between drawn characters of 60 fonts and 1,070 looks at the L of real radiographs.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from . import glyphs
from .sign_candidates import Candidate
from .strokes import Ink, filled, picked

__all__ = ["Bars", "bars_of", "is_an_l", "is_whole_l"]

SMALLEST_PX = 10.0  # source pixels of height: in a smaller letter nothing of this can be told
STEM, FOOT = (0.06, 0.62), (0.12, 0.88)  # of the height, and of what the foot reaches beyond the stem: where the bars are measured
USUAL = 0.35  # of the stem's median width: rows that differ more hold something else, too
NARROW_DEG, SLANTED_DEG, LONG_FOOT = 71.0, 76.0, 0.5  # least angle of a slanted letter whose foot is so long (of the height), and of others
SHORT_FOOT, SHORT_DEG = 0.29, 84.0  # a foot as short as the flag of a 1 stands at this angle at least
ROUND = ((0.9, 0.0, 9.0), (0.65, 0.08, 9.0), (0.6, 0.0, 0.34), (0.5, 0.1, 9.0))  # a heel is round if the corner's outer end is farther from
# the shape than the first two, of the stroke's width and of the height, and the foot shorter than the last
COARSE, BLUNT = 40, 0.15  # pixels of height below which only the first two of those count, with so much more for the corner
SLACK, SLACK_PX = 0.3, 2.2  # how far beyond the middle half of a bar its rough edge may reach: of that half, and pixels
SERIF, OUTSIDE, HIGH = 0.2, 0.14, 0.45  # of the height: a serif is no longer, left of the stem and under the foot even shorter, and stands no
# farther from an end of the stem; at the end of the foot it is no higher
RINGED = 0.1  # of the longer side: how far a ring that was cut off goes on beyond the letter
MORE = 0.25  # of a square of the stroke's width: a larger thing beside the bars is another stroke


@dataclass(frozen=True)
class Bars:
    """The stem and the foot of a shape held up as an L; pixels of the shape, x right, y down.

    stem, foot: (intercept, slope) of their middle lines, x = a + b * y and y = a + b * x.
    stem_width, foot_width: of the bars.  reach: of the foot beyond the stem's right edge.
    """

    stem: tuple[float, float]
    foot: tuple[float, float]
    stem_width: float
    foot_width: float
    reach: float

    @property
    def angle_deg(self) -> float:
        """Between the stem, upwards, and the foot, to the right."""
        return 90 + float(np.degrees(np.arctan(self.stem[1]) + np.arctan(self.foot[1])))

    @property
    def corner(self) -> tuple[float, float]:
        """Where the outer edges of both bars meet, x and y."""
        left, below = self.stem[0] - self.stem_width / 2, self.foot[0] + self.foot_width / 2
        y = (below + self.foot[1] * left) / (1 - self.foot[1] * self.stem[1])
        return left + self.stem[1] * y, y


def is_whole_l(c: Candidate, base: Ink, scale: float) -> bool:
    """Whether a candidate for an L is one, and not what is left of another letter: an F or E without its thinner arms.

    Args:
        base: the strokes of its polarity before anything was parted.  scale: work pixels a source pixel.
    """
    x, y, w, h, _ = c.ink.stats[c.letters[0]]
    part = np.s_[y : y + h, x : x + w]
    letter = c.ink.shape(c.letters[0])
    whole = picked(base.labels[part], np.setdiff1d(np.unique(base.labels[part][letter]), [0]))
    rest = whole & ~(cv2.dilate(letter.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    letter, rest = (glyphs.dihedral(glyphs.turn(mask, c.skew))[c.view] for mask in (letter, rest))
    rows, columns = np.flatnonzero(letter.any(1)), np.flatnonzero(letter.any(0))
    if not rows.size:
        return False
    tight = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height_px = (rows[-1] + 1 - rows[0]) / scale
    return is_an_l(letter[tight], height_px, rest[tight] if _is_ringed(c, base) else None) and (height_px < SMALLEST_PX or not rest.any() or not _stands_in_crook(letter[tight], rest[tight]))


def _is_ringed(c: Candidate, base: Ink) -> bool:
    """Whether what a candidate's letter was parted from goes on beyond it on all four sides, as a ring or frame does."""
    x, y, w, h, _ = c.ink.stats[c.letters[0]]
    labels = np.setdiff1d(np.unique(base.labels[y : y + h, x : x + w][c.ink.shape(c.letters[0])]), [0])
    if not labels.size:
        return False
    left, top, wide, high = base.stats[labels, :4].T
    far = RINGED * max(w, h)
    return bool(((left < x - far) & (top < y - far) & (left + wide > x + w + far) & (top + high > y + h + far)).any())


def is_an_l(upright: np.ndarray, height_px: float, parted: np.ndarray | None = None) -> bool:
    """Whether a shape that resembles an L is one.

    Args:
        upright: (h, w) bool, tight, held up as an L.
        height_px: its height in source pixels; of one lower than `SMALLEST_PX` nothing is said against it.
        parted: (h, w) bool, of a ring or frame that was cut off it: where that passes its corner, the corner may be cut away.
    """
    if height_px < SMALLEST_PX:
        return True
    shape = filled(upright)  # drawn as an outline only, it is an L all the same
    bars = bars_of(shape)
    if bars is None:
        return False
    height, angle, reach = shape.shape[0], bars.angle_deg, bars.reach / shape.shape[0]
    if angle < (NARROW_DEG if reach >= LONG_FOOT else SLANTED_DEG) or (reach < SHORT_FOOT and angle < SHORT_DEG):
        return False
    y, x = np.nonzero(shape)
    off = float(np.hypot(x + 0.5 - bars.corner[0], y + 0.5 - bars.corner[1]).min())
    stroke, coarse = min(bars.stem_width, bars.foot_width), height < COARSE
    if parted is not None and _nearest(parted, bars.corner) <= stroke:  # the corner was cut away with it: its end says nothing
        off = 0.0
    heels = [(wide + BLUNT, share, long) for wide, share, long in ROUND[:2]] if coarse else ROUND
    if any(off > wide * stroke and off > share * height and reach < long for wide, share, long in heels):
        return False
    return not _has_more(shape, bars)


def _nearest(mask: np.ndarray, point: tuple[float, float]) -> float:
    """Pixels from a point, x and y, to the nearest set pixel of a (h, w) bool mask; infinite where none is set."""
    y, x = np.nonzero(mask)
    return float(np.hypot(x + 0.5 - point[0], y + 0.5 - point[1]).min(initial=np.inf))


def bars_of(shape: np.ndarray) -> Bars | None:
    """The bars of a (h, w) bool shape, tight and without holes, held up as an L; None where there are none to measure."""
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
    high = float(np.median(feet[:, 1] - feet[:, 0]))
    foot = _usual(feet, high)  # without the serif at its end
    return Bars(stem, _line_through(np.array(columns)[foot] + 0.5, h - feet[foot].mean(axis=1)), width, high, reach)


def _usual(ends: np.ndarray, width: float) -> np.ndarray:
    """(n,) bool: which of (n, 2) stretches are about so wide, all of them where hardly any is."""
    usual = np.abs(ends[:, 1] - ends[:, 0] - width) <= max(1.5, USUAL * width)
    return usual if usual.sum() >= 4 else np.ones(len(ends), bool)


def _first_run(line: np.ndarray) -> tuple[int, int]:
    """Start and stop of the first set stretch of (n,) bool that has one."""
    start = int(line.argmax())
    rest = line[start:]
    return start, start + (int(rest.argmin()) if not rest.all() else len(rest))


def _line_through(at: np.ndarray, value: np.ndarray) -> tuple[float, float]:
    """(a, b) of value = a + b * at, least squares without what lies far off."""
    chosen = np.ones(len(at), bool)
    for _ in range(3):
        slope, start = np.polyfit(at[chosen], value[chosen], 1)
        off = np.abs(value - start - slope * at)
        near = off <= max(1.0, 2 * float(np.median(off)))
        if near.sum() < 4 or (near == chosen).all():
            break
        chosen = near
    return float(start), float(slope)


def _has_more(shape: np.ndarray, bars: Bars) -> bool:
    """Whether another stroke than the two bars belongs to the shape. A serif is none: it is short, at an end of a bar."""
    height = shape.shape[0]
    y, x = (grid + 0.5 for grid in np.mgrid[:height, : shape.shape[1]])
    (a, b), (c, d) = bars.stem, bars.foot
    aside, above = (x - a - b * y) / np.hypot(1, b), (c + d * x - y) / np.hypot(1, d)
    half, low = bars.stem_width / 2, bars.foot_width / 2
    edge, sole = half + max(SLACK * half, SLACK_PX), low + max(SLACK * low, SLACK_PX)
    on_stem, on_foot = (np.abs(aside) <= edge) & (above >= -sole), (np.abs(above) <= sole) & (aside >= -edge)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((shape & ~on_stem & ~on_foot).astype(np.uint8), connectivity=8)
    for k in np.flatnonzero(stats[1:, 4] >= MORE * min(bars.stem_width, bars.foot_width) ** 2) + 1:
        there = labels == k
        right, left, under, high = (float(v[there].max()) for v in (aside - half, -aside - half, -above - low, above - low))
        nearest = float(aside[there].min()) - edge
        if max(left, under) > OUTSIDE * height or (nearest >= 1.5 and high > HIGH * height):
            return True
        if 0 < nearest + 1 < 2.5 and (right > SERIF * height or SERIF < float(y[there].mean()) / height < 1 - SERIF):
            return True
    return False


def _stands_in_crook(upright: np.ndarray, rest: np.ndarray) -> bool:
    """Whether a stroke that was cut off a shape stood between its bars.

    Args:
        upright: (h, w) bool, held up as an L.  rest: (h, w) bool, what was cut off, in the same frame.
    """
    bars = bars_of(filled(upright))
    if bars is None:
        return True
    y, x = np.mgrid[: upright.shape[0], : upright.shape[1]] + 0.5
    crook = (x > bars.stem[0] + bars.stem[1] * y) & (y < bars.foot[0] + bars.foot[1] * x)
    sizes = cv2.connectedComponentsWithStats((rest & crook).astype(np.uint8), connectivity=8)[2][1:, 4]
    return bool((sizes >= MORE * min(bars.stem_width, bars.foot_width) ** 2).any())
