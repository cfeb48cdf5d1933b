"""Writes outcomes to manifest.jsonl, summary.json and the audit page, and reads them back.

The audit shows what was removed: every file is readable by its owner only, and the page loads nothing from elsewhere.
"""

from __future__ import annotations

import base64
import json
import math
import os
import secrets
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import UsageError
from ..headers.profile import read_key
from ..records import STATUSES, Decision, Outcome
from ..system import files, regular_files
from . import full_pictures, page
from .crops import thumb_names

#: Version of the keys of manifest.jsonl, summary.json and the document of `evaluate --json`; 1 until 0.2.0, see the changelog.
SCHEMA = 2
MANIFEST, SUMMARY, PAGE = "manifest.jsonl", "summary.json", "index.html"


def manifest_row(outcome: Outcome, run: dict[str, str]) -> dict[str, Any]:
    """One input as a JSON object.

    Args:
        run: fields that are the same in every row: `weights_sha256`, `version`, `settings_sha256`.
    """
    return {
        "relative": outcome.relative,
        "status": outcome.status,
        "reason": outcome.reason,
        "format": outcome.format,
        "shape": list(outcome.shape),
        **({"orientation": outcome.orientation} if outcome.orientation != 1 else {}),
        "sha256_in": outcome.sha256_in,
        "sha256_out": outcome.sha256_out,
        "boxes": [
            _box(d) | _style(*style) | ({"removed": area} if area else {})
            for d, style, area in zip(outcome.decisions, outcome.styles or repeat(("", "")), outcome.areas or repeat(""))
        ],
        "held_for": [_box(d) for d in outcome.held_for],
        "crops": [list(pair) for pair in outcome.crops],
        "full_pictures": dict(outcome.full_pictures),
        "path_tells": outcome.path_tells,
        "released_held": outcome.released_held,
        "notes": list(outcome.notes),
        "timings_ms": dict(outcome.timings_ms),
        **outcome.further,
        **({"synthetic_pixels": outcome.made_up} if outcome.styles else {}),
        **run,
    }


def _style(style: str, reason: str) -> dict[str, str]:
    """The fields of a box's style and its reason; none in a run whose style is `box`."""
    return {"style": style, "style_reason": reason} if style else {}


def _box(decision: Decision) -> dict[str, Any]:
    reading = decision.reading
    return {
        "frame": decision.frame,
        "xyxy": [int(v) for v in decision.xyxy],
        "score": round(float(decision.score), 4),
        "label": decision.label,
        "action": decision.action,
        "reason": decision.reason,
        "text": reading.text if reading else "",
        "confidence": round(float(reading.confidence), 4) if reading else 0.0,
        "rotation_deg": round(float(reading.rotation_deg), 1) if reading else 0.0,
        "mirrored": bool(reading.mirrored) if reading else False,
        **({} if decision.area is None else {"area_px": int(decision.area.sum())}),
    }


def packed_areas(removed: np.ndarray, decisions: Sequence[Decision]) -> tuple[str, ...]:
    """Which pixels of each decision's box were removed, for the manifest.

    Args:
        removed: (F, H, W) bool, every removed pixel of the file.

    Returns:
        For each decision "" where all of its box was removed; else the box's bits, row by row from its top left corner, the first one in the highest
        bit of the first byte (`numpy.packbits`), deflated (`zlib`), in base64. Together they are all of `removed`.
    """
    crops = (removed[d.frame, d.xyxy[1] : d.xyxy[3], d.xyxy[0] : d.xyxy[2]] for d in decisions)
    return tuple("" if crop.all() else base64.b64encode(zlib.compress(np.packbits(crop).tobytes(), 9)).decode("ascii") for crop in crops)


def removed_pixels(row: Mapping[str, Any], shape_fhw: tuple[int, ...]) -> np.ndarray:
    """(F, H, W) bool, new: the pixels that a row says were removed. Boxes of versions that did not say it count as a whole, retained ones not at all.

    Args:
        shape_fhw: frames, rows, columns of the file.

    Raises:
        UsageError: a box does not fit, or its `removed` cannot be read.
    """
    removed = np.zeros(shape_fhw, bool)
    for box in row["boxes"]:
        x1, y1, x2, y2 = box["xyxy"]
        part = removed[box["frame"]][y1:y2, x1:x2] if box["frame"] < len(removed) else removed[0, :0]
        try:
            bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(box["removed"])), np.uint8)) if "removed" in box else None
            part |= box["action"] == "remove" if bits is None else bits[: part.size].reshape(y2 - y1, x2 - x1).astype(bool)
        except (ValueError, zlib.error):
            raise UsageError(f"the row of {ascii(row['relative'])} has a box whose removed pixels cannot be read") from None
    return removed


