"""Cores and memory available to this process, also where a container or batch system grants it only a part of the machine."""

from __future__ import annotations

import math
import os
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")  # Linux control groups: of version 2, and below memory/ and cpu/ of version 1
OWN = Path("/proc/self/cgroup")  # lists the groups of this process
MEMORY = Path("/proc/meminfo")
UNLIMITED = 1 << 60  # bytes from which a limit counts as none; version 1 writes no limit as a number near 2^63


def cores() -> int:
    """Number of CPU cores that this process may use, at least 1: the least of its affinity and the CPU quotas of its control groups."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [_numbers(group / "cpu.max") for group in _groups("")]
    limits += [_numbers(group / "cpu.cfs_quota_us") + _numbers(group / "cpu.cfs_period_us") for group in _groups("cpu")]
    shares = [math.ceil(limit[0] / limit[1]) for limit in limits if len(limit) == 2 and limit[0] > 0 < limit[1]]
    return max(1, min([count, *shares]))


def free_memory() -> int | None:
    """Bytes that this process and its children can still allocate without swapping; None if the system does not report it."""
    available = [1024 * int(line.split()[1]) for line in _lines(MEMORY) if line.startswith("MemAvailable:")]
    for version, limit_file, usage_file in (("", "memory.max", "memory.current"), ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes")):
        for group in _groups(version):
            ceiling, usage = _numbers(group / limit_file), _numbers(group / usage_file)
            if ceiling and usage and ceiling[0] < UNLIMITED:
                available.append(max(0, ceiling[0] - usage[0] + _cache(group / "memory.stat")))
    return min(available, default=None)


def _groups(controller: str) -> list[Path]:
    """The folders of this process's control group and of its parents: of version 1 by the controller's name, of version 2 for "".

    A container often sees its own group as the root, under another name than outside: the root is always included.
    """
    root = GROUPS / controller
    for line in _lines(OWN):
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            group = root / path.strip("/")
            return [group, *(folder for folder in group.parents if folder.is_relative_to(root))]
    return [root]


def _cache(stat: Path) -> int:
    """Bytes of cached files in a group's memory, which the system frees on demand."""
    return next((int(line.split()[1]) for line in _lines(stat) if line.startswith("inactive_file ")), 0)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []


def _numbers(path: Path) -> list[int]:
    """The integers of a file's first line, [] if it holds anything else or does not exist."""
    words = " ".join(_lines(path)[:1]).split()
    return [int(word) for word in words] if all(word.lstrip("-").isdigit() for word in words) else []
