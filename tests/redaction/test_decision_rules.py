"""Every way a box can be decided, and what overlapping boxes do to a retained laterality marker."""

from dataclasses import replace

import numpy as np
import pytest

from markerremover.records import Decision, Policy, Reading
from markerremover.redaction import decision_rules as decide_module
from markerremover.redaction.decision_rules import REASONS, decide, resolve, with_empty_ground

SHAPE = (100, 200)
BOX = np.array([50.0, 40.0, 70.0, 70.0])


def reading(text="L", confidence=0.9, doubt="", xyxy=(50, 40, 70, 70), strokes="corner"):
    x1, y1, x2, y2 = xyxy
    mask = None
    if strokes is not None:
        mask = np.zeros((y2 - y1, x2 - x1), bool)
        if strokes == "corner":
            mask[2:-2, 2:8] = mask[-8:-2, 2:-2] = True
        elif strokes == "full":
            mask[:] = True
    return Reading(xyxy, text, confidence, mask, doubt=doubt)


def decided(found, policy=Policy(), box=BOX):
    return decide(0, box, 0.8, "marker", found, policy, SHAPE)


@pytest.mark.parametrize(
    ("found", "policy", "action", "reason"),
    [
        (reading(), Policy(), "keep", "isolated laterality marker"),
        (reading("D"), Policy(keep=("D", "I")), "keep", "isolated laterality marker"),
        (reading(confidence=0.7), Policy(), "keep", "isolated laterality marker"),
        (reading(confidence=0.69), Policy(), "remove", "reading uncertain"),
        (reading("LEFT", confidence=0.5), Policy(), "keep", "isolated laterality marker"),
        (reading("LEFT", confidence=0.49), Policy(), "remove", "reading uncertain"),
        (reading(confidence=float("nan")), Policy(), "remove", "reading uncertain"),
        (reading("D"), Policy(), "remove", "no laterality marker to retain"),
        (reading("", 0.0, strokes=None), Policy(), "remove", "no laterality marker to retain"),
        (reading(strokes=None), Policy(), "remove", "reading uncertain"),
        (reading(strokes="none set"), Policy(), "remove", "reading uncertain"),
        (reading(doubt="part of a longer text"), Policy(), "remove", "part of a longer text"),
        (reading(doubt="touches other strokes"), Policy(), "remove", "touches other strokes"),
        (reading(doubt="DOE, JANE was here"), Policy(), "remove", "reading uncertain"),
        (None, Policy(), "remove", "no reading"),
        (None, Policy(keep=()), "remove", "nothing kept by policy"),
        (reading(), Policy(keep=()), "remove", "nothing kept by policy"),
    ],
)
def test_table(found, policy, action, reason):
    decision = decided(found, policy)
    assert (decision.action, decision.reason) == (action, reason)
    assert decision.reason in REASONS
    assert (decision.strokes is not None) == (action == "keep")


def test_region_is_the_grown_box():
    assert decided(None, Policy(margin=0.5, margin_px=3)).xyxy == (40, 30, 80, 80)
    assert decided(None, Policy(margin=0.0, margin_px=3)).xyxy == (47, 37, 73, 73)


def test_a_plate_far_larger_than_its_letter_is_not_blackened_around():
    found = reading(xyxy=(30, 20, 75, 95), strokes="full")
    decision = decided(found)
    assert decision.xyxy == (45, 35, 75, 75) and decision.strokes.all()


def test_a_sign_whose_strokes_lie_outside_its_box_is_doubt():
    assert decided(reading(xyxy=(150, 10, 170, 40))).reason == "reading uncertain"


def test_kept_strokes_keep_their_place_in_the_region():
    decision = decided(reading())
    x1, y1, x2, y2 = decision.xyxy
    whole = np.zeros(SHAPE, bool)
    whole[y1:y2, x1:x2] = decision.strokes
    assert np.array_equal(whole[40:70, 50:70], reading().strokes) and whole.sum() == reading().strokes.sum()


