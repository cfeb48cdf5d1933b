"""Is a colour picture a photograph, or a radiograph that is stored as colour, perhaps tinted or with coloured annotations?

Colours that follow from the brightness alone are a tint, as of a blue film base, and count as grey unless they are strong. Of the rest
those count that are spread over many shades: a drawn annotation has few.
"""

from __future__ import annotations

import cv2
import numpy as np

SQUARES, LEAST_PX = 64, 2  # squares along the longer side whose median colours are compared, and least side of one, pixels
SIDE_PX = 768  # longer side to which larger pictures are scaled: averages out the noise that JPEG leaves in colours
DIM, BRIGHT = 20, 244  # darker and brighter squares show no colour that could be told, of 255
TINT = 6  # greatest distance of a square's colour from that of its brightness that still counts as grey, in Cb and Cr
STRONG = 28  # distance from grey, in Cb and Cr, from which a colour is no film's tint
FLAT_SHADES = 6  # number of most frequent shades that are taken for those of drawn annotations
PHOTOGRAPH_SHARE = 0.06  # least share of coloured squares of many shades, among those that show a colour, that makes a photograph
LEAST_SHOWN = 8  # least number of squares that can show a colour; below there is nothing to tell


def coloured_share(colours: np.ndarray) -> float:
    """Share, 0-1, of the squares with a colour that neither a tint nor drawn annotations explain, among those neither black nor white. Lines and
    letters are narrower than three squares, and filled areas have few shades.

    Args:
        colours: (H, W, 3) RGB, uint8; not changed.
    """
    scale = SIDE_PX / max(colours.shape[:2])
    if scale < 1:
        colours = cv2.resize(colours, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    planes = cv2.cvtColor(np.ascontiguousarray(colours), cv2.COLOR_RGB2YCrCb)
    side = max(LEAST_PX, max(planes.shape[:2]) // SQUARES)
    rows, columns = (n // side for n in planes.shape[:2])
    if not rows or not columns:
        return 0.0
    squares = planes[: rows * side, : columns * side].reshape(rows, side, columns, side, 3).transpose(0, 2, 1, 3, 4)
    medians = np.median(squares.reshape(rows, columns, -1, 3), axis=2)
    luma, chroma = medians[..., 0], medians[..., 1:] - 128
    shown = (luma > DIM) & (luma < BRIGHT)
    if shown.sum() < LEAST_SHOWN:
        return 0.0
    strength, beyond = np.hypot(*chroma[shown].T), np.hypot(*(chroma[shown] - _tint(luma[shown], chroma[shown])).T)
    coloured = np.zeros(shown.shape, np.uint8)
    coloured[shown] = (strength > TINT) & (beyond > TINT) | (strength > STRONG)
    wide = cv2.morphologyEx(coloured, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
    shades = np.unique(np.floor(chroma[wide] / 4).astype(int) @ (256, 1), return_counts=True)[1]
    return float((shades.sum() - np.sort(shades)[::-1][:FLAT_SHADES].sum()) / shown.sum())


def is_photograph(colours: np.ndarray) -> bool:
    """Whether (H, W, 3) RGB pixels, uint8, are those of a colour photograph."""
    return coloured_share(colours) >= PHOTOGRAPH_SHARE


def _tint(luma: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """(N, 2) usual Cr and Cb of each square's brightness, (N,) of 0-255: medians of 16 levels, interpolated."""
    levels = luma.astype(int) // 16
    used = np.unique(levels)
    medians = np.array([np.median(chroma[levels == level], axis=0) for level in used])
    return np.stack([np.interp(luma, 16 * used + 8, medians[:, k]) for k in range(2)], 1)
