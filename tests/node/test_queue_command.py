"""`markerremover queue`: what it prints, its exit codes, and that another process asks while the node works."""

import json
import subprocess
import sys
from dataclasses import replace

import nodes
import pytest
from test_queue import Localizer, held, rows_of, settings_of, waiting
from test_status_page import Page

from markerremover.cli.main import main
from markerremover.configuration.node_tables import Status
from markerremover.configuration.reading import Configuration
from markerremover.node.queue import CONFLICTING, NONE, PURGED
from markerremover.node.records import FolderDestination
from markerremover.node.service import Service, with_page


def asked(capsys, folder, *words):
    """(exit code, standard output, standard error)."""
    code = main(["queue", str(folder / "spool"), *map(str, words)])
    return code, *capsys.readouterr()


def test_another_process_asks_while_the_node_works(tmp_path):
    localizer = Localizer()
    with nodes.running(settings_of(tmp_path), localizer.cleaner) as engine:
        held(engine, tmp_path, 1, 2, 3)
        localizer.mended = True
        command = [sys.executable, "-m", "markerremover", "queue", str(tmp_path / "spool")]
        done = subprocess.run([*command, "--clean-again", "all-held"], capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stdout, done.stderr) == (0, "3 objects will be cleaned again\n", "")
        assert nodes.settled(engine).sent == 3
        nodes.until(lambda: not rows_of(engine))
        shown = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert shown.returncode == 0 and shown.stdout.startswith("3 accepted: 0 received, 0 cleaning, 0 waiting, 3 sent, 0 held, 0 failed")
    assert len(nodes.sizes(tmp_path / "sent")) == 3


def test_it_lists_counts_destinations_what_is_not_delivered_and_the_objects_of_a_state(tmp_path, capsys):
    _, (number,) = waiting(tmp_path, 1)
    code, text, _ = asked(capsys, tmp_path, "--state", "waiting")
    assert code == 0
    counts, *lines = text.splitlines()
    assert counts == "1 accepted: 0 received, 0 cleaning, 1 waiting, 0 sent, 0 held, 0 failed, 0 forgotten after they were sent"
    assert lines[0].startswith("destination a: 1 wait, 0 sent; the oldest for ") and lines[0].endswith("last error: its folder is not there")
    assert any(line.startswith(f"not delivered: object {number} to b, ") and line.endswith(": its folder is not there") for line in lines)
    assert lines[-1].startswith(f"waiting: object {number}, received ")
    found = json.loads(asked(capsys, tmp_path, "--state", "waiting", "--json")[1])
    assert found["counts"]["waiting"] == 1 and found["counts"]["reconciles"] and {one["destination"] for one in found["undelivered"]} == {"a", "b"}
    assert [(one["number"], one["state"], one["reason"]) for one in found["objects"]] == [(number, "waiting", "")]


def test_more_than_was_asked_for_is_counted_and_no_identifier_is_printed(tmp_path, capsys):
    with nodes.running(settings_of(tmp_path), Localizer().cleaner) as engine:
        held(engine, tmp_path, 1, 2, 3)
    code, text, errors = asked(capsys, tmp_path, "--state", "held", "--most", 1)
    assert code == 0 and text.splitlines()[-2].startswith("held: object 3, received ") and text.splitlines()[-1] == "and 2 more: --most N lists more"
    text += asked(capsys, tmp_path, "--state", "held", "--json")[1] + asked(capsys, tmp_path, "--clean-again", "all-held")[1]
    for secret in ("SMITH", "QZ-400-17", "1.2.826", "objects/", ".dcm", str(tmp_path)):
        assert secret not in text + errors


