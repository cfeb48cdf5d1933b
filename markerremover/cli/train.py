"""`markerremover train`: parse, call, print."""

from __future__ import annotations

import argparse
import math
import shutil
from pathlib import Path


def add_train_parser(subparsers) -> None:
    """Add the `train` subcommand; it sets `run` to a function of the parsed arguments that returns an exit code."""
    parser = subparsers.add_parser("train", help="train a localizer on LabelMe folders (needs the extra `train`)")
    add = parser.add_argument
    add("data", nargs="+", type=Path, metavar="DATA", help="folder with images/, LabelMe files in annotations/ and perhaps split.csv")
    add("-o", "--out", type=Path, required=True, help="folder for checkpoints, logs, detector.onnx and its card")
    add("--arch", default="yolov8n", help="yolov8n … yolov8x, yolov5n … yolov5x (default: %(default)s)")
    add("--weights", type=Path, help="start from this .pt instead of from scratch")
    add("--shares", help="how often each DATA is drawn, e.g. 0.4,0.6 (default: by number of images)")
    add("--epochs", type=int, default=50, help="(default: %(default)s)")
    add("--hours", type=float, help="time limit, for which the learning rate is scheduled")
    add("--windows-per-epoch", type=int, default=4000, help="training windows per epoch (default: %(default)s)")
    add("--positive-share", type=float, default=0.8, help="share of windows placed around an annotation (default: %(default)s)")
    add("--window", type=int, default=320, help="side of a training window, network pixels (default: %(default)s)")
    add("--image-size", type=int, default=768, help="longer side of whole images, network pixels (default: %(default)s)")
    add("--batch", type=int, default=16, help="windows per step (default: %(default)s)")
    add("--lr0", type=float, default=1.5e-3, help="first learning rate (default: %(default)s)")
    add("--freeze", type=int, default=0, help="number of first layers that are not trained (default: %(default)s)")
    add("--patience", type=int, default=0, help="stop after this many epochs without gain; 0 never (default: %(default)s)")
    add("--classes", default="laterality,marker", help="classes to train; with `marker` alone laterality markers are of that class (default: %(default)s)")
    add("--threshold", type=float, help="operating point for the card (default: chosen for recall on the training images)")
    add("--device", default="cpu", help="cpu or a CUDA device number (default: %(default)s)")
    add("--loader-workers", type=int, default=1, help="processes that cut windows (default: %(default)s)")
    add("--seed", type=int, default=0, help="seed of every random choice (default: %(default)s)")
    add("--mine", type=Path, metavar="ONNX", help="place a quarter of the windows at the errors of this localizer, which is first run on DATA")
    add("--rescorer-passes", type=int, default=400_000, metavar="N",
        help="examples for training the rescorer, which scores each box at full resolution; 0 for none (default: %(default)s)")
    add("--localizer", type=Path, metavar="ONNX", help="train no localizer, only a rescorer for this one; OUT gets a copy")
    add("--resume", action="store_true", help="continue from the last checkpoint in OUT")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from ..errors import UsageError
    from ..training import localizer_files, train_localizer

    try:
        shares = [float(v) for v in args.shares.split(",")] if args.shares else None
    except ValueError:
        raise UsageError(f"--shares is {args.shares!r}, allowed are numbers joined by commas") from None
    if shares and (len(shares) != len(args.data) or not all(0 < share < math.inf for share in shares)):
        raise UsageError(f"--shares is {args.shares}, needs {len(args.data)} positive numbers joined by commas, one for each DATA")
    if args.rescorer_passes < 0:
        raise UsageError(f"--rescorer-passes is {args.rescorer_passes}, allowed is 0 or more")
    if args.threshold is not None and not 0 < args.threshold < 1:
        raise UsageError(f"--threshold is {args.threshold}, allowed is between 0 and 1, both excluded")
    onnx = _copied(args.localizer, args.out) if args.localizer else _localizer(args, shares)
    if args.rescorer_passes:
        from ..training import train_rescorer

        try:
            train_rescorer.train(onnx, args.data, shares=shares, passes=args.rescorer_passes, seed=args.seed)
        except UsageError as error:  # the localizer, which may have taken hours, is usable without it
            print(f"NO SECOND NETWORK: {error}")
    card = train_localizer.fit_operating_point(onnx, args.data)
    if args.threshold is not None:
        card = localizer_files.set_threshold(onnx, args.threshold)
    print(f"threshold {card['threshold']}: {card['operating_point']['at']}")
    print(f"for `remove --weights`: {onnx}")
    return 0


def _copied(localizer: Path, out: Path) -> Path:
    """A localizer's ONNX file, checkpoint and card in another folder, under the same name."""
    from ..errors import UsageError
    from ..inference.weights_card import read_card

    read_card(localizer)
    if (out / localizer.name).exists():
        raise UsageError(f"{out / localizer.name}: exists already; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    for source in (localizer, localizer.with_suffix(".json"), localizer.with_suffix(".pt")):
        if source.is_file():
            shutil.copyfile(source, out / source.name)
    return out / localizer.name


def _localizer(args: argparse.Namespace, shares: list[float] | None) -> Path:
    """Train a localizer; its ONNX file, with a card whose operating point is still to be determined."""
    from ..training import checkpoints, localizer_files, train_localizer

    classes = tuple(args.classes.split(","))
    best = train_localizer.train(
        args.data, args.out, arch=args.arch, weights=args.weights, shares=shares, epochs=args.epochs, hours=args.hours,
        window=args.window, image_size=args.image_size, windows_per_epoch=args.windows_per_epoch,
        positive_share=args.positive_share, batch=args.batch,
        lr0=args.lr0, freeze=args.freeze, patience=args.patience, loader_workers=args.loader_workers, seed=args.seed,
        device=args.device, class_names=classes, resume=args.resume,
        hard=train_localizer.mine(args.mine, args.data) if args.mine else None,
    )
    onnx = localizer_files.export_onnx(best, args.out / "detector.onnx")
    recipe = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items() if k not in ("run", "data", "out", "command")}
    localizer_files.write_card(
        onnx, arch=args.arch, class_names=classes, image_size=args.image_size, threshold=args.threshold or 0.2,
        data=[d.name for d in args.data], recipe=recipe, metrics=checkpoints.best_epoch(args.out),
    )
    print(f"best checkpoint: {best}")
    return onnx
