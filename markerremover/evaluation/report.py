"""The page of an evaluation: figures, plots, and every failure enlarged, before beside after. It shows originals, so only its owner may
read it, and it loads nothing from the network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..audit import report_pages
from ..errors import MarkerRemoverError, UsageError, WriteError
from ..formats import read_apart
from ..records import LATERALITY, MARKER
from ..system.files import write_private
from . import box_measures, breakdown, results
from .average_precision import ANY
from .evaluate import NAMES, by_patient
from .metrics import in_words, rate
from .results import Row

SIDE_PX = 300  # longer side of an enlarged picture, pixels
AROUND = 1.2  # margin shown on each side of a box, as a fraction of the box's longer side
LEAST_AROUND = 24  # smallest margin, source pixels
#: Kind of error, a key of `failures` in the JSON document -> colour of its outline, RGB.
FAILURES = {"missed": (255, 60, 60), "laterality markers lost": (0, 190, 255), "leaks": (255, 150, 0), "false": (255, 0, 255)}


def write(folder: Path | str, document: Mapping[str, Any], rows: Sequence[Row], inputs: Path | str, out: Path | str) -> Path:
    """Write index.html, its plots and pictures into a new folder; the path of index.html.

    Args:
        document, rows: of `evaluation.evaluate`.  inputs, out: the folders it was called with.

    Raises:
        UsageError: the folder exists, or matplotlib is not installed (extra `evaluate`).
        WriteError: the folder or a picture cannot be written; nothing of it is left.
    """
    folder = Path(folder)
    if folder.exists():
        raise UsageError(f"{folder}: is there already; remove it or choose another folder")
    pyplot = _pyplot()
    try:
        for place in (folder, folder / "pictures"):
            place.mkdir(parents=True)
            os.chmod(place, 0o700)
        plots = _plots(pyplot, folder, document, rows)
        gallery = [_figures(folder / "pictures", number, row, Path(inputs), Path(out), failure)
                   for number, (row, failure) in enumerate(_failed(document, rows))]
        write_private(folder / "index.html", page(document, by_patient(rows), plots, gallery))
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise WriteError(f"{folder}: cannot be written ({error.strerror})") from error
    except MarkerRemoverError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder / "index.html"


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise UsageError("the report needs the extra 'evaluate': pip install 'markerremover[evaluate]' (matplotlib is not installed)") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _failed(document: Mapping[str, Any], rows: Sequence[Row]) -> list[tuple[Row, Mapping[str, Any]]]:
    by_name = {row.name: row for row in rows}
    return [(by_name[failure["image"]], failure) for failure in document["failures"]]


def _plots(pyplot: Any, folder: Path, document: Mapping[str, Any], rows: Sequence[Row]) -> list[tuple[str, str]]:
    """(file name, caption) of each plot."""
    plots = [_height_plot(pyplot, folder, document)] if document["by"]["height"] else []
    if "localizer" in document and document["localizer"][ANY]["recall"]:
        plots.append(_curve_plot(pyplot, folder, document["localizer"]))
    return plots


def _height_plot(pyplot: Any, folder: Path, document: Mapping[str, Any]) -> tuple[str, str]:
    figure, axes = pyplot.subplots(figsize=(7, 3.2), layout="constrained")
    names = [name for name in breakdown.heights() if name in document["by"]["height"]]
    for shift, key, label, colour in ((-0.17, "recall", "annotations removed", "#b00020"), (0.17, "retention", "laterality markers retained", "#0a6ea8")):
        bars = [(at, document["by"]["height"][name][key]) for at, name in enumerate(names) if key in document["by"]["height"][name]]
        if not bars:
            continue
        places, values = [at + shift for at, _ in bars], [r["value"] for _, r in bars]
        limits = np.array([(r["value"] - r["low95"], r["high95"] - r["value"]) for _, r in bars]).clip(0).T
        axes.bar(places, values, 0.32, yerr=limits, capsize=3, color=colour, alpha=0.75, label=label)
        for place, (_, r) in zip(places, bars):
            axes.text(place, 0.02, f"{r['k']}/{r['n']}", ha="center", color="white", fontsize=8)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("share, exact 95 % interval")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, fontsize=8, frameon=False)
    return _save(pyplot, figure, folder, "height.png"), "By height of the annotation (the shorter side of its box) in source pixels."


def _curve_plot(pyplot: Any, folder: Path, localizer: Mapping[str, Any]) -> tuple[str, str]:
    figure, axes = pyplot.subplots(figsize=(5, 4), layout="constrained")
    for name in (ANY, LATERALITY, MARKER):
        curve = localizer[name]
        if curve["recall"]:
            axes.step(curve["recall"], curve["precision"], where="post", label=f"{name}: AUPRC {curve['auprc']:.3f}, AP-50 {curve['ap50']:.3f}")
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize=8)
    return _save(pyplot, figure, folder, "precision-recall.png"), "Boxes of the localizer at IoU 0.5."


def _save(pyplot: Any, figure: Any, folder: Path, name: str) -> str:
    with open(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
        figure.savefig(handle, format="png", dpi=110)
    pyplot.close(figure)
    return name


def _figures(
    folder: Path, number: int, row: Row, inputs: Path, out: Path, failure: Mapping[str, Any]
) -> tuple[str, list[tuple[str, str, list[float]]]]:
    """The name of an image with errors, and (kind of error, picture, box xyxy in source pixels) of each."""
    if failure["missing"]:
        return row.name, []
    original = read_apart.read(inputs / row.relative)
    before, after = original.display[0], results.shown_after(original, read_apart.read(out / row.result))
    pictures = []
    for error in FAILURES:
        for index, box in enumerate(failure.get(error, ())):
            x, y, third, fourth = box
            xyxy = [x, y, third, fourth] if error in ("missed", "laterality markers lost") else [x, y, x + third, y + fourth]
            name = f"{number:04d}-{error.replace(' ', '-')}-{index:02d}.png"
            _draw(folder / name, before, after, xyxy, FAILURES[error])
            pictures.append((error, name, xyxy))
    return row.name, pictures


def _draw(path: Path, before: np.ndarray, after: np.ndarray, xyxy: Sequence[float], colour: tuple[int, int, int]) -> None:
    """Write one PNG: a box and its surroundings before, beside after, with the box outlined in both."""
    import cv2

    x1, y1, x2, y2 = xyxy
    reach = max(LEAST_AROUND, AROUND * max(x2 - x1, y2 - y1))
    h, w = before.shape
    left, top, right, bottom = int(max(0, x1 - reach)), int(max(0, y1 - reach)), int(min(w, x2 + reach)), int(min(h, y2 + reach))
    scale = SIDE_PX / max(right - left, bottom - top)
    size = max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale))
    panels = []
    for image in (before, after):
        part = cv2.resize(image[top:bottom, left:right], size, interpolation=cv2.INTER_NEAREST if scale > 3 else cv2.INTER_LINEAR)
        part = np.repeat(part[..., None], 3, 2)
        corners = [(int(round((x - left) * scale)), int(round((y - top) * scale))) for x, y in ((x1, y1), (x2, y2))]
        cv2.rectangle(part, (corners[0][0] - 2, corners[0][1] - 2), (corners[1][0] + 2, corners[1][1] + 2), colour, 1)
        panels.append(part)
    panel = np.concatenate([panels[0], np.full((size[1], 6, 3), 255, np.uint8), panels[1]], axis=1)
    encoded, data = cv2.imencode(".png", panel[..., ::-1])
    if not encoded:
        raise WriteError(f"{path.name}: the picture cannot be encoded")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
        handle.write(data.tobytes())


def page(
    document: Mapping[str, Any], patients: Mapping[str, Mapping[str, int]], plots: Sequence[tuple[str, str]],
    gallery: Sequence[tuple[str, Sequence[tuple[str, str, Sequence[float]]]]],
) -> str:
    """The page as HTML.

    Args:
        patients: of `evaluation.by_patient`.  plots: (file, caption).
        gallery: (image, [(kind of error, file below pictures/, its box)]), an image without a result with [].
    """
    measures = [(NAMES[n], in_words(document[n])) for n in NAMES if n in document and document[n]["n"]]
    measures.append(("anatomy removed", f"{document['anatomy_removed']['value']:.2f} ‰ of the pixels, mean of the images"))
    return report_pages.render(
        __package__, "report.html.j2", document=document, sentences=(*document["sentences"], *document.get("notes", ())), measures=measures,
        published=_published(document), localizer=document.get("localizer"), classes=(ANY, LATERALITY, MARKER), plots=plots,
        breakdowns=[_breakdown(title, document["by"][name]) for name, title in BREAKDOWNS.items() if document["by"][name]],
        wrong={name: p for name, p in patients.items() if p["removed"] < p["annotations"] or p["retained"] < p["laterality_markers"]}, patients=len(patients),
        colours=FAILURES, gallery=gallery, whole=lambda box: ", ".join(f"{v:.0f}" for v in box),
    )


BREAKDOWNS = {
    "kind": "By kind of annotation", "height": "By height", "photometric_interpretation": "By photometric interpretation", "site": "By site",
}


def _breakdown(title: str, classes: Mapping[str, Any]) -> tuple[str, list[str], list[tuple[str, list[str]]]]:
    """Title, heads of the columns, and (name, cells) of each line of a table."""
    shown = [n for n in ("recall", "deid", "retention", "false_regions") if any(n in r and r[n]["n"] for r in classes.values())]
    lines = [(name, [in_words(rates[n]) if n in rates and rates[n]["n"] else "" for n in shown]) for name, rates in classes.items()]
    return title, [NAMES[n] for n in shown], lines


def _published(document: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """(name, cells) of each line of the table of published measures: this run's, then the three published ones."""
    return [
        (box_measures.NAMES[name], [in_words(value), *(in_words(rate(k, n)) for k, n in box_measures.PUBLISHED[name])])
        for name, value in document.get("published_measures", {}).items()
    ]
