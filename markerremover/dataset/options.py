"""The options of an export, with their defaults."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError

WINDOWS = ("header", "percentile")
BITS = (8, 16)
PARTS = ("train", "val", "test")
MOST_PX = 16384  # longest allowed side of a picture, pixels


@dataclass(frozen=True)
class ExportOptions:
    """What `export.export_dataset` writes.

    audit: folder of the run; None for CLEAN-audit.  bits: of a pixel.
    window: "header": the file's own window where it has one; "percentile": between percentiles of the pixels that were not removed.
    size: longer side, or (width, height), pixels; None leaves the size.  pad: whether the rest of that size is filled with black;
        None pads where `size` has two numbers.
    shares: of patients in train, val and test; together 1.  seed: of the split.
    patients: CSV of users with columns `file` and `patient`, perhaps `study` and `source_column`.
    source_column: column of `patients` by which the split is stratified; None takes the top folder.
    one_image_a_patient: every raster file without a row in `patients` is a patient of its own.
    key: file of the run's key; None for that of the run.  skip: quality flags; images that have one are left out.

    Raises:
        UsageError: a value is out of range.
    """

    audit: Path | None = None
    bits: int = 8
    window: str = "header"
    size: int | tuple[int, int] | None = None
    pad: bool | None = None
    shares: tuple[float, ...] = (0.8, 0.1, 0.1)
    seed: int = 0
    patients: Path | None = None
    source_column: str | None = None
    one_image_a_patient: bool = False
    key: Path | None = None
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.bits not in BITS:
            raise UsageError(f"bits is {self.bits}, allowed are 8 and 16")
        if self.window not in WINDOWS:
            raise UsageError(f"window is {self.window!r}, allowed are {', '.join(WINDOWS)}")
        sides = () if self.size is None else self.size if isinstance(self.size, tuple) else (self.size,)
        if not all(1 <= side <= MOST_PX for side in sides):
            raise UsageError(f"size is {self.size}, allowed is 1 to {MOST_PX} pixels")
        if self.pad is not None and self.size is None:
            raise UsageError("--pad and --no-pad need --size")
        if len(self.shares) != len(PARTS) or not all(0 <= share <= 1 for share in self.shares) or not math.isclose(sum(self.shares), 1, abs_tol=1e-6):
            raise UsageError(f"split is {','.join(map(str, self.shares))}, allowed are three shares of {', '.join(PARTS)} that are 1 together")
        if self.source_column is not None and self.patients is None:
            raise UsageError("--source-column needs --patients, whose column it names")

    @property
    def is_padded(self) -> bool:
        """Whether pictures are filled up with black."""
        return isinstance(self.size, tuple) if self.pad is None else self.pad
