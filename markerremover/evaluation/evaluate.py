"""The results of a run, ours or any other tool's, against annotated truth: rates with exact intervals, and the images with errors."""

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
from ..records import LATERALITY, MARKER, UNCERTAIN, Annotation
from ..system.wording import counted, verb
from . import box_measures, breakdown, image_matching, judge, results
from .image_matching import Images
from .judge import Judged
from .metrics import Counts, in_words, rate
from .results import Row

NAMES = {
    "recall": "annotations removed", "deid": "images with every annotation removed", "retention": "laterality markers retained",
    "letters_retained": "other annotations retained as laterality markers", "false_regions": "false-positive regions",
    "leaks": "annotations of which something leaks", "leaks_beside_markers": "of those, beside a laterality marker",
    "filled_alike": "annotations filled with about their own brightness",
    "covered": "annotations whose whole box is black", "readable": "annotations whose text OCR still reads",
    "untouched": "images without annotations left as they were", "patients": "patients with every annotation removed",
}
BESIDE = 0.5  # greatest distance of a leak beside a laterality marker, as a fraction of the marker's longer side


def evaluate(
    out: Path | str, truth_source: Path | str, inputs: Path | str, *, split: str | None = None, fill: bool = False,
    reader: Callable[[], Any] | None = None, localizer: Callable[[], Any] | None = None, sites: Path | str | None = None,
    classes: Sequence[str] = (), workers: int = 1, progress: Callable[[int, int], None] = lambda count, total: None,
) -> tuple[dict[str, Any], list[Row]]:
    """Judge the results in a folder.

    Args:
        out: folder of results; a result has the path of its input, or that of `paths.jsonl` in the audit beside it, or its input's
            name with another suffix.
        truth_source: see `truth.read`.  inputs: folder of the originals.
        split: "FILE.csv=part": only those images of the truth; the patient is that of its column `patient`, else of `annotate` or the
            DICOM header, else unknown: then it is not counted by patient.
        fill: removed pixels are filled, not black; see `judge.judge`.
        reader: opens an OCR engine, to measure text that is still readable; None leaves that out. With several workers it must be picklable.
        localizer: opens a `localizer.Detector` whose ranking of boxes is measured too; None leaves that out.
        sites: CSV file whose column `site` names the site of an image; by default the first folder of its path among the inputs.
        classes: see `truth.read`.
        workers: processes; memory does not depend on the number of images.
        progress: called with (images judged, all images) after each.

    Returns:
        The JSON document, see `summary`, and one row per image, by path.

    Raises:
        AnnotationError: the truth is invalid or does not fit an image, or an image of it is missing, there twice or unreadable.
        UsageError: a folder is missing, or nothing is left to judge.
    """
    out, inputs = Path(out), Path(inputs)
    for folder in (out, inputs):
        if not folder.is_dir():
            raise UsageError(f"{folder}: there is no such folder")
    labelled, candidates = truth.read(truth_source, classes=classes), results.originals(inputs)
    selection, notes = choose(labelled, split, candidates, lambda label, path: results.shape_of(inputs / path))
    tasks = results.tasks(out, inputs, selection, candidates, split, sites, fill)
    rows = []
    for number, row in enumerate(results.judge(tasks, reader, localizer, workers), 1):
        rows.append(row)
        progress(number, len(tasks))
    return summary(rows) | {"notes": notes, "run": results.run_of(out)}, rows


def evaluate_boxes(out: Path | str, truth_source: Path | str, *, split: str | None = None) -> dict[str, Any]:
    """Judge a run of ours by its manifest and truth boxes alone, without any image.

    Args:
        out: folder of results, with its audit beside it.  truth_source, split: as for `evaluate`, but YOLO files are refused, since they need images.

    Returns:
        {"published_measures": see `box_measures.measures`, "images", "images_without_annotations", "run", "notes"}

    Raises:
        AnnotationError, UsageError: as for `evaluate`; UsageError also if there is no manifest.
    """
    labelled = truth.read(truth_source)
    candidates, rows = results.of_manifest(Path(out))
    if not rows:
        raise UsageError(f"{out}: no manifest lies in the audit beside it; without one, results are judged from the images (--inputs)")
    selection, notes = choose(labelled, split, candidates, _no_size)
    counts = sum((box_measures.of_row(_placed(annotation, rows[path]), rows[path]) for path, _, annotation in selection), Counts())
    return {**_published(counts), "images": len(selection), "run": results.run_of(Path(out)), "notes": notes}


