"""Ends a process that was started for a run together with the run, also if the run is killed."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable


def end_with_parent(callback: Callable[[], object] = lambda: None) -> None:
    """End this process when its parent ends; it would otherwise wait for work for ever. Does nothing in a main process.

    Args:
        callback: called before the end, to clean up what the parent could not.
    """
    threading.Thread(target=_wait, args=(callback,), daemon=True).start()


def _wait(callback: Callable[[], object]) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        callback()
        os._exit(1)
