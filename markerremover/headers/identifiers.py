"""Whether a text holds an identifier of a patient: the single set of rules for header texts, paths and (see `telltales`) text in the pixels.

Days, names and numbers count in every spelling that `days`, `naming` and `spelling` know: orders, separators, month names; accents, German
and Nordic letters, hyphens and apostrophes, parts in any order, written together or with initials; leading zeros, prefixes, separators.

Short texts occur by chance. So a name of fewer than `INSIDE` letters counts only as a word, in scripts without spaces one of two
characters anywhere; a number of fewer than `WHOLE` digits counts only after a word such as "ID", and one of fewer than `LONG` digits not
within longer ones. Ordinary words that are names count only beside another part of the same name.

Pure functions; values are never quoted.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from ..records import IDENTIFIERS, Telling
from . import days
from .naming import ORDINARY, PLACEHOLDERS, Name, names_in
from .spelling import forms, is_unspaced, pieces, plain, repaired, unpadded, words

__all__ = ["LONG_UID", "as_whole", "days_of", "in_path", "in_text", "numbers_of", "telling_parts"]

INSIDE = 4  # smallest number of letters of a name that counts within a longer word
WHOLE, LONG = 4, 6  # smallest number of digits of a number that counts by itself, and within longer ones or with separators
CODE = 5  # smallest number of letters and digits of a mixed code that counts within longer texts
LONG_UID = 12  # smallest number of characters of a UID that identifies
GLUED = 6  # smallest number of letters of a name's joined parts that count within a longer word
SPLIT = 15  # highest number of characters of a folder that may hold part of a day or number
MOST_JOINED = 4  # highest number of words that are joined to one part: a name with a hyphen, a number that was read in pieces
JOINED = 5  # smallest number of letters of words joined to one part
_CLUES = r"(?:patient|patientid|patid|patnr|patno|pat|pid|id|idnr|idno|mrn|pt|case|subject|subj|fall|kis)"
"""Words before a number that mark it as an identifier."""


@dataclass(frozen=True)
class _Index:
    """The identifiers of one header or of all headers of a run, in the forms that are searched for.

    words: folded, count as whole words.  inside: count within words.  glued: joined parts of a name.  unspaced: names in scripts
    without spaces.  whole, long, small: numbers by length, see `WHOLE` and `LONG`.  codes: plain letters and digits.
    days: see `days.keys`.  uids: digits and dots, or digits.
    texts: plain letters and digits of addresses and the like.
    """

    words: frozenset[str]
    inside: frozenset[str]
    glued: frozenset[str]
    unspaced: frozenset[str]
    whole: frozenset[str]
    long: frozenset[str]
    small: frozenset[str]
    codes: frozenset[str]
    days: frozenset[days.Day]
    uids: frozenset[str]
    texts: frozenset[str]

    def has_piece(self, text: str, items: frozenset[str], shortest: int) -> bool:
        """Whether a text contains an item of one of this index's sets that has at least `shortest` characters."""
        longest = self._longest[id(items)]
        return any(text[i : i + n] in items for i in range(len(text)) for n in range(shortest, min(longest, len(text) - i) + 1))

    @functools.cached_property
    def _longest(self) -> dict[int, int]:
        """Length of the longest item of each set that is searched for within texts, by the set's id."""
        return {id(items): max(map(len, items), default=0) for items in (self.inside, self.unspaced, self.long, self.codes, self.texts)}


def in_text(telling: Telling, ordinary: frozenset[str] = frozenset()) -> Callable[[str], bool]:
    """A predicate: whether a text holds an identifier.

    Args:
        ordinary: plain words that are not searched for names, so that "marker" does not match a Mark.
    """
    index = _indexed(telling)
    return lambda text: _holds(index, text, ordinary | ORDINARY)


def as_whole(telling: Telling) -> Callable[[str], bool]:
    """A predicate: whether a coded value is an identifier as a whole, or one of its words is a name. Codes and defined terms contain other
    words by chance."""
    index = _indexed(telling)

    def holds(text: str) -> bool:
        bare = unpadded(_bare(text))
        if bare in index.whole | index.long | index.codes or text.strip() in index.uids:
            return True
        return _is_named(index, words(text))

    return holds


