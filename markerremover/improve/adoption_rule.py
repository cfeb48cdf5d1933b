"""The rule by which new weights are adopted, on a validation set that neither old nor new weights were trained on.

    Safety   as many annotations removed as before and as many pictures with every annotation removed, or more.
    Use      laterality markers retained and false-positive regions: not worse by the exact test (P below 0.05); if safety is only
             equal, not worse at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..evaluation.evaluate import NAMES

SAFETY, USE = ("recall", "deid"), {"retention": 1, "false_regions": -1}  # rate -> 1 if more is better, -1 if less is
LEVEL = 0.05  # significance level of McNemar's exact test


def objections(results: Mapping[str, Any]) -> list[str]:
    """The reasons against adopting new weights; [] if they are adopted.

    Args:
        results: of `score_weights.compared`.
    """
    reasons = [f"fewer {NAMES[name]}: {_counts(results[name])}" for name in SAFETY if _change(results[name]) < 0]
    gained = not reasons and bool(gains(results))
    for name, direction in USE.items():
        row = results[name]
        words = _loss(name, row)
        if row["worse"] > row["better"] and row["p_mcnemar"] < LEVEL:
            reasons.append(f"{words}, P = {row['p_mcnemar']:.4f}")
        elif not gained and direction * _change(row) < 0:
            reasons.append(f"{words}, and no more annotations are removed")
    return reasons


def gains(results: Mapping[str, Any]) -> list[str]:
    """The rates in which new weights are safer."""
    return [f"more {NAMES[name]}: {_counts(results[name])}" for name in SAFETY if _change(results[name]) > 0]


def reason(results: Mapping[str, Any]) -> str:
    """The reason for adopting new weights without objections, with their losses that are not significant."""
    losses = [f"{_loss(name, results[name])}, no significant loss" for name, direction in USE.items() if direction * _change(results[name]) < 0]
    return "; ".join([*gains(results), *losses]) or "nothing is worse"


def _loss(name: str, row: Mapping[str, Any]) -> str:
    return f"{'fewer' if USE[name] > 0 else 'more'} {NAMES[name]}: {_counts(row)}"


def _change(row: Mapping[str, Any]) -> int:
    return row["after"]["k"] - row["before"]["k"]


def _counts(row: Mapping[str, Any]) -> str:
    return f"{row['after']['k']}, before {row['before']['k']}"
