"""Whole runs over what the weights were not validated on, and over what is recognisable: held unless it is allowed, and never claimed to be anonymous."""

from __future__ import annotations

import shutil
from pathlib import Path

import pydicom
import pytest
from dicom_files import save
from fakes import cleaner, radiograph
from PIL import Image
from pydicom import uid
from pydicom.data import get_testdata_file
from test_photographs import annotated, as_rgb, film, photograph

from markerremover import HeldError, MarkerRemover, site_profile
from markerremover.audit import manifest_files
from markerremover.cli import remove
from markerremover.cli.main import main
from markerremover.errors import UsageError, WriteError
from markerremover.formats.dicom import files
from markerremover.headers.program_words import OUTSIDE, RECOGNIZABLE
from markerremover.options import RunOptions
from markerremover.run import batch, run_file

NAMES = ("CT_small.dcm", "MR_small.dcm", "examples_rgb_color.dcm")  # the last is an ultrasound image
HEAD = {"Modality": "CT", "SOPClassUID": uid.CTImageStorage, "BodyPartExamined": "HEAD"}


def run(source: Path, out: Path, **options):
    summary = batch.remove([source], out, options=RunOptions(**{"paths": "keep"} | options), open_cleaner=cleaner)
    return summary, {row["relative"]: row for row in manifest_files.read_manifest(Path(summary["audit"]) / manifest_files.MANIFEST)}


def film_file(folder: Path, name: str, **elements) -> Path:
    return save(folder, radiograph(1)[None], bits=8, name=name, PatientID="4711", **elements)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in NAMES:
        shutil.copy(get_testdata_file(name), folder / name)
    film_file(folder, "film.dcm", BodyPartExamined="CHEST")
    return folder


def methods(path: Path) -> list[str]:
    value = pydicom.dcmread(path).DeidentificationMethod
    return [value] if isinstance(value, str) else list(value)


def test_ct_mr_and_us_are_held_with_the_option_that_lets_them_through_and_films_are_not(source, tmp_path, capsys):
    summary, rows = run(source, tmp_path / "out")
    assert {name: rows[name]["status"] for name in rows} == dict.fromkeys(NAMES, "held") | {"film.dcm": "cleaned"}
    assert [path.name for path in (tmp_path / "out").rglob("*.dcm")] == ["film.dcm"]
    for name, said in zip(NAMES, ("CT", "MR", "US")):
        assert rows[name]["modality"] == said and rows[name]["outside_validation"] is True and rows[name]["reason"].endswith(f"(--allow-modality {said})")
    assert rows["film.dcm"]["modality"] == "DX" and "outside_validation" not in rows["film.dcm"]
    assert summary["modalities"] == {"CT": 1, "DX": 1, "MR": 1, "US": 1} and summary["outside_validation"] == 3
    remove.print_summary(summary)
    assert "warning: 3 files are not what the weights were validated on" in capsys.readouterr().out


def test_what_is_allowed_is_cleaned_and_its_header_says_what_it_is(source, tmp_path):
    _, rows = run(source, tmp_path / "out", allow_modality=("us", "CT"))
    assert rows["MR_small.dcm"]["status"] == "held"
    assert rows["examples_rgb_color.dcm"]["status"] in ("cleaned", "unchanged") and rows["examples_rgb_color.dcm"]["outside_validation"] is True
    us, ct = (pydicom.dcmread(tmp_path / "out" / name) for name in ("examples_rgb_color.dcm", "CT_small.dcm"))
    assert us.PatientIdentityRemoved == "YES" and OUTSIDE in methods(tmp_path / "out" / "examples_rgb_color.dcm")
    assert ct.PatientIdentityRemoved == "NO" and {OUTSIDE, RECOGNIZABLE} <= set(methods(tmp_path / "out" / "CT_small.dcm"))  # its body part is not stated
    assert rows["CT_small.dcm"]["recognizable"] and OUTSIDE not in methods(tmp_path / "out" / "film.dcm")


