"""Stored values to the uint8 views that the models look at: bright = dense.

The first view is windowed as a reader would see it, and stretched where a picture uses few of its greys, at any depth (see
levels.py). A window can hide a name: text at 3900 on ground at 2600 is white on white in a window that ends at 2000, and any
viewer shows it after one drag. So where the first view turns different stored values into one grey, there is a second, which
spreads just these (see `further_table`).

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
"""For each view its table, or one table a frame."""
ABSURD_SHARE = 0.95
"""A window that turns more than this share of the pixels into pure black or pure white is not believed."""
HIDING_LEVELS = 8
"""A grey of the first view can hide something when the values in it would take more greys than this at the view's own
contrast, or when it takes more than this many times its share of the values that occur."""
_HIDDEN_SHARE = 0.8  # of the second view's greys for what the first one hides
_SAMPLE_PX = 1 << 20  # statistics look at about this many pixels
_BLUR_PX = 63  # neighbourhood that tells whether coloured text lies on dark or bright ground; wider than a letter


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
    """Grey stored values as a reader would see them, and what that does not show.

    Args:
        stored: (H, W) or (F, H, W), 8 or 16 bit integers, signed or not.
        window: centre and width in rescaled units; None, a width <= 0, or one that clips nearly all pixels to one
            end falls back on percentiles of the pixels that are not padding.
        rescale: slope and intercept.
        invert: True where low rescaled values show bright (MONOCHROME1, white-is-zero).
        padding: least and greatest stored value that mean "no image here"; left out of the statistics.
        bits, signed: range of the stored values; by default that of the dtype.
        function: "LINEAR", "LINEAR_EXACT" or "SIGMOID" (DICOM PS3.3 C.11.2.1.2).
        reference: what to look like, of the same kind and frames: `stored` is shown as this would be; itself by default.

    Returns:
        The views, each uint8 of the same shape: the first as a reader sees it, others only where that hides something.
        New arrays, or `stored` itself where a view is the identity (uint8 that uses its range).
    """
    low, high = value_range(stored.dtype, bits, signed)
    values = np.arange(low, high + 1, dtype=np.float32) * np.float32(rescale[0]) + np.float32(rescale[1])
    table = None
    if window is not None and window[1] > 0:
        table = to_grey(window_share(values, window[0], window[1], function), invert)
    like = stored if reference is None else reference
    tables = choose_tables(like, table, low, len(values), invert != (rescale[0] < 0), padding)
    return apply_tables(stored, tables, low)


def colour_views(colours: np.ndarray, bits: int, reference: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """The grey views of colour pixels (see `colour_to_grey`), brightened where few of the values are used.

    Args:
        colours: (F, H, W, 3) RGB, uint8 or uint16.
        bits: that a value may use; one table serves the three channels.
        reference: as for `views`.

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
    """(N,) rescaled values as float32 shares 0–1 of the output range, after DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3.

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
    """The tables of a picture: that of its first view, and those of further ones where that hides something.

    Frames that use few greys in all of these, beside others that use many, are spread each for itself in a view of their own.

    Args:
        stored: grey (H, W) or (F, H, W), or colour (F, H, W, 3), taken together.
        table: (size,) uint8, the file's own window, or None.
        low: stored value of the tables' first entry.
        invert: whether low stored values are to show bright where `table` does not tell.
        padding: as in `views`.
    """
    shared, plain = _first_tables(stored, table, low, size, invert, padding)
    first = shared[0]
    if (further := further_table(_planes(stored), plain, low, invert)) is not None:
        shared = [*(t for t in shared if t is first or t is not plain), further]
    own = []
    for index in range(len(stored) if stored.ndim > 2 and len(stored) > 1 else 0):
        frame = stored[index : index + 1]
        own.append(first)
        kinds = _counts(frame, low, size, padding)[1]
        if all(grey_levels.is_faint(t, kind) for t in shared for kind in kinds):
            alone, plain = _first_tables(frame, None, low, size, invert, padding)
            own[-1] = next((t for t in alone if t is not plain), plain)
    lone = [] if all(t is first for t in own) else [tuple(own)]
    return (*((t,) for t in shared), *lone)


def _planes(stored: np.ndarray) -> np.ndarray:
    """Colour (F, H, W, 3) as (3, F, H, W), grey as it is: rows and columns last."""
    return np.moveaxis(stored, -1, 0) if stored.ndim == 4 else stored


def _counts(stored: np.ndarray, low: int, size: int, padding: tuple[int, int] | None) -> tuple[np.ndarray, list[np.ndarray]]:
    """`grey_levels.counts` of a sample of a picture as in `choose_tables`, and those by which it is faint: of colour they are of the brightest
    channel and of the darkest."""
    if stored.ndim < 4:
        counted = grey_levels.counts(_sample(stored, padding), low, size)
        return counted, [counted]
    step = _step(stored)
    channels = [np.ascontiguousarray(stored[:, ::step, ::step, channel]) for channel in range(stored.shape[3])]
    counted = sum(grey_levels.counts(channel, low, size) for channel in channels)
    return counted, [grey_levels.counts(reduce(pick, channels), low, size) for pick in (np.maximum, np.minimum)]


def _first_tables(
    stored: np.ndarray, table: np.ndarray | None, low: int, size: int, invert: bool, padding: tuple[int, int] | None
) -> tuple[list[np.ndarray], np.ndarray]:
    """`table` alone if it shows the image, else one made from the image's own percentiles.

    Where these already span more than half of the representable range, the whole range is shown, so that full-range rasters look as
    they do in any viewer. Where that uses few greys in every part (see `grey_levels.is_faint`) there is a table of the values that are used,
    too: before it if nearly all lies together, and but marks elsewhere, else behind it.

    Args:
        As of `choose_tables`.

    Returns:
        One or two tables, and that of them which shows what is not shown well as far apart as it is.
    """
    counted, kinds = _counts(stored, low, size, padding)
    believed = False
    if table is not None:
        per_grey = np.bincount(table, weights=counted, minlength=256)
        believed = bool(max(per_grey[0], per_grey[255]) <= ABSURD_SHARE * counted.sum())
        if believed and not all(grey_levels.is_faint(table, kind) for kind in kinds):
            return [table], table
    ends = grey_levels.percentiles(counted)
    if ends[0] == ends[1]:  # little beside an even ground, which the sample may lack
        counted = grey_levels.counts(_planes(stored), low, size)
    stretched = grey_levels.stretched(counted, invert)
    better = grey_levels.spread(counted, invert) if all(grey_levels.is_faint(stretched, kind) for kind in kinds) else stretched
    plain = table if believed else stretched
    if all(grey_levels.lies_together(plain, kind) for kind in kinds):
        return ([better] if better is stretched else [better, stretched]), stretched
    return ([plain] if better is plain else [plain, better]), plain


def further_table(stored: np.ndarray, table: np.ndarray, low: int, invert: bool) -> np.ndarray | None:
    """A second table that shows what `table` hides, or None where it hides nothing.

    It rises with every value that occurs, or falls as `table` does, in steps as high as the values are apart, save that
    long gaps are shortened (see `grey_levels.shortened`). Each hiding grey gets an equal part of most greys, the rest goes to what
    `table` shows. A view that is dark as a whole is spread as a whole.

    Args:
        stored: (..., H, W), values as in `apply_table`.
        table: (size,) uint8, the first view. It hides something where one of its greys takes many of the values that occur
            and is no wider than the others, as all dark ones are in a view that spans up to a few extreme values; or where
            there is an edge within a wider grey: text and its ground, both beyond the end of a window.
        invert: whether low stored values are to show bright where `table` does not tell.
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
            inside = (greys[1:] == grey) & (greys[:-1] == grey)
            height[inside] = shortened(gaps[inside]) * _HIDDEN_SHARE / len(hiding)
    share = np.interp(np.arange(len(table)), values, np.concatenate([[0.0], np.cumsum(height)]))
    falls = table[-1] < table[0] if table[-1] != table[0] else invert
    return to_grey(share / share[-1], bool(falls))


