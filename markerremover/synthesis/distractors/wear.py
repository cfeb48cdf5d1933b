"""Objects worn by patients and defects of films as distractors: jewellery, clothing, leads, casts, scratches, noise, grids.

Every function takes an image (H, W) float32, 0 to 255, and draws on it in place. None of it is ever labelled.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..marks.texts import choice
from ..radiographs import degrade
from .leads_and_tubes import edges, smooth_path
from .metal import Patch


def _curve_points(rng, picture, n: int, reach: float) -> np.ndarray:
    return smooth_path(rng, picture.shape, n, reach)


def _screen(picture, mask: np.ndarray, x: int, y: int, opacity: float, level: float = 255.0) -> None:
    part = picture[y : y + mask.shape[0], x : x + mask.shape[1]]
    mask = mask[: part.shape[0], : part.shape[1]]
    part += (level - part) * (mask.astype(np.float32) * (opacity / 255))


def _along(p: Patch, path: np.ndarray, pitch: float) -> np.ndarray:
    """Points along a path in pixels, `pitch` pixels apart."""
    steps = np.hypot(*np.diff(path, axis=0).T)
    at = np.concatenate([[0], np.cumsum(steps)])
    positions = np.arange(0, at[-1], max(1.0, pitch))[:220]
    return np.stack([np.interp(positions, at, path[:, 0]), np.interp(positions, at, path[:, 1])], 1)


def _pixels(rng, picture) -> Patch:
    """A patch whose units are pixels of the image, with the origin in its top left corner."""
    return Patch(rng, picture, (0, 0), 0.0, 1.0)


def beads(rng, picture) -> None:
    """A necklace, a bracelet or loose beads: balls, rings or tubes in a row."""
    p, unit = _pixels(rng, picture), max(picture.shape) / 100
    r = unit * rng.uniform(0.25, 1.0)
    kind = rng.random()
    for x, y in _along(p, _curve_points(rng, picture, 4, rng.uniform(0.3, 1.2)), r * rng.uniform(1.9, 4)):
        if kind < 0.5:
            p.disc((x, y), r * rng.uniform(0.8, 1.1))
            if kind < 0.2:
                p.disc((x, y), r * 0.35, 40)
        elif kind < 0.8:
            p.ring((x, y), r, max(1.0, r * 0.35))
        else:
            a = rng.uniform(0, 3.1)
            p.line([(x - r * np.cos(a), y - r * np.sin(a)), (x + r * np.cos(a), y + r * np.sin(a))], r * 0.7)
    p.screen(rng.uniform(0.35, 1.0), 255.0, 0.6)


def chain(rng, picture) -> None:
    """A fine chain, perhaps with a pendant: a disc, a cross or a drop."""
    p, unit = _pixels(rng, picture), max(picture.shape) / 100
    path = _curve_points(rng, picture, 4, rng.uniform(0.4, 1.0))
    link = unit * rng.uniform(0.25, 0.6)
    for k, (x, y) in enumerate(_along(p, path, link * 1.5)):
        (p.ring if k % 2 else p.disc)((x, y), link * (0.5 if k % 2 else 0.3), *((max(1.0, link * 0.25),) if k % 2 else ()))
    if rng.random() < 0.6:
        x, y = path[len(path) // 2]
        s, kind = unit * rng.uniform(0.8, 2.0), int(rng.integers(4))
        if kind == 0:
            p.disc((x, y + s), s)
        elif kind == 1:
            p.line([(x, y), (x, y + 2.2 * s)], s * 0.35)
            p.line([(x - 0.7 * s, y + 0.7 * s), (x + 0.7 * s, y + 0.7 * s)], s * 0.35)
        elif kind == 2:
            p.ring((x, y + s), s, s * 0.3)
        else:
            p.poly([(x, y), (x + 0.7 * s, y + 1.2 * s), (x, y + 2 * s), (x - 0.7 * s, y + 1.2 * s)])
    p.screen(rng.uniform(0.5, 1.0), 255.0, 0.5)


def sequins(rng, picture) -> None:
    """Sequins, studs or rhinestones on clothes, in a field or rows."""
    h, w = picture.shape
    p, unit = _pixels(rng, picture), max(h, w) / 100
    x0, y0 = rng.uniform(0, 0.8, 2) * (w, h)
    r, pitch, kind, jitter = unit * rng.uniform(0.2, 0.6), unit * rng.uniform(1.2, 3), rng.random(), rng.uniform(0.02, 0.4)
    for i in range(int(rng.integers(2, 9))):
        for k in range(int(rng.integers(3, 12))):
            x, y = x0 + (k + 0.5 * (i % 2)) * pitch + rng.normal(0, jitter) * pitch, y0 + i * pitch + rng.normal(0, jitter) * pitch
            if kind < 0.4:
                p.disc((x, y), r)
            elif kind < 0.75:
                p.ring((x, y), r, max(1.0, r * 0.4))
            else:
                a = rng.uniform(0, 6)
                p.poly([(x + r * np.cos(a + t), y + r * np.sin(a + t)) for t in (0, 2.1, 4.2)])
    p.screen(rng.uniform(0.2, 0.9), 255.0, 0.5)


def zip_fastener(rng, picture) -> None:
    """A zip: two rows of teeth, a slider and its pull."""
    p, unit = _pixels(rng, picture), max(picture.shape) / 100
    path = _curve_points(rng, picture, 3, rng.uniform(0.3, 0.9))
    pitch, half = unit * rng.uniform(0.35, 0.7), unit * rng.uniform(0.3, 0.7)
    points = _along(p, path, pitch)
    for k in range(1, len(points)):
        d = points[k] - points[k - 1]
        side = np.array([-d[1], d[0]]) / max(1e-3, np.hypot(*d)) * half * (1 if k % 2 else -1)
        p.line([points[k], points[k] + side], max(1.0, pitch * 0.45))
    if len(points) > 6:
        x, y = points[-1]
        p.poly([(x - 1.2 * half, y - half), (x + 1.2 * half, y - half), (x + 0.8 * half, y + 2 * half), (x - 0.8 * half, y + 2 * half)])
        p.ring((x, y + 4 * half), half * 1.3, max(1.0, half * 0.4))
    p.screen(rng.uniform(0.5, 1.0), 255.0, 0.5)


def buttons(rng, picture) -> None:
    """Buttons, snaps, hooks and eyes, bra clasps and wires."""
    p = Patch(rng, picture)
    kind, r, value = rng.random(), rng.uniform(0.5, 1.3), int(rng.integers(90, 256))
    for k in range(int(rng.integers(1, 7))):
        x, y = k * rng.uniform(4, 9), rng.normal(0, 0.5)
        if kind < 0.4:
            p.disc((x, y), r, value)
            p.ring((x, y), r, 0.12, 255)
            for dx, dy in ((-0.3, -0.3), (0.3, -0.3), (-0.3, 0.3), (0.3, 0.3))[: int(choice(rng, (2, 4)))]:
                p.disc((x + dx * r, y + dy * r), 0.16 * r, 0)
        elif kind < 0.65:
            p.ring((x, y), r, 0.3 * r)
            p.disc((x, y), 0.35 * r, 255)
        elif kind < 0.85:
            p.line([(x, y), (x + 0.8, y), (x + 1.1, y + 0.4), (x + 0.8, y + 0.8), (x, y + 0.8)], 0.22)
        else:
            t = np.linspace(0.2, 2.9, 16)
            p.line(np.stack([x + 6 * np.cos(t), y + 5 * np.sin(t)], 1), 0.3)
    p.screen(rng.uniform(0.4, 1.0))


def finger_ring(rng, picture) -> None:
    """Rings, ear-rings, a piercing, a watch."""
    p = Patch(rng, picture)
    kind = rng.random()
    if kind < 0.5:
        w, h = rng.uniform(1.2, 3), rng.uniform(0.4, 1.2)
        p.poly([(-w, -h / 2), (w, -h / 2), (w, h / 2), (-w, h / 2)])
        if rng.random() < 0.4:
            p.disc((0, -h), h * 0.8)
    elif kind < 0.8:
        p.ring((0, 0), rng.uniform(0.8, 2.5), rng.uniform(0.15, 0.5))
        if rng.random() < 0.5:
            p.disc((0, 1.5), rng.uniform(0.3, 0.7))
    else:
        r = rng.uniform(2.5, 5)
        p.disc((0, 0), r, 210)
        p.ring((0, 0), r, 0.5)
        for _ in range(5):
            p.disc(rng.normal(0, r / 3, 2), rng.uniform(0.2, 0.8), int(choice(rng, (90, 255))))
        for side in (-1, 1):
            for k in range(int(rng.integers(2, 7))):
                x = side * (r + 0.6 + k * 1.1)
                p.poly([(x - 0.4, -1.5), (x + 0.4, -1.5), (x + 0.4, 1.5), (x - 0.4, 1.5)], 230)
    p.screen(rng.uniform(0.6, 1.0))


def ecg_clips(rng, picture) -> None:
    """ECG electrodes: snaps and clips on bent cables, with tags of the cables."""
    unit = max(picture.shape) / 100
    for _ in range(int(rng.integers(1, 4))):
        path = _curve_points(rng, picture, 5, rng.uniform(0.4, 1.3))
        cable = _pixels(rng, picture)
        cable.line(path, unit * rng.uniform(0.2, 0.5), int(rng.integers(90, 220)))
        if rng.random() < 0.4:
            cable.line(path + unit * rng.uniform(0.3, 0.8), unit * rng.uniform(0.15, 0.4), int(rng.integers(90, 220)))
        cable.screen(rng.uniform(0.3, 0.8))
        p = Patch(rng, picture, path[-1])
        kind = rng.random()
        if kind < 0.35:
            p.disc((0, 0), 1.6, int(rng.integers(50, 120)))
            p.disc((0, 0), 0.8, 255)
            p.disc((0, 0), 0.3, 120)
        elif kind < 0.7:  # a clip like a clothes peg, with its spring
            p.poly([(0, -0.9), (4, -0.5), (4, 0.5), (0, 0.9)], 170)
            p.line([(0.3, -0.5), (3.5, -0.2)], 0.25)
            p.line([(0.3, 0.5), (3.5, 0.2)], 0.25)
            z = np.arange(8)
            p.line(np.stack([1.2 + 0.15 * z, 0.35 * np.where(z % 2, 1, -1)], 1), 0.15)
        else:
            p.ring((0, 0), 1.1, 0.3)
            p.poly([(0.8, -0.5), (3.2, -0.35), (3.2, 0.35), (0.8, 0.5)], 230)
        p.screen(rng.uniform(0.5, 1.0))


def cable_tag(rng, picture) -> None:
    """Blank tags and connectors on cables: small boxes, one inside another."""
    p = Patch(rng, picture)
    w, h = rng.uniform(1.2, 4), rng.uniform(0.8, 2)
    p.line([(-12, rng.normal(0, 2)), (-w, 0)], 0.3, 150)
    p.line([(w, 0), (12, rng.normal(0, 2))], 0.3, 150)
    p.poly([(-w, -h), (w, -h), (w, h), (-w, h)], int(rng.integers(60, 160)))
    p.line([(-w, -h), (w, -h), (w, h), (-w, h), (-w, -h)], 0.15, 220)
    for _ in range(int(rng.integers(0, 4))):
        x = rng.uniform(-0.8, 0.6) * w
        p.poly([(x, -h * 0.6), (x + 0.4, -h * 0.6), (x + 0.4, h * 0.6), (x, h * 0.6)], 255)
    p.screen(rng.uniform(0.4, 0.9))


def cast(rng, picture) -> None:
    """The weave of a cast or a bandage over a part of the picture: crossed faint strokes, and its edge."""
    h, w = picture.shape
    ch, cw = int(rng.uniform(0.3, 0.9) * h), int(rng.uniform(0.3, 0.9) * w)
    y, x = int(rng.uniform(0, h - ch)), int(rng.uniform(0, w - cw))
    ys, xs = np.mgrid[0:ch, 0:cw].astype(np.float32)
    a, pitch = rng.uniform(0, 3.1), max(h, w) / 100 * rng.uniform(0.5, 1.6)
    weave = np.sin((xs * np.cos(a) + ys * np.sin(a)) * (6.28 / pitch)) + np.sin(
        (xs * np.cos(a + 1.3) + ys * np.sin(a + 1.3)) * (6.28 / pitch)
    )
    soft = cv2.GaussianBlur(cv2.resize(np.pad(np.ones((8, 8), np.float32), 2), (cw, ch), interpolation=cv2.INTER_LINEAR), (0, 0), 3)
    picture[y : y + ch, x : x + cw] += soft * (weave * rng.uniform(1, 6) + rng.uniform(0, 18))


def noise_lines(rng, picture) -> None:
    """Dead or loud rows and columns of a detector, and its seams."""
    h, w = picture.shape
    for _ in range(int(rng.integers(1, 6))):
        across, width, change = rng.random() < 0.5, int(rng.integers(1, 3)), float(choice(rng, (rng.normal(0, 25), 255, -255)))
        n = h if across else w
        at = int(rng.integers(0, n - width))
        start, end = sorted(rng.integers(0, w if across else h, 2)) if rng.random() < 0.4 else (0, w if across else h)
        part = picture[at : at + width, start:end] if across else picture[start:end, at : at + width]
        np.clip(part + change, 0, 255, out=part)


def scratches(rng, picture) -> None:
    """Scratches of film, long and short, straight and bent, bright and dark."""
    p = _pixels(rng, picture)
    for _ in range(int(rng.integers(2, 12))):
        path = _curve_points(rng, picture, 3, rng.uniform(0.02, 0.4))
        p.line(path, 1.0, int(rng.integers(60, 255)))
    p.screen(rng.uniform(0.3, 1.0), 255.0 if rng.random() < 0.7 else 0.0, 0.4)


def dust(rng, picture) -> None:
    """Dust, hairs and spots."""
    h, w = picture.shape
    p = _pixels(rng, picture)
    for _ in range(int(rng.integers(5, 60))):
        x, y = rng.uniform(0, 1, 2) * (w, h)
        if rng.random() < 0.8:
            p.disc((x, y), rng.uniform(0.5, 2.0), int(rng.integers(80, 256)))
        else:
            t = np.linspace(0, rng.uniform(1, 4), 8)
            r = rng.uniform(3, 14)
            p.line(np.stack([x + r * np.cos(t), y + r * np.sin(t)], 1), 1.0, int(rng.integers(80, 220)))
    p.screen(rng.uniform(0.4, 1.0), 255.0 if rng.random() < 0.7 else 0.0, 0.35)


def fingerprint(rng, picture) -> None:
    """A fingerprint: fine bent ridges in an oval."""
    size = int(max(picture.shape) * rng.uniform(0.05, 0.12))
    ys, xs = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    ridges = np.sin(np.hypot(xs * 1.1 + 0.15 * np.sin(3 * ys), ys * 0.8 + 0.3) * rng.uniform(28, 45)) * np.clip(
        1.2 - np.hypot(xs, ys) * 1.2, 0, 1
    )
    h, w = picture.shape
    y, x = int(rng.uniform(0, max(1, h - size))), int(rng.uniform(0, max(1, w - size)))
    part = picture[y : y + size, x : x + size]
    part += ridges[: part.shape[0], : part.shape[1]] * rng.uniform(4, 22)


def teeth(rng, picture) -> None:
    """Rows like teeth or calcified cartilage: soft bright blobs side by side."""
    p = Patch(rng, picture)
    bend, size = rng.normal(0, 0.02), rng.uniform(0.8, 2.2)
    for row in range(int(rng.integers(1, 3))):
        for k in range(int(rng.integers(4, 13))):
            x, y = (k - 5) * size * 1.3, bend * ((k - 5) * size * 1.3) ** 2 + row * size * 3
            crown = [(-0.5, -0.9), (0.5, -0.9), (0.55, 0.2), (0.3, 1.2), (0.1, 0.7), (-0.1, 0.7), (-0.3, 1.2), (-0.55, 0.2)]
            p.poly([(x + u * size, y + v * size) for u, v in crown], int(rng.integers(120, 256)))
    p.screen(rng.uniform(0.25, 0.7), rng.uniform(190, 255), max(picture.shape) / 700)


def grid_lines(rng, picture) -> None:
    """The lines of an anti-scatter grid or of a measuring grid."""
    h, w = picture.shape
    if rng.random() < 0.7:
        pitch, strength = rng.uniform(2.5, 9), rng.uniform(1.5, 7)
        n = w if rng.random() < 0.5 else h
        wave = (strength * np.sin(np.arange(n) * (6.283 / pitch))).astype(np.float32)
        picture += wave[None, :] if n == w else wave[:, None]
        return
    step, level = int(rng.uniform(0.05, 0.12) * max(h, w)), rng.uniform(8, 50)
    for x in range(int(rng.integers(step)), w, step):
        picture[:, x] += level
    for y in range(int(rng.integers(step)), h, step):
        picture[y] += level


def soft_tube(rng, picture) -> None:
    """A tube or catheter: two walls or a stripe, a tip with side holes or a balloon."""
    p, unit = _pixels(rng, picture), max(picture.shape) / 100
    path, width = _curve_points(rng, picture, 4, rng.uniform(0.5, 1.5)), unit * rng.uniform(0.4, 1.6)
    p.line(path, width, int(rng.integers(70, 130)))
    if rng.random() < 0.6:
        p.line(path, width * 0.6, int(rng.integers(30, 70)))
    if rng.random() < 0.5:
        p.line(path + width * 0.2, max(1.0, width * 0.15), 255)
    if rng.random() < 0.4:
        for x, y in path[-20::6]:
            p.disc((x, y), width * 0.3, 0)
    if rng.random() < 0.25:
        p.ring(tuple(path[-1]), width * 1.6, max(1.0, width * 0.25))
    p.screen(rng.uniform(0.2, 0.8))


def collimator_edges(rng, picture) -> None:
    """The edges of the field: dark outside a rectangle, or a bright bar or step along a side."""
    picture[:] = degrade.collimate(rng, picture) if rng.random() < 0.6 else edges(rng, picture)


KINDS = {
    "beads": beads,
    "necklace": chain,
    "sequins": sequins,
    "zip": zip_fastener,
    "buttons": buttons,
    "ring": finger_ring,
    "ECG clips": ecg_clips,
    "cable tag": cable_tag,
    "cast": cast,
    "detector lines": noise_lines,
    "film scratches": scratches,
    "dust": dust,
    "fingerprint": fingerprint,
    "teeth": teeth,
    "grid lines": grid_lines,
    "tube": soft_tube,
    "collimator edges": collimator_edges,
}
