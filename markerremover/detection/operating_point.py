"""The operating point of a localizer from its raw scores on labelled radiographs: precision-recall curve, threshold and calibration.

Recall counts *elements*, as removal does: an element is found when the boxes above the threshold, grown by the policy's margin,
together cover `COVERED` of it. Precision counts *boxes*: one is a true positive when it touches an annotated element; boxes that touch
only `uncertain` regions, those that lie mostly in a better one, and far too large ones are not counted. What a false box costs is the
anatomy it takes away: the operating point weighs it by the share of anatomy around it, see `background`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from .. import boxes
from ..records import UNCERTAIN, Annotation, Detections, Policy
from . import background

COVERED = 0.95  # least covered share of a found element
FLOOR = 0.01  # least score of the boxes that are evaluated
LOOSE = 0.1  # share of a box in elements below which, though it touches one, it is not counted
DUPLICATE_SHARE = 0.5  # share of a box in a better one above which it is not counted
NEAR = 0.008  # greatest gap between a box and an element that it touches, as a fraction of the image's longer side
BESIDE_MARKER = 0.3  # least calibrated score of a box beside a laterality marker, see `box_choice.sure_or_beside`
TINY = 1e-6  # least distance of a probability from 0 and 1, which keeps logits finite


@dataclass(frozen=True)
class Found:
    """A localizer's results on labelled images, pooled.

    elements: (E,) highest score threshold at which each element is covered, 0 for elements that are not.
    scores, true, classes: (N,) of every counted box: its score, whether it touches an element, its class index.
    anatomy: (N,) share (0–1) of the ground around each of these boxes that is anatomy.
    """

    elements: np.ndarray
    scores: np.ndarray
    true: np.ndarray
    classes: np.ndarray
    anatomy: np.ndarray

    @classmethod
    def pooled(cls, parts: Iterable[Found]) -> Found:
        """The results of several parts as one, in order."""
        parts = list(parts)
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) if parts else np.zeros(0) for f in fields(cls)))


def found_in(detections: Detections, annotation: Annotation, policy: Policy = Policy(), anatomy: np.ndarray | None = None) -> Found:
    """The results on one image.

    Args:
        detections: every box that scores at least `FLOOR`.
        annotation: the truth, in the same source pixels.
        policy: its margins are used.
        anatomy: (N,) share of anatomy (0–1) around each detection, 1 unless given.
    """
    shape = annotation.shape_hw
    order = np.argsort(-detections.scores, kind="stable")
    xyxy, scores = detections.xyxy[order].astype(np.float64), detections.scores[order].astype(np.float64)
    grown = boxes.widen(xyxy, policy.margin, policy.margin_px, shape)
    certain = [e for e in annotation.elements if e.kind != UNCERTAIN]
    elements = np.array([_covered_from(np.array(e.xyxy), grown, scores) for e in certain], dtype=np.float64)
    margin = NEAR * max(shape) * np.array([-1, -1, 1, 1])
    kinds = np.array([e.kind != UNCERTAIN for e in annotation.elements], bool)
    regions = np.array([e.xyxy for e in annotation.elements], np.float64).reshape(-1, 4) + margin
    touches = boxes.intersection(xyxy, regions) > 0
    true = np.any(touches[:, kinds], axis=1)
    is_duplicate = np.triu(boxes.intersection(xyxy, xyxy).T, 1).max(axis=0, initial=0) > DUPLICATE_SHARE * boxes.area(xyxy)
    extents = np.array([e.xyxy for e in annotation.elements], np.float64).reshape(-1, 4)
    is_loose = true & (boxes.intersection(xyxy, extents).sum(axis=1) < LOOSE * boxes.area(xyxy))
    is_counted = (true | ~touches.any(axis=1)) & ~is_duplicate & ~is_loose
    return Found(elements, scores[is_counted], true[is_counted], detections.class_ids[order][is_counted],
                 (np.ones(len(order)) if anatomy is None else anatomy)[order][is_counted])


def wrong(detections: Detections, annotation: Annotation, policy: Policy = Policy()) -> list[tuple[float, float, float, float]]:
    """Source xyxy of the false-positive boxes, see `false_boxes`, and of the missed elements, see `missed`."""
    return [*false_boxes(detections, annotation), *missed(detections, annotation, policy)]


def false_boxes(detections: Detections, annotation: Annotation) -> list[tuple[float, float, float, float]]:
    """Source xyxy of the false-positive boxes: those that touch no annotated region, not even an uncertain one."""
    margin = NEAR * max(annotation.shape_hw) * np.array([-1, -1, 1, 1])
    regions = np.array([e.xyxy for e in annotation.elements], np.float64).reshape(-1, 4) + margin
    is_unmatched = ~(boxes.intersection(detections.xyxy.astype(np.float64), regions) > 0).any(axis=1)
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in detections.xyxy[is_unmatched].tolist()]


def missed(detections: Detections, annotation: Annotation, policy: Policy = Policy()) -> list[tuple[float, float, float, float]]:
    """Source xyxy of the elements, without uncertain ones, that the boxes do not cover."""
    certain = [e for e in annotation.elements if e.kind != UNCERTAIN]
    return [e.xyxy for e, c in zip(certain, found_in(detections, annotation, policy).elements) if not c]


def _covered_from(element: np.ndarray, grown: np.ndarray, scores: np.ndarray) -> float:
    """Score of the box, best first, with which `COVERED` of one element is covered; 0 if it never is."""
    x1, y1, x2, y2 = np.round(element).astype(int)
    mask = np.zeros((max(1, y2 - y1), max(1, x2 - x1)), bool)
    for (a, b, c, d), score in zip(grown, scores):
        if a < x2 and b < y2 and c > x1 and d > y1:
            mask[max(0, b - y1) : max(0, d - y1), max(0, a - x1) : max(0, c - x1)] = True
            if mask.mean() >= COVERED:
                return float(score)
    return 0.0


DetectedImages = Sequence[tuple[Detections, Annotation, np.ndarray]]
"""For each image, the detections that score at least `FLOOR`, the truth, and the share of anatomy around each detection."""


def gather(detector: Callable[..., Detections], samples: Iterable[tuple[np.ndarray, Annotation]]) -> DetectedImages:
    """Run a localizer, called as detector(display, threshold), over (display (H, W) uint8, annotation) pairs."""
    found = ((detector(display, FLOOR), annotation, display) for display, annotation in samples)
    return [(detections, annotation, background.anatomy_around(display, detections.xyxy)) for detections, annotation, display in found]


def found(samples: DetectedImages, calibration: Sequence[Calibration] = ()) -> Found:
    """The pooled results on some images, after calibration if one per class is given."""
    return Found.pooled(found_in(_calibrated(d, calibration) if calibration else d, a, anatomy=s) for d, a, s in samples)


def _calibrated(detections: Detections, calibration: Sequence[Calibration]) -> Detections:
    scores = np.array([calibration[c](np.float64(s)) for s, c in zip(detections.scores, detections.class_ids)], np.float64)
    return replace(detections, scores=scores)


def summary(groups: dict[str, DetectedImages], class_names: Sequence[str], most_false: float) -> dict[str, object]:
    """A card's entries for the operating point: `threshold`, `beside_marker`, `calibration`, `curve`, and `operating_point` with the rule and
    the rates.

    Args:
        groups: name → detections with raw scores and the truth.
        class_names: of the localizer, in order; each is calibrated separately.
        most_false: see `choose_threshold`.
    """
    raw = {name: found(samples) for name, samples in groups.items()}
    pooled = Found.pooled(raw.values())
    calibration = [fit_calibration(pooled.scores[pooled.classes == c], pooled.true[pooled.classes == c]) for c in range(len(class_names))]
    calibrated = {name: found(samples, calibration) for name, samples in groups.items()}
    threshold = choose_threshold(calibrated.values(), most_false)
    all_calibrated = Found.pooled(calibrated.values())
    return {
        "threshold": threshold,
        "beside_marker": min(threshold, BESIDE_MARKER),
        "calibration": {name: {"slope": c.slope, "offset": c.offset} for name, c in zip(class_names, calibration)},
        "operating_point": {
            "rule": f"the lowest threshold, for most recall, at which at most {most_false:.0%} of the boxes of every group are false and lie on anatomy",
            "at": {name: {**curve(g, [threshold])[0], "false_on_anatomy": round(false_on_anatomy(g, threshold), 4), "elements": len(g.elements), "boxes": int((g.scores >= threshold).sum())}
                   for name, g in calibrated.items()},
            "average_precision": round(average_precision(all_calibrated), 4),
            "calibration_error": {"raw": round(calibration_error(pooled.scores, pooled.true), 4),
                                  "calibrated": round(calibration_error(all_calibrated.scores, all_calibrated.true), 4)},
            "reliability": reliability(all_calibrated.scores, all_calibrated.true),
        },
        "curve": curve(all_calibrated, np.round(np.arange(0.05, 0.96, 0.05), 2)),
    }


def curve(part: Found, thresholds: Iterable[float]) -> list[dict[str, float]]:
    """Recall of elements and precision of boxes (0–1) at each threshold; precision is 1 where there is no box, recall 0 without elements."""
    rows = []
    for t in thresholds:
        chosen = part.true[part.scores >= t]
        recall = float((part.elements >= t).mean()) if len(part.elements) else 0.0
        rows.append({"threshold": round(float(t), 4), "recall": round(recall, 4), "precision": round(float(chosen.mean()) if len(chosen) else 1.0, 4)})
    return rows


def average_precision(part: Found) -> float:
    """Area under the precision-recall curve, precision made monotone, over all distinct scores (0–1)."""
    thresholds = np.unique(np.concatenate([part.scores, part.elements[part.elements > 0]]))[::-1]
    if not len(thresholds) or not len(part.elements):
        return 0.0
    rows = curve(part, thresholds)
    recall = np.array([0.0] + [r["recall"] for r in rows])
    precision = np.array([r["precision"] for r in rows])
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall) * precision).sum())


def choose_threshold(groups: Iterable[Found], most_false: float, *, lowest: float = 0.05, highest: float = 0.9) -> float:
    """The lowest threshold with a limited share of false positives on anatomy.

    Args:
        groups: each has to keep the limit.
        most_false: greatest share (0–1) of false-positive boxes, see `false_on_anatomy`.
        lowest, highest: range of the thresholds.

    Returns:
        The threshold, two decimals; `highest` if no lower one keeps the limit.
    """
    groups = list(groups)
    for t in np.round(np.arange(lowest, highest, 0.01), 2):
        if all(false_on_anatomy(g, t) <= most_false for g in groups):
            return float(t)
    return float(highest)


def false_on_anatomy(part: Found, threshold: float) -> float:
    """Share (0–1) of the boxes at a threshold that are false, each false one counted by its share of anatomy; 0 where there is none."""
    is_chosen = part.scores >= threshold
    false, true = float(part.anatomy[is_chosen & ~part.true].sum()), int((is_chosen & part.true).sum())
    return false / (false + true) if false else 0.0


@dataclass(frozen=True)
class Calibration:
    """Platt's scaling of the logit: probability = sigmoid(slope · logit(score) + offset). Strictly increasing (slope > 0)."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Probabilities (0–1) of raw scores (0–1), any shape."""
        return sigmoid(self.slope * logit(scores) + self.offset)

    def raw(self, probability: float) -> float:
        """The raw score (0–1) whose calibrated value is `probability`."""
        return float(sigmoid((logit(np.float64(probability)) - self.offset) / self.slope))


