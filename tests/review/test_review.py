"""The queue, a session and its log, pictures, and acceptance sampling."""

from __future__ import annotations

import datetime
import json
import stat
from dataclasses import replace

import cv2
import dicom_files
import fakes
import numpy as np
import pytest
import reviewing
from reviewing import ACCEPT, MISSED, UNDO, draw, keep, rows, run, say

from markerremover.audit import manifest_files
from markerremover.cli import main
from markerremover.errors import ReadError, UsageError, WriteError
from markerremover.evaluation import evaluate
from markerremover.formats import images
from markerremover.options import RunOptions
from markerremover.redaction import corrections
from markerremover.review import pictures, sampling
from markerremover.review.queue import doubts
from markerremover.review.session import Session
from markerremover.run import batch, output_paths, run_file

DAY = datetime.date(2026, 1, 31)


def row(relative, status="cleaned", boxes=(), **said):
    return {"relative": relative, "status": status, "reason": "", "boxes": list(boxes), **said}


def box(score=0.99, size=20, reason="no laterality marker to retain", text="", confidence=0.0, action="remove"):
    return {"frame": 0, "xyxy": [0, 0, size, size], "score": score, "label": "marker", "action": action, "reason": reason, "text": text,
            "confidence": confidence}


def decide(session, number, event):
    """A decision on what is shown."""
    session.looked(session.row(number))
    return session.decide(number, {"seen": session.file(number)["seen"], **event})


# the order


def test_the_queue_begins_with_what_was_held_and_ends_with_what_is_plain():
    plain = [row(f"plain{i}", boxes=[box()]) for i in range(30)]
    odd = [
        row("held", "held"), row("failed", "failed"), row("doubtful", boxes=[box()], released_held="something remains"),
        row("near", boxes=[box(0.52)]), row("unsure", boxes=[box(reason="isolated laterality marker", text="L", confidence=0.55, action="keep")]),
        row("huge", boxes=[box(size=400)]), row("empty", "unchanged"),
    ]
    found = doubts([*plain, *odd], 0.5, 0.5)
    names = [d.relative for d in found]
    assert names[:3] == ["held", "failed", "doubtful"] and set(names[3:7]) == {"near", "unsure", "huge", "empty"}
    assert names[7:] == sorted(r["relative"] for r in plain), "equal ones by path"
    words = {d.relative: d.words for d in found}
    assert "near the threshold" in words["near"][0] and "reading" in words["unsure"][0] and "size" in words["huge"][0]


def test_the_queue_of_nothing_is_empty_and_few_boxes_have_no_usual_size():
    assert doubts([], 0.5, 0.5) == []
    assert doubts([row("a", boxes=[box(size=900)]), row("b", boxes=[box()])], 0.5, 0.5)[0].score == 0


# a session


def test_a_decision_is_on_the_disk_with_name_and_time_before_it_shows(tmp_path):
    audit = run(tmp_path)
    session = Session(audit, " Dr. R ", clock=lambda: "2026-01-31T10:00:00+00:00")
    number = session.order.index("a/1.png")
    file = session.file(number)
    assert file["boxes"][0]["now"] == "remove" and file["boxes"][0]["reason"] and not file["drawn"] and not file["can_undo"]
    after = session.decide(number, {"seen": file["seen"], **draw()})
    (event,) = reviewing.events(audit)
    assert (event["who"], event["time"], event["file"], event["xyxy"]) == ("Dr. R", "2026-01-31T10:00:00+00:00", "a/1.png", list(MISSED))
    assert after["drawn"][0]["xyxy"] == MISSED and after["waits"] and after["can_undo"] and session.progress()["waiting"] == 1
    assert stat.S_IMODE(corrections.log_path(audit).stat().st_mode) == 0o600
    session.close()


