"""DICOM headers: the Basic Application Level Confidentiality Profile (PS3.15 Annex E), at every depth of a dataset.

The action for each element (remove, empty, replace, new UID) comes from the table of dicom-anonymizer, edition `EDITION`. Its functions
are not used: they skip nested datasets, draw new UIDs in every run, and insert a date where one is to be removed. Here every dataset of
every sequence is processed; UIDs and pseudonyms are derived from a secret key and are the same in all files, runs and workers with that
key; private elements and public ones that the dictionary does not know are removed; and a text that still identifies the patient
afterwards is replaced, whatever the table says, see `header_identifiers`. Elements of the patient, persons, days, instances and
addresses that are missing in the table are treated like similar ones in it.

Where the profile leaves a choice, the result conforms to the image's IOD: required elements are retained, empty or replaced, and
elements that may not be empty are removed. Pixel elements are not touched, see `formats.dicom`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from datetime import date, timedelta

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID_dictionary

from .header_identifiers import PSEUDONYMS, identifiers_of, is_public, patient_of, take_out
from .profile import DUMMIES, RETAINABLE, HeaderProfile

EDITION = "dicomfields_2026c"
OLDEST = 89  # highest age that is retained, years; an age above becomes "090Y"
MOST_DAYS = 3650  # largest shift of dates into the past, days; the smallest is a week
_REMOVE = ("delete",)
_EMPTY = ("empty", "delete_or_empty")
_REPLACE = ("replace", "empty_or_replace", "delete_or_replace", "delete_or_empty_or_replace")
_UIDS = ("replace_UID", "delete_or_empty_or_replace_UID")
_TEXT = frozenset({"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UN", "UR", "UT"})
_NEVER_EMPTY = tag_for_keyword("ReferencedStudySequence")  # the table would empty it, but in an image it must have items or be absent
_BY_FRAME = {tag_for_keyword(f"{k}FunctionalGroupsSequence") for k in ("PerFrame", "Shared")}  # their items are counted, so empty ones are retained
_COMMITTEE = ("ClinicalTrialProtocolEthicsCommitteeName", "ClinicalTrialProtocolEthicsCommitteeApprovalNumber")  # the first needs the second
_FORMS = {vr: re.compile(form) for vr, form in {
    "DA": r"[\d.:+-]*", "DT": r"[\d.:+-]*", "TM": r"[\d.:+-]*", "DS": r"[+-]?[\d.]*([eE][+-]?\d+)?", "IS": r"[+-]?[\d.]*([eE][+-]?\d+)?", "UI": r"[\d.]*",
}.items()}
"""VR of numbers, dates and UIDs -> form of its values. Anything else there is text and could be a name."""
_BEYOND_GROUPS = (0x0010, 0x0038)  # groups of the patient and the visit: elements that the table lacks are removed, except `_HARMLESS`
_HARMLESS = frozenset(tag_for_keyword(k) for k in (
    "TypeOfPatientID", "SubjectRelativePositionInImage", "QualityControlSubject", "QualityControlSubjectTypeCodeSequence", "StrainDescription",
    "StrainNomenclature", "StrainStockNumber", "StrainSourceRegistryCodeSequence", "StrainStockSequence", "StrainSource",
    "StrainAdditionalInformation", "StrainCodeSequence", "GeneticModificationsSequence", "GeneticModificationsDescription",
    "GeneticModificationsNomenclature", "GeneticModificationsCodeSequence", "MeasuredAPDimension", "MeasuredLateralDimension",
    "PatientSpeciesDescription", "PatientSpeciesCodeSequence", "AnatomicalOrientationType", "PatientBreedDescription",
    "PatientBreedCodeSequence", "ExaminedBodyThickness",
))
"""Elements of those groups that identify no person: species of animals, positions, sizes of the irradiated body."""
_BEYOND = frozenset(tag_for_keyword(k) for k in (
    "RequestingPhysicianIdentificationSequence", "IssuerOfAccessionNumberSequence", "LocalNamespaceEntityID", "UniversalEntityID",
    "CommentsOnTheScheduledProcedureStep", "NTPSourceAddress", "ContactDisplayName", "ProcedureStepCommunicationsURISequence",
    "AsserterIdentificationSequence", "AssertionComments", "HangingProtocolUserIdentificationCodeSequence", "HangingProtocolUserGroupName",
    "SOPAuthorizationComment", "InstructionPerformanceComment", "CalculationComment", "CommentsOnPatientPerformanceOfVisualField",
    "ReferencedVisitSequence",
)) | {0x0040A068, 0x0040A076}
"""Other elements that the table lacks although they identify a person or a site, or are remarks."""


def clean(dataset: Dataset, profile: HeaderProfile) -> None:
    """Apply the profile to a dataset, in place; mode "keep" changes nothing."""
    if profile.mode == "keep":
        return
    identifiers = identifiers_of(dataset)
    _Cleaning(profile, patient_of(dataset)).apply(dataset)
    take_out(dataset, identifiers, profile)
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if profile.shift_dates else "REMOVED"


class _Cleaning:
    """Applies the table to one dataset."""

    def __init__(self, profile: HeaderProfile, patient: str) -> None:
        self.profile, self.patient = profile, patient
        days = 7 + int.from_bytes(profile.digest("days", patient)[:8], "big") % (MOST_DAYS - 6)
        self.shift = timedelta(days=days)
        self.retained = {tag_for_keyword(RETAINABLE[name]) for name in profile.retain}

    def apply(self, dataset: Dataset) -> None:
        """Treat every element of a dataset and of its nested datasets, in place."""
        for tag in list(dataset.keys()):
            if tag.is_private or not dictionary_has_tag(tag):
                del dataset[tag]
                continue
            self._treat(dataset, dataset[tag])
        if _COMMITTEE[1] not in dataset:
            dataset.pop(_COMMITTEE[0], None)

    def _treat(self, dataset: Dataset, element: DataElement) -> None:
        action, tag = action_for(element.tag), int(element.tag)
        if tag in self.retained:
            if element.keyword == "PatientAge":
                element.value = _capped(_plain(element.value))
        elif tag in PSEUDONYMS:
            element.value = self._pseudonym(element)
        elif action in _UIDS and element.VR == "UI":
            element.value = _each(element.value, lambda old: self.profile.uid(old) if old and old not in UID_dictionary else old)
        elif action is not None and self.profile.shift_dates and element.VR in ("DA", "DT", "TM") and not element.keyword.startswith("Patient"):
            element.value = _each(element.value, functools.partial(_moved, shift=self.shift) if element.VR != "TM" else _time)
        elif action in _REMOVE or tag == _NEVER_EMPTY or (action in _UIDS and element.VR != "SQ"):
            del dataset[element.tag]  # also an element that should be a UID but has another VR
        elif element.VR == "SQ":
            if action in _EMPTY:
                element.value = Sequence([])
            bare = [item for item in element.value if len(item) and not self._apply_to_item(item, blank=action in _REPLACE)]
            if tag in _BY_FRAME:
                return
            if bare and len(bare) == len(element.value):
                del dataset[element.tag]
            elif bare:
                element.value = Sequence([item for item in element.value if all(item is not b for b in bare)])
        elif action in _EMPTY:
            element.value = b"" if element.VR in ("OB", "OW", "UN") else "" if element.VR in _TEXT | {"DA", "DT", "TM", "UI"} else None
        elif action in _REPLACE:
            element.value = self.profile.uid(_plain(element.value)) if element.VR == "UI" else DUMMIES.get(element.VR, b"\0\0")

    def _apply_to_item(self, item: Dataset, *, blank: bool) -> bool:
        """Treat an item of a sequence; whether any element is left in it."""
        self.apply(item)
        if blank:
            _blank(item)
        return len(item) > 0

    def _pseudonym(self, element: DataElement) -> str:
        if not _plain(element.value) and element.keyword not in ("PatientID", "PatientName"):
            return ""
        text = self.patient if element.keyword.startswith("Patient") else f"{self.patient}\0{_plain(element.value)}"
        return self.profile.pseudonym("patient" if element.keyword.startswith("Patient") else element.keyword, text)


@functools.cache
def _table() -> tuple[dict[int, str], tuple[tuple[tuple[int, ...], str], ...]]:
    """The library's table: tag -> name of its action, and for repeating groups ((group, element, their masks), name)."""
    from dicomanonymizer.simpledicomanonymizer import initialize_actions

    rules = {tag: function.__name__ for tag, function in initialize_actions(EDITION).items()}
    single = {(tag[0] << 16) + tag[1]: name for tag, name in rules.items() if len(tag) == 2}
    return single, tuple((tag, name) for tag, name in rules.items() if len(tag) > 2)


