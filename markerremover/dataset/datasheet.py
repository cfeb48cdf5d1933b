"""DATASHEET.md of a data set, under the headings of Gebru et al., Datasheets for Datasets (Communications of the ACM 64(12), 2021)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..redaction.corrections import FOLDER
from ..system import regular_files
from ..system.wording import counted
from . import facts
from .options import PARTS, ExportOptions
from .released import Refusal, Released

FILL_IN = "*To be filled in by those who publish the data set.*"
_RESULT = re.compile(r"^\*\*Result\.\*\* (.+?)\n\n", re.DOTALL | re.MULTILINE)


def text(records: Sequence[Mapping[str, Any]], refused: Sequence[Refusal], run: Released, options: ExportOptions) -> str:
    """The datasheet as Markdown; names nobody.

    Args:
        records: of dataset.csv.  refused: of refused.csv.  run: what the data set was made from.
    """
    return "\n\n".join((
        "# Datasheet", f"Made by markerremover {__version__}, `export-dataset`. Headings after Gebru et al., *Datasheets for Datasets* (2021).",
        "## Motivation", f"For what purpose was the data set made, by whom, and who paid for it? {FILL_IN}",
        "## Composition", _composition(records, options), "## Collection", "Where the radiographs are from, over which time, how they were chosen, and by "
        f"which consent or approval they may be shared: {FILL_IN}",
        "## Preprocessing: what was removed", _removed(records, run, options), "## Preprocessing: how it was verified", _verified(records, run),
        "## Splits", _splits(records, options), "## What is not in it", _left_out(refused),
        "## Uses, and limits", _LIMITS, "## Distribution and maintenance", f"Licence, terms of use, contact, updates: {FILL_IN}",
    )) + "\n"


def _composition(records: Sequence[Mapping[str, Any]], options: ExportOptions) -> str:
    patients, studies = {r["patient"] for r in records}, {r["study"] for r in records if r["study"]}
    size = "as in the sources" if options.size is None else "x".join(map(str, options.size)) if isinstance(options.size, tuple) else f"longer side {options.size}"
    lines = [
        f"{counted(len(records), 'image')} of {counted(len(patients), 'patient')}" + (f" in {counted(len(studies), 'study', 'studies')}" if studies else "")
        + f", {options.bits}-bit greyscale PNG, bright = dense; size in pixels: {size}{', padded with black' if options.is_padded else ''}.",
        *(f"- {title}: {_listed(facts.share_of(_values(records, name)))}" for title, name in (
            ("source", "source"), ("modality", "modality"), ("view", "view"), ("body part", "body_part"), ("side", "side"), ("grey levels by", "window"),
            ("patient known by", "patient_known_by"))),
    ]
    flags = Counter(flag for record in records for flag in record["quality"])
    lines.append(f"- quality flags: {_listed(dict(flags.most_common())) if flags else 'none'}")
    repeated = sum(bool(record["duplicate_of"]) for record in records)
    lines.append(f"- marked as duplicates: {counted(repeated, 'image')}")
    spaced = sum(record["pixel_spacing_row_mm"] != "" for record in records)
    lines.append(f"- with a pixel spacing: {counted(spaced, 'image')}; where only Imager Pixel Spacing is known, it is that at the detector")
    return "\n".join(lines) + "\n\nEach image has a row in `dataset.csv`. Patients and studies are pseudonyms."


def _removed(records: Sequence[Mapping[str, Any]], run: Released, options: ExportOptions) -> str:
    rows = [run.rows[name] for name in sorted({record["source_file"] for record in records})]
    boxes = Counter(box["action"] for row in rows for box in row["boxes"])
    versions = ", ".join(sorted({str(row.get("version", "unknown")) for row in rows})) or "none"
    weights = ", ".join(sorted({row["weights_sha256"] for row in rows})) or "none"
    synthetic = sum(bool(row.get("synthetic_pixels")) for row in rows)
    style = run.run.options.resolved_policy.style
    return "\n".join((
        "Burned-in annotations (names, dates, numbers and markers in the pixels) were removed; isolated laterality markers were retained "
        f"({', '.join(run.run.options.resolved_policy.keep) or 'none'}).", "",
        f"- boxes removed: {boxes['remove']}; laterality markers retained: {boxes['keep']}; style of removed boxes: {style}",
        f"- files with synthetic pixels in place of annotations: {synthetic}",
        f"- program: markerremover {versions}; weights {(run.summary.get('weights') or {}).get('name', 'unknown')}, SHA-256 {weights}",
        f"- headers: {run.summary.get('headers', 'unknown')}. The PNG files have none.",
        f"- DICOM pixels were windowed by: {'the header, where it has a sound window, else percentiles' if options.window == 'header' else 'percentiles'}; "
        "low MONOCHROME1 values are bright here",
    ))


def _verified(records: Sequence[Mapping[str, Any]], run: Released) -> str:
    names = {record["source_file"] for record in records}
    looked = sum(bool((run.rows[name].get("review") or {}).get("verdict")) or bool(run.reviews.get(name) and run.reviews[name].verdict) for name in names)
    automatic = "Only boxes drawn by hand were removed, and the results were not checked by the program." if run.summary.get("by_hand") else (
        "The program searched every result again" + (" and read it with OCR" if run.summary.get("results_read") else "; no OCR engine read the results")
        + ". Files whose result was in doubt have none.")
    lines = [automatic, f"People looked at {looked} of the {counted(len(names), 'source file')} in the review of the run."]
    lines += [f"Statement on a random sample of the run: {result}" for result in statements(run.run.audit)]
    return "\n".join(f"- {line}" for line in lines) + "\n- Every image was made from a file whose SHA-256 is that in the manifest of the run."


def statements(audit: Path) -> list[str]:
    """The results in the statements of a review, each one paragraph, without the names of those who checked."""
    found = []
    for path in sorted((audit / FOLDER).glob("statement-*-*.md")):
        match = _RESULT.search(regular_files.read(path).decode("utf-8", "replace"))
        found += [" ".join(match[1].split())] if match else []
    return found


def _splits(records: Sequence[Mapping[str, Any]], options: ExportOptions) -> str:
    lines = [f"By patient, shares {', '.join(f'{share:g}' for share in options.shares)}, seed {options.seed}, within each source "
             f"({'column ' + options.source_column if options.source_column else 'the top folder'}). No patient is in two parts, and no radiograph: patients "
             "who share one, by its hash or as a marked duplicate, are in the same part.", ""]
    for part in PARTS:
        of_part = [record for record in records if record["split"] == part]
        lines.append(f"- {part}: {counted(len(of_part), 'image')} of {counted(len({r['patient'] for r in of_part}), 'patient')}")
    return "\n".join(lines)


def _left_out(refused: Sequence[Refusal]) -> str:
    if not refused:
        return "Every file of the run is in the data set."
    reasons = facts.share_of(refusal.reason for refusal in refused)
    return "\n".join(["Files of the run that were left out, by reason (`refused.csv` lists them; it is not meant to be shared):", "",
                      *(f"- {count}: {reason}" for reason, count in reasons.items())])


def _values(records: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    return [str(record[name]) for record in records]


def _listed(counts: Mapping[str, int], most: int = 12) -> str:
    parts = [f"{_plain(value)} {count}" for value, count in list(counts.items())[:most]]
    return ", ".join(parts) + (f", and {len(counts) - most} more" if len(counts) > most else "") if parts else "none"


def _plain(value: str) -> str:
    """A value without what Markdown or a terminal would act on."""
    return re.sub(r"([\\`*_<>\[\]|#])", r"\\\1", "".join(char if char.isprintable() else "?" for char in value))


_LIMITS = """The program misses some burned-in annotations, and removes some anatomy with others: see its accuracy pages for rates and their intervals.
Anatomy, implants and rare findings can identify a person to those who know them. Recommended before the data set is shared:

- look at a random sample of the images, and state the result (`markerremover review --sample`);
- search the images for text with a second, independent program;
- check that `dataset.csv` names nobody, above all `source` and `source_file`, which are folders and files of the run;
- keep `refused.csv`, and whatever links pseudonyms to patients, apart from the data set;
- do not train on black boxes: where they lie may depend on hospital, view and machine, and so on the label."""
