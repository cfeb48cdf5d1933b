"""Raster masks drawn by hand: PNG files in which every pixel that is not zero is removed from an image of the same size.

A mask counts in all frames. It is drawn on the image as programs display it, see `formats.placement`. Nothing is guessed: a mask that
cannot be read, is of another size or says nothing (no pixel set, or hidden by transparency) is refused.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import AnnotationError, HeldError, ReadError
from ..formats import placement
from ..formats.placement import Layout
from ..records import Corrections, Mark, locked

SUFFIX = ".mask.png"
"""End of a mask's file name, after that of its image."""
MOST_AREAS = 1000  # greatest number of separate areas of a mask: each is a box of the row, with a picture before and after
ALPHA = (4, 6)  # colour types of PNG with an alpha channel
PALETTE = 3


@dataclass(frozen=True)
class MaskFile:
    """A mask on disk.  sha256: of its bytes when the run began; another content is refused."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Painted(Corrections):
    """Corrections that are those of a mask, which `placed` reads where the image is cleaned."""

    mask: MaskFile | None = None


@dataclass(frozen=True, eq=False)
class AreaMark(Mark):
    """A removal of some pixels of a box.

    area: (h, w) bool in the crop frame of `xyxy`.
    """

    area: np.ndarray | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        x1, y1, x2, y2 = self.xyxy
        if self.area is None or self.area.dtype != bool or self.area.shape != (y2 - y1, x2 - x1):
            raise AnnotationError("an area has another size than its box")
        object.__setattr__(self, "area", locked(self.area))


def pixels(data: bytes) -> np.ndarray:
    """The pixels that a mask removes.

    Args:
        data: bytes of a PNG file of any depth and colour type.

    Returns:
        A new (H, W) bool array, in the mask's own pixels, with at least one set.

    Raises:
        AnnotationError: it is no PNG, is damaged, animated, too large or transparent, is to be turned for display, has a palette in which index
            and colour disagree, or has no pixel that is not zero.
    """
    from ..formats import png  # loads OpenCV, which `review` does without until it shows a file

    if not data.startswith(png.MAGIC):
        raise AnnotationError("is no PNG file")
    try:
        radiograph = png.read_png(Path("mask"), data)
    except (ReadError, HeldError) as error:
        raise AnnotationError(f"cannot be used ({str(error).removeprefix('mask: ')})") from None
    source: png.PngSource = radiograph.source
    if source.orientation != 1:
        raise AnnotationError("has an orientation: turn it upright for good")
    samples = radiograph.stored[0]
    if source.colour in ALPHA:
        samples = samples[..., :-1]
    removed: np.ndarray = samples != 0
    if removed.ndim == 3:
        removed = np.logical_or.reduce(removed, axis=2)
    if source.colour == PALETTE:
        colours = np.frombuffer(source.palette, np.uint8).reshape(-1, 3)
        is_coloured: np.ndarray = np.logical_or.reduce(colours != 0, axis=1)
        if (is_coloured[samples] != removed).any():
            raise AnnotationError("has a palette in which zero is not black, or another entry is: which pixels it means is unknown")
    if not removed.any():
        raise AnnotationError("is empty: that nothing is burned in is said by a reviewed LabelMe file without shapes, never by a mask")
    return removed


def placed(corrections: Corrections, layout: Layout) -> Corrections:
    """Corrections drawn by hand, in the stored pixels of their image; a mask's separate areas become removals of their pixels in every frame.

    Raises:
        AnnotationError: the mask cannot be read, see `pixels`, or has changed since the run began.
        HeldError: see `placement.placed_marks`; or the mask has more than `MOST_AREAS` areas.
    """
    if not isinstance(corrections, Painted) or corrections.mask is None:
        return placement.placed_marks(corrections, layout)
    try:
        data = corrections.mask.path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"its mask cannot be read ({error.strerror})") from None
    if hashlib.sha256(data).hexdigest() != corrections.mask.sha256:
        raise AnnotationError("its mask has changed since the run began")
    try:
        drawn = pixels(data)
    except AnnotationError as error:
        raise AnnotationError(f"its mask {error}") from None
    try:
        stored = placement.placed_pixels(drawn, corrections.coordinates, layout)
    except AnnotationError as error:
        raise HeldError(f"its mask {error}") from None
    areas = _areas(stored)
    if len(areas) > MOST_AREAS:
        raise HeldError(f"its mask has {len(areas)} separate areas, at most {MOST_AREAS} can be carried out")
    marks = tuple(replace(area, frame=frame) for frame in range(layout.frames) for area in areas)
    return replace(corrections, marks=marks, canvas_hw=layout.shape_hw, coordinates=placement.STORED, frames=None)


def _areas(removed: np.ndarray) -> list[AreaMark]:
    """The 8-connected areas of (H, W) bool, as removals in frame 0."""
    import cv2

    count, labels, stats, _ = cv2.connectedComponentsWithStats(removed.astype(np.uint8), connectivity=8)
    found = []
    for index in range(1, count):
        x, y, w, h = (int(v) for v in stats[index, :4])
        found.append(AreaMark(0, (x, y, x + w, y + h), "remove", drawn=True, area=labels[y : y + h, x : x + w] == index))
    return found