@pytest.mark.parametrize("headers", ["basic", "keep"])
def test_no_header_says_that_a_head_or_a_recognisable_film_is_anonymous(tmp_path, headers):
    folder = tmp_path / "in"
    folder.mkdir()
    film_file(folder, "head.dcm", **HEAD)
    film_file(folder, "told.dcm", RecognizableVisualFeatures="YES", PatientIdentityRemoved="YES", DeidentificationMethod="earlier")
    summary, rows = run(folder, tmp_path / "out")
    assert {row["status"] for row in rows.values()} == {"held"} and summary["recognizable"] == 2
    _, rows = run(folder, tmp_path / "allowed", allow_modality=("CT", "DX"), headers=headers)
    for name in rows:
        written = pydicom.dcmread(tmp_path / "allowed" / name)
        assert written.PatientIdentityRemoved == "NO" and RECOGNIZABLE in methods(tmp_path / "allowed" / name) and rows[name]["status"] == "cleaned"
    assert pydicom.dcmread(tmp_path / "allowed" / "told.dcm").RecognizableVisualFeatures == "YES"
    assert rows["head.dcm"]["outside_validation"] is True and "outside_validation" not in rows["told.dcm"]


def test_a_result_cleaned_twice_says_it_once(tmp_path):
    (tmp_path / "in").mkdir()
    film_file(tmp_path / "in", "head.dcm", **HEAD)
    run(tmp_path / "in", tmp_path / "once", allow_modality=("CT",))
    run(tmp_path / "once", tmp_path / "twice", allow_modality=("CT",))
    assert [methods(tmp_path / "twice" / "head.dcm").count(note) for note in (OUTSIDE, RECOGNIZABLE)] == [1, 1]


def test_a_writer_that_claims_too_much_is_caught_when_the_output_is_read_back(tmp_path, monkeypatch):
    radiograph_read = files.read_dicom(film_file(tmp_path, "head.dcm", **HEAD))
    monkeypatch.setattr(files.tags, "mark_scope", lambda dataset, scope: setattr(dataset, "PatientIdentityRemoved", "YES"))
    files.write_dicom(radiograph_read, radiograph_read.stored, tmp_path / "x", touched=False, verified=True)
    with pytest.raises(WriteError, match="nobody can be recognised"):
        files.verify_dicom(radiograph_read, radiograph_read.stored, tmp_path / "x", touched=False)


