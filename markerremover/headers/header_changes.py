"""What leaves a DICOM header, or is changed in it, for another reason than the profile, at any depth: named by keyword and tag.

A value is never quoted. What the table of the profile removes, empties or replaces is not named, nor are private elements where it
applies, nor the elements by which an output says what was done to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag

from .dicom_headers import action_for

MOST = 40  # notes of one file; what is beyond is counted
UNREADABLE = "is not of the kind that it says it is, left out"
CARRIER = "can carry pixels or a signature of them, left out"
PIXELS = "describes the pixels as they were before"
UNKNOWN = "is not in the dictionary of the standard, left out"
NAMES = "holds a name or number of the patient"
COMMA = "has a decimal comma, written as a point"
_OURS = frozenset(tag_for_keyword(k) for k in (
    "PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "EncapsulatedPixelDataValueTotalLength", "ImageType", "SOPInstanceUID",
    "BurnedInAnnotation", "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified", "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod",
    "SyntheticData", "DerivationDescription", "DerivationCodeSequence",
))
_COMMA = re.compile(r"\s*[+-]?(\d+),\d+([eE][+-]?\d+)?\s*")
_THOUSANDS = re.compile(r"\s*[+-]?[1-9]\d{0,2},\d{3}\s*")
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


class _Held(NamedTuple):
    """A dataset, where it lies, whether the profile treats what is around it, and for each of its elements its value."""

    dataset: Dataset
    path: str
    treated: bool
    values: dict[BaseTag, Any]


class Changes:
    """What becomes of a dataset, step by step.

    Attributes:
        notes: what was found so far.
    """

    def __init__(self, dataset: Dataset, *, profiled: bool) -> None:
        """
        Args:
            dataset: it will be changed in place, so that its items stay the same objects.
            profiled: whether the profile will be applied to it.
        """
        self._dataset, self._profiled, self.notes = dataset, profiled, []
        self._before = list(self._held(dataset))

    def note(self, why: str, *, sequences: bool = True) -> None:
        """Name what has gone or was changed since the last call.

        Args:
            why: the reason for it.
            sequences: whether sequences that have gone count; the profile takes out what it has emptied.
        """
        now = {id(held.dataset): held for held in self._held(self._dataset)}
        for held in self._before:
            after = now.get(id(held.dataset))
            for tag, value in held.values.items() if after else ():
                gone = tag not in after.values
                if self._explained(tag, held) or not (gone or _differs(value, after.values[tag])):
                    continue
                if sequences or not gone or value is not Ellipsis:
                    self.notes.append(f"{held.path}{named(tag)}: {UNKNOWN if gone and why == NAMES and not dictionary_has_tag(tag) else why}")
        self._before = list(now.values())

    def _explained(self, tag: BaseTag, held: _Held) -> bool:
        """Whether the profile, or what an output says of itself, is the reason for whatever happened to an element."""
        if tag.element == 0 or (int(tag) in _OURS and not held.path):  # the length of a group tells nothing that is not there
            return True
        return self._profiled and (held.treated or tag.is_private or action_for(tag) is not None)

    def _held(self, dataset: Dataset, path: str = "", treated: bool = False) -> Iterator[_Held]:
        values: dict[BaseTag, Any] = {}
        below = []
        for tag in list(dataset.keys()):
            items = _items(dataset, tag)
            values[tag] = ... if items is not None else _value(dataset.get_item(tag))
            inside = treated or (self._profiled and (tag.is_private or action_for(tag) is not None))
            below += [(item, f"{path}{_keyword(tag)}[{i}].", inside) for i, item in enumerate(items or ())]
        yield _Held(dataset, path, treated, values)
        for item in below:
            yield from self._held(*item)


def named(tag: int) -> str:
    """Keyword and number of an element, of one without keyword the number alone.

    >>> named(0x00281050), named(0x00181999)
    ('WindowCenter (0028,1050)', '(0018,1999)')
    """
    tag = Tag(tag)
    return f"{keyword_for_tag(tag)} {_number(tag)}".strip()


def shortened(notes: list[str]) -> tuple[str, ...]:
    """Each note once, the elements of an overlay or curve as one, and no more than `MOST`."""
    groups = (re.sub(r"\w* ?\((5|6)0([0-9a-fA-F]{2}),[0-9a-fA-F]{4}\)", lambda m: f"({m[1]}0{m[2]},xxxx)", note) for note in notes)
    found = list(dict.fromkeys(groups))
    return (*found[:MOST], *((f"{len(found) - MOST} more",) if len(found) > MOST else ()))


def repair_numbers(dataset: Dataset, path: str = "") -> list[str]:
    """Write a point for a decimal comma in elements of numbers (DS, IS), at any depth, where it can mean nothing else; in place.

    `1,024` may be a thousand: it stays as it is.

    Returns:
        What was changed.
    """
    notes = []
    for tag in list(dataset.keys()):
        items = _items(dataset, tag)
        notes += [note for i, item in enumerate(items or ()) for note in repair_numbers(item, f"{path}{_keyword(tag)}[{i}].")]
        held = dataset.get_item(tag)
        vr = dictionary_VR(tag) if held.VR is None and dictionary_has_tag(tag) else held.VR
        if items is None and vr in ("DS", "IS") and b"," in (held.value if isinstance(held.value, bytes) else str(held.value).encode()):
            element = dataset[tag]
            texts = [str(v) for v in element.value] if isinstance(element.value, (MultiValue, list, tuple)) else [str(element.value)]
            if all("," not in text or (_COMMA.fullmatch(text) and not _THOUSANDS.fullmatch(text)) for text in texts):
                element.value = [text.replace(",", ".") for text in texts] if len(texts) > 1 else texts[0].replace(",", ".")
                notes.append(f"{path}{named(tag)}: {COMMA}")
    return notes


def _items(dataset: Dataset, tag: BaseTag) -> list[Dataset] | None:
    """The items of a sequence; None of what is none or cannot be parsed. Other elements stay as they were read, and so keep their bytes."""
    try:
        return list(dataset[tag].value) if dataset.get_item(tag).VR in (None, "SQ", "UN") and dataset[tag].VR == "SQ" else None
    except Exception:  # pydicom raises as many kinds as there are ways to be wrong
        return None


def _value(element: DataElement | RawDataElement) -> Any:
    """An element's value as text, as it was read where it is not parsed yet; None of a binary one."""
    if isinstance(element, RawDataElement):
        return element
    return None if element.VR in _BINARY else _plain(element.value)


def _differs(before: Any, after: Any) -> bool:
    """Whether a value of no sequence and no binary one was changed."""
    if before is after or any(value is ... or value is None for value in (before, after)):
        return False
    try:
        old, new = (_value(convert_raw_data_element(v)) if isinstance(v, RawDataElement) else v for v in (before, after))
    except Exception:  # what cannot be parsed has stayed as it is: it was never anything else
        return isinstance(before, RawDataElement) != isinstance(after, RawDataElement)
    return old is not None and new is not None and old != new


def _plain(value: Any) -> Any:
    return tuple(map(str, value)) if isinstance(value, (MultiValue, list, tuple)) else str(value)


def _number(tag: BaseTag) -> str:
    return f"({tag.group:04x},{tag.element:04x})"


def _keyword(tag: BaseTag) -> str:
    return keyword_for_tag(tag) or _number(tag)
