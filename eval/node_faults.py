"""Faults put into a real node, `markerremover serve`, and whether its promises held: a table of tried and survived.

usage: python eval/node_faults.py [--objects 1000] [--trials N] [--only NAME] [-o eval/results/node-faults.json --table eval/FAULTS.md]

Synthetic radiographs as DX objects are sent to the node by C-STORE; the reference is what `remove` writes of the same files with the same key.
After every fault: each object that was answered with Success is in exactly one state and the counts reconcile; what arrived at the destination
is the reference's, byte for byte, each object once; nothing else arrived.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pydicom
from faults import NODE, Broken, Fault, children, demand, is_alive
from pynetdicom import AE, _config, evt

from markerremover.formats.dicom.file_meta import file_facts
from markerremover.node.index import Index
from markerremover.node.records import Counts
from markerremover.synthesis import synthesize

_config.STORE_SEND_CHUNKED_DATASET = True
COUNT, SIZE, SEED = 6, (256, 256), 11
PATIENCE_S = 900
ORPHANS_S = 20
DX, CT = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.5.1.4.1.1.2"


class Bench:
    """Objects, a key, and what `remove` makes of them.

    reference: SOP Instance UID of a result -> its file's bytes.
    """

    def __init__(self, folder: Path, count: int = COUNT) -> None:
        self.folder = folder
        synthesize(folder / "made", count, SEED, split="eval", formats=("dcm",), size=SIZE)
        self.inputs = sorted((folder / "made" / "images").glob("*.dcm"))
        self.key = folder / "key"
        self.key.touch(mode=0o600)
        self.key.write_text("5e" * 32)
        self.options = ("--keep", "none", "--fast", "--key", str(self.key))
        self.reference = self.cleaned(self.inputs)

    def cleaned(self, paths: list[Path]) -> dict[str, bytes]:
        """What `remove` writes."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            out = Path(name) / "out"
            subprocess.run([sys.executable, "-m", "markerremover", "remove", *map(str, paths), "-o", str(out), *self.options], check=True, capture_output=True)
            found = {file_facts(path.read_bytes()).sop_instance: path.read_bytes() for path in sorted(out.rglob("*.dcm"))}
        demand(len(found) == len(paths), "the reference lacks files")
        return found

    def copies(self, count: int, first: int = 0) -> list[Path]:
        """Objects with other SOP Instance UIDs, by their numbers from the first, and the pictures of the inputs, in turn."""
        folder = self.folder / f"copies-{first}-{count}"
        if not folder.is_dir():
            folder.mkdir()
            for number in range(first, first + count):
                dataset = pydicom.dcmread(self.inputs[number % len(self.inputs)])
                dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.{10**20 + number}"
                dataset.save_as(folder / f"{number:05d}.dcm", enforce_file_format=True)
        return sorted(folder.iterdir())


