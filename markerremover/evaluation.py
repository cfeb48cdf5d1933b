"""The results of a run, ours or any other tool's, against annotated truth: rates with exact intervals, and which images are wrong."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterable, Sequence

import numpy as np

from . import images, judging, truth
from .errors import AnnotationError, MarkerRemoverError, UsageError
from .judging import Judged
from .metrics import in_words, rate
from .records import Annotation, Element, Radiograph

HEIGHTS = (8, 12, 16, 24, 40)  # pixels: limits between classes of marking height
NAMES = {
    "recall": "markings removed", "deid": "images with every marking removed", "retention": "side signs kept",
    "false_regions": "false regions", "leaks": "markings of which something leaks", "leaks_beside_signs": "of those, beside a side sign",
    "covered": "markings whose whole box is black", "readable": "markings whose text OCR still reads",
    "untouched": "images without markings left as they were", "patients": "patients with every marking removed",
}
LEAST_TOKEN = 3  # letters and digits from which a word of a marking is looked for in what OCR reads
BESIDE = 0.5  # of a sign's longer side: how near a leak beside it is


@dataclass(frozen=True)
class Row:
    """One image of the truth.

    name: the truth's name of it.  patient: as far as told.  photometric: of a DICOM file, else "".
    identical: whether the result's pixels are the input's own, None without a result.
    readable: for each element whether OCR still reads a word of it; None where it was not looked for.
    """

    name: str
    patient: str
    judged: Judged
    photometric: str = ""
    identical: bool | None = None
    readable: tuple[bool | None, ...] = ()


def evaluate(
    out: Path | str, truth_source: Path | str, inputs: Path | str, *, split: str | None = None, fill: bool = False, reader: Any = None,
    classes: Sequence[str] = (), progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, Any], list[Row]]:
    """Judge the results in a folder.

    Args:
        out: folder of results; a result has the path of its input, or that of `paths.jsonl` in the audit beside it, or its input's
            name with another suffix.
        truth_source: see `truth.read`.  inputs: folder of the originals.
        split: "FILE.csv=part": only those images of the truth.
        fill: removed pixels are filled, not black; see `judging.judge`.
        reader: an OCR engine, for what is still readable; None leaves that out.

    Returns:
        The JSON document, see `summary`, and one row an image.

    Raises:
        AnnotationError: the truth is wrong, does not fit an image, or an image of it is missing or there twice.
        UsageError: a folder is missing, or nothing is left to judge.
    """
    out, inputs = Path(out), Path(inputs)
    for folder in (out, inputs):
        if not folder.is_dir():
            raise UsageError(f"{folder}: there is no such folder")
    there = _by_name(inputs)
    found = truth.read(truth_source, shape_of=lambda stem: _shape_of(stem, there), classes=classes)
    wanted = truth.split_names(split) if split else None
    chosen = [a for a in found.annotations if wanted is None or a.image in wanted]
    if not chosen:
        raise UsageError(f"{truth_source}: no image of it is in the split" if split else f"{truth_source}: has no images")
    renamed, rows = _renamed(out), []
    for number, annotation in enumerate(sorted(chosen, key=lambda a: a.image), 1):
        source = _one(annotation.image, there, found.source)
        relative = source.relative_to(inputs).as_posix()
        rows.append(_row(annotation, source, _result(out, renamed.get(relative, relative)), fill, reader))
        progress(number, len(chosen))
    return summary(rows), rows


def _by_name(folder: Path) -> dict[str, list[Path]]:
    """Every file below a folder, by its name and by its name without suffix."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        for name in {path.name, path.stem}:
            found[name].append(path)
    return found


def _one(name: str, there: dict[str, list[Path]], source: Path) -> Path:
    paths = there.get(name, [])
    if len(paths) != 1:
        raise AnnotationError(f"{source}: {name} is {'missing' if not paths else f'there {len(paths)} times'} among the inputs")
    return paths[0]


def _shape_of(stem: str, there: dict[str, list[Path]]) -> tuple[int, int]:
    return images.read(_one(stem, there, Path(stem))).shape_hw


def _renamed(out: Path) -> dict[str, str]:
    """Input path -> path below OUT, of a run that gave pseudonyms to paths."""
    target = out.with_name(out.name + "-audit") / "paths.jsonl"
    if not target.is_file():
        return {}
    rows = (json.loads(line) for line in target.read_text(encoding="utf-8").splitlines())
    return {row["input"]: row["relative"] for row in rows}


def _result(out: Path, relative: str) -> Path | None:
    """The result at a path, or else the only one of that name with another suffix."""
    path = out / relative
    if path.is_file():
        return path
    others = [p for p in path.parent.glob("*") if p.stem == path.stem and p.is_file()] if path.parent.is_dir() else []
    return others[0] if len(others) == 1 else None


