"""Which files of a run may be exported, and why others may not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..audit import manifest_files
from ..errors import UsageError
from ..records import RELEASED
from ..redaction import corrections
from ..redaction.corrections import Review
from ..run import run_file
from ..system.files import sha256_file

NO_OUTPUT = "the run {status} it, so it has no output (see the manifest for the reason)"
STRAY = "no row of the manifest released it"
MISSING = "its result is missing"
LINKED = "it is a link, or lies behind one"
CHANGED = "its SHA-256 is not that in the manifest: it was changed after the run"
UNREAD = "its result cannot be read"
UNAPPLIED = "a reviewer's decisions on it are not applied: `markerremover apply` applies them"
STILL_SHOWS = "it was written although something still shows (--release-held), and nobody released it in a review"
TELLS = "its path holds a name, number or UID of its own header"


@dataclass(frozen=True)
class Refusal:
    """A file that is not exported.

    source_file: path below CLEAN.  reason: a fixed phrase, without anything of the file's content.
    asked: whether the user asked for it (`--skip`), so that it is no failure.
    """

    source_file: str
    reason: str
    asked: bool = False


@dataclass(frozen=True)
class Released:
    """A finished run whose results may be exported.

    clean: its output folder, resolved.  run: its options.  rows: of the manifest by path, of files that may be exported.
    refused: the others.  summary: content of summary.json.  reviews: state of each file's review by path.
    """

    clean: Path
    run: run_file.Run
    rows: Mapping[str, dict[str, Any]]
    refused: tuple[Refusal, ...]
    summary: Mapping[str, Any]
    reviews: Mapping[str, Review]


def read(clean: Path, audit: Path) -> Released:
    """The released files of a run. Nothing is decoded here.

    Raises:
        UsageError: there is no such folder or audit; the run was dry, did not end, is in parts, or kept the headers, whose names would identify.
    """
    if not clean.is_dir():
        raise UsageError(f"{clean}: there is no such folder; it is the OUT of a run of `remove`")
    run = run_file.read(audit)
    summary = manifest_files.read_summary(audit)
    if not summary or not summary.get("reconciles"):
        raise UsageError(f"{audit / manifest_files.SUMMARY}: is missing or damaged, `remove --resume` finishes the run")
    if run.options.dry_run:
        raise UsageError(f"{audit}: the run was dry, so it has no results")
    if run.options.headers == "keep":
        raise UsageError(f"{audit}: the run kept headers, so its files still identify: run `remove` with --headers basic")
    clean, rows = clean.resolve(), manifest_files.checked_rows(audit)
    reviews = corrections.reviews(corrections.read_events(corrections.log_path(audit)))
    reasons = {relative: _reason(row, clean, reviews.get(relative)) for relative, row in rows.items()}
    released = {relative for relative, row in rows.items() if row["status"] in RELEASED}
    refused = [Refusal(relative, reason) for relative, reason in reasons.items() if reason]
    files = {Path(parent, name).relative_to(clean).as_posix() for parent, folders, names in os.walk(clean)
             for name in (*names, *(folder for folder in folders if os.path.islink(Path(parent, folder))))}
    refused += [Refusal(relative, STRAY) for relative in files - released if relative not in rows]
    kept = {relative: rows[relative] for relative in sorted(rows) if not reasons[relative]}
    return Released(clean, run, kept, tuple(sorted(refused, key=lambda refusal: refusal.source_file)), summary, reviews)


def _reason(row: Mapping[str, Any], clean: Path, review: Review | None) -> str:
    """Why a row's result may not be exported, "" if it may."""
    if row["status"] not in RELEASED:
        return NO_OUTPUT.format(status=row["status"])
    if row.get("path_tells"):
        return TELLS
    applied = row.get("review") or {}
    if review is not None and review.digest != applied.get("digest", ""):
        return UNAPPLIED
    if row.get("released_held") and applied.get("verdict") != "release":
        return STILL_SHOWS
    return changed(clean, row)


def changed(clean: Path, row: Mapping[str, Any]) -> str:
    """Why a result is not the file that the run wrote, "" if it is."""
    path = clean / row["relative"]
    try:
        if not os.path.lexists(path):
            return MISSING
        if os.path.realpath(path) != os.path.normpath(path) or not path.is_relative_to(clean) or not path.is_file():
            return LINKED
        return "" if row["sha256_out"] and sha256_file(path) == row["sha256_out"] else CHANGED
    except (OSError, ValueError):
        return UNREAD
