"""The confidentiality profile on headers: every element of the table, nested and private ones, and what names the patient."""

import re

import pytest
from dicomanonymizer.simpledicomanonymizer import initialize_actions
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from markerremover import options
from markerremover.errors import UsageError
from markerremover.headers import dicom_headers
from markerremover.headers.dicom_headers import clean
from markerremover.headers.profile import HeaderProfile

KEY = bytes(range(32))
PROFILE = HeaderProfile("basic", KEY)
TABLE = {(t[0] << 16) + t[1]: f.__name__ for t, f in initialize_actions(dicom_headers.EDITION).items() if len(t) == 2 and t[0] != 2}
SECRETS = {
    "AE": "SECRETAE", "AS": "047Y", "CS": "SECRET", "DA": "19710203", "DS": "4711", "DT": "19710203040506", "IS": "4711", "LO": "Secret Lo",
    "LT": "Secret Lt", "OB": b"Secret ob!", "OW": b"Secret", "PN": "Secret^Person", "SH": "Secret Sh", "ST": "Secret St", "TM": "040506",
    "UC": "Secret Uc", "UI": "1.2.840.4711", "UR": "http://secret", "UT": "Secret Ut", "UN": b"Secret", "US": 4711, "UL": 4711, "FD": 47.11,
    "FL": 47.5, "SS": 4711, "SL": 4711,
}


def holding(tag: int) -> Dataset:
    """A dataset with one element, filled with something secret; a sequence holds an item with a name and a UID."""
    dataset = Dataset()
    vr = dictionary_VR(tag).split(" or ")[0]
    if vr == "SQ":
        item = Dataset()
        item.PatientComments, item.ReferencedSOPInstanceUID = "Secret comment", "1.2.840.4711"
        dataset.add_new(tag, "SQ", Sequence([item]))
    else:
        dataset.add_new(tag, vr, SECRETS[vr])
    return dataset


def flat(dataset: Dataset) -> str:
    return " ".join(str(e.value) for e in dataset.iterall() if e.VR != "SQ").casefold()


@pytest.mark.parametrize("depth", [0, 2])
def test_no_element_of_the_table_keeps_its_value_at_any_depth(depth):
    """All elements in one test: 630 tests take longer to tell apart than to run."""
    tags, kept = [tag for tag in sorted(TABLE) if dictionary_has_tag(tag)], []
    for tag in tags:
        dataset = holding(tag)
        for _ in range(depth):
            outer = Dataset()
            outer.ViewCodeSequence = Sequence([dataset])
            dataset = outer
        clean(dataset, PROFILE)
        text = flat(dataset)
        if any(secret in text for secret in ("secret", "4711", "19710203", "040506", "047y", "47.11", "47.5", "1.2.840.4711")):
            kept.append(keyword_for_tag(tag))
    assert not kept and len(tags) > 600


def test_public_elements_that_the_dictionary_does_not_know_and_private_ones_go_at_any_depth():
    for unknown in (0x000800F4, 0x00111001):
        inner, dataset = Dataset(), Dataset()
        for d in (inner, dataset):
            d.add_new(unknown, "LO", "Secret Lo")
        dataset.ViewCodeSequence = Sequence([inner])
        clean(dataset, PROFILE)
        assert "secret" not in flat(dataset)


def patient(number="4711-X", name="Doe^Jane", **more) -> Dataset:
    dataset = Dataset()
    dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = number, name, "19710203"
    dataset.StudyInstanceUID, dataset.SOPInstanceUID, dataset.StudyDate = "1.2.3", "1.2.3.4", "20200131"
    dataset.AccessionNumber, dataset.PatientAge, dataset.PatientSex, dataset.StudyTime = "ACC0815", "093Y", "F", "101500"
    for keyword, value in more.items():
        setattr(dataset, keyword, value)
    return dataset


def cleaned(dataset: Dataset, profile: HeaderProfile = PROFILE) -> Dataset:
    clean(dataset, profile)
    return dataset


def test_pseudonyms_and_uids_are_the_same_in_every_file_of_a_key_and_others_with_another():
    one, again, other = cleaned(patient()), cleaned(patient(StudyDate="20210101")), cleaned(patient("4712-X"))
    assert one.PatientID == again.PatientID == one.PatientName != other.PatientID
    assert one.StudyInstanceUID == again.StudyInstanceUID == other.StudyInstanceUID and one.StudyInstanceUID.startswith("2.25.")
    assert one.AccessionNumber == again.AccessionNumber not in ("", "ACC0815")
    assert cleaned(patient(), HeaderProfile("basic", bytes(32))).PatientID != one.PatientID


