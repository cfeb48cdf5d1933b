"""The promises. Each test is one sentence that the README or the security page may quote."""

from __future__ import annotations

import errno
import logging
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import fakes
import numpy as np
import pytest

from markerremover.audit import crops, full_pictures, manifest_files
from markerremover.errors import HeldError, ReadError, WriteError
from markerremover.formats import images
from markerremover.records import Policy, Radiograph, Reading
from markerremover.redaction import cleaning, decision_rules, redact
from markerremover.run import batch, one_file

x1, y1, x2, y2 = fakes.NAME_BOX


def is_redacted(data: bytes) -> bool:
    image = fakes.cv2.imdecode(np.frombuffer(data, np.uint8), fakes.cv2.IMREAD_UNCHANGED)
    return image is not None and not (image >= fakes.WHITE).any()


def test_nothing_unredacted_exists_under_out_at_any_moment(clean, out, monkeypatch):
    seen, stop = [], threading.Event()

    def look():
        seen.extend(fakes.files(out).items())

    def watched(function):
        def call(*args, **options):
            look()
            try:
                return function(*args, **options)
            finally:
                look()

        return call

    for module, name in ((images, "write"), (images, "verify_written"), (redact, "redact"), (os, "replace"), (crops, "draw"), (full_pictures, "draw")):
        monkeypatch.setattr(module, name, watched(getattr(module, name)))
    watcher = threading.Thread(target=lambda: [look() for _ in iter(lambda: stop.wait(0.001), True)])
    watcher.start()
    try:
        summary, _ = clean()
    finally:
        stop.set()
        watcher.join()
    look()
    assert summary["counts"]["cleaned"] == 4 and seen
    assert all(is_redacted(data) for _, data in seen)


STAGES = [
    (images, "recognise"), (images, "read"), (decision_rules, "decide"), (decision_rules, "resolve"), (redact, "redact"),
    (redact, "removed_mask"), (crops, "draw"), (full_pictures, "draw"), (images, "write"), (images, "verify_written"), (one_file, "move_into"),
]
ERRORS = [RuntimeError("SMITH^JOHN"), MemoryError(), OSError(errno.ENOSPC, "No space left on device"), ReadError("unreadable"), RecursionError()]


@pytest.mark.parametrize("module, name", STAGES, ids=[f"{m.__name__.split('.')[-1]}.{n}" for m, n in STAGES])
@pytest.mark.parametrize("error", ERRORS, ids=[type(e).__name__ for e in ERRORS])
def test_a_failure_of_any_stage_means_no_output_and_a_row(clean, out, monkeypatch, module, name, error):
    calls, real = [], getattr(module, name)

    def fails_on_the_second_file(*args, **options):
        calls.append(1)
        if len(calls) >= 2:
            raise error
        return real(*args, **options)

    monkeypatch.setattr(module, name, fails_on_the_second_file)
    summary, rows = clean()
    bad = [row for row in rows.values() if row["status"] == "failed"]
    assert len(rows) == 4 and bad and all(row["reason"] for row in bad)
    assert summary["reconciles"] and summary["counts"]["failed"] == len(bad)
    assert set(fakes.files(out)) == {name for name, row in rows.items() if row["status"] == "cleaned"}
    assert all(is_redacted(data) for data in fakes.files(out).values())
    assert not any((out.parent / "out-audit" / "tmp").iterdir())


def test_an_unexpected_error_never_carries_its_message_into_manifest_or_log(clean, monkeypatch, caplog):
    def fail(path):
        raise RuntimeError("value of (0010,0010) is SMITH^JOHN")

    monkeypatch.setattr(images, "read", fail)
    with caplog.at_level(logging.DEBUG):
        summary, rows = clean()
    assert "SMITH" not in caplog.text and "SMITH" not in str(rows) + str(summary)
    assert all(re.fullmatch(r"unexpected RuntimeError at \S+\.py:\d+", row["reason"]) for row in rows.values())


def test_a_write_that_dies_halfway_leaves_nothing_under_out(clean, out, monkeypatch):
    def half(radiograph, new, target, **options):
        target.write_bytes(radiograph.path.read_bytes()[:50])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(images, "write", half)
    _, rows = clean()
    assert fakes.files(out) == {}
    assert {row["reason"] for row in rows.values()} == {"OSError: No space left on device"}


