"""Writes the files of a messy archive: DICOM of several kinds, PNG, JPEG, TIFF, and files that are no pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import WriteError

SOP_CLASSES = {  # PS3.6; the modality decides the class
    "DX": "1.2.840.10008.5.1.4.1.1.1.1", "CR": "1.2.840.10008.5.1.4.1.1.1", "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4", "US": "1.2.840.10008.5.1.4.1.1.6.1", "OT": "1.2.840.10008.5.1.4.1.1.7",
}
DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage


def write_raster(path: Path, picture: np.ndarray) -> None:
    """Write (H, W) uint8 or uint16, or (H, W, 3) RGB uint8, in the format of the path's suffix.

    Raises:
        WriteError: the file could not be written.
    """
    turned = picture[..., ::-1] if picture.ndim == 3 else picture
    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if path.suffix == ".jpg" else []
    if not cv2.imwrite(str(path), np.ascontiguousarray(turned), options):
        raise WriteError(f"{path}: could not be written")


def write_dicom(path: Path, pixels: np.ndarray, modality: str, elements: Mapping[str, Any], *, unique: str, study: str, invert: bool = False) -> None:
    """Write one frame as DICOM, explicit little endian.

    Args:
        pixels: (H, W) uint8, uint16 of 12 bits or int16, or (H, W, 3) RGB uint8.
        modality: of SOP_CLASSES.
        elements: further ones, by keyword.
        unique, study: texts from which the UIDs of instance and study are made.
        invert: whether it is written as MONOCHROME1, with the values turned.
    """
    from pydicom.dataset import FileDataset
    from pydicom.uid import generate_uid

    d = FileDataset(str(path), {}, file_meta=_meta(SOP_CLASSES[modality], unique), preamble=b"\0" * 128)
    d.SOPClassUID, d.SOPInstanceUID = d.file_meta.MediaStorageSOPClassUID, d.file_meta.MediaStorageSOPInstanceUID
    d.StudyInstanceUID = generate_uid(entropy_srcs=["study", study])
    d.SeriesInstanceUID = generate_uid(entropy_srcs=["series", study, modality])
    d.Modality, d.Manufacturer, d.SeriesNumber, d.InstanceNumber = modality, "SYNTHETIC", 1, 1
    for keyword, value in elements.items():
        setattr(d, keyword, value)
    d.Rows, d.Columns = pixels.shape[:2]
    size = pixels.dtype.itemsize * 8
    bits = 12 if pixels.dtype == np.uint16 else size
    d.BitsAllocated, d.BitsStored, d.HighBit = size, bits, bits - 1
    d.PixelRepresentation = int(pixels.dtype.kind == "i")
    if pixels.ndim == 3:
        d.SamplesPerPixel, d.PhotometricInterpretation, d.PlanarConfiguration = 3, "RGB", 0
    else:
        d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME1" if invert else "MONOCHROME2"
    if modality == "DX":
        d.PresentationIntentType, d.PresentationLUTShape = "FOR PRESENTATION", "INVERSE" if invert else "IDENTITY"
        d.RescaleIntercept, d.RescaleSlope, d.RescaleType = 0, 1, "US"
    if invert:
        pixels = ((1 << bits) - 1 - pixels).astype(pixels.dtype)
    data = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    d.PixelData = data + b"\0" * (len(data) % 2)
    d.save_as(path, enforce_file_format=True)


def write_directory(path: Path, patient: Mapping[str, str], unique: str) -> None:
    """Write a DICOMDIR with the record of one patient, as on a disc that was copied in part."""
    from pydicom.dataset import Dataset, FileDataset
    from pydicom.sequence import Sequence

    d = FileDataset(str(path), {}, file_meta=_meta(DIRECTORY, unique), preamble=b"\0" * 128)
    d.FileSetID, d.FileSetConsistencyFlag = "ARCHIVE", 0
    d.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = d.OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity = 0
    record = Dataset()
    record.OffsetOfTheNextDirectoryRecord, record.RecordInUseFlag, record.OffsetOfReferencedLowerLevelDirectoryEntity = 0, 0xFFFF, 0
    record.DirectoryRecordType, record.PatientName, record.PatientID = "PATIENT", patient["PatientName"], patient["PatientID"]
    d.DirectoryRecordSequence = Sequence([record])
    d.save_as(path, enforce_file_format=True)


def _meta(sop_class: str, unique: str) -> Any:
    """File meta information of an instance."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["instance", unique])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["writer", "messy archive"])
    return meta