def test_a_session_goes_on_where_another_ended_also_after_a_torn_line(tmp_path):
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()), ("a/1.png", ACCEPT), ("b/0.png", ACCEPT))
    with corrections.log_path(audit).open("a") as handle:
        handle.write('{"n": 4, "ev')
    session = Session(audit, "other")
    assert session.progress()["done"] == 2
    number = session.order.index("a/1.png")
    assert session.decide(number, {"seen": session.file(number)["seen"], **UNDO})["verdict"] == "" and session.progress()["done"] == 1
    assert [e["event"] for e in reviewing.events(audit)] == ["draw", "accept", "accept", "undo"]
    session.close()


def test_what_is_redone_is_to_be_looked_at_again(tmp_path):
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()), ("a/1.png", ACCEPT))
    session = Session(audit, "R")
    number = session.order.index("a/1.png")
    seen = session.file(number)["seen"]
    assert session.file(number)["state"] == "corrected" and session.progress()["done"] == 1
    reviewing.redo(audit)
    file = session.file(number)
    assert file["state"] == "again" and not file["waits"] and len(file["boxes"]) == 1 and len(file["drawn"]) == 1
    with pytest.raises(UsageError, match="redone since"):
        session.decide(number, {"seen": seen, **ACCEPT})
    with pytest.raises(UsageError, match="has not been shown"):
        session.decide(number, {"seen": file["seen"], **ACCEPT})
    assert decide(session, number, ACCEPT)["state"] == "corrected"
    session.close()


NONSENSE = {
    "no event": {}, "unknown": {"event": "bless"}, "nothing to undo": UNDO, "release of a file that was not held": {"event": "release"},
    "box outside": draw((100, 60, 129, 76)), "box empty": draw((5, 5, 5, 20)), "box not whole": draw((1.5, 1, 9,
        9)), "box of booleans": draw((True, 1, 9, 9)), "frame true": draw() | {"frame": False}, "erase of true": {"event": "erase", "of": True},
    "event of lists": {"event": ["accept"]}, "kind of lists": draw() | {"kind": ["marker"]}, "to true": {"event": "set", "frame": 0, "xyxy": [1, 1, 9, 9], "to": True, "kind": "none"},
    "box of three": {"event": "draw", "frame": 0, "xyxy": [1, 2, 3],
        "kind": "marker"}, "no frame": draw() | {"frame": 1}, "frame text": draw() | {"frame": "0"},
    "kind": draw() | {"kind": "<b>"}, "erase of nothing": {"event": "erase", "of": 1}, "no such box": {"event": "set", "frame": 0,
        "xyxy": [1, 1, 9, 9], "to": "keep", "kind": "none"},
}


@pytest.mark.parametrize("said", NONSENSE.values(), ids=NONSENSE)
def test_what_makes_no_sense_is_refused_and_not_saved(tmp_path, said):
    audit = run(tmp_path, count=1)
    session = Session(audit, "R")
    with pytest.raises(UsageError):
        session.decide(0, {"seen": session.file(0)["seen"], **said})
    with pytest.raises(UsageError):
        session.decide(7, {"seen": session.file(0)["seen"], **ACCEPT})
    assert reviewing.events(audit) == []
    session.close()


def test_a_session_needs_an_audit_a_name_and_the_audit_for_itself(tmp_path):
    audit = run(tmp_path, count=1)
    session = Session(audit, "R")
    with pytest.raises(UsageError, match="another review"):
        Session(audit, "S")
    session.close()
    for name in ("", "  ", "a\nb", "x" * 101):
        with pytest.raises(UsageError, match="name"):
            Session(audit, name)
    with pytest.raises(UsageError, match="no audit"):
        Session(tmp_path / "in", "R")
    (audit / run_file.RUN).write_text("{}")
    with pytest.raises(UsageError, match="damaged"):
        Session(audit, "R")
    (audit / run_file.RUN).unlink()
    with pytest.raises(UsageError, match="run `remove` again"):
        Session(audit, "R")


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    from importlib import util

    monkeypatch.setattr(util, "find_spec", lambda name: None)
    assert main.main(["review", str(tmp_path)]) == 2 and "extra `review`" in capsys.readouterr().err


