"""The decisions of a review that stand, in the order in which they were made: what undo takes back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class History:
    """The events of a log that were not undone."""

    def __init__(self, events: Iterable[dict[str, Any]]) -> None:
        self._standing: dict[int, dict[str, Any]] = {}
        for event in events:
            self.add(event)

    def add(self, event: dict[str, Any]) -> None:
        """Add the next event of the log; an undo takes its event away."""
        if event["event"] == "undo":
            self._standing.pop(event["of"], None)
        else:
            self._standing[event["n"]] = event

    def last(self) -> dict[str, Any] | None:
        """The last event that stands, on whatever file; None if there is none."""
        return next(reversed(self._standing.values()), None)
