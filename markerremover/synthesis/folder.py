"""Synthetic radiographs as a folder of images, LabelMe annotations, YOLO labels and ink masks."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from .. import labelme
from ..errors import UsageError, WriteError
from . import generate, real
from .words import choice

CLASS_NAMES = ("laterality", "marker")
FORMATS = {"png": ".png", "jpg": ".jpg", "tiff": ".tiff", "dcm": ".dcm", "png16": ".png"}
VAL_EVERY = 10  # every tenth image is for validation; each is a patient of its own
LIFTED_SHARE = 0.5  # of the images carry marks lifted off real radiographs where the folder has annotations
LIFTED_FROM = 3  # radiographs that an image takes them from
REAL_SHARE = 0.65  # of the images use a real background where a folder of them is given


def synthesize(
    out: Path | str,
    count: int,
    seed: int,
    *,
    backgrounds: Path | str | None = None,
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
    """Write `count` synthetic radiographs below `out`; image i depends on (seed, i) and the options alone.

    Args:
        out: gets split.csv (image, patient, split), images/NAME.ext, annotations/NAME.json, labels/NAME.txt (YOLO: laterality, marker), masks/NAME.png
            (16-bit ink map) with `masks`.
        backgrounds: folder of real radiographs whose annotated marks are painted over, and lifted off to lie on other
            pictures; see `real.listing`.
        size: rows and columns of every image; random by default.
        formats: of FORMATS, used in turn; "dcm" is 12-bit DICOM, "png16" a PNG of 16 bits.
        background_rows: which rows of the backgrounds' split.csv: "train" for split "train", else "val".
        bodies: what drawn backgrounds show, of "chest", "pelvis" and "limb", used in turn; any by default.
        backgrounds_clean: the folder has no annotations because its images carry no marks.

    Returns:
        The image paths, in order.
    """
    out = Path(out)
    if count < 0 or not formats or any(f not in FORMATS for f in formats):
        raise UsageError(f"count is {count} and formats {formats!r}; allowed are 0 or more, and any of {', '.join(FORMATS)}")
    rows = background_rows or ("train" if split == "train" else "val")
    listed = real.listing(backgrounds, rows=rows, clean=backgrounds_clean) if backgrounds else ()
    for name in ("images", "annotations", "labels") + (("masks",) if masks else ()):
        (out / name).mkdir(parents=True, exist_ok=True)
    job = partial(_one, out=out, seed=seed, listed=listed, split=split, size=size, formats=tuple(formats), masks=masks,
                  real_share=real_share, bodies=bodies, fonts_dir=fonts_dir)
    if workers <= 1:
        paths = [job(i) for i in range(count)]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)) as pool:
            paths = list(pool.map(job, range(count), chunksize=8))
    rows = [f"{path.name},{path.stem},{'val' if i % VAL_EVERY == VAL_EVERY - 1 else 'train'}" for i, path in enumerate(paths)]
    (out / "split.csv").write_text("\n".join(["image,patient,split", *rows]) + "\n", encoding="utf-8")
    return paths


def _one(i: int, *, out: Path, seed: int, listed, split, size, formats, masks, real_share, bodies, fonts_dir) -> Path:
    rng = np.random.default_rng([seed, i])
    background = real.load_clean(*choice(rng, listed)) if listed and rng.random() < real_share else None
    lifted: tuple = ()
    if listed and rng.random() < LIFTED_SHARE:
        lifted = sum((real.lifted(*choice(rng, listed)) for _ in range(LIFTED_FROM)), ())
    style = formats[i % len(formats)]
    name = f"{split}_{seed}_{i:06d}"
    path = out / "images" / (name + FORMATS[style])
    body = bodies[i // len(formats) % len(bodies)] if bodies else None
    made = generate.radiograph(rng, split=split, body=body, size=size, background=background, lifted=lifted, name=path.name, fonts_dir=fonts_dir)
    if style == "dcm":
        _write_dicom(path, made, rng)
    else:
        image = made.image if style != "png16" else made.image.astype(np.uint16) * 257
        options = [cv2.IMWRITE_JPEG_QUALITY, 95] if style == "jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 1] if style.startswith("png") else []
        if not cv2.imwrite(str(path), image, options):
            raise WriteError(f"{path}: could not be written")
    labelme.write(out / "annotations" / f"{name}.json", made.annotation, image_path=f"../images/{path.name}")
    lines = labelme.yolo_lines(made.annotation, CLASS_NAMES)
    (out / "labels" / f"{name}.txt").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    if masks and not cv2.imwrite(str(out / "masks" / f"{name}.png"), np.ascontiguousarray(made.ink)):
        raise WriteError(f"{out / 'masks'}: could not be written")
    return path


def _write_dicom(path: Path, made: generate.SyntheticRadiograph, rng: np.random.Generator) -> None:
    """A 12-bit digital X-ray: the picture's 8 bits, four more of noise, in either photometric interpretation."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    def uid(what: str) -> str:
        return generate_uid(entropy_srcs=[path.name, what])

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"  # Digital X-Ray Image Storage - For Presentation
    meta.MediaStorageSOPInstanceUID = uid("instance")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid("writer")
    d = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    d.SOPClassUID, d.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    d.StudyInstanceUID, d.SeriesInstanceUID = uid("study"), uid("series")
    for keyword, value in made.header.items():
        setattr(d, keyword, value)
    d.Modality, d.Manufacturer, d.PresentationIntentType = "DX", "SYNTHETIC", "FOR PRESENTATION"
    d.BodyPartExamined = {"chest": "CHEST", "real": "CHEST", "pelvis": "PELVIS"}.get(made.body, "EXTREMITY")
    d.SeriesNumber, d.InstanceNumber = 1, 1
    values = made.image.astype(np.uint16) * 16 + rng.integers(0, 16, made.image.shape, dtype=np.uint16)
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
