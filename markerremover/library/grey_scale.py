"""Arrays whose values are no 8 or 16 bit integers, as 16-bit stored values and back; and the window that says which of them show as black."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..errors import UsageError

LOW, HIGH, TOP = 1 << 14, 3 << 14, (1 << 16) - 1  # levels of the window's ends, and the greatest; the rest is for values outside the window


@dataclass(frozen=True)
class Window:
    """What a viewer shows of an array's values: `low` and below as black, `high` and above as white.

    Raises:
        UsageError: an end is no finite number, or `low` is not below `high`.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        try:
            low, high = float(self.low), float(self.high)
        except (TypeError, ValueError):
            raise UsageError(f"window is ({self.low!r}, {self.high!r}), needs two numbers, low and high") from None
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise UsageError(f"window is ({low}, {high}), needs finite numbers, low < high")
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @classmethod
    def of_center(cls, center: float, width: float) -> Window:
        """The window of a centre and a width, as DICOM's LINEAR_EXACT has it.

        >>> Window.of_center(40, 400)
        Window(low=-160.0, high=240.0)
        """
        return cls(center - width / 2, center + width / 2)

    @property
    def center_width(self) -> tuple[float, float]:
        """Centre and width."""
        return (self.low + self.high) / 2, self.high - self.low


@dataclass(frozen=True)
class Levels:
    """16-bit levels of real values: half of them, evenly spaced, for the window, and a quarter for each side of it, logarithmically, so that
    what lies outside the window can be told apart too, and one extreme value does not take all levels.

    window: of the values.  least, greatest: of the values.
    """

    window: Window
    least: float
    greatest: float

    @classmethod
    def of(cls, values: np.ndarray, window: Window) -> Levels:
        """The levels for an array of finite values."""
        return cls(window, float(values.min()), float(values.max()))

    def levels(self, values: np.ndarray) -> np.ndarray:
        """The level of each value; a new uint16 array of the same shape."""
        low, width = self.window.low, self.window.high - self.window.low
        share = (values.astype(np.float64) - low) / width
        result = LOW + np.clip(share, 0, 1) * (HIGH - LOW)
        below, above = self._depths
        if below:
            result -= np.log1p(np.maximum(-share, 0)) / below * LOW
        if above:
            result += np.log1p(np.maximum(share - 1, 0)) / above * (TOP - HIGH)
        return np.round(result).astype(np.uint16)

    def values(self, levels: np.ndarray) -> np.ndarray:
        """The value that each level stands for, float64; `LOW` is exactly the window's low end."""
        low, width = self.window.low, self.window.high - self.window.low
        below, above = self._depths
        share = np.clip((levels.astype(np.float64) - LOW) / (HIGH - LOW), 0, 1)
        share -= np.expm1(np.maximum(LOW - levels.astype(np.float64), 0) / LOW * below)
        share += np.expm1(np.maximum(levels.astype(np.float64) - HIGH, 0) / (TOP - HIGH) * above)
        return low + share * width

    @property
    def _depths(self) -> tuple[float, float]:
        """Logarithms of how far the values reach below and above the window, 0 where they do not."""
        width = self.window.high - self.window.low
        return math.log1p(max(self.window.low - self.least, 0) / width), math.log1p(max(self.greatest - self.window.high, 0) / width)
