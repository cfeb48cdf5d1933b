"""Letters retained that are no laterality marker, on drawn characters: how often is one of A-Z or 0-9, other than L and R, or the
initial L or R of a name, retained as a laterality marker? Seeded: the same on every machine but for single grey levels.

usage: python eval/letters_retained.py [eval/results/letters-retained.json] [--letters 5100] [--names 1200] [--pictures 300] [--seed 1]

"alone": one character on smooth, noisy ground, in one of eight ways, in a box as a localizer would draw it that takes it for a laterality marker.
"beside a name": the L or R of a name the same way, upright or turned, and a box around the name.
"beside a name on its own ground": the same with a dark halo or shadow of the strokes, the initial on a pasted box of its own, in a cell of a
form, all on one strip; or the name's letters joined by a stroke and closed up, as in quick handwriting.
"whole pictures": drawn radiographs with a lone character, or a name with its initial, cleaned from end to end.
A letter that no box holds stays, too, but not as a laterality marker: `not_found` counts those, as the localizer's recall does elsewhere.
"signs alone" and "signs on a plate" are L and R that must stay: nothing is gained by keeping nothing.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from markerremover import __version__
from markerremover.evaluation.metrics import in_words, rate
from markerremover.records import DEFAULT_KEEP, LATERALITY, Policy, Radiograph
from markerremover.second_pass import glyphs

OTHERS, SIGNS = "ABCDEFGHIJKMNOPQSTUVWXYZ0123456789", "LR"
SIZES = (15.0, 120.0)  # pixels, height of a capital
LEVELS, CONTRAST, NOISE, BLUR = (8, 40, 80, 120, 160), (60.0, 200.0), (0.0, 1.5, 4.0), (0.0, 0.5, 0.8)  # grey levels, pixels
NAMES = ("SCHMIDT", "MUELLER", "WU", "MEYER", "O'BRIEN", "GARCIA", "NGUYEN", "Meyer", "Kowalski", "LEE", "RUIZ", "JENSEN")
WAYS = ("{0}. {1}", "{0} {1}", "{1}, {0}", "{1} {0}.", "{0}-{1}", "{0} - {1}", "{1} {0}", "Dr. {0} {1}", "{1}, {0}.", "{0}.{1}", "{0} 12345", "{0}. {1} 4711")
KINDS = ("alone", "beside a name", "whole pictures", "signs alone", "signs on a plate", "beside a name on its own ground")  # the seed knows them by place
WRONG = ("alone", "beside a name", "beside a name on its own ground", "whole pictures")  # where nothing may be retained
GROUNDS = ("halo", "shadow", "own box", "cells", "strip", "joined")
SIDE = 1024  # of a whole picture
LEFT = 0.1  # of a letter's strokes: where as many stay as they were, the letter is retained
BLACK = 24  # grey levels
MISSED = ", not found"  # said of a letter that stays because no box holds it


def text(rng: np.random.Generator, words: str, cap: float) -> np.ndarray:
    """(h, w) float32 alpha, 0-1: words in a font of the project, chosen at random."""
    from markerremover.synthesis.marks import fonts

    faces = [*fonts.font_files("train"), *fonts.font_files("eval"), *fonts.STROKE_FACES["train"], *fonts.STROKE_FACES["eval"]]
    return fonts.render(words, faces[int(rng.integers(len(faces)))], cap, weight=rng.uniform(0.1, 0.22))


def named(rng: np.random.Generator, cap: float) -> tuple[np.ndarray, np.ndarray]:
    """A name with its initial L or R: (h, w) alpha of all, and of the initial alone, one size."""
    from markerremover.synthesis.marks import fonts

    faces = [*fonts.font_files("train"), *fonts.font_files("eval")]
    face, initial = faces[int(rng.integers(len(faces)))], SIGNS[int(rng.integers(2))]
    words = WAYS[int(rng.integers(len(WAYS)))].format(initial, NAMES[int(rng.integers(len(NAMES)))])
    at = next(i for i, char in enumerate(words) if char == initial and not (words[i - 1 : i].isalnum() or words[i + 1 : i + 2].isalnum()))
    whole = fonts.render(words, face, cap)
    font = fonts._font(face, max(5, round(cap / fonts._cap_share(face))))
    ends = [font.getlength(words[:k]) - font.getlength(words[:0]) for k in (at, at + 1)]
    lead = font.getbbox(words)[0]
    a, b = (int(np.clip(round(end - lead), 0, whole.shape[1])) for end in ends)
    alone = np.zeros_like(whole)
    alone[:, a:b] = whole[:, a:b]
    return whole, alone


def turned(mask: np.ndarray, way: int) -> np.ndarray:
    """One of the eight `glyphs.dihedral` views."""
    return np.ascontiguousarray(glyphs.dihedral(mask)[way])


def box_of(alpha: np.ndarray, x: int, y: int) -> np.ndarray:
    """(4,) float xyxy of what is drawn of an alpha mask at a place."""
    rows, columns = np.flatnonzero((alpha > 0.3).any(1)), np.flatnonzero((alpha > 0.3).any(0))
    return np.array([x + columns[0], y + rows[0], x + columns[-1] + 1, y + rows[-1] + 1], float)


def laid(rng: np.random.Generator, alpha: np.ndarray, cap: float, under: Callable[[np.ndarray, float], None] | None = None) -> tuple[np.ndarray, int, int]:
    """An (H, W) uint8 picture with a mask somewhere in its middle, and where its top left corner is, x and y.

    Args:
        under: called with the picture's part that the mask will cover, (h, w) float64, and the ground's grey level, to draw in that part.
    """
    (h, w), room = alpha.shape, int(4 * cap) + 20
    level, noise, blur = (float(choices[int(rng.integers(len(choices)))]) for choices in (LEVELS, NOISE, BLUR))
    ink = min(250.0, level + rng.uniform(*CONTRAST))
    y, x = np.mgrid[: h + room, : w + room].astype(np.float32)
    frame = level + rng.uniform(-1.5, 1.5) * (x - x.mean()) / cap + 6 * np.sin(y / (2 * cap) + rng.uniform(0, 6)) + rng.normal(0, noise, y.shape)
    top, left = (int(room * rng.uniform(0.3, 0.7)) for _ in range(2))
    part = np.s_[top : top + h, left : left + w]
    if under is not None:
        under(frame[part], level)
    frame[part] = frame[part] * (1 - alpha) + ink * alpha
    frame = cv2.GaussianBlur(frame, (0, 0), blur) if blur else frame
    return np.clip(frame, 0, 255).astype(np.uint8), left, top


def as_found(rng: np.random.Generator, box: np.ndarray) -> np.ndarray:
    """A box as a localizer draws it: somewhat too large or too small."""
    return box + np.array([-1, -1, 1, 1]) * rng.uniform(-0.06, 0.12, 4) * (box[2:] - box[:2]).min()


def cap_of(rng: np.random.Generator, sizes: tuple[float, float] = SIZES) -> float:
    return float(np.exp(rng.uniform(*np.log(sizes))))


def kept(frame: np.ndarray, box: np.ndarray, tools: dict[str, Any], near: list[np.ndarray]) -> bool:
    """Whether the letter in a box stays, as `looks` decides it: second pass, decision, isolation."""
    from markerremover.redaction import decision_rules
    from markerremover.second_pass import lines_of_print
    from markerremover.second_pass.reader import insist

    reading = insist(frame, box, DEFAULT_KEEP, tools["cleaner"].reader, network=tools["cleaner"].strokes)
    decision = decision_rules.decide(0, box, 0.9, LATERALITY, reading, Policy(), frame.shape)
    return lines_of_print.alone(decision_rules.resolve([decision]), [frame[None]], [(0, each) for each in near])[0].action == "keep"


def one_alone(rng: np.random.Generator, number: int, chars: str, tools: dict[str, Any]) -> tuple[str, bool]:
    char, cap = chars[number % len(chars)], cap_of(rng)
    alpha = turned(text(rng, char, cap), int(rng.integers(8)))
    frame, x, y = laid(rng, alpha, cap)
    return char, kept(frame, as_found(rng, box_of(alpha, x, y)), tools, [])


def one_named(rng: np.random.Generator, number: int, tools: dict[str, Any]) -> tuple[str, bool]:
    cap, way = cap_of(rng), int(rng.integers(8))
    whole, alone = (turned(mask, way) for mask in named(rng, cap))
    frame, x, y = laid(rng, whole, cap)
    rest = np.where(alone > 0, 0, whole)
    return "name", kept(frame, as_found(rng, box_of(alone, x, y)), tools, [as_found(rng, box_of(rest, x, y))])


def ground(kind: str, rng: np.random.Generator, alone: np.ndarray, rest: np.ndarray, cap: float) -> Callable[[np.ndarray, float], None]:
    """Draws what lies under an initial and the rest of its name, masks (h, w) of one size, see `laid`; kind: one of `GROUNDS`."""
    masks = [mask > 0.3 for mask in (alone, rest)]
    reach, line = max(1, round(cap * rng.uniform(0.05, 0.25))), max(1, round(cap * 0.04))
    dark, tone = rng.uniform(0, 0.5), rng.uniform(-60, 60)

    def draw(part: np.ndarray, level: float) -> None:
        strokes = masks[0] | masks[1]
        if kind == "halo":
            near = cv2.dilate(strokes.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)) > 0
            part[near] = dark * level
        elif kind == "shadow":
            shift = max(1, reach // 2)
            part[np.pad(strokes, ((shift, 0), (shift, 0)))[: part.shape[0], : part.shape[1]]] = dark * level
        elif kind == "strip":
            part[:] = np.clip(level + tone, 0, 140)
        else:
            for mask in masks if kind == "cells" else masks[:1]:
                rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                place = np.s_[max(0, rows[0] - reach) : rows[-1] + reach + 1, max(0, columns[0] - reach) : columns[-1] + reach + 1]
                piece = part[place]
                if kind == "cells":
                    cv2.rectangle(piece, (0, 0), (piece.shape[1] - 1, piece.shape[0] - 1), level + 80, line)
                else:
                    piece[:] = np.clip(level + tone, 0, 140)

    return draw


def joined(rest: np.ndarray, cap: float, way: int) -> np.ndarray:
    """A name's letters, (h, w) alpha turned by `way`, with narrow gaps closed and a stroke through their middle."""
    side, line = max(3, round(0.25 * cap)) | 1, max(1, round(0.08 * cap))
    is_upright = np.argmax(turned(np.zeros((1, 2)), way).shape) == 1
    closed = cv2.morphologyEx(rest, cv2.MORPH_CLOSE, np.ones((max(1, side // 4), side) if is_upright else (side, max(1, side // 4)), np.uint8))
    along = closed if is_upright else closed.T  # the stroke is drawn in place
    rows, columns = np.nonzero(along > 0.3)
    along[int(rows.mean()) : int(rows.mean()) + line, columns.min() : columns.max()] = 1
    return closed


def one_on_ground(rng: np.random.Generator, number: int, tools: dict[str, Any]) -> tuple[str, bool]:
    """`one_named` on one of `GROUNDS`, which reaches beyond the name."""
    kind, cap, way = GROUNDS[number % len(GROUNDS)], cap_of(rng), int(rng.integers(8))
    whole, alone = (turned(np.pad(mask, round(0.3 * cap)), way) for mask in named(rng, cap))
    rest = np.where(alone > 0, 0, whole)
    if kind == "joined":
        rest = joined(rest, cap, way)
        whole = np.maximum(np.where(alone > 0, alone, 0), rest)
    frame, x, y = laid(rng, whole, cap, None if kind == "joined" else ground(kind, rng, alone, rest, cap))
    return kind, kept(frame, as_found(rng, box_of(alone, x, y)), tools, [as_found(rng, box_of(rest, x, y))])


def one_plate(rng: np.random.Generator, number: int, tools: dict[str, Any]) -> tuple[str, bool]:
    """An L or R with smaller initials under it."""
    cap = cap_of(rng, (30.0, SIZES[1]))
    letter, initials = text(rng, SIGNS[number % 2], cap), text(rng, "".join(OTHERS[int(k)] for k in rng.integers(0, 24, 2)), cap * rng.uniform(0.35, 0.6))
    gap = int(cap * rng.uniform(0.1, 0.3))
    alpha = np.zeros((letter.shape[0] + gap + initials.shape[0], max(letter.shape[1], initials.shape[1])), np.float32)
    alpha[: letter.shape[0], : letter.shape[1]] = letter
    alone = alpha.copy()
    alpha[-initials.shape[0] :, : initials.shape[1]] = initials
    way = int(rng.integers(8))
    alpha, alone = turned(alpha, way), turned(alone, way)
    frame, x, y = laid(rng, alpha, cap)
    return "plate", kept(frame, as_found(rng, box_of(alone, x, y)), tools, [as_found(rng, box_of(np.where(alone > 0, 0, alpha), x, y))])


def one_picture(rng: np.random.Generator, number: int, tools: dict[str, Any]) -> tuple[str, bool]:
    """A drawn radiograph of 8 or 16 bits, cleaned; whether the letter's strokes are still there."""
    from markerremover.redaction.cleaning import clean_radiograph
    from markerremover.synthesis.radiographs import backgrounds

    body = backgrounds.BODIES[int(rng.integers(len(backgrounds.BODIES)))]
    picture = backgrounds.procedural(rng, (SIDE, SIDE), "eval", body)
    cap, way = cap_of(rng, (15.0, 60.0) if number % 2 else SIZES), int(rng.choice((0, 1, 2, 3, 4, 5, 6, 7)))
    char = "name" if number % 2 else OTHERS[number // 2 % len(OTHERS)]
    whole, alone = named(rng, cap) if number % 2 else (text(rng, char, cap),) * 2
    fits = 0.8 * SIDE / max(whole.shape)
    if fits < 1:
        whole, alone = (cv2.resize(mask, None, fx=fits, fy=fits, interpolation=cv2.INTER_AREA) for mask in (whole, alone))
    whole, alone = turned(whole, way), turned(alone, way)
    h, w = whole.shape
    y, x = int(rng.uniform(0.02, 0.98) * (SIDE - h)), int(rng.uniform(0.02, 0.98) * (SIDE - w))
    part = np.s_[y : y + h, x : x + w]
    picture[part] = picture[part] * (1 - whole) + np.maximum(245, picture[part]) * whole
    shown = np.clip(picture, 0, 255).astype(np.uint8)
    stored = shown if number % 4 < 2 else (shown.astype(np.uint16) * 257)
    done = clean_radiograph(Radiograph(stored[None], shown[None], (0,), Path("drawn.png"), "PNG"), tools["cleaner"])
    strokes = np.zeros(shown.shape, bool)
    strokes[part] = alone > 0.5
    stays = [d.strokes[strokes[d.xyxy[1] : d.xyxy[3], d.xyxy[0] : d.xyxy[2]]].sum() for d in done.decisions if d.action == "keep"]
    if sum(stays) >= LEFT * strokes.sum():
        return char, True
    return char + MISSED * bool((done.shown[0][strokes] > BLACK).mean() >= LEFT), False


MAKE: dict[str, Callable[..., tuple[str, bool]]] = {
    "alone": lambda *given: one_alone(given[0], given[1], OTHERS, given[2]), "beside a name": one_named, "whole pictures": one_picture,
    "beside a name on its own ground": one_on_ground,
    "signs alone": lambda *given: one_alone(given[0], given[1], SIGNS, given[2]), "signs on a plate": one_plate,
}
_TOOLS: dict[str, Any] = {}


def run_part(kind: str, seed: int, numbers: list[int]) -> list[tuple[str, bool]]:
    """Some of the experiments of one kind; each depends on its number and the seed alone."""
    if not _TOOLS:
        from markerremover.redaction.cleaning import open_cleaner

        cv2.setNumThreads(1)
        _TOOLS["cleaner"] = open_cleaner(Policy(), threads=1)
    return [MAKE[kind](np.random.default_rng([seed, KINDS.index(kind), number]), number, _TOOLS) for number in numbers]


def measure(kind: str, count: int, seed: int, pool: Any) -> dict[str, Any]:
    """A `rate` of letters kept of one kind, with the characters that were: {"k", "n", ..., "kept": {character: how often}}."""
    parts = [list(range(count))[k :: 16] for k in range(16)]
    outcomes = [pair for found in pool.map(run_part, [kind] * 16, [seed] * 16, parts) for pair in found]
    found = collections.Counter(char for char, stayed in outcomes if stayed)
    missed = sum(char.endswith(MISSED) for char, _ in outcomes)
    return {**rate(sum(found.values()), len(outcomes)), **({} if kind.startswith("signs") else {"kept": dict(sorted(found.items())), "not_found": missed})}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--letters", type=int, default=5100)
    parser.add_argument("--names", type=int, default=1200)
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    counts = dict(zip(KINDS, (args.letters, args.names, args.pictures, args.names, args.names, args.names)))
    with ProcessPoolExecutor(args.workers) as pool:
        found = {}
        for kind, count in counts.items():
            found[kind] = measure(kind, count, args.seed, pool)
            print(f"{kind}: kept {in_words(found[kind])} {found[kind].get('kept', '')}", flush=True)
    wrong = [found[kind] for kind in WRONG]
    document = {
        "version": __version__, "seed": args.seed, "keep": list(DEFAULT_KEEP), "sizes_px": list(SIZES),
        "letters_retained_that_are_no_laterality_marker": rate(sum(r["k"] for r in wrong), sum(r["n"] for r in wrong)), "by_kind": found,
    }
    print("letters retained that are no laterality marker:", in_words(document["letters_retained_that_are_no_laterality_marker"]))
    if args.out:
        args.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
