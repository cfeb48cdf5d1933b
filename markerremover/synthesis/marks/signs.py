"""Kinds of laterality markers that were formerly lost: each function of `KINDS` lays one kind on a training film and returns whether it did."""

from __future__ import annotations

import cv2
import numpy as np

from . import fonts, graphics, layers, lead_markers, phrases, texts
from .kit import Kit, box_on, cap_px, lay, over_edge, polarity, set_off, turned
from .scene import Scene
from .sign_parts import BOLD, _face, _letter, _metal, _pose, _put, _soft, side_letter
from .texts import choice


def touching(rng, scene: Scene, kit: Kit) -> bool:
    """A laterality marker with initials or a number that touch it, beneath or beside, often with balls in a ring at the end."""
    cap = cap_px(rng, scene, 0.02, 0.065 * kit.big, 12.0)
    face, (level, opacity) = choice(rng, (fonts.STROKE_FACES[kit.split][0], _face(rng, kit, *BOLD), _face(rng, kit, *BOLD))), _metal(rng)
    text, side = texts.initials(rng, kit.split) if rng.random() < 0.7 else f"{rng.integers(1, 100):02d}", side_letter(rng)
    big, small = _letter(rng, kit, side, cap, face), _letter(rng, kit, text, cap * rng.uniform(0.5, 1.0), face)
    gap, sheet = cap * rng.uniform(-0.05, 0.08), layers.Sheet(additive=True)
    sheet.put(big, 0, 0, level, sheet.element("laterality", side), opacity)
    if rng.random() < 0.6:
        sheet.put(
            small,
            (big.shape[1] - small.shape[1]) * rng.uniform(0.2, 0.8),
            big.shape[0] + gap,
            level,
            sheet.element("marker", text),
            opacity,
        )
    else:
        sheet.put(
            small,
            big.shape[1] + gap,
            (big.shape[0] - small.shape[0]) * float(choice(rng, (0, 0.5, 1))),
            level,
            sheet.element("marker", text),
            opacity,
        )
    if rng.random() < 0.4:
        x1, y1, x2, y2 = sheet.box()
        d = cap * rng.uniform(0.7, 1.2)
        ring = sheet.element("uncertain", "ring with ball")
        sheet.put(
            layers.plate("circle", d, d, frame=max(1.5, 0.13 * d)),
            (x1 + x2 - d) / 2,
            y2 + cap * rng.uniform(0.05, 0.3),
            level,
            ring,
            opacity,
        )
        for a in np.arange(3) * 2.1 + rng.uniform(0, 2):
            ball = max(2.0, 0.16 * d)
            sheet.put(
                layers.disc(ball),
                (x1 + x2 - ball) / 2 + 0.16 * d * np.cos(a),
                y2 + cap * 0.15 + d / 2 - ball / 2 + 0.16 * d * np.sin(a),
                level,
                ring,
                opacity,
            )
    if rng.random() < 0.6:
        lead_markers.plate_under(rng, kit.split, sheet, 0, cap, level)
    return _put(rng, scene, _pose(rng, sheet.group()))


def stencil(rng, scene: Scene, kit: Kit) -> bool:
    """A stencilled laterality marker, with bridges through its strokes; solid, or cut out of a plate."""
    cap, side, (level, opacity) = cap_px(rng, scene, 0.022, 0.07 * kit.big, 14.0), side_letter(rng), _metal(rng)
    if rng.random() < 0.5:
        mask = fonts.render(side, fonts.special("stencil")[0], cap)
        if rng.random() < 0.5:
            mask = fonts.crop(layers.grown(mask, max(1, round(0.02 * cap))))
    else:
        mask = fonts.render(side, _face(rng, kit, *BOLD), cap).copy()
        bridge = max(1, round(cap * rng.uniform(0.05, 0.1)))
        for _ in range(int(rng.integers(1, 3))):
            if rng.random() < 0.5:
                position = int(rng.uniform(0.3, 0.75) * mask.shape[0])
                mask[position : position + bridge] = 0
            else:
                position = int(rng.uniform(0.3, 0.75) * mask.shape[1])
                mask[:, position : position + bridge] = 0
    sheet = layers.Sheet(additive=True)
    element = sheet.element("laterality", f"{side} stencil")
    if rng.random() < 0.4:
        pad = cap * rng.uniform(0.2, 0.5)
        sheet.put(layers.plate("round_rect", mask.shape[1] + 2 * pad, mask.shape[0] + 2 * pad), -pad, -pad, level, -1, max(0.5, opacity))
        sheet.put(mask, 0, 0, layers.HOLE, element, 1.0)
    else:
        sheet.put(mask, 0, 0, level, element, opacity)
    return _put(rng, scene, _pose(rng, sheet.group()))