def test_an_output_that_reads_back_differently_is_not_released(clean, out, monkeypatch):
    real = images.write

    def writes_the_original(radiograph, new, target, **options):
        real(radiograph, radiograph.stored, target, **options)

    monkeypatch.setattr(images, "write", writes_the_original)
    _, rows = clean()
    assert fakes.files(out) == {} and {row["status"] for row in rows.values()} == {"failed"}


def test_a_redaction_that_does_nothing_holds_the_file(clean, out, monkeypatch):
    monkeypatch.setattr(redact, "redact", lambda stored, decisions, fill: stored.copy())
    _, rows = clean()
    assert fakes.files(out) == {}
    assert {(row["status"], row["reason"]) for row in rows.values()} == {("held", "removed areas are not all black")}


def test_a_redaction_that_touches_other_pixels_holds_the_file(clean, out, monkeypatch):
    monkeypatch.setattr(redact, "redact", lambda stored, decisions, fill: np.zeros_like(stored))
    _, rows = clean()
    assert fakes.files(out) == {}
    assert all(row["status"] == "held" and "outside the removed areas" in row["reason"] for row in rows.values())


def test_inputs_are_never_modified(clean, inputs):
    def state():
        return {name: (data, (inputs / name).stat().st_mtime_ns) for name, data in fakes.files(inputs).items()}

    before = state()
    clean()
    assert state() == before


def test_frame_count_is_preserved_and_every_frame_is_looked_at():
    stored = np.stack([fakes.radiograph(0, ()), fakes.radiograph(1), fakes.radiograph(2, ()), fakes.radiograph(3, ((70, 60, 90, 80),))])
    before = stored.copy()
    cleaned = cleaning.clean_radiograph(Radiograph(stored, stored, (0,), Path("x"), "PNG"), fakes.cleaner())
    assert cleaned.stored.shape == stored.shape and not (cleaned.stored >= fakes.WHITE).any()
    assert np.array_equal(stored, before)
    assert np.array_equal(cleaned.stored[0], stored[0]) and np.array_equal(cleaned.stored[2], stored[2])


