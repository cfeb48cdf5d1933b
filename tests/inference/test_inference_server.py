"""One process has the network: what workers get is what the network says, and nothing where it is gone."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path

import fakes
import numpy as np
import pytest

import markerremover
from markerremover.audit import manifest_files
from markerremover.detection import localizer
from markerremover.errors import InferenceError, UsageError
from markerremover.inference import client, network
from markerremover.inference import server as inference_server
from markerremover.inference.client import GONE, Link
from markerremover.inference.server import InferenceServer, Request, collect
from markerremover.options import RunOptions
from markerremover.run import batch
from markerremover.synthesis import radiograph, synthesize
from markerremover.system.files import write_private

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs Unix sockets")

HANG_S = 600.0  # what takes so long hangs, also on a busy machine


def request(count: int, side: int = 8) -> Request:
    return Request(np.zeros((count, side, side), np.uint8), Future())


def queued(*given: Request) -> queue.Queue:
    found = queue.Queue()
    for one in given:
        found.put(one)
    return found


# batches

def test_requests_of_one_size_go_together_until_the_batch_is_full():
    a, b, c = request(2), request(1), request(3)
    left = queued(a, b, c)
    assert collect(left, deque(), 3, 5.0) == [a, b] and left.qsize() == 1


def test_another_size_waits_and_comes_next():
    a, other, b, another = request(1), request(1, 16), request(1), request(1, 16)
    waiting = deque()
    taken = collect(queued(a, other, b, another), waiting, 8, 0.05)
    assert [id(one) for one in taken] == [id(a), id(b)]
    assert [id(one) for one in collect(queue.Queue(), waiting, 8, 0.05)] == [id(other), id(another)] and not waiting


def test_pictures_of_another_shape_wait_although_their_height_is_the_same():
    wide, square = Request(np.zeros((1, 8, 16), np.uint8), Future()), request(1)
    waiting = deque()
    assert collect(queued(wide, square), waiting, 8, 0.05) == [wide] and list(waiting) == [square]


@pytest.mark.parametrize("wide, shape, fits", [
    (False, (1, 128, 128), True), (False, (1, 320, 320), True), (False, (1, 128, 320), False), (False, (1, 96, 96), False),
    (True, (1, 128, 320), True), (True, (2, 1280, 1024), True), (True, (1, 1280, 1000), False), (True, (1, 8192, 640), False),
    (True, (0, 128, 128), False), (True, (128, 128), False),
])
def test_only_pictures_that_the_network_takes_are_taken(wide, shape, fits):
    facts = client.Facts("", "", "", wide)
    assert inference_server._are_pictures(np.zeros(shape, np.uint8), facts, {128, 320}) is fits
    assert not inference_server._are_pictures(np.zeros(shape, np.float32), facts, {128, 320})


def test_wide_pictures_go_to_the_session_of_whole_images():
    asked = []
    sides = {side: type("Fake", (), {"many": lambda self, pictures, side=side: asked.append(side) or [np.zeros((6, 0))] * len(pictures)})()
             for side in (8, 16)}
    for shape in ((8, 8), (16, 16), (8, 16), (32, 8)):
        inference_server.answer([Request(np.zeros((1, *shape), np.uint8), Future())], sides, None)
    assert asked == [8, 16, 16, 16]


def test_an_incomplete_batch_does_not_wait_for_long():
    assert len(collect(queued(request(1)), deque(), 8, 0.05)) == 1


def test_every_request_gets_its_own_answers_less_what_lies_below_the_floor():
    def many(pictures):
        return [np.array([[1.0, 2], [0, 0], [1, 1], [1, 1], [0.5, np.nan], [float(picture[0, 0]), 0]], np.float32) for picture in pictures]

    session = type("Fake", (), {"many": staticmethod(many)})
    first, second = request(1), request(2)
    second.pictures[1, 0, 0] = 9
    inference_server.answer([first, second], {8: session}, 0.6)
    assert len(first.answers.result()) == 1 and len(second.answers.result()) == 2
    assert first.answers.result()[0].shape == (6, 1) and np.isnan(first.answers.result()[0][4, 0])  # what is no number stays
    assert second.answers.result()[1].shape == (6, 2)


# a server and those who ask it

@pytest.fixture
def model(tmp_path):
    return fakes.white_model(tmp_path)


def frame(seed: int) -> np.ndarray:
    return fakes.radiograph(seed, [(20 + seed, 14, 60 + seed, 30)])


def test_workers_that_ask_at_once_get_what_the_network_says(model):
    alone = fakes.white_network(model)
    own = localizer.Detector(alone.sessions[0], alone.card, "white", alone.sessions[1])
    found = {}
    with InferenceServer(partial(fakes.white_network, model), delay_s=0.05) as server:
        asking = [localizer.load_detector(server=server.address, threads=1) for _ in range(3)]
        assert asking[0].backend == "white, in a process of its own, 4 pictures at once" and asking[0].sha256 == own.sha256

        def ask(k):
            for seed in range(k, 9, 3):
                found[seed] = asking[k](frame(seed)), asking[k].near(frame(seed), np.array([[20, 14, 60, 30]]))

        threads = [threading.Thread(target=ask, args=(k,)) for k in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for seed in range(9):
        assert found[seed][0].xyxy.tolist() == own(frame(seed)).xyxy.tolist() == [[20 + seed, 14, 60 + seed, 30]]
        assert found[seed][1].xyxy.tolist() == own.near(frame(seed), np.array([[20, 14, 60, 30]])).xyxy.tolist()
    assert not server.process.is_alive() and not os.path.exists(os.path.dirname(server.address))


def test_a_server_that_dies_is_replaced_until_it_died_too_often(model, monkeypatch):
    monkeypatch.setattr(client, "RETURN_LIMIT_S", 2 * HANG_S)
    with InferenceServer(partial(fakes.white_network, model)) as server:
        asking = localizer.load_detector(server=server.address, threads=1)
        for _left in range(inference_server.RESTARTS, -1, -1):
            assert len(asking(frame(1))) == 1
            dead = server.process
            os.kill(dead.pid, signal.SIGKILL)
            dead.join()
        begin = time.monotonic()
        with pytest.raises(InferenceError, match="died"):
            asking(frame(1))
        assert time.monotonic() - begin < HANG_S, "nobody waits for what will not come"
        with pytest.raises(InferenceError):
            localizer.load_detector(server=server.address)


def test_a_server_that_does_not_answer_in_time_is_no_answer(model, monkeypatch):
    monkeypatch.setattr(client, "ANSWER_LIMIT_S", 0.5)
    with InferenceServer(partial(fakes.white_network, model)) as server:
        link = Link(server.address)
        os.kill(server.process.pid, signal.SIGSTOP)
        with pytest.raises(InferenceError, match="does not answer"):
            link.ask(np.zeros((1, 128, 128), np.uint8))
        os.kill(server.process.pid, signal.SIGCONT)
        assert len(link.ask(np.full((1, 128, 128), 255, np.uint8))[0]) == 6, "the late answer to the first is not taken for this one's"


def test_an_answer_that_could_not_be_taken_is_never_that_to_the_next_picture(model):
    """Short memory between asking and answer fails that file; the next file's picture must not get the answer that is still on its way."""
    with InferenceServer(partial(fakes.white_network, model)) as server:
        link = Link(server.address)
        wanted = [link.ask(np.full((1, 128, 128), grey, np.uint8))[0] for grey in (0, 255)]
        assert not np.array_equal(*wanted)

        class Short:
            def __init__(self, connection):
                self.connection = connection

            def __getattr__(self, name):
                return getattr(self.connection, name)

            def recv(self):
                raise MemoryError

        link._connection = Short(link._connection)
        with pytest.raises(MemoryError):
            link.ask(np.full((1, 128, 128), 0, np.uint8))
        if isinstance(link._connection, Short):  # memory is there again
            link._connection = link._connection.connection
        assert np.array_equal(link.ask(np.full((1, 128, 128), 255, np.uint8))[0], wanted[1])


