"""A letter on a pasted box, on a disc or in a ring: a bone outside is no print, the box or ring is retained with it, and print outside still
makes an initial of the letter."""

import cv2
import numpy as np
import pytest

from markerremover.second_pass import lines_of_print, reader, tesseract
from markerremover.synthesis.marks import fonts

FACE = next(f for f in fonts.font_files("train") if "DejaVuSans-Bold" in f)
KEEP = ("L", "R")


@pytest.fixture(scope="module")
def engine():
    return tesseract.open_reader()


def film(noise: float = 4.0, shape: tuple[int, int] = (200, 240)) -> np.ndarray:
    """Noisy ground with a bright band, as a bone, right of the middle."""
    frame = np.full(shape, 80.0)
    frame[70:96, 140:] = 200
    return frame + np.random.default_rng(0).normal(0, noise, shape)


def put(frame: np.ndarray, text: str, at: tuple[int, int], cap: float = 24, level: float = 230) -> tuple[int, int, int, int]:
    """Write a text with its top left corner at (x, y); its box."""
    alpha = fonts.render(text, FACE, cap)
    x, y = at
    part = frame[y : y + alpha.shape[0], x : x + alpha.shape[1]]
    part += alpha * (level - part)
    return x, y, x + alpha.shape[1], y + alpha.shape[0]


def pasted(frame: np.ndarray, box: tuple[int, int, int, int]) -> None:
    """A box of one slowly rising tone, without the film's noise."""
    x1, y1, x2, y2 = box
    frame[y1:y2, x1:x2] = 130 + np.linspace(0, 15, y2 - y1)[:, None]


def as_picture(frame: np.ndarray, quality: int = 0) -> np.ndarray:
    picture = np.clip(frame, 0, 255).astype(np.uint8)
    return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0) if quality else picture


def read(picture: np.ndarray, box: tuple[int, int, int, int], engine):
    return reader.insist(picture, np.array(box, float) + (-2, -2, 2, 2), KEEP, engine)


def retained(picture: np.ndarray, box: tuple[int, int, int, int], engine) -> np.ndarray:
    """(H, W) bool: the pixels that stay with the marker that is read in a box."""
    reading, kept = read(picture, box, engine), np.zeros(picture.shape, bool)
    x1, y1, x2, y2 = reading.xyxy
    if reading.strokes is not None:
        kept[y1:y2, x1:x2] = reading.strokes
    return kept


def is_initial(picture: np.ndarray, box: tuple[int, int, int, int], engine) -> bool:
    """Whether the letter in a box is taken for a part of a text, by isolation or by its line."""
    reading = read(picture, box, engine)
    return bool(reading.doubt) or not reading.text or lines_of_print.stands_in_print(picture, reading)


def test_a_bone_as_high_as_the_letter_beside_its_pasted_box_is_no_text(engine):
    frame = film()
    pasted(frame, (96, 58, 139, 108))
    box = put(frame, "L", (108, 70))
    reading = read(as_picture(frame), box, engine)
    assert (reading.text, reading.doubt) == ("L", "")
    assert np.abs(np.array(reading.xyxy) - (96, 58, 139, 108)).max() <= 4


def test_a_letter_and_another_on_one_pasted_box_are_a_text(engine):
    frame = film()
    pasted(frame, (96, 58, 160, 108))
    box = put(frame, "L", (108, 70))
    put(frame, "M", (130, 70))
    reading = read(as_picture(frame), box, engine)
    assert reading.doubt or not reading.text or lines_of_print.stands_in_print(as_picture(frame), reading)


@pytest.mark.parametrize("gap", [7, 40])
def test_print_beside_a_pasted_box_is_of_its_letters_line(engine, gap):
    frame = film(shape=(200, 300))
    frame[70:96, 140:] = 80
    pasted(frame, (60, 58, 103, 108))
    box = put(frame, "L", (72, 70))
    put(frame, "MEYER", (103 + gap, 70))
    assert is_initial(as_picture(frame), box, engine)


