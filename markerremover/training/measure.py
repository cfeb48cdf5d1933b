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
class Look:
    """What the pipeline made of one radiograph.

    display: (H, W) uint8, before.  removed: (H, W) bool, the pixels that were blacked out.
    reason: "" or why the result would be held.
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
        picture: PNG to draw: the result with what was removed and kept, or the original if it would be held.

    Returns:
        `image` (file name), `picture` (file name), `reason` ("" or why it would be held) and `counts` (as `Counts`).
    """
    seen = look(sample, cleaner)
    counts = box_measures.count(
        sample.annotation, box_measures.boxes_of(seen.decisions), released=not seen.reason, judged=judge.judge(seen.display, seen.after, sample.annotation))
    finetune_report.draw(picture, seen.display, sample.annotation, seen.decisions, seen.removed)
    return {"image": sample.path.name, "picture": picture.name, "reason": seen.reason, "counts": asdict(counts)}


def look(sample: Sample, cleaner: Cleaner) -> Look:
    """Run the whole pipeline on one labelled radiograph, in memory."""
    radiograph = read_apart.read(sample.path)
    display = radiograph.display[0]
    try:
        cleaned = cleaning.clean_radiograph(radiograph, cleaner)
        decisions, reason = cleaned.decisions, cleaned.doubt
        removed = redact.removed_mask(radiograph.stored.shape[:3], decisions)[0]
    except HeldError as error:
        decisions, reason, removed = (), str(error), np.zeros(display.shape, bool)
    return Look(display, decisions, removed, reason)


def total(rows: Sequence[Mapping[str, Any]]) -> Counts:
    """The sum of the rows' counts."""
    return sum((Counts(**row["counts"]) for row in rows), Counts())
