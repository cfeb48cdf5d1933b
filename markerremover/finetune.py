"""Fine-tuning the localizer for a new site, and measuring honestly what that gave.

The patients are dealt into folds. Each fold is held out once: the localizer is fine-tuned on the others, a part of which
only decides when to stop, and then the whole pipeline runs on the held-out images, before and after. At last one
localizer is fine-tuned on all images, for as long as the folds took. No image that is measured was ever trained on or
used to choose an epoch.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import shutil
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

import numpy as np

from . import __version__, detect, finetune_report, images, metrics, operating, rescore, site, training, windows
from .errors import AnnotationError, UsageError
from .folds import Fold, plan, whole
from .locations import default_weights
from .measure import measure, total
from .pipeline import Cleaner
from .recipes import RECIPES, Recipe
from .records import Policy
from .windows import Sample

SHARES = (0.25, 0.5, 1.0)  # of tuned weights that are tried, none too, each with the rescorer as it was and taught on the same images:
# the one with the fewest misses, then false boxes, on the images that were trained on or chose the epoch; the least change where
# several are as good
POSITIVE_SHARE = 0.75  # of the windows lie around a marking
JITTER = (0.75, 1.33)  # of the scale, around those that inference looks at


def passes(recipe: Recipe, folds: Sequence[Fold]) -> int:
    """Training images (or windows) that go through the network at most, the last training included."""
    count = sum(len(fold.train) for fold in folds)
    if len(folds) > 1:
        count += len(folds[0].train) + len(folds[0].stop) + len(folds[0].held_out)
    return count * recipe.repeat * recipe.epochs


@dataclass(frozen=True)
class _Run:
    """What stays the same throughout one fine-tuning."""

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

    @property
    def work(self) -> Path:
        return self.out.with_name(f"{self.out.stem}-work")

    @property
    def report(self) -> Path:
        return self.out.with_name(f"{self.out.stem}-report")


def finetune(
    folder: Path | str, out: Path | str, *, weights: Path | str | None = None, keep: Mapping[str, str] | None = None,
    recipe: Recipe = RECIPES["fast"], folds: int = 5, seed: int = 0, device: str = "cpu", loader_workers: int = 1,
    resume: bool = False, say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Fine-tune for the site of a LabelMe folder and measure before and after on images that were held out.

    Beside `out`, a `.pt`, it writes the same name as `.onnx`, `.json` (the card, with the measurement), `.toml` (a site
    profile) and `-report/` (a page with pictures of the originals: as confidential as those).

    Args:
        folder: `images/` (PNG, JPEG, TIFF) and `annotations/`, optionally split.csv; see `windows.load_samples`.
        weights: the `.pt` to start from, with its `.onnx` and card beside it; the shipped one by default.
        keep: sign → "left" or "right", the signs that stay; L, R and their words by default.
        recipe: see `Recipe` and `RECIPES`.  folds: see `plan`.
        seed: of every random choice; fold k uses seed + k, the last training the one after them.
        device: "cpu" or a CUDA device number, for training.
        resume: go on with an interrupted run of the same settings; finished folds are not trained again.
        say: told how it goes, a line at a time.

    Returns:
        The content of the card.

    Raises:
        UsageError: weights, folder, target or a setting is wrong; an extra or the OCR engine is missing.
        AnnotationError: labels are missing, malformed, or do not fit their image.
    """
    folder, out = Path(folder), Path(os.path.abspath(out))
    base, card = base_of(weights)
    profile = site.SiteProfile(threshold=float(card["threshold"]), **({} if keep is None else {"keep": keep}))
    parts = plan(folder, folds, early_stop=recipe.patience > 0)
    reader = None
    if profile.keep:
        from .ocr import open_reader

        reader = open_reader()
    run = _Run(out, base, card, recipe, Policy(keep=tuple(profile.keep)), reader, seed, device, loader_workers, say)
    _check_samples(parts)
    _prepare(run, _fingerprint(run, parts, profile), resume)
    if recipe.blend is None:
        _note_errors(run, parts)
    held_out = sum(len(part.held_out) for part in parts)
    say(f"{len(parts)} folds of {held_out} held-out images, at most {passes(recipe, parts)} image passes")
    before = [_measured(run, part, base.with_suffix(".onnx"), "before") for part in parts]
    tuned = [_trained(run, part, run.work / f"fold-{part.number}") for part in parts]
    after = [_measured(run, part, onnx, "after") for part, onnx in zip(parts, tuned)]
    final = _last_training(run, parts, tuned) if len(parts) > 1 else tuned[0]
    return _publish(run, parts, profile, final, before, after)


