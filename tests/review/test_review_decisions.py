"""Undo over several files, drawn laterality markers, the reasons of the order, and what holds a file: session and server."""

from __future__ import annotations

import json

import fakes
import numpy as np
import pytest
import reviewing
from reviewing import ACCEPT, MARKER, MISSED, UNDO, draw, find_name, redo, rows, run, say, with_letter
from test_review_server import Review

from markerremover.audit import manifest_files
from markerremover.errors import UsageError
from markerremover.labels import labelme
from markerremover.options import RunOptions
from markerremover.records import Policy
from markerremover.redaction import corrections, review_events
from markerremover.redaction.cleaning import Cleaner
from markerremover.review import holding, pictures
from markerremover.review.queue import doubts
from markerremover.review.session import Session
from markerremover.run import batch
from markerremover.second_pass import tesseract
from markerremover.second_pass.doubts import PART_OF_TEXT


def accept(session, number):
    session.looked(session.row(number))
    return session.decide(number, {"seen": session.file(number)["seen"], **ACCEPT})


def take_back(session, last):
    return session.decide(last["number"], {"event": "undo", "of": last["n"], "seen": last["seen"]})


# undo


def test_undo_goes_back_over_files_in_the_order_in_which_they_were_decided(tmp_path):
    audit = run(tmp_path)
    session = Session(audit, "R")
    assert session.progress()["undo"] is None
    for number in (0, 2, 1):
        accept(session, number)
    told = []
    while last := session.progress()["undo"]:
        assert take_back(session, last)["verdict"] == ""
        told.append((last["number"], last["event"], last["file"]))
    assert told == [(n, "accept", session.order[n]) for n in (1, 2, 0)] and session.progress()["done"] == 0
    session.close()
    assert [(e["event"], e.get("of")) for e in reviewing.events(audit)] == [("accept", None)] * 3 + [("undo", 3), ("undo", 2), ("undo", 1)]
    assert all(not review.verdict for review in corrections.reviews(reviewing.events(audit)).values()), "the log alone says so"


def test_undo_goes_on_in_a_new_session_of_the_same_person_and_of_nobody_else(tmp_path):
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()), ("b/0.png", ACCEPT))
    other = Session(audit, "S")
    assert other.progress()["undo"] is None, "what somebody else decided is not taken back from afar"
    other.close()
    session = Session(audit, "Dr. R")
    assert session.progress()["undo"]["file"] == "b/0.png"
    take_back(session, session.progress()["undo"])
    file = take_back(session, session.progress()["undo"])
    assert file["file"] == "a/1.png" and not file["drawn"] and session.progress()["undo"] is None
    session.close()


def test_undo_does_not_reach_over_a_file_that_was_redone(tmp_path):
    audit = run(tmp_path)
    say(audit, ("b/0.png", ACCEPT), ("a/1.png", draw()), ("a/1.png", ACCEPT))
    session = Session(audit, "Dr. R")
    last = session.progress()["undo"]
    redo(audit)
    assert session.overview()["progress"]["undo"] is None
    with pytest.raises(UsageError, match="redone since"):
        take_back(session, last)
    session.close()


def test_undo_names_its_event_and_is_refused_where_another_one_is_the_last(tmp_path):
    audit = run(tmp_path)
    session = Session(audit, "R")
    accept(session, 0)
    last = session.progress()["undo"]
    session.decide(0, {"seen": last["seen"], **draw()})
    for of in (last["n"], 99, True, None, "1", [1]):
        with pytest.raises(UsageError):
            session.decide(0, {"event": "undo", "of": of, "seen": last["seen"]})
    with pytest.raises(UsageError):
        session.decide(1, {"event": "undo", "of": session.progress()["undo"]["n"], "seen": session.file(1)["seen"]})
    assert [e["event"] for e in reviewing.events(audit)] == ["accept", "draw"]
    session.close()


