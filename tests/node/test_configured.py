"""`serve` and `watch` with a configuration file: every setting of the node reaches it, the command line wins, and what cannot be is refused."""

import dataclasses

import pytest

from markerremover import site_profile
from markerremover.cli import main
from markerremover.cli.services import serve, watch
from markerremover.configuration import command_options, node_tables
from markerremover.configuration.reading import Configuration
from markerremover.errors import UsageError
from markerremover.node import configured, service
from markerremover.node.records import DicomDestination, FolderDestination, Limits, Listening, WebDestination
from markerremover.site_profile import SiteProfile

FILE = """
threshold = 0.5
[removal]
style = "mask"
[headers]
paths = "pseudonym"
[run]
workers = 3
[node]
ae_title = "CLEANER"
host = "0.0.0.0"
port = 4000
callers = ["PACS", "CT 1"]
addresses = ["192.0.2.7"]
spool = "spool"
tls_certificate = "c.pem"
tls_key = "k.pem"
tls_ca = "ca.pem"
associations = 3
object_gib = 0.5
spool_gib = 2
free_gib = 0.25
per_minute = 7
idle_s = 9
first_retry_s = 2
longest_retry_s = 4
remember_days = 30
[[destinations]]
name = "a"
kind = "dicom"
host = "archive"
port = 104
ae_title = "ARCHIVE"
tls = true
tls_ca = "a.pem"
timeout_s = 8
[[destinations]]
name = "b"
kind = "dicomweb"
url = "https://archive/dicom-web"
token_file = "token"
[[destinations]]
name = "c"
kind = "folder"
folder = "out"
"""


@pytest.fixture
def arguments(tmp_path):
    """The parsed arguments of a command with a configuration file."""
    def parsed(command, text, *words):
        (tmp_path / "m.toml").write_text(text)
        parser = main.build_parser()
        argv = [command, *map(str, words), "--config", str(tmp_path / "m.toml")]
        return command_options.with_config(parser, main.commands_of(parser), parser.parse_args(argv), argv)

    return parsed


def test_every_setting_reaches_the_node(arguments, tmp_path):
    found = serve.settings_of(arguments("serve", FILE))
    assert found.spool == tmp_path / "spool"
    assert found.listening == Listening("CLEANER", "0.0.0.0", 4000, ("PACS", "CT 1"), ("192.0.2.7",), tmp_path / "c.pem", tmp_path / "k.pem", tmp_path / "ca.pem")
    assert found.limits == Limits(3, 1 << 29, 2 << 30, 1 << 28, 7, 9, 2, 4, 30)
    assert found.destinations == (
        DicomDestination("a", "archive", 104, "ARCHIVE", "CLEANER", True, tmp_path / "a.pem", timeout_s=8),
        WebDestination("b", "https://archive/dicom-web", token=tmp_path / "token"), FolderDestination("c", tmp_path / "out"))
    options = found.options
    assert (options.resolved_policy.threshold, options.resolved_policy.style, options.paths, options.workers) == (0.5, "mask", "pseudonym", 3)


def test_the_command_line_wins(arguments, tmp_path):
    found = serve.settings_of(arguments("serve", FILE, "elsewhere", "--port", 5, "--to", "dicom://X@h:1", "--workers", 1, "--style", "box", "--per-minute", 0, "--ae-title", "ME"))
    assert found.spool.name == "elsewhere" and found.listening.port == 5 and found.limits.per_minute == 0 and found.options.workers == 1
    assert found.destinations == (DicomDestination("destination-1", "h", 1, "X", "ME"),) and found.options.resolved_policy.style == "box"


def test_an_empty_file_says_the_defaults_of_the_node(arguments):
    found = serve.settings_of(arguments("serve", "", "spool", "--to", "out"))
    assert (found.listening, found.limits) == (Listening(), Limits()) == (Listening(), configured.limits(Configuration()))
    node = node_tables.Node()
    assert (node.ae_title, node.host, node.port) == (Listening().ae_title, Listening().host, Listening().port)


