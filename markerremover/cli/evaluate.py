"""`markerremover evaluate` and `markerremover compare`: parse, call, print."""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import os
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import UsageError, WriteError
from ..system.wording import verb

#: Kind of error in the JSON document -> its name in print.
KINDS = {"missed": "missed", "leaks": "leaks", "laterality markers lost": "laterality markers lost", "false": "false-positive regions"}


def add_evaluate_parser(subparsers) -> None:
    """Add both subcommands."""
    parser = subparsers.add_parser("evaluate", help="judge the results of a run, or of any tool, against annotations")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of results")
    _add_truth(parser, "folder of the originals; without it only the boxes of a run of this program are judged, from the audit beside OUT")
    add = parser.add_argument
    add("--no-ocr", action="store_true", help="do not measure text that OCR still reads")
    add("--sites", type=Path, metavar="FILE.csv", help="its columns image (the first) and site; by default the first folder below IN is the site")
    add("--localizer", nargs="?", const="", metavar="WEIGHTS",
        help="also run a localizer, the shipped one by default, and give mAP-50 and AUPRC (extra 'evaluate')")
    add("--clean", type=Path, metavar="DIR", help="with --fill: the same images without annotations, by path; PSNR and SSIM of what was filled")
    add("--report", type=Path, metavar="DIR", help="write a page with plots and every failure, enlarged (extra 'evaluate'); it shows originals")
    add("--statement", type=Path, metavar="FILE.md", help="write the sampling plan and the result as text for an ethics board")
    parser.set_defaults(run=_run)
    comparing = subparsers.add_parser("compare", help="compare the results of two runs on the same images")
    comparing.add_argument("a", type=Path, metavar="A", help="folder of results")
    comparing.add_argument("b", type=Path, metavar="B", help="folder of results")
    _add_truth(comparing, "folder of the originals", needed=True)
    comparing.set_defaults(run=_compare)


def _add_truth(parser: argparse.ArgumentParser, inputs: str, *, needed: bool = False) -> None:
    add = parser.add_argument
    add("--truth", type=Path, required=True, metavar="ANNOTATIONS", help="folder of LabelMe, Pascal VOC or YOLO files, or a COCO file; "
        "each names its image by path, or as `annotate` by SHA-256")
    add("--inputs", type=Path, required=needed, metavar="IN", help=inputs)
    add("--split", metavar="FILE.csv=PART", help="only the images whose row says PART (columns image and split, else the first and the last)")
    add("--fill", action="store_true", help="removed areas are filled, not blacked out: any change counts as removal")
    add("--json", type=Path, metavar="FILE", help="write the figures to this file")
    add("--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: one per core)")


def _compare(args: argparse.Namespace) -> int:
    from ..evaluation import comparison, evaluate

    options = {"split": args.split, "fill": args.fill, "workers": _workers(args)}
    (of_a, a), (_, b) = (evaluate.evaluate(out, args.truth, args.inputs, **options) for out in (args.a, args.b))
    document = comparison.compare(a, b)
    _print_notes(of_a)
    _write(args.json, json.dumps(document, indent=1) + "\n")
    print("\n".join(comparison.lines(document)))
    return 0


def _print_notes(document: dict[str, Any]) -> None:
    for note in document["notes"]:
        print(f"note: {note}")


def _workers(args: argparse.Namespace) -> int:
    if args.workers < 1:
        raise UsageError(f"--workers is {args.workers}, needs 1 or more")
    return args.workers


def _write(path: Path | None, text: str) -> None:
    """Write a requested file; None writes nothing.

    Raises:
        WriteError: it cannot be written.
    """
    if path is None:
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror})") from error


