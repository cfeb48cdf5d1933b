"""The read-back of a JPEG that was redacted in its coefficients.

Several things are looked at, with several decoders. By jpegio: size, sampling and tables are the source's, and every block that no removed pixel lies in has
its coefficients. By Pillow, which has a libjpeg of its own: the brightness of each touched block is within the reach of its quantisation of
what was to be written, and that of all other pixels is unchanged. By the reader of the file's format, for DICOM that of pydicom: so are all
pixels outside of touched blocks, to one grey level. The reach is exact: rounding moves each coefficient by half a step at most, and an
orthonormal transform keeps the sum of squares. A block that is uniform in what was to be written has no coefficient but its first.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import JpegImagePlugin

from . import blocks
from .stream import SIDE, Coefficients, UnsuitedError, read

BLEEDING_PX = 2  # greatest distance to which decoders smooth colour that is sampled coarsely into the next block
GREY_LEVELS, COLOUR_LEVELS = 3, 24  # greatest difference of two decoders of a sound stream; of colour, that of brightness where RGB is clipped
_LUMA = (0.299, 0.587, 0.114)  # of R, G and B
READER_LEVELS = 1  # pydicom takes another decoder, which rounds otherwise, for what the first refuses, as a damaged source
ROUNDING = 1.5  # greatest error of a decoded grey level by integer arithmetic, of both decoded pictures


@dataclass(frozen=True)
class Comparison:
    """A redacted stream beside its source.

    fault: what is wrong with it, "" if nothing is.  blocks: of all components.  rewritten: those of them that a removed pixel lies in.
    around_px: pixels of rewritten blocks that were not removed: they may differ within the reach of the quantisation.
    """

    fault: str = ""
    blocks: int = 0
    rewritten: int = 0
    around_px: int = 0


def compared(source: bytes, output: bytes, new: np.ndarray, mask: np.ndarray, pixels: tuple[np.ndarray, np.ndarray]) -> Comparison:
    """Compare a redacted stream with its source, see the module's docstring.

    Args:
        source, output: JPEG streams.
        new: (H, W) grey or (H, W, 3) RGB, 0 to 255; what the masked pixels were to become.
        mask: (H, W) bool, the removed pixels.
        pixels: (H, W) or (H, W, 3), of both streams, as the reader of their format decodes them.
    """
    try:
        before, after = read(source), read(output)
    except UnsuitedError as error:
        return Comparison(f"its coefficients cannot be read back: {error}")
    if fault := _fault(before, after, source, output, new, mask):
        return Comparison(fault)
    touched = blocks.touched(before, mask)
    area = blocks.footprint(before, mask)
    around = int((area & ~mask).sum())
    for axis, steps in enumerate(zip(*before.steps_yx)):
        area = area if max(steps) == 1 else _widened(area, axis)
    changed = np.abs(pixels[0].astype(np.int16) - pixels[1]) > READER_LEVELS
    if ((changed.any(axis=2) if changed.ndim == 3 else changed) & ~area).any():
        return Comparison("pixels that no removed area touches have changed")
    return Comparison("", sum(block_mask.size for block_mask in touched), sum(int(block_mask.sum()) for block_mask in touched), around)


def agree(stream: bytes, pixels: np.ndarray) -> bool:
    """Whether libjpeg shows a stream as another decoder did: of a damaged stream each makes something else.

    Args:
        pixels: (H, W) grey or (H, W, 3) RGB, as the other decoder shows them.
    """
    try:
        brightness = _brightness(stream)
    except Exception:  # of any kind: Pillow refuses it
        return False
    wanted = pixels if pixels.ndim == 2 else pixels.astype(np.float32) @ np.array(_LUMA, np.float32)
    limit = GREY_LEVELS if pixels.ndim == 2 else COLOUR_LEVELS
    return brightness.shape == wanted.shape and bool(np.abs(brightness - wanted.astype(np.float32)).max() <= limit)


def _widened(area: np.ndarray, axis: int) -> np.ndarray:
    """(H, W) bool, new: the area and what is within `BLEEDING_PX` of it along one axis."""
    wider, area = np.array(area).swapaxes(0, axis), area.swapaxes(0, axis)
    for shift in range(1, BLEEDING_PX + 1):
        wider[shift:] |= area[:-shift]
        wider[:-shift] |= area[shift:]
    return wider.swapaxes(0, axis)


def _fault(before: Coefficients, after: Coefficients, source: bytes, output: bytes, new: np.ndarray, mask: np.ndarray) -> str:
    if (before.shape_hw, before.steps_yx) != (after.shape_hw, after.steps_yx) or not all(map(np.array_equal, before.tables, after.tables)):
        return "its size, sampling or quantisation tables are not those of the source"
    touched = blocks.touched(before, mask)
    for i, block_mask in enumerate(touched):
        changed = before.planes[i] != after.planes[i]
        blocks.grid(changed)[block_mask] = False
        if changed.any():
            return "blocks that no removed area touches have other coefficients"
        if reason := _reached(before, after, i, new, mask, block_mask):
            return reason
    return _shown(_brightness(source), _brightness(output), before, new, mask, touched[0])


def _reached(before: Coefficients, after: Coefficients, index: int, new: np.ndarray, mask: np.ndarray, block_mask: np.ndarray) -> str:
    """What is wrong with the coefficients of touched blocks of one component."""
    wanted = blocks.samples(before, index, new, mask, block_mask)
    written = blocks.grid(after.planes[index])[block_mask]
    if (np.abs(blocks.forward(wanted, before.tables[index]) - written) > 0.5 + 1e-6).any():
        return "a touched block is not what was to be written"
    uniform = np.ptp(wanted, axis=(1, 2)) == 0
    if written[uniform].reshape(-1, SIDE * SIDE)[:, 1:].any():
        return "a block that was removed as a whole still has detail"
    return ""


def _shown(
    old: np.ndarray, decoded: np.ndarray, before: Coefficients, new: np.ndarray, mask: np.ndarray, block_mask: np.ndarray
) -> str:
    """What is wrong with the brightness (H, W) that another decoder shows."""
    if decoded.shape != old.shape:
        return "the output has another size"
    height, width = old.shape
    inside = block_mask.repeat(SIDE, axis=0)[:height].repeat(SIDE, axis=1)[:, :width]
    if ((old != decoded) & ~inside).any():
        return "pixels that no removed area touches have changed"
    shown, target, removed, values = (
        blocks.pixels_of(pixels, (SIDE, SIDE), block_mask).astype(bool if pixels is mask else np.float64) for pixels in (decoded, old, mask, new))
    wanted = np.where(removed, values if new.ndim == 2 else values @ _LUMA, target)
    squares = np.maximum(np.abs(shown - wanted) - ROUNDING, 0) ** 2
    worst = np.sqrt(squares.sum(axis=(1, 2)).max(initial=0))
    reach = np.sqrt((np.square(before.tables[0] / 2.0)).sum())
    return f"removed areas are {worst / SIDE:.0f} grey levels from what was to be written" if worst > reach else ""


def _brightness(stream: bytes) -> np.ndarray:
    """(H, W) uint8: the first component as Pillow decodes it."""
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(stream))
    if image.mode != "L":
        image.draft("YCbCr", None)
    image.load()
    pixels = np.asarray(image)
    return pixels if pixels.ndim == 2 else pixels[..., 0]