@pytest.mark.parametrize("pictures", [np.zeros((1, 64, 64), np.uint8), np.zeros((1, 128, 128), np.float32)], ids=["side", "dtype"])
def test_what_is_no_picture_is_refused_and_the_server_goes_on(model, pictures):
    with InferenceServer(partial(fakes.white_network, model)) as server:
        with pytest.raises(InferenceError):
            Link(server.address).ask(pictures)
        assert server.process.is_alive() and len(localizer.load_detector(server=server.address)(frame(2))) == 1


def test_who_does_not_know_the_secret_gets_nothing(model, monkeypatch):
    with InferenceServer(partial(fakes.white_network, model)) as server:
        assert os.stat(os.path.dirname(server.address)).st_mode & 0o77 == 0
        monkeypatch.setattr(client.multiprocessing, "current_process", lambda: type("Other", (), {"authkey": b"other"}))
        with pytest.raises(InferenceError):
            Link(server.address)


@pytest.mark.parametrize("opener, error, said", [
    (fakes.no_network, UsageError, "no such card"), (fakes.broken_network, InferenceError, "could not be started .*CUDA out of memory"),
    (fakes.stillborn_network, InferenceError, "could not be started"),
])
def test_a_network_that_cannot_be_opened_is_an_error_at_once(opener, error, said):
    with pytest.raises(error, match=said):
        InferenceServer(opener).__enter__()


