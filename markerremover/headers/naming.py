"""Parts of persons' names, and their spellings as one word. Pure functions."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .spelling import is_unspaced, plain, repaired, words

__all__ = ["ORDINARY", "PLACEHOLDERS", "Name", "names_in"]

SHORTEST_GLUED = 4  # smallest number of letters of a name's joined parts; shorter ones are words of some language
PLACEHOLDERS = frozenset(
    "abdomen ankle anonymised anonymized anonymous chest elbow finger foot hand head hip knee neck nobody none patient pelvis phantom shoulder "
    "skull spine test thorax toe unknown wrist".split()
)
"""Placeholders for names, and body parts: alone they identify nobody, and they occur in any header."""
ORDINARY = PLACEHOLDERS | frozenset(
    "anterior aufrecht axial bearing bed bedside cross cxr debout decub decubitus derecha derecho detector droit droite erect expiration "
    "external female film frog gauche grid inspiration inspired internal izquierda izquierdo kilovolt lat lateral left links liegend lower "
    "male marker mobile neutral non oblique portable portatil posterior prone rechts right rotation seated semi sentado side sitting stat "
    "standing supine table technologist time trauma upper upright view weight xray".split()
)
"""Words that occur on any radiograph: they are not searched for names, and in text in the pixels they are no names."""
_TITLES = frozenset("dipl dr dres frau herr ii iii iv ing jr md med miss mlle mme mr mrs ms phd prof sr".split())
_PARTICLES = frozenset(
    "abu al at ben bin da dal das de degli dei del della den der des di do dos du e el em et het ibn in la las le lo los mac mc st "
    "ten ter und van vom von y zu zum zur".split()
)
"""Particles in names; beside a longer part they identify nobody."""


@dataclass(frozen=True)
class Name:
    """A name in one script.

    parts: plain words that each identify the person.  glued: plain, two or more parts as one word, or initials with a part.
    """

    parts: frozenset[str] = field(default=frozenset(), repr=False)
    glued: frozenset[str] = field(default=frozenset(), repr=False)


@functools.lru_cache(1024)
def names_in(text: str) -> tuple[Name, ...]:
    """The names of a PN value, one for each of its groups (alphabetic, ideographic, phonetic) that holds any; cached.

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
    family, given_names = components[0], [word for component in components[1:3] for word in component]
    parts = {word for component in components for word in _without(_PARTICLES, component)}
    parts |= {word for component in group.split("^") for word in _letters(component.replace("'", " ").replace("\u2019", " "))}
    joined = {"".join(component) for component in components if len(component) > 1}
    pairs = [(family, given_names)] if given_names else [(family[:1], family[1:]), (family[-1:], family[:-1])]
    joined |= {word for head, rest in pairs if head and rest for word in _together(head, rest)}
    unspaced = any(is_unspaced(char) for word in everything for char in word)
    if unspaced:
        shorter = {word for word in parts if len(word) > 1} if len(everything) > 1 else parts
        return Name(frozenset(shorter), frozenset(word for word in joined if len(word) > 1))
    distinctive = {word for word in parts if len(word) > 1 and word not in PLACEHOLDERS} - (_TITLES if len(everything) > 1 else set())
    particles = _PARTICLES if any(len(word) > 2 and word not in _PARTICLES for word in distinctive) else set()
    return Name(frozenset(distinctive - particles), frozenset(word for word in joined if len(word) >= SHORTEST_GLUED and word not in PLACEHOLDERS))


def _letters(text: str) -> list[str]:
    """Plain words of a text, without their digits."""
    return [run for word in words(text) for run in re.findall(r"[^\W\d_]+", plain(word))]


def _together(family: Sequence[str], given_names: Sequence[str]) -> Iterator[str]:
    """A family name, or one word of it, joined with given names or their initials, in either order."""
    first_given, initials = given_names[0], {given_names[0][0], "".join(word[0] for word in given_names)}
    for name in {"".join(family), *_without(_PARTICLES, family)}:
        for given_form in {"".join(given_names), first_given, *(initials if not is_unspaced(first_given[0]) else ())}:
            yield name + given_form
            yield given_form + name


def _without(excluded: frozenset[str], row: Sequence[str]) -> list[str]:
    """The words that are not in a set; all of them if none of the others has three letters or more."""
    kept_words = [word for word in row if word not in excluded]
    return kept_words if any(len(word) > 2 or any(map(is_unspaced, word)) for word in kept_words) else list(row)
