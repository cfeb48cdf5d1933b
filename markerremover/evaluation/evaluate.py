"""The results of a run, ours or any other tool's, against annotated truth: rates with exact intervals, and which images are wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..audit.manifest_files import SCHEMA
from ..errors import AnnotationError, UsageError
from ..formats import placement
from ..labels import image_names, truth
from ..records import Annotation
from . import box_measures, breakdown, image_matching, judge, results
from .image_matching import Images
from .judge import Judged
from .metrics import Counts, in_words, rate
from .results import Row

NAMES = {
    "recall": "annotations removed", "deid": "images with every annotation removed", "retention": "laterality markers retained",
    "letters_retained": "other annotations retained as laterality markers", "false_regions": "false-positive regions", "leaks": "annotations of which something leaks", "leaks_beside_markers": "of those, beside a laterality marker",
    "covered": "markings whose whole box is black", "readable": "markings whose text OCR still reads",
    "untouched": "images without annotations left as they were", "patients": "patients with every annotation removed",
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
        split: "FILE.csv=part": only those images of the truth; a column `patient` of the file says whose they are, else `annotate` or the
            DICOM header does, else nothing: patients are then not counted.
        fill: removed pixels are filled, not black; see `judge.judge`.
        reader: opens an OCR engine, for what is still readable; None leaves that out. With several workers it must be picklable.
        localizer: opens a `localizer.Detector` whose ranking of boxes is to be measured, too; None leaves that out.
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
    found, there = truth.read(truth_source, classes=classes), results.originals(inputs)
    chosen, notes = choose(found, split, there, lambda label, path: results.shape_of(inputs / path))
    tasks = results.tasks(out, inputs, chosen, there, split, sites, fill)
    rows = []
    for number, row in enumerate(results.judge(tasks, reader, localizer, workers), 1):
        rows.append(row)
        progress(number, len(tasks))
    return summary(rows) | {"notes": notes, "run": results.run_of(out)}, rows


def evaluate_boxes(out: Path | str, truth_source: Path | str, *, split: str | None = None) -> dict[str, Any]:
    """Judge a run of ours by its manifest and truth boxes alone, without any image.

    Args:
        out: folder of results, with its audit beside it.  truth_source, split: as for `evaluate`, but no YOLO files, which need images.

    Returns:
        {"published_measures": see `box_measures.measures`, "images", "images_without_annotations", "run", "notes"}

    Raises:
        AnnotationError, UsageError: as for `evaluate`; also if there is no manifest.
    """
    found = truth.read(truth_source)
    there, rows = results.of_manifest(Path(out))
    if not rows:
        raise UsageError(f"{out}: no manifest lies in the audit beside it; without one, results are judged from the images (--inputs)")
    chosen, notes = choose(found, split, there, _no_size)
    counts = sum((box_measures.of_row(_placed(annotation, rows[path]), rows[path]) for path, _, annotation in chosen), Counts())
    return {**_published(counts), "images": len(chosen), "run": results.run_of(Path(out)), "notes": notes}


def _placed(annotation: Annotation, row: dict[str, Any]) -> Annotation:
    """An annotation in the stored pixels of its image, as far as the manifest's row knows it."""
    if len(row.get("shape") or ()) < 3:
        return annotation
    frames, h, w = row["shape"][:3]
    layout = placement.Layout((h, w), row.get("orientation", 1), row.get("format") == "JPEG", frames)
    try:
        return placement.placed(annotation, layout)
    except AnnotationError as error:
        raise AnnotationError(f"{annotation.image}: its truth {error}") from None


def _no_size(label: truth.Label, path: str) -> tuple[int, int]:
    raise UsageError(f"{label.source}: says no image size, so the images are needed: give their folder with --inputs")


def choose(
    found: truth.Truth, split: str | None, there: Images, shape_of: Callable[[truth.Label, str], tuple[int, int]]
) -> tuple[list[tuple[str, str, Annotation]], list[str]]:
    """(path, patient or "", annotation) of each image to be judged, by path, and what is to be said of the truth, a sentence each.

    Args:
        split: see `evaluate`.  there: the images that it may be about.
        shape_of: a label and the path of its image -> rows and columns; asked where the label does not say them.

    Raises:
        AnnotationError: see `image_matching.matched` and `truth.annotations`.
        UsageError: there is nothing to judge, or a row of the split has no annotation or could mean several.
    """
    labels = _of_split(found, split, there) if split else found.labels
    if not labels:
        raise UsageError(f"{found.source}: has no images")
    paths = dict(zip(map(id, labels), image_matching.matched(labels, there)))
    for label in labels:
        if label.frame:
            raise AnnotationError(f"{label.source}: is about frame {label.frame + 1} of {paths[id(label)]}; only files of one frame are judged")
    annotations, notes = truth.annotations(labels, lambda label: shape_of(label, paths[id(label)]))
    chosen = [(paths[id(label)], label.patient, annotation) for label, annotation in zip(labels, annotations)]
    others = {p for p in there.paths if Path(p).suffix.lower() in image_names.SUFFIXES} - set(paths.values())
    told = [f"{len(others)} other images have no annotation and were not judged"] if others and not split else []
    return sorted(chosen, key=lambda c: c[0]), [*found.notes, *notes, *told]


