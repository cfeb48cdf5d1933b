"""The pixels that are retained with a laterality marker: its strokes, its ring, and the ground between them if that is empty.

Masks are (h, w) bool in the work frame, see `strokes`, unless stated otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from .glyphs import padded
from .strokes import EDGE_PX, EDGE_SHARE, SHELL, Ink, closed_at_edges, distance, filled, label_mask, percentile
from .view import FLOOR, View

DISC = 0.7  # least share of its bounding box that a disc, oval or plate behind a letter fills
CUT_DISC = 0.9  # the same for a box cut by the image's edge, so that a dark corner of the image does not pass for one
PASTED = 0.35  # greatest variation in the tone of a pasted box, as a fraction of its letter's contrast
SMOOTH = 0.05  # greatest local range of grey levels on such a ground, JPEG artefacts included, as a fraction of the letter's contrast
SMOOTH_SHELL = 0.4  # outer radius of the shell searched for ground without an edge, as a fraction of the letter's size
DISC_RIM = 0.35  # greatest width of a disc's bright rim, as a fraction of the letter's size
LARGEST_RING = 3.5  # greatest size of a ring, as a multiple of the letter's
HALO = 0.16  # greatest width of a ring's dark rim, as a fraction of the letter's size
RIM_TONE = 0.35  # greatest difference of a rim from the tone inside its ring, as a fraction of the ring's difference from that
PLATE = 0.5  # width of the plate that is retained around a cut-out letter, as a fraction of the letter's size
CLEAR_PX, CLEAR = 2, 0.06  # margin for the soft edge of known strokes: source pixels, and fraction of the letter's size
STANDS_OUT, NOISE = 8.0, 4.5  # least contrast of print on a ground: grey levels, and multiples of the noise
FAINT = 1.5, 1.3  # the same for grounds beside a marker, which another box would else remove
SPECK_PX, SPECK = 5, 0.04  # least area of print: pixels, and the side of a square as a fraction of the letter's size
EDGE_ANGLES = 24  # number of directions in which an edge through a ground is tried
SPECKS = 1.7  # greatest area of a single blob that is not print, as a multiple of that least area; two smaller ones are print
NEIGHBOUR = 0.8  # reach of another stroke within a letter's box, as a multiple of the soft edge
CORNERS = 0.06  # margin around a ring's bounding box in which its corners are retained, as a fraction of the letter's size


def ring_around(levels: list[Ink], letter: np.ndarray) -> np.ndarray | None:
    """(h, w) bool: the component that closely encloses a letter, (h, w) bool, from the first of the thresholds in `levels` that
    separates the two; None if there is none."""
    rows, columns = np.flatnonzero(letter.any(1)), np.flatnonzero(letter.any(0))
    size = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    for ink in levels:
        x, y, w, h, _ = ink.stats.T
        fits = (x <= columns[0]) & (y <= rows[0]) & (x + w > columns[-1]) & (y + h > rows[-1])
        fits &= np.maximum(w, h) < LARGEST_RING * size
        fits[0] = False
        for i in np.flatnonzero(fits):
            ring = cv2.morphologyEx((ink.labels == i).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > 0
            interior = filled(closed_at_edges(ring))
            if not (ring & letter).any() and (interior & letter).sum() > 0.95 * letter.sum() and ring.sum() < 0.6 * interior.sum():
                return ring
    return None


def disc_around(view: View, letter: np.ndarray) -> np.ndarray | None:
    """The disc, plate or pasted box that a bright letter is drawn on.

    A badge drawn by the console on bright ground: its white rim merges with the surroundings, its disc does not. A pasted box has a
    constant tone, its surroundings may be brighter or darker; where they have the same tone, the box has no grain and an edge.

    Args:
        view: the detected box.
        letter: (h, w) bool, not empty.

    Returns:
        (h, w) bool, filled; None if the letter is not on such a closed shape, or the shape leaves the view. The edge of the image may
        cut it.
    """
    rows, columns = np.flatnonzero(letter.any(1)), np.flatnonzero(letter.any(0))
    size = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    distances = distance(letter)
    shell = (distances > EDGE_SHARE * size) & (distances < SHELL[1] * size)
    if not shell.any():
        return None
    bright, low = percentile(view.grey[letter], 50), percentile(view.grey[shell], 50)
    if bright - low < FLOOR:
        return None
    side = 2 * int(np.ceil(view.scale / 2)) + 1
    slope = cv2.morphologyEx(view.grey, cv2.MORPH_GRADIENT, np.ones((side, side), np.uint8))
    tone = np.abs(view.grey - low) < max(FLOOR, PASTED * (bright - low))
    wide_shell = (distances > EDGE_SHARE * size) & (distances < SMOOTH_SHELL * size)
    for ground, support in ((view.grey < (bright + low) / 2, shell), (tone, shell), (slope < max(FLOOR, SMOOTH * (bright - low)), wide_shell)):
        full = _closed_around(view, Ink.of(ground, view.grey, True), letter, support, size)
        if full is not None:
            return full
    return None


def _closed_around(view: View, ground: Ink, letter: np.ndarray, shell: np.ndarray, size: float) -> np.ndarray | None:
    """(h, w) bool: the component of a ground that holds most of the shell around a letter, filled; None unless it is compact, ends within
    the view and holds the letter. The image's edge may end a rectangular box."""
    if not (ground.labels[shell] > 0).any():
        return None
    label = int(np.bincount(ground.labels[shell & (ground.labels > 0)]).argmax())
    x, y, w, h, _ = ground.stats[label]
    interior = filled(ground.labels == label)
    at_edge = np.array([x == 0, y == 0, x + w == interior.shape[1], y + h == interior.shape[0]])
    if (at_edge & ~np.array(view.whole)).any() or (at_edge.any() and interior.sum() < CUT_DISC * w * h):
        return None
    if max(w, h) > LARGEST_RING * size or interior.sum() < DISC * w * h or (interior & letter).sum() < 0.9 * letter.sum():
        return None
    return interior


