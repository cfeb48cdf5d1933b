"""levels: how many greys a picture uses, and tables that give few of them the whole range."""

from __future__ import annotations

import doctest

import cv2
import numpy as np
import pytest

from markerremover.formats import grey_levels as module
from markerremover.formats.grey_levels import counts, is_faint, percentiles, spread, stretched
from markerremover.formats.views import colour_views, views

RANDOM = np.random.default_rng(0)
WHOLE = np.arange(256, dtype=np.uint8)
NAME = np.s_[..., 14:30, 20:60]


def body(top: int, off: int = 0, shape=(1, 192, 256), print_at: int | None = None) -> np.ndarray:
    """Noise from `off` to `off` + 0.6 `top` with strokes of a name at `off` + `top`, or at `print_at`."""
    picture = (off + np.random.default_rng(1).random(shape) * 0.6 * top).astype(np.uint8)
    for x in range(20, 60, 6):
        picture[..., 14:30, x : x + 3] = off + top if print_at is None else print_at
    return picture


def contrast(shown: np.ndarray) -> int:
    """Greys from the body's brightest to the name."""
    return int(shown[..., 20, 21].min()) - int(shown[..., 100:, :200].max())


def test_doctests_hold():
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16], ids=lambda d: d.__name__)
def test_counts_and_percentiles_are_those_of_numpy(dtype):
    info = np.iinfo(dtype)
    stored = RANDOM.integers(info.min // 3, info.max // 2, 5001).astype(dtype)
    counted = counts(stored, info.min, info.max - info.min + 1)
    assert counted.sum() == 5001 and counted[int(stored[0]) - info.min] == (stored == stored[0]).sum()
    assert np.allclose(np.array(percentiles(counted)) + info.min, np.percentile(stored, module.PERCENTILES))


@pytest.mark.parametrize(
    "picture",
    [WHOLE.reshape(1, 16, 16), RANDOM.integers(0, 256, (1, 64, 64), dtype=np.uint8), body(255), body(150, 60), np.full((1, 9, 9), 200, np.uint8),
     np.zeros((1, 9, 9), np.uint8), np.where(np.arange(4096).reshape(1, 64, 64) % 7, 90, 255).astype(np.uint8),
     np.array([0, 85, 170, 255] * 64, np.uint8).reshape(1, 16, 16)],
    ids=["ramp", "noise", "whole range", "more than half", "one grey", "black", "two greys", "two bits"],
)
def test_a_picture_that_uses_its_range_is_shown_as_it_is(picture):
    assert len(views(picture)) == 1 and views(picture)[0] is picture
    (colour,) = colour_views(np.stack([picture] * 3, axis=-1), 8)
    assert np.array_equal(colour, picture)


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("off", ["low", "middle", "high"])
@pytest.mark.parametrize("top", [1, 3, 12, 15, 25, 40, 60, 100])
def test_few_greys_are_stretched_wherever_they_lie(top, off, invert):
    picture = body(top, {"low": 0, "middle": 128 - top // 2, "high": 255 - top}[off])
    shown = views(255 - picture if invert else picture)[0]
    assert shown.min() == 0 and shown.max() == 255 and abs(contrast(255 - shown if invert else shown)) >= 80
    (colour, *_) = colour_views(np.stack([picture] * 3, axis=-1), 8)
    assert contrast(colour) >= 80


def marked(picture: np.ndarray, kind: str, grey: int) -> np.ndarray:
    picture = picture.copy()
    if kind == "dot":
        picture[0, 170, 250] = grey
    elif kind == "marker":
        picture[0, 150:180, 210:240] = grey
    elif kind == "border":
        picture[0, :4] = picture[0, -4:] = picture[0, :, :4] = picture[0, :, -4:] = grey
    elif kind == "soft marker":  # as JPEG leaves it: every grey between occurs
        picture[0, 150:180, 206:244] = np.interp(np.arange(38), [0, 12, 26, 37], [10, grey, grey, 10]).astype(np.uint8)
    return picture


@pytest.mark.parametrize("kind", ["dot", "marker", "border", "soft marker"])
@pytest.mark.parametrize("top", [12, 40, 60])
def test_marks_at_the_other_end_do_not_keep_a_picture_faint(top, kind):
    shown = views(marked(body(top), kind, 255))[0]
    assert int(shown[0, 20, 21]) - int(shown[0, 40:90, 8:200].max()) >= 50 and shown.max() == 255
    dark = views(255 - marked(body(top), kind, 255))[0]
    assert int(dark[0, 40:90, 8:200].min()) - int(dark[0, 20, 21]) >= 50 and dark.min() == 0


@pytest.mark.parametrize("top", [12, 40, 60])
def test_a_faint_half_beside_another_has_a_second_view(top):
    picture = body(top)
    picture[0, 96:] = 255
    first, second = views(picture)
    assert np.array_equal(first, picture) and int(second[0, 20, 21]) - int(second[0, 40:90, :200].max()) >= 50


@pytest.mark.parametrize("top", [12, 40, 60])
def test_a_blurred_border_does_not_keep_a_picture_faint(top):
    picture = body(top, shape=(1, 1024, 1024))
    white = cv2.GaussianBlur(np.pad(np.zeros((1000, 1000), np.uint8), 12, constant_values=255), (0, 0), 2)
    shown = views(np.maximum(picture, white[None]))[0]
    assert int(shown[0, 20, 33]) - int(shown[0, 60:900, 60:900].max()) >= 30


def test_few_drawn_greys_beside_white_are_told_apart():
    picture = np.full((1, 200, 200), 10, np.uint8)
    picture[0, 5:8, 5:15], picture[0, 150:180, 150:180] = 14, 255
    shown = views(picture)[0]
    ground, text, white = (int(shown[0, y, y]) for y in (100, 6, 160))
    assert ground == 0 and 60 < text < 160 and white == 255


@pytest.mark.parametrize("bits", [12, 16])
def test_sixteen_bits_with_white_marks_are_spread_too(bits):
    top = (1 << bits) - 1
    picture = (body(255).astype(np.float64) / 255 * top * 0.15).astype(np.uint16)
    picture[0, :4] = picture[0, -4:] = top
    (shown, *_) = views(picture, bits=bits)
    assert contrast(shown[:, 4:-4]) >= 50


def test_a_window_that_shows_few_greys_is_not_believed():
    picture = body(15)
    for window in ((128, 256), (500, 1000), (2048, 4096), (32768, 65536)):
        assert contrast(views(picture, window=window)[0]) >= 80
    wide = body(255)
    shown = views(wide, window=(100, 300), function="LINEAR_EXACT")[0]
    assert np.abs(shown - np.minimum(255, (wide + 50.0) * (255 / 300))).max() <= 1, "and one that shows many is"


def test_a_faint_frame_beside_others_gets_a_view_of_its_own():
    frames = np.concatenate([body(255), body(15), body(30, 220), np.zeros((1, 192, 256), np.uint8)])
    first, own = views(frames)
    assert np.array_equal(first, frames) and np.array_equal(own[[0, 3]], frames[[0, 3]])
    assert contrast(own[1]) >= 80 and contrast(own[2]) >= 80
    first, own = colour_views(np.stack([frames] * 3, axis=-1), 8)
    assert np.array_equal(first, frames) and contrast(own[1]) >= 80


def test_what_is_shown_like_another_picture_has_its_stretch():
    before = body(40, 200)
    after = before.copy()
    after[NAME] = 0
    shown, alone = views(before)[0], views(after, reference=before)[0]
    rest = np.ones(before.shape, bool)
    rest[NAME] = False
    assert np.array_equal(shown[rest], alone[rest]) and not alone[NAME].any()


@pytest.mark.parametrize("top", [3, 15, 40, 100])
@pytest.mark.parametrize("kind", ["none", "marker", "border"])
def test_what_was_stretched_once_stays_as_it_is(top, kind):
    shown = views(marked(body(top), kind, 255))[0]
    assert views(shown)[0] is shown


def test_tables_rise_or_fall():
    for counted in (counts(marked(body(40), "border", 255), 0, 256), counts(np.array([3, 7, 7, 200], np.uint8), 0, 256)):
        for table in (spread, stretched):
            rising, falling = table(counted, False).astype(int), table(counted, True).astype(int)
            assert (np.diff(rising) >= 0).all() and np.abs(rising + falling - 255).max() <= 1


def test_nothing_at_all_is_not_faint():
    assert not is_faint(WHOLE, np.zeros(256, np.int64)) and not is_faint(WHOLE, np.bincount([9], minlength=256))
    assert is_faint(np.zeros(256, np.uint8), np.bincount([9, 12], minlength=256)), "all in one grey"
    assert np.array_equal(stretched(np.zeros(256, np.int64), False), WHOLE)
