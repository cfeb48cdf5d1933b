"""Ours and the peers on the same images in one run, judged alike.

usage: python eval/side_by_side.py IMAGES TRUTH -o FILE.json [--split CSV=val] [--keep D,I] [--tools ours,rapidocr] [--name WORDS]
       python eval/side_by_side.py --benchmark FOLDER -o FILE.json      (a folder that `markerremover benchmark` made)

Results are written to a temporary folder and removed. Seconds are of finding and blackening alone: opening the tools, reading and
writing files are not counted; wall-clock, and processor time of all threads. The JSON holds rates and versions only: no image, name or
path.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import peers
import tables

from markerremover import benchmark
from markerremover.cli.arguments import parse_keep
from markerremover.errors import WriteError
from markerremover.evaluation import comparison, evaluate, results
from markerremover.evaluation.evaluate import Row
from markerremover.formats.images import read as read_image
from markerremover.labels import truth
from markerremover.records import DEFAULT_KEEP, Policy


@dataclass(frozen=True)
class Part:
    """Images and truth that are judged together; `name` is that of the results' folder."""

    name: str
    images: Path
    truth: Path
    split: str | None = None

    def paths(self) -> list[Path]:
        """The images, sorted.

        Raises:
            AnnotationError, UsageError: see `evaluation.choose`.
        """
        there = results.originals(self.images)
        chosen, _ = evaluate.choose(truth.read(self.truth), self.split, there, lambda label, path: results.shape_of(self.images / path))
        return [self.images / path for path, _, _ in chosen]


def side_by_side(parts: Sequence[Part], opened: Sequence[peers.Tool], out: Path, say=print) -> dict[str, Any]:
    """Run tools over parts and judge them.

    Args:
        out: where results go: TOOL-VARIANT/PART/NAME.

    Returns:
        `images`, and `tools`: a row a tool and variant, with `benchmark.RATES`, `by` part where there are several, seconds, and from the
        second row on `against_first`: McNemar's P of pairs with the first row.
    """
    seconds = {tool.name: np.zeros(2) for tool in opened}
    images = 0
    for part in parts:
        for path in part.paths():
            original = read_image(path)
            image = original.display[0].copy()  # stretched as what our own networks see
            images += 1
            for number, tool in enumerate(opened):
                image.setflags(write=False)
                before = time.perf_counter(), peers.cpu_seconds()
                results = tool.clean(image)
                seconds[tool.name] += time.perf_counter() - before[0], peers.cpu_seconds() - before[1]
                for variant, result in results.items():
                    if result is not None and original.stored.ndim == 3 and original.stored.dtype == np.uint8:
                        result = np.where(result == image, original.stored[0], result)
                    _write(out / f"{number}-{variant}" / part.name / f"{path.stem}.png", result)
        say(f"{part.name}: {images} images done")
    each = {name: {"wall": round(float(wall) / images, 3), "cpu": round(float(cpu) / images, 3)} for name, (wall, cpu) in seconds.items()}
    return {"images": images, "tools": judge(parts, opened, out, each)}


def judge(
    parts: Sequence[Part], opened: Sequence[peers.Tool], out: Path, seconds: dict[str, dict[str, float | None]]
) -> list[dict[str, Any]]:
    """The `tools` of `side_by_side`, from results that lie in `out`; `seconds` by the name of the tool."""
    rows, first = [], None
    for number, tool in enumerate(opened):
        for variant in tool.variants:
            judged = {p.name: _judged(out / f"{number}-{variant}" / p.name, p) for p in parts}
            every = [row for found in judged.values() for row in found]
            about = {"name": tool.name, "version": tool.version, "variant": variant}
            row = {**about, **benchmark.rates(every), "seconds_per_image": seconds[tool.name]}
            if len(parts) > 1:
                row["by"] = {name: benchmark.rates(found) for name, found in judged.items()}
            if first is None:
                first = every
            else:
                compared = comparison.compare(first, every, missing_count=True)
                row["against_first"] = {name: compared[name]["p_mcnemar"] for name in ("recall", "deid", "retention")}
            rows.append(row)
    return rows


def _write(path: Path, result: np.ndarray | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)  # also where nothing is written: a missing result counts as such
    if result is not None and not cv2.imwrite(str(path), result, [cv2.IMWRITE_PNG_COMPRESSION, 1]):
        raise WriteError(f"{path}: could not be written")


def _judged(results: Path, part: Part) -> list[Row]:
    return evaluate.evaluate(results, part.truth, part.images, split=part.split)[1]


def benchmark_parts(folder: Path) -> list[Part]:
    """The cells of a folder that `markerremover benchmark` made."""
    names = [f"{body.name}-{how.name}" for body, how in benchmark.cells()]
    return [Part(name, folder / "pictures" / name, folder / "truth" / name) for name in names]


def main(argv: Sequence[str] | None = None) -> int:
    """Run it from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="?", type=Path)
    parser.add_argument("truth", nargs="?", type=Path)
    parser.add_argument("--benchmark", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--keep", type=parse_keep, default=DEFAULT_KEEP)
    parser.add_argument("--tools", default=",".join(peers.TOOLS))
    parser.add_argument("--name", default="synthetic benchmark")
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args(argv)
    if (args.benchmark is None) == (args.images is None or args.truth is None):
        parser.error("needs IMAGES and TRUTH, or --benchmark FOLDER")
    parts = benchmark_parts(args.benchmark) if args.benchmark else [Part("all", args.images, args.truth, args.split)]
    policy = Policy(keep=args.keep)
    opened = [peers.TOOLS[name](policy) for name in args.tools.split(",")]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        document = side_by_side(parts, opened, Path(folder), say=lambda line: print(line, file=sys.stderr, flush=True))
    document = {
        "name": args.name, "keep": list(policy.keep), "margin": policy.margin, "cores": os.cpu_count(),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)], **document,
    }
    args.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print("\n".join(tables.tools(document)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
