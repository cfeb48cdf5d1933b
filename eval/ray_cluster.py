"""A Ray cluster of two nodes on this machine loses one in the middle of a run: is every file done exactly once?

usage: python eval/ray_cluster.py [--count 24] [--workers 2] [--trials NAME ...] [-o eval/results/ray-cluster.json]

Synthetic radiographs are cleaned by the local engine (the reference) and by the Ray engine on two nodes, each with its own raylet on
loopback, with the shipped weights and the same key. As soon as a third of the outputs is there, all processes of the second node are
killed. Then every input must have exactly one row, OUT must hold exactly the files of the reference, byte for byte, the rows must be the
reference's but for their timings, and `--resume` by the local engine must find nothing to do. The same without a kill, and with networks
that are actors of their own, as on GPUs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from markerremover.audit import manifest_files
from markerremover.synthesis import synthesize
from markerremover.system.files import write_private

SIZE, SEED, PATIENCE_S = (384, 384), 11, 1500
STORE_BYTES = 80 << 20
#: Trial -> whether the second node is killed, and further arguments of the command.
TRIALS = {
    "no fault": (False, ()), "second node killed": (True, ()), "second node killed, networks as actors": (True, ("--batch", "2")),
}


def remove(source: Path, out: Path, key: Path, *more: str) -> subprocess.Popen:
    """A run of the command line."""
    command = [sys.executable, "-m", "markerremover", "remove", str(source), "-o", str(out), "--key", str(key), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def files(folder: Path) -> dict[str, bytes]:
    """Relative path -> content of every file below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()} if folder.is_dir() else {}


def rows(out: Path) -> list[dict[str, Any]]:
    """The manifest's rows without timings, sorted by path; every one of them, so that a second row of a file shows."""
    found = manifest_files.read_manifest(out.with_name(out.name + "-audit") / manifest_files.MANIFEST)
    return sorted(({k: v for k, v in row.items() if k != "timings_ms"} for row in found), key=lambda row: row["relative"])


def on_cluster(source: Path, out: Path, key: Path, workers: int, kill_at: int | None, *more: str) -> dict[str, Any]:
    """One run on two nodes; with `kill_at`, the second is killed once so many outputs are there. `more` goes to the command."""
    from ray.cluster_utils import Cluster

    start = time.perf_counter()
    room = {"num_cpus": -(-workers // 2), "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=room)
    second = cluster.add_node(**{k: v for k, v in room.items() if k != "include_dashboard"})
    cluster.wait_for_nodes()
    said: dict[str, Any] = {"killed_at": None}
    try:
        run = remove(source, out, key, "--engine", "ray", "--ray-address", cluster.address, "--workers", str(workers), *more)
        while run.poll() is None and time.perf_counter() - start < PATIENCE_S:
            done = len(files(out))
            if kill_at is not None and said["killed_at"] is None and done >= kill_at:
                cluster.remove_node(second, allow_graceful=False)
                said["killed_at"] = done
            time.sleep(0.2)
        said["exit"] = run.poll()
        if run.poll() is None:
            run.kill()
        said["last_words"] = (run.communicate()[0] or "").strip().splitlines()[-12:]
    finally:
        cluster.shutdown()
    return said | {"seconds": round(time.perf_counter() - start, 1)}


def main() -> int:
    """Run the trials; 1 if one of them broke a promise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=24, help="radiographs (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="actors, on two nodes (default: %(default)s)")
    parser.add_argument("--trials", nargs="+", choices=TRIALS, default=list(TRIALS), help="which (default: all)")
    parser.add_argument("-o", "--out", type=Path, help="write the result as JSON")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        key = folder / "key"
        write_private(key, "5a" * 32 + "\n")
        synthesize(folder / "made", args.count, SEED, split="eval", formats=("png", "dcm"), size=SIZE)
        source = folder / "made" / "images"
        end = remove(source, folder / "local", key)
        end.communicate()
        wanted, wanted_rows = files(folder / "local"), rows(folder / "local")
        trials = []
        for name in args.trials:
            kills, more = TRIALS[name]
            kill_at = args.count // 3 if kills else None
            out = folder / name.replace(" ", "-").replace(",", "")
            said = on_cluster(source, out, key, args.workers, kill_at, *more)
            said |= {
                "trial": name, "rows": len(rows(out)),
                "once": [row["relative"] for row in rows(out)] == [row["relative"] for row in wanted_rows],
                "same_files": files(out) == wanted, "same_rows": rows(out) == wanted_rows,
            }
            again = remove(source, out, key, "--resume")
            again.communicate()
            summary = json.loads((out.with_name(out.name + "-audit") / manifest_files.SUMMARY).read_text())
            said["resume_took_over"] = summary["resumed"]
            good = said["exit"] == end.returncode and said["once"] and said["same_files"] and said["same_rows"]
            good = good and len(wanted_rows) == args.count and summary["resumed"] == len(wanted) > 0
            said["held"] = good and (kill_at is None or said["killed_at"] is not None)
            trials.append(said)
            print(json.dumps(said), flush=True)
        if args.out:
            kept = [{k: v for k, v in trial.items() if k != "last_words"} for trial in trials]
            args.out.write_text(json.dumps({"files": args.count, "workers": args.workers, "nodes": 2, "trials": kept}, indent=1) + "\n")
        return 0 if all(trial["held"] for trial in trials) else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
