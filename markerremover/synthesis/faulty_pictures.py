"""Pictures as archives hold them beside good films: blank, cut off, burned out, turned, blurred, pages of text, photographs.

Films are (H, W) uint8, 0 black; results are new arrays of the same kind, or (H, W, 3) RGB where they say so. Everything random comes
from `rng`.
"""

from __future__ import annotations

import cv2
import numpy as np

from .marks import fonts, texts
from .marks.texts import choice
from .radiographs import degrade

SPLIT = "eval"


def blank(rng: np.random.Generator, shape_hw: tuple[int, int], bits: int = 8) -> np.ndarray:
    """An exposure without a patient: one level, some grain, often a slight fall-off; uint8, or uint16 with `bits` above 8."""
    top = (1 << bits) - 1
    level = float(choice(rng, (0.0, top, rng.uniform(0.05, 0.95) * top)))
    picture = np.full(shape_hw, level, np.float32)
    if rng.random() < 0.6:
        picture += rng.normal(0, rng.uniform(0.3, 2.0) * top / 255, shape_hw)
    return np.clip(np.round(picture), 0, top).astype(np.uint8 if bits <= 8 else np.uint16)


def noise(rng: np.random.Generator, shape_hw: tuple[int, int]) -> np.ndarray:
    """Grain over the whole range and nothing else: a detector that was read out without an exposure, stretched by its console."""
    picture = rng.normal(0, 1, shape_hw).astype(np.float32)
    if rng.random() < 0.5:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 1.5)), np.float32)
    return np.clip(rng.uniform(90, 160) + picture / picture.std() * rng.uniform(25, 60), 0, 255).astype(np.uint8)


def half_empty(rng: np.random.Generator, film: np.ndarray) -> np.ndarray:
    """A film whose transfer broke off: from one line on there is one grey level, or the last line again and again."""
    turns, share = int(rng.integers(0, 4)), rng.uniform(0.38, 0.7)
    picture = np.rot90(film, turns).copy()
    start = round(len(picture) * (1 - share))
    picture[start:] = picture[start - 1] if rng.random() < 0.25 else int(choice(rng, (0, 0, 128, 255)))
    return np.ascontiguousarray(np.rot90(picture, -turns))


def saturated(rng: np.random.Generator, film: np.ndarray) -> np.ndarray:
    """A film that is burned out: everything but the darkest third is white."""
    low, high = np.percentile(film[film > 12], (2, rng.uniform(25, 45))) if (film > 12).any() else (0, 255)
    return np.clip((film.astype(np.float32) - low) * 255 / max(25.0, high - low), 0, 255).astype(np.uint8)


def inverted(film: np.ndarray) -> np.ndarray:
    """Bone dark, air bright."""
    return 255 - film


def upside_down(rng: np.random.Generator, film: np.ndarray) -> np.ndarray:
    """The head below: turned by half a turn, or flipped."""
    return np.ascontiguousarray(film[::-1, ::-1] if rng.random() < 0.5 else film[::-1])


def mirrored(film: np.ndarray) -> np.ndarray:
    """Seen from behind, with its markers."""
    return np.ascontiguousarray(film[:, ::-1])