def _row(annotation: Annotation, source: Path, result: Path | None, fill: bool, reader: Any) -> Row:
    try:
        before = images.read(source)
    except MarkerRemoverError as error:
        raise AnnotationError(f"{source}: an original that cannot be read cannot be judged ({error})") from error
    if before.stored.shape[0] != 1 or before.shape_hw != annotation.shape_hw:
        frames, (h, w) = before.stored.shape[0], before.shape_hw
        raise AnnotationError(f"{source}: has {frames} frames of {w}x{h} pixels, its truth says one of {annotation.shape_hw[1]}x{annotation.shape_hw[0]}")
    after = _read(result)
    identical = None if after is None else after.stored.shape == before.stored.shape and bool((after.stored == before.stored).all())
    shown = None if after is None else _shown(before, after)
    judged = judging.judge(before.display[0], shown, annotation, fill=fill)
    readable = () if reader is None or judged.missing else tuple(_reads(e, shown, reader) for e in annotation.elements)
    photometric = str(getattr(before.source, "photometric", "")) if before.format == "DICOM" else ""
    return Row(annotation.image, source.stem.split("_")[0], judged, photometric, identical, readable)


def _read(path: Path | None) -> Radiograph | None:
    """A result; None where there is none, or none that can be read: nothing was released then."""
    if path is None:
        return None
    try:
        return images.read(path)
    except MarkerRemoverError:
        return None


def _shown(before: Radiograph, after: Radiograph) -> np.ndarray:
    """(H, W) uint8: the result as it looks, but with the input's own look where the stored pixels are the same: black areas must not
    change how the rest is windowed."""
    shown = after.display[0]
    if after.stored.shape != before.stored.shape or after.stored.dtype != before.stored.dtype:
        return shown
    same = after.stored[0] == before.stored[0]
    return np.where(same.all(axis=-1) if same.ndim == 3 else same, before.display[0], shown)


def tokens(text: str) -> set[str]:
    """The words of a marking that OCR could give away, upper case, without the annotators' notes on how a letter lies.

    >>> sorted(tokens("J. Smith 12-34567 mirrored rot90"))
    ['34567', 'SMITH']
    """
    words = "".join(c if c.isalnum() else " " for c in text).split()
    return {w.upper() for w in words if len(w) >= LEAST_TOKEN and w not in ("mirrored", "rot90", "rot180", "rot270")}


def _reads(element: Element, shown: np.ndarray, reader: Any) -> bool | None:
    """Whether OCR reads a word of a marking in its box of the result, in any of four turns and either contrast."""
    import cv2

    wanted = tokens(element.text)
    if element.kind != "marker" or not wanted:
        return None
    x1, y1, x2, y2 = (int(round(v)) for v in element.xyxy)
    part = shown[max(0, y1 - 4) : y2 + 4, max(0, x1 - 4) : x2 + 4]
    if not part.size or part.max() - int(part.min()) < judging.BLACK:
        return False
    part = cv2.normalize(part, None, 0, 255, cv2.NORM_MINMAX)
    factor = max(1.0, 40 / min(part.shape))
    part = cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    looks = [np.ascontiguousarray(np.rot90(look, k)) for look in (255 - part, part) for k in range(4)]
    read = "".join(c for text, _ in reader.read(looks, psm=7) for c in text.upper() + " " if c.isalnum() or c == " ")
    return any(token in read for token in wanted)


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """What the rows say: a `rate` for every one of `NAMES` (`recall`, `deid`, `retention`, `false_regions` ...) and `harm`, `counts`,
    `by` (marking height, kind of image, photometric interpretation), `patients`, `sentences` and `failures`."""
    whole = _rates(rows)
    by_height: dict[str, list[tuple[Row, int]]] = defaultdict(list)
    for row in rows:
        for index, e in enumerate(row.judged.elements):
            by_height[_height_class(e.height_px)].append((row, index))
    names = [*(f"below {HEIGHTS[0]} px", *(f"{a} to {b} px" for a, b in zip(HEIGHTS, HEIGHTS[1:]))), f"{HEIGHTS[-1]} px and more"]
    heights = {name: _of_elements([r.judged.elements[i] for r, i in by_height[name]]) for name in names if by_height[name]}
    photometric = {name: _rates([r for r in rows if r.photometric == name]) for name in sorted({r.photometric for r in rows} - {""})}
    return {
        **whole,
        "images": len(rows), "missing": sum(r.judged.missing for r in rows),
        "by": {"height": heights, "photometric_interpretation": photometric},
        "sentences": sentences(whole),
        "failures": [failure for row in rows if (failure := _failure(row))],
    }


