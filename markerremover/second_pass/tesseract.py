"""Tesseract, in process through tesserocr (about 1 ms a letter) or, failing that, through pytesseract.

Only the LSTM engine is used: it keeps no state between images. Text that was read is never logged.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from ..errors import UsageError
from ..records import Text
from ..system.forks import Own, at_work

__all__ = ["Reader", "available", "engine", "open_reader"]

LANGUAGE = "eng"
SPARSE = 11  # Tesseract's page segmentation mode for print anywhere
RESOLUTION_DPI = 150  # resolution given to Tesseract, which otherwise estimates one (and warns) for every crop
#: Dictionaries are switched off: single letters are not words.
SETTINGS = {"load_system_dawg": "0", "load_freq_dawg": "0"}
_OPTIONS = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
# Whether a line with a poor result is also tried as light print on dark. With it Tesseract misses many an R with wide strokes, which cover more
# than their ground; without it, it misses a few words of arbitrary print (106 instead of 109 of 476 annotations read clearly). So it is off
# where a whitelist applies, and on where any legible print counts.
INVERT = "tessedit_do_invert"
HINT = (
    "no OCR engine: the second pass needs Tesseract 5 to tell a laterality marker from a name. Install it (Debian/Ubuntu: "
    "apt-get install tesseract-ocr; macOS: brew install tesseract; conda: conda install -c conda-forge tesseract) with "
    "`pip install tesserocr` or `pip install pytesseract`, set TESSDATA_PREFIX to the folder of eng.traineddata if it is "
    "an unusual one, or keep nothing with --keep none"
)
_COMMON_FOLDERS = (
    "/usr/share/tesseract-ocr/5/tessdata", "/usr/share/tesseract-ocr/4.00/tessdata", "/usr/share/tessdata",
    "/usr/share/tesseract/tessdata", "/usr/local/share/tessdata", "/opt/homebrew/share/tessdata",
    "/opt/local/share/tessdata", r"C:\Program Files\Tesseract-OCR\tessdata",
)


class Reader(Protocol):
    """Anything that reads dark text on white."""

    def read(self, images: Sequence[np.ndarray], *, whitelist: str | None = None, psm: int = 10) -> list[tuple[str, float]]:
        """One (text, confidence 0–1) per image.

        Args:
            images: (H, W) uint8 arrays, dark text on white; may be empty.
            whitelist: the characters that may be read, None for all; with one, light print on dark is not tried.
            psm: Tesseract's page segmentation mode (7 one line, 8 one word, 10 one character).

        Returns:
            Text without surrounding blanks, "" (confidence 0) where nothing was read.
        """

    def words(self, image: np.ndarray) -> list[Text]:
        """Every word of an image with print at unknown places or none, in reading order.

        Args:
            image: (H, W) uint8, dark text on white.

        Returns:
            Words in pixels of the image, possibly none.
        """


def tessdata_folder() -> str | None:
    """The folder of the language data: $TESSDATA_PREFIX, a usual place, or the one that the tesseract program reports; None if not found."""
    prefix = os.environ.get("TESSDATA_PREFIX")
    folders = [prefix, os.path.join(prefix, "tessdata")] if prefix else []
    for folder in [*folders, *_COMMON_FOLDERS]:
        if os.path.isfile(os.path.join(folder, f"{LANGUAGE}.traineddata")):
            return folder
    try:
        listing = subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'"([^"]+)"', listing.stdout + listing.stderr)
    if match and os.path.isfile(os.path.join(match[1], f"{LANGUAGE}.traineddata")):
        return match[1]
    return None


def _one_threaded_tesserocr():
    """The module, with its OpenMP limited to one thread: on a single letter, several threads are three times slower. The limit is
    read when the library loads, so other libraries in the process are not affected."""
    before = os.environ.get("OMP_THREAD_LIMIT")
    os.environ["OMP_THREAD_LIMIT"] = "1"
    try:
        import tesserocr
    finally:
        if before is None:
            del os.environ["OMP_THREAD_LIMIT"]
        else:
            os.environ["OMP_THREAD_LIMIT"] = before
    return tesserocr


class TesserocrReader:
    """Reads in process; every thread has a separate engine, created at its first reading."""

    def __init__(self, folder: str) -> None:
        self._folder, self._local = folder, Own(threading.local)
        with at_work():
            self._engine()

    def _engine(self):
        local = self._local()
        engine = getattr(local, "engine", None)
        if engine is None:
            tesserocr = _one_threaded_tesserocr()
            settings = {"debug_file": os.devnull, **SETTINGS}
            tesserocr.set_leptonica_log_level(tesserocr.LeptLogLevel.NONE)  # it prints warnings about specks
            engine = tesserocr.PyTessBaseAPI(
                path=self._folder, lang=LANGUAGE, oem=tesserocr.OEM.LSTM_ONLY, psm=10, variables=settings
            )
            local.engine = engine
        return engine

    def read(self, images: Sequence[np.ndarray], *, whitelist: str | None = None, psm: int = 10) -> list[tuple[str, float]]:
        """See `Reader.read`."""
        with at_work():
            return self._read(self._engine(), images, whitelist, psm)

    @staticmethod
    def _read(engine, images: Sequence[np.ndarray], whitelist: str | None, psm: int) -> list[tuple[str, float]]:
        engine.SetPageSegMode(psm)
        engine.SetVariable("tessedit_char_whitelist", whitelist or "")
        engine.SetVariable(INVERT, "0" if whitelist else "1")
        found = []
        for image in images:
            h, w = image.shape
            engine.SetImageBytes(np.ascontiguousarray(image).tobytes(), w, h, 1, w)
            engine.SetSourceResolution(RESOLUTION_DPI)
            text = engine.GetUTF8Text().strip()
            confidences = engine.AllWordConfidences() if text else []
            found.append((text, min(confidences, default=0) / 100))
        engine.Clear()
        return found

    def words(self, image: np.ndarray) -> list[Text]:
        """See `Reader.words`."""
        h, w = image.shape
        with at_work():
            engine = self._engine()
            engine.SetPageSegMode(SPARSE)
            engine.SetVariable("tessedit_char_whitelist", "")
            engine.SetVariable(INVERT, "1")
            engine.SetImageBytes(np.ascontiguousarray(image).tobytes(), w, h, 1, w)
            engine.SetSourceResolution(RESOLUTION_DPI)
            table = engine.GetTSVText(0)
            engine.Clear()
        rows = (line.split("\t") for line in table.splitlines())
        return [_word(*row[6:12]) for row in rows if len(row) == 12 and row[0] == "5" and row[11].strip()]


class PytesseractReader:
    """Reads through the tesseract program, one call per list of images."""

    def __init__(self) -> None:
        import pytesseract

        pytesseract.get_tesseract_version()

    def read(self, images: Sequence[np.ndarray], *, whitelist: str | None = None, psm: int = 10) -> list[tuple[str, float]]:
        """See `Reader.read`."""
        if not len(images):
            return []
        import cv2
        import pytesseract

        config = f"--oem 1 --psm {psm} --dpi {RESOLUTION_DPI} {_OPTIONS}"
        config += f" -c tessedit_char_whitelist={whitelist} -c {INVERT}=0" if whitelist else ""
        with tempfile.TemporaryDirectory() as folder:
            paths = [os.path.join(folder, f"{i}.png") for i in range(len(images))]
            for path, image in zip(paths, images):
                cv2.imwrite(path, image)
            listing = Path(folder, "pages.txt")
            listing.write_text("\n".join(paths) + "\n", encoding="utf-8")
            data = pytesseract.image_to_data(str(listing), lang=LANGUAGE, config=config, output_type=pytesseract.Output.DICT)
        words: list[list[tuple[str, float]]] = [[] for _ in images]
        for page, text, confidence in zip(data["page_num"], data["text"], data["conf"]):
            if str(text).strip():
                words[int(page) - 1].append((str(text).strip(), float(confidence) / 100))
        return [(" ".join(t for t, _ in page), min((c for _, c in page), default=0.0)) for page in words]


    def words(self, image: np.ndarray) -> list[Text]:
        """See `Reader.words`."""
        import pytesseract

        config = f"--oem 1 --psm {SPARSE} --dpi {RESOLUTION_DPI} {_OPTIONS}"
        data = pytesseract.image_to_data(image, lang=LANGUAGE, config=config, output_type=pytesseract.Output.DICT)
        columns = zip(*(data[name] for name in ("left", "top", "width", "height", "conf", "text")))
        return [_word(*row) for row in columns if str(row[5]).strip()]


def _word(left: str, top: str, width: str, height: str, confidence: str, text: str) -> Text:
    """One row of Tesseract's table; left, top, width and height in pixels, confidence in per cent."""
    x, y, w, h = (float(v) for v in (left, top, width, height))
    return Text((x, y, x + w, y + h), str(text).strip(), max(0.0, float(confidence)) / 100)


