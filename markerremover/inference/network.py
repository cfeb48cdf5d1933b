"""A localizer's open network: its file, its card, and a session for each input size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from . import backends
from .session import Session
from .shipped_weights import default_weights, engine_cache_folder
from .weights_card import read_card

#: Side, in network pixels, of the square windows around candidate boxes, as the network was trained on. With 192 it finds annotations equally
#: well and twice as fast, but takes more parts of rulers for annotations, which holds the file.
CLOSE_SIZE = 320
DEVICES = tuple(backends.CHOICES)
FASTEST = "fastest"
RUNTIMES = ("auto", "onnxruntime", "openvino")
MODEL_SUFFIXES = (".onnx", ".xml", ".engine")


@dataclass(frozen=True)
class Network:
    """An open network.

    model: the file that runs.  card: of that file.  backend: library, device and precision, e.g. "OpenVINO CPU, bf16".
    sessions: for whole images (the card's `image_size`) and for close-up windows (`CLOSE_SIZE`).
    """

    model: Path
    card: dict[str, Any]
    sessions: Sequence[Session]
    backend: str

    @property
    def floor(self) -> float | None:
        """Score 0–1 below which no anchor is evaluated; None if a caller's threshold, not known yet, decides."""
        return (self.card.get("rescorer") or {}).get("floor")


def model_of(weights: Path | str | None) -> Path:
    """The model file of some weights: the path itself, the `.onnx` beside a `.pt` or `.json`, or for None the shipped model."""
    model = Path(weights) if weights is not None else default_weights()
    return model if model.suffix in MODEL_SUFFIXES else model.with_suffix(".onnx")


def open_network(
    weights: Path | str | None = None, *, device: str = "auto", threads: int | None = None, runtime: str = "auto",
    inference_precision: str | None = None, engine_cache: Path | None = None, batch: int | None = None,
) -> Network:
    """Open a localizer's network.

    Args:
        weights: an `.onnx`, `.xml` (its `.bin` beside it) or `.engine` with its card, or a `.pt`/`.json` beside an
            `.onnx`; the shipped weights by default. On a GPU the fp16 export of an `.onnx` in the same folder
            (`STEM-onnx-fp16.onnx`) is used instead, unless `inference_precision` is "f32".
        device: one of DEVICES. "cpu" is OpenVINO, or ONNX Runtime where that is not installed; "cuda" and "tensorrt" are ONNX Runtime's
            providers, or an `.engine`; "auto" is CUDA where ONNX Runtime offers it and starts, else "cpu" (the GPU for an `.engine`).
        threads: number of CPU threads for the network; all cores by default.
        runtime: which library runs an `.onnx` on the CPU; "auto" takes OpenVINO where it is installed.
        inference_precision: precision in which OpenVINO computes: "f32", "bf16", "f16", or FASTEST for the device's fastest, which is bf16
            on CPUs that have it; by default that of the card, else "f32", so that all machines decide alike. A device that lacks it
            computes in f32. "f32" also prevents the use of an fp16 export on a GPU.
        engine_cache: folder in which ONNX Runtime keeps built TensorRT engines; `engine_cache_folder` by default.
        batch: maximum number of images per call of the network; by default the backend's best, which is 1 on the CPU.

    Raises:
        WeightsError: see `read_card`.
        UsageError: unknown or unavailable device or runtime.
    """
    for name, value, allowed in (("device", device, DEVICES), ("runtime", runtime, RUNTIMES)):
        if value not in allowed:
            raise UsageError(f"{name} is {value!r}, allowed are {', '.join(allowed)}")
    model = model_of(weights)
    card = read_card(model)
    half = None if inference_precision == "f32" or model.suffix != ".onnx" else backends.half_beside(model, card["sha256"])

    def request_for(backend: backends.Backend) -> backends.Request:
        chosen = half if half and backend.gpu else model
        chosen_card = read_card(chosen) if chosen != model else card
        precision = inference_precision or chosen_card.get("inference_precision") or "f32"
        return backends.Request(
            chosen, (int(chosen_card["image_size"]), CLOSE_SIZE), threads or os.cpu_count() or 1, batch,
            precision=None if precision == FASTEST else precision, floor=(chosen_card.get("rescorer") or {}).get("floor"),
            half=chosen_card.get("precision") == "fp16", cache=engine_cache or engine_cache_folder(chosen_card["sha256"]),
            engine_batch=int(chosen_card.get("batch", 1)))

    opened, title, request = backends.open_first(backends.candidates(model, device, runtime), request_for)
    return Network(request.model, card if request.model == model else read_card(request.model), opened, title)
