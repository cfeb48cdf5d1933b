"""A training film: the kinds of burned-in annotations and of distractors that it shows, drawn in the order in which they arise in
practice: anatomy, metal and clothes, lead, exposure, frame, console and viewer, storage.

`KINDS` names every kind that is counted. The frequency of a kind is proportional to its weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import ModuleType

import cv2
import numpy as np

from .distractors import implants, leads_and_tubes, metal, wear
from .marks import graphics, layers, lettering, prints, signs
from .marks.kit import Kit
from .marks.scene import Scene, free_spot
from .marks.texts import choice
from .radiographs.real import Whole

WEIGHTS = {  # relative frequencies of kinds, 1 for all others
    "overlay": 2.0,
    "shadow print": 1.5,
    "caption": 1.8,
    "cut print": 1.5,
    "single": 1.5,
    "boxed print": 1.3,
    "boxed laterality marker": 1.6,
    "touching laterality marker": 1.6,
    "lead code": 1.4,
    "dark print": 1.3,
    "faint print": 1.3,
    "ECG clips": 1.5,
    "bone plate": 1.3,
    "screws": 1.3,
    "blank patch": 0.8,
}
FILMS = ("inverted film", "small film", "framed film", "side by side", "whole film", "lifted marks", "lifted patch")
SHORTEST_PX = 190  # the longer side of a small film is longer than this
COVERED = 25  # mean change, in grey levels, of a real annotation's strokes above which it may no longer be visible
LEGIBLE_PX = 3.0  # minimum height of a `marker` on a film made smaller, and half that of a laterality marker; lower ones are "uncertain"


def _table(*modules: ModuleType) -> dict[str, Callable]:
    return {name: draw for module in modules for name, draw in module.KINDS.items()}


MARKS, THINGS = _table(signs, prints, lettering, graphics), _table(metal, implants, wear)
KINDS = (*MARKS, *THINGS, *FILMS)
LEAD = {*signs.KINDS, "plate print", "faint print", "lead code", "handwriting"}  # kinds on the cassette or the film, drawn before its grain


def chosen(rng: np.random.Generator, names: Iterable[str], count: int) -> list[str]:
    """`count` different names, or all if there are fewer, drawn by weight."""
    names = list(names)
    weights = np.array([WEIGHTS.get(name, 1.0) for name in names])
    return [names[k] for k in rng.choice(len(names), min(count, len(names)), replace=False, p=weights / weights.sum())]


def things(rng: np.random.Generator, picture: np.ndarray, kinds: list[str]) -> np.ndarray:
    """A copy of a picture (H, W) with distractors, float32; names of the kinds are appended to `kinds`."""
    picture = np.ascontiguousarray(picture, np.float32).copy()
    for name in chosen(rng, THINGS, int(rng.choice((0, 1, 2, 3, 5), p=(0.22, 0.33, 0.25, 0.14, 0.06)))):
        THINGS[name](rng, picture)
        kinds.append(name)
    if rng.random() < 0.2:
        picture = choice(rng, leads_and_tubes.CHOICES)(rng, picture)
    return picture


def marks(rng: np.random.Generator, scene: Scene, kit: Kit, names: Iterable[str], kinds: list[str]) -> None:
    """Lay annotations of the named kinds on the scene; the kinds that found a place are appended to `kinds`."""
    for name in names:
        if MARKS[name](rng, scene, kit):
            kinds.append(name)


def existing_marks(scene: Scene, film: Whole) -> None:
    """Enter a real film's own annotations into the scene; those that have been drawn over are "uncertain"."""
    changed = np.abs(scene.picture - film.picture)
    for k, element in enumerate(film.elements, start=1):
        stroke_mask = film.ink == k
        if stroke_mask.any():
            covered = float(changed[stroke_mask].mean()) > COVERED
            scene.elements.append(("uncertain" if covered else element.kind, f"{element.text} (real)"))
            scene.ink[stroke_mask] = len(scene.elements)
            x1, y1, x2, y2 = (round(v) for v in element.xyxy)
            scene.taken[max(0, y1 - 2) : y2 + 2, max(0, x1 - 2) : x2 + 2] = True


