"""Files to `Radiograph` and back: recognised by content, dispatched to the module of their format.

Nothing here renames or replaces: `write` is given a path in a temporary folder, and the pipeline moves the file once
`verify_written` is content.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import HeldError, MarkerRemoverError, ReadError, UsageError, WriteError
from ..headers.profile import HeaderProfile
from ..records import Radiograph, Telling
from . import jpeg, png, views
from .placement import Layout

FORMATS = ("DICOM", "JPEG", "PNG", "TIFF")
MAX_FILE_BYTES = 4 << 30
"""Larger files are held: they are read into memory as a whole."""
_HEAD_BYTES = 132  # DICOM's preamble and prefix
_PNG, _JPEG, _TIFF = png.MAGIC, b"\xff\xd8\xff", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _module(kind: str) -> Any:
    """The module of a format. Those of DICOM and TIFF are imported when the first such file comes: pydicom takes as long as a radiograph."""
    if kind == "DICOM":
        from .dicom import files

        return files
    if kind == "TIFF":
        from . import tiff

        return tiff
    return {"PNG": png, "JPEG": jpeg}[kind]


def recognise(path: str | os.PathLike[str]) -> str | None:
    """The format of a file by its content: one of `FORMATS`, or None if it is no image known here.

    DICOM is also seen without preamble, when it parses with what a DICOM file must say.

    Raises:
        ReadError: the file is missing, unreadable, empty, or no regular file.
    """
    path = Path(path)
    head = _head(path)
    if head[128:132] == b"DICM":
        return "DICOM"
    if head.startswith(_PNG):
        return "PNG"
    if head.startswith(_JPEG):
        return "JPEG"
    if head.startswith(_TIFF):
        return "TIFF"
    group = head[:2]
    plausible = group in (b"\x02\0", b"\x08\0", b"\0\x02", b"\0\x08") and len(head) > 8
    return "DICOM" if plausible and _module("DICOM").looks_like_dicom(path) else None


def read(path: str | os.PathLike[str]) -> Radiograph:
    """Decode one file.

    Returns:
        A Radiograph: stored values, the view for the models, and what `write` needs.

    Raises:
        ReadError: not an image, damaged, truncated, without pixels, or unreadable.
        HeldError: understood, but it cannot be cleaned safely.
    """
    path = Path(path)
    kind = recognise(path)
    if kind is None:
        raise ReadError(f"{path.name}: is not a PNG, JPEG, TIFF or DICOM image")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise HeldError(f"{path.name}: has {path.stat().st_size} bytes, allowed are {MAX_FILE_BYTES}")
    if kind == "DICOM":
        return _module("DICOM").read_dicom(path)
    try:
        return getattr(_module(kind), f"read_{kind.lower()}")(path, path.read_bytes())
    except MarkerRemoverError:
        raise
    except Exception as exc:
        raise ReadError(f"{path.name}: cannot be decoded as {kind} ({type(exc).__name__})") from exc


def write(
    radiograph: Radiograph,
    new_stored: np.ndarray,
    target: Path,
    *,
    touched: bool,
    verified: bool = False,
    method: str = "",
    headers: HeaderProfile = HeaderProfile(),
    transfer_syntax: str = "source",
    synthetic: int = 0,
) -> tuple[str, ...]:
    """Write the same kind of file with `new_stored` as its pixels; metadata that may identify is left out.

    Args:
        new_stored: shape and dtype of `radiograph.stored`.
        target: a new file in a temporary folder; whatever is there after an error must not be used.
        touched: whether any pixel changed. If not, the compressed pixel payload keeps its bytes.
        verified, method: go to the de-identification elements of a DICOM header; see `dicom.write_dicom`.
        headers: what happens to a DICOM header.
        transfer_syntax: how DICOM pixels are written, one of `options.TRANSFER_SYNTAXES`.
        synthetic: how many pixels were made up, which a DICOM header says; other formats have no place for it.

    Returns:
        What of the file was changed or left out for another reason than that it may identify; no value is quoted.

    Raises:
        UsageError: `new_stored` does not fit, or it changed though `touched` is False.
        WriteError: it could not be written.
    """
    if new_stored.shape != radiograph.stored.shape or new_stored.dtype != radiograph.stored.dtype:
        need = radiograph.stored
        raise UsageError(f"new_stored is {new_stored.shape} {new_stored.dtype}, needs {need.shape} {need.dtype}")
    if not touched and not np.array_equal(new_stored, radiograph.stored):
        raise UsageError("pixels changed, so touched must be True")
    if radiograph.format == "DICOM":
        said = {"verified": verified, "method": method, "headers": headers, "transfer_syntax": transfer_syntax, "synthetic": synthetic}
        return _module("DICOM").write_dicom(radiograph, new_stored, target, touched=touched, **said)
    try:
        data = getattr(_module(radiograph.format), f"encode_{radiograph.format.lower()}")(radiograph, new_stored, touched=touched)
        Path(target).write_bytes(data)
    except Exception as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else type(exc).__name__
        raise WriteError(f"{radiograph.path.name}: cannot be written ({reason})") from exc
    return tuple(getattr(radiograph.source, "notes", ()))


def views_of(radiograph: Radiograph, stored: np.ndarray) -> tuple[np.ndarray, ...]:
    """What the models would see of other pixels in the place of those that were read: they are stretched as those are, for black boxes
    or a repair must not change how the rest looks.

    Args:
        stored: shape and dtype of `radiograph.stored`; not of a palette, see `unfillable`.

    Returns:
        As many (F, H, W) uint8 views as `Radiograph.views`.
    """
    if radiograph.format == "DICOM":
        return _module("DICOM").views(radiograph, stored)
    if radiograph.format == "JPEG":
        return jpeg.views_jpeg(stored, radiograph.stored)
    if radiograph.format == "ARRAY":
        return array_views(stored, radiograph.stored)
    return getattr(_module(radiograph.format), f"views_{radiograph.format.lower()}")(radiograph.source, stored, radiograph.stored)


def array_views(stored: np.ndarray, reference: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """The views of (F, H, W) grey or (F, H, W, 3) RGB pixels in which 0 is black, uint8 or uint16, shown as `reference` would be."""
    return views.views(stored, reference=reference) if stored.ndim == 3 else views.colour_views(stored, 8 * stored.dtype.itemsize, reference)


def layout(radiograph: Radiograph) -> Layout:
    """How its pixels lie in its file."""
    orientation, settled = 1, False
    if radiograph.format == "JPEG":
        orientation, settled = jpeg.turned(radiograph.source.segments)
    elif radiograph.format == "PNG":
        orientation = radiograph.source.orientation
    elif radiograph.format == "TIFF":
        orientation = _module("TIFF").orientation_of(radiograph.source)
    return Layout(radiograph.shape_hw, orientation, settled, len(radiograph.stored))


def layout_of(path: Path) -> Layout:
    """The same of a PNG, JPEG or TIFF file whose pixels are not decoded.

    Raises:
        ReadError: it is none, or is damaged.  HeldError: it would be held.
    """
    path, kind = Path(path), recognise(path)
    if kind not in ("PNG", "JPEG", "TIFF"):
        raise ReadError(f"{path.name}: is not a PNG, JPEG or TIFF image")
    try:
        return Layout(*_module(kind).layout(path, path.read_bytes()))
    except MarkerRemoverError:
        raise
    except Exception as exc:
        raise ReadError(f"{path.name}: cannot be decoded as {kind} ({type(exc).__name__})") from exc


def shown_as(radiograph: Radiograph, other: Radiograph) -> np.ndarray:
    """(F, H, W) uint8: another picture, a result of the first, as it looks when it is shown like that one.

    A black box can take half of the range, and would then undo the stretch of all the rest. Where the stored values of the two mean
    different things, it is what the other looks like by itself; of a palette that only where its entries differ.
    """
    same_shape = other.stored.shape == radiograph.stored.shape and other.stored.dtype == radiograph.stored.dtype
    if not same_shape or _meaning(other) != _meaning(radiograph):
        return other.display
    if not unfillable(radiograph):
        return views_of(radiograph, other.stored)[0]
    return np.where(other.stored == radiograph.stored, radiograph.display, other.display)


def _meaning(radiograph: Radiograph) -> tuple[str, str]:
    """What stored values stand for, apart from the header's windows."""
    source = radiograph.source
    if radiograph.format == "DICOM":
        return "DICOM", source.photometric
    if radiograph.format == "PNG":
        return "palette" if source.colour == 3 else "raster", str(source.depth)
    white = radiograph.format == "TIFF" and source.photometric == _module("TIFF").WHITE_IS_ZERO
    return "white is zero" if white else "raster", str(8 * radiograph.stored.dtype.itemsize)


