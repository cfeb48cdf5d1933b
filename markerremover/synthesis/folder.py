"""Synthetic radiographs as a folder of images, LabelMe annotations, YOLO labels and ink masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from ..errors import UsageError, WriteError
from ..labels import labelme
from ..records import LATERALITY, MARKER
from . import generate
from .marks.texts import choice
from .radiographs import patches, real

CLASS_NAMES = (LATERALITY, MARKER)
FORMATS = {"png": ".png", "jpg": ".jpg", "tiff": ".tiff", "dcm": ".dcm", "png16": ".png"}
VAL_EVERY = 10  # every tenth image is for validation; each image is a separate patient
LIFTED_SHARE = 0.5  # share of images with annotations lifted off real radiographs, if backgrounds are given
LIFTED_FROM = 3  # number of radiographs from which an image takes them
REAL_SHARE = 0.65  # share of images with a real background, if backgrounds are given
WHOLE_SHARE = 0.15  # share, among those of split "train", of whole real films with added annotations; half of these keep their own ones


def synthesize(
    out: Path | str,
    count: int,
    seed: int,
    *,
    backgrounds: Path | str | Sequence[Path | str] | Mapping[Path | str, float] | None = None,
    split: str = "train",
    size: tuple[int, int] | None = None,
    formats: tuple[str, ...] = ("png",),
    masks: bool = False,
    workers: int = 1,
    background_rows: str | None = None,
    backgrounds_clean: bool = False,
    real_share: float = REAL_SHARE,
    bodies: tuple[str, ...] | None = None,
    fonts_dir: Path | str | None = None,
) -> list[Path]:
    """Write `count` synthetic radiographs below `out`; image i depends only on (seed, i) and the options.

    Args:
        out: gets split.csv (image, patient, split), images/NAME.ext, annotations/NAME.json, labels/NAME.txt (YOLO: laterality, marker),
            and with `masks` masks/NAME.png (16-bit ink map); for split "train" also kinds.csv (image, kind): every kind of
            `film.KINDS` that an image shows.
        count: number of images.
        seed: of the random numbers.
        backgrounds: folder of real radiographs whose annotations are painted over, and lifted off to be laid on other images;
            see `real.listing`. Several folders are used equally often, or in proportion to a mapping's values.
        split: "train" or "eval"; see `generate.radiograph`.
        size: rows and columns of every image; random by default.
        formats: of FORMATS, used in turn; "dcm" is 12-bit DICOM, "png16" a PNG of 16 bits.
        masks: whether ink maps are written.
        workers: number of processes.
        background_rows: rows of the backgrounds' split.csv that are used; by default "train" for split "train", else "val".
        backgrounds_clean: whether a folder without annotations is accepted because its images carry none.
        real_share: share of images with a real background, 0 to 1.
        bodies: body parts of drawn backgrounds, of "chest", "pelvis" and "limb", used in turn; any by default.
        fonts_dir: further font files for split "train".

    Returns:
        The image paths, in order.

    Raises:
        UsageError: `count`, `formats` or the shares of backgrounds are not allowed.
        AnnotationError: see `real.listing`.
        WriteError: an image could not be written.
    """
    out = Path(out)
    if count < 0 or not formats or any(f not in FORMATS for f in formats):
        raise UsageError(f"count is {count} and formats {formats!r}; allowed are 0 or more, and any of {', '.join(FORMATS)}")
    background_part = background_rows or ("train" if split == "train" else "val")
    sources = _sources(backgrounds, background_part, backgrounds_clean)
    for name in ("images", "annotations", "labels") + (("masks",) if masks else ()):
        (out / name).mkdir(parents=True, exist_ok=True)
    job = partial(_one, out=out, seed=seed, sources=sources, split=split, size=size, formats=tuple(formats), masks=masks,
                  real_share=real_share, bodies=bodies, fonts_dir=fonts_dir)
    if workers <= 1:
        results = [job(i) for i in range(count)]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)) as pool:
            results = list(pool.map(job, range(count), chunksize=8))
    paths = [path for path, _ in results]
    rows = [f"{path.name},{path.stem},{'val' if i % VAL_EVERY == VAL_EVERY - 1 else 'train'}" for i, path in enumerate(paths)]
    (out / "split.csv").write_text("\n".join(["image,patient,split", *rows]) + "\n", encoding="utf-8")
    if split == "train":
        lines = [f"{path.name},{kind}" for path, kinds in results for kind in kinds]
        (out / "kinds.csv").write_text("\n".join(["image,kind", *lines]) + "\n", encoding="utf-8")
    return paths


Sources = tuple[tuple[float, tuple[tuple[str, str], ...]], ...]


def _sources(backgrounds, rows: str, clean: bool) -> Sources:
    """(share, listing) of each folder of backgrounds; shares add up to 1."""
    if not backgrounds:
        return ()
    if isinstance(backgrounds, (str, Path)):
        backgrounds = (backgrounds,)
    shares = backgrounds if isinstance(backgrounds, Mapping) else dict.fromkeys(backgrounds, 1.0)
    if min(shares.values()) < 0 or sum(shares.values()) <= 0:
        raise UsageError(f"shares of backgrounds are {list(shares.values())}, allowed are numbers from 0 on, not all 0")
    total = sum(shares.values())
    return tuple((share / total, real.listing(folder, rows=rows, clean=clean)) for folder, share in shares.items())


def _from(rng: np.random.Generator, sources: Sources) -> tuple[str, str]:
    """Image and annotation of one real radiograph."""
    listed = sources[0][1] if len(sources) == 1 else sources[int(rng.choice(len(sources), p=[share for share, _ in sources]))][1]
    return choice(rng, listed)


def _real(rng: np.random.Generator, sources: Sources, split: str, real_share: float) -> dict:
    """Inputs of one image from real radiographs: keyword arguments of `generate.radiograph`."""
    inputs: dict = {"background": real.load_clean(*_from(rng, sources)) if sources and rng.random() < real_share else None}
    if sources and rng.random() < LIFTED_SHARE:
        origins = [_from(rng, sources) for _ in range(LIFTED_FROM)]
        inputs["lifted"] = sum((real.lifted(*origin, split == "train") for origin in origins), ())
        if split == "train":
            inputs["lifted"] += sum((patches.patches(*origin) for origin in origins), ())
    if split == "train" and inputs["background"] is not None:
        kind = rng.random()
        if kind < WHOLE_SHARE:
            origin = _from(rng, sources)
            inputs["whole"] = real.load_whole(*origin) if kind < WHOLE_SHARE / 2 else _without_annotations(real.load_clean(*origin))
        elif kind < WHOLE_SHARE + 0.1:
            inputs["second"] = real.load_clean(*_from(rng, sources))
    return inputs


def _without_annotations(picture: np.ndarray) -> real.Whole:
    return real.Whole(picture, (), np.zeros(picture.shape, np.uint16))


def _one(i: int, *, out: Path, seed: int, sources, split, size, formats, masks, real_share, bodies, fonts_dir) -> tuple[Path, tuple[str, ...]]:
    rng = np.random.default_rng([seed, i])
    inputs = _real(rng, sources, split, real_share)
    style = formats[i % len(formats)]
    name = f"{split}_{seed}_{i:06d}"
    path = out / "images" / (name + FORMATS[style])
    body = bodies[i // len(formats) % len(bodies)] if bodies else None
    sample = generate.radiograph(rng, split=split, body=body, size=size, name=path.name, fonts_dir=fonts_dir, **inputs)
    if style == "dcm":
        _write_dicom(path, sample, rng)
    else:
        image = sample.image if style != "png16" else sample.image.astype(np.uint16) * 257
        options = [cv2.IMWRITE_JPEG_QUALITY, 95] if style == "jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 1] if style.startswith("png") else []
        if not cv2.imwrite(str(path), image, options):
            raise WriteError(f"{path}: could not be written")
    labelme.write(out / "annotations" / f"{name}.json", sample.annotation, image_path=f"../images/{path.name}")
    lines = labelme.yolo_lines(sample.annotation, CLASS_NAMES)
    (out / "labels" / f"{name}.txt").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    if masks and not cv2.imwrite(str(out / "masks" / f"{name}.png"), np.ascontiguousarray(sample.ink)):
        raise WriteError(f"{out / 'masks'}: could not be written")
    return path, sample.kinds


def _write_dicom(path: Path, sample: generate.SyntheticRadiograph, rng: np.random.Generator) -> None:
    """A 12-bit digital X-ray: the image's 8 bits and four bits of noise, in either photometric interpretation."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    def uid(role: str) -> UID:
        return generate_uid(entropy_srcs=[path.name, role])

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.1.1")  # Digital X-Ray Image Storage - For Presentation
    meta.MediaStorageSOPInstanceUID = uid("instance")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid("writer")
    d = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    d.SOPClassUID, d.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    d.StudyInstanceUID, d.SeriesInstanceUID = uid("study"), uid("series")
    for keyword, value in sample.header.items():
        setattr(d, keyword, value)
    d.Modality, d.Manufacturer, d.PresentationIntentType = "DX", "SYNTHETIC", "FOR PRESENTATION"
    d.BodyPartExamined = {"chest": "CHEST", "real": "CHEST", "pelvis": "PELVIS"}.get(sample.body, "EXTREMITY")
    d.SeriesNumber, d.InstanceNumber = 1, 1
    values = sample.image.astype(np.uint16) * 16 + rng.integers(0, 16, sample.image.shape, dtype=np.uint16)
    d.PhotometricInterpretation = choice(rng, ("MONOCHROME1", "MONOCHROME2"))
    if d.PhotometricInterpretation == "MONOCHROME1":
        values = 4095 - values
    d.Rows, d.Columns = values.shape
    d.SamplesPerPixel, d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 1, 16, 12, 11, 0
    d.WindowCenter, d.WindowWidth = 2048, 4096
    d.RescaleIntercept, d.RescaleSlope, d.RescaleType = 0, 1, "US"
    d.PresentationLUTShape = "INVERSE" if d.PhotometricInterpretation == "MONOCHROME1" else "IDENTITY"
    d.PixelData = values.tobytes()
    d.save_as(path, enforce_file_format=True)
