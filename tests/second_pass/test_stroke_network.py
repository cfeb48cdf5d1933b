"""The stroke network: what it is shown, what comes back, and that its strokes are read like those of a threshold."""

import hashlib

import cv2
import numpy as np
import pytest
from test_second_pass import KEEP, Says, ground, put, retained_mask, shape

from markerremover.errors import HeldError, WeightsError
from markerremover.second_pass import reader, stroke_network, tesseract
from markerremover.second_pass.reader import insist, second_pass
from markerremover.second_pass.stroke_network import LETTER, PRINT, StrokeNetwork
from markerremover.second_pass.view import WORK_SIDE, view_of_box

FACTS = {"file": "strokes.onnx", "sha256": "4" * 64}


@pytest.fixture(scope="module")
def engine():
    if tesseract.available() is None:
        pytest.skip("no OCR engine: neither tesserocr nor pytesseract with Tesseract works here")
    return tesseract.open_reader()


class Knows:
    """A stroke network that knows the strokes of one frame: masks (H, W) bool of letters and of other print."""

    def __init__(self, letters, others=None):
        self.masks, self.asked = (letters, np.zeros_like(letters) if others is None else others), 0

    def __call__(self, view):
        self.asked += 1
        x1, y1, x2, y2 = view.window
        result = np.zeros((4, *view.grey.shape), np.float32)
        for channel, mask in zip((LETTER, PRINT), self.masks):
            result[channel] = cv2.resize(mask[y1:y2, x1:x2].astype(np.float32), view.grey.shape[::-1], interpolation=cv2.INTER_AREA)
        result[0] = 1 - result[1:].sum(axis=0)
        return result


def over_an_edge(char: str):
    """A mid-grey letter that is bright on its dark half and dark on its bright half, its box and its mask: no threshold shows it whole."""
    frame = ground()
    frame[:, 118:] = 245
    mask = shape(char, 70, 1.6)
    box, whole = put(frame, mask, 95, 70, 150)
    return frame, box, whole


def test_it_is_shown_the_view_and_the_box_in_sides_it_takes():
    frame = np.random.default_rng(0).integers(0, 255, (300, 400), np.uint8)
    view = view_of_box(frame, np.array([150, 100, 230, 180], float))
    shown = []

    def network(picture):
        shown.append(picture)
        answer = np.zeros((1, 4, *picture.shape[2:]), np.float32)
        answer[0, LETTER] = picture[0, 1]
        return answer

    answer = StrokeNetwork(network, FACTS)(view)
    (picture,) = shown
    assert picture.dtype == np.float32 and picture.shape[:2] == (1, 2) and not any(side % stroke_network.STRIDE for side in picture.shape[2:])
    assert abs(picture[0, 0].mean()) < 0.1 and picture[0, 0].std() == pytest.approx(1, abs=0.1)
    assert picture[0, 1].sum() == pytest.approx(stroke_network.SIDE**2, rel=0.1)
    x1, y1, x2, y2 = np.round(view.inner).astype(int)
    assert answer.shape == (4, *view.grey.shape) and answer[LETTER][y1 + 3 : y2 - 3, x1 + 3 : x2 - 3].min() == 1
    assert answer[LETTER].sum() == pytest.approx(WORK_SIDE**2, rel=0.1)


@pytest.mark.parametrize("answer", [np.full((1, 4, 128, 128), np.nan, np.float32), np.zeros((1, 3, 128, 128), np.float32), np.zeros(4, np.float32)])
def test_an_answer_that_is_no_probability_for_each_pixel_holds_the_image(answer):
    view = view_of_box(ground(), np.array([90, 70, 140, 120], float))
    with pytest.raises(HeldError):
        StrokeNetwork(lambda picture: answer, FACTS)(view)


def test_a_card_without_one_a_lacking_card_and_a_damaged_file(tmp_path):
    assert stroke_network.of_card({}, tmp_path) is None
    with pytest.raises(WeightsError, match="lacks sha256"):
        stroke_network.of_card({"strokes": {"file": "a.onnx"}}, tmp_path)
    (tmp_path / "a.onnx").write_bytes(b"no network")
    with pytest.raises(WeightsError, match="cannot be opened"):
        stroke_network.of_card({"strokes": {"file": "a.onnx", "sha256": hashlib.sha256(b"no network").hexdigest()}}, tmp_path)


@pytest.mark.parametrize("char", ["L", "R"])
def test_a_letter_that_no_threshold_shows_whole_is_read_from_its_strokes_and_retained(engine, char):
    frame, box, whole = over_an_edge(char)
    assert not retained_mask(frame, insist(frame, box, KEEP, engine)).any()
    reading = insist(frame, box, KEEP, engine, network=Knows(whole))
    assert reading.text == char and not reading.doubt and reading.confidence > 0.6
    assert retained_mask(frame, reading)[whole].mean() > 0.9


def test_it_is_asked_only_where_thresholds_tell_nothing_and_only_for_laterality_markers(engine):
    frame = ground()
    box, whole = put(frame, shape("R", 60), 100, 80)
    network = Knows(whole)
    assert second_pass(frame, box, KEEP, engine, network=network).text == "R" and not network.asked
    frame, box, whole = over_an_edge("R")
    assert not second_pass(frame, box, KEEP, engine, network=network, is_laterality=False).text and not network.asked


def test_where_it_sees_no_letters_the_box_is_not_read_again(engine, monkeypatch):
    frame, box, whole = over_an_edge("R")
    tried = []
    monkeypatch.setattr(reader, "split_variants", lambda view, ink: tried.append("cut") or ())
    again = reader.view_of_box
    monkeypatch.setattr(reader, "view_of_box", lambda *given: tried.append("view") or again(*given))
    for strokes, expected in ((np.zeros_like(whole), ["view"]), (whole, ["view"])):
        tried.clear()
        reading = insist(frame, box, KEEP, engine, network=Knows(strokes, whole & ~strokes))
        assert tried == expected and bool(reading.text) == strokes.any()
    tried.clear()
    assert not insist(frame, box, KEEP, engine).text
    assert tried.count("view") == 1 + len(reader.RETAKES) and "cut" in tried


@pytest.mark.parametrize("char", "BPFEJ7")
def test_strokes_of_another_character_are_not_retained_whatever_the_network_says(engine, char):
    frame, box, whole = over_an_edge(char)
    assert not retained_mask(frame, insist(frame, box, KEEP, engine, network=Knows(whole))).any()


def test_the_engine_has_the_last_word():
    frame, box, whole = over_an_edge("R")
    assert not insist(frame, box, KEEP, Says("K"), network=Knows(whole)).text


def test_the_rest_of_an_f_whose_arms_are_other_print_is_no_l(engine):
    frame = ground()
    frame[:, 118:] = 245
    f = shape("F", 70, 1.6)[::-1]  # upside down: stem and foot, and an arm above it
    box, whole = put(frame, f, 95, 70, 150)
    arm = whole.copy()
    arm[:95], arm[120:] = False, False
    arm[:, : 95 + 16] = False
    reading = insist(frame, box, KEEP, engine, network=Knows(whole & ~arm, arm))
    assert not retained_mask(frame, reading).any()


def test_a_letter_beside_print_that_only_the_network_sees_is_part_of_a_text(engine):
    frame = ground()
    frame[:, 118:] = 245
    box, letter = put(frame, shape("R", 50, 1.4), 95, 80, 150)
    _, beside = put(frame, shape("A", 50, 1.4), int(box[2]) + 8, 80, 150)
    reading = insist(frame, box, KEEP, engine, network=Knows(letter, beside))
    assert not retained_mask(frame, reading).any()
