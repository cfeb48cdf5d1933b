"""Flags about what a picture holds: blank, noise, saturated, half empty, tiny, blurred.

All shares are of pixels, all lengths in pixels of the picture named. Thresholds were set on 521 real films of four sources and on
drawn cases, see `eval/triage.py`.
"""

from __future__ import annotations

import cv2
import numpy as np

TINY_PX = 160  # a longer side below this is a thumbnail
SMALL_PX, SIDE_PX = 128, 512  # longer sides of the reduced pictures
BLANK_SHARE = 0.012  # range of a blank picture, as a share of the values that its largest one needs
BLANK_LEVELS = 3.0  # range of a blank picture in stored levels, whatever its noise
STRUCTURE = 0.5  # contrast that remains in squares of 1/32 of the longer side; below it a picture is grain alone
NOISE_STRUCTURE = 0.3  # the same, for a picture of full contrast
LIT_SHARE, BURNED_SHARE = 0.2, 0.45  # share of pixels above black, and that of burned-out ones among them
WHITE_RING = 200  # lower quartile of an edge so bright that white may be the background
EMPTY_SHARE = 0.3  # share of the rows or columns that a failed transfer leaves without content
OPPOSITE_SHARE = 0.08  # of those without content at the opposite edge: with more the field may be collimated
CUT_SHARE = 0.6  # share of the length of a cut at which content ends within two pixels
CUT_STEP = 0.05  # smallest step at such a cut, as a share of the picture's range
REPEATED_SHARE = 0.3  # share of rows that repeat the row above
BLUR_RATIO = 0.54  # `sharpness` of a blurred picture; real films have 0.61 and more, blurred by 0.6 % of their size 0.51 and less


def reduced(picture: np.ndarray, longest_px: int) -> np.ndarray:
    """A (H, W) or (H, W, C) picture by area averages, its longer side at most `longest_px`; the picture itself where it is smaller."""
    scale = longest_px / max(picture.shape[:2])
    if scale >= 1:
        return picture
    height, width = picture.shape[:2]
    return cv2.resize(picture, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)