def in_path(telling: Telling) -> Callable[[str], bool]:
    """A predicate: whether a part of a path holds an identifier; of any number of files."""
    index = _indexed(telling)

    def holds(part: str) -> bool:
        stem = re.sub(r"\.[A-Za-z]{1,5}$", "", part)
        alone = stem.isdigit() and len(stem) > 1 and (stem.lstrip("0") in index.small)
        return alone or _holds(index, part, ORDINARY)

    return holds


def telling_parts(holds: Callable[[str], bool], parts: Sequence[str]) -> set[int]:
    """The parts of a path that hold an identifier by a predicate of `in_path`: alone, or with their neighbours, as year, month and day in folders.

    Returns:
        Indices into `parts`.
    """
    hits = {i for i, part in enumerate(parts) if holds(part)}
    settled = {i for i in hits if len(parts[i]) > 4 or not parts[i].isdigit()}  # a number alone may be part of a day as well
    for n in (2, 3):
        for window in (range(i, i + n) for i in range(len(parts) - n + 1)):
            rows = [parts[i] for i in window]
            if settled.isdisjoint(window) and all(len(part) <= SPLIT for part in rows) and any(map(str.isdigit, "".join(rows))) and holds("/".join(rows)):
                hits |= set(window)
                settled |= set(window)
    return hits


def _holds(index: _Index, text: str, ordinary: frozenset[str]) -> bool:
    text_words = words(text)
    return (
        _is_named(index, text_words) or _is_within(index, text_words, ordinary) or _is_numbered(index, text, text_words)
        or bool(index.uids and _has_uid(index, text))
        or bool(index.days and not index.days.isdisjoint(days.days_in(repaired(text))))
    )


def _is_named(index: _Index, text_words: Sequence[str]) -> bool:
    """Whether one of the words, a piece of one, or several joined ones are part of a name."""
    single = list(text_words) + [piece for word in text_words for piece in pieces(word) if len(piece) > 2]
    if any(not index.words.isdisjoint(forms(plain(word))) or not index.glued.isdisjoint(forms(plain(word))) for word in single):
        return True
    fine = [piece for word in text_words for piece in pieces(word)]
    for row in (text_words, fine):
        for text in _joined([plain(word) for word in row]):
            if len(text) >= JOINED - 1 and not index.glued.isdisjoint(forms(text)):
                return True
            if len(text) >= JOINED and not index.words.isdisjoint(forms(text)):
                return True
    return False


def _joined(row: Sequence[str]) -> Iterator[str]:
    return ("".join(row[i : i + n]) for n in range(2, MOST_JOINED + 1) for i in range(len(row) - n + 1))


def _is_within(index: _Index, text_words: Sequence[str], ordinary: frozenset[str]) -> bool:
    """Whether a word contains a name, or the text contains one in a script without spaces."""
    if index.inside:
        runs = {run for word in text_words for run in re.findall(rf"[^\W\d_]{{{INSIDE},}}", plain(word))}
        runs = {run for run in runs if run not in ordinary and run.removesuffix("s") not in ordinary}
        if any(index.has_piece(form, index.inside, INSIDE) for run in runs for form in forms(run)):
            return True
    if not index.unspaced:
        return False
    text = "".join(char for char in plain("".join(text_words)) if is_unspaced(char))
    return index.has_piece(text, index.unspaced, 2)


def _is_numbered(index: _Index, text: str, text_words: Sequence[str]) -> bool:
    if not (index.whole or index.long or index.small or index.codes or index.texts):
        return False
    flat = plain(repaired(text))
    if index.whole and any(run in index.whole or unpadded(run) in index.whole for run in re.findall(r"\d{4,}", flat)):
        return True
    if index.long:
        runs = (re.sub(r"\D", "", run) for run in re.findall(r"\d(?:[\s._\-/]{0,2}\d)*", flat))
        if any(index.has_piece(run, index.long, LONG) for run in runs):
            return True
    if index.small and any(number in index.small for number in re.findall(rf"(?<![^\W\d_]){_CLUES}[\W_]{{0,3}}0*(\d{{1,3}})(?!\d)", flat)):
        return True
    bare = _bare(text)
    candidates = {unpadded(plain(word)) for word in text_words} | {unpadded(word) for word in _joined([plain(word) for word in text_words])}
    for items in (index.codes, index.texts):
        if items and (not items.isdisjoint(candidates) or any(index.has_piece(t, items, CODE) for t in {bare, unpadded(bare)})):
            return True
    return False


