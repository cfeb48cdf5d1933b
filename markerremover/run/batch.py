"""One run over files and folders: check, gather, clean, count, report."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import platform
import shutil
import time
from contextlib import nullcontext
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

from .. import __version__
from ..audit import manifest_files
from ..formats import images, read_apart
from ..inference import server as inference_server
from ..redaction import corrections
from . import drawn_boxes, inputs as inputs_module, output_paths, run_file, shards, workers
from ..system import capacity, regular_files
from ..errors import AnnotationError, ReadError, UsageError
from ..headers.profile import HeaderProfile, new_key, read_key
from .inputs import Input
from ..options import KEY, RunOptions
from .one_file import Cleaner, open_cleaner, sha256_file
from ..records import Corrections, Detections, Outcome, Policy
from .workers import Crew, Equipment, Job, Place

log = logging.getLogger(__name__)

#: Called after each file as progress(outcome, done, total); files that --resume takes over count as done.
Progress = Callable[[Outcome, int, int], None]
HEADERS_NOTES = {
    "basic": "DICOM headers follow the Basic Application Level Confidentiality Profile",
    "keep": "DICOM headers STILL IDENTIFY: they were kept as they are, only pixels and what else can carry pixels were cleaned",
}
HEADER_S = 60.0  # that parsing a header may take, seconds: it is read for the paths of all files before any is cleaned
#: Ends that come with an output.
RELEASED = ("cleaned", "unchanged")
LIBRARIES = ("numpy", "opencv-python-headless", "pydicom", "Pillow", "tifffile", "onnxruntime", "onnxruntime-gpu", "openvino", "tesserocr", "pytesseract",
    "rapidocr")


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
    inputs_module.check_folders(inputs, out, audit)
    _check_state(out, audit, options)
    _reviews(audit, options)
    found, ignored = inputs_module.gather(inputs, options.ignore)
    if not found:
        raise UsageError(f"no files to process in {', '.join(map(str, inputs))} ({len(ignored)} ignored)")
    if options.workers is None:
        own = len(found) // (options.shard[1] if options.shard else 1)
        options = replace(options, workers=workers.fitting(own, options.second_look) if options.engine == "local" else 1)
    drawn = drawn_boxes.read(options.boxes) if options.boxes else None
    if drawn:
        inputs_module.check_folders([options.boxes], out, audit)
    with nullcontext() if open_cleaner else inference_server.serving(options, workers.threads_each(1)) as server:
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
        manifest_files.write_private(root / KEY, headers.key.hex() + "\n")
    run_file.write(audit, out, inputs, options)
    if inputs_module.folds_names(audit / "tmp"):  # which lies on the file system of OUT
        found = inputs_module.fail_clashes(found, inputs_module.folded)
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
    with manifest_files.open_private(audit / manifest_files.MANIFEST, "a") as handle:
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
    summary = _summary(rows, found, ignored, at_work.equipment(), options, run) | {
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


def _rows(audit: Path) -> Iterator[dict[str, Any]]:
    """The rows of earlier runs into an audit, those of parts too."""
    for folder in (audit, *shards.folders(audit)):
        yield from manifest_files.read_manifest(folder / manifest_files.MANIFEST)


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


def _was_dry(audit: Path) -> bool:
    """Whether the audit is that of a finished dry run, which a real run may replace."""
    try:
        return json.loads((audit / manifest_files.SUMMARY).read_text(encoding="utf-8"))["options"]["dry_run"] is True
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


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
        manifest_files.open_private(audit / manifest_files.MANIFEST, "a").close()
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be written ({error.strerror})") from error
    if not options.dry_run and not os.access(out, os.W_OK | os.X_OK):
        raise UsageError(f"{out}: cannot be written (permission denied)")


def _split_finished(
    found: list[Input], out: Path, audit: Path, options: RunOptions, run: dict[str, str], reviews: dict[str, corrections.Review]
) -> tuple[list[dict[str, Any]], list[Input]]:
    """Rows that --resume takes over, and the inputs still to do; the manifest is cut down to the former. A whole run takes
    over those of earlier parts too."""
    if not options.resume:
        return [], found
    earlier = {} if options.shard else shards.earlier_rows(audit)
    earlier |= {row["relative"]: (row, audit) for row in manifest_files.read_manifest(audit / manifest_files.MANIFEST)}
    rows, todo = [], []
    for item in found:
        row, home = earlier.get(item.relative, (None, audit))
        said = reviews[item.relative].digest if item.relative in reviews else ""
        if row and not item.problem and (row.get("review") or {}).get("digest", "") == said and _finished(row, item, out, options, run):
            rows.append(row)
            if home != audit:
                shards.take_over_crops(row, home, audit)
        else:
            todo.append(item)
    manifest_files.write_rows(audit / manifest_files.MANIFEST, rows)
    return rows, todo


def _finished(row: dict[str, Any], item: Input, out: Path, options: RunOptions, run: dict[str, str]) -> bool:
    """Whether a row stands for this very input, cleaned by these weights and options, with its output still as written."""
    if row["status"] not in RELEASED or any(row.get(key) != value for key, value in run.items()):
        return False
    target = out / item.relative
    try:
        if row.get("sha256_in") != sha256_file(item.source):
            return False
        return options.dry_run or (not target.is_symlink() and row.get("sha256_out") == sha256_file(target))
    except OSError:
        return False


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
            self._paths.setdefault(inputs_module.folded(row["relative"]), []).append(self._out / row["relative"])

    def __contains__(self, relative: str) -> bool:
        """Whether the file at `relative` is one of them, perhaps under another name."""
        paths = self._paths.get(inputs_module.folded(relative), ())
        return any(os.path.lexists(path) and os.path.samefile(path, self._out / relative) for path in paths)


def _withdraw(outcome: Outcome, out: Path, options: RunOptions, released: _Released) -> None:
    """No output may stand beside a row that says held or failed, also none of an earlier run. What another row of this
    run released stays, though the file system may find it under this name too."""
    if outcome.status in ("held", "failed") and not options.dry_run:
        target = out / outcome.relative
        inside = target.parent.resolve().is_relative_to(out)
        if inside and (os.path.islink(target) or (os.path.isfile(target) and outcome.relative not in released)):  # no error for a long path
            target.unlink()


def _unaccounted(rows: list[dict[str, Any]], out: Path, others: set[str]) -> list[str]:
    """Files below OUT that no row of this run released: leftovers of earlier runs, which nobody has looked at now.

    Args:
        others: paths of outputs that other parts of the run account for.
    """
    released = {row["relative"] for row in rows if row["status"] in RELEASED}
    found = (Path(parent, name).relative_to(out).as_posix() for parent, _, names in os.walk(out) for name in names)
    return sorted(set(found) - released - (others - {row["relative"] for row in rows}))


def run_facts(equipment: Equipment, options: RunOptions, headers: HeaderProfile, drawn: drawn_boxes.Annotations | None = None) -> dict[str, str]:
    """What every row of this run carries."""
    settings = options.settings_sha256(headers.key)
    if drawn:
        settings = hashlib.sha256(f"{settings} {drawn.sha256}".encode()).hexdigest()
    return {"weights_sha256": equipment.sha256, "version": __version__, "settings_sha256": settings}


def _summary(
    rows: list[dict[str, Any]], found: list[Input], ignored: list[str], equipment: Equipment, options: RunOptions, run: dict[str, str]
) -> dict[str, Any]:
    """Counts and circumstances of the run; the counts are checked here, not believed.

    Raises:
        AssertionError: inputs and rows do not match one to one, which would be a defect of this package.
    """
    counts = manifest_files.counts(rows)
    if sorted(row["relative"] for row in rows) != sorted(item.relative for item in found):
        raise AssertionError(f"{len(found)} inputs but {len(rows)} rows, or not the same ones")
    boxes = [box for row in rows for box in row["boxes"]]
    policy = options.policy
    return {
        "counts": counts,
        "reconciles": counts["inputs"] == len(found) == sum(counts[s] for s in manifest_files.STATUSES),
        "boxes": {"kept": sum(b["action"] == "keep" for b in boxes), "removed": sum(b["action"] == "remove" for b in boxes)},
        "released_held": sum(bool(row.get("released_held")) for row in rows),
        "noted": sum(bool(row.get("notes")) for row in rows),
        "results_read": equipment.reads,
        "ignored": ignored,
        "options": {
            "keep": list(policy.keep), "threshold": policy.threshold or equipment.threshold,
            "margin": policy.margin, "style": policy.style, "workers": options.workers, "device": options.device,
            "batch": options.batch,
            "engine": options.engine, "dry_run": options.dry_run,
            "overwrite": options.overwrite, "resume": options.resume, "ignore": list(options.ignore), "headers": options.headers,
            "retain": list(options.retain), "shift_dates": options.shift_dates, "paths": options.paths, "time_limit": options.time_limit,
            "second_look": options.second_look, "release_held": options.release_held,
            "transfer_syntax": options.transfer_syntax, "shard": "{}/{}".format(*options.shard) if options.shard else None,
        },
        "site": _site(options),
        "weights": {"name": equipment.name, "sha256": run["weights_sha256"]},
        "backend": equipment.backend,
        "headers": HEADERS_NOTES[options.headers],
        "paths_that_tell": sum(bool(row.get("path_tells")) and row["status"] in RELEASED for row in rows),
        "version": __version__,
        "versions": {"python": platform.python_version(), **library_versions()},
    }


def _site(options: RunOptions) -> dict[str, Any] | None:
    """The site profile of the run: its file's hash, and what the signs mean that this run keeps."""
    if options.site is None:
        return None
    signs = {sign: meaning for sign, meaning in options.site.keep.items() if sign in options.policy.keep}
    return {"sha256": options.site.sha256, "signs": signs}


def library_versions() -> dict[str, str]:
    """Distribution -> version of what is installed of LIBRARIES."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