def test_a_server_ends_with_its_run_also_when_that_is_killed(tmp_path, model):
    """Nothing waits for ever, and its folder goes."""
    code = f"""if __name__ == "__main__":
    import fakes, functools, sys, time
    from markerremover.inference.server import InferenceServer
    with InferenceServer(functools.partial(fakes.white_network, {str(model)!r})) as server:
        print(server.process.pid, server.address, flush=True)
        time.sleep(300)
"""
    script = tmp_path / "run.py"
    script.write_text(code)
    paths = os.pathsep.join([os.path.dirname(fakes.__file__), os.path.dirname(os.path.dirname(markerremover.__file__))])
    run = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": paths})
    pid, address = run.stdout.readline().split()
    assert os.path.exists(address)
    run.kill()
    run.wait()
    run.stdout.close()
    end = time.monotonic() + HANG_S
    while os.path.exists(os.path.dirname(address)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not os.path.exists(os.path.dirname(address))
    while _alive(int(pid)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not _alive(int(pid))


def _alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# runs

def test_a_picture_that_kills_the_network_fails_its_file_and_no_other(tmp_path, model):
    for index in range(4):
        image = fakes.radiograph(index)
        image[0, 0] = 7 if index == 1 else 20
        fakes.put(tmp_path / "in" / f"{index}.png", fakes.png(image))
    options = replace(fakes.NO_KEEP, time_limit=HANG_S)
    with InferenceServer(partial(fakes.white_network, model, deadly=7)) as server:
        asking = partial(fakes.asking_cleaner, address=server.address)
        summary = batch.remove([tmp_path / "in"], tmp_path / "out", options=options, open_cleaner=asking)
    rows = {row["relative"]: row for row in manifest_files.read_manifest(tmp_path / "out-audit" / manifest_files.MANIFEST)}
    assert {name: row["status"] for name, row in rows.items()} == {f"{k}.png": "failed" if k == 1 else "cleaned" for k in range(4)}
    assert rows["1.png"]["reason"] == GONE and summary["counts"]["failed"] == 1
    assert set(fakes.files(tmp_path / "out")) == {"0.png", "2.png", "3.png"}


@pytest.mark.parametrize("changed, asked", [
    ({}, False), ({"batch": 1}, False), ({"batch": 4}, True), ({"batch": 4, "time_limit": None}, False),
    ({"batch": 4, "time_limit": None, "workers": 2}, True),
], ids=["the CPU by itself", "one", "four", "in this process", "two workers"])
def test_when_a_process_has_the_network(monkeypatch, changed, asked):
    class Fake:
        address = "there"

        def __init__(self, opener):
            assert opener.keywords["batch"] == 4

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(inference_server, "InferenceServer", Fake)
    options = RunOptions(device="cpu", **{"time_limit": 60.0, **changed})
    with inference_server.serving(options, 1) as address:
        assert address == ("there" if asked else None)


@pytest.mark.parametrize("changed", [{"batch": 0}, {"batch": 65}, {"batch": 2, "boxes": Path("drawn")}])
def test_a_batch_out_of_range_is_wrong_use(changed):
    with pytest.raises(UsageError, match="batch"):
        RunOptions(**changed)


@pytest.mark.long
def test_a_run_with_the_shipped_weights_gives_the_same_files_with_batches_in_a_process_of_its_own(tmp_path):
    """ONNX Runtime, whose answers do not depend on what else is in the batch: bit by bit."""
    synthesize(tmp_path / "in", 3, 12, split="eval", size=(480, 400))
    write_private(tmp_path / "key", "0f" * 32)
    options = RunOptions(device="onnxruntime", key=tmp_path / "key", workers=2)
    source = tmp_path / "in" / "images"
    one, four = (batch.remove([source], tmp_path / name, options=replace(options, batch=count)) for name, count in (("one", 1), ("four", 4)))
    assert one["counts"] == four["counts"] and one["boxes"] == four["boxes"] and one["boxes"]["removed"] > 0
    assert fakes.files(tmp_path / "one") == fakes.files(tmp_path / "four")
    assert (one["backend"], four["backend"]) == ("ONNX Runtime CPU", "ONNX Runtime CPU, in a process of its own, 4 pictures at once")


def test_the_localizer_of_the_shipped_weights_says_the_same_through_a_server():
    display = radiograph(np.random.default_rng(3), size=(700, 600)).image
    own = localizer.load_detector(device="onnxruntime", threads=1)
    with InferenceServer(partial(network.open_network, device="onnxruntime", threads=1, batch=4)) as server:
        found, expected = localizer.load_detector(server=server.address, threads=1)(display), own(display)
    assert len(expected) and found.xyxy.tolist() == expected.xyxy.tolist() and found.scores.tolist() == expected.scores.tolist()
