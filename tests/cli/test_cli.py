from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys

import fakes
import pytest

import markerremover
from markerremover.cli import arguments, demo, main, remove
from markerremover.errors import UsageError, WeightsError
from markerremover.run import batch, run_file
from markerremover.second_pass import tesseract

pytestmark = pytest.mark.usefixtures("fake_weights")


def run(*args) -> int:
    return main.main([str(arg) for arg in args])


def rows(out) -> dict[str, dict]:
    lines = (out.parent / f"{out.name}-audit" / "manifest.jsonl").read_text().splitlines()
    return {row["relative"]: row for row in map(json.loads, lines)}


def test_a_folder_in_a_folder_out_exit_0(inputs, out, capsys):
    assert run("remove", inputs, "-o", out, "--keep", "none") == 0
    assert set(fakes.files(out)) == set(fakes.files(inputs)) == set(rows(out))
    printed = capsys.readouterr()
    assert "4 inputs, 4 cleaned, 0 unchanged, 0 held, 0 failed" in printed.out and "index.html" in printed.out
    assert "4/4: 4 cleaned" in printed.err


def test_a_single_file_keeps_its_name(inputs, out):
    assert run("remove", inputs / "a" / "0.png", "-o", out, "--keep", "none") == 0
    assert set(fakes.files(out)) == {"0.png"}


def test_several_inputs_keep_apart(inputs, out):
    assert run("remove", inputs / "a", inputs / "b", "-o", out, "--keep", "none") == 0
    assert set(fakes.files(out)) == {"a/0.png", "a/1.png", "b/0.png", "b/1.png"}


def test_a_bad_file_costs_exit_1_and_the_rest_goes_on(inputs, out):
    fakes.put(inputs / "notes.txt", b"hello")
    assert run("remove", inputs, "-o", out, "--keep", "none") == 1
    assert rows(out)["notes.txt"]["status"] == "failed" and len(fakes.files(out)) == 4


def test_ignore_adds_to_the_defaults(inputs, out):
    fakes.put(inputs / "notes.txt", b"hello"), fakes.put(inputs / "DICOMDIR", b"x")
    assert run("remove", inputs, "-o", out, "--keep", "none", "--ignore", "*.txt") == 0
    summary = json.loads((out.parent / "out-audit" / "summary.json").read_text())
    assert summary["ignored"] == ["DICOMDIR", "notes.txt"] and summary["counts"]["inputs"] == 4


def test_a_non_empty_out_needs_resume_or_overwrite(inputs, out, capsys):
    assert run("remove", inputs, "-o", out, "--keep", "none") == 0
    assert run("remove", inputs, "-o", out, "--keep", "none") == 2
    assert "--resume" in capsys.readouterr().err
    assert run("remove", inputs, "-o", out, "--keep", "none", "--resume") == 0
    assert run("remove", inputs, "-o", out, "--keep", "none", "--overwrite") == 0
    assert len(rows(out)) == 4


def test_effort_is_recorded_and_other_effort_starts_anew(inputs, out):
    audit = out.parent / "out-audit"
    assert run("remove", inputs, "-o", out, "--keep", "none", "--fast") == 0
    assert json.loads((audit / "summary.json").read_text())["options"]["effort"] == "fast" == run_file.read(audit).options.effort
    fast = {row["settings_sha256"] for row in rows(out).values()}
    assert run("remove", inputs, "-o", out, "--keep", "none", "--resume") == 0
    assert json.loads((audit / "summary.json").read_text())["resumed"] == 0
    assert len(fast) == 1 and not fast & {row["settings_sha256"] for row in rows(out).values()}


def test_dry_run_then_the_real_run(inputs, out, capsys):
    assert run("remove", inputs, "-o", out, "--keep", "none", "--dry-run") == 0
    assert not out.exists() and "no image written" in capsys.readouterr().out
    assert run("remove", inputs, "-o", out, "--keep", "none") == 0 and len(fakes.files(out)) == 4


