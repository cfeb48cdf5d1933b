"""Where the time goes: each stage of cleaning, and the whole against the least that reading, one network pass and writing take.

usage: python eval/bench_pipeline.py [-o eval/results/pipeline.json] [--repeat 9] [--cli 40] [--inputs NAME=FOLDER[=COPIES] ...] [--folders-only]

For each kind of input (1024 x 1024 PNG; 5-megapixel PNG; 6-megapixel 12-bit DICOM, uncompressed and JPEG 2000) three synthetic radiographs are
cleaned `--repeat` times in one process, verification on. The floor is measured in between: decoding the file, one pass of the localizer's
network over a picture of its size, encoding the result, and decoding that again (the last two only where the file changed). Figures are
medians of the images' medians, in milliseconds; memory is the process's peak. Then the same process cleans all of them in one run, as many
files at the same time as it does (`Cleaner.at_once`), `--repeat` times: milliseconds an image of the fastest, and that against the mean of the
floors; means, since that is what a run takes. Large images are also looked at closer (`closer`), which is no part of the floor; the ratios are
given with it, too. `--cli` cleans so many 1024 x 1024 PNGs with the command line, one and two workers, start included.

The drawn radiographs are hard ones with many marks. `--inputs` measures a folder of real ones in the same way, each file three times, and its
images a second, each file linked COPIES times. `--folders-only` measures nothing else and keeps what the results file has.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median
from typing import Any

import cv2
import numpy as np
import pydicom

from markerremover.detection import localizer, views
from markerremover.formats import images
from markerremover.inference import backends
from markerremover.options import RunOptions
from markerremover.records import Policy
from markerremover.redaction import cleaning
from markerremover.run import one_file
from markerremover.run.workers import Alone, Job, Place
from markerremover.synthesis import synthesize

SEED = 6006
KINDS: dict[str, tuple[tuple[int, int], str]] = {
    "1024 x 1024 PNG": ((1024, 1024), "png"), "5-megapixel PNG": ((2500, 2000), "png"),
    "6-megapixel DICOM, 12 bits": ((3000, 2000), "dcm"), "6-megapixel DICOM, 12 bits, JPEG 2000": ((3000, 2000), "j2k"),
}
EACH = 3  # images of a kind
LEAST = 12  # files of a run in one process: some are cleaned several times


def drawn(folder: Path, kind: str) -> list[Path]:
    """The synthetic inputs of a kind."""
    size, form = KINDS[kind]
    paths = synthesize(folder, EACH, SEED, split="eval", size=size, formats=("dcm" if form == "j2k" else form,), bodies=("chest",))
    if form == "j2k":
        for path in paths:
            dataset = pydicom.dcmread(path)
            dataset.compress(pydicom.uid.JPEG2000Lossless)
            dataset.save_as(path)
    return paths


def timed(task: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds that a task took, and what it gave."""
    start = time.perf_counter()
    given = task()
    return 1000 * (time.perf_counter() - start), given


def decoded(path: Path) -> np.ndarray:
    """The stored pixels, read as directly as the libraries allow."""
    if path.suffix == ".dcm":
        return pydicom.dcmread(path).pixel_array
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def encoded(path: Path, pixels: np.ndarray, target: Path) -> None:
    """Write pixels in the form of an input."""
    if path.suffix != ".dcm":
        cv2.imwrite(str(target), pixels)
        return
    dataset = pydicom.dcmread(path)
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.compress(dataset.file_meta.TransferSyntaxUID, pixels, generate_instance_uid=False)
    else:
        dataset.PixelData = pixels.tobytes()
    dataset.save_as(target)


def floor(path: Path, changed: Path | None, network: Callable, size: int, scratch: Path) -> dict[str, float]:
    """Milliseconds of the steps that nothing can spare. changed: the result, None where the file stayed as it was."""
    display = images.read(path).display[0]  # what the network sees decides how many anchors it works out
    picture = cv2.resize(display, (size, size), interpolation=cv2.INTER_AREA)
    steps = {"decode": timed(lambda: decoded(path))[0], "network": timed(lambda: network(picture))[0]}
    if changed is not None:
        pixels, target = decoded(changed), scratch / f"floor{path.suffix}"
        steps["encode"] = timed(lambda: encoded(path, pixels, target))[0]
        steps["decode again"] = timed(lambda: decoded(target))[0]
    return steps


