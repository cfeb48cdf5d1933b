"""Finds identifiers of the patient in a DICOM header, at any depth, and values of a cleaned header that still hold one.

A text is searched in every spelling, see `identifiers`. A coded value (a code string, the value and meaning of a code) is compared as a whole
and word by word, never inside words, and is retained where it is a term of the standard: a patient called Chest does not affect Body Part
Examined. Values that this program wrote are retained, by element and value. No element is deleted for its content, since it may be
required: texts are replaced by valid values of their VR.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pydicom.charset import python_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID_dictionary

from ..records import Identifier, Telling
from . import identifiers, program_words, terms
from .profile import BASIC, CONSONANTS, DUMMIES, PSEUDONYM_LETTERS, RETAINED, SHIFTED, HeaderProfile
from .spelling import forms, plain, repaired, words

__all__ = ["PSEUDONYMS", "identifiers_of", "in_path", "in_pixels", "is_public", "names_left", "patient_of", "take_out"]

PSEUDONYMS = {tag_for_keyword(k): k for k in ("PatientName", "PatientID", "AccessionNumber", "StudyID")}
_NUMBERS = frozenset(tag_for_keyword(k) for k in (
    "PatientID", "AccessionNumber", "OtherPatientIDs", "MedicalRecordLocator", "AdmissionID", "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
))  # fmt: skip
_TEXTS = frozenset(tag_for_keyword(k) for k in (
    "PatientTelephoneNumbers", "IssuerOfPatientID", "PatientAddress", "PatientBirthDateInAlternativeCalendar",
    "PatientDeathDateInAlternativeCalendar",
))  # fmt: skip
_FREE = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UN", "UR", "UT"})
_CODES = frozenset({"CodeValue", "LongCodeValue", "URNCodeValue", "CodingSchemeDesignator", "CodingSchemeVersion", "CodeMeaning"})
_CODED_TEXTS = frozenset({"RescaleType", "ModalityLUTType"})  # free text by their VR, but with defined terms
_REPLACEMENTS = {"Modality": "OT", "RescaleType": "US", "ModalityLUTType": "US", "SpecificCharacterSet": "ISO_IR 192"}
"""Replacements in elements that allow defined terms only; other elements get `DUMMIES`."""
_OWN_CODES = frozenset({
    (program_words.CLEAN_PIXEL_DATA[0], "DCM", program_words.CLEAN_PIXEL_DATA[1]), program_words.INPAINTED,
    *((value, "DCM", meaning) for value, meaning in (BASIC, RETAINED, SHIFTED)),
})  # fmt: skip
_PUBLIC_UIDS = re.compile(r"(SOPClass|TransferSyntax|CodingScheme|Context|MappingResource|CreatorVersion|ExtensionCreator)UID$")
_LEAST_DIGITS = 6  # smallest number of digits of an identifier in an element of numbers
_SPELT_BY_CHANCE = 6  # smallest number of letters of a name that megabytes of noise rarely spell by chance
_UNDECLARED = ("cp1250", "iso8859_2", "cp1251", "koi8_r", "iso8859_5", "iso8859_7", "cp437", "cp850", "shift_jis", "gb18030", "euc_kr", "big5")
"""Charsets of names in headers that declare none."""


def patient_of(dataset: Dataset) -> str:
    """A text that identifies the patient: ID and its issuer; without an ID name and birth date; without a name the study.

    Blanks, case, leading zeros of a number, empty components and accents are normalised.
    """
    number, name = _number(dataset.get("PatientID")), _person(dataset.get("PatientName"))
    if number:
        return f"id\0{number}\0{_blankless(dataset.get('IssuerOfPatientID')).upper()}"
    if name:
        return f"name\0{name}\0{re.sub(r'[^0-9]', '', _blankless(dataset.get('PatientBirthDate')))}"
    return f"study\0{_blankless(dataset.get('StudyInstanceUID') or dataset.get('SOPInstanceUID'))}"


def patient_of_id(number: str) -> str:
    """`patient_of` for a header that has this Patient ID and no issuer of it."""
    return f"id\0{_number(number)}\0"


def _number(value: object) -> str:
    text = _blankless(value).upper()
    return text.lstrip("0") or text if text.isdigit() else text


def _blankless(value: object) -> str:
    return "" if value is None else re.sub(r"[\s\0]+", " ", str(value)).strip(" ^")


def _person(value: object) -> str:
    """The words of a name, from its first group that has any."""
    groups = ([plain(word) for word in words(group)] for group in re.sub(r"\0", " ", str(value or "")).split("="))
    return next((" ".join(min(forms(word), key=len) for word in group) for group in groups if group), "")


def identifiers_of(dataset: Dataset) -> Telling:
    """Identifiers in a header, at any depth, that its texts, picture and path must not contain: names of persons, numbers, days, UIDs."""
    declared = bool(dataset.get("SpecificCharacterSet"))
    return frozenset(identifier for element in _readable(dataset) for identifier in _identifiers(element, declared))


def _identifiers(element: DataElement, declared: bool) -> Iterator[Identifier]:
    tag, texts = int(element.tag), _values(element)
    if element.VR == "PN":
        yield from (Identifier("name", spelt) for text in (*texts, *_undecoded(element)) if text for spelt in _spellings(text, declared))
    elif tag in _NUMBERS:
        yield from (Identifier("number", text.strip(" \0")) for text in texts if text.strip(" \0"))
    elif tag in _TEXTS:
        yield from (Identifier("text", text.strip(" \0")) for text in texts if text.strip(" \0"))
    elif element.VR in ("DA", "DT"):
        kind = "birth" if element.keyword == "PatientBirthDate" else "day"
        yield from (Identifier(kind, day.strftime("%Y%m%d")) for text in texts for day in identifiers.days_of(text))
    elif element.VR == "UI" and not is_public(element.keyword):
        yield from (Identifier("uid", text) for text in texts if len(text) >= identifiers.LONG_UID and text not in UID_dictionary)


def is_public(keyword: str) -> bool:
    """Whether the UIDs of an element identify a concept of a standard or a manufacturer, such as a class, not an instance."""
    return bool(_PUBLIC_UIDS.search(keyword))


def _spellings(text: str, declared: bool) -> Iterator[str]:
    """A name, and if the header declares no charset, its bytes decoded in other charsets where that gives letters."""
    yield text
    if declared or text.isascii() or repaired(text) != text or any(ord(char) > 0xFF for char in text):
        return
    for charset in _UNDECLARED:
        try:
            decoded = text.encode("latin-1").decode(charset)
        except UnicodeDecodeError:
            continue
        if all(char.isalpha() or char.isascii() for char in decoded):
            yield decoded


def _undecoded(element: DataElement) -> list[str]:
    """Names that do not decode in the declared charset, decoded as Latin-1, which accepts all bytes."""
    people = element.value if isinstance(element.value, (MultiValue, list, tuple)) else [element.value]
    raw = (getattr(person, "original_string", b"") for person in people if "\ufffd" in str(person))
    return [text.decode("latin-1") for text in raw if isinstance(text, bytes)]


@dataclass(frozen=True)
class _Hit:
    """A value of an element that identifies the patient, and the dataset that has it."""

    holder: Dataset
    element: DataElement
    number: int


def take_out(dataset: Dataset, telling: Telling, profile: HeaderProfile) -> None:
    """Replace every value that still identifies the patient, at any depth and in place."""
    for hit in list(_hits(dataset, telling)):
        element, values = hit.element, _values(hit.element)
        if element.VR == "UN":
            hit.holder.pop(element.tag, None)
            continue
        values[hit.number] = profile.uid(values[hit.number]) if element.VR == "UI" else _replacement(element)
        element.value = values if len(values) > 1 else values[0]


def _replacement(element: DataElement) -> str:
    return _REPLACEMENTS.get(element.keyword) or str(DUMMIES[element.VR])


def names_left(dataset: Dataset, original: Dataset) -> int:
    """Number of values of a cleaned dataset, at any depth, that still identify the patient of the original's header."""
    return sum(1 for _ in _hits(dataset, identifiers_of(original)))


