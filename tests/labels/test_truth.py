"""Truth from LabelMe, YOLO, COCO and Pascal VOC says the same; what is wrong in it is an error that names the file."""

import json

import pytest

from markerremover.errors import AnnotationError, UsageError
from markerremover.labels import labelme, truth
from markerremover.records import Annotation, Element

SHAPE = 100, 200
ELEMENTS = (Element((10.0, 20.0, 40.0, 30.0), "marker"), Element((150.0, 5.0, 200.0, 100.0), "laterality"))


def read(source):
    """Format and annotations, every image of the same size."""
    found = truth.read(source)
    return found.format, truth.to_annotations(found.labels, lambda label: SHAPE)[0]


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
    found = [read(source) for source in (tmp_path / "labelme", tmp_path / "voc", coco(tmp_path / "c.json"), tmp_path / "yolo")]
    assert [name for name, _ in found] == ["LabelMe", "Pascal VOC", "COCO", "YOLO"]
    for name, (annotation,) in found:
        assert annotation.image == {"YOLO": "a", "COCO": "x/a.png"}.get(name, "a.png") and annotation.shape_hw == SHAPE
        assert [(e.kind, pytest.approx(e.xyxy)) for e in annotation.elements] == [(e.kind, e.xyxy) for e in ELEMENTS]


def test_an_image_of_coco_and_an_empty_file_of_yolo_say_that_nothing_is_burnt_in(tmp_path):
    assert [len(a.elements) for a in read(coco(tmp_path / "c.json", (("a.png", 1), ("b.png", 2))))[1]] == [2, 0]
    (tmp_path / "y").mkdir()
    yolo(tmp_path / "y" / "b.txt", ())
    assert read(tmp_path / "y")[1][0].elements == ()


def test_difficult_and_crowd_are_uncertain(tmp_path):
    assert {e.kind for e in read(coco(tmp_path / "c.json", iscrowd=1))[1][0].elements} == {"uncertain"}
    (tmp_path / "v").mkdir()
    voc(tmp_path / "v" / "a.xml")
    text = (tmp_path / "v" / "a.xml").read_text().replace("<bndbox>", "<difficult>1</difficult><bndbox>")
    (tmp_path / "v" / "a.xml").write_text(text)
    assert {e.kind for e in read(tmp_path / "v")[1][0].elements} == {"uncertain"}


OUT = (Element((150.0, 5.0, 230.0, 60.0), "marker"),)


@pytest.mark.parametrize(
    ("make", "name", "word"),
    [
        (lambda d: voc(d / "a.xml", OUT), "a.xml", "beyond the 200x100"),
        (lambda d: voc(d / "a.xml", width=""), "a.xml", "not a Pascal VOC"),
        (lambda d: (d / "a.xml").write_text("<a"), "a.xml", "not a Pascal VOC"),
        (lambda d: voc(d / "a.xml", (Element((1.0, 1.0, 9.0, 9.0), "name"),)), "a.xml", "'name', allowed are"),
        (lambda d: yolo(d / "a.txt", OUT), "a.txt", "beyond the 200x100"),
        (lambda d: yolo(d / "a.txt", extra="2 .5 .5 .1 .1"), "a.txt, line 3", "class of 0 to 1"),
        (lambda d: yolo(d / "a.txt", extra="-1 .5 .5 .1 .1"), "a.txt, line 3", "class of 0 to 1"),
        (lambda d: yolo(d / "a.txt", extra="1 .5 .5 nan .1"), "a.txt", "empty or extends"),
        (lambda d: yolo(d / "a.txt", extra="1 .5"), "a.txt, line 3", "class cx cy w h"),
        (lambda d: (d / "a.json").write_text("{}"), "a.json", "not a LabelMe"),
    ],
)
def test_wrong_truth_is_an_error_that_names_the_file(tmp_path, make, name, word):
    make(tmp_path)
    with pytest.raises(AnnotationError, match=word) as error:
        read(tmp_path)
    assert name in str(error.value)


@pytest.mark.parametrize("change", [{"bbox": [0, 0, 300, 5]}, {"bbox": [0, 0, 0, 5]}, {"category_id": 3}, {"image_id": 9}, {"bbox": [1, 2]}])
def test_wrong_coco_is_an_error_that_names_the_file(tmp_path, change):
    with pytest.raises(AnnotationError, match="c.json"):
        read(coco(tmp_path / "c.json", **change))


def test_two_images_of_one_id_are_an_error(tmp_path):
    with pytest.raises(AnnotationError, match="same id"):
        truth.read(coco(tmp_path / "c.json", (("a.png", 1), ("b.png", 1))))


def test_nothing_or_several_formats_or_missing_class_names_are_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="no .json"):
        truth.read(tmp_path)
    yolo(tmp_path / "a.txt")
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(UsageError, match="classes.txt"):
        truth.read(tmp_path)
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


ROWS = "a.png,train\nb.png,val\nc.png,val\n"


