"""The audit's small pictures."""

from __future__ import annotations

import numpy as np
import pytest

from markerremover.audit import crops


@pytest.mark.parametrize("shape", [(2501, 1999), (1024, 1024), (841, 60), (9000, 1), (3, 2000), (420, 420), (7, 5)])
def test_a_shrunk_picture_fits_keeps_its_proportions_and_shows_the_same(shape):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image = (20 + 200 * (rows / shape[0] + columns / shape[1]) / 2).astype(np.uint8)
    before, small = image.copy(), crops.shrunk(image, 420)
    assert max(small.shape) == min(420, max(shape)) and small.dtype == np.uint8 and np.array_equal(image, before)
    scale = max(small.shape) / max(shape)
    assert all(abs(length - max(1, whole * scale)) <= 1 for length, whole in zip(small.shape, shape))
    y, x = (np.arange(length) * whole // length for length, whole in zip(small.shape, shape))
    assert np.abs(small.astype(int) - image[np.ix_(y, x)]).max() <= 12 + 100 / min(small.shape)


def test_a_mark_is_as_bright_in_a_shrunk_picture_as_its_share_of_the_pixels():
    image = np.zeros((1680, 1680), np.uint8)
    image[800:808, 400:408] = 200
    small = crops.shrunk(image, 420)
    assert small[200:202, 100:102].min() == 200 and small.sum() == 4 * 200
