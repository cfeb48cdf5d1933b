"""What the boxes of a run say, without any image: the publication's measures from a manifest and truth boxes.

The measures are those of Khosravi et al., Radiology: Artificial Intelligence 2023;5(6):e230085. By boxes alone one cannot see what became
of strokes, so:

- a `marker` is removed if removed boxes, and kept ones (of which all but a sign's strokes goes black), hold `COVERED` of its box;
- a `laterality` is retained if a kept box holds its middle (what other boxes take of it shows in the images only);
- a box is a false positive if it comes to within `metrics.NEAR` of the image's longer side of no element.

In an image that was not written nothing counts as removed or retained.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np

from .metrics import NEAR, rate
from .records import Annotation, Element

COVERED = 0.95  # of a marker's box
RELEASED = ("cleaned", "unchanged")
NAMES = {
    "deidentification_accuracy": "radiographs with every marking but side signs removed",
    "false_positive_rate": "false-positive boxes of all boxes",
    "retention_accuracy": "side signs retained",
}
#: The publication's own figures, on other images than any of ours: internal test, external site, external site after 20 images.
PUBLISHED = {
    "deidentification_accuracy": ((400, 400), (221, 231), (230, 231)),
    "false_positive_rate": ((8, 632), (54, 508), (26, 512)),
    "retention_accuracy": ((359, 386), (203, 231), (211, 231)),
}


def by_boxes(pairs: Sequence[tuple[Annotation, Mapping[str, Any] | None]]) -> dict[str, dict[str, Any]]:
    """The three measures of `NAMES`, each a `rate`.

    Args:
        pairs: the truth of each image and its row of the manifest (`report.manifest_row`), None where there is none.
    """
    removed, kept, false, boxes = [], [], 0, 0
    for annotation, row in pairs:
        found = [] if row is None else [b for b in row["boxes"] if b["frame"] == 0]
        released = row is not None and row["status"] in RELEASED
        markers = [_removed(e, found, annotation.shape_hw) for e in annotation.elements if e.kind == "marker"]
        removed.append(released and all(markers))
        kept += [released and _retained(e, found) for e in annotation.elements if e.kind == "laterality"]
        boxes += len(found)
        false += sum(not _near(b["xyxy"], annotation) for b in found)
    return {
        "deidentification_accuracy": rate(sum(removed), len(removed)),
        "false_positive_rate": rate(false, boxes),
        "retention_accuracy": rate(sum(kept), len(kept)),
    }


def _share(element: Element, found: Sequence[Mapping[str, Any]], shape_hw: tuple[int, int]) -> float:
    """The share of an element's whole pixels that lie in any of some boxes, 0-1."""
    x1, y1, x2, y2 = (int(round(v)) for v in element.xyxy)
    mask = np.zeros((max(1, min(y2, shape_hw[0]) - y1), max(1, min(x2, shape_hw[1]) - x1)), bool)
    for a, b, c, d in (box["xyxy"] for box in found):
        mask[max(0, b - y1) : max(0, d - y1), max(0, a - x1) : max(0, c - x1)] = True
    return float(mask.mean())


def _removed(element: Element, found: Sequence[Mapping[str, Any]], shape_hw: tuple[int, int]) -> bool:
    return _share(element, found, shape_hw) >= COVERED


def _retained(element: Element, found: Sequence[Mapping[str, Any]]) -> bool:
    x, y = (element.xyxy[0] + element.xyxy[2]) / 2, (element.xyxy[1] + element.xyxy[3]) / 2
    return any(b["action"] == "keep" and b["xyxy"][0] <= x < b["xyxy"][2] and b["xyxy"][1] <= y < b["xyxy"][3] for b in found)


def _near(xyxy: Sequence[float], annotation: Annotation) -> bool:
    reach = NEAR * max(annotation.shape_hw)
    x1, y1, x2, y2 = xyxy
    return any(
        x1 < e.xyxy[2] + reach and x2 > e.xyxy[0] - reach and y1 < e.xyxy[3] + reach and y2 > e.xyxy[1] - reach for e in annotation.elements
    )
