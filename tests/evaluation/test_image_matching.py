"""Which image a label is about: by SHA-256 or by path, never by the name of a file alone."""

import hashlib
import json

import pytest

from markerremover.errors import AnnotationError
from markerremover.evaluation import image_matching, results
from markerremover.labels import labelme, truth
from markerremover.records import Annotation
from markerremover.review import labels


@pytest.fixture
def tree(tmp_path):
    """Images of two patients, two of the same name; files of other kinds beside them."""
    for name in ("p1/x.png", "p2/x.png", "p2/y.dcm", "z.PNG", ".DS_Store", "p2/._x.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(name.encode())
    (tmp_path / "truth").mkdir()
    return tmp_path


def label(tree, name, said, origin=None):
    path = tree / "truth" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    labelme.write(path, Annotation("a.png", (10, 10), ()), said, origin)


def found(tree, inputs="in"):
    read = truth.read(tree / "truth")
    paths = image_matching.matched(read.labels, results.originals(tree / inputs))
    return {label.source.relative_to(tree / "truth").as_posix(): path for label, path in zip(read.labels, paths)}


@pytest.mark.parametrize("labels", [
    {"p1/x.json": "x.png", "p2/x.json": "x.png"},
    {"one.json": "p1/x.png", "two.json": "p2\\x.png"},
    {"one.json": "../in/p1/x.png", "two.json": "..\\in\\p2\\x.png"},
    {"p1/x.json": "../../in/p1/x.png", "p2/x.json": "../../in/p2/x.png"},
    {"one.json": "in/p1/x.png", "two.json": "in/p2/x.PNG"},
], ids=["trees alike", "path below the images", "path from the label", "trees and paths", "path from above, other capitals"])
def test_equal_names_in_two_folders_are_told_apart(tree, labels):
    for name, said in labels.items():
        label(tree, name, said)
    assert sorted(found(tree).values()) == ["p1/x.png", "p2/x.png"]


def test_an_absolute_path_counts_where_it_leads_to_an_image(tree):
    label(tree, "a.json", str(tree / "in" / "p1" / "x.png"))
    assert found(tree) == {"a.json": "p1/x.png"}


def test_a_png_drawn_on_stands_for_the_dicom_file_of_its_path_and_capitals_do_not_count(tree):
    label(tree, "p2/y.json", "y.png")
    label(tree, "z.json", "z.png")
    assert found(tree) == {"p2/y.json": "p2/y.dcm", "z.json": "z.PNG"}


def test_a_label_in_a_sub_folder_may_name_an_image_above(tree):
    label(tree, "p3/z.json", "z.PNG")
    assert found(tree) == {"p3/z.json": "z.PNG"}


@pytest.mark.parametrize(("labels", "words"), [
    ({"x.json": "x.png"}, "x.png is missing among the images in .*in; p1/x.png has the same name in another folder"),
    ({"p1/x.json": "x.png", "p3/x.json": "x.png"}, "p3/x.json: x.png is missing"),
    ({"a.json": "p1/x.png", "b.json": "../in/p1/x.png"}, "p1/x.png is annotated twice, also in .*a.json"),
    ({"q.json": "q.png"}, "q.png is missing among the images in [^;]*in$"),
])
def test_a_name_alone_is_no_match(tree, labels, words):
    for name, said in labels.items():
        label(tree, name, said)
    with pytest.raises(AnnotationError, match=words):
        found(tree)


def test_a_path_that_could_be_two_images_is_an_error(tree):
    (tree / "in" / "p2" / "y.png").write_bytes(b"1")
    label(tree, "p2/y.json", "y.jpg")
    with pytest.raises(AnnotationError, match="could be p2/y.dcm or p2/y.png"):
        found(tree)


def test_a_hash_tells_the_image_wherever_it_lies(tree):
    digest = hashlib.sha256(b"p2/y.dcm").hexdigest()
    label(tree, "anything.json", "../images/anything.png", {"sha256": digest, "frame": 0})
    assert found(tree) == {"anything.json": "p2/y.dcm"}
    label(tree, "other.json", "../images/other.png", {"sha256": "ab" * 32, "frame": 0})
    with pytest.raises(AnnotationError, match="other.png is missing .* none has the annotation's SHA-256"):
        found(tree)


def test_copies_of_one_file_are_told_by_the_name_that_annotate_gives(tree):
    for name in ("p1/x.png", "p2/x.png"):
        (tree / "in" / name).write_bytes(b"same")
        label(tree, f"{labels.name_of(name)}.json", "a.png", {"sha256": hashlib.sha256(b"same").hexdigest(), "frame": 0})
    assert sorted(found(tree).values()) == ["p1/x.png", "p2/x.png"]


def test_paths_of_coco_and_yolo_are_those_of_a_tree(tree):
    data = {"categories": [], "annotations": [], "images": [
        {"id": i, "width": 1, "height": 1, "file_name": f"p{i}/x.png"} for i in (1, 2)]}
    (tree / "truth" / "c.json").write_text(json.dumps(data))
    read = truth.read(tree / "truth" / "c.json")
    assert image_matching.matched(read.labels, results.originals(tree / "in")) == ["p1/x.png", "p2/x.png"]
    assert image_matching.matched(read.labels[:1], results.originals(tree / "in" / "p1")) == ["x.png"], "the path from a folder above"
    (tree / "truth" / "c.json").unlink()
    for i in (1, 2):
        (tree / "truth" / "labels" / f"p{i}").mkdir(parents=True)
        (tree / "truth" / "labels" / f"p{i}" / "x.txt").write_text("")
    (tree / "truth" / "classes.txt").write_text("marker\n")
    assert sorted(found(tree).values()) == ["p1/x.png", "p2/x.png"]


def test_hundred_images_are_not_read_where_no_label_says_a_hash(tree, monkeypatch):
    monkeypatch.setattr(image_matching.Images, "_read_files", lambda self, paths: pytest.fail("read"))
    label(tree, "z.json", "z.PNG")
    assert found(tree) == {"z.json": "z.PNG"}
