"""`markerremover apply`: files that a person corrected are cleaned again by the same steps as every file.

The result of a file is replaced atomically, or left unchanged; where a person saw an annotation that cannot be removed, the result is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import records
from ..audit import manifest_files, tables
from ..errors import MarkerRemoverError, UsageError
from ..formats import read_apart
from ..options import RunOptions
from ..records import Outcome
from ..redaction import corrections
from ..redaction.cleaning import Cleaner
from ..redaction.corrections import FOLDER, Review
from ..run import batch, run_file, run_summary
from ..run.inputs import Input
from ..run.workers import Place
from ..system import locks, regular_files
from ..system.files import take_away
from ..triage import duplicates
from . import labels, sampling
from .session import base_boxes

LABELS = "labels"
WAIT_S = 3.0  # a node holds the lock while it adds rows to its quarantine, which takes less
GONE = "its original is no longer where the run found it"


def apply(
    audit: Path, *, every_label: bool = False, open_cleaner: Callable[[int], Cleaner] | None = None,
    progress: Callable[[Outcome, int, int], None] | None = None,
) -> dict[str, Any]:
    """Clean corrected files again, and update manifest, summary and page.

    Args:
        audit: folder of the run.
        every_label: write LabelMe files of all reviewed files, not only of corrected ones.
        open_cleaner, progress: as in `batch.remove`.

    Returns:
        `redone`: number of files with a new result; `withdrawn`: paths whose result was removed; `left`: (path, reason) of files whose result
        is unchanged; `unknown`: reviewed paths that the run does not have; `statements`: names of removed statements on samples, of which
        results were redone; `labels`: number of LabelMe files; `summary`: the new content of summary.json.

    Raises:
        UsageError: no audit of a real run, another `apply` is running on it, OUT is missing, or the weights are not those of the run.
    """
    run = run_file.read(audit)
    if run.options.dry_run or run.options.by_hand:
        raise UsageError(f"{run.audit}: the run was dry or its boxes were drawn by hand, so there is nothing to redo")
    if not run.out.is_dir() or run.out.resolve() != run.out:
        raise UsageError(f"{run.out}: the output folder of the run is missing, or is a link")
    with _exclusive(run.audit):
        return _apply(run, every_label, open_cleaner, progress)


def _apply(
    run: run_file.Run, every_label: bool, open_cleaner: Callable[[int], Cleaner] | None, progress: Callable[[Outcome, int, int], None] | None,
) -> dict[str, Any]:
    rows = manifest_files.checked_rows(run.audit)
    reviews = corrections.reviews(corrections.read_events(corrections.log_path(run.audit)))
    unknown = corrections.unknown(reviews, rows)
    unchanged = [(r, "the log is about another file: its SHA-256 has changed") for r, v in reviews.items() if r in rows and
        v.sha256_in != rows[r]["sha256_in"]]
    reviews = {r: v for r, v in reviews.items() if r in rows and v.sha256_in == rows[r]["sha256_in"]}
    changed = [r for r, row in rows.items() if _digest(reviews.get(r)) != (row.get("review") or {}).get("digest", "")]
    mismatched, all_changed = {name for name, _ in unchanged}, set(changed)
    changed = [r for r in changed if r not in mismatched]
    for relative, review in reviews.items():  # reviewed without corrections
        if relative not in all_changed and review.verdict:
            rows[relative]["review"] = {**review.as_row(), "boxes_before": manifest_files.boxes_before(rows[relative])}
    redone = 0
    withdrawn: list[str] = []
    sources = run_file.sources(run)
    if changed:
        for number, (outcome, facts) in enumerate(_outcomes(run, [rows[r] for r in changed], reviews, sources, open_cleaner), 1):
            old, correction = rows[outcome.relative], reviews.get(outcome.relative)
            entry = {} if correction is None else {"review": {**correction.as_row(), "boxes_before": manifest_files.boxes_before(old)}}
            if outcome.status in records.RELEASED:
                rows[outcome.relative] = manifest_files.manifest_row(outcome, facts) | entry
                redone += 1
            elif old["status"] not in records.RELEASED:
                rows[outcome.relative] = old | entry | {"status": outcome.status, "reason": outcome.reason}
            elif corrections.unapplied(correction, old):
                take_away(outcome.relative, run.out)
                rows[outcome.relative] = old | entry | {
                    "status": "held", "sha256_out": "",
                    "reason": f"a person found an annotation in the result, so it was removed; it could not be redone ({outcome.reason})",
                }
                rows[outcome.relative]["review"]["digest"] = ""  # the next `apply` tries again
                withdrawn.append(outcome.relative)
            else:
                unchanged.append((outcome.relative, outcome.reason))
            manifest_files.write_rows(run.audit / manifest_files.MANIFEST, rows.values())
            if progress:
                progress(outcome, number, len(changed))
    rows = {row["relative"]: row for row in duplicates.marked(list(rows.values()))}
    manifest_files.write_rows(run.audit / manifest_files.MANIFEST, rows.values())
    summary = _summary(run.audit, list(rows.values()))
    manifest_files.write_summary(run.audit, summary)
    tables.write_tables(run.audit, rows.values())
    manifest_files.write_page(run.audit, rows.values(), summary)
    statements = sampling.withdraw_statements(run.audit, reviews, rows)
    label_count = _labels(run, rows, reviews, sources, every_label)
    return {
        "redone": redone, "withdrawn": withdrawn, "left": unchanged, "unknown": unknown, "statements": statements, "labels": label_count,
        "summary": summary,
    }


def _digest(review: Review | None) -> str:
    return review.digest if review else ""


def _outcomes(
    run: run_file.Run, rows: list[dict[str, Any]], reviews: dict[str, Review], sources: dict[str, Path],
    open_cleaner: Callable[[int], Cleaner] | None,
) -> Iterator[tuple[Outcome, dict[str, str]]]:
    """One outcome per row, and the fields that all new rows share.

    Raises:
        UsageError: the weights are not those of the run.
    """
    options = replace(run.options, overwrite=True)
    make = open_cleaner or _maker(options)
    with batch.crew(options, make, len(rows)) as crew:
        headers = options.header_profile()
        facts = run_summary.run_facts(crew.equipment(), options, headers)
        if any(row["weights_sha256"] != facts["weights_sha256"] for row in rows):
            raise UsageError("the weights are not those of the run (their SHA-256 differs): run `remove` again")
        inputs: list[Input] = []
        by_path: dict[str, records.Corrections] = {}
        for row in rows:
            relative = row["relative"]
            source = sources.get(relative)
            inputs.append(Input(source or Path(relative), relative, "" if source else GONE))
            if correction := corrections.of_run(reviews.get(relative), manifest_files.boxes_before(row)):
                by_path[relative] = correction
        for name in ("tmp", "crops"):
            regular_files.folder(run.audit / name)
        for outcome in batch.outcomes(inputs, Place(run.out, run.audit, options, headers), crew, by_path):
            yield outcome, facts


def _maker(options: RunOptions) -> Callable[[int], Cleaner]:
    import functools

    return functools.partial(batch.open_shipped, options)


def _summary(audit: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of summary.json with the present counts of the rows.

    Raises:
        UsageError: there is none, since the run did not end.
    """
    try:
        if not (summary := manifest_files.read_summary(audit)):
            raise KeyError
        return summary | run_summary.counts_of(rows) | {
            "reviewed": sum(bool((row.get("review") or {}).get("verdict")) for row in rows),
            "corrected": sum(bool((row.get("review") or {}).get("digest")) for row in rows),
        }
    except KeyError as error:
        raise UsageError(f"{audit / manifest_files.SUMMARY}: is missing or damaged, `remove --resume` finishes the run") from error


