"""A node with a plain callable for a localizer, objects for it, and a Storage SCU and SCP of pynetdicom to talk with it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path

import dicom_files
import fakes
import pydicom
from pynetdicom import AE, evt

from markerremover.node.engine import Engine
from markerremover.node.records import FolderDestination, Limits, Listening, NodeSettings
from markerremover.options import RunOptions
from markerremover.records import Policy

DX, EXPLICIT = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.840.10008.1.2.1"
OPTIONS = RunOptions(policy=Policy(keep=()), workers=1, full_pictures_gb=0.01)
LIMITS = Limits(free_bytes=0, first_retry_s=0.2, longest_retry_s=0.5, idle_s=5)


def object_file(folder: Path, number: int, *, seed: int | None = None, **elements) -> Path:
    """A DX object of a radiograph with one white box; its SOP Instance UID is 1.2.826.0.1.3680043.77.NUMBER."""
    folder.mkdir(parents=True, exist_ok=True)
    image = fakes.radiograph(number if seed is None else seed)
    return dicom_files.save(
        folder, image[None], bits=8, name=f"{number}.dcm", SOPInstanceUID=f"1.2.826.0.1.3680043.77.{number}", PatientID="QZ-400-17",
        StudyInstanceUID="1.2.826.0.1.3680043.77.1000", SeriesInstanceUID="1.2.826.0.1.3680043.77.1001", **elements)


def held_file(folder: Path, number: int) -> Path:
    """An object that is held: a CT image."""
    return object_file(folder, number, SOPClassUID=DX, Modality="CT")


def settings(folder: Path, *destinations, limits: Limits = LIMITS, options: RunOptions = OPTIONS, **listening) -> NodeSettings:
    (folder / "sent").mkdir(parents=True, exist_ok=True)
    to = destinations or (FolderDestination("folder", folder / "sent"),)
    return NodeSettings(folder / "spool", to, options, Listening(port=0, **listening), limits)


@contextmanager
def running(node_settings: NodeSettings, open_cleaner=fakes.cleaner):
    engine = Engine(node_settings, open_cleaner=open_cleaner)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def until(condition, seconds: float = 180.0):
    """Wait for a condition; its value."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not so within {seconds} s")


def settled(engine: Engine, seconds: float = 180.0):
    """Wait until nothing is received, in work or waiting; the counts, which reconcile."""
    counts = until(lambda: (c := engine.counts()) and not (c.received or c.working) and c, seconds)
    assert counts.reconciles
    return counts


@contextmanager
def sending(port: int, *, calling="SENDER", called="MARKERREMOVER", contexts=((DX, [EXPLICIT]),)):
    """An association to a node."""
    entity = AE(calling)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    for sop_class, syntaxes in contexts:
        entity.add_requested_context(sop_class, syntaxes)
    association = entity.associate("127.0.0.1", port, ae_title=called)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()


def store(port: int, *paths: Path) -> list[int]:
    """Send files; the statuses."""
    with sending(port) as association:
        return [association.send_c_store(path).Status for path in paths]


@contextmanager
def receiving(folder: Path, *, status=lambda event: 0, port: int = 0, title="ARCHIVE"):
    """A Storage SCP that writes what it receives into a folder; gives (port, list of SOP Instance UIDs in order)."""
    folder.mkdir(parents=True, exist_ok=True)
    received: list[str] = []

    def take(event) -> int:
        code = status(event)
        if code == 0:
            received.append(event.request.AffectedSOPInstanceUID)
            (folder / f"{received[-1]}.dcm").write_bytes(event.encoded_dataset())
        return code

    entity = AE(title)
    entity.require_called_aet = True
    entity.add_supported_context(DX, [EXPLICIT])
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
    try:
        yield server.socket.getsockname()[1], received
    finally:
        server.shutdown()


def white(path: Path) -> int:
    """Number of white pixels, of which the radiographs here have some only in their box."""
    return int((pydicom.dcmread(path).pixel_array >= fakes.WHITE).sum())


def data_set(path: Path) -> bytes:
    """The bytes behind the head of a file."""
    from markerremover.formats.dicom.file_meta import file_facts

    data = path.read_bytes()
    return data[file_facts(data).offset :]


def sizes(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
