"""What `remove`, `demo` and `apply` print about files without a result, and why the exit code is 1."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ...audit import manifest_files
from ...errors import UsageError
from ...records import RELEASED
from ...run.one_file import NO_IMAGE
from ...run.output_paths import MAP
from ...system import regular_files
from ...system.wording import counted, verb

SHOWN = 10  # highest number of files that are listed; the manifest has all
LONGEST_SUFFIX = 6  # longest suffix that is proposed to `--ignore`, characters: a longer one may be part of a name
ITSELF = "the file"


def trouble_lines(audit: Path) -> list[str]:
    """The held and failed files of a run with their reasons, by path below OUT, the first `SHOWN`; [] where there are none.

    A reason may name the input; where its path below OUT is a pseudonym, the name is left out.

    Args:
        audit: folder of the run, finished.
    """
    rows = sorted((row for row in manifest_files.read_manifest(audit / manifest_files.MANIFEST) if row["status"] not in RELEASED),
                  key=lambda row: row["relative"])
    if not rows:
        return []
    names = _names_of_inputs(audit)
    lines = [f"{counted(len(rows), 'file')} held or failed:"]
    lines += [f"  {row['status']}: {shown(row['relative'])}: {_reason(row, names.get(row['relative'], ''))}" for row in rows[:SHOWN]]
    if len(rows) > SHOWN:
        lines.append(f"  and {len(rows) - SHOWN} more (see {manifest_files.MANIFEST})")
    return lines + _ignorable([row["relative"] for row in rows if row.get("reason") == NO_IMAGE])


def exit_line(summary: dict[str, Any], others: Sequence[str] = ()) -> str:
    """Why the exit code is 1, in one sentence; "" where it is 0.

    Args:
        summary: the content of summary.json.
        others: further reasons, each a clause.
    """
    counts, released = summary["counts"], summary["released_held"]
    clauses = [f"{counted(counts[status], 'file')} {word}" for status, word in (("held", verb(counts["held"], "was held", "were held")), ("failed", "failed"))
               if counts[status]]
    without = [" and ".join(clauses)] if clauses else []
    if without and not summary["options"]["dry_run"]:
        without[0] += f", and {verb(counts['held'] + counts['failed'], 'has', 'have')} no output"
    if released:
        without.append(f"{counted(released, 'file')} {verb(released, 'was', 'were')} written although something still shows")
    reasons = [*without, *others]
    return f"exit code 1: {'; '.join(reasons)}" if reasons else ""


def shown(text: str) -> str:
    """A path as one line of visible characters: others, which could steer a terminal, are escaped.

    >>> shown("a/caf\u00e9.png"), shown("a\\n\\x1b[2J.png")
    ('a/caf\u00e9.png', 'a\\\\n\\\\x1b[2J.png')
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode("ascii") for char in text)


def _names_of_inputs(audit: Path) -> dict[str, str]:
    """Path below OUT -> file name of the input, of pseudonymised paths."""
    try:
        rows = [json.loads(line) for line in regular_files.read(audit / MAP).decode("utf-8").splitlines()]
        return {str(row["relative"]): PurePosixPath(str(row["input"])).name for row in rows}
    except (OSError, UsageError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _reason(row: dict[str, Any], name: str) -> str:
    """The reason of a row without the file's own name in front, and without the name of its input anywhere."""
    text = str(row.get("reason", ""))
    for own in (name, PurePosixPath(row["relative"]).name):
        text = text.removeprefix(f"{own}: ") if own else text
    return shown(text.replace(name, ITSELF) if name and name != PurePosixPath(row["relative"]).name else text)


def _ignorable(paths: Iterable[str]) -> list[str]:
    """How to leave out files that are no images."""
    paths = list(paths)
    if not paths:
        return []
    suffixes = sorted({PurePosixPath(path).suffix for path in paths})
    plain = [suffix for suffix in suffixes if 1 < len(suffix) <= LONGEST_SUFFIX and suffix[1:].isascii() and suffix[1:].isalnum()][:3]
    options = " ".join(f'--ignore "*{suffix}"' for suffix in plain) or "--ignore GLOB"
    noun = verb(len(paths), "failed file is no radiograph", "failed files are no radiographs")
    return [f"{len(paths)} {noun}: {options} leaves out what is none"]