def test_a_marking_missed_in_one_frame_goes_with_its_twin_in_another():
    text = np.kron(np.random.default_rng(5).integers(0, 2, (4, 10)), np.ones((4, 4))) * 200
    stored = np.stack([fakes.radiograph(i, ()) // 4 for i in range(3)])
    stored[:, y1:y2, x1:x2] = text

    def sees_the_first_frame_only(frame, threshold=None):
        return fakes.Detections(np.array([fakes.NAME_BOX], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64)) if (
            np.array_equal(frame, stored[0])) else fakes.find_nothing(frame)

    cleaned = cleaning.clean_radiograph(
        Radiograph(stored, stored, (0,), Path("x"), "PNG"), fakes.cleaner(detector=sees_the_first_frame_only))
    assert not cleaned.stored[:, y1:y2, x1:x2].any()


def test_nothing_is_skipped_silently(clean, inputs):
    fakes.put(inputs / "notes.txt", b"John Smith")
    fakes.put(inputs / "empty.png", b"")
    fakes.put(inputs / ".hidden", fakes.png(fakes.radiograph(9)))
    fakes.put(inputs / "no suffix", fakes.png(fakes.radiograph(10)))
    fakes.put(inputs / "cut.png", fakes.png(fakes.radiograph(11))[:200])
    (inputs / "link.png").symlink_to(inputs / "a" / "0.png")
    (inputs / "gone.png").symlink_to(inputs / "nowhere")
    (inputs / "folder-link").symlink_to(inputs / "a")
    os.mkfifo(inputs / "pipe.dcm")
    summary, rows = clean()
    failed = {name for name, row in rows.items() if row["status"] == "failed"}
    assert failed == {"notes.txt", "empty.png", "cut.png", "link.png", "gone.png", "folder-link", "pipe.dcm"}
    assert rows[".hidden"]["status"] == rows["no suffix"]["status"] == "cleaned"
    assert summary["counts"]["inputs"] == 13 and summary["reconciles"]


def test_an_unlisted_folder_is_a_failed_row(clean, inputs, monkeypatch):
    real = os.scandir

    def denied(path):
        if str(path).endswith("/b"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", denied)
    _, rows = clean()
    assert rows["b"]["status"] == "failed" and "cannot be listed" in rows["b"]["reason"]


def test_inputs_equal_cleaned_plus_unchanged_plus_held_plus_failed(clean, inputs):
    fakes.put(inputs / "clean.png", fakes.png(fakes.radiograph(20, ())))
    fakes.put(inputs / "bad.dcm", b"DICM but no")
    fakes.put(inputs / "Thumbs.db", b"x")
    summary, rows = clean()
    counts = summary["counts"]
    assert counts == {"inputs": 6, "cleaned": 4, "unchanged": 1, "held": 0, "failed": 1} and len(rows) == 6
    assert summary["ignored"] == ["Thumbs.db"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16], ids=["8 bit", "16 bit"])
def test_pixels_outside_removed_areas_are_bit_identical(clean, inputs, out, dtype):
    source = fakes.radiograph(30, dtype=dtype)
    fakes.put(inputs / "x.png", fakes.png(source))
    _, rows = clean()
    result, mask = fakes.read(out / "x.png"), np.zeros(source.shape, bool)
    for box in rows["x.png"]["boxes"]:
        left, top, right, bottom = box["xyxy"]
        mask[top:bottom, left:right] = True
    assert result.dtype == dtype and np.array_equal(result[~mask], source[~mask])
    assert not result[mask].any() and mask[y1:y2, x1:x2].all()


@pytest.mark.parametrize("encode", [fakes.png, fakes.jpeg], ids=["PNG", "JPEG"])
def test_a_file_with_nothing_to_remove_keeps_its_pixels_exactly(clean, inputs, out, encode):
    fakes.put(inputs / "plain", encode(fakes.radiograph(31, ())))
    _, rows = clean()
    assert rows["plain"]["status"] == "unchanged"
    assert np.array_equal(fakes.read(out / "plain"), fakes.read(inputs / "plain"))


def test_no_state_crosses_files(inputs, out, tmp_path):
    batch.remove([inputs], out, options=fakes.NO_KEEP, open_cleaner=fakes.cleaner)
    for name, data in fakes.files(inputs).items():
        alone = fakes.put(tmp_path / "alone" / name.replace("/", "-") / "x.png", data).parent
        target = tmp_path / "alone-out" / name.replace("/", "-")
        batch.remove([alone], target, options=fakes.NO_KEEP, open_cleaner=fakes.cleaner)
        assert fakes.files(target)["x.png"] == fakes.files(out)[name]


def test_the_same_dicom_gives_the_same_bytes_every_time(clean, inputs, out, tmp_path):
    from markerremover.synthesis import synthesize

    synthesize(tmp_path / "s", 2, 3, split="eval", formats=("dcm",), size=(200, 160))
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text("0f" * 32)
    for target in ("one", "two"):
        options = replace(fakes.NO_KEEP, key=key)
        batch.remove([tmp_path / "s" / "images"], tmp_path / target, options=options, open_cleaner=box_in_the_middle)
    assert fakes.files(tmp_path / "one") == fakes.files(tmp_path / "two") != {}


def box_in_the_middle(threads):
    """Finds one box in whatever still shows something there."""

    def find(frame, threshold=None):
        middle = np.array([[40, 40, 90, 70]] if frame[40:70, 40:90].any() else [], np.float32).reshape(-1, 4)
        return fakes.Detections(middle, np.ones(len(middle), np.float32), np.zeros(len(middle), np.int64))

    return fakes.cleaner(detector=find)


def test_the_same_base_name_in_two_folders_keeps_both(clean, out):
    clean()
    assert set(fakes.files(out)) == {"a/0.png", "a/1.png", "b/0.png", "b/1.png"}


def test_two_inputs_with_one_output_path_both_fail(inputs, tmp_path, clean, out):
    twin = fakes.tree(tmp_path / "elsewhere" / "in", 1)
    summary, _ = clean(sources=[inputs, twin])
    assert summary["counts"] == {"inputs": 5, "cleaned": 3, "unchanged": 0, "held": 0, "failed": 2}
    assert "in/b/0.png" not in fakes.files(out)


@pytest.fixture
def twins(inputs):
    """Two more marked inputs whose names differ in case only."""
    for seed, name in enumerate(("A.png", "a.png")):
        fakes.put(inputs / "case" / name, fakes.png(fakes.radiograph(80 + seed)))
    if len(fakes.files(inputs / "case")) == 1:
        pytest.skip("this file system does not tell the names apart")


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}, {"workers": 2}], ids=str)
def test_names_that_differ_in_case_only_both_fail_where_the_file_system_takes_them_for_one(clean, twins, out, monkeypatch, options):
    monkeypatch.setattr(batch, "folds_names", lambda folder: True)
    summary, rows = clean(replace(fakes.NO_KEEP, **options))
    assert summary["counts"] == {"inputs": 6, "cleaned": 4, "unchanged": 0, "held": 0, "failed": 2}
    assert all("same output path" in rows[f"case/{name}.png"]["reason"] for name in "Aa") and len(fakes.files(out)) == 4


