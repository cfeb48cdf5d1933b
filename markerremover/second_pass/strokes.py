"""Strokes around a detected box: flat-field, Otsu threshold, connected components, and how they are parted.

Two frames: *source* pixels, and a *work* frame, the box with its surroundings scaled so that the box's shorter side is
about `WORK_SIDE` pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from .glyphs import padded
from .view import COARSE_SIDE, FLOOR, View

MOST, LEAST_SIZE = 3, 0.5  # how many components of a box are tried, and how large, as a share of the largest
LEAST_ENERGY = 0.1  # strokes of a polarity weaker than this share of the other's are not looked at, unless
LEAST_CONTRAST = 0.6  # they are bright and stand out by this share of what the dark ones do: a letter on a large disc
COARSE_KERNEL = 1.5  # letters of a coarse view: side of the flat-field's window
THRESHOLDS = (1.0, 1.35, 0.75, 1.7)  # of Otsu's: higher parts a letter from initials that touch it, lower finds faint ones
NECK = 0.6  # of a component's greatest stroke width: thinner joints are cut
APPENDIX = 0.06  # of a letter's size: larger parts on thin joints are something else
BRIDGE = 0.45  # of a stencil letter's width: its halves are at most this far apart
EDGE_PX, EDGE_SHARE = 2.0, 0.05  # a stroke's soft edge: source pixels, or this share of the letter if that is more
RING_WIDTH = 0.5  # of the distance from a ring's outline to its middle: a wider one is no ring
SHELL = (0.05, 0.14)  # how far around a cut-out letter the plate is looked for, as shares of the letter
SURROUNDED = 0.9  # share of the shell around a dark letter that must be as bright as a plate


@dataclass(frozen=True)
class Ink:
    """Strokes of one polarity at one threshold.

    labels: (h, w) integers of 8-connected components, 0 is background.  stats: (n, 5) x, y, w, h, area of each.
    hat: (h, w) uint8 flat-fielded image, strokes bright.  dark: whether the strokes are darker than what is around.
    """

    labels: np.ndarray
    stats: np.ndarray
    hat: np.ndarray
    dark: bool

    @classmethod
    def of(cls, mask: np.ndarray, hat: np.ndarray, dark: bool) -> Ink:
        """The components of a (h, w) bool mask."""
        narrow = mask.size // 4 < 2**16  # that many components there are at most, and 16 bits are counted in two thirds of the time
        kind = cv2.CV_16U if narrow else cv2.CV_32S
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8, ltype=kind)
        return cls(labels, stats, hat, dark)

    def mask(self, indices: Iterable[int]) -> np.ndarray:
        """(h, w) bool: several components."""
        return picked(self.labels, indices)

    @cached_property
    def slope(self) -> np.ndarray:
        """(h, w) uint8: how steep the flat-fielded image is."""
        return cv2.morphologyEx(self.hat, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))

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


def picked(labels: np.ndarray, indices: Iterable[int]) -> np.ndarray:
    """Bool, shape of `labels` (integers, none negative): where one of some labels stands. As `np.isin`, several times faster."""
    table = np.zeros(int(labels.max(initial=0)) + 1, bool)
    indices = np.asarray(indices if isinstance(indices, np.ndarray) else list(indices), np.intp)
    table[indices[indices < len(table)]] = True
    return table[labels]


def percentile(values: np.ndarray, percent: float) -> float:
    """As `np.percentile`, which takes ten times as long to begin with; nan for no values."""
    if not values.size:
        return float("nan")
    place = (values.size - 1) * (percent / 100)
    low, share = int(place), place - int(place)
    if values.dtype == np.uint8:
        below = np.cumsum(np.bincount(values.ravel(), minlength=256))
        a, b = (float(np.searchsorted(below, min(k, values.size - 1), side="right")) for k in (low, low + 1))
    else:
        values = np.sort(values, axis=None)
        a, b = float(values[low]), float(values[min(low + 1, values.size - 1)])
    return b - (b - a) * (1 - share) if share >= 0.5 else a + (b - a) * share


def coarse_ink(view: View, dark: bool, kernel: float = COARSE_KERNEL) -> Ink:
    """The strokes of one polarity in a coarse view, letters several times as large as the box's included; Otsu's
    threshold is taken over all of it.

    Args:
        kernel: side of the flat-field's window, in letters.
    """
    side = int(kernel * COARSE_SIDE) | 1
    hat = cv2.morphologyEx(view.grey, cv2.MORPH_BLACKHAT if dark else cv2.MORPH_TOPHAT, np.ones((side, side), np.uint8))
    otsu, _ = cv2.threshold(hat, 0, 255, cv2.THRESH_OTSU)
    return Ink.of(hat > max(otsu, FLOOR), hat, dark)


def inks(view: View, thresholds: Sequence[float] = THRESHOLDS) -> Iterator[list[Ink]]:
    """Strokes by polarity, the stronger first; of each, one Ink a threshold, in their order. thresholds: as multiples of Otsu's."""
    x1, y1, x2, y2 = np.round(view.inner).astype(int)
    if x2 <= x1 or y2 <= y1:
        return
    grey = cv2.GaussianBlur(view.grey, (3, 3), 0)
    side = int(max(9, 0.9 * min(x2 - x1, y2 - y1))) | 1
    kernel = np.ones((side, side), np.uint8)
    operations = (cv2.MORPH_TOPHAT, False), (cv2.MORPH_BLACKHAT, True)
    hats = [(cv2.morphologyEx(grey, operation, kernel), dark) for operation, dark in operations]
    energy = [float(np.square(hat[y1:y2, x1:x2].astype(np.float32)).sum()) for hat, _ in hats]
    for rank in np.argsort(energy)[::-1]:
        hat, dark = hats[rank]
        if energy[rank] < LEAST_ENERGY * max(energy):
            peaks = [int(each[y1:y2, x1:x2].max()) for each, _ in hats]
            if dark or peaks[rank] < LEAST_CONTRAST * max(peaks):
                return
        otsu, _ = cv2.threshold(np.ascontiguousarray(hat[y1:y2, x1:x2]).reshape(1, -1), 0, 255, cv2.THRESH_OTSU)
        yield [Ink.of(hat > max(otsu * share, FLOOR), hat, dark) for share in thresholds]


