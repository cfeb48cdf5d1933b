"""The page of a fine-tuning: the measurement, and every held-out image before and after. It shows originals, so only its
owner may read it, and it loads nothing from the network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..audit import report_pages
from ..audit.crops import shrunk
from ..errors import WriteError
from ..evaluation.metrics import RATES, in_words
from ..records import LATERALITY, MARKER, UNCERTAIN, Annotation, Decision
from ..system.files import write_private

SIDE_PX = 520  # longer side of a picture
#: Kind of outline -> RGB. Labels are thin and slightly larger, decisions thick.
COLOURS = {
    MARKER: (255, 200, 0), LATERALITY: (0, 190, 255), UNCERTAIN: (150, 150, 150), "removed": (255, 60, 60), "kept": (60, 220, 60),
}


def draw(path: Path, display: np.ndarray, annotation: Annotation, decisions: Sequence[Decision], removed: np.ndarray) -> None:
    """Write one PNG: labels on the original at the left; at the right the result with its removed and retained boxes.

    Args:
        display: (H, W) uint8, before; not changed.
        removed: (H, W) bool, the pixels that were blacked out.

    Raises:
        WriteError: the picture cannot be encoded.
    """
    import cv2

    left, right = (np.repeat(shrunk(a, SIDE_PX)[..., None], 3, 2) for a in (display, np.where(removed, np.uint8(0), display)))
    scale = left.shape[1] / display.shape[1], left.shape[0] / display.shape[0]
    for element in annotation.elements:
        _outline(left, element.xyxy, scale, COLOURS[element.kind], grow=2, thickness=1)
    for decision in decisions:
        _outline(right, decision.xyxy, scale, COLOURS["kept" if decision.action == "keep" else "removed"], grow=0, thickness=2)
    panel = np.concatenate([left, np.full((len(left), 6, 3), 255, np.uint8), right], axis=1)
    encoded, data = cv2.imencode(".png", panel[..., ::-1])
    if not encoded:
        raise WriteError(f"{path.name}: the picture cannot be encoded")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as handle:
        handle.write(data.tobytes())


def _outline(
    picture: np.ndarray, xyxy: Sequence[float], scale: tuple[float, float], colour: tuple[int, int, int], *, grow: int, thickness: int
) -> None:
    import cv2

    x1, y1, x2, y2 = (int(round(v * scale[axis % 2])) for axis, v in enumerate(xyxy))
    cv2.rectangle(picture, (x1 - grow, y1 - grow), (x2 + grow, y2 + grow), colour, thickness)


def write(folder: Path, pictures: Path, card: Mapping[str, Any], pairs: Sequence[Sequence[Mapping[str, Any]]]) -> None:
    """Write index.html with its pictures into a new folder, or replace it.

    Args:
        pictures: folder of the files that `draw` wrote.
        card: of the fine-tuned weights.
        pairs: (before, after) rows of `measure.measure`, one per held-out image.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(pictures, folder / "pictures")
    for place in (folder, folder / "pictures"):
        os.chmod(place, 0o700)
    write_private(folder / "index.html", page(card, pairs))


def page(card: Mapping[str, Any], pairs: Sequence[Sequence[Mapping[str, Any]]]) -> str:
    """The page as HTML; arguments as for `write`."""
    return report_pages.render(
        __package__, "finetune_report.html.j2", name=card["name"], measured=card["metrics"], rates=RATES, pairs=pairs, colours=COLOURS,
        in_words=in_words, p_value=_p_value, sentence=_sentence,
    )


def _sentence(row: Mapping[str, Any]) -> tuple[str, bool]:
    """The result of an image in words, and whether it has no error."""
    c = row["counts"]
    text = f"{c['removed']} of {c['markers']} markers removed, {c['retained']} of {c['laterality_markers']} laterality markers retained, "
    text += f"{c['false_boxes']} of {c['boxes']} boxes false"
    if row["reason"]:
        text += f"; held: {row['reason']}"
    return text, c["removed"] == c["markers"] and c["retained"] == c["laterality_markers"] and not row["reason"]


def _p_value(p: float | None) -> str:
    return "–" if p is None else "< 0.0001" if p < 1e-4 else f"{p:.4f}"
