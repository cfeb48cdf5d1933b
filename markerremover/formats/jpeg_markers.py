"""The segments of a JPEG or JPEG-LS stream, one after the other, to the true end of its image.

Walked by hand: no library that was tried reports where an image ends. Pillow, libjpeg (used by OpenCV and pylibjpeg) and CharLS skip
unknown data and stop where the image is complete, without an error for bytes between the segments or after them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

EOI, SOS = 0xD9, 0xDA
SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
LS_SCAN_END = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
"""Markers that end entropy-coded data: after FF, JPEG stuffs a zero byte and JPEG-LS a zero bit; restart markers do not end it."""
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})  # no segment begins with these


class NoEndError(IndexError):
    """The stream ends before the image does. `offset`: byte of the truncated segment, or the stream's length."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class NoSegmentError(ValueError):
    """The byte at `offset` does not begin a segment."""

    def __init__(self, offset: int) -> None:
        super().__init__("a frame holds something that is not a marker")
        self.offset = offset


def walk(data: bytes, scan_end: re.Pattern[bytes] = SCAN_END) -> Iterator[tuple[int, bytes, bytes, int]]:
    """Every segment after SOI, up to and including EOI.

    Args:
        data: the stream, beginning with SOI.
        scan_end: `SCAN_END` for JPEG, `LS_SCAN_END` for JPEG-LS.

    Yields:
        (marker, body, entropy-coded data after a scan's body, offset in `data` of the first byte after all of that).

    Raises:
        NoEndError: the stream is truncated; the segments before have been yielded.
        NoSegmentError: a byte between segments is no marker; the segments before have been yielded.
    """
    offset = 2
    while True:
        while data[offset : offset + 2] == b"\xff\xff":  # fill bytes
            offset += 1
        if offset + 2 > len(data):
            raise NoEndError(len(data))
        marker = data[offset + 1]
        if data[offset] != 0xFF or marker in _BARE:
            raise NoSegmentError(offset)
        if marker == EOI:
            yield marker, b"", b"", offset + 2
            return
        length = int.from_bytes(data[offset + 2 : offset + 4], "big")
        end = offset + 2 + length
        if length < 2 or end > len(data):
            raise NoEndError(offset)
        coded = b""
        if marker == SOS:
            end_marker = scan_end.search(data, end)
            coded = data[end : end_marker.start() if end_marker else len(data)]
        yield marker, data[offset + 4 : end], coded, end + len(coded)
        offset = end + len(coded)
