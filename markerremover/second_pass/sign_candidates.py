"""Components of a box that resemble a laterality marker, and the confidence with which the OCR engine reads them as one."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from . import glyphs
from .strokes import Ink, label_mask, percentile
from .tesseract import Reader

WHITELIST = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"  # OCR alphabet, complete: with L and R alone, Tesseract reads a bar as an L
LEAST_LIKENESS = 0.62  # least correlation with a laterality marker at which a shape is read by the OCR engine
RIVAL = 0.06  # greatest margin by which another character may resemble the shape better
AHEAD, AHEAD_IN_WORDS = 0.02, 0.08  # least margin, single letters and words, of L over a mirrored J (TJ must not pass for a mirrored LT);
# the former also of I over 1
SOLID = 0.78  # greatest share of their upright box that a letter's strokes fill; a plate fills more
HOPELESS = 0.5  # correlation below which small tilts are not tried
SIMILAR = 0.75  # least correlation for a second attempt with the OCR engine
ON_POINT_DEG, EQUAL_ARMS = 25.0, 0.85  # rotation and ratio of the arms from which an L is taken for an arrowhead
CONVINCING = 0.6  # confidence at which no other threshold or polarity is tried
TILTS = (-8.0, 8.0)  # further rotations around the measured skew, degrees, for slanted fonts
OCR_HEIGHT, OCR_BORDER = 40, 14  # letter height and white border of the images for OCR, in pixels
ONE_WORD, ONE_CHARACTER = 8, 10  # Tesseract's page segmentation modes; the latter often misses an R with wide strokes


@dataclass(frozen=True)
class Candidate:
    """Components that resemble a laterality marker.

    ink: the strokes they belong to.  letters: their labels in `ink`.  text: the marker that they resemble.
    likeness: correlation with it, -1 to 1, see `glyphs.likeness`.
    skew: degrees by which the shape is turned counter-clockwise; view: index of the upright one of its `glyphs.dihedral` views after that.
    frame: label of the ring around them, or 0.
    """

    ink: Ink
    letters: tuple[int, ...]
    text: str
    likeness: float
    skew: float
    view: int
    frame: int = 0


def candidates(ink: Ink, index: int, frame: int, letters: tuple[str, ...]) -> list[Candidate]:
    """Orientations in which a component resembles one of `letters`.

    Args:
        ink: the strokes.
        index: label of the component.
        frame: label of the ring around it, or 0.
        letters: single characters of the stroke font.

    Returns:
        At most two candidates, the likelier first.
    """
    shape = ink.shape(index)
    if min(shape.shape) < 5 or not letters:
        return []
    skew, _ = glyphs.skew_deg(shape)
    if glyphs.tight(glyphs.turn(shape, skew)).mean() > SOLID:
        return []
    found: dict[tuple[str, int], Candidate] = {}
    rival = -1.0
    for angle in [skew] + [0.0] * (abs(skew) > 2) + [skew + tilt for tilt in TILTS]:
        upright = glyphs.tight(glyphs.turn(shape, angle)) if abs(angle) > 1 else shape
        if angle == skew and glyphs.likeness(upright, letters)[1].max() < HOPELESS:
            return []
        chars, scores = glyphs.likeness(upright)
        for char in letters:
            column = scores[:, list(chars).index(char)]
            view = int(column.argmax())
            known = found.get((char, view))
            if min(glyphs.ahead_of_twin(scores, view, char), glyphs.ahead_of_digit(scores, view, char)) < AHEAD:
                continue
            if known is None or column[view] > known.likeness + 0.01:
                found[char, view] = Candidate(ink, (index,), char, float(column[view]), angle, view, frame)
        rival = max(rival, float(scores[:, ~np.isin(chars, letters)].max(initial=-1.0)))
    found = {k: c for k, c in found.items() if c.likeness >= max(LEAST_LIKENESS, rival - RIVAL) and not _is_arrowhead(c)}
    return sorted(found.values(), key=lambda c: -c.likeness)[:2]


def _is_arrowhead(c: Candidate) -> bool:
    """Whether a candidate for an L is an arrowhead: arms of equal length, standing on the corner."""
    if c.text != "L" or abs(c.skew) < ON_POINT_DEG:
        return False
    h, w = glyphs.tight(glyphs.turn(c.ink.shape(c.letters[0]), c.skew)).shape
    return EQUAL_ARMS < w / h < 1 / EQUAL_ARMS


def vote(c: Candidate, reader: Reader) -> float:
    """Mean confidence (0–1) with which the OCR engine reads the candidate's text; any other reading counts as 0.

    Two images, one read as a word and one as a character, suffice if both are convincing; otherwise all three are read both ways.
    """
    images = pictures(c)

    def votes(shown: list[np.ndarray], psm: int) -> list[float]:
        results = reader.read(shown, whitelist=WHITELIST, psm=psm)
        return [confidence if text.upper() == c.text else 0.0 for text, confidence in results]

    as_word, as_character = votes(images[:1], ONE_WORD), votes(images[1:2], ONE_CHARACTER)
    agreement = as_word + as_character
    if min(agreement) >= CONVINCING:
        return float(np.mean(agreement))
    if not any(agreement) and c.likeness < SIMILAR:
        return 0.0
    as_word += votes(images[1:], ONE_WORD)
    hard_as_character, third_as_character = votes(images[::2], ONE_CHARACTER)
    return float(np.maximum(as_word, [hard_as_character, *as_character, third_as_character]).mean())


def pictures(c: Candidate) -> list[np.ndarray]:
    """Three upright images of a candidate, (H, W) uint8, dark on white: its strokes as a mask, its grey levels, and its strokes
    thinned or thickened."""
    x, y, w, h = _bounds(c)
    pad = 4
    shape = glyphs.padded(label_mask(c.ink.labels[y : y + h, x : x + w], c.letters).astype(np.uint8), pad) > 0
    grey = glyphs.padded(c.ink.hat[y : y + h, x : x + w], pad).astype(np.float32)
    grey = np.clip(grey / max(1.0, percentile(grey[shape], 60)), 0, 1)
    grey[cv2.dilate(shape.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0] = 0
    hard, soft = (_upright(image, c) for image in (shape.astype(np.float32), grey))
    fat = (hard < 128).mean() > 0.17
    morphology = cv2.dilate if fat else cv2.erode  # dark strokes: dilating the white thins them
    return [hard, soft, cv2.GaussianBlur(morphology(hard, np.ones((3, 3), np.uint8), iterations=2 if fat else 1), (3, 3), 0)]


def _bounds(c: Candidate) -> tuple[int, int, int, int]:
    """x, y, w, h of the bounding box of all letters, work frame."""
    s = c.ink.stats[list(c.letters)]
    x, y = int(s[:, 0].min()), int(s[:, 1].min())
    return x, y, int((s[:, 0] + s[:, 2]).max()) - x, int((s[:, 1] + s[:, 3]).max()) - y


def _upright(image: np.ndarray, c: Candidate) -> np.ndarray:
    """(H, W) float32 strokes 0–1 as an upright uint8 image, letters `OCR_HEIGHT` high, dark on white, with a border; a blank one where no stroke
    shows, in which nothing is read."""
    h, w = image.shape
    side = int(np.hypot(h, w)) + 2
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), c.skew, 1.0)
    matrix[:, 2] = matrix[:, 2] + (side / 2 - np.array([w / 2, h / 2]))
    image = glyphs.dihedral(cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR))[c.view]
    rows, columns = np.flatnonzero((image > 0.3).any(1)), np.flatnonzero((image > 0.3).any(0))
    if not len(rows):
        return np.full((OCR_HEIGHT + 2 * OCR_BORDER, OCR_HEIGHT + 2 * OCR_BORDER), 255, np.uint8)
    image = np.ascontiguousarray(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    factor = OCR_HEIGHT / image.shape[0]
    size = max(4, round(image.shape[1] * factor)), OCR_HEIGHT
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    return glyphs.padded(255 - np.round(image * 255).astype(np.uint8), OCR_BORDER, value=255)
