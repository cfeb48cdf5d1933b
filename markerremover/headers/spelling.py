"""Normalises the spellings of a word: case, accents, composition, German and Nordic letters, bytes decoded in the wrong charset. Pure functions."""

from __future__ import annotations

import functools
import re
import unicodedata

__all__ = ["alike", "forms", "is_unspaced", "pieces", "plain", "repaired", "unpadded", "words"]

_LETTERS = str.maketrans({
    "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "þ": "th", "ŋ": "n", "ĸ": "k", "ß": "ss",
    "Æ": "Ae", "Œ": "Oe", "Ø": "O", "Ł": "L", "Đ": "D", "Ð": "D", "Ħ": "H", "Þ": "Th", "Ŋ": "N", "ẞ": "SS", "ª": "a", "º": "o",
})
"""Letters of Latin alphabets that do not decompose into one of A-Z and an accent."""
_DIGRAPHS = (("ae", "a"), ("oe", "o"), ("ue", "u"), ("aa", "a"))  # spellings of ä, ö, ü and å without accents
_SHORTEST = 3  # smallest number of letters of a word with its digraphs shortened
_LOOK = str.maketrans("oqilzsbg", "00112586")  # letters and digits of similar shape -> one of them
_ACCENTS = ("\u0300", "\u036f")  # range of combining accents; combining characters of other scripts are retained
_APOSTROPHES = re.compile(r"(?<=[^\W\d_])['\u2019\u2018\u02bc`\u00b4](?=[^\W\d_])")
_ESCAPES = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+")
_CP1252 = {bytes([b]).decode("cp1252"): b for b in range(0x80, 0xA0) if b not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}
_BYTE = {**{chr(b): b for b in range(0x80, 0x100)}, **_CP1252}
_HIGH = "[" + re.escape("".join(_BYTE)) + "]{2,}"


def repaired(text: str) -> str:
    """The text, with UTF-8 that was decoded as Latin-1 or Windows-1252 decoded again.

    >>> repaired("MÃ¼ller"), repaired("Müller"), repaired("Ã©tÃ© à Paris")
    ('Müller', 'Müller', 'été à Paris')
    """
    return text if text.isascii() else re.sub(_HIGH, _redecoded, text)


def _redecoded(match: re.Match[str]) -> str:
    try:
        return bytes(_BYTE[char] for char in match[0]).decode("utf-8")
    except UnicodeDecodeError:
        return match[0]


def plain(text: str) -> str:
    """A text in lower case without accents; other scripts composed, katakana as hiragana.

    >>> plain("Mu\u0308LLER"), plain("Straße"), plain("Øster Łódź"), plain("ヤマダ")
    ('muller', 'strasse', 'oster lodz', 'やまだ')
    """
    return _unaccented(text).casefold()


def _unaccented(text: str) -> str:
    """A text without accents, its case unchanged."""
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    composed = unicodedata.normalize("NFC", "".join(char for char in decomposed if not _ACCENTS[0] <= char <= _ACCENTS[1]))
    return "".join(chr(ord(char) - 0x60) if "ァ" <= char <= "ヶ" else char for char in composed)


def forms(word: str) -> frozenset[str]:
    """A plain word, and its form without the digraphs of ä, ö, ü and å: two spellings of a name share one form.

    >>> sorted(forms("mueller")), forms("muller")
    (['mueller', 'muller'], frozenset({'muller'}))
    """
    short = word
    for two, one in _DIGRAPHS:
        short = short.replace(two, one)
    return frozenset((word, short if len(short) >= _SHORTEST else word))


def words(text: str) -> list[str]:
    """The words of a text in order: runs of letters and digits, without accents and apostrophes, case unchanged."""
    text = _ESCAPES.sub(_unescaped, text) if "%" in text else text
    return re.findall(r"[^\W_]+", _APOSTROPHES.sub("", _unaccented(repaired(text))))


def _unescaped(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "replace")


def pieces(word: str) -> list[str]:
    """The parts of a compound word of `words`, split at capitals and digits as in file names.

    >>> pieces("MUELLERThorax2"), pieces("JohnSmith")
    (['MUELLER', 'Thorax', '2'], ['John', 'Smith'])
    """
    return _CAMEL.findall(word)


def unpadded(text: str) -> str:
    """A text without the leading zeros of its numbers.

    >>> unpadded("pat00123x0")
    'pat123x0'
    """
    return re.sub(r"(?<!\d)0+(?=\d)", "", text)


@functools.lru_cache(4096)
def alike(text: str) -> str:
    """The plain letters and digits of a text; those of similar shape are mapped to one of them.

    >>> alike("Müll-er 0"), alike("MULLER O")
    ('mu11er0', 'mu11er0')
    """
    return "".join(char for char in plain(text) if char.isalnum() and char.isascii()).translate(_LOOK)


def is_unspaced(char: str) -> bool:
    """Whether a character belongs to a script that writes names without spaces: Han, kana, Hangul, Thai and its neighbours."""
    return "\u0e00" <= char <= "\u0eff" or "\u1000" <= char <= "\u109f" or "\u1780" <= char <= "\u17ff" or (
        "\u3041" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7a3" or "\uf900" <= char <= "\ufaff"
        or "\U00020000" <= char <= "\U0003ffff"
    )