def cut_out(rng, scene: Scene, kit: Kit) -> bool:
    """A laterality marker cut out of a bright plate, also one like an identity disc: rounded, with a hole at the end."""
    cap, side, face = cap_px(rng, scene, 0.018, 0.06 * kit.big, 12.0), side_letter(rng), _face(rng, kit, *BOLD)
    level, opacity = rng.uniform(170, 255), rng.uniform(0.6, 1.0)
    sheet = layers.Sheet(additive=True)
    if rng.random() < 0.5:
        lead_markers.cut_out(rng, kit.split, sheet, side, face, cap, 0.18, level, opacity)
        return _put(rng, scene, _pose(rng, sheet.group()))
    letter = _letter(rng, kit, side, cap, face)
    w, h = letter.shape[1] + cap * rng.uniform(0.5, 1.0), letter.shape[0] * rng.uniform(1.6, 2.6)
    shape = layers.plate(choice(rng, ("round_rect", "square", "ellipse")), w, h)
    sheet.elements = [("laterality", f"{side} dark in plate")]
    sheet.put(shape, 0, 0, level, -1, opacity)
    sheet.put(
        letter,
        (shape.shape[1] - letter.shape[1]) / 2,
        h - letter.shape[0] - cap * rng.uniform(0.2, 0.4),
        layers.HOLE,
        0,
        rng.uniform(0.7, 1.0),
    )
    d = cap * rng.uniform(0.15, 0.35)
    sheet.put(layers.disc(d), (shape.shape[1] - d) / 2, cap * 0.18, layers.HOLE, sheet.element("uncertain", "plate hole"))
    return _put(rng, scene, _pose(rng, sheet.group()))


def neighbour(rng, scene: Scene, kit: Kit) -> bool:
    """A solid lead laterality marker close to a logo, an arrow, a disc, a word or another annotation, as separate elements."""
    cap, side, (level, opacity) = cap_px(rng, scene, 0.02, 0.06 * kit.big, 12.0), side_letter(rng), _metal(rng)
    sheet = layers.Sheet(additive=True)
    letter = _letter(rng, kit, side, cap, _face(rng, kit, *BOLD))
    sheet.put(letter, 0, 0, level, sheet.element("laterality", side), opacity)
    kind = rng.random()
    if kind < 0.3:
        mask, text = graphics.pointer(rng, cap * rng.uniform(0.9, 2))
        kind_name = "marker"
    elif kind < 0.5:
        mask, text, kind_name = layers.plate("circle", cap * rng.uniform(0.6, 1.3), cap * rng.uniform(0.6, 1.3)), "disc", "uncertain"
    elif kind < 0.65:
        mask, text, kind_name = (
            layers.plate(choice(rng, ("square", "house", "tombstone")), cap, cap, frame=max(1.5, cap * 0.12)),
            "logo",
            "marker",
        )
    else:
        text = choice(rng, (choice(rng, texts.POSITIONS), phrases.code(rng), texts.initials(rng, kit.split)))
        mask, kind_name = fonts.render(text, _face(rng, kit), cap * rng.uniform(0.3, 0.9)), "marker"
    gap, place = cap * rng.uniform(0.08, 0.5), int(rng.integers(4))
    x = letter.shape[1] + gap if place == 0 else -mask.shape[1] - gap if place == 1 else (letter.shape[1] - mask.shape[1]) * rng.random()
    y = letter.shape[0] + gap if place == 2 else -mask.shape[0] - gap if place == 3 else (letter.shape[0] - mask.shape[0]) * rng.random()
    sheet.put(mask, x, y, level, sheet.element(kind_name, text), opacity)
    return _put(rng, scene, _pose(rng, sheet.group()) if rng.random() < 0.7 else sheet.group())


