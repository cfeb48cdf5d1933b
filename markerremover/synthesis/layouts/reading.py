"""A layout file, TOML or JSON, checked as a whole: an error names every wrong key with what is allowed."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ...errors import UsageError
from ...system import user_text
from ..radiographs.backgrounds import BODIES
from . import records, templates
from .records import Film, Layout, Mark, Place

MARK_KEYS = tuple(f.name for f in fields(Mark) if f.name != "size_in_pixels") + ("size_px",)
FILM_KEYS = tuple(f.name for f in fields(Film))
PIXELS = (16, 10_000)  # least and greatest rows or columns of a film
SIZE_PX = (5.0, 2000.0)  # least and greatest height of capitals, pixels


def read(path: Path | str) -> Layout:
    """Read a layout file: JSON if its name ends in `.json`, else TOML. docs/how-to/synthesize.md describes its keys.

    Raises:
        UsageError: it cannot be read; or keys or values are wrong: each is named, with what is allowed.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        content = user_text.read_json(path)
    else:
        try:
            content = tomllib.loads(user_text.read(path))
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"{path}: not a TOML file ({error})") from None
    return of(content, str(path))


def of(content: Any, source: str = "layout") -> Layout:
    """A layout of the content of a file; `source` is for messages. Errors as of `read`."""
    checks = _Checks()
    if not isinstance(content, dict):
        raise UsageError(f"{source}: has to be a table of `marks`, and perhaps `film` and `texts`")
    checks.keys("", content, ("film", "texts", "marks"))
    lists = _lists(checks, content.get("texts", {}))
    film = _film(checks, content.get("film", {}))
    marks = content.get("marks")
    if not isinstance(marks, list) or not marks:
        checks.wrong("marks", marks, "one table or more, [[marks]]")
        marks = []
    built = [_mark(checks, f"marks[{i}]", i, entry, dict(lists), film) for i, entry in enumerate(marks)]
    names = [mark.name for mark in built if mark]
    for name in sorted({name for name in names if names.count(name) > 1}):
        checks.problems.append(f"marks: two are named {name!r}, allowed are different names")
    if checks.problems:
        raise UsageError(f"{source}: " + "\n  ".join(["", *checks.problems] if len(checks.problems) > 1 else checks.problems))
    return Layout(source, tuple(mark for mark in built if mark), film, lists)


class _Checks:
    """Collects what is wrong; a wrong value is replaced by its default, so that the rest can be checked."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def wrong(self, key: str, value: Any, allowed: str) -> None:
        shown = "missing" if value is None else repr(value) if len(repr(value)) < 80 else f"{repr(value)[:76]} ..."
        self.problems.append(f"{key} is {shown}, allowed is {allowed}")

    def keys(self, where: str, table: Mapping[str, Any], allowed: Iterable[str]) -> None:
        for key in table:
            if key not in allowed:
                self.problems.append(f"{where}{key} is no key, allowed are {', '.join(allowed)}")

    def number(self, key: str, value: Any, low: float, high: float, default: float) -> float:
        if _is_number(value) and low <= value <= high:
            return float(value)
        self.wrong(key, value, f"a number from {low:g} to {high:g}")
        return default

    def span(self, key: str, value: Any, low: float, high: float, default: tuple[float, float], whole: bool = False) -> tuple[float, float]:
        pair = [value, value] if _is_number(value) else value
        if isinstance(pair, list) and len(pair) == 2 and all(map(_is_number, pair)) and low <= pair[0] <= pair[1] <= high:
            if not whole or all(float(v).is_integer() for v in pair):
                return float(pair[0]), float(pair[1])
        kind = "a whole number" if whole else "a number"
        self.wrong(key, value, f"{kind} from {low:g} to {high:g}, or [from, to] of such")
        return default

    def words(self, key: str, value: Any, allowed: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
        words = [value] if isinstance(value, str) else value
        if isinstance(words, list) and words and all(isinstance(word, str) and (word in allowed or not allowed) for word in words):
            return tuple(words)
        self.wrong(key, value, f"one or a list of {', '.join(allowed)}" if allowed else "a text or a list of texts")
        return default

    def switch(self, key: str, value: Any, default: bool) -> bool:
        if isinstance(value, bool):
            return value
        self.wrong(key, value, "true or false")
        return default


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _lists(checks: _Checks, table: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The lists of texts by name."""
    if not isinstance(table, dict):
        checks.wrong("texts", table, "a table of lists, NAME = [\"TEXT\", ...]")
        return ()
    result = []
    for name, items in table.items():
        key = f"texts.{name}"
        if not name.isidentifier() or name in templates.FIELDS:
            checks.problems.append(f"{key} is no name for a list, allowed are letters, digits and _, but not {', '.join(templates.FIELDS)}")
        texts = checks.words(key, items, (), ("?",))
        _templates(checks, key, texts, templates.FIELDS)
        result.append((name, texts))
    return tuple(result)


