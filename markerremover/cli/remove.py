"""`markerremover remove`: parse, call, print."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..configuration.command_options import HELP
from ..errors import UsageError
from ..headers.profile import MODES, RETAINABLE
from ..keep_lists import groups
from ..options import DEFAULT_IGNORE, DEVICES, EFFORTS, ENGINES, PATHS, TIME_LIMIT, TRANSFER_SYNTAXES, RunOptions
from ..records import DEFAULT_KEEP, STATUSES, STYLES, Policy
from ..site_profile import SiteProfile
from ..system.wording import counted, verb
from .arguments import Switch, keep_items, parse_modalities, parse_shard


def add_remove_parser(subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser("remove", help="de-identify files and folders of radiographs")
    add = parser.add_argument
    add("inputs", nargs="+", type=Path, metavar="INPUT", help="file or folder; folders are searched, files recognised by content")
    add("-o", "--out", type=Path, required=True, metavar="OUT", help="folder for the results, not in or around an INPUT")
    for add_options in (add_finding, _add_release, add_headers, _add_running):
        add_options(parser)
    parser.set_defaults(run=_remove)


def add_finding(parser: argparse.ArgumentParser, *, by_hand: bool = True) -> None:
    """Options of what is found, removed and retained; those of boxes drawn by hand only where `by_hand`."""
    default, policy = RunOptions(), Policy()
    group = parser.add_argument_group("what is removed and retained")
    add = group.add_argument
    add("--config", "--site", dest="config", type=Path, metavar="FILE.toml", help=f"{HELP}. --site is its older name")
    add("--keep", type=keep_items, metavar="LIST",
        help="what is retained when nothing else stands beside it, separated by commas: laterality markers, phrases such as 'SEMI-ERECT' or '10 MIN', "
        f"groups ({', '.join(groups.shipped())}), or `none` (default: {','.join(DEFAULT_KEEP)})")
    add("--keep-groups", type=Path, metavar="FILE.toml", help="further groups for --keep, name = [phrase, ...]; phrases of a known name are added to its group")
    add("--weights", type=Path,
        help="an .onnx, .xml or .engine with its card beside it, or the .pt or .json of an .onnx (default: the shipped one)")
    add("--threshold", type=float, help="lowest localizer score of a box that counts, 0-1 (default: the weights' own)")
    add("--margin", type=float, default=policy.margin,
        help="margin of a removed box on each side, as a fraction of its shorter side; at least some pixels (default: %(default)s)")
    add("--style", choices=STYLES, default=policy.style,
        help="box: removed boxes are blacked out; mask: only their text is, one rectangle per word; fill: the text is filled from its surroundings, and "
        "recorded as synthetic. In case of doubt a box is blacked out (default: %(default)s)")
    add("--second-look", action=Switch, help="search for text with RapidOCR too, before and after (extra second-look; about a second an image)")
    effort = group.add_mutually_exclusive_group()
    effort.add_argument("--fast", dest="effort", action="store_const", const="fast", default=default.effort,
        help="find with the localizer alone, without the text detector: half the time for finding, and print in unknown styles may be missed")
    effort.add_argument("--effort", choices=EFFORTS, default=default.effort, help="the same by name (default: %(default)s)")
    effort.add_argument("--thorough", dest="effort", action="store_const", const="thorough",
        help="show the text detector a larger picture: small print is found more often, finding takes longer")
    add("--read-laterality", action=Switch,
        help="read laterality markers that are not retained too, as with --keep none: each row then has the burned-in side")
    if not by_hand:
        return
    add("--boxes", type=Path, metavar="ANNOTATIONS",
        help="folder of reviewed LabelMe files and masks (NAME.mask.png, pixels that are not 0): what was drawn is blacked out, without detection; an image "
        "without a file fails")
    add("--boxes-template", type=Path, metavar="FILE",
        help="one reviewed LabelMe file or mask for every image, or with --boxes for those without a file; an image of another size is held")


def _add_release(parser: argparse.ArgumentParser) -> None:
    """Options of which files are cleaned and written."""
    group = parser.add_argument_group("which files get an output")
    add = group.add_argument
    add("--ignore", action="append", default=[], metavar="GLOB",
        help=f"file names or relative paths to leave out, listed in the summary; besides {', '.join(DEFAULT_IGNORE)}; repeatable")
    add("--allow-modality", type=parse_modalities, metavar="WHAT",
        help="also clean what the weights were not validated on: modalities such as CT,MR,US; OT where nothing says what a file is; photo for colour "
        "photographs; all (default: the site's; else none, and such files are held)")
    add("--hold-unusable", action=Switch,
        help="write no file whose picture is blank, noise, half empty, a page of text or a photograph; without it they are only flagged in the audit")
    add("--release-held", action=Switch,
        help="also write files in whose result something still shows; they are counted, and their header is not marked as de-identified")
    add("--dry-run", action="store_true", help="detect and report, write no image")
    reruns = group.add_mutually_exclusive_group()
    reruns.add_argument("--overwrite", action="store_true", help="replace results in a non-empty OUT")
    reruns.add_argument("--resume", action="store_true", help="continue an earlier run into the same OUT")


def add_headers(parser: argparse.ArgumentParser, *, key: str = "AUDIT/key") -> None:
    """Options of what identifies beside the picture; `key` is where the key is by default."""
    default = RunOptions()
    group = parser.add_argument_group("headers, names and pixels of DICOM files")
    add = group.add_argument
    add("--headers", choices=MODES, default=default.headers,
        help="basic: the DICOM Basic Application Level Confidentiality Profile; keep: headers still identify (default: %(default)s)")
    add("--key", type=Path, metavar="FILE", help=f"64 hex digits, secret: the same key gives the same pseudonyms (default: {key}, created if absent)")
    add("--retain", type=_names, default=(), metavar="WHAT", help=f"patient characteristics retained in cleaned headers, of {', '.join(RETAINABLE)}")
    add("--shift-dates", action=Switch, help="shift dates in headers by a number of days fixed for each patient instead of removing them")
    add("--paths", choices=PATHS, default=default.paths,
        help="auto: a pseudonym for folders and file names that hold a name, number or UID of a DICOM header of the run; pseudonym: for all, "
        "also of other formats; keep: none (default: %(default)s)")
    add("--transfer-syntax", choices=TRANSFER_SYNTAXES, default=default.transfer_syntax,
        help="transfer syntax of written DICOM pixels: the input's, or this lossless one for all files (default: %(default)s)")


def _add_running(parser: argparse.ArgumentParser) -> None:
    """Options of how and where it runs, and of what the audit holds."""
    default = RunOptions()
    group = parser.add_argument_group("how it runs, and the audit")
    add = group.add_argument
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
    add("--time-limit", type=float, default=TIME_LIMIT, metavar="SECONDS",
        help="time limit per file, after which its process is ended and it is marked failed; 0: none (default: %(default)s)")
    add("--audit", type=Path, default=default.audit, metavar="DIR", help="folder of manifest, summary and page (default: OUT-audit)")
    add("--full-pictures", type=float, default=default.full_pictures_gb, metavar="GB",
        help="greatest size of the whole films in the audit folder, which its page enlarges; files cleaned after that have none; 0: none (default: %(default)g)")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())


def _keep(args: argparse.Namespace, profile: SiteProfile | None) -> tuple[str, ...] | None:
    """The keep list of the command line with its groups expanded; None if there is none.

    Raises:
        UsageError: a group or phrase is invalid, or there is a file of groups and no list.
    """
    if args.keep is None:
        if args.keep_groups is not None:
            raise UsageError("--keep-groups needs --keep: a site profile has groups of its own")
        return None
    further = [profile.groups] if profile else []
    known = groups.joined(*further, *([groups.read(args.keep_groups)] if args.keep_groups is not None else []))
    try:
        return groups.expanded(args.keep, known, strict=True)
    except UsageError as error:
        raise UsageError(f"--keep: {error}") from None


def policy_of(args: argparse.Namespace, profile: SiteProfile | None) -> Policy:
    """The policy of a site with the changes that the command line asks for.

    Raises:
        UsageError: see `_keep`, or a value is out of range.
    """
    changes = {"keep": _keep(args, profile), "threshold": args.threshold, "margin": args.margin, "style": args.style}
    return replace(profile.policy() if profile else Policy(), **{k: v for k, v in changes.items() if v is not None})


def _remove(args: argparse.Namespace) -> int:
    profile = args.configuration.site if args.configuration else None
    options = RunOptions(
        policy=policy_of(args, profile),
        weights=args.weights, site=profile,
        device=args.device, batch=args.batch, workers=args.workers, dry_run=args.dry_run, overwrite=args.overwrite, resume=args.resume,
        ignore=(*DEFAULT_IGNORE, *args.ignore), audit=args.audit,
        headers=args.headers, key=args.key, retain=args.retain, shift_dates=args.shift_dates,
        time_limit=args.time_limit or None, paths=args.paths,
        second_look=args.second_look, effort=args.effort, release_held=args.release_held, hold_unusable=args.hold_unusable,
        allow_modality=args.allow_modality, read_laterality=args.read_laterality, transfer_syntax=args.transfer_syntax,
        boxes=args.boxes, boxes_template=args.boxes_template, shard=args.shard,
        engine=args.engine, ray_address=args.ray_address, full_pictures_gb=args.full_pictures,
    )
    from ..run.batch import remove
    from ..run.progress import show_progress

    with show_progress() as progress:
        summary = remove(args.inputs, args.out, options=options, progress=progress)
    return print_summary(summary)


def print_summary(summary: dict[str, Any]) -> int:
    """Print the summary of a run; returns the exit code. Readings are in the audit only, and of paths only those of held and failed files are
    printed."""
    from .output import outcomes, scope

    counts, boxes, audit = summary["counts"], summary["boxes"], Path(summary["audit"])
    dry = " (dry run: no image written)" if summary["options"]["dry_run"] else ""
    print(f"{counted(counts['inputs'], 'input')}, " + ", ".join(f"{counts[status]} {status}" for status in STATUSES) + dry)
    one = ("laterality marker or phrase", "laterality markers and phrases") if groups.phrases_of(tuple(summary["options"]["keep"])) else ("laterality marker", "")
    removed, retained = counted(boxes["removed"], "box", "boxes"), counted(boxes["kept"], *one)
    print(f"{removed} removed, {retained} retained, {counted(len(summary['ignored']), 'file')} ignored")
    print(f"{summary['seconds']} s, {summary['images_per_second']} images/s")
    print(f"note: {summary['headers']}")
    if n := summary["renamed"]:
        print(f"{n} {verb(n, 'path got a pseudonym', 'paths got pseudonyms')} (see paths.jsonl in the audit folder)")
    if n := summary["released_held"]:
        print(f"warning: {n} {verb(n, 'file was', 'files were')} written though something still shows (--release-held): check before sharing")
    if n := summary["noted"]:
        print(f"note: of {counted(n, 'file')} something was changed or left out that the header profile does not ask for (see notes in manifest.jsonl)")
    if flagged := [f"{count} {flag}" for flag, count in summary["quality"].items() if count]:
        print(f"picture quality: {', '.join(flagged)} (see quality in manifest.jsonl)")
    if summary["by_hand"]:
        print("note: only drawn boxes were removed, and the results were not checked; headers are not marked as de-identified")
    elif not summary["results_read"]:
        print("note: without an OCR engine the results were checked, but not read")
    if n := summary["paths_that_tell"]:
        print(f"warning: {n} {verb(n, 'output has a path that holds', 'outputs have paths that hold')} a name, number or UID of the file's own header")
    if (n := len(summary["unaccounted"])) and not summary["options"]["dry_run"]:
        print(f"warning: {counted(n, 'file')} in OUT {verb(n, 'is', 'are')} not of this run (see summary.json, unaccounted)")
    for line in [*scope.scope_lines(summary), *outcomes.trouble_lines(audit)]:
        print(line)
    print(f"audit page: {audit / 'index.html'}")
    if reason := outcomes.exit_line(summary):
        print(reason)
    return 1 if reason else 0