@pytest.mark.parametrize("box", [[-50, -50, -10, -10], [500, 500, 600, 600], [20, 20, 20, 20], [30, 30, 10, 10], [np.nan] * 4])
def test_odd_boxes_still_give_a_valid_decision(box):
    x1, y1, x2, y2 = decided(None, box=np.array(box, float)).xyxy
    assert 0 <= x1 < x2 <= SHAPE[1] and 0 <= y1 < y2 <= SHAPE[0]


def removed(xyxy, found=None, frame=0, score=0.5):
    return Decision(frame, xyxy, "remove", "no laterality marker to retain" if found else "no reading", score, reading=found)


def test_nothing_to_resolve():
    assert resolve([]) == ()
    assert resolve([removed((0, 0, 5, 5))])[0].action == "remove"


def test_apart_or_in_another_frame_nothing_changes():
    kept = decided(reading())
    for other in (removed((150, 10, 180, 30)), removed((50, 40, 70, 70), frame=1)):
        first, second = resolve([kept, other])
        assert np.array_equal(first.strokes, kept.strokes) and second is other


@pytest.mark.parametrize(
    ("confidence", "other", "action"),
    [
        (0.9, reading("", 0.0, strokes=None), "keep"),
        (0.6, reading("", 0.0, strokes=None), "remove"),
        (0.9, reading("L", 0.9, doubt="part of a longer text"), "remove"),
    ],
)
def test_same_letter_found_twice(confidence, other, action):
    kept = decide(0, BOX, 0.8, "laterality", reading(confidence=confidence), Policy(), SHAPE)
    first, second = resolve([kept, removed((48, 38, 72, 72), other)])
    assert first.action == action and second.action == "remove"
    assert first.reason == ("isolated laterality marker" if action == "keep" else "contradicted by another box")


@pytest.mark.parametrize(
    ("label", "score", "action"),
    [("laterality", 0.95, "remove"), ("laterality", 0.8, "remove"), ("laterality", 0.3, "keep"), ("marker", 0.3, "remove")],
)
def test_box_around_a_longer_text_takes_its_letter_along_unless_less_sure_than_that_of_a_side_sign(label, score, action):
    line = reading("L", 0.9, xyxy=(40, 40, 160, 70), doubt="part of a longer text", strokes=None)
    kept = decide(0, BOX, 0.8, label, reading(), Policy(), SHAPE)
    assert resolve([kept, removed((37, 37, 163, 73), line, score=score)])[0].action == action


def test_plate_box_that_read_nothing_leaves_the_sign():
    plate = reading("", 0.0, xyxy=(40, 30, 110, 98), strokes=None)
    kept = decided(reading())
    assert np.array_equal(resolve([kept, removed((37, 27, 113, 100), plate)])[0].strokes, kept.strokes)


def test_initials_inside_a_kept_plate_leave_the_strokes():
    kept = decided(reading(strokes="full", xyxy=(50, 40, 90, 90)), box=np.array([50.0, 40, 90, 90]))
    initials = removed((58, 72, 82, 86), reading("", 0.0, xyxy=(60, 74, 80, 84), strokes=None))
    first, _ = resolve([kept, initials])
    x0, y0 = first.xyxy[:2]
    assert first.action == "keep"
    assert not first.strokes[74 - y0 : 84 - y0, 60 - x0 : 80 - x0].any()
    assert first.strokes.sum() == kept.strokes.sum() - 200


def test_neighbour_box_over_the_foot_of_a_letter_does_not_bite_it():
    kept = decided(reading())
    beside = removed((55, 60, 110, 95), reading("", 0.0, xyxy=(58, 63, 108, 93), strokes=None))
    assert np.array_equal(resolve([kept, beside])[0].strokes, kept.strokes)


def test_what_another_box_takes_of_a_letters_end_goes_as_initials_that_touch_it_lie_there():
    kept = decided(reading())
    rows, columns = np.nonzero(kept.strokes)
    x, top = kept.xyxy[0] + int(columns[rows == rows.min()].min()), kept.xyxy[1] + int(rows.min())
    above = removed((x - 8, top - 22, x + 22, top + 3), reading("", 0.0, xyxy=(x - 6, top - 20, x + 20, top + 2), strokes=None))
    (first, _) = resolve([kept, above])
    assert first.action == "keep" and 0 < kept.strokes.sum() - first.strokes.sum() <= 0.15 * kept.strokes.sum()
    assert not first.strokes[: rows.min() + 2].any()


