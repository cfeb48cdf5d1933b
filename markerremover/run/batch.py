"""One run over files and folders: check, gather, clean, count, report."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..audit import full_pictures, manifest_files, tables
from ..errors import AnnotationError, ReadError, UsageError
from ..formats import images, read_apart
from ..headers.profile import HeaderProfile, new_key, read_key
from ..inference.server import serving
from ..options import KEY, RunOptions
from ..records import RELEASED, Corrections, Detections, Outcome, Policy, Telling
from ..redaction import corrections
from ..redaction.cleaning import Cleaner, open_cleaner
from ..system import capacity, regular_files
from ..system.files import open_private, sha256_file, take_away, write_private
from ..triage import duplicates
from . import drawn_boxes, output_paths, run_file, shards, workers
from .finished_rows import _rows, _split_finished, _was_dry
from .inputs import Input, check_folders, fail_clashes, folded, folds_names, gather
from .run_summary import run_facts, whole_summary
from .workers import Crew, Job, Place

log = logging.getLogger(__name__)

#: Called after each file as progress(outcome, done, total); files that --resume reuses count as done.
Progress = Callable[[Outcome, int, int], None]
HEADER_S = 60.0  # time limit for parsing a header, seconds: headers of all files are read for the paths before any file is cleaned


def remove(
    inputs: Sequence[Path | str],
    out: Path | str,
    *,
    options: RunOptions = RunOptions(),
    open_cleaner: Callable[[int], Cleaner] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """De-identify files and folders into `out`.

    Args:
        inputs: files or folders; see `inputs.gather` for the paths they get below `out`.
        options: see `RunOptions`.
        open_cleaner: makes a `Cleaner` for a number of threads; by default with the weights of `options`.
        progress: called after each file, see `Progress`.

    Returns:
        The content of summary.json; `summary["counts"]` has the number of inputs by status.

    Raises:
        UsageError: folders clash or are not empty, nothing to do, weights or OCR missing, a folder not writable.
    """
    start = time.perf_counter()
    sources, out = [Path(p) for p in inputs], Path(os.path.abspath(out))
    if not out.name:
        raise UsageError(f"{out}: the output must be a folder below the root of the file system")
    audit = Path(os.path.abspath(options.audit)) if options.audit else out.with_name(out.name + "-audit")
    check_folders(sources, out, audit)
    _check_state(out, audit, options)
    _reviews(audit, options)
    gathered, ignored = gather(sources, options.ignore)
    if not gathered:
        raise UsageError(f"no files to process in {', '.join(map(str, sources))} ({len(ignored)} ignored)")
    if options.workers is None:
        count = len(gathered) // (options.shard[1] if options.shard else 1)
        options = replace(options, workers=workers.fitting(count, options.second_look) if options.engine == "local" else 1)
    drawn = drawn_boxes.read(options.boxes, options.boxes_template) if options.by_hand else None
    check_folders([path for path in (options.boxes, options.boxes_template) if path], out, audit)
    with nullcontext() if open_cleaner else serving(options, workers.threads_each(1)) as server:
        with crew(options, open_cleaner or functools.partial(open_shipped, options, server=server), len(gathered)) as crew_at_work:
            headers = _header_profile(options, audit)
            assigned = output_paths.assign(gathered, options.paths, headers, _header_reader(gathered, options))  # for all parts, so that they agree
            _check_own_outputs(out, shards.own(gathered, assigned, options.shard), options)
            crew_at_work.equipment()  # before anything is created or deleted
            with shards.exclusive(shards.folder(audit, options.shard)):
                return _run(gathered, assigned, ignored, sources, out, audit, crew_at_work, headers, options, drawn, progress, start)


def _header_reader(gathered: list[Input], options: RunOptions) -> Callable[[Path], Telling | None]:
    """A function: path -> identifiers of the file's header, see `output_paths.assign`. With a time limit or several workers, no header is
    parsed in this process, since one that hangs or crashes would end the run."""
    if options.workers == 1 and options.time_limit is None and options.engine == "local":
        return images.path_parts
    cache: dict[Path, Any] = {}

    def look_up(path: Path) -> Telling | None:
        if not cache:
            sources = [item.source for item in gathered if not item.problem]
            cache.update((source, frozenset()) for source in sources)
            dicom = [source for source in sources if images.may_be_dicom(source)]
            cache.update(read_apart.each_header(images.path_parts, dicom, min(HEADER_S, options.time_limit or HEADER_S), capacity.cores()))
        if isinstance(cache[path], ReadError):
            raise cache[path]
        return cache[path]

    return look_up


def _run(
    gathered: list[Input], assigned: list[Input], ignored: list[str], inputs: list[Path], out: Path, root: Path, crew: Crew,
    headers: HeaderProfile, options: RunOptions, drawn: drawn_boxes.Annotations | None, progress: Progress | None, start: float,
) -> dict[str, Any]:
    """The run itself, after all checks and with the audit locked.

    Args:
        gathered, assigned: all inputs, with the paths below their inputs and with those below OUT.
        root: the audit folder; the audit of a part of a run is inside it.
        drawn: annotations drawn by hand, if only they count.

    Raises:
        UsageError: an earlier run into this audit was reviewed, which parts of a run and Ray do not support; nothing was changed then.
    """
    audit, run = shards.folder(root, options.shard), run_facts(crew.equipment(), options, headers, drawn)
    reviews = _reviews(root, options)
    by_path, assigned = _drawn(gathered, assigned, drawn, options) if drawn else ({}, assigned)
    _make_folders(out, audit, options)
    out = out.resolve()  # a link that replaces it during the run redirects no write and no deletion
    if headers.key and options.key is None and not options.dry_run and not options.shard:
        write_private(root / KEY, headers.key.hex() + "\n")
    run_file.write(audit, out, inputs, options)
    if folds_names(audit / "tmp"):  # on the file system of OUT
        assigned = fail_clashes(assigned, folded)
    all_paths = {item.relative for item in assigned}
    gathered, assigned = shards.own(gathered, gathered, options.shard), shards.own(gathered, assigned, options.shard)
    renamed = output_paths.write_map(audit, gathered, assigned)
    if reviews:
        corrections.carry_over(audit, [(item.relative, item.source) for item in assigned if not item.problem and item.relative not in reviews])
        reviews = _reviews(root, options)
    earlier = {row["relative"]: row for row in manifest_files.read_manifest(audit / manifest_files.MANIFEST)}
    kept_rows, todo = _split_finished(assigned, out, audit, options, run, reviews)
    for item in todo:
        if correction := corrections.of_run(reviews.get(item.relative), manifest_files.boxes_before(earlier.get(item.relative, {"boxes": []}))):
            by_path[item.relative] = correction
    rows = list(kept_rows)
    released = _Released(out, rows)
    gb = options.full_pictures_gb / (options.shard[1] if options.shard else 1)
    place = Place(out, audit, replace(options, full_pictures_gb=gb), headers)
    with open_private(audit / manifest_files.MANIFEST, "a") as handle:
        for outcome in outcomes(todo, place, crew, by_path):
            _withdraw(outcome, out, options, released)
            rows.append(manifest_files.manifest_row(outcome, run))
            if outcome.relative in by_path and not drawn:
                rows[-1] |= reviewed(reviews[outcome.relative], earlier.get(outcome.relative))
            released.note(rows[-1])
            manifest_files.append(handle, rows[-1])
            if progress:
                progress(outcome, len(rows), len(assigned))
        os.fsync(handle.fileno())
    rows = duplicates.marked(rows)
    manifest_files.write_rows(audit / manifest_files.MANIFEST, rows)
    seconds = time.perf_counter() - start
    summary = whole_summary(rows, assigned, ignored, crew.equipment(), options, run) | {
        "by_hand": drawn is not None,
        "audit": str(audit), "unaccounted": _unaccounted(rows, out, all_paths if options.shard else set()),
        "resumed": len(kept_rows), "seconds": round(seconds, 2),
        "images_per_second": round((len(rows) - len(kept_rows)) / seconds, 2), "renamed": renamed,
    }
    manifest_files.write_summary(audit, summary)
    tables.write_tables(audit, rows)
    manifest_files.write_page(audit, rows, summary)
    return summary


def open_shipped(options: RunOptions, threads: int, server: str | None = None) -> Cleaner:
    """The `Cleaner` of a run's options; one without networks where boxes were drawn by hand.

    Args:
        server: address of the process with the network; None opens it in this process.
    """
    if options.by_hand:
        return Cleaner(_no_localizer, None, Policy(keep=()))
    where: dict[str, Any] = {"server": server} if server else {"batch": options.batch} if options.batch else {}
    return open_cleaner(options.resolved_policy, weights=options.weights, device=options.device, threads=threads, second=options.second_look,
                        effort=options.effort, **where)


def _no_localizer(frame: Any, threshold: float | None = None) -> Detections:
    """Never called: with boxes drawn by hand nothing is detected."""
    raise AssertionError("no localizer runs where boxes were drawn by hand")


def _drawn(
    gathered: list[Input], assigned: list[Input], drawn: drawn_boxes.Annotations, options: RunOptions
) -> tuple[dict[str, Corrections], list[Input]]:
    """The drawn boxes of each file, by its path below OUT, and the inputs; those with missing or unclear annotations have a problem."""
    by_path: dict[str, Corrections] = {}
    checked: list[Input] = []
    for original, item in zip(gathered, assigned):
        try:
            if not item.problem:
                by_path[item.relative] = drawn_boxes.corrections(drawn, original.relative, sha256_file(item.source), options.resolved_policy.keep)
            checked.append(item)
        except AnnotationError as error:
            checked.append(replace(item, problem=str(error)))
        except OSError as error:
            checked.append(replace(item, problem=f"cannot be read ({error.strerror})"))
    return by_path, checked


def _reviews(root: Path, options: RunOptions) -> dict[str, corrections.Review]:
    """The reviews of an earlier run into the same audit; their corrections apply to files that are cleaned again.

    Raises:
        UsageError: there are reviews, and the run is in parts or on Ray, which do not support them.
    """
    if options.dry_run or options.by_hand:
        return {}
    reviews: dict[str, corrections.Review] = {}
    for folder in {root, shards.folder(root, options.shard)}:
        reviews |= corrections.reviews(corrections.read_events(corrections.log_path(folder)))
    if reviews and (options.shard or options.engine != "local"):
        raise UsageError(f"{root}: people have reviewed this run, which --shard and --engine ray do not support: continue without them")
    return reviews


def reviewed(review: corrections.Review, earlier: dict[str, Any] | None) -> dict[str, Any]:
    """The field `review` of a row whose file was reviewed."""
    return {"review": {**review.as_row(), "boxes_before": manifest_files.boxes_before(earlier) if earlier else []}}


def _header_profile(options: RunOptions, audit: Path) -> HeaderProfile:
    """The header profile of the run; its key is the given one, that of an earlier run into the same audit, or a new one."""
    if not options.needs_key:
        return HeaderProfile()
    if options.key is not None:
        return options.header_profile()
    key_file = audit / KEY
    if options.resume and not key_file.exists() and any(row.get("sha256_out") for row in _rows(audit)):
        raise UsageError(f"{key_file}: the key of the earlier run is missing, and another one gives other pseudonyms: put it back or name it "
                         "with --key, or clean all files again with --overwrite")
    if options.shard and not options.dry_run:
        return HeaderProfile(options.headers, manifest_files.agreed_key(key_file, new_key()), options.retain, options.shift_dates)
    return HeaderProfile(options.headers, read_key(key_file) if key_file.exists() else new_key(), options.retain, options.shift_dates)


def _check_state(out: Path, audit: Path, options: RunOptions) -> None:
    """Refuse to mix with an earlier run without an option for it, or to use another kind of folder as audit."""
    parts = shards.folders(audit)
    expected = {KEY, shards.LOCK, *(part.name for part in parts)}
    strange = {path.name for path in audit.iterdir()} - expected if audit.is_dir() else set()
    if any(not name.startswith(f"{KEY}.") for name in strange) and not (audit / manifest_files.MANIFEST).is_file():
        raise UsageError(f"{audit} is not empty and holds no {manifest_files.MANIFEST}: choose another folder with --audit")
    if options.shard:
        shards.check_count(audit, options.shard)
    if options.resume or options.overwrite:
        return
    mine = [part for part in parts if not options.shard or part == shards.folder(audit, options.shard)]
    if any(manifest_files.read_manifest(part / manifest_files.MANIFEST) and not _was_dry(part) for part in mine):
        raise UsageError(f"{audit} holds the audit of an earlier run in parts: use --resume, --overwrite, or another folder with --audit")
    if options.dry_run:
        if manifest_files.read_manifest(audit / manifest_files.MANIFEST) and not _was_dry(audit):
            raise UsageError(f"{audit} holds the audit of a real run, not of a dry one: choose another folder with --audit")
        return
    if not options.shard and out.is_dir() and any(out.iterdir()):  # see _check_own_outputs
        raise UsageError(f"{out} is not empty: use --resume to carry on, --overwrite to replace, or another folder")
    if manifest_files.read_manifest(audit / manifest_files.MANIFEST) and not _was_dry(audit):
        raise UsageError(f"{audit} holds the audit of an earlier run: use --resume, --overwrite, or another folder with --audit")


def _check_own_outputs(out: Path, assigned: list[Input], options: RunOptions) -> None:
    """Refuse a part of a run whose outputs exist, without an option for it; outputs of other parts may exist."""
    if not options.shard or options.resume or options.overwrite or options.dry_run:
        return
    existing = sum(os.path.lexists(out / item.relative) for item in assigned)
    if existing:
        raise UsageError(f"{out} holds {existing} outputs of this part already: use --resume, --overwrite, or another folder")


def _make_folders(out: Path, audit: Path, options: RunOptions) -> None:
    """Create OUT and the audit with its tmp/ and crops/ (owner-only), all writable; delete leftovers of a killed run."""
    try:
        if not options.dry_run:
            out.mkdir(parents=True, exist_ok=True)
        audit.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in {audit, audit.parent} if options.shard else {audit}:
            os.chmod(folder, 0o700)
        shutil.rmtree(audit / "tmp", ignore_errors=True)
        for name in (tables.MANIFEST_CSV, tables.BOXES_CSV):  # written at the end
            (audit / name).unlink(missing_ok=True)
        if not options.resume:
            for name in ("crops", full_pictures.FOLDER):
                shutil.rmtree(audit / name, ignore_errors=True)
            for name in (manifest_files.MANIFEST, manifest_files.SUMMARY, manifest_files.PAGE):
                (audit / name).unlink(missing_ok=True)
        for name in ("tmp", "crops"):
            regular_files.folder(audit / name)
        open_private(audit / manifest_files.MANIFEST, "a").close()
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be written ({error.strerror})") from error
    if not options.dry_run and not os.access(out, os.W_OK | os.X_OK):
        raise UsageError(f"{out}: cannot be written (permission denied)")


def outcomes(todo: list[Input], place: Place, crew: Crew, by_path: dict[str, Corrections]) -> Iterator[Outcome]:
    """One outcome per input, as they finish.

    Args:
        by_path: corrections by path below OUT.
    """
    for item in todo:
        if item.problem:
            yield Outcome(item.relative, "failed", item.problem)
    yield from crew.clean([Job(item.source, item.relative, by_path.get(item.relative)) for item in todo if not item.problem], place)


def crew(options: RunOptions, make: Callable[[int], Cleaner], files: int) -> Crew:
    """The workers of a run: a context manager with `equipment` and `clean`, see `workers.Crew`.

    Args:
        make: makes a `Cleaner` for a number of threads; importable by name unless the run is in this process alone.
        files: highest number of files.
    """
    if options.engine == "ray":
        from .ray_engine import OnRay

        return OnRay(options, make)
    if options.workers == 1 and options.time_limit is None:
        return workers.Alone(make)
    return workers.Processes(options.process_count, make, files)


class _Released:
    """The outputs that rows of this run released, by their folded paths."""

    def __init__(self, out: Path, rows: list[dict[str, Any]]):
        self._out = out
        self._paths: dict[str, list[Path]] = {}
        for row in rows:
            self.note(row)

    def note(self, row: dict[str, Any]) -> None:
        """Add a row."""
        if row["status"] in RELEASED:
            self._paths.setdefault(folded(row["relative"]), []).append(self._out / row["relative"])

    def __contains__(self, relative: str) -> bool:
        """Whether the file at `relative` is one of them, perhaps under another name."""
        paths = self._paths.get(folded(relative), ())
        return any(os.path.lexists(path) and os.path.samefile(path, self._out / relative) for path in paths)


def _withdraw(outcome: Outcome, out: Path, options: RunOptions, released: _Released) -> None:
    """Delete the output of a held or failed file, also one of an earlier run. An output that another row of this run released is not deleted,
    even if the file system finds it under this name too."""
    if outcome.status in ("held", "failed") and not options.dry_run:
        target = out / outcome.relative
        if os.path.islink(target) or (os.path.isfile(target) and outcome.relative not in released):
            take_away(outcome.relative, out)


def _unaccounted(rows: list[dict[str, Any]], out: Path, other_parts: set[str]) -> list[str]:
    """Files below OUT that no row of this run released, such as leftovers of earlier runs; they were not checked.

    Args:
        other_parts: paths of outputs that other parts of the run account for.
    """
    released = {row["relative"] for row in rows if row["status"] in RELEASED}
    files = (Path(parent, name).relative_to(out).as_posix() for parent, _, names in os.walk(out) for name in names)
    return sorted(set(files) - released - (other_parts - {row["relative"] for row in rows}))


