"""Header changes that belong to the pixels: carriers are removed, elements state what was done, file meta is replaced.

The functions here change the dataset in place; `files.write_dicom` passes a copy.
"""

from __future__ import annotations

import hashlib

import numpy as np
from pydicom import uid
from pydicom.datadict import dictionary_has_tag
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from ...headers.program_words import CLEAN_PIXEL_DATA, INPAINTED, OUTSIDE, RECOGNIZABLE
from ...scope.modality import Scope

CARRIERS = frozenset({0x00880200, 0x00420011, 0xFFFAFFFA, 0x4FFE0001})
"""Icon Image Sequence, Encapsulated Document, Digital Signatures and MAC Parameters: removed at any depth."""
PIXEL_DATA = 0x7FE00010
OFFSET_TABLES = (0x7FE00001, 0x7FE00002, 0x7FE00003)
"""Extended Offset Table, its lengths, and the total length: they belong to compressed Pixel Data of the file itself."""
BULK_BYTES = 256
"""Maximum length in bytes of a retained binary value: an image of 16 x 16 grey pixels. Vendors' flags, positions and hashes are shorter."""
_LUT_DATA = frozenset({0x00283006, *range(0x00281201, 0x00281205), *range(0x00281221, 0x00281224)})
"""LUT Data and palettes, plain or segmented: long binary values that display of the pixels needs."""
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_NUMBERS = {"AT": 4, "FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8}
_WORDS = {"OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2}
_LOSSY_METHODS = {
    uid.JPEGBaseline8Bit: "ISO_10918_1", uid.JPEGExtended12Bit: "ISO_10918_1", uid.JPEGLSNearLossless: "ISO_14495_1",
    uid.JPEG2000: "ISO_15444_1", uid.HTJ2K: "ISO_15444_15",
}
"""Lossy Image Compression Method (0028,2114) by transfer syntax that is or may be lossy."""
_ITEM = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")
"""The tag that every item of a sequence starts with, in both byte orders."""


def remove_carriers(dataset: Dataset, *, depth: int = 0) -> int:
    """Remove, at any depth, elements other than the image itself that can show or hide an identifier.

    Overlays (60xx), curves (50xx), `CARRIERS`, every pixel element except Pixel Data of the file itself (floating-point,
    retired variable, nested), everything after the pixels, and binary values that could be an image (see `_bulk`).

    Returns:
        How many elements were removed.
    """
    removed = 0
    for tag in list(dataset.keys()):
        group = int(tag) >> 16
        repeating = 0x5000 <= group <= 0x50FF or 0x6000 <= group <= 0x60FF
        pixels = group >= 0x7F00 and (depth > 0 or int(tag) not in (PIXEL_DATA, *OFFSET_TABLES))
        if repeating or pixels or group in (0x0000, 0x0002) or int(tag) in CARRIERS or _bulk(dataset, tag):
            del dataset[tag]
            removed += 1
            continue
        if dataset.get_item(tag).VR in (None, "SQ", "UN") and dataset[tag].VR == "SQ":
            removed += sum(remove_carriers(item, depth=depth + 1) for item in dataset[tag].value)
    return removed


def _bulk(dataset: Dataset, tag: BaseTag) -> bool:
    """Whether a value is binary and could be an image: longer than `BULK_BYTES`, or a sequence that pydicom cannot parse.

    Numbers count as binary in private or unknown elements; in standard elements the standard defines what they mean.
    """
    if int(tag) in (PIXEL_DATA, *OFFSET_TABLES, *_LUT_DATA):
        return False
    element = dataset.get_item(tag)
    if element.VR in (None, "UN"):
        element = dataset[tag]  # the dictionary may know it; other elements are not parsed, and so keep their bytes
    if element.VR in _BINARY:
        value = element.value or b""
        return len(value) > BULK_BYTES or (element.VR == "UN" and bytes(value[:4]) in _ITEM)
    if element.VR not in _NUMBERS or (dictionary_has_tag(tag) and not tag.is_private):
        return False
    size = len(element.value or b"") if isinstance(element, RawDataElement) else element.VM * _NUMBERS[element.VR]
    return size > BULK_BYTES


def mark_derived(dataset: Dataset, stored: np.ndarray, *, renew_uid: bool = True) -> None:
    """Set ImageType to DERIVED and, with `renew_uid`, a new SOP Instance UID: a hash of the old one and the new pixels, so that reruns agree."""
    if renew_uid:
        seed = str(dataset.get("SOPInstanceUID", "")).encode() + np.ascontiguousarray(stored).tobytes()
        dataset.SOPInstanceUID = f"2.25.{int.from_bytes(hashlib.sha256(seed).digest()[:16], 'big')}"
    dataset.ImageType = _derived(dataset)


def _derived(dataset: Dataset) -> list[str]:
    kind = dataset.get("ImageType", None)
    rest = [str(v) for v in kind][1:] if isinstance(kind, (list, tuple, MultiValue)) else []
    return ["DERIVED", *(rest or ["PRIMARY"])]


def mark_synthetic(dataset: Dataset, pixels: int) -> None:
    """State that some pixels were inpainted: Synthetic Data (0008,001C) of the SOP Common Module, for content made artificially rather
    than acquired, and Derivation Description (0008,2111) and Derivation Code Sequence (0008,9215) of the General Image Module. Context
    group 7203 of the latter has no code for inpainting, but is extensible, so the code is of a private scheme. An earlier description is
    retained in front.

    Args:
        pixels: number of inpainted pixels.
    """
    description = f"Burned-in annotations removed; {pixels} pixels were filled by inpainting from their surroundings and are synthetic."
    dataset.SyntheticData = "YES"
    dataset.DerivationDescription = f"{str(dataset.get('DerivationDescription', '') or '')[:800]} {description}".strip()
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = INPAINTED
    dataset.DerivationCodeSequence = Sequence([*(dataset.get("DerivationCodeSequence", None) or []), code])


def mark_lossy(dataset: Dataset, syntax: str, byte_count: int) -> None:
    """State the lossy history of pixels whose lossy transfer syntax is about to change; earlier entries are retained.

    Args:
        dataset: with PixelData as it was read.
        syntax: the lossy transfer syntax.
        byte_count: of the same pixels uncompressed.
    """
    if not dataset.get("LossyImageCompressionRatio"):
        dataset.LossyImageCompressionRatio = f"{byte_count / max(len(dataset.PixelData), 1):.2f}"
    if not dataset.get("LossyImageCompressionMethod") and syntax in _LOSSY_METHODS:
        dataset.LossyImageCompressionMethod = _LOSSY_METHODS[uid.UID(syntax)]
    dataset.LossyImageCompression = "01"
    dataset.ImageType = _derived(dataset)


def swap_words(dataset: Dataset) -> None:
    """Convert binary values of 16, 32 and 64 bit words, at any depth, from big to little endian: pydicom leaves them as they were read."""
    for tag in dataset.keys():
        element = dataset[tag]
        if element.VR == "SQ":
            for item in element.value:
                swap_words(item)
        elif element.VR in _WORDS and element.value and int(tag) != PIXEL_DATA:
            size, data = _WORDS[element.VR], bytes(element.value)
            word_bytes = len(data) - len(data) % size
            element.value = np.frombuffer(data[:word_bytes], f">u{size}").astype(f"<u{size}").tobytes() + data[word_bytes:]


def mark_cleaned(dataset: Dataset, method: str, codes: tuple[tuple[str, str], ...] = ()) -> None:
    """State that the pixels were cleaned and checked, and by `codes` (value, meaning) what was done to the header; earlier
    entries are retained. Patient Identity Removed is not changed.

    Args:
        method: appended to De-identification Method, cut to 64 characters; "" for none.
        codes: (code value, code meaning) of scheme DCM.
    """
    dataset.BurnedInAnnotation = "NO"
    entries = list(dataset.get("DeidentificationMethodCodeSequence", None) or [])
    for value, meaning in (CLEAN_PIXEL_DATA, *codes):
        if all(item.get("CodeValue") != value for item in entries):
            code = Dataset()
            code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
            entries.append(code)
    dataset.DeidentificationMethodCodeSequence = Sequence(entries)
    if method:
        _add_method(dataset, method)


def _add_method(dataset: Dataset, method: str) -> None:
    """Append a value to De-identification Method, unless it is there; LO: 64 characters, no backslash."""
    methods = dataset.get("DeidentificationMethod", None) or []
    methods, new = [methods] if isinstance(methods, str) else list(methods), method.replace("\\", "/")[:64]
    dataset.DeidentificationMethod = methods if new in methods else [*methods, new]


def mark_scope(dataset: Dataset, scope: Scope) -> None:
    """State in De-identification Method that the weights were not validated on such a file, and that a person may be recognised in it; then Patient
    Identity Removed becomes NO, whatever was done to the header. Recognizable Visual Features is not changed."""
    if scope.outside:
        _add_method(dataset, OUTSIDE)
    if scope.recognizable:
        _add_method(dataset, RECOGNIZABLE)
        dataset.PatientIdentityRemoved = "NO"


def mark_doubted(dataset: Dataset) -> None:
    """Withdraw the statements that no burned-in annotation and no identity remain: Burned In Annotation becomes YES, Patient Identity
    Removed, if present, NO, and the code of Clean Pixel Data Option is removed."""
    dataset.BurnedInAnnotation = "YES"
    if "PatientIdentityRemoved" in dataset:
        dataset.PatientIdentityRemoved = "NO"
    codes = dataset.get("DeidentificationMethodCodeSequence", None)
    if codes:
        dataset.DeidentificationMethodCodeSequence = Sequence([item for item in codes if item.get("CodeValue") != CLEAN_PIXEL_DATA[0]])


def renew_file_meta(dataset: Dataset, syntax: str) -> None:
    """Replace preamble and file meta group; nothing of the old ones is copied.

    Args:
        syntax: UID of the transfer syntax.
    """
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uid.UID(syntax)
    if not dataset.get("SOPInstanceUID"):
        dataset.SOPInstanceUID = uid.generate_uid(prefix=None)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.ImplementationClassUID, meta.ImplementationVersionName = uid.PYDICOM_IMPLEMENTATION_UID, "MARKERREMOVER"
    dataset.file_meta, dataset.preamble = meta, b"\0" * 128
