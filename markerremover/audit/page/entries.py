"""Manifest rows -> the JSON that the page reads: short arrays, with recurring words in one list.

It is a third of the manifest's size. A page of the file system may not fetch other files, so the JSON is part of the page.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .. import full_pictures
from ..crops import file_id

ENTRY = ("relative", "status", "format", "shape", "ms", "reason", "kind", "thumbs", "more", "boxes", "film", "held_for")
"""Items of a row's array, in this order; `status`, `format` and `kind` are indices into `words`. `film` is [frame, scale] (scale 1 is left out)
of the full pictures, or the index of the reason why there are none; trailing zeros are left out."""
BOX = ("frame", "x1", "y1", "x2", "y2", "score", "label", "action", "reason", "crops", "text", "confidence", "rotation_deg", "mirrored",
       "style", "style_reason")
"""Items of a box's array; scores and confidences are multiples of 1 / `SCALE`; trailing zeros are left out."""
SCALE = 10_000  # factor that makes scores and confidences integers: the manifest has four decimals


class Words:
    """Recurring texts, by their index in a list; the first one is empty."""

    def __init__(self) -> None:
        self._place: dict[str, int] = {"": 0}

    def __getitem__(self, text: str) -> int:
        return self._place.setdefault(text, len(self._place))

    def __iter__(self) -> Iterator[str]:
        return iter(self._place)


def parts(
    rows: Sequence[dict[str, Any]], summary: dict[str, Any], thumbs: Callable[[str], tuple[str, str]], drawn: set[str]
) -> Iterator[str]:
    """The data in pieces. `<`, `>` and `&` are escaped, so that nothing in a file name or a reading can end the script element.

    Args: see `page.parts`.
    """
    words, encode = Words(), json.JSONEncoder(separators=(",", ":")).encode
    yield '{"rows":['
    for number, row in enumerate(rows):
        yield ("," if number else "") + _safe(encode(entry(row, words, thumbs(row["relative"]), drawn))) + "\n"
    rest = {"entry": ENTRY, "box": BOX, "words": list(words), "scale": SCALE, "threshold": (summary.get("options") or {}).get("threshold"),
            "review": review_command(summary)}
    yield "]," + _safe(encode(rest))[1:]


def entry(row: dict[str, Any], words: Words, thumbs: tuple[str, str], drawn: set[str]) -> list[Any]:
    """A row's array, with the items of `ENTRY`; missing pictures are left out.

    `thumbs` and a box's `crops` are the names of two pictures, 0 where one of them is missing.
    """
    more: dict[str, Any] = {"released_held": row["released_held"]} if row.get("released_held") else {}
    if row.get("review"):
        more |= {key: row["review"][key] for key in ("who", "when", "verdict")}
    more |= {name: [words[text] for text in texts] for name in ("notes", "quality") if (texts := row.get(name))}
    crops, all_boxes = row.get("crops", []), [*row["boxes"], *row.get("held_for", [])]
    boxes = [_box(box, words, _pictures(crops[i], drawn) if i < len(crops) else 0) for i, box in enumerate(all_boxes)]
    count = len(row["boxes"])
    items = [
        row["relative"], words[row["status"]], words[row["format"]], row["shape"], milliseconds(row), row["reason"], words[kind(row)],
        _pictures(thumbs, drawn), more or 0, boxes[:count], _film(row, words, drawn), boxes[count:] or 0,
    ]
    return items if items[-1] else items[:-1]


def _film(row: dict[str, Any], words: Words, drawn: set[str]) -> list[int] | int:
    told = row.get("full_pictures") or {}
    if not told.get("scale"):
        return words[told.get("missing", "")]
    if not drawn.issuperset(full_pictures.names(file_id(row["relative"]))):
        return 0
    return [told["frame"]] if told["scale"] == 1 else [told["frame"], round(told["scale"] * SCALE)]


def review_command(summary: dict[str, Any]) -> str:
    """The command that opens an audit where boxes can be corrected, for a shell."""
    return f"markerremover review {shlex.quote(summary.get('audit') or 'AUDIT')}"


def _pictures(names: Sequence[str], drawn: set[str]) -> list[str] | int:
    return list(names) if names[0] in drawn and names[1] in drawn else 0


def _box(box: dict[str, Any], words: Words, crops: list[str] | int) -> list[Any]:
    items = [
        box["frame"], *box["xyxy"], round(box["score"] * SCALE), words[box["label"]], words[box["action"]], words[box["reason"]], crops,
        box["text"] or 0, round(box["confidence"] * SCALE), box["rotation_deg"] or 0, int(box["mirrored"]), words[box.get("style", "")],
        words[box.get("style_reason", "")],
    ]
    while not items[-1]:
        items.pop()
    return items


def milliseconds(row: dict[str, Any]) -> int:
    """Processing time of a file, all stages."""
    return round(sum(row.get("timings_ms", {}).values()))


def kind(row: dict[str, Any]) -> str:
    """The reason of a row without the file's name and with numbers replaced by #.

    >>> kind({"relative": "a/b.png", "reason": "b.png: is truncated after 17 bytes"})
    'is truncated after # bytes'
    """
    reason, name = row["reason"], row["relative"].rsplit("/", 1)[-1]
    return re.sub(r"\d+(\.\d+)?", "#", reason.removeprefix(name + ": "))


def _safe(text: str) -> str:
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
