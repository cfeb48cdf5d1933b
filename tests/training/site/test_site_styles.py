"""Styles measured on labelled radiographs, and films drawn in them."""

import cv2
import numpy as np
import pytest

from markerremover.labels import labelled_folder
from markerremover.labels.labelled_folder import Sample
from markerremover.records import Annotation, Element
from markerremover.training.site import drawing, styles

GROUND = 90


def film(tmp_path, name: str, marks, shape=(400, 360), noise=9.0) -> Sample:
    """A film with marks drawn by OpenCV: (kind, label, text, (x, y) of the base line, height, grey level, grey level of a box or None)."""
    rng = np.random.default_rng(1)
    picture = np.clip(rng.normal(GROUND, noise, shape), 0, 255).astype(np.uint8)
    picture[180:200, 300:320], picture[200:220, 300:320] = 0, 255  # the whole range, so that nothing is stretched when it is read
    elements = []
    for kind, label, text, (x, y), high, level, box in marks:
        size = high / cv2.getTextSize("H", cv2.FONT_HERSHEY_SIMPLEX, 1.0, 2)[0][1]
        (w, h), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 2)
        if box is not None:
            picture[y - h - 8 : y + 8, x - 8 : x + w + 8] = box
        before = picture.copy()
        cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, level, 2, cv2.LINE_AA)
        ys, xs = np.nonzero(picture != before)
        elements.append(Element((float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)), kind, label))
    path = tmp_path / f"{name}.png"
    cv2.imwrite(str(path), picture)
    return Sample(path, Annotation(path.name, shape, tuple(elements)), name)


SIDE = ("laterality", "D", "D", (20, 50), 24, 200, None)
TEXT = ("marker", "ABCDEF rot0", "ABCDEF", (200, 380), 12, 255, 0)
DARK = ("marker", "", "MC", (20, 380), 18, 20, None)


def test_size_grey_level_place_and_text_are_those_of_the_film(tmp_path):
    side, text, dark = styles.styles_of(film(tmp_path, "a", [SIDE, TEXT, DARK]))
    assert (side.kind, side.text, side.letters) == ("laterality", "D", 1) and 17 / 400 <= side.cap <= 20 / 400
    assert side.level > side.ground + 40 and not side.pasted and side.xy[0] < 0.2 and side.xy[1] < 0.2
    assert text.text == "ABCDEF" and text.pasted and text.ground < 10 and text.level > 200
    assert dark.level < 60 < dark.ground and not dark.pasted and dark.letters in (1, 2)


@pytest.mark.parametrize(
    ("label", "text", "mirrored", "turn"),
    [("L mirrored rot90", "L", True, 90), ("L boxed", "L", False, 0), ("L in circle", "L", False, 0), ("R rot-30", "R", False, 330), ("LEFT (cut)", "LEFT", False, 0)],
)
def test_what_a_label_describes_is_not_what_is_printed(tmp_path, label, text, mirrored, turn):
    (style,) = styles.styles_of(film(tmp_path, "a", [("laterality", label, "L", (100, 100), 24, 230, None)]))
    assert (style.text, style.mirrored, style.turn) == (text, mirrored, turn)


@pytest.mark.parametrize("label", ["arrow", "arrow up", "drawn ring", "illegible plate", "dotted line"])
def test_what_are_no_letters_has_no_style(tmp_path, label):
    assert styles.styles_of(film(tmp_path, "a", [("marker", label, "AB", (100, 100), 24, 230, None)])) == []


def test_an_annotation_that_does_not_stand_out_and_one_that_is_uncertain_have_no_style(tmp_path):
    plain = film(tmp_path, "a", [], noise=0)
    boxes = (Element((50, 50, 80, 70), "marker"), Element((100, 50, 102, 52), "marker"), Element((150, 150, 180, 180), "uncertain"))
    assert styles.styles_of(Sample(plain.path, Annotation(plain.path.name, (400, 360), boxes), "a")) == []
    assert styles.layout_of([plain], ["L"]) is None


