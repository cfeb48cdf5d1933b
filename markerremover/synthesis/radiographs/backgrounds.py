"""Drawn radiographs as backgrounds of annotations: chests, pelves and limbs.

A background is an (H, W) float32 image from 0 (air, black) to 255 (dense, white). Anatomy is drawn on a small canvas
in unit coordinates (x, y from 0 to 1 of the image), blurred, enlarged, then given bone texture and grain.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..marks.texts import choice

BODIES = ("chest", "pelvis", "limb")
# Structural variants by split: evaluation images show bodies that no training image has.
VARIANTS = {
    "train": {"chest": ("erect", "portable", "broad"), "pelvis": ("pelvis", "hip"), "limb": ("hand", "foot", "knee", "femur", "knees")},
    "eval": {"chest": ("narrow", "dense"), "pelvis": ("outlet",), "limb": ("elbow", "forearm", "fingers")},
}
# Variants of the benchmark only; training never draws them.
BENCHMARK = {"pelvis": ("ring",), "limb": ("ankle",)}
SMALL = 384  # longer side of the canvas that anatomy is drawn on


class _Canvas:
    """A small (h, w) float32 image to which shapes are added in unit coordinates, and a bone map of its shape."""

    def __init__(self, shape_hw: tuple[int, int], rng: np.random.Generator):
        scale = min(1.0, SMALL / max(shape_hw))
        self.h, self.w = max(32, round(shape_hw[0] * scale)), max(32, round(shape_hw[1] * scale))
        self.soft_px = max(self.h, self.w) / 288  # softness values refer to a canvas 288 pixels long
        self.rng = rng
        self.value = np.zeros((self.h, self.w), np.float32)
        self.bone = np.zeros_like(self.value)

    def shape(self, xy) -> np.ndarray:
        """The mask of a filled polygon (N, 2), (h, w) float32."""
        mask = np.zeros((self.h, self.w), np.uint8)
        cv2.fillPoly(mask, [np.round(np.asarray(xy, np.float64) * (self.w, self.h) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        return mask.astype(np.float32) / 255

    def fill(self, xy, level: float, soft: float = 2.0, multiply: bool = False) -> None:
        """Add a filled polygon (N, 2), or with `multiply` scale the values under it by `level`."""
        mask = self.blur(self.shape(xy), soft)
        if multiply:
            self.value *= 1 + (level - 1) * mask
        else:
            self.value += level * mask

    def line(self, xy, width: float, level: float, soft: float = 0.8, bone: float = 0.0) -> None:
        """Add a polyline of a width in units of the longer side; with `bone` it gets a bright rim and texture."""
        drawn = np.zeros((self.h, self.w), np.uint8)
        points = np.round(np.asarray(xy, np.float64) * (self.w, self.h) * 16).astype(np.int32)
        cv2.polylines(drawn, [points], False, 255, max(1, round(width * max(self.h, self.w))), cv2.LINE_AA, 4)
        mask = drawn.astype(np.float32) / 255
        if bone:
            self.add_bone(mask, level, soft, bone)
        else:
            self.value += level * self.blur(mask, soft)

    def add_bone(self, mask: np.ndarray, level: float, soft: float = 0.8, texture: float = 1.0) -> None:
        """Add a bone from its mask: fainter inside than along its rim (the cortex)."""
        solid, wide = self.blur(mask, soft), self.blur(mask, soft + 3.0)
        self.value += level * (0.65 * solid + 1.6 * np.clip(solid - wide, 0, 1))
        self.bone = np.maximum(self.bone, solid * texture)

    def blur(self, mask: np.ndarray, soft: float) -> np.ndarray:
        """Gaussian blur of a mask (h, w), computed only around its non-zero part; a new array."""
        sigma = max(soft, 0.4) * self.soft_px
        x, y, w, h = cv2.boundingRect((mask > 0).astype(np.uint8))
        pad = int(3 * sigma) + 1
        part = slice(max(0, y - pad), y + h + pad), slice(max(0, x - pad), x + w + pad)
        out = np.zeros_like(mask)
        if w:
            out[part] = cv2.GaussianBlur(mask[part], (0, 0), sigma)
        return out


def blob(center, radius, rng: np.random.Generator, wobble: float = 0.08, n: int = 28, angle: float = 0.0, power: float = 2.0) -> np.ndarray:
    """An irregular (super)ellipse as (n, 2) points: center (x, y), radius (rx, ry), turned by `angle` radians."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    r = 1 + wobble * sum(rng.normal() / k * np.cos(k * t + rng.uniform(0, 6.28)) for k in (2, 3, 4, 5))
    c, s = np.cos(t), np.sin(t)
    x = np.sign(c) * np.abs(c) ** (2 / power) * radius[0] * r
    y = np.sign(s) * np.abs(s) ** (2 / power) * radius[1] * r
    return np.stack([center[0] + x * np.cos(angle) - y * np.sin(angle), center[1] + x * np.sin(angle) + y * np.cos(angle)], 1)


