"""Spare bits, those of a pixel's container outside the stored value: whether they may be cleared, or are part of the image.

They may hold an overlay plane (60xx,0102), declared or not, a value equal in every pixel, or the sign. But Bits Stored may also be too small
or High Bit wrong; then clearing them would destroy the image.
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from ...errors import HeldError

OFTEN = 0.25  # maximum share of pixel neighbours between which an overlay plane changes; a bit of noise changes between half of them
SLACK = 64  # divisor of the range: stored values may differ by this fraction more where the plane changes than elsewhere
TIMES = 3  # maximum ratio of the differences of stored values where the plane changes to those elsewhere


def check(name: str, dataset: Dataset, words: np.ndarray, stored: np.ndarray, bits: int, shift: int, signed: bool) -> None:
    """Hold an image whose spare bits are not understood.

    Args:
        name: of the file, for messages.
        dataset: the header, which may declare overlay planes.
        words: (F, H, W) or (F, H, W, C) containers, unsigned.
        stored: the stored values in them, of the same shape.
        bits, shift: number of bits of a stored value, and of bits below it.
        signed: whether stored values are signed.

    Raises:
        HeldError: more than one plane of spare bits varies without being declared as an overlay; a plane correlates with the image as a bit
            of its values would; or only some negative values fill the bits above them.
    """
    mask = (1 << bits) - 1
    stored_bits = stored.view(words.dtype) & mask
    spare = _spare(words, stored_bits, bits, shift, signed)
    changing = int(np.bitwise_or.reduce(spare ^ spare.flat[0], axis=None))
    planes = [1 << i for i in range(8 * words.dtype.itemsize) if changing >> i & 1]
    undeclared = [plane for plane in planes if not plane & _declared(dataset)]
    mixed = signed and _sign_fill_differs(words, stored_bits, bits, shift)
    if len(undeclared) > 1 or mixed or any(_belongs(spare & plane, stored, bits) for plane in planes):
        description = f"bits {(changing & -changing).bit_length() - 1} to {changing.bit_length() - 1} besides" if planes else "both ways of writing a sign"
        raise HeldError(f"{name}: says that {bits} bits up to high bit {bits + shift - 1} are stored, but its values use {description}")


def _spare(words: np.ndarray, stored_bits: np.ndarray, bits: int, shift: int, signed: bool) -> np.ndarray:
    """The containers with only spare bits left, without a sign that fills all bits above the stored ones; a new array."""
    spare = words ^ (stored_bits << shift)
    if not signed:
        return spare
    upper_bits = np.asarray(_above(words, bits + shift), words.dtype)
    return np.where((stored_bits >> (bits - 1) == 1) & (spare & upper_bits == upper_bits), spare & ~upper_bits, spare)


def _above(words: np.ndarray, used_bits: int) -> int:
    """Mask of the bits of a container from bit `used_bits` on."""
    return ((1 << 8 * words.dtype.itemsize) - 1) & ~((1 << used_bits) - 1)


def _sign_fill_differs(words: np.ndarray, stored_bits: np.ndarray, bits: int, shift: int) -> bool:
    """Whether some negative values fill the bits above with ones and others with zeros: the latter are probably large positive values."""
    upper_bits = _above(words, bits + shift)
    negative = words[stored_bits >> (bits - 1) == 1] & upper_bits
    return bool(upper_bits and (negative == upper_bits).any() and (negative == 0).any())


def _declared(dataset: Dataset) -> int:
    """Mask of the bits in which the header declares an overlay."""
    declared_bits = 0
    for group in range(0x6000, 0x6020, 2):
        try:
            position = int(dataset[group, 0x0102].value) if (group, 0x0102) in dataset and (group, 0x3000) not in dataset else 0
        except Exception:  # a broken element declares nothing
            position = 0
        declared_bits |= 1 << position if 0 < position < 16 else 0
    return declared_bits


def _belongs(plane: np.ndarray, stored: np.ndarray, bits: int) -> bool:
    """Whether a plane of bits correlates with the stored values as one of their own bits would: it changes between many neighbours, or
    the values jump where it changes."""
    steps_at_change, steps_elsewhere = np.zeros(1 << bits, np.int64), np.zeros(1 << bits, np.int64)
    for bit, values in zip(plane, stored):
        for axis in (0, 1):
            changed, steps = np.diff(bit, axis=axis) != 0, np.abs(np.diff(values.astype(np.int32), axis=axis))
            steps_at_change += np.bincount(steps[changed], minlength=1 << bits)
            steps_elsewhere += np.bincount(steps[~changed], minlength=1 << bits)
    if steps_at_change.sum() > OFTEN * (steps_at_change.sum() + steps_elsewhere.sum()):
        return True
    return bool(steps_at_change.any()) and _median(steps_at_change) > TIMES * _median(steps_elsewhere) + (1 << bits) / SLACK


def _median(counts: np.ndarray) -> int:
    """The median of the values 0, 1, 2, ... with these counts; 0 if all are zero."""
    return int(np.searchsorted(np.cumsum(counts), (counts.sum() + 1) // 2))
