"""The whole pipeline on labelled radiographs, in memory, and what the referee in `metrics` counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np

from . import apart, finetune_report, metrics, pipeline, redact
from .errors import HeldError
from .metrics import Counts
from .pipeline import Cleaner
from .records import Decision
from .windows import Sample


@dataclass(frozen=True)
class Look:
    """What the pipeline made of one radiograph.

    display: (H, W) uint8, before.  removed: (H, W) bool, the pixels that went black.
    found: (N, 4) boxes of the localizer's first look, source pixels.  reason: "" or why the result would be held.
    """

    display: np.ndarray
    decisions: tuple[Decision, ...]
    found: np.ndarray
    removed: np.ndarray
    reason: str


def measure(sample: Sample, cleaner: Cleaner, picture: Path) -> dict[str, Any]:
    """Run the whole pipeline on one labelled radiograph, in memory, and judge the result.

    Args:
        picture: PNG to draw: the result with what was removed and kept, or the original if it would be held.

    Returns:
        `image` (file name), `picture` (file name), `reason` ("" or why it would be held) and `counts` (as `Counts`).
    """
    seen = look(sample, cleaner)
    counts = metrics.count(sample.annotation, seen.display, seen.removed, seen.found, held=bool(seen.reason))
    finetune_report.draw(picture, seen.display, sample.annotation, seen.decisions, seen.removed)
    return {"image": sample.path.name, "picture": picture.name, "reason": seen.reason, "counts": asdict(counts)}


def look(sample: Sample, cleaner: Cleaner) -> Look:
    """Run the whole pipeline on one labelled radiograph, in memory."""
    radiograph = apart.read(sample.path)
    display = radiograph.display[0]
    try:
        cleaned = pipeline.clean_radiograph(radiograph, cleaner)
        decisions, found, reason = cleaned.decisions, cleaned.detections[0].xyxy, cleaned.doubt
        removed = redact.removed_mask(radiograph.stored.shape[:3], decisions)[0]
    except HeldError as error:
        decisions, found, reason, removed = (), np.zeros((0, 4)), str(error), np.zeros(display.shape, bool)
    return Look(display, decisions, found, removed, reason)


def total(rows: Sequence[Mapping[str, Any]]) -> Counts:
    """The sum of the rows' counts."""
    return sum((Counts(**row["counts"]) for row in rows), Counts())