def smaller(rng: np.random.Generator, picture: np.ndarray, ink: np.ndarray, scene: Scene) -> tuple[np.ndarray, Scene]:
    """The film resized to 200 to 600 pixels on its longer side; annotations that are no longer legible are "uncertain".

    Args:
        picture: (H, W) float32, 0 to 255.
        ink: (H, W), 0 or 1 + index of the element of `scene`.

    Returns:
        The picture, and a scene of its shape with the elements; `picture` and `scene` themselves if they are small already.
    """
    h, w = picture.shape
    scale = rng.uniform(SHORTEST_PX + 10, 600) / max(h, w)
    if scale >= 0.95:
        return picture, scene
    size = max(32, round(w * scale)), max(32, round(h * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if rng.random() < 0.8 else cv2.INTER_LINEAR)
    result = Scene(small, pieces=True)
    fx, fy = size[0] / w, size[1] / h
    for k, (kind, text) in enumerate(scene.elements, start=1):
        ys, xs = np.nonzero(ink == k)
        if not ys.size:
            continue
        x1, y1, x2, y2 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
        a, b = int(x1 * fx), int(y1 * fy)
        c, d = min(size[0], int(np.ceil(x2 * fx))), min(size[1], int(np.ceil(y2 * fy)))
        matrix = np.array([[fx, 0, x1 * fx - a + 0.5 * fx - 0.5], [0, fy, y1 * fy - b + 0.5 * fy - 0.5]], np.float32)
        source_mask = cv2.GaussianBlur((ink[y1:y2, x1:x2] == k).astype(np.float32), (0, 0), max(0.01, 0.42 / scale), borderType=cv2.BORDER_CONSTANT)
        coverage = cv2.warpAffine(source_mask, matrix, (c - a, d - b), flags=cv2.INTER_LINEAR)
        target_mask = coverage > min(0.35, 0.6 * float(coverage.max(initial=0)))
        if target_mask.any():
            extent = min(np.flatnonzero(target_mask.any(0)).size, np.flatnonzero(target_mask.any(1)).size)
            minimum_px = LEGIBLE_PX if kind == "marker" else 2 * LEGIBLE_PX
            kind = kind if extent >= minimum_px or "line" in text or "cut" in text else "uncertain"
            result.elements.append((kind, text))
            result.ink[b:d, a:c][target_mask] = len(result.elements)
    return small, result


def lifted_marks(rng: np.random.Generator, scene: Scene, lifted: Sequence[layers.Group], count: int, big: float, kinds: list[str]) -> None:
    """Lay annotations lifted off real films, strokes or whole patches, resized, turned and mirrored.

    Args:
        big: factor of the size of lead letters.
        kinds: gets the kinds that found a place.
    """
    for _ in range(count):
        group = choice(rng, lifted)
        patch = any(not layer.additive for layer in group.layers)
        shape = group.layers[0].alpha.shape
        scale = float(np.exp(rng.uniform(np.log(0.6), np.log(1.7)))) * (1.0 if patch else big) * max(scene.picture.shape) / 1024
        scale = float(np.clip(scale, 8 / max(1, min(shape)), 0.5 * max(scene.picture.shape) / max(shape)))
        angle = rng.uniform(0, 360) if rng.random() < 0.3 else float(choice(rng, (0, 0, 0, 90, 180, 270))) + rng.normal(0, 3)
        if patch:
            angle = float(choice(rng, (0, 0, 0, 0, 90, 180, 270)))
        group = layers.transformed(group, scale, angle, rng.random() < 0.3, 1.0 if patch else float(np.exp(rng.uniform(-0.5, 0.25))))
        spot = free_spot(rng, scene, group.layers[0].alpha.shape)
        if spot and scene.put(group, *spot):
            kinds.append("lifted patch" if patch else "lifted marks")
