"""`markerremover evaluate` and `markerremover compare`: parse, call, print."""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path
from typing import Any

from . import __version__


def add_evaluate_parser(subparsers) -> None:
    """Add both subcommands."""
    parser = subparsers.add_parser("evaluate", help="judge the results of a run, or of any tool, against annotations")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of results")
    _add_truth(parser)
    add = parser.add_argument
    add("--no-ocr", action="store_true", help="leave out what OCR still reads")
    add("--statement", type=Path, metavar="FILE.md", help="write what was checked and what follows, in the words of an ethics board")
    parser.set_defaults(run=_run)
    both = subparsers.add_parser("compare", help="compare the results of two runs on the same images")
    both.add_argument("a", type=Path, metavar="A", help="folder of results")
    both.add_argument("b", type=Path, metavar="B", help="folder of results")
    _add_truth(both)
    both.set_defaults(run=_compare)


def _add_truth(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--truth", type=Path, required=True, metavar="ANNOTATIONS", help="folder of LabelMe, Pascal VOC or YOLO files, or a COCO file")
    add("--inputs", type=Path, required=True, metavar="IN", help="folder of the originals")
    add("--split", metavar="FILE.csv=PART", help="only the images whose row (first column) says PART (last column)")
    add("--fill", action="store_true", help="removed areas are filled, not black: any change counts as removal")
    add("--json", type=Path, metavar="FILE", help="write the figures there")


def _compare(args: argparse.Namespace) -> int:
    from . import comparison, evaluation

    a, b = (evaluation.evaluate(out, args.truth, args.inputs, split=args.split, fill=args.fill)[1] for out in (args.a, args.b))
    document = comparison.compare(a, b)
    if args.json:
        args.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print("\n".join(comparison.lines(document)))
    return 0


def _run(args: argparse.Namespace) -> int:
    from . import evaluation
    from .ocr import open_reader

    reader = None if args.no_ocr else open_reader()
    document, _ = evaluation.evaluate(args.out, args.truth, args.inputs, split=args.split, fill=args.fill, reader=reader)
    if args.json:
        args.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if args.statement:
        args.statement.write_text(statement(document, datetime.date.today()), encoding="utf-8")
    print("\n".join(evaluation.table(document)))
    for failure in document["failures"]:
        found = ", ".join(f"{len(failure[kind])} {kind}" for kind in ("missed", "leaks", "signs lost", "false") if kind in failure)
        print(f"{failure['image']}: {found or 'no result'}")
    return 0


def statement(document: dict[str, Any], day: datetime.date) -> str:
    """Markdown: the sampling plan and the result, as a data protection officer or an ethics board asks for them."""
    from .evaluation import NAMES, upper_bound
    from .metrics import in_words

    deid, recall = document["deid"], document["recall"]
    left = deid["n"] - deid["k"]
    bound = 100 * upper_bound(left, deid["n"])
    rows = "\n".join(f"| {NAMES[n]} | {in_words(document[n])} |" for n in NAMES if n in document and document[n]["n"])
    verdict = (
        f"In {left} of the {deid['n']} checked images with burnt-in markings something was left. If the checked images are a random sample of "
        f"the dataset, then with 95 % confidence fewer than {bound:.1f} % of its images with markings still show one that ought to be gone "
        "(one-sided exact binomial bound after Clopper and Pearson)."
    )
    missing = f"\n{document['missing']} of the images have no result; they count as not de-identified.\n" if document["missing"] else ""
    return f"""# De-identification: what was checked, and what follows

Date: {day.isoformat()}. Program: markerremover {__version__}, `evaluate`.

**Sample.** {document['images']} images with reviewed annotations of every burnt-in marking were checked; {deid['n']} of them carry markings
that had to go, {recall['n']} such markings in all.

**What counts as removed.** At least 95 % of a marking's strokes are black in the result; an image counts only if that holds for each of its
markings.

**Result.** {verdict}
{missing}
| measure | result (count; exact two-sided 95 % interval) |
|---|---|
{rows}

**What this does not say.** The bound holds for images like those checked. It says nothing of markings that the annotators overlooked, of what
headers and file names hold, or of anatomy by which somebody could be recognised.
"""
