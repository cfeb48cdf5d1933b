"""Strokes around a detected box: flat-field, Otsu threshold, connected components, and their separation.

Two frames: *source* pixels, and a *work* frame, the box with its surroundings scaled so that the box's shorter side is
about `WORK_SIDE` pixels. Shapes (h, w) are in the work frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from .glyphs import padded
from .view import COARSE_SIDE, FLOOR, View

MOST_COMPONENTS, LEAST_COMPONENT_SIZE = 3, 0.5  # number of components of a box that are tried, and their least size as a fraction of the largest
LEAST_ENERGY = 0.1  # least energy of a polarity's strokes, as a fraction of the other's; weaker ones are skipped, except for
LEAST_CONTRAST = 0.6  # bright strokes of at least this fraction of the dark ones' contrast: a letter on a large disc
COARSE_KERNEL = 1.5  # side of the flat-field's window in a coarse view, in letters
THRESHOLDS = (1.0, 1.35, 0.75, 1.7)  # multiples of Otsu's threshold: higher ones separate a letter from initials that touch it, lower ones find faint letters
NECK = 0.6  # least width of a joint that is not cut, as a fraction of the component's greatest stroke width
APPENDIX = 0.06  # least size of an appendage on a thin joint, as a fraction of the letter's size
BRIDGE = 0.45  # greatest gap between the halves of a stencil letter, as a fraction of its width
EDGE_PX, EDGE_SHARE = 2.0, 0.05  # width of a stroke's soft edge: source pixels, or a fraction of the letter's size if that is more
RING_WIDTH = 0.5  # greatest stroke width of a ring, as a fraction of the distance from its outline to its centre
HOLLOW = 1.35  # least area of an outlined letter, in that of its outlines; with less the outlines meet, and what they enclose is a counter
DOTS = 5  # least number of pieces of a dotted letter
SHELL = (0.05, 0.14)  # inner and outer radius of the shell around a cut-out letter where its plate is expected, as fractions of its size
SURROUNDED = 0.9  # least share of the shell around a dark letter that is as bright as a plate


@dataclass(frozen=True)
class Ink:
    """Strokes of one polarity at one threshold.

    labels: (h, w) integers of 8-connected components, 0 is background.  stats: (n, 5) x, y, w, h, area of each.
    hat: (h, w) uint8 flat-fielded image, strokes bright.  dark: whether the strokes are darker than their surroundings.
    """

    labels: np.ndarray
    stats: np.ndarray
    hat: np.ndarray
    dark: bool

    @classmethod
    def of(cls, mask: np.ndarray, hat: np.ndarray, dark: bool) -> Ink:
        """The components of a (h, w) bool mask."""
        narrow = mask.size // 4 < 2**16  # the greatest possible number of components; 16-bit labels take two thirds of the time
        kind = cv2.CV_16U if narrow else cv2.CV_32S
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8, ltype=kind)
        return cls(labels, stats, hat, dark)

    def mask(self, indices: Iterable[int]) -> np.ndarray:
        """(h, w) bool, new: the pixels of several components."""
        return label_mask(self.labels, indices)

    @cached_property
    def slope(self) -> np.ndarray:
        """(h, w) uint8: morphological gradient of the flat-fielded image, 3 by 3."""
        return cv2.morphologyEx(self.hat, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))

    def shape(self, index: int) -> np.ndarray:
        """(h, w) bool: one component, cropped to its bounding box."""
        x, y, w, h, _ = self.stats[index]
        return self.labels[y : y + h, x : x + w] == index

    @cached_property
    def rings(self) -> frozenset[int]:
        """Labels of components with another inside their bounding box, larger than 0.2 of their size."""
        x, y, w, h = self.stats[1:, :4].T.astype(int)
        inside = (x[None] > x[:, None]) & (y[None] > y[:, None]) & ((x + w)[None] < (x + w)[:, None]) & ((y + h)[None] < (y + h)[:, None])
        big = np.maximum(w, h)[None] > 0.2 * np.maximum(w, h)[:, None]
        return frozenset(int(i) + 1 for i in np.flatnonzero((inside & big).any(axis=1)))


def label_mask(labels: np.ndarray, indices: Iterable[int]) -> np.ndarray:
    """Bool, new, shape of `labels` (integers, none negative): pixels whose label is in `indices`. As `np.isin`, several times faster."""
    table = np.zeros(int(labels.max(initial=0)) + 1, bool)
    indices = np.asarray(indices if isinstance(indices, np.ndarray) else list(indices), np.intp)
    table[indices[indices < len(table)]] = True
    return table[labels]


def percentile(values: np.ndarray, percent: float) -> float:
    """As `np.percentile` with linear interpolation, with a tenth of its overhead; NaN for no values."""
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
    """The strokes of one polarity in a coarse view, including letters several times as large as the box's. Otsu's threshold is taken
    over all of the view.

    Args:
        view: of `view.around`.
        dark: whether strokes darker than their surroundings are wanted.
        kernel: side of the flat-field's window, in letters.
    """
    side = int(kernel * COARSE_SIDE) | 1
    hat = cv2.morphologyEx(view.grey, cv2.MORPH_BLACKHAT if dark else cv2.MORPH_TOPHAT, np.ones((side, side), np.uint8))
    otsu, _ = cv2.threshold(hat, 0, 255, cv2.THRESH_OTSU)
    return Ink.of(hat > max(otsu, FLOOR), hat, dark)


def inks(view: View, thresholds: Sequence[float] = THRESHOLDS) -> Iterator[list[Ink]]:
    """Strokes by polarity, the one with more energy first.

    Args:
        view: the detected box; none are yielded if it is empty.
        thresholds: multiples of Otsu's threshold within the box.

    Yields:
        For each polarity, one Ink per threshold, in their order.
    """
    x1, y1, x2, y2 = np.round(view.inner).astype(int)
    if x2 <= x1 or y2 <= y1:
        return
    hats = flat_fields(view)
    energy = [float(np.square(hat[y1:y2, x1:x2].astype(np.float32)).sum()) for hat, _ in hats]
    for rank in np.argsort(energy)[::-1]:
        hat, dark = hats[rank]
        if energy[rank] < LEAST_ENERGY * max(energy):
            peaks = [int(each[y1:y2, x1:x2].max()) for each, _ in hats]
            if dark or peaks[rank] < LEAST_CONTRAST * max(peaks):
                return
        otsu, _ = cv2.threshold(np.ascontiguousarray(hat[y1:y2, x1:x2]).reshape(1, -1), 0, 255, cv2.THRESH_OTSU)
        yield [Ink.of(hat > max(otsu * share, FLOOR), hat, dark) for share in thresholds]


def flat_fields(view: View) -> list[tuple[np.ndarray, bool]]:
    """The flat-fielded view by polarity: (h, w) uint8, strokes bright, and whether they are darker than their surroundings."""
    x1, y1, x2, y2 = np.round(view.inner).astype(int)
    grey = cv2.GaussianBlur(view.grey, (3, 3), 0)
    kernel = np.ones((int(max(9, 0.9 * min(x2 - x1, y2 - y1))) | 1,) * 2, np.uint8)
    return [(cv2.morphologyEx(grey, operation, kernel), dark) for operation, dark in ((cv2.MORPH_TOPHAT, False), (cv2.MORPH_BLACKHAT, True))]


def split_variants(view: View, ink: Ink) -> Iterator[Ink]:
    """Variants of `ink` in which a letter is separated from strokes that touch it.

    The main component of the box is cut at the box's edge, where it extends beyond; filled, where it is drawn as an outline; separated
    from a ring that it touches; cut at thin necks. For dark ink also with the halves of a stencil letter joined.
    """
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
            split = _without_ring(ink.labels == main, full)
            if split is not None:
                yield Ink.of(mask & (ink.labels != main) | split, ink.hat, ink.dark)
    core = opened(ink, main)
    if core.sum() < 0.97 * ink.stats[main, 4]:
        yield Ink.of(mask & (ink.labels != main) | core, ink.hat, ink.dark)
    if ink.dark:
        yield from _stencil(view, ink)


def _without_ring(mask: np.ndarray, full: np.ndarray) -> np.ndarray | None:
    """(h, w) bool: a ring and the letter that touches it, separated by a gap of a pixel; None if the shape is not a ring around a letter.

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
    """`ink` with the two largest components of the box joined to one, where they are halves of a stencil letter: as wide or
    as high as each other and a bridge apart; first unchanged, then with the bridge filled."""
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
    """(h, w) bool: morphological opening of a component; parts thinner than `NECK` of its greatest stroke width are removed."""
    mask = (ink.labels == index).astype(np.uint8)
    width = 2 * float(cv2.distanceTransform(padded(mask, 1), cv2.DIST_L2, 5).max())
    size = int(NECK * width) | 1
    return cv2.morphologyEx(mask, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))) > 0