def test_inputs_are_not_changed():
    kept = decided(reading(strokes="full", xyxy=(50, 40, 90, 90)))
    before = kept.strokes.copy()
    resolve([kept, removed((58, 72, 82, 86))])
    assert np.array_equal(kept.strokes, before)


def drawn(hanger=False):
    """An L over the reading's box (50, 40)-(80, 90), bars 8 px wide, perhaps with a stroke that hangs on to its foot."""
    letter = np.zeros((50, 30), bool)
    letter[2:48, 2:10] = letter[40:48, 2:28] = True
    strokes = letter.copy()
    if hanger:
        strokes[48:50, 12:16] = True
    return Reading((50, 40, 80, 90), "L", 0.9, strokes, letter=letter)


def beside(xyxy, reason="no laterality marker to retain", found=True):
    return Decision(0, xyxy, "remove", reason, 0.9, reading=Reading(xyxy) if found else None)


def kept_of(found):
    return decide(0, np.array([50.0, 40, 80, 90]), 0.9, "laterality", found, Policy(), SHAPE)


def test_a_letter_keeps_the_end_that_another_box_reaches_over():
    kept = resolve([kept_of(drawn()), beside((50, 86, 90, 99))])[0]
    assert kept.action == "keep"
    x, y = kept.xyxy[:2]
    assert kept.strokes[86 - y : 88 - y, 52 - x : 78 - x].all()


def test_what_hangs_on_to_it_there_goes():
    kept = resolve([kept_of(drawn(hanger=True)), beside((50, 86, 90, 99))])[0]
    x, y = kept.xyxy[:2]
    assert kept.strokes[86 - y : 88 - y, 52 - x : 78 - x].all() and not kept.strokes[89 - y, 62 - x : 66 - x].any()


@pytest.mark.parametrize(("label", "confidence", "action"), [("laterality", 0.55, "keep"), ("marker", 0.55, "remove"), ("laterality", 0.49, "remove")])
def test_a_letter_that_the_localizer_takes_for_no_side_sign_must_read_clearly(label, confidence, action):
    assert decide(0, BOX, 0.8, label, reading(confidence=confidence), Policy(), SHAPE).action == action


@pytest.fixture
def likelier_shortened(monkeypatch):
    """The drawn L passes for one that looks more like an L without any of its ends."""
    whole = drawn().letter.sum()
    monkeypatch.setattr(decide_module.glyphs, "resembles", lambda mask, *_: 0.8 if mask.sum() == whole else 0.9)


@pytest.mark.parametrize(
    ("label", "box", "is_retained"),
    [("laterality", (50, 40, 60, 48), True), ("marker", (50, 40, 60, 48), False), ("laterality", (34, 40, 60, 48), False)],
)
def test_an_unread_piece_of_a_laterality_marker_within_the_kept_one_takes_nothing_of_its_letter(likelier_shortened, label, box, is_retained):
    kept = resolve([kept_of(drawn()), Decision(0, box, "remove", "no laterality marker to retain", 0.9, label, Reading(box))])[0]
    x, y = kept.xyxy[:2]
    assert bool(kept.strokes[43 - y : 48 - y, 53 - x : 59 - x].all()) is is_retained and kept.strokes[84 - y, 60 - x]


@pytest.mark.parametrize(("bottom", "is_retained"), [(44, True), (48, False)])
def test_very_little_of_a_letters_end_is_retained_whatever_it_resembles_without_it(likelier_shortened, bottom, is_retained):
    kept = resolve([kept_of(drawn()), beside((50, 30, 60, bottom))])[0]
    x, y = kept.xyxy[:2]
    assert bool(kept.strokes[42 - y : bottom - y, 53 - x : 59 - x].all()) is is_retained


def test_an_end_whose_strokes_are_not_known_to_be_its_own_goes():
    found = drawn()
    unknown = Reading(found.xyxy, "L", 0.9, found.strokes)
    kept = resolve([kept_of(unknown), beside((50, 86, 90, 99))])[0]
    y = kept.xyxy[1]
    assert not kept.strokes[86 - y :].any()