def append(handle: IO[str], row: dict[str, Any]) -> None:
    """Add one row to an open manifest and hand it to the operating system at once."""
    handle.write(json.dumps(row) + "\n")  # ASCII only: file names need not be valid Unicode
    handle.flush()


def read_manifest(path: Path) -> list[dict[str, Any]]:
    """The rows of a manifest, [] where there is none. Lines that a crash truncated are left out.

    Raises:
        UsageError: a link or something that is no regular file stands in its place.
    """
    try:
        text = regular_files.read(path).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return []
    rows = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and isinstance(row.get("relative"), str) and row.get("status") in STATUSES:
            rows.append(row)
    return rows


def checked_rows(audit: Path) -> dict[str, dict[str, Any]]:
    """Path -> row of an audit's manifest, with every field that later steps rely on checked.

    Raises:
        UsageError: as for `read_manifest`; or a row is not as `manifest_row` writes it.
    """
    rows = read_manifest(audit / MANIFEST)
    for row in rows:
        if field := _row_problem(row):
            raise UsageError(f"{audit / MANIFEST}: the row of {ascii(row['relative'])} is damaged ({field}); `remove --resume` writes it again")
    return {row["relative"]: row for row in rows}


def _row_problem(row: dict[str, Any]) -> str:
    """The first invalid field of a row, "" if there is none."""
    for name in ("reason", "format", "sha256_in", "sha256_out", "weights_sha256"):
        if not isinstance(row.get(name), str):
            return name
    review = row.get("review")
    if review is not None and not (isinstance(review, dict) and isinstance(review.get("digest"), str) and isinstance(review.get("marks"), list)):
        return "review"
    if not isinstance(row.get("shape"), list) or not all(_whole(v) for v in row["shape"]):
        return "shape"
    for name, boxes in (("boxes", row.get("boxes")), ("held_for", row.get("held_for", [])), ("review", (review or {}).get("boxes_before", [])), ("review", (review or {}).get("marks", []))):
        if not isinstance(boxes, list) or not all(_box_is_right(box, mark=boxes is (review or {}).get("marks")) for box in boxes):
            return name
    return ""


def _box_is_right(box: Any, *, mark: bool) -> bool:
    if not isinstance(box, dict) or not _whole(box.get("frame")) or box.get("action") not in ("keep", "remove"):
        return False
    xyxy = box.get("xyxy")
    if not isinstance(xyxy, list) or len(xyxy) != 4 or not all(type(v) is int for v in xyxy):
        return False
    texts, numbers = ((), ()) if mark else (("label", "reason", "text"), ("score", "confidence", "rotation_deg"))
    return all(isinstance(box.get(name), str) for name in texts) and all(
        type(box.get(name)) in (int, float) and math.isfinite(box[name]) for name in numbers)


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def read_summary(audit: Path) -> dict[str, Any]:
    """The content of summary.json, {} where it is missing or damaged, as after a run that did not end.

    Raises:
        UsageError: a link or something that is no regular file stands in its place.
    """
    try:
        summary = json.loads(regular_files.read(audit / SUMMARY))
    except (OSError, ValueError, RecursionError):
        return {}
    return summary if isinstance(summary, dict) else {}


def boxes_before(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The boxes of a row as the program alone decided, before any review."""
    return (row.get("review") or {}).get("boxes_before", row["boxes"])


def counts(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Number of inputs and of each status; statuses without any are 0."""
    statuses = Counter(row["status"] for row in rows)
    return {"inputs": sum(statuses.values()), **{status: statuses[status] for status in STATUSES}}


def agreed_key(path: Path, key: bytes) -> bytes:
    """The key in a file, which is created with `key` if it is missing; processes that do this at the same time all get the same key.

    Raises:
        UsageError: the file exists and holds no key.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.chmod(path.parent, 0o700)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        with files.open_private(temporary) as handle:
            handle.write(key.hex() + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        try:
            os.link(temporary, path)  # unlike a rename it fails where another process was first
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return read_key(path)


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Replace a manifest by these rows, atomically."""
    files.write_private(path, (json.dumps(row) + "\n" for row in rows))


def write_summary(audit: Path, summary: dict[str, Any]) -> None:
    """Write summary.json."""
    files.write_private(audit / SUMMARY, json.dumps(summary, indent=1) + "\n")


def write_page(audit: Path, rows: Iterable[dict[str, Any]], summary: dict[str, Any]) -> None:
    """Write index.html, see `page.parts`; pictures that are not in crops/ and films/ are left out."""
    folders = (audit / "crops", audit / full_pictures.FOLDER)
    pictures = {entry.name for folder in folders if folder.is_dir() for entry in os.scandir(folder)}
    files.write_private(audit / PAGE, page.parts(rows, summary, thumb_names, pictures))
