"""RapidOCR as an independent text finder on the whole image, with other failure modes than the localizer's.

Its networks come with its package; nothing is downloaded. Text that was read is never logged.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError
from ..records import Detections, Text
from ..system.forks import Own, at_work
from ..system.telemetry import import_onnxruntime
from .readable_text import as_detections, clearly

__all__ = ["LABEL", "TextFinder", "findings", "findings_again", "is_print", "open_second_look", "uncovered"]

LABEL = "second look"
TextFinder = Callable[[np.ndarray], tuple[Text, ...]]
HINT = "--second-look needs RapidOCR with the models of its wheel: pip install 'markerremover[second-look]'"
MODELS = ("PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx")
LONGEST_SIDE = 4096  # longest side of an image that RapidOCR does not shrink, pixels; at its default, 2000, small print in large images is missed
LEAST_CONFIDENCE, LEAST_SINGLE_CONFIDENCE = 0.6, 0.9  # least confidence of several characters, and of a single one
AMBIGUOUS = frozenset("0OoDCcQ1IlJT7Lij|")  # characters that rings, ports and bone edges resemble: not print if single, except laterality markers
LARGEST = 0.25  # greatest height of print, as a fraction of the image's longer side
NEAR, NEAR_PX = 0.5, 16  # greatest distance of a text that is near a decision, in the text's shorter sides, and least such limit in pixels
COVERED = 0.5  # greatest covered share of a line's breadth at an uncovered position
LEAST_RUN = 0.4  # least length of an uncovered piece, as a fraction of the line's height; shorter pieces are the edge of a box


def open_second_look(threads: int | None = None) -> TextFinder:
    """Load the networks.

    Args:
        threads: CPU threads; all cores by default.

    Returns:
        A function of an (H, W) uint8 frame that returns every text found, of any confidence, with source xyxy. Threads may share it.

    Raises:
        UsageError: the package or a model of its wheel is missing.
    """
    try:
        import_onnxruntime()
        import rapidocr
        from rapidocr import RapidOCR
    except ImportError as error:
        raise UsageError(f"{HINT} ({type(error).__name__})") from error
    folder = Path(rapidocr.__file__).parent / "models"
    if missing := [name for name in MODELS if not (folder / name).is_file()]:
        raise UsageError(f"{HINT}; its folder lacks {', '.join(missing)}")
    logging.getLogger("RapidOCR").setLevel(logging.CRITICAL)
    params = {
        "Global.log_level": "critical", "Global.use_cls": False, "Global.text_score": 0.0, "Global.max_side_len": LONGEST_SIDE,
        "Det.model_path": str(folder / MODELS[0]), "Rec.model_path": str(folder / MODELS[1]),
        "EngineConfig.onnxruntime.intra_op_num_threads": threads or -1,
    }
    with at_work():
        # with a lock: RapidOCR is not documented as thread-safe
        engines = Own(lambda: (RapidOCR(params=dict(params)), threading.Lock()))

    def find(frame: np.ndarray) -> tuple[Text, ...]:
        with at_work():
            engine, lock = engines()
            with lock:
                output: Any = engine(np.repeat(frame[..., None], 3, axis=2), use_cls=False)
        if output.boxes is None or output.txts is None:
            return ()
        corners = np.asarray(output.boxes, np.float64)
        low, high = corners.min(axis=1), corners.max(axis=1)
        return tuple(Text((*a, *b), text, float(score)) for a, b, text, score in zip(low.tolist(), high.tolist(), output.txts, output.scores))

    return find


def findings(texts: Sequence[Text], explained: np.ndarray) -> Detections:
    """The parts of one frame's texts that are print and not covered by a decision, as detections of class `LABEL`.

    Args:
        texts: of the frame, source pixels.
        explained: (H, W) bool, the area of all decisions.
    """
    return as_detections([piece for text in texts if is_print(text, explained.shape) for piece in uncovered(text, explained)], LABEL)


def findings_again(texts: Sequence[Text], explained: np.ndarray) -> Detections:
    """`findings` on a result: near decisions any print, elsewhere only words that are certainly print.

    Elsewhere no pixel has changed, but without the removed print the networks sometimes take a bone for a letter or two.

    Args:
        texts: of the redacted frame, source pixels.
        explained: (H, W) bool, the area of all decisions.
    """
    nearby = [text for text in texts if _box_of(text, NEAR, NEAR_PX, explained).any()]
    return findings([*nearby, *(text for text in clearly(texts) if text not in nearby)], explained)


def _box_of(text: Text, share: float, least_px: float, mask: np.ndarray) -> np.ndarray:
    """The part of a (H, W) mask in a text's box, grown by a share of its shorter side, `least_px` at least."""
    x1, y1, x2, y2 = text.xyxy
    margin = max(least_px, share * min(x2 - x1, y2 - y1))
    return mask[max(0, int(y1 - margin)) : max(0, int(y2 + margin)), max(0, int(x1 - margin)) : max(0, int(x2 + margin))]


def is_print(text: Text, shape_hw: tuple[int, int]) -> bool:
    """Whether a text is print rather than anatomy or a device: confident, not too large, and several different letters or digits or a
    single unambiguous one."""
    characters = [char for char in text.text if char.isalnum()]
    x1, y1, x2, y2 = text.xyxy
    if not characters or min(x2 - x1, y2 - y1) > LARGEST * max(shape_hw):
        return False
    if len(characters) == 1:
        return text.confidence >= LEAST_SINGLE_CONFIDENCE and (characters[0] in "LR" or (characters[0].isascii() and characters[0] not in AMBIGUOUS))
    return text.confidence >= LEAST_CONFIDENCE and len(set(characters)) > 1


def uncovered(text: Text, explained: np.ndarray) -> list[Text]:
    """The pieces of a line of text that no decision covers: a line may begin with a retained laterality marker.

    Args:
        text: a line, horizontal or vertical.
        explained: (H, W) bool, the area of all decisions.

    Returns:
        Texts with the line's characters and confidence and each piece's box; [] if all of it is covered or outside the image.
    """
    h, w = explained.shape
    x1, y1 = (int(np.clip(np.floor(v), 0, end)) for v, end in zip(text.xyxy[:2], (w, h)))
    x2, y2 = (int(np.clip(np.ceil(v), 0, end)) for v, end in zip(text.xyxy[2:], (w, h)))
    inside = explained[y1:y2, x1:x2]
    if not inside.size:
        return []
    is_horizontal = x2 - x1 >= y2 - y1
    is_uncovered = inside.mean(axis=0 if is_horizontal else 1) <= COVERED
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_uncovered, [False]]).astype(np.int8)))
    runs = [(int(a), int(b)) for a, b in edges.reshape(-1, 2) if b - a >= LEAST_RUN * min(inside.shape)]
    if not inside.any():
        return [text]
    return [Text((x1 + a, y1, x1 + b, y2) if is_horizontal else (x1, y1 + a, x2, y1 + b), text.text, text.confidence) for a, b in runs]
