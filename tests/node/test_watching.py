import os
import shutil
import time

import cv2
import dicom_files
import fakes
import pytest

from markerremover.configuration.node_tables import Watch
from markerremover.errors import ReadError
from markerremover.formats import images, read_apart
from markerremover.headers.profile import HeaderProfile
from markerremover.node.engine import Engine
from markerremover.node.records import FolderDestination, Limits, NodeSettings
from markerremover.node.watching.result_names import ResultNames, read_header
from markerremover.node.watching.watched_folder import WatchedFolder
from markerremover.options import RunOptions
from markerremover.records import Policy

KEY = HeaderProfile("basic", bytes(range(32)))


class Clock:
    """Seconds that pass when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def inbox(tmp_path):
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watched(tmp_path, inbox, clock):
    """Opens an engine and a watched folder; called again it is a restart."""
    (tmp_path / "clean").mkdir()
    running = []

    def stop():
        for one in reversed(running):
            one.stop()
        running.clear()

    def start(paths="keep", settle_s=10.0, limits=Limits(free_bytes=0), telling=lambda path: frozenset(), ignore=()):
        stop()
        options = RunOptions(policy=Policy(keep=()), paths=paths, workers=1)
        engine = Engine(NodeSettings(tmp_path / "spool", (FolderDestination("results", tmp_path / "clean"),), options, None, limits), open_cleaner=fakes.cleaner)
        engine.start()
        running.append(engine)
        folder = WatchedFolder(inbox, engine, Watch(settle_s=settle_s), ignore=ignore, clock=clock,
                               names=lambda files: ResultNames(paths, KEY, files.parts(), files.add_parts, telling))
        running.append(folder)
        return engine, folder

    yield start
    stop()


def put(path, seed=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), fakes.radiograph(seed))
    return path


def put_dicom(path, seed, **elements):
    """A DICOM file with one white box; 12 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dicom_files.save(path.parent, (fakes.radiograph(seed).astype("uint16") << 4)[None], name=path.name, **elements)


def settled(folder, clock, seconds=10.0):
    """Two looks with a pause."""
    folder.look()
    clock.now += seconds
    return folder.look()


def finished(engine, count, state="sent"):
    for _ in range(500):
        if getattr(engine.counts(), state) >= count:
            return engine.counts()
        time.sleep(0.02)
    raise AssertionError(engine.counts())


def test_a_tree_of_files_comes_out_under_the_same_paths_and_the_inputs_stay_as_they_were(watched, inbox, clock, tmp_path):
    for number, name in enumerate(["a/0.png", "a/b/1.png", "2.tif", "3.jpg"]):
        put(inbox / name, number)
    put_dicom(inbox / "4.dcm", 4)
    before = fakes.files(inbox)
    engine, folder = watched()
    assert settled(folder, clock) == (5, 0, 0, 0)
    finished(engine, 5)
    assert set(fakes.files(tmp_path / "clean")) == set(before) == set(fakes.files(inbox)) and fakes.files(inbox) == before
    assert all(fakes.files(tmp_path / "clean")[name] != data for name, data in before.items())
    assert engine.counts().reconciles


def test_a_file_is_taken_only_when_it_has_not_changed_for_the_time(watched, inbox, clock):
    _, folder = watched()
    put(inbox / "0.png")
    assert folder.look() == (0, 1, 0, 0)
    clock.now += 9.9
    assert folder.look() == (0, 1, 0, 0)
    put(inbox / "0.png", 2)
    os.utime(inbox / "0.png", ns=(1, 1))
    clock.now += 9.9
    assert folder.look() == (0, 1, 0, 0)
    clock.now += 9.9
    assert folder.look() == (0, 1, 0, 0)
    clock.now += 0.2
    assert folder.look() == (1, 0, 0, 0) and folder.look() == (0, 0, 0, 0)


