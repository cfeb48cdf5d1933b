"""JPEG in its own coefficients: blocks that no removed area touches keep theirs, in a removed area they say black.

jpegio (libjpeg-turbo) reads the quantised DCT coefficients without decoding, so that a second generation shows even where no pixel changes visibly.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .pictures import UnreadError

OTHER_TABLES = "its quantisation tables changed, so it was compressed again with loss"
EDGE = 32  # highest mean grey level of what a coder leaves of black beside a bright edge, of 255
ENCODED_AGAIN = 2.0  # highest mean difference outside the removed areas, in grey levels beyond a quarter of the mean quantisation step


@dataclass(frozen=True)
class Coefficients:
    """A JPEG stream.

    planes: of each component (rows, columns, 8, 8) quantised coefficients, in blocks.
    tables: of each component (64,), the steps.  sampling: of each component, blocks per unit down and across.  shape_hw: pixels.
    """

    planes: tuple[np.ndarray, ...]
    tables: tuple[np.ndarray, ...]
    sampling: tuple[tuple[int, int], ...]
    shape_hw: tuple[int, int]

    @property
    def unit_hw(self) -> tuple[int, int]:
        """Rows and columns, pixels, of what is coded together."""
        return 8 * max(v for v, _ in self.sampling), 8 * max(h for _, h in self.sampling)


def read(data: bytes) -> Coefficients:
    """The coefficients of a stream of 8 bits.

    Raises:
        UnreadError: jpegio is not installed, or cannot read it.
    """
    try:
        import jpegio
    except ImportError:
        raise UnreadError("jpegio is not installed") from None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.jpg")
        path.write_bytes(data)
        try:
            stream: Any = jpegio.read(str(path))
            planes = tuple(_in_blocks(np.array(plane)) for plane in stream.coef_arrays)
            factors = [(int(c.v_samp_factor), int(c.h_samp_factor)) for c in stream.comp_info]
        except Exception as error:
            raise UnreadError(f"its coefficients cannot be read ({type(error).__name__})") from None
    tables = _tables(data)
    if len(planes) != len(factors) or any(c.quant_tbl_no not in tables for c in stream.comp_info):
        raise UnreadError("its coefficients and tables do not fit together")
    of_component = tuple(tables[c.quant_tbl_no] for c in stream.comp_info)
    size = (int(stream.image_height), int(stream.image_width))
    return Coefficients(planes, of_component, tuple(factors) if len(planes) > 1 else ((1, 1),), size)


def _in_blocks(plane: np.ndarray) -> np.ndarray:
    """(rows, columns, 8, 8) of a plane that has each block in its place."""
    rows, columns = plane.shape[0] // 8, plane.shape[1] // 8
    return plane.reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3)


def _tables(data: bytes) -> dict[int, np.ndarray]:
    """Number -> (64,) steps of a stream's quantisation tables, as Pillow reads them."""
    from PIL import Image

    image: Any = Image.open(io.BytesIO(data), formats=("JPEG",))
    return {number: np.array(steps) for number, steps in image.quantization.items()}


def steps_of(data: bytes) -> tuple[np.ndarray, ...]:
    """The quantisation tables of a stream, (64,) each."""
    return tuple(_tables(data).values())


def touched(mask: np.ndarray, shape: Coefficients) -> tuple[np.ndarray, ...]:
    """For each component (rows, columns) bool: its blocks in the units that a mask (H, W) touches."""
    units = np.asarray(_in_units(mask, shape.unit_hw).any(axis=(1, 3)))
    return tuple(_of_component(units, sampling, plane.shape[:2]) for sampling, plane in zip(shape.sampling, shape.planes))


def within(mask: np.ndarray, shape: Coefficients) -> tuple[np.ndarray, ...]:
    """For each component (rows, columns) bool: its blocks in the units that lie within a mask (H, W) as a whole."""
    padded = np.pad(mask, [(0, -size % unit) for size, unit in zip(mask.shape, shape.unit_hw)], mode="edge")
    units = np.asarray(_in_units(padded, shape.unit_hw).all(axis=(1, 3)))
    return tuple(_of_component(units, sampling, plane.shape[:2]) for sampling, plane in zip(shape.sampling, shape.planes))


