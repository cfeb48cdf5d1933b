"""Output paths: what names a patient gets a pseudonym, the same everywhere under one key; the rest stays; clashes fail."""

import json
import stat

import fakes
import pydicom
import pytest
from test_header_run import KEY, dicom_file, run

from markerremover.cli import remove
from markerremover.errors import UsageError
from markerremover.headers import identifiers
from markerremover.headers.profile import HeaderProfile
from markerremover.options import RunOptions
from markerremover.run import output_paths
from markerremover.run.inputs import Input

BASIC = HeaderProfile("basic", bytes.fromhex(KEY))


def key_file(folder):
    path = folder / "key"
    path.write_text(KEY + "\n")
    path.chmod(0o600)
    return path


def assigned(names, mode="auto", profile=BASIC, telling=lambda path: frozenset()):
    from pathlib import Path

    return [(i.relative, i.problem) for i in output_paths.assign([Input(Path(name), name) for name in names], mode, profile, telling)]


def outputs(out):
    return sorted(fakes.files(out))


def test_what_names_a_patient_goes_and_what_does_not_stays(tmp_path):
    uid = "1.2.826.0.1.3680043.8.498.45787"
    for name in ("SMITH_J/knee/1.dcm", "SMITH_J/knee/2.dcm", "by-number/4711-x.dcm", f"{uid}.dcm", f"study {uid}/3", "plain/chest.dcm"):
        dicom_file(tmp_path / "in" / name, SOPInstanceUID=uid)
    summary = run(tmp_path / "in", tmp_path / "out")
    names = outputs(tmp_path / "out")
    assert summary["counts"]["failed"] == summary["counts"]["held"] == 0 and len(names) == 6 and "plain/chest.dcm" in names
    assert not any(part in name.lower() for name in names for part in ("smith", "4711", uid, "study"))
    folders = {name.rpartition("/")[0] for name in names}
    assert sum(folder.endswith("/knee") for folder in folders) == 1, "both of the folder are still in one"
    assert any(name.startswith("by-number/") and name.endswith(".dcm") for name in names) and any(name.endswith("/3") for name in names)
    assert summary["renamed"] == 5 and summary["paths_that_tell"] == 0


def test_a_name_in_any_header_of_the_run_goes_from_the_paths_of_all_files(tmp_path):
    dicom_file(tmp_path / "in" / "a" / "1.dcm")
    fakes.put(tmp_path / "in" / "smith" / "photo.png", fakes.png(fakes.radiograph(2)))
    dicom_file(tmp_path / "in" / "John Smith" / "stray.dcm", "99-Z", PatientName="JONES^ANN")
    run(tmp_path / "in", tmp_path / "out")
    names = outputs(tmp_path / "out")
    assert not any("smith" in name.lower() for name in names)
    assert sorted(name.rpartition("/")[2] for name in names) == ["1.dcm", "photo.png", "stray.dcm"]


def test_the_map_is_in_the_audit_for_its_owner_only(tmp_path):
    dicom_file(tmp_path / "in" / "SMITH" / "1.dcm")
    dicom_file(tmp_path / "in" / "other" / "2.dcm")
    run(tmp_path / "in", tmp_path / "out")
    target = tmp_path / "out-audit" / "paths.jsonl"
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [row["input"] for row in rows] == ["SMITH/1.dcm"] and rows[0]["relative"] in outputs(tmp_path / "out")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_pseudonyms_of_paths_are_the_same_with_the_same_key_in_every_run_and_by_resume(tmp_path):
    for number in range(3):
        dicom_file(tmp_path / "in" / f"SMITH {number}" / "1.dcm")
    key = key_file(tmp_path)
    for name, options in (("a", {"key": key}), ("b", {"key": key, "workers": 2}), ("c", {})):
        run(tmp_path / "in", tmp_path / name, **options)
    a, b, c = (fakes.files(tmp_path / name) for name in "abc")
    assert a == b and set(a) != set(c) and len(a) == 3
    (tmp_path / "c" / sorted(c)[0]).unlink()
    assert run(tmp_path / "in", tmp_path / "c", resume=True)["resumed"] == 2
    assert fakes.files(tmp_path / "c") == c


def test_every_part_of_every_path_on_request_also_where_headers_are_kept(tmp_path, capsys):
    fakes.put(tmp_path / "in" / "Jane" / "left.hand.PNG", fakes.png(fakes.radiograph(3)))
    fakes.put(tmp_path / "in" / "Jane" / "left.hand", fakes.png(fakes.radiograph(3)))
    dicom_file(tmp_path / "in" / "Jane" / "x.Doe")
    for number, options in enumerate(({}, {"headers": "keep"}, {"headers": "keep", "key": key_file(tmp_path)})):
        out = tmp_path / f"out{number}"
        summary = run(tmp_path / "in", out, paths="pseudonym", **options)
        names = outputs(out)
        assert len(names) == summary["renamed"] == 3 and len({name.split("/")[0] for name in names}) == 1
        assert not any(part in name.lower() for name in names for part in ("jane", "left", "hand", "doe"))
        assert sorted(name.rpartition(".")[2] for name in names if "." in name) == ["png"]
    remove.print_summary(summary)
    assert "3 paths got pseudonyms" in capsys.readouterr().out
    assert pydicom.dcmread(out / next(n for n in names if pydicom.misc.is_dicom(out / n))).PatientName == "SMITH^JOHN"


