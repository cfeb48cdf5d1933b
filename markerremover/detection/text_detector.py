"""PP-OCRv6's text detection network: a second source of candidates, and of evidence for all of them.

It was taught on photographs and documents of any kind, so it sees print in styles that no radiograph of the training showed; what it takes
for text in bones, implants and wires is the rescorer's to dismiss. Only the detection network runs, nothing is read here.

PP-OCRv6_det_small of PaddleOCR (Apache License 2.0), as ONNX in the wheel of RapidOCR 3.10. The regions are found as by PaddleOCR's DB
postprocessing (Liao et al., AAAI 2020), except that boxes are parallel to the axes.
Card: `text_detector` = {file, sha256, side, source, license}.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .. import boxes
from ..errors import HeldError, WeightsError
from ..inference import backends
from ..inference.card_files import facts_of, find, on_cpu
from ..inference.shipped_weights import shipped_file
from ..system.files import sha256_file
from ..system.forks import Own, at_work
from ..system.telemetry import import_openvino

FILE = "text_detector.onnx"
SIDE = 576  # longer side of the network's input, border included, pixels: on real films as much is found as at 704, with fewer false regions
THOROUGH_SIDE = 704  # the same with effort "thorough": more small print is found on drawn films
SOURCE, LICENSE = "PP-OCRv6_det_small, PaddleOCR, from the wheel of RapidOCR 3.10.0", "Apache-2.0"
CARD_KEYS = ("file", "sha256", "side")
STRIDE = 32  # divisor of the input's sides, pixels
BORDER = 16  # replicated border, input pixels: print at the image's edge is found only with some ground around it
ENLARGED = 2.0  # greatest scale: small pictures have small print
TEXT, REGION = 0.3, 0.4  # least probability of a region's pixels, and least mean probability of a region
UNCLIP = 1.2  # the network marks the middle of the characters: a region grows by this multiple of area / perimeter
LARGEST = 0.25  # greatest shorter side of a region, in the image's longer sides: what is larger is a hand or a knee, not print
EXPLAINED = 0.85  # share of a region's text within surer boxes of the localizer from which it adds nothing to them but ground
LEFT_OVER = 0.3  # greatest rest, in squares of the text's height: half a character, however long the line is
LEAST_REGION = 3  # least height and width of a region, input pixels

Network = Callable[[np.ndarray], np.ndarray]
"""(1, 3, H, W) float32 -> (1, 1, H, W) float32, the probability of text 0-1."""


@dataclass(frozen=True)
class TextMap:
    """Where in a frame the network sees text.

    probability: (h, w) float32, 0-1, of the network's input without its border.  scale: x and y, its pixels per source pixel.
    shape_hw: of the frame.
    """

    probability: np.ndarray
    scale: tuple[float, float]
    shape_hw: tuple[int, int]

    def regions(self) -> np.ndarray:
        """(N, 4) float64: source xyxy of the text regions, within the frame; none that is too large for print (`LARGEST`)."""
        _, labels, stats, _ = cv2.connectedComponentsWithStats((self.probability > TEXT).astype(np.uint8), connectivity=8)
        sums = np.bincount(labels.ravel(), self.probability.ravel(), len(stats))
        found = []
        for label, (x, y, w, h, area) in enumerate(stats[1:].tolist(), 1):
            if min(w, h) < LEAST_REGION or sums[label] < REGION * area:
                continue
            shape = np.ascontiguousarray(labels[y : y + h, x : x + w] == label, np.uint8)
            outline = cv2.findContours(shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0][0]
            reach = UNCLIP * area / max(1.0, cv2.arcLength(outline, True))
            found.append((x - reach, y - reach, x + w + reach, y + h + reach))
        xyxy = boxes.clip(np.array(found, np.float64).reshape(-1, 4) / np.tile(self.scale, 2), self.shape_hw)
        sides = xyxy[:, 2:] - xyxy[:, :2]
        return xyxy[(sides.min(axis=1) > 0) & (sides.min(axis=1) <= LARGEST * max(self.shape_hw))]

    def at(self, xyxy: np.ndarray) -> np.ndarray:
        """(N,) float64: the greatest probability of text within each of some boxes, (N, 4) source xyxy; 0 outside the frame."""
        return np.array([self.probability[y1:y2, x1:x2].max(initial=0.0) for x1, y1, x2, y2 in self._corners(xyxy)], np.float64)

    def explained(self, xyxy: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """(N,) bool: the boxes that are regions of this map and whose text lies in boxes of the localizer that score as much, but
        for less than a character (`EXPLAINED`, `LEFT_OVER`).

        A region holds all of a line, and the ground between: where the localizer has its parts, a laterality marker among them stays one.

        Args:
            xyxy: (N, 4) source pixels, of the localizer and regions.  scores: (N,).
        """
        result, regions = np.zeros(len(xyxy), bool), self.regions().astype(np.float32)
        is_region = (xyxy.astype(np.float32)[:, None] == regions[None]).all(axis=2).any(axis=1)
        for k in np.flatnonzero(is_region):
            (x1, y1, x2, y2), *surer = self._corners(np.concatenate([xyxy[k : k + 1], xyxy[~is_region & (scores >= scores[k])]]))
            is_text = self.probability[y1:y2, x1:x2] > TEXT
            total = int(is_text.sum())
            for a, b, c, d in surer:
                is_text[max(0, b - y1) : max(0, d - y1), max(0, a - x1) : max(0, c - x1)] = False
            character = (total / max(is_text.shape)) ** 2 if total else 0.0  # a region's text is about as high as its area by its length
            result[k] = total > 0 and is_text.sum() <= min((1 - EXPLAINED) * total, LEFT_OVER * character)
        return result

    def _corners(self, xyxy: np.ndarray) -> list[list[int]]:
        """Boxes, (N, 4) source pixels, as integer x1, y1, x2, y2 in the map, of a pixel at least."""
        h, w = self.probability.shape
        corners = np.asarray(xyxy, np.float64).reshape(-1, 4) * np.tile(self.scale, 2)
        low, high = np.floor(corners[:, :2]).astype(int), np.ceil(corners[:, 2:]).astype(int)
        return np.concatenate([np.clip(low, 0, (w, h)), np.clip(np.maximum(high, low + 1), 0, (w, h))], axis=1).tolist()


class TextDetector:
    """Finds text in one frame.

    Attributes:
        sha256: of the network's file.  side: longer side of the network's input, pixels.
    """

    def __init__(self, network: Network, facts: dict) -> None:
        self._network, self.sha256, self.side = network, str(facts["sha256"]), int(facts["side"])

    def __call__(self, display: np.ndarray) -> TextMap:
        """Where there is text.

        Args:
            display: (H, W) uint8, bright = dense.

        Raises:
            HeldError: the network's answer is no probability for each pixel.
        """
        (h, w), most = display.shape, self.side - 2 * BORDER
        scale = min(ENLARGED, most / max(h, w))
        height, width = (max(1, round(length * scale)) for length in (h, w))
        picture = cv2.resize(display, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        rest = [-(length + 2 * BORDER) % STRIDE for length in (height, width)]
        picture = cv2.copyMakeBorder(picture, BORDER, BORDER + rest[0], BORDER, BORDER + rest[1], cv2.BORDER_REPLICATE)
        levels = picture.astype(np.float32) / np.float32(127.5) - np.float32(1)
        answer = np.asarray(self._network(np.ascontiguousarray(np.broadcast_to(levels, (1, 3, *levels.shape)))))
        if answer.shape != (1, 1, *levels.shape) or not np.isfinite(answer).all():
            raise HeldError(f"the text detector's answer, shape {answer.shape}, is not a finite number for each pixel")
        inner = answer[0, 0, BORDER : BORDER + height, BORDER : BORDER + width]
        return TextMap(np.array(inner, np.float32), (width / w, height / h), (h, w))


def shipped_facts() -> dict[str, Any]:
    """The `text_detector` of a card for the shipped network.

    Raises:
        WeightsError: it is not there.
    """
    return {"file": FILE, "sha256": sha256_file(shipped_file(FILE, "a second source of boxes")), "side": SIDE, "source": SOURCE, "license": LICENSE}


def of_card(card: dict, folder: Path, threads: int = 1, runtime: str = "auto", side: int | None = None) -> TextDetector | None:
    """The text detector that a localizer's card names; None where it names none.

    Args:
        card: of the localizer.  folder: of the card; the file is searched there, then among the shipped weights.
        threads: number of CPU threads; the network always runs on the CPU.
        runtime: the library, see `network.open_network`.  side: of the network's input; None takes the card's.

    Raises:
        WeightsError: the file is missing, damaged, or another one than the card states, or a key is missing.
    """
    facts = facts_of(card, "text_detector", CARD_KEYS, folder)
    if facts is None:
        return None
    path = find(facts, folder)
    is_openvino = backends.candidates(path, "cpu", runtime)[0].name == "openvino"
    opened = Own(lambda: ((_openvino if is_openvino else on_cpu)(path, threads), threading.Lock()))

    def run(picture: np.ndarray) -> np.ndarray:
        with at_work():
            network, turn = opened()
            with turn:
                return network(picture)

    with at_work():
        opened()
    return TextDetector(run, facts if side is None else {**facts, "side": side})


def _openvino(path: Path, threads: int) -> Network:
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False, "INFERENCE_PRECISION_HINT": "f32"}
    try:
        core = import_openvino().Core()
        request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()
    except RuntimeError as error:
        raise WeightsError(f"{path}: cannot be opened ({type(error).__name__}: {error})") from error

    def run(picture: np.ndarray) -> np.ndarray:
        request.infer([picture])
        return np.array(request.get_output_tensor(0).data)

    return run
