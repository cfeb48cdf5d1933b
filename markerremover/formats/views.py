"""Stored values to the uint8 views that the models receive: bright = dense.

The first view is windowed as a reader would see it, and stretched where an image uses few of its grey levels, at any depth (see
grey_levels.py). A window can hide a name: text at 3900 on ground at 2600 is white on white in a window that ends at 2000, and any
viewer shows it after one drag of the window. So where the first view maps different stored values to one grey level, a second view
spreads these values (see `further_table`).

Everything runs through look-up tables over the range of the stored values, so the cost hardly depends on the windowing.
Tables are 1-D uint8: `table[value - low]`, where `low` is the least representable stored value.
"""

from __future__ import annotations

from functools import reduce

import cv2
import numpy as np

from . import grey_levels
from .grey_levels import shortened, to_grey

Tables = tuple[tuple[np.ndarray, ...], ...]
"""For each view one table for all frames, or one table per frame."""
ABSURD_SHARE = 0.95
"""Maximum share of the pixels that a file's window may turn into pure black, or into pure white; otherwise the window is ignored."""
HIDING_LEVELS = 8
"""A grey level of the first view can hide something if its values would take more levels than this at the view's own
contrast, or if it takes more than this many times its share of the values that occur."""
_HIDDEN_SHARE = 0.8  # share of the second view's grey levels that goes to the values hidden in the first
_SAMPLE_PX = 1 << 20  # approximate number of pixels that statistics sample
_BLUR_PX = 63  # side of the neighbourhood that decides whether coloured text lies on dark or bright ground; wider than a letter


def views(
    stored: np.ndarray,
    *,
    window: tuple[float, float] | None = None,
    rescale: tuple[float, float] = (1.0, 0.0),
    invert: bool = False,
    padding: tuple[int, int] | None = None,
    bits: int | None = None,
    signed: bool | None = None,
    function: str = "LINEAR",
    reference: np.ndarray | None = None,
) -> tuple[np.ndarray, ...]:
    """The grey views of stored values: as a reader would see them, and further views of what that hides.

    Args:
        stored: (H, W) or (F, H, W), 8 or 16 bit integers, signed or not.
        window: centre and width in rescaled units; None, a width <= 0, or one that clips nearly all pixels to one
            end falls back on percentiles of the pixels that are not padding.
        rescale: slope and intercept.
        invert: True if low rescaled values show bright (MONOCHROME1, white-is-zero).
        padding: least and greatest stored value of padding, both inclusive; left out of the statistics.
        bits, signed: range of the stored values; by default that of the dtype.
        function: "LINEAR", "LINEAR_EXACT" or "SIGMOID" (DICOM PS3.3 C.11.2.1.2).
        reference: pixels of the same kind and number of frames whose tables are used; `stored` by default.

    Returns:
        The views, each uint8 of the same shape: the first as a reader sees it, others only where that hides something.
        New arrays, or `stored` itself where a view is the identity (uint8 that uses its range).
    """
    low, high = value_range(stored.dtype, bits, signed)
    values = np.arange(low, high + 1, dtype=np.float32) * np.float32(rescale[0]) + np.float32(rescale[1])
    table = None
    if window is not None and window[1] > 0:
        table = to_grey(window_share(values, window[0], window[1], function), invert)
    basis = stored if reference is None else reference
    tables = choose_tables(basis, table, low, len(values), invert != (rescale[0] < 0), padding)
    return apply_tables(stored, tables, low)