@dataclass(frozen=True)
class RetainedMasks:
    """The pixels that may be retained with a laterality marker, (h, w) bool masks in the work frame.

    strokes: its letters and its ring with their soft edge; of a cut-out letter also a little of the plate, so that it remains visible.
    grounds: the areas between and around them: the inside of a ring, the corners around it, the plate, the box of a separate
        letter. Each is retained only if it `is_empty`: if it holds small print, blacking out only the strokes would leave them readable.
    """

    strokes: np.ndarray
    grounds: tuple[np.ndarray, ...]


def retained_pixels(view: View, ink: Ink, letters: tuple[int, ...], levels: list[Ink], is_apart: bool = False) -> RetainedMasks:
    """The pixels that may be retained with a laterality marker. Pixels nearer to another stroke than to the marker are excluded.

    Args:
        view: the detected box.
        ink: the strokes that the marker was read from.
        letters: labels in `ink` of the marker's letters.
        levels: strokes of the same polarity at all thresholds, Otsu's first, for rings and neighbours that the threshold of `ink`
            does not show.
        is_apart: whether the marker is a word, or a single letter with separate strokes: then the rest of its bounding box is ground, too.
    """
    letter_mask = ink.mask(letters)
    size = float(max(max(ink.stats[i, 2:4]) for i in letters))
    edge = max(EDGE_PX * view.scale, EDGE_SHARE * size)
    distances = distance(letter_mask)
    strokes, base = distances <= edge, letter_mask
    grounds: tuple[np.ndarray, ...] = ()
    letter_box = None
    ring = ring_around([ink, *levels], letter_mask)
    disc = disc_around(view, letter_mask) if ring is None and not ink.dark else None
    if ring is not None:
        interior = filled(closed_at_edges(ring))
        band = _band(ring, interior)
        base = letter_mask | band
        corners = _rectangle(ring, 0)
        grounds = interior, corners & ~interior, _rectangle(ring, edge + CORNERS * size) & ~corners
        strokes |= (distance(band) <= edge) | _rim(view, letter_mask, band, interior, max(edge, HALO * size))
    elif disc is not None:
        base = letter_mask | disc
        strokes |= ~disc & (distance(disc) <= edge + 1)
        grounds = disc, ~disc & (distance(disc) <= DISC_RIM * size)
    elif ink.dark:
        strokes |= distances <= SHELL[1] * size
        near = distances <= PLATE * size
        grounds = ((near | _rectangle(letter_mask, 0) if len(letters) > 1 else near) & _plate(view, letter_mask, distances, size),)
    elif is_apart:
        letter_box = _rectangle(letter_mask, 0)
    base_distances = distance(base)
    other_strokes = (ink.labels > 0) & (base_distances > (edge if ring is not None else 0))  # not the ring's ragged outline
    for each in (ink, levels[0]):
        other_strokes |= (each.labels > 0) & ~each.mask(each.labels[base])
    if disc is not None:
        other_strokes &= base_distances > edge + 1  # nor the thin ring around a disc, which may merge with bright surroundings
    other_distances = distance(other_strokes)
    nearer = base_distances < other_distances
    if letter_box is not None:
        grounds = (letter_box & (nearer | (other_distances > NEIGHBOUR * edge)),)
    else:
        grounds = tuple(ground & nearer for ground in grounds)
    return RetainedMasks(strokes & nearer, grounds)


