"""Multi-frame files: a marking found in one frame is removed from every frame that shows it too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..records import Decision

#: Correlation of a box between two frames from which it shows the same marking. Burned-in text reaches 0.9 and more
#: even under noise; unrelated anatomy stays near 0. Doubt removes, so the bar is low.
SAME_MARKING = 0.5


def spread(decisions: Sequence[Decision], display: np.ndarray) -> list[Decision]:
    """Removals carried over to the frames that show the same marking.

    Args:
        decisions: of all frames.
        display: (F, H, W) uint8.

    Returns:
        The decisions given, and copies of the removals for other frames, with `frame` set. A retained laterality marker is not spread:
        each frame releases its own.
    """
    result = list(decisions)
    if len(display) == 1:
        return result
    known = {(d.frame, d.xyxy) for d in decisions}
    for decision in decisions:
        if decision.action != "remove":
            continue
        for frame in _alike(display, decision):
            if (frame, decision.xyxy) not in known:
                known.add((frame, decision.xyxy))
                result.append(replace(decision, frame=frame))
    return result


def _alike(display: np.ndarray, decision: Decision) -> list[int]:
    """Indices of the other frames whose pixels in the decision's box correlate with those of its own frame."""
    x1, y1, x2, y2 = decision.xyxy
    crops = display[:, y1:y2, x1:x2].reshape(len(display), -1).astype(np.float32)
    crops -= crops.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(crops, axis=1)
    own = norms[decision.frame]
    shared = crops @ crops[decision.frame]
    correlation = np.divide(shared, norms * own, out=np.zeros_like(shared), where=norms * own > 0)
    return [int(f) for f in np.flatnonzero(correlation >= SAME_MARKING) if f != decision.frame]
