"""Synthetic radiographs as image files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import WriteError
from .generate import SyntheticRadiograph
from .marks.texts import choice

COLOUR_FORMATS = ("png", "jpg", "tiff")
FORMATS = {"png": ".png", "jpg": ".jpg", "tiff": ".tiff", "dcm": ".dcm", "png16": ".png"}


def write(path: Path, sample: SyntheticRadiograph, style: str, rng: np.random.Generator, clean_path: Path | None = None) -> None:
    """Write one image, and to `clean_path` the same image without annotations, if there is one.

    Args:
        style: a name in FORMATS.
        rng: of a DICOM file's noise and photometric interpretation, which both files share; advanced as by one file.

    Raises:
        WriteError: it could not be written.
    """
    state = rng.bit_generator.state
    _write(path, sample.image if sample.colour is None else sample.colour, sample, style, rng, "instance")
    if clean_path is not None and sample.clean is not None:
        repeated = np.random.Generator(type(rng.bit_generator)())
        repeated.bit_generator.state = state
        clean = sample.clean if sample.colour is None else np.repeat(sample.clean[..., None], 3, axis=2)
        _write(clean_path, clean, sample, style, repeated, "clean instance")


def _write(path: Path, picture: np.ndarray, sample: SyntheticRadiograph, style: str, rng: np.random.Generator, role: str) -> None:
    if picture.ndim == 3:
        picture = picture[..., ::-1]  # OpenCV's order
    if style == "dcm":
        _write_dicom(path, picture, sample, rng, role)
        return
    image = picture if style != "png16" else picture.astype(np.uint16) * 257
    options = [cv2.IMWRITE_JPEG_QUALITY, 95] if style == "jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 1] if style.startswith("png") else []
    if not cv2.imwrite(str(path), image, options):
        raise WriteError(f"{path}: could not be written")


def _write_dicom(path: Path, picture: np.ndarray, sample: SyntheticRadiograph, rng: np.random.Generator, instance: str) -> None:
    """A 12-bit digital X-ray: the image's 8 bits and four bits of noise, in either photometric interpretation."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    def uid(role: str) -> UID:
        return generate_uid(entropy_srcs=[path.name, role])

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.1.1")  # Digital X-Ray Image Storage - For Presentation
    meta.MediaStorageSOPInstanceUID = uid(instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid("writer")
    d = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    d.SOPClassUID, d.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    d.StudyInstanceUID, d.SeriesInstanceUID = uid("study"), uid("series")
    for keyword, value in sample.header.items():
        setattr(d, keyword, value)
    d.Modality, d.Manufacturer, d.PresentationIntentType = "DX", "SYNTHETIC", "FOR PRESENTATION"
    d.BodyPartExamined = {"chest": "CHEST", "real": "CHEST", "pelvis": "PELVIS"}.get(sample.body, "EXTREMITY")
    d.SeriesNumber, d.InstanceNumber = 1, 1
    values = picture.astype(np.uint16) * 16 + rng.integers(0, 16, picture.shape, dtype=np.uint16)
    d.PhotometricInterpretation = choice(rng, ("MONOCHROME1", "MONOCHROME2"))
    if d.PhotometricInterpretation == "MONOCHROME1":
        values = 4095 - values
    d.Rows, d.Columns = values.shape
    d.SamplesPerPixel, d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 1, 16, 12, 11, 0
    d.WindowCenter, d.WindowWidth = 2048, 4096
    d.RescaleIntercept, d.RescaleSlope, d.RescaleType = 0, 1, "US"
    d.PresentationLUTShape = "INVERSE" if d.PhotometricInterpretation == "MONOCHROME1" else "IDENTITY"
    d.PixelData = values.tobytes()
    d.save_as(path, enforce_file_format=True)
