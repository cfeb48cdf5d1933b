"""Phrases of keep lists: one spelling for each, and whether a line that was read consists of them alone. Pure functions.

Case, accents, kinds of hyphens and runs of blanks do not matter. `NUMBER` in a phrase stands for a number of one to three digits before a unit, as in
"# MIN". A phrase without a letter is refused: a number alone may be anything.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable

from ..errors import UsageError

__all__ = ["MOST_DIGITS", "NUMBER", "as_read", "checked", "key", "line_of", "normal"]

NUMBER = "#"
MOST_DIGITS = 3
_HYPHENS = dict.fromkeys(map(ord, "\u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"), "-")
_APART = str.maketrans({"\u00c6": "AE", "\u0152": "OE", "\u00d8": "O", "\u0141": "L", "\u0110": "D"})  # letters that do not decompose
_ALLOWED = re.compile(rf"[^\W_]+(?:[ -][^\W_]+)*|{NUMBER} ?[^\W\d_]+(?:[ -][^\W_]+)*")


def normal(text: str) -> str:
    """A phrase in upper case, with plain hyphens and single blanks.

    >>> normal(" Semi \u2013  erect"), normal("10  min"), normal("couch\u00e9")
    ('SEMI-ERECT', '10 MIN', 'COUCH\u00c9')
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).translate(_HYPHENS)).translate(_HYPHENS).upper()
    return re.sub(r" ?-+ ?", "-", " ".join(text.split()))


def checked(text: str) -> str:
    """`normal`, if a keep list may hold it.

    Raises:
        UsageError: it is empty, has no letter, or has other characters than letters, digits, blanks and hyphens.
    """
    phrase = normal(text)
    if not _ALLOWED.fullmatch(phrase):
        raise UsageError(
            f"{text!r}: allowed are letters and digits, with single blanks or hyphens between them, and {NUMBER} before a unit for a number, as in '# MIN'")
    if not any(map(str.isalpha, phrase)):
        raise UsageError(f"{text!r}: a number alone is never retained: it may be part of an identifier")
    return phrase


@functools.lru_cache(4096)
def key(text: str) -> str:
    """What two spellings of one phrase share: `normal` without accents.

    >>> key("D\u00e9cubitus"), key("st\u00f8ttet")
    ('DECUBITUS', 'STOTTET')
    """
    decomposed = unicodedata.normalize("NFKD", normal(text).translate(_APART))
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def as_read(text: str) -> str:
    """A text of the OCR engine with two of its slips undone: a bar, which no phrase has, is an I, and an at sign is a 0.

    >>> as_read("DECUB | TUS"), as_read("6@ MIN")
    ('DECUBITUS', '60 MIN')
    """
    return re.sub(r" ?\| ?", "I", text).replace("@", "0")


def line_of(line: str, phrases: Iterable[str]) -> tuple[str, ...]:
    """The phrases that a line of print consists of, in order; () if it holds anything else.

    A blank that the OCR engine missed within a phrase does not matter; a blank that no phrase has does: "A P" may be initials. Single characters
    count only beside a longer phrase, and at most one of them.

    >>> line_of("ap  erect", ["AP", "ERECT"]), line_of("AP SMITH", ["AP"]), line_of("10min", ["# MIN"]), line_of("A P", ["AP"])
    (('AP', 'ERECT'), (), ('# MIN',), ())
    """
    found = _split(tuple(key(line).split()), tuple(phrases))
    singles = sum(len(phrase) == 1 for phrase in found or ())
    return found if found and singles <= 1 and len(found) > singles else ()


def _split(tokens: tuple[str, ...], phrases: tuple[str, ...]) -> tuple[str, ...] | None:
    """Tokens divided into phrases, the longest first; None if they cannot be."""
    if not tokens:
        return ()
    for count in range(len(tokens), 0, -1):
        head = " ".join(tokens[:count])
        for phrase, pattern in zip(phrases, _patterns(phrases)):
            if pattern.fullmatch(head) and (rest := _split(tokens[count:], phrases)) is not None:
                return (phrase, *rest)
    return None


@functools.lru_cache(64)
def _patterns(phrases: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """Regular expressions of phrases; blanks may be missing."""
    return tuple(re.compile(_expression(key(phrase))) for phrase in phrases)


def _expression(phrase: str) -> str:
    return re.escape(phrase).replace(r"\ ", " ?").replace(re.escape(NUMBER), rf"\d{{1,{MOST_DIGITS}}}")
