"""Coordinate frame of drawn annotations: from the image as a program displayed it to the stored pixels.

A file may say how to turn it before display (Exif, the Orientation tag of TIFF). The pixels here are always the stored ones, but LabelMe and
nearly every other annotation program turn JPEG files upright first, so their coordinates are those of the turned image. Nothing is guessed:
an annotation that names another image size is refused, and so is one of which nobody can tell how its image was turned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import AnnotationError, HeldError
from ..records import Annotation, Corrections, Mark

DRAWN, STORED, FRACTIONS = "drawn", "stored", "fractions"  # see `Annotation.coordinates`


@dataclass(frozen=True)
class Layout:
    """How the pixels of an image lie in its file.

    shape_hw: stored rows and columns.  orientation: 1–8, as in Exif and TIFF: how the pixels are turned for display.
    settled: whether programs agree to turn such a file; they do for Exif in JPEG only.  frames: number of frames.
    """

    shape_hw: tuple[int, int]
    orientation: int = 1
    settled: bool = True
    frames: int = 1

    @property
    def upright_hw(self) -> tuple[int, int]:
        """Rows and columns of the image when it is turned upright."""
        h, w = self.shape_hw
        return (w, h) if self.orientation >= 5 else (h, w)


def to_stored(points: np.ndarray, layout: Layout) -> np.ndarray:
    """Points (N, 2) x, y in pixels of the upright image as x, y in stored pixels; a new array.

    The numbers of orientations are those of Exif 2.3, table 6: 3 is a half turn, 6 has to be turned by 90° clockwise to be upright.

    >>> to_stored(np.array([[1, 2]]), Layout((10, 20), 6)).tolist()
    [[2, 9]]
    """
    h, w = layout.shape_hw
    x, y = np.asarray(points).reshape(-1, 2).T
    if layout.orientation >= 5:
        x, y = y, x
    if layout.orientation in (2, 3, 7, 8):
        x = w - x
    if layout.orientation in (3, 4, 6, 7):
        y = h - y
    return np.stack([x, y], axis=1)


def placed(annotation: Annotation, layout: Layout) -> Annotation:
    """The same annotation with its boxes in the stored pixels of its image; a new record.

    Raises:
        AnnotationError: it names another size than the image has, or it cannot be told how the image was turned when it was drawn.
    """
    turned = _is_turned(annotation.shape_hw, annotation.coordinates, layout)
    elements = annotation.elements
    if turned:
        elements = tuple(replace(e, xyxy=_box(e.xyxy, layout)) for e in elements)
    return replace(annotation, shape_hw=layout.shape_hw, elements=elements, coordinates=STORED)


def placed_marks(corrections: Corrections, layout: Layout) -> Corrections:
    """Corrections drawn by hand, in the stored pixels of their image.

    Raises:
        HeldError: where `placed` raises AnnotationError, or a frame has no annotation, so that it is unknown whether anything is burned in there.
    """
    if corrections.canvas_hw is None:
        return corrections
    frames = range(layout.frames)
    if corrections.frames is not None and (missing := sorted(set(frames) - set(corrections.frames))):
        raise HeldError(f"has {layout.frames} frames, and no annotation of frame {missing[0]}: whether anything is burned in there is unknown")
    try:
        turned = _is_turned(corrections.canvas_hw, corrections.coordinates, layout)
    except AnnotationError as error:
        raise HeldError(f"its annotation {error}") from None
    marks = tuple(_turned(mark, layout) if turned else mark for mark in corrections.marks)
    if corrections.frames is None:
        marks = tuple(replace(mark, frame=frame) for frame in frames for mark in marks)
    return replace(corrections, marks=marks)


def placed_pixels(drawn: np.ndarray, coordinates: str, layout: Layout) -> np.ndarray:
    """A mask, (H, W) in the pixels of the image that it was drawn on, in the stored pixels of its image; may be a view.

    Args:
        coordinates: as in `Annotation`.

    Raises:
        AnnotationError: see `placed`.

    >>> placed_pixels(np.array([[1, 2]]), DRAWN, Layout((2, 1), 6, True)).tolist()
    [[2], [1]]
    """
    h, w = drawn.shape
    if not _is_turned((h, w), coordinates, layout):
        return drawn
    turned = drawn.T if layout.orientation >= 5 else drawn
    if layout.orientation in (2, 3, 7, 8):
        turned = turned[:, ::-1]
    return turned[::-1] if layout.orientation in (3, 4, 6, 7) else turned


def _is_turned(shape_hw: tuple[int, int], coordinates: str, layout: Layout) -> bool:
    """Whether coordinates are those of the upright image, where it differs from the stored one.

    Raises:
        AnnotationError: see `placed`.
    """
    fits, fits_upright = shape_hw == layout.shape_hw, shape_hw == layout.upright_hw
    if layout.orientation == 1 or coordinates == STORED:
        fits_upright = False
    if not fits and not fits_upright:
        sizes = sorted({layout.shape_hw, layout.upright_hw} if layout.orientation > 1 and coordinates != STORED else {layout.shape_hw})
        named = " or ".join(f"{w}x{h}" for h, w in sizes)
        raise AnnotationError(f"is of an image of {shape_hw[1]}x{shape_hw[0]} pixels, this one has {named}")
    if coordinates == FRACTIONS and layout.orientation > 1:
        fits = fits_upright = True  # no size was named that could tell
    if fits and fits_upright and not layout.settled:
        raise AnnotationError(f"does not tell whether it was drawn on the image turned upright (its orientation is {layout.orientation}): "
                              "turn the image upright for good, or draw on what `annotate` writes")
    return fits_upright


def _box(xyxy: tuple[float, ...], layout: Layout) -> tuple[float, float, float, float]:
    corners = to_stored(np.array(xyxy).reshape(2, 2), layout)
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def _turned(mark: Mark, layout: Layout) -> Mark:
    outline = tuple((float(x), float(y)) for x, y in to_stored(np.array(mark.outline), layout)) if mark.outline else ()
    left, top, right, bottom = _box(mark.xyxy, layout)
    return replace(mark, xyxy=(int(left), int(top), int(right), int(bottom)), outline=outline)
