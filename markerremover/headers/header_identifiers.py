"""What of a DICOM header tells its patient, at any depth, and where a cleaned header still holds any of it.

A text is searched in every spelling, see `identifiers`. A coded value (a code string, the value and meaning of a code) is compared as a whole
and word by word, never inside words, and is let be where it is a term of the standard's own: a patient called Chest has no part in Body Part
Examined. What this program wrote is let be by element and value. Nothing is deleted for what it holds, since it may be required: texts are
replaced by what an element of their kind may hold.
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
_CODED_TEXTS = frozenset({"RescaleType", "ModalityLUTType"})  # of free text by their kind, with defined terms
_REPLACEMENTS = {"Modality": "OT", "RescaleType": "US", "ModalityLUTType": "US", "SpecificCharacterSet": "ISO_IR 192"}
"""What stands where no text of one's own may; other elements get `DUMMIES`."""
_OWN_CODES = frozenset({
    (program_words.CLEAN_PIXEL_DATA[0], "DCM", program_words.CLEAN_PIXEL_DATA[1]), program_words.INPAINTED,
    *((value, "DCM", meaning) for value, meaning in (BASIC, RETAINED, SHIFTED)),
})  # fmt: skip
_PUBLIC_UIDS = re.compile(r"(SOPClass|TransferSyntax|CodingScheme|Context|MappingResource|CreatorVersion|ExtensionCreator)UID$")
_LONGEST_NUMBER = 6  # digits from which a number is telling in an element of numbers
_SPELT_BY_CHANCE = 6  # letters below which megabytes of noise may well spell a name
_UNDECLARED = ("cp1250", "iso8859_2", "cp1251", "koi8_r", "iso8859_5", "iso8859_7", "cp437", "cp850", "shift_jis", "gb18030", "euc_kr", "big5")
"""Charsets that names are written in where the header does not say which."""


def patient_of(dataset: Dataset) -> str:
    """What tells one patient from another: ID and its issuer; without an ID the name and birth date, without a name the study.

    Blanks, letter case, zeros before a number, empty components and accents make no difference.
    """
    number, name = _number(dataset.get("PatientID")), _person(dataset.get("PatientName"))
    if number:
        return f"id\0{number}\0{_blankless(dataset.get('IssuerOfPatientID')).upper()}"
    if name:
        return f"name\0{name}\0{re.sub(r'[^0-9]', '', _blankless(dataset.get('PatientBirthDate')))}"
    return f"study\0{_blankless(dataset.get('StudyInstanceUID') or dataset.get('SOPInstanceUID'))}"


def _number(value: object) -> str:
    text = _blankless(value).upper()
    return text.lstrip("0") or text if text.isdigit() else text


def _blankless(value: object) -> str:
    return "" if value is None else re.sub(r"[\s\0]+", " ", str(value)).strip(" ^")


def _person(value: object) -> str:
    """A name's words, of the first of its groups that holds any."""
    groups = ([plain(word) for word in words(group)] for group in re.sub(r"\0", " ", str(value or "")).split("="))
    return next((" ".join(min(forms(word), key=len) for word in found) for found in groups if found), "")


def identifiers_of(dataset: Dataset) -> Telling:
    """What of a header, at any depth, must not stand in its texts, its picture and its path: names of persons, numbers, days, UIDs."""
    declared = bool(dataset.get("SpecificCharacterSet"))
    return frozenset(found for element in _readable(dataset) for found in _identifiers(element, declared))


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
    """Whether the UIDs of an element name something of a standard or a maker, such as a class, rather than an instance."""
    return bool(_PUBLIC_UIDS.search(keyword))


def _spellings(text: str, declared: bool) -> Iterator[str]:
    """A name, and where the header names no charset what other charsets make of its bytes, as far as that is a name at all."""
    yield text
    if declared or text.isascii() or repaired(text) != text or any(ord(char) > 0xFF for char in text):
        return
    for charset in _UNDECLARED:
        try:
            other = text.encode("latin-1").decode(charset)
        except UnicodeDecodeError:
            continue
        if all(char.isalpha() or char.isascii() for char in other):
            yield other