def test_names_that_differ_in_case_only_both_come_out_where_the_file_system_tells_them_apart(clean, twins, out):
    summary, _ = clean()
    assert summary["counts"]["cleaned"] == 6 and len(fakes.files(out)) == 6


def test_what_one_row_released_no_other_row_takes_away(clean, twins, out, monkeypatch):
    real = one_file.move_into

    def one_file_under_both_names(temporary, relative, out, *, replace):
        if relative == "case/a.png":
            raise WriteError("a file of the same name stands in the output folder")
        real(temporary, relative, out, replace=replace)
        if relative == "case/A.png":
            os.link(out / relative, out / "case" / "a.png")  # what a file system that folds names would show

    monkeypatch.setattr(one_file, "move_into", one_file_under_both_names)
    _, rows = clean()
    assert (rows["case/A.png"]["status"], rows["case/a.png"]["status"]) == ("cleaned", "failed")
    assert (out / "case" / "a.png").samefile(out / "case" / "A.png")


def test_an_earlier_output_beside_a_twin_that_is_another_file_is_taken_away(clean, twins, inputs, out):
    clean()
    fakes.put(inputs / "case" / "a.png", b"no image any more")
    _, rows = clean(replace(fakes.NO_KEEP, overwrite=True))
    assert rows["case/a.png"]["status"] == "failed" and set(fakes.files(out / "case")) == {"A.png"}


def test_what_still_shows_after_two_rounds_of_removal_is_held(clean, out):
    summary, rows = clean(open_cleaner=lambda threads: fakes.cleaner(detector=fakes.restless()))
    assert summary["counts"]["held"] == 4 and fakes.files(out) == {}
    assert all("remain after 2 rounds" in row["reason"] and row["boxes"] for row in rows.values())


def test_what_only_shows_after_a_removal_is_removed_too(clean, out):
    def hides_the_second_until_the_first_is_gone(frame, threshold=None):
        found = fakes.find_white(frame)
        return fakes.Detections(found.xyxy[:1], found.scores[:1], found.class_ids[:1])

    inputs = out.parent / "in"
    fakes.put(inputs / "two.png", fakes.png(fakes.radiograph(40, (fakes.NAME_BOX, (70, 60, 100, 80)))))
    _, rows = clean(open_cleaner=lambda threads: fakes.cleaner(detector=hides_the_second_until_the_first_is_gone))
    assert rows["two.png"]["status"] == "cleaned" and is_redacted((out / "two.png").read_bytes())
    assert [box["label"] for box in rows["two.png"]["boxes"]] == ["marker", "verify"]


def test_a_doubtful_reading_removes(clean, out, monkeypatch):
    def doubtful(frame, xyxy, keep, reader, others, is_laterality, network):
        left, top, right, bottom = (int(v) for v in xyxy)
        return Reading((left, top, right, bottom), "L", 0.99, np.ones((bottom - top, right - left), bool), doubt="part of a longer text"), True

    monkeypatch.setattr("markerremover.second_pass.reader._once", doubtful)
    _, rows = clean(open_cleaner=lambda threads: cleaning.Cleaner(fakes.find_white, fakes.SilentReader(), Policy()))
    assert all(is_redacted(data) for data in fakes.files(out).values()) and len(rows) == 4
    assert {box["action"] for row in rows.values() for box in row["boxes"]} == {"remove"}


