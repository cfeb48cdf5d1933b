"""The rescorer: a small network that scores every box of the localizer at the source's resolution.

The localizer gets the whole image scaled down and must find small annotations in much anatomy; whether one box holds print or
a port, a clip or a rib is easier to decide from the box alone, enlarged (a cascade of detectors, Viola and Jones 2001; Cai and
Vasconcelos 2018). The two scores are combined by logistic regression:

    score = sigmoid(localizer * logit(localizer's score) + rescorer * (rescorer's logit) + offset)

With a text detector the score is the greater of this one and the one with the logit of the text's probability as a third term: an arrow that the
other two are sure of does not count for less because it is no text.

A box that is larger than annotations are, such as one around an implant, must be surer: of 1,431 annotations of 929 radiographs of three sources the
shorter side is at most 0.16 of the image's longer one, and 0.13 of all but one. Each doubling beyond `LARGE` costs `LARGE_COST` of the joint logit,
unless the text detector is sure of text in the box (`SURE_TEXT`) or did not look.

The network takes (N, 3, `SIDE`, `SIDE`) float32 in 0–1, two square windows of each box (`CONTEXT` times its longer side) and
a mask of the box in the closer one, and gives (N,) logits of "this is the box of a burned-in annotation".
Card: `rescorer` = {file, sha256, floor, localizer, rescorer, offset}, with a text detector also `with_text` = {localizer, rescorer, text, offset}.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ..errors import HeldError, WeightsError
from ..inference.card_files import facts_of, opened
from .operating_point import logit, sigmoid

SIDE = 56  # side of a window, pixels
CONTEXT = (1.35, 3.2)  # sides of the two windows, in longer sides of the box
LEAST_RADIUS = 6.0  # least distance from the centre of a window to its side, source pixels
BATCH = 64  # greatest number of boxes in one run of the network
CARD_KEYS = ("file", "sha256", "floor", "localizer", "rescorer", "offset")
WITH_TEXT = ("localizer", "rescorer", "text", "offset")  # keys of `with_text`
LARGE = 0.13  # shorter side of a box beyond which annotations are rare, as a fraction of the image's longer side
LARGE_COST = 2.3  # cost of each doubling of it, logits
SURE_TEXT = 0.9  # probability of text in a box from which its size costs nothing
TEXT_LIMITS = (0.01, 0.99)  # a text detector's probabilities beyond these say no more


class Rescorer:
    """Computes the joint scores of both networks.

    Attributes:
        floor: least raw score of the localizer's candidates, 0–1.
        sha256: of the network's file.
    """

    def __init__(self, network: Callable[[np.ndarray], np.ndarray], facts: dict) -> None:
        self._network = network
        self.floor, self.sha256 = float(facts["floor"]), str(facts["sha256"])
        self._weights = float(facts["localizer"]), float(facts["rescorer"]), float(facts["offset"])
        with_text = facts.get("with_text")
        self._with_text = None if with_text is None else tuple(float(with_text[key]) for key in WITH_TEXT)

    @property
    def takes_text(self) -> bool:
        """Whether there are weights for the scores of a text detector."""
        return self._with_text is not None

    def __call__(self, display: np.ndarray, xyxy: np.ndarray, scores: np.ndarray, texts: np.ndarray | None = None) -> np.ndarray:
        """The joint scores of some boxes, (N,) float64 in 0–1.

        Args:
            display: (H, W) uint8, bright = dense.  xyxy: (N, 4) source pixels.  scores: (N,) raw, of the localizer.
            texts: (N,) probability of text in each box, 0–1, see `text_detector.TextMap.at`, only if it `takes_text`; None if no text
                detector was run.

        Raises:
            HeldError: the network's output is not one finite number per box.
            WeightsError: `texts` without weights for them.
        """
        if not len(xyxy):
            return np.zeros(0)
        by_localizer, by_window = logit(np.asarray(scores, np.float64)), self.logits(display, xyxy)
        by_size = 0.0 if texts is None else size_cost(xyxy, display.shape) * (np.asarray(texts) < SURE_TEXT)
        a, b, c = self._weights
        alone = sigmoid(a * by_localizer + b * by_window + c - by_size)
        if texts is None:
            return alone
        if self._with_text is None:
            raise WeightsError("the card's rescorer has no weights for a text detector")
        a, b, d, c = self._with_text
        return np.maximum(alone, sigmoid(a * by_localizer + b * by_window + d * of_text(texts) + c - by_size))

    def logits(self, display: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
        """(N,) float64: the network's logit for each box, before the combination.

        Args:
            display, xyxy: as of a call.

        Raises:
            HeldError: as a call.
        """
        answers = [np.zeros(0)]
        for start in range(0, len(xyxy), BATCH):
            part = xyxy[start : start + BATCH]
            answer = np.asarray(self._network(windows(display, part).astype(np.float32) / np.float32(255)), np.float64)
            if answer.shape != (len(part),) or not np.isfinite(answer).all():
                raise HeldError(f"the rescorer's answer, shape {answer.shape}, is not a finite number for each box")
            answers.append(answer)
        return np.concatenate(answers)


def size_cost(xyxy: np.ndarray, shape_hw: tuple[int, ...]) -> np.ndarray:
    """(N,) float64: what the joint logits lose because boxes, (N, 4) source pixels, are larger than annotations of an (H, W) image are."""
    box = np.asarray(xyxy, np.float64).reshape(-1, 4)
    share = np.minimum(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]) / max(shape_hw)
    return LARGE_COST * np.log2(np.maximum(share / LARGE, 1.0))


def of_text(texts: np.ndarray) -> np.ndarray:
    """The logits of a text detector's probabilities, within `TEXT_LIMITS`."""
    return logit(np.clip(np.asarray(texts, np.float64), *TEXT_LIMITS))


