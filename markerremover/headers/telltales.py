"""Whether text read in the pixels holds a name, number or birth date of the file's own header, see `identifiers`. Pure; values are never quoted.

OCR makes errors: letters and digits of similar shape count as equal, and parts of `SLIP` characters or more may differ by one edit. The search
is narrower than in texts and paths, since ribs and rings are read as letters: no name of two letters alone, and no word of `ORDINARY`.
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

SHORTEST, SHORTEST_NUMBER = 3, 4  # fewest characters of a part, and digits of a number; shorter ones are read in ribs and rings, or are exposure values
SLIP = 5  # smallest number of characters of a part that may differ by one edit, and of one that joined words may match
WITHIN = 6  # smallest number of characters of a part that counts inside a longer word: names that were read without the blank between them
FULL_DAY = 8  # number of characters of a day with its whole year and no blanks; shorter spellings must match exactly
MOST_JOINED = 4  # highest number of words that are joined to one part, such as a date that was read in pieces
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CLUE = re.compile(f"(?:{'|'.join(map(alike, ('patid', 'pat', 'id', 'mrn', 'pid', 'nr', 'no')))})?0*(?=.)")


def tells(words: Sequence[str], telling: Telling) -> bool:
    """Whether the words of one reading, in order, hold an identifier of the header.

    Args:
        words: as OCR read them.  telling: see `header_identifiers.identifiers_of`; empty gives False."""
    if not telling:
        return False
    parts, joined_names, births = _targets(telling)
    folded = [piece for word in words for piece in map(alike, re.split(r"[\W_]+", word)) if piece]
    rows = [folded[i : i + n] for n in range(1, MOST_JOINED + 1) for i in range(len(folded) - n + 1)]
    if any(form in joined_names for row in rows for form in forms("".join(row))):
        return True
    texts = {(form, len(row)) for row in rows if not set(row) & _ordinary() for form in _spellings("".join(row))}
    if any(_is(text, part, count) for text, count in texts for part in parts):
        return True
    birth_keys = {key for day in births for key in days.keys(day)}
    if birth_keys and not birth_keys.isdisjoint(days.in_print(words)):
        return True
    full = {alike(spelling) for day in births for spelling in _full(day)}
    return any(text == day or (len(text) >= FULL_DAY - 1 and _one_edit(text, day)) or day in text for text, _ in texts for day in full)


def _is(text: str, part: str, count: int) -> bool:
    """Whether a text of `count` words matches a part; from `SLIP` characters on it may differ by one edit."""
    if count > 1 and len(part) < SLIP:
        return False
    return text == part or (len(part) >= SLIP and _one_edit(text, part)) or (len(part) >= WITHIN and part in text)


@functools.lru_cache(4)
def _targets(telling: Telling) -> tuple[frozenset[str], frozenset[str], tuple[date, ...]]:
    """Parts of names and numbers; names written as one word; days of birth."""
    names = [name for one in telling if one.kind == "name" for name in names_in(one.text)]
    parts = {form for name in names for word in name.parts for form in forms(alike(word)) if len(form) >= SHORTEST}
    for text in (one.text for one in telling if one.kind == "number"):
        parts |= {alike(number) for number in numbers_of(text) if len(alike(number)) >= (SHORTEST_NUMBER if number.isdigit() else SHORTEST)}
        parts |= {alike(word) for name in names_in(text) for word in name.parts if len(alike(word)) >= SHORTEST}
    joined_names = {form for name in names for word in name.glued if word.isascii() for form in forms(alike(word))}
    births = tuple(day for one in telling if one.kind == "birth" for day in days_of(one.text))
    return frozenset(parts) - _ordinary(), frozenset(joined_names) - _ordinary(), births


def _spellings(text: str) -> Iterator[str]:
    """The forms of a word: as read, without digraphs, and without leading zeros and words such as "ID" before a number."""
    yield from forms(text)
    bare = _CLUE.sub("", text, count=1)
    if sum(map(str.isdigit, bare)) >= SHORTEST_NUMBER:
        yield unpadded(bare)


def _full(day: date) -> tuple[str, ...]:
    """The spellings of a day, of about eight characters, in which one edit is tolerated."""
    y, m, d, name = f"{day.year:04d}", f"{day.month:02d}", f"{day.day:02d}", _MONTHS[day.month - 1]
    return (y + m + d, d + m + y, m + d + y, d + name + y, name + d + y, f"{day.day}{name}{y}", f"{name}{day.day}{y}")


@functools.cache
def _ordinary() -> frozenset[str]:
    return frozenset(map(alike, ORDINARY))


def _one_edit(a: str, b: str) -> bool:
    """Whether two texts differ by at most one inserted, deleted or replaced character."""
    if abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    if len(a) == len(b):
        return a[start + 1 :] == b[start + 1 :]
    long, short = (a, b) if len(a) > len(b) else (b, a)
    return long[start + 1 :] == short[start:]
