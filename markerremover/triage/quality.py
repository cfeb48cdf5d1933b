"""The flags of one radiograph, from its stored values and its display.

A flag is raised only where a measure leaves no doubt: a wrong flag costs more than a missing one. How often each is raised, rightly and
wrongly, is in docs/quality.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..formats import images
from ..records import Decision, Radiograph
from . import content, orientation, paper_and_photos
from .duplicates import EXACT, NEAR, perceptual_hash, pixel_hash

BLANK, NOISE, HALF_EMPTY, PAGE, PHOTO, SCREEN = "blank", "noise", "half empty", "scanned text", "colour photograph", "photo of a screen"
MIRRORED = "mirrored"
FLAGS = (BLANK, NOISE, HALF_EMPTY, PAGE, PHOTO, SCREEN, "saturated", "inverted", "upside down", MIRRORED, "blurred", "tiny", EXACT, NEAR)
"""All flags, in the order in which rows and counts have them."""
UNUSABLE = (BLANK, NOISE, HALF_EMPTY, PAGE, PHOTO, SCREEN)
"""Flags of pictures that show no radiograph, or only a part of one; `--hold-unusable` holds them."""
SLICES = frozenset(("CT", "MR", "PT", "NM", "US", "IVUS", "OPT"))  # modalities whose neighbouring images look alike and are no duplicates
MOST_FRAMES = 4  # frames of a file that are looked at; a flag must hold for all of them
SAMPLE_PX = 512  # longer side of the part of the stored values that is looked at, from 512 to 1023 pixels


@dataclass(frozen=True)
class Quality:
    """What a file's pixels tell before it is cleaned.

    flags: of FLAGS, in that order.
    hashes: see `duplicates.pixel_hash` and `duplicates.perceptual_hash`; the latter is "" where there is nothing to compare: several
        frames, a modality of SLICES, or a picture that is blank, noise, half empty, a page or tiny.
    chest: the correlations with a chest, None where it was not searched.
    """

    flags: tuple[str, ...]
    hashes: tuple[str, str]
    chest: orientation.Chest | None = None

    @property
    def row(self) -> dict[str, Any]:
        """Fields of the file's row, see `audit.field_docs`; duplicates are marked when all rows are there."""
        return {"quality": list(self.flags), "duplicate_of": "", "pixel_hash": self.hashes[0], "perceptual_hash": self.hashes[1]}


def judge(radiograph: Radiograph) -> Quality:
    """The flags and hashes of a radiograph; duplicates need other files, and `mirrored` the decisions of its markers (`with_markers`)."""
    count = len(radiograph.display)
    indices = sorted({int(i) for i in np.linspace(0, count - 1, min(count, MOST_FRAMES)).round()})
    judged = [_of_frame(radiograph.stored[i], radiograph.display[i]) for i in indices]
    common = set.intersection(*(flags for flags, _ in judged))
    comparable = count == 1 and images.modality(radiograph) not in SLICES and not common.intersection((BLANK, NOISE, HALF_EMPTY, PAGE, "tiny"))
    hashes = pixel_hash(radiograph.stored), perceptual_hash(radiograph.display[0]) if comparable else ""
    return Quality(_ordered(common), hashes, judged[0][1])


def with_markers(quality: Quality, decisions: Sequence[Decision], width_px: int) -> tuple[str, ...]:
    """The flags of a cleaned file, with `mirrored` where chest and laterality markers agree on it, see `orientation.is_mirrored`."""
    found = quality.chest is not None and orientation.is_mirrored(quality.chest, decisions, width_px)
    return _ordered({*quality.flags, MIRRORED}) if found else quality.flags


def unusable(flags: Iterable[str]) -> str:
    """The reason for which `--hold-unusable` holds a file with these flags, "" for none."""
    reasons = [flag for flag in flags if flag in UNUSABLE]
    return f"not usable: {', '.join(reasons)}" if reasons else ""


def _ordered(flags: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(flags, key=FLAGS.index))


def _of_frame(stored: np.ndarray, view: np.ndarray) -> tuple[set[str], orientation.Chest | None]:
    """The flags of one frame and its correlations with a chest.

    Args:
        stored: (H, W) or (H, W, C) stored values.  view: (H, W) uint8, its display.
    """
    flags = {"tiny"} if content.is_tiny(view.shape) else set()
    colours = stored[..., :3] if stored.ndim == 3 and stored.shape[2] >= 3 else None
    step = max(1, max(view.shape) // SAMPLE_PX)
    sample = stored[::step, ::step]
    grey = (sample if colours is None and stored.ndim == 2 else sample[..., : min(3, stored.shape[-1])].mean(axis=2)).astype(np.float32)
    if colours is not None and paper_and_photos.is_photograph(colours):
        is_screen = paper_and_photos.moire_directions(view) >= paper_and_photos.PEAK_DIRECTIONS
        return flags | {SCREEN if is_screen else PHOTO}, None
    grain = content.structure(grey)
    if content.is_blank(grey, grain, 8 if stored.dtype.itemsize == 1 else 12):
        return flags | {BLANK}, None
    small = content.reduced(view, content.SIDE_PX)
    is_saturated = content.is_saturated(small)
    if not is_saturated and paper_and_photos.is_scanned_text(view):
        return flags | {PAGE}, None
    if content.is_noise(grain):
        return flags | {NOISE}, None
    if content.is_half_empty(grey):
        return flags | {HALF_EMPTY}, None
    if is_saturated:
        flags.add("saturated")
    if "tiny" in flags:
        return flags, None
    if content.is_blurred(small):
        flags.add("blurred")
    chest = orientation.chest(small)
    if orientation.is_inverted(small, chest):
        flags.add("inverted")
    if orientation.is_upside_down(chest):
        flags.add("upside down")
    return flags, chest
