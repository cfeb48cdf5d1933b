"""The order in which files are reviewed, the most doubtful first, with reasons. Pure functions of manifest rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NEAR = 0.15  # largest distance of a score from the threshold that counts as near
UNSURE = 0.25  # largest distance of an OCR confidence from the lowest one of a retained laterality marker that counts as near
UNUSUAL = 3.0  # limit of usual sizes, robust standard deviations of the logarithm of the area
FEW = 20  # smallest number of boxes at which sizes are compared
NOTHING_FOUND, RETAINED = "nothing was found", "a laterality marker is retained"  # reasons that alone bring no file forward
#: Reason of a decision -> weight and words.
REASONS = {
    "still found after removal": (0.5, "something was found only at the second look"),
    "matches the file's own header": (0.9, "text of its header was readable"),
    "reading uncertain": (0.4, "a laterality marker was read with low confidence"),
    "contradicted by another box": (0.4, "two boxes disagree about a laterality marker"),
    "touches other strokes": (0.3, "a laterality marker touches other strokes"),
    "cut by another box": (0.2, "a box cuts strokes"),
}


@dataclass(frozen=True)
class Doubt:
    """How doubtful a file is.

    score: 0 or more, higher comes earlier.  words: reasons, the heaviest first; never read text.
    """

    relative: str
    score: float
    words: tuple[str, ...]

    @property
    def is_early(self) -> bool:
        """Whether a reason brings the file forward in the order."""
        return any(words not in (NOTHING_FOUND, RETAINED) for words in self.words)


def doubts(rows: Sequence[dict[str, Any]], threshold: float, min_confidence: float) -> list[Doubt]:
    """All files, the most doubtful first; ties are sorted by path.

    Args:
        rows: of the manifest.  threshold: lowest score of a box that counts, 0-1.
        min_confidence: lowest OCR confidence of a retained laterality marker, 0-1.
    """
    usual = _usual_areas([box["xyxy"] for row in rows for box in row["boxes"]])
    result = []
    for row in rows:
        reasons: dict[str, float] = {}
        for box in row["boxes"]:
            for words, weight in _of_box(box, threshold, min_confidence, usual):
                reasons[words] = max(reasons.get(words, 0.0), weight)
        if row["status"] == "held":
            reasons["it was held"] = 3.0
        elif row["status"] == "failed":
            reasons["it failed"] = 2.5
        elif row.get("released_held"):
            reasons["it was released in spite of doubt"] = 2.0
        elif not row["boxes"]:
            reasons[NOTHING_FOUND] = 0.25
        ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        score = sum(weight / 2**i for i, (_, weight) in enumerate(ordered))  # several reasons weigh more than one, but less than twice as much
        result.append(Doubt(row["relative"], round(score, 4), tuple(words for words, _ in ordered)))
    return sorted(result, key=lambda d: (-d.score, d.relative))


def _of_box(
    box: dict[str, Any], threshold: float, min_confidence: float, usual: tuple[float, float]
) -> Iterable[tuple[str, float]]:
    """(words, weight) of each reason of one box; `usual` is the range of usual areas, square source pixels."""
    if box["reason"] in REASONS:
        weight, words = REASONS[box["reason"]]
        yield words, weight
    nearness = 1 - abs(box["score"] - threshold) / NEAR
    if nearness > 0:
        yield "a score is near the threshold", 0.4 + 0.6 * nearness
    if box["text"]:
        nearness_of_reading = 1 - abs(box["confidence"] - min_confidence) / UNSURE
        if nearness_of_reading > 0:
            yield "a reading has low confidence", 0.3 + 0.5 * nearness_of_reading
    x1, y1, x2, y2 = box["xyxy"]
    if not usual[0] <= max(1, (x2 - x1) * (y2 - y1)) <= usual[1]:
        yield "a box has an unusual size", 0.6
    if box["action"] == "keep":
        yield RETAINED, 0.1


def _usual_areas(boxes: list[list[int]]) -> tuple[float, float]:
    """Smallest and largest usual area of xyxy boxes, by median and robust standard deviation (1.4826 MAD) of its logarithm; (0, inf) for fewer
    than `FEW`."""
    if len(boxes) < FEW:
        return 0.0, math.inf
    x1, y1, x2, y2 = np.array(boxes, np.float64).T
    sizes = np.log(np.maximum(1, (x2 - x1) * (y2 - y1)))
    centre = float(np.median(sizes))
    spread = UNUSUAL * max(0.2, 1.4826 * float(np.median(np.abs(sizes - centre))))
    return math.exp(centre - spread), math.exp(centre + spread)
