"""One training of a fine-tuning: its datasets, the share of the tuned weights in the result, and its files.

If the share of the tuned weights is not given, it is chosen by the errors on the images that were used for training or for choosing the
epoch; if the base weights make no errors on them, nothing is trained.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..detection import localizer, operating_point, views
from ..errors import UsageError
from ..inference.card_files import carry, find
from ..inference.weights_card import read_card
from ..labels import labelled_folder
from ..labels.labelled_folder import Sample
from ..records import Policy
from ..system.files import sha256_file
from ..system.steps import Steps
from ..system.wording import counted
from . import checkpoints, localizer_files, train_localizer, window_dataset
from .folds import Fold
from .recipes import Recipe

#: Shares of the tuned weights that are tried, besides 0, each with the base rescorer and with one trained on the same images. The one with the
#: fewest misses, then false boxes, on the images of the training is chosen; with equal errors the smallest change.
SHARES = (0.25, 0.5, 1.0)
TRAIN, MEASURE = "image pass", "measured image"  # kinds of units of a fine-tuning, each with its own time
POSITIVE_SHARE = 0.75  # share of windows placed around an annotation
JITTER = (0.75, 1.33)  # range of the factor on the scales of inference


@dataclass(frozen=True)
class Run:
    """The settings of one fine-tuning, and how much of it is done."""

    out: Path
    base: Path
    card: dict
    recipe: Recipe
    policy: Policy
    reader: Any
    seed: int
    device: str
    loader_workers: int
    say: Callable[[str], None]
    steps: Steps = field(default_factory=Steps, compare=False)

    @property
    def work(self) -> Path:
        """Folder of checkpoints and pictures during the training."""
        return self.out.with_name(f"{self.out.stem}-work")

    @property
    def report(self) -> Path:
        """Folder of the page; it shows originals."""
        return self.out.with_name(f"{self.out.stem}-report")


def _datasets(run: Run, train: Sequence[Sample], stop: Sequence[Sample]):
    """The training dataset, and the one for choosing the epoch, None without `stop`."""
    names, size = tuple(run.card["classes"]), _image_size(run)
    if run.recipe.window:
        scales = functools.partial(views.scales, size=size, tiling=views.Tiling.of_card(run.card))
        train_set: Any = window_dataset.WindowDataset(
            [list(train)], names, window=run.recipe.window, length=run.recipe.repeat * len(train),
            positive_share=POSITIVE_SHARE, scale_range=JITTER, scales=scales, keep_decoded=True,
        )
    else:
        train_set = window_dataset.WholeDataset(list(train), names, size=size, repeat=run.recipe.repeat, varied=True)
    return train_set, window_dataset.WholeDataset(list(stop), names, size=size) if stop else None


def _image_size(run: Run) -> int:
    return int(run.recipe.image_size or run.card["image_size"])


def trained(run: Run, part: Fold, place: Path, *, stop_after: int | None = None) -> Path:
    """The ONNX file of one training, with its card; trained only if it does not exist.

    If the share of tuned weights is to be chosen and the base weights make no error on the images, the base weights are the result.
    """
    onnx, samples = place / "tuned.onnx", (*part.train, *part.stop)
    epoch_passes = len(part.train) * run.recipe.repeat
    without = f"without fold {part.number}" if part.held_out else "on all images"
    if (place / "done").is_file():
        run.steps.skip(TRAIN, epoch_passes * run.recipe.epochs)
        run.say(run.steps.begin(f"training {without} is done already"))
        return onnx
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    base_errors = _base_errors(run, samples)
    if base_errors == (0, 0):
        run.steps.skip(TRAIN, epoch_passes * run.recipe.epochs)
        run.say(run.steps.begin(f"training {without} is left out: the weights it starts from make no error on its {counted(len(samples), 'image')}"))
        return _finish(run, place, run.base, 0, 0.0)
    choosing = f", {counted(len(part.stop), 'other')} to choose the epoch" if part.stop else ""
    run.say(run.steps.begin(f"training {without}: {counted(len(part.train), 'image')}{choosing}"))
    train_set, stop_set = _datasets(run, part.train, part.stop)
    recipe = run.recipe
    best_epochs: list[int] = []
    epochs_done: set[int] = set()

    def report_epoch(trainer) -> None:
        score = f": mAP-50 {trainer.metrics['metrics/mAP50(B)']:.3f} on those" if stop_set is not None else ""
        if trainer.epoch in epochs_done:  # ultralytics tells of the best epoch again at the end
            return
        epochs_done.add(trainer.epoch)
        run.steps.work(TRAIN, epoch_passes)
        run.say(f"  epoch {trainer.epoch + 1} of at most {stop_after or recipe.epochs}{score}{run.steps.left}")

    with train_localizer.quieter():
        best = train_localizer.fit(
            train_set, stop_set, place, model=str(run.base), class_names=run.card["classes"], image_size=_image_size(run),
            epochs=recipe.epochs, batch=recipe.batch, optimizer=recipe.optimizer, lr0=recipe.lr0, lrf=recipe.lrf,
            cosine=recipe.cosine, momentum=recipe.momentum, weight_decay=recipe.weight_decay, freeze=recipe.freeze,
            patience=recipe.patience, loader_workers=run.loader_workers, seed=run.seed + part.number, device=run.device,
            stop_after=stop_after, callbacks={
                "on_fit_epoch_end": [report_epoch],
                "on_train_end": [lambda trainer: best_epochs.append(int(trainer.stopper.best_epoch))],
            },
        )
        run.steps.skip(TRAIN, epoch_passes * (recipe.epochs - len(epochs_done)))
        share, taught = _best_change(run, place, best, samples, base_errors) if base_errors else (run.recipe.blend or 0.0, None)
        mixed = checkpoints.blend(run.base, best, share, place / "mixed.pt") if share else run.base
        return _finish(run, place, mixed, best_epochs[0], share, taught)


def _finish(run: Run, place: Path, checkpoint: Path, epochs: int, share: float, taught: Path | None = None) -> Path:
    """Write a training's result: checkpoint, ONNX file, card, and the mark that it is complete."""
    onnx = place / "tuned.onnx"
    _exported(run, checkpoint, onnx, taught)
    (place / "done").write_text(f"{epochs} {share}\n", encoding="utf-8")
    return onnx


