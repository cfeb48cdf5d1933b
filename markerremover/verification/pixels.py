"""Stored pixels of an output against those of its input: the same outside the removed areas, removed inside.

In an area that was blacked out every pixel has one value, which looks black. What an area that was filled held is unknown to a stranger, so there
only its fine detail counts, such as the edges of strokes: a fill is smooth, so most of it has to have changed.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from . import dicom
from .pictures import Picture
from .rows import Areas

AROUND_PX = 12  # width of the surroundings of a filled area, pixels
FINE_PX = 2.0  # sigma of the smoothing that detail is compared with, pixels
STANDS_OUT = 0.06  # least difference from the smoothed picture, as a share of its range, of detail
UNCHANGED = 0.5  # highest share of the detail of a filled area that may be as it was
_PALETTE_BLACK = 25  # highest value of a channel, of 255, of a palette's colour that counts as black


def outside(before: Picture, after: Picture, removed: np.ndarray) -> Iterator[str]:
    """What changed outside the removed areas, in words; nothing where all is as it was.

    Args:
        removed: (F, H, W) bool.
    """
    changed = before.samples != after.samples
    if changed.ndim == 4:
        changed = changed.any(axis=3)
    if before.palette is not None and after.palette is not None:
        changed |= (_coloured(before) != _coloured(after)).any(axis=3)
    changed &= ~removed
    if changed.any():
        yield f"{int(changed.sum())} pixels outside the removed areas changed, the first at {_place(changed)}"


def inside(before: Picture, after: Picture, areas: Areas) -> Iterator[str]:
    """What is not removed inside the areas, in words."""
    yield from _black(after, areas.black)
    yield from still_there(_values(before), _values(after), areas)


def _black(after: Picture, black: np.ndarray) -> Iterator[str]:
    if not black.any():
        return
    values = after.samples[black].reshape(int(black.sum()), -1)
    kinds, numbers = np.unique(values, axis=0, return_counts=True)
    fill = kinds[numbers.argmax()]
    if len(kinds) > 1:
        other = np.zeros(black.shape, bool)
        other[black] = (values != fill).any(axis=1)
        yield f"{int(other.sum())} of {len(values)} blacked-out pixels have another value, the first at {_place(other)}"
    if not looks_black(after, fill):
        yield "the value of blacked-out pixels does not look black"


def looks_black(picture: Picture, value: np.ndarray) -> bool:
    """Whether a stored value (C,) looks black in a picture."""
    if picture.kind == "DICOM":
        return dicom.looks_black(picture, value, picture.samples)
    if picture.palette is not None:
        return bool(value[0] < len(picture.palette) and picture.palette[value[0]].max() <= _PALETTE_BLACK)
    colours = value[:-1] if picture.alpha else value
    black = np.iinfo(picture.samples.dtype).max if picture.white_is_zero else 0
    return bool((colours == black).all())


def still_there(before: np.ndarray, after: np.ndarray, areas: Areas, slack: float = 0) -> Iterator[str]:
    """Filled areas in which most of the fine detail is as it was, in words.

    Args:
        before, after: (F, H, W) values, of any type.
        slack: highest difference of values that count as equal.
    """
    if not areas.filled.any():
        return
    import cv2

    span = float(np.ptp(before.astype(np.float64))) or 1.0
    for frame in np.flatnonzero(areas.filled.any(axis=(1, 2))).tolist():
        count, labels, stats, _ = cv2.connectedComponentsWithStats(areas.filled[frame].astype(np.uint8))
        for number in range(1, count):
            x, y, w, h = stats[number, :4].tolist()
            part = np.s_[max(0, y - AROUND_PX) : y + h + AROUND_PX, max(0, x - AROUND_PX) : x + w + AROUND_PX]
            old, new = before[frame][part].astype(np.float32), after[frame][part].astype(np.float32)
            standing = (labels[part] == number) & (np.abs(old - cv2.GaussianBlur(old, (0, 0), FINE_PX)) > STANDS_OUT * span)
            if standing.sum() > 8 and (np.abs(old - new)[standing] <= slack).mean() > UNCHANGED:
                yield f"what stood out in the filled area {[x, y, x + w, y + h]} of frame {frame} is still there"


def _values(picture: Picture) -> np.ndarray:
    """(F, H, W) values that say how bright a pixel is, of any scale: stored ones, the first channel, or a palette's."""
    if picture.palette is not None:
        return _coloured(picture)[..., 1]
    samples = picture.samples[..., min(1, picture.samples.shape[3] - 1)] if picture.samples.ndim == 4 else picture.samples
    if picture.facts.get("Pixel Representation"):
        sign = 1 << (picture.facts["Bits Stored"] - 1)
        return (samples.astype(np.int32) ^ sign) - sign
    return samples


def _coloured(picture: Picture) -> np.ndarray:
    """(F, H, W, 3) colours of a palette's indices; an index behind its end is black."""
    assert picture.palette is not None
    table = np.zeros((max(256, len(picture.palette)), 3), np.uint8)
    table[: len(picture.palette)] = picture.palette
    return table[picture.samples]


def _place(mask: np.ndarray) -> str:
    frame, y, x = np.argwhere(mask)[0].tolist()
    return f"x {x}, y {y}" + (f" of frame {frame}" if len(mask) > 1 else "")
