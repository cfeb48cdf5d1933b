"""Lists removals and changes in a DICOM header that have another reason than the profile, at any depth, by keyword and tag.

Values are never quoted. Elements that the profile's table removes, empties or replaces are not listed, nor are private elements where it
applies, nor the elements in which an output documents its own de-identification.
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

MOST = 40  # highest number of notes per file; further ones are only counted
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
    """A dataset, its path, whether the profile treats the element that contains it, and the value of each of its elements."""

    dataset: Dataset
    path: str
    treated: bool
    values: dict[BaseTag, Any]


class Changes:
    """Records the changes of a dataset, step by step.

    Attributes:
        notes: one per change recorded so far.
    """

    def __init__(self, dataset: Dataset, *, profiled: bool) -> None:
        """
        Args:
            dataset: it is to be changed in place, so that its items remain the same objects.
            profiled: whether the profile will be applied to it.
        """
        self._dataset, self._profiled = dataset, profiled
        self.notes: list[str] = []
        self._previous = list(self._held(dataset))

    def note(self, reason: str, *, sequences: bool = True) -> None:
        """Record what was removed or changed since the last call.

        Args:
            reason: words of the note.
            sequences: whether removed sequences count; the profile removes those that it has emptied.
        """
        current = {id(held.dataset): held for held in self._held(self._dataset)}
        for held in self._previous:
            successor = current.get(id(held.dataset))
            if successor is None:
                continue
            for tag, value in held.values.items():
                removed = tag not in successor.values
                if self._explained(tag, held) or not (removed or _differs(value, successor.values[tag])):
                    continue
                if sequences or not removed or value is not Ellipsis:
                    self.notes.append(f"{held.path}{named(tag)}: {UNKNOWN if removed and reason == NAMES and not dictionary_has_tag(tag) else reason}")
        self._previous = list(current.values())

    def _explained(self, tag: BaseTag, held: _Held) -> bool:
        """Whether the profile, or an output's own documentation, explains any change of an element."""
        if tag.element == 0 or (int(tag) in _OURS and not held.path):  # the length of a group follows from its elements
            return True
        return self._profiled and (held.treated or tag.is_private or action_for(tag) is not None)

    def _held(self, dataset: Dataset, path: str = "", treated: bool = False) -> Iterator[_Held]:
        values: dict[BaseTag, Any] = {}
        nested = []
        for tag in list(dataset.keys()):
            items = _items(dataset, tag)
            values[tag] = ... if items is not None else _value(dataset.get_item(tag))
            inside = treated or (self._profiled and (tag.is_private or action_for(tag) is not None))
            nested += [(item, f"{path}{_keyword(tag)}[{i}].", inside) for i, item in enumerate(items or ())]
        yield _Held(dataset, path, treated, values)
        for item in nested:
            yield from self._held(*item)


def named(tag: int) -> str:
    """Keyword and number of an element; the number alone where it has no keyword.

    >>> named(0x00281050), named(0x00181999)
    ('WindowCenter (0028,1050)', '(0018,1999)')
    """
    tag = Tag(tag)
    return f"{keyword_for_tag(tag)} {_number(tag)}".strip()


def shortened(notes: list[str]) -> tuple[str, ...]:
    """Each note once, the elements of an overlay or curve merged, and at most `MOST`, followed by the number of the others."""
    groups = (re.sub(r"\w* ?\((5|6)0([0-9a-fA-F]{2}),[0-9a-fA-F]{4}\)", lambda m: f"({m[1]}0{m[2]},xxxx)", note) for note in notes)
    unique = list(dict.fromkeys(groups))
    return (*unique[:MOST], *((f"{len(unique) - MOST} more",) if len(unique) > MOST else ()))


def repair_numbers(dataset: Dataset, path: str = "") -> list[str]:
    """Write a point for a decimal comma in elements of numbers (DS, IS), at any depth, where its meaning is unambiguous; in place.

    `1,024` may have a thousands separator and is left unchanged.

    Returns:
        One note per changed element.
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
    """The items of a sequence; None for other elements and for those that cannot be parsed. Other elements are left raw, so that their bytes do not change."""
    try:
        return list(dataset[tag].value) if dataset.get_item(tag).VR in (None, "SQ", "UN") and dataset[tag].VR == "SQ" else None
    except Exception:  # pydicom raises many kinds of exceptions for malformed values
        return None


def _value(element: DataElement | RawDataElement) -> Any:
    """An element's value as text, or the raw element where it is not parsed yet; None for a binary one."""
    if isinstance(element, RawDataElement):
        return element
    return None if element.VR in _BINARY else _plain(element.value)


def _differs(previous: Any, current: Any) -> bool:
    """Whether a value changed; False for sequences and binary values."""
    if previous is current or any(value is ... or value is None for value in (previous, current)):
        return False
    try:
        old, new = (_value(convert_raw_data_element(v)) if isinstance(v, RawDataElement) else v for v in (previous, current))
    except Exception:  # a value that cannot be parsed was not changed unless it was replaced by a parsed one
        return isinstance(previous, RawDataElement) != isinstance(current, RawDataElement)
    return old is not None and new is not None and old != new


def _plain(value: Any) -> Any:
    return tuple(map(str, value)) if isinstance(value, (MultiValue, list, tuple)) else str(value)


def _number(tag: BaseTag) -> str:
    return f"({tag.group:04x},{tag.element:04x})"


def _keyword(tag: BaseTag) -> str:
    return keyword_for_tag(tag) or _number(tag)
