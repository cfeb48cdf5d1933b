"""Pass 2: decides whether a detected box is an isolated laterality marker that is retained, and which of its pixels are.

After Khosravi et al. 2023: at the original resolution, Otsu threshold, largest connected component, upright, OCR for an
isolated letter. Added here: flat-field by morphological top-hat before Otsu (letters over bone), dark letters cut out of
a plate, ringed letters, mirrored ones, skew, words such as LEFT, and a check of the surroundings, so that the L of a name is
never taken for a laterality marker.

A marker is retained only if the OCR engine reads it from the component alone, its shape resembles that text, and nothing
around it makes it part of a longer text. Every other box returns a reading without text or with a `doubt`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..records import Reading
from . import glyphs
from .doubts import NOTHING, PART_OF_TEXT
from .isolation import unless_initial
from .marker_reading import reading_of
from .sign_candidates import CONVINCING, candidates, vote
from .stroke_network import LETTER, PRINT, StrokeNetwork
from .strokes import (
    EDGE_PX,
    Ink,
    between_outlines,
    closed_dots,
    distance,
    flat_fields,
    inks,
    label_mask,
    largest,
    on_plate,
    percentile,
    split_variants,
)
from .tesseract import Reader
from .two_bars import is_whole_l
from .view import SMALLEST_BOX, View, view_of_box
from .words import may_spell, read_joined, read_word

__all__ = ["insist", "is_unlike", "second_pass"]

SHELL_PX = 10.0  # outer radius of the shell around strokes that tells their polarity, work pixels
LEAST_WHOLE = 0.45  # least area of a letter, as a fraction of its component's at Otsu's threshold
LEAST_LETTERS = 0.01  # least share of a box that the stroke network takes for letters; with less nothing but Otsu's thresholds is tried
RETAKES = (-0.08, 0.12, -0.04)  # growth of a box on each side for further readings, as a fraction of its size
WORD_RETAKES = (-0.06, -0.1)  # the same as RETAKES, for words, which are read better in smaller boxes
UNLIKE = 0.65  # least correlation of a single letter with its text, whatever the OCR engine reads: of 641 laterality markers none had less; a plus had
DOUBTABLE = 0.5  # confidence from which a doubt about a reading is final: half a stencil letter, read as an L with little confidence, must
# not make the whole letter part of a longer text


def second_pass(
    display_frame: np.ndarray, xyxy: np.ndarray, keep: tuple[str, ...], reader: Reader, others: Sequence[np.ndarray] = (), *,
    is_laterality: bool = True, network: StrokeNetwork | None = None,
) -> Reading:
    """Read one box.

    Args:
        display_frame: (H, W) uint8, bright = dense; not changed.
        xyxy: (4,) detector box in source pixels; may be loose, tight, or partly outside.
        keep: texts of the laterality markers that are retained, upper case; single characters or words.
        reader: an OCR engine, see `tesseract.open_reader`.
        others: further views of the same frame, (H, W) uint8 each: ground is retained only where it is empty in all of them.
        is_laterality: whether the localizer's class is laterality marker; if not, fewer thresholds are tried for letters.
        network: tells a letter's strokes where no threshold did, and where there are none; only for boxes of class laterality marker.

    Returns:
        A Reading whose `text` is one of `keep` or ""; its arrays are new. Boxes that are too small, outside, flat or not finite give a
        Reading with doubt `NOTHING`, never an error.
    """
    return _once(display_frame, xyxy, keep, reader, others, is_laterality, network)[0]


def _once(
    display_frame: np.ndarray, xyxy: np.ndarray, keep: tuple[str, ...], reader: Reader, others: Sequence[np.ndarray], is_laterality: bool,
    network: StrokeNetwork | None,
) -> tuple[Reading, bool]:
    """`second_pass`, and whether another reading of a box of another size may find more: not where the stroke network sees no letters."""
    view = view_of_box(display_frame, xyxy)
    if not isinstance(view, View):
        return Reading(view, doubt=NOTHING), True
    frames = display_frame, *others
    letters = tuple(text for text in keep if len(text) == 1 and glyphs.drawable(text))
    words = tuple(text for text in keep if len(text) > 1)
    best = Reading(view.box)
    rejected_places: set[tuple[int, ...]] = set()
    known: dict[bool, list[Ink]] = {}
    for rank, levels in enumerate(inks(view)):
        known[levels[0].dark] = levels
        for ink in levels if words else ():
            reading = read_word(frames, view, ink, levels, words, reader)
            if reading and (reading.doubt or reading.confidence >= CONVINCING):
                return unless_initial(display_frame, reading, ink.dark), True
        if not letters:
            continue
        splits_too = (is_laterality and network is None) or not (is_laterality or rank)
        for ink in (*levels, *split_variants(view, levels[0])) if splits_too else levels:
            reading = unless_initial(display_frame, _read_letter(frames, view, ink, levels, letters, reader, rejected_places), ink.dark)
            if _is_final(reading):
                return reading, True
            best = max(best, reading, key=lambda r: r.confidence)
    if network is None or not is_laterality:
        return best, True
    probability = network(view)
    if not _shows_letters(probability, view):
        return best, False
    best = max(best, _by_network(frames, view, probability, known, letters, words, reader), key=lambda r: r.confidence)
    for levels in known.values() if letters and not _is_final(best) else ():
        for ink in split_variants(view, levels[0]):
            reading = unless_initial(display_frame, _read_letter(frames, view, ink, levels, letters, reader, rejected_places), ink.dark)
            if _is_final(reading):
                return reading, True
            best = max(best, reading, key=lambda r: r.confidence)
    return best, True


def _is_final(reading: Reading) -> bool:
    """Whether no other threshold is tried after a reading."""
    return reading.confidence >= (DOUBTABLE if reading.doubt else CONVINCING)


def _shows_letters(probability: np.ndarray, view: View) -> bool:
    """Whether at least `LEAST_LETTERS` of a box are strokes of letters.

    Args:
        probability: (4, h, w) of the stroke network in the view's work frame.
    """
    x1, y1, x2, y2 = np.maximum(0, np.round(view.inner)).astype(int)
    part = probability[:, y1:y2, x1:x2]
    return bool(part.size) and float((part.argmax(axis=0) == LETTER).mean()) >= LEAST_LETTERS


def _by_network(
    frames: Sequence[np.ndarray], view: View, probability: np.ndarray, known: Mapping[bool, list[Ink]], letters: tuple[str, ...], words: tuple[str, ...],
    reader: Reader,
) -> Reading:
    """The marker that the strokes of the stroke network read as.

    Args:
        probability: (4, h, w) of the stroke network in the view's work frame.
        known: strokes at Otsu's thresholds by polarity, as far as there are any.
    """
    is_letter = probability.argmax(axis=0) == LETTER
    if not is_letter.any():
        return Reading(view.box)
    near = distance(is_letter)
    shell = (near > EDGE_PX) & (near < SHELL_PX)
    dark = bool(shell.any()) and percentile(view.grey[is_letter], 50) < percentile(view.grey[shell], 50)
    hat = next(hat for hat, is_dark in flat_fields(view) if is_dark == dark)
    every = Ink.of(is_letter | (probability.argmax(axis=0) == PRINT), hat, dark)
    levels, best = [*known.get(dark, []), every], Reading(view.box)
    for mask in (is_letter, between_outlines(is_letter), closed_dots(is_letter)):
        if best.confidence < CONVINCING and (mask is is_letter or (mask != is_letter).any()):
            best = max(best, _of_strokes(frames, view, Ink.of(mask, hat, dark), every, levels, letters, words, reader), key=lambda r: r.confidence)
    return best if best.confidence >= CONVINCING else Reading(view.box)


def _of_strokes(
    frames: Sequence[np.ndarray], view: View, ink: Ink, every: Ink, levels: list[Ink], letters: tuple[str, ...], words: tuple[str, ...], reader: Reader
) -> Reading:
    """The marker that some letters' strokes read as. every: all strokes of letters and print.  levels: those of the same polarity."""
    reading = read_word(frames, view, ink, levels, words, reader) if words else None
    best = unless_initial(frames[0], reading, ink.dark) if reading else Reading(view.box)
    for index, ring in largest(view, ink) if best.confidence < CONVINCING else ():
        for candidate in candidates(ink, index, ring, letters):
            if candidate.text == "L" and not is_whole_l(candidate, every, view.scale):
                continue
            confidence = vote(candidate, reader)
            if confidence:
                best = max(best, unless_initial(frames[0], reading_of(frames, view, candidate, confidence, levels), ink.dark), key=lambda r: r.confidence)
                break
    return best


