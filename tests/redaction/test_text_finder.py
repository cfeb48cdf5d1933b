"""RapidOCR as a second text finder: what counts as print, what is left of a line, and that it is silent and remains offline."""

from __future__ import annotations

import socket
import sys

import fakes
import numpy as np
import pytest

from markerremover.errors import UsageError
from markerremover.records import Text
from markerremover.redaction import text_finder

SHAPE = (1000, 800)


@pytest.mark.parametrize("text, confidence, box, is_print", [
    ("SMITH", 0.9, (10, 10, 90, 30), True), ("SMITH", 0.4, (10, 10, 90, 30), False), ("王小明", 0.9, (10, 10, 90, 30), True),
    ("L", 0.95, (10, 10, 30, 40), True), ("L", 0.7, (10, 10, 30, 40), False), ("0", 0.99, (10, 10, 30, 40), False), ("K", 0.95, (10, 10, 30, 40), True),
    ("一", 0.99, (10, 10, 30, 40), False), ("(—)", 0.99, (10, 10, 30, 40), False), ("0000", 0.99, (10, 10, 90, 30), False), ("", 1.0, (10, 10, 30, 40), False),
    ("AB", 0.99, (10, 10, 500, 500), False),
])
def test_print_is_told_from_what_rings_and_bones_look_like(text, confidence, box, is_print):
    assert text_finder.is_print(Text(box, text, confidence), SHAPE) is is_print


@pytest.mark.parametrize("decided, left", [
    ((0, 0, 0, 0), [(100, 100, 300, 130)]), ((90, 90, 310, 140), []), ((90, 90, 150, 140), [(150, 100, 300, 130)]),
    ((150, 90, 200, 140), [(100, 100, 150, 130), (200, 100, 300, 130)]), ((90, 90, 295, 140), []), ((90, 90, 310, 110), [(100, 100, 300, 130)]),
], ids=["no decision", "all of it", "a marker at its start", "a marker within", "all but an edge", "grazed from above"])
def test_only_what_no_decision_covers_of_a_line_is_found(decided, left):
    explained = np.zeros(SHAPE, bool)
    x1, y1, x2, y2 = decided
    explained[y1:y2, x1:x2] = True
    found = text_finder.findings([Text((100, 100, 300, 130), "AP SMITH", 0.9)], explained)
    assert [tuple(box) for box in found.xyxy.tolist()] == left and found.class_names == ("second look",)


@pytest.mark.parametrize("text, confidence, box, found", [
    ("K", 0.99, (310, 100, 330, 130), 1), ("K", 0.99, (500, 500, 530, 540), 0), ("CB", 0.8, (500, 500, 530, 540), 0), ("SMITH", 0.8, (500, 500, 600, 530), 1),
    ("SMITH", 0.65, (310, 100, 390, 130), 1), ("SMITH", 0.65, (500, 500, 600, 530), 0),
])
def test_on_the_result_one_or_two_letters_far_from_any_decision_are_bones(text, confidence, box, found):
    explained = np.zeros(SHAPE, bool)
    explained[90:140, 90:300] = True
    assert len(text_finder.findings_again([Text(box, text, confidence)], explained)) == found


def test_an_upright_line_is_cut_along_its_length_and_what_lies_outside_is_nothing():
    explained = np.zeros(SHAPE, bool)
    explained[100:160] = True
    assert text_finder.findings([Text((50, 100, 80, 300), "SMITH", 0.9)], explained).xyxy.tolist() == [[50, 160, 80, 300]]
    assert len(text_finder.findings([Text((900, 100, 980, 130), "SMITH", 0.9)], explained)) == 0 == len(text_finder.findings([], explained))


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(UsageError, match="second-look needs RapidOCR.*pip install"):
        text_finder.open_second_look()


def test_missing_models_are_not_downloaded(monkeypatch):
    pytest.importorskip("rapidocr")
    monkeypatch.setattr(text_finder, "MODELS", ("gone.onnx",))
    with pytest.raises(UsageError, match="lacks gone.onnx"):
        text_finder.open_second_look()


def test_it_reads_offline_and_silently(monkeypatch, capfd):
    pytest.importorskip("rapidocr")

    def refuse(*_, **__):
        raise AssertionError("asked for the network")

    monkeypatch.setattr(socket, "socket", refuse)
    image = fakes.written(np.random.default_rng(1).normal(70, 4, (400, 500)).clip(0, 255).astype(np.uint8), "THOMPSON", (100, 200), 30)
    before = image.copy()
    find = text_finder.open_second_look(threads=1)
    [text] = find(image)
    x1, y1, x2, y2 = text.xyxy
    assert "THOMPSON" in text.text.upper() and text_finder.is_print(text, image.shape)
    assert x1 < 110 and y1 < 215 and x2 > 200 and y2 > 220 and np.array_equal(image, before)
    assert find(np.zeros((64, 64), np.uint8)) == ()
    assert capfd.readouterr() == ("", "")
