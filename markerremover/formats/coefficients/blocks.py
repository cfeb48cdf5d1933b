"""Which blocks of a JPEG a removed area touches, and their new coefficients.

A block of a component covers 8 x 8 of its samples: 8 x 8 pixels of the image, or 16 x 16, 8 x 16 or 16 x 8 of colour that is sampled coarsely. A
touched block is decoded, its removed samples take the new pixels, and it is encoded with its own quantisation steps; the samples beyond the
edge of the image repeat its last ones. Where any pixel of a coarse colour sample was removed, the whole sample takes the new colour, since
it was the mean of all its pixels. All other blocks keep their coefficients.

In a block that was removed as a whole and is black, all coefficients but the first are zero: nothing of what stood there is left. What remains of a
block that was removed in part is encoded from its decoded pixels, which hold what any viewer sees outside of the box.

DCT: ISO/IEC 10918-1 A.3.3; colours: JFIF 1.02 (ITU-R BT.601, full range).
"""

from __future__ import annotations

import numpy as np

from .stream import SIDE, Coefficients

_INDEX = np.arange(SIDE)
DCT = np.sqrt(2 / SIDE) * np.cos(np.multiply.outer(_INDEX, 2 * _INDEX + 1) * np.pi / (2 * SIDE))
DCT[0] = np.sqrt(1 / SIDE)
"""(8, 8) orthonormal: coefficients = DCT @ samples @ DCT.T."""
_YCC = np.array([[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]])
PADDING_LEVELS = 64
"""Maximum ringing of pixels outside the image, in grey levels, in addition to half a quantisation step."""
LEVEL = 128  # is subtracted from samples before they are transformed


