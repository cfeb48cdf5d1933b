"""Jobs in, outcomes out, on the machines of a Ray cluster: the same code a file as on one machine, through Ray Data.

Only paths and outcomes pass between the stages, never whole pictures: every machine must see the inputs, OUT, the audit folder and the
weights under the same paths, and have this version of the package.

    paths -> clean (one actor a worker; the networks are loaded once in each) -> confirm (a task; the output is read once more)

On GPUs the localizer's network is a stage of its own, see `ray_network`: one actor a GPU has it, and who cleans on that machine takes CPUs
and asks it. Either kind has as many as its own resource allows.

An actor that cleans does so in a process of its own, as the local engine does, so that a file that kills or hangs it ends failed and nothing else
does. Where a machine is lost, its files are given out again to those that are left: they are cleaned from the start, and the one output
and the one row that come of each are the same.
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
CLEAN_CPUS, CONFIRM_CPUS = 0.9, 0.1  # of a core: an actor leaves room for the task that follows it, or neither would ever go on
CONFIRMING = 8  # actors whose outputs one task at a time confirms
GPUS = ("cuda", "tensorrt")
GPU_SHARE = 0.25  # of a GPU that an actor takes which has a network of its own (--batch 1)
LARGEST_BLOCK, BLOCKS_EACH = 16, 8  # files that are given out together at most, and in how many portions a worker gets its own
ROUNDS = 5  # in a row without a single outcome, of giving out files whose machine was lost; a file that kills its process does not count, it is failed at once
STORE_BYTES = 100 << 20  # object store of a Ray of our own: paths and outcomes are small
UNCONFIRMED = "its output does not read back from the storage as it was written"
LOST = "Ray gave no outcome for it"


class OnRay:
    """A `workers.Crew` of the machines of a Ray cluster.

    Args:
        options: `workers` is the number of actors that clean; with `ray_address` they are those of that cluster's machines, else of a Ray
            that is started here and ended afterwards. Where a batch is more than one picture, on GPUs by default, networks are actors too.
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

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)

    def equipment(self) -> Equipment:
        """What a machine of the cluster cleans with.

        Raises:
            UsageError, WeightsError: it cannot be opened there.
        """
        if self._equipment is None:
            task = self._ray.remote(num_cpus=CLEAN_CPUS, max_calls=1, max_retries=ROUNDS, **_gpus(self._options))(_equipped)
            try:
                self._equipment = self._ray.get(task.remote(self._open, threads_each(self._options.workers), self._lines(), __version__))
            except self._ray.exceptions.RayTaskError as error:
                raise cause_of(error) from None
            except self._ray.exceptions.RayError as error:
                raise UsageError(f"no machine of the Ray cluster can open what cleans ({type(error).__name__})") from error
        return self._equipment

    def clean(self, jobs: Sequence[Job], place: Place) -> Iterator[Outcome]:
        """One outcome a job, as they finish."""
        waiting, sha256, left = {job.relative: job for job in jobs}, self.equipment().sha256, ROUNDS
        while waiting and left:
            left -= 1
            try:
                for outcome in _outcomes(self._ray, list(waiting.values()), place, (self._open, sha256, self._lines(), __version__)):
                    if waiting.pop(outcome.relative, None):
                        left = ROUNDS
                        yield outcome
            except self._ray.exceptions.RayError as error:  # no actor can be started, say; its message may quote paths
                log.error("Ray broke off: %s", type(error).__name__)
            if waiting:
                log.warning("%d files had no outcome; they are given out again", len(waiting))
        for relative in sorted(waiting):
            yield Outcome(relative, "failed", LOST)

    def _lines(self) -> Lines | None:
        """Of the networks that are actors, None where each worker has its own."""
        return self._networks.lines() if self._networks else None


