"""Letters as alpha masks: shipped outline fonts by split, and engraved stroke letters drawn from polylines.

Alpha masks are (h, w) float32, 0 to 1, cropped to their ink.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT_ROOT = Path(__file__).resolve().parents[2] / "fonts"
STROKE_FACES = {"train": ("stroke:round", "stroke:bead"), "eval": ("stroke:octagon",)}

# Polylines on a grid 4 wide and 6 high, y down.
_STROKES = {
    "A": ["06 20 46", "14 34"], "B": ["06 00 30 41 42 33 44 45 36 06", "03 33"], "C": ["41 30 10 01 05 16 36 45"],
    "D": ["00 20 42 44 26 06 00"], "E": ["40 00 06 46", "03 33"], "F": ["40 00 06", "03 33"],
    "G": ["41 30 10 01 05 16 36 45 43 23"], "H": ["00 06", "40 46", "03 43"], "I": ["20 26"], "J": ["30 35 26 16 05"],
    "K": ["00 06", "40 03 46"], "L": ["00 06 46"], "M": ["06 00 23 40 46"], "N": ["06 00 46 40"],
    "O": ["10 30 41 45 36 16 05 01 10"], "P": ["06 00 30 41 42 33 03"], "Q": ["10 30 41 45 36 16 05 01 10", "24 46"],
    "R": ["06 00 30 41 42 33 03", "23 46"], "S": ["41 30 10 01 02 13 33 44 45 36 16 05"], "T": ["00 40", "20 26"],
    "U": ["00 05 16 36 45 40"], "V": ["00 26 40"], "W": ["00 16 23 36 40"], "X": ["00 46", "40 06"], "Y": ["00 23 40", "23 26"],
    "Z": ["00 40 06 46"], "0": ["10 30 41 45 36 16 05 01 10"], "1": ["11 20 26"], "2": ["01 10 30 41 42 06 46"],
    "3": ["01 10 30 41 42 33 44 45 36 16 05", "33 13"], "4": ["36 30 04 44"], "5": ["40 00 02 32 43 45 36 06"],
    "6": ["40 20 02 05 16 36 45 44 33 03"], "7": ["00 40 16"], "8": ["13 02 01 10 30 41 42 33 13 04 05 16 36 45 44 33"],
    "9": ["43 13 02 01 10 30 41 44 26 06"], "-": ["13 33"], "+": ["13 33", "22 24"], "*": ["22 24"],
    ".": ["16 16"], ",": ["16 17"], ":": ["12 12", "15 15"], "/": ["06 40"],
    "=": ["12 32", "14 34"], "^": ["11 20 31"], "#": ["11 15", "31 35", "02 42", "04 44"],
}


def font_files(split: str, fonts_dir: Path | str | None = None) -> tuple[str, ...]:
    """Paths of the font files of one split, sorted by folder and name; `fonts_dir` adds a folder to "train"."""
    return _font_files(split, str(fonts_dir) if fonts_dir else "")


@lru_cache(maxsize=4)
def special(folder: str) -> tuple[str, ...]:
    """Paths of the fonts in the folder "hand" (handwriting) or "stencil", sorted; for split "train" only."""
    return tuple(str(p) for p in sorted((FONT_ROOT / folder).iterdir()) if p.suffix.lower() in (".ttf", ".otf"))


@lru_cache(maxsize=8)
def _font_files(split: str, fonts_dir: str) -> tuple[str, ...]:
    folders = [FONT_ROOT / split] + ([Path(fonts_dir)] if fonts_dir and split == "train" else [])
    return tuple(str(p) for folder in folders for p in sorted(folder.iterdir()) if p.suffix.lower() in (".ttf", ".otf"))


@lru_cache(maxsize=512)
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size)


@lru_cache(maxsize=128)
def _cap_share(path: str) -> float:
    """Height of a capital H as a share of the nominal size."""
    box = _font(path, 200).getbbox("H")
    return (box[3] - box[1]) / 200


def crop(alpha: np.ndarray) -> np.ndarray:
    """A view of `alpha` (H, W) cropped to the values above 0.02; of shape (0, 0) if there are none."""
    ys, xs = np.flatnonzero((alpha > 0.02).any(1)), np.flatnonzero((alpha > 0.02).any(0))
    return alpha[ys[0]: ys[-1] + 1, xs[0]: xs[-1] + 1] if ys.size else alpha[:0, :0]


def render(text: str, face: str, cap_px: float, *, weight: float = 0.16, spacing: float = 0.0) -> np.ndarray:
    """Text as an alpha mask.

    Args:
        face: path of a font file, or a name of `STROKE_FACES`.
        cap_px: height of a capital in pixels.
        weight: line width of stroke faces as a share of `cap_px`.
        spacing: extra space between letters as a share of `cap_px` (stroke faces always have some).
    """
    if face.startswith("stroke:"):
        return _render_strokes(text.upper(), face[7:], cap_px, weight, spacing)
    font = _font(face, max(5, round(cap_px / _cap_share(face))))
    if spacing > 0:
        xs, x = [], 0.0
        for c in text:
            xs.append(round(x))
            x += font.getlength(c) + spacing * cap_px
    else:
        xs, x = [0], font.getlength(text)
    pad = round(cap_px) + 4
    picture = Image.new("L", (int(x) + 2 * pad, 4 * pad), 0)
    draw = ImageDraw.Draw(picture)
    for piece, left in zip(text if spacing > 0 else [text], xs):
        draw.text((pad + left, pad), piece, fill=255, font=font)
    return crop(np.asarray(picture, np.float32) / 255)


def _render_strokes(text: str, style: str, cap_px: float, weight: float, spacing: float) -> np.ndarray:
    unit, line = cap_px * 4 / 6, cap_px * weight  # unit: a letter's width before narrowing
    width, pad = unit * 0.85, int(line) + 2
    advance = width + line + cap_px * (0.12 + spacing)
    canvas = np.zeros((int(cap_px) + 2 * pad + 2, int(advance * len(text)) + 2 * pad + 2), np.uint8)
    for i, c in enumerate(text):
        for polyline in _STROKES.get(c, ()):
            points = np.array([[int(p[0]) / 4 * width, int(p[1]) / 6 * cap_px] for p in polyline.split()])
            if style == "round":
                points = _smooth(points)
            points = points + (pad + i * advance, pad)
            if style == "bead":
                _beads(canvas, points, line)
            else:
                cv2.polylines(canvas, [np.round(points * 8).astype(np.int32)], False, 255, max(1, round(line)), cv2.LINE_AA, shift=3)
    return crop(canvas.astype(np.float32) / 255)


def _smooth(points: np.ndarray) -> np.ndarray:
    """Chaikin's corner cutting, applied twice, with both ends retained; (N, 2) -> (M, 2)."""
    for _ in range(2):
        if len(points) > 4:
            a, b = points[:-1], points[1:]
            points = np.concatenate([points[:1], np.stack([a * 0.75 + b * 0.25, a * 0.25 + b * 0.75], 1).reshape(-1, 2), points[-1:]])
    return points


def _beads(canvas: np.ndarray, points: np.ndarray, line: float) -> None:
    steps = np.hypot(*np.diff(points, axis=0).T)
    lengths = np.concatenate([[0], np.cumsum(steps)])
    positions = np.linspace(0, lengths[-1], max(2, int(lengths[-1] / max(1.0, line * 1.25)) + 1))
    for x, y in zip(np.interp(positions, lengths, points[:, 0]), np.interp(positions, lengths, points[:, 1])):
        cv2.circle(canvas, (round(x * 8), round(y * 8)), max(8, round(line * 4)), 255, -1, cv2.LINE_AA, shift=3)
