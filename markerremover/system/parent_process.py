"""A process that was started for a run ends with it, also when the run is killed."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable


def end_with_parent(then: Callable[[], object] = lambda: None) -> None:
    """Have this process end when the one that started it does; it would wait for work for ever. Nothing happens in a main process.

    Args:
        then: called before that, to put away what the parent could not.
    """
    threading.Thread(target=_wait, args=(then,), daemon=True).start()


def _wait(then: Callable[[], object]) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        then()
        os._exit(1)
