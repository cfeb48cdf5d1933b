"""Groups of phrases: those that the package ships, in `groups.toml`, and tables of the user's own that extend them or add others."""

from __future__ import annotations

import difflib
import functools
import tomllib
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import UsageError
from ..system import user_text
from .phrases import NUMBER, checked, key, normal

__all__ = ["expanded", "joined", "markers", "phrases_of", "read", "shipped", "table"]

GROUP = "@"  # before a name that can only be a group's
SIMILAR = 0.85  # similarity of an unknown word to a group's name from which it is taken for a slip
NONE = "none"

Groups = Mapping[str, tuple[str, ...]]


@functools.cache
def shipped() -> Groups:
    """Name, lower case -> phrases of the groups that the package ships."""
    text = resources.files(__package__).joinpath("groups.toml").read_text(encoding="utf-8")
    return MappingProxyType(table(tomllib.loads(text), "groups.toml"))


def table(content: Mapping[str, Any], source: str) -> dict[str, tuple[str, ...]]:
    """Groups of a TOML table: name = [phrase, ...].

    Args:
        source: named in errors.

    Raises:
        UsageError: a value is no list of phrases, a name is no single word, or a phrase is invalid.
    """
    groups: dict[str, tuple[str, ...]] = {}
    for name, words in content.items():
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise UsageError(f'{source}: group {name!r} is {words!r}, allowed is a list of phrases such as ["AP", "SEMI-ERECT"]')
        lower = name.strip().lower()
        if not lower.replace("_", "").isalnum() or len(lower) < 2 or lower == NONE or lower in groups:
            raise UsageError(f"{source}: {name!r} cannot name a group: allowed is a word of two or more letters and digits, once, and not {NONE!r}")
        try:
            groups[lower] = tuple(dict.fromkeys(map(checked, words)))
        except UsageError as error:
            raise UsageError(f"{source}: group {name}: {error}") from None
    return groups


def read(path: Path | str) -> dict[str, tuple[str, ...]]:
    """The groups of a user's TOML file.

    Raises:
        UsageError: it cannot be read, is no TOML, or see `table`.
    """
    try:
        return table(tomllib.loads(user_text.read(path)), str(path))
    except ValueError as error:
        raise UsageError(f"{path}: not a TOML file ({error})") from None


def joined(*further: Groups) -> Groups:
    """The shipped groups with the phrases of others added.

    Raises:
        UsageError: a phrase of a group is the name of one.
    """
    result = dict(shipped())
    for groups in further:
        for name, words in groups.items():
            result[name] = tuple(dict.fromkeys((*result.get(name, ()), *words)))
    for name, words in result.items():
        if clash := [word for word in words if word.lower() in result]:
            raise UsageError(f"group {name!r} holds {clash[0]!r}, which is the name of a group")
    return MappingProxyType(result)


def expanded(items: Iterable[str], groups: Groups | None = None, *, strict: bool = False) -> tuple[str, ...]:
    """The texts of a keep list, upper case, each once, in its order; names of groups are replaced by their phrases.

    >>> expanded(["l", "Semi - Erect", "L"]), expanded(["@laterality"])[:3]
    (('L', 'SEMI-ERECT'), ('L', 'R', 'LT'))

    Args:
        items: phrases and names of groups, which may follow `GROUP`; blank ones are left out.
        groups: name -> phrases; the shipped ones by default.
        strict: whether a word that resembles a group's name is an error, and so is a single character that is neither letter nor digit.

    Raises:
        UsageError: a phrase is invalid, or a group unknown.
    """
    result: list[str] = []
    for item in filter(None, map(str.strip, items)):
        name = normal(item).lower().removeprefix(GROUP).strip()
        if len(name) == 1 and not item.startswith(GROUP):
            if strict and not item.isalnum():
                raise UsageError(f"{item!r}: allowed are letters and digits")
            result.append(item.upper())
            continue
        known = shipped() if groups is None else groups
        if name in known:
            result += known[name]
        elif item.startswith(GROUP):
            raise UsageError(f"there is no group {item!r}, only {', '.join(known)}")
        else:
            result.append(checked(item))
            if strict and (near := _slip(result[-1], known)):
                raise UsageError(f"{item!r} is neither a group nor a known phrase: is the group {near!r} meant?")
    return tuple(dict.fromkeys(result))


def _slip(phrase: str, groups: Groups) -> str:
    """The group whose name a phrase resembles, unless the phrase is in one."""
    near = difflib.get_close_matches(phrase.lower(), groups, 1, SIMILAR)
    return near[0] if near and not any(phrase in words for words in groups.values()) else ""


@functools.lru_cache(256)
def markers(keep: tuple[str, ...]) -> tuple[str, ...]:
    """The laterality markers of a keep list: single characters and words of the shipped group `laterality`. They are read in any direction, mirrored, and as
    strokes; everything else is a phrase."""
    return tuple(text for text in keep if len(text) == 1 or text in shipped()["laterality"])


@functools.lru_cache(256)
def phrases_of(keep: tuple[str, ...]) -> tuple[str, ...]:
    """The phrases of a keep list: what is none of its `markers`."""
    known = set(markers(keep))
    return tuple(text for text in keep if text not in known)


def without(keep: tuple[str, ...], blocked: Iterable[str], has_short_numbers: bool) -> tuple[str, ...]:
    """A keep list without the phrases that hold one of some words.

    Args:
        blocked: words that must not stay, in any spelling.
        has_short_numbers: whether numbers of one to `phrases.MOST_DIGITS` digits must not stay.
    """
    words = {key(word) for word in blocked}
    dropped = {
        text for text in keep
        if words & {key(text), key(text).replace(" ", "").replace("-", ""), *key(text).replace("-", " ").split()} or has_short_numbers and NUMBER in text
    }
    return tuple(text for text in keep if text not in dropped)
