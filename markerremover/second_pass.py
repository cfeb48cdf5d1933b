"""Pass 2: is a detected box an isolated sign that may stay, and which of its pixels are the sign?

After Khosravi et al. 2023: at the original resolution, Otsu threshold, largest connected component, upright, OCR for an
isolated letter. Added here: flat-field by morphological top-hat before Otsu (letters over bone), dark letters cut out of
a plate, ringed letters, mirrored ones, skew, words such as LEFT, and a look around the box, so that the L of a name is
never taken for a side sign.

A sign is released only if the OCR engine reads it from the component alone, its shape resembles the sign, and nothing
around it makes it part of a longer text. Whatever else comes back without text or with a `doubt`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Sequence

import cv2
import numpy as np

from . import glyphs
from .ocr import Reader
from .records import Reading
from .staying import CLEAR, CLEAR_PX, is_empty, own_pixels, pieces
from .strokes import (
    EDGE_PX, EDGE_SHARE, SMALLEST_BOX, Ink, View, around, coarse_ink, cropped, distance, in_source, inks, inside, largest, look, on_plate, parted, without_appendix,
    without_neighbour,
)

__all__ = ["insist", "second_pass"]

NOTHING, TEXT, SMALL = "nothing to read", "part of a longer text", "beside a larger sign"
WHITELIST = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"  # all letters: offered L and R alone, Tesseract makes an L of a bar
LEAST_LIKENESS = 0.62  # shapes less alike than this to a kept sign are not shown to the OCR engine
RIVAL = 0.06  # another character may resemble the shape at most this much better
SOLID = 0.78  # strokes that fill more of their upright box are a plate, whatever is cut out of it
HOPELESS = 0.5  # below this, tilting a shape a little is not tried
LEAST_WHOLE = 0.45  # of a component's area at Otsu's threshold
SIMILAR = 0.75  # shapes at least this alike get a second chance with the OCR engine
LARGER, LARGEST_SIGN, NEXT = 1.5, 4.0, 1.5  # a sign this many times as large, at most this far off, makes a letter its initial
CHARACTER = 0.75  # how alike a neighbour off the line must be to some character to count as text
BIG_SIGN = 0.85  # how alike that must be to a letter
WORD_THRESHOLDS = 2  # how many thresholds words are tried at: Otsu's may leave neighbouring letters joined
SMALLER = 0.8  # of a word's letters: smaller things in its line are not among them
ON_POINT_DEG, EQUAL_ARMS = 25.0, 0.85  # an L turned this far with arms this equal is an arrowhead
RETAKES = (-0.08, 0.12, -0.04)  # of its size by which a box is grown on each side to read it again
WORD_RETAKES = (-0.06, -0.1, 0.05)
BAR, ARM = 0.4, 0.6  # of an L's size, and of its width or height if that is less: the length that its bars have at least
NARROW_GAP = 0.4  # of its height: how far off a small letter, an I or a 1 still belongs to a sign's word
THINNEST = 0.3  # width of a tall neighbour that may be letters in one, as a share of its height; less is a bone's edge
CONVINCING = 0.6  # confidence at which no other threshold or polarity is tried
DOUBTABLE = 0.5  # confidence from which a doubt about a reading is the last word: half a stencil letter, read as an L with
# next to no confidence, must not make the whole one part of a longer text
TILTS = (-8.0, 8.0)  # degrees also tried around the measured skew: slanted fonts
OCR_HEIGHT, OCR_BORDER = 40, 14  # letter height and white border of the images for OCR, in pixels
ONE_WORD, ONE_CHARACTER = 8, 10  # Tesseract's page segmentation modes; the latter drops many a fat R


@dataclass(frozen=True)
class Candidate:
    """Components that look like a kept sign. letters: their labels in `ink`.  frame: label of the ring around them, or 0.
    view: which of `glyphs.dihedral` of the shape turned counter-clockwise by `skew` degrees is upright."""

    ink: Ink
    letters: tuple[int, ...]
    sign: str
    likeness: float
    skew: float
    view: int
    frame: int = 0


def second_pass(
    display_frame: np.ndarray, xyxy: np.ndarray, keep: tuple[str, ...], reader: Reader, others: Sequence[np.ndarray] = ()
) -> Reading:
    """Read one box.

    Args:
        display_frame: (H, W) uint8, bright = dense; not changed.
        xyxy: (4,) detector box in source pixels; may be loose, tight, or partly outside.
        keep: the signs that may stay, upper case; single characters or words.
        reader: an OCR engine, see `ocr.open_reader`.
        others: further views of the same frame, (H, W) uint8 each: ground stays only where it is empty in all of them.

    Returns:
        A Reading whose `text` is one of `keep` or ""; odd boxes give a Reading with a doubt, never an error.
    """
    view = look(display_frame, xyxy)
    if not isinstance(view, View):
        return Reading(view, doubt=NOTHING)
    letters = tuple(sign for sign in keep if len(sign) == 1 and glyphs.drawable(sign))
    words = tuple(sign for sign in keep if len(sign) > 1)
    best, unlike = Reading(view.box), set()
    for same in inks(view):
        for ink in same[:WORD_THRESHOLDS] if words else ():
            reading = _read_word((display_frame, *others), view, ink, same, words, reader)
            if reading and (reading.doubt or reading.confidence >= CONVINCING):
                return _unless_initial(display_frame, reading, ink.dark)
        for ink in (*same, *parted(view, same[0])):
            reading = _read_letter((display_frame, *others), view, ink, same, letters, reader, unlike)
            reading = _unless_initial(display_frame, reading, ink.dark)
            if reading.confidence >= (DOUBTABLE if reading.doubt else CONVINCING):
                return reading
            best = max(best, reading, key=lambda r: r.confidence)
    return best


def insist(
    display_frame: np.ndarray, xyxy: np.ndarray, keep: tuple[str, ...], reader: Reader, others: Sequence[np.ndarray] = (), *,
    sign: bool = True,
) -> Reading:
    """`second_pass`, and again with the box somewhat smaller and larger, since the threshold of faint strokes and of stencils
    hangs on the box: of one that the localizer takes for a `sign`, where nothing was read in it or not surely; of any, where a
    letter of a longer text was read, which may be one of the words to keep.

    Returns:
        The surest reading of all, but the first that is sure enough to be doubted, and a doubted one if two such say
        different signs.
    """
    first = best = second_pass(display_frame, xyxy, keep, reader, others)
    words = tuple(word for word in keep if len(word) > 1 and first.text and first.text in word)
    if first.doubt == TEXT and words:
        for share in WORD_RETAKES:
            word = second_pass(display_frame, _grown(xyxy, share), words, reader, others)
            if not word.doubt and word.confidence >= CONVINCING:
                return word
    if not sign:
        return first
    for share in RETAKES if first.xyxy[2] - first.xyxy[0] >= SMALLEST_BOX else ():
        if best.confidence >= (DOUBTABLE if best.doubt else CONVINCING):
            break
        reading = second_pass(display_frame, _grown(xyxy, share), keep, reader, others)
        if reading.doubt == NOTHING:
            continue
        if min(best.confidence, reading.confidence) >= DOUBTABLE and best.text != reading.text:
            return replace(best, doubt=TEXT)
        best = max(best, reading, key=lambda r: r.confidence)
    return best


def _grown(xyxy: np.ndarray, share: float) -> np.ndarray:
    """(4,) box grown on every side by a share of its width or height; smaller where that is negative."""
    x1, y1, x2, y2 = np.asarray(xyxy, np.float64)
    return np.array([x1, y1, x2, y2]) + share * np.array([x1 - x2, y1 - y2, x2 - x1, y2 - y1])


def _read_letter(
    frames: Sequence[np.ndarray], view: View, ink: Ink, same: list[Ink], letters: tuple[str, ...], reader: Reader, unlike: set[tuple[int, ...]]
) -> Reading:
    """The largest component of the box that reads as one of `letters`; only a few and only large ones are tried.

    `unlike` gathers where components lay that resemble none of them, so that they are not tried at the next threshold.
    """
    for index, ring in largest(view, ink):
        place = (ink.dark, *np.round(ink.stats[index] / (3, 3, 3, 3, 100)).astype(int).tolist())
        if place in unlike or (not ring and not _whole(view, ink, index, same[0])):
            continue
        if ink.dark and not ring and not on_plate(view, ink, index):
            continue
        candidates = _candidates(ink, index, ring, letters)
        if not candidates:
            unlike.add(place)
        for candidate in candidates:
            confidence = _vote(candidate, reader)
            if confidence:
                return _reading(frames, view, candidate, confidence, same)
    return Reading(view.box)


def _whole(view: View, ink: Ink, index: int, base: Ink) -> bool:
    """Whether a component is most of the one it belongs to in `base`, as far as that lies in the box: a piece of a letter
    may look like another letter."""
    if ink is base:
        return True
    mask = ink.labels == index
    x1, y1, x2, y2 = np.round(view.inner).astype(int)
    mother = np.isin(base.labels[y1:y2, x1:x2], np.unique(base.labels[mask & (base.labels > 0)]))
    return bool(mask.sum() >= LEAST_WHOLE * mother.sum())


def _reading(frames: Sequence[np.ndarray], view: View, c: Candidate, confidence: float, same: list[Ink]) -> Reading:
    doubt = next(filter(None, (_around(view, c, ink, same) for ink in _distinct(c.ink, same))), "")
    if len(c.letters) == 1 and not c.frame:
        c = _bare(c, same[1:])
    letter = _letter(view, c, same) if len(c.letters) == 1 else None
    xyxy, strokes = cropped(view, _staying(frames, view, c, same, letter is not None))
    turned = (c.skew + 90 * (c.view % 4)) % 360
    if letter is not None:
        X1, Y1 = view.window[:2]
        letter = letter[xyxy[1] - Y1 : xyxy[3] - Y1, xyxy[0] - X1 : xyxy[2] - X1].copy()
    return Reading(xyxy, c.sign, round(confidence, 3), strokes, turned, c.view > 3, doubt, letter)


def _letter(view: View, c: Candidate, same: list[Ink]) -> np.ndarray | None:
    """(H, W) bool over the view's window, source pixels: the strokes of a single letter without what hangs on to it. An L is two
    bars: what is in neither is not its own. Of other letters None, unless they stand apart at one of the thresholds."""
    mask = c.ink.labels == c.letters[0]
    size = max(c.ink.stats[c.letters[0], 2:4])
    if c.sign == "L":
        arms = glyphs.tight(glyphs.turn(c.ink.shape(c.letters[0]), c.skew)).shape[::-1]
        lengths = [max(3, round(min(BAR * size, ARM * arm))) for arm in arms]
        bars = [cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _line_at(n, c.skew + turn)) for n, turn in zip(lengths, (0, 90))]
        mask = (bars[0] | bars[1]) > 0
    else:
        outside = distance(mask) > max(EDGE_PX * view.scale, EDGE_SHARE * size)
        if all((np.isin(ink.labels, np.unique(ink.labels[mask & (ink.labels > 0)])) & outside).any() for ink in same):
            return None
    return in_source(view, mask)


def _line_at(length: int, degrees: float) -> np.ndarray:
    """A structuring element: a line of so many pixels, `degrees` clockwise from level as seen."""
    reach = length / 2 * np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    half = int(np.ceil(np.abs(reach).max()))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.uint8)
    start, end = ((half + sign * np.round(reach)).astype(int).tolist() for sign in (-1, 1))
    return cv2.line(kernel, start, end, 1)


def _staying(frames: Sequence[np.ndarray], view: View, c: Candidate, same: list[Ink], apart: bool) -> np.ndarray:
    """(H, W) bool over the view's window, source pixels: the sign's strokes, and its ground if nothing else is on it.

    Args:
        apart: whether it is a letter that stands alone, whose box may then be ground.
    """
    own = own_pixels(view, c.ink, c.letters, same, apart)
    strokes = in_source(view, own.strokes)
    x1, y1, x2, y2 = view.window
    size_px = float(max(max(c.ink.stats[i, 2:4]) for i in c.letters)) / view.scale
    clear = distance(strokes) > max(CLEAR_PX, CLEAR * size_px)
    stay = strokes
    for ground in (piece for whole in own.grounds for piece in pieces(in_source(view, whole))):
        if all(is_empty(frame[y1:y2, x1:x2], ground & clear, size_px) for frame in frames):
            stay = stay | ground
    return stay


def _distinct(ink: Ink, same: list[Ink]) -> list[Ink]:
    return same if any(ink is each for each in same) else [ink, *same]


def _bare(c: Candidate, stricter: list[Ink]) -> Candidate:
    """The candidate without what hangs on to it by thin strokes or a dim bridge, where it then looks more like the sign."""
    for part in (without_appendix, lambda ink, index: without_neighbour(ink, index, stricter)):
        ink, index = part(c.ink, c.letters[0])
        if ink is c.ink:
            continue
        chars, scores = glyphs.likeness(glyphs.tight(glyphs.turn(ink.shape(index), c.skew)))
        likeness = float(scores[c.view, list(chars).index(c.sign)])
        if likeness > c.likeness:
            c = replace(c, ink=ink, letters=(index,), likeness=likeness)
    return c


def _candidates(ink: Ink, index: int, frame: int, letters: tuple[str, ...]) -> list[Candidate]:
    """Ways to hold the component up so that it looks like one of `letters`, the likeliest two."""
    shape = ink.shape(index)
    if min(shape.shape) < 5 or not letters:
        return []
    skew, _ = glyphs.skew_deg(shape)
    if glyphs.tight(glyphs.turn(shape, skew)).mean() > SOLID:
        return []
    found: dict[tuple[str, int], Candidate] = {}
    rival = -1.0
    for angle in [skew] + [0.0] * (abs(skew) > 2) + [skew + tilt for tilt in TILTS]:
        chars, scores = glyphs.likeness(glyphs.tight(glyphs.turn(shape, angle)) if abs(angle) > 1 else shape)
        for sign in letters:
            column = scores[:, list(chars).index(sign)]
            view = int(column.argmax())
            known = found.get((sign, view))
            if known is None or column[view] > known.likeness + 0.01:
                found[sign, view] = Candidate(ink, (index,), sign, float(column[view]), angle, view, frame)
        rival = max(rival, float(scores[:, ~np.isin(chars, letters)].max(initial=-1.0)))
        if angle == skew and max(c.likeness for c in found.values()) < HOPELESS:
            break
    found = {k: c for k, c in found.items() if c.likeness >= max(LEAST_LIKENESS, rival - RIVAL) and not _is_arrowhead(c)}
    return sorted(found.values(), key=lambda c: -c.likeness)[:2]


def _is_arrowhead(c: Candidate) -> bool:
    """Whether an L with equal arms stands on its corner: the head of an arrow."""
    if c.sign != "L" or abs(c.skew) < ON_POINT_DEG:
        return False
    h, w = glyphs.tight(glyphs.turn(c.ink.shape(c.letters[0]), c.skew)).shape
    return EQUAL_ARMS < w / h < 1 / EQUAL_ARMS


def _vote(c: Candidate, reader: Reader) -> float:
    """Mean confidence (0–1) with which the engine reads the sign; another reading counts 0.

    Two pictures, one taken for a word and one for a character, are enough if they agree; else all three, both ways.
    """
    pictures = _pictures(c)

    def votes(some: list[np.ndarray], psm: int) -> np.ndarray:
        found = reader.read(some, whitelist=WHITELIST, psm=psm)
        return np.array([confidence if text.upper() == c.sign else 0.0 for text, confidence in found])

    first = np.array([votes(pictures[:1], ONE_WORD)[0], votes(pictures[1:2], ONE_CHARACTER)[0]])
    if first.min() >= CONVINCING:
        return float(first.mean())
    if not first.any() and c.likeness < SIMILAR:
        return 0.0
    return float(np.maximum(votes(pictures, ONE_WORD), votes(pictures, ONE_CHARACTER)).mean())


def _pictures(c: Candidate) -> list[np.ndarray]:
    """Three upright pictures of a sign, (H, W) uint8, dark on white: its strokes, its soft grey, its strokes made thinner
    or fatter."""
    x, y, w, h = _bounds(c)
    pad = 4
    shape = np.pad(np.isin(c.ink.labels[y : y + h, x : x + w], c.letters), pad)
    grey = np.pad(c.ink.hat[y : y + h, x : x + w], pad).astype(np.float32)
    grey = np.clip(grey / max(1.0, float(np.percentile(grey[shape], 60))), 0, 1)
    grey[cv2.dilate(shape.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0] = 0
    hard, soft = (_upright(image, c) for image in (shape.astype(np.float32), grey))
    fat = (hard < 128).mean() > 0.17
    change = cv2.dilate if fat else cv2.erode  # dark strokes: dilating the white thins them
    return [hard, soft, cv2.GaussianBlur(change(hard, np.ones((3, 3), np.uint8), iterations=2 if fat else 1), (3, 3), 0)]


def _bounds(c: Candidate) -> tuple[int, int, int, int]:
    """x, y, w, h around all letters of the sign, work frame."""
    s = c.ink.stats[list(c.letters)]
    x, y = int(s[:, 0].min()), int(s[:, 1].min())
    return x, y, int((s[:, 0] + s[:, 2]).max()) - x, int((s[:, 1] + s[:, 3]).max()) - y


def _upright(image: np.ndarray, c: Candidate) -> np.ndarray:
    """(H, W) float32 strokes 0–1 as an upright uint8 picture, `OCR_HEIGHT` high, dark on white, with a border."""
    h, w = image.shape
    side = int(np.hypot(h, w)) + 2
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), c.skew, 1.0)
    matrix[:, 2] += side / 2 - np.array([w / 2, h / 2])
    image = glyphs.dihedral(cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR))[c.view]
    rows, columns = np.flatnonzero((image > 0.3).any(1)), np.flatnonzero((image > 0.3).any(0))
    image = np.ascontiguousarray(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    factor = OCR_HEIGHT / image.shape[0]
    size = max(4, round(image.shape[1] * factor)), OCR_HEIGHT
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    return np.pad(255 - np.round(image * 255).astype(np.uint8), OCR_BORDER, constant_values=255)


def _around(view: View, c: Candidate, ink: Ink, same: list[Ink]) -> str:
    """Why the sign is not isolated among the strokes of `ink` (of its own polarity; `same` at all thresholds), "" if it is. A
    ring isolates.

    Anything of the same size counts if it is in the box itself, elsewhere what stands on the same line,
    or under or above it in exactly the same size.
    """
    mine = np.isin(c.ink.labels, c.letters)
    own, box = set(np.unique(ink.labels[mine]).tolist()), inside(view, ink)
    bright, sharp, wide = _look_of(c.ink, mine)
    me = _upright_box(c, c.ink, c.letters)
    w, h = me[2] - me[0], me[3] - me[1]
    for i in range(1, len(ink.stats)):
        if i in own or c.frame or max(ink.stats[i, 2:4]) < 0.4 * h or i in ink.rings:
            continue
        near = _upright_box(c, ink, (i,))
        ratio = (near[3] - near[1]) / h
        across = min(near[3], me[3]) - max(near[1], me[1])
        along = min(near[2], me[2]) - max(near[0], me[0])
        lower_case = 0.6 <= ratio < 0.8 and abs(near[3] - me[3]) < 0.15 * h
        narrow = near[2] - near[0] < THINNEST * (near[3] - near[1])
        beside = across > 0.5 * min(near[3] - near[1], h) and -0.25 * w < -along < (NARROW_GAP if lower_case or narrow else 1.0) * h
        line = (0.8 <= ratio <= 1.3 or lower_case) and beside
        stack = 0.9 <= ratio <= 1.12 and along > 0.5 * min(near[2] - near[0], w) and -0.2 * h < -across < 0.4 * h
        listed = i in box and 0.8 < ratio < 1.25 and not (along > 0 and across > 0)
        merged = ratio > 1.3 and beside and not narrow
        if not (line or stack or listed or merged):
            continue
        if not (line or merged) and abs(across) < 0.4 * h and across < 0 and _has_a_row(c, ink, i, own, near):
            continue
        its = _look_of(ink, ink.labels == i)
        alike = 0.4 < its[0] / bright < 2.5 and 0.45 < its[1] / sharp and 0.65 < its[2] / wide < (3.5 if merged else 1.6)
        if not alike or (ink.dark and not on_plate(view, ink, i)):
            continue
        if line and not merged and _are_stacked(c, ink.labels == i, same):
            continue
        # what is only near, not on the line, must look like a character by itself
        certain = (merged and -along < 0.5 * h) or (line and not lower_case)
        if certain or (its[1] > 0.7 * sharp and _looks_like(ink, i, None) > CHARACTER):
            return TEXT
    return ""


def _are_stacked(c: Candidate, mask: np.ndarray, same: list[Ink]) -> bool:
    """Whether what seems to be one character beside the sign is two letters or more above each other, which only touch: at
    a stricter threshold they fall apart. Initials stand so beside a sign, and never the next letter of its word."""
    for ink in same:
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


def _has_a_row(c: Candidate, ink: Ink, index: int, own: set[int], near: np.ndarray) -> bool:
    """Whether a component stands in a line of its own, above or below the sign: as one of several letters, or as several
    in one. What is written there is not the sign's word.

    Args:
        own: labels that belong to the sign.
        near: the component's `_upright_box`.
    """
    h, w = near[3] - near[1], near[2] - near[0]
    if w > 1.4 * h:
        return True
    for j in range(1, len(ink.stats)):
        if j == index or j in own or max(ink.stats[j, 2:4]) < 0.6 * h:
            continue
        other = _upright_box(c, ink, (j,))
        across = min(other[3], near[3]) - max(other[1], near[1])
        along = min(other[2], near[2]) - max(other[0], near[0])
        if 0.7 < (other[3] - other[1]) / h < 1.4 and across > 0.6 * h and -0.7 * h < along < 0.2 * w:
            return True
    return False


def _look_of(ink: Ink, mask: np.ndarray) -> tuple[float, float, float]:
    """(contrast, sharpness of the outline, stroke width) of some strokes, none 0; anatomy is softer than lead or text."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y, x = max(0, rows[0] - 2), max(0, columns[0] - 2)
    part = np.s_[y : rows[-1] + 3, x : columns[-1] + 3]
    near, hat = np.pad(mask[part], 1).astype(np.uint8), np.pad(ink.hat[part], 1, mode="edge")
    slope = cv2.morphologyEx(hat, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    outline = near - cv2.erode(near, np.ones((3, 3), np.uint8)) > 0
    width = 2 * float(cv2.distanceTransform(near, cv2.DIST_L2, 5).max())
    return max(1.0, float(np.median(hat[near > 0]))), max(1.0, float(np.median(slope[outline]))), max(1.0, width)


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


def _unless_initial(frame: np.ndarray, reading: Reading, dark: bool) -> Reading:
    """The reading, doubted where it is an initial beside a larger sign."""
    initial = reading.text and not reading.doubt and _is_initial(frame, reading, dark)
    return replace(reading, doubt=SMALL) if initial else reading


def _is_initial(frame: np.ndarray, reading: Reading, dark: bool) -> bool:
    """Whether a much larger sign stands next to what was read, which then is an initial below it.

    A ring or plate makes a sign of its own.
    """
    if not reading.strokes.any():
        return False
    x1, y1 = reading.xyxy[:2]
    rows, columns = np.flatnonzero(reading.strokes.any(1)), np.flatnonzero(reading.strokes.any(0))
    box = x1 + int(columns[0]), y1 + int(rows[0]), x1 + int(columns[-1]) + 1, y1 + int(rows[-1]) + 1
    if reading.framed:
        return False
    view = around(frame, box, LARGEST_SIGN)
    if view is None:
        return False
    ink = coarse_ink(view, dark)
    x1, y1, x2, y2 = view.inner
    size = max(x2 - x1, y2 - y1)
    within = np.s_[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]
    bright = float(np.percentile(ink.hat[within], 75))
    for i in range(1, len(ink.stats)):
        x, y, w, h, _ = ink.stats[i]
        gap = max(x - x2, x1 - x - w, y - y2, y1 - y - h)
        if not (LARGER * size < max(w, h) < LARGEST_SIGN * size and 0 <= gap < NEXT * size):
            continue
        if float(np.median(ink.hat[ink.labels == i])) > 0.6 * bright and _looks_like(ink, i, reading.text[0]) > BIG_SIGN:
            return True
    return False


def _looks_like(ink: Ink, index: int, sign: str | None) -> float:
    """How much a component resembles L, R or the sign, whatever way up it is; any character if `sign` is None."""
    shape = ink.shape(index)
    chars, scores = glyphs.likeness(glyphs.tight(glyphs.turn(shape, glyphs.skew_deg(shape)[0])))
    return float((scores if sign is None else scores[:, np.isin(chars, ["L", "R", sign])]).max())


def _read_word(
    frames: Sequence[np.ndarray], view: View, ink: Ink, same: list[Ink], words: tuple[str, ...], reader: Reader
) -> Reading | None:
    """The components of the box that stand on one line, if together they read as one of `words`."""
    everything = _line(ink, inside(view, ink))
    for count in sorted({len(word) for word in words} & set(range(2, len(everything) + 1)), reverse=True):
        line = _tallest(ink, everything, count)
        if line and not (ink.dark and not all(on_plate(view, ink, i) for i in line)):
            reading = _spelled(frames, view, ink, same, line, [word for word in words if len(word) == count], reader)
            if reading:
                return reading
    return None


def _tallest(ink: Ink, line: list[int], count: int) -> list[int]:
    """The `count` largest of a line of components, in its order, if all others are clearly smaller; else []."""
    size = np.sort(ink.stats[line, 2:4].max(axis=1))[::-1]
    if count < len(line) and size[count] > SMALLER * size[count - 1]:
        return []
    return [i for i in line if max(ink.stats[i, 2:4]) >= size[count - 1]]


def _spelled(
    frames: Sequence[np.ndarray], view: View, ink: Ink, same: list[Ink], line: list[int], words: list[str], reader: Reader
) -> Reading | None:
    """A line of components, if it reads as one of `words`, all as long as it."""
    s = ink.stats[line]
    middles = np.stack([s[:, 0] + s[:, 2] / 2, s[:, 1] + s[:, 3] / 2], axis=1)
    ends = middles[-1] - middles[0]
    skew = float(np.degrees(np.arctan2(ends[1], ends[0])))
    chars, scores = zip(*(glyphs.likeness(glyphs.tight(glyphs.turn(ink.shape(i), skew))) for i in line))
    for word in words:
        columns = [list(chars[0]).index(char) if glyphs.drawable(char) else 0 for char in word]
        for turned in (0, 2, 4, 6):  # the line is level or upside down, and either of these mirrored
            letters = scores if turned in (0, 6) else scores[::-1]
            likeness = float(np.mean([table[turned, column] for table, column in zip(letters, columns)]))
            c = Candidate(ink, tuple(line), word, likeness, skew, turned)
            confidence = _vote(c, reader) if likeness >= LEAST_LIKENESS else 0.0
            if confidence:
                return _reading(frames, view, c, confidence, same)
    return None


def _line(ink: Ink, indices: list[int]) -> list[int]:
    """Those of the components that stand side by side with the largest: about as large, evenly spaced on one straight
    line, from one end to the other; [] if there are fewer than two."""
    if len(indices) < 2:
        return []
    s = ink.stats[indices]
    size = s[:, 2:4].max(axis=1)
    indices = [i for i, k in zip(indices, size) if 0.6 < k / size[0] < 1.7]
    s = ink.stats[indices]
    middles = np.stack([s[:, 0] + s[:, 2] / 2, s[:, 1] + s[:, 3] / 2], axis=1)
    if len(indices) < 2:
        return []
    along = np.linalg.svd(middles - middles.mean(axis=0))[2][0]
    order = np.argsort(middles @ along)
    off = np.abs((middles - middles.mean(axis=0)) @ np.array([-along[1], along[0]]))
    return [indices[k] for k in order] if off.max() < 0.3 * size[0] else []