def _open_tesserocr() -> Reader | None:
    folder = tessdata_folder()
    try:
        return TesserocrReader(folder) if folder else None
    except (ImportError, OSError, RuntimeError):
        return None


def _open_pytesseract() -> Reader | None:
    try:
        return PytesseractReader()
    except (ImportError, OSError, RuntimeError, SystemExit):  # SystemExit: what pytesseract raises on an unreadable version
        return None


def open_reader() -> Reader:
    """A new reader: tesserocr if it works, else pytesseract.

    Raises:
        UsageError: neither tesserocr nor pytesseract works here; the message says how to install them.
    """
    reader = _open_tesserocr() or _open_pytesseract()
    if reader is None:
        raise UsageError(HINT)
    return reader


def available() -> str | None:
    """"tesserocr" or "pytesseract", whichever `open_reader` would use; None if neither works."""
    try:
        return "tesserocr" if isinstance(open_reader(), TesserocrReader) else "pytesseract"
    except UsageError:
        return None


def engine() -> dict[str, str | None] | None:
    """The engine that `open_reader` would use: keys engine, tesseract (version) and tessdata (folder); None if none works."""
    name = available()
    if name is None:
        return None
    if name == "tesserocr":
        version = _one_threaded_tesserocr().tesseract_version().split("\n")[0].removeprefix("tesseract").strip()
    else:
        import pytesseract

        version = str(pytesseract.get_tesseract_version())
    return {"engine": name, "tesseract": version, "tessdata": tessdata_folder()}
