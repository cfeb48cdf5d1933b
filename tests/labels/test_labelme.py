import json
import os

import pytest

from markerremover.errors import AnnotationError
from markerremover.labels import labelme
from markerremover.records import Annotation, Element

TRUTH = Annotation("a.png", (100, 200), (Element((10.0, 20.0, 30.0, 60.0), "laterality", "L mirrored"),
                                         Element((50.0, 20.0, 90.0, 40.0), "marker", "AP"),
                                         Element((0.0, 0.0, 9.0, 9.0), "uncertain")))


def test_what_is_written_reads_back_the_same(tmp_path):
    labelme.write(tmp_path / "a.json", TRUTH)
    assert labelme.read(tmp_path / "a.json") == TRUTH


def test_reviewed_and_empty_means_nothing_burnt_in_but_unreviewed_and_empty_is_an_error(tmp_path):
    labelme.write(tmp_path / "a.json", Annotation("a.png", (10, 10), ()))
    assert labelme.read(tmp_path / "a.json").elements == ()
    labelme.write(tmp_path / "b.json", Annotation("b.png", (10, 10), (), reviewed=False))
    with pytest.raises(AnnotationError, match="reviewed"):
        labelme.read(tmp_path / "b.json")


@pytest.mark.parametrize("change", [
    {"label": "letter"}, {"shape_type": "circle"}, {"points": [[10, 10]]},
    {"points": [[10, 10], [10, 20]]}, {"points": [[500, 10], [600, 20]]}, {"points": "x"},
    {"points": [[10, 10], [float("nan"), 20]]}, {"points": [[10, 10], [20, float("inf")]]}, {"points": [[10], [20, 20]]},
])
def test_a_wrong_shape_names_the_file(tmp_path, change):
    labelme.write(tmp_path / "a.json", TRUTH)
    data = json.loads((tmp_path / "a.json").read_text())
    data["shapes"][0].update(change)
    (tmp_path / "a.json").write_text(json.dumps(data))
    with pytest.raises(AnnotationError, match="a.json"):
        labelme.read(tmp_path / "a.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", "not json", "[" * 100_000], ids=["empty", "list", "object", "no JSON", "deep"])
def test_a_file_that_is_not_labelme_is_an_error(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(AnnotationError, match="a.json"):
        labelme.read(tmp_path / "a.json")


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(AnnotationError, match="a.json: cannot be read .no regular file"):
        labelme.read(tmp_path / "a.json")


def test_points_may_come_in_any_order_and_are_cut_to_the_image(tmp_path):
    labelme.write(tmp_path / "a.json", TRUTH)
    data = json.loads((tmp_path / "a.json").read_text())
    data["shapes"][0]["points"] = [[220, 60], [10, -5]]
    (tmp_path / "a.json").write_text(json.dumps(data))
    assert labelme.read(tmp_path / "a.json").elements[0].xyxy == (10.0, 0.0, 200.0, 60.0)


def test_yolo_lines_leave_uncertain_out_and_fold_laterality_into_a_single_class():
    assert labelme.yolo_lines(TRUTH, ("laterality", "marker")) == [
        "0 0.100000 0.400000 0.100000 0.400000", "1 0.350000 0.300000 0.200000 0.200000"]
    assert [line[0] for line in labelme.yolo_lines(TRUTH, ("marker",))] == ["0", "0"]
