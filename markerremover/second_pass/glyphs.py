"""Shapes of single letters: a stroke font, the eight orientations of a letter, and the similarity of two shapes.

It gives a second opinion beside the OCR engine, and finds the likeliest orientation cheaply. The font is defined here, so that the
shapes do not depend on installed fonts.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

PIECE = 32  # template vectors per matrix product: 8 x SIDE**2 x 32 is below the size from which OpenBLAS uses several threads
SIDE = 24  # side of the square at which shapes are compared, pixels
NARROWEST = 0.4  # least ratio of the sides: a narrower shape (I, 1) is padded to it before it is stretched to a square
_UNIT = 16  # pixels per grid unit of the drawn font
_THICK = (0.65, 1.0, 1.4, 1.9)  # stroke widths in grid units: thin digital letters to fat lead ones
_FAT, _FAT_CHARS = (2.6, 3.3), "LJTV71I"  # larger stroke widths, and the characters without counters that remain legible at them
_SLANT = 0.18  # shear of the italic variant

TWINS = {"L": "J"}  # character -> the character that resembles its mirror image
DIGITS = {"I": "1"}  # letter -> the digit that resembles it, upright or upside down

# Pen strokes on a grid 4 wide and 6 high, "xy" points, y down; "|" lifts the pen, "/" separates forms of a letter.
_STROKES = {
    "A": "06 20 46|14 34", "B": "06 00 30 41 42 33 03|33 44 45 36 06", "C": "41 30 10 01 05 16 36 45",
    "D": "00 06 26 45 41 20 00", "E": "40 00 06 46|03 33", "F": "40 00 06|03 33", "G": "41 30 10 01 05 16 36 45 43 23",
    "H": "00 06|40 46|03 43", "I": "20 26/10 30|20 26|16 36/00 40|20 26|06 46", "J": "40 45 36 16 05", "K": "00 06|40 03|12 46", "L": "00 06 46",
    "M": "06 00 23 40 46", "N": "06 00 46 40", "O": "10 30 41 45 36 16 05 01 10", "P": "06 00 30 41 42 33 03/06 00 30 41 43 34 04",
    "Q": "10 30 41 45 36 16 05 01 10|34 46",
    "R": "06 00 30 41 42 33 03|23 46/06 00 30 41 43 34 04|24 46/06 00 30 41 42 33 03|33 44 46/06 00 30 41 43 34 04|34 45 46",
    "S": "41 30 10 01 02 13 33 44 45 36 16 05", "T": "00 40|20 26", "U": "00 05 16 36 45 40", "V": "00 26 40",
    "W": "00 16 23 36 40", "X": "00 46|40 06", "Y": "00 23 40|23 26", "Z": "00 40 06 46", "1": "11 20 26/11 20 26|16 36/11 20 26|06 46",
    "2": "01 10 30 41 42 06 46", "3": "01 10 30 41 42 33 23|33 44 45 36 16 05", "4": "36 30 04 44",
    "5": "40 00 03 33 44 45 36 16 05", "6": "41 30 10 01 05 16 36 45 44 33 03", "7": "00 40 16",
    "8": "10 30 41 42 33 13 02 01 10|13 04 05 16 36 45 44 33", "9": "43 13 02 01 10 30 41 45 36 16 05",
}


def dihedral(image: np.ndarray) -> list[np.ndarray]:
    """The eight views (not copies) of an (H, W) image: turned by 0, 90, 180, 270 degrees counter-clockwise, then these four flipped
    left to right. View `i` was turned by 90 * (i % 4) and is flipped if i > 3."""
    views = [np.rot90(image, k) for k in range(4)]
    return views + [view[:, ::-1] for view in views]


def padded(image: np.ndarray, px: int, *, px_beside: int | None = None, value: int = 0) -> np.ndarray:
    """A larger copy of an (H, W) image, with `px` of `value` above and below, and `px_beside` (else as many) left and right."""
    beside = px if px_beside is None else px_beside
    return cv2.copyMakeBorder(image, px, px, beside, beside, cv2.BORDER_CONSTANT, value=value)


def tight(mask: np.ndarray) -> np.ndarray:
    """View of an (H, W) `mask` cropped to its set pixels; of shape (0, 0) if none is set."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not rows.size:
        return mask[:0, :0]
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def skew_deg(mask: np.ndarray) -> tuple[float, float]:
    """Rotation of a shape's edges from the axes.

    It is the mean gradient direction of the outline with four-fold symmetry, so that all four sides of a stroke count alike.
    Bounding rectangles are not suitable: the smallest one around an L may lie along its hypotenuse.

    Args:
        mask: (H, W) bool or uint8.

    Returns:
        (degrees in (-45, 45], clockwise as seen; share of the outline that agrees, 0–1); (0, 0) for a mask without an edge.
    """
    soft = cv2.GaussianBlur(padded(mask.astype(np.float32), 3), (0, 0), 1.2)
    gx, gy = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    length = cv2.magnitude(gx, gy)
    total = float(length.sum())
    if total == 0:
        return 0.0, 0.0
    # the fourth power of the gradient z, without computing its angle: z^4 / |z|^3, with z^2 = (a, b)
    a, b = gx * gx - gy * gy, 2 * gx * gy
    weight = 1 / np.maximum(length, np.float32(1e-6)) ** 3
    mean = complex(float(((a * a - b * b) * weight).sum()), float((2 * a * b * weight).sum())) / total
    return float(np.degrees(np.angle(mean)) / 4), float(abs(mean))