def without_appendix(ink: Ink, index: int) -> tuple[Ink, int]:
    """`ink` with parts that are attached to a letter by thinner strokes as separate components, and the letter's new label.

    Returns:
        `ink` itself and `index` if there is no such part of at least `APPENDIX`.
    """
    core = opened(ink, index)
    if not core.any():
        return ink, index
    mask = ink.labels == index
    size = max(ink.stats[index, 2:4])
    core_mask = distance(core) <= max(2.0, EDGE_SHARE * size)
    remainder = Ink.of(mask & ~core_mask, ink.hat, ink.dark)
    appendages = [i for i in range(1, len(remainder.stats)) if max(remainder.stats[i, 2:4]) > APPENDIX * size]
    if not appendages:
        return ink, index
    return _separated(ink, mask, remainder.mask(appendages))


def without_neighbour(ink: Ink, index: int, stricter: list[Ink]) -> tuple[Ink, int]:
    """`ink` with parts that a dim bridge joins to a letter as separate components, and the letter's new label.

    At a stricter threshold there is no bridge; each pixel is assigned to the nearer part.

    Args:
        ink: the strokes.
        index: label of the letter.
        stricter: strokes of the same polarity at other thresholds.

    Returns:
        `ink` itself and `index` if there is no such part of at least `APPENDIX`.
    """
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
            return _separated(ink, mask, mask & nearer)
    return ink, index


