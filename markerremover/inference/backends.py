"""The backends that run a localizer: OpenVINO and ONNX Runtime CPU, ONNX Runtime CUDA and TensorRT, TensorRT engines; behind one interface.

Each `Backend` reports what is missing for it on this machine, and opens a model as `session.Session`s. `--device` selects the backends to
try, in order of preference. A backend requested by name that is not available is an error; if "auto" skips a GPU that does not start, a
warning is logged.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from ..errors import UsageError
from ..system.telemetry import import_onnxruntime, import_openvino
from . import runtimes, tensorrt_engine
from .runtimes import CPU, CUDA, TENSORRT
from .session import Session

log = logging.getLogger(__name__)

GPU_BATCH = tensorrt_engine.BATCH  # images per call on a GPU
HALF = "-onnx-fp16.onnx"  # suffix that `export --format onnx --precision fp16` appends to a model's stem
#: --device -> the backends it selects, the preferred one first; which of them take a model depends on its suffix.
CHOICES = {
    "auto": ("cuda", "openvino", "onnxruntime", "engine"), "cpu": ("openvino", "onnxruntime"), "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime",), "cuda": ("cuda", "engine"), "tensorrt": ("tensorrt", "engine"),
}
_ONLY = {
    ".engine": "a TensorRT engine runs on an NVIDIA GPU only", ".xml": "an OpenVINO model runs through OpenVINO CPU only",
    ".onnx": "an ONNX file needs another backend",
}


@dataclass(frozen=True)
class Request:
    """A model to be opened, and how.

    model: `.onnx`, `.xml` or `.engine`.  sizes: sides of the square inputs, in pixels.  threads: number of CPU threads.
    batch: maximum number of images per call; None for the backend's best.
    precision: precision in which OpenVINO computes; None for the device's fastest.
    floor: score below which no anchor is evaluated; None if unknown.  half: whether the model is in half precision.
    cache: folder for TensorRT engines that ONNX Runtime builds.  engine_batch: batch size an `.engine` was built for.
    """

    model: Path
    sizes: tuple[int, ...]
    threads: int
    batch: int | None = None
    precision: str | None = None
    floor: float | None = None
    half: bool = False
    cache: Path | None = None
    engine_batch: int = 1


@dataclass(frozen=True)
class Backend:
    """One way to run a model.

    name: as in CHOICES.  title: start of `Network.backend`.  suffixes: of the models it takes.  batch: best number of images per call.
    gpu: whether it needs an NVIDIA GPU.  library: distribution whose version is reported.
    missing: returns what this machine lacks for it, "" if nothing.  open: returns one session per size, and device and precision as text.
    precisions: returns the precisions available on this machine; to be called only if nothing is missing.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    batch: int
    gpu: bool
    library: str
    missing: Callable[[], str]
    open: Callable[[Request], tuple[list[Session], str]]
    precisions: Callable[[], tuple[str, ...]]

    def version(self) -> str:
        """Version of its library, "" if that is not installed."""
        for name in (f"{self.library}-gpu", self.library):
            try:
                return metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return ""


def _no_openvino() -> str:
    return "" if util.find_spec("openvino") else "OpenVINO is not installed here (pip install openvino)"


def _no_onnxruntime() -> str:
    return "" if util.find_spec("onnxruntime") else "ONNX Runtime is not installed here (pip install onnxruntime)"


def _no_provider(provider: str, name: str) -> str:
    if reason := _no_onnxruntime():
        return reason
    if provider in import_onnxruntime().get_available_providers():
        return ""
    extra = ", TensorRT" if provider == TENSORRT else ""
    return f"ONNX Runtime offers no {name} here: it needs an NVIDIA GPU{extra} and onnxruntime-gpu in the place of onnxruntime; or use cpu"


def _no_engine() -> str:
    try:
        tensorrt_engine.require()
    except UsageError as error:
        return str(error)
    return ""


def _openvino_precisions() -> tuple[str, ...]:
    capabilities = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple({"FP32": "f32", "FP16": "f16"}.get(name, name.lower()) for name in capabilities if name in ("FP32", "FP16", "BF16", "INT8"))


def _open_openvino(request: Request) -> tuple[list[Session], str]:
    opened, runs_in = runtimes.open_openvino(
        import_openvino(), request.model, request.sizes, request.threads, request.precision, request.floor, request.batch or 1)
    return opened, f"OpenVINO CPU, {runs_in}"


def _open_onnxruntime(request: Request) -> tuple[list[Session], str]:
    session = runtimes.onnxruntime_session(request.model, [CPU], request.threads, batch=request.batch or 1)
    return [session] * len(request.sizes), "ONNX Runtime CPU"