@contextmanager
def _connected(options) -> Iterator[Any]:
    """Ray, connected to the cluster of the options or started here, with as few words as possible.

    Raises:
        UsageError: see `OnRay`.
    """
    os.environ.update(ENVIRONMENT)  # Ray tells nobody of its use
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or Ray warns that it will hide no GPU from tasks in time to come
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise UsageError(f"{HINT} ({error.name or type(error).__name__} is missing)") from error
    if ray.is_initialized():
        raise UsageError("Ray is in use in this process already; end it first (ray.shutdown())")
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if options.ray_address:
            ray.init(address=options.ray_address, **quiet)
        else:
            ray.init(address="local", num_cpus=options.workers, object_store_memory=STORE_BYTES, include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(f"no Ray cluster at {options.ray_address or 'this machine'} ({type(error).__name__})") from error
    try:
        _check_resources(ray.cluster_resources(), options)
        yield ray
    finally:
        ray.shutdown()


def _check_resources(there: dict[str, float], options) -> None:
    """Refuse what would wait for ever.

    Raises:
        UsageError: fewer CPUs than workers, or a GPU is asked for and there is none.
    """
    if there.get("CPU", 0) < options.workers:
        raise UsageError(f"the Ray cluster has {there.get('CPU', 0):g} CPUs, fewer than the {options.workers} workers")
    own = options.batch == 1
    if options.device in GPUS and there.get("GPU", 0) < (GPU_SHARE * options.workers if own else 1):
        needed = f"{options.workers} workers at {GPU_SHARE} each" if own else "a network"
        raise UsageError(f"the Ray cluster has {there.get('GPU', 0):g} GPUs, too few for {needed}")


def _gpus(options: RunOptions) -> dict[str, float]:
    """What of a GPU an actor takes that cleans."""
    return {"num_gpus": GPU_SHARE if options.batch == 1 else CLEAN_GPU} if options.device in GPUS else {}


def _outcomes(ray, jobs: Sequence[Job], place: Place, equipment: tuple) -> Iterator[Outcome]:
    """What comes out of the stages; jobs of a block that Ray gives up have none.

    Args:
        equipment: further arguments of `_Actor`.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.enable_operator_progress_bars = False
    context.max_errored_blocks = -1  # the files of such a block come back without outcome, the run continues
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    count = max(1, min(place.options.workers, int(ray.cluster_resources().get("CPU", 1))))  # machines may be gone since the start
    here = replace(place.options, overwrite=not (place.options.resume or place.options.dry_run))  # a file may be cleaned twice
    size = max(1, min(LARGEST_BLOCK, len(jobs) // (count * BLOCKS_EACH)))
    rows = [{"source": os.fsencode(job.source), "relative": os.fsencode(job.relative)} for job in jobs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how retries are named changes from one version to the next
        cleaned = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // size)).map_batches(
            _Actor, fn_constructor_args=(place._replace(options=here), *equipment), batch_size=None,
            compute=ray.data.ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=1), num_cpus=CLEAN_CPUS,
            max_task_retries=0, **_gpus(place.options),  # an actor starts anew when there is room for it; what it had goes to the next round
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
    """The outcomes; those whose output does not have the hash that it was written with, seen from wherever this runs, are failed."""
    return {"outcome": [pickle.dumps(_confirmed_one(pickle.loads(packed), out, dry_run)) for packed in batch["outcome"]]}


def _confirmed_one(outcome: Outcome, out: Path, dry_run: bool) -> Outcome:
    if dry_run or not outcome.sha256_out or outcome.status in ("held", "failed"):
        return outcome
    try:
        same = sha256_file(out / outcome.relative) == outcome.sha256_out
    except OSError:
        same = False
    return outcome if same else Outcome(outcome.relative, "failed", UNCONFIRMED)


def _maker(open_cleaner: Callable[..., Cleaner], lines: Lines | None, version: str) -> Callable[[int], Cleaner]:
    """What makes a cleaner on this machine of the cluster, with a network of its own or one of those of `lines`.

    Raises:
        UsageError: this machine has another version of the package.  InferenceError, WeightsError: see `ray_network.connected`.
    """
    if version != __version__:
        raise UsageError(f"a machine of the cluster has version {__version__} of markerremover, the run has {version}")
    return open_cleaner if lines is None else functools.partial(open_cleaner, server=connected(lines))


def _equipped(open_cleaner: Callable[..., Cleaner], threads: int, lines: Lines | None, version: str) -> Equipment:
    """A task: what a machine cleans with."""
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
