"""One round: gather, train on everything gathered, compare with the weights in use on the validation set, adopt or not.

Each round starts from the weights that the site began with, not from the latest: the result then depends on the pictures alone, not on
their order, and does not drift over many rounds.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import __version__, site_profile
from ..errors import UsageError
from ..evaluation.results import Row
from ..inference.card_files import identity
from ..inference.weights_card import read_card
from ..run import shards
from ..system.files import sha256_file
from ..system.wording import counted
from ..training import finetune, localizer_files
from ..training.folds import whole
from ..training.recipes import RECIPES, Recipe
from . import adoption_rule, gathering, picture_store, score_weights, site_folder, validation
from .gathering import Gathered
from .picture_store import Picture
from .site_folder import Say, SiteFolder

PASS_S, TRIAL_S, LOOK_S = 0.066, 1.5, 1.5  # seconds on two CPU cores per training window, per training picture for all trials, and per picture in the pipeline
HOW = {"given": "a given folder", "dealt": "dealt by patient from the gathered pictures"}


@dataclass(frozen=True)
class ImproveOptions:
    """Options of a round.

    validation: LabelMe folder that becomes the validation set, once; None deals a set from the gathered pictures if there is none yet.
    weights: checkpoint that the site starts from, its `.onnx` and card beside it; None takes the shipped one. First round only.
    keep: laterality marker -> "left" or "right"; None takes L, R and their words. First round only; later in the site's profile.
    recipe, seed, device, loader_workers: as in `finetune`.  dry_run: report the plan and change nothing.
    """

    validation: Path | None = None
    weights: Path | None = None
    keep: Mapping[str, str] | None = None
    recipe: Recipe = RECIPES["fast"]
    seed: int = 0
    device: str = "cpu"
    loader_workers: int = 1
    dry_run: bool = False


@dataclass(frozen=True)
class Plan:
    """The inputs of a round.

    training, validation: the future sets.  how: origin of the validation set, "fixed", "given" or "dealt".
    start: checkpoint to start from.  key: hash of everything that decides the result of the training.
    """

    gathered: Gathered
    training: tuple[Picture, ...]
    validation: tuple[Picture, ...]
    how: str
    start: Path
    key: str


def improve(
    path: Path | str, sources: Sequence[Path] = (), *, options: ImproveOptions = ImproveOptions(),
    train: Callable[..., dict[str, Any]] = finetune.tune, score: score_weights.Score = score_weights.rows, say: Say = lambda line: None,
) -> dict[str, Any] | None:
    """One round of a site.

    Args:
        path: the site's folder, created by the first round.
        sources: audits whose review was applied, or LabelMe folders; () trains on the pictures gathered before.
        train, score: as `finetune.tune` and `score_weights.rows`.
        say: called with progress, one line at a time.

    Returns:
        The row of the history; None for a dry run, and where an earlier round had the same inputs.

    Raises:
        UsageError: an option, a folder or a set is invalid; nothing was adopted.  AnnotationError: annotations are malformed.
    """
    folder = site_folder.open_folder(path)
    _check_start(folder, options)
    if options.dry_run:
        _tell(folder, _plan(folder, sources, options), options, say)
        return None
    with shards.exclusive(folder.path):
        if not folder.begun:
            site_folder.begin(folder, options.weights, options.keep)
        site_folder.settle(folder, say)
        validation.settle(folder)
        plan = _gather(folder, sources, options, say)
        earlier_row = next((row for row in site_folder.rows(folder) if row.get("key") == plan.key), None)
        if earlier_row is not None:
            shutil.rmtree(folder.work, ignore_errors=True)
            say(f"nothing new: generation {earlier_row['generation']} learnt from the same pictures with the same settings")
            return None
        return _round(folder, plan, options, train, score, say)


def _check_start(folder: SiteFolder, options: ImproveOptions) -> None:
    """Options of the first round may be repeated, but not changed.

    Raises:
        UsageError: one has changed, or there are no weights to start from.
    """
    base = finetune.base_of(options.weights)[0] if options.weights is not None or not folder.begun else None
    if not folder.begun:
        return
    profile = site_profile.read(folder.profile)
    if options.keep is not None and site_profile.SiteProfile(keep=options.keep).keep != profile.keep:
        raise UsageError(f"{folder.path} has begun with other laterality markers: change them in {folder.profile}")
    if base is not None and sha256_file(base) != sha256_file(site_folder.checkpoint_of_start(folder)):
        raise UsageError(f"{folder.path} has begun with other weights: begin another site folder for these")


def _plan(folder: SiteFolder, sources: Sequence[Path], options: ImproveOptions) -> Plan:
    """Read all inputs; nothing is written.

    Raises:
        UsageError, AnnotationError: see `improve`.
    """
    present, fixed = picture_store.read_stored(folder.training), validation.read(folder)
    provided = [] if options.validation is None else picture_store.read(options.validation)
    if fixed and provided and picture_store.digest(provided) != picture_store.digest(fixed):
        raise UsageError(f"{folder.validation} is fixed: for another validation set begin another site folder")
    gathered = gathering.plan(sources, present, fixed or provided)
    learnt = gathered.training(present)
    if not learnt:
        raise UsageError(f"{folder.path}: there is nothing to learn from; name the audit of a run whose review was applied")
    how, measured = ("fixed", fixed) if fixed else ("given", provided) if provided else ("dealt", validation.deal(learnt))
    if how == "dealt":
        measured_names = {p.name for p in measured}
        learnt = [p for p in learnt if p.name not in measured_names]
    start = site_folder.checkpoint_of_start(folder) if folder.begun else finetune.base_of(options.weights)[0]
    return Plan(gathered, tuple(learnt), tuple(measured), how, start, _key(learnt, start, options))


def _key(learnt: Sequence[Picture], start: Path, options: ImproveOptions) -> str:
    card = read_card(start.with_suffix(".onnx"))
    inputs = [sorted((p.digest, p.patient) for p in learnt), sha256_file(start), identity(card), asdict(options.recipe), options.seed]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def _gather(folder: SiteFolder, sources: Sequence[Path], options: ImproveOptions, say: Say) -> Plan:
    """Apply a plan to the two sets, and read them back."""
    plan = _plan(folder, sources, options)
    _tell_gathered(plan.gathered, say)
    if plan.how == "given":
        validation.check_apart(plan.training, plan.validation)
        validation.fix(folder, plan.validation, HOW["given"])
    gathering.carry_out(plan.gathered, folder.training)
    if plan.how == "dealt":
        validation.fix(folder, plan.validation, HOW["dealt"], [p.name for p in plan.validation])
    learnt, measured = picture_store.read_stored(folder.training), validation.read(folder)
    validation.check_apart(learnt, measured)
    plan = Plan(plan.gathered, tuple(learnt), tuple(measured), "fixed", plan.start, _key(learnt, plan.start, options))
    _tell_sets(folder, plan, options, say)
    return plan


def _round(
    folder: SiteFolder, plan: Plan, options: ImproveOptions, train: Callable[..., dict[str, Any]], score: score_weights.Score, say: Say
) -> dict[str, Any]:
    """Train, compare, decide and store the result; the weights in use change last."""
    number = 1 + max(folder.generations())
    place = folder.work / f"{plan.key}-{__version__}-{options.device}"  # an interrupted round with the same name is resumed
    out = place / f"site-{number:04d}.pt"
    _trained(folder, plan, options, out, train, say)
    onnx, used = out.with_suffix(".onnx"), site_folder.weights_in_use(folder)
    card = read_card(onnx)
    results: dict[str, Any] | None = None
    objections = ["nothing was learnt: they are the weights in use"]
    if identity(card) != identity(read_card(used)):
        results = comparison = _compared(folder, plan, used, onnx, options, score, say)
        objections = adoption_rule.objections(comparison)
        rates = {k: v for k, v in comparison.items() if k != "pictures"}
        counts = asdict(validation.strength(plan.validation))
        localizer_files.rewrite_card(onnx, {**card, "metrics": {"method": "a fixed validation set that was never trained on", **counts, **rates}})
    row = {
        **site_folder.row_of(folder, "round", number, out.stem, card), **_facts(plan, options, used), "results": results,
        "adopted": not objections, "reason": "; ".join(objections) or adoption_rule.reason(results or {}),
    }
    site_folder.put_in_place(folder, place, number, row)
    site_folder.rows(folder, and_write=True)
    if row["adopted"]:
        site_folder.adopt(folder, row)
    shutil.rmtree(folder.work)
    return row


def _trained(folder: SiteFolder, plan: Plan, options: ImproveOptions, out: Path, train: Callable[..., dict[str, Any]], say: Say) -> None:
    """Train into the work folder, resuming an interrupted round of the same pictures and settings."""
    place, unfinished = out.parent, out.with_name(f"{out.stem}-work")
    for path in folder.work.glob("*"):
        if path != place:
            shutil.rmtree(path)
    resume = (unfinished / "settings.sha256").is_file()
    if not resume and out.with_suffix(".json").is_file():
        shutil.rmtree(unfinished, ignore_errors=True)
        say("the training of an interrupted round is done: now it is compared")
        return
    if not resume:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True, mode=0o700)
    train(
        [p.sample for p in plan.training], out, weights=plan.start, recipe=options.recipe, seed=options.seed, device=options.device,
        loader_workers=options.loader_workers, resume=resume, say=say,
    )


def _compared(
    folder: SiteFolder, plan: Plan, used: Path, onnx: Path, options: ImproveOptions, score: score_weights.Score, say: Say
) -> dict[str, Any]:
    policy = site_profile.read(folder.profile).policy()
    results: list[list[Row]] = []
    for name, weights in (("the weights in use", used), ("the new ones", onnx)):
        say(f"judging the validation set with {name}")
        results.append(score(plan.validation, weights, policy, options.device))
    return score_weights.compared(*results)


def _facts(plan: Plan, options: ImproveOptions, used: Path) -> dict[str, Any]:
    """The facts about a round in the history besides its result; without names of files or patients."""
    return {
        "key": plan.key, "started_from": {"generation": 0, "sha256": sha256_file(plan.start)},
        "compared_with": identity(read_card(used)),
        "training": {
            "pictures": len(plan.training), "patients": len({p.patient for p in plan.training}), "sha256": picture_store.digest(plan.training),
            "annotations": sorted(p.digest for p in plan.training),
        },
        "validation": {**asdict(validation.strength(plan.validation)), "sha256": picture_store.digest(plan.validation)},
        "recipe": asdict(options.recipe), "seed": options.seed,
    }


def _tell(folder: SiteFolder, plan: Plan, options: ImproveOptions, say: Say) -> None:
    """Report the plan of a round.

    Raises:
        UsageError: it cannot be carried out.
    """
    if not folder.begun:
        say(f"would make {folder.path}, starting from {plan.start.name}")
    _tell_gathered(plan.gathered, say, "would be ")
    if plan.how != "fixed":
        validation.check_strength(plan.validation)
        say(f"the validation set would be fixed: {HOW[plan.how]}")
    validation.check_apart(plan.training, plan.validation)
    _tell_sets(folder, plan, options, say)
    generations = [row["generation"] for row in site_folder.rows(folder) if row.get("key") == plan.key]
    say(f"nothing new since generation {generations[0]}, so nothing would be trained" if generations else "dry run: nothing was written or trained")


def _tell_gathered(gathered: Gathered, say: Say, would: str = "") -> None:
    replaced = counted(len(gathered.replaced), "annotation")
    say(f"{counted(len(gathered.new), 'picture')} {would}added, {replaced} {would}replaced by later ones, {gathered.same} there already")
    if gathered.reserved:
        say(f"  {gathered.reserved} left out: of the validation set, or of its patients")
    if gathered.stale or gathered.unwritten:
        say(f"  left out: {counted(gathered.stale, 'annotation')} other than in the review, and {counted(gathered.unwritten, 'corrected file')} "
            "without one; `markerremover apply` writes them")


def _tell_sets(folder: SiteFolder, plan: Plan, options: ImproveOptions, say: Say) -> None:
    for name, pictures in (("training", plan.training), ("validation", plan.validation)):
        held = validation.strength(pictures)
        pictures_of = f"{counted(held.pictures, 'picture')} of {counted(held.patients, 'patient')}"
        say(f"{name} set: {pictures_of}, {counted(held.annotations, 'annotation')}, {counted(held.laterality_markers, 'laterality marker')}, "
            f"{counted(held.unmarked, 'picture')} without either")
    held = validation.strength(plan.validation)
    say(f"  even if none of its annotations is newly missed, up to {100 * held.unseen:.0f} % of a site's annotations may be (95 % confidence)")
    part = whole([p.sample for p in plan.training], early_stop=options.recipe.patience > 0)
    count = finetune.passes(options.recipe, [part])
    seconds = count * PASS_S + len(plan.training) * TRIAL_S + 2 * len(plan.validation) * LOOK_S
    has_estimate = options.recipe.window and options.device == "cpu"
    say(f"to train: at most {counted(count, 'image pass', 'image passes')}" + (f", with the comparison about {max(1, round(seconds / 60))} min on two CPU cores" if has_estimate else ""))
