"""The three measures of Khosravi et al. 2023, counted in one place: for `evaluate`, `compare` and `finetune`.

The measures are those of Khosravi et al., Radiology: Artificial Intelligence 2023;5(6):e230085:

- de-identification accuracy: of the radiographs with a `marker`, those with every one of them removed. Radiographs without any are left out,
  as in that article; their number is `Counts.images` less `Counts.marked`;
- false-positive rate: of all boxes, those farther than `metrics.NEAR` times the image's longer side from every element;
- retention accuracy: of the `laterality` elements, those retained.

Where the pixels before and after are known, an element's strokes say whether it is removed or retained (`judge.judge`). Where they are not,
or show no strokes in its box, boxes do: a `marker` is removed if removed boxes cover `COVERED` of its own box. A retained box removes
nothing by itself, since its strokes are left in the image. A `laterality` is retained if a retained box contains its centre. In an image that
was not written nothing counts as removed or retained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..records import LATERALITY, MARKER, RELEASED, Annotation, Decision, Element
from .judge import Judged
from .metrics import NEAR, Counts, rates

COVERED = 0.95  # lowest share of a marker's box that removed boxes cover where it counts as removed
NAMES = {
    "deidentification_accuracy": "radiographs with every annotation but laterality markers removed",
    "false_positive_rate": "false-positive boxes of all boxes",
    "retention_accuracy": "laterality markers retained",
}
#: Khosravi et al.'s own figures, on other images than any of ours: internal test, external site, external site after 20 images.
PUBLISHED = {
    "deidentification_accuracy": ((400, 400), (221, 231), (230, 231)),
    "false_positive_rate": ((8, 632), (54, 508), (26, 512)),
    "retention_accuracy": ((359, 386), (203, 231), (211, 231)),
}


#: Khosravi et al.'s localizer on its internal test: all annotations as one class, at IoU 0.5.
PUBLISHED_LOCALIZER = {"auprc": 0.96, "ap50": 0.98}
#: Name in `NAMES` -> name in `metrics.RATES`.
RATES = {
    "deidentification_accuracy": "de-identification accuracy", "false_positive_rate": "false-positive rate", "retention_accuracy": "retention accuracy",
}


def count(annotation: Annotation, boxes: Sequence[Mapping[str, Any]], *, released: bool, judged: Judged | None = None) -> Counts:
    """The counts of one radiograph.

    Args:
        annotation: the truth, xyxy in source pixels.
        boxes: `frame`, `xyxy` (source pixels) and `action` of each decision, as in a manifest; only those of frame 0 count.
        released: whether a result was written.
        judged: the result's pixels compared with the input's, of the same annotation; None where they are not known.
    """
    decided = [b for b in boxes if b["frame"] == 0]
    black = [b for b in decided if b["action"] == "remove"]
    verdicts = [e.good if e.scored else None for e in judged.elements] if judged else [None] * len(annotation.elements)
    removed, retained = [], []
    for element, good in zip(annotation.elements, verdicts):
        if element.kind == MARKER:
            removed.append(released and (_removed(element, black, annotation.shape_hw) if good is None else good))
        elif element.kind == LATERALITY:
            retained.append(released and (_retained(element, decided) if good is None else good))
    return Counts(
        images=1, held=int(not released), marked=int(bool(removed)), deidentified=int(bool(removed) and all(removed)), markers=len(removed),
        removed=sum(removed), laterality_markers=len(retained), retained=sum(retained),
        boxes=len(decided), false_boxes=sum(not _near(b["xyxy"], annotation) for b in decided),
    )


def of_row(annotation: Annotation, row: Mapping[str, Any] | None, judged: Judged | None = None) -> Counts:
    """`count` of a row of the manifest (`manifest_files.manifest_row`); no row counts as not written."""
    released = row is not None and row["status"] in RELEASED and not (judged and judged.missing)
    return count(annotation, [] if row is None else row["boxes"], released=released, judged=judged)


def boxes_of(decisions: Sequence[Decision]) -> list[dict[str, Any]]:
    """Decisions as `count` takes them."""
    return [{"frame": d.frame, "xyxy": d.xyxy, "action": d.action} for d in decisions]


def measures(counts: Counts) -> dict[str, dict[str, Any]]:
    """The three measures of `NAMES`, each a `metrics.rate`."""
    values = rates(counts)
    return {name: values[rate_name] for name, rate_name in RATES.items()}


def by_boxes(pairs: Sequence[tuple[Annotation, Mapping[str, Any] | None]]) -> dict[str, dict[str, Any]]:
    """The three measures from boxes alone, without pixels.

    Args:
        pairs: the truth of each image and its row of the manifest, None where there is none.
    """
    return measures(sum((of_row(annotation, row) for annotation, row in pairs), Counts()))


def _share(element: Element, boxes: Sequence[Mapping[str, Any]], shape_hw: tuple[int, int]) -> float:
    """Share (0-1) of an element's whole pixels that lie in any of the boxes."""
    x1, y1, x2, y2 = (int(round(v)) for v in element.xyxy)
    mask = np.zeros((max(1, min(y2, shape_hw[0]) - y1), max(1, min(x2, shape_hw[1]) - x1)), bool)
    for a, b, c, d in (box["xyxy"] for box in boxes):
        mask[max(0, b - y1) : max(0, d - y1), max(0, a - x1) : max(0, c - x1)] = True
    return float(mask.mean())


def _removed(element: Element, boxes: Sequence[Mapping[str, Any]], shape_hw: tuple[int, int]) -> bool:
    return _share(element, boxes, shape_hw) >= COVERED


def _retained(element: Element, boxes: Sequence[Mapping[str, Any]]) -> bool:
    x, y = (element.xyxy[0] + element.xyxy[2]) / 2, (element.xyxy[1] + element.xyxy[3]) / 2
    return any(b["action"] == "keep" and b["xyxy"][0] <= x < b["xyxy"][2] and b["xyxy"][1] <= y < b["xyxy"][3] for b in boxes)


def _near(xyxy: Sequence[float], annotation: Annotation) -> bool:
    """Whether a box lies within `NEAR` times the image's longer side of any element."""
    reach = NEAR * max(annotation.shape_hw)
    x1, y1, x2, y2 = xyxy
    return any(
        x1 < e.xyxy[2] + reach and x2 > e.xyxy[0] - reach and y1 < e.xyxy[3] + reach and y2 > e.xyxy[1] - reach for e in annotation.elements
    )
