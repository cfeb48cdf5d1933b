"""The whole pipeline on labelled radiographs, in memory, and what `box_level` counts of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import HeldError
from ..evaluation import box_measures, judge
from ..evaluation.metrics import Counts
from ..formats import read_apart
from ..labels.labelled_folder import Sample
from ..records import Decision
from ..redaction import cleaning, redact
from ..redaction.cleaning import Cleaner
from . import finetune_report


@dataclass(frozen=True)
class PipelineResult:
    """The result of the pipeline for one radiograph.

    display: (H, W) uint8, before.  removed: (H, W) bool, the blacked-out pixels.
    decisions: xyxy in source pixels.  reason: "" or the reason why the result would be held.
    """

    display: np.ndarray
    decisions: tuple[Decision, ...]
    removed: np.ndarray
    reason: str

    @property
    def after(self) -> np.ndarray | None:
        """(H, W) uint8: the result; None if it would be held."""
        return None if self.reason else np.where(self.removed, np.uint8(0), self.display)


def measure(sample: Sample, cleaner: Cleaner, picture: Path) -> dict[str, Any]:
    """Run the whole pipeline on one labelled radiograph, in memory, and judge the result.

    Args:
        picture: PNG to write: the result with its removed and retained boxes, or the original if it would be held.

    Returns:
        `image` (file name), `picture` (file name), `reason` ("" or the reason why it would be held) and `counts` (as `Counts`).
    """
    result, counts = pipeline_counts(sample, cleaner)
    finetune_report.draw(picture, result.display, sample.annotation, result.decisions, result.removed)
    return {"image": sample.path.name, "picture": picture.name, "reason": result.reason, "counts": asdict(counts)}


def pipeline_counts(sample: Sample, cleaner: Cleaner) -> tuple[PipelineResult, Counts]:
    """Run the whole pipeline on one labelled radiograph, in memory, and count."""
    result = run_pipeline(sample, cleaner)
    counts = box_measures.count(
        sample.annotation, box_measures.boxes_of(result.decisions), released=not result.reason,
        judged=judge.judge(result.display, result.after, sample.annotation))
    return result, counts


def run_pipeline(sample: Sample, cleaner: Cleaner) -> PipelineResult:
    """Run the whole pipeline on one labelled radiograph, in memory."""
    radiograph = read_apart.read(sample.path)
    display = radiograph.display[0]
    try:
        cleaned = cleaning.clean_radiograph(radiograph, cleaner)
        decisions, reason = cleaned.decisions, cleaned.doubt
        removed = redact.removed_mask(radiograph.stored.shape[:3], decisions)[0]
    except HeldError as error:
        decisions, reason, removed = (), str(error), np.zeros(display.shape, bool)
    return PipelineResult(display, decisions, removed, reason)


def total(rows: Sequence[Mapping[str, Any]]) -> Counts:
    """The sum of the rows' counts."""
    return sum((Counts(**row["counts"]) for row in rows), Counts())