def test_an_original_is_found_without_a_walk_where_the_walk_would_find_the_same(tmp_path):
    run = run_file.read(reviewing.run(tmp_path))
    walked = run_file.sources(run)
    assert {relative: run_file.direct(run, relative) for relative in walked} == walked and len(walked) == 4
    (tmp_path / "in" / "a" / "link.png").symlink_to(tmp_path / "in" / "a" / "1.png")
    (tmp_path / "in" / "c").symlink_to(tmp_path / "in" / "a")
    for relative in ("a/link.png", "c/1.png", "a", "a/none.png", "../out/a/1.png", "a/../a/1.png"):
        assert run_file.direct(run, relative) is None, relative
    assert run_file.direct(replace(run, inputs=(*run.inputs, tmp_path / "out")), "a/1.png") is None
    (run.audit / output_paths.MAP).write_text("")
    assert run_file.direct(run, "a/1.png") is None


def test_originals_and_results_are_reached_through_no_link_that_leads_out(tmp_path):
    audit = run(tmp_path)
    session = Session(audit, "R")
    assert session.source("a/1.png").name == "1.png" and session.result("a/1.png").is_file()
    secret = fakes.put(tmp_path / "secret.png", b"x")
    (tmp_path / "out" / "a" / "1.png").unlink()
    (tmp_path / "out" / "a" / "1.png").symlink_to(secret)
    for reach, name in ((session.result, "a/1.png"), (session.result, "../secret.png"), (session.result, ""),
        (session.source, "../secret.png")):
        with pytest.raises(ReadError):
            reach(name)
    session.close()
    again = Session(audit, "R")
    (tmp_path / "in" / "a" / "3.png").unlink()
    (tmp_path / "in" / "a" / "3.png").symlink_to(secret)
    with pytest.raises(ReadError):
        again.source("a/3.png")
    again.close()


def test_ten_thousand_files_are_all_there(tmp_path):
    """How long it takes is measured by eval/speed.py."""
    audit = run(tmp_path, count=1)
    (first,) = rows(audit).values()
    manifest_files.write_rows(audit / manifest_files.MANIFEST, ({**first, "relative": f"{i:05}.png", "boxes": first["boxes"] * 4} for i in range(10_000)))
    session = Session(audit, "R")
    assert len(session.overview()["files"]) == 10_000 and session.file(5)["boxes"]
    session.close()


# pictures


def loaded(audit, relative):
    session = Session(audit, "R")
    try:
        found = rows(audit)[relative]
        return pictures.load(session.source(relative), session.result(relative) if found["sha256_out"] else None, found, found["boxes"])
    finally:
        session.close()


def test_the_removed_text_is_legible_in_the_difference_and_nowhere_else(tmp_path):
    image = fakes.written(fakes.radiograph(0, ()), "KK", (30, 20), 24, grey=255)
    fakes.put(tmp_path / "in" / "0.png", fakes.png(image))
    batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=reviewing.NOTHING), open_cleaner=fakes.cleaner)
    pair = loaded(tmp_path / "out-audit", "0.png")
    difference, after = pictures.render(pair, "difference", 0), pictures.render(pair, "after", 0)
    ink = image == 255
    assert (difference[ink] == 255).all() and np.array_equal(pictures.render(pair, "before", 0), image)
    gone = after != image
    assert not after[gone].any() and (difference[~gone] == pictures.FLAT).all()
    for equalised, width in ((True, 1.0), (False, 0.2), (False, 3.0)):
        shown = pictures.render(pair, "after", 0, equalised=equalised, width=width)
        assert shown[24:40, 32:60][gone[24:40, 32:60]].std() < 6, "no look at the result brings it back"