def _separated(ink: Ink, mask: np.ndarray, removed: np.ndarray) -> tuple[Ink, int]:
    """`ink` with the part `removed` of its component `mask` separated by a gap of a pixel; the new label of the main piece."""
    letter = Ink.of(mask & ~removed, ink.hat, ink.dark)
    main = letter.labels == 1 + int(letter.stats[1:, 4].argmax())
    parts = removed & ~(cv2.dilate(main.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    separated = Ink.of((ink.labels > 0) & ~mask | main | parts, ink.hat, ink.dark)
    return separated, int(separated.labels[main][0])


def _slack(view: View) -> float:
    """Greatest extent beyond the box of a component that counts as inside, work pixels."""
    x1, y1, x2, y2 = view.inner
    return 0.15 * min(x2 - x1, y2 - y1) + 2 * view.scale


def inside(view: View, ink: Ink) -> list[int]:
    """Labels of the components that lie in the box (with a little slack), by area of the bounding box, the largest first."""
    x1, y1, x2, y2 = view.inner
    slack = _slack(view)
    x, y, w, h, _ = ink.stats.T
    fits = (x >= x1 - slack) & (y >= y1 - slack) & (x + w <= x2 + slack) & (y + h <= y2 + slack)
    fits[0] = False
    fits &= w > 0
    return [int(i) for i in sorted(np.flatnonzero(fits), key=lambda i: -int(w[i]) * int(h[i]))]


def largest(view: View, ink: Ink) -> list[tuple[int, int]]:
    """The largest components of the box, the largest first, as (label, 0); where the largest is a ring around another, only
    (label of the enclosed component, label of the ring)."""
    order = [i for i in inside(view, ink) if max(ink.stats[i, 2:4]) >= 5][:MOST_COMPONENTS]
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
    size = LEAST_COMPONENT_SIZE * max(ink.stats[ring, 2:4])
    return [(i, 0) for i in order if max(ink.stats[i, 2:4]) >= size]


def closed_at_edges(ring: np.ndarray) -> np.ndarray:
    """(h, w) bool, new: a ring that the edge of the image cuts, closed along that edge."""
    closed = ring.copy()
    for edge in (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1]):
        positions = np.flatnonzero(ring[edge])
        if positions.size:
            line = np.zeros(ring[edge].shape, bool)
            line[positions[0] : positions[-1] + 1] = True
            closed[edge] |= line
    return closed


def between_outlines(mask: np.ndarray) -> np.ndarray:
    """(h, w) bool, new: a letter that is drawn as an outline, with what lies between its outer and inner outlines; `mask` itself where outlines
    enclose little more than they cover (`HOLLOW`): such a hole is a counter."""
    if not mask.any():
        return mask
    contours, tree = cv2.findContours(padded(mask.astype(np.uint8), 1), cv2.RETR_TREE, cv2.CHAIN_APPROX_NONE)
    depths: list[int] = []
    for k in range(len(contours)):
        depth, parent = 0, tree[0][k][3]
        while parent >= 0:
            depth, parent = depth + 1, tree[0][parent][3]
        depths.append(depth)
    solid = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.uint8)
    for k in sorted(range(len(contours)), key=depths.__getitem__):
        if depths[k] % 4 != 1:  # the first hole of an outline is the inside of the letter, the next but one its counter
            cv2.drawContours(solid, contours, k, 0 if depths[k] % 4 == 3 else 1, cv2.FILLED)
    result = (solid[1:-1, 1:-1] > 0) | mask
    return result if result.sum() > HOLLOW * mask.sum() else mask