@functools.cache
def action_for(tag: int) -> str | None:
    """The library's name of the action for an element: the table's, or for elements that it lacks the one for similar elements; None for
    elements that are retained."""
    single, repeating = _table()
    if int(tag) in single:
        return single[int(tag)]
    group, element = int(tag) >> 16, int(tag) & 0xFFFF
    for (g, e, group_mask, element_mask), name in repeating:
        if group & group_mask == g & group_mask and element & element_mask == e & element_mask:
            return name
    if group in (0x0002, 0x0004) or not dictionary_has_tag(tag):
        return None
    return _action_beyond(int(tag), keyword_for_tag(tag), dictionary_VR(tag))


def _action_beyond(tag: int, keyword: str, vr: str) -> str | None:
    """The action for an element that the table lacks: it is removed or replaced where it may identify a person, a day or a place."""
    if tag in _BEYOND or (tag >> 16 in _BEYOND_GROUPS and tag not in _HARMLESS):
        return "delete"
    if vr == "UI":
        return None if is_public(keyword) else "replace_UID"
    urls = vr == "UR" and keyword not in ("CodingSchemeURL", "URNCodeValue")
    return "replace" if urls or vr in ("PN", "DA", "DT", "TM") else None


def drop_unreadable(dataset: Dataset) -> int:
    """Delete elements that do not match their VR, at any depth and in place: they cannot be parsed, or are text where a number, a date or
    a UID is required. Returns the number of deleted elements."""
    dropped = 0
    for tag in list(dataset.keys()):
        element = _parsed(dataset, tag)
        if element is None or not all(_FORMS[element.VR].fullmatch(text.strip(" \0")) for text in _values(element) if element.VR in _FORMS):
            del dataset[tag]
            dropped += 1
        elif element.VR == "SQ":
            dropped += sum(map(drop_unreadable, element.value))
    return dropped


