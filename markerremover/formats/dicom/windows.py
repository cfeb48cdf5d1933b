"""What a reader sees of DICOM pixels: Modality LUT, VOI LUT or window, inversion; and which stored value is black.

All of it is worked out on the range of representable stored values, once a file, and then looked up.
"""

from __future__ import annotations

import math

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi

from ...errors import HeldError
from .. import views

NEARLY_BLACK = 25
"""Brightest channel, of 255, of a palette entry that may stand in for black: a tenth of full brightness."""


def see(
    dataset: Dataset, stored: np.ndarray, *, name: str, photometric: str, bits: int, signed: bool, reference: np.ndarray | None = None
) -> tuple[tuple[np.ndarray, ...], tuple[int, ...]]:
    """The views for the models and the fill.

    Args:
        dataset: the header.
        stored: (F, H, W) or (F, H, W, 3).
        name: of the file, for messages.
        photometric: of `stored`: MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB or YBR_FULL.
        bits, signed: of one stored value.
        reference: stored values of the same kind that decide how `stored` is shown, see `views.views`; itself by default.

    Returns:
        Views, each (F, H, W) uint8, bright = dense, the file's own first, and the stored value(s) that show black.

    Raises:
        HeldError: nothing shows black, because the palette holds none.
    """
    like = stored if reference is None else reference
    if photometric in ("RGB", "YBR_FULL"):
        if photometric == "RGB":
            return views.colour_views(stored, bits, like), (0, 0, 0)
        middle = 1 << (bits - 1)
        return views.colour_views(_rgb(stored, bits), bits, None if like is stored else _rgb(like, bits)), (0, middle, middle)
    if photometric == "PALETTE COLOR":
        return _see_palette(dataset, stored, bits, name, like)
    low, high = views.value_range(stored.dtype, bits, signed)
    values = _modality(dataset, np.arange(low, high + 1, dtype=np.int32))
    invert = photometric == "MONOCHROME1" or dataset.get("PresentationLUTShape", "") == "INVERSE"
    shares = [1 - share if invert else share for share in _voi(dataset, values)]
    flipped = invert != bool(values[-1] < values[0])
    windowed = views.to_grey(shares[0], False) if shares else None
    tables = views.choose_tables(like, windowed, low, len(values), flipped, _padding(dataset, low, high))
    return views.apply_tables(stored, tables, low), (darkest(stored, shares or [tables[0][0]], low, flipped),)


def darkest(stored: np.ndarray, shares: list[np.ndarray], low: int, flipped: bool) -> int:
    """The stored value that is black in every window and after min-max normalisation.

    It is the image's own extreme on the dark side, or the window's edge where that lies farther out; padding counts
    as part of the image, since min-max normalisation takes it so.

    Args:
        stored: integers of any shape.
        shares: for each window the brightness (N,) of the N representable values from `low` on.
        flipped: which side is dark where a window does not tell: True if the high values are.
    """
    dark_high = bool(shares[0][0] > shares[0][-1]) if shares[0][0] != shares[0][-1] else flipped
    extreme = int(stored.max() if dark_high else stored.min()) - low
    found = []
    for share in shares:
        black = np.flatnonzero(share == share.min())
        beyond = black[black >= extreme] if dark_high else black[black <= extreme]
        black = beyond if beyond.size else black
        found.append(int(black.min() if dark_high == bool(beyond.size) else black.max()))
    return (max(found) if dark_high else min(found)) + low


def _rgb(ybr: np.ndarray, bits: int) -> np.ndarray:
    """YBR_FULL (F, H, W, 3) of any depth as RGB of the same dtype, after DICOM PS3.3 C.7.6.3.1.2; a new array."""
    rgb = np.empty_like(ybr)
    for frame, out in zip(ybr, rgb):
        y, blue, red = np.moveaxis(frame.astype(np.float32) - np.float32([0, 1 << (bits - 1), 1 << (bits - 1)]), -1, 0)
        channels = (y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue)
        out[:] = np.clip(np.rint(np.stack(channels, axis=-1)), 0, (1 << bits) - 1)
    return rgb


def _see_palette(
    dataset: Dataset, stored: np.ndarray, bits: int, name: str, like: np.ndarray
) -> tuple[tuple[np.ndarray, ...], tuple[int, ...]]:
    colours = apply_color_lut(np.arange(1 << bits, dtype=stored.dtype)[None], dataset)[0, :, :3]
    depth = 8 * colours.dtype.itemsize
    brightest = colours.max(axis=1) >> (depth - 8)
    black = int(brightest.argmin())
    if brightest[black] > NEARLY_BLACK:
        raise HeldError(f"{name}: its palette holds no black, so nothing can be blacked out")
    shown, used = views.colour_views(colours[stored], depth, None if like is stored else colours[like]), np.unique(stored)
    if len(np.unique(colours[used], axis=0)) < len(used):  # entries of one colour hide, what another palette shows
        shown += views.views(stored, bits=bits, reference=like)[:1]
    return shown, (black,)


def _modality(dataset: Dataset, values: np.ndarray) -> np.ndarray:
    """(N,) stored values to rescaled float32 values; a broken LUT or slope counts as none."""
    if dataset.get("ModalityLUTSequence"):
        try:
            return np.asarray(apply_modality_lut(values, dataset)).astype(np.float32)
        except Exception:  # whatever is wrong with the LUT, the pixels can still be looked at without it
            return values.astype(np.float32)
    slope, intercept = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    factor = slope[0] if slope and slope[0] else 1.0
    return (values * factor + (intercept[0] if intercept else 0.0)).astype(np.float32)


def _voi(dataset: Dataset, values: np.ndarray) -> list[np.ndarray]:
    """What each of the file's windows makes of rescaled `values` (N,), as shares 0–1; a VOI LUT comes first."""
    shares = []
    if dataset.get("VOILUTSequence"):
        try:
            mapped = np.asarray(apply_voi(values.astype(np.int32), dataset)).astype(np.float32)
            shares.append(np.clip(mapped / max(float(mapped.max()), 1.0), 0, 1))
        except Exception:  # a broken LUT counts as none
            shares = []
    function = str(dataset.get("VOILUTFunction", "") or "LINEAR").strip()
    for center, width in zip(numbers(dataset, "WindowCenter"), numbers(dataset, "WindowWidth")):
        if width > 0:
            shares.append(views.window_share(values, center, width, function))
    return shares


def numbers(dataset: Dataset, keyword: str) -> list[float]:
    """Every value of an element as finite floats; [] if it is absent, empty or holds anything else."""
    value = dataset.get(keyword, None)
    try:
        found = [float(v) for v in (value if isinstance(value, (list, tuple, MultiValue)) else [value])]
    except (TypeError, ValueError):
        return []
    return found if all(map(math.isfinite, found)) else []


def _padding(dataset: Dataset, low: int, high: int) -> tuple[int, int] | None:
    """Least and greatest stored value that is padding, or None; values read with the wrong sign are wrapped into range."""
    ends = [numbers(dataset, name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    wrapped = [(int(end[0]) - low) % 65536 + low for end in ends if end]
    return (min(wrapped), max(wrapped)) if ends[0] and all(low <= w <= high for w in wrapped) else None
