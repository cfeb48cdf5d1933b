"""Networks that the cleaning actors of a Ray cluster share: the GPU's stage of a run. One actor a GPU has an `InferenceServer`; whoever
cleans on the same machine asks it through that machine's Unix sockets, so that pictures never pass through Ray or between machines.

    cleaning actors (CPU: read, second pass, redact, verify, write) --socket of the machine--> network actor (GPU) and back
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from typing import Any, Callable

from .errors import InferenceError
from .inference_server import InferenceServer
from .network import Network

NETWORK_GPU, CLEAN_GPU = 0.9, 0.001  # of a GPU; the latter only sees to it that who cleans is on a machine that has one
Line = tuple[str, bytes]
"""Address of a network and the secret of who may ask it."""


class Switchboard:
    """An actor: tells who cleans which network to ask, and has networks started where there is none yet.

    Args:
        opener: importable by name; opens a network in the server's process.
        gpu: whether a network takes a GPU; if not there is one a machine.
    """

    def __init__(self, opener: Callable[[], Network], gpu: bool) -> None:
        self._opener, self._gpu = opener, gpu
        self._networks: dict[tuple[str, int], Any] = {}
        self._asked: Counter[str] = Counter()

    def line(self, node: str) -> Line:
        """One of the networks of a machine, all of them in turn.

        Args:
            node: Ray's ID of the machine.

        Raises:
            InferenceError: it has no GPU.  UsageError, WeightsError: the network cannot be opened.
        """
        import ray

        count = self._count(node)
        number, self._asked[node] = self._asked[node] % count, self._asked[node] + 1
        for _ in range(2):
            try:
                return ray.get(self._network(node, number).line.remote())
            except ray.exceptions.RayTaskError as error:
                raise cause_of(error)
            except ray.exceptions.RayActorError:
                del self._networks[node, number]
        raise InferenceError("the actor with the network dies")

    def _count(self, node: str) -> int:
        import ray

        if not self._gpu:
            return 1
        count = sum(int(n["Resources"].get("GPU", 0)) for n in ray.nodes() if n["NodeID"] == node)
        if not count:
            raise InferenceError("a file was to be cleaned on a machine without a GPU")
        return count

    def _network(self, node: str, number: int) -> Any:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if (node, number) not in self._networks:
            self._networks[node, number] = ray.remote(NetworkActor).options(
                num_cpus=0, num_gpus=NETWORK_GPU if self._gpu else 0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
            ).remote(self._opener)
        return self._networks[node, number]


class NetworkActor:
    """An actor: has the process with the network, and starts it again where it dies."""

    def __init__(self, opener: Callable[[], Network]) -> None:
        self._opener, self._server = opener, None

    def line(self) -> Line:
        """Its address and secret; the first call opens it.

        Raises:
            InferenceError, UsageError, WeightsError: it cannot be opened.
        """
        if self._server is None:
            self._server = InferenceServer(self._opener).__enter__()  # until this process ends, and that one with it
        return self._server.address, bytes(multiprocessing.current_process().authkey)


def connected(switchboard: Any) -> str:
    """The address of a network for this process and those that it starts.

    Args:
        switchboard: handle of a `Switchboard`.

    Raises:
        InferenceError, UsageError, WeightsError: see `Switchboard.line`.
    """
    import ray

    try:
        address, secret = ray.get(switchboard.line.remote(ray.get_runtime_context().get_node_id()))
    except ray.exceptions.RayTaskError as error:
        raise cause_of(error)
    multiprocessing.current_process().authkey = secret
    return address


def cause_of(error: Any) -> Exception:
    """What a task of Ray raised, where it is known."""
    return error.cause if isinstance(getattr(error, "cause", None), Exception) else error
