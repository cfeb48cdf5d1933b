"""DICOM files to `Radiograph` and back.

Stored values are what the file stores: no rescale, no windowing, unused bits and HighBit shifts taken out. Uncompressed
pixels are unpacked in `pixels`; compressed ones are decoded by pydicom with its wheel plugins.

Unless the run asks for one transfer syntax for all files, the output has the file's own where that can be written without
loss (see `pixels`) or edited in its coefficients (`jpeg_frames`), else Explicit VR Little Endian. Lossy colour that is not edited is written
as RGB, and a lossy source keeps (or gets) its lossy-compression history. Untouched pixels keep the bytes of PixelData, except for what could hide
something: bytes beyond the declared frames are cut off; non-zero bits outside BitsStored are cleared, and compressed frames that hold
more than an image (see `frames`) are encoded again (such a file then counts as touched). Other carriers of pixels in the
header are always removed (see `tags`); the rest is cleaned by the run's profile (see `headers`).

Error messages never quote pydicom's, which can contain header values.
"""

from __future__ import annotations

import copy
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pydicom
from pydicom import config

from ...errors import HeldError, ReadError, WriteError
from ...headers import header_changes
from ...headers.dicom_headers import clean, drop_unreadable
from ...headers.header_changes import Changes
from ...headers.header_identifiers import identifiers_of, in_path, in_pixels, names_left, patient_of
from ...headers.profile import HeaderProfile
from ...laterality import header_sides
from ...records import Radiograph, Telling
from ...scope import modality, photographs
from ...system.forks import Own
from ..coefficients.stream import UnsuitedError
from . import jpeg_frames, parsing, pixels, tags, windows
from .decoding import decode
from .pixels import DicomSource


def looks_like_dicom(path: Path) -> bool:
    """Whether a file without a preamble parses as DICOM and has a SOP class, a modality or rows."""
    with quiet:
        try:
            head = parsing.parse(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "Modality", "Rows"])
            return any(name in head for name in ("SOPClassUID", "Modality", "Rows"))
        except Exception:  # any failure to parse means: not DICOM
            return False


def read_dicom(path: Path, data: bytes | None = None) -> Radiograph:
    """Decode one DICOM file, every frame.

    Args:
        data: of a file in memory, see `datasets.serialised`; `path` is then for error messages only.

    Returns:
        A Radiograph with stored (F, H, W) or (F, H, W, 3), and a fill that shows black in the file's own window(s)
        as well as after min-max normalisation.

    Raises:
        ReadError: the file cannot be parsed or decoded, is truncated, or has no pixel data.
        HeldError: the file is sound, but cannot be cleaned safely.
    """
    path = Path(path)
    with quiet:
        try:
            source, stored = decode(path, data)
            grey_views, fill = windows.see(
                source.dataset, stored, name=path.name, photometric=source.photometric, bits=source.bits, signed=source.signed)
        except (ReadError, HeldError):
            raise
        except Exception as exc:
            raise ReadError(f"{path.name}: cannot be parsed as DICOM ({type(exc).__name__})") from None
    return Radiograph(stored=stored, display=grey_views[0], fill=fill, path=path, format="DICOM", source=source, also=grey_views[1:])


