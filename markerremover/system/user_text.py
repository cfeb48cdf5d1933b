"""Text files made by users: CSV, JSON and lists, as spreadsheets and editors save them. A byte order mark, UTF-16, semicolons or capitals
do not change their meaning; an ambiguous file is an error of one line that says what to do."""

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

    Args:
        kind: class of the errors raised.

    Raises:
        kind: it is no regular file, cannot be read, has another encoding, or is no text.
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
        ValueError: the bytes are no text; the message says what to do.
    """
    for head, description in CONTAINERS.items():
        if data.startswith(head):
            raise ValueError(f"is {description}: save it as a text file, in UTF-8")
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), _unmarked(data))
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError("is neither UTF-8 nor UTF-16: save it as UTF-8 (in a spreadsheet: CSV UTF-8)") from None
    if "\0" in text:
        raise ValueError("is no text file: it holds zero bytes")
    return text


def _unmarked(data: bytes) -> str:
    """The encoding of text without a byte order mark: in UTF-16, mostly Latin text has zeros in every second byte."""
    half = max(1, len(data) // 2)
    if len(data) % 2 == 0 and data[1::2].count(0) > 0.7 * half:
        return "utf-16-le"
    if len(data) % 2 == 0 and data[::2].count(0) > 0.7 * half:
        return "utf-16-be"
    return "utf-8"


def read_json(path: Path | str, kind: type[MarkerRemoverError] = UsageError, what: str = "JSON") -> Any:
    """The content of a JSON file; NaN and Infinity, which are not JSON, are refused.

    Args:
        kind: class of the errors raised.
        what: name of the kind of file expected, for messages.

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

    header: cells of its first line, in lower case.  rows: cells of its other lines, all as long as the header.
    lines: the line number of each row in the file.
    """

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str) -> tuple[str, ...]:
        """The cells of a column.

        Args:
            name: its heading, in lower case as in `header`.

        Raises:
            UsageError: there is no such heading, or it occurs more than once.
        """
        if self.header.count(name) != 1:
            problem = "no column" if name not in self.header else "two columns"
            raise UsageError(f"{self.path}: has {problem} {name!r}, only {', '.join(self.header)}; its first line names the columns")
        return tuple(row[self.header.index(name)] for row in self.rows)


def read_table(path: Path | str) -> Table:
    """A CSV file with headings, its cells separated by commas, semicolons, tabs or bars; blank lines and blanks around cells are ignored.

    Raises:
        UsageError: it cannot be read, is empty, or a line has more cells than the first or another delimiter.
    """
    path, text = Path(path), read(path)
    first_line = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = ""
    if first_line.strip().lower().startswith("sep=") and len(first_line.strip()) == 5:  # Excel's declaration of the delimiter
        delimiter, text = first_line.strip()[-1], text[text.index(first_line) + len(first_line) :]
        first_line = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = delimiter or max(DELIMITERS, key=_unquoted(first_line).count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        numbered_rows = [(reader.line_num, tuple(cell.strip() for cell in row)) for row in reader]
    except csv.Error as error:
        raise UsageError(f"{path}, line {reader.line_num}: not a CSV file ({error})") from None
    numbered_rows = [(line, _cut(row)) for line, row in numbered_rows if any(row)]
    if not numbered_rows:
        raise UsageError(f"{path}: is empty, needs a line that names the columns and others below it")
    (_, header), rows = numbered_rows[0], numbered_rows[1:]
    for line, row in rows:
        if len(row) > len(header) or (len(row) == 1 < len(header) and any(d in row[0] for d in DELIMITERS)):
            raise UsageError(f"{path}, line {line}: has {len(row)} cells, the first line has {len(header)}")
    padded_rows = tuple(row + ("",) * (len(header) - len(row)) for _, row in rows)
    return Table(path, tuple(cell.lower() for cell in header), padded_rows, tuple(line for line, _ in rows))


def _unquoted(line: str) -> str:
    """A line without its parts in double quotes."""
    return "".join(line.split('"')[::2])


def _cut(row: tuple[str, ...]) -> tuple[str, ...]:
    """A row without empty cells at its end, which spreadsheets add."""
    while row and not row[-1]:
        row = row[:-1]
    return row
