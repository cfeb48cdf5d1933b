"""`markerremover export-dataset`: parse, call, print."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..dataset.options import BITS, PARTS, WINDOWS, ExportOptions
from ..system.wording import counted, verb

SHOWN = 10  # highest number of refused files that are listed


def add_export_dataset_parser(subparsers) -> None:
    """Add the subcommand."""
    default = ExportOptions()
    parser = subparsers.add_parser(
        "export-dataset", help="make a data set for training of the results of a run",
        description="Write the released results of a run as PNG files with dataset.csv, a split by patient and a datasheet. Held and failed files, "
        "files that were changed after the run and files with decisions of a review that were not applied are refused (refused.csv).",
    )
    add = parser.add_argument
    add("clean", type=Path, metavar="CLEAN", help="output folder of `remove`")
    add("-o", "--out", type=Path, required=True, metavar="DATASET", help="the new folder, not in or around CLEAN or its audit")
    add("--audit", type=Path, metavar="DIR", help="audit folder of the run (default: CLEAN-audit)")
    add("--bits", type=int, choices=BITS, default=default.bits, help="bits of a pixel (default: %(default)s)")
    add("--window", choices=WINDOWS, default=default.window,
        help="grey levels: by the DICOM header's window or VOI LUT where it has a sound one, or between percentiles of the pixels (default: %(default)s)")
    add("--size", type=parse_size, metavar="N|WxH", help="longer side, or width and height, pixels (default: as in the sources)")
    add("--pad", action=argparse.BooleanOptionalAction, default=None, help="fill up to this size with black (default: with WxH)")
    add("--split", type=parse_shares, default=default.shares, metavar="A,B,C", help="shares of the patients in train, val and test (default: 0.8,0.1,0.1)")
    add("--seed", type=int, default=default.seed, help="seed of the split (default: %(default)s)")
    add("--patients", type=Path, metavar="CSV",
        help="columns file (path or name) and patient, perhaps study: the patients of PNG, JPEG and TIFF files; by default their folder is their patient")
    add("--source-column", metavar="NAME", help="column of --patients by which the split is stratified (default: the top folder)")
    add("--one-image-a-patient", action="store_true", help="every PNG, JPEG or TIFF file without a row in --patients is a patient of its own")
    add("--key", type=Path, metavar="FILE", help="key of the run, if it is no longer in its place")
    add("--skip", type=parse_names, default=(), metavar="FLAGS", help="quality flags, separated by commas; images that have one are left out")
    parser.set_defaults(run=_run)


def parse_size(text: str) -> int | tuple[int, int]:
    """A longer side, or width and height.

    >>> parse_size("512"), parse_size("512x640")
    (512, (512, 640))
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r}: allowed are N and WxH, whole numbers")
    return int(parts[0]) if len(parts) == 1 else (int(parts[0]), int(parts[1]))


def parse_shares(text: str) -> tuple[float, ...]:
    """Shares of the parts.

    >>> parse_shares("0.7,0.15,0.15")
    (0.7, 0.15, 0.15)
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: allowed are three numbers, separated by commas") from None


def parse_names(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _run(args: argparse.Namespace) -> int:
    options = ExportOptions(
        audit=args.audit, bits=args.bits, window=args.window, size=args.size, pad=args.pad, shares=args.split, seed=args.seed, patients=args.patients,
        source_column=args.source_column, one_image_a_patient=args.one_image_a_patient, key=args.key, skip=args.skip,
    )
    from ..dataset.export import LARGE_FOLDER, export_dataset
    from ..run.progress import count_files
    from .output.outcomes import shown

    result = export_dataset(args.clean, args.out, options=options, progress=count_files())
    refused = [refusal for refusal in result["refused"] if not refusal.asked]
    parts = ", ".join(f"{part} {images} of {patients}" for part, (images, patients) in ((part, result["parts"][part]) for part in PARTS))
    print(f"{counted(result['images'], 'image')} of {counted(result['patients'], 'patient')} ({parts})")
    print(f"{counted(len(refused), 'file')} refused, {counted(len(result['refused']) - len(refused), 'file')} left out by --skip")
    for refusal in refused[:SHOWN]:
        print(f"  {shown(refusal.source_file)}: {refusal.reason}")
    if len(refused) > SHOWN:
        print(f"  and {len(refused) - SHOWN} more (see refused.csv)")
    if n := result["large_folders"]:
        print(f"note: {n} {verb(n, 'folder has', 'folders have')} more than {LARGE_FOLDER} images and {verb(n, 'counts', 'count')} as one patient each: "
              "--patients names the patients of files")
    print(f"datasheet, with headings to fill in: {args.out / 'DATASHEET.md'}")
    if refused:
        print(f"exit code 1: {counted(len(refused), 'file')} of the run {verb(len(refused), 'is', 'are')} not in the data set")
    return 1 if refused else 0