def write_dicom(
    radiograph: Radiograph,
    new_stored: np.ndarray,
    target: Path | BinaryIO,
    *,
    touched: bool,
    verified: bool = False,
    method: str = "",
    headers: HeaderProfile = HeaderProfile(),
    transfer_syntax: str = "source",
    synthetic: int = 0,
    removed: np.ndarray | None = None,
) -> tuple[str, ...]:
    """Write `new_stored` with the header of the file that was read. The source record is not changed.

    Args:
        new_stored: shape and dtype of `radiograph.stored`.
        target: path of the new file, or a buffer that gets its bytes.
        touched: whether pixels changed; if not, PixelData keeps its bytes, unless the source is dirty or another
            transfer syntax was requested.
        verified: whether the check of the result passed; only then do the header's de-identification elements
            and Burned In Annotation state that it is clean; if not, they do not, whatever the source stated.
        method: appended to De-identification Method if `verified`.
        headers: what happens to everything else in the header.
        transfer_syntax: "source" or a name of `pixels.CHOICES`.
        synthetic: number of inpainted pixels, stated in the header.
        removed: (F, H, W) bool, the removed pixels, for frames that are edited (see `jpeg_frames`); None for those that change.

    Returns:
        Notes on what was changed or left out for another reason than the profile, see `header_changes`.

    Raises:
        WriteError: the file could not be written, or not in the requested transfer syntax.
    """
    source: DicomSource = radiograph.source
    with quiet:
        try:
            dataset = copy.deepcopy(source.dataset)
            changes = Changes(dataset, profiled=headers.mode == "basic")
            if headers.mode == "basic":
                drop_unreadable(dataset)
            changes.note(header_changes.UNREADABLE)
            tags.remove_carriers(dataset)
            changes.note(header_changes.CARRIER)
            syntax, notes = _put_pixels(dataset, radiograph, new_stored, removed, reencode=touched or source.dirty, choice=transfer_syntax, headers=headers)
            changes.note(header_changes.PIXELS)
            clean(dataset, headers)
            changes.note(header_changes.NAMES, sequences=False)
            if synthetic:
                tags.mark_synthetic(dataset, synthetic)
            if verified:
                tags.mark_cleaned(dataset, method, headers.codes)
            else:
                tags.mark_doubted(dataset)
            tags.mark_scope(dataset, scope(radiograph))
            tags.renew_file_meta(dataset, syntax)
            pydicom.dcmwrite(target, dataset, enforce_file_format=True)  # save_as refuses to change the byte order
            return header_changes.shortened([*source.notes, *notes, *changes.notes])
        except WriteError as exc:
            raise WriteError(f"{radiograph.path.name}: cannot be written as {exc}") from None
        except Exception as exc:
            raise WriteError(f"{radiograph.path.name}: cannot be written as DICOM ({type(exc).__name__})") from None


def _put_pixels(
    dataset: pydicom.Dataset, radiograph: Radiograph, new_stored: np.ndarray, removed: np.ndarray | None, *, reencode: bool, choice: str,
    headers: HeaderProfile,
) -> tuple[str, list[str]]:
    """Put pixels into `dataset`, a copy of the source's: edited in their coefficients, encoded anew, or as they are.

    Args:
        reencode: whether the source's bytes may not stay.  choice: as `transfer_syntax` of `write_dicom`.

    Returns:
        The transfer syntax, and notes on what could not be done.
    """
    source: DicomSource = radiograph.source
    frames, reason = _edited(radiograph, new_stored, removed) if reencode and choice == "source" else (None, "")
    syntax = source.syntax
    if frames is not None:
        pixels.put_lossy(dataset, source, frames)
    elif reencode or pixels.aim(source, choice, reencode) != syntax:
        syntax = pixels.put(dataset, source, new_stored, choice, reencode=reencode)
    elif source.native:
        for tag in tags.OFFSET_TABLES:
            dataset.pop(tag, None)  # uncompressed Pixel Data has no offsets
        dataset["PixelData"].value = pixels.declared(source)
    if reencode:
        tags.mark_derived(dataset, new_stored, renew_uid=headers.mode == "keep")
    return syntax, [jpeg_frames.NOTE + reason] if reason else []


def is_editable(radiograph: Radiograph) -> bool:
    """Whether its frames are of a JPEG that may be edited in its coefficients."""
    return radiograph.source.syntax in jpeg_frames.SYNTAXES