def sampled(picture: np.ndarray, longest_px: int) -> np.ndarray:
    """Every n-th pixel of a (H, W) picture, not averaged, so that its grain remains; a view."""
    step = max(1, max(picture.shape) // longest_px)
    return picture[::step, ::step]


def structure(grey: np.ndarray) -> float:
    """Contrast of 32 squares along the longer side, as a share of the contrast of single pixels: about 1 for a film, near 0 for grain."""
    contrast = float(sampled(grey, SIDE_PX).std())
    return float(reduced(grey, 32).std()) / contrast if contrast > 0 else 0.0


def is_blank(grey: np.ndarray, grain: float, bits: int = 8) -> bool:
    """Whether stored values are uniform but for grain and at most 1 % of print.

    Args:
        grey: (H, W) float32, stored values.  grain: its `structure`.  bits: smallest depth that is assumed.
    """
    small = reduced(grey, SMALL_PX)
    low, high = np.percentile(small, (1, 99))
    span = max(2.0**bits, 2.0 ** np.ceil(np.log2(max(1.0, float(np.abs(grey).max())) + 1)))
    return bool(high - low <= BLANK_LEVELS or (high - low <= BLANK_SHARE * span and grain < STRUCTURE))


def is_noise(grain: float) -> bool:
    """Whether a picture that is not blank has grain and nothing else."""
    return grain < NOISE_STRUCTURE


def is_tiny(shape_hw: tuple[int, int]) -> bool:
    """Whether a picture is a thumbnail."""
    return max(shape_hw) < TINY_PX


def is_saturated(view: np.ndarray) -> bool:
    """Whether nearly half of what a (h, w) uint8 view shows above black is burned out. A white edge may be the background: never then."""
    lit = view[view > 12]
    if lit.size < LIT_SHARE * view.size:
        return False
    return float((lit >= 250).mean()) >= BURNED_SHARE and float(np.percentile(ring(view), 25)) < WHITE_RING


def ring(view: np.ndarray) -> np.ndarray:
    """(N,) pixels of a picture's outermost tenth on each side."""
    h, w = view.shape
    mask = np.ones((h, w), bool)
    mask[max(1, h // 10) : h - max(1, h // 10), max(1, w // 10) : w - max(1, w // 10)] = False
    return view[mask]


def empty_run(grey: np.ndarray) -> tuple[float, float]:
    """Longest stretch of empty rows or columns at one edge that has none opposite, as a share of the picture, and the share of its inner
    border that is a cut. A field that is collimated on both sides has no such stretch.

    A row is empty where nine tenths of its pixels are the stretch's value, within two hundredths of the picture's range.

    Args:
        grey: (H, W) float32, stored values.
    """
    best = (0.0, 0.0)
    for upright in (grey, grey.T):
        ends = _empty_end(upright), _empty_end(upright[::-1])
        best = max(best, *(one for one, other in (ends, ends[::-1]) if other[0] <= OPPOSITE_SHARE), (0.0, 0.0))
    return best


def _empty_end(grey: np.ndarray) -> tuple[float, float]:
    """`empty_run` at the last rows only."""
    height, width = grey.shape
    columns = grey[:, :: max(1, width // 128)]
    span = float(columns.max() - columns.min())
    value = float(np.median(columns[-max(1, height // 50) :]))
    away = np.abs(columns - value) > 0.02 * span
    filled = np.flatnonzero(away.mean(axis=1) > 0.1)
    if not span or not len(filled):
        return 0.0, 0.0
    last = int(filled[-1])
    share = (height - 1 - last) / height
    if share < 0.05:
        return share, 0.0
    before = np.abs(grey[max(0, last - 2) : last + 1] - value).max(axis=0)
    return share, float((before > CUT_STEP * span).mean())


def is_half_empty(grey: np.ndarray) -> bool:
    """Whether a cut-off or failed transfer left a large part without content: (H, W) float32 stored values.

    Content must end at a straight line across the whole picture; a collimated field, or a hand before a black ground, does not.
    """
    share, cut = empty_run(grey)
    return (share >= EMPTY_SHARE and cut >= CUT_SHARE) or repeated_rows(grey) >= REPEATED_SHARE


def repeated_rows(grey: np.ndarray) -> float:
    """Longest run of rows that equal the row above and are not uniform, as a share of the rows."""
    columns = grey[:, :: max(1, grey.shape[1] // 128)]
    same = (columns[1:] == columns[:-1]).all(axis=1) & (columns[1:].std(axis=1) > 0)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], same.view(np.int8), [0]))))
    return float((edges[1::2] - edges[::2]).max(initial=0)) / len(grey)


def sharpness(view: np.ndarray) -> float:
    """Fine detail of a (h, w) uint8 view against coarser detail, in the tenth of its squares where that is highest; blur lowers it."""
    grey = view.astype(np.float32)
    fine, coarse = cv2.GaussianBlur(grey, (0, 0), 1.0), cv2.GaussianBlur(grey, (0, 0), 2.5)
    side = 16
    shape = max(1, view.shape[1] // side), max(1, view.shape[0] // side)
    high = cv2.resize(np.abs(grey - fine), shape, interpolation=cv2.INTER_AREA)
    low = cv2.resize(np.abs(fine - coarse), shape, interpolation=cv2.INTER_AREA)
    enough = low > 0.5
    return float(np.percentile(high[enough] / low[enough], 90)) if enough.sum() >= 8 else 1.0


def is_blurred(view: np.ndarray) -> bool:
    """Whether a (h, w) uint8 view of `SIDE_PX` has no fine detail anywhere."""
    return max(view.shape) >= SIDE_PX // 2 and sharpness(view) < BLUR_RATIO