def in_path(dataset: Dataset, path: str) -> bool:
    """Whether a path holds an identifier of a header."""
    return bool(identifiers.telling_parts(identifiers.in_path(identifiers_of(dataset)), path.split("/")))


def in_pixels(data: bytes, original: Dataset) -> bool:
    """Whether stored pixels, as bytes, spell a name of the original's header: text that a wrong length made part of the pixels.

    Names of `_SPELT_BY_CHANCE` letters or more are searched for, as written, in upper, lower and title case.
    """
    names = {word for one in identifiers_of(original) if one.kind == "name" for word in words(one.text) if len(word) >= _SPELT_BY_CHANCE}
    spelt = {form.encode("latin-1", "replace") for word in names for form in (word, word.upper(), word.lower(), word.title())}
    return any(form in data for form in spelt)


def _hits(dataset: Dataset, telling: Telling) -> Iterator[_Hit]:
    holds, is_identifier = identifiers.in_text(telling, terms.vocabulary()), identifiers.as_whole(telling)
    uids = {one.text for one in telling if one.kind == "uid"}
    yield from _hits_in(dataset, holds, is_identifier, uids) if telling else ()


def _hits_in(dataset: Dataset, holds: Callable[[str], bool], is_identifier: Callable[[str], bool], uids: set[str]) -> Iterator[_Hit]:
    is_standard: bool | None = None  # whether the dataset is a code of the standard; evaluated on demand
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _hits_in(item, holds, is_identifier, uids)
            continue
        for number, text in enumerate(_values(element)):
            text = _of_others(element, text)
            if not text or not _is_hit(element, text, holds, is_identifier, uids):
                continue
            if element.keyword in _CODES:
                is_standard = _is_standard(dataset) if is_standard is None else is_standard
                if is_standard:
                    continue
            yield _Hit(dataset, element, number)


