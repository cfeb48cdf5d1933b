"""A node under steady load with small troubles, and whether its numbers, memory and open files stay as they should.

usage: python eval/node_soak.py [--minutes 20] [--per-minute 60] [--trouble-s 60] [--seed 1] [-o eval/results/node-soak.json]

Small synthetic DX objects come over two associations at a steady rate; of ten, one is a CT image, which is held, and one comes again. Every
`--trouble-s` seconds something goes wrong, in turn: the destination is not there for a while, the node is ended and started, the node is killed,
an association is aborted. Once a second the counts are read from another process and must reconcile. At the end every object that was answered
with Success is sent or held, every result is in the destination once, and nothing else. What longer soaks are for: NODE_SOAK.md.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import random
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import pydicom
from faults import Broken, children, demand
from node_faults import DX, Bench, Node, send
from node_pace import resident_mb

KINDS = ("destination", "restart", "kill", "abort")
AWAY_S = 15.0  # how long the destination is away


class Load:
    """Two threads that send objects at a rate until they are stopped; `answered` has the SOP Instance UIDs that were answered with Success."""

    def __init__(self, bench: Bench, node: Node, per_minute: float, seed: int) -> None:
        self.bench, self.node, self.pause_s, self.draw = bench, node, 120 / per_minute, random.Random(seed)
        self.answered: dict[str, bool] = {}  # UID -> whether it is held
        self.refused = 0
        self._numbers, self._lock, self._stopping = itertools.count(), threading.Lock(), threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(2)]
        (bench.folder / "load").mkdir()

    def _object(self) -> tuple[Path, str, bool]:
        """A new object: its file, its UID, and whether it is to be held."""
        with self._lock:
            number = next(self._numbers)
        held = number % 10 == 9
        dataset = pydicom.dcmread(self.bench.inputs[number % len(self.bench.inputs)])
        uid = dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.{10**20 + number}"
        if held:
            dataset.Modality, dataset.SOPClassUID, dataset.file_meta.MediaStorageSOPClassUID = "CT", DX, DX
        path = self.bench.folder / "load" / f"{number:06d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        return path, uid, held

    def _work(self) -> None:
        while not self._stopping.is_set():
            path, uid, held = self._object()
            again = 1 + (uid.endswith("4"))  # one of ten comes twice
            for _ in range(again):
                while not self._stopping.is_set():
                    status = send(self.node.port, [path]).get(path)
                    if status == 0:
                        with self._lock:
                            self.answered[uid] = held
                        break
                    with self._lock:
                        self.refused += 1
                    self._stopping.wait(1.0)
            path.unlink()
            self._stopping.wait(self.pause_s * self.draw.uniform(0.5, 1.5))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(120)




def trouble(kind: str, node: Node) -> None:
    """One thing goes wrong, and is over when this returns."""
    if kind == "destination":
        away = node.sent.with_name("away")
        node.sent.rename(away)
        time.sleep(AWAY_S)
        away.rename(node.sent)
    elif kind == "restart":
        node.stop()
        node.start()
    elif kind == "kill":
        node.kill()
        node.start()
    else:
        from pynetdicom import AE

        entity = AE("SENDER")
        entity.add_requested_context(DX)
        association = entity.associate("127.0.0.1", node.port, ae_title="MARKERREMOVER")
        association.abort()


def sample(node: Node, since: float) -> dict[str, float] | None:
    """Numbers of this moment; None while the node is not running or its index cannot be opened."""
    try:
        counts = node.counts()
        below = children(node.process.pid)
        return {
            "s": round(time.monotonic() - since), "accepted": counts.accepted, "waiting": counts.received + counts.working, "sent": counts.sent, "held": counts.held,
            "failed": counts.failed, "reconciles": counts.reconciles, "main_mb": round(resident_mb(node.process.pid), 1),
            "workers_mb": round(sum(resident_mb(pid) for pid in below), 1), "open_files": len(os.listdir(f"/proc/{node.process.pid}/fd")),
            "spool_mb": round(sum(path.stat().st_size for path in node.spool.rglob("*") if path.is_file()) / 1e6, 2),
        }
    except (OSError, sqlite3.Error):
        return None


def soak(minutes: float, per_minute: float, trouble_s: float, seed: int, folder: Path) -> dict:
    bench = Bench(folder)
    (folder / "node").mkdir()
    rows: list[dict] = []
    troubles: Counter[str] = Counter()
    with Node(bench, folder / "node") as node:
        load, begun = Load(bench, node, per_minute, seed), time.monotonic()
        load.start()
        kinds, next_trouble = itertools.cycle(KINDS), begun + trouble_s
        while time.monotonic() < begun + 60 * minutes:
            row = sample(node, begun)
            if row:
                demand(bool(row["reconciles"]), f"the counts do not reconcile: {row}")
                if not rows or row["s"] >= rows[-1]["s"] + 10:
                    rows.append(row)
                    print(row, flush=True)
            if time.monotonic() >= next_trouble:
                kind = next(kinds)
                trouble(kind, node)
                troubles[kind] += 1
                next_trouble = time.monotonic() + trouble_s
            time.sleep(1)
        load.stop()
        node.settled()
        counts, results = node.counts(), list(node.sent.iterdir())
        wanted = Counter("held" if held else "sent" for held in load.answered.values())
        demand(counts.accepted == len(load.answered), f"{len(load.answered)} objects were answered with Success, {counts.accepted} are in the index")
        demand((counts.sent, counts.held, counts.failed) == (wanted["sent"], wanted["held"], 0), f"{counts}, expected {wanted}")
        demand(len(results) == counts.sent and all(path.suffix == ".dcm" for path in results), f"{len(results)} results for {counts.sent} sent objects")
        node.stop()
    steady = [row for row in rows if row["waiting"] < 2 * per_minute]
    return {
        "minutes": minutes, "per_minute": per_minute, "machine": platform.machine(), "cores": os.cpu_count(), "seed": seed, "troubles": dict(troubles),
        "accepted": counts.accepted, "came_again": counts.duplicates, "sent": counts.sent, "held": counts.held, "failed": counts.failed, "not_answered": load.refused,
        "longest_queue": max(row["waiting"] for row in rows), "main_mb": [min(r["main_mb"] for r in steady), max(r["main_mb"] for r in steady)],
        "open_files": [min(r["open_files"] for r in rows), max(r["open_files"] for r in rows)], "samples": rows,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--per-minute", type=float, default=60, help="objects (default: %(default)s)")
    parser.add_argument("--trouble-s", type=float, default=60, help="seconds between two troubles (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        try:
            result = soak(args.minutes, args.per_minute, args.trouble_s, args.seed, Path(name).resolve())
        except Broken as error:
            print(f"broken: {error}")
            return 1
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in result.items() if key != "samples"}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
