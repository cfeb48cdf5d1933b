"""The synthetic benchmark: pictures of three body parts at three difficulties, cleaned and judged, and fine-tuning for a new site.

It can be repeated without data: the pictures depend on the seed alone (and, in single grey levels, on the versions of the drawing
libraries; compare `pictures_sha256`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from . import __version__
from .errors import UsageError, WriteError
from .evaluation import evaluate
from .evaluation.evaluate import Row
from .evaluation.metrics import in_words
from .labels import labelme
from .options import RunOptions
from .records import Policy
from .run import batch
from .site_profile import read as read_site
from .synthesis import SyntheticRadiograph, benchmark_scenes
from .system.wording import counted

RATES = ("recall", "deid", "retention", "false_regions", "anatomy_removed", "untouched")
RESAMPLES = 2000  # number of resamples of the bootstrap
ENTRIES = (  # of the benchmark's folder
    "pictures", "truth", "results", "results-audit", "site", "site-before", "site-before-audit", "site-after", "site-after-audit",
)
Say = Callable[[str], None]


def cells() -> list[tuple[benchmark_scenes.Body, benchmark_scenes.Difficulty]]:
    """All pairs of body part and difficulty."""
    return [(part, difficulty) for part in benchmark_scenes.BODIES for difficulty in benchmark_scenes.DIFFICULTIES]


def make(folder: Path, images: int, seed: int) -> str:
    """Draw the benchmark: `folder`/pictures/PART-DIFFICULTY/*.png, and LabelMe files of the same names in `folder`/truth.

    Returns:
        SHA-256 (hex) over the pixels of all pictures and their truth.
    """
    digest = hashlib.sha256()
    for part, difficulty in cells():
        name = f"{part.name}-{difficulty.name}"
        for number in range(images):
            file = f"{name}-{number:03d}.png"
            picture = benchmark_scenes.picture(part, difficulty, seed, number, name=file)
            _save(picture, folder / "pictures" / name / file, folder / "truth" / name, digest)
    return digest.hexdigest()


def _save(picture: SyntheticRadiograph, path: Path, truth: Path, digest) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    truth.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), picture.image, [cv2.IMWRITE_PNG_COMPRESSION, 1]):
        raise WriteError(f"{path}: could not be written")
    labelme.write(truth / f"{path.stem}.json", picture.annotation)
    digest.update(picture.image.tobytes() + repr(picture.annotation.elements).encode())


def judge(folder: Path, results: Path) -> dict[str, list[Row]]:
    """PART-DIFFICULTY -> one row per picture, for results of any tool in `results`/PART-DIFFICULTY."""
    names = [f"{part.name}-{difficulty.name}" for part, difficulty in cells()]
    return {name: evaluate.evaluate(results / name, folder / "truth" / name, folder / "pictures" / name)[1] for name in names}


def tables(results: dict[str, list[Row]]) -> dict[str, Any]:
    """The rates of every cell of `judge`, of each body part, of each difficulty and of all."""

    def of(part: str | None = None, how: str | None = None) -> dict[str, Any]:
        names = [name for name in results if part in (None, name.split("-")[0]) and how in (None, name.split("-")[1])]
        return rates([row for name in names for row in results[name]])

    parts, hows = [p.name for p in benchmark_scenes.BODIES], [h.name for h in benchmark_scenes.DIFFICULTIES]
    return {
        "cells": {part: {how: of(part, how) for how in hows} for part in parts},
        "by_body": {part: of(part) for part in parts}, "by_difficulty": {how: of(how=how) for how in hows}, "all": of(),
    }


def rates(rows: Sequence[Row]) -> dict[str, Any]:
    """Number of pictures, number of missing results, and `RATES` as in `evaluate.summary`, with limits of anatomy removed."""
    summary = evaluate.summary(rows)
    low, high = anatomy_limits([row.judged.anatomy_removed for row in rows])
    measures = {name: summary[name] for name in (*RATES, "letters_retained") if name in summary}
    measures |= {"anatomy_removed": {**summary["anatomy_removed"], "low95": low, "high95": high}}
    return {"images": summary["images"], "missing": summary["missing"], **measures}


def anatomy_limits(shares: Sequence[float]) -> tuple[float | None, float | None]:
    """95 % limits, per mille, of the mean of the images' anatomy removed (shares, 0-1): percentile bootstrap over images (Efron 1979), as a mean of
    shares has no binomial interval; None for no images.

    >>> anatomy_limits([0.001] * 5), anatomy_limits([])
    ((1.0, 1.0), (None, None))
    """
    if not len(shares):
        return None, None
    values = np.asarray(shares, np.float64)
    drawn = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(axis=1), (0.025, 0.975))
    return round(1000 * float(low), 4), round(1000 * float(high), 4)


@contextmanager
def clocked(seconds: dict[str, float], images: int) -> Iterator[None]:
    """Store in `seconds` the wall-clock and processor time of the block per image, child processes included."""
    wall, cpu = time.perf_counter(), _cpu()
    yield
    seconds |= {"wall": round((time.perf_counter() - wall) / images, 3), "cpu": round((_cpu() - cpu) / images, 3)}


def _cpu() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def run(
    folder: Path | str, *, images: int, seed: int, site_images: tuple[int, int] | None = None, weights: Path | None = None,
    say: Say = print, **finetune_options: Any,
) -> dict[str, Any]:
    """Draw, clean with the shipped weights, judge; then, if wanted, fine-tune for the new site.

    Args:
        folder: gets `ENTRIES`; those of an earlier run are replaced, a folder that holds anything else is refused.
        images: number per body part and difficulty.  weights: see `RunOptions`.
        site_images: numbers of images of the new site for fine-tuning and for measuring, see `new_site`, which also gets
            `finetune_options`; None skips the fine-tuning.
        say: called with progress, one line at a time.

    Returns:
        The JSON document: settings and versions, `tables`, `seconds_per_image`, and with `site_images` `new_site`.

    Raises:
        UsageError: the folder holds something else, a number is too small, or a needed extra is not installed.
    """
    folder = Path(folder)
    if images < 1 or min(site_images or (1,)) < 1:
        raise UsageError("at least one image is needed")
    _prepare(folder)
    if site_images:
        from .training.train_localizer import require

        require()
    sha = make(folder, images, seed)
    total = images * len(cells())
    seconds: dict[str, float] = {}
    say(f"{counted(total, 'radiograph')} drawn, now cleaned")
    with clocked(seconds, total):
        summary = batch.remove([folder / "pictures"], folder / "results", options=RunOptions(weights=weights, paths="keep"))
    say("now judged")
    document = {
        "name": "markerremover", "version": __version__, "weights_sha256": summary["weights"]["sha256"], "backend": summary["backend"],
        "seed": seed, "images_each": images, "pictures_sha256": sha, "keep": summary["options"]["keep"], "held": summary["counts"]["held"],
        "seconds_per_image": seconds, **tables(judge(folder, folder / "results")),
    }
    if site_images:
        document["new_site"] = new_site(folder, seed, *site_images, weights=weights, say=say, **finetune_options)
    return document


def _prepare(folder: Path) -> None:
    strangers = sorted(p.name for p in folder.iterdir() if p.name not in ENTRIES) if folder.is_dir() else []
    if strangers:
        raise UsageError(f"{folder} holds {strangers[0]}, which is not from a benchmark: choose another folder")
    for name in ENTRIES:
        shutil.rmtree(folder / name, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)


def new_site(
    folder: Path, seed: int, train: int, test: int, *, weights: Path | None = None, say: Say = print, **options: Any
) -> dict[str, Any]:
    """Fine-tune on `train` pictures of a site with annotations of its own, and clean `test` other ones before and after.

    Creates `folder`/site: the pictures, a split.csv that holds the test pictures out of training and selection, and the tuned weights. One
    training, without cross-validation, since any number of test pictures can be drawn.

    Args:
        weights: the ONNX file to measure before and to start from, its checkpoint beside it.
        options: of `finetune.finetune`.

    Returns:
        `before` and `after` (`rates` of the test pictures), `by_boxes` (the same compared by Khosravi et al.'s measures, from the
        card), facts of the training, seconds.

    Raises:
        UsageError: see `finetune.finetune`.
    """
    from .training.finetune import finetune

    site, digest, parts = folder / "site", hashlib.sha256(), ["image,patient,split"]
    for number in range(train + test):
        name = f"site-{number:03d}"
        _save(benchmark_scenes.site_picture(seed, number, name=f"{name}.png"), site / "images" / f"{name}.png", site / "annotations", digest)
        parts.append(f"{name}.png,{name},{'train' if number < train else 'val'}")
    (site / "split.csv").write_text("\n".join(parts) + "\n", encoding="utf-8")
    keep = benchmark_scenes.SITE_LATERALITY
    seconds: dict[str, float] = {}
    measured: dict[str, Any] = {}
    with clocked(seconds, 1):
        card = finetune(site, site / "tuned.pt", weights=weights, keep=keep, folds=0, seed=seed, say=say, **options)
    tests = [site / "images" / f"site-{number:03d}.png" for number in range(train, train + test)]
    for name, run_options in (
        ("before", RunOptions(policy=Policy(keep=tuple(keep)), weights=weights, paths="keep")),
        ("after", RunOptions(site=read_site(site / "tuned.toml"), paths="keep")),
    ):
        say(f"cleaning {test} held-out radiographs of the new site {name} fine-tuning")
        out = folder / f"site-{name}"
        batch.remove(tests, out, options=run_options)
        measured[name] = rates(evaluate.evaluate(out, site / "annotations", site / "images", split=f"{site / 'split.csv'}=val")[1])
    return {
        "keep": sorted(keep), "train_images": train, "test_images": test, "pictures_sha256": digest.hexdigest(), **measured,
        "learnt": {name: card["recipe"][name] for name in ("name", "trained_epochs", "share", "rescorer_taught")},
        "by_boxes": card["metrics"], "seconds_of_finetuning": seconds,
    }


def lines(document: dict[str, Any]) -> list[str]:
    """The document as lines of text: body part by difficulty, seconds, the new site."""
    rows: list[tuple[str, ...]] = [("", *TITLES)]
    for part, by_how in document["cells"].items():
        rows += [(f"{part}, {how}", *_words(measures)) for how, measures in by_how.items()]
    rows += [(f"all {how}", *_words(measures)) for how, measures in document["by_difficulty"].items()] + [("all", *_words(document["all"]))]
    site = document.get("new_site")
    if site:
        rows += [(f"new site, {name}", *_words(site[name])) for name in ("before", "after")]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    if "letters_retained" in document["all"]:
        text.append(f"{evaluate.NAMES['letters_retained']}: {in_words(document['all']['letters_retained'])}")
    seconds = document["seconds_per_image"]
    images, held = document["all"]["images"], document["held"]
    text.append(f"{images} images, {held} held; {seconds['wall']} s an image, {seconds['cpu']} s of processor time")
    return text


TITLES = (
    "annotations removed", "images de-identified", "laterality markers retained", "false-positive regions", "anatomy removed",
    "unmarked ones untouched",
)


def _words(measures: dict[str, Any]) -> tuple[str, ...]:
    """The cells of one line, in the order of `TITLES`."""
    cell = {name: in_words(measures[name]) for name in RATES if name != "anatomy_removed"}
    removed = f"{measures['anatomy_removed']['value']:.2f} ‰"
    return cell["recall"], cell["deid"], cell["retention"], cell["false_regions"], removed, cell["untouched"]
