#!/usr/bin/env python3
"""Measure the second pass alone, on annotated boxes instead of a detector's.

For every `laterality` element: is its sign kept, and do at least 90 % of its ink survive (as the referee defines ink: pass
its folder with --referee, else a box counts as retained when it is kept)? For every `marker` element: is anything
released (must be 0)? Boxes are the truth, jittered ones, and plate unions (a sign with the markers that touch it).

usage: second_pass_on_truth.py IMAGES ANNOTATIONS [--keep L,R] [--split CSV=train] [--referee DIR] [--jitter 0.1]
"""

from __future__ import annotations

import argparse
import collections
import csv
import sys
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from markerremover.inference.shipped_weights import default_weights, weights_folder
from markerremover.inference.weights_card import read_card
from markerremover.labels import labelled_folder, labelme
from markerremover.second_pass import stroke_network, tesseract
from markerremover.second_pass.reader import insist  # noqa: E402

TOUCH_PX = 8  # a marker this near belongs to the sign's plate


def kinds_of(text: str, frame: np.ndarray, box: tuple) -> list[str]:
    """What sort of sign the annotation says it is, plus "cut-out" where its middle is dark on bright."""
    found = ["all"]
    for word, kind in (("mirror", "mirrored"), ("flip", "mirrored"), ("rot", "rotated"), ("cut", "cut off"), ("circle", "ringed"),
                       ("LEFT", "word"), ("RIGHT", "word"), ("dark", "cut-out")):
        if word in text and kind not in found:
            found.append(kind)
    x1, y1, x2, y2 = (int(round(v)) for v in box)
    crop = frame[y1:y2, x1:x2]
    if crop.size:
        kernel = np.ones((int(0.9 * min(crop.shape)) | 1,) * 2, np.uint8)
        hats = (cv2.morphologyEx(crop, operation, kernel) for operation in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT))
        energy = [float(np.square(hat.astype(np.float32)).sum()) for hat in hats]
        if energy[1] > 2 * energy[0] and "cut-out" not in found:
            found.append("cut-out")
    return found if len(found) > 1 else ["all", "plain"]


def boxes_for(element, others, jitter: float, rng) -> dict[str, np.ndarray]:
    """The boxes to try: name → (4,) float source pixels."""
    box = np.array(element.xyxy, float)
    w, h = box[2] - box[0], box[3] - box[1]
    tried = {"truth": box}
    for i in range(2):
        tried[f"jitter {i}"] = box + rng.uniform(-jitter, jitter, 4) * np.array([w, h, w, h])
    tried["loose"] = box + np.array([-0.15 * w, -0.15 * h, 0.15 * w, 0.15 * h])
    near = [np.array(o.xyxy) for o in others if (np.maximum(box[:2], o.xyxy[:2]) - np.minimum(box[2:], o.xyxy[2:])).max() < TOUCH_PX]
    if near:
        tried["plate"] = np.concatenate([np.min([box, *near], axis=0)[:2], np.max([box, *near], axis=0)[2:]])
    return tried


def stays(shape: tuple, reading, keep, least: float) -> np.ndarray:
    """(H, W) bool: the pixels the reading releases."""
    mask = np.zeros(shape, bool)
    if reading.text in keep and not reading.doubt and reading.confidence >= least and reading.strokes is not None:
        x1, y1, x2, y2 = reading.xyxy
        mask[y1:y2, x1:x2] = reading.strokes
    return mask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--keep", default="L,R,LT,RT,LEFT,RIGHT")
    parser.add_argument("--split")
    parser.add_argument("--referee", type=Path, help="folder of score.py")
    parser.add_argument("--jitter", type=float, default=0.1)
    parser.add_argument("--min-confidence", type=float, default=0.5)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--boxes", default="truth,jitter 0,jitter 1,loose,plate", help="which boxes to try")
    parser.add_argument("--failures", type=Path, help="folder for pictures of what went wrong")
    args = parser.parse_args()
    referee = None
    if args.referee:
        sys.path.insert(0, str(args.referee))
        import score as referee
    names = None
    if args.split:
        path, want = args.split.rsplit("=", 1)
        names = {row[0] for row in csv.reader(open(path)) if row[-1] == want}
    run(args, referee, names)


