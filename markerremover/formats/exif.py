"""The one thing of Exif that survives: the orientation, read from and written as a block of nothing else.

By hand, for Pillow's `Exif`, which writes the same block, reads every tag of the directory, of whatever size and kind, and raises or warns
where any of them is broken; here a broken block means upright, and nothing but the orientation is looked at.
"""

from __future__ import annotations

import struct

ORIENTATION = 0x0112
_INTEGERS = {1: "B", 3: "H", 4: "I"}  # SHORT by the standard; viewers take the others, too


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
    """An Exif (TIFF) block that holds an orientation 1–8 and nothing else."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, ORIENTATION, 3, 1, orientation, 0, 0)
