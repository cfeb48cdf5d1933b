"""A DICOM file parsed, its pixels checked against the header's description, and decoded.

A file that cannot be understood without leaving something out is held; assumptions are recorded in `DicomSource.notes`.
Error messages never quote pydicom's, which can contain header values.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.base import Decoder

from ...errors import HeldError, ReadError
from ...headers.header_changes import named, repair_numbers
from ..limits import MAX_PIXELS
from . import parsing, pixels, spare_bits
from .frames import CLEARED, is_bare
from .pixels import NATIVE, DicomSource

BEYOND = "PixelData (7FE0,0010): bytes behind the declared frames, left out"
NO_FRAMES = "NumberOfFrames (0028,0008): is 0, written as 1"


def decode(path: Path, data: bytes | None = None) -> tuple[DicomSource, np.ndarray]:
    """Parse and decode a file.

    Args:
        data: of a file that this program wrote in memory; `path` is then for error messages only.

    Returns:
        The source record, and the stored values (F, H, W) or (F, H, W, 3), integers of the file's signedness with unused bits taken out.

    Raises:
        ReadError: damaged, truncated, or without pixel data.
        HeldError: not supported, or not unambiguous.
    """
    dataset, notes = _parse(path, data)
    source = _layout(path, dataset, notes)
    if not source.native:
        return _decode_compressed(path, source)
    raw = bytes(dataset.PixelData)
    _check_length(path, source, raw)
    if len(raw) > source.byte_count + 1:
        source = replace(source, notes=(*source.notes, BEYOND))
    container = pixels.container(source, source.syntax)
    if not pixels.swapped(source, source.syntax):
        words = np.frombuffer(raw, container, count=math.prod(source.shape))
    else:
        words = np.frombuffer(raw, ">u2").astype("<u2").view(np.uint8)[: math.prod(source.shape)]
    words = words.astype(container.newbyteorder("="), copy=False)
    if len(source.shape) == 4 and dataset.get("PlanarConfiguration", 0) == 1:
        frames, height, width, channels = source.shape
        words = words.reshape(frames, channels, height, width).transpose(0, 2, 3, 1)
    return _unpacked(path, np.ascontiguousarray(words).reshape(source.shape), source)


def _unpacked(path: Path, words: np.ndarray, source: DicomSource) -> tuple[DicomSource, np.ndarray]:
    """Stored values out of containers, and the source record that states how they were packed.

    Raises:
        HeldError: see `spare_bits.check`.
    """
    stored, extended, dirty = pixels.unpack(words, source)
    if dirty or extended:
        spare_bits.check(path.name, source.dataset, words, stored, source.bits, source.shift, source.signed)
    notes = (*source.notes, pixels.CLEARED) if dirty else source.notes
    return replace(source, extended=extended, dirty=source.dirty or dirty, notes=notes), stored


def _check_length(path: Path, source: DicomSource, raw: bytes) -> None:
    """Check that uncompressed Pixel Data holds the declared frames, and nothing more that could be part of the image.

    Raises:
        ReadError: it holds less.
        HeldError: it holds at least a row more, other than zeros.
    """
    if len(raw) < source.byte_count:
        raise ReadError(f"{path.name}: pixel data is truncated, {len(raw)} of {source.byte_count} bytes are there")
    frame = source.byte_count // source.shape[0]
    if len(raw) - source.byte_count >= frame // source.shape[1] and raw[source.byte_count :].strip(b"\0"):
        raise HeldError(f"{path.name}: the pixel data holds {len(raw) / frame:.4g} frames, the header declares {source.shape[0]}")


def _parse(path: Path, data: bytes | None) -> tuple[Dataset, tuple[str, ...]]:
    """The dataset, and notes on the assumptions made to parse it."""
    try:
        dataset, notes = parsing.parse_image(path) if data is None else (parsing.parse_bytes(path, data), ())
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
    for tag in (0x7FE00008, 0x7FE00009):  # Float and Double Float Pixel Data
        if dataset.pop(tag, None) is not None:  # never written, and no decoder takes a dataset with two kinds of pixels
            notes += (named(tag) + ": left out, the picture is Pixel Data",)
    if "SOPClassUID" not in dataset:
        raise HeldError(f"{path.name}: has no SOP Class UID, so it cannot be written as a DICOM file")
    return dataset, (*notes, *repair_numbers(dataset))


def _layout(path: Path, dataset: Dataset, notes: tuple[str, ...]) -> DicomSource:
    """The source record, with every number that describes the pixels checked.

    Raises:
        ReadError: a number is missing or makes no sense.
        HeldError: the pixels are of a kind that is not supported.
    """
    rows, columns = _number(path, dataset, "Rows"), _number(path, dataset, "Columns")
    frames, samples = _number(path, dataset, "NumberOfFrames", 1), _number(path, dataset, "SamplesPerPixel", 1)
    if frames == 0:
        frames = dataset.NumberOfFrames = 1
        notes += (NO_FRAMES,)
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
    interpretations: tuple[str, ...] = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR") if samples == 1 else ("RGB", "YBR_FULL")
    if samples == 3 and syntax not in NATIVE:
        interpretations += ("YBR_FULL_422", "YBR_ICT", "YBR_RCT")
    if photometric not in interpretations:
        raise HeldError(f"{path.name}: this photometric interpretation is not supported for {samples} samples")
    signed = _number(path, dataset, "PixelRepresentation", 0) == 1
    shift = high + 1 - bits
    misfit = shift < 0 or high >= allocated or (shift and syntax not in NATIVE)  # decoders of frames do not look at HighBit
    if misfit or (signed and (samples == 3 or photometric == "PALETTE COLOR")):
        raise HeldError(f"{path.name}: {bits} stored bits with high bit {high} or this sign are not supported")
    shape = (frames, rows, columns) if samples == 1 else (frames, rows, columns, 3)
    return DicomSource(dataset, syntax, photometric, shape, allocated, bits, shift, signed, notes=notes)


def _number(path: Path, dataset: Dataset, keyword: str, default: int | None = None) -> int:
    try:
        value = dataset.get(keyword, None)
        return default if value in (None, "") and default is not None else int(value)
    except Exception:  # pydicom raises as many kinds as there are ways to be wrong
        raise ReadError(f"{path.name}: {keyword} is missing or not a number") from None


def _syntax(dataset: Dataset) -> uid.UID:
    value = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    if value:
        return uid.UID(value)
    implicit, little = dataset.original_encoding
    return NATIVE[0] if implicit else NATIVE[1] if little else NATIVE[2]


def _decode_compressed(path: Path, source: DicomSource) -> tuple[DicomSource, np.ndarray]:
    try:
        decoder = get_decoder(source.syntax)
    except NotImplementedError:
        raise HeldError(f"{path.name}: there is no decoder for its transfer syntax") from None
    if not decoder.is_available:
        raise HeldError(f"{path.name}: the decoder for {source.syntax.name} is not installed")
    bare = is_bare(path.name, source.dataset, source.syntax, source.shape, source.allocated)
    options: dict[str, Any] = {"raw": source.keeps_ybr, "correct_unused_bits": False}
    try:
        decoded, properties = _decoded(decoder, source, options)
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
    notes = source.notes if bare else (*source.notes, CLEARED)
    return _unpacked(path, words, replace(source, photometric=photometric, dirty=not bare, notes=notes))


def _decoded(decoder: Decoder, source: DicomSource, options: dict[str, Any]) -> tuple[np.ndarray, dict[str, str | int]]:
    """Compressed Pixel Data decoded by pydicom; JPEG of at most 8 bits may be declared in containers of 16, which pydicom does not expect."""
    try:
        return decoder.as_array(source.dataset, **options)
    except ValueError:
        if source.allocated == 8 or source.bits > 8 or source.syntax not in uid.JPEGTransferSyntaxes:
            raise
        decoded, properties = decoder.as_array(source.dataset, **{**options, "bits_allocated": 8})
        return decoded.view(np.uint8).astype(np.uint16), properties
