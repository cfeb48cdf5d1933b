"""Compares the detections of two models. Pure functions of detections after non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .. import boxes
from ..errors import ParityError
from ..records import Detections


@dataclass(frozen=True)
class Rule:
    """The tolerance of a comparison.

    min_iou: lowest IoU (0–1) of a pair of boxes.  same_class: whether a pair must be of one class.
    shift_px: largest distance of a pair's corners on either axis, network pixels; None for no limit.
    score: largest difference of a pair's scores; None for no limit.
    edge: a box without a pair is ignored if its score is less than this above the threshold.
    recall: whether no fewer of the planted annotations must be found.
    covered: a box without a pair is ignored if this share of it (0–1) is inside the other model's boxes; None for no such rule.
    """

    name: str
    min_iou: float
    same_class: bool
    shift_px: float | None
    score: float | None
    edge: float
    recall: bool
    covered: float | None = None


SAME_BOXES = Rule("same boxes", 0.5, True, 1.0, 0.01, 0.01, False)
SAME_DECISIONS = Rule("same decisions", 0.5, False, None, None, 0.05, True, 0.7)


@dataclass(frozen=True)
class Comparison:
    """The difference of two sets of detections, in one image or many.

    matched: pairs.  max_shift_px: largest distance of two corners of a pair on either axis, network pixels.
    max_score_difference: largest over the pairs.  missing, extra: boxes of the reference and of the other model without a
    pair.  near_threshold: further boxes without a pair, ignored for their score or since the other model's boxes cover
    them.
    planted: number of known annotations.  planted_found: (by the reference, by the other model).
    """

    matched: int = 0
    max_shift_px: float = 0.0
    max_score_difference: float = 0.0
    missing: int = 0
    extra: int = 0
    near_threshold: int = 0
    planted: int = 0
    planted_found: tuple[int, int] = (0, 0)


def compare(reference: Detections, other: Detections, *, threshold: float, scale: float, rule: Rule,
            planted: np.ndarray | None = None) -> Comparison:
    """Compare the detections of two models in one image.

    Args:
        threshold: of both models, 0–1.
        scale: network pixels per source pixel of the whole image, at most 1 (see `network_scale`).
        planted: (K, 4) xyxy source pixels of the known annotations.
    """
    overlap = boxes.iou(reference.xyxy, other.xyxy)
    if rule.same_class:
        overlap = np.where(reference.class_ids[:, None] == other.class_ids[None, :], overlap, 0.0)
    rows, columns = pairs(overlap, rule.min_iou)
    shift = np.abs(reference.xyxy[rows] - other.xyxy[columns]) * scale
    difference = np.abs(reference.scores[rows] - other.scores[columns])
    unpaired = np.delete(np.arange(len(reference)), rows), np.delete(np.arange(len(other)), columns)
    missing = _count(reference, unpaired[0], other, threshold, rule)
    extra = _count(other, unpaired[1], reference, threshold, rule)
    annotations = np.zeros((0, 4)) if planted is None else planted
    return Comparison(
        len(rows), float(shift.max(initial=0)), float(difference.max(initial=0)), missing, extra,
        len(unpaired[0]) + len(unpaired[1]) - missing - extra, len(annotations),
        (found_of(annotations, reference.xyxy), found_of(annotations, other.xyxy)),
    )


def _count(detections: Detections, unpaired: np.ndarray, other: Detections, threshold: float, rule: Rule) -> int:
    """Number of boxes without a pair that a rule does not ignore."""
    return sum(
        bool(detections.scores[k] >= threshold + rule.edge) and not _explained(detections.xyxy[k], other.xyxy, rule.covered) for k in unpaired)


def _explained(box: np.ndarray, covers: np.ndarray, covered: float | None) -> bool:
    return covered is not None and boxes.covered_share(box, covers) >= covered


def pairs(overlap: np.ndarray, min_iou: float) -> tuple[np.ndarray, np.ndarray]:
    """One-to-one pairs of rows and columns, best overlap first.

    Args:
        overlap: (N, M) IoU.  min_iou: lowest IoU of a pair.

    Returns:
        Row and column indices of the pairs, (P,) int64 each.

    >>> [indices.tolist() for indices in pairs(np.array([[0.6, 0.9], [0.0, 0.8]]), 0.5)]
    [[0], [1]]
    """
    rows: list[int] = []
    columns: list[int] = []
    remaining = overlap.astype(np.float64)
    while remaining.size and remaining.max() >= min_iou:
        row, column = np.unravel_index(int(remaining.argmax()), remaining.shape)
        rows.append(int(row))
        columns.append(int(column))
        remaining[row, :] = remaining[:, column] = -1
    return np.array(rows, np.int64), np.array(columns, np.int64)


def found_of(planted: np.ndarray, xyxy: np.ndarray) -> int:
    """Number of planted boxes (K, 4) with at least half their area inside one of the boxes `xyxy` (N, 4)."""
    if not len(planted) or not len(xyxy):
        return 0
    return int((boxes.intersection(planted, xyxy).max(axis=1) >= 0.5 * boxes.area(planted)).sum())


def network_scale(shape_hw: tuple[int, int], size: int) -> float:
    """Network pixels per source pixel for a whole image of `shape_hw` in a network of side `size`; 1 for enlarged images, so that a
    shift is never larger than in source pixels.

    >>> network_scale((1280, 1000), 640), network_scale((320, 300), 640)
    (0.5, 1.0)
    """
    return min(1.0, size / max(shape_hw))


def total(comparisons: Sequence[Comparison]) -> Comparison:
    """The comparisons of many images as one: counts added, the largest of each difference."""
    def add(name: str) -> int:
        return sum(getattr(one, name) for one in comparisons)

    return Comparison(
        add("matched"), max((one.max_shift_px for one in comparisons), default=0.0),
        max((one.max_score_difference for one in comparisons), default=0.0), add("missing"), add("extra"),
        add("near_threshold"), add("planted"),
        (sum(one.planted_found[0] for one in comparisons), sum(one.planted_found[1] for one in comparisons)),
    )


def check(result: Comparison, rule: Rule, subject: str) -> dict[str, Any]:
    """The result as a card entry, if it satisfies the rule.

    Args:
        subject: the exported model and its backend, for messages.

    Raises:
        ParityError: the rule is broken, or the reference has no detections, so that nothing is compared.
    """
    if not result.matched + result.missing:
        raise ParityError(f"{subject}: the source finds nothing on the samples, so nothing can be compared; give others")
    broken = []
    if result.missing or result.extra:
        broken.append(f"{result.missing} boxes missing and {result.extra} extra beside {result.matched} the same")
    if rule.shift_px is not None and result.max_shift_px > rule.shift_px:
        broken.append(f"a corner is {result.max_shift_px:.2f} network pixels off, allowed is {rule.shift_px:g}")
    if rule.score is not None and result.max_score_difference > rule.score:
        broken.append(f"a score is {result.max_score_difference:.4f} off, allowed is {rule.score:g}")
    if rule.recall and result.planted_found[1] < result.planted_found[0]:
        of_reference, of_model = result.planted_found
        broken.append(f"finds {of_model} of {result.planted} planted annotations, its source {of_reference}")
    if broken:
        raise ParityError(f"{subject}: not the {rule.name}: {'; '.join(broken)}")
    numbers = {key: round(value, 5) if isinstance(value, float) else value for key, value in asdict(result).items()}
    return {"rule": rule.name, **numbers}
