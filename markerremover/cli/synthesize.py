"""`markerremover synthesize`: parse, call, print."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from ..system import user_text
from ..system.wording import counted


def add_synthesize_parser(subparsers) -> None:
    """Add the subcommand."""
    add = (parser := subparsers.add_parser("synthesize", help="make synthetic radiographs with labels")).add_argument
    add("out", type=Path, metavar="OUT", help="folder to create them in")
    add("--count", type=int, metavar="N", help="number of radiographs")
    add("--seed", type=int, required=True, metavar="S", help="the same seed makes the same images")
    add("--backgrounds", action="append", type=_shared_folder, metavar="DIR[=SHARE]",
        help="radiographs to draw on instead of procedural ones; may be repeated (share: 1)")
    add("--split", choices=("train", "eval"), default="train", help="fonts, names and plates to draw from (default: %(default)s)")
    add("--formats", default="png", help="png, png16, jpg, tiff, dcm, used in turn, separated by commas (default: %(default)s)")
    add("--masks", action="store_true", help="also write a mask of the strokes")
    add("--layout", type=Path, metavar="FILE", help="draw the annotations that this TOML or JSON file describes, and no others (see docs/how-to/synthesize.md)")
    add("--fonts", type=Path, metavar="DIR", help="use the TTF and OTF files of this folder: for the texts of a layout, else beside the shipped ones")
    add("--pairs", action="store_true", help="also write the same images without annotations, to clean/, under the same names")
    add("--annotations", default="labelme", metavar="LIST", help="labelme, voc, coco, separated by commas (default: %(default)s); YOLO labels are always written")
    add("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    add("--messy", action="store_true",
        help="instead of labelled radiographs write a messy archive of 60 files: ordinary films, faulty ones, duplicates, other modalities, files that "
        "are no images; OUT-truth.csv beside it says what each is")
    parser.set_defaults(run=_synthesize)


def _shared_folder(text: str) -> tuple[Path, float]:
    """DIR or DIR=SHARE."""
    folder, _, share = text.rpartition("=")
    try:
        return (Path(folder), float(share)) if folder else (Path(text), 1.0)
    except ValueError:
        return Path(text), 1.0


def _synthesize(args: argparse.Namespace) -> int:
    if args.messy:
        return _messy(args)
    if args.count is None:
        raise UsageError("--count is needed, unless --messy is given")
    if args.count < 1 or args.workers < 1:
        raise UsageError("--count and --workers must be 1 or more")
    from ..synthesis import folder

    folder.synthesize(
        args.out, args.count, args.seed, backgrounds=dict(args.backgrounds) if args.backgrounds else None, split=args.split,
        formats=_words(args.formats), masks=args.masks, workers=args.workers, layout=args.layout, fonts_dir=args.fonts, pairs=args.pairs,
        annotations=_words(args.annotations),
    )
    print(f"{counted(args.count, 'radiograph')} in {args.out}")
    if args.layout:
        for row in user_text.read_table(args.out / folder.LAYOUT_COUNTS).rows:
            print(f"  {row[0]}: drawn {row[1]} times" + (f", without room or contrast {row[2]} times" if row[2] != "0" else ""))
    return 0


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip().lower() for word in text.split(","))


def _messy(args: argparse.Namespace) -> int:
    given = {"--count": args.count is not None, "--backgrounds": args.backgrounds, "--masks": args.masks, "--formats": args.formats != "png",
        "--layout": args.layout, "--fonts": args.fonts, "--pairs": args.pairs, "--annotations": args.annotations != "labelme"}
    if wrong := [name for name, is_given in given.items() if is_given]:
        raise UsageError(f"{', '.join(wrong)} does not go with --messy, whose files are always the same kinds")
    from ..synthesis import messy_archive

    items = messy_archive.write(args.out, args.seed)
    print(f"{len(items)} files in {args.out}, what each is in {messy_archive.truth_path(args.out)}")
    return 0