def turn(mask: np.ndarray, degrees: float) -> np.ndarray:
    """`mask` (H, W) turned counter-clockwise by `degrees` about its centre, as a new square bool array that holds all of it."""
    h, w = mask.shape
    side = int(np.ceil(np.hypot(h, w))) + 2
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, 1.0)
    matrix[:, 2] = matrix[:, 2] + (side / 2 - np.array([w / 2, h / 2]))
    return cv2.warpAffine(mask.astype(np.float32), matrix, (side, side), flags=cv2.INTER_LINEAR) >= 0.5


def vector(shape: np.ndarray) -> np.ndarray:
    """Feature vector of a tight (H, W) bool shape: stretched to a square and blurred.

    Returns:
        (SIDE * SIDE,) float32 of unit length and zero mean; all zero for an empty shape.
    """
    h, w = shape.shape
    if not shape.size:
        return np.zeros(SIDE * SIDE, np.float32)
    pad_w, pad_h = max(0, int(np.ceil(h * NARROWEST - w)) + 1) // 2, max(0, int(np.ceil(w * NARROWEST - h)) + 1) // 2
    picture = padded(shape.astype(np.float32), pad_h, px_beside=pad_w)
    picture = cv2.GaussianBlur(cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), (0, 0), 0.8).ravel()
    picture = picture - picture.mean()
    return picture / max(float(np.linalg.norm(picture)), 1e-6)


def draw(char: str, *, thick: float = 1.0, slant: float = 0.0, unit: int = _UNIT, form: int = 0) -> np.ndarray:
    """A letter or digit of the stroke font.

    Args:
        char: one of A–Z, 1–9.
        thick: stroke width, grid units.
        slant: shear to the right, 0 for upright.
        unit: pixels per grid unit.
        form: index into the character's forms.

    Returns:
        Tight (H, W) bool mask, about (6 + `thick`) * `unit` pixels high.
    """
    pad = 2 * unit
    image = np.zeros((6 * unit + 2 * pad, 6 * unit + 2 * pad), np.uint8)
    for line in _STROKES[char].split("/")[form].split("|"):
        points = np.array([[int(p[0]), int(p[1])] for p in line.split()], np.float32)
        points[:, 0] += slant * (6 - points[:, 1])
        cv2.polylines(image, [np.round(points * unit + pad).astype(np.int32)], False, 255, max(1, round(thick * unit)))
    return tight(image > 0)


