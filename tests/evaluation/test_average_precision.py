"""mAP-50 and AUPRC against values worked out by hand."""

import sys

import numpy as np
import pytest

from markerremover.errors import UsageError
from markerremover.evaluation.average_precision import precision_recall
from markerremover.records import Annotation, Detections, Element

pytest.importorskip("pycocotools")
CLASSES = ("laterality", "marker")
SIGN, NAME = (10.0, 10.0, 30.0, 30.0), (50.0, 10.0, 90.0, 30.0)
TRUTH = Annotation("a.png", (100, 100), (Element(SIGN, "laterality", "L"), Element(NAME, "marker", "ANNA"), Element((0, 60, 40, 100), "uncertain")))


def found(*rows):
    """Detections from (xyxy, score, class)."""
    xyxy = np.array([r[0] for r in rows], np.float32).reshape(-1, 4)
    return Detections(xyxy, np.array([r[1] for r in rows], np.float32), np.array([CLASSES.index(r[2]) for r in rows], np.int64), CLASSES)


def test_everything_found_and_nothing_else():
    result = precision_recall([(TRUTH, found((SIGN, 0.9, "laterality"), (NAME, 0.8, "marker")))])
    assert result["map50"] == 1 and result["any annotation"]["auprc"] == 1 and result["any annotation"]["n"] == 2
    assert result["any annotation"]["recall"] == [0.5, 1] and result["any annotation"]["precision"] == [1, 1]


def test_a_false_box_ranked_between_two_right_ones():
    """Precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1: area 1/2 + 1/3; COCO takes the best precision at any higher recall."""
    result = precision_recall([(TRUTH, found((SIGN, 0.9, "laterality"), ((60, 60, 80, 80), 0.8, "marker"), (NAME, 0.7, "marker")))])
    assert result["any annotation"]["auprc"] == pytest.approx(0.5 + 1 / 3, abs=1e-4)
    assert result["any annotation"]["ap50"] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101, abs=1e-3)
    assert result["laterality"]["ap50"] == 1 and result["marker"]["ap50"] == pytest.approx(0.5) and result["map50"] == pytest.approx(0.75)


def test_a_box_on_something_uncertain_counts_neither_way():
    boxes = found(((5, 65, 35, 95), 0.99, "marker"), (SIGN, 0.9, "laterality"), (NAME, 0.8, "marker"))
    assert precision_recall([(TRUTH, boxes)])["map50"] == 1


@pytest.mark.parametrize(("box", "right"), [((10, 10, 30, 20.5), True), ((10, 10, 30, 19.5), False)], ids=["just over half", "just below"])
def test_half_of_the_union_is_what_counts(box, right):
    result = precision_recall([(TRUTH, found((box, 0.9, "laterality")))])
    assert result["laterality"]["ap50"] == (1 if right else 0)


def test_a_second_box_on_the_same_element_is_false():
    result = precision_recall([(TRUTH, found((SIGN, 0.9, "laterality"), (SIGN, 0.8, "laterality")))])
    assert result["laterality"]["precision"] == [1, 0.5] and result["laterality"]["recall"] == [1, 1]


def test_the_kind_matters_only_kind_by_kind():
    result = precision_recall([(TRUTH, found((SIGN, 0.9, "marker"), (NAME, 0.8, "marker")))])
    assert result["any annotation"]["ap50"] == 1 and result["laterality"]["ap50"] == 0


def test_nothing_found_and_nothing_there():
    nothing = Annotation("b.png", (100, 100), ())
    assert precision_recall([(TRUTH, found())])["map50"] == 0
    result = precision_recall([(nothing, found())])
    assert result["map50"] is None and result["any annotation"]["ap50"] is None
    assert precision_recall([(nothing, found((SIGN, 0.9, "marker"))), (TRUTH, found((SIGN, 0.8, "laterality"), (NAME, 0.7, "marker")))])[
        "any annotation"]["precision"] == [0, 0.5, 0.6667]


def test_scores_rank_across_images():
    result = precision_recall([(TRUTH, found((SIGN, 0.2, "laterality"))), (TRUTH, found((NAME, 0.9, "marker")))])
    assert result["any annotation"]["score"] == [0.9, 0.2] and result["any annotation"]["recall"] == [0.25, 0.5]


def test_without_the_library_it_says_what_to_install(monkeypatch):
    for name in ("pycocotools", "pycocotools.coco", "pycocotools.cocoeval"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match="evaluate"):
        precision_recall([(TRUTH, found((SIGN, 0.9, "marker")))])
