"""Arrows, drawn rings and lines, dotted lines, asterisks, logos and scale bars, as kinds of annotations on training films.

All are of kind `marker` except scale bars and blank patches ("uncertain"); their text names the shape. A function of `KINDS` lays one
kind and returns whether it did.
"""

from __future__ import annotations

import cv2
import numpy as np

from . import fonts, layers
from .kit import LIGHT, Group, Kit, anywhere, cap_px, lay, over_edge
from .scene import Scene
from .texts import choice


def _drawn(points_of, size: float, angle: float, *, fill: bool, width: float = 1.0, closed: bool = True) -> np.ndarray:
    """Polygons (N, 2) in units of `size`, turned by `angle`, as an alpha mask: filled, or as lines `width` pixels wide."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shapes = [np.asarray(p, np.float64) @ turn.T * size for p in points_of]
    low = np.min([s.min(0) for s in shapes], 0) - width - 2
    high = np.max([s.max(0) for s in shapes], 0) + width + 2
    canvas = np.zeros(tuple(int(v) + 1 for v in (high - low)[::-1]), np.uint8)
    for shape in shapes:
        points = np.round((shape - low) * 16).astype(np.int32)
        if fill and len(points) > 2:
            cv2.fillPoly(canvas, [points], 255, cv2.LINE_AA, 4)
        else:
            cv2.polylines(canvas, [points], closed and len(points) > 2, 255, max(1, round(width)), cv2.LINE_AA, 4)
    return fonts.crop(canvas.astype(np.float32) / 255)


def pointer(rng: np.random.Generator, length: float, kind: str | None = None) -> tuple[np.ndarray, str]:
    """An arrow of about `length` pixels as an alpha mask and its description; any direction, mostly slanted."""
    kind = kind or choice(rng, ("thin", "thin", "thick", "hollow", "head"))
    angle = rng.uniform(0, 2 * np.pi)
    if kind == "thin":
        head, spread, width = rng.uniform(0.15, 0.4), rng.uniform(0.06, 0.18), max(1.0, length * rng.uniform(0.015, 0.06))
        tip = [(1, 0), (1 - head, -spread), (1 - head * rng.uniform(0.6, 1.0), 0), (1 - head, spread)]
        path = np.array([(0, 0), (1 - head * 0.5, 0)])
        if rng.random() < 0.2:  # a bent shaft
            t = np.linspace(0, 1, 12)
            path = np.stack([t * (1 - head * 0.5), rng.normal(0, 0.25) * np.sin(np.pi * t)], 1)
        style = rng.random()
        turn = dict(size=length, angle=angle)
        line = _place(
            [(path, False), (tip if style < 0.75 else [(1 - head, -spread), (1, 0), (1 - head, spread)], style < 0.75)],
            width=width,
            **turn,
        )
        return line, "arrow thin"
    shaft, head, back = rng.uniform(0.05, 0.2), rng.uniform(0.22, 0.42), rng.uniform(0.3, 0.6)
    notch = rng.uniform(0, 0.12)
    outline = [(0, -shaft), (1 - back + notch, -shaft), (1 - back, -head), (1, 0), (1 - back, head), (1 - back + notch, shaft), (0, shaft)]
    if kind == "head":
        wide, notch = rng.uniform(0.3, 0.75), rng.uniform(0, 0.45)
        outline = [(0, -wide), (1, 0), (0, wide), (notch, 0)]
    hollow = kind == "hollow" or (kind == "head" and rng.random() < 0.2)
    mask = _drawn([outline], length, angle, fill=not hollow, width=max(1.0, length * rng.uniform(0.02, 0.06)))
    return mask, {"thick": "arrow", "hollow": "arrow hollow", "head": "arrowhead"}[kind]


def _place(parts, size: float, angle: float, width: float) -> np.ndarray:
    """Lines and filled shapes of one drawing, each (points, filled), as one alpha mask."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shapes = [(np.asarray(p, np.float64) @ turn.T * size, filled) for p, filled in parts]
    low, high = np.min([s.min(0) for s, _ in shapes], 0) - width - 2, np.max([s.max(0) for s, _ in shapes], 0) + width + 2
    canvas = np.zeros(tuple(int(v) + 1 for v in (high - low)[::-1]), np.uint8)
    for shape, filled in shapes:
        points = np.round((shape - low) * 16).astype(np.int32)
        if filled:
            cv2.fillPoly(canvas, [points], 255, cv2.LINE_AA, 4)
        else:
            cv2.polylines(canvas, [points], False, 255, max(1, round(width)), cv2.LINE_AA, 4)
    return fonts.crop(canvas.astype(np.float32) / 255)