def insist(
    display_frame: np.ndarray, xyxy: np.ndarray, keep: tuple[str, ...], reader: Reader, others: Sequence[np.ndarray] = (), *,
    is_laterality: bool = True, network: StrokeNetwork | None = None,
) -> Reading:
    """`second_pass`, repeated with the box somewhat smaller and larger where the first reading is not sure.

    The threshold of faint strokes and of stencils depends on the box. A box of class laterality marker is repeated where nothing was
    read, or not with enough confidence; any box where a letter of a longer text was read that may be one of the words in `keep`, which is then
    also read as a whole, since its letters may touch.

    Args:
        display_frame, xyxy, keep, reader, others, is_laterality, network: as of `second_pass`.

    Returns:
        The reading with the highest confidence; repetition stops at the first that is convincing, or doubted with a confidence of at
        least `DOUBTABLE`. If two readings of at least that confidence differ in their text, one with doubt `PART_OF_TEXT`.
    """
    first, may_hold_more = _once(display_frame, xyxy, keep, reader, others, is_laterality, network)
    best = first
    words = tuple(word for word in keep if len(word) > 1 and (first.text in word if first.text else is_laterality))
    if words and (first.doubt == PART_OF_TEXT or not first.text) and may_spell(display_frame, xyxy, max(map(len, words))):
        for share in WORD_RETAKES if first.text else ():
            word = second_pass(display_frame, _grown(xyxy, share), words, reader, others)
            if not word.doubt and word.confidence >= CONVINCING:
                return word
        view = view_of_box(display_frame, xyxy)
        joined = read_joined((display_frame, *others), view, words, reader, first if first.text else None) if isinstance(view, View) else None
        if joined:
            return joined
    if not is_laterality or not may_hold_more:
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
    """Whether a reading's single letter, where its strokes are known, resembles its text less than `UNLIKE`."""
    if reading.letter is None or not reading.letter.any() or not glyphs.drawable(reading.text):
        return False
    return glyphs.resembles(reading.letter, reading.text, reading.rotation_deg, reading.mirrored) < UNLIKE