def _arc(center, radius, start: float, stop: float, n: int = 14) -> np.ndarray:
    t = np.linspace(start, stop, n)
    return np.stack([center[0] + radius[0] * np.cos(t), center[1] + radius[1] * np.sin(t)], 1)


def _chest(c: _Canvas, variant: str) -> None:
    rng = c.rng
    wide = {"erect": 0.40, "portable": 0.46, "broad": 0.52, "narrow": 0.33, "dense": 0.44}[variant] * rng.uniform(0.92, 1.1)
    x0, top = 0.5 + rng.normal(0, 0.03), rng.uniform(0.0, 0.1)
    density = {"dense": 0.9, "portable": 0.75}.get(variant, 0.62) * rng.uniform(0.85, 1.15)
    torso = np.array([(-0.16, -0.3), (-0.2, 0.06), (-1.15, 0.14), (-1.5, 0.35), (-1.1, 0.5), (-1.0, 1.3), (1.0, 1.3),
                      (1.1, 0.5), (1.5, 0.35), (1.15, 0.14), (0.2, 0.06), (0.16, -0.3)])
    c.fill(torso * (wide, 1) + (x0, top), density, soft=5)
    lung_top, lung_bottom = top + rng.uniform(0.07, 0.14), top + rng.uniform(0.62, 0.78)
    air = {"dense": 0.75, "portable": 0.6}.get(variant, 0.42) * rng.uniform(0.8, 1.15)
    for side in (-1, 1):
        inner, outer, drop = 0.18 + (0.12 if side > 0 else 0), rng.uniform(0.8, 0.9), rng.uniform(-0.02, 0.05)
        lung = np.array([(0.28, 0), (0.5, 0.02), (0.72, 0.3), (outer, 0.75), (outer, 1.05), (0.55, 0.9),
                         (inner + 0.1, 0.97), (inner, 0.6), (0.14, 0.3)])
        lung = np.stack([x0 + side * lung[:, 0] * wide, lung_top + lung[:, 1] * (lung_bottom - lung_top) + drop], 1)
        c.fill(lung, air, soft=rng.uniform(2.5, 5), multiply=True)
        for _ in range(9):  # vessels
            a, root = rng.uniform(-1.0, 1.2), np.array([x0 + side * wide * 0.22, 0.5 * (lung_top + lung_bottom)])
            tip = root + np.array([side * np.cos(a), np.sin(a)]) * (wide * 0.45, 0.2) * rng.uniform(0.6, 1.1)
            c.line([root, (root + tip) / 2 + rng.normal(0, 0.01, 2), tip], 0.005, 0.09, soft=1)
        pitch = (lung_bottom - lung_top) / rng.uniform(7.5, 9.5)
        for k in range(9):  # ribs: a back arc and a fainter front arc
            y = lung_top - 0.02 + k * pitch
            reach = wide * min(0.5 + 0.12 * k, 0.92)
            c.line(_arc((x0 + side * 0.1 * wide, y + 0.08), (side * reach, 0.09), -1.6, 0.25), 0.017, rng.uniform(0.05, 0.1), soft=0.8, bone=0.2)
            if k > 2:
                c.line(_arc((x0 + side * 0.3 * wide, y - 0.03), (side * reach * 0.72, 0.11), 0.1, 1.5), 0.013, 0.045, soft=1, bone=0.2)
        clavicle = np.array([(0.08, 0.075), (0.35, 0.06), (0.65, 0.0), (0.95, 0.02)]) + rng.normal(0, 0.01, (4, 2))
        c.line(np.stack([x0 + side * clavicle[:, 0] * wide, lung_top + clavicle[:, 1]], 1), 0.026, 0.18, bone=0.2)
        c.line([(x0 + side * wide * 1.15, lung_top + 0.06), (x0 + side * wide * rng.uniform(1.15, 1.45), lung_top + 0.5)], 0.06, 0.22, bone=0.2)
        c.add_bone(c.shape(blob((x0 + side * wide * 0.95, lung_top + 0.16), (0.06, 0.13), rng, angle=side * 0.3)), 0.08, 1.5, 0.2)
    c.fill(blob((x0 + 0.12 * wide, lung_bottom - 0.14), (0.42 * wide, 0.17), rng, angle=0.5), 0.3, soft=5)
    c.line([(x0, -0.1), (x0 + rng.normal(0, 0.01), 1.1)], 0.075, 0.24, soft=2.5)
    for y in np.arange(0.0, 1.0, 0.052):
        c.line([(x0 - 0.03, y), (x0 + 0.03, y)], 0.008, 0.06, soft=1)
    c.line([(x0, -0.1), (x0 + rng.normal(0, 0.005), lung_top + 0.14)], 0.025, -0.13, soft=1.5)


