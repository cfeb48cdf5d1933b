"""Filled pixels against the real ones: known ratios, the order of good and bad fills, and what cannot be compared."""

import math

import numpy as np
import pytest

from markerremover.evaluation.fill_quality import FillQuality, fill_quality
from markerremover.redaction import inpaint

ROWS, COLUMNS = np.indices((64, 96))
CLEAN = (60 + ROWS + COLUMNS // 2).astype(np.uint8)  # a slope, as behind most markings
MASK = (np.abs(ROWS - 30) < 6) & (np.abs(COLUMNS - 40) < 20)


def test_the_ratio_is_that_of_the_formula():
    off = CLEAN.copy()
    off[MASK] += 10
    found = fill_quality(CLEAN, off, MASK, 255)
    assert found.pixels == MASK.sum() and found.psnr_db == pytest.approx(20 * math.log10(255 / 10)) and found.ssim < 1 and found.seam_ssim < 1


def test_the_very_pixels_are_infinitely_like_and_one():
    assert fill_quality(CLEAN, CLEAN.copy(), MASK) == FillQuality(int(MASK.sum()), math.inf, 1.0, 1.0)


def test_a_fill_from_the_surroundings_is_nearer_than_black():
    black = np.where(MASK, 0, CLEAN).astype(np.uint8)
    made = inpaint.filled(black[None], MASK[None], MASK[None], np.zeros((1, 64, 96), bool))[0]
    before = CLEAN.copy(), made.copy()
    good, bad = fill_quality(CLEAN, made, MASK), fill_quality(CLEAN, black, MASK)
    assert good.psnr_db > bad.psnr_db + 20 and good.ssim > 0.9 > bad.ssim and good.seam_ssim > bad.seam_ssim
    assert np.array_equal(CLEAN, before[0]) and np.array_equal(made, before[1])


def test_what_is_far_from_the_fill_does_not_count():
    other = CLEAN.copy()
    other[MASK] += 10
    elsewhere = other.copy()
    elsewhere[58:, 80:] = 0
    assert fill_quality(CLEAN, other, MASK, 255) == fill_quality(CLEAN, elsewhere, MASK, 255)


def test_sixteen_bits_are_compared_over_the_range_of_the_picture():
    eight, wide = (fill_quality(clean, np.where(MASK, 0, clean).astype(clean.dtype), MASK) for clean in (CLEAN, CLEAN.astype(np.uint16) * 100))
    assert eight.psnr_db == pytest.approx(wide.psnr_db) and eight.ssim == pytest.approx(wide.ssim)


def test_where_nothing_or_everything_is_filled_there_is_nothing_to_compare_with():
    assert fill_quality(CLEAN, CLEAN, np.zeros_like(MASK)) == FillQuality(0)
    assert fill_quality(CLEAN, CLEAN, np.ones_like(MASK)).seam_ssim is None


@pytest.mark.parametrize("clean, filled, mask", [
    (CLEAN, CLEAN[:-1], MASK), (CLEAN[:10], CLEAN[:10], MASK[:10]), (np.full_like(CLEAN, 7), CLEAN, MASK),
], ids=["other shape", "smaller than the window", "of one value"])
def test_what_cannot_be_compared_is_refused(clean, filled, mask):
    with pytest.raises(ValueError):
        fill_quality(clean, filled, mask)