def _of_split(found: truth.Truth, split: str, there: Images) -> list[truth.Label]:
    """The labels of the images of a part of a split, named by what the truth calls them, or by their path."""
    named: dict[str, dict[int, truth.Label]] = defaultdict(dict)
    for label in found.labels:
        relative = [claim for claim in label.claims if not PurePosixPath(claim).is_absolute()]
        for name in {label.image, *relative, *(there.of_hash(label) if label.sha256 else ())}:
            named[name][id(label)] = label
    names, chosen = image_names.ImageNames(named), {}
    for said in sorted(truth.split_names(split)):
        meant = {key: label for name in names.meant(said) for key, label in named[name].items()}
        if len(meant) != 1:
            what = "has no annotation" if not meant else "could be several images: write its path"
            raise UsageError(f"{split}: {said} {what} ({found.source})")
        chosen |= meant
    return list(chosen.values())


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """What the rows say.

    Returns:
        A `rate` for every one of `NAMES` (`recall`, `deid`, `retention`, `false_regions` ...; `letters_retained` of runs with a manifest),
        `anatomy_removed`; `images`, `missing` (counts); `by` -> `height`, `kind`, `photometric_interpretation`, `site` -> class -> rates; `sentences`;
        `failures`, by image name; of a run with a manifest what `published` gives; and `localizer` where it was asked
        (`average_precision.precision_recall`).
    """
    whole = _rates(rows)
    elements = [e for row in rows for e in row.judged.elements]
    document = {
        "schema": SCHEMA, **whole, "images": len(rows), "missing": sum(r.judged.missing for r in rows),
        "by": {
            "height": _classes(elements, lambda e: breakdown.height(e.height_px), breakdown.heights()),
            "kind": _classes([e for e in elements if e.element.kind != "uncertain"], lambda e: breakdown.kind(e.element)),
            "photometric_interpretation": _groups(rows, lambda row: row.photometric), "site": _groups(rows, lambda row: row.site),
        },
        "sentences": sentences(whole),
        "failures": [failure for row in rows if (failure := _failure(row))],
    }
    if any(row.manifest for row in rows):
        document |= published(rows)
    if rows and all(row.detections is not None for row in rows):
        from .average_precision import precision_recall

        document["localizer"] = precision_recall([(row.judged.annotation, row.detections) for row in rows])
    return document


def published(rows: Sequence[Row]) -> dict[str, Any]:
    """`published_measures` (`box_measures.measures`), and how many `images_without_annotations` its first one leaves out."""
    return _published(sum((box_measures.of_row(row.judged.annotation, row.manifest, row.judged) for row in rows), Counts()))


def _published(counts: Counts) -> dict[str, Any]:
    return {"published_measures": box_measures.measures(counts), "images_without_annotations": counts.images - counts.marked}


def _classes(
    elements: Sequence[judge.JudgedElement], class_of: Callable[[judge.JudgedElement], str], order: Sequence[str] | None = None
) -> dict[str, Any]:
    """Class -> rates of its elements; a rate without any is left out."""
    found: dict[str, list[judge.JudgedElement]] = defaultdict(list)
    for element in elements:
        found[class_of(element)].append(element)
    rates = {name: {key: r for key, r in _of_elements(found[name]).items() if r["n"]} for name in order or sorted(found) if name in found}
    return {name: r for name, r in rates.items() if r}


def _groups(rows: Sequence[Row], group_of: Callable[[Row], str]) -> dict[str, Any]:
    """Group -> all rates of its images; nothing for those that belong to none."""
    return {name: _rates([r for r in rows if group_of(r) == name]) for name in sorted({group_of(r) for r in rows} - {""})}