def _open_cuda(request: Request) -> tuple[list[Session], str]:
    # cuDNN's heuristic for a new shape, not a search that takes seconds; true fp32, not tf32 with 10 bits
    provider = (CUDA, {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"})
    session = runtimes.onnxruntime_session(request.model, [provider, CPU], request.threads, CUDA, batch=request.batch or GPU_BATCH)
    return [session] * len(request.sizes), "ONNX Runtime CUDA" + (", f16" if request.half else "")


def _open_tensorrt(request: Request) -> tuple[list[Session], str]:
    batch, cache = request.batch or GPU_BATCH, request.cache
    if cache is None:
        raise UsageError(f"{request.model}: TensorRT needs a folder for the engines it builds")
    cache.mkdir(parents=True, exist_ok=True)
    shapes = [f"images:{count}x3x{size}x{size}" for count, size in ((1, min(request.sizes)), (batch, max(request.sizes)))]
    options = {
        "trt_engine_cache_enable": True, "trt_engine_cache_path": str(cache), "trt_fp16_enable": request.half,
        # without a profile every new size builds the engine again, for minutes
        "trt_profile_min_shapes": shapes[0], "trt_profile_opt_shapes": shapes[1], "trt_profile_max_shapes": shapes[1],
    }
    session = runtimes.onnxruntime_session(request.model, [(TENSORRT, options), CUDA, CPU], request.threads, TENSORRT, batch=batch)
    return [session] * len(request.sizes), f"ONNX Runtime TensorRT, {'f16' if request.half else 'f32'}"


def _open_engine(request: Request) -> tuple[list[Session], str]:
    session = tensorrt_engine.open_engine(request.model, min(request.engine_batch, request.batch or GPU_BATCH))
    return [session] * len(request.sizes), "TensorRT"


BACKENDS = {backend.name: backend for backend in (
    Backend("openvino", "OpenVINO CPU", (".onnx", ".xml"), 1, False, "openvino", _no_openvino, _open_openvino, _openvino_precisions),
    Backend("onnxruntime", "ONNX Runtime CPU", (".onnx",), 1, False, "onnxruntime", _no_onnxruntime, _open_onnxruntime,
        lambda: ("f32", "int8")),
    Backend("cuda", "ONNX Runtime CUDA", (".onnx",), GPU_BATCH, True, "onnxruntime", functools.partial(_no_provider, CUDA, "CUDA"), _open_cuda,
        lambda: ("f32", "f16")),
    Backend("tensorrt", "ONNX Runtime TensorRT", (".onnx",), GPU_BATCH, True, "onnxruntime",
        functools.partial(_no_provider, TENSORRT, "TensorRT"), _open_tensorrt, lambda: ("f32", "f16")),
    Backend("engine", "TensorRT", (".engine",), GPU_BATCH, True, "tensorrt", _no_engine, _open_engine, lambda: ("f32", "f16")),
)}


def candidates(model: Path, device: str, runtime: str = "auto") -> list[Backend]:
    """The available backends that `device` selects for a model, the preferred one first.

    Args:
        model: its suffix restricts the backends.
        device: a key of `CHOICES`.
        runtime: "openvino" keeps OpenVINO only, "onnxruntime" all others; "auto" keeps all.

    Raises:
        UsageError: none is available; the message gives the reason.
    """
    suited = [BACKENDS[name] for name in CHOICES[device] if model.suffix in BACKENDS[name].suffixes]
    if runtime != "auto":
        suited = [b for b in suited if (b.name == "openvino") == (runtime == "openvino")]
    if not suited:
        raise UsageError(f"{model}: {_ONLY[model.suffix]}, device is {device!r}")
    available = [backend for backend in suited if backend.name == "engine" or not backend.missing()]  # an engine reports what is missing when it is opened
    if not available:
        prefix = "" if device in ("auto", "cpu") else f"device is {device!r}, but "
        raise UsageError(f"{model}: {prefix}{suited[0].missing()}")
    return available


def open_first(choices: Sequence[Backend], request_for: Callable[[Backend], Request]) -> tuple[list[Session], str, Request]:
    """Open a model in the first of some backends that starts.

    Returns:
        The sessions, device and precision as text, and the request that was opened.

    Raises:
        UsageError: the last backend does not start either.
    """
    for number, backend in enumerate(choices):
        request = request_for(backend)
        try:
            return *backend.open(request), request
        except UsageError as error:  # for example a build with CUDA on a machine without
            if number == len(choices) - 1:
                raise
            log.warning("%s does not start and is passed over: %s", backend.title, error)
    raise UsageError("no backend was named")


def open_sessions(
    model: Path, sizes: Sequence[int], device: str, threads: int, *, runtime: str = "auto", precision: str | None = None,
    floor: float | None = None, batch: int | None = None,
) -> tuple[list[Session], str]:
    """One session for each network size, and device and precision as text; arguments and errors as in `candidates` and `Request`."""
    request = Request(model, tuple(sizes), threads, batch, precision, floor)
    return open_first(candidates(model, device, runtime), lambda backend: request)[:2]


def half_beside(model: Path, sha256: str) -> Path | None:
    """Path of the half-precision export of exactly this model in the same folder, if it passed the parity check; else None.

    Args:
        sha256: of `model`, as its card states it.
    """
    half = model.with_name(model.stem + HALF)
    try:
        card = json.loads(half.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return half if half.is_file() and card.get("exported_from") == sha256 and card.get("parity") else None

