"""Stored values to the uint8 view that the models look at: windowed, bright = dense.

Everything runs through one look-up table over the range of the stored values, so the cost hardly depends on the
windowing. Tables are 1-D uint8: `table[value - low]`, where `low` is the least representable stored value.
"""

from __future__ import annotations

import cv2
import numpy as np

ABSURD_SHARE = 0.95
"""A window that turns more than this share of the pixels into pure black or pure white is not believed."""
PERCENTILES = (0.1, 99.9)
"""Window edges when a file has no usable window; what lies beyond clips, so burnt-in extremes stay visible."""
_SAMPLE_PX = 1 << 20  # statistics look at about this many pixels
_BLUR_PX = 63  # neighbourhood that tells whether coloured text lies on dark or bright ground; wider than a letter


def display(
    stored: np.ndarray,
    *,
    window: tuple[float, float] | None = None,
    rescale: tuple[float, float] = (1.0, 0.0),
    invert: bool = False,
    padding: tuple[int, int] | None = None,
    bits: int | None = None,
    signed: bool | None = None,
    function: str = "LINEAR",
) -> np.ndarray:
    """Grey stored values as a reader would see them.

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
        A new uint8 array of the same shape, or `stored` itself where the view is the identity (uint8, no window).
    """
    low, high = value_range(stored.dtype, bits, signed)
    if window is None and stored.dtype == np.uint8 and (low, high) == (0, 255) and not invert and padding is None:
        return stored
    values = np.arange(low, high + 1, dtype=np.float32) * np.float32(rescale[0]) + np.float32(rescale[1])
    table = None
    if window is not None and window[1] > 0:
        table = to_grey(window_share(values, window[0], window[1], function), invert)
    return apply_table(stored, choose_table(stored, table, low, len(values), invert != (rescale[0] < 0), padding), low)


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
