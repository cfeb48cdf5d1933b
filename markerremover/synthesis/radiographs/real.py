"""Real radiographs as backgrounds: their annotations are painted over, then they are cropped, turned and flipped. The annotations
are also lifted off, as groups that can be laid on other images.

Images are (h, w) uint8 as loaded, and (H, W) float32, 0 to 255, as backgrounds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from ...errors import AnnotationError, ReadError
from ...labels import image_names, labelled_folder, labelme
from ...records import Element
from ...system import user_text
from ..marks.layers import Group, Layer
from .backgrounds import blob

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
LIFT_MAX_SHARE = 0.35  # maximum size of a lifted group, as a fraction of the image's longer side
NOT_LIFTED = "circle|drawn|dotted|line|box|patch|smudge|illegible"  # pattern of the texts of elements that are not lifted
DARK = 60  # minimum divisor, in grey levels, for the relative darkness of strokes: on darker ground they count as less dark
HAZE = 0.04  # opacity subtracted from a lifted annotation as a remainder of the anatomy
GROW_PX = 8  # minimum margin, in pixels, by which annotated boxes are enlarged before they are painted over


def from_real(rng: np.random.Generator, picture: np.ndarray, shape_hw: tuple[int, int]) -> np.ndarray:
    """A random crop, flip and rotation of a radiograph (h, w) uint8 without annotations, as a new (H, W) float32 array."""
    h, w = shape_hw
    ph, pw = picture.shape
    share = rng.uniform(0.5, 1.0) if rng.random() < 0.5 else 1.0
    scale = max(h / ph, w / pw) / share if rng.random() < 0.85 else min(h / ph, w / pw)  # the latter leaves a black border
    angle = rng.normal(0, 2.5) if rng.random() < 0.35 else float(rng.choice((0, 90, 180, 270), p=(0.88, 0.04, 0.04, 0.04)))
    turn = cv2.getRotationMatrix2D((pw / 2, ph / 2), angle, scale)
    slack = np.maximum(np.array([pw, ph]) * scale - (w, h), 0) / 2
    turn[:, 2] += np.array([w / 2, h / 2]) - (pw / 2, ph / 2) + rng.uniform(-1, 1, 2) * slack
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    if rng.random() < 0.1:
        picture = picture[::-1]
    source = np.ascontiguousarray(picture)
    return cv2.warpAffine(source, turn, (w, h), flags=cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR).astype(np.float32)


def pieces_of_real(rng: np.random.Generator, picture: np.ndarray, shape_hw: tuple[int, int]) -> np.ndarray:
    """One to three long, soft-edged pieces of a radiograph on black or dark grey, like limbs on a plate; a new (H, W) float32 array."""
    h, w = shape_hw
    out = np.full(shape_hw, rng.uniform(0, 25) if rng.random() < 0.5 else 0.0, np.float32)
    count = int(rng.choice((1, 2, 3), p=(0.6, 0.3, 0.1)))
    for k in range(count):
        center = ((k + 0.5) / count * w + rng.normal(0, 0.03) * w, h * rng.uniform(0.35, 0.65))
        radius = w / count * rng.uniform(0.22, 0.48), h * rng.uniform(0.35, 0.9)
        mask = np.zeros(shape_hw, np.uint8)
        cv2.fillPoly(mask, [np.round(blob(center, radius, rng, 0.08, 60, rng.normal(0, 0.25), 3.0) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        soft = cv2.blur(cv2.blur(mask, (15, 15)), (2 * int(0.02 * w) + 1,) * 2).astype(np.float32) / 255
        out += soft * (from_real(rng, picture, shape_hw) - out) * rng.uniform(0.6, 1.0)
    return out


def listing(folder: Path | str, *, rows: str = "train", clean: bool = False) -> tuple[tuple[str, str], ...]:
    """(image, annotation or "") paths of a folder of backgrounds, sorted.

    Args:
        folder: has images/ and annotations/ (LabelMe); or, with `clean`, only images that are known to carry no annotations.
        rows: part of a split.csv in the folder, if there is one, to which images are restricted.
        clean: whether images without an annotation file are accepted.

    Raises:
        AnnotationError: there are no images, or one has no annotation and `clean` is not set, so that its burned-in annotations would be
            taught as background.
    """
    folder = Path(folder)
    images = folder / "images" if (folder / "images").is_dir() else folder
    selection = None
    if (folder / "split.csv").is_file():
        table = user_text.read_table(folder / "split.csv")
        names = [p.name for p in images.iterdir()]
        heading = image_names.part_heading(table)
        selection = {image for image, cells in image_names.rows_of(table, names).items() if image_names.same_part(cells[heading], rows)}
    pairs = []
    for path in sorted(p for p in images.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES):
        if selection is not None and path.name not in selection:
            continue
        note = next((n for n in (folder / "annotations" / f"{path.stem}.json", path.with_suffix(".json")) if n.is_file()), None)
        if note is None and not clean:
            raise AnnotationError(f"{path}: has no annotation, so burned-in text on it would be taught as background; "
                                  "annotate it or say that the folder is clean")
        pairs.append((str(path), str(note or "")))
    if not pairs:
        raise AnnotationError(f"{folder}: no background images" + (f" with {rows!r} in split.csv" if selection is not None else ""))
    return tuple(pairs)


@dataclass(frozen=True)
class Whole:
    """A real film: picture (h, w) uint8, its own annotations, and their ink: (h, w) uint16, 0 or 1 + index of the element."""

    picture: np.ndarray
    elements: tuple[Element, ...]
    ink: np.ndarray


@lru_cache(maxsize=8)
def load_whole(image: str, note: str, longest: int = 2000) -> Whole:
    """One radiograph, its longer side at most `longest` pixels, with its annotations; cached.

    Raises:
        AnnotationError: see `read`.
    """
    picture, elements = read(image, note)
    scale = min(1.0, longest / max(picture.shape))
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        elements = tuple(replace(e, xyxy=(e.xyxy[0] * scale, e.xyxy[1] * scale, e.xyxy[2] * scale, e.xyxy[3] * scale)) for e in elements)
    ink = np.zeros(picture.shape, np.uint16)
    for k, element in enumerate(elements, start=1):
        x1, y1, x2, y2 = (max(0, round(v)) for v in element.xyxy)
        part = picture[y1:y2, x1:x2]
        if part.size == 0:
            continue
        _, binary = cv2.threshold(part, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        strokes: np.ndarray = binary.astype(bool) if binary.mean() < 0.55 else ~binary.astype(bool)
        if element.kind == "uncertain" or not strokes.any():
            strokes = np.ones(part.shape, bool)
        rows = np.asarray(strokes.any(1))  # the ink extends to the edges of the annotated box
        strokes[[0, -1], :] |= ~rows[[0, -1], None]
        columns = np.asarray(strokes.any(0))
        strokes[:, [0, -1]] |= ~columns[None, [0, -1]]
        ink[y1:y2, x1:x2][strokes] = k
    return Whole(picture, elements, ink)


@lru_cache(maxsize=192)
def load_clean(image: str, note: str, longest: int = 1536) -> np.ndarray:
    """One radiograph with every annotated region painted over, (h, w) uint8, longer side at most `longest` pixels; cached.

    Raises:
        AnnotationError: see `read`.
    """
    picture, elements = read(image, note)
    if note:
        picture = erase(picture, [e.xyxy for e in elements])
    scale = longest / max(picture.shape)
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture


def read(image: str, note: str) -> tuple[np.ndarray, tuple[Element, ...]]:
    """A radiograph as the models receive it, (h, w) uint8, and its elements, xyxy in its pixels.

    Args:
        image: path of the radiograph.
        note: path of its annotation, or "", which gives no elements.

    Raises:
        AnnotationError: the image cannot be decoded, or its annotation is malformed or does not fit it.
    """
    path = Path(image)
    if path.suffix.lower() == ".bmp":  # has no orientation, and is not a format of the package
        picture = cv2.imread(image, cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise AnnotationError(f"{image}: cannot be decoded as an image")
    else:
        try:
            picture = labelled_folder.read_grey(path)
        except ReadError as error:
            raise AnnotationError(f"{image}: cannot be decoded as an image ({error})") from error
    return picture, labelled_folder.placed(path, labelme.read(note)).elements if note else ()


@lru_cache(maxsize=1024)
def lifted(image: str, note: str, choosy: bool = False) -> tuple[Group, ...]:
    """The annotations of a radiograph as opacities over the painted-over image, one group for annotations that lie together.

    Annotations cut by the image's edge, or whose group is larger than `LIFT_MAX_SHARE`, are left out; so are strokes darker than
    their surroundings, which have no opacity towards white.

    Args:
        image, note: as of `read`.
        choosy: whether annotations darker than their ground are lifted as bright ones; those whose strokes do not stand out, and
            drawn lines and pasted boxes, which carry anatomy with them, are then left out.

    Raises:
        AnnotationError: see `read`.
    """
    if not note:
        return ()
    picture, elements = read(image, note)
    mask = _holes(picture.shape, [e.xyxy for e in elements])
    under = erase(picture, [e.xyxy for e in elements]).astype(np.float32)
    opacity = np.clip((picture - under) / np.maximum(255 - under, 1) - HAZE, 0, 1) * (mask > 0)
    darkness = np.clip((under - picture) / np.maximum(under, DARK) - HAZE, 0, 1) * (mask > 0) if choosy else opacity
    groups = []
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    for k, (x, y, w, h, _) in enumerate(stats[1:count], start=1):
        cut = x == 0 or y == 0 or x + w == picture.shape[1] or y + h == picture.shape[0]
        if cut or max(w, h) > LIFT_MAX_SHARE * max(picture.shape):
            continue
        part = slice(y, y + h), slice(x, x + w)
        contained = [e for e in elements if x <= e.xyxy[0] and y <= e.xyxy[1] and e.xyxy[2] <= x + w and e.xyxy[3] <= y + h]
        opacity_map = _standing_out(opacity, darkness, contained) if choosy else opacity
        if opacity_map is None:
            continue
        component = np.where(labels[part] == k, opacity_map[part], np.float32(0))
        group, remainder = Group(), component.copy()
        for e in elements:
            x1, y1, x2, y2 = (round(v - o) for v, o in zip(e.xyxy, (x, y, x, y)))
            if x1 >= 0 and y1 >= 0 and x2 <= w and y2 <= h and remainder[y1:y2, x1:x2].any():
                alpha = np.zeros_like(component)
                alpha[y1:y2, x1:x2] = remainder[y1:y2, x1:x2]
                remainder[y1:y2, x1:x2] = 0
                group.layers.append(Layer(alpha, 255.0, len(group.elements), additive=True))
                group.elements.append((e.kind, f"{e.text} (lifted)"))
        if any(kind != "uncertain" for kind, _ in group.elements):
            group.layers.append(Layer(remainder, 255.0, -1, additive=True))
            groups.append(group)
    return tuple(groups)


def _standing_out(opacity: np.ndarray, darkness: np.ndarray, elements) -> np.ndarray | None:
    """The one of two maps (H, W) in which the strokes of all elements stand out, None if there is none."""
    certain = [e for e in elements if e.kind != "uncertain"]
    if not certain or any(re.search(NOT_LIFTED, e.text) for e in certain):
        return None
    bright = []
    for element in certain:
        x1, y1, x2, y2 = (max(0, round(v)) for v in element.xyxy)
        light, dark = opacity[y1:y2, x1:x2], darkness[y1:y2, x1:x2]
        if light.size == 0:
            return None
        tops = float(np.percentile(light, 96)), float(np.percentile(dark, 96))
        bright.append(tops[0] >= 0.6 * tops[1])
        strokes, top = (light, tops[0]) if bright[-1] else (dark, tops[1])
        if top < 0.1 or not 0.03 < (strokes > 0.5 * top).mean() < 0.72:
            return None
    return None if any(b != bright[0] for b in bright) else opacity if bright[0] else darkness


def _holes(shape_hw: tuple[int, int], boxes) -> np.ndarray:
    """(h, w) uint8 mask, 255 in every enlarged box (xyxy in pixels)."""
    mask = np.zeros(shape_hw, np.uint8)
    for x1, y1, x2, y2 in boxes:
        grow = max(GROW_PX, 0.2 * min(x2 - x1, y2 - y1))
        mask[max(0, int(y1 - grow)): int(y2 + grow) + 1, max(0, int(x1 - grow)): int(x2 + grow) + 1] = 255
    return mask


def erase(picture: np.ndarray, boxes) -> np.ndarray:
    """A copy of an image (h, w) uint8 in which enlarged boxes (xyxy in pixels) are painted over from their surroundings.

    Boxes that touch are painted over together, so that none leaks into the place of another. Method: Telea 2004 (`cv2.INPAINT_TELEA`), at
    reduced resolution for wide regions, then blurred.
    """
    mask = _holes(picture.shape, boxes)
    out = picture.copy()
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    for x, y, cw, ch, _ in stats[1:count]:
        part = slice(max(0, y - 12), y + ch + 12), slice(max(0, x - 12), x + cw + 12)
        holes, surroundings = mask[part], picture[part]
        if holes.all():
            out[part] = 0
            continue
        step = max(1, round(max(holes.shape) / 160))  # wide regions are painted at low resolution, with an equally smooth result
        size = max(4, holes.shape[1] // step), max(4, holes.shape[0] // step)
        small_holes = (cv2.resize(holes, size, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
        filled = cv2.inpaint(cv2.resize(surroundings, size, interpolation=cv2.INTER_AREA), small_holes, 5, cv2.INPAINT_TELEA)
        filled = cv2.GaussianBlur(cv2.resize(filled, holes.shape[::-1], interpolation=cv2.INTER_LINEAR), (0, 0), 2)
        out[part] = np.where(holes > 0, filled, surroundings)
    return out
