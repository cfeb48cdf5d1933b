"""Burned-in annotations as groups of layers, and the shapes that they are made of.

A `Group` is a small stack of alpha masks of one shape, bottom first, with the elements that they belong to. Groups do not
depend on the image; `scene.Scene` puts them on it and determines which pixels became visible.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from . import fonts

PLATES = {
    "train": ("round_rect", "circle", "ellipse", "square", "tombstone", "house"),
    "eval": ("shield", "octagon", "pill"),
}
HOLE = -1.0  # level of a layer that lets the image show through again


@dataclass(frozen=True)
class Layer:
    """alpha: (h, w) float32, 0 to 1, opacity included.  level: target grey level, one or (h, w), or `HOLE`.
    element: index into the group's elements, -1 for no element.  additive: never darkens the image, like metal."""

    alpha: np.ndarray
    level: float | np.ndarray
    element: int
    additive: bool = False

    @property
    def is_hole(self) -> bool:
        """Whether the layer uncovers the image below the group."""
        return not isinstance(self.level, np.ndarray) and self.level == HOLE


@dataclass
class Group:
    """elements: (kind, text) pairs.  layers: all of one (h, w).  digital: written by the console, after exposure."""

    elements: list[tuple[str, str]] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    digital: bool = False


class Sheet:
    """Collects masks at positions (x right, y down, any origin) and turns them into a `Group`."""

    def __init__(self, *, additive: bool, digital: bool = False):
        self.items: list[tuple[np.ndarray, int, int, float, int]] = []
        self.elements: list[tuple[str, str]] = []
        self.additive, self.digital = additive, digital

    def element(self, kind: str, text: str) -> int:
        """Add an element of a kind with a text; returns its index."""
        self.elements.append((kind, text))
        return len(self.elements) - 1

    def put(self, alpha: np.ndarray, x: float, y: float, level: float, element: int, opacity: float = 1.0) -> tuple[float, float, float, float]:
        """Add a mask with its top left corner at (x, y), rounded to pixels; returns its box (x1, y1, x2, y2), maxima exclusive."""
        self.items.append((alpha * opacity, round(x), round(y), level, element))
        return x, y, x + alpha.shape[1], y + alpha.shape[0]

    def box(self) -> tuple[float, float, float, float]:
        """Box around everything on the sheet, xyxy in sheet pixels, maxima exclusive."""
        return (min(x for _, x, _, _, _ in self.items), min(y for _, _, y, _, _ in self.items),
                max(x + a.shape[1] for a, x, _, _, _ in self.items), max(y + a.shape[0] for a, _, y, _, _ in self.items))

    def group(self, margin: int = 3) -> Group:
        """The content of the sheet as one group, with a margin of `margin` pixels around it."""
        x1, y1, x2, y2 = self.box()
        shape = int(y2 - y1) + 2 * margin, int(x2 - x1) + 2 * margin
        group = Group(list(self.elements), digital=self.digital)
        for alpha, x, y, level, element in self.items:
            full = np.zeros(shape, np.float32)
            top, left = int(y - y1) + margin, int(x - x1) + margin
            full[top: top + alpha.shape[0], left: left + alpha.shape[1]] = alpha
            group.layers.append(Layer(full, level, element, self.additive and level >= 0))
        return group


