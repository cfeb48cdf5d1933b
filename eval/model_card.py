"""Write weights/MODEL_CARD.md from the card, the results and what the weights miss on synthetic radiographs.

usage: python eval/model_card.py [--count 60] [--seed 4711]

Reads weights/detector.json and eval/results/{val,actualmed}.json. Pictures of misses and false boxes come from `--count`
radiographs of the eval split (fonts, names, plates and drawn bodies never trained on), so they may be published; they go
to docs/misses.png, what they count into the card's text.
"""

import argparse
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
import tables

from markerremover import boxes
from markerremover.detection import localizer
from markerremover.detection.operating_point import FLOOR, found_in
from markerremover.labels import labelled_folder
from markerremover.records import Policy
from markerremover.synthesis import synthesize

ROOT = Path(__file__).resolve().parent.parent
TILE, COLUMNS, MOST = 180, 6, 18  # pixels, tiles a row, tiles of a kind
BANDS = (0, 12, 18, 25, 35, 50, 10**6)  # marking height (shorter side), px of a 1000-px image


def crop(grey: np.ndarray, xyxy, colour, caption: str) -> np.ndarray:
    """(TILE + 16, TILE, 3) uint8: a box with its surroundings, and a line under it."""
    x1, y1, x2, y2 = (float(v) for v in xyxy)
    half = max(40.0, 0.9 * max(x2 - x1, y2 - y1))
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    move = np.array([[1, 0, half - cx], [0, 1, half - cy]]) * TILE / (2 * half)
    picture = cv2.cvtColor(cv2.warpAffine(grey, move, (TILE, TILE), flags=cv2.INTER_AREA, borderValue=60), cv2.COLOR_GRAY2BGR)
    corners = (np.array([[x1, y1], [x2, y2]]) + half - (cx, cy)) * TILE / (2 * half)
    cv2.rectangle(picture, *(tuple(int(v) for v in p) for p in np.round(corners)), colour, 1)
    out = np.full((TILE + 16, TILE, 3), 255, np.uint8)
    out[:TILE] = picture
    cv2.putText(out, caption, (2, TILE + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    return out


def sheet(tiles: list[np.ndarray]) -> np.ndarray:
    """Tiles in rows of COLUMNS on white."""
    while len(tiles) % COLUMNS:
        tiles.append(np.full((TILE + 16, TILE, 3), 255, np.uint8))
    return np.vstack([np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)])


def look(count: int, seed: int) -> tuple[dict, np.ndarray]:
    """Counts by marking height, and the picture of misses (red) and false boxes (blue)."""
    detector, policy = localizer.load_detector(device="cpu"), Policy()
    by_height, misses, false = [[0, 0] for _ in BANDS[1:]], [], []
    boxes_seen = false_seen = 0
    with tempfile.TemporaryDirectory() as folder:
        synthesize(folder, count, seed, split="eval", workers=2)
        for sample in labelled_folder.load_samples(Path(folder), "train") + labelled_folder.load_samples(Path(folder), "val"):
            grey = labelled_folder.read_grey(sample.path)
            found = detector(grey, FLOOR)
            elements = [e for e in sample.annotation.elements if e.kind != "uncertain"]
            for element, covered_from in zip(elements, found_in(found, sample.annotation, policy).elements):
                x1, y1, x2, y2 = element.xyxy
                band = int(np.searchsorted(BANDS, 1000 * min(x2 - x1, y2 - y1) / max(grey.shape), "right")) - 1
                by_height[band][0] += covered_from >= detector.threshold
                by_height[band][1] += 1
                if covered_from < detector.threshold:
                    misses.append(crop(grey, element.xyxy, (0, 0, 255), f"missed {covered_from:.2f}"))
            near = np.array([e.xyxy for e in sample.annotation.elements], float).reshape(-1, 4)
            chosen = found.xyxy[found.scores >= detector.threshold].astype(float)
            scores = found.scores[found.scores >= detector.threshold]
            lonely = boxes.intersection(chosen, near + np.array([-1, -1, 1, 1]) * 0.008 * max(grey.shape)).sum(axis=1) == 0
            boxes_seen, false_seen = boxes_seen + len(chosen), false_seen + int(lonely.sum())
            false += [crop(grey, box, (255, 0, 0), f"false {score:.2f}") for box, score in zip(chosen[lonely], scores[lonely])]
    names = [f"{low}–{high}" if high < 10**6 else f"{low} and more" for low, high in zip(BANDS, BANDS[1:])]
    counts = {"by_height": dict(zip(names, by_height)), "boxes": boxes_seen, "false": false_seen, "missed": len(misses)}
    tiles = misses[:: max(1, -(-len(misses) // MOST))] + false[:: max(1, -(-len(false) // MOST))]
    return counts, sheet(tiles) if tiles else np.full((20, 20, 3), 255, np.uint8)


def rescorer(card: dict) -> str:
    """What the card says of the second network, as a sentence."""
    facts = card.get("rescorer")
    if facts is None:
        return ""
    told = (f"A second network, `{facts['file']}` (SHA-256 `{facts['sha256']}`), looks at every box that the localizer proposes "
            f"(raw score {facts['floor']} or more) in two windows at the source's own resolution; both scores are joined by logistic "
            f"regression ({facts['localizer']} and {facts['rescorer']} of their logits, {facts['offset']:+}). ")
    if text := card.get("text_detector"):
        joint = facts["with_text"]
        told += (f"A third, `{text['file']}` ({text['source']}; {text['license']}; SHA-256 `{text['sha256']}`; longer side {text['side']} px), proposes "
                 f"regions of text, and its greatest probability in a box counts, too ({joint['localizer']}, {joint['rescorer']} and {joint['text']} "
                 f"of the three logits, {joint['offset']:+}); it is used as published, not taught further. ")
    if strokes := card.get("strokes"):
        told += (f"A fourth, `{strokes['file']}` (SHA-256 `{strokes['sha256']}`), serves the second pass: it tells which strokes in the box of a laterality "
                 "marker are its letters', where no threshold does; a U-Net of 200,000 weights, taught on drawn films with known strokes. ")
    return told + f"Beside a laterality marker and in line with a word a box counts from {card['beside_marker']} on."


def text(card: dict, counts: dict, count: int, seed: int) -> str:
    op = card["operating_point"]
    points = "\n".join(f"| {row['threshold']:.2f} | {100 * row['recall']:.1f} % | {100 * row['precision']:.1f} % |" for row in card["curve"])
    bins = "\n".join(f"| {b['from']:.1f}–{b['to']:.1f} | {b['boxes']} | {100 * b['true'] / b['boxes']:.0f} % |" for b in op["reliability"])
    heights = ", ".join(f"{name} px {a}/{b}" for name, (a, b) in counts["by_height"].items() if b)
    at = "; ".join(f"{name}: {100 * v['recall']:.1f} % of {v['elements']} elements, {100 * v['precision']:.1f} % of {v['boxes']} boxes true"
                   for name, v in op["at"].items())
    return f"""# Model card: `{card['name']}`

Written by `eval/model_card.py` from `weights/{card['name']}.json` and `eval/results/`; do not edit by hand.

**What it is.** A {card['architecture']} localizer for annotations burned into radiographs; classes {', '.join(f'`{c}`' for c in card['classes'])}
(an isolated laterality marker; every other burned-in annotation). One ONNX file (input 1×3×{card['image_size']}×{card['image_size']}, values 0–1, grey repeated
three times), SHA-256 `{card['sha256']}`; `{card['name']}.pt` is the checkpoint to go on training from. {rescorer(card)}
Every box that counts is removed unless the second pass reads an isolated laterality marker in it that is to be retained.

**Data.** {card['data']}.

**Recipe.** {card['recipe']}. Seeds {', '.join(map(str, card['seeds']))}.

**Licence.** {card['licence']}.

## Results

Whole pipeline at the card's threshold, exact 95 % intervals:

{chr(10).join(tables.real())}

A source that was left out: weights trained in the same way, for about 45 minutes, without a film of it; and after fine-tuning on 20 of its films:

{chr(10).join(tables.left_out())}

The measures of Khosravi et al. 2023, their own figures beside ours on other images; both networks together are the localizer:

{chr(10).join(tables.published())}

The first network alone, as it was chosen: {card['metrics']['validation']}: mAP-50 {card['metrics']['mAP-50']:.3f}, precision {card['metrics']['precision']:.3f},
recall {card['metrics']['recall']:.3f}.

## Operating point

Threshold {card['threshold']} ({op['rule']}); average precision {op['average_precision']:.3f} there. At it: {at}.
Scores are calibrated (Platt): expected calibration error {op['calibration_error']['raw']:.3f} before, {op['calibration_error']['calibrated']:.3f} after,
on the images they were fitted on. {card.get('operating_note', '')}

| threshold | elements found | boxes true |
|---|---|---|
{points}

What a score means there, for a setting such as "review below this":

| score | boxes | of them on an annotation |
|---|---|---|
{bins}

## Known misses

On {count} synthetic radiographs of the eval split (seed {seed}): {counts['missed']} elements missed, {counts['false']} of {counts['boxes']} boxes false.
By annotation height, in pixels of an image of 1000: {heights}. Synthetic ones are made to be hard and say nothing
about a hospital's rate.

![missed elements in red, false boxes in blue](../docs/misses.png)

{card['known_misses']}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=4711)
    args = parser.parse_args()
    card = json.loads((ROOT / "weights" / "detector.json").read_text(encoding="utf-8"))
    counts, picture = look(args.count, args.seed)
    cv2.imwrite(str(ROOT / "docs" / "misses.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    (ROOT / "weights" / "MODEL_CARD.md").write_text(text(card, counts, args.count, args.seed), encoding="utf-8")
    print(counts)


if __name__ == "__main__":
    main()
