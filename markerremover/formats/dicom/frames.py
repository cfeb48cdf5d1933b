"""Compressed frames of DICOM Pixel Data, each parsed to its true end, so that no surplus data is copied unseen.

A decoder stops where the image ends and skips what it does not need. Other data in the frames or between them would be
copied to the output of a file whose pixels are untouched: `is_bare` finds it, and the pixels are then encoded again. Data
within entropy-coded segments is not examined.

Parsed by hand: the decoders that were tried (pylibjpeg with libjpeg and OpenJPEG, pyjpegls, Pillow) give pixels and never how much of a
frame they took; pydicom, which separates the frames here, reads only the parameters of a frame.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence

from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragmented_frames

from ...errors import HeldError, ReadError
from .. import jpeg_markers

_J2K = (uid.JPEG2000Lossless, uid.JPEG2000, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)
_SIZ, _SOT, _SOD, _EOC, _COM = 0x51, 0x90, 0x93, 0xD9, 0x64
_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xF7})
_PROGRESSIVE = 0xC2
_J2K_NEEDED = frozenset({0x50, _SIZ, 0x52, 0x53, 0x55, 0x56, 0x59, 0x5C, 0x5D, 0x5E, 0x5F, 0x60, 0x61})
"""CAP, SIZ, COD, COC, TLM, PRF, CPF, QCD, QCC, RGN, POC, PPM and PPT: segments that decoding needs, or that a profile may require."""
_ENCODER = re.compile(
    rb"\x00[\x00\x01](Created by (GDCM/)?OpenJPEG( JPIP)? version |Creator: JasPer Version |Kakadu-|OpenJPH Ver )v?\d{1,2}(\.\d{1,3}){0,3}\.?\x00?"
)
"""The only comments of a codestream that are retained: the names and versions of encoders, including the one used here."""


CLEARED = "PixelData (7FE0,0010): its compressed frames held more than the picture, or a comment, left out"
MORE = "one frame holds several pictures, the header declares fewer frames than there are"
OTHER_SIZE = "a frame is of another size than the header declares"
"""Checked before a decoder allocates memory for the size that a frame of a few bytes may state."""


def is_bare(name: str, dataset: Dataset, syntax: uid.UID, shape: Sequence[int], allocated: int) -> bool:
    """Whether compressed Pixel Data holds the declared frames and nothing else, not even a comment other than an encoder's name.

    Args:
        name: of the file, for messages.
        dataset: with PixelData and the offset tables.
        syntax: transfer syntax of PixelData.
        shape: (F, H, W) or (F, H, W, 3).
        allocated: bits of a sample's container.

    Raises:
        ReadError: the items or a frame are broken, or a frame has no end.
        HeldError: there are more or fewer frames than declared, or several images in one, or frames of this syntax cannot be checked.
    """
    shape_hw = shape[1], shape[2]
    frames, bare = frames_of(name, dataset, shape[0])
    for frame in frames:
        try:
            if syntax == uid.RLELossless:
                frame_bare = _walk_rle(frame, shape[1] * shape[2], allocated // 8 * (3 if len(shape) == 4 else 1))
            elif syntax in _J2K:
                frame_bare = _walk_j2k(frame, shape_hw)
            elif syntax in uid.JPEGTransferSyntaxes or syntax in uid.JPEGLSTransferSyntaxes:
                frame_bare = _walk_jpeg(frame, jpeg_markers.LS_SCAN_END if syntax in uid.JPEGLSTransferSyntaxes else jpeg_markers.SCAN_END, shape_hw)
            else:
                raise HeldError("frames of its transfer syntax cannot be checked for what lies behind them")
        except HeldError as exc:
            raise HeldError(f"{name}: {exc}") from None
        except (IndexError, struct.error):
            raise ReadError(f"{name}: pixel data is truncated, a frame has no end") from None
        except ValueError as exc:
            raise ReadError(f"{name}: pixel data is damaged, {exc}") from None
        bare = bare and frame_bare
    return bare


def frames_of(name: str, dataset: Dataset, count: int) -> tuple[list[bytes], bool]:
    """The frames as the decoder gets them, and whether the items hold exactly these and the offset tables are correct.

    Raises:
        ReadError: the items are broken.
        HeldError: there are more or fewer frames than `count`.
    """
    data = bytes(dataset.PixelData)
    tables: tuple[bytes, bytes] = (dataset.get("ExtendedOffsetTable") or b"", dataset.get("ExtendedOffsetTableLengths") or b"")
    try:
        offsets, fragments, delimited = _items(data)
        extended = tables if all(tables) else None
        frames = list(generate_fragmented_frames(data, number_of_frames=count, extended_offsets=extended))
    except Exception as exc:  # of any kind: broken items cannot be trusted
        raise ReadError(f"{name}: pixel data is not a sequence of frames ({type(exc).__name__})") from None
    if len(frames) != count:
        raise HeldError(f"{name}: the pixel data holds {len(frames)} frames, the header declares {count}")
    frame_fragments = [fragment for group in frames for fragment in group]
    if len(fragments) > len(frame_fragments) and any(fragment.strip(b"\0") for fragment in _unused(fragments, frame_fragments)):
        raise HeldError(f"{name}: the pixel data holds {len(fragments)} fragments, the frames that the header declares have {len(frame_fragments)}")
    fragments_match = len(frame_fragments) == len(fragments) and all(a == b or a + b"\0" == b for a, b in zip(frame_fragments, fragments))
    starts, position = [], 0
    for group in frames:
        starts.append(position)
        position += sum(8 + len(fragment) + len(fragment) % 2 for fragment in group)
    lengths = [sum(map(len, group)) for group in frames]
    tables_match = offsets in ((), tuple(starts))
    if any(tables) or "EncapsulatedPixelDataValueTotalLength" in dataset:
        tables_match &= tables == tuple(struct.pack(f"<{count}Q", *values) for values in (starts, lengths))
        tables_match &= dataset.get("EncapsulatedPixelDataValueTotalLength") in (None, sum(lengths))
    return [b"".join(group) for group in frames], bool(fragments_match and tables_match and delimited)


def _unused(fragments: list[bytes], frame_fragments: list[bytes]) -> list[bytes]:
    """The fragments that belong to no frame; `frame_fragments` may lack the zero that makes a length even."""
    remainder = list(fragments)
    for fragment in frame_fragments:
        match = next((f for f in remainder if fragment in (f, f[:-1])), None)
        if match is not None:
            remainder.remove(match)
    return remainder


def _items(data: bytes) -> tuple[tuple[int, ...], list[bytes], bool]:
    """Offsets of the Basic Offset Table, the fragments, and whether nothing but a sequence delimiter follows them."""
    items, position = [], 0
    while data[position : position + 4] == b"\xfe\xff\x00\xe0":
        (length,) = struct.unpack_from("<L", data, position + 4)
        if position + 8 + length > len(data):
            raise ValueError("an item is truncated")
        items.append(data[position + 8 : position + 8 + length])
        position += 8 + length
    table = items[0] if items else b""
    return struct.unpack(f"<{len(table) // 4}L", table), items[1:], data[position:] in (b"", b"\xfe\xff\xdd\xe0\0\0\0\0")


def _padding(rest: bytes) -> bool:
    """Whether bytes are padding: zeros, or the single FF with which some encoders make the length even."""
    return not rest.strip(b"\0") or rest == b"\xff"


def _last(rest: bytes, start: bytes) -> bytes:
    """The bytes after an image, checked.

    Args:
        start: bytes with which a further image would start.

    Raises:
        HeldError: a further image starts in them.
    """
    if start in rest:
        raise HeldError(MORE)
    return rest


def _walk_jpeg(frame: bytes, scan_end: re.Pattern[bytes], shape_hw: tuple[int, int]) -> bool:
    """Whether a JPEG or JPEG-LS stream ends where its frame does and holds only what decoding needs.

    Raises:
        IndexError: it has no end.
        ValueError: a byte is no marker, or the size is not `shape_hw`.
        HeldError: a further image follows.
    """
    if frame[:2] != b"\xff\xd8":
        raise ValueError("a frame does not start as one")
    bare, components, scanned, pictures, rest = True, 0, 0, 0, b""
    for marker, body, _, end in jpeg_markers.walk(frame, scan_end):
        if marker < 0xC0:
            raise ValueError("a frame holds something that is not a marker")
        if marker == jpeg_markers.EOI:
            rest = frame[end:]
            break
        bare &= _needed(marker, body)
        if marker in _JPEG_FRAMES:
            pictures += 1
            if struct.unpack_from(">HH", body, 1) not in (shape_hw, (0, shape_hw[1])):  # zero rows: a later segment states them
                raise ValueError(OTHER_SIZE)
            components = 0 if marker == _PROGRESSIVE else body[5]  # progressive files have several scans of a component
        if marker == jpeg_markers.SOS:
            scanned += body[0]
    return bare and pictures == 1 and (not components or scanned == components) and _padding(_last(rest, b"\xff\xd8\xff"))


def _needed(marker: int, body: bytes) -> bool:
    """Whether a JPEG segment belongs to the image and is exactly as long as its content; False for application segments and comments."""
    if marker in _JPEG_FRAMES:
        return len(body) == 6 + 3 * body[5]
    if marker == jpeg_markers.SOS:
        return len(body) == 4 + 2 * body[0]
    if marker == 0xE0:
        return len(body) == 14 and body[:5] == b"JFIF\0" and body[12:] == b"\0\0"
    if marker == 0xEE:
        return len(body) == 12 and body[:5] == b"Adobe"
    if marker == 0xDD:
        return len(body) == 2
    if marker == 0xF8:
        return len(body) == 11 and body[0] == 1
    if marker not in (0xC4, 0xDB):
        return False
    at = 0
    while at < len(body):  # Huffman tables by their counts, quantisation tables of 64 values
        at += 17 + sum(body[at + 1 : at + 17]) if marker == 0xC4 else 129 if body[at] >> 4 else 65
    return at == len(body)


def _walk_j2k(frame: bytes, shape_hw: tuple[int, int]) -> bool:
    """Whether a JPEG 2000 codestream ends where its frame does and holds only what decoding needs.

    Raises:
        IndexError: it has no end.
        ValueError: a byte is no marker, or the size is not `shape_hw`.
        HeldError: a further image follows.
    """
    start = frame.find(b"\xff\x4f\xff\x51")
    if start >= 0:
        width, height, left, top = struct.unpack_from(">4L", frame, start + 8)
        if (height - top, width - left) != shape_hw:
            raise ValueError(OTHER_SIZE)
    if start:
        return False  # a JP2 file, whose boxes can hold anything, or no JPEG 2000, which the decoder will refuse
    position, bare, tile_end = 2, True, 0
    while True:
        if frame[position] != 0xFF:
            raise ValueError("a frame holds something that is not a marker")
        marker = frame[position + 1]
        if marker == _EOC:
            return bare and not tile_end and _padding(_last(frame[position + 2 :], b"\xff\x4f\xff\x51"))
        if marker == _SOD:
            position, tile_end = tile_end, 0
            continue
        (length,) = struct.unpack_from(">H", frame, position + 2)
        if length < 2:
            raise ValueError("a frame holds a segment without length")
        body = frame[position + 4 : position + 2 + length]
        if marker == _SOT:
            (size,) = struct.unpack_from(">L", body, 2)
            # the last tile may leave its size open; no packet holds a byte pair above FF8F, so the first EOC is its end
            tile_end = position + size if size else frame.find(b"\xff\xd9", position)
            if tile_end <= position:
                raise IndexError
        elif marker == _COM:
            bare &= _ENCODER.fullmatch(body) is not None
        else:
            bare &= marker in _J2K_NEEDED
        position += 2 + length


def _walk_rle(frame: bytes, pixels: int, segments: int) -> bool:
    """Whether an RLE frame's segments decode to exactly the declared pixels and fill the frame.

    Args:
        pixels: of one frame.
        segments: expected number of segments, one per byte of a pixel.

    Raises:
        IndexError: a segment is too short.
        ValueError: header or segments do not fit the image.
    """
    count, *offsets = struct.unpack_from("<16L", frame)
    if count != segments or segments > 15:
        raise ValueError(f"an RLE frame has {count} segments, needs {segments}")
    ends = [*offsets[1:count], len(frame)]
    bare = offsets[0] == 64 and not any(offsets[count:])
    for position, end in zip(offsets, ends):
        pixel_count = 0
        while pixel_count < pixels:
            if position >= end:
                raise IndexError
            head = frame[position]
            if head < 128:
                pixel_count += head + 1
                position += head + 2
            elif head > 128:
                pixel_count += 257 - head
                position += 2
            else:
                position += 1
        if position > end:
            raise IndexError
        if pixel_count > pixels:
            raise ValueError("an RLE segment is longer than the image")  # on which the decoder would panic, past any except
        bare &= _padding(frame[position:end])
    return bool(bare)
