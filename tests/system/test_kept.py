"""What is made once and kept: for whom, how long, and not where it failed."""

from __future__ import annotations

import threading

import pytest

from markerremover.errors import ReadError
from markerremover.system.kept import Kept


def test_what_is_made_for_a_key_is_kept_while_it_is_among_the_last_used():
    kept, made = Kept(2, ["always"]), []
    for key in ("always", "a", "b", "a", "c", "a", "b", "always"):
        assert kept.get(key, lambda: made.append(key) or key) == key
    assert made == ["always", "a", "b", "c", "b"]


def test_no_failure_is_kept():
    kept, made = Kept(2), []
    assert [kept.get(key, lambda: made.append(1) or len(made)) for key in "aab"] == [1, 1, 2]

    def fails():
        raise ReadError("no")

    for _ in range(2):
        with pytest.raises(ReadError):
            kept.get("c", fails)
    assert kept.get("c", lambda: 9) == 9 and kept.get("a", lambda: 7) == 7, "the oldest is forgotten"


def test_several_threads_get_what_one_of_them_made():
    kept, made, found, barrier = Kept(1), [], [], threading.Barrier(4)

    def asks():
        barrier.wait()
        found.append(kept.get("a", lambda: made.append(1) or len(made)))

    threads = [threading.Thread(target=asks) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 4
