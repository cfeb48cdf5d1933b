"""`markerremover export-dataset`: released results as PNG files with dataset.csv, refused.csv and DATASHEET.md.

Everything is written in a folder beside DATASET that only its owner can read, and renamed at the end: there is a complete data set or none.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..audit import tables
from ..errors import MarkerRemoverError, UsageError
from ..formats import read_apart
from ..system import files
from . import datasheet, facts, rendering, splits
from .identity import Person, Persons
from .options import PARTS, ExportOptions
from .released import UNREAD, Refusal, Released, changed, read

DATASET_CSV, REFUSED_CSV, DATASHEET = "dataset.csv", "refused.csv", "DATASHEET.md"
COLUMNS = ("file_name", "split", "patient", "study", "source", "source_file", "frame", "view", "side", "body_part", "modality", "quality", "duplicate_of",
    "outside_validation", "width", "height", "pixel_spacing_row_mm", "pixel_spacing_column_mm", "pad_left", "pad_top", "pad_right", "pad_bottom", "bits",
    "window", "patient_known_by", "sha256")
SKIPPED = "left out by --skip: {flags}"
STEM_LETTERS, ID_LETTERS = 40, 12
LARGE_FOLDER = 50  # a folder that counts as one patient and has more images than this is told to the user

#: Called after each file as progress(done, total).
Progress = Callable[[int, int], None]


@dataclass
class _Film:
    """One written frame, until its part is known."""

    place: Path
    name: str
    person: Person
    record: dict[str, Any]


def export_dataset(clean: Path | str, out: Path | str, *, options: ExportOptions = ExportOptions(), progress: Progress | None = None) -> dict[str, Any]:
    """Make a data set of the released results of a run.

    Args:
        clean: its OUT.
        out: the new folder; it may exist if it is empty.
        progress: see `Progress`.

    Returns:
        `images`, `patients`: numbers, also by part in `parts` (part -> (images, patients)); `refused`: every `Refusal`, also those that were asked
        for; `large_folders`: number of folders with more than `LARGE_FOLDER` images that count as one patient.

    Raises:
        UsageError: see `released.read` and `identity.Persons`; or `out` is not empty, or lies in CLEAN or its audit, or around them.
        OSError: something cannot be written; nothing is left at `out` then.
    """
    clean, out = Path(os.path.abspath(clean)), Path(os.path.abspath(out))
    audit = Path(os.path.abspath(options.audit)) if options.audit else clean.with_name(clean.name + "-audit")
    _check_target(out, clean, audit)
    run = read(clean, audit)
    persons = Persons(run.run, table=options.patients, files=run.rows, source_column=options.source_column, key=options.key,
                      one_image_a_patient=options.one_image_a_patient)
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))  # only its owner can read it
    try:
        films, refused = _films(run, persons, work, options, progress)
        refused = sorted([*run.refused, *refused], key=lambda refusal: refusal.source_file)
        _place(films, run.rows, work, options)
        records = [film.record for film in films]
        files.write_private(work / DATASET_CSV, tables.lines(COLUMNS, records))
        files.write_private(work / REFUSED_CSV, tables.lines(("source_file", "asked_for", "reason"), (
            {"source_file": r.source_file, "asked_for": r.asked, "reason": r.reason} for r in refused)))
        files.write_private(work / DATASHEET, datasheet.text(records, refused, run, options))
        for folder, _, _ in os.walk(work):
            files.sync(Path(folder))
        if out.is_dir():
            out.rmdir()
        os.replace(work, out)
        files.sync(out.parent)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    by_folder = Counter(film.person.patient for film in films if film.person.known_by == "folder")
    return {
        "images": len(records), "patients": len({record["patient"] for record in records}), "refused": refused,
        "parts": {part: (sum(r["split"] == part for r in records), len({r["patient"] for r in records if r["split"] == part})) for part in PARTS},
        "large_folders": sum(count > LARGE_FOLDER for count in by_folder.values()),
    }


def _check_target(out: Path, clean: Path, audit: Path) -> None:
    """Refuse a target that is not empty, or that is nested with the run.

    Raises:
        UsageError: it is.
    """
    real = out.resolve()
    for folder in (clean.resolve(), audit.resolve()):
        if real.is_relative_to(folder) or folder.is_relative_to(real):
            raise UsageError(f"{out} and {folder} may not be the same or nested: choose another folder for the data set")
    if os.path.islink(out) or out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out} is there already and is no empty folder: choose another one, or remove it")


def _films(run: Released, persons: Persons, work: Path, options: ExportOptions, progress: Progress | None) -> tuple[list[_Film], list[Refusal]]:
    """Every picture, written below `work`, and the files that turned out to have none."""
    films: list[_Film] = []
    refused: list[Refusal] = []
    for number, (relative, row) in enumerate(run.rows.items(), 1):
        unwanted = [flag for flag in facts.flags(row) if flag in options.skip]
        if unwanted:
            refused.append(Refusal(relative, SKIPPED.format(flags=", ".join(unwanted)), asked=True))
        else:
            of_file = _of_file(run, persons, relative, row, work, options)
            films += of_file if isinstance(of_file, list) else []
            refused += [Refusal(relative, of_file)] if isinstance(of_file, str) else []
        if progress:
            progress(number, len(run.rows))
    return films, refused


def _of_file(run: Released, persons: Persons, relative: str, row: Mapping[str, Any], work: Path, options: ExportOptions) -> list[_Film] | str:
    """The pictures of one file, or the reason why there is none."""
    try:
        radiograph = read_apart.read(run.clean / relative)
    except UsageError:
        raise
    except (MarkerRemoverError, OSError):  # its message may name the file
        return UNREAD
    if reason := changed(run.clean, row):  # what was read is what the run wrote
        return reason
    person = persons.of(relative, radiograph)
    if isinstance(person, str):
        return person
    meanings = (run.summary.get("site") or {}).get("laterality_markers") or {}
    header, spacing = facts.of_header(radiograph), facts.spacing_mm(radiograph)
    shared = {
        "patient": person.patient, "study": person.study, "source": persons.source(relative), "source_file": relative, **header,
        "modality": facts.plain(row.get("modality")) or header["modality"], "quality": facts.flags(row),
        "duplicate_of": facts.plain(row.get("duplicate_of")), "outside_validation": facts.plain(row.get("outside_validation")), "bits": options.bits,
        "patient_known_by": person.known_by,
    }
    films = []
    shown = rendering.pictures(radiograph, row, options)
    for frame, picture in enumerate(shown):
        data, name = rendering.png(picture.pixels), picture_name(relative, frame if len(shown) > 1 else None)
        _write(work / name, data)
        rows_mm, columns_mm = facts.resized_mm(spacing, picture.scale_yx, picture.turned)
        films.append(_Film(work / name, name, person, {
            **shared, "frame": frame, "side": facts.side(row, frame, meanings), "height": picture.pixels.shape[0], "width": picture.pixels.shape[1],
            "pixel_spacing_row_mm": rows_mm, "pixel_spacing_column_mm": columns_mm, **dict(zip(COLUMNS[18:22], picture.pad)), "window": picture.window,
            "sha256": hashlib.sha256(data).hexdigest(),
        }))
    return films


def picture_name(relative: str, frame: int | None = None) -> str:
    """File name of a picture: the stem of its source in plain characters, and a hash of its path, so that it is unique and stays the same.

    >>> picture_name("a/chest 1.dcm"), picture_name("a/chest 1.dcm", 2)
    ('chest_1-a29d53fd89e7.png', 'chest_1-a29d53fd89e7-f002.png')
    """
    digest = hashlib.sha256(relative.encode("utf-8", "surrogateescape")).hexdigest()[:ID_LETTERS]
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", PurePosixPath(relative).stem)[:STEM_LETTERS].strip("._-") or "image"
    return f"{stem}-{digest}{'' if frame is None else f'-f{frame:03d}'}.png"


def _write(path: Path, data: bytes) -> None:
    """Write a new file and flush it to the disk.

    Raises:
        FileExistsError: two pictures would have the same name.
    """
    with open(path, "xb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def _place(films: list[_Film], rows: Mapping[str, Mapping[str, Any]], work: Path, options: ExportOptions) -> None:
    """Decide the part of every patient, and move the pictures into the folders of their parts.

    Patients of whom one radiograph is the same, by its hash or by `duplicate_of`, get the same part.
    """
    patient_of = {film.record["source_file"]: film.person.patient for film in films}
    shared = [(rows[relative][name], patient) for relative, patient in patient_of.items() for name in ("sha256_in", "sha256_out")]
    shared += [(("file", path), patient) for relative, patient in patient_of.items() for path in (relative, rows[relative].get("duplicate_of"))
               if isinstance(path, str) and path]
    group = splits.grouped(sorted(set(patient_of.values())), shared)
    sources: dict[str, set[str]] = defaultdict(set)
    for film in films:
        sources[group[film.person.patient]].add(film.record["source"])
    parts = splits.split({name: min(found) for name, found in sources.items()}, options.shares, options.seed)
    for part in sorted(set(parts.values())):
        (work / part).mkdir()
    for film in films:
        part = parts[group[film.person.patient]]
        os.rename(film.place, work / part / film.name)
        film.record |= {"file_name": f"{part}/{film.name}", "split": part}
