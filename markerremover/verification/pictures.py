"""A picture as a library read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


class UnreadError(Exception):
    """A file cannot be read, or not at its own depth; the message says why and quotes nothing of it."""


@dataclass(frozen=True)
class Picture:
    """One decoded file.

    samples: (F, H, W) or (F, H, W, C) as stored; unused bits of DICOM's containers are cleared.
    facts: what must be the same in input and output, by name.
    payload: the bytes of the pixels as stored, before decoding.
    palette: (N, 3) uint8 colours of its indices, None without one.
    dataset: of pydicom, None for other formats.
    white_is_zero: of TIFF.  alpha: whether the last channel is one.
    """

    kind: str
    samples: np.ndarray
    facts: dict[str, Any]
    payload: tuple[bytes, ...] = ()
    palette: np.ndarray | None = None
    dataset: Any = None
    white_is_zero: bool = False
    alpha: bool = False
    further: dict[str, Any] = field(default_factory=dict)

    @property
    def shape_fhw(self) -> tuple[int, int, int]:
        """Frames, rows, columns."""
        frames, height, width = self.samples.shape[:3]
        return frames, height, width
