"""Sessions of a localizer's model with OpenVINO on the CPU, and with ONNX Runtime through its providers."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError
from ..system.forks import NO_GPU, Own, at_work
from ..system.kept import Kept, Once
from ..system.telemetry import import_onnxruntime
from . import openvino_rewrite
from .ort_binding import BoundRun
from .session import Run, Session

log = logging.getLogger(__name__)

#: ONNX Runtime's providers that run on an NVIDIA GPU.
CUDA, TENSORRT, CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"
SHAPES = 6  # maximum number of image shapes, besides the usual squares, whose networks are kept: some 60 MB each, compiled in 0.1 to 0.4 s


def openvino_session(openvino: Any, model: Path, size: int, threads: int, precision: str | None = None) -> Session:
    """One session for squares of one size in pixels, with every anchor in its answers."""
    return open_openvino(openvino, model, [size], threads, precision, None)[0][0]


def open_openvino(
    openvino: Any, model: Path, sizes: Sequence[int], threads: int, precision: str | None, floor: float | None, batch: int = 1
) -> tuple[list[Session], str]:
    """One session per size, each of which also takes images of other shapes, and the precision in which OpenVINO computes.

    The first size is compiled at once, the others in a background thread; batches of 2, 4 ... and other shapes are compiled when the first
    such images arrive.

    Args:
        openvino: the module.
        sizes: sides of the square inputs, in pixels.
        threads: number of CPU threads.
        precision: "f32", "bf16" or "f16"; None for the device's fastest.
        floor: score below which no anchor is evaluated; None if it is not known.
        batch: maximum number of images per call.
    """
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}  # with pinning all workers share core 0
    settings |= {"INFERENCE_PRECISION_HINT": precision} if precision else {}
    squares = [(1, size, size) for size in sizes]
    counts = sorted({batch, *(1 << k for k in range(batch.bit_length()))})  # batch sizes that a session uses

    def networks() -> tuple[Callable[[tuple[int, int, int]], Any], Once]:
        sides = Once(lambda: [_branch(openvino, part, settings) for part in compiled(squares[0])[2]])
        permanent_shapes = [(n, size, size) for size in sizes for n in counts]
        cache = Kept(SHAPES, permanent_shapes)

        def compiled(shape: tuple[int, int, int]) -> Any:
            return cache.get(shape, functools.partial(_compiled, openvino, model, shape, settings, floor, sides))

        return compiled, sides

    networks_here = Own(networks)

    def run(pictures: np.ndarray) -> Sequence[np.ndarray]:
        with at_work():
            compiled, _ = networks_here()
            return compiled(pictures.shape)[0](pictures)

    def compile_rest(compiled: Callable[[tuple[int, int, int]], Any], sides: Once) -> None:
        steps: list[Callable[[], Any]] = [*(functools.partial(compiled, shape) for shape in squares[1:]), sides]
        try:
            for step in steps:
                with at_work():
                    step()
        except Exception as error:  # the call that needs the network compiles it again, and reports the error
            log.debug("a network was not compiled ahead (%s)", type(error).__name__)

    with at_work():
        runs_in = networks_here()[0](squares[0])[1]
    threading.Thread(target=compile_rest, args=networks_here()).start()
    return [Session(run, batch, wide=True)] * len(sizes), runs_in


def _compiled(
    openvino: Any, model: Path, shape: tuple[int, int, int], settings: dict[str, Any], floor: float | None, sides: Once
) -> tuple[Run, str, list[openvino_rewrite.Branch]]:
    """A network for one shape of input, the precision in which OpenVINO computes, and the box branches left out of it, to be run by `sides`.

    Args:
        shape: number, height and width of the images.
        settings: OpenVINO's.
        sides: returns the runnable box branches, see `openvino_rewrite.boxes_of`.
    """
    batch, height, width = shape
    core = openvino.Core()
    network = core.read_model(model)
    network.reshape([batch, 3, height, width])
    channels = 1 if openvino_rewrite.grey(openvino, network) else 3
    openvino_rewrite.spare_copies(openvino, network)
    parts = None if floor is None else openvino_rewrite.branches(network)
    if parts:
        network = openvino_rewrite.scores_and_features(openvino, network, parts)
    steps = openvino.preprocess.PrePostProcessor(network)
    steps.input().tensor().set_element_type(openvino.Type.u8)
    steps.input().preprocess().convert_element_type(openvino.Type.f32).scale(255.0)
    compiled = core.compile_model(steps.build(), "CPU", settings)
    request, input_shape = compiled.create_infer_request(), (batch, channels, height, width)

    def run(pictures: np.ndarray) -> list[np.ndarray]:
        request.infer([np.ascontiguousarray(np.broadcast_to(pictures[:, None], input_shape))])
        return list(np.array(request.get_output_tensor(0).data))

    runs_in = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if not parts:
        return run, runs_in, []

    def run_lean(pictures: np.ndarray) -> list[np.ndarray]:
        answers = []
        for index, scores in enumerate(run(pictures)):
            anchors = np.flatnonzero(~(scores.max(axis=0) < floor))  # NaN is passed on, to be refused
            features = [request.get_output_tensor(1 + number).data[index] for number in range(len(parts))]
            answers.append(np.concatenate([openvino_rewrite.boxes_of(features, sides() if len(anchors) else [], anchors, height), scores[:, anchors]]))
        return answers

    return run_lean, runs_in, parts


def _branch(openvino: Any, part: openvino_rewrite.Branch, settings: dict[str, Any]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A compiled box branch for any number of anchors."""
    request = openvino.Core().compile_model(openvino_rewrite.branch_model(openvino, part), "CPU", settings).create_infer_request()

    def run(cells: np.ndarray, mask: np.ndarray) -> np.ndarray:
        outputs = []
        for start in range(0, len(cells), openvino_rewrite.BATCH):
            part = [array[start : start + openvino_rewrite.BATCH] for array in (cells, mask)]
            short = openvino_rewrite.BATCH - len(part[0])
            request.infer([np.concatenate([array, np.zeros((short, *array.shape[1:]), np.float32)]) for array in part])
            outputs.append(np.array(request.get_output_tensor(0).data[: len(part[0])]))
        return np.concatenate(outputs)

    return run


def onnxruntime_session(onnx: Path, providers: list, threads: int, needed: str | None = None, *, batch: int = 1) -> Session:
    """One session of ONNX Runtime for square images of any side and, unless TensorRT runs it, for other shapes.

    Args:
        providers: in order of preference, as ONNX Runtime takes them.
        threads: number of CPU threads.
        needed: the provider that must run it.
        batch: maximum number of images per call.

    Raises:
        UsageError: ONNX Runtime fell back to another provider than `needed`.
    """
    onnxruntime = import_onnxruntime()
    if needed and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # CUDA's libraries, if they are installed as Python packages
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads

    def network() -> BoundRun:
        opened = onnxruntime.InferenceSession(str(onnx), options, providers=providers)
        if needed and needed not in opened.get_providers():
            started = ", ".join(opened.get_providers())
            raise UsageError(f"ONNX Runtime could not start {needed}, only {started}: its libraries or the GPU are missing")
        return BoundRun(opened, batch, "cuda" if needed in (CUDA, TENSORRT) else "cpu")

    with at_work():
        opened = Own(network, NO_GPU if needed in (CUDA, TENSORRT) else "")

    def run(pictures: np.ndarray) -> Sequence[np.ndarray]:
        with at_work():
            return opened()(pictures)

    return Session(run, batch, pads=True, wide=needed != TENSORRT)  # TensorRT would build an engine for each shape, for minutes
