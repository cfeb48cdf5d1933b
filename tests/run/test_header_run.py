"""Headers in whole runs: the default profile, pseudonyms across files, runs and workers, the key, and what is refused."""

import json
import os
import stat

import pydicom
import pytest
from fakes import NAME_BOX, cleaner, radiograph
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

from markerremover.cli import main, remove
from markerremover.errors import UsageError, WriteError
from markerremover.formats.dicom import files
from markerremover.headers import dicom_headers
from markerremover.headers import profile as header_profile
from markerremover.options import RunOptions
from markerremover.run import batch

KEY = "0f" * 32


def dicom_file(path, number="4711-X", marked=True, **elements):
    """A radiograph of John Smith, with his name burned in or not."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.StudyInstanceUID = DigitalXRayImageStorageForPresentation, f"1.2.3.{path.stem}", "1.2.3"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate, dataset.StudyDate = "SMITH^JOHN", number, "19610102", "20200131"
    dataset.Modality, dataset.ImageComments, dataset.ManufacturerModelName = "DX", "John Smith, left hand", "Unit of J. SMITH"
    item = Dataset()
    item.RequestedProcedureDescription, item.CodeMeaning, item.OperatorsName = "for Smith", "Chest", "Nurse^Alice"
    dataset.ViewCodeSequence = Sequence([item])
    dataset.add_new(0x00110010, "LO", "ACME")
    dataset.add_new(0x00111001, "LO", "SMITH private")
    image = radiograph(1, (NAME_BOX,) if marked else ())
    dataset.Rows, dataset.Columns = image.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelData = image.tobytes()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    dicom_file(folder / "1.dcm")
    dicom_file(folder / "2.dcm", marked=False)
    dicom_file(folder / "3.dcm", "4712-X")
    return folder


def run(source, out, **options):
    return batch.remove([source], out, options=RunOptions(**options), open_cleaner=cleaner)


def outputs(out):
    return {path.name: pydicom.dcmread(path) for path in sorted(out.rglob("*.dcm"))}


def test_by_default_no_file_of_a_run_names_its_patient_and_unmarked_ones_do_not_either(source, tmp_path):
    summary = run(source, tmp_path / "out")
    assert summary["counts"]["cleaned"] == 2 and summary["counts"]["unchanged"] == 1 and summary["options"]["headers"] == "basic"
    for path in (tmp_path / "out").iterdir():
        content = path.read_bytes().lower()
        # Whole numbers: the digits of a UID drawn anew hold any four, "4711", in one run of twenty-five.
        assert not any(part in content for part in (b"smith", b"john", b"4711-x", b"4712-x", b"19610102", b"20200131", b"alice", b"1.2.3."))
        dataset = pydicom.dcmread(path)
        assert dataset.PatientIdentityRemoved == "YES" and dataset.BurnedInAnnotation == "NO" and dataset.Modality == "DX"
        assert [item.CodeValue for item in dataset.DeidentificationMethodCodeSequence] == ["113101", "113100"]
        assert dataset.ViewCodeSequence[0].CodeMeaning == "Chest"
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID != ""


def test_unmarked_files_keep_their_pixel_data(source, tmp_path):
    run(source, tmp_path / "out")
    assert outputs(tmp_path / "out")["2.dcm"].PixelData == pydicom.dcmread(source / "2.dcm").PixelData


def test_pseudonyms_agree_across_files_and_workers_and_with_one_key_across_runs(source, tmp_path):
    key = tmp_path / "key"
    key.write_text(KEY + "\n")
    key.chmod(0o600)
    for name, options in (("a", {"key": key}), ("b", {"key": key, "workers": 2}), ("c", {})):
        run(source, tmp_path / name, **options)
    a, b, c = (outputs(tmp_path / name) for name in "abc")
    assert a["1.dcm"].PatientID == a["2.dcm"].PatientID != a["3.dcm"].PatientID
    assert a["1.dcm"].StudyInstanceUID == a["2.dcm"].StudyInstanceUID
    assert all(a[name] == b[name] for name in a) and a["1.dcm"].PatientID != c["1.dcm"].PatientID
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in a), "no clock, no chance"


def test_the_key_of_a_run_is_its_owners_only_and_used_again_by_resume(source, tmp_path):
    out, audit = tmp_path / "out", tmp_path / "out-audit"
    run(source, out)
    key = audit / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 and len(bytes.fromhex(key.read_text())) == 32
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "1.dcm").unlink()
    summary = run(source, out, resume=True)
    assert summary["resumed"] == 2 and {path.name: path.read_bytes() for path in out.iterdir()} == before
    text = (audit / "manifest.jsonl").read_text() + (audit / "summary.json").read_text() + (audit / "index.html").read_text()
    assert key.read_text().strip() not in text


def test_other_header_settings_are_not_resumed_from(source, tmp_path):
    run(source, tmp_path / "out")
    assert run(source, tmp_path / "out", resume=True, shift_dates=True)["resumed"] == 0
    assert all(d.LongitudinalTemporalInformationModified == "MODIFIED" for d in outputs(tmp_path / "out").values())


def test_keep_leaves_the_header_and_says_so(source, tmp_path, capsys):
    summary = run(source, tmp_path / "out", headers="keep")
    assert "STILL IDENTIFY" in summary["headers"] and not (tmp_path / "out-audit" / "key").exists()
    dataset = outputs(tmp_path / "out")["1.dcm"]
    assert dataset.PatientName == "SMITH^JOHN" and "PatientIdentityRemoved" not in dataset
    remove.print_summary(summary)
    assert "STILL IDENTIFY" in capsys.readouterr().out


def test_what_the_command_line_says_arrives(source, tmp_path, monkeypatch):
    seen = {}

    def remove(inputs, out, *, options, progress):
        seen.update(options=options)
        raise UsageError("enough")

    monkeypatch.setattr(batch, "remove", remove)
    command = ["remove", str(source), "-o", str(tmp_path / "out"), "--retain", "age, Sex", "--shift-dates", "--key", str(tmp_path / "key")]
    assert main.main(command) == 2
    options = seen["options"]
    assert (options.headers, options.retain, options.shift_dates, options.key) == ("basic", ("age", "sex"), True, tmp_path / "key")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8-sig", "utf-16"])
def test_a_key_may_be_saved_by_any_shell_or_editor(tmp_path, encoding):
    from markerremover.headers.profile import read_key

    (tmp_path / "key").write_bytes(("ab" * 32 + "\r\n").encode(encoding))
    (tmp_path / "key").chmod(0o600)
    assert read_key(tmp_path / "key") == b"\xab" * 32


@pytest.mark.parametrize(
    ("text", "mode", "word"), [(None, 0o600, "cannot be read"), ("abc", 0o600, "hexadecimal"), (KEY, 0o644, "others may read")]
)
def test_a_key_that_is_missing_wrong_or_open_to_others_is_refused_before_anything_is_made(source, tmp_path, text, mode, word):
    if mode == 0o644 and os.name != "posix":
        pytest.skip("permissions of this kind are POSIX")
    key = tmp_path / "key"
    if text:
        key.write_text(text)
        key.chmod(mode)
    with pytest.raises(UsageError, match=word):
        run(source, tmp_path / "out", key=key)
    assert not (tmp_path / "out").exists() and not (tmp_path / "out-audit").exists()


@pytest.mark.parametrize("options", [{"headers": "all"}, {"retain": ("name",)}, {"headers": "keep", "shift_dates": True}])
def test_wrong_options_are_refused(options):
    with pytest.raises(UsageError):
        RunOptions(**options)


def test_a_header_that_still_names_its_patient_is_not_released(tmp_path, monkeypatch):
    path = dicom_file(tmp_path / "in" / "1.dcm")
    monkeypatch.setattr(dicom_headers, "take_out", lambda *_: None)
    summary = run(path.parent, tmp_path / "out")
    assert summary["counts"]["failed"] == 1 and not list((tmp_path / "out").iterdir())
    row = json.loads((tmp_path / "out-audit" / "manifest.jsonl").read_text())
    assert "still names the patient" in row["reason"] and "SMITH" not in row["reason"].upper().replace("1.DCM", "")


def test_a_reference_to_another_instance_of_the_run_still_finds_it(tmp_path):
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3.1"
    dicom_file(tmp_path / "in" / "1.dcm")
    dicom_file(tmp_path / "in" / "2.dcm", SourceImageSequence=Sequence([item]))
    run(tmp_path / "in", tmp_path / "out")
    one, two = outputs(tmp_path / "out").values()
    assert two.SourceImageSequence[0].ReferencedSOPInstanceUID == one.SOPInstanceUID


def test_paths_that_name_the_patient_and_are_to_be_kept_are_counted_and_warned_of(tmp_path, capsys):
    for name in ("SMITH_J/1.dcm", "4711-x.dcm", "study 1.2.3.4.5.6.7.8/2.dcm", "plain/3.dcm"):
        dicom_file(tmp_path / "in" / name, SOPInstanceUID="1.2.3.4.5.6.7.8")
    summary = run(tmp_path / "in", tmp_path / "out", paths="keep")
    assert summary["paths_that_tell"] == 3
    remove.print_summary(summary)
    assert "3 outputs have paths" in capsys.readouterr().out
    assert run(tmp_path / "in", tmp_path / "out", paths="keep", resume=True)["paths_that_tell"] == 3
    (tmp_path / "other").mkdir()
    dicom_file(tmp_path / "other" / "SMITH.dcm")
    assert run(tmp_path / "other", tmp_path / "out2", headers="keep")["paths_that_tell"] == 0


def test_the_source_record_is_not_changed_by_writing(tmp_path):
    path = dicom_file(tmp_path / "1.dcm")
    read = files.read_dicom(path)
    profile = header_profile.HeaderProfile("basic", bytes(32))
    files.write_dicom(read, read.stored, tmp_path / "out.dcm", touched=False, verified=True, headers=profile)
    assert read.source.dataset == pydicom.dcmread(path)
    with pytest.raises(WriteError, match="still names"):
        files.verify_dicom(read, read.stored, path, touched=False, headers=profile)