def _pelvis(c: _Canvas, variant: str) -> None:
    if variant == "ring":
        return _pelvic_ring(c)
    rng = c.rng
    if variant == "hip":
        scale, x0, y0 = rng.uniform(1.2, 1.6), choice(rng, (0.05, 0.95)), 0.5
    else:
        scale, x0, y0 = rng.uniform(0.8, 1.05), 0.5 + rng.normal(0, 0.03), rng.uniform(0.4, 0.5)
    squash = 0.75 if variant == "outlet" else 1.0

    def at(xy):
        return np.asarray(xy, np.float64) * (scale, scale * squash) + (x0, y0)

    c.fill(at([(-0.52, -0.7), (-0.5, 0.0), (-0.56, 0.3), (-0.5, 0.9), (-0.02, 0.9), (0, 0.4),
               (0.02, 0.9), (0.5, 0.9), (0.56, 0.3), (0.5, 0.0), (0.52, -0.7)]), rng.uniform(0.36, 0.5), soft=6)
    for side in (-1, 1):
        def s(points):
            return at([(side * x, y) for x, y in points])
        c.add_bone(c.shape(s([(0.07, -0.1), (0.09, -0.28), (0.22, -0.36), (0.36, -0.3), (0.38, -0.18), (0.28, 0.0),
                              (0.26, 0.08), (0.18, 0.06), (0.12, -0.02)])), 0.28, 1.2)
        c.line(s([(0.2, 0.05), (0.1, 0.1), (0.02, 0.13)]), 0.05 * scale, 0.25, 1.0, bone=1.0)
        c.line(s([(0.02, 0.16), (0.09, 0.27), (0.18, 0.2), (0.2, 0.1)]), 0.04 * scale, 0.2, 1.0, bone=1.0)
        c.add_bone(c.shape(blob(at((side * 0.26, 0.08)), (0.062 * scale, 0.062 * scale), rng, 0.03)), 0.3)
        c.line(s([(0.27, 0.09), (0.36, 0.16), (0.37, 0.3), (0.35, 0.9)]), 0.075 * scale, 0.3, 0.9, bone=1.0)
        c.add_bone(c.shape(s([(0.36, 0.12), (0.42, 0.1), (0.42, 0.2), (0.37, 0.24)])), 0.2)
    for y in np.arange(-0.7, -0.25, 0.1):
        c.add_bone(c.shape(at([(-0.06, y), (0.06, y), (0.055, y + 0.08), (-0.055, y + 0.08)])), 0.22)
    c.add_bone(c.shape(at([(-0.1, -0.25), (0.1, -0.25), (0.03, 0.06), (-0.03, 0.06)])), 0.2, 1.5)
    for _ in range(int(rng.integers(2, 7))):  # bowel gas
        gas = blob(at((rng.normal(0, 0.2), rng.uniform(-0.6, 0.0))), rng.uniform(0.02, 0.07, 2), rng, 0.2)
        c.fill(gas, rng.uniform(0.75, 0.92), soft=3, multiply=True)


