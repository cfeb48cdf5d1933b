"""Real radiographs as backgrounds: their annotated marks are painted over, then they are cropped, turned and flipped. What
was painted over is lifted off too, as groups that can be laid on other pictures.

Pictures are (h, w) uint8 as loaded, and (H, W) float32, 0 to 255, as backgrounds.
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
LIFT_MAX_SHARE = 0.35  # groups of marks that take more of the picture's longer side are not lifted
NOT_LIFTED = "circle|drawn|dotted|line|box|patch|smudge|illegible"  # in an element's text
DARK = 60  # grey up to which nothing that is darker still counts as dark strokes
HAZE = 0.04  # opacity up to which a lifted mark is taken for leftovers of the anatomy
GROW_PX = 8  # annotated boxes are grown by at least this before they are painted over


def from_real(rng: np.random.Generator, picture: np.ndarray, shape_hw: tuple[int, int]) -> np.ndarray:
    """A random crop, flip and slight turn of a mark-free radiograph (h, w) uint8, as (H, W) float32."""
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
    """One to three long, soft-edged pieces of a radiograph on black, as limbs lie on a plate; (H, W) float32."""
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
    """(image, annotation or "") paths of a backgrounds folder, sorted.

    Args:
        folder: has images/ and annotations/ (LabelMe); or, with `clean`, just images that are known to carry no marks.
        rows: where the folder has a split.csv, only images whose last column says this.

    Raises:
        AnnotationError: an image has no annotation and `clean` is not set, so its marks would be taught as background.
    """
    folder = Path(folder)
    images = folder / "images" if (folder / "images").is_dir() else folder
    wanted = None
    if (folder / "split.csv").is_file():
        table = user_text.read_table(folder / "split.csv")
        there = [p.name for p in images.iterdir()]
        where = image_names.part_heading(table)
        wanted = {image for image, cells in image_names.rows_of(table, there).items() if image_names.same_part(cells[where], rows)}
    found = []
    for path in sorted(p for p in images.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES):
        if wanted is not None and path.name not in wanted:
            continue
        note = next((n for n in (folder / "annotations" / f"{path.stem}.json", path.with_suffix(".json")) if n.is_file()), None)
        if note is None and not clean:
            raise AnnotationError(f"{path}: has no annotation, so marks on it would be taught as background; "
                                  "annotate it or say that the folder is clean")
        found.append((str(path), str(note or "")))
    if not found:
        raise AnnotationError(f"{folder}: no background images" + (f" with {rows!r} in split.csv" if wanted is not None else ""))
    return tuple(found)


@dataclass(frozen=True)
class Whole:
    """A real film: picture (h, w) uint8, its own marks, and their ink: (h, w) uint16, 0 or 1 + index of the element."""

    picture: np.ndarray
    elements: tuple[Element, ...]
    ink: np.ndarray


@lru_cache(maxsize=8)
def load_whole(image: str, note: str, longest: int = 2000) -> Whole:
    """One radiograph as it is, its longer side at most `longest`, with its annotated marks."""
    picture, elements = read(image, note)
    scale = min(1.0, longest / max(picture.shape))
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        elements = tuple(replace(e, xyxy=tuple(v * scale for v in e.xyxy)) for e in elements)
    ink = np.zeros(picture.shape, np.uint16)
    for k, element in enumerate(elements, start=1):
        x1, y1, x2, y2 = (max(0, round(v)) for v in element.xyxy)
        part = picture[y1:y2, x1:x2]
        if part.size == 0:
            continue
        level, strokes = cv2.threshold(part, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        strokes = strokes.astype(bool) if strokes.mean() < 0.55 else ~strokes.astype(bool)
        if element.kind == "uncertain" or not strokes.any():
            strokes = np.ones(part.shape, bool)
        strokes[[0, -1], :] |= ~strokes.any(1)[[0, -1], None]  # the box that was drawn stays the box
        strokes[:, [0, -1]] |= ~strokes.any(0)[None, [0, -1]]
        ink[y1:y2, x1:x2][strokes] = k
    return Whole(picture, elements, ink)


@lru_cache(maxsize=192)
def load_clean(image: str, note: str, longest: int = 1536) -> np.ndarray:
    """One radiograph with every annotated region painted over, (h, w) uint8, longer side at most `longest`."""
    picture, elements = read(image, note)
    if note:
        picture = erase(picture, [e.xyxy for e in elements])
    scale = longest / max(picture.shape)
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture


def read(image: str, note: str) -> tuple[np.ndarray, tuple[Element, ...]]:
    """A radiograph as the models see it, (h, w) uint8, and its annotated elements in the same pixels; none without a note.

    Raises:
        AnnotationError: it cannot be decoded, or its annotation is malformed or does not fit it.
    """
    path = Path(image)
    if path.suffix.lower() == ".bmp":  # holds no orientation, and is no format of ours
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
    """The annotated marks of a radiograph as opacities over what lies under them, one group for marks that lie together.

    Marks that are cut by the picture's edge, or whose group is larger than `LIFT_MAX_SHARE` of it, are left out; so are
    strokes darker than their surroundings, which have no opacity towards white.

    Args:
        choosy: marks darker than what lies under them are lifted as bright ones; those whose strokes do not stand out, and
            drawn lines and pasted boxes, which carry anatomy with them, are left out.
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
        here = [e for e in elements if x <= e.xyxy[0] and y <= e.xyxy[1] and e.xyxy[2] <= x + w and e.xyxy[3] <= y + h]
        found = _standing_out(opacity, darkness, here) if choosy else opacity
        if found is None:
            continue
        own = np.where(labels[part] == k, found[part], np.float32(0))
        group, rest = Group(), own.copy()
        for e in elements:
            x1, y1, x2, y2 = (round(v - o) for v, o in zip(e.xyxy, (x, y, x, y)))
            if x1 >= 0 and y1 >= 0 and x2 <= w and y2 <= h and rest[y1:y2, x1:x2].any():
                part = np.zeros_like(own)
                part[y1:y2, x1:x2] = rest[y1:y2, x1:x2]
                rest[y1:y2, x1:x2] = 0
                group.layers.append(Layer(part, 255.0, len(group.elements), additive=True))
                group.elements.append((e.kind, f"{e.text} (lifted)"))
        if any(kind != "uncertain" for kind, _ in group.elements):
            group.layers.append(Layer(rest, 255.0, -1, additive=True))
            groups.append(group)
    return tuple(groups)


