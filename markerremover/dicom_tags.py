"""What changes in a DICOM header beside the pixels: carriers go, tags say what was done, file meta is made anew.

The functions here change the dataset that they are given; `dicom.write_dicom` gives them a copy.
"""

from __future__ import annotations

import hashlib

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

CARRIERS = frozenset({0x00880200, 0x00420011, 0xFFFAFFFA, 0x4FFE0001})
"""Icon Image Sequence, Encapsulated Document, Digital Signatures and MAC Parameters: removed at any depth."""
CLEAN_PIXEL_DATA = ("113101", "Clean Pixel Data Option")
"""Code and meaning, of scheme DCM, context group 7050."""


def remove_carriers(dataset: Dataset, *, depth: int = 0) -> int:
    """Take out, at any depth, what can show or hide an identifier beside the image itself.

    Overlays (60xx), curves (50xx), `CARRIERS`, everything behind the pixels, and pixel data of nested items.

    Returns:
        How many elements were removed.
    """
    removed = 0
    for tag in list(dataset.keys()):
        group = int(tag) >> 16
        repeating = 0x5000 <= group <= 0x50FF or 0x6000 <= group <= 0x60FF
        behind = group > 0x7FE0 or (group == 0x7FE0 and depth > 0)
        if repeating or behind or group in (0x0000, 0x0002) or int(tag) in CARRIERS:
            del dataset[tag]
            removed += 1
            continue
        if dataset.get_item(tag).VR in (None, "SQ", "UN") and dataset[tag].VR == "SQ":
            removed += sum(remove_carriers(item, depth=depth + 1) for item in dataset[tag].value)
    return removed


def mark_derived(dataset: Dataset, stored: np.ndarray) -> None:
    """New SOP Instance UID, made from the old one and the new pixels so that reruns agree; ImageType DERIVED."""
    seed = str(dataset.get("SOPInstanceUID", "")).encode() + np.ascontiguousarray(stored).tobytes()
    dataset.SOPInstanceUID = f"2.25.{int.from_bytes(hashlib.sha256(seed).digest()[:16], 'big')}"
    kind = dataset.get("ImageType", None)
    rest = [str(v) for v in kind][1:] if isinstance(kind, (list, tuple, MultiValue)) else []
    dataset.ImageType = ["DERIVED", *(rest or ["PRIMARY"])]


def mark_cleaned(dataset: Dataset, method: str) -> None:
    """Say that the pixels were cleaned and checked; earlier entries stay. Patient Identity Removed is left alone."""
    dataset.BurnedInAnnotation = "NO"
    earlier = list(dataset.get("DeidentificationMethodCodeSequence", None) or [])
    if all(item.get("CodeValue") != CLEAN_PIXEL_DATA[0] for item in earlier):
        code = Dataset()
        code.CodeValue, code.CodeMeaning = CLEAN_PIXEL_DATA
        code.CodingSchemeDesignator = "DCM"
        dataset.DeidentificationMethodCodeSequence = Sequence([*earlier, code])
    if method:
        before = dataset.get("DeidentificationMethod", None) or []
        before = [before] if isinstance(before, str) else list(before)
        dataset.DeidentificationMethod = [*before, method.replace("\\", "/")[:64]]  # LO: 64 characters, no backslash


def renew_file_meta(dataset: Dataset, syntax: str) -> None:
    """A fresh preamble and file meta group, of which nothing comes from the old ones."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = uid.UID(syntax)
    if not dataset.get("SOPInstanceUID"):
        dataset.SOPInstanceUID = uid.generate_uid(prefix=None)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    meta.ImplementationClassUID, meta.ImplementationVersionName = uid.PYDICOM_IMPLEMENTATION_UID, "MARKERREMOVER"
    dataset.file_meta, dataset.preamble = meta, b"\0" * 128
