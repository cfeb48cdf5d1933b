"""Boxes and polygons drawn by hand, without any detection: `remove --boxes ANNOTATIONS`.

Every frame of every image needs a LabelMe file with `flags.reviewed`: a missing one never means "nothing burned in". It must have the image's
size; shapes drawn on an image rotated upright are converted to its stored pixels (see `formats.placement`). It belongs to an image by the
SHA-256 that `annotate` and `review` write into it, or else by its path: for `a/0.png` that is `a/0.png.json` or `a/0.json`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import AnnotationError, UsageError
from ..labels import labelme
from ..records import LATERALITY, Corrections, Mark


@dataclass(frozen=True)
class Annotations:
    """LabelMe files of a folder.

    by_path: POSIX path below the folder -> its content without the embedded picture; None for anything but a JSON object.
    by_image: SHA-256 of an image -> paths of the files about it.
    sha256: of all files.
    """

    folder: Path
    by_path: Mapping[str, dict[str, Any] | None]
    by_image: Mapping[str, tuple[str, ...]]
    sha256: str


def read(folder: Path) -> Annotations:
    """All .json files below a folder; their content is checked image by image, see `corrections`.

    Raises:
        UsageError: there is no such folder, or no such file in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder of annotations")
    by_path: dict[str, dict[str, Any] | None] = {}
    by_image: dict[str, tuple[str, ...]] = {}
    total_hash = hashlib.sha256()
    for file in sorted(folder.rglob("*.json")):
        if file.is_file():
            path, data = file.relative_to(folder).as_posix(), file.read_bytes()
            total_hash.update(hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest() + hashlib.sha256(data).digest())
            by_path[path] = _parsed(data)
            if about := _about(by_path[path]):
                by_image[about] = (*by_image.get(about, ()), path)
    if not by_path:
        raise UsageError(f"{folder}: holds no LabelMe files (.json)")
    return Annotations(folder, by_path, by_image, total_hash.hexdigest())


def _parsed(data: bytes) -> dict[str, Any] | None:
    """A JSON object without its picture, None for anything else."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return {key: value for key, value in content.items() if key != "imageData"} if isinstance(content, dict) else None


def _about(data: dict[str, Any] | None) -> str:
    """The SHA-256 of the image in a file's `ORIGIN`, or ""."""
    origin = (data or {}).get(labelme.ORIGIN)
    return str(origin.get("sha256", "")) if isinstance(origin, dict) else ""


def corrections(annotations: Annotations, relative: str, sha256_in: str, keep: Sequence[str]) -> Corrections:
    """The shapes drawn on one image.

    Args:
        relative: its path below its input.  sha256_in: of its bytes.
        keep: laterality markers to retain; a `laterality` shape whose description begins with one of them is retained, others are removed.

    Raises:
        AnnotationError: no file is about it, one is not reviewed or malformed, is of another image, or they were not drawn on images of
            one size.
    """
    paths = annotations.by_image.get(sha256_in) or _by_path(annotations, relative)
    if not paths:
        raise AnnotationError("no annotation is about it: whether anything is burned in is unknown")
    marks: list[Mark] = []
    canvases, frames = set(), set()
    for path in paths:
        try:
            if (data := annotations.by_path[path]) is None:
                raise AnnotationError("is no JSON object")
            marks += _marks(data, PurePosixPath(relative).name, sha256_in, keep)
            canvases.add(_canvas(data, sha256_in))
            frames.add(_frame(data))
            if len(canvases) > 1:
                raise AnnotationError("names another image size than the one of another frame")
        except AnnotationError as error:
            raise AnnotationError(f"its annotation {error}") from None
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
            raise AnnotationError(f"its annotation is no LabelMe file ({type(error).__name__})") from None
    canvas_hw, coordinates = canvases.pop()
    return Corrections(tuple(marks), sha256_in=sha256_in, alone=True, canvas_hw=canvas_hw, coordinates=coordinates, frames=tuple(sorted(frames)))


def _canvas(data: dict[str, Any], sha256_in: str) -> tuple[tuple[int, int], str]:
    """(H, W) of the image that was drawn on, and the frame of its coordinates: on a picture from `annotate` or `review` stored pixels.

    Raises:
        AnnotationError: the file has no size.
    """
    if data.get("imageHeight") is None or data.get("imageWidth") is None:
        raise AnnotationError("names no image size (imageHeight, imageWidth), so the meaning of its coordinates is unknown")
    has_origin = (data.get(labelme.ORIGIN) or {}).get("sha256") == sha256_in
    return (int(data["imageHeight"]), int(data["imageWidth"])), "stored" if has_origin else "drawn"


def _frame(data: dict[str, Any]) -> int:
    return int((data.get(labelme.ORIGIN) or {}).get("frame", 0))


def _by_path(annotations: Annotations, relative: str) -> tuple[str, ...]:
    """The file at the place of an image in the folder of annotations."""
    for name in (f"{relative}.json", str(PurePosixPath(relative).with_suffix(".json"))):
        if name in annotations.by_path:
            return (name,)
    return ()


def _marks(data: dict[str, Any], image: str, sha256_in: str, keep: Sequence[str]) -> list[Mark]:
    """The marks of one LabelMe file.

    Raises:
        AnnotationError: it is not reviewed, of another image, or has a shape that is neither rectangle nor polygon.
    """
    origin = data.get(labelme.ORIGIN) or {}
    if origin.get("sha256") not in (None, sha256_in):
        raise AnnotationError("is of another image: its SHA-256 differs")
    name = PurePosixPath(str(data["imagePath"]).replace("\\", "/")).name
    if not origin and name != image:
        raise AnnotationError("is of another image: its imagePath has another file name")
    if (data.get("flags") or {}).get("reviewed") is not True:
        raise AnnotationError("is not reviewed: flags.reviewed is not true")
    marks: list[Mark] = []
    for shape in data["shapes"]:
        kind = str(shape.get("shape_type", "rectangle"))
        if kind not in ("rectangle", "polygon"):
            raise AnnotationError(f"has a shape of type {kind!r}, allowed are rectangle and polygon")
        if _is_retained(shape, keep):
            continue
        points = [(float(x), float(y)) for x, y in shape["points"]]
        if len(points) < 2 + (kind == "polygon"):
            raise AnnotationError("has a shape with too few corners")
        xs, ys = zip(*points)
        x1, y1, x2, y2 = int(min(xs) // 1), int(min(ys) // 1), int(-(-max(xs) // 1)), int(-(-max(ys) // 1))
        outline = tuple(points) if kind == "polygon" else ()
        marks.append(Mark(_frame(data), (x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)), "remove", outline=outline, drawn=True))
    return marks


def _is_retained(shape: dict[str, Any], keep: Sequence[str]) -> bool:
    words = str(shape.get("description") or "").upper().split()
    return shape.get("label") == LATERALITY and bool(words) and words[0] in keep