def parted(view: View, ink: Ink) -> Iterator[Ink]:
    """`ink` with its main component cut apart, to part a letter from what touches it: at the edge of the box, where it
    reaches beyond; at thin necks; or filled, where it is drawn as an outline; for dark ink also with the halves of a stencil letter joined."""
    x1, y1, x2, y2 = np.round(view.inner).astype(int)
    counts = np.bincount(ink.labels[y1:y2, x1:x2].ravel())
    counts[0] = 0
    main = int(counts.argmax())
    if not main:
        return
    mask = ink.labels > 0
    slack = int(_slack(view)) // 2
    x, y, w, h, _ = ink.stats[main]
    if not ink.dark and (x < x1 - slack or y < y1 - slack or x + w > x2 + slack or y + h > y2 + slack):
        cut = mask.astype(np.uint8)
        cv2.rectangle(cut, (x1 - slack, y1 - slack), (x2 + slack, y2 + slack), 0, 2)
        yield Ink.of(cut > 0, ink.hat, ink.dark)
    if not ink.dark:
        full = filled(ink.labels == main)
        if full.sum() > 1.2 * ink.stats[main, 4]:  # drawn as an outline only
            yield Ink.of(mask | full, ink.hat, ink.dark)
            split = _unringed(ink.labels == main, full)
            if split is not None:
                yield Ink.of(mask & (ink.labels != main) | split, ink.hat, ink.dark)
    core = opened(ink, main)
    if core.sum() < 0.97 * ink.stats[main, 4]:
        yield Ink.of(mask & (ink.labels != main) | core, ink.hat, ink.dark)
    if ink.dark:
        yield from _stencil(view, ink)


def _unringed(mask: np.ndarray, full: np.ndarray) -> np.ndarray | None:
    """A ring and the letter that touches it, parted by a gap of a pixel; None if the shape is no ring around anything.

    Args:
        mask: (h, w) bool, ring and letter in one.
        full: the same with its holes filled.
    """
    depth = cv2.distanceTransform(padded(full.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    rim = full & (depth < 1.5)
    holes = full & ~mask
    if not holes.any() or not rim.any():
        return None
    thick = float(np.median(distance(holes)[rim]))  # from the outline to the nearest hole: the ring's own width
    if not thick < RING_WIDTH * depth.max():
        return None
    inner = depth > thick + 1.5
    letter = mask & inner
    return mask & (depth <= thick) | letter if letter.any() else None


def _stencil(view: View, ink: Ink) -> Iterator[Ink]:
    """`ink` with the two largest components of the box made one, where they are halves of a stencil letter: as wide or
    as high as each other and just a bridge apart; first as they are, then with the bridge filled."""
    halves = inside(view, ink)[:2]
    if len(halves) < 2:
        return
    (x1, y1, w1, h1, _), (x2, y2, w2, h2, _) = ink.stats[halves].tolist()
    gap_x, gap_y = max(x1, x2) - min(x1 + w1, x2 + w2), max(y1, y2) - min(y1 + h1, y2 + h2)
    across = gap_y > gap_x
    gap, size = (gap_y, max(w1, w2)) if across else (gap_x, max(h1, h2))
    if not (0 < gap < BRIDGE * size and abs((w1 - w2) if across else (h1 - h2)) < 0.35 * size):
        return
    both = ink.mask(halves)
    kernel = np.ones((gap + 2, 1) if across else (1, gap + 2), np.uint8)
    filled_in = cv2.morphologyEx(both.astype(np.uint8), cv2.MORPH_CLOSE, kernel) > 0
    for letter in (both, filled_in):
        labels = np.where(letter, halves[0], np.where(both, 0, ink.labels))
        labels[labels == halves[1]] = 0
        stats = ink.stats.copy()
        x, y = min(x1, x2), min(y1, y2)
        stats[halves[0]] = x, y, max(x1 + w1, x2 + w2) - x, max(y1 + h1, y2 + h2) - y, int(letter.sum())
        stats[halves[1]] = 0
        yield Ink(labels, stats, ink.hat, ink.dark)


def opened(ink: Ink, index: int) -> np.ndarray:
    """(h, w) bool: a component without what is thinner than `NECK` of its greatest stroke width."""
    mask = (ink.labels == index).astype(np.uint8)
    width = 2 * float(cv2.distanceTransform(padded(mask, 1), cv2.DIST_L2, 5).max())
    size = int(NECK * width) | 1
    return cv2.morphologyEx(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))) > 0


