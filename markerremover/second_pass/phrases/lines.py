"""Boxes of one line of print. Boxes are (4,) or (N, 4) xyxy in source pixels; a line is level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["in_line", "lines_of"]

JOINED_GAP = 5.0  # greatest gap between boxes of one line, in the height of the lower one
SAME_HEIGHT = 2.2  # greatest ratio of the heights of boxes that are joined: a lead marker beside small print is no part of its line
LEAST_OVERLAP = 0.5  # least overlap in height, as a fraction of the lower box's


def in_line(a: np.ndarray, b: np.ndarray, gap: float = JOINED_GAP) -> bool:
    """Whether two boxes lie beside or over each other in one line.

    Args:
        a, b: (4,) xyxy.  gap: greatest distance, in the height of the lower one.
    """
    low = min(a[3] - a[1], b[3] - b[1])
    overlap = min(a[3], b[3]) - max(a[1], b[1])
    return bool(overlap >= LEAST_OVERLAP * low and max(a[0], b[0]) - min(a[2], b[2]) <= gap * low)


def lines_of(boxes: np.ndarray) -> list[tuple[int, ...]]:
    """Boxes by line: boxes that follow each other, directly or over others, belong to one.

    >>> lines_of(np.array([[0, 0, 20, 10], [30, 1, 60, 11], [0, 40, 20, 50]]))
    [(0, 1), (2,)]

    Args:
        boxes: (N, 4) xyxy.

    Returns:
        Tuples of indices; each box is in one.
    """
    line_of: list[int] = list(range(len(boxes)))
    for i in range(len(boxes)):
        for j in range(i):
            if _are_joined(boxes[i], boxes[j]):
                old, new = line_of[i], line_of[j]
                line_of = [new if line == old else line for line in line_of]
    return [tuple(i for i, line in enumerate(line_of) if line == each) for each in dict.fromkeys(line_of)]


def _are_joined(a: np.ndarray, b: np.ndarray) -> bool:
    heights: Sequence[float] = sorted((float(a[3] - a[1]), float(b[3] - b[1])))
    return heights[1] <= SAME_HEIGHT * heights[0] and in_line(a, b)