def test_a_film_of_the_skull_passes_with_a_note_and_stays_anonymous(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    film_file(tmp_path / "in", "skull.dcm", BodyPartExamined="SKULL")
    summary, rows = run(tmp_path / "in", tmp_path / "out")
    assert rows["skull.dcm"]["status"] == "cleaned" and "film of the head" in rows["skull.dcm"]["recognizable"]
    assert pydicom.dcmread(tmp_path / "out" / "skull.dcm").PatientIdentityRemoved == "YES"
    remove.print_summary(summary)
    assert "in 1 file a person may be recognised" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.tif", "palette.png"])
def test_colour_photographs_are_held_and_films_stored_as_colour_are_not(tmp_path, name):
    (tmp_path / "in").mkdir()
    for kind, colours in (("photo", photograph()), ("film", annotated(as_rgb(film())))):
        picture = Image.fromarray(colours)
        (picture.quantize(200) if "palette" in name else picture).save(tmp_path / "in" / f"{kind}-{name}")
    _, rows = run(tmp_path / "in", tmp_path / "out")
    held, passed = rows[f"photo-{name}"], rows[f"film-{name}"]
    assert held["status"] == "held" and held["reason"].endswith("(--allow-modality photo)") and held["recognizable"] and held["outside_validation"] is True
    assert passed["status"] in ("cleaned", "unchanged") and passed["modality"] == "" and "recognizable" not in passed
    _, rows = run(tmp_path / "in", tmp_path / "allowed", allow_modality=("photo",))
    assert rows[f"photo-{name}"]["status"] in ("cleaned", "unchanged") and rows[f"photo-{name}"]["outside_validation"] is True


@pytest.mark.parametrize("elements", [{"Modality": "DX"}, {"Modality": "OT", "SOPClassUID": uid.SecondaryCaptureImageStorage}])
def test_a_photograph_in_a_dicom_file_is_one_whatever_its_header_says(tmp_path, elements):
    (tmp_path / "in").mkdir()
    save(tmp_path / "in", photograph()[None], bits=8, photometric="RGB", name="photo.dcm", **elements)
    _, rows = run(tmp_path / "in", tmp_path / "out", allow_modality=("OT",))
    assert rows["photo.dcm"]["status"] == "held" and "photograph" in rows["photo.dcm"]["reason"]
    run(tmp_path / "in", tmp_path / "allowed", allow_modality=("OT", "photo"))
    assert pydicom.dcmread(tmp_path / "allowed" / "photo.dcm").PatientIdentityRemoved == "NO"


def test_the_library_holds_likewise_and_takes_the_same_names():
    remover, path = MarkerRemover(cleaner=cleaner()), get_testdata_file("CT_small.dcm")
    with pytest.raises(HeldError, match=r"modality CT is not what the weights were validated on.*--allow-modality CT"):
        remover.clean(path)
    result = remover.clean(path, allow_modality=["ct"])
    assert result.modality == "CT" and result.outside_validation and "face" in result.recognizable and result.laterality is None
    with pytest.raises(UsageError, match="allow_modality is XYZ"):
        remover.clean(path, allow_modality=["xyz"])
    with pytest.raises(HeldError, match="photograph"):
        remover.clean(photograph())
    assert remover.clean(radiograph(1)).modality == ""


def test_a_site_allows_and_the_option_overrides_it(tmp_path):
    (tmp_path / "site.toml").write_text('allow_modality = ["ct"]\n')
    path = get_testdata_file("CT_small.dcm")
    assert MarkerRemover(site=tmp_path / "site.toml", cleaner=cleaner()).clean(path).outside_validation
    site = site_profile.read(tmp_path / "site.toml")
    assert RunOptions(site=site).allowed == ("CT",) and RunOptions(site=site, allow_modality=()).allowed == ()


def test_rows_from_before_the_gate_are_not_taken_over(source, tmp_path):
    run(source, tmp_path / "out", allow_modality=("all",))
    manifest = tmp_path / "out-audit" / manifest_files.MANIFEST
    rows = manifest_files.read_manifest(manifest)
    manifest_files.write_rows(manifest, ({k: v for k, v in row.items() if row["relative"] != "CT_small.dcm" or k != "modality"} for row in rows))
    summary, _ = run(source, tmp_path / "out", allow_modality=("all",), resume=True)
    assert summary["resumed"] == 3


def test_the_hash_of_settings_changes_with_the_option_only():
    plain = RunOptions().settings_sha256()
    assert RunOptions(allow_modality=()).settings_sha256() == plain != RunOptions(allow_modality=("CT",)).settings_sha256()
    assert RunOptions(allow_modality=("CT", "MR")).settings_sha256() == RunOptions(allow_modality=("mr", "ct")).settings_sha256()


def test_options_come_back_from_run_json(tmp_path):
    options = RunOptions(allow_modality=("CT",), read_laterality=True, key=tmp_path / "key")
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / manifest_files.MANIFEST).touch()
    run_file.write(tmp_path / "audit", tmp_path / "out", [tmp_path], options)
    again = run_file.read(tmp_path / "audit").options
    assert again.allowed == ("CT",) and again.policy == options.policy and again.meanings == options.meanings
    assert again.settings_sha256(b"k") == options.settings_sha256(b"k")


def test_the_command_line_takes_the_option_and_refuses_unknown_names(source, tmp_path, fake_weights, capsys):
    (source / "MR_small.dcm").unlink()
    assert main(["remove", str(source), "-o", str(tmp_path / "out"), "--workers", "1", "--keep", "none", "--allow-modality", "CT,us"]) == 0
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 3
    assert main(["remove", str(source), "-o", str(tmp_path / "x"), "--allow-modality", "XRAY"]) == 2
    assert "allow_modality is XRAY" in capsys.readouterr().err