def _rectangle(mask: np.ndarray, margin_px: float) -> np.ndarray:
    """(h, w) bool: the bounding box of a mask, larger by `margin_px` pixels on each side."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    rectangle, pad = np.zeros(mask.shape, bool), int(round(margin_px))
    rectangle[max(0, rows[0] - pad) : rows[-1] + 1 + pad, max(0, columns[0] - pad) : columns[-1] + 1 + pad] = True
    return rectangle


def _plate(view: View, letter: np.ndarray, distances: np.ndarray, size: float) -> np.ndarray:
    """(h, w) bool: the bright plate that a dark letter is cut out of, with everything on it, without its soft border.

    Args:
        distances: (h, w) to the letter, work pixels.  size: of the letter, work pixels.
    """
    shell = (distances > SHELL[0] * size) & (distances < SHELL[1] * size)
    if not shell.any():
        return np.zeros(letter.shape, bool)
    middle = (percentile(view.grey[letter], 50) + percentile(view.grey[shell], 60)) / 2
    _, labels = cv2.connectedComponents(((view.grey > middle) & ~letter).astype(np.uint8), connectivity=4)
    plate_labels = np.unique(labels[shell & (labels > 0)])
    plate = filled(label_mask(labels, plate_labels) | letter)
    return plate & (distance(~plate) > EDGE_PX * max(1.0, view.scale))


def _band(ring: np.ndarray, full: np.ndarray) -> np.ndarray:
    """(h, w) bool: a ring without strokes that touch it from inside.

    Args:
        ring: (h, w) bool.  full: the same with its interior.
    """
    depth = cv2.distanceTransform(padded(full.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    rim = full & (depth < 1.5)
    holes = full & ~ring
    if not holes.any() or not rim.any():
        return ring
    return ring & (depth <= 1.5 * float(np.median(distance(holes)[rim])) + 1)


def _rim(view: View, letter_mask: np.ndarray, band: np.ndarray, full: np.ndarray, reach: float) -> np.ndarray:
    """(h, w) bool: the dark rim that many rings are drawn with: pixels around a ring, at most `reach` work pixels away, with the
    tone of its interior. Print as bright as the ring is excluded."""
    interior = full & (distance(band | letter_mask) > 2)
    if not interior.any():
        return np.zeros(letter_mask.shape, bool)
    tone, ring_tone = percentile(view.grey[interior], 50), percentile(view.grey[band], 50)
    if abs(ring_tone - tone) < FLOOR:
        return np.zeros(letter_mask.shape, bool)
    return ~full & (distance(full) <= reach) & ((view.grey - tone) / (ring_tone - tone) <= RIM_TONE)


def is_empty(frame: np.ndarray, ground: np.ndarray, size_px: float, *, strict: bool = False) -> bool:
    """Whether a ground holds no print, at the source's resolution; False in doubt.

    Args:
        frame: (H, W) uint8, a part of the displayed frame.
        ground: (H, W) bool, one connected piece or several, at a small distance from known strokes.
        size_px: of the laterality marker, source pixels. Variation over a quarter of it, or along a paraboloid, counts as shading.
        strict: whether far fainter print counts.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(ground.astype(np.uint8), connectivity=8)
    grey = frame.astype(np.float32)
    grain = np.abs(grey - cv2.medianBlur(np.ascontiguousarray(frame), 3))  # little affected by edges and print
    speck = max(SPECK_PX, (SPECK * size_px) ** 2)
    least, share = FAINT if strict else (STANDS_OUT, NOISE)
    most = percentile(grain, 50)  # print that fills a piece is no noise
    for k, (x, y, w, h, _) in enumerate(stats[1:count], start=1):
        part = np.s_[y : y + h, x : x + w]
        piece = labels[part] == k
        noise = 1.4826 * min(percentile(grain[part][piece], 50), most) / 2
        level = max(least, share * noise)
        if _is_flat(grey[part], piece, size_px, level, speck):
            continue
        if not any(_is_flat(rest, piece, size_px, level, speck) for rest in _without_edge(grey[part], piece, level)):
            return False
    return True


