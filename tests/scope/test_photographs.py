"""Colour photographs, and radiographs that are stored as colour."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from markerremover.scope.photographs import coloured_share, is_photograph

SIDE = 400


def film(seed: int = 1) -> np.ndarray:
    """(H, W) uint8: smooth shapes with noise on black."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    body = 180 * np.exp(-(((x - 0.5) / 0.3) ** 4) - ((y - 0.5) / 0.4) ** 4) + 40 * np.sin(12 * x) * np.sin(9 * y)
    return (body + rng.normal(0, 4, body.shape)).clip(0, 255).astype(np.uint8)


def as_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, 2)


def jpeg(colours: np.ndarray) -> np.ndarray:
    data = cv2.imencode(".jpg", colours[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]


def tinted(grey: np.ndarray) -> np.ndarray:
    """A blue film base: the darker, the bluer."""
    level = np.arange(256) / 255
    table = np.stack([255 * level * (1 - share * (1 - level)) for share in (0.6, 0.3, 0)], 1).astype(np.uint8)
    return table[grey]


def annotated(colours: np.ndarray) -> np.ndarray:
    """With lines, texts, a filled box and a translucent area in strong colours."""
    picture = Image.fromarray(colours)
    draw = ImageDraw.Draw(picture)
    for n, colour in enumerate([(255, 255, 0), (0, 255, 0), (255, 0, 0), (0, 200, 255)]):
        draw.rectangle([30 + 80 * n, 60 + 50 * n, 110 + 80 * n, 120 + 50 * n], outline=colour, width=2)
        draw.text((30 + 80 * n, 40 + 50 * n), "L 12.3 mm", fill=colour)
    draw.rectangle([0, 0, 130, 30], fill=(0, 60, 160))
    marked = np.array(picture)
    marked[200:280, 120:200] = (0.7 * marked[200:280, 120:200] + 0.3 * np.array([255, 0, 0])).astype(np.uint8)
    return marked


def photograph(seed: int = 3) -> np.ndarray:
    """(H, W, 3): a drawn face before a wall, with light from one side."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    wall = np.stack([110 + 60 * x, 130 + 40 * y, 150 - 50 * x], 2)
    inside = ((x - 0.5) / 0.25) ** 2 + ((y - 0.5) / 0.35) ** 2 < 1
    light = (0.55 + 0.45 * np.cos(3 * (x - 0.4)))[..., None]
    face = light * np.array([225, 172, 140]) + np.stack([12 * np.sin(20 * y), 8 * np.cos(16 * x), 10 * np.sin(13 * (x + y))], 2)
    picture = np.where(inside[..., None], face, wall) + rng.normal(0, 5, (SIDE, SIDE, 3))
    return picture.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("form", [lambda c: c, jpeg], ids=["lossless", "jpeg"])
@pytest.mark.parametrize("colours", [as_rgb(film()), tinted(film()), annotated(as_rgb(film())), annotated(tinted(film()))],
                         ids=["grey", "tinted", "annotated", "tinted and annotated"])
def test_a_radiograph_stored_as_colour_is_no_photograph(colours, form):
    assert not is_photograph(form(colours))


@pytest.mark.parametrize("form", [lambda c: c, jpeg], ids=["lossless", "jpeg"])
def test_a_photograph_is_one_also_on_a_black_ground(form):
    assert is_photograph(form(photograph()))
    assert is_photograph(form(np.pad(photograph(), ((200, 200), (200, 200), (0, 0)))))


def test_black_white_tiny_and_flat_pictures_show_nothing():
    for level in (0, 128, 255):
        assert coloured_share(np.full((50, 60, 3), level, np.uint8)) == 0
    assert coloured_share(np.zeros((1, 1, 3), np.uint8)) == 0


def test_the_input_is_not_changed():
    colours = photograph()
    before = colours.copy()
    coloured_share(colours)
    assert np.array_equal(colours, before)
