"""Real counterparts on loopback: Orthanc sends and receives (C-STORE and STOW-RS), DCMTK's storescu and storescp."""

import json
import os
import shutil
import socket
import subprocess
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import nodes
import pydicom
import pytest

from markerremover.node.records import DicomDestination, FolderDestination, WebDestination

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ORTHANC = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
needs_orthanc = pytest.mark.skipif(not ORTHANC or not PLUGIN.exists(), reason="Orthanc or its DICOMweb plugin is not installed")


def program(name: str) -> str | None:
    """The path of a program that is no script: pynetdicom has Python scripts of the names of DCMTK's programs."""
    found = [Path(folder, name) for folder in os.environ["PATH"].split(os.pathsep) if os.access(Path(folder, name), os.X_OK)]
    return next((str(path) for path in found if path.read_bytes()[:2] != b"#!"), None)


STORESCU, STORESCP = program("storescu"), program("storescp")
needs_dcmtk = pytest.mark.skipif(not STORESCU or not STORESCP, reason="DCMTK is not installed")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Archive:
    """A running Orthanc. http, dicom: its ports."""

    def __init__(self, http: int, dicom: int):
        self.http, self.dicom = http, dicom

    def ask(self, path: str, data: bytes | None = None):
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.http}{path}", data=data), timeout=180) as answer:
            return json.loads(answer.read() or b"null")

    def file(self, instance: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/instances/{instance}/file", timeout=180) as answer:
            return answer.read()

    def is_up(self) -> bool:
        try:
            return bool(self.ask("/system"))
        except OSError:
            return False


@contextmanager
def orthanc(folder: Path, node_port: int):
    archive = Archive(free_port(), free_port())
    folder.mkdir(exist_ok=True)
    settings = {
        "Name": "test", "HttpPort": archive.http, "DicomPort": archive.dicom, "DicomAet": "ORTHANC", "DicomCheckCalledAet": True,
        "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "StorageDirectory": str(folder), "IndexDirectory": str(folder),
        "DicomModalities": {"node": ["MARKERREMOVER", "127.0.0.1", node_port]}, "DicomAlwaysAllowStore": True, "DicomServerEnabled": True,
        "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"}, "OverwriteInstances": False}
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with open(folder / "log", "w") as log, subprocess.Popen([ORTHANC, str(folder / "orthanc.json")], stdout=log, stderr=log) as process:
        try:
            nodes.until(archive.is_up)
            yield archive
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A node and the Orthanc that it sends to by C-STORE and by STOW-RS."""
    folder, port = tmp_path_factory.mktemp("archives"), free_port()
    with orthanc(folder / "orthanc", port) as archive:
        to = (DicomDestination("dicom", "127.0.0.1", archive.dicom, "ORTHANC"), WebDestination("web", f"http://127.0.0.1:{archive.http}/dicom-web"),
              FolderDestination("folder", folder / "sent"))
        settings = nodes.settings(folder, *to)
        with nodes.running(replace(settings, listening=replace(settings.listening, port=port, callers=("ORTHANC",)))) as engine:
            yield engine, archive, folder


@needs_orthanc
def test_orthanc_sends_and_gets_the_same_bytes_back_cleaned_by_both_ways(pair, tmp_path):
    engine, archive, folder = pair
    originals = [archive.ask("/instances", nodes.object_file(tmp_path, number).read_bytes())["ID"] for number in range(3)]
    answer = archive.ask("/modalities/node/store", json.dumps(originals).encode())
    assert answer["FailedInstancesCount"] == 0
    assert nodes.settled(engine).sent == 3
    assert {state.name: (state.sent, state.pending) for state in engine.index.destinations()} == dict.fromkeys(("dicom", "web", "folder"), (3, 0))
    results = set(archive.ask("/instances")) - set(originals)
    assert len(results) == 3
    for instance in results:
        file = tmp_path / "result.dcm"
        file.write_bytes(archive.file(instance))
        dataset = pydicom.dcmread(file)
        assert nodes.white(file) == 0 and dataset.PatientID != "QZ-400-17"
        assert nodes.data_set(file) == nodes.data_set(folder / "sent" / f"{dataset.SOPInstanceUID}.dcm")


@needs_orthanc
def test_orthanc_verifies_the_node(pair):
    engine, archive, _ = pair
    assert archive.ask("/modalities/node/echo", b"{}") == {}


@needs_orthanc
def test_an_object_that_the_web_service_cannot_store_waits_with_the_reason(pair, tmp_path):
    """Orthanc refuses what is no DICOM; here the service is asked at a wrong path."""
    _, archive, _ = pair
    to = WebDestination("web", f"http://127.0.0.1:{archive.http}/nowhere")
    with nodes.running(replace(nodes.settings(tmp_path, to), listening=None)) as engine:
        engine.accept(nodes.object_file(tmp_path / "in", 9), "test")
        state = nodes.until(lambda: next((s for s in engine.index.destinations() if s.last_error), None))
        assert state.pending == 1 and "HTTP status 404" in state.last_error


@needs_dcmtk
def test_dcmtk_sends_and_receives(tmp_path):
    port = free_port()
    (tmp_path / "archive").mkdir()
    with subprocess.Popen([STORESCP, "--output-directory", str(tmp_path / "archive"), "--aetitle", "STORESCP", str(port)],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as archive:
        try:
            with nodes.running(nodes.settings(tmp_path, DicomDestination("archive", "127.0.0.1", port, "STORESCP"), callers=("STORESCU",))) as engine:
                paths = [nodes.object_file(tmp_path / "in", number) for number in range(3)]
                done = subprocess.run([STORESCU, "-aec", "MARKERREMOVER", "127.0.0.1", str(engine.dicom_port), *map(str, paths)], capture_output=True)
                assert done.returncode == 0, done.stderr
                assert nodes.settled(engine).sent == 3
                other = subprocess.run([STORESCU, "-aet", "OTHER", "-aec", "MARKERREMOVER", "127.0.0.1", str(engine.dicom_port), str(paths[0])],
                                       capture_output=True)
                assert other.returncode != 0
        finally:
            archive.terminate()
    results = list((tmp_path / "archive").iterdir())
    assert len(results) == 3 and all(nodes.white(path) == 0 for path in results)


@needs_dcmtk
def test_dcmtk_sends_over_tls_and_without_its_certificate_nothing_is_taken(tmp_path):
    """TLS on both sides: the caller shows a certificate that the node knows, and checks the node's."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    for name in ("node", "caller"):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", tmp_path / f"{name}.key", "-out", tmp_path / f"{name}.pem",
                        "-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    tls = {"certificate": tmp_path / "node.pem", "key": tmp_path / "node.key", "ca": tmp_path / "caller.pem"}
    with nodes.running(nodes.settings(tmp_path, **tls)) as engine:
        path = nodes.object_file(tmp_path / "in", 1)
        there = ["-aec", "MARKERREMOVER", "127.0.0.1", str(engine.dicom_port), str(path)]
        known = ["+tls", str(tmp_path / "caller.key"), str(tmp_path / "caller.pem"), "+cf", str(tmp_path / "node.pem")]
        plain = subprocess.run([STORESCU, "-to", "5", "-ta", "5", *there], capture_output=True)
        nameless = subprocess.run([STORESCU, "-to", "5", "-ta", "5", "+tla", "+cf", str(tmp_path / "node.pem"), *there], capture_output=True)
        assert plain.returncode and nameless.returncode and engine.counts().accepted == 0
        with socket.create_connection(("127.0.0.1", engine.dicom_port)):  # says nothing, and keeps nobody waiting
            done = subprocess.run([STORESCU, "-to", "5", "-ta", "5", *known, *there], capture_output=True)
        assert done.returncode == 0, done.stderr
        assert nodes.settled(engine).sent == 1