def _in_units(mask: np.ndarray, unit_hw: tuple[int, int]) -> np.ndarray:
    """(rows, unit rows, columns, unit columns) bool view of a mask, padded to whole units."""
    padded = np.pad(mask, [(0, -size % unit) for size, unit in zip(mask.shape, unit_hw)])
    return padded.reshape(padded.shape[0] // unit_hw[0], unit_hw[0], padded.shape[1] // unit_hw[1], unit_hw[1])


def _of_component(units: np.ndarray, sampling: tuple[int, int], shape: tuple[int, ...]) -> np.ndarray:
    blocks = units.repeat(sampling[0], axis=0).repeat(sampling[1], axis=1)
    return np.pad(blocks, [(0, max(0, size - have)) for size, have in zip(shape, blocks.shape)])[: shape[0], : shape[1]]


def layout_differs(before: Coefficients, after: Coefficients) -> str:
    """What of tables, sampling or size differs, in words; "" where nothing does."""
    if before.shape_hw != after.shape_hw or len(before.planes) != len(after.planes):
        return "its size or number of components changed"
    if before.sampling != after.sampling:
        return "its sampling changed"
    if any((a != b).any() for a, b in zip(before.tables, after.tables)):
        return OTHER_TABLES
    return ""


def outside(before: Coefficients, after: Coefficients, mask: np.ndarray) -> int:
    """Number of blocks, in units that a mask (H, W) does not touch, whose coefficients changed; for streams of one layout."""
    changed = 0
    for old, new, blocks in zip(before.planes, after.planes, touched(mask, before)):
        changed += int(((old != new).any(axis=(2, 3)) & ~blocks).sum())
    return changed


def inside(after: Coefficients, pixels: np.ndarray, black: np.ndarray, level: int = 0) -> Iterator[str]:
    """What does not say black inside blacked-out areas, in words.

    Args:
        pixels: (H, W) or (H, W, 3) uint8, decoded.  black: (H, W) bool.  level: stored grey level that looks black.
    """
    if not black.any():
        return
    uneven = sum(int((plane[blocks].reshape(-1, 64)[:, 1:] != 0).any(axis=1).sum()) for plane, blocks in zip(after.planes, within(black, after)))
    if uneven:
        yield f"{uneven} blocks within blacked-out areas are not even"
    grey = _above_black(pixels, level)
    whole = within(black, after)[0]
    heights = np.kron(whole[:: after.sampling[0][0], :: after.sampling[0][1]], np.ones(after.unit_hw, bool))[: black.shape[0], : black.shape[1]]
    if heights.any() and grey[heights].max() > 2 + after.tables[0][0] / 8:
        yield f"blocks within blacked-out areas are up to {int(grey[heights].max())} grey levels from black"
    yield from bright(pixels, black, after.tables, level)


def bright(pixels: np.ndarray, black: np.ndarray, tables: tuple[np.ndarray, ...], level: int = 0) -> Iterator[str]:
    """What is brighter in blacked-out areas than a coder leaves black, in words; see `inside`."""
    if not black.any():
        return
    grey = _above_black(pixels, level)
    if (mean := float(grey[black].mean())) > EDGE / 4 * (1 if pixels.ndim == 2 else 2) + max(float(table.max()) for table in tables) / 4:
        yield f"blacked-out areas are {mean:.1f} grey levels from black on average"


def _above_black(pixels: np.ndarray, level: int) -> np.ndarray:
    """(H, W) int16: how far grey levels, or those of green, are from the level that looks black."""
    return np.abs((pixels if pixels.ndim == 2 else pixels[..., 1]).astype(np.int16) - level)


def encoded_again(before: np.ndarray, after: np.ndarray, mask: np.ndarray, tables: tuple[np.ndarray, ...], unit_hw: tuple[int, int]) -> str:
    """What differs, in words, between the decoded pixels of two generations outside the units that a mask touches; "" where only rounding does.

    Args:
        before, after: (H, W) or (H, W, 3) uint8.  mask: (H, W) bool.  tables: the steps of the first generation.
    """
    import cv2

    far = cv2.dilate(mask.astype(np.uint8), np.ones((2 * unit_hw[0] + 1, 2 * unit_hw[1] + 1), np.uint8)) == 0
    difference = np.abs(before.astype(np.int16) - after)
    difference = difference if difference.ndim == 2 else difference[..., 1]
    if not far.any():
        return ""
    steps = np.array([table.ravel() for table in tables], np.float64)
    if (mean := float(difference[far].mean())) > ENCODED_AGAIN + steps.mean() / 4:
        return f"pixels outside the removed areas differ by {mean:.1f} grey levels on average"
    if (most := int(difference[far].max())) > EDGE + steps.max() / 2:
        return f"a pixel outside the removed areas differs by {most} grey levels"
    return ""