def test_what_jpeg_blurs_is_no_difference(tmp_path):
    image = cv2.GaussianBlur(fakes.radiograph(0, ()), (7, 7), 3)
    image[14:30, 20:60] = 255
    fakes.put(tmp_path / "in" / "0.jpg", fakes.jpeg(image))
    batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=reviewing.NOTHING), open_cleaner=fakes.cleaner)
    difference = pictures.render(loaded(tmp_path / "out-audit", "0.jpg"), "difference", 0)
    assert (difference[16:28, 22:58] > 200).all() and (difference[45:, 75:] == pictures.FLAT).all()


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
def test_twelve_bits_are_windowed_from_the_stored_values(tmp_path, photometric):
    stored = np.tile(np.linspace(100, 4000, 128).astype(np.uint16), (96, 1))[None]
    stored[0, 10:20, 10:30] = 4095 if photometric == "MONOCHROME2" else 0
    (tmp_path / "in").mkdir()
    dicom_files.save(tmp_path / "in", stored, photometric=photometric, name="x.dcm")
    options = RunOptions(policy=reviewing.NOTHING, headers="keep")
    batch.remove([tmp_path / "in"], tmp_path / "out", options=options, open_cleaner=fakes.cleaner)
    pair = loaded(tmp_path / "out-audit", "x.dcm")
    before, narrow = pictures.render(pair, "before", 0), pictures.render(pair, "before", 0, width=0.1)
    brighter = 1 if photometric == "MONOCHROME2" else -1
    assert np.sign(float(before[50, 100]) - before[50, 20]) == brighter == np.sign(float(narrow[50, 127 if
        brighter > 0 else 0]) - narrow[50, 0 if brighter > 0 else 127]) * brighter
    assert len(np.unique(narrow[50])) < len(np.unique(before[50])) and {0, 255} <= set(np.unique(narrow[50]))
    after = pictures.render(pair, "after", 0)
    same = pair.wide[0] == pair.wide_after[0]
    assert np.array_equal(after[same], before[same]), "one table for both"


def test_a_file_without_result_shows_every_box_black(tmp_path):
    audit = run(tmp_path, count=1, open_cleaner=lambda threads=1: fakes.Cleaner(fakes.restless(), None, reviewing.NOTHING))
    (found,) = rows(audit).values()
    pair = loaded(audit, found["relative"])
    assert found["status"] == "held" and not pair.written
    assert all(not pair.after[0, y1:y2, x1:x2].any() for x1, y1, x2, y2 in (b["xyxy"] for b in found["boxes"]))


def test_what_has_changed_since_the_run_is_not_shown(tmp_path):
    audit = run(tmp_path)
    (tmp_path / "in" / "a" / "1.png").write_bytes(fakes.png(reviewing.picture(9)))
    (tmp_path / "out" / "b" / "0.png").write_bytes(fakes.png(reviewing.picture(9)))
    for relative in ("a/1.png", "b/0.png"):
        with pytest.raises(ReadError, match="has changed since"):
            loaded(audit, relative)
    with pytest.raises(ReadError, match="no such frame"):
        pictures.render(loaded(audit, "b/2.png"), "after", 1)


def test_every_frame_and_colours_are_shown(tmp_path):
    frames = np.stack([fakes.radiograph(i, (fakes.NAME_BOX,)[: i % 2]) for i in range(3)]).astype(np.uint16) * 16
    (tmp_path / "in").mkdir()
    dicom_files.save(tmp_path / "in", frames, name="cine.dcm")
    fakes.put(tmp_path / "in" / "colour.png", fakes.png(np.dstack([fakes.radiograph(7)] * 3)))
    batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=reviewing.NOTHING, headers="keep"),
        open_cleaner=fakes.cleaner)
    cine, colour = (loaded(tmp_path / "out-audit", name) for name in ("cine.dcm", "colour.png"))
    x1, y1, x2, y2 = fakes.NAME_BOX
    assert [bool(pictures.render(cine, "after", i)[y1:y2, x1:x2].any()) for i in range(3)] == [True, False, True]
    assert not pictures.render(colour, "after", 0, width=0.5)[y1:y2, x1:x2].any()
    assert (pictures.render(colour, "difference", 0)[y1:y2, x1:x2] == 255).all()


def test_pictures_are_whole_pngs():
    image = fakes.radiograph(3)
    assert np.array_equal(cv2.imdecode(np.frombuffer(pictures.png(image), np.uint8), cv2.IMREAD_UNCHANGED), image)


