"""Synthetic radiographs with exact ground truth: one at a time (`radiograph`) or as a folder (`folder.synthesize`)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..errors import UsageError
from ..records import Annotation, locked
from . import film
from .distractors import leads_and_tubes
from .marks import console_text, layers, lead_markers, texts
from .marks.kit import Kit
from .marks.scene import Scene, free_spot, truth
from .marks.texts import choice
from .radiographs import backgrounds, degrade, frames, real
from .radiographs.pair import both

CAP_MIN_PX = 7.0  # minimum height of a capital letter, in pixels


@dataclass(frozen=True)
class SyntheticRadiograph:
    """One synthetic image and its ground truth.

    image: (H, W) uint8, read-only.  annotation: tight boxes of every element, xyxy in pixels, maxima exclusive.  ink: (H, W) uint16,
    read-only, 0 or 1 + index of the element whose stroke a pixel belongs to.  body: "chest", "pelvis", "limb" or "real".
    header: the invented patient, by DICOM keyword.  kinds: for split "train" the kinds of `film.KINDS` in the image, one entry for
    each occurrence, with a layout the names of its marks; else empty.  clean: on request the same image without its annotations, (H, W)
    uint8, read-only, with the same noise, blur and compression.  omitted: names of a layout's marks that found no place.  colour: (H, W, 3) uint8
    RGB, read-only, if marks of a layout are coloured; `image` is its grey.
    """

    image: np.ndarray
    annotation: Annotation
    ink: np.ndarray
    body: str
    header: dict[str, str] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    clean: np.ndarray | None = None
    omitted: tuple[str, ...] = ()
    colour: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("clean", "colour"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, locked(getattr(self, name)))
        object.__setattr__(self, "image", locked(self.image))
        object.__setattr__(self, "ink", locked(self.ink))


def random_size(rng: np.random.Generator) -> tuple[int, int]:
    """Random rows and columns of a film, mostly 512 to 1400 pixels on its longer side."""
    kind = rng.random()
    longer = 2500 if kind < 0.02 else round(280 + 232 * rng.random()) if kind < 0.1 else round(512 * (1400 / 512) ** rng.random())
    shorter = round(longer * float(choice(rng, (1.0, rng.uniform(0.7, 1.0), rng.uniform(0.78, 0.88)))))
    return (longer, shorter) if rng.random() < 0.5 else (shorter, longer)


def _cap(rng: np.random.Generator, longer: int, low: float, high: float) -> float:
    """A letter height in pixels, log-uniform between `low` and `high`, fractions of the longer side."""
    return max(CAP_MIN_PX, longer * float(np.exp(rng.uniform(np.log(low), np.log(high)))))


def _lead_marks(rng, scene: Scene, split: str, count: int, big: float, fonts_dir) -> None:
    longer = max(scene.picture.shape)
    for _ in range(count):
        group = lead_markers.lead_marker(rng, split, _cap(rng, longer, 0.013 * big, 0.07 * big), fonts_dir)
        spot = free_spot(rng, scene, group.layers[0].alpha.shape)
        if spot:
            scene.put(group, *spot)


def _lifted_marks(rng, scene: Scene, lifted: tuple[layers.Group, ...], count: int, big: float) -> None:
    """Annotations lifted off other radiographs (see `real.lifted`), resized, turned, mirrored, fainter or brighter."""
    for _ in range(count):
        group = choice(rng, lifted)
        scale = big * max(scene.picture.shape) / 1024 * float(np.exp(rng.uniform(np.log(0.6), np.log(1.7))))
        angle = rng.uniform(0, 360) if rng.random() < 0.35 else float(choice(rng, (0, 0, 0, 90, 180, 270))) + rng.normal(0, 3)
        group = layers.transformed(group, scale, angle, rng.random() < 0.3, float(np.exp(rng.uniform(-0.5, 0.25))))
        spot = free_spot(rng, scene, group.layers[0].alpha.shape)
        if spot:
            scene.put(group, *spot)


def _console_marks(rng, scene: Scene, split: str, count: int, big: float, fonts_dir) -> None:
    """Loose texts, badges and symbols."""
    longer = max(scene.picture.shape)
    style = console_text.text_style(rng, split, _cap(rng, longer, 0.007, 0.035), fonts_dir)
    for _ in range(count):
        kind = rng.random()
        if rng.random() < 0.3:
            style = console_text.text_style(rng, split, _cap(rng, longer, 0.007, 0.04 * big), fonts_dir)
        if kind < 0.3:
            group = console_text.badge(rng, split, _cap(rng, longer, 0.011, 0.055 * big), fonts_dir)
        elif kind < 0.42:
            group = console_text.symbol(rng, _cap(rng, longer, 0.012, 0.04), style)
        else:
            group = console_text.written(rng, texts.loose_text(rng, split), "marker", style)
            if rng.random() < 0.06:
                group = console_text.quarter_turned(group, int(choice(rng, (1, 3))))
        spot = free_spot(rng, scene, group.layers[0].alpha.shape)
        if spot and not scene.put(group, *spot, contrast=25) and 0.42 <= kind:
            text = group.elements[0][1]
            dark = scene.local(*spot, group.layers[0].alpha.shape) > 150 and rng.random() < 0.5
            scene.put(console_text.written(rng, text, "marker", replace(style, decoration="plain" if dark else "outline"), dark=dark), *spot, contrast=25)


def _header(rng, scene: Scene, split: str, patient: dict[str, str], lines: int, fonts_dir) -> None:
    """Blocks of lines in corners and along edges."""
    h, w = scene.picture.shape
    style = console_text.text_style(rng, split, _cap(rng, max(h, w), 0.006, 0.026), fonts_dir)
    if style.decoration == "box" and rng.random() < 0.7:
        style = replace(style, decoration="plain")
    corners = rng.permutation(6)
    gap, margin = style.cap_px * rng.uniform(0.45, 1.0), rng.uniform(0.004, 0.03) * max(h, w)
    while lines > 0 and len(corners):
        corner, corners = int(corners[0]), corners[1:]
        block = min(lines, int(rng.integers(1, 6)))
        lines -= block
        if rng.random() < 0.15:
            group = console_text.label(rng, [texts.header_line(rng, split, patient) for _ in range(block)], style)
            gh, gw = group.layers[0].alpha.shape
            x, y = int((margin, (w - gw) / 2, w - gw - margin)[corner % 3]), int(margin if corner < 3 else h - gh - margin)
            if scene.free(x, y, (gh, gw)):
                scene.put(group, x, y, contrast=25)
            continue
        y = margin if corner < 3 else h - margin - block * (style.cap_px + gap)
        for _ in range(block):
            group = console_text.written(rng, texts.header_line(rng, split, patient), "marker", style)
            gh, gw = group.layers[0].alpha.shape
            x = (margin, (w - gw) / 2, w - gw - margin)[corner % 3]
            if scene.free(int(x), int(y), (gh, gw)) and not scene.put(group, int(x), int(y), contrast=25):
                dark = style.level > 128 and rng.random() < 0.3
                fallback_style = replace(style, decoration="plain" if dark else "outline")
                scene.put(console_text.written(rng, group.elements[0][1], "marker", fallback_style, dark=dark), int(x), int(y), contrast=25)
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
    group = layers.Group([("uncertain", "ruler")], [layers.Layer(np.pad(alpha, 2), 255.0, 0)], digital=True)
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
    second: np.ndarray | None = None,
    whole: real.Whole | None = None,
    lifted: tuple[layers.Group, ...] = (),
    unmarked_share: float = 0.08,
    inverted_share: float | None = None,
    name: str = "synthetic.png",
    fonts_dir: Path | str | None = None,
    pair: bool = False,
) -> SyntheticRadiograph:
    """One synthetic radiograph; equal arguments and generator states give equal results.

    Args:
        rng: source of all random numbers.
        split: "train" or "eval"; fonts, names, plates and bodies of one never occur in the other.
        body: "chest", "pelvis" or "limb"; any of them by default.
        size: rows and columns; random by default.
        background: (h, w) uint8 real radiograph without annotations; `body` is then ignored.
        second: another such radiograph, for pairs side by side; by default `background` or a drawn body.
        whole: a real film at its own size, with its own annotations, to draw more on; `size`, `body` and `background` are then ignored.
        lifted: real annotations to lay on the image in addition to drawn ones (see `real.lifted` and `patches.patches`).
        unmarked_share: probability of an image without any drawn annotation.
        inverted_share: probability of an inverted image; 0.12 by default, for "train" 0.18.
        name: image name in the annotation.
        fonts_dir: further font files for split "train".
        pair: whether the same image without annotations is made, too; this changes nothing in `image`.

    Raises:
        UsageError: `split` or `body` is unknown; or a pair was requested on a real film with annotations of its own.
    """
    if split not in texts.SPLITS:
        raise UsageError(f"split is {split!r}, allowed are {', '.join(texts.SPLITS)}")
    if body is not None and body not in backgrounds.BODIES:
        raise UsageError(f"body is {body!r}, allowed are {', '.join(backgrounds.BODIES)}")
    if pair and whole is not None and whole.elements:
        raise UsageError("a real film with annotations of its own has no picture without them, so there is no pair")
    if split == "train":
        inverted_share = 0.18 if inverted_share is None else inverted_share
        return _training(rng, body, size, background, second, whole, lifted, unmarked_share, inverted_share, name, fonts_dir, pair)
    inverted_share = 0.12 if inverted_share is None else inverted_share
    return _evaluation(rng, body, size, background, lifted, unmarked_share, inverted_share, name, fonts_dir, pair)


def _evaluation(rng, body, size, background, lifted, unmarked_share, inverted_share, name, fonts_dir, pair) -> SyntheticRadiograph:
    """A radiograph of the split "eval", whose drawing is left as it is so that figures on it compare; arguments as of `radiograph`."""
    split = "eval"
    shape = size or random_size(rng)
    if background is None:
        body = body or str(rng.choice(backgrounds.BODIES, p=(0.3, 0.2, 0.5)))
        picture = backgrounds.procedural(rng, shape, split, body)
    else:
        lay = real.pieces_of_real if rng.random() < 0.15 else real.from_real
        body, picture = "real", lay(rng, background, shape)
    picture = leads_and_tubes.scatter(rng, picture)
    if rng.random() < (0.15 if body == "real" else 0.45):
        picture = degrade.collimate(rng, picture)
    picture = degrade.window(rng, picture)
    if rng.random() < 0.15:
        picture = degrade.border(rng, picture)
    marked = rng.random() >= unmarked_share
    patient = texts.identity(rng, split)
    scene, clean = Scene(picture), picture.copy() if pair else None
    big = 1.7 if body == "limb" or rng.random() < 0.1 else 1.0  # small cassettes make large letters
    style = rng.random()  # decides which kinds of annotations the site uses
    if marked and style < 0.72:
        _lead_marks(rng, scene, split, int(rng.choice((1, 2, 3, 4), p=(0.4, 0.35, 0.15, 0.1))), big, fonts_dir)
    if marked and lifted:
        _lifted_marks(rng, scene, lifted, int(rng.integers(1, 5)), big)
    scene.picture, clean = both(rng, lambda r, p: degrade.grain(r, p, r.uniform(0.3, 4.0)), scene.picture, clean)
    if rng.random() < 0.3:
        scene.picture, clean = both(rng, degrade.soften, scene.picture, clean)
    scene.picture, clean = both(rng, lambda r, p: np.clip(p, 0, 255), scene.picture, clean)
    if marked:
        if style > 0.5 or rng.random() < 0.25:
            _console_marks(rng, scene, split, int(rng.choice((1, 2, 3, 4, 6), p=(0.3, 0.3, 0.2, 0.12, 0.08))), big, fonts_dir)
        if rng.random() < 0.32:
            _header(rng, scene, split, patient, int(rng.integers(1, 13)), fonts_dir)
        if rng.random() < 0.04:
            _ruler(rng, scene)
    picture = scene.picture
    if rng.random() < 0.25:
        picture, clean = both(rng, lambda r, p: degrade.grain(r, p, r.uniform(0.3, 2.5)), picture, clean)
    if rng.random() < inverted_share:
        picture, clean = both(rng, lambda r, p: 255 - p, picture, clean)
    image, clean = both(rng, lambda r, p: np.clip(np.round(p), 0, 255).astype(np.uint8), picture, clean)
    if rng.random() < 0.6:
        image, clean = both(rng, degrade.jpeg, image, clean)
    ink, elements = truth(scene)
    return SyntheticRadiograph(image, Annotation(name, image.shape, elements), ink, body, patient, clean=clean)


def _anatomy(rng, body: str | None, shape: tuple[int, int], background: np.ndarray | None) -> tuple[str, np.ndarray]:
    """The body part, and a drawn or real radiograph without annotations, (H, W) float32."""
    if background is None:
        body = body or str(rng.choice(backgrounds.BODIES, p=(0.3, 0.2, 0.5)))
        return body, backgrounds.procedural(rng, shape, "train", body)
    return "real", (real.pieces_of_real if rng.random() < 0.12 else real.from_real)(rng, background, shape)


def _composed(rng, body, size, background, second_background, whole_film, kinds: list[str]):
    """Anatomy with distractors, exposed, perhaps in a frame: (body, picture, strips for captions)."""
    if whole_film is not None:
        kinds.append("whole film")
        return "real", film.things(rng, whole_film.picture, kinds), ()
    shape = size or random_size(rng)
    body, picture = _anatomy(rng, body, shape, background)
    picture = film.things(rng, picture, kinds)
    if rng.random() < (0.15 if body == "real" else 0.45):
        picture = degrade.collimate(rng, picture)
    picture = degrade.window(rng, picture)
    layout = rng.random()
    if layout < 0.14:
        kinds.append("framed film")
        return body, *frames.framed(rng, picture)
    if layout < 0.22:
        kinds.append("side by side")
        second_picture = degrade.window(rng, _anatomy(rng, None, shape, second_background if second_background is not None else background)[1])
        return body, *frames.side_by_side(rng, picture, second_picture)
    return body, degrade.border(rng, picture) if layout < 0.34 else picture, ()


def _training(rng, body, size, background, second_background, whole_film, lifted, unmarked_share, inverted_share, name, fonts_dir, pair) -> SyntheticRadiograph:
    """A radiograph of split "train", with every kind of `film.KINDS` and those of the other split."""
    kinds: list[str] = []
    body, picture, zones = _composed(rng, body, size, background, second_background, whole_film, kinds)
    scene, clean = Scene(picture, pieces=True), picture.copy() if pair else None
    if whole_film is not None:
        film.existing_marks(scene, whole_film)
    marked = rng.random() >= unmarked_share
    patient = texts.identity(rng, "train")
    big = 1.7 if body == "limb" or rng.random() < 0.25 else 1.0  # small cassettes make large letters
    kit = Kit("train", patient, big, fonts_dir, zones)
    names = film.chosen(rng, film.MARKS, int(rng.choice((1, 2, 3, 4, 5, 7), p=(0.15, 0.25, 0.25, 0.17, 0.12, 0.06)))) if marked else []
    inverted, early = rng.random() < inverted_share, rng.random() < 0.5
    if marked:
        film.marks(rng, scene, kit, [k for k in names if k in film.LEAD], kinds)
        if rng.random() < 0.4:
            _lead_marks(rng, scene, "train", int(rng.choice((1, 2, 3), p=(0.6, 0.3, 0.1))), big, fonts_dir)
        if lifted:
            film.lifted_marks(rng, scene, lifted, int(rng.integers(1, 5)), big, kinds)
    if whole_film is None or rng.random() < 0.3:
        scene.picture, clean = both(rng, lambda r, p: degrade.grain(r, p, r.uniform(0.3, 4.0)), scene.picture, clean)
        if rng.random() < 0.3:
            scene.picture, clean = both(rng, degrade.soften, scene.picture, clean)
    scene.picture, clean = both(rng, lambda r, p: np.clip(p, 0, 255), scene.picture, clean)
    if inverted and early:  # the console writes on the inverted film
        scene.picture, clean = both(rng, lambda r, p: 255 - p, scene.picture, clean)
    if marked:
        film.marks(rng, scene, kit, [k for k in names if k not in film.LEAD], kinds)
        if zones and rng.random() < 0.75:
            film.marks(rng, scene, kit, ["caption"], kinds)
        if rng.random() < 0.2:
            _console_marks(rng, scene, "train", int(rng.choice((1, 2, 3), p=(0.5, 0.3, 0.2))), big, fonts_dir)
        if rng.random() < 0.16:
            _header(rng, scene, "train", patient, int(rng.integers(1, 13)), fonts_dir)
    picture = scene.picture
    if rng.random() < 0.25:
        picture, clean = both(rng, lambda r, p: degrade.grain(r, p, r.uniform(0.3, 2.5)), picture, clean)
    if inverted:
        kinds.append("inverted film")
        if not early:
            picture, clean = both(rng, lambda r, p: 255 - p, picture, clean)
    ink = scene.ink
    if size is None and rng.random() < 0.18 and max(picture.shape) > 640:
        kinds.append("small film")
        full_scene = scene
        (picture, scene), small = both(
            rng, lambda r, p: film.smaller(r, p, *((ink, full_scene) if p is picture else (np.zeros_like(ink), Scene(p)))), picture, clean)
        clean = None if small is None else small[0]
    image, clean = both(rng, lambda r, p: np.clip(np.round(p), 0, 255).astype(np.uint8), picture, clean)
    if rng.random() < 0.6 or kinds[-1:] == ["small film"]:
        image, clean = both(rng, degrade.jpeg, image, clean)
    ink, elements = truth(scene)
    return SyntheticRadiograph(image, Annotation(name, image.shape, elements), ink, body, patient, tuple(kinds), clean)
