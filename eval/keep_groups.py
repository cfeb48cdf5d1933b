"""Phrases of keep lists on drawn print: how many of a group are retained, how many lost, and how often is a line retained that holds anything else?
Seeded: the same on every machine but for single grey levels.

usage: python eval/keep_groups.py [eval/results/keep-groups.json] [--phrases 120] [--mixed 500] [--words 320] [--pictures 0] [--seed 1] [--workers 1]

"clean": sharp print on smooth ground. "hard": smaller, fainter, blurred, with noise, compressed as JPEG. Each phrase comes in one box or in a box for each word.
"mixed": a phrase and a name, initials, a date, a time, a number or a code in one line, before or after, in one box, a box for each word, or only the phrase in a box.
"look-alikes": words that resemble a phrase, beside names that begin like one.
"wrongly retained" is every line of the last two of which strokes stay. "pictures": whole drawn radiographs cleaned from end to end.
All groups are kept at once, so that a wrong phrase of another group would count.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from letters_retained import as_found, box_of, laid

from markerremover import __version__
from markerremover.evaluation.metrics import in_words, rate
from markerremover.keep_lists import groups
from markerremover.records import MARKER, Policy

GROUPS = ("projection", "position", "time")
KINDS = (*(f"{group}, {how}" for group in GROUPS for how in ("clean", "hard")), "mixed", "look-alikes", "pictures", "pictures mixed")  # the seed knows them by place
SIZES = {"clean": (18.0, 80.0), "hard": (11.0, 40.0)}  # pixels, height of a capital
LOOK_ALIKES = (
    "ALP", "AP1", "ERICH", "LATTA", "SUPINO MARIO", "PAP", "PAPA", "APA", "APP", "A P", "P A", "PAL", "LATH", "LATE", "LATZ", "LATIF", "PLAT", "FLAT", "BLAT", "LAI",
    "LAT1", "1LAT", "L4T", "ERICHT", "ERECK", "ERETT", "EREC", "RECT", "PERECT", "ERNST", "SUPIN", "SUPINA M", "LUPINE", "SUPINEK", "PRONER", "PRONI", "BRONE", "PORTA",
    "PORTER", "PORTAL", "PORTABELLA", "PORTE", "SPORT", "MOBIL", "MOBILIO", "STEHN", "STEHER", "STEHLIN", "LIEGER", "LIEGENT", "SITZER", "SITZ", "DEBOUTE", "DEBOUX", "ASSI",
    "ASSISI", "ASSISO", "BETTE", "BETTI", "BETTINA", "COUCHER", "COUCHET", "OBEL", "OBLI", "OBI", "OBLAK", "AXEL", "AXIALI", "AXIO", "FACER", "FACES", "FACCI", "PROFIT",
    "PROFILI", "PERFILO", "PERFIT", "FRENTZ", "FRENTE J", "DORSALE M", "DORSCH", "DORSAY", "VENTRESCA", "NEUTRA", "FLEXER", "INSPECTOR", "EXPERT", "LEITOS", "LEITNER",
    "SEDUTA K", "SEDUTTO", "SENTADOS", "PRONO K", "10", "10 M", "1O", "MIN 10", "10 MINA", "10 MING", "MINH 10", "1000 MIN", "10:30", "10:30 MIN", "10.5.24", "10 MIN 4711",
    "12 H 30", "H 12", "1H30", "HO 1", "5 HU", "POST", "POST E", "POSTE", "SCOTT", "SCOUTS", "NATIVO", "NATHIV", "TARDIEU", "BASALE", "BASALDUA", "DIRETTI", "CONTROL", "STATT",
    "STATE", "TRAUMER", "UPRIGHTS", "WRIGHT", "UPWRIGHT", "ERECT-M", "M-ERECT", "AP-M", "J-AP", "AP.", "A.P.", "AP/M", "AP:KM", "LAT.KM", "SEMI", "SEMI-ERIC", "SEMIONOV",
    "EN PIERRE", "ENPEI", "DE PIETRO", "EM PE DRO", "AL LETTOU", "AU LITTLE", "AULIT J", "TABLE", "STANDER", "STANDINGER", "SEATON", "SITTINGER", "BEDSIDER", "INLAT", "LATAP",
)
FAMILY = ("THOMPSON", "LOPEZ", "SCHNEIDER", "BERNARD", "FERRARI", "HORVAT", "VISSER", "LAURENT", "SUZUKI", "DIAZ", "LI", "WU", "ERICH", "LATTA", "PORTER", "SUPINO", "Meyer", "Lee")
STROKES = 0.08  # share of a line's strokes from which it counts as retained where nothing may be
WHOLE = 0.7  # the same where it must be


def text_of(rng: np.random.Generator, phrase: str) -> str:
    """A phrase as it may be printed."""
    from markerremover.keep_lists.phrases import NUMBER

    phrase = phrase.replace(NUMBER, str(int(rng.choice((1, 2, 3, 5, 7, 10, 15, 20, 24, 30, 45, 60, 90, 120)))))
    how = rng.random()
    return phrase.title() if how < 0.15 else phrase.lower() if how < 0.25 else phrase


def further(rng: np.random.Generator) -> str:
    """What a line may hold beside a phrase."""
    from markerremover.synthesis.marks import texts

    name, kind = FAMILY[int(rng.integers(len(FAMILY)))], rng.random()
    if kind < 0.35:
        return str(rng.choice((name, f"{name} J.", f"{name},", f"Dr. {name}", f"{name[0]}. {name}")))
    if kind < 0.6:
        return texts.initials(rng, "eval")
    if kind < 0.75:
        return texts.printed_date(rng, texts.date(rng))
    if kind < 0.85:
        return texts.printed_time(rng, texts.time(rng))
    return str(rng.choice((str(rng.integers(1, 9)), str(rng.integers(10, 99999)), f"#{rng.integers(1, 99)}", f"RM {rng.integers(1, 40)}", texts.exposure(rng))))


def drawn(rng: np.random.Generator, words: str, hard: bool) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], float]:
    """(picture, strokes' alpha in it, boxes of the words, height of a capital) of a line."""
    from markerremover.synthesis.marks import fonts

    faces = [*fonts.font_files("eval"), *(fonts.STROKE_FACES["eval"] if words.isascii() and words.isupper() else ())]
    face = faces[int(rng.integers(len(faces)))]
    cap = float(np.exp(rng.uniform(*np.log(SIZES["hard" if hard else "clean"]))))
    alpha = fonts.render(words, face, cap, weight=rng.uniform(0.1, 0.2))
    frame, x, y = laid(rng, alpha, cap) if hard else laid_clean(rng, alpha, cap)
    whole = np.zeros(frame.shape, np.float32)
    whole[y : y + alpha.shape[0], x : x + alpha.shape[1]] = alpha
    if hard and rng.random() < 0.6:
        frame = cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 95))])[1], cv2.IMREAD_GRAYSCALE)
    columns = alpha.max(axis=0) > 0.3
    edges, gap = [0], max(2, round(0.3 * cap))
    run = 0
    for column, inked in enumerate(columns):
        run = 0 if inked else run + 1
        if run == gap:
            edges.append(column)
    pieces = []
    for first, last in zip(edges, [*edges[1:], len(columns)]):
        part = np.zeros_like(alpha)
        part[:, first:last] = alpha[:, first:last]
        if (part > 0.3).any():
            pieces.append(box_of(part, x, y))
    return frame, whole, pieces, cap


