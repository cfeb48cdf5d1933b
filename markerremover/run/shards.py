"""A run in several parts, each a process of its own on any machine: which files are whose, and where each part keeps its audit.

A file's part is told by the hash of its path below its input alone, so that all parts agree without talking to each other, and each
has a folder of its own in the audit folder: a manifest, temporary files and pictures that no other part touches.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..audit import manifest_files
from ..audit.crops import thumb_names
from ..errors import UsageError
from ..system import locks
from .inputs import Input

LOCK = "lock"
_NAME = re.compile(r"shard-(\d+)-of-(\d+)")


def shard_of(relative: str, count: int) -> int:
    """Number from 1 to `count` of the part that a path below an input belongs to.

    >>> sorted({shard_of(f"{i}.png", 3) for i in range(50)})
    [1, 2, 3]
    """
    digest = hashlib.sha256(relative.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") % count + 1


def own(given: Sequence[Input], found: Sequence[Input], shard: tuple[int, int] | None) -> list[Input]:
    """The inputs of one part, of all without one.

    Args:
        given: the inputs with the paths below their inputs, which decide.
        found: the same in the same order, with the paths that they get below OUT.
    """
    if shard is None:
        return list(found)
    return [new for old, new in zip(given, found) if shard_of(old.relative, shard[1]) == shard[0]]


def folder(audit: Path, shard: tuple[int, int] | None) -> Path:
    """Where a part keeps its audit; that of a whole run is the audit folder itself."""
    return audit if shard is None else audit / f"shard-{shard[0]}-of-{shard[1]}"


def folders(audit: Path) -> list[Path]:
    """The folders of the parts in an audit folder, by number."""
    if not audit.is_dir():
        return []
    found = [(match, path) for path in audit.iterdir() if (match := _NAME.fullmatch(path.name)) and path.is_dir()]
    return [path for match, path in sorted(found, key=lambda pair: (int(pair[0][2]), int(pair[0][1])))]


def check_count(audit: Path, shard: tuple[int, int]) -> None:
    """Refuse a part of another number of parts than the audit folder holds already: some files would be no part's.

    Raises:
        UsageError: it holds such.
    """
    others = {int(_NAME.fullmatch(path.name)[2]) for path in folders(audit)} - {shard[1]}
    if others:
        raise UsageError(f"{audit} holds parts of {min(others)}, not of {shard[1]}: use the same number, or another audit folder")


def earlier_rows(audit: Path) -> dict[str, tuple[dict[str, Any], Path]]:
    """Relative path -> (row, folder of its audit), of the parts in an audit folder."""
    return {row["relative"]: (row, path) for path in folders(audit) for row in manifest_files.read_manifest(path / manifest_files.MANIFEST)}


def take_over_crops(row: dict[str, Any], source: Path, audit: Path) -> None:
    """Give the audit the pictures of a row that a part made; a picture that is not there is left out."""
    for name in {*thumb_names(row["relative"]), *(name for pair in row.get("crops", []) for name in pair if name)}:
        old, new = source / "crops" / name, audit / "crops" / name
        if not old.is_file() or new.exists():
            continue
        try:
            os.link(old, new)
        except OSError:  # a file system without links
            shutil.copy2(old, new)


@contextmanager
def alone(audit: Path) -> Iterator[None]:
    """Keep other runs out of an audit folder, made if need be, for as long as the block takes or this process lives.

    Raises:
        UsageError: another run is at work in it, or it cannot be written.
    """
    try:
        audit.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = locks.hold(audit / LOCK, f"{audit}: another run is at work in it", "use another folder with --audit")
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be written ({error.strerror})") from error
    try:
        yield
    finally:
        lock.release()
