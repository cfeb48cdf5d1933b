"""Two runs on the same images: Fisher's exact test as in the publication, McNemar's exact test for paired data, and what got better or
worse in which image."""

from __future__ import annotations

from typing import Any, Callable, Sequence

from .errors import UsageError
from .evaluation import NAMES, summary
from .metrics import fisher, in_words, rate
from .results import Row

#: Rate -> the outcomes of one image, in the order of the truth, that are compared in pairs; True is good.
PAIRED: dict[str, Callable[[Row], list[bool]]] = {
    "deid": lambda row: [all(goods)] if (goods := _goods(row, "marker")) else [],
    "recall": lambda row: _goods(row, "marker"),
    "retention": lambda row: _goods(row, "laterality"),
}
WRONGLY_KEPT = "letters_retained"


def _goods(row: Row, kind: str) -> list[bool]:
    return [e.good for e in row.judged.elements if e.scored and e.element.kind == kind]


def mcnemar(better: int, worse: int) -> float:
    """Two-sided P of McNemar's exact test (McNemar 1947): of so many pairs that differ, half would be better by chance.

    >>> round(mcnemar(8, 1), 4)
    0.0391
    """
    from scipy.stats import binomtest

    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def compare(a: Sequence[Row], b: Sequence[Row]) -> dict[str, Any]:
    """What changed from one run to another.

    Args:
        a, b: of `evaluation.evaluate`, with the same truth.

    Returns:
        `letters_retained` -> {"a": rate, "b": rate} where both runs have a manifest; each of `PAIRED` -> {"a": rate, "b": rate, "better", "worse": pairs, "p_mcnemar", "p_fisher"}, and `images`: {"better", "worse",
        "mixed"} -> names.

    Raises:
        UsageError: the runs are not of the same images with the same truth.
    """
    if [(r.name, r.judged.annotation) for r in a] != [(r.name, r.judged.annotation) for r in b]:
        raise UsageError("the two runs were not judged on the same images with the same truth")
    result: dict[str, Any] = {}
    for name, outcomes in PAIRED.items():
        pairs = [pair for one, other in zip(a, b) for pair in zip(outcomes(one), outcomes(other), strict=True)]
        k = [sum(pair[side] for pair in pairs) for side in (0, 1)]
        better, worse = sum(new and not old for old, new in pairs), sum(old and not new for old, new in pairs)
        p = fisher((k[0], len(pairs)), (k[1], len(pairs)))
        result[name] = {
            "a": rate(k[0], len(pairs)), "b": rate(k[1], len(pairs)), "better": better, "worse": worse,
            "p_mcnemar": round(mcnemar(better, worse), 4), "p_fisher": None if p is None else round(p, 4),
        }
    found = [summary(rows).get(WRONGLY_KEPT) for rows in (a, b)]
    if all(found):
        result[WRONGLY_KEPT] = dict(zip("ab", found))
    images: dict[str, list[str]] = {"better": [], "worse": [], "mixed": []}
    for one, other in zip(a, b):
        gains, losses = _changes(one, other)
        if gains or losses:
            images["mixed" if gains and losses else "better" if gains else "worse"].append(one.name)
    return result | {"images": images}


def _changes(a: Row, b: Row) -> tuple[bool, bool]:
    """Whether anything of an image is better, and whether anything is worse: elements and false regions."""
    elements = [(x.good, y.good) for x, y in zip(a.judged.elements, b.judged.elements) if x.scored]
    false = len(b.judged.false_regions) - len(a.judged.false_regions)
    return any(new and not old for old, new in elements) or false < 0, any(old and not new for old, new in elements) or false > 0


def lines(document: dict[str, Any]) -> list[str]:
    """A comparison as lines of text."""
    found = []
    for name in PAIRED:
        row = document[name]
        if row["a"]["n"]:
            found.append(f"{NAMES[name]}: A {in_words(row['a'])}, B {in_words(row['b'])}; {row['better']} better, {row['worse']} worse, "
                         f"McNemar P = {row['p_mcnemar']:.4f}, Fisher P = {row['p_fisher']:.4f}")
    if WRONGLY_KEPT in document:
        found.append(f"{NAMES[WRONGLY_KEPT]}: A {in_words(document[WRONGLY_KEPT]['a'])}, B {in_words(document[WRONGLY_KEPT]['b'])}")
    for kind, names in document["images"].items():
        found += [f"{kind}: {name}" for name in names]
    return found or ["nothing to compare: the truth has no elements that can be scored"]
