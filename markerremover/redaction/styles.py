"""How what was decided looks in the picture: black boxes, black holes around the print alone, or holes that are filled.

Whatever the style, the boxes are decided and verified first as if all of them were blacked out. Then boxes become smaller or filled one
by one, and the result is looked at and read again: a box in which anything shows is blacked out as a whole after all. The last resort is
the result of style "box", which has passed its own look.
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
#: Confidence and letters or digits from which anything read within a box makes it black; a fill or a hole has no print.
LEAST_SURE, CHARACTERS = 0.5, 2


@dataclass(frozen=True)
class Styled:
    """A redacted radiograph.

    stored: new array, shape and dtype of the input's.  shown: (F, H, W) uint8, as a reader would see it.
    removed: (F, H, W) bool, every pixel whose original is gone.  made_up: (F, H, W) bool, those of them that are filled.
    how: for each decision its style, "box", "mask" or "fill", and "" or why it is not the one asked for.
    """

    stored: np.ndarray
    shown: np.ndarray
    removed: np.ndarray
    made_up: np.ndarray
    how: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Plan:
    """One decision's part: its hole, and whether that is filled or black."""

    decision: Decision
    hole: Hole
    style: str
    reason: str = ""

    def black(self, reason: str) -> _Plan:
        """The whole box black after all."""
        return replace(self, hole=Hole(_whole(self.decision)), style="box", reason=reason)


def styled(
    radiograph: Radiograph, decisions: Sequence[Decision], policy: Policy, detector: Callable, reader, finder, telling: Telling,
    suspect: Callable[[Decision], bool], doubt: str,
) -> Styled:
    """Apply decisions in the style of the policy, "mask" or "fill".

    Args:
        decisions: resolved and verified as black boxes.
        detector, reader, finder: those of the first look; `finder` may be None.
        telling: what of the file's header must not be readable.
        suspect: whether a decision came from a later look: its box is blacked out as a whole.
        doubt: "" or why the result is in doubt: then all boxes are blacked out as wholes.

    Raises:
        HeldError: pixels outside the removed ones changed.
    """
    reason = images.unfillable(radiograph) if policy.style == "fill" else ""
    plans = [_planned(radiograph, d, policy.style, suspect(d), doubt, reason) for d in decisions]
    signs = redact.kept_mask(radiograph.stored.shape[:3], decisions)
    while True:
        removed, made_up = _masks(radiograph, plans, decisions)
        stored = _stored(radiograph, removed, made_up, signs)
        bad = _showing(radiograph, stored, removed, made_up, plans, policy, detector, reader, finder, telling)
        if not bad:
            break
        plans = [plan.black(SHOWS) if i in bad else plan for i, plan in enumerate(plans)]
    shown = images.views_of(radiograph, stored)[0] if made_up.any() else np.where(removed, np.uint8(0), radiograph.display)
    return Styled(stored, shown, removed, made_up, tuple((plan.style, plan.reason) for plan in plans))


def _whole(decision: Decision) -> np.ndarray:
    """(h, w) bool: all that a box removes."""
    x1, y1, x2, y2 = decision.xyxy
    return np.ones((y2 - y1, x2 - x1), bool) if decision.strokes is None else ~decision.strokes


def _planned(radiograph: Radiograph, decision: Decision, style: str, later: bool, doubt: str, unfillable: str) -> _Plan:
    """The first plan for one decision."""
    plan = _Plan(decision, Hole(_whole(decision)), "box")
    if doubt or unfillable or later:
        return plan.black(DOUBTFUL if doubt else unfillable or FOUND_AGAIN)
    hole = word_holes.hole_in([view[decision.frame] for view in radiograph.views], decision)
    if style == "fill":
        return _Plan(decision, hole, "fill", hole.reason)
    return _Plan(decision, hole, "box" if hole.reason else "mask", hole.reason)


def _masks(radiograph: Radiograph, plans: Sequence[_Plan], decisions: Sequence[Decision]) -> tuple[np.ndarray, np.ndarray]:
    """(F, H, W) bool: all removed pixels, and those of them that are made up: in no hole that is black."""
    shape = radiograph.stored.shape[:3]
    removed, black = np.zeros(shape, bool), np.zeros(shape, bool)
    for plan in plans:
        x1, y1, x2, y2 = plan.decision.xyxy
        for mask in (removed, *((black,) if plan.style != "fill" else ())):
            mask[plan.decision.frame, y1:y2, x1:x2] |= plan.hole.mask
    allowed = redact.removed_mask(shape, decisions)  # strokes that one decision keeps survive in the holes of others
    return removed & allowed, removed & allowed & ~black


