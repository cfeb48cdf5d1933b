"""TIFF files to `Radiograph` and back: one page, 8 or 16 bit grey or RGB, strips or tiles.

Read: uncompressed, LZW, Deflate, PackBits, and JPEG inside TIFF (8 bit). tifffile parses the directory; strips are
unpacked here, with libtiff (through Pillow) as a plain byte decoder for LZW and PackBits, so that every bit depth and
byte order is decoded as stored.

The output is always a new minimal TIFF. Untouched pixels keep their strips or tiles byte for byte, compressed as they
were, unless these may hold more than the pixels: rows or columns outside the image, or bytes after them (LZW data count
as such if libtiff would write them differently). In that case, and if touched, pixels are written uncompressed if they were
so, otherwise with Deflate, which every reader supports; pixels from JPEG inside TIFF are then stored losslessly. Only tags
that decoding, orientation and resolution need are written.

Segments are unpacked and the file is assembled by hand: tifffile and Pillow give pixels, but do not report how many bytes of a strip these
took, nor what lies outside strips and directory; for writing see `tiff_source`.
"""

from __future__ import annotations

import io
import logging
import math
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, TiffImagePlugin

from ..errors import HeldError, ReadError
from ..records import Radiograph
from . import jpeg, jpeg_scans, views
from .limits import MAX_PIXELS
from .tiff_source import (
    BLACK_IS_ZERO,
    DEFLATE,
    JPEG,
    KEPT,
    LZW,
    NONE,
    OLD_DEFLATE,
    ORIENTATION,
    PACKBITS,
    RGB,
    WHITE_IS_ZERO,
    YCBCR,
    TiffSource,
    _rows,
    _size,
    assemble,
)

EXPANSION = {NONE: 1, LZW: 4096, JPEG: 3 * jpeg.PIXELS_A_BYTE, DEFLATE: 1032, OLD_DEFLATE: 1032, PACKBITS: 64}
"""Maximum number of bytes of pixels that one stored byte expands to, by compression."""
_STRIP_BYTES = 1 << 18


def read_tiff(path: Path, data: bytes) -> Radiograph:
    """Decode one TIFF.

    Args:
        data: the file's bytes.

    Returns:
        A Radiograph with stored (1, H, W) or (1, H, W, C), uint8 or native uint16, as stored: white-is-zero stays so.

    Raises:
        ReadError: damaged or truncated.
        HeldError: several pages, transparency, too large, or a kind of TIFF that is not supported.
    """
    source = _source(path, data)
    pixels, hides = _decode(path, source)
    source, stored = replace(source, hides=hides), pixels[None]
    maximum = (1 << source.depth) - 1
    colours = 3 if source.photometric in (RGB, YCBCR) else 1
    if source.samples > colours and (stored[..., colours:] != maximum).any():
        raise HeldError(f"{path.name}: transparency hides pixels, or there is an extra channel")
    grey_views = views_tiff(source, stored)
    fill: tuple[int, ...] = (0, 0, 0) if colours == 3 else (maximum if source.photometric == WHITE_IS_ZERO else 0,)
    fill += (maximum,) * (source.samples - colours)
    return Radiograph(stored=stored, display=grey_views[0], fill=fill, path=path, format="TIFF", source=source, also=grey_views[1:])


def layout(path: Path, data: bytes) -> tuple[tuple[int, int], int, bool]:
    """(rows, columns), the orientation 1–8, and False, since programs do not agree to apply it, without decoding the pixels.

    Raises:
        ReadError, HeldError: as `read_tiff`.
    """
    source = _source(path, data)
    return source.shape_hw, orientation_of(source), False


def orientation_of(source: TiffSource) -> int:
    """The Orientation tag, 1–8; 1 where it is absent or out of range."""
    (value,) = source.kept.get(ORIENTATION, (1,))
    return value if 1 <= value <= 8 else 1


