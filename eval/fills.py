"""Put together what `evaluate` said of drawn films cleaned with `--style fill`, and of the same films with black boxes.

    markerremover synthesize PAIRS --count 16 --seed 31 --split eval --pairs
    markerremover remove PAIRS/images -o FILL --style fill
    markerremover evaluate FILL --truth PAIRS/annotations --inputs PAIRS/images --fill --clean PAIRS/clean --json fill.json
    markerremover remove PAIRS/images -o BOX
    markerremover evaluate BOX --truth PAIRS/annotations --inputs PAIRS/images --json box.json
    python eval/fills.py fill.json box.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

RATES = ("recall", "retention", "leaks", "filled_alike", "readable")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fill", type=Path, help="figures of the filled results")
    parser.add_argument("box", type=Path, help="figures of the blacked-out results")
    args = parser.parse_args()
    fill, box = (json.loads(path.read_text(encoding="utf-8")) for path in (args.fill, args.box))
    styles = {name: {rate: found[rate] for rate in RATES if rate in found} for name, found in (("fill", fill), ("box", box))}
    document = {"images": fill["images"], "run": fill["run"], "fill_quality": fill["fill_quality"], "styles": styles}
    target = Path(__file__).with_name("results") / "fills.json"
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(target)


if __name__ == "__main__":
    main()
