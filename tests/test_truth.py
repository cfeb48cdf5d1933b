"""Truth from LabelMe, YOLO, COCO and Pascal VOC says the same; what is wrong in it is an error that names the file."""

import json

import pytest

from markerremover import labelme, truth
from markerremover.errors import AnnotationError, UsageError
from markerremover.records import Annotation, Element

SHAPE = 100, 200
ELEMENTS = (Element((10.0, 20.0, 40.0, 30.0), "marker"), Element((150.0, 5.0, 200.0, 100.0), "laterality"))


def voc(path, elements=ELEMENTS, width=200):
    objects = "".join(
        f"<object><name>{e.kind}</name><bndbox><xmin>{e.xyxy[0] + 1}</xmin><ymin>{e.xyxy[1] + 1}</ymin>"
        f"<xmax>{e.xyxy[2]}</xmax><ymax>{e.xyxy[3]}</ymax></bndbox></object>" for e in elements
    )
    path.write_text(f"<annotation><filename>a.png</filename><size><width>{width}</width><height>100</height></size>{objects}</annotation>")


def yolo(path, elements=ELEMENTS, extra=""):
    kinds = ("laterality", "marker")
    lines = []
    for e in elements:
        x1, y1, x2, y2 = e.xyxy
        lines.append(f"{kinds.index(e.kind)} {(x1 + x2) / 400} {(y1 + y2) / 200} {(x2 - x1) / 200} {(y2 - y1) / 100}")
    path.write_text("\n".join(lines) + "\n" + extra)
    path.with_name("classes.txt").write_text("laterality\nmarker\n")


def coco(path, images=(("a.png", 1),), **entry):
    data = {
        "categories": [{"id": 7, "name": "marker"}, {"id": 8, "name": "laterality"}],
        "images": [{"id": i, "file_name": f"x/{name}", "height": 100, "width": 200} for name, i in images],
        "annotations": [
            {"image_id": 1, "category_id": 7 if e.kind == "marker" else 8,
             "bbox": [e.xyxy[0], e.xyxy[1], e.xyxy[2] - e.xyxy[0], e.xyxy[3] - e.xyxy[1]], **entry} for e in ELEMENTS
        ],
    }
    path.write_text(json.dumps(data))
    return path


def test_all_formats_say_the_same(tmp_path):
    for name in ("labelme", "voc", "yolo"):
        (tmp_path / name).mkdir()
    labelme.write(tmp_path / "labelme" / "a.json", Annotation("a.png", SHAPE, ELEMENTS))
    voc(tmp_path / "voc" / "a.xml")
    yolo(tmp_path / "yolo" / "a.txt")
    found = [truth.read(tmp_path / "labelme"), truth.read(tmp_path / "voc"), truth.read(coco(tmp_path / "c.json")),
             truth.read(tmp_path / "yolo", shape_of=lambda name: SHAPE)]
    assert [t.format for t in found] == ["LabelMe", "Pascal VOC", "COCO", "YOLO"]
    for t in found:
        (annotation,) = t.annotations
        assert annotation.image == ("a" if t.format == "YOLO" else "a.png") and annotation.shape_hw == SHAPE
        assert [(e.kind, pytest.approx(e.xyxy)) for e in annotation.elements] == [(e.kind, e.xyxy) for e in ELEMENTS]


def test_an_image_of_coco_and_an_empty_file_of_yolo_say_that_nothing_is_burnt_in(tmp_path):
    assert [len(a.elements) for a in truth.read(coco(tmp_path / "c.json", (("a.png", 1), ("b.png", 2)))).annotations] == [2, 0]
    (tmp_path / "y").mkdir()
    yolo(tmp_path / "y" / "b.txt", ())
    assert truth.read(tmp_path / "y", shape_of=lambda name: SHAPE).annotations[0].elements == ()


