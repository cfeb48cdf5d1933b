"""Identifiers of a DICOM header in their usual spellings, and texts that hold one: a list of its own, coarser than that of `headers`.

Names count as whole words of three letters or more, without accents, in any case; numbers of five digits or more and codes with letters, with any
separators; days in the usual orders, with names of months in English; UIDs as they are. Words of DICOM's own vocabulary are not searched for: a
patient called Chest tells nothing in Body Part Examined.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

#: Elements beside names of persons and days that the Basic Profile leaves no value of the input in.
IDENTIFYING = frozenset((
    "PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "MedicalRecordLocator", "AdmissionID", "IssuerOfPatientID", "PatientAddress",
    "PatientTelephoneNumbers", "PatientMotherBirthName", "MilitaryRank", "EthnicGroup", "Occupation", "PatientComments", "InstitutionName",
    "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber", "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest", "RequestingService", "StudyDescription", "SeriesDescription", "ProtocolName", "ImageComments",
))  # fmt: skip
NUMBERS = frozenset((
    "PatientID", "OtherPatientIDs", "AccessionNumber", "MedicalRecordLocator", "AdmissionID", "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
))  # fmt: skip
TEXTS = frozenset({"PatientAddress", "PatientTelephoneNumbers"})
PLACEHOLDERS = frozenset("19000101 19000101000000 000000 anonymized anonymised anonymous unknown none nobody test phantom patient".split())
_TITLES = frozenset(
    "dr dres prof med dipl ing mr mrs ms miss mme mlle herr frau jr sr phd von van der den del della des dos das and und the for mac ibn bin "
    "abu ter zum zur with".split()
)
_ORDINARY = frozenset(
    "technologist portable mobile xray left right upright supine prone bed bedside table view side lateral oblique erect sitting standing hand foot "
    "knee chest hip skull spine wrist ankle elbow shoulder pelvis thorax abdomen neck head finger thumb toe markerremover weights male female film time "
    "radiology radiologist room service clinic hospital synthetic generated".split()
)
_SHORTEST_NAME, _SHORTEST_NUMBER, _SHORTEST_CODE, _SHORTEST_TEXT, _SHORTEST_UID = 3, 5, 4, 6, 12
_BY_CHANCE, _NUMBER_BY_CHANCE = 6, 8  # fewest letters, and digits, of what megabytes of pixels do not spell by chance
_PUBLIC_UID = re.compile(r"Class|Syntax|Scheme|ContextUID|ContextGroup|MappingResource|Creator")
_MONTHS = "january february march april may june july august september october november december".split()
_MOST_JOINED = 4


@dataclass(frozen=True)
class Identifiers:
    """Identifiers of one header, or of all headers of a run; confidential.

    names: folded words.  numbers: folded letters and digits, without zeros in front.  days: of the calendar.  uids: as they are.  texts: folded.
    """

    names: frozenset[str] = field(default=frozenset(), repr=False)
    numbers: frozenset[str] = field(default=frozenset(), repr=False)
    days: frozenset[date] = field(default=frozenset(), repr=False)
    uids: frozenset[str] = field(default=frozenset(), repr=False)
    texts: frozenset[str] = field(default=frozenset(), repr=False)

    def __or__(self, other: Identifiers) -> Identifiers:
        return Identifiers(self.names | other.names, self.numbers | other.numbers, self.days | other.days, self.uids | other.uids, self.texts | other.texts)


def folded(text: str) -> str:
    """A text in lower case, without accents, with ae, oe and ue as a, o and u, and sharp s as ss.

    >>> folded("MÜLLER"), folded("Mueller"), folded("Weiß")
    ('muller', 'muller', 'weiss')
    """
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char)).casefold().replace("ø", "o").replace("ł", "l")
    return plain.replace("ae", "a").replace("oe", "o").replace("ue", "u")


def values_of(element: Any) -> list[str]:
    """The values of an element as texts; none of a sequence, and bytes as Latin-1."""
    if element.VR == "SQ":
        return []
    value = element.value
    if isinstance(value, bytes):
        return [value.decode("latin-1").strip(" \0")]
    several = value if isinstance(value, (list, tuple)) or hasattr(value, "append") else [value]
    return [str(one).strip(" \0") for one in several if one is not None]


def elements_of(dataset: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Place, as keywords or tags, and element, of every element at any depth; what cannot be parsed has the element None."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # pydicom raises many kinds
            yield (*path, str(tag)), None
            continue
        place = (*path, element.keyword or str(element.tag))
        yield place, element
        for number, item in enumerate(element.value if element.VR == "SQ" and element.value else ()):
            yield from elements_of(item, (*place, str(number)))


def of_header(dataset: Any) -> Identifiers:
    """The identifiers of a header, at any depth."""
    names: set[str] = set()
    numbers: set[str] = set()
    days: set[date] = set()
    uids: set[str] = set()
    texts: set[str] = set()
    for _, element in elements_of(dataset):
        if element is None or element.tag.is_private:
            continue
        uids |= {value for value in instance_uids(element) if len(value) >= _SHORTEST_UID}
        for value in filter(None, values_of(element)):
            if value.casefold() in PLACEHOLDERS:
                continue
            if element.VR == "PN":
                names |= {word for word in re.findall(r"[^\W\d_]+", folded(value)) if len(word) >= _SHORTEST_NAME}
            elif element.keyword in NUMBERS:
                numbers |= _numbers(value)
            elif element.keyword in TEXTS and len(value) >= _SHORTEST_TEXT:
                texts.add(folded(value))
            elif element.VR in ("DA", "DT") and (day := day_of(value)):
                days.add(day)
    return Identifiers(frozenset(names - _TITLES - _ORDINARY - PLACEHOLDERS), frozenset(numbers), frozenset(days), frozenset(uids), frozenset(texts))


def instance_uids(element: Any) -> list[str]:
    """The UIDs of an element that identify an instance, a study or a device, not a class or a context; [] of other elements."""
    from pydicom.uid import UID_dictionary

    if element.VR != "UI" or _PUBLIC_UID.search(element.keyword):
        return []
    return [value for value in values_of(element) if value and value not in UID_dictionary]


def day_of(value: str) -> date | None:
    """The day of a DA or DT value, None where it is none or the usual replacement."""
    digits = re.sub(r"[.\-]", "", value)[:8]
    try:
        return None if digits in PLACEHOLDERS else date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return None


def _numbers(value: str) -> set[str]:
    bare = _unpadded("".join(re.findall(r"[^\W_]+", folded(value))))
    digits = re.findall(r"\d+", bare)
    found = {bare} if len(bare) >= (_SHORTEST_NUMBER if bare.isdigit() else _SHORTEST_CODE) and digits else set()
    return found | {core.lstrip("0") for core in digits if len(digits) == 1 and len(core.lstrip("0")) >= _SHORTEST_NUMBER}


def _unpadded(text: str) -> str:
    return text.lstrip("0") or text


def kinds_in(text: str, known: Identifiers, *, days: bool = True) -> list[str]:
    """Kinds of identifiers that a text holds, in words; [] where it holds none.

    Args:
        days: whether to search for days.
    """
    if not text:
        return []
    plain = folded(text)
    words = re.findall(r"[^\W_]+", plain)
    runs = set(re.findall(r"[^\W\d_]+", plain)) | {folded(part) for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", text)}
    found = []
    if any(word not in _vocabulary() for word in runs & known.names):
        found.append("a name")
    joined = {_unpadded("".join(words[i : i + n])) for n in range(1, _MOST_JOINED + 1) for i in range(len(words) - n + 1)}
    if not joined.isdisjoint(known.numbers):
        found.append("a number")
    if days and known.days and any(char.isdigit() for char in text) and _days_pattern(known.days).search(plain):
        found.append("a date")
    if any(uid in text for uid in known.uids):
        found.append("a UID")
    if any(other in plain for other in known.texts):
        found.append("an address or the like")
    return found


@functools.lru_cache(64)
def _days_pattern(days: frozenset[date]) -> re.Pattern[str]:
    """What matches any of the days, in the spellings of `spellings`; a time may follow eight digits."""
    return re.compile("|".join(rf"(?<![\d.]){spelling}(?!\d)" for day in sorted(days) for spelling in spellings(day)))


def spellings(day: date) -> list[str]:
    """Patterns of a day in folded text: digits together and apart in three orders, with two and four digits of the year, and with names of months.

    >>> any(re.search(spelling, "12-mar-1961") for spelling in spellings(date(1961, 3, 12)))
    True
    """
    y, m, d, gap, month = f"{day.year:04d}", f"0?{day.month}", f"0?{day.day}", r"[\s.,/_\-]{1,2}", _MONTHS[day.month - 1]
    together = [rf"{y}{day.month:02d}{day.day:02d}(?:\d{{4}}(?:\d\d)?)?", f"{day.day:02d}{day.month:02d}{y}", f"{day.month:02d}{day.day:02d}{y}"]
    year, named = f"(?:{y}|{y[2:]})", f"{folded(month[:3])}(?:{folded(month)[3:]})?\\.?"
    apart = [f"{y}{gap}{m}{gap}{d}", f"{d}{gap}{m}{gap}{year}", f"{m}{gap}{d}{gap}{year}"]
    return [*together, *apart, f"{d}(?:{gap})?(?:st|nd|rd|th)?(?:{gap})?{named}(?:{gap})?{year}", f"{named}(?:{gap})?{d}(?:st|nd|rd|th)?{gap}{y}"]


def spelt_in(payload: bytes, known: Identifiers) -> list[str]:
    """Kinds of identifiers that stored pixels, as bytes, spell: names and numbers long enough not to stand there by chance."""
    names = {word for word in known.names if len(word) >= _BY_CHANCE and word.isascii()}
    if any(form.encode() in payload for word in names for form in (word, word.upper(), word.title())):
        return ["a name"]
    numbers = {number for number in known.numbers if len(number) >= _NUMBER_BY_CHANCE and number.isascii()}
    return ["a number"] if any(form.encode() in payload for number in numbers for form in {number, number.upper()}) else []


@functools.cache
def _vocabulary() -> frozenset[str]:
    """Folded words of the names of DICOM's elements and UIDs, and of the meanings of its codes."""
    from pydicom.datadict import DicomDictionary
    from pydicom.sr._concepts_dict import concepts
    from pydicom.uid import UID_dictionary

    schemes: Any = concepts
    meanings = [meaning for scheme in schemes.values() for codes in scheme.values() for meaning, _ in codes.values()]
    text = " ".join([*(entry[2] for entry in DicomDictionary.values()), *(entry[0] for entry in UID_dictionary.values()), *meanings])
    return frozenset(re.findall(r"[^\W\d_]+", folded(text)))
