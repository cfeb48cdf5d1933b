"""Thresholds, curves and calibration on hand-counted literals."""

import numpy as np
import pytest

from markerremover.detection import operating_point
from markerremover.detection.operating_point import Calibration, Found
from markerremover.records import Annotation, Detections, Element, Policy


def detections(*rows) -> Detections:
    table = np.array(rows, np.float64).reshape(-1, 5)
    return Detections(table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), np.zeros(len(table), np.int64))


def annotation(*elements) -> Annotation:
    return Annotation("x.png", (100, 100), tuple(Element(tuple(map(float, box)), kind, "") for kind, box in elements))


NO_MARGIN = Policy(margin=0, margin_px=0)


def test_an_element_is_found_at_the_score_of_the_box_that_completes_its_cover():
    truth = annotation(("marker", (10, 10, 30, 20)))
    found = operating_point.found_in(detections((10, 10, 20, 20, 0.9), (19, 10, 30, 20, 0.4)), truth, NO_MARGIN)
    assert found.elements.tolist() == pytest.approx([0.4])
    assert operating_point.found_in(detections((10, 10, 20, 20, 0.9)), truth, NO_MARGIN).elements.tolist() == [0.0]


def test_a_box_on_nothing_is_false_and_one_on_an_uncertain_region_counts_for_neither():
    truth = annotation(("laterality", (10, 10, 30, 30)), ("uncertain", (60, 60, 80, 80)))
    found = operating_point.found_in(detections((8, 8, 32, 32, 0.8), (61, 61, 79, 79, 0.7), (40, 80, 50, 90, 0.3)), truth, NO_MARGIN)
    assert found.scores.tolist() == pytest.approx([0.8, 0.3]) and found.true.tolist() == [True, False]
    assert found.elements.tolist() == pytest.approx([0.8])


def test_a_box_inside_a_better_one_says_nothing_new():
    truth = annotation(("marker", (10, 10, 30, 20)))
    found = operating_point.found_in(detections((9, 9, 31, 21, 0.9), (10, 10, 20, 20, 0.3), (60, 60, 70, 70, 0.2)), truth, NO_MARGIN)
    assert found.scores.tolist() == pytest.approx([0.9, 0.2])


def test_a_box_far_too_large_for_what_it_touches_is_neither_true_nor_false_and_takes_no_cover_away():
    truth = annotation(("marker", (10, 10, 20, 20)))
    found = operating_point.found_in(detections((5, 5, 60, 60, 0.9), (40, 70, 50, 80, 0.3), (9, 9, 30, 30, 0.2)), truth, NO_MARGIN)
    assert found.scores.tolist() == pytest.approx([0.3]) and found.true.tolist() == [False]
    assert found.elements.tolist() == pytest.approx([0.9])
    assert operating_point.found_in(detections((9, 9, 30, 30, 0.2)), truth, NO_MARGIN).true.tolist() == [True]


def test_no_boxes_and_no_elements_are_empty_not_an_error():
    found = Found.pooled([operating_point.found_in(detections(), annotation()), operating_point.found_in(detections(), annotation(("marker", (1, 1, 9, 9))))])
    assert found.elements.tolist() == [0.0] and not len(found.scores)
    assert operating_point.average_precision(found) == 0 and operating_point.calibration_error(found.scores, found.true) == 0
    assert operating_point.curve(found, [0.5]) == [{"threshold": 0.5, "recall": 0.0, "precision": 1.0}]


FOUND = Found(np.array([0.9, 0.6, 0.2, 0.0]), np.array([0.9, 0.8, 0.6, 0.2]), np.array([True, False, True, True]), np.zeros(4, int), np.ones(4))


def test_curve_counts_elements_for_recall_and_boxes_for_precision():
    assert operating_point.curve(FOUND, [0.1, 0.5, 0.85]) == [
        {"threshold": 0.1, "recall": 0.75, "precision": 0.75}, {"threshold": 0.5, "recall": 0.5, "precision": 0.6667},
        {"threshold": 0.85, "recall": 0.25, "precision": 1.0}]


def test_average_precision_by_hand():
    assert operating_point.average_precision(FOUND) == pytest.approx(0.25 * 1 + 0.25 * 0.75 + 0.25 * 0.75, abs=1e-3)


def boxes_of(scores, true, anatomy=None) -> Found:
    shares = np.ones(len(scores)) if anatomy is None else np.array(anatomy)
    return Found(np.zeros(0), np.array(scores), np.array(true, bool), np.zeros(len(scores), int), shares)


