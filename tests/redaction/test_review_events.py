"""The log of a review under odd input: one line that names the line of the log, in every command that reads it, and never a traceback."""

from __future__ import annotations

import json
import os
import stat

import fakes
import pytest
import reviewing
from reviewing import ACCEPT, draw, redo, rows, run, say

from markerremover.audit import manifest_files
from markerremover.cli import main
from markerremover.errors import UsageError
from markerremover.improve import gathering
from markerremover.options import RunOptions
from markerremover.redaction import corrections, review_events
from markerremover.review import labels
from markerremover.review.session import Session
from markerremover.run import batch, run_file
from markerremover.system.files import write_private

GOOD = {"n": 1, "event": "draw", "file": "a/1.png", "who": "R", "time": "T", "sha256_in": "i", "sha256_out": "o", "frame": 0, "xyxy": [1, 2, 9, 9],
        "kind": "marker"}
SET = GOOD | {"event": "set", "to": "keep", "machine": "remove"}
ACCEPTED = {key: GOOD[key] for key in ("n", "file", "who", "time", "sha256_in", "sha256_out")} | {"event": "accept"}
UNDONE = ACCEPTED | {"event": "undo", "of": 1}


def without(event, name):
    return {key: value for key, value in event.items() if key != name}


WRONG = {
    **{f"no {name}": without(GOOD, name) for name in GOOD}, **{f"set: no {name}": without(SET, name) for name in ("to", "machine", "kind")},
    "retain with a kind": GOOD | {"event": "retain"}, "retain without a box": without(without(GOOD, "kind"), "xyxy") | {"event": "retain"},
    "no of": without(UNDONE, "of"), "one field more": GOOD | {"more": 1},
    **{f"event {value!r}": GOOD | {"event": value} for value in ("bless", "", None, 1, True, [], {}, ["draw"])},
    **{f"n {value!r}": GOOD | {"n": value} for value in (0, -1, True, 1.0, "1", None, [], 1 << 40)},
    **{f"frame {value!r}": GOOD | {"frame": value} for value in (-1, True, False, 0.0, "0", None, [], {}, 1 << 40)},
    **{f"xyxy {value!r}": GOOD | {"xyxy": value} for value in (
        None, 7, "1299", {}, [], [1, 2, 9], [1, 2, 9, 9, 9], [1, 2, 9, "9"], [1, 2, 9, None], [True, 2, 9, 9], [1.0, 2, 9, 9], [9, 2, 1, 9],
        [1, 9, 9, 9], [-1, 2, 9, 9], [1, 2, 9, 1 << 40], [1, 2, 9, [9]])},
    **{f"xyxy {value}": GOOD | {"xyxy": [1, 2, 9, float(value)]} for value in ("inf", "-inf", "nan")},
    **{f"kind {value!r}": GOOD | {"kind": value} for value in ("", "<b>", None, True, 0, [], {})},
    **{f"to {value!r}": SET | {"to": value} for value in ("", "stay", None, True, [])},
    **{f"machine {value!r}": SET | {"machine": value} for value in ("", None, True, {})},
    **{f"{name} {value!r}": GOOD | {name: value} for name in ("file", "who", "time", "sha256_in", "sha256_out") for value in (None, 1, True, [], {})},
    "file empty": GOOD | {"file": ""}, "name too long": GOOD | {"who": "x" * 999}, "hash too long": GOOD | {"sha256_in": "0" * 65},
}
WRONG_LINES = {
    "no JSON": "nonsense", "empty": "", "list": "[]", "number": "7", "null": "null", "not UTF-8": b"\xff", "NaN": "NaN",
    "deep list": "[" * 100_000, "deep event": json.dumps(GOOD)[:-1] + ', "of": ' + "[" * 50_000 + "]" * 50_000 + "}",
    "deep object": '{"n": ' * 100_000, "huge number": json.dumps(GOOD).replace("[1,", f"[{'9' * 5000},"), "long": json.dumps(GOOD | {"who": "x" * 70_000}),
}
WRONG_ORDERS = {
    "number twice": [GOOD, ACCEPTED], "undo of itself": [UNDONE], "undo of what comes": [UNDONE | {"of": 2}, ACCEPTED | {"n": 2}],
    "undo of nothing": [GOOD, UNDONE | {"n": 2, "of": 9}], "undo of another file": [GOOD, UNDONE | {"n": 2, "file": "b/0.png"}],
    "undo of an undo": [GOOD, UNDONE | {"n": 2}, UNDONE | {"n": 3, "of": 2}], "erase of no drawing": [ACCEPTED, UNDONE | {"n": 2, "event": "erase"}],
    **{f"of {value!r}": [GOOD, UNDONE | {"n": 2, "of": value}] for value in (None, True, 1.0, "1", [], [1], {}, -1, 0, 1 << 40)},
}


