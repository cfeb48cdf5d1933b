"""How many grey levels an image uses, and look-up tables that spread a few levels over the whole range.

A file may hold an image in a small part of its range: 12 bits reduced to the upper 4 of 8, a dark scan, a body at 0–40 beside a white
border. No network and no OCR engine sees text of five grey levels, but any viewer shows it after one drag of the window.

Tables are 1-D uint8 over the representable stored values, as in views.py; a `histogram` counts how often each of these values occurs.
"""

from __future__ import annotations

import cv2
import numpy as np

PERCENTILES = (0.1, 99.9)
"""Percentiles of the stored values at the two ends of a stretched view; values beyond them clip, so burned-in extremes remain visible."""
FAINT, FAINT_TOGETHER = 64, 96
"""Maximum width of a faint image in grey levels of 256: of its widest run of used levels, and of all runs together. Diagnostic films use more."""
APART = 32
"""Minimum gap, in grey levels, that separates two runs of used levels: the image, and annotations far brighter or darker than it."""
EDGE, EDGES = 0.1, 0.25
"""Minimum number of pixels of a used grey level, and of it and its neighbours on average, as a multiple of the square root of the image's pixel
count. The soft edges of a few annotations, or of a border, have fewer at any image size."""
LEAST = 1 / 2048
"""Upper limit of both minimums, as a share of all pixels: an eighth of what each level has where all 256 are used alike."""
MOSTLY = 2 / 3
"""Minimum share of the pixels in a run that is the image itself; with less, the image is dark in one part and bright in another."""
CLOSE = 8
"""Minimum number of values next to a run that are spread with it; a wider run takes as many as it has itself."""
AROUND = 33
"""Number of grey levels in a neighbourhood, centred on the level itself."""


def counts(stored: np.ndarray, low: int, size: int) -> np.ndarray:
    """Histogram of stored values.

    Args:
        stored: 8 or 16 bit integers, signed or not, any shape.
        low: least value that is counted.
        size: number of values that are counted, from `low` on.

    Returns:
        A new (size,) int64 array.
    """
    bits = 8 * stored.dtype.itemsize
    unsigned: np.ndarray = np.ascontiguousarray(stored).view(np.uint8 if bits == 8 else np.uint16)
    histogram = cv2.calcHist([unsigned.reshape(1, -1)], [0], None, [1 << bits], [0, 1 << bits]).ravel()
    return histogram[np.arange(low, low + size) & ((1 << bits) - 1)].astype(np.int64)


def percentiles(histogram: np.ndarray) -> tuple[float, float]:
    """`PERCENTILES` of a histogram (N,), as offsets from its first value, interpolated as `numpy.percentile` does.

    >>> percentiles(np.array([500, 0, 0, 500]))
    (0.0, 3.0)
    """
    cumulative, last_rank = np.cumsum(histogram), int(histogram.sum()) - 1
    ends = []
    for share in PERCENTILES:
        position = share / 100 * last_rank
        lower_rank = int(position)
        a, b = (float(np.searchsorted(cumulative, min(rank, last_rank), side="right")) for rank in (lower_rank, lower_rank + 1))
        ends.append(a + (b - a) * (position - lower_rank))
    return ends[0], ends[1]


def stretched(histogram: np.ndarray, invert: bool) -> np.ndarray:
    """A table that spreads the range between the percentiles over 0–255, or shows the whole range where they span more than half of it.

    Args:
        histogram: (N,) counts of the representable values.
        invert: whether low values show bright.

    Returns:
        A new (N,) uint8 array.
    """
    size = len(histogram)
    levels = np.flatnonzero(histogram)
    lower, upper = percentiles(histogram) if levels.size else (0.0, 0.0)
    if upper <= lower and levels.size:
        lower, upper = float(levels[0]), float(levels[-1])
    if upper <= lower or upper - lower > size / 2:
        lower, upper = 0.0, float(size - 1)
    share = (np.arange(size, dtype=np.float32) - np.float32(lower)) / np.float32(max(upper - lower, 1.0))
    return to_grey(np.clip(share, 0, 1), invert)


