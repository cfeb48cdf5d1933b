"""The order of the steps: one file in, one `Outcome` out; what happens in memory is in `looks`.

    read -> display -> localizer -> second pass -> decide -> redact -> verify -> write in the audit's tmp/ -> re-read
    -> rename into OUT

No state passes from one file to the next: everything lives in the arguments, and `Cleaner` is frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..audit import crops
from ..errors import HeldError, MarkerRemoverError, ReadError
from ..formats import images
from ..headers.profile import HeaderProfile
from ..options import RunOptions
from ..records import Corrections, Outcome
from ..redaction.cleaning import Cleaner, clean_radiograph, timed
from ..system.files import move_into, sha256_file, sync


def process_file(
    source: Path, relative: str, out: Path, audit: Path, cleaner: Cleaner, options: RunOptions, headers: HeaderProfile = HeaderProfile(),
    corrections: Corrections | None = None,
) -> Outcome:
    """Clean one file.

    Args:
        source: the input, only ever opened for reading.
        relative: POSIX path below OUT where the result goes.
        out, audit: existing folders on one file system; `audit` has tmp/ and crops/.
        headers: what happens to a DICOM header.
        corrections: what people say of the file, if anything.

    Returns:
        The outcome. For `held` and `failed` nothing was put under OUT. Errors that the package raises on purpose and
        those of the file system end here; anything else passes through.
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
        return Outcome(relative, "failed", f"{type(error).__name__}: {error.strerror or 'no further word'}", **facts)


def _process(
    source: Path, relative: str, out: Path, audit: Path, cleaner: Cleaner, options: RunOptions, headers: HeaderProfile, facts: dict,
    corrections: Corrections | None = None,
) -> str:
    """The steps of `process_file`; what is learnt on the way goes into `facts`, so that a failure keeps it."""
    timings_ms = facts["timings_ms"]
    with timed(timings_ms, "read"):
        facts["sha256_in"] = sha256_file(source)
        if corrections and corrections.sha256_in not in ("", facts["sha256_in"]):
            raise HeldError("it is not the file that a person looked at: its SHA-256 has changed")
        if images.recognise(source) is None:
            raise ReadError("not a DICOM, PNG, JPEG or TIFF file")
        radiograph = images.read(source)
    tells = headers.mode == "basic" and images.path_tells(radiograph, relative)
    facts.update(format=radiograph.format, shape=tuple(radiograph.stored.shape), path_tells=tells, orientation=images.layout(radiograph).orientation)
    if tells and options.paths != "keep":
        raise HeldError("its path still holds a name, number or UID of its header")
    cleaned = clean_radiograph(radiograph, cleaner, timings_ms, corrections)
    unlooked = bool(corrections and corrections.alone)
    facts.update(decisions=cleaned.decisions, styles=cleaned.styles, made_up=cleaned.made_up)
    with timed(timings_ms, "crops"):
        facts["crops"] = crops.draw(audit / "crops", relative, radiograph.display, cleaned.shown, cleaned.decisions)
    if cleaned.doubt and not options.release_held and not (corrections and corrections.release):
        raise HeldError(cleaned.doubt)
    facts["released_held"] = cleaned.doubt
    touched = not np.array_equal(cleaned.stored, radiograph.stored)
    if not options.dry_run:
        with timed(timings_ms, "write"):

            def write(target: Path) -> None:
                said = {"touched": touched, "headers": headers, "transfer_syntax": options.transfer_syntax}
                said["synthetic"] = cleaned.made_up
                verified = not (cleaned.doubt or unlooked)
                facts["notes"] = images.write(radiograph, cleaned.stored, target, verified=verified, method=method(cleaner.detector), **said) or ()
                images.verify_written(radiograph, cleaned.stored, target, **said)

            facts["sha256_out"] = _publish(write, relative, out, audit, replace=options.overwrite or options.resume)
    return "cleaned" if touched or cleaned.doubt or any(d.action == "remove" for d in cleaned.decisions) else "unchanged"


def _publish(write: Callable[[Path], None], relative: str, out: Path, audit: Path, *, replace: bool) -> str:
    """Write in the audit's tmp/ (`write` also reads it back and compares), fsync, rename into OUT; returns the SHA-256.

    Whatever goes wrong before the rename leaves nothing under OUT; the temporary file is removed in every case.
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
    """Where an output is written and read back before it gets its name."""
    return audit / "tmp" / f"{crops.file_id(relative)}.part"


def method(detector: Any) -> str:
    """Tool, version and the start of the weights' hash, for DICOM's De-identification Method (64 characters at most)."""
    return f"markerremover {__version__}, weights {str(getattr(detector, 'sha256', ''))[:12] or 'unknown'}"
