"""What the drawing of one training film has at hand, and the ways that marks get onto it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from . import fonts, layers
from .scene import Scene, free_spot
from .texts import choice

TRIES = 6  # places that are tried for a mark before it is left out
ROOM_PX = 6  # a line needs this much room, however thin it is
LIGHT = 135.0  # mean grey from which print on it is dark
Group = layers.Group


@dataclass(frozen=True)
class Kit:
    """split, fonts_dir: as of `radiograph`.  who: the invented patient.  big: times the size of lead letters.
    zones: (x1, y1, x2, y2) strips outside the anatomy where captions belong, in pixels."""

    split: str
    who: dict[str, str]
    big: float = 1.0
    fonts_dir: object = None
    zones: tuple[tuple[int, int, int, int], ...] = ()


@dataclass(frozen=True)
class Ink:
    """How print is set off: `ink` and `ground` are greys; `decoration` is "plain", "outline", "shadow" or "box"."""

    ink: float
    ground: float
    decoration: str = "plain"
    opacity: float = 1.0


def cap_px(rng: np.random.Generator, scene: Scene, low: float, high: float, least: float = 6.0) -> float:
    """A letter height in pixels, log-uniform between shares of the longer side."""
    return max(least, max(scene.picture.shape) * float(np.exp(rng.uniform(np.log(low), np.log(high)))))


def glyphs(rng: np.random.Generator, kit: Kit, text: str, cap: float, face: str | None = None) -> np.ndarray:
    """A line of text as an alpha mask, as consoles, viewers and printers render it: smooth, without smoothing, in coarse
    pixels or blurred."""
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


def set_off(rng: np.random.Generator, mask: np.ndarray, element: tuple[str, str], how: Ink, cap: float) -> Group:
    """A console's print: the mask with its outline or shadow (part of it), or on a box of its own (not part of it)."""
    sheet = layers.Sheet(additive=False, digital=True)
    sheet.elements = [element]
    edge = max(1, round(cap * rng.uniform(0.05, 0.12)))
    if how.decoration == "outline":
        sheet.put(layers.grown(mask, edge), -edge, -edge, how.ground, 0, how.opacity)
    elif how.decoration == "shadow":
        dx, dy = edge, edge if rng.random() < 0.8 else -edge
        sheet.put(mask, dx, dy, how.ground, 0, how.opacity)
        if rng.random() < 0.3:
            sheet.put(mask, dx * 2, dy * 2, how.ground, 0, 0.5 * how.opacity)
    elif how.decoration == "box":
        pads = np.maximum(1, cap * rng.uniform(0.1, 0.7, 4)).astype(int)
        box_on(rng, sheet, -pads[0], -pads[1], mask.shape[1] + pads[2], mask.shape[0] + pads[3], how.ground)
    sheet.put(mask, 0, 0, how.ink, 0, how.opacity)
    return sheet.group(margin=1)


def box_on(rng: np.random.Generator, sheet: layers.Sheet, x1: float, y1: float, x2: float, y2: float, level: float) -> None:
    """A pasted box, now and then with a bright or dark edge on one side or all, or fading to one side."""
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
    """Print of a grey that shows on ground of mean grey `local`: bright as a rule, dark on light ground."""
    if local > LIGHT and rng.random() < 0.7:
        return Ink(min(level, 255 - level) * 0.8, 255.0, decoration if decoration != "plain" or local > 165 else "outline")
    return Ink(level, 0.0, decoration if local < LIGHT or decoration != "plain" else "outline")


def lay(
    rng: np.random.Generator,
    scene: Scene,
    made: Callable[[float], Group],
    shape_hw: tuple[int, int],
    *,
    spot: Callable[[], tuple[int, int] | None] | None = None,
    contrast: float = 17.0,
    tries: int = TRIES,
) -> bool:
    """Lay a group of about `shape_hw` where there is room; `made` makes it for the mean grey of the place."""
    shape_hw = max(ROOM_PX, shape_hw[0]), max(ROOM_PX, shape_hw[1])
    for _ in range(tries):
        at = spot() if spot else free_spot(rng, scene, shape_hw, 0.04)
        if at is None or not scene.free(*at, shape_hw):
            continue
        if scene.put(made(scene.local(*at, shape_hw)), *at, contrast=contrast):
            return True
    return False


def anywhere(rng: np.random.Generator, scene: Scene, shape_hw: tuple[int, int]) -> tuple[int, int]:
    """A top left corner with the whole group inside, if it fits."""
    h, w = scene.picture.shape
    return int(rng.uniform(0, max(1, w - shape_hw[1]))), int(rng.uniform(0, max(1, h - shape_hw[0])))


def over_edge(rng: np.random.Generator, scene: Scene, shape_hw: tuple[int, int], left: float) -> tuple[int, int]:
    """A top left corner so that only `left` pixels of the group lie inside the picture, at a random edge."""
    h, w = scene.picture.shape
    gh, gw = shape_hw
    x, y = anywhere(rng, scene, shape_hw)
    side = int(rng.integers(4))
    if side < 2:
        y = round(left - gh) if side == 0 else round(h - left)
    else:
        x = round(left - gw) if side == 2 else round(w - left)
    return int(x), int(y)


def turned(rng: np.random.Generator, group: Group, *, angle: float, mirrored: bool, scale: float = 1.0, opacity: float = 1.0) -> Group:
    """`markings.transformed` with the note that real labels carry."""
    found = layers.transformed(group, scale, angle, mirrored, opacity)
    note = (" mirrored" if mirrored else "") + (f" rot{round(angle) % 360}" if round(angle) % 360 else "")
    return Group([(kind, text + note) for kind, text in group.elements], found.layers, group.digital)
