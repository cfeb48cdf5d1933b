"""The burned-in side of each file in whole runs: retained or blacked out, agreeing with its header or not."""

from __future__ import annotations

from pathlib import Path

import fakes
import numpy as np
import pydicom
import pytest
from dicom_files import save

from markerremover import MarkerRemover
from markerremover.audit import manifest_files
from markerremover.cli import remove
from markerremover.errors import UsageError
from markerremover.laterality.burned_in import READ
from markerremover.options import RunOptions
from markerremover.records import Detections, Policy
from markerremover.redaction.cleaning import Cleaner
from markerremover.run import batch
from markerremover.second_pass import tesseract
from markerremover.site_profile import SiteProfile

LEFT, RIGHT = (24, 20), (330, 20)  # places of a marker in the two halves of the image
NONE = Policy(keep=())


@pytest.fixture(scope="module")
def reader():
    if not tesseract.available():
        pytest.skip("no Tesseract")
    return tesseract.open_reader()


def film(text: str, at=LEFT, *, mirrored=False) -> np.ndarray:
    """(300, 400) uint8 with a white laterality marker."""
    blank = np.random.default_rng(3).integers(40, 60, (300, 400)).astype(np.uint8)
    written = fakes.written(blank[:, ::-1] if mirrored else blank, text, (400 - at[0] - 34, at[1]) if mirrored else at, 44, grey=255)
    return np.ascontiguousarray(written[:, ::-1] if mirrored else written)


def find_marker(frame: np.ndarray, threshold: float | None = None) -> Detections:
    """One box around everything white, of class laterality marker."""
    rows, columns = np.nonzero(frame > 200)
    if not rows.size:
        return Detections.empty(("laterality", "marker"))
    box = np.array([[columns.min() - 4, rows.min() - 4, columns.max() + 5, rows.max() + 5]], np.float32)
    return Detections(box, np.array([0.95], np.float32), np.zeros(1, np.int64), ("laterality", "marker"))


def run(tmp_path: Path, reader, images: dict[str, dict], **options):
    """A run over DICOM files; images: name -> arguments of `film`, and elements of the header."""
    (tmp_path / "in").mkdir()
    for name, given in images.items():
        given = dict(given)
        pixels = film(given.pop("text"), given.pop("at", LEFT), mirrored=given.pop("mirrored", False))
        save(tmp_path / "in", pixels[None], bits=8, name=name, **given)
    chosen = RunOptions(paths="keep", **options)
    summary = batch.remove([tmp_path / "in"], tmp_path / "out", options=chosen, open_cleaner=lambda threads: Cleaner(find_marker, reader, chosen.policy))
    return summary, {row["relative"]: row for row in manifest_files.read_manifest(Path(summary["audit"]) / manifest_files.MANIFEST)}


def test_everything_is_blacked_out_and_the_side_is_in_the_row(tmp_path, reader):
    files = {"l.dcm": {"text": "L", "ImageLaterality": "L"}, "r.dcm": {"text": "R", "ImageLaterality": "L"}, "m.dcm": {"text": "R", "mirrored": True}}
    summary, rows = run(tmp_path, reader, files, policy=NONE, read_laterality=True)
    assert [rows[name]["laterality"]["side"] for name in files] == ["L", "R", "R"]
    assert [rows[name]["laterality"]["mirrored"] for name in files] == [False, False, True]
    assert [rows[name]["laterality"]["agrees"] for name in files] == [True, False, None]
    assert all(rows[name]["laterality"]["confidence"] >= 0.5 and rows[name]["laterality"]["flipped"] is None for name in files)
    for name in files:
        assert pydicom.dcmread(tmp_path / "out" / name).pixel_array.max() < 200 and [box["reason"] for box in rows[name]["boxes"]] == [READ]
    assert summary["laterality"] == {"read": 3, "disagree": 1, "flipped": 0, "disagreeing": ["r.dcm"]} and summary["boxes"] == {"kept": 0, "removed": 3}


