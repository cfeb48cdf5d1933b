"""The log of a node: one JSON object a line, without identifiers.

Messages of this package hold none (`test_safety.py`, `test_status_telltales.py`). Those of libraries may quote what they received, pynetdicom's
above all: of them only the library, the level and the place are written.
"""

from __future__ import annotations

import datetime
import json
import logging
import os
from typing import IO

OURS = __name__.split(".")[0]
WITHHELD = "a message of a library, withheld since it may quote what was received"


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON: time in UTC, level, module, message, and of an exception its kind and place."""

    def format(self, record: logging.LogRecord) -> str:
        """See the class."""
        ours = record.name == OURS or record.name.startswith(f"{OURS}.")
        line: dict[str, object] = {
            "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(), "module": record.name.removeprefix(f"{OURS}."), "message": record.getMessage() if ours else WITHHELD,
        }
        if not ours:
            line["place"] = f"{os.path.basename(record.pathname)}:{record.lineno}"
        if record.exc_info and record.exc_info[0] is not None:
            trace = record.exc_info[2]
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            where = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace is not None else ""
            line["exception"] = f"{record.exc_info[0].__name__} at {where}"
        return json.dumps(line)


def log_to(stream: IO[str], level: int = logging.INFO) -> logging.Handler:
    """Write all logs of this process to a stream as JSON lines: ours from `level` on, those of libraries from warnings on.

    Returns:
        The handler, for `stop`.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(level)
    logging.captureWarnings(True)
    for name in ("pynetdicom", "uvicorn"):  # they bring handlers of their own
        logging.getLogger(name).handlers[:] = []
    return handler


def stop(handler: logging.Handler) -> None:
    """Take a handler of `log_to` away."""
    logging.getLogger().removeHandler(handler)
    logging.captureWarnings(False)
