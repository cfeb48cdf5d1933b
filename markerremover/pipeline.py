"""The order of the steps: one radiograph in, one `Cleaned` out; one file in, one `Outcome` out.

    read -> display -> localizer -> second pass -> decide -> redact -> verify -> write in the audit's tmp/ -> re-read
    -> rename into OUT

No state passes from one file to the next: everything lives in the arguments, and `Cleaner` is frozen.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import numpy as np

from . import __version__, crops, cuts, decide, detect, frames, images, redact, verify
from .errors import HeldError, MarkerRemoverError, ReadError, UsageError, WriteError
from .header_profile import HeaderProfile
from .options import RunOptions
from .records import Decision, Detections, Outcome, Policy, Radiograph

#: Rounds in which residual findings are removed; what still shows after the last one holds the file.
VERIFY_ROUNDS = 2


@dataclass(frozen=True)
class Cleaner:
    """What is loaded once and used for every file.

    detector: called as detector(display_frame, threshold) -> Detections.
    reader: an OCR engine for the second pass; None only where the policy keeps nothing.
    policy: what to keep and how widely to remove.
    """

    detector: Callable[..., Detections]
    reader: Any
    policy: Policy

    def __post_init__(self) -> None:
        if self.policy.keep and self.reader is None:
            raise UsageError("a policy that keeps signs needs an OCR reader")


@dataclass(frozen=True)
class Cleaned:
    """One radiograph after the look, before any writing.

    stored: new array, shape and dtype of the input's, black where `decisions` say so.
    detections: one `Detections` a frame, from the first look.
    shown: (F, H, W) uint8, the display after redaction.
    doubt: "" or why the result must not be written.
    """

    stored: np.ndarray
    decisions: tuple[Decision, ...]
    detections: tuple[Detections, ...]
    shown: np.ndarray
    doubt: str = ""


@contextmanager
def timed(timings_ms: dict[str, float], stage: str) -> Iterator[None]:
    """Add the time the block takes to `timings_ms[stage]`, milliseconds, also when it raises."""
    start = time.perf_counter()
    try:
        yield
    finally:
        timings_ms[stage] = round(timings_ms.get(stage, 0.0) + (time.perf_counter() - start) * 1000, 2)


def open_cleaner(policy: Policy, *, weights: Path | None = None, device: str = "auto", threads: int | None = None) -> Cleaner:
    """Load the localizer and, where signs may be kept, the OCR engine.

    Raises:
        WeightsError: weights or card missing or damaged.  UsageError: no OCR engine, or the device is not there.
    """
    from .detect import load_detector
    from .ocr import open_reader

    reader = open_reader() if policy.keep else None
    return Cleaner(load_detector(weights, device=device, threads=threads), reader, policy)


def clean_radiograph(radiograph: Radiograph, cleaner: Cleaner, timings_ms: dict[str, float] | None = None) -> Cleaned:
    """Find, decide, redact and verify; nothing is written and the input's arrays stay as they are.

    Returns:
        The result. Its `doubt` says so when something still shows after `VERIFY_ROUNDS` rounds of removal.

    Raises:
        HeldError: redaction did not do exactly what was decided.
    """
    timings_ms = {} if timings_ms is None else timings_ms
    detections, decisions = _look(radiograph, cleaner, timings_ms)
    with timed(timings_ms, "verify"):
        decisions, shown, doubt = _verified(radiograph.views, decisions, cleaner)
    with timed(timings_ms, "redact"):
        new = redact.redact(radiograph.stored, decisions, radiograph.fill)
        mask = redact.removed_mask(radiograph.stored.shape[:3], decisions)
        verify.check_pixels(radiograph.stored, new, mask, radiograph.fill)
    return Cleaned(new, decisions, detections, shown, doubt)


def _look(
    radiograph: Radiograph, cleaner: Cleaner, timings_ms: dict[str, float]
) -> tuple[tuple[Detections, ...], tuple[Decision, ...]]:
    """Every view of every frame through the localizer, and every box through the second pass and the decision, on the view
    where it was found."""
    found, decisions = [], [[] for _ in radiograph.views]
    for index in range(len(radiograph.display)):
        with timed(timings_ms, "detect"):
            seen = detect.unite([cleaner.detector(view[index], cleaner.policy.threshold) for view in radiograph.views])
        found.append(detect.joined(seen))
        with timed(timings_ms, "second_pass"):
            for own, view, detections in zip(decisions, radiograph.views, seen):
                own += _decided(index, view, radiograph.views, detections, cleaner)
    with timed(timings_ms, "second_pass"):
        resolved = decide.resolve(_spread(decisions, radiograph.views))
        return tuple(found), (*resolved, *_spread(_cut(resolved, radiograph.views), radiograph.views))


def _cut(decisions: Sequence[Decision], views: Sequence[np.ndarray]) -> list[list[Decision]]:
    """What the decisions of every frame cut, by view."""
    return [[d for index in sorted({d.frame for d in decisions}) for d in cuts.cut_strokes(view[index], decisions, index)] for view in views]


def _spread(decisions: Sequence[Sequence[Decision]], views: Sequence[np.ndarray]) -> list[Decision]:
    """`frames.spread` of the decisions of each view, by that view."""
    return [decision for own, view in zip(decisions, views) for decision in frames.spread(own, view)]


def _decided(
    index: int, view: np.ndarray, views: Sequence[np.ndarray], found: Detections, cleaner: Cleaner
) -> list[Decision]:
    """Every box of one frame of one view read and decided: one decision a box, whatever its score. What stays must be empty
    of print in all `views`."""
    frame, others = view[index], tuple(other[index] for other in views if other is not view)
    decisions = []
    for xyxy, score, class_id, loose in zip(found.xyxy, found.scores, found.class_ids, found.loose):
        label = found.class_names[int(class_id)]
        reading = None if loose else _read_sign(frame, others, xyxy, label, cleaner)
        decisions.append(decide.decide(index, xyxy, float(score), label, reading, cleaner.policy, frame.shape, bool(loose)))
    return decisions


def _read_sign(frame: np.ndarray, others: Sequence[np.ndarray], xyxy: np.ndarray, label: str, cleaner: Cleaner):
    if not cleaner.policy.keep:
        return None
    from .second_pass import insist

    return insist(frame, xyxy, cleaner.policy.keep, cleaner.reader, others, sign=label == detect.SIGN)


def _verified(
    views: Sequence[np.ndarray], decisions: tuple[Decision, ...], cleaner: Cleaner
) -> tuple[tuple[Decision, ...], np.ndarray, str]:
    """Look again at every view of every frame that changed; what still shows is decided like a first finding, at most
    VERIFY_ROUNDS times.

    Returns:
        Decisions, the first view with every removed pixel 0, and "" or why the result must not be written.
    """
    for round_left in range(VERIFY_ROUNDS, -1, -1):
        removed = redact.removed_mask(views[0].shape, decisions)
        again: list[list[Decision]] = [[] for _ in views]
        for index in sorted({d.frame for d in decisions}):
            own = [d for d in decisions if d.frame == index]
            second_looks = [verify.smoothed(view[index], removed[index]) for view in views]
            found = detect.unite([verify.residual(cleaner.detector, look, own, cleaner.policy) for look in second_looks])
            for more, view, detections in zip(again, views, found):
                more += verify.labelled(_decided(index, view, views, detections, cleaner))
        count = sum(map(len, again))
        if not count or not round_left:
            break
        decisions = decide.resolve([*decisions, *_spread(again, views)])
    doubt = f"{count} findings remain after {VERIFY_ROUNDS} rounds of removal" if count else ""
    return decisions, np.where(removed, np.uint8(0), views[0]), doubt


def process_file(
    source: Path, relative: str, out: Path, audit: Path, cleaner: Cleaner, options: RunOptions, headers: HeaderProfile = HeaderProfile()
) -> Outcome:
    """Clean one file.

    Args:
        source: the input, only ever opened for reading.
        relative: POSIX path below OUT where the result goes.
        out, audit: existing folders on one file system; `audit` has tmp/ and crops/.
        headers: what happens to a DICOM header.

    Returns:
        The outcome. For `held` and `failed` nothing was put under OUT. Errors that the package raises on purpose and
        those of the file system end here; anything else passes through.
    """
    timings_ms: dict[str, float] = {}
    facts: dict[str, Any] = {"timings_ms": timings_ms}
    try:
        status = _process(source, relative, out, audit, cleaner, options, headers, facts)
        return Outcome(relative, status, **facts)
    except HeldError as error:
        return Outcome(relative, "held", str(error), **facts)
    except MarkerRemoverError as error:
        return Outcome(relative, "failed", str(error), **facts)
    except OSError as error:
        return Outcome(relative, "failed", f"{type(error).__name__}: {error.strerror or 'no further word'}", **facts)


def _process(
    source: Path, relative: str, out: Path, audit: Path, cleaner: Cleaner, options: RunOptions, headers: HeaderProfile, facts: dict
) -> str:
    """The steps of `process_file`; what is learnt on the way goes into `facts`, so that a failure keeps it."""
    timings_ms = facts["timings_ms"]
    with timed(timings_ms, "read"):
        facts["sha256_in"] = sha256_file(source)
        if images.recognise(source) is None:
            raise ReadError("not a DICOM, PNG, JPEG or TIFF file")
        radiograph = images.read(source)
    tells = headers.mode == "basic" and images.path_tells(radiograph, relative)
    facts.update(format=radiograph.format, shape=tuple(radiograph.stored.shape), path_tells=tells)
    cleaned = clean_radiograph(radiograph, cleaner, timings_ms)
    facts["decisions"] = cleaned.decisions
    with timed(timings_ms, "crops"):
        facts["crops"] = crops.draw(audit / "crops", relative, radiograph.display, cleaned.shown, cleaned.decisions)
    if cleaned.doubt:
        raise HeldError(cleaned.doubt)
    touched = not np.array_equal(cleaned.stored, radiograph.stored)
    if not options.dry_run:
        with timed(timings_ms, "write"):

            def write(target: Path) -> None:
                said = {"touched": touched, "headers": headers}
                images.write(radiograph, cleaned.stored, target, verified=True, method=method(cleaner.detector), **said)
                images.verify_written(radiograph, cleaned.stored, target, **said)

            facts["sha256_out"] = _publish(write, relative, out, audit, replace=options.overwrite or options.resume)
    return "cleaned" if touched or any(d.action == "remove" for d in cleaned.decisions) else "unchanged"


def _publish(write: Callable[[Path], None], relative: str, out: Path, audit: Path, *, replace: bool) -> str:
    """Write in the audit's tmp/ (`write` also reads it back and compares), fsync, rename into OUT; returns the SHA-256.

    Whatever goes wrong before the rename leaves nothing under OUT; the temporary file is removed in every case.
    """
    temporary = audit / "tmp" / f"{crops.file_id(relative)}.part"
    try:
        write(temporary)
        digest = sha256_file(temporary)
        _sync(temporary)
        move_into(temporary, relative, out, replace=replace)
        return digest
    finally:
        temporary.unlink(missing_ok=True)


def method(detector: Any) -> str:
    """Tool, version and the start of the weights' hash, for DICOM's De-identification Method (64 characters at most)."""
    return f"markerremover {__version__}, weights {str(getattr(detector, 'sha256', ''))[:12] or 'unknown'}"


def move_into(temporary: Path, relative: str, out: Path, *, replace: bool) -> None:
    """Rename a finished file to OUT/relative, making folders as needed.

    Args:
        out: an existing folder, its path without links: what is a link there later was put in its place.

    Raises:
        WriteError: a link at OUT or under it would lead the file elsewhere, a folder stands in its place, or (unless `replace`)
            a file does, as for two names that differ in case only on a file system that does not tell them apart.
    """
    target = out / relative
    if out.resolve() != out:
        raise WriteError("the output folder was replaced by a symbolic link")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.resolve().is_relative_to(out):
        raise WriteError("a symbolic link below the output folder leads out of it")
    if target.is_dir():
        raise WriteError("a folder of the same name stands in the output folder")
    if not replace and os.path.lexists(target):
        raise WriteError("a file of the same name stands in the output folder")
    os.chmod(temporary, 0o666 & ~_umask())
    os.replace(temporary, target)
    _sync(target.parent)


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk; folders cannot be opened on Windows, which needs no such call."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
