"""What a result still shows of its burned-in annotations, judged from the pixels before and after alone: results of any tool can be judged.

An element's strokes are those of `metrics.element_strokes`. The limits are those of the project's referee:

- a `marker` is removed if at least `metrics.REMOVED_SHARE` of its strokes are black in the result (`BLACK`) and either were changed (gaps
  up to half its box are closed) or were nearly black before;
- a `laterality` is retained if at most `metrics.CHANGED_SHARE` of its strokes changed;
- a changed region is one of at least `LEAST_REGION` pixels after closing gaps of 3 per mille of the longer side; it is a
  false positive if it is farther than 8 per mille from every element;
- anatomy removed is the share of all pixels farther than that from every element that changed;
- a leak is an 8-connected piece of a marker's strokes, `LEAST_HIGH` pixels high or more, that is neither black nor changed in the result.

A fill may have the brightness of the print that it replaces, which looks like a leak and is none, since it was made without seeing the print. Where a
run's manifest says which pixels were removed, these count as changed; how often they look as before is told apart (`JudgedElement.alike`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .. import boxes
from ..records import LATERALITY, MARKER, Annotation, Element
from .metrics import CHANGED_SHARE, NEAR, REMOVED_SHARE, element_strokes

BLACK, WAS_BLACK, CHANGED = 24, 8, 2  # limits in grey levels of 255: black in the result, nearly black before, difference that is a change
LEAST_REGION = 12  # smallest area of a changed region, pixels
LEAST_HIGH = 3  # smallest height of a leak, pixels
GAP = 0.003  # largest gap closed within a changed region, as a fraction of the image's longer side


@dataclass(frozen=True)
class JudgedElement:
    """One element of the truth in a result.

    scored: whether strokes stand out in its box; an element without strokes cannot be judged and is not counted.
    good: a `marker` removed, a `laterality` retained; False for `uncertain`.
    covered: share of its box that is black in the result, 0-1.  leaks: xywh of leaking pieces, source pixels.
    alike: whether pieces of its strokes would be leaks, had they not been removed and filled with about their own brightness.
    """

    element: Element
    scored: bool
    good: bool
    covered: float
    leaks: tuple[tuple[int, int, int, int], ...] = ()
    alike: bool = False

    @property
    def height_px(self) -> float:
        """The shorter side of its box in source pixels: the height of a line of print in any orientation."""
        x1, y1, x2, y2 = self.element.xyxy
        return min(x2 - x1, y2 - y1)


@dataclass(frozen=True)
class Judged:
    """One image of the truth and its result.

    missing: there is no result, or its size differs: nothing counts as removed or retained.
    true_regions: number of changed regions near an element.  false_regions: xywh of the others, source pixels.
    anatomy_removed: share of all pixels, 0-1.
    """

    annotation: Annotation
    elements: tuple[JudgedElement, ...]
    missing: bool
    true_regions: int
    false_regions: tuple[tuple[int, int, int, int], ...]
    anatomy_removed: float


def judge(
    before: np.ndarray, after: np.ndarray | None, annotation: Annotation, *, fill: bool = False, removed: np.ndarray | None = None,
) -> Judged:
    """Judge one result.

    Args:
        before, after: (H, W) uint8, bright = dense; `after` None where there is no result.
        annotation: xyxy in the pixels of `before`.
        fill: for results whose removed pixels are filled, not black: any change counts as removal.
        removed: (H, W) bool, what the manifest of the run says was removed, which counts as changed; None where there is none.

    Returns:
        One `JudgedElement` per element, in the annotation's order; boxes in the pixels of `before`.
    """
    missing = after is None or after.shape != before.shape
    result = before if after is None or missing else after
    differing = np.abs(before.astype(np.int16) - result) > CHANGED
    changed = differing if removed is None or missing else differing | removed
    vicinity = _near(annotation, before.shape)
    true, false = _regions(changed, vicinity)
    elements = tuple(
        _judged(e, strokes, place, before, result, changed, differing, missing, fill)
        for e, (strokes, place) in zip(annotation.elements, _strokes(before, annotation.elements))
    )
    return Judged(annotation, elements, missing, true, false, float((changed & ~vicinity).mean()))


def _near(annotation: Annotation, shape_hw: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the boxes of all elements, grown by `NEAR`."""
    vicinity, reach = np.zeros(shape_hw, bool), int(NEAR * max(shape_hw))
    for element in annotation.elements:
        x1, y1, x2, y2 = _whole(element, shape_hw)
        vicinity[max(0, y1 - reach) : y2 + reach, max(0, x1 - reach) : x2 + reach] = True
    return vicinity


