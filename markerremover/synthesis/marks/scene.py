"""A picture being marked, what lies where on it, and the truth that follows from that."""

from __future__ import annotations

import numpy as np

from ...records import Element
from . import layers
from .texts import choice

ALPHA_MIN = 0.35  # a pixel belongs to a stroke from this opacity
SEEN_MIN = 6.0  # and where it changed the picture by this many grey levels
CONTRAST_MIN = 17.0  # a marking whose strokes change the picture by less, on average, is not drawn
VISIBLE_MIN = 0.35  # with less of its strokes inside the picture it is only "uncertain", or a piece of print
LEGIBLE_MIN = 0.45  # a laterality marker of which less is left is a piece of print
PIECE_MIN_PX = 3  # a piece of print is a `marker` from this height and width of what is left of it
CUT = " (cut)"  # ends the text of what the picture's edge cuts


class Scene:
    """A picture being marked: pixels, the ink map, and where there is still room.

    pieces: what is left of print that the edge cuts is a `marker` however little, instead of "uncertain".
    """

    def __init__(self, picture: np.ndarray, *, pieces: bool = False):
        self.picture, self.pieces = picture, pieces
        self.ink = np.zeros(picture.shape, np.uint16)
        self.taken = np.zeros(picture.shape, bool)
        self.elements: list[tuple[str, str]] = []

    def free(self, x: int, y: int, shape_hw: tuple[int, int]) -> bool:
        """Whether nothing lies yet where a group of that shape would, top left corner at (x, y), and enough of it is inside."""
        h, w = self.picture.shape
        x1, y1, x2, y2 = max(0, x), max(0, y), min(w, x + shape_hw[1]), min(h, y + shape_hw[0])
        return x2 - x1 > 4 and y2 - y1 > 4 and not self.taken[y1:y2, x1:x2].any()

    def put(self, group: layers.Group, x: int, y: int, contrast: float = CONTRAST_MIN) -> bool:
        """Lay a group with its top left corner at (x, y), unless one of its elements would hardly be seen."""
        h, w = self.picture.shape
        gh, gw = group.layers[0].alpha.shape
        x1, y1, x2, y2 = max(0, x), max(0, y), min(w, x + gw), min(h, y + gh)
        if x2 - x1 < 3 or y2 - y1 < 3:
            return False
        window = slice(y1 - y, y2 - y), slice(x1 - x, x2 - x)
        before = self.picture[y1:y2, x1:x2]
        patch, ink = before.copy(), np.zeros(before.shape, np.uint16)
        change, seen = np.zeros(len(group.elements)), min(SEEN_MIN, 0.4 * contrast)
        strokes, inside = np.zeros(len(group.elements)), np.zeros(len(group.elements))
        for layer in group.layers:
            alpha = layer.alpha[window]
            level = layer.level[window] if isinstance(layer.level, np.ndarray) else np.float32(layer.level)
            under, target = patch, before if layer.is_hole else level
            if layer.additive:
                target = np.maximum(target, under)
            patch = under + alpha * (target - under)
            if layer.element >= 0:
                solid = layer.alpha > ALPHA_MIN * max(float(layer.alpha.max()), 1e-3)
                here = solid[window]
                difference = np.abs(patch - under)
                strokes[layer.element] += solid.sum()
                inside[layer.element] += here.sum()
                change[layer.element] = max(change[layer.element], float(difference[here].mean()) if here.any() else 0.0)
                ink[here & (difference > seen)] = layer.element + 1
        kept, kinds = {}, []
        for i, (kind, text) in enumerate(group.elements):
            share, pixels = inside[i] / max(1, strokes[i]), int((ink == i + 1).sum())
            if inside[i] and (change[i] < contrast or pixels < max(4, (0.6 if group.digital else 0.3) * inside[i])):
                if kind != "uncertain":
                    return False
                continue  # a faint hole is drawn, but nobody would have labelled it
            if pixels:
                kept[i + 1] = len(self.elements) + len(kinds) + 1
                least = LEGIBLE_MIN if self.pieces and kind == "laterality" else VISIBLE_MIN
                kind = kind if share >= least else self._piece(ink == i + 1)
                kinds.append((kind, text + (CUT if share < 0.9 else "")))
        if not kinds:
            return False
        table = np.zeros(len(group.elements) + 1, np.uint16)
        for old, new in kept.items():
            table[old] = new
        fresh = table[ink]
        self.picture[y1:y2, x1:x2] = patch
        self.ink[y1:y2, x1:x2] = np.where(fresh > 0, fresh, self.ink[y1:y2, x1:x2])
        self.taken[y1:y2, x1:x2] = True
        self.elements += kinds
        return True

    def _piece(self, ink: np.ndarray) -> str:
        """What the little that is left of an element counts as."""
        extent = min(int(ink.any(0).sum()), int(ink.any(1).sum()))
        return "marker" if self.pieces and extent >= PIECE_MIN_PX else "uncertain"

    def local(self, x: int, y: int, shape_hw: tuple[int, int]) -> float:
        """Mean grey where a group would go."""
        h, w = self.picture.shape
        area = self.picture[max(0, y): max(1, min(h, y + shape_hw[0])), max(0, x): max(1, min(w, x + shape_hw[1]))]
        return float(area.mean()) if area.size else 0.0


