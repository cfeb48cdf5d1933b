"""Results of weights on the validation set: the whole pipeline in memory, judged by pixels as in `evaluate`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..detection import localizer
from ..evaluation import comparison, evaluate, judge, metrics
from ..evaluation.results import Row
from ..records import Policy
from ..redaction.cleaning import Cleaner, with_localizer
from ..training.measure import run_pipeline
from .picture_store import Picture

SHOWN = ("recall", "deid", "retention", "false_regions")


def rows(pictures: Sequence[Picture], onnx: Path, policy: Policy, device: str) -> list[Row]:
    """One row per picture, in order. A picture that would be held has no result, so nothing in it counts as removed or retained.

    Raises:
        UsageError: the weights cannot be opened, or laterality markers are to be retained and there is no OCR engine.
    """
    reader = None
    if policy.keep:
        from ..second_pass.tesseract import open_reader

        reader = open_reader()
    cleaner = with_localizer(localizer.load_detector(onnx, device="cpu" if device == "cpu" else "auto"), reader, policy)
    return [row(picture, cleaner) for picture in pictures]


def row(picture: Picture, cleaner: Cleaner) -> Row:
    """Clean one picture in memory, and judge the result."""
    outcome = run_pipeline(picture.sample, cleaner)
    result = outcome.after
    verdicts = judge.judge(outcome.display, result, picture.annotation)
    return Row(picture.name, picture.patient, verdicts, identical=None if result is None else bool((result == outcome.display).all()))


def compared(before: Sequence[Row], after: Sequence[Row]) -> dict[str, Any]:
    """The comparison of two weights.

    Returns:
        Each of `SHOWN` -> {"before", "after": rates, "better", "worse": pairs that differ, "p_mcnemar"}; for `false_regions` the pairs are
        pictures with fewer or more false-positive regions. `anatomy_removed`, `held` -> {"before", "after"}; `pictures` -> {"better", "worse", "mixed": names}.
    """
    compared_rows, (old, new) = comparison.compare(before, after, missing_count=True), (evaluate.summary(r) for r in (before, after))
    result = {
        name: {"before": compared_rows[name]["a"], "after": compared_rows[name]["b"], **{k: compared_rows[name][k] for k in ("better", "worse", "p_mcnemar")}}
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
        "held": {"before": old["missing"], "after": new["missing"]}, "pictures": compared_rows["images"],
    }


def lines(results: dict[str, Any]) -> list[str]:
    """A comparison as lines of text."""
    names = {name: evaluate.NAMES[name] for name in SHOWN}
    width = max(map(len, names.values()))
    text: list[str] = []
    for name, title in names.items():
        row = results[name]
        pairs = "pictures with fewer, {}" if name == "false_regions" else "better, {}"
        changed = f"{row['better']} {pairs.format(row['worse'])} {'with more' if name == 'false_regions' else 'worse'}"
        text.append(f"  {title:{width}}  {metrics.in_words(row['before'])} -> {metrics.in_words(row['after'])}; {changed}, P = {row['p_mcnemar']:.4f}")
    removed = results["anatomy_removed"]
    text.append(f"  {'anatomy removed':{width}}  {removed['before']:.2f} -> {removed['after']:.2f} per mille of the pixels")
    if any(results["held"].values()):
        text.append(f"  {'held, so counted as not removed':{width}}  {results['held']['before']} -> {results['held']['after']}")
    return text


Score = Callable[[Sequence[Picture], Path, Policy, str], list[Row]]
