"""A training film: which kinds of marks and of things that are no marks it shows, drawn in the order in which they come
about: anatomy, metal and clothes, lead, exposure, frame, console and viewer, storage.

`KINDS` names every kind that is counted. A kind is drawn as often as its weight among its fellows says.
"""

from __future__ import annotations

import cv2
import numpy as np

from .distractors import implants, leads_and_tubes, metal, wear
from .marks import graphics, layers, lettering, prints, signs
from .marks.kit import Kit
from .marks.scene import Scene, free_spot
from .marks.texts import choice
from .radiographs.real import Whole

WEIGHTS = {  # of the kinds that are drawn more or less often than their fellows
    "overlay": 2.0,
    "shadow print": 1.5,
    "caption": 1.8,
    "cut print": 1.5,
    "single": 1.5,
    "boxed print": 1.3,
    "boxed sign": 1.6,
    "touching sign": 1.6,
    "lead code": 1.4,
    "dark print": 1.3,
    "faint print": 1.3,
    "ECG clips": 1.5,
    "bone plate": 1.3,
    "screws": 1.3,
    "blank patch": 0.8,
}
FILMS = ("inverted film", "small film", "framed film", "side by side", "whole film", "lifted marks", "lifted patch")
SHORTEST_PX = 190  # a small film is not made smaller than this on its longer side
COVERED = 25  # mean change, in grey levels, of a real mark's strokes from which it is no longer sure to be seen
LEGIBLE_PX = 3.0  # a mark that is lower than this on a film made smaller is only "uncertain"


def _table(*modules) -> dict:
    return {name: draw for module in modules for name, draw in module.KINDS.items()}


MARKS, THINGS = _table(signs, prints, lettering, graphics), _table(metal, implants, wear)
KINDS = (*MARKS, *THINGS, *FILMS)
LEAD = {*signs.KINDS, "plate print", "faint print", "lead code", "handwriting"}  # what lay on the cassette or the film, before its grain


def chosen(rng: np.random.Generator, names, count: int) -> list[str]:
    """`count` different names by weight."""
    names = list(names)
    weights = np.array([WEIGHTS.get(name, 1.0) for name in names])
    return [names[k] for k in rng.choice(len(names), min(count, len(names)), replace=False, p=weights / weights.sum())]


def things(rng: np.random.Generator, picture: np.ndarray, kinds: list[str]) -> np.ndarray:
    """What is no marking, on the picture: some of the kinds here, or of the older ones."""
    picture = np.ascontiguousarray(picture, np.float32).copy()
    for name in chosen(rng, THINGS, int(rng.choice((0, 1, 2, 3, 5), p=(0.22, 0.33, 0.25, 0.14, 0.06)))):
        THINGS[name](rng, picture)
        kinds.append(name)
    if rng.random() < 0.2:
        picture = choice(rng, leads_and_tubes.CHOICES)(rng, picture)
    return picture


def marks(rng: np.random.Generator, scene: Scene, kit: Kit, names, kinds: list[str]) -> None:
    """Lay the named kinds and note those that found a place."""
    for name in names:
        if MARKS[name](rng, scene, kit):
            kinds.append(name)


def own_marks(scene: Scene, film: Whole) -> None:
    """A whole real film's own marks into the scene; what has been drawn over since is "uncertain"."""
    changed = np.abs(scene.picture - film.picture)
    for k, element in enumerate(film.elements, start=1):
        own = film.ink == k
        if own.any():
            covered = float(changed[own].mean()) > COVERED
            scene.elements.append(("uncertain" if covered else element.kind, f"{element.text} (real)"))
            scene.ink[own] = len(scene.elements)
            x1, y1, x2, y2 = (round(v) for v in element.xyxy)
            scene.taken[max(0, y1 - 2) : y2 + 2, max(0, x1 - 2) : x2 + 2] = True


def smaller(rng: np.random.Generator, picture: np.ndarray, ink: np.ndarray, scene: Scene) -> tuple[np.ndarray, Scene]:
    """The film at 200 to 600 pixels and compressed as such; marks that nobody could read any more are "uncertain"."""
    h, w = picture.shape
    f = rng.uniform(SHORTEST_PX + 10, 600) / max(h, w)
    if f >= 0.95:
        return picture, scene
    size = max(32, round(w * f)), max(32, round(h * f))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if rng.random() < 0.8 else cv2.INTER_LINEAR)
    out = Scene(small, pieces=True)
    fx, fy = size[0] / w, size[1] / h
    for k, (kind, text) in enumerate(scene.elements, start=1):
        ys, xs = np.nonzero(ink == k)
        if not ys.size:
            continue
        x1, y1, x2, y2 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
        a, b = int(x1 * fx), int(y1 * fy)
        c, d = min(size[0], int(np.ceil(x2 * fx))), min(size[1], int(np.ceil(y2 * fy)))
        turn = np.float32([[fx, 0, x1 * fx - a + 0.5 * fx - 0.5], [0, fy, y1 * fy - b + 0.5 * fy - 0.5]])
        own = cv2.GaussianBlur((ink[y1:y2, x1:x2] == k).astype(np.float32), (0, 0), max(0.01, 0.42 / f), borderType=cv2.BORDER_CONSTANT)
        there = cv2.warpAffine(own, turn, (c - a, d - b), flags=cv2.INTER_LINEAR)
        there = there > min(0.35, 0.6 * float(there.max(initial=0)))
        if there.any():
            tall = min(np.flatnonzero(there.any(0)).size, np.flatnonzero(there.any(1)).size)
            lowest = LEGIBLE_PX if kind == "marker" else 2 * LEGIBLE_PX
            kind = kind if tall >= lowest or "line" in text or "cut" in text else "uncertain"
            out.elements.append((kind, text))
            out.ink[b:d, a:c][there] = len(out.elements)
    return small, out


def lifted_marks(rng: np.random.Generator, scene: Scene, lifted, count: int, big: float, kinds: list[str]) -> None:
    """Marks lifted off real films, strokes or whole patches, resized, turned, mirrored."""
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
