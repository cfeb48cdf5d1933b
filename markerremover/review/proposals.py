"""Detections as LabelMe files to correct by hand: the logic of `markerremover annotate`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..errors import MarkerRemoverError, UsageError
from ..records import LATERALITY, MARKER, Element, Policy, Radiograph


def annotate(
    inputs: Sequence[Path], out: Path, *, policy: Policy = Policy(), open_cleaner: Callable[[], Any] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Write OUT/images/*.png and OUT/annotations/*.json, one pair per frame. A later call continues and never replaces an existing file.

    Args:
        inputs: files or folders.
        open_cleaner: opens the `Cleaner`; by default with the shipped weights.
        say: called with a line for each file that cannot be annotated.

    Returns:
        `written` and `kept`: number of annotations written and left unchanged; `failed`: paths.

    Raises:
        UsageError: folders clash, there is nothing to do, or weights or OCR are missing.
    """
    from ..formats import read_apart
    from ..options import DEFAULT_IGNORE
    from ..redaction import cleaning
    from ..review import labels
    from ..run.inputs import check_folders, gather
    from ..system.files import sha256_file

    inputs, out = [Path(p) for p in inputs], Path(os.path.abspath(out))
    check_folders(inputs, out, out.with_name(out.name + "-none"))
    files, _ = gather(inputs, DEFAULT_IGNORE)
    if not files:
        raise UsageError(f"no files to annotate in {', '.join(map(str, inputs))}")
    cleaner = open_cleaner() if open_cleaner else cleaning.open_cleaner(policy)
    result: dict[str, Any] = {"written": 0, "kept": 0, "failed": []}
    for item in files:
        try:
            if item.problem:
                raise UsageError(item.problem)
            if (out / "annotations" / f"{labels.name_of(item.relative)}.json").exists():
                result["kept"] += 1
                continue
            sha256 = sha256_file(item.source)
            radiograph = read_apart.read(item.source)
            proposals, patient = _proposals(radiograph, cleaner), labels.patient(radiograph)
            for frame in reversed(range(len(radiograph.display))):  # frame 0 last: its file marks the input as complete
                elements = [element for f, element in proposals if f == frame]
                name, origin = labels.name_of(item.relative, frame), {"sha256": sha256, "frame": frame, **patient}
                labels.write(out, name, radiograph.display[frame], elements, reviewed=False, origin=origin)
                result["written"] += 1
        except (MarkerRemoverError, OSError) as error:
            result["failed"].append(item.relative)
            say(f"{item.relative}: {error if isinstance(error, MarkerRemoverError) else error.strerror}")
    return result


def _proposals(radiograph: Radiograph, cleaner: Any) -> list[tuple[int, Element]]:
    """(frame, element) of all detections, xyxy in source pixels without margin; boxes whose laterality marker would be retained are `laterality`."""
    from ..redaction.cleaning import clean_radiograph
    from ..second_pass.phrases.kept_lines import KEPT_PHRASE

    cleaned = clean_radiograph(radiograph, cleaner)
    proposals: list[tuple[int, Element]] = []
    for frame, detections in enumerate(cleaned.detections):
        for xyxy, class_id, loose in zip(detections.xyxy, detections.class_ids, detections.is_loose):
            box = _clipped(xyxy, radiograph.shape_hw)
            if loose or box is None:
                continue
            text = next((d.reading.text for d in cleaned.decisions if d.frame == frame and d.action == "keep" and d.reading and
                d.reason != KEPT_PHRASE and _contains_centre(d.xyxy, box)), "")
            is_laterality = detections.class_names[int(class_id)] == LATERALITY or bool(text)
            proposals.append((frame, Element(box, LATERALITY if is_laterality else MARKER, text)))
    step_decisions = [d for d in cleaned.decisions if d.label not in (MARKER, LATERALITY)]
    for decision in step_decisions:
        x1, y1, x2, y2 = map(float, decision.xyxy)
        proposals.append((decision.frame, Element((x1, y1, x2, y2), MARKER)))
    return proposals


def _clipped(xyxy: Any, shape_hw: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """The box clipped to the image and rounded to tenths of a pixel; None if it is empty."""
    h, w = shape_hw
    x1, y1, x2, y2 = (round(float(v), 1) for v in xyxy)
    box = max(0.0, x1), max(0.0, y1), min(float(w), x2), min(float(h), y2)
    return box if box[0] < box[2] and box[1] < box[3] else None


def _contains_centre(outer: tuple[int, int, int, int], box: tuple[float, float, float, float]) -> bool:
    """Whether `outer` contains the centre of a box."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return outer[0] <= x < outer[2] and outer[1] <= y < outer[3]