def unfillable(radiograph: Radiograph) -> str:
    """"" or why no pixels can be made up from others: the entries of a palette are no amounts of anything."""
    palette = (radiograph.format == "DICOM" and radiograph.source.photometric == "PALETTE COLOR") or (
        radiograph.format == "PNG" and radiograph.source.colour == 3)
    return "colours of a palette cannot be mixed" if palette else ""


def prepare(formats: Sequence[str] = FORMATS) -> None:
    """Import what reading takes, which takes as long as a radiograph."""
    for kind in formats:
        _module(kind)


def may_be_dicom(path: Path) -> bool:
    """Whether the first bytes of a file do not speak against DICOM; nothing is parsed. False of what cannot be read."""
    try:
        head = _head(path)
    except ReadError:
        return False
    return not head.startswith((_PNG, _JPEG, *_TIFF)) or head[128:132] == b"DICM"


def path_parts(path: Path) -> Telling | None:
    """What of a file's header must not stand in a path, see `dicom.path_parts`; nothing of a file that is no DICOM file."""
    try:
        return _module("DICOM").path_parts(path) if recognise(path) == "DICOM" else frozenset()
    except ReadError:
        return frozenset()  # such a file has no output
    except Exception:  # of any kind: one file must not end the run, nor go out unchecked
        return None


