"""How far a run is: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..records import STATUSES, Outcome

#: Seconds between plain lines: a log of a night's run stays readable.
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

    ended: Counter[str] = Counter()
    bar = tqdm(unit=" images", dynamic_ncols=True)

    def update(outcome: Outcome, done: int, total: int) -> None:
        ended[outcome.status] += 1
        bar.total = total
        bar.set_postfix({status: ended[status] for status in STATUSES if ended[status]}, refresh=False)
        bar.update(done - bar.n)

    with bar:
        yield update


def _lines() -> Callable[[Outcome, int, int], None]:
    ended: Counter[str] = Counter()
    start = last = time.monotonic()

    def update(outcome: Outcome, done: int, total: int) -> None:
        nonlocal last
        ended[outcome.status] += 1
        now = time.monotonic()
        if done == total or now - last >= EVERY_S:
            last = now
            counts = ", ".join(f"{ended[status]} {status}" for status in STATUSES)
            rate = sum(ended.values()) / max(now - start, 1e-9)
            print(f"{done}/{total}: {counts}; {rate:.1f} images/s", file=sys.stderr, flush=True)

    return update
