"""The validation set of a site: chosen once, never changed and never trained on."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UsageError
from ..evaluation.evaluate import upper_bound
from ..records import LATERALITY, MARKER
from ..system import journal
from ..system.files import write_private
from ..system.wording import counted
from ..training import folds
from . import picture_store
from .picture_store import Picture, sync
from .site_folder import SiteFolder

FIXED = "fixed.json"
PARTS = 3  # one patient in `PARTS` of the gathered pictures is in a dealt validation set
LEAST_ANNOTATIONS = 10  # smallest number of annotations: if none of 10 is lost, a loss of more than a quarter is excluded (95 %)
LEAST_PATIENTS = 3  # smallest number of patients


@dataclass(frozen=True)
class Strength:
    """Counts of a set of pictures; the names are keys of the history.

    annotations: `marker` elements.  laterality_markers: `laterality` elements.  unmarked: pictures without elements."""

    pictures: int
    patients: int
    annotations: int
    laterality_markers: int
    unmarked: int

    @property
    def unseen(self) -> float:
        """Upper bound of the share of annotations, 0-1, newly missed at a site if none of this set is: one-sided exact 95 % (Clopper-Pearson)."""
        return upper_bound(0, self.annotations)


def strength(pictures: Sequence[Picture]) -> Strength:
    """Count a set of pictures."""
    return Strength(
        len(pictures), len({p.patient for p in pictures}), sum(p.count(MARKER) for p in pictures), sum(p.count(LATERALITY) for p in pictures),
        sum(not p.annotation.elements for p in pictures),
    )


def check_strength(pictures: Sequence[Picture]) -> None:
    """Refuse a set that is too small to show a loss.

    Raises:
        UsageError: it has too few annotations or patients.
    """
    held = strength(pictures)
    if held.annotations < LEAST_ANNOTATIONS or held.patients < LEAST_PATIENTS:
        raise UsageError(
            f"the validation set would have {counted(held.annotations, 'annotation')} in {counted(held.pictures, 'picture')} of "
            f"{counted(held.patients, 'patient')}, needed are "
            f"{LEAST_ANNOTATIONS} annotations of {LEAST_PATIENTS} patients: so few cannot show a loss. Gather more, or give a folder with --validation"
        )


def deal(pictures: Sequence[Picture]) -> list[Picture]:
    """One patient in `PARTS` of a training set, for validation; independent of the order, with patients with annotations distributed evenly."""
    if len({p.patient for p in pictures}) < PARTS:
        return []
    by_path = {p.path: p for p in pictures}
    return [by_path[s.path] for s in folds.deal([p.sample for p in pictures], PARTS)[0]]


def fix(folder: SiteFolder, pictures: Sequence[Picture], how: str, taken_out: Sequence[str] = ()) -> None:
    """Make some pictures the validation set, permanently.

    Args:
        how: its origin, recorded in `FIXED`.  taken_out: names of pictures to delete from the training set.

    Raises:
        UsageError: see `check_strength`.
    """
    check_strength(pictures)
    building = folder.path / "validation.new"
    shutil.rmtree(building, ignore_errors=True)
    for picture in pictures:
        picture_store.store(picture, building)
    stored = picture_store.read_stored(building)
    rows = [{"name": p.name, "patient": p.patient, "pixels": p.pixels, "digest": p.digest} for p in stored]
    document = {"when": journal.now(), "how": how, "taken_out": list(taken_out), "sha256": picture_store.digest(stored), "pictures": rows}
    write_private(building / FIXED, json.dumps(document, indent=1) + "\n")
    settle(folder)


def settle(folder: SiteFolder) -> None:
    """Complete a validation set whose creation a crash interrupted, or delete it if it is incomplete."""
    building = folder.path / "validation.new"
    if (building / FIXED).is_file():
        picture_store.take_out(json.loads((building / FIXED).read_text(encoding="utf-8"))["taken_out"], folder.training)
        os.rename(building, folder.validation)
        sync(folder.path)
    elif building.is_dir():
        shutil.rmtree(building)


def read(folder: SiteFolder) -> list[Picture]:
    """The validation set, checked; [] if there is none yet.

    Raises:
        UsageError: it has changed since it was fixed.  AnnotationError: see `picture_store.read_stored`.
    """
    if not folder.validation.exists():
        return []
    place = folder.validation / FIXED
    try:
        rows = json.loads(place.read_text(encoding="utf-8"))["pictures"]
        fixed = {row["name"]: (row["digest"], row["patient"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{place}: is missing or damaged, so the fixed set is unknown") from error
    pictures = picture_store.read_stored(folder.validation)
    present = {p.name: (p.digest, p.patient) for p in pictures}
    if changed := sorted(name for name in fixed.keys() | present.keys() if fixed.get(name) != present.get(name)):
        raise UsageError(f"{folder.validation}: {changed[0]} is not as it was fixed ({len(changed)} such); results would not compare. Put it back, "
                         "or begin another site folder")
    return pictures


def check_apart(training: Sequence[Picture], validation: Sequence[Picture]) -> None:
    """Check that training and validation set are disjoint.

    Raises:
        UsageError: a picture, the file that it was made from, or a patient is in both sets.
    """
    for relation, key in (("is the same picture as", lambda p: p.pixels), ("is of the same file as", lambda p: p.source[0]),
            ("is of the same patient as", lambda p: p.patient)):
        by_key = {key(p): p for p in validation}
        for picture in training:
            if match := by_key.get(key(picture)):
                raise UsageError(f"{picture.path} {relation} {match.path} of the validation set, so it must not be in the training set: remove it")
