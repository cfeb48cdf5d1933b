"""A network in another process: images are sent to it, and answers come back (see `server`)."""

from __future__ import annotations

import logging
import multiprocessing
import threading
import time
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InferenceError, WeightsError
from ..system.forks import Own
from .network import Network
from .session import Session
from .weights_card import read_card

log = logging.getLogger(__name__)

ANSWER_LIMIT_S = 120.0  # maximum wait for an answer, with requests of other workers queued; an image takes less than one second on any CPU
RETURN_LIMIT_S = 60.0  # maximum wait for the restart of a server that died
ATTEMPTS = 2  # attempts per request: another worker's request may have ended the first server
MANY = 64  # maximum number of images per request
GONE = "the process that runs the network died or does not answer"


class Facts(NamedTuple):
    """The first message of a server.  model: path.  sha256: of that file.  backend: as `Network.backend`.  wide: as `Session.wide`."""

    model: str
    sha256: str
    backend: str
    wide: bool


class Link:
    """A connection to a server, opened at once, and again after the server was restarted.

    Attributes:
        facts: the first message of the server; that of a restarted server must be equal.
    """

    def __init__(self, address: str) -> None:
        self._address, self._lock = address, threading.Lock()
        self._connection: Connection | None = None
        self.facts: Facts | None = None
        with self._lock:
            self._connect()

    def ask(self, pictures: np.ndarray) -> list[np.ndarray]:
        """The network's answers, one per image; see `session.Session`.

        Args:
            pictures: (N, H, W) uint8, at most `MANY`.

        Raises:
            InferenceError: no server, no answer in time, or two servers died during the request.
        """
        with self._lock:
            for _ in range(ATTEMPTS):
                try:
                    return self._answer(pictures)
                except (EOFError, OSError) as error:
                    log.warning("the inference process broke off (%s)", type(error).__name__)
                    self._close()
        raise InferenceError(GONE)

    def _answer(self, pictures: np.ndarray) -> list[np.ndarray]:
        connection = self._connect() if self._connection is None else self._connection
        try:
            connection.send(pictures)
            if not connection.poll(ANSWER_LIMIT_S):
                raise InferenceError(GONE)
            answers = connection.recv()
        except BaseException:  # also lack of memory: the next request must not take an outstanding answer for its own
            self._close()
            raise
        if len(answers) != len(pictures):
            self._close()
            raise InferenceError(f"the process that runs the network gave {len(answers)} answers to {len(pictures)} pictures")
        return answers

    def _connect(self) -> Connection:
        """Open the connection.

        Raises:
            InferenceError: no server within `RETURN_LIMIT_S`, or its folder was removed, so that none will start.
        """
        end = time.monotonic() + RETURN_LIMIT_S
        while self._connection is None:
            try:
                self._connection = Client(self._address, authkey=bytes(multiprocessing.current_process().authkey))
                facts = self._connection.recv()
            except (OSError, EOFError, multiprocessing.AuthenticationError) as error:
                self._close()
                if time.monotonic() > end or not Path(self._address).parent.is_dir() or isinstance(error, multiprocessing.AuthenticationError):
                    raise InferenceError(GONE) from error
                time.sleep(0.1)
                continue
            if self.facts not in (None, facts):
                self._close()
                raise InferenceError("the process that runs the network was started again with other weights or another backend")
            self.facts = facts
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def remote_network(address: str) -> Network:
    """The network that the server at an address has open.

    Args:
        address: path of the server's Unix socket.

    Raises:
        InferenceError: no server answers.
        WeightsError: the model file has changed since the server opened it.
    """
    link = Own(lambda: Link(address))  # two processes on one connection would take each other's answers
    facts = link().facts
    assert facts is not None, "a link connects when it is made"
    model = Path(facts.model)
    card = read_card(model)
    if card["sha256"] != facts.sha256:
        raise WeightsError(f"{model}: has changed since it was opened")
    session = Session(lambda pictures: link().ask(pictures), MANY, pads=True, wide=facts.wide)  # the server chooses the session by the size of the images
    return Network(model, card, (session, session), facts.backend)
