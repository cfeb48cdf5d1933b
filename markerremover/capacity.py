"""What this process may use of the machine: cores and memory, also where a container or batch system grants it a part of them only."""

from __future__ import annotations

import math
import os
from pathlib import Path

GROUPS = Path("/sys/fs/cgroup")  # Linux control groups: of version 2, and below memory/ and cpu/ of version 1
MEMORY = Path("/proc/meminfo")
UNLIMITED = 1 << 60  # bytes; version 1 writes no limit as a number near 2^63


def cores() -> int:
    """CPU cores that this process may use, at least 1: its affinity, and the share of time that its control group has of them."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limits = [_numbers(GROUPS / "cpu.max"), _numbers(GROUPS / "cpu/cpu.cfs_quota_us") + _numbers(GROUPS / "cpu/cpu.cfs_period_us")]
    shares = [math.ceil(limit[0] / limit[1]) for limit in limits if len(limit) == 2 and limit[0] > 0 < limit[1]]
    return max(1, min([count, *shares]))


def free_memory() -> int | None:
    """Bytes that this process and its children can still take without swapping; None where the system does not say."""
    free = [1024 * int(line.split()[1]) for line in _lines(MEMORY) if line.startswith("MemAvailable:")]
    for limit, used in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
        most, now = _numbers(GROUPS / limit), _numbers(GROUPS / used)
        if most and now and most[0] < UNLIMITED:
            free.append(max(0, most[0] - now[0] + _cache(GROUPS / limit)))
    return min(free, default=None)


def _cache(limit: Path) -> int:
    """Bytes of files that the group's memory holds and gives back when asked, as in the file memory.stat beside its limit."""
    return next((int(line.split()[1]) for line in _lines(limit.with_name("memory.stat")) if line.startswith("inactive_file ")), 0)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return []


def _numbers(path: Path) -> list[int]:
    """The whole numbers of a file's first line, [] where it has anything else or is not there."""
    words = " ".join(_lines(path)[:1]).split()
    return [int(word) for word in words] if all(word.lstrip("-").isdigit() for word in words) else []
