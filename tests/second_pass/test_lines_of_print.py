"""A letter in one line or one block with other print is an initial, whatever stands between; the letter of a plate is none."""

import cv2
import numpy as np
import pytest

from markerremover.records import Decision, Reading
from markerremover.second_pass import glyphs, lines_of_print
from markerremover.synthesis.marks import fonts

FACE = next(f for f in fonts.font_files("train") if "DejaVuSans-Bold" in f)
CAP = 40


def scene(text: str, at: int, view: int = 0, cap: float = CAP, under: str = "", under_cap: float = CAP, pitch: float = 1.5, letter: str = "L"):
    """A frame, the reading of the character at a place of a text, and the box of the rest; `under` stands in a line below."""
    whole = fonts.render(text, FACE, cap)
    font = fonts._font(FACE, max(5, round(cap / fonts._cap_share(FACE))))
    a, b = (int(np.clip(round(font.getlength(text[:k]) - font.getbbox(text)[0]), 0, whole.shape[1])) for k in (at, at + 1))
    below = fonts.render(under, FACE, under_cap) if under else np.zeros((0, 0), np.float32)
    alpha = np.zeros((max(whole.shape[0], int(cap * pitch) + below.shape[0]), max(whole.shape[1], below.shape[1])), np.float32)
    alpha[: whole.shape[0], : whole.shape[1]] = whole
    alone = np.zeros_like(alpha)
    alone[:, a:b] = alpha[:, a:b]
    if under:
        alpha[int(cap * pitch) : int(cap * pitch) + below.shape[0], : below.shape[1]] = below
    alpha, alone = (np.ascontiguousarray(glyphs.dihedral(mask)[view]) for mask in (alpha, alone))
    frame = np.full((alpha.shape[0] + 300, alpha.shape[1] + 300), 70.0) + np.random.default_rng(0).normal(0, 1, (alpha.shape[0] + 300, alpha.shape[1] + 300))
    part = np.s_[150 : 150 + alpha.shape[0], 150 : 150 + alpha.shape[1]]
    frame[part] = frame[part] * (1 - alpha) + 230 * alpha
    ys, xs = np.nonzero(alone > 0.5)
    box = tuple(int(v) + 150 for v in (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1))
    mask = alone[box[1] - 150 : box[3] - 150, box[0] - 150 : box[2] - 150] > 0.5
    rest = np.argwhere((alpha > 0.5) & (alone <= 0))
    other = np.array([*(rest.min(0)[::-1] + 150), *(rest.max(0)[::-1] + 151)], float) if len(rest) else np.zeros(4)
    return np.clip(frame, 0, 255).astype(np.uint8), Reading(box, letter, 0.9, mask, upright(view), view > 3, "", mask), other


def upright(view: int) -> float:
    """The turn, counter-clockwise, that undoes a view of `glyphs.dihedral` before its flip is undone."""
    return float(90 * (view % 4) if view > 3 else -90 * (view % 4) % 360)


def keep(frame: np.ndarray, reading: Reading, *known_boxes: np.ndarray) -> str:
    x1, y1, x2, y2 = reading.xyxy
    decision = Decision(0, reading.xyxy, "keep", "isolated laterality marker", 0.9, "laterality", reading, np.asarray(reading.strokes))
    done = lines_of_print.alone([decision], [frame[None]], [(0, box) for box in known_boxes])
    assert len(done) == 1 and done[0].xyxy == decision.xyxy
    return done[0].action


@pytest.mark.parametrize("view", range(8))
@pytest.mark.parametrize(("text", "at"), [("L. SCHMIDT", 0), ("SCHMIDT, L", 9), ("L-MUELLER", 0), ("L - WU", 0), ("L WU", 0), ("L 12345", 0), ("Dr. L Meyer", 4)])
def test_an_initial_goes_whichever_way_its_name_lies(text, at, view):
    frame, reading, rest = scene(text, at, view)
    before = frame.copy()
    assert keep(frame, reading, rest) == "remove" and np.array_equal(frame, before)


@pytest.mark.parametrize("cap", [10, 15, 30, 60, 110])
def test_at_every_size(cap):
    frame, reading, rest = scene("R. SCHMIDT", 0, cap=cap, letter="R")
    assert keep(frame, reading, rest) == "remove"


def test_a_name_that_no_box_holds_is_seen_by_its_letters():
    frame, reading, _ = scene("L. SCHMIDT", 0)
    assert keep(frame, reading) == "remove"


@pytest.mark.parametrize("view", [0, 3, 5])
def test_an_initial_right_above_a_name_goes(view):
    frame, reading, rest = scene("L", 0, view, under="SCHMIDT")
    assert keep(frame, reading, rest) == "remove"


