"""What weights make of the validation set: the whole pipeline, in memory, judged by the pixels as `evaluate` judges results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..detection import localizer
from ..evaluation import comparison, evaluate, judge, metrics
from ..evaluation.results import Row
from ..records import Policy
from ..redaction.cleaning import Cleaner
from ..training.measure import look
from .picture_store import Picture

SHOWN = ("recall", "deid", "retention", "false_regions")


def rows(found: Sequence[Picture], onnx: Path, policy: Policy, device: str) -> list[Row]:
    """One row a picture, in their order. A picture that would be held has no result, so nothing of it counts as removed or kept.

    Raises:
        UsageError: the weights cannot be opened, or signs are to stay and there is no OCR engine.
    """
    reader = None
    if policy.keep:
        from ..second_pass.tesseract import open_reader

        reader = open_reader()
    cleaner = Cleaner(localizer.load_detector(onnx, device="cpu" if device == "cpu" else "auto"), reader, policy)
    return [row(picture, cleaner) for picture in found]


def row(picture: Picture, cleaner: Cleaner) -> Row:
    """Clean one picture, write nothing, and judge what came of it."""
    seen = look(picture.sample, cleaner)
    after = seen.after
    judged = judge.judge(seen.display, after, picture.annotation)
    return Row(picture.name, picture.patient, judged, identical=None if after is None else bool((after == seen.display).all()))


def compared(before: Sequence[Row], after: Sequence[Row]) -> dict[str, Any]:
    """What changed from some weights to others.

    Returns:
        Each of `SHOWN` -> {"before", "after": rates, "better", "worse": pairs that differ, "p_mcnemar"}; of `false_regions` the pairs are
        pictures with fewer or more of them. `anatomy_removed`, `held` -> {"before", "after"}; `pictures` -> {"better", "worse", "mixed": names}.
    """
    found, (old, new) = comparison.compare(before, after, missing_count=True), (evaluate.summary(r) for r in (before, after))
    result = {
        name: {"before": found[name]["a"], "after": found[name]["b"], **{k: found[name][k] for k in ("better", "worse", "p_mcnemar")}}
        for name in comparison.PAIRED
    }
    pairs = [(len(a.judged.false_regions), len(b.judged.false_regions)) for a, b in zip(before, after)]
    better, worse = sum(b < a for a, b in pairs), sum(b > a for a, b in pairs)
    result["false_regions"] = {
        "before": old["false_regions"], "after": new["false_regions"], "better": better, "worse": worse,
        "p_mcnemar": round(comparison.mcnemar(better, worse), 4),
    }
    return {
        **{name: result[name] for name in SHOWN}, "anatomy_removed": {"before": old["anatomy_removed"]["value"], "after": new["anatomy_removed"]["value"]},
        "held": {"before": old["missing"], "after": new["missing"]}, "pictures": found["images"],
    }


def lines(results: dict[str, Any]) -> list[str]:
    """A comparison as lines of text."""
    names = {name: evaluate.NAMES[name] for name in SHOWN}
    width, told = max(map(len, names.values())), []
    for name, title in names.items():
        row = results[name]
        pairs = "pictures with fewer, {}" if name == "false_regions" else "better, {}"
        changed = f"{row['better']} {pairs.format(row['worse'])} {'with more' if name == 'false_regions' else 'worse'}"
        told.append(f"  {title:{width}}  {metrics.in_words(row['before'])} -> {metrics.in_words(row['after'])}; {changed}, P = {row['p_mcnemar']:.4f}")
    told.append(f"  {'anatomy removed':{width}}  {results['anatomy_removed']['before']:.2f} -> {results['anatomy_removed']['after']:.2f} per mille of the pixels")
    if any(results["held"].values()):
        told.append(f"  {'held, so counted as not removed':{width}}  {results['held']['before']} -> {results['held']['after']}")
    return told


Look = Callable[[Sequence[Picture], Path, Policy, str], list[Row]]
