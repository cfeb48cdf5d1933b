"""What a setting may be: fields of frozen records that carry their meaning and what is allowed, and the check of a table of a file against them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from ..errors import UsageError

__all__ = ["Allowed", "WrongSetting", "allowed", "checked", "setting", "shown"]

TEXT, PATH, WHOLE, NUMBER, TRUTH, TEXTS = "text", "path", "whole number", "number", "true or false", "list of texts"
Record = TypeVar("Record")


class WrongSetting(UsageError):
    """A key or a value that is not allowed.  keys: names and indices that lead to it, within the table that was checked."""

    def __init__(self, message: str, keys: Sequence[str | int]) -> None:
        super().__init__(message)
        self.keys = tuple(keys)


@dataclass(frozen=True)
class Allowed:
    """What a setting may be.

    kind: one of the constants above.  meaning: for the reference and the printed file.
    choices: of a text, or of each text of a list; () allows any.
    least, most: of a number, included; None: no limit.
    example: as Python value, shown where the default is to leave it out.
    """

    kind: str
    meaning: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    example: Any = None

    def words(self) -> str:
        """What is allowed, for a message."""
        if self.kind in (TEXT, TEXTS) and self.choices:
            return f"{'one' if self.kind == TEXT else 'a list'} of {', '.join(self.choices)}"
        limits = [f"{self.least:g} or more"] if self.least is not None and self.most is None else []
        limits += [f"{self.least:g} to {self.most:g}"] if self.least is not None and self.most is not None else []
        article = {TRUTH: "", TEXT: "a ", PATH: "the "}.get(self.kind, "a ")
        return ", ".join([article + {PATH: "path of a file or folder"}.get(self.kind, self.kind), *limits])

    def holds(self, value: Any) -> bool:
        """Whether a value of a TOML file is allowed."""
        if self.kind in (TEXT, PATH):
            return isinstance(value, str) and (value in self.choices if self.choices else bool(value.strip()))
        if self.kind == TEXTS:
            return isinstance(value, list) and all(isinstance(item, str) and item.strip() and (not self.choices or item in self.choices) for item in value)
        if self.kind == TRUTH:
            return isinstance(value, bool)
        if isinstance(value, bool) or not isinstance(value, int if self.kind == WHOLE else (int, float)) or not math.isfinite(value):
            return False
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


def setting(default: Any, kind: str, meaning: str, **allowed: Any) -> Any:
    """A field of a record of settings. A `default` of None leaves the setting out; MISSING demands it.

    Args:
        allowed: further fields of `Allowed`.
    """
    about = {"allowed": Allowed(kind, meaning, **allowed)}
    return field(metadata=about) if default is MISSING else field(default=default, metadata=about)


def allowed(one: Field[Any]) -> Allowed:
    """What a field of a record of settings may be."""
    return one.metadata["allowed"]


def checked(record: type[Record], content: Any, name: str, folder: Path) -> Record:
    """A record of the values of a table.

    Args:
        record: a frozen dataclass whose fields are made by `setting`.
        content: of the file.  name: of the table, for messages.
        folder: of the file; relative paths are relative to it.

    Raises:
        WrongSetting: a key is unknown or missing, or a value is not allowed.
    """
    if not isinstance(content, Mapping):
        raise WrongSetting(f"{name} is {content!r}, allowed is a table [{name}]", ())
    known = {one.name: one for one in fields(record)}  # type: ignore[arg-type]  # a dataclass
    for key in content:
        if key not in known:
            raise WrongSetting(f"unknown key {key!r} in [{name}]{meant(key, known)}, allowed are {', '.join(known)}", (key,))
    values: dict[str, Any] = {}
    for key, value in content.items():
        limits = allowed(known[key])
        if not limits.holds(value):
            raise WrongSetting(f"{name}.{key} is {value!r}, allowed is {limits.words()}", (key,))
        values[key] = folder / value if limits.kind == PATH else tuple(value) if limits.kind == TEXTS else value
    if missing := [key for key, one in known.items() if one.default is MISSING and key not in values]:
        raise WrongSetting(f"[{name}] lacks {missing[0]}, which is {allowed(known[missing[0]]).words()}", ())
    try:
        return record(**values)
    except WrongSetting as error:
        raise WrongSetting(f"[{name}] {error}", error.keys) from None


def meant(key: str, known: Mapping[str, Any]) -> str:
    """A suggestion for an unknown key, for a message; "" where none is close."""
    close = difflib.get_close_matches(key, known, 1, 0.75)
    return f" (is {close[0]} meant?)" if close else ""


def shown(value: Any) -> str:
    """A value as TOML.

    >>> shown(True), shown(0.5), shown(("a", "b")), shown("x")
    ('true', '0.5', '["a", "b"]', '"x"')
    """
    import json

    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, (bool, int, float)):
        return str(value).lower()
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
