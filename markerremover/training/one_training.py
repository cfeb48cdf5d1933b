"""One training of a fine-tuning: its datasets, the share of the tuned weights in the result, and its files.

If the share of the tuned weights is not given, it is chosen by errors: of a cross-validation by those on the held-out images of other folds
(`tried`, then `changed`), else by those on the images of the training and on films drawn for it (`trained`). If the base weights make no errors on
the images of a training, nothing is trained.
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
from ..evaluation.metrics import Counts
from ..inference.card_files import carry, find
from ..inference.weights_card import read_card
from ..labels import labelled_folder
from ..labels.labelled_folder import Sample
from ..records import Policy
from ..redaction.cleaning import with_localizer
from ..system.files import sha256_file
from ..system.steps import Steps
from ..system.wording import counted
from . import checkpoints, localizer_files, train_localizer, window_dataset
from .folds import Fold
from .measure import pipeline_counts
from .recipes import Recipe
from .site import changes, drawing
from .site.changes import BASE, Change, Errors, Trials

TRAIN, MEASURE = "image pass", "measured image"  # kinds of units of a fine-tuning, each with its own time
POSITIVE_SHARE = 0.75  # share of windows placed around an annotation
RESCORED = 20  # drawn films of each half that a rescorer is taught on
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
    source: tuple[Sample, ...] = ()
    steps: Steps = field(default_factory=Steps, compare=False)

    @property
    def work(self) -> Path:
        """Folder of checkpoints and pictures during the training."""
        return self.out.with_name(f"{self.out.stem}-work")

    @property
    def report(self) -> Path:
        """Folder of the page; it shows originals."""
        return self.out.with_name(f"{self.out.stem}-report")


def _datasets(run: Run, train: Sequence[Sample], stop: Sequence[Sample], films: drawing.Films):
    """The training dataset, and the one for choosing the epoch, None without `stop`."""
    names, size = tuple(run.card["classes"]), _image_size(run)
    if run.recipe.window:
        scales = functools.partial(views.scales, size=size, tiling=views.Tiling.of_card(run.card))
        drawn = [list(half) for half in (films.own, films.others, run.source) if half]
        shares = [1 - run.recipe.drawn_share * bool(drawn), *(run.recipe.drawn_share / len(drawn) for _ in drawn)]
        train_set: Any = window_dataset.WindowDataset(
            [list(train), *drawn], names, shares=shares, window=run.recipe.window, length=run.recipe.epoch_passes(len(train)),
            positive_share=POSITIVE_SHARE, scale_range=JITTER, scales=scales, keep_decoded=True,
        )
    else:
        train_set = window_dataset.WholeDataset(list(train), names, size=size, repeat=run.recipe.repeat, varied=True)
    return train_set, window_dataset.WholeDataset(list(stop), names, size=size) if stop else None


def _image_size(run: Run) -> int:
    return int(run.recipe.image_size or run.card["image_size"])


def trained(run: Run, part: Fold, place: Path, *, stop_after: int | None = None, change: Change | None = None) -> Path:
    """The ONNX file of one training, with its card; trained only if it does not exist.

    Args:
        change: what of the training is the result, `BASE` for nothing; by default the recipe's share, or else that with the fewest errors on the
            images and on films drawn for it. If it is to be chosen and the base weights make no error on the images, they are the result.
    """
    if (place / "done").is_file():
        _skip_training(run, part, "is done already")
        return place / "tuned.onnx"
    base_errors = _base_errors(run, (*part.train, *part.stop))
    if change == BASE or base_errors == (0, 0):
        why = "nothing tuned is better on the images that were held out" if change == BASE else _no_error(part)
        return _left_out(run, part, place, why)
    best, epochs, films = _fitted(run, part, place, stop_after)
    share, taught = run.recipe.blend or 0.0, None
    if change is not None:
        share, taught = change.share, _taught_rescorer(run, place, best, (*part.train, *part.stop, *films.some(RESCORED))) if change.taught else None
    elif base_errors is not None:
        share, taught = _best_change(run, place, best, (*part.train, *part.stop), films, base_errors)
    return _finish(run, place, _mixed(run, best, share, place / "mixed.pt"), epochs, share, taught)


def tried(run: Run, part: Fold, place: Path, base_counts: Errors) -> Trials:
    """Train without a fold, and count the errors of every change on its held-out images; read from the work folder if it was done before.

    Args:
        base_counts: errors of the base weights on the held-out images.
    """
    table = place / "trials.json"
    if table.is_file():
        run.steps.skip(MEASURE, trial_count(run) * len(part.held_out))
        _skip_training(run, part, "is done already")
        return changes.read(table)
    if _base_errors(run, (*part.train, *part.stop)) == (0, 0):
        run.steps.skip(MEASURE, trial_count(run) * len(part.held_out))
        _left_out(run, part, place, _no_error(part))
        trials = {BASE: base_counts}
    else:
        best, epochs, films = _fitted(run, part, place, None)
        taught = _taught_rescorer(run, place, best, (*part.train, *part.stop, *films.some(RESCORED)))
        (place / "fitted").write_text(f"{epochs}\n", encoding="utf-8")
        trials = {BASE: base_counts + _drawn_errors(run, run.base.with_suffix(".onnx"), films.held_back)}
        wanted = changes.changes(taught is not None)
        run.steps.skip(MEASURE, (trial_count(run) - len(wanted)) * len(part.held_out))
        run.say(f"  {counted(len(wanted), 'result')} of it measured on {counted(len(part.held_out), 'held-out image')}")
        for change in wanted:
            trials[change] = _on_trial(run, place, best, taught, change, lambda onnx: _held_out_errors(run, onnx, part) + _drawn_errors(run, onnx, films.held_back))
    changes.write(table, trials)
    return trials


def changed(run: Run, part: Fold, place: Path, change: Change) -> Path:
    """The ONNX file of a training that was `tried`, with a change."""
    if not (place / "fitted").is_file():
        return place / "tuned.onnx"  # nothing was trained
    if not (place / "done").is_file():
        taught = place / "rescorer.onnx" if change.taught and (place / "rescorer.onnx").is_file() else None
        run.say(f"  without fold {part.number}: share {change.share:g} of the tuned weights{' with the rescorer taught' if taught else ''}, by the other folds")
        epochs = int((place / "fitted").read_text(encoding="utf-8"))
        _finish(run, place, _mixed(run, place / "best.pt", change.share, place / "mixed.pt"), epochs, change.share, taught)
    return place / "tuned.onnx"


def trial_count(run: Run) -> int:
    """Highest number of changes that are tried after one training."""
    return len(changes.changes(bool(run.card.get("rescorer"))))


def on_images(part: Fold) -> str:
    """What a training learns from, in words."""
    return f"without fold {part.number}" if part.held_out else "on all images"


def _no_error(part: Fold) -> str:
    return f"the weights it starts from make no error on its {counted(len(part.train) + len(part.stop), 'image')}"


def _skip_training(run: Run, part: Fold, why: str) -> None:
    run.steps.skip(TRAIN, run.recipe.epoch_passes(len(part.train)) * run.recipe.epochs)
    run.say(run.steps.begin(f"training {on_images(part)} {why}"))


def _left_out(run: Run, part: Fold, place: Path, why: str) -> Path:
    """The base weights as the result of a training."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    _skip_training(run, part, f"is left out: {why}")
    return _finish(run, place, run.base, 0, 0.0)


