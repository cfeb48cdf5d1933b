"""Folders of labelled radiographs: images/ beside LabelMe files in annotations/, and split.csv, which says whose each is and in which part."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import AnnotationError, MarkerRemoverError, ReadError, UsageError
from ..formats import placement
from ..records import Annotation
from ..system import user_text
from . import image_names, labelme

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
PATIENT_RULE = "without a split.csv what stands before the first _ of a file name is the patient (`annotate` writes folder_file)"


@dataclass(frozen=True)
class Sample:
    """One labelled radiograph on disk, with the patient it belongs to."""

    path: Path
    annotation: Annotation
    patient: str


def load_samples(folder: Path, part: str | None, *, val_share: float = 0.1, one_image_a_patient: bool = False) -> list[Sample]:
    """The samples of one part of a LabelMe folder, by image name.

    Args:
        folder: holds `images/` and LabelMe files in `annotations/` or directly, sub-folders in both alike; optionally `split.csv` (image, patient,
            split), which then decides.
        part: "train" or "val", None for every image. Without a `split.csv`, patients are divided by a hash of their name, so that a patient
            is always on one side.
        val_share: share of patients held out for validation where no `split.csv` decides; 0–1.
        one_image_a_patient: every image is of another patient, save those made of one file.

    Raises:
        AnnotationError: missing folder, image or label file, malformed label, or a size that does not fit.
        UsageError: a `split.csv` that is malformed, has no row of an image, or has a patient on two sides.
    """
    folder = Path(folder)
    place = folder / "images"
    images = sorted(p for p in place.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    if not images:
        raise AnnotationError(f"{folder}: no images/ with PNG, JPEG or TIFF files")
    relative = [p.relative_to(place).as_posix() for p in images]
    told = _read_split(folder / "split.csv", relative, part) if (folder / "split.csv").exists() else None
    samples = []
    for path, name, label in zip(images, relative, _labels(folder, images)):
        patient, its_part = ("", "") if told is None else told[name]
        if told is not None and part not in (None, its_part):
            continue
        if not label.is_file():
            raise AnnotationError(f"{path}: has no label file {label}: label it, or take it out of images/")
        data = labelme.load(label)
        patient = patient or patient_of(name, data, one_image_a_patient)
        if told is None and part not in (None, "val" if share_of(patient) < val_share else "train"):
            continue
        samples.append(Sample(path, placed(path, labelme.annotation_of(label, data, lambda: _layout(path).upright_hw)), patient))
    return samples


def placed(path: Path, annotation: Annotation) -> Annotation:
    """An annotation in the stored pixels of its image, as `read_grey` gives them. An image that cannot be read says so when it is.

    Raises:
        AnnotationError: it does not fit its image, see `placement.placed`.
    """
    try:
        return placement.placed(annotation, _layout(path))
    except AnnotationError as error:
        raise AnnotationError(f"{path}: its annotation {error}") from None
    except MarkerRemoverError:
        return annotation


def _layout(path: Path) -> placement.Layout:
    """How the pixels of an image lie in its file, which another process reads. Raises as `images.layout_of` does."""
    from ..formats import images, read_apart

    return read_apart.call(images.layout_of, path)


def label_of(folder: Path, image: Path) -> Path:
    """Where the LabelMe file of an image below `images/` belongs."""
    labels = folder / "annotations" if (folder / "annotations").is_dir() else folder
    return labels / image.relative_to(folder / "images").with_suffix(".json")


def _labels(folder: Path, images: Sequence[Path]) -> list[Path]:
    """The label file of each image, be it there or not.

    Raises:
        AnnotationError: two images share one, or one that is there has no image.
    """
    owners: dict[Path, Path] = {}
    for path in images:
        label = label_of(folder, path)
        if other := owners.get(label):
            raise AnnotationError(f"{path}: shares its label file {label} with {other.name}: rename one of them")
        owners[label] = path
    there = (folder / "annotations").rglob("*.json") if (folder / "annotations").is_dir() else folder.glob("*.json")
    if alone := sorted(p for p in there if p not in owners and p.is_file() and not p.name.startswith(".")):
        more = f", nor are those of {len(alone) - 1} others" if alone[1:] else ""
        raise AnnotationError(f"{alone[0]}: its image is not in {folder / 'images'} as PNG, JPEG or TIFF{more}")
    return list(owners)


def patient_of(name: str, data: dict, one_image_a_patient: bool = False) -> str:
    """Whose an image is without a split.csv: as its annotation says, into which `annotate` and `review` write it from the DICOM header; else
    by `PATIENT_RULE`.

    Args:
        name: path below images/.  data: what `labelme.load` read of it.
    """
    origin, name = labelme.origin(data), "_".join(PurePosixPath(name).with_suffix("").parts)
    if one_image_a_patient:
        return str(origin.get("sha256") or name)
    return str(origin.get("patient") or name.split("_")[0])


def tell_patients(samples: Sequence[Sample], folder: Path) -> str:
    """How the patients of samples were told, and what to do where that is wrong; one sentence for error messages."""
    names = sorted({s.patient for s in samples})
    shown = ", ".join(repr(name) for name in names[:2])
    if (folder / "split.csv").exists():
        return f"its split.csv names {len(names)} patient{'s' * (len(names) != 1)} ({shown})"
    return (f"{PATIENT_RULE}, so its {len(samples)} images are of {len(names)} patient{'s' * (len(names) != 1)} ({shown}). Say whose each is in "
            f"{folder / 'split.csv'} (columns image and patient), or use --one-image-a-patient where that is so")


def _read_split(path: Path, images: Sequence[str], part: str | None) -> dict[str, tuple[str, str]]:
    """Image -> patient and part, of all images.

    Raises:
        UsageError: see `load_samples`.
    """
    table = user_text.read_table(path)
    needed = ("image", "patient", *(() if part is None else ("split",)))
    for heading in needed:
        if heading not in table.header:
            raise UsageError(f"{path}: has no column {heading!r}, its first line says {', '.join(table.header)}; needed are {', '.join(needed)}")
    rows = image_names.rows_of(table, images)
    parts: dict[str, str] = {}
    for image in images:
        if image not in rows:
            raise UsageError(f"{path}: no row for {image}")
        patient, its_part = rows[image]["patient"], rows[image].get("split", "").casefold()
        if not patient:
            raise UsageError(f"{path}: does not say whose {image} is")
        if parts.setdefault(patient, its_part) != its_part:
            raise UsageError(f"{path}: the patient of {image} is in both {its_part} and {parts[patient]}")
    return {image: (rows[image]["patient"], rows[image].get("split", "").casefold()) for image in images}


def share_of(text: str) -> float:
    """A number 0–1 that a text always gets, evenly spread: divides patients the same way every time."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def read_grey(path: Path) -> np.ndarray:
    """(H, W) uint8 picture of a PNG, JPEG or TIFF as the models see it, stretched and turned as `images.read` gives it.

    Raises:
        ReadError: it cannot be decoded, or would be held.
    """
    from ..formats import images

    try:
        return images.read(path).display[0]
    except MarkerRemoverError as error:
        raise ReadError(f"{path}: cannot be decoded ({error})") from error