def laid_clean(rng: np.random.Generator, alpha: np.ndarray, cap: float) -> tuple[np.ndarray, int, int]:
    """A line on smooth ground, see `letters_retained.laid`."""
    (h, w), room = alpha.shape, int(4 * cap) + 20
    level = float(rng.choice((5, 20, 50, 90)))
    frame = np.full((h + 2 * room, w + 2 * room), level) + rng.uniform(-0.8, 0.8) * np.arange(w + 2 * room)[None] / cap
    frame[room : room + h, room : room + w] += (rng.uniform(200, 250) - frame[room : room + h, room : room + w]) * alpha
    return np.clip(frame, 0, 255).astype(np.uint8), room, room


def united(boxes: list[np.ndarray]) -> np.ndarray:
    rows = np.array(boxes)
    return np.concatenate([rows[:, :2].min(axis=0), rows[:, 2:].max(axis=0)])


def share_kept(frame: np.ndarray, strokes: np.ndarray, boxes: list[np.ndarray], tools: dict[str, Any]) -> float:
    """Share of the strokes that stay, by second pass, decision and isolation, of those in the boxes."""
    from markerremover.records import Detections
    from markerremover.redaction import cleaning, decision_rules

    n = len(boxes)
    found = Detections(np.array(boxes, np.float32).reshape(n, 4), np.full(n, 0.9, np.float32), np.zeros(n, np.int64), (MARKER,))
    decisions = decision_rules.resolve(cleaning._decided(0, frame[None], (frame[None],), found, tools["cleaner"]))
    decisions = cleaning._alone(decisions, (frame[None],), {})
    kept, inked = np.zeros(frame.shape, bool), strokes > 0.5
    for d in decisions:
        if d.action == "keep":
            x1, y1, x2, y2 = d.xyxy
            kept[y1:y2, x1:x2] |= d.strokes
    return float((kept & inked).sum() / max(1, inked.sum()))


