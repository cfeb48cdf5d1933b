"""Fills: only removed pixels are interpolated, only from pixels that were neither removed nor a laterality marker's."""

from __future__ import annotations

import numpy as np
import pytest

from markerremover.redaction.inpaint import filled

HOLE = np.s_[0, 20:40, 30:70]


def picture(dtype, channels=0, seed=0):
    """A slope with grain over much of the type's range."""
    info, shape = np.iinfo(dtype), (1, 60, 100, channels) if channels else (1, 60, 100)
    x = np.arange(100).reshape((1, 1, 100, 1) if channels else (1, 1, 100)) / 100
    share = 0.3 + 0.4 * x + np.random.default_rng(seed).normal(0, 0.01, shape)
    return (info.min + share * (int(info.max) - int(info.min))).astype(dtype)


def masks(shape):
    hole = np.zeros(shape[:3], bool)
    hole[HOLE] = True
    return hole, np.zeros(shape[:3], bool)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int8])
@pytest.mark.parametrize("channels", [0, 3])
def test_the_fill_goes_on_from_its_surroundings_and_nothing_else_changes(dtype, channels):
    original = picture(dtype, channels)
    hole, none = masks(original.shape)
    black = original.copy()
    black[hole] = np.iinfo(dtype).min
    before, new = black.copy(), filled(black, hole, hole, none)
    assert new.dtype == dtype and np.array_equal(new[~hole], original[~hole]) and np.array_equal(black, before)
    span = int(np.iinfo(dtype).max) - int(np.iinfo(dtype).min)
    assert np.abs(new[hole].astype(int) - original[hole].astype(int)).max() < 0.08 * span
    around = original[0, 0:60, 6:94].astype(int)
    assert around.min() <= new[hole].min() and new[hole].max() <= around.max()


def test_neither_what_is_removed_nor_a_sign_is_a_source():
    original = picture(np.uint16)
    hole, markers = masks(original.shape)
    markers[0, 40:50, 40:60] = True
    removed = hole.copy()
    removed[0, 10:20, 30:70] = True
    results = []
    for value in (0, 65535):
        other = original.copy()
        other[removed | markers] = value
        results.append(filled(other, hole, removed, markers)[hole])
    assert np.array_equal(*results)


def test_without_any_surroundings_it_stays_black():
    black = np.zeros((1, 9, 9), np.uint8)
    whole = np.ones(black.shape, bool)
    assert not filled(black, whole, whole, ~whole).any()


def test_nothing_to_fill_gives_an_equal_new_array():
    original = picture(np.uint8)
    _, none = masks(original.shape)
    new = filled(original, none, none, none)
    assert np.array_equal(new, original) and not np.shares_memory(new, original)


def test_frames_are_filled_by_themselves():
    original = np.concatenate([picture(np.uint8), 255 - picture(np.uint8)])
    hole = np.zeros(original.shape, bool)
    hole[:, 20:40, 30:70] = True
    black = np.where(hole, 0, original).astype(np.uint8)
    none = np.zeros(original.shape, bool)
    assert np.array_equal(filled(black, hole, hole, none)[1], filled(black[1:], hole[1:], hole[1:], none[1:])[0])
