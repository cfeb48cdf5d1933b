"""Text files that people make: CSV, JSON and lists, as spreadsheets and editors save them. A byte order mark, UTF-16, semicolons or
capitals change nothing of what they mean; what is unclear is an error of one line that says what to do."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import MarkerRemoverError, UsageError
from . import regular_files

DELIMITERS = ",;\t|"
MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
CONTAINERS = {b"PK\x03\x04": "an Excel workbook or another zip file", b"\xd0\xcf\x11\xe0": "an old Excel workbook", b"%PDF": "a PDF file"}


def read(path: Path | str, kind: type[MarkerRemoverError] = UsageError) -> str:
    """The text of a file in UTF-8, UTF-16 or UTF-32, without a byte order mark.

    Raises:
        kind: it is no regular file, cannot be read, or is in another encoding or no text.
    """
    try:
        return decoded(regular_files.read(Path(path), follow=True))
    except UsageError:  # a pipe or device, which may never end
        raise kind(f"{path}: cannot be read (no regular file)") from None
    except OSError as error:
        raise kind(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise kind(f"{path}: {error}") from None


def decoded(data: bytes) -> str:
    """Bytes of a text file as text.

    >>> decoded(b"\\xef\\xbb\\xbfa"), decoded("a;b".encode("utf-16"))
    ('a', 'a;b')

    Raises:
        ValueError: they are no text; the message says what to do.
    """
    for head, what in CONTAINERS.items():
        if data.startswith(head):
            raise ValueError(f"is {what}: save it as a text file, in UTF-8")
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), _unmarked(data))
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError("is neither UTF-8 nor UTF-16: save it as UTF-8 (in a spreadsheet: CSV UTF-8)") from None
    if "\0" in text:
        raise ValueError("is no text file: it holds zero bytes")
    return text


def _unmarked(data: bytes) -> str:
    """The encoding of text without a byte order mark: mostly Latin text in UTF-16 has every other byte zero."""
    half = max(1, len(data) // 2)
    if len(data) % 2 == 0 and data[1::2].count(0) > 0.7 * half:
        return "utf-16-le"
    if len(data) % 2 == 0 and data[::2].count(0) > 0.7 * half:
        return "utf-16-be"
    return "utf-8"


def read_json(path: Path | str, kind: type[MarkerRemoverError] = UsageError, what: str = "JSON") -> Any:
    """The content of a JSON file; NaN and Infinity, which are no JSON, are refused.

    Args:
        what: the file ought to be, said in errors.

    Raises:
        kind: it cannot be read, or is no JSON.
    """
    try:
        return json.loads(read(path, kind), parse_constant=_refuse)
    except ValueError as error:
        raise kind(f"{path}: not a {what} file ({error})") from None
    except RecursionError:
        raise kind(f"{path}: not a {what} file (nested too deeply)") from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


@dataclass(frozen=True)
class Table:
    """A CSV file.

    header: its first line, in lower case.  rows: its other lines, all as long as the header.  lines: the number of each in the file.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str) -> tuple[str, ...]:
        """The cells below a heading, in lower case as in `header`.

        Raises:
            UsageError: there is no such heading, or it is there twice.
        """
        if self.header.count(name) != 1:
            there = "no column" if name not in self.header else "two columns"
            raise UsageError(f"{self.path}: has {there} {name!r}, only {', '.join(self.header)}; its first line names the columns")
        return tuple(row[self.header.index(name)] for row in self.rows)


def read_table(path: Path | str) -> Table:
    """A CSV file with headings, its cells separated by commas, semicolons, tabs or bars; blank lines and blanks around cells do not count.

    Raises:
        UsageError: it cannot be read, is empty, or a line has more cells than the first, or is separated otherwise.
    """
    path, text = Path(path), read(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = ""
    if first.strip().lower().startswith("sep=") and len(first.strip()) == 5:  # Excel's own way to say it
        delimiter, text = first.strip()[-1], text[text.index(first) + len(first) :]
        first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = delimiter or max(DELIMITERS, key=_unquoted(first).count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        found = [(reader.line_num, tuple(cell.strip() for cell in row)) for row in reader]
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: not a CSV file ({error})") from None
    found = [(line, _cut(row)) for line, row in found if any(row)]
    if not found:
        raise UsageError(f"{path}: is empty, needs a line that names the columns and others below it")
    (_, header), rows = found[0], found[1:]
    for line, row in rows:
        if len(row) > len(header) or (len(row) == 1 < len(header) and any(d in row[0] for d in DELIMITERS)):
            raise UsageError(f"{path}, line {line}: has {len(row)} cells, the first line has {len(header)}")
    whole = tuple(row + ("",) * (len(header) - len(row)) for _, row in rows)
    return Table(path, tuple(cell.lower() for cell in header), whole, tuple(line for line, _ in rows))


def _unquoted(line: str) -> str:
    """A line without what stands between double quotes."""
    return "".join(line.split('"')[::2])


def _cut(row: tuple[str, ...]) -> tuple[str, ...]:
    """A row without empty cells at its end, which spreadsheets add."""
    while row and not row[-1]:
        row = row[:-1]
    return row
