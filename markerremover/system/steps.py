"""Steps of a long work told as sentences, with the time left where several kinds of units have a pace of their own."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from .wording import duration


class Steps:
    """How much of a work is done. Each kind of unit, such as an image that is measured, has its own mean time."""

    def __init__(self, units: Mapping[str, float] | None = None, count: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        """Args:
            units: kind -> highest number of units in the whole work; none where nothing is known.
            count: number of steps, 0 where it is unknown.
            clock: seconds, of any origin.
        """
        self._left = dict(units or {})
        self._count, self._number, self._clock = count, 0, clock
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._done: defaultdict[str, float] = defaultdict(float)
        self._since_s = clock()

    def begin(self, sentence: str) -> str:
        """The sentence of the next step, with its number; its time begins now."""
        self._number += 1
        self._since_s = self._clock()
        where = f"step {self._number} of {self._count}: " if self._count else ""
        return f"{where}{sentence}{self.left}"

    def work(self, kind: str, units: float = 1.0) -> None:
        """Count units that were done since the last call, or since the step began."""
        now_s = self._clock()
        self._seconds[kind] += now_s - self._since_s
        self._since_s = now_s
        self._done[kind] += units
        self.skip(kind, units)

    def skip(self, kind: str, units: float) -> None:
        """Count units that need not be done."""
        self._left[kind] = max(0.0, self._left.get(kind, 0.0) - units)

    @property
    def left(self) -> str:
        """"; about 5 min left", or "" where the time of a kind that is still to be done is unknown, or nothing is left."""
        rest = {kind: units for kind, units in self._left.items() if units > 0}
        if not rest or any(not self._done[kind] for kind in rest):
            return ""
        seconds = sum(units * self._seconds[kind] / self._done[kind] for kind, units in rest.items())
        return f"; about {duration(seconds)} left"
