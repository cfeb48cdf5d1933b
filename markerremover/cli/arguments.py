"""Values of options that several commands share."""

from __future__ import annotations

import argparse


def parse_keep(text: str) -> tuple[str, ...]:
    """Signs from a comma-separated list; `none` is the empty tuple.

    >>> parse_keep("l, R"), parse_keep("none")
    (('L', 'R'), ())
    """
    if text.strip().lower() == "none":
        return ()
    signs = tuple(sign.strip().upper() for sign in text.split(","))
    if not all(sign.isalnum() for sign in signs):
        raise argparse.ArgumentTypeError(f"{text!r}: allowed are letters and digits separated by commas, or none")
    return signs


def parse_shard(text: str) -> tuple[int, int]:
    """A part and how many there are.

    >>> parse_shard("2/8")
    (2, 8)
    """
    part, slash, count = text.partition("/")
    if not (slash and part.isascii() and part.isdigit() and count.isascii() and count.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r}: allowed is I/N, two whole numbers, I from 1 to N")
    return int(part), int(count)