def _bare(text: str) -> str:
    """The plain letters and digits of a text."""
    return "".join(char for char in plain(repaired(text)) if char.isalnum())


def _has_uid(index: _Index, text: str) -> bool:
    """Whether a text holds a UID with dots, other separators or none, or the long number at its end."""
    for run in re.findall(r"\d+(?:[._\-]\d+)*", text):
        parts = re.split(r"[._\-]", run)
        ends = (".".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1))
        if any(end in index.uids for end in ends) or "".join(parts) in index.uids:
            return True
    return False


@functools.lru_cache(8)
def _indexed(telling: Telling) -> _Index:
    texts: dict[str, set[str]] = {kind: {i.text for i in telling if i.kind == kind} for kind in IDENTIFIERS}
    sets: dict[str, set[str]] = {name: set() for name in ("words", "inside", "glued", "unspaced", "whole", "long", "small", "codes", "uids", "texts")}
    for text in texts["name"]:
        for name in names_in(text):
            _add_name(sets, name)
        texts["number"] |= set(re.findall(rf"\d{{{WHOLE},}}", text))
    for text in texts["number"]:
        _add_number(sets, text)
    for uid in texts["uid"]:
        tail = uid.rpartition(".")[2]
        sets["uids"] |= {uid, uid.replace(".", ""), *([tail] if len(tail) >= LONG_UID else ())}
    for text in texts["text"]:
        bare = unpadded(_bare(text))
        sets["texts" if len(bare) >= CODE else "words"] |= {bare} if len(bare) > 1 and bare not in PLACEHOLDERS else set()
    day_keys = {key for text in texts["birth"] | texts["day"] for day in days_of(text) for key in days.keys(day)}
    return _Index(days=frozenset(day_keys), **{name: frozenset(values) for name, values in sets.items()})


def _add_name(sets: dict[str, set[str]], name: Name) -> None:
    for word in name.parts:
        if any(map(is_unspaced, word)):
            sets["unspaced" if len(word) > 1 else "words"].add(word)
            continue
        sets["words"] |= forms(word)
        sets["inside"] |= {form for form in forms(word) if len(form) >= INSIDE}
    for word in name.glued:
        if any(map(is_unspaced, word)):
            sets["unspaced"].add(word)
            continue
        sets["glued"] |= forms(word)
        sets["inside"] |= {form for form in forms(word) if len(form) >= GLUED}


def _add_number(sets: dict[str, set[str]], text: str) -> None:
    """Add a number to the set for its length and letters; one without digits is added as a name."""
    if not any(map(str.isdigit, text)):
        for name in names_in(text):
            _add_name(sets, name)
    for number in numbers_of(text):
        if not number.isdigit():
            sets["codes" if len(number) >= WHOLE else "words"].add(number)
        elif len(number) >= LONG and number[0] != "0":
            sets["long"].add(number)
        else:
            sets["whole" if len(number) >= WHOLE else "small"].add(number)


def numbers_of(text: str) -> set[str]:
    """The forms of a number: plain letters and digits without leading zeros, and with them; for one with letters also its digits, if
    they are a single number of `CODE` digits or more.

    >>> sorted(numbers_of("PAT-0047119")), sorted(numbers_of("00-471")), numbers_of("A1B2")
    (['47119', 'pat47119'], ['00471', '471'], {'a1b2'})
    """
    bare = _bare(text)
    short = unpadded(bare)
    if not any(map(str.isdigit, bare)):
        return set()
    if short.isdigit():
        return {short, bare} if len(bare) >= WHOLE else {short}
    cores = re.findall(r"\d+", short)
    return {short, *(core for core in cores if len(cores) == 1 and len(core) >= CODE)}


def days_of(text: str) -> list[date]:
    """The day at the beginning of a DA or DT value; [] without a valid one."""
    digits = re.sub(r"[.\-]", "", text.strip(" \0"))[:8]
    try:
        return [date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))]
    except ValueError:
        return []