def write(path, *lines) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(b"".join((line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode()) + b"\n"
        for line in lines))


def refused(path, number: int) -> str:
    with pytest.raises(UsageError) as error:
        review_events.read(path)
    said = str(error.value)
    assert said.startswith(f"{path}, line {number}: ") and "\n" not in said and len(said) < 500 + len(str(path)), said
    return said


@pytest.mark.parametrize("event", WRONG.values(), ids=WRONG)
def test_an_event_that_says_what_no_event_can_is_told_with_its_line(tmp_path, event):
    write(tmp_path / "log", GOOD | {"n": 7}, ACCEPTED | {"n": 8}, event)
    refused(tmp_path / "log", 3)
    with pytest.raises(UsageError):
        corrections.reviews([event])


@pytest.mark.parametrize("line", WRONG_LINES.values(), ids=WRONG_LINES)
def test_a_line_that_is_no_event_is_told_with_its_number(tmp_path, line):
    write(tmp_path / "log", GOOD | {"n": 7}, line, ACCEPTED | {"n": 8})
    refused(tmp_path / "log", 2)


@pytest.mark.parametrize("order", WRONG_ORDERS.values(), ids=WRONG_ORDERS)
def test_events_that_do_not_fit_together_are_told_with_the_line_of_the_last(tmp_path, order):
    write(tmp_path / "log", *order)
    refused(tmp_path / "log", 1 if order[0].get("event") == "undo" else len(order))


def test_what_the_program_writes_is_what_it_reads(tmp_path):
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()), ("a/1.png", reviewing.UNDO), ("a/1.png", draw()), ("a/1.png", {"event": "erase", "of": 3}),
        ("a/1.png", reviewing.UNDO), ("a/1.png", ACCEPT), ("b/0.png", reviewing.keep(audit, "b/0.png")))
    batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=reviewing.NOTHING, overwrite=True, paths="pseudonym"),
        open_cleaner=fakes.cleaner)
    found = reviewing.events(audit)
    assert [e["event"] for e in found] == ["draw", "undo", "draw", "erase", "undo", "accept", "set", "draw"]
    assert found[-1]["file"] != "a/1.png" and not any(map(review_events.problem, found))


def test_no_message_tells_what_an_event_holds(tmp_path):
    for event in (GOOD | {"who": ["SMITH"]}, GOOD | {"kind": "SMITH"}, GOOD | {"SMITH": 1}, GOOD | {"event": "SMITH"}):
        write(tmp_path / "log", event)
        assert "SMITH" not in refused(tmp_path / "log", 1)


