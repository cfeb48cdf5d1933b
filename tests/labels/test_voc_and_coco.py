"""Pascal VOC and COCO: what independent readers make of them, and our own."""

import contextlib
import io
import xml.etree.ElementTree as ElementTree

import pytest

from markerremover.labels import coco, labelme, truth, voc
from markerremover.records import Annotation, Element
from markerremover.synthesis import synthesize

ANNOTATION = Annotation(
    "a & b.png", (40, 60), (Element((0, 0, 5, 7), "laterality", "L"), Element((10.5, 3.0, 60, 40), "marker", "<X>"), Element((1, 1, 2, 2), "uncertain", "")))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    synthesize(folder, 8, 21, split="eval", size=(220, 200), annotations=("labelme", "voc", "coco"))
    return folder, [labelme.read(path) for path in sorted((folder / "annotations").iterdir())]


def test_voc_counts_from_one_and_includes_the_last_pixel():
    root = ElementTree.fromstring(voc.text(ANNOTATION, "images"))
    assert (root.findtext("folder"), root.findtext("filename")) == ("images", "a & b.png")
    assert [root.findtext(f"size/{name}") for name in ("width", "height", "depth")] == ["60", "40", "1"]
    boxes = [[int(entry.findtext(f"bndbox/{name}")) for name in ("xmin", "ymin", "xmax", "ymax")] for entry in root.iter("object")]
    assert boxes == [[1, 1, 5, 7], [11, 4, 60, 40], [2, 2, 2, 2]]
    assert [(e.findtext("name"), e.findtext("difficult")) for e in root.iter("object")] == [("laterality", "0"), ("marker", "0"), ("uncertain", "1")]


def test_the_drawn_boxes_are_those_of_the_voc_files(drawn):
    folder, annotations = drawn
    count = 0
    for annotation in annotations:
        root = ElementTree.parse((folder / "voc" / annotation.image).with_suffix(".xml")).getroot()
        assert root.findtext("filename") == annotation.image and (folder / root.findtext("folder") / root.findtext("filename")).is_file()
        found = [(e.findtext("name"), *(float(e.findtext(f"bndbox/{n}")) for n in ("xmin", "ymin", "xmax", "ymax"))) for e in root.iter("object")]
        assert found == [(e.kind, e.xyxy[0] + 1, e.xyxy[1] + 1, e.xyxy[2], e.xyxy[3]) for e in annotation.elements]
        count += len(found)
    assert count > 8


def test_pycocotools_reads_the_drawn_boxes(drawn):
    tools = pytest.importorskip("pycocotools.coco")
    folder, annotations = drawn
    with contextlib.redirect_stdout(io.StringIO()):
        read = tools.COCO(str(folder / "coco.json"))
    assert [c["name"] for c in read.loadCats(read.getCatIds())] == ["laterality", "marker"]
    images = read.loadImgs(read.getImgIds())
    assert [(i["file_name"], i["height"], i["width"]) for i in images] == [(a.image, *a.shape_hw) for a in annotations]
    for image, annotation in zip(images, annotations):
        assert (folder / "images" / image["file_name"]).is_file()
        found = read.loadAnns(read.getAnnIds(imgIds=image["id"]))
        expected = [([x1, y1, x2 - x1, y2 - y1], e.text) for e in annotation.elements for x1, y1, x2, y2 in [e.xyxy]]
        assert [(entry["bbox"], entry["attributes"]["text"]) for entry in found] == expected
        kinds = ["uncertain" if entry["iscrowd"] else read.cats[entry["category_id"]]["name"] for entry in found]
        assert kinds == [e.kind for e in annotation.elements] and all(entry["area"] == entry["bbox"][2] * entry["bbox"][3] for entry in found)


def test_perfect_results_score_one_with_pycocotools(drawn):
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    folder, _ = drawn
    with contextlib.redirect_stdout(io.StringIO()):
        read = COCO(str(folder / "coco.json"))
        results = [{**{k: a[k] for k in ("image_id", "category_id", "bbox")}, "score": 1.0} for a in read.anns.values() if not a["iscrowd"]]
        judged = COCOeval(read, read.loadRes(results), "bbox")
        judged.evaluate(), judged.accumulate(), judged.summarize()
    assert judged.stats[0] == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["voc", "coco"])
def test_our_own_reader_reads_them_back(tmp_path, kind, drawn):
    path = tmp_path / ("a.xml" if kind == "voc" else "a.json")
    path.write_text(voc.text(ANNOTATION) if kind == "voc" else coco.text([ANNOTATION, Annotation("empty.png", (4, 4), ())]), encoding="utf-8")
    annotations, notes = truth.to_annotations(truth.read(path).labels, lambda label: (0, 0))
    assert not notes and [(e.kind, e.xyxy) for e in annotations[0].elements] == [
        ("laterality", (0, 0, 5, 7)), ("marker", (10 if kind == "voc" else 10.5, 3, 60, 40)), ("uncertain", (1, 1, 2, 2))]
    folder, drawn_annotations = drawn
    read = truth.to_annotations(truth.read(folder / ("voc" if kind == "voc" else "coco.json")).labels, lambda label: (0, 0))[0]
    assert [[(e.kind, e.xyxy) for e in a.elements] for a in read] == [[(e.kind, e.xyxy) for e in a.elements] for a in drawn_annotations]


def test_no_annotations_are_a_file_too(tmp_path):
    empty = Annotation("x.png", (4, 4), ())
    assert ElementTree.fromstring(voc.text(empty)).find("object") is None and '"annotations": []' in coco.text([empty])
