"""Parsers of option values that several commands share."""

from __future__ import annotations

import argparse

from ..errors import UsageError
from ..scope.modality import checked_modalities


def parse_keep(text: str) -> tuple[str, ...]:
    """Laterality markers, upper case, from a comma-separated list; `none` is the empty tuple.

    >>> parse_keep("l, R"), parse_keep("none")
    (('L', 'R'), ())
    """
    if text.strip().lower() == "none":
        return ()
    markers = tuple(marker.strip().upper() for marker in text.split(","))
    if not all(marker.isalnum() for marker in markers):
        raise argparse.ArgumentTypeError(f"{text!r}: allowed are letters and digits separated by commas, or none")
    return markers


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
