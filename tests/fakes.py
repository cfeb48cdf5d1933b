"""Plain callables that stand for the models, and tiny radiographs whose truth is known because it was built.

A marking here is a rectangle of pure white on a background that never gets near white.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import signal
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from markerremover.detection import localizer
from markerremover.errors import UsageError
from markerremover.inference import weights_card
from markerremover.inference.network import Network
from markerremover.inference.session import Session
from markerremover.options import RunOptions
from markerremover.records import Detections, Identifier, Policy
from markerremover.redaction.cleaning import Cleaner

WHITE = 250
NAME_BOX = (20, 14, 60, 30)
SHAPE = (96, 128)


def radiograph(seed: int, boxes=(NAME_BOX,), shape=SHAPE, dtype=np.uint8) -> np.ndarray:
    """(H, W) noise between 10 and 170 of 255 with white `boxes`; 16 bit is the same picture times 257."""
    image = np.random.default_rng(seed).integers(10, 170, shape).astype(np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = 255
    return image if dtype == np.uint8 else image.astype(np.uint16) * 257


def written(image: np.ndarray, text: str, at: tuple[int, int], height: int = 24, grey: int = 235) -> np.ndarray:
    """A copy with a text in one of the shipped fonts, its top left corner `at` (x, y)."""
    from PIL import Image, ImageDraw, ImageFont

    from markerremover.synthesis.marks.fonts import FONT_ROOT

    plain = str(FONT_ROOT / "train" / "DejaVuSans-Bold.ttf")
    picture = Image.fromarray(image)
    ImageDraw.Draw(picture).text(at, text, fill=grey, font=ImageFont.truetype(plain, height))
    return np.array(picture)


def find_white(frame: np.ndarray, threshold: float | None = None) -> Detections:
    """A localizer that finds every connected patch of white, exactly."""
    count, _, stats, _ = cv2.connectedComponentsWithStats((frame >= WHITE).astype(np.uint8))
    xyxy = np.array([[x, y, x + w, y + h] for x, y, w, h, area in stats[1:]], np.float32).reshape(-1, 4)
    return Detections(xyxy, np.full(count - 1, 0.9, np.float32), np.zeros(count - 1, np.int64))


def find_nothing(frame: np.ndarray, threshold: float | None = None) -> Detections:
    """A localizer that is blind."""
    return Detections.empty()


def restless():
    """A localizer that finds something somewhere else each time it looks."""
    looks = itertools.count()

    def find(frame: np.ndarray, threshold: float | None = None) -> Detections:
        x = 4 + 24 * (next(looks) % 5)
        return Detections(np.array([[x, 40, x + 12, 60]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))

    return find


class SilentReader:
    """An OCR engine that never reads anything."""

    def read(self, images, *, whitelist=None, psm=10):
        return [("", 0.0)] * len(images)

    def words(self, image):
        return []


def cleaner(threads: int = 1, detector=find_white, policy: Policy = Policy(keep=())) -> Cleaner:
    """A `Cleaner` that keeps nothing; its first argument is what `batch.remove` passes."""
    return Cleaner(detector, None, policy)


def cleaner_of_this_process(threads: int = 1) -> Cleaner:
    """A `Cleaner` whose weights are others in every process."""
    def detector(frame: np.ndarray, threshold: float | None = None) -> Detections:
        return find_white(frame, threshold)

    detector.sha256 = str(os.getpid())
    return Cleaner(detector, None, Policy(keep=()))


def cleaner_that_tells_opencv_threads(threads: int = 1) -> Cleaner:
    """A `Cleaner` whose weights have the number of OpenCV's threads for a SHA-256."""
    import cv2

    def detector(frame: np.ndarray, threshold: float | None = None) -> Detections:
        return find_white(frame, threshold)

    detector.sha256 = str(cv2.getNumThreads())
    return Cleaner(detector, None, Policy(keep=()))


def find_white_or_die(frame: np.ndarray, threshold: float | None = None) -> Detections:
    """Kills its own process on a frame whose first pixel is 7, as a crashing decoder would."""
    if frame[0, 0] == 7:
        os._exit(9)
    return find_white(frame)


def find_white_or_die_once(frame: np.ndarray, threshold: float | None = None) -> Detections:
    """`find_white`, but the first process that sees an image whose first pixel is 7 is killed, as where memory is short."""
    mark = Path(os.environ["MARKERREMOVER_TEST_MARK"])
    if frame[0, 0] == 7 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return find_white(frame)


def find_white_or_hang(display: np.ndarray, threshold: float | None = None) -> Detections:
    """`find_white`, but it never ends on an image whose first pixel is 7, and does not let itself be asked to."""
    if display[0, 0] == 7:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(60)
    return find_white(display, threshold)


