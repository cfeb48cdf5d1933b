"""Parting strokes, on drawn masks."""

import numpy as np
import pytest

from markerremover.second_pass.strokes import Ink, label_mask, percentile, without_neighbour


def inks(bridge: int) -> list[Ink]:
    """A bar, a smaller one above it, and a bridge of some brightness between, thresholded at 80, 110 and 150."""
    hat = np.zeros((80, 40), np.uint8)
    hat[30:70, 10:20], hat[8:26, 8:24], hat[26:30, 10:20] = 200, 200, bridge
    return [Ink.of(hat > level, hat, False) for level in (80, 110, 150)]


def test_a_dim_bridge_parts_letter_and_neighbour_pixel_by_pixel():
    lax, *stricter = inks(100)
    assert len(lax.stats) == 2
    new, letter = without_neighbour(lax, 1, stricter)
    mask = new.labels == letter
    assert mask[30:70, 10:20].all() and not mask[:26].any()
    assert len(new.stats) == 3 and (new.labels > 0)[8:26, 8:24].mean() > 0.9  # the neighbour is there, on its own


def test_a_bridge_as_bright_as_the_letter_belongs_to_it():
    lax, *stricter = inks(200)
    assert without_neighbour(lax, 1, stricter) == (lax, 1)


def test_specks_that_come_off_are_no_neighbours():
    hat = np.zeros((80, 40), np.uint8)
    hat[30:70, 10:20], hat[28:30, 10:20], hat[27:28, 14:15] = 200, 100, 200
    lax, strict = Ink.of(hat > 80, hat, False), Ink.of(hat > 150, hat, False)
    assert without_neighbour(lax, 1, [strict]) == (lax, 1)


@pytest.mark.parametrize("percent", [0, 37.5, 60, 75, 99.8, 100])
def test_percentiles_are_those_of_numpy_to_the_last_digit(percent):
    rng = np.random.default_rng(8)
    for size in (1, 2, 3, 10, 97, 400):
        for values in (rng.integers(0, 256, size).astype(np.uint8), rng.integers(0, 3, (size, 2)).astype(np.uint8)):
            assert percentile(values, percent) == float(np.percentile(values, percent))
    assert np.isnan(percentile(np.zeros(0, np.uint8), percent))


def test_picked_labels_are_those_of_isin():
    labels = np.random.default_rng(9).integers(0, 9, (40, 30)).astype(np.int32)
    for indices in ([], [0], [3, 5, 5], [8, 100], labels[:2], frozenset({1, 2})):
        expected = np.isin(labels, list(indices) if isinstance(indices, frozenset) else indices)
        assert (label_mask(labels, indices) == expected).all()
    assert label_mask(np.zeros((0, 5), np.int32), [1]).shape == (0, 5)


def test_strokes_that_do_not_stand_out_give_a_blank_picture_and_no_error():
    """Of a drawn film two files failed by it, where a row of boxes was read as a line."""
    from markerremover.second_pass import sign_candidates
    from markerremover.second_pass.strokes import Ink

    mask = np.zeros((40, 60), bool)
    mask[10:30, 20:24] = True
    hard, soft, _ = sign_candidates.pictures(sign_candidates.Candidate(Ink.of(mask, np.zeros(mask.shape, np.uint8), False), (1,), "", 0.0, 0.0, 0))
    assert hard.min() == 0 and soft.min() == 255 and soft.shape[0] == hard.shape[0]
