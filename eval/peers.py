"""Other ways to find what is burned in, behind one interface: a picture goes in, cleaned pictures come out.

A peer finds texts with their boxes; what becomes of them is a *variant*: `all` are blackened, as each of the peers does by itself; with
`signs` one that reads exactly like a laterality marker stays, which none of them does by itself, but without which it could keep none;
with `words` single characters stay, as in RewritePixel. Boxes are grown by the margin that `markerremover remove` uses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np

from markerremover import __version__, boxes
from markerremover.errors import HeldError, UsageError
from markerremover.records import Policy, Text
from markerremover.redaction import text_finder
from markerremover.redaction.cleaning import open_cleaner
from markerremover.remover import MarkerRemover
from markerremover.second_pass.tesseract import RESOLUTION_DPI, open_reader
from markerremover.system.telemetry import import_onnxruntime

Find = Callable[[np.ndarray], Sequence[Text]]
PADDING_PX = 25  # grey border that Presidio's DICOM redactor lays around a picture before it is read
SIZES = (1, 0.7, 0.5)  # shares of the picture's own; eval/BENCHMARK.md says why
DB_SIDE = 736  # least shorter side that RapidOCR's own preparation gives its detector
DB_STEP = 32  # network pixels that a side must be a multiple of
DB_THRESHOLD, DB_SCORE, DB_UNCLIP, DB_LEAST_PX = 0.3, 0.5, 1.6, 3  # RapidOCR's own
BORDER = 0.1  # of each side, that the border baseline blackens


@dataclass(frozen=True)
class Tool:
    """clean: (H, W) uint8 -> variant -> (H, W) uint8 result, None where it holds the picture back.  variants: what `clean` gives."""

    name: str
    version: str
    variants: tuple[str, ...]
    clean: Callable[[np.ndarray], dict[str, np.ndarray | None]]


def blackened(image: np.ndarray, texts: Sequence[Text], policy: Policy, variant: str) -> np.ndarray:
    """A copy of a (H, W) picture with the boxes of a variant black, see above."""
    out = image.copy()
    for text in texts:
        read = text.text.strip()
        if variant == "laterality markers" and read.upper() in policy.keep or variant == "words" and len(read) == 1:
            continue
        grown = boxes.widen if policy.margin_px else boxes.grow  # the border has none
        x1, y1, x2, y2 = grown(np.array([text.xyxy], np.float64), policy.margin, policy.margin_px, image.shape)[0]
        out[y1:y2, x1:x2] = 0
    return out


def finder(name: str, version: str, find: Find, policy: Policy, variants: tuple[str, ...] = ("all", "laterality markers")) -> Tool:
    """A tool of something that finds texts; it looks once for all variants."""

    def clean(image: np.ndarray) -> dict[str, np.ndarray | None]:
        texts = find(image)
        return {variant: blackened(image, texts, policy, variant) for variant in variants}

    return Tool(name, version, variants, clean)


def ours(policy: Policy, *, second: bool = False) -> Tool:
    """This project, with or without its second look; a picture that it holds back has no result."""
    remover = MarkerRemover(cleaner=open_cleaner(policy, second=second))

    def clean(image: np.ndarray) -> dict[str, np.ndarray | None]:
        try:
            return {"laterality markers": remover.clean(image).array}
        except HeldError:
            return {"laterality markers": None}

    return Tool("markerremover" + (" with its second look" if second else ""), __version__, ("laterality markers",), clean)


def tesseract_page(policy: Policy) -> Tool:
    """Every word of Tesseract's default page segmentation, as Presidio's image redactor calls it.

    Presidio then blackens only what its analyser takes for personal; blackening every word is the most it could remove.

    Raises:
        UsageError: no tesseract program, or no pytesseract.
    """
    try:
        import pytesseract

        version = f"Tesseract {pytesseract.get_tesseract_version()}"
    except (ImportError, OSError, SystemExit) as error:
        raise UsageError("this peer needs pytesseract and the tesseract program") from error

    def find(image: np.ndarray) -> list[Text]:
        padded = cv2.copyMakeBorder(image, *(PADDING_PX,) * 4, cv2.BORDER_CONSTANT, value=int(np.bincount(image.ravel()).argmax()))
        data = pytesseract.image_to_data(padded, output_type=pytesseract.Output.DICT)
        rows = zip(data["left"], data["top"], data["width"], data["height"], data["text"], data["conf"])
        return [
            Text((x - PADDING_PX, y - PADDING_PX, x + w - PADDING_PX, y + h - PADDING_PX), text.strip(), max(0.0, float(confidence)) / 100)
            for x, y, w, h, text, confidence in rows if str(text).strip()
        ]

    return finder("Tesseract, all words (Presidio, RewritePixel)", version, find, policy, ("all", "laterality markers", "words"))


def tesseract_sparse(policy: Policy) -> Tool:
    """Every word of Tesseract's mode for sparse text, without its dictionaries, bright print made dark: the best use of it we found."""
    reader = open_reader()

    def find(image: np.ndarray) -> list[Text]:
        return reader.words(255 - image)

    package = type(reader).__name__.removesuffix("Reader").lower()
    return finder("Tesseract, sparse text", f"{package} {metadata.version(package)}, psm 11, {RESOLUTION_DPI} dpi", find, policy)


def rapidocr(policy: Policy) -> Tool:
    """Every text that RapidOCR finds and reads, however unsure, pictures up to 4096 pixels in full size.

    Raises:
        UsageError: RapidOCR is not installed.
    """
    find = text_finder.open_second_look()
    return finder("RapidOCR, all texts", f"rapidocr {metadata.version('rapidocr')}", find, policy)


