"""What is made when it is first asked for and then kept, by several threads at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable
from typing import Any


class Once:
    """What is made when it is first asked for, by whichever thread, and then kept. A failure is not kept."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._made: list[Any] = []

    def __call__(self, make: Callable[[], Any] | None = None) -> Any:
        """It; `make` stands in for what was to make it."""
        with self._lock:
            if not self._made:
                self._made.append((make or self._make)())
            return self._made[0]


class Kept:
    """What is made for a key when it is first asked for, and kept: for some keys always, for others while they are among the last used.
    Each is made once, also when several threads ask for it at the same time. Failures are not kept.

    Args:
        most: others kept at a time.  always: keys.
    """

    def __init__(self, most: int, always: Collection[Hashable] = ()) -> None:
        self._most, self._lock = most, threading.Lock()
        self._always: dict[Hashable, Once | None] = dict.fromkeys(always)
        self._others: dict[Hashable, Once] = {}

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make()` returns, or returned for this key before."""
        with self._lock:  # the last used is the last in the dict
            if key in self._always:
                self._always[key] = once = self._always[key] or Once(make)
            else:
                once = self._others.pop(key) if key in self._others else Once(make)
                self._others[key] = once
            if len(self._others) > self._most:
                del self._others[next(iter(self._others))]
        return once(make)
