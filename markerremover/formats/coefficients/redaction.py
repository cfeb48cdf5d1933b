"""One JPEG stream redacted in its coefficients: read, its touched blocks rewritten, and written with the segments of its kind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import blocks
from .stream import FRAMES, UnsuitedError, encoded, read

BASELINE, EXTENDED = 0xC0, 0xC1

Segments = list[tuple[int, bytes]]


def removed_pixels(stored: np.ndarray, new: np.ndarray, removed: np.ndarray | None) -> np.ndarray:
    """(F, H, W) bool, new: the pixels that change, and those that were removed though they were black already: what decodes to black may still hold
    detail below it.

    Args:
        stored, new: (F, H, W) or (F, H, W, 3).  removed: (F, H, W) bool, None for the changed ones only.
    """
    changed = new != stored
    changed = changed.any(axis=3) if changed.ndim == 4 else changed
    return changed if removed is None else changed | removed


def redacted(stream: bytes, new: np.ndarray, mask: np.ndarray) -> bytes:
    """A stream in which the blocks of removed pixels are rewritten, without application segments and comments.

    Args:
        stream: JPEG.
        new: (H, W) grey or (H, W, 3) RGB, 0 to 255; used where masked.
        mask: (H, W) bool, the removed pixels.

    Raises:
        UnsuitedError: its coefficients cannot be edited, see `stream.read`; or what the library writes is of another kind.
    """
    coefficients = read(stream)
    if mask.shape != coefficients.shape_hw:
        raise UnsuitedError("its size is not that of the image")
    if blocks.hidden_at_edge(coefficients.planes[0], coefficients.tables[0], coefficients.shape_hw):
        raise UnsuitedError("its last blocks hold a picture outside of the image")
    return encoded(coefficients, blocks.rewritten(coefficients, new, mask))


def of_kind(source: Sequence[tuple[int, bytes]], written: Sequence[tuple[int, bytes]]) -> Segments:
    """The segments of a written stream under the frame marker of its source: what is baseline is written as such, also for an extended source.

    Raises:
        UnsuitedError: the frames differ otherwise.
    """
    (marker, body), (new_marker, new_body) = (next(segment for segment in segments if segment[0] in FRAMES) for segments in (source, written))
    if (marker, new_marker) != (EXTENDED, BASELINE) and marker != new_marker or body[: len(new_body)] != new_body:
        raise UnsuitedError("the library writes another kind of frame")
    return [(marker, b) if m == new_marker else (m, b) for m, b in written]
