"""A released radiograph as grey pictures: bright = dense, 8 or 16 bits, upright, of the size that was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ..formats import images, views
from ..formats.dicom import windows
from ..records import Radiograph, locked
from .options import ExportOptions

PERCENTILES = (0.5, 99.5)  # of the pixels that were not removed; what lies outside becomes black or white
HEADER, PERCENTILE, STORED, DISPLAY = "header", "percentile", "stored", "display"
"""How grey levels were chosen: the header's window, percentiles, stored 8-bit values as they are, or the grey view of a colour or palette picture."""


@dataclass(frozen=True)
class Picture:
    """One frame as it is written.

    pixels: (H, W) uint8 or uint16, read-only.  window: one of the four words above.
    scale_yx: size of the picture without its padding as a multiple of the frame's, upright.
    pad: black pixels added left, top, right and below.  turned: whether rows and columns of the stored frame are exchanged.
    """

    pixels: np.ndarray
    window: str
    scale_yx: tuple[float, float]
    pad: tuple[int, int, int, int]
    turned: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", locked(self.pixels))


def pictures(radiograph: Radiograph, row: Mapping[str, Any], options: ExportOptions) -> list[Picture]:
    """Every frame of a result, in order.

    Args:
        row: of the manifest: its removed boxes count for no statistics.
    """
    grey, window = _grey(radiograph, _removed(radiograph, row.get("boxes", ())), options)
    orientation = images.layout(radiograph).orientation
    found = []
    for frame in grey:
        upright = turned(frame, orientation)
        sized = _resized(upright, options)
        padded, pad = _padded(sized, options)
        scale = (sized.shape[0] / upright.shape[0], sized.shape[1] / upright.shape[1])
        found.append(Picture(np.ascontiguousarray(padded), window, scale, pad, orientation >= 5))
    return found


def turned(frame: np.ndarray, orientation: int) -> np.ndarray:
    """A (H, W) frame upright; a view.

    Args:
        orientation: 1 to 8, of Exif 2.3, table 6; 6 has to be turned by 90 degrees clockwise.

    >>> turned(np.array([[1, 2, 3]]), 6).tolist()
    [[1], [2], [3]]
    """
    if orientation >= 5:
        frame = frame.T
    if orientation in (3, 4, 7, 8):
        frame = frame[::-1]
    if orientation in (2, 3, 6, 7):
        frame = frame[:, ::-1]
    return frame


def png(pixels: np.ndarray) -> bytes:
    """PNG bytes of an (H, W) uint8 or uint16 array."""
    encoded, data = cv2.imencode(".png", pixels)
    if not encoded:
        raise OSError("the picture cannot be encoded as PNG")
    return data.tobytes()


def _removed(radiograph: Radiograph, boxes: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """(F, H, W) bool: removed boxes in stored pixels."""
    mask = np.zeros(radiograph.stored.shape[:3], bool)
    for box in boxes:
        if box["action"] == "remove" and box["frame"] < len(mask):
            x1, y1, x2, y2 = (max(0, v) for v in box["xyxy"])
            mask[box["frame"], y1:y2, x1:x2] = True
    return mask


def _grey(radiograph: Radiograph, removed: np.ndarray, options: ExportOptions) -> tuple[np.ndarray, str]:
    """(F, H, W) of the wanted depth, and how its grey levels were chosen."""
    stored, source = radiograph.stored, radiograph.source
    palette = radiograph.format == "PNG" and source.colour == 3 or radiograph.format == "DICOM" and source.photometric == "PALETTE COLOR"
    padding: tuple[int, int] | None = None
    if stored.ndim == 4 or palette or stored.dtype.itemsize > 2 or radiograph.format == "PNG" and source.depth < 8:
        stored, low, window = radiograph.display, 0, DISPLAY
        values = np.arange(256, dtype=np.float32)
        share: np.ndarray | None = values / 255
    elif radiograph.format == "DICOM":
        low, high = views.value_range(stored.dtype, source.bits, source.signed)
        values, share = windows.brightness(source.dataset, low, high, source.photometric)
        padding, window = windows.padding(source.dataset, low, high), HEADER
    else:
        low, high = views.value_range(stored.dtype)
        inverted = bool(radiograph.fill[0])  # white is zero: the value that shows black is the highest
        values = np.arange(low, high + 1, dtype=np.float32) * (-1 if inverted else 1)
        share = None if high > 255 else (255 + values if inverted else values) / 255
        window = STORED
    counts = _counts(stored, low, len(values), removed, padding)
    if options.window == "percentile" or share is None or (window == HEADER and _absurd(share, counts)):
        share, window = _between_percentiles(values, counts), PERCENTILE
    dtype, top = (np.uint8, 255) if options.bits == 8 else (np.uint16, 65535)
    table = np.rint(share * top).astype(dtype)
    return table[stored.astype(np.int32) - low], window


def _counts(stored: np.ndarray, low: int, size: int, removed: np.ndarray, padding: tuple[int, int] | None) -> np.ndarray:
    """(size,) number of pixels of each stored value, without removed boxes and padding; of all pixels where nothing else is left."""
    everything = stored.astype(np.int32) - low
    counts = np.bincount(everything[~removed], minlength=size)
    if padding is not None:
        counts[padding[0] - low : padding[1] - low + 1] = 0
    return counts if counts.any() else np.bincount(everything.ravel(), minlength=size)


def _absurd(share: np.ndarray, counts: np.ndarray) -> bool:
    """Whether a header's window makes nearly all pixels black, or white; `formats.views` does not believe it either."""
    per_grey = np.bincount(np.rint(share * 255).astype(np.int64), weights=counts, minlength=256)
    return bool(max(per_grey[0], per_grey[255]) > views.ABSURD_SHARE * counts.sum())


def _between_percentiles(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(N,) shares 0-1 that rise between the two percentiles of the pixels; all 0 for a uniform picture."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(counts[order]) / counts.sum()
    low, high = (float(values[order][min(int(np.searchsorted(below, p / 100)), len(order) - 1)]) for p in PERCENTILES)
    return np.clip((values - low) / (high - low), 0, 1) if high > low else np.zeros(len(values), np.float32)


def _resized(frame: np.ndarray, options: ExportOptions) -> np.ndarray:
    """The frame with its sides in proportion, as large as `size` allows."""
    if options.size is None:
        return frame
    h, w = frame.shape
    width, height = options.size if isinstance(options.size, tuple) else (options.size, options.size)
    scale = min(width / w, height / h)
    new = (min(width, max(1, round(w * scale))), min(height, max(1, round(h * scale))))
    return frame if new == (w, h) else cv2.resize(np.ascontiguousarray(frame), new, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)


def _padded(frame: np.ndarray, options: ExportOptions) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """The frame in the middle of a black picture of exactly `size`, and what was added left, top, right and below."""
    if options.size is None or not options.is_padded:
        return frame, (0, 0, 0, 0)
    width, height = options.size if isinstance(options.size, tuple) else (options.size, options.size)
    left, top = (width - frame.shape[1]) // 2, (height - frame.shape[0]) // 2
    pad = (left, top, width - frame.shape[1] - left, height - frame.shape[0] - top)
    return cv2.copyMakeBorder(np.ascontiguousarray(frame), pad[1], pad[3], pad[0], pad[2], cv2.BORDER_CONSTANT, value=0), pad