def test_by_default_the_marker_is_retained_and_a_contradiction_is_warned_of(tmp_path, reader, capsys):
    files = {"wrong.dcm": {"text": "L", "Laterality": "R"}, "right.dcm": {"text": "L", "Laterality": "L"},
             "flipped.dcm": {"text": "R", "at": RIGHT, "ViewPosition": "PA", "BodyPartExamined": "CHEST"}}
    summary, rows = run(tmp_path, reader, files)
    assert rows["wrong.dcm"]["laterality"]["agrees"] is False and rows["right.dcm"]["laterality"]["agrees"] is True
    assert rows["flipped.dcm"]["laterality"] == rows["flipped.dcm"]["laterality"] | {"side": "R", "agrees": None, "flipped": True}
    assert summary["boxes"]["kept"] == 3
    remove.print_summary(summary)
    told = capsys.readouterr().out
    assert "warning: 1 file whose burned-in side disagrees with its header: wrong.dcm\n" in told and "1 frontal film may be reversed" in told


def test_without_the_option_keep_none_reads_nothing_and_other_pixels_are_the_same(tmp_path, reader):
    files = {"l.dcm": {"text": "L"}}
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    _, plain = run(tmp_path / "a", reader, files, policy=NONE)
    _, read = run(tmp_path / "b", reader, files, policy=NONE, read_laterality=True)
    assert "laterality" not in plain["l.dcm"] and read["l.dcm"]["laterality"]["side"] == "L"
    pixels = [pydicom.dcmread(tmp_path / name / "out" / "l.dcm").pixel_array for name in ("a", "b")]
    assert not pixels[1][pixels[0] == 0].any() and pixels[1].max() < 200  # whatever is black without it is black with it


def test_a_marker_beside_those_that_are_kept_is_read_and_removed(tmp_path, reader):
    _, rows = run(tmp_path, reader, {"l.dcm": {"text": "L"}, "r.dcm": {"text": "R"}}, policy=Policy(keep=("L",)), read_laterality=True)
    assert rows["l.dcm"]["boxes"][0]["action"] == "keep" and rows["r.dcm"]["boxes"][0]["reason"] == READ
    assert rows["r.dcm"]["laterality"]["side"] == "R"


def test_the_sites_markers_have_the_sites_meaning(tmp_path, reader):
    site = SiteProfile(keep={"D": "left"})
    _, rows = run(tmp_path, reader, {"d.dcm": {"text": "D"}}, site=site, policy=NONE, read_laterality=True)
    assert rows["d.dcm"]["laterality"]["side"] == "L"


def test_part_of_a_name_is_no_side(tmp_path, reader):
    _, rows = run(tmp_path, reader, {"name.dcm": {"text": "R. WU"}}, policy=NONE, read_laterality=True)
    assert rows["name.dcm"]["laterality"]["side"] == "" and all(box["reason"] != READ for box in rows["name.dcm"]["boxes"])


def test_reading_needs_an_ocr_engine_and_does_not_go_with_drawn_boxes(tmp_path):
    options = RunOptions(policy=NONE, read_laterality=True)
    with pytest.raises(UsageError, match="needs an OCR reader"):
        Cleaner(find_marker, None, options.policy)
    with pytest.raises(UsageError, match="--read-laterality"):
        RunOptions(boxes=tmp_path, read_laterality=True)


def test_the_hash_of_settings_changes_with_the_option_only():
    assert RunOptions(policy=NONE).settings_sha256() != RunOptions(policy=NONE, read_laterality=True).settings_sha256()


def test_the_library_says_the_side(tmp_path, reader):
    remover = MarkerRemover(cleaner=Cleaner(find_marker, reader, Policy(keep=(), read=("L", "R"))))
    assert remover.clean(film("L")).laterality.side == "L" and remover.clean(film("L")).array.max() < 200
    path = save(tmp_path, film("R")[None], bits=8, Laterality="L")
    assert remover.clean(path).laterality.agrees is False
