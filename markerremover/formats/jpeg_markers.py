"""The segments of a JPEG or JPEG-LS stream, one after the other, to the true end of its image.

By hand, for no library that was looked at tells where an image ends: Pillow, libjpeg (behind it, OpenCV and pylibjpeg) and CharLS skip
what they do not know and go on or stop where the picture is complete, without an error for what lies between the segments or behind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

EOI, SOS = 0xD9, 0xDA
SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
LS_SCAN_END = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
"""The marker that ends entropy-coded data: after FF, JPEG stuffs a zero byte and JPEG-LS a zero bit; restarts go on."""
_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})  # no segment begins with these


class NoEndError(IndexError):
    """The stream is over and the image is not. `at`: byte of the segment that is cut, or the stream's length."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class NoSegmentError(ValueError):
    """What stands at byte `at` begins no segment."""

    def __init__(self, at: int) -> None:
        super().__init__("a frame holds something that is not a marker")
        self.at = at


def walk(data: bytes, scan_end: re.Pattern[bytes] = SCAN_END) -> Iterator[tuple[int, bytes, bytes, int]]:
    """(marker, body, entropy-coded data behind a scan's body, byte where all of that ends) of every segment behind SOI, EOI included.

    Args:
        data: begins with SOI.  scan_end: what ends entropy-coded data.

    Raises:
        NoEndError, NoSegmentError: see there; what came before it has been yielded.
    """
    at = 2
    while True:
        while data[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if at + 2 > len(data):
            raise NoEndError(len(data))
        marker = data[at + 1]
        if data[at] != 0xFF or marker in _BARE:
            raise NoSegmentError(at)
        if marker == EOI:
            yield marker, b"", b"", at + 2
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + length
        if length < 2 or end > len(data):
            raise NoEndError(at)
        coded = b""
        if marker == SOS:
            found = scan_end.search(data, end)
            coded = data[end : found.start() if found else len(data)]
        yield marker, data[at + 4 : end], coded, end + len(coded)
        at = end + len(coded)
