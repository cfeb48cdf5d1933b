"""DICOM headers: the Basic Application Level Confidentiality Profile (PS3.15 Annex E), at every depth of a dataset.

Which element is removed, emptied, replaced or given a new UID is the table of dicom-anonymizer, edition `EDITION`. Its own
functions are not used: they leave nested datasets as they are, draw UIDs anew in every run, and put a date where one is to
be removed. Here every dataset of every sequence is treated; UIDs and pseudonyms come from a secret key and are the same in
all files, runs and workers of that key; private elements and public ones that the dictionary does not know go; and an
element that still holds a name or number of the patient afterwards goes too, whatever the table says of it.

Where the profile leaves a choice, what is done conforms to an image's own definition: what must be there stays, empty or
replaced, and what may not be empty goes. Pixel elements are not touched, see `dicom` and `dicom_tags`.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Callable

from pydicom.datadict import dictionary_has_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from .header_profile import RETAINABLE, HeaderProfile
from .records import Telling
from .telltales import dates_of

EDITION = "dicomfields_2026c"
OLDEST = 89  # years; an age above is given as "090Y"
MOST_DAYS = 3650  # by which dates are moved back at most, at least one week
STANDARD_UIDS = "1.2.840.10008."  # classes, transfer syntaxes and the like
LONG_UID = 12  # characters from which a UID in a path tells something
SHORTEST = 4  # characters from which a part of a name or number is looked for inside words too
_REMOVE = ("delete",)
_EMPTY = ("empty", "delete_or_empty")
_REPLACE = ("replace", "empty_or_replace", "delete_or_replace", "delete_or_empty_or_replace")
_UIDS = ("replace_UID", "delete_or_empty_or_replace_UID")
_DUMMIES = {
    "AE": "ANONYMIZED", "AS": "000Y", "CS": "ANONYMIZED", "DA": "19000101", "DS": "0", "DT": "19000101000000", "IS": "0", "LO": "ANONYMIZED",
    "LT": "ANONYMIZED", "PN": "ANONYMIZED", "SH": "ANONYMIZED", "ST": "ANONYMIZED", "TM": "000000", "UC": "ANONYMIZED",
    "UR": "https://anonymized.invalid", "UT": "ANONYMIZED", "FD": 0.0, "FL": 0.0, "SL": 0, "SS": 0, "SV": 0, "UL": 0, "US": 0, "UV": 0,
}
_TEXT = frozenset({"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UN", "UR", "UT"})
_FREE = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_NEVER_EMPTY = tag_for_keyword("ReferencedStudySequence")  # the table would empty it, but an image's must have items or not be there
_BY_FRAME = {tag_for_keyword(f"{k}FunctionalGroupsSequence") for k in ("PerFrame", "Shared")}  # items that count, also when empty
_COMMITTEE = ("ClinicalTrialProtocolEthicsCommitteeName", "ClinicalTrialProtocolEthicsCommitteeApprovalNumber")  # the first needs the second
_FORMS = {vr: re.compile(form) for vr, form in {
    "DA": r"[\d.:+-]*", "DT": r"[\d.:+-]*", "TM": r"[\d.:+-]*", "DS": r"[+-]?[\d.]*([eE][+-]?\d+)?", "IS": r"[+-]?[\d.]*([eE][+-]?\d+)?", "UI": r"[\d.]*",
}.items()}
"""What is written in elements of numbers, dates and UIDs. Anything else there is text, and could be a name."""
_PSEUDONYMS = {tag_for_keyword(k): k for k in ("PatientName", "PatientID", "AccessionNumber", "StudyID")}
_TELLING = tuple(tag_for_keyword(k) for k in (
    "PatientID", "AccessionNumber", "PatientBirthDate", "OtherPatientIDs", "PatientTelephoneNumbers", "MedicalRecordLocator",
    "IssuerOfPatientID", "AdmissionID", "PatientAddress",
))
_NUMBERS = tuple(tag_for_keyword(k) for k in ("PatientID", "AccessionNumber", "OtherPatientIDs", "MedicalRecordLocator", "AdmissionID"))
_ORDINARY = frozenset({"unknown", "none", "anonymous", "anonymized", "test", "patient", "chest", "thorax", "hand", "foot"})


def patient_of(dataset: Dataset) -> str:
    """What tells one patient from another: ID and its issuer; without an ID the name and birth date, without a name the study."""
    number, name = _plain(dataset.get("PatientID")), _plain(dataset.get("PatientName"))
    if number:
        return f"id\0{number}\0{_plain(dataset.get('IssuerOfPatientID'))}"
    if name:
        return f"name\0{name.casefold()}\0{_plain(dataset.get('PatientBirthDate'))}"
    return f"study\0{_plain(dataset.get('StudyInstanceUID') or dataset.get('SOPInstanceUID'))}"


def clean(dataset: Dataset, profile: HeaderProfile) -> None:
    """Apply the profile to a dataset, in place; nothing happens in mode "keep"."""
    if profile.mode == "keep":
        return
    patient = patient_of(dataset)
    telling = telling_parts(dataset)
    _Cleaning(profile, patient).apply(dataset)
    _take_out(dataset, telling, profile.pseudonym("patient", patient))
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED" if profile.shift_dates else "REMOVED"


class _Cleaning:
    """One dataset's way through the table."""

    def __init__(self, profile: HeaderProfile, patient: str) -> None:
        self.profile, self.patient = profile, patient
        days = 7 + int.from_bytes(profile.digest("days", patient)[:8], "big") % (MOST_DAYS - 6)
        self.back = timedelta(days=days)
        self.retained = {tag_for_keyword(RETAINABLE[name]) for name in profile.retain}

    def apply(self, dataset: Dataset) -> None:
        """Treat every element of a dataset and of those in it."""
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
        elif tag in _PSEUDONYMS:
            element.value = self._pseudonym(element)
        elif action in _UIDS and element.VR == "UI":
            element.value = _each(element.value, lambda old: self.profile.uid(old) if old else old)
        elif action is not None and self.profile.shift_dates and element.VR in ("DA", "DT", "TM") and not element.keyword.startswith("Patient"):
            element.value = _each(element.value, functools.partial(_moved, back=self.back) if element.VR != "TM" else _time)
        elif action in _REMOVE or tag == _NEVER_EMPTY or (action in _UIDS and element.VR != "SQ"):
            del dataset[element.tag]  # also what ought to be a UID and says it is something else
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
            element.value = self.profile.uid(_plain(element.value)) if element.VR == "UI" else _DUMMIES.get(element.VR, b"\0\0")

    def _apply_to_item(self, item: Dataset, *, blank: bool) -> bool:
        """Treat an item of a sequence; whether anything is left of it."""
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
    """The library's table: tag → name of its action, and the same for repeating groups as (group, element and their masks)."""
    from dicomanonymizer.simpledicomanonymizer import initialize_actions

    rules = {tag: function.__name__ for tag, function in initialize_actions(EDITION).items()}
    single = {(tag[0] << 16) + tag[1]: name for tag, name in rules.items() if len(tag) == 2}
    return single, tuple((tag, name) for tag, name in rules.items() if len(tag) > 2)


