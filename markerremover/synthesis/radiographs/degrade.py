"""Effects of detector, processing and storage. Images are (H, W) float32, 0 to 255, unless stated otherwise; results are new arrays."""

from __future__ import annotations

import cv2
import numpy as np

from ..marks.texts import choice


def window(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """A random gamma, level and width, applied as one look-up table over 0 to 255."""
    x = np.linspace(0, 1, 256)
    y = x ** np.exp(rng.normal(0, 0.3))
    low, high = rng.uniform(-0.05, 0.12), rng.uniform(0.8, 1.15)
    y = np.clip((y - low) / (high - low), 0, 1)
    floor, ceiling = (rng.uniform(0, 30), rng.uniform(170, 255)) if rng.random() < 0.3 else (0, 255)
    return cv2.LUT(np.clip(picture, 0, 255).astype(np.uint8), (floor + y * (ceiling - floor)).astype(np.uint8)).astype(np.float32)


def collimate(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Darken everything outside a (turned) rectangle, like a collimator; the edge is soft."""
    h, w = picture.shape
    size = rng.uniform(0.72, 1.02, 2) * (w, h)
    center = np.array([w / 2, h / 2]) + rng.normal(0, 0.03, 2) * (w, h)
    angle = 0.0 if rng.random() < 0.5 else rng.normal(0, 5)
    mask = np.zeros((h, w), np.uint8)
    field = cv2.boxPoints((tuple(map(float, center)), tuple(map(float, size)), angle))
    cv2.fillPoly(mask, [np.round(field * 8).astype(np.int32)], 255, cv2.LINE_AA, 3)
    open_ = cv2.blur(mask, (3, 3)).astype(np.float32) / 255
    leak = rng.uniform(0, 0.25) if rng.random() < 0.5 else 0.0
    return picture * (open_ + (1 - open_) * leak)


def border(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """A black, grey or white margin on some sides."""
    out, (h, w) = picture.copy(), picture.shape
    value = float(choice(rng, (0, 0, 0, rng.uniform(10, 90), 255)))
    for side in range(4):
        if rng.random() < 0.4:
            t = int(rng.uniform(0.005, 0.12) * (h if side < 2 else w))
            strip = (out[:t], out[h - t:], out[:, :t], out[:, w - t:])[side]
            strip[:] = value
    return out


def grain(rng: np.random.Generator, picture: np.ndarray, sigma: float) -> np.ndarray:
    """Add Gaussian noise of standard deviation `sigma` grey levels (a quarter of it is drawn, then repeated as 2 x 2 tiles, for speed)."""
    h, w = picture.shape
    noise = sigma * rng.standard_normal(((h + 1) // 2, (w + 1) // 2), np.float32)
    return picture + np.tile(noise, (2, 2))[:h, :w]


def soften(rng: np.random.Generator, picture: np.ndarray, longest: int = 700) -> np.ndarray:
    """Blur by resampling down and up, never below `longest` pixels on the longer side."""
    h, w = picture.shape
    f = max(rng.uniform(0.5, 0.95), min(1.0, longest / max(h, w)))
    small = cv2.resize(picture, None, fx=f, fy=f, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR if rng.random() < 0.5 else cv2.INTER_CUBIC)


def jpeg(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """(H, W) uint8 compressed as JPEG of a quality from 50 to 98 and decoded."""
    decoded = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 99))])[1], cv2.IMREAD_GRAYSCALE)
    assert decoded is not None, "OpenCV decodes what it encoded"
    return decoded
