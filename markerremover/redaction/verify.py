"""Verification: search for residual findings in a redacted file before anything is written, and the check of its pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from .. import boxes
from ..errors import HeldError
from ..records import Decision, Detections, Policy

LABEL = "verify"
REASON = "still found after removal"
#: Greatest share of an explained detection's box that is neither blacked out nor part of a retained laterality marker's box.
#: A localizer's boxes jitter by a few pixels between runs; letters below a box take more than this.
UNEXPLAINED_SHARE = 0.25
#: Width of the surroundings of removed pixels that a fill is computed from, pixels.
AROUND = 64


def residual(
    detector: Callable[..., Detections], display_frame: np.ndarray, decisions: Sequence[Decision], policy: Policy,
    handled: np.ndarray | None = None,
) -> Detections:
    """Detections in a redacted frame that no decision explains.

    Args:
        detector: called as detector(display_frame, threshold), or, if it has it, detector.near(display_frame, boxes,
            threshold): only pixels near a decision have changed since the first detection.
        display_frame: (H, W) uint8, already redacted, the removed pixels `smoothed`.
        decisions: those of this frame.
        policy: its threshold is used.
        handled: (H, W) bool, the area in which findings are explained; by default that of all decisions.

    Returns:
        The unexplained detections, possibly none.
    """
    detect_near = getattr(detector, "near", None)
    if detect_near is not None:
        found = detect_near(display_frame, np.array([d.xyxy for d in decisions]).reshape(-1, 4), policy.threshold)
    else:
        found = detector(display_frame, policy.threshold)
    if not len(found):
        return found
    decided = explained(display_frame.shape, decisions) if handled is None else handled
    is_unexplained = np.array([unexplained(decided, box) > UNEXPLAINED_SHARE for box in found.xyxy], bool)
    return found.chosen(is_unexplained)


def smoothed(display_frame: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """The frame with its removed pixels filled from their surroundings; for the verification only, never written.

    A localizer may take a black box on bright ground for a plate, which would then be removed with a margin, and so on.
    The fill is smooth: means of the known pixels at coarser and coarser scales (pull-push, Gortler et al. 1996).

    Args:
        display_frame: (H, W) uint8.
        removed: (H, W) bool.

    Returns:
        A new (H, W) uint8 array, equal to `display_frame` where `removed` is False.
    """
    result = display_frame.copy()
    for first, last in _runs(np.any(removed, axis=1)):
        for left, right in _runs(np.any(removed[first:last], axis=0)):
            rows = first + np.flatnonzero(removed[first:last, left:right].any(axis=1))
            part = np.s_[max(0, rows[0] - AROUND) : rows[-1] + 1 + AROUND, max(0, left - AROUND) : right + AROUND]
            hole = removed[part]
            filled = _filled(np.where(hole, 0, result[part]).astype(np.float32), (~hole).astype(np.float32))
            result[part][hole] = np.clip(np.rint(filled[hole]), 0, 255).astype(np.uint8)
    return result


def _runs(line: np.ndarray) -> list[tuple[int, int]]:
    """Start and stop of the runs of set values in (N,) bool; runs at most 2 * `AROUND` apart are joined."""
    positions = np.flatnonzero(line)
    if not positions.size:
        return []
    breaks = np.flatnonzero(np.diff(positions) > 2 * AROUND)
    return list(zip(positions[np.r_[0, breaks + 1]].tolist(), (positions[np.r_[breaks, len(positions) - 1]] + 1).tolist()))


def _filled(total: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(H, W) float32: total / weight where weight is positive, elsewhere the result at half the size, scaled up."""
    import cv2

    mean = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    h, w = total.shape
    if weight.all() or max(h, w) == 1:
        return mean
    half = ((w + 1) // 2, (h + 1) // 2)
    coarse = _filled(*(cv2.resize(a, half, interpolation=cv2.INTER_AREA) for a in (total, weight)))
    return np.where(weight > 0, mean, cv2.resize(coarse, (w, h), interpolation=cv2.INTER_LINEAR))


def explained(shape_hw: tuple[int, int], decisions: Sequence[Decision]) -> np.ndarray:
    """The area of one frame's decisions: their boxes, or the areas of removals that have one.

    Returns:
        A new (H, W) bool array.
    """
    result = np.zeros(shape_hw, bool)
    for decision in decisions:
        x1, y1, x2, y2 = decision.xyxy
        result[y1:y2, x1:x2] |= True if decision.area is None else decision.area
    return result


def unexplained(explained: np.ndarray, xyxy: np.ndarray) -> float:
    """Share (0–1) of a box that no decision covers; 0 for a box without a pixel.

    Args:
        explained: (H, W) bool, see `explained`.
        xyxy: (4,) source pixels.
    """
    region = boxes.grow(xyxy[None], 0.0, 0.0, explained.shape)[0]
    inside = explained[region[1] : region[3], region[0] : region[2]]
    return float(1.0 - inside.mean()) if inside.size else 0.0


def labelled(decisions: Sequence[Decision]) -> list[Decision]:
    """The decisions with the label of the verification, and removals with its reason."""
    return [replace(d, label=LABEL, reason=d.reason if d.action == "keep" else REASON) for d in decisions]


def check_pixels(stored: np.ndarray, new: np.ndarray, mask: np.ndarray, fill: tuple[int, ...]) -> None:
    """Check that `new` is `fill` inside the removed areas and bit-identical to `stored` outside.

    Args:
        stored, new: (F, H, W) or (F, H, W, C).
        mask: (F, H, W) bool, True where pixels were removed.
        fill: stored value of black, one per channel.

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