def _edited(radiograph: Radiograph, new_stored: np.ndarray, removed: np.ndarray | None) -> tuple[list[bytes] | None, str]:
    """The frames of a JPEG edited in their coefficients, or None and the reason why that was not done, "" where it is no such JPEG."""
    if not is_editable(radiograph):
        return None, ""
    try:
        return jpeg_frames.edited(radiograph.source, radiograph.stored, new_stored, removed), ""
    except UnsuitedError as error:
        return None, str(error)


def verify_dicom(
    radiograph: Radiograph,
    new_stored: np.ndarray,
    target: Path | bytes,
    *,
    touched: bool,
    headers: HeaderProfile = HeaderProfile(),
    transfer_syntax: str = "source",
    synthetic: int = 0,
    removed: np.ndarray | None = None,
) -> dict[str, Any]:
    """Read `target` back and compare it with what was to be written.

    Args:
        target: path of the file, or its bytes.
        new_stored, touched, headers, transfer_syntax, synthetic, removed: as they were given to `write_dicom`.

    Returns:
        `jpeg` of the manifest's row for a touched JPEG Baseline or Extended, else an empty dict.

    Raises:
        WriteError: pixels, shape, dtype or colour space differ; untouched PixelData is not the input's; the transfer syntax is
            not the requested one; the header does not state a lossy source or inpainted pixels; a carrier remains; a header that was
            to be cleaned still holds a name or number of the patient, or the pixels' bytes spell a name.
    """
    name, source, reencode = radiograph.path.name, radiograph.source, touched or radiograph.source.dirty
    with quiet:
        try:
            output, stored = decode(radiograph.path, target) if isinstance(target, bytes) else decode(target)
            name_count = names_left(output.dataset, source.dataset) if headers.mode == "basic" else 0
            names_in_pixels = headers.mode == "basic" and in_pixels(stored.tobytes(), source.dataset)
            carrier_count = tags.remove_carriers(output.dataset)
        except Exception as exc:
            raise WriteError(f"{name}: the output does not read back ({type(exc).__name__})") from None
    is_jpeg = reencode and is_editable(radiograph)
    is_edited = is_jpeg and output.syntax == source.syntax and transfer_syntax == "source"
    if stored.shape != new_stored.shape or stored.dtype != new_stored.dtype or not (is_edited or np.array_equal(stored, new_stored)):
        raise WriteError(f"{name}: the output's pixels are not those that were to be written")
    jpeg = jpeg_frames.compared(name, source, output, radiograph.stored, stored, new_stored, removed) if is_jpeg else {}
    if output.photometric != source.photometric:
        raise WriteError(f"{name}: the output's photometric interpretation is not that of its pixels")
    if (transfer_syntax != "source" or not reencode) and output.syntax != pixels.aim(source, transfer_syntax, reencode):
        raise WriteError(f"{name}: the output's transfer syntax is not the one that was asked for")
    if source.lossy and (is_edited or output.syntax != source.syntax) and str(output.dataset.get("LossyImageCompression", "")) != "01":
        raise WriteError(f"{name}: the output does not say that its pixels were compressed with loss")
    if synthetic and output.dataset.get("SyntheticData", "") != "YES":
        raise WriteError(f"{name}: the output does not say that some of its pixels were made up")
    if output.dirty:
        raise WriteError(f"{name}: the output's pixel data holds more than its pixels")
    if name_count:
        raise WriteError(f"{name}: the output's header still names the patient in {name_count} elements")
    if names_in_pixels:
        raise WriteError(f"{name}: the bytes of its pixels spell a name of its header")
    if scope(radiograph).recognizable and str(output.dataset.get("PatientIdentityRemoved", "")) == "YES":
        raise WriteError(f"{name}: the output's header says that nobody can be recognised, though that may be")
    if carrier_count:
        raise WriteError(f"{name}: the output still has {carrier_count} overlays, icons or the like")
    if not reencode and output.syntax == source.syntax:
        source_bytes = pixels.declared(source) if source.native else bytes(source.dataset.PixelData)
        if bytes(output.dataset.PixelData) != source_bytes:
            raise WriteError(f"{name}: untouched pixel data did not keep its bytes")
    return {"jpeg": jpeg} if is_jpeg else {}


