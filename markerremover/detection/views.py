"""The pictures in which the localizer sees an image: the whole, closer ones of large and small images, and windows around some boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from .. import boxes
from ..inference.network import CLOSE_SIZE

NETWORK_GREY = 114  # grey level of the padding, as of ultralytics in training
STEP = 128  # divisor of a wide picture's sides, so that few shapes are compiled, pixels


@dataclass(frozen=True)
class Tiling:
    """Further views of large and of small images at a larger scale.

    above: longer side in source pixels from which there are further views.  scales: length of the longer side in each of them, in pixels;
    limited to the source's size.  below: longer side below which there is a further view, with a longer side of `enlarged` pixels.
    overlap: overlap of neighbouring tiles, network pixels.
    """

    above: int = 10**9
    scales: tuple[int, ...] = ()
    below: int = 0
    enlarged: int = 0
    overlap: int = 96

    def further_scales(self, longer: int) -> list[float]:
        """Scales (network px per source px) of the further views of an image with a longer side of so many source pixels."""
        if longer < self.below:
            return [self.enlarged / longer]
        return [min(1.0, target / longer) for target in self.scales] if longer >= self.above else []

    @classmethod
    def of_card(cls, card: dict) -> Tiling:
        """The `tiling` of a card; without that, the default: no further views."""
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in (card.get("tiling") or {}).items()}
        return cls(**values)


@dataclass(frozen=True)
class View:
    """One input picture of the network. window: source xyxy, integers, maxima exclusive.  scale: network pixels per source pixel.
    wide: whether the picture is as large as the window requires; else it is a square of the network's size."""

    window: tuple[int, int, int, int]
    scale: float
    wide: bool = False


def windows_around(xyxy: np.ndarray, shape_hw: tuple[int, int], scale: float) -> list[View]:
    """Windows of `CLOSE_SIZE` network pixels that together hold every box, (N, 4) integers in source pixels, shared by neighbouring
    boxes; a box too large for one window gets several that overlap by a quarter. scale: network pixels per source pixel."""
    side = max(1, int(CLOSE_SIZE / scale))
    h, w = shape_hw
    result, pending = [], [tuple(int(v) for v in box) for box in xyxy]
    while pending:
        x1, y1, x2, y2 = pending[0]
        for other in pending[1:]:
            union = min(x1, other[0]), min(y1, other[1]), max(x2, other[2]), max(y2, other[3])
            if union[2] - union[0] <= side and union[3] - union[1] <= side:
                x1, y1, x2, y2 = union
        pending = [b for b in pending[1:] if not (b[0] >= x1 and b[1] >= y1 and b[2] <= x2 and b[3] <= y2)]
        cx, cy = (x1 + x2) // 2, (y1 + y2) // 2
        width, height = max(x2 - x1, min(side, w)), max(y2 - y1, min(side, h))
        left, top = min(max(0, cx - width // 2), w - width), min(max(0, cy - height // 2), h - height)
        for a, b, c, d in boxes.tiles((height, width), side, side // 4):
            result.append(View((left + int(a), top + int(b), left + int(c), top + int(d)), scale))
    return result


def views(shape_hw: tuple[int, int], size: int, tiling: Tiling, wide: bool = False) -> list[View]:
    """The views of an image: the whole image, and for large and small ones all of it at each larger scale, in tiles or, where the network takes wide
    pictures, in one picture without cuts and overlaps.

    Args:
        shape_hw: of the image.  size: side of the network's square input.  tiling: of the card.  wide: whether the network takes wide pictures.
    """
    h, w = shape_hw
    longer = max(h, w)
    result = [View((0, 0, w, h), size / longer)]
    for scale in tiling.further_scales(longer):
        if scale <= result[0].scale * 1.05:
            continue
        if wide:
            result.append(View((0, 0, w, h), scale, True))
            continue
        windows = boxes.tiles(shape_hw, int(size / scale), int(round(tiling.overlap / scale)))
        result.extend(View((int(x1), int(y1), int(x2), int(y2)), scale) for x1, y1, x2, y2 in windows)
    return result


def scales(shape_hw: tuple[int, int], size: int, tiling: Tiling) -> tuple[float, ...]:
    """The different scales (network px per source px) of an image's `views`, ascending."""
    return tuple(sorted({view.scale for view in views(shape_hw, size, tiling)}))


def show(display: np.ndarray, view: View, size: int) -> tuple[np.ndarray, int, int]:
    """The network input of a view of an (H, W) uint8 frame.

    Returns:
        A new (h, w) uint8 picture, (size, size) unless the view is wide; left and top padding in network pixels.
    """
    x1, y1, x2, y2 = view.window
    nh, nw = (max(1, round(length * view.scale)) for length in (y2 - y1, x2 - x1))
    if view.wide:
        high, wide = (STEP * -(-length // STEP) for length in (nh, nw))
    else:
        nh, nw, high, wide = min(size, nh), min(size, nw), size, size
    crop = display[y1:y2, x1:x2]
    if crop.shape != (nh, nw):
        crop = cv2.resize(crop, (nw, nh), interpolation=cv2.INTER_AREA if view.scale < 1 else cv2.INTER_LINEAR)
    picture = np.full((high, wide), NETWORK_GREY, np.uint8)
    left, top = (wide - nw) // 2, (high - nh) // 2
    picture[top : top + nh, left : left + nw] = crop
    return picture, left, top


def usual(size: int) -> dict[str, Any]:
    """The `tiling` of a card for a localizer whose whole images have a longer side of `size` network pixels, as of the shipped weights (768)."""
    above, scale, below, enlarged, overlap = (round(length * size / 768) for length in (1500, 1280, 800, 1152, 96))
    return {"above": above, "scales": [scale], "below": below, "enlarged": enlarged, "overlap": overlap}


def fast(card: dict) -> dict:
    """A localizer's card without the text detector and without the further view of small images."""
    tiling = {k: v for k, v in (card.get("tiling") or {}).items() if k not in ("below", "enlarged")}
    return {k: v for k, v in {**card, "tiling": tiling}.items() if k != "text_detector" and (k != "tiling" or tiling)}