def _source(path: Path, data: bytes) -> TiffSource:
    logging.getLogger("tifffile").addFilter(_silence)  # its log lines can quote tags
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            return _parse(path, data, file)
    except (ReadError, HeldError):
        raise
    except Exception as exc:
        raise ReadError(f"{path.name}: is damaged or truncated, not a readable TIFF ({type(exc).__name__})") from exc
    finally:
        logging.getLogger("tifffile").removeFilter(_silence)


def views_tiff(source: TiffSource, stored: np.ndarray, reference: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """The uint8 views of stored pixels (1, H, W) or (1, H, W, C), with the tables of `reference`, or of `stored` itself if that is None."""
    basis = stored if reference is None else reference
    if source.photometric in (RGB, YCBCR):
        return views.colour_views(stored[..., :3], source.depth, basis[..., :3])
    grey, basis = (np.ascontiguousarray(pixels[..., 0]) if source.samples > 1 else pixels for pixels in (stored, basis))
    return views.views(grey, invert=source.photometric == WHITE_IS_ZERO, reference=basis)


def encode_tiff(radiograph: Radiograph, new_stored: np.ndarray, *, touched: bool) -> bytes:
    """The file's bytes with `new_stored`, of the shape of `radiograph.stored`; see the module's docstring."""
    source: TiffSource = radiograph.source
    if touched or source.hides:
        return _encode_new(new_stored[0], source, _tags(source))
    return _as_stored(source)


def _tags(source: TiffSource) -> dict[int, tuple[str, tuple[int, ...]]]:
    """The tags, as `tiff_source.assemble` takes them, that new and stored segments share."""
    tags: dict[int, tuple[str, tuple[int, ...]]] = {
        256: ("I", (source.shape_hw[1],)),
        257: ("I", (source.shape_hw[0],)),
        258: ("H", (source.depth,) * source.samples),
        259: ("H", (source.compression,)),
        262: ("H", (source.photometric,)),
        277: ("H", (source.samples,)),
        284: ("H", (1,)),
        **{tag: (KEPT[tag], values) for tag, values in source.kept.items()},
    }
    if source.extra:
        tags[338] = ("H", source.extra)
    return tags


def _as_stored(source: TiffSource) -> bytes:
    """A TIFF with the segments of the source, byte for byte."""
    tags = _tags(source)
    if source.predictor != 1:
        tags[317] = ("H", (source.predictor,))
    if source.compression == JPEG:
        if source.tables:
            tags[347] = ("b", tuple(source.tables))
        for tag, kind, values in ((530, "H", source.ycbcr[0]), (532, "II", source.ycbcr[1])):
            if values:
                tags[tag] = (kind, values)
    rows, columns = source.segment_hw
    if source.tiled:
        tags.update({322: ("I", (columns,)), 323: ("I", (rows,))})
    else:
        tags[278] = ("I", (rows,))
    return assemble(source.order, tags, source.segments, tiled=source.tiled)


def _silence(record: logging.LogRecord) -> bool:
    return False


def _parse(path: Path, data: bytes, file: tifffile.TiffFile) -> TiffSource:
    if len(file.pages) != 1:
        raise HeldError(f"{path.name}: has {len(file.pages)} pages; only single images are supported")
    page = file.pages.first
    if page.subifds:
        raise HeldError(f"{path.name}: holds further pictures (SubIFDs); only single images are supported")
    height, width, samples = page.imagelength, page.imagewidth, page.samplesperpixel
    if height < 1 or width < 1:
        raise ReadError(f"{path.name}: has size {width} x {height}, both must be at least 1")
    if height * width > MAX_PIXELS:
        raise HeldError(f"{path.name}: declares {height * width} pixels, allowed are {MAX_PIXELS}")
    _hold_unsupported(path, page, samples)
    tiled = bool(page.is_tiled)
    rows = page.tilelength if tiled else min(page.rowsperstrip or height, height)
    columns = page.tilewidth if tiled else width
    segment_count = math.ceil(height / rows) * (math.ceil(width / columns) if tiled else 1)
    if len(page.dataoffsets) != segment_count or len(page.databytecounts) != segment_count:
        raise ReadError(f"{path.name}: has {len(page.dataoffsets)} strips or tiles, its size needs {segment_count}")
    source = TiffSource(
        order=file.byteorder,
        shape_hw=(height, width),
        depth=_depth(page),
        samples=samples,
        photometric=int(page.photometric),
        compression=int(page.compression),
        predictor=int(page.predictor),
        tiled=tiled,
        segment_hw=(rows, columns),
        segments=tuple(_segment(path, data, o, n) for o, n in zip(page.dataoffsets, page.databytecounts)),
        extra=tuple(int(e) for e in page.extrasamples),
        kept={tag: v for tag in KEPT if (v := _values(page, tag, KEPT[tag]))},
        tables=_tables(path, page.jpegtables or b""),
        ycbcr=(_values(page, 530, "HH"), _values(page, 532, "II" * 6)),
    )
    return _trim(path, source)


def _depth(page: tifffile.TiffPage) -> int:
    bits = page.bitspersample
    return int(bits[0] if isinstance(bits, tuple) and len(set(bits)) == 1 else bits if isinstance(bits, int) else 0)


def _hold_unsupported(path: Path, page: tifffile.TiffPage, samples: int) -> None:
    compression, photometric = int(page.compression), int(page.photometric)
    if compression not in (NONE, LZW, JPEG, DEFLATE, PACKBITS, OLD_DEFLATE):
        raise HeldError(f"{path.name}: TIFF compression {compression} is not supported")
    colours = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, YCBCR: 3}.get(photometric, 0)
    if not colours or samples not in (colours, colours + 1) or (photometric == YCBCR and compression != JPEG):
        raise HeldError(f"{path.name}: TIFF photometric {photometric} with {samples} samples is not supported")
    jpeg_wrong = compression == JPEG and (_depth(page) != 8 or samples != colours or photometric == WHITE_IS_ZERO)
    sample_format = page.sampleformat if isinstance(page.sampleformat, tuple) else (page.sampleformat,)
    if _depth(page) not in (8, 16) or jpeg_wrong or any(int(f) != 1 for f in sample_format):
        raise HeldError(f"{path.name}: TIFF samples of this depth or format are not supported (8 or 16 bit unsigned are)")
    if samples > 1 and int(page.planarconfig) != 1:
        raise HeldError(f"{path.name}: TIFF with separate colour planes is not supported")
    if int(page.predictor) not in (1, 2) or int(page.fillorder) != 1:
        raise HeldError(f"{path.name}: TIFF predictor {int(page.predictor)} or its bit order is not supported")


