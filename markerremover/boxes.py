"""Arithmetic on (N, 4) `xyxy` arrays. Every function accepts N = 0 and returns new arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

VIEW = 640  # longer side of whole images in the localizer, pixels; its boxes are wrong by some pixels at this scale
ENDS = 0.03  # error of a localizer's box at the ends of long text, as a fraction of the box's length


def extent(mask: np.ndarray) -> tuple[int, int]:
    """(height, width) of the bounding box of the set pixels of a (h, w) bool mask with at least one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[-1] - rows[0]) + 1, int(columns[-1] - columns[0]) + 1


def clip(xyxy: np.ndarray, shape_hw: tuple[int, int]) -> np.ndarray:
    """Boxes clipped to the image.

    Args:
        xyxy: (N, 4).
        shape_hw: (H, W) of the image.

    >>> clip(np.array([[-5.0, 2.0, 30.0, 8.0]]), (10, 20)).tolist()
    [[0.0, 2.0, 20.0, 8.0]]
    """
    h, w = shape_hw
    return np.clip(xyxy, 0, np.array([w, h, w, h], dtype=xyxy.dtype))


def area(xyxy: np.ndarray) -> np.ndarray:
    """(N,) areas in square pixels; 0 for empty or inverted boxes."""
    return np.clip(xyxy[:, 2] - xyxy[:, 0], 0, None) * np.clip(xyxy[:, 3] - xyxy[:, 1], 0, None)