def _exported(run: Run, checkpoint: Path, onnx: Path, taught: Path | None = None) -> None:
    checkpoints.save_checkpoint(checkpoint, onnx.with_suffix(".pt"))
    if checkpoint == run.base and _image_size(run) == int(run.card["image_size"]):
        shutil.copyfile(run.base.with_suffix(".onnx"), onnx)
    else:
        localizer_files.export_onnx(onnx.with_suffix(".pt"), onnx)
    write_card(run, onnx, taught)


def own_rescorer(run: Run, onnx: Path) -> Path | None:
    """The rescorer trained together with a localizer; None if it uses that of the base weights."""
    facts = read_card(onnx).get("rescorer")
    return None if facts is None or facts["sha256"] == run.card["rescorer"]["sha256"] else find(facts, onnx.parent)


def outcome(onnx: Path) -> tuple[int, float]:
    """Epochs of a finished training, and the share of its weights in the result."""
    epochs, share = (onnx.parent / "done").read_text(encoding="utf-8").split()
    return int(epochs), float(share)


def _best_change(
    run: Run, place: Path, best: Path, samples: Sequence[Sample], base_errors: tuple[int, int]
) -> tuple[float, Path | None]:
    """The share of tuned weights with the fewest errors on some images, see `SHARES`, and its rescorer, None for that of the base weights."""
    taught = _taught_rescorer(run, place, best, samples)
    trials_by_errors: list[tuple[int, int, float, bool]] = [(*base_errors, 0.0, False)]
    for share in (0.0, *SHARES):
        trial = place / f"share-{share}"
        trial.mkdir()
        mixed = checkpoints.blend(run.base, best, share, trial / "mixed.pt") if share else run.base
        _exported(run, mixed, trial / "trial.onnx")
        for with_taught in (False, True)[not share : 1 + (taught is not None)]:
            if with_taught:
                write_card(run, trial / "trial.onnx", taught)
            if min(trials_by_errors)[:2] != (0, 0):  # otherwise no larger change can be better
                trials_by_errors.append((*_errors(run, trial / "trial.onnx", samples), share, with_taught))
        shutil.rmtree(trial)
        if min(trials_by_errors)[:2] == (0, 0):
            break
    trials = ", ".join(f"{s:g}{' with the rescorer taught' if t else ''}: {m} and {f}" for m, f, s, t in trials_by_errors)
    run.say(f"  misses and false boxes by share of tuned weights: {trials}")
    _, _, share, with_taught = min(trials_by_errors)
    return share, taught if with_taught else None


