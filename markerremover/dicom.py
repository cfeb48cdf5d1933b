"""DICOM files to `Radiograph` and back. Beside dicom_file, dicom_tags, dicom_view, encapsulated and headers no user of pydicom.

Stored values are what the file stores: no rescale, no windowing, unused bits and HighBit shifts taken out. Uncompressed
pixels are unpacked here; compressed ones are decoded by pydicom with its wheel plugins.

Written back: an uncompressed file in its own transfer syntax; RLE as RLE and JPEG 2000 lossless as such (greyscale);
every other compressed syntax as Explicit VR Little Endian, colour then as RGB. A lossy source keeps (or gets) its
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
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom import config, uid
from pydicom.dataset import Dataset
from pydicom.pixels import compress, get_decoder

from . import dicom_file, dicom_tags, dicom_view, encapsulated
from .errors import HeldError, ReadError, WriteError
from .header_profile import HeaderProfile
from .headers import clean, drop_unreadable, in_path, names_left
from .records import Radiograph

log = logging.getLogger(__name__)

MAX_PIXELS = 400_000_000
"""Most pixels, over all frames, that a file may declare; more is taken for a decompression bomb."""
NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
LOSSY = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless)
MAYBE_LOSSY = (uid.JPEG2000, uid.HTJ2K)
"""Transfer syntaxes that lose something, and those that may have: only the header tells."""
_EXTREMES = (0x00280106, 0x00280107, 0x00280108, 0x00280109, 0x00280110, 0x00280111)


@dataclass(frozen=True)
class DicomSource:
    """What writing needs to know again.

    shift: bits below the stored value.  signed, bits: of one stored value.  allocated: bits of its container.
    extended: negative values fill the unused bits with ones.  dirty: unused bits held something else, or compressed
    frames more than a picture.
    photometric: of `stored`, which for compressed colour is always RGB.
    """

    dataset: Dataset
    syntax: uid.UID
    photometric: str
    shape: tuple[int, ...]
    allocated: int
    bits: int
    shift: int
    signed: bool
    extended: bool = False
    dirty: bool = False

    @property
    def native(self) -> bool:
        return self.syntax in NATIVE

    @property
    def byte_count(self) -> int:
        """Bytes of all frames when uncompressed."""
        return math.prod(self.shape) * self.allocated // 8


def looks_like_dicom(path: Path) -> bool:
    """Whether a file without a preamble parses as DICOM: it says what it is (SOP class or modality), or has pixels."""
    with _quiet():
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
    with _quiet():
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
) -> None:
    """Write `new_stored` with the header of the file that was read. The source record is not changed.

    Args:
        new_stored: shape and dtype of `radiograph.stored`.
        touched: whether pixels changed; if not, PixelData keeps its bytes, unless the source is dirty.
        verified: whether our own check of the result passed; only then do the header's de-identification elements
            and Burned In Annotation say so.
        method: what to append to De-identification Method then.
        headers: what happens to everything else in the header.

    Raises:
        WriteError: it could not be written.
    """
    source: DicomSource = radiograph.source
    with _quiet():
        try:
            dataset = copy.deepcopy(source.dataset)
            syntax = source.syntax
            if headers.mode == "basic":
                drop_unreadable(dataset)
            dicom_tags.remove_carriers(dataset)
            if touched or source.dirty:
                syntax = _replace_pixels(dataset, source, new_stored)
                dicom_tags.mark_derived(dataset, new_stored, renew_uid=headers.mode == "keep")
            elif source.native:
                for tag in dicom_tags.OFFSET_TABLES:
                    dataset.pop(tag, None)  # there is nothing they could point into
                dataset["PixelData"].value = _declared(source)
            clean(dataset, headers)
            if verified:
                dicom_tags.mark_cleaned(dataset, method, headers.codes)
            dicom_tags.renew_file_meta(dataset, syntax)
            dataset.save_as(target, enforce_file_format=True)
        except Exception as exc:
            raise WriteError(f"{radiograph.path.name}: cannot be written as DICOM ({type(exc).__name__})") from None


def verify_dicom(
    radiograph: Radiograph, new_stored: np.ndarray, target: Path, *, touched: bool, headers: HeaderProfile = HeaderProfile()
) -> None:
    """Read `target` again and compare it with what was to be written.

    Raises:
        WriteError: pixels, shape or dtype differ, untouched PixelData is not the input's, a carrier is left, or a header
            that was to be cleaned still holds a name or number of the patient.
    """
    name, source = radiograph.path.name, radiograph.source
    with _quiet():
        try:
            again, stored = _decode(target)
            named = names_left(again.dataset, source.dataset, headers) if headers.mode == "basic" else 0
            left = dicom_tags.remove_carriers(again.dataset)
        except Exception as exc:
            raise WriteError(f"{name}: the output does not read back ({type(exc).__name__})") from None
    if stored.shape != new_stored.shape or stored.dtype != new_stored.dtype or not np.array_equal(stored, new_stored):
        raise WriteError(f"{name}: the output's pixels are not those that were to be written")
    if again.dirty:
        raise WriteError(f"{name}: the output's pixel data holds more than its pixels")
    if named:
        raise WriteError(f"{name}: the output's header still names the patient in {named} elements")
    if left:
        raise WriteError(f"{name}: the output still has {left} overlays, icons or the like")
    if not touched and not source.dirty:
        before = _declared(source) if source.native else bytes(source.dataset.PixelData)
        if bytes(again.dataset.PixelData) != before:
            raise WriteError(f"{name}: untouched pixel data did not keep its bytes")


def path_tells(radiograph: Radiograph, relative: str) -> bool:
    """Whether an output's path holds a name, number or UID of the header that was read."""
    with _quiet():
        return in_path(radiograph.source.dataset, relative)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence pydicom and its plugins, whose warnings and log lines can contain header values."""
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


def _decode(path: Path) -> tuple[DicomSource, np.ndarray]:
    """Parse and decode: the source record and stored (F, H, W[, 3])."""
    dataset = _parse(path)
    source = _layout(path, dataset)
    if not source.native:
        return _decode_compressed(path, source)
    raw = bytes(dataset.PixelData)
    if len(raw) < source.byte_count:
        raise ReadError(f"{path.name}: pixel data is truncated, {len(raw)} of {source.byte_count} bytes are there")
    container = _container(source)
    if container.byteorder == ">" or not _swapped(source):
        words = np.frombuffer(raw, container, count=math.prod(source.shape))
    else:
        words = np.frombuffer(raw, ">u2").astype("<u2").view(np.uint8)[: math.prod(source.shape)]
    words = words.astype(container.newbyteorder("="), copy=False)
    if len(source.shape) == 4 and dataset.get("PlanarConfiguration", 0) == 1:
        frames, height, width, channels = source.shape
        words = words.reshape(frames, channels, height, width).transpose(0, 2, 3, 1)
    stored, extended, dirty = _unpack(np.ascontiguousarray(words).reshape(source.shape), source)
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
    try:
        decoded, properties = decoder.as_array(source.dataset, raw=False, correct_unused_bits=False)
    except Exception as exc:
        raise ReadError(f"{path.name}: pixel data cannot be decoded, it may be damaged ({type(exc).__name__})") from None
    if decoded.size != math.prod(source.shape):
        raise HeldError(f"{path.name}: the pixel data does not hold the {source.shape[0]} frames that the header declares")
    if 8 * decoded.dtype.itemsize != source.allocated:
        raise HeldError(f"{path.name}: decoded values do not fit its {source.allocated} allocated bits")
    photometric = str(properties["photometric_interpretation"]) if len(source.shape) == 4 else source.photometric
    if len(source.shape) == 4 and photometric != "RGB":
        raise HeldError(f"{path.name}: its compressed colour does not decode to RGB")
    words = np.ascontiguousarray(decoded).view(f"u{source.allocated // 8}").reshape(source.shape)
    stored, extended, dirty = _unpack(words, source)
    return replace(source, photometric=photometric, extended=extended, dirty=dirty or not bare), stored


def _container(source: DicomSource, *, signed: bool = False) -> np.dtype:
    big = source.syntax == uid.ExplicitVRBigEndian and not signed
    return np.dtype(f"{'>' if big else '<'}{'i' if signed else 'u'}{source.allocated // 8}")


def _swapped(source: DicomSource) -> bool:
    """Whether 8-bit samples lie in 16-bit big-endian words, so that each pair is swapped."""
    big = source.syntax == uid.ExplicitVRBigEndian and source.allocated == 8
    return big and source.dataset["PixelData"].VR == "OW"


def _unpack(words: np.ndarray, source: DicomSource) -> tuple[np.ndarray, bool, bool]:
    """Stored values out of unsigned containers: the values, `extended` and `dirty` (see DicomSource)."""
    dtype = np.dtype(f"{'i' if source.signed else 'u'}{words.dtype.itemsize}")
    if source.bits == source.allocated:
        return words.view(dtype), False, False
    kept = (words >> source.shift) & ((1 << source.bits) - 1)
    plain = words == (kept << source.shift)
    if not source.signed:
        return kept.astype(dtype, copy=False), False, not plain.all()
    sign = 1 << (source.bits - 1)
    values = ((kept ^ sign).view(dtype) - dtype.type(sign)) if sign <= np.iinfo(dtype).max else kept.view(dtype)
    full = words == (values.view(words.dtype) << source.shift)
    return values, not plain.all(), not (plain | full).all()


def _pack(stored: np.ndarray, source: DicomSource) -> np.ndarray:
    """The inverse of `_unpack`: a new array of unsigned containers."""
    words = np.ascontiguousarray(stored).view(f"u{source.allocated // 8}")
    if not source.extended:
        words = words & ((1 << source.bits) - 1)
    return words << source.shift


def _replace_pixels(dataset: Dataset, source: DicomSource, stored: np.ndarray) -> uid.UID:
    """Put `stored` into `dataset`; returns the transfer syntax that its PixelData now has."""
    for tag in (*_EXTREMES, *dicom_tags.OFFSET_TABLES):
        dataset.pop(tag, None)
    if source.syntax in LOSSY or (source.syntax in MAYBE_LOSSY and not dataset.get("LossyImageCompression")):
        dataset.LossyImageCompression = "01"
    if source.native:
        dataset["PixelData"].value = _native_bytes(dataset, source, stored)
        return source.syntax
    dataset.HighBit = source.bits - 1
    if stored.ndim == 3 and source.syntax in (uid.RLELossless, uid.JPEG2000Lossless):
        try:
            frames = stored if stored.shape[0] > 1 else stored[0]
            compress(dataset, source.syntax, np.ascontiguousarray(frames), generate_instance_uid=False)
            return source.syntax
        except Exception as exc:  # the encoder cannot do it: what follows always can, and the result is read back either way
            log.info("no encoder for %s worked (%s): written as Explicit VR Little Endian", source.syntax.name, type(exc).__name__)
    if stored.ndim == 4:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    dataset.PixelData = _even(_pack(stored, source).astype(f"<u{source.allocated // 8}").tobytes())
    dataset["PixelData"].VR = "OW" if source.allocated > 8 else "OB"
    dataset["PixelData"].is_undefined_length = False
    return uid.ExplicitVRLittleEndian


def _native_bytes(dataset: Dataset, source: DicomSource, stored: np.ndarray) -> bytes:
    words = _pack(stored, source)
    if stored.ndim == 4 and dataset.get("PlanarConfiguration", 0) == 1:
        words = words.transpose(0, 3, 1, 2)
    data = _even(np.ascontiguousarray(words).astype(_container(source)).tobytes())
    return np.frombuffer(data, ">u2").astype("<u2").tobytes() if _swapped(source) else data


def _declared(source: DicomSource) -> bytes:
    """Uncompressed PixelData cut to the declared frames, even in length."""
    return _even(bytes(source.dataset.PixelData)[: source.byte_count + source.byte_count % 2])


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)


