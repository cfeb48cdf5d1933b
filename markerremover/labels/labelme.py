"""LabelMe JSON <-> `Annotation`, and YOLO label lines.

LabelMe 5 files with rectangles labelled `laterality`, `marker` or `uncertain`; `flags.reviewed` says that a person has
checked the image: an empty list of shapes with it means "nothing burned in", without it is an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..errors import AnnotationError
from ..records import ELEMENT_KINDS, LATERALITY, MARKER, Annotation, Element
from ..system import user_text

ORIGIN = "markerremover"
"""Key of an object about the file that the picture was made from: SHA-256 `sha256`, 0-based `frame`; LabelMe preserves it."""


def read(path: Path | str, shape_of: Callable[[], tuple[int, int]] | None = None) -> Annotation:
    """Read one LabelMe file.

    Args:
        shape_of: gives (H, W) of the image, for files of old versions without it.

    Returns:
        The annotation, xyxy in pixels of the picture; boxes that extend beyond the image are clipped.

    Raises:
        AnnotationError: not LabelMe, unknown label, a shape that is no rectangle or polygon, a box outside the image,
            or a file without shapes, or with proposals, that nobody reviewed.
    """
    return annotation_of(path, load(path), shape_of)


def load(path: Path | str) -> dict[str, Any]:
    """The JSON object of a LabelMe file.

    Raises:
        AnnotationError: the file is missing or holds no JSON object.
    """
    if not Path(path).exists():
        raise AnnotationError(f"{path}: there is no such label file")
    data = user_text.read_json(path, AnnotationError, "LabelMe")
    if not isinstance(data, dict):
        raise AnnotationError(f"{path}: not a LabelMe file (it holds no JSON object)")
    return data


def annotation_of(path: Path | str, data: dict[str, Any], shape_of: Callable[[], tuple[int, int]] | None = None) -> Annotation:
    """The annotation in an object that `load` gave; see `read`. `path` is for error messages only."""
    try:
        shape_hw = _shape_hw(data, shape_of)
        image, shapes = Path(str(data["imagePath"]).replace("\\", "/")).name, data["shapes"]
        reviewed = (data.get("flags") or {}).get("reviewed", bool(shapes)) is True
        elements = tuple(_element(shape, shape_hw) for shape in shapes)
    except AnnotationError as error:
        raise AnnotationError(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise AnnotationError(f"{path}: not a LabelMe file ({type(error).__name__}: {error})") from error
    if not reviewed and elements and data.get(ORIGIN):
        raise AnnotationError(f"{path}: proposals that nobody has reviewed: flags.reviewed is not true")
    if not reviewed and not elements:
        raise AnnotationError(f"{path}: no shapes and flags.reviewed is not true, so it is unknown whether anything is burned in")
    return Annotation(image, shape_hw, elements, reviewed, "stored" if data.get(ORIGIN) else "drawn")


def _shape_hw(data: dict[str, Any], shape_of: Callable[[], tuple[int, int]] | None) -> tuple[int, int]:
    """(H, W) from the file, or from the image where the file lacks it, as those of some versions of LabelMe do."""
    height, width = data.get("imageHeight"), data.get("imageWidth")
    if height is not None and width is not None:
        return int(height), int(width)
    if shape_of is None or "shapes" not in data:
        raise KeyError("imageHeight, imageWidth")
    return shape_of()


def origin(data: dict[str, Any]) -> dict[str, Any]:
    """The object under `ORIGIN`, {} without one."""
    content = data.get(ORIGIN)
    return content if isinstance(content, dict) else {}


def _element(shape: dict[str, Any], shape_hw: tuple[int, int]) -> Element:
    kind, points = shape["label"], shape["points"]
    if kind not in ELEMENT_KINDS:
        raise AnnotationError(f"label is {kind!r}, allowed are {', '.join(ELEMENT_KINDS)}")
    if shape.get("shape_type", "rectangle") not in ("rectangle", "polygon") or len(points) < 2:
        raise AnnotationError(f"shape_type is {shape.get('shape_type')!r}, allowed are rectangle and polygon")
    xs, ys = [float(p[0]) for p in points], [float(p[1]) for p in points]
    box = (min(xs), min(ys), max(xs), max(ys))
    h, w = shape_hw
    if not all(map(math.isfinite, (*xs, *ys))):
        raise AnnotationError("has a corner that is no finite number")
    if box[2] <= box[0] or box[3] <= box[1] or box[0] >= w or box[1] >= h or box[2] <= 0 or box[3] <= 0:
        raise AnnotationError(f"box {box} is empty or outside the {w}x{h} image")
    return Element((max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(w)), min(box[3], float(h))), kind, shape.get("description") or "")


def write(path: Path | str, annotation: Annotation, image_path: str | None = None, origin: dict[str, Any] | None = None) -> None:
    """Write one LabelMe 5 file; arguments as for `text`."""
    Path(path).write_text(text(annotation, image_path, origin), encoding="utf-8")


def text(annotation: Annotation, image_path: str | None = None, origin: dict[str, Any] | None = None) -> str:
    """An annotation as the text of a LabelMe 5 file.

    Args:
        image_path: value of `imagePath`, by default the bare image name.  origin: object under `ORIGIN`, if any.
    """
    h, w = annotation.shape_hw
    data: dict[str, Any] = {
        "version": "5.5.0",
        "flags": {"reviewed": annotation.reviewed},
        "shapes": [
            {"label": e.kind, "description": e.text, "points": [list(map(float, e.xyxy[:2])), list(map(float, e.xyxy[2:]))],
             "group_id": None, "shape_type": "rectangle", "flags": {}}
            for e in annotation.elements
        ],
        "imagePath": image_path or annotation.image,
        "imageData": None,
        "imageHeight": h,
        "imageWidth": w,
        **({ORIGIN: origin} if origin else {}),
    }
    return json.dumps(data, indent=1) + "\n"


def yolo_lines(annotation: Annotation, class_names: Iterable[str]) -> list[str]:
    """One line `class cx cy w h` (fractions of the image, 0–1) per element of a named class. With the single class "marker",
    laterality elements are of that class too; `uncertain` ones are left out."""
    names = tuple(class_names)
    h, w = annotation.shape_hw
    lines = []
    for e in annotation.elements:
        kind = MARKER if names == (MARKER,) and e.kind == LATERALITY else e.kind
        if kind not in names:
            continue
        x1, y1, x2, y2 = e.xyxy
        lines.append(f"{names.index(kind)} {(x1 + x2) / 2 / w:.6f} {(y1 + y2) / 2 / h:.6f} {(x2 - x1) / w:.6f} {(y2 - y1) / h:.6f}")
    return lines