@pytest.mark.parametrize("view", range(8))
@pytest.mark.parametrize(("under", "size"), [("", 0), ("JS", 0.5), ("KM", 0.6), ("PORTABLE", 0.4)])
def test_a_sign_alone_or_with_its_plates_initials_stays(under, size, view):
    frame, reading, rest = scene("L", 0, view, under=under, under_cap=size * CAP, pitch=1.2)
    assert keep(frame, reading, *([rest] if under else [])) == "keep"


def test_the_same_letter_is_looked_at_again_only_with_other_boxes_near_it(monkeypatch):
    frame, reading, rest = scene("L" + " " * 12 + "SCHMIDT", 0)
    decision = Decision(0, reading.xyxy, "keep", "isolated laterality marker", 0.9, "laterality", reading, np.asarray(reading.strokes))
    asked, really = [], lines_of_print.stands_in_print
    monkeypatch.setattr(lines_of_print, "stands_in_print", lambda *given: asked.append(len(given[2])) or really(*given))
    looked = lines_of_print.Looked()
    x1, y1, x2, y2 = reading.xyxy
    far, near = np.array([5000.0, 5000, 5100, 5050]), np.array([x2 + 4.0, y1, x2 + 20, y2])
    for others in ([], [(0, far)], [(0, near)], [(0, far), (0, near)]):
        assert lines_of_print.alone([decision], [frame[None]], others, looked)[0].action == "keep"
    assert asked == [0, 1]
    lines_of_print.alone([decision], [frame[None]])
    assert asked == [0, 1, 0]


def test_print_far_off_or_of_another_frame_spoils_nothing():
    frame, reading, rest = scene("L" + " " * 12 + "SCHMIDT", 0)
    assert keep(frame, reading, rest) == "keep"
    decision = Decision(1, reading.xyxy, "keep", "isolated laterality marker", 0.9, "laterality", reading, np.asarray(reading.strokes))
    named, plain = scene("L. SCHMIDT", 0)[0], scene("L", 0)[0]
    views = [np.stack([named, np.full_like(named, 70)])]
    views[0][1][: plain.shape[0], : min(plain.shape[1], named.shape[1])] = plain[:, : named.shape[1]]
    assert lines_of_print.alone([decision], views, [(0, rest)])[0].action == "keep"


def test_nothing_to_judge():
    assert lines_of_print.alone([], [np.zeros((1, 20, 20), np.uint8)]) == ()
    removed = Decision(0, (2, 2, 9, 9), "remove", "no laterality marker to retain", 0.9)
    assert lines_of_print.alone([removed], [np.zeros((1, 20, 20), np.uint8)]) == (removed,)


def test_a_box_that_holds_the_letter_and_a_longer_text_takes_it_along():
    frame = cv2.GaussianBlur(np.random.default_rng(0).integers(60, 200, (200, 400)).astype(np.uint8), (0, 0), 9)  # nothing can be seen here
    mask = np.ones((40, 26), bool)
    kept = Decision(0, (50, 80, 76, 120), "keep", "isolated laterality marker", 0.98, "laterality", Reading((50, 80, 76, 120), "R", 0.9, mask, letter=mask), mask)
    for length, action in ((250, "remove"), (90, "keep")):
        text = Reading((48, 78, 48 + length, 122), "R", 0.9, np.ones((44, length), bool), doubt="part of a longer text")
        other = Decision(0, text.xyxy, "remove", "part of a longer text", 0.9, "marker", text)
        assert lines_of_print.alone([kept, other], [frame[None]])[0].action == action


def removed(box: tuple[int, int, int, int]) -> Decision:
    return Decision(0, box, "remove", "no laterality marker to retain", 0.8, "marker", Reading(box))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("boxes, action", [
    (((232, 98, 320, 142), (330, 98, 420, 142)), "remove"),  # two pieces of a name, after a dash that no box holds
    (((200, 116, 212, 124), (240, 98, 320, 142), (330, 98, 420, 142)), "remove"),
    (((240, 98, 320, 142),), "keep"),  # too short for a line
    (((240, 98, 320, 142), (480, 98, 570, 142)), "keep"),  # not end to end
    (((240, 40, 320, 84), (330, 40, 420, 84)), "keep"),  # another line
    (((240, 70, 320, 170), (330, 70, 420, 170)), "keep"),  # far larger
])
def test_pieces_of_a_long_line_after_a_letter_make_an_initial_of_it(boxes, action, turned):
    box, rotation = (160, 100, 190, 140), 0.0
    if turned:
        box, boxes, rotation = (box[1], box[0], box[3], box[2]), tuple((b, a, d, c) for a, b, c, d in boxes), 90.0
    strokes = np.ones((box[3] - box[1], box[2] - box[0]), bool)
    letter = Decision(0, box, "keep", "isolated laterality marker", 0.9, "laterality", Reading(box, "L", 0.9, strokes, rotation, False, "", strokes), strokes)
    frame = np.full((1, 700, 700), 70, np.uint8)
    done = lines_of_print.alone([letter, *map(removed, boxes)], [frame], [])
    assert done[0].action == action
