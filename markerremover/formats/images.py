"""Files to `Radiograph` and back: recognised by content, dispatched to the module of their format.

Nothing here renames or replaces files: `write` gets a path in a temporary folder, and the pipeline moves the file after `verify_written`
has passed.
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
from ..laterality.header_sides import HeaderSides
from ..records import Radiograph, Telling
from ..scope import photographs
from ..scope.modality import PHOTOGRAPH, PICTURE, Scope
from . import jpeg, png, views
from .placement import Layout

FORMATS = ("DICOM", "JPEG", "PNG", "TIFF")
MAX_FILE_BYTES = 4 << 30
"""Maximum size of a file; larger ones are held, since files are read into memory as a whole."""
_HEAD_BYTES = 132  # DICOM's preamble and prefix
_PNG, _JPEG, _TIFF = png.MAGIC, b"\xff\xd8\xff", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _module(kind: str) -> Any:
    """The module of a format. Those of DICOM and TIFF are imported with the first such file: importing pydicom takes as long as a radiograph."""
    if kind == "DICOM":
        from .dicom import files

        return files
    if kind == "TIFF":
        from . import tiff

        return tiff
    return {"PNG": png, "JPEG": jpeg}[kind]


def recognise(path: str | os.PathLike[str]) -> str | None:
    """The format of a file by its content: one of `FORMATS`, or None if it is none of them.

    DICOM is also recognised without a preamble, if the file parses and has a SOP class, a modality or rows.

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
        HeldError: the file is sound, but cannot be cleaned safely.
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
    removed: np.ndarray | None = None,
) -> tuple[str, ...]:
    """Write a file of the same format with `new_stored` as its pixels, without metadata that may identify the patient.

    Args:
        new_stored: shape and dtype of `radiograph.stored`.
        target: a new file in a temporary folder; after an error its content must not be used.
        touched: whether any pixel changed. If not, the compressed pixel payload keeps its bytes.
        verified, method: for the de-identification elements of a DICOM header; see `dicom.files.write_dicom`.
        headers: what happens to a DICOM header.
        transfer_syntax: how DICOM pixels are written, one of `options.TRANSFER_SYNTAXES`.
        synthetic: number of inpainted pixels, stated in a DICOM header; other formats have no place for it.
        removed: (F, H, W) bool, every pixel whose original was removed; None for those that change. In JPEG it decides which blocks are rewritten.

    Returns:
        Notes on what was changed or left out of the file for another reason than identity; no value is quoted.

    Raises:
        UsageError: `new_stored` does not fit, or it changed though `touched` is False.
        WriteError: it could not be written.
    """
    if new_stored.shape != radiograph.stored.shape or new_stored.dtype != radiograph.stored.dtype:
        reference = radiograph.stored
        raise UsageError(f"new_stored is {new_stored.shape} {new_stored.dtype}, needs {reference.shape} {reference.dtype}")
    if not touched and not np.array_equal(new_stored, radiograph.stored):
        raise UsageError("pixels changed, so touched must be True")
    if radiograph.format == "DICOM":
        options = {"verified": verified, "method": method, "headers": headers, "transfer_syntax": transfer_syntax, "synthetic": synthetic}
        return _module("DICOM").write_dicom(radiograph, new_stored, target, touched=touched, removed=removed, **options)
    notes = tuple(getattr(radiograph.source, "notes", ()))
    try:
        if radiograph.format == "JPEG":
            data, notes = jpeg.encode_jpeg(radiograph, new_stored, touched=touched, removed=removed)
        else:
            data = getattr(_module(radiograph.format), f"encode_{radiograph.format.lower()}")(radiograph, new_stored, touched=touched)
        Path(target).write_bytes(data)
    except Exception as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else type(exc).__name__
        raise WriteError(f"{radiograph.path.name}: cannot be written ({reason})") from exc
    return notes


def is_jpeg(radiograph: Radiograph) -> bool:
    """Whether it is a JPEG file, or DICOM in JPEG Baseline or Extended: around removed areas such a result differs a little from its source."""
    return radiograph.format == "JPEG" or (radiograph.format == "DICOM" and _module("DICOM").is_editable(radiograph))


def is_touched(radiograph: Radiograph, new_stored: np.ndarray, removed: np.ndarray) -> bool:
    """Whether a file's pixels have to be written anew: they change; or something was removed from a JPEG where it shows black, since what decodes to
    black may hold detail below it.

    Args:
        removed: (F, H, W) bool, every pixel whose original was removed.
    """
    return bool(is_jpeg(radiograph) and removed.any()) or not np.array_equal(new_stored, radiograph.stored)