def _standing_out(opacity: np.ndarray, darkness: np.ndarray, elements) -> np.ndarray | None:
    """Whichever of two maps (H, W) the strokes of all the elements stand out in, None if there is no such."""
    wanted = [e for e in elements if e.kind != "uncertain"]
    if not wanted or any(re.search(NOT_LIFTED, e.text) for e in wanted):
        return None
    bright = []
    for element in wanted:
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
    """(h, w) uint8, 255 in every box (xyxy), grown."""
    mask = np.zeros(shape_hw, np.uint8)
    for x1, y1, x2, y2 in boxes:
        grow = max(GROW_PX, 0.2 * min(x2 - x1, y2 - y1))
        mask[max(0, int(y1 - grow)): int(y2 + grow) + 1, max(0, int(x1 - grow)): int(x2 + grow) + 1] = 255
    return mask


def erase(picture: np.ndarray, boxes) -> np.ndarray:
    """A copy of (h, w) uint8 whose `boxes` (xyxy), grown, are painted over from their surroundings; marks that lie
    together are painted over together, so that none leaks into the place of another."""
    mask = _holes(picture.shape, boxes)
    out = picture.copy()
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    for x, y, cw, ch, _ in stats[1:count]:
        part = slice(max(0, y - 12), y + ch + 12), slice(max(0, x - 12), x + cw + 12)
        holes, around = mask[part], picture[part]
        if holes.all():
            out[part] = 0
            continue
        step = max(1, round(max(holes.shape) / 160))  # wide regions are painted at low resolution, which is as smooth
        size = max(4, holes.shape[1] // step), max(4, holes.shape[0] // step)
        small_holes = (cv2.resize(holes, size, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
        filled = cv2.inpaint(cv2.resize(around, size, interpolation=cv2.INTER_AREA), small_holes, 5, cv2.INPAINT_TELEA)
        filled = cv2.GaussianBlur(cv2.resize(filled, holes.shape[::-1], interpolation=cv2.INTER_LINEAR), (0, 0), 2)
        out[part] = np.where(holes > 0, filled, around)
    return out
