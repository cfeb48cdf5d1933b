"""`markerremover queue`: what lies in a spool, and what an operator asks of it."""

from __future__ import annotations

import argparse
import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MarkerRemoverError, UsageError
from ...node.records import ALL, SHOWN_STATES
from ...system.wording import counted, duration, verb

if TYPE_CHECKING:
    from ...node.queue import Answer, Dropped

SHOWN = 100  # deliveries that were not made


def add_queue_parser(subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "queue", help="show what lies in the spool of a node; clean, send or give up objects (extra node)",
        description="Shows what lies in the spool of `serve` or `watch`, whether that runs or not, or changes it: a node that runs acts on it within "
        "seconds, another at its next start. Objects have the numbers of log and status page.")
    add = parser.add_argument
    add("spool", nargs="?", type=Path, metavar="SPOOL", help="spool folder of the node (default: that of the configuration file)")
    add("--json", action="store_true", help="as JSON")
    group = parser.add_argument_group("what is shown")
    group.add_argument("--state", choices=SHOWN_STATES, help="also list the objects of this state")
    group.add_argument("--most", type=int, default=100, metavar="N", help="list at most so many of them, those that changed last (default: %(default)s)")
    group = parser.add_argument_group("what is changed, one of them at a time")
    one = group.add_mutually_exclusive_group()
    one.add_argument("--clean-again", nargs="+", type=_number_or_all, metavar="NUMBER",
        help="clean held and failed objects again, with the weights and settings of the node: their numbers, or all-held, or all-failed")
    one.add_argument("--send-again", nargs="+", type=_number, metavar="NUMBER",
        help="send results again that are still there, to all destinations of their objects or to that of --to, as soon as a destination that did not answer is tried again")
    one.add_argument("--give-up", nargs="+", type=_number, metavar="NUMBER",
        help="give up the delivery to the destination of --to: the object fails with the reason, and lies in the quarantine")
    one.add_argument("--drop-destination", metavar="NAME",
        help="drop all that is due to a destination: objects that others have are sent then, those that none has fail")
    group.add_argument("--to", metavar="NAME", help="destination, for --send-again and --give-up")
    group.add_argument("--also-conflicting", action="store_true",
        help="with --clean-again, also objects that have the SOP Instance UID of another one with other content: both results then go out under one UID")
    parser.set_defaults(run=_queue)


def _number(text: str, others: str = "") -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 12:
        raise argparse.ArgumentTypeError(f"{text!a}: allowed are numbers of objects{others}")
    return int(text)


def _number_or_all(text: str) -> int | str:
    return text if text in ALL else _number(text, f", {' and '.join(ALL)}")


def _queue(args: argparse.Namespace) -> int:
    if args.spool is None:
        raise UsageError("name the folder SPOOL, or spool in the table [node] of the configuration file")
    if args.to is not None and args.send_again is None and args.give_up is None:
        raise UsageError("--to goes with --send-again or --give-up")
    if args.give_up is not None and args.to is None:
        raise UsageError("--give-up needs --to with the name of a destination")
    if args.also_conflicting and args.clean_again is None:
        raise UsageError("--also-conflicting goes with --clean-again")
    if args.most < 1:
        raise UsageError(f"--most is {args.most}, needs 1 or more")
    which = args.clean_again
    if which is not None and len(which) > 1 and any(isinstance(one, str) for one in which):
        raise UsageError(f"--clean-again takes numbers, or one of {' and '.join(ALL)} alone")
    changes = any(one is not None for one in (which, args.send_again, args.give_up, args.drop_destination))
    if changes and args.state is not None:
        raise UsageError("--state shows objects, and goes with no change of them")
    try:
        return _change(args) if changes else _show(args)
    except sqlite3.Error as error:
        raise MarkerRemoverError(f"the index of the spool cannot be read or written ({type(error).__name__}: {error})") from None


def _change(args: argparse.Namespace) -> int:
    from ...node.queue import Queue
    from ..output.outcomes import shown

    with Queue(args.spool) as queue:
        if args.drop_destination is not None:
            return _tell_dropped(queue.drop_destination(args.drop_destination), args)
        if args.clean_again is not None:
            first = args.clean_again[0]
            which = first if isinstance(first, str) else args.clean_again
            return _tell(queue.clean_again(which, also_conflicting=args.also_conflicting), "will be cleaned again", args)
        if args.send_again is not None:
            return _tell(queue.send_again(args.send_again, args.to or ""), "will be sent again", args)
        return _tell(queue.give_up(args.give_up, args.to), f"will not go to {shown(args.to)}", args)