def plate(kind: str, w: float, h: float, frame: float = 0.0) -> np.ndarray:
    """The shape of a plate of about w by h pixels as an alpha mask; only its rim if a width `frame` in pixels is given.

    Args:
        kind: a name in `PLATES`.
    """
    w, h = max(6, round(w)), max(6, round(h))
    canvas = np.zeros((h + 4, w + 4), np.uint8)
    t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    power = {"round_rect": 0.35, "square": 0.12, "pill": 0.3}.get(kind, 1.0)
    x, y = np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power, np.sign(np.sin(t)) * np.abs(np.sin(t)) ** power
    if kind == "pill":
        r = min(w, h)
        x, y = np.cos(t) * r / w + np.sign(np.cos(t)) * (1 - r / w), np.sin(t) * r / h + np.sign(np.sin(t)) * (1 - r / h)
    outline = {
        "tombstone": np.concatenate([np.stack([np.cos(t[:37]), np.sin(t[:37]) * w / h + 1 - w / h], 1), [[-1, -1], [1, -1]]]) if h >= w else None,
        "house": np.array([[-1, -0.35], [0, -1], [1, -0.35], [1, 1], [-1, 1]]),
        "shield": np.array([[-1, -1], [1, -1], [1, 0.25], [0.6, 0.7], [0, 1], [-0.6, 0.7], [-1, 0.25]]),
        "octagon": np.array([[-0.45, -1], [0.45, -1], [1, -0.45], [1, 0.45], [0.45, 1], [-0.45, 1], [-1, 0.45], [-1, -0.45]]),
    }.get(kind)
    if outline is None:
        outline = np.stack([x, y], 1)
    inset = (1 - frame / w, 1 - frame / h)  # a rim is drawn along its middle
    points = np.round(((outline * inset + 1) / 2 * (w, h) + 2) * 16).astype(np.int32)
    if frame:
        cv2.polylines(canvas, [points], True, 255, max(1, round(frame)), cv2.LINE_AA, 4)
    else:
        cv2.fillPoly(canvas, [points], 255, cv2.LINE_AA, 4)
    return canvas.astype(np.float32) / 255


def disc(diameter: float) -> np.ndarray:
    """A filled circle as an alpha mask, diameter in pixels."""
    return plate("circle", diameter, diameter)


def arrow(rng: np.random.Generator, length: float) -> np.ndarray:
    """A solid arrow in one of eight directions (or any), as an alpha mask."""
    angle = float(rng.integers(8)) * np.pi / 4 if rng.random() < 0.7 else rng.uniform(0, 6.28)
    shaft, head, back = rng.uniform(0.06, 0.2), rng.uniform(0.24, 0.4), rng.uniform(0.3, 0.55)
    p = np.array([(0, -shaft), (1 - back, -shaft), (1 - back, -head), (1, 0), (1 - back, head), (1 - back, shaft), (0, shaft)]) - (0.5, 0)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    side = int(length * 1.2) + 6
    canvas = np.zeros((side, side), np.uint8)
    cv2.fillPoly(canvas, [np.round((p @ turn.T * length + side / 2) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return fonts.crop(canvas.astype(np.float32) / 255)


def grown(alpha: np.ndarray, px: int) -> np.ndarray:
    """A mask (h, w) dilated by a disc of radius `px`; a new (h + 2 px, w + 2 px) array."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * px + 1, 2 * px + 1))
    return cv2.dilate(np.pad(alpha, px), kernel)


def transformed(group: Group, scale: float, angle_deg: float, mirrored: bool, opacity: float) -> Group:
    """A copy of a group, mirrored left to right first if `mirrored`, resized by `scale`, turned counter-clockwise by `angle_deg`, its
    opacities multiplied by `opacity` (and at most 1)."""
    h, w = group.layers[0].alpha.shape
    turn = cv2.getRotationMatrix2D((w / 2, h / 2), angle_deg, scale)
    cos, sin = abs(turn[0, 0]), abs(turn[0, 1])
    size = int(np.ceil(h * sin + w * cos)) + 2, int(np.ceil(h * cos + w * sin)) + 2
    turn[:, 2] += np.array(size) / 2 - (w / 2, h / 2)
    layers = []
    for layer in group.layers:
        source = np.ascontiguousarray(layer.alpha[:, ::-1] if mirrored else layer.alpha)
        if scale < 0.7:  # an affine map samples points; smooth first
            source = cv2.GaussianBlur(source, (0, 0), 0.4 / scale)
        alpha = cv2.warpAffine(source, turn, size, flags=cv2.INTER_LINEAR)
        level = layer.level
        if isinstance(level, np.ndarray):
            level = np.ascontiguousarray(level[:, ::-1] if mirrored else level)
            level = cv2.warpAffine(level, turn, size, flags=cv2.INTER_AREA if scale < 0.7 else cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        layers.append(Layer(np.clip(alpha * opacity, 0, 1), level, layer.element, layer.additive))
    note = (" mirrored" if mirrored else "") + f" turned {round(angle_deg) % 360}"
    return Group([(kind, text + note) for kind, text in group.elements], layers, group.digital)