def boxed(rng, scene: Scene, kit: Kit) -> bool:
    """A laterality marker on a pasted box, usually grey with light grey letters, as one hospital's viewer draws them; or dark on light."""
    cap, side = (
        cap_px(rng, scene, 0.018, 0.05 * kit.big, 9.0),
        side_letter(rng) if rng.random() < 0.85 else choice(rng, ("LEFT", "RIGHT", "LT", "RT")),
    )
    mask = fonts.render(side, _face(rng, kit, *(("Regular", "Light", "Semi", "Medium", "Sans") if rng.random() < 0.7 else BOLD)), cap)
    pads = cap * rng.uniform(0.15, 0.7, 4)
    kind, offset = rng.random(), rng.uniform(-45, 45)

    def make_group(local):
        ground = (
            np.clip(local + offset, 20, 235)
            if kind < 0.6
            else 0.0
            if kind < 0.75
            else rng.uniform(0, 60)
            if kind < 0.85
            else rng.uniform(190, 255)
        )
        ink = rng.uniform(0, ground - 60) if ground > 185 else min(255.0, ground + rng.uniform(28, 140))
        sheet = layers.Sheet(additive=False, digital=True)
        sheet.elements = [("laterality", f"{side} boxed")]
        box_on(rng, sheet, -pads[0], -pads[1], mask.shape[1] + pads[2], mask.shape[0] + pads[3], float(ground))
        sheet.put(mask, 0, 0, ink, 0)
        return sheet.group(margin=1)

    return lay(rng, scene, make_group, (mask.shape[0] + int(pads[1] + pads[3]) + 2, mask.shape[1] + int(pads[0] + pads[2]) + 2), contrast=20)


def cut(rng, scene: Scene, kit: Kit) -> bool:
    """A laterality marker cut by the image's edge."""
    cap, side = cap_px(rng, scene, 0.022, 0.08 * kit.big, 14.0), side_letter(rng)
    mask = _letter(rng, kit, side, cap, _face(rng, kit, *BOLD))
    level, opacity = _metal(rng)
    if rng.random() < 0.4:
        make_group = lambda local: set_off(rng, mask, ("laterality", side), polarity(rng, local, level, "plain"), cap)
    else:
        sheet = layers.Sheet(additive=True)
        sheet.put(mask, 0, 0, level, sheet.element("laterality", side), opacity)
        group = _pose(rng, sheet.group())
        make_group = lambda local: group
    shape = make_group(0.0).layers[0].alpha.shape

    def spot():
        return over_edge(rng, scene, shape, rng.uniform(0.2, 0.92) * min(shape))

    return lay(rng, scene, make_group, shape, spot=spot)


def _styled(style: str):
    def styled(rng, scene: Scene, kit: Kit) -> bool:
        cap, side = cap_px(rng, scene, 0.02, 0.06 * kit.big, 12.0), side_letter(rng)
        level = rng.uniform(190, 255)
        if style == "serif":
            mask = fonts.render(side, _face(rng, kit, "Roman"), cap)
        elif style == "italic":
            mask = fonts.render(side, _face(rng, kit, "Italic") if rng.random() < 0.4 else choice(rng, fonts.font_files(kit.split)), cap)
            slant = rng.uniform(0.12, 0.35)
            shear = np.array([[1, -slant, slant * mask.shape[0]], [0, 1, 0]], np.float32)
            mask = fonts.crop(cv2.warpAffine(mask, shear, (int(mask.shape[1] + slant * mask.shape[0]) + 2, mask.shape[0])))
        else:  # outlined: only the rim of the letter
            solid = np.pad(fonts.render(side, _face(rng, kit, *BOLD), cap), 3)
            width = max(1, round(cap * rng.uniform(0.03, 0.06)))
            kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1,) * 2)
            mask = fonts.crop(
                np.clip(cv2.dilate(solid, kernel) - solid, 0, 1) if rng.random() < 0.5 else np.clip(solid - cv2.erode(solid, kernel), 0, 1)
            )
        if mask.size == 0:
            return False
        text = f"{side} outlined" if style == "outlined" else side
        if rng.random() < 0.45:
            make_group = lambda local: set_off(
                rng, mask, ("laterality", text), polarity(rng, local, level, choice(rng, ("plain", "outline", "shadow"))), cap
            )
            return lay(rng, scene, make_group, mask.shape)
        sheet = layers.Sheet(additive=True)
        sheet.put(mask, 0, 0, level, sheet.element("laterality", text), _metal(rng)[1])
        return _put(rng, scene, _pose(rng, sheet.group()))

    return styled


