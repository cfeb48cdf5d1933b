"""The side that a header states."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from markerremover.laterality.header_sides import HeaderSides, of_header


def header(**elements) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def sides(frames=1, **elements) -> HeaderSides:
    return of_header(header(**elements), frames)


@pytest.mark.parametrize("elements, side", [
    ({}, ""), ({"Laterality": "L"}, "L"), ({"ImageLaterality": "R"}, "R"), ({"ImageLaterality": "R", "Laterality": "L"}, "R"), ({"ImageLaterality": "U"}, "U"),
    ({"ImageLaterality": "B"}, "B"), ({"Laterality": "SMITH"}, ""), ({"Laterality": ""}, ""), ({"Laterality": "l"}, "L"), ({"ViewPosition": "LL"}, ""),
])
def test_the_most_specific_element_counts(elements, side):
    assert sides(**elements).side == side


def test_every_frame_has_its_own_side():
    def group(side):
        anatomy, each = header(FrameLaterality=side), Dataset()
        each.FrameAnatomySequence = Sequence([anatomy])
        return each

    found = sides(2, PerFrameFunctionalGroupsSequence=Sequence([group("L"), group("R")]), Laterality="B")
    assert found.stated == (("L", "B"), ("R", "B")) and found.side == "B"
    assert sides(2, SharedFunctionalGroupsSequence=Sequence([group("R")])).stated == (("R",), ("R",))


@pytest.mark.parametrize("elements, expected", [
    ({"PatientOrientation": ["L", "F"], "BodyPartExamined": "CHEST"}, ("L", True)),
    ({"PatientOrientation": ["R", "F"], "BodyPartExamined": "CHEST"}, ("R", True)),
    ({"PatientOrientation": ["A", "F"], "BodyPartExamined": "CHEST"}, ("", False)),
    ({"ViewPosition": "PA", "BodyPartExamined": "CHEST"}, ("", True)),
    ({"ViewPosition": "LL", "BodyPartExamined": "CHEST"}, ("", False)),
    ({"ViewPosition": "PA", "BodyPartExamined": "HAND"}, ("", False)),
    ({"ViewPosition": "PA"}, ("", False)),
    ({"PatientOrientation": ["LE", "V"], "AnatomicalOrientationType": "QUADRUPED", "BodyPartExamined": "CHEST"}, ("", False)),
])
def test_a_film_is_frontal_only_where_the_header_says_so(elements, expected):
    found = sides(**elements)
    assert (found.right_half, found.is_frontal) == expected