def _taught_rescorer(run: Run, place: Path, best: Path, samples: Sequence[Sample]) -> Path | None:
    """The base weights' rescorer, trained on the localizer's candidates in some images before and after its tuning; None if there is no
    rescorer, or no candidates of both kinds."""
    from . import train_rescorer

    if not run.card.get("rescorer"):
        return None
    trial = place / "proposals"
    trial.mkdir()
    example_sets = []
    for name, checkpoint in (("base", run.base), ("tuned", best)):
        onnx = trial / f"{name}.onnx"
        _exported(run, checkpoint, onnx)
        card = json.loads(onnx.with_suffix(".json").read_text(encoding="utf-8"))
        localizer_files.rewrite_card(onnx, {k: v for k, v in card.items() if k not in ("rescorer", "calibration", "beside_marker")})
        rng = np.random.default_rng(run.seed)
        try:
            example_sets.append(train_rescorer.gather(localizer.load_detector(onnx, device="cpu"), [samples], rng))
        except UsageError:  # all of its candidates are annotations, or none are
            continue
    if not example_sets:
        run.say("  the rescorer is unchanged: all of the localizer's candidates are annotations, or none are")
        return None
    target = place / "rescorer.onnx"
    train_rescorer.tune(find(run.card["rescorer"], run.base.parent), train_rescorer.Examples.joined(example_sets), target, seed=run.seed)
    shutil.rmtree(trial)
    return target


def _errors(run: Run, onnx: Path, samples: Sequence[Sample]) -> tuple[int, int]:
    """Number of elements that a localizer misses on some images at its threshold, and number of its false-positive boxes."""
    detector = localizer.load_detector(onnx, device="cpu" if run.device == "cpu" else "auto")
    counts = (0, 0)
    for sample in samples:
        detections = detector(labelled_folder.read_grey(sample.path))
        misses, false = operating_point.missed(detections, sample.annotation), operating_point.false_boxes(detections, sample.annotation)
        counts = counts[0] + len(misses), counts[1] + len(false)
    return counts


def note_errors(run: Run, parts: Sequence[Fold]) -> None:
    """Save the errors of the base weights on each image, for all folds."""
    target = run.work / "base-errors.json"
    if not target.is_file():
        samples = {picture_id(s): s for part in parts for s in (*part.train, *part.stop, *part.held_out)}
        errors = {name: _errors(run, run.base.with_suffix(".onnx"), [sample]) for name, sample in samples.items()}
        target.write_text(json.dumps(errors), encoding="utf-8")


def _base_errors(run: Run, samples: Sequence[Sample]) -> tuple[int, int] | None:
    """The saved errors of the base weights on some images, summed; None if the share is given."""
    if run.recipe.blend is not None:
        return None
    errors = json.loads((run.work / "base-errors.json").read_text(encoding="utf-8"))
    rows = [errors[picture_id(sample)] for sample in samples]
    return sum(row[0] for row in rows), sum(row[1] for row in rows)


def write_card(run: Run, onnx: Path, taught: Path | None = None, **extra) -> Path:
    """Write a card like the base weights', with a rescorer of its own if `taught` is given, which is copied beside it. The threshold is of
    calibrated scores, so the calibration is copied too. Weights trained on whole images run on whole images: their card has no tiling."""
    names = ("calibration", "beside_marker", "rescorer", "text_detector", "strokes", *(("tiling",) if run.recipe.window else ()))
    carried = {name: run.card[name] for name in names if run.card.get(name)}
    if taught is None:
        carry(run.card, run.base.parent, onnx.parent)
    else:
        rescorer_file = shutil.copyfile(taught, onnx.with_name(f"{onnx.stem}-rescorer.onnx"))
        carried["rescorer"] = {**run.card["rescorer"], "file": rescorer_file.name, "sha256": sha256_file(rescorer_file)}
    return localizer_files.write_card(
        onnx, arch=str(run.card.get("architecture", "unknown")), class_names=run.card["classes"], image_size=_image_size(run),
        threshold=float(run.card["threshold"]), **carried, **extra,
    )


def picture_id(sample: Sample) -> str:
    """16 hex digits that identify a sample, also among files of the same name in other folders."""
    name = sample.path.name.encode("utf-8", "surrogateescape")
    return hashlib.sha256(name + b"\0" + sha256_file(sample.path).encode()).hexdigest()[:16]
