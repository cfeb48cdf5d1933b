"""Annotations cut out of real radiographs with their ground, as opaque patches: letters cut out of bright plates, dark text on
pasted boxes, and light laterality markers on grey ones, whose strokes alone have no opacity over the anatomy.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from ..marks.layers import Group, Layer
from .real import read

REACH = 0.9  # margin around an annotation in which its plate is sought, as a multiple of its longer side
LIKE = 16  # maximum difference, in grey levels, of a plate's pixels from the plate's grey level
LEAK = 0.3  # minimum width of a plate, as a fraction of the annotation's longer side; narrower parts belong to the anatomy
EDGED = 0.7  # minimum share of the pixels around a plate that differ in grey level
PLUMP = 0.88  # minimum share of its convex hull that a plate fills
CONTRAST = 22  # minimum difference between strokes and ground, in grey levels
LARGEST_SHARE = 0.35  # maximum size of an annotation, as a fraction of the image's longer side


@lru_cache(maxsize=1024)
def patches(image: str, note: str) -> tuple[Group, ...]:
    """The annotations of a radiograph that lie on a plate or box of uniform grey, as one group per plate with two kinds of layers:
    the ground, which belongs to no element, and the strokes of each element on it.

    Args:
        image: path of the radiograph.
        note: path of its annotation, or "", which gives no groups.

    Raises:
        AnnotationError: see `real.read`.
    """
    if not note:
        return ()
    picture, annotated = read(image, note)
    elements = [e for e in annotated if e.kind != "uncertain" and "arrow" not in e.text]
    groups: list[Group] = []
    used_indices: set[int] = set()
    for k, element in enumerate(elements):
        if k in used_indices:
            continue
        match = _plate(picture, element.xyxy)
        if match is None:
            continue
        (x, y), plate = match
        h, w = plate.shape
        overlapping = [i for i, e in enumerate(elements) if e.xyxy[0] < x + w and e.xyxy[1] < y + h and e.xyxy[2] > x and e.xyxy[3] > y]
        contained = [
            i
            for i in overlapping
            if elements[i].xyxy[0] >= x and elements[i].xyxy[1] >= y and elements[i].xyxy[2] <= x + w and elements[i].xyxy[3] <= y + h
        ]
        if contained != overlapping:
            continue
        group = _group(picture[y : y + h, x : x + w], plate, [(elements[i], (x, y)) for i in contained])
        if group is not None:
            used_indices.update(contained)
            groups.append(group)
    return tuple(groups)


def _plate(picture: np.ndarray, xyxy) -> tuple[tuple[int, int], np.ndarray] | None:
    """Top left corner (x, y) and mask (h, w) bool of the uniform ground around a box (xyxy in pixels), None if there is none with a
    closed outline."""
    x1, y1, x2, y2 = (round(v) for v in xyxy)
    side = max(x2 - x1, y2 - y1, 6)
    h, w = picture.shape
    if side > LARGEST_SHARE * max(h, w):
        return None
    reach = max(6, round(REACH * side))
    a, b, c, d = max(0, x1 - reach), max(0, y1 - reach), min(w, x2 + reach), min(h, y2 + reach)
    part = picture[b:d, a:c].astype(np.int16)
    box = slice(max(0, y1 - b - 1), y2 - b + 1), slice(max(0, x1 - a - 1), x2 - a + 1)
    rim = np.concatenate([part[box][:2].ravel(), part[box][-2:].ravel(), part[box][:, :2].ravel(), part[box][:, -2:].ravel()])
    if rim.size == 0:
        return None
    ground = float(np.median(rim))
    ground_mask = (np.abs(part - ground) <= LIKE).astype(np.uint8)
    ground_mask[box] = 1
    bridge = np.ones((max(3, round(LEAK * side)),) * 2, np.uint8)  # narrower parts connect the plate with the anatomy
    _, labels = cv2.connectedComponents(cv2.morphologyEx(ground_mask, cv2.MORPH_OPEN, bridge), connectivity=4)
    plate_mask = labels == labels[(box[0].start + box[0].stop) // 2, (box[1].start + box[1].stop) // 2]
    ys, xs = np.flatnonzero(plate_mask.any(1)), np.flatnonzero(plate_mask.any(0))
    if not ys.size or not plate_mask[box].any():
        return None
    on_rim = (a > 0 and plate_mask[:, 0].any()) + (b > 0 and plate_mask[0].any()) + (c < w and plate_mask[:, -1].any()) + (d < h and plate_mask[-1].any())
    if on_rim:
        return None  # not a plate: the ground continues beyond the region
    outline, _ = cv2.findContours(plate_mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    solid = np.zeros(plate_mask.shape, np.uint8)
    cv2.drawContours(solid, outline, -1, 1, -1)
    hull = cv2.contourArea(cv2.convexHull(max(outline, key=len)))
    if solid.sum() < 1.2 * (x2 - x1) * (y2 - y1) or solid.sum() < PLUMP * hull:
        return None
    rim = cv2.dilate(solid, np.ones((5, 5), np.uint8)) > solid
    if (np.abs(part - ground)[rim] > LIKE).mean() < EDGED:
        return None
    return (a + int(xs[0]), b + int(ys[0])), solid[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1].astype(bool)


def _group(pixels: np.ndarray, plate: np.ndarray, elements) -> Group | None:
    """Layers of a patch (h, w): its ground with the strokes filled in, then the strokes of each element; None if the elements do not stand
    out from the ground."""
    grey = pixels.astype(np.float32)
    ground = float(np.median(grey[plate]))
    base = grey.copy()
    group, masks = Group(digital=True), []
    for element, (x, y) in elements:
        x1, y1, x2, y2 = (round(v) for v in element.xyxy)
        box = slice(y1 - y, y2 - y), slice(x1 - x, x2 - x)
        difference = grey[box] - ground
        extreme = float(difference[np.unravel_index(np.abs(difference).argmax(), difference.shape)]) if difference.size else 0.0
        strokes = difference * np.sign(extreme) > 0.45 * abs(extreme)
        if abs(extreme) < CONTRAST or not 0.02 < strokes.mean() < 0.8 or min(strokes.any(0).mean(), strokes.any(1).mean()) < 0.6:
            return None  # the annotated box does not contain the strokes
        mask = np.zeros(grey.shape, np.float32)
        mask[box] = strokes
        base[cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0] = ground
        masks.append((mask, element))
    if not masks:
        return None
    pad = 2
    group.layers.append(Layer(np.pad(plate.astype(np.float32), pad), np.pad(base, pad, mode="edge"), -1))
    level = np.pad(grey, pad, mode="edge")
    for mask, element in masks:
        wide = cv2.dilate(mask, np.ones((3, 3), np.uint8))
        group.layers.append(Layer(np.pad(np.where(mask > 0, 1.0, 0.3 * wide).astype(np.float32) * plate, pad), level, len(group.elements)))
        group.elements.append((element.kind, f"{element.text} (lifted)"))
    return group
