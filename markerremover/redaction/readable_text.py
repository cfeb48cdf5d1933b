"""Print that is still legible on a redacted view, with its position: for the verification pass and the comparison with the header.

Tesseract reads the surroundings of a box at the scale of the box's print: a name of which a box covered only the first half
continues beside it in letters of the same height.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace

import cv2
import numpy as np

from ..records import Decision, Detections, Policy, Text
from ..second_pass.strokes import percentile
from ..second_pass.tesseract import Reader
from . import decision_rules

__all__ = ["LABEL", "as_detections", "begin", "clearly", "header_removal", "read"]

LABEL = "text"
HEADER_LABEL, HEADER_REASON = "header", "matches the file's own header"
ALONG, ACROSS, MARGIN_PX = 4.0, 0.8, 12  # margins read around a box, along its line and across, in its shorter sides; least margin, pixels
FURTHER = 4  # greatest number of extensions where print continues
HEIGHT = 32  # a box's shorter side in work pixels: the letter height that Tesseract reads best
SCALES = (0.5, 4.0)  # range of the scale, work pixels per source pixel
LARGEST = 1400  # longest side of a crop, work pixels
BLANK = 16  # white border around a crop, pixels: Tesseract misses letters at the edge
HAT = 1.2  # side of the flat-field's window, in `HEIGHT`: wider than any stroke of such letters
FLOOR = 20  # least contrast of the strongest strokes, grey levels; soft tissue and ribs have less
FAINTER = 0.3  # least energy of a polarity's strokes, as a fraction of the other's
VERTICAL = 1.3  # ratio of height to width from which a box is read rotated, both ways
LEAST_CONFIDENCE, LEAST_CHARACTERS = 0.75, 3  # least confidence and number of letters or digits of a word: ribs, rings and clips may
# resemble one or two
SMALLEST, TALLEST = 6, 2.0  # least height of a word in source pixels; greatest height in its box's shorter sides


def read(image: np.ndarray, xyxy: np.ndarray, reader: Reader) -> list[tuple[Text, ...]]:
    """Read the print in and around some boxes.

    Args:
        image: (H, W) uint8, the view with its decided boxes smoothed.
        xyxy: (N, 4) source pixels; a box that lies within the surroundings of an earlier one is not read again.
        reader: an OCR engine.

    Returns:
        The words of each reading, in order, of any confidence, with source xyxy; readings without a word are omitted.
    """
    return begin(image, xyxy, reader, None)()


def begin(image: np.ndarray, xyxy: np.ndarray, reader: Reader, beside: Executor | None) -> Callable[[], list[tuple[Text, ...]]]:
    """Start to `read`, each box in a thread of `beside`; without that, the boxes are read when the result is asked for.

    Args:
        image, xyxy, reader: as of `read`; `image` must not change before the result is there.
        beside: the executor, or None.

    Returns:
        A function that waits for the result of `read` and returns it.
    """
    places: list[tuple[np.ndarray, np.ndarray, np.ndarray, Reader]] = []
    read_areas = np.zeros((0, 4))
    for box in np.asarray(xyxy, np.float64).reshape(-1, 4):
        area = _surroundings(box, image.shape)
        if (area[2:] <= area[:2]).any() or _within(box, read_areas):
            continue
        read_areas = np.concatenate([read_areas, area[None]])
        places.append((image, box, area, reader))
    futures = [beside.submit(_read_on, *place) for place in places] if beside else None

    def result() -> list[tuple[Text, ...]]:
        readings = (future.result() for future in futures) if futures else (_read_on(*place) for place in places)
        return [words for reading in readings for words in reading if words]

    return result


def clearly(words: Sequence[Text]) -> list[Text]:
    """The words that are certainly print: of sufficient confidence and length, and mostly of letters and digits."""
    return [word for word in words if word.confidence >= LEAST_CONFIDENCE and _is_word(word.text)]


def as_detections(texts: Sequence[Text], label: str) -> Detections:
    """Texts as detections of one class, `label`; the confidence is the score."""
    if not texts:
        return Detections.empty((label,))
    xyxy = np.array([text.xyxy for text in texts], np.float32)
    return Detections(xyxy, np.array([t.confidence for t in texts], np.float32), np.zeros(len(texts), np.int64), (label,))


def header_removal(index: int, words: Sequence[Text], policy: Policy, shape_hw: tuple[int, int]) -> Decision:
    """The removal of some words of frame `index` that match the file's own header, with the policy's margin."""
    corners = np.array([word.xyxy for word in words])
    bounds = np.concatenate([corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)])
    removal = decision_rules.decide(index, bounds, float(min(w.confidence for w in words)), HEADER_LABEL, None, policy, shape_hw)
    return replace(removal, reason=HEADER_REASON)


def _is_word(text: str) -> bool:
    count = sum(char.isalnum() for char in text)
    return count >= LEAST_CHARACTERS and len(set(text.casefold())) > 1 and count > 0.7 * len(text)


def _surroundings(box: np.ndarray, shape_hw: tuple[int, int]) -> np.ndarray:
    """(4,) int xyxy: the box grown along its line, horizontal unless it is `VERTICAL`, and across, within the image."""
    size = box[2:] - box[:2]
    along, across = (max(MARGIN_PX, share * float(size.min())) for share in (ALONG, ACROSS))
    dx, dy = (across, along) if size[1] > VERTICAL * size[0] else (along, across)
    h, w = shape_hw
    return np.clip(np.rint(box + [-dx, -dy, dx, dy]), 0, [w, h, w, h]).astype(int)


def _within(box: np.ndarray, others: np.ndarray) -> bool:
    """Whether a box lies in one of (M, 4) others."""
    return bool(((box[:2] >= others[:, :2]) & (box[2:] <= others[:, 2:])).all(axis=1).any())


def _read_on(image: np.ndarray, box: np.ndarray, area: np.ndarray, reader: Reader) -> list[tuple[Text, ...]]:
    """`_read_crop`, repeated with a larger area where the edge of the area cuts print."""
    words = _read_crop(image, box, area, reader)
    for _ in range(FURTHER):
        cut_words = [np.array(word.xyxy) for reading in words for word in clearly(reading) if not _within(_extended(np.array(word.xyxy)), area[None])]
        reach = np.array([area, *(_surroundings(word, image.shape) for word in cut_words)])
        wider = np.concatenate([reach[:, :2].min(axis=0), reach[:, 2:].max(axis=0)])
        if (wider == area).all():
            break
        area = wider
        words = _read_crop(image, box, area, reader)
    return words


def _extended(word: np.ndarray) -> np.ndarray:
    """(4,) xyxy: a word with a margin for part of a further letter on each side."""
    half = min(word[2] - word[0], word[3] - word[1])
    return word + [-half, -half, half, half]


def _read_crop(image: np.ndarray, box: np.ndarray, area: np.ndarray, reader: Reader) -> list[tuple[Text, ...]]:
    x1, y1, x2, y2 = area
    crop, size = image[y1:y2, x1:x2], (box[2:] - box[:2]).clip(1)
    if int(crop.max()) - int(crop.min()) < FLOOR:
        return []
    scale = min(float(np.clip(HEIGHT / size.min(), *SCALES)), LARGEST / max(crop.shape))
    turns = (1, 3) if size[1] > VERTICAL * size[0] else (0,)
    result = []
    for picture in _pictures(crop, scale):
        for quarters in turns:
            rotated = np.ascontiguousarray(np.rot90(picture, quarters))
            words = [_in_source(word, rotated.shape, quarters, scale, (x1, y1)) for word in reader.words(_with_border(rotated))]
            heights = [min(w.xyxy[2] - w.xyxy[0], w.xyxy[3] - w.xyxy[1]) for w in words]
            result.append(tuple(w for w, high in zip(words, heights) if SMALLEST <= high <= TALLEST * size.min() + SMALLEST))
    return result


def _pictures(crop: np.ndarray, scale: float) -> list[np.ndarray]:
    """(h, w) uint8 each: bright and dark strokes, both as dark on flat white; polarities with faint strokes are omitted."""
    work = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    side = min(int(HAT * HEIGHT), max(3, min(work.shape) // 2)) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    hats = [cv2.morphologyEx(work, kind, kernel) for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)]
    energies = [float(np.square(hat, dtype=np.float32).sum()) for hat in hats]
    visible = [hat for hat, energy in zip(hats, energies) if percentile(hat, 99.5) >= FLOOR and energy >= FAINTER * max(energies)]
    return [255 - np.minimum(255, hat * (255.0 / max(FLOOR, percentile(hat, 99.8)))).astype(np.uint8) for hat in visible]


def _with_border(picture: np.ndarray) -> np.ndarray:
    return cv2.copyMakeBorder(picture, BLANK, BLANK, BLANK, BLANK, cv2.BORDER_CONSTANT, value=255)


def _in_source(word: Text, shape_hw: tuple[int, int], quarters: int, scale: float, origin: tuple[int, int]) -> Text:
    """A word of an image with a border, (H, W) without it, that was rotated counter-clockwise by so many quarter turns, in source pixels."""
    h, w = shape_hw
    a, b, c, d = (v - BLANK for v in word.xyxy)
    x1, y1, x2, y2 = {0: (a, b, c, d), 1: (h - d, a, h - b, c), 3: (b, w - c, d, w - a)}[quarters]
    x0, y0 = origin
    xyxy = float(x1 / scale + x0), float(y1 / scale + y0), float(x2 / scale + x0), float(y2 / scale + y0)
    return Text(xyxy, word.text, word.confidence)
