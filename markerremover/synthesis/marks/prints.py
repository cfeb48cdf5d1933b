"""Kinds of text from consoles, viewers and printers: each function of `KINDS` lays one kind on a training film and returns whether it did."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import fonts, graphics, layers, phrases, texts
from .kit import LIGHT, Ink, Kit, anywhere, box_on, cap_px, glyphs, lay, over_edge, polarity, set_off, turned
from .scene import Scene
from .texts import choice


def shadow_print(rng, scene: Scene, kit: Kit) -> bool:
    """Small digital text with or without a drop shadow, usually on mid-grey."""
    any_laid = False
    for _ in range(int(rng.integers(1, 4))):
        cap, text = cap_px(rng, scene, 0.007, 0.017), phrases.small(rng, kit.patient)
        mask, level = glyphs(rng, kit, text, cap), rng.uniform(190, 255)
        decoration = "shadow" if rng.random() < 0.75 else "plain"

        def grey_spot():
            places = [anywhere(rng, scene, mask.shape) for _ in range(6)]
            return min(places, key=lambda corner: abs(scene.local(*corner, mask.shape) - 120))

        make_group = lambda local: set_off(rng, mask, ("marker", text), Ink(level, rng.uniform(0, 40), decoration), cap)
        any_laid |= lay(rng, scene, make_group, mask.shape, spot=grey_spot if rng.random() < 0.8 else None, contrast=14)
    return any_laid


def overlay(rng, scene: Scene, kit: Kit) -> bool:
    """A viewer's lines at the corners, often faint."""
    h, w = scene.picture.shape
    cap = cap_px(rng, scene, 0.0065, 0.014)
    face, level = (
        choice(rng, fonts.font_files(kit.split, kit.fonts_dir)),
        float(choice(rng, (255, rng.uniform(110, 200), rng.uniform(150, 255)))),
    )
    opacity = 1.0 if rng.random() < 0.6 else rng.uniform(0.3, 0.8)
    decoration = str(rng.choice(("plain", "shadow", "outline"), p=(0.65, 0.2, 0.15)))
    margin, pitch = rng.uniform(0.2, 2.0) * cap, cap * rng.uniform(1.35, 2.1)
    any_laid = False
    for corner in rng.permutation(4)[: int(rng.integers(1, 5))]:
        lines = [phrases.overlay(rng, kit.patient) for _ in range(int(rng.integers(1, 6)))]
        y = margin if corner < 2 else h - margin - len(lines) * pitch
        for text in lines:
            mask = glyphs(rng, kit, text, cap, face)
            x = margin if corner % 2 == 0 else w - margin - mask.shape[1]
            if scene.free(int(x), int(y), mask.shape):
                ink_style = polarity(rng, scene.local(int(x), int(y), mask.shape), level, decoration)
                any_laid |= scene.put(set_off(rng, mask, ("marker", text), replace(ink_style, opacity=opacity), cap), int(x), int(y), contrast=9)
            y += pitch
    return any_laid


