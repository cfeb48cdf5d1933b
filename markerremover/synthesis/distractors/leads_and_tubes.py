"""Bright man-made distractors: leads, tubes, implants, jewellery, clips, collimation edges, scratches.

Every function takes an image (H, W) float32, 0 to 255, and returns a new one. None of it is ever labelled.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..marks.texts import choice


def _screen(picture: np.ndarray, mask: np.ndarray, opacity: float) -> np.ndarray:
    """Add density: `mask` (H, W) uint8 moves the image towards white; a new array."""
    return picture + (255 - picture) * (mask.astype(np.float32) * (opacity / 255))


def smooth_path(rng: np.random.Generator, shape_hw, n: int = 5, reach: float = 0.3) -> np.ndarray:
    """A smooth random curve, (M, 2) float points in pixels."""
    h, w = shape_hw
    start = rng.uniform(0, 1, 2) * (w, h)
    steps = rng.normal(0, reach / n, (n, 2)) * max(h, w) + rng.normal(0, reach / n, 2) * max(h, w)
    p = np.concatenate([[start], start + np.cumsum(steps, 0)])
    for _ in range(3):
        a, b = p[:-1], p[1:]
        p = np.concatenate([p[:1], np.stack([a * 0.75 + b * 0.25, a * 0.25 + b * 0.75], 1).reshape(-1, 2), p[-1:]])
    return p


def _ellipse(mask: np.ndarray, center, axes, angle_deg: float, value: int = 255, line: int = -1) -> None:
    """An ellipse with full axes in pixels, filled unless a line width is given."""
    cv2.ellipse(mask, (tuple(map(float, center)), tuple(map(float, axes)), float(angle_deg)), value, line, cv2.LINE_AA)


def _curve(mask: np.ndarray, points: np.ndarray, width: float, value: int = 255) -> None:
    cv2.polylines(mask, [np.round(points * 8).astype(np.int32)], False, value, max(1, round(width)), cv2.LINE_AA, 3)


def wires(rng, picture):
    """ECG cables with electrodes and snaps at their ends."""
    unit = max(picture.shape) / 100
    mask = np.zeros(picture.shape, np.uint8)
    for _ in range(int(rng.integers(1, 5))):
        p = smooth_path(rng, picture.shape, reach=rng.uniform(0.4, 1.4))
        _curve(mask, p, unit * rng.uniform(0.15, 0.5), int(rng.integers(90, 230)))
        x, y = map(int, p[-1])
        r = unit * rng.uniform(0.6, 1.6)
        kind = rng.random()
        if kind < 0.4:
            cv2.circle(mask, (x, y), int(r), int(rng.integers(60, 200)), -1, cv2.LINE_AA)
            cv2.circle(mask, (x, y), max(1, int(r * 0.45)), 255, -1 if rng.random() < 0.5 else max(1, int(r * 0.2)), cv2.LINE_AA)
        elif kind < 0.7:
            cv2.circle(mask, (x, y), int(r), 230, max(1, int(unit * 0.2)), cv2.LINE_AA)
        else:
            box = cv2.boxPoints(((x, y), (r * 3, r * 1.2), rng.uniform(0, 180)))
            cv2.fillPoly(mask, [box.astype(np.int32)], 200, cv2.LINE_AA)
    return _screen(picture, mask, rng.uniform(0.3, 0.9))


def tube(rng, picture):
    """A tube or catheter: two walls or a bright stripe, sometimes with side holes."""
    unit = max(picture.shape) / 100
    mask = np.zeros(picture.shape, np.uint8)
    p, width = smooth_path(rng, picture.shape, 4, rng.uniform(0.5, 1.5)), unit * rng.uniform(0.4, 1.6)
    _curve(mask, p, width, 110)
    if rng.random() < 0.5:
        _curve(mask, p, width * 0.6, 50)
    if rng.random() < 0.5:
        _curve(mask, p + (width * 0.2, 0), max(1, width * 0.15), 255)
    if rng.random() < 0.4:
        for x, y in p[-20::6]:
            cv2.circle(mask, (int(x), int(y)), max(1, int(width * 0.3)), 0, -1)
    return _screen(picture, mask, rng.uniform(0.2, 0.8))


def implants(rng, picture):
    """Pacemaker, hip stem, plate with screws, pins, or a pair of rods."""
    h, w = picture.shape
    unit = max(h, w) / 100
    mask = np.zeros(picture.shape, np.uint8)
    center = rng.uniform(0.15, 0.85, 2) * (w, h)
    angle = rng.uniform(0, 6.28)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def poly(points, value=255):
        cv2.fillPoly(mask, [np.round((np.asarray(points) * unit @ turn.T + center) * 8).astype(np.int32)], value, cv2.LINE_AA, 3)

    kind = rng.random()
    if kind < 0.3:
        _ellipse(mask, center, unit * rng.uniform((5, 4), (8, 7)), np.degrees(angle), 190)
        poly([(-2, -1.5), (1, -1.5), (1, 1), (-2, 1)], 255)
        lead = smooth_path(rng, picture.shape)
        _curve(mask, lead - lead[0] + center, unit * 0.25)
    elif kind < 0.55:
        r = rng.uniform(3, 5)
        cv2.circle(mask, tuple(map(int, center)), int(r * unit), 255, -1, cv2.LINE_AA)
        poly([(0, -1.2), (r * 1.6, -1.2), (r * 2.2, 0), (r * 1.6, 1.2), (0, 1.2)])
        poly([(r * 1.3, -1.6), (r * 2.2, 0), (r * 1.4, r * 4), (r * 1.2, r * 4)])
    elif kind < 0.85:
        n, t = int(rng.integers(4, 10)), rng.uniform(0.6, 1.1)
        length = n * rng.uniform(1.8, 2.6)
        poly([(0, -t), (length, -t), (length, t), (0, t)])
        for k in range(n):
            x = (k + 0.5) * length / n
            if rng.random() < 0.35:
                hole = np.round((np.array([x, 0]) * unit) @ turn.T + center).astype(int)
                cv2.circle(mask, tuple(map(int, hole)), max(1, int(t * unit * 0.5)), 60, -1, cv2.LINE_AA)
            else:
                poly([(x - 0.25, 0), (x + 0.25, 0), (x + 0.25, rng.uniform(4, 7)), (x - 0.25, rng.uniform(4, 7))], 230)
    elif kind < 0.93:
        for _ in range(int(rng.integers(1, 5))):  # pins
            p, length, slope = rng.uniform(-4, 4, 2), rng.uniform(4, 14), rng.uniform(-0.5, 0.5)
            poly([p, p + (length, slope * length), p + (length, slope * length + 0.35), p + (0, 0.35)])
    else:
        for offset in (-2.2, 2.2):
            poly([(-12, offset - 0.5), (12, offset - 0.5), (12, offset + 0.5), (-12, offset + 0.5)], 230)
            for x in (-9, -3, 3, 9):
                poly([(x - 0.9, offset - 1), (x + 0.9, offset - 1), (x + 0.9, offset + 1), (x - 0.9, offset + 1)])
    return _screen(picture, cv2.GaussianBlur(mask, (0, 0), 0.8), rng.uniform(0.6, 1.0))


def clips(rng, picture):
    """Surgical clips, staples, sternal wires, dental fillings: small bright strokes in a row or scattered."""
    h, w = picture.shape
    unit = max(h, w) / 100
    mask = np.zeros(picture.shape, np.uint8)
    start, step = rng.uniform(0.1, 0.9, 2) * (w, h), rng.normal(0, 2.2, 2) * unit
    row, kind = rng.random() < 0.6, rng.random()
    angle = rng.uniform(0, 3.14)
    for k in range(int(rng.integers(2, 14))):
        p = start + step * k if row else start + rng.normal(0, 6, 2) * unit
        a = angle + rng.normal(0, 0.15 if row else 1.5)
        d = np.array([np.cos(a), np.sin(a)]) * unit * rng.uniform(0.3, 0.9)
        if kind < 0.6:
            _curve(mask, np.array([p - d, p + d]), unit * rng.uniform(0.1, 0.3))
        elif kind < 0.85:
            _ellipse(mask, p, (unit * 1.8, unit * 1.1), rng.uniform(0, 180), line=max(1, round(unit * 0.15)))
        else:
            _ellipse(mask, p, unit * rng.uniform(0.5, 1.3, 2), rng.uniform(0, 180))
    return _screen(picture, mask, rng.uniform(0.5, 1.0))


def clothing(rng, picture):
    """A zip, buttons, a necklace, a bra clasp, a ring on a finger."""
    h, w = picture.shape
    unit = max(h, w) / 100
    mask = np.zeros(picture.shape, np.uint8)
    kind = rng.random()
    if kind < 0.3:
        p = smooth_path(rng, picture.shape, 3, 0.5)
        for x, y in p:
            cv2.rectangle(mask, (int(x - unit * 0.5), int(y)), (int(x + unit * 0.5), int(y + max(1, unit * 0.25))), 220, -1)
    elif kind < 0.55:
        x, y = rng.uniform(0.1, 0.9, 2) * (w, h)
        for k in range(int(rng.integers(1, 6))):
            c = int(x + rng.normal(0, unit)), int(y + k * unit * 9)
            cv2.circle(mask, c, max(2, int(unit * rng.uniform(0.6, 1.2))), int(rng.integers(70, 200)), -1, cv2.LINE_AA)
            for dx in (-0.3, 0.3):
                cv2.circle(mask, (int(c[0] + dx * unit), c[1]), max(1, int(unit * 0.13)), 0, -1)
    elif kind < 0.8:
        for x, y in smooth_path(rng, picture.shape, 4, 0.8):
            cv2.circle(mask, (int(x), int(y)), max(1, int(unit * 0.22)), 255, -1, cv2.LINE_AA)
    else:
        x, y = rng.uniform(0.1, 0.9, 2) * (w, h)
        _ellipse(mask, (x, y), unit * rng.uniform((1.5, 0.6), (3, 2.5)), rng.uniform(0, 180), line=max(1, round(unit * 0.4)))
    return _screen(picture, mask, rng.uniform(0.4, 1.0))


def scratches(rng, picture):
    """Dust specks and hairline scratches, bright or dark."""
    h, w = picture.shape
    out = picture.copy()
    for _ in range(int(rng.integers(1, 5))):
        p = rng.uniform(0, 1, 2) * (w, h)
        q = p + rng.normal(0, 0.08, 2) * (w, h)
        cv2.line(out, tuple(map(int, p)), tuple(map(int, q)), float(choice(rng, (255, 230, 20))), 1, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 25))):
        cv2.circle(out, (int(rng.integers(w)), int(rng.integers(h))), int(rng.integers(1, 3)), float(choice(rng, (250, 220, 30))), -1, cv2.LINE_AA)
    return out


def edges(rng, picture):
    """A bright bar, cassette edge or step at the border of the field."""
    h, w = picture.shape
    unit = max(h, w) / 100
    mask = np.zeros(picture.shape, np.uint8)
    side, thick = int(rng.integers(4)), max(1, int(unit * rng.uniform(0.2, 2.5)))
    at = int(rng.uniform(0, 0.06) * max(h, w))
    tilt = int(rng.normal(0, 1.5) * unit)
    ends = (((0, at), (w, at + tilt)), ((0, h - at), (w, h - at + tilt)), ((at, 0), (at + tilt, h)), ((w - at, 0), (w - at + tilt, h)))[side]
    cv2.line(mask, *ends, 255, thick, cv2.LINE_AA)
    return _screen(picture, mask, rng.uniform(0.1, 0.9))


CHOICES = (wires, wires, tube, implants, clips, clothing, scratches, edges)


def scatter(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """A random number of distractors of `CHOICES` over the image, at most five."""
    for _ in range(int(rng.choice((0, 1, 2, 3, 5), p=(0.4, 0.25, 0.18, 0.12, 0.05)))):
        picture = choice(rng, CHOICES)(rng, picture)
    return picture