def rapidocr_sizes(policy: Policy) -> Tool:
    """RapidOCR on the picture at several sizes, `SIZES`: its detector finds large single letters better in smaller pictures.

    Raises:
        UsageError: RapidOCR is not installed.
    """
    read = text_finder.open_second_look()

    def find(image: np.ndarray) -> list[Text]:
        found = []
        for size in SIZES:
            small = image if size == 1 else cv2.resize(image, None, fx=size, fy=size, interpolation=cv2.INTER_AREA)
            found += [Text(tuple(v / size for v in text.xyxy), text.text, text.confidence) for text in read(small)]
        return found

    return finder("RapidOCR at three sizes, all texts", f"rapidocr {metadata.version('rapidocr')}", find, policy)


def dbnet(policy: Policy) -> Tool:
    """The DBNet of RapidOCR's wheel run by OpenCV, thresholds as there; Tesseract reads each box.

    OpenCV's own TextDetectionModel_DB takes the network and then fails on its output (OpenCV 5.0.0: "dims <= 2"), so its last step,
    from the map to boxes, is done here. EAST, the other network OpenCV has a model for, cannot be had offline.

    Raises:
        UsageError: RapidOCR, whose wheel holds the network, is not installed, or OpenCV cannot load it.
    """
    try:
        import_onnxruntime()
        import rapidocr as package
    except ImportError as error:
        raise UsageError("this peer needs the network in RapidOCR's wheel") from error
    try:
        net = cv2.dnn.readNet(str(Path(package.__file__).parent / "models" / text_finder.MODELS[0]))
    except cv2.error as error:
        raise UsageError(f"OpenCV {cv2.__version__} cannot load the network of RapidOCR's wheel ({error})") from error
    reader = open_reader()

    def find(image: np.ndarray) -> list[Text]:
        h, w = image.shape
        factor = max(1.0, DB_SIDE / min(h, w))
        size = [max(DB_STEP, round(factor * side / DB_STEP) * DB_STEP) for side in (w, h)]
        net.setInput(cv2.dnn.blobFromImage(np.repeat(image[..., None], 3, axis=2), 1 / 127.5, size, (127.5,) * 3))
        boxes = db_boxes(net.forward()[0, 0], (h, w))
        crops = [image[max(0, int(y1) - 3) : int(y2) + 4, max(0, int(x1) - 3) : int(x2) + 4] for (x1, y1, x2, y2), _ in boxes]
        read = reader.read([np.ascontiguousarray(255 - crop) for crop in crops], psm=8)
        return [Text(box, text, score) for (box, score), (text, _) in zip(boxes, read)]

    version = f"OpenCV {cv2.__version__}, {text_finder.MODELS[0].removesuffix('.onnx')}"
    return finder("DBNet in OpenCV, all boxes", version, find, policy)


def db_boxes(likely: np.ndarray, shape_hw: tuple[int, int]) -> list[tuple[tuple[float, float, float, float], float]]:
    """Boxes and scores of a DBNet's map, as in Liao et al. 2020: regions above a threshold, grown by what training shrank them by.

    Args:
        likely: (h, w) float32, 0-1.  shape_hw: of the picture, whose pixels the boxes are in, clipped to it.
    """
    h, w = shape_hw
    scale = np.array([w / likely.shape[1], h / likely.shape[0]])
    mask = cv2.dilate((likely > DB_THRESHOLD).astype(np.uint8), np.ones((2, 2), np.uint8))
    found = []
    for contour in cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]:
        (cx, cy), (a, b), turn = cv2.minAreaRect(contour)
        x, y, bw, bh = cv2.boundingRect(contour)
        inside = np.zeros((bh, bw), np.uint8)
        cv2.fillPoly(inside, [contour - (x, y)], 1)
        score = float(likely[y : y + bh, x : x + bw][inside > 0].mean())
        if min(a, b) < DB_LEAST_PX or score < DB_SCORE:
            continue
        by = a * b * DB_UNCLIP / (2 * (a + b))
        corners = cv2.boxPoints(((cx, cy), (a + 2 * by, b + 2 * by), turn)) * scale
        low, high = np.clip(corners.min(axis=0), 0, (w, h)), np.clip(corners.max(axis=0), 0, (w, h))
        if (high - low).min() >= 1:
            found.append(((*map(float, low), *map(float, high)), score))
    return found


def border(policy: Policy) -> Tool:
    """A tenth of every side is blacked out, whatever is there: what a crop of the margins would do."""

    def find(image: np.ndarray) -> list[Text]:
        h, w = image.shape
        by, bx = round(BORDER * h), round(BORDER * w)
        return [Text(box, "", 1.0) for box in ((0, 0, w, by), (0, h - by, w, h), (0, 0, bx, h), (w - bx, 0, w, h))]

    return finder("a black border of 10 %", "", find, Policy(keep=policy.keep, margin=0, margin_px=0), ("all",))


#: Name on the command line -> what opens it for a policy.
TOOLS: dict[str, Callable[[Policy], Tool]] = {
    "ours": ours, "ours-second-look": lambda policy: ours(policy, second=True), "tesseract-page": tesseract_page,
    "tesseract-sparse": tesseract_sparse, "rapidocr": rapidocr, "rapidocr-sizes": rapidocr_sizes, "dbnet": dbnet, "border": border,
}


def cpu_seconds() -> float:
    """Processor time of this process and of its ended children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
