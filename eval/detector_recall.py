"""Recall of the localizer against marking height, network size and threshold, on a LabelMe folder.

usage: python eval/detector_recall.py FOLDER [--split val] [--weights W.onnx] [--sizes 640,768,1024] [--thresholds 0.1,0.2,0.3]
                                      [--tile-scales 1536,2300] [--misses]

An element counts as found when the union of the boxes, grown as for removal, covers at least 95 % of its box. A box is
false when it touches no annotated element (any kind, grown by 8 px per 1000). Nothing here looks at pixels; the referee
on written images has the last word.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from markerremover import boxes
from markerremover.detection import localizer, rescorer, text_detector, views
from markerremover.inference import backends
from markerremover.inference.shipped_weights import default_weights
from markerremover.inference.weights_card import read_card
from markerremover.labels import labelled_folder
from markerremover.records import Policy

BANDS = (0, 12, 18, 25, 35, 50, 10**6)  # marking height (shorter side), px of a 1000-px image


def coverage(truth: np.ndarray, found: np.ndarray) -> float:
    """Share (0–1) of one truth box, (4,), that the union of integer boxes (N, 4) covers."""
    x1, y1, x2, y2 = np.round(truth).astype(int)
    mask = np.zeros((max(1, y2 - y1), max(1, x2 - x1)), bool)
    for a, b, c, d in found:
        mask[max(0, b - y1) : max(0, d - y1), max(0, a - x1) : max(0, c - x1)] = True
    return float(mask.mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--sizes")
    parser.add_argument("--thresholds", default="0.05,0.1,0.15,0.2,0.3,0.4,0.5")
    parser.add_argument("--tile-scales", default="")
    parser.add_argument("--misses", action="store_true")
    args = parser.parse_args()
    onnx = (args.weights or default_weights()).with_suffix(".onnx")
    card = read_card(onnx)
    thresholds = [float(t) for t in args.thresholds.split(",")]
    samples = labelled_folder.load_samples(args.folder, args.split)
    policy = Policy()
    for size in [int(s) for s in (args.sizes or str(card["image_size"])).split(",")]:
        (session,), backend = backends.open_sessions(onnx, [size], "cpu", 2)
        second = rescorer.of_card(card, onnx.parent, 2)
        detector = localizer.Detector(session, {**card, "image_size": size}, backend, rescorer=second, text=text_detector.of_card(card, onnx.parent, 2))
        if args.tile_scales:
            detector.tiling = views.Tiling(above=0, scales=tuple(int(s) for s in args.tile_scales.split(",")))
        hits = {t: {k: [0, 0] for k in ("laterality", "marker")} for t in thresholds}
        bands = {t: [[0, 0] for _ in BANDS[1:]] for t in thresholds}
        false, total, seconds, missed = dict.fromkeys(thresholds, 0), dict.fromkeys(thresholds, 0), 0.0, []
        for sample in samples:
            grey = labelled_folder.read_grey(sample.path)
            start = time.perf_counter()
            found = detector(grey, threshold=min(thresholds))
            seconds += time.perf_counter() - start
            unit = max(grey.shape) / 1000
            truth = np.array([e.xyxy for e in sample.annotation.elements], float).reshape(-1, 4)
            near = truth + np.array([-1, -1, 1, 1]) * 8 * unit
            for t in thresholds:
                chosen = found.xyxy[found.scores >= t]
                grown = boxes.widen(chosen.astype(float), policy.margin, policy.margin_px, grey.shape)
                for e in sample.annotation.elements:
                    if e.kind == "uncertain":
                        continue
                    ok = coverage(np.array(e.xyxy), grown) >= 0.95
                    height = min(e.xyxy[2] - e.xyxy[0], e.xyxy[3] - e.xyxy[1]) / unit
                    for row in (hits[t][e.kind], bands[t][int(np.searchsorted(BANDS, height, "right")) - 1]):
                        row[0] += ok
                        row[1] += 1
                    if not ok and t == thresholds[0]:
                        missed.append((sample.path.name, e.kind, e.text, [round(v) for v in e.xyxy]))
                total[t] += len(chosen)
                false[t] += int((boxes.intersection(chosen, near).max(axis=1, initial=0) == 0).sum()) if len(chosen) else 0
        print(f"size {size} {args.tile_scales or 'no tiles'} {backend} {1000 * seconds / max(1, len(samples)):.0f} ms an image, {len(samples)} images")
        for t in thresholds:
            kinds = "  ".join(f"{k} {100 * a / max(1, b):5.1f}% ({a}/{b})" for k, (a, b) in hits[t].items())
            by_height = " ".join(f"<{hi}:{a}/{b}" for hi, (a, b) in zip(BANDS[1:], bands[t]) if b)
            print(f"  t={t:.2f}  {kinds}  false {false[t]}/{total[t]}  | {by_height}")
        if args.misses:
            for row in missed:
                print("   missed", *row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
