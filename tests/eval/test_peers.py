"""The peers of eval/: one interface, boxes where the text is, signs that stay, and how they are run side by side."""

import json
import sys
from pathlib import Path

import cv2
import fakes
import numpy as np
import pytest

from markerremover import benchmark
from markerremover.errors import AnnotationError, UsageError
from markerremover.labels import labelme
from markerremover.records import Annotation, Element, Policy, Text

sys.path.append(str(Path(__file__).parents[2] / "eval"))
import peers  # noqa: E402
import side_by_side  # noqa: E402
import tables  # noqa: E402

POLICY = Policy()
NAME, SIGN = (60, 200, 320, 250), (400, 60, 440, 110)


@pytest.fixture(scope="module")
def picture():
    """A name and an L on noise."""
    image = np.random.default_rng(1).normal(60, 3, (420, 520)).clip(0, 255).astype(np.uint8)
    image = fakes.written(fakes.written(image, "THOMPSON", (64, 200), 42), "L", (405, 56), 52)
    image.setflags(write=False)
    return image


def black(image, box):
    x1, y1, x2, y2 = box
    return float((image[y1:y2, x1:x2] == 0).mean())


@pytest.mark.parametrize("name", ["tesseract-page", "tesseract-sparse", "rapidocr", "rapidocr-sizes", "dbnet"])
def test_a_peer_blackens_the_name_and_leaves_the_rest(picture, name):
    try:
        tool = peers.TOOLS[name](POLICY)
    except UsageError as error:
        pytest.skip(str(error))
    results = tool.clean(picture)
    assert tuple(results) == tool.variants and tool.version
    for result in results.values():
        assert black(result, (75, 212, 280, 236)) > 0.95 and (result == picture)[300:].all() and result.shape == picture.shape
    assert black(results["laterality markers"], SIGN) == 0


def test_ours_is_a_tool_too(picture, monkeypatch):
    from markerremover.errors import HeldError

    monkeypatch.setattr(peers, "open_cleaner", lambda policy, second: fakes.cleaner(policy=policy))
    image = fakes.radiograph(1)
    tool = peers.ours(Policy(keep=()))
    assert black(tool.clean(image)["laterality markers"], fakes.NAME_BOX) == 1

    def held(self, image):
        raise HeldError("doubt")

    monkeypatch.setattr(peers.MarkerRemover, "clean", held)
    assert tool.clean(image) == {"laterality markers": None}


def test_variants_differ_in_what_stays():
    image = np.full((100, 200), 99, np.uint8)
    texts = [Text((10, 10, 30, 30), " l ", 0.9), Text((60, 10, 80, 30), "X", 0.9), Text((120, 10, 180, 30), "LEE", 0.9)]
    kept = {v: [bool(peers.blackened(image, texts, POLICY, v)[20, x] == 99) for x in (20, 70, 150)] for v in ("all", "laterality markers", "words")}
    assert kept == {"all": [False] * 3, "laterality markers": [True, False, False], "words": [True, True, False]} and (image == 99).all()


def test_a_dbnet_map_becomes_grown_boxes_in_picture_pixels():
    likely = np.zeros((64, 128), np.float32)
    likely[20:30, 40:80] = 0.9
    likely[50:52, 5:6] = 0.9  # too small
    likely[40:60, 90:120] = 0.4  # not sure enough
    [(box, score)] = peers.db_boxes(likely, (128, 256))
    assert score > 0.7 and box[0] < 70 and box[1] < 34 and box[2] > 168 and box[3] > 66 and box[0] > 40 and box[3] < 90
    assert peers.db_boxes(np.zeros((64, 64), np.float32), (64, 64)) == []


def test_a_border_is_a_tenth_of_every_side():
    result = peers.border(POLICY).clean(np.full((100, 200), 9, np.uint8))["all"]
    assert (result[10:90, 20:180] == 9).all() and result.sum() == 9 * 80 * 160


def find_white(image):
    found = fakes.find_white(image)
    return [Text(tuple(map(float, box)), "NAME", 1.0) for box in found.xyxy]


@pytest.fixture
def site(tmp_path):
    for folder in ("images", "truth"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b", "other"):
        cv2.imwrite(str(tmp_path / "images" / f"{name}.png"), fakes.radiograph(3))
        element = Element(tuple(map(float, fakes.NAME_BOX)), "marker", "NAME")
        labelme.write(tmp_path / "truth" / f"{name}.json", Annotation(f"{name}.png", fakes.SHAPE, (element,)))
    (tmp_path / "split.csv").write_text("image,part\na.png,val\nb.png,val\nother.png,train\n")
    return tmp_path


def test_tools_are_judged_alike_on_the_same_images(site):
    part = side_by_side.Part("all", site / "images", site / "truth", f"{site / 'split.csv'}=val")
    blind = peers.Tool("blind", "1", ("all",), lambda image: {"all": image})
    shy = peers.Tool("shy", "1", ("all",), lambda image: {"all": None})
    sees = peers.finder("sees", "2", find_white, POLICY, ("all",))
    document = side_by_side.side_by_side([part], [sees, blind, shy], site / "out", say=lambda line: None)
    assert document["images"] == 2 and [row["recall"]["k"] for row in document["tools"]] == [2, 0, 0]
    assert [row["missing"] for row in document["tools"]] == [0, 0, 2] and document["tools"][1]["against_first"]["deid"] == 0.5
    for row in document["tools"]:
        assert all({"value", "k", "n", "low95", "high95"} <= set(row[name]) for name in benchmark.RATES)
    lines = tables.tools(document)
    assert len(lines) == 5 and "100.0 % (2/2" in lines[2] and "| sees: all removed |" in lines[2]


def test_the_command_writes_figures_without_names_and_cleans_up(site, monkeypatch, capsys):
    monkeypatch.setattr(peers, "TOOLS", {"border": peers.border})
    target = site / "figures.json"
    assert side_by_side.main([str(site / "images"), str(site / "truth"), "-o", str(target), "--name", "three"]) == 0
    assert json.loads(target.read_text())["images"] == 3 and "a.png" not in target.read_text() and str(site) not in target.read_text()
    assert "a black border" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        side_by_side.main(["-o", str(target)])


def test_an_image_that_is_missing_is_an_error_that_names_it(site):
    (site / "images" / "a.png").unlink()
    with pytest.raises(AnnotationError, match="a.png is missing among the images"):
        side_by_side.Part("all", site / "images", site / "truth").paths()


@pytest.mark.parametrize("path", sorted((tables.ROOT / "eval" / "results").glob("peers-*.json")), ids=lambda path: path.name)
def test_results_of_peers_are_whole_and_name_no_image(path):
    text = path.read_text(encoding="utf-8")
    assert not any(piece in text for piece in (".png", ".jpg", "/home", "/root", "/tmp", "/work"))
    document = json.loads(text)
    for row in document["tools"]:
        assert row["name"] and set(row["seconds_per_image"]) == {"wall", "cpu"}
        assert all({"value", "k", "n", "low95", "high95"} <= set(row[name]) for name in benchmark.RATES)
