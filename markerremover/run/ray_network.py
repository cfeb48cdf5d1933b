"""Networks shared by the cleaning actors of a Ray cluster: the GPU stage of a run. One actor per GPU has an `InferenceServer`; cleaning actors
on the same machine use it through that machine's Unix sockets, so that pictures never pass through Ray or between machines.

    cleaning actors (CPU: read, second pass, redact, verify, write) --socket of the machine--> network actor (GPU) and back
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable
from typing import Any

from ..errors import InferenceError
from ..inference.network import Network
from ..inference.server import InferenceServer

log = logging.getLogger(__name__)

NETWORK_GPU, CLEAN_GPU = 0.9, 0.001  # share of a GPU that each actor reserves; the latter only places cleaning actors on machines with a GPU
Line = tuple[str, bytes]
"""Address of a network and the secret that gives access to it."""
Lines = dict[str, list[Line]]
"""Ray's ID of a machine -> its networks."""


class Networks:
    """The networks of a run: one per GPU of the cluster, or one per machine where they run on CPUs; they end with this process.

    Args:
        opener: importable by name; opens a network in the server's process.
        gpu: whether a network takes a GPU.
    """

    def __init__(self, opener: Callable[[], Network], gpu: bool) -> None:
        self._opener, self._gpu = opener, gpu
        self._actors: dict[tuple[str, int], Any] = {}

    def lines(self) -> Lines:
        """Addresses of the networks on machines that are alive; networks on new machines are started.

        Raises:
            InferenceError, UsageError, WeightsError: none can be opened.
        """
        import ray

        trouble: Exception | None = None
        places = {(n["NodeID"], i) for n in ray.nodes() if n["Alive"] for i in range(self._count(n["Resources"]))}
        self._actors = {key: self._actors.get(key) or self._started(key[0]) for key in sorted(places)}
        answers = {key: actor.line.remote() for key, actor in self._actors.items()}
        lines: Lines = {}
        for (node, number), answer in answers.items():
            try:
                line = ray.get(answer)
                lines.setdefault(node, []).append(line)
            except ray.exceptions.RayTaskError as error:
                trouble = cause_of(error)
                log.error("a machine of the cluster cannot open the network (%s)", type(trouble).__name__)
            except ray.exceptions.RayError as error:  # its machine was lost
                log.warning("a network was lost (%s)", type(error).__name__)
                del self._actors[node, number]
        if trouble and not lines:
            raise trouble
        return lines

    def _count(self, resources: dict[str, float]) -> int:
        return int(resources.get("GPU", 0)) if self._gpu else int(resources.get("CPU", 0) > 0)

    def _started(self, node: str) -> Any:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return ray.remote(NetworkActor).options(
            num_cpus=0, num_gpus=NETWORK_GPU if self._gpu else 0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
        ).remote(self._opener)


class NetworkActor:
    """An actor with the process of one network, which it restarts if it dies."""

    def __init__(self, opener: Callable[[], Network]) -> None:
        self._opener = opener
        self._server: InferenceServer | None = None

    def line(self) -> Line:
        """Its address and secret; the first call opens it.

        Raises:
            InferenceError, UsageError, WeightsError: it cannot be opened.
        """
        if self._server is None:
            self._server = InferenceServer(self._opener).__enter__()  # open until this process ends
        return self._server.address, bytes(multiprocessing.current_process().authkey)


def connected(lines: Lines) -> str:
    """The address of a network of this machine, for this process and those that it starts.

    Raises:
        InferenceError: this machine has none, since it joined later.
    """
    import ray

    networks = lines.get(ray.get_runtime_context().get_node_id())
    if not networks:
        raise InferenceError("this machine of the cluster has no network yet")
    address, secret = networks[os.getpid() % len(networks)]
    multiprocessing.current_process().authkey = secret
    return address


def cause_of(error: Any) -> Exception:
    """The exception that a task of Ray raised, if it is known."""
    return error.cause if isinstance(getattr(error, "cause", None), Exception) else error