def caption(rng, scene: Scene, kit: Kit) -> bool:
    """One line of text, usually 6 to 9 pixels high, along the lower or upper edge, in the image or in a frame around it."""
    h, w = scene.picture.shape
    cap = rng.uniform(5.5, 9.5) * max(1.0, max(h, w) / 1200)
    if rng.random() < 0.2:
        cap *= rng.uniform(1.2, 2.2)
    text = phrases.caption(rng, kit.patient)
    mask = glyphs(rng, kit, text, cap)
    mask = mask[:, : max(20, int(0.98 * w))] if rng.random() < 0.8 else mask
    x1, y1, x2, y2 = choice(rng, kit.zones) if kit.zones and rng.random() < 0.85 else (0, 0, w, h)

    def spot():
        gap = int(rng.integers(0, 6)) if rng.random() < 0.6 else int(rng.uniform(0, 0.02) * h)
        if (x1, y1, x2, y2) != (0, 0, w, h):
            gap = max(0, (y2 - y1 - mask.shape[0]) // 2) if rng.random() < 0.5 else gap
        y = y2 - mask.shape[0] - gap if rng.random() < 0.75 else y1 + gap
        x = choice(
            rng, (x1 + gap, x1 + max(0, (x2 - x1 - mask.shape[1]) // 2), x2 - mask.shape[1] - gap, x1 + int(rng.uniform(0, 0.3) * w))
        )
        return int(x), int(y)

    level, decoration = rng.uniform(170, 255), "plain" if rng.random() < 0.6 else choice(rng, ("shadow", "outline", "box"))
    make_group = lambda local: set_off(rng, mask, ("marker", text), polarity(rng, local, level, decoration), cap)
    return lay(rng, scene, make_group, mask.shape, spot=spot, contrast=14)


def single(rng, scene: Scene, kit: Kit) -> bool:
    """An isolated digit, letter that is no laterality marker, or dash; sometimes in brackets, as in figures."""
    any_laid = False
    for _ in range(int(rng.choice((1, 2, 3), p=(0.6, 0.25, 0.15)))):
        panel = rng.random() < 0.3  # the letter of a figure's part, in a corner
        cap, text = cap_px(rng, scene, 0.01, 0.05), choice(rng, phrases.SINGLES)
        if panel:
            cap, text = cap_px(rng, scene, 0.025, 0.09), choice(rng, "ABCFabcdef")
        if rng.random() < 0.2 and text.isalnum():
            text = choice(rng, (f"({text})", f"{text})", f"{text}."))
        mask, level = glyphs(rng, kit, text, cap), rng.uniform(170, 255)
        if min(mask.shape) < 1:
            continue
        decoration = str(rng.choice(("plain", "outline", "shadow", "box"), p=(0.6, 0.15, 0.1, 0.15)))
        make_group = lambda local: set_off(rng, mask, ("marker", text), polarity(rng, local, level, decoration), cap)
        any_laid |= lay(rng, scene, make_group, mask.shape, spot=(lambda: _corner(rng, scene, mask.shape)) if panel else None, contrast=18)
    return any_laid


def _corner(rng, scene: Scene, shape_hw: tuple[int, int]) -> tuple[int, int]:
    """A top left corner (x, y) of a group near one of the image's corners."""
    h, w = scene.picture.shape
    gap = rng.uniform(0.005, 0.04, 2) * max(h, w)
    return (int(gap[0] if rng.random() < 0.6 else w - shape_hw[1] - gap[0])), int(
        gap[1] if rng.random() < 0.6 else h - shape_hw[0] - gap[1]
    )


def cut_print(rng, scene: Scene, kit: Kit) -> bool:
    """Text cut by the image's edge, down to three pixels; lead letters as well as a console's."""
    any_laid = False
    for _ in range(int(rng.integers(1, 3))):
        cap = cap_px(rng, scene, 0.01, 0.06)
        text = choice(
            rng,
            (
                phrases.code(rng),
                texts.loose_text(rng, kit.split),
                phrases.overlay(rng, kit.patient),
                phrases.small(rng, kit.patient),
                texts.initials(rng, kit.split),
            ),
        )
        mask = glyphs(rng, kit, text, cap)
        level, decoration = rng.uniform(180, 255), choice(rng, ("plain", "plain", "outline", "box"))
        if rng.random() < 0.3:
            mask = np.ascontiguousarray(np.rot90(mask, int(choice(rng, (1, 3)))))
        shorter = min(mask.shape)

        def spot():
            return over_edge(
                rng,
                scene,
                (mask.shape[0] + 2, mask.shape[1] + 2),
                3.5 + (rng.uniform(0, 3) if rng.random() < 0.4 else rng.uniform(0, 0.75) * shorter),
            )

        make_group = lambda local: set_off(rng, mask, ("marker", text), polarity(rng, local, level, decoration), cap)
        if rng.random() < 0.35:  # of lead
            sheet = layers.Sheet(additive=True)
            sheet.put(mask, 0, 0, level, sheet.element("marker", text), rng.uniform(0.6, 1.0))
            lead_group = turned(rng, sheet.group(margin=1), angle=rng.normal(0, 6), mirrored=rng.random() < 0.3)
            make_group = lambda local: lead_group
        any_laid |= lay(rng, scene, make_group, mask.shape, spot=spot, contrast=18)
    return any_laid


def dark_print(rng, scene: Scene, kit: Kit) -> bool:
    """Dark text on the lightest of 14 random places."""
    cap, text = (
        cap_px(rng, scene, 0.009, 0.045),
        choice(rng, (texts.loose_text(rng, kit.split), phrases.small(rng, kit.patient), phrases.overlay(rng, kit.patient), phrases.code(rng))),
    )
    mask, level = glyphs(rng, kit, text, cap), rng.uniform(0, 70)

    def spot():
        return max((anywhere(rng, scene, mask.shape) for _ in range(14)), key=lambda corner: scene.local(*corner, mask.shape))

    make_group = lambda local: set_off(rng, mask, ("marker", text), Ink(level, 255.0, "plain" if rng.random() < 0.85 else "outline"), cap)
    return lay(rng, scene, make_group, mask.shape, spot=spot, contrast=22)


def boxed_print(rng, scene: Scene, kit: Kit) -> bool:
    """Text of one to three lines on a pasted box, light, grey or dark."""
    cap = cap_px(rng, scene, 0.009, 0.04)
    ground = float(choice(rng, (rng.uniform(200, 255), rng.uniform(70, 190), rng.uniform(70, 190), rng.uniform(0, 60), 0.0, 255.0)))
    dark = ground > 120 if rng.random() < 0.85 else ground > 190
    ink = rng.uniform(0, max(1.0, ground - 70)) if dark else rng.uniform(min(254.0, ground + 50), 255)
    if rng.random() < 0.15:  # grey on grey
        ink = float(np.clip(ground + choice(rng, (-1, 1)) * rng.uniform(24, 50), 0, 255))
    lines = [
        choice(
            rng,
            (texts.loose_text(rng, kit.split), phrases.code(rng), phrases.small(rng, kit.patient), texts.header_line(rng, kit.split, kit.patient)),
        )
        for _ in range(int(rng.choice((1, 2, 3), p=(0.7, 0.2, 0.1))))
    ]
    face = choice(rng, fonts.font_files(kit.split, kit.fonts_dir))
    masks = [glyphs(rng, kit, text, cap, face) for text in lines]
    pads, pitch = cap * rng.uniform(0.15, 1.2, 4), cap * rng.uniform(1.3, 2.0)
    sheet = layers.Sheet(additive=False, digital=True)
    w = max(m.shape[1] for m in masks)
    box_on(rng, sheet, -pads[0], -pads[1], w + pads[2], (len(masks) - 1) * pitch + masks[-1].shape[0] + pads[3], ground)
    for k, (text, mask) in enumerate(zip(lines, masks)):
        sheet.put(mask, rng.choice((0, (w - mask.shape[1]) / 2)), k * pitch, ink, sheet.element("marker", text))
    group = sheet.group(margin=1)
    if rng.random() < 0.2:
        group = turned(rng, group, angle=float(choice(rng, (90, 180, 270))), mirrored=rng.random() < 0.2)
    return lay(rng, scene, lambda local: group, group.layers[0].alpha.shape, contrast=20)


def line_print(rng, scene: Scene, kit: Kit) -> bool:
    """Text beside, above or under a drawn line or an arrow."""
    cap, text = (
        cap_px(rng, scene, 0.01, 0.03),
        choice(rng, (phrases.small(rng, kit.patient), texts.loose_text(rng, kit.split), phrases.written_note(rng, kit.patient))),
    )
    face = choice(rng, fonts.special("hand")) if rng.random() < 0.2 else None
    mask, thick = glyphs(rng, kit, text, cap, face), max(1, round(cap * rng.uniform(0.06, 0.18)))
    ink, gap = rng.uniform(190, 255), rng.uniform(0.1, 0.7) * cap
    sheet = layers.Sheet(additive=False, digital=True)
    sheet.put(mask, 0, 0, ink, sheet.element("marker", text))
    if rng.random() < 0.55:
        long = mask.shape[1] * rng.uniform(0.8, 1.8)
        y = mask.shape[0] + gap if rng.random() < 0.6 else -gap - thick
        sheet.put(
            np.ones((thick, max(6, round(long))), np.float32),
            rng.uniform(-0.3, 0.1) * mask.shape[1],
            y,
            ink,
            sheet.element("marker", "drawn line"),
        )
    else:
        shape, note = graphics.pointer(rng, cap * rng.uniform(1.5, 4))
        side = int(rng.integers(4))
        x = -shape.shape[1] - gap if side == 0 else mask.shape[1] + gap if side == 1 else (mask.shape[1] - shape.shape[1]) * rng.random()
        y = (mask.shape[0] - shape.shape[0]) / 2 if side < 2 else -shape.shape[0] - gap if side == 2 else mask.shape[0] + gap
        sheet.put(shape, x, y, ink, sheet.element("marker", note))
    group = sheet.group(margin=1)

    def make_group(local):
        if local < LIGHT + 20:
            return group
        return layers.Group(group.elements, [replace(layer, level=255 - layer.level) for layer in group.layers], True)

    return lay(rng, scene, make_group, group.layers[0].alpha.shape, spot=lambda: anywhere(rng, scene, group.layers[0].alpha.shape))


KINDS = {
    "shadow print": shadow_print,
    "overlay": overlay,
    "caption": caption,
    "single": single,
    "cut print": cut_print,
    "dark print": dark_print,
    "boxed print": boxed_print,
    "print at a line": line_print,
}
