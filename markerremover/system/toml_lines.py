"""The lines of a TOML file that state a key, for error messages. The standard library's parser, which reads the file, gives no positions of keys;
tomlkit keeps the text of a file but no positions either."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

MOST_LINES = 5000  # longest file that is searched: each of its lines is a place at which the text is parsed


def line_of(text: str, keys: Sequence[str | int]) -> int | None:
    """The line, from 1, of the statement that first states a key; None where there is none.

    A text that ends between two statements is TOML, one that ends within a statement is not: so the line after the last beginning of the text
    that can be parsed and lacks the key is the first line of the statement.

    Args:
        text: a whole TOML file.  keys: names of tables and the key; the index of a table in an array of tables.

    >>> line_of("a = 1\\n[b]\\nc = [\\n 2]\\nd = 3\\n[[e]]\\n[[e]]\\nf = 4", ["b", "c"]), line_of("[[e]]\\n[[e]]\\nf = 4", ["e", 1, "f"])
    (3, 3)
    """
    lines = [line for line in re.split(r"(?<=\n)", text) if line]  # other breaks, as of `splitlines`, may stand in a text
    if len(lines) > MOST_LINES:
        return None
    before = 0
    for count in range(len(lines) + 1):
        try:
            content = tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            continue
        if _has(content, keys):
            return min(before + 1, len(lines)) if count else None
        before = count
    return None


def _has(content: Any, keys: Sequence[str | int]) -> bool:
    for key in keys:
        if isinstance(content, list) and isinstance(key, int) and 0 <= key < len(content):
            content = content[key]
        elif isinstance(content, dict) and key in content:
            content = content[key]
        else:
            return False
    return True


def place(text: str, keys: Sequence[str | int]) -> str:
    """ `, line N` for a message, or nothing where the line is not known."""
    line = line_of(text, keys)
    return "" if line is None else f", line {line}"
