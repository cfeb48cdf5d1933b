"""Turn the counts of a pixel referee into rates with exact 95 % intervals, and print a Markdown table.

usage: python eval/intervals.py COUNTS.json NAME -o eval/results/NAME.json [--weights weights/detector.json]

COUNTS.json: {set: {deid, marked, removed, marks, kept, lats, fp, tp, missing, images, harm}}: images with every marking
gone of those with any, markings gone of all, side signs unchanged of all, changed regions that touch no annotated mark,
harm in per mille of all pixels.
"""

import argparse
import json
from pathlib import Path

from markerremover.metrics import in_words, rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("counts", type=Path)
    parser.add_argument("name")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=Path("weights/detector.json"))
    args = parser.parse_args()
    (c,) = json.loads(args.counts.read_text()).values()
    card = json.loads(args.weights.read_text())
    result = {
        "name": args.name, "images": c["images"], "missing": c.get("missing", 0), "weights_sha256": card["sha256"] + (f"+{card['rescorer']['sha256']}" if card.get("rescorer") else ""),
        "threshold": card["threshold"], "recall": rate(c["removed"], c["marks"]), "deid": rate(c["deid"], c["marked"]),
        "retention": rate(c["kept"], c["lats"]), "false_regions": rate(c["fp"], c["tp"] + c["fp"] + c["kept"]),
        "harm": {"value": round(c["harm"], 3), "unit": "per mille of pixels"},
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    cells = [in_words(result[key]) for key in ("recall", "deid", "retention", "false_regions")]
    print(f"| {args.name} | {' | '.join(cells)} | {c['harm']:.2f} ‰ |")


if __name__ == "__main__":
    main()