def test_a_confident_isolated_sign_stays(clean, inputs, out, monkeypatch):
    def sure(frame, xyxy, keep, reader, others, is_laterality, network):
        left, top, right, bottom = (int(v) for v in xyxy)
        return Reading((left, top, right, bottom), "L", 0.99, np.ones((bottom - top, right - left), bool)), True

    monkeypatch.setattr("markerremover.second_pass.reader._once", sure)
    _, rows = clean(open_cleaner=lambda threads: cleaning.Cleaner(fakes.find_white, fakes.SilentReader(), Policy()))
    assert {box["action"] for row in rows.values() for box in row["boxes"]} == {"keep"}
    assert (fakes.read(out / "a" / "0.png")[y1:y2, x1:x2] == 255).all()


def test_a_held_or_failed_file_takes_its_earlier_output_away(clean, out, monkeypatch):
    clean()

    def refuses(path):
        raise HeldError("cannot be cleaned safely")

    monkeypatch.setattr(images, "read", refuses)
    summary, _ = clean(replace(fakes.NO_KEEP, overwrite=True))
    assert summary["counts"]["held"] == 4 and fakes.files(out) == {}


def test_leftovers_of_earlier_runs_in_out_are_named(clean, inputs, out):
    first, _ = clean()
    (inputs / "a" / "0.png").unlink()
    fakes.put(out / "sub" / "stranger.png", b"x")
    second, _ = clean(replace(fakes.NO_KEEP, overwrite=True))
    assert first["unaccounted"] == [] and second["unaccounted"] == ["a/0.png", "sub/stranger.png"]


def test_a_link_below_out_cannot_lead_a_write_into_the_inputs(clean, inputs, out):
    before = fakes.files(inputs)
    out.mkdir()
    (out / "a").symlink_to(inputs / "a")
    _, rows = clean(replace(fakes.NO_KEEP, overwrite=True))
    assert fakes.files(inputs) == before and rows["a/0.png"]["status"] == "failed"


def test_nothing_in_the_audit_is_readable_by_others(clean, out):
    summary, _ = clean()
    audit = Path(summary["audit"])
    modes = {path.relative_to(audit).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in [audit, *audit.rglob("*")]}
    assert {mode for name, mode in modes.items() if mode & 0o077} == set() and len(modes) > 10
    assert stat.S_IMODE((out / "a" / "0.png").stat().st_mode) & 0o044


def test_the_audit_page_loads_nothing_from_elsewhere_and_shows_names_as_text(clean, inputs):
    fakes.put(inputs / "<img src=x onerror=alert(1)>.png", fakes.png(fakes.radiograph(50)))
    summary, _ = clean()
    page = (Path(summary["audit"]) / manifest_files.PAGE).read_text(encoding="utf-8")
    assert not re.search(r"https?:|\bsrc=[\"']|href|@import|url\(|fetch\(|XMLHttp", page)
    assert "<img src=x" not in page and "\\u003cimg src=x" in page
    assert "default-src 'none'" in page


def test_read_text_and_file_names_are_never_logged(clean, monkeypatch, caplog, capsys):
    def reads_a_name(frame, xyxy, keep, reader, others, is_laterality, network):
        return Reading(tuple(int(v) for v in xyxy), "SMITH", 0.9), True

    monkeypatch.setattr("markerremover.second_pass.reader._once", reads_a_name)
    with caplog.at_level(logging.DEBUG):
        summary, rows = clean(open_cleaner=lambda threads: cleaning.Cleaner(fakes.find_white, fakes.SilentReader(), Policy()))
    printed = capsys.readouterr()
    assert any(box["text"] == "SMITH" for row in rows.values() for box in row["boxes"])  # it was read
    assert "SMITH" not in caplog.text + printed.out + printed.err + str(summary)
    assert not any("SMITH" in row["reason"] or any("SMITH" in box["reason"] for box in row["boxes"]) for row in rows.values())


