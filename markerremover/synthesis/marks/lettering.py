"""Kinds of text in lead, by hand, or in unusual forms: each function of `KINDS` lays one kind on a training film and returns whether
it did."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from . import fonts, layers, lead_markers, phrases, texts
from .kit import LIGHT, Ink, Kit, cap_px, glyphs, lay, polarity, set_off, turned
from .scene import Scene
from .texts import choice


def plate_print(rng, scene: Scene, kit: Kit) -> bool:
    """Dark letters that are no laterality marker cut out of a bright plate."""
    cap = cap_px(rng, scene, 0.014, 0.05 * kit.big)
    text = choice(rng, (texts.initials(rng, kit.split), phrases.code(rng), choice(rng, texts.POSITIONS), str(rng.integers(1, 100))))
    face = choice(rng, (*fonts.special("stencil"), *fonts.font_files(kit.split, kit.fonts_dir)))
    mask = fonts.render(text, face, cap, spacing=rng.uniform(0, 0.2))
    w, h = mask.shape[1] + cap * rng.uniform(0.4, 1.2), mask.shape[0] + cap * rng.uniform(0.4, 1.2)
    sheet = layers.Sheet(additive=True)
    sheet.elements = [("marker", f"{text} dark in plate")]
    shape = layers.plate(choice(rng, ("square", "round_rect", "round_rect", "ellipse")), w, h)
    sheet.put(shape, 0, 0, rng.uniform(150, 255), -1, rng.uniform(0.6, 1.0))
    sheet.put(mask, (shape.shape[1] - mask.shape[1]) / 2, (shape.shape[0] - mask.shape[0]) / 2, layers.HOLE, 0, rng.uniform(0.6, 1.0))
    group = turned(rng, sheet.group(), angle=any_angle(rng), mirrored=rng.random() < 0.25)
    return lay(rng, scene, lambda local: group, group.layers[0].alpha.shape)


def any_angle(rng) -> float:
    """A random angle in degrees: near 0 in half of the cases, else near 90, 180 or 270, or uniform."""
    kind = rng.random()
    return rng.normal(0, 4) if kind < 0.5 else float(choice(rng, (90, 180, 270))) + rng.normal(0, 4) if kind < 0.75 else rng.uniform(0, 360)


def handwriting(rng, scene: Scene, kit: Kit) -> bool:
    """Handwriting on film: script-like letters, bent, at any angle, sometimes mirrored."""
    any_laid = False
    for _ in range(int(rng.integers(1, 3))):
        cap, text = cap_px(rng, scene, 0.014, 0.06, 9.0), phrases.written_note(rng, kit.patient)
        mask = warped(rng, np.pad(fonts.render(text, choice(rng, fonts.special("hand")), cap), 4 + int(cap * 0.15)), cap)
        if mask.size == 0:
            continue
        if rng.random() < 0.3:
            mask = layers.grown(mask, 1)
        level, opacity, mirrored, angle = rng.uniform(185, 255), rng.uniform(0.5, 1.0), rng.random() < 0.25, any_angle(rng)

        def make_group(local):
            ink_style = Ink(rng.uniform(0, 60) if local > LIGHT + 20 else level, 0.0, "plain", opacity)
            return turned(rng, set_off(rng, mask, ("marker", f"{text} handwritten"), ink_style, cap), angle=angle, mirrored=mirrored)

        any_laid |= lay(rng, scene, make_group, make_group(0.0).layers[0].alpha.shape, contrast=18)
    return any_laid


def warped(rng, mask: np.ndarray, cap: float) -> np.ndarray:
    """A mask bent by a smooth random field, since no two handwritten letters are equal; a new array, cropped to its ink."""
    h, w = mask.shape
    grid = max(2, round(h / cap)) + 2, max(2, round(w / cap)) + 2
    dx, dy = (
        cv2.resize(rng.standard_normal(grid).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC) * cap * 0.07 for _ in range(2)
    )
    ys, xs = np.mgrid[0:h, 0:w].astype(np.float32)
    return fonts.crop(
        cv2.remap(
            mask,
            xs + dx,
            ys + dy + np.sin(xs / max(1, w) * rng.uniform(1, 4)).astype(np.float32) * cap * rng.normal(0, 0.15),
            cv2.INTER_LINEAR,
        )
    )


def turned_print(rng, scene: Scene, kit: Kit) -> bool:
    """Text that is mirrored, on its side, upside down or at any angle."""
    cap = cap_px(rng, scene, 0.01, 0.04)
    text = choice(
        rng, (texts.loose_text(rng, kit.split), phrases.code(rng), phrases.small(rng, kit.patient), texts.header_line(rng, kit.split, kit.patient))
    )
    mask, level = glyphs(rng, kit, text, cap), rng.uniform(180, 255)
    mirrored = rng.random() < 0.5
    angle = float(choice(rng, (90, 180, 270))) if rng.random() < 0.6 else rng.uniform(0, 360) if rng.random() < 0.7 or not mirrored else 0.0
    decoration = choice(rng, ("plain", "plain", "outline", "shadow"))

    def make_group(local):
        return turned(
            rng, set_off(rng, mask, ("marker", text), polarity(rng, local, level, decoration), cap), angle=angle, mirrored=mirrored
        )

    return lay(rng, scene, make_group, make_group(0.0).layers[0].alpha.shape, contrast=18)


def faint_print(rng, scene: Scene, kit: Kit) -> bool:
    """Very faint or embossed text: light along one side of each stroke and dark along the other."""
    cap = cap_px(rng, scene, 0.018, 0.08 * kit.big, 12.0)
    text = choice(
        rng, (texts.initials(rng, kit.split), phrases.code(rng), texts.loose_text(rng, kit.split), phrases.written_note(rng, kit.patient))
    )
    mask = glyphs(rng, kit, text, cap)
    minimum = 8.0 if cap > 30 else 11.0 if cap > 18 else 15.0
    strength = rng.uniform(1.15, 2.6) * minimum
    sheet = layers.Sheet(additive=False)
    sheet.elements = [("marker", f"{text} faint")]
    angle, mirrored, embossed = any_angle(rng), rng.random() < 0.3, rng.random() < 0.45
    if embossed:
        sheet.elements = [("marker", f"{text} embossed")]
        step = max(1, round(cap * rng.uniform(0.03, 0.08)))
        light = np.clip(mask - _shifted(mask, step), 0, 1)
        dark = np.clip(mask - _shifted(mask, -step), 0, 1)
        sheet.put(light, 0, 0, 255.0, 0, min(1.0, strength * 1.7 / 130))
        sheet.put(dark, 0, 0, 0.0, 0, min(1.0, strength * 1.7 / 110))
    else:
        sheet.put(mask, 0, 0, 255.0, 0, min(1.0, strength / 150))
    make_group = lambda local: turned(rng, _stronger(sheet, local, strength, embossed), angle=angle, mirrored=mirrored)
    return lay(rng, scene, make_group, make_group(100.0).layers[0].alpha.shape, contrast=minimum * (0.6 if embossed else 0.95))


def _shifted(mask: np.ndarray, step: int) -> np.ndarray:
    out = np.zeros_like(mask)
    if step > 0:
        out[step:, step:] = mask[:-step, :-step]
    else:
        out[:step, :step] = mask[-step:, -step:]
    return out


def _stronger(sheet: layers.Sheet, local: float, strength: float, embossed: bool) -> layers.Group:
    """The sheet's group with opacities that change ground of mean grey level `local` by about `strength` grey levels."""
    group = sheet.group()
    changed = []
    for layer in group.layers:
        level: float | np.ndarray = 0.0 if local > 190 and not embossed else layer.level
        difference = float(np.max(np.abs(np.asarray(level) - local)))
        top = max(1e-3, float(layer.alpha.max()))
        changed.append(
            replace(
                layer,
                level=level,
                alpha=layer.alpha / top * min(1.0, strength * (1.6 if embossed else 1.0) / max(25.0, difference)),
            )
        )
    return layers.Group(group.elements, changed)


