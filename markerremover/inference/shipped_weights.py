"""Paths of the files that ship with the package, in a checkout and in an installed wheel."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import WeightsError

PACKAGE = Path(__file__).resolve().parents[1]


def weights_folder() -> Path:
    """The folder of the shipped weights: `markerremover/weights` in a wheel, else `weights` beside the package in a
    checkout (returned even if it does not exist, so that messages can name it)."""
    packaged = PACKAGE / "weights"
    return packaged if packaged.is_dir() else PACKAGE.parent / "weights"


def default_weights() -> Path:
    """The shipped detector: the folder's only `*.onnx`, or `detector.onnx` if there are several or none.

    The path is returned whether or not it exists: loading it reports what is missing.
    """
    folder = weights_folder()
    models = sorted(folder.glob("*.onnx"))
    return models[0] if len(models) == 1 else folder / "detector.onnx"


def shipped_file(name: str, use: str) -> Path:
    """A file of `weights_folder`.

    Args:
        name: of the file.  use: what needs it, for the message.

    Raises:
        WeightsError: it is not there.
    """
    path = weights_folder() / name
    if not path.is_file():
        raise WeightsError(f"{path}: is not there, {use} needs it")
    return path


def engine_cache_folder(sha256: str) -> Path:
    """Folder in which ONNX Runtime keeps the TensorRT engines of the weights with this SHA-256: one per weights in the
    user's cache (`$XDG_CACHE_HOME`, else `~/.cache`), so that an engine of other weights is never used."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "markerremover" / "tensorrt" / sha256
