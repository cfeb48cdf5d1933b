"""Parsers of option values that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from ..errors import UsageError
from ..keep_lists import groups
from ..scope.modality import checked_modalities


class Switch(argparse.Action):
    """A switch --NAME with a counterpart --no-NAME, for where a configuration file turned it on; the help names the first only."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        (name,) = option_strings
        super().__init__([name, f"--no-{name[2:]}"], dest, nargs=0, default=False, **options)

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None) -> None:
        """Set the option to whether it was named without no-."""
        setattr(namespace, self.dest, not (option_string or "").startswith("--no-"))


def keep_items(text: str) -> tuple[str, ...]:
    """The items of a comma-separated keep list, as they were written; `none` is the empty tuple. Quotes around an item are left out.

    >>> keep_items("l, 'AP erect',projection"), keep_items("none")
    (('l', 'AP erect', 'projection'), ())
    """
    if text.strip().lower() == "none":
        return ()
    items = tuple(_unquoted(item.strip()) for item in text.split(","))
    if not all(items):
        raise argparse.ArgumentTypeError(f"{text!r}: allowed are laterality markers, phrases and groups separated by commas, or none")
    return items


def _unquoted(item: str) -> str:
    return item[1:-1].strip() if len(item) > 1 and item[0] == item[-1] and item[0] in "'\"" else item


def parse_keep(text: str) -> tuple[str, ...]:
    """Laterality markers and phrases, upper case, from a comma-separated list with the shipped groups; `none` is the empty tuple.

    >>> parse_keep("l, Semi - erect"), parse_keep("none")
    (('L', 'SEMI-ERECT'), ())
    """
    try:
        return groups.expanded(keep_items(text), strict=True)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_shard(text: str) -> tuple[int, int]:
    """Number of a part, and number of parts.

    >>> parse_shard("2/8")
    (2, 8)
    """
    part, slash, count = text.partition("/")
    if not (slash and part.isascii() and part.isdigit() and count.isascii() and count.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r}: allowed is I/N, two whole numbers, I from 1 to N")
    return int(part), int(count)


def parse_modalities(text: str) -> tuple[str, ...]:
    """Names of `scope.modality.ALLOWABLE`, upper case; `none` is the empty tuple.

    >>> parse_modalities("ct, photo"), parse_modalities("none")
    (('CT', 'PHOTO'), ())
    """
    try:
        return () if text.strip().lower() == "none" else checked_modalities(text.split(","))
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
