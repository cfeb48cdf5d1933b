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
from .arguments import parse_keep, parse_shard

TIME_LIMIT = 900.0  # seconds; a radiograph takes less than one, a long cine a few minutes


def add_remove_parser(subparsers) -> None:
    """Add the subcommand."""
    default, policy = RunOptions(), Policy()
    add = (parser := subparsers.add_parser("remove", help="de-identify files and folders of radiographs")).add_argument
    add("inputs", nargs="+", type=Path, metavar="INPUT", help="file or folder; folders are searched, files recognised by content")
    add("-o", "--out", type=Path, required=True, metavar="OUT", help="folder for the results, not in or around an INPUT")
    add("--site", type=Path, metavar="FILE.toml",
        help="site profile: weights, threshold and retained laterality markers, or a folder of `improve`; other options win over it")
    add("--keep", type=parse_keep, metavar="SIGNS",
        help=f"signs that stay when isolated, separated by commas, or `none` (default: {','.join(DEFAULT_KEEP)})")
    add("--weights", type=Path,
        help="an .onnx, .xml or .engine with its card beside it, or the .pt or .json of an .onnx (default: the shipped one)")
    add("--threshold", type=float, help="localizer score from which a box counts, 0-1 (default: the weights' own)")
    add("--margin", type=float, default=policy.margin,
        help="growth of a removed box on each side, in its shorter sides; some pixels at least (default: %(default)s)")
    add("--style", choices=STYLES, default=policy.style,
        help="box: removed boxes are blacked out; mask: only their print does, a rectangle a word; fill: that is made up from what is around it, and "
        "marked as synthetic. Where in doubt a box is blacked out (default: %(default)s)")
    add("--workers", type=int, default=None, metavar="N",
        help="processes (default: one a core, fewer where there are few files or little memory; 1 with --engine ray)")
    add("--engine", choices=ENGINES, default=default.engine,
        help="local: processes of this machine; ray: those of a Ray cluster (extra ray, see docs/scale.md) (default: %(default)s)")
    add("--ray-address", metavar="HOST:PORT", help="of the cluster, or auto for the one of this machine (default: one is started for the run)")
    add("--shard", type=parse_shard, metavar="I/N", help="only the I-th of N parts of the files; several such runs may share one OUT (see docs/scale.md)")
    add("--device", choices=DEVICES, default=default.device,
        help="where the localizer runs; `markerremover info` shows what is there and what auto takes (default: %(default)s)")
    add("--batch", type=int, default=default.batch, metavar="N",
        help="pictures that go through the network together; above 1 one process has the network and all workers ask it "
        "(default: 1 on the CPU, 8 on a GPU)")
    add("--audit", type=Path, default=default.audit, metavar="DIR", help="folder of manifest, summary and page (default: OUT-audit)")
    add("--headers", choices=MODES, default=default.headers,
        help="basic: the DICOM Basic Application Level Confidentiality Profile; keep: headers still identify (default: %(default)s)")
    add("--key", type=Path, metavar="FILE", help="64 hex digits, secret: the same key gives the same pseudonyms (default: AUDIT/key, made if absent)")
    add("--retain", type=_names, default=(), metavar="WHAT", help=f"of {', '.join(RETAINABLE)}: what stays in cleaned headers")
    add("--shift-dates", action="store_true", help="move dates in headers by days of the patient's own instead of taking them out")
    add("--paths", choices=PATHS, default=default.paths,
        help="auto: a pseudonym for folders and file names that hold a name, number or UID of a DICOM header of the run; pseudonym: for all, "
        "also of other formats; keep: none (default: %(default)s)")
    add("--time-limit", type=float, default=TIME_LIMIT, metavar="SECONDS",
        help="after which a file's process is ended and the file failed; 0: none, and with one worker no process apart (default: %(default)s)")
    add("--transfer-syntax", choices=TRANSFER_SYNTAXES, default=default.transfer_syntax,
        help="how DICOM pixels are written: as the input's, or all losslessly in this one (default: %(default)s)")
    add("--ignore", action="append", default=[], metavar="GLOB",
        help=f"file names or relative paths to leave out, listed in the summary; besides {', '.join(DEFAULT_IGNORE)}; repeatable")
    add("--second-look", action="store_true", help="let RapidOCR look for text too, before and after (extra second-look; about a second an image)")
    add("--release-held", action="store_true",
        help="write files too in which the last look still finds something; they are counted, and their header is not marked as de-identified")
    add("--boxes", type=Path, metavar="ANNOTATIONS",
        help="folder of reviewed LabelMe files: what was drawn is blacked out, nothing is looked for; an image without one fails")
    add("--dry-run", action="store_true", help="look and report, write no image")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--overwrite", action="store_true", help="replace results in a non-empty OUT")
    again.add_argument("--resume", action="store_true", help="carry on with an earlier run into the same OUT")
    parser.set_defaults(run=_remove)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())