def side_word(rng, scene: Scene, kit: Kit) -> bool:
    """A laterality marker that is a word, such as LEFT or RT, in lead or from the console, usually at an angle."""
    text = choice(rng, ("LEFT", "RIGHT", "LEFT", "RIGHT", "LT", "RT", "Left", "Right", "left", "right", "Lt", "Rt", "Li", "Re"))
    cap = cap_px(rng, scene, 0.014, 0.045 * kit.big, 9.0)
    mask, level = _letter(rng, kit, text, cap, _face(rng, kit, *BOLD) if rng.random() < 0.6 else _face(rng, kit)), rng.uniform(190, 255)
    kind = rng.random()
    angle = (
        rng.uniform(0, 360) if kind < 0.4 else rng.normal(0, 15) if kind < 0.7 else float(choice(rng, (0, 90, 180, 270))) + rng.normal(0, 3)
    )
    mirrored, opacity, digital = rng.random() < 0.25, _metal(rng)[1], rng.random() < 0.35
    sheet = layers.Sheet(additive=True)
    sheet.put(mask, 0, 0, level, sheet.element("laterality", text), opacity)
    if rng.random() < 0.4 and not digital:
        lead_markers.plate_under(rng, kit.split, sheet, 0, cap, level)

    def make_group(local):
        group = set_off(rng, mask, ("laterality", text), polarity(rng, local, level, "plain"), cap) if digital else sheet.group()
        return turned(rng, group, angle=angle, mirrored=mirrored)

    return lay(rng, scene, make_group, make_group(0.0).layers[0].alpha.shape)


def ringed(rng, scene: Scene, kit: Kit) -> bool:
    """A laterality marker in a ring: in lead, or a console's dark disc with a light ring and an upright or slanted letter."""
    cap, side = cap_px(rng, scene, 0.016, 0.05 * kit.big, 10.0), side_letter(rng)
    face = _face(rng, kit, *BOLD)
    if rng.random() < 0.45:
        sheet = layers.Sheet(additive=True)
        level, opacity = _metal(rng)
        lead_markers.ringed(rng, sheet, side, face, cap, rng.uniform(0.12, 0.2), level, opacity)
        return _put(rng, scene, _pose(rng, sheet.group()))
    letter = fonts.render(side, face, cap)
    if rng.random() < 0.5:
        letter = fonts.crop(
            cv2.warpAffine(
                letter,
                np.array([[1, -0.22, 0.22 * letter.shape[0]], [0, 1, 0]], np.float32),
                (int(letter.shape[1] + 0.25 * letter.shape[0]) + 1, letter.shape[0]),
            )
        )
    d = max(letter.shape) * rng.uniform(1.5, 2.3)
    sheet = layers.Sheet(additive=False, digital=True)
    element = sheet.element("laterality", f"{side} ring")
    white, black = (255.0, 0.0) if rng.random() < 0.85 else (0.0, 255.0)
    gap = float(choice(rng, (0, 1, d * 0.05)))
    for mask, level in (
        (layers.plate("circle", d + 2 * gap, d + 2 * gap), black),
        (layers.plate("circle", d, d, frame=max(1.2, d * rng.uniform(0.03, 0.09))), white),
        (letter, white),
    ):
        sheet.put(mask, -mask.shape[1] / 2, -mask.shape[0] / 2, level, element)
    return _put(rng, scene, sheet.group(margin=1), 25)


