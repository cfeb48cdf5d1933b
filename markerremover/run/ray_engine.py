"""Jobs in, outcomes out, on the machines of a Ray cluster: the same code per file as on one machine, through Ray Data.

Only paths and outcomes pass between the stages, never whole pictures: every machine must see the inputs, OUT, the audit folder and the
weights under the same paths, and have this version of the package.

    paths -> clean (one actor per worker; the networks are loaded once in each) -> confirm (a task; the output is read once more)

On GPUs the localizer's network is a stage of its own, see `ray_network`: one actor per GPU has it, and the cleaning actors on that machine
use CPUs and call it. There are as many of either kind as its resource allows.

A cleaning actor works in a process of its own, as the local engine does: a file that crashes or hangs it is marked failed, and the others are
not affected. Files of a lost machine are distributed again to the remaining ones; they are cleaned from the start, and each has one output
and one row.
"""

from __future__ import annotations

import functools
import logging
import os
import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from .. import __version__
from ..errors import UsageError
from ..inference.server import opener_of, shared_batch
from ..options import RunOptions
from ..records import Outcome
from ..redaction.cleaning import Cleaner
from ..system.files import sha256_file
from ..system.telemetry import ENVIRONMENT
from .ray_network import CLEAN_GPU, Lines, Networks, cause_of, connected
from .workers import Equipment, Job, OneByOne, Place, equipment, threads_each

__all__ = ["OnRay"]

log = logging.getLogger(__name__)

HINT = "the Ray engine needs the extra 'ray': pip install 'markerremover[ray]'"
CLEAN_CPUS, CONFIRM_CPUS = 0.9, 0.1  # share of a core: an actor leaves room for the task after it, else both would wait for ever
CONFIRMING = 8  # number of actors whose outputs are confirmed by one task at a time
GPUS = ("cuda", "tensorrt")
GPU_SHARE = 0.25  # share of a GPU for an actor with a network of its own (--batch 1)
LARGEST_BLOCK, BLOCKS_EACH = 16, 8  # files that are given out together at most, and in how many portions a worker gets its own
ROUNDS = 5  # in a row without a single outcome, of giving out files whose machine was lost; a file that kills its process does not count, it is failed at once
STORE_BYTES = 100 << 20  # object store of a Ray of our own: paths and outcomes are small
UNCONFIRMED = "its output does not read back from the storage as it was written"
LOST = "Ray gave no outcome for it"


class OnRay:
    """A `workers.Crew` on the machines of a Ray cluster.

    Args:
        options: `workers` is the number of cleaning actors; with `ray_address` they run on that cluster's machines, else on a local Ray that
            is started here and ended afterwards. With batches of more than one picture, the default on GPUs, networks are actors too.
        open_cleaner: importable by name; called once in each actor's process, as open_cleaner(threads) or, with networks that are
            actors, open_cleaner(threads, server=address).
    """

    def __init__(self, options: RunOptions, open_cleaner: Callable[..., Cleaner]) -> None:
        self._options, self._open, self._stack = options, open_cleaner, ExitStack()
        self._equipment: Equipment | None = None

    def __enter__(self) -> OnRay:
        """Raises UsageError where Ray is missing, the cluster cannot be reached, or it has too few CPUs or no GPU."""
        batch = shared_batch(self._options)
        self._ray = self._stack.enter_context(_connected(self._options))
        self._networks = Networks(opener_of(self._options, batch, threads_each(1)), self._options.device in GPUS) if batch > 1 else None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, trace)

    def equipment(self) -> Equipment:
        """The equipment of a machine of the cluster.

        Raises:
            UsageError, WeightsError: it cannot be opened there.
        """
        if self._equipment is None:
            task = self._ray.remote(num_cpus=CLEAN_CPUS, max_calls=1, max_retries=ROUNDS, **_gpus(self._options))(_equipped)
            try:
                self._equipment = self._ray.get(task.remote(self._open, threads_each(self._options.process_count), self._lines(), __version__))
            except self._ray.exceptions.RayTaskError as error:
                raise cause_of(error) from None
            except self._ray.exceptions.RayError as error:
                raise UsageError(f"no machine of the Ray cluster can open what cleans ({type(error).__name__})") from error
        return self._equipment

    def clean(self, jobs: Sequence[Job], place: Place) -> Iterator[Outcome]:
        """One outcome per job, as they finish."""
        waiting, sha256, rounds_left = {job.relative: job for job in jobs}, self.equipment().sha256, ROUNDS
        while waiting and rounds_left:
            rounds_left -= 1
            try:
                for outcome in _outcomes(self._ray, list(waiting.values()), place, (self._open, sha256, self._lines(), __version__)):
                    if waiting.pop(outcome.relative, None):
                        rounds_left = ROUNDS
                        yield outcome
            except self._ray.exceptions.RayError as error:  # for example no actor can be started; its message may quote paths
                log.error("Ray broke off: %s", type(error).__name__)
            if waiting:
                log.warning("%d files had no outcome; they are distributed again", len(waiting))
        for relative in sorted(waiting):
            yield Outcome(relative, "failed", LOST)

    def _lines(self) -> Lines | None:
        """Addresses of the networks that are actors, None where each worker has its own network."""
        return self._networks.lines() if self._networks else None


