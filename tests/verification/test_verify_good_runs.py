"""`verify` finds nothing in results that are as they should be, whatever the format, the style or the options of the run."""

from __future__ import annotations

import json

import fakes
import numpy as np
import pydicom
import pytest
import reviewing
import verifying
from pydicom.encaps import encapsulate

from markerremover.cli import main
from markerremover.options import RunOptions
from markerremover.records import Policy
from markerremover.redaction.cleaning import Cleaner
from markerremover.run import batch
from markerremover.second_pass import tesseract
from markerremover.verification.check import verify


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return verifying.cleaned(tmp_path_factory.mktemp("verify"))


def test_a_run_over_films_of_every_format_passes(run):
    report = run.verify()
    assert report.passed, report.lines()
    count = len(list(run.out.rglob("*.*")))
    assert count == 21 == report.counts["files compared"] == report.counts["cleaned"] + report.counts["unchanged"]
    assert report.counts["unchanged"] == 3 and report.counts["pixels removed"] > 18 * 40 * 16 and report.counts["headers searched"] == 10


@pytest.mark.parametrize("style", ["mask", "fill"])
def test_every_style_passes(tmp_path, style):
    def some(folder):
        for name in ("8.png", "1.jpg", "1.tif"):
            fakes.put(folder / name, {"8.png": fakes.png, "1.jpg": fakes.jpeg, "1.tif": lambda image: verifying.saved(image, "TIFF")}[name](verifying.film(1)))
        return verifying.dicom(folder / "1.dcm", verifying.film(1).astype(np.uint16)[None] * 16).parent

    run = verifying.cleaned(tmp_path, some, style)
    assert any("style" in box for row in run.rows().values() for box in row["boxes"])
    report = run.verify()
    assert report.passed, report.lines()


@pytest.mark.parametrize(("options", "told"), [
    ({"paths": "pseudonym", "shift_dates": True, "retain": ("age", "sex")}, {}), ({"headers": "keep"}, {"headers": "keep"}), ({"paths": "keep"}, {"paths": "keep"}),
    ({"transfer_syntax": "jpeg2000-lossless"}, {}),
], ids=lambda value: "-".join(value) if value else "default")
def test_every_treatment_of_headers_and_paths_passes(tmp_path, options, told):
    def some(folder):
        fakes.put(folder / "SMITH" / "8.png", fakes.png(verifying.film(2)))
        verifying.dicom(folder / "plain.dcm", verifying.film(4, ()).astype(np.uint16)[None] * 16)
        verifying.dicom(folder / "SMITH" / "1.dcm", verifying.film(1).astype(np.uint16)[None] * 16)
        return folder

    run = verifying.cleaned(tmp_path, some, **options)
    report = run.verify(**told)
    assert report.passed and report.counts["files compared"] == 3, report.lines()
    if told:
        assert not run.verify().passed, "what was kept is found where nobody says that it was to be kept"


def test_a_corrected_run_passes(tmp_path):
    audit = reviewing.run(tmp_path, 2)
    reviewing.say(audit, ("a/1.png", reviewing.draw()), ("a/1.png", reviewing.ACCEPT), ("b/0.png", reviewing.keep(audit, "b/0.png")), ("b/0.png", reviewing.ACCEPT))
    assert reviewing.redo(audit)["redone"] == 2
    report = verify([tmp_path / "in"], tmp_path / "out", workers=1)
    assert report.passed and report.counts["files compared"] == 2, report.lines()


@pytest.mark.skipif(tesseract.available() is None, reason="no Tesseract")
def test_a_retained_laterality_marker_in_a_removed_box_passes_and_its_pixels_are_told(tmp_path):
    fakes.put(tmp_path / "in" / "1.png", fakes.png(reviewing.with_letter()))

    def find(frame, threshold=None):
        found = fakes.find_white(frame, threshold)
        x1, y1, x2, y2 = reviewing.MARKER
        with_marker = np.vstack([found.xyxy, [[x1 - 2, y1 - 2, x2 + 2, y2 + 2]]]).astype(np.float32)
        return type(found)(with_marker, np.full(len(with_marker), 0.9, np.float32), np.zeros(len(with_marker), np.int64))

    batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(workers=1), open_cleaner=lambda threads: Cleaner(find, tesseract.open_reader(), Policy()))
    run = verifying.Run(tmp_path / "in", tmp_path / "out")
    (row,) = run.rows().values()
    assert any(box["action"] == "keep" and box["removed"] for box in row["boxes"])
    assert run.verify().passed, run.verify().lines()


def test_what_was_drawn_by_hand_passes_and_a_pixel_beside_a_mask_is_found(tmp_path):
    """Rectangles in a LabelMe file, a mask with a hole; PNG, JPEG and DICOM."""
    source, notes = tmp_path / "in", tmp_path / "notes"
    fakes.put(source / "8.png", fakes.png(verifying.film(1)))
    fakes.put(source / "2.jpg", fakes.jpeg(verifying.film(2)))
    verifying.dicom(source / "1.dcm", verifying.film(3).astype(np.uint16)[None] * 16)
    ring = np.zeros(fakes.SHAPE, np.uint8)
    ring[40:80, 60:110] = 255
    ring[50:70, 75:95] = 0
    for name in ("8", "1.dcm"):
        fakes.put(notes / f"{name}.mask.png", fakes.png(ring))
    shape = {"label": "marker", "points": [[70, 50], [100, 70]], "shape_type": "rectangle", "flags": {}, "group_id": None}
    fakes.put(notes / "2.json", json.dumps({
        "version": "5.5.0", "flags": {"reviewed": True}, "shapes": [shape], "imagePath": "2.jpg", "imageData": None, "imageHeight": 96, "imageWidth": 128}).encode())
    batch.remove([source], tmp_path / "out", options=RunOptions(boxes=notes, workers=1))
    run = verifying.Run(source, tmp_path / "out")
    assert sorted(row["status"] for row in run.rows().values()) == ["cleaned"] * 3
    report = run.verify()
    assert report.passed and report.counts["files compared"] == 3, report.lines()
    name = run.path("8.png")
    beside = fakes.read(run.out / name).copy()
    beside[60, 85] = 0  # in the hole of the mask
    run.replace(name, fakes.png(beside))
    assert any(finding.kind == "outside" for finding in run.verify().findings)


