"""An L is two straight bars: no other character passes for one, whichever way it lies."""

import cv2
import numpy as np
import pytest

from markerremover.second_pass import glyphs, tesseract, two_bars
from markerremover.second_pass.reader import insist
from markerremover.synthesis.marks import fonts

KEEP = ("L", "R", "LT", "RT", "LEFT", "RIGHT")
FACES = {name: next(f for f in fonts.font_files(split) if name in f) for split, name in (
    ("train", "RobotoCondensed-Bold"), ("train", "DejaVuSans-Bold"), ("train", "LiberationSans-Bold.ttf"), ("train", "Go-Medium"),
    ("train", "OpenSans-Semibold"), ("train", "LeagueSpartan-Bold"))}


@pytest.fixture(scope="module")
def engine():
    if tesseract.available() is None:
        pytest.skip("no OCR engine: neither tesserocr nor pytesseract with Tesseract works here")
    return tesseract.open_reader()


def alone(char: str, face: str, cap: float, view: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame with one character, and its box."""
    alpha = np.ascontiguousarray(glyphs.dihedral(fonts.render(char, FACES[face], cap))[view])
    h, w = alpha.shape
    frame = np.full((h + int(4 * cap), w + int(4 * cap)), 60.0) + np.random.default_rng(0).normal(0, 1.5, (h + int(4 * cap), w + int(4 * cap)))
    x, y = int(2 * cap), int(2 * cap)
    frame[y : y + h, x : x + w] = frame[y : y + h, x : x + w] * (1 - alpha) + 210 * alpha
    return np.clip(frame, 0, 255).astype(np.uint8), np.array([x, y, x + w, y + h], float)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("char", "J174F2")
def test_no_character_that_resembles_an_l_in_a_mirror_or_upside_down_is_one(engine, char, face):
    for cap, view in ((24, 0), (24, 4), (40, 2), (40, 6), (90, 1), (90, 3), (90, 5), (90, 7)):
        reading = insist(*alone(char, face, cap, view), KEEP, engine)
        assert not (reading.text and not reading.doubt and reading.confidence >= 0.5), (cap, view, reading.text)


@pytest.mark.parametrize("face", FACES)
def test_an_l_is_one_in_every_way_it_may_lie(engine, face):
    for cap, view in ((24, 0), (24, 5), (40, 2), (40, 6), (90, 1), (90, 3), (90, 4), (90, 7)):
        reading = insist(*alone("L", face, cap, view), KEEP, engine)
        assert (reading.text, reading.doubt) == ("L", "") and reading.confidence >= 0.5, (cap, view)


def drawn(*lines: list, width: int = 12) -> np.ndarray:
    image = np.zeros((130, 110), np.uint8)
    for line in lines:
        cv2.polylines(image, [np.array(line, np.int32)], False, 255, width)
    return glyphs.tight(image > 0)


STEM, FOOT = [(20, 10), (20, 110)], [(20, 110), (70, 110)]
SHAPES = {
    "an L": ((STEM, FOOT), True), "a slanted L": (([(42, 10), (20, 110)], FOOT), True),
    "an L with serifs": ((STEM, FOOT, [(12, 14), (30, 14)], [(70, 110), (70, 98)]), True),
    "a 7 upside down": (([(50, 10), (20, 110)], [(20, 110), (68, 104)]), False), "a 1 upside down": ((STEM, [(20, 110), (42, 90)]), False),
    "an F upside down": ((STEM, FOOT, [(20, 60), (60, 60)]), False), "a C of bars": ((STEM, FOOT, [(20, 10), (70, 10)]), False),
    "a U of bars": ((STEM, FOOT, [(70, 110), (70, 30)]), False), "a 4 on its side": (([(40, 10), (40, 110)], [(8, 100), (92, 100)], [(40, 110), (40, 128)]), False),
}


@pytest.mark.parametrize("name", SHAPES)
def test_bars_are_told_from_more_and_less(name):
    lines, expected = SHAPES[name]
    shape = drawn(*lines)
    before = shape.copy()
    assert two_bars.is_an_l(shape, 60) is expected and np.array_equal(shape, before)
    assert two_bars.is_an_l(shape, two_bars.SMALLEST_PX - 1)  # so small a letter is not tested


def test_the_heel_of_a_j_is_round():
    shape = np.zeros((120, 80), np.uint8)
    cv2.line(shape, (16, 8), (16, 80), 255, 12)
    cv2.ellipse(shape, (46, 80), (30, 30), 0, 60, 180, 255, 12)
    assert not two_bars.is_an_l(glyphs.tight(shape > 0), 60)


@pytest.mark.parametrize("shape", [np.ones((3, 3), bool), np.ones((40, 4), bool), np.ones((1, 40), bool), np.eye(30, dtype=bool)])
def test_odd_shapes_are_none_and_raise_nothing(shape):
    assert two_bars.is_an_l(shape, 60) is False