def test_a_statement_on_a_sample_goes_with_the_decision_that_is_taken_back(tmp_path):
    audit = run(tmp_path, missed=())
    session = Session(audit, "R", sample=3)
    for number in range(3):
        accept(session, number)
    assert session.statement_path().exists()
    take_back(session, session.progress()["undo"])
    assert not session.statement_path().exists()
    session.close()


def test_undo_over_http_after_the_next_file_was_fetched(tmp_path):
    audit = run(tmp_path)
    review = Review(audit)
    review.enter()
    assert review.ask("/api/files/0/after.png")[0] == 200
    seen = json.loads(review.ask("/api/files/0")[2])["seen"]
    done = json.loads(review.ask("/api/files/0/decisions", "POST", {"event": "accept", "seen": seen})[2])
    last = done["progress"]["undo"]
    assert json.loads(review.ask("/api/files/1")[2])["progress"]["undo"] == last, "the next file tells it, too"
    status, _, body = review.ask(f"/api/files/{last['number']}/decisions", "POST", {"event": "undo", "of": last["n"], "seen": last["seen"]})
    back = json.loads(body)
    assert status == 200 and back["number"] == 0 and back["state"] == "todo" and back["progress"] | {"undo": 0} == done["progress"] | {"done": 0, "undo": 0}
    assert review.ask(f"/api/files/{last['number']}/decisions", "POST", {"event": "undo", "of": last["n"], "seen": last["seen"]})[0] == 409
    assert json.loads(review.ask("/api/files")[2])["progress"]["undo"] is None
    review.end()


# laterality markers that were missed

KEEP = Policy(keep=("L", "R"))


def retain(xyxy=MARKER) -> dict:
    return {"event": "retain", "frame": 0, "xyxy": list(xyxy)}


@pytest.fixture(scope="module")
def reader():
    return tesseract.open_reader()


def run_with(tmp_path, reader, image, policy=KEEP):
    fakes.put(tmp_path / "in" / "0.png", fakes.png(image))
    open_cleaner = lambda threads=1: Cleaner(find_name, reader, policy)  # noqa: E731
    summary = batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=policy), open_cleaner=open_cleaner)
    assert summary["counts"]["held"] == summary["counts"]["failed"] == 0
    assert [b["action"] for b in rows(tmp_path / "out-audit")["0.png"]["boxes"]] == ["remove"], "the print on the right was missed"
    return tmp_path / "out-audit", open_cleaner


def drawn_row(audit):
    return [(b["action"], b["reason"]) for b in rows(audit)["0.png"]["boxes"] if b["label"] == corrections.LABEL]


def test_a_drawn_marker_is_retained_in_its_strokes_once_the_file_is_accepted(tmp_path, reader):
    image = with_letter()
    audit, open_cleaner = run_with(tmp_path, reader, image)
    say(audit, ("0.png", retain()))
    assert redo(audit, open_cleaner)["redone"] == 0, "nothing that is to be retained counts before"
    say(audit, ("0.png", ACCEPT))
    assert redo(audit, open_cleaner)["redone"] == 1
    assert drawn_row(audit) == [("keep", corrections.READ)]
    new = fakes.read(tmp_path / "out" / "0.png")
    assert np.array_equal(new[image == 225], image[image == 225]) and not new[16:28, 22:58].any()
    session = Session(audit, "R")
    (mark,) = session.file(0)["drawn"]
    session.close()
    assert (mark["action"], mark["kind"], mark["became"]) == ("keep", "laterality", corrections.READ)
    (path,) = (audit / "review" / "labels" / "annotations").glob("*.json")
    assert sorted(e.kind for e in labelme.read(path).elements) == ["laterality", "marker"]


