"""The results of a run, ours or any other tool's, against annotated truth: rates with exact intervals, and which images are wrong."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, Callable, Iterable, Sequence

import numpy as np

from . import box_level, breakdown, judging, results, truth
from .errors import UsageError
from .judging import Judged
from .metrics import in_words, rate
from .records import Annotation
from .results import Row

NAMES = {
    "recall": "markings removed", "deid": "images with every marking removed", "retention": "side signs kept",
    "letters_retained": "markings kept as side signs", "false_regions": "false regions", "leaks": "markings of which something leaks", "leaks_beside_signs": "of those, beside a side sign",
    "covered": "markings whose whole box is black", "readable": "markings whose text OCR still reads",
    "untouched": "images without markings left as they were", "patients": "patients with every marking removed",
}
BESIDE = 0.5  # of a sign's longer side: how near a leak beside it is


def evaluate(
    out: Path | str, truth_source: Path | str, inputs: Path | str, *, split: str | None = None, fill: bool = False,
    reader: Callable[[], Any] | None = None, localizer: Callable[[], Any] | None = None, sites: Path | str | None = None,
    classes: Sequence[str] = (), workers: int = 1, progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, Any], list[Row]]:
    """Judge the results in a folder.

    Args:
        out: folder of results; a result has the path of its input, or that of `paths.jsonl` in the audit beside it, or its input's
            name with another suffix.
        truth_source: see `truth.read`.  inputs: folder of the originals.
        split: "FILE.csv=part": only those images of the truth; a column `patient` of the file says whose they are, else the file's name
            up to its first "_" does.
        fill: removed pixels are filled, not black; see `judging.judge`.
        reader: opens an OCR engine, for what is still readable; None leaves that out. With several workers it must be picklable.
        localizer: opens a `detect.Detector` whose ranking of boxes is to be measured, too; None leaves that out.
        sites: CSV file whose column `site` says where an image comes from; by default the first folder of its path among the inputs.
        workers: processes; memory does not depend on the number of images.

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
    there = results.by_name(inputs)
    found = truth.read(truth_source, shape_of=lambda stem: results.shape_of(stem, there), classes=classes)
    tasks = results.tasks(out, inputs, found, _chosen(found, split), there, split, sites, fill)
    rows = []
    for number, row in enumerate(results.judge(tasks, reader, localizer, workers), 1):
        rows.append(row)
        progress(number, len(tasks))
    return summary(rows) | {"run": results.run_of(out)}, rows


def evaluate_boxes(out: Path | str, truth_source: Path | str, *, split: str | None = None) -> dict[str, Any]:
    """Judge a run of ours by its manifest and truth boxes alone, without any image.

    Args:
        out: folder of results, with its audit beside it.  truth_source, split: as for `evaluate`, but no YOLO files, which need images.

    Returns:
        {"published_measures": see `box_level.by_boxes`, "images", "run"}

    Raises:
        AnnotationError, UsageError: as for `evaluate`; also if there is no manifest.
    """
    found = truth.read(truth_source)
    rows = results.manifest(Path(out))
    if not rows:
        raise UsageError(f"{out}: no manifest lies in the audit beside it; without one, results are judged from the images (--inputs)")
    pairs = [(annotation, results.row_of(annotation.image, rows)) for annotation in _chosen(found, split)]
    return {"published_measures": box_level.by_boxes(pairs), "images": len(pairs), "run": results.run_of(Path(out))}


def _chosen(found: truth.Truth, split: str | None) -> list[Annotation]:
    wanted = truth.split_names(split) if split else None
    chosen = [a for a in found.annotations if wanted is None or a.image in wanted]
    if not chosen:
        raise UsageError(f"{found.source}: no image of it is in the split" if split else f"{found.source}: has no images")
    return sorted(chosen, key=lambda a: a.image)


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """What the rows say.

    Returns:
        A `rate` for every one of `NAMES` (`recall`, `deid`, `retention`, `false_regions` ...; `letters_retained` of runs with a manifest), `harm`; `images`, `missing` (counts);
        `by` -> `height`, `kind`, `photometric_interpretation`, `site` -> class -> rates; `sentences`; `failures`, by image name; `published_measures` of a run with a manifest (`box_level.by_boxes`) and `localizer` where it was asked
        (`average_precision.precision_recall`).
    """
    whole = _rates(rows)
    elements = [e for row in rows for e in row.judged.elements]
    document = {
        **whole, "images": len(rows), "missing": sum(r.judged.missing for r in rows),
        "by": {
            "height": _classes(elements, lambda e: breakdown.height(e.height_px), breakdown.heights()),
            "kind": _classes([e for e in elements if e.element.kind != "uncertain"], lambda e: breakdown.kind(e.element)),
            "photometric_interpretation": _groups(rows, lambda row: row.photometric), "site": _groups(rows, lambda row: row.site),
        },
        "sentences": sentences(whole),
        "failures": [failure for row in rows if (failure := _failure(row))],
    }
    if any(row.manifest for row in rows):
        document["published_measures"] = box_level.by_boxes([(row.judged.annotation, row.manifest) for row in rows])
    if rows and all(row.detections is not None for row in rows):
        from .average_precision import precision_recall

        document["localizer"] = precision_recall([(row.judged.annotation, row.detections) for row in rows])
    return document


