"""The quantised DCT coefficients of one JPEG stream, read and written by jpegio (libjpeg-turbo).

Only streams whose every block can be put back are taken: grey, or YCbCr with 4:4:4, 4:2:2, 4:4:0 or 4:2:0, 8 bits, one set of quantisation
tables. For all others `UnsuitedError` says why, and the caller encodes the image again from its pixels.

Libraries that were looked at: jpegio (PyPI: pyjpegio; Apache 2.0; libjpeg-turbo 3.2 inside, half a megabyte) turns every error of the
decoder into an exception and keeps component identifiers, sampling and restart intervals. jpeglib leaves copies of the input in the folder
for temporary files when it fails. PyTurboJPEG, simplejpeg, Pillow and OpenCV give no access to coefficients or need a library of the system.

jpegio takes paths only. On Linux they are those of anonymous files in memory; elsewhere of a private temporary folder, which is removed at once.
A warning of libjpeg about a damaged stream is printed on standard error; it holds numbers and nothing of the file.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import jpeg_markers

GREY, YCC = 1, 3  # libjpeg's numbers of colour spaces
SIDE = 8  # samples of a block's side
FRAMES = (0xC0, 0xC1, 0xC2)  # markers of frames: baseline, extended, progressive
MOST_SAMPLES = 64_000_000
"""Maximum number of samples of all components: each takes ten bytes while a stream is edited."""
_DQT = 0xDB


class UnsuitedError(ValueError):
    """The coefficients of a stream cannot be edited; the message says why, in words for the manifest."""


@dataclass(frozen=True)
class Coefficients:
    """One JPEG stream without its entropy coding.

    planes: per component (8 * block rows, 8 * block columns) int32, read-only: each block's quantised coefficients in its place, row by row, not zigzag.
    tables: per component (8, 8) int32, its quantisation steps.
    steps_yx: per component (rows, columns) of the image that one of its samples covers.
    shape_hw: rows and columns of the image.  handle: the library's object.
    """

    planes: tuple[np.ndarray, ...]
    tables: tuple[np.ndarray, ...]
    steps_yx: tuple[tuple[int, int], ...]
    shape_hw: tuple[int, int]
    handle: Any


def read(stream: bytes) -> Coefficients:
    """The coefficients of a stream.

    Args:
        stream: JPEG, from its start to its end of image.

    Raises:
        UnsuitedError: the library is missing or refuses the stream, or it is of a kind that is not edited.
    """
    jpeg = _opened(stream)
    if jpeg.data_precision != 8:
        raise UnsuitedError(f"it has {jpeg.data_precision} bits, coefficients are edited of 8 bits only")
    if jpeg.jpeg_color_space not in (GREY, YCC) or jpeg.num_components != (1 if jpeg.jpeg_color_space == GREY else 3):
        raise UnsuitedError("its colours are not stored as YCbCr")
    if jpeg.arith_code:
        raise UnsuitedError("it is coded arithmetically")
    factors = [(c.v_samp_factor, c.h_samp_factor) for c in jpeg.comp_info]
    most = max(v for v, _ in factors), max(h for _, h in factors)
    if len(factors) == 1:
        factors = [most]
    elif factors[0] != most or factors[1] != factors[2] or max(most) > 2 or factors[1] not in ((1, 1), most):
        raise UnsuitedError("its colours are sampled in unusual proportions")
    steps = tuple((most[0] // v, most[1] // h) for v, h in factors)
    shape_hw = int(jpeg.image_height), int(jpeg.image_width)
    planes = tuple(_locked(plane) for plane in jpeg.coef_arrays)
    for plane, (y, x) in zip(planes, steps):
        if plane.shape != (-(-shape_hw[0] // (SIDE * y)) * SIDE, -(-shape_hw[1] // (SIDE * x)) * SIDE):
            raise UnsuitedError("its blocks do not fit its size")
    return Coefficients(planes, _tables(jpeg, stream), steps, shape_hw, jpeg)


def encoded(coefficients: Coefficients, planes: tuple[np.ndarray, ...]) -> bytes:
    """A JPEG stream with other coefficients, and with the tables, sampling, (first) restart interval and kind (progressive or not) of the first; without any
    application segment or comment. Each component must be complete; Huffman tables are made anew.

    Args:
        coefficients: as read; its handle takes over the new planes.
        planes: of the shapes of `coefficients.planes`.

    Raises:
        UnsuitedError: the library refuses a coefficient.
    """
    jpeg = coefficients.handle
    for i, (mine, plane) in enumerate(zip(jpeg.coef_arrays, planes)):
        mine[...] = plane
        component = jpeg.comp_info[i]
        component.dc_tbl_no = component.ac_tbl_no = min(i, 1)
    jpeg.optimize_coding, jpeg.markers = 1, []
    return _written(jpeg)


def rebuilt(stream: bytes) -> tuple[bytes, tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """What the library makes of a stream when nothing changes: with the source's own Huffman tables, or with the best ones if it is progressive.

    libjpeg has one way to code given coefficients, so that a stream of such an encoder comes out byte for byte.

    Returns:
        The new stream, and of each component the coefficients and the quantisation table.

    Raises:
        UnsuitedError: the library is missing, or refuses to read or write it.
    """
    jpeg = _opened(stream)
    if jpeg.progressive_mode:
        for i, component in enumerate(jpeg.comp_info):
            component.dc_tbl_no = component.ac_tbl_no = min(i, 1)
    jpeg.optimize_coding, jpeg.markers = 0, []
    return _written(jpeg), tuple(map(_locked, jpeg.coef_arrays)), _tables(jpeg, stream)


def _written(jpeg: Any) -> bytes:
    import jpegio

    with _place(b"") as place:
        try:
            jpegio.write(jpeg, str(place.path))
        except (RuntimeError, MemoryError) as error:
            raise UnsuitedError(f"the library cannot write it ({_reason(error)})") from None
        return place.content()


def _opened(stream: bytes) -> Any:
    try:
        import jpegio
    except ImportError:
        raise UnsuitedError("jpegio is not installed") from None
    _check_size(stream)
    with _place(stream) as place:
        try:
            return jpegio.read(str(place.path))
        except (RuntimeError, ValueError, MemoryError) as error:
            raise UnsuitedError(f"the library cannot read it ({_reason(error)})") from None


def _check_size(stream: bytes) -> None:
    """Raises UnsuitedError for a stream of more than `MOST_SAMPLES`, or without a frame: a file of a few bytes may declare any size."""
    try:
        body = next((body for marker, body, _, _ in jpeg_markers.walk(stream) if marker in FRAMES), b"")
    except (ValueError, IndexError):
        body = b""
    if len(body) < 6:
        raise UnsuitedError("it is no JPEG stream with one frame")
    if int.from_bytes(body[1:3], "big") * int.from_bytes(body[3:5], "big") * body[5] > MOST_SAMPLES:
        raise UnsuitedError("it has more samples than are edited")


def _reason(error: BaseException) -> str:
    """libjpeg's message without the numbers in it, which come from the file."""
    words = str(error).split("] ")[-1].split(":")[0]
    return "".join(c for c in words if c.isascii() and not c.isdigit())[:60].strip() or type(error).__name__


