"""The whole pipeline on labelled radiographs, in memory, and what the referee in `metrics` counts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from . import finetune_report, images, metrics, pipeline, redact
from .errors import HeldError
from .metrics import Counts
from .pipeline import Cleaner
from .windows import Sample


def measure(sample: Sample, cleaner: Cleaner, picture: Path) -> dict[str, Any]:
    """Run the whole pipeline on one labelled radiograph, in memory, and judge the result.

    Args:
        picture: PNG to draw: the result with what was removed and kept, or the original if it would be held.

    Returns:
        `image` (file name), `picture` (file name), `reason` ("" or why it would be held) and `counts` (as `Counts`).
    """
    radiograph = images.read(sample.path)
    display = radiograph.display[0]
    try:
        cleaned = pipeline.clean_radiograph(radiograph, cleaner)
        decisions, found, reason = cleaned.decisions, cleaned.detections[0].xyxy, cleaned.doubt
        removed = redact.removed_mask(radiograph.stored.shape[:3], decisions)[0]
    except HeldError as error:
        decisions, found, reason, removed = (), np.zeros((0, 4)), str(error), np.zeros(display.shape, bool)
    counts = metrics.count(sample.annotation, display, removed, found, held=bool(reason))
    finetune_report.draw(picture, display, sample.annotation, decisions, removed)
    return {"image": sample.path.name, "picture": picture.name, "reason": reason, "counts": asdict(counts)}


def total(rows: Sequence[Mapping[str, Any]]) -> Counts:
    """The sum of the rows' counts."""
    return sum((Counts(**row["counts"]) for row in rows), Counts())
