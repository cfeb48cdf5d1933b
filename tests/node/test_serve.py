"""The command line of `serve`: destinations, and what is refused before anything listens."""

from pathlib import Path

import pytest

from markerremover.cli.main import build_parser, main
from markerremover.cli.services.serve import settings_of
from markerremover.node.records import DicomDestination, FolderDestination, WebDestination


def settings(*words):
    args = build_parser().parse_args(["serve", "spool", *words])
    args.configuration = None
    return settings_of(args)


def test_destinations_of_every_kind():
    found = settings("--to", "dicom://PACS@archive:104", "--to", "dicoms://PACS@[::1]:2762", "--to", "https://archive/dicom-web", "--to", "out",
                     "--ae-title", "ME", "--to-ca", "ca.pem").destinations
    assert found == (
        DicomDestination("destination-1", "archive", 104, "PACS", calling="ME"),
        DicomDestination("destination-2", "::1", 2762, "PACS", calling="ME", tls=True, ca=Path("ca.pem")),
        WebDestination("destination-3", "https://archive/dicom-web", ca=Path("ca.pem")), FolderDestination("destination-4", Path("out")))


def test_defaults_listen_on_loopback_and_clean_as_remove_does():
    found = settings("--to", "out")
    assert (found.listening.host, found.listening.port, found.options.headers, found.options.time_limit) == ("127.0.0.1", 11112, "basic", 900.0)


@pytest.mark.parametrize(("words", "said"), [
    (["--to", "ftp://x"], "allowed are dicom://"), (["--to", "dicom://A@h:99999"], "port is 99999"),
    (["--to", "out", "--host", "0.0.0.0"], "name the calling AE titles"), (["--to", "out", "--tls-key", "k"], "certificate and its key"),
    (["--to", "none/of/them"], "does not exist"), (["--to", ".", "--key", "key"], "may not be the same or nested"),
    (["--to", "results", "--key", "none"], "cannot be read")])
def test_what_cannot_be_is_a_usage_error(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    assert main(["serve", str(tmp_path / "spool"), *words]) == 2
    assert said in capsys.readouterr().err
