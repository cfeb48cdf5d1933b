"""What runs a localizer's model on a CPU or through ONNX Runtime's providers: each function opens one network for one size."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Callable, Sequence

import numpy as np

from . import lean
from .batching import Run, Session
from .bound import BoundRun
from .errors import UsageError

#: ONNX Runtime's providers that run on an NVIDIA GPU.
CUDA, TENSORRT, CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"


def openvino_session(openvino: Any, model: Path, size: int, threads: int, precision: str | None = None) -> Session:
    """One session for one size, every anchor in its answer."""
    return open_openvino(openvino, model, [size], threads, precision, None)[0][0]


def open_openvino(
    openvino: Any, model: Path, sizes: Sequence[int], threads: int, precision: str | None, floor: float | None, batch: int = 1
) -> tuple[list[Session], str]:
    """A session a size, and what OpenVINO computes in. The first size is compiled now; the others, and what batches of 2, 4 ... need,
    when the first such picture comes.

    Args:
        precision: "f32", "bf16" or "f16"; the device's fastest for None.
        floor: score below which no anchor is ever looked at; None if that is not known.
    """
    sides: list[Callable] = []  # the same for all of them
    first, runs_in = _compiled(openvino, model, sizes[0], threads, precision, floor, 1, sides)
    compiled = {(sizes[0], 1): first}

    def run(size: int, pictures: np.ndarray) -> Sequence[np.ndarray]:
        key = size, len(pictures)
        if key not in compiled:
            compiled[key] = _compiled(openvino, model, size, threads, precision, floor, len(pictures), sides)[0]
        return compiled[key](pictures)

    return [Session(functools.partial(run, size), batch) for size in sizes], runs_in


def _compiled(
    openvino: Any, model: Path, size: int, threads: int, precision: str | None, floor: float | None, batch: int, sides: list[Callable]
) -> tuple[Run, str]:
    """A network for exactly so many pictures, and what OpenVINO computes in.

    Args:
        sides: what works out boxes, see `lean`; filled when the first one is needed.
    """
    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision:
        settings["INFERENCE_PRECISION_HINT"] = precision
    network = core.read_model(model)
    network.reshape([batch, 3, size, size])
    channels = 1 if lean.grey(openvino, network) else 3
    parts = None if floor is None else lean.branches(network)
    if parts:
        network = lean.scores_and_features(openvino, network, parts)
    steps = openvino.preprocess.PrePostProcessor(network)
    steps.input().tensor().set_element_type(openvino.Type.u8)
    steps.input().preprocess().convert_element_type(openvino.Type.f32).scale(255.0)
    compiled = core.compile_model(steps.build(), "CPU", settings)
    request, shape = compiled.create_infer_request(), (batch, channels, size, size)

    def run(pictures: np.ndarray) -> list[np.ndarray]:
        request.infer([np.ascontiguousarray(np.broadcast_to(pictures[:, None], shape))])
        return list(np.array(request.get_output_tensor(0).data))

    runs_in = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if not parts:
        return run, runs_in

    def run_lean(pictures: np.ndarray) -> list[np.ndarray]:
        found = []
        for index, scores in enumerate(run(pictures)):
            anchors = np.flatnonzero(~(scores.max(axis=0) < floor))  # one that is no number is passed on, to be refused
            if len(anchors) and not sides:
                sides.extend(_branch(core.compile_model(lean.branch_model(openvino, part), "CPU", settings)) for part in parts)
            features = [request.get_output_tensor(1 + number).data[index] for number in range(len(parts))]
            found.append(np.concatenate([lean.boxes_of(features, sides, anchors, size), scores[:, anchors]]))
        return found

    return run_lean, runs_in


def _branch(compiled: Any) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
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


def onnxruntime_session(onnx: Path, providers: list, threads: int, needed: str | None = None, *, batch: int = 1) -> Session:
    """One session of ONNX Runtime for pictures of any side.

    Args:
        providers: in order of preference, as ONNX Runtime takes them.
        needed: the provider that must run it.

    Raises:
        UsageError: ONNX Runtime fell back to another provider than `needed`.
    """
    import onnxruntime

    if needed and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # CUDA's libraries, where they were installed as Python packages
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    network = onnxruntime.InferenceSession(str(onnx), options, providers=providers)
    if needed and needed not in network.get_providers():
        started = ", ".join(network.get_providers())
        raise UsageError(f"ONNX Runtime could not start {needed}, only {started}: its libraries or the GPU are missing")
    return Session(BoundRun(network, batch, "cuda" if needed in (CUDA, TENSORRT) else "cpu"), batch, pads=True)
