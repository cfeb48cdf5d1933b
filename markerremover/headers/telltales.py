"""Whether print that was read holds a name, number or birth date of the file's own header, see `identifiers`. Pure; nothing is ever quoted.

OCR slips: letters and digits that look alike are one, and parts of `SLIP` characters or more may differ by one edit. Less is looked for than
in texts and paths, since ribs and rings read as letters: no name of two letters by itself, and no word that stands on anyone's radiograph.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from datetime import date

from ..records import Telling
from . import days
from .identifiers import days_of, numbers_of
from .naming import ORDINARY, names_in
from .spelling import alike, forms, unpadded

__all__ = ["tells"]

SHORTEST, SHORTEST_NUMBER = 3, 4  # characters of a part that is looked for: less is read into ribs and rings, or is an exposure
SLIP = 5  # characters from which one edit is forgiven, and from which words are joined to make the part
WITHIN = 6  # characters from which a part counts inside a longer word: names that were read without the blank between them
FULL_DAY = 8  # characters of a day with its whole year and no blanks; shorter spellings must match exactly
MOST_JOINED = 4  # words that together may make one part, such as a date that was read in pieces
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CLUE = re.compile(f"(?:{'|'.join(map(alike, ('patid', 'pat', 'id', 'mrn', 'pid', 'nr', 'no')))})?0*(?=.)")


def tells(words: Sequence[str], telling: Telling) -> bool:
    """Whether the words of one reading, in order, hold a telling part."""
    if not telling:
        return False
    parts, whole, births = _looked_for(telling)
    folded = [piece for word in words for piece in map(alike, re.split(r"[\W_]+", word)) if piece]
    rows = [folded[i : i + n] for n in range(1, MOST_JOINED + 1) for i in range(len(folded) - n + 1)]
    if any(form in whole for row in rows for form in forms("".join(row))):
        return True
    texts = {(form, len(row)) for row in rows if not set(row) & _ordinary() for form in _spellings("".join(row))}
    if any(_is(text, part, count) for text, count in texts for part in parts):
        return True
    known = {key for day in births for key in days.keys(day)}
    if known and not known.isdisjoint(days.in_print(words)):
        return True
    full = {alike(spelling) for day in births for spelling in _full(day)}
    return any(text == day or (len(text) >= FULL_DAY - 1 and _one_edit(text, day)) or day in text for text, _ in texts for day in full)


def _is(text: str, part: str, count: int) -> bool:
    """Whether a text of so many words is a part, in which one edit is forgiven from `SLIP` characters on."""
    if count > 1 and len(part) < SLIP:
        return False
    return text == part or (len(part) >= SLIP and _one_edit(text, part)) or (len(part) >= WITHIN and part in text)


@functools.lru_cache(4)
def _looked_for(telling: Telling) -> tuple[frozenset[str], frozenset[str], tuple[date, ...]]:
    """Parts of names and numbers; whole names written as one; days of birth and death."""
    names = [name for one in telling if one.kind == "name" for name in names_in(one.text)]
    parts = {form for name in names for word in name.parts for form in forms(alike(word)) if len(form) >= SHORTEST}
    for text in (one.text for one in telling if one.kind == "number"):
        parts |= {alike(number) for number in numbers_of(text) if len(alike(number)) >= (SHORTEST_NUMBER if number.isdigit() else SHORTEST)}
        parts |= {alike(word) for name in names_in(text) for word in name.parts if len(alike(word)) >= SHORTEST}
    whole = {form for name in names for word in name.glued if word.isascii() for form in forms(alike(word))}
    births = tuple(day for one in telling if one.kind == "birth" for day in days_of(one.text))
    return frozenset(parts) - _ordinary(), frozenset(whole) - _ordinary(), births


def _spellings(text: str) -> Iterator[str]:
    """A word of print, also without digraphs for letters with marks, and without "ID" or the like and zeros before a number."""
    yield from forms(text)
    bare = _CLUE.sub("", text, count=1)
    if sum(map(str.isdigit, bare)) >= SHORTEST_NUMBER:
        yield unpadded(bare)


def _full(day: date) -> tuple[str, ...]:
    """A day in the spellings of eight characters or so in which a slip is forgiven."""
    y, m, d, name = f"{day.year:04d}", f"{day.month:02d}", f"{day.day:02d}", _MONTHS[day.month - 1]
    return (y + m + d, d + m + y, m + d + y, d + name + y, name + d + y, f"{day.day}{name}{y}", f"{name}{day.day}{y}")


@functools.cache
def _ordinary() -> frozenset[str]:
    return frozenset(map(alike, ORDINARY))


def _one_edit(a: str, b: str) -> bool:
    """Whether one character put in, taken out or exchanged makes one of the other, at most."""
    if abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    if len(a) == len(b):
        return a[start + 1 :] == b[start + 1 :]
    long, short = (a, b) if len(a) > len(b) else (b, a)
    return long[start + 1 :] == short[start:]
