from __future__ import annotations

from markerremover.system.steps import Steps


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_time_left_is_known_once_every_kind_was_done():
    clock = Clock()
    steps = Steps({"train": 100, "look": 20}, 3, clock)
    assert steps.begin("looking") == "step 1 of 3: looking"
    clock.now += 20
    steps.work("look", 10)
    assert steps.left == ""
    assert steps.begin("training") == "step 2 of 3: training"
    clock.now += 100
    steps.work("train", 20)
    assert steps.left == "; about 7 min left"  # 80 passes of 5 s, 10 looks of 2 s
    steps.skip("train", 80)
    assert steps.begin("looking again") == "step 3 of 3: looking again; about 20 s left"
    steps.skip("look", 100)
    assert steps.left == ""


def test_time_between_steps_is_nobody_s():
    clock = Clock()
    steps = Steps({"train": 3}, clock=clock)
    clock.now += 1000
    assert steps.begin("training") == "training"
    clock.now += 10
    steps.work("train")
    assert steps.left == "; about 20 s left"


def test_of_unknown_work_nothing_is_said():
    steps = Steps()
    steps.work("train", 5)
    assert steps.begin("training") == "training" and steps.left == ""
