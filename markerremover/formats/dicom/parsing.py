"""Parsing a DICOM file within bounds: the memory used is limited by what a file holds, not by what it declares.

pydicom reserves as many bytes as a length field states, inflates any deflated dataset, and recurses once for every level
of nested sequences; so a few bytes can request gigabytes.

The parser is still pydicom. Its settings control how values are checked and which are read later, but bound neither lengths nor depth nor
the size of an inflated dataset, and it keeps no element of a file whose last delimiter is missing; only that is handled here.
"""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path
from typing import Any

import pydicom
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_preamble

from ...errors import HeldError, ReadError

MAX_INFLATED_BYTES = 1 << 30
"""Maximum size of an inflated dataset; 400 million grey pixels of 16 bits are less."""
MAX_DEPTH = 32
"""Maximum depth of nested sequences. Image objects of the standard have about eight levels."""
UNENDED = "PixelData (7FE0,0010): its sequence delimiter is missing, taken as complete"
_PIECE = 1 << 20
_ITEM, _DELIMITER, _PADDING = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0", b"\xfc\xff\xfc\xff"


class _Bounded(io.BufferedReader):
    """A file that never requests more bytes than remain in it."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > _PIECE:
            size = max(0, min(size, os.fstat(self.fileno()).st_size - self.tell()))
        return super().read(size)


def parse(path: Path, **options: Any) -> Dataset:
    """`pydicom.dcmread` of a file that need not have a preamble.

    Args:
        options: of `dcmread`.

    Raises:
        ReadError: a deflated dataset is damaged or truncated.
        HeldError: the dataset inflates beyond `MAX_INFLATED_BYTES`, or sequences nest deeper than `MAX_DEPTH`.
        Exception: whatever pydicom raises.
    """
    with _Bounded(io.FileIO(os.fspath(path))) as file:
        _check_inflated(path, file)
        file.seek(0)
        try:
            dataset = pydicom.dcmread(file, force=True, **options)
            _check_nesting(path, dataset)
        except RecursionError:
            raise HeldError(f"{path.name}: nests sequences too deeply, allowed are {MAX_DEPTH} levels") from None
    return dataset


def parse_bytes(path: Path, data: bytes) -> Dataset:
    """`pydicom.dcmread` of a file in memory, which this program wrote.

    Args:
        path: for error messages only.

    Raises:
        HeldError: sequences nest deeper than `MAX_DEPTH`.
        Exception: whatever pydicom raises.
    """
    try:
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        _check_nesting(path, dataset)
    except RecursionError:
        raise HeldError(f"{path.name}: nests sequences too deeply, allowed are {MAX_DEPTH} levels") from None
    return dataset


def parse_image(path: Path) -> tuple[Dataset, tuple[str, ...]]:
    """`parse`, and notes on assumptions: compressed Pixel Data whose sequence delimiter is missing counts as complete if only zeros or
    Data Set Trailing Padding follow its last fragment.

    Raises:
        ReadError: the file ends within a fragment, or something else follows the last one; also as `parse`.
        HeldError: as `parse`.
        Exception: whatever pydicom raises.
    """
    dataset = parse(path)
    if len(dataset):  # pydicom keeps no element at all where the file ends within one of undefined length
        return dataset, ()
    with _Bounded(io.FileIO(os.fspath(path))) as file:
        end = _end_of_fragments(path, file)
        if end is None:
            raise ReadError(f"{path.name}: is truncated, or a sequence in it has no end")
        file.seek(0)
        repaired_file = io.BytesIO(file.read(end) + _DELIMITER)
    dataset = pydicom.dcmread(repaired_file, force=True)
    _check_nesting(path, dataset)
    return dataset, (UNENDED,)


def _end_of_fragments(path: Path, file: io.BufferedReader) -> int | None:
    """Offset of the end of the last fragment of compressed Pixel Data without a delimiter; None if something else is wrong.

    Raises:
        ReadError: see `parse_image`.
    """
    head = pydicom.dcmread(file, force=True, stop_before_pixels=True)
    syntax = getattr(head, "file_meta", {}).get("TransferSyntaxUID")
    if not len(head) or syntax is None or not uid.UID(syntax).is_compressed or syntax == uid.DeflatedExplicitVRLittleEndian:
        return None
    element = file.read(12)
    if element[:4] != b"\xe0\x7f\x10\x00" or element[8:] != b"\xff\xff\xff\xff":
        return None
    size = os.fstat(file.fileno()).st_size
    while True:
        position = file.tell()
        item = file.read(8)
        if item[:4] != _ITEM or len(item) < 8:
            break
        position += 8 + int.from_bytes(item[4:], "little")
        if position > size:
            raise ReadError(f"{path.name}: pixel data is truncated, a fragment of it ends behind the file")
        file.seek(position)
    file.seek(position)
    begin = file.read(8)
    if not _DELIMITER.startswith(begin) and not begin.startswith(_PADDING) and (begin.strip(b"\0") or _holds_more(file)):
        raise ReadError(f"{path.name}: pixel data has no end, its sequence delimiter is missing and something else follows")
    return position


def _holds_more(file: io.BufferedReader) -> bool:
    """Whether the rest of a file holds anything but zeros."""
    return any(piece.strip(b"\0") for piece in iter(lambda: file.read(_PIECE), b""))


def _check_inflated(path: Path, file: io.BufferedReader) -> None:
    """Inflate a deflated dataset piece by piece, keeping nothing.

    Raises:
        ReadError: it is damaged or truncated.
        HeldError: it grows beyond `MAX_INFLATED_BYTES`.
    """
    read_preamble(file, True)
    try:
        meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
        syntax = meta.get("TransferSyntaxUID")
    except Exception:  # not a deflated dataset for pydicom either, which reports what is wrong
        syntax = None
    if syntax != uid.DeflatedExplicitVRLittleEndian:
        return
    inflate, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while not inflate.eof:  # a padding byte may follow that makes the length even
        if not (data := inflate.unconsumed_tail or file.read(_PIECE)):
            raise ReadError(f"{path.name}: is truncated, its deflated dataset has no end")
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
    items = []
    for tag in list(dataset.keys()):
        if dataset.get_item(tag).VR in (None, "SQ", "UN") and dataset[tag].VR == "SQ":
            items += dataset[tag].value
    return items
