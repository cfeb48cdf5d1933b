"""How much of a machine is taken: cores and memory as granted, and the processes that they are good for."""

from __future__ import annotations

import fakes
import pytest

from markerremover.options import RunOptions
from markerremover.records import Policy
from markerremover.run import batch, workers
from markerremover.system import capacity

GB = 1_000_000_000


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Says what a machine's files hold; it has 8 cores and nothing else yet."""
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(capacity, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(capacity, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(capacity, "OWN", tmp_path / "own")

    def says(**files):
        for name, text in files.items():
            fakes.put(tmp_path / name.replace("__", "/").replace("_dot_", "."), text.encode())

    return says


@pytest.mark.parametrize(("files", "cores"), [
    ({}, 8), ({"groups__cpu_dot_max": "max 100000\n"}, 8), ({"groups__cpu_dot_max": "250000 100000\n"}, 3), ({"groups__cpu_dot_max": "50000 100000\n"}, 1),
    ({"groups__cpu_dot_max": "9900000 100000\n"}, 8), ({"groups__cpu_dot_max": "word salad\n"}, 8), ({"groups__cpu_dot_max": ""}, 8),
    ({"groups__cpu__cpu_dot_cfs_quota_us": "400000\n", "groups__cpu__cpu_dot_cfs_period_us": "100000\n"}, 4),
    ({"groups__cpu__cpu_dot_cfs_quota_us": "-1\n", "groups__cpu__cpu_dot_cfs_period_us": "100000\n"}, 8),
    ({"groups__cpu__cpu_dot_cfs_quota_us": "400000\n"}, 8),
], ids=str)
def test_cores_are_those_that_are_granted(machine, files, cores):
    machine(**files)
    assert capacity.cores() == cores


def test_memory_is_what_the_machine_and_the_group_both_have(machine):
    assert capacity.free_memory() is None, "nothing is known"
    machine(meminfo="MemTotal:       16000000 kB\nMemFree:          100000 kB\nMemAvailable:    8000000 kB\n")
    assert capacity.free_memory() == 8_192_000_000
    machine(groups__memory_dot_max="max\n", groups__memory_dot_current="123\n")
    assert capacity.free_memory() == 8_192_000_000, "no limit"
    machine(groups__memory_dot_max=f"{4 * GB}\n", groups__memory_dot_current=f"{3 * GB}\n")
    assert capacity.free_memory() == GB
    machine(groups__memory_dot_stat=f"anon 5\ninactive_file {GB // 2}\n")
    assert capacity.free_memory() == 3 * GB // 2, "files that were read are not in the way"
    machine(groups__memory__memory_dot_limit_in_bytes=f"{GB}\n", groups__memory__memory_dot_usage_in_bytes=f"{2 * GB}\n")
    assert capacity.free_memory() == 0
    machine(groups__memory__memory_dot_limit_in_bytes=f"{(1 << 63) - 4096}\n")
    assert capacity.free_memory() == 3 * GB // 2, "how version 1 says that there is no limit"


def test_a_batch_jobs_groups_lie_below_the_root(machine):
    machine(own="0::/slurm/job_7/step\n", groups__slurm__job_7__memory_dot_max=f"{3 * GB}\n", groups__slurm__job_7__memory_dot_current=f"{GB}\n",
        groups__slurm__cpu_dot_max="300000 100000\n", groups__other__cpu_dot_max="100000 100000\n")
    assert capacity.free_memory() == 2 * GB and capacity.cores() == 3
    machine(own="4:cpu,cpuacct:/job\n3:memory:/job\n", groups__memory__job__memory_dot_limit_in_bytes=f"{GB}\n",
        groups__memory__job__memory_dot_usage_in_bytes="0\n", groups__cpu__job__cpu_dot_cfs_quota_us="200000\n",
        groups__cpu__job__cpu_dot_cfs_period_us="100000\n")
    assert capacity.free_memory() == GB and capacity.cores() == 2


def test_as_many_processes_as_cores_files_and_memory_are_good_for(machine):
    assert [workers.fitting(files) for files in (0, 1, 15, 16, 40, 1000)] == [1, 1, 1, 2, 5, 8], "nothing is known of the memory"
    machine(meminfo="MemAvailable:    3500000 kB\n")
    assert workers.fitting(1000) == 3 and workers.fitting(1000, second_look=True) == 2 and workers.fitting(1) == 1
    machine(meminfo="MemAvailable:    100 kB\n")
    assert workers.fitting(1000) == 1


@pytest.mark.parametrize(("more", "count"), [({}, 2), ({"shard": (1, 2)}, 1)], ids=str)
def test_a_run_that_is_not_told_how_many_takes_what_fits(machine, tmp_path, more, count):
    for number in range(16):
        fakes.put(tmp_path / "in" / f"{number}.png", fakes.png(fakes.radiograph(number)))
    options = RunOptions(policy=Policy(keep=()), workers=None, **more)
    summary = batch.remove([tmp_path / "in"], tmp_path / "out", options=options, open_cleaner=fakes.cleaner)
    assert summary["options"]["workers"] == count and summary["counts"]["cleaned"] == summary["counts"]["inputs"] > 0
    assert options.workers is None and RunOptions().workers == 1, "who calls the library is not started anew unasked"
