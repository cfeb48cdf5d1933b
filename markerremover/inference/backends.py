"""What can run a localizer: OpenVINO and ONNX Runtime CPU, ONNX Runtime CUDA and TensorRT, TensorRT engines; behind one interface.

Each `Backend` says what is missing for it here, and opens a model as `session.Session`s. `--device` names the backends to try, in order of
preference. One that was asked for by name and is not there is an error; where "auto" has to pass over a GPU that does not start, it says so.
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

GPU_BATCH = tensorrt_engine.BATCH  # pictures a call on a GPU
HALF = "-onnx-fp16.onnx"  # what `export --format onnx --precision fp16` puts behind a model's stem
#: --device -> the backends it may mean, the preferred one first; which of them take a model depends on its suffix.
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
    """What is to be opened.

    model: `.onnx`, `.xml` or `.engine`.  sizes: sides of the pictures, pixels.  threads: of the CPU.
    batch: most pictures a call; None is what the backend does best.
    precision: what OpenVINO computes in; None is the card's word or the device's fastest.
    floor: score below which no anchor is looked at; None if unknown.  half: whether the model is one of half precision.
    cache: folder for TensorRT engines that ONNX Runtime builds.  engine_batch: what an `.engine` was built for.
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

    name: as in CHOICES.  title: how the name of what it opens begins.  suffixes: of the models it takes.  batch: pictures a call that it does best.
    gpu: whether it needs an NVIDIA GPU.  library: distribution whose version counts.
    missing: says what it lacks here, "" if nothing.  open: sessions, one a size, and what it computes on and in.
    precisions: what it can compute in here; asked only where nothing is missing.
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
        """Of its library, "" where that is not installed."""
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
    if lacks := _no_onnxruntime():
        return lacks
    if provider in import_onnxruntime().get_available_providers():
        return ""
    more = ", TensorRT" if provider == TENSORRT else ""
    return f"ONNX Runtime offers no {name} here: it needs an NVIDIA GPU{more} and onnxruntime-gpu in the place of onnxruntime; or use cpu"


def _no_engine() -> str:
    try:
        tensorrt_engine.require()
    except UsageError as error:
        return str(error)
    return ""


def _openvino_precisions() -> tuple[str, ...]:
    found = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple({"FP32": "f32", "FP16": "f16"}.get(name, name.lower()) for name in found if name in ("FP32", "FP16", "BF16", "INT8"))


def _open_openvino(request: Request) -> tuple[list[Session], str]:
    opened, runs_in = runtimes.open_openvino(
        import_openvino(), request.model, request.sizes, request.threads, request.precision, request.floor, request.batch or 1)
    return opened, f"OpenVINO CPU, {runs_in}"


def _open_onnxruntime(request: Request) -> tuple[list[Session], str]:
    session = runtimes.onnxruntime_session(request.model, [CPU], request.threads, batch=request.batch or 1)
    return [session] * len(request.sizes), "ONNX Runtime CPU"


def _open_cuda(request: Request) -> tuple[list[Session], str]:
    # cuDNN's own choice for a new shape, not a search of seconds; fp32 that is fp32, not tf32 with 10 bits
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
    """The backends that `device` may mean for a model and that are there, the preferred one first.

    Args:
        runtime: "openvino" or "onnxruntime" leaves out the other one on the CPU, and OpenVINO all of ONNX Runtime's.

    Raises:
        UsageError: none is; says why.
    """
    suited = [BACKENDS[name] for name in CHOICES[device] if model.suffix in BACKENDS[name].suffixes]
    if runtime != "auto":
        suited = [b for b in suited if (b.name == "openvino") == (runtime == "openvino")]
    if not suited:
        raise UsageError(f"{model}: {_ONLY[model.suffix]}, device is {device!r}")
    there = [backend for backend in suited if backend.name == "engine" or not backend.missing()]  # an engine says it when opened
    if not there:
        named = "" if device in ("auto", "cpu") else f"device is {device!r}, but "
        raise UsageError(f"{model}: {named}{suited[0].missing()}")
    return there


def open_first(found: Sequence[Backend], request_for: Callable[[Backend], Request]) -> tuple[list[Session], str, Request]:
    """Open a model in the first of some backends that starts: sessions, what runs them, and what was opened.

    Raises:
        UsageError: the last one does not start either.
    """
    for number, backend in enumerate(found):
        request = request_for(backend)
        try:
            return *backend.open(request), request
        except UsageError as error:  # the build has CUDA, the machine does not
            if number == len(found) - 1:
                raise
            log.warning("%s does not start and is passed over: %s", backend.title, error)
    raise UsageError("no backend was named")


def open_sessions(
    model: Path, sizes: Sequence[int], device: str, threads: int, *, runtime: str = "auto", precision: str | None = None,
    floor: float | None = None, batch: int | None = None,
) -> tuple[list[Session], str]:
    """One session for each network size, and the backend's title; see `candidates` and `Request`."""
    request = Request(model, tuple(sizes), threads, batch, precision, floor)
    return open_first(candidates(model, device, runtime), lambda backend: request)[:2]


def half_beside(model: Path, sha256: str) -> Path | None:
    """The export in half precision of just this model that lies beside it and kept to the rule of parity; None if there is none."""
    half = model.with_name(model.stem + HALF)
    try:
        card = json.loads(half.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return half if half.is_file() and card.get("exported_from") == sha256 and card.get("parity") else None

