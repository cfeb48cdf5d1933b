"""Imports of libraries with telemetry, which is switched off. Every import of them in this package goes through here.

By default, importing OpenVINO reports its use to an analytics service, under an identifier stored in the user's home; ONNX Runtime (from
1.29, and on Windows) reports the machine, the models and how often they ran to its makers; ultralytics reports trainings and exports,
installs packages, and sends training data, including images, to every installed experiment tracker. Reports of a library that a program
imported before using this package cannot be recalled.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

log = logging.getLogger(__name__)

TELEMETRY = "openvino_telemetry"
#: Environment variables set for this process, before the libraries that read them are imported, and for its child processes.
ENVIRONMENT = {
    "ORT_DISABLE_TELEMETRY": "1", "ORT_TELEMETRY_DISABLED": "1",  # its name in some versions
    "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "RAY_USAGE_STATS_ENABLED": "0",
}


def import_openvino() -> Any:
    """OpenVINO without its telemetry: the package that sends it is made to appear as not installed.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    if "openvino" not in sys.modules:
        modules: dict[str, Any] = sys.modules
        modules[TELEMETRY] = None  # as Python marks modules that cannot be imported
    import openvino

    return openvino


def import_ultralytics() -> Any:
    """ultralytics without network access, analytics, package installation and experiment trackers, for the whole process.

    Raises:
        ImportError: ultralytics is not installed.
    """
    if "ultralytics" in sys.modules:
        log.debug("ultralytics was imported before; reports sent at that time cannot be recalled")
    os.environ.update(ENVIRONMENT)
    import ultralytics
    from ultralytics.utils import callbacks, checks, events

    events.events.enabled = checks.ONLINE = False  # settings that it has already read from the environment
    callbacks.add_integration_callbacks = _none
    return ultralytics


def import_onnxruntime() -> Any:
    """ONNX Runtime without its telemetry. To be called before importing a library that itself imports ONNX Runtime.

    Raises:
        ImportError: ONNX Runtime is not installed.
    """
    os.environ.update(ENVIRONMENT)
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


def _none(instance: Any) -> None:
    """Replaces `add_integration_callbacks`, which connects experiment trackers."""
