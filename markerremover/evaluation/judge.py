"""What a result shows of its annotated markings, from the pixels before and after alone: any tool's results can be judged.

An element's strokes are those of `metrics.element_strokes`. The limits are those of the project's referee:

- a `marker` is removed if at least `metrics.REMOVED_SHARE` of its strokes are black now (`BLACK`) and either were changed, gaps up to
  half its box closed, or were nearly black before;
- a `laterality` is retained if at most `metrics.CHANGED_SHARE` of its strokes changed;
- a changed region is one of at least `LEAST_REGION` pixels after closing gaps of 3 per mille of the longer side; it is false if it
  comes to within 8 per mille of no element;
- anatomy removed is the share of all pixels farther than that from every element that changed;
- a leak is an 8-connected piece of a marker's strokes, `LEAST_HIGH` pixels high or more, that is neither black nor changed now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .. import boxes
from ..records import Annotation, Element
from .metrics import CHANGED_SHARE, NEAR, REMOVED_SHARE, element_strokes

BLACK, WAS_BLACK, CHANGED = 24, 8, 2  # grey levels of 255
LEAST_REGION = 12  # pixels
LEAST_HIGH = 3  # pixels
GAP = 0.003  # of the longer side


@dataclass(frozen=True)
class JudgedElement:
    """One element of the truth in a result.

    scored: whether strokes stand out in its box; without any nothing can be said of it, and it counts nowhere.
    good: a `marker` removed, a `laterality` retained; False for `uncertain`.
    covered: share of its box that is black now, 0-1.  leaks: xywh of pieces that leak, pixels.
    """

    element: Element
    scored: bool
    good: bool
    covered: float
    leaks: tuple[tuple[int, int, int, int], ...] = ()

    @property
    def height_px(self) -> float:
        """The shorter side of its box: the height of a line of print however it is turned."""
        x1, y1, x2, y2 = self.element.xyxy
        return min(x2 - x1, y2 - y1)


@dataclass(frozen=True)
class Judged:
    """One image of the truth and its result.

    missing: there is no result, or one of another size: nothing counts as removed or retained.
    true_regions: number of changed regions near an element.  false_regions: xywh of the others, pixels.
    anatomy_removed: share of pixels, 0-1.
    """

    annotation: Annotation
    elements: tuple[JudgedElement, ...]
    missing: bool
    true_regions: int
    false_regions: tuple[tuple[int, int, int, int], ...]
    anatomy_removed: float


def judge(before: np.ndarray, after: np.ndarray | None, annotation: Annotation, *, fill: bool = False) -> Judged:
    """Judge one result.

    Args:
        before, after: (H, W) uint8, bright = dense; `after` None where there is no result.
        fill: for results whose removed pixels are filled, not black: any change counts as removal.
    """
    missing = after is None or after.shape != before.shape
    now = before if missing else after
    changed = np.abs(before.astype(np.int16) - now) > CHANGED
    near = _near(annotation, before.shape)
    true, false = _regions(changed, near)
    elements = tuple(
        _judged(e, strokes, place, before, now, changed, missing, fill)
        for e, (strokes, place) in zip(annotation.elements, _strokes(before, annotation.elements))
    )
    return Judged(annotation, elements, missing, true, false, float((changed & ~near).mean()))


def _near(annotation: Annotation, shape_hw: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the boxes of all elements, grown by `NEAR`."""
    near, reach = np.zeros(shape_hw, bool), int(NEAR * max(shape_hw))
    for element in annotation.elements:
        x1, y1, x2, y2 = _whole(element, shape_hw)
        near[max(0, y1 - reach) : y2 + reach, max(0, x1 - reach) : x2 + reach] = True
    return near


def _whole(element: Element, shape_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = (int(round(v)) for v in element.xyxy)
    return max(0, x1), max(0, y1), min(shape_hw[1], x2), min(shape_hw[0], y2)


def _closed(mask: np.ndarray, side: int) -> np.ndarray:
    """A mask with gaps smaller than a square of `side` pixels closed."""
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((side | 1, side | 1), np.uint8)) > 0


def _regions(changed: np.ndarray, near: np.ndarray) -> tuple[int, tuple[tuple[int, int, int, int], ...]]:
    if not changed.any():
        return 0, ()
    closed = _closed(changed, max(3, int(GAP * max(changed.shape))))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed.astype(np.uint8))
    touching = set(np.unique(labels[near]).tolist())
    kept = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] >= LEAST_REGION]
    return sum(i in touching for i in kept), tuple(tuple(int(v) for v in stats[i, :4]) for i in kept if i not in touching)


def _strokes(before: np.ndarray, elements: Sequence[Element]) -> list[tuple[np.ndarray, tuple[slice, slice]]]:
    """Each element's strokes as a bool mask of a part of the image, and which part; elements that overlap are looked at together."""
    whole = np.array([_whole(e, before.shape) for e in elements], int).reshape(-1, 4)
    groups = list(range(len(elements)))
    for i, j in zip(*np.nonzero(boxes.intersection(whole.astype(float), whole.astype(float)) > 0)):
        groups = [groups[i] if g == groups[j] else g for g in groups]
    result: list = [None] * len(elements)
    for group in set(groups):
        members = [i for i, g in enumerate(groups) if g == group]
        x1, y1 = np.maximum(whole[members, :2].min(axis=0) - 8, 0)
        x2, y2 = whole[members, 2:].max(axis=0) + 8
        part = before[y1:y2, x1:x2]
        moved = [Element(tuple(np.subtract(whole[i], (x1, y1, x1, y1)).tolist()), elements[i].kind, elements[i].text) for i in members]
        for i, mask in zip(members, element_strokes(part, moved)):
            result[i] = mask, np.s_[y1:y2, x1:x2]
    return result


def _judged(
    element: Element, strokes: np.ndarray, place: tuple[slice, slice], before: np.ndarray, now: np.ndarray, changed: np.ndarray,
    missing: bool, fill: bool,
) -> JudgedElement:
    x1, y1, x2, y2 = _whole(element, before.shape)
    covered = float((now[y1:y2, x1:x2] <= BLACK).mean()) if x2 > x1 and y2 > y1 else 0.0
    if min(x2 - x1, y2 - y1) < 2 or not strokes.any():
        return JudgedElement(element, False, False, covered)
    if element.kind == "laterality":
        return JudgedElement(element, True, not missing and bool(changed[place][strokes].mean() <= CHANGED_SHARE), covered)
    if element.kind != "marker":
        return JudgedElement(element, True, False, covered)
    side = int(max(5, 0.5 * min(x2 - x1, y2 - y1))) | 1
    around = np.s_[max(0, place[0].start - side) : place[0].stop + side, max(0, place[1].start - side) : place[1].stop + side]
    inner = np.s_[place[0].start - around[0].start :, place[1].start - around[1].start :]
    gone = _closed(changed[around], side)[inner][: strokes.shape[0], : strokes.shape[1]]
    if not fill:
        gone = (gone | (before[place] <= WAS_BLACK)) & (now[place] <= BLACK)
    alive = strokes & (now[place] > BLACK) & ~changed[place] & (before[place] > BLACK)
    count, _, stats, _ = cv2.connectedComponentsWithStats(alive.astype(np.uint8), connectivity=8)
    leaks = tuple(
        (int(x + place[1].start), int(y + place[0].start), int(w), int(h)) for x, y, w, h, _ in stats[1:count] if h >= LEAST_HIGH
    )
    return JudgedElement(element, True, bool(gone[strokes].mean() >= REMOVED_SHARE), covered, () if missing else leaks)
