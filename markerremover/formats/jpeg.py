"""JPEG files to `Radiograph` and back. Baseline, extended and progressive; 8 bits; grey, YCbCr or RGB.

Untouched images keep their compressed scans byte for byte, up to the last byte that they need. In touched ones the blocks that a removed area
lies in are rewritten, and all others keep their coefficients bit for bit (see `coefficients`). Where that cannot be done, all blocks are encoded
again from the pixels, with the source's own quantisation tables and subsampling, and a note says why. Either way the edge of a
removed area rings a few grey levels, within the blocks that it cuts.

Only these segments are written: JFIF without its thumbnail, Adobe's colour flag, tables, frame and scans, and an Exif
that holds the orientation alone. Comments, other applications' segments, thumbnails, rows below the declared height
and bytes after the end are left out.

Segments are parsed (`jpeg_markers`) and written by hand: Pillow decodes and encodes, but gives no access to scans as they are
stored, keeps no stream that it did not encode itself, and does not report bytes after the end.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from ..errors import HeldError, ReadError, WriteError
from ..records import Radiograph
from . import jpeg_markers, views
from .coefficients import ENCODED_AGAIN, KEPT, check, redaction
from .coefficients.stream import UnsuitedError
from .exif import orientation_block, orientation_of
from .jpeg_scans import EOI, FRAMES, SOI, SOS, TABLES, trim
from .limits import MAX_PIXELS

AGAIN = "JPEG: all blocks encoded again, "
"""Start of the note on an image whose coefficients could not be edited; the reason follows."""
BEHIND = "bytes behind the end of the image, left out"
PIXELS_A_BYTE = 1024
"""Maximum number of pixels that one byte of a scan can encode: a block of 64 takes at least one bit of the finest component, and
blocks of other proportions cover up to four times its area."""
_XMP = b"http://ns.adobe.com/xap/1.0/\0"


@dataclass(frozen=True)
class JpegSource:
    """Segments of one file as (marker, body), scans with their entropy-coded data, and how it was encoded.

    tables: quantisation table of each component, 64 values in row order, not zigzag.  subsampling: Pillow's 0, 1 or 2.
    orientation: 1–8 of Exif.  notes: what the file held besides its image and its metadata.
    """

    segments: tuple[tuple[int, bytes], ...]
    tables: tuple[tuple[int, ...], ...]
    subsampling: int
    progressive: bool
    rgb: bool
    orientation: int
    notes: tuple[str, ...] = ()


def read_jpeg(path: Path, data: bytes) -> Radiograph:
    """Decode one JPEG.

    Args:
        data: the file's bytes.

    Returns:
        A Radiograph with stored (1, H, W) or (1, H, W, 3) uint8, in file orientation.

    Raises:
        ReadError: damaged or truncated.
        HeldError: not supported: CMYK, 12 bits, lossless, several images in one file, or an image hidden outside the declared size.
    """
    file_segments, end = _segments(path, data)
    progressive, components = _check_frame(path, file_segments)
    if any(marker == 0xE2 and body.startswith(b"MPF\0") for marker, body in file_segments):
        raise HeldError(f"{path.name}: holds several pictures (MPF); only single images are supported")
    if SOI + b"\xff" in data[end:]:
        raise HeldError(f"{path.name}: a further picture follows the first one; only single images are supported")
    file_segments = trim(path, file_segments)
    try:
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
        image.load()
        pixels = np.asarray(image)
    except Exception as exc:
        raise ReadError(f"{path.name}: is damaged or truncated, its pixels cannot be decoded ({type(exc).__name__})") from exc
    tables = tuple(tuple(image.quantization[layer[3]]) for layer in image.layer)
    subsampling = max(JpegImagePlugin.get_sampling(image), 0)  # an unusual one comes out finer, as 4:4:4
    notes = (BEHIND,) if data[end:] else ()
    source = JpegSource(tuple(file_segments), tables, subsampling, progressive, _is_rgb(file_segments, components), _orientation(file_segments), notes)
    stored = pixels[None]
    fill = (0,) * (1 if pixels.ndim == 2 else 3)
    grey_views = views_jpeg(stored)
    return Radiograph(stored=stored, display=grey_views[0], fill=fill, path=path, format="JPEG", source=source, also=grey_views[1:])


def layout(path: Path, data: bytes) -> tuple[tuple[int, int], int, bool]:
    """(rows, columns), the orientation 1–8, and whether programs agree on it, without decoding the pixels.

    Raises:
        ReadError, HeldError: as `read_jpeg`.
    """
    file_segments = segments(path, data)
    _check_frame(path, file_segments)
    return (shape_hw(file_segments), *turned(file_segments))


def turned(file_segments: Sequence[tuple[int, bytes]]) -> tuple[int, bool]:
    """The orientation 1–8 of a file's segments, and whether programs agree on it: few apply the orientation in XMP."""
    xmp = next((body for marker, body in file_segments if marker == 0xE1 and body.startswith(_XMP)), b"")
    match = re.search(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([2-8])", xmp)
    orientation = _orientation(file_segments)
    return (int(match[1]), False) if match and orientation == 1 else (orientation, True)


def _orientation(file_segments: Iterable[tuple[int, bytes]]) -> int:
    """Orientation of the first Exif segment, 1 if there is none."""
    return orientation_of(next((body[6:] for marker, body in file_segments if marker == 0xE1 and body.startswith(b"Exif\0\0")), b""))


def views_jpeg(stored: np.ndarray, reference: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """The uint8 views of stored pixels (1, H, W) or (1, H, W, 3), with the tables of `reference`, or of `stored` itself if that is None."""
    return views.views(stored, reference=reference) if stored.ndim == 3 else views.colour_views(stored, 8, reference)


def encode_jpeg(
    radiograph: Radiograph, new_stored: np.ndarray, *, touched: bool, removed: np.ndarray | None = None
) -> tuple[bytes, tuple[str, ...]]:
    """The file's bytes with `new_stored`, of the shape of `radiograph.stored`, and notes; see the module's docstring.

    Args:
        removed: (1, H, W) bool, the removed pixels; None for those that change.
    """
    source: JpegSource = radiograph.source
    coded, notes = list(source.segments), source.notes
    if touched:
        mask = redaction.removed_pixels(radiograph.stored, new_stored, removed)
        try:
            coded = edited(radiograph.path, coded, new_stored[0], mask[0])
        except UnsuitedError as error:
            coded, notes = _encoded_again(radiograph, new_stored), (*notes, f"{AGAIN}{error}")
    return assembled(source.segments, coded, source.orientation), notes


def assembled(source: Sequence[tuple[int, bytes]], coded: Sequence[tuple[int, bytes]], orientation: int = 1) -> bytes:
    """A JPEG stream of `coded` with the JFIF segment of `source`, without its thumbnail, and an orientation."""
    return assemble(coded, jfif=_jfif(source), orientation=orientation)


def edited(path: Path, stream: Sequence[tuple[int, bytes]], new: np.ndarray, mask: np.ndarray) -> list[tuple[int, bytes]]:
    """The segments of a stream in which the blocks of removed pixels are rewritten.

    Args:
        path: for messages.  stream: its segments.
        new: (H, W) grey or (H, W, 3) RGB, 0 to 255; used where masked.  mask: (H, W) bool, the removed pixels.

    Raises:
        UnsuitedError: that cannot be done; the message says why.
    """
    adobe = _adobe(stream)
    written = redaction.redacted(assembled(stream, stream), new, mask)
    return [*([(0xEE, adobe)] if adobe else []), *redaction.of_kind(stream, segments(path, written))]


def _encoded_again(radiograph: Radiograph, new_stored: np.ndarray) -> list[tuple[int, bytes]]:
    """The segments of a stream of the new pixels, with the source's tables and subsampling."""
    source: JpegSource = radiograph.source
    buffer = io.BytesIO()
    tables = list(source.tables)
    while len(tables) > 1 and tables[-1] == tables[-2]:
        tables.pop()  # the encoder repeats the last one
    options: dict[str, Any] = {"qtables": tables, "progressive": source.progressive}
    if new_stored.ndim == 4:
        options |= {"subsampling": 0 if source.rgb else source.subsampling, "keep_rgb": source.rgb}
    Image.fromarray(np.ascontiguousarray(new_stored[0])).save(buffer, "JPEG", **options)
    return segments(radiograph.path, buffer.getvalue())


def verify_redacted(
    radiograph: Radiograph, new_stored: np.ndarray, output: Radiograph, removed: np.ndarray | None = None, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """Compare a touched output with its source: in its coefficients, or where a note says that it was encoded again, within the tolerance of
    `verify_jpeg`.

    Args:
        output: the file read back.  removed, notes: as given to, and returned by, `encode_jpeg`.

    Returns:
        What became of the coefficients, see `jpeg` in `audit.field_docs`.

    Raises:
        WriteError: see `check.compared` and `verify_jpeg`.
    """
    if any(note.startswith(AGAIN) for note in notes):
        verify_jpeg(radiograph, new_stored, output.stored)
        return {"coefficients": ENCODED_AGAIN}
    source, written = (assembled(file.source.segments, file.source.segments) for file in (radiograph, output))
    mask = redaction.removed_pixels(radiograph.stored, new_stored, removed)
    return row_of([check.compared(source, written, new_stored[0], mask[0], (radiograph.stored[0], output.stored[0]))], radiograph.path.name)


def row_of(comparisons: Sequence[check.Comparison], name: str) -> dict[str, Any]:
    """The fields of `jpeg` for frames that were edited.

    Raises:
        WriteError: one of them has a fault.
    """
    for comparison in comparisons:
        if comparison.fault:
            raise WriteError(f"{name}: {comparison.fault}")
    counts = {field: sum(getattr(comparison, field) for comparison in comparisons) for field in ("blocks", "rewritten", "around_px")}
    return {"coefficients": KEPT, **counts}


def verify_jpeg(radiograph: Radiograph, new_stored: np.ndarray, decoded: np.ndarray) -> None:
    """Compare the pixels decoded from an output that was encoded again with those that were to be written, within the tolerance of the
    quantisation tables.

    Raises:
        WriteError: the shapes differ, removed areas are not near black, or the remaining pixels differ too much.
    """
    name, source = radiograph.path.name, radiograph.source
    if decoded.shape != new_stored.shape:
        raise WriteError(f"{name}: the output has shape {decoded.shape}, needs {new_stored.shape}")
    error = np.abs(decoded.astype(np.int16) - new_stored)
    removed_mask = new_stored != radiograph.stored
    if error.ndim == 4:  # subsampled chroma bleeds over the edge, so colour is compared by its green channel, which is mostly brightness
        error, removed_mask = error[..., 1], removed_mask.any(axis=-1)
    steps = np.array(source.tables, np.float64)
    removed_error, limit = error[removed_mask], 32 if len(source.tables) == 1 else 64
    if removed_error.size and (removed_error.max() > limit + steps.max() / 2 or removed_error.mean() > limit / 4 + steps.mean() / 2):
        raise WriteError(f"{name}: removed areas are {removed_error.max()} grey levels from black in the output")
    if error.mean() > 2 + steps.mean() / 4:
        raise WriteError(f"{name}: the output differs by {error.mean():.1f} grey levels on average")


def segments(path: Path, data: bytes) -> list[tuple[int, bytes]]:
    """(marker, body) of every segment between SOI and EOI; the body of SOS includes its entropy-coded data.

    Raises:
        ReadError: the structure is broken or the end of image is missing.
    """
    return _segments(path, data)[0]


def _segments(path: Path, data: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """`segments`, and the offset of the first byte after the image."""
    file_segments: list[tuple[int, bytes]] = []
    try:
        for marker, body, coded, end in jpeg_markers.walk(data):
            if marker == jpeg_markers.EOI:
                return file_segments, end
            file_segments.append((marker, body + coded))
    except jpeg_markers.NoEndError as error:
        problem = f"is truncated, no end of image after {len(data)} bytes" if error.offset == len(data) else f"is truncated or damaged at byte {error.offset}"
        raise ReadError(f"{path.name}: {problem}") from None
    except jpeg_markers.NoSegmentError as error:
        problem = "is truncated or damaged at" if data[error.offset] == 0xFF else "is damaged, no JPEG marker at"
        raise ReadError(f"{path.name}: {problem} byte {error.offset}") from None
    raise AssertionError("the walk ends with the end of the image")


def assemble(coded: Sequence[tuple[int, bytes]], *, jfif: bytes = b"", orientation: int = 1) -> bytes:
    """A JPEG stream of the allowed segments of `coded`, with the given JFIF body and orientation."""
    parts = [SOI]
    if jfif:
        parts.append(_segment(0xE0, jfif))
    if orientation != 1:
        parts.append(_segment(0xE1, b"Exif\0\0" + orientation_block(orientation)))
    if adobe := _adobe(coded):
        parts.append(_segment(0xEE, adobe))
    for marker, body in coded:
        if marker == SOS:
            head = int.from_bytes(body[:1], "big") * 2 + 4
            parts.append(_segment(SOS, body[:head]) + body[head:])
        elif marker in FRAMES or marker in TABLES:
            parts.append(_segment(marker, body))
    return b"".join([*parts, EOI])


def shape_hw(file_segments: Iterable[tuple[int, bytes]]) -> tuple[int, int]:
    """Rows and columns of the frame; (0, 0) if there is none that is supported."""
    body = next((body for marker, body in file_segments if marker in FRAMES and len(body) > 5), bytes(5))
    return struct.unpack_from(">HH", body, 1)


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _check_frame(path: Path, file_segments: list[tuple[int, bytes]]) -> tuple[bool, bytes]:
    """Whether the one frame is progressive, and its component identifiers."""
    frames = [(m, b) for m, b in file_segments if 0xC0 <= m <= 0xCF and m not in (0xC4, 0xC8, 0xCC)]
    if len(frames) != 1 or len(frames[0][1]) < 6:
        raise ReadError(f"{path.name}: has {len(frames)} JPEG frames, needs exactly 1")
    marker, body = frames[0]
    precision, height, width, count = struct.unpack_from(">BHHB", body)
    if marker not in FRAMES or precision != 8:
        raise HeldError(f"{path.name}: this kind of JPEG (frame {marker:#x}, {precision} bits) is not supported")
    if count not in (1, 3):
        raise HeldError(f"{path.name}: JPEG with {count} components (CMYK?) is not supported")
    if not width or not height:
        raise ReadError(f"{path.name}: has size {width} x {height}, both must be at least 1")
    if width * height > MAX_PIXELS:
        raise HeldError(f"{path.name}: declares {width * height} pixels, allowed are {MAX_PIXELS}")
    if all(m != SOS for m, _ in file_segments) or len(body) < 6 + 3 * count:
        raise ReadError(f"{path.name}: is a JPEG without pixels")
    if width * height > PIXELS_A_BYTE * sum(len(b) for m, b in file_segments if m == SOS):  # before memory is allocated for them
        raise ReadError(f"{path.name}: is truncated, its scans are too short for {width} x {height} pixels")
    return FRAMES[marker], body[6 : 6 + 3 * count : 3]


def _is_rgb(file_segments: list[tuple[int, bytes]], components: bytes) -> bool:
    """Whether three components are RGB, not YCbCr, by libjpeg's rules."""
    if len(components) != 3 or _jfif(file_segments):
        return False
    adobe = _adobe(file_segments)
    return adobe[11] == 0 if adobe else components == b"RGB"


def _adobe(file_segments: Iterable[tuple[int, bytes]]) -> bytes:
    """The 12 bytes of Adobe's segment, the last of which is the colour transform; b"" if there is none."""
    bodies = (body for marker, body in file_segments if marker == 0xEE and body.startswith(b"Adobe"))
    return next((body[:12] for body in bodies if len(body) >= 12), b"")


def _jfif(file_segments: Iterable[tuple[int, bytes]]) -> bytes:
    """The file's JFIF body (version, density) without its thumbnail, b"" if there is none."""
    body = next((body for marker, body in file_segments if marker == 0xE0 and body.startswith(b"JFIF\0")), b"")
    return body[:12] + b"\0\0" if len(body) >= 12 else b""