def _stored(radiograph: Radiograph, removed: np.ndarray, made_up: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """The new pixels: what is removed is blacked out first, so that no fill can see it."""
    blacked = redact.black_out(radiograph.stored, removed, radiograph.fill)
    verify.check_pixels(radiograph.stored, blacked, removed, radiograph.fill)
    if not made_up.any():
        return blacked
    new = inpaint.filled(blacked, made_up, removed, signs)
    changed = (new != blacked).reshape(*blacked.shape[:3], -1).any(axis=3)
    if new.shape != blacked.shape or new.dtype != blacked.dtype or (changed & ~made_up).any():
        raise HeldError("a fill changed pixels outside the removed areas")
    return new


def _showing(
    radiograph: Radiograph, stored: np.ndarray, removed: np.ndarray, made_up: np.ndarray, plans: Sequence[_Plan], policy: Policy,
    detector: Callable, reader, finder, telling: Telling,
) -> set[int]:
    """Indices of the plans, of those that are no black boxes, in whose boxes something still shows."""
    open_plans = [i for i, plan in enumerate(plans) if plan.style != "box"]
    views = images.views_of(radiograph, stored) if made_up.any() else radiograph.views
    bad: set[int] = set()
    for frame in sorted({plans[i].decision.frame for i in open_plans}):
        here = [i for i in open_plans if plans[i].decision.frame == frame]
        own = [plan.decision for plan in plans if plan.decision.frame == frame]
        black = removed[frame] & ~made_up[frame]
        settled = _settled(removed.shape[1:], [plan for plan in plans if plan.decision.frame == frame])
        for view in views:
            look = verify.smoothed(view[frame], black)
            found = verify.residual(detector, look, own, policy, settled | black)
            bad |= _at(found.xyxy, here, plans)
            shapes = [look] if made_up.any() else [look, np.where(black, np.uint8(0), view[frame])]
            for shape in shapes:
                bad |= _at(_read(shape, settled, [plans[i].decision for i in here], reader, finder, telling), here, plans)
    return bad


def _settled(shape_hw: tuple[int, int], plans: Sequence[_Plan]) -> np.ndarray:
    """(H, W) bool: the boxes of retained laterality markers, and those that are black as wholes: what is found there has been dealt with."""
    return verify.explained(shape_hw, [p.decision for p in plans if p.style == "box" or p.decision.action == "keep"])


def _read(
    look: np.ndarray, settled: np.ndarray, decisions: Sequence[Decision], reader, finder, telling: Telling
) -> np.ndarray:
    """(N, 4) source boxes of what can be read in a result: any print in the boxes of some decisions, elsewhere, where nothing has
    changed since it was read before, words beyond doubt only."""
    look, within = verify.smoothed(look, settled), verify.explained(look.shape, decisions)
    readings = readable_text.read(look, np.array([d.xyxy for d in decisions]), reader)
    if finder:
        readings += [(line,) for line in finder(look)]
    found = [word for words in readings for word in words if _is_print(word) and verify.unexplained(within, np.array(word.xyxy)) < 1]
    for words in readings:
        found += readable_text.clearly(words)
        if telling and telltales.tells([word.text for word in words], telling):
            found += words
    return np.array([word.xyxy for word in found], np.float64).reshape(-1, 4)


def _is_print(word: Text) -> bool:
    return word.confidence >= LEAST_SURE and sum(char.isalnum() for char in word.text) >= CHARACTERS


def _at(xyxy: np.ndarray, indices: Sequence[int], plans: Sequence[_Plan]) -> set[int]:
    """Which of some plans lie where something was found; all of them if none lies there, for then nobody knows why it shows."""
    if not len(xyxy) or not indices:
        return set()
    own = np.array([plans[i].decision.xyxy for i in indices], np.float64)
    hits = boxes.intersection(own, np.asarray(xyxy, np.float64)) > 0
    return {i for i, hit in zip(indices, hits.any(axis=1)) if hit or not hits.any(axis=0).all()}
