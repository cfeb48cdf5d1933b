"""What the page shows of a file: its original and its result as PNG, in the same window, equalised, or what differs between them."""

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
KEEP_FILES = 6  # decoded files in memory: this one, the next ones, and the last
KEEP_PICTURES = 16
LOSSY = 12  # grey levels by which a pixel of a JPEG file may move where nothing was removed
FLAT = 24  # grey of what did not change, in the difference
CLIP, TILES = 3.0, (8, 8)  # of the equalised view
TABLE = 1 << 16


@dataclass(frozen=True)
class Pair:
    """An original and its result, decoded.

    before, after: (F, H, W) uint8, bright = dense, shown through the same table; after is the result as it is on disk, for a file
        without one the original with every box black.
    wide: (F, H, W) uint16 or None: the stored values of the original, turned so that more is brighter; None where 8 bits hold all.
    wide_after: the same of the result.  limits: least and greatest of `wide`.
    written: whether there is a result.  moved: (F, H, W) bool, where stored values differ by more than `LOSSY`, of JPEG files; None where
        what was not removed has its very values, as in all other formats.
    """

    before: np.ndarray
    after: np.ndarray
    wide: np.ndarray | None
    wide_after: np.ndarray | None
    limits: tuple[int, int]
    written: bool
    moved: np.ndarray | None = None


def load(source: Path, result: Path | None, row: dict[str, Any], boxes: list[dict[str, Any]]) -> Pair:
    """Decode what the page shows of a file.

    Args:
        result: None where the run wrote none.
        boxes: what is blacked out in place of a result, with `frame` and `xyxy`.

    Raises:
        ReadError: original or result cannot be read, or are not those that the manifest speaks of.
    """
    from ..formats import read_apart  # with every decoder: the page is served before they are loaded
    from ..system.files import sha256_file

    try:
        if sha256_file(source) != row["sha256_in"]:
            raise ReadError("its original has changed since the run")
        radiograph = read_apart.read(source)
        if result is None:
            return _unwritten(radiograph, boxes)
        if sha256_file(result) != row["sha256_out"]:
            raise ReadError("its result has changed since the run")
        other = read_apart.read(result)
    except OSError as error:
        raise ReadError(f"it cannot be read ({error.strerror or type(error).__name__})") from error
    except ReadError:
        raise
    except Exception as error:  # of any kind: a decoder's message may quote the file
        raise ReadError(f"it cannot be shown ({type(error).__name__})") from error
    if other.stored.shape != radiograph.stored.shape or other.stored.dtype != radiograph.stored.dtype:
        raise ReadError("its result has another size than its original")
    return _pair(radiograph, other)


def _unwritten(radiograph: Radiograph, boxes: list[dict[str, Any]]) -> Pair:
    """A file without a result: every box of it black, also those of which something would stay."""
    after, wide = radiograph.display.copy(), _wide(radiograph)
    wide_after = None if wide is None else wide.copy()
    for box in boxes:
        x1, y1, x2, y2 = box["xyxy"]
        for array in (after, wide_after):
            if array is not None:
                array[box["frame"], y1:y2, x1:x2] = 0
    return Pair(radiograph.display, after, wide, wide_after, _limits(wide), False)


def _pair(radiograph: Radiograph, other: Radiograph) -> Pair:
    """Both through the table of the original, so that what did not change looks the same."""
    from ..formats import images

    if radiograph.stored.ndim == 4 or radiograph.stored.dtype.itemsize > 2:
        return Pair(radiograph.display, images.shown_as(radiograph, other), None, None, (0, 255), True, _moved(radiograph, other))
    table, at, other_at = _table(radiograph), _index(radiograph.stored), _index(other.stored)
    wide = wide_after = None
    if radiograph.stored.dtype.itemsize == 2:
        darker = _darker(radiograph)
        wide, wide_after = (np.uint16(TABLE - 1) - values if darker else values for values in (at, other_at))
    return Pair(radiograph.display, table[other_at], wide, wide_after, _limits(wide), True, _moved(radiograph, other))


def _moved(radiograph: Radiograph, other: Radiograph) -> np.ndarray | None:
    """See `Pair.moved`; in stored values, for a stretched view makes much of little."""
    if radiograph.format != "JPEG":
        return None
    from ..formats.views import colour_to_grey

    before, after = (r.stored if r.stored.ndim == 3 else colour_to_grey(r.stored) for r in (radiograph, other))
    return np.abs(before.astype(np.int16) - after) > LOSSY


def _index(stored: np.ndarray) -> np.ndarray:
    """(F, H, W) uint8 or uint16: stored values counted from the least of the dtype; `stored` itself where that is 0."""
    if stored.dtype.kind == "u":
        return stored
    unsigned = np.dtype(f"u{stored.dtype.itemsize}")
    return stored.view(unsigned) ^ unsigned.type(1 << 8 * stored.dtype.itemsize - 1)


def _table(radiograph: Radiograph) -> np.ndarray:
    """(N,) uint8: grey of each value of `_index`; between the values that occur it is drawn straight."""
    at = _index(radiograph.stored)
    grey = np.full(1 << 8 * at.dtype.itemsize, -1, np.int16)
    grey[at] = radiograph.display
    known = np.flatnonzero(grey >= 0)
    table = np.interp(np.arange(len(grey)), known, grey[known]).astype(np.uint8)
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
    """Whether greater stored values look darker."""
    step = max(1, radiograph.stored.size // 20000)
    some, grey = radiograph.stored.reshape(-1)[::step].astype(float), radiograph.display.reshape(-1)[::step].astype(float)
    return bool(some.std() > 0 and grey.std() > 0 and np.corrcoef(some, grey)[0, 1] < 0)


def _limits(wide: np.ndarray | None) -> tuple[int, int]:
    """Where the window of a file begins and ends: nearly all of its values."""
    if wide is None:
        return 0, 255
    step = max(1, wide.size // 200000)
    low, high = np.percentile(wide.reshape(-1)[::step], (0.1, 99.9))
    return int(low), max(int(high), int(low) + 1)


def render(pair: Pair, view: str, frame: int, *, equalised: bool = False, centre: float = 0.5, width: float = 1.0) -> np.ndarray:
    """One picture, (H, W) uint8.

    Args:
        view: one of VIEWS. The difference shows what the original has where the result differs, and a flat grey everywhere else.
        equalised: contrast-limited, by neighbourhood: shows what is faint.
        centre, width: of the window, as shares of the file's own; with 0.5 and 1 the view of the models.

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
    """What was removed, its contrast stretched region by region, on flat grey."""
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
    """PNG bytes of an (H, W) uint8 array, not packed: they go to this machine only, and packing took longer than all the rest."""
    from ..formats.png import assemble

    h, w = picture.shape
    lines = np.zeros((h, w + 1), np.uint8)  # each begins with the number of its filter: none
    lines[:, 1:] = picture
    head = struct.pack(">IIBBBBB", w, h, 8, 0, 0, 0, 0)
    return assemble((b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 0)), (b"IEND", b""))
