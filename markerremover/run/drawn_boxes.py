"""Boxes and polygons that people drew, as all that counts: `remove --boxes ANNOTATIONS`.

Every image needs a LabelMe file that says it was reviewed, of every frame: a missing one is never "nothing burned in". It must name the image's
own size; what was drawn on an image turned upright is brought back to its stored pixels (see placement.py). It belongs to an image by the
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
from ..records import Corrections, Mark


@dataclass(frozen=True)
class Annotations:
    """LabelMe files of a folder.

    by_path: POSIX path below the folder -> what it holds, less the picture that LabelMe may have put in; None for what is no JSON object.
    by_image: SHA-256 of an image -> paths of the files about it.
    sha256: of everything that was read.
    """

    folder: Path
    by_path: Mapping[str, dict[str, Any] | None]
    by_image: Mapping[str, tuple[str, ...]]
    sha256: str


def read(folder: Path) -> Annotations:
    """Everything that ends in .json below a folder; what is in it is looked at image by image, see `marks`.

    Raises:
        UsageError: there is no such folder, or no such file in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder of annotations")
    by_path: dict[str, dict[str, Any] | None] = {}
    by_image: dict[str, tuple[str, ...]] = {}
    whole = hashlib.sha256()
    for file in sorted(folder.rglob("*.json")):
        if file.is_file():
            path, data = file.relative_to(folder).as_posix(), file.read_bytes()
            whole.update(hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest() + hashlib.sha256(data).digest())
            by_path[path] = _parsed(data)
            if about := _about(by_path[path]):
                by_image[about] = (*by_image.get(about, ()), path)
    if not by_path:
        raise UsageError(f"{folder}: holds no LabelMe files (.json)")
    return Annotations(folder, by_path, by_image, whole.hexdigest())


def _parsed(data: bytes) -> dict[str, Any] | None:
    """A JSON object without its picture, None for anything else."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return {key: value for key, value in found.items() if key != "imageData"} if isinstance(found, dict) else None


def _about(data: dict[str, Any] | None) -> str:
    """The SHA-256 of the image that a file says it is about, or ""."""
    origin = (data or {}).get(labelme.ORIGIN)
    return str(origin.get("sha256", "")) if isinstance(origin, dict) else ""


def corrections(annotations: Annotations, relative: str, sha256_in: str, keep: Sequence[str]) -> Corrections:
    """What was drawn on one image.

    Args:
        relative: its path below its input.  sha256_in: of its bytes.
        keep: signs that stay; a `laterality` shape whose description begins with one of them is not removed, every other shape is.

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
    """Rows and columns of the image that was drawn on, and what coordinates count in: those on a picture of ours are of stored pixels.

    Raises:
        AnnotationError: it names no size.
    """
    if data.get("imageHeight") is None or data.get("imageWidth") is None:
        raise AnnotationError("names no image size (imageHeight, imageWidth), so it is unknown what its coordinates mean")
    ours = (data.get(labelme.ORIGIN) or {}).get("sha256") == sha256_in
    return (int(data["imageHeight"]), int(data["imageWidth"])), "stored" if ours else "drawn"


def _frame(data: dict[str, Any]) -> int:
    return int((data.get(labelme.ORIGIN) or {}).get("frame", 0))


def _by_path(annotations: Annotations, relative: str) -> tuple[str, ...]:
    """The file that lies where that of an image does."""
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
    said = PurePosixPath(str(data["imagePath"]).replace("\\", "/")).name
    if not origin and said != image:
        raise AnnotationError("is of another image: its imagePath has another file name")
    if (data.get("flags") or {}).get("reviewed") is not True:
        raise AnnotationError("is not reviewed: flags.reviewed is not true")
    found = []
    for shape in data["shapes"]:
        kind = str(shape.get("shape_type", "rectangle"))
        if kind not in ("rectangle", "polygon"):
            raise AnnotationError(f"has a shape of type {kind!r}, allowed are rectangle and polygon")
        if _stays(shape, keep):
            continue
        points = [(float(x), float(y)) for x, y in shape["points"]]
        if len(points) < 2 + (kind == "polygon"):
            raise AnnotationError("has a shape with too few corners")
        xs, ys = zip(*points)
        x1, y1, x2, y2 = int(min(xs) // 1), int(min(ys) // 1), int(-(-max(xs) // 1)), int(-(-max(ys) // 1))
        outline = tuple(points) if kind == "polygon" else ()
        found.append(Mark(_frame(data), (x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)), "remove", outline=outline, drawn=True))
    return found


def _stays(shape: dict[str, Any], keep: Sequence[str]) -> bool:
    words = str(shape.get("description") or "").upper().split()
    return shape.get("label") == "laterality" and bool(words) and words[0] in keep
