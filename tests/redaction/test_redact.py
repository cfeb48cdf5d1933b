"""redact: every removed pixel is the fill, every other one is bit-identical, kept strokes survive."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markerremover.errors import UsageError
from markerremover.records import Decision
from markerremover.redaction.redact import redact, removed_mask

DTYPES = (np.uint8, np.uint16, np.int16)


def remove(xyxy, frame=0):
    return Decision(frame=frame, xyxy=xyxy, action="remove", reason="x", score=0.9)


def keep(xyxy, strokes, frame=0):
    return Decision(frame=frame, xyxy=xyxy, action="keep", reason="x", score=0.9, strokes=np.array(strokes, bool))


def ramp(shape, dtype=np.uint8):
    return (np.arange(np.prod(shape)) % 97 + 1).astype(dtype).reshape(shape)


def test_no_decisions_give_an_equal_new_array():
    stored = ramp((1, 3, 4))
    new = redact(stored, [], (0,))
    assert np.array_equal(new, stored) and new is not stored and not np.shares_memory(new, stored)


def test_a_box_goes_black_and_nothing_else_changes():
    stored = ramp((2, 4, 5), np.uint16)
    before = stored.copy()
    new = redact(stored, [remove((1, 1, 4, 3), frame=1)], (7,))
    assert (new[1, 1:3, 1:4] == 7).all()
    mask = removed_mask(stored.shape, [remove((1, 1, 4, 3), frame=1)])
    assert mask.sum() == 6 and np.array_equal(new[~mask], stored[~mask])
    assert np.array_equal(stored, before)


def test_kept_strokes_survive_in_their_own_box():
    stored = ramp((1, 2, 2))
    new = redact(stored, [keep((0, 0, 2, 2), [[True, False], [False, False]])], (0,))
    assert new[0].tolist() == [[int(stored[0, 0, 0]), 0], [0, 0]]


@pytest.mark.parametrize("order", [1, -1], ids=["keep first", "remove first"])
def test_strokes_kept_by_one_decision_survive_in_the_box_of_another(order):
    stored = ramp((1, 3, 3))
    decisions = [keep((1, 1, 2, 2), [[True]]), remove((0, 0, 3, 3))][::order]
    new = redact(stored, decisions, (0,))
    assert new[0, 1, 1] == stored[0, 1, 1] and new.sum() == stored[0, 1, 1]


def test_strokes_of_another_frame_keep_nothing_here():
    stored = ramp((2, 2, 2))
    new = redact(stored, [keep((0, 0, 2, 2), np.ones((2, 2)), frame=1), remove((0, 0, 2, 2), frame=0)], (0,))
    assert not new[0].any() and np.array_equal(new[1], stored[1])


def test_colour_takes_one_fill_value_a_channel():
    stored = ramp((1, 2, 2, 3))
    assert redact(stored, [remove((0, 0, 1, 1))], (0, 128, 129))[0, 0, 0].tolist() == [0, 128, 129]


def test_a_locked_array_is_accepted_and_the_result_is_writable():
    stored = ramp((1, 2, 2))
    stored.setflags(write=False)
    assert redact(stored, [remove((0, 0, 1, 1))], (0,)).flags.writeable


@pytest.mark.parametrize(
    "decision",
    [remove((0, 0, 1, 1), frame=1), remove((0, 0, 1, 1), frame=-1), remove((-1, 0, 1, 1)), remove((0, 0, 5, 1)), remove((0, 2, 1, 9))],
    ids=["frame too high", "frame negative", "left of the image", "right of it", "below it"],
)
def test_what_lies_outside_is_refused(decision):
    with pytest.raises(UsageError):
        redact(ramp((1, 3, 4)), [decision], (0,))


@pytest.mark.parametrize("fill", [(), (0, 0), (256,), (-1,)], ids=str)
def test_a_fill_that_does_not_fit_is_refused(fill):
    with pytest.raises(UsageError):
        redact(ramp((1, 3, 4)), [], fill)


@given(data=st.data(), dtype=st.sampled_from(DTYPES), shape=st.tuples(*[st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)]))
def test_outside_is_bit_identical_and_inside_is_the_fill(data, dtype, shape):
    frames, height, width = shape
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    info = np.iinfo(dtype)
    stored = rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    before, decisions = stored.copy(), []
    for _ in range(data.draw(st.integers(0, 4))):
        x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        box = (x, y, data.draw(st.integers(x + 1, width)), data.draw(st.integers(y + 1, height)))
        frame = data.draw(st.integers(0, frames - 1))
        strokes = rng.random((box[3] - y, box[2] - x)) > 0.5
        decisions.append(keep(box, strokes, frame) if data.draw(st.booleans()) else remove(box, frame))
    fill = int(rng.integers(info.min, info.max, endpoint=True))
    new = redact(stored, decisions, (fill,))
    mask = removed_mask(shape, decisions)
    assert np.array_equal(stored, before)
    assert new.dtype == dtype and np.array_equal(new[~mask], stored[~mask]) and (new[mask] == fill).all()
