"""Annotated pictures of a site: LabelMe files with their pictures, each named by the hash of its pixels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import AnnotationError, MarkerRemoverError, UsageError
from ..formats import read_apart
from ..labels import labelled_folder, labelme
from ..labels.labelled_folder import IMAGE_SUFFIXES, Sample
from ..records import Annotation
from ..review import labels
from ..system.files import sha256_file, sync

NAME_DIGITS = 32  # number of hex digits of the pixels' hash in file names


@dataclass(frozen=True)
class Picture:
    """One annotated picture.

    path: its image file.  patient: equal texts are the same patient.
    pixels: hex SHA-256 of the models' input: its shape and its (H, W) uint8 grey levels.
    source: (SHA-256 of the file that it was made from, frame); its own file if unknown.
    when: time of the review, ISO 8601; "" if unknown.  reviewer: "" if unknown.
    review_digest: `corrections.Review.digest`; "" if the review changed nothing or is unknown.
    """

    path: Path
    annotation: Annotation
    patient: str
    pixels: str
    source: tuple[str, int]
    when: str = ""
    reviewer: str = ""
    review_digest: str = ""

    @property
    def name(self) -> str:
        """File name without suffix in a site's folder."""
        return self.pixels[:NAME_DIGITS]

    @cached_property
    def digest(self) -> str:
        """Hex SHA-256 of its training content: pixels and elements."""
        elements = sorted([*map(float, e.xyxy), e.kind] for e in self.annotation.elements)
        return hashlib.sha256(json.dumps([self.pixels, elements]).encode()).hexdigest()

    @property
    def sample(self) -> Sample:
        """The picture as a training sample."""
        return Sample(self.path, self.annotation, self.patient)

    def count(self, kind: str) -> int:
        """Number of its elements of a kind."""
        return sum(e.kind == kind for e in self.annotation.elements)


def digest(pictures: Sequence[Picture]) -> str:
    """Hex SHA-256 of a set of pictures, independent of their order."""
    return hashlib.sha256("".join(sorted(p.digest for p in pictures)).encode()).hexdigest()


def read(folder: Path) -> list[Picture]:
    """The pictures of a LabelMe folder: images/ and annotations/. The patient is that of split.csv if there is one, else that of the
    DICOM header in the annotation, else the file name up to its first `_`.

    Raises:
        AnnotationError: an annotation is malformed, not reviewed, without its picture or does not fit it, or a picture has no annotation.
        UsageError: a picture cannot be read, or has several frames.
    """
    return [_picture(s.path, labelled_folder.label_of(folder, s.path), s.annotation, s.patient) for s in labelled_folder.load_samples(folder, None)]


def read_stored(folder: Path) -> list[Picture]:
    """The pictures that `store` wrote into a folder, by name; [] if there are none. A picture without an annotation is left out, since a crash
    interrupted its storing.

    Raises:
        AnnotationError, UsageError: as for `read`; or the pixels of a picture do not match its name.
    """
    pictures: list[Picture] = []
    images = {p.stem: p for p in (folder / "images").glob("*") if p.suffix.lower() in IMAGE_SUFFIXES}
    for label in sorted((folder / "annotations").glob("*.json")):
        if label.stem not in images:
            raise AnnotationError(f"{label}: its picture is not in {folder / 'images'}; remove the annotation, or gather it again")
        picture = _picture(images[label.stem], label, labelme.read(label), stored=True)
        if picture.name != label.stem or not picture.patient:
            raise AnnotationError(f"{label}: is not as `improve` wrote it: its picture has changed, or it has no patient")
        pictures.append(picture)
    return pictures


def _picture(path: Path, label: Path, annotation: Annotation, patient: str = "", *, stored: bool = False) -> Picture:
    """One picture; without `patient` it is that of the annotation, or "". `stored`: `store` wrote the file, so its stored pixels are those of the
    review."""
    shown = display(path, stored=stored)
    if shown.shape != annotation.shape_hw:
        raise AnnotationError(f"{path} has {shown.shape} rows and columns, its annotation has {annotation.shape_hw}")
    origin = labelme.origin(labelme.load(label))
    source = str(origin.get("sha256") or sha256_file(path)), int(origin.get("frame") or 0)
    return Picture(path, annotation, patient or str(origin.get("patient") or ""), pixels_of(shown), source, str(origin.get("when") or ""),
        str(origin.get("reviewer") or ""), str(origin.get("digest") or ""))


def display(path: Path, *, stored: bool = False) -> np.ndarray:
    """(H, W) uint8: a picture as the models see it, or if `stored` as `store` wrote it.

    Raises:
        UsageError: it cannot be read, or has several frames.
    """
    try:
        radiograph = read_apart.read(path)
    except (MarkerRemoverError, OSError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from error
    if len(radiograph.display) != 1:
        raise UsageError(f"{path} has {len(radiograph.display)} frames, allowed is one")
    return radiograph.stored[0] if stored and radiograph.stored.ndim == 3 else radiograph.display[0]


def pixels_of(shown: np.ndarray) -> str:
    """Hex SHA-256 of an (H, W) uint8 picture."""
    return hashlib.sha256(repr(shown.shape).encode() + np.ascontiguousarray(shown).tobytes()).hexdigest()


def store(picture: Picture, folder: Path) -> None:
    """Write a picture into a folder of the site, readable by its owner only: the image first, its annotation last, each atomically."""
    origin: dict[str, Any] = {"sha256": picture.source[0], "frame": picture.source[1], "patient": picture.patient, "when": picture.when,
        "reviewer": picture.reviewer, "digest": picture.review_digest}
    labels.write(folder, picture.name, display(picture.path), picture.annotation.elements, reviewed=True, origin=origin)


def take_out(names: Sequence[str], folder: Path) -> None:
    """Delete stored pictures, the annotation first; missing ones are ignored."""
    for name in names:
        (folder / "annotations" / f"{name}.json").unlink(missing_ok=True)
        (folder / "images" / f"{name}.png").unlink(missing_ok=True)
    for part in ("annotations", "images"):
        if (folder / part).is_dir():
            sync(folder / part)
