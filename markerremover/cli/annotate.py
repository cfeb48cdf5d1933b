"""`markerremover annotate`: detections as LabelMe files to correct by hand, each with a picture that LabelMe can open.

The pictures are copies of the originals with everything burned in: the folder is as confidential as these, and only its owner may read it.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..errors import UsageError
from ..records import DEFAULT_KEEP, Policy
from ..system.telemetry import ENVIRONMENT
from ..system.wording import counted


def add_annotate_parser(subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "annotate", help="write detections as LabelMe files, and open LabelMe on them (extra `label`)",
        description="Writes OUT/images and OUT/annotations, which show and describe the originals, and opens LabelMe on them. Tick the "
        "flag `reviewed` of each image that you have corrected: files without it are not used.",
    )
    add = parser.add_argument
    add("inputs", nargs="+", type=Path, metavar="INPUT", help="file or folder of radiographs")
    add("-o", "--out", type=Path, required=True, metavar="DIR", help="folder for pictures and annotations; existing files are kept")
    add("--weights", type=Path, help="as in `remove`")
    add("--keep", default=",".join(DEFAULT_KEEP), metavar="MARKERS", help="laterality markers, whose label is laterality, or `none` (default: %(default)s)")
    add("--no-open", action="store_true", help="write only, do not open LabelMe")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from ..redaction import cleaning
    from ..review.proposals import annotate
    from .arguments import parse_keep

    try:
        policy = Policy(keep=parse_keep(args.keep) if isinstance(args.keep, str) else args.keep)
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--keep {error}") from error
    result = annotate(args.inputs, args.out, policy=policy, open_cleaner=lambda: cleaning.open_cleaner(policy, weights=args.weights), say=print)
    kept, failed = counted(result["kept"], "file"), counted(len(result["failed"]), "file")
    print(f"{counted(result['written'], 'annotation')} written, {kept} kept unchanged, {failed} failed")
    print(f"pictures of the originals are in {args.out / 'images'}: as confidential as these")
    if not args.no_open:
        open_labelme(args.out)
    return 1 if result["failed"] else 0


def open_labelme(folder: Path) -> None:
    """Start LabelMe on a folder of `annotate` and wait until it is closed.

    Raises:
        UsageError: it is not installed.
    """
    import subprocess
    import sys
    from importlib import util

    if util.find_spec("labelme") is None:
        raise UsageError("labelme is not installed: the extra `label` has it (pip install 'markerremover[label]'), or use --no-open")
    command = [
        sys.executable, "-m", "labelme", str(folder / "images"),
        "--output", str(folder / "annotations"), "--nodata", "--logger-level", "warning",
        "--labels", "laterality,marker,uncertain", "--validatelabel", "exact", "--flags", "reviewed",
    ]
    subprocess.run(command, check=False, env={**os.environ, **ENVIRONMENT})
