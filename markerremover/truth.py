"""Annotations in the formats that people have: LabelMe, YOLO, COCO, Pascal VOC -> `Annotation`, one an image.

Truth decides what a tool is said to be worth, so nothing in it is guessed: a label that is not ours, a box outside its image, a
missing file or a name that comes twice is an error that names the file, never "no marking".
"""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, Sequence

from . import labelme
from .errors import AnnotationError, UsageError
from .records import Annotation, Element

KINDS = labelme.KINDS


@dataclass(frozen=True)
class Truth:
    """The annotations of some images.

    source: the file or folder.  format: "LabelMe", "YOLO", "COCO" or "Pascal VOC".
    """

    source: Path
    format: str
    annotations: tuple[Annotation, ...]


def read(source: Path | str, *, shape_of: Callable[[str], tuple[int, int]] | None = None, classes: Sequence[str] = ()) -> Truth:
    """Read the truth of a folder or file, whatever its format.

    Args:
        source: a folder of LabelMe `.json`, Pascal VOC `.xml` or YOLO `.txt` files, or a COCO `.json` file.
        shape_of: image name -> its rows and columns when it is upright; YOLO files hold no image size, and are found by image names without suffix.
        classes: names of the YOLO class numbers; by default those of `classes.txt` in the folder, one a line.

    Raises:
        AnnotationError: something in it is wrong, or two annotations are of the same image.
        UsageError: there is nothing that could be read as truth, several formats lie together, or YOLO lacks sizes or class names.
    """
    source = Path(source)
    if source.is_file():
        found = Truth(source, "COCO", tuple(_coco(source)))
    elif source.is_dir():
        found = _folder(source, shape_of, classes)
    else:
        raise UsageError(f"{source}: there is no such file or folder")
    seen: set[str] = set()
    for annotation in found.annotations:
        if annotation.image in seen:
            raise AnnotationError(f"{source}: {annotation.image} is annotated twice")
        seen.add(annotation.image)
    return found


def _folder(folder: Path, shape_of: Callable[[str], tuple[int, int]] | None, classes: Sequence[str]) -> Truth:
    by_suffix = {suffix: sorted(folder.glob(f"*{suffix}")) for suffix in (".json", ".xml", ".txt")}
    by_suffix[".txt"] = [path for path in by_suffix[".txt"] if path.name != "classes.txt"]
    there = [suffix for suffix, paths in by_suffix.items() if paths]
    if len(there) != 1:
        raise UsageError(f"{folder}: holds {' and '.join(there) or 'no .json, .xml or .txt'} files, needs annotations of one format")
    paths = by_suffix[there[0]]
    if there[0] == ".json":
        return Truth(folder, "LabelMe", tuple(map(labelme.read, paths)))
    if there[0] == ".xml":
        return Truth(folder, "Pascal VOC", tuple(map(_voc, paths)))
    names = tuple(classes) or _class_names(folder / "classes.txt")
    if shape_of is None:
        raise UsageError(f"{folder}: YOLO files hold no image sizes, so the images are needed")
    return Truth(folder, "YOLO", tuple(_yolo(path, names, shape_of) for path in paths))


def _class_names(path: Path) -> tuple[str, ...]:
    if not path.is_file():
        raise UsageError(f"{path}: is needed to tell what the class numbers mean, one name a line")
    return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())


def _kind(path: Path, label: str) -> str:
    if label not in KINDS:
        raise AnnotationError(f"{path}: label is {label!r}, allowed are {', '.join(KINDS)}")
    return label


def _element(path: Path, label: str, xyxy: Sequence[float], shape_hw: tuple[int, int], text: str = "") -> Element:
    """An element whose box lies in its image; half a pixel over the edge is rounding, and cut off.

    Raises:
        AnnotationError: the box is empty, no number, or reaches out of the image.
    """
    x1, y1, x2, y2 = map(float, xyxy)
    h, w = shape_hw
    if not (x1 < x2 and y1 < y2 and x1 >= -0.5 and y1 >= -0.5 and x2 <= w + 0.5 and y2 <= h + 0.5):
        raise AnnotationError(f"{path}: box {(x1, y1, x2, y2)} is empty or reaches out of the {w}x{h} image")
    return Element((max(x1, 0.0), max(y1, 0.0), min(x2, float(w)), min(y2, float(h))), _kind(path, label), text)


