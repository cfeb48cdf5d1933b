"""pydicom datasets in memory to `Radiograph` and back, by way of the bytes of a file: so they are read and written with the same care."""

from __future__ import annotations

import copy
import io
from pathlib import Path

import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

from ...errors import HeldError, ReadError
from ...headers.profile import HeaderProfile
from ...records import Radiograph
from . import parsing
from .files import quiet, read_dicom, verify_dicom, write_dicom
from .pixels import NATIVE

NAME = Path("dataset")


def read_dataset(dataset: Dataset) -> Radiograph:
    """Decode the Pixel Data of a dataset, which is not changed; an array that pydicom keeps of it is not looked at.

    Raises:
        ReadError: it has no pixel data or no transfer syntax, or cannot be written as a DICOM file.
        HeldError: it is sound, but cannot be cleaned safely.
    """
    return read_dicom(NAME, _serialised(dataset))


def cleaned_dataset(
    radiograph: Radiograph, new_stored: np.ndarray, *, touched: bool, method: str, synthetic: int, removed: np.ndarray | None = None
) -> Dataset:
    """A new dataset with other pixels, checked like a written file. Its header keeps the patient's data; overlays, icons and the like are gone.

    Args:
        radiograph: of format "DICOM".
        new_stored, touched, method, synthetic, removed: as for `files.write_dicom`.

    Raises:
        WriteError: it cannot be written, or does not read back as written.
    """
    buffer, headers = io.BytesIO(), HeaderProfile()
    write_dicom(
        radiograph, new_stored, buffer, touched=touched, verified=True, method=method, headers=headers, synthetic=synthetic, removed=removed)
    verify_dicom(radiograph, new_stored, buffer.getvalue(), touched=touched, headers=headers, synthetic=synthetic, removed=removed)
    with quiet:
        return parsing.parse_bytes(NAME, buffer.getvalue())


def _serialised(dataset: Dataset) -> bytes:
    """The bytes of a DICOM file of a copy of the dataset; errors as of `read_dataset`."""
    if "PixelData" not in dataset:
        raise ReadError(f"{NAME}: has no pixel data")
    if "SOPClassUID" not in dataset:
        raise HeldError(f"{NAME}: has no SOP Class UID, so it cannot be written as a DICOM file")
    syntax = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID") or _syntax_read(dataset)
    if not syntax:
        raise ReadError(f"{NAME}: has no Transfer Syntax UID: set dataset.file_meta.TransferSyntaxUID")
    buffer = io.BytesIO()
    with quiet:
        try:
            duplicate = copy.deepcopy(dataset)
            duplicate.file_meta = FileMetaDataset()
            duplicate.file_meta.TransferSyntaxUID = uid.UID(syntax)
            duplicate.preamble = b"\0" * 128
            if not duplicate.get("SOPInstanceUID"):
                duplicate.SOPInstanceUID = uid.generate_uid(prefix=None)
            pydicom.dcmwrite(buffer, duplicate, enforce_file_format=True)
        except Exception as exc:
            raise ReadError(f"{NAME}: cannot be written as a DICOM file ({type(exc).__name__})") from None
    return buffer.getvalue()


def _syntax_read(dataset: Dataset) -> str:
    """The uncompressed transfer syntax in which the dataset was read, "" if it was not read."""
    implicit, little = dataset.original_encoding
    return "" if implicit is None else NATIVE[0] if implicit else NATIVE[1] if little else NATIVE[2]
