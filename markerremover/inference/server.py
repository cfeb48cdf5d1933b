"""One process has the network, the workers of a run ask it: what they ask within a moment goes through the network together.

    worker: read, display, views -> pictures --socket--> server: batch, network --socket--> worker: boxes, second pass, redact, write

Decoding, OCR and writing of the next files go on in the workers while the GPU is busy. The server sees pictures and says where boxes are;
nothing else passes, and it writes nothing. Where it dies, of a driver, say, another one takes its place, at most `RESTARTS` times a run;
a file that finds none ends failed. Pictures go through a Unix socket in a folder of the run's user alone, and both sides must know the run's
secret (multiprocessing's `authkey`).
"""

from __future__ import annotations

import functools
import logging
import multiprocessing
import os
import queue
import shutil
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from multiprocessing import connection as connections
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InferenceError, MarkerRemoverError, UsageError
from ..options import RunOptions
from ..system.parent_process import end_with_parent
from . import backends
from .client import MANY, Facts
from .network import CLOSE_SIZE, Network, model_of, open_network
from .session import Session, room

log = logging.getLogger(__name__)

DELAY_S = 0.002  # for which an incomplete batch waits for more
LARGEST = 4096  # pixels a side of a picture: more was never asked for
STRIDE = 32  # of the network, to which the sides of pictures fit
RESTARTS = 3  # of a server in one run
START_LIMIT_S = 1800.0  # TensorRT may build its engines first
NOT_STARTED = "the process that runs the network could not be started"


class Request(NamedTuple):
    """What one worker asks. pictures: (N, H, W) uint8.  answers: gets N arrays."""

    pictures: np.ndarray
    answers: Future