def test_pseudonyms_are_all_different_and_spell_no_name_or_number():
    profile = HeaderProfile("basic", bytes(range(32)))
    pseudonyms = {profile.pseudonym("path", str(number)) for number in range(20_000)}
    assert len(pseudonyms) == 20_000 and not re.search("[^BCDFGHJKLMNPQRSTVWXZ]", "".join(pseudonyms))
    assert {len(pseudonym) for pseudonym in pseudonyms} == {12} and len({letter for text in pseudonyms for letter in text}) == 20


def test_rows_with_pseudonyms_of_another_kind_are_not_taken_over(monkeypatch):
    before = options.RunOptions().settings_sha256(b"k")
    monkeypatch.setattr(options, "CONSONANTS", "XYZ")
    assert options.RunOptions().settings_sha256(b"k") != before


def test_a_reference_follows_the_instance_that_it_names():
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3.4"
    dataset = cleaned(patient(SourceImageSequence=Sequence([item])))
    assert dataset.SourceImageSequence[0].ReferencedSOPInstanceUID == dataset.SOPInstanceUID
    assert dataset.SourceImageSequence[0].ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.1"


def test_what_still_names_the_patient_goes_though_the_table_lets_it_be():
    item = Dataset()
    item.CodeMeaning, item.CodeValue = "Chest of JANE", "R-1"
    dataset = cleaned(patient(ManufacturerModelName="Detector (Doe, Jane)", Manufacturer="Acme", ViewCodeSequence=Sequence([item])))
    assert dataset.ManufacturerModelName == "ANONYMIZED" and dataset.Manufacturer == "Acme"
    assert dataset.ViewCodeSequence[0].CodeMeaning == "ANONYMIZED" and dataset.ViewCodeSequence[0].CodeValue == "R-1"


def test_a_name_that_our_own_dummy_holds_leaves_the_dummy():
    assert cleaned(patient(name="Anonym^Jane", Manufacturer="Anonym and sons")).Manufacturer == "ANONYMIZED"


def test_what_may_not_be_empty_or_alone_goes_and_items_that_held_nothing_else_with_it():
    def item(**elements):
        dataset = Dataset()
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)
        return dataset

    dataset = cleaned(patient(
        ReferencedStudySequence=[item(ReferencedSOPInstanceUID="1.2.3")], AcquisitionContextSequence=[item(TextValue="x")],
        IssuerOfAccessionNumberSequence=[item(PatientComments="x"), item(PatientComments="y")],
        ViewCodeSequence=[item(CodeValue="R-1"), item(PatientComments="x"), item()], ClinicalTrialProtocolEthicsCommitteeName="x", ClinicalTrialProtocolEthicsCommitteeApprovalNumber="y",
    ))  # fmt: skip
    assert "ReferencedStudySequence" not in dataset and "IssuerOfAccessionNumberSequence" not in dataset
    assert len(dataset.AcquisitionContextSequence) == 0, "must be there, may be empty"
    assert [len(i) for i in dataset.ViewCodeSequence] == [1, 0] and "ClinicalTrialProtocolEthicsCommitteeName" not in dataset


def test_frames_keep_their_items_though_nothing_is_left_in_them():
    private, other = Dataset(), Dataset()
    private.add_new(0x00111001, "LO", "Secret")
    other.FrameContentSequence = Sequence([])
    dataset = cleaned(patient(PerFrameFunctionalGroupsSequence=[private, other]))
    assert [len(item) for item in dataset.PerFrameFunctionalGroupsSequence] == [0, 1]


def test_short_names_are_found_as_words_of_free_text_and_codes_are_let_be():
    dataset = cleaned(patient(name="Lee^Pa", Manufacturer="Lee and sons", ManufacturerModelName="Leeds Palette", ViewPosition="PA"))
    assert dataset.Manufacturer == "ANONYMIZED" and dataset.ManufacturerModelName == "Leeds Palette" and dataset.ViewPosition == "PA"


def test_names_in_scripts_without_spaces_are_found_inside_words():
    dataset = cleaned(patient(name="Yamada^Tarou=山田^太郎", ManufacturerModelName="山田太郎様", SpecificCharacterSet="ISO_IR 192"))
    assert dataset.ManufacturerModelName == "ANONYMIZED"