def _inked(rng, mask: np.ndarray, element: tuple[str, str], local: float) -> Group:
    """A drawing in white or black, whichever is visible, sometimes with an outline of the other."""
    dark = local > LIGHT + 30 or (local > 70 and rng.random() < 0.2)
    ink = rng.uniform(0, 30) if dark else float(choice(rng, (255, 255, rng.uniform(150, 255))))
    sheet = layers.Sheet(additive=False, digital=True)
    sheet.elements = [element]
    if rng.random() < 0.25:
        sheet.put(layers.grown(mask, 1), -1, -1, 255.0 - ink, 0)
    elif rng.random() < 0.1:
        sheet.put(mask, 1, 1, 255.0 - ink, 0, 0.7)
    sheet.put(mask, 0, 0, ink, 0, 1.0 if rng.random() < 0.8 else rng.uniform(0.5, 1))
    return sheet.group(margin=1)


def _laid(rng, scene: Scene, mask: np.ndarray, text: str, kind: str = "marker") -> bool:
    def spot():
        return (
            over_edge(rng, scene, mask.shape, rng.uniform(0.3, 0.9) * min(mask.shape))
            if rng.random() < 0.04
            else anywhere(rng, scene, mask.shape)
        )

    return min(mask.shape) > 0 and lay(rng, scene, lambda local: _inked(rng, mask, (kind, text), local), mask.shape, spot=spot, contrast=24)


def _arrow_kind(kind: str):
    def arrow(rng, scene: Scene, kit: Kit) -> bool:
        mask, text = pointer(rng, cap_px(rng, scene, 0.02, 0.13 if kind == "thin" else 0.08, 10.0), kind)
        return _laid(rng, scene, mask, text)

    return arrow


def arrows(rng, scene: Scene, kit: Kit) -> bool:
    """Two to five arrows of one kind around one place."""
    kind, length, count = choice(rng, ("thin", "thick", "hollow", "head")), cap_px(rng, scene, 0.02, 0.07, 10.0), int(rng.integers(2, 6))
    h, w = scene.picture.shape
    center, laid_count = (rng.uniform(0.2, 0.8) * w, rng.uniform(0.2, 0.8) * h), 0
    for _ in range(count):
        mask, text = pointer(rng, length, kind)
        if min(mask.shape) < 1:
            continue
        x, y = (int(c + rng.normal(0, 2.5) * length) for c in center)
        if scene.free(x, y, mask.shape):
            laid_count += scene.put(_inked(rng, mask, ("marker", text), scene.local(x, y, mask.shape)), x, y, contrast=24)
    return laid_count > 1


def drawn_circle(rng, scene: Scene, kit: Kit) -> bool:
    """A drawn circle or ellipse, also by hand, also dashed."""
    d, width = cap_px(rng, scene, 0.04, 0.25, 14.0), max(1.0, max(scene.picture.shape) * rng.uniform(0.0008, 0.005))
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    wobble = 1 + (0.05 * sum(rng.normal() * np.cos(k * t + rng.uniform(0, 6)) / k for k in (1, 2, 3)) if rng.random() < 0.3 else 0)
    ratio = rng.uniform(0.5, 1.0) if rng.random() < 0.5 else 1.0
    ring = np.stack([0.5 * np.cos(t) * wobble, 0.5 * ratio * np.sin(t) * wobble], 1)
    if rng.random() < 0.2:
        parts = [ring[k : k + 3] for k in range(0, 64, 4)]
        return _laid(rng, scene, _drawn(parts, d, rng.uniform(0, 3.1), fill=False, width=width, closed=False), "drawn circle dotted")
    return _laid(rng, scene, _drawn([ring], d, rng.uniform(0, 3.1), fill=False, width=width), "drawn circle")


