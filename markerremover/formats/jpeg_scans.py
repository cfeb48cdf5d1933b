"""Whether a JPEG's scans hold the declared image: all of it, once, and nothing after it.

Most files are answered by a library: jpegio reads the coefficients and codes them again, and since libjpeg has one way to do so, a file of such an
encoder comes out byte for byte (`_rebuilt`). What a scan holds beyond that is surplus and is cut off; a scan that is too short, or coded
otherwise, does not begin with these bytes.

The others are walked. libjpeg decodes the declared blocks and reports neither how many bytes those took nor that the data ran out. Both can be
seen in the pixels: bytes appended to complete data change nothing, and a byte that the decoder reads changes pixels when
its bits are flipped. Unread bytes are cut off, which is lossless. The decoder does the work, so a radiograph takes a few
decodings and no loop over its bits.

The decoded stream differs from the file where the file would conceal a flipped bit: the frame's size is raised to whole
blocks, since the last bytes often encode pixels outside the image; unassigned Huffman codes, which libjpeg takes for
zero, get a symbol; colours are not converted; and if nothing changes even so, smaller quantisation steps keep black from
saturating.

Alternatives: Pillow and OpenCV decode a truncated scan and one with surplus bytes without an error (libjpeg at most warns on standard
error), and neither reports where the decoder stopped.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import JpegImagePlugin

from ..errors import HeldError, ReadError
from . import jpeg_markers
from .coefficients.blocks import PADDING_LEVELS, hidden_at_edge, hidden_beyond_edge
from .coefficients.stream import UnsuitedError, rebuilt

SOI, EOI, SOS, DHT, DQT, DRI = b"\xff\xd8", b"\xff\xd9", 0xDA, 0xC4, 0xDB, 0xDD
FRAMES = {0xC0: False, 0xC1: False, 0xC2: True}
"""Supported frame markers, and whether they are progressive."""
TABLES = (DHT, DQT, DRI)
"""Markers of the segments that decoding needs besides frame and scans. DNL is not among them: the frame states its height."""
INVISIBLE_BYTES = 8
"""Maximum number of bytes at the end of a scan that may be read without changing a pixel, as the length of a last run of empty
blocks; a progressive scan is full of such runs."""
OUTSIDE = "{name}: a JPEG with a picture outside of its declared size is not supported"
_FILLING_SYMBOL = 0x05
"""Huffman symbol for unassigned codes: five bits of a DC difference, or of the next AC coefficient, which changes pixels visibly."""
_TAIL = bytes(np.random.default_rng(0).integers(0, 255, 64, np.uint8))
_RESTART = re.compile(rb"\xff+([\xd0-\xd7])")

Segments = Sequence[tuple[int, bytes]]


@dataclass(frozen=True)
class _Frame:
    """The one frame.  index: its position among the segments.  factors: component → (horizontal, vertical) sampling."""

    index: int
    progressive: bool
    shape_hw: tuple[int, int]
    factors: dict[int, tuple[int, int]]

    @property
    def rgb(self) -> bool:
        """Whether the decoder takes the components for RGB when the stream has neither JFIF's nor Adobe's segment."""
        return bytes(self.factors) == b"RGB"

    @property
    def most(self) -> tuple[int, int]:
        """Greatest horizontal and vertical sampling."""
        return max(h for h, _ in self.factors.values()), max(v for _, v in self.factors.values())


@dataclass(frozen=True)
class _Scan:
    """One scan.  index: its position among the segments.  restart: units per interval, 0 for all.  parts: its intervals.

    unit_hw: rows and columns of the image that one coded unit covers.  units: how many units the image needs.
    """

    index: int
    head: bytes
    components: tuple[int, ...]
    restart: int
    parts: tuple[bytes, ...]
    unit_hw: tuple[int, int]
    units: int


def trim(path: Path, source: Segments) -> list[tuple[int, bytes]]:
    """The segments of one JPEG with each scan cut after the last byte that its image needs.

    Args:
        path: for messages; the file is not read.
        source: (marker, body) with exactly one frame of a supported kind that has a size.

    Returns:
        A new list of as many segments.

    Raises:
        ReadError: damaged, or the scans end before the image does.
        HeldError: scans replace each other, surplus data cannot be separated, or the blocks at the edge hold an image outside the declared size.
    """
    frame = _frame(path, source)
    scans = [_scan(path, source, index, frame) for index, (marker, _) in enumerate(source) if marker == SOS]
    _check_script(path, frame, scans)
    if (parts := _rebuilt(path, source, frame, scans)) is not None:
        scans = [_with(scan, scan_parts) for scan, scan_parts in zip(scans, parts)]
        return _replaced(source, scans)
    filled_segments = [(DHT, _completed(path, body)) if marker == DHT else (marker, body) for marker, body in source]
    base, step = _decode(path, filled_segments, frame, scans)
    longer = [_with(scan, [part + _TAIL for part in scan.parts]) for scan in scans]
    if not np.array_equal(_decode(path, filled_segments, frame, longer)[0], base):
        raise ReadError(f"{path.name}: is truncated, its JPEG data ends before its pixels do")
    for scan_number in range(len(scans)):
        scans[scan_number] = _cut(path, filled_segments, frame, scans, scan_number, base)
    brightness = base if base.ndim == 2 else base[..., 1 if frame.rgb else 0]
    _check_padding(path, brightness, frame.shape_hw, PADDING_LEVELS + step / 2)
    return _replaced(source, scans)


def _replaced(source: Segments, scans: Sequence[_Scan]) -> list[tuple[int, bytes]]:
    out = list(source)
    for scan in scans:
        out[scan.index] = (SOS, _body(scan))
    return out


def _rebuilt(path: Path, source: Segments, frame: _Frame, scans: Sequence[_Scan]) -> list[tuple[bytes, ...]] | None:
    """The intervals of each scan as libjpeg codes the image, if those of the file begin with exactly these bytes: then they hold all of the image, and
    what follows is surplus. None if the file was coded otherwise, which is no fault.

    Raises:
        HeldError: see `_check_padding`.
    """
    try:
        stream, planes, tables = rebuilt(_stream(source, frame.index, source[frame.index][1], {}))
    except UnsuitedError:
        return None
    segments = [(marker, body + coded) for marker, body, coded, _ in jpeg_markers.walk(stream) if marker in (SOS, DHT)]
    bodies = [body for marker, body in segments if marker == SOS]
    bright = 1 if frame.rgb else 0
    if len(bodies) != len(scans) or list(frame.factors.values())[bright] != frame.most:
        return None
    if frame.progressive and _codes(segments) != _codes(source):
        return None
    found = []
    for scan, body in zip(scans, bodies):
        parts = tuple(part.rstrip(b"\xff") for part in _RESTART.split(body[len(scan.head) :])[::2])
        if not body.startswith(scan.head) or len(parts) != len(scan.parts) or not all(map(bytes.startswith, scan.parts, parts)):
            return None
        found.append(parts)
    if hidden_at_edge(planes[bright], tables[bright], frame.shape_hw):
        raise HeldError(OUTSIDE.format(name=path.name))
    return found


def _codes(segments: Segments) -> list[bytes]:
    """The Huffman tables before each scan."""
    found: list[bytes] = []
    gathered = b""
    for marker, body in segments:
        gathered += body if marker == DHT else b""
        if marker == SOS:
            found, gathered = [*found, gathered], b""
    return found


def _frame(path: Path, segments: Segments) -> _Frame:
    index = next(i for i, (marker, _) in enumerate(segments) if marker in FRAMES)
    marker, body = segments[index]
    _, height, width, count = struct.unpack_from(">BHHB", body)
    layers = [body[6 + 3 * i : 9 + 3 * i] for i in range(count)]
    factors = {layer[0]: (layer[1] >> 4, layer[1] & 15) for layer in layers}
    frame = _Frame(index, FRAMES[marker], (height, width), factors)
    if len(factors) != count or not all(1 <= f <= 4 for pair in factors.values() for f in pair):
        raise ReadError(f"{path.name}: is damaged, its JPEG components make no sense")
    if any(frame.most[0] % h or frame.most[1] % v for h, v in factors.values()):
        raise HeldError(f"{path.name}: a JPEG with colours sampled in these proportions is not supported")
    return frame


def _scan(path: Path, segments: Segments, index: int, frame: _Frame) -> _Scan:
    body = segments[index][1]
    size = 2 * body[0] + 4
    head, components = body[:size], tuple(body[1 : size - 3 : 2])
    if len(head) < size or not components or set(components) - set(frame.factors):
        raise ReadError(f"{path.name}: is damaged, a JPEG scan has a broken head")
    intervals = [b for marker, b in segments[:index] if marker == DRI]
    restart = int.from_bytes(intervals[-1][:2], "big") if intervals else 0
    (most_h, most_v), (height, width) = frame.most, frame.shape_hw
    if len(components) > 1:
        unit = 8 * most_v, 8 * most_h
    else:
        h, v = frame.factors[components[0]]
        unit = 8 * most_v // v, 8 * most_h // h
    units = -(-height // unit[0]) * -(-width // unit[1])
    pieces = _RESTART.split(body[size:])
    parts, numbers = pieces[::2], [number[0] & 7 for number in pieces[1::2]]
    interval_count = -(-units // restart) if restart else 1
    if len(parts) < interval_count or numbers[: interval_count - 1] != [i % 8 for i in range(interval_count - 1)]:
        raise ReadError(f"{path.name}: is truncated or damaged, its JPEG restart markers do not fit its size")
    interval_data = tuple(part.rstrip(b"\xff") for part in parts[:interval_count])  # a last 0xFF is filling: as data it would be stuffed
    return _Scan(index, head, components, restart, interval_data, unit, units)


def _check_script(path: Path, frame: _Frame, scans: list[_Scan]) -> None:
    """Check that every coefficient is coded exactly once, or in a progressive file bit by bit down to the last.

    Raises:
        ReadError: scans are missing.
        HeldError: a scan replaces an earlier one.
    """
    depths: dict[tuple[int, int], int] = {}
    for scan in scans:
        band_start, band_end, bits = scan.head[-3:] if frame.progressive else (0, 63, 0)
        high, low = bits >> 4, bits & 15
        for key in ((c, k) for c in scan.components for k in range(band_start, band_end + 1)):
            if depths.get(key, 0) != high or (key in depths) != (high > 0) or (high and low != high - 1):
                raise HeldError(f"{path.name}: a JPEG scan replaces an earlier one, which could hide a picture")
            depths[key] = low
    if any(depths.get((c, k)) != 0 for c in frame.factors for k in range(64)):
        raise ReadError(f"{path.name}: is truncated, scans of its JPEG are missing")


def _with(scan: _Scan, parts: Sequence[bytes]) -> _Scan:
    return replace(scan, parts=tuple(parts))


def _body(scan: _Scan) -> bytes:
    marked = (bytes([0xFF, 0xD0 + i % 8]) + part for i, part in enumerate(scan.parts[1:]))
    return b"".join([scan.head, *scan.parts[:1], *marked])


def _completed(path: Path, body: bytes) -> bytes:
    """Huffman tables in which unassigned codes, except the one of 16 ones, decode to `_FILLING_SYMBOL`. Whether the tables make sense
    is left to the decoder, which checks only those that it uses.

    Raises:
        ReadError: a table is truncated.
    """
    tables, position = [], 0
    while position < len(body):
        counts = list(body[position + 1 : position + 17])
        symbols = body[position + 17 : position + 17 + sum(counts)]
        if len(counts) < 16 or len(symbols) < sum(counts):
            raise ReadError(f"{path.name}: is damaged, a Huffman table of its JPEG is broken")
        longest = max((i + 1 for i, count in enumerate(counts) if count), default=17)
        free = (1 << longest) - sum(count << (longest - 1 - i) for i, count in enumerate(counts) if count)
        filled = bytearray(symbols)
        for length in range(longest, 17):
            filler_count = max(0, min(free - 1, 256 - len(filled), 255 - counts[length - 1]))  # ones alone may be no code
            counts[length - 1] += filler_count
            filled += bytes([_FILLING_SYMBOL]) * filler_count
            free = 2 * (free - filler_count)
        tables.append(body[position : position + 1] + bytes(counts) + filled)
        position += 17 + len(symbols)
    return b"".join(tables)


def _finer(body: bytes) -> bytes:
    """Quantisation tables with a quarter of their steps."""
    out, position = bytearray(body), 0
    while position < len(body):
        wide = body[position] >> 4
        for i in range(position + 1, min(position + 1 + 64 * (wide + 1), len(body) - wide), wide + 1):
            out[i : i + wide + 1] = max(1, int.from_bytes(body[i : i + wide + 1], "big") // 4).to_bytes(wide + 1, "big")
        position += 1 + 64 * (wide + 1)
    return bytes(out)


def _decode(path: Path, segments: Segments, frame: _Frame, scans: list[_Scan]) -> tuple[np.ndarray, int]:
    """Samples with the size raised to whole units, and the greatest quantisation step."""
    unit_hw = max(s.unit_hw[0] for s in scans), max(s.unit_hw[1] for s in scans)
    if any(len(s.components) == 1 for s in scans):  # a scan of a single component is coded without padding blocks
        unit_hw = 8, 8
    padded_hw = [-(-size // unit) * unit for size, unit in zip(frame.shape_hw, unit_hw)]
    body = segments[frame.index][1]
    stream = _stream(segments, frame.index, body[:1] + struct.pack(">HH", *padded_hw) + body[5:], {scan.index: _body(scan) for scan in scans})
    try:
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(stream))
        if image.mode == "RGB" and not frame.rgb:
            image.draft("YCbCr", None)
        image.load()
        return np.asarray(image), max(max(table) for table in image.quantization.values())
    except Exception as exc:
        raise ReadError(f"{path.name}: is damaged or truncated, its pixels cannot be decoded ({type(exc).__name__})") from exc


def _stream(segments: Segments, frame_index: int, frame_body: bytes, scans: dict[int, bytes]) -> bytes:
    """A stream of frame, scans and tables.

    Args:
        frame_body: in place of that at `frame_index`.  scans: bodies in place of those of the segments, by index.
    """
    out = [SOI]
    for index, (marker, body) in enumerate(segments):
        if marker == SOS:
            body = scans.get(index, body)
            out += [struct.pack(">BBH", 0xFF, SOS, 2 * body[0] + 6), body]
        elif marker in FRAMES or marker in TABLES:
            body = frame_body if index == frame_index else body
            out += [struct.pack(">BBH", 0xFF, marker, len(body) + 2), body]
    return b"".join([*out, EOI])


def _cut(path: Path, source_segments: Segments, frame: _Frame, scans: list[_Scan], index: int, base: np.ndarray) -> _Scan:
    """One scan with each interval cut to the shortest length that decodes to the same pixels.

    Raises:
        HeldError: surplus data cannot be separated from the pixels' data.
    """
    scan = scans[index]
    if frame.progressive and scan.head[-3] == 0 and scan.head[-1] >> 4:
        return _cut_bits(frame, scan)
    slack = INVISIBLE_BYTES if frame.progressive else 0

    finer = [(DQT, _finer(body)) if marker == DQT else (marker, body) for marker, body in source_segments]
    finer_base: list[np.ndarray] = []  # decoded when first needed

    def decoded(parts: Sequence[bytes], segments: Segments = source_segments) -> np.ndarray:
        return _decode(path, segments, frame, [*scans[:index], _with(scan, parts), *scans[index + 1 :]])[0]

    def flipped(ends: np.ndarray, bits: int, tail: bytes = b"") -> list[bytes]:
        return [part if end < 0 else _flipped(part, end, bits) + tail for part, end in zip(scan.parts, ends)]

    def unread(ends: np.ndarray) -> np.ndarray:
        """(intervals,) bool: whether the byte at `ends` changes no pixel; -1 leaves an interval as it is."""
        free = ~_changed(base, decoded(flipped(ends, 0xFF)), frame, scan)
        if free.any():  # flipped bits may decode to the same by chance; other bits with different data after them hardly do
            finer_base[:] = finer_base or [decoded(scan.parts, finer)]
            free &= ~_changed(finer_base[0], decoded(flipped(ends, 0x80, _TAIL), finer), frame, scan)
        return free

    high = np.array([len(part) - 1 - slack for part in scan.parts])
    suspects = (high >= 0) & unread(high)
    if not suspects.any():
        return scan
    low, high = np.full(len(high), -1), np.where(suspects, high, 0)
    while (high - low > 1).any():
        middle = np.where(high - low > 1, (low + high) // 2, -1)
        free = unread(middle)
        high, low = np.where((middle >= 0) & free, middle, high), np.where((middle >= 0) & ~free, middle, low)
    for margin in range(INVISIBLE_BYTES + 1):
        parts = [part[: _start(part, end + margin)] if cut else part for part, end, cut in zip(scan.parts, high, suspects)]
        if all(np.array_equal(decoded([part + tail for part in parts]), base) for tail in (b"", _TAIL)):
            return _with(scan, parts)
    raise HeldError(f"{path.name}: its JPEG data holds more than its pixels, and the rest cannot be told apart")


def _cut_bits(frame: _Frame, scan: _Scan) -> _Scan:
    """A refinement scan of the DC coefficients, one bit a block, whose changes would show least: its length is computed."""
    blocks = sum(h * v for h, v in (frame.factors[c] for c in scan.components)) if len(scan.components) > 1 else 1
    parts = []
    for i, part in enumerate(scan.parts):
        units = min(scan.restart or scan.units, scan.units - i * scan.restart)
        data = part.replace(b"\xff\0", b"\xff")[: -(-units * blocks // 8)]
        parts.append(data.replace(b"\xff", b"\xff\0"))
    return _with(scan, parts)


def _start(part: bytes, offset: int) -> int:
    """Start of the entropy-coded byte at `offset`: one earlier if that is the zero stuffed after 0xFF."""
    return offset - 1 if part[offset : offset + 1] == b"\0" and part[offset - 1 : offset] == b"\xff" else offset


def _flipped(part: bytes, offset: int, bits: int) -> bytes:
    """An interval that ends with the byte at `offset`, with some of its bits flipped: always the first, which is read if
    any bit of the byte is."""
    offset = _start(part, offset)
    byte = bytes([part[offset] ^ bits])
    return part[:offset] + byte + (b"\0" if byte == b"\xff" else b"")


def _changed(base: np.ndarray, other: np.ndarray, frame: _Frame, scan: _Scan) -> np.ndarray:
    """(intervals,) bool: whether the pixels of each interval of a scan differ between two decodings (H, W) or (H, W, C)."""
    differences = base != other if base.ndim == 2 else (base != other).any(axis=-1)
    if len(scan.parts) == 1:
        return np.array([differences.any()])
    rows, columns = scan.unit_hw
    differences = np.pad(differences, ((0, -differences.shape[0] % rows), (0, -differences.shape[1] % columns)))
    blocks = differences.reshape(differences.shape[0] // rows, rows, -1, columns)
    if frame.most != (1, 1):
        blocks = blocks[:, 1:-1, :, 1:-1]  # colour that is sampled coarsely bleeds one pixel into the next unit
    flags = blocks.any(axis=(1, 3)).ravel()
    return np.logical_or.reduceat(flags[: scan.units], np.arange(0, scan.units, scan.restart))


def _check_padding(path: Path, base: np.ndarray, shape_hw: tuple[int, int], limit: float) -> None:
    """Raises HeldError for an image whose blocks outside the declared size hold a picture, see `blocks.hidden_beyond_edge`."""
    if hidden_beyond_edge(base, shape_hw, limit):
        raise HeldError(OUTSIDE.format(name=path.name))
