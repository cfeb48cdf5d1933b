"""Faults put into real runs of the command line, and whether the promises held: a table of tried and survived.

usage: python eval/faults.py [--kills 40] [-o eval/results/faults.json --table eval/FAULTS.md]

A handful of synthetic radiographs, PNG and DICOM, is cleaned once without a fault and with a fixed key: the reference.
A trial survives if every file that stands under OUT after the fault is the reference's, byte for byte (so none is partial
or unredacted), the run ends as the table says, no input changed, and where a run can be carried on, `--resume` ends with
exactly the reference. Manifests may differ in their timings.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import mutate

from markerremover.audit import manifest_files
from markerremover.formats import images
from markerremover.second_pass import tesseract
from markerremover.synthesis import synthesize

COUNT, SIZE, SEED = 4, (256, 256), 7
PATIENCE_S = 300  # for a run
NODE = "<!-- node -->"  # the section of eval/node_faults.py begins with it
ORPHANS_S = 20  # in which workers must see that their run is gone
WITHOUT_ROOT = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all")
"""Root reads everything; without these capabilities it does not."""


@dataclass
class Fault:
    """One row of the table.  how: what was done.  holds: what had to be so.  lost: what was not, one line a trial."""

    name: str
    how: str
    holds: str
    tried: int = 0
    survived: int = 0
    skipped: str = ""
    lost: list[str] = field(default_factory=list)


class Broken(AssertionError):
    """A promise that did not hold."""


def demand(held: bool, what: str) -> None:
    """Raise `Broken` unless it held."""
    if not held:
        raise Broken(what)


class Bench:
    """Inputs, a key and the outputs of an uninterrupted run.

    extra: options for every run.  seconds: what an uninterrupted run takes, by number of workers.
    """

    def __init__(self, folder: Path, count: int = COUNT, extra: tuple[str, ...] = ()) -> None:
        self.folder, self.extra = folder, extra
        synthesize(folder / "made", count, SEED, split="eval", formats=("png", "dcm"), size=SIZE)
        self.inputs = (folder / "made" / "images").rename(folder / "in")
        self.key = folder / "key"
        self.key.touch(mode=0o600)
        self.key.write_text("5e" * 32)
        self.seconds: dict[int, float] = {}
        for workers in (1, 2):
            begun = time.monotonic()
            run = self.run(folder / f"whole-{workers}", "--workers", str(workers))
            self.seconds[workers] = time.monotonic() - begun
            demand(run.returncode == 0, f"the reference run ended {run.returncode}: {run.stderr}")
        self.reference, self.originals = contents(folder / "whole-1"), contents(self.inputs)
        demand(len(self.reference) == count and contents(folder / "whole-2") == self.reference, "two workers do other than one")

    def command(self, out: Path, *options: str, source: Path | None = None) -> list[str]:
        """The command line of a run."""
        words = [sys.executable, "-m", "markerremover", "remove", str(source or self.inputs), "-o", str(out), "--key", str(self.key)]
        return [*words, *self.extra, *options]

    def run(self, out: Path, *options: str, source: Path | None = None, before: tuple[str, ...] = (), **popen) -> subprocess.CompletedProcess:
        """A run to its end."""
        command = [*before, *self.command(out, *options, source=source)]
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE_S, **popen)

    def start(self, out: Path, *options: str, source: Path | None = None) -> subprocess.Popen:
        """A run begun, in a process group of its own."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(self.command(out, *options, source=source), start_new_session=True, **quiet)

    def only_reference(self, out: Path) -> int:
        """How many files are under OUT; each must be the reference's."""
        found = contents(out)
        wrong = [name for name, data in found.items() if data != self.reference.get(name)]
        demand(not wrong, f"under OUT, but not the reference's: {wrong}")
        return len(found)

    def resumed(self, out: Path, *options: str) -> None:
        """`--resume` must end with exactly the reference."""
        run = self.run(out, "--resume", *options)
        demand(run.returncode == 0, f"--resume ended {run.returncode}: {run.stderr.strip()[-200:]}")
        demand(contents(out) == self.reference, "--resume did not end with the reference")
        rows = rows_of(out)
        demand(set(rows) == set(self.reference) and len(rows) == len(self.reference), "the manifest does not account for every input")
        demand(not list(audit_of(out).glob("tmp/*")), "the audit's tmp/ is not empty")

    def idle(self, out: Path) -> None:
        """A further `--resume` must not write an image."""
        before = {path: path.stat().st_mtime_ns for path in sorted(out.rglob("*"))}
        self.resumed(out)
        demand({path: path.stat().st_mtime_ns for path in sorted(out.rglob("*"))} == before, "a finished run was done again")

    def inputs_are_whole(self) -> None:
        """No input may ever change."""
        demand(contents(self.inputs) == self.originals, "an input changed")


