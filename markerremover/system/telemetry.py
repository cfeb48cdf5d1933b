"""Libraries that report to somebody, imported so that they do not. Every import of them in this package goes through here.

Left alone, importing OpenVINO tells an analytics service of its use, under an identifier that it keeps in the user's home; ONNX Runtime
(from 1.29, and on Windows) tells its makers of the machine, the models and how often they ran; ultralytics tells of trainings and exports,
installs packages, and gives what it trains on, pictures among it, to every tracker of experiments that happens to be installed. What a
program that uses this package imported before cannot be taken back.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

log = logging.getLogger(__name__)

TELEMETRY = "openvino_telemetry"
#: Environment of this process, before the libraries that read it, and of others that it starts.
ENVIRONMENT = {
    "ORT_DISABLE_TELEMETRY": "1", "ORT_TELEMETRY_DISABLED": "1",  # its name in some versions
    "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "RAY_USAGE_STATS_ENABLED": "0",
}


def import_openvino() -> Any:
    """OpenVINO without its telemetry, which it does without where that package is not installed.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    if "openvino" not in sys.modules:
        sys.modules[TELEMETRY] = None  # as Python marks what cannot be imported
    import openvino

    return openvino


def import_ultralytics() -> Any:
    """ultralytics without network, analytics, installing and trackers of experiments, for all of this process.

    Raises:
        ImportError: ultralytics is not installed.
    """
    if "ultralytics" in sys.modules:
        log.debug("ultralytics was imported before; what it told at that time is told")
    os.environ.update(ENVIRONMENT)
    import ultralytics
    from ultralytics.utils import callbacks, checks, events

    events.events.enabled = checks.ONLINE = False  # what it has read from the environment already
    callbacks.add_integration_callbacks = _none
    return ultralytics


def import_onnxruntime() -> Any:
    """ONNX Runtime without its telemetry. Who imports a library that itself imports ONNX Runtime calls this first.

    Raises:
        ImportError: ONNX Runtime is not installed.
    """
    os.environ.update(ENVIRONMENT)
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


def _none(instance: Any) -> None:
    """In the place of `add_integration_callbacks`."""