def drawn_line(rng, scene: Scene, kit: Kit) -> bool:
    """A line, an angle of two lines, or a measure with end strokes."""
    length, width = cap_px(rng, scene, 0.05, 0.28, 16.0), max(1.0, max(scene.picture.shape) * rng.uniform(0.0008, 0.005))
    kind = rng.random()
    parts: list[list[tuple[float, float]]]
    if kind < 0.45:
        parts = [[(0, 0), (1, 0)]]
    elif kind < 0.65:
        parts = [[(0, 0), (1, 0)], [(0, -0.04), (0, 0.04)], [(1, -0.04), (1, 0.04)]]
    elif kind < 0.85:
        a = rng.uniform(0.2, 2.0)
        parts = [[(1, 0), (0, 0)], [(0, 0), (rng.uniform(0.5, 1) * np.cos(a), rng.uniform(0.5, 1) * np.sin(a))]]
    else:
        parts = [[(0, 0), (1, 0)], [(0.1, 0.12), (0.9, 0.12)]]
    angle = float(choice(rng, (0, np.pi / 2))) if rng.random() < 0.4 else rng.uniform(0, 3.1)
    return _laid(rng, scene, _drawn(parts, length, angle, fill=False, width=width, closed=False), "drawn line")


def dotted_line(rng, scene: Scene, kit: Kit) -> bool:
    """A dotted or dashed line, straight or bent."""
    length, width = cap_px(rng, scene, 0.06, 0.3, 20.0), max(1.0, max(scene.picture.shape) * rng.uniform(0.001, 0.005))
    n = max(4, int(length / (width * rng.uniform(2.5, 8))))
    t = np.linspace(0, 1, 2 * n)
    bend = rng.normal(0, 0.2) if rng.random() < 0.35 else 0.0
    path = np.stack([t, bend * np.sin(np.pi * t)], 1)
    parts = [path[k : k + 2] for k in range(0, 2 * n - 1, 2)]
    if rng.random() < 0.4:
        parts = [np.stack([p[0], p[0] + 1e-3]) for p in parts]
    return _laid(rng, scene, _drawn(parts, length, rng.uniform(0, 3.1), fill=False, width=width, closed=False), "dotted line")


def asterisk(rng, scene: Scene, kit: Kit) -> bool:
    """One or more asterisks, crosses or stars in the anatomy."""
    any_laid = False
    for _ in range(int(rng.integers(1, 4))):
        size = cap_px(rng, scene, 0.012, 0.04, 8.0)
        if rng.random() < 0.4:
            mask = fonts.render(choice(rng, "***+"), choice(rng, fonts.font_files(kit.split)), size * 2)
        else:
            n, turn = int(choice(rng, (2, 3, 3, 4))), rng.uniform(0, 3.1)
            rays = [[(np.cos(a) * 0.5, np.sin(a) * 0.5), (-np.cos(a) * 0.5, -np.sin(a) * 0.5)] for a in np.pi * np.arange(n) / n]
            mask = _drawn(rays, size, turn, fill=False, width=max(1.0, size * rng.uniform(0.05, 0.36 / n)), closed=False)
        any_laid |= _laid(rng, scene, mask, "*")
    return any_laid


