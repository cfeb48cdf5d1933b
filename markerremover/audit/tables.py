"""The rows of a manifest as CSV for spreadsheets and R: `manifest.csv` with a row a file, `boxes.csv` with a row a box.

UTF-8 with a byte order mark, by which Excel tells it from the code page of the machine; R reads it with `fileEncoding = "UTF-8-BOM"`, pandas and
Python's csv with `utf-8-sig`. Text that a spreadsheet would run as a formula, which a path can be, has an apostrophe in front.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ..system import files

MANIFEST_CSV, BOXES_CSV = "manifest.csv", "boxes.csv"
BOM = "\ufeff"
SHAPE = ("frames", "rows", "columns", "channels")
FILE_COLUMNS = ("relative", "status", "reason", "format", *SHAPE, "orientation", "sha256_in", "sha256_out", "boxes_removed", "laterality_markers_retained",
    "path_tells", "released_held", "notes", "timings_ms", "synthetic_pixels")
BOX_COLUMNS = ("relative", "frame", "x1", "y1", "x2", "y2", "score", "label", "action", "reason", "text", "confidence", "rotation_deg", "mirrored", "style",
    "style_reason", "crop_before", "crop_after")
BOX_FIELDS = BOX_COLUMNS[6:16]
OTHERWISE = frozenset({"shape", "boxes", "crops", "timings_ms"})  # fields of a row whose columns are made from them
END = "\r\n"  # of the csv module, which quotes a cell that holds one of these two
SEPARATOR = "; "  # between the values of a list
RISKY = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four are the same signs in full width


def write_tables(audit: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write both files into an audit folder, each atomically and readable by its owner only.

    Args:
        rows: of the manifest, in any order.

    Raises:
        UsageError, OSError: see `files.write_private`; an earlier file is unchanged.
    """
    rows = list(rows)
    names = list(FILE_COLUMNS)
    for row in rows:
        names += [name for name in _further(row) if name not in names]
    files.write_private(audit / MANIFEST_CSV, lines(names, map(file_record, rows)))
    files.write_private(audit / BOXES_CSV, lines(BOX_COLUMNS, (record for row in rows for record in box_records(row))))


def file_record(row: Mapping[str, Any]) -> dict[str, Any]:
    """Column -> value of a row. A list is joined by "; ", an object has a column a field, such as `review.verdict`; a shape has four, the times are
    summed, and boxes are counted by their action, those of `held_for` all together."""
    boxes = row.get("boxes", ())
    times = [value for value in row.get("timings_ms", {}).values() if isinstance(value, (int, float))]
    return {
        **{name: row[name] for name in FILE_COLUMNS if name in row and name not in OTHERWISE}, **dict(zip(SHAPE, row.get("shape", ()))), **_further(row),
        "boxes_removed": sum(box["action"] == "remove" for box in boxes), "laterality_markers_retained": sum(box["action"] == "keep" for box in boxes),
        "timings_ms": round(sum(times), 1) if times else "",
    }


def box_records(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Column -> value of each box of a row."""
    for box, crops in zip_longest(row.get("boxes", ()), row.get("crops", ())):
        if box is not None:
            pair = dict(zip(("crop_before", "crop_after"), crops or ()))
            yield {"relative": row["relative"], "frame": box["frame"], **dict(zip(("x1", "y1", "x2", "y2"), box["xyxy"])),
                   **{name: box[name] for name in BOX_FIELDS if name in box}, **pair}


def lines(columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A CSV file in pieces: byte order mark and headings, then a piece a record.

    Args:
        columns: headings.
        records: column -> value; a missing one is empty.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator=END)
    writer.writerow(columns)
    yield BOM + buffer.getvalue().removesuffix(END) + "\n"
    for record in records:
        buffer.seek(0), buffer.truncate()
        writer.writerow([cell(record.get(name, "")) for name in columns])
        yield buffer.getvalue().removesuffix(END) + "\n"


def cell(value: Any) -> str | int | float:
    """A value as a CSV cell: numbers as they are, truth values as R has them, lists joined, text harmless in a spreadsheet.

    Characters of a file name that are no text are written as `\\udcXX`.

    >>> cell(-1.5), cell(True), cell(["a", "b"]), cell(None), cell("-a.png")
    (-1.5, 'TRUE', 'a; b', '', "'-a.png")
    """
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, (int, float)):
        return value
    text = SEPARATOR.join(map(_text, value)) if isinstance(value, (list, tuple)) else _text(value)
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return f"'{text}" if text.lstrip().startswith(RISKY) or text.startswith(("\t", "\r", "\n")) else text


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(part)}" for name, part in value.items())
    return "" if value is None else str(value)


def _further(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row that have no column of their own; those of objects as `object.field`, without the boxes and marks in them; of a list of
    boxes their number."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name in FILE_COLUMNS or name in OTHERWISE:
            continue
        if isinstance(value, Mapping):
            found |= {f"{name}.{part}": inner for part, inner in value.items() if not _holds_objects(inner)}
        else:
            found[name] = len(value) if _holds_objects(value) else value  # a cell of hundreds of boxes is more than Excel and csv readers take
    return found


def _holds_objects(value: Any) -> bool:
    return isinstance(value, Mapping) or isinstance(value, list) and any(isinstance(part, (Mapping, list)) for part in value)
