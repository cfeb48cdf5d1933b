"""Counts on labelled radiographs, and their statistics: rates, exact intervals, Fisher's exact test.

The measures are those of Khosravi et al., Radiology: Artificial Intelligence 2023;5(6):e230085.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .. import boxes
from ..records import LATERALITY, MARKER, Element

REMOVED_SHARE = 0.95  # lowest share of an annotation's strokes that is black where it counts as removed
CHANGED_SHARE = 0.10  # highest share of a laterality marker's strokes that may change where it counts as retained
NEAR = 0.008  # greatest distance of a true box from an annotated element, as a fraction of the image's longer side
LEAST_CONTRAST = 8  # lowest contrast of strokes with their surroundings, grey levels


@dataclass(frozen=True)
class Counts:
    """Sums over radiographs.

    images: all of them.  held: those without a result; nothing in them counts as removed or retained.
    marked: images with a `marker` element.  deidentified: of those, the ones with every such element removed.
    markers, removed: `marker` elements, and those removed.
    laterality_markers, retained: `laterality` elements, and those left as they were.
    boxes, false_boxes: boxes with a decision, and those farther than `NEAR` from every annotated element.
    """

    images: int = 0
    held: int = 0
    marked: int = 0
    deidentified: int = 0
    markers: int = 0
    removed: int = 0
    laterality_markers: int = 0
    retained: int = 0
    boxes: int = 0
    false_boxes: int = 0

    def __add__(self, other: Counts) -> Counts:
        other_counts = asdict(other)
        return Counts(**{name: value + other_counts[name] for name, value in asdict(self).items()})


#: Rate -> the counts it is made of: successes, trials.
RATES = {
    "de-identification accuracy": ("deidentified", "marked"),
    "retention accuracy": ("retained", "laterality_markers"),
    "false-positive rate": ("false_boxes", "boxes"),
    "marker recall": ("removed", "markers"),
}


def element_strokes(display: np.ndarray, elements: Sequence[Element]) -> list[np.ndarray]:
    """One new (H, W) bool mask per element: its strokes; empty where none stand out.

    Where the boxes of a `laterality` and a `marker` overlap, the largest stroke in the box of the laterality marker is its letter; all other
    strokes in both boxes belong to the `marker`.

    Args:
        display: (H, W) uint8; not changed.
        elements: xyxy in the pixels of `display`.
    """
    windows = [_window(e, display.shape) for e in elements]
    masks = []
    for window in windows:
        mask = np.zeros(display.shape, bool)
        mask[window] = _ink(display, window)
        masks.append(mask)
    for i, laterality in enumerate(elements):
        for j, marker in enumerate(elements):
            if laterality.kind == LATERALITY and marker.kind == MARKER and _overlap(laterality, marker):
                _share_out(masks, i, j, windows)
    return masks


def _window(element: Element, shape_hw: tuple[int, int]) -> tuple[slice, slice]:
    """The element's whole pixels inside the image, at least one each way."""
    x1, y1, x2, y2 = (int(round(v)) for v in element.xyxy)
    x1, y1 = min(max(0, x1), shape_hw[1] - 1), min(max(0, y1), shape_hw[0] - 1)
    return slice(y1, max(y1 + 1, min(y2, shape_hw[0]))), slice(x1, max(x1 + 1, min(x2, shape_hw[1])))


def _ink(display: np.ndarray, window: tuple[slice, slice]) -> np.ndarray:
    """Strokes inside a window: Otsu on the white top-hat, or on the black one where it holds clearly more energy."""
    import cv2

    rows, columns = window
    h, w = rows.stop - rows.start, columns.stop - columns.start
    y0, x0 = max(0, rows.start - 4), max(0, columns.start - 4)
    around = np.ascontiguousarray(display[y0 : rows.stop + 4, x0 : columns.stop + 4])
    side = int(max(9, 0.9 * min(h, w))) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    inner = np.s_[rows.start - y0 : rows.start - y0 + h, columns.start - x0 : columns.start - x0 + w]
    bright, dark = (cv2.morphologyEx(around, kind, kernel)[inner] for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT))
    energy_bright, energy_dark = (float(np.square(a.astype(np.float32)).sum()) for a in (bright, dark))
    hat = np.ascontiguousarray(dark if energy_dark > 2 * energy_bright else bright)
    threshold, _ = cv2.threshold(hat.reshape(1, -1), 0, 255, cv2.THRESH_OTSU)
    return hat > max(threshold, LEAST_CONTRAST)


