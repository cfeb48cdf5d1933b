"""Training of the stroke network: what it is taught, and that a training writes a network that the second pass can use."""

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")
pytest.importorskip("ultralytics", reason="the extra 'train' is not installed")

from markerremover.errors import AnnotationError  # noqa: E402
from markerremover.records import Element
from markerremover.second_pass import glyphs, stroke_network
from markerremover.second_pass.stroke_network import GROUND, LETTER, PRINT, RING
from markerremover.second_pass.view import view_of_box
from markerremover.synthesis import folder
from markerremover.system.files import sha256_file
from markerremover.training.second_pass import train_strokes
from markerremover.training.second_pass.train_strokes import UNKNOWN, classes_of

pytestmark = pytest.mark.train


def letter(char: str = "R", height: int = 60) -> np.ndarray:
    mask = glyphs.draw(char, thick=1.4)
    return cv2.resize(mask.astype(np.float32), (round(mask.shape[1] * height / mask.shape[0]), height), interpolation=cv2.INTER_AREA) > 0.5


def laid(mask: np.ndarray, kind: str, text: str, x: int = 20, y: int = 20):
    """Classes in a frame of 120 x 120 in which one element has the strokes of a mask."""
    ink = np.zeros((120, 120), np.uint16)
    ink[y : y + mask.shape[0], x : x + mask.shape[1]][mask] = 1
    ys, xs = np.nonzero(ink)
    box = float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)
    return classes_of(np.where(ink > 0, 200, 60).astype(np.uint8), ink, [Element(box, kind, text)]), ink > 0


@pytest.mark.parametrize(("kind", "expected"), [("laterality", LETTER), ("marker", PRINT), ("uncertain", UNKNOWN)])
def test_strokes_have_the_class_of_their_element(kind, expected):
    classes, ink = laid(letter(), kind, "R")
    assert (classes[ink] == expected).all() and (classes[~ink] == GROUND).all()


def test_a_letter_that_is_drawn_like_a_laterality_marker_is_taught_like_one():
    classes, ink = laid(letter("K"), "marker", "K stencil alone")
    assert (classes[ink] == LETTER).all()


def test_an_outlined_letter_is_taught_as_a_solid_one_with_its_counter():
    solid = np.pad(letter("R", 80), 3)
    rim = solid & ~(cv2.erode(solid.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0)
    classes, _ = laid(rim, "laterality", "R outlined mirrored")
    taught = classes[20 : 20 + solid.shape[0], 20 : 20 + solid.shape[1]] == LETTER
    assert (taught == solid).mean() > 0.99 and taught.sum() > 1.3 * rim.sum()


def test_an_outline_that_is_as_wide_as_the_stroke_keeps_its_counter():
    solid = letter("R", 60)
    classes, ink = laid(solid, "laterality", "R outlined")
    assert (classes[ink] == LETTER).all() and (classes == LETTER).sum() == ink.sum()


def test_the_gaps_of_a_dotted_letter_are_closed():
    dots = np.zeros((70, 50), np.uint8)
    for y in range(5, 65, 10):
        cv2.circle(dots, (6, y), 3, 1, -1)
    for x in range(16, 46, 10):
        cv2.circle(dots, (x, 55), 3, 1, -1)
    classes, ink = laid(dots > 0, "laterality", "L")
    count, *_ = cv2.connectedComponents((classes == LETTER).astype(np.uint8))
    assert count == 2 and (classes[ink] == LETTER).all()


def test_a_ring_is_told_from_the_letter_in_it_also_on_a_disc():
    ring = np.zeros((90, 90), np.uint8)
    cv2.circle(ring, (45, 45), 40, 1, 3)
    small = letter("L", 40)
    ring[25:65, 30 : 30 + small.shape[1]][small] = 2
    classes, _ = laid(ring > 0, "laterality", "L ring")
    assert (classes[20:110, 20:110][ring == 1] == RING).all() and (classes[20:110, 20:110][ring == 2] == LETTER).all()
    disc = np.zeros((90, 90), np.uint8)
    cv2.circle(disc, (45, 45), 44, 1, -1)
    ink = np.zeros((120, 120), np.uint16)
    ink[20:110, 20:110] = disc
    grey = np.full((120, 120), 90, np.uint8)
    grey[20:110, 20:110][disc > 0] = 0
    grey[20:110, 20:110][ring > 0] = 255
    classes = classes_of(grey, ink, [Element((20.0, 20.0, 110.0, 110.0), "laterality", "L ring")])[20:110, 20:110]
    assert (classes[ring == 1] == RING).mean() > 0.99 and (classes[ring == 2] == LETTER).all() and (classes[(disc > 0) & (ring == 0)] == GROUND).mean() > 0.9


def test_a_marker_of_which_the_ring_cannot_be_told_is_not_taught():
    classes, ink = laid(letter(), "laterality", "R ring")
    assert (classes[ink] == UNKNOWN).all()


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    out = tmp_path_factory.mktemp("films")
    folder.synthesize(out, count=10, seed=5, masks=True, size=(360, 420), real_share=0.0)
    return out


def test_windows_lie_around_elements_and_what_is_beyond_the_film_is_not_taught(films):
    windows = train_strokes.gather([films], np.random.default_rng(0), repeats=1)
    side = train_strokes.WINDOW
    assert windows.pictures.shape[1:] == (2, side, side) and windows.labels.shape[1:] == (side, side) and windows.is_laterality.any()
    for picture, labels, is_laterality in zip(windows.pictures, windows.labels, windows.is_laterality):
        box = picture[1] > 0
        assert box.any() and set(np.unique(labels)) <= {GROUND, LETTER, RING, PRINT, UNKNOWN}
        assert is_laterality <= bool(np.isin(labels[box], (LETTER, RING, UNKNOWN)).any())


def test_folders_without_masks_are_refused(films, tmp_path):
    plain = tmp_path / "plain"
    folder.synthesize(plain, count=2, seed=5, size=(200, 200), real_share=0.0)
    with pytest.raises(AnnotationError, match="--masks"):
        train_strokes.gather([plain], np.random.default_rng(0))


def test_variations_move_picture_and_labels_together():
    picture = np.zeros((6, 2, 96, 96), np.uint8)
    labels = np.zeros((6, 96, 96), np.uint8)
    picture[:, 0, 20:40, 30:90] = 200
    picture[:, 1, 20:40, 30:90] = 255
    labels[:, 20:40, 30:90] = LETTER
    inputs, targets = train_strokes.varied(np.random.default_rng(3), picture, labels)
    assert inputs.dtype == np.float32 and ((inputs[:, 1] > 0) == (targets == LETTER)).all() and len({t.tobytes() for t in targets}) > 1


def test_a_training_learns_and_writes_a_network_that_the_second_pass_can_use(films, tmp_path):
    said: list[str] = []
    out = train_strokes.train([films], tmp_path / "strokes.onnx", minutes=0.12, repeats=1, say=said.append)
    assert out.is_file() and out.with_suffix(".pt").is_file() and any("letters" in line for line in said)
    network = stroke_network.of_card({"strokes": {"file": "strokes.onnx", "sha256": sha256_file(out)}}, tmp_path)
    view = view_of_box(np.random.default_rng(0).integers(0, 255, (150, 210), np.uint8), np.array([60, 50, 110, 90], float))
    answer = network(view)
    assert answer.shape == (4, *view.grey.shape) and np.allclose(answer.sum(axis=0), 1, atol=1e-3)
    said.clear()
    train_strokes.train([films], out, minutes=0.01, repeats=1, say=said.append)
    assert any("goes on" in line for line in said)
