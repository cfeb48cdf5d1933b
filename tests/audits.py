"""Finished audits of any size, made without a run: rows as `remove` writes them, with pictures that are links to a few files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import fakes
import numpy as np

from markerremover.audit import crops, full_pictures, manifest_files
from markerremover.options import RunOptions
from markerremover.records import Policy
from markerremover.redaction import decision_rules, verify
from markerremover.run import run_file
from markerremover.system.files import sha256_file

KINDS = 20  # of pictures: every other file is a link to one of them
FACTS = {"weights_sha256": "ab" * 32, "version": "0.1.0", "settings_sha256": "cd" * 32}
HELD = "boxes remain after 2 rounds of removal"
NOTES = ["PatientComments (0010,4000): removed, it could not be read", "overlay 6000: removed"]


def rows(count: int, boxes: int = 3, seed: int = 0) -> Iterator[dict[str, Any]]:
    """`count` rows with `boxes` boxes each: 1 in 50 held, 1 in 100 failed, 1 in 10 unchanged with no boxes."""
    random = np.random.default_rng(seed)
    for i in range(count):
        relative = f"site-{i % 7}/{i // 1000:03d}/radiograph_{i:06d}.{('png', 'dcm', 'jpg')[i % 3]}"
        status = "failed" if i % 100 == 99 else "held" if i % 50 == 9 else "unchanged" if i % 10 == 5 else "cleaned"
        has = status in ("cleaned", "held")
        found = [_box(random, decision_rules.REASONS[(i + n) % len(decision_rules.REASONS)]) for n in range(boxes)] if has else []
        names = [[f"{crops.file_id(relative)}-{n:03d}-{side}.jpg" for side in ("before", "after")] for n in range(len(found))]
        yield {
            "relative": relative, "status": status, "format": ("PNG", "DICOM", "JPEG")[i % 3],
            "reason": {"failed": f"{relative.rsplit('/', 1)[1]}: is truncated", "held": HELD}.get(status, ""),
            "shape": [1, 2560, 2048] if status != "failed" else [], "sha256_in": f"{i % KINDS:064x}",
            "sha256_out": f"{i % KINDS:064x}" if status in ("cleaned", "unchanged") else "", "boxes": found, "crops": names, "path_tells": False,
            "held_for": [_box(random, verify.REASON) | {"label": verify.LABEL}] if status == "held" else [],
            "full_pictures": {"frame": 0, "scale": 0.25, "missing": ""} if status != "failed" else {},
            "notes": NOTES if i % 3 == 1 else [], "released_held": "", "timings_ms": {"read": 20.5, "detect": round(float(random.lognormal(5.5, 0.5)), 1)}, **FACTS,
        }


def _box(random: np.random.Generator, reason: str) -> dict[str, Any]:
    x, y, height = int(random.integers(0, 1500)), int(random.integers(0, 2200)), int(random.lognormal(3.6, 0.4))
    keep = reason == decision_rules.KEPT
    return {
        "frame": 0, "xyxy": [x, y, x + 2 * height, y + height], "score": round(1 - float(random.beta(1.2, 6)), 4),
        "label": "laterality" if keep else "marker", "action": "keep" if keep else "remove", "reason": reason,
        "text": "L" if keep else "", "confidence": 0.93 if keep else 0.0, "rotation_deg": 0.0, "mirrored": False,
    }


def summary(found: list[dict[str, Any]], audit: Path) -> dict[str, Any]:
    """What summary.json of such a run says."""
    boxes = [box for row in found for box in row["boxes"]]
    return {
        "counts": manifest_files.counts(found), "reconciles": True, "released_held": 0, "results_read": True, "ignored": [], "site": None,
        "boxes": {action: sum(b["action"] == name for b in boxes) for action, name in (("kept", "keep"), ("removed", "remove"))},
        "options": {"keep": ["L", "R"], "threshold": 0.7, "dry_run": False, "style": "box"},
        "weights": {"name": "shipped", "sha256": "ab" * 32}, "backend": "onnx", "headers": "DICOM headers follow the profile",
        "paths_that_tell": 0, "version": "0.1.0", "versions": {"python": "3.11"}, "by_hand": False, "audit": str(audit),
        "unaccounted": [], "resumed": 0, "seconds": 3600.0, "images_per_second": 2.8, "renamed": 0,
    }


def pictures(audit: Path, found: list[dict[str, Any]]) -> None:
    """The pictures of the rows, below audit/crops."""
    folder = audit / "crops"
    folder.mkdir(mode=0o700)
    kinds = {}
    for kind in range(KINDS):
        for what, shape in (("crop", (90, 180)), ("whole", (420, 336))):
            image = fakes.radiograph(kind, boxes=[(20, 20, 120, 60)], shape=shape)
            for side in ("before", "after"):
                kinds[kind, what, side] = folder / f"{what}-{kind}-{side}"
                kinds[kind, what, side].write_bytes(cv2.imencode(".jpg", image)[1].tobytes())
                image[20:60, 20:120] = 0
    (films := audit / full_pictures.FOLDER).mkdir(mode=0o700)
    for kind in range(KINDS):
        film = fakes.radiograph(kind, boxes=[(40, 40, 240, 120)], shape=(640, 512))
        for look, image in zip(full_pictures.LOOKS, (film, np.where(film == 255, np.uint8(0), film), full_pictures.equalised(film))):
            (films / f"{kind}-{look}").write_bytes(cv2.imencode(".jpg", image)[1].tobytes())
    for i, row in enumerate(found):
        if row["shape"]:
            for name, look in zip(full_pictures.names(crops.file_id(row["relative"])), full_pictures.LOOKS):
                os.link(films / f"{i % KINDS}-{look}", films / name)
            for names, what in [(crops.thumb_names(row["relative"]), "whole"), *((pair, "crop") for pair in row["crops"])]:
                for name, side in zip(names, ("before", "after")):
                    os.link(kinds[i % KINDS, what, side], folder / name)


def write(folder: Path, count: int, boxes: int = 3, *, files: bool = True) -> Path:
    """Inputs, outputs and audit of a finished run of `count` files; returns the audit folder, without its page.

    Args:
        files: make inputs and outputs, too, so that `review` can show them.
    """
    audit, found = folder / "out-audit", list(rows(count, boxes))
    audit.mkdir(parents=True, mode=0o700)
    if files:
        _files(folder, found)
    pictures(audit, found)
    manifest_files.write_rows(audit / manifest_files.MANIFEST, found)
    manifest_files.write_summary(audit, summary(found, audit))
    run_file.write(audit, folder / "out", [folder / "in"], RunOptions(policy=Policy(keep=("L", "R")), headers="keep"))
    return audit


def _files(folder: Path, found: list[dict[str, Any]]) -> None:
    """Inputs and outputs: links to `KINDS` PNGs each, whose hashes the rows get."""
    (folder / "kinds").mkdir()
    made = {}
    for kind in range(KINDS):
        image = fakes.radiograph(kind, shape=(96, 128))
        made[kind] = fakes.put(folder / "kinds" / f"{kind}-in", fakes.png(image)), fakes.put(folder / "kinds" / f"{kind}-out", fakes.png(image // 2))
    hashes = {kind: [sha256_file(path) for path in pair] for kind, pair in made.items()}
    for i, row in enumerate(found):
        released = row["status"] in ("cleaned", "unchanged")
        row["sha256_in"], row["sha256_out"] = hashes[i % KINDS][0], hashes[i % KINDS][1] if released else ""
        row["shape"] = [1, 96, 128] if row["shape"] else []
        for place, source in zip(("in", "out") if released else ("in",), made[i % KINDS]):
            target = folder / place / row["relative"]
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, target)


def page(audit: Path) -> Path:
    """Write the page of an audit that `write` made."""
    told = json.loads((audit / manifest_files.SUMMARY).read_text(encoding="utf-8"))
    manifest_files.write_page(audit, manifest_files.read_manifest(audit / manifest_files.MANIFEST), told)
    return audit / manifest_files.PAGE
