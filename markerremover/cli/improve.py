"""`markerremover improve`: parse, call, print."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .finetune import add_training_options, recipe_of

NOT_ADOPTED = 1


def add_improve_parser(subparsers) -> None:
    """Add the subcommand; it sets `run` to a function of the parsed arguments that returns an exit code."""
    parser = subparsers.add_parser(
        "improve", help="learn from corrections repeatedly, and adopt weights that are not worse (needs the extra `train`)",
        description="Gathers what people corrected, fine-tunes on all of it, compares old and new weights on a fixed validation set that is "
        "never trained on, and adopts the new ones only if no fewer annotations are removed; docs/improve.md has the whole rule. Exit codes: 0 "
        "adopted, or nothing new; 1 not adopted; 2 usage error; 3 with --due, it is time to learn.",
    )
    add = parser.add_argument
    add("site", nargs="?", type=Path, metavar="SITE", help="folder of the site (default: site in [loop] of the configuration file), created by the first round; `remove --site SITE` takes the weights in use")
    add("audits", nargs="*", type=Path, metavar="AUDIT",
        help="audits whose review was applied, or LabelMe folders (images/ and annotations/); none: train on what was gathered before")
    add("--validation", type=Path, metavar="FOLDER",
        help="LabelMe folder of the validation set, once; default: a third of the patients of the first gathering that has enough")
    add("--keep", metavar="MARKERS",
        help="first round: laterality markers that are retained, such as D,I or X=left,Y=right, or `none` (default: L, R and their words)")
    add("--weights", type=Path, metavar="FILE.pt",
        help="first round: checkpoint to start from, its .onnx and card beside it (default: weights/detector.pt of a checkout)")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--dry-run", action="store_true", help="report what would be gathered, trained and compared, and how long it takes")
    modes.add_argument("--history", action="store_true", help="print all generations with their results")
    modes.add_argument("--due", action="store_true",
        help="only say whether it is time to learn: whether the share of held files, or of corrections in review, in the AUDITs (default: in the node's spool "
        "of the configuration file) is past the thresholds in [loop]; the exit code is then 3")
    modes.add_argument("--adopt", type=int, metavar="N", help="put generation N, adopted earlier, in use again")
    add_training_options(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    if args.site is None:
        raise UsageError("name the folder of the site, or site in the table [loop] of the configuration file")
    if args.due:
        return _due(args)
    from ..improve import site_folder, tables

    if args.history or args.adopt is not None:
        return _look_back(args)
    try:
        row = _improve(args)
    except KeyboardInterrupt:
        print("markerremover: interrupted; the weights in use are unchanged, the same command continues", file=sys.stderr)
        return 130
    if row is not None:
        print("\n".join(tables.result(row)))
    if not args.dry_run:
        print(tables.where(site_folder.open_folder(args.site)))
    return NOT_ADOPTED if row is not None and not row["adopted"] else 0


def _improve(args: argparse.Namespace) -> dict[str, Any] | None:
    import functools

    from ..improve.rounds import ImproveOptions, improve
    from ..site_profile import parse_markers

    keep = parse_markers(args.keep) if args.keep is not None else None
    if keep is None and args.configuration and "keep" in args.configuration.given:
        keep = dict(args.configuration.site.keep)
    options = ImproveOptions(
        validation=args.validation, weights=args.weights, keep=keep, recipe=recipe_of(args),
        seed=args.seed, device=args.device, loader_workers=args.loader_workers, dry_run=args.dry_run,
    )
    return improve(args.site, args.audits, options=options, say=functools.partial(print, flush=True))


def _due(args: argparse.Namespace) -> int:
    """Say whether it is time to learn."""
    from dataclasses import replace

    from ..configuration.reading import Configuration
    from ..improve import due
    from ..node.index import Index

    configuration = args.configuration or Configuration()
    loop, audits, held = replace(configuration.loop, site=args.site), args.audits, None
    if not audits:
        spool = configuration.node.spool
        if spool is None:
            raise UsageError("--due needs the AUDITs of runs, or a configuration file with spool in the table [node]")
        index = Index(spool, read_only=True)
        audits, held = [spool / "out-audit"], index.latest_cleaned
    finding = due.finding(audits, loop, held)
    print("\n".join(finding.lines(loop)))
    reasons = finding.reasons(loop)
    print("time to learn" if reasons else "not yet time to learn")
    return due.DUE if reasons else 0


def _look_back(args: argparse.Namespace) -> int:
    from .. import site_profile
    from ..improve import site_folder, tables
    from ..run import shards

    if args.audits or args.validation or args.keep is not None or args.weights:
        raise UsageError("--history and --adopt take nothing else")
    folder = site_folder.open_folder(args.site)
    if not folder.begun:
        raise UsageError(f"{args.site}: there is no such site folder yet")
    if args.adopt is not None:
        with shards.exclusive(folder.path):
            row = site_folder.adopt_by_hand(folder, args.adopt)
        print(f"generation {row['generation']} is in use")
        return 0
    weights = site_profile.read(folder.profile).weights
    print("\n".join(tables.history(site_folder.rows(folder), "" if weights is None else site_folder.named(folder, weights))))
    return 0
