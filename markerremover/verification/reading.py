"""Pictures as libraries read them: pydicom for DICOM, Pillow and OpenCV for PNG, Pillow for JPEG, tifffile for TIFF.

Pillow reads no PNG of 16-bit colour, so OpenCV does. tifffile without imagecodecs reads no LZW and no JPEG; where it is not installed, Pillow reads
those of them that it can read at their own depth.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np

from .pictures import Picture, UnreadError


def kind_of(data: bytes) -> str:
    """The format of a file by its first bytes; "DICOM" too where nothing says otherwise, as for files without a preamble."""
    if data[128:132] == b"DICM":
        return "DICOM"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    return "TIFF" if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")) else "DICOM"


def read(path: Path, *, as_rgb: bool = False) -> Picture:
    """Decode one file.

    Args:
        as_rgb: convert DICOM's YBR colours to RGB.

    Raises:
        UnreadError: it cannot be read.
    """
    try:
        data = path.read_bytes()
        kind = kind_of(data)
        if kind == "DICOM":
            from . import dicom

            return dicom.read(data, as_rgb=as_rgb)
        return {"PNG": _png, "JPEG": _jpeg, "TIFF": _tiff}[kind](data)
    except UnreadError:
        raise
    except OSError as error:
        raise UnreadError(f"cannot be read ({error.strerror or type(error).__name__})") from None
    except Exception as error:  # libraries raise many kinds, and their messages may quote the file
        raise UnreadError(f"cannot be decoded ({type(error).__name__})") from None


def _png(data: bytes) -> Picture:
    from PIL import Image

    depth, colour = data[24], data[25]  # of IHDR, which is the first chunk
    chunks = png_chunks(data)
    facts = {"rows and columns": struct.unpack_from(">II", data, 16), "bits a sample": depth, "kind of colour": colour}
    stream = b"".join(body for kind, body in chunks if kind == b"IDAT")
    palette = np.frombuffer(b"".join(body for kind, body in chunks if kind == b"PLTE"), np.uint8).reshape(-1, 3) if colour == 3 else None
    if depth == 16 and colour != 0:
        import cv2

        pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None or pixels.dtype != np.uint16:
            raise UnreadError("cannot be decoded at its own depth")
        pixels = pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]] if pixels.ndim == 3 else pixels
    else:
        image = Image.open(io.BytesIO(data), formats=("PNG",))
        pixels = np.asarray(image)
        pixels = pixels.astype(np.uint8) if pixels.dtype == bool else pixels
    return Picture("PNG", pixels[None], facts, (stream,), palette, alpha=colour in (4, 6))


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Type and body of every chunk of a PNG file, up to and with IEND; what follows is a last chunk of type b""."""
    position, found = 8, []
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        found.append((kind, data[position + 8 : position + 8 + length]))
        position += 12 + length
        if kind == b"IEND":
            break
    return [*found, (b"", data[position:])] if position < len(data) else found


def _jpeg(data: bytes) -> Picture:
    from PIL import Image

    image = Image.open(io.BytesIO(data), formats=("JPEG",))
    pixels = np.asarray(image)
    return Picture("JPEG", pixels[None], {"rows and columns": pixels.shape[:2], "kind of colour": image.mode}, (data,))


def _tiff(data: bytes) -> Picture:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages[0]
        photometric, samples = int(page.photometric), page.samplesperpixel
        shape = (1, page.imagelength, page.imagewidth, *((samples,) if samples > 1 else ()))
        facts = {"rows and columns": shape[1:3], "samples a pixel": samples, "bits a sample": page.bitspersample, "pages": len(file.pages),
                 "kind of colour": "RGB" if photometric == 6 else photometric}  # JPEG's YCbCr is written as the RGB that it is decoded to
        payload = tuple(data[start : start + size] for start, size in zip(page.dataoffsets, page.databytecounts))
        try:
            pixels = page.asarray()
            if photometric == 6:
                pixels = _pillow_tiff(data)
        except Exception:  # a compression that needs imagecodecs
            pixels = _pillow_tiff(data)
        further = {"compression": int(page.compression)}
    if 8 * pixels.dtype.itemsize != facts["bits a sample"] or pixels.size != np.prod(shape):
        raise UnreadError("cannot be decoded at its own depth; install imagecodecs")
    return Picture("TIFF", pixels.reshape(shape), facts, payload, white_is_zero=photometric == 0, alpha=samples in (2, 4), further=further)


def _pillow_tiff(data: bytes) -> np.ndarray:
    """Pixels as Pillow decodes them, in the order of the file."""
    from PIL import Image

    image: Any = Image.open(io.BytesIO(data), formats=("TIFF",))
    image._exif = None
    image.tag_v2.pop(274, None)  # Pillow turns a TIFF upright as it loads it
    return np.asarray(image)
