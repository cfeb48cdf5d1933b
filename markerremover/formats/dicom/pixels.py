"""Stored values in and out of DICOM Pixel Data: containers, unused bits, and the transfer syntaxes that can be written.

Pixels are encoded without loss only: uncompressed of any kind, and as RLE, JPEG 2000 and JPEG-LS lossless; RGB is stored in
JPEG 2000 as YBR_RCT, whose transform is exact. JPEG Baseline and Extended of 8 bits are edited in their coefficients (`jpeg_frames`). All others
that can be read (lossless JPEG, near-lossless JPEG-LS, HTJ2K, lossy JPEG 2000) have no lossless encoder here and are written as
Explicit VR Little Endian.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.pixels import get_decoder, get_encoder

from ...errors import WriteError
from . import tags

log = logging.getLogger(__name__)

NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
ENCODED = (uid.RLELossless, uid.JPEG2000Lossless, uid.JPEGLSLossless)
CHOICES = {
    "explicit-le": uid.ExplicitVRLittleEndian,
    "rle": uid.RLELossless,
    "jpeg2000-lossless": uid.JPEG2000Lossless,
    "jpeg-ls-lossless": uid.JPEGLSLossless,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
}
"""Transfer syntaxes that a run may request besides "source", by their names in `options.TRANSFER_SYNTAXES`."""
_LOSSY = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLSNearLossless)
_LOSSLESS = (uid.JPEGLossless, uid.JPEGLosslessSV1, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL)
_MAYBE_LOSSY = (uid.JPEG2000, uid.HTJ2K)
"""Transfer syntaxes without an encoder here: lossy, lossless, and those that may be either, which only the header states."""
CLEARED = "PixelData (7FE0,0010): bits outside the stored ones were set, cleared"
_EXTREMES = (0x00280106, 0x00280107, 0x00280108, 0x00280109, 0x00280110, 0x00280111)
_J2K_SIDE_PX = 32  # minimum side length: the encoder assumes five halvings
_LONG_BYTES = 2**32 - 1  # maximum offset in a Basic Offset Table


@dataclass(frozen=True)
class DicomSource:
    """The file's header and pixel layout, which writing needs.

    shape: (F, H, W) or (F, H, W, 3).
    shift: bits below the stored value.  signed, bits: of one stored value.  allocated: bits of its container.
    extended: negative values fill the unused bits with ones.  dirty: unused bits held something else, or compressed
    frames more than an image.
    photometric: of `stored`: the header's own, except that compressed colour decoded to RGB is "RGB".
    notes: assumptions made to read the file, or what was left out of it; element and reason, never a value.
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
    notes: tuple[str, ...] = ()

    @property
    def native(self) -> bool:
        """Whether the source's transfer syntax is uncompressed."""
        return self.syntax in NATIVE

    @property
    def byte_count(self) -> int:
        """Bytes of all frames when uncompressed."""
        return math.prod(self.shape) * self.allocated // 8

    @property
    def lossy(self) -> bool:
        """Whether the pixels were compressed with loss, as far as transfer syntax or header state it."""
        declaration = str(self.dataset.get("LossyImageCompression", "") or "").strip()
        return self.syntax in _LOSSY or (self.syntax in _MAYBE_LOSSY and declaration != "00")

    @property
    def keeps_ybr(self) -> bool:
        """Whether YBR_FULL is kept: where compression was lossless, the conversion to RGB would not be."""
        return self.photometric == "YBR_FULL" and self.syntax in (*NATIVE, *ENCODED, *_LOSSLESS)


def aim(source: DicomSource, choice: str, reencode: bool) -> uid.UID:
    """The transfer syntax to write.

    Args:
        choice: "source" or a name of `CHOICES`.
        reencode: whether the pixels have to be encoded again in any case.
    """
    if choice != "source":
        return CHOICES[choice]
    return source.syntax if not reencode or source.syntax in (*NATIVE, *ENCODED) else uid.ExplicitVRLittleEndian


