"""Divides labelled radiographs into folds by patient: for training, for choosing the epoch, for measuring."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..labels import labelled_folder
from ..labels.labelled_folder import Sample
from ..records import MARKER

STOP_PARTS = 5  # one in `STOP_PARTS` training patients is used for early stopping


@dataclass(frozen=True)
class Fold:
    """One division of the samples; no patient is in two of the parts.

    train: for training.  stop: for choosing the epoch; () without early stopping.
    held_out: for measuring; () for the last training, on all samples.

    Raises:
        UsageError: a patient is in two parts, or `train` is empty.
    """

    number: int
    train: tuple[Sample, ...]
    stop: tuple[Sample, ...]
    held_out: tuple[Sample, ...]

    def __post_init__(self) -> None:
        parts = [{s.patient for s in part} for part in (self.train, self.stop, self.held_out)]
        if len(set().union(*parts)) != sum(map(len, parts)):
            raise UsageError(f"fold {self.number} has a patient in two of its parts")
        if not self.train:
            raise UsageError(f"fold {self.number} has no training images: more patients are needed")


def deal(samples: Sequence[Sample], count: int) -> list[list[Sample]]:
    """Divide samples into `count` parts of similar size, every patient in one part.

    The division is deterministic and independent of the order of the samples: patients with a `marker` first, so that they are distributed
    evenly, then by a hash of their name.
    """
    by_patient: dict[str, list[Sample]] = {}
    for sample in sorted(samples, key=lambda s: s.path.name):
        by_patient.setdefault(sample.patient, []).append(sample)

    def order(patient: str) -> tuple[bool, str]:
        marked = any(e.kind == MARKER for s in by_patient[patient] for e in s.annotation.elements)
        return not marked, hashlib.sha256(patient.encode()).hexdigest()

    parts: list[list[Sample]] = [[] for _ in range(count)]
    for patient in sorted(by_patient, key=order):
        min(parts, key=len).extend(by_patient[patient])
    return parts


def plan(folder: Path, folds: int, *, early_stop: bool, one_image_a_patient: bool = False) -> tuple[Fold, ...]:
    """The folds of a LabelMe folder.

    Args:
        folds: 2 or more for cross-validation, at most one per patient; 0 holds out the `val` rows of its split.csv.
        early_stop: whether a part of the training patients is held back to choose the epoch.
        one_image_a_patient: see `labelled_folder.load_samples`.

    Raises:
        UsageError: too few patients, no split.csv to use, or `folds` is 1 or negative.
        AnnotationError: see `labelled_folder.load_samples`.
    """
    if folds < 0 or folds == 1:
        raise UsageError(f"folds is {folds}, allowed are 0 (the val rows of split.csv) and 2 or more")
    if folds == 0:
        if not (folder / "split.csv").is_file():
            raise UsageError(f"{folder}: folds is 0, which needs a split.csv with val rows")
        divisions = [(labelled_folder.load_samples(folder, "train"), labelled_folder.load_samples(folder, "val"))]
        if not divisions[0][1]:
            raise UsageError(f"{folder / 'split.csv'}: no row says val")
    else:
        samples = labelled_folder.load_samples(folder, None, one_image_a_patient=one_image_a_patient)
        patients = len({s.patient for s in samples})
        if patients < 2:
            raise UsageError(f"{folder} holds {patients} patient, at least 2 are needed: {labelled_folder.tell_patients(samples, folder)}")
        parts = deal(samples, min(folds, patients))
        divisions = [([s for other_part in parts if other_part is not part for s in other_part], part) for part in parts]
    try:
        return tuple(_fold(number, train, held_out, early_stop) for number, (train, held_out) in enumerate(divisions))
    except UsageError as error:
        everything = [s for part in divisions[0] for s in part]
        raise UsageError(f"{folder}: {error}; {labelled_folder.tell_patients(everything, folder)}") from None


def whole(samples: Sequence[Sample], *, early_stop: bool) -> Fold:
    """One fold of all samples, none of them held out.

    Raises:
        UsageError: too few patients.
    """
    return _fold(0, samples, (), early_stop)


def _fold(number: int, train: Sequence[Sample], held_out: Sequence[Sample], early_stop: bool) -> Fold:
    stop: list[Sample] = []
    if early_stop:
        patients = len({s.patient for s in train})
        if patients < 2:
            raise UsageError("too few patients to set some apart for early stopping: add patients, or use --patience 0")
        stop = deal(train, min(STOP_PARTS, patients))[-1]
    stop_paths = {s.path for s in stop}
    return Fold(number, tuple(s for s in train if s.path not in stop_paths), tuple(stop), tuple(held_out))