def contents(folder: Path) -> dict[str, bytes]:
    """Relative path -> bytes of every file below a folder, {} if it is not there."""
    found = {}
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def audit_of(out: Path) -> Path:
    return out.with_name(out.name + "-audit")


def rows_of(out: Path) -> dict[str, dict]:
    """Manifest rows by relative path."""
    return {row["relative"]: row for row in manifest_files.read_manifest(audit_of(out) / manifest_files.MANIFEST)}


def first_output(run: subprocess.Popen, out: Path, least: int = 1) -> bool:
    """Wait until OUT holds that many files; False if the run ended before."""
    until = time.monotonic() + PATIENCE_S
    while run.poll() is None and time.monotonic() < until:
        if len(contents(out)) >= least:
            return True
        time.sleep(0.005)
    return False


def children(pid: int) -> list[int]:
    """Processes below a process."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found += [child, *children(child)]
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


# -- the faults --------------------------------------------------------------------------------------------------------


def kill(bench: Bench, out: Path, moment: float, workers: int, *, whole: bool = True, again: bool = False) -> None:
    """SIGKILL at `moment` (0–1) of a run, to the whole group or to the main process alone. Moments are told by the outputs that
    are there, and between two of them by time, so that they are spread over the run however busy the machine is."""
    run = bench.start(out, "--workers", str(workers))
    stage, part = divmod(moment * (len(bench.reference) + 1), 1)
    if stage:
        first_output(run, out, int(stage))
    try:
        run.wait(part * bench.seconds[workers] * (0.2 if stage else 0.7))
    except subprocess.TimeoutExpired:
        below = children(run.pid)
        (os.killpg if whole else os.kill)(run.pid, signal.SIGKILL)
        run.wait()
        until = time.monotonic() + ORPHANS_S
        while any(map(is_alive, below)) and time.monotonic() < until:
            bench.only_reference(out)
            time.sleep(0.05)
        left = [pid for pid in below if is_alive(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        demand(not left, f"{len(left)} workers outlived their run by {ORPHANS_S} s")
    bench.only_reference(out)
    bench.resumed(out, "--workers", str(workers))
    if again:
        bench.idle(out)


def kill_worker(bench: Bench, out: Path, moment: float) -> None:
    """SIGKILL to one worker: its files are tried again, and the run ends well."""
    run = bench.start(out, "--workers", "2")
    demand(first_output(run, out), "no output came")
    time.sleep(moment * 0.5)
    workers = [pid for pid in children(run.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    if workers and run.poll() is None:
        os.kill(random.Random(moment).choice(workers), signal.SIGKILL)
    demand(run.wait(PATIENCE_S) == 0, f"the run ended {run.returncode}")
    demand(bench.only_reference(out) == len(bench.reference), "outputs are missing")


def vanish(bench: Bench, out: Path, moment: float) -> None:
    """The last input is deleted while the first ones are cleaned."""
    source = bench.folder / f"{out.name}-in"
    shutil.copytree(bench.inputs, source)
    run = bench.start(out, source=source)
    demand(first_output(run, out), "no output came")
    last = sorted(bench.reference)[-1]
    (source / last).unlink()
    demand(run.wait(PATIENCE_S) == 1, f"the run ended {run.returncode}")
    demand(bench.only_reference(out) == len(bench.reference) - 1 and last not in contents(out), "outputs are not as they should be")
    demand(rows_of(out)[last]["status"] == "failed" and rows_of(out)[last]["reason"], "no row says what happened")


def change(bench: Bench, out: Path, moment: float) -> None:
    """The last input flips between two radiographs, sometimes half written, all through the run."""
    source = bench.folder / f"{out.name}-in"
    shutil.copytree(bench.inputs, source)
    *_, other, last = sorted(name for name in bench.reference if name.endswith(".png"))
    a, b = bench.originals[last], bench.originals[other]
    run = bench.start(out, source=source)
    while run.poll() is None:
        for data in (b, b[: len(b) // 2], a):
            (source / last).write_bytes(data)
            time.sleep(0.002 + 0.01 * moment)
    (source / last).write_bytes(a)
    found = contents(out)
    demand(run.returncode in (0, 1), f"the run ended {run.returncode}")
    demand((last in found) == (rows_of(out)[last]["status"] in ("cleaned", "unchanged")), "row and output differ")
    demand(found.pop(last, bench.reference[last]) in (bench.reference[last], bench.reference[other]), "a mixture was released")
    demand(all(data == bench.reference[name] for name, data in found.items()), "another output differs")
    again = bench.run(out, "--resume", source=source)
    demand(again.returncode == 0 and contents(out) == bench.reference, "--resume did not see what the input is now")


def torn(bench: Bench, out: Path, moment: float) -> None:
    """The manifest of a finished run ends in the middle of a line, in zeros, or in bytes that are no text."""
    bench.resumed(out)
    manifest = audit_of(out) / manifest_files.MANIFEST
    data = manifest.read_bytes()
    start = data[:-1].rindex(b"\n") + 1
    manifest.write_bytes(data[: start + int((len(data) - start) * moment)] + random.Random(moment).choice([b"", b"\0" * 512, b"\xff\xfe\x80"]))
    bench.resumed(out)
    bench.idle(out)


def full_disk(bench: Bench, out: Path, moment: float) -> None:
    """OUT and audit on a file system with room for only some of the outputs; then it grows."""
    size = 96 + int(moment * (sum(map(len, bench.reference.values())) >> 10))
    with mounted(bench.folder / out.name, f"size={size}k") as place:
        run = bench.run(place / "out")
        demand(run.returncode in (1, 2) and "Traceback" not in run.stderr, f"the run ended {run.returncode}: {run.stderr.strip()[-200:]}")
        bench.only_reference(place / "out")
        subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        bench.resumed(place / "out")


def file_limit(bench: Bench, out: Path, moment: float) -> None:
    """No file may grow beyond a limit: writing stops in the middle of some outputs."""
    sizes = sorted(map(len, bench.reference.values()))
    limit = int(sizes[0] + moment * (sizes[-1] - sizes[0]))
    run = bench.run(out, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    demand(run.returncode == 1 and "Traceback" not in run.stderr, f"the run ended {run.returncode}: {run.stderr.strip()[-200:]}")
    demand(bench.only_reference(out) < len(bench.reference), "the limit hit nothing")
    bench.resumed(out)


def read_only(bench: Bench, out: Path, moment: float) -> None:
    """OUT on a file system that is read-only from the start, or becomes so during the run."""
    with mounted(bench.folder / out.name, "size=64m") as place:
        if moment < 0.5:
            (place / "out").mkdir()
            subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
            run = bench.run(place / "out")
            demand(run.returncode == 2 and run.stderr.count("\n") == 1, f"the run ended {run.returncode}: {run.stderr.strip()[-200:]}")
        else:
            running = bench.start(place / "out")
            demand(first_output(running, place / "out"), "no output came")
            for _ in range(400):  # refused while a file is open for writing
                done = subprocess.run(["mount", "-o", "remount,ro", str(place)], capture_output=True)
                if done.returncode == 0 or running.poll() is not None:
                    break
            running.wait(PATIENCE_S)
            too_late = running.returncode == 0 and bench.only_reference(place / "out") == len(bench.reference)
            demand(done.returncode or running.returncode == 1 or too_late, f"the run ended {running.returncode}")
        bench.only_reference(place / "out")
        subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
        bench.resumed(place / "out")


def unreadable(bench: Bench, out: Path, moment: float) -> None:
    """An input, or a folder of them, that the user may not read."""
    source = bench.folder / f"{out.name}-in"
    shutil.copytree(bench.inputs, source)
    first = sorted(bench.reference)[0]
    if moment < 0.5:
        hidden = source / first
    else:
        hidden = source / "locked"
        hidden.mkdir()
    hidden.chmod(0)
    try:
        run = bench.run(out, source=source, before=WITHOUT_ROOT if os.geteuid() == 0 else ())
    finally:
        hidden.chmod(0o700)
    demand(run.returncode == 1, f"the run ended {run.returncode}: {run.stderr.strip()[-200:]}")
    row = rows_of(out)[hidden.name]
    demand(row["status"] == "failed" and "ermission denied" in row["reason"], f"the row says {row['reason']!r}")
    demand(bench.only_reference(out) == len(bench.reference) - (moment < 0.5), "outputs are missing")


def link(bench: Bench, out: Path, moment: float) -> None:
    """OUT becomes a link to the inputs: between two runs, or during one, with the option that replaces files."""
    bench.resumed(out)
    moved = out.with_name(f"{out.name}-moved")
    if moment < 0.4:
        out.rename(moved)
        out.symlink_to(bench.inputs)
        run = bench.run(out, "--overwrite")
        demand(run.returncode == 2, f"the run ended {run.returncode}: {run.stderr.strip()[-200:]}")
    else:
        times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
        running = bench.start(out, "--overwrite", "--workers", "1" if moment < 0.7 else "2")
        while running.poll() is None and {path: path.stat().st_mtime_ns for path in out.rglob("*")} == times:
            time.sleep(0.002)
        out.rename(moved)
        out.symlink_to(bench.inputs)
        demand(running.wait(PATIENCE_S) == 1, f"the run ended {running.returncode}")
    bench.inputs_are_whole()
    bench.only_reference(moved)
    out.unlink()
    moved.rename(out)
    bench.resumed(out)


def odd_files() -> dict[str, tuple[str, int, bytes]]:
    """Name below the inputs -> kind and number in `mutate`, and bytes, of files that are sound but odd, or deflated and not sound."""
    kinds = ("DICOM deflated", "DICOM deflated padded", "DICOM faint", "PNG faint", "JPEG faint", "TIFF faint", "PNG turned", "JPEG turned", "TIFF turned")
    found = {f"{kind.replace(' ', '-')}.x": (kind, 0, mutate.seed_file(kind, 0)) for kind in kinds}
    found |= {f"short-{i}.x": ("DICOM short names", i, mutate.seed_file("DICOM short names", i)) for i in range(mutate.SEEDS)}
    whole = found["DICOM-deflated.x"][2]
    changes = {"cut": lambda stream: stream[: len(stream) // 2], "cut-by-one": lambda stream: stream[:-1], "zeros": lambda stream: stream + bytes(5000), "bomb": mutate.bomb}
    return found | {f"deflated-{name}.x": ("DICOM deflated", 0, mutate.with_stream(whole, change)) for name, change in changes.items()}


def odd(bench: Bench, out: Path, moment: float) -> None:
    """Odd files among the inputs: each ends without its name or not at all, in its row, and nothing else is changed by them."""
    source, files = bench.folder / f"{out.name}-in", odd_files()
    shutil.copytree(bench.inputs, source)
    for name, (_, _, data) in files.items():
        (source / name).write_bytes(data)
    run = bench.run(out, "--workers", "1" if moment < 0.5 else "2", source=source)
    demand(run.returncode in (0, 1) and "Traceback" not in run.stderr, f"the run ended {run.returncode}: {run.stderr.strip()[-200:]}")
    rows, there, reader = rows_of(out), contents(out), tesseract.open_reader()
    for name, data in bench.reference.items():
        demand(there.pop(name, None) == data, f"{name} is not the reference's")
    demand(set(rows) == {*files, *bench.reference}, "the manifest does not account for every input")
    demand(run.returncode == any(row["status"] in ("held", "failed") for row in rows.values()), f"the run ended {run.returncode}")
    for name, (kind, number, _) in files.items():
        ended = rows[name]["status"] in ("cleaned", "unchanged")
        demand(ended == (name in there) and ended == (not rows[name]["reason"]), f"{name}: row and output differ")
        demand(name not in ("deflated-cut.x", "deflated-cut-by-one.x", "deflated-bomb.x") or not ended, f"{name} has an output")
        demand(name not in ("DICOM-deflated.x", "DICOM-deflated-padded.x", "deflated-zeros.x") or ended, f"{name} has none: {rows[name]['reason']}")
        if ended:
            demand(not mutate.names_in(there[name], kind, number), f"{name}: a name is in the bytes of its output")
            shown = images.read(out / name).display
            demand(not any(mutate.readable(frame, reader) for frame in shown), f"{name}: the name can be read in its output")


@contextlib.contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """A small file system in memory."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def can_mount(folder: Path) -> str:
    """"" if file systems can be mounted here, otherwise why not."""
    try:
        with mounted(folder / "probe", "size=1m"):
            return ""
    except (OSError, subprocess.CalledProcessError):
        return "needs the right to mount"


