"""One process holds the network, and the workers of a run send it requests; requests that arrive together form one batch.

    worker: read, display, views -> images --socket--> server: batch, network --socket--> worker: boxes, second pass, redact, write

Decoding, OCR and writing of the next files continue in the workers while the GPU is busy. The server receives images and returns boxes,
nothing else, and it writes no files. If it dies, of a driver error for instance, it is restarted, at most `RESTARTS` times per run; a file
that finds no server is marked failed. Images pass through a Unix socket in a folder that only the run's user can open, and both sides must
know the run's secret (multiprocessing's `authkey`).
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

DELAY_S = 0.002  # time that an incomplete batch waits for further requests
LARGEST = 4096  # maximum side of an image, in pixels
STRIDE = 32  # stride of the network in pixels; the sides of images are multiples of it
RESTARTS = 3  # maximum number of restarts of a server in one run
START_LIMIT_S = 1800.0  # maximum time for the start: TensorRT may build its engines first
NOT_STARTED = "the process that runs the network could not be started"


class Request(NamedTuple):
    """A request of one worker.  pictures: (N, H, W) uint8.  answers: receives a list of N answers."""

    pictures: np.ndarray
    answers: Future


class InferenceServer:
    """A context in which a network answers requests at `address`, the path of a Unix socket; see the module.

    Args:
        opener: importable by name; opens the network in the server's process.
        delay_s: time in seconds that an incomplete batch waits for further requests.
    """

    def __init__(self, opener: Callable[[], Network], *, delay_s: float = DELAY_S) -> None:
        self._opener, self._delay_s = opener, delay_s
        self._ending, self._turn = threading.Event(), threading.Lock()

    def __enter__(self) -> InferenceServer:
        """Start the server.

        Raises:
            MarkerRemoverError: the errors of `opener`.
            InferenceError: the server's process died, or `opener` raised another error.
        """
        self._folder = Path(tempfile.mkdtemp(prefix="markerremover-"))  # readable by its owner only
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
            self.process.kill()  # it holds nothing that must be saved
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
        """Restart the server whenever it ends. After the last restart its folder is removed, so that no worker waits."""
        for attempts in range(RESTARTS, -1, -1):
            self.process.join()
            with self._turn:
                if self._ending.is_set():
                    return
                if not attempts:
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
    """Number of images per call of a network that the workers of a run share; 1 if each worker opens its own: on the CPU, unless
    `options.batch` is more than 1, and in a run within one process.

    Raises:
        UsageError: the device is not available, or `options.batch` asks for a shared network on a system without Unix sockets. A device
            named for a run with Ray is not checked: other machines have it.
    """
    single_process = options.engine == "local" and options.workers == 1 and options.time_limit is None
    if single_process or options.by_hand or options.batch == 1:
        return 1
    remote = options.engine == "ray" and options.device != "auto"
    backend_list = [backends.BACKENDS[name] for name in backends.CHOICES[options.device]] if remote else backends.candidates(
        model_of(options.weights), options.device)
    batch = options.batch or backend_list[0].batch
    if "AF_UNIX" in connections.families or batch == 1:  # type: ignore[attr-defined]  # typeshed lacks the attribute
        return batch
    if options.batch is None:
        return 1
    raise UsageError(f"batch is {batch}, but this system has no Unix sockets through which workers could share a network; use 1")


def opener_of(options: RunOptions, batch: int, threads: int) -> Callable[[], Network]:
    """A function, importable by name, that opens the network shared by the workers of a run, with `threads` CPU threads."""
    return functools.partial(open_network, options.weights, device=options.device, threads=threads, batch=batch)


@contextmanager
def serving(options: RunOptions, threads: int) -> Iterator[str | None]:
    """A server for a run on this machine.

    Args:
        threads: number of CPU threads, for a network on the CPU.

    Yields:
        The server's address; None if each worker opens its own network, and for Ray, which starts its own servers.

    Raises:
        UsageError: see `shared_batch`, or the network cannot be opened.
        WeightsError, InferenceError: the network cannot be opened.
    """
    batch = shared_batch(options) if options.engine == "local" else 1
    if batch == 1:
        yield None
        return
    with InferenceServer(opener_of(options, batch, threads)) as server:
        yield server.address


def _serve(address: str, opener: Callable[[], Network], delay_s: float, ready: connections.Connection) -> None:
    """Main function of the server's process."""
    end_with_parent(functools.partial(shutil.rmtree, Path(address).parent, ignore_errors=True))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the run, which ends this process
    try:
        network = opener()
        _warm_up(network)
    except MarkerRemoverError as error:
        ready.send(error)
        return
    except Exception as error:  # no image has been received yet, so the message cannot quote one
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
    except Exception as error:  # a driver error may persist in this process: a new one is started, or the files fail
        log.error("the network failed: %s", type(error).__name__)
        os._exit(1)


