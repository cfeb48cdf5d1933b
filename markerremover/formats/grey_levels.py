"""How many of the greys a picture uses, and tables that give few of them the whole range.

A file may hold a picture in a small part of its range: 12 bits cut down to the upper 4 of 8, a dark scan, a body at 0–40 beside a white
border. No network and no OCR engine sees print of five greys, but any viewer shows it after one drag.

Tables are 1-D uint8 over the representable stored values, as in display.py; `counts` are how often each of these occurs.
"""

from __future__ import annotations

import cv2
import numpy as np

PERCENTILES = (0.1, 99.9)
"""Ends of a stretched view; what lies beyond clips, so burned-in extremes stay visible."""
FAINT, FAINT_TOGETHER = 64, 96
"""Greys, of 256, up to which a picture is faint: of the widest run of used ones, and of all runs. Films that are to be read use more."""
APART = 32
"""Greys between two used ones from which they belong to different runs: a picture, and marks far brighter or darker than it."""
EDGE, EDGES = 0.1, 0.25
"""Pixels, in sides of a square as large as the picture, that a grey must have to be used, and it and its neighbours on average. The greys of
the soft edges of a few marks, or of a border, have fewer at any size."""
LEAST = 1 / 2048
"""And never more than this share of all pixels: an eighth of what each grey has where all are used alike."""
MOSTLY = 2 / 3
"""Share of the pixels from which a run of used greys is the picture itself; else it is as dark in one part as it is bright in another."""
CLOSE = 8
"""Values at least that count as close beyond a run; else as many as the run has."""
AROUND = 33
"""Greys that count as neighbours, the grey itself in their middle."""


def counts(stored: np.ndarray, low: int, size: int) -> np.ndarray:
    """(size,) int64: how often each value from `low` on occurs among 8 or 16 bit integers of any shape."""
    bits = 8 * stored.dtype.itemsize
    plain = np.ascontiguousarray(stored).view(np.uint8 if bits == 8 else np.uint16)
    found = cv2.calcHist([plain.reshape(1, -1)], [0], None, [1 << bits], [0, 1 << bits]).ravel()
    return found[np.arange(low, low + size) & ((1 << bits) - 1)].astype(np.int64)


def percentiles(counted: np.ndarray) -> tuple[float, float]:
    """`PERCENTILES` of the values less their least representable one, interpolated as `numpy.percentile` does.

    >>> percentiles(np.array([500, 0, 0, 500]))
    (0.0, 3.0)
    """
    below, last = np.cumsum(counted), int(counted.sum()) - 1
    ends = []
    for share in PERCENTILES:
        place = share / 100 * last
        first = int(place)
        a, b = (float(np.searchsorted(below, min(rank, last), side="right")) for rank in (first, first + 1))
        ends.append(a + (b - a) * (place - first))
    return ends[0], ends[1]


def stretched(counted: np.ndarray, invert: bool) -> np.ndarray:
    """A table that spreads the percentiles of what occurs over 0–255, or shows the whole range where they span more than half of it."""
    size = len(counted)
    there = np.flatnonzero(counted)
    lower, upper = percentiles(counted) if there.size else (0.0, 0.0)
    if upper <= lower and there.size:
        lower, upper = float(there[0]), float(there[-1])
    if upper <= lower or upper - lower > size / 2:
        lower, upper = 0.0, float(size - 1)
    share = (np.arange(size, dtype=np.float32) - np.float32(lower)) / np.float32(max(upper - lower, 1.0))
    return to_grey(np.clip(share, 0, 1), invert)


def is_faint(table: np.ndarray, counted: np.ndarray) -> bool:
    """Whether a table shows what occurs in so few greys that print may be lost in them."""
    used = _used(np.bincount(table, weights=counted, minlength=256))
    if len(used) == 1:
        return np.count_nonzero(counted) > 1
    widths = [high - low for low, high in _runs(used)]
    return 0 < max(widths, default=0) <= FAINT and sum(widths) <= FAINT_TOGETHER


def lies_together(table: np.ndarray, counted: np.ndarray) -> bool:
    """Whether most of what occurs is shown in one run of used greys: the rest is but marks and borders."""
    per_grey = np.bincount(table, weights=counted, minlength=256)
    heaviest = max((per_grey[low : high + 1].sum() for low, high in _runs(_used(per_grey))), default=0)
    return bool(heaviest >= MOSTLY * per_grey.sum())


def spread(counted: np.ndarray, invert: bool) -> np.ndarray:
    """A table that gives most greys to the runs of used values, in even steps, and some to what lies close beyond them: print may be a
    little brighter than what is used. What lies farther off shares the rest."""
    there = np.flatnonzero(counted)
    first, span = int(there[0]), int(there[-1]) - int(there[0]) + 1
    bins = min(256, span)
    number = np.arange(span) * bins // span
    runs = _runs(_used(np.bincount(number, weights=counted[first : first + span], minlength=bins)))
    steps = np.zeros(max(bins - 1, 1))
    for low, high in runs:
        steps[low:high] = 1
    for low, high in sorted(runs, key=lambda run: run[1] - run[0]):
        reach = max(CLOSE, high - low)
        for beyond in (steps[high : high + reach], steps[max(0, low - reach) : low]):
            np.maximum(beyond, (high - low) / reach / 2, out=beyond)
    far = steps == 0
    steps[far] = max(steps.sum() / 8, 1) / max(far.sum(), 1)
    starts = first + -(-np.arange(bins) * span // bins)
    share = np.interp(np.arange(len(counted)), starts, np.concatenate([[0.0], np.cumsum(steps)])[:bins])
    return to_grey(share / share[-1], invert)


def shortened(gaps: np.ndarray) -> np.ndarray:
    """Gaps (N,) as shares of their sum, none of them much more than a third of the others together: a few extreme values
    far from all others must not take all greys."""
    longest = gaps.max()
    for _ in range(12):  # each round shortens the longest by up to a factor of four
        longest = np.minimum(gaps, longest).sum() / 4
    gaps = np.minimum(gaps, longest)
    return gaps / gaps.sum()


def to_grey(share: np.ndarray, invert: bool) -> np.ndarray:
    """Shares 0–1 as uint8, reversed if `invert`; a new array."""
    return np.rint((1 - share if invert else share) * 255).astype(np.uint8)


def _used(per_grey: np.ndarray) -> np.ndarray:
    """The greys that are used, ascending, of (N,) counts; all that occur where all but one are rare."""
    total = per_grey.sum()
    near = np.convolve(per_grey, np.full(AROUND, 1 / AROUND))[AROUND // 2 : AROUND // 2 + len(per_grey)]
    own, all_near = (min(share * np.sqrt(total), LEAST * total) for share in (EDGE, EDGES))
    used = np.flatnonzero((per_grey > 0) & (per_grey >= own) & (near >= all_near))
    return used if len(used) > 1 else np.flatnonzero(per_grey)


def _runs(used: np.ndarray) -> list[tuple[int, int]]:
    """The first and last of each run of used greys."""
    return [(int(run[0]), int(run[-1])) for run in np.split(used, np.flatnonzero(np.diff(used) > APART) + 1) if len(run)]