def views_of(radiograph: Radiograph, stored: np.ndarray) -> tuple[np.ndarray, ...]:
    """The views of other pixels in place of those that were read, stretched by the same tables, so that black boxes or a repair do not change
    the grey levels of the remaining image.

    Args:
        stored: shape and dtype of `radiograph.stored`; not the indices of a palette, see `unfillable`.

    Returns:
        As many (F, H, W) uint8 views as `Radiograph.views`.

    Raises:
        HeldError: a DICOM result cannot be displayed.
    """
    if radiograph.format == "DICOM":
        return _module("DICOM").views(radiograph, stored)
    if radiograph.format == "JPEG":
        return jpeg.views_jpeg(stored, radiograph.stored)
    if radiograph.format == "ARRAY":
        return array_views(stored, radiograph.stored, radiograph.source)
    return getattr(_module(radiograph.format), f"views_{radiograph.format.lower()}")(radiograph.source, stored, radiograph.stored)


def array_views(
    stored: np.ndarray, reference: np.ndarray | None = None, window: tuple[float, float] | None = None
) -> tuple[np.ndarray, ...]:
    """The views of (F, H, W) grey or (F, H, W, 3) RGB pixels, uint8 or uint16, or with a window grey int16, shown as `reference` would be.

    Args:
        window: centre and width of what is shown of grey pixels; by default 0 is black.
    """
    return views.views(stored, window=window, function="LINEAR_EXACT", reference=reference) if stored.ndim == 3 else views.colour_views(stored, 8 * stored.dtype.itemsize, reference)


def layout(radiograph: Radiograph) -> Layout:
    """How the pixels of a decoded radiograph lie in its file; DICOM pixels count as upright."""
    orientation, settled = 1, False
    if radiograph.format == "JPEG":
        orientation, settled = jpeg.turned(radiograph.source.segments)
    elif radiograph.format == "PNG":
        orientation = radiograph.source.orientation
    elif radiograph.format == "TIFF":
        orientation = _module("TIFF").orientation_of(radiograph.source)
    return Layout(radiograph.shape_hw, orientation, settled, len(radiograph.stored))


def layout_of(path: Path) -> Layout:
    """How the pixels of a PNG, JPEG or TIFF file lie in it, without decoding them.

    Raises:
        ReadError: the file has another format, or is damaged.
        HeldError: reading would hold it.
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


def shown_as(radiograph: Radiograph, result: Radiograph) -> np.ndarray:
    """The first view (F, H, W) uint8 of a result, stretched by the tables of the radiograph it was made from.

    A black box can take half of the range and would then undo the stretch of everything else. Where the stored values of the two files mean
    different things, this is the result's own view; for a palette it is the result's own view only where palette indices differ.
    """
    same_shape = result.stored.shape == radiograph.stored.shape and result.stored.dtype == radiograph.stored.dtype
    if not same_shape or _meaning(result) != _meaning(radiograph):
        return result.display
    if not unfillable(radiograph):
        return views_of(radiograph, result.stored)[0]
    return np.where(result.stored == radiograph.stored, radiograph.display, result.display)


def _meaning(radiograph: Radiograph) -> tuple[str, str]:
    """What stored values mean, apart from the header's windows: two radiographs with equal tuples can share tables."""
    source = radiograph.source
    if radiograph.format == "DICOM":
        return "DICOM", source.photometric
    if radiograph.format == "PNG":
        return "palette" if source.colour == 3 else "raster", str(source.depth)
    white = radiograph.format == "TIFF" and source.photometric == _module("TIFF").WHITE_IS_ZERO
    return "white is zero" if white else "raster", str(8 * radiograph.stored.dtype.itemsize)


def unfillable(radiograph: Radiograph) -> str:
    """The reason why pixels cannot be inpainted, "" if they can: indices of a palette are no quantities and cannot be interpolated."""
    palette = (radiograph.format == "DICOM" and radiograph.source.photometric == "PALETTE COLOR") or (
        radiograph.format == "PNG" and radiograph.source.colour == 3)
    return "colours of a palette cannot be mixed" if palette else ""


def scope(radiograph: Radiograph) -> Scope:
    """Whether the weights were validated on what a decoded file is, and whether a person may be recognised in it: by its header and colours."""
    if radiograph.format == "DICOM":
        return _module("DICOM").scope(radiograph)
    colours = _colours(radiograph)
    return PHOTOGRAPH if colours is not None and photographs.is_photograph(colours) else PICTURE


def header_sides(radiograph: Radiograph) -> HeaderSides:
    """What a DICOM header says about sides; for other formats an empty record."""
    return _module("DICOM").sides(radiograph) if radiograph.format == "DICOM" else HeaderSides()


