"""What runs a localizer's model: OpenVINO, ONNX Runtime on the CPU or CUDA, TensorRT; behind one small interface, `Session`."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Sequence

import numpy as np

from .errors import UsageError

Session = Callable[[np.ndarray], np.ndarray]
"""(S, S) uint8 picture -> (4 + classes, anchors) network output; S is any size the session was opened for."""


def open_sessions(model: Path, sizes: Sequence[int], device: str, threads: int, *, runtime: str = "auto",
          precision: str | None = None) -> tuple[list[Session], str]:
    """One session for each network size, and the backend's name."""
    if model.suffix == ".engine":
        if device == "cpu":
            raise UsageError(f"{model}: a TensorRT engine runs on an NVIDIA GPU only, device is 'cpu'")
        from .engine import open_engine

        return [open_engine(model)] * len(sizes), "TensorRT"
    if model.suffix == ".xml":
        if device in ("cuda", "tensorrt") or runtime == "onnxruntime":
            raise UsageError(f"{model}: an OpenVINO model runs through OpenVINO on the CPU only")
        runtime = "openvino"
    elif device != "cpu" and runtime != "openvino":
        import onnxruntime

        cuda = "CUDAExecutionProvider"
        if cuda in onnxruntime.get_available_providers():
            try:
                session = onnxruntime_session(model, [cuda, "CPUExecutionProvider"], threads, cuda)
                return [session] * len(sizes), "ONNX Runtime CUDA"
            except UsageError:  # the build has CUDA, the machine does not: "auto" goes on to the CPU
                if device == "cuda":
                    raise
        elif device == "cuda":
            raise UsageError("device is 'cuda', but ONNX Runtime offers no CUDA here: install onnxruntime-gpu, or use cpu")
    if runtime != "onnxruntime":
        try:
            import openvino
        except ImportError as error:
            if runtime == "openvino":
                raise UsageError(f"{model}: OpenVINO is not installed here (pip install openvino)") from error
        else:
            compiled = [_compile(openvino, model, size, threads, precision) for size in sizes]
            runs_in = compiled[0].get_property("INFERENCE_PRECISION_HINT").get_type_name()
            return [_requests(one, size) for one, size in zip(compiled, sizes)], f"OpenVINO CPU, {runs_in}"
    return [onnxruntime_session(model, ["CPUExecutionProvider"], threads)] * len(sizes), "ONNX Runtime CPU"


def open_tensorrt(onnx: Path, sizes: Sequence[int], threads: int, half: bool, cache: Path) -> tuple[list[Session], str]:
    """An ONNX file through ONNX Runtime's TensorRT provider, one engine for all the sizes, kept in `cache`."""
    import onnxruntime

    provider = "TensorrtExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise UsageError("device is 'tensorrt', but ONNX Runtime offers no TensorRT here: it needs an NVIDIA GPU, TensorRT and "
                         "onnxruntime-gpu; or use cpu")
    cache.mkdir(parents=True, exist_ok=True)
    low, high = (f"images:1x3x{size}x{size}" for size in (min(sizes), max(sizes)))
    options = {
        "trt_engine_cache_enable": True, "trt_engine_cache_path": str(cache), "trt_fp16_enable": half,
        # without a profile every new size builds the engine again, for minutes
        "trt_profile_min_shapes": low, "trt_profile_opt_shapes": high, "trt_profile_max_shapes": high,
    }
    providers = [(provider, options), "CUDAExecutionProvider", "CPUExecutionProvider"]
    session = onnxruntime_session(onnx, providers, threads, provider)
    return [session] * len(sizes), f"ONNX Runtime TensorRT, {'f16' if half else 'f32'}"


def openvino_session(openvino, model: Path, size: int, threads: int, precision: str | None = None) -> Session:
    return _requests(_compile(openvino, model, size, threads, precision), size)


def _compile(openvino, model: Path, size: int, threads: int, precision: str | None):
    core = openvino.Core()
    network = core.read_model(model)
    network.reshape([1, 3, size, size])
    steps = openvino.preprocess.PrePostProcessor(network)
    steps.input().tensor().set_element_type(openvino.Type.u8)
    steps.input().preprocess().convert_element_type(openvino.Type.f32).scale(255.0)
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision:
        settings["INFERENCE_PRECISION_HINT"] = precision
    return core.compile_model(steps.build(), "CPU", settings)


def _requests(compiled, size: int) -> Session:
    request = compiled.create_infer_request()

    def run(picture: np.ndarray) -> np.ndarray:
        request.infer([np.ascontiguousarray(np.broadcast_to(picture, (1, 3, size, size)))])
        return np.array(request.get_output_tensor(0).data[0])

    return run


def onnxruntime_session(onnx: Path, providers: list, threads: int, needed: str | None = None) -> Session:
    """A session; with `needed`, an error where ONNX Runtime fell back to another provider than that."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(onnx), options, providers=providers)
    if needed and needed not in session.get_providers():
        started = ", ".join(session.get_providers())
        raise UsageError(f"ONNX Runtime could not start {needed}, only {started}: its libraries or the GPU are missing")
    name = session.get_inputs()[0].name

    def run(picture: np.ndarray) -> np.ndarray:
        batch = np.broadcast_to(picture, (1, 3, *picture.shape)).astype(np.float32) / np.float32(255)
        return session.run(None, {name: batch})[0][0]

    return run
