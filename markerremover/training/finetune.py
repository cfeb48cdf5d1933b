"""Fine-tunes the localizer for a new site, and measures the effect by cross-validation.

The patients are divided into folds. Each fold is held out once: the localizer is fine-tuned on the others, a part of which only decides
when to stop, and the whole pipeline runs on the held-out images before and after. Finally one localizer is fine-tuned on all images, for
the median number of epochs of the folds. No measured image was trained on or used to choose an epoch.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from .. import __version__, site_profile
from ..detection import localizer
from ..errors import AnnotationError, UsageError
from ..evaluation import metrics
from ..formats import read_apart
from ..inference.shipped_weights import default_weights
from ..inference.weights_card import read_card
from ..labels import labelled_folder
from ..labels.labelled_folder import Sample
from ..records import MARKER, Policy
from ..redaction.cleaning import with_localizer
from ..system.files import sha256_file
from ..system.steps import Steps
from ..system.wording import counted
from . import checkpoints, finetune_report, train_localizer
from .folds import Fold, plan, whole
from .measure import measure, total
from .one_training import (
    MEASURE,
    TRAIN,
    Run,
    changed,
    errors_of,
    note_errors,
    outcome,
    own_rescorer,
    picture_id,
    trained,
    trial_count,
    tried,
    write_card,
)
from .recipes import RECIPES, Recipe
from .site import changes


def passes(recipe: Recipe, folds: Sequence[Fold]) -> int:
    """Highest number of training images (or windows) in all trainings, including the last one."""
    count = sum(len(fold.train) for fold in folds)
    if len(folds) > 1:
        count += len(folds[0].train) + len(folds[0].stop) + len(folds[0].held_out)
    return recipe.epoch_passes(count) * recipe.epochs


def finetune(
    folder: Path | str, out: Path | str, *, weights: Path | str | None = None, keep: Mapping[str, str] | None = None,
    recipe: Recipe = RECIPES["fast"], folds: int = 5, seed: int = 0, device: str = "cpu", loader_workers: int = 1,
    resume: bool = False, one_image_a_patient: bool = False, source: Sequence[Path | str] = (), say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Fine-tune for the site of a LabelMe folder and measure before and after on images that were held out.

    Beside `out`, a `.pt`, it writes the same name as `.onnx`, `.json` (the card, with the measurement), `.toml` (a site
    profile) and `-report/` (a page with pictures of the originals: as confidential as those).

    Args:
        folder: `images/` (PNG, JPEG, TIFF) and `annotations/`, optionally split.csv; see `labelled_folder.load_samples`.
        weights: the `.pt` to start from, with its `.onnx` and card beside it; the shipped one by default.
        keep: laterality marker -> "left" or "right", those that are retained; L, R and their words by default.
        recipe: see `Recipe` and `RECIPES`.  folds: see `folds.plan`.
        seed: of every random choice; fold k uses seed + k, the last training the next one.
        device: "cpu" or a CUDA device number, for training.
        resume: continue an interrupted run of the same settings; finished folds are not trained again.
        one_image_a_patient: see `labelled_folder.load_samples`.
        source: labelled folders of other sites, such as those that the weights learnt from; the training part of each is learnt from, too.
        say: called with progress, one line at a time.

    Returns:
        The content of the card.

    Raises:
        UsageError: weights, folder, target or a setting is invalid; an extra or the OCR engine is missing.
        AnnotationError: labels are missing, malformed, or do not fit their image.
    """
    folder, out = Path(folder), Path(os.path.abspath(out))
    base, card = base_of(weights)
    profile = site_profile.SiteProfile(threshold=float(card["threshold"]))
    if keep is not None:
        profile = replace(profile, keep=keep)
    parts = plan(folder, folds, early_stop=recipe.patience > 0, one_image_a_patient=one_image_a_patient)
    others = tuple(sample for place in source for sample in labelled_folder.load_samples(Path(place), "train"))
    recipe = replace(recipe, mixed=bool(others))
    _check_apart_from(others, parts)
    reader = None
    if profile.keep:
        from ..second_pass.tesseract import open_reader

        reader = open_reader()
    run = Run(out, base, card, recipe, Policy(keep=tuple(profile.keep)), reader, seed, device, loader_workers, say, others)
    _check_samples(parts)
    _prepare(run, _fingerprint(run, parts, profile), resume)
    held_out = sum(len(part.held_out) for part in parts)
    choosing = recipe.blend is None and len(parts) > 1
    measurements = held_out * (2 + choosing * trial_count(run))
    run = replace(run, steps=Steps({TRAIN: passes(recipe, parts), MEASURE: measurements}, 3 * len(parts) + (len(parts) > 1)))
    say(f"{counted(len(parts), 'fold')} of {counted(held_out, 'held-out image')}, at most {counted(passes(recipe, parts), 'image pass', 'image passes')}; "
        "each image is measured before and after, by weights that were not trained on it")
    if recipe.blend is None:
        say("the errors of the weights it starts from are counted on every image")
        note_errors(run, parts)
    old = [_measured(run, part, base.with_suffix(".onnx"), "before") for part in parts]
    change, places = None, [run.work / f"fold-{part.number}" for part in parts]
    if choosing:
        tables = [tried(run, part, place, errors_of(total(rows))) for part, place, rows in zip(parts, places, old)]
        by_others = [changes.chosen([table for table in tables if table is not own]) for own in tables]
        tuned = [changed(run, part, place, other) for part, place, other in zip(parts, places, by_others)]
        change = changes.chosen(tables)
        _tell_choice(run, tables, change)
    else:
        tuned = [trained(run, part, place) for part, place in zip(parts, places)]
    new = [_measured(run, part, onnx, "after") for part, onnx in zip(parts, tuned)]
    final = _last_training(run, parts, tuned, change) if len(parts) > 1 else tuned[0]
    return _publish(run, parts, profile, final, old, new)


