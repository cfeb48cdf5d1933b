"""`markerremover benchmark`: parse, call, print."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

IMAGES, SEED = 20, 2026  # pictures per body part and difficulty, and seed; a run takes about five minutes on two cores
SITE_TRAIN, SITE_TEST = 20, 40  # pictures of the new site for fine-tuning, as many as in Khosravi et al. 2023, and for measuring

def add_benchmark_parser(subparsers) -> None:
    """Add the `benchmark` subcommand; it sets `run` to a function of the parsed arguments that returns an exit code."""
    parser = subparsers.add_parser(
        "benchmark", help="draw synthetic radiographs of three body parts at three difficulties, clean and judge them",
        description="Fonts, names, plates and bodies are from the part that is not used for training; no data are needed.",
    )
    add = parser.add_argument
    add("folder", nargs="?", type=Path, default=Path("benchmark"), help="folder to create it in (default: %(default)s)")
    add("--images", type=int, default=IMAGES, metavar="N", help="images per body part and difficulty (default: %(default)s)")
    add("--seed", type=int, default=SEED, help="the same seed draws the same images (default: %(default)s)")
    add("--weights", type=Path, help="see `remove` (default: the shipped ones)")
    add("--finetune", action="store_true",
        help=f"also fine-tune on {SITE_TRAIN} images of a synthetic new site, measured on {SITE_TEST} others (extra `train`; takes longer)")
    add("--json", type=Path, metavar="FILE", help="write the figures to this file (default: FOLDER.json)")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from .. import benchmark

    document = benchmark.run(
        args.folder, images=args.images, seed=args.seed, weights=args.weights, say=lambda line: print(line, flush=True),
        site_images=(SITE_TRAIN, SITE_TEST) if args.finetune else None,
    )
    target = args.json or args.folder.with_name(args.folder.name + ".json")
    target.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print("\n".join(benchmark.lines(document)))
    print(f"figures: {target}")
    return 0
