"""The configuration file that `--print-config` prints, with every setting, its meaning and its default; and the rows of the reference."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator
from dataclasses import MISSING, Field, fields
from typing import Any

from ..records import DEFAULT_KEEP
from ..site_profile import KNOWN_MARKERS
from .node_tables import OF_KIND, Destination
from .reading import LIST, TABLES
from .settings import TEXT, TEXTS, allowed, shown

WIDTH = 110
#: Key of a site profile -> its meaning, its default or None, what is allowed, and an example.
PROFILE: dict[str, tuple[str, Any, str, Any]] = {
    "weights": ("the localizer, an ONNX, OpenVINO or TensorRT file with its card beside it; left out: the shipped one", None, "the path of a file", "site.onnx"),
    "threshold": ("lowest localizer score of a box that counts; left out: the weights' own", None, "a number between 0 and 1, both excluded", 0.15),
    "allow_modality": ("what is cleaned though the weights were not validated on it", (), "DICOM's terms such as CT, MR, US and OT; photo; all", None),
    "phrases": ("phrases and groups of them that are retained besides laterality markers", (), "a list of phrases and groups", None),
}
KEEP = "laterality markers that are retained, and their side; an empty table retains none"
GROUPS = "groups of phrases, name = list; phrases of a shipped name are added to that group"
_INTRO = (
    "markerremover's configuration file. Every setting is optional. A line that begins with #: is a setting that is left out by default, with an example. "
    "Relative paths are relative to this file. Every command with --config reads the file; what the command line says wins."
)


def text() -> str:
    """A commented configuration file that says the defaults."""
    lines = [*_comment(_INTRO)]
    for key, (meaning, default, what, example) in PROFILE.items():
        lines += ["", *_comment(f"{meaning}. Allowed: {what}."), f"#: {key} = {shown(example)}" if default is None else f"{key} = {shown(default)}"]
    lines += ["", *_comment(KEEP + "."), "[keep]", *(f"{marker} = {shown(KNOWN_MARKERS[marker])}" for marker in DEFAULT_KEEP)]
    lines += ["", *_comment(GROUPS + "."), "[groups]", '#: projection = ["SCHULTERBLATT Y"]']
    for name, record in TABLES.items():
        lines += ["", "", *_comment(_about(record)), f"[{name}]", *_settings(record)]
        if name == "node":
            lines += ["", "", *_comment(f"{_about(Destination)} One table for each; an example of each kind.")]
            for kind, keys in OF_KIND.items():
                lines += ["", f"#: [[{LIST}]]", f"#: name = {shown(f'my-{kind}')}", f"#: kind = {shown(kind)}", *_settings(Destination, keys)]
    return "\n".join(lines) + "\n"


def _about(record: type[Any]) -> str:
    return (record.__doc__ or "").split("\n")[0]


def _comment(words: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(words, WIDTH, break_long_words=False, break_on_hyphens=False)]


def _settings(record: type[Any], only: Collection[str] | None = None) -> Iterator[str]:
    """The lines of a table's settings, after its heading.

    Args:
        only: names of those that are shown, as an example; None: all, as settings.
    """
    for one in fields(record):
        if only is not None and one.name not in only:
            continue
        limits = allowed(one)
        choices = f". {'One of' if limits.kind == TEXT else 'Of'}: {', '.join(limits.choices)}" if limits.choices else ""
        yield from _comment(limits.meaning + choices)
        default = _default(one)
        yield f"#: {one.name} = {shown(limits.example)}" if default is None else f"{'#: ' if only is not None else ''}{one.name} = {shown(default)}"


def _default(one: Field[Any]) -> Any:
    """The default of a setting, None where it is left out or has to be given."""
    return None if one.default is MISSING else one.default


def rows() -> Iterator[tuple[str, str, list[tuple[str, str, str, str]]]]:
    """Heading, introduction, and rows (key, default, allowed, meaning) of each table, for the reference."""
    profile = [
        (key, "left out" if default is None else shown(default), what, meaning) for key, (meaning, default, what, _) in PROFILE.items()]
    yield "Keys before the first table", "With the tables `[keep]` and `[groups]` they are a site profile.", profile
    yield "[keep]", KEEP[0].upper() + KEEP[1:] + ".", [("MARKER", "L, R and their words", 'one of "left" and "right"', "the marker and its side")]
    yield "[groups]", GROUPS[0].upper() + GROUPS[1:] + ".", [("NAME", "none", "a list of phrases", "the group and its phrases")]
    for name, record in TABLES.items():
        yield f"[{name}]", _about(record), [_row(one) for one in fields(record)]
        if name == "node":
            yield f"[[{LIST}]]", _about(Destination), [_row(one) for one in fields(Destination)]


def _row(one: Field[Any]) -> tuple[str, str, str, str]:
    limits = allowed(one)
    default = "**required**" if one.default is MISSING else "left out" if one.default is None else shown(one.default)
    words = limits.words() if limits.choices or limits.kind not in (TEXT, TEXTS) else limits.kind
    return one.name, default, words, limits.meaning
