"""Synthetic radiographs with exact truth: one at a time (`radiograph`) or as a folder (`synthesize`)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..errors import UsageError
from ..records import Annotation, Element, locked
from . import backgrounds, console, degrade, distractors, lead, markings, real, words
from .words import choice

ALPHA_MIN = 0.35  # a pixel belongs to a stroke from this opacity
SEEN_MIN = 6.0  # and where it changed the picture by this many grey levels
CONTRAST_MIN = 17.0  # a marking whose strokes change the picture by less, on average, is not drawn
VISIBLE_MIN = 0.35  # with less of its strokes inside the picture it is only "uncertain"
CAP_MIN_PX = 7.0
CUT = " (cut)"  # ends the text of what the picture's edge cuts


@dataclass(frozen=True)
class SyntheticRadiograph:
    """One synthetic picture and its truth.

    image: (H, W) uint8.  annotation: tight boxes of every element.  ink: (H, W) uint16, 0 or 1 + index of the element
    whose stroke a pixel is.  body: "chest", "pelvis", "limb" or "real".  header: the invented patient, by DICOM keyword.
    """

    image: np.ndarray
    annotation: Annotation
    ink: np.ndarray
    body: str
    header: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", locked(self.image))
        object.__setattr__(self, "ink", locked(self.ink))


class Scene:
    """A picture being marked: pixels, the ink map, and where there is still room."""

    def __init__(self, picture: np.ndarray):
        self.picture = picture
        self.ink = np.zeros(picture.shape, np.uint16)
        self.taken = np.zeros(picture.shape, bool)
        self.elements: list[tuple[str, str]] = []

    def free(self, x: int, y: int, shape_hw: tuple[int, int]) -> bool:
        h, w = self.picture.shape
        x1, y1, x2, y2 = max(0, x), max(0, y), min(w, x + shape_hw[1]), min(h, y + shape_hw[0])
        return x2 - x1 > 4 and y2 - y1 > 4 and not self.taken[y1:y2, x1:x2].any()

    def put(self, group: markings.Group, x: int, y: int, contrast: float = CONTRAST_MIN) -> bool:
        """Lay a group with its top left corner at (x, y), unless one of its elements would hardly be seen."""
        h, w = self.picture.shape
        gh, gw = group.layers[0].alpha.shape
        x1, y1, x2, y2 = max(0, x), max(0, y), min(w, x + gw), min(h, y + gh)
        if x2 - x1 < 3 or y2 - y1 < 3:
            return False
        window = slice(y1 - y, y2 - y), slice(x1 - x, x2 - x)
        before = self.picture[y1:y2, x1:x2]
        patch, ink = before.copy(), np.zeros(before.shape, np.uint16)
        change = np.zeros(len(group.elements))
        strokes, inside = np.zeros(len(group.elements)), np.zeros(len(group.elements))
        for layer in group.layers:
            alpha = layer.alpha[window]
            under, target = patch, before if layer.level == markings.HOLE else np.float32(layer.level)
            if layer.additive:
                target = np.maximum(target, under)
            patch = under + alpha * (target - under)
            if layer.element >= 0:
                solid = layer.alpha > ALPHA_MIN * max(float(layer.alpha.max()), 1e-3)
                here = solid[window]
                difference = np.abs(patch - under)
                strokes[layer.element] += solid.sum()
                inside[layer.element] += here.sum()
                change[layer.element] = max(change[layer.element], float(difference[here].mean()) if here.any() else 0.0)
                ink[here & (difference > SEEN_MIN)] = layer.element + 1
        kept, kinds = {}, []
        for i, (kind, text) in enumerate(group.elements):
            share, pixels = inside[i] / max(1, strokes[i]), int((ink == i + 1).sum())
            if inside[i] and (change[i] < contrast or pixels < max(4, (0.6 if group.digital else 0.3) * inside[i])):
                if kind != "uncertain":
                    return False
                continue  # a faint hole is drawn, but nobody would have labelled it
            if pixels:
                kept[i + 1] = len(self.elements) + len(kinds) + 1
                kinds.append(("uncertain" if share < VISIBLE_MIN else kind, text + (CUT if share < 0.9 else "")))
        if not kinds:
            return False
        table = np.zeros(len(group.elements) + 1, np.uint16)
        for old, new in kept.items():
            table[old] = new
        fresh = table[ink]
        self.picture[y1:y2, x1:x2] = patch
        self.ink[y1:y2, x1:x2] = np.where(fresh > 0, fresh, self.ink[y1:y2, x1:x2])
        self.taken[y1:y2, x1:x2] = True
        self.elements += kinds
        return True

    def local(self, x: int, y: int, shape_hw: tuple[int, int]) -> float:
        """Mean grey where a group would go."""
        h, w = self.picture.shape
        area = self.picture[max(0, y): max(1, min(h, y + shape_hw[0])), max(0, x): max(1, min(w, x + shape_hw[1]))]
        return float(area.mean()) if area.size else 0.0


def _boxes(ink: np.ndarray, count: int) -> list[tuple[float, float, float, float] | None]:
    """The tight box (maxima exclusive) of each of the ink map's 1 … count, None where nothing is left of one."""
    ys, xs = np.nonzero(ink)
    values = ink[ys, xs].astype(np.int64) - 1
    low, high = np.full((2, count), 1 << 30), np.full((2, count), -1)
    for k, at in enumerate((xs, ys)):
        np.minimum.at(low[k], values, at)
        np.maximum.at(high[k], values, at)
    return [tuple(map(float, (*low[:, i], *(high[:, i] + 1)))) if high[0, i] >= 0 else None for i in range(count)]


