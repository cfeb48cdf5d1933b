"""Boxes, polygons and masks drawn by hand, without any detection: `remove --boxes ANNOTATIONS`, `--boxes-template FILE`.

Every frame of every image needs a LabelMe file with `flags.reviewed`, or the image a mask (`labels.masks`): a missing one never means "nothing
burned in". It must have the image's size; what was drawn on an image rotated upright is converted to its stored pixels (see
`formats.placement`). A LabelMe file belongs to an image by the SHA-256 that `annotate` and `review` write into it, or else by its path: for
`a/0.png` that is `a/0.png.json` or `a/0.json`. A mask belongs to it by its path: `a/0.png.mask.png` or `a/0.mask.png`. A template, a LabelMe
file or a mask, counts for every image without an annotation of its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import AnnotationError, UsageError
from ..formats import placement
from ..formats.png import MAGIC
from ..labels import labelme, masks
from ..labels.image_names import without_suffix
from ..labels.masks import MaskFile
from ..records import LATERALITY, Corrections, Mark

MALFORMED = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)


@dataclass(frozen=True)
class Annotations:
    """What was drawn by hand for a run.

    by_path: POSIX path of a LabelMe file below the folder -> its content without the embedded picture; None for anything but a JSON object.
    by_image: SHA-256 of an image -> paths of the LabelMe files about it.
    masks: POSIX path of a mask below the folder -> the mask; decoded image by image.
    template: for every image without an annotation of its own: the content of a LabelMe file, or a mask; None: such images fail.
    sha256: of all files.
    """

    by_path: Mapping[str, dict[str, Any] | None]
    by_image: Mapping[str, tuple[str, ...]]
    masks: Mapping[str, MaskFile]
    template: dict[str, Any] | MaskFile | None
    sha256: str


def read(folder: Path | None, template: Path | None = None) -> Annotations:
    """All .json and .mask.png files below a folder; their content is checked image by image, see `corrections`. A template is checked at once.

    Raises:
        UsageError: there is no such folder, or no such file in it; or the template cannot be used, or removes nothing.
    """
    by_path: dict[str, dict[str, Any] | None] = {}
    by_image: dict[str, tuple[str, ...]] = {}
    drawn_masks: dict[str, MaskFile] = {}
    total_hash = hashlib.sha256()
    for path, file in _files(folder) if folder else ():
        data = file.read_bytes()
        digest = hashlib.sha256(data)
        total_hash.update(hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest() + digest.digest())
        if path.endswith(masks.SUFFIX):
            drawn_masks[path] = MaskFile(file.absolute(), digest.hexdigest())
            continue
        by_path[path] = _parsed(data)
        if about := _about(by_path[path]):
            by_image[about] = (*by_image.get(about, ()), path)
    if folder and not by_path and not drawn_masks:
        raise UsageError(f"{folder}: holds no LabelMe files (.json) and no masks (NAME{masks.SUFFIX})")
    common = None
    if template:
        common, digest_of_template = _template(Path(template))
        total_hash.update(b"template" + digest_of_template)
    return Annotations(by_path, by_image, drawn_masks, common, total_hash.hexdigest())


def _files(folder: Path) -> list[tuple[str, Path]]:
    """The annotations below a folder: POSIX path below it and file, sorted.

    Raises:
        UsageError: there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder of annotations")
    files = sorted(file for file in folder.rglob("*") if file.name.endswith((".json", masks.SUFFIX)) and file.is_file())
    return [(file.relative_to(folder).as_posix(), file) for file in files]