def unpack(words: np.ndarray, source: DicomSource) -> tuple[np.ndarray, bool, bool]:
    """Stored values out of unsigned containers of the same shape: the values, `extended` and `dirty` (see DicomSource). The values are a view
    if they fill their containers, else a new array."""
    dtype = np.dtype(f"{'i' if source.signed else 'u'}{words.dtype.itemsize}")
    if source.bits == source.allocated:
        return words.view(dtype), False, False
    stored_bits = (words >> source.shift) & ((1 << source.bits) - 1)
    zero_filled = words == (stored_bits << source.shift)
    if not source.signed:
        return stored_bits.astype(dtype, copy=False), False, not zero_filled.all()
    sign = 1 << (source.bits - 1)
    values = ((stored_bits ^ sign).view(dtype) - dtype.type(sign)) if sign <= np.iinfo(dtype).max else stored_bits.view(dtype)
    sign_filled = words == (values.view(words.dtype) << source.shift)
    return values, not zero_filled.all(), not (zero_filled | sign_filled).all()


def container(source: DicomSource, syntax: uid.UID) -> np.dtype:
    """The unsigned dtype, with byte order, of one sample in Pixel Data of an uncompressed transfer syntax."""
    return np.dtype(f"{'>' if syntax == uid.ExplicitVRBigEndian else '<'}u{source.allocated // 8}")


def swapped(source: DicomSource, syntax: uid.UID) -> bool:
    """Whether 8-bit samples lie in 16-bit big-endian words, so that each pair is swapped."""
    return syntax == uid.ExplicitVRBigEndian and source.allocated == 8 and source.dataset["PixelData"].VR == "OW"


def even(data: bytes) -> bytes:
    """The same bytes, with a zero appended if their number is odd."""
    return data + b"\0" * (len(data) % 2)


def declared(source: DicomSource) -> bytes:
    """Uncompressed PixelData cut to the declared frames, even in length."""
    return even(bytes(source.dataset.PixelData)[: source.byte_count + source.byte_count % 2])


def put(dataset: Dataset, source: DicomSource, stored: np.ndarray, choice: str, *, reencode: bool) -> uid.UID:
    """Write `stored` into `dataset`.

    Args:
        dataset: a copy of the source's; changed in place.
        stored: of `source.shape`.
        choice, reencode: see `aim`. Pixels that cannot be encoded in the source's own transfer syntax become Explicit VR Little Endian.

    Returns:
        The transfer syntax that PixelData now has.

    Raises:
        WriteError: the pixels cannot be encoded in the requested transfer syntax.
    """
    syntax = aim(source, choice, reencode)
    for tag in (*(_EXTREMES if reencode else ()), *tags.OFFSET_TABLES):
        dataset.pop(tag, None)
    if source.lossy:
        tags.mark_lossy(dataset, source.syntax, source.byte_count)
    if stored.ndim == 4 and not (source.native and syntax in NATIVE):
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = source.photometric, 0
    reason = _impossible(source, syntax)
    if syntax in ENCODED and not reason:
        try:
            frames = _encode(source, stored, syntax)
        except Exception as exc:  # the encoder cannot do it; its message could quote anything
            reason = f"the encoder refuses it ({type(exc).__name__})"
    if reason and choice != "source":
        raise WriteError(f"{_NAMES[syntax]}: {reason}")
    if reason:
        log.info("not written as %s (%s): Explicit VR Little Endian", syntax.name, reason)
        syntax = uid.ExplicitVRLittleEndian
    if source.syntax == uid.ExplicitVRBigEndian != syntax:
        tags.swap_words(dataset)
    if syntax == uid.JPEG2000Lossless and source.photometric == "RGB":
        dataset.PhotometricInterpretation = "YBR_RCT"  # the reversible transform, which decoders undo
    if syntax in ENCODED:
        _put_frames(dataset, source, frames)
    else:
        _put_plain(dataset, source, stored, syntax)
    return syntax