def colour_views(colours: np.ndarray, bits: int, reference: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """The grey views of colour pixels (see `colour_to_grey`), brightened where few of the values are used.

    Args:
        colours: (F, H, W, 3) RGB, uint8 or uint16.
        bits: of one value; one table serves the three channels.
        reference: as in `views`.

    Returns:
        New (F, H, W) uint8 arrays: the first view, and others only where that hides something.
    """
    if bits == 8:
        colours = colours.astype(np.uint8, copy=False)
        reference = None if reference is None else reference.astype(np.uint8, copy=False)
    tables = choose_tables(colours if reference is None else reference, None, 0, 1 << bits, False, None)
    return tuple(colour_to_grey(eight_bit) for eight_bit in apply_tables(colours, tables, 0))


def value_range(dtype: np.dtype, bits: int | None = None, signed: bool | None = None) -> tuple[int, int]:
    """Least and greatest value that `bits` bits hold; by default those of the dtype.

    >>> value_range(np.dtype(np.uint16), 12)
    (0, 4095)
    >>> value_range(np.dtype(np.int16), 12)
    (-2048, 2047)
    """
    bits = np.dtype(dtype).itemsize * 8 if bits is None else bits
    signed = np.dtype(dtype).kind == "i" if signed is None else signed
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def window_share(values: np.ndarray, center: float, width: float, function: str = "LINEAR") -> np.ndarray:
    """(N,) rescaled values as float32 shares 0–1 of the output range, by DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3; a new array.

    >>> window_share(np.array([0.0, 50.0, 100.0]), 50, 100, "LINEAR_EXACT").tolist()
    [0.0, 0.5, 1.0]
    """
    values = values.astype(np.float32)
    if function == "SIGMOID":
        return (1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -80, 80)))).astype(np.float32)
    if function == "LINEAR":
        center, width = center - 0.5, max(width - 1, 1e-6)
    return np.clip((values - np.float32(center)) / np.float32(width) + np.float32(0.5), 0, 1)


def choose_tables(
    stored: np.ndarray, table: np.ndarray | None, low: int, size: int, invert: bool, padding: tuple[int, int] | None
) -> Tables:
    """The tables of an image: that of its first view, and those of further views where the first hides something.

    Where some frames use few grey levels in all of these views, a further view spreads each of those frames by itself.

    Args:
        stored: grey (H, W) or (F, H, W), or colour (F, H, W, 3); one histogram over all of it.
        table: (size,) uint8, the file's own window, or None.
        low: stored value of the tables' first entry.
        size: number of entries of each table.
        invert: whether low stored values show bright where `table` does not decide it.
        padding: as in `views`.
    """
    shared, base_table = _first_tables(stored, table, low, size, invert, padding)
    main_table = shared[0]
    if (further := further_table(_planes(stored), base_table, low, invert)) is not None:
        shared = [*(t for t in shared if t is main_table or t is not base_table), further]
    frame_tables = []
    for index in range(len(stored) if stored.ndim > 2 and len(stored) > 1 else 0):
        frame = stored[index : index + 1]
        frame_tables.append(main_table)
        kinds = _counts(frame, low, size, padding)[1]
        if all(grey_levels.is_faint(t, kind) for t in shared for kind in kinds):
            candidates, base_table = _first_tables(frame, None, low, size, invert, padding)
            frame_tables[-1] = next((t for t in candidates if t is not base_table), base_table)
    frame_view = [] if all(t is main_table for t in frame_tables) else [tuple(frame_tables)]
    return (*((t,) for t in shared), *frame_view)


def _planes(stored: np.ndarray) -> np.ndarray:
    """Colour (F, H, W, 3) as (3, F, H, W), grey as it is: rows and columns last."""
    return np.moveaxis(stored, -1, 0) if stored.ndim == 4 else stored


def _counts(stored: np.ndarray, low: int, size: int, padding: tuple[int, int] | None) -> tuple[np.ndarray, list[np.ndarray]]:
    """`grey_levels.counts` of a sample of the pixels of `choose_tables`, and the histograms by which the image may be faint: for colour those of
    the brightest and of the darkest channel."""
    if stored.ndim < 4:
        histogram = grey_levels.counts(_sample(stored, padding), low, size)
        return histogram, [histogram]
    step = _step(stored)
    channels = [np.ascontiguousarray(stored[:, ::step, ::step, channel]) for channel in range(stored.shape[3])]
    histogram = sum((grey_levels.counts(channel, low, size) for channel in channels), start=np.zeros(size, np.int64))
    return histogram, [grey_levels.counts(reduce(pick, channels), low, size) for pick in (np.maximum, np.minimum)]