def _templates(checks: _Checks, key: str, texts: tuple[str, ...], names: Iterable[str]) -> None:
    for text in texts:
        try:
            found = templates.names_in(text)
        except ValueError as error:
            checks.wrong(key, text, f"a text with names in braces, braces themselves doubled ({error})")
            continue
        unknown = [name for name in found if name not in names]
        if unknown or not text.strip() or any(not line.strip() for line in text.split("\n")):
            checks.wrong(key, text, f"a text without empty lines; in braces {', '.join(names)}")


def _film(checks: _Checks, table: Any) -> Film:
    default = Film()
    if not isinstance(table, dict):
        checks.wrong("film", table, f"a table of {', '.join(FILM_KEYS)}")
        return default
    checks.keys("film.", table, FILM_KEYS)
    size = default.size
    if "size" in table:
        pair = table["size"]
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(v, int) and PIXELS[0] <= v <= PIXELS[1] for v in pair):
            size = pair[0], pair[1]
        else:
            checks.wrong("film.size", pair, f"[rows, columns], whole numbers from {PIXELS[0]} to {PIXELS[1]}")
    given: Callable[[str], Any] = lambda name: table.get(name, getattr(default, name))
    return Film(
        size, checks.words("film.bodies", table["bodies"], BODIES, ()) if "bodies" in table else (),
        checks.switch("film.distractors", given("distractors"), True), checks.number("film.collimated", given("collimated"), 0, 1, 0.0),
        checks.switch("film.degraded", given("degraded"), True), checks.number("film.inverted", given("inverted"), 0, 1, 0.0))