class InferenceServer:
    """A context in which a network can be asked at `address`; see the module.

    Args:
        opener: importable by name; opens the network in the server's process.
    """

    def __init__(self, opener: Callable[[], Network], *, delay_s: float = DELAY_S) -> None:
        self._opener, self._delay_s = opener, delay_s
        self._ending, self._turn = threading.Event(), threading.Lock()

    def __enter__(self) -> InferenceServer:
        """Raises what `opener` raises; InferenceError where its process dies."""
        self._folder = Path(tempfile.mkdtemp(prefix="markerremover-"))  # its owner's only
        self.address = str(self._folder / "network")
        try:
            self.process = self._started()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._watch = threading.Thread(target=self._replace, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        with self._turn:
            self.process.kill()  # it holds nothing that must be put away
        self._watch.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _started(self) -> multiprocessing.process.BaseProcess:
        spawn = multiprocessing.get_context("spawn")  # forked inference engines hang
        ours, its = spawn.Pipe(duplex=False)
        process = spawn.Process(target=_serve, args=(self.address, self._opener, self._delay_s, its), daemon=True)
        process.start()
        its.close()
        try:
            error = ours.recv() if ours.poll(START_LIMIT_S) else InferenceError(NOT_STARTED)
        except EOFError:
            error = InferenceError(NOT_STARTED)
        finally:
            ours.close()
        if error:
            process.kill()
            process.join()
            raise error
        return process

    def _replace(self) -> None:
        """Wait for the server's end, and start others in its place. Where there will be none, its folder goes, so that nobody waits."""
        for left in range(RESTARTS, -1, -1):
            self.process.join()
            with self._turn:
                if self._ending.is_set():
                    return
                if not left:
                    break
                log.warning("the inference process died (exit code %s); it is started again", self.process.exitcode)
                Path(self.address).unlink(missing_ok=True)
                try:
                    self.process = self._started()
                except MarkerRemoverError as error:
                    log.error("%s", error)
                    break
        log.error("the inference process died too often; files that need it fail")
        shutil.rmtree(self._folder, ignore_errors=True)


def shared_batch(options: RunOptions) -> int:
    """Pictures a call of a network that the workers of a run share; 1 where each has its own: on the CPU, unless `options.batch` is more
    than 1, and in a run within one process.

    Raises:
        UsageError: the device is not there, or there are no Unix sockets here though `options.batch` asks for one network. Of a device
            that is named for Ray that is not said here: other machines have it.
    """
    alone = options.engine == "local" and options.workers == 1 and options.time_limit is None
    if alone or options.boxes or options.batch == 1:
        return 1
    elsewhere = options.engine == "ray" and options.device != "auto"
    found = [backends.BACKENDS[name] for name in backends.CHOICES[options.device]] if elsewhere else backends.candidates(
        model_of(options.weights), options.device)
    batch = options.batch or found[0].batch
    if "AF_UNIX" in connections.families or batch == 1:
        return batch
    if options.batch is None:
        return 1
    raise UsageError(f"batch is {batch}, but this system has no Unix sockets through which workers could share a network; use 1")


def opener_of(options: RunOptions, batch: int, threads: int) -> Callable[[], Network]:
    """Opens the network that the workers of a run share, with `threads` of the CPU; importable by name."""
    return functools.partial(open_network, options.weights, device=options.device, threads=threads, batch=batch)


@contextmanager
def serving(options: RunOptions, threads: int) -> Iterator[str | None]:
    """The address of a server for a run on this machine, None where each worker has a network of its own, and for Ray, which starts
    its own ones.

    Args:
        threads: of the CPU, for a network that runs there.

    Raises:
        UsageError, WeightsError: the network cannot be opened, or see `shared_batch`.
    """
    batch = shared_batch(options) if options.engine == "local" else 1
    if batch == 1:
        yield None
        return
    with InferenceServer(opener_of(options, batch, threads)) as server:
        yield server.address


def _serve(address: str, opener: Callable[[], Network], delay_s: float, ready: connections.Connection) -> None:
    """The server's process."""
    end_with_parent(functools.partial(shutil.rmtree, Path(address).parent, ignore_errors=True))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the run, which ends this process
    try:
        network = opener()
        _warm_up(network)
    except MarkerRemoverError as error:
        ready.send(error)
        return
    except Exception as error:  # no picture of anybody was there yet, so its message may be told
        ready.send(InferenceError(f"{NOT_STARTED} ({type(error).__name__}: {error})"))
        return
    requests: queue.Queue[Request] = queue.Queue()
    listener = connections.Listener(address, family="AF_UNIX", backlog=64, authkey=bytes(multiprocessing.current_process().authkey))
    batch = network.sessions[0].batch
    facts = Facts(str(network.model), network.card["sha256"], f"{network.backend}, in a process of its own, {batch} pictures at once", network.sessions[0].wide)
    threading.Thread(target=_accept, args=(listener, facts, set(_sides(network)), requests), daemon=True).start()
    ready.send(None)
    ready.close()
    try:
        _work(requests, network, delay_s)
    except Exception as error:  # what a driver says once it may say for ever: another process starts afresh, or the files fail
        log.error("the network failed: %s", type(error).__name__)
        os._exit(1)


def _warm_up(network: Network) -> None:
    """One full batch and one picture of each size: what is built or tuned at first use takes longer than anybody waits for an answer."""
    for side, session in _sides(network).items():
        session.many(np.zeros((session.batch, side, side), np.uint8))
        session(np.zeros((side, side), np.uint8))


def _sides(network: Network) -> dict[int, Session]:
    """Side of the squares that are mostly asked -> the session for them. Others are for that of the largest."""
    return {CLOSE_SIZE: network.sessions[1], int(network.card["image_size"]): network.sessions[0]}


def _accept(listener: connections.Listener, facts: Facts, sides: set[int], requests: queue.Queue[Request]) -> None:
    while True:
        try:
            worker = listener.accept()
        except (OSError, EOFError, multiprocessing.AuthenticationError) as error:  # a worker that died while it called
            log.warning("a worker's call was lost (%s)", type(error).__name__)
            continue
        threading.Thread(target=_attend, args=(worker, facts, sides, requests), daemon=True).start()


def _attend(worker: connections.Connection, facts: Facts, sides: set[int], requests: queue.Queue[Request]) -> None:
    """Pass on what one worker asks, one request after the other, until it goes away or asks something that is no picture."""
    with worker:
        try:
            worker.send(facts)
            while True:
                pictures = worker.recv()
                if not _are_pictures(pictures, facts, sides):
                    log.error("a worker asked for pictures of shape %s %s", pictures.shape, pictures.dtype)
                    return
                request = Request(pictures, Future())
                requests.put(request)
                worker.send(request.answers.result())
        except (EOFError, OSError):  # the worker is gone
            return


def _are_pictures(pictures: np.ndarray, facts: Facts, sides: set[int]) -> bool:
    """Whether the network takes them."""
    if pictures.dtype != np.uint8 or pictures.ndim != 3 or not 0 < len(pictures) <= MANY:
        return False
    high, wide = pictures.shape[1:]
    fits = facts.wide and all(0 < side <= LARGEST and side % STRIDE == 0 for side in (high, wide))
    return fits or (high == wide and high in sides)


def _work(requests: queue.Queue[Request], network: Network, delay_s: float) -> None:
    """Answer requests for ever."""
    sides, waiting = _sides(network), deque()
    while True:
        answer(collect(requests, waiting, network.sessions[0].batch, delay_s), sides, network.floor)


def collect(requests: queue.Queue[Request], waiting: deque[Request], batch: int, delay_s: float) -> list[Request]:
    """The next requests, all for pictures of one shape: as many as come within `delay_s` of the first, until there are `batch` pictures.

    Args:
        waiting: requests for another shape that came in between; they are the next ones.
    """
    first = waiting.popleft() if waiting else requests.get()
    taken, shape = [first], first.pictures.shape[1:]
    for _ in range(len(waiting)):
        other = waiting.popleft()
        (taken if other.pictures.shape[1:] == shape else waiting).append(other)
    end = time.monotonic() + delay_s
    while sum(len(request.pictures) for request in taken) < room(batch, *shape):
        try:
            more = requests.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        (taken if more.pictures.shape[1:] == shape else waiting).append(more)
    return taken


def answer(taken: list[Request], sides: dict[int, Session], floor: float | None) -> None:
    """Put some requests for pictures of one shape through the network together; anchors of which no score reaches `floor` are left out."""
    pictures = np.concatenate([request.pictures for request in taken])
    high, wide = pictures.shape[1:]
    session = sides[high if high == wide and high in sides else max(sides)]
    found = [above(raw, floor) for raw in session.many(pictures)]
    for request in taken:
        request.answers.set_result(found[: len(request.pictures)])
        del found[: len(request.pictures)]


def above(raw: np.ndarray, floor: float | None) -> np.ndarray:
    """An answer without the anchors of which all scores lie below the floor; what is no number stays, to be refused."""
    return raw if floor is None else raw[:, ~(raw[4:].max(axis=0) < floor)]
