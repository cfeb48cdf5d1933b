"""Marks cut out of real radiographs with their ground, as opaque patches: letters cut out of bright plates, dark print on
pasted boxes, and light signs on grey ones, which have no opacity of their own over the anatomy.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from ..marks.layers import Group, Layer
from .real import read

REACH = 0.9  # the ground of a mark is looked for within this many of its longer sides around it
LIKE = 16  # grey levels by which pixels of the same plate or box differ at most from its mean
LEAK = 0.3  # of the mark's longer side: what is narrower is no part of the plate
EDGED = 0.7  # share of a plate's rim that is of another grey
PLUMP = 0.88  # share of its convex hull that a plate fills
CONTRAST = 22  # between strokes and ground, at least
LARGEST_SHARE = 0.35  # of the picture's longer side


@lru_cache(maxsize=1024)
def patches(image: str, note: str) -> tuple[Group, ...]:
    """The marks of a radiograph that lie on a plate or box of one grey, each with it, as groups of two kinds of layers:
    the ground, which is no marking, and the strokes of each element on it."""
    if not note:
        return ()
    picture, annotated = read(image, note)
    elements = [e for e in annotated if e.kind != "uncertain" and "arrow" not in e.text]
    groups, used = [], set()
    for k, element in enumerate(elements):
        if k in used:
            continue
        found = _plate(picture, element.xyxy)
        if found is None:
            continue
        (x, y), plate = found
        h, w = plate.shape
        touched = [i for i, e in enumerate(elements) if e.xyxy[0] < x + w and e.xyxy[1] < y + h and e.xyxy[2] > x and e.xyxy[3] > y]
        inside = [
            i
            for i in touched
            if elements[i].xyxy[0] >= x and elements[i].xyxy[1] >= y and elements[i].xyxy[2] <= x + w and elements[i].xyxy[3] <= y + h
        ]
        if inside != touched:
            continue
        group = _group(picture[y : y + h, x : x + w], plate, [(elements[i], (x, y)) for i in inside])
        if group is not None:
            used.update(inside)
            groups.append(group)
    return tuple(groups)


def _plate(picture: np.ndarray, xyxy) -> tuple[tuple[int, int], np.ndarray] | None:
    """Top left corner and mask (h, w) bool of the even ground around a box, None where there is none that ends."""
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
    like = (np.abs(part - ground) <= LIKE).astype(np.uint8)
    like[box] = 1
    bridge = np.ones((max(3, round(LEAK * side)),) * 2, np.uint8)  # what is narrower leads from the plate into the anatomy
    _, labels = cv2.connectedComponents(cv2.morphologyEx(like, cv2.MORPH_OPEN, bridge), connectivity=4)
    own = labels == labels[(box[0].start + box[0].stop) // 2, (box[1].start + box[1].stop) // 2]
    ys, xs = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
    if not ys.size or not own[box].any():
        return None
    on_rim = (a > 0 and own[:, 0].any()) + (b > 0 and own[0].any()) + (c < w and own[:, -1].any()) + (d < h and own[-1].any())
    if on_rim:
        return None  # not a plate: the ground goes on
    outline, _ = cv2.findContours(own.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    solid = np.zeros(own.shape, np.uint8)
    cv2.drawContours(solid, outline, -1, 1, -1)
    hull = cv2.contourArea(cv2.convexHull(max(outline, key=len)))
    if solid.sum() < 1.2 * (x2 - x1) * (y2 - y1) or solid.sum() < PLUMP * hull:
        return None
    rim = cv2.dilate(solid, np.ones((5, 5), np.uint8)) > solid
    if (np.abs(part - ground)[rim] > LIKE).mean() < EDGED:
        return None
    part = slice(ys[0], ys[-1] + 1), slice(xs[0], xs[-1] + 1)
    return (a + int(xs[0]), b + int(ys[0])), solid[part].astype(bool)


def _group(pixels: np.ndarray, plate: np.ndarray, elements) -> Group | None:
    """Layers of a patch (h, w): its ground with the strokes filled in, then the strokes of each element."""
    grey = pixels.astype(np.float32)
    ground = float(np.median(grey[plate]))
    base = grey.copy()
    group, masks = Group(digital=True), []
    for element, (x, y) in elements:
        x1, y1, x2, y2 = (round(v) for v in element.xyxy)
        box = slice(y1 - y, y2 - y), slice(x1 - x, x2 - x)
        difference = grey[box] - ground
        most = float(difference[np.unravel_index(np.abs(difference).argmax(), difference.shape)]) if difference.size else 0.0
        strokes = difference * np.sign(most) > 0.45 * abs(most)
        if abs(most) < CONTRAST or not 0.02 < strokes.mean() < 0.8 or min(strokes.any(0).mean(), strokes.any(1).mean()) < 0.6:
            return None  # what is annotated is not what stands out here
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