def _placed(annotation: Annotation, row: dict[str, Any]) -> Annotation:
    """An annotation in the stored pixels of its image; as it is if the manifest's row has no image shape."""
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
    labelled: truth.Truth, split: str | None, candidates: Images, shape_of: Callable[[truth.Label, str], tuple[int, int]]
) -> tuple[list[tuple[str, str, Annotation]], list[str]]:
    """(path, patient or "", annotation) of each image to be judged, by path, and notes on the truth, one sentence each.

    Args:
        split: see `evaluate`.  candidates: the images that labels may be matched to.
        shape_of: a label and the path of its image -> (H, W); called where the label has no image size.

    Raises:
        AnnotationError: see `image_matching.matched` and `truth.to_annotations`.
        UsageError: there is nothing to judge, or a row of the split has no annotation or matches several.
    """
    labels = _of_split(labelled, split, candidates) if split else labelled.labels
    if not labels:
        raise UsageError(f"{labelled.source}: has no images")
    paths = dict(zip(map(id, labels), image_matching.matched(labels, candidates)))
    for label in labels:
        if label.frame:
            raise AnnotationError(f"{label.source}: is about frame {label.frame + 1} of {paths[id(label)]}; only files of one frame are judged")
    annotations, notes = truth.to_annotations(labels, lambda label: shape_of(label, paths[id(label)]))
    entries = [(paths[id(label)], label.patient, annotation) for label, annotation in zip(labels, annotations)]
    others = {p for p in candidates.paths if Path(p).suffix.lower() in image_names.SUFFIXES} - set(paths.values())
    unjudged = [f"{counted(len(others), 'other image')} without an annotation: not judged"] if others and not split else []
    return sorted(entries, key=lambda c: c[0]), [*labelled.notes, *notes, *unjudged]


def _of_split(labelled: truth.Truth, split: str, candidates: Images) -> list[truth.Label]:
    """The labels of the images in a part of a split, found by the image name in the truth or by path."""
    by_name: dict[str, dict[int, truth.Label]] = defaultdict(dict)
    for label in labelled.labels:
        relative = [claim for claim in label.claims if not PurePosixPath(claim).is_absolute()]
        for name in {label.image, *relative, *(candidates.of_hash(label) if label.sha256 else ())}:
            by_name[name][id(label)] = label
    names = image_names.ImageNames(by_name)
    selection: dict[int, truth.Label] = {}
    for entry in sorted(truth.split_names(split)):
        matches = {key: label for name in names.meant(entry) for key, label in by_name[name].items()}
        if len(matches) != 1:
            problem = "has no annotation" if not matches else "could be several images: write its path"
            raise UsageError(f"{split}: {entry} {problem} ({labelled.source})")
        selection |= matches
    return list(selection.values())


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The rows as one JSON document.

    Returns:
        A `rate` for every one of `NAMES` (`recall`, `deid`, `retention`, `false_regions` ...; `letters_retained` of runs with a manifest),
        `anatomy_removed`; `images`, `missing` (counts); `by` -> `height`, `kind`, `photometric_interpretation`, `site` -> class -> rates; `sentences`;
        `failures`, by image name; of a run with a manifest what `published` gives; and `localizer` (`average_precision.precision_recall`)
        where its detections were measured.
    """
    rates = _rates(rows)
    elements = [e for row in rows for e in row.judged.elements]
    document = {
        "schema": SCHEMA, **rates, "images": len(rows), "missing": sum(r.judged.missing for r in rows),
        "by": {
            "height": _classes(elements, lambda e: breakdown.height(e.height_px), breakdown.heights()),
            "kind": _classes([e for e in elements if e.element.kind != UNCERTAIN], lambda e: breakdown.kind(e.element)),
            "photometric_interpretation": _groups(rows, lambda row: row.photometric), "site": _groups(rows, lambda row: row.site),
        },
        "sentences": sentences(rates),
        "failures": [failure for row in rows if (failure := _failure(row))],
    }
    if any(row.manifest for row in rows):
        document |= published(rows)
    pairs = [(row.judged.annotation, row.detections) for row in rows if row.detections is not None]
    if rows and len(pairs) == len(rows):
        from .average_precision import precision_recall

        document["localizer"] = precision_recall(pairs)
    return document


def published(rows: Sequence[Row]) -> dict[str, Any]:
    """`published_measures` (`box_measures.measures`), and the number of `images_without_annotations`, which the first one excludes."""
    return _published(sum((box_measures.of_row(row.judged.annotation, row.manifest, row.judged) for row in rows), Counts()))


def _published(counts: Counts) -> dict[str, Any]:
    return {"published_measures": box_measures.measures(counts), "images_without_annotations": counts.images - counts.marked}


def _classes(
    elements: Sequence[judge.JudgedElement], class_of: Callable[[judge.JudgedElement], str], order: Sequence[str] | None = None
) -> dict[str, Any]:
    """Class -> rates of its elements; rates without elements are left out."""
    of_class: dict[str, list[judge.JudgedElement]] = defaultdict(list)
    for element in elements:
        of_class[class_of(element)].append(element)
    rates = {name: {key: r for key, r in _of_elements(of_class[name]).items() if r["n"]} for name in order or sorted(of_class) if name in of_class}
    return {name: r for name, r in rates.items() if r}


def _groups(rows: Sequence[Row], group_of: Callable[[Row], str]) -> dict[str, Any]:
    """Group -> all rates of its images; images without a group are left out."""
    return {name: _rates([r for r in rows if group_of(r) == name]) for name in sorted({group_of(r) for r in rows} - {""})}


def by_patient(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Patient -> `images`, `annotations` and those `removed`, `laterality_markers` and those `retained`; images of unknown patients are left out."""
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        if not row.patient:
            continue
        entry = counts.setdefault(row.patient, {"images": 0, "annotations": 0, "removed": 0, "laterality_markers": 0, "retained": 0})
        entry["images"] += 1
        rates = _of_elements(row.judged.elements)
        for (all_of, good), name in ((("annotations", "removed"), "recall"), (("laterality_markers", "retained"), "retention")):
            entry[all_of] += rates[name]["n"]
            entry[good] += rates[name]["k"]
    return counts