def _segment(path: Path, data: bytes, offset: int, count: int) -> bytes:
    if offset + count > len(data) or not count:
        raise ReadError(f"{path.name}: is truncated, a strip or tile ends behind byte {len(data)}")
    return data[offset : offset + count]


def _values(page: tifffile.TiffPage, tag: int, kind: str) -> tuple[int, ...]:
    """The integers of a tag if it has as many as `kind`, otherwise ()."""
    entry = page.tags.get(tag)
    if entry is None:
        return ()
    values = entry.value if isinstance(entry.value, tuple) else (entry.value,)
    maximum = 0xFFFF if kind[0] == "H" else 0xFFFFFFFF
    fits = len(values) == len(kind) and all(isinstance(v, int) and 0 <= v <= maximum for v in values)
    return tuple(int(v) for v in values) if fits else ()


def _tables(path: Path, tables: bytes) -> bytes:
    """Shared JPEG tables, without segments that are not tables."""
    return jpeg.assemble(jpeg.segments(path, tables)) if tables else b""


def _trim(path: Path, source: TiffSource) -> TiffSource:
    """The source without bytes after the pixels of its segments, where these can be found without decoding."""
    parts = []
    for index, part in enumerate(source.segments):
        if source.compression == NONE:
            part = part[: _size(source, index)]
        elif source.compression == JPEG:
            part = jpeg.assemble(jpeg.segments(path, part))
        parts.append(part)
    return replace(source, segments=tuple(parts))


