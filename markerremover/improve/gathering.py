"""Adds annotated pictures from reviewed runs to a site's training set. A picture that is already in it is recognised by its pixels, or by the
file and frame that it was made from; of two annotations of one picture the later review counts."""

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
    """The result of `plan`.

    new: pictures to add.  replaced: (present, later): pictures of the set whose annotation a later one replaces.
    same: number of pictures that are in the set already.  reserved: number of pictures, or of patients' pictures, in the validation set.
    stale: number of annotations that differ from the log of their review, since `apply` has not been run afterwards.
    unwritten: number of corrected files without an annotation, in all audits.
    """

    new: tuple[Picture, ...] = ()
    replaced: tuple[tuple[Picture, Picture], ...] = ()
    same: int = 0
    reserved: int = 0
    stale: int = 0
    unwritten: int = 0

    def training(self, present: Sequence[Picture]) -> list[Picture]:
        """The future training set, by name."""
        replaced = {old.name for old, _ in self.replaced}
        return sorted([*(p for p in present if p.name not in replaced), *(new for _, new in self.replaced), *self.new], key=lambda p: p.name)


def plan(sources: Sequence[Path], present: Sequence[Picture], validation: Sequence[Picture]) -> Gathered:
    """Read audits and LabelMe folders; nothing is written.

    Args:
        sources: audit folders whose review was applied, or folders with images/ and annotations/.
        present: the training set.  validation: the validation set; its pictures and patients are left out.

    Raises:
        UsageError: a source holds no annotations.  AnnotationError: see `picture_store.read`.
    """
    gathered: list[Picture] = []
    stale = unwritten = 0
    for source in sources:
        pictures, outdated, missing = _source(Path(source))
        gathered, stale, unwritten = [*gathered, *pictures], stale + outdated, unwritten + missing
    reserved = _Index(validation)
    patients = {p.patient for p in validation}
    usable = [p for p in gathered if p.patient not in patients and not reserved.find(p)]
    index, unchanged = _Index(present), 0
    new: dict[str, Picture] = {}
    replaced: dict[str, tuple[Picture, Picture]] = {}
    for picture in _latest(usable):
        old = index.find(picture)
        if old is None:
            new[picture.name] = picture
        elif (old.digest, old.patient) == (picture.digest, picture.patient) or (picture.when and picture.when < old.when):
            unchanged += 1
        else:
            replaced[old.name] = old, picture
    return Gathered(tuple(new.values()), tuple(replaced.values()), unchanged, len(gathered) - len(usable), stale, unwritten)


class _Index:
    """Pictures by their pixels, and by the file and frame that they were made from."""

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self._by: dict[str | tuple[str, int], Picture] = {key: p for p in pictures for key in (p.pixels, p.source)}

    def find(self, picture: Picture) -> Picture | None:
        return self._by.get(picture.pixels) or self._by.get(picture.source)


def _latest(pictures: Sequence[Picture]) -> list[Picture]:
    """One annotation per picture: the latest, of equally old ones the last in order."""
    latest: list[Picture] = []
    for picture in sorted(pictures, key=lambda p: p.when):
        index = _Index([picture])
        latest = [*(p for p in latest if not index.find(p)), picture]
    return latest


def _source(source: Path) -> tuple[list[Picture], int, int]:
    """The current pictures of one source, the number of stale ones, and the number of corrected files without one."""
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
    pictures = picture_store.read(labels)
    reviews = {(r.sha256_in, r.when, r.digest) for r in finished}
    current = [p for p in pictures if (p.source[0], p.when, p.review_digest) in reviews]
    labelled = {(p.source[0], p.when, p.review_digest) for p in current}
    unwritten = sum(bool(r.digest or r.named) and (r.sha256_in, r.when, r.digest) not in labelled for r in finished)
    return current, len(pictures) - len(current), unwritten


def carry_out(gathered: Gathered, folder: Path) -> None:
    """Write the result of `plan` into the training set; it can be repeated after an interruption."""
    for picture in gathered.new:
        picture_store.store(picture, folder)
    for old, picture in gathered.replaced:
        picture_store.store(picture, folder)
        if old.name != picture.name:
            picture_store.take_out([old.name], folder)
