"""What a file is, told from its DICOM header: a radiograph as the weights were validated on, something else, or a picture of a face.

Modality (0008,0060) and SOP Class UID (0008,0016) both count: what either of them calls something else than a projection radiograph is
something else. Terms are those of PS3.3 C.7.3.1.1.1, SOP Classes those of PS3.4 B.5. Secondary Capture and Modality OT say nothing; such a file
counts as a radiograph if its acquisition is described as one, see `_says_projection`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import HeldError, UsageError

if TYPE_CHECKING:  # `--help` imports this module for its terms and needs no pydicom
    from pydicom.dataset import Dataset

VALIDATED = frozenset({"CR", "DX", "RG", "DR"})
"""Modalities of the radiographs in eval/PROTOCOL.md: chest, limbs, pelvis, spine. DR is no defined term, but devices write it for DX."""
PROJECTION = frozenset({"MG", "RF", "XA", "PX", "IO", "DF", "DS", "CF"})
"""Other projection radiographs: let through, and marked as outside of what was validated. The last three are retired terms for RF and XA."""
PHOTOGRAPHS = frozenset({"XC", "ES", "OP", "DMS"})
"""Photographs: external camera, endoscopy, ophthalmic photography, dermoscopy."""
VOLUMES = frozenset({"CT", "MR", "PT"})
"""Stacks of slices from which a face can be rendered."""
UNSAID = "OT"
PHOTO, ALL = "PHOTO", "ALL"
TERMS = frozenset("""
    AR AS ASMT AU BDUS BI BMD CD CF CFM CP CR CS CT CTPROTOCOL DD DF DG DM DMS DOC DR DS DX EC ECG EEG EMG EOG EPS ES FA FID FS GM HC HD IO IOL IVOCT IVUS
    KER KO LEN LP LS M3D MA MG MR MS NM OAM OCT OP OPM OPR OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG RESP RF RG RTDOSE RTIMAGE RTINTENT
    RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF ST STAIN TEXTUREMAP TG US VA VF XA XAPROTOCOL XC
""".split())
"""Defined terms of Modality, retired ones included, and DR."""
ALLOWABLE = TERMS | {PHOTO, ALL}
"""What `allow_modality` may name."""
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_CLASSES = {
    "1": "CR", "1.1": "DX", "1.1.1": "DX", "1.2": "MG", "1.2.1": "MG", "1.3": "IO", "1.3.1": "IO", "2": "CT", "2.1": "CT", "2.2": "CT", "3": "US",
    "3.1": "US", "4": "MR", "4.1": "MR", "4.2": "MR", "4.3": "MR", "4.4": "MR", "5": "NM", "6": "US", "6.1": "US", "6.2": "US", "12.1": "XA", "12.1.1": "XA",
    "12.2": "RF", "12.2.1": "RF", "12.3": "XA", "13.1.1": "CT", "13.1.2": "CT", "13.1.3": "MG", "13.1.4": "MG", "13.1.5": "MG", "14.1": "IVOCT",
    "14.2": "IVOCT", "20": "NM", "66.4": "SEG", "77.1.1": "ES", "77.1.1.1": "ES", "77.1.2": "GM", "77.1.2.1": "GM", "77.1.3": "SM", "77.1.4": "XC",
    "77.1.4.1": "XC", "77.1.5.1": "OP", "77.1.5.2": "OP", "77.1.5.4": "OPT", "77.1.5.5": "OP", "77.1.5.6": "OP", "77.1.5.7": "OPT", "77.1.5.8": "OPT",
    "77.1.6": "SM", "77.1.7": "DMS", "128": "PT", "128.1": "PT", "130": "PT", "481.1": "RTIMAGE", "481.2": "RTDOSE",
}
"""SOP Class below `_STORAGE` -> modality. Three-dimensional X-ray (13.1.1, 13.1.2) is computed from many projections, as CT is."""
_CRANIOFACIAL = _STORAGE + "13.1.2"
HEADS = frozenset("""
    BRAIN CEREBELLUM CHEEK EAR EYE EYELID FACE FACIAL FACIALBONES FOREHEAD HEAD HEADNECK IAC JAW LIP MANDIBLE MAXILLA MOUTH NASAL NASALBONES NOSE ORBIT ORBITS
    PARANASALSINUS PITUITARY SCALP SELLA SINUS SINUSES SKULL TEETH TEMPORAL TMJ TONGUE TOOTH WHOLEBODY ZYGOMA
