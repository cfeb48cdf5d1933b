"""Metal in and around bones as distractors: nails, screws, plates, staples, fixators, wires, dental metal.

Every function takes an image (H, W) float32, 0 to 255, and draws on a part of it, in place. None of it is ever labelled.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..marks.texts import choice

GLARE_SHARE = 0.3  # share of metal that is grey with saturated spots, as films show it that were windowed for bone


class Patch:
    """A mask around a place in the image, drawn in its own coordinates: the unit is by default a hundredth of the image's longer side, the
    axes are turned by `angle` radians."""

    def __init__(self, rng: np.random.Generator, picture: np.ndarray, center=None, angle: float | None = None, unit: float | None = None):
        h, w = picture.shape
        self.picture, self.rng = picture, rng
        self.unit = unit or max(h, w) / 100
        self.center = np.array(center if center is not None else _in_bone(rng, picture), np.float64)
        angle = rng.uniform(0, 2 * np.pi) if angle is None else angle
        self.turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        self.angle = angle
        self.parts: list[tuple[str, np.ndarray, float, int]] = []

    def at(self, points) -> np.ndarray:
        """Points (N, 2) in the patch's units as x, y in image pixels; a new array."""
        return (np.asarray(points, np.float64) * self.unit) @ self.turn.T + self.center

    def poly(self, points, value: int = 255) -> None:
        """Add a filled polygon, points (N, 2) in units; value 0 erases."""
        self.parts.append(("poly", self.at(points), 0.0, value))

    def line(self, points, width: float, value: int = 255) -> None:
        """Add a line through points (N, 2), points and width in units."""
        self.parts.append(("line", self.at(points), max(1.0, width * self.unit), value))

    def disc(self, center, radius: float, value: int = 255) -> None:
        """Add a filled circle, centre and radius in units."""
        self.parts.append(("disc", self.at([center]), radius * self.unit, value))

    def ring(self, center, radius: float, width: float, value: int = 255) -> None:
        """Add a circle's outline, all in units."""
        t = np.linspace(0, 2 * np.pi, 40)
        self.line(np.stack([center[0] + radius * np.cos(t), center[1] + radius * np.sin(t)], 1), width, value)

    def screen(self, opacity: float, level: float = 255.0, soft: float = 0.7) -> None:
        """Move the image towards the grey level `level` under the parts, in place."""
        h, w = self.picture.shape
        points = np.concatenate([p + d for _, p, r, _ in self.parts for d in (-r - 3, r + 3)])
        x1, y1 = np.maximum(points.min(0).astype(int), 0)
        x2, y2 = np.minimum(points.max(0).astype(int) + 2, (w, h))
        if x2 - x1 < 2 or y2 - y1 < 2:
            return
        mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
        for kind, p, r, value in self.parts:
            q = np.round((p - (x1, y1)) * 16).astype(np.int32)
            if kind == "poly":
                cv2.fillPoly(mask, [q], value, cv2.LINE_AA, 4)
            elif kind == "line":
                cv2.polylines(mask, [q], False, value, max(1, round(r)), cv2.LINE_AA, 4)
            else:
                cv2.circle(mask, tuple(map(int, q[0])), max(16, int(r * 16)), value, -1, cv2.LINE_AA, 4)
        if soft > 0.3:
            mask = cv2.GaussianBlur(mask, (0, 0), soft)
        part = self.picture[y1:y2, x1:x2]
        rng = np.random.default_rng(np.abs(self.center * 1000).astype(np.int64))  # of its own: what is drawn next stays as it was
        if rng.random() < GLARE_SHARE:
            grey = min(240.0, max(rng.uniform(0.45, 0.8) * level, float(part.mean()) + 40))
            part += (grey - part) * (mask.astype(np.float32) * (opacity / 255))
            self._glare(rng, part, mask, np.array([x1, y1]))
            return
        part += (level - part) * (mask.astype(np.float32) * (opacity / 255))

    def _glare(self, rng: np.random.Generator, part: np.ndarray, mask: np.ndarray, corner: np.ndarray) -> None:
        """Saturate ragged spots of grey metal where it is thickest in the beam: tips, heads and edges of its parts. In place.

        Args:
            part: (h, w) of the image.  mask: (h, w) uint8 of the parts.  corner: x and y of both in the image.
        """
        h, w = mask.shape
        ends = np.concatenate([points[[0, len(points) // 2, -1]] for _, points, _, _ in self.parts]) - corner
        rough = cv2.GaussianBlur(rng.normal(0, 1, (h, w)).astype(np.float32), (0, 0), rng.uniform(0.6, 1.6))
        yy, xx = np.mgrid[:h, :w]
        for x, y in rng.permutation(ends)[: int(rng.integers(1, 5))]:
            reach = max(2.0, rng.uniform(0.3, 1.3) * self.unit)
            near = np.hypot(xx - x, yy - y) / reach + rng.uniform(0.2, 0.9) * rough < 1
            part[near & (mask > 128)] = 255


def _in_bone(rng: np.random.Generator, picture: np.ndarray) -> tuple[float, float]:
    """A place (x, y) in pixels: the densest of one, six or ten random places."""
    h, w = picture.shape
    r = max(2, max(h, w) // 80)
    places = rng.uniform(0.06, 0.94, (int(choice(rng, (1, 6, 10))), 2)) * (w, h)

    def density(place: np.ndarray) -> float:
        x, y = int(place[0]), int(place[1])
        return float(picture[max(0, y - r) : y + r : 2, max(0, x - r) : x + r : 2].mean())

    x, y = max(list(places), key=density)
    return x, y


def shine(rng) -> tuple[float, float]:
    """Opacity and grey level of metal, usually saturated."""
    return rng.uniform(0.75, 1.0), float(choice(rng, (255, 255, rng.uniform(215, 255))))


def screw(p: Patch, start, along, length: float, width: float, value: int = 255) -> None:
    """A screw from its head at `start`: thread on both sides of the shaft."""
    start, along = np.asarray(start, np.float64), np.asarray(along, np.float64) / np.hypot(*along)
    side = np.array([-along[1], along[0]])
    pitch, n = width * p.rng.uniform(0.5, 0.9), 0
    n = max(4, min(40, int(length / pitch)))
    t = np.linspace(0, length, 2 * n)
    half = width * np.where(np.arange(2 * n) % 2, 0.5, 0.34)
    half[-1] = 0.05
    left, right = start + np.outer(t, along) + np.outer(half, side), start + np.outer(t + pitch * 0.4, along) - np.outer(half, side)
    p.poly(np.concatenate([left, right[::-1]]), value)
    head = width * p.rng.uniform(0.7, 1.0)
    p.poly(
        [
            start + side * head - along * width * 0.6,
            start + side * head * 0.8 + along * width * 0.3,
            start - side * head * 0.8 + along * width * 0.3,
            start - side * head - along * width * 0.6,
        ],
        value,
    )


def screws(rng, picture) -> None:
    """One to six bone screws, side by side or scattered."""
    p = Patch(rng, picture)
    width, length = rng.uniform(0.5, 1.4), rng.uniform(3, 11)
    for k in range(int(rng.integers(1, 7))):
        a = rng.normal(0, 0.2)
        screw(p, (k * rng.uniform(1.5, 3.5), rng.normal(0, 1)), (np.sin(a), np.cos(a)), length * rng.uniform(0.7, 1.2), width)
    opacity, level = shine(rng)
    p.screen(opacity, level)


def nail(rng, picture) -> None:
    """An intramedullary nail: a long rod with holes and locking screws at its ends."""
    h, w = picture.shape
    p = Patch(rng, picture, rng.uniform(0.25, 0.75, 2) * (w, h), float(choice(rng, (np.pi / 2, rng.uniform(0, 3.1)))) + rng.normal(0, 0.15))
    half, t = rng.uniform(15, 42), rng.uniform(0.5, 1.3)
    bend = rng.normal(0, 1.5)
    x = np.linspace(-half, half, 16)
    y = bend * (x / half) ** 2
    p.line(np.stack([x, y], 1), 2 * t, int(rng.integers(215, 256)))
    if rng.random() < 0.4:
        p.line(np.stack([x, y], 1), 0.7 * t, int(rng.integers(140, 210)))  # a cannulated nail is fainter along its middle
    for end in (-1, 1):
        for k in range(int(rng.integers(1, 4))):
            at = end * (half - 1.5 - k * rng.uniform(2, 4))
            if rng.random() < 0.3:
                p.disc((at, bend * (at / half) ** 2), t * 0.6, 90)
            else:
                long = rng.uniform(4, 9)
                screw(p, (at, bend - long / 2), (rng.normal(0, 0.15), 1), long, t * 0.8)
    opacity, level = shine(rng)
    p.screen(opacity, level)


def bone_plate(rng, picture) -> None:
    """A plate with holes along a bone, with screws through it seen from the side, or from above as heads."""
    p = Patch(rng, picture)
    n, t = int(rng.integers(4, 13)), rng.uniform(0.5, 1.5)
    pitch = rng.uniform(1.9, 3.0)
    length = n * pitch
    bend = rng.normal(0, 0.6)
    x = np.linspace(0, length, 20)
    y = bend * np.sin(np.pi * x / length)
    from_side = rng.random() < 0.55
    if from_side:
        p.line(np.stack([x, y], 1), t * 0.8)
        for k in range(n):
            if rng.random() < 0.75:
                a = rng.normal(0, 0.1)
                screw(p, ((k + 0.5) * pitch, bend), (np.sin(a), np.cos(a)), rng.uniform(4, 9), t * 0.65)
    else:
        p.line(np.stack([x, y], 1), 2 * t)
        if rng.random() < 0.35:  # a head that is broader
            p.poly([(0, -t), (-2.5 * t, -3 * t), (-4 * t, -2.5 * t), (-4 * t, 2.5 * t), (-2.5 * t, 3 * t), (0, t)])
        for k in range(n):
            at = ((k + 0.5) * pitch, float(np.interp((k + 0.5) * pitch, x, y)))
            if rng.random() < 0.45:
                p.disc(at, t * 0.45, int(rng.integers(30, 130)))
            else:
                p.disc(at, t * 0.75)
                p.disc(at, t * 0.22, 170)
    opacity, level = shine(rng)
    p.screen(opacity, level)


def staples(rng, picture) -> None:
    """A row of skin staples or clips, each a stroke with bent ends, along a curve."""
    p = Patch(rng, picture)
    pitch, size, bend, turn = rng.uniform(1.0, 2.4), rng.uniform(0.3, 0.9), rng.normal(0, 0.02), rng.normal(0, 0.3)
    kind = rng.random()
    for k in range(int(rng.integers(4, 26))):
        x, y, a = k * pitch, bend * (k * pitch) ** 2, turn + rng.normal(0, 0.25)
        c, s = np.cos(a), np.sin(a)
        shape = (
            [(-0.6, 0), (0.6, 0)]
            if kind < 0.35
            else [(-0.5, 0.5), (-0.5, 0), (0.5, 0), (0.5, 0.5)]
            if kind < 0.7
            else [(0.1, -0.5), (-0.4, -0.4), (-0.4, 0.4), (0.1, 0.5)]
        )
        p.line([(x + (u * c - v * s) * size * 1.6, y + (u * s + v * c) * size * 1.6) for u, v in shape], size * rng.uniform(0.16, 0.3))
    opacity, level = shine(rng)
    p.screen(opacity, level, 0.5)


def fixator(rng, picture) -> None:
    """An external fixator: rods, clamps and pins into the bone; now and then rings."""
    h, w = picture.shape
    p = Patch(rng, picture, rng.uniform(0.3, 0.7, 2) * (w, h), float(choice(rng, (np.pi / 2, 0))) + rng.normal(0, 0.25))
    half, rods, gap = rng.uniform(15, 45), int(rng.integers(1, 4)), rng.uniform(5, 14)
    offsets = [(k - (rods - 1) / 2) * gap + (12 if rods == 1 else 0) for k in range(rods)]
    solid = rng.random() < 0.6
    for y in offsets:
        t = rng.uniform(0.8, 2.0)
        p.line([(-half, y), (half, y + rng.normal(0, 2))], t, 255 if solid else int(rng.integers(60, 140)))
    for _k in range(int(rng.integers(3, 9))):
        x, t = rng.uniform(-half, half), rng.uniform(0.3, 0.7)
        low, high = (
            (min(offsets) - rng.uniform(2, 8), max(offsets) + rng.uniform(2, 8)) if rods > 1 else (-rng.uniform(2, 6), offsets[0] + 4)
        )
        p.line([(x, low), (x + rng.normal(0, 2), high)], t)
        for y in offsets:
            if rng.random() < 0.7:
                s = rng.uniform(0.8, 1.8)
                p.poly(
                    [(x - s, y - 1.3 * s), (x + s, y - 1.3 * s), (x + s, y + 1.3 * s), (x - s, y + 1.3 * s)], int(rng.integers(180, 256))
                )
                p.disc((x, y), 0.4 * s, int(rng.integers(60, 200)))
    p.screen(rng.uniform(0.7, 1.0))


def bone_wires(rng, picture) -> None:
    """Wires with bent ends, cerclage loops and twists."""
    p = Patch(rng, picture)
    t = rng.uniform(0.12, 0.4)
    if rng.random() < 0.6:
        for _ in range(int(rng.integers(1, 5))):
            start, a, long = rng.normal(0, 2.5, 2), rng.normal(0, 0.4), rng.uniform(6, 22)
            end = start + long * np.array([np.cos(a), np.sin(a)])
            hook = [] if rng.random() < 0.4 else [end + (0.6, -0.8), end + (0.0, -1.6)]
            p.line([start, end, *hook], t)
    else:
        for k in range(int(rng.integers(1, 5))):
            angle = np.linspace(0, 2 * np.pi, 30)
            p.line(np.stack([k * rng.uniform(2, 5) + rng.uniform(0.4, 1.0) * np.cos(angle), rng.uniform(2.5, 4.5) * np.sin(angle)], 1), t)
            if rng.random() < 0.6:
                z = np.linspace(0, 1, 9)
                p.line(np.stack([k * 3 + 0.3 * np.where(np.arange(9) % 2, 1, -1), 3.5 + 2 * z], 1), t)
    opacity, level = shine(rng)
    p.screen(opacity, level, 0.5)


def dental(rng, picture) -> None:
    """Fillings, crowns, posts and a brace."""
    p = Patch(rng, picture)
    for k in range(int(rng.integers(1, 9))):
        x, y = k * rng.uniform(1.6, 2.4), 0.04 * (k - 4) ** 2 * rng.uniform(0.5, 1.5)
        r = rng.uniform(0.3, 1.0)
        t = np.linspace(0, 2 * np.pi, 9)[:-1]
        blob = np.stack([x + r * np.cos(t) * rng.uniform(0.7, 1.2, 8), y + r * np.sin(t) * rng.uniform(0.7, 1.2, 8)], 1)
        p.poly(blob)
        if rng.random() < 0.3:
            p.poly([(x - 0.15, y), (x + 0.15, y), (x + 0.05, y + 2.5), (x - 0.05, y + 2.5)], 220)
    p.screen(rng.uniform(0.7, 1.0), 255.0, 0.6)


KINDS = {
    "screws": screws,
    "nail": nail,
    "bone plate": bone_plate,
    "staples": staples,
    "fixator": fixator,
    "bone wires": bone_wires,
    "dental metal": dental,
}