def _labels(run: run_file.Run, rows: dict[str, dict[str, Any]], reviews: dict[str, Review], sources: dict[str, Path], every: bool) -> int:
    """Write LabelMe files of reviewed files; returns their number. Originals that cannot be read have none."""
    folder = run.audit / FOLDER / LABELS
    for part in (folder, folder / "images", folder / "annotations"):
        if regular_files.real(part):
            regular_files.folder(part)
    for relative, row in rows.items():
        review = reviews.get(relative)
        if review is None or not review.verdict or not (review.digest or review.named or every):
            if folder.is_dir():
                labels.remove(folder, relative)
            continue
        try:
            radiograph = read_apart.read(sources[relative])
        except (MarkerRemoverError, OSError, KeyError):
            continue
        boxes = base_boxes(row)
        frames = {0} | {m.frame for m in review.marks} | {b["frame"] for b in boxes}
        for frame in sorted(f for f in frames if f < len(radiograph.display)):
            elements = labels.elements(boxes, review, frame, run.options.resolved_policy, radiograph.shape_hw)
            origin = {"sha256": row["sha256_in"], "frame": frame, "reviewer": review.who, "when": review.when,
                "digest": review.digest, **labels.patient(radiograph)}
            labels.write(folder, labels.name_of(relative, frame), radiograph.display[frame], elements, reviewed=True, origin=origin)
    return len(list((folder / "annotations").glob("*.json"))) if folder.is_dir() else 0


@contextmanager
def _exclusive(audit: Path) -> Iterator[None]:
    """Only one `apply` at a time.

    Raises:
        UsageError: another one is running.
    """
    folder = audit / FOLDER
    regular_files.folder(folder)
    with locks.held(folder / "apply.lock", f"{audit}: another `apply` is running on it", wait_s=WAIT_S):
        yield