def action_for(tag: int) -> str | None:
    """The table's action for an element, by the library's name of it; None where the profile says nothing."""
    single, repeating = _table()
    if int(tag) in single:
        return single[int(tag)]
    group, element = int(tag) >> 16, int(tag) & 0xFFFF
    for (g, e, group_mask, element_mask), name in repeating:
        if group & group_mask == g & group_mask and element & element_mask == e & element_mask:
            return name
    return None


def drop_unreadable(dataset: Dataset) -> int:
    """Delete what is not of the kind that it says it is, at any depth: it cannot be parsed, or is text where a number, a date or
    a UID should be. Returns how many elements went."""
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
    except Exception:  # pydicom raises as many kinds as there are ways to be wrong
        return None


def _readable(dataset: Dataset) -> Iterator[DataElement]:
    """Every element that can be parsed, at any depth."""
    for tag in list(dataset.keys()):
        element = _parsed(dataset, tag)
        if element is not None:
            yield element
            for item in element.value if element.VR == "SQ" else ():
                yield from _readable(item)


def telling_parts(dataset: Dataset) -> frozenset[str]:
    """Names and numbers, case folded, by which a dataset's patient or people can be told, at any depth: parts of person names,
    IDs, birth date; two characters or more, without words that anyone's header holds."""
    found: set[str] = set()
    for element in _readable(dataset):
        if element.VR == "PN":
            for name in _values(element):
                found.update(re.split(r"[\s^=,.;]+", name))
        elif int(element.tag) in _TELLING:
            found.update(_values(element))
    return frozenset(part.casefold() for part in found if len(part) > 1 and part.casefold() not in _ORDINARY)


def telling(dataset: Dataset) -> Telling:
    """What of a header, at any depth, must not be readable in the picture: parts of person names, IDs, accession numbers, birth dates."""
    parts: set[str] = set()
    dates: set[str] = set()
    for element in _readable(dataset):
        if element.VR == "PN":
            parts.update(part for name in _values(element) for part in re.split(r"[\s^=,.;-]+", name))
        elif int(element.tag) in _NUMBERS:
            parts.update(_values(element))
        elif element.keyword == "PatientBirthDate":
            dates.update(spelling for day in _values(element) for spelling in _spellings(day))
    return Telling(frozenset(part for part in parts if part and part.casefold() not in _ORDINARY), frozenset(dates))


def _spellings(day: str) -> frozenset[str]:
    """`dates_of` a DA value; what is no date has none."""
    try:
        return dates_of(date(int(day[:4]), int(day[4:6]), int(day[6:8])))
    except ValueError:
        return frozenset()


