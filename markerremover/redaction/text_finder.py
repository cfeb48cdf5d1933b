"""RapidOCR as a second look at the whole picture: an independent finder of text that fails on other things than the localizer.

Its networks come with its package; nothing is ever downloaded. Nothing read is ever logged.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

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
LONGEST_SIDE = 4096  # pixels above which it shrinks a picture; its own default, 2000, loses small print of large ones
LEAST, LEAST_SINGLE = 0.6, 0.9  # its confidence from which several characters are print, and a single one
SIMPLE = frozenset("0OoDCcQ1IlJT7Lij|")  # rings, ports and edges of bones look like them: one alone, other than a laterality marker, is none
LARGEST = 0.25  # of the picture's longer side: print is less high
NEAR, NEAR_PX = 0.5, 16  # how near a decision is: shorter sides of the text, and pixels at least; see Detector.near
COVERED = 0.5  # of a line's breadth at one place that decisions cover where that place is dealt with
LEAST_RUN = 0.4  # of a line's height: a shorter piece of it is but the edge of a box


def open_second_look(threads: int | None = None) -> TextFinder:
    """Load the networks.

    Args:
        threads: CPU threads; all cores by default.

    Returns:
        A function of a (H, W) uint8 frame: every text found, however unsure.

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
        # with a lock: RapidOCR does not say that it may be called from several threads
        opened = Own(lambda: (RapidOCR(params=dict(params)), threading.Lock()))

    def find(frame: np.ndarray) -> tuple[Text, ...]:
        with at_work():
            engine, turn = opened()
            with turn:
                found = engine(np.repeat(frame[..., None], 3, axis=2), use_cls=False)
        if found.boxes is None or found.txts is None:
            return ()
        corners = np.asarray(found.boxes, np.float64)
        low, high = corners.min(axis=1), corners.max(axis=1)
        return tuple(Text((*a, *b), text, float(score)) for a, b, text, score in zip(low.tolist(), high.tolist(), found.txts, found.scores))

    return find


def findings(texts: Sequence[Text], explained: np.ndarray) -> Detections:
    """What of the texts of one frame is print that no decision covers.

    Args:
        explained: (H, W) bool, where decisions lie.
    """
    return as_detections([piece for text in texts if is_print(text, explained.shape) for piece in uncovered(text, explained)], LABEL)


def findings_again(texts: Sequence[Text], explained: np.ndarray) -> Detections:
    """`findings` on a result: near decisions any print, elsewhere words beyond doubt only. There no pixel has changed since the
    first look, but without the removed print the networks now and then take a bone for a letter or two.

    Args:
        explained: (H, W) bool, where decisions lie.
    """
    close = [text for text in texts if _box_of(text, NEAR, NEAR_PX, explained).any()]
    return findings([*close, *(text for text in clearly(texts) if text not in close)], explained)


def _box_of(text: Text, share: float, least_px: float, mask: np.ndarray) -> np.ndarray:
    """The part of a (H, W) mask in a text's box, grown by a share of its shorter side, `least_px` at least."""
    x1, y1, x2, y2 = text.xyxy
    by = max(least_px, share * min(x2 - x1, y2 - y1))
    return mask[max(0, int(y1 - by)) : max(0, int(y2 + by)), max(0, int(x1 - by)) : max(0, int(x2 + by))]


def is_print(text: Text, shape_hw: tuple[int, int]) -> bool:
    """Whether a finding is print rather than anatomy or a device: sure, and letters or digits, several or one of a clear shape."""
    characters = [char for char in text.text if char.isalnum()]
    x1, y1, x2, y2 = text.xyxy
    if not characters or min(x2 - x1, y2 - y1) > LARGEST * max(shape_hw):
        return False
    if len(characters) == 1:
        return text.confidence >= LEAST_SINGLE and (characters[0] in "LR" or (characters[0].isascii() and characters[0] not in SIMPLE))
    return text.confidence >= LEAST and len(set(characters)) > 1


def uncovered(text: Text, explained: np.ndarray) -> list[Text]:
    """The pieces of a line of text that no decision covers: a line may begin with a laterality marker that is kept.

    Args:
        explained: (H, W) bool, where decisions lie.
    """
    h, w = explained.shape
    x1, y1 = (int(np.clip(np.floor(v), 0, end)) for v, end in zip(text.xyxy[:2], (w, h)))
    x2, y2 = (int(np.clip(np.ceil(v), 0, end)) for v, end in zip(text.xyxy[2:], (w, h)))
    inside = explained[y1:y2, x1:x2]
    if not inside.size:
        return []
    level = x2 - x1 >= y2 - y1
    free = inside.mean(axis=0 if level else 1) <= COVERED
    edges = np.flatnonzero(np.diff(np.concatenate([[False], free, [False]]).astype(np.int8)))
    runs = [(int(a), int(b)) for a, b in edges.reshape(-1, 2) if b - a >= LEAST_RUN * min(inside.shape)]
    if not inside.any():
        return [text]
    return [Text((x1 + a, y1, x1 + b, y2) if level else (x1, y1 + a, x2, y1 + b), text.text, text.confidence) for a, b in runs]
