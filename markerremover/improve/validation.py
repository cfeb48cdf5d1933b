"""The validation set of a site: chosen once, never changed, and nothing of it is learnt from."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UsageError
from ..evaluation.evaluate import upper_bound
from ..system.files import write_private
from ..training import folds
from . import picture_store
from .picture_store import Picture, sync
from .site_folder import SiteFolder, now

FIXED = "fixed.json"
PARTS = 3  # where the set is dealt from what was gathered, one patient in so many goes into it
LEAST_MARKINGS = 10  # with none of so many lost, a loss of a quarter of all markings is just told from none (95 %)
LEAST_PATIENTS = 3


@dataclass(frozen=True)
class Strength:
    """What a set of pictures holds; all are counts."""

    pictures: int
    patients: int
    markings: int
    signs: int
    unmarked: int

    @property
    def unseen(self) -> float:
        """Share of markings, 0-1, that could be newly lost at a site although none of the set is: one-sided exact 95 % bound."""
        return upper_bound(0, self.markings)


def strength(found: Sequence[Picture]) -> Strength:
    """Count a set of pictures."""
    return Strength(
        len(found), len({p.patient for p in found}), sum(p.count("marker") for p in found), sum(p.count("laterality") for p in found),
        sum(not p.annotation.elements for p in found),
    )


def check_strength(found: Sequence[Picture]) -> None:
    """Refuse a set that could tell nothing.

    Raises:
        UsageError: it has too few markings or patients.
    """
    held = strength(found)
    if held.markings < LEAST_MARKINGS or held.patients < LEAST_PATIENTS:
        raise UsageError(
            f"the validation set would have {held.markings} markings in {held.pictures} pictures of {held.patients} patients, needed are "
            f"{LEAST_MARKINGS} markings of {LEAST_PATIENTS} patients: so few cannot show a loss. Gather more, or give a folder with --validation"
        )


def deal(found: Sequence[Picture]) -> list[Picture]:
    """One patient in `PARTS` of a training set, for validation; the same ones whatever the order, patients with markings shared out evenly."""
    if len({p.patient for p in found}) < PARTS:
        return []
    by_path = {p.path: p for p in found}
    return [by_path[s.path] for s in folds.deal([p.sample for p in found], PARTS)[0]]


def fix(folder: SiteFolder, chosen: Sequence[Picture], how: str, taken_out: Sequence[str] = ()) -> None:
    """Make some pictures the validation set, for good.

    Args:
        how: said in `FIXED`.  taken_out: names of pictures of the training set that go from there.

    Raises:
        UsageError: see `check_strength`.
    """
    check_strength(chosen)
    building = folder.path / "validation.new"
    shutil.rmtree(building, ignore_errors=True)
    for picture in chosen:
        picture_store.store(picture, building)
    stored = picture_store.read_stored(building)
    rows = [{"name": p.name, "patient": p.patient, "pixels": p.pixels, "digest": p.digest} for p in stored]
    document = {"when": now(), "how": how, "taken_out": list(taken_out), "sha256": picture_store.digest(stored), "pictures": rows}
    write_private(building / FIXED, json.dumps(document, indent=1) + "\n")
    settle(folder)


def settle(folder: SiteFolder) -> None:
    """Finish making a validation set that a crash cut off, or undo it where not all of it was there yet."""
    building = folder.path / "validation.new"
    if (building / FIXED).is_file():
        picture_store.take_out(json.loads((building / FIXED).read_text(encoding="utf-8"))["taken_out"], folder.training)
        os.rename(building, folder.validation)
        sync(folder.path)
    elif building.is_dir():
        shutil.rmtree(building)


def read(folder: SiteFolder) -> list[Picture]:
    """The validation set, checked; [] where there is none yet.

    Raises:
        UsageError: it is not what was fixed.  AnnotationError: see `pictures.read_stored`.
    """
    if not folder.validation.exists():
        return []
    place = folder.validation / FIXED
    try:
        rows = json.loads(place.read_text(encoding="utf-8"))["pictures"]
        wanted = {row["name"]: (row["digest"], row["patient"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{place}: is missing or damaged, so nobody knows what was fixed") from error
    found = picture_store.read_stored(folder.validation)
    there = {p.name: (p.digest, p.patient) for p in found}
    if wrong := sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name)):
        raise UsageError(f"{folder.validation}: {wrong[0]} is not as it was fixed ({len(wrong)} such); results would not compare. Put it back, "
                         "or begin another site folder")
    return found


def check_apart(training: Sequence[Picture], validation: Sequence[Picture]) -> None:
    """Refuse to learn from what is measured.

    Raises:
        UsageError: a picture, the file it was made of, or a patient is on both sides.
    """
    for what, key in (("is the same picture as", lambda p: p.pixels), ("is of the same file as", lambda p: p.source[0]),
            ("is of the same patient as", lambda p: p.patient)):
        known = {key(p): p for p in validation}
        for picture in training:
            if other := known.get(key(picture)):
                raise UsageError(f"{picture.path} {what} {other.path} of the validation set, so it must not be learnt from: take it out")
