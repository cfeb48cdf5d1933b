"""Which files a person should look at first, and why. Pure: manifest rows in, an order out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NEAR = 0.15  # of a score from the threshold: that near, the other decision was possible
UNSURE = 0.25  # of an OCR confidence from the least one at which a sign stays, or is told from others
UNUSUAL = 3.0  # robust standard deviations of the logarithm of the area
FEW = 20  # boxes, from which a size can be called unusual
LOUD = {
    "still found after removal": (0.5, "found only at the second look"),
    "matches the file's own header": (0.9, "text of its header was readable"),
    "reading uncertain": (0.4, "a sign was read unsurely"),
    "contradicted by another box": (0.4, "two boxes disagree about a sign"),
    "touches other strokes": (0.3, "a sign touches other strokes"),
    "cut by another box": (0.2, "a box cuts strokes"),
}


@dataclass(frozen=True)
class Doubt:
    """How doubtful a file is.

    score: 0 and more, more is looked at earlier.  words: why, the weightiest first; never read text.
    """

    relative: str
    score: float
    words: tuple[str, ...]


def doubts(rows: Sequence[dict[str, Any]], threshold: float, min_confidence: float) -> list[Doubt]:
    """All files, the most doubtful first; equal ones by path.

    Args:
        rows: of the manifest.  threshold: score from which a box counts, 0-1.  min_confidence: from which a sign stays, 0-1.
    """
    usual = _usual_areas([box["xyxy"] for row in rows for box in row["boxes"]])
    found = []
    for row in rows:
        reasons: dict[str, float] = {}
        for box in row["boxes"]:
            for words, weight in _of_box(box, threshold, min_confidence, usual):
                reasons[words] = max(reasons.get(words, 0.0), weight)
        if row["status"] == "held":
            reasons["held: nothing was written"] = 3.0
        elif row["status"] == "failed":
            reasons["failed: nothing was written"] = 2.5
        elif row.get("released_held"):
            reasons["released in spite of doubt"] = 2.0
        elif not row["boxes"]:
            reasons["nothing was found"] = 0.25
        ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        score = sum(weight / 2**i for i, (_, weight) in enumerate(ordered))  # several reasons weigh more than one, never twice as much
        found.append(Doubt(row["relative"], round(score, 4), tuple(words for words, _ in ordered)))
    return sorted(found, key=lambda d: (-d.score, d.relative))


def _of_box(
    box: dict[str, Any], threshold: float, min_confidence: float, usual: tuple[float, float]
) -> Iterable[tuple[str, float]]:
    """(why, weight) of one box; `usual` is the range of its area, source pixels."""
    if box["reason"] in LOUD:
        weight, words = LOUD[box["reason"]]
        yield words, weight
    near = 1 - abs(box["score"] - threshold) / NEAR
    if near > 0:
        yield "a score near the threshold", 0.4 + 0.6 * near
    if box["text"]:
        unsure = 1 - abs(box["confidence"] - min_confidence) / UNSURE
        if unsure > 0:
            yield "a low reading confidence", 0.3 + 0.5 * unsure
    x1, y1, x2, y2 = box["xyxy"]
    if not usual[0] <= max(1, (x2 - x1) * (y2 - y1)) <= usual[1]:
        yield "an unusual size", 0.6
    if box["action"] == "keep":
        yield "a sign stays", 0.1


def _usual_areas(boxes: list[list[int]]) -> tuple[float, float]:
    """Least and greatest usual area of xyxy boxes, by median and robust standard deviation of its logarithm; any, for fewer than `FEW`."""
    if len(boxes) < FEW:
        return 0.0, math.inf
    x1, y1, x2, y2 = np.array(boxes, np.float64).T
    sizes = np.log(np.maximum(1, (x2 - x1) * (y2 - y1)))
    centre = float(np.median(sizes))
    spread = UNUSUAL * max(0.2, 1.4826 * float(np.median(np.abs(sizes - centre))))
    return math.exp(centre - spread), math.exp(centre + spread)