def test_a_dry_run_never_replaces_the_audit_of_a_real_run(inputs, out, tmp_path, capsys):
    assert run("remove", inputs, "-o", out, "--keep", "none") == 0
    before = fakes.files(tmp_path / "out-audit")
    for options in (["--dry-run"], ["--dry-run", "--resume"], ["--dry-run", "--overwrite"]):
        assert run("remove", inputs, "-o", out, "--keep", "none", *options) == 2
    out.rename(tmp_path / "moved")
    assert run("remove", inputs, "-o", out, "--keep", "none") == 2 and "audit of an earlier run" in capsys.readouterr().err
    assert fakes.files(tmp_path / "out-audit") == before


def test_a_dry_run_may_look_beside_results_that_have_no_audit(inputs, out, tmp_path, capsys):
    kept = fakes.put(out / "a" / "0.png", b"an earlier result")
    assert run("remove", inputs, "-o", out, "--keep", "none", "--dry-run") == 0
    assert fakes.files(out) == {"a/0.png": kept.read_bytes()} and len(rows(out)) == 4
    assert run("remove", inputs, "-o", out, "--keep", "none") == 2 and "not empty" in capsys.readouterr().err


def test_a_refused_dry_run_is_not_told_to_use_what_a_dry_run_may_not(inputs, out, capsys):
    assert run("remove", inputs, "-o", out, "--keep", "none") == 0
    assert run("remove", inputs, "-o", out, "--keep", "none", "--dry-run") == 2
    printed = capsys.readouterr().err
    assert "--audit" in printed and "--resume" not in printed and "--overwrite" not in printed
    assert run("remove", inputs, "-o", out, "--keep", "none", "--dry-run", "--audit", out.parent / "look") == 0
    assert len(fakes.files(out)) == 4


def test_paths_that_are_not_text_are_printed_on_a_strict_terminal(inputs, tmp_path, monkeypatch):
    out = tmp_path / b"caf\xe9".decode("utf-8", "surrogateescape")
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert run("remove", inputs, "-o", out, "--keep", "none") == 0
    terminal.flush()
    assert b"caf\\udce9-audit" in terminal.buffer.getvalue() and len(fakes.files(out)) == 4


def test_a_full_disk_under_the_audit_stops_the_run_in_one_line(inputs, out, capsys, monkeypatch):
    def full(handle, row):
        raise OSError(28, "No space left on device", "manifest.jsonl")

    monkeypatch.setattr("markerremover.audit.manifest_files.append", full)
    assert run("remove", inputs, "-o", out, "--keep", "none") == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_audit_goes_where_it_is_told(inputs, out, tmp_path):
    assert run("remove", inputs, "-o", out, "--keep", "none", "--audit", tmp_path / "elsewhere") == 0
    assert (tmp_path / "elsewhere" / "index.html").is_file() and not (tmp_path / "out-audit").exists()


WRONG_USE = {
    "no command": [], "no input": ["remove"], "no OUT": ["remove", "{in}"], "unknown option": ["remove", "{in}", "-o", "{out}", "--quick"],
    "fast and thorough": ["remove", "{in}", "-o", "{out}", "--fast", "--thorough"],
    "missing input": ["remove", "{in}/nowhere", "-o", "{out}"], "same folder": ["remove", "{in}", "-o", "{in}"],
    "OUT in INPUT": ["remove", "{in}", "-o", "{in}/out"], "audit in OUT": ["remove", "{in}", "-o", "{out}", "--audit", "{out}/audit"],
    "threshold 0": ["remove", "{in}", "-o", "{out}", "--threshold", "0"], "threshold 2": ["remove", "{in}", "-o", "{out}", "--threshold", "2"],
    "threshold word": ["remove", "{in}", "-o", "{out}", "--threshold", "high"], "margin -1": ["remove", "{in}", "-o", "{out}", "--margin=-1"],
    "workers 0": ["remove", "{in}", "-o", "{out}", "--workers", "0"], "device tpu": ["remove", "{in}", "-o", "{out}", "--device", "tpu"],
    "empty keep": ["remove", "{in}", "-o", "{out}", "--keep", ""], "odd keep": ["remove", "{in}", "-o", "{out}", "--keep", "L,*"],
    "unknown group": ["remove", "{in}", "-o", "{out}", "--keep", "L,@projections"], "slip of a group": ["remove", "{in}", "-o", "{out}", "--keep", "projections"],
    "number kept": ["remove", "{in}", "-o", "{out}", "--keep", "AP,10"], "groups without keep": ["remove", "{in}", "-o", "{out}", "--keep-groups", "x.toml"],
    "no file of groups": ["remove", "{in}", "-o", "{out}", "--keep", "AP", "--keep-groups", "{in}/nowhere.toml"],
    "resume and overwrite": ["remove", "{in}", "-o", "{out}", "--resume", "--overwrite"],
    "all ignored": ["remove", "{in}", "-o", "{out}", "--ignore", "*"], "OUT is a file": ["remove", "{in}", "-o", "{in}/../file"],
    "audit is something else": ["remove", "{in}", "-o", "{out}", "--audit", "{in}/../other"],
    "OUT is the root": ["remove", "{in}", "-o", "/"], "the root with an audit": ["remove", "{in}", "-o", "/", "--audit", "{out}-audit"],
    "the same input twice": ["remove", "{in}", "{in}", "-o", "{out}"],
    "count 0": ["synthesize", "{out}", "--count", "0", "--seed", "1"], "no seed": ["synthesize", "{out}", "--count", "1"],
}


