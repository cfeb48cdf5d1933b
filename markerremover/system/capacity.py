"""What this process may use of the machine: cores and memory, also where a container or batch system grants it a part of them only."""

from __future__ import annotations

import math
import os
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")  # Linux control groups: of version 2, and below memory/ and cpu/ of version 1
OWN = Path("/proc/self/cgroup")  # which of them this process is in
MEMORY = Path("/proc/meminfo")
UNLIMITED = 1 << 60  # bytes; version 1 writes no limit as a number near 2^63


def cores() -> int:
    """CPU cores that this process may use, at least 1: its affinity, and the share of time that its control groups have of them."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [_numbers(group / "cpu.max") for group in _groups("")]
    limits += [_numbers(group / "cpu.cfs_quota_us") + _numbers(group / "cpu.cfs_period_us") for group in _groups("cpu")]
    shares = [math.ceil(limit[0] / limit[1]) for limit in limits if len(limit) == 2 and limit[0] > 0 < limit[1]]
    return max(1, min([count, *shares]))


def free_memory() -> int | None:
    """Bytes that this process and its children can still take without swapping; None where the system does not say."""
    free = [1024 * int(line.split()[1]) for line in _lines(MEMORY) if line.startswith("MemAvailable:")]
    for version, limit, used in (("", "memory.max", "memory.current"), ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes")):
        for group in _groups(version):
            most, now = _numbers(group / limit), _numbers(group / used)
            if most and now and most[0] < UNLIMITED:
                free.append(max(0, most[0] - now[0] + _cache(group / "memory.stat")))
    return min(free, default=None)


def _groups(controller: str) -> list[Path]:
    """The folders of the group that this process is in and of those around it: of version 1 by its controller, of version 2 for "".

    A container often shows its own group as the root, whatever it is called outside: the root counts always.
    """
    root = GROUPS / controller
    for line in _lines(OWN):
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            own = root / path.strip("/")
            return [own, *(folder for folder in own.parents if folder.is_relative_to(root))]
    return [root]


def _cache(stat: Path) -> int:
    """Bytes of files that a group's memory holds and gives back when asked."""
    return next((int(line.split()[1]) for line in _lines(stat) if line.startswith("inactive_file ")), 0)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []


def _numbers(path: Path) -> list[int]:
    """The whole numbers of a file's first line, [] where it has anything else or is not there."""
    words = " ".join(_lines(path)[:1]).split()
    return [int(word) for word in words] if all(word.lstrip("-").isdigit() for word in words) else []