def run(args, referee, names) -> None:
    keep, reader, rng = tuple(args.keep.split(",")), tesseract.open_reader(), np.random.default_rng(0)
    network = stroke_network.of_card(read_card(default_weights()), weights_folder())
    kept, total, why = collections.Counter(), collections.Counter(), collections.Counter()
    leaks, spent = collections.Counter(), []
    for n, path in enumerate(sorted(args.annotations.glob("*.json"))):
        truth = labelme.read(path)
        if (names is not None and truth.image not in names) or (args.limit and n >= args.limit):
            continue
        frame = labelled_folder.read_grey(args.images / truth.image)
        scored = [e for e in truth.elements if e.kind != "uncertain"]
        inks = referee.strokes(frame, [{"type": e.kind, "box": e.xyxy} for e in scored]) if referee else [None] * len(scored)
        for index, (element, ink) in enumerate(zip(scored, inks)):
            markers = [e for e in scored if e.kind == "marker"]
            for name, box in boxes_for(element, markers if element.kind == "laterality" else [], args.jitter, rng).items():
                if name not in args.boxes.split(","):
                    continue
                begun = time.process_time()
                reading = insist(frame, box, keep, reader, is_laterality=element.kind == "laterality", network=network)
                spent.append((time.process_time() - begun, element.kind))
                mask = stays(frame.shape, reading, keep, args.min_confidence)
                bad = [m for e, m in zip(scored, inks) if e.kind == "marker" and m is not None and m.any() and mask[m].mean() > 0.05]
                leaks[f"ink of a marker left by a {element.kind} box, {name}"] += bool(bad)
                if element.kind == "marker":
                    total["marker", name] += 1
                    wrong = bool(mask.any()) and not bool(ink is not None and mask.any() and not (mask & ink).any())
                    kept["marker", name] += wrong
                    why[f"marker {name}: {reading.doubt or 'released'}"] += bool(reading.text)
                else:
                    good = bool(mask.any()) if ink is None else (bool(ink.any()) and mask[ink].mean() >= 0.9)
                    wrong = not good
                    if ink is not None and not ink.any():
                        continue
                    cause = reading.doubt or ("not read" if not reading.text else "low confidence" if not mask.any() else "ink lost")
                    for kind in kinds_of(element.text, frame, element.xyxy):
                        total[kind, name] += 1
                        kept[kind, name] += good
                    why[f"laterality {name}: {cause}"] += wrong
                if args.failures and (wrong or bad):
                    what = f"{'leak_' * bool(bad)}{element.kind}_{name}_{path.stem}_{index}"
                    said = f"{reading.text}_{reading.doubt or 'x'}_{reading.confidence:.2f}"
                    picture(args.failures, frame, box, mask, f"{what}_{said}")
    report(kept, total, why, leaks, spent)


def picture(folder: Path, frame: np.ndarray, box: np.ndarray, mask: np.ndarray, name: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pad = 25
    x1, y1 = (max(0, int(v) - pad) for v in box[:2])
    crop, stay = frame[y1 : int(box[3]) + pad, x1 : int(box[2]) + pad], mask[y1 : int(box[3]) + pad, x1 : int(box[2]) + pad]
    both = np.hstack([crop, np.where(stay, crop, crop // 4)])
    factor = 160 / both.shape[0]
    cv2.imwrite(str(folder / f"{name.replace(' ', '-')}.png"), cv2.resize(both, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC))


def report(kept, total, why, leaks, spent) -> None:
    for kind, name in sorted(total):
        print(f"{kind:10s} {name:10s} {kept[kind, name]:4d}/{total[kind, name]:4d} {100 * kept[kind, name] / total[kind, name]:6.1f} %")
    for text, count in sorted(why.items()):
        if count:
            print(f"  {count:4d}  {text}")
    for text, count in sorted(leaks.items()):
        if count:
            print(f"  leak {count:4d}  {text}")
    for kind in ("laterality", "marker"):
        ms = np.array([1000 * t for t, k in spent if k == kind] or [0.0])
        print(f"CPU ms a box, {kind}: median {np.median(ms):.1f}, mean {ms.mean():.1f}, 95th percentile {np.percentile(ms, 95):.1f}")


if __name__ == "__main__":
    main()