def lead_code(rng, scene: Scene, kit: Kit) -> bool:
    """A code of lead letters on a faint plate, or written or pasted by the console: one `marker`, including its side letter."""
    text = phrases.code(rng)
    if rng.random() < 0.4:
        cap = cap_px(rng, scene, 0.016, 0.045)
        mask, level = glyphs(rng, kit, text, cap), rng.uniform(190, 255)
        decoration = "box" if rng.random() < 0.35 else "plain"
        grey = rng.uniform(60, 170)
        make_group = lambda local: set_off(
            rng, mask, ("marker", text), Ink(level, grey, decoration) if decoration == "box" else polarity(rng, local, level, decoration), cap
        )
        return lay(rng, scene, make_group, mask.shape)
    cap = cap_px(rng, scene, 0.02, 0.055 * kit.big)
    face = fonts.STROKE_FACES[kit.split][0] if rng.random() < 0.2 else choice(rng, fonts.font_files(kit.split, kit.fonts_dir))
    level, opacity = rng.uniform(210, 255), float(choice(rng, (1.0, 0.9, rng.uniform(0.4, 0.9))))
    sheet = layers.Sheet(additive=True)
    element = sheet.element("marker", text)
    if rng.random() < 0.2:  # one letter below the other
        y = 0.0
        for letter in text.replace(" ", ""):
            piece = fonts.render(letter, face, cap, weight=rng.uniform(0.12, 0.2))
            sheet.put(piece, rng.normal(0, 0.06) * cap, y, level, element, opacity)
            y += piece.shape[0] + cap * rng.uniform(0.08, 0.35)
    else:
        sheet.put(fonts.render(text, face, cap, weight=rng.uniform(0.12, 0.2), spacing=rng.uniform(0, 0.3)), 0, 0, level, element, opacity)
    if rng.random() < 0.6:
        lead_markers.plate_under(rng, kit.split, sheet, 0, cap, level)
    group = turned(rng, sheet.group(), angle=any_angle(rng), mirrored=rng.random() < 0.2)
    return lay(rng, scene, lambda local: group, group.layers[0].alpha.shape)


KINDS = {
    "plate print": plate_print,
    "handwriting": handwriting,
    "turned print": turned_print,
    "faint print": faint_print,
    "lead code": lead_code,
}
