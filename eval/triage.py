"""How often each quality flag is raised, rightly on drawn cases and wrongly on real films, and how long it takes.

usage: python eval/triage.py [--count 40] [--seed 1] [--films NAME=DIR ...] [--known FILE.csv] [-o eval/results/triage.json]

Every kind of fault of `synthesis.faulty_pictures` is drawn `count` times on drawn films of the split "eval" and, where folders of real
films are given, laid over `count` of those too. Every flag on an untouched film counts as wrong unless `--known` (file, flag) says that
it is right. Milliseconds are processor time of all threads. The JSON holds counts and rates only: no image, name or path.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from markerremover import __version__
from markerremover.formats import images
from markerremover.records import Decision, Radiograph, Reading
from markerremover.synthesis import faulty_pictures as faulty
from markerremover.synthesis import generate
from markerremover.triage import FLAGS, UNUSABLE, duplicates, judge, with_markers

RESULTS = Path(__file__).parent / "results" / "triage.json"
CHESTS = ("upside down", "mirrored")  # flags that are raised for frontal chests only

ON_FILMS: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "half empty": faulty.half_empty,
    "saturated": faulty.saturated,
    "inverted": lambda rng, film: faulty.inverted(film),
    "upside down": faulty.upside_down,
    "mirrored": lambda rng, film: faulty.mirrored(film),
    "blurred": faulty.blurred,
    "tiny": faulty.tiny,
    "photo of a screen": faulty.screen,
}
DRAWN: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "blank": lambda rng: faulty.blank(rng, (800, 700), int(rng.choice((8, 12)))),
    "noise": lambda rng: faulty.noise(rng, (800, 700)),
    "scanned text": faulty.page,
    "colour photograph": faulty.photograph,
}


def radiograph_of(picture: np.ndarray) -> Radiograph:
    """A picture (H, W) or (H, W, 3) as `MarkerRemover.clean` takes it."""
    views = images.array_views(picture[None])
    return Radiograph(picture[None], views[0], (0,) * (3 if picture.ndim == 3 else 1), Path("array"), "ARRAY", also=views[1:])


def flags_of(kind: str, picture: np.ndarray) -> tuple[str, ...]:
    """The flags of a picture; of a mirrored one with a mirrored laterality marker where a mirrored film has it."""
    quality = judge(radiograph_of(picture))
    if kind != "mirrored":
        return quality.flags
    width = picture.shape[1]
    box = (width - 30, 10, width - 10, 40)  # R, on the right
    marker = Decision(0, box, "keep", "laterality marker", 0.9, reading=Reading(box, "R", 0.9, mirrored=True), strokes=np.ones((30, 20), bool))
    return with_markers(quality, [marker], width)


def near_duplicates(rng: np.random.Generator, films: Sequence[np.ndarray]) -> int:
    """How many altered copies of films are found among all films and copies."""
    pictures = [*films, *(faulty.near_copy(rng, film) for film in films)]
    first = duplicates.first_near([judge(radiograph_of(picture)).hashes[1] for picture in pictures])
    return sum(first[len(films) + i] == i for i in range(len(films)))


def faults(films: list[np.ndarray], chests: list[np.ndarray], count: int, seed: int) -> dict[str, dict[str, Any]]:
    """Kind -> how many cases have the flag, and which other flags cases have; kinds that need no film only for a positive seed."""
    result = {}
    for number, kind in enumerate((*ON_FILMS, *(DRAWN if seed > 0 else ()))):
        rng, others, found = np.random.default_rng([abs(seed), number]), Counter(), 0
        basis = chests if kind in CHESTS else films
        for i in range(count):
            picture = ON_FILMS[kind](rng, basis[i % len(basis)]) if kind in ON_FILMS else DRAWN[kind](rng)
            flags = flags_of(kind, picture)
            found += kind in flags
            others.update(flag for flag in flags if flag != kind)
        result[kind] = {"cases": count, "found": found, "other flags": dict(others)}
    rng = np.random.default_rng([abs(seed), 99])
    result["near duplicate"] = {"cases": min(count, len(films)), "found": near_duplicates(rng, films[:count]), "other flags": {}}
    return result


def drawn_films(count: int, seed: int, body: str | None = None) -> list[np.ndarray]:
    """Drawn films of the split "eval", not inverted."""
    return [generate.radiograph(np.random.default_rng([seed, i]), split="eval", body=body, inverted_share=0.0).image for i in range(count)]


def real_films(folder: Path) -> Iterator[tuple[str, Radiograph]]:
    """File names and films of a folder."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and images.recognise(path):
            yield path.name, images.read(path)


