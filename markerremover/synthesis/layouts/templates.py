"""Texts with parts in braces: values of the invented patient, made-up values, and lists of the layout."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping

import numpy as np

from ..marks import texts
from ..marks.texts import choice

Make = Callable[[np.random.Generator, str, dict[str, str]], str]


def _family(patient: dict[str, str]) -> str:
    return patient["PatientName"].split("^")[0]


def _given(patient: dict[str, str]) -> str:
    return patient["PatientName"].split("^")[1]


FIELDS: dict[str, Make] = {
    "family": lambda rng, split, patient: _family(patient),
    "given": lambda rng, split, patient: _given(patient),
    "name": lambda rng, split, patient: f"{_family(patient)}, {_given(patient)}",
    "id": lambda rng, split, patient: patient["PatientID"],
    "accession": lambda rng, split, patient: patient["AccessionNumber"],
    "sex": lambda rng, split, patient: patient["PatientSex"],
    "birth": lambda rng, split, patient: texts.printed_date(rng, patient["PatientBirthDate"]),
    "date": lambda rng, split, patient: texts.printed_date(rng, patient["StudyDate"]),
    "time": lambda rng, split, patient: texts.printed_time(rng, patient["StudyTime"]),
    "institution": lambda rng, split, patient: patient["InstitutionName"],
    "initials": lambda rng, split, patient: texts.initials(rng, split),
    "position": lambda rng, split, patient: choice(rng, texts.POSITIONS),
    "exposure": lambda rng, split, patient: texts.exposure(rng),
    "number": lambda rng, split, patient: str(rng.integers(1, 1000)),
}
"""Name in braces -> how its value is made, from the generator, the split and the invented patient."""
_CAPITALS, _DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
CHARACTERS = {
    **dict.fromkeys(FIELDS, frozenset(_CAPITALS + _DIGITS + ".,-/'")),
    "time": frozenset(_DIGITS + ":AMPh"),
    "exposure": frozenset(_CAPITALS + _CAPITALS.lower() + _DIGITS + ".:=/"),
    "number": frozenset(_DIGITS),
}
"""Name in braces -> every character that its value may have, blanks apart."""
ALL_CHARACTERS = frozenset().union(*CHARACTERS.values(), "#^*+?")


def names_in(text: str) -> tuple[str, ...]:
    """The names in braces of a text, in order; `{{` and `}}` are braces.

    Raises:
        ValueError: a brace is not closed or opened, or a name has a format or an index.
    """
    found = []
    for _, name, form, conversion in string.Formatter().parse(text):
        if name is not None:
            if form or conversion or not name.isidentifier():
                raise ValueError(f"{{{name}}} is no plain name in braces")
            found.append(name)
    return tuple(found)


def plain_part(text: str) -> str:
    """A text without its names in braces."""
    return "".join(literal for literal, *_ in string.Formatter().parse(text))


def filled(
    rng: np.random.Generator, text: str, split: str, patient: dict[str, str], lists: Mapping[str, tuple[str, ...]]
) -> str:
    """A text with a value for each name in braces; items of lists may have names of FIELDS themselves."""
    result = []
    for literal, name, _, _ in string.Formatter().parse(text):
        result.append(literal)
        if name is None:
            continue
        if name in lists:
            result.append(filled(rng, choice(rng, lists[name]), split, patient, {}))
        else:
            result.append(FIELDS[name](rng, split, patient))
    return "".join(result)
