"""What people said of a file as a LabelMe file with its picture, in the folders that `finetune` takes: images/ and annotations/."""

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
from ..records import Annotation, Element, Policy, Radiograph
from ..redaction.corrections import LABEL, Review
from ..redaction.decision_rules import SIGN
from ..system import regular_files
from ..system.files import write_private

LONGEST = 60  # characters of a path in a file name: file systems take 255 bytes
INSIDE = 0.8  # share of a box in another from which it is about the same marking


def name_of(relative: str, frame: int = 0) -> str:
    """File name without suffix: the path with `_` for `/`, so that what lies in one folder counts as one patient, and enough of a hash
    to be the only one of its name.

    >>> name_of("P1/a.dcm")[:5], name_of("P1/a.png") == name_of("P1/a.dcm")
    ('P1_a-', False)
    """
    path = PurePosixPath(relative)
    return f"{'_'.join([*path.parts[:-1], path.stem])[:LONGEST]}-{crops.file_id(relative)[:8]}" + (f"-f{frame}" if frame else "")


def patient(radiograph: Radiograph) -> dict[str, str]:
    """`patient`: hash of what its header says of whose it is, so that pictures of one are told to be so under any path; nothing where
    that is not known. Who has a list of IDs can undo the hash: it lies beside the picture, which shows the original anyway."""
    found = images.patient_hash(radiograph)
    return {"patient": found} if found else {}


def write(
    folder: Path, name: str, picture: np.ndarray, elements: Sequence[Element], *, reviewed: bool, origin: dict[str, Any]
) -> None:
    """Write images/NAME.png and annotations/NAME.json, each in one step and for their owner only: the picture shows the original.

    Args:
        picture: (H, W) uint8, as the models see it.

    Raises:
        WriteError: the picture cannot be encoded.
    """
    import cv2

    done, data = cv2.imencode(".png", np.ascontiguousarray(picture), [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
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
    """Take back what `write` wrote of a file."""
    for path in (*(folder / "images").glob(f"*-{crops.file_id(relative)[:8]}*"),
        *(folder / "annotations").glob(f"*-{crops.file_id(relative)[:8]}*")):
        path.unlink()


def elements(boxes: Sequence[dict[str, Any]], review: Review, frame: int, policy: Policy, shape_hw: tuple[int, int]) -> list[Element]:
    """What is burned into one frame, as far as the program and a person know.

    Args:
        boxes: as the program alone decided, see `session.base_boxes`; they are taken back to their size before the margin.
        shape_hw: of the frame.
    """
    said = {(m.frame, m.xyxy): m for m in (*review.marks, *review.named) if not m.drawn}
    found: list[Element] = []
    for box in boxes:
        if box["frame"] != frame:
            continue
        mark = said.get((frame, tuple(box["xyxy"])))
        kind = mark.kind if mark else "laterality" if box["action"] == "keep" or box["label"] == SIGN else "marker"
        if kind != "none":
            bare = without_margin(np.array([box["xyxy"]]), policy.margin, policy.margin_px, shape_hw)[0]
            found.append(Element(tuple(bare.tolist()), kind, box["text"] if kind == "laterality" else ""))
    found += [Element(tuple(map(float, m.xyxy)), m.kind, LABEL) for m in review.marks if m.drawn and m.frame == frame and m.kind != "none"]
    return _once(found)


def _once(found: Sequence[Element]) -> list[Element]:
    """The elements without those that lie mostly in a larger one, or in an equal one before them; a drawn one always stays."""
    kept: list[Element] = []
    for element in sorted(found, key=lambda e: (e.text != LABEL, -_area(e.xyxy))):
        if element.text == LABEL or not any(_share(element.xyxy, other.xyxy) >= INSIDE for other in kept):
            kept.append(element)
    return [Element(e.xyxy, e.kind, "" if e.text == LABEL else e.text) for e in kept]


def _area(xyxy: Sequence[float]) -> float:
    return (xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1])


def _share(inner: Sequence[float], outer: Sequence[float]) -> float:
    """Share of one box that lies in another."""
    w, h = min(inner[2], outer[2]) - max(inner[0], outer[0]), min(inner[3], outer[3]) - max(inner[1], outer[1])
    return w * h / _area(inner) if w > 0 and h > 0 else 0.0
