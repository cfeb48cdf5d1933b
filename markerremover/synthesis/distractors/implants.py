"""Implants as distractors: prostheses of hip and knee, rods of the spine, pacemakers, sternal wires.

Every function takes an image (H, W) float32, 0 to 255, and draws on a part of it, in place. None of it is ever labelled.
"""

from __future__ import annotations

import numpy as np

from ..marks.texts import choice
from ..radiographs.backgrounds import rounded
from .metal import Patch, screw, shine


def hip_stem(rng, picture) -> None:
    """A hip prosthesis: cup, head, neck and a tapering stem, smooth and very bright."""
    p = Patch(rng, picture, angle=rng.normal(0, 0.25) + float(choice(rng, (0, 0, np.pi))))
    s, flip = rng.uniform(0.8, 2.2), float(choice(rng, (-1, 1)))

    def f(points):
        return [(flip * x * s, y * s) for x, y in points]

    if rng.random() < 0.75:
        t = np.linspace(np.pi * 0.95, np.pi * 2.15, 24)
        cup = np.concatenate([np.stack([3.6 * np.cos(t), 3.6 * np.sin(t)], 1), np.stack([2.9 * np.cos(t), 2.9 * np.sin(t)], 1)[::-1]])
        p.poly(f(cup), int(rng.integers(200, 256)))
        if rng.random() < 0.4:
            screw(p, f([(1.5, -3.2)])[0], (flip * 0.4, -1), 4 * s, 0.6 * s)
    p.disc((0, 0), 2.5 * s if rng.random() < 0.8 else 3.4 * s)
    p.poly(f([(0.5, 1.8), (2.2, 1.0), (4.6, 3.4), (3.2, 4.8)]))
    shoulder = rng.uniform(5, 7)
    stem = [
        (2.6, 3.4),
        (4.4, 2.8),
        (shoulder, 5.0),
        (shoulder - 0.3, 8),
        (5.6, 16),
        (5.2, rng.uniform(19, 26)),
        (4.5, 19),
        (3.8, 10),
        (3.0, 6.5),
    ]
    p.poly(rounded(f(stem)))
    if rng.random() < 0.3:
        for y in (9, 13):
            p.ring(f([(4.6, y)])[0], 1.6 * s, 0.12 * s, 230)
    p.screen(rng.uniform(0.9, 1.0), 255.0 if rng.random() < 0.7 else rng.uniform(225, 255), 0.8)


def knee_implant(rng, picture) -> None:
    """Components of a knee prosthesis from the front or the side."""
    p = Patch(rng, picture, angle=rng.normal(0, 0.2) + float(choice(rng, (0, 0, 0, np.pi))))
    s = rng.uniform(0.9, 2.4)

    def f(points):
        return np.asarray(points, np.float64) * s

    if rng.random() < 0.5:  # from the front: two condyles, a tray with a keel
        p.poly(
            rounded(
                f(
                    [
                        (-7, -1),
                        (-7, -5),
                        (-5.5, -6.5),
                        (-1.5, -5),
                        (1.5, -5),
                        (5.5, -6.5),
                        (7, -5),
                        (7, -1),
                        (5.5, 0.2),
                        (2.5, -0.2),
                        (1.2, -2.2),
                        (-1.2, -2.2),
                        (-2.5, -0.2),
                        (-5.5, 0.2),
                    ]
                )
            )
        )
        p.poly(
            f(
                [
                    (-7, 2.2),
                    (7, 2.2),
                    (7, 3.4),
                    (2.4, 3.4),
                    (1.2, 5),
                    (1.0, rng.uniform(8, 14)),
                    (-1.0, 9),
                    (-1.2, 5),
                    (-2.4, 3.4),
                    (-7, 3.4),
                ]
            )
        )
    else:  # from the side: a hook around the femur's end
        t = np.linspace(-0.6, np.pi + 0.2, 26)
        outer, inner = np.stack([5.5 * np.cos(t), 4.5 * np.sin(t)], 1), np.stack([3.8 * np.cos(t), 3.0 * np.sin(t) - 0.4], 1)
        p.poly(f(np.concatenate([outer, inner[::-1]]) + (0, -4)))
        p.poly(f([(3.6, -7), (5.6, -6), (5.4, -12), (4.6, -12.4)]))
        if rng.random() < 0.6:
            p.poly(f([(-0.8, -2.5), (0.8, -2.5), (0.5, -6), (-0.5, -6)]))
        p.poly(f([(-5.5, 2.2), (5.5, 2.2), (5.5, 3.4), (1.8, 3.4), (0.9, rng.uniform(7, 12)), (-0.9, 7), (-1.8, 3.4), (-5.5, 3.4)]))
    if rng.random() < 0.3:
        p.ring((0, -14 * s), 1.8 * s, 0.3 * s, 160)
    p.screen(rng.uniform(0.9, 1.0), 255.0 if rng.random() < 0.7 else rng.uniform(225, 255), 0.8)