def can_forbid() -> str:
    """"" if files can be made that this process may not read."""
    return "" if os.geteuid() or shutil.which(WITHOUT_ROOT[0]) else "root reads everything, and there is no setpriv"


def _tried(bench: Bench, fault: Fault, trials: list[Callable[[Path], None]], jobs: int) -> Fault:
    """Put one fault into as many runs, some at a time."""

    def one(index: int, trial: Callable[[Path], None]) -> None:
        out = bench.folder / f"{fault.name.replace(' ', '-').replace(',', '')}-{index}"
        try:
            trial(out)
            bench.inputs_are_whole()
        except (Broken, subprocess.TimeoutExpired, OSError, KeyError) as error:
            fault.lost.append(f"trial {index}: {type(error).__name__}: {error}")
            print(f"{fault.name}, {fault.lost[-1]}", file=sys.stderr)
        for leftover in (out, audit_of(out), bench.folder / f"{out.name}-in"):
            if leftover.is_symlink():
                leftover.unlink()
            shutil.rmtree(leftover, ignore_errors=True)

    if not fault.skipped:
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(one, range(len(trials)), trials))
        fault.tried, fault.survived = len(trials), len(trials) - len(fault.lost)
    return fault


def all_faults(bench: Bench, kills: int, only: str = "", jobs: int = 1) -> Iterator[Fault]:
    """Every row of the table, as it gets done; with `only` those whose name holds it."""

    def tried(bench: Bench, fault: Fault, trials: list[Callable[[Path], None]]) -> Fault:
        return _tried(bench, fault, trials if only in fault.name else [], jobs)

    rng = random.Random(SEED)
    moments = [(i + rng.random()) / kills for i in range(kills)]
    group = [(m, 1 + i % 2) for i, m in enumerate(moments)]
    same = "OUT holds only reference files; --resume ends with exactly the reference"
    few = [(i + rng.random()) / 6 for i in range(6)]
    yield tried(bench, Fault("kill -9 of the main process alone", "SIGKILL at random moments, --workers 2",
                             f"workers end by themselves within {ORPHANS_S} s; {same}"),
                [lambda out, m=m: kill(bench, out, m, 2, whole=False) for m in few])  # fmt: skip
    yield tried(bench, Fault("a worker dies", "SIGKILL to one of two workers during the run", "exit 0 and exactly the reference: its files are tried again"),
                [lambda out, m=m: kill_worker(bench, out, m) for m in few])
    mounting, three = can_mount(bench.folder), (0.15, 0.5, 0.8)
    yield tried(bench, Fault("full disk", "a file system with room for some outputs, which then grows", f"one line and exit 1 or 2; {same}", skipped=mounting),
                [lambda out, m=m: full_disk(bench, out, m) for m in (0.0, 0.2, 0.4, 0.6, 0.8)])
    yield tried(bench, Fault("no file may grow further", "RLIMIT_FSIZE between the smallest and the largest output", f"exit 1; {same}"),
                [lambda out, m=m: file_limit(bench, out, m) for m in three])
    yield tried(bench, Fault("read-only OUT", "a file system that is read-only at the start, or from the first output on",
                             f"exit 2, or exit 1 where it came later; {same}", skipped=mounting),
                [lambda out, m=m: read_only(bench, out, m) for m in (0.1, 0.6, 0.9)])  # fmt: skip
    yield tried(bench, Fault("an input vanishes", "the last one is deleted after the first output", "exit 1, a failed row, the others are the reference's"),
                [lambda out, m=m: vanish(bench, out, m) for m in three])
    yield tried(bench, Fault("an input changes", "the last one flips between two radiographs and half of one, all through the run",
                             "what comes out is the reference of the one or the other, or a failed row; --resume ends with the reference"),
                [lambda out, m=m: change(bench, out, m) for m in three])  # fmt: skip
    yield tried(bench, Fault("an unreadable input", "a file, or a folder, without permission", "exit 1, a failed row that says so, the others are the reference's",
                             skipped=can_forbid()), [lambda out, m=m: unreadable(bench, out, m) for m in (0.1, 0.9)])  # fmt: skip
    yield tried(bench, Fault("a torn manifest", "the last line cut, followed by nothing, zeros or bytes that are no text", "--resume ends with exactly the reference, twice"),
                [lambda out, m=m: torn(bench, out, m) for m in (0.0, 0.2, 0.5, 0.7, 0.9, 0.999)])
    yield tried(bench, Fault("odd files among the inputs", "deflated ones: sound, padded, cut, bombs; faint ones, turned by Exif, patients MARK, MARY and LI",
                             "exit as the rows say; each without a name, or without an output; the others are the reference's"),
                [lambda out, m=m: odd(bench, out, m) for m in (0.1, 0.9)])  # fmt: skip
    yield tried(bench, Fault("OUT becomes a link to the inputs", "before a run, and during one with --overwrite", "exit 2, or exit 1; no input changes"),
                [lambda out, m=m: link(bench, out, m) for m in (0.1, 0.5, 0.9)])
    yield tried(bench, Fault("kill -9 of the whole run", "SIGKILL to the process group at random moments, --workers 1 and 2 in turn",
                             f"{same}; every eighth is resumed once more, which writes nothing"),
                [lambda out, m=m, w=w, i=i: kill(bench, out, m, w, again=i % 8 == 0) for i, (m, w) in enumerate(group)])  # fmt: skip