def _size(rng: np.random.Generator) -> tuple[int, int]:
    kind = rng.random()
    longer = 2500 if kind < 0.02 else round(280 + 232 * rng.random()) if kind < 0.1 else round(512 * (1400 / 512) ** rng.random())
    shorter = round(longer * float(choice(rng, (1.0, rng.uniform(0.7, 1.0), rng.uniform(0.78, 0.88)))))
    return (longer, shorter) if rng.random() < 0.5 else (shorter, longer)


def _cap(rng: np.random.Generator, longer: int, low: float, high: float) -> float:
    """A letter height in pixels, log-uniform between shares of the longer side."""
    return max(CAP_MIN_PX, longer * float(np.exp(rng.uniform(np.log(low), np.log(high)))))


def free_spot(rng: np.random.Generator, scene: Scene, shape_hw: tuple[int, int], cut: float = 0.08) -> tuple[int, int] | None:
    """A free top left corner: mostly near the border, now and then over it (`cut`), else anywhere."""
    h, w = scene.picture.shape
    gh, gw = shape_hw
    for _ in range(12):
        x, y = rng.uniform(0, max(1, w - gw)), rng.uniform(0, max(1, h - gh))
        kind = rng.random()
        if kind < 0.7:
            depth = abs(rng.normal(0, 0.09))
            side = int(rng.integers(4))
            x = depth * w if side == 0 else w - gw - depth * w if side == 1 else x
            y = depth * h if side == 2 else h - gh - depth * h if side == 3 else y
            if rng.random() < 0.5:  # towards a corner
                x, y = (x, depth * h if y < h / 2 else h - gh - depth * h) if side < 2 else (depth * w if x < w / 2 else w - gw - depth * w, y)
        if kind > 1 - cut:
            over = rng.uniform(0.05, 0.55)
            x, y = choice(rng, ((-gw * over, y), (w - gw * (1 - over), y), (x, -gh * over), (x, h - gh * (1 - over))))
        if scene.free(int(x), int(y), shape_hw):
            return int(x), int(y)
    return None


def _lead_marks(rng, scene: Scene, split: str, count: int, big: float, fonts_dir) -> None:
    longer = max(scene.picture.shape)
    for _ in range(count):
        group = lead.lead_marker(rng, split, _cap(rng, longer, 0.013 * big, 0.07 * big), fonts_dir)
        spot = free_spot(rng, scene, group.layers[0].alpha.shape)
        if spot:
            scene.put(group, *spot)


def _lifted_marks(rng, scene: Scene, lifted: tuple[markings.Group, ...], count: int, big: float) -> None:
    """Marks lifted off other radiographs (see `real.lifted`), resized, turned, mirrored, fainter or brighter."""
    for _ in range(count):
        group = choice(rng, lifted)
        scale = big * max(scene.picture.shape) / 1024 * float(np.exp(rng.uniform(np.log(0.6), np.log(1.7))))
        angle = rng.uniform(0, 360) if rng.random() < 0.35 else float(choice(rng, (0, 0, 0, 90, 180, 270))) + rng.normal(0, 3)
        group = markings.transformed(group, scale, angle, rng.random() < 0.3, float(np.exp(rng.uniform(-0.5, 0.25))))
        spot = free_spot(rng, scene, group.layers[0].alpha.shape)
        if spot:
            scene.put(group, *spot)