# acceptance sampling


def test_a_sample_is_random_repeatable_and_of_released_results_only(tmp_path):
    found = [row(f"{i}", "held" if i % 3 == 0 else "cleaned") for i in range(300)]
    first, again, other = (sampling.draw(found, 50, seed, "T") for seed in (1, 1, 2))
    assert first == again and first.files != other.files and len(set(first.files)) == 50 and first.population == 200
    assert not any(int(name) % 3 == 0 for name in first.files) and sampling.draw(found, 999, 1, "T").population == 200
    for rows_, count in ((found, 0), ([], 5)):
        with pytest.raises(UsageError):
            sampling.draw(rows_, count, 1, "T")


def test_the_bound_is_the_one_of_the_evaluation():
    assert sampling.sentence(0, 300) == "0 misses in 300: below 1.0 % with 95 % confidence"
    assert sampling.sentence(1, 300).startswith("1 miss in 300: below 1.6 %") and sampling.sentence(3, 3) == "3 misses in 3: no bound"
    assert sampling.bound(2, 80) == evaluate.upper_bound(2, 80)


def test_a_session_on_a_sample_ends_with_a_statement_and_resumes_on_the_same_one(tmp_path):
    audit = run(tmp_path, count=8, missed=(1, 3))
    session = Session(audit, "R", sample=6, seed=4)
    chosen = session.order
    assert len(chosen) == 6 and session.progress()["of"] == 6
    for number in range(5):
        if chosen[number] == "a/1.png":
            decide(session, number, draw())
        decide(session, number, ACCEPT)
    assert not session.progress()["statement"] and not session.statement_path().exists()
    session.close()
    reviewing.redo(audit)
    again = Session(audit, "R", sample=6, seed=4)
    misses = int("a/1.png" in chosen)
    assert again.order == chosen and again.progress()["done"] == 5 - misses and again.progress()["again"] == misses
    for number in (*[chosen.index("a/1.png")] * misses, 5):
        assert not again.progress()["statement"]
        decide(again, number, ACCEPT)
    assert again.progress()["statement"] == sampling.sentence(misses, 6), "a miss tells of those that nobody looked at, also where it was mended"
    text = again.statement_path().read_text()
    assert "6 of the 8 results" in text and "In 0 of the 6 results looked at something was left." in text and "Clopper and Pearson" in text and "Checked by: R" in text
    assert stat.S_IMODE(again.statement_path().stat().st_mode) == 0o600
    again.decide(5, {"seen": again.file(5)["seen"], **UNDO})
    assert not again.statement_path().exists(), "no statement on what is not finished"
    again.close()


def test_a_dry_run_can_be_looked_at_but_not_sampled(tmp_path):
    audit = run(tmp_path, dry_run=True)
    with pytest.raises(UsageError, match="dry run"):
        Session(audit, "R", sample=2)
    session = Session(audit, "R")
    assert not loaded_pair(session).written and session.overview()["progress"]["of"] == 4
    session.close()


def loaded_pair(session):
    row = session.row(0)
    return pictures.load(session.source(row["relative"]), None, row, row["boxes"])


def test_a_statement_needs_the_whole_sample():
    sample = sampling.Sample(("a", "b"), 2, 0, "T")
    there = {name: row(name, sha256_in="i", sha256_out="o") for name in sample.files}
    with pytest.raises(UsageError, match="0 of 2"):
        sampling.statement(sample, {}, there, DAY)
    done = {name: corrections.Review(verdict="accept", who="R", sha256_in="i", sha256_out="o") for name in sample.files}
    assert "All 2 results were looked at. In 0 of them something was left." in sampling.statement(sample, done, there, DAY)
    for changed in ({"sha256_out": "n"}, {"sha256_in": "n"}):
        with pytest.raises(UsageError, match="1 of 2 .* 1 were redone since and must be looked at again"):
            sampling.statement(sample, done, there | {"b": there["b"] | changed}, DAY)


