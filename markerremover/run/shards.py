"""A run in several parts, each a process on any machine: the files of each part, and the folder of its audit.

A file's part is determined by the hash of its path below its input, so that all parts agree without communication. Each part has its own
folder in the audit folder with a manifest, temporary files and pictures that no other part changes.
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

from ..audit import full_pictures, manifest_files
from ..audit.crops import file_id, thumb_names
from ..errors import UsageError
from ..system import locks, regular_files
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


def own(gathered: Sequence[Input], assigned: Sequence[Input], shard: tuple[int, int] | None) -> list[Input]:
    """The inputs of one part; all inputs if `shard` is None.

    Args:
        gathered: the inputs with the paths below their inputs, which determine the part.
        assigned: the same inputs in the same order, with their paths below OUT.
    """
    if shard is None:
        return list(assigned)
    return [new for old, new in zip(gathered, assigned) if shard_of(old.relative, shard[1]) == shard[0]]


def folder(audit: Path, shard: tuple[int, int] | None) -> Path:
    """The folder of a part's audit; for a whole run the audit folder itself."""
    return audit if shard is None else audit / f"shard-{shard[0]}-of-{shard[1]}"


def folders(audit: Path) -> list[Path]:
    """The folders of the parts in an audit folder, by number."""
    if not audit.is_dir():
        return []
    matches = [(match, path) for path in audit.iterdir() if (match := _NAME.fullmatch(path.name)) and path.is_dir()]
    return [path for match, path in sorted(matches, key=lambda pair: (int(pair[0][2]), int(pair[0][1])))]


def check_count(audit: Path, shard: tuple[int, int]) -> None:
    """Check that the audit folder holds no parts of another number of parts, since some files would then belong to no part.

    Raises:
        UsageError: it holds such parts.
    """
    counts = {int(match[2]) for path in folders(audit) if (match := _NAME.fullmatch(path.name))} - {shard[1]}
    if counts:
        raise UsageError(f"{audit} holds parts of {min(counts)}, not of {shard[1]}: use the same number, or another audit folder")


def earlier_rows(audit: Path) -> dict[str, tuple[dict[str, Any], Path]]:
    """Relative path -> (row, folder of its audit), of the parts in an audit folder."""
    return {row["relative"]: (row, path) for path in folders(audit) for row in manifest_files.read_manifest(path / manifest_files.MANIFEST)}


def take_over_crops(row: dict[str, Any], source: Path, audit: Path) -> None:
    """Link or copy the pictures of a row of a part into the audit; missing pictures are left out."""
    small = {*thumb_names(row["relative"]), *(name for pair in row.get("crops", []) for name in pair if name)}
    paths = [Path("crops", name) for name in small] + [Path(full_pictures.FOLDER, name) for name in full_pictures.names(file_id(row["relative"]))]
    if (source / full_pictures.FOLDER).is_dir():
        regular_files.folder(audit / full_pictures.FOLDER)
    for path in paths:
        old, new = source / path, audit / path
        if not old.is_file() or new.exists():
            continue
        try:
            os.link(old, new)
        except OSError:  # a file system without links
            shutil.copy2(old, new)


@contextmanager
def exclusive(audit: Path) -> Iterator[None]:
    """Lock an audit folder, which is created if necessary, for the duration of the block.

    Raises:
        UsageError: another run uses it, or it cannot be written.
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
