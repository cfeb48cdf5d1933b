"""How long single steps take, beside the goals that were set for them. What a busy machine makes slow is no failure of the tests, so this is none.

usage: python eval/speed.py [-o FILE.json] [--only WORD]

Processor time of this process, the least of several rounds. For the review an audit of 10,000 files is drawn, and a log of 200,000 events
over them; then 20,000 drawings on one file. What the browser does is measured by tests that print it:
`python -m pytest -s tests/audit/test_audit_browser.py -k opens` and `tests/review/test_review_browser.py -k fetched_ahead`.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from markerremover.audit import manifest_files
from markerremover.formats import images, views
from markerremover.headers import identifiers
from markerremover.options import RunOptions
from markerremover.records import Identifier, Policy
from markerremover.redaction import corrections
from markerremover.review.session import Session
from markerremover.run import run_file

FILES, EVENTS, DRAWINGS = 10_000, 200_000, 20_000


@dataclass(frozen=True)
class Step:
    """What is measured.

    goal_s: what was asked of a machine that does nothing else.  rounds: of which the quickest counts.
    """

    name: str
    goal_s: float
    do: Callable[[], object]
    rounds: int = 3


def steps(folder: Path) -> Iterator[Step]:
    """Everything that is measured, each made when it is its turn."""
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 4096, (1, 2500, 2400), dtype=np.uint16)
    yield Step("display of 6 megapixels", 0.04, lambda: views.views(stored, window=(2048, 4096), bits=12), 5)
    yield Step("both views of 6 megapixels", 0.2, lambda: views.views(stored, window=(1250, 1500), bits=12))
    smooth = cv2.resize(rng.integers(0, 230, (50, 40), dtype=np.uint8), (2000, 2500), interpolation=cv2.INTER_CUBIC)
    path = folder / "five.png"
    path.write_bytes(cv2.imencode(".png", smooth + rng.integers(0, 3, smooth.shape, dtype=np.uint8))[1].tobytes())
    yield Step("PNG of 5 megapixels read", 0.06, lambda: images.read(path))
    radiograph = images.read(path)
    new = radiograph.stored.copy()
    new[:, :100, :900] = 0
    yield Step("PNG of 5 megapixels written", 0.09, lambda: images.write(radiograph, new, folder / "out.png", touched=True))
    telling = frozenset(Identifier("number", f"kw{number}") for number in range(100_000, 300_000))
    holds = identifiers.in_path(telling)
    yield Step("a path against 200,000 numbers", 2.0, lambda: holds("series 020000/kw140000x"))
    audit = drawn_audit(folder / "audit", FILES)
    yield Step(f"review of {FILES} files opened", 2.0, lambda: opened(audit))
    write_log(audit, EVENTS, FILES)
    yield Step(f"the same with a log of {EVENTS} events", 6.0, lambda: opened(audit))
    write_log(audit, DRAWINGS, 1)
    yield Step(f"the same with {DRAWINGS} drawings on one file, and one decision", 4.0, lambda: opened(audit, decide=True), 1)


def drawn_audit(audit: Path, files: int) -> Path:
    """An audit of that many files with four boxes each, of a run that never was."""
    audit.mkdir()
    (audit.parent / "in").mkdir()
    box = {"frame": 0, "xyxy": [20, 14, 60, 30], "score": 0.9, "label": "marker", "action": "remove", "reason": "no laterality marker to retain", "text": "",
           "confidence": 0.0, "rotation_deg": 0.0, "mirrored": False}
    manifest_files.write_rows(audit / manifest_files.MANIFEST, ({
        "relative": f"{i:05}.png", "status": "cleaned", "reason": "", "format": "PNG", "shape": [1, 96, 128], "sha256_in": _hash(i),
        "sha256_out": _hash(-i), "weights_sha256": "", "boxes": [box] * 4, "crops": [], "timings_ms": {},
    } for i in range(files)))
    run_file.write(audit, audit.parent / "out", [audit.parent / "in"], RunOptions(policy=Policy(keep=()), headers="keep"))
    return audit


def _hash(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def write_log(audit: Path, events: int, files: int) -> None:
    """A log of that many events on the first files, nineteen drawings and an acceptance by turns."""
    log = corrections.log_path(audit)
    log.unlink(missing_ok=True)

    def event(n: int) -> dict:
        i = (n - 1) // 20 % files
        drawing = {"event": "draw", "frame": 0, "xyxy": [n % 90, n % 70, n % 90 + 8, n % 70 + 8], "kind": "marker"}
        said = drawing if n % 20 else {"event": "accept"}
        return said | {"n": n, "time": "2026-01-31T10:00:00+00:00", "who": "R", "file": f"{i:05}.png", "sha256_in": _hash(i), "sha256_out": _hash(-i)}

    corrections.append(audit, *map(event, range(1, events + 1)))


def opened(audit: Path, decide: bool = False) -> None:
    """What happens until the page shows its first file, and perhaps one decision."""
    gc.disable()  # as the command does
    session = Session(audit, "R")
    gc.enable()
    try:
        json.dumps(session.overview())
        number = session.order.index("00000.png")
        file = session.file(number)
        if decide:
            session.looked(session.row(number))
            session.decide(number, {"event": "accept", "seen": file["seen"]})
    finally:
        session.close()


def measured(step: Step) -> float:
    """Seconds of processor time."""
    times = []
    for _ in range(step.rounds):
        begin = time.process_time()
        step.do()
        times.append(time.process_time() - begin)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description="How long single steps take, beside their goals.")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--only", default="", metavar="WORD", help="only steps with this in their name")
    args = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for step in steps(Path(folder)):
            if args.only in step.name:
                found.append({"step": step.name, "seconds": round(measured(step), 4), "goal": step.goal_s})
                print("{step}: {seconds} s, goal {goal} s".format_map(found[-1]), flush=True)
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
