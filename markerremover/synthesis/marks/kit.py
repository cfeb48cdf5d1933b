"""Settings of one training film, and helpers that lay annotations on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from . import fonts, layers
from .scene import Scene, free_spot
from .texts import choice

TRIES = 6  # maximum number of places tried for an annotation before it is omitted
ROOM_PX = 6  # minimum height and width, in pixels, of the free room for an annotation
LIGHT = 135.0  # mean grey level of the ground above which text on it is usually dark
Group = layers.Group


@dataclass(frozen=True)
class Kit:
    """Settings of one film.

    split, fonts_dir: as of `generate.radiograph`.  patient: the invented patient, by DICOM keyword.  big: factor of the size of lead
    letters.  zones: (x1, y1, x2, y2) strips outside the anatomy for captions, in pixels, maxima exclusive.
    """

    split: str
    patient: dict[str, str]
    big: float = 1.0
    fonts_dir: Path | str | None = None
    zones: tuple[tuple[int, int, int, int], ...] = ()


@dataclass(frozen=True)
class Ink:
    """Style of printed text: `ink` and `ground` are grey levels; `decoration` is "plain", "outline", "shadow" or "box"."""

    ink: float
    ground: float
    decoration: str = "plain"
    opacity: float = 1.0


def cap_px(rng: np.random.Generator, scene: Scene, low: float, high: float, least: float = 6.0) -> float:
    """A letter height in pixels, log-uniform between `low` and `high`, fractions of the longer side; at least `least` pixels."""
    return max(least, max(scene.picture.shape) * float(np.exp(rng.uniform(np.log(low), np.log(high)))))


def glyphs(rng: np.random.Generator, kit: Kit, text: str, cap: float, face: str | None = None) -> np.ndarray:
    """A line of text as an alpha mask (h, w) float32, as consoles, viewers and printers render it: smooth, without smoothing, in
    coarse pixels or blurred."""
    face = face or (fonts.STROKE_FACES[kit.split][0] if rng.random() < 0.04 else choice(rng, fonts.font_files(kit.split, kit.fonts_dir)))
    spacing = rng.uniform(0.03, 0.2) if rng.random() < 0.12 else 0.0
    kind = rng.random()
    if kind < 0.1 and cap > 9:
        step = 2 if cap < 24 else int(choice(rng, (2, 3)))
        mask = fonts.render(text, face, cap / step, weight=0.14, spacing=spacing)
        return np.kron((mask > 0.4).astype(np.float32), np.ones((step, step), np.float32))
    mask = fonts.render(text, face, cap, weight=0.14, spacing=spacing)
    if kind < 0.2:
        return (mask > 0.42).astype(np.float32)
    if kind < 0.32 and mask.size:
        return fonts.crop(cv2.GaussianBlur(np.pad(mask, 2), (0, 0), rng.uniform(0.4, 0.9)))
    return mask


def set_off(rng: np.random.Generator, mask: np.ndarray, element: tuple[str, str], ink_style: Ink, cap: float) -> Group:
    """A console's text: the mask with its outline or shadow (part of the element), or on a box (not part of it)."""
    sheet = layers.Sheet(additive=False, digital=True)
    sheet.elements = [element]
    edge = max(1, round(cap * rng.uniform(0.05, 0.12)))
    if ink_style.decoration == "outline":
        sheet.put(layers.grown(mask, edge), -edge, -edge, ink_style.ground, 0, ink_style.opacity)
    elif ink_style.decoration == "shadow":
        dx, dy = edge, edge if rng.random() < 0.8 else -edge
        sheet.put(mask, dx, dy, ink_style.ground, 0, ink_style.opacity)
        if rng.random() < 0.3:
            sheet.put(mask, dx * 2, dy * 2, ink_style.ground, 0, 0.5 * ink_style.opacity)
    elif ink_style.decoration == "box":
        pads = np.maximum(1, cap * rng.uniform(0.1, 0.7, 4)).astype(int)
        box_on(rng, sheet, -pads[0], -pads[1], mask.shape[1] + pads[2], mask.shape[0] + pads[3], ink_style.ground)
    sheet.put(mask, 0, 0, ink_style.ink, 0, ink_style.opacity)
    return sheet.group(margin=1)


