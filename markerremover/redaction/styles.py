"""The styles of removed boxes: black boxes, black holes around the print alone, or filled holes.

In every style, the boxes are first decided and verified as black boxes. Then each box is reduced to its hole or filled, and the result is
searched and read again: a box in which anything is visible is blacked out entirely. The last resort is the result of style "box",
which has been verified.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .. import boxes
from ..errors import HeldError
from ..formats import images
from ..headers import telltales
from ..records import Decision, Policy, Radiograph, Telling, Text
from . import inpaint, readable_text, redact, verify, word_holes
from .word_holes import Hole

__all__ = ["DOUBTFUL", "FOUND_AGAIN", "SHOWS", "Styled", "styled"]

FOUND_AGAIN = "found in a later look"
SHOWS = "something showed in the smaller or filled area"
DOUBTFUL = "the result is in doubt"
#: Least confidence and number of letters or digits of a text within a box from which the box is blacked out.
LEAST_SURE, CHARACTERS = 0.5, 2


@dataclass(frozen=True)
class Styled:
    """A redacted radiograph.

    stored: new array, shape and dtype of the input's.  shown: (F, H, W) uint8, the displayed result.
    removed: (F, H, W) bool, every pixel whose original was removed.  made_up: (F, H, W) bool, those of them that are filled.
    how: for each decision its style, "box", "mask" or "fill", and "" or the reason why it is not the policy's.
    """

    stored: np.ndarray
    shown: np.ndarray
    removed: np.ndarray
    made_up: np.ndarray
    how: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Plan:
    """The plan for one decision: its hole, the style, and "" or the reason why that is not the policy's."""

    decision: Decision
    hole: Hole
    style: str
    reason: str = ""

    def blacked_out(self, reason: str) -> _Plan:
        """The same with the whole box black, for this reason."""
        return replace(self, hole=Hole(_removed_part(self.decision)), style="box", reason=reason)


def styled(
    radiograph: Radiograph, decisions: Sequence[Decision], policy: Policy, detector: Callable, reader, finder, telling: Telling,
    doubt: str,
) -> Styled:
    """Apply decisions in the style of the policy, "mask" or "fill".

    Args:
        radiograph: not changed.
        decisions: resolved and verified as black boxes.
        policy: threshold and style, "mask" or "fill".
        detector, reader, finder: those of the cleaner; `finder` may be None.
        telling: identifiers of the file's header, which must not be legible.
        doubt: "" or why the result is in doubt: then all boxes are blacked out entirely.

    Raises:
        HeldError: pixels outside the removed ones changed.
    """
    reason = images.unfillable(radiograph) if policy.style == "fill" else ""
    plans = [_planned(radiograph, d, policy.style, _is_late(d), doubt, reason) for d in decisions]
    markers = redact.kept_mask(radiograph.stored.shape[:3], decisions)
    while True:
        removed, made_up = _masks(radiograph, plans, decisions)
        stored = _stored(radiograph, removed, made_up, markers)
        visible = _visible_in(radiograph, stored, removed, made_up, plans, policy, detector, reader, finder, telling)
        if not visible:
            break
        plans = [plan.blacked_out(SHOWS) if i in visible else plan for i, plan in enumerate(plans)]
    shown = images.views_of(radiograph, stored)[0] if made_up.any() else np.where(removed, np.uint8(0), radiograph.display)
    return Styled(stored, shown, removed, made_up, tuple((plan.style, plan.reason) for plan in plans))


def _is_late(decision: Decision) -> bool:
    """Whether a decision came from the verification or from the comparison with the header: its box is blacked out entirely."""
    return decision.label in (verify.LABEL, readable_text.HEADER_LABEL)


def _removed_part(decision: Decision) -> np.ndarray:
    """(h, w) bool, new, in the crop frame of the decision: all pixels that it removes."""
    x1, y1, x2, y2 = decision.xyxy
    return np.ones((y2 - y1, x2 - x1), bool) if decision.strokes is None else ~decision.strokes


def _planned(radiograph: Radiograph, decision: Decision, style: str, later: bool, doubt: str, unfillable: str) -> _Plan:
    """The first plan for one decision."""
    plan = _Plan(decision, Hole(_removed_part(decision)), "box")
    if doubt or unfillable or later:
        return plan.blacked_out(DOUBTFUL if doubt else unfillable or FOUND_AGAIN)
    hole = word_holes.hole_in([view[decision.frame] for view in radiograph.views], decision)
    if style == "fill":
        return _Plan(decision, hole, "fill", hole.reason)
    return _Plan(decision, hole, "box" if hole.reason else "mask", hole.reason)