def test_dates_that_are_none_or_ranges_and_those_of_the_patient_do_not_survive_shifting():
    profile = HeaderProfile("basic", KEY, (), True)
    dataset = cleaned(patient(StudyDate="20200101-20200202", SeriesDate="2020.01.31", ContentDate="20201345", PatientBirthTime="010203"), profile)
    assert dataset.StudyDate == dataset.SeriesDate == dataset.ContentDate == "" and not dataset.get("PatientBirthTime")


@pytest.mark.parametrize("shift", [False, True])
def test_elements_that_lie_about_their_kind_do_not_keep_their_value(shift):
    dataset = patient(StudyTime="Secret")
    for tag, vr in ((0x0020000D, "LO"), (0x00080018, "UN"), (0x00080020, "LO"), (0x00080060, "SQ"), (0x00081110, "LO")):
        dataset.pop(tag, None)
        item = Dataset()
        item.PatientComments = "Secret"
        dataset.add_new(tag, vr, Sequence([item]) if vr == "SQ" else b"Secret" if vr == "UN" else "Secret")
    clean(dataset, HeaderProfile("basic", KEY, (), shift))
    assert "secret" not in flat(dataset)


def test_files_that_name_nobody_are_told_apart_by_their_study():
    a, b, c = (cleaned(patient("", "", StudyInstanceUID=uid)) for uid in ("1.2.3", "1.2.3", "1.2.4"))
    assert a.PatientID == b.PatientID != c.PatientID


def test_what_describes_the_image_stays():
    kept = dict(Modality="DX", BodyPartExamined="CHEST", ViewPosition="PA", ImageLaterality="L", PixelSpacing=[0.1, 0.1], WindowCenter="2048",
                ImageType=["ORIGINAL", "PRIMARY"], KVP="120", PatientOrientation=["L", "F"], InstanceNumber="3")
    dataset = cleaned(patient(**kept))
    assert {k: dataset[k].value for k in kept} == {k: patient(**kept)[k].value for k in kept}
    assert dataset.PatientIdentityRemoved == "YES" and dataset.LongitudinalTemporalInformationModified == "REMOVED"
    assert "PatientAge" not in dataset and dataset.StudyDate == "" and dataset.PatientSex == ""


def test_retained_characteristics_and_shifted_dates():
    profile = HeaderProfile("basic", KEY, ("age", "sex"), True)
    one, later = cleaned(patient(), profile), cleaned(patient(StudyDate="20200210", AcquisitionDateTime="20200210101500.5+0100"), profile)
    assert one.PatientAge == "090Y" and one.PatientSex == "F" and one.LongitudinalTemporalInformationModified == "MODIFIED"
    assert one.StudyDate not in ("", "20200131") and one.StudyTime == "101500" and one.PatientBirthDate == ""
    from datetime import date

    def day(text):
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))

    assert (day(later.StudyDate) - day(one.StudyDate)).days == 10 and 7 <= (date(2020, 1, 31) - day(one.StudyDate)).days <= 3650
    assert later.AcquisitionDateTime == later.StudyDate + "101500.5+0100"
    other = cleaned(patient("4712-X"), profile)
    assert other.StudyDate != one.StudyDate
    assert [code for code, _ in profile.codes] == ["113100", "113108", "113107"]


def test_keep_changes_nothing():
    dataset = patient()
    clean(dataset, HeaderProfile("keep"))
    assert dataset == patient()


@pytest.mark.parametrize(
    ("arguments", "word"), [(("all",), "headers"), (("basic", b"short"), "key"), (("basic", KEY, ("name",)), "retain")], ids=lambda v: str(v)[:12]
)
def test_wrong_profiles_are_refused(arguments, word):
    with pytest.raises(UsageError, match=word):
        HeaderProfile(*arguments)


def test_without_an_id_the_name_tells_patients_apart():
    a, b, c = (cleaned(patient("", name)) for name in ("Doe^Jane", "DOE^JANE", "Doe^John"))
    assert a.PatientID == b.PatientID != c.PatientID


def test_rows_of_former_rules_of_removal_are_not_taken_over(monkeypatch):
    before = options.RunOptions().settings_sha256(b"k")
    monkeypatch.setattr(options, "RULES", options.RULES + 1)
    assert options.RunOptions().settings_sha256(b"k") != before
