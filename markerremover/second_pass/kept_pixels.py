"""What stays in the picture with a sign that is kept: its strokes, its ring, and the ground between them if it is empty.

Frames as in `strokes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from .glyphs import padded
from .strokes import EDGE_PX, EDGE_SHARE, SHELL, Ink, closed_at_edges, distance, filled, percentile, picked
from .view import FLOOR, View

DISC = 0.7  # share of its bounding box that a disc, oval or plate behind a letter fills
CUT_DISC = 0.9  # the same of a box that the image's edge cuts: a corner that happens to be dark is no rectangle
PASTED = 0.35  # of a letter's contrast: how far the tone of a pasted box around it may vary
SMOOTH = 0.05  # of a letter's contrast: how steep such ground may be, with what JPEG adds beside sharp strokes
SMOOTH_SHELL = 0.4  # how far around a letter ground without an edge is looked for, as a share of the letter: its own edge takes the nearest
DISC_RIM = 0.35  # how far around such a disc its bright rim may reach, as a share of the letter
LARGEST_RING = 3.5  # times the letter; a larger outline around it is no ring of its own
HALO = 0.16  # how far a ring's dark rim may reach, as a share of the letter
RIM_TONE = 0.35  # of the way from the tone inside a ring to the ring's own: what is nearer to the latter is no rim
PLATE = 0.5  # how much of a plate stays around a cut-out letter, as a share of the letter
CLEAR_PX, CLEAR = 2, 0.06  # around known strokes, where their own soft edge stands out: source pixels, share of the sign
STANDS_OUT, NOISE = 8.0, 4.5  # grey levels and multiples of the noise from which something is on a ground
SPECK_PX, SPECK = 5, 0.04  # as long as it has so many pixels, or is a square of that share of the sign;
EDGE_ANGLES = 24  # directions in which an edge through a ground is looked for
SPECKS = 1.7  # one alone may be this many times as large: it is no print, two are
NEIGHBOUR = 0.8  # soft edges of another stroke within which a letter's own box is that stroke's
CORNERS = 0.06  # how far the corners around a ring go beyond its bounding box, as a share of the letter


def ring_around(same: list[Ink], letter: np.ndarray) -> np.ndarray | None:
    """(h, w) bool: the component that encloses a letter closely, at whichever threshold it stands alone; None if none."""
    rows, columns = np.flatnonzero(letter.any(1)), np.flatnonzero(letter.any(0))
    size = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    for ink in same:
        x, y, w, h, _ = ink.stats.T
        fits = (x <= columns[0]) & (y <= rows[0]) & (x + w > columns[-1]) & (y + h > rows[-1])
        fits &= np.maximum(w, h) < LARGEST_RING * size
        fits[0] = False
        for i in np.flatnonzero(fits):
            ring = cv2.morphologyEx((ink.labels == i).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > 0
            full = filled(closed_at_edges(ring))
            if not (ring & letter).any() and (full & letter).sum() > 0.95 * letter.sum() and ring.sum() < 0.6 * full.sum():
                return ring
    return None


def disc_around(view: View, letter: np.ndarray) -> np.ndarray | None:
    """(h, w) bool: the disc, plate or pasted box that a bright letter is drawn on, filled, where it ends on all sides within the
    view; None if what is around the letter is no such closed shape.

    A console's badge on bright ground: its white rim melts into what is around, its disc does not. A pasted box has a tone of its own, be
    what is around it brighter or darker; where that has the same tone, the box has no grain and an edge.
    """
    rows, columns = np.flatnonzero(letter.any(1)), np.flatnonzero(letter.any(0))
    size = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    near = distance(letter)
    shell = (near > EDGE_SHARE * size) & (near < SHELL[1] * size)
    if not shell.any():
        return None
    bright, low = percentile(view.grey[letter], 50), percentile(view.grey[shell], 50)
    if bright - low < FLOOR:
        return None
    side = 2 * int(np.ceil(view.scale / 2)) + 1
    slope = cv2.morphologyEx(view.grey, cv2.MORPH_GRADIENT, np.ones((side, side), np.uint8))
    tone = np.abs(view.grey - low) < max(FLOOR, PASTED * (bright - low))
    wide = (near > EDGE_SHARE * size) & (near < SMOOTH_SHELL * size)
    for ground, there in ((view.grey < (bright + low) / 2, shell), (tone, shell), (slope < max(FLOOR, SMOOTH * (bright - low)), wide)):
        full = _closed_around(view, Ink.of(ground, view.grey, True), letter, there, size)
        if full is not None:
            return full
    return None


def _closed_around(view: View, ground: Ink, letter: np.ndarray, shell: np.ndarray, size: float) -> np.ndarray | None:
    """(h, w) bool: the component of a ground that most of the shell around a letter lies on, filled, if it is compact, ends within the view and
    holds the letter; the image's own edge may end a box that it cuts straight."""
    if not (ground.labels[shell] > 0).any():
        return None
    label = int(np.bincount(ground.labels[shell & (ground.labels > 0)]).argmax())
    x, y, w, h, _ = ground.stats[label]
    full = filled(ground.labels == label)
    at_edge = np.array([x == 0, y == 0, x + w == full.shape[1], y + h == full.shape[0]])
    if (at_edge & ~np.array(view.whole)).any() or (at_edge.any() and full.sum() < CUT_DISC * w * h):
        return None
    if max(w, h) > LARGEST_RING * size or full.sum() < DISC * w * h or (full & letter).sum() < 0.9 * letter.sum():
        return None
    return full