def _rates(rows: Sequence[Row]) -> dict[str, Any]:
    judged = [row.judged for row in rows]
    elements = [e for j in judged for e in j.elements]
    marked = [[e.good for e in j.elements if e.scored and e.element.kind == MARKER] for j in judged]
    patients: dict[str, list[bool]] = defaultdict(list)
    for row, goods in zip(rows, marked):
        if row.patient:
            patients[row.patient] += goods
    true, false = sum(j.true_regions for j in judged), sum(len(j.false_regions) for j in judged)
    of_elements = _of_elements(elements)
    leaking = [(j, e) for j in judged for e in j.elements if e.leaks]
    markers = [e for e in elements if e.scored and e.element.kind == MARKER]
    bare = [row for row in rows if not row.judged.annotation.elements and not row.judged.missing]
    readings = [r for row in rows for r in row.readable if r is not None]
    total = [j.annotation.shape_hw[0] * j.annotation.shape_hw[1] for j in judged]
    anatomy_removed = float(np.mean([j.anatomy_removed for j in judged])) if judged else 0.0
    result = {
        **of_elements,
        "deid": rate(sum(bool(g) and all(g) for g in marked), sum(bool(g) for g in marked)),
        "patients": rate(sum(bool(g) and all(g) for g in patients.values()), sum(bool(g) for g in patients.values())),
        "false_regions": rate(false, true + false + of_elements["retention"]["k"]),
        "anatomy_removed": {
            "value": round(1000 * anatomy_removed, 4), "k": int(round(sum(j.anatomy_removed * n for j, n in zip(judged, total)))), "n": sum(total),
            "unit": "per mille of the pixels, mean of the images",
        },
        "leaks": rate(len(leaking), len(markers)),
        "leaks_beside_markers": rate(sum(_beside_a_marker(j, e) for j, e in leaking), len(markers)),
        "covered": rate(sum(e.covered >= 1 for e in markers), len(markers)),
        "untouched": rate(sum(bool(row.identical) for row in bare), len(bare)),
    }
    markers_of_run = [(row, e) for row in rows if row.manifest is not None for e in row.judged.elements if e.scored and e.element.kind == MARKER]
    if any(row.manifest is not None for row in rows):
        result["letters_retained"] = rate(sum(_in_a_kept_box(row, e) for row, e in markers_of_run), len(markers_of_run))
    if any(e.alike for e in markers):
        result["filled_alike"] = rate(sum(e.alike for e in markers), len(markers))
    return result | ({"readable": rate(sum(readings), len(readings))} if readings else {})


def _in_a_kept_box(row: Row, element: judge.JudgedElement) -> bool:
    """Whether strokes of an annotation are left in a box that the run's manifest retains as a laterality marker."""
    boxes = row.manifest["boxes"] if row.manifest else ()
    retained = [box["xyxy"] for box in boxes if box["frame"] == 0 and box["action"] == "keep"]
    centres = [(x + w / 2, y + h / 2) for x, y, w, h in element.leaks]
    return any(a <= x < c and b <= y < d for x, y in centres for a, b, c, d in retained)