def free_spot(rng: np.random.Generator, scene: Scene, shape_hw: tuple[int, int], cut: float = 0.08) -> tuple[int, int] | None:
    """A free top left corner: mostly near the border, now and then over it (`cut`), else anywhere."""
    h, w = scene.picture.shape
    gh, gw = shape_hw
    for _ in range(12):
        x, y = rng.uniform(0, max(1, w - gw)), rng.uniform(0, max(1, h - gh))
        kind = rng.random()
        if kind < 0.7:
            depth = abs(rng.normal(0, 0.09))
            side = int(rng.integers(4))
            x = depth * w if side == 0 else w - gw - depth * w if side == 1 else x
            y = depth * h if side == 2 else h - gh - depth * h if side == 3 else y
            if rng.random() < 0.5:  # towards a corner
                x, y = (x, depth * h if y < h / 2 else h - gh - depth * h) if side < 2 else (depth * w if x < w / 2 else w - gw - depth * w, y)
        if kind > 1 - cut:
            over = rng.uniform(0.05, 0.55)
            x, y = choice(rng, ((-gw * over, y), (w - gw * (1 - over), y), (x, -gh * over), (x, h - gh * (1 - over))))
        if scene.free(int(x), int(y), shape_hw):
            return int(x), int(y)
    return None


def _boxes(ink: np.ndarray, count: int) -> list[tuple[float, float, float, float] | None]:
    """The tight box (maxima exclusive) of each of the ink map's 1 … count, None where nothing is left of one."""
    ys, xs = np.nonzero(ink)
    values = ink[ys, xs].astype(np.int64) - 1
    low, high = np.full((2, count), 1 << 30), np.full((2, count), -1)
    for k, at in enumerate((xs, ys)):
        np.minimum.at(low[k], values, at)
        np.maximum.at(high[k], values, at)
    return [tuple(map(float, (*low[:, i], *(high[:, i] + 1)))) if high[0, i] >= 0 else None for i in range(count)]


def truth(scene: Scene) -> tuple[np.ndarray, tuple[Element, ...]]:
    """The ink map and its elements, numbered alike; what another marking covered entirely is gone from both."""
    boxes = _boxes(scene.ink, len(scene.elements))
    table, elements = np.zeros(len(boxes) + 1, np.uint16), []
    for i, (box, (kind, text)) in enumerate(zip(boxes, scene.elements)):
        if box:
            elements.append(Element(box, kind, text))
            table[i + 1] = len(elements)
    return table[scene.ink], tuple(elements)
