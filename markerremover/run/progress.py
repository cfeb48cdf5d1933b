"""Progress of a run: a bar on a terminal, otherwise a line of text after `FIRST_S` and then every `EVERY_S`."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..records import STATUSES, Outcome
from ..system.wording import Pace, duration

#: Seconds between lines of text, so that the log of a long run is short.
EVERY_S = 15.0
#: Seconds until the first line, so that a long run is seen to be at work.
FIRST_S = 3.0
PREPARING = "reading headers, loading the networks"
#: Of tqdm: percentage, bar, counts, and what `Tally` says. It fits 80 columns with a hundred thousand files.
BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"


class Tally:
    """Counts and pace of a run, from its outcomes. Files that `--resume` reuses are part of the total, but not of the pace."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.start_s = clock, clock()
        self.statuses: Counter[str] = Counter()
        self.done = self.total = 0
        self._pace: Pace | None = None

    def note(self, outcome: Outcome, done: int, total: int) -> None:
        """Count one outcome; arguments as of `batch.Progress`."""
        self.statuses[outcome.status] += 1
        self.done, self.total = done, total
        if self._pace is None:  # the first file's time is that of loading the networks, too
            self._pace = Pace(total, self.clock)
            self._pace.skip(done)
        else:
            self._pace.work()

    @property
    def rate(self) -> float:
        """Images per second: of late, or since the start where too little was done."""
        known = self._pace.rate if self._pace else None
        return known if known is not None else sum(self.statuses.values()) / max(self.clock() - self.start_s, 1e-9)

    @property
    def pace(self) -> str:
        """Rate and time left, or the time taken at the end."""
        if self.done >= self.total:
            seconds = self.clock() - self.start_s
            return f"{sum(self.statuses.values()) / max(seconds, 1e-9):.1f} images/s, {duration(seconds)} in all"
        left_s = self._pace.left_s if self._pace else None
        left_s = (self.total - self.done) / self.rate if left_s is None else left_s
        return f"{self.rate:.1f} images/s, about {duration(left_s)} left"


@contextmanager
def show_progress() -> Iterator[Callable[[Outcome, int, int], None]]:
    """A `batch.Progress` that prints to stderr: counts, rate and time left."""
    if sys.stderr.isatty():
        with _bar() as update:
            yield update
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Callable[[Outcome, int, int], None]]:
    from tqdm import tqdm

    tally = Tally()
    bar = tqdm(bar_format="{desc}", desc=PREPARING, leave=False, dynamic_ncols=True)

    def update(outcome: Outcome, done: int, total: int) -> None:
        first = not tally.statuses
        tally.note(outcome, done, total)
        if first:
            bar.bar_format, bar.total, bar.leave = BAR, total, True
            bar.set_description_str("", refresh=False)
        trouble = "".join(f"; {tally.statuses[status]} {status}" for status in ("held", "failed") if tally.statuses[status])
        bar.set_postfix_str(tally.pace + trouble, refresh=False)
        if first or done == total:
            bar.n = done
            bar.refresh()
        else:
            bar.update(done - bar.n)

    with bar:
        yield update


def _lines() -> Callable[[Outcome, int, int], None]:
    tally = Tally()
    next_line_s = tally.start_s + FIRST_S

    def update(outcome: Outcome, done: int, total: int) -> None:
        nonlocal next_line_s
        tally.note(outcome, done, total)
        now_s = tally.clock()
        if done == total or now_s >= next_line_s:
            next_line_s = now_s + EVERY_S
            counts = ", ".join(f"{tally.statuses[status]} {status}" for status in STATUSES)
            print(f"{done}/{total}: {counts}; {tally.pace}", file=sys.stderr, flush=True)

    return update


def count_files() -> Callable[[int, int], None]:
    """A function of (done, total) that prints lines to stderr: numbers of files, rate and time left."""
    clock = time.monotonic
    next_line_s = clock() + FIRST_S
    pace: Pace | None = None

    def update(done: int, total: int) -> None:
        nonlocal next_line_s, pace
        pace = pace or Pace(total, clock)
        pace.work()
        if clock() >= next_line_s and done < total and pace.left_s is not None:
            next_line_s = clock() + EVERY_S
            print(f"{done}/{total} files; {pace.rate:.1f} files/s, about {duration(pace.left_s)} left", file=sys.stderr, flush=True)

    return update
