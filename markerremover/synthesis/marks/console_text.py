"""Annotations that a console writes over the finished image: texts, badges, arrows and rings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from . import fonts, texts
from .layers import HOLE, PLATES, Group, Sheet, arrow, grown, plate
from .texts import choice


@dataclass(frozen=True)
class TextStyle:
    """Style of a console's text: one face, height of capitals in pixels, grey level and decoration for all lines."""

    face: str
    cap_px: float
    level: float
    decoration: str  # "plain", "outline", "shadow", "box" or "frame"


def text_style(rng: np.random.Generator, split: str, cap_px: float, fonts_dir: Path | str | None = None) -> TextStyle:
    """A random text style of a console of a split."""
    level = float(choice(rng, (255, 255, 255, 250, 240, rng.uniform(200, 255), rng.uniform(130, 220))))
    face = fonts.STROKE_FACES[split][0] if rng.random() < 0.04 else choice(rng, fonts.font_files(split, fonts_dir))
    decoration = str(rng.choice(("plain", "outline", "shadow", "box", "frame"), p=(0.5, 0.27, 0.11, 0.08, 0.04)))
    return TextStyle(face, cap_px, level, decoration)


def written(rng: np.random.Generator, text: str, kind: str, style: TextStyle, *, dark: bool = False) -> Group:
    """One line of text written by the console, as one element of a kind; `dark` swaps black and white."""
    mask = fonts.render(text, style.face, style.cap_px, weight=0.13)
    return _decorated(rng, mask, [(kind, text)], style, dark)


def label(rng: np.random.Generator, lines: list[str], style: TextStyle) -> Group:
    """Lines on a panel, as from an identification camera or a sticker; upright, on its side or mirrored. Each line is an
    element, the panel is none."""
    masks = [fonts.render(text, style.face, style.cap_px, weight=0.13) for text in lines]
    bright = rng.random() < 0.4
    paper, ink = (rng.uniform(170, 255), rng.uniform(0, 70)) if bright else (rng.uniform(0, 60), style.level)
    pad, pitch = style.cap_px * rng.uniform(0.5, 1.5), style.cap_px * rng.uniform(1.5, 2.2)
    w, h = max(m.shape[1] for m in masks) + 2 * pad, len(masks) * pitch + 2 * pad
    sheet = Sheet(additive=False, digital=True)
    sheet.put(np.ones((int(h), int(w)), np.float32), 0, 0, paper, -1)
    for i, (text, mask) in enumerate(zip(lines, masks)):
        sheet.put(mask, pad, pad + i * pitch, ink, sheet.element("marker", text))
    return quarter_turned(sheet.group(), int(choice(rng, (0, 0, 0, 1, 3))), rng.random() < 0.12)


def quarter_turned(group: Group, turns: int, mirrored: bool = False) -> Group:
    """A copy mirrored left to right if `mirrored`, then turned counter-clockwise by `turns` times 90 degrees."""
    note = (" mirrored" if mirrored else "") + (f" rot{90 * turns}" if turns else "")
    layers = [replace(layer, alpha=np.rot90(layer.alpha[:, ::-1] if mirrored else layer.alpha, turns)) for layer in group.layers]
    return Group([(kind, text + note) for kind, text in group.elements], layers, group.digital)


def symbol(rng: np.random.Generator, size_px: float, style: TextStyle, *, dark: bool = False) -> Group:
    """An arrow or a drawn ring, an element of kind `marker`."""
    if rng.random() < 0.75:
        return _decorated(rng, arrow(rng, size_px * rng.uniform(1.0, 3.0)), [("marker", "arrow")], style, dark)
    w = size_px * rng.uniform(1.5, 5)
    ring = plate("circle", w, w * rng.uniform(0.6, 1.4), frame=max(1.0, size_px * rng.uniform(0.04, 0.12)))
    return _decorated(rng, fonts.crop(ring), [("marker", "ring")], style, dark)


def _decorated(rng, mask, elements, style: TextStyle, dark: bool) -> Group:
    ink, ground = (255 - style.level, 255.0) if dark else (style.level, 0.0)
    sheet = Sheet(additive=False, digital=True)
    sheet.elements = elements
    edge = max(1, round(style.cap_px * rng.uniform(0.05, 0.12)))
    if style.decoration == "outline":
        sheet.put(grown(mask, edge), -edge, -edge, ground, 0)
    elif style.decoration == "shadow":
        sheet.put(mask, edge, edge, ground, 0)
    elif style.decoration in ("box", "frame"):
        pad = max(2, round(style.cap_px * rng.uniform(0.2, 0.5)))
        box = np.ones((mask.shape[0] + 2 * pad, mask.shape[1] + 2 * pad), np.float32)
        if style.decoration == "frame":
            sheet.put(box, -pad, -pad, ink, 0)
            sheet.put(box[2 * edge:, 2 * edge:], edge - pad, edge - pad, HOLE if rng.random() < 0.5 else ground, 0)
        else:
            sheet.put(box, -pad, -pad, ground, 0)
    sheet.put(mask, 0, 0, ink, 0)
    return sheet.group()


def badge(rng: np.random.Generator, split: str, cap_px: float, fonts_dir: Path | str | None = None) -> Group:
    """A laterality marker as consoles draw it: a dark disc with a white ring and letter, or just the letter, large."""
    side = texts.laterality(rng)
    style = text_style(rng, split, cap_px, fonts_dir)
    if rng.random() < 0.45 or len(side) > 1:
        return written(rng, side, "laterality", style)
    letter = fonts.render(side, style.face, cap_px, weight=0.13)
    if rng.random() < 0.5:  # slanted
        shear = np.array([[1, -0.22, 0.22 * letter.shape[0]], [0, 1, 0]], np.float32)
        letter = fonts.crop(cv2.warpAffine(letter, shear, (int(letter.shape[1] + 0.25 * letter.shape[0]) + 1, letter.shape[0])))
    d = max(letter.shape) * rng.uniform(1.5, 2.3)
    w = d * float(choice(rng, (1, 1, 1, rng.uniform(1, 1.45), rng.uniform(0.8, 1))))
    rim, gap = max(1.5, d * rng.uniform(0.035, 0.09)), float(choice(rng, (0, 1, d * 0.04, d * 0.08)))
    sheet = Sheet(additive=False, digital=True)
    element = sheet.element("laterality", side)
    inverse = rng.random() < 0.08
    white, black = (0.0, 255.0) if inverse else (255.0, 0.0)
    shape = "circle" if rng.random() < 0.85 else choice(rng, PLATES[split])
    for item, level in ((plate(shape, w + 2 * gap, d + 2 * gap), black), (plate(shape, w, d, frame=rim), white), (letter, white)):
        sheet.put(item, -item.shape[1] / 2, -item.shape[0] / 2, level, element)
    return sheet.group()
