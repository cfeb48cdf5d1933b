"""The manifest as a stranger reads it: JSON lines, and the removed area of each box."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError
from .findings import Finding

RELEASED, WITHHELD = ("cleaned", "unchanged"), ("held", "failed")


class DamagedRowError(Exception):
    """A field of a row is missing or makes no sense; the message names the field."""


@dataclass(frozen=True)
class Areas:
    """What a row says was removed: `black`, and `filled`, (F, H, W) bool; no pixel is in both."""

    black: np.ndarray
    filled: np.ndarray

    @property
    def removed(self) -> np.ndarray:
        """(F, H, W) bool: all removed pixels."""
        return self.black | self.filled


def read(manifest: Path) -> tuple[list[dict[str, Any]], list[Finding]]:
    """The rows of a manifest, and a finding for each line that is no row.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        text = manifest.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{manifest}: the manifest cannot be read ({error.strerror})") from error
    rows, findings = [], []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict) and isinstance(row.get("relative"), str) and row.get("status") in RELEASED + WITHHELD:
            rows.append(row)
        else:
            findings.append(Finding(manifest.name, "account", f"line {number} is no row"))
    return rows, findings


def renamed(manifest: Path) -> dict[str, str]:
    """Path below the input -> path below OUT, as the list of pseudonyms beside a manifest says; {} where there is none."""
    try:
        text = manifest.with_name("paths.jsonl").read_text(encoding="utf-8", errors="replace")
        pairs = [json.loads(line) for line in text.splitlines()]
        return {pair["input"]: pair["relative"] for pair in pairs}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def areas(row: dict[str, Any], shape_fhw: tuple[int, int, int]) -> Areas:
    """The removed areas of a row.

    Args:
        shape_fhw: frames, rows and columns of the picture.

    Raises:
        DamagedRowError: a box does not lie in the picture, or its area cannot be read.
    """
    black, filled = np.zeros(shape_fhw, bool), np.zeros(shape_fhw, bool)
    for number, box in enumerate(_list(row, "boxes")):
        try:
            frame, (x1, y1, x2, y2) = int(box["frame"]), map(int, box["xyxy"])
            whole = "removed" not in box
            area = np.ones((y2 - y1, x2 - x1), bool) if whole else unpacked(box["removed"], (y2 - y1, x2 - x1))
            if not (0 <= frame < shape_fhw[0] and 0 <= x1 < x2 <= shape_fhw[2] and 0 <= y1 < y2 <= shape_fhw[1]):
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise DamagedRowError(f"box {number} of its row does not fit the picture, or cannot be read") from None
        (filled if box.get("style") == "fill" else black)[frame, y1:y2, x1:x2] |= area
    return Areas(black, filled & ~black)


def unpacked(text: str, shape_hw: tuple[int, int]) -> np.ndarray:
    """(h, w) bool: a box's area as the manifest has it, base64 of deflated bits.

    Raises:
        ValueError: it is no such text, or has another number of bits.
    """
    size = shape_hw[0] * shape_hw[1]
    try:
        inflate = zlib.decompressobj()
        packed = inflate.decompress(base64.b64decode(text, validate=True), (size + 7) // 8 + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError("no deflated bits") from error
    if size < 1 or len(packed) != (size + 7) // 8:
        raise ValueError("another number of bits")
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=size).reshape(shape_hw).astype(bool)


def encoded_again(row: dict[str, Any]) -> bool:
    """Whether the row says of a JPEG picture that all of its blocks were encoded again."""
    said = row.get("jpeg")
    return isinstance(said, dict) and said.get("coefficients") == "encoded again"


def notes(row: dict[str, Any]) -> list[str]:
    """What the row says was changed beside the removed areas."""
    return [str(note) for note in _list(row, "notes")]


def _list(row: dict[str, Any], name: str) -> list[Any]:
    value = row.get(name, [])
    if not isinstance(value, list):
        raise DamagedRowError(f"{name} of its row is no list")
    return value
