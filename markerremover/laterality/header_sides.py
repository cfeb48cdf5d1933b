"""The side of the body that a DICOM header states, frame by frame, and how the film is displayed, as far as it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SIDES = ("L", "R", "B", "U")
"""Defined terms of Image Laterality: left, right, both, unpaired."""
FRONTAL_VIEWS = ("AP", "PA")
"""Values of View Position (0018,5101) of a frontal film. LL and RL name the view of a lateral film, not the side of a body part."""
_TRUNK = frozenset("ABDOMEN ABDOMENPELVIS CHEST CHESTABDOMEN CHESTABDPELVIS COCCYX CSPINE CTSPINE HEAD HEART LSPINE LSSPINE LUNG NECK NECKCHEST "
                   "NECKCHESTABDOMEN NECKCHESTABDPELV PELVIS RIB RIBS SACRUM SKULL SPINE SSPINE STERNUM THORAX TLSPINE TRUNK TSPINE".split())
"""Values of Body Part Examined with both sides of the body in the picture, so that a marker's place means something; next to a hand it does not."""
_ELEMENTS = ("ImageLaterality", "Laterality")


@dataclass(frozen=True)
class HeaderSides:
    """What a header says about sides.

    stated: for each frame the values of Frame, Image and series Laterality that are one of SIDES, the most specific first; () without a header.
    right_half: "L" or "R", the patient's side that the right half of the stored pixels shows by Patient Orientation (0020,0020); "" where it
        does not say.
    is_frontal: whether the film is a frontal one of the trunk or head, so that patient's right is usually displayed on the image's left.
    """

    stated: tuple[tuple[str, ...], ...] = ()
    right_half: str = ""
    is_frontal: bool = False

    @property
    def side(self) -> str:
        """The side that the header states, one of SIDES; "B" where frames are of both, "" where it is not stated."""
        firsts = {values[0] for values in self.stated if values}
        return firsts.pop() if len(firsts) == 1 else "B" if firsts and firsts <= {"L", "R", "B"} else ""


def of_header(dataset: Dataset, frames: int) -> HeaderSides:
    """What a DICOM header says about sides; elements that cannot be read count as missing.

    Args:
        frames: number of frames.
    """
    if _value(dataset, "AnatomicalOrientationType") == "QUADRUPED":  # other terms of orientation (PS3.3 C.7.6.1.1.1)
        return HeaderSides()
    series = [_value(dataset, name) for name in _ELEMENTS]
    shared, by_frame = (_items(dataset, f"{name}FunctionalGroupsSequence") for name in ("Shared", "PerFrame"))
    stated = []
    for index in range(frames):
        groups = [*by_frame[index : index + 1], *shared]
        values = [_value(anatomy, "FrameLaterality") for group in groups for anatomy in _items(group, "FrameAnatomySequence")] + series
        stated.append(tuple(value for value in values if value in SIDES))
    rows, _, columns = _value(dataset, "PatientOrientation").partition("\\")
    right_half = rows[:1] if rows[:1] in ("L", "R") else ""
    is_frontal = _value(dataset, "ViewPosition") in FRONTAL_VIEWS or bool(right_half) and columns[:1] in ("F", "H")
    part = "".join(filter(str.isalnum, _value(dataset, "BodyPartExamined")))
    return HeaderSides(tuple(stated), right_half, is_frontal and part in _TRUNK)


def _value(dataset: Dataset, keyword: str) -> str:
    """A value, upper case, several joined by a backslash; "" where it is missing or cannot be read."""
    try:
        value: Any = dataset.get(keyword, None)
    except Exception:  # pydicom raises many kinds of exceptions for malformed values
        return ""
    several = hasattr(value, "append")
    return "" if value is None else "\\".join(map(str, value)).strip().upper() if several else str(value).strip().upper()


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    try:
        return list(dataset.get(keyword, None) or [])
    except Exception:  # as in `_value`
        return []