def _sureness(reading: Reading) -> float:
    """Confidence of a reading; 0 where its strokes do not resemble its text, so that the box is read again."""
    return reading.confidence if reading.doubt or len(reading.text) != 1 or not is_unlike(reading) else 0.0


def _grown(xyxy: np.ndarray, share: float) -> np.ndarray:
    """(4,) xyxy box grown on every side by a share of its width or height; shrunk if the share is negative."""
    x1, y1, x2, y2 = np.asarray(xyxy, np.float64)
    return np.array([x1, y1, x2, y2]) + share * np.array([x1 - x2, y1 - y2, x2 - x1, y2 - y1])


def _read_letter(
    frames: Sequence[np.ndarray], view: View, ink: Ink, levels: list[Ink], letters: tuple[str, ...], reader: Reader, rejected_places: set[tuple[int, ...]]
) -> Reading:
    """The largest component of the box that reads as one of `letters`; only a few and only large ones are tried.

    Places of components that resemble none of them are added to `rejected_places`, so that they are not tried at the next threshold.
    """
    for index, ring in largest(view, ink):
        place = (ink.dark, *np.round(ink.stats[index] / (3, 3, 3, 3, 100)).astype(int).tolist())
        if place in rejected_places or (not ring and not _is_whole(view, ink, index, levels[0])):
            continue
        if ink.dark and not on_plate(view, ink, index):
            continue
        likeliest = candidates(ink, index, ring, letters)
        if not likeliest:
            rejected_places.add(place)
        for candidate in likeliest:
            if candidate.text == "L" and not is_whole_l(candidate, levels[0], view.scale):
                continue
            confidence = vote(candidate, reader)
            if confidence:
                return reading_of(frames, view, candidate, confidence, levels)
    return Reading(view.box)


def _is_whole(view: View, ink: Ink, index: int, base: Ink) -> bool:
    """Whether a component is most of the one that it belongs to in `base`, within the box: a piece of a letter may resemble
    another letter."""
    if ink is base:
        return True
    x, y, w, h, area = ink.stats[index]
    base_labels = base.labels[y : y + h, x : x + w][ink.shape(index)]
    x1, y1, x2, y2 = np.round(view.inner).astype(int)
    whole = label_mask(base.labels[y1:y2, x1:x2], base_labels[base_labels > 0])
    return bool(area >= LEAST_WHOLE * whole.sum())
