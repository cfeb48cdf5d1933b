"""After a fork: networks, OCR and threads are opened anew or refused, and nothing ever waits for a thread that is not there.

Everything happens in a process of its own with a limit, so that a hang is a failure and not a suite that stands still.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import fakes
import numpy as np
import pytest

import markerremover
from markerremover import MarkerRemover, UsageError
from markerremover.second_pass import tesseract

LIMIT_S = 300  # a hang, not a slow machine: each of these takes a few seconds
pytestmark = pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="there is no fork here")
needs_ocr = pytest.mark.skipif(tesseract.available() is None, reason="no Tesseract")

FIRST = """
import gc, hashlib, multiprocessing, os, sys, threading, time
import cv2, numpy as np
from markerremover import MarkerRemover, UsageError

def picture(seed):
    image = (np.random.default_rng(seed).normal(0, 3, (400, 500)) + np.linspace(10, 180, 500)).clip(0, 255).astype(np.uint8)
    return cv2.putText(image, "SMITH 12", (60, 100 + 50 * seed), cv2.FONT_HERSHEY_SIMPLEX, 1.5, 255, 3)

def look(remover, seed=0):
    result = remover.clean(picture(seed))
    return f"{result.status} {hashlib.sha256(result.array).hexdigest()}"

def forked(do):
    "What a forked process makes of something, and its exit code; it ends as a program ends."
    reads, writes = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(writes, str(do()).encode())
        sys.exit(0)
    os.close(writes)
    with open(reads) as handle:
        return handle.read(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def alone(code: str) -> str:
    """What a program prints, which ends well within the limit; whatever it has forked ends with it."""
    env = {**os.environ, "PYTHONPATH": str(Path(markerremover.__file__).parent.parent)}
    command = [sys.executable, "-c", FIRST + textwrap.dedent(code)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, start_new_session=True)
    try:
        printed = process.communicate(timeout=LIMIT_S)[0]
    except subprocess.TimeoutExpired:
        pytest.fail(f"it hangs: no end after {LIMIT_S} s")
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            process.wait()
    assert process.returncode == 0, printed
    return printed


@needs_ocr
@pytest.mark.parametrize(("device", "before"), [
    pytest.param("cpu", "at once", marks=pytest.mark.long), ("cpu", "used"), pytest.param("onnxruntime", "used", marks=pytest.mark.long)])
def test_a_remover_made_before_a_fork_cleans_after_it_as_before(device, before):
    """At once: the other size of the network is still being compiled. Used: its threads have worked and wait."""
    alone(f"""
        remover = MarkerRemover(device={device!r})
        if {before!r} == "used":
            look(remover)
        found = [forked(lambda: look(remover)) for _ in range(2)]
        assert found == [(look(remover), 0)] * 2 and found[0][0].startswith("cleaned"), found
    """)


@needs_ocr
def test_each_part_of_a_remover_works_after_a_fork():
    alone("""
        remover = MarkerRemover()
        detector, reader, beside = remover.cleaner.detector, remover.cleaner.reader, remover.cleaner.beside
        found = detector(picture(0))
        parts = {
            "detector": lambda: detector(picture(0)).xyxy.tolist(), "close look": lambda: detector.near(picture(0), found.xyxy).xyxy.tolist(),
            "second opinion": lambda: detector.rescorer(picture(0), found.xyxy, found.scores).tolist(),
            "one letter": lambda: reader.read([255 - picture(0)[60:110, 50:400]], psm=7), "words": lambda: reader.words(255 - picture(0)),
            "threads": lambda: beside and beside.submit(max, 1, 2).result(),
        }
        for name, part in parts.items():
            assert forked(part) == (str(part()), 0), name
    """)


def test_the_second_look_works_after_a_fork():
    pytest.importorskip("rapidocr", reason="the extra `second-look` is not installed")
    alone("""
        from markerremover.redaction.text_finder import open_second_look
        find = open_second_look(4)
        said = str(sorted(text.text for text in find(picture(0))))
        assert "SMITH" in said and forked(lambda: sorted(text.text for text in find(picture(0)))) == (said, 0)
    """)


@needs_ocr
def test_what_was_thrown_away_before_a_fork_is_not_thrown_away_after_it_once_more():
    """It would wait for its threads, or crash over them."""
    alone("""
        gc.disable()
        remover = MarkerRemover()
        look(remover)
        del remover
        assert forked(lambda: (gc.collect(), "collected")[1]) == ("collected", 0)
        remover = MarkerRemover()
        def throw_away():
            global remover
            del remover
            return (gc.collect(), "collected")[1]
        assert forked(throw_away) == ("collected", 0)
    """)


@needs_ocr
@pytest.mark.long
def test_a_new_remover_in_a_forked_process_and_a_fork_of_that():
    alone("""
        remover = MarkerRemover()
        said = look(remover)
        assert forked(lambda: look(MarkerRemover())) == (said, 0)
        assert forked(lambda: (look(remover), forked(lambda: look(remover)))) == (str((said, (said, 0))), 0)
    """)


@needs_ocr
@pytest.mark.long
def test_a_fork_while_other_threads_clean():
    alone("""
        removers, end = [MarkerRemover() for _ in range(2)], threading.Event()
        said = look(removers[0])
        def work(remover):
            while not end.is_set():
                assert look(remover) == said
        threads = [threading.Thread(target=work, args=(remover,)) for remover in removers]
        for thread in threads:
            thread.start()
        found = []
        for k in range(3):
            time.sleep(0.1 * k)
            found.append(forked(lambda: removers[k % 2].cleaner.detector(picture(0)).scores.tolist()))
        end.set()
        for thread in threads:
            thread.join()
        assert found == [(str(removers[0].cleaner.detector(picture(0)).scores.tolist()), 0)] * 3, found
    """)


def test_a_forked_process_is_refused_where_a_thread_did_not_come_out_of_a_library():
    alone("""
        from markerremover.system import forks
        forks.WAIT_S = 0.1
        own, inside, end = forks.Own(object), threading.Event(), threading.Event()
        def stuck():
            with forks.at_work():
                inside.set()
                end.wait()
        thread = threading.Thread(target=stuck)
        thread.start()
        inside.wait()
        def ask():
            try:
                return own()
            except UsageError as error:
                return error
        said, code = forked(lambda: (ask(), forked(ask)))
        assert code == 0 and said.count("spawn") == 2 and "object at" not in said, said
        end.set()
        thread.join()
        assert forked(ask)[0].startswith("<object") and own() is own()
    """)


def test_a_network_on_a_gpu_is_refused_after_a_fork():
    alone("""
        from markerremover.system import forks
        own = forks.Own(object, forks.NO_GPU)
        def ask():
            try:
                return own()
            except UsageError as error:
                return error
        assert own() and "GPU" in forked(ask)[0]
    """)


@pytest.mark.skipif(os.name == "nt", reason="needs Unix sockets")
def test_a_forked_process_has_a_connection_of_its_own_to_a_server():
    """On one connection two processes would take each other's answers."""
    alone("""
        from multiprocessing.connection import Listener
        import tempfile
        from markerremover.system import forks
        from markerremover.inference.client import Facts, Link
        address = tempfile.mkdtemp() + "/s"
        listener = Listener(address, family="AF_UNIX", backlog=8, authkey=bytes(multiprocessing.current_process().authkey))
        asked = []
        def serve(connection):
            connection.send(Facts("m", "s", "b", False))
            while True:
                asked.append(id(connection))
                connection.send([picture.sum() for picture in connection.recv()])
        def accept():
            while True:
                threading.Thread(target=serve, args=(listener.accept(),), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()
        link = forks.Own(lambda: Link(address))
        ones = np.ones((1, 2, 2), np.uint8)
        assert link().ask(ones) == [4] and forked(lambda: link().ask(2 * ones)[0]) == ("8", 0) and link().ask(ones) == [4]
        assert len(set(asked)) == 2
    """)


@needs_ocr
@pytest.mark.long
def test_a_forked_pool_of_processes():
    alone("""
        remover = MarkerRemover()
        said = [look(remover, seed) for seed in range(3)]
        def work(seed):
            return look(remover, seed)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(work, range(3)) == said
    """)


@pytest.mark.train
@needs_ocr
@pytest.mark.long
@pytest.mark.parametrize("before", ["at once", "used"])
def test_a_torch_data_loader_around_a_remover_made_before(before):
    alone(f"""
        import torch
        class Pictures(torch.utils.data.Dataset):
            def __init__(self):
                self.remover = MarkerRemover()
            def __len__(self):
                return 4
            def __getitem__(self, index):
                return torch.from_numpy(self.remover.clean(picture(index)).array.copy())
        pictures = Pictures()
        if {before!r} == "used":
            pictures[0]
        loader = torch.utils.data.DataLoader(pictures, batch_size=2, num_workers=2, multiprocessing_context="fork")
        for _ in range(2):
            batches = torch.cat(list(loader))
        assert all(torch.equal(batches[index], pictures[index]) for index in range(4))
    """)


@needs_ocr
def test_a_remover_goes_to_a_process_that_is_started_afresh():
    remover = pickle.loads(pickle.dumps(MarkerRemover(device="cpu", policy=markerremover.Policy(keep=("R",)))))
    image = fakes.written((np.random.default_rng(0).normal(0, 3, (400, 400)) + np.linspace(10, 180, 400)).clip(0, 255).astype(np.uint8), "SMITH 12", (90, 90))
    assert remover.cleaner.policy.keep == ("R",) and remover.clean(image).status == "cleaned"
    with pytest.raises(UsageError, match="make one there"):
        pickle.dumps(MarkerRemover(cleaner=fakes.cleaner()))