class Node:
    """A running `markerremover serve` in a process group of its own."""

    def __init__(self, bench: Bench, folder: Path, to: str | None = None, spool: Path | None = None, *options: str) -> None:
        self.folder, self.spool, self.sent = folder, spool or folder / "spool", folder / "sent"
        self.sent.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.command = [sys.executable, "-m", "markerremover", "serve", str(self.spool), "--port", str(self.port), "--to", to or str(self.sent), *bench.options,
                        "--free-gib", "0", "--workers", "2", *options]
        self.start()

    def start(self) -> float:
        """Start it; returns the seconds until it accepts an association."""
        begun = time.monotonic()
        with open(self.folder / "log", "a") as log:
            self.process = subprocess.Popen(self.command, start_new_session=True, stdout=log, stderr=log)
        while time.monotonic() < begun + PATIENCE_S:
            demand(self.process.poll() is None, f"the node ended {self.process.returncode}: {(self.folder / 'log').read_text()[-300:]}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return time.monotonic() - begun
            except OSError:
                time.sleep(0.02)
        raise Broken("the node does not listen")

    def kill(self) -> None:
        """SIGKILL to the main process; its workers must end by themselves."""
        below = children(self.process.pid)
        self.process.kill()
        self.process.wait()
        until = time.monotonic() + ORPHANS_S
        while any(map(is_alive, below)) and time.monotonic() < until:
            time.sleep(0.05)
        left = [pid for pid in below if is_alive(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        demand(not left, f"{len(left)} workers outlived the node by {ORPHANS_S} s")

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self.process.terminate()
        demand(self.process.wait(60) == 0, f"after SIGTERM the node ended {self.process.returncode}")

    def counts(self) -> Counts:
        index = Index(self.spool, read_only=True)
        try:
            return index.counts()
        finally:
            index.close()

    def until(self, condition: Callable[[Counts], bool]) -> Counts:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            counts = self.counts()
            demand(counts.reconciles, f"the counts do not reconcile: {counts}")
            if condition(counts):
                return counts
            time.sleep(0.1)
        raise Broken(f"not so after {PATIENCE_S} s: {counts}")

    def settled(self) -> Counts:
        return self.until(lambda counts: not counts.received and not counts.working)

    def has_sent(self, reference: dict[str, bytes]) -> None:
        """The folder holds the reference and nothing else."""
        same(self.sent, reference)

    def __enter__(self) -> Node:
        return self

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def same(folder: Path, reference: dict[str, bytes]) -> None:
    """A folder of results holds the reference and nothing else."""
    found = {path.stem: path.read_bytes() for path in folder.glob("*.dcm")}
    demand(sorted(found) == sorted(reference), f"{len(found)} results, expected {len(reference)}")
    wrong = [name for name in found if found[name] != reference[name]]
    demand(not wrong, f"{len(wrong)} results are not the bytes that `remove` gives")
    demand(not [path for path in folder.iterdir() if path.suffix != ".dcm"], "something incomplete is in the folder")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def send(port: int, paths: list[Path], contexts: tuple[str, ...] = (DX,), on_answer: Callable[[], None] = lambda: None) -> dict[Path, int | None]:
    """C-STORE over one association; path -> status, None where there was no answer."""
    entity = AE("SENDER")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 60
    syntaxes = sorted({file_facts(path.read_bytes()[:65536]).transfer_syntax for path in paths})
    for sop_class in contexts:
        entity.add_requested_context(sop_class, syntaxes)
    association = entity.associate("127.0.0.1", port, ae_title="MARKERREMOVER")
    statuses: dict[Path, int | None] = {}
    for path in paths:
        try:
            answer = association.send_c_store(path) if association.is_established else {}
        except ValueError:  # no presentation context
            answer = {}
        except (RuntimeError, AttributeError):
            answer = {}
        statuses[path] = answer.Status if "Status" in answer else None
        on_answer()
    if association.is_established:
        association.release()
    return statuses


@contextmanager
def archive(port: int, on_store: Callable[[], None] = lambda: None) -> Iterator[list[tuple[str, bytes]]]:
    """A Storage SCP; gives (SOP Instance UID, data set) of everything that it stored."""
    stored: list[tuple[str, bytes]] = []

    def take(event: evt.Event) -> int:
        stored.append((str(event.request.AffectedSOPInstanceUID), event.encoded_dataset(include_meta=False)))
        on_store()
        return 0

    entity = AE("ARCHIVE")
    entity.add_supported_context(DX, ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"])
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
    try:
        yield stored
    finally:
        server.shutdown()


def archived(stored: list[tuple[str, bytes]], reference: dict[str, bytes], most: int = 1) -> None:
    """An archive stored the reference, each object at most so often, with the same bytes each time."""
    demand({uid for uid, _ in stored} == set(reference), f"{len({uid for uid, _ in stored})} objects arrived, expected {len(reference)}")
    demand(max(Counter(uid for uid, _ in stored).values()) <= most, f"an object arrived more than {most} times")
    wrong = [uid for uid, data in stored if data != reference[uid][file_facts(reference[uid]).offset :]]
    demand(not wrong, f"{len(wrong)} objects are not the bytes that `remove` gives")


# -- the faults --------------------------------------------------------------------------------------------------------


def killed_in_association(bench: Bench, folder: Path, moment: float) -> None:
    """SIGKILL while objects come in; what was acknowledged is there, what was not is sent again."""
    with Node(bench, folder) as node:
        answered = 0

        def count() -> None:
            nonlocal answered
            answered += 1
            if answered == 1 + int(moment * len(bench.inputs)):
                threading.Timer(random.Random(moment).uniform(0, 0.03), node.process.kill).start()

        first = send(node.port, bench.inputs, on_answer=count)
        node.process.wait()
        acknowledged = [path for path, status in first.items() if status == 0]
        node.start()
        demand(node.counts().accepted >= len(acknowledged), "an object that was acknowledged is lost")
        again = send(node.port, [path for path in bench.inputs if path not in acknowledged] or bench.inputs[:1])
        demand(set(again.values()) == {0}, "an object was not taken after the restart")
        counts = node.settled()
        demand((counts.sent, counts.accepted) == (len(bench.inputs),) * 2, f"not all was sent once: {counts}")
        node.has_sent(bench.reference)
        node.stop()


def killed_in_clean(bench: Bench, folder: Path, moment: float) -> None:
    """SIGKILL while objects are cleaned, twice in a row."""
    with Node(bench, folder) as node:
        demand(set(send(node.port, bench.inputs).values()) == {0}, "an object was not taken")
        for part in (moment, 1 - moment):
            node.until(lambda counts: bool(counts.cleaning) or not counts.received)
            time.sleep(part)
            node.kill()
            demand(node.counts().reconciles, "the counts do not reconcile after the kill")
            node.start()
        demand(node.settled().sent == len(bench.inputs), "not all was sent")
        node.has_sent(bench.reference)
        node.stop()


def killed_before_the_record(bench: Bench, folder: Path, moment: float) -> None:
    """SIGKILL when the archive has an object and has not answered yet: it may arrive once more, with the same UID and bytes."""
    port = free_port()
    with Node(bench, folder, f"dicom://ARCHIVE@127.0.0.1:{port}") as node:
        killed = threading.Event()

        def kill() -> None:
            if not killed.is_set():
                killed.set()
                node.process.kill()

        with archive(port, kill) as stored:
            send(node.port, bench.inputs)
            killed.wait(PATIENCE_S)
            node.process.wait()
            node.start()
            demand(node.settled().sent == len(bench.inputs), "not all was sent")
            archived(stored, bench.reference, most=2)
            demand(len(stored) == len(bench.inputs) + 1, f"{len(stored) - len(bench.inputs)} objects arrived a second time, one was interrupted")
        node.stop()


def destination_down(bench: Bench, folder: Path, moment: float) -> None:
    """No archive at first, then one, which goes away and comes back; the node is started anew meanwhile."""
    port = free_port()
    with Node(bench, folder, f"dicom://ARCHIVE@127.0.0.1:{port}") as node:
        send(node.port, bench.inputs[:3])
        node.until(lambda counts: counts.waiting == 3)
        node.kill()
        node.start()
        with archive(port) as stored:
            node.until(lambda counts: counts.sent == 3)
        send(node.port, bench.inputs[3:])
        node.until(lambda counts: counts.waiting == len(bench.inputs) - 3)
        with archive(port) as further:
            node.until(lambda counts: counts.sent == len(bench.inputs))
            archived(stored + further, bench.reference)
        node.stop()


def full_disk(bench: Bench, folder: Path, moment: float) -> None:
    """The spool on a file system with room for some objects, which then grows."""
    disk = folder / "disk"
    disk.mkdir(parents=True)
    size = sum(path.stat().st_size for path in bench.inputs)
    room = 400_000 + int(size * (1 + moment))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(disk)], check=True)
    try:
        with Node(bench, folder, None, disk / "spool") as node:
            demand(send(node.port, bench.inputs[:1]) == {bench.inputs[0]: 0}, "the first object was not taken")
            node.settled()
            paths = bench.copies(40)
            first = send(node.port, paths)
            demand(set(first.values()) <= {0, 0xA700}, f"statuses were {sorted(set(map(str, first.values())))}")
            refused = [path for path, status in first.items() if status]
            demand(bool(refused), "the disk was not full")
            time.sleep(2)
            demand(node.counts().accepted == 1 + len(paths) - len(refused), "the count is not that of what was acknowledged")
            subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
            again = send(node.port, refused)
            demand(set(again.values()) == {0}, f"an object was not taken though there is room: {Counter(again.values())}")
            counts = node.settled()
            demand((counts.sent, counts.accepted) == (1 + len(paths),) * 2, f"not all was sent: {counts}")
            demand(len(list(node.sent.glob("*.dcm"))) == 1 + len(paths), "results are missing")
            node.stop()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def duplicates(bench: Bench, folder: Path, moment: float) -> None:
    """Every object three times, over three associations at a time, and one with another picture under the UID of the first."""
    with Node(bench, folder) as node:
        threads = [threading.Thread(target=send, args=(node.port, bench.inputs)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        conflicting = pydicom.dcmread(bench.inputs[1])
        first = pydicom.dcmread(bench.inputs[0], stop_before_pixels=True)
        conflicting.SOPInstanceUID = conflicting.file_meta.MediaStorageSOPInstanceUID = first.SOPInstanceUID
        conflicting.save_as(folder / "conflicting.dcm", enforce_file_format=True)
        demand(send(node.port, [folder / "conflicting.dcm"]) == {folder / "conflicting.dcm": 0}, "the conflicting object was not taken")
        node.settled()
        demand(set(send(node.port, bench.inputs).values()) == {0}, "a duplicate was not answered with Success")
        counts = node.settled()
        demand((counts.sent, counts.held, counts.duplicates) == (len(bench.inputs), 1, 3 * len(bench.inputs)), f"counted otherwise: {counts}")
        node.has_sent(bench.reference)
        node.stop()


def unknown_contexts(bench: Bench, folder: Path, moment: float) -> None:
    """An association that asks for CT too, and sends a CT object among the others."""
    with Node(bench, folder) as node:
        dataset = pydicom.dcmread(bench.inputs[0])
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = CT
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.99"
        dataset.save_as(folder / "ct.dcm", enforce_file_format=True)
        statuses = send(node.port, [folder / "ct.dcm", *bench.inputs], (CT, DX))
        demand(statuses.pop(folder / "ct.dcm") is None and set(statuses.values()) == {0}, "the CT object was taken, or another one was not")
        demand(node.settled().accepted == len(bench.inputs), "counted otherwise")
        node.has_sent(bench.reference)
        node.stop()


def cut_off(bench: Bench, folder: Path, moment: float) -> None:
    """An association that ends within an object; an object whose data set ends within its pixels; a caller who falls silent within a PDU."""
    with Node(bench, folder) as node:
        with socket.create_connection(("127.0.0.1", node.port)) as silent:
            silent.sendall(b"\x01\x00\x00\x00\x00\xff\x00\x01")
            entity = AE("SENDER")
            entity.dimse_timeout = 1
            entity.add_requested_context(DX, [file_facts(bench.inputs[0].read_bytes()[:65536]).transfer_syntax])
            association = entity.associate("127.0.0.1", node.port, ae_title="MARKERREMOVER")
            original, total = association.dul.socket.send, 0

            def cut(data: bytes) -> None:
                nonlocal total
                total += len(data)
                if total > 1000 + moment * 30_000:
                    association.dul.socket.socket.shutdown(socket.SHUT_RDWR)
                original(data)

            association.dul.socket.send = cut
            association.send_c_store(bench.inputs[0])
            time.sleep(1)
            demand(node.counts().accepted == 0, "an object that was cut off was kept")
            data = bench.inputs[1].read_bytes()
            (folder / "cut.dcm").write_bytes(data[: int(len(data) * (0.3 + 0.6 * moment))])
            statuses = send(node.port, [folder / "cut.dcm", bench.inputs[0], *bench.inputs[2:]])
            demand(set(statuses.values()) == {0}, "an object was not taken")
            counts = node.settled()
        demand((counts.sent, counts.held + counts.failed) == (len(bench.inputs) - 1, 1), f"counted otherwise: {counts}")
        demand(len(list(node.sent.glob("*.dcm"))) == len(bench.inputs) - 1, "results are missing, or too many")
        demand({path.stem for path in node.sent.iterdir()} < set(bench.reference), "a result is not the reference's")
        node.stop()


def many(bench: Bench, folder: Path, objects: int) -> None:
    """Objects over 8 associations at the same time, one kill in the middle."""
    paths = bench.copies(objects)
    with Node(bench, folder) as node:
        results: list[dict[Path, int | None]] = []
        parts = [paths[start::8] for start in range(8)]
        threads = [threading.Thread(target=lambda part=part: results.append(send(node.port, part))) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        statuses = {path: status for result in results for path, status in result.items()}
        demand(len(statuses) == objects and set(statuses.values()) == {0}, f"{Counter(statuses.values())}")
        node.until(lambda counts: counts.sent >= objects // 3)
        node.kill()
        node.start()
        counts = node.settled()
        demand((counts.sent, counts.accepted) == (objects, objects), f"counted otherwise: {counts}")
        found = {path.stem for path in node.sent.glob("*.dcm")}
        demand(len(found) == objects, f"{len(found)} results")
        drawn = random.Random(SEED).sample(paths, min(40, objects))
        for uid, data in bench.cleaned(drawn).items():
            demand((node.sent / f"{uid}.dcm").read_bytes() == data, "a result is not the bytes that `remove` gives")
        node.stop()


def all_faults(bench: Bench, objects: int) -> list[tuple[Fault, list[Callable[[Path], None]]]]:
    """Every fault with its trials."""
    can_mount = os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0

    def trials(one: Callable[[Bench, Path, float], None], *moments: float) -> list[Callable[[Path], None]]:
        return [lambda folder, m=m: one(bench, folder, m) for m in moments]

    return [
        (Fault("node: kill -9 in mid-association", "SIGKILL while objects come in, then a restart",
               "what was answered with Success is sent; what was not is taken again; the reference, once each"), trials(killed_in_association, 0.1, 0.4, 0.7)),
        (Fault("node: kill -9 in mid-clean", "SIGKILL twice while objects are cleaned", "workers end; the reference, once each"),
         trials(killed_in_clean, 0.1, 0.5, 0.9)),
        (Fault("node: kill -9 between sending and its record", "SIGKILL when the archive has an object and has not answered",
               "that object arrives once more with the same UID and bytes, no other does"), trials(killed_before_the_record, 0.5)),
        (Fault("node: destination down", "no archive at first, and again later, with a kill -9 between", "everything arrives once when it is up"),
         trials(destination_down, 0.5)),
        (Fault("node: full disk", "the spool on a file system with room for some objects, which then grows",
               "A700 for what does not fit; everything is sent in the end", skipped="" if can_mount else "needs root, to mount"),
         trials(full_disk, 0.2, 0.8)),
        (Fault("node: duplicates and conflicts", "each object four times, three at the same moment; another picture under a known UID",
               "sent once; the conflicting object is held"), trials(duplicates, 0.5)),
        (Fault("node: unknown presentation contexts", "a CT object among the others", "not taken; the others are"), trials(unknown_contexts, 0.5)),
        (Fault("node: objects cut off", "an association ends within an object, a data set within its pixels, a caller falls silent within a PDU",
               "not kept; held or failed; the others are sent"), trials(cut_off, 0.3, 0.8)),
        (Fault(f"node: {objects} objects over 8 associations", "and a kill -9 after a third of them", "each is sent once, 40 drawn ones are the reference's"),
         [lambda folder: many(bench, folder, objects)]),
    ]


def table(faults: list[Fault]) -> str:
    """The section of eval/FAULTS.md."""
    lines = [NODE, "", "## Faults put into a real node", "",
             f"Made by `eval/node_faults.py`: {COUNT} synthetic radiographs as DX objects, sent to `markerremover serve --keep none --fast` with two workers. After every",
             "fault the counts reconciled, and what arrived at the destination was compared, byte by byte, with what `remove` writes.", "",
             "| Fault | What was done | What had to hold | Tried | Survived |", "|---|---|---|--:|--:|"]
    for f in faults:
        lines.append(f"| {f.name.removeprefix('node: ')} | {f.how} | {f.holds} | {f.tried or '–'} | {f.survived if f.tried else f'skipped: {f.skipped}'} |")
    return "\n".join([*lines, "", f"Together {sum(f.survived for f in faults)} of {sum(f.tried for f in faults)} survived."]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--objects", type=int, default=1000, help="objects of the last fault (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=9, help="most trials of each fault (default: %(default)s)")
    parser.add_argument("--only", default="", help="faults whose name holds this; other rows of --out stay as they are")
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    known = json.loads(args.out.read_text(encoding="utf-8"))["faults"] if args.only and args.out and args.out.exists() else []
    faults = {row["name"]: Fault(**row) for row in known}
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name).resolve())
        for number, (fault, trials) in enumerate(all_faults(bench, args.objects)):
            if args.only not in fault.name:
                continue
            faults[fault.name] = fault
            for trial, run in enumerate([] if fault.skipped else trials[: args.trials]):
                fault.tried += 1
                begun = time.monotonic()
                try:
                    folder = bench.folder / f"{number}-{trial}"
                    folder.mkdir()
                    run(folder)
                    fault.survived += 1
                except Broken as error:
                    fault.lost.append(str(error))
                    print("".join(line for line in open(folder / "log") if '"info"' not in line)[-3000:], file=sys.stderr)
                print(f"{fault.name}: {fault.survived} of {fault.tried} {fault.lost} ({time.monotonic() - begun:.0f} s)", flush=True)
            if args.out:
                args.out.write_text(json.dumps({"objects": COUNT, "faults": [asdict(f) for f in faults.values()]}, indent=1) + "\n", encoding="utf-8")
            if args.table:
                before = args.table.read_text(encoding="utf-8").split(NODE)[0].rstrip()
                args.table.write_text(f"{before}\n\n{table(list(faults.values()))}", encoding="utf-8")
    return 0 if all(f.tried == f.survived for f in faults.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
