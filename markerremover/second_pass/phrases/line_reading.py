"""Reads a line of print and tells its strokes, if the line is upright and consists of phrases to retain.

Fail-closed: at two thresholds at least the OCR engine must read the same phrases, and no picture of the line may read as anything else with
confidence; every stroke in the box must be a character of them; and nothing may continue the line outside the box.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ...keep_lists.groups import markers
from ...keep_lists.phrases import as_read, key, line_of
from ...records import Reading
from ..isolation import stroke_statistics
from ..marker_reading import reading_of
from ..sign_candidates import Candidate, pictures
from ..strokes import Ink, flat_fields, inks, inside, on_plate, percentile
from ..tesseract import Reader
from ..view import FLOOR, View, view_of_box

__all__ = ["read_line"]

ONE_LINE = 7  # Tesseract's page segmentation mode
PICTURES = 2  # pictures of a line that are read at each threshold: its strokes as a mask, and its grey levels
LEAST_LEVELS = 2  # least number of thresholds at which the same phrases must be read
CONTRARY = 0.75  # confidence from which a reading of anything else is final
LONGEST = 30.0  # greatest length of a line, in its heights
# In letter heights, which is that of the taller letters of the line:
SPECK = 0.1  # greatest size of a component that is no stroke
LETTER = 0.55  # least height of a letter without a mark above it
ABOVE, BELOW = 0.6, 0.6  # reach of marks and descenders beyond the letters
LEVEL, DESCENDERS = 0.2, 0.5  # greatest difference of the letters' lower edges, and the greatest share of letters that reach lower
BLANK, TIGHT = 0.62, 0.3  # gap from which there is a blank between letters; the same in a phrase of two letters, which may be initials
WIDTH = 0.2, 1.25  # range of a line's length for each of its characters
REACH = 5.0  # how far beyond the line other print belongs to it
NEAR = 0.9  # how far full stops, colons and hyphens belong to it
OTHER_HEIGHT = 0.35, 1.8  # height of other print on the line
# Of other print, as fractions of the line's own: contrast, sharpness, and range of stroke widths.
OTHER_CONTRAST, OTHER_SHARPNESS, OTHER_STROKE = 0.4, 0.4, (0.4, 2.2)


@dataclass(frozen=True)
class _Line:
    """The components of a box as one line of print.

    letters: labels in the ink, left to right.  height: of its taller letters.  top, bottom: of them.  gaps: horizontal gaps between the
    columns of strokes, in heights.  width: its length in heights.
    """

    letters: tuple[int, ...]
    height: float
    top: float
    bottom: float
    gaps: tuple[float, ...]
    width: float


def read_line(frames: Sequence[np.ndarray], xyxy: np.ndarray, keep: tuple[str, ...], reader: Reader, min_confidence: float) -> Reading | None:
    """The phrases that a line of print consists of.

    Args:
        frames: views of one frame, (H, W) uint8 each, bright = dense; the first is read, ground is retained only where it is empty in all.
        xyxy: (4,) box of the line, source pixels.
        keep: laterality markers and phrases that may stand in it; at least one phrase must.
        reader: an OCR engine.
        min_confidence: least confidence of each reading, 0-1.

    Returns:
        A reading with strokes and without doubt, its text as it was read in upper case; None for every other line.
    """
    if not LONGEST * (xyxy[3] - xyxy[1]) > xyxy[2] - xyxy[0] > 0:
        return None
    view = view_of_box(frames[0], xyxy)
    if not isinstance(view, View):
        return None
    for levels in inks(view):
        reading = _read(frames, view, levels, keep, reader, min_confidence)
        if reading is not None:
            return reading
    return None


def _read(
    frames: Sequence[np.ndarray], view: View, levels: list[Ink], keep: tuple[str, ...], reader: Reader, min_confidence: float
) -> Reading | None:
    """`read_line` for the strokes of one polarity."""
    votes: Counter[tuple[str, ...]] = Counter()
    best: dict[tuple[str, ...], tuple[float, str, Ink, _Line]] = {}
    for ink in levels:
        line = _line(view, ink)
        if line is None or (ink.dark and not all(on_plate(view, ink, i) for i in line.letters)):
            continue
        agreed = set()
        for text, confidence in reader.read(pictures(Candidate(ink, line.letters, "", 0.0, 0.0, 0))[:PICTURES], psm=ONE_LINE):
            found = line_of(text := as_read(text), keep)
            if found and confidence >= min_confidence and not set(found) <= set(markers(keep)) and _accounts(text, found, line):
                agreed.add(found)
                if found not in best or confidence > best[found][0]:
                    best[found] = confidence, key(text), ink, line
            elif text and not found and confidence >= CONTRARY:
                return None
        votes.update(agreed)
    if len(votes) != 1:
        return None
    ((found, count),) = votes.items()
    confidence, text, ink, line = best[found]
    if count < LEAST_LEVELS or _continues(frames[0], view, ink, line):
        return None
    reading = reading_of(frames, view, Candidate(ink, line.letters, text, 0.0, 0.0, 0), confidence, levels)
    return None if reading.doubt or reading.strokes is None or not reading.strokes.any() else reading


def _line(view: View, ink: Ink) -> _Line | None:
    """The components of a box as a line of print; None if they are none."""
    indices = inside(view, ink)
    if not indices:
        return None
    stats = ink.stats[indices].astype(int)
    tallest = float(stats[:, 3].max())
    is_stroke = stats[:, 2:4].max(axis=1) > SPECK * tallest
    indices, stats = [i for i, is_one in zip(indices, is_stroke) if is_one], stats[is_stroke]
    height = float(np.percentile(stats[stats[:, 3] >= LETTER * tallest, 3], 60))
    is_letter = stats[:, 3] >= LETTER * height
    bottoms = stats[is_letter, 1] + stats[is_letter, 3]
    bottom = float(percentile(bottoms.astype(np.float64), 40))
    top = bottom - height
    ends = stats[:, 1] + stats[:, 3]
    if (stats[:, 1] < top - ABOVE * height).any() or (ends > bottom + BELOW * height).any() or (stats[:, 3] > (1 + ABOVE) * height).any():
        return None
    if (bottoms < bottom - LEVEL * height).any() or (bottoms > bottom + LEVEL * height).mean() > DESCENDERS:
        return None
    order = np.argsort(stats[:, 0])
    spans = [(int(stats[k, 0]), int(stats[k, 0] + stats[k, 2])) for k in order]
    gaps, end = [], spans[0][1]
    for start, stop in spans[1:]:
        if start > end:
            gaps.append((start - end) / height)
        end = max(end, stop)
    return _Line(tuple(indices[k] for k in order), height, top, bottom, tuple(gaps), (end - spans[0][0]) / height)


def _accounts(text: str, found: tuple[str, ...], line: _Line) -> bool:
    """Whether the components of a line can be the characters that were read, no more and not far fewer.

    Args:
        text: as read.  found: the phrases that it consists of.
    """
    characters = [char for char in text if not char.isspace()]
    marks = sum(unicodedata.combining(char) > 0 for char in unicodedata.normalize("NFD", "".join(found)))
    dotted = sum(char in "ij" for char in characters)
    most = len(characters) + dotted + 2 * marks
    blanks = sum(phrase.count(" ") for phrase in found) + len(found) - 1
    limit = TIGHT if any(len(phrase) == 2 for phrase in found) and len(found) == 1 else BLANK
    widths = WIDTH[0] * len(characters), WIDTH[1] * len(characters) + blanks * REACH
    return 0.5 * len(characters) <= len(line.letters) <= most and sum(gap > limit for gap in line.gaps) <= blanks and widths[0] <= line.width <= widths[1]


def _continues(frame: np.ndarray, view: View, ink: Ink, line: _Line) -> bool:
    """Whether other print stands on a line, before, after or within it: components outside its letters with their contrast and stroke width.

    Args:
        frame: (H, W) uint8.  view: of the box.  ink: the strokes that were read.
    """
    stats = ink.stats[list(line.letters)].astype(np.float64)
    x1, x2 = stats[:, 0].min(), (stats[:, 0] + stats[:, 2]).max()
    X1, Y1 = view.window[:2]
    box = np.array([x1 - REACH * line.height, line.top, x2 + REACH * line.height, line.bottom]) / view.scale + np.tile([X1, Y1], 2)
    wide = view_of_box(frame, box)
    if not isinstance(wide, View):
        return True
    letters = _moved(ink.mask(line.letters), view, wide)
    if not letters.any():
        return True
    hat = next(hat for hat, dark in flat_fields(wide) if dark == ink.dark)
    contrast = percentile(hat[letters], 50)
    others = Ink.of(hat > max(FLOOR, OTHER_CONTRAST * contrast), hat, ink.dark)
    own = set(np.unique(others.labels[letters]).tolist())
    factor = wide.scale / view.scale
    height = line.height * factor
    offset = (np.array([X1, Y1]) - np.array(wide.window[:2])) * wide.scale
    top, bottom = line.top * factor + offset[1], line.bottom * factor + offset[1]
    left, right = x1 * factor + offset[0], x2 * factor + offset[0]
    _, sharpness, width = stroke_statistics(others, letters)
    near = cv2.dilate(letters.astype(np.uint8), np.ones((2 * max(2, round(0.12 * height)) + 1,) * 2, np.uint8)) > 0
    for i in range(1, len(others.stats)):
        x, y, w, h, _ = (int(v) for v in others.stats[i])
        gap = max(left - (x + w), x - right)
        overlap = min(y + h, bottom) - max(y, top)
        part = np.s_[y : y + h, x : x + w]
        mask = others.labels[part] == i
        if i in own:
            beyond = mask & ~near[part]
            if not beyond.any() or max(cv2.boundingRect(beyond.astype(np.uint8))[2:]) < OTHER_HEIGHT[0] * height:
                continue
            return True  # a stroke that goes on where nothing was read
        if gap > REACH * height or overlap < 0.5 * min(h, height):
            continue
        if OTHER_HEIGHT[0] * height <= h <= OTHER_HEIGHT[1] * height:
            whole = others.labels == i
            _, other_sharpness, other_width = stroke_statistics(others, whole)
            if other_sharpness >= OTHER_SHARPNESS * sharpness and OTHER_STROKE[0] <= other_width / width <= OTHER_STROKE[1]:
                return True
        elif h < OTHER_HEIGHT[0] * height and gap <= NEAR * height and max(w, h) > SPECK * height and percentile(hat[part][mask], 75) > 0.6 * contrast:
            return True
    return False


def _moved(mask: np.ndarray, view: View, wide: View) -> np.ndarray:
    """A (h, w) bool mask in the work frame of a view as a new one in that of another."""
    factor = wide.scale / view.scale
    shift = (np.array(view.window[:2]) - np.array(wide.window[:2])) * wide.scale
    matrix = np.array([[factor, 0, shift[0]], [0, factor, shift[1]]], np.float64)
    h, w = wide.grey.shape
    return cv2.warpAffine(mask.astype(np.float32), matrix, (w, h), flags=cv2.INTER_LINEAR) > 0.5