def one_phrase(rng: np.random.Generator, number: int, group: str, hard: bool, tools: dict[str, Any]) -> tuple[str, bool]:
    words = [word for word in groups.shipped()[group] if len(word) > 1]
    text = text_of(rng, words[number % len(words)])
    frame, strokes, pieces, _ = drawn(rng, text, hard)
    boxes = pieces if number % 2 else [united(pieces)]
    return text, share_kept(frame, strokes, [as_found(rng, box) for box in boxes], tools) >= WHOLE


def one_mixed(rng: np.random.Generator, number: int, tools: dict[str, Any]) -> tuple[str, bool]:
    group = GROUPS[number % 3]
    words = groups.shipped()[group]
    phrase, other = text_of(rng, words[int(rng.integers(len(words)))]), further(rng)
    while other in groups.shipped()["laterality"]:  # initials that are to be retained themselves
        other = further(rng)
    blank = str(rng.choice((" ", "  ", " - ", ", ", "   ")))
    text = f"{phrase}{blank}{other}" if rng.random() < 0.6 else f"{other}{blank}{phrase}"
    frame, strokes, pieces, _ = drawn(rng, text, number % 2 == 1)
    how = rng.random()
    boxes = [united(pieces)] if how < 0.4 else pieces if how < 0.75 else pieces[: max(1, len(pieces) // 2)] if text.startswith(phrase) else pieces[len(pieces) // 2 :]
    return text, share_kept(frame, strokes, [as_found(rng, box) for box in boxes], tools) >= STROKES


def one_look_alike(rng: np.random.Generator, number: int, tools: dict[str, Any]) -> tuple[str, bool]:
    text = LOOK_ALIKES[number % len(LOOK_ALIKES)]
    text = text.title() if rng.random() < 0.2 else text
    frame, strokes, pieces, _ = drawn(rng, text, number // len(LOOK_ALIKES) % 2 == 1)
    boxes = pieces if rng.random() < 0.5 else [united(pieces)]
    return text, share_kept(frame, strokes, [as_found(rng, box) for box in boxes], tools) >= STROKES


def one_picture(rng: np.random.Generator, number: int, is_mixed: bool, tools: dict[str, Any]) -> tuple[str, bool]:
    """A drawn radiograph with one line, cleaned; whether the line's strokes are retained (as a line: what no box holds does not count)."""
    from markerremover.records import Radiograph
    from markerremover.redaction.cleaning import clean_radiograph
    from markerremover.synthesis.marks import fonts
    from markerremover.synthesis.radiographs import backgrounds

    words = groups.shipped()[GROUPS[number % 3]]
    text = text_of(rng, words[int(rng.integers(len(words)))])
    text = f"{text} {FAMILY[int(rng.integers(len(FAMILY)))]}" if is_mixed else text
    faces, cap = fonts.font_files("eval"), float(rng.uniform(16, 40))
    alpha = fonts.render(text, faces[int(rng.integers(len(faces)))], cap)
    picture = backgrounds.procedural(rng, (1024, 1024), "eval", backgrounds.BODIES[int(rng.integers(len(backgrounds.BODIES)))])
    h, w = alpha.shape
    if w > 900:
        alpha = cv2.resize(alpha, (900, round(h * 900 / w)), interpolation=cv2.INTER_AREA)
        h, w = alpha.shape
    y, x = int(rng.uniform(0.02, 0.98) * (1024 - h)), int(rng.uniform(0.02, 0.98) * (1024 - w))
    picture[y : y + h, x : x + w] += (245 - picture[y : y + h, x : x + w]) * alpha
    shown = np.clip(picture, 0, 255).astype(np.uint8)
    done = clean_radiograph(Radiograph(shown[None], shown[None], (0,), Path("drawn.png"), "PNG"), tools["cleaner"])
    kept, inked = np.zeros(shown.shape, bool), np.zeros(shown.shape, bool)
    inked[y : y + h, x : x + w] = alpha > 0.5
    for d in done.decisions:
        if d.action == "keep":
            kept[d.xyxy[1] : d.xyxy[3], d.xyxy[0] : d.xyxy[2]] |= d.strokes
    return text, float((kept & inked).sum() / inked.sum()) >= (STROKES if is_mixed else WHOLE)


_TOOLS: dict[str, Any] = {}


def run_part(kind: str, seed: int, numbers: list[int]) -> list[tuple[str, bool]]:
    """Some of the experiments of one kind; each depends on its number and the seed alone."""
    if not _TOOLS:
        from markerremover.redaction.cleaning import Cleaner, open_cleaner
        from markerremover.second_pass.tesseract import open_reader

        cv2.setNumThreads(1)
        policy = Policy(keep=("laterality", *GROUPS))
        _TOOLS["cleaner"] = open_cleaner(policy, threads=1) if kind.startswith("pictures") else Cleaner(lambda *_: None, open_reader(), policy)
    result = []
    for number in numbers:
        rng = np.random.default_rng([seed, KINDS.index(kind), number])
        if kind == "mixed":
            result.append(one_mixed(rng, number, _TOOLS))
        elif kind == "look-alikes":
            result.append(one_look_alike(rng, number, _TOOLS))
        elif kind.startswith("pictures"):
            result.append(one_picture(rng, number, kind.endswith("mixed"), _TOOLS))
        else:
            group, how = kind.split(", ")
            result.append(one_phrase(rng, number, group, how == "hard", _TOOLS))
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--phrases", type=int, default=120)
    parser.add_argument("--mixed", type=int, default=500)
    parser.add_argument("--words", type=int, default=320)
    parser.add_argument("--pictures", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="print what was lost or wrongly retained: all of it is drawn")
    args = parser.parse_args()
    counts = {kind: {"mixed": args.mixed, "look-alikes": args.words}.get(kind, args.pictures if kind.startswith("pictures") else args.phrases) for kind in KINDS}
    found: dict[str, Any] = {}
    for kind, count in counts.items():
        if not count:
            continue
        with ProcessPoolExecutor(args.workers) as pool:
            parts = [list(range(count))[k :: 8 * args.workers] for k in range(8 * args.workers)]
            outcomes = [pair for part in pool.map(run_part, [kind] * len(parts), [args.seed] * len(parts), parts) for pair in part]
        found[kind] = rate(sum(stayed for _, stayed in outcomes), len(outcomes))
        is_wrong = kind in ("mixed", "look-alikes", "pictures mixed")
        print(f"{kind}: retained {in_words(found[kind])}", flush=True)
        if is_wrong:
            found[kind]["kept"] = sorted(text for text, stayed in outcomes if stayed)
        if args.show:
            print("   ", dict(collections.Counter(text for text, stayed in outcomes if stayed == is_wrong)), flush=True)
    wrong = [found[kind] for kind in ("mixed", "look-alikes", "pictures mixed") if kind in found]
    document = {
        "version": __version__, "seed": args.seed, "sizes_px": {how: list(sizes) for how, sizes in SIZES.items()},
        "lines_wrongly_retained": rate(sum(r["k"] for r in wrong), sum(r["n"] for r in wrong)), "by_kind": found,
    }
    print("lines wrongly retained:", in_words(document["lines_wrongly_retained"]))
    if args.out:
        args.out.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
