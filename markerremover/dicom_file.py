"""Parsing a DICOM file within bounds: what a file claims to hold costs no more than what it does hold.

pydicom reserves as many bytes as a length field says, inflates whatever it is given, and calls itself once for every level
of nested sequences; a few bytes can so ask for gigabytes.
"""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path

import pydicom
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_preamble

from .errors import HeldError, ReadError

MAX_INFLATED_BYTES = 1 << 30
"""What a deflated dataset may grow to; 400 million grey pixels of 16 bits are less."""
MAX_DEPTH = 32
"""Sequences within sequences. Image objects of the standard have about eight."""
_PIECE = 1 << 20


class _Bounded(io.BufferedReader):
    """A file of which no more is asked for than is left."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > _PIECE:
            size = max(0, min(size, os.fstat(self.fileno()).st_size - self.tell()))
        return super().read(size)


def parse(path: Path, **options) -> Dataset:
    """`pydicom.dcmread` of a file that need not have a preamble.

    Args:
        options: of `dcmread`.

    Raises:
        HeldError: the dataset inflates beyond `MAX_INFLATED_BYTES`, or sequences nest deeper than `MAX_DEPTH`.
        Exception: whatever pydicom raises.
    """
    with _Bounded(io.FileIO(path)) as file:
        _check_inflated(path, file)
        file.seek(0)
        try:
            dataset = pydicom.dcmread(file, force=True, **options)
            _check_nesting(path, dataset)
        except RecursionError:
            raise HeldError(f"{path.name}: nests sequences too deeply, allowed are {MAX_DEPTH} levels") from None
    return dataset


def _check_inflated(path: Path, file: io.BufferedReader) -> None:
    """Inflate a deflated dataset piece by piece, keeping nothing."""
    read_preamble(file, True)
    try:
        meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
        syntax = meta.get("TransferSyntaxUID")
    except Exception:  # then it is no deflated one for pydicom either, which says what is wrong
        syntax = None
    if syntax != uid.DeflatedExplicitVRLittleEndian:
        return
    inflate, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while data := inflate.unconsumed_tail or file.read(_PIECE):
        try:
            total += len(inflate.decompress(data, _PIECE))
        except zlib.error:
            raise ReadError(f"{path.name}: is damaged, its deflated dataset cannot be inflated") from None
        if total > MAX_INFLATED_BYTES:
            raise HeldError(f"{path.name}: inflates to more than {MAX_INFLATED_BYTES} bytes")


def _check_nesting(path: Path, dataset: Dataset) -> None:
    level = [dataset]
    for _ in range(MAX_DEPTH + 1):
        level = [item for holder in level for item in _nested(holder)]
        if not level:
            return
    raise HeldError(f"{path.name}: nests sequences too deeply, allowed are {MAX_DEPTH} levels")


def _nested(dataset: Dataset) -> list[Dataset]:
    """The items of every sequence of a dataset."""
    found = []
    for tag in list(dataset.keys()):
        if dataset.get_item(tag).VR in (None, "SQ", "UN") and dataset[tag].VR == "SQ":
            found += dataset[tag].value
    return found
