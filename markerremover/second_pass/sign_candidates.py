"""Which components of a box look like a sign that may stay, and how surely the OCR engine reads them as that."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from . import glyphs
from .strokes import Ink, percentile, picked
from .tesseract import Reader

WHITELIST = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"  # all letters: offered L and R alone, Tesseract makes an L of a bar
LEAST_LIKENESS = 0.62  # shapes less alike than this to a retained laterality marker are not shown to the OCR engine
RIVAL = 0.06  # another character may resemble the shape at most this much better
AHEAD, AHEAD_IN_WORDS = 0.02, 0.08  # how much more alike to an L than to a J seen the other way round: TJ must not pass for a mirrored LT;
# and to an I than to a 1, though not in words
SOLID = 0.78  # strokes that fill more of their upright box are a plate, whatever is cut out of it
HOPELESS = 0.5  # below this, tilting a shape a little is not tried
SIMILAR = 0.75  # shapes at least this alike get a second chance with the OCR engine
ON_POINT_DEG, EQUAL_ARMS = 25.0, 0.85  # an L turned this far with arms this equal is an arrowhead
CONVINCING = 0.6  # confidence at which no other threshold or polarity is tried
TILTS = (-8.0, 8.0)  # degrees also tried around the measured skew: slanted fonts
OCR_HEIGHT, OCR_BORDER = 40, 14  # letter height and white border of the images for OCR, in pixels
ONE_WORD, ONE_CHARACTER = 8, 10  # Tesseract's page segmentation modes; the latter drops many a fat R


@dataclass(frozen=True)
class Candidate:
    """Components that look like a retained laterality marker. letters: their labels in `ink`.  frame: label of the ring around them, or 0.
    view: which of `glyphs.dihedral` of the shape turned counter-clockwise by `skew` degrees is upright."""

    ink: Ink
    letters: tuple[int, ...]
    sign: str
    likeness: float
    skew: float
    view: int
    frame: int = 0


def candidates(ink: Ink, index: int, frame: int, letters: tuple[str, ...]) -> list[Candidate]:
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
        seen = glyphs.tight(glyphs.turn(shape, angle)) if abs(angle) > 1 else shape
        if angle == skew and glyphs.likeness(seen, letters)[1].max() < HOPELESS:
            return []
        chars, scores = glyphs.likeness(seen)
        for sign in letters:
            column = scores[:, list(chars).index(sign)]
            view = int(column.argmax())
            known = found.get((sign, view))
            if min(glyphs.ahead_of_twin(scores, view, sign), glyphs.ahead_of_digit(scores, view, sign)) < AHEAD:
                continue
            if known is None or column[view] > known.likeness + 0.01:
                found[sign, view] = Candidate(ink, (index,), sign, float(column[view]), angle, view, frame)
        rival = max(rival, float(scores[:, ~np.isin(chars, letters)].max(initial=-1.0)))
    found = {k: c for k, c in found.items() if c.likeness >= max(LEAST_LIKENESS, rival - RIVAL) and not _is_arrowhead(c)}
    return sorted(found.values(), key=lambda c: -c.likeness)[:2]


def _is_arrowhead(c: Candidate) -> bool:
    """Whether an L with equal arms stands on its corner: the head of an arrow."""
    if c.sign != "L" or abs(c.skew) < ON_POINT_DEG:
        return False
    h, w = glyphs.tight(glyphs.turn(c.ink.shape(c.letters[0]), c.skew)).shape
    return EQUAL_ARMS < w / h < 1 / EQUAL_ARMS


def vote(c: Candidate, reader: Reader) -> float:
    """Mean confidence (0–1) with which the engine reads the sign; another reading counts 0.

    Two pictures, one taken for a word and one for a character, are enough if they agree; else all three, both ways.
    """
    pictures = _pictures(c)

    def votes(some: list[np.ndarray], psm: int) -> list[float]:
        found = reader.read(some, whitelist=WHITELIST, psm=psm)
        return [confidence if text.upper() == c.sign else 0.0 for text, confidence in found]

    as_word, as_character = votes(pictures[:1], ONE_WORD), votes(pictures[1:2], ONE_CHARACTER)
    first = as_word + as_character
    if min(first) >= CONVINCING:
        return float(np.mean(first))
    if not any(first) and c.likeness < SIMILAR:
        return 0.0
    as_word += votes(pictures[1:], ONE_WORD)
    before, after = votes(pictures[::2], ONE_CHARACTER)
    return float(np.maximum(as_word, [before, *as_character, after]).mean())


def _pictures(c: Candidate) -> list[np.ndarray]:
    """Three upright pictures of a sign, (H, W) uint8, dark on white: its strokes, its soft grey, its strokes made thinner
    or fatter."""
    x, y, w, h = _bounds(c)
    pad = 4
    shape = glyphs.padded(picked(c.ink.labels[y : y + h, x : x + w], c.letters).astype(np.uint8), pad) > 0
    grey = glyphs.padded(c.ink.hat[y : y + h, x : x + w], pad).astype(np.float32)
    grey = np.clip(grey / max(1.0, percentile(grey[shape], 60)), 0, 1)
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
    return glyphs.padded(255 - np.round(image * 255).astype(np.uint8), OCR_BORDER, value=255)
