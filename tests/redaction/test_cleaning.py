"""Reading the result: print left beside removed boxes, names of the file's own header, the second look, and release in spite of doubt.

The fake localizer finds white patches; letters here are a little darker, so it misses them, or gives them a low score.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import fakes
import numpy as np
import pydicom
import pytest
from test_header_run import dicom_file

from markerremover.audit import manifest_files
from markerremover.cli import main, remove
from markerremover.errors import HeldError
from markerremover.options import RunOptions
from markerremover.records import Decision, Detections, Policy, Radiograph, Reading, Text
from markerremover.redaction import cleaning, text_finder
from markerremover.redaction.cleaning import Cleaner, clean_radiograph
from markerremover.run import batch
from markerremover.second_pass import tesseract

needs_tesseract = pytest.mark.skipif(tesseract.available() is None, reason="no Tesseract")
NAME = (150, 90, 300, 124)  # where the planted name stands, and little else
NOTHING = Policy(keep=())


def picture(text: str = "THOMPSON", boxes=()) -> np.ndarray:
    """(240, 420) uint8 with a text that is not white, and white boxes."""
    ground = np.random.default_rng(5).normal(70, 4, (240, 420)) + np.linspace(-50, 50, 420)  # or it would be stretched, as few greys are
    image = ground.clip(0, 255).astype(np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = 255
    return fakes.written(image, text, NAME[:2], 26) if text else image


def ink(image: np.ndarray) -> np.ndarray:
    """(H, W) bool: the strokes of the planted text."""
    return (image > 180) & (image < fakes.WHITE)


def find_name_faintly(frame: np.ndarray, threshold: float | None = None) -> Detections:
    """Finds white boxes, and where it is asked for low scores the place of the name at 0.1."""
    found = fakes.find_white(frame)
    if threshold is None or threshold > 0.1:
        return found
    xyxy = np.concatenate([found.xyxy, np.array([NAME], np.float32)])
    return Detections(xyxy, np.append(found.scores, np.float32(0.1)), np.zeros(len(xyxy), np.int64))


def open_faint(threads: int = 1, detector=find_name_faintly, finder=None) -> Cleaner:
    return Cleaner(detector, tesseract.open_reader(), NOTHING, finder)


def open_restless(threads: int = 1) -> Cleaner:
    return Cleaner(fakes.restless(), None, NOTHING)


def as_radiograph(stored: np.ndarray) -> Radiograph:
    return Radiograph(stored[None], stored[None], (0,), Path("x"), "PNG")


def one_dicom(folder: Path, image: np.ndarray, **elements) -> Path:
    return dicom_file(folder / "1.dcm", Rows=image.shape[0], Columns=image.shape[1], PixelData=image.tobytes(), **elements)


def run(source: Path, out: Path, open_cleaner=open_faint, **options):
    """(summary, the one row, pictures below OUT)."""
    summary = batch.remove([source], out, options=RunOptions(policy=NOTHING, **options), open_cleaner=open_cleaner)
    [row] = manifest_files.read_manifest(Path(summary["audit"]) / manifest_files.MANIFEST)
    return summary, row, sorted(out.rglob("*.dcm"))


def finds_text(frame: np.ndarray) -> tuple[Text, ...]:
    """A text finder that finds the name as long as most of its strokes are there."""
    x1, y1, x2, y2 = NAME
    return (Text(tuple(map(float, NAME)), "THOMPSON", 0.95),) if ink(frame[y1:y2, x1:x2]).sum() > 200 else ()


# what is left beside removed boxes


@needs_tesseract
def test_print_that_goes_on_beside_a_removed_box_is_removed_too_and_marked_as_found_again():
    stored = picture("THOMPSON", [(90, 90, 140, 122)])
    before = stored.copy()
    cleaned = clean_radiograph(as_radiograph(stored), open_faint())
    assert not cleaned.stored[0][ink(before)].any() and cleaned.doubt == "" and np.array_equal(stored, before)
    assert {d.label for d in cleaned.decisions} == {"marker", "verify"} and not cleaned.shown[0][ink(before)].any()


@needs_tesseract
def test_reading_in_threads_changes_nothing():
    stored = picture("THOMPSON", [(90, 90, 140, 122), (20, 190, 60, 210), (300, 20, 360, 40)])
    alone = clean_radiograph(as_radiograph(stored), open_faint())
    with ThreadPoolExecutor(3) as threads:
        beside = replace(open_faint(), beside=threads)
        for _ in range(3):
            cleaned = clean_radiograph(as_radiograph(stored), beside)
            assert np.array_equal(cleaned.stored, alone.stored)
            assert [(d.xyxy, d.action, d.label) for d in cleaned.decisions] == [(d.xyxy, d.action, d.label) for d in alone.decisions]
    assert len(alone.decisions) > 3


def test_what_fails_in_a_reading_thread_fails_the_file():
    class Broken(fakes.SilentReader):
        def words(self, image):
            raise HeldError("cannot be read")

    noise = np.random.default_rng(3).integers(0, 200, (240, 420)).astype(np.uint8)
    noise[90:122, 90:140] = 255
    with ThreadPoolExecutor(2) as threads:
        with pytest.raises(HeldError, match="cannot be read"):
            clean_radiograph(as_radiograph(noise), Cleaner(fakes.find_white, Broken(), NOTHING, None, threads))


@needs_tesseract
def test_texture_beside_a_removed_box_stays():
    stored = picture("", [(90, 90, 140, 122)])
    assert [d.label for d in clean_radiograph(as_radiograph(stored), open_faint()).decisions] == ["marker"]


class Stubborn(fakes.SilentReader):
    """Reads the same word somewhere else each time."""

    def __init__(self):
        self.looks = 0

    def words(self, image):
        self.looks += 1
        x = 20 + 3 * (self.looks % 7)
        return [Text((x, 20, x + 30, 44), "THOMPSON", 0.99)]


def test_what_can_still_be_read_after_the_last_round_holds_the_file():
    cleaner = Cleaner(fakes.find_white, Stubborn(), NOTHING)
    noise = np.random.default_rng(2).integers(0, 240, (2000, 2000)).astype(np.uint8)
    noise[1000:1020, 1000:1050] = 255
    cleaned = clean_radiograph(as_radiograph(noise), cleaner)
    assert "remain after" in cleaned.doubt and "THOMPSON" not in cleaned.doubt


def test_without_an_engine_results_are_not_read_and_the_run_says_so(tmp_path, capsys):
    one_dicom(tmp_path / "in", picture())
    summary, row, written = run(tmp_path / "in", tmp_path / "out", fakes.cleaner)
    assert summary["results_read"] is False and row["status"] == "unchanged" and written
    remove.print_summary(summary)
    assert "not read" in capsys.readouterr().out


# what the header says


@needs_tesseract
@pytest.mark.parametrize("headers", ["basic", "keep"])
@pytest.mark.parametrize("boxes", [(), ((20, 200, 60, 220),)], ids=["nothing found", "something else removed"])
@pytest.mark.parametrize("elements, text", [
    ({"PatientName": "Thompson^Clara"}, "THOMPSON"), ({"PatientID": "AB-99 417"}, "AB99417"), ({"AccessionNumber": "8830417"}, "8830417"),
    ({"PatientBirthDate": "19500203"}, "03.02.1950"), ({"OperatorsName": "THOMPSEN"}, "THOMPSON"),
], ids=["name", "ID", "accession number", "birth date", "operator, one letter off"])
def test_what_the_localizer_misses_but_the_header_tells_holds_the_file(tmp_path, headers, boxes, elements, text):
    one_dicom(tmp_path / "in", picture(text, boxes), **elements)
    summary, row, written = run(tmp_path / "in", tmp_path / "out", headers=headers)
    assert row["status"] == "held" and "header" in row["reason"] and not written and summary["counts"]["held"] == 1
    said = json.dumps([row[key] for key in ("reason", "released_held")] + [box["reason"] for box in row["boxes"]]).casefold()
    assert text.casefold() not in said and not any(str(value).casefold() in said for value in elements.values())
    assert [box["label"] for box in row["boxes"]][-1] == "header" and row["boxes"][-1] in row["held_for"]


@needs_tesseract
@pytest.mark.parametrize("name", ["Okafor^Mei", ""], ids=["another name", "no name"])
def test_print_that_the_header_does_not_tell_holds_nothing(tmp_path, name):
    one_dicom(tmp_path / "in", picture(), PatientName=name)
    _, row, written = run(tmp_path / "in", tmp_path / "out")
    assert row["status"] == "unchanged" and row["boxes"] == [] and len(written) == 1


def test_files_without_a_header_are_not_looked_at_for_low_scores():
    asked = []

    def detector(frame, threshold=None):
        asked.append(threshold)
        return Detections.empty()

    clean_radiograph(as_radiograph(picture()), Cleaner(detector, fakes.SilentReader(), NOTHING))
    assert asked == [None]


def test_a_header_that_cannot_be_gone_through_holds_the_file(tmp_path, monkeypatch):
    def fails(_):
        raise ValueError("THOMPSON")

    monkeypatch.setattr("markerremover.formats.dicom.files.identifiers_of", fails)
    one_dicom(tmp_path / "in", picture())
    _, row, written = run(tmp_path / "in", tmp_path / "out", fakes.cleaner, release_held=True, paths="keep")
    assert row["status"] == "held" and "ValueError" in row["reason"] and "THOMPSON" not in row["reason"] and not written


# the second look


def test_what_only_the_second_look_finds_is_removed_and_labelled():
    stored = picture()
    cleaned = clean_radiograph(as_radiograph(stored), Cleaner(fakes.find_nothing, None, NOTHING, finds_text))
    assert {d.label for d in cleaned.decisions} == {"second look"} and cleaned.doubt == "" and not cleaned.stored[0][ink(stored)].any()


def test_what_the_second_look_still_finds_holds_the_file():
    finder = iter(range(99))

    def restless(frame):
        x = 10 + 40 * (next(finder) % 9)
        return (Text((x, 20, x + 30, 40), "THOMPSON", 0.95),)

    cleaned = clean_radiograph(as_radiograph(picture()), Cleaner(fakes.find_nothing, None, NOTHING, restless))
    assert "remain after" in cleaned.doubt


def test_what_is_decided_already_is_not_found_again():
    stored = picture("", [NAME])
    with_it, without = (
        clean_radiograph(as_radiograph(stored), Cleaner(fakes.find_white, None, NOTHING, finder))
        for finder in (lambda frame: (Text(tuple(map(float, NAME)), "THOMPSON", 0.95),), None)
    )
    assert [d.label for d in with_it.decisions] == ["marker"] and np.array_equal(with_it.stored, without.stored)


@needs_tesseract
def test_unsure_findings_of_the_second_look_are_held_against_the_header(tmp_path):
    one_dicom(tmp_path / "in", picture(""), PatientName="THOMPSON")
    unsure = partial(open_faint, detector=fakes.find_nothing, finder=lambda frame: (Text((10, 10, 90, 30), "THOMPSON", 0.4),))
    _, row, _ = run(tmp_path / "in", tmp_path / "out", unsure)
    assert row["status"] == "held" and "header" in row["reason"]


@needs_tesseract
def test_rapidocr_finds_and_removes_a_name_that_the_localizer_misses_so_that_nothing_holds(tmp_path):
    pytest.importorskip("rapidocr")
    image = picture()
    one_dicom(tmp_path / "in", image, PatientName="THOMPSON^CLARA")
    second = partial(open_faint, finder=text_finder.open_second_look(1))
    summary, row, [written] = run(tmp_path / "in", tmp_path / "out", second, second_look=True)
    assert row["status"] == "cleaned" and {box["label"] for box in row["boxes"]} <= {"second look", "verify"}
    assert not pydicom.dcmread(written).pixel_array[ink(image)].any() and summary["options"]["second_look"] is True


def test_the_command_line_asks_for_it(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(remove, "TIME_LIMIT", 0.0)
    monkeypatch.setattr(batch, "open_cleaner", lambda policy, **said: seen.append(said) or fakes.cleaner())
    one_dicom(tmp_path / "in", picture(""))
    for flags in ([], ["--second-look"]):
        assert main.main(["remove", str(tmp_path / "in"), "-o", str(tmp_path / f"out{len(flags)}"), "--keep", "none", *flags]) == 0
    assert [said["second"] for said in seen] == [False, True]


# release in spite of doubt


def test_a_doubtful_file_is_written_when_told_to_and_everything_says_so(tmp_path, capsys):
    earlier = pydicom.Dataset()
    earlier.CodeValue, earlier.CodingSchemeDesignator, earlier.CodeMeaning = "113101", "DCM", "Clean Pixel Data Option"
    claims = {"BurnedInAnnotation": "NO", "DeidentificationMethodCodeSequence": pydicom.Sequence([earlier])}
    one_dicom(tmp_path / "in", picture(), **claims)
    summary, row, [written] = run(tmp_path / "in", tmp_path / "out", open_restless, release_held=True)
    assert row["status"] == "cleaned" and row["reason"] == "" and "remain after" in row["released_held"]
    assert summary["counts"]["cleaned"] == summary["released_held"] == 1 and summary["options"]["release_held"] is True
    header = pydicom.dcmread(written)
    assert header.BurnedInAnnotation == "YES" and header.PatientIdentityRemoved == "NO" and not header.get("DeidentificationMethod")
    assert "113101" not in [item.CodeValue for item in header.get("DeidentificationMethodCodeSequence", [])]
    assert not header.pixel_array[45:55, 5:15].any(), "redacted as far as it goes"
    remove.print_summary(summary)
    assert "1 file was written though something still shows" in capsys.readouterr().out
    assert "remain after" in (tmp_path / "out-audit" / "index.html").read_text()


def test_without_being_told_it_is_held_and_released_rows_are_not_resumed_from(tmp_path):
    one_dicom(tmp_path / "in", picture())
    _, row, written = run(tmp_path / "in", tmp_path / "out", open_restless)
    assert row["status"] == "held" and row["released_held"] == "" and not written
    run(tmp_path / "in", tmp_path / "out", open_restless, release_held=True, overwrite=True)
    again, _, written = run(tmp_path / "in", tmp_path / "out", open_restless, release_held=True, resume=True)
    assert again["resumed"] == again["released_held"] == 1 and written
    summary, row, written = run(tmp_path / "in", tmp_path / "out", open_restless, resume=True)
    assert summary["resumed"] == summary["released_held"] == 0 and row["status"] == "held" and not written


@needs_tesseract
def test_a_name_of_the_header_is_blacked_out_where_it_was_read_when_its_file_is_released(tmp_path):
    image = picture()
    one_dicom(tmp_path / "in", image, PatientName="THOMPSON")
    _, row, [written] = run(tmp_path / "in", tmp_path / "out", release_held=True)
    assert row["status"] == "cleaned" and "header" in row["released_held"]
    assert not pydicom.dcmread(written).pixel_array[ink(image)].any() and pydicom.dcmread(written).BurnedInAnnotation == "YES"


def test_what_is_held_for_another_reason_stays_held(tmp_path, monkeypatch):
    def mismatch(*_):
        raise cleaning.verify.HeldError("removed areas are not all black")

    monkeypatch.setattr(cleaning.verify, "check_pixels", mismatch)
    one_dicom(tmp_path / "in", picture())
    _, row, written = run(tmp_path / "in", tmp_path / "out", fakes.cleaner, release_held=True)
    assert row["status"] == "held" and row["released_held"] == "" and not written


def test_the_exit_code_tells_of_released_files(tmp_path, monkeypatch):
    one_dicom(tmp_path / "in", picture())
    monkeypatch.setattr(remove, "TIME_LIMIT", 0.0)
    command = ["remove", str(tmp_path / "in"), "--keep", "none"]
    for opened, flags, code in ((open_restless, ["--release-held"], 1), (open_restless, [], 1), (fakes.cleaner, ["--release-held"], 0)):
        monkeypatch.setattr(batch, "open_cleaner", lambda policy, **_: opened())
        assert main.main([*command, "-o", str(tmp_path / f"{opened.__name__}{len(flags)}"), *flags]) == code


def test_both_options_are_part_of_the_settings():
    plain = RunOptions(policy=NOTHING)
    assert len({o.settings_sha256() for o in (plain, replace(plain, second_look=True), replace(plain, release_held=True))}) == 3


def test_an_initial_is_judged_when_every_word_of_its_frame_is_known(monkeypatch):
    """The name beside a letter is in a box that scores too low, or is only read afterwards; either way the letter goes in the end."""
    stored = np.full((1, 120, 400), 40, np.uint8)
    mask = np.ones((40, 24), bool)
    kept = Decision(0, (20, 40, 44, 80), "keep", "isolated laterality marker", 0.9, "laterality", Reading(
        (20, 40, 44, 80), "L", 0.9, mask, letter=mask), mask)
    asked = []
    monkeypatch.setattr(cleaning.lines_of_print, "stands_in_print", lambda frame, reading, boxes: bool(asked.append(boxes.tolist()) or len(boxes)))
    name = (90.0, 40.0, 300.0, 80.0)
    faint = {(0, 0): cleaning._Leftover(np.array([name]))}
    words = {(0, 0): cleaning._Leftover(np.zeros((0, 4)), ((Text(name, "SCHMIDT", 0.9), Text(name, "--", 0.9), Text(name, "x", 0.1)),))}
    for seen, action in ((faint, "remove"), (words, "remove"), ({(0, 0): cleaning._Leftover(np.zeros((0, 4)))}, "keep")):
        assert [d.action for d in cleaning._alone([kept], [stored], seen)] == [action]
    assert asked == [[list(name)], [list(name)], []]
