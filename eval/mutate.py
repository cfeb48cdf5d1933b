"""Small radiographs of every kind with a name planted wherever one can hide, and ways to damage their files.

The name is burned in at `BOX`, and stands in headers, text chunks, comments, thumbnails and behind the end. Everything is
decided by a seed: `mutated(kind, number)` gives the same bytes every time.
"""

from __future__ import annotations

import functools
import io
import re
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pydicom
import tifffile
from PIL import Image, PngImagePlugin
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import compress
from pydicom.sequence import Sequence

from markerremover.formats import jpeg
from markerremover.synthesis.marks import fonts
from markerremover.synthesis.radiographs import backgrounds

NAME, GIVEN = "QUIXMORE", "ZELDAWYN"
"""Burned in, and with it in every header. No dictionary holds them, so neither stands anywhere by chance."""
SIDE = 320  # pixels
BOX = (60, 24, 230, 60)
"""xyxy around the burned-in name, with a little room."""
CAP_PX = 22
SEEDS = 3  # pictures of each kind
FAINT = 8  # by which a faint picture is darker
TURNED = 6  # Exif orientation of a turned picture: a viewer shows it by a quarter to the right
BOMB_BYTES = (1 << 30) + (1 << 26)  # a little more than a deflated dataset may grow to
SHORT = ("MARK^ANNA", "MARY^DENT", "LI^ROME")
"""Patients whose names are the program's own words, or stand in terms of the standard; one of them for each picture."""
_MOST = 0xFFFFFFFF
_MOST_INFLATED = 1 << 26  # bytes: no seed has as many


@functools.cache
def picture(seed: int) -> np.ndarray:
    """(SIDE, SIDE) uint8 with the name burned in at `BOX`."""
    rng = np.random.default_rng(seed)
    ground = 0.8 * backgrounds.procedural(rng, (SIDE, SIDE), "eval", ("chest", "pelvis", "limb")[seed % 3])
    ground[:80] *= 0.35  # the name must be legible
    alpha = fonts.render(NAME, "stroke:plain", CAP_PX)
    top, left = BOX[1] + 7, BOX[0] + 8
    part = ground[top : top + alpha.shape[0], left : left + alpha.shape[1]]
    part += (250 - part) * alpha[: part.shape[0], : part.shape[1]]
    return np.clip(ground, 0, 255).astype(np.uint8)


def _thumbnail() -> bytes:
    """A JPEG whose comment and picture both name the patient."""
    buffer = io.BytesIO()
    Image.fromarray(picture(0)[BOX[1] : BOX[3], BOX[0] : BOX[2]]).save(buffer, "JPEG", comment=NAME.encode())
    return buffer.getvalue()


def _exif(orientation: int = 1) -> bytes:
    """An Exif block (TIFF) with an orientation, artist, description, a maker's note and a thumbnail in the second directory."""
    thumb, text = _thumbnail(), f"{NAME}^{GIVEN}\0".encode()
    at = 8 + 2 + 12 * 3 + 4
    second = at + len(text)
    body = second + 2 + 12 * 2 + 4
    first = struct.pack("<HHHIHH", 3, 0x0112, 3, 1, orientation, 0) + struct.pack("<HHIIHHII", 0x010E, 2, len(text), at, 0x013B, 2, len(text), at)
    behind = struct.pack("<HHHIIHHII", 2, 0x0201, 4, 1, body, 0x0202, 4, 1, len(thumb)) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8) + first + struct.pack("<I", second) + text + behind + thumb


def _faint(image: np.ndarray, variant: str) -> np.ndarray:
    """A picture that uses the lowest eighth of its range, where its variant says so."""
    return image // FAINT if variant.startswith("faint") else image


# -- seeds ------------------------------------------------------------------------------------------------------------


