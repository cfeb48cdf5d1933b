"""Print that can still be read on a redacted view, with its place: for the verification pass and for the header's word.

Tesseract reads what stands around a box at the size of what the box held: a name of which a box took only the first half
goes on beside it in letters of the same height.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import cv2
import numpy as np

from ..records import Detections, Text
from ..second_pass.strokes import percentile
from ..second_pass.tesseract import Reader

__all__ = ["LABEL", "as_detections", "begin", "clearly", "read"]

LABEL = "text"
ALONG, ACROSS, AROUND_PX = 4.0, 0.8, 12  # how far around a box is read: along its line and across, in its shorter sides; at least px
FURTHER = 4  # how often more is read where print goes on
HEIGHT = 32  # work pixels along a box's shorter side: the height that Tesseract reads best
SCALES = (0.5, 4.0)  # work pixels a source pixel
LARGEST = 1400  # work pixels along the longer side of a crop
BLANK = 16  # white pixels around a crop: Tesseract misses letters at the very edge
HAT = 1.2  # side of the flat-field's window, in `HEIGHT`: wider than any stroke of such letters
FLOOR = 20  # grey levels by which the strongest strokes must stand out to be read at all; soft tissue and ribs stay below
FAINTER = 0.3  # of the other polarity's energy: weaker strokes are not read
UPRIGHT = 1.3  # times wider: what is higher than that is read turned, both ways
CLEAR, CHARACTERS = 0.75, 3  # confidence and letters or digits from which a word is print: one or two of them are also what
# ribs, rings and clips look like
SMALLEST, TALLEST = 6, 2.0  # height of a word in source pixels, and at most in its box's shorter sides


def read(look: np.ndarray, xyxy: np.ndarray, reader: Reader) -> list[tuple[Text, ...]]:
    """What can be read in and around some boxes.

    Args:
        look: (H, W) uint8, the view with its decided boxes smoothed away.
        xyxy: (N, 4) source pixels; a box that lies within the surroundings of one before it is not read again.
        reader: an OCR engine that tells the place of each word.

    Returns:
        The words of each reading, in order, however unsure; readings without a word are left out.
    """
    return begin(look, xyxy, reader, None)()


def begin(look: np.ndarray, xyxy: np.ndarray, reader: Reader, beside: Executor | None) -> Callable[[], list[tuple[Text, ...]]]:
    """Begin to `read`, each place in a thread of `beside` if that is there; gives what `read` gives. `look` must not change until then."""
    places, done = [], np.zeros((0, 4))
    for box in np.asarray(xyxy, np.float64).reshape(-1, 4):
        around = _surroundings(box, look.shape)
        if (around[2:] <= around[:2]).any() or _within(box, done):
            continue
        done = np.concatenate([done, around[None]])
        places.append((look, box, around, reader))
    begun = [beside.submit(_read_on, *place) for place in places] if beside else None

    def found() -> list[tuple[Text, ...]]:
        readings = (one.result() for one in begun) if begun else (_read_on(*place) for place in places)
        return [words for reading in readings for words in reading if words]

    return found


def clearly(words: Sequence[Text]) -> list[Text]:
    """The words that are print beyond reasonable doubt: sure, long enough, and more letters and digits than other marks."""
    return [word for word in words if word.confidence >= CLEAR and _is_word(word.text)]


def as_detections(texts: Sequence[Text], label: str) -> Detections:
    """Texts as findings of one class; their confidence is the score."""
    if not texts:
        return Detections.empty((label,))
    xyxy = np.array([text.xyxy for text in texts], np.float32)
    return Detections(xyxy, np.array([t.confidence for t in texts], np.float32), np.zeros(len(texts), np.int64), (label,))


def _is_word(text: str) -> bool:
    count = sum(char.isalnum() for char in text)
    return count >= CHARACTERS and len(set(text.casefold())) > 1 and count > 0.7 * len(text)


def _surroundings(box: np.ndarray, shape_hw: tuple[int, int]) -> np.ndarray:
    """(4,) int: the box grown along its line, level unless it is `UPRIGHT`, and across, within the image."""
    size = box[2:] - box[:2]
    along, across = (max(AROUND_PX, share * float(size.min())) for share in (ALONG, ACROSS))
    dx, dy = (across, along) if size[1] > UPRIGHT * size[0] else (along, across)
    h, w = shape_hw
    return np.clip(np.rint(box + [-dx, -dy, dx, dy]), 0, [w, h, w, h]).astype(int)


def _within(box: np.ndarray, done: np.ndarray) -> bool:
    """Whether a box lies in one of (M, 4) others."""
    return bool(((box[:2] >= done[:, :2]) & (box[2:] <= done[:, 2:])).all(axis=1).any())


def _read_on(look: np.ndarray, box: np.ndarray, around: np.ndarray, reader: Reader) -> list[tuple[Text, ...]]:
    """`_read_crop`, and again of more where print is cut off by the end of what was read."""
    words = _read_crop(look, box, around, reader)
    for _ in range(FURTHER):
        cut = [np.array(word.xyxy) for reading in words for word in clearly(reading) if not _within(_near(np.array(word.xyxy)), around[None])]
        reach = np.array([around, *(_surroundings(word, look.shape) for word in cut)])
        wider = np.concatenate([reach[:, :2].min(axis=0), reach[:, 2:].max(axis=0)])
        if (wider == around).all():
            break
        around = wider
        words = _read_crop(look, box, around, reader)
    return words


def _near(word: np.ndarray) -> np.ndarray:
    """(4,) a word with the room of a further letter on each side."""
    half = min(word[2] - word[0], word[3] - word[1])
    return word + [-half, -half, half, half]


def _read_crop(look: np.ndarray, box: np.ndarray, around: np.ndarray, reader: Reader) -> list[tuple[Text, ...]]:
    x1, y1, x2, y2 = around
    crop, size = look[y1:y2, x1:x2], (box[2:] - box[:2]).clip(1)
    if int(crop.max()) - int(crop.min()) < FLOOR:
        return []
    scale = min(float(np.clip(HEIGHT / size.min(), *SCALES)), LARGEST / max(crop.shape))
    turns = (1, 3) if size[1] > UPRIGHT * size[0] else (0,)
    found = []
    for picture in _pictures(crop, scale):
        for quarters in turns:
            turned = np.ascontiguousarray(np.rot90(picture, quarters))
            words = [_in_source(word, turned.shape, quarters, scale, (x1, y1)) for word in reader.words(_framed(turned))]
            heights = [min(w.xyxy[2] - w.xyxy[0], w.xyxy[3] - w.xyxy[1]) for w in words]
            found.append(tuple(w for w, high in zip(words, heights) if SMALLEST <= high <= TALLEST * size.min() + SMALLEST))
    return found


def _pictures(crop: np.ndarray, scale: float) -> list[np.ndarray]:
    """(h, w) uint8 each: bright strokes and dark ones, as dark ones on flat white; without what hardly shows."""
    work = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    side = min(int(HAT * HEIGHT), max(3, min(work.shape) // 2)) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    hats = [cv2.morphologyEx(work, kind, kernel) for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)]
    energies = [float(np.square(hat, dtype=np.float32).sum()) for hat in hats]
    shown = [hat for hat, energy in zip(hats, energies) if percentile(hat, 99.5) >= FLOOR and energy >= FAINTER * max(energies)]
    return [255 - np.minimum(255, hat * (255.0 / max(FLOOR, percentile(hat, 99.8)))).astype(np.uint8) for hat in shown]


def _framed(picture: np.ndarray) -> np.ndarray:
    return cv2.copyMakeBorder(picture, BLANK, BLANK, BLANK, BLANK, cv2.BORDER_CONSTANT, value=255)


def _in_source(word: Text, shape_hw: tuple[int, int], quarters: int, scale: float, origin: tuple[int, int]) -> Text:
    """A word of a framed picture that was turned counter-clockwise by so many quarters, in source pixels."""
    h, w = shape_hw
    a, b, c, d = (v - BLANK for v in word.xyxy)
    x1, y1, x2, y2 = {0: (a, b, c, d), 1: (h - d, a, h - b, c), 3: (b, w - c, d, w - a)}[quarters]
    return Text(tuple(float(v / scale + o) for v, o in zip((x1, y1, x2, y2), (*origin, *origin))), word.text, word.confidence)
