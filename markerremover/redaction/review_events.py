"""The events of a review's log: what each of them may hold, and how a log is read. Whatever else it holds is told with its line.

    draw    a marking that was missed: frame, xyxy, kind          erase   takes a drawn one back: of
    set     a box of the run is to be kept or removed, or is something else than the run took it for: frame, xyxy, to, kind, machine
            (what the run did)
    accept  the file is right, with these corrections              release the same, of a file that was held
    undo    takes any other event back: of

All of them say who decided, when, on which file (`sha256_in`) and result (`sha256_out`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..system import journal

MOST_EVENTS = 2_000_000
MOST_LINE = 1 << 16  # bytes of a line
GREATEST = (1 << 31) - 1  # of any number
KINDS, ACTIONS = ("marker", "laterality", "none"), ("keep", "remove")


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= GREATEST  # True is an int, but no number here


def _text(most: int, least: int = 0) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and least <= len(value) <= most


def _one_of(*allowed: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in allowed


def _box(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 4 and all(map(_whole(0), value)) and value[0] < value[2] and value[1] < value[3]


#: Field -> (what it must be, in words).
FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "n": (_whole(1), f"a whole number from 1 to {GREATEST}"),
    "file": (_text(8192, 1), "a path"),
    "who": (_text(200), "a name"),
    "time": (_text(64), "a time"),
    "sha256_in": (_text(64), "a hash"),
    "sha256_out": (_text(64), "a hash, or empty"),
    "frame": (_whole(0), "a whole number from 0"),
    "xyxy": (_box, f"four whole numbers from 0 to {GREATEST}, the first two smaller than the last two"),
    "kind": (_one_of(*KINDS), " or ".join(KINDS)),
    "to": (_one_of(*ACTIONS), " or ".join(ACTIONS)),
    "machine": (_one_of(*ACTIONS), " or ".join(ACTIONS)),
    "of": (_whole(1), "the number of an event"),
}
ALWAYS = frozenset({"event", "n", "file", "who", "time", "sha256_in", "sha256_out"})
#: Event -> what it holds besides.
SCHEMA: dict[str, frozenset[str]] = {
    "draw": frozenset({"frame", "xyxy", "kind"}), "set": frozenset({"frame", "xyxy", "kind", "to", "machine"}), "erase": frozenset({"of"}),
    "accept": frozenset(), "release": frozenset(), "undo": frozenset({"of"}),
}
WHOLE: dict[str, frozenset[str]] = {event: ALWAYS | more for event, more in SCHEMA.items()}


def problem(event: Any) -> str:
    """What is wrong with one event taken for itself, "" if nothing is. Says nothing of what it holds: that may be a name."""
    if not isinstance(event, dict):
        return "is no JSON object"
    kind = event.get("event")
    if not isinstance(kind, str) or kind not in SCHEMA:
        return f"event: must be {', '.join(SCHEMA)}"
    if event.keys() != WHOLE[kind]:
        missing, more = sorted(WHOLE[kind] - event.keys()), len(event.keys() - WHOLE[kind])
        return f"{kind}: has no {missing[0]}" if missing else f"{kind}: has {more} fields that it must not have"
    for name in event:
        if name != "event" and not FIELDS[name][0](event[name]):
            return f"{name}: must be {FIELDS[name][1]}"
    return ""


class Order:
    """What events say of each other: each has a number of its own, and one that takes another back comes after it and is of its file."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[str, str]] = {}

    def problem(self, event: dict[str, Any]) -> str:
        """What is wrong with the next event, "" if nothing is; it then counts as seen."""
        kind, number, file = event["event"], event["n"], event["file"]
        if number in self._seen:
            return f"n: {number} is the number of an event before"
        if kind in ("undo", "erase"):
            before, of = self._seen.get(event["of"], ("", ""))
            if of != file or before == "undo" or kind == "erase" and before != "draw":
                return f"of: {event['of']} is no event before it that {kind} could take back"
        self._seen[number] = kind, file
        return ""


def _no_number(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_no_number)  # neither NaN nor Infinity


def read(path: Path) -> list[dict[str, Any]]:
    """The events of a log in order, [] where there is none. A last line that a crash cut short is left out.

    Raises:
        UsageError: another line is damaged or says what no event can: what was meant is then not known. Or the log is no regular file.
    """
    events, order = [], Order()
    lines = journal.lines(path)
    if len(lines) > MOST_EVENTS:
        raise UsageError(f"{path}: has {len(lines)} events, at most {MOST_EVENTS} are read")
    for number, line in enumerate(lines, 1):
        try:
            wrong = f"has more than {MOST_LINE} bytes" if len(line) > MOST_LINE else ""
            event = None if wrong else _DECODER.decode(line.decode("utf-8"))
            wrong = wrong or problem(event) or order.problem(event)
        except (ValueError, RecursionError):
            wrong = "is no JSON object"
        if wrong:
            raise UsageError(f"{path}, line {number}: {wrong}; it is no event of a review: mend or move the file, nothing is guessed")
        events.append(event)
    return events
