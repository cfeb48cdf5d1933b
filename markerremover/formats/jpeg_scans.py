"""Whether a JPEG's scans hold the declared picture: all of it, once, and nothing behind it.

libjpeg decodes the declared blocks and neither says how many bytes those took nor complains if they ran out. Both show
in the pixels: bytes put in front of an end change nothing if everything was there, and a byte that is read changes
them when its bits are flipped. What is not read is cut off, which is lossless. The decoder does the work, so that a
radiograph takes a few decodings and no loop over its bits.

What is decoded for that differs from the file in what would conceal a flipped bit: the frame's size is raised to whole
blocks, since the last bytes often code what lies outside; codes that no symbol has, which libjpeg takes for zero, get
one; colours are not converted; and where still nothing shows, smaller quantisation steps keep black from saturating.

Pillow and OpenCV were looked at: both decode a scan that is cut short and one with bytes to spare without an error (libjpeg warns on
standard error at best), and neither gives the place that the decoder came to.
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

SOI, EOI, SOS, DHT, DQT, DRI = b"\xff\xd8", b"\xff\xd9", 0xDA, 0xC4, 0xDB, 0xDD
FRAMES = {0xC0: False, 0xC1: False, 0xC2: True}
"""Supported frame markers, and whether they are progressive."""
TABLES = (DHT, DQT, DRI)
"""DHT, DQT and DRI: what decoding needs beside frame and scans. DNL is not among them: the frame has its height."""
INVISIBLE_BYTES = 8
"""Bytes at the end of a scan that may be read and yet not show, as the length of a last run of empty blocks; a progressive
scan is full of such runs."""
PADDING_LEVELS = 64
"""Grey levels, besides half a quantisation step, by which ringing may move pixels outside the picture."""
_FILLING_SYMBOL = 0x05
"""Five bits of a DC difference, or of the next AC coefficient: plainly visible."""
_TAIL = bytes(np.random.default_rng(0).integers(0, 255, 64, np.uint8))
_RESTART = re.compile(rb"\xff+([\xd0-\xd7])")

Segments = Sequence[tuple[int, bytes]]


@dataclass(frozen=True)
class _Frame:
    """The one frame.  at: its place among the segments.  factors: component → (horizontal, vertical) sampling."""

    at: int
    progressive: bool
    shape_hw: tuple[int, int]
    factors: dict[int, tuple[int, int]]

    @property
    def rgb(self) -> bool:
        """Whether the decoder, shown neither JFIF nor Adobe's segment, takes the components for RGB."""
        return bytes(self.factors) == b"RGB"

    @property
    def most(self) -> tuple[int, int]:
        """Greatest horizontal and vertical sampling."""
        return max(h for h, _ in self.factors.values()), max(v for _, v in self.factors.values())


@dataclass(frozen=True)
class _Scan:
    """One scan.  at: its place among the segments.  restart: units an interval, 0 for all.  parts: its intervals.

    unit_hw: rows and columns of the picture that one coded unit covers.  units: how many the picture needs.
    """

    at: int
    head: bytes
    components: tuple[int, ...]
    restart: int
    parts: tuple[bytes, ...]
    unit_hw: tuple[int, int]
    units: int


def trim(path: Path, source: Segments) -> list[tuple[int, bytes]]:
    """The segments of one JPEG with each scan cut behind what its picture needs.

    Args:
        source: (marker, body) with exactly one frame of a supported kind that has a size.

    Raises:
        ReadError: damaged, or the scans end before the picture does.
        HeldError: scans replace each other, or the blocks at the edge hold a picture outside of the declared size.
    """
    frame = _frame(path, source)
    scans = [_scan(path, source, at, frame) for at, (marker, _) in enumerate(source) if marker == SOS]
    _check_script(path, frame, scans)
    found = [(DHT, _completed(path, body)) if marker == DHT else (marker, body) for marker, body in source]
    base, step = _decode(path, found, frame, scans)
    longer = [_with(scan, [part + _TAIL for part in scan.parts]) for scan in scans]
    if not np.array_equal(_decode(path, found, frame, longer)[0], base):
        raise ReadError(f"{path.name}: is truncated, its JPEG data ends before its pixels do")
    for index in range(len(scans)):
        scans[index] = _cut(path, found, frame, scans, index, base)
    brightness = base if base.ndim == 2 else base[..., 1 if frame.rgb else 0]
    _check_padding(path, brightness, frame.shape_hw, PADDING_LEVELS + step / 2)
    out = list(source)
    for scan in scans:
        out[scan.at] = (SOS, _body(scan))
    return out


def _frame(path: Path, found: Segments) -> _Frame:
    at = next(i for i, (marker, _) in enumerate(found) if marker in FRAMES)
    marker, body = found[at]
    _, height, width, count = struct.unpack_from(">BHHB", body)
    layers = [body[6 + 3 * i : 9 + 3 * i] for i in range(count)]
    factors = {layer[0]: (layer[1] >> 4, layer[1] & 15) for layer in layers}
    frame = _Frame(at, FRAMES[marker], (height, width), factors)
    if len(factors) != count or not all(1 <= f <= 4 for pair in factors.values() for f in pair):
        raise ReadError(f"{path.name}: is damaged, its JPEG components make no sense")
    if any(frame.most[0] % h or frame.most[1] % v for h, v in factors.values()):
        raise HeldError(f"{path.name}: a JPEG with colours sampled in these proportions is not supported")
    return frame


