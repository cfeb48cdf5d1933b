"""What of a header tells its patient: where it is looked for, what is let be though it looks like it, and who is one patient."""

from __future__ import annotations

import pytest
from dicom_files import code, item, radiograph_header, random_stored, save
from fakes import telling
from pydicom import dcmread
from pydicom.datadict import DicomDictionary, dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from markerremover.formats.dicom.files import read_dicom, verify_dicom, write_dicom
from markerremover.headers import dicom_headers, header_identifiers, program_words
from markerremover.headers.profile import HeaderProfile

PROFILE = HeaderProfile("basic", bytes(range(32)))
SHIFTED = HeaderProfile("basic", bytes(range(32)), ("age", "sex", "size", "weight"), True)
UID = "1.2.826.0.1.3680043.8.498.19128271683572850495441045084448808146"
MADE_UP = {"PN": "Secret^Person", "DA": "19710203", "DT": "19710203040506", "TM": "040506", "UR": "https://secret.example", "UI": "1.2.840.4711.4711", "LO": "Secret",
           "LT": "Secret", "ST": "Secret", "UT": "Secret", "SH": "Secret", "UC": "Secret", "CS": "SECRET", "DS": "47.11", "US": 4711, "FL": 47.5, "FD": 47.5}


def header(**elements) -> Dataset:
    dataset = item(PatientName="MUSTERMANN^ERIKA", PatientID="4711981", PatientBirthDate="19610312", StudyInstanceUID=UID, SOPInstanceUID=f"{UID}.1",
                   StudyDate="20190505")
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def cleaned(profile: HeaderProfile = PROFILE, **elements) -> Dataset:
    dataset = header(**elements)
    dicom_headers.clean(dataset, profile)
    return dataset


@pytest.mark.parametrize("text", [
    "Thorax geb. 12.03.1961", "DOB 1961-03-12", "12 March 61", "ID 47-11-981", "PAT004711981", "Frau Mustermann", "E. MUSTERMANN", "05.05.2019", f"urn:{UID}",
])
@pytest.mark.parametrize("depth", [0, 3])
def test_a_text_that_tells_in_any_spelling_is_replaced_at_any_depth(text, depth):
    dataset = header(AcquisitionProtocolName=text) if not depth else header()
    inner = item(AcquisitionProtocolName=text)
    for _ in range(depth):
        inner = item(ViewCodeSequence=Sequence([inner]), FrameLabel="kept")
    dataset.update(inner)
    dicom_headers.clean(dataset, PROFILE)
    assert [e.value for e in dataset.iterall() if e.keyword == "AcquisitionProtocolName"] == ["ANONYMIZED"]
    assert not depth or dataset.FrameLabel == "kept"


def test_only_the_telling_values_of_an_element_go():
    dataset = cleaned(FrameLabelVector=["Chest", "Mustermann", "Lateral"], ImageType=["ORIGINAL", "PRIMARY", "MUSTERMANN"])
    assert list(dataset.FrameLabelVector) == ["Chest", "ANONYMIZED", "Lateral"] and list(dataset.ImageType) == ["ORIGINAL", "PRIMARY", "ANONYMIZED"]


@pytest.mark.parametrize(("name", "encoding", "charset"), [
    ("müller^jörg", "utf-8", None), ("müller^jörg", "utf-8", "ISO_IR 100"), ("müller^jörg", "latin-1", None), ("müller^jörg", "latin-1", "ISO_IR 192"),
    ("šimůnek^łucja", "cp1250", None), ("иванов^пётр", "cp1251", None), ("山田^太郎", "shift_jis", None), ("김^민준", "euc_kr", None), ("山田^太郎", "utf-8", None),
])  # fmt: skip
def test_a_name_whose_charset_is_not_declared_or_wrong_is_found_in_a_path(tmp_path, name, encoding, charset):
    data, path = name.encode(encoding), tmp_path / "a.dcm"
    dataset = item(PatientName="X" * len(data), **({"SpecificCharacterSet": charset} if charset else {}))
    dataset.save_as(path, implicit_vr=False, little_endian=True)
    path.write_bytes(path.read_bytes().replace(b"X" * len(data), data))
    whole = name.replace("^", "")
    assert header_identifiers.in_path(dcmread(path, force=True), f"by name/{name.split('^')[0] if len(name) > 5 else whole}_2.dcm")


OWN_WORDS = ["MARK^SMITH", "SMITH^MARK", "DENT^ARTHUR", "LEAN^DAVID", "ROSSI^REMO", "REMOVED", "MODIFIED", "CLEAN^A", "BASIC^B", "DATA^C", "PIXEL^D", "OPTION", "PROFILE",
             "APPLICATION^X", "CONFIDENTIALITY^X", "YES", "NO", "LONG^JANE", "LEE^DINA", "WEIGHTS^A", "MARKER^A", "ANONYMIZED", "DATES^A", "DCM", "VERS^A"]