def untouched(folder: Path, known: set[tuple[str, str]]) -> tuple[dict[str, Any], list[np.ndarray], list[tuple[str, str]]]:
    """Flags on the untouched films of a folder, the first frames of its 8-bit grey films, and file names with perceptual hashes."""
    films, hashes, wrong, right, milliseconds = [], [], Counter(), Counter(), []
    for name, film in real_films(folder):
        start = time.process_time()
        quality = judge(film)
        milliseconds.append(1000 * (time.process_time() - start))
        for flag in quality.flags:
            (right if (name, flag) in known else wrong)[flag] += 1
        hashes.append((name, quality.hashes[1]))
        if film.stored.dtype == np.uint8 and film.stored.ndim == 3 and not quality.flags:
            films.append(film.stored[0])
    return {"films": len(hashes), "wrong": dict(wrong), "right": dict(right), "ms_median": round(float(np.median(milliseconds)), 1),
        "ms_most": round(max(milliseconds), 1)}, films, hashes


def table(document: dict[str, Any]) -> list[str]:
    """The rows of docs/quality.md."""
    lines = ["| flag | found on drawn films | found on real films | wrong on untouched real films |", "|---|---|---|---|"]
    total = sum(part["films"] for part in document["untouched"].values())
    for flag in FLAGS:
        cells = []
        for where in ("drawn", "real"):
            case = document.get(where, {}).get(flag)
            cells.append(f"{case['found']}/{case['cases']}" if case else "–")
        wrong = sum(part["wrong"].get(flag, 0) for part in document["untouched"].values())
        if flag == duplicates.NEAR:
            wrong = document.get("near_duplicates", {}).get("wrong", 0)
        lines.append(f"| `{flag}` | {cells[0]} | {cells[1]} | {f'{wrong}/{total}' if total else '–'} |")
    return lines


def _pair(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    return name, Path(path)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--films", type=_pair, action="append", default=[], metavar="NAME=DIR")
    parser.add_argument("--chests", default="", help="names of the folders of frontal chest films, separated by commas")
    parser.add_argument("--known", type=Path, help="CSV without a header: file name, flag that is right")
    parser.add_argument("-o", "--out", type=Path, default=RESULTS)
    args = parser.parse_args(arguments)
    known = {(row[0], row[1]) for row in csv.reader(args.known.open())} if args.known else set()
    document: dict[str, Any] = {"version": __version__, "count": args.count, "seed": args.seed, "untouched": {}}
    document["drawn"] = faults(drawn_films(args.count, args.seed), drawn_films(args.count, args.seed + 1, "chest"), args.count, args.seed)
    films, chests, hashes = [], [], []
    for name, folder in args.films:
        document["untouched"][name], here, there = untouched(folder, known)
        hashes += there
        films += here[:: max(1, len(here) // args.count)]
        chests += here[:: max(1, len(here) // args.count)] if name in args.chests.split(",") else []
    if films and chests:
        rng = np.random.default_rng(args.seed)
        mixed = [films[i] for i in rng.permutation(len(films))]
        document["real"] = faults(mixed, [chests[i] for i in rng.permutation(len(chests))], args.count, -args.seed)
        near = [hashes[i][0] for i, first in enumerate(duplicates.first_near([value for _, value in hashes])) if first != i]
        document["near_duplicates"] = {"right": sum((name, duplicates.NEAR) in known for name in near),
            "wrong": sum((name, duplicates.NEAR) not in known for name in near)}
    total = sum(part["films"] for part in document["untouched"].values())
    if total:
        held = sum(part["wrong"].get(flag, 0) for part in document["untouched"].values() for flag in UNUSABLE)
        interval = binomtest(held, total).proportion_ci(method="exact")
        document["wrongly_unusable"] = {"films": total, "flags": held, "at_most_95": round(float(interval.high), 4)}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print("\n".join(table(document)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