def test_a_file_that_grows_while_it_is_copied_is_not_taken_and_leaves_nothing(watched, inbox, clock, tmp_path, monkeypatch):
    engine, folder = watched()
    path = put(inbox / "0.png")
    real = shutil.copyfileobj

    def grows(source, target, length):
        real(source, target, length)
        with open(path, "ab") as handle:
            handle.write(b"more")

    monkeypatch.setattr(shutil, "copyfileobj", grows)
    assert settled(folder, clock).taken == 0 and engine.counts().accepted == 0 and list((tmp_path / "spool" / "watching").iterdir()) == []
    monkeypatch.setattr(shutil, "copyfileobj", real)
    assert folder.look().settling == 1
    clock.now += 10
    assert folder.look().taken == 1


@pytest.mark.parametrize("name", ["0.png.part", ".0.png", "0.png.filepart", "~$0.png", "x.txt"])
def test_a_name_of_unfinished_files_is_left_alone_until_the_file_is_renamed(watched, inbox, clock, name):
    engine, folder = watched(ignore=("*.txt",))
    put(inbox / "0.png").rename(inbox / name)
    assert settled(folder, clock) == (0, 0, 1, 0)
    (inbox / name).rename(inbox / "0.png")
    assert folder.look() == (0, 1, 0, 0)
    clock.now += 10
    assert folder.look() == (1, 0, 0, 0)


def test_after_a_restart_nothing_is_taken_twice_and_what_came_meanwhile_is_taken(watched, inbox, clock):
    put(inbox / "0.png"), put(inbox / "1.png", 2)
    engine, folder = watched()
    assert settled(folder, clock).taken == 2
    finished(engine, 2)
    put(inbox / "2.png", 3)
    engine, folder = watched()
    assert settled(folder, clock) == (1, 0, 0, 0)
    counts = finished(engine, 3)
    assert (counts.accepted, counts.duplicates) == (3, 0) and counts.reconciles


def test_a_node_killed_between_spool_and_memory_takes_a_file_again_but_sends_it_once(watched, inbox, clock, monkeypatch):
    put(inbox / "0.png")
    engine, folder = watched()
    monkeypatch.setattr(folder._files, "add", lambda *row: (_ for _ in ()).throw(OSError("killed here")))
    with pytest.raises(OSError):
        settled(folder, clock)
    engine, folder = watched()
    settled(folder, clock)
    counts = finished(engine, 1)
    assert (counts.accepted, counts.duplicates, counts.sent) == (1, 1, 1)


def test_the_same_picture_under_two_names_has_two_results_and_a_new_version_of_a_file_is_a_new_object(watched, inbox, clock, tmp_path):
    put(inbox / "0.png"), put(inbox / "copy.png")
    engine, folder = watched()
    assert settled(folder, clock).taken == 2
    finished(engine, 2)
    assert set(fakes.files(tmp_path / "clean")) == {"0.png", "copy.png"}
    put(inbox / "0.png", 7)
    assert settled(folder, clock).taken == 1 and engine.counts().accepted == 3


def test_links_and_pipes_are_never_followed_and_are_told_once_without_their_names(watched, inbox, clock, tmp_path):
    put(tmp_path / "elsewhere" / "secret.png")
    (inbox / "SMITH.png").symlink_to(tmp_path / "elsewhere" / "secret.png"), (inbox / "folder").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(inbox / "pipe.png")
    engine, folder = watched()
    settled(folder, clock), folder.look()
    assert folder.last == (0, 0, 0, 3) and engine.counts().accepted == 0
    problems = engine.index.recent_errors()
    assert len(problems) == 3 and all(p.where == "watching" and "SMITH" not in p.text for p in problems)


def test_what_cannot_be_read_ends_as_failed_and_what_is_too_large_is_told(watched, inbox, clock):
    (inbox / "notes.png").write_bytes(b"hello"), (inbox / "empty.png").write_bytes(b"")
    put(inbox / "large.png")
    engine, folder = watched(limits=Limits(free_bytes=0, object_bytes=1000))
    assert settled(folder, clock) == (2, 0, 0, 1)
    finished(engine, 2, "failed")
    assert [p.text for p in engine.index.recent_errors()] == ["a file is too large"]


