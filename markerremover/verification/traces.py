"""What an output still tells: identifiers of its input in any element, in paths and in the bytes of pixels, and whatever else is no picture.

Only the kind and the place of what is found are told, never the value.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from typing import Any

from . import identifiers
from .dicom import quiet
from .identifiers import IDENTIFYING, Identifiers, elements_of, kinds_in, values_of
from .pictures import Picture
from .reading import png_chunks

_TEXT = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UN", "UR", "UT", "OB", "OW", "AS"})
_OWN = frozenset({"DeidentificationMethod", "DeidentificationMethodCodeSequence", "DerivationDescription", "DerivationCodeSequence", "PatientIdentityRemoved",
                  "BurnedInAnnotation", "SyntheticData", "LongitudinalTemporalInformationModified", "ImplementationVersionName"})  # fmt: skip
"""Elements whose values a de-identifier writes."""
_PIXELS = frozenset({"PixelData", "FloatPixelData", "DoubleFloatPixelData"})
_TABLES = re.compile(r"LUTData|PaletteColorLookupTableData")
_DIGITS = 6  # fewest digits of a value of a number's element that may be an identifier
_CARRIERS = frozenset({"IconImageSequence", "EncapsulatedDocument", "DigitalSignaturesSequence", "OverlayData", "FloatPixelData", "DoubleFloatPixelData"})
_PNG = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"pHYs"})
_TIFF = frozenset({254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 283, 284, 296, 317, 322, 323, 324, 325, 338, 339, 347, 530, 531, 532})
_JPEG = frozenset({*range(0xC0, 0xD0), *range(0xD0, 0xD8), 0xDA, 0xDB, 0xDC, 0xDD})
"""Chunks, tags and segments that a picture needs, or that only say how to show it."""


def in_header(before: Any, after: Any, known: Identifiers, payload: bytes) -> Iterator[str]:
    """What of a header an output still tells, in words.

    Args:
        before, after: datasets of input and output.  known: identifiers of the input.  payload: the output's Pixel Data.
    """
    old = {place: values_of(element) for place, element in elements_of(before) if element is not None and _identifies(element)}
    for place, element in (*elements_of(after), *elements_of(after.file_meta)):
        name = " > ".join(part for part in place if not part.isdigit())
        if element is None:
            yield f"{name} cannot be parsed"
            continue
        if element.tag.is_private or (not element.keyword and element.tag.group != 0x0002):
            yield f"{name} is a private element, or one that is in no dictionary"
        if element.VR == "SQ" or element.keyword in _PIXELS:
            continue
        values = [value for value in values_of(element) if value]
        kept = set(values) & set(old.get(place, ()))
        if any(value.casefold() not in identifiers.PLACEHOLDERS for value in kept):
            yield f"{name} has its value of the input"
        elif found := sorted({kind for value in values for kind in _kinds(element, value, known)}):
            yield f"{name} holds {' and '.join(found)} of the input's header"
    if found := identifiers.spelt_in(payload, known):
        yield f"the bytes of its pixels spell {found[0]} of the input's header"


def _identifies(element: Any) -> bool:
    """Whether an element of the input must not have its value in the output, too."""
    if identifiers.instance_uids(element):
        return True
    return element.VR in ("PN", "DA", "DT") or element.keyword in IDENTIFYING


def _kinds(element: Any, value: str, known: Identifiers) -> list[str]:
    if element.keyword in _OWN:
        return []
    if element.VR == "UI":
        return ["a UID"] if value in known.uids else []
    if element.VR in ("DS", "IS"):
        return ["a number"] if len(value) >= _DIGITS and value.isdigit() and value.lstrip("0") in known.numbers else []
    if element.VR not in _TEXT or _TABLES.search(element.keyword):
        return []
    return kinds_in(value, known)


def carriers(after: Any) -> Iterator[str]:
    """Elements of an output that may hold a further picture, in words."""
    for place, element in elements_of(after):
        if element is None:
            continue
        group = element.tag.group
        if element.keyword in _CARRIERS or (group & 0xFF00 in (0x6000, 0x5000) and not group & 1):
            yield f"{' > '.join(part for part in place if not part.isdigit())} may hold a further picture"


def around_elements(data: bytes, after: Any) -> Iterator[str]:
    """What an output holds outside its elements, in words."""
    from pydicom import dcmwrite, uid

    if data[128:132] == b"DICM" and data[:128].strip(b"\0"):
        yield "its preamble is not empty"
    if after.file_meta.TransferSyntaxUID == uid.DeflatedExplicitVRLittleEndian:
        start = 144 + int(after.file_meta.FileMetaInformationGroupLength)
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        inflate.decompress(data[start:])
        if inflate.unused_data.strip(b"\0") or not inflate.eof:
            yield "bytes follow its data set"
        return
    buffer = io.BytesIO()
    with quiet():
        dcmwrite(buffer, after, enforce_file_format=False)
    if len(data) != buffer.tell():
        yield f"it has {len(data)} bytes, its elements take {buffer.tell()}"


def in_path(relative: str, known: Identifiers) -> Iterator[str]:
    """Identifiers in the parts of a path, in words."""
    found = sorted({kind for part in relative.split("/") for kind in kinds_in(part, known)})
    if found:
        yield f"its path holds {' and '.join(found)} of a header of the run"


def in_raster(picture: Picture, data: bytes) -> Iterator[str]:
    """What a PNG, JPEG or TIFF output holds beside its picture, in words."""
    yield from {"PNG": _in_png, "JPEG": _in_jpeg, "TIFF": _in_tiff}[picture.kind](picture, data)


def _in_png(picture: Picture, data: bytes) -> Iterator[str]:
    for kind, body in png_chunks(data):
        if kind == b"":
            yield f"{len(body)} bytes follow its end"
        elif kind == b"eXIf":
            yield from _in_exif(body)
        elif kind not in _PNG:
            yield f"it has a chunk {ascii(kind.decode('latin-1'))}"
    inflate = zlib.decompressobj()
    inflate.decompress(picture.payload[0])
    if inflate.unused_data or not inflate.eof:
        yield "bytes follow its compressed pixels"


def _in_jpeg(picture: Picture, data: bytes) -> Iterator[str]:
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            yield f"byte {position} begins no segment"
            return
        marker = data[position + 1]
        if marker == 0xD9:
            break
        size = int.from_bytes(data[position + 2 : position + 4], "big")
        body = data[position + 4 : position + 2 + size]
        position += 2 + size
        if marker == 0xDA:
            following = re.compile(rb"\xff[^\x00\xd0-\xd7]").search(data, position)
            position = following.start() if following else len(data)
        elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
            yield from _in_exif(body[6:])
        elif marker not in _JPEG and not (marker == 0xE0 and len(body) == 14 and body.startswith(b"JFIF\0")) and not (
            marker == 0xEE and len(body) == 12 and body.startswith(b"Adobe")):
            yield f"it has a segment {marker:#x} of {len(body)} bytes"
    if behind := len(data) - position - 2:
        yield f"{behind} bytes follow its end"


def _in_exif(block: bytes) -> Iterator[str]:
    from PIL import Image

    exif = Image.Exif()
    exif.load(b"Exif\0\0" + block)
    if set(exif) - {274} or any(exif.get_ifd(number) for number in (1, 0x8769, 0x8825)):
        yield "its Exif says more than how it is turned"


def _in_tiff(picture: Picture, data: bytes) -> Iterator[str]:
    import tifffile

    used = [(0, 8)]
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        if len(file.pages) > 1:
            yield f"it has {len(file.pages)} pages"
        page: Any = file.pages[0]
        used.append((page.offset, 2 + 12 * len(page.tags) + 4))
        for tag in page.tags:
            used.append((tag.valueoffset, tag.valuebytecount))
            if tag.code not in _TIFF:
                yield f"it has a tag {tag.code}"
        used += zip(page.dataoffsets, page.databytecounts)
    end, hidden = 0, b""
    for start, size in sorted(used):
        hidden += data[end:start]
        end = max(end, start + size)
    if (hidden + data[end:]).strip(b"\0"):
        yield f"{len((hidden + data[end:]).strip(bytes(1)))} bytes belong to none of its parts"