def test_an_initial_on_a_halo_of_its_own_or_in_a_cell_is_of_its_line(engine):
    for ground in ("halo", "shadow", "cell"):
        frame = film(1.0, (200, 300))
        frame[70:96, 140:] = 80
        under, over = frame.copy(), frame.copy()
        box = put(over, "R.", (60, 70))
        put(over, "JENSEN", (100, 70))
        strokes = (over != frame).astype(np.uint8)
        if ground == "halo":
            under[cv2.dilate(strokes, np.ones((7, 7), np.uint8)) > 0] = 20
        elif ground == "shadow":
            under[np.roll(strokes, (3, 3), (0, 1)) > 0] = 5
        else:
            for x1, x2 in ((54, 84), (95, 200)):
                cv2.rectangle(under, (x1, 62), (x2, 102), 170, 1)
        picture = np.where(strokes > 0, over, under)
        assert is_initial(as_picture(picture), (60, 70, 60 + 20, box[3]), engine), ground


def test_a_pasted_box_that_the_images_edge_cuts_counts_and_a_dark_corner_does_not(engine):
    frame = film()
    pasted(frame, (200, 58, 240, 108))
    box = put(frame, "L", (212, 70))
    assert retained(as_picture(frame), box, engine)[60:106, 202:238].mean() > 0.9
    frame = film()
    yy, xx = np.mgrid[:200, :240]
    frame[(240 - xx) + (200 - yy) < 90] = 20
    box = put(frame, "L", (214, 165), cap=20)
    assert retained(as_picture(frame), box, engine)[-12:, -12:].mean() < 0.1


@pytest.mark.parametrize("quality", [0, 92])
def test_a_thin_ring_and_all_within_it_stay(engine, quality):
    frame = film()
    cv2.circle(frame, (110, 83), 22, 10.0, -1)
    cv2.circle(frame, (110, 83), 22, 250.0, 1)
    alpha = fonts.render("L", FACE, 16)
    box = put(frame, "L", (110 - alpha.shape[1] // 2, 83 - alpha.shape[0] // 2), cap=16)
    picture = as_picture(frame, quality)
    reading = read(picture, (85, 58, 136, 109), engine)
    assert (reading.text, reading.doubt) == ("L", "") and box[0] > reading.xyxy[0]
    kept = retained(picture, (85, 58, 136, 109), engine)
    disc = np.zeros(picture.shape, np.uint8)
    cv2.circle(disc, (110, 83), 22, 1, -1)
    assert kept[disc > 0].mean() > 0.97 and reading.framed


def test_joined_writing_in_a_known_box_makes_an_initial_of_the_letter_before_it(engine):
    frame = film(shape=(200, 340))
    frame[70:96, 140:] = 80
    box = put(frame, "L", (60, 70))
    place = put(frame, "MEYER", (128, 70))
    x1, y1, x2, y2 = place
    frame[y1:y2, x1:x2] = cv2.morphologyEx(frame[y1:y2, x1:x2], cv2.MORPH_CLOSE, np.ones((9, 9)))  # its strokes have run together
    picture = as_picture(frame)
    reading = read(picture, box, engine)
    assert (reading.text, reading.doubt) == ("L", "")
    assert lines_of_print.stands_in_print(picture, reading, np.array([place], float))
    assert not lines_of_print.stands_in_print(picture, reading), "without the box it might be a bone"


@pytest.mark.parametrize("box", ["of the name", "of the line"])
def test_a_name_that_runs_into_the_letter_makes_an_initial_of_it(box):
    from markerremover.records import Reading

    picture = np.full((200, 340), 70, np.uint8)
    alpha = fonts.render("L", FACE, 24) > 0.5
    h, w = alpha.shape
    picture[70 : 70 + h, 60 : 60 + w][alpha] = 220
    name = fonts.render("MEYER", FACE, 24) > 0.5
    picture[70 : 70 + h, 84 : 84 + name.shape[1]][name[:h]] = 220
    picture[80:84, 62 : 84 + name.shape[1]] = 220  # one stroke through the name and into the letter
    reading = Reading((60, 70, 60 + w, 70 + h), "L", 0.9, alpha, 0.0, letter=alpha)
    known = np.array([[82 if box == "of the name" else 56, 66, 86 + name.shape[1], 98]], float)
    assert lines_of_print.stands_in_print(picture, reading, known)
    assert not lines_of_print.stands_in_print(picture, reading, np.array([[56, 66, 62 + w, 98]], float)), "a box of the letter alone"