def spine_rods(rng, picture) -> None:
    """Two rods with pairs of screws."""
    p = Patch(rng, picture, angle=np.pi / 2 + rng.normal(0, 0.1))
    half_distance, half, step = rng.uniform(1.5, 3), rng.uniform(6, 18), rng.uniform(3.5, 6)
    for side in (-1, 1):
        p.line([(-half, side * half_distance), (0, side * half_distance * 1.1), (half, side * half_distance)], rng.uniform(0.5, 1.0))
        for x in np.arange(-half + 1, half, step):
            screw(
                p,
                (x + rng.normal(0, 0.2), side * half_distance),
                (rng.normal(0, 0.2), side * float(choice(rng, (1, -0.8)))),
                rng.uniform(2.5, 4.5),
                rng.uniform(0.6, 1.0),
            )
            p.disc((x, side * half_distance), 0.8)
    p.screen(rng.uniform(0.8, 1.0))


def pacemaker(rng, picture) -> None:
    """A pacemaker with its leads, a port or a stimulator: a rounded case with parts inside."""
    p = Patch(rng, picture)
    w, h = rng.uniform(3, 6), rng.uniform(2.5, 5)
    t = np.linspace(0, 2 * np.pi, 40)
    power = rng.uniform(0.5, 1.0)
    case = np.stack([w * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** power, h * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** power], 1)
    p.poly(case, int(rng.integers(110, 220)))
    p.line(case, 0.25, 240)
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(-0.6, 0.3) * w, rng.uniform(-0.6, 0.3) * h
        if rng.random() < 0.6:
            p.poly(
                [(x, y), (x + rng.uniform(0.5, 2.5), y), (x + rng.uniform(0.5, 2.5), y + 1.5), (x, y + 1.5)], int(rng.integers(190, 256))
            )
        else:
            p.disc((x, y), rng.uniform(0.3, 1.0), int(choice(rng, (60, 255))))
    x, y = 0.0, -h
    for _ in range(int(rng.integers(1, 3))):
        steps = np.cumsum(rng.normal(0, 2.5, (6, 2)) + rng.normal(0, 4, 2), 0) + (x, y)
        q = np.concatenate([[(x, y)], steps])
        for _ in range(3):
            a, b = q[:-1], q[1:]
            q = np.concatenate([q[:1], np.stack([a * 0.75 + b * 0.25, a * 0.25 + b * 0.75], 1).reshape(-1, 2), q[-1:]])
        p.line(q, rng.uniform(0.15, 0.35), int(rng.integers(150, 240)))
        p.line(q[-4:], 0.45, 255)
    p.screen(rng.uniform(0.6, 1.0))


def sternal_wires(rng, picture) -> None:
    """Wires around the sternum, one below the other, each a loop with a twist."""
    h, w = picture.shape
    p = Patch(rng, picture, (w * rng.uniform(0.35, 0.65), h * rng.uniform(0.15, 0.3)), rng.normal(0, 0.05))
    pitch, r, t = rng.uniform(4, 7), rng.uniform(1.0, 2.0), rng.uniform(0.15, 0.3)
    for k in range(int(rng.integers(4, 8))):
        x, y, a = rng.normal(0, 0.3), k * pitch, rng.normal(0, 0.3)
        angle = np.linspace(0, 2 * np.pi, 22)
        loop = np.stack([r * np.cos(angle), rng.uniform(0.5, 0.9) * r * np.sin(angle)], 1)
        c, s = np.cos(a), np.sin(a)
        p.line(loop @ np.array([[c, s], [-s, c]]) + (x, y), t)
        z = np.linspace(-0.6, 0.6, 7)
        p.line(np.stack([x + z, y + 0.25 * np.where(np.arange(7) % 2, 1, -1)], 1), t)
    opacity, level = shine(rng)
    p.screen(opacity, level, 0.5)


KINDS = {
    "hip stem": hip_stem,
    "knee implant": knee_implant,
    "spine rods": spine_rods,
    "pacemaker": pacemaker,
    "sternal wires": sternal_wires,
}
