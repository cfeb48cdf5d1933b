"""When it is time to learn: what counts, who says so, and that only a finished review starts `improve`."""

import json
import os
import sys
import time
from dataclasses import replace

import nodes
import pytest

from markerremover.cli import main
from markerremover.configuration.node_tables import Loop
from markerremover.improve import due, site_folder
from markerremover.improve.due import Finding
from markerremover.node.index import Index
from markerremover.node.loop.controller import Controller, start_process
from markerremover.redaction import corrections
from markerremover.system import journal

LOOP = Loop(held_share=0.25, corrected_share=0.25, least=4, latest=8)
SEEN = {"sha256_in": "a" * 64, "sha256_out": "b" * 64}


@pytest.mark.parametrize("finding, count", [
    (Finding(), 0), (Finding(3, 3, 3, 3), 0), (Finding(4, 1, 4, 1), 0), (Finding(4, 2, 0, 0), 1), (Finding(0, 0, 8, 3), 1), (Finding(8, 3, 8, 3), 2),
], ids=["nothing", "too few", "at the threshold", "held", "corrected", "both"])
def test_a_share_above_its_threshold_is_a_reason_if_there_are_enough_files(finding, count):
    assert len(finding.reasons(LOOP)) == count and len(finding.lines(LOOP)) == 2


def review(audit, number, *, corrected=False, when=None):
    """A finished review of a file, with a drawn box where it was corrected."""
    (audit / corrections.FOLDER).mkdir(parents=True, exist_ok=True)
    path = corrections.log_path(audit)
    count = len(journal.lines(path))
    common = {"file": f"{number}.png", "who": "R", "time": when or journal.now(), **SEEN}
    drawn = [{"n": count + 1, "event": "draw", "frame": 0, "xyxy": [1, 1, 9, 9], "kind": "marker", **common}] if corrected else []
    journal.append(path, *drawn, {"n": count + 1 + len(drawn), "event": "accept", **common})


def manifest(audit, *statuses):
    audit.mkdir(parents=True, exist_ok=True)
    (audit / "manifest.jsonl").write_text("".join(json.dumps({"relative": f"{n}.png", "status": status}) + "\n" for n, status in enumerate(statuses)))


def test_files_of_runs_and_finished_reviews_count_the_latest_of_them(tmp_path):
    audit = tmp_path / "out-audit"
    manifest(audit, *["held"] * 9, "failed", *["cleaned"] * 7, "held")
    for number in range(10):
        review(audit, number, corrected=number in (0, 1, 9), when=f"2026-01-0{1 + number // 2}T0{number}:00:00+00:00")
    assert due.finding([audit], LOOP) == Finding(8, 1, 8, 1)


def test_what_a_round_has_learnt_from_is_no_reason_to_learn_again(tmp_path, monkeypatch):
    audit, loop = tmp_path / "out-audit", replace(LOOP, site=tmp_path)
    manifest(audit, *["held"] * 8)
    for number in range(8):
        review(audit, number, corrected=True, when="2026-01-01T00:00:00+00:00")
    monkeypatch.setattr(due, "last_round", lambda site: time.time() + 5)
    assert due.finding([audit], loop) == Finding()
    review(audit, 9, corrected=True, when="2999-01-01T00:00:00+00:00")
    assert due.finding([audit], loop) == Finding(0, 0, 1, 1)


def test_the_last_round_is_the_one_of_the_history(tmp_path, monkeypatch):
    assert due.last_round(None) == due.last_round(tmp_path / "none") == 0.0
    rows = [{"event": "start", "when": "2026-01-01T00:00:00+00:00"}, {"event": "round", "when": "2026-02-01T00:00:00+00:00"}, {"event": "adopt", "when": "2026-03-01T00:00:00+00:00"}]
    monkeypatch.setattr(site_folder, "rows", lambda folder: rows)
    monkeypatch.setattr(site_folder.SiteFolder, "begun", True)
    monkeypatch.setattr(site_folder, "open_folder", site_folder.SiteFolder)
    assert due.last_round(tmp_path) == 1769904000.0


def test_of_a_node_released_objects_count_as_held_and_failed_ones_do_not_count(tmp_path):
    index = Index(tmp_path)
    for n, (state, quarantined) in enumerate([("held", 0), ("held", 1), ("sent", 1), ("sent", 0), ("failed", 1), ("received", 0)]):
        index.add(f"{n}", f"1.{n}", f"{n}", 1, "PACS")
        index._database.execute("UPDATE objects SET state = ?, in_quarantine = ?, cleaned_at = ? WHERE relative = ?", (state, quarantined, None if state == "received" else 100 + n, f"{n}"))
    assert index.latest_cleaned(10) == (4, 3) and index.latest_cleaned(1) == (1, 0) and index.latest_cleaned(10, 101) == (2, 1)


