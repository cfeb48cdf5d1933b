"""Rows of an earlier run that --resume reuses, and the files that remain to be cleaned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..audit import manifest_files
from ..options import RunOptions
from ..records import RELEASED
from ..redaction import corrections
from ..system.files import sha256_file
from . import shards
from .inputs import Input


def _rows(audit: Path) -> Iterator[dict[str, Any]]:
    """The rows of earlier runs into an audit, including its parts."""
    for folder in (audit, *shards.folders(audit)):
        yield from manifest_files.read_manifest(folder / manifest_files.MANIFEST)


def _was_dry(audit: Path) -> bool:
    """Whether the audit is from a finished dry run, which a real run may replace."""
    try:
        return json.loads((audit / manifest_files.SUMMARY).read_text(encoding="utf-8"))["options"]["dry_run"] is True
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _split_finished(
    assigned: list[Input], out: Path, audit: Path, options: RunOptions, run: dict[str, str], reviews: dict[str, corrections.Review]
) -> tuple[list[dict[str, Any]], list[Input]]:
    """Rows that --resume reuses, and the remaining inputs; the manifest is reduced to the former. A whole run also reuses rows of earlier
    parts."""
    if not options.resume:
        return [], assigned
    earlier = {} if options.shard else shards.earlier_rows(audit)
    earlier |= {row["relative"]: (row, audit) for row in manifest_files.read_manifest(audit / manifest_files.MANIFEST)}
    rows, todo = [], []
    for item in assigned:
        row, home = earlier.get(item.relative, (None, audit))
        digest = reviews[item.relative].digest if item.relative in reviews else ""
        if row and not item.problem and (row.get("review") or {}).get("digest", "") == digest and _finished(row, item, out, options, run):
            rows.append(row)
            if home != audit:
                shards.take_over_crops(row, home, audit)
        else:
            todo.append(item)
    manifest_files.write_rows(audit / manifest_files.MANIFEST, rows)
    return rows, todo


def _finished(row: dict[str, Any], item: Input, out: Path, options: RunOptions, run: dict[str, str]) -> bool:
    """Whether a row is of this very input, cleaned with these weights and options, with its output unchanged."""
    if row["status"] not in RELEASED or any(row.get(key) != value for key, value in run.items()):
        return False
    if "modality" not in row and (row.get("format") == "DICOM" or len(row.get("shape", ())) > 3):
        return False  # of a version that let everything through
    target = out / item.relative
    try:
        if row.get("sha256_in") != sha256_file(item.source):
            return False
        return options.dry_run or (not target.is_symlink() and row.get("sha256_out") == sha256_file(target))
    except OSError:
        return False
