"""Strokes around a detected box: flat-field, Otsu threshold, connected components, and which pixels are a sign's own.

Two frames: *source* pixels, and a *work* frame, the box with its surroundings scaled so that the box's shorter side is
about `WORK_SIDE` pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Iterator

import cv2
import numpy as np

WORK_SIDE = 64  # work pixels along the box's shorter side: a letter is then 40-90 high
SCALE_RANGE = (0.05, 4.0)  # work pixels a source pixel
LARGEST_WORK = 700  # a longer crop (a very long text line) is shrunk to this
CONTEXT = 1.1  # how far to look around the box, in its shorter sides
MOST, LEAST_SIZE = 3, 0.5  # how many components of a box are tried, and how large, as a share of the largest
LEAST_ENERGY = 0.1  # strokes of a polarity weaker than this share of the other's are not looked at
FLOOR = 6  # grey levels of contrast below which nothing counts as a stroke
SMALLEST_BOX = 3  # source pixels; nothing can be read in less
THRESHOLDS = (1.0, 1.35, 0.75, 1.7)  # of Otsu's: higher parts a letter from initials that touch it, lower finds faint ones
NECKS = (0.6,)  # of a component's greatest stroke width: thinner joints are cut
BRIDGE = 0.14  # of the box's shorter side: gaps up to this are closed in stencil letters
EDGE_PX, EDGE_SHARE = 2.0, 0.05  # a stroke's soft edge: source pixels, or this share of the letter if that is more
HALO = 0.16  # what stays around a ring, as a share of the letter: many are drawn with a dark rim
PLATE = 0.5  # how much of a plate stays around a cut-out letter, as a share of the letter
SHELL = (0.05, 0.14)  # how far around a cut-out letter the plate is looked for, as shares of the letter
SURROUNDED = 0.85  # share of the shell around a dark letter that must be as bright as a plate


@dataclass(frozen=True)
class View:
    """A box with its surroundings.

    grey: (h, w) uint8, work frame.  scale: work pixels a source pixel.  window, box: integer source xyxy of the crop and
    of the box in it.  inner: (4,) float work xyxy of the box.
    """

    grey: np.ndarray
    scale: float
    window: tuple[int, int, int, int]
    box: tuple[int, int, int, int]
    inner: np.ndarray


@dataclass(frozen=True)
class Ink:
    """Strokes of one polarity at one threshold.

    labels: (h, w) int32 of 8-connected components, 0 is background.  stats: (n, 5) x, y, w, h, area of each.
    hat: (h, w) uint8 flat-fielded image, strokes bright.  dark: whether the strokes are darker than what is around.
    """

    labels: np.ndarray
    stats: np.ndarray
    hat: np.ndarray
    dark: bool

    @classmethod
    def of(cls, mask: np.ndarray, hat: np.ndarray, dark: bool) -> "Ink":
        """The components of a (h, w) bool mask."""
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
        return cls(labels, stats, hat, dark)

    def shape(self, index: int) -> np.ndarray:
        """(h, w) bool: one component, tight."""
        x, y, w, h, _ = self.stats[index]
        return self.labels[y : y + h, x : x + w] == index

    @cached_property
    def rings(self) -> frozenset[int]:
        """Labels of components with another, not tiny one inside their bounding box."""
        x, y, w, h = self.stats[1:, :4].T.astype(int)
        inside = (x[None] > x[:, None]) & (y[None] > y[:, None]) & ((x + w)[None] < (x + w)[:, None]) & ((y + h)[None] < (y + h)[:, None])
        big = np.maximum(w, h)[None] > 0.2 * np.maximum(w, h)[:, None]
        return frozenset(int(i) + 1 for i in np.flatnonzero((inside & big).any(axis=1)))


def look(frame: np.ndarray, xyxy: np.ndarray) -> View | tuple[int, int, int, int]:
    """The box and its surroundings in the work frame; only its integer box, cut to the image, where there is nothing
    to look at (too small, outside, flat, not a number)."""
    h, w = frame.shape
    box = np.asarray(xyxy, np.float64)
    if not np.isfinite(box).all():
        return (0, 0, 0, 0)
    x1, y1 = (int(np.clip(np.floor(v), 0, limit)) for v, limit in zip(box[:2], (w, h)))
    x2, y2 = (int(np.clip(np.ceil(v), 0, limit)) for v, limit in zip(box[2:], (w, h)))
    x2, y2 = max(x1, x2), max(y1, y2)
    short = min(x2 - x1, y2 - y1)
    if short < SMALLEST_BOX:
        return (x1, y1, x2, y2)
    pad = int(np.ceil(CONTEXT * short)) + 3
    X1, Y1, X2, Y2 = max(0, x1 - pad), max(0, y1 - pad), min(w, x2 + pad), min(h, y2 + pad)
    crop = frame[Y1:Y2, X1:X2]
    if int(crop.max()) - int(crop.min()) <= FLOOR:
        return (x1, y1, x2, y2)
    scale = min(float(np.clip(WORK_SIDE / short, *SCALE_RANGE)), LARGEST_WORK / max(X2 - X1, Y2 - Y1))
    size = max(4, round((X2 - X1) * scale)), max(4, round((Y2 - Y1) * scale))
    grey = cv2.resize(crop, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    inner = np.array([x1 - X1, y1 - Y1, x2 - X1, y2 - Y1], np.float64) * scale
    return View(grey, scale, (X1, Y1, X2, Y2), (x1, y1, x2, y2), inner)


def inks(view: View) -> Iterator[list[Ink]]:
    """Strokes by polarity, the stronger first; of each, one Ink a threshold, in the order of `THRESHOLDS`."""
    x1, y1, x2, y2 = np.round(view.inner).astype(int)
    grey = cv2.GaussianBlur(view.grey, (3, 3), 0)
    side = int(max(9, 0.9 * min(x2 - x1, y2 - y1))) | 1
    kernel = np.ones((side, side), np.uint8)
    hats = [(cv2.morphologyEx(grey, op, kernel), dark) for op, dark in ((cv2.MORPH_TOPHAT, False), (cv2.MORPH_BLACKHAT, True))]
    energy = [float(np.square(hat[y1:y2, x1:x2].astype(np.float32)).sum()) for hat, _ in hats]
    for rank in np.argsort(energy)[::-1]:
        hat, dark = hats[rank]
        if energy[rank] < LEAST_ENERGY * max(energy):
            return
        otsu, _ = cv2.threshold(np.ascontiguousarray(hat[y1:y2, x1:x2]).reshape(1, -1), 0, 255, cv2.THRESH_OTSU)
        yield [Ink.of(hat > max(otsu * share, FLOOR), hat, dark) for share in THRESHOLDS]


def parted(view: View, ink: Ink) -> Iterator[Ink]:
    """`ink` with its largest component opened by more and more, so that what hangs on by a thinner stroke or neck becomes
    a component of its own; for dark ink also with small gaps closed: the bridges of stencil letters."""
    order = inside(view, ink)
    if not order:
        return
    mask = ink.labels == order[0]
    width = 2 * float(cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 5).max())
    for share in NECKS:
        size = int(share * width) | 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel) > 0
        yield Ink.of((ink.labels > 0) & ~mask | opened, ink.hat, ink.dark)
    if ink.dark:
        size = max(3, round(BRIDGE * min(view.inner[2] - view.inner[0], view.inner[3] - view.inner[1]))) | 1
        closed = cv2.morphologyEx((ink.labels > 0).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((size, size), np.uint8))
        yield Ink.of(closed > 0, ink.hat, ink.dark)


def inside(view: View, ink: Ink) -> list[int]:
    """Labels of the components that lie in the box (with a little slack), the largest first."""
    x1, y1, x2, y2 = view.inner
    slack = 0.15 * min(x2 - x1, y2 - y1) + 2 * view.scale
    x, y, w, h, _ = ink.stats.T
    fits = (x >= x1 - slack) & (y >= y1 - slack) & (x + w <= x2 + slack) & (y + h <= y2 + slack)
    fits[0] = False
    return [int(i) for i in sorted(np.flatnonzero(fits), key=lambda i: -int(w[i]) * int(h[i]))]


def largest(view: View, ink: Ink) -> list[tuple[int, int]]:
    """The largest components of the box, the largest first, as (label, 0); where that is a ring around another, only
    (label of what it encloses, label of the ring)."""
    order = [i for i in inside(view, ink) if max(ink.stats[i, 2:4]) >= 5][:MOST]
    if not order:
        return []
    ring = order[0]
    x, y, w, h, _ = ink.stats[ring]
    for i in order[1:] if ring in ink.rings else []:
        a, b, c, d, _ = ink.stats[i]
        if a > x and b > y and a + c < x + w and b + d < y + h and (d >= 0.3 * h or c >= 0.3 * w):
            outline, letter = ink.shape(ring), ink.labels[y : y + h, x : x + w] == i
            full = filled(outline)
            if (full & letter).sum() > 0.95 * letter.sum() and outline.sum() < 0.6 * full.sum():
                return [(i, ring)]
    size = LEAST_SIZE * max(ink.stats[ring, 2:4])
    return [(i, 0) for i in order if max(ink.stats[i, 2:4]) >= size]


def filled(mask: np.ndarray) -> np.ndarray:
    """`mask` (H, W) bool with its holes filled, as a new array."""
    outline, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros(mask.shape, np.uint8), outline, -1, 1, cv2.FILLED) > 0


def distance(mask: np.ndarray) -> np.ndarray:
    """(H, W) float32 distance of every pixel to the nearest set one of `mask`; huge everywhere if none is set."""
    if not mask.any():
        return np.full(mask.shape, np.float32(1e9))
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)


def on_plate(view: View, ink: Ink, index: int) -> bool:
    """Whether a dark component is cut out of something bright: bright all around, not just between bright strokes."""
    x, y, w, h, _ = ink.stats[index]
    rim = int(np.ceil(SHELL[1] * max(w, h))) + 1
    part = np.s_[max(0, y - rim) : y + h + rim, max(0, x - rim) : x + w + rim]
    letter, grey = ink.labels[part] == index, view.grey[part]
    away = distance(letter)
    shell = (away > SHELL[0] * max(w, h)) & (away < SHELL[1] * max(w, h))
    if not shell.any():
        return False
    middle = (float(np.median(grey[letter])) + float(np.percentile(grey[shell], 60))) / 2
    return float((grey[shell] > middle).mean()) >= SURROUNDED


def own_pixels(view: View, ink: Ink, letters: tuple[int, ...], frame: int, low: Ink) -> np.ndarray:
    """(h, w) bool work frame: what stays if the sign is kept.

    The letters with their soft edge; the ring with all inside it and its rim; the plate next to a cut-out letter. Every
    pixel that is nearer to a stroke which is not part of the sign goes.

    Args:
        letters: labels in `ink` of the sign's letters.  frame: label of the ring around them, or 0.
        low: the strokes of the same polarity at Otsu's threshold, for neighbours that `ink` is too strict to show.
    """
    sign = np.isin(ink.labels, letters)
    size = float(max(max(ink.stats[i, 2:4]) for i in letters))
    edge = max(EDGE_PX * view.scale, EDGE_SHARE * size)
    away = distance(sign)
    allowed = away <= edge
    home = sign
    if frame:
        home = sign | filled(ink.labels == frame)
        x, y, w, h, _ = ink.stats[frame]
        rim = int(np.ceil(max(edge, HALO * size)))
        allowed[max(0, y - rim) : y + h + rim, max(0, x - rim) : x + w + rim] = True
    elif ink.dark:
        allowed |= away <= PLATE * size
    if home is not sign or ink.dark:
        away = distance(home)
    others = np.zeros(sign.shape, bool)
    for each in (ink, low):
        touched = np.unique(each.labels[home])
        others |= (each.labels > 0) & ~np.isin(each.labels, touched)
    others |= (ink.labels > 0) & ~home
    if frame:
        others |= (ink.labels > 0) & home & ~np.isin(ink.labels, (*letters, frame))
    return allowed & (away < distance(others))


def to_source(view: View, mask: np.ndarray) -> tuple[tuple[int, int, int, int], np.ndarray]:
    """A work-frame mask as (integer source xyxy that covers it and the box, bool mask in that crop frame)."""
    X1, Y1, X2, Y2 = view.window
    method = cv2.INTER_AREA if view.scale > 1 else cv2.INTER_LINEAR
    there = cv2.resize(mask.astype(np.float32), (X2 - X1, Y2 - Y1), interpolation=method) > 0.4
    x1, y1, x2, y2 = view.box
    if there.any():
        rows, columns = np.flatnonzero(there.any(1)), np.flatnonzero(there.any(0))
        x1, x2 = min(x1, X1 + int(columns[0])), max(x2, X1 + int(columns[-1]) + 1)
        y1, y2 = min(y1, Y1 + int(rows[0])), max(y2, Y1 + int(rows[-1]) + 1)
    return (x1, y1, x2, y2), there[y1 - Y1 : y2 - Y1, x1 - X1 : x2 - X1].copy()
