"""Composed images: a radiograph in a black, grey or white frame, as in figures and viewers, and two side by side.

Images are (H, W) float32, 0 to 255; zones are (x1, y1, x2, y2) strips of the frame for captions, in pixels, maxima exclusive.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..marks.texts import choice

Zone = tuple[int, int, int, int]
NARROW = 14  # minimum height, in pixels, of a strip of the frame that holds a caption


def framed(rng: np.random.Generator, picture: np.ndarray) -> tuple[np.ndarray, tuple[Zone, ...]]:
    """The image, made smaller, inside a frame, as a new array of the same shape, and the zones for captions."""
    h, w = picture.shape
    margins = rng.uniform(0, 0.11, 4) * (rng.random(4) < 0.7)  # top, bottom, left, right
    if not margins.any():
        margins[1] = rng.uniform(0.03, 0.1)
    top, bottom, left, right = (int(m * n) for m, n in zip(margins, (h, h, w, w)))
    out = np.full((h, w), _paper(rng), np.float32)
    inner = h - top - bottom, w - left - right
    out[top : top + inner[0], left : left + inner[1]] = cv2.resize(picture, inner[::-1], interpolation=cv2.INTER_AREA)
    if rng.random() < 0.3:
        cv2.rectangle(
            out, (left, top), (left + inner[1] - 1, top + inner[0] - 1), float(choice(rng, (0, 255, 128))), int(rng.integers(1, 4))
        )
    strips = (0, 0, w, top), (0, h - bottom, w, h)
    return out, tuple(z for z in strips if z[3] - z[1] >= NARROW)


def side_by_side(rng: np.random.Generator, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, tuple[Zone, ...]]:
    """Two images beside or above each other with a gap, as a new array of the shape of the first, perhaps with a strip below, which is then
    the zone for captions."""
    h, w = first.shape
    paper = _paper(rng)
    strip = int(rng.uniform(0.03, 0.09) * h) if rng.random() < 0.5 else 0
    gap = int(rng.uniform(0, 0.025) * w)
    out = np.full((h, w), paper, np.float32)
    body = h - strip
    across = rng.random() < 0.8
    cut = int((w if across else body) * rng.uniform(0.4, 0.6))
    places = ((0, 0, cut - gap, body), (cut, 0, w, body)) if across else ((0, 0, w, cut - gap), (0, cut, w, body))
    for picture, (x1, y1, x2, y2) in zip((first, second), places):
        ph, pw = picture.shape
        f = max((y2 - y1) / ph, (x2 - x1) / pw)
        cw, ch = min(pw, round((x2 - x1) / f)), min(ph, round((y2 - y1) / f))
        x, y = int(rng.integers(0, pw - cw + 1)), int(rng.integers(0, ph - ch + 1))
        out[y1:y2, x1:x2] = cv2.resize(picture[y : y + ch, x : x + cw], (x2 - x1, y2 - y1), interpolation=cv2.INTER_AREA)
    return out, (((0, body, w, h),) if strip >= NARROW else ())


def _paper(rng) -> float:
    return float(choice(rng, (0, 0, 0, 255, 255, rng.uniform(20, 235))))
