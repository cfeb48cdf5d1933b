"""The marks of a layout drawn as groups, and laid at their places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from ...errors import UsageError
from ..marks import fonts, layers
from ..marks.scene import Scene
from ..marks.texts import choice
from . import templates
from .records import CORNERS, Colour, Layout, Mark, Place, brightness

TRIES = 12  # maximum number of places tried for a mark before it is omitted
LEADING = 0.55  # distance of lines, as a multiple of the height of capitals
PLATE_OPACITY = 0.14  # of a plate under lead letters, as a fraction of theirs


@dataclass(frozen=True)
class Tint:
    """alpha: (h, w) float32, 0 to 1, of coloured strokes whose top left corner is at (x, y), pixels.  colour: of the strokes."""

    x: int
    y: int
    alpha: np.ndarray
    colour: Colour


def tinted(image: np.ndarray, tints: Sequence[Tint], inverted: bool) -> np.ndarray | None:
    """The (H, W, 3) uint8 RGB image of a grey (H, W) uint8 one with coloured strokes; None without any. Grey and noise of the strokes stay.

    Args:
        inverted: whether the film was inverted after the strokes were drawn, and their colours with it.
    """
    if not tints:
        return None
    h, w = image.shape
    result = np.repeat(image[..., None].astype(np.float32), 3, axis=2)
    for tint in tints:
        ah, aw = tint.alpha.shape
        x1, y1, x2, y2 = max(0, tint.x), max(0, tint.y), min(w, tint.x + aw), min(h, tint.y + ah)
        alpha = tint.alpha[y1 - tint.y : y2 - tint.y, x1 - tint.x : x2 - tint.x, None]
        offset = np.array(tint.colour, np.float32) - np.float32(brightness(tint.colour))
        result[y1:y2, x1:x2] += alpha * (-offset if inverted else offset)
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)


@dataclass
class Drawn:
    """Names of marks that were drawn, one entry for each, of those that found no place, and what coloured ones add to the grey film."""

    kinds: list[str] = field(default_factory=list)
    omitted: list[str] = field(default_factory=list)
    tints: list[Tint] = field(default_factory=list)


def draw(
    rng: np.random.Generator, scene: Scene, layout: Layout, layer: str, split: str, patient: dict[str, str],
    faces: dict[str, tuple[str, ...]], drawn: Drawn,
) -> None:
    """Draw all marks of one layer on a scene.

    Args:
        faces: font files by name of the mark.
        drawn: gets the names.

    Raises:
        UsageError: a mark is larger than its place even at its least size, or its place is not inside the image.
    """
    for index, mark in enumerate(layout.marks):
        if mark.layer != layer or rng.random() >= mark.frequency:
            continue
        for _ in range(int(rng.integers(mark.count[0], mark.count[1] + 1))):
            text = templates.filled(rng, choice(rng, mark.texts), split, patient, dict(layout.texts))
            laid = _lay(rng, scene, mark, text, choice(rng, faces[mark.name]), f"{layout.source}: marks[{index}] ({mark.name})", drawn.tints)
            (drawn.kinds if laid else drawn.omitted).append(mark.name)


def _lay(rng: np.random.Generator, scene: Scene, mark: Mark, text: str, face: str, where: str, tints: list[Tint]) -> bool:
    """Draw one mark at one of its places; whether it found room and is visible there. `tints` gets its colour."""
    place = choice(rng, mark.places)
    area = _area(scene, place, mark, where)
    unit = 1.0 if mark.size_in_pixels else float(max(scene.picture.shape))
    cap = rng.uniform(*mark.size) * unit
    colour = mark.colours[int(rng.integers(len(mark.colours)))] if mark.colours else None
    state = rng.bit_generator.state
    group = _group(rng, mark, text, face, cap, colour)
    if not _fits(group, area):
        rng.bit_generator.state = state
        group = _group(rng, mark, text, face, mark.size[0] * unit, colour)
    shape = group.layers[0].alpha.shape
    if not _fits(group, area):
        x1, y1, x2, y2 = area
        raise UsageError(
            f"{where}: at its least size a mark has {shape[1]} x {shape[0]} pixels, which do not fit into its place of {int(x2 - x1)} x {int(y2 - y1)} "
            f"in an image of {scene.picture.shape[1]} x {scene.picture.shape[0]}: allow a smaller size or a larger place")
    for x, y in _spots(rng, place, area, shape):
        if scene.free(x, y, shape) and scene.put(group, x, y, contrast=mark.contrast):
            if colour is not None:
                tints.append(Tint(x, y, _strokes(group, brightness(colour)), colour))
            return True
    return False


def _area(scene: Scene, place: Place, mark: Mark, where: str) -> tuple[float, float, float, float]:
    """The part of the image that the place allows, xyxy in pixels."""
    h, w = scene.picture.shape
    if place.name == "anywhere":
        return 0.0, 0.0, float(w), float(h)
    if place.name:
        margin = min(mark.margin * max(h, w), 0.4 * min(h, w))
        return margin, margin, w - margin, h - margin
    x1, y1, x2, y2 = place.box
    if not place.in_pixels:
        return x1 * w, y1 * h, x2 * w, y2 * h
    if x2 > w or y2 > h:
        raise UsageError(f"{where}: its place box_px {place.box} is not inside an image of {w} x {h} pixels")
    return place.box


def _fits(group: layers.Group, area: tuple[float, float, float, float]) -> bool:
    h, w = group.layers[0].alpha.shape
    return w <= area[2] - area[0] and h <= area[3] - area[1]


def _spots(rng: np.random.Generator, place: Place, area: tuple[float, float, float, float], shape_hw: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Top left corners in the area, one after the other: at corners stacked from the corner on, else random."""
    (x1, y1, x2, y2), (h, w) = area, shape_hw
    for number in range(TRIES):
        x, y = rng.uniform(x1, max(x1, x2 - w)), rng.uniform(y1, max(y1, y2 - h))
        if place.name in CORNERS:
            step = number * (h + 1)
            y = y1 + step if place.name.startswith("top") else y2 - h - step
            if not y1 <= y <= y2 - h:
                return
            x = x1 if place.name.endswith("left") else x2 - w
        elif place.name in ("top", "bottom"):
            y = y1 if place.name == "top" else y2 - h
        elif place.name in ("left", "right"):
            x = x1 if place.name == "left" else x2 - w
        yield int(np.ceil(x1)) if x == x1 else int(x), int(np.ceil(y1)) if y == y1 else int(y)


