import numpy as np
import pytest

import fakes
from markerremover import metrics
from markerremover.metrics import Counts
from markerremover.records import Annotation, Element


@pytest.mark.parametrize(
    "k, n, low, high",
    [(0, 10, 0.0, 0.308497), (10, 10, 0.691503, 1.0), (1, 1, 0.025, 1.0), (0, 0, 0.0, 1.0), (5, 10, 0.187086, 0.812914)],
    ids=["none of ten: 1 - 0.025^(1/10)", "ten of ten: 0.025^(1/10)", "one of one", "no trials", "half, symmetric"],
)
def test_exact_intervals(k, n, low, high):
    assert metrics.interval(k, n) == pytest.approx((low, high), abs=1e-5)


def test_fisher_of_the_lady_tasting_tea():
    assert metrics.fisher((3, 4), (1, 4)) == pytest.approx(34 / 70)  # (1 + 16 + 16 + 1) / C(8, 4)
    assert metrics.fisher((4, 4), (0, 4)) == pytest.approx(2 / 70)
    assert metrics.fisher((0, 0), (1, 4)) is None


def test_a_rate_without_trials_has_no_value():
    assert metrics.rate(0, 0) == {"k": 0, "n": 0, "value": None, "low95": 0.0, "high95": 1.0}
    assert metrics.in_words(metrics.rate(0, 0)) == "none to count" and metrics.in_words(metrics.rate(1, 2)) == "50.0 % (1/2; 1–99)"


def test_counts_add_up_and_are_compared_rate_by_rate():
    before = Counts(images=4, marked=4, deidentified=3) + Counts(images=1, boxes=2, false_boxes=1)
    assert before == Counts(images=5, marked=4, deidentified=3, boxes=2, false_boxes=1)
    row = metrics.compare(before, Counts(marked=4, deidentified=1))["de-identification accuracy"]
    assert (row["before"]["value"], row["after"]["value"], row["p_fisher"]) == (0.75, 0.25, 0.4857)


L, NAME, SMUDGE = (10, 10, 22, 30), (60, 40, 100, 52), (90, 70, 110, 90)
TRUTH = Annotation("a.png", fakes.SHAPE, (Element(L, "laterality"), Element(NAME, "marker"), Element(SMUDGE, "uncertain")))


def picture():
    image = np.full(fakes.SHAPE, 30, np.uint8)
    image[10:30, 10:14] = image[26:30, 10:22] = 250  # an L
    for x in range(60, 100, 8):
        image[40:52, x : x + 3] = 250
    return image


def black(*boxes):
    mask = np.zeros(fakes.SHAPE, bool)
    for x1, y1, x2, y2 in boxes:
        mask[y1:y2, x1:x2] = True
    return mask


def test_a_marker_is_removed_when_its_strokes_are_black_and_a_sign_retained_when_its_own_are_not():
    counts = metrics.count(TRUTH, picture(), black(NAME), np.array([L, NAME]))
    assert counts == Counts(images=1, marked=1, deidentified=1, markers=1, removed=1, signs=1, retained=1, boxes=2)
    half = metrics.count(TRUTH, picture(), black((60, 40, 80, 52), L), np.zeros((0, 4)))
    assert (half.deidentified, half.removed, half.retained, half.boxes) == (0, 0, 0, 0)


def test_the_ground_between_a_kept_letters_strokes_may_go_black():
    around_the_letter = black((14, 8, 24, 26), NAME)
    assert metrics.count(TRUTH, picture(), around_the_letter, np.zeros((0, 4))).retained == 1


def test_a_box_is_false_only_when_it_touches_nothing_annotated():
    found = np.array([SMUDGE, (0, 80, 8, 92), (100.5, 52.5, 104, 60)])  # the last is within 0.8 % of the longer side
    counts = metrics.count(TRUTH, picture(), black(), found)
    assert (counts.boxes, counts.false_boxes) == (3, 1)
    nothing = metrics.count(Annotation("a.png", fakes.SHAPE, ()), picture(), black(), found)
    assert (nothing.false_boxes, nothing.marked, nothing.signs) == (3, 0, 0)


def test_a_held_image_counts_as_neither_cleaned_nor_retained():
    counts = metrics.count(TRUTH, picture(), black(NAME), np.zeros((0, 4)), held=True)
    assert (counts.held, counts.marked, counts.deidentified, counts.signs, counts.retained) == (1, 1, 0, 1, 0)


def test_initials_inside_a_signs_box_belong_to_the_marker():
    image = picture()
    image[12:16, 17:21] = 250  # initials within the L's box
    truth = Annotation("a.png", fakes.SHAPE, (Element(L, "laterality"), Element((16, 11, 22, 17), "marker")))
    counts = metrics.count(truth, image, black((16, 11, 22, 17)), np.zeros((0, 4)))
    assert (counts.removed, counts.retained) == (1, 1)


def test_an_element_without_visible_strokes_is_judged_by_its_box():
    truth = Annotation("a.png", fakes.SHAPE, (Element((40, 60, 60, 80), "marker"),))
    assert metrics.count(truth, picture(), black(), np.zeros((0, 4))).removed == 0
    assert metrics.count(truth, picture(), black((40, 60, 60, 80)), np.zeros((0, 4))).removed == 1