def rounded(points) -> np.ndarray:
    """A closed polygon (N, 2) rounded by cutting its corners three times; (8 N, 2)."""
    p = np.asarray(points, np.float64)
    for _ in range(3):
        after = np.roll(p, -1, axis=0)
        p = np.stack([p * 0.75 + after * 0.25, p * 0.25 + after * 0.75], 1).reshape(-1, 2)
    return p


def _pelvic_ring(c: _Canvas) -> None:
    """An anteroposterior pelvis: last vertebrae, sacrum, iliac wings, rami around their foramina, hips."""
    rng = c.rng
    scale, x0, y0 = rng.uniform(0.95, 1.15), 0.5 + rng.normal(0, 0.02), rng.uniform(0.38, 0.46)
    tilt, breadth = rng.uniform(0.85, 1.1), rng.uniform(0.92, 1.08)

    def at(points):
        return np.asarray(points, np.float64) * (scale * breadth, scale * tilt) + (x0, y0)

    body = rng.uniform(0.5, 0.68)
    c.fill(rounded(at([(-0.47, -0.8), (-0.45, -0.2), (-0.52, 0.1), (-0.54, 0.3), (-0.47, 1.0), (-0.03, 1.0), (0, 0.4),
                        (0.03, 1.0), (0.47, 1.0), (0.54, 0.3), (0.52, 0.1), (0.45, -0.2), (0.47, -0.8)])), body, soft=5)
    c.fill(blob(at((0, -0.02)), (0.3 * scale, 0.28 * scale), rng), 0.16, soft=9)
    for y in (-0.47, -0.345):  # fourth and fifth lumbar vertebra
        c.line(at([(-0.15, y + 0.05), (0.15, y + 0.05)]), 0.02, 0.09, 1.2, bone=0.4)
        outline = [(-0.075, y), (0, y + 0.012), (0.075, y), (0.068, y + 0.05), (0.078, y + 0.105), (0, y + 0.095),
                   (-0.078, y + 0.105), (-0.068, y + 0.05)]
        c.add_bone(c.shape(rounded(at(outline))), 0.16, 1.0)
        for x in (-0.05, 0.05, 0.0):
            c.add_bone(c.shape(blob(at((x, y + 0.045)), np.array([0.014, 0.02 if x else 0.032]) * scale, rng, 0.05)), 0.1, 0.8)
    sacrum = [(-0.12, -0.24), (-0.05, -0.235), (0.05, -0.235), (0.12, -0.24), (0.1, -0.1), (0.045, 0.0), (0.012, 0.07),
              (-0.012, 0.07), (-0.045, 0.0), (-0.1, -0.1)]
    c.add_bone(c.shape(rounded(at(sacrum))), 0.14, 1.4)
    for side in (-1, 1):
        def s(points):
            return at([(side * x, y) for x, y in points])

        for k in range(4):
            c.fill(blob(s([(0.055 - 0.008 * k, -0.19 + 0.05 * k)])[0], np.array([0.011, 0.009]) * scale, rng), -0.07, soft=0.8)
        wing = [(0.085, -0.09), (0.075, -0.2), (0.13, -0.32), (0.24, -0.385), (0.36, -0.33), (0.4, -0.22), (0.36, -0.13),
                (0.34, -0.02), (0.34, 0.06), (0.25, 0.1), (0.17, 0.04), (0.13, -0.02)]
        c.add_bone(c.shape(rounded(s(wing))), 0.2, 1.0)
        c.line(s([(0.09, -0.1), (0.15, -0.01), (0.165, 0.05), (0.12, 0.11), (0.03, 0.15)]), 0.007, 0.13, 0.8)
        c.line(s([(0.24, 0.1), (0.15, 0.115), (0.08, 0.135), (0.015, 0.175)]), 0.042 * scale, 0.15, 1.0, bone=0.8)
        c.line(s([(0.25, 0.12), (0.225, 0.2), (0.19, 0.285), (0.15, 0.3)]), 0.062 * scale, 0.15, 1.0, bone=0.8)
        c.line(s([(0.15, 0.3), (0.09, 0.26), (0.025, 0.19)]), 0.034 * scale, 0.13, 1.0, bone=0.8)
        c.line(_arc(at((side * 0.3, 0.085)), (side * 0.078 * scale, 0.078 * scale), -2.6, 0.4), 0.01, 0.14, 0.8)
        femur = [(0.3, 0.04), (0.36, 0.09), (0.43, 0.1), (0.455, 0.17), (0.44, 0.26), (0.43, 0.45), (0.42, 1.0),
                 (0.335, 1.0), (0.345, 0.45), (0.34, 0.3), (0.31, 0.2), (0.275, 0.14)]
        c.add_bone(c.shape(rounded(s(femur))), 0.24, 1.0)
        c.add_bone(c.shape(blob(at((side * 0.3, 0.085)), np.array([0.064, 0.064]) * scale, rng, 0.02)), 0.2, 1.0)
        c.fill(s([(0.37, 0.4), (0.405, 0.4), (0.395, 1.0), (0.36, 1.0)]), -0.09, soft=1.5)
    for _ in range(int(rng.integers(3, 9))):  # bowel gas
        gas = blob(at((rng.normal(0, 0.2), rng.uniform(-0.6, -0.05))), rng.uniform(0.02, 0.06, 2), rng, 0.2)
        c.fill(gas, rng.uniform(0.72, 0.9), soft=3, multiply=True)


