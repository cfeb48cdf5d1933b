"""Whether a letter is isolated: a letter of a name, or an initial beside a larger laterality marker, is not a laterality marker."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from .. import boxes
from ..records import Reading
from . import glyphs
from .doubts import BESIDE, PART_OF_TEXT
from .sign_candidates import Candidate
from .strokes import Ink, coarse_ink, inside, on_plate, percentile
from .view import View, around

# A laterality marker from LARGER to LARGEST_MARKER times as large as a letter, and less than NEXT letter sizes away, makes the letter an initial.
LARGER, LARGEST_MARKER, NEXT = 1.5, 4.0, 1.5
CHARACTER = 0.75  # least correlation with some character at which a neighbour off the line counts as text
MARKER_LIKENESS = 0.85  # least correlation of the larger laterality marker with a letter
NARROW_GAP = 0.4  # greatest gap to a lower-case letter, an I or a 1 of the same word, as a fraction of the letter's height
THINNEST = 0.3  # least width of a tall neighbour that may be joined letters, as a fraction of its height; a bone's edge is narrower
ON_GROUND = 0.5  # least share of a component that lies on the letter's pasted box
OFF_GROUND = 0.6  # likeness to a character from which a component beside that box is print all the same
THIN, IN_CORNER = 0.1, 0.15  # stroke width of a frame, and least size of a component in its corner, as fractions of the letter's size


def spoils(view: View, candidate: Candidate, ink: Ink, levels: list[Ink], ground: np.ndarray | None = None) -> str:
    """Why a candidate is not isolated.

    A ring isolates it from strokes outside the ring, and from strokes inside that are not on its line. A pasted box or disc
    isolates it from strokes outside that. Strokes of the same size count anywhere in the detected box; elsewhere only on the same line,
    or directly above or below it in exactly the same size.

    Args:
        view: the detected box.
        candidate: the laterality marker to be.
        ink: strokes of its polarity, at one threshold.
        levels: the same at all thresholds.
        ground: (h, w) bool, the pasted box or disc under it; None if there is none.

    Returns:
        `PART_OF_TEXT`, or "" if it is isolated.
    """
    letter_mask = candidate.ink.mask(candidate.letters)
    ringed = letter_mask | (candidate.ink.labels == candidate.frame) if candidate.frame else letter_mask
    own_labels, box = set(np.unique(ink.labels[ringed]).tolist()), inside(view, ink)
    bright, sharp, wide = stroke_statistics(candidate.ink, letter_mask)
    letter_box = _upright_box(candidate, candidate.ink, candidate.letters)
    w, h = letter_box[2] - letter_box[0], letter_box[3] - letter_box[1]
    if wide < THIN * max(w, h) and _holds_several(candidate, ink, own_labels, letter_box):
        return PART_OF_TEXT
    for i in range(1, len(ink.stats)):
        if i in own_labels or max(ink.stats[i, 2:4]) < 0.4 * h or i in ink.rings:
            continue
        if candidate.frame and not _is_within(ink.stats[i], candidate.ink.stats[candidate.frame]):
            continue
        if ground is not None and ground[ink.labels == i].mean() < ON_GROUND and not _is_print(ink, i):
            continue
        other_box = _upright_box(candidate, ink, (i,))
        ratio = (other_box[3] - other_box[1]) / h
        overlap_y = min(other_box[3], letter_box[3]) - max(other_box[1], letter_box[1])
        overlap_x = min(other_box[2], letter_box[2]) - max(other_box[0], letter_box[0])
        lower_case = 0.6 <= ratio < 0.8 and abs(other_box[3] - letter_box[3]) < 0.15 * h
        narrow = other_box[2] - other_box[0] < THINNEST * (other_box[3] - other_box[1])
        beside = overlap_y > 0.5 * min(other_box[3] - other_box[1], h) and -0.25 * w < -overlap_x < (NARROW_GAP if lower_case or narrow else 1.0) * h
        line = (0.8 <= ratio <= 1.3 or lower_case) and beside
        stack = 0.9 <= ratio <= 1.12 and overlap_x > 0.5 * min(other_box[2] - other_box[0], w) and -0.2 * h < -overlap_y < 0.4 * h
        listed = i in box and 0.8 < ratio < 1.25 and not (overlap_x > 0 and overlap_y > 0)
        merged = ratio > 1.3 and beside and not narrow
        if not (line or merged or (stack or listed) and not candidate.frame):
            continue
        if not (line or merged) and abs(overlap_y) < 0.4 * h and overlap_y < 0 and _has_a_row(candidate, ink, i, own_labels, other_box):
            continue
        contrast, sharpness, width = stroke_statistics(ink, ink.labels == i)
        alike = 0.4 < contrast / bright < 2.5 and 0.45 < sharpness / sharp and 0.65 < width / wide < (3.5 if merged else 1.6)
        if not alike or (ink.dark and not on_plate(view, ink, i)):
            continue
        if line and not merged and _are_stacked(candidate, ink.labels == i, levels):
            continue
        # a component that is near but not on the line must resemble a character by itself
        certain = (merged and -overlap_x < 0.5 * h) or (line and not lower_case)
        if certain or (sharpness > 0.7 * sharp and looks_like(ink, i, None) > CHARACTER):
            return PART_OF_TEXT
    return ""


def _is_print(ink: Ink, index: int) -> bool:
    """Whether a component resembles some character and ends within the view, unlike a bone or a wire."""
    x, y, w, h, _ = (int(v) for v in ink.stats[index])
    whole = x > 0 and y > 0 and x + w < ink.labels.shape[1] and y + h < ink.labels.shape[0]
    return whole and looks_like(ink, index, None) > OFF_GROUND


def _holds_several(c: Candidate, ink: Ink, own_labels: set[int], letter_box: np.ndarray) -> bool:
    """Whether several components lie within the upright box of a candidate, as in the corner of a frame, which resembles an L.

    Args:
        own_labels: labels of the candidate.  letter_box: its `_upright_box`.
    """
    large = [i for i in range(1, len(ink.stats)) if i not in own_labels and max(ink.stats[i, 2:4]) >= IN_CORNER * max(letter_box[2:] - letter_box[:2])]
    middles = [_upright_box(c, ink, (i,)).reshape(2, 2).mean(axis=0) for i in large]
    return sum(bool((middle > letter_box[:2]).all() and (middle < letter_box[2:]).all()) for middle in middles) > 1


def _is_within(stats: np.ndarray, ring: np.ndarray) -> bool:
    """Whether a component (x, y, w, h, area) lies within the bounding box of a ring."""
    (x, y, w, h), (a, b, c, d) = (s[:4].astype(int) for s in (stats, ring))
    return bool(x >= a and y >= b and x + w <= a + c and y + h <= b + d)


def _are_stacked(c: Candidate, mask: np.ndarray, levels: list[Ink]) -> bool:
    """Whether a component beside the candidate is two or more letters above each other that touch: at a stricter threshold they
    separate. Initials stand so beside a laterality marker, the next letter of its word does not."""
    for ink in levels:
        parts = Ink.of(mask & (ink.labels > 0), ink.hat, ink.dark)
        areas = parts.stats[1:, 4]
        big = [k for k in range(1, len(parts.stats)) if parts.stats[k, 4] > 0.25 * areas.sum()]
        if len(big) < 2:
            continue
        spans = sorted(tuple(_upright_box(c, parts, (k,))[[1, 3]]) for k in big)
        heights = [high - low for low, high in spans]
        apart = all(low >= high - 0.15 * min(heights) for (_, high), (low, _) in zip(spans, spans[1:]))
        if apart and min(heights) > 0.6 * max(heights):
            return True
    return False


def _has_a_row(c: Candidate, ink: Ink, index: int, own_labels: set[int], component_box: np.ndarray) -> bool:
    """Whether a component stands in a separate line above or below the candidate, as one of several letters or as several joined
    ones. That line does not belong to the candidate's word.

    Args:
        own_labels: labels of the candidate.
        component_box: the component's `_upright_box`.
    """
    h, w = component_box[3] - component_box[1], component_box[2] - component_box[0]
    if w > 1.4 * h:
        return True
    for j in range(1, len(ink.stats)):
        if j == index or j in own_labels or max(ink.stats[j, 2:4]) < 0.6 * h:
            continue
        other = _upright_box(c, ink, (j,))
        overlap_y = min(other[3], component_box[3]) - max(other[1], component_box[1])
        overlap_x = min(other[2], component_box[2]) - max(other[0], component_box[0])
        if 0.7 < (other[3] - other[1]) / h < 1.4 and overlap_y > 0.6 * h and -0.7 * h < overlap_x < 0.2 * w:
            return True
    return False


def stroke_statistics(ink: Ink, mask: np.ndarray) -> tuple[float, float, float]:
    """(contrast in grey levels, sharpness of the outline, stroke width in pixels) of a (h, w) bool mask of strokes, each at least 1.
    Anatomy has a softer outline than lead or text."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y, x = max(0, rows[0] - 2), max(0, columns[0] - 2)
    part = np.s_[y : rows[-1] + 3, x : columns[-1] + 3]
    shape_mask, hat = glyphs.padded(mask[part].astype(np.uint8), 1), np.pad(ink.hat[part], 1, mode="edge")
    slope = cv2.morphologyEx(hat, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    outline = shape_mask - cv2.erode(shape_mask, np.ones((3, 3), np.uint8)) > 0
    width = 2 * float(cv2.distanceTransform(shape_mask, cv2.DIST_L2, 5).max())
    return max(1.0, percentile(hat[shape_mask > 0], 50)), max(1.0, percentile(slope[outline], 50)), max(1.0, width)


def _upright_box(c: Candidate, ink: Ink, indices: tuple[int, ...]) -> np.ndarray:
    """(4,) xyxy of components of `ink` after the turn and flip that make the candidate upright; any origin, work pixels."""
    points = []
    for i in indices:
        x, y, w, h, _ = ink.stats[i]
        rows, columns = np.nonzero(ink.labels[y : y + h, x : x + w] == i)
        points.append(np.stack([columns + x, rows + y]))
    angle = np.radians(c.skew + 90 * (c.view % 4))
    turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) @ np.concatenate(points, axis=1)
    if c.view > 3:
        turned[0] = -turned[0]
    return np.array([turned[0].min(), turned[1].min(), turned[0].max() + 1, turned[1].max() + 1])