def _first_tables(
    stored: np.ndarray, table: np.ndarray | None, low: int, size: int, invert: bool, padding: tuple[int, int] | None
) -> tuple[list[np.ndarray], np.ndarray]:
    """`table` alone if it shows the image, else one made from the image's own percentiles.

    Where the percentiles already span more than half of the representable range, the whole range is shown, so that full-range rasters appear
    as in any viewer. Where that uses few grey levels (see `grey_levels.is_faint`), a table that spreads the used values is added: as the first
    if most pixels lie in one run and only annotations elsewhere, else as the second.

    Args:
        As of `choose_tables`.

    Returns:
        One or two tables, and the one of them that keeps the distances between values.
    """
    histogram, kinds = _counts(stored, low, size, padding)
    believed = False
    if table is not None:
        per_grey = np.bincount(table, weights=histogram, minlength=256)
        believed = bool(max(per_grey[0], per_grey[255]) <= ABSURD_SHARE * histogram.sum())
        if believed and not all(grey_levels.is_faint(table, kind) for kind in kinds):
            return [table], table
    ends = grey_levels.percentiles(histogram)
    if ends[0] == ends[1]:  # few values besides a uniform ground, which the sample may miss
        histogram = grey_levels.counts(_planes(stored), low, size)
    stretched_table = grey_levels.stretched(histogram, invert)
    best_table = grey_levels.spread(histogram, invert) if all(grey_levels.is_faint(stretched_table, kind) for kind in kinds) else stretched_table
    base_table = table if table is not None and believed else stretched_table
    if all(grey_levels.lies_together(base_table, kind) for kind in kinds):
        return ([best_table] if best_table is stretched_table else [best_table, stretched_table]), stretched_table
    return ([base_table] if best_table is base_table else [base_table, best_table]), base_table


def further_table(stored: np.ndarray, table: np.ndarray, low: int, invert: bool) -> np.ndarray | None:
    """A second table that shows what `table` hides, or None where it hides nothing.

    It rises with every value that occurs, or falls as `table` does, in steps proportional to the distances between values, except that
    long gaps are shortened (see `grey_levels.shortened`). The levels that hide something share most of the range equally; the rest goes to
    the values that `table` shows. A view that is dark as a whole is spread as a whole.

    Args:
        stored: (..., H, W), values as in `apply_table`.
        table: (size,) uint8, the first view. It hides something if one of its grey levels takes many of the values that occur
            and is no wider than the others, as all dark levels in a view that extends to a few extreme values; or if there
            is an edge within a wider level: text and its ground, both beyond the end of a window.
        low: stored value of the table's first entry.
        invert: whether low stored values show bright where `table` does not decide it.

    Returns:
        A new (size,) uint8 array, or None.
    """
    if len(table) <= 256 and np.bincount(table).max() == 1:
        return None
    values = np.flatnonzero(grey_levels.counts(stored, low, len(table)))
    greys, gaps = table[values], np.diff(values).astype(np.float64)
    spans = _spans(greys, values, len(table))
    counts = np.bincount(table, minlength=256)[1:255]
    usual = float(np.median(counts[counts > 0])) if counts.any() else 0.0
    crowded = np.bincount(greys, minlength=256) > HIDING_LEVELS * max(1.0, len(values) / 256)
    if (crowded & (spans <= 2 * usual)).any():
        height = shortened(gaps)
    else:
        contrast = HIDING_LEVELS * min(usual or np.inf, (values[-1] - values[0]) / 256)
        hiding = [g for g in np.flatnonzero(spans > contrast) if _has_edge(stored, table, low, int(g), contrast)]
        if not hiding:
            return None
        height = gaps / gaps.sum() * (1 - _HIDDEN_SHARE)
        for grey in hiding:
            pair_mask = (greys[1:] == grey) & (greys[:-1] == grey)
            height[pair_mask] = shortened(gaps[pair_mask]) * _HIDDEN_SHARE / len(hiding)
    share = np.interp(np.arange(len(table)), values, np.concatenate([[0.0], np.cumsum(height)]))
    falls = table[-1] < table[0] if table[-1] != table[0] else invert
    return to_grey(share / share[-1], bool(falls))


