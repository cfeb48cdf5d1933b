"""`markerremover remove`: parse, call, print."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..headers.profile import MODES, RETAINABLE
from ..options import DEFAULT_IGNORE, DEVICES, ENGINES, PATHS, TRANSFER_SYNTAXES, RunOptions
from ..records import DEFAULT_KEEP, STYLES, Policy
from ..site_profile import read as read_site
from .arguments import parse_keep, parse_modalities, parse_shard

MOST_NAMED = 10  # greatest number of files that a warning names
TIME_LIMIT = 900.0  # default time limit per file, seconds; a radiograph takes less than one, a long cine a few minutes


def add_remove_parser(subparsers) -> None:
    """Add the subcommand."""
    default, policy = RunOptions(), Policy()
    add = (parser := subparsers.add_parser("remove", help="de-identify files and folders of radiographs")).add_argument
    add("inputs", nargs="+", type=Path, metavar="INPUT", help="file or folder; folders are searched, files recognised by content")
    add("-o", "--out", type=Path, required=True, metavar="OUT", help="folder for the results, not in or around an INPUT")
    add("--site", type=Path, metavar="FILE.toml",
        help="site profile: weights, threshold and retained laterality markers, or a folder of `improve`; other options override it")
    add("--keep", type=parse_keep, metavar="MARKERS",
        help=f"laterality markers that are retained when isolated, separated by commas, or `none` (default: {','.join(DEFAULT_KEEP)})")
    add("--weights", type=Path,
        help="an .onnx, .xml or .engine with its card beside it, or the .pt or .json of an .onnx (default: the shipped one)")
    add("--threshold", type=float, help="lowest localizer score of a box that counts, 0-1 (default: the weights' own)")
    add("--margin", type=float, default=policy.margin,
        help="margin of a removed box on each side, as a fraction of its shorter side; at least some pixels (default: %(default)s)")
    add("--style", choices=STYLES, default=policy.style,
        help="box: removed boxes are blacked out; mask: only their text is, one rectangle per word; fill: the text is filled from its surroundings, and "
        "recorded as synthetic. In case of doubt a box is blacked out (default: %(default)s)")
    add("--workers", type=int, default=None, metavar="N",
        help="processes (default: one per core, fewer with few files or little memory; 1 with --engine ray)")
    add("--engine", choices=ENGINES, default=default.engine,
        help="local: processes of this machine; ray: those of a Ray cluster (extra ray, see docs/scale.md) (default: %(default)s)")
    add("--ray-address", metavar="HOST:PORT", help="address of the cluster, or auto for the one of this machine (default: one is started for the run)")
    add("--shard", type=parse_shard, metavar="I/N", help="only the I-th of N parts of the files; several such runs may share one OUT (see docs/scale.md)")
    add("--device", choices=DEVICES, default=default.device,
        help="where the localizer runs; `markerremover info` shows which are available and what auto takes (default: %(default)s)")
    add("--batch", type=int, default=default.batch, metavar="N",
        help="pictures in one call of the network; above 1 one process has the network for all workers "
        "(default: 1 on the CPU, 8 on a GPU)")
    add("--audit", type=Path, default=default.audit, metavar="DIR", help="folder of manifest, summary and page (default: OUT-audit)")
    add("--full-pictures", type=float, default=default.full_pictures_gb, metavar="GB",
        help="greatest size of the whole films in the audit folder, which its page enlarges; files cleaned after that have none; 0: none (default: %(default)g)")
    add("--headers", choices=MODES, default=default.headers,
        help="basic: the DICOM Basic Application Level Confidentiality Profile; keep: headers still identify (default: %(default)s)")
    add("--key", type=Path, metavar="FILE", help="64 hex digits, secret: the same key gives the same pseudonyms (default: AUDIT/key, created if absent)")
    add("--retain", type=_names, default=(), metavar="WHAT", help=f"patient characteristics retained in cleaned headers, of {', '.join(RETAINABLE)}")
    add("--shift-dates", action="store_true", help="shift dates in headers by a number of days fixed for each patient instead of removing them")
    add("--paths", choices=PATHS, default=default.paths,
        help="auto: a pseudonym for folders and file names that hold a name, number or UID of a DICOM header of the run; pseudonym: for all, "
        "also of other formats; keep: none (default: %(default)s)")
    add("--time-limit", type=float, default=TIME_LIMIT, metavar="SECONDS",
        help="time limit per file, after which its process is ended and it is marked failed; 0: none (default: %(default)s)")
    add("--transfer-syntax", choices=TRANSFER_SYNTAXES, default=default.transfer_syntax,
        help="transfer syntax of written DICOM pixels: the input's, or this lossless one for all files (default: %(default)s)")
    add("--ignore", action="append", default=[], metavar="GLOB",
        help=f"file names or relative paths to leave out, listed in the summary; besides {', '.join(DEFAULT_IGNORE)}; repeatable")
    add("--second-look", action="store_true", help="search for text with RapidOCR too, before and after (extra second-look; about a second an image)")
    effort = parser.add_mutually_exclusive_group()
    effort.add_argument("--fast", dest="effort", action="store_const", const="fast", default=default.effort,
        help="find with the localizer alone, without the text detector: half the time for finding, and print in unknown styles may be missed")
    effort.add_argument("--thorough", dest="effort", action="store_const", const="thorough",
        help="show the text detector a larger picture: small print is found more often, finding takes longer")
    add("--release-held", action="store_true",
        help="also write files in whose result something still shows; they are counted, and their header is not marked as de-identified")
    add("--allow-modality", type=parse_modalities, metavar="WHAT",
        help="also clean what the weights were not validated on: modalities such as CT,MR,US; OT where nothing says what a file is; photo for colour "
        "photographs; all (default: the site's; else none, and such files are held)")
    add("--read-laterality", action="store_true",
        help="read laterality markers that are not retained too, as with --keep none: each row then has the burned-in side")
    add("--boxes", type=Path, metavar="ANNOTATIONS",
        help="folder of reviewed LabelMe files and masks (NAME.mask.png, pixels that are not 0): what was drawn is blacked out, without detection; an image "
        "without a file fails")
    add("--boxes-template", type=Path, metavar="FILE",
        help="one reviewed LabelMe file or mask for every image, or with --boxes for those without a file; an image of another size is held")
    add("--dry-run", action="store_true", help="detect and report, write no image")
    reruns = parser.add_mutually_exclusive_group()
    reruns.add_argument("--overwrite", action="store_true", help="replace results in a non-empty OUT")
    reruns.add_argument("--resume", action="store_true", help="continue an earlier run into the same OUT")
    parser.set_defaults(run=_remove)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())


def _remove(args: argparse.Namespace) -> int:
    profile = read_site(args.site) if args.site else None
    changes = {"keep": args.keep, "threshold": args.threshold, "margin": args.margin, "style": args.style}
    options = RunOptions(
        policy=replace(profile.policy() if profile else Policy(), **{k: v for k, v in changes.items() if v is not None}),
        weights=args.weights, site=profile,
        device=args.device, batch=args.batch, workers=args.workers, dry_run=args.dry_run, overwrite=args.overwrite, resume=args.resume,
        ignore=(*DEFAULT_IGNORE, *args.ignore), audit=args.audit,
        headers=args.headers, key=args.key, retain=args.retain, shift_dates=args.shift_dates,
        time_limit=args.time_limit or None, paths=args.paths,
        second_look=args.second_look, effort=args.effort, release_held=args.release_held,
        allow_modality=args.allow_modality, read_laterality=args.read_laterality, transfer_syntax=args.transfer_syntax, boxes=args.boxes, boxes_template=args.boxes_template, shard=args.shard,
        engine=args.engine, ray_address=args.ray_address, full_pictures_gb=args.full_pictures,
    )
    from ..run.batch import remove
    from ..run.progress import show_progress

    with show_progress() as progress:
        summary = remove(args.inputs, args.out, options=options, progress=progress)
    print_summary(summary)
    counts = summary["counts"]
    return 1 if counts["held"] or counts["failed"] or summary["released_held"] else 0


def print_summary(summary: dict[str, Any]) -> None:
    """Print the summary of a run; names and readings are in the audit only."""
    counts, boxes = summary["counts"], summary["boxes"]
    dry = " (dry run: no image written)" if summary["options"]["dry_run"] else ""
    print(", ".join(f"{counts[key]} {key}" for key in ("inputs", "cleaned", "unchanged", "held", "failed")) + dry)
    print(f"{boxes['removed']} boxes removed, {boxes['kept']} laterality markers retained, {len(summary['ignored'])} files ignored")
    print(f"{summary['seconds']} s, {summary['images_per_second']} images/s")
    print(f"note: {summary['headers']}")
    if summary["renamed"]:
        print(f"{summary['renamed']} paths got pseudonyms (see paths.jsonl in the audit folder)")
    if summary["released_held"]:
        print(f"warning: {summary['released_held']} files were written though something still shows in them (--release-held): check each before sharing it")
    if summary["noted"]:
        print(f"note: of {summary['noted']} files something was changed or left out that the header profile does not ask for (see notes in manifest.jsonl)")
    if summary["by_hand"]:
        print("note: only drawn boxes were removed, and the results were not checked; headers are not marked as de-identified")
    elif not summary["results_read"]:
        print("note: without an OCR engine the results were checked, but not read")
    if summary["paths_that_tell"]:
        print(f"warning: {summary['paths_that_tell']} outputs have paths that hold a name, number or UID of their own header")
    if summary["unaccounted"] and not summary["options"]["dry_run"]:
        print(f"warning: {len(summary['unaccounted'])} files in OUT are not of this run (see summary.json, unaccounted)")
    print_scope(summary)
    print(f"audit page: {Path(summary['audit']) / 'index.html'}")


def print_scope(summary: dict[str, Any]) -> None:
    """Print what the weights were not validated on, what is recognisable, and burned-in sides that their header contradicts."""
    if summary["outside_validation"]:
        print(f"warning: {summary['outside_validation']} files are not what the weights were validated on; other kinds than projection radiographs are held unless "
              "--allow-modality names them (see modality and reason in manifest.jsonl)")
    if summary["recognizable"]:
        print(f"warning: in {summary['recognizable']} files a person may be recognised by the picture itself (see recognizable in manifest.jsonl)")
    sides = summary["laterality"]
    if sides["disagree"]:
        named = ", ".join(map(ascii_path, sides["disagreeing"][:MOST_NAMED]))
        more = sides["disagree"] - min(len(sides["disagreeing"]), MOST_NAMED)
        names = ", ".join(filter(None, (named, f"{more} more" if named and more else "" if named else "see laterality in manifest.jsonl")))
        print(f"warning: {sides['disagree']} files whose burned-in side disagrees with their header: {names}")
    if sides["flipped"]:
        print(f"warning: {sides['flipped']} frontal films may be reversed left to right (see laterality in manifest.jsonl)")


def ascii_path(path: str) -> str:
    """A path with everything but printable ASCII escaped: it may not be valid Unicode, and must not steer a terminal."""
    return ascii(path)[1:-1]
