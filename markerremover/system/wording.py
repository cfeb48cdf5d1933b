"""Counts and times in sentences, and the pace of a long piece of work: what the command line tells."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 300.0  # the pace is that of the last so many seconds: files of one folder may be larger than those of another
SAMPLE_S = 1.0  # shortest time between two kept moments, and that a pace is measured over


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun.

    >>> counted(1, "file"), counted(2, "file"), counted(0, "box", "boxes"), counted(12345, "file")
    ('1 file', '2 files', '0 boxes', '12345 files')
    """
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def verb(count: int, one: str, several: str) -> str:
    """The form of a verb that fits a count.

    >>> verb(1, "was", "were"), verb(0, "was", "were")
    ('was', 'were')
    """
    return one if count == 1 else several


def duration(seconds: float) -> str:
    """A time in words, as exact as an estimate is.

    >>> duration(0.2), duration(42), duration(160), duration(3 * 3600 + 59 * 60), duration(60 * 3600)
    ('1 s', '42 s', '3 min', '3 h 59 min', '2 d 12 h')
    """
    if seconds < 60:
        return f"{max(1, round(seconds))} s" if round(seconds) < 60 else "1 min"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


class Pace:
    """How fast units of work are done, and how long the rest takes.

    Units that were done before, as after a resume, are counted as `skip`: they took no time and tell nothing of the pace.
    """

    def __init__(self, total: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Args:
            total: units of the whole work.
            clock: seconds, of any origin.
        """
        self.total, self._clock = total, clock
        self.worked = self.skipped = 0.0
        self._moments: deque[tuple[float, float]] = deque([(clock(), 0.0)])

    def skip(self, units: float) -> None:
        """Count units that need not be done."""
        self.skipped += units

    def work(self, units: float = 1.0) -> None:
        """Count units that have just been done."""
        self.worked += units
        now_s = self._clock()
        if now_s - self._moments[-1][0] >= SAMPLE_S:
            self._moments.append((now_s, self.worked))
            while len(self._moments) > 2 and now_s - self._moments[1][0] >= WINDOW_S:
                self._moments.popleft()

    def restart(self) -> None:
        """The clock starts now: what came before, such as loading networks, is no part of the pace."""
        self._moments = deque([(self._clock(), self.worked)])

    @property
    def rate(self) -> float | None:
        """Units per second of late, None where too little was done to tell."""
        (then_s, then), now_s = self._moments[0], self._clock()
        done = self.worked - then
        return done / (now_s - then_s) if done > 0 and now_s - then_s >= SAMPLE_S else None

    @property
    def left_s(self) -> float | None:
        """Seconds until all is done, None where the pace is unknown."""
        rest = max(0.0, self.total - self.worked - self.skipped)
        rate = self.rate
        return 0.0 if rest == 0 else None if rate is None else rest / rate