def put_lossy(dataset: Dataset, source: DicomSource, frames: list[bytes]) -> None:
    """Write frames of the source's own lossy transfer syntax into `dataset`, a copy of the source's, which is changed in place."""
    for tag in (*_EXTREMES, *tags.OFFSET_TABLES):
        dataset.pop(tag, None)
    tags.mark_lossy(dataset, source.syntax, source.byte_count)
    _put_frames(dataset, source, frames)


_NAMES = {syntax: name for name, syntax in CHOICES.items()}


def _impossible(source: DicomSource, syntax: uid.UID) -> str:
    """The reason why an encoder cannot take such pixels, "" if it can."""
    if syntax == uid.JPEG2000Lossless and min(source.shape[1:3]) < _J2K_SIDE_PX:
        return f"has {source.shape[1]} rows and {source.shape[2]} columns, needs at least {_J2K_SIDE_PX} of both"
    if syntax == uid.JPEGLSLossless and source.bits < 2:
        return "has 1 bit a sample, needs 2 to 16"
    if syntax in (uid.RLELossless, uid.JPEGLSLossless) and source.photometric == "YBR_FULL" and source.allocated > 8:
        return f"has YBR_FULL of {source.allocated} bits, allowed are 8"
    return ""


def _encode(source: DicomSource, stored: np.ndarray, syntax: uid.UID) -> list[bytes]:
    """The frames of `stored`, each compressed."""
    facts: dict[str, Any] = {
        "rows": source.shape[1], "columns": source.shape[2], "number_of_frames": source.shape[0], "pixel_keyword": "PixelData",
        "samples_per_pixel": source.shape[3] if stored.ndim == 4 else 1,
        "photometric_interpretation": "YBR_RCT" if (syntax, source.photometric) == (uid.JPEG2000Lossless, "RGB") else source.photometric,
        "bits_allocated": source.allocated, "pixel_representation": int(source.signed), "planar_configuration": 0,
        # RLE has no precision, and pydicom would drop the upper byte of containers that hold 8 bits or less
        "bits_stored": source.allocated if syntax == uid.RLELossless else source.bits,
    }
    frames = np.ascontiguousarray(stored if len(stored) > 1 else stored[0])
    return list(get_encoder(syntax).iter_encode(frames, **facts))


def _put_frames(dataset: Dataset, source: DicomSource, frames: list[bytes]) -> None:
    dataset.HighBit = source.bits - 1
    if sum(map(len, frames)) + 8 * len(frames) > _LONG_BYTES:
        dataset.PixelData, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = encapsulate_extended(frames)
    else:
        dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


def _put_plain(dataset: Dataset, source: DicomSource, stored: np.ndarray, syntax: uid.UID) -> None:
    words = _pack(stored, source)
    if stored.ndim == 4 and dataset.get("PlanarConfiguration", 0) == 1:
        words = words.transpose(0, 3, 1, 2)
    data = even(np.ascontiguousarray(words).astype(container(source, syntax)).tobytes())
    if not source.native:
        dataset.HighBit = source.bits - 1
    vr = dataset["PixelData"].VR if source.syntax == syntax else "OW" if source.allocated > 8 else "OB"
    dataset.PixelData = np.frombuffer(data, ">u2").astype("<u2").tobytes() if swapped(source, syntax) else data
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = vr, False


def _pack(stored: np.ndarray, source: DicomSource) -> np.ndarray:
    """The inverse of `unpack`: a new array of unsigned containers."""
    words = np.ascontiguousarray(stored).view(f"u{source.allocated // 8}")
    if not source.extended:
        words = words & ((1 << source.bits) - 1)
    return words << source.shift


def codecs() -> dict[str, dict[str, bool]]:
    """Name of a transfer syntax -> whether it can be read ("read") and losslessly written ("write") with the installed libraries."""
    compressed = (*ENCODED, uid.JPEG2000, uid.HTJ2K, *_LOSSLESS, *_LOSSY)
    capabilities = {syntax.name: {"read": True, "write": True} for syntax in NATIVE}
    for syntax in compressed:
        capabilities[syntax.name] = {"read": get_decoder(syntax).is_available, "write": syntax in ENCODED and get_encoder(syntax).is_available}
    return capabilities
