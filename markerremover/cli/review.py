"""`markerremover review` and `markerremover apply`: parse, call, print."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..system.wording import counted, verb

SHOWN = 20  # highest number of files that are listed


def add_review_parsers(subparsers) -> None:
    """Add both subcommands."""
    parser = subparsers.add_parser(
        "review", help="check the results of a run in a browser and correct them (extra `review`)",
        description="Serves a page on this machine only, and opens it. Every decision is saved at once in AUDIT/review/; `markerremover "
        "apply AUDIT` applies them.",
    )
    add = parser.add_argument
    add("audit", type=Path, metavar="AUDIT", help="audit folder of a run (OUT-audit)")
    add("--name", metavar="WHO", help="your name or initials, saved with every decision (default: the login name)")
    add("--sample", type=int, metavar="N",
        help="check N results drawn at random; at the end state an upper bound of the share of wrong results")
    add("--seed", type=int, default=0, help="seed of the random sample (default: %(default)s)")
    add("--port", type=int, default=0, help="port to listen on (default: any free one)")
    add("--no-open", action="store_true", help="print the address, open no browser")
    parser.set_defaults(run=_review)
    parser = subparsers.add_parser("apply", help="clean the files again that were corrected in a review")
    parser.add_argument("audit", type=Path, metavar="AUDIT", help="audit folder of a run (OUT-audit)")
    parser.add_argument("--every-label", action="store_true",
        help="write LabelMe files (AUDIT/review/labels, for `finetune`) also of files without corrections")
    parser.set_defaults(run=_apply)


def _review(args: argparse.Namespace) -> int:
    import gc
    import getpass
    from importlib import util

    from ..errors import UsageError
    from ..review.session import Session

    missing = [name for name in ("starlette", "uvicorn") if util.find_spec(name) is None]
    if missing:
        raise UsageError(f"{' and '.join(missing)} not installed: the extra `review` has them (pip install 'markerremover[review]')")
    from ..review.gate import Gate
    from ..review.server import serve

    gc.disable()  # the collector would walk over ten thousand rows repeatedly while they are read, a third of the time
    session = Session(args.audit, args.name or getpass.getuser(), sample=args.sample, seed=args.seed)
    _say_unknown(session.unknown())
    gc.freeze()  # nor later, between a key press and the next picture
    gc.enable()
    try:
        serve(session, Gate(), port=args.port, ready=lambda address: _ready(address, None if args.no_open else session.door()))
        progress = session.progress()
    finally:
        session.door().unlink(missing_ok=True)
        session.close()
    print(f"{progress['done']} of {counted(progress['of'], 'file')} looked at, {progress['corrected']} of them corrected")
    if progress["again"]:
        again = verb(progress["again"], "file was redone since its review: check it", "files were redone since their review: check them")
        print(f"{progress['again']} {again} again")
    if progress["statement"]:
        print(f"{progress['statement']}; statement: {session.statement_path()}")
    if progress["waiting"]:
        waiting = verb(progress["waiting"], "file waits for its", "files wait for their")
        print(f"{progress['waiting']} {waiting} corrections: markerremover apply {args.audit}")
    return 0


def _ready(address: str, door: Path | None) -> None:
    """Print the address and open it, if `door` is given, through that file, since all users can read a program's arguments."""
    import webbrowser

    from ..review.server import onward
    from ..system.files import write_private

    print(f"review page, for one browser on this machine: {address}", flush=True)
    print("Ctrl+C ends; every decision is saved at once", flush=True)
    if door:
        write_private(door, onward(address))
        webbrowser.open(door.as_uri())


def _say_unknown(files: list[str]) -> None:
    """List files with decisions that the run does not have."""
    if files:
        print(f"the log of the review has decisions on {counted(len(files), 'file')} that the run does not have; they have no effect")
    for relative in files[:SHOWN]:
        print(f"not in the manifest: {relative!a}")
    if len(files) > SHOWN:
        print(f"... and {len(files) - SHOWN} more")


def _apply(args: argparse.Namespace) -> int:
    from ..review.apply import apply
    from ..run.progress import show_progress
    from .output import outcomes

    with show_progress() as progress:
        result = apply(args.audit, every_label=args.every_label, progress=progress)
    removed, left = counted(len(result["withdrawn"]), "result"), len(result["left"])
    print(f"{counted(result['redone'], 'file')} redone, {removed} removed, {left} left {verb(left, 'as it was', 'as they were')}")
    for relative in result["withdrawn"]:
        print(f"removed, since a person found an annotation in it and it could not be redone: {outcomes.shown(relative)}")
    for relative, reason in result["left"]:
        print(f"left as it was: {outcomes.shown(relative)}: {outcomes.shown(reason)}")
    for line in outcomes.trouble_lines(args.audit):
        print(line)
    _say_unknown(result["unknown"])
    for name in result["statements"]:
        print(f"{args.audit / 'review' / name}: removed, since results of its sample were redone; `review --sample` writes it again")
    if result["labels"]:
        print(f"{counted(result['labels'], 'LabelMe file')} for `finetune`: {args.audit / 'review' / 'labels'}")
    others = [f"{removed} {verb(len(result['withdrawn']), 'was', 'were')} removed"] if result["withdrawn"] else []
    others += [f"{counted(left, 'file')} {verb(left, 'was left as it was', 'were left as they were')}"] if left else []
    if reason := outcomes.exit_line(result["summary"], others):
        print(reason)
    return 1 if reason else 0
