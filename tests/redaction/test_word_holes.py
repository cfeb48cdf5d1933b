"""Holes: smaller than the box where print stands out clearly and alone, the whole box where anything is in doubt."""

from __future__ import annotations

import cv2
import fakes
import numpy as np
import pytest

from markerremover.records import Decision
from markerremover.redaction import word_holes

SHAPE = (160, 260)


def ground(seed: int = 0, level: float = 80.0) -> np.ndarray:
    """(H, W) uint8: soft shading with a little grain."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / 100
    return (level + 20 * x + 12 * y + np.random.default_rng(seed).normal(0, 1.5, SHAPE)).clip(0, 255).astype(np.uint8)


def removed(xyxy) -> Decision:
    return Decision(0, xyxy, "remove", "x", 0.9)


def test_the_hole_covers_the_print_and_is_smaller_than_the_box():
    plain = ground()
    frame = fakes.written(plain, "AB", (60, 50), 30)
    before, hole = frame.copy(), word_holes.hole_in([frame], removed((50, 40, 200, 120)))
    assert hole.reason == "" and hole.mask.mean() < 0.4
    assert not (np.abs(frame.astype(int) - plain) > 4)[40:120, 50:200][~hole.mask].any() and np.array_equal(frame, before)


@pytest.mark.parametrize("grey", [250, 3], ids=["bright", "dark"])
def test_one_word_is_one_rectangle_and_two_far_apart_are_two(grey):
    frame = fakes.written(fakes.written(ground(level=110), "MAYER", (20, 40), 24, grey), "OTTO", (150, 90), 24, grey)
    hole = word_holes.hole_in([frame], removed((10, 30, 240, 125)))
    count, _, stats, _ = cv2.connectedComponentsWithStats(hole.mask.astype(np.uint8))
    assert hole.reason == "" and count == 3 and all(area == w * h for *_, w, h, area in stats[1:].tolist())


def test_a_slanted_word_is_a_slanted_rectangle():
    turn = cv2.getRotationMatrix2D((130, 80), 25, 1)
    ink = cv2.warpAffine(fakes.written(np.zeros(SHAPE, np.uint8), "THOMPSON", (50, 66), 26), turn, SHAPE[::-1])
    frame = np.maximum(ground(), ink)
    ys, xs = np.nonzero(ink > 40)
    box = (int(xs.min()) - 6, int(ys.min()) - 6, int(xs.max()) + 7, int(ys.max()) + 7)
    hole = word_holes.hole_in([frame], removed(box))
    assert hole.reason == "" and hole.mask.mean() < 0.7
    assert not (ink > 40)[box[1] : box[3], box[0] : box[2]][~hole.mask].any()


@pytest.mark.parametrize("make, reason", [
    (lambda frame: frame, None),
    (lambda frame: np.full_like(frame, 90), word_holes.NOTHING),
    (lambda frame: fakes.written(frame, "AB", (60, 50), 30, 118), None),
    (lambda frame: np.where(np.random.default_rng(1).random(frame.shape) > 0.5, 250, 0).astype(np.uint8), None),
], ids=["nothing there", "flat", "faint", "noise"])
def test_doubt_takes_the_whole_box(make, reason):
    hole = word_holes.hole_in([make(ground())], removed((50, 40, 200, 120)))
    assert hole.mask.all() and hole.reason in word_holes.REASONS and reason in (None, hole.reason)


def test_small_print_that_the_strokes_do_not_hold_takes_the_whole_box():
    frame = fakes.written(fakes.written(ground(), "A", (60, 45), 60, 250), "smith", (140, 90), 9, 150)
    assert word_holes.hole_in([frame], removed((50, 40, 200, 120))).reason == word_holes.MORE


def test_what_only_a_further_view_shows_is_in_the_hole_too():
    first, second = fakes.written(ground(), "AB", (60, 50), 24), fakes.written(ground(), "CD", (140, 90), 24)
    hole = word_holes.hole_in([first, second], removed((50, 40, 200, 120)))
    for view in (first, second):
        assert not (view > 200)[40:120, 50:200][~hole.mask].any()


def test_a_kept_sign_with_nothing_beside_it_leaves_its_box_alone_and_initials_under_it_go():
    plain = ground()
    alone = fakes.written(plain, "L", (80, 40), 40)
    both = fakes.written(alone, "KK", (80, 90), 18)
    strokes = cv2.dilate((alone.astype(int) - plain > 4).astype(np.uint8), np.ones((3, 3), np.uint8))[30:130, 60:150] > 0
    kept = Decision(0, (60, 30, 150, 130), "keep", "x", 0.9, strokes=strokes)
    assert word_holes.hole_in([alone], kept) .reason == "" and not word_holes.hole_in([alone], kept).mask.any()
    hole = word_holes.hole_in([both], kept)
    assert not (hole.mask & strokes).any() and not ((both.astype(int) - alone > 4)[30:130, 60:150] & ~hole.mask).any()


def test_a_box_of_one_pixel_and_one_at_the_edge_are_no_error():
    assert word_holes.hole_in([ground()], removed((0, 0, 1, 1))).mask.all()
    frame = fakes.written(ground(), "MAYER", (-12, 60), 30)
    hole = word_holes.hole_in([frame], removed((0, 50, 130, 110)))
    assert not (frame > 200)[50:110, :130][~hole.mask].any()