@lru_cache(maxsize=8)
def _templates(characters: tuple[str, ...] = tuple(_STROKES)) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """(C,) characters; the V vectors of all their variants as pieces of (SIDE * SIDE, up to PIECE); (C,) index of each character's
    first vector."""
    vectors: list[np.ndarray] = []
    starts: list[int] = []
    for char in characters:
        forms = _STROKES[char]
        starts.append(len(vectors))
        for form in range(forms.count("/") + 1):
            styles = [(thick, slant) for thick in _THICK + _FAT * (char in _FAT_CHARS) for slant in (0.0, _SLANT)]
            vectors += [vector(draw(char, thick=thick, slant=slant, form=form)) for thick, slant in styles]
    pieces = [np.ascontiguousarray(np.stack(vectors[i : i + PIECE], axis=1)) for i in range(0, len(vectors), PIECE)]
    return np.array(characters), pieces, np.array(starts)


@lru_cache(maxsize=1)
def _eight_views() -> np.ndarray:
    """(8, SIDE * SIDE) indices into a flattened square that give its `dihedral` views."""
    return np.stack([view.ravel() for view in dihedral(np.arange(SIDE * SIDE).reshape(SIDE, SIDE))])


def likeness(shape: np.ndarray, characters: tuple[str, ...] = tuple(_STROKES)) -> tuple[np.ndarray, np.ndarray]:
    """Correlation of a tight (H, W) bool shape with characters of the stroke font, in each of the eight orientations.

    Returns:
        (C,) the characters; (8, C) correlations, -1 to 1: the best over each character's variants, rows as in `dihedral`.
    """
    chars, templates, starts = _templates(characters)
    views = vector(shape)[_eight_views()]  # the vector is of a square, so its eight views are squares too
    # The products are small enough for BLAS to keep them on one thread: on several busy cores, they take 20 times longer.
    correlations = np.concatenate([views @ piece for piece in templates], axis=1)
    return chars, np.maximum.reduceat(correlations, starts, axis=1)


def ahead_of_twin(scores: np.ndarray, view: int, char: str) -> float:
    """Margin by which a shape resembles `char` more than the mirror twin of `char` (see `TWINS`) in the mirrored view.

    Initials with a J must not pass for a mirrored L.

    Args:
        scores: (8, C) of `likeness` with all characters.
        view: index of the upright view, as in `dihedral`.

    Returns:
        Difference of correlations; 2 for characters without a twin.
    """
    if char not in TWINS:
        return 2.0
    chars = list(_STROKES)
    return float(scores[view, chars.index(char)] - scores[(view + 4) % 8, chars.index(TWINS[char])])


def ahead_of_digit(scores: np.ndarray, view: int, char: str) -> float:
    """Margin by which a shape resembles `char` more than the similar digit (see `DIGITS`), upright or upside down, mirrored or not.

    Args:
        scores: (8, C) of `likeness` with all characters.
        view: index of the upright view, as in `dihedral`.

    Returns:
        Difference of correlations; 2 for characters without such a digit.
    """
    if char not in DIGITS:
        return 2.0
    chars = list(_STROKES)
    return float(scores[view, chars.index(char)] - scores[view % 2 :: 2, chars.index(DIGITS[char])].max())


def resembles(mask: np.ndarray, char: str, rotation_deg: float, mirrored: bool) -> float:
    """Correlation of a (H, W) bool shape with one character of the stroke font, after the shape is turned counter-clockwise by
    `rotation_deg` and then, if mirrored, flipped left to right.

    Returns:
        -1 to 1; -1 for an empty shape.

    Raises:
        ValueError: the font does not have the character, see `drawable`.
    """
    if not mask.any():
        return -1.0
    chars, scores = likeness(tight(turn(tight(mask), rotation_deg)))
    return float(scores[4 if mirrored else 0, list(chars).index(char)])


def drawable(char: str) -> bool:
    """Whether the stroke font has this character."""
    return char in _STROKES
