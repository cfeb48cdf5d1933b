"""A data set holds what a run released, as it was written, and nothing else; every patient is in one part."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from pathlib import Path

import cv2
import dicom_files
import fakes
import numpy as np
import pydicom
import pytest
import reviewing

from markerremover.audit import manifest_files
from markerremover.cli import main
from markerremover.dataset import export, released
from markerremover.dataset.export import export_dataset
from markerremover.dataset.options import PARTS, ExportOptions
from markerremover.errors import UsageError
from markerremover.formats import read_apart
from markerremover.run import batch


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Results are read here: a process apart takes seconds to start, and has tests of its own."""
    monkeypatch.setattr(read_apart, "call", lambda function, path, limit=None: function(path))


def cleaned(folder: Path, **options) -> Path:
    """The results of folder/in, with the fake localizer; returns folder/out."""
    batch.remove([folder / "in"], folder / "out", options=fakes.RunOptions(policy=fakes.Policy(keep=()), workers=1, time_limit=None, **options), open_cleaner=fakes.cleaner)
    return folder / "out"


@pytest.fixture
def run(tmp_path) -> Path:
    """Twelve PNGs of six patients at two sites, cleaned."""
    for i in range(12):
        fakes.put(tmp_path / "in" / f"site-{i % 2}" / f"p{i % 6}" / f"{i}.png", fakes.png(fakes.radiograph(i)))
    return cleaned(tmp_path)


def table(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle))


def made(clean: Path, name: str = "set", **options) -> tuple[dict, list[dict[str, str]]]:
    out = clean.parent / name
    return export_dataset(clean, out, options=ExportOptions(**options)), table(out / export.DATASET_CSV)


def change_row(clean: Path, relative: str, **fields) -> None:
    path = clean.parent / "out-audit" / manifest_files.MANIFEST
    manifest_files.write_rows(path, [row | (fields if row["relative"] == relative else {}) for row in manifest_files.read_manifest(path)])


def refused(clean: Path, name: str = "set") -> dict[str, str]:
    return {row["source_file"]: row["reason"] for row in table(clean.parent / name / export.REFUSED_CSV)}