def by_patient(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Patient -> `images`, `annotations` and those `removed`, `laterality_markers` and those `retained`; without images whose patient is not known."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        if not row.patient:
            continue
        entry = found.setdefault(row.patient, {"images": 0, "annotations": 0, "removed": 0, "laterality_markers": 0, "retained": 0})
        entry["images"] += 1
        rates = _of_elements(row.judged.elements)
        for (all_of, good), name in ((("annotations", "removed"), "recall"), (("laterality_markers", "retained"), "retention")):
            entry[all_of] += rates[name]["n"]
            entry[good] += rates[name]["k"]
    return found


def _rates(rows: Sequence[Row]) -> dict[str, Any]:
    judged = [row.judged for row in rows]
    elements = [e for j in judged for e in j.elements]
    marked = [[e.good for e in j.elements if e.scored and e.element.kind == "marker"] for j in judged]
    patients: dict[str, list[bool]] = defaultdict(list)
    for row, goods in zip(rows, marked):
        if row.patient:
            patients[row.patient] += goods
    true, false = sum(j.true_regions for j in judged), sum(len(j.false_regions) for j in judged)
    found = _of_elements(elements)
    leaking = [(j, e) for j in judged for e in j.elements if e.leaks]
    markers = [e for e in elements if e.scored and e.element.kind == "marker"]
    bare = [row for row in rows if not row.judged.annotation.elements and not row.judged.missing]
    read = [r for row in rows for r in row.readable if r is not None]
    total = [j.annotation.shape_hw[0] * j.annotation.shape_hw[1] for j in judged]
    anatomy_removed = float(np.mean([j.anatomy_removed for j in judged])) if judged else 0.0
    result = {
        **found,
        "deid": rate(sum(bool(g) and all(g) for g in marked), sum(bool(g) for g in marked)),
        "patients": rate(sum(bool(g) and all(g) for g in patients.values()), sum(bool(g) for g in patients.values())),
        "false_regions": rate(false, true + false + found["retention"]["k"]),
        "anatomy_removed": {"value": round(1000 * anatomy_removed, 4), "k": int(round(sum(j.anatomy_removed * n for j, n in zip(judged, total)))), "n": sum(total),
                 "unit": "per mille of the pixels, mean of the images"},
        "leaks": rate(len(leaking), len(markers)),
        "leaks_beside_markers": rate(sum(_beside_a_marker(j, e) for j, e in leaking), len(markers)),
        "covered": rate(sum(e.covered >= 1 for e in markers), len(markers)),
        "untouched": rate(sum(bool(row.identical) for row in bare), len(bare)),
    }
    own = [(row, e) for row in rows if row.manifest is not None for e in row.judged.elements if e.scored and e.element.kind == "marker"]
    if any(row.manifest is not None for row in rows):
        result["letters_retained"] = rate(sum(_in_a_kept_box(row, e) for row, e in own), len(own))
    return result | ({"readable": rate(sum(read), len(read))} if read else {})


def _in_a_kept_box(row: Row, element: judge.JudgedElement) -> bool:
    """Whether strokes of a marking stay where the run's own manifest says that a laterality marker was retained."""
    kept = [box["xyxy"] for box in row.manifest["boxes"] if box["frame"] == 0 and box["action"] == "keep"]
    middles = [(x + w / 2, y + h / 2) for x, y, w, h in element.leaks]
    return any(a <= x < c and b <= y < d for x, y in middles for a, b, c, d in kept)


def _of_elements(elements: Iterable[judge.JudgedElement]) -> dict[str, Any]:
    found = {"recall": "marker", "retention": "laterality"}
    scored = [e for e in elements if e.scored]
    return {
        name: rate(sum(e.good for e in scored if e.element.kind == kind), sum(e.element.kind == kind for e in scored))
        for name, kind in found.items()
    }


def _beside_a_marker(judged: Judged, element: judge.JudgedElement) -> bool:
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
    from scipy.stats import binomtest

    return 1.0 if k >= n else float(binomtest(k, n, alternative="less").proportion_ci(0.95, method="exact").high)


def sentences(whole: dict[str, Any]) -> list[str]:
    """What the rates mean, in plain words."""
    found = []
    for name, unit, miss in (("deid", "images with annotations", "images in which something was left"), ("recall", "annotations", "annotations left")):
        k, n = whole[name]["n"] - whole[name]["k"], whole[name]["n"]
        if n:
            bound = 100 * upper_bound(k, n)
            found.append(f"{k} {miss} of {n} {unit}: the true rate is below {bound:.1f} % with 95 % confidence.")
    return found


def table(document: dict[str, Any]) -> list[str]:
    """The rates as lines of text."""
    width = max(map(len, NAMES.values()))
    lines = [f"{NAMES[name]:{width}}  {in_words(document[name])}" for name in NAMES if name in document and document[name]["n"]]
    lines.append(f"{'anatomy removed':{width}}  {document['anatomy_removed']['value']:.2f} per mille of the pixels")
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
    """Khosravi et al.'s measures as lines of text."""
    bare = document["images_without_annotations"]
    left = f"; {bare} radiographs without such markings are left out" if bare else ""
    return [f"as published, {box_measures.NAMES[name]}: {in_words(value)}{left if name == 'deidentification_accuracy' else ''}"
            for name, value in document["published_measures"].items()]
