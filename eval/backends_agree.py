"""Do the backends decide alike? The whole pipeline in memory, on the same radiographs, with each of them, and every pair compared.

usage: python eval/backends_agree.py FOLDER [-o eval/results/backends.json] [--weights EXPORTED.onnx ...] [--limit N] [--threads 2]

FOLDER holds radiographs, or is left out with --synthetic N for synthetic ones. The shipped weights run in OpenVINO (f32, as it is used; the
whole network, every box worked out; and what the CPU does fastest, where that is bf16) and in ONNX Runtime; --weights adds exports, each in what runs it on the CPU. Two decisions
are a pair where their boxes overlap by an IoU of 0.5 or more; a pair that differs in keep or remove, and a decision without a pair, is a
difference. Names of images are not recorded.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from markerremover import boxes
from markerremover.detection import localizer, rescorer, text_detector
from markerremover.errors import HeldError, UsageError
from markerremover.formats import images
from markerremover.inference import network, runtimes
from markerremover.inference.weights_card import read_card
from markerremover.records import Policy
from markerremover.redaction import cleaning
from markerremover.second_pass import tesseract
from markerremover.system.telemetry import import_openvino
from markerremover.training import parity

MIN_IOU = 0.5
SEED = 7007
FASTEST = "OpenVINO CPU, what is fastest"


@dataclass(frozen=True)
class Result:
    """What one backend made of one radiograph. xyxy: (N, 4).  actions, scores, reasons: of its decisions.  stored: the new pixels."""

    xyxy: np.ndarray
    actions: tuple[str, ...]
    scores: tuple[float, ...]
    reasons: tuple[str, ...]
    stored: np.ndarray | None
    doubt: str


def detectors(weights: list[Path], threads: int) -> Iterator[tuple[str, localizer.Detector]]:
    """Name and localizer of every way to run the shipped weights and the given exports here."""
    for label, make in ways(threads):
        try:
            found = make()
        except UsageError as error:
            print(f"{label}: left out: {error}", file=sys.stderr)
            continue
        if label == FASTEST and found.backend == "OpenVINO CPU, f32":
            print("OpenVINO does nothing faster than f32 here")
            continue
        yield found.backend if label == FASTEST else label, found
    for path in weights:
        found = localizer.load_detector(path, device="cpu" if path.suffix == ".xml" else "onnxruntime", threads=threads)
        yield f"{found.backend}, {found.card.get('precision', 'fp32')} export as {path.suffix[1:]}", found


def ways(threads: int) -> list[tuple[str, Callable[[], localizer.Detector]]]:
    """The shipped weights in whatever could run them on the CPU."""
    return [
        ("OpenVINO CPU, f32", lambda: localizer.load_detector(device="openvino", inference_precision="f32", threads=threads)),
        ("OpenVINO CPU, f32, whole network", lambda: whole(threads)),
        (FASTEST, lambda: localizer.load_detector(device="openvino", inference_precision=network.FASTEST, threads=threads)),
        ("ONNX Runtime CPU", lambda: localizer.load_detector(device="onnxruntime", threads=threads)),
    ]


def whole(threads: int) -> localizer.Detector:
    """The shipped weights in OpenVINO with every anchor worked out."""
    try:
        openvino = import_openvino()
    except ImportError as error:
        raise UsageError("OpenVINO is not installed") from error
    model = network.model_of(None)
    card = read_card(model)
    far, close = (runtimes.openvino_session(openvino, model, size, threads, "f32") for size in (int(card["image_size"]), network.CLOSE_SIZE))
    return localizer.Detector(far, card, "OpenVINO CPU, f32, whole network", close, rescorer.of_card(card, model.parent, threads),
                              text_detector.of_card(card, model.parent, threads))


def cleaned(path: Path, cleaner: cleaning.Cleaner) -> Result:
    """One radiograph through the pipeline, nothing written."""
    try:
        done = cleaning.clean_radiograph(images.read(path), cleaner)
    except HeldError as error:
        return Result(np.zeros((0, 4)), (), (), (), None, str(error))
    order = sorted(done.decisions, key=lambda d: (d.frame, d.xyxy))
    xyxy = np.array([d.xyxy for d in order], np.float64).reshape(-1, 4)
    return Result(xyxy, tuple(d.action for d in order), tuple(d.score for d in order), tuple(d.reason for d in order), done.stored, done.doubt)


def differences(a: Result, b: Result) -> tuple[list[dict[str, Any]], int, float, float]:
    """What two results differ in, how many pairs there are, and the largest shift (source pixels) and score difference of a pair."""
    first, second = parity.pairs(boxes.iou(a.xyxy, b.xyxy), MIN_IOU)
    found = [
        {"kind": "other action", **{name: [getattr(a, name)[i], getattr(b, name)[j]] for name in ("scores", "actions", "reasons")}}
        for i, j in zip(first, second) if a.actions[i] != b.actions[j]
    ]
    for side, result, used in (("first", a, first), ("second", b, second)):
        found += [
            {"kind": f"only in the {side}", "scores": [result.scores[k]], "actions": [result.actions[k]], "reasons": [result.reasons[k]]}
            for k in sorted(set(range(len(result.actions))) - set(used.tolist()))
        ]
    if bool(a.doubt) != bool(b.doubt):
        found.append({"kind": "held by one", "reasons": [a.doubt, b.doubt]})
    shift = float(np.abs(a.xyxy[first] - b.xyxy[second]).max(initial=0))
    scores = max((abs(a.scores[i] - b.scores[j]) for i, j in zip(first, second)), default=0.0)
    return found, len(first), shift, scores


def compared(name_a: str, name_b: str, a: list[Result], b: list[Result]) -> dict[str, Any]:
    """Two backends over all radiographs."""
    rows = [differences(one, other) for one, other in zip(a, b)]
    same = sum(x.stored is not None and y.stored is not None and np.array_equal(x.stored, y.stored) for x, y in zip(a, b))
    return {
        "backends": [name_a, name_b], "images": len(rows), "images_with_the_same_decisions": sum(not row[0] for row in rows),
        "images_identical_in_every_pixel": int(same), "pairs_of_decisions": sum(row[1] for row in rows),
        "max_shift_px": round(max((row[2] for row in rows), default=0.0), 3),
        "max_score_difference": round(max((row[3] for row in rows), default=0.0), 6), "differences": [d for row in rows for d in row[0]],
    }


def agreement(paths: list[Path], weights: list[Path], threads: int) -> dict[str, Any]:
    """Every backend on every radiograph, and every pair of backends."""
    reader, policy = tesseract.open_reader(), Policy()
    results: dict[str, list[Result]] = {}
    seconds: dict[str, float] = {}
    for name, detector in detectors(weights, threads):
        cleaner, start = cleaning.Cleaner(detector, reader, policy), time.process_time()
        results[name] = [cleaned(path, cleaner) for path in paths]
        seconds[name] = round((time.process_time() - start) / len(paths), 3)
        print(f"{name}: {len(paths)} images, {seconds[name]} s of CPU each", file=sys.stderr, flush=True)
    return {
        "images": len(paths), "threshold": localizer.load_detector().threshold, "weights_sha256": localizer.load_detector().sha256,
        "decisions": {
            name: {action: sum(r.actions.count(action) for r in found) for action in ("keep", "remove")} for name, found in results.items()},
        "cpu_seconds_an_image": seconds,
        "pairs": [compared(a, b, results[a], results[b]) for a, b in itertools.combinations(results, 2)],
    }


def synthetic(count: int, folder: Path) -> list[Path]:
    """Synthetic radiographs, 1024 pixels and less."""
    from markerremover.synthesis import synthesize

    return list(synthesize(folder, count, SEED, split="eval", size=(1024, 832), formats=("png",)))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--name", default="given radiographs", help="what the radiographs are called in the results")
    parser.add_argument("--weights", type=Path, nargs="*", default=[])
    parser.add_argument("--synthetic", type=int, metavar="N")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args(argv)
    if (args.folder is None) == (args.synthetic is None):
        parser.error("give a FOLDER or --synthetic N")
    with tempfile.TemporaryDirectory() as scratch:
        paths = sorted(p for p in args.folder.rglob("*") if p.is_file()) if args.folder else synthetic(args.synthetic, Path(scratch))
        document = {"name": args.name if args.folder else f"synthetic, seed {SEED}", **agreement(paths[: args.limit], args.weights, args.threads)}
    for pair in document["pairs"]:
        print(f"{' | '.join(pair['backends'])}: same decisions in {pair['images_with_the_same_decisions']} of {pair['images']}, identical pixels in "
              f"{pair['images_identical_in_every_pixel']}, {pair['pairs_of_decisions']} pairs, {len(pair['differences'])} differences")
    if args.out:
        args.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