def _parsed(dataset: Dataset, tag: int) -> DataElement | None:
    try:
        return dataset[tag]
    except Exception:  # pydicom raises many kinds of exceptions for malformed values
        return None


def _values(element: DataElement) -> list[str]:
    value = element.value
    if isinstance(value, bytes):
        return [value.decode("latin-1")]
    return [str(v) for v in value] if isinstance(value, (MultiValue, list, tuple)) else [] if value is None else [str(value)]


def _plain(value: object) -> str:
    return "" if value is None else str(value).strip()


def _each(value: object, change: Callable[[str], str]) -> object:
    return [change(str(v)) for v in value] if isinstance(value, (MultiValue, list, tuple)) else change(_plain(value))


def _moved(text: str, shift: timedelta) -> str:
    """A DA or DT value shifted back; "" for anything but a single date."""
    if not re.fullmatch(r"\d{8}(\d{2}){0,3}(\.\d{1,6})?([+-]\d{4})?", text):
        return ""
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:8])) - shift
    except ValueError:
        return ""
    return f"{day.year:04d}{day.month:02d}{day.day:02d}{text[8:]}"


def _time(text: str) -> str:
    """A TM value unchanged; "" for anything but a single time."""
    return text if re.fullmatch(r"(\d{2}){1,3}(\.\d{1,6})?", text) else ""


def _capped(age: str) -> str:
    """An age that identifies nobody: "090Y" above `OLDEST` years, "" for a malformed age."""
    match = re.fullmatch(r"(\d{3})([DWMY])", age)
    if not match:
        return ""
    return "090Y" if match[2] == "Y" and int(match[1]) > OLDEST else age


def _blank(dataset: Dataset) -> None:
    """Replace every text and time in a dataset that the table replaces as a whole, in place."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _blank(item)
        elif element.VR in DUMMIES and element.VR not in ("CS",) and _plain(element.value):
            element.value = DUMMIES[element.VR]