def _png(image: np.ndarray, variant: str) -> bytes:
    image = _faint(image, variant)
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", f"{NAME}^{GIVEN}")
    text.add_text("Comment", f"{NAME} " * 9, zip=True)
    text.add_itxt("Description", f"{NAME} {GIVEN}", zip=True)
    if variant == "16 bit":
        pictures = [Image.fromarray(image.astype(np.uint16) * 257)]
    elif variant == "palette":
        pictures = [Image.fromarray(image // 2)]
        pictures[0].putpalette([v for v in range(0, 256, 2) for _ in range(3)])
    elif variant == "alpha":
        pictures = [Image.fromarray(np.dstack([image] * 3 + [np.full_like(image, 255)]), "RGBA")]
    elif variant == "colour":
        pictures = [Image.fromarray(np.dstack([image, image, image // 2]))]
    else:
        pictures = [Image.fromarray(image)]
    options = {"save_all": True, "append_images": [pictures[0].transpose(Image.Transpose.ROTATE_180)]} if variant == "APNG" else {}
    buffer = io.BytesIO()
    pictures[0].save(buffer, "PNG", pnginfo=text, exif=b"Exif\0\0" + _exif(TURNED if variant == "turned" else 1), **options)
    return buffer.getvalue() + f"behind the end {NAME}".encode()


def _jpeg(image: np.ndarray, variant: str) -> bytes:
    image = _faint(image, variant)
    shown = np.dstack([image, image, image // 2]) if variant in ("colour", "MPF") else image
    buffer = io.BytesIO()
    options = {"progressive": variant == "progressive", "quality": 92, "comment": f"{NAME} {GIVEN}".encode(), "exif": b"Exif\0\0" + _exif(TURNED if variant == "turned" else 1)}
    if variant == "MPF":
        Image.fromarray(shown).save(buffer, "MPO", save_all=True, append_images=[Image.fromarray(shown[::-1].copy())])
    else:
        Image.fromarray(shown).save(buffer, "JPEG", restart_marker_blocks=40 if variant == "restarts" else 0, **options)
    return buffer.getvalue() + f"behind the end {NAME}".encode()


def _tiff(image: np.ndarray, variant: str) -> bytes:
    image = _faint(image, variant)
    compressions = {"deflate": "tiff_adobe_deflate", "LZW": "tiff_lzw", "PackBits": "packbits", "JPEG": "jpeg"}
    buffer = io.BytesIO()
    if variant in compressions:
        info = {270: f"{NAME}^{GIVEN}", 315: NAME, 305: f"{NAME} 1.0"}
        Image.fromarray(image).save(buffer, "TIFF", compression=compressions[variant], tiffinfo=info)
    else:
        pages = np.stack([image] * 2) if variant == "pages" else image.astype(np.uint16) * 257 if variant == "16 bit" else image
        options = {"description": f"{NAME}^{GIVEN}", "software": NAME, "metadata": None, "photometric": "minisblack"}
        options |= {"tile": (64, 64)} if variant == "tiles" else {"rowsperstrip": 50}
        options |= {"extratags": [(274, 3, 1, TURNED, True)]} if variant == "turned" else {}
        tifffile.imwrite(buffer, pages, bigtiff=variant == "BigTIFF", byteorder=">" if variant == "16 bit" else "<", **options)
    return buffer.getvalue() + f"behind the end {NAME}".encode()


def _header(image: np.ndarray) -> Dataset:
    """A DICOM header that names the patient in elements of many kinds, at two depths, in private ones and in an icon."""
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    d.SOPClassUID, d.SOPInstanceUID = uid.DigitalXRayImageStorageForPresentation, "1.2.826.0.1.3680043.8.498.1"
    d.StudyInstanceUID, d.SeriesInstanceUID = "1.2.826.0.1.3680043.8.498.2", "1.2.826.0.1.3680043.8.498.3"
    d.Modality, d.ImageType, d.BodyPartExamined, d.PatientAge = "DX", ["ORIGINAL", "PRIMARY", ""], "CHEST", "071Y"
    d.PatientName, d.PatientID, d.OperatorsName = f"{NAME}^{GIVEN}", f"{NAME}-1", f"{GIVEN}^{NAME}"
    d.StudyDescription, d.ImageComments, d.PatientBirthDate = f"chest of {NAME}", f"{NAME}\r\n{GIVEN}", "19400102"
    request, icon = Dataset(), Dataset()
    request.RequestedProcedureDescription, request.ScheduledProcedureStepDescription = f"for {NAME}", GIVEN
    request.ReferencedSOPSequence = Sequence([Dataset()])
    request.ReferencedSOPSequence[0].PatientComments = NAME
    d.RequestAttributesSequence = Sequence([request])
    icon.Rows, icon.Columns, icon.PixelData = 8, 8, NAME.encode() * 8
    icon["PixelData"].VR = "OB"
    d.IconImageSequence = Sequence([icon])
    block = d.private_block(0x0029, "QUIX 1.0", create=True)
    block.add_new(0x01, "LO", NAME)
    block.add_new(0x02, "OB", NAME.encode() * 40)
    d.WindowCenter, d.WindowWidth, d.RescaleSlope, d.RescaleIntercept = "2048", "4096", "1", "0"
    d.Rows, d.Columns = image.shape
    d.SamplesPerPixel, d.PhotometricInterpretation, d.PixelRepresentation = 1, "MONOCHROME2", 0
    return d


def _dicom(image: np.ndarray, variant: str, seed: int = 0) -> bytes:
    image = _faint(image, variant)
    d = _header(image)
    if variant == "short names":
        d.PatientName = d.OperatorsName = SHORT[seed]
        d.StudyDescription = d.ImageComments = d.PatientID = SHORT[seed].split("^")[0]
    wide = variant not in ("JPEG baseline", "8 bit", "RLE", "faint")
    stored = image.astype(np.uint16) * 16 if wide else image
    d.BitsAllocated, d.BitsStored, d.HighBit = (16, 12, 11) if wide else (8, 8, 7)
    if variant == "multi-frame":
        stored = np.stack([stored] * 3)
        d.NumberOfFrames = 3
    d.PixelData = stored.tobytes()
    d["PixelData"].VR = "OW" if wide else "OB"
    syntaxes = {
        "deflated": uid.DeflatedExplicitVRLittleEndian, "deflated padded": uid.DeflatedExplicitVRLittleEndian,
        "big endian": uid.ExplicitVRBigEndian, "implicit": uid.ImplicitVRLittleEndian,
        "JPEG baseline": uid.JPEGBaseline8Bit,
    }
    if variant in ("RLE", "JPEG 2000"):
        compress(d, uid.RLELossless if variant == "RLE" else uid.JPEG2000Lossless, stored, generate_instance_uid=False)
    elif variant == "JPEG baseline":
        d.PixelData = encapsulate([jpeg.assemble(jpeg.segments(None, _jpeg(image, "grey")))])
        d["PixelData"].is_undefined_length = True
    elif variant == "big endian":
        d.PixelData = stored.astype(">u2").tobytes()
    elif variant == "nested":
        for _ in range(12):
            inner = Dataset()
            inner.PatientName, inner.RequestAttributesSequence = NAME, d.RequestAttributesSequence
            d.RequestAttributesSequence = Sequence([inner])
            d["RequestAttributesSequence"].is_undefined_length = True
    d.file_meta.TransferSyntaxUID = syntaxes.get(variant, d.file_meta.TransferSyntaxUID)
    d.add_new(0xFFFCFFFC, "OB", f"padding {NAME}".encode() + b"\0" * 8)
    buffer = io.BytesIO()
    d.save_as(buffer, enforce_file_format=True)
    data = buffer.getvalue()
    if variant == "deflated padded":
        return with_stream(data, lambda stream: stream + bytes(1 + len(stream) % 2))
    return data + (b"" if variant == "deflated" else f"behind the end {NAME}".encode())


def with_stream(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """A deflated DICOM file whose stream, freed of padding, was changed."""
    at, inflate = _body(data), zlib.decompressobj(-15)
    inflate.decompress(data[at:], _MOST_INFLATED)
    if not inflate.eof:
        raise ValueError("no end, or a bomb already")
    return data[:at] + change(data[at : len(data) - len(inflate.unused_data)])


def _body(data: bytes) -> int:
    """Where the dataset of a DICOM file starts."""
    return 144 + int.from_bytes(data[140:144], "little")


@functools.cache
def _zeros(count: int) -> bytes:
    """So many zeros, deflated, as the end of a stream."""
    squeeze = zlib.compressobj(9, wbits=-15)
    return b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(count >> 20)) + squeeze.flush()


def bomb(stream: bytes) -> bytes:
    """A deflated dataset followed, in the same stream, by more zeros than any file may hold."""
    squeeze = zlib.compressobj(1, wbits=-15)
    return squeeze.compress(zlib.decompressobj(-15).decompress(stream)) + squeeze.flush(zlib.Z_FULL_FLUSH) + _zeros(BOMB_BYTES)


_WRITERS = {"PNG": _png, "JPEG": _jpeg, "TIFF": _tiff}
_VARIANTS = {
    "DICOM": (
        "native", "8 bit", "implicit", "deflated", "deflated padded", "big endian", "RLE", "JPEG baseline", "JPEG 2000", "multi-frame", "nested",
        "faint", "short names",
    ),
    "PNG": ("8 bit", "16 bit", "palette", "alpha", "colour", "APNG", "faint", "turned"),
    "JPEG": ("grey", "colour", "progressive", "restarts", "MPF", "faint", "turned"),
    "TIFF": ("8 bit", "16 bit", "tiles", "deflate", "LZW", "PackBits", "JPEG", "BigTIFF", "pages", "faint", "turned"),
}
KINDS = tuple(f"{fmt} {variant}" for fmt, variants in _VARIANTS.items() for variant in variants)


@functools.cache
def seed_file(kind: str, seed: int) -> bytes:
    """The undamaged file of one of `KINDS`."""
    fmt, variant = kind.split(" ", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _dicom(picture(seed), variant, seed) if fmt == "DICOM" else _WRITERS[fmt](picture(seed), variant)


# -- damage -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """A damaged file.  how: the names of what was done to it."""

    data: bytes
    how: tuple[str, ...]


def mutated(kind: str, number: int) -> Mutant:
    """Damage number `number` of a kind: one to three mutations, most of them aware of the format's structure."""
    rng = np.random.default_rng([zlib.crc32(kind.encode()), number])
    data, fmt, how = seed_file(kind, number % SEEDS), kind.split(" ")[0], []
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        if rng.random() < 0.7:
            step = {"PNG": _damage_png, "JPEG": _damage_jpeg, "TIFF": _damage_tiff, "DICOM": _damage_dicom}[fmt]
        else:
            step = _damage_bytes
        try:
            done, name = step(data, rng)
        except (IndexError, StopIteration, ValueError, struct.error, zlib.error):  # an earlier mutation left no structure to go by
            done, name = _damage_bytes(data, rng)
        data = done
        how.append(name)
    return Mutant(bytes(data), tuple(how))


def _pick(rng: np.random.Generator, items):
    return items[int(rng.integers(len(items)))]


def _damage_bytes(data: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Without knowing the format."""
    size, name = len(data), _pick(rng, ("flip", "flip", "truncate", "delete", "double", "swap", "length"))
    out, at = bytearray(data), int(rng.integers(size)) if rng.random() < 0.5 else int(rng.integers(min(size, 1500)))
    span = int(rng.integers(1, 400))
    if name == "flip":
        for _ in range(int(rng.integers(1, 9))):
            out[int(rng.integers(size)) if rng.random() < 0.5 else int(rng.integers(min(size, 1500)))] ^= 1 << int(rng.integers(8))
    elif name == "truncate":
        del out[max(1, at) :]
    elif name == "delete":
        del out[at : at + span]
    elif name == "double":
        out[at:at] = out[at : at + span]
    elif name == "swap":
        other = int(rng.integers(size))
        out[at : at + span], out[other : other + span] = out[other : other + span], out[at : at + span]
    else:
        width = _pick(rng, (1, 2, 4))
        value = _pick(rng, (0, 1, _MOST, 0x7FFFFFFF, 0x80000000, size, int(rng.integers(_MOST)))) & ((1 << 8 * width) - 1)
        out[at : at + width] = value.to_bytes(width, _pick(rng, ("little", "big")))
    return bytes(out), name


def _moved(parts: list, rng: np.random.Generator, first: int = 0) -> tuple[list, str]:
    """Parts of a file with one deleted, doubled or swapped."""
    parts, name = list(parts), _pick(rng, ("part deleted", "part doubled", "parts swapped"))
    at = int(rng.integers(first, len(parts)))
    if name == "part deleted":
        del parts[at]
    elif name == "part doubled":
        parts.insert(int(rng.integers(first, len(parts) + 1)), parts[at])
    else:
        other = int(rng.integers(first, len(parts)))
        parts[at], parts[other] = parts[other], parts[at]
    return parts, name


def _spoilt(value: bytes, rng: np.random.Generator) -> bytes:
    """A value altered: bits, length, or all of it."""
    kind = int(rng.integers(6))
    if kind == 0 or not value:
        return value + bytes(rng.integers(0, 256, int(rng.integers(1, 40)), np.uint8))
    if kind == 1:
        return value[: int(rng.integers(len(value)))]
    if kind == 2:
        return bytes([_pick(rng, (0, 0xFF, 0x80, 0x7F))]) * len(value)
    if kind == 3:
        return b""
    out = bytearray(value)
    for _ in range(int(rng.integers(1, 4))):
        out[int(rng.integers(len(out)))] = int(rng.integers(256))
    return bytes(out)


def _damage_png(data: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Chunks, each with the right CRC."""
    parts, at = [], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
        if parts[-1][0] == b"IEND":
            break
    rest, choice = data[at:], int(rng.integers(5))
    if choice == 0:
        parts, name = _moved(parts, rng)
    elif choice == 1:
        body = bytearray(parts[0][1])
        field = _pick(rng, ((0, 4), (4, 4), (8, 1), (9, 1), (10, 1), (11, 1), (12, 1)))
        now = int.from_bytes(body[field[0] : sum(field)], "big")
        value = _pick(rng, (0, 1, 2, 3, 4, 6, 16, now - 1, now + 1, 2 * now, 20000, 65535, 0x7FFFFFFF)) % (1 << 8 * field[1])
        body[field[0] : sum(field)] = value.to_bytes(field[1], "big")
        parts[0], name = (b"IHDR", bytes(body)), "header field"
    elif choice == 2:
        index = next(i for i, part in enumerate(parts) if part[0] == b"IDAT")
        rows = _spoilt(zlib.decompress(b"".join(body for kind, body in parts if kind == b"IDAT")), rng)
        parts = [part for part in parts if part[0] != b"IDAT"]
        parts.insert(index, (b"IDAT", zlib.compress(rows))), (name := "pixels")
    elif choice == 3:
        index = int(rng.integers(len(parts)))
        parts[index], name = (parts[index][0], _spoilt(parts[index][1], rng)), "chunk body"
    else:
        index, known = int(rng.integers(len(parts))), (b"IDAT", b"PLTE", b"tRNS", b"acTL", b"fdAT", b"gAMA", b"pHYs", b"sBIT", b"eXIf", b"quIx", b"IEND")
        parts[index], name = (_pick(rng, known), parts[index][1]), "chunk type"
    chunks = (struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts)
    return data[:8] + b"".join(chunks) + rest, name


def _damage_jpeg(data: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Segments, each with the right length."""
    try:
        parts = jpeg.segments(_Nameless, data)
    except Exception as exc:
        raise ValueError from exc
    choice = int(rng.integers(4))
    if choice == 0:
        parts, name = _moved(parts, rng)
    elif choice == 1:
        index = next(i for i, (marker, _) in enumerate(parts) if marker in jpeg.FRAMES)
        body, at = bytearray(parts[index][1]), int(rng.integers(len(parts[index][1])))
        body[at] = int(_pick(rng, (0, 1, 3, 4, 8, 17, 0x11, 0x22, 0x41, 255, int(rng.integers(256)))))
        parts[index], name = (parts[index][0], bytes(body)), "frame header"
    elif choice == 2:
        index = int(rng.integers(len(parts)))
        parts[index], name = (parts[index][0], _spoilt(parts[index][1], rng)), "segment body"
    else:
        index = int(rng.integers(len(parts)))
        parts[index], name = (int(_pick(rng, (0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xDA, 0xDB, 0xDD, 0xE0, 0xE2, 0xEE, 0xFE))), parts[index][1]), "marker"
    out = [b"\xff\xd8"]
    for marker, body in parts:
        head = body[: 2 * body[0] + 4] if marker == 0xDA and body else body
        out.append(struct.pack(">BBH", 0xFF, marker, min(len(head) + 2, 0xFFFF)) + head + body[len(head) :])
    return b"".join([*out, b"\xff\xd9", NAME.encode()]), name


class _Nameless:
    name = "mutant"


def _damage_tiff(data: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Entries of the first directory."""
    order = {b"II": "<", b"MM": ">"}[data[:2]]
    big = data[2:4] in (b"+\0", b"\0+")
    kinds = ("Q", "Q", 8, 20) if big else ("I", "H", 2, 12)
    start = struct.unpack_from(order + kinds[0], data, 8 if big else 4)[0]
    count = struct.unpack_from(order + kinds[1], data, start)[0]
    first, step, out = start + kinds[2], kinds[3], bytearray(data)
    entry = first + step * int(rng.integers(count))
    name = _pick(rng, ("tag", "type", "count", "value", "value", "value", "entries swapped", "entry doubled", "next directory", "entry count"))
    if name == "tag":
        struct.pack_into(order + "H", out, entry, int(_pick(rng, (256, 257, 258, 259, 262, 270, 273, 277, 278, 279, 317, 322, 330, 347, 34675))))
    elif name == "type":
        struct.pack_into(order + "H", out, entry + 2, int(rng.integers(0, 19)))
    elif name == "count":
        struct.pack_into(order + kinds[0], out, entry + 4, int(_pick(rng, (0, 1, 2, 7, 300, 65536, _MOST))))
    elif name == "value":
        at, now = entry + (12 if big else 8), struct.unpack_from(order + "H", out, entry + (12 if big else 8))[0]
        code = _pick(rng, ("H", "I"))
        struct.pack_into(order + code, out, at, int(_pick(rng, (0, 1, 2, 5, 6, 7, 8, 16, now + 1, 2 * now, 32773, 65535, len(data) - 40, _MOST))) & (0xFFFF if code == "H" else _MOST))
    elif name == "entries swapped":
        other = first + step * int(rng.integers(count))
        out[entry : entry + step], out[other : other + step] = out[other : other + step], out[entry : entry + step]
    elif name == "entry doubled":
        other = first + step * int(rng.integers(count))
        out[entry : entry + step] = out[other : other + step]
    elif name == "next directory":
        struct.pack_into(order + kinds[0], out, first + step * count, int(_pick(rng, (start, start + 1, len(data) - 6, _MOST))))
    else:
        struct.pack_into(order + kinds[1], out, start, int(_pick(rng, (0, 1, count - 1, count + 1, 500, 65535))))
    return bytes(out), name


@dataclass(frozen=True)
class _Element:
    """One element of an explicit VR stream: where it starts, how long its header is, its VR, its length, where it ends."""

    at: int
    head: int
    vr: bytes
    length: int
    end: int


_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV"))


def _elements(data: bytes, at: int, order: str) -> list[_Element]:
    """Elements of the top level from `at` on; those of undefined length end with the file."""
    found = []
    while at + 8 <= len(data):
        vr = data[at + 4 : at + 6]
        head = 12 if vr in _LONG else 8
        length = struct.unpack_from(order + ("I" if head == 12 else "H"), data, at + head - (4 if head == 12 else 2))[0]
        end = at + head + length if length != _MOST else data.find(b"\xfe\xff\xdd\xe0" if order == "<" else b"\xff\xfe\xe0\xdd", at) + 8
        if not vr.isalpha() or end <= at or end > len(data):
            break
        found.append(_Element(at, head, vr, length, end))
        at = end
    return found


def _damage_dicom(data: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Elements: their order, tags, VRs, lengths and values."""
    meta_end = _body(data)
    squeezed, implicit = uid.DeflatedExplicitVRLittleEndian.encode() in data[:meta_end], b"1.2.840.10008.1.2\0" in data[:meta_end]
    if squeezed and rng.random() < 0.25:
        name = _pick(rng, ("stream padded", "stream padded", "stream cut", "stream cut", "bomb"))
        size = int(rng.integers(1, 3000))
        changes = {"stream padded": lambda s: s + bytes(size % 5 or size), "stream cut": lambda s: s[: max(1, len(s) - size)], "bomb": bomb}
        return with_stream(data, changes[name]), name
    if squeezed and rng.random() < 0.85:
        body = zlib.decompressobj(-15).decompress(data[meta_end:], _MOST_INFLATED)
        done, name = _damage_elements(body, _elements(body, 0, "<"), "<", rng)
        squeeze = zlib.compressobj(1, wbits=-15)
        return data[:meta_end] + squeeze.compress(done) + squeeze.flush(), name
    if rng.random() < 0.1 or squeezed or implicit:
        return _damage_elements(data, _elements(data[:meta_end], 132, "<"), "<", rng)
    order = ">" if uid.ExplicitVRBigEndian.encode() in data[:meta_end] else "<"
    return _damage_elements(data, _elements(data, meta_end, order), order, rng)


def _damage_elements(data: bytes, found: list[_Element], order: str, rng: np.random.Generator) -> tuple[bytes, str]:
    if not found:
        raise ValueError("no elements")
    e = _pick(rng, found)
    value = data[e.at + e.head : e.end]
    names = ("deleted", "doubled", "swapped", "VR", "VR", "length", "length", "value", "value", "value", "tag", "wrong item")
    name = _pick(rng, names)
    if name == "deleted":
        new = b""
    elif name == "doubled":
        new = data[e.at : e.end] * 2
    elif name == "swapped":
        other = _pick(rng, found)
        if other.at == e.at:
            return data[: e.at] + data[e.end :], "element deleted"
        a, b = sorted((e, other), key=lambda x: x.at)
        return data[: a.at] + data[b.at : b.end] + data[a.end : b.at] + data[a.at : a.end] + data[b.end :], "elements swapped"
    elif name == "VR":
        kinds = [b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"IS", b"LO", b"LT", b"OB", b"OW", b"PN", b"SQ", b"TM", b"UI", b"UL", b"UN", b"US", b"UT", b"QQ"]
        new = data[e.at : e.at + 4] + _pick(rng, kinds) + data[e.at + 6 : e.end]
    elif name == "length":
        wide = e.head == 12
        value_of = (0, 1, e.length + 1, e.length - 1, e.length + 2, 2 * e.length, 0xFFFF, _MOST, len(data))
        length = int(_pick(rng, value_of)) & (_MOST if wide else 0xFFFF)
        new = data[e.at : e.at + e.head - (4 if wide else 2)] + struct.pack(order + ("I" if wide else "H"), length) + data[e.at + e.head : e.end]
    elif name == "tag":
        tags = ((0x0010, 0x0010), (0x0018, 0x1030), (0x0008, 0x103E), (0x0009, 0x0010), (0x6000, 0x3000), (0x7FE0, 0x0010), (0x0002, 0x0010), (0x0028, 0x0010),
                (0x0018, 0x0010), (0x0008, 0x0005), (0xFFFE, 0xE000), (0x0000, 0x0000), (0x0040, 0x0275))  # fmt: skip
        new = struct.pack(order + "HH", *_pick(rng, tags)) + data[e.at + 4 : e.end]
    else:
        if name == "wrong item":
            item = struct.pack(order + "HHI", 0xFFFE, 0xE000, int(_pick(rng, (0, 8, _MOST, len(value)))))
            value, vr = item + value, b"SQ" + bytes(2) if e.head == 12 else e.vr
        else:
            odd = (b"QUIXMORE", b"1\\2\\3", b"nan", b"-1", b"99999999999999999999", b"\xff\xfe\xfd\xfc", b"1,5", b"\0" * 8, b"0" * 300)
            value = _pick(rng, odd) if rng.random() < 0.5 else _spoilt(value, rng)
            vr = data[e.at + 4 : e.at + (8 if e.head == 12 else 6)]
        value = value[: 0xFFFE if e.head == 8 else None]
        value += b" " * (len(value) % 2)
        head = data[e.at : e.at + 4] + vr + struct.pack(order + ("I" if e.head == 12 else "H"), len(value))
        new = head + value
    return data[: e.at] + new + data[e.end :], f"element {name}"


# -- what may be left -------------------------------------------------------------------------------------------------


def names_in(data: bytes, kind: str = "", number: int = 0) -> bool:
    """Whether an output's bytes hold either name: as they are, in UTF-16, or within what is deflated; of the kind with short names also
    whether an element holds such a name as a word."""
    return any(_holds(part) for part in _unpacked(data)) or (kind == "DICOM short names" and _short_in(data, SHORT[number % SEEDS]))


def _short_in(data: bytes, name: str) -> bool:
    """Whether an element of a DICOM file holds a part of a name as a word."""
    words = re.compile(rf"(?i)\b({name.replace('^', '|')})\b")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return any(words.search(str(e.value)) for e in pydicom.dcmread(io.BytesIO(data)).iterall() if not isinstance(e.value, bytes) and e.VR != "SQ")


def _holds(data: bytes) -> bool:
    low = data.lower()
    return any(word.lower().encode(code) in low for word in (NAME, GIVEN) for code in ("latin-1", "utf-16-le", "utf-16-be"))


def _unpacked(data: bytes):
    """The bytes, and those of every zlib stream or deflated DICOM body in them; values of DICOM elements at any depth."""
    yield data
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        at, stream = 8, b""
        while at + 12 <= len(data):
            length = int.from_bytes(data[at : at + 4], "big")
            if data[at + 4 : at + 8] == b"IDAT":
                stream += data[at + 8 : at + 8 + length]
            elif b"\x78" in (body := data[at + 8 : at + 8 + length]):
                yield _inflated(body[body.index(b"\x78") :])
            at += 12 + length
        yield _inflated(stream)
    elif data[128:132] == b"DICM":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(io.BytesIO(data))
            for element in dataset.iterall():
                yield element.value if isinstance(element.value, bytes) else str(element.value).encode("utf-8", "replace")
    elif data[:4] in (b"II*\0", b"MM\0*"):
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages[0]
            for at, size in zip(page.dataoffsets, page.databytecounts):
                yield _inflated(data[at : at + size])


def _inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(stream)
    except zlib.error:
        return b""


def readable(display: np.ndarray, reader) -> bool:
    """Whether OCR reads the burned-in name, or five letters of it in a row, in the planted box or anywhere.

    Args:
        display: (H, W) uint8.
        reader: of `markerremover.second_pass.tesseract`.
    """
    x1, y1, x2, y2 = BOX
    whole = 255 - display
    crop = whole[y1:y2, x1:x2] if display.shape == (SIDE, SIDE) else whole[:1, :1]
    looks = [(crop, 7), (whole, 11)] if crop.size > 1 else [(whole, 11)]
    for image, psm in looks:
        big = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        text = reader.read([big], psm=psm)[0][0].upper().replace(" ", "")
        if any(NAME[i : i + 5] in text for i in range(len(NAME) - 4)):
            return True
    return False
