"""Facts about the installation, for bug reports. Missing parts are reported as facts and cause no error."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path
from typing import Any

from ... import __version__
from ...errors import MarkerRemoverError
from ...inference import backends
from ...inference.network import model_of
from ...inference.shipped_weights import default_weights
from ...run import run_summary
from ...run.workers import fitting
from ...system import capacity
from ...system.wording import counted

log = logging.getLogger(__name__)

#: Extra -> module that is present if the extra is installed.
EXTRAS = {
    "train": "ultralytics", "label": "labelme", "second-look": "rapidocr", "review": "starlette", "evaluate": "pycocotools", "ray": "ray"}
MANY = 1_000_000  # number of files that does not limit the number of processes
NO_OCR = "none: laterality markers cannot be retained, use --keep none"


def gather(weights: Path | None = None, device: str = "auto") -> dict[str, Any]:
    """All facts, as `info --json` prints them.

    Args:
        weights: the localizer's; None takes the shipped ones.
        device: as in a run.
    """
    facts: dict[str, Any] = {
        "markerremover": __version__, "python": platform.python_version(), "platform": platform.platform(), "device": device,
    }
    facts |= _weights(weights, device)
    facts["backends"] = [_backend(b, facts["backend"]) for b in backends.BACKENDS.values()]
    facts["cpu"] = {"cores": capacity.cores(), "free_memory_bytes": capacity.free_memory(), "workers_of_a_large_run": fitting(MANY)}
    facts["ocr"] = _or_error(_ocr)
    facts["codecs"] = _or_error(_codecs)
    facts["extras"] = {name: util.find_spec(module) is not None for name, module in EXTRAS.items()}
    return facts | {"libraries": run_summary.library_versions()}


def lines(facts: dict[str, Any]) -> Iterator[str]:
    """The facts as text, one line "name: value" each."""
    yield f"markerremover: {facts['markerremover']}"
    yield f"python: {facts['python']} on {facts['platform']}"
    weights = facts["weights"]
    if "error" in weights:
        yield f"weights: {weights['error']}"
    else:
        yield f"weights: {weights['name']} ({weights['path']})"
        yield f"weights SHA-256: {weights['sha256']}"
        yield f"classes: {', '.join(weights['classes'])}; input {weights['image_size']} px; threshold {weights['threshold']:g}; {_closer(weights['tiling'])}"
    yield f"backend: {facts['backend'] or 'none'} (device {facts['device']}, batches of {facts['batch'] or 0})"
    for backend in facts["backends"]:
        mark = "used" if backend["used"] else "there" if backend["available"] else "missing"
        detail = ", ".join(backend["precisions"]) if backend["available"] else backend["missing"]
        yield f"  {backend['name']:<12} {mark:<8} {backend['title']}{' ' + backend['version'] if backend['version'] else ''}: {detail}"
    cpu = facts["cpu"]
    free = "unknown" if cpu["free_memory_bytes"] is None else f"{cpu['free_memory_bytes'] / 1e9:.1f} GB"
    processes = counted(cpu["workers_of_a_large_run"], "process", "processes")
    yield f"CPU: {counted(cpu['cores'], 'core')} for this process, free memory {free}; `remove` starts {processes} for many files"
    ocr = facts["ocr"]
    yield f"OCR engine: {NO_OCR if ocr is None else ocr.get('error') or '{engine}, Tesseract {tesseract}, data in {tessdata}'.format(**ocr)}"
    yield from _codec_lines(facts["codecs"])
    yield f"extras: {', '.join(name for name, installed in facts['extras'].items() if installed) or 'none'}"
    for name, version in facts["libraries"].items():
        yield f"{name}: {version}"


def _codec_lines(codecs: dict[str, Any]) -> Iterator[str]:
    if "error" in codecs:
        yield f"DICOM codecs: {codecs['error']}"
        return
    yield f"DICOM written losslessly as: {'; '.join(name for name, can in codecs.items() if can['write'])}"
    yield f"DICOM read besides: {'; '.join(name for name, can in codecs.items() if can['read'] and not can['write']) or 'none'}"
    if absent := [name for name, can in codecs.items() if not can["read"]]:
        yield f"DICOM not read: {'; '.join(absent)}"


def _closer(tiling: dict[str, Any] | None) -> str:
    if not tiling:
        return "seen whole"
    closer = f"above {tiling['above']} px also closer, at {', '.join(map(str, tiling['scales']))} px"
    return closer + (f", below {tiling['below']} px also enlarged, to {tiling['enlarged']} px" if tiling.get("below") else "")


def _weights(weights: Path | None, device: str) -> dict[str, Any]:
    """Facts of the card, and the backend that opened the weights."""
    from ...detection.localizer import load_detector

    try:
        detector = load_detector(weights, device=device)
    except MarkerRemoverError as error:
        return {"weights": {"path": str(weights or default_weights()), "error": str(error)}, "backend": None, "batch": None}
    except Exception as error:  # a library that does not load may raise anything; the fact is reported
        problem = f"cannot be opened ({type(error).__name__}: {error})"
        return {"weights": {"path": str(weights or default_weights()), "error": problem}, "backend": None, "batch": None}
    card, opened = detector.card, model_of(weights)
    path = opened.with_name(card["file"]) if "file" in card else opened
    short = {"name": card.get("name", path.name), "path": str(path), "sha256": detector.sha256, "precision": card.get("precision", "fp32")}
    short |= {key: card.get(key) for key in ("architecture", "classes", "image_size", "threshold", "tiling")}
    return {"weights": short, "backend": detector.backend, "batch": detector.batch}


def _backend(backend: backends.Backend, used: str | None) -> dict[str, Any]:
    """One backend: whether it is available, and whether it would be used."""
    answer = _or_error(lambda: {"missing": backend.missing()})
    missing = answer.get("missing", "") or answer.get("error", "")
    support = {"precisions": _or_error(lambda: list(backend.precisions()))} if not missing else {"precisions": [], "missing": missing}
    return {
        "name": backend.name, "title": backend.title, "version": backend.version(), "available": not missing,
        "used": used is not None and used.split(",")[0] == backend.title, "takes": list(backend.suffixes), "batch": backend.batch, **support,
    }


def _ocr() -> dict[str, Any] | None:
    from ...second_pass.tesseract import engine

    return engine()


def _codecs() -> dict[str, Any]:
    from ...formats.dicom.pixels import codecs

    return codecs()


def _or_error(question: Callable[[], Any]) -> Any:
    """The result of a function, or its error as a fact: a broken library must not prevent the other facts."""
    try:
        return question()
    except Exception as error:
        log.debug("not available: %s", error)
        return {"error": f"{type(error).__name__}: {error}"}