def _console_marks(rng, scene: Scene, split: str, count: int, big: float, fonts_dir) -> None:
    """Loose texts, badges and symbols."""
    longer = max(scene.picture.shape)
    style = console.text_style(rng, split, _cap(rng, longer, 0.007, 0.035), fonts_dir)
    for _ in range(count):
        kind = rng.random()
        if rng.random() < 0.3:
            style = console.text_style(rng, split, _cap(rng, longer, 0.007, 0.04 * big), fonts_dir)
        if kind < 0.3:
            group = console.badge(rng, split, _cap(rng, longer, 0.011, 0.055 * big), fonts_dir)
        elif kind < 0.42:
            group = console.symbol(rng, _cap(rng, longer, 0.012, 0.04), style)
        else:
            group = console.written(rng, words.loose_text(rng, split), "marker", style)
            if rng.random() < 0.06:
                group = console.quarter_turned(group, int(choice(rng, (1, 3))))
        spot = free_spot(rng, scene, group.layers[0].alpha.shape)
        if spot and not scene.put(group, *spot, contrast=25) and 0.42 <= kind:
            text = group.elements[0][1]
            dark = scene.local(*spot, group.layers[0].alpha.shape) > 150 and rng.random() < 0.5
            scene.put(console.written(rng, text, "marker", replace(style, decoration="plain" if dark else "outline"), dark=dark), *spot, contrast=25)


def _header(rng, scene: Scene, split: str, who: dict[str, str], lines: int, fonts_dir) -> None:
    """Blocks of lines in corners and along edges."""
    h, w = scene.picture.shape
    style = console.text_style(rng, split, _cap(rng, max(h, w), 0.006, 0.026), fonts_dir)
    if style.decoration == "box" and rng.random() < 0.7:
        style = replace(style, decoration="plain")
    corners = rng.permutation(6)
    gap, margin = style.cap_px * rng.uniform(0.45, 1.0), rng.uniform(0.004, 0.03) * max(h, w)
    while lines > 0 and len(corners):
        corner, corners = int(corners[0]), corners[1:]
        block = min(lines, int(rng.integers(1, 6)))
        lines -= block
        if rng.random() < 0.15:
            group = console.label(rng, [words.header_line(rng, split, who) for _ in range(block)], style)
            gh, gw = group.layers[0].alpha.shape
            x, y = int((margin, (w - gw) / 2, w - gw - margin)[corner % 3]), int(margin if corner < 3 else h - gh - margin)
            if scene.free(x, y, (gh, gw)):
                scene.put(group, x, y, contrast=25)
            continue
        y = margin if corner < 3 else h - margin - block * (style.cap_px + gap)
        for _ in range(block):
            group = console.written(rng, words.header_line(rng, split, who), "marker", style)
            gh, gw = group.layers[0].alpha.shape
            x = (margin, (w - gw) / 2, w - gw - margin)[corner % 3]
            if scene.free(int(x), int(y), (gh, gw)) and not scene.put(group, int(x), int(y), contrast=25):
                dark = style.level > 128 and rng.random() < 0.3
                other = replace(style, decoration="plain" if dark else "outline")
                scene.put(console.written(rng, group.elements[0][1], "marker", other, dark=dark), int(x), int(y), contrast=25)
            y += max(style.cap_px + gap, gh - 4)


