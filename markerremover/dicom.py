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
import math
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom import config, uid
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import Decoder

from . import dicom_file, dicom_pixels, dicom_tags, dicom_view, encapsulated
from .dicom_pixels import NATIVE, DicomSource
from .errors import HeldError, ReadError, WriteError
from .forks import Own
from .header_profile import HeaderProfile
from .headers import clean, drop_unreadable, in_path, names_left, patient_of, telling as telling_of, telling_in_paths
from .records import Radiograph, Telling

MAX_PIXELS = 400_000_000
"""Most pixels, over all frames, that a file may declare; more is taken for a decompression bomb."""


def looks_like_dicom(path: Path) -> bool:
    """Whether a file without a preamble parses as DICOM: it says what it is (SOP class or modality), or has pixels."""
    with _quiet:
        try:
            head = dicom_file.parse(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "Modality", "Rows"])
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
            source, stored = _decode(path)
            kind = {"photometric": source.photometric, "bits": source.bits, "signed": source.signed}
            shown, fill = dicom_view.see(source.dataset, stored, name=path.name, **kind)
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
) -> None:
    """Write `new_stored` with the header of the file that was read. The source record is not changed.

    Args:
        new_stored: shape and dtype of `radiograph.stored`.
        touched: whether pixels changed; if not, PixelData keeps its bytes, unless the source is dirty or of another
            transfer syntax than the one asked for.
        verified: whether our own check of the result passed; only then do the header's de-identification elements
            and Burned In Annotation say so; if not, they say no such thing, whatever the source said.
        method: what to append to De-identification Method then.
        headers: what happens to everything else in the header.
        transfer_syntax: "source" or a name of `dicom_pixels.CHOICES`.
        synthetic: how many pixels were made up; the header says so.

    Raises:
        WriteError: it could not be written, or not in the transfer syntax that was asked for.
    """
    source: DicomSource = radiograph.source
    with _quiet:
        try:
            dataset = copy.deepcopy(source.dataset)
            syntax, anew = source.syntax, touched or source.dirty
            if headers.mode == "basic":
                drop_unreadable(dataset)
            dicom_tags.remove_carriers(dataset)
            if anew or dicom_pixels.aim(source, transfer_syntax, anew) != syntax:
                syntax = dicom_pixels.put(dataset, source, new_stored, transfer_syntax, anew=anew)
                if anew:
                    dicom_tags.mark_derived(dataset, new_stored, renew_uid=headers.mode == "keep")
            elif source.native:
                for tag in dicom_tags.OFFSET_TABLES:
                    dataset.pop(tag, None)  # there is nothing they could point into
                dataset["PixelData"].value = _declared(source)
            clean(dataset, headers)
            if synthetic:
                dicom_tags.mark_synthetic(dataset, synthetic)
            if verified:
                dicom_tags.mark_cleaned(dataset, method, headers.codes)
            else:
                dicom_tags.mark_doubted(dataset)
            dicom_tags.renew_file_meta(dataset, syntax)
            pydicom.dcmwrite(target, dataset, enforce_file_format=True)  # save_as refuses to turn big-endian files round
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
            holds a name or number of the patient.
    """
    name, source, anew = radiograph.path.name, radiograph.source, touched or radiograph.source.dirty
    with _quiet:
        try:
            again, stored = _decode(target)
            named = names_left(again.dataset, source.dataset, headers) if headers.mode == "basic" else 0
            left = dicom_tags.remove_carriers(again.dataset)
        except Exception as exc:
            raise WriteError(f"{name}: the output does not read back ({type(exc).__name__})") from None
    if stored.shape != new_stored.shape or stored.dtype != new_stored.dtype or not np.array_equal(stored, new_stored):
        raise WriteError(f"{name}: the output's pixels are not those that were to be written")
    if again.photometric != source.photometric:
        raise WriteError(f"{name}: the output's photometric interpretation is not that of its pixels")
    if (transfer_syntax != "source" or not anew) and again.syntax != dicom_pixels.aim(source, transfer_syntax, anew):
        raise WriteError(f"{name}: the output's transfer syntax is not the one that was asked for")
    if source.lossy and again.syntax != source.syntax and str(again.dataset.get("LossyImageCompression", "")) != "01":
        raise WriteError(f"{name}: the output does not say that its pixels were compressed with loss")
    if synthetic and again.dataset.get("SyntheticData", "") != "YES":
        raise WriteError(f"{name}: the output does not say that some of its pixels were made up")
    if again.dirty:
        raise WriteError(f"{name}: the output's pixel data holds more than its pixels")
    if named:
        raise WriteError(f"{name}: the output's header still names the patient in {named} elements")
    if left:
        raise WriteError(f"{name}: the output still has {left} overlays, icons or the like")
    if not anew and again.syntax == source.syntax:
        before = _declared(source) if source.native else bytes(source.dataset.PixelData)
        if bytes(again.dataset.PixelData) != before:
            raise WriteError(f"{name}: untouched pixel data did not keep its bytes")


def views(radiograph: Radiograph, stored: np.ndarray) -> tuple[np.ndarray, ...]:
    """The views of other pixels in the place of those that were read, by the same header.

    Raises:
        HeldError: they cannot be shown.
    """
    source = radiograph.source
    with _quiet:
        try:
            kind = {"photometric": source.photometric, "bits": source.bits, "signed": source.signed}
            return dicom_view.see(source.dataset, stored, name=radiograph.path.name, **kind)[0]
        except Exception as exc:
            raise HeldError(f"{radiograph.path.name}: the result cannot be shown ({type(exc).__name__})") from None


def path_parts(path: Path) -> frozenset[str] | None:
    """What of a file's header, up to its pixels, must not stand in a path: nothing where it cannot be parsed, for then the file
    has no output either; None where it can, but not be gone through."""
    with _quiet:
        try:
            dataset = dicom_file.parse(path, stop_before_pixels=True)
        except (MemoryError, OSError):  # it may be read when its turn comes
            return None
        except Exception:  # of any other kind: reading the file fails in the same way, and says why
            return frozenset()
        try:
            return telling_in_paths(dataset)
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
            return telling_of(radiograph.source.dataset)
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


def _decode(path: Path) -> tuple[DicomSource, np.ndarray]:
    """Parse and decode: the source record and stored (F, H, W[, 3])."""
    dataset = _parse(path)
    source = _layout(path, dataset)
    if not source.native:
        return _decode_compressed(path, source)
    raw = bytes(dataset.PixelData)
    if len(raw) < source.byte_count:
        raise ReadError(f"{path.name}: pixel data is truncated, {len(raw)} of {source.byte_count} bytes are there")
    container = dicom_pixels.container(source, source.syntax)
    if not dicom_pixels.swapped(source, source.syntax):
        words = np.frombuffer(raw, container, count=math.prod(source.shape))
    else:
        words = np.frombuffer(raw, ">u2").astype("<u2").view(np.uint8)[: math.prod(source.shape)]
    words = words.astype(container.newbyteorder("="), copy=False)
    if len(source.shape) == 4 and dataset.get("PlanarConfiguration", 0) == 1:
        frames, height, width, channels = source.shape
        words = words.reshape(frames, channels, height, width).transpose(0, 2, 3, 1)
    stored, extended, dirty = dicom_pixels.unpack(np.ascontiguousarray(words).reshape(source.shape), source)
    return replace(source, extended=extended, dirty=dirty), stored


def _parse(path: Path) -> Dataset:
    try:
        dataset = dicom_file.parse(path)
    except (ReadError, HeldError):
        raise
    except Exception as exc:
        raise ReadError(f"{path.name}: cannot be parsed as DICOM ({type(exc).__name__})") from None
    if "PixelData" not in dataset:
        if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
            raise HeldError(f"{path.name}: floating-point pixel data is not supported")
        raise ReadError(f"{path.name}: has no pixel data, or is truncated before it")
    if not dataset.PixelData:
        raise ReadError(f"{path.name}: has no pixel data (the element is empty)")
    for keyword in ("FloatPixelData", "DoubleFloatPixelData"):
        dataset.pop(keyword, None)  # never written, and no decoder takes a dataset with two kinds of pixels
    if "SOPClassUID" not in dataset:
        raise HeldError(f"{path.name}: has no SOP Class UID, so it cannot be written as a DICOM file")
    return dataset


def _layout(path: Path, dataset: Dataset) -> DicomSource:
    """Check every number that describes the pixels, and hold or refuse what cannot be handled."""
    rows, columns = _number(path, dataset, "Rows"), _number(path, dataset, "Columns")
    frames, samples = _number(path, dataset, "NumberOfFrames", 1) or 1, _number(path, dataset, "SamplesPerPixel", 1)
    allocated = _number(path, dataset, "BitsAllocated")
    bits = _number(path, dataset, "BitsStored", allocated)
    high = _number(path, dataset, "HighBit", bits - 1)
    if rows < 1 or columns < 1 or frames < 1:
        raise ReadError(f"{path.name}: has {rows} rows, {columns} columns, {frames} frames; all must be at least 1")
    if rows * columns * frames > MAX_PIXELS:
        raise HeldError(f"{path.name}: declares {rows * columns * frames} pixels, allowed are {MAX_PIXELS}")
    if samples not in (1, 3) or allocated not in (8, 16) or not 1 <= bits <= allocated:
        raise HeldError(f"{path.name}: {samples} samples of {bits} in {allocated} bits are not supported")
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).strip()
    syntax = _syntax(dataset)
    known = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR") if samples == 1 else ("RGB", "YBR_FULL")
    if samples == 3 and syntax not in NATIVE:
        known += ("YBR_FULL_422", "YBR_ICT", "YBR_RCT")
    if photometric not in known:
        raise HeldError(f"{path.name}: this photometric interpretation is not supported for {samples} samples")
    signed = _number(path, dataset, "PixelRepresentation", 0) == 1
    shift = high + 1 - bits
    odd = shift < 0 or high >= allocated or (shift and syntax not in NATIVE)  # decoders of frames do not look at HighBit
    if odd or (signed and (samples == 3 or photometric == "PALETTE COLOR")):
        raise HeldError(f"{path.name}: {bits} stored bits with high bit {high} or this sign are not supported")
    shape = (frames, rows, columns) if samples == 1 else (frames, rows, columns, 3)
    return DicomSource(dataset, syntax, photometric, shape, allocated, bits, shift, signed)


def _number(path: Path, dataset: Dataset, keyword: str, default: int | None = None) -> int:
    value = dataset.get(keyword, None)
    if value in (None, "") and default is not None:
        return default
    try:
        return int(value)
    except (TypeError, ValueError):
        raise ReadError(f"{path.name}: {keyword} is missing or not a number") from None


def _syntax(dataset: Dataset) -> uid.UID:
    named = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    if named:
        return uid.UID(named)
    implicit, little = dataset.original_encoding
    return NATIVE[0] if implicit else NATIVE[1] if little else NATIVE[2]


def _decode_compressed(path: Path, source: DicomSource) -> tuple[DicomSource, np.ndarray]:
    try:
        decoder = get_decoder(source.syntax)
    except NotImplementedError:
        raise HeldError(f"{path.name}: there is no decoder for its transfer syntax") from None
    if not decoder.is_available:
        raise HeldError(f"{path.name}: the decoder for {source.syntax.name} is not installed")
    bare = encapsulated.is_bare(path.name, source.dataset, source.syntax, source.shape, source.allocated)
    how = {"raw": source.keeps_ybr, "correct_unused_bits": False}
    try:
        decoded, properties = _decoded(decoder, source, how)
    except Exception as exc:
        raise ReadError(f"{path.name}: pixel data cannot be decoded, it may be damaged ({type(exc).__name__})") from None
    if decoded.size != math.prod(source.shape):
        raise HeldError(f"{path.name}: the pixel data does not hold the {source.shape[0]} frames that the header declares")
    if 8 * decoded.dtype.itemsize != source.allocated:
        raise HeldError(f"{path.name}: decoded values do not fit its {source.allocated} allocated bits")
    photometric = str(properties["photometric_interpretation"]) if len(source.shape) == 4 else source.photometric
    if len(source.shape) == 4 and photometric not in ("RGB", "YBR_FULL" if source.keeps_ybr else "RGB"):
        raise HeldError(f"{path.name}: its compressed colour does not decode to RGB")
    words = np.ascontiguousarray(decoded).view(f"u{source.allocated // 8}").reshape(source.shape)
    stored, extended, dirty = dicom_pixels.unpack(words, source)
    return replace(source, photometric=photometric, extended=extended, dirty=dirty or not bare), stored


def _decoded(decoder: Decoder, source: DicomSource, how: dict[str, bool]) -> tuple[np.ndarray, dict[str, object]]:
    """What pydicom makes of compressed Pixel Data; JPEG of at most 8 bits may lie in containers of 16, which it does not expect."""
    try:
        return decoder.as_array(source.dataset, **how)
    except ValueError:
        if source.allocated == 8 or source.bits > 8 or source.syntax not in uid.JPEGTransferSyntaxes:
            raise
        decoded, properties = decoder.as_array(source.dataset, bits_allocated=8, **how)
        return decoded.view(np.uint8).astype(np.uint16), properties


def _declared(source: DicomSource) -> bytes:
    """Uncompressed PixelData cut to the declared frames, even in length."""
    return dicom_pixels.even(bytes(source.dataset.PixelData)[: source.byte_count + source.byte_count % 2])