def test_names_that_a_header_names_get_pseudonyms_from_then_on_also_over_a_restart(watched, inbox, clock, tmp_path):
    put(inbox / "ward" / "SMITH_JOHN" / "0.png")
    put_dicom(inbox / "ward" / "SMITH_JOHN" / "1.dcm", 1, PatientName="Smith^John")
    engine, folder = watched("auto", telling=images.path_parts)
    settled(folder, clock)
    finished(engine, 2)
    put(inbox / "SMITH_JOHN.png", 5), put(inbox / "ward" / "SMITH_JOHN" / "2.png", 6)
    engine, folder = watched("auto", telling=images.path_parts)
    settled(folder, clock)
    finished(engine, 4)
    pseudonym = KEY.pseudonym("path", "SMITH_JOHN")
    names = set(fakes.files(tmp_path / "clean"))
    assert {f"ward/{pseudonym}/1.dcm", f"ward/{pseudonym}/2.png"} <= names and not any("1.dcm" in name and "SMITH" in name for name in names)


@pytest.mark.parametrize("mode, name, expected", [
    ("pseudonym", "ward/0.png", f"{KEY.pseudonym('path', 'ward')}/{KEY.pseudonym('path', '0.png')}.png"), ("keep", "ward/0.png", "ward/0.png"),
    ("auto", "ward/0.png", "ward/0.png"), ("keep", "a\\b/0.png", f"{KEY.pseudonym('path', 'a' + chr(92) + 'b')}/0.png"),
])
def test_paths_of_results(tmp_path, mode, name, expected):
    assert ResultNames(mode, KEY, set(), lambda parts: None, lambda path: frozenset()).of(tmp_path, name) == expected


def test_a_header_is_read_in_another_process_and_what_cannot_be_read_is_unknown(tmp_path, monkeypatch):
    dicom_files.save(tmp_path, fakes.radiograph(1)[None], bits=8)
    monkeypatch.setattr(read_apart, "call", lambda function, path, limit: function(path))
    assert read_header(tmp_path / "in.dcm") == images.path_parts(tmp_path / "in.dcm") != frozenset()
    assert read_header(put(tmp_path / "0.png")) == frozenset()

    def hangs(function, path, limit):
        raise ReadError("took longer")

    monkeypatch.setattr(read_apart, "call", hangs)
    assert read_header(tmp_path / "in.dcm") is None


def test_of_a_header_that_cannot_be_read_every_part_gets_a_pseudonym(tmp_path):
    name = ResultNames("auto", KEY, set(), lambda parts: None, lambda path: None).of(tmp_path, "ward/SMITH.dcm")
    assert name == f"{KEY.pseudonym('path', 'ward')}/{KEY.pseudonym('path', 'SMITH.dcm')}.dcm"


@pytest.mark.skipif(os.name == "nt", reason="names of bytes")
def test_a_name_that_is_no_text_is_taken_under_a_pseudonym(watched, inbox, clock, tmp_path):
    engine, folder = watched()
    put(inbox / "0.png").rename(os.fsdecode(os.fsencode(inbox) + b"/\xff\xfe.png"))
    assert settled(folder, clock).taken == 1
    finished(engine, 1)
    assert len(fakes.files(tmp_path / "clean")) == 1


def test_a_file_that_raises_anything_at_all_keeps_no_other_away_and_is_told_without_its_message(watched, inbox, clock):
    put(inbox / "a.png"), put(inbox / "b.png", 2)
    engine, folder = watched()
    name, folder._names.of = folder._names.of, lambda path, relative: name(path, relative) if relative == "b.png" else {}[relative]
    assert settled(folder, clock) == (1, 0, 0, 1)
    assert [p.text.split(":")[0] for p in engine.index.recent_errors()] == ["unexpected KeyError at test_watching.py"]


def test_the_thread_takes_files_by_itself_and_stops(watched, inbox, clock):
    put(inbox / "0.png")
    engine, folder = watched(settle_s=0.0)
    folder._watch = Watch(settle_s=0.0, poll_s=0.05)
    folder.start()
    finished(engine, 1)
