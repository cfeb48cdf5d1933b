"""Removed pixels filled from their surroundings: OpenCV's Navier-Stokes inpainting (Bertalmio, Bertozzi and Sapiro 2001).

Synthetic pixels in a medical image are a hazard, so they are limited to removed areas, and the writer of the image declares them.
Sources are only pixels that were not removed and do not belong to a retained laterality marker.
"""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["filled"]

AROUND_PX = 24  # width of the surroundings used as a source, pixels
REACH_PX = 5  # radius of the neighbourhood in the inpainting, pixels
GRAIN_PX = 2.0  # sigma of the smoothing of the surroundings, pixels: a dark speck at the edge must not extend through the hole
SOFTER = 3.0  # depth of a hole divided by the sigma with which creases in its centre are smoothed


def filled(blacked: np.ndarray, fill: np.ndarray, removed: np.ndarray, markers: np.ndarray) -> np.ndarray:
    """The pixels with some of the removed ones interpolated from their surroundings.

    Args:
        blacked: (F, H, W) or (F, H, W, C) integers in which removed pixels are already black, so that no original of them can be a
            source; not changed.
        fill: (F, H, W) bool, pixels to interpolate, a subset of `removed`.
        removed: (F, H, W) bool, all removed pixels.
        markers: (F, H, W) bool, retained laterality markers with their soft edge; not a source, or a letter would extend into the fill.

    Returns:
        A new array of the same shape and dtype, equal to `blacked` outside `fill`, with values in the range of their surroundings.
        A hole without surroundings remains black.
    """
    result = blacked.copy()
    for index in np.flatnonzero(fill.any(axis=(1, 2))):
        unknown = removed[index] | markers[index]
        stats = cv2.connectedComponentsWithStats(cv2.dilate(fill[index].astype(np.uint8), np.ones((5, 5), np.uint8)))[2][1:]
        for x, y, w, h, _ in stats.tolist():
            part = np.s_[max(0, y - AROUND_PX) : y + h + AROUND_PX, max(0, x - AROUND_PX) : x + w + AROUND_PX]
            hole, hidden = fill[index][part], unknown[part]
            if hidden.all() or not hole.any():
                continue
            channels = np.atleast_3d(blacked[index][part])
            values = np.stack([_channel(channels[..., c], hole, hidden) for c in range(channels.shape[2])], axis=-1)
            np.copyto(np.atleast_3d(result[index][part]), values, where=hole[..., None])
    return result


def _channel(values: np.ndarray, hole: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """(h, w) of the same dtype: one channel with its hidden pixels interpolated from the others.

    Args:
        values: (h, w) integers.
        hole: (h, w) bool, pixels to fill.  hidden: (h, w) bool, pixels that are not a source, the hole included.
    """
    low, high = int(values[~hidden].min()), int(values[~hidden].max())
    weight = (~hidden).astype(np.float32)
    known = np.where(hidden, 0, values.astype(np.float32) - low).astype(np.float32)
    work = np.where(hidden, 0, _blurred(known, GRAIN_PX) / np.maximum(_blurred(weight, GRAIN_PX), 1e-3)).astype(np.float32)
    work = np.clip(cv2.inpaint(work, hidden.astype(np.uint8), REACH_PX, cv2.INPAINT_NS), 0, high - low)
    inside = cv2.distanceTransform(np.pad(hole, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    sigma = max(1.0, float(inside.max()) / SOFTER)
    share = np.clip(inside / (2 * sigma), 0, 1)
    interpolated = np.clip(work + share * (_blurred(work, sigma) - work), 0, high - low)
    return (np.rint(interpolated).astype(np.int64) + low).astype(values.dtype)


def _blurred(values: np.ndarray, sigma: float) -> np.ndarray:
    """(h, w) float32: Gaussian blur with replicated borders."""
    return cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
