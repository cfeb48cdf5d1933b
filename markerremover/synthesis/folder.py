"""Synthetic radiographs as a folder of images, LabelMe annotations, YOLO labels and ink masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from ..errors import UsageError, WriteError
from ..labels import coco, labelme, voc
from ..records import LATERALITY, MARKER, Annotation
from . import generate, image_files
from .image_files import COLOUR_FORMATS, FORMATS
from .layouts import faces, reading
from .layouts import film as layout_film
from .layouts.records import Layout
from .marks.texts import SPLITS, choice
from .radiographs import patches, real

CLASS_NAMES = (LATERALITY, MARKER)
ANNOTATIONS = ("labelme", "voc", "coco")
LAYOUT_COUNTS = "layout.csv"
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
    layout: Layout | Path | str | None = None,
    pairs: bool = False,
    annotations: Sequence[str] = ("labelme",),
) -> list[Path]:
    """Write `count` synthetic radiographs below `out`; image i depends only on (seed, i) and the options.

    Args:
        out: gets split.csv (image, patient, split), images/NAME.ext, annotations/NAME.json, labels/NAME.txt (YOLO: laterality, marker),
            and with `masks` masks/NAME.png (16-bit ink map); for split "train" also kinds.csv (image, kind): every kind of
            `film.KINDS` that an image shows. With `layout` kinds.csv has the names of its marks, and layout.csv (mark, drawn, omitted)
            counts them.
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
        fonts_dir: folder of further TTF and OTF files, for split "train" or a layout.
        layout: what is drawn in place of all other annotations, or the path of its file; see `layouts.reading.read`.
        pairs: whether the same images without annotations are written to clean/, under the same names; noise, blur and compression are
            the same. Real films that keep their own annotations are not used then.
        annotations: of ANNOTATIONS: LabelMe (annotations/NAME.json), Pascal VOC (voc/NAME.xml) and COCO (coco.json).

    Returns:
        The image paths, in order.

    Raises:
        UsageError: `count`, `formats`, `annotations` or the shares of backgrounds are not allowed; a font cannot be read, or lacks glyphs; a
            layout is wrong, or a mark does not fit its place.
        AnnotationError: see `real.listing`.
        WriteError: an image could not be written.
    """
    out = Path(out)
    if count < 0 or not formats or any(f not in FORMATS for f in formats):
        raise UsageError(f"count is {count} and formats {formats!r}; allowed are 0 or more, and any of {', '.join(FORMATS)}")
    background_part = background_rows or ("train" if split == "train" else "val")
    if not annotations or any(name not in ANNOTATIONS for name in annotations):
        raise UsageError(f"annotations are {list(annotations)}, allowed are {', '.join(ANNOTATIONS)}")
    design = _design(layout, fonts_dir, split)
    if design is not None and any(mark.colours for mark in design.layout.marks) and not set(formats) <= set(COLOUR_FORMATS):
        raise UsageError(f"formats are {', '.join(formats)}; of a layout with colours allowed are {', '.join(COLOUR_FORMATS)}")
    if bodies is None and design is not None and design.layout.film.bodies:
        bodies = design.layout.film.bodies
    sources = _sources(backgrounds, background_part, backgrounds_clean)
    folders = {"images": True, "annotations": "labelme" in annotations, "labels": True, "masks": masks, "voc": "voc" in annotations, "clean": pairs}
    for name in (name for name, wanted in folders.items() if wanted):
        (out / name).mkdir(parents=True, exist_ok=True)
    job = partial(_one, out=out, seed=seed, sources=sources, split=split, size=size, formats=tuple(formats), masks=masks,
                  real_share=real_share, bodies=bodies, fonts_dir=fonts_dir, design=design, pairs=pairs, annotations=tuple(annotations))
    if workers <= 1:
        results = [job(i) for i in range(count)]
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)) as pool:
            results = list(pool.map(job, range(count), chunksize=8))
    _write_tables(out, results, split, design, annotations)
    return [made.path for made in results]


@dataclass(frozen=True)
class _Design:
    """A layout, and the font files of each of its marks by name."""

    layout: Layout
    faces: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Made:
    """One written image: its path, annotation, kinds and omitted marks."""

    path: Path
    annotation: Annotation
    kinds: tuple[str, ...]
    omitted: tuple[str, ...]


def _design(layout: Layout | Path | str | None, fonts_dir: Path | str | None, split: str) -> _Design | None:
    """The layout with its fonts, None without one. Fonts of the user are checked in either case."""
    if split not in SPLITS:
        raise UsageError(f"split is {split!r}, allowed are {', '.join(SPLITS)}")
    user_paths = faces.of_folder(fonts_dir) if fonts_dir is not None else ()
    if layout is None:
        if user_paths and split != "train":
            raise UsageError(f"fonts of your own are for split 'train' or a layout, split is {split!r}")
        faces.check_plain(user_paths)
        return None
    read = layout if isinstance(layout, Layout) else reading.read(layout)
    return _Design(read, faces.chosen(read, split, user_paths))


def _write_tables(out: Path, results: Sequence[_Made], split: str, design: _Design | None, annotations: Sequence[str]) -> None:
    """Write what lies beside the images: split.csv, kinds.csv, layout.csv and coco.json, see `synthesize`."""
    paths = [made.path for made in results]
    rows = [f"{path.name},{path.stem},{'val' if i % VAL_EVERY == VAL_EVERY - 1 else 'train'}" for i, path in enumerate(paths)]
    (out / "split.csv").write_text("\n".join(["image,patient,split", *rows]) + "\n", encoding="utf-8")
    if split == "train" or design is not None:
        lines = [f"{made.path.name},{kind}" for made in results for kind in made.kinds]
        (out / "kinds.csv").write_text("\n".join(["image,kind", *lines]) + "\n", encoding="utf-8")
    if design is not None:
        drawn, omitted = (Counter(name for made in results for name in names(made)) for names in (lambda m: m.kinds, lambda m: m.omitted))
        lines = [f"{mark.name},{drawn[mark.name]},{omitted[mark.name]}" for mark in design.layout.marks]
        (out / LAYOUT_COUNTS).write_text("\n".join(["mark,drawn,omitted", *lines]) + "\n", encoding="utf-8")
    if "coco" in annotations:
        (out / "coco.json").write_text(coco.text(made.annotation for made in results), encoding="utf-8")


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


def _real(rng: np.random.Generator, sources: Sources, split: str, real_share: float, pairs: bool) -> dict:
    """Inputs of one image from real radiographs: keyword arguments of `generate.radiograph`. For pairs, whole films have no annotations."""
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
            inputs["whole"] = real.load_whole(*origin) if kind < WHOLE_SHARE / 2 and not pairs else _without_annotations(real.load_clean(*origin))
        elif kind < WHOLE_SHARE + 0.1:
            inputs["second"] = real.load_clean(*_from(rng, sources))
    return inputs


def _without_annotations(picture: np.ndarray) -> real.Whole:
    return real.Whole(picture, (), np.zeros(picture.shape, np.uint16))


def _one(
    i: int, *, out: Path, seed: int, sources, split, size, formats, masks, real_share, bodies, fonts_dir, design: _Design | None, pairs: bool,
    annotations: tuple[str, ...],
) -> _Made:
    rng = np.random.default_rng([seed, i])
    style = formats[i % len(formats)]
    name = f"{split}_{seed}_{i:06d}"
    path = out / "images" / (name + FORMATS[style])
    body = bodies[i // len(formats) % len(bodies)] if bodies else None
    if design is None:
        inputs = _real(rng, sources, split, real_share, pairs)
        sample = generate.radiograph(rng, split=split, body=body, size=size, name=path.name, fonts_dir=fonts_dir, pair=pairs, **inputs)
    else:
        background = real.load_clean(*_from(rng, sources)) if sources and rng.random() < real_share else None
        sample = layout_film.radiograph(
            rng, design.layout, design.faces, split=split, body=body, size=size, background=background, name=path.name, pair=pairs)
    image_files.write(path, sample, style, rng, out / "clean" / path.name if pairs else None)
    if "labelme" in annotations:
        labelme.write(out / "annotations" / f"{name}.json", sample.annotation, image_path=f"../images/{path.name}")
    if "voc" in annotations:
        (out / "voc" / f"{name}.xml").write_text(voc.text(sample.annotation, "images"), encoding="utf-8")
    lines = labelme.yolo_lines(sample.annotation, CLASS_NAMES)
    (out / "labels" / f"{name}.txt").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    if masks and not cv2.imwrite(str(out / "masks" / f"{name}.png"), np.ascontiguousarray(sample.ink)):
        raise WriteError(f"{out / 'masks'}: could not be written")
    return _Made(path, sample.annotation, sample.kinds, sample.omitted)