def closer(path: Path, detector: localizer.Detector, network: Callable) -> float:
    """Milliseconds of the bare passes by which a large image is looked at closer; 0.0 for others."""
    display = images.read(path).display[0]
    pictures = [views.show(display, view, detector.size)[0] for view in detector.views(display.shape)[1:]]
    return sum(timed(lambda: network(picture))[0] for picture in pictures)


def middle(rows: list[dict[str, float]]) -> dict[str, float]:
    """The median of each key."""
    return {key: round(median(row.get(key, 0.0) for row in rows), 1) for key in dict.fromkeys(k for row in rows for k in row)}


def in_a_run(paths: list[Path], cleaner: cleaning.Cleaner, scratch: Path) -> float:
    """Milliseconds an image, where one process cleans all of them, some at the same time."""
    place = Place(scratch / "out", scratch / "audit", RunOptions())
    for folder in (place.out, place.audit / "tmp", place.audit / "crops"):
        folder.mkdir(parents=True)
    with Alone(lambda threads: cleaner) as crew:
        jobs = [Job(path, f"{copy}/{path.name}") for copy in range(-(-LEAST // len(paths))) for path in paths]
        took, outcomes = timed(lambda: list(crew.clean(jobs, place)))
    if any(outcome.status not in ("cleaned", "unchanged") for outcome in outcomes):
        raise SystemExit(f"{paths[0].parent}: not all were cleaned")
    return took / len(jobs)


def measured(paths: list[Path], cleaner: cleaning.Cleaner, repeat: int, scratch: Path) -> dict[str, Any]:
    """Stages, floor and ratio of some files."""
    options, network = RunOptions(), localizer.load_detector()._session  # the bare pass is of the same network
    stages, floors, wholes, closers = [], [], [], []
    for path in paths:
        own_stages, own_floors, own_wholes, own_closers = [], [], [], []
        for turn in range(repeat + 1):
            out, audit = scratch / str(turn) / "out", scratch / str(turn) / "audit"  # as in a run: to replace files takes longer
            for place in (out, audit / "tmp", audit / "crops"):
                place.mkdir(parents=True, exist_ok=True)
            whole, outcome = timed(lambda: one_file.process_file(path, path.name, out, audit, cleaner, options))
            if outcome.status not in ("cleaned", "unchanged"):
                raise SystemExit(f"{path.name}: {outcome.status}, {outcome.reason}")
            steps = floor(path, out / path.name if outcome.status == "cleaned" else None, network, cleaner.detector.size, scratch)
            if turn:  # the first one opens libraries
                own_stages.append(dict(outcome.timings_ms))
                own_floors.append(steps)
                own_wholes.append(whole)
                own_closers.append(closer(path, cleaner.detector, network))
        stages.append(middle(own_stages))
        floors.append(middle(own_floors))
        wholes.append(median(own_wholes))
        closers.append(median(own_closers))
    leasts = [sum(row.values()) for row in floors]
    looked = [least + more for least, more in zip(leasts, closers)]
    whole, least = median(wholes), median(leasts)
    run = min(in_a_run(paths, cleaner, scratch / f"run{turn}") for turn in range(repeat))
    shape = images.read(paths[0]).shape_hw
    return {"shape_hw": list(shape), "stages_ms": middle(stages), "whole_ms": round(whole, 1), "floor_ms": round(least, 1), "floor": middle(floors),
            "ratio": round(whole / least, 2), "alone_mean_ms": round(mean(wholes), 1), "run_ms": round(run, 1),
            "run_ratio": round(run / mean(leasts), 2), "closer_ms": round(median(closers), 1),
            "ratio_with_closer": round(whole / median(looked), 2), "run_ratio_with_closer": round(run / mean(looked), 2)}


def of_cli(inputs: Path, workers: int, scratch: Path) -> dict[str, Any]:
    """Images a second of the whole command, start included, and the seconds until the first result lies in OUT."""
    out = scratch / f"out{workers}"
    command = [sys.executable, "-m", "markerremover", "remove", str(inputs), "-o", str(out), "--workers", str(workers)]
    start, first = time.perf_counter(), None
    with open(scratch / "said", "w+", encoding="utf-8") as said_:
        run = subprocess.Popen(command, stdout=said_, stderr=said_)
        while run.poll() is None:
            if first is None and out.is_dir() and any(path.is_file() for path in out.rglob("*")):
                first = time.perf_counter() - start
            time.sleep(0.02)
        seconds = time.perf_counter() - start
        said_.seek(0)
        if run.returncode or first is None:
            raise SystemExit(said_.read())
    summary = json.loads((scratch / f"out{workers}-audit" / "summary.json").read_text(encoding="utf-8"))
    count = summary["counts"]["inputs"]
    return {"images": count, "seconds": round(seconds, 1), "images_per_second": round(count / seconds, 2), "first_result_s": round(first, 2)}


def of_commands(inputs: Path, copies: int = 1) -> dict[str, Any]:
    """`of_cli` with one and two workers."""
    found = {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as scratch:
            many = Path(scratch, "in")
            for copy in range(copies):
                (many / str(copy)).mkdir(parents=True)
                for path in (path for path in inputs.iterdir() if path.is_file()):
                    shutil.copyfile(path, many / str(copy) / path.name)
            found[f"{workers} workers"] = of_cli(many, workers, Path(scratch))
        print(f"  {workers} workers: {found[f'{workers} workers']['images_per_second']} images/s, first result after {found[f'{workers} workers']['first_result_s']} s", flush=True)
    return found


def said(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """The figures, printed."""
    print(f"{name}: {found['whole_ms']:.0f} ms (mean {found['alone_mean_ms']:.0f}), {found['run_ms']:.0f} in a run; floor {found['floor_ms']:.0f} ms, ratio {found['ratio']}, "
          f"{found['run_ratio']} in a run; closer look {found['closer_ms']} ms, ratios with it {found['ratio_with_closer']}, "
          f"{found['run_ratio_with_closer']} in a run; stages {found['stages_ms']}", flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--cli", type=int, default=40)
    parser.add_argument("--inputs", action="append", default=[], metavar="NAME=FOLDER[=COPIES]")
    parser.add_argument("--folders-only", action="store_true")
    args = parser.parse_args()
    before = os.getloadavg()[0]
    cleaner = cleaning.open_cleaner(Policy())
    document: dict[str, Any] = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(), "bf16": "bf16" in backends.BACKENDS["openvino"].precisions(), "backend": cleaner.detector.backend,
                                "kinds": {}, "folders": {}}
    if args.folders_only and args.out:
        document = json.loads(args.out.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as place:
        scratch = Path(place)
        for number, kind in enumerate(KINDS if not args.folders_only else ()):
            paths = drawn(scratch / f"in{number}", kind)
            document["kinds"][kind] = said(kind, measured(paths, cleaner, args.repeat, scratch / f"kind{number}"))
        if not args.folders_only:
            document["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        if args.cli and not args.folders_only:
            synthesize(scratch / "many", args.cli, SEED + 1, split="eval", size=(1024, 1024), formats=("png",), bodies=("chest",))
            document["command"] = of_commands(scratch / "many" / "images")
        for number, (name, folder, *copies) in enumerate(each.split("=") for each in args.inputs):
            paths = sorted(path for path in Path(folder).iterdir() if path.is_file())
            found = said(name, measured(paths, cleaner, 3, scratch / f"folder{number}"))
            document["folders"][name] = {"images": len(paths), **found, "command": of_commands(Path(folder), *map(int, copies))}
    document["load"] = [round(before, 1), round(os.getloadavg()[0], 1)]
    print(f"peak memory {document['peak_memory_mb']} MB; load {document['load']}")
    if args.out:
        args.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
