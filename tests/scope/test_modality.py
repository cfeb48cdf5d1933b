"""What a header says that a file is: validated, outside, or recognisable."""

from __future__ import annotations

import pytest
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.sequence import Sequence

from markerremover.errors import HeldError, UsageError
from markerremover.scope import modality
from markerremover.scope.modality import check, checked_modalities, of_header

DX, SC, CT = uid.DigitalXRayImageStorageForPresentation, uid.SecondaryCaptureImageStorage, uid.CTImageStorage


def header(sop_class=DX, **elements) -> Dataset:
    dataset = Dataset()
    if sop_class:
        dataset.SOPClassUID = sop_class
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def needed(*arguments, **elements) -> tuple[str, ...]:
    return of_header(header(*arguments, **elements)).needs


@pytest.mark.parametrize("sop_class, said", [
    (DX, "DX"), (uid.ComputedRadiographyImageStorage, "CR"), (SC, "CR"), (SC, "DX"), (SC, "DR"), (SC, "RG"), (DX, ""), (DX, "OT"), (DX, "SMITH"), (None, "DX"),
])
def test_radiographs_pass_if_modality_or_class_says_so_and_the_other_says_nothing_else(sop_class, said):
    scope = of_header(header(sop_class, Modality=said, BodyPartExamined="CHEST"))
    assert (scope.needs, scope.outside, scope.recognizable, scope.note) == ((), "", "", "")


@pytest.mark.parametrize("said", sorted(modality.PROJECTION))
def test_other_projection_radiographs_pass_and_are_marked_as_outside_of_what_was_validated(said):
    scope = of_header(header(SC, Modality=said))
    assert scope.needs == () and scope.outside == f"modality {said}" and scope.row == {"modality": said, "outside_validation": True}


@pytest.mark.parametrize("said", sorted(modality.TERMS - modality.VALIDATED - modality.PROJECTION - {"OT"}))
def test_every_other_term_is_held_whatever_the_class_says_and_passes_where_it_is_allowed(said):
    for sop_class in (DX, SC, None):
        scope = of_header(header(sop_class, Modality=said))
        assert scope.needs == (said,)
        with pytest.raises(HeldError, match=rf"^modality {said} is not what the weights were validated on.*\(--allow-modality {said}\)$"):
            check(scope, ("OT", "PHOTO"))
        check(scope, (said,))
        check(scope, ("ALL",))


def test_a_class_of_another_modality_is_held_although_modality_says_radiograph():
    assert needed(CT, Modality="CR", BodyPartExamined="CHEST") == ("CT",) and needed(CT, BodyPartExamined="CHEST") == ("CT",)
    assert needed(CT, Modality="MR", BodyPartExamined="CHEST") == ("MR", "CT")
    with pytest.raises(HeldError, match="a SOP Class of modality CT is not"):
        check(of_header(header(CT, Modality="CR", BodyPartExamined="CHEST")))


def test_a_secondary_capture_that_says_nothing_is_held_unless_its_acquisition_is_that_of_a_film():
    assert needed(SC, Modality="OT") == needed(SC) == needed(None) == needed(SC, Modality="SMITH") == ("OT",)
    for element in ({"ConversionType": "DF"}, {"ViewPosition": "PA"}, {"ImagerPixelSpacing": [0.1, 0.1]}, {"DetectorType": "DIRECT"}):
        assert needed(SC, Modality="OT", **element) == ()
    assert needed(SC, Modality="OT", ConversionType="WSD") == ("OT",)  # a screenshot


def test_no_reason_quotes_a_header_value():
    scope = of_header(header(SC, Modality="SMITH", BodyPartExamined="SMITH", ConversionType="SMITH"))
    assert "SMITH" not in scope.why and scope.modality == ""


@pytest.mark.parametrize("elements", [
    {"BodyPartExamined": "HEAD"}, {"BodyPartExamined": "BRAIN"}, {"BodyPartExamined": "head neck"}, {"StudyDescription": "CT Schädel nativ"},
    {"SeriesDescription": "HEAD 5mm", "BodyPartExamined": "CHEST"}, {"BodyPartExamined": "WHOLEBODY"}, {},
])
@pytest.mark.parametrize("said", ["CT", "MR", "PT"])
def test_slices_of_a_head_or_of_an_unknown_part_are_recognisable(said, elements):
    scope = of_header(header(SC, Modality=said, **elements))
    assert "face" in scope.recognizable and "face" in scope.why and scope.needs == (said,)


def test_slices_of_a_trunk_are_not_recognisable_nor_is_ultrasound():
    assert not of_header(header(CT, Modality="CT", BodyPartExamined="CHEST", StudyDescription="Abdomen with contrast")).recognizable
    assert not of_header(header(SC, Modality="US")).recognizable


def test_the_region_of_an_enhanced_image_counts():
    region, anatomy, group = Dataset(), Dataset(), Dataset()
    region.CodeValue, region.CodingSchemeDesignator = "12738006", "SCT"
    anatomy.AnatomicRegionSequence, group.FrameAnatomySequence = Sequence([region]), Sequence([anatomy])
    assert of_header(header(uid.EnhancedMRImageStorage, BodyPartExamined="NECK", SharedFunctionalGroupsSequence=Sequence([group]))).recognizable


@pytest.mark.parametrize("said", ["XC", "ES", "OP"])
def test_photographs_are_recognisable(said):
    assert "photograph" in of_header(header(SC, Modality=said)).recognizable


def test_recognizable_visual_features_has_the_last_word():
    scope = of_header(header(DX, Modality="DX", RecognizableVisualFeatures="YES"))
    assert scope.needs == ("DX",) and scope.recognizable
    with pytest.raises(HeldError, match=r"visual features in it are recognisable \(--allow-modality DX\)$"):
        check(scope)
    check(scope, ("DX",))
    assert not of_header(header(CT, Modality="CT", BodyPartExamined="HEAD", RecognizableVisualFeatures="NO")).recognizable


def test_a_film_of_the_head_passes_with_a_note():
    scope = of_header(header(DX, Modality="DX", BodyPartExamined="SKULL"))
    assert scope.needs == () and not scope.recognizable and "film of the head" in scope.note and scope.row["recognizable"] == scope.note
    assert not of_header(header(DX, Modality="DX", BodyPartExamined="HIP", StudyDescription="femoral head")).note


@pytest.mark.parametrize("name, expected", [("CT_small.dcm", "CT"), ("MR_small.dcm", "MR"), ("examples_rgb_color.dcm", "US"), ("rtdose.dcm", "RTDOSE"),
                                            ("SC_rgb_rle.dcm", "OT")])
def test_pydicoms_own_files_are_what_they_are(name, expected):
    assert of_header(dcmread(get_testdata_file(name), stop_before_pixels=True)).needs == (expected,)


def test_names_of_modalities_are_checked():
    assert checked_modalities([" ct", "CT", "photo", ""]) == ("CT", "PHOTO")
    with pytest.raises(UsageError, match="allow_modality is XRAY"):
        checked_modalities(["CT", "xray"])