def views(radiograph: Radiograph, stored: np.ndarray) -> tuple[np.ndarray, ...]:
    """The (F, H, W) uint8 views of other pixels in place of those that were read, by the same header and the same tables.

    Raises:
        HeldError: they cannot be displayed.
    """
    source = radiograph.source
    with quiet:
        try:
            return windows.see(
                source.dataset, stored, name=radiograph.path.name, photometric=source.photometric, bits=source.bits, signed=source.signed,
                reference=radiograph.stored)[0]
        except Exception as exc:
            raise HeldError(f"{radiograph.path.name}: the result cannot be shown ({type(exc).__name__})") from None


def scope(radiograph: Radiograph) -> modality.Scope:
    """What the header says that the file is, see `modality.of_header`. What it calls a radiograph, or nothing, and is a colour photograph by its
    first, middle or last frame, is one."""
    source, stored = radiograph.source, radiograph.stored
    with quiet:
        by_header = modality.of_header(source.dataset)
        if set(by_header.needs) - {modality.UNSAID}:
            return by_header
        frames = (windows.colours(source.dataset, stored[i], source.photometric, source.bits) for i in {0, len(stored) // 2, len(stored) - 1})
        if not any(frame is not None and photographs.is_photograph(frame) for frame in frames):
            return by_header
    photograph = modality.PHOTOGRAPH
    return replace(photograph, modality=by_header.modality, needs=(*by_header.needs, *photograph.needs))


def sides(radiograph: Radiograph) -> header_sides.HeaderSides:
    """What the header that was read says about sides."""
    with quiet:
        return header_sides.of_header(radiograph.source.dataset, len(radiograph.stored))


def path_parts(path: Path) -> Telling | None:
    """Values of a file's header, up to its pixels, that must not appear in a path. Empty if the header cannot be parsed, since such a
    file has no output; None if it can be parsed but not searched."""
    with quiet:
        try:
            dataset = parsing.parse(path, stop_before_pixels=True)
        except (MemoryError, OSError):  # reading may succeed later
            return None
        except Exception:  # of any other kind: reading the file fails in the same way, and reports why
            return frozenset()
        try:
            return identifiers_of(dataset)
        except Exception:
            return None


def path_tells(radiograph: Radiograph, relative: str) -> bool:
    """Whether an output's path holds a name, number or UID of the header that was read."""
    with quiet:
        return in_path(radiograph.source.dataset, relative)


def telling(radiograph: Radiograph) -> Telling:
    """Values of the header that was read that must not be readable in the pixels.

    Raises:
        HeldError: the header cannot be searched.
    """
    with quiet:
        try:
            return identifiers_of(radiograph.source.dataset)
        except Exception as exc:
            raise HeldError(f"{radiograph.path.name}: its header cannot be searched for names ({type(exc).__name__})") from None


def patient(radiograph: Radiograph) -> str:
    """A key that identifies the patient, see `header_identifiers.patient_of`; "" if the header has neither ID nor name."""
    with quiet:
        try:
            identity = patient_of(radiograph.source.dataset)
        except Exception:  # of any kind: its message may quote the header
            return ""
    return "" if identity.startswith("study\0") else identity


@contextmanager
def _silence() -> Iterator[None]:
    """Silence, in the whole process, pydicom and its plugins, whose warnings and log lines can contain header values."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "openjpeg", "libjpeg", "rle")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


class _Quiet:
    """`_silence` for all threads that read or write: the first to enter starts it, the last to leave ends it. The settings belong to the
    process; if each thread saved and restored them, one would restore what another has set.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._silence = Own(threading.Lock), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock():
            if not self._inside:
                self._silence.enter_context(_silence())
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock():
            self._inside -= 1
            if not self._inside:
                self._silence.close()


quiet = _Quiet()