def _scan(path: Path, found: Segments, at: int, frame: _Frame) -> _Scan:
    body = found[at][1]
    size = 2 * body[0] + 4
    head, components = body[:size], tuple(body[1 : size - 3 : 2])
    if len(head) < size or not components or set(components) - set(frame.factors):
        raise ReadError(f"{path.name}: is damaged, a JPEG scan has a broken head")
    intervals = [b for marker, b in found[:at] if marker == DRI]
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
    wanted = -(-units // restart) if restart else 1
    if len(parts) < wanted or numbers[: wanted - 1] != [i % 8 for i in range(wanted - 1)]:
        raise ReadError(f"{path.name}: is truncated or damaged, its JPEG restart markers do not fit its size")
    kept = tuple(part.rstrip(b"\xff") for part in parts[:wanted])  # a last 0xFF is filling: as data it would be stuffed
    return _Scan(at, head, components, restart, kept, unit, units)


def _check_script(path: Path, frame: _Frame, scans: list[_Scan]) -> None:
    """Every coefficient comes exactly once, or in a progressive file bit by bit down to the last."""
    depths: dict[tuple[int, int], int] = {}
    for scan in scans:
        first, last, bits = scan.head[-3:] if frame.progressive else (0, 63, 0)
        high, low = bits >> 4, bits & 15
        for key in ((c, k) for c in scan.components for k in range(first, last + 1)):
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
    """Huffman tables in which codes that no symbol has, but for the one of 16 ones, decode to `_FILLING_SYMBOL`; what is
    no table is left to the decoder, which minds only those that it uses."""
    out, at = [], 0
    while at < len(body):
        counts = list(body[at + 1 : at + 17])
        symbols = body[at + 17 : at + 17 + sum(counts)]
        if len(counts) < 16 or len(symbols) < sum(counts):
            raise ReadError(f"{path.name}: is damaged, a Huffman table of its JPEG is broken")
        longest = max((i + 1 for i, count in enumerate(counts) if count), default=17)
        free = (1 << longest) - sum(count << (longest - 1 - i) for i, count in enumerate(counts) if count)
        filled = bytearray(symbols)
        for length in range(longest, 17):
            more = max(0, min(free - 1, 256 - len(filled), 255 - counts[length - 1]))  # ones alone may be no code
            counts[length - 1] += more
            filled += bytes([_FILLING_SYMBOL]) * more
            free = 2 * (free - more)
        out.append(body[at : at + 1] + bytes(counts) + filled)
        at += 17 + len(symbols)
    return b"".join(out)


def _finer(body: bytes) -> bytes:
    """Quantisation tables with a quarter of their steps."""
    out, at = bytearray(body), 0
    while at < len(body):
        wide = body[at] >> 4
        for i in range(at + 1, min(at + 1 + 64 * (wide + 1), len(body) - wide), wide + 1):
            out[i : i + wide + 1] = max(1, int.from_bytes(body[i : i + wide + 1], "big") // 4).to_bytes(wide + 1, "big")
        at += 1 + 64 * (wide + 1)
    return bytes(out)


def _decode(path: Path, found: Segments, frame: _Frame, scans: list[_Scan]) -> tuple[np.ndarray, int]:
    """Samples with the size raised to whole units, and the greatest quantisation step."""
    whole = max(s.unit_hw[0] for s in scans), max(s.unit_hw[1] for s in scans)
    if any(len(s.components) == 1 for s in scans):  # a component of its own is coded without blocks that only fill up
        whole = 8, 8
    raised = [-(-size // unit) * unit for size, unit in zip(frame.shape_hw, whole)]
    bodies = {scan.at: _body(scan) for scan in scans}
    out = [SOI]
    for at, (marker, body) in enumerate(found):
        if at in bodies:
            out += [struct.pack(">BBH", 0xFF, SOS, 2 * bodies[at][0] + 6), bodies[at]]
        elif marker in FRAMES or marker in TABLES:
            body = body[:1] + struct.pack(">HH", *raised) + body[5:] if at == frame.at else body
            out += [struct.pack(">BBH", 0xFF, marker, len(body) + 2), body]
    try:
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(b"".join([*out, EOI])))
        if image.mode == "RGB" and not frame.rgb:
            image.draft("YCbCr", None)
        image.load()
        return np.asarray(image), max(max(table) for table in image.quantization.values())
    except Exception as exc:
        raise ReadError(f"{path.name}: is damaged or truncated, its pixels cannot be decoded ({type(exc).__name__})") from exc


def _cut(path: Path, found: Segments, frame: _Frame, scans: list[_Scan], index: int, base: np.ndarray) -> _Scan:
    """One scan with each interval cut to the shortest that decides its pixels; nothing is cut if its last byte does."""
    scan = scans[index]
    if frame.progressive and scan.head[-3] == 0 and scan.head[-1] >> 4:
        return _cut_bits(frame, scan)
    slack = INVISIBLE_BYTES if frame.progressive else 0

    finer = [(DQT, _finer(body)) if marker == DQT else (marker, body) for marker, body in found]
    finer_base: list[np.ndarray] = []  # decoded when first needed

    def decoded(parts: Sequence[bytes], segments: Segments = found) -> np.ndarray:
        return _decode(path, segments, frame, [*scans[:index], _with(scan, parts), *scans[index + 1 :]])[0]

    def flipped(ends: np.ndarray, bits: int, tail: bytes = b"") -> list[bytes]:
        return [part if end < 0 else _flipped(part, end, bits) + tail for part, end in zip(scan.parts, ends)]

    def unread(ends: np.ndarray) -> np.ndarray:
        """Whether each interval's byte at `ends` decides no pixel; -1 leaves an interval as it is."""
        free = ~_changed(base, decoded(flipped(ends, 0xFF)), frame, scan)
        if free.any():  # flipped bits may happen to mean the same; others, and something behind them, hardly do
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
    for spare in range(INVISIBLE_BYTES + 1):
        parts = [part[: _start(part, end + spare)] if cut else part for part, end, cut in zip(scan.parts, high, suspects)]
        if all(np.array_equal(decoded([part + tail for part in parts]), base) for tail in (b"", _TAIL)):
            return _with(scan, parts)
    raise HeldError(f"{path.name}: its JPEG data holds more than its pixels, and the rest cannot be told apart")


def _cut_bits(frame: _Frame, scan: _Scan) -> _Scan:
    """A scan of one bit a block, the last ones of brightness, which would show least: its length is plain arithmetic."""
    blocks = sum(h * v for h, v in map(frame.factors.get, scan.components)) if len(scan.components) > 1 else 1
    parts = []
    for i, part in enumerate(scan.parts):
        units = min(scan.restart or scan.units, scan.units - i * scan.restart)
        plain = part.replace(b"\xff\0", b"\xff")[: -(-units * blocks // 8)]
        parts.append(plain.replace(b"\xff", b"\xff\0"))
    return _with(scan, parts)


def _start(part: bytes, at: int) -> int:
    """Where the entropy-coded byte at `at` starts: one earlier if that is the zero that is stuffed behind 0xFF."""
    return at - 1 if part[at : at + 1] == b"\0" and part[at - 1 : at] == b"\xff" else at


def _flipped(part: bytes, at: int, bits: int) -> bytes:
    """An interval that ends with the byte at `at`, some of its bits flipped: the first one in any case, which is read
    if anything of the byte is."""
    at = _start(part, at)
    flipped = bytes([part[at] ^ bits])
    return part[:at] + flipped + (b"\0" if flipped == b"\xff" else b"")


def _changed(base: np.ndarray, other: np.ndarray, frame: _Frame, scan: _Scan) -> np.ndarray:
    """For each interval of a scan whether its pixels differ."""
    differs = base != other if base.ndim == 2 else (base != other).any(axis=-1)
    if len(scan.parts) == 1:
        return np.array([differs.any()])
    rows, columns = scan.unit_hw
    differs = np.pad(differs, ((0, -differs.shape[0] % rows), (0, -differs.shape[1] % columns)))
    blocks = differs.reshape(differs.shape[0] // rows, rows, -1, columns)
    if frame.most != (1, 1):
        blocks = blocks[:, 1:-1, :, 1:-1]  # colour that is sampled coarsely bleeds one pixel into the next unit
    flags = blocks.any(axis=(1, 3)).ravel()
    return np.logical_or.reduceat(flags[: scan.units], np.arange(0, scan.units, scan.restart))


def _check_padding(path: Path, base: np.ndarray, shape_hw: tuple[int, int], limit: float) -> None:
    """Hold a picture that goes on outside of its size, but for a block's last pixels repeated or a plain grey.

    Args:
        base: (H, W) brightness, whole blocks.
    """
    height, width = shape_hw
    for y, x in ((height // 8 * 8, 0), (0, width // 8 * 8)):
        pixels = base[y:, x:].astype(np.int16)
        rows, columns = np.arange(y, base.shape[0]), np.arange(x, base.shape[1])
        outside = (rows >= height)[:, None] | (columns >= width)
        repeated = base[np.minimum(rows, height - 1)[:, None], np.minimum(columns, width - 1)]

        def blocks(values: np.ndarray) -> np.ndarray:
            return values.reshape(len(rows) // 8, 8, len(columns) // 8, 8)

        off = blocks(np.where(outside, np.abs(pixels - repeated), 0)).max(axis=(1, 3), initial=0)
        brightest = blocks(np.where(outside, pixels, 0)).max(axis=(1, 3), initial=0)
        darkest = blocks(np.where(outside, pixels, 255)).min(axis=(1, 3), initial=255)
        if ((off > limit) & (brightest - darkest > limit)).any():
            raise HeldError(f"{path.name}: a JPEG with a picture outside of its declared size is not supported")
