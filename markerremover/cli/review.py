"""`markerremover review` and `markerremover apply`: parse, call, print."""

from __future__ import annotations

import argparse
from pathlib import Path

SHOWN = 20  # files that are named one by one


def add_review_parsers(subparsers) -> None:
    """Add both subcommands."""
    parser = subparsers.add_parser(
        "review", help="look at the results of a run in a browser and correct them (extra `review`)",
        description="Serves a page on this machine only, and opens it. Every decision is saved at once in AUDIT/review/; `markerremover "
        "apply AUDIT` carries them out.",
    )
    add = parser.add_argument
    add("audit", type=Path, metavar="AUDIT", help="audit folder of a run (OUT-audit)")
    add("--name", metavar="WHO", help="your name or initials, saved with every decision (default: the login name)")
    add("--sample", type=int, metavar="N",
        help="look at N results drawn at random, and at the end state how often results are wrong at most")
    add("--seed", type=int, default=0, help="of the random sample (default: %(default)s)")
    add("--port", type=int, default=0, help="to listen on (default: any that is free)")
    add("--no-open", action="store_true", help="print the address, open no browser")
    parser.set_defaults(run=_review)
    parser = subparsers.add_parser("apply", help="clean the files again that were corrected in a review")
    parser.add_argument("audit", type=Path, metavar="AUDIT", help="audit folder of a run (OUT-audit)")
    parser.add_argument("--every-label", action="store_true",
        help="write LabelMe files (AUDIT/review/labels, for `finetune`) also of files that were right")
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

    gc.disable()  # ten thousand rows are walked over again and again while they are read, a third of the time
    session = Session(args.audit, args.name or getpass.getuser(), sample=args.sample, seed=args.seed)
    _say_unknown(session.unknown())
    gc.freeze()  # nor are they later, between a key and the next picture
    gc.enable()
    try:
        serve(session, Gate(), port=args.port, ready=lambda address: _ready(address, None if args.no_open else session.door()))
        done = session.progress()
    finally:
        session.door().unlink(missing_ok=True)
        session.close()
    print(f"{done['done']} of {done['of']} files looked at, {done['corrected']} of them corrected")
    if done["again"]:
        print(f"{done['again']} files were redone after they had been looked at: look at them again")
    if done["statement"]:
        print(f"{done['statement']}; statement: {session.statement_path()}")
    if done["waiting"]:
        print(f"{done['waiting']} files wait for their corrections: markerremover apply {args.audit}")
    return 0


def _ready(address: str, door: Path | None) -> None:
    """Print the address and, unless told not to, open it: through a file, for the arguments of a program are everybody's to read."""
    import webbrowser

    from ..system.files import write_private

    print(f"review page, for one browser on this machine: {address}", flush=True)
    print("Ctrl+C ends; every decision is saved at once", flush=True)
    if door:
        write_private(door, f"<!doctype html><meta http-equiv='refresh' content='0;url={address}'><title>Review</title>")
        webbrowser.open(door.as_uri())


def _say_unknown(files: list[str]) -> None:
    """Tell of which files there are decisions though the run does not have them."""
    if files:
        print(f"the log of the review speaks of {len(files)} files that the run does not have; what it says of them has no effect")
    for relative in files[:SHOWN]:
        print(f"not in the manifest: {relative!a}")
    if len(files) > SHOWN:
        print(f"... and {len(files) - SHOWN} more")


def _apply(args: argparse.Namespace) -> int:
    from ..review.apply import apply
    from ..run.progress import show_progress

    with show_progress() as progress:
        done = apply(args.audit, every_label=args.every_label, progress=progress)
    print(f"{done['redone']} files redone, {len(done['withdrawn'])} results taken away, {len(done['left'])} left as they were")
    for relative in done["withdrawn"]:
        print(f"taken away, for a person found a marking in it and it could not be redone: {relative}")
    for relative, why in done["left"]:
        print(f"left as it was: {relative}: {why}")
    _say_unknown(done["unknown"])
    for name in done["statements"]:
        print(f"{args.audit / 'review' / name}: taken away, for results of its sample were redone since; `review --sample` makes it anew")
    if done["labels"]:
        print(f"{done['labels']} LabelMe files for `finetune`: {args.audit / 'review' / 'labels'}")
    counts = done["summary"]["counts"]
    return 1 if done["withdrawn"] or done["left"] or counts["held"] or counts["failed"] or done["summary"]["released_held"] else 0
