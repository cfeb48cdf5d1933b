import numpy as np
import pytest

from markerremover import boxes

EMPTY = np.zeros((0, 4))


def test_every_function_accepts_no_boxes():
    assert boxes.clip(EMPTY, (5, 5)).shape == (0, 4)
    assert boxes.area(EMPTY).shape == (0,)
    assert boxes.iou(EMPTY, np.ones((3, 4))).shape == (0, 3)
    assert boxes.nms(EMPTY, np.zeros(0), 0.5).shape == (0,)
    assert boxes.grow(EMPTY, 0.1, 3, (5, 5)).shape == (0, 4)


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