def closed_dots(mask: np.ndarray) -> np.ndarray:
    """(h, w) bool, new: a letter of dots with the gaps between them closed; `mask` itself where there are fewer than `DOTS` pieces."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if len(stats) <= DOTS:
        return mask
    side = int(2.0 * np.median(np.sqrt(stats[1:, 4]))) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.morphologyEx(padded(mask.astype(np.uint8), side), cv2.MORPH_CLOSE, kernel)[side:-side, side:-side] > 0


def filled(mask: np.ndarray) -> np.ndarray:
    """`mask` (H, W) bool with its holes filled, as a new array."""
    outline, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros(mask.shape, np.uint8), outline, -1, 1, cv2.FILLED) > 0


def distance(mask: np.ndarray) -> np.ndarray:
    """(H, W) float32 Euclidean distance of every pixel to the nearest set one of `mask`, pixels; 1e9 everywhere if none is set."""
    if not mask.any():
        return np.full(mask.shape, np.float32(1e9))
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)


def on_plate(view: View, ink: Ink, index: int) -> bool:
    """Whether a dark component is cut out of a plate: bright all around, not only between bright strokes."""
    x, y, w, h, _ = ink.stats[index]
    rim = int(np.ceil(SHELL[1] * max(w, h))) + 1
    part = np.s_[max(0, y - rim) : y + h + rim, max(0, x - rim) : x + w + rim]
    letter, grey = ink.labels[part] == index, view.grey[part]
    distances = distance(letter)
    shell = (distances > SHELL[0] * max(w, h)) & (distances < SHELL[1] * max(w, h))
    if not shell.any():
        return False
    middle = (percentile(grey[letter], 50) + percentile(grey[shell], 60)) / 2
    return float((grey[shell] > middle).mean()) >= SURROUNDED


