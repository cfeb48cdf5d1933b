"""The head of a DICOM file (PS3.10: preamble, prefix, File Meta Information) and the transfer syntaxes that are read.

Only the head is parsed, never the data set behind it: a process that must not hang or crash on a hostile file can name its object with this.
"""

from __future__ import annotations

from io import BytesIO
from typing import NamedTuple

from pydicom import uid
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_file_meta_info
from pydicom.pixels import get_decoder

from . import frames, pixels

PREAMBLE = 128 + 4  # bytes before the first element
GROUP_LENGTH = 12  # bytes of the element (0002,0000)
MOST = 1 << 16  # bytes of a head that is still parsed
_WALKED = (*frames._J2K, *uid.JPEGTransferSyntaxes, *uid.JPEGLSTransferSyntaxes, uid.RLELossless)


class FileFacts(NamedTuple):
    """What the head says.

    sop_class, sop_instance, transfer_syntax: UIDs.  offset: where the data set begins, bytes.
    """

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    offset: int


def file_facts(head: bytes) -> FileFacts | None:
    """The facts of a file's head; None where it is no head, or lacks one of them.

    Args:
        head: the first bytes of a file, `MOST` or the whole file.
    """
    if head[128:PREAMBLE] != b"DICM" or head[PREAMBLE : PREAMBLE + 8] != b"\x02\x00\x00\x00UL\x04\x00":
        return None
    end = PREAMBLE + GROUP_LENGTH + int.from_bytes(head[PREAMBLE + 8 : PREAMBLE + GROUP_LENGTH], "little")
    if end > len(head):
        return None
    try:
        meta = read_dataset(BytesIO(head[PREAMBLE:end]), is_implicit_VR=False, is_little_endian=True)
        facts = FileFacts(str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID), str(meta.TransferSyntaxUID), end)
    except Exception:  # a damaged head raises anything; the file is then known by its bytes alone
        return None
    return facts if all(facts[:3]) else None


def file_head(sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """The head of a file for an object that came without one."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = uid.UID(sop_class), uid.UID(sop_instance)
    meta.TransferSyntaxUID = uid.UID(transfer_syntax)
    buffer = DicomBytesIO()
    buffer.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(buffer, meta, enforce_standard=True)
    return buffer.getvalue()


def read_syntaxes() -> tuple[uid.UID, ...]:
    """The transfer syntaxes whose pixels are read, in the standard's order."""
    return tuple(syntax for syntax in uid.AllTransferSyntaxes if syntax in pixels.NATIVE or (syntax in _WALKED and _has_decoder(syntax)))


def _has_decoder(syntax: uid.UID) -> bool:
    try:
        get_decoder(syntax)
    except NotImplementedError:
        return False
    return True