def _voc(path: Path) -> Annotation:
    """One Pascal VOC file. Its boxes count pixels from 1 and include the last one; `difficult` marks an uncertain one."""
    try:
        root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
        image = Path(_text(root, "filename")).name
        shape_hw = int(_text(root, "size/height")), int(_text(root, "size/width"))
        elements = []
        for entry in root.iter("object"):
            x1, y1, x2, y2 = (float(_text(entry, f"bndbox/{name}")) for name in ("xmin", "ymin", "xmax", "ymax"))
            kind = "uncertain" if (entry.findtext("difficult") or "0").strip() == "1" else _text(entry, "name")
            elements.append(_element(path, kind, (x1 - 1, y1 - 1, x2, y2), shape_hw))
    except (ElementTree.ParseError, UnicodeDecodeError, OSError, ValueError) as error:
        raise AnnotationError(f"{path}: not a Pascal VOC file ({type(error).__name__})") from error
    return Annotation(image, shape_hw, tuple(elements))


def _text(node: ElementTree.Element, name: str) -> str:
    found = node.findtext(name)
    if not found or not found.strip():
        raise ValueError(name)
    return found.strip()


def _yolo(path: Path, names: Sequence[str], shape_of: Callable[[str], tuple[int, int]]) -> Annotation:
    """One YOLO file: `class cx cy w h` a line, 0-1 of the image; an empty file says that nothing is burnt in."""
    h, w = shape_hw = shape_of(path.stem)
    elements = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            label, cx, cy, bw, bh = line.split()
            name = names[int(label)] if int(label) >= 0 else names[len(names)]
            cx, cy, bw, bh = (float(v) * s for v, s in zip((cx, cy, bw, bh), (w, h, w, h)))
        except (ValueError, IndexError) as error:
            raise AnnotationError(f"{path}, line {number}: not `class cx cy w h` with a class of 0 to {len(names) - 1}") from error
        elements.append(_element(path, name, (cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2), shape_hw))
    return Annotation(path.stem, shape_hw, tuple(elements), coordinates="fractions")


def _coco(path: Path) -> Iterable[Annotation]:
    """One COCO file: `images`, `annotations` with `bbox` as x, y, width, height, and `categories`; `iscrowd` marks uncertain ones.
    Every image counts as reviewed, also one without annotations, for COCO lists what was looked at."""
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        labels = {c["id"]: str(c["name"]) for c in data["categories"]}
        images = {i["id"]: (Path(str(i["file_name"]).replace("\\", "/")).name, (int(i["height"]), int(i["width"]))) for i in data["images"]}
        if len(images) != len(data["images"]):
            raise AnnotationError(f"{path}: two images have the same id")
        elements: dict[Any, list[Element]] = {key: [] for key in images}
        for entry in data["annotations"]:
            key, (x, y, w, h) = entry["image_id"], entry["bbox"]
            kind = "uncertain" if entry.get("iscrowd") else labels[entry["category_id"]]
            elements[key].append(_element(path, kind, (x, y, x + w, y + h), images[key][1]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AnnotationError(f"{path}: not a COCO file ({type(error).__name__}: {error})") from error
    return [Annotation(name, shape_hw, tuple(elements[key])) for key, (name, shape_hw) in images.items()]


def split_names(source: str) -> set[str]:
    """Image names of "FILE.csv=part": the first column of the rows whose last column is `part`.

    Raises:
        UsageError: the file is missing, or has no such row.
    """
    name, equals, part = source.rpartition("=")
    try:
        with open(name, newline="", encoding="utf-8") as handle:
            found = {row[0] for row in csv.reader(handle) if row and row[-1].strip() == part}
    except OSError as error:
        raise UsageError(f"{name or source}: the split cannot be read ({error.strerror}), needs FILE.csv=PART") from error
    if not equals or not found:
        raise UsageError(f"{source}: no row of the split says {part!r}, needs FILE.csv=PART")
    return found
