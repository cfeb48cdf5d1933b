"""Nothing is told to anybody: what the libraries below would send, install or write into the user's home does not happen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from markerremover.system import telemetry

PACKAGE = Path(__file__).parents[2]

LISTEN = """
import json, multiprocessing.process, sys
heard = []
WATCHED = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "subprocess.Popen", "os.system", "urllib.Request")
sys.addaudithook(lambda event, args: heard.append(f"{event} {args}") if event in WATCHED else None)
start = multiprocessing.process.BaseProcess.start
multiprocessing.process.BaseProcess.start = lambda self: (heard.append(f"process {self._target}"), start(self))
"""


def told(script: str, home: Path) -> dict:
    """What a script that runs in a fresh process and an empty home prints last, as JSON."""
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in telemetry.ENVIRONMENT and not name.startswith(("XDG_", "CI"))}
    run = subprocess.run(
        [sys.executable, "-c", LISTEN + script], capture_output=True, text=True, timeout=1800,
        env={**environment, "HOME": str(home), "PYTHONPATH": str(PACKAGE)}, cwd=home)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_cleaning_asks_no_network_starts_no_process_and_leaves_nothing_in_the_home(tmp_path):
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    found = told("""
import numpy as np
from markerremover import MarkerRemover, Policy
remover = MarkerRemover(policy=Policy(keep=()))
picture = np.full((300, 300), 60, np.uint8)
picture[20:50, 20:120:3] = 250
remover.clean(picture)
print(json.dumps({"backend": remover.cleaner.detector.backend, "heard": heard, "telemetry": repr(sys.modules.get("openvino_telemetry"))}))
""", tmp_path / "home")
    assert found["backend"].startswith("OpenVINO") and found["telemetry"] == "None"
    assert found["heard"] == [] and not list((tmp_path / "home").iterdir())


@pytest.mark.parametrize("library, place", [("openvino", "intel"), ("onnxruntime", ".cache/Microsoft")])
def test_without_that_they_would(tmp_path, library, place):
    """So that the test above cannot pass because they do no such thing, or no longer, or elsewhere."""
    pytest.importorskip(library, reason=f"{library} is not installed")
    told(f"import {library}; print(0)", tmp_path / "home")
    if not (tmp_path / "home" / place).exists():
        pytest.skip(f"this version of {library} leaves nothing there: look where it does, if it tells anything")


@pytest.mark.train
def test_training_tells_no_analytics_and_no_tracker_of_experiments_and_installs_nothing(tmp_path):
    pytest.importorskip("ultralytics", reason="the extra 'train' is not installed")
    found = told("""
from markerremover.training import train_localizer
train_localizer.require()
from ultralytics.utils import AUTOINSTALL, ONLINE, SETTINGS, callbacks, events
dict.update(SETTINGS, sync=True, comet=True, wandb=True, mlflow=True)
class AnyTrainer:
    callbacks = callbacks.get_default_callbacks()
before = {name: list(functions) for name, functions in AnyTrainer.callbacks.items()}
callbacks.add_integration_callbacks(AnyTrainer())
from ultralytics.engine import exporter, trainer, validator
same = all(module.callbacks is callbacks for module in (exporter, trainer, validator))
print(json.dumps({
    "heard": [event for event in heard if "ldconfig" not in event], "online": ONLINE, "installs": AUTOINSTALL,
    "analytics": events.events.enabled, "unchanged": before == AnyTrainer.callbacks, "same": same,
}))
""", tmp_path / "home")
    assert found == {"heard": [], "online": False, "installs": False, "analytics": False, "unchanged": True, "same": True}
