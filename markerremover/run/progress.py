"""Progress of a run: a bar on a terminal, otherwise a line of text every `EVERY_S`."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..records import STATUSES, Outcome

#: Seconds between lines of text, so that the log of a long run is short.
EVERY_S = 15.0


@contextmanager
def show_progress() -> Iterator[Callable[[Outcome, int, int], None]]:
    """A `batch.Progress` that prints to stderr: counts and rate."""
    if sys.stderr.isatty():
        with _bar() as update:
            yield update
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Callable[[Outcome, int, int], None]]:
    from tqdm import tqdm

    counts: Counter[str] = Counter()
    bar = tqdm(unit=" images", dynamic_ncols=True)

    def update(outcome: Outcome, done: int, total: int) -> None:
        counts[outcome.status] += 1
        bar.total = total
        bar.set_postfix({status: counts[status] for status in STATUSES if counts[status]}, refresh=False)
        bar.update(done - bar.n)

    with bar:
        yield update


def _lines() -> Callable[[Outcome, int, int], None]:
    statuses: Counter[str] = Counter()
    start = last_line_s = time.monotonic()

    def update(outcome: Outcome, done: int, total: int) -> None:
        nonlocal last_line_s
        statuses[outcome.status] += 1
        now_s = time.monotonic()
        if done == total or now_s - last_line_s >= EVERY_S:
            last_line_s = now_s
            counts = ", ".join(f"{statuses[status]} {status}" for status in STATUSES)
            rate = sum(statuses.values()) / max(now_s - start, 1e-9)
            print(f"{done}/{total}: {counts}; {rate:.1f} images/s", file=sys.stderr, flush=True)

    return update
