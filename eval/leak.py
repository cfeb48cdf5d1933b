"""Does anything of a marking survive in the results? Counts strokes of `marker` elements that are still there.

usage: python eval/leak.py ANNOTATIONS IN_DIR OUT_DIR [--split CSV=val] [--json FILE]

ANNOTATIONS is a folder of LabelMe files; IN_DIR and OUT_DIR hold the same file names (8-bit). A leak is an 8-connected
piece of the strokes of a `marker` element, at least `LEAST_HIGH` pixels high, that in the result is neither black (24 of
255 at most) nor changed by more than 2 grey levels. Strokes are what stands out of its surroundings inside the element's
box (top-hat or black-hat, Otsu); where the box of a side sign overlaps, its largest stroke belongs to the sign. A leak
within half a sign's size of a `laterality` element is "beside a sign", any other is "free".
"""

import argparse
import csv
import json
import sys
from pathlib import Path

import cv2
import numpy as np

from markerremover import labelme

LEAST_HIGH = 3  # pixels
BLACK, CHANGED = 24, 2  # grey levels


def strokes(grey: np.ndarray, xyxy) -> np.ndarray:
    """(H, W) bool: what stands out inside a box, bright strokes or, where they hold twice the energy, dark ones."""
    out = np.zeros(grey.shape, bool)
    x1, y1, x2, y2 = (int(round(v)) for v in xyxy)
    x1, y1, x2, y2 = max(0, x1), max(0, y1), min(grey.shape[1], x2), min(grey.shape[0], y2)
    if min(x2 - x1, y2 - y1) < 2:
        return out
    side = int(max(9, 0.9 * min(x2 - x1, y2 - y1))) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    X, Y = max(0, x1 - 4), max(0, y1 - 4)
    crop = grey[Y : y2 + 4, X : x2 + 4]
    inner = np.s_[y1 - Y : y2 - Y, x1 - X : x2 - X]
    bright, dark = (cv2.morphologyEx(crop, op, kernel)[inner] for op in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT))
    hat = dark if np.square(dark.astype(float)).sum() > 2 * np.square(bright.astype(float)).sum() else bright
    otsu, _ = cv2.threshold(np.ascontiguousarray(hat).reshape(1, -1), 0, 255, cv2.THRESH_OTSU)
    out[y1:y2, x1:x2] = hat > max(otsu, 8)
    return out


def letter_of(grey: np.ndarray, xyxy) -> np.ndarray:
    """(H, W) bool: the largest stroke of a side sign's box, with its soft edge."""
    mask = strokes(grey, xyxy).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return np.zeros(grey.shape, bool)
    return cv2.dilate((labels == 1 + int(stats[1:, 4].argmax())).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def leaks(before: np.ndarray, after: np.ndarray, elements) -> list[dict]:
    """Surviving strokes of one image: element text, xywh of the piece in pixels, and whether it is beside a sign."""
    signs = [e for e in elements if e.kind == "laterality"]
    letters = np.zeros(before.shape, bool)
    for sign in signs:
        letters |= letter_of(before, sign.xyxy)
    there = (after > BLACK) & (np.abs(after.astype(np.int16) - before) <= CHANGED)
    found = []
    for element in elements:
        if element.kind != "marker":
            continue
        alive = strokes(before, element.xyxy) & ~letters & there & (before > BLACK)
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