@dataclass(frozen=True)
class Own:
    """What may stay with a retained laterality marker, (h, w) bool masks in the work frame.

    strokes: its letters and its ring with their soft edge; of a cut-out letter also a little of the plate, to show it by.
    grounds: what lies between and around them: the inside of a ring, the corners around it, the plate, the box of a letter
        that stands alone. Each may stay only
        if it `is_empty`: small print stands there, and blackening just its strokes would leave them readable.
    """

    strokes: np.ndarray
    grounds: tuple[np.ndarray, ...]


def own_pixels(view: View, ink: Ink, letters: tuple[int, ...], same: list[Ink], apart: bool = False) -> Own:
    """What may stay if the sign is kept. Every pixel that is nearer to a stroke which is not part of the sign goes.

    Args:
        letters: labels in `ink` of the sign's letters.
        same: the strokes of the same polarity at all thresholds, Otsu's first, for rings and neighbours that `ink` is
            too lax or too strict to show.
        apart: whether the sign is a letter that stands alone: then the rest of its own box is ground too.
    """
    sign = ink.mask(letters)
    size = float(max(max(ink.stats[i, 2:4]) for i in letters))
    edge = max(EDGE_PX * view.scale, EDGE_SHARE * size)
    away = distance(sign)
    strokes, home = away <= edge, sign
    grounds: tuple[np.ndarray, ...] = ()
    crook = None
    ring = ring_around([ink, *same], sign)
    disc = disc_around(view, sign) if ring is None and not ink.dark else None
    if ring is not None:
        full = filled(closed_at_edges(ring))
        band = _band(ring, full)
        home = sign | band
        corners = _rectangle(ring, 0)
        grounds = full, corners & ~full, _rectangle(ring, edge + CORNERS * size) & ~corners
        strokes |= (distance(band) <= edge) | _rim(view, sign, band, full, max(edge, HALO * size))
    elif disc is not None:
        home = sign | disc
        strokes |= ~disc & (distance(disc) <= edge + 1)
        grounds = disc, ~disc & (distance(disc) <= DISC_RIM * size)
    elif ink.dark:
        strokes |= away <= SHELL[1] * size
        grounds = ((away <= PLATE * size) & _plate(view, sign, away, size),)
    elif apart:
        crook = _rectangle(sign, 0)
    near = distance(home)
    others = (ink.labels > 0) & (near > (edge if ring is not None else 0))  # a ring's own ragged outline is none
    for each in (ink, same[0]):
        others |= (each.labels > 0) & ~each.mask(each.labels[home])
    if disc is not None:
        others &= near > edge + 1  # nor is the thin ring around a disc, which may melt into what is bright outside
    far = distance(others)
    nearer = near < far
    if crook is not None:
        grounds = (crook & (nearer | (far > NEIGHBOUR * edge)),)
    else:
        grounds = tuple(ground & nearer for ground in grounds)
    return Own(strokes & nearer, grounds)


