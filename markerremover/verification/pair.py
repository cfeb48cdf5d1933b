"""One input and its output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from . import blocks, dicom, identifiers, pixels, reading, rows, traces
from .account import Pair
from .findings import Finding
from .pictures import Picture, UnreadError
from .rows import Areas, DamagedRowError

_COLOURS = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})
_JPEG_SYNTAXES = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
ENCODED_AGAIN = "JPEG files encoded again"


@dataclass(frozen=True)
class Checked:
    """What was found in one pair, and numbers to add up."""

    findings: tuple[Finding, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)


def check_pair(pair: Pair, *, headers: str = "basic") -> Checked:
    """Compare an output with its input, by the row that says what was removed.

    Args:
        headers: "keep" where the run kept headers.
    """
    relative, counts = pair.row["relative"], Counter[str]()
    try:
        findings = tuple(Finding(relative, kind, detail) for kind, detail in _found(pair, headers, counts))
    except (UnreadError, DamagedRowError) as error:
        findings = (Finding(relative, "unread", str(error)),)
    except Exception as error:  # of any kind, from a library: its message may quote the file
        findings = (Finding(relative, "unread", f"could not be checked ({type(error).__name__})"),)
    return Checked(findings, dict(counts))


def _found(pair: Pair, headers: str, counts: Counter[str]) -> Iterator[tuple[str, str]]:
    before, after = _read(pair)
    counts["files compared"] += 1
    differing = _differing(before, after)
    yield from (("picture", said) for said in differing)
    if differing:
        return
    areas = rows.areas(pair.row, before.shape_fhw)
    counts["pixels removed"] += int(areas.removed.sum())
    counts["pixels compared"] += int((~areas.removed).sum())
    if pair.row["status"] == "unchanged" and not _is_same_payload(before, after) and not rows.notes(pair.row):
        yield "outside", "is unchanged by its row, but its pixels are stored in other bytes"
    streams = _jpeg_streams(before, after)
    if streams:
        for frame, (old, new) in enumerate(streams):
            level = dicom.black_level(after, after.samples[frame][areas.black[frame]]) if after.kind == "DICOM" else 0
            yield from _found_in_jpeg(old, new, before.samples[frame], after.samples[frame], _of_frame(areas, frame), rows.encoded_again(pair.row), counts, level)
    else:
        yield from (("outside", said) for said in pixels.outside(before, after, areas.removed))
        yield from (("inside", said) for said in pixels.inside(before, after, areas))
    data = pair.output.read_bytes()
    if after.dataset is None:
        yield from (("metadata", said) for said in traces.in_raster(after, data))
        return
    with dicom.quiet():
        yield from (("metadata", said) for said in (*traces.carriers(after.dataset), *traces.around_elements(data, dicom.parse(data))))
        if areas.filled.any() and str(after.dataset.get("SyntheticData", "")) != "YES":
            yield "picture", "has filled areas, and its header does not say so (Synthetic Data)"
        if headers == "basic":
            counts["headers searched"] += 1
            known = identifiers.of_header(before.dataset)
            yield from (("identifier", said) for said in traces.in_header(before.dataset, after.dataset, known, after.payload[0]))


def _read(pair: Pair) -> tuple[Picture, Picture]:
    """Both pictures; of DICOM whose colours are stored in another way than they were, both as RGB."""
    before, after = reading.read(pair.source), reading.read(pair.output)
    key = "Photometric Interpretation"
    old, new = before.facts.get(key), after.facts.get(key)
    if old != new and {old, new} <= _COLOURS:
        before, after = (reading.read(path, as_rgb=True) for path in (pair.source, pair.output))
        before, after = (replace(one, facts={**one.facts, key: "RGB"}) for one in (before, after))
    return before, after


def _differing(before: Picture, after: Picture) -> list[str]:
    """What of the kind, size or depth of a picture changed, in words."""
    if before.kind != after.kind:
        return [f"is {after.kind}, its input {before.kind}"]
    said = [f"{name}: is {after.facts.get(name)}, its input {value}" for name, value in before.facts.items() if after.facts.get(name) != value]
    if not said and (before.samples.shape != after.samples.shape or before.samples.dtype != after.samples.dtype):
        return [f"its pixels are {after.samples.shape} {after.samples.dtype}, its input's {before.samples.shape} {before.samples.dtype}"]
    return said


def _is_same_payload(before: Picture, after: Picture) -> bool:
    """Whether pixels are stored in the same bytes, or in another transfer syntax; what follows declared pixels may be cut off."""
    if before.kind == "JPEG":
        return True  # by their coefficients
    if before.kind == "DICOM" and before.further["syntax"] != after.further["syntax"]:
        return True
    return len(before.payload) == len(after.payload) and all(
        old[: len(new)] == new[: len(old)] and len(old) >= len(new) - 1 for old, new in zip(before.payload, after.payload))


def _jpeg_streams(before: Picture, after: Picture) -> list[tuple[bytes, bytes]]:
    """The JPEG streams of both, frame by frame; [] where one of them is no JPEG of 8 bits."""
    if before.kind == "JPEG":
        return [(before.payload[0], after.payload[0])]
    if before.kind != "DICOM" or not {before.further["syntax"], after.further["syntax"]} <= _JPEG_SYNTAXES or before.facts["Bits Stored"] > 8:
        return []
    from pydicom.encaps import generate_frames

    frames = before.facts["frames"]
    old, new = (list(generate_frames(one.payload[0], number_of_frames=frames)) for one in (before, after))
    return list(zip(old, new, strict=True))


def _of_frame(areas: Areas, frame: int) -> Areas:
    return Areas(areas.black[frame : frame + 1], areas.filled[frame : frame + 1])


def _found_in_jpeg(
    old: bytes, new: bytes, before: np.ndarray, after: np.ndarray, areas: Areas, again: bool, counts: Counter[str], level: int,
) -> Iterator[tuple[str, str]]:
    """Compare two streams by their coefficients, or where a row says that all of them were made anew by what they decode to.

    Args:
        before, after: decoded pixels, (H, W) or (H, W, 3).  again: whether the row says that the whole picture was encoded again.
        level: grey level that looks black.
    """
    removed, steps = areas.removed[0], blocks.steps_of(old)
    grey_before, grey_after = (one if one.ndim == 2 else one[..., 1] for one in (before, after))
    yield from (("inside", said) for said in pixels.still_there(grey_before[None], grey_after[None], areas, slack=1))
    if again:
        counts[ENCODED_AGAIN] += 1
        if sorted(map(bytes, (table.astype(np.uint16) for table in steps))) != sorted(map(bytes, (table.astype(np.uint16) for table in blocks.steps_of(new)))):
            yield "outside", blocks.OTHER_TABLES
        elif said := blocks.encoded_again(before, after, removed, steps, (16, 16)):
            yield "outside", said
        yield from (("inside", said) for said in blocks.bright(after, areas.black[0], steps, level))
        return
    first, second = blocks.read(old), blocks.read(new)
    counts["JPEG pictures compared by their coefficients"] += 1
    if layout := blocks.layout_differs(first, second):
        yield "outside", layout
        return
    if changed := blocks.outside(first, second, removed):
        yield "outside", f"{changed} blocks outside the removed areas changed" if removed.any() else f"{changed} blocks changed, and nothing was removed"
    yield from (("inside", said) for said in blocks.inside(second, after, areas.black[0], level))