def touched(coefficients: Coefficients, mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """Per component (block rows, block columns) bool: the blocks that a masked pixel lies in.

    Args:
        mask: (H, W) bool, of the image.
    """
    rows, columns = np.nonzero(mask)
    found = []
    for plane, (y, x) in zip(coefficients.planes, coefficients.steps_yx):
        blocks = np.zeros((plane.shape[0] // SIDE, plane.shape[1] // SIDE), bool)
        blocks[rows // (SIDE * y), columns // (SIDE * x)] = True
        found.append(blocks)
    return tuple(found)


def rewritten(coefficients: Coefficients, new: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """New planes in which the touched blocks hold the new pixels where masked, and what they held elsewhere.

    Args:
        new: (H, W) grey or (H, W, 3) RGB, 0 to 255; used where masked.
        mask: (H, W) bool.

    Returns:
        New arrays of the shapes of `coefficients.planes`.
    """
    planes = []
    for i, blocks in enumerate(touched(coefficients, mask)):
        plane = np.array(coefficients.planes[i])
        if blocks.any():
            values = forward(samples(coefficients, i, new, mask, blocks), coefficients.tables[i])
            grid(plane)[blocks] = np.rint(values).astype(plane.dtype)
        planes.append(plane)
    return tuple(planes)


def samples(coefficients: Coefficients, index: int, new: np.ndarray, mask: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """(N, 8, 8) float: what the touched blocks of a component should show, 0 to 255 less 128.

    Args:
        index: of the component.  new, mask: as of `rewritten`.  blocks: of this component, from `touched`.
    """
    plane, table, (y, x) = coefficients.planes[index], coefficients.tables[index], coefficients.steps_yx[index]
    old = np.clip(backward(grid(plane)[blocks], table), -LEVEL, 255 - LEVEL)
    cells = len(old), SIDE, y, SIDE, x
    removed = pixels_of(mask, (SIDE * y, SIDE * x), blocks).reshape(cells)
    values = pixels_of(new, (SIDE * y, SIDE * x), blocks).astype(np.float64)
    values = values - LEVEL if new.ndim == 2 else values @ _YCC[index] - (LEVEL if index == 0 else 0)
    counts = removed.sum(axis=(2, 4))
    means = np.where(removed, values.reshape(cells), 0.0).sum(axis=(2, 4)) / np.maximum(counts, 1)
    return _continued(np.where(counts > 0, means, old), blocks, (-(-mask.shape[0] // y), -(-mask.shape[1] // x)))


def forward(values: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(N, 8, 8) samples -> coefficients in quantisation steps, not rounded."""
    return DCT @ values @ DCT.T / table


def backward(quantised: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(N, 8, 8) quantised coefficients -> samples less 128, neither rounded nor clipped."""
    return DCT.T @ (quantised * table.astype(np.float64)) @ DCT


def footprint(coefficients: Coefficients, mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: the pixels of all touched blocks, of any component."""
    height, width = coefficients.shape_hw
    area = np.zeros((height, width), bool)
    for blocks, (y, x) in zip(touched(coefficients, mask), coefficients.steps_yx):
        area |= blocks.repeat(SIDE * y, axis=0)[:height].repeat(SIDE * x, axis=1)[:, :width]
    return area


def hidden_at_edge(plane: np.ndarray, table: np.ndarray, shape_hw: tuple[int, int]) -> bool:
    """Whether the blocks at the lower and right edge of a component hold a picture outside of the image, see `hidden_beyond_edge`.

    Args:
        plane, table: of a component with a sample a pixel, as in `Coefficients`.
        shape_hw: rows and columns of the image.
    """
    shown = np.zeros(plane.shape, np.int16)
    edge = np.zeros(grid(plane).shape[:2], bool)
    edge[-1], edge[:, -1] = True, True
    grid(shown)[edge] = np.clip(np.rint(backward(grid(plane)[edge], table)) + LEVEL, 0, 255)
    return hidden_beyond_edge(shown, shape_hw, PADDING_LEVELS + int(table.max()) / 2)


def hidden_beyond_edge(brightness: np.ndarray, shape_hw: tuple[int, int], limit: float) -> bool:
    """Whether the blocks that the edge of an image cuts, or that lie outside, hold anything but repeated edge pixels or a uniform grey.

    Args:
        brightness: (rows, columns), 0 to 255, in whole blocks; only those blocks are looked at.
        shape_hw: rows and columns of the image.
        limit: grey levels that ringing may reach.
    """
    height, width = shape_hw
    for y, x in ((height // 8 * 8, 0), (0, width // 8 * 8)):
        pixels = brightness[y:, x:].astype(np.int16)
        rows, columns = np.arange(y, brightness.shape[0]), np.arange(x, brightness.shape[1])
        padding_mask = (rows >= height)[:, None] | (columns >= width)
        edge_pixels = brightness[np.minimum(rows, height - 1)[:, None], np.minimum(columns, width - 1)]

        def cells(values: np.ndarray) -> np.ndarray:
            return values.reshape(len(rows) // 8, 8, len(columns) // 8, 8)

        deviation = cells(np.where(padding_mask, np.abs(pixels - edge_pixels), 0)).max(axis=(1, 3), initial=0)
        brightest = cells(np.where(padding_mask, pixels, 0)).max(axis=(1, 3), initial=0)
        darkest = cells(np.where(padding_mask, pixels, 255)).min(axis=(1, 3), initial=255)
        if ((deviation > limit) & (brightest - darkest > limit)).any():
            return True
    return False


def _continued(shown: np.ndarray, blocks: np.ndarray, shape_hw: tuple[int, int]) -> np.ndarray:
    """(N, 8, 8) with the samples beyond the component's (rows, columns) replaced by the last ones inside."""
    rows, columns = np.nonzero(blocks)
    inside = [np.minimum(at[:, None] * SIDE + _INDEX, size - 1) - at[:, None] * SIDE for at, size in zip((rows, columns), shape_hw)]
    return shown[np.arange(len(shown))[:, None, None], inside[0][:, :, None], inside[1][:, None, :]]


def grid(plane: np.ndarray) -> np.ndarray:
    """(rows, columns, 8, 8) view of a plane's blocks."""
    return plane.reshape(plane.shape[0] // SIDE, SIDE, -1, SIDE).swapaxes(1, 2)


def pixels_of(values: np.ndarray, cell: tuple[int, int], blocks: np.ndarray) -> np.ndarray:
    """(N, *cell[, 3]): the pixels (H, W[, 3]) of the blocks, with zeros beyond the edge."""
    height, width = (count * size for count, size in zip(blocks.shape, cell))
    padding = [(0, height - values.shape[0]), (0, width - values.shape[1])] + [(0, 0)] * (values.ndim - 2)
    padded = np.pad(values, padding) if padding[0][1] or padding[1][1] else values
    return padded.reshape(blocks.shape[0], cell[0], blocks.shape[1], cell[1], *values.shape[2:]).swapaxes(1, 2)[blocks]
