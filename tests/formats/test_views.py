"""display: what a reader would see, from any dtype, window and sign, fast."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from markerremover.formats import views as module
from markerremover.formats.views import apply_table, colour_to_grey, colour_views, value_range, views, window_share


def display(stored: np.ndarray, **options) -> np.ndarray:
    """The first view: what a reader sees."""
    return views(stored, **options)[0]


def test_doctests_hold():
    assert doctest.testmod(module).failed == 0


def test_eight_bit_grey_is_its_own_view():
    stored = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert display(stored) is stored


def test_a_window_maps_its_edges_to_black_and_white():
    stored = np.array([[0, 100, 200, 300, 4095]], np.uint16)
    shown = display(stored, window=(200, 200), bits=12, function="LINEAR_EXACT")
    assert shown.dtype == np.uint8 and shown[0].tolist() == [0, 0, 128, 255, 255]


def test_linear_follows_the_standard():
    values = np.array([0.0, 2047.5, 4095.0])
    assert window_share(values, 2048, 4096).tolist() == [0.0, 0.5, 1.0]


def test_sigmoid_is_half_at_the_centre_and_monotone():
    share = window_share(np.arange(0, 1000.0), 500, 100, "SIGMOID")
    assert share[500] == pytest.approx(0.5) and (np.diff(share) >= 0).all()


def test_inversion_shows_low_values_bright():
    stored = np.array([[0, 4095]], np.uint16)
    assert display(stored, window=(2048, 4096), bits=12, invert=True)[0].tolist() == [255, 0]


def test_signed_values_and_rescaling():
    stored = np.array([[-1000, 0, 1000]], np.int16)
    shown = display(stored, window=(-1000, 2000), rescale=(1, -1000), bits=12, function="LINEAR_EXACT")
    assert shown[0].tolist() == [0, 128, 255]


def test_a_negative_slope_turns_the_fallback_round():
    stored = np.arange(1000, dtype=np.uint16)[None]
    assert display(stored, rescale=(-1, 0))[0, 0] == 255


@pytest.mark.parametrize("window", [None, (100, 0), (100, -5), (60000, 10)], ids=str)
def test_without_a_usable_window_percentiles_show_the_image(window):
    stored = (np.random.default_rng(0).integers(1000, 1200, (1, 200, 200))).astype(np.uint16)
    shown = display(stored, window=window)
    assert shown.min() == 0 and shown.max() == 255 and 100 < shown.mean() < 155


def test_burnt_in_text_at_the_greatest_value_stays_visible():
    stored = np.random.default_rng(0).integers(1000, 1200, (1, 200, 200)).astype(np.uint16)
    stored[0, 5:8, 5:15] = 4095
    shown = display(stored, bits=12)
    assert (shown[0, 5:8, 5:15] == 255).all() and shown.std() > 40


def test_text_on_an_even_ground_is_not_lost_in_the_percentiles():
    stored = np.full((1, 300, 300), 500, np.uint16)
    stored[0, 5:8, 5:15] = 620
    shown = display(stored)
    assert shown[0, 6, 6] == 255 and shown[0, 100, 100] == 0


def test_padding_does_not_blow_up_the_window():
    stored = np.random.default_rng(0).integers(1000, 1200, (1, 100, 100)).astype(np.int16)
    stored[0, :30] = -30000
    assert display(stored, padding=(-30000, -30000))[0, 50:].std() > 40


def test_an_image_that_is_all_padding_still_shows():
    assert display(np.full((1, 4, 4), 7, np.uint16), padding=(7, 7)).shape == (1, 4, 4)


def test_full_range_sixteen_bit_is_shown_as_it_is():
    stored = np.linspace(0, 65535, 10000).astype(np.uint16).reshape(1, 100, 100)
    assert np.abs(display(stored).astype(int) - stored // 257).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16], ids=lambda d: d.__name__)
def test_every_dtype_looks_up_its_own_table(dtype):
    low, high = value_range(dtype)
    stored = np.random.default_rng(0).integers(low, high, (2, 5, 7), dtype=dtype, endpoint=True)
    table = np.random.default_rng(1).integers(0, 256, high - low + 1).astype(np.uint8)
    assert np.array_equal(apply_table(stored, table, low), table[stored.astype(int) - low])


def test_grey_pixels_of_a_colour_image_keep_their_value():
    grey = np.random.default_rng(0).integers(0, 256, (1, 20, 30), dtype=np.uint8)
    assert np.array_equal(colour_to_grey(np.stack([grey] * 3, axis=-1)), grey)


@pytest.mark.parametrize("colour", [(0, 0, 255), (255, 0, 0), (0, 255, 0), (255, 255, 0)], ids=str)
@pytest.mark.parametrize("ground", [0, 255], ids=["on black", "on white"])
def test_coloured_text_stands_out_from_its_ground(colour, ground):
    rgb = np.full((1, 200, 200, 3), ground, np.uint8)
    rgb[0, 90:96, 50:150] = colour
    shown = colour_to_grey(rgb).astype(int)
    assert abs(shown[0, 92, 100] - shown[0, 10, 10]) == 255


def name_on_ground(text: int, ground: int) -> np.ndarray:
    """(1, 96, 128) uint16 anatomy between 700 and 2300 with strokes of `text` on an even patch of `ground`."""
    stored = np.random.default_rng(0).integers(700, 2300, (1, 96, 128)).astype(np.uint16)
    stored[0, :40, :80] = ground
    for x in range(20, 60, 6):
        stored[0, 14:30, x : x + 3] = text
    return stored


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize(
    ("text", "ground", "window", "bits"),
    [
        (400, 40, (1250, 1500), 12),
        (3900, 2600, (1250, 1500), 12),
        (2600, 3900, (1250, 1500), 12),
        (3900, 2600, (1250, 100), 12),
        (400, 40, (1250, 1500), 16),
        (400, 40, (30000, 60000), 16),
        (400, 40, None, 16),
    ],
    ids=str,
)
@pytest.mark.parametrize("marker", [0, 65535], ids=["", "beside a marker at the greatest value"])
def test_what_the_first_view_hides_the_second_shows(text, ground, window, bits, invert, marker):
    stored = name_on_ground(text, ground)
    if marker:
        stored[0, 70:90, 100:120] = (1 << bits) - 1
    shown = views(stored, window=window, bits=bits, invert=invert)
    seen = [abs(int(view[0, 20, 21]) - int(view[0, 5, 5])) for view in shown]
    assert max(seen) >= 20, seen
    for view in shown:  # dense stays bright
        assert (int(view[0, 20, 21]) - int(view[0, 5, 5])) * (text - ground) * (-1 if invert else 1) >= 0


@pytest.mark.parametrize("top", [1023, 4095, 65535])
def test_a_few_used_bits_do_not_make_colour_black(top):
    grey = (np.random.default_rng(0).random((1, 96, 128)) * 0.6 * top).astype(np.uint16)
    grey[0, 14:30, 20:60] = top
    shown = colour_views(np.stack([grey] * 3, axis=-1), 16)
    assert shown[0].max() == 255 and shown[0].mean() > 50 and all(view.shape == grey.shape for view in shown)


def test_channels_are_brightened_together():
    colours = np.zeros((1, 200, 200, 3), np.uint16)
    colours[..., 0], colours[..., 1], colours[..., 2] = 500, 400, 300
    colours[0, :100] = 1000
    shown = colour_views(colours, 16)[0]
    assert shown[0, 10, 10] == 255 and 0 < shown[0, 190, 190] < 128  # one table: no channel becomes white by itself


def test_text_and_ground_beyond_the_percentiles_of_colour_show_in_a_second_view():
    colours = np.stack([np.random.default_rng(0).integers(100, 200, (1, 300, 300)).astype(np.uint16)] * 3, axis=-1)
    colours[0, :8, :8] = 3000
    colours[0, 2:6, 3:5] = 4000
    shown = colour_views(colours, 16)
    assert len(shown) == 2 and int(shown[1][0, 3, 3]) - int(shown[1][0, 0, 0]) > 40


def test_where_nothing_is_hidden_there_is_no_second_view():
    random = np.random.default_rng(0)
    noise = np.clip(random.normal(1500, 60, (1, 400, 400)), 0, 4095).astype(np.uint16)
    ground = np.clip(noise.astype(int) + np.linspace(0, 2500, 400).astype(int), 0, 4095).astype(np.uint16)
    eight_bit = random.integers(0, 256, (1, 96, 128), dtype=np.uint8)
    assert len(views(eight_bit)) == len(colour_views(np.stack([eight_bit] * 3, axis=-1), 8)) == 1
    assert len(views(ground, window=(2048, 4096), bits=12)) == 1
    assert len(views(noise, bits=12)) == 1  # only noise lies beyond the percentiles
    assert len(views(ground // 4 * 4, window=(2048, 4096), bits=12)) == 1
    assert len(views(ground << 4)) == 1
    smooth = np.tile(np.linspace(0, 4095, 2000).astype(np.uint16), (1, 50, 1))
    assert len(views(smooth, window=(2048, 2000), bits=12)) == 1  # clipped, but there is no edge in it
    assert len(views(np.full((1, 9, 9), 7, np.uint16), window=(2048, 100))) == 1


def test_a_look_up_table_with_a_flat_part_hides_nothing():
    stored = name_on_ground(2000, 1000)
    table = np.interp(np.arange(4096), [0, 900, 2400, 4095], [0, 128, 128, 255]).astype(np.uint8)
    further = module.further_table(stored, table, 0, False)
    assert int(further[2000]) - int(further[1000]) > 40
    falling = module.further_table(stored, 255 - table, 0, False)
    assert int(falling[1000]) - int(falling[2000]) > 40
