"""DICOM files to `Radiograph` and back. With headers, dicom_file, dicom_pixels, dicom_tags, dicom_view and encapsulated the only user of pydicom.

Stored values are what the file stores: no rescale, no windowing, unused bits and HighBit shifts taken out. Uncompressed
pixels are unpacked in dicom_pixels; compressed ones are decoded by pydicom with its wheel plugins.

Written back, unless the run asks for one transfer syntax for all: in the file's own where that can be written without loss
(see dicom_pixels), else as Explicit VR Little Endian. Lossy colour is written as RGB, and a lossy source keeps (or gets) its
lossy-compression history. Pixels that nobody touched keep the bytes of PixelData, save what could hide something: bytes
beyond the declared frames are cut off; non-zero bits outside BitsStored are cleared, and compressed frames that hold
more than a picture (see encapsulated) are encoded anew (such a file then counts as touched). Of the header the other
carriers of pixels always go (see dicom_tags), the rest is cleaned as the run's profile says (see headers).

Error messages never quote pydicom's, which can contain header values.
"""

from __future__ import annotations

import copy
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pydicom
from pydicom import config

from ...errors import HeldError, ReadError, WriteError
from ...headers import header_changes
from ...headers.dicom_headers import clean, drop_unreadable
from ...headers.header_changes import Changes
from ...headers.header_identifiers import identifiers_of, in_path, in_pixels, names_left, patient_of
from ...headers.profile import HeaderProfile
from ...records import Radiograph, Telling
from ...system.forks import Own
from . import parsing, pixels, tags, windows
from .decoding import decode
from .pixels import DicomSource


def looks_like_dicom(path: Path) -> bool:
    """Whether a file without a preamble parses as DICOM: it says what it is (SOP class or modality), or has pixels."""
    with _quiet:
        try:
            head = parsing.parse(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "Modality", "Rows"])
            return any(name in head for name in ("SOPClassUID", "Modality", "Rows"))
        except Exception:  # any failure to parse means: not DICOM
            return False


def read_dicom(path: Path) -> Radiograph:
    """Decode one DICOM file, every frame.

    Returns:
        A Radiograph with stored (F, H, W) or (F, H, W, 3), and a fill that shows black in the file's own window(s)
        as well as after min-max normalisation.

    Raises:
        ReadError: it cannot be parsed or decoded, is truncated, or has no pixel data.
        HeldError: it is sound, but cannot be cleaned safely here.
    """
    path = Path(path)
    with _quiet:
        try:
            source, stored = decode(path)
            kind = {"photometric": source.photometric, "bits": source.bits, "signed": source.signed}
            shown, fill = windows.see(source.dataset, stored, name=path.name, **kind)
        except (ReadError, HeldError):
            raise
        except Exception as exc:
            raise ReadError(f"{path.name}: cannot be parsed as DICOM ({type(exc).__name__})") from None
    return Radiograph(stored=stored, display=shown[0], fill=fill, path=path, format="DICOM", source=source, also=shown[1:])


