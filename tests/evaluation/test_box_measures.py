"""Khosravi et al.'s measures: by boxes, and by strokes where the pixels are known."""

import fakes
import numpy as np
import pytest

from markerremover.evaluation import box_measures, judge
from markerremover.evaluation.box_measures import PUBLISHED, by_boxes
from markerremover.evaluation.metrics import Counts, rate
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
    (row(("keep", 8, 8, 82, 32)), [(0, 1), (0, 1), (1, 1)]),
    (row(("keep", 8, 8, 52, 32), KEPT), [(0, 1), (0, 2), (1, 1)]),
    (row(("keep", 8, 8, 30, 32), ("remove", 30, 8, 52, 32), KEPT), [(0, 1), (0, 3), (1, 1)]),
    (row(("keep", 8, 8, 82, 32), ALL), [(1, 1), (0, 2), (1, 1)]),
    (row(ALL, ("remove", 68, 8, 82, 32)), [(1, 1), (0, 2), (0, 1)]),
    (row(ALL, KEPT, ("remove", 300, 300, 320, 320)), [(1, 1), (1, 3), (1, 1)]),
    (row(ALL, KEPT, ("remove", 505, 505, 510, 510)), [(1, 1), (0, 3), (1, 1)]),
    (row(ALL, KEPT, ("remove", 88, 8, 100, 32)), [(1, 1), (1, 3), (1, 1)]),
    (row(ALL, KEPT, ("remove", 87, 8, 100, 32)), [(1, 1), (0, 3), (1, 1)]),
    (row(ALL, KEPT, status="held"), [(0, 1), (0, 2), (0, 1)]),
    (row(ALL, KEPT, status="failed"), [(0, 1), (0, 2), (0, 1)]),
    (row(), [(0, 1), (0, 0), (0, 1)]),
    (None, [(0, 1), (0, 0), (0, 1)]),
], ids=["all right", "two boxes together", "one tenth short", "one plate, kept: its strokes may stay",
        "a name kept", "half of a name kept", "one plate, kept, and the name removed", "sign removed", "false box", "on something uncertain", "just too far",
        "just near enough", "held", "failed", "nothing found", "no row"])
def test_one_image(found, expected):
    assert counts(TRUTH, found) == expected


def test_an_image_without_markings_is_left_out_and_counted():
    """The publication divides by radiographs that have markings."""
    bare = Annotation("b.png", (10, 10), (SIGN,))
    assert counts(bare, row(status="unchanged")) == [(0, 0), (0, 0), (0, 1)]
    both = box_measures.of_row(bare, row(status="unchanged")) + box_measures.of_row(TRUTH, row(ALL, KEPT))
    assert (both.images, both.marked, both.deidentified) == (2, 1, 1)


def test_boxes_of_other_frames_do_not_count():
    found = row(ALL, KEPT)
    found["boxes"][0]["frame"] = 1
    assert counts(TRUTH, found) == [(0, 1), (0, 1), (1, 1)]


def test_the_published_figures_are_those_of_the_publication():
    percent = {name: [round(100 * rate(k, n)["value"], 1) for k, n in values] for name, values in PUBLISHED.items()}
    assert percent == {"deidentification_accuracy": [100.0, 95.7, 99.6], "false_positive_rate": [1.3, 10.6, 5.1], "retention_accuracy": [93.0, 87.9, 91.3]}


L, WORD, SMUDGE = (10, 10, 22, 30), (60, 40, 100, 52), (90, 70, 110, 90)
DRAWN = Annotation("a.png", fakes.SHAPE, (Element(L, "laterality"), Element(WORD, "marker"), Element(SMUDGE, "uncertain")))


def counted(truth, image, removed, boxes=(), action="remove", *, released=True):
    """By strokes: `removed` were blacked out, whatever the boxes say."""
    after = np.where(removed, np.uint8(0), image) if released else None
    found = [{"frame": 0, "xyxy": xyxy, "action": action} for xyxy in boxes]
    return box_measures.count(truth, found, released=released, judged=judge.judge(image, after, truth))


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
    counts = counted(DRAWN, picture(), black(WORD), [L, WORD])
    assert counts == Counts(images=1, marked=1, deidentified=1, markers=1, removed=1, laterality_markers=1, retained=1, boxes=2)
    half = counted(DRAWN, picture(), black((60, 40, 80, 52), L))
    assert (half.deidentified, half.removed, half.retained, half.boxes) == (0, 0, 0, 0)


def test_the_ground_between_a_kept_letters_strokes_may_go_black():
    around_the_letter = black((14, 8, 24, 26), WORD)
    assert counted(DRAWN, picture(), around_the_letter).retained == 1


def test_a_box_is_false_only_when_it_touches_nothing_annotated():
    found = [SMUDGE, (0, 80, 8, 92), (100.5, 52.5, 104, 60)]  # the last is within 0.8 % of the longer side
    counts = counted(DRAWN, picture(), black(), found)
    assert (counts.boxes, counts.false_boxes) == (3, 1)
    nothing = counted(Annotation("a.png", fakes.SHAPE, ()), picture(), black(), found)
    assert (nothing.false_boxes, nothing.marked, nothing.laterality_markers) == (3, 0, 0)


def test_a_held_image_counts_as_neither_cleaned_nor_retained():
    counts = counted(DRAWN, picture(), black(WORD), released=False)
    assert (counts.held, counts.marked, counts.deidentified, counts.laterality_markers, counts.retained) == (1, 1, 0, 1, 0)


def test_initials_inside_a_signs_box_belong_to_the_marker():
    image = picture()
    image[12:16, 17:21] = 250  # initials within the L's box
    truth = Annotation("a.png", fakes.SHAPE, (Element(L, "laterality"), Element((16, 11, 22, 17), "marker")))
    counts = counted(truth, image, black((16, 11, 22, 17)))
    assert (counts.removed, counts.retained) == (1, 1)


def test_an_element_without_visible_strokes_is_judged_by_its_box():
    truth = Annotation("a.png", fakes.SHAPE, (Element((40, 60, 60, 80), "marker"),))
    assert counted(truth, picture(), black()).removed == 0
    assert counted(truth, picture(), black(), [(38, 58, 62, 82)]).removed == 1
    assert counted(truth, picture(), black(), [(38, 58, 62, 82)], "keep").removed == 0


@pytest.mark.parametrize(("gone", "expected"), [((), 0), ((WORD,), 1)])
def test_a_marker_in_a_kept_box_is_removed_only_if_its_strokes_are_gone(gone, expected):
    """A letter taken for a laterality marker stays; initials on the plate of a sign go, though the box is kept."""
    found = counted(DRAWN, picture(), black(*gone), [(58, 38, 102, 54)], "keep")
    assert (found.removed, found.deidentified, found.marked) == (expected, expected, 1)