@pytest.mark.parametrize("profile", [PROFILE, SHIFTED], ids=["removed", "shifted"])
@pytest.mark.parametrize(("name", "number"), [*((name, "Q1") for name in OWN_WORDS), ("A^B", "1131"), ("A^B", "113100"), ("A^B", "113101"), ("A^B", "1900")])
def test_a_patient_called_like_words_of_the_program_has_an_output_that_says_what_was_done(tmp_path, name, number, profile):
    path = save(tmp_path, random_stored(), PatientName=name, PatientID=number)
    radiograph, target = read_dicom(path), tmp_path / "out.dcm"
    how = {"touched": False, "headers": profile}
    write_dicom(radiograph, radiograph.stored, target, verified=True, method="markerremover 0.1.0, weights 0123456789ab", **how)
    verify_dicom(radiograph, radiograph.stored, target, **how)
    written = dcmread(target)
    assert written.DeidentificationMethod == "markerremover 0.1.0, weights 0123456789ab" and written.PatientIdentityRemoved == "YES"
    assert [(i.CodeValue, i.CodeMeaning) for i in written.DeidentificationMethodCodeSequence] == [program_words.CLEAN_PIXEL_DATA, *profile.codes]
    assert written.LongitudinalTemporalInformationModified == ("MODIFIED" if profile.shift_dates else "REMOVED")


def test_words_of_the_program_count_in_other_elements():
    dataset = cleaned(PatientName="MARKERREMOVER^A", AcquisitionProtocolName="markerremover 0.1.0, weights 0123456789ab", DeidentificationMethod="by Markerremover")
    assert dataset.AcquisitionProtocolName == dataset.DeidentificationMethod == "ANONYMIZED"


@pytest.mark.parametrize("kind", ["DX", "MG", "CR", "SC"])
def test_a_patient_called_like_a_defined_term_of_the_header_loses_no_coded_element(kind):
    def coded(name: str) -> list[str]:
        dataset = Dataset()
        for keyword, value in radiograph_header(kind).items():
            setattr(dataset, keyword, value)
        dataset.PatientName, dataset.PatientID = name, "Q1"
        dicom_headers.clean(dataset, PROFILE)
        return [f"{e.keyword} {e.value}" for e in dataset.iterall() if e.VR in ("CS", "DS", "IS") or e.keyword.startswith("Cod") or e.keyword == "RescaleType"]

    before = coded("ZZQXW^QQ")
    words = "CHEST BREAST THORAX PRIMARY ORIGINAL DERIVED MARY ROME TANG VERS LINE SENTA MANU FOR PRESENTATION IDENTITY NONE DIRECT LIN US ISO IR CR DX MG OT WSD PA"
    assert all(coded(f"{word}^QQ") == before for word in (*words.split(), "SCT", "DCM", "MAMMOGRAPHIC", "postero", "anterior", "localizer", "cranio"))


@pytest.mark.parametrize("keyword, value, left", [
    ("Modality", "MUSTERMANN", "OT"), ("BodyPartExamined", "MUSTERMANN HAND", "ANONYMIZED"), ("BodyPartExamined", "HAND", "HAND"), ("ScheduledStationAETitle", "", ""),
    ("Manufacturer", "Mustermann AG", "ANONYMIZED"), ("RescaleType", "ERIKA", "US"), ("InstanceNumber", "4711981", "0"), ("InstanceNumber", "47", "47"),
    ("WindowCenter", "4711981", "0"), ("SpecificCharacterSet", "ISO_IR 100", "ISO_IR 100"), ("PhotometricInterpretation", "MONOCHROME2", "MONOCHROME2"),
])  # fmt: skip
def test_what_tells_is_replaced_by_what_such_an_element_may_hold_and_never_deleted(keyword, value, left):
    assert str(cleaned(**{keyword: value}).get(keyword, "")) == left


def test_codes_of_the_standard_stay_and_others_that_tell_do_not():
    dataset = cleaned(
        PatientName="CHEST^HAND", ViewCodeSequence=Sequence([code("51185008", "Chest", "SCT")]),
        AnatomicRegionSequence=Sequence([code("113101", "Clean Pixel Data Option", "DCM"), code("T-1", "of Mustermann", "99LOC")]),
    )
    assert dataset.ViewCodeSequence[0].CodeMeaning == "Chest"
    assert cleaned(PatientID="51185008", ViewCodeSequence=Sequence([code("51185008", "Chest", "SCT")])).ViewCodeSequence[0].CodeValue == "51185008"
    forged = cleaned(ViewCodeSequence=Sequence([code("51185008", "Mustermann", "SCT")])).ViewCodeSequence[0]
    assert forged.CodeMeaning == "ANONYMIZED" and forged.CodeValue == "51185008"


