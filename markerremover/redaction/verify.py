"""Is anything left? A second look at what a file would become, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from .. import boxes
from ..errors import HeldError
from ..records import Decision, Detections, Policy

LABEL = "verify"
REASON = "still found after removal"
#: A detection is explained when at most this share of its box is neither blacked out nor part of a retained laterality marker's box.
#: A localizer's boxes jitter by a few pixels from one look to the next; letters under a box take more than this.
UNEXPLAINED_SHARE = 0.25
#: Known pixels around the removed ones that a fill is made from.
AROUND = 64


def residual(
    detector: Callable[..., Detections], display_frame: np.ndarray, decisions: Sequence[Decision], policy: Policy,
    dealt_with: np.ndarray | None = None,
) -> Detections:
    """What the localizer still finds in a redacted frame and no decision explains.

    Args:
        detector: called as detector(display_frame, threshold), or, if it has it, detector.near(display_frame, boxes,
            threshold): only what lies near a decision has changed since the first look.
        display_frame: (H, W) uint8, already redacted, the removed pixels `smoothed`.
        decisions: those of this frame. The boxes of retained laterality markers hold the sign only, removed boxes nothing.
        dealt_with: (H, W) bool, where findings are explained; the boxes of all decisions by default.

    Returns:
        The unexplained detections, possibly none.
    """
    near = getattr(detector, "near", None)
    if near is not None:
        found = near(display_frame, np.array([d.xyxy for d in decisions]).reshape(-1, 4), policy.threshold)
    else:
        found = detector(display_frame, policy.threshold)
    if not len(found):
        return found
    decided = explained(display_frame.shape, decisions) if dealt_with is None else dealt_with
    left = np.array([unexplained(decided, box) > UNEXPLAINED_SHARE for box in found.xyxy], bool)
    return found.chosen(left)


def smoothed(display_frame: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """The frame with its removed pixels filled from around them, for the second look only; never written anywhere.

    A localizer takes a black box on bright ground for a plate, and would then have it removed a little wider, and so on.
    The fill is smooth: means of the known pixels at ever coarser scales (pull-push, Gortler et al. 1996).

    Args:
        display_frame: (H, W) uint8.
        removed: (H, W) bool.

    Returns:
        A new (H, W) uint8 array, equal to `display_frame` where `removed` is False.
    """
    out = display_frame.copy()
    for first, last in _stretches(removed.any(axis=1)):
        for left, right in _stretches(removed[first:last].any(axis=0)):
            rows = first + np.flatnonzero(removed[first:last, left:right].any(axis=1))
            part = np.s_[max(0, rows[0] - AROUND) : rows[-1] + 1 + AROUND, max(0, left - AROUND) : right + AROUND]
            hole = removed[part]
            filled = _filled(np.where(hole, 0, out[part]).astype(np.float32), (~hole).astype(np.float32))
            out[part][hole] = np.clip(np.rint(filled[hole]), 0, 255).astype(np.uint8)
    return out


def _stretches(line: np.ndarray) -> list[tuple[int, int]]:
    """Start and stop of where (N,) bool is set; what lies less than `AROUND` twice apart is one stretch."""
    there = np.flatnonzero(line)
    if not there.size:
        return []
    breaks = np.flatnonzero(np.diff(there) > 2 * AROUND)
    return list(zip(there[np.r_[0, breaks + 1]].tolist(), (there[np.r_[breaks, len(there) - 1]] + 1).tolist()))


def _filled(total: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(H, W) float32: total / weight where weight is positive, elsewhere the same of half the size, scaled up."""
    import cv2

    mean = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    h, w = total.shape
    if weight.all() or max(h, w) == 1:
        return mean
    half = ((w + 1) // 2, (h + 1) // 2)
    coarse = _filled(*(cv2.resize(a, half, interpolation=cv2.INTER_AREA) for a in (total, weight)))
    return np.where(weight > 0, mean, cv2.resize(coarse, (w, h), interpolation=cv2.INTER_LINEAR))


def explained(shape_hw: tuple[int, int], decisions: Sequence[Decision]) -> np.ndarray:
    """(H, W) bool: where any of one frame's decisions lies."""
    result = np.zeros(shape_hw, bool)
    for decision in decisions:
        x1, y1, x2, y2 = decision.xyxy
        result[y1:y2, x1:x2] |= True if decision.area is None else decision.area
    return result


def unexplained(explained: np.ndarray, xyxy: np.ndarray) -> float:
    """Share (0–1) of the box that no decision covers; 0 for a box that holds no pixel."""
    whole = boxes.grow(xyxy[None], 0.0, 0.0, explained.shape)[0]
    inside = explained[whole[1] : whole[3], whole[0] : whole[2]]
    return float(1.0 - inside.mean()) if inside.size else 0.0


def labelled(decisions: Sequence[Decision]) -> list[Decision]:
    """The same decisions, marked as those of the second look."""
    return [replace(d, label=LABEL, reason=d.reason if d.action == "keep" else REASON) for d in decisions]


def check_pixels(stored: np.ndarray, new: np.ndarray, mask: np.ndarray, fill: tuple[int, ...]) -> None:
    """Hold the file unless `new` is `fill` inside the removed areas and bit-identical to `stored` outside.

    Args:
        stored, new: (F, H, W) or (F, H, W, C).
        mask: (F, H, W) bool, True where pixels were removed.

    Raises:
        HeldError: shape or type changed, a pixel outside changed, or one inside did not.
    """
    if new.shape != stored.shape or new.dtype != stored.dtype:
        raise HeldError(f"redaction changed the pixel array from {stored.shape} {stored.dtype} to {new.shape} {new.dtype}")
    changed = new != stored
    if changed.ndim == 4:
        changed = changed.any(axis=3)
    if (changed & ~mask).any():
        raise HeldError(f"{int((changed & ~mask).sum())} pixels outside the removed areas changed")
    if (new[mask] != np.asarray(fill, dtype=new.dtype)).any():
        raise HeldError("removed areas are not all black")
