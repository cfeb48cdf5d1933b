"""`apply`: what people said takes effect on the fail-closed path, and nothing else does."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import fakes
import numpy as np
import pydicom
import pytest
import reviewing
from reviewing import ACCEPT, MISSED, RELEASE, UNDO, draw, keep, redo, rows, run, say
from test_header_run import dicom_file

from markerremover.audit import manifest_files
from markerremover.cli import main
from markerremover.errors import UsageError, WriteError
from markerremover.formats import images
from markerremover.labels import labelled_folder, labelme
from markerremover.options import RunOptions
from markerremover.records import Detections, Policy
from markerremover.redaction import corrections
from markerremover.redaction.cleaning import Cleaner
from markerremover.review.session import Session
from markerremover.run import batch
from markerremover.second_pass import tesseract
from markerremover.system.files import sha256_file

X1, Y1, X2, Y2 = MISSED


def open_restless(threads: int = 1, looks: int = 0) -> Cleaner:
    """Finds something in another place each time, for longer than anybody removes it."""
    places = iter([(x, y) for y in (2, 40, 70) for x in range(4, 110, 16)][looks:])

    def find(frame, threshold=None):
        x, y = next(places)
        return Detections(np.array([[x, y, x + 8, y + 12]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64))

    return Cleaner(find, None, reviewing.NOTHING)


def test_a_drawn_box_is_removed_and_everything_else_keeps_its_bytes(tmp_path):
    audit = run(tmp_path)
    before, inputs = fakes.files(tmp_path / "out"), fakes.files(tmp_path / "in")
    say(audit, ("a/1.png", draw()), ("a/1.png", ACCEPT))
    done = redo(audit)
    assert (done["redone"], done["withdrawn"], done["left"]) == (1, [], [])
    after = fakes.files(tmp_path / "out")
    assert {name for name in after if after[name] != before[name]} == {"a/1.png"} and fakes.files(tmp_path / "in") == inputs
    old, new = fakes.read(tmp_path / "in" / "a" / "1.png").copy(), fakes.read(tmp_path / "out" / "a" / "1.png")
    first = rows(audit)["a/1.png"]["boxes"][0]["xyxy"]
    for x1, y1, x2, y2 in (MISSED, first):
        old[y1:y2, x1:x2] = 0
    assert np.array_equal(new, old)


def test_the_manifest_records_who_decided_what_and_summary_and_page_follow(tmp_path):
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()), ("a/1.png", ACCEPT), ("b/0.png", ACCEPT))
    redo(audit)
    found = rows(audit)
    review = found["a/1.png"]["review"]
    assert (review["who"], review["verdict"]) == ("Dr. R", "accept") and review["when"] and review["marks"][0]["xyxy"] == list(MISSED)
    assert {(b["action"], b["reason"], b["label"]) for b in found["a/1.png"]["boxes"]} >= {("remove", corrections.DRAWN, corrections.LABEL)}
    assert found["a/1.png"]["sha256_out"] == sha256_file(tmp_path / "out" / "a" / "1.png")
    assert found["b/0.png"]["review"]["verdict"] == "accept" and not found["b/2.png"].get("review")
    assert reviewing.summary(audit)["reviewed"] == 2 and reviewing.summary(audit)["corrected"] == 1
    assert reviewing.summary(audit)["boxes"]["removed"] == 5 and "Dr. R" in reviewing.page(audit)
    assert redo(audit)["redone"] == 0, "done once"


def test_a_box_turned_to_keep_is_kept_once_the_file_is_accepted(tmp_path):
    audit = run(tmp_path)
    turned = keep(audit, "b/0.png")
    say(audit, ("b/0.png", turned))
    assert redo(audit)["redone"] == 0
    say(audit, ("b/0.png", ACCEPT))
    assert redo(audit)["redone"] == 1
    assert np.array_equal(fakes.read(tmp_path / "out" / "b" / "0.png"), fakes.read(tmp_path / "in" / "b" / "0.png"))
    (box,) = rows(audit)["b/0.png"]["boxes"]
    assert (box["action"], box["reason"]) == ("keep", corrections.KEPT)
    say(audit, ("b/0.png", UNDO), ("b/0.png", UNDO))
    assert redo(audit)["redone"] == 1, "and gone again when that is taken back"
    assert not fakes.read(tmp_path / "out" / "b" / "0.png")[16:28, 22:58].any()


def test_what_a_person_drew_goes_before_the_file_is_accepted(tmp_path):
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()))
    assert redo(audit)["redone"] == 1 and not fakes.read(tmp_path / "out" / "a" / "1.png")[Y1:Y2, X1:X2].any()


def test_a_residual_finding_beside_a_correction_still_holds(tmp_path):
    audit = run(tmp_path)
    say(audit, ("b/0.png", keep(audit, "b/0.png")), ("b/0.png", ACCEPT))
    before = fakes.files(tmp_path / "out")

    def restless_about_the_rest(threads=1):
        again, looks = fakes.restless(), []

        def find(frame, threshold=None):
            looks.append(1)
            return fakes.find_white(frame) if len(looks) == 1 else again(frame)

        return Cleaner(find, None, reviewing.NOTHING)

    done = redo(audit, restless_about_the_rest)
    assert done["redone"] == 0 and done["left"][0][0] == "b/0.png" and "remain after" in done["left"][0][1]
    assert fakes.files(tmp_path / "out") == before, "the more redacted result stays"


def test_a_write_that_fails_takes_a_result_away_in_which_a_marking_was_seen_and_no_other(tmp_path, monkeypatch):
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()), ("a/1.png", ACCEPT), ("b/0.png", keep(audit, "b/0.png")), ("b/0.png", ACCEPT))
    before = fakes.files(tmp_path / "out")

    def fails(*_, **__):
        raise WriteError("does not read back")

    with monkeypatch.context() as patch:
        patch.setattr(images, "verify_written", fails)
        done = redo(audit)
    assert done["withdrawn"] == ["a/1.png"] and [name for name, _ in done["left"]] == ["b/0.png"]
    assert fakes.files(tmp_path / "out") == {name: data for name, data in before.items() if name != "a/1.png"}
    row = rows(audit)["a/1.png"]
    assert row["status"] == "held" and "a person found an annotation" in row["reason"] and row["sha256_out"] == ""
    assert not list((audit / "tmp").iterdir())
    assert redo(audit)["redone"] == 2 and rows(audit)["a/1.png"]["status"] == "cleaned"


@pytest.mark.parametrize("change", ["gone", "another"])
def test_an_original_that_is_not_the_one_looked_at_is_never_used(tmp_path, change):
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()), ("a/1.png", ACCEPT))
    source = tmp_path / "in" / "a" / "1.png"
    source.unlink() if change == "gone" else source.write_bytes(fakes.png(reviewing.picture(77)))
    done = redo(audit)
    assert done["withdrawn"] == ["a/1.png"] and not (tmp_path / "out" / "a" / "1.png").exists()


def test_a_held_file_is_released_only_by_a_person_and_only_redacted(tmp_path):
    audit = run(tmp_path, count=1, missed=(), open_cleaner=open_restless)
    assert rows(audit)["b/0.png"]["status"] == "held" and not fakes.files(tmp_path / "out")
    say(audit, ("b/0.png", ACCEPT))
    assert redo(audit, open_restless)["redone"] == 0 and not fakes.files(tmp_path / "out"), "looked at, and it stays held"
    say(audit, ("b/0.png", RELEASE))
    assert redo(audit, partial(open_restless, looks=9))["redone"] == 1
    row = rows(audit)["b/0.png"]
    assert row["status"] == "cleaned" and "remain after" in row["released_held"] and row["review"]["verdict"] == "release"
    new = fakes.read(tmp_path / "out" / "b" / "0.png")
    assert all(not new[y1:y2, x1:x2].any() for x1, y1, x2,
        y2 in (b["xyxy"] for b in row["boxes"])) and reviewing.summary(audit)["released_held"] == 1


def test_what_cannot_be_cleaned_safely_is_not_released_by_anybody(tmp_path):
    frames = [fakes.radiograph(0), fakes.radiograph(1)]
    from PIL import Image

    (tmp_path / "in" / "b").mkdir(parents=True)
    first, second = map(Image.fromarray, frames)
    first.save(tmp_path / "in" / "b" / "9.png", save_all=True, append_images=[second])  # animated: the second picture is not looked at
    audit = run(tmp_path, count=1, missed=())
    assert rows(audit)["b/9.png"]["status"] == "held"
    say(audit, ("b/9.png", RELEASE))
    done = redo(audit)
    assert done["redone"] == 0 and rows(audit)["b/9.png"]["status"] == "held" and not (tmp_path / "out" / "b" / "9.png").exists()


def test_pseudonymous_paths_are_followed(tmp_path):
    audit = run(tmp_path, paths="pseudonym")
    (mapped,) = [row for row in rows(audit).values() if row["sha256_in"] == sha256_file(tmp_path / "in" / "a" / "1.png")]
    assert "a/1" not in mapped["relative"]
    say(audit, (mapped["relative"], draw()), (mapped["relative"], ACCEPT))
    assert redo(audit)["redone"] == 1
    assert not fakes.read(tmp_path / "out" / mapped["relative"])[Y1:Y2, X1:X2].any() and len(fakes.files(tmp_path / "out")) == 4


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_a_later_run_keeps_to_what_people_said(tmp_path, how):
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()), ("a/1.png", keep(audit, "a/1.png")), ("a/1.png", ACCEPT))
    options = RunOptions(policy=reviewing.NOTHING, **{how: True})
    summary = batch.remove([tmp_path / "in"], tmp_path / "out", options=options, open_cleaner=fakes.cleaner)
    assert not fakes.read(tmp_path / "out" / "a" / "1.png")[Y1:Y2, X1:X2].any() and summary["resumed"] == (3 if how == "resume" else 0)
    assert rows(audit)["a/1.png"]["review"]["who"] == "Dr. R" and redo(audit)["redone"] == 0
    session = Session(audit, "R")
    file = session.file(session.order.index("a/1.png"))
    session.close()
    assert [(b["action"], b["now"]) for b in file["boxes"]] == [("remove", "keep")] and len(file["drawn"]) == 1, "and it can be turned back"
    again = batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=reviewing.NOTHING, resume=True),
        open_cleaner=fakes.cleaner)
    assert again["resumed"] == 4


def test_other_weights_than_those_of_the_run_are_refused(tmp_path):
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()))

    class Other:
        sha256 = "ff"

        def __call__(self, frame, threshold=None):
            return fakes.find_white(frame)

    with pytest.raises(UsageError, match="weights"):
        redo(audit, lambda threads: Cleaner(Other(), None, reviewing.NOTHING))


def test_a_link_in_the_place_of_a_result_leads_nowhere(tmp_path):
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()))
    elsewhere = tmp_path / "elsewhere"
    shutil.move(tmp_path / "out" / "a", elsewhere)
    (tmp_path / "out" / "a").symlink_to(elsewhere)
    before = fakes.files(elsewhere)
    assert redo(audit)["redone"] == 0 and fakes.files(elsewhere) == before


@pytest.mark.skipif(tesseract.available() is None, reason="no Tesseract")
def test_a_box_that_holds_the_patients_name_cannot_be_kept(tmp_path):
    image = fakes.written(np.random.default_rng(5).normal(70, 4, (240, 420)).clip(0, 255).astype(np.uint8), "THOMPSON", (150, 90), 26)
    dicom_file(tmp_path / "in" / "1.dcm", Rows=240, Columns=420, PixelData=image.tobytes(), PatientName="THOMPSON^CLARA")

    def open_named(threads=1):
        def find(frame, threshold=None):
            hit = frame[90:124, 150:300].max() > 180
            return Detections(np.array([[150, 90, 310, 124]], np.float32)[: int(hit)], np.ones(int(hit), np.float32),
                np.zeros(int(hit), np.int64))

        return Cleaner(find, tesseract.open_reader(), reviewing.NOTHING)

    summary = batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=reviewing.NOTHING), open_cleaner=open_named)
    audit, name = tmp_path / "out-audit", "1.dcm"
    assert summary["counts"]["cleaned"] == 1
    before = fakes.files(tmp_path / "out")
    say(audit, (name, keep(audit, name)), (name, ACCEPT))
    done = redo(audit, open_named)
    assert done["redone"] == 0 and "header" in done["left"][0][1] and fakes.files(tmp_path / "out") == before


@pytest.mark.skipif(tesseract.available() is None, reason="no Tesseract")
def test_a_box_beside_the_patients_removed_name_can_be_kept(tmp_path):
    image = np.random.default_rng(5).normal(70, 4, (240, 420)).clip(0, 255).astype(np.uint8)
    image = fakes.written(image, "THOMPSON", (150, 90), 26, grey=255)
    image[94:114, 330:350] = 255
    dicom_file(tmp_path / "in" / "1.dcm", Rows=240, Columns=420, PixelData=image.tobytes(), PatientName="THOMPSON^CLARA")

    def open_white(threads=1):
        return Cleaner(fakes.find_white, tesseract.open_reader(), reviewing.NOTHING)

    batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=reviewing.NOTHING), open_cleaner=open_white)
    audit, name = tmp_path / "out-audit", "1.dcm"
    index = [i for i, box in enumerate(rows(audit)[name]["boxes"]) if box["xyxy"][0] > 320][0]
    say(audit, (name, keep(audit, name, index)), (name, ACCEPT))
    assert redo(audit, open_white)["redone"] == 1
    new = pydicom.dcmread(tmp_path / "out" / "1.dcm").pixel_array
    assert (new[96:112, 332:348] == 255).all() and not (new[90:124, 150:300] > 240).any()


def test_a_corrected_dicom_file_keeps_its_pseudonyms_and_claims(tmp_path):
    dicom_file(tmp_path / "in" / "1.dcm")
    batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=reviewing.NOTHING), open_cleaner=fakes.cleaner)
    audit, first = tmp_path / "out-audit", pydicom.dcmread(tmp_path / "out" / "1.dcm")
    say(audit, ("1.dcm", draw()), ("1.dcm", ACCEPT))
    assert redo(audit)["redone"] == 1
    second = pydicom.dcmread(tmp_path / "out" / "1.dcm")
    assert (second.PatientID, second.StudyInstanceUID, second.BurnedInAnnotation) == (first.PatientID, first.StudyInstanceUID, "NO")
    assert not second.pixel_array[Y1:Y2, X1:X2].any() and first.pixel_array[Y1:Y2, X1:X2].any()


def test_corrections_are_labelme_files_that_finetune_reads(tmp_path):
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()), ("a/1.png", ACCEPT), ("b/0.png", keep(audit, "b/0.png")), ("b/0.png", ACCEPT), ("b/2.png", ACCEPT))
    folder = audit / "review" / "labels"
    assert redo(audit)["labels"] == 2
    samples = {s.path.name.split("-")[0]: s for s in labelled_folder.load_samples(folder, None)}
    assert set(samples) == {"a_1", "b_0"} and samples["a_1"].patient == "a" and samples["a_1"].annotation.reviewed
    assert [(e.kind, e.xyxy) for e in samples["a_1"].annotation.elements] == [("marker", tuple(map(float, MISSED))),
        ("marker", fakes.NAME_BOX)]
    assert samples["b_0"].annotation.elements == (), "a person said that nothing is burned in there"
    assert np.array_equal(labelled_folder.read_grey(samples["a_1"].path), fakes.read(tmp_path / "in" / "a" / "1.png"))
    assert redo(audit, every_label=True)["labels"] == 3
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.rglob("*") if path.is_file())
    say(audit, ("b/0.png", UNDO), ("b/0.png", UNDO), ("a/1.png", UNDO))
    assert redo(audit)["labels"] == 0, "nobody stands for them any more"


def test_proposals_that_nobody_reviewed_are_no_labels(tmp_path):
    from markerremover.records import Annotation, Element

    labelme.write(tmp_path / "x.json", Annotation("x.png", (9, 9), (Element((1, 1, 3, 3), "marker"),), False),
        origin={"sha256": "x", "frame": 0})
    with pytest.raises(Exception, match="nobody has reviewed"):
        labelme.read(tmp_path / "x.json")


def test_the_command_line_says_what_it_did(tmp_path, fake_weights, capsys):
    for i in range(2):
        fakes.put(tmp_path / "in" / f"{i}.png", fakes.png(reviewing.picture(i, i == 1)))
    assert main.main(["remove", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--keep", "none"]) == 0
    audit = tmp_path / "out-audit"
    say(audit, ("1.png", draw()), ("1.png", ACCEPT))
    assert main.main(["apply", str(audit)]) == 0
    assert "1 file redone, 0 results removed, 0 left as they were" in capsys.readouterr().out
    assert main.main(["apply", str(tmp_path / "in")]) == 2


def test_what_dies_between_result_and_manifest_is_made_good_by_the_next_call(tmp_path, monkeypatch):
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()), ("a/1.png", ACCEPT))

    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(manifest_files, "write_rows", dies)
        redo(audit)
    assert not rows(audit)["a/1.png"].get("review") and not fakes.read(tmp_path / "out" / "a" / "1.png")[Y1:Y2, X1:X2].any()
    assert redo(audit)["redone"] == 1 and redo(audit)["redone"] == 0
    assert rows(audit)["a/1.png"]["sha256_out"] == sha256_file(tmp_path / "out" / "a" / "1.png")


def test_two_at_once_are_refused(tmp_path):
    from markerremover.review.apply import _exclusive

    audit = run(tmp_path, count=1)
    with _exclusive(audit), pytest.raises(UsageError, match="another `apply`"):
        redo(audit)


def test_several_workers_do_the_same(tmp_path):
    audit = run(tmp_path, workers=2)
    say(audit, ("a/1.png", draw()), ("a/1.png", ACCEPT))
    assert redo(audit, partial(fakes.cleaner))["redone"] == 1 and not fakes.read(tmp_path / "out" / "a" / "1.png")[Y1:Y2, X1:X2].any()


def test_a_reviewed_run_is_not_gone_on_with_in_parts_or_on_ray(tmp_path):
    """Those do not heed what people said; that must not be lost without a word."""
    audit = reviewing.run(tmp_path)
    reviewing.say(audit, ("a/1.png", reviewing.draw()))
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    for options in ({"shard": (1, 2)}, {"engine": "ray"}):
        with pytest.raises(UsageError, match="reviewed"):
            batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=reviewing.NOTHING, resume=True, **options),
                         open_cleaner=fakes.cleaner)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_the_audit_of_a_part_cannot_be_applied(tmp_path):
    audit = reviewing.run(tmp_path, shard=(1, 1))
    with pytest.raises(UsageError, match="part of a run"):
        reviewing.apply(audit, open_cleaner=fakes.cleaner)


@pytest.mark.parametrize("style", ["mask", "fill"])
def test_what_people_correct_goes_black_whatever_the_style(tmp_path, style):
    for i in range(2):
        fakes.put(tmp_path / "in" / f"{i}.png", fakes.png(reviewing.picture(i, i == 1)))
    options = RunOptions(policy=Policy(keep=(), style=style))

    def open_quiet(threads):
        return Cleaner(fakes.find_white, fakes.SilentReader(), options.policy)

    summary = batch.remove([tmp_path / "in"], tmp_path / "out", options=options, open_cleaner=open_quiet)
    reviewing.say(Path(summary["audit"]), ("1.png", reviewing.draw()))
    reviewing.apply(Path(summary["audit"]), open_cleaner=open_quiet)
    x1, y1, x2, y2 = reviewing.MISSED
    assert (images.read(tmp_path / "out" / "1.png").stored[0, y1:y2, x1:x2] == 0).all()


@pytest.mark.parametrize("how", ["other paths", "moved"])
def test_what_people_removed_goes_too_where_the_file_has_another_path_now(tmp_path, how):
    """Pseudonyms of another --paths, or a file that was moved: the picture is the same, and so is what a person saw in it."""
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()))
    options = RunOptions(policy=reviewing.NOTHING, overwrite=True, paths="pseudonym" if how == "other paths" else "auto")
    if how == "moved":
        (tmp_path / "in" / "c").mkdir()
        (tmp_path / "in" / "a" / "1.png").rename(tmp_path / "in" / "c" / "9.png")
    batch.remove([tmp_path / "in"], tmp_path / "out", options=options, open_cleaner=fakes.cleaner)
    (row,) = [row for row in rows(audit).values() if row["sha256_in"] == sha256_file(next((tmp_path / "in").rglob("[19].png")))]
    assert row["review"]["who"] == "Dr. R"
    assert (images.read(tmp_path / "out" / row["relative"]).stored[0, Y1:Y2, X1:X2] == 0).all()
