"""DICOM files by pydicom: pixels in their containers, the header, and what a viewer shows as black."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .pictures import Picture, UnreadError

_SLACK = 1 / 255  # difference in brightness, of 1, that no viewer shows
_PALETTE_BLACK = 25  # highest value of a channel, of 255, of a palette's colour that counts as black


@contextmanager
def quiet() -> Iterator[None]:
    """Silence pydicom and its plugins, whose warnings and log lines can quote a header."""
    from pydicom import config

    loggers = [logging.getLogger(name) for name in ("pydicom", "openjpeg", "libjpeg", "rle")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before):
            logger.setLevel(level)


def parse(data: bytes) -> Any:
    """The dataset of a file, all of it.

    Raises:
        UnreadError: it cannot be parsed.
    """
    from pydicom import dcmread, uid

    try:
        with quiet():
            dataset = dcmread(io.BytesIO(data), force=True)
            if "TransferSyntaxUID" not in dataset.file_meta:
                implicit, little = dataset.original_encoding
                dataset.file_meta.TransferSyntaxUID = (
                    uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian)
            return dataset
    except Exception as error:  # its message may quote the header
        raise UnreadError(f"cannot be parsed as DICOM ({type(error).__name__})") from None


def read(data: bytes, *, as_rgb: bool = False) -> Picture:
    """Decode a file, see `pictures.read`.

    Raises:
        UnreadError: it cannot be read.
    """
    dataset = parse(data)
    with quiet():
        if "PixelData" not in dataset:
            raise UnreadError("has no pixel data")
        frames = int(dataset.get("NumberOfFrames", None) or 1)
        samples, bits = int(dataset.get("SamplesPerPixel", None) or 1), int(dataset.BitsStored)
        photometric = str(dataset.get("PhotometricInterpretation", "") or "MONOCHROME2").strip()
        size = (int(dataset.Rows), int(dataset.Columns))
        facts = {
            "rows and columns": size, "frames": frames, "samples a pixel": samples,
            "Bits Allocated": int(dataset.BitsAllocated), "Bits Stored": bits, "Pixel Representation": int(dataset.get("PixelRepresentation", 0) or 0),
            "Photometric Interpretation": photometric,
        }
        pixels = _decoded(dataset, bits, as_rgb)
        shape = (frames, *size, *((samples,) if samples > 1 else ()))
        if pixels.size != np.prod(shape):
            raise UnreadError("holds another number of pixels than it declares")
        high = int(dataset.get("HighBit", bits - 1))
        pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)  # of big-endian files
        words = np.ascontiguousarray(pixels).view(f"u{pixels.dtype.itemsize}").reshape(shape)
        native = not dataset.file_meta.TransferSyntaxUID.is_compressed
        stored = (words >> (max(0, high + 1 - bits) if native else 0)) & ((1 << bits) - 1)
        return Picture("DICOM", stored.astype(words.dtype), facts, (bytes(dataset.PixelData),), dataset=dataset,
                       further={"syntax": str(dataset.file_meta.TransferSyntaxUID)})


def _decoded(dataset: Any, bits: int, as_rgb: bool) -> np.ndarray:
    from pydicom.pixels import get_decoder

    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    if dataset.get("NumberOfFrames", None) in (0, "0"):
        dataset.NumberOfFrames = 1
    options: dict[str, Any] = {"raw": not as_rgb, "correct_unused_bits": False}
    try:
        return decoder.as_array(dataset, **options)[0]
    except ValueError:  # JPEG of 8 bits may be declared in containers of 16
        if bits > 8:
            raise
        options["bits_allocated"] = 8
        return decoder.as_array(dataset, **options)[0]


def looks_black(picture: Picture, value: np.ndarray, others: np.ndarray) -> bool:
    """Whether a stored value looks black in every window of the file, and without any.

    Args:
        value: (C,) stored value, or (1,).
        others: stored values of the picture, to compare with; any shape.
    """
    from pydicom.pixels import apply_color_lut

    dataset, photometric = picture.dataset, picture.facts["Photometric Interpretation"]
    bits = picture.facts["Bits Stored"]
    if photometric == "PALETTE COLOR":
        colours = apply_color_lut(value.reshape(1, 1), dataset)[..., :3]
        return bool((colours >> 8 * (colours.dtype.itemsize - 1)).max() <= _PALETTE_BLACK)
    if len(value) == 3:
        middle = 1 << (bits - 1)
        return value.tolist() == ([0, middle, middle] if photometric == "YBR_FULL" else [0, 0, 0])
    signs = 1 << (bits - 1) if picture.facts["Pixel Representation"] else 0
    levels = np.unique(np.append(others.ravel(), value[0])).astype(np.int32)
    levels = np.where(levels >= signs, levels - 2 * signs, levels) if signs else levels
    position = int(np.flatnonzero(levels == (int(value[0]) - 2 * signs if signs and value[0] >= signs else int(value[0])))[0])
    return all(shown[position] <= shown.min() + _SLACK for shown in _shown(dataset, levels, photometric))


def black_level(picture: Picture, pixels: np.ndarray) -> int:
    """The stored value, of 8 bits, that blacked-out pixels (N,) of a JPEG should be near: their median where that looks black, else the end of
    the range that does; 0 for colours."""
    if picture.facts["Photometric Interpretation"] not in ("MONOCHROME1", "MONOCHROME2") or not len(pixels):
        return 0
    median, ends = np.array([int(np.median(pixels))]), np.array([0, 255])
    if looks_black(picture, median, picture.samples):
        return int(median[0])
    return 255 if looks_black(picture, ends[1:], ends) else 0


def _shown(dataset: Any, levels: np.ndarray, photometric: str) -> Iterator[np.ndarray]:
    """(N,) brightness 0-1 of stored values in each window or VOI LUT of a header, or by their own range where it has none."""
    from pydicom.pixels import apply_modality_lut
    from pydicom.pixels.processing import apply_voi

    inverted = photometric == "MONOCHROME1" or str(dataset.get("PresentationLUTShape", "") or "") == "INVERSE"
    try:
        values = np.asarray(apply_modality_lut(levels, dataset), np.float64)
    except Exception:  # a broken LUT or slope is none
        values = levels.astype(np.float64)
    shown = []
    if dataset.get("VOILUTSequence"):
        try:
            shown.append(np.asarray(apply_voi(values.astype(np.int32), dataset), np.float64))
        except Exception:  # a broken LUT is none
            shown = []
    shown += [_windowed(values, center, width, str(dataset.get("VOILUTFunction", "") or "LINEAR").strip())
              for center, width in zip(_numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth")) if width > 0]
    for brightness in shown or [values]:
        span = float(np.ptp(brightness))
        share = (brightness - brightness.min()) / span if span else np.zeros(len(brightness))
        yield 1 - share if inverted else share


def _windowed(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """(N,) brightness 0-1 of rescaled values by PS3.3 C.11.2.1.2. pydicom's `apply_windowing` shows them inverted where the slope is negative."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -500, 500)))
    if function != "LINEAR_EXACT":
        center, width = center - 0.5, max(width - 1, 1e-9)
    return np.clip((values - center) / width + 0.5, 0, 1)


def _numbers(dataset: Any, keyword: str) -> list[float]:
    """The values of an element; [] where one of them is no number."""
    value = dataset.get(keyword, None)
    try:
        return [float(one) for one in (value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value])]
    except (TypeError, ValueError):
        return []
