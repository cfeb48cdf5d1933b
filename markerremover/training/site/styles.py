"""The styles of a site's annotations, measured on its labelled radiographs, as a layout that draws others like them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ...labels import labelled_folder
from ...labels.labelled_folder import Sample
from ...records import LATERALITY, MARKER, Element
from ...synthesis.layouts.records import Film, Layout, Mark, Place

MARKS_PER_FILM = 3.0  # mean number of marks that a film of the layout gets
MAX_STYLES = 60  # largest number of annotations whose styles are drawn
SIZE_RANGE = (0.85, 1.18)  # factors on a measured letter height
GREY_RANGE = 18  # grey levels by which strokes and grounds may differ from the measured ones
MIN_CONTRAST = 8  # lowest contrast of strokes with their ground with which a style is measured, grey levels
OWN_GROUND = 18  # lowest difference, grey levels, of a pasted box or plate from what is around it
RIM = 2  # width of the ground beside an annotation's box that tells strokes from ground, pixels
FLAT = 6  # highest standard deviation, grey levels, of a pasted box
BRIGHT = 247  # lowest grey level of strokes that a console writes
LETTER_WIDTH = 0.78  # mean width of a letter with its gap, as a multiple of the height of capitals
ROOM = 0.8  # share of the shorter side that a text may take
#: Texts that other annotations of a site are drawn with, and how many characters they may have, see `synthesis.layouts.templates`.
TEMPLATES = (
    ("{initials}", 3), ("{number}", 3), ("{time}", 8), ("{position}", 14), ("{id}", 12), ("{date}", 11), ("{family}", 14),
    ("{date} {time}", 20), ("{name}", 26), ("{institution}", 34),
)
NOT_LETTERS = re.compile("arrow|circle|ring|drawn|dotted|line|box|patch|smudge|illegible|logo|symbol|icon", re.IGNORECASE)
#: Words of a label that describe the annotation and are not printed on the film.
DESCRIBING = re.compile(r"mirrored|flipped|rot(-?\d+)?|\(?cut\)?|clipped|boxed|box|ringed|ring|in|on|plate|outline|circle|pasted|faint|[?]", re.IGNORECASE)


@dataclass(frozen=True)
class Style:
    """How one annotation looks.

    kind: laterality or marker.  text: what is printed by its label, "" if that says nothing.  cap: height of capitals, a fraction of the image's longer side.
    letters: estimated number of characters.  xy: its middle, fractions of width and height.  turn: degrees counter-clockwise.
    mirrored: whether its label says so.  level, ground: of strokes and of what is under them, 0 to 255.
    pasted: whether it lies on a box or plate of its own.  framed: "ring" or "frame" around the letters, or "".
    sharp: whether its edges are as sharp as a console's.
    """

    kind: str
    text: str
    cap: float
    letters: int
    xy: tuple[float, float]
    turn: float
    mirrored: bool
    level: float
    ground: float
    pasted: bool
    framed: str
    sharp: bool


def layout_of(samples: Sequence[Sample], markers: Iterable[str]) -> Layout | None:
    """A layout that draws annotations like those of some labelled radiographs; None if they have none whose strokes stand out.

    Args:
        markers: laterality markers of the site, drawn beside those that the labels name.

    Raises:
        ReadError: an image cannot be read.
    """
    styles = [style for sample in samples for style in styles_of(sample)]
    if not styles:
        return None
    if len(styles) > MAX_STYLES:  # evenly among those in the order of the samples
        styles = [styles[round(i)] for i in np.linspace(0, len(styles) - 1, MAX_STYLES)]
    named = [style.text for style in styles if style.kind == LATERALITY and style.text.isascii() and style.text.isalnum()]
    sides = tuple(dict.fromkeys([*named, *(marker.upper() for marker in markers)])) or ("L", "R")
    frequency = min(1.0, MARKS_PER_FILM / len(styles))
    marks = tuple(_mark(f"style {number}", style, sides, frequency) for number, style in enumerate(styles, start=1))
    return Layout("styles of the site", marks, Film(collimated=0.1))


def styles_of(sample: Sample) -> list[Style]:
    """The style of every annotation of a radiograph whose strokes stand out; drawn lines, arrows and the like have none.

    Raises:
        ReadError: the image cannot be read.
    """
    picture = labelled_folder.read_grey(sample.path)
    found = (_style(picture, element) for element in sample.annotation.elements if element.kind in (LATERALITY, MARKER))
    return [style for style in found if style is not None]


def _style(picture: np.ndarray, element: Element) -> Style | None:
    """The style of one element of a (H, W) uint8 image; None if its strokes do not stand out, or are no letters."""
    import cv2

    words = element.text.split()
    if words and NOT_LETTERS.match(words[0]):
        return None
    h, w = picture.shape
    x1, y1, x2, y2 = (round(v) for v in element.xyxy)
    x1, y1, x2, y2 = max(0, x1), max(0, y1), min(w, x2), min(h, y2)
    if min(x2 - x1, y2 - y1) < 4:
        return None
    part = picture[y1:y2, x1:x2]
    split, binary = cv2.threshold(part, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    strokes: np.ndarray = binary.astype(bool) if _beside(picture, (x1, y1, x2, y2)) <= split else ~binary.astype(bool)
    if not strokes.any() or strokes.all():
        return None
    level, ground = float(np.median(part[strokes])), float(np.median(part[~strokes]))
    if abs(level - ground) < MIN_CONTRAST:
        return None
    framed, letters = _frame(strokes)
    rows, columns = np.flatnonzero(letters.any(1)), np.flatnonzero(letters.any(0))
    high, wide = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    text = " ".join(itertools.takewhile(lambda word: not DESCRIBING.fullmatch(word), words))
    turns = [float(word[3:]) % 360 for word in words if re.fullmatch(r"rot-?\d+", word)]
    turn = turns[0] if turns else 90.0 if high > 1.6 * wide and len(text) != 1 and element.kind == MARKER else 0.0
    cap, along = (wide, high) if round(turn / 90) % 2 else (high, wide)
    return Style(
        element.kind, text, cap / max(h, w), len(text) or max(1, round(along / (LETTER_WIDTH * cap))), ((x1 + x2) / 2 / w, (y1 + y2) / 2 / h), turn,
        "mirrored" in words, level, ground, _pasted(picture, (x1, y1, x2, y2), part[~strokes], ground), framed,
        _sharp(part, abs(level - ground)))


def _beside(picture: np.ndarray, xyxy: tuple[int, int, int, int]) -> float:
    """Median grey level of the thin rim around a box; 0 where the box is the whole image."""
    x1, y1, x2, y2 = xyxy
    top, left = max(0, y1 - RIM), max(0, x1 - RIM)
    window = picture[top : y2 + RIM, left : x2 + RIM]
    rim = np.ones(window.shape, bool)
    rim[y1 - top : y2 - top, x1 - left : x2 - left] = False
    return float(np.median(window[rim])) if rim.any() else 0.0


def _frame(strokes: np.ndarray) -> tuple[str, np.ndarray]:
    """The kind of frame around the letters, "ring", "frame" or "", and the (h, w) bool strokes inside it."""
    import cv2

    h, w = strokes.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats(strokes.astype(np.uint8), connectivity=8)
    for number in range(1, count):
        if stats[number, cv2.CC_STAT_WIDTH] >= 0.92 * w and stats[number, cv2.CC_STAT_HEIGHT] >= 0.92 * h:
            inner = (labels > 0) & (labels != number)
            middle = inner[h // 5 : h - h // 5, w // 5 : w - w // 5]
            if middle.any() and not (labels == number)[2 * h // 5 : h - 2 * h // 5, 2 * w // 5 : w - 2 * w // 5].any():
                corner = max(1, min(h, w) // 8)
                filled = [(labels == number)[a, b].any() for a in (slice(corner), slice(h - corner, h)) for b in (slice(corner), slice(w - corner, w))]
                return ("frame" if sum(filled) >= 3 else "ring"), inner
    return "", strokes


def _pasted(picture: np.ndarray, xyxy: tuple[int, int, int, int], under: np.ndarray, ground: float) -> bool:
    """Whether the ground between the strokes is a flat box or plate of its own, unlike what is around the annotation."""
    h, w = picture.shape
    x1, y1, x2, y2 = xyxy
    far = max(16, round(1.5 * min(x2 - x1, y2 - y1)))  # the outer half of this margin is beyond a pasted box
    window = picture[max(0, y1 - far) : y2 + far, max(0, x1 - far) : x2 + far].astype(np.float32)
    around = np.ones(window.shape, bool)
    around[min(y1, far) // 2 : window.shape[0] - min(h - y2, far) // 2, min(x1, far) // 2 : window.shape[1] - min(w - x2, far) // 2] = False
    if not around.any():
        return False
    spread = float(np.median(np.abs(under.astype(np.float32) - ground)))
    return spread <= FLAT and abs(float(np.median(window[around])) - ground) >= OWN_GROUND


def _sharp(part: np.ndarray, contrast: float) -> bool:
    """Whether most of the contrast lies between neighbouring pixels somewhere along the strokes."""
    steps = np.concatenate([np.abs(np.diff(part.astype(np.int16), axis=axis)).ravel() for axis in (0, 1)])
    return float(np.percentile(steps, 97)) >= 0.6 * contrast


def _mark(name: str, style: Style, sides: tuple[str, ...], frequency: float) -> Mark:
    """The mark of a layout that draws one style with other texts."""
    bright = style.level > style.ground
    console = (style.sharp and style.level >= BRIGHT) or (not bright and not style.pasted) or (style.pasted and bright)
    if style.framed:
        styles: tuple[str, ...] = (style.framed,)
    elif style.pasted:
        styles = ("box",) if bright or console else ("cut-out",)
    else:
        styles = ("plain",)
    shade = style.ground if styles == ("cut-out",) else style.level
    return Mark(
        name, style.kind, sides if style.kind == LATERALITY else _texts(style), (_place(style.xy), Place("anywhere")), frequency,
        size=(style.cap * SIZE_RANGE[0], style.cap * SIZE_RANGE[1]), grey=_range(shade), ground=_range(style.ground),
        turns=(style.turn,), rotation=(-3.0, 3.0), mirrored=float(style.mirrored), styles=styles, layer="console" if console else "lead",
        contrast=max(4.0, 0.4 * abs(style.level - style.ground)))


def _texts(style: Style) -> tuple[str, ...]:
    """The texts of other annotations of about as many characters as a style's, and its own. Names in braces are filled in by the layout."""
    longest = max(3, int(ROOM / (LETTER_WIDTH * style.cap * SIZE_RANGE[1])))
    alike = [text for text, size in TEMPLATES if size <= longest and size <= max(3, 2 * style.letters) and (size > 3 or style.letters <= 4)]
    own = (style.text.replace("{", "{{").replace("}", "}}"),) if style.text.isascii() and 0 < len(style.text) <= longest else ()
    return (*own, *(alike or ["{number}"]))


def _place(xy: tuple[float, float]) -> Place:
    """The corner or edge that a middle lies at, in thirds of the image; "anywhere" in the centre."""
    column, row = (("left", "", "right")[min(2, int(3 * xy[0]))], ("top", "", "bottom")[min(2, int(3 * xy[1]))])
    return Place("-".join(filter(None, (row, column))) or "anywhere")


def _range(level: float) -> tuple[float, float]:
    return max(0.0, level - GREY_RANGE), min(255.0, level + GREY_RANGE)
