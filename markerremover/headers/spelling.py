"""One form for the many spellings of a word: case, marks, composed or not, German and Nordic letters, bytes read in the wrong charset. Pure."""

from __future__ import annotations

import functools
import re
import unicodedata

__all__ = ["alike", "forms", "is_unspaced", "pieces", "plain", "repaired", "unpadded", "words"]

_LETTERS = str.maketrans({
    "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "þ": "th", "ŋ": "n", "ĸ": "k", "ß": "ss",
    "Æ": "Ae", "Œ": "Oe", "Ø": "O", "Ł": "L", "Đ": "D", "Ð": "D", "Ħ": "H", "Þ": "Th", "Ŋ": "N", "ẞ": "SS", "ª": "a", "º": "o",
})
"""Letters of Latin alphabets that do not decompose into one of A-Z and a mark."""
_DIGRAPHS = (("ae", "a"), ("oe", "o"), ("ue", "u"), ("aa", "a"))  # ä, ö, ü and å where there are no marks
_SHORTEST = 3  # letters that are left of a word without its digraphs
_LOOK = str.maketrans("oqilzsbg", "00112586")  # letters and digits that look alike in print
_MARKS = ("\u0300", "\u036f")  # accents; the marks of other scripts are letters of their own
_APOSTROPHES = re.compile(r"(?<=[^\W\d_])['\u2019\u2018\u02bc`\u00b4](?=[^\W\d_])")
_ESCAPES = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+")
_CP1252 = {bytes([b]).decode("cp1252"): b for b in range(0x80, 0xA0) if b not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}
_BYTE = {**{chr(b): b for b in range(0x80, 0x100)}, **_CP1252}
_HIGH = "[" + re.escape("".join(_BYTE)) + "]{2,}"


def repaired(text: str) -> str:
    """The text, with UTF-8 that was read as Latin-1 or Windows-1252 read as UTF-8.

    >>> repaired("MÃ¼ller"), repaired("Müller"), repaired("Ã©tÃ© à Paris")
    ('Müller', 'Müller', 'été à Paris')
    """
    return text if text.isascii() else re.sub(_HIGH, _again, text)


def _again(found: re.Match[str]) -> str:
    try:
        return bytes(_BYTE[char] for char in found[0]).decode("utf-8")
    except UnicodeDecodeError:
        return found[0]


def plain(text: str) -> str:
    """In lower case and without accents, letters of other scripts composed, katakana as hiragana.

    >>> plain("Mu\u0308LLER"), plain("Straße"), plain("Øster Łódź"), plain("ヤマダ")
    ('muller', 'strasse', 'oster lodz', 'やまだ')
    """
    return _bare_of_marks(text).casefold()


def _bare_of_marks(text: str) -> str:
    """Without accents, in the case that it has."""
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    together = unicodedata.normalize("NFC", "".join(char for char in apart if not _MARKS[0] <= char <= _MARKS[1]))
    return "".join(chr(ord(char) - 0x60) if "ァ" <= char <= "ヶ" else char for char in together)


def forms(word: str) -> frozenset[str]:
    """A plain word, and as it is where ä, ö, ü and å lost their marks: two spellings of a name have one in common.

    >>> sorted(forms("mueller")), forms("muller")
    (['mueller', 'muller'], frozenset({'muller'}))
    """
    short = word
    for two, one in _DIGRAPHS:
        short = short.replace(two, one)
    return frozenset((word, short if len(short) >= _SHORTEST else word))


def words(text: str) -> list[str]:
    """The words of a text in order, in the case that they have, without accents and apostrophes: what lies between other characters
    than letters and digits."""
    text = _ESCAPES.sub(_unescaped, text) if "%" in text else text
    return re.findall(r"[^\W_]+", _APOSTROPHES.sub("", _bare_of_marks(repaired(text))))


def _unescaped(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("%", "")).decode("utf-8", "replace")


def pieces(word: str) -> list[str]:
    """What a word of `words` is put together from, by capitals and digits: of file names.

    >>> pieces("MUELLERThorax2"), pieces("JohnSmith")
    (['MUELLER', 'Thorax', '2'], ['John', 'Smith'])
    """
    return _CAMEL.findall(word)


def unpadded(text: str) -> str:
    """Without the zeros that lead a number.

    >>> unpadded("pat00123x0")
    'pat123x0'
    """
    return re.sub(r"(?<!\d)0+(?=\d)", "", text)


@functools.lru_cache(4096)
def alike(text: str) -> str:
    """Letters and digits alone, plain; those that look alike in print are the same.

    >>> alike("Müll-er 0"), alike("MULLER O")
    ('mu11er0', 'mu11er0')
    """
    return "".join(char for char in plain(text) if char.isalnum() and char.isascii()).translate(_LOOK)


def is_unspaced(char: str) -> bool:
    """Whether a character is of a script that writes names without spaces around them: Han, kana, Hangul, Thai and its neighbours."""
    return "\u0e00" <= char <= "\u0eff" or "\u1000" <= char <= "\u109f" or "\u1780" <= char <= "\u17ff" or (
        "\u3041" <= char <= "\u30ff" or "\u3400" <= char <= "\u9fff" or "\uac00" <= char <= "\ud7a3" or "\uf900" <= char <= "\ufaff"
        or "\U00020000" <= char <= "\U0003ffff"
    )
