"""A network that another process has: pictures go there, answers come back (see `inference_server`)."""

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

ANSWER_LIMIT_S = 120.0  # within which an answer comes, whoever else asks; a picture takes less than one second on any CPU
RETURN_LIMIT_S = 60.0  # within which a server that died is there again
ATTEMPTS = 2  # at one request: the first server may have died of another worker's
MANY = 64  # pictures a request at most
GONE = "the process that runs the network died or does not answer"


class Facts(NamedTuple):
    """What a server says first. model: path.  sha256: of that file.  backend: what runs it.  wide: as of `session.Session`."""

    model: str
    sha256: str
    backend: str
    wide: bool


class Link:
    """The way to a server, opened when it is needed, and once more where the server was started anew.

    Attributes:
        facts: what the server said first; a later one must say the same.
    """

    def __init__(self, address: str) -> None:
        self._address, self._lock = address, threading.Lock()
        self._connection: Connection | None = None
        self.facts: Facts | None = None
        with self._lock:
            self._connect()

    def ask(self, pictures: np.ndarray) -> list[np.ndarray]:
        """One answer a picture.

        Args:
            pictures: (N, H, W) uint8, at most `MANY`.

        Raises:
            InferenceError: no server, no answer in time, or two servers died of it.
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
        if self._connection is None:
            self._connect()
        try:
            self._connection.send(pictures)
            if not self._connection.poll(ANSWER_LIMIT_S):
                raise InferenceError(GONE)
            found = self._connection.recv()
        except BaseException:  # short memory, too: whatever is left on the way, the next request must not take it for its own answer
            self._close()
            raise
        if len(found) != len(pictures):
            self._close()
            raise InferenceError(f"the process that runs the network gave {len(found)} answers to {len(pictures)} pictures")
        return found

    def _connect(self) -> None:
        """Raises InferenceError where no server comes within `RETURN_LIMIT_S`, or its folder is gone: there will be none."""
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

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def remote_network(address: str) -> Network:
    """The network that the server at an address has open.

    Raises:
        InferenceError: nobody answers.  WeightsError: the file it opened has changed since.
    """
    link = Own(lambda: Link(address))  # two processes on one connection would take each other's answers
    facts = link().facts
    model = Path(facts.model)
    card = read_card(model)
    if card["sha256"] != facts.sha256:
        raise WeightsError(f"{model}: has changed since it was opened")
    session = Session(lambda pictures: link().ask(pictures), MANY, pads=True, wide=facts.wide)  # the server tells sizes apart by the pictures
    return Network(model, card, (session, session), facts.backend)
