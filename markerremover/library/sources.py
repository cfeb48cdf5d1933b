"""Paths, arrays, tensors and pydicom datasets as radiographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Union

import numpy as np

from ..errors import ReadError, UsageError
from ..formats import images
from ..records import Radiograph
from .grey_scale import HIGH, LOW, Levels, Window

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


class SupportsArray(Protocol):
    """An object that numpy makes an array of, such as a torch or JAX tensor on the CPU."""

    def __array__(self) -> np.ndarray: ...


Source = Union[PathLike[str], str, np.ndarray, SupportsArray, "Dataset"]
WindowLike = Window | tuple[float, float]

PLAIN = (np.dtype(np.uint8), np.dtype(np.uint16))  # 0 is black, unless a window is given
WINDOWED = (np.dtype(np.int16), np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64))  # only with a window
ALLOWED = (
    "allowed are (H, W) and (H, W, 3), or stacks (N, H, W) and (N, H, W, 3), of uint8 or uint16; "
    "and grey int16, float16, float32 or float64 with `window`"
)
PIL_MODES = ("L", "RGB", "I;16")


@dataclass(frozen=True)
class Taken:
    """What a caller gave.

    radiographs: one; or of a stack one for each of its pictures.
    array: the array that was given, (N, H, W) or (N, H, W, 3) if `stacked`; None for a file or a dataset.
    levels: what the stored values of the radiographs stand for, where the array has none that fit; None where they are its own.
    """

    radiographs: tuple[Radiograph, ...]
    array: np.ndarray | None = None
    stacked: bool = False
    levels: tuple[Levels, ...] | None = None


def taken(source: Source, window: WindowLike | None = None) -> Taken:
    """The radiograph or radiographs of a source, which is not changed.

    Args:
        source: as for `MarkerRemover.clean`.
        window: as for `MarkerRemover.clean`.

    Raises:
        ReadError, HeldError: of a file or dataset.  UsageError: another kind of object, shape or dtype; a window is missing or does not fit.
    """
    shown = _window(window)
    if isinstance(source, (str, PathLike)) or is_dataset(source):
        if shown is not None:
            raise UsageError("`window` is for arrays; files and datasets state their own")
        if isinstance(source, (str, PathLike)):
            return Taken((_of_path(Path(source)),))
        from ..formats.dicom.datasets import read_dataset

        return Taken((read_dataset(source),))  # type: ignore[arg-type]
    return _of_array(as_array(source), shown)


def is_dataset(source: object) -> bool:
    """Whether it is a pydicom dataset; pydicom is not imported for it."""
    return any(kind.__name__ == "Dataset" and kind.__module__.startswith("pydicom.") for kind in type(source).__mro__)


def as_array(source: Any) -> np.ndarray:
    """The array of an object with `__array__`, `__array_interface__` or `__dlpack__`; it shares memory where these do.

    Raises:
        UsageError: it has none of them, or they fail, as on a GPU.
    """
    if isinstance(source, np.ndarray):
        return np.asarray(source)
    name = type(source).__name__
    mode = getattr(source, "mode", None)
    if isinstance(mode, str) and hasattr(source, "getbands") and mode not in PIL_MODES:
        raise UsageError(f"an image of Pillow's mode {mode!r}: convert it to one of {', '.join(PIL_MODES)}")
    try:
        if hasattr(source, "__array__") or hasattr(source, "__array_interface__"):
            return np.asarray(source)
        if hasattr(source, "__dlpack__"):
            return np.from_dlpack(source)
    except Exception as error:  # every library has its own kinds; a message may not be quoted, but these speak of devices and types
        raise UsageError(f"{name}: cannot be had as a numpy array ({type(error).__name__}): detach it, move it to the CPU, or convert its dtype") from error
    listed = " For several sources there is clean_many." if isinstance(source, Sequence) else ""
    raise UsageError(f"source is a {name}, allowed are a path, a pydicom Dataset, and what numpy makes an array of.{listed}")


def _window(window: WindowLike | None) -> Window | None:
    if window is None or isinstance(window, Window):
        return window
    try:
        low, high = window
    except (TypeError, ValueError):
        raise UsageError(f"window is {window!r}, allowed are (low, high), Window(low, high) and Window.of_center(center, width)") from None
    return Window(low, high)


def _of_path(path: Path) -> Radiograph:
    if not path.is_file():
        raise ReadError(f"{path}: there is no such file")
    if images.recognise(path) is None:
        raise ReadError(f"{path}: not a DICOM, PNG, JPEG or TIFF file")
    return images.read(path)


def _of_array(array: np.ndarray, window: Window | None) -> Taken:
    """An array as radiographs of one frame each, which hold read-only views of it where its dtype allows.

    A last axis of 1, 2 or 4 is refused: (H, W, 4) may be colour with transparency, which a stack of narrow pictures is hardly ever.
    """
    dtype = array.dtype.newbyteorder("=")
    colour = array.ndim in (3, 4) and array.shape[-1] == 3
    stacked = array.ndim == 4 if colour else array.ndim == 3
    fits = 0 not in array.shape and dtype in (*PLAIN, *WINDOWED) and (
        colour or array.ndim in (2, 3) and not (stacked and array.shape[-1] < 5))
    if not fits:
        raise UsageError(f"array has shape {array.shape} {array.dtype}, {ALLOWED}")
    if dtype in WINDOWED and (window is None or colour):
        how = "window=(low, high) or window=Window.of_center(center, width): which values show as black and as white"
        raise UsageError(f"array has shape {array.shape} {array.dtype}: it has to be grey and needs `window`, allowed are {how}")
    if colour and window is not None:
        raise UsageError(f"array has shape {array.shape}: `window` is for grey arrays")
    pictures = array if stacked else array[None]
    names = [Path(f"array[{i}]" if stacked else "array") for i in range(len(pictures))]
    if dtype.kind == "f":
        assert window is not None
        if not np.isfinite(array).all():
            raise UsageError(f"array has shape {array.shape} {array.dtype} and values that are not finite; allowed are finite ones")
        levels = tuple(Levels.of(picture, window) for picture in pictures)
        radiographs = tuple(
            _radiograph(own.levels(picture), (LOW,), name, Window(LOW, HIGH)) for own, picture, name in zip(levels, pictures, names))
        return Taken(radiographs, array, stacked, levels)
    fill: tuple[int, ...] = (0, 0, 0) if colour else (0,)
    if window is not None:
        limits = np.iinfo(dtype)
        fill = (int(min(max(np.floor(window.low), limits.min), limits.max)),)
    native = pictures.astype(dtype, copy=False)
    return Taken(tuple(_radiograph(picture, fill, name, window) for picture, name in zip(native, names)), array, stacked)


def _radiograph(picture: np.ndarray, fill: tuple[int, ...], name: Path, window: Window | None) -> Radiograph:
    frame, shown = picture[None], None if window is None else window.center_width
    views = images.array_views(frame, window=shown)
    return Radiograph(frame, views[0], fill, name, "ARRAY", shown, views[1:])


def restored(cleaned: np.ndarray, removed: np.ndarray, original: np.ndarray, levels: Levels) -> np.ndarray:
    """A cleaned picture in its own dtype: the original's values, and where something was removed those of the new levels.

    Args:
        cleaned: (H, W) uint16 levels.  removed: (H, W) bool.  original: (H, W), any real dtype.

    Returns:
        A new array, shape and dtype of `original`, in the machine's byte order.
    """
    result = original.astype(original.dtype.newbyteorder("="))
    result[removed] = levels.values(cleaned[removed]).astype(original.dtype)
    return result