@pytest.mark.parametrize("args", WRONG_USE.values(), ids=WRONG_USE.keys())
def test_wrong_use_is_exit_2_with_one_clear_message_and_no_output(inputs, out, capsys, args):
    fakes.put(inputs.parent / "file", b"x"), fakes.put(inputs.parent / "other" / "thesis.txt", b"x")
    before = fakes.files(inputs.parent)
    assert run(*(arg.format(**{"in": inputs, "out": out}) for arg in args)) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1 and printed.err.startswith("markerremover") and not printed.out
    assert fakes.files(inputs.parent) == before and not out.exists()


def test_without_ocr_keeping_signs_is_wrong_use_and_keep_none_is_not(inputs, out, capsys, monkeypatch):
    def no_reader():
        raise UsageError(tesseract.HINT)

    monkeypatch.undo()
    monkeypatch.setattr(tesseract, "open_reader", no_reader)
    monkeypatch.setattr("markerremover.detection.localizer.load_detector", lambda *args, **options: fakes.find_white)
    monkeypatch.setattr(remove, "TIME_LIMIT", 0.0)
    assert run("remove", inputs, "-o", out) == 2
    assert "Tesseract" in capsys.readouterr().err and not out.exists()
    assert run("remove", inputs, "-o", out, "--keep", "none") == 0


def test_missing_weights_are_wrong_use(inputs, out, capsys, monkeypatch):
    monkeypatch.undo()
    assert run("remove", inputs, "-o", out, "--keep", "none", "--weights", inputs / "none.onnx") == 2
    assert "none.onnx" in capsys.readouterr().err and not out.exists()


def test_a_target_that_cannot_be_made_is_wrong_use_with_its_name(inputs, tmp_path, capsys):
    fakes.put(tmp_path / "file", b"x")
    assert run("remove", inputs, "-o", tmp_path / "file" / "out", "--keep", "none") == 2
    assert "file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text, signs",
    [("L,R", ("L", "R")), (" l , lt ", ("L", "LT")), ("D,I", ("D", "I")), ("none", ()), ("NONE", ()), ("PA", ("PA",)), ("É", ("É",))],
)
def test_keep_takes_any_signs_or_none(text, signs):
    assert arguments.parse_keep(text) == signs


