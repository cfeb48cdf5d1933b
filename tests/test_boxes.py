import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markerremover import boxes

EMPTY = np.zeros((0, 4))


def test_every_function_accepts_no_boxes():
    assert boxes.clip(EMPTY, (5, 5)).shape == (0, 4)
    assert boxes.area(EMPTY).shape == (0,)
    assert boxes.iou(EMPTY, np.ones((3, 4))).shape == (0, 3)
    assert boxes.nms(EMPTY, np.zeros(0), 0.5).shape == (0,)
    assert boxes.grow(EMPTY, 0.1, 3, (5, 5)).shape == boxes.widen(EMPTY, 0.1, 3, (5, 5)).shape == (0, 4)
    assert boxes.without_margin(EMPTY, 0.1, 3, (5, 5)).shape == (0, 4)


def test_iou_of_identical_disjoint_and_degenerate_boxes():
    a = np.array([[0, 0, 4, 4], [10, 10, 10, 10]])
    assert boxes.iou(a, a).tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_nms_keeps_the_best_of_overlapping_boxes_and_all_distant_ones():
    xyxy = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], float)
    assert boxes.nms(xyxy, np.array([0.3, 0.9, 0.5]), 0.5).tolist() == [1, 2]


def test_grow_takes_the_larger_of_share_and_pixels_and_stays_inside():
    grown = boxes.grow(np.array([[10.5, 10.5, 20.5, 60.5], [0, 0, 100, 80]]), 0.1, 3, (80, 100))
    assert grown.tolist() == [[7, 7, 24, 64], [0, 0, 100, 80]]
    assert grown.dtype == np.int64


@pytest.mark.parametrize(
    ("box", "shape_hw", "widened"),
    [
        ((100, 100, 130, 120), (400, 400), (97, 97, 133, 123)),  # 3 pixels of a small image
        ((100, 100, 130, 120), (1280, 1000), (94, 94, 136, 126)),  # as many of what the localizer sees
        ((100, 100, 180, 200), (400, 400), (90, 90, 190, 210)),  # an eighth of the shorter side
        ((1000, 100, 1500, 120), (2500, 2560), (985, 88, 1515, 132)),  # and at the ends of a line of text more
        ((0, 2, 3, 8), (400, 400), (0, 0, 6, 11)),
    ],
)
def test_a_margin_goes_with_the_box_with_its_length_and_with_the_view_of_the_localizer(box, shape_hw, widened):
    given = np.array([box], float)
    found = boxes.widen(given, 0.125, 3, shape_hw)
    assert found.tolist() == [list(widened)] and found.dtype == np.int64
    if box[0]:  # nothing was cut off
        assert np.abs(boxes.without_margin(found, 0.125, 3, shape_hw) - given).max() <= 1


@given(st.lists(st.tuples(*[st.floats(200, 2000)] * 2, *[st.floats(5, 400)] * 2), max_size=4), st.floats(0, 2), st.integers(0, 9))
def test_a_margin_is_taken_off_again(some, share, px):
    xyxy = np.array([(x, y, x + w, y + h) for x, y, w, h in some]).reshape(-1, 4)
    large = (6000, 5000)
    wide = boxes.widen(xyxy, share, px, large)
    assert (wide[:, :2] <= xyxy[:, :2]).all() and (wide[:, 2:] >= xyxy[:, 2:]).all()
    inside = (wide[:, :2] > 0).all(axis=1)
    assert (np.abs(boxes.without_margin(wide, share, px, large) - xyxy)[inside] <= 1.01).all()


def test_of_a_box_that_is_all_margin_a_pixel_is_left():
    (x1, y1, x2, y2), = boxes.without_margin(np.array([[10, 10, 14, 14]]), 0.1, 3, (400, 400))
    assert x2 - x1 == y2 - y1 == 1 and (x1 + x2) / 2 == 12


@pytest.mark.parametrize("shape_hw", [(100, 100), (1000, 300), (641, 640), (2500, 3100)])
def test_tiles_cover_every_pixel_and_share_the_overlap(shape_hw):
    seen = np.zeros(shape_hw, bool)
    windows = boxes.tiles(shape_hw, 640, 64)
    for x1, y1, x2, y2 in windows:
        assert 0 < x2 - x1 <= 640 and 0 < y2 - y1 <= 640
        seen[y1:y2, x1:x2] = True
    assert seen.all()
    starts = sorted(set(windows[:, 0].tolist()))
    assert all(b - a <= 640 - 64 for a, b in zip(starts, starts[1:]))
