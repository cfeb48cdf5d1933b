"""Multi-frame files: a burned-in annotation found in one frame is removed from every frame that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..records import Decision

#: Least correlation of a box between two frames that show the same annotation. Burned-in text reaches 0.9 and more
#: even under noise; unrelated anatomy is near 0. In doubt the annotation is removed, so the limit is low.
LEAST_CORRELATION = 0.5


def spread(decisions: Sequence[Decision], display: np.ndarray) -> list[Decision]:
    """Removals copied to the frames that show the same annotation.

    Args:
        decisions: of all frames.
        display: (F, H, W) uint8, before any removal.

    Returns:
        A new list: the decisions given, then copies of the removals for other frames, with `frame` set. Retained laterality markers are
        not copied: each frame is decided separately.
    """
    result = list(decisions)
    if len(display) == 1:
        return result
    known = {(d.frame, d.xyxy) for d in decisions}
    for decision in decisions:
        if decision.action != "remove":
            continue
        for frame in _frames_alike(display, decision):
            if (frame, decision.xyxy) not in known:
                known.add((frame, decision.xyxy))
                result.append(replace(decision, frame=frame))
    return result


def spread_in_views(decisions: Sequence[Sequence[Decision]], views: Sequence[np.ndarray]) -> list[Decision]:
    """`spread` of the decisions of each view, on that view, (F, H, W) uint8."""
    return [decision for view_decisions, view in zip(decisions, views) for decision in spread(view_decisions, view)]


def _frames_alike(display: np.ndarray, decision: Decision) -> list[int]:
    """Indices of the other frames whose pixels in the decision's box correlate with those of the decision's frame."""
    x1, y1, x2, y2 = decision.xyxy
    crops = display[:, y1:y2, x1:x2].reshape(len(display), -1).astype(np.float32)
    crops -= crops.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(crops, axis=1)
    frame_norm = norms[decision.frame]
    products = crops @ crops[decision.frame]
    correlation = np.divide(products, norms * frame_norm, out=np.zeros_like(products), where=norms * frame_norm > 0)
    return [int(f) for f in np.flatnonzero(correlation >= LEAST_CORRELATION) if f != decision.frame]