def _long_bone(c: _Canvas, a, b, width: float, level: float, tissue: float, flare: float = 1.7) -> None:
    """A shaft from a to b with flared, rounded ends inside a sleeve of soft tissue (widths of the longer side)."""
    rng = c.rng
    shape = np.array([c.w, c.h]) / max(c.w, c.h)  # unit coordinates are stretched; work in units of the longer side
    a, b = np.asarray(a, np.float64) * shape, np.asarray(b, np.float64) * shape
    along = (b - a) / max(1e-6, np.hypot(*(b - a)))
    normal, t = np.array([-along[1], along[0]]), np.linspace(0, 1, 24)
    bulge = np.exp(-t / 0.1) * rng.uniform(0.8, 1.2) + np.exp(-(1 - t) / 0.1) * rng.uniform(0.8, 1.2)
    half = width / 2 * (1 + (flare - 1) * bulge + 0.03 * rng.standard_normal(24)) * np.clip(np.sin(np.pi * np.clip(t, 0, 1)) / 0.12 + 0.72, 0, 1)
    spine = a + np.outer(t, b - a) + np.outer(np.sin(np.pi * t), normal) * rng.normal(0, 0.15) * width
    if tissue > 0:
        sleeve = tissue / 2 * (1 + 0.12 * np.sin(np.pi * t * rng.uniform(0.5, 1.5) + rng.uniform(0, 6)))
        ends = np.array([spine[0] - along * tissue * 0.3, spine[-1] + along * tissue * 0.3])
        sides = spine + normal * sleeve[:, None], (spine - normal * sleeve[:, None])[::-1]
        c.fill(np.concatenate([sides[0], ends[1:], sides[1], ends[:1]]) / shape, 0.2, soft=2.5)
    c.add_bone(c.shape(np.concatenate([spine + normal * half[:, None], (spine - normal * half[:, None])[::-1]]) / shape), level)
    core = np.concatenate([spine + normal * half[:, None] * 0.45, (spine - normal * half[:, None] * 0.45)[::-1]]) / shape
    c.fill(core, -0.25 * level, soft=1.5)  # the marrow