def _is_flat(grey: np.ndarray, mask: np.ndarray, size_px: float, level: float, speck: float) -> bool:
    """Whether no print of at least `speck` pixels differs by `level` from its surroundings among the masked pixels of an (H, W) float32
    image."""
    fine = _blurred(grey, mask, 0.8)
    relief = np.minimum(np.abs(fine - _blurred(grey, mask, max(1.5, size_px / 4))), np.abs(fine - _parabola(grey, mask)))
    blobs = cv2.connectedComponentsWithStats((mask & (relief > level)).astype(np.uint8), connectivity=8)[2][1:, 4]
    blobs = blobs[blobs >= speck]
    return len(blobs) < 2 and not (blobs >= SPECKS * speck).any()


def _without_edge(grey: np.ndarray, mask: np.ndarray, level: float) -> Iterator[np.ndarray]:
    """The image minus its profile across a straight edge, for each of `EDGE_ANGLES` directions in which the profile may be an edge.

    The skin line or a collimator's edge may cross a ground. Its profile is monotonic: where that rises and falls
    by more than `level` it may be a stroke, and the direction is skipped.

    Yields:
        New arrays of the image's shape.
    """
    y, x = np.nonzero(mask)
    values = grey[mask].astype(np.float64)
    for angle in np.radians(np.arange(0, 180, 180 / EDGE_ANGLES)):
        positions = np.round(x * np.cos(angle) + y * np.sin(angle)).astype(int)
        positions -= positions.min()
        count = np.bincount(positions)
        mean = np.bincount(positions, values)[count > 0] / count[count > 0]
        rise, fall = (max(0.0, float((sign * (mean - np.minimum.accumulate(sign * mean) * sign)).max())) for sign in (1, -1))
        if min(rise, fall) > level:
            continue
        residual = grey.copy()
        residual[mask] = values - mean[(np.cumsum(count > 0) - 1)[positions]]
        yield residual


def _blurred(grey: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """(H, W) float32: normalized Gaussian convolution of the masked pixels."""
    weight = mask.astype(np.float32)
    return cv2.GaussianBlur(grey * weight, (0, 0), sigma) / np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)


def _parabola(grey: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W) float64: the least-squares quadratic surface through the masked pixels."""
    h, w = grey.shape
    y, x = np.mgrid[: h, : w] / max(h, w)
    terms = np.stack([np.ones((h, w)), x, y, x * x, x * y, y * y], axis=-1)
    fit = np.linalg.lstsq(terms[mask], grey[mask].astype(np.float64), rcond=None)[0]
    return terms @ fit


def pieces(mask: np.ndarray) -> list[np.ndarray]:
    """The 8-connected components of an (H, W) bool mask, each as a new mask of that shape."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    return [labels == k for k in range(1, count)]
