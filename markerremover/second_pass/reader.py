"""Pass 2: is a detected box an isolated sign that may stay, and which of its pixels are the sign?

After Khosravi et al. 2023: at the original resolution, Otsu threshold, largest connected component, upright, OCR for an
isolated letter. Added here: flat-field by morphological top-hat before Otsu (letters over bone), dark letters cut out of
a plate, ringed letters, mirrored ones, skew, words such as LEFT, and a look around the box, so that the L of a name is
never taken for a laterality marker.

A sign is released only if the OCR engine reads it from the component alone, its shape resembles the sign, and nothing
around it makes it part of a longer text. Whatever else comes back without text or with a `doubt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from ..records import Reading
from . import glyphs
from .doubts import NOTHING, PART_OF_TEXT
from .isolation import spoils, unless_initial
from .kept_pixels import CLEAR, CLEAR_PX, disc_around, is_empty, own_pixels, pieces, ring_around
from .sign_candidates import AHEAD_IN_WORDS, CONVINCING, LEAST_LIKENESS, Candidate, candidates, vote
from .strokes import (
    EDGE_PX,
    EDGE_SHARE,
    THRESHOLDS,
    Ink,
    distance,
    inks,
    inside,
    largest,
    on_plate,
    parted,
    picked,
    without_appendix,
    without_neighbour,
)
from .tesseract import Reader
from .two_bars import is_whole_l
from .view import SMALLEST_BOX, View, cropped, in_source, look

__all__ = ["insist", "is_unlike", "second_pass"]

LEAST_WHOLE = 0.45  # of a component's area at Otsu's threshold
WORD_THRESHOLDS = 2  # how many thresholds words are tried at: Otsu's may leave neighbouring letters joined
SMALLER = 0.8  # of a word's letters: smaller things in its line are not among them
RETAKES = (-0.08, 0.12, -0.04)  # of its size by which a box is grown on each side to read it again
WORD_SLACK = 2  # letters more than those of a word that a somewhat smaller box may leave out
WORD_RETAKES = (-0.06, -0.1)  # words that are read at last are so in somewhat smaller boxes
WORD_LONG = 1.8  # times as long as wide: the least of a word's box
LEAST_IN_FRAME = 0.25  # of its height: letters of a word in a frame
BAR, ARM = 0.4, 0.6  # of an L's size, and of its width or height if that is less: the length that its bars have at least
UNLIKE = 0.65  # a single letter whose own strokes resemble its sign less is none, whatever OCR says: of 641 laterality markers none did, a plus did
DOUBTABLE = 0.5  # confidence from which a doubt about a reading is the last word: half a stencil letter, read as an L with
# next to no confidence, must not make the whole one part of a longer text


def second_pass(
    display_frame: np.ndarray, xyxy: np.ndarray, keep: tuple[str, ...], reader: Reader, others: Sequence[np.ndarray] = (), *,
    sign: bool = True,
) -> Reading:
    """Read one box.

    Args:
        display_frame: (H, W) uint8, bright = dense; not changed.
        xyxy: (4,) detector box in source pixels; may be loose, tight, or partly outside.
        keep: the signs that may stay, upper case; single characters or words.
        reader: an OCR engine, see `tesseract.open_reader`.
        others: further views of the same frame, (H, W) uint8 each: ground stays only where it is empty in all of them.
        sign: whether the localizer takes it for a sign; else letters, as words, are looked for at the first `WORD_THRESHOLDS` only.

    Returns:
        A Reading whose `text` is one of `keep` or ""; odd boxes give a Reading with a doubt, never an error.
    """
    view = look(display_frame, xyxy)
    if not isinstance(view, View):
        return Reading(view, doubt=NOTHING)
    letters = tuple(sign for sign in keep if len(sign) == 1 and glyphs.drawable(sign))
    words = tuple(sign for sign in keep if len(sign) > 1)
    best, unlike = Reading(view.box), set()
    for rank, same in enumerate(inks(view)):
        for ink in same[:WORD_THRESHOLDS] if words else ():
            reading = _read_word((display_frame, *others), view, ink, same, words, reader)
            if reading and (reading.doubt or reading.confidence >= CONVINCING):
                return unless_initial(display_frame, reading, ink.dark)
        if not letters:
            continue
        for ink in (*same, *parted(view, same[0])) if sign or not rank else same:
            reading = _read_letter((display_frame, *others), view, ink, same, letters, reader, unlike)
            reading = unless_initial(display_frame, reading, ink.dark)
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
    first = best = second_pass(display_frame, xyxy, keep, reader, others, sign=sign)
    words = tuple(word for word in keep if len(word) > 1 and first.text and first.text in word)
    if first.doubt == PART_OF_TEXT and words and _may_spell(display_frame, xyxy, max(map(len, words))):
        for share in WORD_RETAKES:
            word = second_pass(display_frame, _grown(xyxy, share), words, reader, others)
            if not word.doubt and word.confidence >= CONVINCING:
                return word
    if not sign:
        return first
    for share in RETAKES if first.xyxy[2] - first.xyxy[0] >= SMALLEST_BOX else ():
        if _sureness(best) >= (DOUBTABLE if best.doubt else CONVINCING):
            break
        reading = second_pass(display_frame, _grown(xyxy, share), keep, reader, others)
        if reading.doubt == NOTHING:
            continue
        if min(best.confidence, reading.confidence) >= DOUBTABLE and best.text != reading.text:
            return replace(best, doubt=PART_OF_TEXT)
        best = max(best, reading, key=_sureness)
    return best


def is_unlike(reading: Reading) -> bool:
    """Whether the strokes of a letter, where they are known, do not look like it."""
    if reading.letter is None or not reading.letter.any() or not glyphs.drawable(reading.text):
        return False
    return glyphs.resembles(reading.letter, reading.text, reading.rotation_deg, reading.mirrored) < UNLIKE


def _sureness(reading: Reading) -> float:
    """Confidence of a reading, nothing where its strokes say otherwise: then the box is looked at again."""
    return reading.confidence if reading.doubt or len(reading.text) != 1 or not is_unlike(reading) else 0.0


def _may_spell(display_frame: np.ndarray, xyxy: np.ndarray, count: int) -> bool:
    """Whether a box may hold a word of at most `count` letters and little else: it is long, and no line of many more stands in it."""
    sides = sorted((float(xyxy[2] - xyxy[0]), float(xyxy[3] - xyxy[1])))
    if sides[1] < WORD_LONG * sides[0]:
        return False
    view = look(display_frame, xyxy)
    same = next(inks(view, THRESHOLDS[:WORD_THRESHOLDS]), []) if isinstance(view, View) else []
    return all(len(_line(ink, _unframed(view, ink))) <= count + WORD_SLACK for ink in same)


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
        if ink.dark and not on_plate(view, ink, index):
            continue
        likely = candidates(ink, index, ring, letters)
        if not likely:
            unlike.add(place)
        for candidate in likely:
            if candidate.sign == "L" and not is_whole_l(candidate, same[0], view.scale):
                continue
            confidence = vote(candidate, reader)
            if confidence:
                return _reading(frames, view, candidate, confidence, same)
    return Reading(view.box)


def _whole(view: View, ink: Ink, index: int, base: Ink) -> bool:
    """Whether a component is most of the one it belongs to in `base`, as far as that lies in the box: a piece of a letter
    may look like another letter."""
    if ink is base:
        return True
    x, y, w, h, area = ink.stats[index]
    below = base.labels[y : y + h, x : x + w][ink.shape(index)]
    x1, y1, x2, y2 = np.round(view.inner).astype(int)
    mother = picked(base.labels[y1:y2, x1:x2], below[below > 0])
    return bool(area >= LEAST_WHOLE * mother.sum())


def _reading(frames: Sequence[np.ndarray], view: View, c: Candidate, confidence: float, same: list[Ink]) -> Reading:
    letters = c.ink.mask(c.letters)
    ring = ring_around([c.ink, *same], letters) if c.frame else None
    ground = disc_around(view, letters) if not c.frame and not c.ink.dark else None
    doubt = next(filter(None, (spoils(view, c, ink, same, ground) for ink in _distinct(c.ink, same))), "")
    if len(c.letters) == 1 and not c.frame:
        c = _bare(c, same[1:])
    letter = _letter(view, c, same) if len(c.letters) == 1 else None
    xyxy, strokes = cropped(view, _staying(frames, view, c, same, letter is not None))
    turned = (c.skew + 90 * (c.view % 4)) % 360
    if letter is not None:
        X1, Y1 = view.window[:2]
        letter = letter[xyxy[1] - Y1 : xyxy[3] - Y1, xyxy[0] - X1 : xyxy[2] - X1].copy()
    return Reading(xyxy, c.sign, round(confidence, 3), strokes, turned, c.view > 3, doubt, letter, next((_bounds(view, each) for each in (ring, ground) if each is not None), None))


def _bounds(view: View, mask: np.ndarray) -> tuple[int, int, int, int]:
    """Integer source xyxy of a (h, w) bool mask of the work frame, not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x1, y1 = (int(np.floor(v / view.scale)) for v in (columns[0], rows[0]))
    x2, y2 = (int(np.ceil((v + 1) / view.scale)) for v in (columns[-1], rows[-1]))
    return view.window[0] + x1, view.window[1] + y1, view.window[0] + x2, view.window[1] + y2


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
        if all((ink.mask(ink.labels[mask & (ink.labels > 0)]) & outside).any() for ink in same):
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