def test_the_threshold_is_the_lowest_at_which_no_group_has_too_many_false_boxes():
    clean, noisy = boxes_of([0.9, 0.3], [1, 1]), boxes_of([0.9, 0.8, 0.405, 0.2], [1, 1, 0, 0])
    assert operating_point.choose_threshold([clean], 0.0) == 0.05
    assert operating_point.choose_threshold([clean, noisy], 0.0) == 0.41
    assert operating_point.choose_threshold([clean, noisy], 0.34) == 0.21
    assert operating_point.choose_threshold([boxes_of([0.9], [0])], 0.1) == 0.9


def test_a_false_box_costs_the_anatomy_around_it():
    scores, true = [0.9, 0.8, 0.6, 0.405, 0.2], [1, 1, 1, 0, 0]
    on_anatomy, on_background, between = (boxes_of(scores, true, [1, 1, 1, share, 1]) for share in (1, 0, 0.25))
    assert [operating_point.false_on_anatomy(part, 0.4) for part in (on_anatomy, on_background, between)] == pytest.approx([0.25, 0, 0.25 / 3.25])
    assert [operating_point.choose_threshold([part], 0.1) for part in (on_anatomy, on_background, between)] == [0.41, 0.21, 0.21]


def test_what_is_gathered_says_where_each_box_lies():
    display = np.zeros((400, 400), np.uint8)
    display[:, 200:] = 120 + np.random.default_rng(2).integers(-60, 60, (400, 200))
    truth = Annotation("x.png", (400, 400), ())
    looked = operating_point.gather(lambda display, threshold: detections((300, 180, 330, 200, 0.9), (40, 180, 70, 200, 0.5)), [(display, truth)])
    found = operating_point.found(looked)
    assert found.scores.tolist() == pytest.approx([0.9, 0.5]) and found.anatomy.tolist() == [1, 0]


def test_calibration_is_monotone_invertible_and_makes_overconfident_scores_honest():
    rng = np.random.default_rng(3)
    honest = rng.uniform(0.02, 0.98, 4000)
    true = rng.random(4000) < honest
    boastful = Calibration(2.5, 1.0)(honest)  # what an overconfident network would say
    fitted = operating_point.fit_calibration(boastful, true)
    assert operating_point.calibration_error(boastful, true) > 0.1 and operating_point.calibration_error(fitted(boastful), true) < 0.03
    assert fitted.slope == pytest.approx(1 / 2.5, abs=0.05)
    assert (np.diff(fitted(np.linspace(0.01, 0.99, 50))) > 0).all()
    assert fitted(np.array(fitted.raw(0.3))) == pytest.approx(0.3)
    assert Calibration()(np.array([0.1, 0.7])).tolist() == pytest.approx([0.1, 0.7])


def test_nothing_to_fit_is_the_identity():
    assert operating_point.fit_calibration(np.array([0.5, 0.9]), np.array([True, True])) == Calibration()


def test_each_class_is_calibrated_by_itself_and_one_threshold_serves_both():
    """Class 0 is right at 0.4, class 1 is wrong there: a single cut on the raw scores could not tell them apart."""
    truth = annotation(("marker", (10, 10, 30, 20)))
    looked = []
    for i in range(60):
        good = (10, 10, 30, 20, 0.4 + 0.002 * i) if i % 6 else (70, 70, 80, 80, 0.1)
        bad = (50, 50, 60, 60, 0.4 + 0.002 * i) if i % 6 else (10, 10, 30, 20, 0.9)
        table = np.array([good, bad])
        looked.append((Detections(table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), np.array([0, 1]), ("a", "b")), truth, np.ones(2)))
    card = operating_point.summary({"x": looked}, ("a", "b"), 0.05)
    a, b = (Calibration(**card["calibration"][name]) for name in "ab")
    assert a(np.array(0.45)) > 0.6 > 0.4 > b(np.array(0.45))
    assert card["operating_point"]["at"]["x"]["precision"] >= 0.95 and card["operating_point"]["at"]["x"]["recall"] == 1
    error = card["operating_point"]["calibration_error"]
    assert error["calibrated"] < error["raw"]


def test_what_a_localizer_got_wrong_is_false_boxes_and_uncovered_elements():
    truth = annotation(("marker", (10, 10, 30, 20)), ("laterality", (50, 50, 60, 60)), ("uncertain", (80, 10, 90, 20)))
    found = detections((10, 10, 30, 20, 0.9), (70, 70, 80, 80, 0.5), (81, 11, 89, 19, 0.4))
    assert operating_point.wrong(found, truth, NO_MARGIN) == [(70.0, 70.0, 80.0, 80.0), (50.0, 50.0, 60.0, 60.0)]
    assert operating_point.wrong(detections(), annotation(), NO_MARGIN) == []
