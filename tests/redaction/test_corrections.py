"""What people say of a file: the log, what it adds up to, and that doubt removes."""

from __future__ import annotations

import json
import stat as modes

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markerremover.errors import HeldError, UsageError
from markerremover.records import Corrections, Decision, Mark
from markerremover.redaction import corrections
from markerremover.redaction.corrections import corrected, settle
from markerremover.redaction.redact import removed_mask

SHAPE = (1, 40, 60)
BOX, OTHER = (10, 10, 30, 20), (25, 10, 45, 20)


def gone(xyxy, reason="x"):
    return Decision(0, xyxy, "remove", reason, 0.9)


def mask(decisions):
    return removed_mask(SHAPE, decisions)[0]


def event(n, what, **fields):
    return {"n": n, "event": what, "file": "a.png", "time": f"T{n}", "who": "me", "sha256_in": "i", "sha256_out": "o", **fields}


def draw(n, xyxy=(1, 1, 5, 5)):
    return event(n, "draw", frame=0, xyxy=list(xyxy), kind="marker")


def keep(n, to="keep"):
    return event(n, "set", frame=0, xyxy=list(BOX), kind="none", to=to, machine="remove")


def test_a_drawn_box_goes_and_nothing_else_changes():
    before = [gone(BOX)]
    new = mask(corrected(before, Corrections((Mark(0, (40, 30, 50, 35), "remove", drawn=True),)), SHAPE))
    wanted = mask(before)
    wanted[30:35, 40:50] = True
    assert np.array_equal(new, wanted)


def test_a_box_turned_to_keep_stays_but_not_where_another_removal_lies():
    new = mask(corrected([gone(BOX), gone(OTHER)], Corrections((Mark(0, BOX, "keep"),)), SHAPE))
    assert np.array_equal(new, mask([gone(OTHER)]))


def test_a_kept_box_under_another_one_is_said_to_be_covered():
    new = corrected([gone(BOX), gone((0, 0, 60, 40))], Corrections((Mark(0, BOX, "keep"),)), SHAPE)
    assert mask(new).all() and [d.reason for d in new if d.xyxy == BOX] == [corrections.COVERED]


def test_what_a_person_wants_gone_goes_before_what_was_kept():
    marker = Decision(0, BOX, "keep", "isolated laterality marker", 0.9, strokes=np.ones((10, 20), bool))
    for drawn in (BOX, (0, 0, 60, 40)):
        reviewed = Corrections((Mark(0, drawn, "remove", drawn=True), Mark(0, OTHER, "keep")))
        new = corrected([marker, gone(OTHER)], reviewed, SHAPE)
        assert mask(new)[10:20, 10:30].all() and [d.action for d in new if d.xyxy == BOX] == ["remove"] * sum(d.xyxy == BOX for d in new)


def test_a_keep_whose_box_is_not_found_again_holds():
    with pytest.raises(HeldError, match="no longer among those removed"):
        corrected([gone((0, 0, 5, 5))], Corrections((Mark(0, BOX, "keep"),)), SHAPE)


@pytest.mark.parametrize("mark", [Mark(0, (60, 0, 70, 5), "remove"), Mark(1, BOX, "remove")], ids=["outside the image",
    "in no frame of it"])
def test_a_mark_that_does_not_fit_the_image_holds(mark):
    with pytest.raises(HeldError, match="outside"):
        corrected([], Corrections((mark,)), SHAPE)


def test_what_an_earlier_run_removed_stays_removed_unless_a_person_keeps_it():
    carried = Corrections((Mark(0, (1, 1, 4, 4), "remove"),), (gone(BOX),))
    assert mask(corrected([], carried, SHAPE))[10:20, 10:30].all()
    kept = Corrections((Mark(0, BOX, "keep"),), (gone(BOX),))
    assert not mask(corrected([], kept, SHAPE)).any()


def test_a_box_that_the_person_saw_and_left_is_not_kept_along_however_alike():
    alike = (10, 10, 31, 20)
    new = mask(corrected([gone(BOX), gone(alike)], Corrections((Mark(0, BOX, "keep"),), (gone(BOX), gone(alike))), SHAPE))
    assert new[10:20, 10:31].all()


def test_a_box_that_moved_since_is_kept_where_the_person_saw_it_and_no_further():
    moved = (9, 10, 31, 20)
    for carried in ((gone(BOX),), ()):
        new = mask(corrected([gone(moved)], Corrections((Mark(0, BOX, "keep"),), carried), SHAPE))
        assert not new[10:20, 10:30].any() and new[10:20, 9].all() and new[10:20, 30].all()
    with pytest.raises(HeldError, match="several"):
        corrected([gone(moved), gone((10, 9, 30, 20))], Corrections((Mark(0, BOX, "keep"),)), SHAPE)


boxes_ = st.tuples(st.integers(0, 50), st.integers(0, 30), st.integers(1, 30), st.integers(1, 30)).map(
    lambda b: (b[0], b[1], min(60, b[0] + b[2]), min(40, b[1] + b[3])))