def logo(rng, scene: Scene, kit: Kit) -> bool:
    """An invented logo: one to three simple shapes."""
    size = cap_px(rng, scene, 0.025, 0.09, 14.0)
    canvas = np.zeros((int(size) + 4, int(size * 1.4) + 4), np.uint8)
    h, w = canvas.shape
    for _ in range(int(rng.integers(1, 4))):
        center, value = (int(rng.uniform(0.25, 0.75) * w), int(rng.uniform(0.25, 0.75) * h)), int(choice(rng, (255, 255, 0)))
        kind, r = int(rng.integers(5)), max(2, int(size * rng.uniform(0.15, 0.45)))
        if kind == 0:
            cv2.circle(canvas, center, r, value, -1 if rng.random() < 0.5 else max(1, r // 4), cv2.LINE_AA)
        elif kind == 1:
            cv2.rectangle(
                canvas,
                (center[0] - r, center[1] - r // 2),
                (center[0] + r, center[1] + r // 2),
                value,
                -1 if rng.random() < 0.5 else max(1, r // 5),
            )
        elif kind == 2:
            cv2.fillPoly(
                canvas,
                [np.array([(center[0], center[1] - r), (center[0] + r, center[1] + r), (center[0] - r, center[1] + r)], np.int32)],
                value,
                cv2.LINE_AA,
            )
        elif kind == 3:
            cv2.ellipse(
                canvas, center, (r, max(1, r // 2)), rng.uniform(0, 180), 0, rng.uniform(180, 360), value, max(1, r // 4), cv2.LINE_AA
            )
        else:
            cv2.line(canvas, (center[0] - r, center[1]), (center[0] + r, center[1]), value, max(1, r // 3), cv2.LINE_AA)
            cv2.line(canvas, (center[0], center[1] - r), (center[0], center[1] + r), value, max(1, r // 3), cv2.LINE_AA)
    return _laid(rng, scene, fonts.crop(canvas.astype(np.float32) / 255), "logo")


def scale_bar(rng, scene: Scene, kit: Kit) -> bool:
    """A scale: a bar with end strokes, or ticks along an edge; "uncertain"."""
    h, w = scene.picture.shape
    long, tick = int(rng.uniform(0.1, 0.5) * max(h, w)), max(4, int(rng.uniform(0.006, 0.02) * max(h, w)))
    alpha = np.zeros((long, tick), np.float32)
    width = 1 if max(h, w) < 900 else int(rng.integers(1, 3))
    if rng.random() < 0.35:
        alpha[:, (tick - width) // 2 : (tick + width) // 2 + 1] = 1
        alpha[:width] = alpha[-width:] = 1
    else:
        step, every = max(4, int(rng.uniform(0.008, 0.04) * long)), int(choice(rng, (5, 5, 10)))
        for k, y in enumerate(range(0, long - width, step)):
            alpha[y : y + width, : tick if k % every == 0 else tick // 2] = 1
        if rng.random() < 0.7:
            alpha[:, :width] = 1
    alpha = np.ascontiguousarray(np.rot90(alpha, int(rng.integers(4))))

    def spot():
        gh, gw = alpha.shape
        x, y = anywhere(rng, scene, alpha.shape)
        inset = rng.uniform(0, 0.03)
        if gh > gw:
            return int(inset * w if rng.random() < 0.5 else (1 - inset) * w - gw), y
        return x, int(inset * h if rng.random() < 0.3 else (1 - inset) * h - gh)

    return lay(rng, scene, lambda local: _inked(rng, alpha, ("uncertain", "scale"), local), alpha.shape, spot=spot, contrast=20)


def blank_patch(rng, scene: Scene, kit: Kit) -> bool:
    """A box pasted over something, without legible text; "uncertain"."""
    size, level = cap_px(rng, scene, 0.02, 0.12, 8.0), float(choice(rng, (0, 255, rng.uniform(20, 230))))
    alpha = np.ones((max(4, round(size * rng.uniform(0.3, 1))), max(6, round(size * rng.uniform(0.6, 2)))), np.float32)
    group = Group([("uncertain", "blank patch")], [layers.Layer(np.pad(alpha, 1), level, 0)], True)
    return lay(rng, scene, lambda local: group, alpha.shape, contrast=15)


KINDS = {
    "thin arrow": _arrow_kind("thin"),
    "thick arrow": _arrow_kind("thick"),
    "hollow arrow": _arrow_kind("hollow"),
    "arrowhead": _arrow_kind("head"),
    "arrows": arrows,
    "drawn circle": drawn_circle,
    "drawn line": drawn_line,
    "dotted line": dotted_line,
    "asterisk": asterisk,
    "logo": logo,
    "scale": scale_bar,
    "blank patch": blank_patch,
}
