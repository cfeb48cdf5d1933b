"""Whether print that was read holds a name, number or birth date of the file's own header. Pure; nothing is ever quoted.

OCR slips: letter case, marks and punctuation do not count, letters and digits that look alike are one, and parts of `SLIP`
characters or more may differ by one edit. Words that stand on anyone's radiograph tell nothing.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from datetime import date
from typing import Sequence

from .records import Telling

__all__ = ["dates_of", "tells"]

SHORTEST, SHORTEST_NUMBER = 3, 4  # characters of a part that is looked for: less is read into ribs and rings, or is an exposure
SLIP = 5  # characters from which one edit is forgiven, and from which words are joined to make the part
WITHIN = 6  # characters from which a part counts inside a longer word: names that were read without the blank between them
FULL_DATE = 8  # digits or letters of a date with a whole year; shorter spellings must match exactly
MOST_JOINED = 4  # words that together may make one part, such as a date that was read in pieces
_ALIKE = str.maketrans("oqilzsbg", "00112586")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ORDINARY = (
    "abdomen ankle anonymized anterior aufrecht axial bearing bed bedside chest cross cross-table cxr debout decub decubitus derecha "
    "derecho detector droit droite elbow erect expiration external female film finger foot frog gauche grid hand hip inspiration inspired "
    "internal izquierda izquierdo kilovolt knee lat lateral left links liegend lower male mobile neutral non-grid oblique patient pelvis "
    "portable portatil posterior prone rechts right rotation seated semi semi-erect semi-sentado sentado shoulder side sitting spine stat "
    "standing supine table technologist thorax time trauma upper upright view weight wrist xray"
)


def tells(words: Sequence[str], telling: Telling) -> bool:
    """Whether the words of one reading, in order, hold a telling part."""
    folded = [piece for word in words for piece in map(fold, re.split(r"\W+|_", word)) if piece]
    joined = [
        ("".join(folded[i : i + n]), n) for n in range(1, MOST_JOINED + 1) for i in range(len(folded) - n + 1)
        if not set(folded[i : i + n]) & _ordinary()
    ]
    parts = [part for part in map(fold, filter(_long_enough, telling.parts)) if part not in _ordinary()]
    dates = [fold(spelling) for spelling in telling.dates]
    return any(_is(text, part, count, SLIP) for text, count in joined for part in parts) or any(
        _is(text, spelling, count, FULL_DATE) for text, count in joined for spelling in dates
    )


def _is(text: str, part: str, count: int, slip: int) -> bool:
    """Whether a text of so many words is a part, in which one edit is forgiven from `slip` characters on."""
    if count > 1 and len(part) < SLIP:
        return False
    return text == part or (len(part) >= slip and _one_edit(text, part)) or (len(part) >= max(slip, WITHIN) and part in text)


def _long_enough(part: str) -> bool:
    plain = [char for char in part if char.isalnum()]
    return len(fold(part)) >= (SHORTEST_NUMBER if all(char.isdigit() for char in plain) else SHORTEST)


def dates_of(day: date) -> frozenset[str]:
    """A day in the spellings that are burnt into radiographs, without punctuation: 19500203, 03021950, 02031950, 321950, 030250,
    3feb1950, feb031950 and the like."""
    y, m, d, name = f"{day.year:04d}", f"{day.month:02d}", f"{day.day:02d}", _MONTHS[day.month - 1]
    found = {y + m + d, d + m + y, m + d + y, y[2:] + m + d, d + m + y[2:], m + d + y[2:]}
    found |= {f"{day.day}{day.month}{y}", f"{day.month}{day.day}{y}", f"{y}{day.month}{day.day}"}
    found |= {text for i in (d, str(day.day)) for year in (y, y[2:]) for text in (i + name + year, name + i + year, year + name + i)}
    return frozenset(found)


def fold(text: str) -> str:
    """Letters and digits alone, in lower case, without marks; those that look alike are the same.

    >>> fold("Müll-er 0"), fold("MULLER O")
    ('mu11er0', 'mu11er0')
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in plain if char.isalnum() and char.isascii()).translate(_ALIKE)


@functools.cache
def _ordinary() -> frozenset[str]:
    return frozenset(map(fold, _ORDINARY.split()))


def _one_edit(a: str, b: str) -> bool:
    """Whether one character put in, taken out or exchanged makes one of the other, at most."""
    if abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    if len(a) == len(b):
        return a[start + 1 :] == b[start + 1 :]
    long, short = (a, b) if len(a) > len(b) else (b, a)
    return long[start + 1 :] == short[start:]
