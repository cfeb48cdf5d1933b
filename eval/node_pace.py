"""How fast a node is: received to sent against `remove` on the same objects, seconds to its start, memory over many objects.

usage: python eval/node_pace.py [--objects 60] [--rounds 2] [--memory 2000] [-o eval/results/node-pace.json]

`remove` and the node clean the same files with the same options and number of workers, in turn. The node's time begins with the first object on
its way in, when its workers are ready, and ends when the last result is in the destination's folder; that of `remove` is its own, less the start
of its workers, for which a run on one file stands.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from node_faults import Bench, Node, send

WARM_UP = 4  # objects before the time begins: the networks are loaded then


def resident_mb(pid: int) -> float:
    """Resident memory of one process, 10^6 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def of_remove(bench: Bench, paths: list[Path], folder: Path) -> float:
    """Seconds of `remove` for some files."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-m", "markerremover", "remove", *map(str, paths), "-o", str(folder), *bench.options, "--workers", "2"],
                   check=True, capture_output=True)
    return time.monotonic() - begun


def of_node(bench: Bench, paths: list[Path], folder: Path) -> tuple[float, float]:
    """Seconds of a node for some files, over two associations, and to its start."""
    with Node(bench, folder, None, None) as node:
        node.process.kill()
        node.process.wait()
        start = node.start()
        send(node.port, bench.copies(WARM_UP, first=10**6))
        node.settled()
        begun = time.monotonic()
        threads = [threading.Thread(target=send, args=(node.port, paths[part::2])) for part in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        node.until(lambda counts: counts.sent == len(paths) + WARM_UP)
        seconds = time.monotonic() - begun
        node.stop()
    return seconds, start


def memory(bench: Bench, count: int, folder: Path, every: int) -> list[dict[str, float]]:
    """Resident memory of the node's main process and of its workers while many objects go through."""
    from faults import children

    rows = []
    paths = bench.copies(count)
    with Node(bench, folder) as node:
        sender = threading.Thread(target=lambda: [send(node.port, paths[start : start + 100]) for start in range(0, count, 100)], daemon=True)
        sender.start()
        while not rows or rows[-1]["sent"] < count:
            counts = node.counts()
            if not rows or counts.sent >= rows[-1]["sent"] + every or counts.sent == count:
                workers = sum(resident_mb(pid) for pid in children(node.process.pid))
                rows.append({"sent": counts.sent, "main_mb": round(resident_mb(node.process.pid), 1), "workers_mb": round(workers, 1)})
                print(rows[-1], flush=True)
            time.sleep(0.5)
        node.stop()
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--memory", type=int, default=2000, help="objects for the memory; 0: none (default: %(default)s)")
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name).resolve())
        paths, result = bench.copies(args.objects), {"objects": args.objects, "machine": platform.machine(), "remove_s": [], "node_s": [], "start_s": []}
        for turn in range(args.rounds):
            folder = bench.folder / f"round-{turn}"
            folder.mkdir()
            begun = of_remove(bench, paths[:1], folder / "one")
            result["remove_s"].append(round(of_remove(bench, paths, folder / "remove") - begun, 2))
            seconds, start = of_node(bench, paths, folder / "node")
            result["node_s"].append(round(seconds, 2))
            result["start_s"].append(round(start, 2))
            print(result, flush=True)
        ratio = [a / b for a, b in zip(result["remove_s"], result["node_s"])]
        result["pace_of_remove"] = round(statistics.median(ratio), 3)
        if args.memory:
            (bench.folder / "memory").mkdir()
            result["memory"] = memory(bench, args.memory, bench.folder / "memory", max(1, args.memory // 20))
        if args.out:
            args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
