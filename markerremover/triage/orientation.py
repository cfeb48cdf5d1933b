"""Flags about how a picture is turned: inverted, upside down, mirrored. They are raised only where the anatomy leaves no doubt.

A frontal chest is recognised by correlation with a drawn template of two lungs between shoulders and abdomen. Grey levels are
replaced by their ranks, so that window and exposure do not matter. Other body parts have no known orientation. What looks most like a chest both
inverted and upside down is something else, such as a pelvis, and has neither flag.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from ..records import Decision
from .content import ring

TEMPLATE_PX = 24  # side of the template
PICTURE_PX = (28, 32, 38, 46)  # longer sides of the picture in which it is searched
LEAST_MATCH = 0.6  # correlation of a chest that is recognised
LEAST_LEAD = 0.2  # by which it exceeds that of every other orientation
HEART_LEAD = 0.05  # difference in rank between the two sides of the lower mediastinum that speaks for a side of the heart
BRIGHT_GROUND, DARKER = 200, 25  # lower quartile of the edge of an inverted film, grey levels, and how much darker the centre is
BLACK, BLACK_SHARE = 64, 0.02  # grey level of air on ordinary films, and the largest share of an inverted one below it
MOSTLY_BLACK = 0.5  # largest share of an inverted chest that is as dark as air on ordinary films


class Chest(NamedTuple):
    """Correlations, -1 to 1, of the best place of the template: upright, upside down, and both in inverted grey levels.

    heart: rank on the right of the lower mediastinum in the upright place less that on the left, -1 to 1.
    """

    upright: float
    down: float
    inverted: float
    inverted_down: float
    heart: float

    def is_best(self, value: float) -> bool:
        """Whether one of the correlations is high and leads all others."""
        others = sorted((self.upright, self.down, self.inverted, self.inverted_down))
        return value == others[-1] and value >= LEAST_MATCH and value - others[-2] >= LEAST_LEAD


def chest(view: np.ndarray) -> Chest:
    """Search a frontal chest in a (h, w) uint8 view."""
    best = dict.fromkeys(("upright", "down", "inverted", "inverted_down"), -1.0)
    heart = 0.0
    for longest in PICTURE_PX:
        scale = longest / max(view.shape)
        size = max(TEMPLATE_PX, round(view.shape[1] * scale)), max(TEMPLATE_PX, round(view.shape[0] * scale))
        picture = _ranks(cv2.resize(view, size, interpolation=cv2.INTER_AREA))
        for name, template in (("upright", _template()), ("down", _template()[::-1])):
            low, high, _, place = cv2.minMaxLoc(cv2.matchTemplate(picture, np.ascontiguousarray(template), cv2.TM_CCOEFF_NORMED))
            if high > best[name]:
                best[name] = high
                if name == "upright":
                    heart = _heart(picture[place[1] : place[1] + TEMPLATE_PX, place[0] : place[0] + TEMPLATE_PX])
            other = "inverted" if name == "upright" else "inverted_down"
            best[other] = max(best[other], -low)
    return Chest(**best, heart=heart)


def is_inverted(view: np.ndarray, found: Chest) -> bool:
    """Whether bone is dark in a (h, w) uint8 view: a chest with bright lungs, or an even bright ground around a darker body part."""
    if found.is_best(found.inverted) and (view < BLACK).mean() <= MOSTLY_BLACK:
        return True
    return found.upright < LEAST_MATCH and _bright_ground(view)


def is_upside_down(found: Chest) -> bool:
    """Whether a chest has its head below."""
    return found.is_best(found.down)


def is_mirrored(found: Chest, decisions: Sequence[Decision], width_px: int) -> bool:
    """Whether a chest is shown from behind: every laterality marker reads mirrored and is on the side where a mirrored film has it, and
    the heart does not speak against it.

    A mirrored letter alone is no evidence, since a lead letter may lie face down; nor is the heart, which may be on the right.

    Args:
        decisions: of the cleaned file.  width_px: of the picture.
    """
    readings = [d.reading for d in decisions if d.action == "keep" and d.reading is not None and d.reading.text[:1] in ("L", "R")]
    if not readings or not found.is_best(found.upright) or found.heart > -HEART_LEAD:
        return False
    on_right = [sum(reading.xyxy[::2]) / 2 > width_px / 2 for reading in readings]
    return all(reading.mirrored and (reading.text[0] == "R") == right for reading, right in zip(readings, on_right))


def _bright_ground(view: np.ndarray) -> bool:
    """Whether the edge of a view is bright, the body part inside darker, and nearly nothing black, as air is on ordinary films."""
    low, middle = np.percentile(ring(view), (25, 50))
    height, width = view.shape
    centre = view[height // 4 : height - height // 4, width // 4 : width - width // 4]
    return bool(low >= BRIGHT_GROUND and middle - np.median(centre) >= DARKER and (view < BLACK).mean() <= BLACK_SHARE)


def _heart(picture: np.ndarray) -> float:
    """Rank on the right of the lower mediastinum less that on the left, in a chest of `TEMPLATE_PX`."""
    rows, n = slice(round(0.5 * TEMPLATE_PX), round(0.75 * TEMPLATE_PX)), TEMPLATE_PX
    right, left = picture[rows, round(0.57 * n) : round(0.72 * n)], picture[rows, n - round(0.72 * n) : n - round(0.57 * n)]
    return float(right.mean() - left.mean())


def _ranks(picture: np.ndarray) -> np.ndarray:
    """Grey levels replaced by their ranks from 0 to 1, float32."""
    ranks = np.empty(picture.size, np.float32)
    ranks[np.argsort(picture.ravel(), kind="stable")] = np.linspace(0, 1, picture.size, dtype=np.float32)
    return ranks.reshape(picture.shape)


@cache
def _template() -> np.ndarray:
    """A drawn chest, `TEMPLATE_PX` square float32: lungs that widen downwards, spine, heart, abdomen, air over the shoulders."""
    y, x = (np.mgrid[0:TEMPLATE_PX, 0:TEMPLATE_PX] + 0.5) / TEMPLATE_PX
    values = np.full((TEMPLATE_PX, TEMPLATE_PX), 0.55)
    half_width = 0.05 + 0.15 * np.clip((y - 0.08) / 0.5, 0, 1)
    for side in (-1, 1):
        is_lung = (np.abs(x - 0.5 - side * (0.17 + 0.09 * y)) < half_width) & (y > 0.1) & (y < 0.78)
        values -= 0.55 * is_lung
    values += 0.35 * (np.abs(x - 0.5) < 0.08)
    values += 0.25 * ((x > 0.5) & (x < 0.68) & (y > 0.5) & (y < 0.8))
    values += 0.35 * (y > 0.82)
    values -= 0.3 * ((y < 0.08) & (np.abs(x - 0.5) > 0.3))
    return cv2.GaussianBlur(values.astype(np.float32), (0, 0), 1.0)