def test_a_drawn_marker_is_retained_inside_a_box_that_is_removed(tmp_path, reader):
    image = with_letter(boxes=(fakes.NAME_BOX, (170, 165, 240, 172), (232, 100, 242, 160)))

    def finds_one_large_box(frame, threshold=None):
        found = fakes.find_white(frame)
        return type(found)(np.array([[166, 96, 246, 176]], np.float32), np.full(1, 0.9, np.float32), np.zeros(1, np.int64)) if len(found) else found

    fakes.put(tmp_path / "in" / "0.png", fakes.png(image))
    open_cleaner = lambda threads=1: Cleaner(finds_one_large_box, reader, KEEP)  # noqa: E731
    batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=KEEP), open_cleaner=open_cleaner)
    audit = tmp_path / "out-audit"
    assert not fakes.read(tmp_path / "out" / "0.png")[120:156, 176:206].any()
    say(audit, ("0.png", retain()), ("0.png", ACCEPT))
    assert redo(audit, open_cleaner)["redone"] == 1 and drawn_row(audit) == [("keep", corrections.READ)]
    new = fakes.read(tmp_path / "out" / "0.png")
    assert (new[image == 225] == 225).mean() > 0.95 and not new[165:172, 170:240].any() and not new[100:160, 232:242].any()


DOUBTFUL = {"a word": ("TH", (176, 120, 240, 156)), "the initial of a name": ("R.WU", MARKER), "another letter": ("W", (176, 120, 220, 156)),
    "nothing": ("", MARKER)}


