"""Small before/after pictures for the audit page. They show what was removed, so they are owner-only."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import WriteError
from ..records import Decision

#: Longest side of a picture, pixels: large enough to read an annotation, small enough that a page of hundreds loads fast.
CROP_PX, THUMB_PX = 220, 420
#: Margin shown around a box: as a fraction of its longer side, and at least so many pixels.
CONTEXT, CONTEXT_PX = 0.35, 16
#: JPEG quality. Encoding PNGs took longer than cleaning; at this quality annotations are as legible as in the source.
QUALITY = 90
#: Highest number of crop pairs per file. A long cine has hundreds of decisions; the manifest holds them all, the page shows the first ones.
MAX_CROPS = 48


def file_id(relative: str) -> str:
    """16 hex digits that name one input's files in the audit: safe on every file system, whatever the input's name."""
    return hashlib.sha256(relative.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def thumb_names(relative: str) -> tuple[str, str]:
    """File names of the two thumbnails, whole image before and after, below crops/."""
    return f"{file_id(relative)}-before.jpg", f"{file_id(relative)}-after.jpg"


def frame_shown(decisions: Sequence[Decision], held_for: Sequence[Decision] = ()) -> int:
    """The frame that stands for a file: the one with the most boxes that it is held for, else with the most decisions; 0 without any."""
    return int(np.bincount([d.frame for d in held_for or decisions], minlength=1).argmax())


def draw(
    folder: Path, relative: str, before: np.ndarray, after: np.ndarray, decisions: Sequence[Decision], shown: int | None = None
) -> tuple[tuple[str, str], ...]:
    """Write one pair of crops per decision and one pair of thumbnails of one frame.

    Args:
        folder: the audit's crops/.
        before, after: (F, H, W) uint8 display frames; not changed.
        decisions: boxes xyxy in source pixels, maxima exclusive.
        shown: index of the frame for the thumbnails; by default `frame_shown`.

    Returns:
        (before, after) file names, one pair per decision; ("", "") from the `MAX_CROPS`th on.

    Raises:
        WriteError, OSError: a picture cannot be written.
    """
    index = frame_shown(decisions) if shown is None else shown
    for name, frames in zip(thumb_names(relative), (before, after)):
        _write_jpeg(folder / name, shrunk(frames[index], THUMB_PX))
    names: list[tuple[str, str]] = []
    for number, decision in enumerate(decisions):
        if number >= MAX_CROPS:
            names.append(("", ""))
            continue
        pair = f"{file_id(relative)}-{number:03d}-before.jpg", f"{file_id(relative)}-{number:03d}-after.jpg"
        window = _window(decision.xyxy, before.shape[1:])
        for name, frames in zip(pair, (before, after)):
            _write_jpeg(folder / name, shrunk(frames[decision.frame][window], CROP_PX))
        names.append(pair)
    return tuple(names)


def _window(xyxy: tuple[int, int, int, int], shape_hw: tuple[int, int]) -> tuple[slice, slice]:
    x1, y1, x2, y2 = xyxy
    pad = int(max(CONTEXT_PX, CONTEXT * max(x2 - x1, y2 - y1)))
    return slice(max(0, y1 - pad), min(shape_hw[0], y2 + pad)), slice(max(0, x1 - pad), min(shape_hw[1], x2 + pad))


def shrunk(image: np.ndarray, side_px: int) -> np.ndarray:
    """The (H, W) image itself, or a copy reduced so that its longer side is `side_px`."""
    import cv2

    h, w = image.shape
    scale = side_px / max(h, w)
    if scale >= 1:
        return image
    while max(image.shape) >= 2 * side_px and min(image.shape) > 1:  # halve first, dropping an odd row or column: seven times faster
        image = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
        image = cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(image, (max(1, round(w * scale)), max(1, round(h * scale))), interpolation=cv2.INTER_AREA)


def _write_jpeg(path: Path, image: np.ndarray) -> None:
    import cv2

    encoded, data = cv2.imencode(".jpg", np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not encoded:
        raise WriteError(f"{path.name}: the audit picture cannot be encoded")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as handle:
        handle.write(data.tobytes())
