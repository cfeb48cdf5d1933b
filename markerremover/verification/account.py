"""Which input, row and output belong together, and what stands alone. By path where a path was kept or is in the list of pseudonyms, else by SHA-256."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .findings import Finding
from .rows import RELEASED


@dataclass(frozen=True)
class Pair:
    """One input with its row and its output."""

    source: Path
    output: Path
    row: dict[str, Any]


@dataclass(frozen=True)
class _Input:
    path: Path
    relative: str
    sha256: str  # "" of what is no regular file


def files_below(folder: Path) -> list[tuple[Path, str]]:
    """Path, and path below the folder with `/`, of everything below a folder that is no folder, links included; sorted."""
    found = []
    for parent, folders, names in os.walk(folder):
        linked = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        found += [(path, path.relative_to(folder).as_posix()) for path in (Path(parent, name) for name in (*names, *linked))]
    return sorted(found, key=lambda pair: pair[1])


def sha256(path: Path) -> str:
    """Hex SHA-256 of a regular file; "" of anything else, and of a file that cannot be read."""
    try:
        if os.path.islink(path) or not os.path.isfile(path):
            return ""
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError:
        return ""


def gathered(inputs: Sequence[Path], ignore: Sequence[str]) -> tuple[list[_Input], int]:
    """The files of the inputs, and the number of those that a glob leaves out. Paths are those below a folder; of several folders they begin
    with its name.

    Raises:
        UsageError: an input does not exist.
    """
    found, ignored = [], 0
    for given in inputs:
        if not given.exists():
            raise UsageError(f"{given}: there is no such file or folder")
        real = given.resolve()
        prefix = f"{real.name}/" if len(inputs) > 1 and given.is_dir() else ""
        for path, relative in files_below(real) if given.is_dir() else [(real, given.name)]:
            if any(fnmatchcase(text, glob) for glob in ignore for text in (path.name, relative)):
                ignored += 1
            else:
                found.append(_Input(path, prefix + relative, sha256(path)))
    return found, ignored


def matched(
    inputs: Sequence[_Input], rows: Sequence[dict[str, Any]], renamed: dict[str, str], out: Path
) -> tuple[list[Pair], list[Finding]]:
    """The pairs to compare, and every input, row or output that stands alone or is not as its row says."""
    findings: list[Finding] = []
    left: dict[int, dict[str, Any]] = dict(enumerate(rows))
    by_path, by_digest = defaultdict(list), defaultdict(list)
    for number, row in left.items():
        by_path[row["relative"]].append(number)
        by_digest[row.get("sha256_in")].append(number)
    found: list[tuple[_Input, dict[str, Any]]] = []

    def take(item: _Input, numbers: Sequence[int]) -> bool:
        fitting = [n for n in numbers if n in left and left[n].get("sha256_in", "") in ("", item.sha256)]
        if fitting:
            found.append((item, left.pop(fitting[0])))
        return bool(fitting)

    unmatched = [item for item in inputs if not take(item, by_path[renamed.get(item.relative, item.relative)])]
    for item in unmatched:
        if not item.sha256 or not take(item, by_digest[item.sha256]):
            others = by_path[renamed.get(item.relative, item.relative)]
            findings.append(Finding(item.relative, "account", "the row of its path is about a file with another SHA-256" if others else "input without a row"))
    findings += [Finding(row["relative"], "account", "row without an input") for row in left.values()]
    return _with_outputs(found, rows, out, findings)


def _with_outputs(
    found: list[tuple[_Input, dict[str, Any]]], rows: Sequence[dict[str, Any]], out: Path, findings: list[Finding]
) -> tuple[list[Pair], list[Finding]]:
    outputs = {relative: path for path, relative in files_below(out)}
    released: dict[str, int] = defaultdict(int)
    for row in rows:
        released[row["relative"]] += row["status"] in RELEASED
    for relative, path in outputs.items():
        if not released[relative]:
            withheld = any(row["relative"] == relative for row in rows)
            findings.append(Finding(relative, "account", "output of a file that was held or failed" if withheld else "output without a row"))
        elif not os.path.isfile(path) or os.path.islink(path):
            findings.append(Finding(relative, "account", "is no regular file"))
    findings += [Finding(relative, "account", f"{number} rows have this output") for relative, number in released.items() if number > 1]
    pairs = []
    for item, row in found:
        relative = row["relative"]
        if row["status"] not in RELEASED:
            continue
        if relative not in outputs:
            findings.append(Finding(relative, "account", f"its row says {row['status']}, and there is no output"))
            continue
        if sha256(outputs[relative]) != row.get("sha256_out"):
            findings.append(Finding(relative, "account", "the output is not the file that the row is about: its SHA-256 differs"))
        pairs.append(Pair(item.path, outputs[relative], row))
    return pairs, findings
