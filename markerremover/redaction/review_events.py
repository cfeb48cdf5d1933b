"""The events of a review's log: their schema, and the reading of a log. Invalid lines are reported with their number.

    draw    an annotation that was missed: frame, xyxy, kind      erase   withdraws a drawn box: of
    retain  a laterality marker that was missed: frame, xyxy; retained if the second pass reads it as one, else removed
    set     a box of the run is to be kept or removed, or has another kind than the run assigned: frame, xyxy, to, kind, machine
            (the run's action)
    accept  the file is correct, with these corrections            release the same, for a file that was held
    undo    withdraws any other event: of

Every event holds who decided, when, on which file (`sha256_in`) and result (`sha256_out`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..records import LATERALITY, MARKER
from ..system import journal

MOST_EVENTS = 2_000_000
MOST_LINE = 1 << 16  # greatest length of a line, bytes
GREATEST = (1 << 31) - 1  # greatest value of any number
DRAWING = ("draw", "retain")  # events that draw a box
KINDS, ACTIONS = (MARKER, LATERALITY, "none"), ("keep", "remove")


def _is_integer(least: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= GREATEST  # bool is a subclass of int and is excluded


def _is_text(most: int, least: int = 0) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and least <= len(value) <= most


def _is_one_of(*allowed: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in allowed


def _is_box(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 4 and all(map(_is_integer(0), value)) and value[0] < value[2] and value[1] < value[3]


#: Field -> (test of its value, description of the allowed values).
FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "n": (_is_integer(1), f"a whole number from 1 to {GREATEST}"),
    "file": (_is_text(8192, 1), "a path"),
    "who": (_is_text(200), "a name"),
    "time": (_is_text(64), "a time"),
    "sha256_in": (_is_text(64), "a hash"),
    "sha256_out": (_is_text(64), "a hash, or empty"),
    "frame": (_is_integer(0), "a whole number from 0"),
    "xyxy": (_is_box, f"four whole numbers from 0 to {GREATEST}, the first two smaller than the last two"),
    "kind": (_is_one_of(*KINDS), " or ".join(KINDS)),
    "to": (_is_one_of(*ACTIONS), " or ".join(ACTIONS)),
    "machine": (_is_one_of(*ACTIONS), " or ".join(ACTIONS)),
    "of": (_is_integer(1), "the number of an event"),
}
COMMON_FIELDS = frozenset({"event", "n", "file", "who", "time", "sha256_in", "sha256_out"})
#: Event -> fields besides `COMMON_FIELDS`.
SCHEMA: dict[str, frozenset[str]] = {
    "draw": frozenset({"frame", "xyxy", "kind"}), "set": frozenset({"frame", "xyxy", "kind", "to", "machine"}), "erase": frozenset({"of"}),
    "retain": frozenset({"frame", "xyxy"}), "accept": frozenset(), "release": frozenset(), "undo": frozenset({"of"}),
}
ALL_FIELDS: dict[str, frozenset[str]] = {event: COMMON_FIELDS | more for event, more in SCHEMA.items()}


def problem(event: Any) -> str:
    """The error in a single event, "" if there is none. The message holds no value of the event, which may be a name."""
    if not isinstance(event, dict):
        return "is no JSON object"
    kind = event.get("event")
    if not isinstance(kind, str) or kind not in SCHEMA:
        return f"event: must be {', '.join(SCHEMA)}"
    if event.keys() != ALL_FIELDS[kind]:
        missing, extra = sorted(ALL_FIELDS[kind] - event.keys()), len(event.keys() - ALL_FIELDS[kind])
        return f"{kind}: has no {missing[0]}" if missing else f"{kind}: has {extra} fields that it must not have"
    for name in event:
        if name != "event" and not FIELDS[name][0](event[name]):
            return f"{name}: must be {FIELDS[name][1]}"
    return ""


class Order:
    """References between events: each has a unique number, and one that withdraws another follows it and belongs to the same file."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[str, str]] = {}

    def problem(self, event: dict[str, Any]) -> str:
        """The error in the next event, "" if there is none; the event is then recorded.

        Args:
            event: one without `problem`.
        """
        kind, number, file = event["event"], event["n"], event["file"]
        if number in self._seen:
            return f"n: {number} is the number of an event before"
        if kind in ("undo", "erase"):
            earlier_event, earlier_file = self._seen.get(event["of"], ("", ""))
            if earlier_file != file or earlier_event == "undo" or kind == "erase" and earlier_event not in DRAWING:
                return f"of: {event['of']} is no event before it that {kind} could take back"
        self._seen[number] = kind, file
        return ""


def _reject_constant(name: str) -> Any:
    raise ValueError(name)


_DECODER = json.JSONDecoder(parse_constant=_reject_constant)  # neither NaN nor Infinity


def read(path: Path) -> list[dict[str, Any]]:
    """The events of a log in order, [] where there is no log. A last line that a crash cut short is omitted.

    Raises:
        UsageError: another line is damaged or is not a valid event, so that its meaning is not known; or the log is not a regular file,
            or has more than `MOST_EVENTS` events.
    """
    events: list[dict[str, Any]] = []
    order = Order()
    lines = journal.lines(path)
    if len(lines) > MOST_EVENTS:
        raise UsageError(f"{path}: has {len(lines)} events, at most {MOST_EVENTS} are read")
    for number, line in enumerate(lines, 1):
        try:
            event = {} if len(line) > MOST_LINE else _DECODER.decode(line.decode("utf-8"))
            error = f"has more than {MOST_LINE} bytes" if len(line) > MOST_LINE else problem(event) or order.problem(event)
        except (ValueError, RecursionError):
            error = "is no JSON object"
        if error:
            raise UsageError(f"{path}, line {number}: {error}; it is no event of a review: mend or move the file, nothing is guessed")
        events.append(event)
    return events
