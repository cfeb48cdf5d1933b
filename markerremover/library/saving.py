"""A result as a file: written beside its place, read back, compared, and moved there."""

from __future__ import annotations

import io
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile

from ..errors import MarkerRemoverError, UsageError, WriteError
from ..formats import images
from ..headers.profile import HeaderProfile, read_key
from ..records import Radiograph
from ..system.files import move_into, sync

SUFFIXES = {
    "PNG": (".png",), "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"), "TIFF": (".tif", ".tiff"), "DICOM": (".dcm", ".dicom", ".dic", ".ima", ""),
}
Write = Callable[[Path], None]


def save_file(
    target: Path, radiograph: Radiograph, stored: np.ndarray, *, removed: np.ndarray, touched: bool, made_up: int, method: str,
    key: bytes | Path | str | None, overwrite: bool,
) -> None:
    """Write a radiograph that was read from a file or dataset, with other pixels, as a file of the same format.

    Args:
        target: its suffix has to be one of the format's.
        stored, removed, touched, method: as for `images.write`.  made_up: number of pixels that were filled.
        key: secret key of a DICOM header's pseudonyms and UIDs, 32 bytes or the file of one.
        overwrite: whether a file in its place is replaced.

    Raises:
        UsageError: the suffix does not fit; a DICOM file without a key, or another one with a key; a file is in its place.
        WriteError: it cannot be written or does not read back as written; nothing is left of it.
    """
    _check_suffix(target, radiograph.format)
    headers = HeaderProfile()
    if radiograph.format == "DICOM":
        if key is None:
            raise UsageError(
                f"{target}: a DICOM file has a header with the patient's data, which `markerremover remove` cleans; "
                "to write this one with its header cleaned in the same way, give the secret key of the pseudonyms: save(path, key=...)")
        headers = HeaderProfile("basic", key if isinstance(key, bytes) else read_key(Path(key)))
        if images.path_tells(radiograph, target.name):
            raise UsageError("the name of the file holds a name, number or UID of its header: choose another one")
    elif key is not None:
        raise UsageError(f"{target}: a key is for DICOM headers, this is a {radiograph.format} file")
    if radiograph.path.is_file() and target.exists() and target.samefile(radiograph.path):
        raise UsageError(f"{target}: is the file that was read, which is never written")

    def write(temporary: Path) -> None:
        same: dict[str, Any] = {"touched": touched, "headers": headers, "synthetic": made_up, "removed": removed}
        notes = images.write(radiograph, stored, temporary, verified=True, method=method, **same)
        images.verify_written(radiograph, stored, temporary, notes=notes, **same)

    _published(write, target, overwrite)


def save_array(target: Path, array: np.ndarray, *, stacked: bool, overwrite: bool) -> None:
    """Write an array as PNG (one picture, uint8 or uint16) or TIFF (any dtype; a stack as pages), without loss and without metadata.

    Args:
        array: (H, W), (H, W, 3), or a stack of them.

    Raises:
        UsageError: another suffix, or one that cannot hold the array; a file is in its place.
        WriteError: it cannot be written or does not read back as written; nothing is left of it.
    """
    kind = next((name for name in ("PNG", "TIFF") if target.suffix.lower() in SUFFIXES[name]), "")
    if not kind:
        raise UsageError(f"{target}: an array is written without loss, allowed are {', '.join(SUFFIXES['PNG'] + SUFFIXES['TIFF'])}")
    if kind == "PNG" and (stacked or array.dtype not in (np.uint8, np.uint16)):
        what = f"a stack of {len(array)}" if stacked else str(array.dtype)
        raise UsageError(f"{target}: PNG holds one picture of uint8 or uint16, this is {what}; allowed is .tif")

    def write(temporary: Path) -> None:
        data = _png(array) if kind == "PNG" else _tiff(array)
        temporary.write_bytes(data)
        again = _read_png(temporary.read_bytes()) if kind == "PNG" else tifffile.imread(io.BytesIO(temporary.read_bytes()))
        if again.dtype != array.dtype or not np.array_equal(again.reshape(array.shape), array):
            raise WriteError(f"{target.name}: the file does not read back as it was written")

    _published(write, target, overwrite)


def _check_suffix(target: Path, kind: str) -> None:
    if target.suffix.lower() not in SUFFIXES[kind] and (kind != "DICOM" or any(target.suffix.lower() in others for others in SUFFIXES.values())):
        raise UsageError(f"{target}: the source is {kind}, and so is the result; allowed are {', '.join(s or 'none' for s in SUFFIXES[kind])}")


def _published(write: Write, target: Path, overwrite: bool) -> None:
    """Have a file written beside its place and moved there; errors as of `save_file`."""
    if target.is_dir() or (target.exists() or target.is_symlink()) and not overwrite:
        raise UsageError(f"{target}: exists; choose another name" + ("" if target.is_dir() else ", or overwrite=True"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.parent / f".{secrets.token_hex(8)}.part"
        try:
            write(temporary)
            sync(temporary)
            move_into(temporary, target.name, target.parent.resolve(), replace=overwrite)
        finally:
            temporary.unlink(missing_ok=True)
    except MarkerRemoverError:
        raise
    except Exception as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        raise WriteError(f"{target}: cannot be written ({reason})") from error


def _png(array: np.ndarray) -> bytes:
    done, data = cv2.imencode(".png", np.ascontiguousarray(array[..., ::-1] if array.ndim == 3 else array))
    if not done:
        raise WriteError("OpenCV cannot write the array as PNG")
    return data.tobytes()


def _read_png(data: bytes) -> np.ndarray:
    again = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if again is None:
        raise WriteError("the PNG does not read back")
    return again[..., ::-1] if again.ndim == 3 else again


def _tiff(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    colour = array.ndim >= 3 and array.shape[-1] == 3
    tifffile.imwrite(buffer, np.ascontiguousarray(array), photometric="rgb" if colour else "minisblack", metadata=None, software=False)
    return buffer.getvalue()