def _of_elements(elements: Iterable[judge.JudgedElement]) -> dict[str, Any]:
    kind_of = {"recall": MARKER, "retention": LATERALITY}
    scored = [e for e in elements if e.scored]
    return {
        name: rate(sum(e.good for e in scored if e.element.kind == kind), sum(e.element.kind == kind for e in scored))
        for name, kind in kind_of.items()
    }


def _beside_a_marker(judged: Judged, element: judge.JudgedElement) -> bool:
    """Whether any leak of an element lies within `BESIDE` of a laterality marker."""
    for marker in (e.element.xyxy for e in judged.elements if e.element.kind == LATERALITY):
        reach = BESIDE * max(marker[2] - marker[0], marker[3] - marker[1])
        for x, y, w, h in element.leaks:
            if x < marker[2] + reach and x + w > marker[0] - reach and y < marker[3] + reach and y + h > marker[1] - reach:
                return True
    return False


def _failure(row: Row) -> dict[str, Any] | None:
    """The errors in one image, with boxes in source pixels (elements xyxy, leaks and false-positive regions xywh); None without errors."""
    judged = row.judged
    error_of = {MARKER: "missed", LATERALITY: "laterality markers lost"}
    errors: dict[str, list] = {"missed": [], "laterality markers lost": [], "leaks": [], "false": [list(box) for box in judged.false_regions]}
    for e in judged.elements:
        if e.scored and not e.good and e.element.kind in error_of:
            errors[error_of[e.element.kind]].append([round(v, 1) for v in e.element.xyxy])
        errors["leaks"] += [list(box) for box in e.leaks]
    errors = {name: boxes for name, boxes in errors.items() if boxes}
    return {"image": row.name, "missing": judged.missing, **errors} if errors or judged.missing else None


def upper_bound(k: int, n: int) -> float:
    """One-sided upper 95 % bound (Clopper-Pearson) of k in n trials, 0-1; 1 for no trials.

    >>> round(upper_bound(0, 50), 3)
    0.058
    """
    from scipy.stats import binomtest

    return 1.0 if k >= n else float(binomtest(k, n, alternative="less").proportion_ci(0.95, method="exact").high)


def sentences(rates: dict[str, Any]) -> list[str]:
    """Upper bounds of what was left, one sentence per measure."""
    text = []
    for name, unit, leftover in (("deid", "images with annotations", "images in which something was left"), ("recall", "annotations", "annotations left")):
        k, n = rates[name]["n"] - rates[name]["k"], rates[name]["n"]
        if n:
            bound = 100 * upper_bound(k, n)
            text.append(f"{k} {leftover} of {n} {unit}: the true rate is below {bound:.1f} % with 95 % confidence.")
    return text


def table(document: dict[str, Any]) -> list[str]:
    """The rates as lines of text."""
    shown = [name for name in NAMES if name in document and document[name]["n"]]
    width = max((len(NAMES[name]) for name in shown), default=0)
    lines = [f"{NAMES[name]:{width}}  {in_words(document[name])}" for name in shown]
    lines.append(f"{'anatomy removed':{width}}  {document['anatomy_removed']['value']:.2f} per mille of the pixels")
    for title, classes in (("height", document["by"]["height"]), ("kind", document["by"]["kind"]), ("site", document["by"]["site"])):
        for name, rates in classes.items():
            cells = [f"{word} {in_words(rates[key])}" for key, word in (("recall", "removed"), ("retention", "retained")) if key in rates and rates[key]["n"]]
            lines.append(f"by {title}, {name}: {', '.join(cells) or 'nothing to count'}")
    if "published_measures" in document:
        lines += published_lines(document)
    if "localizer" in document:
        localizer = document["localizer"]
        as_one = localizer["any annotation"]
        lines.append(f"localizer: mAP-50 {localizer['map50']}; as one kind: AP-50 {as_one['ap50']}, AUPRC {as_one['auprc']}")
    if document["missing"]:
        lines.append(f"{document['missing']} of {counted(document['images'], 'image')} {verb(document['missing'], 'has', 'have')} no result: nothing there counts as removed or retained")
    return [*lines, *document["sentences"]]


def published_lines(document: dict[str, Any]) -> list[str]:
    """Khosravi et al.'s measures as lines of text."""
    bare = document["images_without_annotations"]
    exclusion = f"; {counted(bare, 'radiograph')} without such annotations left out" if bare else ""
    return [f"as published, {box_measures.NAMES[name]}: {in_words(value)}{exclusion if name == 'deidentification_accuracy' else ''}"
            for name, value in document["published_measures"].items()]