def tune(
    samples: Sequence[Sample], out: Path | str, *, weights: Path | str | None = None, recipe: Recipe = RECIPES["fast"], seed: int = 0,
    device: str = "cpu", loader_workers: int = 1, resume: bool = False, say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Fine-tune on all of some samples without measuring; with patience a part of the patients only chooses the epoch.

    Beside `out`, a `.pt`, it writes the same name as `.onnx` and `.json` (the card), and a rescorer if one was trained.

    Args: see `finetune`.

    Returns:
        The content of the card.

    Raises:
        UsageError, AnnotationError: see `finetune`.
    """
    base, card = base_of(weights)
    run = Run(Path(os.path.abspath(out)), base, card, recipe, Policy(keep=()), None, seed, device, loader_workers, say)
    part = whole(samples, early_stop=recipe.patience > 0)
    _check_samples([part])
    _prepare(run, _fingerprint(run, [part], site_profile.SiteProfile(keep={})), resume)
    run = replace(run, steps=Steps({TRAIN: passes(recipe, [part])}))
    if recipe.blend is None:
        say("the errors of the weights it starts from are counted on every image")
        note_errors(run, [part])
    final = trained(run, part, run.work / "final")
    final_card = _placed(run, final, _origin(run, (*part.train, *part.stop), final, [seed]))
    shutil.rmtree(run.work)
    return final_card


def base_of(weights: Path | str | None) -> tuple[Path, dict]:
    """The checkpoint to start from, the shipped one by default, and the card of its ONNX file.

    Raises:
        UsageError: there is none, or its classes are not supported.
    """
    base = (Path(weights) if weights is not None else default_weights()).with_suffix(".pt")
    if not base.is_file():
        hint = ": installed packages carry no checkpoint, name one with --weights (weights/detector.pt of a checkout)"
        raise UsageError(f"{base}: there is no such checkpoint to start from{hint if weights is None else ''}")
    card = read_card(base.with_suffix(".onnx"))
    if tuple(card["classes"]) not in (train_localizer.CLASS_NAMES, (MARKER,)):
        raise UsageError(f"{base}: classes are {card['classes']}, allowed are {list(train_localizer.CLASS_NAMES)} and ['marker']")
    return base, card


def _check_samples(parts: Sequence[Fold]) -> None:
    """Check that every label file fits its image, and that every image has one frame.

    Raises:
        AnnotationError: size differs.  UsageError: several frames.
    """
    for sample in {s.path: s for part in parts for s in (*part.train, *part.stop, *part.held_out)}.values():
        frames, shape_hw = read_apart.size(sample.path)
        if frames != 1:
            raise UsageError(f"{sample.path} has {frames} frames, allowed is one")
        if shape_hw != sample.annotation.shape_hw:
            raise AnnotationError(
                f"{sample.path} has {shape_hw} rows and columns, its labels have {sample.annotation.shape_hw}"
            )


def _check_apart_from(others: Sequence[Sample], parts: Sequence[Fold]) -> None:
    """Check that no image of the site is among those of other sites: it would be measured by weights that learnt from it.

    Raises:
        UsageError: one is.
    """
    own = {sha256_file(s.path) for part in parts for s in (*part.train, *part.stop, *part.held_out)} if others else set()
    for sample in others:
        if sha256_file(sample.path) in own:
            raise UsageError(f"{sample.path} is an image of the site itself, which may not be learnt from where it is measured")


def _fingerprint(run: Run, parts: Sequence[Fold], profile: site_profile.SiteProfile) -> str:
    """Hash of everything that decides the result; an interrupted run is resumed only with the same hash."""
    samples = [
        [[s.path.name, s.patient, sha256_file(s.path), [asdict(e) for e in s.annotation.elements]] for s in group]
        for part in parts for group in (part.train, part.stop, part.held_out)
    ]
    facts = {
        "version": __version__, "recipe": asdict(run.recipe), "seed": run.seed, "keep": dict(profile.keep), "samples": samples,
        "source": [[s.path.name, sha256_file(s.path), [asdict(e) for e in s.annotation.elements]] for s in run.source],
        "base": [sha256_file(run.base), run.card["sha256"]], "device": run.device,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _prepare(run: Run, fingerprint: str, resume: bool) -> None:
    """Create the work folder, or resume that of an interrupted run.

    Raises:
        UsageError: the target is invalid or exists, or the run to resume had other settings or does not exist.
    """
    if run.out.suffix != ".pt":
        raise UsageError(f"{run.out}: the target must end in .pt")
    check_apart(run.out)
    if run.out.resolve() == run.base.resolve():
        raise UsageError(f"{run.out} is the checkpoint to start from: choose another name")
    settings_file = run.work / "settings.sha256"
    if settings_file.is_file():
        if not resume:
            raise UsageError(f"{run.work} is of an interrupted run: use --resume to continue it, or remove it")
        if settings_file.read_text(encoding="utf-8").strip() != fingerprint:
            raise UsageError(f"{run.work} is of a run with other settings, images or labels: remove it, or choose another target")
        return
    targets = [*(run.out.with_suffix(suffix) for suffix in (".pt", ".onnx", ".json", ".toml")), run.out.with_name(f"{run.out.stem}-rescorer.onnx")]
    existing = [path for path in (*targets, run.report, run.work) if path.exists()]
    if existing:
        raise UsageError(f"{existing[0]} is there already: choose another target, or remove it")
    if resume:
        raise UsageError(f"{run.work}: there is nothing to resume")
    train_localizer.require()
    train_localizer.check_settings(loader_workers=run.loader_workers, seed=run.seed, device=run.device)
    checkpoints.check_freeze(run.recipe.freeze, checkpoints.layers_of(run.base))
    (run.work / "pictures").mkdir(parents=True, mode=0o700)
    os.chmod(run.work, 0o700)
    settings_file.write_text(fingerprint + "\n", encoding="utf-8")


def check_apart(path: Path) -> None:
    """Check that a path for originals is not in an output folder of `remove`.

    Raises:
        UsageError: it is in one.
    """
    for parent in path.parents:
        if (parent.parent / f"{parent.name}-audit" / "manifest.jsonl").is_file():
            raise UsageError(f"{path} is in {parent}, an output folder of `remove`, but originals are shown there: choose another")


def _tell_choice(run: Run, tables: Sequence[changes.Trials], change: changes.Change) -> None:
    """Say what of the last training is kept, and by which errors on the held-out images of all folds."""
    before, after = (changes.summed(tables, each) for each in (changes.BASE, change))
    with_rescorer = " with the rescorer taught" if change.taught else ""
    run.say(
        f"on the held-out images of all folds share {change.share:g} of the tuned weights{with_rescorer} is best: {after.missed} missed, {after.lost} lost, "
        f"{after.held} held, {after.false} false; the weights it starts from: {before.missed}, {before.lost}, {before.held}, {before.false}")


def _last_training(run: Run, parts: Sequence[Fold], tuned: Sequence[Path], change: changes.Change | None) -> Path:
    """Train on every image, for the median number of epochs of the folds that were trained, and keep of it what the folds chose."""
    epoch_counts = [epochs for epochs, _ in map(outcome, tuned) if epochs] or [0]
    everything = (*parts[0].train, *parts[0].stop, *parts[0].held_out)
    all_images = Fold(len(parts), tuple(sorted(everything, key=lambda s: s.path.name)), (), ())
    return trained(run, all_images, run.work / "final", stop_after=max(1, math.ceil(statistics.median(epoch_counts))), change=change)


def _measured(run: Run, part: Fold, onnx: Path, stage: str) -> list[dict[str, Any]]:
    """One row per held-out image: its name, counts and picture; read from the work folder if measured before."""
    rows_file = run.work / f"{stage}-{part.number}.json"
    if rows_file.is_file():
        run.steps.skip(MEASURE, len(part.held_out))
        run.say(run.steps.begin(f"fold {part.number} was measured {stage} the training already"))
        return json.loads(rows_file.read_text(encoding="utf-8"))
    run.say(run.steps.begin(f"fold {part.number} is measured {stage} the training: {counted(len(part.held_out), 'image')}"))
    cleaner = with_localizer(localizer.load_detector(onnx, device="cpu" if run.device == "cpu" else "auto"), run.reader, run.policy)
    rows = []
    for sample in part.held_out:
        rows.append(measure(sample, cleaner, run.work / "pictures" / f"{picture_id(sample)}-{stage}.png"))
        run.steps.work(MEASURE)
    temporary = rows_file.with_suffix(".new")
    temporary.write_text(json.dumps(rows), encoding="utf-8")
    os.replace(temporary, rows_file)
    return rows


def _publish(
    run: Run, parts: Sequence[Fold], profile: site_profile.SiteProfile, final: Path, before: list, after: list
) -> dict[str, Any]:
    """Write everything beside `out`; the work folder is deleted last, so that the run can be resumed until then."""
    old, new = [row for rows in before for row in rows], [row for rows in after for row in rows]
    card = _placed(run, final, _facts(run, parts, final, old, new))
    finetune_report.write(run.report, run.work / "pictures", card, [list(pair) for pair in zip(old, new)])
    site_profile.write(run.out.with_suffix(".toml"), site_profile.SiteProfile(run.out.with_suffix(".onnx"), profile.threshold, profile.keep))
    shutil.rmtree(run.work)
    return card


def _placed(run: Run, final: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Write checkpoint, ONNX file and card of a finished training to `out` and beside it; returns the card."""
    onnx = run.out.with_suffix(".onnx")
    checkpoints.save_checkpoint(final.with_suffix(".pt"), run.out)
    shutil.copyfile(final, onnx)
    card = write_card(run, onnx, own_rescorer(run, final), checkpoint=run.out.name, checkpoint_sha256=sha256_file(run.out), **facts)
    return json.loads(card.read_text(encoding="utf-8"))


def _facts(run: Run, parts: Sequence[Fold], final: Path, old: list, new: list) -> dict[str, Any]:
    """Origin and measurement of the weights for the card, without names of images or patients."""
    crossed = len(parts) > 1
    trained_on = (*parts[0].train, *parts[0].stop, *parts[0].held_out) if crossed else parts[0].train
    return _origin(run, trained_on, final, [run.seed + k for k in range(len(parts) + crossed)]) | {
        "metrics": {
            "method": f"{len(parts)}-fold cross-validation by patient" if crossed else "the val rows of split.csv",
            "images": len(new), "keep": list(run.policy.keep), "held": {"before": total(old).held, "after": total(new).held},
            **metrics.compare(total(old), total(new)),
        },
    }


def _origin(run: Run, trained_on: Sequence[Sample], final: Path, seeds: list[int]) -> dict[str, Any]:
    """Origin of the weights for the card, without names of images or patients."""
    epochs, share = outcome(final)
    return {
        "base": {
            "name": str(run.card.get("name", run.base.stem)), "sha256": sha256_file(run.base), "onnx_sha256": run.card["sha256"],
        },
        "data": {"images": len(trained_on), "patients": len({s.patient for s in trained_on})},
        "recipe": {**asdict(run.recipe), "flips": False, "trained_epochs": epochs, "share": share, "rescorer_taught": own_rescorer(run, final) is not None},
        "seeds": seeds,
    }