def _tell(answer: Answer, what: str, args: argparse.Namespace) -> int:
    if args.json:
        print(json.dumps({"done": answer.done, "left": [{"number": number, "reason": reason} for number, reason in answer.left]}, indent=1))
    else:
        print(f"{counted(len(answer.done), 'object')} {what}")
        for number, reason in answer.left:
            print(f"left as it is: object {number}: {reason}")
    return 1 if answer.left else 0


def _tell_dropped(dropped: Dropped, args: argparse.Namespace) -> int:
    from ..output.outcomes import shown

    if args.json:
        print(json.dumps(dropped._asdict(), indent=1))
        return 0
    count = sum(dropped)
    print(f"{counted(count, 'delivery', 'deliveries')} to {shown(args.drop_destination)} {verb(count, 'was', 'were')} dropped")
    if dropped.sent:
        print(f"{counted(dropped.sent, 'object')} {verb(dropped.sent, 'is', 'are')} sent: all other destinations have {verb(dropped.sent, 'it', 'them')}")
    if dropped.waiting:
        print(f"{counted(dropped.waiting, 'object')} {verb(dropped.waiting, 'waits', 'wait')} for other destinations")
    if dropped.failed:
        it = verb(dropped.failed, "it", "them")
        print(f"{counted(dropped.failed, 'object')} failed, since no destination has {it} or a delivery was given up: --clean-again all-failed makes "
              f"{it} due to the destinations that the node has by then")
    return 0


def _show(args: argparse.Namespace) -> int:
    from ...node.index import Index

    index = Index(args.spool, read_only=True)
    try:
        found = _found(index, args.state, args.most)
    finally:
        index.close()
    for line in [json.dumps(found, indent=1)] if args.json else _lines(found, args.state):
        print(line)
    return 0


def _found(index: Any, state: str | None, most: int) -> dict[str, Any]:
    """What is shown."""
    from ...node import queue

    counts, now = index.counts(), time.time()
    found = {
        "counts": {**asdict(counts), "reconciles": counts.reconciles}, "destinations": [asdict(one) for one in index.destinations()],
        "undelivered": [one._asdict() for one in queue.undelivered(index, SHOWN)],
    }
    if state is not None:
        found["objects"] = [
            {"number": one.number, "state": one.stage or one.state, "age_s": max(0.0, now - one.received_at), "since_s": max(0.0, now - one.changed_at),
             "origin": one.origin, "attempts": one.attempts, "in_quarantine": one.in_quarantine, "reason": one.reason}
            for one in queue.objects_of(index, state, most)]
    return found


def _lines(found: dict[str, Any], state: str | None) -> Iterator[str]:
    from ..output.outcomes import shown

    counts = found["counts"]
    yield f"{counts['accepted']} accepted: {', '.join(f'{counts[name]} {name}' for name in SHOWN_STATES)}, {counts['forgotten']} forgotten after they were sent"
    if not counts["reconciles"]:
        yield "THE NUMBERS DO NOT ADD UP"
    for one in found["destinations"]:
        yield f"destination {shown(one['name'])}: {one['pending']} wait, {one['sent']} sent" + (
            f"; the oldest for {duration(one['oldest_s'])}, next attempt in {duration(one['next_attempt_s'])}" if one["pending"] else "") + (
            f"; last error: {shown(one['last_error'])}" if one["last_error"] else "")
    for one in found["undelivered"]:
        yield f"not delivered: object {one['number']} to {shown(one['destination'])}, {counted(one['attempts'], 'attempt')}: {shown(one['error'])}"
    if state is None:
        return
    for one in found["objects"]:
        yield f"{one['state']}: object {one['number']}, received {duration(one['age_s'])} ago" + (f": {shown(one['reason'])}" if one["reason"] else "")
    if rest := counts[state] - len(found["objects"]):
        yield f"and {rest} more: --most N lists more"
