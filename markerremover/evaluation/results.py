"""The results of a run, ours or any other tool's: matched with their truth and originals, and judged one by one."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..audit import manifest_files
from ..errors import AnnotationError, HeldError, MarkerRemoverError, ReadError, UsageError
from ..formats import images, placement, read_apart
from ..labels import image_names
from ..records import MARKER, Annotation, Detections, Element, Radiograph
from . import breakdown
from . import judge as judging
from .image_matching import Images
from .judge import Judged

JUDGED_S = 600.0  # time limit for reading and judging one image in a worker process, seconds


@dataclass(frozen=True)
class Row:
    """One image of the truth.

    name: its name in messages and documents.  patient, site: "" where unknown.  photometric: of a DICOM file, else "".
    relative: path of the input below its folder.  result: path of its result below OUT, "" without one.
    identical: whether the result's stored pixels equal the input's, None without a result.
    readable: for each element whether OCR still reads a word of it; None where that was not measured.
    manifest: its row of the run's manifest (`manifest_files.manifest_row`), None without one.
    detections: the localizer's boxes in the input, None where they were not measured.
    """

    name: str
    patient: str
    judged: Judged
    photometric: str = ""
    identical: bool | None = None
    readable: tuple[bool | None, ...] = ()
    site: str = ""
    relative: str = ""
    result: str = ""
    manifest: Mapping[str, Any] | None = None
    detections: Detections | None = None


@dataclass(frozen=True)
class Task:
    """What is needed to judge one image; picklable."""

    annotation: Annotation
    source: Path
    relative: str
    result: Path | None
    result_name: str
    patient: str
    site: str
    manifest: Mapping[str, Any] | None
    fill: bool


def originals(folder: Path) -> Images:
    """Every file below a folder, without hidden files and folders."""
    files = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return Images((p.as_posix() for p in files if not any(part.startswith(".") for part in p.parts)), f"among the images in {folder}", root=folder)


def of_manifest(out: Path) -> tuple[Images, dict[str, dict[str, Any]]]:
    """The inputs that have rows in a run's manifest, and input path -> row."""
    inputs = {result: path for path, result in _renamed(out).items()}
    rows = {inputs.get(row["relative"], row["relative"]): row for row in manifest(out)}
    hashes: dict[str, list[str]] = defaultdict(list)
    for path, row in rows.items():
        hashes[row.get("sha256_in") or ""].append(path)
    return Images(rows, f"in the manifest of {out}", hashes=hashes), rows


def shape_of(path: Path) -> tuple[int, int]:
    """(H, W) of an image when it is upright.

    Raises:
        AnnotationError: the image cannot be read.
    """
    try:
        return images.layout(read_apart.read(path)).upright_hw
    except MarkerRemoverError as error:
        raise AnnotationError(f"{path}: an original that cannot be read cannot be judged ({error})") from error


def _renamed(out: Path) -> dict[str, str]:
    """Input path -> path below OUT, of a run that pseudonymised paths; empty for others."""
    target = _audit(out) / "paths.jsonl"
    if not target.is_file():
        return {}
    rows = (json.loads(line) for line in target.read_text(encoding="utf-8").splitlines())
    return {row["input"]: row["relative"] for row in rows}


def _result(out: Path, relative: str, assigned: Container[str]) -> Path | None:
    """The result at a path, or else the only one of that name with another suffix.

    Args:
        assigned: paths below OUT that are results of the given images; they are not candidates.

    Raises:
        UsageError: several files have that name.
    """
    path = out / relative
    if path.is_file():
        return path
    namesakes = [p for p in path.parent.glob("*") if p.is_file() and p.relative_to(out).as_posix() not in assigned] if path.parent.is_dir() else []
    namesakes = [p for p in namesakes if p.stem == path.stem or image_names.without_suffix(p.name) == image_names.without_suffix(path.name)]
    if len(namesakes) > 1:
        names = " and ".join(sorted(p.name for p in namesakes)[:2])
        raise UsageError(f"{out}: {names} in {relative.rpartition('/')[0] or 'it'} could both be the result of {relative}: leave one")
    return namesakes[0] if namesakes else None


