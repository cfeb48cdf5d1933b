"""One process at a time: who comes second is refused, and nothing stays locked when a process ends."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading

import pytest

from markerremover.errors import UsageError
from markerremover.system import locks

HOLDS = """
import sys, time
from pathlib import Path
from markerremover.system import locks
held = locks.hold(Path(sys.argv[1]), "busy")
print("held", flush=True)
time.sleep(60)
"""


def test_who_comes_second_is_refused_until_the_first_is_done(tmp_path):
    with locks.held(tmp_path / "lock", "somebody is at work"):
        with pytest.raises(UsageError, match="^somebody is at work$"):
            locks.hold(tmp_path / "lock", "somebody is at work")
    locks.hold(tmp_path / "lock", "busy").release()
    assert (tmp_path / "lock").stat().st_mode & 0o077 == 0 or os.name != "posix"


def test_another_process_is_refused_and_one_that_was_killed_leaves_no_lock(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match="busy"):
            locks.hold(tmp_path / "lock", "busy")
        other.kill()
    locks.hold(tmp_path / "lock", "busy").release()


def test_another_thread_may_give_it_back(tmp_path):
    lock = locks.hold(tmp_path / "lock", "busy")
    thread = threading.Thread(target=lock.release)
    thread.start()
    thread.join()
    locks.hold(tmp_path / "lock", "busy").release()


def test_a_file_system_without_locks_is_named_and_no_file_stands_in_for_one(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def cannot(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", cannot)
        with pytest.raises(UsageError, match=r"cannot lock a file \(Function not implemented\); elsewhere$"):
            locks.hold(tmp_path / "lock", "busy", "elsewhere")
    locks.hold(tmp_path / "lock", "busy").release()


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="link"):
        locks.hold(tmp_path / "lock", "busy")
    assert not (tmp_path / "elsewhere").exists()


def test_who_waits_gets_it_once_the_first_is_done(tmp_path):
    first = locks.hold(tmp_path / "lock", "busy")
    timer = threading.Timer(0.1, first.release)
    timer.start()
    with locks.held(tmp_path / "lock", "busy", wait_s=10):
        timer.join()
