"""A finished run with the fake localizer, for the tests of the review: white patches were found, darker letters were missed."""

from __future__ import annotations

import json
from pathlib import Path

import fakes
import numpy as np

from markerremover.audit import manifest_files
from markerremover.options import RunOptions
from markerremover.records import Policy
from markerremover.redaction import corrections
from markerremover.review.apply import apply
from markerremover.review.session import Session
from markerremover.run import batch

NOTHING = Policy(keep=())
MISSED = (70, 60, 100, 76)  # a marking that the fake localizer does not see
MISSED_GREY = 220


def picture(seed: int, missed: bool = False, shape=fakes.SHAPE) -> np.ndarray:
    image = fakes.radiograph(seed, shape=shape)
    if missed:
        x1, y1, x2, y2 = MISSED
        image[y1:y2, x1:x2] = MISSED_GREY
    return image


def run(folder: Path, count: int = 4, missed=(1,), open_cleaner=fakes.cleaner, **options) -> Path:
    """`count` PNGs in folder/in, cleaned into folder/out; those in `missed` show a marking. Returns the audit folder."""
    for i in range(count):
        fakes.put(folder / "in" / ("a" if i % 2 else "b") / f"{i}.png", fakes.png(picture(i, i in missed)))
    summary = batch.remove([folder / "in"], folder / "out", options=RunOptions(policy=NOTHING, **options), open_cleaner=open_cleaner)
    return Path(summary["audit"])


MARKER = (176, 120, 206, 156)  # around the letter of `with_letter`


def with_letter(text: str = "R", boxes=(fakes.NAME_BOX,)) -> np.ndarray:
    """A quiet film of 256 x 192 pixels with print that `find_name` does not find."""
    plain = np.full((192, 256), 60, np.uint8)
    for x1, y1, x2, y2 in boxes:
        plain[y1:y2, x1:x2] = 255
    return fakes.written(plain, text, MARKER[:2], height=32, grey=225)


def find_name(frame: np.ndarray, threshold: float | None = None):
    """`fakes.find_white` in the left third of a frame."""
    found = fakes.find_white(frame, threshold)
    return found.chosen(found.xyxy[:, 0] < frame.shape[1] / 3)


def rows(audit: Path) -> dict[str, dict]:
    return {row["relative"]: row for row in manifest_files.read_manifest(audit / manifest_files.MANIFEST)}


def say(audit: Path, *events: tuple[str, dict], who: str = "Dr. R") -> None:
    """Decide through a session: (path below OUT, event) each."""
    session = Session(audit, who)
    try:
        for relative, event in events:
            number = session.order.index(relative)
            session.looked(session.row(number))
            session.decide(number, {"seen": session.file(number)["seen"], **event})
    finally:
        session.close()


def draw(xyxy=MISSED) -> dict:
    return {"event": "draw", "frame": 0, "xyxy": list(xyxy), "kind": "marker"}


def keep(audit: Path, relative: str, index: int = 0) -> dict:
    return {"event": "set", "frame": 0, "xyxy": rows(audit)[relative]["boxes"][index]["xyxy"], "to": "keep", "kind": "none"}


ACCEPT, RELEASE, UNDO = {"event": "accept"}, {"event": "release"}, {"event": "undo"}


def redo(audit: Path, open_cleaner=fakes.cleaner, **options) -> dict:
    return apply(audit, open_cleaner=open_cleaner, **options)


def page(audit: Path) -> str:
    return (audit / manifest_files.PAGE).read_text()


def summary(audit: Path) -> dict:
    return json.loads((audit / manifest_files.SUMMARY).read_text())


def events(audit: Path) -> list[dict]:
    return corrections.read_events(corrections.log_path(audit))
