"""The publication's measures from boxes alone."""

import pytest

from markerremover.box_level import PUBLISHED, by_boxes
from markerremover.metrics import rate
from markerremover.records import Annotation, Element

NAME, SIGN = Element((10, 10, 50, 30), "marker", "ANNA"), Element((70, 10, 80, 30), "laterality", "L")
TRUTH = Annotation("a.png", (1000, 1000), (NAME, SIGN, Element((500, 500, 520, 520), "uncertain")))


def row(*boxes, status="cleaned"):
    return {"status": status, "boxes": [{"frame": 0, "xyxy": list(xyxy), "action": action} for action, *xyxy in boxes]}


def counts(truth, found):
    return [(r["k"], r["n"]) for r in by_boxes([(truth, found)]).values()]


ALL, KEPT = ("remove", 8, 8, 52, 32), ("keep", 68, 8, 82, 32)


@pytest.mark.parametrize(("found", "expected"), [
    (row(ALL, KEPT), [(1, 1), (0, 2), (1, 1)]),
    (row(("remove", 8, 8, 30, 32), ("remove", 30, 8, 52, 32), KEPT), [(1, 1), (0, 3), (1, 1)]),
    (row(("remove", 8, 8, 46, 32), KEPT), [(0, 1), (0, 2), (1, 1)]),
    (row(("keep", 8, 8, 82, 32)), [(1, 1), (0, 1), (1, 1)]),
    (row(ALL, ("remove", 68, 8, 82, 32)), [(1, 1), (0, 2), (0, 1)]),
    (row(ALL, KEPT, ("remove", 300, 300, 320, 320)), [(1, 1), (1, 3), (1, 1)]),
    (row(ALL, KEPT, ("remove", 505, 505, 510, 510)), [(1, 1), (0, 3), (1, 1)]),
    (row(ALL, KEPT, ("remove", 88, 8, 100, 32)), [(1, 1), (1, 3), (1, 1)]),
    (row(ALL, KEPT, ("remove", 87, 8, 100, 32)), [(1, 1), (0, 3), (1, 1)]),
    (row(ALL, KEPT, status="held"), [(0, 1), (0, 2), (0, 1)]),
    (row(ALL, KEPT, status="failed"), [(0, 1), (0, 2), (0, 1)]),
    (row(), [(0, 1), (0, 0), (0, 1)]),
    (None, [(0, 1), (0, 0), (0, 1)]),
], ids=["all right", "two boxes together", "one tenth short", "one plate, kept", "sign removed", "false box", "on something uncertain", "just too far",
        "just near enough", "held", "failed", "nothing found", "no row"])
def test_one_image(found, expected):
    assert counts(TRUTH, found) == expected


def test_an_image_without_markings_counts_as_de_identified():
    """The publication divides by all radiographs."""
    assert counts(Annotation("b.png", (10, 10), ()), row(status="unchanged")) == [(1, 1), (0, 0), (0, 0)]


def test_boxes_of_other_frames_do_not_count():
    found = row(ALL, KEPT)
    found["boxes"][0]["frame"] = 1
    assert counts(TRUTH, found) == [(0, 1), (0, 1), (1, 1)]


def test_the_published_figures_are_those_of_the_publication():
    percent = {name: [round(100 * rate(k, n)["value"], 1) for k, n in values] for name, values in PUBLISHED.items()}
    assert percent == {"deidentification_accuracy": [100.0, 95.7, 99.6], "false_positive_rate": [1.3, 10.6, 5.1], "retention_accuracy": [93.0, 87.9, 91.3]}
