"""Words such as LEFT or RT in a detected box: separate letters on one line that together read as one of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..records import Reading
from . import glyphs
from .marker_reading import reading_of
from .sign_candidates import AHEAD_IN_WORDS, CONVINCING, LEAST_LIKENESS, Candidate, vote
from .strokes import Ink, inks, inside, on_plate
from .tesseract import Reader
from .view import View, view_of_box

SMALLER = 0.8  # greatest size of other components in a word's line, as a fraction of its letters'
WORD_SLACK = 2  # letters beyond a word's that a somewhat smaller box may exclude
WORD_LONG = 1.8  # least aspect ratio of a word's box
SAME_TURN_DEG = 2.0  # difference of two directions of a line below which one is tried
SAME_STAND_DEG = 25.0  # difference of a word's rotation and its letter's below which they are the same
LETTER_WIDTHS = 0.4, 1.1  # least and greatest length of a line per letter, as a fraction of its height
LEAST_PART = 0.3  # least size of a component of a line, as a fraction of the largest; a hyphen or a full stop is smaller
LEAST_IN_FRAME = 0.25  # least size of a word's letters in a frame, as a fraction of the frame's shorter side


def read_word(
    frames: Sequence[np.ndarray], view: View, ink: Ink, levels: list[Ink], words: tuple[str, ...], reader: Reader
) -> Reading | None:
    """The components of the box that are on one line, if together they read as one of `words`."""
    line_labels = _line(ink, _unframed(view, ink))
    for count in sorted({len(word) for word in words} & set(range(2, len(line_labels) + 1)), reverse=True):
        line = _tallest(ink, line_labels, count)
        if line and not (ink.dark and not all(on_plate(view, ink, i) for i in line)):
            reading = _spelled(frames, view, ink, levels, line, [word for word in words if len(word) == count], reader)
            if reading:
                return reading
    return None


def _unframed(view: View, ink: Ink) -> list[int]:
    """The components of the box, largest first, without the frame around the others."""
    order = inside(view, ink)
    return order[1:] if order and _held(ink, order[0]).sum() > 1 else order


def _held(ink: Ink, ring: int) -> np.ndarray:
    """(n,) bool: which components lie within the bounding box of one and are large enough for the letters of a word in a frame."""
    x, y, w, h, _ = ink.stats[ring]
    a, b, c, d, _ = ink.stats.T
    return (a > x) & (b > y) & (a + c < x + w) & (b + d < y + h) & (np.maximum(c, d) > LEAST_IN_FRAME * min(w, h))


def _tallest(ink: Ink, line: list[int], count: int) -> list[int]:
    """The `count` largest of a line of components, in the line's order, if all others are clearly smaller; else []."""
    size = np.sort(ink.stats[line, 2:4].max(axis=1))[::-1]
    if count < len(line) and size[count] > SMALLER * size[count - 1]:
        return []
    return [i for i in line if max(ink.stats[i, 2:4]) >= size[count - 1]]


def _spelled(
    frames: Sequence[np.ndarray], view: View, ink: Ink, levels: list[Ink], line: list[int], words: list[str], reader: Reader
) -> Reading | None:
    """A line of components, if it reads as one of `words`, each of as many letters."""
    found = []
    for skew in _turns(ink, line):
        chars, scores = zip(*(glyphs.likeness(glyphs.tight(glyphs.turn(ink.shape(i), skew))) for i in line))
        for word in words:
            columns = [list(chars[0]).index(char) if glyphs.drawable(char) else 0 for char in word]
            for view_index in (0, 2, 4, 6):  # the line is level or upside down, and either of these mirrored
                letters = scores if view_index in (0, 6) else scores[::-1]
                likeness = float(np.mean([table[view_index, column] for table, column in zip(letters, columns)]))
                ahead = all(glyphs.ahead_of_twin(table, view_index, char) >= AHEAD_IN_WORDS for table, char in zip(letters, word))
                if likeness >= LEAST_LIKENESS and ahead:
                    found.append(Candidate(ink, tuple(line), word, likeness, skew, view_index))
    for c in sorted(found, key=lambda c: -c.likeness):
        if confidence := vote(c, reader):
            return reading_of(frames, view, c, confidence, levels)
    return None


def _turns(ink: Ink, line: list[int]) -> list[float]:
    """Degrees by which a line of components may be turned: the direction of its middles, and that of its letters' edges next to it."""
    s = ink.stats[line]
    middles = np.stack([s[:, 0] + s[:, 2] / 2, s[:, 1] + s[:, 3] / 2], axis=1)
    ends = middles[-1] - middles[0]
    skew = float(np.degrees(np.arctan2(ends[1], ends[0])))
    edges = glyphs.skew_deg(glyphs.tight(ink.mask(line)))[0]
    edges += 90 * round((skew - edges) / 90)
    return [skew, edges] if abs(edges - skew) > SAME_TURN_DEG else [skew]


