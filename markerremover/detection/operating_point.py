"""From a localizer's raw scores on labelled radiographs to its operating point: precision-recall curve, threshold, and scores that mean a probability.

Recall counts *elements*, as removal does: an element is found when the boxes that count, grown by the policy's margin,
together cover `COVERED` of it. Precision counts *boxes*: one is true when it touches an annotated element; boxes that touch
only `uncertain` regions, those that lie mostly in a better one, and far too large ones count for neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .. import boxes
from ..records import Annotation, Detections, Policy

COVERED = 0.95
FLOOR = 0.01  # scores below are not looked at
LOOSE = 0.1  # share of a box in elements below which, though it touches one, it is neither true nor false
SAME = 0.5  # share of a box in a better one from which it says nothing new
NEAR = 0.008  # a box this close to an element touches it, share of the image's longer side
BESIDE_MARKER = 0.3  # calibrated score from which a box counts beside a laterality marker, see `localizer.sure_or_beside`
TINY = 1e-6  # keeps logits finite


@dataclass(frozen=True)
class Found:
    """What a localizer found on labelled images, pooled.

    elements: (E,) highest score threshold at which each element is covered, 0 where it never is.
    scores, true, classes: (N,) of every box above `FLOOR`: its score, whether it touches an element, its class index.
    """

    elements: np.ndarray
    scores: np.ndarray
    true: np.ndarray
    classes: np.ndarray

    @classmethod
    def pooled(cls, parts: Iterable[Found]) -> Found:
        """All of them as one."""
        parts = list(parts)
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) if parts else np.zeros(0) for name in ("elements", "scores", "true", "classes")))


def found_in(detections: Detections, annotation: Annotation, policy: Policy = Policy()) -> Found:
    """One image's boxes against its labels; `detections` hold every box from `FLOOR` on, in source pixels."""
    shape = annotation.shape_hw
    order = np.argsort(-detections.scores, kind="stable")
    xyxy, scores = detections.xyxy[order].astype(np.float64), detections.scores[order].astype(np.float64)
    grown = boxes.widen(xyxy, policy.margin, policy.margin_px, shape)
    wanted = [e for e in annotation.elements if e.kind != "uncertain"]
    elements = np.array([_covered_from(np.array(e.xyxy), grown, scores) for e in wanted], dtype=np.float64)
    margin = NEAR * max(shape) * np.array([-1, -1, 1, 1])
    kinds = np.array([e.kind != "uncertain" for e in annotation.elements], bool)
    near = np.array([e.xyxy for e in annotation.elements], np.float64).reshape(-1, 4) + margin
    touches = boxes.intersection(xyxy, near) > 0
    true = touches[:, kinds].any(axis=1)
    again = np.triu(boxes.intersection(xyxy, xyxy).T, 1).max(axis=0, initial=0) > SAME * boxes.area(xyxy)
    whole = np.array([e.xyxy for e in annotation.elements], np.float64).reshape(-1, 4)
    loose = true & (boxes.intersection(xyxy, whole).sum(axis=1) < LOOSE * boxes.area(xyxy))
    counts = (true | ~touches.any(axis=1)) & ~again & ~loose
    return Found(elements, scores[counts], true[counts], detections.class_ids[order][counts])


def wrong(detections: Detections, annotation: Annotation, policy: Policy = Policy()) -> list[tuple[float, float, float, float]]:
    """xyxy, source pixels, of the boxes that touch no annotated region and of the elements that the boxes do not cover."""
    return [*false_boxes(detections, annotation), *missed(detections, annotation, policy)]


def false_boxes(detections: Detections, annotation: Annotation) -> list[tuple[float, float, float, float]]:
    """xyxy, source pixels, of the boxes that touch no annotated region, not even an uncertain one."""
    margin = NEAR * max(annotation.shape_hw) * np.array([-1, -1, 1, 1])
    near = np.array([e.xyxy for e in annotation.elements], np.float64).reshape(-1, 4) + margin
    lonely = ~(boxes.intersection(detections.xyxy.astype(np.float64), near) > 0).any(axis=1)
    return [tuple(map(float, box)) for box in detections.xyxy[lonely]]


def missed(detections: Detections, annotation: Annotation, policy: Policy = Policy()) -> list[tuple[float, float, float, float]]:
    """xyxy, source pixels, of the elements that the boxes do not cover."""
    wanted = [e for e in annotation.elements if e.kind != "uncertain"]
    return [e.xyxy for e, c in zip(wanted, found_in(detections, annotation, policy).elements) if not c]


def _covered_from(element: np.ndarray, grown: np.ndarray, scores: np.ndarray) -> float:
    """The score of the box that completes the cover of one element, boxes best first; 0 if none does."""
    x1, y1, x2, y2 = np.round(element).astype(int)
    mask = np.zeros((max(1, y2 - y1), max(1, x2 - x1)), bool)
    for (a, b, c, d), score in zip(grown, scores):
        if a < x2 and b < y2 and c > x1 and d > y1:
            mask[max(0, b - y1) : max(0, d - y1), max(0, a - x1) : max(0, c - x1)] = True
            if mask.mean() >= COVERED:
                return float(score)
    return 0.0


