"""Plain background of a radiograph: air around the body and what the collimator shut out. A false box there takes no anatomy away."""

from __future__ import annotations

import cv2
import numpy as np

from .. import boxes

SIDE = 256  # longer side in pixels at which background is sought
EXTREME = 16  # greatest distance in grey levels of background from the image's darkest or brightest level
FLAT = 8  # greatest range in grey levels within 3 x 3 pixels of background
SIDES = 2  # least number of the image's sides that background reaches
EXTREMES = 0.5, 99.5  # percentiles that stand for the darkest and the brightest level
RING_PX = 1, 4  # inner and outer distance from a box, pixels at `SIDE`, of the ground that tells where it lies


def plain_background(display: np.ndarray) -> np.ndarray:
    """Where a radiograph shows background: flat ground as dark or as bright as the image gets that reaches two of the image's sides.

    A saturated abdomen reaches one.

    Args:
        display: (H, W) uint8.

    Returns:
        (h, w) bool at a longer side of `SIDE` (or the image's own, if less).
    """
    longer = max(display.shape)
    factor = min(1.0, SIDE / longer)
    small = cv2.resize(display, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) if factor < 1 else display
    small = cv2.medianBlur(small, 3)
    around = np.ones((3, 3), np.uint8)
    is_flat = cv2.morphologyEx(small, cv2.MORPH_GRADIENT, around) <= FLAT
    darkest, brightest = np.percentile(small, EXTREMES)
    is_found = np.zeros(small.shape, bool)
    for is_extreme in (small <= darkest + EXTREME, small >= brightest - EXTREME):
        _, parts = cv2.connectedComponents((is_flat & is_extreme).astype(np.uint8))
        sides = np.concatenate([np.setdiff1d(side, [0]) for side in (parts[0], parts[-1], parts[:, 0], parts[:, -1])])
        labels, reached = np.unique(sides, return_counts=True)
        is_found |= np.isin(parts, labels[reached >= SIDES])
    return is_found


def anatomy_around(display: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
    """Share (0–1) of the ground around each box that is not plain background.

    Args:
        display: (H, W) uint8.  xyxy: (N, 4) in its pixels.

    Returns:
        (N,) float; 1 for a box with no ground around it.
    """
    is_background = plain_background(display)
    scale = np.array(is_background.shape[::-1] * 2) / np.array(display.shape[::-1] * 2)
    small = np.asarray(xyxy, np.float64).reshape(-1, 4) * scale
    outer, inner = (boxes.grow(small, 0, by, is_background.shape) for by in reversed(RING_PX))
    shares = np.ones(len(small))
    for i, ((a, b, c, d), (e, f, g, h)) in enumerate(zip(outer, inner)):
        is_ring = np.zeros(is_background.shape, bool)
        is_ring[b:d, a:c] = True
        is_ring[f:h, e:g] = False
        if is_ring.any():
            shares[i] = 1 - is_background[is_ring].mean()
    return shares
