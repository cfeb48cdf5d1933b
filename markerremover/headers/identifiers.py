"""Whether a text holds something by which a patient can be told: the one vocabulary for header texts, paths and (see `telltales`) print.

Days, names and numbers count in every spelling that `days`, `naming` and `spelling` know: orders, separators, month names; accents, German
and Nordic letters, hyphens and apostrophes, parts in any order, glued or with initials; zeros in front, prefixes, separators.

What is short could stand anywhere. So a name of fewer than `INSIDE` letters counts as a word only, in scripts without spaces one of two
characters anywhere; a number of fewer than `WHOLE` digits only behind a word such as "ID", and one of fewer than `LONG` digits not within
longer ones. Ordinary words that are names count only beside another part of the same name.

Pure; nothing is ever quoted.
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

INSIDE = 4  # letters from which a name counts within a longer word
WHOLE, LONG = 4, 6  # digits from which a number counts by itself, and within longer ones or with separators
CODE = 5  # letters and digits from which a number with letters counts within something longer
LONG_UID = 12  # characters from which a UID tells something
GLUED = 6  # letters from which parts of a name, written as one, count within a longer word
SPLIT = 15  # characters of a folder that may hold a part of a day or number
MOST_JOINED = 4  # words that together may make one part: a name with a hyphen, a number that was read in pieces
JOINED = 5  # letters from which words are joined to make one part
_CLUES = r"(?:patient|patientid|patid|patnr|patno|pat|pid|id|idnr|idno|mrn|pt|case|subject|subj|fall|kis)"
"""Words before a number that say what it is."""


@dataclass(frozen=True)
class _Index:
    """The identifiers of one header or of a run's, in the forms that are looked for.

    words: folded, count as whole words.  inside: count within words.  glued: parts of a name written as one.  unspaced: names of scripts
    without spaces.  whole, long, small: digits.  codes: plain letters and digits.  days: see `days.keys`.  uids: digits and dots, or digits.
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

    def has_piece(self, text: str, wanted: frozenset[str], shortest: int) -> bool:
        """Whether a text holds one of a set of this index that has so many characters at least."""
        longest = self._longest[id(wanted)]
        return any(text[i : i + n] in wanted for i in range(len(text)) for n in range(shortest, min(longest, len(text) - i) + 1))

    @functools.cached_property
    def _longest(self) -> dict[int, int]:
        """Characters of the longest of each set that is looked for within texts, by the set's id."""
        return {id(wanted): max(map(len, wanted), default=0) for wanted in (self.inside, self.unspaced, self.long, self.codes, self.texts)}


def in_text(telling: Telling, ordinary: frozenset[str] = frozenset()) -> Callable[[str], bool]:
    """A function that says of a text whether it holds something telling.

    Args:
        ordinary: plain words in which no name is looked for, so that a "marker" does not hold a Mark.
    """
    index = _indexed(telling)
    return lambda text: _holds(index, text, ordinary | ORDINARY)


def as_whole(telling: Telling) -> Callable[[str], bool]:
    """A function that says of a coded value whether it is telling as a whole, or a word of it is a name: codes and defined terms
    hold other words by chance."""
    index = _indexed(telling)

    def holds(text: str) -> bool:
        bare = unpadded(_bare(text))
        if bare in index.whole | index.long | index.codes or text.strip() in index.uids:
            return True
        return _is_named(index, words(text))

    return holds


def in_path(telling: Telling) -> Callable[[str], bool]:
    """A function that says of a part of a path whether it holds something telling, of however many files."""
    index = _indexed(telling)

    def holds(part: str) -> bool:
        stem = re.sub(r"\.[A-Za-z]{1,5}$", "", part)
        alone = stem.isdigit() and len(stem) > 1 and (stem.lstrip("0") in index.small)
        return alone or _holds(index, part, ORDINARY)

    return holds


def telling_parts(holds: Callable[[str], bool], parts: Sequence[str]) -> set[int]:
    """Which parts of a path tell, by a function of `in_path`: by themselves, or with their neighbours, as year, month and day in folders.

    Returns:
        Indices into `parts`.
    """
    told = {i for i, part in enumerate(parts) if holds(part)}
    done = {i for i in told if len(parts[i]) > 4 or not parts[i].isdigit()}  # a number alone may be part of a day as well
    for n in (2, 3):
        for window in (range(i, i + n) for i in range(len(parts) - n + 1)):
            rows = [parts[i] for i in window]
            if done.isdisjoint(window) and all(len(part) <= SPLIT for part in rows) and any(map(str.isdigit, "".join(rows))) and holds("/".join(rows)):
                told |= set(window)
                done |= set(window)
    return told


def _holds(index: _Index, text: str, ordinary: frozenset[str]) -> bool:
    found = words(text)
    return (
        _is_named(index, found) or _is_within(index, found, ordinary) or _is_numbered(index, text, found)
        or bool(index.uids and _has_uid(index, text))
        or bool(index.days and not index.days.isdisjoint(days.days_in(repaired(text))))
    )


