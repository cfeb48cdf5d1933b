"""`markerremover watch`: clean what is put into a folder, for as long as it runs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from ...configuration.node_tables import Watch
from ...configuration.reading import Configuration
from ...errors import UsageError
from ...options import DEFAULT_IGNORE
from ..remove import add_finding, add_headers
from .serve import add_working, options_of, report, tell_page

RESULTS = "results"  # name of the output folder among the destinations


def add_watch_parser(subparsers) -> None:
    """Add the subcommand."""
    default = Watch()
    parser = subparsers.add_parser("watch", help="clean what is put into a folder, until it is stopped (extra node)")
    group = parser.add_argument_group("what comes in, and where results go")
    add = group.add_argument
    add("folder", nargs="?", type=Path, metavar="FOLDER", help="folder to watch, with those below it; it is only read (default: that of the configuration file)")
    add("-o", "--out", type=Path, metavar="OUT",
        help="folder for the results, with the same folders (default: the destinations of the configuration file, or FOLDER-clean)")
    add("--spool", type=Path, metavar="DIR", help="folder of what was taken, quarantine and index; it holds originals (default: FOLDER-spool)")
    add("--settle", type=float, default=default.settle_s, metavar="SECONDS",
        help="a file is taken when its size and time have not changed for this long (default: %(default)g)")
    add("--poll", type=float, default=default.poll_s, metavar="SECONDS", help="pause between two looks at the folder (default: %(default)g)")
    add("--ignore", action="append", default=[], metavar="GLOB",
        help=f"file names or relative paths to leave out, besides {', '.join(DEFAULT_IGNORE)} and names of unfinished files; repeatable")
    add_finding(parser, by_hand=False)
    add_headers(parser, key="SPOOL/out-audit/key")
    add_working(parser)
    parser.set_defaults(run=_watch)


def _watch(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from ...node import configured, service
    from ...node.records import Destination, FolderDestination, NodeSettings, check_apart
    from ...run.inputs import check_folders

    configuration = args.configuration or Configuration()
    if args.folder is None:
        raise UsageError("name the folder to watch, or folder in the table [watch] of the configuration file")
    folder = Path(os.path.abspath(args.folder))
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder to watch")
    spool = Path(os.path.abspath(args.spool or folder.with_name(f"{folder.name}-spool")))
    to: tuple[Destination, ...] = configured.destinations(configuration)
    if args.out is not None or not to:
        out = Path(os.path.abspath(args.out or folder.with_name(f"{folder.name}-clean")))
        check_folders([folder], out, out.with_name(f"{out.name}-audit"))
        to = (*to, FolderDestination(RESULTS, out))
    for one in to:
        if isinstance(one, FolderDestination):
            check_apart(spool, one.path, folder)
    check_apart(spool, folder)
    configuration = replace(configuration, watch=replace(configuration.watch, settle_s=args.settle, poll_s=args.poll))
    options = replace(options_of(args), ignore=(*DEFAULT_IGNORE, *args.ignore))
    settings = NodeSettings(spool, to, options, None, configured.limits(configuration))
    for one in to:
        if isinstance(one, FolderDestination) and one.name == RESULTS:
            one.path.mkdir(parents=True, exist_ok=True)
    return report(service.run(settings, configuration, folder=folder, ready=_ready))


def _ready(running: Any) -> None:
    print("watching", flush=True)
    tell_page(running)