def tune(
    samples: Sequence[Sample], out: Path | str, *, weights: Path | str | None = None, recipe: Recipe = RECIPES["fast"], seed: int = 0,
    device: str = "cpu", loader_workers: int = 1, resume: bool = False, say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Fine-tune on samples, all of them, and measure nothing; with patience a part of the patients only chooses the epoch.

    Beside `out`, a `.pt`, it writes the same name as `.onnx` and `.json` (the card), and a rescorer where one was taught.

    Args:
        Others as in `finetune`.

    Returns:
        The content of the card.

    Raises:
        UsageError, AnnotationError: see `finetune`.
    """
    base, card = base_of(weights)
    run = _Run(Path(os.path.abspath(out)), base, card, recipe, Policy(keep=()), None, seed, device, loader_workers, say)
    part = whole(samples, early_stop=recipe.patience > 0)
    _check_samples([part])
    _prepare(run, _fingerprint(run, [part], site.SiteProfile(keep={})), resume)
    if recipe.blend is None:
        _note_errors(run, [part])
    final = _trained(run, part, run.work / "final")
    made = _placed(run, final, _origin(run, (*part.train, *part.stop), final, [seed]))
    shutil.rmtree(run.work)
    return made


def base_of(weights: Path | str | None) -> tuple[Path, dict]:
    """The checkpoint to start from, the shipped one by default, and the card of its ONNX file.

    Raises:
        UsageError: there is none, or it has other classes than ours.
    """
    base = (Path(weights) if weights is not None else default_weights()).with_suffix(".pt")
    if not base.is_file():
        hint = ": installed packages carry no checkpoint, name one with --weights (weights/detector.pt of a checkout)"
        raise UsageError(f"{base}: there is no such checkpoint to start from{hint if weights is None else ''}")
    card = detect.read_card(base.with_suffix(".onnx"))
    if tuple(card["classes"]) not in (training.CLASS_NAMES, ("marker",)):
        raise UsageError(f"{base}: classes are {card['classes']}, allowed are {list(training.CLASS_NAMES)} and ['marker']")
    return base, card


def _check_samples(parts: Sequence[Fold]) -> None:
    """Every label file fits its image, and the images are single pictures.

    Raises:
        AnnotationError: size differs.  UsageError: several frames.
    """
    for sample in {s.path: s for part in parts for s in (*part.train, *part.stop, *part.held_out)}.values():
        radiograph = images.read(sample.path)
        if len(radiograph.display) != 1:
            raise UsageError(f"{sample.path} has {len(radiograph.display)} frames, allowed is one")
        if radiograph.shape_hw != sample.annotation.shape_hw:
            raise AnnotationError(
                f"{sample.path} has {radiograph.shape_hw} rows and columns, its labels say {sample.annotation.shape_hw}"
            )


def _fingerprint(run: _Run, parts: Sequence[Fold], profile: site.SiteProfile) -> str:
    """Hash of what decides the result; an interrupted run goes on only with the same."""
    samples = [
        [[s.path.name, s.patient, training.sha256(s.path), [asdict(e) for e in s.annotation.elements]] for s in group]
        for part in parts for group in (part.train, part.stop, part.held_out)
    ]
    facts = {
        "version": __version__, "recipe": asdict(run.recipe), "seed": run.seed, "keep": dict(profile.keep), "samples": samples,
        "base": [training.sha256(run.base), run.card["sha256"]], "device": run.device,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _prepare(run: _Run, fingerprint: str, resume: bool) -> None:
    """Make the work folder, or take over that of an interrupted run.

    Raises:
        UsageError: the target is wrong or taken, or what is to be resumed had other settings or is not there.
    """
    if run.out.suffix != ".pt":
        raise UsageError(f"{run.out}: the target must end in .pt")
    check_apart(run.out)
    if run.out.resolve() == run.base.resolve():
        raise UsageError(f"{run.out} is the checkpoint to start from: choose another name")
    mark = run.work / "settings.sha256"
    if mark.is_file():
        if not resume:
            raise UsageError(f"{run.work} is of an interrupted run: use --resume to go on with it, or remove it")
        if mark.read_text(encoding="utf-8").strip() != fingerprint:
            raise UsageError(f"{run.work} is of a run with other settings, images or labels: remove it, or choose another target")
        return
    targets = [*(run.out.with_suffix(suffix) for suffix in (".pt", ".onnx", ".json", ".toml")), run.out.with_name(f"{run.out.stem}-rescorer.onnx")]
    taken = [path for path in (*targets, run.report, run.work) if path.exists()]
    if taken:
        raise UsageError(f"{taken[0]} is there already: choose another target, or remove it")
    if resume:
        raise UsageError(f"{run.work}: there is nothing to resume")
    training.require()
    (run.work / "pictures").mkdir(parents=True, mode=0o700)
    os.chmod(run.work, 0o700)
    mark.write_text(fingerprint + "\n", encoding="utf-8")


def check_apart(path: Path) -> None:
    """Refuse a place for originals in an output folder of `remove`.

    Raises:
        UsageError: it is in one.
    """
    for parent in path.parents:
        if (parent.parent / f"{parent.name}-audit" / "manifest.jsonl").is_file():
            raise UsageError(f"{path} is in {parent}, an output folder of `remove`, but originals are shown there: choose another")


def _datasets(run: _Run, train: Sequence[Sample], stop: Sequence[Sample]):
    """Training dataset, and the one that chooses the epoch, None without `stop`."""
    names, size = tuple(run.card["classes"]), _image_size(run)
    if run.recipe.window:
        scales = functools.partial(detect.scales, size=size, tiling=detect.Tiling.of_card(run.card))
        train_set: Any = windows.WindowDataset(
            [list(train)], names, window=run.recipe.window, length=run.recipe.repeat * len(train),
            positive_share=POSITIVE_SHARE, scale_range=JITTER, scales=scales, keep_decoded=True,
        )
    else:
        train_set = windows.WholeDataset(list(train), names, size=size, repeat=run.recipe.repeat, varied=True)
    return train_set, windows.WholeDataset(list(stop), names, size=size) if stop else None


def _image_size(run: _Run) -> int:
    return int(run.recipe.image_size or run.card["image_size"])


def _trained(run: _Run, part: Fold, place: Path, *, stop_after: int | None = None) -> Path:
    """The ONNX file of one training, with its card; made only if it is not there.

    Where the share of tuned weights is to be chosen and the weights it starts from make no error on the images, there is nothing
    to learn from them: those weights are the result.
    """
    onnx, samples = place / "tuned.onnx", (*part.train, *part.stop)
    if (place / "done").is_file():
        return onnx
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    before = _base_errors(run, samples)
    if before == (0, 0):
        run.say(f"training {place.name}: left out, the weights it starts from make no error on its {len(samples)} images")
        return _finish(run, place, run.base, 0, 0.0)
    run.say(f"training {place.name}: {len(part.train)} images, {len(part.stop)} to choose the epoch")
    train_set, stop_set = _datasets(run, part.train, part.stop)
    recipe = run.recipe
    chosen: list[int] = []

    def report_epoch(trainer) -> None:
        score = f": mAP-50 {trainer.metrics['metrics/mAP50(B)']:.3f} on those" if stop_set is not None else ""
        run.say(f"  epoch {trainer.epoch + 1} of at most {stop_after or recipe.epochs}{score}")

    with training.quieter():
        best = training.fit(
            train_set, stop_set, place, model=str(run.base), class_names=run.card["classes"], image_size=_image_size(run),
            epochs=recipe.epochs, batch=recipe.batch, optimizer=recipe.optimizer, lr0=recipe.lr0, lrf=recipe.lrf,
            cosine=recipe.cosine, momentum=recipe.momentum, weight_decay=recipe.weight_decay, freeze=recipe.freeze,
            patience=recipe.patience, loader_workers=run.loader_workers, seed=run.seed + part.number, device=run.device,
            stop_after=stop_after, callbacks={
                "on_fit_epoch_end": [report_epoch],
                "on_train_end": [lambda trainer: chosen.append(int(trainer.stopper.best_epoch))],
            },
        )
        share, rescorer = (run.recipe.blend, None) if before is None else _best_change(run, place, best, samples, before)
        mixed = training.blend(run.base, best, share, place / "mixed.pt") if share else run.base
        return _finish(run, place, mixed, chosen[0], share, rescorer)


def _finish(run: _Run, place: Path, checkpoint: Path, epochs: int, share: float, rescorer: Path | None = None) -> Path:
    """Write a training's result: checkpoint, ONNX file and card, and that it is done."""
    onnx = place / "tuned.onnx"
    _exported(run, checkpoint, onnx, rescorer)
    (place / "done").write_text(f"{epochs} {share}\n", encoding="utf-8")
    return onnx


def _exported(run: _Run, checkpoint: Path, onnx: Path, rescorer: Path | None = None) -> None:
    training.save_checkpoint(checkpoint, onnx.with_suffix(".pt"))
    if checkpoint == run.base and _image_size(run) == int(run.card["image_size"]):
        shutil.copyfile(run.base.with_suffix(".onnx"), onnx)
    else:
        training.export_onnx(onnx.with_suffix(".pt"), onnx)
    _write_card(run, onnx, rescorer)


def _own_rescorer(run: _Run, onnx: Path) -> Path | None:
    """The rescorer that was taught along with a localizer; None if it runs with the base weights' own."""
    facts = detect.read_card(onnx).get("rescorer")
    return None if facts is None or facts["sha256"] == run.card["rescorer"]["sha256"] else rescore.find(facts, onnx.parent)


def _outcome(onnx: Path) -> tuple[int, float]:
    """Epochs of a finished training, and the share of its weights in the result."""
    epochs, share = (onnx.parent / "done").read_text(encoding="utf-8").split()
    return int(epochs), float(share)


def _best_change(
    run: _Run, place: Path, best: Path, samples: Sequence[Sample], before: tuple[int, int]
) -> tuple[float, Path | None]:
    """The share of tuned weights, and the rescorer to go with it if not the base weights' own, with the fewest errors on some
    images, see `SHARES`."""
    taught = _taught_rescorer(run, place, best, samples)
    found: list[tuple[int, int, float, bool]] = [(*before, 0.0, False)]
    for share in (0.0, *SHARES):
        trial = place / f"share-{share}"
        trial.mkdir()
        mixed = training.blend(run.base, best, share, trial / "mixed.pt") if share else run.base
        _exported(run, mixed, trial / "trial.onnx")
        for with_taught in (False, True)[not share : 1 + (taught is not None)]:
            if with_taught:
                _write_card(run, trial / "trial.onnx", taught)
            if min(found)[:2] != (0, 0):  # or else no greater change is better
                found.append((*_errors(run, trial / "trial.onnx", samples), share, with_taught))
        shutil.rmtree(trial)
        if min(found)[:2] == (0, 0):
            break
    trials = ", ".join(f"{s:g}{' with the rescorer taught' if t else ''}: {m} and {f}" for m, f, s, t in found)
    run.say(f"  misses and false boxes by share of tuned weights: {trials}")
    _, _, share, with_taught = min(found)
    return share, taught if with_taught else None


def _taught_rescorer(run: _Run, place: Path, best: Path, samples: Sequence[Sample]) -> Path | None:
    """The base weights' rescorer, taught on what the localizer proposes in some images before and after its own tuning; None
    where there is no rescorer, or nothing to tell apart."""
    from . import rescoring

    if not run.card.get("rescorer"):
        return None
    trial = place / "proposals"
    trial.mkdir()
    found = []
    for name, checkpoint in (("base", run.base), ("tuned", best)):
        onnx = trial / f"{name}.onnx"
        _exported(run, checkpoint, onnx)
        card = json.loads(onnx.with_suffix(".json").read_text(encoding="utf-8"))
        training.rewrite_card(onnx, {k: v for k, v in card.items() if k not in ("rescorer", "calibration", "beside_sign")})
        rng = np.random.default_rng(run.seed)
        try:
            found.append(rescoring.gather(detect.load_detector(onnx, device="cpu"), [samples], rng))
        except UsageError:  # its proposals are all markings, or none are
            continue
    if not found:
        run.say("  the second network stays as it is: the localizer's proposals are all markings, or none are")
        return None
    target = place / "rescorer.onnx"
    rescoring.tune(rescore.find(run.card["rescorer"], run.base.parent), rescoring.Examples.joined(found), target, seed=run.seed)
    shutil.rmtree(trial)
    return target


def _errors(run: _Run, onnx: Path, samples: Sequence[Sample]) -> tuple[int, int]:
    """Elements that a localizer misses on some images at its threshold, and its boxes on nothing."""
    detector = detect.load_detector(onnx, device="cpu" if run.device == "cpu" else "auto")
    counts = (0, 0)
    for sample in samples:
        found = detector(windows.read_grey(sample.path))
        here = len(operating.missed(found, sample.annotation)), len(operating.false_boxes(found, sample.annotation))
        counts = counts[0] + here[0], counts[1] + here[1]
    return counts


def _note_errors(run: _Run, parts: Sequence[Fold]) -> None:
    """Write down what the weights it starts from do wrong on each image; every fold looks it up."""
    target = run.work / "base-errors.json"
    if not target.is_file():
        samples = {_picture_id(s): s for part in parts for s in (*part.train, *part.stop, *part.held_out)}
        errors = {name: _errors(run, run.base.with_suffix(".onnx"), [sample]) for name, sample in samples.items()}
        target.write_text(json.dumps(errors), encoding="utf-8")


def _base_errors(run: _Run, samples: Sequence[Sample]) -> tuple[int, int] | None:
    """What `_note_errors` wrote down of some images, summed; None where the share is not to be chosen."""
    if run.recipe.blend is not None:
        return None
    errors = json.loads((run.work / "base-errors.json").read_text(encoding="utf-8"))
    rows = [errors[_picture_id(sample)] for sample in samples]
    return sum(row[0] for row in rows), sum(row[1] for row in rows)


def _write_card(run: _Run, onnx: Path, rescorer: Path | None = None, **extra) -> Path:
    """A card like the base weights', but for a rescorer of its own, which goes beside it. The threshold is one of calibrated
    scores, so the calibration goes with it. Whole-image training at a size of its own is also looked at so: no tiles."""
    names = ("calibration", "beside_sign", "rescorer", *(("tiling",) if run.recipe.window else ()))
    carried = {name: run.card[name] for name in names if run.card.get(name)}
    if rescorer is None:
        rescore.carry(run.card, run.base.parent, onnx.parent)
    else:
        own = shutil.copyfile(rescorer, onnx.with_name(f"{onnx.stem}-rescorer.onnx"))
        carried["rescorer"] = {**run.card["rescorer"], "file": own.name, "sha256": training.sha256(own)}
    return training.write_card(
        onnx, arch=str(run.card.get("architecture", "unknown")), class_names=run.card["classes"], image_size=_image_size(run),
        threshold=float(run.card["threshold"]), **carried, **extra,
    )


def _last_training(run: _Run, parts: Sequence[Fold], tuned: Sequence[Path]) -> Path:
    """Train on every image, for the median number of epochs that the folds chose, of those that were trained."""
    chosen = [epochs for epochs, _ in map(_outcome, tuned) if epochs] or [0]
    everything = (*parts[0].train, *parts[0].stop, *parts[0].held_out)
    whole = Fold(len(parts), tuple(sorted(everything, key=lambda s: s.path.name)), (), ())
    return _trained(run, whole, run.work / "final", stop_after=max(1, math.ceil(statistics.median(chosen))))


def _measured(run: _Run, part: Fold, onnx: Path, stage: str) -> list[dict[str, Any]]:
    """One row a held-out image: its name, its counts and its picture; measured only if that was not done."""
    done = run.work / f"{stage}-{part.number}.json"
    if done.is_file():
        return json.loads(done.read_text(encoding="utf-8"))
    run.say(f"measuring {stage}, fold {part.number}: {len(part.held_out)} images")
    cleaner = Cleaner(detect.load_detector(onnx, device="cpu" if run.device == "cpu" else "auto"), run.reader, run.policy)
    rows = [measure(sample, cleaner, run.work / "pictures" / f"{_picture_id(sample)}-{stage}.png") for sample in part.held_out]
    temporary = done.with_suffix(".new")
    temporary.write_text(json.dumps(rows), encoding="utf-8")
    os.replace(temporary, done)
    return rows


def _picture_id(sample: Sample) -> str:
    return hashlib.sha256(sample.path.name.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _publish(
    run: _Run, parts: Sequence[Fold], profile: site.SiteProfile, final: Path, before: list, after: list
) -> dict[str, Any]:
    """Write everything beside `out`; the work folder goes last, so that an interrupted run can be taken up until then."""
    old, new = [row for rows in before for row in rows], [row for rows in after for row in rows]
    card = _placed(run, final, _facts(run, parts, final, old, new))
    finetune_report.write(run.report, run.work / "pictures", card, [list(pair) for pair in zip(old, new)])
    site.write(run.out.with_suffix(".toml"), site.SiteProfile(run.out.with_suffix(".onnx"), profile.threshold, profile.keep))
    shutil.rmtree(run.work)
    return card


def _placed(run: _Run, final: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Write checkpoint, ONNX file and card of a finished training to `out` and beside it; returns the card."""
    onnx = run.out.with_suffix(".onnx")
    training.save_checkpoint(final.with_suffix(".pt"), run.out)
    shutil.copyfile(final, onnx)
    card = _write_card(run, onnx, _own_rescorer(run, final), checkpoint=run.out.name, checkpoint_sha256=training.sha256(run.out), **facts)
    return json.loads(card.read_text(encoding="utf-8"))


def _facts(run: _Run, parts: Sequence[Fold], final: Path, old: list, new: list) -> dict[str, Any]:
    """What the card says of where the weights come from and how they were measured. No names of images or patients."""
    crossed = len(parts) > 1
    trained_on = (*parts[0].train, *parts[0].stop, *parts[0].held_out) if crossed else parts[0].train
    return _origin(run, trained_on, final, [run.seed + k for k in range(len(parts) + crossed)]) | {
        "metrics": {
            "method": f"{len(parts)}-fold cross-validation by patient" if crossed else "the val rows of split.csv",
            "images": len(new), "keep": list(run.policy.keep), "held": {"before": total(old).held, "after": total(new).held},
            **metrics.compare(total(old), total(new)),
        },
    }


def _origin(run: _Run, trained_on: Sequence[Sample], final: Path, seeds: list[int]) -> dict[str, Any]:
    """What the card says of where the weights come from. No names of images or patients."""
    epochs, share = _outcome(final)
    return {
        "base": {
            "name": str(run.card.get("name", run.base.stem)), "sha256": training.sha256(run.base), "onnx_sha256": run.card["sha256"],
        },
        "data": {"images": len(trained_on), "patients": len({s.patient for s in trained_on})},
        "recipe": {**asdict(run.recipe), "flips": False, "trained_epochs": epochs, "share": share, "rescorer_taught": _own_rescorer(run, final) is not None},
        "seeds": seeds,
    }