@pytest.fixture
def profile(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text('weights = "own.onnx"\nthreshold = 0.3\n[keep]\nD = "right"\nI = "left"\n')
    return path


@pytest.mark.parametrize(
    "args, keep, threshold, weights",
    [([], ("D", "I"), 0.3, "own.onnx"), (["--keep", "L"], ("L",), 0.3, "own.onnx"), (["--threshold", "0.5"], ("D", "I"), 0.5, "own.onnx"),
     (["--weights", "other.onnx", "--margin", "0.4"], ("D", "I"), 0.3, "other.onnx"), (["--keep", "none"], (), 0.3, "own.onnx")],
    ids=["profile alone", "keep wins", "threshold wins", "weights win", "none wins"],
)
def test_explicit_options_win_over_the_site_profile(inputs, out, profile, monkeypatch, args, keep, threshold, weights):
    seen = {}

    def takes_note(inputs, out, *, options, progress):
        seen.update(options=options)
        raise UsageError("far enough")

    monkeypatch.setattr(batch, "remove", takes_note)
    run("remove", inputs, "-o", out, "--site", profile, *args)
    options = seen["options"]
    assert (options.policy.keep, options.policy.threshold, options.weights.name) == (keep, threshold, weights)
    assert options.policy.margin == (0.4 if "--margin" in args else 0.12)
    assert options.weights.parent == (profile.parent if weights == "own.onnx" else options.weights.parent)


def test_the_summary_names_the_site_profile_by_its_hash_and_says_what_the_signs_mean(inputs, out, profile):
    assert run("remove", inputs, "-o", out, "--site", profile, "--keep", "none") == 0
    summary = json.loads((out.parent / "out-audit" / "summary.json").read_text())
    digest = hashlib.sha256(profile.read_bytes()).hexdigest()
    assert summary["site"] == {"sha256": digest, "laterality_markers": {}} and summary["options"]["threshold"] == 0.3
    profile.write_text("[keep]\n")
    assert run("remove", inputs, "-o", out, "--site", profile, "--overwrite") == 0
    assert run("remove", inputs, "-o", out, "--keep", "none", "--overwrite") == 0
    assert json.loads((out.parent / "out-audit" / "summary.json").read_text())["site"] is None


def test_a_wrong_site_profile_is_wrong_use(inputs, out, profile, capsys):
    profile.write_text("treshold = 0.3\n")
    assert run("remove", inputs, "-o", out, "--site", profile) == 2
    assert "'treshold'" in capsys.readouterr().err and not out.exists()
    assert run("remove", inputs, "-o", out, "--site", inputs / "nowhere.toml") == 2


def test_options_reach_the_run(inputs, out, monkeypatch):
    seen = {}

    def takes_note(inputs, out, *, options, progress):
        seen.update(options=options)
        raise UsageError("far enough")

    monkeypatch.setattr(batch, "remove", takes_note)
    run("remove", inputs, "-o", out, "--keep", "d,i", "--threshold", "0.3", "--margin", "0.2", "--workers", "3", "--device", "cpu",
        "--overwrite", "--weights", "w.onnx")
    options = seen["options"]
    assert options.policy.keep == ("D", "I") and options.policy.threshold == 0.3 and options.policy.margin == 0.2
    assert (options.workers, options.device, options.overwrite, options.weights.name) == (3, "cpu", True, "w.onnx")


@pytest.mark.parametrize("args", [["--help"], ["remove", "--help"], ["--version"], ["synthesize", "--help"], ["train", "--help"], ["finetune", "--help"]], ids=" ".join)
def test_help_is_exit_0(args, capsys):
    assert run(*args) == 0 and capsys.readouterr().out


HEAVY = ("numpy", "torch", "cv2", "scipy", "skimage", "openvino", "onnxruntime", "tesserocr", "pytesseract", "pydicom", "PIL", "jpegio", "tifffile", "ultralytics", "jinja2", "filelock")


def test_help_and_import_load_nothing_heavy():
    code = f"import sys, markerremover.cli.main as c; c.main(['--help']); sys.exit(any(m in sys.modules for m in {HEAVY}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
    code = "import sys, markerremover; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_info_says_what_is_there_and_what_is_missing(capsys, tmp_path):
    assert run("info", "--weights", tmp_path / "no.onnx") == 0
    printed = capsys.readouterr().out
    assert f"markerremover: {markerremover.__version__}" in printed and "OCR engine:" in printed and "no.onnx" in printed


def test_synthesize_writes_images_and_labels(tmp_path, capsys):
    assert run("synthesize", tmp_path / "s", "--count", "2", "--seed", "4", "--formats", "png,dcm", "--split", "eval") == 0
    assert len(list((tmp_path / "s" / "images").iterdir())) == len(list((tmp_path / "s" / "annotations").iterdir())) == 2


def test_the_demo_cleans_a_dozen_and_says_where_the_page_is(tmp_path, capsys, monkeypatch):
    real = batch.open_cleaner
    monkeypatch.setattr(batch, "open_cleaner", lambda policy, **options: real(fakes.NO_KEEP.policy))
    assert run("demo", tmp_path / "demo") == 0
    printed = capsys.readouterr().out
    assert f"{demo.COUNT} inputs" in printed and str(tmp_path / "demo" / "out-audit" / "index.html") in printed
    suffixes = [path.suffix for path in (tmp_path / "demo" / "in" / "images").iterdir()]
    assert suffixes.count(".png") == suffixes.count(".dcm") == demo.COUNT // 2


def test_the_demo_refuses_a_folder_that_holds_something_else(tmp_path, capsys):
    fakes.put(tmp_path / "thesis.txt", b"x")
    assert run("demo", tmp_path) == 2 and "thesis.txt" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").exists()


def test_errors_of_the_package_are_one_line(monkeypatch, inputs, out, capsys):
    def fail(*args, **options):
        raise WeightsError("detector.onnx: SHA-256 differs")

    monkeypatch.setattr(batch, "remove", fail)
    assert run("remove", inputs, "-o", out) == 2
    assert capsys.readouterr().err == "markerremover: detector.onnx: SHA-256 differs\n"


def test_held_and_failed_files_are_told_with_reasons_and_the_exit_code_too(inputs, out, capsys):
    for number in range(11):
        fakes.put(inputs / f"note-{number:02d}.txt", b"hello")
    fakes.put(inputs / "cut.png", fakes.png(fakes.radiograph(1))[:60])
    assert run("remove", inputs, "-o", out, "--keep", "none", "--workers", "1") == 1
    lines = capsys.readouterr().out.splitlines()
    first = lines.index("12 files held or failed:")
    assert lines[first + 1].startswith("  failed: cut.png: ") and "cut.png: cut.png" not in lines[first + 1]
    assert lines[first + 2] == "  failed: note-00.txt: not a DICOM, PNG, JPEG or TIFF file"
    assert lines[first + 11 : first + 13] == ["  and 2 more (see manifest.jsonl)", '11 failed files are no radiographs: --ignore "*.txt" leaves out what is none']
    assert lines[-1] == "exit code 1: 12 files failed, and have no output"


def test_one_of_each_is_told_in_the_singular(inputs, out, capsys):
    fakes.put(inputs.parent / "one" / "a" / "0.png", fakes.png(fakes.radiograph(0))), fakes.put(inputs.parent / "one" / "README", b"hello")
    assert run("remove", inputs.parent / "one", "-o", out, "--keep", "none", "--ignore", "*.txt") == 1
    printed = capsys.readouterr().out
    assert printed.startswith("2 inputs, 1 cleaned, 0 unchanged, 0 held, 1 failed\n1 box removed, 0 laterality markers retained, 0 files ignored\n")
    assert "1 failed file is no radiograph: --ignore GLOB leaves out what is none\n" in printed and printed.endswith("exit code 1: 1 file failed, and has no output\n")


def test_what_all_is_well_says_nothing_of_the_exit_code(inputs, out, capsys):
    assert run("remove", inputs, "-o", out, "--keep", "none") == 0
    assert "exit code" not in (printed := capsys.readouterr().out) and "held or failed" not in printed


def test_a_pseudonym_is_told_without_the_name_behind_it(tmp_path, out, capsys):
    fakes.put(tmp_path / "named" / "SMITH_JOHN.png", fakes.png(fakes.radiograph(0))[:60]), fakes.put(tmp_path / "named" / "b.png", fakes.png(fakes.radiograph(0)))
    assert run("remove", tmp_path / "named", "-o", out, "--keep", "none", "--paths", "pseudonym") == 1
    printed = capsys.readouterr().out
    [renamed] = [name for name, row in rows(out).items() if row["status"] == "failed"]
    assert "SMITH" in rows(out)[renamed]["reason"] and f"  failed: {renamed}: " in printed and "SMITH" not in printed.replace(str(tmp_path), "")


def test_a_name_that_would_steer_the_terminal_is_escaped(inputs, out, capsys):
    fakes.put(inputs / "a\x1b[2Jb.txt", b"hello")
    assert run("remove", inputs, "-o", out, "--keep", "none") == 1
    printed = capsys.readouterr().out
    assert "\x1b" not in printed and "a\\x1b[2Jb.txt" in printed