def test_empty_ground_beside_a_letter_goes_where_another_box_lies():
    found = drawn()
    with_ground = Reading(found.xyxy, "L", 0.9, np.ones((50, 30), bool), letter=found.letter)
    assert not with_ground.framed
    alone, crossed = resolve([kept_of(with_ground)])[0], resolve([kept_of(with_ground), beside((64, 30, 90, 75))])[0]
    for decision, is_retained in ((alone, True), (crossed, False)):
        x, y = decision.xyxy[:2]
        assert decision.strokes[50 - y, 70 - x] == is_retained
        assert decision.strokes[84 - y, 54 - x]


def test_a_loose_box_takes_nothing_of_a_sign_and_is_removed_itself():
    policy = Policy()
    loose = decide(0, np.array([48.0, 38, 82, 92]), 0.9, "marker", None, policy, SHAPE, True)
    assert (loose.action, loose.reason) == ("remove", "mostly in a better box")
    alone, crossed = resolve([kept_of(drawn())])[0], resolve([kept_of(drawn()), loose])[0]
    assert (alone.strokes == crossed.strokes).all()
    assert decide(0, BOX, 0.9, "marker", None, Policy(keep=()), SHAPE, True).reason == "nothing kept by policy"


@pytest.mark.parametrize(
    ("box", "label", "filled", "frame", "action"),
    [
        ((86, 60, 102, 72), "marker", False, 0, "remove"), ((86, 60, 102, 72), "marker", True, 0, "remove"),  # right beside the L
        ((86, 60, 102, 72), "laterality", False, 0, "remove"), ((50, 93, 66, 99), "marker", False, 0, "remove"),  # and under it
        ((86, 60, 102, 72), "laterality", True, 0, "keep"),  # a small marker in a separate ring
        ((86, 60, 102, 72), "marker", False, 1, "keep"), ((106, 60, 122, 72), "marker", False, 0, "keep"),  # elsewhere
        ((86, 40, 116, 90), "marker", False, 0, "keep"),  # as large
    ],
)
def test_a_letter_beside_a_much_larger_kept_sign_is_an_initial(box, label, filled, frame, action):
    x1, y1, x2, y2 = box
    strokes = np.ones((y2 - y1, x2 - x1), bool)
    strokes[:, 5:-5] = strokes[:, 5:-5] & filled
    small = Decision(frame, box, "keep", "isolated laterality marker", 0.6, label, Reading(box, "R", 0.9, strokes), strokes)
    assert small.reading.framed is filled
    for order in (1, -1):
        large, found = resolve([kept_of(drawn()), small][::order])[::order]
        assert large.action == "keep" and found.action == action
        assert found.reason == ("isolated laterality marker" if action == "keep" else "beside a larger laterality marker") and found.reason in REASONS


@pytest.mark.parametrize(
    ("label", "length", "framed", "action"),
    [("marker", 100, False, "remove"), ("marker", 60, False, "keep"), ("laterality", 100, False, "keep"), ("marker", 100, True, "keep")],
)
def test_a_small_letter_in_a_long_box_of_print_is_one_of_its_letters(label, length, framed, action):
    strokes = np.zeros((24, length), bool)
    strokes[2:22, 40:64] = framed
    strokes[2:22, 40:46] = strokes[16:22, 40:60] = True
    found = Reading((50, 40, 50 + length, 64), "L", 0.95, strokes)
    assert found.framed is framed
    decision = decide(0, np.array([50.0, 40, 50 + length, 64]), 0.99, label, found, Policy(), SHAPE)
    assert decision.action == action and decision.reason == ("isolated laterality marker" if action == "keep" else "reading uncertain")


@pytest.mark.parametrize("label", ["laterality", "marker"])
def test_what_does_not_look_like_the_letter_that_was_read_goes(label):
    plus = np.zeros((50, 30), bool)
    plus[2:48, 11:19] = plus[21:29, 2:28] = True
    found = Reading((50, 40, 80, 90), "L", 0.95, plus, letter=plus)
    box = np.array([50.0, 40, 80, 90])
    assert decide(0, box, 0.99, label, found, Policy(), SHAPE).reason == "reading uncertain"
    assert decide(0, box, 0.99, label, drawn(), Policy(), SHAPE).action == "keep"
    unknown = Reading(found.xyxy, "L", 0.95, plus)
    assert decide(0, box, 0.99, label, unknown, Policy(), SHAPE).action == "keep"  # its strokes do not stand apart: nothing to compare