def _tables(jpeg: Any, stream: bytes) -> tuple[np.ndarray, ...]:
    """The quantisation table of each component. The library lists tables in the order of their numbers, which only the stream has."""
    numbers: set[int] = set()
    scanned = False
    try:
        segments = [(marker, body) for marker, body, _, _ in jpeg_markers.walk(stream)]
    except (jpeg_markers.NoEndError, jpeg_markers.NoSegmentError):
        raise UnsuitedError("it is damaged between its segments") from None
    for marker, body in segments:
        scanned |= marker == jpeg_markers.SOS
        at = 0
        while marker == _DQT and at < len(body):
            if scanned:
                raise UnsuitedError("its quantisation tables change between scans")
            numbers.add(body[at] & 15)
            at += 129 if body[at] >> 4 else 65
    order = sorted(numbers)
    if len(order) != len(jpeg.quant_tables) or any(c.quant_tbl_no not in numbers for c in jpeg.comp_info):
        raise UnsuitedError("a quantisation table is missing")
    tables = tuple(_locked(np.array(jpeg.quant_tables[order.index(c.quant_tbl_no)])) for c in jpeg.comp_info)
    if any((table < 1).any() for table in tables):
        raise UnsuitedError("a quantisation step is zero")
    return tables


def _locked(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.setflags(write=False)
    return view


@dataclass(frozen=True)
class _Place:
    """A file that nobody else sees.  path: for a library that takes paths only."""

    path: Path

    def content(self) -> bytes:
        return self.path.read_bytes()


@contextmanager
def _place(data: bytes) -> Iterator[_Place]:
    """A file with these bytes, for the duration of the block."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("jpeg")
        try:
            path = Path(f"/proc/self/fd/{descriptor}")
            path.write_bytes(data)
            yield _Place(path)
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jpeg"
        path.write_bytes(data)
        yield _Place(path)