def misbehave(path: Path) -> None:
    """What a parser does on a hostile file: never ends, or ends its process; by the name of the file."""
    if path.name.startswith("hangs"):
        while True:
            time.sleep(60)
    if path.name.startswith("kills"):
        os.kill(os.getpid(), signal.SIGSEGV)


def parts_or_worse(path: Path) -> frozenset[str] | None:
    """`images.path_parts`, but see `misbehave`."""
    from markerremover.formats import images

    misbehave(path)
    return images.path_parts(path)


def parts_and_process(path: Path) -> frozenset[str] | None:
    """`images.path_parts`, and the number of the process that was asked, in a file."""
    from markerremover.formats import images

    with open(os.environ["MARKERREMOVER_TEST_MARK"], "a") as handle:
        handle.write(f"{os.getpid()}\n")
    return images.path_parts(path)


def judge_or_die(task):
    """`results._row`, but see `misbehave`."""
    misbehave(task.source)
    return task.relative


def stillborn(*arguments) -> None:
    """Kills its own process before any file."""
    os._exit(9)


def read_or_worse(path: Path):
    """`images.read`, but see `misbehave`."""
    from markerremover.formats import images

    misbehave(path)
    return images.read(path)


once_deadly_cleaner = partial(cleaner, detector=find_white_or_die_once)
hanging_cleaner = partial(cleaner, detector=find_white_or_hang)
def stillborn_cleaner(threads: int) -> Cleaner:
    """Kills its own process before any file, as too little memory for the models would."""
    os._exit(9)


deadly_cleaner = partial(cleaner, detector=find_white_or_die)
NO_KEEP = RunOptions(policy=Policy(keep=()))


def png(image: np.ndarray) -> bytes:
    """PNG bytes of an (H, W) or (H, W, 3) RGB array, 8 or 16 bit."""
    done, data = cv2.imencode(".png", image[..., ::-1] if image.ndim == 3 else image)
    assert done
    return data.tobytes()


def jpeg(image: np.ndarray) -> bytes:
    """JPEG bytes of an (H, W) uint8 array."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def put(path: Path, data: bytes) -> Path:
    """Write bytes, making folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def read(path: Path) -> np.ndarray:
    """Any raster as it is stored."""
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None, path
    return image


def files(folder: Path) -> dict[str, bytes]:
    """Relative path -> content of every regular file below a folder; {} where there is none."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and not p.is_symlink()}


def tree(folder: Path, count: int = 4) -> Path:
    """A folder with `count` marked 8-bit PNGs in two subfolders, the same base names in both."""
    for i in range(count):
        put(folder / ("a" if i % 2 else "b") / f"{i // 2}.png", png(radiograph(i)))
    return folder


def white_model(folder: Path, size: int = 128) -> Path:
    """A file that passes for a localizer without a second network, with its card; `white_network` opens it."""
    model = put(folder / "white.onnx", b"finds white")
    card = {"classes": ["laterality", "marker"], "image_size": size, "threshold": 0.5, "sha256": hashlib.sha256(b"finds white").hexdigest()}
    put(folder / "white.json", json.dumps(card).encode())
    return model


def white_network(model: Path, deadly: int = -1, most: int = 4) -> Network:
    """A network that finds every patch of white, in batches of up to `most`; a pixel of the value `deadly` ends its process."""

    def run(pictures):
        if (pictures == deadly).any():
            os._exit(9)
        found = [find_white(picture).xyxy for picture in pictures]
        return [np.concatenate([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2], np.tile([0.0, 0.9], (len(b), 1))], axis=1).T.astype(np.float32) for b in found]

    session = Session(run, most, pads=True)
    return Network(Path(model), weights_card.read_card(Path(model)), (session, session), "white")


def asking_cleaner(threads: int = 1, address: str = "") -> Cleaner:
    """A cleaner whose localizer asks an inference server."""
    return Cleaner(localizer.load_detector(server=address, threads=threads), None, Policy(keep=()))


def no_network() -> Network:
    """What cannot be opened."""
    raise UsageError("there is no such card in this machine")


def broken_network() -> Network:
    """What a library refuses with an error of its own."""
    raise RuntimeError("CUDA out of memory")


def stillborn_network() -> Network:
    """Kills its own process, as a broken driver would."""
    os._exit(9)


def telling(*names: str, numbers: tuple[str, ...] = (), births: tuple[str, ...] = (), days: tuple[str, ...] = (), uids: tuple[str, ...] = (), texts: tuple[str, ...] = ()):
    """Identifiers of a header: names as a PN value has them, days as a DA value has them."""
    kinds = {"name": names, "number": numbers, "birth": births, "day": days, "uid": uids, "text": texts}
    return frozenset(Identifier(kind, text) for kind, found in kinds.items() for text in found)