def is_faint(table: np.ndarray, histogram: np.ndarray) -> bool:
    """Whether a table (N,) shows the values of a histogram (N,) in so few grey levels that text may be lost in them."""
    used_greys = _used(np.bincount(table, weights=histogram, minlength=256))
    if len(used_greys) == 1:
        return bool(np.count_nonzero(histogram) > 1)
    widths = [high - low for low, high in _runs(used_greys)]
    return 0 < max(widths, default=0) <= FAINT and sum(widths) <= FAINT_TOGETHER


def lies_together(table: np.ndarray, histogram: np.ndarray) -> bool:
    """Whether a table (N,) shows most pixels of a histogram (N,) in one run of used grey levels; the rest is annotations and borders."""
    per_grey = np.bincount(table, weights=histogram, minlength=256)
    heaviest = max((per_grey[low : high + 1].sum() for low, high in _runs(_used(per_grey))), default=0)
    return bool(heaviest >= MOSTLY * per_grey.sum())


def spread(histogram: np.ndarray, invert: bool) -> np.ndarray:
    """A table that gives most grey levels to the runs of used values, in even steps, and some to the values next to them, as text may be a
    little brighter than the used values. All other values share the remaining levels.

    Args:
        histogram: (N,) counts of the representable values, not all zero.
        invert: whether low values show bright.

    Returns:
        A new (N,) uint8 array.
    """
    levels = np.flatnonzero(histogram)
    first_level, span = int(levels[0]), int(levels[-1]) - int(levels[0]) + 1
    bins = min(256, span)
    bin_numbers = np.arange(span) * bins // span
    runs = _runs(_used(np.bincount(bin_numbers, weights=histogram[first_level : first_level + span], minlength=bins)))
    steps = np.zeros(max(bins - 1, 1))
    for low, high in runs:
        steps[low:high] = 1
    for low, high in sorted(runs, key=lambda run: run[1] - run[0]):
        reach = max(CLOSE, high - low)
        for margin in (steps[high : high + reach], steps[max(0, low - reach) : low]):
            np.maximum(margin, (high - low) / reach / 2, out=margin)
    gap_mask = steps == 0
    steps[gap_mask] = max(steps.sum() / 8, 1) / max(gap_mask.sum(), 1)
    starts = first_level + -(-np.arange(bins) * span // bins)
    share = np.interp(np.arange(len(histogram)), starts, np.concatenate([[0.0], np.cumsum(steps)])[:bins])
    return to_grey(share / share[-1], invert)


def shortened(gaps: np.ndarray) -> np.ndarray:
    """Gaps (N,) as shares of their sum, a new array. None is much more than a third of the others together, so that a few extreme values
    far from all others do not take all grey levels."""
    longest = gaps.max()
    for _ in range(12):  # each round shortens the longest by up to a factor of four
        longest = np.minimum(gaps, longest).sum() / 4
    gaps = np.minimum(gaps, longest)
    return gaps / gaps.sum()


def to_grey(share: np.ndarray, invert: bool) -> np.ndarray:
    """Shares 0–1 as uint8, reversed if `invert`; a new array."""
    return np.rint((1 - share if invert else share) * 255).astype(np.uint8)


def _used(per_grey: np.ndarray) -> np.ndarray:
    """The used grey levels of (N,) counts, ascending; all levels that occur where all but one are rare."""
    total = per_grey.sum()
    neighbour_mean = np.convolve(per_grey, np.full(AROUND, 1 / AROUND))[AROUND // 2 : AROUND // 2 + len(per_grey)]
    pixel_minimum, neighbour_minimum = (min(share * np.sqrt(total), LEAST * total) for share in (EDGE, EDGES))
    used_greys = np.flatnonzero((per_grey > 0) & (per_grey >= pixel_minimum) & (neighbour_mean >= neighbour_minimum))
    return used_greys if len(used_greys) > 1 else np.flatnonzero(per_grey)


def _runs(greys: np.ndarray) -> list[tuple[int, int]]:
    """First and last level, both inclusive, of each run of used grey levels."""
    return [(int(run[0]), int(run[-1])) for run in np.split(greys, np.flatnonzero(np.diff(greys) > APART) + 1) if len(run)]
