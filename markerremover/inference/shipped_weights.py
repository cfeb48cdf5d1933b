"""Where the files that ship with the package lie, in a checkout and in an installed wheel."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def weights_folder() -> Path:
    """The folder of the shipped weights: `markerremover/weights` in a wheel, else `weights` beside the package in a
    checkout (returned even where it does not exist, so that messages can name it)."""
    packaged = PACKAGE / "weights"
    return packaged if packaged.is_dir() else PACKAGE.parent / "weights"


def default_weights() -> Path:
    """The shipped detector: the folder's only `*.onnx`, or `detector.onnx` where there are several.

    The path is returned whether or not it exists: loading it says clearly what is missing.
    """
    folder = weights_folder()
    found = sorted(folder.glob("*.onnx"))
    return found[0] if len(found) == 1 else folder / "detector.onnx"


def engine_cache_folder(sha256: str) -> Path:
    """Where ONNX Runtime keeps the TensorRT engines of the weights with this SHA-256: a folder of their own below the
    user's cache (`$XDG_CACHE_HOME`, else `~/.cache`), since an engine of other weights must never be taken for theirs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "markerremover" / "tensorrt" / sha256
