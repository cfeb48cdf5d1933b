"""`markerremover finetune`: parse, call, print."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..training.recipes import RECIPES, Recipe

#: Option that changes one value of the recipe -> its type, its text in --help.
RECIPE_OPTIONS = {
    "epochs": (int, "highest number of epochs"), "repeat": (int, "windows per epoch and training image"), "batch": (int, "windows per step"),
    "lr0": (float, "first learning rate"), "lrf": (float, "last learning rate, as a share of the first"),
    "freeze": (int, "number of first layers that are not trained"),
    "blend": (float, "share of the tuned weights in the result, the rest is of the weights it started from; by default the best share is determined"),
    "drawn": (int, "drawn films of the site's styles, and as many with other annotations, for each training image; 0 for none"),
    "patience": (int, "stop after this many epochs without gain on held-out images; 0 never"),
}


def add_finetune_parser(subparsers) -> None:
    """Add the `finetune` subcommand; it sets `run` to a function of the parsed arguments that returns an exit code."""
    parser = subparsers.add_parser(
        "finetune", help="fine-tune the localizer for a new site and measure it (needs the extra `train`)",
        description="Fine-tune on labelled radiographs of a new site (about 20), measure before and after on images that were held "
        "out, and write OUT.pt, OUT.onnx, OUT.json (card), OUT.toml (site profile) and OUT-report/ (shows originals).",
    )
    add = parser.add_argument
    add("site", type=Path, metavar="SITE_DIR",
        help="folder with images/ (PNG, JPEG, TIFF) and LabelMe files in annotations/, perhaps split.csv")
    add("-o", "--out", type=Path, required=True, metavar="OUT.pt", help="the fine-tuned checkpoint; the rest is written beside it")
    add("--weights", type=Path, metavar="FILE.pt",
        help="checkpoint to start from, its .onnx and card beside it (default: weights/detector.pt of a checkout)")
    add("--keep", default="L,R,LT,RT,LEFT,RIGHT", metavar="MARKERS",
        help="laterality markers that are retained, such as D,I or X=left,Y=right, or `none` (default: %(default)s)")
    add("--folds", type=int, default=5,
        help="folds of the cross-validation, by patient; 0 holds out the val rows of split.csv (default: %(default)s)")
    add("--one-image-a-patient", action="store_true",
        help="every image has its own patient; by default the patient is from split.csv, the DICOM header that `annotate` read, or the name up to _")
    add("--source", type=Path, action="append", default=[], metavar="DIR",
        help="labelled folder of another site, such as one that the weights learnt from; its training part is mixed in; may be repeated")
    add_training_options(parser)
    add("--resume", action="store_true", help="continue an interrupted run; finished folds are not trained again")
    parser.set_defaults(run=_run)


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of training; `recipe_of` reads the recipe from them."""
    add = parser.add_argument
    add("--recipe", choices=("fast", "published"), default="fast",
        help="fast: windows, minutes; published: Khosravi et al. 2023, whole images, hours on a CPU (default: %(default)s)")
    for name, (kind, text) in RECIPE_OPTIONS.items():
        add(f"--{name}", type=kind, help=f"{text} (default: the recipe's)")
    add("--device", default="cpu", help="cpu or a CUDA device number, for training (default: %(default)s)")
    add("--loader-workers", type=int, default=1, help="processes that cut windows (default: %(default)s)")
    add("--seed", type=int, default=0, help="seed of every random choice (default: %(default)s)")


def recipe_of(args: argparse.Namespace) -> Recipe:
    """The recipe, with the values changed on the command line."""
    changes = {name: getattr(args, name) for name in RECIPE_OPTIONS if getattr(args, name) is not None}
    return replace(RECIPES[args.recipe], **changes)


def _run(args: argparse.Namespace) -> int:
    import functools

    from ..site_profile import parse_markers
    from ..training.finetune import finetune

    card = finetune(
        args.site, args.out, weights=args.weights, keep=parse_markers(args.keep), recipe=recipe_of(args),
        folds=args.folds, seed=args.seed, device=args.device, loader_workers=args.loader_workers, resume=args.resume,
        one_image_a_patient=args.one_image_a_patient, source=args.source, say=functools.partial(print, flush=True),
    )
    print("\n".join(lines(card)))
    print(f"for `remove --site`: {args.out.with_suffix('.toml')}")
    print(f"report: {args.out.with_name(args.out.stem + '-report') / 'index.html'} (shows originals: keep it with them)")
    return 0


def lines(card: dict) -> list[str]:
    """The measurement of a card as text, one line per rate."""
    from ..evaluation.metrics import RATES, in_words

    measured = card["metrics"]
    text = [f"{measured['method']}, {measured['images']} held-out images, exact 95 % intervals, P of Fisher's exact test:"]
    for name in RATES:
        row = measured[name]
        p = "" if row["p_fisher"] is None else f", P = {row['p_fisher']:.4f}"
        text.append(f"  {name}: before {in_words(row['before'])}, after {in_words(row['after'])}{p}")
    taught = card["recipe"].get("rescorer_taught", False)
    if taught:
        text.append(f"the second network was taught as well: keep {Path(card['rescorer']['file']).name} beside the weights")
    elif card["recipe"]["share"] == 0:
        text.append("the weights it started from were kept: nothing tuned made fewer errors on the labelled images")
    worse = [name for name in RATES if _worse(name, measured[name])]
    if worse:
        text.append(f"NOT BETTER in {', '.join(worse)}: consider keeping the weights it started from")
    return text


def _worse(name: str, row: dict) -> bool:
    """Whether a rate is worse after than before; for false positives lower is better, for others higher."""
    old, new = row["before"]["value"], row["after"]["value"]
    if old is None or new is None:
        return False
    return new > old if name == "false-positive rate" else new < old
