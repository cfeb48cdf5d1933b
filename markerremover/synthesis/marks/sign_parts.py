"""Parts of laterality markers: letter, face, metal, and their orientation."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from . import fonts, texts
from .kit import Group, Kit, lay, turned
from .scene import Scene
from .texts import choice

BOLD = ("Bold", "Semi", "Medium")


def side_letter(rng: np.random.Generator) -> str:
    """The letter of a laterality marker, usually L or R; one in ten is another character, which `scene.truth` calls other print."""
    return choice(rng, texts.OTHER_LETTERS) if rng.random() < 0.1 else choice(rng, "LRLRLRLRLRDIGEH")


def _face(rng, kit: Kit, *parts: str) -> str:
    """A font file whose path contains one of `parts`, or any file if there is none."""
    files = fonts.font_files(kit.split, kit.fonts_dir)
    return choice(rng, [f for f in files if any(part in f for part in parts)] or files)


def _metal(rng) -> tuple[float, float]:
    """Level and opacity of lead."""
    return rng.uniform(215, 255), float(choice(rng, (1.0, 0.95, 0.85, rng.uniform(0.4, 0.85))))


def _pose(rng, group: Group) -> Group:
    """The group turned and mirrored like lead letters on cassettes, slightly softened."""
    kind = rng.random()
    angle = rng.normal(0, 5) if kind < 0.6 else float(choice(rng, (90, 180, 270))) + rng.normal(0, 5) if kind < 0.8 else rng.uniform(0, 360)
    return _soft(rng, turned(rng, group, angle=angle, mirrored=rng.random() < 0.25))


def _soft(rng, group: Group) -> Group:
    sigma = rng.uniform(0.3, 0.9)
    return Group(
        group.elements, [replace(layer, alpha=cv2.GaussianBlur(layer.alpha, (0, 0), sigma)) for layer in group.layers], group.digital
    )


def _put(rng, scene: Scene, group: Group, contrast: float = 18.0) -> bool:
    return lay(rng, scene, lambda local: group, group.layers[0].alpha.shape, contrast=contrast)


def _letter(rng, kit: Kit, text: str, cap: float, face: str) -> np.ndarray:
    mask = fonts.render(text, face, cap, weight=rng.uniform(0.12, 0.24))
    if rng.random() < 0.3:
        mask = cv2.resize(mask, None, fx=rng.uniform(0.75, 1.25), fy=1, interpolation=cv2.INTER_AREA)
    return mask