def path_tells(radiograph: Radiograph, relative: str) -> bool:
    """Whether the path of a result holds a name, number or UID of its own header; other formats than DICOM have none."""
    return radiograph.format == "DICOM" and _module("DICOM").path_tells(radiograph, relative)


def telling(radiograph: Radiograph) -> Telling:
    """What of the file's own header must not be readable in its picture; other formats than DICOM have none.

    Raises:
        HeldError: see `dicom.telling`.
    """
    return _module("DICOM").telling(radiograph) if radiograph.format == "DICOM" else Telling()


def patient(radiograph: Radiograph) -> str:
    """What tells the patient of a DICOM file from others, which is confidential; "" where it cannot be told, and for other formats."""
    return _module("DICOM").patient(radiograph) if radiograph.format == "DICOM" else ""


def patient_hash(radiograph: Radiograph) -> str:
    """16 hex digits of a hash of `patient`, "" where that is not known. Who has a list of IDs can undo it."""
    found = patient(radiograph)
    return hashlib.sha256(found.encode()).hexdigest()[:16] if found else ""


def verify_written(
    radiograph: Radiograph,
    new_stored: np.ndarray,
    target: Path,
    *,
    touched: bool,
    headers: HeaderProfile = HeaderProfile(),
    transfer_syntax: str = "source",
    synthetic: int = 0,
) -> None:
    """Read `target` again and compare it with what was to be written: exactly, or for JPEG as its tables allow.

    Raises:
        WriteError: it does not read back as written.
    """
    if radiograph.format == "DICOM":
        said = {"headers": headers, "transfer_syntax": transfer_syntax, "synthetic": synthetic}
        _module("DICOM").verify_dicom(radiograph, new_stored, target, touched=touched, **said)
        return
    name = radiograph.path.name
    try:
        again = read(target)
    except MarkerRemoverError as exc:
        raise WriteError(f"{name}: the output does not read back ({exc})") from exc
    if again.format != radiograph.format:
        raise WriteError(f"{name}: the output is {again.format}, needs {radiograph.format}")
    if touched and radiograph.format == "JPEG":
        jpeg.verify_jpeg(radiograph, new_stored, again.stored)
    elif again.stored.dtype != new_stored.dtype or not np.array_equal(again.stored, new_stored):
        raise WriteError(f"{name}: the output's pixels are not those that were to be written")


def _head(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise ReadError(f"{path.name}: is not a regular file")
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as exc:
        raise ReadError(f"{path.name}: cannot be read ({exc.strerror or type(exc).__name__})") from exc
    if not head:
        raise ReadError(f"{path.name}: is empty, it has zero bytes")
    return head