def table(faults: list[Fault]) -> str:
    """eval/FAULTS.md."""
    lines = ["# Faults put into real runs", "", f"Made by `eval/faults.py`: {COUNT} synthetic radiographs, PNG and DICOM. Each trial is a run of the command line, with `--keep none`;",
             "the reference is the output of an uninterrupted one with the same key, and after every fault each file under OUT was",
             "compared with it byte by byte.", "",
             "| Fault | What was done | What had to hold | Tried | Survived |", "|---|---|---|--:|--:|"]  # fmt: skip
    for f in faults:
        lines.append(f"| {f.name} | {f.how} | {f.holds} | {f.tried or '–'} | {f.survived if f.tried else f'skipped: {f.skipped}'} |")
    lines += ["", f"Together {sum(f.survived for f in faults)} of {sum(f.tried for f in faults)} survived."]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=40, help="kills of a whole run (default: %(default)s)")
    parser.add_argument("--only", default="", help="faults whose name holds this; other rows of --out stay as they are")
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time (default: %(default)s)")
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name).resolve(), extra=("--keep", "none"))  # the second pass writes nothing, and takes longest
        print(f"an uninterrupted run takes {bench.seconds[1]:.1f} s, with two workers {bench.seconds[2]:.1f} s")
        known = json.loads(args.out.read_text(encoding="utf-8"))["faults"] if args.only and args.out and args.out.exists() else []
        faults = {row["name"]: Fault(**row) for row in known}
        for fault in all_faults(bench, args.kills, args.only, args.jobs):
            if args.only not in fault.name:
                continue
            faults[fault.name] = fault
            print(f"{fault.name}: {fault.survived} of {fault.tried}{' skipped: ' + fault.skipped if fault.skipped else ''}", flush=True)
            if args.out:
                rows = [asdict(f) for f in faults.values()]
                args.out.write_text(json.dumps({"radiographs": COUNT, "faults": rows}, indent=1) + "\n", encoding="utf-8")
            if args.table:
                _, mark, node = args.table.read_text(encoding="utf-8").partition(NODE) if args.table.exists() else ("", "", "")
                args.table.write_text(table(list(faults.values())) + (f"\n{mark}{node}" if mark else ""), encoding="utf-8")
    return 0 if all(f.tried == f.survived for f in faults.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
