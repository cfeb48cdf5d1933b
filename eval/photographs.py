"""How often a radiograph stored as colour is taken for a photograph, and a photograph for a radiograph.

    python eval/photographs.py FILMS [--photographs DIR]

FILMS: grey radiographs; each is stored as colour in several ways: as RGB, as JPEG, with a tint, with drawn annotations (a dozen boxes and texts and
a filled bar, far more than usual), with translucent areas, and with a heat map. DIR: colour photographs. Prints the share that would be held.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from markerremover.scope.photographs import is_photograph

SIDE_PX = 1500  # longer side to which films are scaled before they are drawn on, pixels
COLOURS = ((255, 255, 0), (0, 255, 0), (255, 0, 0), (0, 200, 255), (255, 0, 255))


def jpeg(colours: np.ndarray, quality: int = 80) -> np.ndarray:
    """The colours as JPEG gives them back."""
    data = cv2.imencode(".jpg", colours[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def tinted(grey: np.ndarray, share: tuple[float, float, float]) -> np.ndarray:
    """A tinted film: the darker, the less of each channel; share: how much less, 0-1."""
    level = np.linspace(0, 1, 256)[:, None]
    return (255 * level * (1 - 0.9 * np.array(share) * (1 - level))).clip(0, 255).astype(np.uint8)[grey]


def annotated(colours: np.ndarray, seed: int = 5) -> np.ndarray:
    """With boxes, texts and a filled bar in strong colours."""
    rng, marked, (height, width) = np.random.default_rng(seed), colours.copy(), colours.shape[:2]
    for n in range(12):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        cv2.putText(marked, "L 12.3 mm", (x, y), 0, width / 600, COLOURS[n % 5], max(1, width // 300), cv2.LINE_AA)
        cv2.rectangle(marked, (x, y), (x + width // 4, y + height // 6), COLOURS[n % 5], max(1, width // 200))
    return cv2.rectangle(marked, (0, 0), (width // 3, height // 5), (0, 60, 160), -1)


def masked(colours: np.ndarray) -> np.ndarray:
    """With a translucent area over each half."""
    height, width = colours.shape[:2]
    area = np.zeros((height, width), np.uint8)
    for x in (width // 3, 2 * width // 3):
        cv2.ellipse(area, (x, height // 2), (width // 7, height // 4), 0, 0, 360, 255, -1)
    mixed = (0.65 * colours + 0.35 * np.array(COLOURS[2])).astype(np.uint8)
    return np.where(area[..., None] > 0, mixed, colours)


def heat_map(grey: np.ndarray) -> np.ndarray:
    """With a heat map over all of it."""
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]] / np.array(grey.shape).reshape(2, 1, 1)
    heat = np.exp(-(((x - 0.4) / 0.2) ** 2) - ((y - 0.5) / 0.2) ** 2)
    return (0.6 * grey[..., None] + 0.4 * cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_JET)[..., ::-1]).astype(np.uint8)


BLUE, STRONG_BLUE, SEPIA = (0.35, 0.15, 0.0), (0.8, 0.4, 0.0), (0.0, 0.15, 0.45)
VARIANTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "RGB": lambda g: as_rgb(g), "JPEG": lambda g: jpeg(as_rgb(g), 60), "blue": lambda g: tinted(g, BLUE), "strongly blue": lambda g: tinted(g, STRONG_BLUE),
    "sepia": lambda g: tinted(g, SEPIA), "annotated": lambda g: annotated(as_rgb(g)), "annotated, JPEG": lambda g: jpeg(annotated(as_rgb(g))),
    "blue, annotated, JPEG": lambda g: jpeg(annotated(tinted(g, BLUE))), "areas": lambda g: masked(as_rgb(g)), "areas, JPEG": lambda g: jpeg(masked(as_rgb(g))),
    "heat map": heat_map,
}


def as_rgb(grey: np.ndarray) -> np.ndarray:
    """(H, W) as (H, W, 3)."""
    return np.repeat(grey[..., None], 3, 2)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("films", type=Path)
    parser.add_argument("--photographs", type=Path)
    args = parser.parse_args(arguments)
    held = dict.fromkeys(VARIANTS, 0)
    films = sorted(path for path in args.films.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    for path in films:
        grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        scale = min(1.0, SIDE_PX / max(grey.shape))
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else grey
        for name, variant in VARIANTS.items():
            held[name] += is_photograph(variant(grey))
    for name, count in held.items():
        print(f"{name:24s} {count}/{len(films)} held")
    pictures = sorted(path for path in args.photographs.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg")) if args.photographs else []
    missed = [path.name for path in pictures if not is_photograph(cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1])]
    if pictures:
        print(f"photographs              {len(pictures) - len(missed)}/{len(pictures)} held; not: {', '.join(missed)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
