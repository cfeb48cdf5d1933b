"""What counts as removed, retained, leaking, false and anatomy_removed: on pictures whose truth is known, and against the project's referee."""

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from markerremover import synthesis
from markerremover.evaluation import judge
from markerremover.labels import labelme
from markerremover.records import Annotation, Element

REFEREE = Path(__file__).parents[3] / "shared" / "tools" / "score.py"
NAME, SIGN = (40.0, 40.0, 140.0, 70.0), (220.0, 40.0, 250.0, 80.0)


@pytest.fixture
def before():
    rng = np.random.default_rng(3)
    image = rng.normal(90, 3, (300, 300)).clip(0, 255).astype(np.uint8)
    cv2.putText(image, "ANNA", (44, 66), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 250, 3)
    cv2.putText(image, "L", (224, 76), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 250, 4)
    return image


ANNOTATION = Annotation("a.png", (300, 300), (Element(NAME, "marker", "ANNA"), Element(SIGN, "laterality", "L")))


def blacked(image, *boxes):
    out = image.copy()
    for x1, y1, x2, y2 in boxes:
        out[int(y1) : int(y2), int(x1) : int(x2)] = 0
    return out


def goods(judged):
    return [e.good for e in judged.elements]


def test_a_black_box_over_the_name_is_all_that_is_wanted(before):
    judged = judge.judge(before, blacked(before, NAME), ANNOTATION)
    assert goods(judged) == [True, True] and judged.true_regions == 1 and not judged.false_regions and judged.anatomy_removed == 0
    assert [e.covered for e in judged.elements] == [1, pytest.approx(0, abs=0.01)] and not judged.elements[0].leaks
    assert judged.elements[0].height_px == 30


def test_nothing_done_misses_and_leaks_every_letter(before):
    judged = judge.judge(before, before, ANNOTATION)
    assert goods(judged) == [False, True] and len(judged.elements[0].leaks) >= 3 and judged.true_regions == 0


def test_a_letter_that_is_left_is_a_miss_and_its_leak_lies_there(before):
    judged = judge.judge(before, blacked(before, (40, 40, 115, 70)), ANNOTATION)
    assert not judged.elements[0].good
    assert all(x >= 112 and y >= 38 for x, y, _, _ in judged.elements[0].leaks) and judged.elements[0].leaks


def test_grey_is_not_black_but_with_fill_any_change_removes(before):
    grey = before.copy()
    grey[40:70, 40:140] = 90
    assert goods(judge.judge(before, grey, ANNOTATION))[0] is False
    assert goods(judge.judge(before, grey, ANNOTATION, fill=True))[0] is True


def test_a_fill_as_bright_as_the_print_is_no_leak_where_the_manifest_says_that_it_was_removed(before):
    as_bright = before.copy()
    as_bright[40:70, 40:140] = 250
    removed = np.zeros(before.shape, bool)
    removed[40:70, 40:140] = True
    by_pixels, by_manifest = (judge.judge(before, as_bright, ANNOTATION, fill=True, removed=mask).elements[0] for mask in (None, removed))
    assert by_pixels.leaks and not by_pixels.alike
    assert by_manifest.good and not by_manifest.leaks and by_manifest.alike
    removed[40:70, 90:140] = False
    half = judge.judge(before, np.where(removed, np.uint8(120), before), ANNOTATION, fill=True, removed=removed).elements[0]
    assert half.leaks and not half.good and not half.alike, "what was not removed leaks, whatever was"


def test_a_sign_that_was_touched_is_not_retained(before):
    assert goods(judge.judge(before, blacked(before, NAME, (220, 40, 250, 60)), ANNOTATION)) == [True, False]


def test_a_box_elsewhere_is_a_false_region_and_anatomy_removed(before):
    judged = judge.judge(before, blacked(before, NAME, (100, 200, 130, 220)), ANNOTATION)
    assert judged.false_regions == ((100, 200, 30, 20),) and judged.anatomy_removed == pytest.approx(600 / 90000)


@pytest.mark.parametrize("after", [None, np.zeros((10, 10), np.uint8)], ids=["no result", "another size"])
def test_without_a_result_nothing_is_removed_or_retained_and_nothing_leaks(before, after):
    judged = judge.judge(before, after, ANNOTATION)
    assert judged.missing and goods(judged) == [False, False] and not judged.elements[0].leaks


def test_a_box_without_strokes_is_not_scored():
    flat = np.full((300, 300), 90, np.uint8)
    judged = judge.judge(flat, blacked(flat, NAME), Annotation("a.png", (300, 300), (Element(NAME, "marker"), Element((5.0, 5.0, 6.0, 9.0), "marker"))))
    assert [e.scored for e in judged.elements] == [False, False]


@pytest.mark.skipif(not REFEREE.is_file(), reason="the referee is not there")
def test_the_referee_says_the_same(tmp_path):
    spec = importlib.util.spec_from_file_location("referee", REFEREE)
    referee = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(referee)
    synthesis.synthesize(tmp_path, 24, 11, formats=("png",))
    rng = np.random.default_rng(5)
    seen = {True: 0, False: 0}
    for path in sorted((tmp_path / "images").iterdir()):
        annotation = labelme.read(tmp_path / "annotations" / f"{path.stem}.json")
        before = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        h, w = before.shape
        boxes = [np.add(e.xyxy, rng.normal(0, 3, 4)).clip(0) for e in annotation.elements if rng.random() < 0.7]
        boxes += [(x, y, x + 20, y + 9) for x, y in zip(rng.integers(0, w - 20, 2), rng.integers(0, h - 9, 2))]
        after = blacked(before, *boxes)
        for fill in (False, True):
            mine = judge.judge(before, after, annotation, fill=fill)
            removed, kept, true, false, harm = referee.score_image(
                before, after, [{"type": e.kind, "text": e.text, "box": e.xyxy} for e in annotation.elements], fill
            )
            assert [e.good for e in mine.elements if e.scored and e.element.kind == "marker"] == [bool(v) for v in removed]
            assert [e.good for e in mine.elements if e.scored and e.element.kind == "laterality"] == [bool(v) for v in kept]
            assert (mine.true_regions, len(mine.false_regions)) == (true, false) and mine.anatomy_removed * 1000 == pytest.approx(harm, abs=1e-9)
            for value in (*removed, *kept):
                seen[bool(value)] += 1
    assert min(seen.values()) > 10, "both outcomes were compared"