def _rates(rows: Sequence[Row]) -> dict[str, Any]:
    judged = [row.judged for row in rows]
    elements = [e for j in judged for e in j.elements]
    marked = [[e.good for e in j.elements if e.scored and e.element.kind == "marker"] for j in judged]
    patients: dict[str, list[bool]] = defaultdict(list)
    for row, goods in zip(rows, marked):
        patients[row.patient] += goods
    true, false = sum(j.true_regions for j in judged), sum(len(j.false_regions) for j in judged)
    found = _of_elements(elements)
    leaking = [(j, e) for j in judged for e in j.elements if e.leaks]
    markers = [e for e in elements if e.scored and e.element.kind == "marker"]
    bare = [row for row in rows if not row.judged.annotation.elements and not row.judged.missing]
    read = [r for row in rows for r in row.readable if r is not None]
    total = [j.annotation.shape_hw[0] * j.annotation.shape_hw[1] for j in judged]
    harm = float(np.mean([j.harm for j in judged])) if judged else 0.0
    result = {
        **found,
        "deid": rate(sum(bool(g) and all(g) for g in marked), sum(bool(g) for g in marked)),
        "patients": rate(sum(bool(g) and all(g) for g in patients.values()), sum(bool(g) for g in patients.values())),
        "false_regions": rate(false, true + false + found["retention"]["k"]),
        "harm": {"value": round(1000 * harm, 4), "k": int(round(sum(j.harm * n for j, n in zip(judged, total)))), "n": sum(total),
                 "unit": "per mille of the pixels, mean of the images"},
        "leaks": rate(len(leaking), len(markers)),
        "leaks_beside_signs": rate(sum(_beside_a_sign(j, e) for j, e in leaking), len(markers)),
        "covered": rate(sum(e.covered >= 1 for e in markers), len(markers)),
        "untouched": rate(sum(bool(row.identical) for row in bare), len(bare)),
    }
    return result | ({"readable": rate(sum(read), len(read))} if read else {})


def _of_elements(elements: Iterable[judging.JudgedElement]) -> dict[str, Any]:
    found = {"recall": "marker", "retention": "laterality"}
    scored = [e for e in elements if e.scored]
    return {
        name: rate(sum(e.good for e in scored if e.element.kind == kind), sum(e.element.kind == kind for e in scored))
        for name, kind in found.items()
    }


def _height_class(height: float) -> str:
    if height < HEIGHTS[0]:
        return f"below {HEIGHTS[0]} px"
    for a, b in zip(HEIGHTS, HEIGHTS[1:]):
        if height < b:
            return f"{a} to {b} px"
    return f"{HEIGHTS[-1]} px and more"


def _beside_a_sign(judged: Judged, element: judging.JudgedElement) -> bool:
    for sign in (e.element.xyxy for e in judged.elements if e.element.kind == "laterality"):
        reach = BESIDE * max(sign[2] - sign[0], sign[3] - sign[1])
        for x, y, w, h in element.leaks:
            if x < sign[2] + reach and x + w > sign[0] - reach and y < sign[3] + reach and y + h > sign[1] - reach:
                return True
    return False


def _failure(row: Row) -> dict[str, Any] | None:
    """Where one image is wrong, with boxes in source pixels; None where nothing is."""
    judged = row.judged
    lost = {"marker": "missed", "laterality": "signs lost"}
    found: dict[str, list] = {"missed": [], "signs lost": [], "leaks": [], "false": [list(box) for box in judged.false_regions]}
    for e in judged.elements:
        if e.scored and not e.good and e.element.kind in lost:
            found[lost[e.element.kind]].append([round(v, 1) for v in e.element.xyxy])
        found["leaks"] += [list(box) for box in e.leaks]
    found = {name: boxes for name, boxes in found.items() if boxes}
    return {"image": row.name, "missing": judged.missing, **found} if found or judged.missing else None


def upper_bound(k: int, n: int) -> float:
    """One-sided 95 % bound (Clopper-Pearson) from above of k in n trials, 0-1; 1 for no trials.

    >>> round(upper_bound(0, 50), 3)
    0.058
    """
    from scipy.stats import beta

    return 1.0 if k >= n else float(beta.ppf(0.95, k + 1, n - k))


def sentences(whole: dict[str, Any]) -> list[str]:
    """What the rates mean, in plain words."""
    found = []
    for name, unit, miss in (("deid", "images with markings", "images in which something was left"), ("recall", "markings", "markings left")):
        k, n = whole[name]["n"] - whole[name]["k"], whole[name]["n"]
        if n:
            bound = 100 * upper_bound(k, n)
            found.append(f"{k} {miss} of {n} {unit}: the true rate is below {bound:.1f} % with 95 % confidence.")
    return found


def table(document: dict[str, Any]) -> list[str]:
    """The rates as lines of text."""
    width = max(map(len, NAMES.values()))
    lines = [f"{NAMES[name]:{width}}  {in_words(document[name])}" for name in NAMES if name in document and document[name]["n"]]
    lines.append(f"{'harm to everything else':{width}}  {document['harm']['value']:.2f} per mille of the pixels")
    lines += [f"by height, {name}: removed {in_words(r['recall'])}, kept {in_words(r['retention'])}" for name, r in document["by"]["height"].items()]
    if document["missing"]:
        lines.append(f"{document['missing']} of {document['images']} images have no result: nothing of them counts as removed or kept")
    return [*lines, *document["sentences"]]