def _row(task: Task) -> Row:
    annotation, source = task.annotation, task.source
    try:
        before = read_apart.read(source)
    except MarkerRemoverError as error:
        raise AnnotationError(f"{source}: an original that cannot be read cannot be judged ({error})") from error
    if before.stored.shape[0] != 1:
        frames, (h, w) = before.stored.shape[0], before.shape_hw
        raise AnnotationError(f"{source}: has {frames} frames of {w}x{h} pixels, its truth says one of {annotation.shape_hw[1]}x{annotation.shape_hw[0]}")
    try:
        annotation = placement.placed(annotation, images.layout(before))
    except AnnotationError as error:
        raise AnnotationError(f"{source}: its truth {error}") from None
    after = _read(task.result)
    identical = None if after is None else after.stored.shape == before.stored.shape and bool((after.stored == before.stored).all())
    shown = None if after is None else shown_after(before, after)
    removed = manifest_files.removed_pixels(task.manifest, before.stored.shape[:3])[0] if task.fill and task.manifest else None
    judged = judging.judge(before.display[0], shown, annotation, fill=task.fill, removed=removed)
    reader, localizer = _opened["reader"], _opened["localizer"]
    readable = () if reader is None or shown is None or judged.missing else tuple(_reads(e, shown, reader) for e in annotation.elements)
    photometric = str(getattr(before.source, "photometric", "")) if before.format == "DICOM" else ""
    detections = None if localizer is None else localizer(before.display[0], threshold=0.0)
    patient = task.patient or images.patient_hash(before)
    return Row(task.relative, patient, judged, photometric, identical, readable, task.site, task.relative, task.result_name,
               task.manifest, detections)


def _read(path: Path | None) -> Radiograph | None:
    """A result; None where there is none or it cannot be read: then nothing was released."""
    if path is None:
        return None
    try:
        return read_apart.read(path)
    except (ReadError, HeldError):
        return None


def shown_after(before: Radiograph, after: Radiograph) -> np.ndarray:
    """(H, W) uint8: frame 0 of the result, windowed as the input is.

    Where the stored pixels are equal, the displayed pixels are the input's: blacked-out areas must not change how the rest is windowed or
    stretched. In JPEG files, also in DICOM, stored pixels that differ by at most `judge.CHANGED` count as equal, since stretching few grey levels would
    magnify the difference.
    """
    shown = images.shown_as(before, after)[0]
    if after.stored.shape != before.stored.shape or after.stored.dtype != before.stored.dtype:
        return shown
    slack = judging.CHANGED if images.is_jpeg(before) and images.is_jpeg(after) else 0
    unchanged = np.abs(after.stored[0].astype(np.int32) - before.stored[0]) <= slack
    return np.where(unchanged.all(axis=-1) if unchanged.ndim == 3 else unchanged, before.display[0], shown)


def _reads(element: Element, shown: np.ndarray, reader: Any) -> bool | None:
    """Whether OCR reads a word of an annotation in its box of the result, in any of four rotations and either contrast; None if not applicable."""
    import cv2

    words = breakdown.tokens(element.text)
    if element.kind != MARKER or not words:
        return None
    x1, y1, x2, y2 = (int(round(v)) for v in element.xyxy)
    part = shown[max(0, y1 - 4) : y2 + 4, max(0, x1 - 4) : x2 + 4]
    if not part.size or part.max() - int(part.min()) < judging.BLACK:
        return False
    part = cv2.normalize(part, np.empty_like(part), 0, 255, cv2.NORM_MINMAX)
    factor = max(1.0, 40 / min(part.shape))
    part = cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    views = [np.ascontiguousarray(np.rot90(view, k)) for view in (255 - part, part) for k in range(4)]
    reading = "".join(c for text, _ in reader.read(views, psm=7) for c in text.upper() + " " if c.isalnum() or c == " ")
    return any(token in reading for token in words)


