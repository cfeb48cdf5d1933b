"""Clean images with the shipped or other weights, judge the results, and keep the figures in eval/results.

usage: python eval/record.py IMAGES TRUTH eval/results/NAME.json --name WORDS [--split CSV=val] [--keep D,I] [--weights ONNX]

The figures are those of `markerremover evaluate`; names of images are left out. Results are written to a temporary folder and removed.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import tempfile
from pathlib import Path

from markerremover.cli.arguments import parse_keep
from markerremover.cli.main import main as run
from markerremover.detection.localizer import load_detector
from markerremover.evaluation import evaluate
from markerremover.records import DEFAULT_KEEP
from markerremover.second_pass.tesseract import open_reader


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--split")
    parser.add_argument("--keep", help="as for `markerremover remove`")
    parser.add_argument("--weights", type=Path, help="a localizer with its card (default: the shipped one)")
    args = parser.parse_args()
    kept = DEFAULT_KEEP if args.keep is None else parse_keep(args.keep)  # an error here, not after the run
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) / "results"
        options = [*(["--keep", args.keep] if args.keep else []), *(["--weights", str(args.weights)] if args.weights else [])]
        code = run(["remove", str(args.images), "-o", str(results), *options])
        if code not in (0, 1):
            return code
        document, _ = evaluate.evaluate(
            results, args.truth, args.images, split=args.split, reader=open_reader, localizer=functools.partial(load_detector, args.weights), workers=os.cpu_count() or 1)
    for name in ("sentences", "failures", "notes"):
        del document[name]
    for kind in ("any annotation", "laterality", "marker"):
        for curve in ("recall", "precision", "score"):
            del document["localizer"][kind][curve]
    told = document.pop("run")
    document = {"name": args.name, "keep": list(kept), "threshold": load_detector(args.weights).threshold, **told, **document}
    args.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(evaluate.table({**document, "sentences": []})[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
