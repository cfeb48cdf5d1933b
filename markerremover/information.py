"""What is installed and would be used: the facts a bug report needs."""

from __future__ import annotations

import platform
from importlib import util
from pathlib import Path

from . import __version__, batch
from .errors import MarkerRemoverError
from .locations import default_weights

#: Extra -> a module that tells whether it is installed.
EXTRAS = {"train": "ultralytics", "label": "labelme", "second-look": "rapidocr", "review": "starlette", "ray": "ray"}


def gather(weights: Path | None = None) -> dict[str, str]:
    """Name -> value, in the order to print. What is missing is a value too."""
    from .ocr import available

    facts = {"markerremover": __version__, "python": f"{platform.python_version()} on {platform.platform()}"}
    facts |= _weights(weights)
    facts["OCR engine"] = available() or "none: signs cannot be kept, use --keep none"
    facts["extras"] = ", ".join(name for name, module in EXTRAS.items() if util.find_spec(module)) or "none"
    return facts | batch.library_versions()


def _weights(weights: Path | None) -> dict[str, str]:
    from .detect import load_detector

    path = weights or default_weights()
    try:
        detector = load_detector(weights)
    except MarkerRemoverError as error:
        return {"weights": str(error)}
    card = detector.card
    return {
        "weights": f"{card.get('name', path.name)} ({path})", "weights SHA-256": detector.sha256,
        "classes": ", ".join(card["classes"]), "threshold": str(detector.threshold), "backend": detector.backend,
    }
