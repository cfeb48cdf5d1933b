"""The stroke network: which pixels around a box belong to a laterality marker's letters, to its ring, and to other print.

Otsu's threshold and the largest component separate a letter from an even ground. They do not where a letter lies over an edge of the anatomy, under
a wire, is drawn as an outline or in dots, or touches its neighbour. There a small U-Net (Ronneberger et al., MICCAI 2015), taught on drawn films
whose strokes are known, says which strokes are the letter's. What the letter is, the OCR engine still decides, as for strokes from a threshold.

Card: `strokes` = {file, sha256}.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ..errors import HeldError
from ..inference.card_files import facts_of, opened
from ..inference.shipped_weights import shipped_file
from ..system.files import sha256_file
from .view import WORK_SIDE, View

FILE = "strokes.onnx"
CARD_KEYS = ("file", "sha256")
SIDE = 40  # shorter side of a box in the network's input, pixels
STRIDE = 8  # divisor of the input's sides
GROUND, LETTER, RING, PRINT = range(4)  # channels of the answer

Network = Callable[[np.ndarray], np.ndarray]
"""(1, 2, H, W) float32 -> (1, 4, H, W) float32: probability of ground, letters, ring and other print, 0-1, whose sum is 1."""


class StrokeNetwork:
    """Finds the strokes around a box. Attributes: sha256: of the network's file."""

    def __init__(self, network: Network, facts: dict) -> None:
        self._network, self.sha256 = network, str(facts["sha256"])

    def __call__(self, view: View) -> np.ndarray:
        """(4, h, w) float32, 0-1: the probability of each channel in the view's work frame.

        Raises:
            HeldError: the network's answer is no probability for each pixel.
        """
        h, w = view.grey.shape
        picture = pictures(view)
        height, width = picture.shape[1:]
        whole = np.pad(picture, ((0, 0), (0, -height % STRIDE), (0, -width % STRIDE)), mode="edge")
        answer = np.asarray(self._network(normalised(whole)[None]))
        if answer.shape != (1, 4, *whole.shape[1:]) or not np.isfinite(answer).all():
            raise HeldError(f"the stroke network's answer, shape {answer.shape}, is not four finite numbers for each pixel")
        return np.stack([cv2.resize(channel, (w, h), interpolation=cv2.INTER_LINEAR) for channel in answer[0, :, :height, :width]])


def pictures(view: View) -> np.ndarray:
    """The network's input before `normalised`: the view's grey levels with the box's shorter side at `SIDE`, and the box, 255 within it.

    Returns:
        New (2, h, w) uint8.
    """
    factor = SIDE / WORK_SIDE
    h, w = (max(STRIDE, round(side * factor)) for side in view.grey.shape)
    result = np.zeros((2, h, w), np.uint8)
    result[0] = cv2.resize(view.grey, (w, h), interpolation=cv2.INTER_AREA)
    x1, y1, x2, y2 = np.round(view.inner * factor).astype(int)
    result[1, max(0, y1) : max(0, y2), max(0, x1) : max(0, x2)] = 255
    return result


def normalised(picture: np.ndarray) -> np.ndarray:
    """(2, H, W) uint8 of `pictures` as float32: grey levels with mean 0 and deviation 1 within the picture, the box as 0 and 1."""
    grey = picture[0].astype(np.float32)
    return np.stack([(grey - grey.mean()) / max(1.0, float(grey.std())), (picture[1] > 0).astype(np.float32)])


def shipped_facts() -> dict[str, str]:
    """The `strokes` of a card for the shipped network.

    Raises:
        WeightsError: it is not there.
    """
    return {"file": FILE, "sha256": sha256_file(shipped_file(FILE, "the second pass"))}


def of_card(card: dict, folder: Path, threads: int = 1) -> StrokeNetwork | None:
    """The stroke network that a localizer's card names; None where it names none.

    Args:
        card: of the localizer.  folder: of the card; the file is searched there, then among the shipped weights.
        threads: number of CPU threads; the network always runs in ONNX Runtime on the CPU.

    Raises:
        WeightsError: the file is missing, damaged, or another one than the card states, or a key is missing.
    """
    facts = facts_of(card, "strokes", CARD_KEYS, folder)
    if facts is None:
        return None
    return StrokeNetwork(opened(facts, folder, threads), facts)