def test_headers_that_are_kept_and_paths_to_be_kept_keep_them(tmp_path):
    dicom_file(tmp_path / "in" / "SMITH" / "1.dcm")
    for number, options in enumerate(({"headers": "keep"}, {"paths": "keep"})):
        run(tmp_path / "in", tmp_path / f"out{number}", **options)
        assert outputs(tmp_path / f"out{number}") == ["SMITH/1.dcm"]
        assert not (tmp_path / f"out{number}-audit" / "paths.jsonl").exists()


def test_paths_that_become_the_same_fail_all_of_them():
    class Same(HeaderProfile):
        def pseudonym(self, kind, text):
            return "X"

    profile = Same("basic", bytes(32))
    found = assigned(["ann/1.png", "bob/1.png", "c/1.png"], telling=lambda path: fakes.telling("ann", "bob"), profile=profile)
    assert [relative for relative, _ in found] == ["X/1.png", "X/1.png", "c/1.png"]
    assert [bool(problem) for _, problem in found] == [True, True, False]


def test_a_header_that_cannot_be_walked_through_has_no_output():
    found = assigned(["a.dcm", "b.dcm"], telling=lambda path: None if path.name == "a.dcm" else frozenset())
    assert [problem for _, problem in found] == [output_paths.UNREADABLE, ""]


def test_a_path_that_tells_after_all_holds_the_file(tmp_path, monkeypatch):
    dicom_file(tmp_path / "in" / "SMITH" / "1.dcm")
    monkeypatch.setattr("markerremover.formats.images.path_parts", lambda path: frozenset())
    summary = run(tmp_path / "in", tmp_path / "out")
    assert summary["counts"]["held"] == 1 and not outputs(tmp_path / "out")
    reason = json.loads((tmp_path / "out-audit" / "manifest.jsonl").read_text())["reason"]
    assert "path" in reason and "smith" not in reason.lower()


@pytest.mark.parametrize(
    ("name", "told"),
    [("smith", True), ("SMITHS_knee", True), ("smi_th", True), ("smixth", False), ("xli", False), ("li", True), ("x_LI-2", True), ("Żółw", True),
     ("1.2.3.4.5.6.7.8.dcm", True), ("2.25.7", False), ("", False), ("a" * 255, False)],
)
def test_long_parts_tell_anywhere_short_ones_as_words(name, told):
    assert identifiers.in_path(fakes.telling("smith", "li", "żółw", uids=("1.2.3.4.5.6.7.8",)))(name) == told


@pytest.mark.parametrize(
    ("path", "told"),
    [("mu\u0308ller", True), ("M\u00dcLLER", True), ("Muller_A", True), ("HX_99.812", True), ("hx99812", True), ("1961-01-02", True), ("HX 9981", False)],
)
def test_accents_and_separators_make_no_difference(path, told):
    assert identifiers.in_path(fakes.telling("m\u00fcller", numbers=("hx-99812",), births=("19610102",)))(path) == told


@pytest.mark.parametrize(
    ("path", "told"),
    [("1961/03/12/x.dcm", 3), ("a/1961/0312/b/x.dcm", 2), ("12/Mar/61.dcm", 3), ("patient/12/x.dcm", 2), ("47/11981/x.dcm", 2), ("1961/x.dcm", 0), ("chest/12/x.dcm", 1),
     ("2019/05/05.dcm", 3), ("1962/03/13.dcm", 0), ("SMITH/12/x.dcm", 2), ("x1/SMITH/x2.dcm", 1)],
)
def test_days_and_numbers_are_found_across_folders(path, told):
    telling = fakes.telling("SMITH", numbers=("4711981", "12"), births=("19610312",), days=("20190505",))
    [(relative, _)] = assigned([path], telling=lambda _: telling)
    assert sum(a != b for a, b in zip(relative.split("/"), path.split("/"))) == told and relative.endswith(".dcm")


def test_very_many_names_are_told_apart():
    """How long it takes is measured by eval/speed.py."""
    telling = fakes.telling(*(f"n{number}x{number}^ann{number}" for number in range(1000)), numbers=tuple(f"kw{number}" for number in range(100_000, 300_000)))
    holds = identifiers.in_path(telling)
    assert [holds(f"series {number:06d}/kw{number * 7}x") for number in (20_000, 30_000)] == [True, True]
    assert not holds("x" * 255)


def test_uids_of_the_standard_tell_nobody_apart(tmp_path):
    path = dicom_file(tmp_path / "in" / "1.2.840.10008.5.1.4.1.1.1.1" / "1.dcm")
    run(tmp_path / "in", tmp_path / "out")
    assert outputs(tmp_path / "out") == [path.relative_to(tmp_path / "in").as_posix()]


def test_an_unknown_mode_and_a_key_without_use_are_refused():
    with pytest.raises(UsageError, match="paths"):
        RunOptions(paths="all")
    with pytest.raises(UsageError, match="keep"):
        RunOptions(headers="keep", key="k")