def unless_initial(frame: np.ndarray, reading: Reading, dark: bool) -> Reading:
    """The reading, with doubt `BESIDE` where it is an initial beside a larger laterality marker.

    Args:
        frame: (H, W) uint8, displayed.
        reading: of that frame.
        dark: whether its strokes are darker than their surroundings.
    """
    initial = reading.text and not reading.doubt and _is_initial(frame, reading, dark)
    return replace(reading, doubt=BESIDE) if initial else reading


def _is_initial(frame: np.ndarray, reading: Reading, dark: bool) -> bool:
    """Whether a much larger laterality marker is next to the reading, which then is an initial.

    A letter with a ring or plate is never an initial.
    """
    if reading.strokes is None or not reading.strokes.any():
        return False
    x1, y1 = reading.xyxy[:2]
    rows, columns = np.flatnonzero(reading.strokes.any(1)), np.flatnonzero(reading.strokes.any(0))
    box = x1 + int(columns[0]), y1 + int(rows[0]), x1 + int(columns[-1]) + 1, y1 + int(rows[-1]) + 1
    if reading.framed:
        return False
    view = around(frame, box, LARGEST_MARKER)
    if view is None:
        return False
    ink = coarse_ink(view, dark)
    x1, y1, x2, y2 = view.inner
    size = max(x2 - x1, y2 - y1)
    within = np.s_[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]
    bright = percentile(ink.hat[within], 75)
    for i in range(1, len(ink.stats)):
        x, y, w, h, _ = ink.stats[i]
        if not (LARGER * size < max(w, h) < LARGEST_MARKER * size and 0 <= boxes.gap(view.inner.tolist(), (x, y, x + w, y + h)) < NEXT * size):
            continue
        if percentile(ink.hat[ink.labels == i], 50) > 0.6 * bright and looks_like(ink, i, reading.text[0]) > MARKER_LIKENESS:
            return True
    return False


def looks_like(ink: Ink, index: int, char: str | None) -> float:
    """Greatest correlation, -1 to 1 and in any orientation, of a component with L, R or `char`; with any character if `char` is None."""
    shape = ink.shape(index)
    chars, scores = glyphs.likeness(glyphs.tight(glyphs.turn(shape, glyphs.skew_deg(shape)[0])))
    return float((scores if char is None else scores[:, np.isin(chars, ["L", "R", char])]).max())