def _spans(greys: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """(256,) distance from the least to the greatest of the (N,) `values` that each grey level shows; negative where it shows none."""
    least, greatest = np.full(256, size), np.full(256, -1)
    np.minimum.at(least, greys, values)
    np.maximum.at(greatest, greys, values)
    return greatest - least


def _has_edge(stored: np.ndarray, table: np.ndarray, low: int, grey: int, contrast: float) -> bool:
    """Whether pixels that `table` shows as `grey`, together with all their neighbours, differ by more than `contrast` stored
    values within 5 x 5 pixels."""
    small_kernel, wide_kernel = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)
    for frame in stored.reshape(-1, *stored.shape[-2:]):
        grey_mask = apply_table(frame, (table == grey).astype(np.uint8), low)
        interior = cv2.erode(grey_mask, small_kernel)
        if not interior.any():
            continue
        values = (frame.astype(np.int32) - low).astype(np.uint16)
        top = cv2.dilate(values * grey_mask, wide_kernel).astype(np.int32)
        bottom = cv2.erode(np.where(grey_mask > 0, values, np.uint16(65535)), wide_kernel)
        if ((top - bottom > contrast) & (interior > 0)).any():
            return True
    return False


def apply_tables(stored: np.ndarray, tables: Tables, low: int) -> tuple[np.ndarray, ...]:
    """`stored`, as in `choose_tables`, through the tables of each view: uint8 of the same shape, new arrays, or `stored` itself where a table is
    the identity."""
    grey_views = []
    for frame_tables in tables:
        if len(frame_tables) > 1:
            grey_views.append(np.stack([apply_table(frame, table, low) for frame, table in zip(stored, frame_tables)]))
        elif stored.dtype == np.uint8 and low == 0 and np.array_equal(frame_tables[0], np.arange(256)):
            grey_views.append(stored)
        else:
            grey_views.append(apply_table(stored, frame_tables[0], low))
    return tuple(grey_views)


def apply_table(stored: np.ndarray, table: np.ndarray, low: int) -> np.ndarray:
    """`table[stored - low]` as a new uint8 array of the same shape.

    Args:
        stored: 8 or 16 bit integers, any shape, within `low` … `low + len(table) - 1`.
        table: (N,) uint8.
    """
    bits = 8 * stored.dtype.itemsize
    full_table = np.zeros(1 << bits, dtype=np.uint8)
    full_table[np.arange(low, low + len(table)) & ((1 << bits) - 1)] = table  # signed values index as their bit patterns
    bit_patterns: np.ndarray = np.ascontiguousarray(stored).view(np.uint8 if bits == 8 else np.uint16)
    try:
        return cv2.LUT(bit_patterns.reshape(bit_patterns.shape[0], -1), full_table.reshape(1, -1)).reshape(stored.shape)
    except cv2.error:  # OpenCV 4 has no 16-bit tables
        return np.take(full_table, bit_patterns)


def colour_to_grey(rgb: np.ndarray) -> np.ndarray:
    """A grey view of colour pixels in which coloured text contrasts with its ground.

    Grey pixels keep their value. Coloured ones take their brightest channel on dark ground and their darkest on
    bright ground: plain luminance would show blue text on black at 11 % of full brightness.

    Args:
        rgb: (..., H, W, 3) uint8.

    Returns:
        A new (..., H, W) uint8 array.
    """
    frames = [_colour_frame(frame) for frame in rgb.reshape(-1, *rgb.shape[-3:])]
    return np.stack(frames).reshape(rgb.shape[:-1])


def _colour_frame(rgb: np.ndarray) -> np.ndarray:
    red, green, blue = cv2.split(np.ascontiguousarray(rgb))
    bright, dark = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    if np.array_equal(bright, dark):
        return bright
    middle = cv2.addWeighted(bright, 0.5, dark, 0.5, 0)
    ground = cv2.blur(middle, (_BLUR_PX, _BLUR_PX))
    return np.where(ground < 128, bright, dark)


def _step(stored: np.ndarray) -> int:
    """Interval, in rows and in columns, of the pixels that statistics sample."""
    return max(1, int((stored.size / _SAMPLE_PX) ** 0.5))


def _sample(stored: np.ndarray, padding: tuple[int, int] | None) -> np.ndarray:
    step = _step(stored)
    sample = stored[..., ::step, ::step].ravel()
    if padding is not None:
        image = sample[(sample < padding[0]) | (sample > padding[1])]
        sample = image if image.size else sample
    return sample