def _fitted(run: Run, part: Fold, place: Path, stop_after: int | None) -> tuple[Path, int, drawing.Films]:
    """The checkpoint of the best epoch of one training, that epoch, and the films drawn for it."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    recipe, epoch_passes = run.recipe, run.recipe.epoch_passes(len(part.train))
    choosing = f", {counted(len(part.stop), 'other')} to choose the epoch" if part.stop else ""
    run.say(run.steps.begin(f"training {on_images(part)}: {counted(len(part.train), 'image')}{choosing}"))
    films = drawing.Films()
    if recipe.drawn:
        films = drawing.draw(part.train, place / "films", recipe.drawn * len(part.train), run.seed + part.number, run.policy.keep)
        others = f"{counted(len(films.others), 'film')} with others, {len(films.held_back)} set apart"
        run.say(f"  drawn from its training images: {counted(len(films.own), 'film')} with annotations in their styles, {others}")
    train_set, stop_set = _datasets(run, part.train, part.stop, films)
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
    if best != place / "best.pt":
        shutil.copyfile(best, place / "best.pt")
    return place / "best.pt", best_epochs[0], films


def _mixed(run: Run, best: Path, share: float, target: Path) -> Path:
    """The checkpoint with a share of the tuned weights; that of the base weights for 0."""
    if not share:
        return run.base
    with train_localizer.quieter():
        return checkpoints.blend(run.base, best, share, target)


def _on_trial(run: Run, place: Path, best: Path, taught: Path | None, change: Change, judge: Callable[[Path], Any]) -> Any:
    """What a function says of the ONNX file of a change, which exists only while it runs."""
    shutil.rmtree(trial := place / "trial", ignore_errors=True)
    trial.mkdir()
    with train_localizer.quieter():
        _exported(run, _mixed(run, best, change.share, trial / "mixed.pt"), trial / "trial.onnx", taught if change.taught else None)
    judged = judge(trial / "trial.onnx")
    shutil.rmtree(trial)
    return judged


def _held_out_errors(run: Run, onnx: Path, part: Fold) -> Errors:
    """Errors of the whole pipeline on the held-out images of a fold."""
    errors, cleaner = Errors(), with_localizer(_detector(run, onnx), run.reader, run.policy)
    for sample in part.held_out:
        errors += errors_of(pipeline_counts(sample, cleaner)[1])
        run.steps.work(MEASURE)
    return errors


def errors_of(counts: Counts) -> Errors:
    """The errors in what was counted of the whole pipeline."""
    return Errors(counts.markers - counts.removed, counts.laterality_markers - counts.retained, counts.held, counts.false_boxes)


def _drawn_errors(run: Run, onnx: Path, films: Sequence[Sample]) -> Errors:
    """Errors of a localizer on drawn films."""
    missed, false = _errors(run, onnx, films)
    return Errors(drawn_missed=missed, drawn_false=false)


def _detector(run: Run, onnx: Path):
    return localizer.load_detector(onnx, device="cpu" if run.device == "cpu" else "auto")


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
    run: Run, place: Path, best: Path, samples: Sequence[Sample], films: drawing.Films, base_errors: tuple[int, int]
) -> tuple[float, Path | None]:
    """The share of tuned weights with the fewest errors on some images and on the films set apart, and its rescorer, None for that of the base
    weights. With equal errors it is the smallest change."""
    taught = _taught_rescorer(run, place, best, (*samples, *films.some(RESCORED)))

    def errors_with(onnx: Path) -> Errors:
        missed, false = _errors(run, onnx, samples)
        return Errors(missed=missed, false=false) + _drawn_errors(run, onnx, films.held_back)

    trials = {BASE: Errors(missed=base_errors[0], false=base_errors[1]) + _drawn_errors(run, run.base.with_suffix(".onnx"), films.held_back)}
    for change in changes.changes(taught is not None):
        if changes.chosen([trials]) != BASE and min(errors.rank() for errors in trials.values())[:2] == (0, 0):
            break  # no larger change can be better
        trials[change] = _on_trial(run, place, best, taught, change, errors_with)
    told = ", ".join(
        f"{c.share:g}{' with the rescorer taught' if c.taught else ''}: {e.missed} and {e.false}, drawn {e.drawn_missed} and {e.drawn_false}"
        for c, e in trials.items())
    run.say(f"  misses and false boxes by share of tuned weights: {told}")
    change = changes.chosen([trials])
    return change.share, taught if change.taught else None


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
    if not samples:
        return 0, 0
    detector, counts = _detector(run, onnx), (0, 0)
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
