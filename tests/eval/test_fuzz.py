"""A seeded part of eval/fuzz.py, with a localizer that always finds the planted name; the whole of it is run by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

sys.path.append(str(Path(__file__).parents[2] / "eval"))
import fakes  # noqa: E402
import fuzz  # noqa: E402
import mutate  # noqa: E402

from markerremover.second_pass import tesseract  # noqa: E402

EACH = 3


def find_the_box(frame: np.ndarray, threshold: float | None = None) -> fakes.Detections:
    """Finds the planted box where it shows anything."""
    x1, y1, x2, y2 = mutate.BOX
    found = np.array([mutate.BOX] if frame[y1:y2, x1:x2].any() else [], np.float32).reshape(-1, 4)
    return fakes.Detections(found, np.ones(len(found), np.float32), np.zeros(len(found), np.int64))


@pytest.fixture
def folder(tmp_path):
    return fuzz.prepared(tmp_path)


@pytest.mark.parametrize("kind", mutate.KINDS)
def test_a_damaged_file_ends_with_a_reason_or_without_its_name(folder, kind):
    for number in range(EACH):
        row = fuzz.attempt(kind, number, folder, fakes.cleaner(detector=find_the_box))
        assert not [name for name, found in fuzz.faults(row).items() if found], row
        assert row["status"] in ("cleaned", "unchanged") or row["reason"].startswith(("x: ", "not a DICOM")), row
        if row.get("same_shape"):
            assert row["box"] <= (40 * (mutate.FAINT if "faint" in kind else 1) if kind.startswith("JPEG") else 0), row


@pytest.mark.parametrize("kind", [kind for kind in mutate.KINDS if kind.split(" ")[1] not in ("APNG", "MPF", "pages")])
def test_an_undamaged_seed_comes_out_without_its_name(folder, kind, monkeypatch):
    data = mutate.seed_file(kind, 0)
    assert mutate.names_in(data)
    monkeypatch.setattr(mutate, "mutated", lambda kind, number: mutate.Mutant(data, ()))
    row = fuzz.attempt(kind, 0, folder, fakes.cleaner(detector=find_the_box))
    assert row["status"] == "cleaned" and not row["name_in_bytes"], row


@pytest.mark.parametrize("seed", range(mutate.SEEDS))
def test_a_file_of_a_patient_with_a_short_name_comes_out_without_it(folder, seed, monkeypatch):
    data = mutate.seed_file("DICOM short names", seed)
    assert mutate.names_in(data, "DICOM short names", seed)
    monkeypatch.setattr(mutate, "mutated", lambda kind, number: mutate.Mutant(data, ()))
    row = fuzz.attempt("DICOM short names", seed, folder, fakes.cleaner(detector=find_the_box))
    assert row["status"] == "cleaned" and not row["name_in_bytes"], row


def test_deflated_streams_are_padded_cut_and_blown_up():
    found = {step: mutate.mutated("DICOM deflated", n).data for n in range(120) for step in mutate.mutated("DICOM deflated", n).how}
    assert {"stream padded", "stream cut", "bomb"} <= set(found)


def test_the_same_number_gives_the_same_damage():
    assert [mutate.mutated(kind, 1) for kind in mutate.KINDS] == [mutate.mutated(kind, 1) for kind in mutate.KINDS]
    assert all(mutate.mutated(kind, n).data != mutate.seed_file(kind, n) for kind in mutate.KINDS for n in range(2))


@pytest.mark.skipif(tesseract.available() is None, reason="no Tesseract")
def test_a_name_that_stays_is_read():
    reader, blank = tesseract.open_reader(), mutate.picture(0).copy()
    assert mutate.readable(mutate.picture(0), reader)
    blank[mutate.BOX[1] : mutate.BOX[3], mutate.BOX[0] : mutate.BOX[2]] = 0
    assert not mutate.readable(blank, reader)


# What the fuzzing found, one test a defect.


def cleaned(folder, data: bytes, monkeypatch) -> dict:
    monkeypatch.setattr(mutate, "mutated", lambda kind, number: mutate.Mutant(data, ()))
    return fuzz.attempt("DICOM native", 0, folder, fakes.cleaner(detector=find_the_box))


def test_a_name_in_an_element_of_numbers_goes_with_it(folder, monkeypatch):
    data = mutate.seed_file("DICOM native", 0)
    assert data.count(b"DS\x04\x002048") == 1
    row = cleaned(folder, data.replace(b"DS\x04\x002048", b"DS\x08\x00QUIXMORE"), monkeypatch)
    assert row["status"] == "cleaned" and not row["name_in_bytes"]
    assert "WindowCenter" not in pydicom.dcmread(folder / "out" / "x")


@pytest.mark.parametrize("old, new", [(b"CS\x02\x00DX", b"UL\x02\x00DX"), (b"CS\x02\x00DX", b"QQ\x02\x00DX")], ids=["wrong length", "unknown VR"])
def test_an_element_that_cannot_be_parsed_goes_and_the_file_is_cleaned(folder, monkeypatch, old, new):
    data = mutate.seed_file("DICOM native", 0)
    assert data.count(old) == 1
    row = cleaned(folder, data.replace(old, new), monkeypatch)
    assert (row["status"], row["reason"]) == ("cleaned", "") and "Modality" not in pydicom.dcmread(folder / "out" / "x")