def _mark(checks: _Checks, where: str, index: int, table: Any, lists: Mapping[str, tuple[str, ...]], film: Film) -> Mark | None:
    if not isinstance(table, dict):
        checks.wrong(where, table, f"a table of {', '.join(MARK_KEYS)}")
        return None
    checks.keys(f"{where}.", table, MARK_KEYS)
    default = Mark("", "marker", (), ())
    values: dict[str, Any] = {"name": table.get("name", f"mark {index + 1}")}
    if not isinstance(values["name"], str) or not values["name"] or set(values["name"]) & set(",\n\""):
        checks.wrong(f"{where}.name", values["name"], "a text without comma, quotation mark and line break")
    values["kind"] = table.get("kind")
    if values["kind"] not in records.KINDS:
        checks.wrong(f"{where}.kind", values["kind"], f"one of {', '.join(records.KINDS)}")
    values["texts"] = checks.words(f"{where}.texts", table.get("texts"), (), ())
    _templates(checks, f"{where}.texts", values["texts"], (*templates.FIELDS, *lists))
    values["places"] = _places(checks, f"{where}.places", table.get("places"), film)
    if "size" in table and "size_px" in table:
        checks.problems.append(f"{where}.size and {where}.size_px are both given, allowed is one of them")
    if "size_px" in table:
        values["size"] = checks.span(f"{where}.size_px", table["size_px"], *SIZE_PX, (20.0, 20.0))
        values["size_in_pixels"] = True
    spans: dict[str, tuple[float, float]] = {"size": (0.001, 0.5), "grey": (0, 255), "ground": (0, 255), "opacity": (0.02, 1), "rotation": (-360, 360)}
    for name, limits in spans.items():
        if name in table and name not in values:
            values[name] = checks.span(f"{where}.{name}", table[name], *limits, getattr(default, name))
    for name, limits in {"frequency": (0, 1), "mirrored": (0, 1), "margin": (0, 0.4), "contrast": (1, 255)}.items():
        if name in table:
            values[name] = checks.number(f"{where}.{name}", table[name], *limits, getattr(default, name))
    if "count" in table:
        low, high = checks.span(f"{where}.count", table["count"], 1, 100, (1.0, 1.0), whole=True)
        values["count"] = int(low), int(high)
    if "turns" in table:
        turns = table["turns"] if isinstance(table["turns"], list) else [table["turns"]]
        if turns and all(_is_number(turn) and -360 <= turn <= 360 for turn in turns):
            values["turns"] = tuple(map(float, turns))
        else:
            checks.wrong(f"{where}.turns", table["turns"], "a number of degrees or a list of them, from -360 to 360")
    if "fonts" in table:
        values["fonts"] = checks.words(f"{where}.fonts", table["fonts"], (), ())
    if "layer" in table:
        values["layer"] = table["layer"]
        if table["layer"] not in records.LAYERS:
            checks.wrong(f"{where}.layer", table["layer"], f"one of {', '.join(records.LAYERS)}")
    if "colours" in table:
        values["colours"] = _colours(checks, where, table, values.get("layer"))
    if "styles" in table:
        allowed = records.LEAD_STYLES if values.get("layer") == "lead" else records.STYLES
        values["styles"] = checks.words(f"{where}.styles", table["styles"], allowed, ("plain",))
    return Mark(**values)


def _colours(checks: _Checks, where: str, table: Mapping[str, Any], layer: Any) -> tuple[records.Colour, ...]:
    """The colours of a mark; the film itself is grey, and so is lead on it."""
    key, words = f"{where}.colours", [table["colours"]] if isinstance(table["colours"], str) else table["colours"]
    if "grey" in table:
        checks.problems.append(f"{key} and {where}.grey are both given, allowed is one of them")
    if layer == "lead":
        checks.problems.append(f"{key} is given for the layer lead, allowed are marks of the console")
    if isinstance(words, list) and words and all(isinstance(word, str) and re.fullmatch("#[0-9a-fA-F]{6}", word) for word in words):
        return tuple((int(word[1:3], 16), int(word[3:5], 16), int(word[5:7], 16)) for word in words)
    checks.wrong(key, table["colours"], 'one or a list of colours such as "#ffcc00"')
    return ()


def _places(checks: _Checks, key: str, value: Any, film: Film) -> tuple[Place, ...]:
    entries = value if isinstance(value, list) else [value]
    allowed = f"one or a list of {', '.join(records.PLACES)}, {{box = [x1, y1, x2, y2]}} in fractions of the image and {{box_px = [...]}} in pixels"
    if not entries or value is None:
        checks.wrong(key, value, allowed)
        return ()
    result = []
    for i, entry in enumerate(entries):
        here = f"{key}[{i}]" if isinstance(value, list) else key
        if isinstance(entry, str) and entry in records.PLACES:
            result.append(Place(entry))
        elif isinstance(entry, dict) and list(entry) in (["box"], ["box_px"]):
            ((name, box),) = entry.items()
            top = (1.0, 1.0) if name == "box" else (film.size[1], film.size[0]) if film.size else (PIXELS[1], PIXELS[1])
            inside = isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))
            if inside and 0 <= box[0] < box[2] <= top[0] and 0 <= box[1] < box[3] <= top[1]:
                x1, y1, x2, y2 = map(float, box)
                result.append(Place("", (x1, y1, x2, y2), name == "box_px"))
            else:
                checks.wrong(f"{here}.{name}", box, f"[x1, y1, x2, y2] inside the image, x up to {top[0]:g} and y up to {top[1]:g}, x1 < x2 and y1 < y2")
        else:
            checks.wrong(here, entry, allowed)
    return tuple(result)
