"""The results of a run, ours or any other tool's: found beside their truth and originals, and judged one by one."""

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
from ..records import Annotation, Detections, Element, Radiograph
from . import breakdown
from . import judge as judging
from .image_matching import Images
from .judge import Judged

JUDGED_S = 600.0  # that reading and judging one image may take in a process of its own


@dataclass(frozen=True)
class Row:
    """One image of the truth.

    name: what it is called where it is told of.  patient, site: as far as told, else "".  photometric: of a DICOM file, else "".
    relative: path of the input below its folder.  result: path of what was judged below OUT, "" without one.
    identical: whether the result's pixels are the input's own, None without a result.
    readable: for each element whether OCR still reads a word of it; None where it was not looked for.
    manifest: the run's own row of it (`report.manifest_row`), None without one.
    detections: what the localizer finds in the input, None where it was not asked.
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
    """What is needed to judge one image; crosses to another process."""

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
    """Every file below a folder, hidden ones apart."""
    below = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return Images((p.as_posix() for p in below if not any(part.startswith(".") for part in p.parts)), f"among the images in {folder}", root=folder)


def of_manifest(out: Path) -> tuple[Images, dict[str, dict[str, Any]]]:
    """The inputs that a run's manifest has rows of, and path -> row."""
    back = {written: path for path, written in _renamed(out).items()}
    rows = {back.get(row["relative"], row["relative"]): row for row in manifest(out)}
    hashes: dict[str, list[str]] = defaultdict(list)
    for path, row in rows.items():
        hashes[row.get("sha256_in") or ""].append(path)
    return Images(rows, f"in the manifest of {out}", hashes=hashes), rows


def shape_of(path: Path) -> tuple[int, int]:
    """Rows and columns of an image when it is upright.

    Raises:
        AnnotationError: it cannot be read.
    """
    try:
        return images.layout(read_apart.read(path)).upright_hw
    except MarkerRemoverError as error:
        raise AnnotationError(f"{path}: an original that cannot be read cannot be judged ({error})") from error


def _renamed(out: Path) -> dict[str, str]:
    """Input path -> path below OUT, of a run that gave pseudonyms to paths."""
    target = _audit(out) / "paths.jsonl"
    if not target.is_file():
        return {}
    rows = (json.loads(line) for line in target.read_text(encoding="utf-8").splitlines())
    return {row["input"]: row["relative"] for row in rows}


def _result(out: Path, relative: str, others: Container[str]) -> Path | None:
    """The result at a path, or else the only one of that name with another suffix.

    Args:
        others: paths of all inputs and results that are not another's.

    Raises:
        UsageError: several are of that name.
    """
    path = out / relative
    if path.is_file():
        return path
    alike = [p for p in path.parent.glob("*") if p.is_file() and p.relative_to(out).as_posix() not in others] if path.parent.is_dir() else []
    alike = [p for p in alike if p.stem == path.stem or image_names.without_suffix(p.name) == image_names.without_suffix(path.name)]
    if len(alike) > 1:
        names = " and ".join(sorted(p.name for p in alike)[:2])
        raise UsageError(f"{out}: {names} in {relative.rpartition('/')[0] or 'it'} could both be the result of {relative}: leave one")
    return alike[0] if alike else None


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
    judged = judging.judge(before.display[0], shown, annotation, fill=task.fill)
    reader, localizer = _opened["reader"], _opened["localizer"]
    readable = () if reader is None or judged.missing else tuple(_reads(e, shown, reader) for e in annotation.elements)
    photometric = str(getattr(before.source, "photometric", "")) if before.format == "DICOM" else ""
    detections = None if localizer is None else localizer(before.display[0], threshold=0.0)
    patient = task.patient or images.patient_hash(before)
    return Row(task.relative, patient, judged, photometric, identical, readable, task.site, task.relative, task.result_name,
               task.manifest, detections)


def _read(path: Path | None) -> Radiograph | None:
    """A result; None where there is none, or none that can be read: nothing was released then."""
    if path is None:
        return None
    try:
        return read_apart.read(path)
    except (ReadError, HeldError):
        return None


def shown_after(before: Radiograph, after: Radiograph) -> np.ndarray:
    """(H, W) uint8: the result as it looks when it is shown as the input is, and where its stored pixels are the same just like that:
    black areas must not change how the rest is windowed or stretched. In JPEG files the same is what moved by no more than
    `judge.CHANGED`, for a stretch of few greys would make much of it."""
    shown = images.shown_as(before, after)[0]
    if after.stored.shape != before.stored.shape or after.stored.dtype != before.stored.dtype:
        return shown
    slack = judging.CHANGED if before.format == after.format == "JPEG" else 0
    same = np.abs(after.stored[0].astype(np.int32) - before.stored[0]) <= slack
    return np.where(same.all(axis=-1) if same.ndim == 3 else same, before.display[0], shown)


def _reads(element: Element, shown: np.ndarray, reader: Any) -> bool | None:
    """Whether OCR reads a word of a marking in its box of the result, in any of four turns and either contrast."""
    import cv2

    wanted = breakdown.tokens(element.text)
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


def tasks(
    out: Path, inputs: Path, chosen: Sequence[tuple[str, str, Annotation]], there: Images, split: str | None, sites: Path | str | None, fill: bool,
) -> list[Task]:
    """One task an image.

    Args:
        chosen: path of the original below `inputs`, patient or "", and annotation of each.  there: all originals.
    """
    paths = [path for path, _, _ in chosen]
    of_patient = image_names.column(split.rpartition("=")[0], "patient", paths, needed=False) if split else {}
    of_site = None if sites is None else image_names.column(str(sites), "site", paths)
    renamed, of_run, found = _renamed(out), {row["relative"]: row for row in manifest(out)}, []
    taken = {renamed.get(path, path) for path in there.paths}
    for relative, patient, annotation in chosen:
        written = renamed.get(relative, relative)
        result = _result(out, written, taken)
        if of_site is not None and relative not in of_site:
            raise UsageError(f"{sites}: has no row of {relative}")
        folder = relative.split("/")[0] if "/" in relative else ""
        found.append(Task(
            annotation, inputs / relative, relative, result, "" if result is None else result.relative_to(out).as_posix(),
            of_patient.get(relative, "") or patient, folder if of_site is None else of_site[relative],
            of_run.get(relative, of_run.get(written)), fill,
        ))
    return found


def judge(tasks: Sequence[Task], reader: Callable | None, localizer: Callable | None, workers: int) -> Iterator[Row]:
    """One row a task, in order."""
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
                    how = f"took longer than {JUDGED_S:g} s" if isinstance(error, TimeoutError) else "ended the process that read it"
                    raise AnnotationError(f"{task.source}: it or its result {how}, so it cannot be judged") from error
        except BaseException:
            pool.stop()
            raise


_opened: dict[str, Any] = {}  # of this process: an OCR engine and a localizer, or None


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
    """What made the results, from the summary of a run of ours; None for another tool's."""
    try:
        told = json.loads((_audit(out) / manifest_files.SUMMARY).read_text(encoding="utf-8"))
        return {"version": told["version"], "weights_sha256": told["weights"]["sha256"], "backend": told["backend"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None
