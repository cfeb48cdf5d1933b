"""Stored values to the uint8 views that the models look at: bright = dense.

The first view is windowed as a reader would see it. A window can hide a name: text at 3900 on ground at 2600 is white on
white in a window that ends at 2000, and any viewer shows it after one drag. So where the first view turns different stored
values into one grey, there is a second, which spreads just these (see `further_table`).

Everything runs through look-up tables over the range of the stored values, so the cost hardly depends on the windowing.
Tables are 1-D uint8: `table[value - low]`, where `low` is the least representable stored value.
"""

from __future__ import annotations

import cv2
import numpy as np

ABSURD_SHARE = 0.95
"""A window that turns more than this share of the pixels into pure black or pure white is not believed."""
PERCENTILES = (0.1, 99.9)
"""Window edges when a file has no usable window; what lies beyond clips, so burnt-in extremes stay visible."""
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

    Returns:
        The views, each uint8 of the same shape: the first as a reader sees it, a second only where that hides something.
        New arrays, or `stored` itself where the view is the identity (uint8, no window).
    """
    low, high = value_range(stored.dtype, bits, signed)
    if window is None and stored.dtype == np.uint8 and (low, high) == (0, 255) and not invert and padding is None:
        return (stored,)
    values = np.arange(low, high + 1, dtype=np.float32) * np.float32(rescale[0]) + np.float32(rescale[1])
    table = None
    if window is not None and window[1] > 0:
        table = to_grey(window_share(values, window[0], window[1], function), invert)
    dark_high = invert != (rescale[0] < 0)
    return apply_tables(stored, choose_table(stored, table, low, len(values), dark_high, padding), low, dark_high)


def colour_views(colours: np.ndarray, bits: int) -> tuple[np.ndarray, ...]:
    """The grey views of colour pixels (see `colour_to_grey`), brightened where few of the bits are used.

    Args:
        colours: (F, H, W, 3) RGB, uint8 or uint16.
        bits: that a value may use; 8 bits are taken as they are, all others by one table for the three channels.

    Returns:
        New (F, H, W) uint8 arrays: the first view, and a second only where that hides something.
    """
    if bits == 8:
        return (colour_to_grey(colours.astype(np.uint8, copy=False)),)
    channels = np.moveaxis(colours, -1, 0)
    table = choose_table(channels, None, 0, 1 << bits, False, None)
    return tuple(colour_to_grey(eight_bit) for eight_bit in apply_tables(colours, table, 0, False))


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


def to_grey(share: np.ndarray, invert: bool) -> np.ndarray:
    """Shares 0–1 as uint8, reversed if `invert`; a new array."""
    return np.rint((1 - share if invert else share) * 255).astype(np.uint8)


def choose_table(
    stored: np.ndarray, table: np.ndarray | None, low: int, size: int, invert: bool, padding: tuple[int, int] | None
) -> np.ndarray:
    """`table` itself if it shows the image, else one made from the image's own percentiles.

    Where those already span more than half of the representable range, the whole range is shown, so that full-range
    rasters look as they do in any viewer.

    Args:
        stored, padding: as in `display`.
        table: (size,) uint8 or None.
        low: stored value of the table's first entry.
        invert: whether low *stored* values are to show bright in the fallback.
    """
    sample = _sample(stored, padding)
    if table is not None:
        counts = np.bincount(table[sample.astype(np.int64) - low], minlength=256)
        if max(counts[0], counts[255]) <= ABSURD_SHARE * sample.size:
            return table
    return fallback_table(stored, sample, low, size, invert)


def fallback_table(stored: np.ndarray, sample: np.ndarray, low: int, size: int, invert: bool) -> np.ndarray:
    """A table (size,) that spreads the percentiles of `sample` (1-D stored values) over 0–255; see `choose_table`."""
    lower, upper = (float(v) for v in np.percentile(sample, PERCENTILES)) if sample.size else (0.0, 0.0)
    if upper <= lower:
        lower, upper = float(stored.min()), float(stored.max())
    if upper - lower > size / 2:
        lower, upper = float(low), float(low + size - 1)
    values = np.arange(low, low + size, dtype=np.float32)
    share = np.clip((values - np.float32(lower)) / np.float32(max(upper - lower, 1.0)), 0, 1)
    return to_grey(share, invert)


def further_table(stored: np.ndarray, table: np.ndarray, low: int, invert: bool) -> np.ndarray | None:
    """A second table that shows what `table` hides, or None where it hides nothing.

    It rises with every value that occurs, or falls as `table` does, in steps as high as the values are apart, save that
    long gaps are shortened (see `_shortened`). Each hiding grey gets an equal part of most greys, the rest goes to what
    `table` shows. A view that is dark as a whole is spread as a whole.

    Args:
        stored: (..., H, W), values as in `apply_table`.
        table: (size,) uint8, the first view. It hides something where one of its greys takes many of the values that occur
            and is no wider than the others, as all dark ones are in a view that spans up to a few extreme values; or where
            there is an edge within a wider grey: text and its ground, both beyond the end of a window.
        invert: whether low stored values are to show bright where `table` does not tell.
    """
    values = _occurring(stored, low, len(table))
    greys, gaps = table[values], np.diff(values).astype(np.float64)
    spans = _spans(greys, values, len(table))
    counts = np.bincount(table, minlength=256)[1:255]
    usual = float(np.median(counts[counts > 0])) if counts.any() else 0.0
    crowded = np.bincount(greys, minlength=256) > HIDING_LEVELS * max(1.0, len(values) / 256)
    if (crowded & (spans <= 2 * usual)).any():
        height = _shortened(gaps)
    else:
        contrast = HIDING_LEVELS * min(usual or np.inf, (values[-1] - values[0]) / 256)
        hiding = [g for g in np.flatnonzero(spans > contrast) if _has_edge(stored, table, low, int(g), contrast)]
        if not hiding:
            return None
        height = gaps / gaps.sum() * (1 - _HIDDEN_SHARE)
        for grey in hiding:
            inside = (greys[1:] == grey) & (greys[:-1] == grey)
            height[inside] = _shortened(gaps[inside]) * _HIDDEN_SHARE / len(hiding)
    share = np.interp(np.arange(len(table)), values, np.concatenate([[0.0], np.cumsum(height)]))
    falls = table[-1] < table[0] if table[-1] != table[0] else invert
    return to_grey(share / share[-1], bool(falls))


def _spans(greys: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    """(256,) distance from the least to the greatest of the (N,) `values` that each grey shows; negative for none."""
    least, greatest = np.full(256, size), np.full(256, -1)
    np.minimum.at(least, greys, values)
    np.maximum.at(greatest, greys, values)
    return greatest - least


def _shortened(gaps: np.ndarray) -> np.ndarray:
    """Gaps (N,) as shares of their sum, none of them much more than a third of the others together: a few extreme values
    far from all others must not take all greys."""
    longest = gaps.max()
    for _ in range(12):  # each round shortens the longest by up to a factor of four
        longest = np.minimum(gaps, longest).sum() / 4
    gaps = np.minimum(gaps, longest)
    return gaps / gaps.sum()


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


def _occurring(stored: np.ndarray, low: int, size: int) -> np.ndarray:
    """The different stored values less `low`, ascending."""
    bits = 8 * stored.dtype.itemsize
    plain = np.ascontiguousarray(stored).view(np.uint8 if bits == 8 else np.uint16)
    counts = cv2.calcHist([plain.reshape(plain.shape[0], -1)], [0], None, [1 << bits], [0, 1 << bits]).ravel()
    return np.flatnonzero(counts[np.arange(low, low + size) & ((1 << bits) - 1)])


def apply_tables(stored: np.ndarray, table: np.ndarray, low: int, invert: bool) -> tuple[np.ndarray, ...]:
    """`stored`, grey (..., H, W) or colour (F, H, W, 3), through `table`, and through `further_table` if there is one."""
    further = further_table(np.moveaxis(stored, -1, 0) if stored.ndim == 4 else stored, table, low, invert)
    return tuple(apply_table(stored, t, low) for t in (table, further) if t is not None)


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


def _sample(stored: np.ndarray, padding: tuple[int, int] | None) -> np.ndarray:
    step = max(1, int((stored.size / _SAMPLE_PX) ** 0.5))
    sample = stored[..., ::step, ::step].ravel()
    if padding is not None:
        image = sample[(sample < padding[0]) | (sample > padding[1])]
        sample = image if image.size else sample
    return sample
