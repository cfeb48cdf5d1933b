"""Parts of persons' names, and the ways in which they are written as one word. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .spelling import is_unspaced, plain, repaired, words

__all__ = ["ORDINARY", "PLACEHOLDERS", "Name", "names_in"]

SHORTEST_GLUED = 4  # letters of a name written as one; fewer are a word of some language
PLACEHOLDERS = frozenset(
    "abdomen ankle anonymised anonymized anonymous chest elbow finger foot hand head hip knee neck nobody none patient pelvis phantom shoulder "
    "skull spine test thorax toe unknown wrist".split()
)
"""Names that stand for none, and parts of the body: as a name by themselves they tell nobody apart, and they stand in anyone's header."""
ORDINARY = PLACEHOLDERS | frozenset(
    "anterior aufrecht axial bearing bed bedside cross cxr debout decub decubitus derecha derecho detector droit droite erect expiration "
    "external female film frog gauche grid inspiration inspired internal izquierda izquierdo kilovolt lat lateral left links liegend lower "
    "male marker mobile neutral non oblique portable portatil posterior prone rechts right rotation seated semi sentado side sitting stat "
    "standing supine table technologist time trauma upper upright view weight xray".split()
)
"""Words that stand on anyone's radiograph: no name is looked for in them, nor in print as one."""
_TITLES = frozenset("dipl dr dres frau herr ii iii iv ing jr md med miss mlle mme mr mrs ms phd prof sr".split())
_PARTICLES = frozenset(
    "abu al at ben bin da dal das de degli dei del della den der des di do dos du e el em et het ibn in la las le lo los mac mc st "
    "ten ter und van vom von y zu zum zur".split()
)
"""Little words within names; beside a longer part they tell nothing by themselves."""


@dataclass(frozen=True)
class Name:
    """A name in one script.

    parts: plain words by which the person can be told alone.  glued: plain, two parts and more as one word, or initials with a part.
    """

    parts: frozenset[str] = field(default=frozenset(), repr=False)
    glued: frozenset[str] = field(default=frozenset(), repr=False)


@functools.lru_cache(1024)
def names_in(text: str) -> tuple[Name, ...]:
    """The names of a PN value, one for each of its groups (alphabetic, ideographic, phonetic) that holds any.

    >>> [name] = names_in("O'Brien-Lee^Pat^^Dr.")
    >>> sorted(name.parts), "patobrienlee" in name.glued, "plee" in name.glued
    (['brien', 'lee', 'obrien', 'pat'], True, True)
    >>> [sorted(name.parts | name.glued) for name in names_in("=李^明")]
    [['明李', '李明']]
    """
    return tuple(name for group in repaired(text).split("=") if (name := _name(group)) != Name())


def _name(group: str) -> Name:
    components = [_without(_TITLES, _letters(component)) for component in group.split("^")]
    everything = [word for component in components for word in component]
    if all(word in PLACEHOLDERS or word in _TITLES for word in everything):
        return Name()
    family, given = components[0], [word for component in components[1:3] for word in component]
    parts = {word for component in components for word in _without(_PARTICLES, component)}
    parts |= {word for component in group.split("^") for word in _letters(component.replace("'", " ").replace("\u2019", " "))}
    whole = {"".join(component) for component in components if len(component) > 1}
    pairs = [(family, given)] if given else [(family[:1], family[1:]), (family[-1:], family[:-1])]
    whole |= {word for first, rest in pairs if first and rest for word in _together(first, rest)}
    unspaced = any(is_unspaced(char) for word in everything for char in word)
    if unspaced:
        shorter = {word for word in parts if len(word) > 1} if len(everything) > 1 else parts
        return Name(frozenset(shorter), frozenset(word for word in whole if len(word) > 1))
    told = {word for word in parts if len(word) > 1 and word not in PLACEHOLDERS} - (_TITLES if len(everything) > 1 else set())
    particles = _PARTICLES if any(len(word) > 2 and word not in _PARTICLES for word in told) else set()
    return Name(frozenset(told - particles), frozenset(word for word in whole if len(word) >= SHORTEST_GLUED and word not in PLACEHOLDERS))


def _letters(text: str) -> list[str]:
    """Plain words of a text, without the digits in them."""
    return [run for word in words(text) for run in re.findall(r"[^\W\d_]+", plain(word))]


def _together(family: Sequence[str], given: Sequence[str]) -> Iterator[str]:
    """A family name, or one word of it, with given names or their initials, either way round."""
    first, initials = given[0], {given[0][0], "".join(word[0] for word in given)}
    for name in {"".join(family), *_without(_PARTICLES, family)}:
        for other in {"".join(given), first, *(initials if not is_unspaced(first[0]) else ())}:
            yield name + other
            yield other + name


def _without(little: frozenset[str], row: Sequence[str]) -> list[str]:
    """Some words without the little ones, unless there are no others of three letters or more."""
    others = [word for word in row if word not in little]
    return others if any(len(word) > 2 or any(map(is_unspaced, word)) for word in others) else list(row)