def test_the_exit_code_says_whether_it_is_time(tmp_path, capsys):
    audit, config = tmp_path / "out-audit", tmp_path / "m.toml"
    config.write_text("[loop]\nheld_share = 0.25\nleast = 4\nlatest = 8\n")
    manifest(audit, *["held"] * 4, *["cleaned"] * 4)
    assert main.main(["improve", str(tmp_path / "site"), str(audit), "--due", "--config", str(config)]) == due.DUE
    assert capsys.readouterr().out.splitlines()[-1] == "time to learn"
    manifest(audit, "held", *["cleaned"] * 4)
    assert main.main(["improve", str(tmp_path / "site"), str(audit), "--due", "--config", str(config)]) == 0
    assert "1 of 5 files held, 20.0 % (threshold 25 %)" in capsys.readouterr().out
    assert main.main(["improve", str(tmp_path / "site"), "--due"]) == 2 and main.main(["improve", "--due", str(tmp_path), str(tmp_path / "none")]) == 2


def test_the_exit_code_of_a_node_is_that_of_its_spool(tmp_path, capsys):
    (tmp_path / "spool" / "out-audit").mkdir(parents=True)
    index = Index(tmp_path / "spool")
    for n in range(4):
        index.add(f"{n}", f"1.{n}", f"{n}", 1, "PACS")
        index.ended(n + 1, "held", "why", {})
    config = tmp_path / "m.toml"
    config.write_text('[node]\nspool = "spool"\n[loop]\nsite = "site"\nleast = 4\nlatest = 8\n')
    assert main.main(["improve", "--due", "--config", str(config)]) == due.DUE and "4 of 4 files held, 100.0 %" in capsys.readouterr().out


class Process:
    """A process that ends when it is told to."""

    def __init__(self):
        self.code, self.ended = None, False

    def poll(self):
        return self.code

    def terminate(self):
        self.code, self.ended = -15, True

    def wait(self, timeout=None):
        return self.code


@pytest.fixture
def controlled(tmp_path):
    """Makes a controller of a node in whose quarantine 4 objects are held; what it starts is listed."""
    with nodes.running(nodes.settings(tmp_path)) as engine:
        nodes.store(engine.dicom_port, *[nodes.held_file(tmp_path / "in", n) for n in range(4)])
        nodes.settled(engine)
        started = []

        def start(command, output):
            started.append((command, output, Process()))
            return started[-1][2]

        yield lambda **loop: (Controller(engine, replace(LOOP, **loop), start), started, engine)


def test_a_controller_says_it_once_in_the_log_and_on_the_page_and_starts_nothing_unasked(controlled, caplog):
    controller, started, engine = controlled()
    with caplog.at_level("INFO", "markerremover"):
        assert controller.look() and controller.look()
    assert [r.message for r in caplog.records if "time to learn" in r.message] == ["time to learn: 4 of 4 files held, 100.0 %: more than 25 %"]
    review(engine.spool.audit, 1, corrected=True)
    controller.look()
    assert not started and controller.state()["due"] and not controller.state()["running"] and controller.state()["lines"][0].startswith("4 of 4 files held")


def test_if_asked_it_starts_improve_once_for_new_reviews_and_tells_how_it_ended(controlled, tmp_path):
    controller, started, engine = controlled(start=True, site=tmp_path / "site")
    controller.look()
    assert not started  # nobody has reviewed anything: there is nothing to learn from
    review(engine.spool.audit, 1, corrected=True)
    controller.look(), controller.look()
    (command, output, process), = started
    assert command[1:] == ["-m", "markerremover", "improve", str(tmp_path / "site"), str(engine.spool.audit)] and output.parent == engine.spool.folder
    assert controller.state()["running"]
    process.code = 1
    controller.look()
    assert len(started) == 1 and "not adopted" in controller.state()["lines"][-1] and not controller.state()["running"]
    review(engine.spool.audit, 2)
    controller.look()
    assert len(started) == 2
    started[1][2].code = 2
    controller.look()
    assert "exit code 2" in controller.state()["lines"][-1] and engine.index.recent_errors()[0].where == "learning"
    review(engine.spool.audit, 3)
    controller.look()
    controller.stop()
    assert len(started) == 3 and started[2][2].ended


def test_a_damaged_log_of_a_review_is_told_and_the_node_goes_on(controlled):
    controller, _, engine = controlled()
    (engine.spool.audit / "review").mkdir(exist_ok=True)
    corrections.log_path(engine.spool.audit).write_text("{}\n{}\n")
    controller._loop = replace(controller._loop, check_s=0.05)
    controller.start()
    nodes.until(lambda: "cannot be told" in controller.state()["lines"][-1])
    controller.stop()


def test_what_improve_prints_is_its_owners_alone(tmp_path):
    process = start_process([sys.executable, "-c", "print('hello')"], tmp_path / "improve.log")
    assert process.wait(60) == 0 and (tmp_path / "improve.log").read_text() == "hello\n"
    assert os.name == "nt" or (tmp_path / "improve.log").stat().st_mode & 0o077 == 0