def _strokes(group: layers.Group, level: float) -> np.ndarray:
    """(h, w) float32: how much of each pixel shows the layers of one level, above others and below holes."""
    seen: np.ndarray = np.zeros(group.layers[0].alpha.shape, np.float32)
    for layer in group.layers:
        is_own = not isinstance(layer.level, np.ndarray) and layer.level == level
        seen = seen + layer.alpha * (1 - seen) if is_own else seen * (1 - layer.alpha)
    return seen


def _group(rng: np.random.Generator, mark: Mark, text: str, face: str, cap: float, colour: Colour | None) -> layers.Group:
    """One mark: each line of its text an element, decorated, turned and mirrored."""
    masks = [fonts.render(line, face, cap, weight=0.14) for line in text.split("\n")]
    level, ground, opacity = rng.uniform(*mark.grey), rng.uniform(*mark.ground), rng.uniform(*mark.opacity)
    level = level if colour is None else brightness(colour)
    style, angle, mirrored = choice(rng, mark.styles), choice(rng, mark.turns) + rng.uniform(*mark.rotation), rng.random() < mark.mirrored
    sheet = layers.Sheet(additive=mark.layer == "lead", digital=mark.layer == "console")
    lines, y = [], 0.0
    for line, mask in zip(text.split("\n"), masks):
        lines.append((mask, y, sheet.element(mark.kind, line)))
        y += mask.shape[0] + LEADING * cap
    _ground(sheet, style, lines, cap, level, ground, opacity)
    for mask, top, element in lines:
        if style == "cut-out":
            sheet.put(mask, 0, top, layers.HOLE, element)
        else:
            sheet.put(mask, 0, top, level, element, opacity)
    return _turned(sheet.group(margin=1), angle, mirrored, cap if mark.layer == "lead" else 0.0)