def _undecoded(element: DataElement) -> list[str]:
    """Names that do not decode in the charset that the header names, as Latin-1, which takes all bytes."""
    people = element.value if isinstance(element.value, (MultiValue, list, tuple)) else [element.value]
    raw = (getattr(person, "original_string", b"") for person in people if "\ufffd" in str(person))
    return [text.decode("latin-1") for text in raw if isinstance(text, bytes)]


@dataclass(frozen=True)
class _Hit:
    """A value of an element that tells the patient, and the dataset that has it."""

    holder: Dataset
    element: DataElement
    number: int


def take_out(dataset: Dataset, telling: Telling, profile: HeaderProfile) -> None:
    """Replace every value, at any depth, that still tells the patient."""
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
    """How many values of a cleaned dataset, at any depth, still tell the patient of the original's header."""
    return sum(1 for _ in _hits(dataset, identifiers_of(original)))


def in_path(dataset: Dataset, path: str) -> bool:
    """Whether a path holds an identifier of a header."""
    return bool(identifiers.telling_parts(identifiers.in_path(identifiers_of(dataset)), path.split("/")))


def in_pixels(data: bytes, original: Dataset) -> bool:
    """Whether stored pixels, as bytes, spell a name of the original's header: text that a wrong length made a part of the picture.

    Names of `_SPELT_BY_CHANCE` letters or more are looked for, as written, in capitals and in small letters.
    """
    names = {word for one in identifiers_of(original) if one.kind == "name" for word in words(one.text) if len(word) >= _SPELT_BY_CHANCE}
    spelt = {form.encode("latin-1", "replace") for word in names for form in (word, word.upper(), word.lower(), word.title())}
    return any(form in data for form in spelt)


def _hits(dataset: Dataset, telling: Telling) -> Iterator[_Hit]:
    holds, whole = identifiers.in_text(telling, terms.vocabulary()), identifiers.as_whole(telling)
    uids = {one.text for one in telling if one.kind == "uid"}
    yield from _hits_in(dataset, holds, whole, uids) if telling else ()


def _hits_in(dataset: Dataset, holds: Callable[[str], bool], whole: Callable[[str], bool], uids: set[str]) -> Iterator[_Hit]:
    is_standard: bool | None = None  # of the code that the dataset is, once it matters
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _hits_in(item, holds, whole, uids)
            continue
        for number, text in enumerate(_values(element)):
            text = _of_others(element, text)
            if not text or not _is_hit(element, text, holds, whole, uids):
                continue
            if element.keyword in _CODES:
                is_standard = _is_standard(dataset) if is_standard is None else is_standard
                if is_standard:
                    continue
            yield _Hit(dataset, element, number)


def _is_hit(element: DataElement, text: str, holds: Callable[[str], bool], whole: Callable[[str], bool], uids: set[str]) -> bool:
    """Whether a value tells the patient, as an element of its kind can."""
    if element.VR == "UI":
        return text in uids and not is_public(element.keyword)
    if element.VR in ("DS", "IS"):
        return len(text) >= _LONGEST_NUMBER and text.isdigit() and whole(text)
    if element.keyword == "SpecificCharacterSet" and text in python_encoding:
        return False
    if element.VR in ("AE", "CS") or element.keyword in _CODES | _CODED_TEXTS:
        return whole(text) and not terms.is_term(text)
    return element.VR in _FREE and holds(text)


def _of_others(element: DataElement, text: str) -> str:
    """A value without what this program has written itself."""
    text, tag = text.strip(" \0"), int(element.tag)
    if text == str(DUMMIES.get(element.VR, "")) or (tag in PSEUDONYMS and re.fullmatch(f"[{CONSONANTS}]{{{PSEUDONYM_LETTERS}}}", text)):
        return ""
    return program_words.of_others(tag, text)


def _is_standard(item: Dataset) -> bool:
    """Whether a code item is this program's own or one that the standard's dictionary has."""
    code = tuple(str(item.get(keyword, "") or "") for keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"))
    return code in _OWN_CODES or terms.is_concept(item)


def _readable(dataset: Dataset) -> Iterator[DataElement]:
    """Every element that can be parsed, at any depth."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # pydicom raises as many kinds as there are ways to be wrong
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
