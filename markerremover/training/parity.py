"""Does one model find what another finds? Pure arithmetic on detections, after non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from .. import boxes
from ..errors import ParityError
from ..records import Detections


@dataclass(frozen=True)
class Rule:
    """What counts as finding the same.

    min_iou: from which IoU (0–1) two boxes are a pair.  same_class: whether a pair must also be of one class.
    shift_px: how far a corner may lie from its pair's on either axis, network pixels; None does not ask.
    score: how far apart the scores of a pair may be; None does not ask.
    edge: a box without a pair is passed over if its score is less than this above the threshold.
    recall: whether the planted markings found must not become fewer.
    covered: a box without a pair is passed over if so much of it (0–1) lies in the other model's boxes; None does not ask.
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
    """How two sets of detections differ, over one image or many.

    matched: pairs.  max_shift_px: largest distance of two corners of a pair on either axis, network pixels.
    max_score_difference: largest over the pairs.  missing, extra: boxes of the reference and of the other model without a
    pair.  near_threshold: further boxes without a pair, passed over for their score or since the other model's boxes cover
    them.
    planted: markings known to be there; planted_found: (by the reference, by the other model).
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
    """Compare what two models found in one image.

    Args:
        threshold: operating point that both ran at, 0–1.
        scale: network pixels per source pixel of the coarsest look, at most 1 (see `network_scale`).
        planted: (K, 4) source pixels, markings known to be there.
    """
    overlap = boxes.iou(reference.xyxy, other.xyxy)
    if rule.same_class:
        overlap = np.where(reference.class_ids[:, None] == other.class_ids[None, :], overlap, 0.0)
    first, second = pairs(overlap, rule.min_iou)
    shift = np.abs(reference.xyxy[first] - other.xyxy[second]) * scale
    difference = np.abs(reference.scores[first] - other.scores[second])
    alone = [np.delete(np.arange(len(found)), used) for found, used in ((reference, first), (other, second))]
    counted = [
        sum(bool(found.scores[k] >= threshold + rule.edge) and not _explained(found.xyxy[k], its.xyxy, rule.covered) for k in lone)
        for lone, found, its in zip(alone, (reference, other), (other, reference))
    ]
    known = np.zeros((0, 4)) if planted is None else planted
    return Comparison(
        len(first), float(shift.max(initial=0)), float(difference.max(initial=0)), *counted,
        len(alone[0]) + len(alone[1]) - sum(counted), len(known), (found_of(known, reference.xyxy), found_of(known, other.xyxy)),
    )


def _explained(box: np.ndarray, others: np.ndarray, covered: float | None) -> bool:
    return covered is not None and boxes.covered_share(box, others) >= covered


def pairs(overlap: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """One-to-one pairs of rows and columns, best overlap first.

    Args:
        overlap: (N, M) IoU.  least: from which IoU two are a pair.

    >>> [found.tolist() for found in pairs(np.array([[0.6, 0.9], [0.0, 0.8]]), 0.5)]
    [[0], [1]]
    """
    rows, columns, left = [], [], overlap.astype(np.float64)
    while left.size and left.max() >= least:
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        rows.append(int(row)), columns.append(int(column))
        left[row, :] = left[:, column] = -1
    return np.array(rows, np.int64), np.array(columns, np.int64)


def found_of(planted: np.ndarray, xyxy: np.ndarray) -> int:
    """How many of the planted boxes (K, 4) have at least half their area under one of the boxes `xyxy` (N, 4)."""
    if not len(planted) or not len(xyxy):
        return 0
    return int((boxes.intersection(planted, xyxy).max(axis=1) >= 0.5 * boxes.area(planted)).sum())


def network_scale(shape_hw: tuple[int, int], size: int) -> float:
    """Network pixels per source pixel when an image of `shape_hw` is seen whole by a network of side `size`; 1 for images
    that are shown enlarged, so that a shift is never more than it is in source pixels.

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
        add("near_threshold"), add("planted"), tuple(sum(one.planted_found[i] for one in comparisons) for i in (0, 1)),
    )


def check(result: Comparison, rule: Rule, what: str) -> dict:
    """The result as a card entry, if it keeps the rule.

    Args:
        what: names the exported model and what runs it, for the message.

    Raises:
        ParityError: the rule is broken, or the reference found nothing, which would prove nothing.
    """
    if not result.matched + result.missing:
        raise ParityError(f"{what}: the source finds nothing on the samples, so nothing can be compared; give others")
    broken = []
    if result.missing or result.extra:
        broken.append(f"{result.missing} boxes missing and {result.extra} extra beside {result.matched} the same")
    if rule.shift_px is not None and result.max_shift_px > rule.shift_px:
        broken.append(f"a corner is {result.max_shift_px:.2f} network pixels off, allowed is {rule.shift_px:g}")
    if rule.score is not None and result.max_score_difference > rule.score:
        broken.append(f"a score is {result.max_score_difference:.4f} off, allowed is {rule.score:g}")
    if rule.recall and result.planted_found[1] < result.planted_found[0]:
        before, after = result.planted_found
        broken.append(f"finds {after} of {result.planted} planted markings, its source {before}")
    if broken:
        raise ParityError(f"{what}: not the {rule.name}: {'; '.join(broken)}")
    numbers = {key: round(value, 5) if isinstance(value, float) else value for key, value in asdict(result).items()}
    return {"rule": rule.name, **numbers}