def _overlap(a: Element, b: Element) -> bool:
    return bool(boxes.intersection(np.array([a.xyxy], np.float64), np.array([b.xyxy], np.float64))[0, 0] > 0)


def _share_out(masks: list[np.ndarray], laterality: int, marker: int, windows: list[tuple[slice, slice]]) -> None:
    """Divide the strokes of an overlapping laterality marker and annotation, in place."""
    import cv2

    labels = cv2.connectedComponents((masks[laterality] | masks[marker]).astype(np.uint8))[1]
    sizes = np.bincount(labels[windows[laterality]].ravel(), minlength=2)
    sizes[0] = 0
    letter = (labels == sizes.argmax()) & (labels > 0)
    masks[marker] &= ~(cv2.dilate(letter.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
    elsewhere = np.ones(letter.shape, bool)
    elsewhere[windows[marker]] = False
    masks[laterality] &= letter | elsewhere


def interval(k: int, n: int) -> tuple[float, float]:
    """Exact two-sided 95 % (Clopper-Pearson) interval of k successes in n trials, 0–1; (0, 1) for no trials."""
    from scipy.stats import binomtest

    if not n:
        return 0.0, 1.0
    limits = binomtest(k, n).proportion_ci(0.95, method="exact")
    return float(limits.low), float(limits.high)


def rate(k: float, n: float) -> dict[str, Any]:
    """k of n as a JSON object: `k`, `n`, `value` (None for no trials) and the limits `low95`, `high95`, to four places."""
    k, n = int(k), int(n)
    low, high = interval(k, n)
    return {"k": k, "n": n, "value": round(k / n, 4) if n else None, "low95": round(low, 4), "high95": round(high, 4)}


def rates(counts: Counts) -> dict[str, dict[str, Any]]:
    """Name in `RATES` -> `rate`."""
    values = asdict(counts)
    return {name: rate(values[k], values[n]) for name, (k, n) in RATES.items()}


def fisher(before: tuple[int, int], after: tuple[int, int]) -> float | None:
    """Two-sided P of Fisher's exact test that two rates, each (successes, trials), are the same; None without trials.

    The test takes both rates as independent, as Khosravi et al. 2023 did. For the same images before and after it is conservative.
    """
    from scipy.stats import fisher_exact

    if not before[1] or not after[1]:
        return None
    return float(fisher_exact([[k, n - k] for k, n in (before, after)])[1])


def compare(before: Counts, after: Counts) -> dict[str, dict[str, Any]]:
    """Name in `RATES` -> {"before": rate, "after": rate, "p_fisher": P to four places or None}."""
    old, new = rates(before), rates(after)
    result = {}
    for name in RATES:
        p = fisher((old[name]["k"], old[name]["n"]), (new[name]["k"], new[name]["n"]))
        result[name] = {"before": old[name], "after": new[name], "p_fisher": None if p is None else round(p, 4)}
    return result


def in_words(value: dict[str, Any]) -> str:
    """A `rate` as "95.0 % (19/20; 75–100)", limits in per cent.

    >>> in_words({"k": 19, "n": 20, "value": 0.95, "low95": 0.7513, "high95": 0.9987})
    '95.0 % (19/20; 75–100)'
    """
    if value["value"] is None:
        return "none to count"
    return f"{100 * value['value']:.1f} % ({value['k']}/{value['n']}; {100 * value['low95']:.0f}–{100 * value['high95']:.0f})"
