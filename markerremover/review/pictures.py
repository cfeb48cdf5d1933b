"""The views of a file on the page as PNG: original and result in the same window, equalised, or their difference."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ReadError
from ..records import Radiograph

VIEWS = ("before", "after", "difference")
KEEP_FILES = 6  # number of decoded files in memory: this one, the next ones, and the last
KEEP_PICTURES = 16  # number of rendered views in memory
LOSSY = 12  # largest change of a pixel of a JPEG file where nothing was removed, grey levels
FLAT = 24  # grey level of unchanged pixels in the difference
CLIP, TILES = 3.0, (8, 8)  # clip limit and grid of the equalised view (CLAHE)
TABLE = 1 << 16  # number of 16-bit values


@dataclass(frozen=True)
class Pair:
    """An original and its result, decoded.

    before, after: (F, H, W) uint8, bright = dense, displayed through the same table; `after` is the result on disk, or for a file
        without one the original with every box blacked out.
    wide: (F, H, W) uint16, the stored values of the original, inverted if necessary so that more is brighter; None for 8 bits.
    wide_after: the same of the result.  limits: 0.1st and 99.9th percentile of `wide`.
    stored_limits: the same as values of the file; for a file without `wide`, 0 and 255.
    written: whether there is a result.  moved: (F, H, W) bool, where stored values of a JPEG, also in DICOM, differ by more than `LOSSY`; None for other
        formats, in which retained pixels are unchanged.
    """

    before: np.ndarray
    after: np.ndarray
    wide: np.ndarray | None
    wide_after: np.ndarray | None
    limits: tuple[int, int]
    stored_limits: tuple[int, int]
    written: bool
    moved: np.ndarray | None = None


def load(source: Path, result: Path | None, row: dict[str, Any], boxes: list[dict[str, Any]]) -> Pair:
    """Decode a file and its result.

    Args:
        result: None where the run wrote none.  row: of the manifest.
        boxes: blacked out where there is no result; `frame` and `xyxy` in source pixels.

    Raises:
        ReadError: original or result cannot be read, or do not have the SHA-256 in the manifest.
    """
    from ..formats import read_apart  # loads every decoder, so that the page is served first
    from ..system.files import sha256_file

    try:
        if sha256_file(source) != row["sha256_in"]:
            raise ReadError("its original has changed since the run")
        radiograph = read_apart.read(source)
        if result is None:
            return _unwritten(radiograph, boxes)
        if sha256_file(result) != row["sha256_out"]:
            raise ReadError("its result has changed since the run")
        cleaned = read_apart.read(result)
    except OSError as error:
        raise ReadError(f"it cannot be read ({error.strerror or type(error).__name__})") from error
    except ReadError:
        raise
    except Exception as error:  # any exception: a decoder's message may quote the file
        raise ReadError(f"it cannot be shown ({type(error).__name__})") from error
    if cleaned.stored.shape != radiograph.stored.shape or cleaned.stored.dtype != radiograph.stored.dtype:
        raise ReadError("its result has another size than its original")
    return _pair(radiograph, cleaned)


def _unwritten(radiograph: Radiograph, boxes: list[dict[str, Any]]) -> Pair:
    """A file without a result: every box is blacked out, also retained ones."""
    after, wide = radiograph.display.copy(), _wide(radiograph)
    wide_after = None if wide is None else wide.copy()
    for box in boxes:
        x1, y1, x2, y2 = box["xyxy"]
        for array in (after, wide_after):
            if array is not None:
                array[box["frame"], y1:y2, x1:x2] = 0
    limits = _limits(wide)
    return Pair(radiograph.display, after, wide, wide_after, limits, _as_stored(radiograph, limits, wide is not None), False)


def _pair(radiograph: Radiograph, result: Radiograph) -> Pair:
    """Both displayed through the table of the original, so that unchanged pixels are equal."""
    from ..formats import images

    if radiograph.stored.ndim == 4 or radiograph.stored.dtype.itemsize > 2:
        return Pair(radiograph.display, images.shown_as(radiograph, result), None, None, (0, 255), (0, 255), True, _moved(radiograph, result))
    table, indices, result_indices = _table(radiograph), _index(radiograph.stored), _index(result.stored)
    wide = wide_after = None
    if radiograph.stored.dtype.itemsize == 2:
        darker = _darker(radiograph)
        wide, wide_after = (np.uint16(TABLE - 1) - values if darker else values for values in (indices, result_indices))
    limits = _limits(wide)
    stored_limits = _as_stored(radiograph, limits, wide is not None)
    return Pair(radiograph.display, table[result_indices], wide, wide_after, limits, stored_limits, True, _moved(radiograph, result))


def _moved(radiograph: Radiograph, result: Radiograph) -> np.ndarray | None:
    """See `Pair.moved`. It compares stored values, since a stretched view magnifies small differences."""
    from ..formats import images
    from ..formats.views import colour_to_grey

    if not (images.is_jpeg(radiograph) and images.is_jpeg(result)):
        return None

    original_grey, result_grey = (r.stored if r.stored.ndim == 3 else colour_to_grey(r.stored) for r in (radiograph, result))
    return np.abs(original_grey.astype(np.int16) - result_grey) > LOSSY


def _index(stored: np.ndarray) -> np.ndarray:
    """(F, H, W) uint8 or uint16: stored values counted from the least of the dtype; `stored` itself (no copy) where that is 0."""
    if stored.dtype.kind == "u":
        return stored
    unsigned = np.dtype(f"u{stored.dtype.itemsize}")
    return stored.view(unsigned) ^ unsigned.type(1 << 8 * stored.dtype.itemsize - 1)


def _table(radiograph: Radiograph) -> np.ndarray:
    """(N,) uint8: grey of each value of `_index`; interpolated linearly between the values that occur."""
    indices = _index(radiograph.stored)
    grey = np.full(1 << 8 * indices.dtype.itemsize, -1, np.int16)
    grey[indices] = radiograph.display
    occurring = np.flatnonzero(grey >= 0)
    table = np.interp(np.arange(len(grey)), occurring, grey[occurring]).astype(np.uint8)
    fill = int(_index(np.array([radiograph.fill[0]], radiograph.stored.dtype))[0])
    if grey[fill] < 0:
        table[fill] = 0
    return table


def _wide(radiograph: Radiograph) -> np.ndarray | None:
    if radiograph.stored.ndim == 4 or radiograph.stored.dtype.itemsize != 2:
        return None
    values = _index(radiograph.stored)
    return np.uint16(TABLE - 1) - values if _darker(radiograph) else values


def _darker(radiograph: Radiograph) -> bool:
    """Whether greater stored values are displayed darker."""
    step = max(1, radiograph.stored.size // 20000)
    values, grey = radiograph.stored.reshape(-1)[::step].astype(float), radiograph.display.reshape(-1)[::step].astype(float)
    return bool(values.std() > 0 and grey.std() > 0 and np.corrcoef(values, grey)[0, 1] < 0)


def _limits(wide: np.ndarray | None) -> tuple[int, int]:
    """The limits of a file's window: its 0.1st and 99.9th percentile."""
    if wide is None:
        return 0, 255
    step = max(1, wide.size // 200000)
    low, high = np.percentile(wide.reshape(-1)[::step], (0.1, 99.9))
    return int(low), max(int(high), int(low) + 1)


def _as_stored(radiograph: Radiograph, limits: tuple[int, int], is_wide: bool) -> tuple[int, int]:
    """Limits in values of `Pair.wide` as stored values of the file; as they are where there is no such array."""
    if not is_wide:
        return limits
    low, high = ((TABLE - 1 - value if _darker(radiograph) else value) + int(np.iinfo(radiograph.stored.dtype).min) for value in limits)
    return low, high


def window(pair: Pair) -> dict[str, Any]:
    """What the page needs to show a window in values: `low` and `high` of the file's own window, `stored` whether they are stored values (else
    grey levels of the models' view)."""
    low, high = pair.stored_limits
    return {"low": low, "high": high, "stored": pair.wide is not None}


def render(pair: Pair, view: str, frame: int, *, equalised: bool = False, centre: float = 0.5, width: float = 1.0) -> np.ndarray:
    """One view, (H, W) uint8; may be a view of the pair's arrays.

    Args:
        view: one of VIEWS. The difference shows the original where the result differs, and a flat grey elsewhere.
        equalised: with contrast-limited adaptive histogram equalisation, which shows faint text.
        centre, width: of the window, as fractions of the file's own; 0.5 and 1 give the models' view.

    Raises:
        ReadError: there is no such frame.
    """
    import cv2

    if not 0 <= frame < len(pair.before):
        raise ReadError("there is no such frame")
    before, after = (_windowed(pair, side, frame, centre, width) for side in ("before", "after"))
    if view == "difference":
        changed = pair.before[frame] != pair.after[frame] if pair.moved is None else pair.moved[frame].copy()
        if pair.wide is not None and pair.wide_after is not None:
            changed |= pair.wide[frame] != pair.wide_after[frame]
        return _difference(before, changed)
    picture = before if view == "before" else after
    return cv2.createCLAHE(CLIP, TILES).apply(np.ascontiguousarray(picture)) if equalised else picture


def _difference(before: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """The removed pixels, their contrast stretched region by region, on flat grey."""
    import cv2

    out = np.full(before.shape, FLAT, np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.dilate(changed.astype(np.uint8), np.ones((9, 9), np.uint8)))
    for i in range(1, count):
        x, y, w, h = (int(v) for v in stats[i, :4])
        part = np.s_[y : y + h, x : x + w]
        mask = changed[part] & (labels[part] == i)
        values = before[part][mask].astype(np.float32)
        low, high = np.percentile(values, (1, 99)) if values.size else (0, 0)
        out[part][mask] = np.clip(64 + (values - low) * (191 / max(high - low, 1)), 64, 255).astype(np.uint8)
    return out


def _windowed(pair: Pair, side: str, frame: int, centre: float, width: float) -> np.ndarray:
    plain = (pair.before if side == "before" else pair.after)[frame]
    if centre == 0.5 and width == 1.0:
        return plain
    values, (low, high) = (pair.wide if side == "before" else pair.wide_after), pair.limits
    values = plain if values is None else values[frame]
    span = max((high - low) * width, 1.0)
    start = low + (high - low) * centre - span / 2
    table = np.clip((np.arange(256 if values.dtype == np.uint8 else TABLE, dtype=np.float32) - start) * (255 / span), 0,
        255).astype(np.uint8)
    return table[values]


def png(picture: np.ndarray) -> bytes:
    """PNG bytes of an (H, W) uint8 array, uncompressed: they do not leave this machine, and compressing took longer than everything else."""
    from ..formats.png import assemble

    h, w = picture.shape
    lines = np.zeros((h, w + 1), np.uint8)  # the first byte of each line is its filter: 0, none
    lines[:, 1:] = picture
    head = struct.pack(">IIBBBBB", w, h, 8, 0, 0, 0, 0)
    return assemble((b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 0)), (b"IEND", b""))