def _is_named(index: _Index, found: Sequence[str]) -> bool:
    """Whether one of the words, a piece of one, or some of them joined are a part of a name."""
    single = list(found) + [piece for word in found for piece in pieces(word) if len(piece) > 2]
    if any(not index.words.isdisjoint(forms(plain(word))) or not index.glued.isdisjoint(forms(plain(word))) for word in single):
        return True
    fine = [piece for word in found for piece in pieces(word)]
    for row in (found, fine):
        for text in _joined([plain(word) for word in row]):
            if len(text) >= JOINED - 1 and not index.glued.isdisjoint(forms(text)):
                return True
            if len(text) >= JOINED and not index.words.isdisjoint(forms(text)):
                return True
    return False


def _joined(row: Sequence[str]) -> Iterator[str]:
    return ("".join(row[i : i + n]) for n in range(2, MOST_JOINED + 1) for i in range(len(row) - n + 1))


def _is_within(index: _Index, found: Sequence[str], ordinary: frozenset[str]) -> bool:
    """Whether a word holds a name, or the text one of a script without spaces."""
    if index.inside:
        runs = {run for word in found for run in re.findall(rf"[^\W\d_]{{{INSIDE},}}", plain(word))}
        runs = {run for run in runs if run not in ordinary and run.removesuffix("s") not in ordinary}
        if any(index.has_piece(form, index.inside, INSIDE) for run in runs for form in forms(run)):
            return True
    if not index.unspaced:
        return False
    text = "".join(char for char in plain("".join(found)) if is_unspaced(char))
    return index.has_piece(text, index.unspaced, 2)


def _is_numbered(index: _Index, text: str, found: Sequence[str]) -> bool:
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
    whole = {unpadded(plain(word)) for word in found} | {unpadded(word) for word in _joined([plain(word) for word in found])}
    for wanted in (index.codes, index.texts):
        if wanted and (not wanted.isdisjoint(whole) or any(index.has_piece(t, wanted, CODE) for t in {bare, unpadded(bare)})):
            return True
    return False


def _bare(text: str) -> str:
    """Plain letters and digits alone."""
    return "".join(char for char in plain(repaired(text)) if char.isalnum())


def _has_uid(index: _Index, text: str) -> bool:
    """Whether a text holds a UID, with dots or others between its numbers or none, or the long number at its end."""
    for run in re.findall(r"\d+(?:[._\-]\d+)*", text):
        parts = re.split(r"[._\-]", run)
        ends = (".".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1))
        if any(end in index.uids for end in ends) or "".join(parts) in index.uids:
            return True
    return False


@functools.lru_cache(8)
def _indexed(telling: Telling) -> _Index:
    texts: dict[str, set[str]] = {kind: {i.text for i in telling if i.kind == kind} for kind in IDENTIFIERS}
    kept: dict[str, set[str]] = {name: set() for name in ("words", "inside", "glued", "unspaced", "whole", "long", "small", "codes", "uids", "texts")}
    for text in texts["name"]:
        for name in names_in(text):
            _add_name(kept, name)
        texts["number"] |= set(re.findall(rf"\d{{{WHOLE},}}", text))
    for text in texts["number"]:
        _add_number(kept, text)
    for uid in texts["uid"]:
        last = uid.rpartition(".")[2]
        kept["uids"] |= {uid, uid.replace(".", ""), *([last] if len(last) >= LONG_UID else ())}
    for text in texts["text"]:
        bare = unpadded(_bare(text))
        kept["texts" if len(bare) >= CODE else "words"] |= {bare} if len(bare) > 1 and bare not in PLACEHOLDERS else set()
    found = {key for text in texts["birth"] | texts["day"] for day in days_of(text) for key in days.keys(day)}
    return _Index(days=frozenset(found), **{name: frozenset(values) for name, values in kept.items()})


def _add_name(kept: dict[str, set[str]], name: Name) -> None:
    for word in name.parts:
        if any(map(is_unspaced, word)):
            kept["unspaced" if len(word) > 1 else "words"].add(word)
            continue
        kept["words"] |= forms(word)
        kept["inside"] |= {form for form in forms(word) if len(form) >= INSIDE}
    for word in name.glued:
        if any(map(is_unspaced, word)):
            kept["unspaced"].add(word)
            continue
        kept["glued"] |= forms(word)
        kept["inside"] |= {form for form in forms(word) if len(form) >= GLUED}


def _add_number(kept: dict[str, set[str]], text: str) -> None:
    """A number in the set that its length and letters ask for; what has no digits is a name."""
    if not any(map(str.isdigit, text)):
        for name in names_in(text):
            _add_name(kept, name)
    for number in numbers_of(text):
        if not number.isdigit():
            kept["codes" if len(number) >= WHOLE else "words"].add(number)
        elif len(number) >= LONG and number[0] != "0":
            kept["long"].add(number)
        else:
            kept["whole" if len(number) >= WHOLE else "small"].add(number)


def numbers_of(text: str) -> set[str]:
    """The forms of a number with digits: plain letters and digits without zeros in front, and with them; of one with letters also its
    digits alone, if they are one number of `CODE` or more.

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
    """The day that a DA or DT value begins with, if it does."""
    digits = re.sub(r"[.\-]", "", text.strip(" \0"))[:8]
    try:
        return [date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))]
    except ValueError:
        return []