def test_difficult_and_crowd_are_uncertain(tmp_path):
    assert {e.kind for e in truth.read(coco(tmp_path / "c.json", iscrowd=1)).annotations[0].elements} == {"uncertain"}
    (tmp_path / "v").mkdir()
    voc(tmp_path / "v" / "a.xml")
    text = (tmp_path / "v" / "a.xml").read_text().replace("<bndbox>", "<difficult>1</difficult><bndbox>")
    (tmp_path / "v" / "a.xml").write_text(text)
    assert {e.kind for e in truth.read(tmp_path / "v").annotations[0].elements} == {"uncertain"}


OUT = (Element((150.0, 5.0, 230.0, 60.0), "marker"),)


@pytest.mark.parametrize(
    ("make", "name", "word"),
    [
        (lambda d: voc(d / "a.xml", OUT), "a.xml", "out of the 200x100"),
        (lambda d: voc(d / "a.xml", width=""), "a.xml", "not a Pascal VOC"),
        (lambda d: (d / "a.xml").write_text("<a"), "a.xml", "not a Pascal VOC"),
        (lambda d: voc(d / "a.xml", (Element((1.0, 1.0, 9.0, 9.0), "name"),)), "a.xml", "'name', allowed are"),
        (lambda d: yolo(d / "a.txt", OUT), "a.txt", "out of the 200x100"),
        (lambda d: yolo(d / "a.txt", extra="2 .5 .5 .1 .1"), "a.txt, line 3", "class of 0 to 1"),
        (lambda d: yolo(d / "a.txt", extra="-1 .5 .5 .1 .1"), "a.txt, line 3", "class of 0 to 1"),
        (lambda d: yolo(d / "a.txt", extra="1 .5 .5 nan .1"), "a.txt", "empty or reaches"),
        (lambda d: yolo(d / "a.txt", extra="1 .5"), "a.txt, line 3", "class cx cy w h"),
        (lambda d: (d / "a.json").write_text("{}"), "a.json", "not a LabelMe"),
    ],
)
def test_wrong_truth_is_an_error_that_names_the_file(tmp_path, make, name, word):
    make(tmp_path)
    with pytest.raises(AnnotationError, match=word) as error:
        truth.read(tmp_path, shape_of=lambda stem: SHAPE)
    assert name in str(error.value)


@pytest.mark.parametrize("change", [{"bbox": [0, 0, 300, 5]}, {"bbox": [0, 0, 0, 5]}, {"category_id": 3}, {"image_id": 9}, {"bbox": [1, 2]}])
def test_wrong_coco_is_an_error_that_names_the_file(tmp_path, change):
    with pytest.raises(AnnotationError, match="c.json"):
        truth.read(coco(tmp_path / "c.json", **change))


def test_two_annotations_of_one_image_are_an_error(tmp_path):
    with pytest.raises(AnnotationError, match="a.png is annotated twice"):
        truth.read(coco(tmp_path / "c.json", (("a.png", 1), ("a.png", 2))))
    with pytest.raises(AnnotationError, match="same id"):
        truth.read(coco(tmp_path / "c.json", (("a.png", 1), ("b.png", 1))))


def test_nothing_or_several_formats_or_missing_class_names_are_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="no .json"):
        truth.read(tmp_path)
    yolo(tmp_path / "a.txt")
    with pytest.raises(UsageError, match="no image sizes"):
        truth.read(tmp_path)
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(UsageError, match="classes.txt"):
        truth.read(tmp_path, shape_of=lambda name: SHAPE)
    voc(tmp_path / "a.xml")
    with pytest.raises(UsageError, match="one format"):
        truth.read(tmp_path)
    with pytest.raises(UsageError, match="no such"):
        truth.read(tmp_path / "none")


def test_a_split_names_its_images(tmp_path):
    (tmp_path / "s.csv").write_text("image,split\na.png,train\nb.png,val\nc.png,val\n")
    assert truth.split_names(f"{tmp_path / 's.csv'}=val") == {"b.png", "c.png"}
    for wrong in (f"{tmp_path / 's.csv'}=test", f"{tmp_path / 'x.csv'}=val", str(tmp_path / "s.csv")):
        with pytest.raises(UsageError):
            truth.split_names(wrong)