def write_dicom(
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
    """Write `new_stored` with the header of the file that was read. The source record is not changed.

    Args:
        new_stored: shape and dtype of `radiograph.stored`.
        touched: whether pixels changed; if not, PixelData keeps its bytes, unless the source is dirty or of another
            transfer syntax than the one asked for.
        verified: whether our own check of the result passed; only then do the header's de-identification elements
            and Burned In Annotation say so; if not, they say no such thing, whatever the source said.
        method: what to append to De-identification Method then.
        headers: what happens to everything else in the header.
        transfer_syntax: "source" or a name of `pixels.CHOICES`.
        synthetic: how many pixels were made up; the header says so.

    Returns:
        What was changed or left out for another reason than the profile, see `header_changes`.

    Raises:
        WriteError: it could not be written, or not in the transfer syntax that was asked for.
    """
    source: DicomSource = radiograph.source
    with _quiet:
        try:
            dataset = copy.deepcopy(source.dataset)
            changes = Changes(dataset, profiled=headers.mode == "basic")
            syntax, anew = source.syntax, touched or source.dirty
            if headers.mode == "basic":
                drop_unreadable(dataset)
            changes.note(header_changes.UNREADABLE)
            tags.remove_carriers(dataset)
            changes.note(header_changes.CARRIER)
            if anew or pixels.aim(source, transfer_syntax, anew) != syntax:
                syntax = pixels.put(dataset, source, new_stored, transfer_syntax, anew=anew)
                if anew:
                    tags.mark_derived(dataset, new_stored, renew_uid=headers.mode == "keep")
            elif source.native:
                for tag in tags.OFFSET_TABLES:
                    dataset.pop(tag, None)  # there is nothing they could point into
                dataset["PixelData"].value = pixels.declared(source)
            changes.note(header_changes.PIXELS)
            clean(dataset, headers)
            changes.note(header_changes.NAMES, sequences=False)
            if synthetic:
                tags.mark_synthetic(dataset, synthetic)
            if verified:
                tags.mark_cleaned(dataset, method, headers.codes)
            else:
                tags.mark_doubted(dataset)
            tags.renew_file_meta(dataset, syntax)
            pydicom.dcmwrite(target, dataset, enforce_file_format=True)  # save_as refuses to turn big-endian files round
            return header_changes.shortened([*source.notes, *changes.notes])
        except WriteError as exc:
            raise WriteError(f"{radiograph.path.name}: cannot be written as {exc}") from None
        except Exception as exc:
            raise WriteError(f"{radiograph.path.name}: cannot be written as DICOM ({type(exc).__name__})") from None


def verify_dicom(
    radiograph: Radiograph,
    new_stored: np.ndarray,
    target: Path,
    *,
    touched: bool,
    headers: HeaderProfile = HeaderProfile(),
    transfer_syntax: str = "source",
    synthetic: int = 0,
) -> None:
    """Read `target` again and compare it with what was to be written.

    Raises:
        WriteError: pixels, shape, dtype or colour space differ, untouched PixelData is not the input's, the transfer syntax is
            not the one asked for, a lossy source or made-up pixels do not show in the header, a carrier is left, or a header that was to be cleaned still
            holds a name or number of the patient, or the pixels' bytes spell a name.
    """
    name, source, anew = radiograph.path.name, radiograph.source, touched or radiograph.source.dirty
    with _quiet:
        try:
            again, stored = decode(target)
            named = names_left(again.dataset, source.dataset) if headers.mode == "basic" else 0
            spelt = headers.mode == "basic" and in_pixels(stored.tobytes(), source.dataset)
            left = tags.remove_carriers(again.dataset)
        except Exception as exc:
            raise WriteError(f"{name}: the output does not read back ({type(exc).__name__})") from None
    if stored.shape != new_stored.shape or stored.dtype != new_stored.dtype or not np.array_equal(stored, new_stored):
        raise WriteError(f"{name}: the output's pixels are not those that were to be written")
    if again.photometric != source.photometric:
        raise WriteError(f"{name}: the output's photometric interpretation is not that of its pixels")
    if (transfer_syntax != "source" or not anew) and again.syntax != pixels.aim(source, transfer_syntax, anew):
        raise WriteError(f"{name}: the output's transfer syntax is not the one that was asked for")
    if source.lossy and again.syntax != source.syntax and str(again.dataset.get("LossyImageCompression", "")) != "01":
        raise WriteError(f"{name}: the output does not say that its pixels were compressed with loss")
    if synthetic and again.dataset.get("SyntheticData", "") != "YES":
        raise WriteError(f"{name}: the output does not say that some of its pixels were made up")
    if again.dirty:
        raise WriteError(f"{name}: the output's pixel data holds more than its pixels")
    if named:
        raise WriteError(f"{name}: the output's header still names the patient in {named} elements")
    if spelt:
        raise WriteError(f"{name}: the bytes of its pixels spell a name of its header")
    if left:
        raise WriteError(f"{name}: the output still has {left} overlays, icons or the like")
    if not anew and again.syntax == source.syntax:
        before = pixels.declared(source) if source.native else bytes(source.dataset.PixelData)
        if bytes(again.dataset.PixelData) != before:
            raise WriteError(f"{name}: untouched pixel data did not keep its bytes")


def views(radiograph: Radiograph, stored: np.ndarray) -> tuple[np.ndarray, ...]:
    """The views of other pixels in the place of those that were read, by the same header and as those are shown.

    Raises:
        HeldError: they cannot be shown.
    """
    source = radiograph.source
    with _quiet:
        try:
            kind = {"photometric": source.photometric, "bits": source.bits, "signed": source.signed}
            return windows.see(source.dataset, stored, name=radiograph.path.name, reference=radiograph.stored, **kind)[0]
        except Exception as exc:
            raise HeldError(f"{radiograph.path.name}: the result cannot be shown ({type(exc).__name__})") from None


def path_parts(path: Path) -> Telling | None:
    """What of a file's header, up to its pixels, must not stand in a path: nothing where it cannot be parsed, for then the file
    has no output either; None where it can, but not be gone through."""
    with _quiet:
        try:
            dataset = parsing.parse(path, stop_before_pixels=True)
        except (MemoryError, OSError):  # it may be read when its turn comes
            return None
        except Exception:  # of any other kind: reading the file fails in the same way, and says why
            return frozenset()
        try:
            return identifiers_of(dataset)
        except Exception:
            return None


def path_tells(radiograph: Radiograph, relative: str) -> bool:
    """Whether an output's path holds a name, number or UID of the header that was read."""
    with _quiet:
        return in_path(radiograph.source.dataset, relative)


def telling(radiograph: Radiograph) -> Telling:
    """What of the header that was read must not be readable in the picture.

    Raises:
        HeldError: the header cannot be gone through.
    """
    with _quiet:
        try:
            return identifiers_of(radiograph.source.dataset)
        except Exception as exc:
            raise HeldError(f"{radiograph.path.name}: its header cannot be searched for names ({type(exc).__name__})") from None


def patient(radiograph: Radiograph) -> str:
    """What tells the patient of a file from others, see `headers.patient_of`; "" where its header has neither ID nor name."""
    with _quiet:
        try:
            found = patient_of(radiograph.source.dataset)
        except Exception:  # of any kind: its message may quote the header
            return ""
    return "" if found.startswith("study\0") else found


@contextmanager
def _silence() -> Iterator[None]:
    """Silence pydicom and its plugins, whose warnings and log lines can contain header values: in the whole process."""
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
    """`_silence` for all threads that read or write: the first that comes begins it, the last that leaves ends it. What it changes belongs to
    the process; were it saved and restored by each thread, one would restore what another has set.
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


_quiet = _Quiet()