def _remove(args: argparse.Namespace) -> int:
    profile = read_site(args.site) if args.site else None
    given = {"keep": args.keep, "threshold": args.threshold, "margin": args.margin, "style": args.style}
    options = RunOptions(
        policy=replace(profile.policy() if profile else Policy(), **{k: v for k, v in given.items() if v is not None}),
        weights=args.weights, site=profile,
        device=args.device, batch=args.batch, workers=args.workers, dry_run=args.dry_run, overwrite=args.overwrite, resume=args.resume,
        ignore=(*DEFAULT_IGNORE, *args.ignore), audit=args.audit,
        headers=args.headers, key=args.key, retain=args.retain, shift_dates=args.shift_dates,
        time_limit=args.time_limit or None, paths=args.paths,
        second_look=args.second_look, release_held=args.release_held,
        transfer_syntax=args.transfer_syntax, boxes=args.boxes, shard=args.shard,
        engine=args.engine, ray_address=args.ray_address,
    )
    from ..run.batch import remove
    from ..run.progress import show_progress

    with show_progress() as progress:
        summary = remove(args.inputs, args.out, options=options, progress=progress)
    print_summary(summary)
    counts = summary["counts"]
    return 1 if counts["held"] or counts["failed"] or summary["released_held"] else 0


def print_summary(summary: dict[str, Any]) -> None:
    """The run in a few lines; names and readings stay in the audit."""
    counts, boxes = summary["counts"], summary["boxes"]
    dry = " (dry run: no image written)" if summary["options"]["dry_run"] else ""
    print(", ".join(f"{counts[key]} {key}" for key in ("inputs", "cleaned", "unchanged", "held", "failed")) + dry)
    print(f"{boxes['removed']} boxes removed, {boxes['kept']} laterality markers retained, {len(summary['ignored'])} files ignored")
    print(f"{summary['seconds']} s, {summary['images_per_second']} images/s")
    print(f"note: {summary['headers']}")
    if summary["renamed"]:
        print(f"{summary['renamed']} paths got pseudonyms (see paths.jsonl in the audit folder)")
    if summary["released_held"]:
        print(f"warning: {summary['released_held']} files were written though something still shows in them (--release-held): look at each before sharing")
    if summary["noted"]:
        print(f"note: of {summary['noted']} files something was changed or left out besides what the header profile asks (see notes in manifest.jsonl)")
    if summary["by_hand"]:
        print("note: only what was drawn was removed, and nothing looked at the results; headers are not marked as de-identified")
    elif not summary["results_read"]:
        print("note: without an OCR engine the results were looked at, but not read")
    if summary["paths_that_tell"]:
        print(f"warning: {summary['paths_that_tell']} outputs lie under paths that hold a name, number or UID of their own header")
    if summary["unaccounted"] and not summary["options"]["dry_run"]:
        print(f"warning: {len(summary['unaccounted'])} files in OUT are not of this run (see summary.json, unaccounted)")
    print(f"audit page: {Path(summary['audit']) / 'index.html'}")
