"""Resources that a forked process cannot inherit from its parent: threads, locks, and networks that need them.

Only the thread that forks continues in the new process. A lock held by another thread remains locked there, a pool waits for workers that do
not exist, and a network that is freed waits for its threads to end. So `Own` opens every such resource once in each process, and a fork
waits until no thread of this package is inside a library (`at_work`), whose internal locks cannot be checked.
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

WAIT_S = 60.0  # maximum time a fork waits for threads inside libraries; an image takes one second, opening a network half of one
UNSOUND = "this process was forked while another thread was at work in a library: start processes by \"spawn\" or \"forkserver\", or before that"
NO_GPU = "this process was forked, and a GPU does not follow into a forked process: start processes by \"spawn\" or \"forkserver\""
Made = TypeVar("Made")


class _Gate:
    """The threads that are inside a library, and whether a fork waits for them.

    generation: number of forks between the first process and this one.  sound: whether no thread was inside a library at any of them.
    calm: the same for the fork in progress.  inside: depth of nested `at_work` blocks by thread.
    """

    def __init__(self, generation: int = 0, sound: bool = True) -> None:
        self.generation, self.sound, self.calm, self.forking = generation, sound, True, False
        self.changed, self.making, self.fork = threading.Condition(threading.Lock()), threading.RLock(), threading.Lock()
        self.inside: dict[int, int] = {}

    def others(self) -> bool:
        """Whether another thread is inside a library."""
        return any(thread != threading.get_ident() for thread in self.inside)


_gate = _Gate()
_owned: WeakSet[Own] = WeakSet()


@contextmanager
def at_work() -> Iterator[None]:
    """Mark calls into a library that has its own locks or threads: no fork happens during the block. May be nested; locks of this package held
    during such calls are acquired inside the block, never around it."""
    gate, thread = _gate, threading.get_ident()
    with gate.changed:
        while gate.forking and thread not in gate.inside:
            gate.changed.wait()
        gate.inside[thread] = gate.inside.get(thread, 0) + 1
    try:
        yield
    finally:
        if gate is _gate:  # otherwise this process was forked within the block
            with gate.changed:
                gate.inside[thread] -= 1
                if not gate.inside[thread]:
                    del gate.inside[thread]
                    gate.changed.notify_all()


class Own(Generic[Made]):
    """A resource that each process makes for itself: made at once, and again at the first use in a forked process.

    The parent's resource is neither used nor freed in a forked process.
    """

    def __init__(self, make: Callable[[], Made], refuse: str = "") -> None:
        """
        Args:
            make: makes the resource.
            refuse: the reason why it cannot be made again in a forked process, "" if it can.
        """
        self._make, self._refuse = make, refuse
        self.made, self._generation = make(), _gate.generation
        _owned.add(self)

    def __call__(self) -> Made:
        """The resource of this process.

        Raises:
            UsageError: it cannot be made in this process, which was forked.
        """
        if self._generation != _gate.generation:
            with _gate.making:
                if self._generation != _gate.generation:
                    if self._refuse or not _gate.sound:
                        raise UsageError(self._refuse or UNSOUND)
                    self.made, self._generation = self._make(), _gate.generation
        return self.made


class Threads(Executor):
    """A `ThreadPoolExecutor` of `count` threads; a forked process gets its own."""

    def __init__(self, count: int, name: str) -> None:
        self._pool = Own(lambda: ThreadPoolExecutor(count, name))

    def submit(self, call: Callable[..., Any], /, *args: Any, **options: Any) -> Future:
        """See `Executor.submit`."""
        return self._pool().submit(call, *args, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `Executor.shutdown`."""
        self._pool().shutdown(wait, cancel_futures=cancel_futures)


def _before() -> None:
    """Let no thread enter a library, and wait for those inside one; the gate remains locked until the fork is done."""
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
    """Keep the parent's resources from being freed, both those in use and those that await garbage collection: freeing waits for their
    threads, which do not exist here."""
    global _gate
    import ctypes
    import gc

    _gate = _Gate(_gate.generation + 1, _gate.sound and _gate.calm)
    for resource in list(_owned):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(resource.made))
    gc.freeze()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
