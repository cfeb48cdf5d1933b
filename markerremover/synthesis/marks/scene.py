"""An image with the annotations laid on it, their places, and the ground truth that follows from them."""

from __future__ import annotations

import numpy as np

from ...records import Element
from . import layers, texts
from .texts import choice

ALPHA_MIN = 0.35  # minimum opacity of a stroke's pixel, as a fraction of the layer's maximum
SEEN_MIN = 6.0  # minimum change of the image at a stroke's pixel, in grey levels
CONTRAST_MIN = 17.0  # minimum mean change of the image by an annotation's strokes, in grey levels; otherwise it is not drawn
VISIBLE_MIN = 0.35  # minimum share of its strokes inside the image; with less an element is "uncertain", or a fragment
LEGIBLE_MIN = 0.45  # minimum share of a laterality marker's strokes inside the image; with less it is a fragment
PIECE_MIN_PX = 3  # minimum height and width, in pixels, of a fragment that counts as `marker`
CUT = " (cut)"  # suffix of the text of an element cut by the image's edge


class Scene:
    """An image being annotated, the ink map, and the map of occupied places.

    Attributes:
        picture: (H, W) float32, 0 to 255, changed in place.
        ink: (H, W) uint16, 0 or 1 + index of the element whose stroke a pixel belongs to.
        taken: (H, W) bool, where annotations have been laid.
        elements: (kind, text) pairs.
        pieces: whether fragments of text cut by the edge count as `marker`, however small, instead of "uncertain".
    """

    def __init__(self, picture: np.ndarray, *, pieces: bool = False):
        self.picture, self.pieces = picture, pieces
        self.ink = np.zeros(picture.shape, np.uint16)
        self.taken = np.zeros(picture.shape, bool)
        self.elements: list[tuple[str, str]] = []

    def free(self, x: int, y: int, shape_hw: tuple[int, int]) -> bool:
        """Whether the place of a group of that shape, top left corner at (x, y), is free, and enough of it inside the image."""
        h, w = self.picture.shape
        x1, y1, x2, y2 = max(0, x), max(0, y), min(w, x + shape_hw[1]), min(h, y + shape_hw[0])
        return x2 - x1 > 4 and y2 - y1 > 4 and not self.taken[y1:y2, x1:x2].any()

    def put(self, group: layers.Group, x: int, y: int, contrast: float = CONTRAST_MIN) -> bool:
        """Lay a group with its top left corner at (x, y), unless one of its elements would be hardly visible.

        Args:
            contrast: minimum mean change of the image by an element's strokes, in grey levels.

        Returns:
            Whether it was laid; if not, nothing is changed.
        """
        h, w = self.picture.shape
        gh, gw = group.layers[0].alpha.shape
        x1, y1, x2, y2 = max(0, x), max(0, y), min(w, x + gw), min(h, y + gh)
        if x2 - x1 < 3 or y2 - y1 < 3:
            return False
        window = slice(y1 - y, y2 - y), slice(x1 - x, x2 - x)
        region = self.picture[y1:y2, x1:x2]
        patch, ink = region.copy(), np.zeros(region.shape, np.uint16)
        change, threshold = np.zeros(len(group.elements)), min(SEEN_MIN, 0.4 * contrast)
        strokes, visible = np.zeros(len(group.elements)), np.zeros(len(group.elements))
        for layer in group.layers:
            alpha = layer.alpha[window]
            level = layer.level[window] if isinstance(layer.level, np.ndarray) else np.float32(layer.level)
            under, target = patch, region if layer.is_hole else level
            if layer.additive:
                target = np.maximum(target, under)
            patch = under + alpha * (target - under)
            if layer.element >= 0:
                solid = layer.alpha > ALPHA_MIN * max(float(layer.alpha.max()), 1e-3)
                window_mask = solid[window]
                difference = np.abs(patch - under)
                strokes[layer.element] += solid.sum()
                visible[layer.element] += window_mask.sum()
                change[layer.element] = max(change[layer.element], float(difference[window_mask].mean()) if window_mask.any() else 0.0)
                ink[window_mask & (difference > threshold)] = layer.element + 1
        numbers: dict[int, int] = {}
        kinds: list[tuple[str, str]] = []
        for i, (kind, text) in enumerate(group.elements):
            share, pixels = visible[i] / max(1, strokes[i]), int((ink == i + 1).sum())
            if visible[i] and (change[i] < contrast or pixels < max(4, (0.6 if group.digital else 0.3) * visible[i])):
                if kind != "uncertain":
                    return False
                continue  # a faint hole is drawn, but would not have been labelled
            if pixels:
                numbers[i + 1] = len(self.elements) + len(kinds) + 1
                minimum = LEGIBLE_MIN if self.pieces and kind == "laterality" else VISIBLE_MIN
                kind = kind if share >= minimum else self._piece(ink == i + 1)
                kinds.append((kind, text + (CUT if share < 0.9 else "")))
        if not kinds:
            return False
        table = np.zeros(len(group.elements) + 1, np.uint16)
        for old, new in numbers.items():
            table[old] = new
        new_ink = table[ink]
        self.picture[y1:y2, x1:x2] = patch
        self.ink[y1:y2, x1:x2] = np.where(new_ink > 0, new_ink, self.ink[y1:y2, x1:x2])
        self.taken[y1:y2, x1:x2] = True
        self.elements += kinds
        return True

    def _piece(self, ink: np.ndarray) -> str:
        """The kind of a fragment of an element, given its visible pixels (h, w) bool."""
        extent = min(int(ink.any(0).sum()), int(ink.any(1).sum()))
        return "marker" if self.pieces and extent >= PIECE_MIN_PX else "uncertain"

    def local(self, x: int, y: int, shape_hw: tuple[int, int]) -> float:
        """Mean grey level, 0 to 255, of the place of a group."""
        h, w = self.picture.shape
        area = self.picture[max(0, y): max(1, min(h, y + shape_hw[0])), max(0, x): max(1, min(w, x + shape_hw[1]))]
        return float(area.mean()) if area.size else 0.0