def _is_hit(element: DataElement, text: str, holds: Callable[[str], bool], is_identifier: Callable[[str], bool], uids: set[str]) -> bool:
    """Whether a value identifies the patient, by the rules for its VR."""
    if element.VR == "UI":
        return text in uids and not is_public(element.keyword)
    if element.VR in ("DS", "IS"):
        return len(text) >= _LEAST_DIGITS and text.isdigit() and is_identifier(text)
    if element.keyword == "SpecificCharacterSet" and text in python_encoding:
        return False
    if element.VR in ("AE", "CS") or element.keyword in _CODES | _CODED_TEXTS:
        return is_identifier(text) and not terms.is_term(text)
    return element.VR in _FREE and holds(text)


def _of_others(element: DataElement, text: str) -> str:
    """A value without the parts that this program writes."""
    text, tag = text.strip(" \0"), int(element.tag)
    if text == str(DUMMIES.get(element.VR, "")) or (tag in PSEUDONYMS and re.fullmatch(f"[{CONSONANTS}]{{{PSEUDONYM_LETTERS}}}", text)):
        return ""
    return program_words.of_others(tag, text)


def _is_standard(item: Dataset) -> bool:
    """Whether a code item is one of this program's or one in the standard's dictionary."""
    code = tuple(str(item.get(keyword, "") or "") for keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"))
    return code in _OWN_CODES or terms.is_concept(item)


def _readable(dataset: Dataset) -> Iterator[DataElement]:
    """Every element that can be parsed, at any depth."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # pydicom raises many kinds of exceptions for malformed values
            element = None
        if element is not None:
            yield element
            for item in element.value if element.VR == "SQ" else ():
                yield from _readable(item)


def _values(element: DataElement) -> list[str]:
    value = element.value
    if isinstance(value, bytes):
        return [value.decode("latin-1")]
    return [str(v) for v in value] if isinstance(value, (MultiValue, list, tuple)) else [] if value is None else [str(value)]