def without_appendix(ink: Ink, index: int) -> tuple[Ink, int]:
    """`ink` with what hangs on to a letter by thinner strokes made components of their own, and the letter's new label;
    both as they were if nothing of note does."""
    core = opened(ink, index)
    if not core.any():
        return ink, index
    mask = ink.labels == index
    size = max(ink.stats[index, 2:4])
    grown = distance(core) <= max(2.0, EDGE_SHARE * size)
    rest = Ink.of(mask & ~grown, ink.hat, ink.dark)
    hangers = [i for i in range(1, len(rest.stats)) if max(rest.stats[i, 2:4]) > APPENDIX * size]
    if not hangers:
        return ink, index
    return _apart(ink, mask, rest.mask(hangers))


def without_neighbour(ink: Ink, index: int, stricter: list[Ink]) -> tuple[Ink, int]:
    """`ink` with what only a dim bridge joins to a letter made components of its own, and the letter's new label: at a
    stricter threshold the bridge is gone, and each pixel goes to the nearer part. Both as they were if nothing of note
    comes off."""
    mask = ink.labels == index
    size = max(ink.stats[index, 2:4])
    for each in stricter:
        parts = Ink.of(mask & (each.labels > 0), ink.hat, ink.dark)
        if len(parts.stats) < 3:
            continue
        main = 1 + int(parts.stats[1:, 4].argmax())
        others = [i for i in range(1, len(parts.stats)) if i != main and max(parts.stats[i, 2:4]) > APPENDIX * size]
        if others and parts.stats[main, 4] > 0.5 * ink.stats[index, 4]:
            nearer = distance(parts.mask(others)) < distance(parts.labels == main)
            return _apart(ink, mask, mask & nearer)
    return ink, index


def _apart(ink: Ink, mask: np.ndarray, gone: np.ndarray) -> tuple[Ink, int]:
    """`ink` with its component `mask` parted from `gone`, a part of it, by a gap of a pixel; the main piece's new label."""
    letter = Ink.of(mask & ~gone, ink.hat, ink.dark)
    main = letter.labels == 1 + int(letter.stats[1:, 4].argmax())
    parts = gone & ~(cv2.dilate(main.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    new = Ink.of((ink.labels > 0) & ~mask | main | parts, ink.hat, ink.dark)
    return new, int(new.labels[main][0])


def _slack(view: View) -> float:
    """How far a component may reach beyond the box and still count as in it, work pixels."""
    x1, y1, x2, y2 = view.inner
    return 0.15 * min(x2 - x1, y2 - y1) + 2 * view.scale


def inside(view: View, ink: Ink) -> list[int]:
    """Labels of the components that lie in the box (with a little slack), the largest first."""
    x1, y1, x2, y2 = view.inner
    slack = _slack(view)
    x, y, w, h, _ = ink.stats.T
    fits = (x >= x1 - slack) & (y >= y1 - slack) & (x + w <= x2 + slack) & (y + h <= y2 + slack)
    fits[0] = False
    fits &= w > 0
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
            full = filled(closed_at_edges(ink.labels == ring))[y : y + h, x : x + w]
            if (full & letter).sum() > 0.95 * letter.sum() and outline.sum() < 0.6 * full.sum():
                return [(i, ring)]
    size = LEAST_SIZE * max(ink.stats[ring, 2:4])
    return [(i, 0) for i in order if max(ink.stats[i, 2:4]) >= size]


def closed_at_edges(ring: np.ndarray) -> np.ndarray:
    """(h, w) bool: a ring that an edge of the picture cuts off, closed along that edge."""
    closed = ring.copy()
    for edge in (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1]):
        there = np.flatnonzero(ring[edge])
        if there.size:
            line = np.zeros(ring[edge].shape, bool)
            line[there[0] : there[-1] + 1] = True
            closed[edge] |= line
    return closed


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
    middle = (percentile(grey[letter], 50) + percentile(grey[shell], 60)) / 2
    return float((grey[shell] > middle).mean()) >= SURROUNDED