def fit_calibration(scores: np.ndarray, true: np.ndarray) -> Calibration:
    """Platt's scaling by maximum likelihood (Platt 1999), with his smoothed targets.

    Args:
        scores: (N,) raw, 0–1.  true: (N,) bool, whether each box is a true positive.

    Returns:
        The calibration, four decimals; the identity unless there are true and false positives.
    """
    from scipy.optimize import minimize

    true = np.asarray(true, bool)
    if true.all() or not true.any():
        return Calibration()
    x = logit(np.asarray(scores, np.float64))
    n, m = int(true.sum()), int((~true).sum())
    target = np.where(true, (n + 1) / (n + 2), 1 / (m + 2))

    def loss(p: np.ndarray) -> float:
        z = np.exp(p[0]) * x + p[1]
        return float((np.logaddexp(0, z) - target * z).sum())

    log_slope, offset = minimize(loss, np.zeros(2), method="BFGS").x
    return Calibration(round(float(np.exp(log_slope)), 4), round(float(offset), 4))


def calibration_error(scores: np.ndarray, true: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error (0–1): mean |share true - mean score| over equal-width bins, weighted by their numbers of boxes."""
    scores, true = np.asarray(scores, np.float64), np.asarray(true, np.float64)
    if not len(scores):
        return 0.0
    bin_ids = np.minimum((scores * bins).astype(int), bins - 1)
    return float(sum(abs(true[bin_ids == b].mean() - scores[bin_ids == b].mean()) * (bin_ids == b).mean() for b in np.unique(bin_ids)))


def reliability(scores: np.ndarray, true: np.ndarray, bins: int = 10) -> list[dict[str, float]]:
    """Numbers of boxes and of true positives by score bin, without empty bins; for the choice of a score below which to review."""
    scores, true = np.asarray(scores, np.float64), np.asarray(true, bool)
    bin_ids = np.minimum((scores * bins).astype(int), bins - 1)
    return [
        {"from": round(b / bins, 3), "to": round((b + 1) / bins, 3), "boxes": int((bin_ids == b).sum()), "true": int(true[bin_ids == b].sum())}
        for b in np.unique(bin_ids)
    ]


def logit(p):
    """log(p / (1 - p)) of numbers or arrays in 0–1, which are clipped to `TINY` from 0 and 1."""
    p = np.clip(p, TINY, 1 - TINY)
    return np.log(p / (1 - p))


def sigmoid(z):
    """1 / (1 + exp(-z)) of numbers or arrays, in 0–1."""
    return 1 / (1 + np.exp(-z))