@pytest.mark.parametrize("data", [
    ("\ufeffimage,split\n" + ROWS).encode(), ("image,split\n" + ROWS).replace(",", ";").encode(), ("Image\tSplit\r\n" + ROWS.replace(",", "\t")).encode("utf-16"),
    (b"split,image\nTrain, ./a.png\n\nVAL,b.png\n val , c.png \n"), (b"image;patient;split;;\na.png;1;train;;\nb.png;2;val;;\nc.png;3;val;;\n;;;;\n"),
    ('sep=;\nImage;Split\n"b.png";"val"\n"c.png";"val"\n').encode("utf-16-le"),
], ids=["byte order mark", "semicolons", "tabs, capitals, CRLF, UTF-16", "columns turned round", "empty columns and rows of a spreadsheet", "sep="])
def test_a_split_of_a_spreadsheet_is_read(tmp_path, data):
    (tmp_path / "s.csv").write_bytes(data)
    assert truth.split_names(f"{tmp_path / 's.csv'}=val") == {"b.png", "c.png"}


def test_boxes_a_little_out_of_their_image_are_cut_off_and_said(tmp_path):
    """Tools that count from 0 write xmin 0, others round outwards."""
    voc(tmp_path / "a.xml", (Element((-1.0, 11.0, 202.0, 30.0), "marker"),))
    found = truth.read(tmp_path)
    (annotation,), notes = truth.to_annotations(found.labels, lambda label: SHAPE)
    assert annotation.elements[0].xyxy == (0.0, 11.0, 200.0, 30.0) and "2 px" in notes[0] and "a.xml" in notes[0]
    (annotation,), notes = truth.to_annotations(truth.read(coco(tmp_path / "c.json", bbox=[-2, 20, 30, 10])).labels, lambda label: SHAPE)
    assert annotation.elements[0].xyxy == (0.0, 20.0, 28.0, 30.0) and notes
    with pytest.raises(AnnotationError, match="c.json, image x/a.png, object 1"):
        read(coco(tmp_path / "c.json", bbox=[-9, 20, 30, 10]))


@pytest.mark.parametrize("name", ["README.md", "readme.txt", "README.roboflow.txt", ".DS_Store", "Thumbs.db", "._a.json", "LICENSE.txt", "notes.txt", "data.yaml", "classes.txt"])
def test_files_that_lie_beside_annotations_do_not_count(tmp_path, name):
    labelme.write(tmp_path / "a.json", Annotation("a.png", SHAPE, ELEMENTS))
    (tmp_path / name).write_bytes(b"Exported on Monday\n")
    assert [label.source.name for label in truth.read(tmp_path).labels] == ["a.json"]


def test_files_beside_yolo_do_not_count_but_broken_ones_do(tmp_path):
    yolo(tmp_path / "a.txt")
    (tmp_path / "README.roboflow.txt").write_text("Exported\n")
    (tmp_path / "train.txt").write_text("images/a.png\n")
    found = truth.read(tmp_path)
    assert [label.source.name for label in found.labels] == ["a.txt"] and "train.txt" in found.notes[0]
    (tmp_path / "b.txt").write_text("Exported\n")
    with pytest.raises(AnnotationError, match="b.txt, line 1"):
        truth.read(tmp_path)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"[1]", b"{}", b"{\"shapes\": NaN}", b"[" * 100_000, b"\0" * 9, "{\"n\": \"\u00e9\"}".encode("latin-1"), b"PK\x03\x04xlsx"])
def test_what_is_no_truth_is_an_error_of_one_line(tmp_path, data):
    (tmp_path / "a.json").write_bytes(data)
    for source in (tmp_path, tmp_path / "a.json"):
        with pytest.raises(AnnotationError, match="a.json") as error:
            read(source)
        assert "\n" not in str(error.value)


def test_old_labelme_files_without_size_take_that_of_the_image(tmp_path):
    labelme.write(tmp_path / "a.json", Annotation("a.png", SHAPE, ELEMENTS))
    data = json.loads((tmp_path / "a.json").read_text())
    for missing in ({"imageHeight", "imageWidth"}, set()):
        old = {k: None if k.startswith("imageH") else v for k, v in data.items() if k not in missing}
        (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(old).encode())
        assert read(tmp_path)[1][0].shape_hw == SHAPE
        with pytest.raises(AnnotationError, match="imageHeight"):
            labelme.read(tmp_path / "a.json")


def test_a_single_file_and_a_folder_with_one_coco_file_are_taken(tmp_path):
    for name in ("l", "v", "c"):
        (tmp_path / name).mkdir()
    labelme.write(tmp_path / "l" / "a.json", Annotation("a.png", SHAPE, ELEMENTS))
    voc(tmp_path / "v" / "a.xml")
    coco(tmp_path / "c" / "_annotations.coco.json")
    assert [read(p)[0] for p in (tmp_path / "l" / "a.json", tmp_path / "v" / "a.xml", tmp_path / "c")] == ["LabelMe", "Pascal VOC", "COCO"]
    labelme.write(tmp_path / "c" / "a.json", Annotation("a.png", SHAPE, ELEMENTS))
    with pytest.raises(UsageError, match="name the file itself"):
        truth.read(tmp_path / "c")
