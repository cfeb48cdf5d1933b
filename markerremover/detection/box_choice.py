"""Which boxes count: text regions beside the localizer's boxes, loose boxes, and weaker ones beside a sure annotation. Pure functions."""

from __future__ import annotations

import numpy as np

from .. import boxes
from ..records import LATERALITY, Detections

NMS_IOU = 0.6  # IoU of the non-maximum suppression; higher than usual, so that a letter and the plate around it remain two findings
BESIDE, BESIDE_AREA = 0.3, 2.5  # greatest gap between a laterality marker and its initials, in its longer sides; greatest area of those, in its area
WORD_ASPECT = 1.5  # least aspect ratio of a box that may hold a word, horizontal or vertical
LINE_GAP, LINE_SHARED, LINE_HIGHER = 1.5, 0.6, 1.6  # gap, share of the lower one and ratio of heights of boxes in one line
SAME_IOU, SAME_SHARE = 0.5, 0.7  # IoU with a laterality marker, and share of a box in one, above which the box is a duplicate of it
COVERED = 0.7  # share of a box in better ones of its class from which the box is loose


def with_regions(found: Detections, regions: np.ndarray, score: float) -> Detections:
    """Detections and, behind them, the text regions that agree with none of them (`NMS_IOU`).

    A region that may hold a single letter is a candidate for a laterality marker, one that may hold a word (`WORD_ASPECT`) is not.

    Args:
        found: of a frame, best first.  regions: (N, 4) source pixels.  score: raw score of a region, the localizer's least.
    """
    new = regions[(boxes.iou(regions, found.xyxy.astype(np.float64)) <= NMS_IOU).all(axis=1)]
    sides = new[:, 2:] - new[:, :2]
    is_word = sides.max(axis=1) >= WORD_ASPECT * sides.min(axis=1)
    letter = found.class_names.index(LATERALITY) if LATERALITY in found.class_names else 0
    word = next((k for k, name in enumerate(found.class_names) if name != LATERALITY), 0)
    return Detections(
        np.concatenate([found.xyxy, new.astype(np.float32)]), np.concatenate([found.scores, np.full(len(new), score, np.float32)]),
        np.concatenate([found.class_ids, np.where(is_word, word, letter)]), found.class_names,
        np.concatenate([found.is_loose, np.zeros(len(new), bool)]))


def covered_by_better(xyxy: np.ndarray, class_ids: np.ndarray) -> np.ndarray:
    """(N,) bool: loose boxes, those that lie mostly (`COVERED`) in earlier ones of their class that are not loose.

    Many boxes around one letter have similar scores, and non-maximum suppression keeps those that differ in size.

    Args:
        xyxy: (N, 4) source pixels, best first.  class_ids: (N,).
    """
    loose = np.zeros(len(xyxy), bool)
    for k, box in enumerate(xyxy):
        better = [j for j in range(k) if not loose[j] and class_ids[j] == class_ids[k]]
        loose[k] = boxes.covered_share(box, xyxy[better]) >= COVERED
    return loose


def sure_or_beside(found: Detections, threshold: float) -> Detections:
    """Detections that score at least `threshold`, and those beside a laterality marker that does: at most `BESIDE` of the marker's longer
    side from it, not much larger (`BESIDE_AREA`), and not a duplicate of it; or in one line with a word that does, see `in_line`."""
    is_sure = found.scores >= threshold
    if is_sure.all():
        return found
    xyxy = found.xyxy.astype(np.float64)
    is_marker = np.array([found.class_names[c] == LATERALITY for c in found.class_ids], bool)
    chosen = is_sure | in_line(xyxy, xyxy[is_sure & ~is_marker]).any(axis=1)
    markers = xyxy[is_sure & is_marker]
    reach = BESIDE * (markers[:, 2:] - markers[:, :2]).max(axis=1, initial=0)
    gap = np.maximum(xyxy[:, None, :2] - markers[None, :, 2:], markers[None, :, :2] - xyxy[:, None, 2:]).max(axis=2)
    shared = boxes.intersection(xyxy, markers)
    is_duplicate = (boxes.iou(xyxy, markers) > SAME_IOU) | (shared > SAME_SHARE * boxes.area(xyxy)[:, None])
    small = boxes.area(xyxy)[:, None] <= BESIDE_AREA * boxes.area(markers)
    return found.chosen(chosen | ((gap <= reach) & small & ~is_duplicate).any(axis=1))


def in_line(xyxy: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N, M) bool: whether a box may hold the next word of a line of text: it is beside a wide box, or above or below a high one, at
    most `LINE_GAP` of the line's height away and of similar height.

    Args:
        xyxy: (N, 4) source pixels.  others: (M, 4), the words.
    """
    result = np.zeros((len(xyxy), len(others)), bool)
    for along in (0, 1):
        across = 1 - along
        height, other_height = (b[:, across + 2] - b[:, across] for b in (xyxy, others))
        is_word = others[:, along + 2] - others[:, along] >= WORD_ASPECT * other_height
        shared = np.minimum(xyxy[:, None, across + 2], others[None, :, across + 2]) - np.maximum(xyxy[:, None, across], others[None, :, across])
        low, high = np.minimum(height[:, None], other_height), np.maximum(height[:, None], other_height)
        gap = np.maximum(xyxy[:, None, along] - others[None, :, along + 2], others[None, :, along] - xyxy[:, None, along + 2])
        result |= is_word & (shared >= LINE_SHARED * low) & (high <= LINE_HIGHER * low) & (gap <= LINE_GAP * low) & (gap > -0.5 * low)
    return result
