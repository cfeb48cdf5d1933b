"""Memory of a long run: how much each process holds as the files go by.

usage: python eval/bench_memory.py [-o eval/results/memory.json] [--files 5000] [--distinct 100] [--large 24] [--workers 2]

`--distinct` synthetic radiographs of three body parts, of several sizes, as 8- and 16-bit PNG, TIFF, JPEG and 12-bit DICOM, are linked under
`--files` names and cleaned by the command line, verification on. Each second the resident memory of the command and of its largest worker is
read from /proc (Linux only); the curve holds the greatest values between one mark and the next. Then `--large` 6-megapixel radiographs, PNG and DICOM
(uncompressed and JPEG 2000), are cleaned in the same way for the peak of one worker. Resident memory counts pages that the workers share in each of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pydicom

from markerremover.synthesis import synthesize

SEED = 5000
MARKS = 20  # points of the curve
SIZES = ((512, 448), (640, 768), (896, 768), (1024, 1024))
FORMATS = ("png", "png16", "tiff", "jpg", "dcm")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


def drawn(folder: Path, distinct: int, files: int) -> Path:
    """A folder of `files` names for `distinct` radiographs."""
    paths: list[Path] = []
    for k, size in enumerate(SIZES):
        paths += synthesize(folder / f"drawn{k}", -(-distinct // len(SIZES)), SEED + k, split="eval", size=size, formats=FORMATS)
    inputs = folder / "in"
    for n in range(files):
        path = paths[n % len(paths)]
        target = inputs / f"{n // 500:02d}" / f"{n:05d}{path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, target)
    return inputs


def large(folder: Path, count: int) -> Path:
    """A folder of 6-megapixel radiographs; every third a PNG, a DICOM file, and one in JPEG 2000."""
    paths = synthesize(folder / "large", count, SEED + 9, split="eval", size=(3000, 2000), formats=("png", "dcm", "dcm"))
    for path in [p for p in paths if p.suffix == ".dcm"][::2]:
        dataset = pydicom.dcmread(path)
        dataset.compress(pydicom.uid.JPEG2000Lossless)
        dataset.save_as(path)
    return folder / "large" / "images"


def family(root: int) -> list[int]:
    """A process and all that come from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # gone meanwhile
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [root]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def resident_mb(process: int) -> float:
    """Resident memory of a process, 0 for one that has ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE_MB
    except OSError:
        return 0.0


def rows(audit: Path) -> int:
    """Files done so far."""
    manifest = audit / "manifest.jsonl"
    return manifest.read_bytes().count(b"\n") if manifest.exists() else 0


def watched(inputs: Path, out: Path, workers: int, step: int) -> dict[str, Any]:
    """Clean a folder and watch; the curve has a point every `step` files."""
    command = [sys.executable, "-m", "markerremover", "remove", str(inputs), "-o", str(out), "--workers", str(workers)]
    start, points, most = time.monotonic(), [], [0.0, 0.0]
    with open(out.with_name("said.txt"), "w", encoding="utf-8") as said:
        run = subprocess.Popen(command, stdout=said, stderr=said)
        while run.poll() is None:
            first, *others = family(run.pid)
            most = [max(most[0], resident_mb(first)), max(most[1], max(map(resident_mb, others), default=0.0))]
            done = rows(out.with_name(f"{out.name}-audit"))
            if done >= step * (len(points) + 1):
                points.append({"files": done, "command_mb": round(most[0]), "worker_mb": round(most[1])})
                most = [0.0, 0.0]
            time.sleep(1)
    if run.returncode not in (0, 1):  # 1: some files were held, which the summary says
        raise SystemExit(out.with_name("said.txt").read_text(encoding="utf-8"))
    summary = json.loads((out.with_name(f"{out.name}-audit") / "summary.json").read_text(encoding="utf-8"))
    if most[1]:
        points.append({"files": rows(out.with_name(f"{out.name}-audit")), "command_mb": round(most[0]), "worker_mb": round(most[1])})
    return {"seconds": round(time.monotonic() - start), "counts": summary["counts"], "curve": points}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--distinct", type=int, default=100)
    parser.add_argument("--large", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        document = {"files": args.files, "distinct": args.distinct, "workers": args.workers}
        document["long"] = watched(drawn(folder, args.distinct, args.files), folder / "long", args.workers, max(1, args.files // MARKS))
        document["six_megapixels"] = watched(large(folder, args.large), folder / "wide", args.workers, max(1, args.large // 4))
    text = json.dumps(document, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
