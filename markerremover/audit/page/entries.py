"""Manifest rows -> the JSON that the page reads: short arrays, with words that recur in one list.

It is a third of what the manifest takes. A page of the file system may not fetch other files, so it stands in the page itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

ENTRY = ("relative", "status", "format", "shape", "ms", "reason", "kind", "thumbs", "more", "boxes")
"""What an array of a row holds, in this order; `status`, `format` and `kind` are places in `words`."""
BOX = ("frame", "x1", "y1", "x2", "y2", "score", "label", "action", "reason", "crops", "text", "confidence", "rotation_deg", "mirrored",
       "style", "style_reason")
"""What an array of a box holds; scores and confidences in parts of `SCALE`; zeros at its end are left out."""
SCALE = 10_000  # scores and confidences are whole numbers of this part: the manifest has four places


class Words:
    """Texts that recur, by their place in a list; the first one is empty."""

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

    Args:
        As of `page.parts`.
    """
    words, encode = Words(), json.JSONEncoder(separators=(",", ":")).encode
    yield '{"rows":['
    for number, row in enumerate(rows):
        yield ("," if number else "") + _safe(encode(entry(row, words, thumbs(row["relative"]), drawn))) + "\n"
    told = {"entry": ENTRY, "box": BOX, "words": list(words), "scale": SCALE, "threshold": (summary.get("options") or {}).get("threshold")}
    yield "]," + _safe(encode(told))[1:]


def entry(row: dict[str, Any], words: Words, thumbs: tuple[str, str], drawn: set[str]) -> list[Any]:
    """What the page shows of a row, as `ENTRY` says; pictures that are not there are left out.

    `thumbs` and a box's `crops` are the names of two pictures, 0 where one of them is not there.
    """
    more: dict[str, str] = {"released_held": row["released_held"]} if row.get("released_held") else {}
    if row.get("review"):
        more |= {key: row["review"][key] for key in ("who", "when", "verdict")}
    crops = row.get("crops", [])
    boxes = [_box(box, words, _pictures(crops[i], drawn) if i < len(crops) else 0) for i, box in enumerate(row["boxes"])]
    return [
        row["relative"], words[row["status"]], words[row["format"]], row["shape"], milliseconds(row), row["reason"], words[kind(row)],
        _pictures(thumbs, drawn), more or 0, boxes,
    ]


def _pictures(names: Sequence[str], drawn: set[str]) -> list[str] | int:
    return list(names) if names[0] in drawn and names[1] in drawn else 0


def _box(box: dict[str, Any], words: Words, crops: list[str] | int) -> list[Any]:
    found = [
        box["frame"], *box["xyxy"], round(box["score"] * SCALE), words[box["label"]], words[box["action"]], words[box["reason"]], crops,
        box["text"] or 0, round(box["confidence"] * SCALE), box["rotation_deg"] or 0, int(box["mirrored"]), words[box.get("style", "")],
        words[box.get("style_reason", "")],
    ]
    while not found[-1]:
        found.pop()
    return found


def milliseconds(row: dict[str, Any]) -> int:
    """How long a file took."""
    return round(sum(row.get("timings_ms", {}).values()))


def kind(row: dict[str, Any]) -> str:
    """The reason of a row without what differs from file to file: its name, and numbers.

    >>> kind({"relative": "a/b.png", "reason": "b.png: is truncated after 17 bytes"})
    'is truncated after # bytes'
    """
    reason, name = row["reason"], row["relative"].rsplit("/", 1)[-1]
    return re.sub(r"\d+(\.\d+)?", "#", reason.removeprefix(name + ": "))


def _safe(text: str) -> str:
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