def _decode(path: Path, source: TiffSource) -> tuple[np.ndarray, bool]:
    """Samples (H, W) or (H, W, C), uint8 or native uint16, and whether the segments hold more than these.

    Raises:
        ReadError: damaged or truncated.
    """
    height, width = source.shape_hw
    size = sum(map(len, source.segments))
    if height * width * source.samples * source.depth // 8 > EXPANSION[source.compression] * size:  # before memory is allocated
        raise ReadError(f"{path.name}: is damaged or truncated, its {size} stored bytes cannot hold its pixels")
    try:
        if source.compression == JPEG:
            file_bytes = _as_stored(replace(source, kept={}))  # Pillow would turn the pixels as the orientation says
            pixels = np.asarray(TiffImagePlugin.TiffImageFile(io.BytesIO(file_bytes)))
            if pixels.shape[:2] != (height, width) or pixels.dtype != np.uint8:
                raise ValueError(f"shape {pixels.shape}")
            return pixels, _jpeg_hides(path, source)
        parts, hides = _unpack(source)
    except (ValueError, OSError, zlib.error, SyntaxError) as exc:
        raise ReadError(f"{path.name}: is damaged or truncated, its pixels cannot be decoded ({type(exc).__name__})") from exc
    rows, columns = source.segment_hw
    across = math.ceil(width / columns)
    out = np.empty((height, width, source.samples), np.dtype(f"u{source.depth // 8}"))
    for index, part in enumerate(parts):
        block = np.frombuffer(part, f"{source.order}u{source.depth // 8}", count=len(part) * 8 // source.depth)
        block = block.reshape(-1, columns, source.samples)
        if source.predictor == 2:
            block = np.cumsum(block, axis=1, dtype=out.dtype)
        y, x = index // across * rows, index % across * columns
        cut = block[: height - y, : width - x]
        out[y : y + rows, x : x + columns] = cut
        hides |= any((rest != rest[:1, :1]).any() for rest in (block[height - y :], block[:, width - x :]))
    return out[..., 0] if source.samples == 1 else out, hides


def _jpeg_hides(path: Path, source: TiffSource) -> bool:
    """Whether JPEG segments hold more than their pixels; tiles that extend over the edge count as such.

    Raises:
        ReadError: a segment ends before its pixels do.
    """
    if source.tiled and any(size % tile for size, tile in zip(source.shape_hw, source.segment_hw)):
        return True
    tables = jpeg.segments(path, source.tables) if source.tables else []
    for index, part in enumerate(source.segments):
        file_segments = [*tables, *jpeg.segments(path, part)]
        if jpeg.shape_hw(file_segments) != (_rows(source, index), source.segment_hw[1]):
            return True
        try:
            if jpeg_scans.trim(path, file_segments) != file_segments:
                return True
        except HeldError:
            return True
    return False


def _unpack(source: TiffSource) -> tuple[list[bytes], bool]:
    """Every segment uncompressed, exactly as long as its rows need, and whether one holds more than that.

    Raises:
        ValueError: a segment is too short.
    """
    parts, hides = [], False
    if source.compression == NONE:
        parts = list(source.segments)
    elif source.compression in (DEFLATE, OLD_DEFLATE):
        for index, segment in enumerate(source.segments):
            inflate = zlib.decompressobj()
            parts.append(inflate.decompress(segment, _size(source, index)))
            hides |= bool(inflate.decompress(inflate.unconsumed_tail, 1) or inflate.unused_data or not inflate.eof)
    else:
        sizes = [_rows(source, i) for i in range(len(source.segments))]
        byte_rows, ends = _libtiff(source, source.segments, sum(sizes)), np.cumsum(sizes)
        parts = [byte_rows[end - size : end].tobytes() for size, end in zip(sizes, ends)]
        hides = _lzw_differs(source, byte_rows) if source.compression == LZW else _packbits_hides(source, byte_rows, ends)
    if any(len(part) < _size(source, i) for i, part in enumerate(parts)):
        raise ValueError("a strip or tile is too short")
    return parts, hides


def _libtiff(source: TiffSource, segments: tuple[bytes, ...], rows: int) -> np.ndarray:
    """Unpack LZW and PackBits segments with `rows` rows in all to (rows, row_bytes) uint8: libtiff gets them as strips of an 8-bit grey image.

    Raises:
        ValueError, OSError: the segments do not decode to so many rows.
    """
    tags: dict[int, tuple[str, tuple[int, ...]]] = {256: ("I", (source.row_bytes,)), 257: ("I", (rows,)), 258: ("H", (8,)), 277: ("H", (1,))}
    tags |= {259: ("H", (source.compression,)), 262: ("H", (1,)), 278: ("I", (source.segment_hw[0],)), 284: ("H", (1,))}
    image = TiffImagePlugin.TiffImageFile(io.BytesIO(assemble("<", tags, segments)))
    byte_rows = np.asarray(image)
    if byte_rows.shape != (rows, source.row_bytes):
        raise ValueError(f"shape {byte_rows.shape}")
    return byte_rows


def _lzw_differs(source: TiffSource, byte_rows: np.ndarray) -> bool:
    """Whether the segments differ from what libtiff writes for their bytes, so that they may hold more. Other encoders differ as well, but
    asking libtiff for more rows than there are would print its warnings on the terminal for every sound file."""
    buffer = io.BytesIO()
    Image.fromarray(byte_rows).save(buffer, "TIFF", compression="tiff_lzw", tiffinfo={278: source.segment_hw[0]})
    data = buffer.getvalue()
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        segments = tuple(data[offset : offset + size] for offset, size in zip(page.dataoffsets, page.databytecounts))
    return segments != source.segments


def _packbits_hides(source: TiffSource, byte_rows: np.ndarray, ends: np.ndarray) -> bool:
    """Whether the last byte of a segment changes no pixel; PackBits has no end code, so without surplus data it does."""
    flipped = tuple(part[:-1] + bytes([part[-1] ^ 0xFF]) for part in source.segments)
    changed = (_libtiff(source, flipped, len(byte_rows)) != byte_rows).any(axis=1)
    return not np.logical_or.reduceat(changed, [0, *ends[:-1]]).all()


def _encode_new(pixels: np.ndarray, source: TiffSource, tags: dict[int, tuple[str, tuple[int, ...]]]) -> bytes:
    """A TIFF of new pixels (H, W) or (H, W, C) in strips: uncompressed if the source was, otherwise with horizontal differencing and Deflate."""
    height, width = source.shape_hw
    rows = max(1, min(height, _STRIP_BYTES // max(1, width * source.samples * source.depth // 8)))
    samples = pixels.reshape(height, width, source.samples)
    stored_type = f"{source.order}u{source.depth // 8}"
    tags = {**tags, 278: ("I", (rows,)), 262: ("H", (RGB if source.photometric == YCBCR else source.photometric,))}
    if source.compression == NONE:
        words = samples.astype(stored_type)
        parts = tuple(words[y : y + rows].tobytes() for y in range(0, height, rows))
        return assemble(source.order, tags, parts)
    steps = samples.copy()
    steps[:, 1:] -= samples[:, :-1]
    steps = steps.astype(stored_type)
    tags |= {259: ("H", (DEFLATE,)), 317: ("H", (2,))}
    parts = tuple(zlib.compress(steps[y : y + rows].tobytes(), 1) for y in range(0, height, rows))
    return assemble(source.order, tags, parts)
