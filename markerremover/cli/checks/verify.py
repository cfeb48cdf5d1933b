"""`markerremover verify`: parse, call, print."""

from __future__ import annotations

import argparse
import datetime
import json
from pathlib import Path

from ... import __version__
from ...errors import UsageError, WriteError
from ...options import DEFAULT_IGNORE


def add_verify_parser(subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("verify", help="check that results are their inputs but for what the manifest says, without the code that made them")
    add = parser.add_argument
    add("inputs", type=Path, nargs="+", metavar="IN", help="files and folders of originals, as `remove` was given them")
    add("out", type=Path, metavar="OUT", help="folder of results")
    add("--manifest", type=Path, action="append", default=[], metavar="FILE", help="manifest of the run, for a run in parts one of each part (default: OUT-audit/manifest.jsonl)")
    add("--headers", choices=("basic", "keep"), default="basic", help="keep: the run kept headers, so search neither them nor paths (default: %(default)s)")
    add("--paths", choices=("auto", "keep"), default="auto", help="keep: the run kept paths, so do not search them (default: %(default)s)")
    add("--ignore", action="append", default=[], metavar="GLOB", help="files that the run left out, as given to `remove`; repeatable")
    add("--json", type=Path, metavar="FILE", help="write everything that was found to this file")
    add("--statement", type=Path, metavar="FILE.md", help="write the result as text for an ethics board")
    add("--workers", type=int, metavar="N", help="processes (default: as suits cores and files)")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from ...verification.check import verify
    from ...verification.statement import statement

    if args.workers is not None and args.workers < 1:
        raise UsageError(f"--workers is {args.workers}, needs 1 or more")
    report = verify(
        args.inputs, args.out, args.manifest, headers=args.headers, paths=args.paths, ignore=(*DEFAULT_IGNORE, *args.ignore), workers=args.workers)
    if args.json:
        _write(args.json, json.dumps(report.as_json(), indent=1) + "\n")
    if args.statement:
        _write(args.statement, statement(report, __version__, datetime.date.today()))
    print("\n".join(report.lines()))
    return 0 if report.passed else 1


def _write(path: Path, text: str) -> None:
    """Write a requested file.

    Raises:
        WriteError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({error.strerror})") from error