def _line(ink: Ink, indices: list[int]) -> list[int]:
    """Those of the components that are about as large as the largest and on one straight line with it, from one end to the
    other; [] if there are fewer than two, or they are not on one line."""
    if len(indices) < 2:
        return []
    s = ink.stats[indices]
    size = s[:, 2:4].max(axis=1)
    indices = [i for i, k in zip(indices, size) if 0.6 < k / size[0] < 1.7]
    s = ink.stats[indices]
    middles = np.stack([s[:, 0] + s[:, 2] / 2, s[:, 1] + s[:, 3] / 2], axis=1)
    if len(indices) < 2:
        return []
    direction = np.linalg.svd(middles - middles.mean(axis=0))[2][0]
    order = np.argsort(middles @ direction)
    distances = np.abs((middles - middles.mean(axis=0)) @ np.array([-direction[1], direction[0]]))
    return [indices[k] for k in order] if distances.max() < 0.3 * size[0] else []


def read_joined(
    frames: Sequence[np.ndarray], view: View, words: tuple[str, ...], reader: Reader, letter: Reading | None = None
) -> Reading | None:
    """One of `words` whose letters touch, read as a whole: the components of the box that are as high as its line, upright, by the OCR engine.

    Args:
        frames: views of one frame, (H, W) uint8.  view: the box, longer than it is high or the reverse.
        words: upper case.  reader: an OCR engine.
        letter: one of its letters, as it was read; the word stands as that does. None if none was read.

    Returns:
        A reading that is convincing and undoubted, or None.
    """
    for levels in inks(view):
        for ink in levels:
            order = _unframed(view, ink)
            if not order or (ink.dark and not on_plate(view, ink, order[0])):
                continue
            skew, line, aspect = _upright_line(ink, order)
            for word in words:
                if not LETTER_WIDTHS[0] * len(word) < aspect < LETTER_WIDTHS[1] * len(word):
                    continue
                for view_index in (0, 2, 4, 6):
                    c = Candidate(ink, line, word, 0.0, skew, view_index)
                    if letter is not None and not _stands_as(c, letter):
                        continue
                    confidence = vote(c, reader)
                    reading = reading_of(frames, view, c, confidence, levels) if confidence >= CONVINCING else None
                    if reading and not reading.doubt:
                        return reading
    return None


def _upright_line(ink: Ink, order: list[int]) -> tuple[float, tuple[int, ...], float]:
    """(degrees by which a line of print is turned, its components, its length divided by its height).

    Args:
        order: components of a box, largest first; of those the line are all that are nearly as high as the highest, once it is upright.
    """
    large = [i for i in order if max(ink.stats[i, 2:4]) > LEAST_PART * max(ink.stats[order[0], 2:4])]
    skew = glyphs.skew_deg(glyphs.tight(ink.mask(large)))[0]
    width, height = glyphs.tight(glyphs.turn(ink.mask(large), skew)).shape[::-1]
    if height > width:
        skew += 90 if skew < 0 else -90
    heights = [glyphs.tight(glyphs.turn(ink.shape(i), skew)).shape[0] for i in large]
    line = tuple(i for i, height in zip(large, heights) if height > SMALLER * max(heights))
    width, height = glyphs.tight(glyphs.turn(ink.mask(line), skew)).shape[::-1]
    return skew, line, width / max(1, height)


def _stands_as(c: Candidate, letter: Reading) -> bool:
    """Whether a candidate is turned and mirrored as a letter that was read."""
    difference = (c.skew + 90 * (c.view % 4) - letter.rotation_deg + 180) % 360 - 180
    return abs(difference) < SAME_STAND_DEG and (c.view > 3) == letter.mirrored


def may_spell(display_frame: np.ndarray, xyxy: np.ndarray, count: int) -> bool:
    """Whether a box may hold a word of at most `count` letters and little else: it is long, and no line in it has many more."""
    sides = sorted((float(xyxy[2] - xyxy[0]), float(xyxy[3] - xyxy[1])))
    if sides[1] < WORD_LONG * sides[0]:
        return False
    view = view_of_box(display_frame, xyxy)
    if not isinstance(view, View):
        return True
    levels = next(inks(view), [])
    return all(len(_line(ink, _unframed(view, ink))) <= count + WORD_SLACK for ink in levels)
