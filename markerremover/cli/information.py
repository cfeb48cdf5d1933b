"""What is installed and would be used: the facts a bug report needs. What is missing is a fact too: nothing here fails for it."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import MarkerRemoverError
from ..inference import backends
from ..inference.network import model_of
from ..inference.shipped_weights import default_weights
from ..run import run_summary
from ..run.workers import fitting
from ..system import capacity

log = logging.getLogger(__name__)

#: Extra -> a module that tells whether it is installed.
EXTRAS = {
    "train": "ultralytics", "label": "labelme", "second-look": "rapidocr", "review": "starlette", "evaluate": "pycocotools", "ray": "ray"}
MANY = 1_000_000  # files, enough for as many processes as ever
NO_OCR = "none: signs cannot be kept, use --keep none"


def gather(weights: Path | None = None, device: str = "auto") -> dict[str, Any]:
    """All facts, as `info --json` prints them.

    Args:
        weights: the localizer's; None takes the shipped ones.
        device: as of a run, to see what it would use.
    """
    facts: dict[str, Any] = {
        "markerremover": __version__, "python": platform.python_version(), "platform": platform.platform(), "device": device,
    }
    facts |= _weights(weights, device)
    facts["backends"] = [_backend(b, facts["backend"]) for b in backends.BACKENDS.values()]
    facts["cpu"] = {"cores": capacity.cores(), "free_memory_bytes": capacity.free_memory(), "workers_of_a_large_run": fitting(MANY)}
    facts["ocr"] = _or_why(_ocr)
    facts["codecs"] = _or_why(_codecs)
    facts["extras"] = {name: util.find_spec(module) is not None for name, module in EXTRAS.items()}
    return facts | {"libraries": run_summary.library_versions()}


def lines(facts: dict[str, Any]) -> Iterator[str]:
    """The facts for people, "name: value"."""
    yield f"markerremover: {facts['markerremover']}"
    yield f"python: {facts['python']} on {facts['platform']}"
    found = facts["weights"]
    if "error" in found:
        yield f"weights: {found['error']}"
    else:
        yield f"weights: {found['name']} ({found['path']})"
        yield f"weights SHA-256: {found['sha256']}"
        yield f"classes: {', '.join(found['classes'])}; input {found['image_size']} px; threshold {found['threshold']:g}; {_closer(found['tiling'])}"
    yield f"backend: {facts['backend'] or 'none'} (device {facts['device']}, batches of {facts['batch'] or 0})"
    for backend in facts["backends"]:
        mark = "used" if backend["used"] else "there" if backend["available"] else "missing"
        told = ", ".join(backend["precisions"]) if backend["available"] else backend["missing"]
        yield f"  {backend['name']:<12} {mark:<8} {backend['title']}{' ' + backend['version'] if backend['version'] else ''}: {told}"
    cpu = facts["cpu"]
    free = "unknown" if cpu["free_memory_bytes"] is None else f"{cpu['free_memory_bytes'] / 1e9:.1f} GB"
    yield f"CPU: {cpu['cores']} cores for this process, free memory {free}; `remove` starts {cpu['workers_of_a_large_run']} processes for many files"
    ocr = facts["ocr"]
    yield f"OCR engine: {NO_OCR if ocr is None else ocr.get('error') or '{engine}, Tesseract {tesseract}, data in {tessdata}'.format(**ocr)}"
    yield from _codec_lines(facts["codecs"])
    yield f"extras: {', '.join(name for name, there in facts['extras'].items() if there) or 'none'}"
    for name, version in facts["libraries"].items():
        yield f"{name}: {version}"


def _codec_lines(found: dict[str, Any]) -> Iterator[str]:
    if "error" in found:
        yield f"DICOM codecs: {found['error']}"
        return
    yield f"DICOM written losslessly as: {'; '.join(name for name, can in found.items() if can['write'])}"
    yield f"DICOM read besides: {'; '.join(name for name, can in found.items() if can['read'] and not can['write']) or 'none'}"
    if absent := [name for name, can in found.items() if not can["read"]]:
        yield f"DICOM not read: {'; '.join(absent)}"


def _closer(tiling: dict[str, Any] | None) -> str:
    if not tiling:
        return "seen whole"
    return f"above {tiling['above']} px also closer, at {', '.join(map(str, tiling['scales']))} px"


def _weights(weights: Path | None, device: str) -> dict[str, Any]:
    """The card in short, and what opened it."""
    from ..detection.localizer import load_detector

    try:
        detector = load_detector(weights, device=device)
    except MarkerRemoverError as error:
        return {"weights": {"path": str(weights or default_weights()), "error": str(error)}, "backend": None, "batch": None}
    except Exception as error:  # a library that does not load, whatever it raises: that is what is to be told
        told = f"cannot be opened ({type(error).__name__}: {error})"
        return {"weights": {"path": str(weights or default_weights()), "error": told}, "backend": None, "batch": None}
    card, opened = detector.card, model_of(weights)
    path = opened.with_name(card["file"]) if "file" in card else opened
    short = {"name": card.get("name", path.name), "path": str(path), "sha256": detector.sha256, "precision": card.get("precision", "fp32")}
    short |= {key: card.get(key) for key in ("architecture", "classes", "image_size", "threshold", "tiling")}
    return {"weights": short, "backend": detector.backend, "batch": detector.batch}


def _backend(backend: backends.Backend, used: str | None) -> dict[str, Any]:
    """One backend: whether it is there, and whether it is the one that would be used."""
    found = _or_why(lambda: {"missing": backend.missing()})
    missing = found.get("missing", "") or found.get("error", "")
    told = {"precisions": _or_why(lambda: list(backend.precisions()))} if not missing else {"precisions": [], "missing": missing}
    return {
        "name": backend.name, "title": backend.title, "version": backend.version(), "available": not missing,
        "used": used is not None and used.split(",")[0] == backend.title, "takes": list(backend.suffixes), "batch": backend.batch, **told,
    }


def _ocr() -> dict[str, Any] | None:
    from ..second_pass.tesseract import engine

    return engine()


def _codecs() -> dict[str, Any]:
    from ..formats.dicom.pixels import codecs

    return codecs()


def _or_why(ask: Callable[[], Any]) -> Any:
    """What a question gives, or why it cannot be answered: a broken library must not keep the rest from being told."""
    try:
        return ask()
    except Exception as error:
        log.debug("not told: %s", error)
        return {"error": f"{type(error).__name__}: {error}"}