def _limb(c: _Canvas, variant: str) -> None:
    rng = c.rng
    level = rng.uniform(0.4, 0.65)
    turn = rng.normal(0, 0.15) + (np.pi if rng.random() < 0.25 else 0)
    size, middle = rng.uniform(0.75, 1.1), np.array([0.5, 0.5]) + rng.normal(0, 0.04, 2)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * size

    def at(x, y):
        return spin @ (x, y) + middle

    def digits(roots, tips, width, count):
        for root, tip in zip(roots, tips):
            root, tip = np.array(root), np.array(tip)
            cuts = np.linspace(0, 1, count + 1) ** 0.85
            for k in range(count):
                p, q = root + (tip - root) * (cuts[k] + 0.012), root + (tip - root) * (cuts[k + 1] - 0.012)
                _long_bone(c, at(*p), at(*q), width * (1 - 0.15 * k) * size, level, width * 3.2 * size, 1.5)

    if variant in ("hand", "fingers"):
        spread = rng.uniform(0.7, 1.2)
        xs = np.linspace(-0.12, 0.14, 4)
        digits([(x, 0.1) for x in xs], [(x * 2.1 * spread, -0.42 + abs(x - 0.02) * 0.6) for x in xs], 0.03, 4)
        digits([(-0.14, 0.16)], [(-0.36 * spread, -0.06)], 0.034, 3)
        if variant == "hand":
            c.fill([at(*p) for p in ((-0.17, 0.2), (-0.17, -0.08), (0.18, -0.08), (0.18, 0.22))], 0.2, soft=5)
            for _ in range(8):
                c.add_bone(c.shape(blob(at(rng.uniform(-0.11, 0.12), rng.uniform(0.12, 0.22)), np.array([0.03, 0.027]) * size, rng)), level * 0.7)
            _long_bone(c, at(-0.06, 0.25), at(-0.07, 0.8), 0.07 * size, level, 0.2 * size)
            _long_bone(c, at(0.08, 0.26), at(0.06, 0.8), 0.05 * size, level, 0.2 * size)
    elif variant == "foot":
        xs = np.linspace(-0.14, 0.14, 5)
        digits([(x * 0.7, 0.08) for x in xs], [(x * 1.25, -0.42 + abs(x + 0.14) * 0.5) for x in xs], 0.035, 4)
        c.fill([at(*p) for p in ((-0.16, -0.1), (0.17, -0.05), (0.13, 0.42), (-0.12, 0.42))], 0.28, soft=5)
        for x, y, rx, ry in ((-0.06, 0.14, 0.05, 0.05), (0.04, 0.15, 0.05, 0.05), (-0.04, 0.25, 0.06, 0.06), (0.04, 0.33, 0.07, 0.12)):
            c.add_bone(c.shape(blob(at(x, y), np.array([rx, ry]) * size, rng, angle=turn)), level * 0.7)
    elif variant == "ankle":
        _long_bone(c, at(-0.03, 0.02), at(-0.06, -0.8), 0.115 * size, level, 0.3 * size)
        _long_bone(c, at(0.085, 0.08), at(0.07, -0.8), 0.05 * size, level * 0.8, 0.12 * size)
        c.fill(rounded([at(*p) for p in ((-0.17, -0.1), (0.17, -0.1), (0.2, 0.4), (-0.18, 0.4))]), 0.3, soft=4)
        c.add_bone(c.shape(rounded([at(*p) for p in ((-0.1, 0.04), (0.06, 0.04), (0.075, 0.15), (-0.11, 0.15))])), level * 0.9)
        c.add_bone(c.shape(rounded([at(*p) for p in ((-0.1, 0.16), (0.08, 0.15), (0.1, 0.3), (0.0, 0.36), (-0.1, 0.3))])), level * 0.6)
    else:
        gap, bend = 0.012, rng.normal(0, 0.08) if variant != "elbow" else rng.uniform(0.3, 1.6)
        pairs = [(-0.22, 0.6), (0.22, 0.6)] if variant == "knees" else [(0.0, 1.0)]
        for shift, k in pairs:
            if variant == "femur":
                _long_bone(c, at(-0.02, -0.7), at(0.02, 0.7), 0.12 * size, level, 0.36 * size)
                continue
            upper, lower = (0.16, 0.15) if variant in ("knee", "knees") else (0.11, 0.08)
            if variant == "forearm":
                for offset, w in ((-0.06, 0.08), (0.06, 0.065)):
                    _long_bone(c, at(offset * 0.8, -0.5), at(offset * 1.4, 0.5), w * size, level, 0.25 * size)
                continue
            _long_bone(c, at(shift, -gap), at(shift - 0.02, -0.8), upper * k * size, level, 0.38 * k * size)
            end = (shift + np.sin(bend) * 0.8, np.cos(bend) * 0.8)
            _long_bone(c, at(shift, gap), at(*end), lower * k * size, level, 0.32 * k * size)
            beside = 0.11 * k
            _long_bone(c, at(shift + beside, gap + 0.06), at(end[0] + beside, end[1]), lower * 0.45 * k * size, level * 0.8, 0)
            if variant != "elbow":
                c.add_bone(c.shape(blob(at(shift, -0.1 * k), np.array([0.07, 0.075]) * k * size, rng)), level * 0.35, 1.2)


