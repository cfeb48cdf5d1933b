"""Annotated pictures from reviewed runs into a site's training set. What is already there is told by its pixels, or by the file and frame
that it was made of; of two annotations of one picture the later review counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..audit import manifest_files
from ..errors import UsageError
from ..redaction import corrections
from ..review.apply import LABELS
from ..system import regular_files
from . import picture_store
from .picture_store import Picture


@dataclass(frozen=True)
class Gathered:
    """What gathering would do.

    new: pictures that are not there yet.  replaced: those there whose annotation a later one replaces, with it: (there, later).
    same: how many are there as they are.  reserved: how many are of patients, or are pictures, of the validation set.
    stale: how many say something else than the log of their review: `apply` has not been run since.
    unwritten: files that were corrected and have no annotation, of all the audits.
    """

    new: tuple[Picture, ...] = ()
    replaced: tuple[tuple[Picture, Picture], ...] = ()
    same: int = 0
    reserved: int = 0
    stale: int = 0
    unwritten: int = 0

    def training(self, there: Sequence[Picture]) -> list[Picture]:
        """The training set as it will be, by name."""
        gone = {old.name for old, _ in self.replaced}
        return sorted([*(p for p in there if p.name not in gone), *(new for _, new in self.replaced), *self.new], key=lambda p: p.name)


def plan(sources: Sequence[Path], there: Sequence[Picture], validation: Sequence[Picture]) -> Gathered:
    """Look at audits and LabelMe folders; nothing is written.

    Args:
        sources: audit folders whose review was applied, or folders with images/ and annotations/.
        there: the training set.  validation: the validation set, of which nothing is taken.

    Raises:
        UsageError: a source holds no annotations.  AnnotationError: see `pictures.read`.
    """
    kept, stale, unwritten = [], 0, 0
    for source in sources:
        found, old, missing = _source(Path(source))
        kept, stale, unwritten = [*kept, *found], stale + old, unwritten + missing
    barred = _Known(validation)
    patients = {p.patient for p in validation}
    usable = [p for p in kept if p.patient not in patients and not barred.find(p)]
    known, new, replaced, same = _Known(there), {}, {}, 0
    for picture in _latest(usable):
        old = known.find(picture)
        if old is None:
            new[picture.name] = picture
        elif (old.digest, old.patient) == (picture.digest, picture.patient) or (picture.when and picture.when < old.when):
            same += 1
        else:
            replaced[old.name] = old, picture
    return Gathered(tuple(new.values()), tuple(replaced.values()), same, len(kept) - len(usable), stale, unwritten)


class _Known:
    """Pictures, found by their pixels or by what they were made of."""

    def __init__(self, found: Sequence[Picture]) -> None:
        self._by = {key: p for p in found for key in (p.pixels, p.source)}

    def find(self, picture: Picture) -> Picture | None:
        return self._by.get(picture.pixels) or self._by.get(picture.source)


def _latest(found: Sequence[Picture]) -> list[Picture]:
    """One annotation a picture: the one that was made last, of equally old ones the last that was given."""
    chosen: list[Picture] = []
    for picture in sorted(found, key=lambda p: p.when):
        known = _Known([picture])
        chosen = [*(p for p in chosen if not known.find(p)), picture]
    return chosen


def _source(source: Path) -> tuple[list[Picture], int, int]:
    """The pictures of one source that count, how many do not, and how many corrected files have none."""
    labels = source / corrections.FOLDER / LABELS
    for part in (labels.parent, labels, labels / "images", labels / "annotations"):
        if regular_files.real(part):
            regular_files.only_files(part)
    if not (source / manifest_files.MANIFEST).is_file():
        if not (source / "images").is_dir():
            raise UsageError(f"{source}: is neither the audit of a run (OUT-audit) nor a folder with images/ and annotations/")
        return picture_store.read(source), 0, 0
    finished = [r for r in corrections.reviews(corrections.read_events(corrections.log_path(source))).values() if r.verdict]
    if not (labels / "images").is_dir():
        raise UsageError(f"{source}: holds no annotations: `markerremover review {source}` and then `apply` make them")
    found = picture_store.read(labels)
    said = {(r.sha256_in, r.when, r.digest) for r in finished}
    current = [p for p in found if (p.source[0], p.when, p.said) in said]
    written = {(p.source[0], p.when, p.said) for p in current}
    return current, len(found) - len(current), sum(bool(r.digest or r.named) and (r.sha256_in, r.when, r.digest) not in written for r in finished)


def carry_out(gathered: Gathered, folder: Path) -> None:
    """Write what `plan` found into the training set; cut short, it can be done again."""
    for picture in gathered.new:
        picture_store.store(picture, folder)
    for old, picture in gathered.replaced:
        picture_store.store(picture, folder)
        if old.name != picture.name:
            picture_store.take_out([old.name], folder)