def _colours(radiograph: Radiograph) -> np.ndarray | None:
    """(H, W, 3) RGB uint8 pixels of a file that is not DICOM, None if it is grey."""
    pixels = radiograph.stored[0]
    if radiograph.format == "PNG" and radiograph.source.colour == 3:
        return np.frombuffer(radiograph.source.palette, np.uint8).reshape(-1, 3)[pixels]
    if pixels.ndim == 2 or pixels.shape[2] < 3:
        return None
    return (pixels[..., :3] >> 8 * (pixels.dtype.itemsize - 1)).astype(np.uint8)


def prepare(formats: Sequence[str] = FORMATS) -> None:
    """Import the modules that reading needs, which takes as long as reading a radiograph."""
    for kind in formats:
        _module(kind)


def may_be_dicom(path: Path) -> bool:
    """Whether the first bytes of a file are compatible with DICOM; nothing is parsed. False if the file cannot be read."""
    try:
        head = _head(path)
    except ReadError:
        return False
    return not head.startswith((_PNG, _JPEG, *_TIFF)) or head[128:132] == b"DICM"


def path_parts(path: Path) -> Telling | None:
    """Header values that must not appear in an output path, see `dicom.files.path_parts`; empty for other formats, None if unknown."""
    try:
        return _module("DICOM").path_parts(path) if recognise(path) == "DICOM" else frozenset()
    except ReadError:
        return frozenset()  # such a file has no output
    except Exception:  # of any kind: one file must not end the run, nor go out unchecked
        return None


def path_tells(radiograph: Radiograph, relative: str) -> bool:
    """Whether a result's relative path holds a name, number or UID of its own DICOM header; False for other formats."""
    return radiograph.format == "DICOM" and _module("DICOM").path_tells(radiograph, relative)


def modality(radiograph: Radiograph) -> str:
    """Modality of a DICOM file's header, where it is one of DICOM's terms; "" for other formats, and where there is none or it cannot be read."""
    return scope(radiograph).modality if radiograph.format == "DICOM" else ""


def telling(radiograph: Radiograph) -> Telling:
    """Header values that must not be readable in the file's pixels; empty for formats other than DICOM.

    Raises:
        HeldError: the DICOM header cannot be searched.
    """
    return _module("DICOM").telling(radiograph) if radiograph.format == "DICOM" else Telling()


def patient(radiograph: Radiograph) -> str:
    """A key that identifies the patient of a DICOM file, confidential; "" where the header has none, and for other formats."""
    return _module("DICOM").patient(radiograph) if radiograph.format == "DICOM" else ""


def patient_hash(radiograph: Radiograph) -> str:
    """First 16 hex digits of the SHA-256 of `patient`, "" where that is unknown. A list of patient IDs is enough to reverse it."""
    identity = patient(radiograph)
    return hashlib.sha256(identity.encode()).hexdigest()[:16] if identity else ""


def verify_written(
    radiograph: Radiograph,
    new_stored: np.ndarray,
    target: Path,
    *,
    touched: bool,
    headers: HeaderProfile = HeaderProfile(),
    transfer_syntax: str = "source",
    synthetic: int = 0,
    removed: np.ndarray | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Read `target` back and compare it with `new_stored`: exactly, or a JPEG in its coefficients, or one that was encoded again within its
    quantisation.

    Args:
        new_stored, target, touched, headers, transfer_syntax, synthetic, removed: as they were given to `write`.  notes: what it returned.

    Returns:
        `jpeg` of the manifest's row for a touched JPEG, else an empty dict.

    Raises:
        WriteError: the file does not read back as written.
    """
    if radiograph.format == "DICOM":
        options = {"headers": headers, "transfer_syntax": transfer_syntax, "synthetic": synthetic, "removed": removed}
        return _module("DICOM").verify_dicom(radiograph, new_stored, target, touched=touched, **options)
    name = radiograph.path.name
    try:
        output = read(target)
    except MarkerRemoverError as exc:
        raise WriteError(f"{name}: the output does not read back ({exc})") from exc
    if output.format != radiograph.format:
        raise WriteError(f"{name}: the output is {output.format}, needs {radiograph.format}")
    if touched and radiograph.format == "JPEG":
        return {"jpeg": jpeg.verify_redacted(radiograph, new_stored, output, removed, notes)}
    if output.stored.dtype != new_stored.dtype or not np.array_equal(output.stored, new_stored):
        raise WriteError(f"{name}: the output's pixels are not those that were to be written")
    return {}


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