def _masks(radiograph: Radiograph, plans: Sequence[_Plan], decisions: Sequence[Decision]) -> tuple[np.ndarray, np.ndarray]:
    """(F, H, W) bool: all removed pixels, and those of them that are filled, which lie in no black hole."""
    shape = radiograph.stored.shape[:3]
    removed, black = np.zeros(shape, bool), np.zeros(shape, bool)
    for plan in plans:
        x1, y1, x2, y2 = plan.decision.xyxy
        for mask in (removed, *((black,) if plan.style != "fill" else ())):
            mask[plan.decision.frame, y1:y2, x1:x2] |= plan.hole.mask
    allowed = redact.removed_mask(shape, decisions)  # strokes that one decision keeps are retained in the holes of others
    return removed & allowed, removed & allowed & ~black


def _stored(radiograph: Radiograph, removed: np.ndarray, made_up: np.ndarray, markers: np.ndarray) -> np.ndarray:
    """The new pixels: removed ones are blacked out first, so that no fill depends on their originals."""
    blacked = redact.black_out(radiograph.stored, removed, radiograph.fill)
    verify.check_pixels(radiograph.stored, blacked, removed, radiograph.fill)
    if not made_up.any():
        return blacked
    new = inpaint.filled(blacked, made_up, removed, markers)
    changed = (new != blacked).reshape(*blacked.shape[:3], -1).any(axis=3)
    if new.shape != blacked.shape or new.dtype != blacked.dtype or (changed & ~made_up).any():
        raise HeldError("a fill changed pixels outside the removed areas")
    return new


def _visible_in(
    radiograph: Radiograph, stored: np.ndarray, removed: np.ndarray, made_up: np.ndarray, plans: Sequence[_Plan], policy: Policy,
    detector: Callable, reader, finder, telling: Telling,
) -> set[int]:
    """Indices of the plans other than black boxes in whose boxes something is still detected or legible."""
    open_plans = [i for i, plan in enumerate(plans) if plan.style != "box"]
    views = images.views_of(radiograph, stored) if made_up.any() else radiograph.views
    visible: set[int] = set()
    for frame in sorted({plans[i].decision.frame for i in open_plans}):
        frame_plans = [i for i in open_plans if plans[i].decision.frame == frame]
        frame_decisions = [plan.decision for plan in plans if plan.decision.frame == frame]
        black = removed[frame] & ~made_up[frame]
        settled_mask = _settled_mask(removed.shape[1:], [plan for plan in plans if plan.decision.frame == frame])
        for view in views:
            image = verify.smoothed(view[frame], black)
            residual = verify.residual(detector, image, frame_decisions, policy, settled_mask | black)
            visible |= _plans_at(residual.xyxy, frame_plans, plans)
            variants = [image] if made_up.any() else [image, np.where(black, np.uint8(0), view[frame])]
            for variant in variants:
                legible = _read(variant, settled_mask, [plans[i].decision for i in frame_plans], reader, finder, telling)
                visible |= _plans_at(legible, frame_plans, plans)
    return visible


def _settled_mask(shape_hw: tuple[int, int], plans: Sequence[_Plan]) -> np.ndarray:
    """(H, W) bool: the boxes of retained laterality markers and entirely black boxes, whose findings need no further action."""
    return verify.explained(shape_hw, [p.decision for p in plans if p.style == "box" or p.decision.action == "keep"])


def _read(
    image: np.ndarray, settled_mask: np.ndarray, decisions: Sequence[Decision], reader, finder, telling: Telling
) -> np.ndarray:
    """(N, 4) source xyxy of legible text in a result: any print in the boxes of some decisions; elsewhere, where nothing has changed since
    the last reading, only certain words and text that matches the header."""
    image, decided_mask = verify.smoothed(image, settled_mask), verify.explained(image.shape, decisions)
    readings = readable_text.read(image, np.array([d.xyxy for d in decisions]), reader)
    if finder:
        readings += [(line,) for line in finder(image)]
    legible = [word for words in readings for word in words if _is_print(word) and verify.unexplained(decided_mask, np.array(word.xyxy)) < 1]
    for words in readings:
        legible += readable_text.clearly(words)
        if telling and telltales.tells([word.text for word in words], telling):
            legible += words
    return np.array([word.xyxy for word in legible], np.float64).reshape(-1, 4)


def _is_print(word: Text) -> bool:
    return word.confidence >= LEAST_SURE and sum(char.isalnum() for char in word.text) >= CHARACTERS


def _plans_at(xyxy: np.ndarray, indices: Sequence[int], plans: Sequence[_Plan]) -> set[int]:
    """Those of the plans `indices` that intersect (N, 4) findings; all of them if one finding intersects none, since its cause is then
    unknown."""
    if not len(xyxy) or not indices:
        return set()
    plan_boxes = np.array([plans[i].decision.xyxy for i in indices], np.float64)
    hits = boxes.intersection(plan_boxes, np.asarray(xyxy, np.float64)) > 0
    return {i for i, hit in zip(indices, np.any(hits, axis=1)) if hit or not hits.any(axis=0).all()}
