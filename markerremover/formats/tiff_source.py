"""The one page of a TIFF file as it is stored, and TIFF files assembled from such parts.

The file is written by hand: Pillow always compresses again. tifffile can write stored segments, but those in LZW, PackBits and JPEG only
with the codecs of imagecodecs, which nothing else here needs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

NONE, LZW, JPEG, DEFLATE, PACKBITS, OLD_DEFLATE = 1, 5, 7, 8, 32773, 32946
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, YCBCR = 0, 1, 2, 6
ORIENTATION = 274
KEPT = {ORIENTATION: "H", 282: "II", 283: "II", 296: "H"}
"""Tags that are copied, by struct codes of one value: orientation, X and Y resolution and its unit, if they have that type and one value."""
_TYPES = {"B": 1, "H": 3, "I": 4, "II": 5, "b": 7}  # struct code → TIFF type: BYTE, SHORT, LONG, RATIONAL, UNDEFINED


@dataclass(frozen=True)
class TiffSource:
    """Layout of one page, its compressed segments (strips or tiles, in order), and the tags worth keeping.

    order: byte order, "<" or ">".  shape_hw: rows and columns of the page.  depth: bits of one sample.  samples: per pixel.
    segment_hw: rows and columns of a full segment.  extra: values of ExtraSamples.  kept: tag → values.
    tables: shared JPEG tables, b"" if none.  ycbcr: values of YCbCrSubSampling and ReferenceBlackWhite, each () if absent.
    hides: whether the segments hold more than the image's pixels.
    """

    order: str
    shape_hw: tuple[int, int]
    depth: int
    samples: int
    photometric: int
    compression: int
    predictor: int
    tiled: bool
    segment_hw: tuple[int, int]
    segments: tuple[bytes, ...]
    extra: tuple[int, ...]
    kept: dict[int, tuple[int, ...]]
    tables: bytes = b""
    ycbcr: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    hides: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What the file held besides its image and its metadata, for the manifest."""
        return ("strips or tiles held more than the picture, left out",) if self.hides else ()

    @property
    def row_bytes(self) -> int:
        """Bytes of one unpacked row of a segment."""
        return self.segment_hw[1] * self.samples * self.depth // 8


def assemble(order: str, tags: dict[int, tuple[str, tuple[int, ...]]], parts: tuple[bytes, ...], *, tiled: bool = False) -> bytes:
    """A classic TIFF of one page.

    Args:
        order: "<" or ">".
        tags: number → (struct code of one value, values), without those that say where the segments lie.
        parts: the segments in order.
        tiled: whether the segments are tiles, not strips.

    Returns:
        The bytes of the file.

    Raises:
        ValueError: the file would exceed 4 GiB.
    """
    blocks, position, offsets = [], 8, []
    for part in parts:
        offsets.append(position)
        blocks.append(part + b"\0" * (len(part) % 2))
        position += len(blocks[-1])
    tags = {**tags, (324 if tiled else 273): ("I", tuple(offsets)), (325 if tiled else 279): ("I", tuple(map(len, parts)))}
    if position + 64 * len(tags) + 8 * len(parts) + sum(8 * len(v) for _, v in tags.values()) > 0xFFFFFFFF:
        raise ValueError("more than 4 GiB do not fit a classic TIFF")
    entries, overflow, overflow_position = [], [], position + 2 + 12 * len(tags) + 4
    for tag, (kind, values) in sorted(tags.items()):
        code = "B" if kind == "b" else kind[0]
        body = struct.pack(f"{order}{len(values)}{code}", *values)
        head = struct.pack(f"{order}HHI", tag, _TYPES[kind], len(values) // len(kind))
        if len(body) <= 4:
            entries.append(head + body.ljust(4, b"\0"))
        else:
            entries.append(head + struct.pack(f"{order}I", overflow_position))
            overflow.append(body + b"\0" * (len(body) % 2))
            overflow_position += len(overflow[-1])
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", position)
    count = struct.pack(f"{order}H", len(entries))
    return b"".join([header, *blocks, count, *entries, b"\0\0\0\0", *overflow])


def _rows(source: TiffSource, index: int) -> int:
    """Rows of a segment: the last strip may be short, tiles never are."""
    rows = source.segment_hw[0]
    return rows if source.tiled else min(rows, source.shape_hw[0] - index * rows)


def _size(source: TiffSource, index: int) -> int:
    return _rows(source, index) * source.row_bytes
