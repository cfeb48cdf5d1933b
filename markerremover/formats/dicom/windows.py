"""DICOM pixels as a reader sees them: Modality LUT, VOI LUT or window, inversion; and which stored value is black.

Everything is computed once per file on the range of representable stored values, and then applied as a look-up table.
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
"""Maximum value of the brightest channel, of 255, of a palette entry that is used as black: a tenth of full brightness."""


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
        reference: stored values of the same kind whose tables are used, see `views.views`; `stored` by default.

    Returns:
        Views, each (F, H, W) uint8, bright = dense, the file's own first, and the stored value(s) of one pixel that show black.

    Raises:
        HeldError: nothing shows black, because the palette holds none.
    """
    basis = stored if reference is None else reference
    if photometric in ("RGB", "YBR_FULL"):
        if photometric == "RGB":
            return views.colour_views(stored, bits, basis), (0, 0, 0)
        middle = 1 << (bits - 1)
        return views.colour_views(_rgb(stored, bits), bits, None if basis is stored else _rgb(basis, bits)), (0, middle, middle)
    if photometric == "PALETTE COLOR":
        return _see_palette(dataset, stored, bits, name, basis)
    low, high = views.value_range(stored.dtype, bits, signed)
    values = _modality(dataset, np.arange(low, high + 1, dtype=np.int32))
    invert = photometric == "MONOCHROME1" or dataset.get("PresentationLUTShape", "") == "INVERSE"
    shares = [1 - share if invert else share for share in _voi(dataset, values)]
    dark_high = invert != bool(values[-1] < values[0])
    windowed = views.to_grey(shares[0], False) if shares else None
    tables = views.choose_tables(basis, windowed, low, len(values), dark_high, _padding(dataset, low, high))
    return views.apply_tables(stored, tables, low), (darkest(stored, shares or [tables[0][0]], low, dark_high),)


def brightness(dataset: Dataset, low: int, high: int, photometric: str) -> tuple[np.ndarray, np.ndarray | None]:
    """What a MONOCHROME file's header says of every representable stored value, from `low` to `high`, both inclusive.

    Args:
        photometric: MONOCHROME1 or MONOCHROME2.

    Returns:
        (N,) float32 rescaled values, negated where low ones show bright, so that more is brighter; and (N,) brightness 0-1 in the first window or
        VOI LUT, None without one.
    """
    values = _modality(dataset, np.arange(low, high + 1, dtype=np.int32))
    invert = photometric == "MONOCHROME1" or dataset.get("PresentationLUTShape", "") == "INVERSE"
    shares = _voi(dataset, values)
    share = None if not shares else 1 - shares[0] if invert else shares[0]
    return -values if invert else values, share


def padding(dataset: Dataset, low: int, high: int) -> tuple[int, int] | None:
    """Least and greatest stored value of padding, both inclusive, or None where the header names none in range."""
    return _padding(dataset, low, high)


def darkest(stored: np.ndarray, shares: list[np.ndarray], low: int, flipped: bool) -> int:
    """The stored value that is black in every window and after min-max normalisation.

    It is the image's own extreme on the dark side, or the window's edge if that lies farther out; padding counts
    as part of the image, since min-max normalisation includes it.

    Args:
        stored: integers of any shape.
        shares: for each window the brightness (N,) of the N representable values from `low` on; at least one.
        low: least representable stored value.
        flipped: whether high values are dark, where a window does not decide it.
    """
    dark_high = bool(shares[0][0] > shares[0][-1]) if shares[0][0] != shares[0][-1] else flipped
    extreme = int(stored.max() if dark_high else stored.min()) - low
    candidates = []
    for share in shares:
        black = np.flatnonzero(share == share.min())
        outer_values = black[black >= extreme] if dark_high else black[black <= extreme]
        black = outer_values if outer_values.size else black
        candidates.append(int(black.min() if dark_high == bool(outer_values.size) else black.max()))
    return (max(candidates) if dark_high else min(candidates)) + low


