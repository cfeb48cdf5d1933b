"""The patient, study and source of an image: pseudonyms, never what a user or a header calls them.

A DICOM file has the pseudonyms of its cleaned header. Other files have a patient by their row in the user's CSV, or by their folder. Names in that
CSV become pseudonyms with the key of the run: the same as in cleaned headers where the patient's ID is the same and has no issuer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from ..errors import UsageError
from ..headers.header_identifiers import patient_of_id
from ..headers.profile import CONSONANTS, PSEUDONYM_LETTERS, HeaderProfile, read_key
from ..labels import image_names
from ..options import KEY
from ..records import Radiograph
from ..run.run_file import Run
from ..system import user_text

NO_HEADER = "its header has no pseudonym of a patient"
NO_PATIENT = "its patient is unknown: it lies in no folder and has no row in --patients"
_PSEUDONYM = re.compile(f"[{CONSONANTS}]{{{PSEUDONYM_LETTERS}}}")
_UID = re.compile(r"2\.25\.\d{1,39}")


@dataclass(frozen=True)
class Person:
    """Pseudonyms of an image's patient and study, "" for an unknown study; and how the patient is known: "header", "csv", "folder" or "file"."""

    patient: str
    study: str
    known_by: str


class Persons:
    """The patients of a run's files."""

    def __init__(self, run: Run, *, table: Path | None, files: Iterable[str], source_column: str | None, key: Path | None, one_image_a_patient: bool) -> None:
        """Args:
            table: the user's CSV.  files: paths below CLEAN that it may name.  source_column: its column with the sources.
            key: file of the run's key; None for that of the run.

        Raises:
            UsageError: the table cannot be read, lacks a column, or contradicts itself.
        """
        self._run, self._key_file, self._one_image_a_patient = run, key, one_image_a_patient
        self._source_column = source_column.strip().lower() if source_column else ""
        self._cells: Mapping[str, Mapping[str, str]] = {}
        if table is not None:
            read = user_text.read_table(table)
            headings = [name for name in ("patient", "study", self._source_column) if name]
            for name in headings:
                if name != "study":
                    read.column(name)
            self._cells = image_names.rows_of(read, files, headings)

    def of(self, relative: str, radiograph: Radiograph) -> Person | str:
        """The patient and study of a file, or the reason why they are unknown.

        Args:
            relative: path below CLEAN.  radiograph: the result, with its cleaned header.
        """
        cells = self._cells.get(relative, {})
        header = radiograph.source.dataset if radiograph.format == "DICOM" else {}
        study = str(header.get("StudyInstanceUID", "") or "")
        study = study if _UID.fullmatch(study) else ""
        if cells.get("patient"):
            named = self._profile.pseudonym("study", f"{cells['patient']}\0{cells['study']}") if cells.get("study") else ""
            return Person(self._profile.pseudonym("patient", patient_of_id(cells["patient"])), named or study, "csv")
        if radiograph.format == "DICOM":
            patient = str(header.get("PatientID", "") or "")
            if _PSEUDONYM.fullmatch(patient):
                return Person(patient, study, "header")
            return NO_HEADER
        if self._one_image_a_patient:
            return Person(self._profile.pseudonym("file", relative), "", "file")
        folder = PurePosixPath(relative).parent.as_posix()
        return NO_PATIENT if folder == "." else Person(self._profile.pseudonym("folder", folder), "", "folder")

    def source(self, relative: str) -> str:
        """The source by which the split is stratified: the cell of the user's CSV, or the top folder, "" for files in none."""
        if self._source_column:
            return self._cells.get(relative, {}).get(self._source_column, "")
        parts = PurePosixPath(relative).parts
        return parts[0] if len(parts) > 1 else ""

    @cached_property
    def _profile(self) -> HeaderProfile:
        """The run's key, which pseudonyms are made with.

        Raises:
            UsageError: its file is missing or no key.
        """
        path = self._key_file or self._run.options.key or self._run.audit / KEY
        try:
            return HeaderProfile("basic", read_key(path))
        except UsageError as error:
            raise UsageError(f"{error}; pseudonyms of folders and of --patients need the key of the run (--key)") from error
