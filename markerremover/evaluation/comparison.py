"""Two runs on the same images: Fisher's exact test as in Khosravi et al. 2023, McNemar's exact test for paired data, and the images that
became better or worse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import UsageError
from ..records import LATERALITY, MARKER
from ..system.wording import counted
from . import box_measures
from .evaluate import NAMES, published, summary
from .metrics import fisher, in_words, rate
from .results import Row

#: Rate -> the outcomes of one image, in the order of the truth, that are compared in pairs; True is good.
PAIRED: dict[str, Callable[[Row], list[bool]]] = {
    "deid": lambda row: [all(goods)] if (goods := _goods(row, MARKER)) else [],
    "recall": lambda row: _goods(row, MARKER),
    "retention": lambda row: _goods(row, LATERALITY),
}
WRONGLY_KEPT = "letters_retained"


def _goods(row: Row, kind: str) -> list[bool]:
    return [e.good for e in row.judged.elements if e.scored and e.element.kind == kind]


def mcnemar(better: int, worse: int) -> float:
    """Two-sided P of McNemar's exact test (McNemar 1947); under the null hypothesis half of the discordant pairs are better.

    >>> round(mcnemar(8, 1), 4)
    0.0391
    """
    from scipy.stats import binomtest

    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def compare(a: Sequence[Row], b: Sequence[Row], *, missing_count: bool = False) -> dict[str, Any]:
    """What changed from one run to another.

    Args:
        a, b: of `evaluation.evaluate`, with the same truth.
        missing_count: an image without a result counts as one in which nothing was removed or retained; else it is left out of all pairs.

    Returns:
        Each of `PAIRED` -> {"a": rate, "b": rate, "better", "worse": pairs, "p_mcnemar", "p_fisher"}; `images`: {"better", "worse",
        "mixed"} -> names; `compared`: how many images; `missing`: {"a", "b"} -> image -> reason in the run's manifest, "" for none; and
        of runs with manifests `published_measures`: each of `box_measures.NAMES` -> {"a", "b": rates, "p_fisher"}.
        `letters_retained` -> {"a": rate, "b": rate} where both runs have a manifest.

    Raises:
        UsageError: the runs are not of the same images with the same truth, or no image has a result in both.
    """
    if [(r.name, r.judged.annotation) for r in a] != [(r.name, r.judged.annotation) for r in b]:
        raise UsageError("the two runs were not judged on the same images with the same truth")
    missing = {side: {r.name: _why(r) for r in rows if r.judged.missing} for side, rows in (("a", a), ("b", b))}
    excluded = [] if missing_count else [*missing["a"], *missing["b"]]
    a, b = ([r for r in rows if r.name not in excluded] for rows in (a, b))
    if not a:
        raise UsageError(f"no image has a result in both: {len(missing['a'])} have none in A, {len(missing['b'])} have none in B")
    result: dict[str, Any] = {"compared": len(a), "missing": missing}
    for name, outcomes in PAIRED.items():
        pairs = [pair for one, other in zip(a, b) for pair in zip(outcomes(one), outcomes(other), strict=True)]
        k = [sum(pair[side] for pair in pairs) for side in (0, 1)]
        better, worse = sum(new and not old for old, new in pairs), sum(old and not new for old, new in pairs)
        result[name] = {**_tested(rate(k[0], len(pairs)), rate(k[1], len(pairs))), "better": better, "worse": worse,
                        "p_mcnemar": round(mcnemar(better, worse), 4)}
    wrong = [summary(rows).get(WRONGLY_KEPT) for rows in (a, b)]
    if all(wrong):
        result[WRONGLY_KEPT] = dict(zip("ab", wrong))
    images: dict[str, list[str]] = {"better": [], "worse": [], "mixed": []}
    for one, other in zip(a, b):
        gains, losses = _changes(one, other)
        if gains or losses:
            images["mixed" if gains and losses else "better" if gains else "worse"].append(one.name)
    if all(row.manifest for row in (*a, *b)):
        (old, bare), (new, _) = ((of_run["published_measures"], of_run["images_without_annotations"]) for of_run in map(published, (a, b)))
        result |= {"published_measures": {name: _tested(old[name], new[name]) for name in old}, "images_without_annotations": bare}
    return result | {"images": images}


def _tested(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    """Two rates and Fisher's P."""
    p = fisher((a["k"], a["n"]), (b["k"], b["n"]))
    return {"a": a, "b": b, "p_fisher": None if p is None else round(p, 4)}


def _why(row: Row) -> str:
    """Status and reason in a run's manifest for an image without a result, "" for none."""
    if row.manifest is None:
        return "unreadable or of another size" if row.result else ""
    return ": ".join(str(part) for part in (row.manifest.get("status"), row.manifest.get("reason")) if part)


def _changes(a: Row, b: Row) -> tuple[bool, bool]:
    """Whether anything in an image is better, and whether anything is worse: elements and false-positive regions."""
    elements = [(x.good, y.good) for x, y in zip(a.judged.elements, b.judged.elements) if x.scored]
    false = len(b.judged.false_regions) - len(a.judged.false_regions)
    return any(new and not old for old, new in elements) or false < 0, any(old and not new for old, new in elements) or false > 0


def lines(document: dict[str, Any]) -> list[str]:
    """A comparison as lines of text."""
    text = []
    for side, names in document["missing"].items():
        text += [f"no result in {side.upper()}: {name}{f' ({reason})' if reason else ''}" for name, reason in names.items()]
    if text:
        text.append(f"images without a result in both are left out: {document['compared']} compared")
    head = len(text)
    for name in PAIRED:
        row = document[name]
        if row["a"]["n"]:
            text.append(f"{NAMES[name]}: A {in_words(row['a'])}, B {in_words(row['b'])}; {row['better']} better, {row['worse']} worse, "
                         f"McNemar P = {row['p_mcnemar']:.4f}, Fisher P = {row['p_fisher']:.4f}")
    for name, row in document.get("published_measures", {}).items():
        p = "" if row["p_fisher"] is None else f"; Fisher P = {row['p_fisher']:.4f}"
        bare = document["images_without_annotations"] if name == "deidentification_accuracy" else 0
        exclusion = f"; {counted(bare, 'radiograph')} without such annotations left out" if bare else ""
        text.append(f"as published, {box_measures.NAMES[name]}: A {in_words(row['a'])}, B {in_words(row['b'])}{p}{exclusion}")
    if WRONGLY_KEPT in document:
        text.append(f"{NAMES[WRONGLY_KEPT]}: A {in_words(document[WRONGLY_KEPT]['a'])}, B {in_words(document[WRONGLY_KEPT]['b'])}")
    for kind, names in document["images"].items():
        text += [f"{kind}: {name}" for name in names]
    return text if len(text) > head else [*text, "nothing to compare: the truth has no elements that can be scored"]
