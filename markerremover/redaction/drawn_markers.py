"""Laterality markers that a reviewer drew because the localizer missed them: read like a box of the localizer, and retained only if the reading
holds.

The strokes come from the second pass alone, and the rules for overlaps and for initials are those of every other box. What it does not read as a
marker of the policy is removed, whatever the reviewer saw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..records import LATERALITY, Corrections, Decision, Detections
from . import corrections as corrections_module
from . import decision_rules

Decide = Callable[[int, Detections], list[Decision]]


def corrected(decisions: Sequence[Decision], corrections: Corrections, views: Sequence[np.ndarray], decide: Decide) -> tuple[Decision, ...]:
    """`corrections.corrected`, then with the drawn laterality markers.

    Args:
        decisions: the program's, resolved.
        views: (F, H, W) uint8 each, before any removal.
        decide: called as decide(frame, detections): reads boxes of that frame and decides each like one of the localizer.

    Returns:
        The decisions; those of drawn markers, retained or not, have the label of a reviewer.

    Raises:
        HeldError: as `corrections.corrected`; or a drawn marker lies outside the image.
    """
    shape = (len(views[0]), *views[0].shape[1:])
    settled = corrections_module.corrected(decisions, corrections, shape)
    marks = [mark for mark in corrections.marks if mark.drawn and mark.action == "keep"]
    if not marks:
        return settled
    added: list[Decision] = []
    for mark in marks:
        xyxy = np.array([corrections_module.clipped(mark, shape)], np.float32)
        added += decide(mark.frame, Detections(xyxy, np.ones(1, np.float32), np.zeros(1, np.int64), (LATERALITY,)))
    resolved = decision_rules.with_empty_ground(decision_rules.resolve([*settled, *added]), views)
    return corrections_module.settle((*resolved[: len(settled)], *map(_labelled, resolved[len(settled) :])), shape)


def _labelled(decision: Decision) -> Decision:
    reason = corrections_module.READ if decision.action == "keep" else corrections_module.UNREAD
    return replace(decision, label=corrections_module.LABEL, reason=reason)