def _ruler(rng, scene: Scene) -> None:
    """A scale along an edge, labelled "uncertain"."""
    h, w = scene.picture.shape
    long, tick, step = int(rng.uniform(0.15, 0.6) * h), max(4, int(rng.uniform(0.006, 0.02) * w)), max(4, int(rng.uniform(0.008, 0.03) * h))
    alpha = np.zeros((long, tick), np.float32)
    for k, y in enumerate(range(0, long, step)):
        alpha[y, : tick if k % 5 == 0 else tick // 2] = 1
    alpha[:, 0] = 1
    if rng.random() < 0.5:
        alpha = alpha[:, ::-1]
    group = markings.Group([("uncertain", "ruler")], [markings.Layer(np.pad(alpha, 2), 255.0, 0)], digital=True)
    x, y = int(choice(rng, (0.01 * w, 0.985 * w - tick - 4))), int(rng.uniform(0, h - long - 4))
    if scene.free(x, y, (long, tick)):
        scene.put(group, x, y)


def radiograph(
    rng: np.random.Generator,
    *,
    split: str = "train",
    body: str | None = None,
    size: tuple[int, int] | None = None,
    background: np.ndarray | None = None,
    lifted: tuple[markings.Group, ...] = (),
    unmarked_share: float = 0.08,
    inverted_share: float = 0.12,
    name: str = "synthetic.png",
    fonts_dir: Path | str | None = None,
) -> SyntheticRadiograph:
    """One synthetic radiograph.

    Args:
        split: "train" or "eval"; fonts, names, plates and bodies of one never occur in the other.
        body: "chest", "pelvis" or "limb"; any of them by default.  size: rows and columns; random by default.
        background: (h, w) uint8 real radiograph that carries no marks; `body` is ignored with it.
        lifted: real marks to lay on the picture among the drawn ones (see `real.lifted`).
        unmarked_share, inverted_share: chance of no marking at all, and of the whole picture being inverted.
        fonts_dir: further font files for split "train".
    """
    if split not in words.SPLITS:
        raise UsageError(f"split is {split!r}, allowed are {', '.join(words.SPLITS)}")
    if body is not None and body not in backgrounds.BODIES:
        raise UsageError(f"body is {body!r}, allowed are {', '.join(backgrounds.BODIES)}")
    shape = size or _size(rng)
    if background is None:
        body = body or str(rng.choice(backgrounds.BODIES, p=(0.3, 0.2, 0.5)))
        picture = backgrounds.procedural(rng, shape, split, body)
    else:
        lay = real.pieces_of_real if rng.random() < 0.15 else real.from_real
        body, picture = "real", lay(rng, background, shape)
    picture = distractors.scatter(rng, picture)
    if rng.random() < (0.15 if body == "real" else 0.45):
        picture = degrade.collimate(rng, picture)
    picture = degrade.window(rng, picture)
    if rng.random() < 0.15:
        picture = degrade.border(rng, picture)
    marked = rng.random() >= unmarked_share
    who = words.identity(rng, split)
    scene = Scene(picture)
    big = 1.7 if body == "limb" or rng.random() < 0.1 else 1.0  # small cassettes make large letters
    style = rng.random()  # which kinds of marks this site uses
    if marked and style < 0.72:
        _lead_marks(rng, scene, split, int(rng.choice((1, 2, 3, 4), p=(0.4, 0.35, 0.15, 0.1))), big, fonts_dir)
    if marked and lifted:
        _lifted_marks(rng, scene, lifted, int(rng.integers(1, 5)), big)
    scene.picture = degrade.grain(rng, scene.picture, rng.uniform(0.3, 4.0))
    if rng.random() < 0.3:
        scene.picture = degrade.soften(rng, scene.picture)
    np.clip(scene.picture, 0, 255, out=scene.picture)
    if marked:
        if style > 0.5 or rng.random() < 0.25:
            _console_marks(rng, scene, split, int(rng.choice((1, 2, 3, 4, 6), p=(0.3, 0.3, 0.2, 0.12, 0.08))), big, fonts_dir)
        if rng.random() < 0.32:
            _header(rng, scene, split, who, int(rng.integers(1, 13)), fonts_dir)
        if rng.random() < 0.04:
            _ruler(rng, scene)
    picture = scene.picture
    if rng.random() < 0.25:
        picture = degrade.grain(rng, picture, rng.uniform(0.3, 2.5))
    if rng.random() < inverted_share:
        picture = 255 - picture
    image = np.clip(np.round(picture), 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        image = degrade.jpeg(rng, image)
    ink, elements = truth(scene)
    return SyntheticRadiograph(image, Annotation(name, image.shape, elements), ink, body, who)


def truth(scene: Scene) -> tuple[np.ndarray, tuple[Element, ...]]:
    """The ink map and its elements, numbered alike; what another marking covered entirely is gone from both."""
    boxes = _boxes(scene.ink, len(scene.elements))
    table, elements = np.zeros(len(boxes) + 1, np.uint16), []
    for i, (box, (kind, text)) in enumerate(zip(boxes, scene.elements)):
        if box:
            elements.append(Element(box, kind, text))
            table[i + 1] = len(elements)
    return table[scene.ink], tuple(elements)
