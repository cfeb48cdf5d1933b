"""The OCR readers: they agree on a plain letter, take an empty list, and say what to install if there is none."""

import cv2
import numpy as np
import pytest

from markerremover.errors import UsageError
from markerremover.second_pass import tesseract

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
READERS = {"tesserocr": tesseract._open_tesserocr, "pytesseract": tesseract._open_pytesseract}


@pytest.fixture(params=sorted(READERS))
def reader(request):
    found = READERS[request.param]()
    if found is None:
        pytest.skip(f"{request.param} does not work here")
    return found


def letter_l() -> np.ndarray:
    """(78, 66) uint8, a black L on white."""
    image = np.full((78, 66), 255, np.uint8)
    image[16:62, 18:27] = image[53:62, 18:48] = 0
    return image


def test_reads_a_plain_letter(reader):
    image = letter_l()
    before = image.copy()
    [(text, confidence)] = reader.read([image], whitelist=LETTERS, psm=10)
    assert text == "L" and 0.5 < confidence <= 1
    assert np.array_equal(image, before)


def test_one_answer_an_image_in_order(reader):
    blank = np.full((40, 40), 255, np.uint8)
    answers = reader.read([blank, letter_l(), blank, letter_l()[:, ::-1]], whitelist=LETTERS, psm=8)
    assert len(answers) == 4
    assert answers[0] == ("", 0.0) and answers[1][0] == "L"


def test_whitelist_of_one_call_is_forgotten_by_the_next(reader):
    reader.read([letter_l()], whitelist="XYZ", psm=10)
    assert reader.read([letter_l()], whitelist=None, psm=10)[0][0].upper() == "L"


def test_light_print_on_dark_is_tried_only_where_anything_may_be_read(reader):
    """The setting of one call is not that of the next."""
    image = np.zeros((60, 190), np.uint8)
    cv2.putText(image, "SMITH", (14, 44), cv2.FONT_HERSHEY_SIMPLEX, 1.3, 255, 3)
    letters, anything = {"whitelist": LETTERS, "psm": 7}, {"psm": 7}
    read = [reader.read([image], **asked)[0][0] for asked in (anything, letters, anything)]
    assert read[0] == read[2] == "SMITH" != read[1]


def test_no_images(reader):
    assert reader.read([], whitelist=LETTERS, psm=10) == []


def test_neither_engine_is_a_usage_error_with_a_hint(monkeypatch):
    monkeypatch.setattr(tesseract, "_open_tesserocr", lambda: None)
    monkeypatch.setattr(tesseract, "_open_pytesseract", lambda: None)
    assert tesseract.available() is None
    with pytest.raises(UsageError, match="tesseract-ocr.*--keep none"):
        tesseract.open_reader()


def test_pytesseract_is_the_fallback(monkeypatch):
    fallback = object()
    monkeypatch.setattr(tesseract, "_open_tesserocr", lambda: None)
    monkeypatch.setattr(tesseract, "_open_pytesseract", lambda: fallback)
    assert tesseract.open_reader() is fallback
    assert tesseract.available() == "pytesseract"


@pytest.mark.parametrize("below", ["", "tessdata"])
def test_tessdata_prefix_comes_first(monkeypatch, tmp_path, below):
    folder = tmp_path / below
    folder.mkdir(exist_ok=True)
    (folder / "eng.traineddata").write_bytes(b"")
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))
    assert tesseract.tessdata_folder().rstrip("/") == str(folder)


def test_damaged_language_data_leaves_the_next_engine(monkeypatch, tmp_path):
    (tmp_path / "eng.traineddata").write_bytes(b"not a model")
    monkeypatch.setattr(tesseract, "tessdata_folder", lambda: str(tmp_path))
    assert tesseract._open_tesserocr() is None
