"""The history and a round's result as lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..system.wording import counted
from . import score_weights
from .site_folder import SiteFolder

TITLES = ("", "generation", "when (UTC)", "learnt from", "annotations removed", "images", "laterality markers retained", "false-positive regions", "outcome")


def result(row: Mapping[str, Any]) -> list[str]:
    """The result of one round."""
    comparison: list[str] = []
    if row["results"]:
        comparison = ["validation set, weights in use -> new ones; exact 95 % intervals, P of McNemar's exact test:", *score_weights.lines(row["results"])]
    return [*comparison, f"{'adopted' if row['adopted'] else 'NOT adopted'}: generation {row['generation']}: {row['reason']}"]


def history(rows: Sequence[Mapping[str, Any]], in_use: str) -> list[str]:
    """All rows; `*` marks the weights in use (`in_use`: their path as in the rows), of several rows the last."""
    used = max((i for i, row in enumerate(rows) if row["adopted"] and row["weights"]["file"] == in_use), default=-1)
    cells = [TITLES, *(("*" if i == used else "", *_cells(row)) for i, row in enumerate(rows))]
    widths = [max(len(row[i]) for row in cells) for i in range(len(TITLES))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    results = row.get("results") or {}
    rates = [f"{_k_of_n(results[name]['before'])} -> {_k_of_n(results[name]['after'])}" if results else "" for name in score_weights.SHOWN]
    outcome = {"start": "start", "adopt": "adopted by hand"}.get(row["event"], "adopted" if row["adopted"] else f"not adopted: {row['reason']}")
    learnt = counted(row["training"]["pictures"], "picture") if "training" in row else ""
    return (str(row["generation"]), row["when"][:16].replace("T", " "), learnt, *rates, outcome)


def _k_of_n(rate: Mapping[str, Any]) -> str:
    return f"{rate['k']}/{rate['n']}" if rate["n"] else "none"


def where(folder: SiteFolder) -> str:
    """How to use the weights in use."""
    return f"for `remove --site`: {folder.path}"
