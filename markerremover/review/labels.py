"""Writes a review as LabelMe files with their pictures, in the folders that `finetune` reads: images/ and annotations/."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..audit import crops
from ..boxes import without_margin
from ..errors import WriteError
from ..formats import images
from ..labels import labelme
from ..records import LATERALITY, MARKER, Annotation, Element, Policy, Radiograph
from ..redaction.corrections import LABEL, Review
from ..system import regular_files
from ..system.files import write_private

LONGEST = 60  # highest number of characters of a path in a file name; file systems allow 255 bytes
INSIDE = 0.8  # lowest share of a box inside another at which both are the same annotation


def name_of(relative: str, frame: int = 0) -> str:
    """File name without suffix: the path with `_` for `/`, so that the files of a folder count as one patient, and part of a hash, which makes
    it unique.

    >>> name_of("P1/a.dcm")[:5], name_of("P1/a.png") == name_of("P1/a.dcm")
    ('P1_a-', False)
    """
    path = PurePosixPath(relative)
    return f"{'_'.join([*path.parts[:-1], path.stem])[:LONGEST]}-{crops.file_id(relative)[:8]}" + (f"-f{frame}" if frame else "")


def patient(radiograph: Radiograph) -> dict[str, str]:
    """`patient`: hash of the patient in the header, which joins pictures of one patient under any path; {} where unknown. The hash can be
    reversed with a list of IDs; the picture beside it shows the original anyway."""
    digest = images.patient_hash(radiograph)
    return {"patient": digest} if digest else {}


def write(
    folder: Path, name: str, picture: np.ndarray, elements: Sequence[Element], *, reviewed: bool, origin: dict[str, Any]
) -> None:
    """Write images/NAME.png and annotations/NAME.json, each atomically and readable by the owner only, since the picture shows the original.

    Args:
        picture: (H, W) uint8, as the models see it.

    Raises:
        WriteError: the picture cannot be encoded.
    """
    import cv2

    encoded, data = cv2.imencode(".png", np.ascontiguousarray(picture), [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not encoded:
        raise WriteError(f"{name}.png cannot be encoded")
    for part in (folder, folder / "images", folder / "annotations"):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / "images" / f"{name}.png"
    temporary = target.with_name(target.name + ".new")
    with open(regular_files.opened(temporary, os.O_WRONLY | os.O_CREAT), "wb") as handle:
        handle.truncate()
        handle.write(data.tobytes())
    os.replace(temporary, target)
    annotation = Annotation(f"{name}.png", picture.shape, tuple(elements), reviewed)
    write_private(folder / "annotations" / f"{name}.json", labelme.text(annotation, f"../images/{name}.png", origin))


def remove(folder: Path, relative: str) -> None:
    """Delete what `write` wrote for a file."""
    for path in (*(folder / "images").glob(f"*-{crops.file_id(relative)[:8]}*"),
        *(folder / "annotations").glob(f"*-{crops.file_id(relative)[:8]}*")):
        path.unlink()


def elements(boxes: Sequence[dict[str, Any]], review: Review, frame: int, policy: Policy, shape_hw: tuple[int, int]) -> list[Element]:
    """The burned-in elements of one frame, from the program's decisions and a review.

    Args:
        boxes: as the program alone decided, see `session.base_boxes`; their margin is removed.
        shape_hw: of the frame.

    Returns:
        Elements xyxy in source pixels, without duplicates.
    """
    changed = {(m.frame, m.xyxy): m for m in (*review.marks, *review.named) if not m.drawn}
    all_elements: list[Element] = []
    for box in boxes:
        if box["frame"] != frame:
            continue
        mark = changed.get((frame, tuple(box["xyxy"])))
        kind = mark.kind if mark else LATERALITY if box["action"] == "keep" or box["label"] == LATERALITY else MARKER
        if kind != "none":
            x1, y1, x2, y2 = without_margin(np.array([box["xyxy"]]), policy.margin, policy.margin_px, shape_hw)[0].tolist()
            all_elements.append(Element((x1, y1, x2, y2), kind, box["text"] if kind == LATERALITY else ""))
    all_elements += [Element(_floats(m.xyxy), m.kind, LABEL) for m in review.marks if m.drawn and m.frame == frame and m.kind != "none"]
    return _without_duplicates(all_elements)


def _floats(xyxy: Sequence[int]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = map(float, xyxy)
    return x1, y1, x2, y2


def _without_duplicates(candidates: Sequence[Element]) -> list[Element]:
    """The elements without those mostly inside a larger one or an earlier equal one; drawn ones are always included."""
    unique: list[Element] = []
    for element in sorted(candidates, key=lambda e: (e.text != LABEL, -_area(e.xyxy))):
        if element.text == LABEL or not any(_share(element.xyxy, larger.xyxy) >= INSIDE for larger in unique):
            unique.append(element)
    return [Element(e.xyxy, e.kind, "" if e.text == LABEL else e.text) for e in unique]


def _area(xyxy: Sequence[float]) -> float:
    return (xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1])


def _share(inner: Sequence[float], outer: Sequence[float]) -> float:
    """Share of one box that lies in another."""
    w, h = min(inner[2], outer[2]) - max(inner[0], outer[0]), min(inner[3], outer[3]) - max(inner[1], outer[1])
    return w * h / _area(inner) if w > 0 and h > 0 else 0.0
