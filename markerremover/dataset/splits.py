"""Parts of a data set by patient: deterministic, stratified by source, and without one radiograph in two parts."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

from .options import PARTS


def split(sources: Mapping[str, str], shares: Sequence[float], seed: int) -> dict[str, str]:
    """Patient -> part, one of `PARTS`.

    The patients of each source are ordered by a hash of seed and name, so that neither the order of files nor the machine matters. Along that
    order, source after source, each patient gets the part that is furthest behind its share: within every source and in all, the numbers
    differ from the shares by about one patient.

    Args:
        sources: patient, or group of patients -> source.
        shares: of the parts, as many as `PARTS`, together 1.

    >>> parts = list(split({f"p{i}": "a" for i in range(20)}, (0.8, 0.1, 0.1), 1).values())
    >>> [parts.count(part) for part in PARTS]
    [16, 2, 2]
    """
    order = sorted(sources, key=lambda patient: (sources[patient], _hash(f"{seed}\0{patient}"), patient))
    given = [0] * len(PARTS)
    result = {}
    for number, patient in enumerate(order, 1):
        part = max(range(len(PARTS)), key=lambda i: (shares[i] > 0, shares[i] * number - given[i], -i))
        given[part] += 1
        result[patient] = PARTS[part]
    return result


def grouped(patients: Iterable[str], same: Iterable[tuple[Hashable, str]]) -> dict[str, str]:
    """Patient -> the first name, in alphabetical order, of a group of patients that share a radiograph.

    Args:
        patients: all of them.
        same: (what is shared, patient), for example the hash of a file.

    >>> grouped("abcd", [(1, "b"), (1, "c"), (2, "c"), (2, "d")])
    {'a': 'a', 'b': 'b', 'c': 'b', 'd': 'b'}
    """
    root = {patient: patient for patient in patients}

    def first(patient: str) -> str:
        while root[patient] != patient:
            root[patient] = patient = root[root[patient]]
        return patient

    by_thing: dict[Hashable, list[str]] = defaultdict(list)
    for thing, patient in same:
        by_thing[thing].append(patient)
    for members in by_thing.values():
        for member in members[1:]:
            low, high = sorted((first(members[0]), first(member)))
            root[high] = low
    return {patient: first(patient) for patient in root}


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
