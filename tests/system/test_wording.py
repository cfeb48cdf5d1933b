from __future__ import annotations

import pytest

from markerremover.system.wording import Pace, counted, duration


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("seconds, text", [(0, "1 s"), (59.4, "59 s"), (59.6, "1 min"), (61, "1 min"), (3570, "1 h"), (7200, "2 h"), (7260, "2 h 1 min"),
    (49 * 3600, "2 d 1 h"), (48 * 3600, "2 d")])
def test_times_are_as_exact_as_an_estimate(seconds, text):
    assert duration(seconds) == text


def test_a_count_of_one_has_a_singular():
    assert [counted(n, "box", "boxes") for n in (0, 1, 2)] == ["0 boxes", "1 box", "2 boxes"]


def test_skipped_units_are_no_pace():
    clock = Clock()
    pace = Pace(1000, clock)
    pace.skip(900)
    assert pace.rate is None and pace.left_s is None
    for _ in range(10):
        clock.now += 2
        pace.work()
    assert pace.rate == pytest.approx(0.5) and pace.left_s == pytest.approx(180)
    pace.work(90)
    assert pace.left_s == 0


def test_the_pace_is_that_of_late():
    clock = Clock()
    pace = Pace(10_000, clock)
    for _ in range(1000):
        clock.now += 1
        pace.work(5)
    for _ in range(600):
        clock.now += 1
        pace.work(1)
    assert pace.rate == pytest.approx(1.0, rel=0.02)


def test_a_start_again_forgets_what_came_before():
    clock = Clock()
    pace = Pace(100, clock)
    clock.now += 600
    pace.restart()
    clock.now += 10
    pace.work(20)
    assert pace.rate == pytest.approx(2)