""".split())
"""Values of Body Part Examined (PS3.16 Annex L, and what devices write), without blanks, that show a head."""
_HEAD_CODES = frozenset({
    "69536005", "89545001", "12738006", "T-D1100", "T-D1200", "T-11100", "T-A0100", "89546000", "T-D1460", "70925003", "91609006", "363654007", "T-D14AE", "38266002",
})
"""Codes of head, face, brain, skull, jaw, orbit and whole body in Anatomic Region Sequence (SCT, and the SRT codes before it)."""
_HEAD_WORDS = re.compile(
    r"\b(?:head|brain|cerebr\w*|crani\w*|neuro\w*|skull|face|facial|maxillofacial|sinus(?:es)?|orbits?|whole ?body|kopf|sch[aä]del\w*|gehirn|"
    r"hirn\w*|cabeza|cr[aá]neo|t[eê]te|cr[aâ]ne)\b", re.IGNORECASE)
_SAID_IN = ("StudyDescription", "SeriesDescription", "ProtocolName", "RequestedProcedureDescription")


@dataclass(frozen=True)
class Scope:
    """Whether the weights were validated on what a file is, and whether a person may be recognised in it.

    modality: the header's, where it is one of TERMS, else "".
    needs: members of ALLOWABLE that must all be allowed, else the file is held; () if it passes.
    why: of a held file, in words that hold no header value but one of TERMS; "" if it passes.
    outside: "" or what it is that the weights were not validated on.
    recognizable: "" or the reason why a person may be recognised in it.  note: "" or a remark on what can be recognised in it all the same.
    """

    modality: str = ""
    needs: tuple[str, ...] = ()
    why: str = ""
    outside: str = ""
    recognizable: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        assert bool(self.needs) == bool(self.why)

    @property
    def row(self) -> dict[str, object]:
        """Fields of the manifest's row."""
        facts: dict[str, object] = {"modality": self.modality}
        if self.outside:
            facts["outside_validation"] = True
        if self.recognizable or self.note:
            facts["recognizable"] = self.recognizable or self.note
        return facts


PICTURE = Scope()
"""A grey picture that is no DICOM file, or a radiograph stored in colour: nothing is known but its pixels."""
PHOTOGRAPH = Scope(
    "", (PHOTO,), "a colour photograph is not what the weights were validated on, and a person may be recognised in it", "a colour photograph",
    "a colour photograph")


def checked_modalities(allowed: Collection[str]) -> tuple[str, ...]:
    """Names of modalities in upper case, each once.

    Raises:
        UsageError: one is not of ALLOWABLE.
    """
    names = tuple(dict.fromkeys(name.strip().upper() for name in allowed if name.strip()))
    if unknown := [name for name in names if name not in ALLOWABLE]:
        raise UsageError(f"allow_modality is {', '.join(unknown)}, allowed are DICOM's terms such as CT, MR, US and OT, photo for colour photographs, and all")
    return names


def check(scope: Scope, allowed: Collection[str] = ()) -> None:
    """Hold what the weights were not validated on, and what is recognisable, unless it is allowed.

    Raises:
        HeldError: with the option that lets it through.
    """
    missing = [need for need in scope.needs if need not in allowed]
    if missing and ALL not in allowed:
        raise HeldError(f"{scope.why} (--allow-modality {','.join(need.lower() if need == PHOTO else need for need in scope.needs)})")