def bitten(rng, scene: Scene, kit: Kit) -> bool:
    """A laterality marker partly covered by a neighbour's pasted box; the visible part still tells the side."""
    cap, side = cap_px(rng, scene, 0.022, 0.06 * kit.big, 14.0), side_letter(rng)
    letter = _letter(rng, kit, side, cap, _face(rng, kit, *BOLD))
    text = choice(rng, (phrases.code(rng), texts.initials(rng, kit.split), choice(rng, texts.POSITIONS)))
    small = fonts.render(text, _face(rng, kit), cap * rng.uniform(0.3, 0.7))
    bite, sheet = rng.uniform(0.06, 0.25), layers.Sheet(additive=False)
    level, ground = rng.uniform(215, 255), float(choice(rng, (0, rng.uniform(40, 170), rng.uniform(40, 170), 235)))
    sheet.put(letter, 0, 0, level, sheet.element("laterality", f"{side} bitten"))
    # the lower and left strokes distinguish an L from a line
    pad, place = cap * rng.uniform(0.1, 0.3), int(choice(rng, (1, 2)) if side == "L" else rng.integers(4))
    h, w = letter.shape
    x = (w - small.shape[1]) * rng.random() if place < 2 else w * (1 - bite) + pad if place == 2 else w * bite - small.shape[1] - pad
    y = (h - small.shape[0]) * rng.random() if place >= 2 else h * (1 - bite) + pad if place == 0 else h * bite - small.shape[0] - pad
    box_on(rng, sheet, x - pad, y - pad, x + small.shape[1] + pad, y + small.shape[0] + pad, ground)
    # the box is opaque: no ink of the laterality marker remains beneath it
    top = sheet.items.pop() if len(sheet.items) > 2 else None
    alpha, bx, by, grey, _ = sheet.items[-1]
    _erase_under(sheet, alpha, bx, by)
    if top is not None:
        sheet.items.append(top)
    sheet.put(small, x, y, 255.0 if ground < 180 else 10.0, sheet.element("marker", text))
    return _put(rng, scene, sheet.group(margin=1))


def _erase_under(sheet: layers.Sheet, alpha: np.ndarray, bx: int, by: int) -> None:
    """Erase the place of a box from the mask of the first item."""
    mask, x, y, level, element = sheet.items[0]
    mask = mask.copy()
    mask[max(0, by - y) : max(0, by - y + alpha.shape[0]), max(0, bx - x) : max(0, bx - x + alpha.shape[1])] = 0
    sheet.items[0] = (mask, x, y, level, element)


def mirrored(rng, scene: Scene, kit: Kit) -> bool:
    """A mirrored laterality marker, also turned, often with mirrored initials."""
    group = lead_markers.lead_marker(rng, kit.split, cap_px(rng, scene, 0.02, 0.06 * kit.big, 12.0), kit.fonts_dir)
    if not any("mirrored" in text for _, text in group.elements):
        group = turned(rng, group, angle=0.0, mirrored=True)
    return _put(rng, scene, group)


def large(rng, scene: Scene, kit: Kit) -> bool:
    """A very large laterality marker, as on small films."""
    group = lead_markers.lead_marker(rng, kit.split, cap_px(rng, scene, 0.09, 0.2), kit.fonts_dir)
    return _put(rng, scene, group)


def faint(rng, scene: Scene, kit: Kit) -> bool:
    """A laterality marker that is hardly brighter than its ground."""
    cap, side, strength = cap_px(rng, scene, 0.025, 0.07 * kit.big, 16.0), side_letter(rng), rng.uniform(11, 26)
    mask = _letter(rng, kit, side, cap, _face(rng, kit, *BOLD))
    mirror, angle = rng.random() < 0.3, rng.normal(0, 8) if rng.random() < 0.7 else rng.uniform(0, 360)

    def make_group(local):
        sheet = layers.Sheet(additive=False)
        level = 255.0 if local < 200 else 0.0
        sheet.put(mask, 0, 0, level, sheet.element("laterality", f"{side} faint"), min(1.0, strength / abs(level - local)))
        return _soft(rng, turned(rng, sheet.group(), angle=angle, mirrored=mirror))

    return lay(rng, scene, make_group, make_group(100.0).layers[0].alpha.shape, contrast=9)


KINDS = {
    "touching laterality marker": touching,
    "stencil laterality marker": stencil,
    "laterality marker cut out": cut_out,
    "laterality marker with neighbour": neighbour,
    "boxed laterality marker": boxed,
    "cut laterality marker": cut,
    "italic laterality marker": _styled("italic"),
    "serif laterality marker": _styled("serif"),
    "outlined laterality marker": _styled("outlined"),
    "side word": side_word,
    "ringed laterality marker": ringed,
    "bitten laterality marker": bitten,
    "mirrored laterality marker": mirrored,
    "large laterality marker": large,
    "faint laterality marker": faint,
}
