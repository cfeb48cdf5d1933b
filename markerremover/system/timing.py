"""Time that the stages of a file take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def timed(timings_ms: dict[str, float], stage: str) -> Iterator[None]:
    """Add the time the block takes to `timings_ms[stage]`, milliseconds, also when it raises."""
    start = time.perf_counter()
    try:
        yield
    finally:
        timings_ms[stage] = round(timings_ms.get(stage, 0.0) + (time.perf_counter() - start) * 1000, 2)
