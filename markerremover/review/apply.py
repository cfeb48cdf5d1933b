"""`markerremover apply`: the files of which people said something other than the program, cleaned again on the path of every file.

The result of a file is replaced in one step, or stays as it is; where a person saw a marking and it cannot be taken out, the result goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import records
from ..audit import manifest_files
from ..errors import MarkerRemoverError, UsageError
from ..formats import read_apart
from ..records import Outcome
from ..redaction import corrections
from ..redaction.cleaning import Cleaner
from ..redaction.corrections import FOLDER, Review
from ..run import batch, run_file, run_summary
from ..run.inputs import Input
from ..run.workers import Place
from ..system import locks, regular_files
from ..system.files import take_away
from . import labels, sampling
from .session import base_boxes

LABELS = "labels"
GONE = "its original is no longer where the run found it"


def apply(
    audit: Path, *, every_label: bool = False, open_cleaner: Callable[[int], Cleaner] | None = None,
    progress: Callable[[Outcome, int, int], None] | None = None,
) -> dict[str, Any]:
    """Redo what people corrected, and bring manifest, summary and page up to date.

    Args:
        audit: folder of the run.
        every_label: write LabelMe files of all files that a person has finished, not only of corrected ones.
        open_cleaner, progress: as in `batch.remove`.

    Returns:
        `redone`: how many files have a new result; `withdrawn`: paths whose result was taken away; `left`: (path, why) of files whose
        result stays as it was; `unknown`: paths of which people spoke and that the run does not have; `statements`: names of statements on
        samples that were taken away, for one of their results has been redone; `labels`: how many LabelMe files there are; `summary`: the new content of summary.json.

    Raises:
        UsageError: no audit of a real run, another `apply` is at work on it, OUT is gone, or the weights are not those of the run.
    """
    run = run_file.read(audit)
    if run.options.dry_run or run.options.boxes:
        raise UsageError(f"{run.audit}: the run was dry or its boxes were drawn by hand, so there is nothing to redo")
    if not run.out.is_dir() or run.out.resolve() != run.out:
        raise UsageError(f"{run.out}: the output folder of the run is gone, or a link stands in its place")
    with _alone(run.audit):
        return _apply(run, every_label, open_cleaner, progress)


def _apply(run: run_file.Run, every_label: bool, open_cleaner, progress) -> dict[str, Any]:
    rows = manifest_files.checked_rows(run.audit)
    reviews = corrections.reviews(corrections.read_events(corrections.log_path(run.audit)))
    unknown = corrections.unknown(reviews, rows)
    left = [(r, "the log speaks of another file: its SHA-256 has changed") for r, v in reviews.items() if r in rows and
        v.sha256_in != rows[r]["sha256_in"]]
    reviews = {r: v for r, v in reviews.items() if r in rows and v.sha256_in == rows[r]["sha256_in"]}
    changed = [r for r, row in rows.items() if _digest(reviews.get(r)) != (row.get("review") or {}).get("digest", "")]
    other, every = {name for name, _ in left}, set(changed)
    changed = [r for r in changed if r not in other]
    for relative, review in reviews.items():  # what only was looked at
        if relative not in every and review.verdict:
            rows[relative]["review"] = {**review.as_row(), "boxes_before": manifest_files.boxes_before(rows[relative])}
    redone, withdrawn = 0, []
    sources = run_file.sources(run)
    if changed:
        for outcome, facts in _outcomes(run, [rows[r] for r in changed], reviews, sources, open_cleaner):
            old, review = rows[outcome.relative], reviews.get(outcome.relative)
            said = {} if review is None else {"review": {**review.as_row(), "boxes_before": manifest_files.boxes_before(old)}}
            if outcome.status in records.RELEASED:
                rows[outcome.relative] = manifest_files.manifest_row(outcome, facts) | said
                redone += 1
            elif old["status"] not in records.RELEASED:
                rows[outcome.relative] = _still_held(old, outcome, said)
            elif corrections.unapplied(review, old):
                take_away(outcome.relative, run.out)
                rows[outcome.relative] = old | said | {
                    "status": "held", "sha256_out": "",
                    "reason": f"a person found a marking in the result, so it was taken away; it could not be redone ({outcome.reason})",
                }
                rows[outcome.relative]["review"]["digest"] = ""  # so that the next `apply` tries again
                withdrawn.append(outcome.relative)
            else:
                left.append((outcome.relative, outcome.reason))
            manifest_files.write_rows(run.audit / manifest_files.MANIFEST, rows.values())
            if progress:
                progress(outcome, redone + len(withdrawn) + len(left), len(changed))
    manifest_files.write_rows(run.audit / manifest_files.MANIFEST, rows.values())
    summary = _summary(run.audit, list(rows.values()))
    manifest_files.write_summary(run.audit, summary)
    manifest_files.write_page(run.audit, rows.values(), summary)
    statements = sampling.take_back(run.audit, reviews, rows)
    written = _labels(run, rows, reviews, sources, every_label)
    return {
        "redone": redone, "withdrawn": withdrawn, "left": left, "unknown": unknown, "statements": statements, "labels": written,
        "summary": summary,
    }


def _digest(review: Review | None) -> str:
    return review.digest if review else ""


def _still_held(old: dict[str, Any], outcome: Outcome, said: dict[str, Any]) -> dict[str, Any]:
    """The row of a file that had no result and has none now."""
    row = old | said | {"status": outcome.status, "reason": outcome.reason}
    return row


def _outcomes(
    run: run_file.Run, rows: list[dict[str, Any]], reviews: dict[str, Review], sources: dict[str, Path], open_cleaner
) -> Iterator[tuple[Outcome, dict[str, str]]]:
    """One outcome a row, and what its new row carries besides.

    Raises:
        UsageError: the weights are not those of the run.
    """
    options = replace(run.options, overwrite=True)
    make = open_cleaner or _maker(options)
    with batch.crew(options, make, len(rows)) as at_work:
        headers = options.header_profile()
        facts = run_summary.run_facts(at_work.equipment(), options, headers)
        if any(row["weights_sha256"] != facts["weights_sha256"] for row in rows):
            raise UsageError("the weights are not those of the run (their SHA-256 differs): run `remove` again")
        todo, said = [], {}
        for row in rows:
            relative = row["relative"]
            source = sources.get(relative)
            todo.append(Input(source or Path(relative), relative, "" if source else GONE))
            if people := corrections.of_run(reviews.get(relative), manifest_files.boxes_before(row)):
                said[relative] = people
        for name in ("tmp", "crops"):
            regular_files.folder(run.audit / name)
        for outcome in batch.outcomes(todo, Place(run.out, run.audit, options, headers), at_work, said):
            yield outcome, facts


def _maker(options) -> Callable[[int], Cleaner]:
    import functools

    return functools.partial(batch.open_shipped, options)


def _summary(audit: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """summary.json with the counts of the rows as they are now.

    Raises:
        UsageError: there is none: the run did not end.
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
    """LabelMe files of what people finished; returns how many there are. An original that cannot be read has none."""
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
            found = labels.elements(boxes, review, frame, run.options.policy, radiograph.shape_hw)
            origin = {"sha256": row["sha256_in"], "frame": frame, "reviewer": review.who, "when": review.when,
                "digest": review.digest, **labels.patient(radiograph)}
            labels.write(folder, labels.name_of(relative, frame), radiograph.display[frame], found, reviewed=True, origin=origin)
    return len(list((folder / "annotations").glob("*.json"))) if folder.is_dir() else 0


@contextmanager
def _alone(audit: Path) -> Iterator[None]:
    """Only one `apply` at a time.

    Raises:
        UsageError: another one is at work.
    """
    folder = audit / FOLDER
    regular_files.folder(folder)
    with locks.held(folder / "apply.lock", f"{audit}: another `apply` is at work on it"):
        yield