def _spans(greys: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """(256,) distance from the least to the greatest of the (N,) `values` that each grey shows; negative for none."""
    least, greatest = np.full(256, size), np.full(256, -1)
    np.minimum.at(least, greys, values)
    np.maximum.at(greatest, greys, values)
    return greatest - least


def _has_edge(stored: np.ndarray, table: np.ndarray, low: int, grey: int, contrast: float) -> bool:
    """Whether pixels that `table` shows as `grey`, and all of whose neighbours it does too, differ by more than `contrast`
    stored values within 5 x 5 pixels."""
    near, around = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)
    for frame in stored.reshape(-1, *stored.shape[-2:]):
        same = apply_table(frame, (table == grey).astype(np.uint8), low)
        inside = cv2.erode(same, near)
        if not inside.any():
            continue
        values = (frame.astype(np.int32) - low).astype(np.uint16)
        top = cv2.dilate(values * same, around).astype(np.int32)
        bottom = cv2.erode(np.where(same > 0, values, np.uint16(65535)), around)
        if ((top - bottom > contrast) & (inside > 0)).any():
            return True
    return False


def apply_tables(stored: np.ndarray, tables: Tables, low: int) -> tuple[np.ndarray, ...]:
    """`stored`, as in `choose_tables`, through the tables of each view; `stored` itself where one changes nothing."""
    shown = []
    for own in tables:
        if len(own) > 1:
            shown.append(np.stack([apply_table(frame, table, low) for frame, table in zip(stored, own)]))
        elif stored.dtype == np.uint8 and low == 0 and np.array_equal(own[0], np.arange(256)):
            shown.append(stored)
        else:
            shown.append(apply_table(stored, own[0], low))
    return tuple(shown)


def apply_table(stored: np.ndarray, table: np.ndarray, low: int) -> np.ndarray:
    """`table[stored - low]` as a new uint8 array of the same shape.

    Args:
        stored: 8 or 16 bit integers, any shape, within `low` … `low + len(table) - 1`.
    """
    bits = 8 * stored.dtype.itemsize
    full = np.zeros(1 << bits, dtype=np.uint8)
    full[np.arange(low, low + len(table)) & ((1 << bits) - 1)] = table  # signed values index as their bit patterns
    plain = np.ascontiguousarray(stored).view(np.uint8 if bits == 8 else np.uint16)
    try:
        return cv2.LUT(plain.reshape(plain.shape[0], -1), full.reshape(1, -1)).reshape(stored.shape)
    except cv2.error:  # OpenCV 4 has no 16-bit tables
        return np.take(full, plain)


def colour_to_grey(rgb: np.ndarray) -> np.ndarray:
    """A grey view of colour pixels in which coloured text cannot fade into its ground.

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
    """Every how many rows and columns statistics look at."""
    return max(1, int((stored.size / _SAMPLE_PX) ** 0.5))


def _sample(stored: np.ndarray, padding: tuple[int, int] | None) -> np.ndarray:
    step = _step(stored)
    sample = stored[..., ::step, ::step].ravel()
    if padding is not None:
        image = sample[(sample < padding[0]) | (sample > padding[1])]
        sample = image if image.size else sample
    return sample
