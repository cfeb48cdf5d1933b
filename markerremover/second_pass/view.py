"""A detected box and its surroundings at the scale at which letters are read, and masks back in source pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

COARSE_SIDE = 16  # longer side of a letter in a coarse view, work pixels
FLOOR = 6  # least contrast of a stroke, grey levels
WORK_SIDE = 64  # the box's shorter side in work pixels; a letter is then 40-90 high
SCALE_RANGE = (0.05, 4.0)  # range of the scale, work pixels per source pixel
LARGEST_WORK = 700  # longest side of a crop (a very long text line), work pixels
CONTEXT = 1.1  # margin of the crop around the box, in the box's shorter sides
SMALLEST_BOX = 3  # least shorter side of a box that is read, source pixels


@dataclass(frozen=True)
class View:
    """A box with its surroundings.

    grey: (h, w) uint8, work frame.  scale: work pixels per source pixel.  window, box: integer source xyxy of the crop and
    of the box in it.  inner: (4,) float work xyxy of the box.  whole: whether the crop reaches the image's left, top, right and bottom edge.
    """

    grey: np.ndarray
    scale: float
    window: tuple[int, int, int, int]
    box: tuple[int, int, int, int]
    inner: np.ndarray
    whole: tuple[bool, bool, bool, bool] = (False, False, False, False)


def view_of_box(frame: np.ndarray, xyxy: np.ndarray) -> View | tuple[int, int, int, int]:
    """The box and its surroundings in the work frame.

    Args:
        frame: (H, W) uint8.
        xyxy: (4,) source pixels, any floats.

    Returns:
        The view. Where there is nothing to read (box too small, outside, flat or not finite), only the integer xyxy of the box, clipped
        to the image; (0, 0, 0, 0) if it is not finite.
    """
    h, w = frame.shape
    box = np.asarray(xyxy, np.float64)
    if not np.isfinite(box).all():
        return (0, 0, 0, 0)
    x1, y1 = (int(np.clip(np.floor(v), 0, limit)) for v, limit in zip(box[:2], (w, h)))
    x2, y2 = (int(np.clip(np.ceil(v), 0, limit)) for v, limit in zip(box[2:], (w, h)))
    x2, y2 = max(x1, x2), max(y1, y2)
    short = min(x2 - x1, y2 - y1)
    if short < SMALLEST_BOX:
        return (x1, y1, x2, y2)
    pad = int(np.ceil(CONTEXT * short)) + 3
    X1, Y1, X2, Y2 = max(0, x1 - pad), max(0, y1 - pad), min(w, x2 + pad), min(h, y2 + pad)
    crop = frame[Y1:Y2, X1:X2]
    if int(crop.max()) - int(crop.min()) <= FLOOR:
        return (x1, y1, x2, y2)
    scale = min(float(np.clip(WORK_SIDE / short, *SCALE_RANGE)), LARGEST_WORK / max(X2 - X1, Y2 - Y1))
    size = max(4, round((X2 - X1) * scale)), max(4, round((Y2 - Y1) * scale))
    grey = cv2.resize(crop, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    inner = np.array([x1 - X1, y1 - Y1, x2 - X1, y2 - Y1], np.float64) * scale
    return View(grey, scale, (X1, Y1, X2, Y2), (x1, y1, x2, y2), inner, (X1 == 0, Y1 == 0, X2 == w, Y2 == h))


def around(frame: np.ndarray, xyxy: tuple[int, int, int, int], reach: float) -> View | None:
    """A coarse view of wider surroundings: a margin of `reach` times the box's longer side, which is scaled to `COARSE_SIDE` work pixels.

    Args:
        frame: (H, W) uint8.
        xyxy: integer source pixels.
        reach: margin, in the box's longer sides.

    Returns:
        None if the surroundings are too small or flat.
    """
    x1, y1, x2, y2 = xyxy
    pad = reach * max(x2 - x1, y2 - y1)
    region = view_of_box(frame, np.array([x1 - pad, y1 - pad, x2 + pad, y2 + pad]))
    if not isinstance(region, View):
        return None
    X1, Y1, X2, Y2 = region.box
    scale = COARSE_SIDE / max(x2 - x1, y2 - y1)
    size = max(4, round((X2 - X1) * scale)), max(4, round((Y2 - Y1) * scale))
    grey = cv2.resize(frame[Y1:Y2, X1:X2], size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    inner = np.array([x1 - X1, y1 - Y1, x2 - X1, y2 - Y1], np.float64) * scale
    return View(grey, scale, region.box, xyxy, inner)


def in_source(view: View, mask: np.ndarray) -> np.ndarray:
    """A (h, w) bool mask of the work frame as a new (H, W) bool mask of the view's window in source pixels."""
    X1, Y1, X2, Y2 = view.window
    method = cv2.INTER_AREA if view.scale > 1 else cv2.INTER_LINEAR
    return cv2.resize(mask.astype(np.float32), (X2 - X1, Y2 - Y1), interpolation=method) > 0.4


def cropped(view: View, mask: np.ndarray) -> tuple[tuple[int, int, int, int], np.ndarray]:
    """A mask over the view's window, (H, W) bool in source pixels, cropped.

    Returns:
        (integer source xyxy that covers the mask and the box, new bool mask in that crop frame).
    """
    X1, Y1 = view.window[:2]
    x1, y1, x2, y2 = view.box
    if mask.any():
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        x1, x2 = min(x1, X1 + int(columns[0])), max(x2, X1 + int(columns[-1]) + 1)
        y1, y2 = min(y1, Y1 + int(rows[0])), max(y2, Y1 + int(rows[-1]) + 1)
    return (x1, y1, x2, y2), mask[y1 - Y1 : y2 - Y1, x1 - X1 : x2 - X1].copy()
