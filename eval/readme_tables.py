"""Write the tables of README.md and docs from eval/results, or tell where they disagree.

usage: python eval/readme_tables.py [--check]

A table stands between `<!-- table NAME -->` and `<!-- end of table -->`; NAME is one of `TABLES`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any, Callable

from markerremover.box_level import PUBLISHED
from markerremover.metrics import in_words, rate

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md",)
RATES = ("recall", "deid", "retention", "false_regions")
HEAD = "markings removed | images de-identified | side signs kept | false regions"
SAID = {"all": "all black", "signs": "L and R kept", "words": "single characters kept"}
PLACE = re.compile(r"(<!-- table ([a-z-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def result(name: str) -> dict[str, Any]:
    """A file of eval/results."""
    return json.loads((ROOT / "eval" / "results" / f"{name}.json").read_text(encoding="utf-8"))


def real() -> list[str]:
    """The shipped weights on real radiographs."""
    lines = [f"| images | {HEAD} | harm |", "|---|---|---|---|---|---|"]
    for name in ("val", "actualmed"):
        found = result(name)
        lines.append(f"| {found['name']} | {' | '.join(in_words(found[n]) for n in RATES)} | {found['harm']['value']:.2f} ‰ |")
    return lines


def published() -> list[str]:
    """The publication's measures, its own figures beside ours on other images."""
    names = {"deidentification_accuracy": "de-identification accuracy", "false_positive_rate": "false-positive boxes", "retention_accuracy": "retention accuracy"}
    ours = result("val"), result("actualmed")
    lines = ["| | published: home site (pelvis) | foreign site (chest) | foreign site after 20 images | ours: home site (chest, 50 images) | "
             "foreign site (chest, 20 images) |", "|---|---|---|---|---|---|"]
    for name, said in names.items():
        cells = [in_words(rate(k, n)) for k, n in PUBLISHED[name]]
        cells += [in_words(document["published_measures"][name]) for document in ours]
        lines.append(f"| {said} | {' | '.join(cells)} |")
    return lines


def tools(name: str) -> list[str]:
    """Ours and the peers on the same images."""
    lines = [f"| tool | {HEAD} | harm | seconds an image |", "|---|---|---|---|---|---|---|"]
    for row in result(name)["tools"]:
        said = row["name"] if row["name"].startswith("markerremover") else f"{row['name']}: {SAID[row['variant']]}"
        rates = " | ".join(in_words(row[n]) for n in RATES)
        lines.append(f"| {said} | {rates} | {row['harm']['value']:.2f} ‰ | {row['seconds_per_image']['wall']:.2f} |")
    return lines


TABLES: dict[str, Callable[[], list[str]]] = {
    "real": real, "published": published,
}


def filled(text: str) -> str:
    """A page with its tables as the results have them.

    Raises:
        KeyError: a table has a name that is not in `TABLES`.
    """
    return PLACE.sub(lambda place: place[1] + "\n".join(TABLES[place[2]]()) + "\n" + place[3], text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a page disagrees with the results")
    args = parser.parse_args()
    wrong = 0
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        new = filled(text)
        if new != text and args.check:
            print(f"{page}: its tables are not those of eval/results; run python eval/readme_tables.py", file=sys.stderr)
            wrong = 1
        elif new != text:
            (ROOT / page).write_text(new, encoding="utf-8")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