def _rectangle(mask: np.ndarray, more: float) -> np.ndarray:
    """(h, w) bool: the bounding box of a mask, larger by so many pixels on each side."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    out, pad = np.zeros(mask.shape, bool), int(round(more))
    out[max(0, rows[0] - pad) : rows[-1] + 1 + pad, max(0, columns[0] - pad) : columns[-1] + 1 + pad] = True
    return out


def _plate(view: View, letter: np.ndarray, away: np.ndarray, size: float) -> np.ndarray:
    """(h, w) bool: the bright plate that a dark letter is cut out of, with everything on it, without its soft border.

    Args:
        away: (h, w) distance to the letter.  size: of the letter, work pixels.
    """
    shell = (away > SHELL[0] * size) & (away < SHELL[1] * size)
    if not shell.any():
        return np.zeros(letter.shape, bool)
    middle = (percentile(view.grey[letter], 50) + percentile(view.grey[shell], 60)) / 2
    _, labels = cv2.connectedComponents(((view.grey > middle) & ~letter).astype(np.uint8), connectivity=4)
    here = np.unique(labels[shell & (labels > 0)])
    plate = filled(picked(labels, here) | letter)
    return plate & (distance(~plate) > EDGE_PX * max(1.0, view.scale))


def _band(ring: np.ndarray, full: np.ndarray) -> np.ndarray:
    """(h, w) bool: a ring without what grows from it inwards.

    Args:
        ring: (h, w) bool.  full: the same with all inside it.
    """
    depth = cv2.distanceTransform(padded(full.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    rim = full & (depth < 1.5)
    holes = full & ~ring
    if not holes.any() or not rim.any():
        return ring
    return ring & (depth <= 1.5 * float(np.median(distance(holes)[rim])) + 1)


def _rim(view: View, sign: np.ndarray, band: np.ndarray, full: np.ndarray, reach: float) -> np.ndarray:
    """(h, w) bool: what lies around a ring, no further than `reach` work pixels, and is of the tone inside it: the dark rim
    that many are drawn with. Print as bright as the ring is no part of it."""
    inside_it = full & (distance(band | sign) > 2)
    if not inside_it.any():
        return np.zeros(sign.shape, bool)
    tone, ring_tone = percentile(view.grey[inside_it], 50), percentile(view.grey[band], 50)
    if abs(ring_tone - tone) < FLOOR:
        return np.zeros(sign.shape, bool)
    return ~full & (distance(full) <= reach) & ((view.grey - tone) / (ring_tone - tone) <= RIM_TONE)


def is_empty(frame: np.ndarray, ground: np.ndarray, size_px: float) -> bool:
    """Whether nothing stands out on some ground, at the source's resolution; doubt is "no".

    Args:
        frame: (H, W) uint8, a part of the displayed frame.
        ground: (H, W) bool, one connected piece or several; a little away from strokes that are known.
        size_px: of the sign, source pixels. What varies over a quarter of it, or like a parabola, is shading.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(ground.astype(np.uint8), connectivity=8)
    grey = frame.astype(np.float32)
    grain = np.abs(grey - cv2.medianBlur(np.ascontiguousarray(frame), 3))  # edges and print hardly count in it
    speck = max(SPECK_PX, (SPECK * size_px) ** 2)
    for k, (x, y, w, h, _) in enumerate(stats[1:count], start=1):
        part = np.s_[y : y + h, x : x + w]
        piece = labels[part] == k
        noise = 1.4826 * percentile(grain[part][piece], 50) / 2
        level = max(STANDS_OUT, NOISE * noise)
        if _is_flat(grey[part], piece, size_px, level, speck):
            continue
        if not any(_is_flat(rest, piece, size_px, level, speck) for rest in _without_edge(grey[part], piece, level)):
            return False
    return True


def _is_flat(grey: np.ndarray, mask: np.ndarray, size_px: float, level: float, speck: float) -> bool:
    """Whether nothing of `speck` pixels stands out by `level` among the masked pixels of a (H, W) float32 picture."""
    fine = _blurred(grey, mask, 0.8)
    relief = np.minimum(np.abs(fine - _blurred(grey, mask, max(1.5, size_px / 4))), np.abs(fine - _parabola(grey, mask)))
    blobs = cv2.connectedComponentsWithStats((mask & (relief > level)).astype(np.uint8), connectivity=8)[2][1:, 4]
    blobs = blobs[blobs >= speck]
    return len(blobs) < 2 and not (blobs >= SPECKS * speck).any()


def _without_edge(grey: np.ndarray, mask: np.ndarray, level: float) -> Iterator[np.ndarray]:
    """The picture less a straight edge through all of it, at each of `EDGE_ANGLES`: its mean along that direction.

    A body's outline or a collimator's edge may cross a ground. It only rises or only falls: where the mean goes up and down
    again by more than `level` it could be a stroke, and nothing is taken off.
    """
    y, x = np.nonzero(mask)
    values = grey[mask].astype(np.float64)
    for angle in np.radians(np.arange(0, 180, 180 / EDGE_ANGLES)):
        along = np.round(x * np.cos(angle) + y * np.sin(angle)).astype(int)
        along -= along.min()
        count = np.bincount(along)
        mean = np.bincount(along, values)[count > 0] / count[count > 0]
        rise, fall = (max(0.0, float((sign * (mean - np.minimum.accumulate(sign * mean) * sign)).max())) for sign in (1, -1))
        if min(rise, fall) > level:
            continue
        rest = grey.copy()
        rest[mask] = values - mean[(np.cumsum(count > 0) - 1)[along]]
        yield rest


def _blurred(grey: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """(H, W) float32: Gaussian mean of the masked pixels only."""
    weight = mask.astype(np.float32)
    return cv2.GaussianBlur(grey * weight, (0, 0), sigma) / np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)


def _parabola(grey: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W): the paraboloid that fits the masked pixels best."""
    h, w = grey.shape
    y, x = np.mgrid[: h, : w] / max(h, w)
    terms = np.stack([np.ones((h, w)), x, y, x * x, x * y, y * y], axis=-1)
    fit = np.linalg.lstsq(terms[mask], grey[mask].astype(np.float64), rcond=None)[0]
    return terms @ fit


def pieces(mask: np.ndarray) -> list[np.ndarray]:
    """The 8-connected components of a (H, W) bool mask, each as one of its own."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    return [labels == k for k in range(1, count)]