def test_a_dying_worker_costs_only_the_file_that_killed_it(clean, inputs, out):
    poison = fakes.radiograph(60)
    poison[0, 0] = 7
    fakes.put(inputs / "a" / "deadly.png", fakes.png(poison))
    summary, rows = clean(replace(fakes.NO_KEEP, workers=2), open_cleaner=fakes.deadly_cleaner)
    assert rows["a/deadly.png"]["status"] == "failed" and "died" in rows["a/deadly.png"]["reason"]
    assert summary["counts"] == {"inputs": 5, "cleaned": 4, "unchanged": 0, "held": 0, "failed": 1}
    assert "a/deadly.png" not in fakes.files(out)


def test_several_workers_give_the_same_bytes_as_one(clean, inputs, out, tmp_path):
    clean(replace(fakes.NO_KEEP, workers=2))
    batch.remove([inputs], tmp_path / "serial", options=fakes.NO_KEEP, open_cleaner=fakes.cleaner)
    assert fakes.files(out) == fakes.files(tmp_path / "serial")


KILLED_RUN = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import fakes
from markerremover.run import batch, one_file
real, calls = getattr(one_file, {stage!r}), []
def kills(*args, **options):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*args, **options)
setattr(one_file, {stage!r}, kills)
batch.remove([{inputs!r}], {out!r}, options=fakes.NO_KEEP, open_cleaner=fakes.cleaner)
"""


@pytest.mark.parametrize("stage", ["clean_radiograph", "move_into", "sync"])
def test_after_kill_9_resume_finishes_with_the_bytes_of_an_uninterrupted_run(clean, inputs, out, tmp_path, stage):
    script = KILLED_RUN.format(tests=str(Path(__file__).parents[1]), stage=stage, inputs=str(inputs), out=str(out))
    died = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert all(is_redacted(data) for data in fakes.files(out).values())
    summary, rows = clean(replace(fakes.NO_KEEP, resume=True))
    batch.remove([inputs], tmp_path / "whole", options=fakes.NO_KEEP, open_cleaner=fakes.cleaner)
    assert fakes.files(out) == fakes.files(tmp_path / "whole") and summary["counts"]["cleaned"] == len(rows) == 4


def test_resuming_a_finished_run_does_nothing(clean, out, monkeypatch):
    first, rows = clean()
    monkeypatch.setattr(images, "read", lambda path: pytest.fail("read again"))
    again, rows_again = clean(replace(fakes.NO_KEEP, resume=True))
    assert rows_again == rows and again["counts"] == first["counts"] and again["resumed"] == 4


@pytest.mark.parametrize("tamper", ["output", "input", "options"])
def test_resume_does_again_what_no_longer_matches_its_row(clean, inputs, out, tamper):
    clean()
    options = replace(fakes.NO_KEEP, resume=True)
    if tamper == "output":
        (out / "a" / "0.png").write_bytes((inputs / "a" / "0.png").read_bytes())
    elif tamper == "input":
        fakes.put(inputs / "a" / "0.png", fakes.png(fakes.radiograph(70, ((50, 50, 80, 70),))))
    else:
        options = replace(options, policy=Policy(keep=(), margin=0.5))
    summary, rows = clean(options)
    assert summary["resumed"] == (0 if tamper == "options" else 3) and len(rows) == 4
    assert all(is_redacted(data) for data in fakes.files(out).values())


def test_a_dry_run_writes_no_image(clean, out):
    summary, rows = clean(replace(fakes.NO_KEEP, dry_run=True))
    assert not out.exists() and summary["counts"]["cleaned"] == 4
    assert all(row["sha256_out"] == "" and row["boxes"] for row in rows.values())


def test_a_vanished_input_is_a_failed_row(clean, inputs, out):
    def deletes_the_last(threads):
        (inputs / "b" / "1.png").unlink()
        return fakes.cleaner()

    _, rows = clean(open_cleaner=deletes_the_last)
    assert rows["b/1.png"]["status"] == "failed" and rows["b/1.png"]["reason"].startswith("FileNotFoundError")
    assert len(fakes.files(out)) == 3


def test_a_write_error_names_no_content(clean, monkeypatch):
    def fail(*args, **options):
        raise WriteError("the output did not read back as written")

    monkeypatch.setattr(images, "verify_written", fail)
    _, rows = clean()
    assert {row["reason"] for row in rows.values()} == {"the output did not read back as written"}