def _template(path: Path) -> tuple[dict[str, Any] | MaskFile, bytes]:
    """A template's content and its SHA-256.

    Raises:
        UsageError: it cannot be read, is neither a mask nor a reviewed LabelMe file, or removes nothing.
    """
    try:
        data = path.read_bytes()
        digest = hashlib.sha256(data)
        if data.startswith(MAGIC):
            masks.pixels(data)
            return MaskFile(path.absolute(), digest.hexdigest()), digest.digest()
        if (content := _parsed(data)) is None:
            raise AnnotationError("is neither a PNG file nor a JSON object")
        if not _marks(content, None, "", ()):
            raise AnnotationError("has no shape: a template that removes nothing would pass every image on")
        _canvas(content, None)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    except AnnotationError as error:
        raise UsageError(f"{path}: the template {error}") from None
    except MALFORMED as error:
        raise UsageError(f"{path}: the template is no LabelMe file ({type(error).__name__})") from None
    return content, digest.digest()


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
            one size; or it has both a LabelMe file and a mask.
    """
    paths = annotations.by_image.get(sha256_in) or _by_path(annotations.by_path, relative, ".json")
    mask = _by_path(annotations.masks, relative, masks.SUFFIX)
    if paths and mask:
        raise AnnotationError("both a LabelMe file and a mask are about it: which of them counts is unknown")
    if not paths:
        drawn = annotations.masks[mask[0]] if mask else annotations.template
        if drawn is None:
            raise AnnotationError("no annotation is about it: whether anything is burned in is unknown")
        if isinstance(drawn, MaskFile):
            return masks.Painted(sha256_in=sha256_in, alone=True, coordinates=placement.DRAWN, frames=None, mask=drawn)
        return _of_template(drawn, sha256_in, keep)
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
        except MALFORMED as error:
            raise AnnotationError(f"its annotation is no LabelMe file ({type(error).__name__})") from None
    canvas_hw, coordinates = canvases.pop()
    return Corrections(tuple(marks), sha256_in=sha256_in, alone=True, canvas_hw=canvas_hw, coordinates=coordinates, frames=tuple(sorted(frames)))


def _of_template(data: dict[str, Any], sha256_in: str, keep: Sequence[str]) -> Corrections:
    """The shapes of a template, in all frames of an image.

    Raises:
        AnnotationError: each of them is retained.
    """
    marks = _marks(data, None, "", keep)
    if not marks:
        raise AnnotationError("the template removes nothing from it: each of its shapes is a laterality marker to retain")
    canvas_hw, coordinates = _canvas(data, None)
    marks = [replace(mark, frame=0) for mark in marks]
    return Corrections(tuple(marks), sha256_in=sha256_in, alone=True, canvas_hw=canvas_hw, coordinates=coordinates, frames=None)


def _canvas(data: dict[str, Any], sha256_in: str | None) -> tuple[tuple[int, int], str]:
    """(H, W) of the image that was drawn on, and the frame of its coordinates: on a picture from `annotate` or `review` stored pixels.

    Args:
        sha256_in: of the image; None for a template.

    Raises:
        AnnotationError: the file has no size.
    """
    if data.get("imageHeight") is None or data.get("imageWidth") is None:
        raise AnnotationError("names no image size (imageHeight, imageWidth), so the meaning of its coordinates is unknown")
    origin = (data.get(labelme.ORIGIN) or {}).get("sha256")
    has_origin = bool(origin) if sha256_in is None else origin == sha256_in
    return (int(data["imageHeight"]), int(data["imageWidth"])), "stored" if has_origin else "drawn"


def _frame(data: dict[str, Any]) -> int:
    return int((data.get(labelme.ORIGIN) or {}).get("frame", 0))


def _by_path(known: Container[str], relative: str, suffix: str) -> tuple[str, ...]:
    """The path of the annotation at the place of an image in the folder of annotations."""
    bare = without_suffix(relative) if suffix == masks.SUFFIX else str(PurePosixPath(relative).with_suffix(""))  # a mask names no image
    for name in (f"{relative}{suffix}", f"{bare}{suffix}"):
        if name in known:
            return (name,)
    return ()


def _marks(data: dict[str, Any], image: str | None, sha256_in: str, keep: Sequence[str]) -> list[Mark]:
    """The marks of one LabelMe file.

    Args:
        image, sha256_in: of the image; None for a template, which names any image.

    Raises:
        AnnotationError: it is not reviewed, of another image, or has a shape that is neither rectangle nor polygon.
    """
    origin = data.get(labelme.ORIGIN) or {}
    if image is not None and origin.get("sha256") not in (None, sha256_in):
        raise AnnotationError("is of another image: its SHA-256 differs")
    name = PurePosixPath(str(data["imagePath"]).replace("\\", "/")).name
    if image is not None and not origin and name != image:
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