def _read_word(
    frames: Sequence[np.ndarray], view: View, ink: Ink, same: list[Ink], words: tuple[str, ...], reader: Reader
) -> Reading | None:
    """The components of the box that stand on one line, if together they read as one of `words`."""
    everything = _line(ink, _unframed(view, ink))
    for count in sorted({len(word) for word in words} & set(range(2, len(everything) + 1)), reverse=True):
        line = _tallest(ink, everything, count)
        if line and not (ink.dark and not all(on_plate(view, ink, i) for i in line)):
            reading = _spelled(frames, view, ink, same, line, [word for word in words if len(word) == count], reader)
            if reading:
                return reading
    return None


def _unframed(view: View, ink: Ink) -> list[int]:
    """The components of the box, largest first, but for the frame around the others."""
    order = inside(view, ink)
    return order[1:] if order and _held(ink, order[0]).sum() > 1 else order


def _held(ink: Ink, ring: int) -> np.ndarray:
    """(n,) bool: which components lie within the bounding box of one and are large enough for the letters of a word in a frame."""
    x, y, w, h, _ = ink.stats[ring]
    a, b, c, d, _ = ink.stats.T
    return (a > x) & (b > y) & (a + c < x + w) & (b + d < y + h) & (np.maximum(c, d) > LEAST_IN_FRAME * min(w, h))


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
            own = all(glyphs.ahead_of_twin(table, turned, char) >= AHEAD_IN_WORDS for table, char in zip(letters, word))
            confidence = vote(c, reader) if likeness >= LEAST_LIKENESS and own else 0.0
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
