"""What runs a localizer's model: OpenVINO, ONNX Runtime on the CPU or CUDA, TensorRT; behind one small interface, `Session`."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Sequence

import numpy as np

from . import lean
from .errors import UsageError

Session = Callable[[np.ndarray], np.ndarray]
"""(S, S) uint8 picture -> (4 + classes, anchors) network output; S is any size the session was opened for. A session that was opened
with a floor may leave out anchors of which no score reaches it."""


def open_sessions(model: Path, sizes: Sequence[int], device: str, threads: int, *, runtime: str = "auto",
          precision: str | None = None, floor: float | None = None) -> tuple[list[Session], str]:
    """One session for each network size, and the backend's name.

    Args:
        floor: score below which no anchor is ever looked at, for all classes; None if that is not known.
    """
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
            opened = [_open(openvino, model, size, threads, precision, floor) for size in sizes]
            return [session for session, _ in opened], f"OpenVINO CPU, {opened[0][1]}"
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
    """One session for one size, every anchor in its answer."""
    return _open(openvino, model, size, threads, precision, None)[0]


def _open(openvino, model: Path, size: int, threads: int, precision: str | None, floor: float | None) -> tuple[Session, str]:
    """A session, and what OpenVINO computes in."""
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision:
        settings["INFERENCE_PRECISION_HINT"] = precision
    network = core.read_model(model)
    network.reshape([1, 3, size, size])
    channels = 1 if lean.grey(openvino, network) else 3
    parts = None if floor is None else lean.branches(network)
    if parts:
        network = lean.scores_and_features(openvino, network, parts)
    steps = openvino.preprocess.PrePostProcessor(network)
    steps.input().tensor().set_element_type(openvino.Type.u8)
    steps.input().preprocess().convert_element_type(openvino.Type.f32).scale(255.0)
    compiled = core.compile_model(steps.build(), "CPU", settings)
    request, shape = compiled.create_infer_request(), (1, channels, size, size)

    def run(picture: np.ndarray) -> np.ndarray:
        request.infer([np.ascontiguousarray(np.broadcast_to(picture, shape))])
        return np.array(request.get_output_tensor(0).data[0])

    runs_in = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if not parts:
        return run, runs_in
    sides = [_branch(openvino, core.compile_model(lean.branch_model(openvino, part), "CPU", settings)) for part in parts]

    def run_lean(picture: np.ndarray) -> np.ndarray:
        scores = run(picture)
        anchors = np.flatnonzero(~(scores.max(axis=0) < floor))  # one that is no number is passed on, to be refused
        features = [request.get_output_tensor(1 + index).data[0] for index in range(len(parts))]
        return np.concatenate([lean.boxes_of(features, sides, anchors, size), scores[:, anchors]])

    return run_lean, runs_in


def _branch(openvino, compiled) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A branch for any number of anchors."""
    request = compiled.create_infer_request()

    def run(cells: np.ndarray, inside: np.ndarray) -> np.ndarray:
        found = []
        for start in range(0, len(cells), lean.BATCH):
            part = [array[start : start + lean.BATCH] for array in (cells, inside)]
            short = lean.BATCH - len(part[0])
            request.infer([np.concatenate([array, np.zeros((short, *array.shape[1:]), np.float32)]) for array in part])
            found.append(np.array(request.get_output_tensor(0).data[: len(part[0])]))
        return np.concatenate(found)

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