def test_a_ring_is_told_from_a_frame(tmp_path):
    picture = np.clip(np.random.default_rng(1).normal(60, 8, (200, 200)), 0, 255).astype(np.uint8)
    cv2.circle(picture, (50, 50), 28, 240, 3), cv2.rectangle(picture, (120, 22), (178, 78), 240, 3)
    for x in (42, 140):
        cv2.putText(picture, "L", (x, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 240, 2)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    elements = (Element((20, 20, 80, 80), "laterality", "L"), Element((118, 20, 180, 80), "laterality", "L"))
    found = styles.styles_of(Sample(tmp_path / "a.png", Annotation("a.png", (200, 200), elements), "a"))
    assert [style.framed for style in found] == ["ring", "frame"] and all(style.cap < 0.15 for style in found), "the height is the letter's"


def test_the_layout_draws_the_markers_of_the_site_at_its_sizes(tmp_path):
    layout = styles.layout_of([film(tmp_path, "a", [SIDE, TEXT])], ["I", "d"])
    side, text = layout.marks
    assert side.texts == ("D", "I") and side.kind == "laterality" and side.places[0].name == "top-left"
    assert side.size[0] < 18 / 400 < side.size[1] and side.layer == "lead"
    assert text.texts[0] == "ABCDEF" and "{id}" in text.texts and text.styles == ("box",) and text.layer == "console" and text.grey[1] == 255


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    place = tmp_path_factory.mktemp("films")
    samples = [film(place, f"p{i}", [SIDE, TEXT]) for i in range(2)]
    return samples, place, drawing.draw(samples, place / "drawn", 4, 7, ["D", "I"])


def test_films_are_drawn_in_both_halves_and_a_fifth_is_set_apart(films):
    _, _, drawn = films
    assert len(drawn.own) == len(drawn.others) == 13 and len(drawn.held_back) == 6
    assert {s.path.name.partition("-")[0] for s in drawn.held_back} == {"own", "other"} and not {s.path for s in drawn.held_back} & {s.path for s in (*drawn.own, *drawn.others)}
    assert drawn.some(5) == (*drawn.own[:5], *drawn.others[:5])


def test_own_films_show_markers_of_the_site_at_about_their_height(films):
    _, _, drawn = films
    sides = [e for s in drawn.own for e in s.annotation.elements if e.kind == "laterality"]
    assert len(sides) >= 8 and {e.text.split()[0] for e in sides} <= {"D", "I"}
    heights = [(e.xyxy[3] - e.xyxy[1]) / max(s.annotation.shape_hw) for s in drawn.own for e in s.annotation.elements if e.kind == "laterality"]
    assert 0.035 < np.median(heights) < 0.06


def test_every_film_fits_its_annotation_and_is_for_its_owner_only(films):
    _, _, drawn = films
    for sample in (*drawn.own, *drawn.others, *drawn.held_back):
        assert labelled_folder.read_grey(sample.path).shape == sample.annotation.shape_hw
        assert sample.path.stat().st_mode & 0o077 == 0 and sample.patient.startswith("drawn ")


def test_the_same_seed_draws_the_same_films(films, tmp_path):
    samples, place, drawn = films
    again = drawing.draw(samples, tmp_path / "drawn", 4, 7, ["D", "I"])
    assert [s.path.read_bytes() for s in again.own[:3]] == [s.path.read_bytes() for s in drawn.own[:3]]
    assert [s.annotation.elements for s in again.own] == [s.annotation.elements for s in drawn.own]


def test_films_without_any_annotation_give_no_films_in_a_style(tmp_path):
    drawn = drawing.draw([film(tmp_path, "a", [])], tmp_path / "drawn", 1, 7, ["L"])
    assert drawn.own == () and len(drawn.others) == 13 and len(drawn.held_back) == 3