def windows(display: np.ndarray, xyxy: np.ndarray) -> np.ndarray:
    """The network's input pictures: a close and a wide square window around each box, with the image's edge replicated, and a mask of
    the box in the close window, since a line of text and a square box that is too high for it give the same windows.

    Args:
        display: (H, W) uint8.  xyxy: (N, 4) source pixels.

    Returns:
        New (N, 3, SIDE, SIDE) uint8 array; the mask is 255 in the box and 0 around it.
    """
    result = np.zeros((len(xyxy), len(CONTEXT) + 1, SIDE, SIDE), np.uint8)
    for box, channels in zip(np.asarray(xyxy, np.float64), result):
        for context, window in zip(CONTEXT, channels):
            window[:] = _window(display, box, context)
        half = np.array([box[2] - box[0], box[3] - box[1]]) / 2 * SIDE / (2 * _radius(box, CONTEXT[0]))
        left, top = (min(int(round(SIDE / 2 - h)), SIDE // 2 - 1) for h in half)
        channels[-1, max(0, top) : max(0, SIDE - top), max(0, left) : max(0, SIDE - left)] = 255
    return result


def _radius(box: np.ndarray, context: float) -> float:
    """Distance from the centre of a window to its side, source pixels."""
    return max(max(box[2] - box[0], box[3] - box[1]) * context / 2, LEAST_RADIUS)


def _window(display: np.ndarray, box: np.ndarray, context: float) -> np.ndarray:
    x1, y1, x2, y2 = box
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    radius = _radius(box, context)
    scale = SIDE / (2 * radius)
    h, w = display.shape
    pad = radius + 4
    left, top = int(np.clip(cx - pad, 0, w - 1)), int(np.clip(cy - pad, 0, h - 1))
    part = display[top : max(top + 1, int(min(h, cy + pad))), left : max(left + 1, int(min(w, cx + pad)))]
    if scale < 1 / 1.5:  # an affine map samples points; smooth first
        part = cv2.GaussianBlur(part, (0, 0), 0.4 / scale)
    matrix = np.array([[scale, 0, SIDE / 2 - (cx - left) * scale], [0, scale, SIDE / 2 - (cy - top) * scale]])
    return cv2.warpAffine(part, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def of_card(card: dict, folder: Path, threads: int = 1) -> Rescorer | None:
    """The rescorer that a localizer's card names; None where it names none.

    Args:
        card: of the localizer.
        folder: the folder of card and localizer. The file is searched there, then among the shipped weights.
        threads: CPU threads; the network is small, it always runs in ONNX Runtime on the CPU.

    Raises:
        WeightsError: the file is missing or has another hash than the card states, or a key is missing.
    """
    facts = facts_of(card, "rescorer", CARD_KEYS, folder)
    if facts is None:
        return None
    if missing := [key for key in WITH_TEXT if "with_text" in facts and key not in facts["with_text"]]:
        raise WeightsError(f"{folder}: the card's rescorer lacks {', '.join(missing)} in with_text")
    return Rescorer(opened(facts, folder, threads), facts)
