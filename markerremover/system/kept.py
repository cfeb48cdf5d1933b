"""Values computed at the first request and then cached, for several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable
from typing import Any


class Once:
    """A value computed at the first request, by any thread, and then cached. A failure is not cached."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._made: list[Any] = []

    def __call__(self, make: Callable[[], Any] | None = None) -> Any:
        """The value; `make`, if given, computes it instead of the function given first.

        Raises:
            Exception: whatever the function raises.
        """
        with self._lock:
            if not self._made:
                self._made.append((make or self._make)())
            return self._made[0]


class Kept:
    """A cache of values by key: some keys are cached always, others while they are among the most recently used. Each value is computed once,
    also if several threads request it at the same time. Failures are not cached.

    Args:
        capacity: maximum number of other keys.
        always: keys that are always cached.
    """

    def __init__(self, capacity: int, always: Collection[Hashable] = ()) -> None:
        self._capacity, self._lock = capacity, threading.Lock()
        self._always: dict[Hashable, Once | None] = dict.fromkeys(always)
        self._others: dict[Hashable, Once] = {}

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of `make()`, computed now or at an earlier request for this key.

        Raises:
            Exception: whatever `make` raises.
        """
        with self._lock:  # the most recently used is the last in the dict
            if key in self._always:
                self._always[key] = entry = self._always[key] or Once(make)
            else:
                entry = self._others.pop(key) if key in self._others else Once(make)
                self._others[key] = entry
            if len(self._others) > self._capacity:
                del self._others[next(iter(self._others))]
        return entry(make)