@pytest.mark.parametrize("line", [GOOD | {"xyxy": [1, 2, 9, float("inf")]}, without(GOOD, "event"), "[" * 100_000], ids=["infinity", "no event", "deep"])
def test_every_command_that_reads_the_log_says_it_in_a_line(tmp_path, capsys, line):
    pytest.importorskip("starlette", reason="the extra `review` is not installed")
    audit = run(tmp_path)
    write(corrections.log_path(audit), line)
    inputs, out = str(tmp_path / "in"), str(tmp_path / "out")
    for command in (["review", str(audit), "--no-open"], ["apply", str(audit)], ["remove", inputs, "-o", out, "--resume", "--keep", "none"]):
        assert main.main(command) == 2
        said = capsys.readouterr().err
        assert "decisions.jsonl, line 1: " in said and said.count("\n") == 1 and "Traceback" not in said
    (audit / "review" / "labels" / "images").mkdir(parents=True)
    with pytest.raises(UsageError, match="line 1"):
        gathering.plan([audit], [], [])


# files that the manifest does not have


def test_decisions_on_files_that_the_run_does_not_have_are_said(tmp_path, capsys):
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()), ("a/1.png", ACCEPT))
    corrections.append(audit, *(GOOD | {"n": 100 + k, "file": f"gone/\x1b[2J{k}.png"} for k in range(30)))
    session = Session(audit, "R")
    assert len(session.unknown()) == 30 and session.progress()["done"] == 1
    session.close()
    done = redo(audit)
    assert done["redone"] == 1 and len(done["unknown"]) == 30
    from markerremover.cli.review import _say_unknown

    _say_unknown(done["unknown"])
    said = capsys.readouterr().out
    assert "30 files that the run does not have" in said and "and 10 more" in said and "\x1b" not in said


# many events, and many on one file


