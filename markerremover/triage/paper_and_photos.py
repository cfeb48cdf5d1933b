"""Flags for pictures that are no radiographs: a page of text, a colour photograph, a photograph of a screen."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from .content import reduced, sampled

PAGE_PX, GROUND_PX = 1024, 256  # longer sides on which letters are looked for, and their ground
GROUND_SHARE, GROUND_SPREAD = 0.7, 14  # share of a page within so many grey levels of its ground
INK_STEP = 50  # grey levels between ink and ground
LEAST_LETTERS = 80  # small marks on a page of text
IN_LINE_SHARE = 0.6  # of which so many have a neighbour of their size on the right
LETTERS_SHARE = 0.3  # share of the ink that is in letters, the rest is lines, stamps, logos
LEAST_GAPS = 0.25  # share of the height of a block of text that is between its lines
LARGEST_PICTURE = 0.06  # share of the page that its largest other mark fills
COLOUR_PX = 256
COLOUR_LEVELS, COLOUR_SHARE = 6.0, 0.25  # chroma of a coloured pixel, and their share in a photograph
OWN_COLOUR, OWN_SHARE = 2.5, 0.2  # chroma that brightness does not explain, and the share of pixels with it: a tint has none
PEAK, PEAK_DIRECTIONS, PEAK_PX = 14.0, 2, 512  # height of a peak in the spectrum over its surroundings; directions; side of the part


def is_scanned_text(view: np.ndarray) -> bool:
    """Whether a (H, W) uint8 view is a page of text, dark on bright or bright on dark."""
    small = sampled(view, GROUND_PX)  # not averaged, so that grain is no ground
    histogram = np.convolve(np.bincount(small.ravel(), minlength=256), np.ones(2 * GROUND_SPREAD + 1), "same")
    ground = int(histogram.argmax())
    if histogram[ground] < GROUND_SHARE * small.size:
        return False
    page = reduced(view, PAGE_PX).astype(np.int16)
    ink = np.asarray(np.abs(page - ground) > INK_STEP).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    if count <= LEAST_LETTERS:
        return False
    x, y, w, h, area = np.asarray(stats)[1:].T
    is_letter = (h >= 4) & (h <= 0.04 * page.shape[0]) & (w <= 6 * h) & (area >= 6)
    others = area[~is_letter].max(initial=0)
    if is_letter.sum() < LEAST_LETTERS or area[is_letter].sum() < LETTERS_SHARE * area.sum() or others > LARGEST_PICTURE * page.size:
        return False
    letters = np.concatenate(([False], is_letter))[np.asarray(labels, np.int64)]
    if _between_lines(letters) < LEAST_GAPS:
        return False
    return _in_lines(x[is_letter], y[is_letter], w[is_letter], h[is_letter]) >= IN_LINE_SHARE


def _between_lines(letters: np.ndarray, strips: int = 8) -> float:
    """Share of rows without letters, in upright strips of a (H, W) bool mask that have some; lines may be aslant, so strips are narrow."""
    parts: list[np.ndarray] = [np.asarray(part.any(axis=1)) for part in np.array_split(letters, strips, axis=1)]
    rows = [part[np.flatnonzero(part)[0] : np.flatnonzero(part)[-1] + 1] for part in parts if part.any()]
    return float(np.mean([1 - row.mean() for row in rows])) if rows else 0.0


def _in_lines(x: np.ndarray, y: np.ndarray, w: np.ndarray, h: np.ndarray, most: int = 600) -> float:
    """Share of (N,) marks with another of similar height beside them on the right, of at most `most` marks evenly chosen."""
    chosen = np.arange(len(x))[:: max(1, len(x) // most)][:, None]
    gap = x[None] - (x + w)[chosen]
    overlap = np.minimum((y + h)[None], (y + h)[chosen]) - np.maximum(y[None], y[chosen])
    similar = np.minimum(h[None], h[chosen]) >= 0.4 * np.maximum(h[None], h[chosen])
    beside = similar & (gap > -2) & (gap < 2 * np.maximum(h[chosen], 6)) & (overlap >= 0.4 * np.minimum(h[None], h[chosen]))
    return float(beside.any(axis=1).mean())


def is_photograph(colours: np.ndarray) -> bool:
    """Whether a picture has colours of its own over a large part, not a tint and not coloured print.

    Args:
        colours: (H, W, 3) RGB, unsigned.
    """
    small = reduced(colours, COLOUR_PX).astype(np.float32)
    small *= 255 / (65535 if colours.dtype.itemsize > 1 and small.max() > 4095 else 4095 if small.max() > 255 else 255)
    luminance = small @ np.array((0.299, 0.587, 0.114), np.float32)
    chroma = np.stack([small[..., 0] - luminance, small[..., 2] - luminance], -1)
    if (np.hypot(*np.moveaxis(chroma, -1, 0)) > COLOUR_LEVELS).mean() < COLOUR_SHARE:
        return False
    bins = np.clip(luminance / 8, 0, 31).astype(int)
    counts = np.maximum(np.bincount(bins.ravel(), minlength=32), 1)
    means = np.stack([np.bincount(bins.ravel(), chroma[..., k].ravel(), minlength=32) / counts for k in (0, 1)], -1)
    own = np.hypot(*np.moveaxis(chroma - means[bins], -1, 0))
    return bool((own > OWN_COLOUR).mean() >= OWN_SHARE)


def moire_directions(view: np.ndarray) -> int:
    """Number of directions, at least 30 degrees apart and off the axes, in which the spectrum of a view's centre has narrow peaks.

    A screen's pixels give two or more. A scatter grid gives one; JPEG blocks and enlarged pixels give peaks on the axes.

    Args:
        view: (H, W) uint8, not reduced.
    """
    h, w = view.shape
    side = min(PEAK_PX, h, w)
    if side < 128:
        return 0
    part = view[(h - side) // 2 : (h + side) // 2, (w - side) // 2 : (w + side) // 2].astype(np.float32)
    part = part[: side // 2 * 2, : side // 2 * 2]
    window = np.hanning(part.shape[0]).astype(np.float32)
    spectrum = np.abs(np.fft.rfft2((part - part.mean()) * window[:, None] * window[None]))
    spectrum = np.fft.fftshift(spectrum, axes=0)
    surroundings = ndimage.uniform_filter(spectrum, 15) + 1e-3 * spectrum.mean() + 1e-6
    rows, columns = np.indices(spectrum.shape)
    fy, fx = (rows - part.shape[0] // 2) / part.shape[0], columns / part.shape[1]
    off_axes = (np.abs(fy) > 0.01) & (fx > 0.01) & (np.hypot(fy, fx) > 0.06)
    peaks = (spectrum > PEAK * surroundings) & off_axes
    angles = np.degrees(np.arctan2(fy[peaks], fx[peaks]))
    directions: list[float] = []
    for angle in angles:
        if all(min(abs(angle - other), 180 - abs(angle - other)) >= 30 for other in directions):
            directions.append(float(angle))
    return len(directions)