def of_header(dataset: Dataset) -> Scope:
    """The scope of a DICOM file, from its header alone; elements that cannot be read count as missing."""
    stated = _text(dataset, "Modality").upper()
    stated = stated if stated in TERMS else ""
    sop_class = _text(dataset, "SOPClassUID")
    by_class = _CLASSES.get(sop_class.removeprefix(_STORAGE), "") if sop_class.startswith(_STORAGE) else ""
    known = list(dict.fromkeys(code for code in (stated, by_class) if code and code != UNSAID))
    foreign = [code for code in known if code not in VALIDATED | PROJECTION]
    needs, why, outside = tuple(foreign), "", " and ".join(code for code in known if code not in VALIDATED)
    if foreign:
        said = f"modality {stated}" if stated in foreign else f"a SOP Class of modality {by_class}"
        why = f"{said} is not what the weights were validated on"
    elif not known and not _says_projection(dataset):
        needs, outside = (UNSAID,), "nothing says that it is a radiograph"
        why = "neither modality nor SOP Class says that it is a radiograph, as the weights were validated on"
    outside = f"modality {outside}" if known and outside else outside
    recognizable = _recognizable(dataset, known, sop_class)
    if recognizable and not needs:
        needs, why = (stated or by_class or UNSAID,), recognizable
    elif recognizable:
        why = f"{why}, and {recognizable}"
    is_film = not foreign and not recognizable and bool(_head(dataset, in_words=False))
    return Scope(stated, needs, why, outside, recognizable, "a film of the head: teeth, implants and bones may be recognised" if is_film else "")


def _recognizable(dataset: Dataset, known: list[str], sop_class: str) -> str:
    """Why a person may be recognised in a picture, "" if not. Recognizable Visual Features (0028,0302) has the last word."""
    stated = _text(dataset, "RecognizableVisualFeatures").upper()
    if stated == "YES":
        return "its header says that visual features in it are recognisable"
    if stated == "NO":
        return ""
    if any(code in PHOTOGRAPHS for code in known):
        return "a person may be recognised in a photograph"
    if sop_class == _CRANIOFACIAL or (any(code in VOLUMES for code in known) and _head(dataset) is not False):
        return "a face may be recognised in slices of a head" if _head(dataset) else "a face may be recognised in it, since its body part is not stated"
    return ""


def _head(dataset: Dataset, in_words: bool = True) -> bool | None:
    """Whether a head is in the picture: by Body Part Examined, Anatomic Region Sequence or, with `in_words`, descriptions, which also speak of the
    head of a bone; None where no body part is stated."""
    parts = [re.sub(r"[\W_]", "", part).upper() for part in _text(dataset, "BodyPartExamined").split("\\")]
    codes = [code for each in (dataset, *_frame_anatomy(dataset)) for code in _codes(each)]
    described = in_words and any(_HEAD_WORDS.search(_text(dataset, keyword)) for keyword in _SAID_IN)
    if described or any(part in HEADS for part in parts) or any(code in _HEAD_CODES for code in codes):
        return True
    return False if any(parts) or codes else None


def _codes(dataset: Dataset) -> list[str]:
    return [_text(item, "CodeValue") for item in _items(dataset, "AnatomicRegionSequence")]


def _frame_anatomy(dataset: Dataset) -> list[Dataset]:
    """Items of Frame Anatomy Sequence (0020,9071) of an enhanced image, shared and per frame."""
    groups = [group for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence") for group in _items(dataset, name)]
    return [item for group in groups for item in _items(group, "FrameAnatomySequence")]


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    try:
        return list(dataset.get(keyword, None) or [])
    except Exception:  # pydicom raises many kinds of exceptions for malformed values
        return []


def _says_projection(dataset: Dataset) -> bool:
    """Whether the acquisition is described as that of a projection radiograph: a digitized film (Conversion Type DF), a View Position, the plate
    or detector, or the spacing at its surface. CT, MR and ultrasound have none of these elements."""
    return _text(dataset, "ConversionType").upper() == "DF" or any(
        _text(dataset, keyword) for keyword in ("ViewPosition", "PlateType", "DetectorType", "ImagerPixelSpacing", "FilmConsumptionSequence"))


def _text(dataset: Dataset, keyword: str) -> str:
    """A value as text without blanks at its ends, several joined by a backslash; "" where it is missing or cannot be read."""
    try:
        value = dataset.get(keyword, None)
    except Exception:  # as in `_items`
        return ""
    if value is None or isinstance(value, bytes):
        return ""
    return "\\".join(str(part) for part in value).strip() if isinstance(value, (list, tuple)) or hasattr(value, "append") else str(value).strip()
