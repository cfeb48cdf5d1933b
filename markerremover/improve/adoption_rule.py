"""What adopts new weights, on a validation set that neither the old nor the new ones have learnt from.

    Safety   as many annotations removed as before and as many pictures with every annotation removed, or more.
    Use      laterality markers retained and false-positive regions: not worse by the exact test (P below 0.05); and where safety is just equal, not worse at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..evaluation.evaluate import NAMES

SAFETY, USE = ("recall", "deid"), {"retention": 1, "false_regions": -1}  # whether more is better or worse
LEVEL = 0.05  # of McNemar's exact test


def objections(results: Mapping[str, Any]) -> list[str]:
    """Why new weights are not adopted, [] where they are.

    Args:
        results: of `looking.compared`.
    """
    found = [f"fewer {NAMES[name]}: {_told(results[name])}" for name in SAFETY if _change(results[name]) < 0]
    gained = not found and bool(gains(results))
    for name, sign in USE.items():
        row = results[name]
        words = _loss(name, row)
        if row["worse"] > row["better"] and row["p_mcnemar"] < LEVEL:
            found.append(f"{words}, P = {row['p_mcnemar']:.4f}")
        elif not gained and sign * _change(row) < 0:
            found.append(f"{words}, and no marking more is removed for it")
    return found


def gains(results: Mapping[str, Any]) -> list[str]:
    """In what new weights are safer."""
    return [f"more {NAMES[name]}: {_told(results[name])}" for name in SAFETY if _change(results[name]) > 0]


def reason(results: Mapping[str, Any]) -> str:
    """Why new weights to which there are no objections are adopted, and what they lose all the same."""
    losses = [f"{_loss(name, results[name])}, no significant loss" for name, sign in USE.items() if sign * _change(results[name]) < 0]
    return "; ".join([*gains(results), *losses]) or "nothing is worse"


def _loss(name: str, row: Mapping[str, Any]) -> str:
    return f"{'fewer' if USE[name] > 0 else 'more'} {NAMES[name]}: {_told(row)}"


def _change(row: Mapping[str, Any]) -> int:
    return row["after"]["k"] - row["before"]["k"]


def _told(row: Mapping[str, Any]) -> str:
    return f"{row['after']['k']}, before {row['before']['k']}"
