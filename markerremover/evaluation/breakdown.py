"""Which class an element or an image of the truth belongs to: what the results of `evaluation` are broken down by."""

from __future__ import annotations

import re

from ..records import LATERALITY, Element

HEIGHTS = (8, 12, 16, 24, 40)  # limits between the classes of annotation height, source pixels
LEAST_TOKEN = 3  # shortest word of an annotation, in letters and digits, that is searched for in what OCR reads
INITIALS = 3  # highest number of letters that count as initials

#: Notes on orientation and legibility that annotators write after the text, in lower case as here; see annotations/README.md.
NOTES = frozenset("mirrored flipped rotated vertical diagonal staggered cut off edge faint washed handwritten".split())
_TURN = re.compile(r"rot-?\d*$")
TEXTLESS = frozenset({"arrow", "up", "down"})


def words(text: str) -> tuple[list[str], list[str]]:
    """Words of an annotation's text, and the notes on its orientation.

    >>> words("J. Smith 12-34567 mirrored rot90")
    (['J', 'Smith', '12', '34567'], ['mirrored', 'rot90'])
    """
    text_words, notes = [], []
    for word in "".join(c if c.isalnum() or c == "-" else " " for c in text).split():
        if word in NOTES or word in TEXTLESS or _TURN.match(word):
            notes.append(word)
        else:
            text_words += word.replace("-", " ").split()
    return text_words, notes


def tokens(text: str) -> set[str]:
    """Words of an annotation, upper case, that OCR could still read: those of `LEAST_TOKEN` characters or more.

    >>> sorted(tokens("J. Smith 12-34567 mirrored rot90"))
    ['34567', 'SMITH']
    """
    return {word.upper() for word in words(text)[0] if len(word) >= LEAST_TOKEN}


def kind(element: Element) -> str:
    """The class of an element, from the text and the notes on orientation in its annotation.

    >>> kind(Element((0, 0, 9, 9), "laterality", "L mirrored rot90")), kind(Element((0, 0, 9, 9), "marker", "GV"))
    ('laterality marker, mirrored and turned', 'initials')
    """
    text_words, notes = words(element.text)
    letters = "".join(text_words)
    if element.kind == LATERALITY:
        mirrored = any(n in ("mirrored", "flipped") for n in notes)
        turned = any(_TURN.match(n) or n in ("rotated", "vertical", "diagonal") for n in notes)
        if not letters:
            return "laterality marker, not said which"
        if len(letters) > 1:
            return "laterality marker, a word"
        return "laterality marker, " + (" and ".join(["mirrored"] * mirrored + ["turned"] * turned) or "upright")
    if any(n in TEXTLESS for n in notes) and not letters:
        return "arrow"
    if not letters:
        return "text, not transcribed"  # a key of the JSON document
    if any(c.isdigit() for c in letters):
        return "text with digits"
    return "initials" if len(letters) <= INITIALS else "words"


def heights() -> list[str]:
    """The classes of annotation height, ascending."""
    return [f"below {HEIGHTS[0]} px", *(f"{a} to {b} px" for a, b in zip(HEIGHTS, HEIGHTS[1:])), f"{HEIGHTS[-1]} px and more"]


def height(height_px: float) -> str:
    """The class of an annotation's height (pixels of the source).

    >>> height(7.5), height(8), height(300)
    ('below 8 px', '8 to 12 px', '40 px and more')
    """
    return heights()[sum(height_px >= limit for limit in HEIGHTS)]
