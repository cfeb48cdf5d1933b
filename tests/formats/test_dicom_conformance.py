"""docs/dicom-conformance.md: what it says and no other test holds, and that the tests it names exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pydicom
import pytest
from dicom_files import random_stored, rewrite, save
from pydicom import uid

from markerremover.errors import HeldError, ReadError
from markerremover.formats.dicom.files import read_dicom
from markerremover.headers.profile import HeaderProfile

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "dicom-conformance.md"
BASIC = HeaderProfile("basic", bytes(range(32)))


def test_every_claim_is_held_by_tests_that_exist():
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 30
    for file, name in named:
        functions = {n.name for n in ast.walk(ast.parse(next(TESTS.rglob(file)).read_text(encoding="utf-8"))) if isinstance(n, ast.FunctionDef)}
        assert name in functions, f"{file} has no {name}"


@pytest.mark.parametrize("kind", [
    uid.GrayscaleSoftcopyPresentationStateStorage, uid.BasicTextSRStorage, uid.KeyObjectSelectionDocumentStorage, uid.EncapsulatedPDFStorage,
    uid.TwelveLeadECGWaveformStorage, uid.RTPlanStorage,
], ids=lambda kind: kind.name)  # fmt: skip
def test_an_instance_without_pixel_data_has_no_output(tmp_path, kind):
    path = save(tmp_path, random_stored(), SOPClassUID=kind)
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    with pytest.raises(ReadError, match="no pixel data"):
        read_dicom(path)


@pytest.mark.parametrize("elements", [
    {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, {"SamplesPerPixel": 2},
    {"SamplesPerPixel": 4, "PhotometricInterpretation": "CMYK"}, {"PhotometricInterpretation": "YBR_FULL"}, {"PhotometricInterpretation": "HSV"},
    {"PhotometricInterpretation": "PALETTE COLOR", "PixelRepresentation": 1},
], ids=str)  # fmt: skip
def test_layouts_that_are_refused(tmp_path, elements):
    path = save(tmp_path, random_stored())
    dataset = pydicom.dcmread(path)
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    with pytest.raises(HeldError, match="not supported"):
        read_dicom(path)


@pytest.mark.parametrize(
    ("charset", "name", "maker"), [("ISO_IR 100", "Müller^Jürgen", "Röntgen"), ("ISO_IR 192", "Yamada^Tarou=山田^太郎", "東芝"), ("ISO_IR 144", "Иванов^Пётр", "Заря")]
)
def test_the_character_set_stays_and_new_values_are_ascii(tmp_path, charset, name, maker):
    path = save(tmp_path, random_stored(), SpecificCharacterSet=charset, PatientName=name, PatientID="0815", Manufacturer=maker)
    *_, out = rewrite(tmp_path, path, headers=BASIC, verified=True)
    assert out.SpecificCharacterSet == charset and out.Manufacturer == maker
    assert str(out.PatientName).isascii() and str(out.PatientName) == out.PatientID
    assert name.split("^")[0].encode(pydicom.dcmread(path).PatientName.encodings[0]) not in (tmp_path / "out.dcm").read_bytes()


@pytest.mark.parametrize("headers", [HeaderProfile(), BASIC], ids=["keep", "basic"])
def test_a_file_without_a_check_claims_nothing(tmp_path, headers):
    earlier = pydicom.Dataset()
    earlier.CodeValue, earlier.CodingSchemeDesignator, earlier.CodeMeaning = "113101", "DCM", "Clean Pixel Data Option"
    path = save(tmp_path, random_stored(), BurnedInAnnotation="NO", PatientIdentityRemoved="YES", DeidentificationMethodCodeSequence=[earlier])
    *_, out = rewrite(tmp_path, path, headers=headers, verified=False)
    assert out.BurnedInAnnotation == "YES" and out.PatientIdentityRemoved == "NO" and not out.DeidentificationMethodCodeSequence


@pytest.mark.parametrize("touched", [False, True])
def test_the_file_meta_information_is_ours(tmp_path, touched):
    path = save(tmp_path, random_stored())
    dataset = pydicom.dcmread(path)
    dataset.file_meta.SourceApplicationEntityTitle = "SMITHS_PC"
    dataset.file_meta.PrivateInformationCreatorUID, dataset.file_meta.PrivateInformation = "1.2.3", b"SMITH"
    dataset.save_as(path)
    *_, out = rewrite(tmp_path, path, touched=touched, headers=BASIC, verified=True)
    meta = out.file_meta
    assert {e.keyword for e in meta} == {
        "FileMetaInformationGroupLength", "FileMetaInformationVersion", "MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID",
        "ImplementationClassUID", "ImplementationVersionName",
    }
    assert meta.ImplementationVersionName == "MARKERREMOVER" and meta.MediaStorageSOPInstanceUID == out.SOPInstanceUID
    assert out.preamble == bytes(128) and out.SOPInstanceUID.startswith("2.25.")
