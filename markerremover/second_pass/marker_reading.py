"""A candidate that the OCR engine has read, as a reading: its strokes, the ground that is retained with them, and doubts about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from ..records import Reading
from . import glyphs
from .isolation import spoils
from .kept_pixels import CLEAR, CLEAR_PX, disc_around, is_empty, pieces, retained_pixels
from .sign_candidates import Candidate
from .strokes import EDGE_PX, EDGE_SHARE, Ink, distance, without_appendix, without_neighbour
from .view import View, cropped, in_source

BAR, ARM = 0.4, 0.6  # least length of an L's bars, as a fraction of its size, and of its width or height if that is less


def reading_of(frames: Sequence[np.ndarray], view: View, c: Candidate, confidence: float, levels: list[Ink]) -> Reading:
    """A candidate that the OCR engine has read, as a reading: the pixels that are retained, or what spoils it.

    Args:
        frames: views of one frame, (H, W) uint8; ground is retained only where it is empty in all.  view: the box.
        confidence: of the OCR engine, 0-1.  levels: strokes of the same polarity at all thresholds, Otsu's first.
    """
    letters = c.ink.mask(c.letters)
    ground = disc_around(view, letters) if not c.frame and not c.ink.dark else None
    doubt = next(filter(None, (spoils(view, c, ink, levels, ground) for ink in _distinct(c.ink, levels))), "")
    rotation_deg, confidence = (c.skew + 90 * (c.view % 4)) % 360, round(confidence, 3)
    if doubt:
        return Reading(cropped(view, in_source(view, letters))[0], c.text, confidence, None, rotation_deg, c.view > 3, doubt)
    if len(c.text) == 1 and not c.frame:
        c = _bare(c, levels[1:])
    letter = _letter(view, c, levels) if len(c.text) == 1 else in_source(view, letters)
    xyxy, strokes = cropped(view, _retained_mask(frames, view, c, levels, letter is not None))
    if letter is not None:
        X1, Y1 = view.window[:2]
        letter = letter[xyxy[1] - Y1 : xyxy[3] - Y1, xyxy[0] - X1 : xyxy[2] - X1].copy()
    return Reading(xyxy, c.text, confidence, strokes, rotation_deg, c.view > 3, "", letter)


def _letter(view: View, c: Candidate, levels: list[Ink]) -> np.ndarray | None:
    """(H, W) bool over the view's window, source pixels: the strokes of a single letter without attached strokes. An L is two bars:
    pixels in neither are excluded. None for other letters, unless they are separate at one of the thresholds."""
    mask = c.ink.labels == c.letters[0]
    size = max(c.ink.stats[c.letters[0], 2:4])
    if c.text == "L":
        arms = glyphs.tight(glyphs.turn(c.ink.shape(c.letters[0]), c.skew)).shape[::-1]
        lengths = [max(3, round(min(BAR * size, ARM * arm))) for arm in arms]
        bars = [cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _line_at(n, c.skew + turn)) > 0 for n, turn in zip(lengths, (0, 90))]
        mask = bars[0] | bars[1]
    else:
        outside = distance(mask) > max(EDGE_PX * view.scale, EDGE_SHARE * size)
        if all((ink.mask(ink.labels[mask & (ink.labels > 0)]) & outside).any() for ink in levels):
            return None
    return in_source(view, mask)


def _line_at(length: int, degrees: float) -> np.ndarray:
    """A structuring element, uint8: a line of `length` pixels, `degrees` clockwise from horizontal as seen."""
    reach = length / 2 * np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    half = int(np.ceil(np.abs(reach).max()))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.uint8)
    start, end = ((half + sign * np.round(reach)).astype(int).tolist() for sign in (-1, 1))
    return cv2.line(kernel, start, end, 1)


def _retained_mask(frames: Sequence[np.ndarray], view: View, c: Candidate, levels: list[Ink], is_apart: bool) -> np.ndarray:
    """(H, W) bool over the view's window, source pixels: the candidate's strokes, and its ground if nothing else is on it.

    Args:
        is_apart: whether it is a word, or a single letter with separate strokes, whose box may then be ground.
    """
    retained = retained_pixels(view, c.ink, c.letters, levels, is_apart)
    strokes = in_source(view, retained.strokes)
    x1, y1, x2, y2 = view.window
    size_px = float(max(max(c.ink.stats[i, 2:4]) for i in c.letters)) / view.scale
    clear = distance(strokes) > max(CLEAR_PX, CLEAR * size_px)
    mask = strokes
    for ground in (piece for whole in retained.grounds for piece in pieces(in_source(view, whole))):
        if all(is_empty(frame[y1:y2, x1:x2], ground & clear, size_px) for frame in frames):
            mask = mask | ground
    return mask


def _distinct(ink: Ink, levels: list[Ink]) -> list[Ink]:
    return levels if any(ink is each for each in levels) else [ink, *levels]


def _bare(c: Candidate, stricter: list[Ink]) -> Candidate:
    """The candidate without parts attached by thin strokes or a dim bridge, where it then resembles its text more."""
    for part in (without_appendix, lambda ink, index: without_neighbour(ink, index, stricter)):
        ink, index = part(c.ink, c.letters[0])
        if ink is c.ink:
            continue
        chars, scores = glyphs.likeness(glyphs.tight(glyphs.turn(ink.shape(index), c.skew)))
        likeness = float(scores[c.view, list(chars).index(c.text)])
        if likeness > c.likeness:
            c = replace(c, ink=ink, letters=(index,), likeness=likeness)
    return c