def tasks(
    out: Path, inputs: Path, selection: Sequence[tuple[str, str, Annotation]], candidates: Images, split: str | None, sites: Path | str | None, fill: bool,
) -> list[Task]:
    """One task per image.

    Args:
        selection: path of the original below `inputs`, patient or "", and annotation of each.  candidates: all originals.

    Raises:
        UsageError: two files could be the result of one image, or `sites` has no row of an image.
    """
    paths = [path for path, _, _ in selection]
    of_patient = image_names.column(split.rpartition("=")[0], "patient", paths, needed=False) if split else {}
    of_site = None if sites is None else image_names.column(str(sites), "site", paths)
    renamed, of_run = _renamed(out), {row["relative"]: row for row in manifest(out)}
    result_tasks: list[Task] = []
    assigned = {renamed.get(path, path) for path in candidates.paths}
    for relative, patient, annotation in selection:
        renamed_path = renamed.get(relative, relative)
        result = _result(out, renamed_path, assigned)
        if of_site is not None and relative not in of_site:
            raise UsageError(f"{sites}: has no row of {relative}")
        folder = relative.split("/")[0] if "/" in relative else ""
        result_tasks.append(Task(
            annotation, inputs / relative, relative, result, "" if result is None else result.relative_to(out).as_posix(),
            of_patient.get(relative, "") or patient, folder if of_site is None else of_site[relative],
            of_run.get(relative, of_run.get(renamed_path)), fill,
        ))
    return result_tasks


def judge(tasks: Sequence[Task], reader: Callable | None, localizer: Callable | None, workers: int) -> Iterator[Row]:
    """One row per task, in order.

    Args:
        reader, localizer: see `evaluate.evaluate`; called once in each process.

    Raises:
        AnnotationError: an original cannot be read or does not fit its truth, or judging it took longer than `JUDGED_S`.
    """
    if min(workers, len(tasks)) < 2:
        _open(reader, localizer)
        yield from map(_row, tasks)
        return
    import multiprocessing

    from pebble import ProcessExpired, ProcessPool

    spawn = multiprocessing.get_context("spawn")
    with ProcessPool(min(workers, len(tasks)), initializer=_open, initargs=(reader, localizer, 1), context=spawn) as pool:
        try:
            futures = [pool.schedule(_row, args=(task,), timeout=JUDGED_S) for task in tasks]
            for task, future in zip(tasks, futures):
                try:
                    yield future.result()
                except (TimeoutError, ProcessExpired) as error:
                    failure = f"took longer than {JUDGED_S:g} s" if isinstance(error, TimeoutError) else "ended the process that read it"
                    raise AnnotationError(f"{task.source}: it or its result {failure}, so it cannot be judged") from error
        except BaseException:
            pool.stop()
            raise


_opened: dict[str, Any] = {}  # OCR engine and localizer of this process, each or None


def _open(reader: Callable | None, localizer: Callable | None, threads: int | None = None) -> None:
    import cv2

    if threads is not None:
        cv2.setNumThreads(threads)
    _opened.update(reader=reader and reader(), localizer=localizer and localizer())


def manifest(out: Path) -> list[dict[str, Any]]:
    """Rows of the manifest of the run that wrote `out`; none where there is no audit beside it."""
    return manifest_files.read_manifest(_audit(out) / manifest_files.MANIFEST)


def _audit(out: Path) -> Path:
    return out.with_name(out.name + "-audit")


def run_of(out: Path) -> dict[str, Any] | None:
    """Version, hash of the weights and backend of the run, from its summary; None for results of another tool."""
    try:
        summary = json.loads((_audit(out) / manifest_files.SUMMARY).read_text(encoding="utf-8"))
        return {"version": summary["version"], "weights_sha256": summary["weights"]["sha256"], "backend": summary["backend"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None
