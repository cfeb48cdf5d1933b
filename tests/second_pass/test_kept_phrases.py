"""Phrases on drawn lines: retained where they are the whole line, never beside anything else. Skipped where no OCR engine works."""

from pathlib import Path

import numpy as np
import pytest

from markerremover.records import MARKER, Detections, Identifier, Policy, Radiograph
from markerremover.redaction import cleaning
from markerremover.second_pass import tesseract
from markerremover.second_pass.phrases.kept_lines import KEPT_PHRASE
from markerremover.second_pass.phrases.lines import in_line, lines_of
from markerremover.synthesis.marks import fonts

POLICY = Policy(keep=("laterality", "projection", "position", "time"))
CAP, GROUND, PRINT, MARGIN = 30, 40, 230, 120  # pixels, grey levels, pixels


@pytest.fixture(scope="module")
def engine():
    if tesseract.available() is None:
        pytest.skip("no OCR engine: neither tesserocr nor pytesseract with Tesseract works here")
    return tesseract.open_reader()


def line(*words: str, gap: float = 0.6):
    """(frame, (H, W) bool strokes, box of each word): words in one line, a gap in letter heights apart."""
    face = fonts.font_files("eval")[0]
    masks = [fonts.render(word, face, CAP) for word in words]
    frame = np.full((2 * MARGIN + max(mask.shape[0] for mask in masks), 2 * MARGIN + sum(mask.shape[1] + int(gap * CAP) for mask in masks)), float(GROUND))
    strokes, boxes, x, bottom = np.zeros(frame.shape, bool), [], MARGIN, MARGIN + max(mask.shape[0] for mask in masks)
    for mask in masks:
        h, w = mask.shape
        part = np.s_[bottom - h : bottom, x : x + w]
        frame[part] += (PRINT - GROUND) * mask
        strokes[part] |= mask > 0.5
        boxes.append(np.array([x, bottom - h, x + w, bottom], float))
        x += w + int(gap * CAP)
    return frame.astype(np.uint8), strokes, boxes


def found(boxes):
    n = len(boxes)
    return Detections(np.array(boxes, np.float32).reshape(n, 4), np.full(n, 0.9, np.float32), np.zeros(n, np.int64), (MARKER,))


def cleaned(frame, boxes, reader, policy=POLICY):
    detector = lambda image, threshold=None: found(boxes if (image == frame).all() else [])
    return cleaning.clean_radiograph(Radiograph(frame[None], frame[None], (0,), Path("drawn.png"), "PNG"), cleaning.Cleaner(detector, reader, policy))


def one_box(boxes):
    rows = np.array(boxes)
    return [np.concatenate([rows[:, :2].min(axis=0), rows[:, 2:].max(axis=0)])]


@pytest.mark.parametrize(
    "words, joined", [(("AP",), True), (("AP", "ERECT"), False), (("SEMI-ERECT",), True), (("10", "MIN"), True), (("EN", "PIE"), False), (("Lateral",), True), (("L", "AP"), True)])
def test_whole_lines_of_phrases_are_retained_stroke_by_stroke(engine, words, joined):
    frame, strokes, boxes = line(*words)
    result = cleaned(frame, one_box(boxes) if joined else boxes, engine)
    assert {(d.action, d.reason) for d in result.decisions} == {("keep", KEPT_PHRASE)}
    assert (result.stored[0][strokes] == frame[strokes]).all()
    assert all(d.reading.text == " ".join(words).upper() for d in result.decisions)


@pytest.mark.parametrize(
    "words, boxes_of",
    [(("AP", "SMITH"), one_box), (("SMITH", "AP"), list), (("AP", "KM"), lambda boxes: boxes[:1]), (("AP", "12.05.24"), lambda boxes: boxes[:1]), (("10", "MIN", "14:30"), list),
     (("ERECT", "7"), lambda boxes: boxes[:1]), (("L", "ERECT", "K"), one_box), (("SMITH", "AP"), lambda boxes: boxes[-1:])],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_a_line_with_anything_else_goes_whole(engine, words, boxes_of):
    frame, _, boxes = line(*words)
    given = boxes_of(boxes)
    result = cleaned(frame, given, engine)
    assert not any(d.action == "keep" for d in result.decisions)
    for x1, y1, x2, y2 in np.array(given, int):
        assert not result.stored[0, y1:y2, x1:x2].any()


def test_a_name_some_letters_away_is_still_in_the_line(engine):
    frame, _, boxes = line("AP", "SMITH", gap=3.5)
    assert not any(d.action == "keep" for d in cleaned(frame, boxes[:1], engine).decisions)


@pytest.mark.parametrize("word", ["ALP", "AP1", "ERICH", "PAPA", "10:30", "A.P."])
def test_look_alikes_go(engine, word):
    frame, _, boxes = line(word)
    assert not any(d.action == "keep" for d in cleaned(frame, boxes, engine).decisions)


def test_initials_apart_are_no_projection(engine):
    frame, _, boxes = line("P", "A", gap=0.5)
    assert not any(d.action == "keep" for d in cleaned(frame, one_box(boxes), engine).decisions)


@pytest.mark.parametrize("policy", [Policy(), Policy(keep=("laterality", "PA"))], ids=["default", "others"])
def test_phrases_stay_only_where_they_are_listed(engine, policy):
    frame, _, boxes = line("ERECT")
    assert not any(d.action == "keep" for d in cleaned(frame, boxes, engine, policy).decisions)


def test_a_patient_of_that_name_is_not_retained(engine, monkeypatch):
    frame, _, boxes = line("ERECT")
    monkeypatch.setattr(cleaning.images, "telling", lambda radiograph: frozenset({Identifier("name", "Erect^Ann")}))
    assert not any(d.action == "keep" for d in cleaned(frame, boxes, engine).decisions)


def test_a_faint_box_beside_a_line_removes_it(engine):
    frame, _, boxes = line("ERECT")
    decisions = cleaned(frame, boxes, engine).decisions
    x1, y1, x2, y2 = boxes[0]
    from markerremover.second_pass.phrases.kept_lines import alone

    assert [d.action for d in alone(decisions, [(0, np.array([x2 + 40, y1, x2 + 160, y2]))])] == ["remove"]
    assert [d.action for d in alone(decisions, [(1, np.array([x2 + 40, y1, x2 + 160, y2])), (0, np.array([x2 + 40, y2 + 60, x2 + 160, y2 + 90]))])] == ["keep"]


def test_lines():
    assert lines_of(np.zeros((0, 4))) == []
    assert lines_of(np.array([[0, 0, 10, 10], [100, 0, 110, 10], [55, 2, 60, 12]], float)) == [(0, 1, 2)]
    assert not in_line(np.array([0, 0, 10, 10]), np.array([0, 9, 10, 19])) and not in_line(np.array([0, 0, 10, 10]), np.array([61, 0, 70, 10]))