def test_a_letter_of_the_kept_word_does_not_contradict_it():
    word = Reading((40, 40, 120, 60), "LEFT", 0.9, np.ones((20, 80), bool))
    kept = decide(0, np.array([40.0, 40, 120, 60]), 0.8, "marker", word, Policy(), SHAPE)
    letter = Reading((42, 38, 118, 62), "L", 0.8, doubt="part of a longer text")
    assert resolve([kept, Decision(0, (42, 38, 118, 62), "remove", "part of a longer text", 0.9, reading=letter)])[0].action == "keep"
    other = Reading((42, 38, 118, 62), "R", 0.8, doubt="part of a longer text")
    assert resolve([kept, Decision(0, (42, 38, 118, 62), "remove", "part of a longer text", 0.9, reading=other)])[0].action == "remove"


def word_of(text: str) -> Reading:
    """A word of four bars, 10 pixels wide and 30 high, 10 apart, with the ground between."""
    letter = np.zeros((30, 70), bool)
    for x in range(0, 70, 20):
        letter[:, x : x + 10] = True
    return Reading((50, 40, 120, 70), text, 0.9, np.ones((30, 70), bool), letter=letter)


def decided_as(found: Reading) -> Decision:
    return decide(0, np.array(found.xyxy, float), 0.9, "laterality", found, Policy(), SHAPE)


def test_boxes_on_a_word_take_ground_between_its_letters_and_nothing_of_them():
    found = word_of("LEFT")
    own = Decision(0, (72, 38, 102, 70), "remove", "part of a longer text", 0.99, "marker", Reading((72, 40, 102, 70), "E", 0.9, doubt="part of a longer text"))
    whole = resolve([decided_as(found), own])[0]
    X, Y = whole.xyxy[:2]
    assert all(whole.strokes[50 - Y, x + 5 - X] for x in (50, 70, 90, 110)) and not whole.strokes[50 - Y, 85 - X], "its letters stay, ground in another box goes"
    crossing = resolve([decided_as(found), beside((96, 38, 160, 72))])[0]
    x, y = crossing.xyxy[:2]
    assert crossing.strokes[50 - y, 112 - x] and not crossing.strokes[50 - y, 105 - x] and crossing.strokes[50 - y, 85 - x]