def _classes(
    elements: Sequence[judging.JudgedElement], class_of: Callable[[judging.JudgedElement], str], order: Sequence[str] | None = None
) -> dict[str, Any]:
    """Class -> rates of its elements; a rate without any is left out."""
    found: dict[str, list[judging.JudgedElement]] = defaultdict(list)
    for element in elements:
        found[class_of(element)].append(element)
    rates = {name: {key: r for key, r in _of_elements(found[name]).items() if r["n"]} for name in order or sorted(found) if name in found}
    return {name: r for name, r in rates.items() if r}


def _groups(rows: Sequence[Row], group_of: Callable[[Row], str]) -> dict[str, Any]:
    """Group -> all rates of its images; nothing for those that belong to none."""
    return {name: _rates([r for r in rows if group_of(r) == name]) for name in sorted({group_of(r) for r in rows} - {""})}


def by_patient(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Patient -> `images`, `markings` and those `removed`, `signs` and those `kept`."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        entry = found.setdefault(row.patient, {"images": 0, "markings": 0, "removed": 0, "signs": 0, "kept": 0})
        entry["images"] += 1
        rates = _of_elements(row.judged.elements)
        for (all_of, good), name in ((("markings", "removed"), "recall"), (("signs", "kept"), "retention")):
            entry[all_of] += rates[name]["n"]
            entry[good] += rates[name]["k"]
    return found


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
    own = [(row, e) for row in rows if row.manifest is not None for e in row.judged.elements if e.scored and e.element.kind == "marker"]
    if any(row.manifest is not None for row in rows):
        result["letters_retained"] = rate(sum(_in_a_kept_box(row, e) for row, e in own), len(own))
    return result | ({"readable": rate(sum(read), len(read))} if read else {})


def _in_a_kept_box(row: Row, element: judging.JudgedElement) -> bool:
    """Whether strokes of a marking stay where the run's own manifest says that a side sign was kept."""
    kept = [box["xyxy"] for box in row.manifest["boxes"] if box["frame"] == 0 and box["action"] == "keep"]
    middles = [(x + w / 2, y + h / 2) for x, y, w, h in element.leaks]
    return any(a <= x < c and b <= y < d for x, y in middles for a, b, c, d in kept)


def _of_elements(elements: Iterable[judging.JudgedElement]) -> dict[str, Any]:
    found = {"recall": "marker", "retention": "laterality"}
    scored = [e for e in elements if e.scored]
    return {
        name: rate(sum(e.good for e in scored if e.element.kind == kind), sum(e.element.kind == kind for e in scored))
        for name, kind in found.items()
    }


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
    for title, classes in (("height", document["by"]["height"]), ("kind", document["by"]["kind"]), ("site", document["by"]["site"])):
        for name, rates in classes.items():
            told = [f"{word} {in_words(rates[key])}" for key, word in (("recall", "removed"), ("retention", "kept")) if key in rates and rates[key]["n"]]
            lines.append(f"by {title}, {name}: {', '.join(told) or 'nothing to count'}")
    if "published_measures" in document:
        lines += published_lines(document)
    if "localizer" in document:
        found = document["localizer"]
        lines.append(f"localizer: mAP-50 {found['map50']}; as one kind: AP-50 {found['any marking']['ap50']}, AUPRC {found['any marking']['auprc']}")
    if document["missing"]:
        lines.append(f"{document['missing']} of {document['images']} images have no result: nothing of them counts as removed or kept")
    return [*lines, *document["sentences"]]


def published_lines(document: dict[str, Any]) -> list[str]:
    """The publication's measures as lines of text."""
    return [f"by boxes, {box_level.NAMES[name]}: {in_words(value)}" for name, value in document["published_measures"].items()]