@contextmanager
def _connected(options: RunOptions) -> Iterator[Any]:
    """Ray, connected to the cluster of the options or started here, with as few messages as possible.

    Raises:
        UsageError: see `OnRay`.
    """
    os.environ.update(ENVIRONMENT)  # turns Ray's telemetry off
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # avoids a warning of Ray that future versions hide no GPU from tasks
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UsageError(f"{HINT} ({error.name or type(error).__name__} is missing)") from error
    if ray.is_initialized():
        raise UsageError("Ray is in use in this process already; end it first (ray.shutdown())")
    try:
        if options.ray_address:
            ray.init(address=options.ray_address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(
                address="local", num_cpus=options.process_count, object_store_memory=STORE_BYTES, include_dashboard=False, log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(f"no Ray cluster at {options.ray_address or 'this machine'} ({type(error).__name__})") from error
    try:
        _check_resources(ray.cluster_resources(), options)
        yield ray
    finally:
        ray.shutdown()


def _check_resources(available: dict[str, float], options: RunOptions) -> None:
    """Refuse a run that would wait for ever.

    Raises:
        UsageError: fewer CPUs than workers, or a GPU is asked for and there is none.
    """
    if available.get("CPU", 0) < options.process_count:
        raise UsageError(f"the Ray cluster has {available.get('CPU', 0):g} CPUs, fewer than the {options.workers} workers")
    one_each = options.batch == 1
    if options.device in GPUS and available.get("GPU", 0) < (GPU_SHARE * options.process_count if one_each else 1):
        needed = f"{options.workers} workers at {GPU_SHARE} each" if one_each else "a network"
        raise UsageError(f"the Ray cluster has {available.get('GPU', 0):g} GPUs, too few for {needed}")


def _gpus(options: RunOptions) -> dict[str, float]:
    """The share of a GPU that a cleaning actor reserves, as an option of Ray."""
    return {"num_gpus": GPU_SHARE if options.batch == 1 else CLEAN_GPU} if options.device in GPUS else {}


def _outcomes(ray, jobs: Sequence[Job], place: Place, equipment: tuple) -> Iterator[Outcome]:
    """The outcomes of the stages; jobs of a block that Ray gives up have none.

    Args:
        equipment: further arguments of `_Actor`.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.enable_operator_progress_bars = False
    context.max_errored_blocks = -1  # files of a failed block have no outcome; the run continues
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    count = max(1, min(place.options.process_count, int(ray.cluster_resources().get("CPU", 1))))  # machines may have been lost since the start
    repeatable = replace(place.options, overwrite=not (place.options.resume or place.options.dry_run))  # a file may be cleaned twice
    size = max(1, min(LARGEST_BLOCK, len(jobs) // (count * BLOCKS_EACH)))
    rows = [{"source": os.fsencode(job.source), "relative": os.fsencode(job.relative)} for job in jobs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the name of the option for retries differs between versions
        cleaned = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // size)).map_batches(
            _Actor, fn_constructor_args=(place._replace(options=repeatable), *equipment), batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=1), num_cpus=CLEAN_CPUS,
            max_task_retries=0, **_gpus(place.options),  # a lost actor is restarted when there is room; its jobs are repeated in the next round
        )
    confirmed = cleaned.map_batches(
        _confirmed, fn_kwargs={"out": place.out, "dry_run": place.options.dry_run}, batch_size=None, num_cpus=CONFIRM_CPUS,
        compute=ray.data.TaskPoolStrategy(size=-(-count // CONFIRMING)),  # each starts a process
    )
    for batch in confirmed.iter_batches(batch_size=None, prefetch_batches=0, batch_format="numpy"):
        for packed in batch["outcome"]:
            yield pickle.loads(packed)


class _Actor:
    """One worker: cleans the files of one block after the other."""

    def __init__(self, place: Place, open_cleaner: Callable[..., Cleaner], sha256: str, lines: Lines | None, version: str) -> None:
        make = _maker(open_cleaner, lines, version)
        self._bench = OneByOne(place, functools.partial(_same_weights, make, sha256))

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[bytes]]:
        jobs = [Job(Path(os.fsdecode(s)), os.fsdecode(r)) for s, r in zip(batch["source"], batch["relative"])]
        return {"outcome": [pickle.dumps(self._bench.clean(job)) for job in jobs]}


def _confirmed(batch: dict[str, np.ndarray], out: Path, dry_run: bool) -> dict[str, list[bytes]]:
    """The outcomes; those whose output, read on this machine, does not have the hash of the written one are marked failed."""
    return {"outcome": [pickle.dumps(_confirmed_one(pickle.loads(packed), out, dry_run)) for packed in batch["outcome"]]}


def _confirmed_one(outcome: Outcome, out: Path, dry_run: bool) -> Outcome:
    if dry_run or not outcome.sha256_out or outcome.status in ("held", "failed"):
        return outcome
    try:
        is_same = sha256_file(out / outcome.relative) == outcome.sha256_out
    except OSError:
        is_same = False
    return outcome if is_same else Outcome(outcome.relative, "failed", UNCONFIRMED)


def _maker(open_cleaner: Callable[..., Cleaner], lines: Lines | None, version: str) -> Callable[[int], Cleaner]:
    """A function that makes a cleaner on this machine of the cluster, with a network of its own or one of `lines`.

    Raises:
        UsageError: this machine has another version of the package.  InferenceError, WeightsError: see `ray_network.connected`.
    """
    if version != __version__:
        raise UsageError(f"a machine of the cluster has version {__version__} of markerremover, the run has {version}")
    return open_cleaner if lines is None else functools.partial(open_cleaner, server=connected(lines))


def _equipped(open_cleaner: Callable[..., Cleaner], threads: int, lines: Lines | None, version: str) -> Equipment:
    """A task: the equipment of a machine."""
    return equipment(_maker(open_cleaner, lines, version)(threads))


def _same_weights(open_cleaner: Callable[[int], Cleaner], sha256: str, threads: int) -> Cleaner:
    """A cleaner with the weights of the run.

    Raises:
        UsageError: the machine has others.
    """
    cleaner = open_cleaner(threads)
    if str(getattr(cleaner.detector, "sha256", "")) != sha256:
        raise UsageError("this machine has other weights than the run")
    return cleaner