def test_every_result_is_a_picture_with_a_row(run):
    result, rows = made(run)
    out = run.parent / "set"
    assert result["images"] == len(rows) == 12 and result["patients"] == 6 and not result["refused"] and refused(run) == {}
    assert {row["file_name"] for row in rows} == {p.relative_to(out).as_posix() for p in out.rglob("*.png")}
    assert set(os.listdir(out)) == {*{row["split"] for row in rows}, "dataset.csv", "refused.csv", "DATASHEET.md"}
    for row in rows:
        data = (out / row["file_name"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["sha256"] and row["file_name"].startswith(f"{row['split']}/")
        assert np.array_equal(fakes.read(out / row["file_name"]), fakes.read(run / row["source_file"])) and row["window"] == "stored"
        assert (row["width"], row["height"], row["source"]) == ("128", "96", row["source_file"].split("/")[0])
        x1, y1, x2, y2 = fakes.NAME_BOX
        assert not fakes.read(out / row["file_name"])[y1:y2, x1:x2].any(), "what was removed stays removed"


def test_patients_are_folders_and_in_one_part_only(run):
    _, rows = made(run, shares=(0.5, 0.25, 0.25))
    folders = {row["patient"]: {r["source_file"].rsplit("/", 1)[0] for r in rows if r["patient"] == row["patient"]} for row in rows}
    parts = {row["patient"]: {r["split"] for r in rows if r["patient"] == row["patient"]} for row in rows}
    assert len(folders) == 6 and all(len(found) == 1 for found in (*folders.values(), *parts.values()))
    assert not any(folder.rsplit("/", 1)[1] in row["patient"] for row in rows for folder in folders[row["patient"]]), "a pseudonym"


def test_the_same_run_gives_the_same_bytes(run):
    made(run, "one", seed=3), made(run, "two", seed=3)
    assert fakes.files(run.parent / "one") == fakes.files(run.parent / "two")


def test_another_seed_gives_another_split(run):
    splits = [tuple(row["split"] for row in sorted(made(run, f"set-{seed}", seed=seed, shares=(0.5, 0.25, 0.25))[1], key=lambda r: r["source_file"])) for seed in range(5)]
    assert len(set(splits)) > 1


def test_held_and_failed_files_are_refused_and_cost_exit_1(run, capsys):
    change_row(run, "site-0/p0/0.png", status="held", reason="SMITH: something shows", sha256_out="")
    assert main.main(["export-dataset", str(run), "-o", str(run.parent / "set")]) == 1
    printed = capsys.readouterr().out
    assert refused(run) == {"site-0/p0/0.png": "the run held it, so it has no output (see the manifest for the reason)"} and "SMITH" not in printed
    assert "11 images of 6 patients (train " in printed and "1 file refused, 0 files left out by --skip\n" in printed
    assert printed.endswith("exit code 1: 1 file of the run is not in the data set\n")


def swap(run: Path) -> None:
    fakes.put(run / "site-0/p0/0.png", fakes.png(fakes.radiograph(99)))


def link(run: Path) -> None:
    (run / "site-0/p0/0.png").rename(run.parent / "elsewhere.png")
    (run / "site-0/p0/0.png").symlink_to(run.parent / "elsewhere.png")


def link_folder(run: Path) -> None:
    (run / "site-0/p0").rename(run.parent / "elsewhere")
    (run / "site-0/p0").symlink_to(run.parent / "elsewhere")


@pytest.mark.parametrize("change, reason", [
    (swap, released.CHANGED), (link, released.LINKED), (link_folder, released.LINKED), (lambda run: (run / "site-0/p0/0.png").unlink(), released.MISSING),
    (lambda run: change_row(run, "site-0/p0/0.png", sha256_out=""), released.CHANGED),
    (lambda run: change_row(run, "site-0/p0/0.png", path_tells=True), released.TELLS),
    (lambda run: change_row(run, "site-0/p0/0.png", released_held="print can still be read"), released.STILL_SHOWS),
], ids=["changed", "link", "link to a folder", "missing", "no hash", "a path that tells", "released though held"])
def test_what_is_not_as_the_run_released_it_is_refused(run, change, reason):
    change(run)
    result, rows = made(run)
    assert refused(run)["site-0/p0/0.png"] == reason and "site-0/p0/0.png" not in {row["source_file"] for row in rows}
    assert result["images"] == len(list((run.parent / "set").rglob("*.png"))) <= 11


def test_a_file_that_no_row_released_is_refused(run):
    fakes.put(run / "site-0" / "p0" / "stray.png", fakes.png(fakes.radiograph(1))), fakes.put(run / "thesis.txt", b"x")
    result, rows = made(run)
    assert refused(run) == {"site-0/p0/stray.png": released.STRAY, "thesis.txt": released.STRAY} and len(rows) == 12


def test_a_file_that_changes_while_it_is_read_is_refused(run, monkeypatch):
    real = read_apart.read

    def slow_read(path):
        found = real(path)
        if path.name == "0.png":
            swap(run)
        return found

    monkeypatch.setattr(read_apart, "read", slow_read)
    _, rows = made(run)
    assert refused(run) == {"site-0/p0/0.png": released.CHANGED} and len(rows) == 11


def test_decisions_of_a_review_must_be_applied(tmp_path):
    audit = reviewing.run(tmp_path)
    reviewing.say(audit, ("a/1.png", reviewing.draw()), ("a/1.png", reviewing.ACCEPT), ("a/3.png", reviewing.ACCEPT))
    made(tmp_path / "out", "before")
    assert refused(tmp_path / "out", "before") == {"a/1.png": released.UNAPPLIED}
    reviewing.redo(audit)
    made(tmp_path / "out", "after")
    assert refused(tmp_path / "out", "after") == {}
    sheet = (tmp_path / "after" / export.DATASHEET).read_text()
    assert "People looked at 2 of the 4 source files" in sheet and "Dr. R" not in sheet


def test_a_released_file_that_a_person_released_is_taken(run):
    change_row(run, "site-0/p0/0.png", released_held="print can be read", review={"who": "A", "when": "", "verdict": "release", "digest": "", "marks": []})
    made(run)
    assert refused(run) == {}


@pytest.mark.parametrize("place", ["out/set", "out-audit/set", "out", "out-audit", "."])
def test_the_target_lies_apart_from_the_run(run, place):
    with pytest.raises(UsageError, match="nested"):
        export_dataset(run, run.parent / place)


def test_a_target_that_holds_something_is_refused_and_an_empty_one_is_not(run):
    (run.parent / "set").mkdir()
    made(run)
    before = fakes.files(run.parent / "set")
    with pytest.raises(UsageError, match="no empty folder"):
        made(run)
    assert fakes.files(run.parent / "set") == before


def test_an_error_leaves_nothing(run, monkeypatch):
    monkeypatch.setattr(export.datasheet, "text", lambda *args: 1 / 0)
    before = set(os.listdir(run.parent))
    with pytest.raises(ZeroDivisionError):
        made(run)
    assert set(os.listdir(run.parent)) == before


@pytest.mark.parametrize("options, match", [(dict(headers="keep"), "kept headers"), (dict(dry_run=True), "dry")])
def test_runs_without_de_identified_results_are_refused(tmp_path, options, match):
    fakes.put(tmp_path / "in" / "a" / "0.png", fakes.png(fakes.radiograph(0)))
    (tmp_path / "out").mkdir()
    cleaned(tmp_path, **options)
    with pytest.raises(UsageError, match=match):
        made(tmp_path / "out")


def test_flags_are_listed_and_left_out_on_request(run, capsys):
    change_row(run, "site-0/p0/0.png", quality=["burned_out"], modality="DX", outside_validation=["size"], laterality={"side": "L"})
    change_row(run, "site-1/p1/1.png", quality=["rotated", "burned_out"])
    _, rows = made(run, "all")
    row = next(row for row in rows if row["source_file"] == "site-0/p0/0.png")
    assert (row["quality"], row["modality"], row["outside_validation"], row["side"]) == ("burned_out", "DX", "size", "left")
    assert main.main(["export-dataset", str(run), "-o", str(run.parent / "set"), "--skip", "rotated,other"]) == 0
    assert refused(run) == {"site-1/p1/1.png": "left out by --skip: rotated"} and "0 files refused, 1 file left out by --skip" in capsys.readouterr().out
    assert "burned\\_out 2" in (run.parent / "all" / export.DATASHEET).read_text()


def test_patients_who_share_a_radiograph_are_in_one_part(tmp_path):
    for i in range(20):
        fakes.put(tmp_path / "in" / f"p{i:02d}" / "0.png", fakes.png(fakes.radiograph(i % 18)))
    clean = cleaned(tmp_path)
    change_row(clean, "p05/0.png", duplicate_of="p09/0.png")
    _, rows = made(clean, shares=(0.4, 0.3, 0.3))
    part = {row["source_file"][:3]: row["split"] for row in rows}
    assert part["p00"] == part["p18"] and part["p01"] == part["p19"] and part["p05"] == part["p09"] and set(part.values()) == set(PARTS)


def test_a_table_names_patients_and_sources(run):
    lines = ["file;Patient;study;hospital"] + [f"{p.name};ID-{i // 4};s{i};{'north' if i < 6 else 'south'}" for i, p in enumerate(sorted(run.rglob("*.png")))]
    (run.parent / "patients.csv").write_text("\n".join(lines))
    result, rows = made(run, patients=run.parent / "patients.csv", source_column="hospital")
    assert result["patients"] == 3 and {row["source"] for row in rows} == {"north", "south"} and len({row["study"] for row in rows}) == 12
    assert "ID-" not in (run.parent / "set" / "dataset.csv").read_text()
    with pytest.raises(UsageError, match="no column 'clinic'"):
        made(run, "other", patients=run.parent / "patients.csv", source_column="clinic")


def test_files_in_no_folder_have_no_patient_unless_each_is_one(tmp_path):
    for i in range(3):
        fakes.put(tmp_path / "in" / f"{i}.png", fakes.png(fakes.radiograph(i)))
    clean = cleaned(tmp_path)
    result, rows = made(clean, "none")
    assert rows == [] and len(refused(clean, "none")) == 3
    result, rows = made(clean, one_image_a_patient=True)
    assert result["patients"] == 3 == len(rows)


def test_a_key_that_is_gone_is_asked_for(run):
    key = run.parent / "out-audit" / "key"
    shutil.move(key, run.parent / "vault")
    with pytest.raises(UsageError, match="--key"):
        made(run)
    assert made(run, key=run.parent / "vault")[0]["images"] == 12


def test_dicom_has_pseudonyms_spacing_and_facts_of_its_header(tmp_path):
    stored = np.tile(300 + np.arange(512, dtype=np.uint16) * 7, (256, 1))[None]
    header = dict(PatientID="4711", StudyInstanceUID="1.2.3", StudyDate="20200101", ViewPosition="PA", BodyPartExamined="CHEST", PixelSpacing=[0.2, 0.1], WindowCenter=2048,
        WindowWidth=4096, Modality="DX")
    for name, photometric in (("one.dcm", "MONOCHROME2"), ("white.dcm", "MONOCHROME1")):
        (tmp_path / "in" / "a").mkdir(parents=True, exist_ok=True)
        dicom_files.save(tmp_path / "in" / "a", stored, name=name, photometric=photometric, **header)
    fakes.put(tmp_path / "in" / "b" / "x.png", fakes.png(fakes.radiograph(1)))
    clean = cleaned(tmp_path)
    (tmp_path / "patients.csv").write_text("file,patient\nx.png,004711\n")
    _, rows = made(clean, size=128, patients=tmp_path / "patients.csv")
    one, white, png = sorted(rows, key=lambda row: row["source_file"])
    cleaned_header = pydicom.dcmread(clean / "a" / "one.dcm")
    assert one["patient"] == cleaned_header.PatientID == white["patient"] == png["patient"] and one["study"] == cleaned_header.StudyInstanceUID
    assert (one["view"], one["body_part"], one["modality"]) == ("PA", "CHEST", "DX") and png["view"] == ""
    assert (one["width"], one["height"]) == ("128", "64") and (float(one["pixel_spacing_row_mm"]), float(one["pixel_spacing_column_mm"])) == (0.8, 0.4)
    assert (png["width"], png["pixel_spacing_row_mm"], one["window"]) == ("128", "", "header")
    bright, turned = (fakes.read(tmp_path / "set" / row["file_name"]).astype(int) for row in (one, white))
    assert abs(bright[0, 0] - 19) <= 1 and abs(bright[0, -1] - 241) <= 1 and abs(bright + turned - 255).max() <= 1, "MONOCHROME1 is turned"
    assert "4711" not in "".join(p.read_text() for p in (tmp_path / "set").glob("*.*"))


def test_a_dicom_file_without_a_pseudonym_is_refused(run, monkeypatch):
    monkeypatch.setattr(export.Persons, "of", lambda self, relative, radiograph: "unknown")
    _, rows = made(run)
    assert rows == [] and set(refused(run).values()) == {"unknown"}


def test_frames_are_numbered_and_belong_to_one_patient(tmp_path):
    (tmp_path / "in").mkdir()
    dicom_files.save(tmp_path / "in", dicom_files.random_stored(frames=3), PatientID="7", StudyInstanceUID="1.2")
    _, rows = made(cleaned(tmp_path), bits=16)
    assert [row["file_name"][-9:] for row in rows] == ["-f000.png", "-f001.png", "-f002.png"] and [row["frame"] for row in rows] == ["0", "1", "2"]
    assert len({row["patient"] for row in rows}) == len({row["split"] for row in rows}) == 1
    assert all(cv2.imread(str(tmp_path / "set" / row["file_name"]), cv2.IMREAD_UNCHANGED).dtype == np.uint16 for row in rows)


WRONG = {
    "split of two": ["--split", "0.5,0.5"], "split beyond 1": ["--split", "0.9,0.2,0.1"], "split in words": ["--split", "most,some,few"], "size 0": ["--size", "0"],
    "size in words": ["--size", "big"], "bits 12": ["--bits", "12"], "pad without size": ["--pad"], "column without table": ["--source-column", "x"],
    "no table": ["--patients", "nowhere.csv"], "no audit": ["--audit", "nowhere"], "no folder": [],
}


@pytest.mark.parametrize("args", WRONG.values(), ids=WRONG.keys())
def test_wrong_use_is_exit_2_and_writes_nothing(run, capsys, args):
    clean = run if args else run.parent / "nowhere"
    assert main.main(["export-dataset", str(clean), "-o", str(run.parent / "set"), *args]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (run.parent / "set").exists()


def test_the_datasheet_counts_and_leaves_what_it_cannot_know(run):
    change_row(run, "site-0/p0/0.png", status="failed", reason="is truncated", sha256_out="")
    made(run, size=(64, 64))
    sheet = (run.parent / "set" / export.DATASHEET).read_text()
    summary = json.loads((run.parent / "out-audit" / "summary.json").read_text())
    for words in ("11 images of 6 patients", "To be filled in", "boxes removed: 11", "- source: site-1 6, site-0 5", "64x64, padded", "1: the run failed it",
                  "no OCR engine read the results", "shares 0.8, 0.1, 0.1, seed 0", summary["weights"]["sha256"]):
        assert words in sheet, words
    assert not any(line.startswith("## ") and not line[3:].strip() for line in sheet.splitlines())
