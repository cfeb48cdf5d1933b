"""Folders of labelled radiographs: images/ beside LabelMe files in annotations/, and split.csv, which gives the patient and the part of each."""

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
PATIENT_RULE = "without a split.csv the part of a file name before the first _ is the patient (`annotate` writes folder_file)"


@dataclass(frozen=True)
class Sample:
    """One labelled radiograph on disk and its patient. The annotation is in the stored pixels of the image."""

    path: Path
    annotation: Annotation
    patient: str


def load_samples(folder: Path, part: str | None, *, val_share: float = 0.1, one_image_a_patient: bool = False) -> list[Sample]:
    """The samples of one part of a LabelMe folder, by image name.

    Args:
        folder: holds `images/` and LabelMe files in `annotations/` or directly, with the same sub-folders; optionally `split.csv` (image, patient,
            split), which then decides.
        part: "train" or "val", None for every image. Without a `split.csv`, patients are divided by a hash of their name, so that all images
            of a patient are in one part.
        val_share: share of patients held out for validation where no `split.csv` decides; 0–1.
        one_image_a_patient: every image has a patient of its own, except images made from the same file.

    Raises:
        AnnotationError: missing folder, image or label file, malformed label, or a size that does not fit.
        UsageError: a `split.csv` that is malformed, has no row of an image, or has a patient in both parts.
    """
    folder = Path(folder)
    images_folder = folder / "images"
    images = sorted(p for p in images_folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    if not images:
        raise AnnotationError(f"{folder}: no images/ with PNG, JPEG or TIFF files")
    relative = [p.relative_to(images_folder).as_posix() for p in images]
    split = _read_split(folder / "split.csv", relative, part) if (folder / "split.csv").exists() else None
    samples = []
    for path, name, label in zip(images, relative, _labels(folder, images)):
        patient, image_part = ("", "") if split is None else split[name]
        if split is not None and part not in (None, image_part):
            continue
        if not label.is_file():
            raise AnnotationError(f"{path}: has no label file {label}: label it, or take it out of images/")
        data = labelme.load(label)
        patient = patient or patient_of(name, data, one_image_a_patient)
        if split is None and part not in (None, "val" if share_of(patient) < val_share else "train"):
            continue
        samples.append(Sample(path, placed(path, labelme.annotation_of(label, data, lambda: _layout(path).upright_hw)), patient))
    return samples


def placed(path: Path, annotation: Annotation) -> Annotation:
    """An annotation in the stored pixels of its image, as `read_grey` gives them; unchanged if the image cannot be read, which
    raises when the pixels are needed.

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
    """The layout of an image's pixels, read in another process. Raises as `images.layout_of` does."""
    from ..formats import images, read_apart

    return read_apart.call(images.layout_of, path)


def label_of(folder: Path, image: Path) -> Path:
    """The path of the LabelMe file of an image below `images/`, whether it exists or not."""
    labels = folder / "annotations" if (folder / "annotations").is_dir() else folder
    return labels / image.relative_to(folder / "images").with_suffix(".json")


def _labels(folder: Path, images: Sequence[Path]) -> list[Path]:
    """The path of each image's label file, whether it exists or not.

    Raises:
        AnnotationError: two images share one, or an existing one has no image.
    """
    owners: dict[Path, Path] = {}
    for path in images:
        label = label_of(folder, path)
        if owner := owners.get(label):
            raise AnnotationError(f"{path}: shares its label file {label} with {owner.name}: rename one of them")
        owners[label] = path
    label_files = (folder / "annotations").rglob("*.json") if (folder / "annotations").is_dir() else folder.glob("*.json")
    if orphans := sorted(p for p in label_files if p not in owners and p.is_file() and not p.name.startswith(".")):
        more = f", nor are those of {len(orphans) - 1} others" if orphans[1:] else ""
        raise AnnotationError(f"{orphans[0]}: its image is not in {folder / 'images'} as PNG, JPEG or TIFF{more}")
    return list(owners)


def patient_of(name: str, data: dict, one_image_a_patient: bool = False) -> str:
    """The patient of an image without a split.csv: from its annotation, where `annotate` and `review` write it from the DICOM header; else
    by `PATIENT_RULE`.

    Args:
        name: path below images/.  data: its LabelMe file, see `labelme.load`.
    """
    origin, name = labelme.origin(data), "_".join(PurePosixPath(name).with_suffix("").parts)
    if one_image_a_patient:
        return str(origin.get("sha256") or name)
    return str(origin.get("patient") or name.split("_")[0])


def tell_patients(samples: Sequence[Sample], folder: Path) -> str:
    """How the patients of samples were determined and how to correct that, for error messages."""
    names = sorted({s.patient for s in samples})
    shown = ", ".join(repr(name) for name in names[:2])
    if (folder / "split.csv").exists():
        return f"its split.csv names {len(names)} patient{'s' * (len(names) != 1)} ({shown})"
    return (f"{PATIENT_RULE}, so its {len(samples)} images are of {len(names)} patient{'s' * (len(names) != 1)} ({shown}). Name the patient of each in "
            f"{folder / 'split.csv'} (columns image and patient), or use --one-image-a-patient if each has another patient")


def _read_split(path: Path, images: Sequence[str], part: str | None) -> dict[str, tuple[str, str]]:
    """Image -> patient and part, of all images.

    Raises:
        UsageError: see `load_samples`.
    """
    table = user_text.read_table(path)
    needed = ("image", "patient", *(() if part is None else ("split",)))
    for heading in needed:
        if heading not in table.header:
            raise UsageError(f"{path}: has no column {heading!r}, its first line is {', '.join(table.header)}; needed are {', '.join(needed)}")
    rows = image_names.rows_of(table, images)
    parts: dict[str, str] = {}
    for image in images:
        if image not in rows:
            raise UsageError(f"{path}: no row for {image}")
        patient, its_part = rows[image]["patient"], rows[image].get("split", "").casefold()
        if not patient:
            raise UsageError(f"{path}: has no patient for {image}")
        if parts.setdefault(patient, its_part) != its_part:
            raise UsageError(f"{path}: the patient of {image} is in both {its_part} and {parts[patient]}")
    return {image: (rows[image]["patient"], rows[image].get("split", "").casefold()) for image in images}


def share_of(text: str) -> float:
    """A uniformly distributed number in [0, 1) from a hash of a text: divides patients the same way every time."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def read_grey(path: Path) -> np.ndarray:
    """New (H, W) uint8 picture of a PNG, JPEG or TIFF as the models see it, with the windowing and orientation of `images.read`.

    Raises:
        ReadError: it cannot be decoded, or would be held.
    """
    from ..formats import images

    try:
        return images.read(path).display[0]
    except MarkerRemoverError as error:
        raise ReadError(f"{path}: cannot be decoded ({error})") from error