def _run(args: argparse.Namespace) -> int:
    from ..evaluation import evaluate
    from ..second_pass.tesseract import open_reader

    if args.inputs is None:
        return _run_boxes(args)
    if args.clean and not args.fill:
        raise UsageError("--clean: is for filled results, give --fill too")
    workers = _workers(args)
    document, rows = evaluate.evaluate(
        args.out, args.truth, args.inputs, split=args.split, fill=args.fill, reader=None if args.no_ocr else open_reader, sites=args.sites,
        localizer=None if args.localizer is None else functools.partial(_localizer, args.localizer or None, workers), workers=workers,
    )
    if args.clean:
        from ..evaluation import fill_quality

        document["fill_quality"] = fill_quality.of_results(rows, args.out, args.inputs, args.clean)
    _write(args.json, json.dumps(document, indent=1) + "\n")
    if args.statement:
        _write(args.statement, statement(document, datetime.date.today()))
    if args.report:
        from ..evaluation import report

        print(f"report: {report.write(args.report, document, rows, args.inputs, args.out)}")
    _print_notes(document)
    print("\n".join(evaluate.table(document)))
    if args.clean:
        print("\n".join(fill_quality.lines(document["fill_quality"])))
    for failure in document["failures"]:
        errors = ", ".join(f"{len(failure[kind])} {KINDS[kind]}" for kind in KINDS if kind in failure)
        print(f"{failure['image']}: {errors or 'no result'}")
    return 0


def _localizer(weights: str | None, workers: int) -> Any:
    from ..detection.localizer import load_detector

    return load_detector(weights, threads=max(1, (os.cpu_count() or 1) // workers))


def _run_boxes(args: argparse.Namespace) -> int:
    from ..evaluation import evaluate

    unused = {"--no-ocr": args.no_ocr, "--fill": args.fill, "--clean": args.clean, "--sites": args.sites, "--localizer": args.localizer is not None,
              "--report": args.report, "--statement": args.statement}
    conflicts = [name for name, value in unused.items() if value]
    if conflicts:
        raise UsageError(f"{', '.join(conflicts)}: needs the images before and after, give their folder with --inputs")
    document = evaluate.evaluate_boxes(args.out, args.truth, split=args.split)
    _write(args.json, json.dumps(document, indent=1) + "\n")
    _print_notes(document)
    print("\n".join(evaluate.published_lines(document)))
    return 0


def statement(document: dict[str, Any], day: datetime.date) -> str:
    """Markdown: the sampling plan and the result, for a data protection officer or an ethics board."""
    from ..evaluation.evaluate import NAMES, upper_bound
    from ..evaluation.metrics import in_words

    deid, recall = document["deid"], document["recall"]
    misses = deid["n"] - deid["k"]
    bound = 100 * upper_bound(misses, deid["n"])
    rows = "\n".join(f"| {NAMES[n]} | {in_words(document[n])} |" for n in NAMES if n in document and document[n]["n"])
    verdict = (
        f"In {misses} of the {deid['n']} checked images with burned-in annotations something was left. If the checked images are a random sample of "
        f"the dataset, then with 95 % confidence fewer than {bound:.1f} % of its images with annotations still show one that should have been removed "
        "(one-sided exact binomial bound after Clopper and Pearson)."
    )
    missing = (f"\n{document['missing']} of the images {verb(document['missing'], 'has no result; it counts', 'have no result; they count')} as not "
               "de-identified.\n") if document["missing"] else ""
    return f"""# De-identification: what was checked, and what follows

Date: {day.isoformat()}. Program: markerremover {__version__}, `evaluate`.

**Sample.** {document['images']} images with a reviewed label of every burned-in annotation were checked; {deid['n']} of them have annotations
to be removed, {recall['n']} such annotations in all.

**What counts as removed.** At least 95 % of an annotation's strokes are black in the result; an image counts only if that holds for each of its
annotations.

**Result.** {verdict}
{missing}
| measure | result (count; exact two-sided 95 % interval) |
|---|---|
{rows}

**What this does not say.** The bound holds for images like those checked. It says nothing about annotations that the annotators overlooked, about
headers and file names, or about anatomy by which somebody could be recognised.
"""
