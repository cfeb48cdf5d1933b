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

from ..audit import manifest_files
from ..errors import AnnotationError, ReadError, UsageError
from ..formats import images, read_apart
from ..headers.profile import HeaderProfile, new_key, read_key
from ..inference.server import serving
from ..options import KEY, RunOptions
from ..records import RELEASED, Corrections, Detections, Outcome, Policy
from ..redaction import corrections
from ..redaction.cleaning import Cleaner, open_cleaner
from ..system import capacity, regular_files
from ..system.files import open_private, sha256_file, take_away, write_private
from . import drawn_boxes, output_paths, run_file, shards, workers
from .finished_rows import _rows, _split_finished, _was_dry
from .inputs import Input, check_folders, fail_clashes, folded, folds_names, gather
from .run_summary import run_facts, whole_summary
from .workers import Crew, Job, Place

log = logging.getLogger(__name__)

#: Called after each file as progress(outcome, done, total); files that --resume takes over count as done.
Progress = Callable[[Outcome, int, int], None]
HEADER_S = 60.0  # that parsing a header may take, seconds: it is read for the paths of all files before any is cleaned


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
        open_cleaner: makes a `Cleaner` for a number of threads; by default the weights of `options`.
        progress: told about each outcome.

    Returns:
        The content of summary.json. `summary["counts"]` says how the inputs ended.

    Raises:
        UsageError: folders clash or are not empty, nothing to do, weights or OCR missing, a folder not writable.
    """
    start = time.perf_counter()
    inputs, out = [Path(p) for p in inputs], Path(os.path.abspath(out))
    if not out.name:
        raise UsageError(f"{out}: the output must be a folder below the root of the file system")
    audit = Path(os.path.abspath(options.audit)) if options.audit else out.with_name(out.name + "-audit")
    check_folders(inputs, out, audit)
    _check_state(out, audit, options)
    _reviews(audit, options)
    found, ignored = gather(inputs, options.ignore)
    if not found:
        raise UsageError(f"no files to process in {', '.join(map(str, inputs))} ({len(ignored)} ignored)")
    if options.workers is None:
        own = len(found) // (options.shard[1] if options.shard else 1)
        options = replace(options, workers=workers.fitting(own, options.second_look) if options.engine == "local" else 1)
    drawn = drawn_boxes.read(options.boxes) if options.boxes else None
    if drawn:
        check_folders([options.boxes], out, audit)
    with nullcontext() if open_cleaner else serving(options, workers.threads_each(1)) as server:
        with crew(options, open_cleaner or functools.partial(open_shipped, options, server=server), len(found)) as at_work:
            headers = _header_profile(options, audit)
            assigned = output_paths.assign(found, options.paths, headers, _telling(found, options))  # of all parts, so that they agree
            _check_own_outputs(out, shards.own(found, assigned, options.shard), options)
            at_work.equipment()  # before anything is made or taken away
            with shards.alone(shards.folder(audit, options.shard)):
                return _run(found, assigned, ignored, inputs, out, audit, at_work, headers, options, drawn, progress, start)


def _telling(found: list[Input], options: RunOptions) -> Callable[[Path], frozenset[str] | None]:
    """What looks up what of a file's header must not stand in a path, see `paths.assign`. With a time limit, and with several workers, no
    header is parsed in this process: one that hangs or kills would end the run."""
    if options.workers == 1 and options.time_limit is None and options.engine == "local":
        return images.path_parts
    known: dict[Path, Any] = {}

    def look_up(path: Path) -> frozenset[str] | None:
        if not known:
            sources = [item.source for item in found if not item.problem]
            known.update((source, frozenset()) for source in sources)
            wanted = [source for source in sources if images.may_be_dicom(source)]
            known.update(read_apart.each_header(images.path_parts, wanted, min(HEADER_S, options.time_limit or HEADER_S), capacity.cores()))
        if isinstance(known[path], ReadError):
            raise known[path]
        return known[path]

    return look_up


def _run(
    given: list[Input], found: list[Input], ignored: list[str], inputs: list[Path], out: Path, root: Path, at_work: Crew,
    headers: HeaderProfile, options: RunOptions, drawn: drawn_boxes.Annotations | None, progress: Progress | None, start: float,
) -> dict[str, Any]:
    """The run itself, once nothing speaks against it and no other is at work in its audit.

    Args:
        given, found: all inputs, with the paths below their inputs and with those below OUT.
        root: the audit folder; that of a part of a run lies in it.
        drawn: what was drawn by hand, where nothing else counts.

    Raises:
        UsageError: people have reviewed an earlier run into this audit, which parts of a run and Ray do not heed; nothing was done then.
    """
    audit, run = shards.folder(root, options.shard), run_facts(at_work.equipment(), options, headers, drawn)
    reviews = _reviews(root, options)
    said, found = _drawn(given, found, drawn, options) if drawn else ({}, found)
    _make_folders(out, audit, options)
    out = out.resolve()  # a link put in its place during the run leads no write and no removal elsewhere
    if headers.key and options.key is None and not options.dry_run and not options.shard:
        write_private(root / KEY, headers.key.hex() + "\n")
    run_file.write(audit, out, inputs, options)
    if folds_names(audit / "tmp"):  # which lies on the file system of OUT
        found = fail_clashes(found, folded)
    every = {item.relative for item in found}
    given, found = shards.own(given, given, options.shard), shards.own(given, found, options.shard)
    renamed = output_paths.write_map(audit, given, found)
    if reviews:
        corrections.carry_over(audit, [(item.relative, item.source) for item in found if not item.problem and item.relative not in reviews])
        reviews = _reviews(root, options)
    earlier = {row["relative"]: row for row in manifest_files.read_manifest(audit / manifest_files.MANIFEST)}
    kept_rows, todo = _split_finished(found, out, audit, options, run, reviews)
    for item in todo:
        if people := corrections.of_run(reviews.get(item.relative), manifest_files.boxes_before(earlier.get(item.relative, {"boxes": []}))):
            said[item.relative] = people
    rows = list(kept_rows)
    released = _Released(out, rows)
    place = Place(out, audit, options, headers)
    with open_private(audit / manifest_files.MANIFEST, "a") as handle:
        for outcome in outcomes(todo, place, at_work, said):
            _withdraw(outcome, out, options, released)
            rows.append(manifest_files.manifest_row(outcome, run))
            if outcome.relative in said and not drawn:
                rows[-1] |= reviewed(reviews[outcome.relative], earlier.get(outcome.relative))
            released.note(rows[-1])
            manifest_files.append(handle, rows[-1])
            if progress:
                progress(outcome, len(rows), len(found))
        os.fsync(handle.fileno())
    seconds = time.perf_counter() - start
    summary = whole_summary(rows, found, ignored, at_work.equipment(), options, run) | {
        "by_hand": drawn is not None,
        "audit": str(audit), "unaccounted": _unaccounted(rows, out, every if options.shard else set()),
        "resumed": len(kept_rows), "seconds": round(seconds, 2),
        "images_per_second": round((len(rows) - len(kept_rows)) / seconds, 2), "renamed": renamed,
    }
    manifest_files.write_summary(audit, summary)
    manifest_files.write_page(audit, rows, summary)
    return summary


def open_shipped(options: RunOptions, threads: int, server: str | None = None) -> Cleaner:
    """The `Cleaner` of a run's options; one that looks at nothing where boxes were drawn by hand.

    Args:
        server: address of the process that has the network; None opens it here.
    """
    if options.boxes:
        return Cleaner(_look_at_nothing, None, Policy(keep=()))
    where = {"server": server} if server else {"batch": options.batch} if options.batch else {}
    return open_cleaner(options.policy, weights=options.weights, device=options.device, threads=threads, second=options.second_look, **where)


def _look_at_nothing(frame: Any, threshold: float | None = None) -> Detections:
    """Never called: who draws by hand looks alone."""
    raise AssertionError("no localizer looks where boxes were drawn by hand")


def _drawn(
    given: list[Input], found: list[Input], drawn: drawn_boxes.Annotations, options: RunOptions
) -> tuple[dict[str, Corrections], list[Input]]:
    """What was drawn on each file, by its path below OUT, and the inputs; those about which it is unclear have a problem."""
    said, checked = {}, []
    for before, item in zip(given, found):
        try:
            if not item.problem:
                said[item.relative] = drawn_boxes.corrections(drawn, before.relative, sha256_file(item.source), options.policy.keep)
            checked.append(item)
        except AnnotationError as error:
            checked.append(replace(item, problem=str(error)))
        except OSError as error:
            checked.append(replace(item, problem=f"cannot be read ({error.strerror})"))
    return said, checked


def _reviews(root: Path, options: RunOptions) -> dict[str, corrections.Review]:
    """What people said in a review of an earlier run into the same audit: a file that is done again is done with it.

    Raises:
        UsageError: the run is in parts or on Ray, which do not heed it.
    """
    if options.dry_run or options.boxes:
        return {}
    found: dict[str, corrections.Review] = {}
    for folder in {root, shards.folder(root, options.shard)}:
        found |= corrections.reviews(corrections.read_events(corrections.log_path(folder)))
    if found and (options.shard or options.engine != "local"):
        raise UsageError(f"{root}: people have reviewed this run, which --shard and --engine ray do not heed: go on without them")
    return found


def reviewed(review: corrections.Review, earlier: dict[str, Any] | None) -> dict[str, Any]:
    """What a row says besides, where people spoke of its file."""
    return {"review": {**review.as_row(), "boxes_before": manifest_files.boxes_before(earlier) if earlier else []}}


def _header_profile(options: RunOptions, audit: Path) -> HeaderProfile:
    """What the run does to headers; its key is the one given, that of an earlier run into the same audit, or a new one."""
    if not options.needs_key:
        return HeaderProfile()
    if options.key is not None:
        return options.header_profile()
    own = audit / KEY
    if options.resume and not own.exists() and any(row.get("sha256_out") for row in _rows(audit)):
        raise UsageError(f"{own}: the key of the run to carry on is not there, and another one gives other pseudonyms: put it back or name it "
                         "with --key, or do all files again with --overwrite")
    if options.shard and not options.dry_run:
        return HeaderProfile(options.headers, manifest_files.agreed_key(own, new_key()), options.retain, options.shift_dates)
    return HeaderProfile(options.headers, read_key(own) if own.exists() else new_key(), options.retain, options.shift_dates)


def _check_state(out: Path, audit: Path, options: RunOptions) -> None:
    """Refuse to mix with an earlier run unasked, or to use a folder as audit that is something else."""
    parts = shards.folders(audit)
    known = {KEY, shards.LOCK, *(part.name for part in parts)}
    strange = {path.name for path in audit.iterdir()} - known if audit.is_dir() else set()
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


def _check_own_outputs(out: Path, found: list[Input], options: RunOptions) -> None:
    """Refuse a part of a run whose outputs are there already, unasked; those of other parts may be."""
    if not options.shard or options.resume or options.overwrite or options.dry_run:
        return
    there = sum(os.path.lexists(out / item.relative) for item in found)
    if there:
        raise UsageError(f"{out} holds {there} outputs of this part already: use --resume, --overwrite, or another folder")


def _make_folders(out: Path, audit: Path, options: RunOptions) -> None:
    """OUT, the audit with its tmp/ and crops/ (owner-only), all writable; leftovers of a killed run are dropped."""
    try:
        if not options.dry_run:
            out.mkdir(parents=True, exist_ok=True)
        audit.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in {audit, audit.parent} if options.shard else {audit}:
            os.chmod(folder, 0o700)
        shutil.rmtree(audit / "tmp", ignore_errors=True)
        if not options.resume:
            shutil.rmtree(audit / "crops", ignore_errors=True)
            for name in (manifest_files.MANIFEST, manifest_files.SUMMARY, manifest_files.PAGE):
                (audit / name).unlink(missing_ok=True)
        for name in ("tmp", "crops"):
            regular_files.folder(audit / name)
        open_private(audit / manifest_files.MANIFEST, "a").close()
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be written ({error.strerror})") from error
    if not options.dry_run and not os.access(out, os.W_OK | os.X_OK):
        raise UsageError(f"{out}: cannot be written (permission denied)")


def outcomes(todo: list[Input], place: Place, at_work: Crew, said: dict[str, Corrections]) -> Iterator[Outcome]:
    """One outcome an input, as they finish; `said` has what people say, by path below OUT."""
    for item in todo:
        if item.problem:
            yield Outcome(item.relative, "failed", item.problem)
    yield from at_work.clean([Job(item.source, item.relative, said.get(item.relative)) for item in todo if not item.problem], place)


def crew(options: RunOptions, make: Callable[[int], Cleaner], files: int) -> Crew:
    """Who cleans the files of a run: a context that has `equipment` and `clean`, see `workers.Processes`.

    Args:
        make: makes a `Cleaner` for a number of threads; importable by name unless the run is in this process alone.
        files: how many there are at most.
    """
    if options.engine == "ray":
        from .ray_engine import OnRay

        return OnRay(options, make)
    if options.workers == 1 and options.time_limit is None:
        return workers.Alone(make)
    return workers.Processes(options.workers, make, files)


class _Released:
    """The outputs that rows of this run stand for, by what their paths have in common when folded."""

    def __init__(self, out: Path, rows: list[dict[str, Any]]):
        self._out, self._paths = out, {}
        for row in rows:
            self.note(row)

    def note(self, row: dict[str, Any]) -> None:
        """Take in one more row."""
        if row["status"] in RELEASED:
            self._paths.setdefault(folded(row["relative"]), []).append(self._out / row["relative"])

    def __contains__(self, relative: str) -> bool:
        """Whether the file at `relative` is one of them, perhaps under another name."""
        paths = self._paths.get(folded(relative), ())
        return any(os.path.lexists(path) and os.path.samefile(path, self._out / relative) for path in paths)


def _withdraw(outcome: Outcome, out: Path, options: RunOptions, released: _Released) -> None:
    """No output may stand beside a row that says held or failed, also none of an earlier run. What another row of this
    run released stays, though the file system may find it under this name too."""
    if outcome.status in ("held", "failed") and not options.dry_run:
        target = out / outcome.relative
        if os.path.islink(target) or (os.path.isfile(target) and outcome.relative not in released):
            take_away(outcome.relative, out)


def _unaccounted(rows: list[dict[str, Any]], out: Path, others: set[str]) -> list[str]:
    """Files below OUT that no row of this run released: leftovers of earlier runs, which nobody has looked at now.

    Args:
        others: paths of outputs that other parts of the run account for.
    """
    released = {row["relative"] for row in rows if row["status"] in RELEASED}
    found = (Path(parent, name).relative_to(out).as_posix() for parent, _, names in os.walk(out) for name in names)
    return sorted(set(found) - released - (others - {row["relative"] for row in rows}))


