"""Reading what is left around removed boxes: words with their places; texture is no word."""

from __future__ import annotations

import fakes
import numpy as np
import pytest

from markerremover.records import Text
from markerremover.redaction import readable_text
from markerremover.second_pass import tesseract

needs_tesseract = pytest.mark.skipif(tesseract.available() is None, reason="no Tesseract")
BOX = np.array([[60, 90, 130, 118]])


@pytest.fixture(scope="module")
def reader():
    return tesseract.open_reader()


def ground(shape=(220, 400)) -> np.ndarray:
    return np.random.default_rng(3).normal(70, 4, shape).clip(0, 255).astype(np.uint8)


@needs_tesseract
@pytest.mark.parametrize("grey", [235, 5], ids=["bright", "dark"])
def test_a_word_beside_a_box_is_read_in_its_place(reader, grey):
    look = fakes.written(ground(), "THOMPSON", (150, 90), 26, grey)
    before = look.copy()
    [word] = readable_text.clearly([w for words in readable_text.read(look, BOX, reader) for w in words])
    x1, y1, x2, y2 = word.xyxy
    assert "THOMPSON" in word.text.upper() and abs(x1 - 150) < 12 and 85 < y1 < y2 < 125 and 250 < x2 < 330
    assert np.array_equal(look, before)


@needs_tesseract
def test_upright_lines_are_read_turned(reader):
    flat = fakes.written(ground((160, 400)), "THOMPSON", (150, 60), 26)
    for quarters in (1, 3):
        look = np.ascontiguousarray(np.rot90(flat, quarters))
        box = np.array([[60, 270, 92, 340]]) if quarters == 1 else np.array([[70, 60, 100, 130]])
        words = readable_text.clearly([w for found in readable_text.read(look, box, reader) for w in found])
        [word] = [w for w in words if w.text.upper() == "THOMPSON"]  # upside down it may look like a word too
        x1, y1, x2, y2 = word.xyxy
        inside = look[int(y1) : int(y2), int(x1) : int(x2)]
        assert y2 - y1 > 3 * (x2 - x1) and (inside > 200).sum() > 0.9 * (look > 200).sum()


@needs_tesseract
def test_nothing_is_clearly_read_in_texture_or_on_flat_ground(reader):
    for seed in range(5):
        noise = np.random.default_rng(seed).integers(0, 255, (220, 400)).astype(np.uint8)
        assert readable_text.clearly([w for words in readable_text.read(noise, BOX, reader) for w in words]) == []
    assert readable_text.read(np.full((220, 400), 90, np.uint8), BOX, reader) == []


@pytest.mark.parametrize("box", [np.zeros((0, 4)), np.array([[900, 900, 950, 920]])], ids=["no box", "outside"])
def test_no_box_within_the_image_needs_no_engine(box):
    assert readable_text.read(ground(), box, None) == []


@pytest.mark.parametrize("text, confidence, clear", [
    ("SMITH", 0.9, True), ("SMITH", 0.6, False), ("LT", 0.99, False), ("IIII", 0.99, False), ("a||_|b", 0.99, False), ("3.2.1950", 0.9, True), ("", 1.0, False),
])
def test_print_is_sure_long_and_made_of_letters_and_digits(text, confidence, clear):
    assert bool(readable_text.clearly([Text((0, 0, 9, 9), text, confidence)])) is clear


def test_texts_become_findings_of_one_class_also_none():
    found = readable_text.as_detections([Text((1, 2, 3, 4), "x", 0.5)], "text")
    assert found.xyxy.tolist() == [[1, 2, 3, 4]] and found.scores.tolist() == [0.5] and found.class_names == ("text",)
    assert len(readable_text.as_detections([], "text")) == 0


@needs_tesseract
def test_both_engines_place_words_alike():
    picture = fakes.written(np.full((80, 300), 255, np.uint8), "THOMPSON", (40, 20), 30, 0)
    for opened in filter(None, (tesseract._open_tesserocr(), tesseract._open_pytesseract())):
        [word] = opened.words(picture)
        assert word.text == "THOMPSON" and word.confidence > 0.7 and abs(word.xyxy[0] - 40) < 8 and 0.5 < word.xyxy[2] / 240 < 1.3
        assert opened.words(np.full((80, 300), 255, np.uint8)) == []