@pytest.mark.parametrize("keyword, value", [
    ("PatientBirthDateInAlternativeCalendar", "S36.03.12"), ("PatientDeathDateInAlternativeCalendar", "R01.05.05"), ("PatientAlternativeCalendar", "JAPANESE"),
    ("PatientBodyMassIndex", "22.1"), ("RouteOfAdmissions", "Emergency"), ("CommentsOnTheScheduledProcedureStep", "call the ward"), ("NTPSourceAddress", "10.1.2.3"),
    ("RequestingPhysicianIdentificationSequence", Sequence([item(InstitutionName="H")])), ("IssuerOfAccessionNumberSequence", Sequence([item(LocalNamespaceEntityID="H")])),
])
def test_patient_attributes_that_the_table_does_not_know_go(keyword, value):
    assert keyword not in cleaned(**{keyword: value})


PERSONAL = sorted(
    tag for tag, (vr, *_) in DicomDictionary.items()
    if tag >> 16 not in (0x0002, 0x0004) and tag not in dicom_headers._HARMLESS and keyword_for_tag(tag) not in ("CodingSchemeURL", "URNCodeValue")
    and vr in MADE_UP and (tag >> 16 in (0x0010, 0x0038) or vr in ("PN", "DA", "DT", "TM", "UR"))
)  # fmt: skip


def test_no_element_of_a_patient_or_visit_and_no_person_day_or_address_keeps_its_value():
    kept = []
    for tag in PERSONAL:
        dataset, vr = Dataset(), dictionary_VR(tag)
        dataset.add_new(tag, vr, MADE_UP[vr])
        dicom_headers.clean(dataset, PROFILE)
        if tag in dataset and str(dataset[tag].value) == str(MADE_UP[vr]):
            kept.append(keyword_for_tag(tag))
    assert not kept and len(PERSONAL) > 100


def test_instances_that_the_table_does_not_know_get_new_uids_and_classes_keep_theirs():
    dataset = cleaned(RetrieveLocationUID="1.2.3.4.5", SOPClassUID="1.2.840.113619.4.2", ContextUID="1.2.840.10008.6.1.2", RetrieveURL=f"https://pacs.example/{UID}")
    assert dataset.RetrieveLocationUID.startswith("2.25.") and dataset.SOPClassUID == "1.2.840.113619.4.2" and dataset.ContextUID == "1.2.840.10008.6.1.2"
    assert dataset.RetrieveURL == "https://anonymized.invalid"


@pytest.mark.parametrize("one, other", [
    ({"PatientID": "4711"}, {"PatientID": "004711"}), ({"PatientID": "4711"}, {"PatientID": " 4711 "}), ({"PatientID": "4711"}, {"PatientID": "4711\0"}),
    ({"PatientID": "ab-7"}, {"PatientID": "AB-7"}), ({"IssuerOfPatientID": "Hosp"}, {"IssuerOfPatientID": " HOSP "}),
    *(({"PatientID": "", "PatientName": "MUSTER^ERIKA"}, {"PatientID": " ", "PatientName": name}) for name in (
        "MUSTER^ERIKA^", "MUSTER^ERIKA^^^", "MUSTER ^ERIKA", "Muster^Erika", "MUSTER^ERIKA=", "MUSTER, ERIKA", "MUSTER^ERIKA\0", "  MUSTER^ ERIKA ")),
    ({"PatientID": "", "PatientName": "Müller^Jörg"}, {"PatientID": "", "PatientName": "MUELLER^Jo\u0308rg"}),
])
def test_one_patient_has_one_pseudonym(one, other):
    assert cleaned(**one).PatientID == cleaned(**other).PatientID


@pytest.mark.parametrize("one, other", [
    ({"PatientID": "4711"}, {"PatientID": "4712"}), ({"PatientID": "1-23"}, {"PatientID": "12-3"}), ({"IssuerOfPatientID": "A"}, {"IssuerOfPatientID": "B"}),
    ({"PatientID": "0"}, {"PatientID": "00001"}), ({"PatientID": ""}, {"PatientID": "", "PatientBirthDate": "19610313"}),
    ({"PatientID": "", "PatientName": "A^B"}, {"PatientID": "", "PatientName": "B^A"}),
])
def test_two_patients_have_two(one, other):
    assert cleaned(**one).PatientID != cleaned(**other).PatientID


def test_a_header_without_identifiers_holds_none():
    assert header_identifiers.identifiers_of(Dataset()) == telling() and header_identifiers.names_left(header(), Dataset()) == 0