def test_many_events_are_read_once_and_each_file_by_its_own(tmp_path):
    """How long it takes is measured by eval/speed.py; here the work must not grow with the square."""
    audit = run(tmp_path)
    sums = {name: (row["sha256_in"], row["sha256_out"]) for name, row in rows(audit).items()}
    write(corrections.log_path(audit), *(
        (GOOD if n % 10 else ACCEPTED) | {"n": n, "file": name, "sha256_in": sums[name][0], "sha256_out": sums[name][1]}
        for n in range(1, 20_001) for name in [sorted(sums)[(n - 1) // 10 % 4]]))
    session = Session(audit, "R")
    number = session.order.index("a/1.png")
    assert session.progress()["done"] == 4 and len(session.file(number)["drawn"]) == 4500
    with pytest.raises(UsageError, match="no more can be carried out"):
        session.decide(number, {"seen": session.file(number)["seen"], **draw()})
    session.looked(session.row(number))
    assert session.decide(number, {"seen": session.file(number)["seen"], **ACCEPT})["verdict"] == "accept"
    session.close()


def test_more_drawings_than_can_be_carried_out_hold_the_file_and_nothing_else(tmp_path):
    audit = run(tmp_path)
    sums = {key: rows(audit)["a/1.png"][key] for key in ("sha256_in", "sha256_out")}
    write(corrections.log_path(audit), *(GOOD | sums | {"n": n, "xyxy": [n % 90, n % 70, n % 90 + 4, n % 70 + 4]} for n in range(1, 20_001)))
    say(audit, ("b/0.png", draw((70, 60, 80, 70))), ("b/0.png", ACCEPT))
    done = redo(audit)
    assert done["redone"] == 1 and done["withdrawn"] == ["a/1.png"] and not (tmp_path / "out" / "a" / "1.png").exists()
    row = rows(audit)["a/1.png"]
    assert row["status"] == "held" and f"at most {corrections.MOST_MARKS}" in row["reason"]


# links, pipes and devices


def pipe(path):
    os.mkfifo(path)


def link(path):
    (path.parent.parent / "elsewhere").write_text("untouched")
    path.symlink_to(path.parent.parent / "elsewhere")


def dangling(path):
    path.symlink_to(path.parent.parent / "made-by-following")


def device(path):
    path.symlink_to("/dev/zero")


def folder_there(path):
    path.mkdir()


STRANGERS = [pipe, link, dangling, device, folder_there]
PLACES = ["review/decisions.jsonl", "review/lock", "review/apply.lock", "review/sample-2-0.json", "manifest.jsonl", "summary.json", "run.json",
          "paths.jsonl", "review/labels", "review/labels/images", "review/labels/annotations"]


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("place", PLACES)
def test_nothing_but_a_regular_file_is_read_or_written_in_an_audit(tmp_path, place, stranger):
    if stranger is folder_there and "labels" in place:
        pytest.skip("it is a folder")
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()), ("a/1.png", ACCEPT))
    target = audit / place
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    stranger(target)
    before = {path.relative_to(tmp_path): path.read_bytes() for path in (tmp_path / "in").rglob("*.png")}
    outside = {path.name for path in tmp_path.iterdir()} | {path.name for path in audit.iterdir()}
    of_session = not any(name in place for name in ("labels", "apply.lock", "paths.jsonl"))
    if of_session:
        with pytest.raises(UsageError) as error:
            Session(audit, "R", sample=2).close()
        assert str(target) in str(error.value) or place == "run.json"
    if place not in ("review/lock", "review/sample-2-0.json"):
        with pytest.raises(UsageError) as error:
            redo(audit)
        assert str(target) in str(error.value)
    assert {path.name for path in tmp_path.iterdir()} | {path.name for path in audit.iterdir()} <= outside | {"review"}
    assert before == {path.relative_to(tmp_path): path.read_bytes() for path in (tmp_path / "in").rglob("*.png")}
    elsewhere = [path for path in (tmp_path / "elsewhere", audit / "elsewhere", audit / "review" / "elsewhere") if path.exists()]
    assert all(path.read_text() == "untouched" for path in elsewhere)


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
@pytest.mark.parametrize("stranger", [pipe, link, device], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", ["images/x.png", "annotations/x.json", "images", "."])
def test_improve_reads_nothing_else_either(tmp_path, name, stranger):
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()), ("a/1.png", ACCEPT))
    assert redo(audit)["labels"] == 1 and len(gathering.plan([audit], [], []).new) == 1
    target = audit / "review" / "labels" / name
    if target.is_dir():
        target.rename(tmp_path / "away")
    stranger(target)
    with pytest.raises(UsageError, match="is a link, or no"):
        gathering.plan([audit], [], [])


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path):
    audit, elsewhere = run(tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (audit / "review").symlink_to(elsewhere)
    for call in (lambda: Session(audit, "R"), lambda: redo(audit), lambda: corrections.append(audit, GOOD),
                 lambda: corrections.read_events(corrections.log_path(audit))):
        with pytest.raises(UsageError, match="link"):
            call()
    assert not list(elsewhere.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_temporary_file_that_is_a_link_is_not_written_through(tmp_path):
    audit, target = run(tmp_path), tmp_path / "target"
    target.write_text("untouched")
    for name in (manifest_files.MANIFEST, manifest_files.SUMMARY, manifest_files.PAGE):
        (audit / f"{name}.new").symlink_to(target)
        with pytest.raises(UsageError, match="link"):
            write_private(audit / name, "x")
    name = labels.name_of("a/1.png")
    (audit / "images").mkdir()
    (audit / "images" / f"{name}.png.new").symlink_to(target)
    with pytest.raises(UsageError, match="link"):
        labels.write(audit, name, fakes.radiograph(0), (), reviewed=True, origin={})
    assert target.read_text() == "untouched"


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
def test_folders_that_others_can_write_into_are_closed_to_them(tmp_path):
    audit = run(tmp_path)
    say(audit, ("a/1.png", draw()), ("a/1.png", ACCEPT))
    redo(audit)
    folders = [audit / "review" / name for name in (".", "labels", "labels/images", "labels/annotations")]
    for call in (lambda: Session(audit, "R").close(), lambda: redo(audit), lambda: corrections.append(audit, GOOD | {"n": 99})):
        for folder in folders:
            folder.chmod(0o777)
        call()
        assert stat.S_IMODE(folders[0].stat().st_mode) == 0o700
    redo(audit)
    assert all(stat.S_IMODE(folder.stat().st_mode) == 0o700 for folder in folders)


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
@pytest.mark.parametrize("name", ["crops", "tmp"])
def test_a_run_puts_no_picture_through_a_link_in_its_audit(tmp_path, name):
    audit, elsewhere = run(tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in (audit / name).iterdir():
        path.unlink()
    (audit / name).rmdir()
    (audit / name).symlink_to(elsewhere)
    say(audit, ("a/1.png", draw()))
    for call in (lambda: redo(audit), lambda: batch.remove([tmp_path / "in"], tmp_path / "out", open_cleaner=fakes.cleaner,
                 options=RunOptions(policy=reviewing.NOTHING, overwrite=True))):
        with pytest.raises(UsageError, match="link"):
            call()
    assert not list(elsewhere.iterdir())


# what else an audit holds


ROWS = {
    "no boxes": {"boxes": None}, "box of three": {"boxes": [[1, 2, 3]]}, "shape text": {"shape": "1x2"}, "shape true": {"shape": [True, 9, 9]},
    "hash number": {"sha256_in": 7}, "review list": {"review": []}, "review without marks": {"review": {"digest": ""}},
    "mark of words": {"review": {"digest": "", "marks": ["x"]}}, "reason null": {"reason": None},
}
BOXES = {"xyxy": [[1, 2, 3], [1, 2, 3, 4.5], [1, 2, 3, True], "1234", None], "score": ["1", None, float("nan"), float("inf"), True], "frame": [-1, True, "0"],
         "action": ["stay", None, []], "text": [None, 3], "label": [None, []]}


@pytest.mark.parametrize("changed", [*ROWS.values(), *({name: value} for name, values in BOXES.items() for value in values)], ids=str)
def test_a_damaged_row_of_the_manifest_is_told_and_no_traceback(tmp_path, changed):
    audit = run(tmp_path, count=2)
    found = rows(audit)
    row = found["a/1.png"]
    if set(changed) <= set(BOXES):
        row["boxes"][0] |= changed
    else:
        row |= changed
    manifest_files.write_rows(audit / manifest_files.MANIFEST, found.values())
    for call in (lambda: Session(audit, "R"), lambda: redo(audit)):
        with pytest.raises(UsageError, match="manifest.jsonl: the row of 'a/1.png' is damaged"):
            call()


@pytest.mark.parametrize("text", ["[]", "7", '{"options": 3}', '{"options": {"threshold": "x"}}', '{"options": {"threshold": NaN}}', "[" * 100_000], ids=range(6))
def test_a_damaged_summary_stops_no_review(tmp_path, text):
    audit = run(tmp_path, count=1)
    (audit / manifest_files.SUMMARY).write_text(text)
    session = Session(audit, "R")
    assert session.overview()["threshold"] is None and len(session.order) == 1
    session.close()


@pytest.mark.parametrize("name", [run_file.RUN, "paths.jsonl"])
def test_deep_nesting_in_what_the_run_left_is_told(tmp_path, name):
    audit = run(tmp_path, count=1)
    (audit / name).write_text("[" * 100_000)
    with pytest.raises(UsageError, match=f"{name}: is damaged"):
        redo(audit)


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
def test_a_key_is_a_small_file_that_may_be_reached_through_a_link(tmp_path):
    from markerremover.headers.profile import read_key

    key = fakes.put(tmp_path / "key", b"0f" * 32)
    key.chmod(0o600)
    (tmp_path / "link").symlink_to(key)
    assert read_key(tmp_path / "link") == read_key(key) == b"\x0f" * 32
    os.mkfifo(tmp_path / "pipe")
    large = fakes.put(tmp_path / "large", b"0" * 9999)
    for wrong in (tmp_path / "pipe", large, "/dev/zero"):
        with pytest.raises(UsageError):
            read_key(type(key)(wrong))
