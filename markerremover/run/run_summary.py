"""The summary of a run, and the facts that all its rows share."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from .. import __version__
from ..audit import manifest_files
from ..headers.profile import HeaderProfile
from ..options import RunOptions
from ..records import RELEASED, STATUSES
from ..triage import FLAGS
from . import drawn_boxes
from .inputs import Input
from .workers import Equipment

HEADERS_NOTES = {
    "basic": "DICOM headers follow the Basic Application Level Confidentiality Profile",
    "keep": "DICOM headers STILL IDENTIFY: they were kept as they are, only pixels and what else can carry pixels were cleaned",
}
LIBRARIES = ("numpy", "opencv-python-headless", "pydicom", "Pillow", "pyjpegio", "tifffile", "onnxruntime", "onnxruntime-gpu", "openvino", "tesserocr", "pytesseract",
    "rapidocr")


def run_facts(equipment: Equipment, options: RunOptions, headers: HeaderProfile, drawn: drawn_boxes.Annotations | None = None) -> dict[str, str]:
    """The fields that all rows of this run share."""
    settings = options.settings_sha256(headers.key)
    if drawn:
        settings = hashlib.sha256(f"{settings} {drawn.sha256}".encode()).hexdigest()
    return {"weights_sha256": equipment.sha256, "version": __version__, "settings_sha256": settings}


def counts_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The counts of summary.json over the rows of a manifest; `reconciles`: every row has one of the four statuses."""
    counts = manifest_files.counts(rows)
    boxes = [box for row in rows for box in row["boxes"]]
    return {
        "counts": counts, "reconciles": counts["inputs"] == sum(counts[status] for status in STATUSES),
        "boxes": {"kept": sum(b["action"] == "keep" for b in boxes), "removed": sum(b["action"] == "remove" for b in boxes)},
        "released_held": sum(bool(row.get("released_held")) for row in rows),
        "noted": sum(bool(row.get("notes")) for row in rows),
        "quality": {flag: sum(flag in row.get("quality", ()) for row in rows) for flag in FLAGS},
        "paths_that_tell": sum(bool(row.get("path_tells")) and row["status"] in RELEASED for row in rows),
        "modalities": dict(sorted(Counter(row.get("modality", "") for row in rows).items())),
        "outside_validation": sum(bool(row.get("outside_validation")) for row in rows),
        "recognizable": sum(bool(row.get("recognizable")) for row in rows),
        "laterality": _sides_of(rows),
    }


def _sides_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts of burned-in sides; files by their path below OUT, unless that tells who the patient is."""
    sides = [(row, row["laterality"]) for row in rows if row.get("laterality")]
    disagreeing = [row for row, side in sides if side["agrees"] is False]
    return {
        "read": sum(bool(side["side"]) for _, side in sides), "disagree": len(disagreeing),
        "flipped": sum(side["flipped"] is True for _, side in sides),
        "disagreeing": sorted(row["relative"] for row in disagreeing if not row.get("path_tells")),
    }


def whole_summary(
    rows: list[dict[str, Any]], files: list[Input], ignored: list[str], equipment: Equipment, options: RunOptions, run: dict[str, str]
) -> dict[str, Any]:
    """The content of summary.json: counts, which are checked here, and circumstances of the run.

    Raises:
        AssertionError: inputs and rows do not match one to one, which would be a defect of this package.
    """
    if sorted(row["relative"] for row in rows) != sorted(item.relative for item in files):
        raise AssertionError(f"{len(files)} inputs but {len(rows)} rows, or not the same ones")
    policy = options.resolved_policy
    counted = counts_of(rows)
    return {
        **{name: counted[name] for name in ("counts", "reconciles", "boxes", "released_held", "noted", "modalities", "outside_validation",
                                              "recognizable", "laterality", "quality")},
        "results_read": equipment.reads,
        "ignored": ignored,
        "options": {
            "keep": list(policy.keep), "threshold": policy.threshold or equipment.threshold,
            "margin": policy.margin, "style": policy.style, "workers": options.workers, "device": options.device,
            "batch": options.batch,
            "engine": options.engine, "dry_run": options.dry_run,
            "overwrite": options.overwrite, "resume": options.resume, "ignore": list(options.ignore), "headers": options.headers,
            "retain": list(options.retain), "shift_dates": options.shift_dates, "paths": options.paths, "time_limit": options.time_limit,
            "second_look": options.second_look, "effort": options.effort, "allow_modality": list(options.allowed), "read_laterality": bool(policy.read), "release_held": options.release_held,
            "hold_unusable": options.hold_unusable,
            "transfer_syntax": options.transfer_syntax, "shard": "{}/{}".format(*options.shard) if options.shard else None,
        },
        "site": _site(options),
        "weights": {"name": equipment.name, "sha256": run["weights_sha256"]},
        "backend": equipment.backend,
        "headers": HEADERS_NOTES[options.headers],
        "paths_that_tell": counted["paths_that_tell"],
        "schema": manifest_files.SCHEMA,
        "version": __version__,
        "versions": {"python": platform.python_version(), **library_versions()},
    }


def _site(options: RunOptions) -> dict[str, Any] | None:
    """The site profile of the run: its file's hash, and the meaning of each text that this run retains."""
    if options.site is None:
        return None
    meanings = {text: meaning for text, meaning in options.site.keep.items() if text in options.resolved_policy.readable}
    return {"sha256": options.site.sha256, "laterality_markers": meanings}


def library_versions() -> dict[str, str]:
    """Distribution -> version, of the installed ones of LIBRARIES."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
