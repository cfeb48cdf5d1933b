"""Frames of JPEG Baseline and Extended (8 bits) redacted in their coefficients, so that the file keeps its transfer syntax.

Taken are grey frames and those whose header and stream both say YCbCr; for others `UnsuitedError` says why, and `pixels` writes them without
compression. Every frame of a touched file is written by the library, so that no frame holds more than its image.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset

from ...errors import MarkerRemoverError, WriteError
from .. import jpeg
from ..coefficients import DECOMPRESSED, check, redaction
from ..coefficients.stream import UnsuitedError
from .frames import frames_of
from .pixels import DicomSource

SYNTAXES = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
NOTE = "PixelData (7FE0,0010): written without compression, since its JPEG cannot be edited: "
"""Start of the note on frames that were not edited; the reason follows."""
_GREY, _YCC = ("MONOCHROME1", "MONOCHROME2"), ("YBR_FULL", "YBR_FULL_422")


def edited(source: DicomSource, stored: np.ndarray, new: np.ndarray, removed: np.ndarray | None) -> list[bytes]:
    """All frames as JPEG streams, with the blocks of removed pixels rewritten.

    Args:
        stored, new: of `source.shape`: the pixels that were read, and those to write.
        removed: (F, H, W) bool, None for the pixels that change.

    Raises:
        UnsuitedError: that cannot be done; the message says why.
    """
    _check(source)
    masks = redaction.removed_pixels(stored, new, removed)
    edited_frames = []
    for frame, old, pixels, mask in zip(_streams(source.dataset, source.shape[0]), stored, new, masks):
        if not check.agree(frame, old):
            raise UnsuitedError("two decoders show it differently, it may be damaged")
        try:
            segments = jpeg.segments(_NAMELESS, frame)
            written = jpeg.edited(_NAMELESS, segments, pixels, mask)
        except MarkerRemoverError:
            raise UnsuitedError("a frame is not a plain JPEG stream") from None
        edited_frames.append(jpeg.assembled(segments, written))
    return edited_frames


def compared(
    name: str, source: DicomSource, output: DicomSource, stored: np.ndarray, decoded: np.ndarray, new: np.ndarray, removed: np.ndarray | None
) -> dict[str, Any]:
    """The fields of `jpeg` of the manifest's row: what became of the coefficients of a touched file.

    Args:
        name: of the file, for messages.  source, output: as they were read, with the pixels stored, decoded.  stored, new, removed: as of `edited`.

    Raises:
        WriteError: frames that were edited differ from the source where nothing was removed, or hold more than they should.
    """
    if output.syntax != source.syntax:
        return {"coefficients": DECOMPRESSED}
    masks = redaction.removed_pixels(stored, new, removed)
    try:
        pairs = zip(_streams(source.dataset, source.shape[0]), _streams(output.dataset, source.shape[0]), new, masks, zip(stored, decoded))
        return jpeg.row_of([check.compared(*pair) for pair in pairs], name)
    except UnsuitedError as error:
        raise WriteError(f"{name}: {error}") from None


_NAMELESS = Path("frame")


def _check(source: DicomSource) -> None:
    if source.bits != 8 or source.signed:
        raise UnsuitedError(f"it has {source.bits} bits{' with a sign' * source.signed}, coefficients are edited of 8 without")
    if str(source.dataset.get("PhotometricInterpretation", "")).strip() not in (_GREY if len(source.shape) == 3 else _YCC):
        raise UnsuitedError("its colours are not stored as YCbCr")


def _streams(dataset: Dataset, count: int) -> list[bytes]:
    try:
        return frames_of("frames", dataset, count)[0]
    except MarkerRemoverError:
        raise UnsuitedError("its frames cannot be separated") from None
