"""The steps for one file, from reading to one `Outcome`; the steps in memory are in `redaction.cleaning`.

    read -> display -> triage -> localizer -> second pass -> decide -> redact -> verify -> write in the audit's tmp/ -> re-read
    -> rename into OUT

No state passes from one file to the next: everything is in the arguments, and `Cleaner` is frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import __version__
from ..audit import crops, full_pictures, manifest_files
from ..errors import HeldError, MarkerRemoverError, ReadError
from ..formats import images
from ..headers.profile import HeaderProfile
from ..laterality import burned_in
from ..options import RunOptions
from ..records import Corrections, Outcome
from ..redaction.cleaning import Cleaner, clean_radiograph
from ..scope import modality
from ..system.files import move_into, sha256_file, sync
from ..system.timing import timed
from ..triage import judge, unusable, with_markers

NO_IMAGE = "not a DICOM, PNG, JPEG or TIFF file"  # reason of a file that is no radiograph


def process_file(
    source: Path, relative: str, out: Path, audit: Path, cleaner: Cleaner, options: RunOptions, headers: HeaderProfile = HeaderProfile(),
    corrections: Corrections | None = None,
) -> Outcome:
    """Clean one file.

    Args:
        source: the input; never written.
        relative: POSIX path of the result below OUT.
        out, audit: existing folders on one file system; `audit` has tmp/ and crops/, and gets films/.
        headers: treatment of a DICOM header.
        corrections: of a review or drawn by hand, if any.

    Returns:
        The outcome. For `held` and `failed` nothing was written below OUT. Errors of this package and of the file system become
        outcomes; other exceptions propagate.
    """
    timings_ms: dict[str, float] = {}
    facts: dict[str, Any] = {"timings_ms": timings_ms}
    try:
        status = _process(source, relative, out, audit, cleaner, options, headers, facts, corrections)
        return Outcome(relative, status, **facts)
    except HeldError as error:
        return Outcome(relative, "held", str(error), **facts)
    except MarkerRemoverError as error:
        return Outcome(relative, "failed", str(error), **facts)
    except OSError as error:
        return Outcome(relative, "failed", f"{type(error).__name__}: {error.strerror or 'no message'}", **facts)


def _process(
    source: Path, relative: str, out: Path, audit: Path, cleaner: Cleaner, options: RunOptions, headers: HeaderProfile, facts: dict,
    corrections: Corrections | None = None,
) -> str:
    """The steps of `process_file`; results are collected in `facts`, so that they are available after a failure."""
    timings_ms = facts["timings_ms"]
    with timed(timings_ms, "read"):
        facts["sha256_in"] = sha256_file(source)
        if corrections and corrections.sha256_in not in ("", facts["sha256_in"]):
            raise HeldError("it is not the file that a person reviewed: its SHA-256 has changed")
        if images.recognise(source) is None:
            raise ReadError(NO_IMAGE)
        radiograph = images.read(source)
    tells = headers.mode == "basic" and images.path_tells(radiograph, relative)
    facts.update(format=radiograph.format, shape=tuple(radiograph.stored.shape), path_tells=tells, orientation=images.layout(radiograph).orientation)
    scope = images.scope(radiograph)
    facts["further"] = scope.row
    with timed(timings_ms, "triage"):
        quality = judge(radiograph)
        facts["further"] |= quality.row
    modality.check(scope, options.allowed)
    if tells and options.paths != "keep":
        raise HeldError("its path still holds a name, number or UID of its header")
    cleaned = clean_radiograph(radiograph, cleaner, timings_ms, corrections)
    unchecked = bool(corrections and corrections.alone)
    facts.update(decisions=cleaned.decisions, styles=cleaned.styles, made_up=cleaned.made_up, held_for=cleaned.held_for,
                 areas=manifest_files.packed_areas(cleaned.removed, cleaned.decisions))
    facts["further"] |= {"quality": list(with_markers(quality, cleaned.decisions, radiograph.shape_hw[1]))}
    if cleaner.policy.readable and not unchecked:
        facts["further"] |= {"laterality": burned_in.side(cleaned.decisions, radiograph.shape_hw, options.meanings or {}, images.header_sides(radiograph)).row}
    with timed(timings_ms, "crops"):
        frame = crops.frame_shown(cleaned.decisions, cleaned.held_for)
        boxes = (*cleaned.decisions, *cleaned.held_for)
        facts["crops"] = crops.draw(audit / "crops", relative, radiograph.display, cleaned.shown, boxes, frame)
        facts["full_pictures"] = full_pictures.draw(
            audit, relative, radiograph.display[frame], cleaned.shown[frame], frame, options.full_pictures_gb)
    if cleaned.doubt and not options.release_held and not (corrections and corrections.release):
        raise HeldError(cleaned.doubt)
    if options.hold_unusable and (reason := unusable(quality.flags)) and not (corrections and corrections.release):
        raise HeldError(reason)
    facts["released_held"] = cleaned.doubt
    touched = images.is_touched(radiograph, cleaned.stored, cleaned.removed)
    if not options.dry_run:
        with timed(timings_ms, "write"):

            def write(target: Path) -> None:
                arguments: dict[str, Any] = {
                    "touched": touched, "headers": headers, "transfer_syntax": options.transfer_syntax, "synthetic": cleaned.made_up,
                    "removed": cleaned.removed,
                }
                verified = not (cleaned.doubt or unchecked)
                tool = method(cleaner.detector)
                facts["notes"] = images.write(radiograph, cleaned.stored, target, verified=verified, method=tool, **arguments) or ()
                facts["further"] |= images.verify_written(radiograph, cleaned.stored, target, notes=facts["notes"], **arguments) or {}

            facts["sha256_out"] = _publish(write, relative, out, audit, replace=options.overwrite or options.resume)
    return "cleaned" if touched or cleaned.doubt or any(d.action == "remove" for d in cleaned.decisions) else "unchanged"


def _publish(write: Callable[[Path], None], relative: str, out: Path, audit: Path, *, replace: bool) -> str:
    """Write in the audit's tmp/ (`write` also reads it back and compares), fsync, rename into OUT; returns the SHA-256.

    An error before the rename leaves nothing below OUT; the temporary file is deleted in every case.
    """
    temporary = temporary_file(audit, relative)
    try:
        write(temporary)
        digest = sha256_file(temporary)
        sync(temporary)
        move_into(temporary, relative, out, replace=replace)
        return digest
    finally:
        temporary.unlink(missing_ok=True)


def temporary_file(audit: Path, relative: str) -> Path:
    """The path at which an output is written and read back before it is renamed into OUT."""
    return audit / "tmp" / f"{crops.file_id(relative)}.part"


def method(detector: Any) -> str:
    """Tool, version and the start of the weights' hash, for DICOM's De-identification Method (64 characters at most)."""
    return f"markerremover {__version__}, weights {str(getattr(detector, 'sha256', ''))[:12] or 'unknown'}"
