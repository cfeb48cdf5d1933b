"""The choice among the results of a fine-tuning."""

import pytest

from markerremover.training.site import changes
from markerremover.training.site.changes import BASE, Change, Errors

HALF, HALF_TAUGHT, ALL = Change(0.5), Change(0.5, True), Change(1.0)


def test_every_share_is_tried_with_either_rescorer_and_the_base_alone_is_not():
    assert changes.changes(False) == [Change(0.25), Change(0.5), Change(1.0)]
    assert changes.changes(True)[:3] == [Change(0.0, True), Change(0.25), Change(0.25, True)] and BASE not in changes.changes(True)


@pytest.mark.parametrize(
    ("errors", "wanted"),
    [
        ({BASE: Errors(missed=2, false=5), HALF: Errors(missed=1, false=7)}, HALF),
        ({BASE: Errors(missed=1, false=5), HALF: Errors(missed=1, false=2)}, HALF),
        ({BASE: Errors(missed=1, false=5), HALF: Errors(missed=1, false=5)}, BASE),
        ({BASE: Errors(missed=1, false=5), HALF: Errors(missed=1, false=4), ALL: Errors(missed=1, false=4)}, HALF),
        ({BASE: Errors(missed=1, false=5), HALF: Errors(missed=1, false=4), HALF_TAUGHT: Errors(missed=0, false=5)}, HALF_TAUGHT),
    ],
)
def test_the_fewest_lost_elements_then_false_boxes_then_the_smallest_change(errors, wanted):
    assert changes.chosen([errors]) == wanted


@pytest.mark.parametrize("cost", ["missed", "lost", "held", "drawn_missed"])
def test_what_loses_anything_that_the_base_does_not_is_never_chosen(cost):
    better = {"missed": 0, "lost": 0, "held": 0, "false": 0, cost: 4}
    base = {"missed": 3, "lost": 3, "held": 3, "false": 9, "drawn_missed": 3}
    assert changes.chosen([{BASE: Errors(**base), HALF: Errors(**better)}]) == BASE
    assert changes.chosen([{BASE: Errors(**base), HALF: Errors(**{**better, cost: 3})}]) == HALF


def test_trainings_are_judged_together():
    first = {BASE: Errors(missed=1), HALF: Errors(missed=0), ALL: Errors(missed=2)}
    second = {BASE: Errors(missed=1), HALF: Errors(missed=2), ALL: Errors(missed=0)}
    third = {BASE: Errors(missed=2), HALF: Errors(missed=1), ALL: Errors(missed=1)}
    assert changes.chosen([first, second, third]) == HALF  # both shares are missed three times, the base four
    assert changes.chosen([first, second]) == BASE


def test_a_training_that_was_left_out_counts_as_the_base_and_one_without_a_rescorer_of_its_own_as_the_share_alone():
    tried = {BASE: Errors(false=4), HALF: Errors(false=2), HALF_TAUGHT: Errors(false=1)}
    assert changes.chosen([tried, {BASE: Errors()}]) == HALF_TAUGHT
    assert changes.summed([tried, {BASE: Errors(), HALF: Errors(false=3)}], HALF_TAUGHT) == Errors(false=4)


def test_trials_are_read_back_as_written(tmp_path):
    trials = {BASE: Errors(1, 2, 3, 4, 5, 6), HALF_TAUGHT: Errors(false=1)}
    changes.write(tmp_path / "trials.json", trials)
    assert changes.read(tmp_path / "trials.json") == trials and [p.name for p in tmp_path.iterdir()] == ["trials.json"]