def intersection(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, M) intersection areas, square pixels, of each of `a` (N, 4) with each of `b` (M, 4)."""
    lo = np.maximum(a[:, None, :2], b[None, :, :2])
    hi = np.minimum(a[:, None, 2:], b[None, :, 2:])
    wh = np.clip(hi - lo, 0, None)
    return wh[..., 0] * wh[..., 1]


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N, M) intersection over union, 0 where the union is empty.

    >>> iou(np.array([[0, 0, 2, 2]]), np.array([[1, 0, 3, 2]])).round(3).tolist()
    [[0.333]]
    """
    shared = intersection(a, b).astype(np.float64)
    union = area(a)[:, None] + area(b)[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def iou_of(a: Sequence[float], b: Sequence[float]) -> float:
    """`iou` (0–1) of two boxes, each four numbers.

    >>> iou_of((0, 0, 2, 2), (1, 0, 3, 2)) == 1 / 3
    True
    """
    return float(iou(np.array([a], np.float64), np.array([b], np.float64))[0, 0])


def gap(a: Sequence[float], b: Sequence[float]) -> float:
    """Pixels between two boxes, each four numbers, along the axis on which they are farther apart; negative where they overlap.

    >>> gap((0, 0, 2, 2), (5, 1, 6, 4)), gap((0, 0, 2, 2), (1, 1, 3, 3))
    (3, -1)
    """
    return max(b[0] - a[2], a[0] - b[2], b[1] - a[3], a[1] - b[3])


def covered_share(box: np.ndarray, covers: np.ndarray) -> float:
    """Share (0–1) of a box (4,) inside the union of other boxes (N, 4), sampled on a grid of 32 by 32.

    >>> covered_share(np.array([0, 0, 10, 10]), np.array([[0, 0, 5, 10], [0, 0, 10, 5]]))
    0.75
    """
    x, y = ((box[k] + (np.arange(32) + 0.5) / 32 * (box[k + 2] - box[k])) for k in (0, 1))
    inside = np.zeros((32, 32), bool)
    for x1, y1, x2, y2 in covers:
        inside |= ((y >= y1) & (y < y2))[:, None] & ((x >= x1) & (x < x2))[None]
    return float(inside.mean())


def nms(xyxy: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Indices (int64) retained by greedy non-maximum suppression, best score first.

    Args:
        xyxy: (N, 4); scores: (N,).
        threshold: a box is dropped when its IoU with a better one is above this (0–1).
    """
    order = np.argsort(-scores, kind="stable")
    keep: list[int] = []
    while order.size:
        best, order = order[0], order[1:]
        keep.append(int(best))
        if order.size:
            order = order[iou(xyxy[best : best + 1], xyxy[order])[0] <= threshold]
    return np.array(keep, dtype=np.int64)


def grow(xyxy: np.ndarray, share: float, at_least_px: float, shape_hw: tuple[int, int]) -> np.ndarray:
    """Boxes grown on every side by `share` of their shorter side, at least `at_least_px`, clipped to the image,
    as (N, 4) int64 with minima rounded down and maxima up."""
    side = np.minimum(xyxy[:, 2] - xyxy[:, 0], xyxy[:, 3] - xyxy[:, 1])
    pad = np.maximum(side * share, at_least_px)[:, None]
    low, high = np.floor(xyxy[:, :2] - pad), np.ceil(xyxy[:, 2:] + pad)
    return clip(np.concatenate([low, high], axis=1), shape_hw).astype(np.int64)


def widen(xyxy: np.ndarray, share: float, at_least_px: float, shape_hw: tuple[int, int]) -> np.ndarray:
    """Boxes with a margin for strokes outside a localizer's boxes, clipped to the image, as (N, 4) int64 with minima rounded down and maxima up.

    The margin on each side is the largest of: `share` of the box's shorter side; `at_least_px`, scaled up in images larger than `VIEW`, since
    the localizer sees them at that size; `ENDS` of the box's length in that direction.
    """
    pad = _margins(xyxy, share, ENDS, at_least_px, shape_hw)
    return clip(np.concatenate([np.floor(xyxy[:, :2] - pad), np.ceil(xyxy[:, 2:] + pad)], axis=1), shape_hw).astype(np.int64)


def without_margin(xyxy: np.ndarray, share: float, at_least_px: float, shape_hw: tuple[int, int]) -> np.ndarray:
    """The inverse of `widen` except for its rounding and clipping: (N, 4) float64 boxes, each at least a pixel."""
    xyxy = np.asarray(xyxy, np.float64).reshape(-1, 4)
    pad = _margins(xyxy, share / (1 + 2 * share), ENDS / (1 + 2 * ENDS), at_least_px, shape_hw)
    pad = np.clip(pad, 0, np.maximum(0, (xyxy[:, 2:] - xyxy[:, :2] - 1) / 2))
    return np.concatenate([xyxy[:, :2] + pad, xyxy[:, 2:] - pad], axis=1)


def _margins(xyxy: np.ndarray, share: float, ends: float, at_least_px: float, shape_hw: tuple[int, int]) -> np.ndarray:
    """(N, 2) margins in x and y, pixels: the largest of a share of the shorter side, a share of the length, and pixels at the localizer's scale."""
    size = xyxy[:, 2:] - xyxy[:, :2]
    least_px = at_least_px * max(1.0, max(shape_hw) / VIEW)
    return np.maximum(np.maximum(share * size.min(axis=1, keepdims=True, initial=np.inf), least_px), ends * size)


def tiles(shape_hw: tuple[int, int], tile: int, overlap: int) -> np.ndarray:
    """(T, 4) int64 windows of side `tile` that cover an image with at least `overlap` pixels shared by neighbours;
    the whole image as one window where it fits.

    >>> tiles((100, 100), 200, 20).tolist()
    [[0, 0, 100, 100]]
    >>> tiles((100, 300), 200, 50).tolist()
    [[0, 0, 200, 100], [100, 0, 300, 100]]
    """

    def starts(length: int) -> list[int]:
        if length <= tile:
            return [0]
        count = int(np.ceil((length - overlap) / (tile - overlap)))
        return [round(i * (length - tile) / (count - 1)) for i in range(count)]

    h, w = shape_hw
    return np.array([[x, y, min(x + tile, w), min(y + tile, h)] for y in starts(h) for x in starts(w)], dtype=np.int64)
