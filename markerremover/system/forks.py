"""What a forked process may not take over from the one it comes from: threads, locks, and networks that need them.

Only the thread that forks goes on in the new process. A lock that another one had stays held there, a pool waits for workers that do not
exist, and a network that is thrown away waits for its threads to end. So `Own` opens everything of that kind once in each process, and a
fork waits until no thread of this package is at work in a library (`at_work`), where locks are that nobody else sees.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Generic, TypeVar
from weakref import WeakSet

from ..errors import UsageError

WAIT_S = 60.0  # within which threads come out of a library; a picture takes one second, a network half of one to open
UNSOUND = "this process was forked while another thread was at work in a library: start processes by \"spawn\" or \"forkserver\", or before that"
NO_GPU = "this process was forked, and a GPU does not follow into a forked process: start processes by \"spawn\" or \"forkserver\""
Made = TypeVar("Made")


class _Gate:
    """Who is at work in a library, by thread, and whether a fork waits for them.

    generation: how many forks lie between this process and the first one.  sound: whether nobody was at work at any of them.
    calm: the same of the one that is going on.
    """

    def __init__(self, generation: int = 0, sound: bool = True) -> None:
        self.generation, self.sound, self.calm, self.forking = generation, sound, True, False
        self.changed, self.making, self.fork = threading.Condition(threading.Lock()), threading.RLock(), threading.Lock()
        self.inside: dict[int, int] = {}

    def others(self) -> bool:
        """Whether another thread is at work."""
        return any(thread != threading.get_ident() for thread in self.inside)


_gate = _Gate()
_owned: WeakSet[Own] = WeakSet()


@contextmanager
def at_work() -> Iterator[None]:
    """Work in a library that has locks or threads of its own: no fork happens meanwhile. May be nested; locks of this package that are held
    while such work is done are taken inside it, never around it."""
    gate, me = _gate, threading.get_ident()
    with gate.changed:
        while gate.forking and me not in gate.inside:
            gate.changed.wait()
        gate.inside[me] = gate.inside.get(me, 0) + 1
    try:
        yield
    finally:
        if gate is _gate:  # else this is a process that was forked in the block
            with gate.changed:
                gate.inside[me] -= 1
                if not gate.inside[me]:
                    del gate.inside[me]
                    gate.changed.notify_all()


class Own(Generic[Made]):
    """Something that each process makes for itself: made at once, and again when a forked process first asks for it.

    What the process before had made is never used nor thrown away here.
    """

    def __init__(self, make: Callable[[], Made], refuse: str = "") -> None:
        """
        Args:
            refuse: why it cannot be made again in a forked process, "" where it can.
        """
        self._make, self._refuse = make, refuse
        self.made, self._generation = make(), _gate.generation
        _owned.add(self)

    def __call__(self) -> Made:
        """What this process has of it.

        Raises:
            UsageError: it cannot be had in this process, which was forked.
        """
        if self._generation != _gate.generation:
            with _gate.making:
                if self._generation != _gate.generation:
                    if self._refuse or not _gate.sound:
                        raise UsageError(self._refuse or UNSOUND)
                    self.made, self._generation = self._make(), _gate.generation
        return self.made


class Threads(Executor):
    """A `ThreadPoolExecutor` that a forked process has one of its own of."""

    def __init__(self, count: int, name: str) -> None:
        self._pool = Own(lambda: ThreadPoolExecutor(count, name))

    def submit(self, call: Callable[..., Any], /, *args: Any, **options: Any) -> Future:
        """See `Executor.submit`."""
        return self._pool().submit(call, *args, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `Executor.shutdown`."""
        self._pool().shutdown(wait, cancel_futures=cancel_futures)


def _before() -> None:
    """Let nobody begin to work in a library, and wait for those who do; the gate stays locked until the fork is done."""
    gate = _gate
    gate.fork.acquire()
    gate.changed.acquire()
    gate.forking = True
    gate.calm = gate.changed.wait_for(lambda: not gate.others(), WAIT_S)


def _after_in_parent() -> None:
    gate = _gate
    gate.forking = False
    gate.changed.notify_all()
    gate.changed.release()
    gate.fork.release()


def _after_in_child() -> None:
    """Nothing that was opened is ever thrown away here, neither what is in use nor what waits for the collector: its threads, for which
    that would wait, do not exist."""
    global _gate
    import ctypes
    import gc

    _gate = _Gate(_gate.generation + 1, _gate.sound and _gate.calm)
    for own in list(_owned):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(own.made))
    gc.freeze()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