@given(st.lists(boxes_, min_size=1, max_size=5, unique=True), st.lists(boxes_, max_size=2), st.lists(boxes_, max_size=2), st.data())
def test_nothing_but_what_a_person_kept_is_ever_less_removed_than_before(removed, markers, drawn, data):
    before = [gone(b) for b in removed]
    before += [Decision(0, b, "keep", "isolated laterality marker", 0.9, strokes=np.ones((b[3] - b[1], b[2] - b[0]), bool)) for b in markers]
    kept = data.draw(st.lists(st.sampled_from(removed), max_size=3, unique=True))
    again = data.draw(st.lists(st.sampled_from(before), max_size=6))  # what the localizer finds this time
    marks = (*(Mark(0, b, "keep") for b in kept), *(Mark(0, b, "remove", drawn=True) for b in drawn))
    new = corrected(again, Corrections(marks, tuple(gone(b) for b in removed)), SHAPE)
    old = mask([d for d in before if d.action == "remove"] + [d for d in again if d.action == "keep"])
    allowed = mask([gone(b) for b in kept])
    assert not (old & ~allowed & ~mask(new)).any(), "less is removed than before"
    assert not (mask([gone(b) for b in drawn]) & ~mask(new)).any(), "what a reviewer drew is still visible"
    left = [gone(b) for b in removed if b not in kept]
    strokes = [d for d in again if d.action == "keep"]
    assert not (mask([*left, *strokes]) & ~mask(new)).any(), "a box that nobody turned to keep is opened by another"


def test_a_polygon_removes_what_it_touches_and_not_its_whole_box():
    triangle = Mark(0, (10, 10, 31, 31), "remove", outline=((10, 10), (30, 10), (10, 30)), drawn=True)
    (decision,) = corrections.drawn(Corrections((triangle,), alone=True), SHAPE)
    removed = mask([decision])
    assert removed[10:29, 10].all() and removed[10, 10:29].all() and removed[15, 15] and not removed[28, 28] and not removed[5, 5]
    assert decision.reason == corrections.BY_HAND_REASON


def test_settling_twice_changes_nothing():
    once = corrected([gone(BOX), gone(OTHER)], Corrections((Mark(0, BOX, "keep"), Mark(0, (28, 2, 35, 12), "remove"))), SHAPE)
    assert np.array_equal(mask(settle(once, SHAPE)), mask(once))


def test_check_holds_what_is_not_all_removed():
    reviewed = Corrections((Mark(0, BOX, "remove"),))
    corrections.check(removed_mask(SHAPE, [gone(BOX)]), reviewed)
    with pytest.raises(HeldError, match="not all removed"):
        corrections.check(removed_mask(SHAPE, [gone(OTHER)]), reviewed)


def test_the_log_adds_up_and_undo_takes_back():
    events = [draw(1), keep(2), event(3, "accept")]
    review = corrections.reviews(events)["a.png"]
    assert [m.action for m in review.marks] == ["keep", "remove"] and review.verdict == "accept" and review.missed and review.who == "me"
    undone = corrections.reviews([*events, event(4, "undo", of=1), event(5, "undo", of=3)])["a.png"]
    assert [m.action for m in undone.marks] == ["keep"] and undone.verdict == "" and not undone.missed
    erased = corrections.reviews([draw(1), event(2, "erase", of=1)])["a.png"]
    assert erased.marks == () and erased.digest == ""


def test_a_keep_counts_only_once_the_file_is_accepted_a_removal_at_once():
    open_ = corrections.reviews([draw(1), keep(2)])["a.png"]
    assert [m.action for m in open_.effective] == ["remove"] and open_.digest
    assert corrections.reviews([keep(1)])["a.png"].digest == ""
    assert corrections.reviews([event(1, "accept"), keep(2)])["a.png"].verdict == "", "what was accepted is no longer what there is"


def test_turning_a_box_back_leaves_nothing():
    assert corrections.reviews([keep(1), keep(2, "remove"), event(3, "accept")])["a.png"].digest == ""


def test_a_torn_last_line_is_left_out_and_cut_off_by_the_next_event(tmp_path):
    corrections.append(tmp_path, draw(1))
    path = corrections.log_path(tmp_path)
    with path.open("ab") as handle:
        handle.write(b'{"n": 2, "event": "acc')
    assert [e["n"] for e in corrections.read_events(path)] == [1]
    corrections.append(tmp_path, event(2, "accept"))
    assert [e["event"] for e in corrections.read_events(path)] == ["draw", "accept"]
    assert modes.S_IMODE(path.stat().st_mode) == 0o600 and modes.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("line", ["nonsense", '{"n": 1}', "[]", json.dumps(event(1, "accept") | {"n": "1"})])
def test_another_damaged_line_is_an_error_not_silence(tmp_path, line):
    path = tmp_path / "log"
    path.write_text(line + "\n" + json.dumps(event(7, "accept")) + "\n")
    with pytest.raises(UsageError, match="line 1"):
        corrections.read_events(path)


def test_an_event_that_nobody_knows_is_an_error():
    for bad in (event(1, "bless"), event(1, "draw"), draw(1, (5, 5, 5, 5))):
        with pytest.raises(UsageError):
            corrections.reviews([bad])