Line = tuple[np.ndarray, float, int]


def _ground(sheet: layers.Sheet, style: str, lines: list[Line], cap: float, level: float, ground: float, opacity: float) -> None:
    """What lies under the letters. Outline, shadow, frame and ring belong to the annotation; boxes and plates do not, as in real labels."""
    edge = max(1, round(0.08 * cap))
    if style in ("outline", "shadow"):
        for mask, top, element in lines:
            if style == "outline":
                sheet.put(layers.grown(mask, edge), -edge, top - edge, ground, element, opacity)
            else:
                sheet.put(mask, edge, top + edge, ground, element, opacity)
        return
    if style == "plain":
        return
    width, height = max(mask.shape[1] for mask, _, _ in lines), lines[-1][1] + lines[-1][0].shape[0]
    pad = max(2, round(0.35 * cap))
    element = lines[0][2]
    if style == "box":
        sheet.put(np.ones((round(height) + 2 * pad, width + 2 * pad), np.float32), -pad, -pad, ground, -1, opacity)
    elif style == "frame":
        box = np.ones((round(height) + 2 * pad, width + 2 * pad), np.float32)
        box[edge:-edge, edge:-edge] = 0
        sheet.put(box, -pad, -pad, level, element, opacity)
    elif style == "ring":
        diameter = float(np.hypot(width, height)) + 2 * pad
        ring = layers.plate("circle", diameter, diameter, frame=max(1.2, 0.1 * cap))
        sheet.put(ring, (width - ring.shape[1]) / 2, (height - ring.shape[0]) / 2, level, element, opacity)
    else:
        plate = layers.plate("round_rect", width + 2.5 * pad, height + 2.5 * pad)
        share = 1.0 if style == "cut-out" else PLATE_OPACITY
        sheet.put(plate, (width - plate.shape[1]) / 2, (height - plate.shape[0]) / 2, level, -1, opacity * share)


def _turned(group: layers.Group, angle: float, mirrored: bool, soft_cap: float) -> layers.Group:
    """The group mirrored, then turned counter-clockwise by `angle` degrees, and for lead of letters `soft_cap` pixels high softened. Texts
    get notes as in real labels."""
    quarter = angle % 90 == 0
    note = (" mirrored" if mirrored else "") + (f" rot{round(angle / 15) * 15 % 360}" if round(angle / 15) % 24 else "")
    turned = []
    for layer in group.layers:
        alpha = layer.alpha[:, ::-1] if mirrored else layer.alpha
        alpha = np.rot90(alpha, int(angle // 90) % 4) if quarter else _by_degrees(alpha, angle)
        if soft_cap:
            alpha = cv2.GaussianBlur(np.pad(alpha, 3), (0, 0), 0.4 + 0.012 * soft_cap)
        turned.append(layers.Layer(np.ascontiguousarray(alpha, np.float32), layer.level, layer.element, layer.additive))
    return layers.Group([(kind, text + note) for kind, text in group.elements], turned, group.digital)


def _by_degrees(alpha: np.ndarray, angle: float) -> np.ndarray:
    h, w = alpha.shape
    c, s = abs(np.cos(np.radians(angle))), abs(np.sin(np.radians(angle)))
    nw, nh = int(w * c + h * s) + 3, int(w * s + h * c) + 3
    matrix = cv2.getRotationMatrix2D((w / 2 - 0.5, h / 2 - 0.5), angle, 1.0)
    matrix[:, 2] += (nw - w) / 2, (nh - h) / 2
    return cv2.warpAffine(np.ascontiguousarray(alpha, np.float32), matrix, (nw, nh), flags=cv2.INTER_LINEAR)