def _warm_up(network: Network) -> None:
    """Run one full batch and one image of each size: building and tuning at first use may exceed the time limit of an answer."""
    for side, session in _sides(network).items():
        session.many(np.zeros((session.batch, side, side), np.uint8))
        session(np.zeros((side, side), np.uint8))


def _sides(network: Network) -> dict[int, Session]:
    """Sessions by the side of the usual square images; other shapes use the session of the largest side."""
    return {CLOSE_SIZE: network.sessions[1], int(network.card["image_size"]): network.sessions[0]}


def _accept(listener: connections.Listener, facts: Facts, sides: set[int], requests: queue.Queue[Request]) -> None:
    while True:
        try:
            worker = listener.accept()
        except (OSError, EOFError, multiprocessing.AuthenticationError) as error:  # a worker that died while connecting
            log.warning("a worker's call was lost (%s)", type(error).__name__)
            continue
        threading.Thread(target=_attend, args=(worker, facts, sides, requests), daemon=True).start()


def _attend(worker: connections.Connection, facts: Facts, sides: set[int], requests: queue.Queue[Request]) -> None:
    """Pass on the requests of one worker, one after the other, until it disconnects or sends something other than images."""
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
        except (EOFError, OSError):  # the worker has ended
            return


def _are_pictures(pictures: np.ndarray, facts: Facts, sides: set[int]) -> bool:
    """Whether the network takes an array as images."""
    if pictures.dtype != np.uint8 or pictures.ndim != 3 or not 0 < len(pictures) <= MANY:
        return False
    high, wide = pictures.shape[1:]
    fits = facts.wide and all(0 < side <= LARGEST and side % STRIDE == 0 for side in (high, wide))
    return fits or (high == wide and high in sides)


def _work(requests: queue.Queue[Request], network: Network, delay_s: float) -> None:
    """Answer requests until the process is ended."""
    sides = _sides(network)
    waiting: deque[Request] = deque()
    while True:
        answer(collect(requests, waiting, network.sessions[0].batch, delay_s), sides, network.floor)


def collect(requests: queue.Queue[Request], waiting: deque[Request], batch: int, delay_s: float) -> list[Request]:
    """The next requests, all for images of one shape: those that arrive within `delay_s` seconds of the first, up to `batch` images of usual size.

    Args:
        waiting: requests for other shapes that arrived before; served first, and changed in place.
        batch: number of images at which no further request is awaited; see `session.room` for large images.
    """
    head = waiting.popleft() if waiting else requests.get()
    batch_requests, shape = [head], head.pictures.shape[1:]
    for _ in range(len(waiting)):
        candidate = waiting.popleft()
        (batch_requests if candidate.pictures.shape[1:] == shape else waiting).append(candidate)
    end = time.monotonic() + delay_s
    while sum(len(request.pictures) for request in batch_requests) < room(batch, *shape):
        try:
            arrival = requests.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            break
        (batch_requests if arrival.pictures.shape[1:] == shape else waiting).append(arrival)
    return batch_requests


def answer(requests: list[Request], sides: dict[int, Session], floor: float | None) -> None:
    """Answer requests for images of one shape in one batch; anchors of which no score reaches `floor` are left out."""
    pictures = np.concatenate([request.pictures for request in requests])
    high, wide = pictures.shape[1:]
    session = sides[high if high == wide and high in sides else max(sides)]
    results = [above(raw, floor) for raw in session.many(pictures)]
    for request in requests:
        request.answers.set_result(results[: len(request.pictures)])
        del results[: len(request.pictures)]


def above(raw: np.ndarray, floor: float | None) -> np.ndarray:
    """An answer (4 + classes, anchors) without the anchors whose scores all lie below the floor; NaN is retained, to be refused. A new array,
    or `raw` itself if `floor` is None."""
    return raw if floor is None else raw[:, ~(raw[4:].max(axis=0) < floor)]
