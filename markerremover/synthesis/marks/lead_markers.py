"""Lead markers on the cassette: laterality markers, initials, plates, rings and beads."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from . import fonts, texts
from .layers import HOLE, PLATES, Group, Layer, Sheet, disc, grown, plate
from .texts import choice


def lead_marker(rng: np.random.Generator, split: str, cap_px: float, fonts_dir: Path | str | None = None) -> Group:
    """A lead marker: usually a laterality marker, often with initials, a plate or a ring; letters about `cap_px` pixels high."""
    faces = fonts.font_files(split, fonts_dir)
    bold = [f for f in faces if "Bold" in f and "Roman" not in f] or faces  # cast letters are heavy and plain
    kind = rng.random()
    if kind < 0.2:
        face = fonts.STROKE_FACES[split][-1 if kind < 0.04 else 0]
    else:
        face = choice(rng, bold if kind < 0.8 else faces)
    weight = rng.uniform(0.11, 0.24)
    sheet = Sheet(additive=True)
    side = texts.laterality(rng) if rng.random() < 0.93 else ""
    level, opacity = rng.uniform(215, 255), float(choice(rng, (1.0, 0.95, 0.85, rng.uniform(0.5, 0.9), rng.uniform(0.15, 0.5))))
    kind = rng.random()
    if not side:
        text = texts.initials(rng, split) if rng.random() < 0.8 else str(rng.integers(0, 100))
        sheet.put(fonts.render(text, face, cap_px, weight=weight, spacing=rng.uniform(0, 0.3)), 0, 0, level, sheet.element("marker", text), opacity)
    elif kind < 0.2:
        cut_out(rng, split, sheet, side, face, cap_px, weight, level, opacity)
    elif kind < 0.29:
        ringed(rng, sheet, side, face, cap_px, weight, level, opacity)
    else:
        _solid(rng, split, sheet, side, face, cap_px, weight, level, opacity)
    group = sheet.group()
    return _turned(rng, group, cap_px)


def _solid(rng, split, sheet, side, face, cap, weight, level, opacity) -> None:
    letter = fonts.render(side, face, cap, weight=weight, spacing=rng.uniform(0, 0.15))
    if rng.random() < 0.3 and cap > 20:
        letter = fonts.crop(grown(letter, max(1, round(cap * rng.uniform(0.01, 0.04)))))
    if rng.random() < 0.3:  # squeezed or stretched letters, as cast ones are
        letter = cv2.resize(letter, None, fx=rng.uniform(0.75, 1.25), fy=1, interpolation=cv2.INTER_AREA)
    h, w = letter.shape
    extra = rng.random()
    plated = rng.random() < 0.45
    first_item = len(sheet.items)
    sheet.put(letter, 0, 0, level, sheet.element("laterality", side), opacity)

    if extra < 0.6:
        text = texts.initials(rng, split)
        small = cap * rng.uniform(0.35, 0.8)
        initials_face = face if rng.random() < 0.7 else choice(rng, fonts.font_files(split))
        initials_mask = fonts.render(text, initials_face, small, weight=weight, spacing=rng.uniform(0, 0.35))
        fade = opacity * float(choice(rng, (1.0, 1.0, rng.uniform(0.45, 0.9))))
        gap = cap * rng.uniform(-0.02, 0.3)
        placement = rng.random()
        marker = sheet.element("marker", text)
        if placement < 0.5:
            sheet.put(initials_mask, (w - initials_mask.shape[1]) * rng.uniform(0.2, 0.8), h + gap, level, marker, fade)
        elif placement < 0.6:
            sheet.put(initials_mask, (w - initials_mask.shape[1]) * rng.uniform(0.2, 0.8), -gap - initials_mask.shape[0], level, marker, fade)
        elif placement < 0.72:
            sheet.put(initials_mask, w + gap, (h - initials_mask.shape[0]) * rng.random(), level, marker, fade)
        elif placement < 0.82:
            initials_mask = np.rot90(initials_mask, int(choice(rng, (1, 3))))
            x = w + gap if rng.random() < 0.5 else -gap - initials_mask.shape[1]
            sheet.put(initials_mask, x, (h - initials_mask.shape[0]) * rng.random(), level, marker, fade)
        else:  # letter by letter, under or beside
            y, x = (h + gap, w * rng.uniform(0, 0.4)) if rng.random() < 0.6 else (0, w + max(gap, 1))
            drift = rng.normal(0, 0.12) * small
            for c in text:
                piece = fonts.render(c, face, small, weight=weight)
                sheet.put(piece, x, y, level, marker, fade)
                y, x = y + piece.shape[0] + max(1.0, small * rng.uniform(0.1, 0.4)), x + drift
    x1, y1, x2, y2 = sheet.box()
    if rng.random() < 0.22:
        _bead(rng, sheet, (x1, y1, x2, y2), cap, level, opacity)
    if plated:
        plate_under(rng, split, sheet, first_item, cap, level)


def _bead(rng, sheet, box, cap, level, opacity) -> None:
    """A disc, or a ring with a ball, above or below the letters."""
    d = cap * rng.uniform(0.5, 1.1)
    x = (box[0] + box[2]) / 2 - d / 2 + rng.normal(0, 0.1) * cap
    y = box[1] - d - cap * rng.uniform(0.05, 0.5) if rng.random() < 0.6 else box[3] + cap * rng.uniform(0.05, 0.5)
    if rng.random() < 0.5:
        element = sheet.element("uncertain", "disc")
        sheet.put(plate("circle", d, d * rng.uniform(0.75, 1.15)), x, y, level, element, opacity * rng.uniform(0.3, 0.9))
    else:
        element = sheet.element("uncertain", "ring with ball")
        sheet.put(plate("circle", d, d, frame=max(1.5, d * rng.uniform(0.1, 0.2))), x, y, level, element, opacity)
        ball, a = d * rng.uniform(0.12, 0.25), rng.uniform(0, 6.28)
        sheet.put(disc(ball), x + d / 2 - ball / 2 + np.cos(a) * d * 0.22, y + d / 2 - ball / 2 + np.sin(a) * d * 0.22, level, element, opacity)


def plate_under(rng, split, sheet, first_item, cap, level) -> None:
    """Insert a faint plate under everything since item `first_item`, sometimes with holes."""
    x1, y1, x2, y2 = sheet.box()
    pad = cap * rng.uniform(0.15, 0.5)
    w, h = x2 - x1 + 2 * pad, y2 - y1 + 2 * pad
    space_below, space_above = (rng.uniform(0, 0.8) * cap, rng.uniform(0, 0.8) * cap) if rng.random() < 0.5 else (0, 0)
    shape = plate(choice(rng, PLATES[split]) if rng.random() < 0.3 else "square", w, h + space_below + space_above)
    fade = rng.uniform(0.02, 0.16)
    if rng.random() < 0.5:  # a brighter rim
        rim = shape - cv2.erode(shape, np.ones((3, 3), np.uint8), iterations=max(1, round(cap * 0.04)))
        shape = np.clip(shape * 0.6 + rim * rng.uniform(0.2, 1.0), 0, 1)
    sheet.items.insert(first_item, (shape * fade, round(x1 - pad), round(y1 - pad - space_above), level, -1))
    if space_below + space_above > 0.5 * cap and rng.random() < 0.6:
        d = cap * rng.uniform(0.2, 0.35)
        y = y1 - pad - space_above + d * 0.4 if space_above > space_below else y2 + pad + space_below - d * 1.4
        hole = sheet.element("uncertain", "plate hole")
        for k in range(int(rng.integers(1, 3))):
            sheet.items.insert(first_item + 1 + k, (disc(d), round(x1 - pad + d * 0.5 if k == 0 else x2 + pad - d * 1.5), round(y), HOLE, hole))


def cut_out(rng, split, sheet, side, face, cap, weight, level, opacity) -> None:
    """A bright plate out of which the laterality marker is cut. As in real labels, the box is tight to the dark letter; the
    plate itself is not an element."""
    letter = fonts.render(side, face, cap, weight=weight)
    text = texts.initials(rng, split) if rng.random() < 0.25 else ""
    initials_mask = fonts.render(text, face, cap * rng.uniform(0.35, 0.6), weight=weight) if text else np.zeros((0, 0), np.float32)
    inner_w, inner_h = max(letter.shape[1], initials_mask.shape[1]), letter.shape[0] + (initials_mask.shape[0] + cap * 0.15 if text else 0)
    kind = choice(rng, PLATES[split])
    w, h = inner_w + cap * rng.uniform(0.4, 1.1), inner_h + cap * rng.uniform(0.35, 1.0)
    if kind in ("circle", "octagon", "square"):
        w = h = max(w, h)
    if kind in ("circle", "ellipse", "shield", "house"):
        w, h = w * 1.2, h * 1.2
    if kind == "tombstone":
        h = max(h, w * 1.1)
    empty_height = rng.uniform(0, 1.6) * cap if kind in ("tombstone", "pill") and rng.random() < 0.6 else 0.0  # plate above the letter
    shape = plate(kind, w, h + empty_height)
    element = sheet.element("laterality", f"{side} dark in plate")
    sheet.put(shape, 0, 0, rng.uniform(150, 255), -1, max(0.45, opacity))
    x, y = (shape.shape[1] - letter.shape[1]) / 2, empty_height + (shape.shape[0] - empty_height - inner_h) / 2 + (cap * 0.12 if kind == "house" else 0)
    depth = float(choice(rng, (1.0, 1.0, rng.uniform(0.5, 1.0))))
    sheet.put(letter, x, y, HOLE, element, depth)
    if text:
        sheet.put(initials_mask, (shape.shape[1] - initials_mask.shape[1]) / 2, y + letter.shape[0] + cap * 0.15, HOLE, sheet.element("marker", text), depth)
    if rng.random() < 0.25:
        d = cap * rng.uniform(0.12, 0.3)
        sheet.put(disc(d), (shape.shape[1] - d) / 2, d * 0.4, HOLE, sheet.element("uncertain", "plate hole"))


def ringed(rng, sheet, side, face, cap, weight, level, opacity) -> None:
    """A bright laterality marker in a bright ring or frame, one element."""
    letter = fonts.render(side, face, cap, weight=weight)
    diameter = max(letter.shape) * rng.uniform(1.35, 1.9)
    w, h = (diameter, diameter) if len(side) == 1 else (letter.shape[1] * 1.4, cap * 2)
    element = sheet.element("laterality", side)
    kind = choice(rng, ("circle", "circle", "ellipse", "round_rect", "square"))
    ring = plate(kind, w * rng.uniform(0.95, 1.3), h, frame=max(1.2, cap * rng.uniform(0.06, 0.16)))
    sheet.put(ring, 0, 0, level, element, opacity)
    sheet.put(letter, (ring.shape[1] - letter.shape[1]) / 2, (ring.shape[0] - letter.shape[0]) / 2, level, element, opacity)


def _turned(rng: np.random.Generator, group: Group, cap: float) -> Group:
    """The group mirrored, turned and softened like markers on cassettes; texts get notes on the orientation as in real labels."""
    mirrored = rng.random() < 0.3
    angle = float(choice(rng, (0, 0, 0, 0, 0, 0, 90, 180, 270))) if rng.random() < 0.9 else rng.uniform(0, 360)
    exact = angle + (rng.normal(0, 6) if rng.random() < 0.6 else 0)
    note = (" mirrored" if mirrored else "") + (f" rot{round(angle / 15) * 15 % 360}" if round(angle / 15) % 24 else "")
    h, w = group.layers[0].alpha.shape
    c, s = abs(np.cos(np.radians(exact))), abs(np.sin(np.radians(exact)))
    nw, nh = int(w * c + h * s) + 5, int(w * s + h * c) + 5
    turn = cv2.getRotationMatrix2D((w / 2 - 0.5, h / 2 - 0.5), exact, 1.0)
    turn[:, 2] += (nw - w) / 2, (nh - h) / 2
    soft = rng.uniform(0.3, 0.6) + rng.uniform(0, 0.025) * cap
    layers = []
    for layer in group.layers:
        alpha = layer.alpha[:, ::-1] if mirrored else layer.alpha
        alpha = cv2.warpAffine(np.ascontiguousarray(alpha), turn, (nw, nh), flags=cv2.INTER_LINEAR)
        layers.append(Layer(cv2.GaussianBlur(alpha, (0, 0), soft), layer.level, layer.element, layer.additive))
    elements = [(kind, text + note if kind != "uncertain" else text) for kind, text in group.elements]
    return Group(elements, layers, group.digital)