def free_spot(rng: np.random.Generator, scene: Scene, shape_hw: tuple[int, int], cut: float = 0.08) -> tuple[int, int] | None:
    """A free top left corner (x, y): usually near the border, with probability `cut` over it, else anywhere; None if none was found."""
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
    """The tight box (xyxy in pixels, maxima exclusive) of each of the ink map's values 1 … count, None if it does not occur."""
    ys, xs = np.nonzero(ink)
    values = ink[ys, xs].astype(np.int64) - 1
    low, high = np.full((2, count), 1 << 30), np.full((2, count), -1)
    for k, coordinates in enumerate((xs, ys)):
        np.minimum.at(low[k], values, coordinates)
        np.maximum.at(high[k], values, coordinates)
    return [
        (float(low[0, i]), float(low[1, i]), float(high[0, i] + 1), float(high[1, i] + 1)) if high[0, i] >= 0 else None for i in range(count)
    ]


def truth(scene: Scene, *, as_told: bool = False) -> tuple[np.ndarray, tuple[Element, ...]]:
    """The ink map (H, W) uint16, 0 or 1 + index of an element, and the elements; those entirely covered by others are omitted from both.
    What is drawn like a laterality marker with one of `texts.OTHER_LETTERS` is a "marker", unless kinds are to stay `as_told`. New objects."""
    boxes = _boxes(scene.ink, len(scene.elements))
    table, elements = np.zeros(len(boxes) + 1, np.uint16), []
    for i, (box, (kind, text)) in enumerate(zip(boxes, scene.elements)):
        if box:
            if not as_told and kind == "laterality" and text.split()[0] in texts.OTHER_LETTERS:
                kind, text = "marker", text + texts.ALONE
            elements.append(Element(box, kind, text))
            table[i + 1] = len(elements)
    return table[scene.ink], tuple(elements)