def test_a_result_in_which_something_still_shows_and_that_was_released_is_compared_like_others(tmp_path):
    fakes.put(tmp_path / "in" / "1.png", fakes.png(verifying.film(1)))
    options = RunOptions(policy=Policy(keep=()), workers=1, release_held=True)
    summary = batch.remove([tmp_path / "in"], tmp_path / "out", options=options, open_cleaner=lambda threads: fakes.cleaner(threads, fakes.restless()))
    run = verifying.Run(tmp_path / "in", tmp_path / "out")
    report = run.verify()
    assert summary["released_held"] == 1 and report.passed and report.counts["files compared"] == 1, report.lines()


def test_held_and_failed_files_and_those_left_out_by_name_are_accounted_for(tmp_path):
    def odd(folder):
        fakes.put(folder / "notes.txt", b"no picture")
        fakes.put(folder / "Thumbs.db", b"x")
        fakes.put(folder / "cut.png", fakes.png(verifying.film(1))[:200])
        verifying.dicom(folder / "ct.dcm", verifying.film(1).astype(np.uint16)[None] * 16, Modality="CT")
        return fakes.put(folder / "1.png", fakes.png(verifying.film(1))).parent

    run = verifying.cleaned(tmp_path, odd)
    report = run.verify(ignore=("Thumbs.db",))
    assert report.passed and (report.counts["held"], report.counts["failed"], report.counts["outputs"]) == (1, 2, 1), report.lines()
    assert any("1 files of the input were left out" in note for note in report.notes)
    assert [finding.file for finding in run.verify().findings] == ["Thumbs.db"]


def test_pseudonymised_paths_need_no_list_of_pseudonyms_and_a_manifest_may_lie_anywhere(run, tmp_path):
    copy = verifying.copied(run, tmp_path)
    moved = copy.manifest.rename(tmp_path / "elsewhere.jsonl")
    report = copy.verify(manifests=[moved])
    assert report.passed, report.lines()


def test_the_parts_of_a_run_are_verified_by_their_manifests_together(tmp_path):
    fakes.tree(tmp_path / "in", 6)
    for part in (1, 2):
        batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=Policy(keep=()), workers=1, shard=(part, 2)), open_cleaner=fakes.cleaner)
    manifests = sorted((tmp_path / "out-audit").glob("shard-*/manifest.jsonl"))
    assert len(manifests) == 2 and verify([tmp_path / "in"], tmp_path / "out", manifests, workers=1).passed
    assert not verify([tmp_path / "in"], tmp_path / "out", manifests[:1], workers=1).passed


def test_the_command_says_what_was_counted_and_its_exit_code_says_whether_all_is_well(tmp_path, capsys):
    run = verifying.cleaned(tmp_path, lambda folder: fakes.tree(folder, 2))
    said = tmp_path / "statement.md"
    command = ["verify", str(run.source), str(run.out), "--workers", "1", "--json", str(tmp_path / "report.json"), "--statement", str(said)]
    assert main.main(command) == 0 and "2 files compared" in capsys.readouterr().out and "Every one of the 2 inputs" in said.read_text()
    assert json.loads((tmp_path / "report.json").read_text())["passed"] is True
    next(run.out.rglob("*.png")).unlink()
    assert main.main(command) == 1 and "NOT VERIFIED" in capsys.readouterr().out
    assert "1 times inputs, rows and outputs do not agree" in said.read_text()
    document = json.loads((tmp_path / "report.json").read_text())
    assert not document["passed"] and document["findings"][0]["kind"] == "account"
    assert main.main(["verify", str(run.source), str(tmp_path / "nowhere")]) == 2


@pytest.mark.parametrize("window", [("128", "256"), ("60", "120")])
def test_black_is_what_looks_black_in_a_jpeg_whose_grey_is_inverted(tmp_path, window):
    def inverted(folder):
        return verifying.jpeg_dicom(
            folder / "white.dcm", [255 - verifying.film(1)], photometric="MONOCHROME1", WindowCenter=window[0], WindowWidth=window[1]).parent

    run = verifying.cleaned(tmp_path, inverted)
    (row,) = run.rows().values()
    assert row["jpeg"]["coefficients"] == "kept" and any(box["action"] == "remove" for box in row["boxes"])
    report = run.verify()
    assert report.passed, report.lines()
    (output,) = run.out.rglob("*.dcm")
    dataset = pydicom.dcmread(output)
    shown = dataset.pixel_array.copy()
    x1, y1, x2, y2 = fakes.NAME_BOX
    shown[y1:y2, x1:x2] = 0  # white
    dataset.PixelData = encapsulate([fakes.jpeg(shown)])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(output)
    assert any(finding.kind == "inside" for finding in run.verify().findings)