def test_what_was_done_and_what_was_left_is_said_and_1_means_that_something_was_left(tmp_path, capsys):
    localizer = Localizer(mended=True)
    with nodes.running(settings_of(tmp_path), localizer.cleaner) as engine:
        sent = engine.accept(nodes.object_file(tmp_path / "in", 1), "test").number
        nodes.settled(engine)
        conflicting = engine.accept(nodes.object_file(tmp_path / "in", 1, seed=7), "test").number
        nodes.until(lambda: engine.index.get(conflicting).in_quarantine)
    assert asked(capsys, tmp_path, "--send-again", sent)[:2] == (1, f"0 objects will be sent again\nleft as it is: object {sent}: {PURGED}\n")
    assert asked(capsys, tmp_path, "--clean-again", "all-held")[:2] == (1, f"0 objects will be cleaned again\nleft as it is: object {conflicting}: {CONFLICTING}\n")
    code, text, _ = asked(capsys, tmp_path, "--clean-again", conflicting, 99, "--also-conflicting", "--json")
    assert code == 1 and json.loads(text) == {"done": [conflicting], "left": [{"number": 99, "reason": NONE}]}


def test_a_delivery_is_given_up_and_a_destination_dropped(tmp_path, capsys):
    _, (first, second) = waiting(tmp_path, 1, 2)
    assert asked(capsys, tmp_path, "--give-up", first, "--to", "a")[:2] == (0, "1 object will not go to a\n")
    assert asked(capsys, tmp_path, "--drop-destination", "b")[:2] == (0, (
        "2 deliveries to b were dropped\n1 object waits for other destinations\n1 object failed, since no destination has it or a delivery was given up: --clean-again all-failed makes "
        "it due to the destinations that the node has by then\n"))
    failed = json.loads(asked(capsys, tmp_path, "--state", "failed", "--json")[1])["objects"]
    assert [one["number"] for one in failed] == [first] and failed[0]["reason"].startswith("its delivery to a was given up: ")
    assert json.loads(asked(capsys, tmp_path, "--drop-destination", "a", "--json")[1]) == {"sent": 0, "waiting": 0, "failed": 1}
    assert asked(capsys, tmp_path, "--drop-destination", "a")[0] == 2 and second


@pytest.mark.parametrize(("words", "said"), [
    (["--to", "a"], "--to goes with"), (["--give-up", "1"], "--give-up needs --to"), (["--also-conflicting"], "goes with --clean-again"),
    (["--most", "0"], "--most is 0"), (["--clean-again", "1", "all-held"], "alone"), (["--clean-again", "all"], "allowed are numbers of objects, all-held and all-failed"),
    (["--send-again", "all-held"], "allowed are numbers of objects"), (["--state", "held", "--send-again", "1"], "goes with no change"),
    (["--clean-again", "1", "--drop-destination", "a"], "not allowed with"), ([], "no node has run"), (["--clean-again", "1"], "no node has run")])
def test_what_cannot_be_is_a_usage_error_and_creates_nothing(tmp_path, capsys, words, said):
    code, _, errors = asked(capsys, tmp_path, *words)
    assert code == 2 and said in errors and list(tmp_path.iterdir()) == []


def test_the_spool_is_that_of_the_configuration_file(tmp_path, capsys):
    with nodes.running(settings_of(tmp_path)):
        pass
    (tmp_path / "node.toml").write_text('[node]\nspool = "spool"\n')
    assert main(["queue", "--config", str(tmp_path / "node.toml")]) == 0 and "0 accepted" in capsys.readouterr().out
    assert main(["queue"]) == 2 and "name the folder SPOOL" in capsys.readouterr().err


def test_what_is_not_delivered_is_on_the_status_page_with_its_reason(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    configuration = Configuration(status=Status())
    settings = replace(nodes.settings(tmp_path, FolderDestination("a", tmp_path / "a")), listening=None)
    service = Service(with_page(settings, configuration), configuration, open_cleaner=Localizer(mended=True).cleaner)
    service.start()
    try:
        page = Page(service).enter()
        assert page.json("/api/status")["undelivered"] == []
        (tmp_path / "a" / "taken.png").write_bytes(b"another file")
        number = service.engine.accept(nodes.fakes.png(nodes.fakes.radiograph(5)), "watch", name="taken.png").number
        found, = nodes.until(lambda: page.json("/api/status")["undelivered"])
        assert (found["number"], found["destination"], found["error"]) == (number, "a", "another file of that name is there") and found["attempts"] > 0
        assert b'id="undelivered"' in page.ask("/")[2]
    finally:
        service.stop()
