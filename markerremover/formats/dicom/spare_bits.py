"""The bits of a pixel's container that are not the stored value's: whether they may be cleared, or are part of the picture.

What is there may be a plane of an overlay (60xx,0102), declared or not, the same in every pixel, or the sign. It may also be that Bits
Stored is too small or High Bit wrong; then clearing them would destroy the picture.
"""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from ...errors import HeldError

OFTEN = 0.25  # share of neighbours between which a bit may change that is a plane of its own; that of noise changes between half of them
SLACK = 64  # parts of the range by which stored values may differ more where the plane changes than elsewhere
TIMES = 3  # how many times as much they may differ there


def check(name: str, dataset: Dataset, words: np.ndarray, stored: np.ndarray, bits: int, shift: int, signed: bool) -> None:
    """Hold a picture whose spare bits are not understood.

    Args:
        name: of the file, for messages.
        words: (F, H, W) or (F, H, W, C) containers, unsigned.  stored: of the same shape, the values in them.
        bits, shift: of a stored value, and how many lie below it.

    Raises:
        HeldError: bits outside the stored ones are set here and there in more than one plane that is not declared as an overlay; one goes
            along with the picture, as a bit of its own values does; or only some negative values fill the bits above them.
    """
    mask = (1 << bits) - 1
    kept = stored.view(words.dtype) & mask
    spare = _spare(words, kept, bits, shift, signed)
    changing = int(np.bitwise_or.reduce(spare ^ spare.flat[0], axis=None))
    planes = [1 << i for i in range(8 * words.dtype.itemsize) if changing >> i & 1]
    undeclared = [plane for plane in planes if not plane & _declared(dataset)]
    mixed = signed and _markers_differ(words, kept, bits, shift)
    if len(undeclared) > 1 or mixed or any(_belongs(spare & plane, stored, bits) for plane in planes):
        used = f"bits {(changing & -changing).bit_length() - 1} to {changing.bit_length() - 1} besides" if planes else "both ways of writing a sign"
        raise HeldError(f"{name}: says that {bits} bits up to high bit {bits + shift - 1} are stored, but its values use {used}")


def _spare(words: np.ndarray, kept: np.ndarray, bits: int, shift: int, signed: bool) -> np.ndarray:
    """What is set outside the stored bits, less a sign that fills all above them."""
    spare = words ^ (kept << shift)
    if not signed:
        return spare
    above = np.asarray(_above(words, bits + shift), words.dtype)
    return np.where((kept >> (bits - 1) == 1) & (spare & above == above), spare & ~above, spare)


def _above(words: np.ndarray, used: int) -> int:
    """The bits of a container from `used` on."""
    return ((1 << 8 * words.dtype.itemsize) - 1) & ~((1 << used) - 1)


def _markers_differ(words: np.ndarray, kept: np.ndarray, bits: int, shift: int) -> bool:
    """Whether some negative values fill the bits above with ones and others with zeros: the latter are rather large positive ones."""
    full = _above(words, bits + shift)
    negative = words[kept >> (bits - 1) == 1] & full
    return bool(full and (negative == full).any() and (negative == 0).any())


def _declared(dataset: Dataset) -> int:
    """The bits in which the header says that an overlay lies."""
    found = 0
    for group in range(0x6000, 0x6020, 2):
        try:
            position = int(dataset[group, 0x0102].value) if (group, 0x0102) in dataset and (group, 0x3000) not in dataset else 0
        except Exception:  # whatever is wrong with the element, it declares nothing
            position = 0
        found |= 1 << position if 0 < position < 16 else 0
    return found


def _belongs(plane: np.ndarray, stored: np.ndarray, bits: int) -> bool:
    """Whether a plane of bits goes along with the stored values as one of their own bits would: it changes between most neighbours, or
    the values jump where it does."""
    there, elsewhere = np.zeros(1 << bits, np.int64), np.zeros(1 << bits, np.int64)
    for bit, values in zip(plane, stored):
        for axis in (0, 1):
            changed, steps = np.diff(bit, axis=axis) != 0, np.abs(np.diff(values.astype(np.int32), axis=axis))
            there += np.bincount(steps[changed], minlength=1 << bits)
            elsewhere += np.bincount(steps[~changed], minlength=1 << bits)
    if there.sum() > OFTEN * (there.sum() + elsewhere.sum()):
        return True
    return bool(there.any()) and _median(there) > TIMES * _median(elsewhere) + (1 << bits) / SLACK


def _median(counts: np.ndarray) -> int:
    """The median of values 0, 1, 2, ... that occur so many times; 0 of none."""
    return int(np.searchsorted(np.cumsum(counts), (counts.sum() + 1) // 2))
