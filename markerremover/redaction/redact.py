"""Computes new stored pixels from stored pixels and decisions. Pure: no input, output or state.

The stored values are replaced, as DICOM PS3.15 E.3.1 requires; no overlay or shutter is used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import UsageError
from ..records import Decision


def removed_mask(shape_fhw: tuple[int, int, int], decisions: Sequence[Decision]) -> np.ndarray:
    """Which pixels are blacked out: the union of all boxes (only the area of a removal that has one), less the strokes of the "keep"
    decisions of the same frame.

    Strokes that one decision keeps are retained in the overlapping boxes of others, too.

    Args:
        shape_fhw: frames, rows, columns.
        decisions: any number, in any order; the order does not matter.

    Returns:
        A new (F, H, W) bool array.

    Raises:
        UsageError: a frame index is out of range, or a box extends outside the image.

    >>> box = Decision(frame=0, xyxy=(1, 0, 3, 1), action="remove", reason="x", score=1.0)
    >>> removed_mask((1, 1, 4), [box]).tolist()
    [[[False, True, True, False]]]
    """
    mask = np.zeros(shape_fhw, dtype=bool)
    for decision in decisions:
        _check(decision, shape_fhw)
        x1, y1, x2, y2 = decision.xyxy
        mask[decision.frame, y1:y2, x1:x2] |= True if decision.area is None else decision.area
    for decision in decisions:
        if decision.strokes is not None:
            x1, y1, x2, y2 = decision.xyxy
            mask[decision.frame, y1:y2, x1:x2] &= ~decision.strokes
    return mask


def kept_mask(shape_fhw: tuple[int, int, int], decisions: Sequence[Decision]) -> np.ndarray:
    """Which pixels are strokes of a "keep" decision.

    Returns:
        A new (F, H, W) bool array.

    Raises:
        UsageError: as `removed_mask`.
    """
    mask = np.zeros(shape_fhw, dtype=bool)
    for decision in decisions:
        _check(decision, shape_fhw)
        if decision.strokes is not None:
            x1, y1, x2, y2 = decision.xyxy
            mask[decision.frame, y1:y2, x1:x2] |= decision.strokes
    return mask


def redact(stored: np.ndarray, decisions: Sequence[Decision], fill: Sequence[int]) -> np.ndarray:
    """A copy of the pixels in which all pixels that `decisions` remove are set to `fill`.

    Args:
        stored: (F, H, W) or (F, H, W, C) integers; never changed.
        decisions: see `removed_mask`; with none of them the result equals `stored`.
        fill: the stored value that a viewer shows as black, one per channel (length 1 for (F, H, W)).

    Returns:
        A new writable array of the same shape and dtype.

    Raises:
        UsageError: as `removed_mask`; or `fill` does not fit the channels or the dtype.

    >>> box = Decision(frame=0, xyxy=(1, 0, 3, 1), action="remove", reason="x", score=1.0)
    >>> redact(np.array([[[7, 8, 9, 7]]], np.uint16), [box], (0,)).tolist()
    [[[7, 0, 0, 7]]]
    """
    return black_out(stored, removed_mask(stored.shape[:3], decisions), fill)


def black_out(stored: np.ndarray, mask: np.ndarray, fill: Sequence[int]) -> np.ndarray:
    """A copy of the pixels in which the masked ones are set to `fill`.

    Args:
        stored: (F, H, W) or (F, H, W, C) integers; not changed.
        mask: (F, H, W) bool.
        fill: stored value that a viewer shows as black, one per channel.

    Returns:
        A new writable array of the same shape and dtype.

    Raises:
        UsageError: `fill` does not fit the channels or the dtype.
    """
    channels = stored.shape[3] if stored.ndim == 4 else 1
    if len(fill) != channels:
        raise UsageError(f"fill has {len(fill)} values, the pixels have {channels} channels")
    limits = np.iinfo(stored.dtype)
    if any(not limits.min <= value <= limits.max for value in fill):
        raise UsageError(f"fill {tuple(fill)} does not fit {stored.dtype}")
    result = stored.copy()
    result.setflags(write=True)
    result[mask] = fill[0] if stored.ndim == 3 else np.array(fill, dtype=stored.dtype)
    return result


def _check(decision: Decision, shape_fhw: tuple[int, int, int]) -> None:
    frames, height, width = shape_fhw
    x1, y1, x2, y2 = decision.xyxy
    if not 0 <= decision.frame < frames:
        raise UsageError(f"frame is {decision.frame}, allowed is 0 to {frames - 1}")
    if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
        raise UsageError(f"xyxy {decision.xyxy} reaches outside the image of {width} x {height} pixels")
