"""Damaged files of every kind through the pipeline: nothing may crash, hang, fail without a reason or let the name out.

usage: python eval/fuzz.py [--first 0] [--each 80] [--minutes 15] [--only "PNG palette"] [-o eval/results/fuzz.json [--add]]

`mutate.py` makes the files. Each goes through `workers.attempt` with the shipped localizer and keeps nothing, in a child
process whose address space is limited to `EXTRA_BYTES` more than it has once the models are loaded. A child that says
nothing for `HANG_S` is killed and counts as a hang; one that dies counts as a death; either costs one file. Of every
output it is asked whether a planted name stands in its bytes, also in what is deflated, and whether OCR reads it in the
picture. A file that the localizer no longer finds the name in may come out with it: such a one is counted, and listed.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import io
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import mutate
import numpy as np

from markerremover.detection import localizer
from markerremover.formats import images
from markerremover.headers.profile import HeaderProfile
from markerremover.options import RunOptions
from markerremover.records import Policy
from markerremover.redaction.cleaning import Cleaner
from markerremover.run import workers
from markerremover.second_pass import tesseract

HANG_S = 60  # seconds without an answer
SLOW_S = 20  # seconds of processor time that a file may take
EXTRA_BYTES = 2 << 30
COLUMNS = ("tried", "cleaned", "unchanged", "held", "failed", "unexpected", "out_of_memory", "deaths", "hangs", "slow", "name_in_bytes", "name_read")


class Remembering:
    """A localizer that looks at the same frame once: damage to a header leaves the pixels as they are."""

    def __init__(self, detector) -> None:
        self._detector, self._seen = detector, {}
        self.sha256 = getattr(detector, "sha256", "")

    def __call__(self, frame: np.ndarray, threshold: float | None = None):
        return self._once(("all", threshold), frame, lambda: self._detector(frame, threshold))

    def near(self, frame: np.ndarray, xyxy: np.ndarray, threshold: float | None = None):
        """See `Detector.near`."""
        return self._once(("near", threshold, xyxy.tobytes()), frame, lambda: self._detector.near(frame, xyxy, threshold))

    def _once(self, how: tuple, frame: np.ndarray, look):
        key = (*how, frame.shape, hashlib.sha256(np.ascontiguousarray(frame)).digest())
        if key not in self._seen:
            self._seen[key] = look()
        return self._seen[key]


def attempt(kind: str, number: int, folder: Path, cleaner: Cleaner, reader=None) -> dict:
    """One damaged file through the pipeline; what became of it, as `COLUMNS` and more.

    Args:
        folder: has in/, out/, audit/tmp and audit/crops.
        reader: for the look at the output; None asks the bytes only.
    """
    mutant = mutate.mutated(kind, number)
    source, target = folder / "in" / "x", folder / "out" / "x"
    source.write_bytes(mutant.data)
    target.unlink(missing_ok=True)
    options = RunOptions(policy=cleaner.policy, overwrite=True)
    place = workers.Place(folder / "out", folder / "audit", options, HeaderProfile("basic", bytes(32)))
    begun = time.process_time()
    outcome = workers.attempt(workers.Job(source, "x"), place, cleaner)
    row = {"kind": kind, "number": number, "how": mutant.how, "status": outcome.status, "reason": outcome.reason}
    row["seconds"] = round(time.process_time() - begun, 3)
    if target.exists() != (outcome.status in ("cleaned", "unchanged")):
        raise AssertionError(f"{kind} {number}: {outcome.status}, but an output is {'' if target.exists() else 'not '}there")
    if target.exists():
        row["name_in_bytes"] = mutate.names_in(target.read_bytes(), kind, number)
        again = images.read(target)
        row["same_shape"] = again.shape_hw == (mutate.SIDE, mutate.SIDE)
        row["box"] = _box(again.display) if row["same_shape"] else 0
        row["name_read"] = reader is not None and any(mutate.readable(frame, reader) for frame in again.display)
    return row


def _box(display: np.ndarray) -> int:
    """The brightest that any frame shows in the middle line of the planted box, where letters are."""
    x1, y1, x2, y2 = mutate.BOX
    return int(display[:, y1 + 10 : y2 - 10, x1 + 12 : x2 - 16].max())


def prepared(folder: Path) -> Path:
    """The folder with what `attempt` needs."""
    for name in ("in", "out", "audit/tmp", "audit/crops"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return folder


def _child(connection, cases: list[tuple[str, int]]) -> None:
    """Answer each case with its row, then the most memory that was used."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    cleaner, reader = Cleaner(Remembering(localizer.load_detector(device="cpu", threads=1)), None, Policy(keep=())), tesseract.open_reader()
    cleaner.detector(mutate.picture(0)), reader.read([mutate.picture(0)], psm=11)
    before = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (before + EXTRA_BYTES, resource.RLIM_INFINITY))
    with tempfile.TemporaryDirectory() as name:
        folder = prepared(Path(name))
        for case in cases:
            connection.send({**attempt(*case, folder, cleaner, reader), "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024})
    connection.send(None)


def run(cases: list[tuple[str, int]], until: float) -> list[dict]:
    """A row for each case that was begun before `until` (time.monotonic), whatever it does to its process."""
    spawn, rows, left = multiprocessing.get_context("spawn"), [], list(cases)
    while left and time.monotonic() < until:
        mine, theirs = spawn.Pipe(duplex=False)
        process = spawn.Process(target=_child, args=(theirs, left[:400]))
        process.start()
        theirs.close()
        while left:
            try:
                row = mine.recv() if mine.poll(HANG_S) else {"status": "hang", "reason": f"no answer for {HANG_S} s"}
            except EOFError:
                process.join()
                row = {"status": "death", "reason": f"exit code {process.exitcode}"}
            if row is None or time.monotonic() > until:
                break
            kind, number = left.pop(0)
            rows.append({"kind": kind, "number": number, **row})
            if row["status"] in ("hang", "death"):
                print(f"{kind} {number}: {row['status']}, {row['reason']}", file=sys.stderr)
                break
        process.kill()
        process.join()
    return rows


def faults(row: dict) -> dict[str, bool]:
    """Which of the defects that are looked for a row shows."""
    reason = row["reason"]
    return {
        "unexpected": reason.startswith("unexpected"), "out_of_memory": "MemoryError" in reason, "deaths": row["status"] == "death",
        "hangs": row["status"] == "hang", "slow": row.get("seconds", 0) > SLOW_S, "name_in_bytes": bool(row.get("name_in_bytes")),
        "name_read": bool(row.get("name_read")),
    }


def counted(rows: list[dict]) -> dict[str, dict[str, int]]:
    """`COLUMNS` by kind, and of all together."""
    table: dict[str, collections.Counter] = {}
    for row in rows:
        for name in (row["kind"], "all"):
            count = table.setdefault(name, collections.Counter())
            count["tried"] += 1
            count[row["status"]] += row["status"] in ("cleaned", "unchanged", "held", "failed")
            count.update({key: int(found) for key, found in faults(row).items()})
    return {name: {column: count[column] for column in COLUMNS} for name, count in table.items()}


def added(before: dict, now: dict) -> dict:
    """The results of two runs, over different numbers, as of one."""
    counts = {name: {c: before["counts"].get(name, {}).get(c, 0) + now["counts"].get(name, {}).get(c, 0) for c in COLUMNS} for name in {**before["counts"], **now["counts"]}}
    greatest = {key: max(before[key], now[key]) for key in ("slowest_s", "peak_mb")}
    return {**now, **greatest, "wanted": before["wanted"] + now["wanted"], "first": before["first"], "counts": counts, "listed": before["listed"] + now["listed"]}


def printed(table: dict[str, dict[str, int]]) -> str:
    """The counts as a Markdown table."""
    out = io.StringIO()
    print("| kind |", " | ".join(c.replace("_", " ") for c in COLUMNS), "|\n|---|" + "--:|" * len(COLUMNS), file=out)
    for name, count in table.items():
        print(f"| {name} |", " | ".join(str(count[c]) for c in COLUMNS), "|", file=out)
    return out.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=80, help="damaged files of each kind (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=15, help="stop after that long (default: %(default)s)")
    parser.add_argument("--only", help="kinds that start so")
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--add", action="store_true", help="add to the counts that --out holds already")
    args = parser.parse_args()
    kinds = [kind for kind in mutate.KINDS if kind.startswith(args.only or "")]
    cases = [(kind, args.first + i) for i in range(args.each) for kind in kinds]
    begun = time.monotonic()
    rows = run(cases, begun + 60 * args.minutes)
    table = counted(rows)
    listed = [row for row in rows if any(faults(row).values())]
    print(printed(table))
    for row in listed:
        print(row["kind"], row["number"], row.get("how", ""), row["status"], row["reason"], [name for name, found in faults(row).items() if found])
    result = {
        "wanted": len(cases), "first": args.first, "counts": table, "slowest_s": max((r.get("seconds", 0) for r in rows), default=0),
        "peak_mb": max((r.get("peak_mb", 0) for r in rows), default=0), "limit_mb_beyond_models": EXTRA_BYTES >> 20,
        "localizer_sha256": localizer.load_detector(device="cpu").sha256, "listed": listed,
    }
    print(f"{len(rows)} of {len(cases)} in {time.monotonic() - begun:.0f} s, slowest {result['slowest_s']} s, peak {result['peak_mb']} MB")
    if args.add:
        result = added(json.loads(args.out.read_text(encoding="utf-8")), result)
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if any(any(found for name, found in faults(row).items() if name != "name_read") for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
