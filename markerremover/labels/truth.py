"""Reads annotations in common formats: LabelMe, YOLO, COCO, Pascal VOC -> one `Label` per image, and its `Annotation`.

Measurements depend on the truth, so nothing in it is guessed: an unknown label, a box outside its image, a missing file or a duplicate
image is an error that names the file, never "no annotation". Known habits of other tools are accepted and listed in `Truth.notes`: a box
that extends slightly beyond its image is clipped, files that are no annotations are left out.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import AnnotationError, UsageError
from ..records import ELEMENT_KINDS, UNCERTAIN, Annotation, Element
from ..system import user_text
from . import image_names, labelme

SLACK_PX, SLACK = 2.0, 0.01  # farthest that a box may extend beyond its image: pixels, or a fraction of the image's longer side if that is more
NOTED_PX = 0.5  # smallest extent beyond the image that is noted, pixels; less is rounding
NO_TRUTH = ("readme", "license", "licence", "notice", "changelog")  # beginnings of names of other files beside annotations
IMAGE_LISTS = ("train.txt", "val.txt", "valid.txt", "test.txt")  # lists of image paths that YOLO's tools write
CLASS_LISTS = ("classes.txt", "_classes.txt")
FORMATS = {".json": "LabelMe", ".xml": "Pascal VOC", ".txt": "YOLO"}

Shape = tuple[int, int]
Build = Callable[[Callable[[], Shape]], tuple[Annotation, float]]


@dataclass(frozen=True)
class Label:
    """The label of one image.

    source: the file.  image: name of the image in that file.
    claims: possible paths of the image, the likeliest first; below the folder of images, or absolute. All labels of a truth have as many.
    sha256: of the image's file, "" if unknown.  frame: counted from 0.  patient: "" if unknown.
    build: makes the annotation, and the greatest extent of a box beyond the image in pixels, from a function that gives (H, W).
    """

    source: Path
    image: str
    claims: tuple[str, ...]
    build: Build = field(repr=False)
    sha256: str = ""
    frame: int = 0
    patient: str = ""


@dataclass(frozen=True)
class Truth:
    """The labels of some images.

    source: the file or folder.  format: "LabelMe", "YOLO", "COCO" or "Pascal VOC".  notes: on omissions, one sentence each.
    """

    source: Path
    format: str
    labels: tuple[Label, ...]
    notes: tuple[str, ...] = ()


def read(source: Path | str, *, classes: Sequence[str] = ()) -> Truth:
    """Read the truth of a folder or file, whatever its format.

    Args:
        source: a folder of LabelMe `.json`, Pascal VOC `.xml` or YOLO `.txt` files, in sub-folders too, one such file, or a COCO `.json`
            file.
        classes: names of the YOLO class numbers; by default those of `classes.txt` in the folder, one per line.

    Raises:
        AnnotationError: a label file is malformed.
        UsageError: there is nothing that could be read as truth, the folder has several formats, or YOLO lacks class names.
    """
    source = Path(source)
    if source.is_dir():
        return _folder(source, classes)
    if not source.exists():
        raise UsageError(f"{source}: there is no such file or folder")
    if source.suffix.lower() in (".xml", ".txt"):
        return _files(source.parent, [source], source.suffix.lower(), classes)
    data = user_text.read_json(source, AnnotationError)
    if isinstance(data, dict) and "shapes" in data:
        return Truth(source, "LabelMe", (_labelme(source, source.parent, data),))
    return Truth(source, "COCO", tuple(_coco(source, data)))


def to_annotations(labels: Sequence[Label], shape_of: Callable[[Label], Shape]) -> tuple[list[Annotation], list[str]]:
    """The annotations of labels, in their order, and notes on them, one sentence each.

    Args:
        shape_of: a label -> (H, W) of its upright image; called only where the label lacks it.

    Raises:
        AnnotationError: a label is invalid or does not fit its image.
    """
    result, clipped = [], []
    for label in labels:
        annotation, beyond = label.build(lambda: shape_of(label))
        result.append(annotation)
        if beyond > NOTED_PX:
            clipped.append((beyond, label.source))
    if not clipped:
        return result, []
    extent, worst = max(clipped, key=lambda pair: pair[0])
    return result, [f"boxes of {len(clipped)} images extend beyond their image, by {extent:.0f} px at most ({worst.name}); they were clipped"]


def _folder(folder: Path, classes: Sequence[str]) -> Truth:
    candidates = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in FORMATS and _may_be_truth(path, folder)]
    by_suffix = {suffix: [path for path in candidates if path.suffix.lower() == suffix] for suffix in FORMATS}
    other_formats = any(paths for suffix, paths in by_suffix.items() if suffix != ".txt")
    strangers = [path for path in by_suffix[".txt"] if (other_formats or path.name.lower() in IMAGE_LISTS) and not _looks_like_yolo(path)]
    by_suffix[".txt"] = [path for path in by_suffix[".txt"] if path not in strangers]
    kinds = [suffix for suffix, paths in by_suffix.items() if paths]
    if len(kinds) != 1:
        raise UsageError(f"{folder}: holds {' and '.join(kinds) or 'no .json, .xml or .txt'} files, needs annotations of one format")
    truth = _files(folder, by_suffix[kinds[0]], kinds[0], classes)
    names = ", ".join(path.name for path in strangers[:3]) + (" ..." if strangers[3:] else "")
    return Truth(truth.source, truth.format, truth.labels, (f"left out, as no annotations: {names}",) if strangers else ())


def _may_be_truth(path: Path, folder: Path) -> bool:
    """Whether a file may be an annotation, unlike hidden files, read-mes and lists of classes."""
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(folder).parts)
    name = path.name.lower()
    return path.is_file() and not hidden and not name.startswith(NO_TRUTH) and name not in CLASS_LISTS


def _looks_like_yolo(path: Path) -> bool:
    """Whether a text file may hold lines of YOLO: its first word is a number, or there is none."""
    try:
        words = user_text.read(path).split(maxsplit=1)
    except UsageError:
        return False
    return not words or words[0].lstrip("-").isdigit()


def _files(folder: Path, paths: Sequence[Path], suffix: str, classes: Sequence[str]) -> Truth:
    """Files of one format, one per image."""
    if suffix == ".txt":
        names = tuple(classes) or _class_names(folder)
        return Truth(folder, "YOLO", tuple(_yolo(path, folder, names) for path in paths))
    if suffix == ".xml":
        return Truth(folder, "Pascal VOC", tuple(_voc(path, folder) for path in paths))
    content = [(path, user_text.read_json(path, AnnotationError)) for path in paths]
    for path, data in content:
        if isinstance(data, dict) and "images" in data and "annotations" in data:
            if len(paths) == 1:
                return Truth(path, "COCO", tuple(_coco(path, data)))
            raise UsageError(f"{path}: is a COCO file among others: name the file itself")
    return Truth(folder, "LabelMe", tuple(_labelme(path, folder, data) for path, data in content))


def _beside(path: Path, folder: Path, name: str) -> str:
    """The path of an image whose place in the tree of images is that of its label in the tree of labels."""
    return (PurePosixPath(path.relative_to(folder).as_posix()).parent / PurePosixPath(name.replace("\\", "/")).name).as_posix()


def _from(path: Path, relative: str) -> str:
    """A path in a label, resolved relative to the label file; absolute."""
    return (path.parent / relative.replace("\\", "/")).resolve().as_posix()


def _labelme(path: Path, folder: Path, data: Any) -> Label:
    if not isinstance(data, dict) or not isinstance(data.get("imagePath"), str):
        raise AnnotationError(f"{path}: not a LabelMe file (it has no imagePath)")
    image, origin = data["imagePath"], labelme.origin(data)

    def build(shape_of: Callable[[], Shape]) -> tuple[Annotation, float]:
        annotation = labelme.annotation_of(path, data, shape_of)
        h, w = annotation.shape_hw
        points = [(float(p[0]), float(p[1])) for shape in data["shapes"] for p in shape["points"]]
        return annotation, max([0.0, *(max(-x, x - w, -y, y - h) for x, y in points)])

    claims = (_from(path, image), _beside(path, folder, image), image_names.cleaned(image))
    frame = origin.get("frame") or 0
    return Label(path, PurePosixPath(image.replace("\\", "/")).name, claims, build, str(origin.get("sha256") or ""),
                 frame if isinstance(frame, int) else 0, str(origin.get("patient") or ""))


def _class_names(folder: Path) -> tuple[str, ...]:
    path = next((folder / name for name in CLASS_LISTS if (folder / name).is_file()), folder / CLASS_LISTS[0])
    if not path.is_file():
        raise UsageError(f"{path}: is needed for the names of the class numbers, one per line")
    return tuple(line.strip() for line in user_text.read(path).splitlines() if line.strip())


def _kind(label: str) -> str:
    if label not in ELEMENT_KINDS:
        raise AnnotationError(f"label is {label!r}, allowed are {', '.join(ELEMENT_KINDS)}")
    return label


def _element(label: str, xyxy: Sequence[float], shape_hw: Shape, text: str = "") -> tuple[Element, float]:
    """An element whose box is clipped to its image, and its extent beyond the image in pixels.

    Raises:
        AnnotationError: the box is empty, not finite, or extends beyond the image by more than `SLACK_PX` and `SLACK`.
    """
    x1, y1, x2, y2 = map(float, xyxy)
    h, w = shape_hw
    beyond = max(-x1, -y1, x2 - w, y2 - h, 0.0)
    box = max(x1, 0.0), max(y1, 0.0), min(x2, float(w)), min(y2, float(h))
    if not (x1 < x2 and y1 < y2 and box[0] < box[2] and box[1] < box[3] and beyond <= max(SLACK_PX, SLACK * max(shape_hw))):
        raise AnnotationError(f"box {(x1, y1, x2, y2)} is empty or extends beyond the {w}x{h} image")
    return Element(box, _kind(label), text), beyond


def _built(path: Path, where: str, image: str, shape_hw: Shape, boxes: Sequence[tuple[str, Sequence[float]]]) -> tuple[Annotation, float]:
    """The annotation of labelled boxes. where: words after the file name in an error."""
    if min(shape_hw) < 1:
        raise AnnotationError(f"{path}{where}: its image has {shape_hw[1]}x{shape_hw[0]} pixels")
    elements = []
    for number, (label, box) in enumerate(boxes, 1):
        try:
            elements.append(_element(label, box, shape_hw))
        except AnnotationError as error:
            raise AnnotationError(f"{path}{where}, object {number}: {error}") from None
    return Annotation(image, shape_hw, tuple(element for element, _ in elements)), max([0.0, *(beyond for _, beyond in elements)])


def _voc(path: Path, folder: Path) -> Label:
    """One Pascal VOC file. Its boxes count pixels from 1 and include the last one; `difficult` marks an uncertain one."""
    try:
        root = ElementTree.fromstring(path.read_bytes())
        image = _text(root, "filename").replace("\\", "/")
        shape_hw = int(_text(root, "size/height")), int(_text(root, "size/width"))
        boxes = []
        for entry in root.iter("object"):
            x1, y1, x2, y2 = (float(_text(entry, f"bndbox/{name}")) for name in ("xmin", "ymin", "xmax", "ymax"))
            kind = UNCERTAIN if (entry.findtext("difficult") or "0").strip() == "1" else _text(entry, "name")
            boxes.append((kind, (x1 - 1, y1 - 1, x2, y2)))
    except (ElementTree.ParseError, UnicodeError, LookupError, OSError, ValueError) as error:
        raise AnnotationError(f"{path}: not a Pascal VOC file ({type(error).__name__}: {error})") from error
    name = PurePosixPath(image).name
    claims = (_from(path, image), _beside(path, folder, image), image_names.cleaned(f"{root.findtext('folder') or ''}/{name}"),
              image_names.cleaned(image))
    return Label(path, name, claims, lambda shape_of: _built(path, "", name, shape_hw, boxes))


def _text(node: ElementTree.Element, name: str) -> str:
    content = node.findtext(name)
    if not content or not content.strip():
        raise ValueError(f"no {name}")
    return content.strip()


def _yolo(path: Path, folder: Path, names: Sequence[str]) -> Label:
    """One YOLO file: one line `class cx cy w h` per box, fractions of the image; an empty file means that nothing is burned in."""
    rows = []
    for number, line in enumerate(user_text.read(path, AnnotationError).splitlines(), 1):
        if not line.strip():
            continue
        try:
            label, *numbers = line.split()
            kind = names[int(label)] if int(label) >= 0 else names[len(names)]
            cx, cy, w, h = map(float, numbers)
        except (ValueError, IndexError) as error:
            raise AnnotationError(f"{path}, line {number}: not `class cx cy w h` with a class of 0 to {len(names) - 1}") from error
        rows.append((kind, (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)))

    def build(shape_of: Callable[[], Shape]) -> tuple[Annotation, float]:
        h, w = shape_of()
        annotation, beyond = _built(path, "", path.stem, (h, w), [(kind, (x1 * w, y1 * h, x2 * w, y2 * h)) for kind, (x1, y1, x2, y2) in rows])
        return replace(annotation, coordinates="fractions"), beyond

    name = PurePosixPath(path.relative_to(folder).as_posix()).with_suffix("").as_posix()
    return Label(path, path.stem, (name, name.removeprefix("labels/")), build)


def _coco(path: Path, data: Any) -> list[Label]:
    """One COCO file: `images`, `annotations` with `bbox` as x, y, width, height, and `categories`; `iscrowd` marks uncertain ones.
    Every image counts as reviewed, also one without annotations, since COCO lists all images that were checked."""
    try:
        kinds = {c["id"]: str(c["name"]) for c in data["categories"]}
        images = {i["id"]: (str(i["file_name"]), (int(i["height"]), int(i["width"]))) for i in data["images"]}
        if len(images) != len(data["images"]):
            raise AnnotationError(f"{path}: two images have the same id")
        boxes: dict[Any, list[tuple[str, Sequence[float]]]] = {key: [] for key in images}
        for entry in data["annotations"]:
            key, (x, y, w, h) = entry["image_id"], entry["bbox"]
            boxes[key].append((UNCERTAIN if entry.get("iscrowd") else kinds[entry["category_id"]], (x, y, x + w, y + h)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise AnnotationError(f"{path}: not a COCO file ({type(error).__name__}: {error})") from error
    return [_coco_label(path, name, shape_hw, boxes[key]) for key, (name, shape_hw) in images.items()]


def _coco_label(path: Path, name: str, shape_hw: Shape, boxes: Sequence[tuple[str, Sequence[float]]]) -> Label:
    image = image_names.cleaned(name)
    return Label(path, image, (image, _from(path, name)), lambda shape_of: _built(path, f", image {name}", image, shape_hw, boxes))


def split_names(source: str) -> set[str]:
    """Image names of "FILE.csv=part": from column `image` or the first one, in the rows with `part` in column `split` or the last one.

    Raises:
        UsageError: the file is missing or malformed, or has no such row.
    """
    name, equals, part = source.rpartition("=")
    if not equals:
        raise UsageError(f"{source}: names no part, needs FILE.csv=PART")
    table = user_text.read_table(name)
    image = next((table.header.index(h) for h in image_names.HEADINGS if h in table.header), 0)
    column = table.header.index(image_names.part_heading(table))
    names = {row[image] for row in table.rows if image_names.same_part(row[column], part)}
    if image_names.same_part(table.header[-1], part):
        raise UsageError(f"{name}: its first line has to name the columns, such as image,patient,split")
    if not names:
        raise UsageError(f"{source}: no row of the split has {part!r}, needs FILE.csv=PART")
    return names