def _tells(text: str, telling: frozenset[str], vr: str = "") -> bool:
    """Whether a text holds a telling part: anywhere from `SHORTEST` characters on or in other scripts, which may not part words by
    spaces; shorter ones as a word of free text only."""
    text = text.casefold()
    words = set(re.split(r"\W+|_", text)) if vr != "CS" else set()
    return any(part in text if len(part) >= SHORTEST or not part.isascii() else part in words for part in telling)


def _take_out(dataset: Dataset, telling: frozenset[str], own: str) -> None:
    """Replace or delete what still holds one of the telling parts; our own pseudonym is let be."""
    for tag in list(dataset.keys()):
        element = dataset[tag]
        if element.VR == "SQ":
            for item in element.value:
                _take_out(item, telling, own)
        elif element.VR in _TEXT and int(tag) not in _PSEUDONYMS and _holds(element, telling, own):
            if element.VR in _FREE:  # which may be required: an image's manufacturer, the meaning of a code
                element.value = "" if _tells(_DUMMIES[element.VR], telling) else _DUMMIES[element.VR]
            else:
                del dataset[tag]


def _holds(element: DataElement, telling: frozenset[str], own: str) -> bool:
    return any(_tells(text, telling, element.VR) for text in _values(element) if text != own)


def telling_in_paths(dataset: Dataset) -> frozenset[str]:
    """What must not stand in a path: a header's telling parts and its UIDs, but for those of the standard, which any file has."""
    uids = {text for e in _readable(dataset) if e.VR == "UI" for text in _values(e) if len(text) >= LONG_UID}
    return telling_parts(dataset) | {uid for uid in uids if not uid.startswith(STANDARD_UIDS)}


def tells(telling: frozenset[str]) -> Callable[[str], bool]:
    """A function that says of a path, or a part of one, whether it holds something of `telling_in_paths`, of however many files."""
    wanted = frozenset(form for part in telling for form in (_plain_form(part), _bare(part)) if len(form) > 1)
    longest = max(map(len, wanted), default=0)

    def holds(path: str) -> bool:
        text = _plain_form(path)
        if not wanted.isdisjoint(re.split(r"\W+|_", text)):
            return True
        pieces = (t[i:j] for t in (text, _bare(text)) for i in range(len(t)) for j in range(i + 1, min(len(t), i + longest) + 1))
        return any(piece in wanted for piece in pieces if len(piece) >= SHORTEST or not piece.isascii())

    return holds


def _plain_form(text: str) -> str:
    """Without case and marks: file systems spell accents in two ways, and people leave them out."""
    return "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))


def _bare(text: str) -> str:
    """Letters and digits of a plain form alone: an ID or a date has other separators in a path than in a header."""
    return "".join(c for c in _plain_form(text) if c.isalnum())


def in_path(dataset: Dataset, path: str) -> bool:
    """Whether a path holds a telling part of a header, or one of its UIDs."""
    return any(map(tells(telling_in_paths(dataset)), path.split("/")))


def names_left(dataset: Dataset, original: Dataset, profile: HeaderProfile) -> int:
    """How many elements of a cleaned dataset, at any depth, still hold a telling part of the original's header."""
    telling, own = telling_parts(original), profile.pseudonym("patient", patient_of(original))
    return sum(_holds(e, telling, own) for e in dataset.iterall() if e.VR in _TEXT)


def _values(element: DataElement) -> list[str]:
    value = element.value
    if isinstance(value, bytes):
        return [value.decode("latin-1")]
    return [str(v) for v in value] if isinstance(value, (MultiValue, list, tuple)) else [] if value is None else [str(value)]


def _plain(value: object) -> str:
    return "" if value is None else str(value).strip()


def _each(value: object, change: Callable[[str], str]) -> object:
    return [change(str(v)) for v in value] if isinstance(value, (MultiValue, list, tuple)) else change(_plain(value))


def _moved(text: str, back: timedelta) -> str:
    """A DA or DT value moved back; what is no single date goes."""
    if not re.fullmatch(r"\d{8}(\d{2}){0,3}(\.\d{1,6})?([+-]\d{4})?", text):
        return ""
    try:
        day = date(int(text[:4]), int(text[4:6]), int(text[6:8])) - back
    except ValueError:
        return ""
    return f"{day.year:04d}{day.month:02d}{day.day:02d}{text[8:]}"


def _time(text: str) -> str:
    """A TM value as it is; what is no single time goes."""
    return text if re.fullmatch(r"(\d{2}){1,3}(\.\d{1,6})?", text) else ""


def _capped(age: str) -> str:
    """An age that tells nobody apart: "090Y" for more than `OLDEST` years, nothing for what is no age."""
    match = re.fullmatch(r"(\d{3})([DWMY])", age)
    if not match:
        return ""
    return "090Y" if match[2] == "Y" and int(match[1]) > OLDEST else age


def _blank(dataset: Dataset) -> None:
    """Replace every text and time of a dataset that the table replaces as a whole."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _blank(item)
        elif element.VR in _DUMMIES and element.VR not in ("CS",) and _plain(element.value):
            element.value = _DUMMIES[element.VR]