@pytest.mark.parametrize("text, words, message", [
    ("", [], "name the folder SPOOL"), ('[node]\nspool = "s"\n', [], "at least one destination"),
    ('[node]\nspool = "s"\nhost = "0.0.0.0"\n', ["--to", "out"], "line 3: .*name the AE titles"),
])
def test_what_is_missing_is_told(arguments, text, words, message):
    with pytest.raises(UsageError, match=message):
        serve.settings_of(arguments("serve", text, *words))


def test_weights_of_the_loops_site_are_used_where_the_file_names_none(arguments, tmp_path):
    text = '[node]\nspool = "s"\n[loop]\nsite = "site"\n'
    assert serve.options_of(arguments("serve", text)).weights is None
    (tmp_path / "site").mkdir()
    site_profile.write(tmp_path / "site" / "site.toml", SiteProfile(tmp_path / "site" / "learnt.onnx"))
    assert serve.options_of(arguments("serve", text)).weights == tmp_path / "site" / "learnt.onnx"
    assert serve.options_of(arguments("serve", 'weights = "own.onnx"\n' + text)).weights == tmp_path / "own.onnx"
    assert serve.options_of(arguments("serve", text, "--weights", "other.onnx")).weights.name == "other.onnx"


@pytest.fixture
def watching(arguments, tmp_path, monkeypatch):
    """The settings, configuration and folder that `watch` hands to the service."""
    seen = {}

    def takes_note(settings, configuration, *, folder, ready):
        seen.update(settings=settings, configuration=configuration, folder=folder)
        raise UsageError("far enough")

    monkeypatch.setattr(service, "run", takes_note)
    (tmp_path / "inbox").mkdir()

    def run(text, *words):
        seen.clear()
        with pytest.raises(UsageError) as caught:
            watch._watch(arguments("watch", text, *words))
        return seen or str(caught.value)

    return run


def test_watch_puts_results_and_spool_beside_the_folder_unless_it_is_told_otherwise(watching, tmp_path):
    seen = watching("", tmp_path / "inbox")
    assert seen["folder"] == tmp_path / "inbox" and seen["settings"].spool == tmp_path / "inbox-spool" and seen["settings"].listening is None
    assert seen["settings"].destinations == (FolderDestination("results", tmp_path / "inbox-clean"),) and (tmp_path / "inbox-clean").is_dir()
    seen = watching('[watch]\nfolder = "inbox"\nout = "o"\nsettle_s = 3\n[node]\nspool = "sp"\n[output]\nignore = ["x"]\n', "--poll", 2, "--ignore", "y")
    assert seen["settings"].spool == tmp_path / "sp" and seen["settings"].destinations == (FolderDestination("results", tmp_path / "o"),)
    assert (seen["configuration"].watch.settle_s, seen["configuration"].watch.poll_s) == (3, 2) and seen["settings"].options.ignore[-2:] == ("x", "y")


def test_destinations_of_the_file_take_the_place_of_a_folder(watching, tmp_path):
    text = '[[destinations]]\nname = "a"\nkind = "dicom"\nhost = "h"\nport = 1\nae_title = "A"\n'
    assert [one.name for one in watching(text, tmp_path / "inbox")["settings"].destinations] == ["a"]
    assert [one.name for one in watching(text, tmp_path / "inbox", "-o", tmp_path / "out")["settings"].destinations] == ["a", "results"]


@pytest.mark.parametrize("words, message", [
    (["-o", "inbox/clean"], "may not be the same or nested"), (["--spool", "inbox/spool"], "may not be the same or nested"),
    (["-o", "out", "--spool", "out/spool"], "may not be the same or nested"), (["-o", "."], "may not be the same or nested"),
])
def test_folders_that_are_nested_are_refused_before_anything_is_created(watching, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    assert message in watching("", "inbox", *words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["inbox", "m.toml"] and not list((tmp_path / "inbox").iterdir())


def test_a_folder_that_is_not_there_is_told(watching, tmp_path):
    assert "no such folder to watch" in watching("", tmp_path / "none") and "name the folder to watch" in watching("")


def test_every_setting_of_the_node_is_taken_by_serve():
    taken = {*command_options.OPTIONS["serve"].values(), *(f"node.{name}" for name in ("idle_s", "first_retry_s", "longest_retry_s"))}
    assert {f"node.{one.name}" for one in dataclasses.fields(node_tables.Node)} <= taken
