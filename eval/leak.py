"""Does anything of a marking survive in the results? Counts strokes of `marker` elements that are still there.

usage: python eval/leak.py ANNOTATIONS IN_DIR OUT_DIR [--split CSV=val] [--json FILE]

ANNOTATIONS is a folder of LabelMe files; IN_DIR and OUT_DIR hold the same file names (8-bit). A leak is an 8-connected
piece of the strokes of a `marker` element, at least `LEAST_HIGH` pixels high, that in the result is neither black (24 of
255 at most) nor changed by more than 2 grey levels. Strokes are those of `markerremover.metrics.element_strokes`. A leak
within half a sign's size of a `laterality` element is "beside a sign", any other is "free".
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import cv2
import numpy as np

from markerremover import boxes, labelme, metrics

LEAST_HIGH = 3  # pixels
BLACK, CHANGED = 24, 2  # grey levels


def leaks(before: np.ndarray, after: np.ndarray, elements) -> list[dict]:
    """Surviving strokes of one image: element text, xywh of the piece in pixels, and whether it is beside a sign."""
    signs = [e for e in elements if e.kind == "laterality"]
    there = (after > BLACK) & (np.abs(after.astype(np.int16) - before) <= CHANGED)
    found = []
    for element, strokes in zip(elements, metrics.element_strokes(before, elements)):
        if element.kind != "marker" or strokes.sum() >= boxes.area(np.round(np.array([element.xyxy])))[0]:
            continue  # the latter: nothing stands out in its box
        alive = strokes & there & (before > BLACK)
        count, _, stats, _ = cv2.connectedComponentsWithStats(alive.astype(np.uint8), connectivity=8)
        for x, y, w, h, _ in stats[1:count]:
            if h >= LEAST_HIGH:
                found.append({"text": element.text, "xywh": [int(v) for v in (x, y, w, h)], "beside a sign": _beside(signs, x, y, w, h)})
    return found


def _beside(signs, x, y, w, h) -> bool:
    for sign in signs:
        x1, y1, x2, y2 = sign.xyxy
        reach = 0.5 * max(x2 - x1, y2 - y1)
        if x < x2 + reach and x + w > x1 - reach and y < y2 + reach and y + h > y1 - reach:
            return True
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("annotations", type=Path)
    parser.add_argument("inputs", type=Path)
    parser.add_argument("outputs", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    wanted = None
    if args.split:
        path, part = args.split.rsplit("=", 1)
        with open(path, newline="") as handle:
            wanted = {row[0] for row in csv.reader(handle) if row[-1] == part}
    rows, images, missing = [], 0, 0
    for path in sorted(args.annotations.glob("*.json")):
        truth = labelme.read(path)
        if wanted is not None and truth.image not in wanted:
            continue
        images += 1
        before = cv2.imread(str(args.inputs / truth.image), cv2.IMREAD_GRAYSCALE)
        if before is None:
            sys.exit(f"{args.inputs / truth.image}: cannot be read")
        after = cv2.imread(str(args.outputs / truth.image), cv2.IMREAD_GRAYSCALE)
        if after is None:  # nothing was written: nothing can leak
            missing += 1
            continue
        rows += [{"image": truth.image, **leak} for leak in leaks(before, after, truth.elements)]
    beside = [r for r in rows if r["beside a sign"]]
    for row in rows:
        print(row["image"], row["text"], row["xywh"], "beside a sign" if row["beside a sign"] else "free")
    print(f"{images} images, {missing} without a result: {len(beside)} leaks beside a sign in {len({r['image'] for r in beside})} images, "
          f"{len(rows) - len(beside)} free in {len({r['image'] for r in rows if not r['beside a sign']})} images")
    if args.json:
        args.json.write_text(json.dumps({"images": images, "missing": missing, "leaks": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
