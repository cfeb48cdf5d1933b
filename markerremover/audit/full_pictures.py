"""Whole films at full size for the viewer of the audit page: before, after, and after with its contrast equalised.

They are pictures of their own and not computed in the browser: a page of the file system may not read the pixels of the pictures beside it
(Chromium taints the canvas), and faint print survives equalisation only before it is compressed. They show what was removed, so they are
owner-only.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import WriteError
from ..system import regular_files
from .crops import file_id, shrunk

#: Folder of the pictures in an audit.
FOLDER = "films"
LOOKS = ("before", "after", "equalised")
#: Longest side of a picture, pixels; larger films are shrunk.
LONGEST_PX = 4096
#: Longest side of the equalised picture, pixels. It costs more time and space than both others: at this size all three take less than a
#: twentieth of the time of a whole file, and a mean of noisy pixels shows faint print rather better.
EQUALISED_PX = 1792
#: JPEG quality: print of 28 px that is 6 grey levels brighter than its ground is legible in the equalised picture.
QUALITY, EQUALISED_QUALITY = 92, 88
#: Contrast-limited adaptive histogram equalisation (Zuiderveld 1994): clip limit, as a multiple of a flat histogram's; side of a tile, pixels,
#: and the greatest number of tiles per side.
CLIP, TILE_PX, MOST_TILES = 8.0, 64, 32
#: Print on black ground gets no contrast from it, since the one grey level of the ground fills the histogram: grey levels that black is lifted by up
#: to a level, as the square root.
LIFT, DARK = 72, 16
#: The file that counts what was written: it grows by a byte for so many, and appending is atomic, also between processes.
USED, UNIT_BYTES = "used", 16384
SWITCHED_OFF = "full pictures are switched off (--full-pictures 0)"


def names(identity: str) -> tuple[str, str, str]:
    """File names of a film's pictures, as in `LOOKS`, below films/; `identity` is its `crops.file_id`."""
    before, after, equalised = (f"{identity}-{look}.jpg" for look in LOOKS)
    return before, after, equalised


def draw(audit: Path, relative: str, before: np.ndarray, after: np.ndarray, frame: int, most_gb: float) -> dict[str, Any]:
    """Write the pictures of one frame, unless those of the audit would become larger than `most_gb`.

    Args:
        audit: the audit folder.
        before, after: (H, W) uint8 display frames; not changed.
        frame: their 0-based index.
        most_gb: greatest size of all pictures of the audit, 10^9 bytes; several processes exceed it by a film each at most.

    Returns:
        `frame`; `scale`, size of the pictures as a fraction of the film's, 0 where none were written; `missing`, why not, else "".

    Raises:
        UsageError: a link or something else stands in the place of the folder or of a picture.
        WriteError, OSError: a picture cannot be written.
    """
    folder, files = audit / FOLDER, names(file_id(relative))
    if not most_gb:
        return {"frame": frame, "scale": 0, "missing": SWITCHED_OFF}
    regular_files.folder(folder)
    for name in files:
        (folder / name).unlink(missing_ok=True)
    limit = most_gb * 1e9
    used_up = {"frame": frame, "scale": 0, "missing": f"the {most_gb:g} GB for full pictures are used up (--full-pictures)"}
    if _used(folder) >= limit:
        return used_up
    small = [shrunk(image, LONGEST_PX) for image in (before, after)]
    encoded = [*(_jpeg(image, relative, QUALITY) for image in small), _jpeg(equalised(_smaller(small[1])), relative, EQUALISED_QUALITY)]
    size = sum(map(len, encoded))
    if _used(folder) + size > limit:
        return used_up
    with os.fdopen(regular_files.opened(folder / USED, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab") as handle:
        handle.write(b"." * -(-size // UNIT_BYTES))
    for name, data in zip(files, encoded):
        with os.fdopen(regular_files.opened(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as handle:
            handle.write(data)
    return {"frame": frame, "scale": round(max(small[0].shape) / max(before.shape), 4), "missing": ""}


def equalised(image: np.ndarray) -> np.ndarray:
    """A new (H, W) uint8 image in which faint print shows wherever it is: equalised by parts, with limited contrast."""
    import cv2

    rows, columns = (min(MOST_TILES, max(1, round(side / TILE_PX))) for side in image.shape)
    lift = LIFT * np.sqrt(np.minimum(np.arange(256) / DARK, 1))
    by_parts = cv2.createCLAHE(CLIP, (columns, rows)).apply(np.ascontiguousarray(image))
    return cv2.addWeighted(by_parts, 1 - LIFT / 255, cv2.LUT(image, lift.round().astype(np.uint8)), 1.0, 0.0)


def _used(folder: Path) -> int:
    """Bytes of the pictures in a folder, rounded up for each film."""
    try:
        return os.stat(folder / USED, follow_symlinks=False).st_size * UNIT_BYTES
    except FileNotFoundError:
        return 0


def recount(audit: Path) -> None:
    """Count the pictures of an audit anew, after some were deleted."""
    folder = audit / FOLDER
    if not regular_files.real(folder):
        return
    units = sum(-(-path.stat().st_size // UNIT_BYTES) for path in folder.iterdir() if path.name != USED)
    descriptor = regular_files.opened(folder / USED, os.O_WRONLY | os.O_CREAT)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"." * units)
    finally:
        os.close(descriptor)


def _smaller(image: np.ndarray) -> np.ndarray:
    """The (H, W) image itself, or a copy with the longest side `EQUALISED_PX`; of up to half the size, by linear interpolation, which is fast."""
    import cv2

    image = shrunk(image, 2 * EQUALISED_PX)
    scale = EQUALISED_PX / max(image.shape)
    return image if scale >= 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)


def _jpeg(image: np.ndarray, relative: str, quality: int) -> bytes:
    import cv2

    encoded, data = cv2.imencode(".jpg", np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise WriteError(f"{relative.rsplit('/', 1)[-1]}: its picture for the audit cannot be encoded")
    return data.tobytes()