def box_on(rng: np.random.Generator, sheet: layers.Sheet, x1: float, y1: float, x2: float, y2: float, level: float) -> None:
    """Put a pasted box on the sheet, sometimes with a bright or dark edge on one side or all, or fading to one side."""
    shape = max(2, round(y2 - y1)), max(2, round(x2 - x1))
    sheet.put(np.ones(shape, np.float32), x1, y1, level, -1)
    kind = rng.random()
    if kind < 0.15:
        fade = np.tile(np.linspace(0, rng.uniform(0.1, 0.4), shape[1], dtype=np.float32), (shape[0], 1))
        sheet.put(fade if rng.random() < 0.5 else np.ascontiguousarray(np.rot90(fade, 2)), x1, y1, 255 - level, -1)
    elif kind < 0.45:
        rim = np.zeros(shape, np.float32)
        sides = (rim[:1], rim[-1:], rim[:, :1], rim[:, -1:])
        for side in sides if rng.random() < 0.3 else (choice(rng, sides),):
            side[:] = 1
        sheet.put(rim, x1, y1, float(choice(rng, (255, 220, 0, 30))), -1, rng.uniform(0.5, 1.0))


def polarity(rng: np.random.Generator, local: float, level: float, decoration: str) -> Ink:
    """A style that is visible on ground of mean grey level `local`: usually bright, dark on light ground."""
    if local > LIGHT and rng.random() < 0.7:
        return Ink(min(level, 255 - level) * 0.8, 255.0, decoration if decoration != "plain" or local > 165 else "outline")
    return Ink(level, 0.0, decoration if local < LIGHT or decoration != "plain" else "outline")


def lay(
    rng: np.random.Generator,
    scene: Scene,
    make_group: Callable[[float], Group],
    shape_hw: tuple[int, int],
    *,
    spot: Callable[[], tuple[int, int] | None] | None = None,
    contrast: float = 17.0,
    tries: int = TRIES,
) -> bool:
    """Lay a group where there is room.

    Args:
        make_group: makes the group for the mean grey level of the place.
        shape_hw: approximate rows and columns of the group.
        spot: proposes a top left corner (x, y); by default `scene.free_spot`.
        contrast: minimum mean change of the image by the strokes, in grey levels.
        tries: maximum number of places tried.

    Returns:
        Whether it was laid.
    """
    shape_hw = max(ROOM_PX, shape_hw[0]), max(ROOM_PX, shape_hw[1])
    for _ in range(tries):
        corner = spot() if spot else free_spot(rng, scene, shape_hw, 0.04)
        if corner is None or not scene.free(*corner, shape_hw):
            continue
        if scene.put(make_group(scene.local(*corner, shape_hw)), *corner, contrast=contrast):
            return True
    return False


def anywhere(rng: np.random.Generator, scene: Scene, shape_hw: tuple[int, int]) -> tuple[int, int]:
    """A top left corner (x, y) with the whole group inside the image, if it fits."""
    h, w = scene.picture.shape
    return int(rng.uniform(0, max(1, w - shape_hw[1]))), int(rng.uniform(0, max(1, h - shape_hw[0])))


def over_edge(rng: np.random.Generator, scene: Scene, shape_hw: tuple[int, int], visible_px: float) -> tuple[int, int]:
    """A top left corner (x, y) so that `visible_px` rows or columns of the group lie inside the image, at a random edge."""
    h, w = scene.picture.shape
    gh, gw = shape_hw
    x, y = anywhere(rng, scene, shape_hw)
    side = int(rng.integers(4))
    if side < 2:
        y = round(visible_px - gh) if side == 0 else round(h - visible_px)
    else:
        x = round(visible_px - gw) if side == 2 else round(w - visible_px)
    return int(x), int(y)


def turned(rng: np.random.Generator, group: Group, *, angle: float, mirrored: bool, scale: float = 1.0, opacity: float = 1.0) -> Group:
    """`layers.transformed` with a note on the orientation as in real labels; `angle` in degrees."""
    result = layers.transformed(group, scale, angle, mirrored, opacity)
    note = (" mirrored" if mirrored else "") + (f" rot{round(angle) % 360}" if round(angle) % 360 else "")
    return Group([(kind, text + note) for kind, text in group.elements], result.layers, group.digital)