@pytest.mark.parametrize(("text", "xyxy"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_what_is_not_read_as_a_marker_is_removed_whatever_was_drawn(tmp_path, reader, text, xyxy):
    audit, open_cleaner = run_with(tmp_path, reader, with_letter(text))
    say(audit, ("0.png", retain(xyxy)), ("0.png", ACCEPT))
    redo(audit, open_cleaner)
    ((action, reason),) = drawn_row(audit)
    assert action == "remove" and reason in (corrections.UNREAD, PART_OF_TEXT)
    session = Session(audit, "R")
    assert session.file(0)["drawn"][0]["became"] == reason, "and the reviewer is told"
    session.close()
    x1, y1, x2, y2 = xyxy
    assert not fakes.read(tmp_path / "out" / "0.png")[y1:y2, x1:x2].any()


def test_a_removal_that_is_drawn_over_a_drawn_marker_goes_first(tmp_path, reader):
    audit, open_cleaner = run_with(tmp_path, reader, with_letter())
    say(audit, ("0.png", retain()), ("0.png", draw(MARKER)), ("0.png", ACCEPT))
    assert redo(audit, open_cleaner)["redone"] == 1
    x1, y1, x2, y2 = MARKER
    assert not fakes.read(tmp_path / "out" / "0.png")[y1:y2, x1:x2].any()


def test_a_drawn_marker_is_undone_and_erased_like_any_drawn_box(tmp_path, reader):
    audit, open_cleaner = run_with(tmp_path, reader, with_letter())
    session = Session(audit, "R")
    seen = session.file(0)["seen"]
    (mark,) = session.decide(0, {"seen": seen, **retain()})["drawn"]
    assert not session.decide(0, {"seen": seen, "event": "erase", "of": mark["id"]})["drawn"]
    assert session.decide(0, {"seen": seen, **UNDO})["drawn"] and not session.decide(0, {"seen": seen, **UNDO})["drawn"]
    for wrong in ((0, 0, 1, 9), (0, 0, 999, 9), (True, 0, 9, 9)):
        with pytest.raises(UsageError):
            session.decide(0, {"seen": seen, **retain(wrong)})
    session.close()
    assert not any(map(review_events.problem, reviewing.events(audit)))


def test_a_run_that_retains_nothing_takes_no_drawn_marker_and_a_log_with_one_removes_it(tmp_path):
    audit = run(tmp_path, missed=(0,))
    with pytest.raises(UsageError, match="retains no laterality markers"):
        say(audit, ("b/0.png", retain(MISSED)))
    row = rows(audit)["b/0.png"]
    common = {"file": "b/0.png", "who": "R", "time": "T", "sha256_in": row["sha256_in"], "sha256_out": row["sha256_out"]}
    corrections.append(audit, {"n": 1, **common, **retain(MISSED)}, {"n": 2, **common, **ACCEPT})
    redo(audit)
    x1, y1, x2, y2 = MISSED
    assert not fakes.read(tmp_path / "out" / "b" / "0.png")[y1:y2, x1:x2].any()


def test_a_drawn_marker_is_no_missed_annotation_of_the_statement(tmp_path):
    event = {"n": 1, "file": "a", "who": "R", "time": "T", "sha256_in": "i", "sha256_out": "o", **retain()}
    review = corrections.reviews([event])["a"]
    assert not review.missed and [m.action for m in review.marks] == ["keep"] and review.effective == ()


# the order, and what holds a file


def box(**more):
    return {"frame": 0, "xyxy": [0, 0, 9, 9], "score": 0.99, "label": "marker", "action": "remove", "reason": "x", "text": "", "confidence": 0.0} | more


def test_only_reasons_that_bring_a_file_forward_make_it_early():
    said = {"held": ("held", []), "near": ("cleaned", [box(score=0.52)]), "plain": ("cleaned", [box()]), "empty": ("unchanged", []),
        "marker": ("cleaned", [box(action="keep")])}
    found = {d.relative: d for d in doubts([{"relative": name, "status": status, "boxes": boxes} for name, (status, boxes) in said.items()], 0.5, 0.5)}
    assert {name: d.is_early for name, d in found.items()} == {"held": True, "near": True, "plain": False, "empty": False, "marker": False}
    assert found["held"].words[0] == "it was held" and found["near"].words == ("a score is near the threshold",)


def test_places_that_hold_a_file_are_told_without_what_was_read():
    still = box(label="verify", text="SMITH", reason="still found after removal")
    row = {"status": "held", "boxes": [box(), still, box(label="header")], "held_for": [still]}
    assert holding.places(row) == [{"frame": 0, "xyxy": [0, 0, 9, 9], "score": 0.99, "label": "verify", "reason": "still found after removal"}]
    assert [p["label"] for p in holding.places({k: v for k, v in row.items() if k != "held_for"})] == ["verify", "header"], "rows of earlier versions"
    assert holding.places(row | {"status": "cleaned"}) == [] and len(holding.places(row | {"status": "cleaned", "released_held": "why"})) == 1
    assert holding.places(row | {"held_for": []}) == []


def test_a_damaged_place_is_told_and_never_sent(tmp_path):
    audit = run(tmp_path, count=1)
    for wrong in ("x", [1], [box(xyxy=[0, 0, 9])], [box(score="<b>")], [box(label=3)]):
        found = reviewing.rows(audit)
        found["b/0.png"] |= {"status": "held", "held_for": wrong}
        manifest_files.write_rows(audit / manifest_files.MANIFEST, found.values())
        with pytest.raises(UsageError, match="held_for"):
            Session(audit, "R")


# the window in values


@pytest.mark.parametrize(("photometric", "signed"), [("MONOCHROME2", False), ("MONOCHROME1", False), ("MONOCHROME2", True)], ids=str)
def test_a_window_is_told_in_stored_values(tmp_path, photometric, signed):
    import dicom_files

    from markerremover.formats import images

    stored = np.linspace(-2000 if signed else 0, 2000, 128 * 96).reshape(1, 96, 128).astype(np.int16 if signed else np.uint16)
    radiograph = images.read(dicom_files.save(tmp_path, stored, photometric=photometric))
    window = pictures.window(pictures._pair(radiograph, radiograph))
    low, high = (window["high"], window["low"]) if photometric == "MONOCHROME1" else (window["low"], window["high"])
    assert window["stored"] and abs(low - int(stored.min())) < 10 and abs(high - 2000) < 10


def test_a_window_of_eight_bits_is_told_in_grey_levels(tmp_path):
    audit = run(tmp_path, count=1)
    review = Review(audit)
    review.enter()
    assert json.loads(review.ask("/api/files/0/window")[2]) == {"low": 0, "high": 255, "stored": False}
    assert [review.ask(path)[0] for path in ("/api/files/9/window", "/api/files/x/window", "/api/files/0/windows")] == [409, 404, 404]
    assert review.ask("/api/files/0/window", Cookie=None)[0] == 403
    review.end()