def _rgb(ybr: np.ndarray, bits: int) -> np.ndarray:
    """YBR_FULL (F, H, W, 3) of any depth as RGB of the same dtype, by DICOM PS3.3 C.7.6.3.1.2; a new array."""
    rgb = np.empty_like(ybr)
    for frame, out in zip(ybr, rgb):
        y, blue, red = np.moveaxis(frame.astype(np.float32) - np.array([0, 1 << (bits - 1), 1 << (bits - 1)], np.float32), -1, 0)
        channels = (y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue)
        out[:] = np.clip(np.rint(np.stack(channels, axis=-1)), 0, (1 << bits) - 1)
    return rgb


def colours(dataset: Dataset, frame: np.ndarray, photometric: str, bits: int) -> np.ndarray | None:
    """(H, W, 3) RGB uint8 of one frame of stored values, (H, W) or (H, W, 3); None if it is grey."""
    if photometric == "PALETTE COLOR":
        table = apply_color_lut(np.arange(1 << bits, dtype=frame.dtype)[None], dataset)[0, :, :3]
        return (table[frame] >> 8 * (table.dtype.itemsize - 1)).astype(np.uint8)
    if frame.ndim == 2:
        return None
    rgb = _rgb(frame[None], bits)[0] if photometric == "YBR_FULL" else frame
    return (rgb >> max(0, bits - 8)).astype(np.uint8)


def _see_palette(
    dataset: Dataset, stored: np.ndarray, bits: int, name: str, basis: np.ndarray
) -> tuple[tuple[np.ndarray, ...], tuple[int, ...]]:
    colours = apply_color_lut(np.arange(1 << bits, dtype=stored.dtype)[None], dataset)[0, :, :3]
    depth = 8 * colours.dtype.itemsize
    brightest = colours.max(axis=1) >> (depth - 8)
    black = int(brightest.argmin())
    if brightest[black] > NEARLY_BLACK:
        raise HeldError(f"{name}: its palette holds no black, so nothing can be blacked out")
    grey_views, indices = views.colour_views(colours[stored], depth, None if basis is stored else colours[basis]), np.unique(stored)
    if len(np.unique(colours[indices], axis=0)) < len(indices):  # entries of one colour hide what another palette would show
        grey_views += views.views(stored, bits=bits, reference=basis)[:1]
    return grey_views, (black,)


def _modality(dataset: Dataset, values: np.ndarray) -> np.ndarray:
    """(N,) stored values to rescaled float32 values; a broken LUT or slope counts as none."""
    if dataset.get("ModalityLUTSequence"):
        try:
            return np.asarray(apply_modality_lut(values, dataset)).astype(np.float32)
        except Exception:  # of any kind: the pixels can be displayed without a broken LUT
            return values.astype(np.float32)
    slope, intercept = numbers(dataset, "RescaleSlope"), numbers(dataset, "RescaleIntercept")
    factor = slope[0] if slope and slope[0] else 1.0
    return (values * factor + (intercept[0] if intercept else 0.0)).astype(np.float32)


def _voi(dataset: Dataset, values: np.ndarray) -> list[np.ndarray]:
    """Rescaled `values` (N,) through each of the file's windows, as shares 0–1; a VOI LUT comes first."""
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
        values = [float(v) for v in (value if isinstance(value, (list, tuple, MultiValue)) else [value])]
    except (TypeError, ValueError):
        return []
    return values if all(map(math.isfinite, values)) else []


def _padding(dataset: Dataset, low: int, high: int) -> tuple[int, int] | None:
    """Least and greatest stored value of padding, both inclusive, or None; values read with the wrong sign are wrapped into range."""
    ends = [numbers(dataset, name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    wrapped = [(int(end[0]) - low) % 65536 + low for end in ends if end]
    return (min(wrapped), max(wrapped)) if ends[0] and all(low <= w <= high for w in wrapped) else None