Looked = Sequence[tuple[Detections, Annotation]]
"""What a localizer found from `FLOOR` on in each of some images, and the truth."""


def gather(detector: Callable[..., Detections], samples: Iterable[tuple[np.ndarray, Annotation]]) -> Looked:
    """Run a localizer, called as detector(display, threshold), over (display (H, W) uint8, annotation) pairs."""
    return [(detector(display, FLOOR), annotation) for display, annotation in samples]


def found(looked: Looked, calibration: Sequence[Calibration] = ()) -> Found:
    """Pooled; with one calibration a class, after it."""
    return Found.pooled(found_in(_calibrated(d, calibration) if calibration else d, a) for d, a in looked)


def _calibrated(detections: Detections, calibration: Sequence[Calibration]) -> Detections:
    scores = np.array([calibration[c](np.float64(s)) for s, c in zip(detections.scores, detections.class_ids)], np.float64)
    return replace(detections, scores=scores)


def summary(groups: dict[str, Looked], class_names: Sequence[str], most_false: float) -> dict[str, object]:
    """What a card says of its operating point: `threshold`, `calibration`, `curve` and how they came about.

    Args:
        groups: name → raw-score findings; for the threshold see `choose_threshold`.
        class_names: of the localizer, in order; each is calibrated by itself.
    """
    raw = {name: found(looked) for name, looked in groups.items()}
    pooled = Found.pooled(raw.values())
    calibration = [fit_calibration(pooled.scores[pooled.classes == c], pooled.true[pooled.classes == c]) for c in range(len(class_names))]
    meant = {name: found(looked, calibration) for name, looked in groups.items()}
    threshold = choose_threshold(meant.values(), most_false)
    everything = Found.pooled(meant.values())
    return {
        "threshold": threshold,
        "beside_marker": min(threshold, BESIDE_MARKER),
        "calibration": {name: {"slope": c.slope, "offset": c.offset} for name, c in zip(class_names, calibration)},
        "operating_point": {
            "rule": f"the lowest threshold, for most recall, at which at most {most_false:.0%} of the boxes of every group are false",
            "at": {name: {**curve(g, [threshold])[0], "elements": len(g.elements), "boxes": int((g.scores >= threshold).sum())}
                   for name, g in meant.items()},
            "average_precision": round(average_precision(everything), 4),
            "calibration_error": {"raw": round(calibration_error(pooled.scores, pooled.true), 4),
                                  "calibrated": round(calibration_error(everything.scores, everything.true), 4)},
            "reliability": reliability(everything.scores, everything.true),
        },
        "curve": curve(everything, np.round(np.arange(0.05, 0.96, 0.05), 2)),
    }


def curve(part: Found, thresholds: Iterable[float]) -> list[dict[str, float]]:
    """Recall of elements and precision of boxes at each threshold; precision is 1 where no box counts."""
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
    """The lowest threshold, two decimals, at which at most `most_false` of the boxes of every group are false; `highest`
    where none of them is strict enough."""
    groups = list(groups)
    for t in np.round(np.arange(lowest, highest, 0.01), 2):
        if all(1 - row["precision"] <= most_false for g in groups for row in curve(g, [t])):
            return float(t)
    return float(highest)


@dataclass(frozen=True)
class Calibration:
    """Platt's scaling of the logit: probability = sigmoid(slope · logit(score) + offset). Order is kept (slope > 0)."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Raw scores (any shape, 0–1) → probabilities."""
        return sigmoid(self.slope * logit(scores) + self.offset)

    def raw(self, probability: float) -> float:
        """The raw score that becomes `probability`."""
        return float(sigmoid((logit(np.float64(probability)) - self.offset) / self.slope))


def fit_calibration(scores: np.ndarray, true: np.ndarray) -> Calibration:
    """Platt's scaling by maximum likelihood (Platt 1999), with his smoothed targets.

    Args:
        scores: (N,) raw, 0–1.  true: (N,) bool. Without both kinds there is nothing to fit: the identity.
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
    """Expected calibration error: mean |share true - mean score| over equal-width bins, weighted by their boxes."""
    scores, true = np.asarray(scores, np.float64), np.asarray(true, np.float64)
    if not len(scores):
        return 0.0
    which = np.minimum((scores * bins).astype(int), bins - 1)
    return float(sum(abs(true[which == b].mean() - scores[which == b].mean()) * (which == b).mean() for b in np.unique(which)))


def reliability(scores: np.ndarray, true: np.ndarray, bins: int = 10) -> list[dict[str, float]]:
    """Share of true boxes by score bin: what "review below this" means. Empty bins are left out."""
    scores, true = np.asarray(scores, np.float64), np.asarray(true, bool)
    which = np.minimum((scores * bins).astype(int), bins - 1)
    return [
        {"from": round(b / bins, 3), "to": round((b + 1) / bins, 3), "boxes": int((which == b).sum()), "true": int(true[which == b].sum())}
        for b in np.unique(which)
    ]


def logit(p):
    """log(p / (1 - p)) of numbers 0–1, kept finite."""
    p = np.clip(p, TINY, 1 - TINY)
    return np.log(p / (1 - p))


def sigmoid(z):
    """1 / (1 + exp(-z))."""
    return 1 / (1 + np.exp(-z))
