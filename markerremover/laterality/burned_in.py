"""The side that a file's laterality markers state, and whether its header agrees. What is not known is null, never guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..records import Decision, Reading
from ..site_profile import KNOWN_MARKERS
from .header_sides import HeaderSides

READ = "laterality marker, read and not retained"
"""Reason of a removal whose marker was read."""
MIDDLE = (0.45, 0.55)  # part of the width in which a marker is in neither half, as fractions


@dataclass(frozen=True)
class Laterality:
    """The burned-in side of one file.

    side: "L", "R", "both" where markers of both were read, "" where none was.  mirrored: whether any of these markers is mirrored.
    confidence: of the reading, 0-1: the best of a side's markers, and of two sides the lesser.
    header: what the header states, see `HeaderSides.side`.
    agrees: whether the header agrees with the markers; None where it states no side that they could contradict.
    flipped: whether the film may be reversed left to right, by a mirrored marker or one in the wrong half; None unless the header says that it is
        a frontal film of the trunk or head.
    """

    side: str = ""
    mirrored: bool = False
    confidence: float = 0.0
    header: str = ""
    agrees: bool | None = None
    flipped: bool | None = None

    @property
    def row(self) -> dict[str, Any]:
        """The field `laterality` of the manifest."""
        return {"side": self.side, "mirrored": self.mirrored, "confidence": round(self.confidence, 4), "header": self.header, "agrees": self.agrees,
                "flipped": self.flipped}


def side(decisions: Sequence[Decision], shape_hw: tuple[int, int], meanings: Mapping[str, str], header: HeaderSides) -> Laterality:
    """The burned-in side of a file, from the laterality markers that were retained, or read and removed.

    Args:
        decisions: of all frames, xyxy in source pixels.
        shape_hw: (H, W) of a frame.
        meanings: laterality marker, upper case -> "left" or "right"; markers without a meaning do not count.
        header: of a DICOM file; an empty record for others.
    """
    markers = [(d.frame, meanings[d.reading.text][:1].upper(), d.reading) for d in decisions
               if d.reading is not None and d.reading.text in meanings and (d.action == "keep" or d.reason == READ)]
    if not markers:
        return Laterality(header=header.side)
    best: dict[str, float] = {}
    for _, marker, reading in markers:
        best[marker] = max(best.get(marker, 0.0), float(reading.confidence))
    places = [(marker, _half(reading, shape_hw[1])) for _, marker, reading in markers]
    mirrored = any(reading.mirrored for *_, reading in markers)
    return Laterality(
        "both" if len(best) > 1 else next(iter(best)), mirrored, min(best.values()), header.side, _agrees(markers, places, header),
        _flipped(places, mirrored, header))


def all_meanings(site: Mapping[str, str] | None) -> dict[str, str]:
    """Meaning of each laterality marker: the site's, before the known ones."""
    return {**KNOWN_MARKERS, **(site or {})}


def _half(reading: Reading, width: int) -> str:
    """The half of the image in which a marker is, "left" or "right"; "" near the middle."""
    share = (reading.xyxy[0] + reading.xyxy[2]) / 2 / width
    return "left" if share < MIDDLE[0] else "right" if share > MIDDLE[1] else ""


def _agrees(markers: list[tuple[int, str, Reading]], places: list[tuple[str, str]], header: HeaderSides) -> bool | None:
    verdicts = []
    for frame, marker, _ in markers:
        stated = header.stated[frame] if frame < len(header.stated) else ()
        verdicts += [marker == value for value in stated if value in ("L", "R")]
    if header.side == "B" and len({marker for _, marker, _ in markers}) > 1:
        verdicts.append(True)
    if header.is_frontal and header.right_half:
        verdicts += [(marker == header.right_half) == (half == "right") for marker, half in places if half]
    return all(verdicts) if verdicts else None


def _flipped(places: list[tuple[str, str]], mirrored: bool, header: HeaderSides) -> bool | None:
    if not header.is_frontal:
        return None
    expected = header.right_half or "L"
    wrong = [(marker == expected) != (half == "right") for marker, half in places if half]
    return mirrored or any(wrong) if mirrored or wrong else None