def test_a_statement_counts_only_results_that_were_looked_at_as_they_are_now(tmp_path):
    """All of them, so that no bound hides what is left; with decisions from before the sample was drawn, and of one more than once."""
    audit = run(tmp_path, missed=(1, 3))
    say(audit, *((name, event) for name in ("a/1.png", "a/3.png") for event in (draw(), ACCEPT)), ("b/0.png", ACCEPT), ("b/2.png", ACCEPT))
    session = Session(audit, "R", sample=4)
    place = session.statement_path()
    assert "All 4 results were looked at. In 2 of them something was left.\n" in place.read_text(), "so it is before they are redone"
    session.close()
    assert reviewing.redo(audit)["statements"] == [place.name] and not place.exists()
    session = Session(audit, "R", sample=4)
    assert session.progress() | {"waiting": 0} == {"done": 2, "of": 4, "corrected": 0, "again": 2, "waiting": 0, "statement": "", "undo": None}
    number = session.order.index("a/1.png")
    assert session.file(number)["state"] == "again" and session.first() == min(number, session.order.index("a/3.png"))
    decide(session, number, ACCEPT)
    assert session.progress()["again"] == 1 and not place.exists()
    number = session.order.index("a/3.png")
    decide(session, number, draw((2, 40, 12, 50)))
    decide(session, number, ACCEPT)
    found = "In 1 of them something was left. In 1 more something had been found before; it was removed since, or the result was removed.\n"
    assert f"All 4 results were looked at. {found}" in place.read_text()
    session.close()
    reviewing.redo(audit)
    session = Session(audit, "R", sample=4)
    decide(session, session.order.index("a/3.png"), ACCEPT)
    assert "All 4 results were looked at. In 0 of them something was left. In 2 more" in place.read_text()
    assert session.progress()["statement"] == "all 4 results looked at, something is left in 0"
    session.close()


def test_a_result_that_was_taken_away_is_no_longer_looked_at(tmp_path, monkeypatch):
    audit = run(tmp_path)
    session = Session(audit, "R", sample=4)
    for number in range(4):
        if session.order[number] == "a/1.png":
            decide(session, number, draw())
        decide(session, number, ACCEPT)
    session.close()
    with monkeypatch.context() as patch:
        patch.setattr(images, "verify_written", lambda *_, **__: (_ for _ in ()).throw(WriteError("does not read back")))
        assert reviewing.redo(audit)["withdrawn"] == ["a/1.png"]
    session = Session(audit, "R", sample=4)
    assert session.progress()["of"] == session.progress()["done"] == 3 and session.file(session.order.index("a/1.png"))["state"] == "gone"
    text = session.statement_path().read_text()
    assert "All 3 results were looked at. In 0 of them something was left." in text and "1 result of the sample was removed" in text
    session.close()


def test_a_sample_of_another_run_is_refused(tmp_path):
    audit = run(tmp_path)
    Session(audit, "R", sample=2).close()
    path = audit / "review" / "sample-2-0.json"
    good = {"files": ["x"], "population": 1, "seed": 0, "drawn": "T"}
    wrong = [{"population": True}, {"files": "x"}, {"files": [["x"]]}, {"files": []}, {"files": ["x", "x"], "population": 2}, {"population": 0}]
    texts = ["{", "[" * 100_000, *(json.dumps(good | said) for said in wrong)]
    for text, match in (*((text, "damaged") for text in texts), (json.dumps(good), "another run")):
        path.write_text(text)
        with pytest.raises(UsageError, match=match):
            Session(audit, "R", sample=2)


def test_keeping_a_box_is_no_miss_and_taking_a_kept_one_away_is(tmp_path):
    audit = run(tmp_path)
    say(audit, ("b/0.png", keep(audit, "b/0.png")), ("b/0.png", ACCEPT), ("a/1.png", draw()), ("a/1.png", ACCEPT))
    said = corrections.reviews(reviewing.events(audit))
    assert not said["b/0.png"].missed and said["a/1.png"].missed