def _whole(element: Element, shape_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """An element's box in whole pixels, clipped to the image."""
    x1, y1, x2, y2 = (int(round(v)) for v in element.xyxy)
    return max(0, x1), max(0, y1), min(shape_hw[1], x2), min(shape_hw[0], y2)


def _closed(mask: np.ndarray, side: int) -> np.ndarray:
    """A mask with gaps smaller than a square of `side` pixels closed."""
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((side | 1, side | 1), np.uint8)) > 0


def _regions(changed: np.ndarray, vicinity: np.ndarray) -> tuple[int, tuple[tuple[int, int, int, int], ...]]:
    """Number of changed regions near an element, and xywh of the others."""
    if not changed.any():
        return 0, ()
    closed = _closed(changed, max(3, int(GAP * max(changed.shape))))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed.astype(np.uint8))
    touching = set(np.unique(labels[vicinity]).tolist())
    large = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] >= LEAST_REGION]
    return sum(i in touching for i in large), tuple(_xywh(stats[i]) for i in large if i not in touching)


def _xywh(stats: np.ndarray) -> tuple[int, int, int, int]:
    """The box of a component, from its row of OpenCV's statistics."""
    x, y, w, h = (int(v) for v in stats[:4])
    return x, y, w, h


def _strokes(before: np.ndarray, elements: Sequence[Element]) -> list[tuple[np.ndarray, tuple[slice, slice]]]:
    """Each element's strokes as a bool mask of a part of the image, and which part; overlapping elements are processed together."""
    pixel_boxes = np.array([_whole(e, before.shape) for e in elements], int).reshape(-1, 4)
    groups = list(range(len(elements)))
    for i, j in zip(*np.nonzero(boxes.intersection(pixel_boxes.astype(float), pixel_boxes.astype(float)) > 0)):
        groups = [groups[i] if g == groups[j] else g for g in groups]
    result: list = [None] * len(elements)
    for group in set(groups):
        members = [i for i, g in enumerate(groups) if g == group]
        x1, y1 = np.maximum(pixel_boxes[members, :2].min(axis=0) - 8, 0)
        x2, y2 = pixel_boxes[members, 2:].max(axis=0) + 8
        part = before[y1:y2, x1:x2]
        shifted = [Element(tuple(np.subtract(pixel_boxes[i], (x1, y1, x1, y1)).tolist()), elements[i].kind, elements[i].text) for i in members]
        for i, mask in zip(members, element_strokes(part, shifted)):
            result[i] = mask, np.s_[y1:y2, x1:x2]
    return result


def _judged(
    element: Element, strokes: np.ndarray, place: tuple[slice, slice], before: np.ndarray, result: np.ndarray, changed: np.ndarray,
    differing: np.ndarray, missing: bool, fill: bool,
) -> JudgedElement:
    x1, y1, x2, y2 = _whole(element, before.shape)
    covered = float((result[y1:y2, x1:x2] <= BLACK).mean()) if x2 > x1 and y2 > y1 else 0.0
    if min(x2 - x1, y2 - y1) < 2 or not strokes.any():
        return JudgedElement(element, False, False, covered)
    if element.kind == LATERALITY:
        return JudgedElement(element, True, not missing and bool(changed[place][strokes].mean() <= CHANGED_SHARE), covered)
    if element.kind != MARKER:
        return JudgedElement(element, True, False, covered)
    side = int(max(5, 0.5 * min(x2 - x1, y2 - y1))) | 1
    around = np.s_[max(0, place[0].start - side) : place[0].stop + side, max(0, place[1].start - side) : place[1].stop + side]
    inner = np.s_[place[0].start - around[0].start :, place[1].start - around[1].start :]
    removed = _closed(changed[around], side)[inner][: strokes.shape[0], : strokes.shape[1]]
    if not fill:
        removed = (removed | (before[place] <= WAS_BLACK)) & (result[place] <= BLACK)
    bright = strokes & (result[place] > BLACK) & (before[place] > BLACK)
    leaks, as_before = ([(int(x + place[1].start), int(y + place[0].start), w, h) for x, y, w, h in _pieces(bright & ~seen[place])] for seen in (changed, differing))
    good = bool(removed[strokes].mean() >= REMOVED_SHARE)
    return JudgedElement(element, True, good, covered, () if missing else tuple(leaks), not missing and len(as_before) > len(leaks))


def _pieces(mask: np.ndarray) -> list[tuple[int, int, int, int]]:
    """xywh of the 8-connected pieces of a mask that are `LEAST_HIGH` pixels high or more."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return [_xywh(row) for row in stats[1:count] if row[3] >= LEAST_HIGH]
