"""`markerremover synthesize`: parse, call, print."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from ..system.wording import counted


def add_synthesize_parser(subparsers) -> None:
    """Add the subcommand."""
    add = (parser := subparsers.add_parser("synthesize", help="make synthetic radiographs with labels")).add_argument
    add("out", type=Path, metavar="OUT", help="folder to create them in")
    add("--count", type=int, required=True, metavar="N", help="number of radiographs")
    add("--seed", type=int, required=True, metavar="S", help="the same seed makes the same images")
    add("--backgrounds", action="append", type=_shared_folder, metavar="DIR[=SHARE]",
        help="radiographs to draw on instead of procedural ones; may be repeated (share: 1)")
    add("--split", choices=("train", "eval"), default="train", help="fonts, names and plates to draw from (default: %(default)s)")
    add("--formats", default="png", help="png, png16, jpg, tiff, dcm, used in turn, separated by commas (default: %(default)s)")
    add("--masks", action="store_true", help="also write a mask of the strokes")
    add("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    parser.set_defaults(run=_synthesize)


def _shared_folder(text: str) -> tuple[Path, float]:
    """DIR or DIR=SHARE."""
    folder, _, share = text.rpartition("=")
    try:
        return (Path(folder), float(share)) if folder else (Path(text), 1.0)
    except ValueError:
        return Path(text), 1.0


def _synthesize(args: argparse.Namespace) -> int:
    if args.count < 1 or args.workers < 1:
        raise UsageError("--count and --workers must be 1 or more")
    from ..synthesis import synthesize

    synthesize(
        args.out, args.count, args.seed, backgrounds=dict(args.backgrounds) if args.backgrounds else None, split=args.split,
        formats=tuple(name.strip().lower() for name in args.formats.split(",")), masks=args.masks, workers=args.workers,
    )
    print(f"{counted(args.count, 'radiograph')} in {args.out}")
    return 0