_DRAW = {"chest": _chest, "pelvis": _pelvis, "limb": _limb}


def procedural(
    rng: np.random.Generator, shape_hw: tuple[int, int], split: str, body: str, variants: tuple[str, ...] | None = None
) -> np.ndarray:
    """A drawn radiograph of `body`, (H, W) float32, 0 to 255, air black; limbs sometimes as two views side by side.

    Args:
        shape_hw: rows and columns.
        split: "train" or "eval".
        body: one of `BODIES`.
        variants: of the body, to choose from; those of the split by default.
    """
    h, w = shape_hw
    variants = variants or VARIANTS[split][body]
    if body == "limb" and w >= 200 and rng.random() < 0.15:
        cut = int(w * rng.uniform(0.4, 0.6))
        return np.hstack([_one_view(rng, (h, cut), body, variants), _one_view(rng, (h, w - cut), body, variants)])
    return _one_view(rng, shape_hw, body, variants)


def _one_view(rng: np.random.Generator, shape_hw: tuple[int, int], body: str, variants: tuple[str, ...]) -> np.ndarray:
    h, w = shape_hw
    canvas = _Canvas(shape_hw, rng)
    _DRAW[body](canvas, choice(rng, variants))
    value = 1 - np.exp(-canvas.value * rng.uniform(1.1, 1.9))
    value = value / max(0.3, float(value.max()))
    clouds = cv2.resize(rng.standard_normal((9, 9), np.float32), (canvas.w, canvas.h), interpolation=cv2.INTER_CUBIC)
    value = np.clip(value * (1 + 0.06 * clouds), 0, 1)
    if rng.random() < 0.5:  # scatter and uneven exposure
        value = np.clip(value + rng.uniform(0.02, 0.1) * cv2.GaussianBlur(value, (0, 0), 18) + rng.uniform(0, 0.05), 0, 1)
    value = cv2.resize(value, (w, h), interpolation=cv2.INTER_CUBIC)
    bone = cv2.resize(canvas.bone, (w, h), interpolation=cv2.INTER_LINEAR)
    coarse = cv2.resize(rng.standard_normal((h // 3 + 1, w // 3 + 1), np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.standard_normal((h // 9 + 1, w // 5 + 1), np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    texture = rng.uniform(0.006, 0.025) * coarse + rng.uniform(0.006, 0.03) * fine
    value += texture * (0.12 * np.sqrt(np.clip(value, 0, 1)) + bone * np.clip(value, 0, 1))
    return np.clip(value * rng.uniform(200, 255), 0, 255)