def blurred(rng: np.random.Generator, film: np.ndarray) -> np.ndarray:
    """A patient who moved, or a film out of focus in its digitizer: blur of 0.7 to 1.5 % of the longer side, in one or all directions."""
    length = rng.uniform(0.007, 0.015) * max(film.shape)
    if rng.random() < 0.7:
        return cv2.GaussianBlur(film, (0, 0), length)
    size = int(6 * length) | 1
    path = np.zeros((size, size), np.float32)
    angle = rng.uniform(0, np.pi)
    step = np.array([np.cos(angle), np.sin(angle)]) * 2 * length
    ends = [tuple(int(v) for v in np.round(size // 2 + sign * step)) for sign in (-1, 1)]
    cv2.line(path, ends[0], ends[1], 1.0, 1, cv2.LINE_AA)
    return cv2.GaussianBlur(cv2.filter2D(film, -1, path / path.sum()), (0, 0), 0.5 * length)


def tiny(rng: np.random.Generator, film: np.ndarray) -> np.ndarray:
    """A thumbnail."""
    scale = rng.uniform(40, 150) / max(film.shape)
    return cv2.resize(film, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def near_copy(rng: np.random.Generator, film: np.ndarray) -> np.ndarray:
    """The same film as another program exported it: other size, window or compression, or an annotation more."""
    picture = film.copy()
    kind = int(rng.integers(0, 4))
    if kind == 0:
        picture = cv2.resize(picture, None, fx=(scale := rng.uniform(0.5, 0.9)), fy=scale, interpolation=cv2.INTER_AREA)
    elif kind == 1:
        gain, offset = rng.uniform(0.85, 1.1), rng.uniform(-8, 12)
        picture = np.clip(picture.astype(np.float32) * gain + offset, 0, 255).astype(np.uint8)
    elif kind == 2:
        alpha = fonts.render(texts.initials(rng, SPLIT), choice(rng, fonts.font_files(SPLIT)), 0.03 * max(film.shape))
        h, w = (min(a, b) for a, b in zip(alpha.shape, picture.shape))
        part = picture[8 : 8 + h, 8 : 8 + w]
        part[:] = np.maximum(part, (alpha[: part.shape[0], : part.shape[1]] * 255).astype(np.uint8))
    return degrade.jpeg(rng, picture)


def page(rng: np.random.Generator, shape_hw: tuple[int, int] = (1400, 1000)) -> np.ndarray:
    """A scanned report or request form of an invented patient; in a fifth of the cases bright on dark, as consoles send them."""
    h, w = shape_hw
    ink = np.zeros(shape_hw, np.float32)
    face, cap = choice(rng, fonts.font_files(SPLIT)), h * rng.uniform(0.0085, 0.014)
    patient = texts.identity(rng, SPLIT)
    margin = round(w * rng.uniform(0.06, 0.12))
    y, end = round(h * rng.uniform(0.05, 0.1)), round(h * rng.uniform(0.7, 0.95))
    if rng.random() < 0.5:
        cv2.rectangle(ink, (margin // 2, y // 2), (w - margin // 2, round(h * 0.97)), 1.0, 2)
    while y < end:
        x = margin
        while x < w - margin - 12 * cap:
            word = fonts.render(texts.header_line(rng, SPLIT, patient), face, cap)
            wh, ww = word.shape
            if x + ww > w - margin // 2 or y + wh > h:
                break
            ink[y : y + wh, x : x + ww] = np.maximum(ink[y : y + wh, x : x + ww], word)
            x += ww + round(2 * cap)
            if rng.random() < 0.3:
                break
        y += round(cap * rng.uniform(2.0, 2.8))
    turn = cv2.getRotationMatrix2D((w / 2, h / 2), rng.normal(0, 0.7), 1.0)
    ink = np.asarray(cv2.warpAffine(ink, turn, (w, h)), np.float32)
    paper = rng.uniform(225, 252) - ink * rng.uniform(150, 215)
    paper += rng.normal(0, rng.uniform(0.3, 3), shape_hw)
    result = np.clip(paper, 0, 255).astype(np.uint8)
    return 255 - result if rng.random() < 0.2 else result


def photograph(rng: np.random.Generator, shape_hw: tuple[int, int] = (600, 800)) -> np.ndarray:
    """A colour photograph of things on a table: (H, W, 3) RGB."""
    h, w = shape_hw
    y, x = np.mgrid[0:h, 0:w].astype(np.float32) / max(h, w)
    walls = rng.uniform(40, 220, (2, 3))
    scene = walls[0] + (walls[1] - walls[0]) * (y / y.max())[..., None]
    for _ in range(int(rng.integers(6, 16))):
        colour = tuple(float(v) for v in rng.uniform(10, 245, 3))
        centre = int(rng.uniform(0, w)), int(rng.uniform(0, h))
        axes = int(rng.uniform(0.04, 0.25) * w), int(rng.uniform(0.04, 0.25) * h)
        thing = np.ascontiguousarray(scene.astype(np.float32))
        if rng.random() < 0.5:
            cv2.ellipse(thing, centre, axes, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(thing, centre, (centre[0] + axes[0], centre[1] + axes[1]), colour, -1)
        scene = thing
    light = 1.15 - 0.6 * np.hypot(x - rng.uniform(0, 1), y - rng.uniform(0, 0.7))
    scene = cv2.GaussianBlur(scene.astype(np.float32) * light[..., None], (0, 0), 1.2) + rng.normal(0, 4, (h, w, 3))
    return np.clip(scene, 0, 255).astype(np.uint8)


def screen(rng: np.random.Generator, film: np.ndarray, shape_hw: tuple[int, int] = (768, 1024)) -> np.ndarray:
    """A telephone's photograph of a film on a monitor: bezel in perspective, pixels of three colours, cast, reflection; (H, W, 3) RGB."""
    h, w = shape_hw
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    surround = np.array((70, 62, 55), np.float32) * rng.uniform(0.4, 1.6)
    corners = np.array([(0.08, 0.1), (0.92, 0.1), (0.92, 0.9), (0.08, 0.9)], np.float32) * (w, h) + rng.normal(0, 0.02, (4, 2)) * (w, h)
    fh, fw = film.shape
    source = np.array([(0, 0), (fw, 0), (fw, fh), (0, fh)], np.float32)
    shown = cv2.warpPerspective(film, cv2.getPerspectiveTransform(source, corners.astype(np.float32)), (w, h), flags=cv2.INTER_AREA).astype(np.float32)
    inside = np.zeros(shape_hw, np.uint8)
    cv2.fillConvexPoly(inside, np.round(corners).astype(np.int32), 1)
    bezel = cv2.dilate(inside, np.ones((31, 31), np.uint8))
    pitch, angle = rng.uniform(2.6, 6.0), rng.uniform(0.05, 0.45)
    across, along = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    rows = 1 + rng.uniform(0.15, 0.35) * np.cos(2 * np.pi * along / pitch)
    cast = np.array((0.86, 0.96, 1.08)) * rng.uniform(0.95, 1.05, 3)
    colours = np.stack([
        shown * cast[k] * rows * (1 + rng.uniform(0.15, 0.35) * np.cos(2 * np.pi * (across / pitch + k / 3))) for k in range(3)
    ], -1)
    photo = np.where(inside[..., None] > 0, colours, np.where(bezel[..., None] > 0, 12.0, surround))
    glow = np.exp(-((x - rng.uniform(0, w)) ** 2 + (y - rng.uniform(0, h)) ** 2) / (2 * (0.25 * w) ** 2))
    photo = photo + glow[..., None] * np.array((48, 38, 22)) + rng.normal(0, 3, (h, w, 3))
    photo = photo * (1.05 - 0.35 * np.hypot(x / w - 0.5, y / h - 0.5))[..., None]
    return np.clip(photo, 0, 255).astype(np.uint8)