def test_a_letter_beside_a_word_of_its_height_is_no_initial_but_one_beside_a_far_higher_word_is():
    for height, action in ((28, "keep"), (14, "remove")):
        width = height * 2 // 3
        letter = np.zeros((height, width), bool)
        letter[:, : height // 5 + 1] = letter[-(height // 5) - 1 :] = True
        found = Reading((126, 41, 126 + width, 41 + height), "L", 0.9, letter, letter=letter)
        assert [d.action for d in resolve([decided_as(word_of("LEFT")), decided_as(found)])] == ["keep", action]


@pytest.mark.parametrize(("contrast", "is_retained"), [(0, True), (8, False), (90, False)])
def test_the_ground_of_a_retained_markers_box_stays_where_it_holds_no_print(contrast, is_retained):
    kept = decide(0, np.array([44.0, 34, 100, 110]), 0.9, "laterality", drawn(), Policy(), SHAPE)
    assert not kept.strokes.all()
    view = np.full((1, *SHAPE), 90, np.uint8) + np.random.default_rng(1).integers(0, 3, (1, *SHAPE), np.uint8)
    view[0, 40:90, 50:80][drawn().letter] = 220
    view[0, 94:104, 84:86] += np.uint8(contrast)
    view[0, 94:96, 84:92] += np.uint8(contrast)
    result, other = with_empty_ground([kept, beside((0, 0, 10, 10))], [view])
    x, y = kept.xyxy[:2]
    assert bool(result.strokes[96 - y, 95 - x]) is is_retained and not kept.strokes[96 - y, 95 - x]
    assert result.strokes[kept.strokes].all() and (other.action, other.strokes) == ("remove", None)
    assert kept.strokes.sum() == decide(0, np.array([44.0, 34, 100, 110]), 0.9, "laterality", drawn(), Policy(), SHAPE).strokes.sum(), "not changed"
    blank = np.full((1, *SHAPE), 90, np.uint8)
    assert bool(with_empty_ground([kept], [blank, view])[0].strokes[96 - y, 95 - x]) is is_retained, "in all views"


def test_that_ground_goes_where_another_box_lies_and_a_box_that_a_reviewer_keeps_is_not_touched():
    view = np.full((1, *SHAPE), 90, np.uint8)
    kept, loose = decide(0, np.array([44.0, 34, 100, 110]), 0.9, "laterality", drawn(), Policy(), SHAPE), Decision(0, (90, 30, 110, 112), "remove", "mostly in a better box", 0.9)
    x, y = kept.xyxy[:2]
    result = with_empty_ground([kept, loose], [view])[0]
    assert result.strokes[50 - y, 85 - x] and not result.strokes[50 - y, 92 - x]
    reviewed = Decision(0, (20, 20, 40, 40), "keep", "kept by a reviewer", 1.0, strokes=np.zeros((20, 20), bool))
    assert with_empty_ground([reviewed], [view]) == (reviewed,)


def test_a_hole_in_that_ground_where_the_second_pass_found_something_goes():
    view = np.full((1, *SHAPE), 90, np.uint8) + np.random.default_rng(1).integers(0, 3, (1, *SHAPE), np.uint8)
    found = drawn()
    strokes = np.ones((50, 30), bool)
    strokes[10:24, 14:28] = False
    view[0, 40:90, 50:80][found.letter] = 220
    view[0, 52:62, 66:68] = view[0, 52:62, 74:76] = 180
    kept = decide(0, np.array([44.0, 34, 86, 96]), 0.9, "laterality", Reading(found.xyxy, "L", 0.9, strokes, letter=found.letter), Policy(), SHAPE)
    result = with_empty_ground([kept], [view])[0]
    x, y = kept.xyxy[:2]
    assert result.strokes[0, 0] and not kept.strokes[0, 0] and not result.strokes[50 - y : 64 - y, 64 - x : 78 - x].any()


def test_a_marker_that_is_only_read_becomes_a_removal_and_loses_its_reason_where_it_would_not_be_retained_in_the_end():
    reading = Reading((10, 10, 20, 24), "R", 0.9, np.ones((14, 10), bool))
    kept = Decision(0, (8, 8, 22, 26), "keep", decide_module.KEPT, 0.9, "laterality", reading, np.ones((18, 14), bool))
    other = Decision(0, (40, 8, 60, 26), "remove", "nothing to read", 0.9)
    aside = decide_module.set_aside((kept, other), Policy(keep=("L",), read=("R",)))
    assert [(d.action, d.reason) for d in aside] == [("remove", decide_module.READ), ("remove", "nothing to read")] and aside[0].xyxy == kept.xyxy
    assert decide_module.set_aside((kept,), Policy(keep=("R",))) == (kept,)
    seen = []

    def alone(restored):
        seen.append(restored)
        return restored

    reordered = (aside[1], aside[0])
    assert decide_module.confirmed(reordered, (kept, other), alone) == reordered and seen == [(other, kept)]
    doubted = decide_module.confirmed(reordered, (kept, other), lambda ds: tuple(replace(d, action="remove", reason="part of a longer text", strokes=None) for d in ds))
    assert [d.reason for d in doubted] == ["nothing to read", "part of a longer text"]


@pytest.mark.parametrize("text, read, action", [("AP 10 MIN", ("R",), "keep"), ("R AP", ("R",), "remove"), ("R AP", (), "keep")])
def test_a_line_of_phrases_with_a_marker_that_is_only_read_is_set_aside(text, read, action):
    strokes = np.ones((10, 40), bool)
    policy = Policy(keep=("AP", "# MIN", *(() if read else ("R",))), read=read)
    line = decide_module.Decision(0, (0, 0, 40, 10), "keep", decide_module.KEPT_PHRASE, 0.9, "marker", Reading((0, 0, 40, 10), text, 0.9, strokes), strokes)
    assert [d.action for d in decide_module.set_aside((line,), policy)] == [action]
