"""Exif orientation: read from a block, and written as a block that holds nothing else.

Parsed by hand: Pillow's `Exif` writes the same block, but reads every tag of the directory and raises or warns where one is broken. Here a
broken block means upright, and only the orientation is read.
"""

from __future__ import annotations

import struct

ORIENTATION = 0x0112
_INTEGERS = {1: "B", 3: "H", 4: "I"}  # the standard says SHORT (3); viewers accept BYTE and LONG as well


def orientation_of(block: bytes) -> int:
    """Orientation 1–8 in the first directory of an Exif (TIFF) block; 1, upright, if there is none or it is broken.

    >>> orientation_of(orientation_block(6)), orientation_of(b"")
    (6, 1)
    """
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    try:
        start = struct.unpack_from(f"{order}I", block, 4)[0]
        count = struct.unpack_from(f"{order}H", block, start)[0]
        for entry in range(count):
            tag, kind = struct.unpack_from(f"{order}HH", block, start + 2 + 12 * entry)
            if tag == ORIENTATION and kind in _INTEGERS:
                (value,) = struct.unpack_from(f"{order}{_INTEGERS[kind]}", block, start + 2 + 12 * entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def orientation_block(orientation: int) -> bytes:
    """A big-endian Exif (TIFF) block that holds an orientation 1–8 and nothing else."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION, 3, 1, orientation, 0, 0)
