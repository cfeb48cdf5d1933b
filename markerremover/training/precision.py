"""Converts an fp32 ONNX localizer to OpenVINO, to half precision and to 8 bits, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import UsageError, WeightsError
from ..system.telemetry import import_onnxruntime, import_openvino


def to_openvino(onnx: Path, target: Path, *, fp16: bool) -> Path:
    """Write an ONNX file as OpenVINO's `.xml` and `.bin` with variable input sizes; fp16 stores the weights in half precision.

    Raises:
        UsageError: OpenVINO is not installed.
    """
    try:
        openvino = import_openvino()
    except ImportError as error:
        raise UsageError(f"format 'openvino' needs OpenVINO: pip install openvino ({error})") from error
    openvino.save_model(openvino.Core().read_model(onnx), target, compress_to_fp16=fp16)
    return target


def to_fp16(onnx: Path, target: Path) -> Path:
    """Write an fp32 ONNX file with half-precision weights and arithmetic up to its last convolutions; input, output and
    the arithmetic on boxes and scores remain fp32, since above 512 half precision has steps of half a pixel.

    Raises:
        UsageError: the extra `train` (for onnx) is missing.
    """
    module = _onnx()
    import_onnxruntime()
    from onnxruntime.transformers.float16 import convert_float_to_float16

    network = module.load(onnx)
    graph, tail = network.graph, set(_tail(network.graph))
    front = [node for node in graph.node if node.name not in tail]
    behind = [node for node in graph.node if node.name in tail]
    edge = sorted({name for node in front for name in node.output} & {name for node in behind for name in node.input})
    values = [module.helper.make_tensor_value_info(name, module.TensorProto.FLOAT, None) for name in edge]
    needed = {name for node in front for name in node.input}
    part = module.helper.make_graph(front, "front", graph.input, values, [t for t in graph.initializer if t.name in needed])
    half = convert_float_to_float16(module.helper.make_model(part, opset_imports=network.opset_import), keep_io_types=True).graph
    needed = {name for node in behind for name in node.input}
    rest = [tensor for tensor in graph.initializer if tensor.name in needed - {t.name for t in half.initializer}]
    tensors = [*half.initializer, *rest]
    nodes = _ordered([*half.node, *behind], {value.name for value in (*graph.input, *tensors)})
    model = module.helper.make_graph(nodes, graph.name, graph.input, graph.output, tensors)
    model = module.helper.make_model(model, opset_imports=network.opset_import, ir_version=network.ir_version)
    module.checker.check_model(model)
    module.save(model, target)
    return target


def _ordered(nodes: list, available: set[str]) -> list:
    """The nodes of a graph in topological order.

    Args:
        available: names of inputs and stored tensors.

    Raises:
        WeightsError: a node has an input that no node gives.
    """
    placed: list = []
    remaining, names = list(nodes), {"", *available}
    while remaining:
        ready = [node for node in remaining if names.issuperset(node.input)]
        if not ready:
            raise WeightsError(f"the network has nodes without input: {', '.join(node.name for node in remaining[:3])}")
        placed += ready
        names.update(name for node in ready for name in node.output)
        remaining = [node for node in remaining if not names.issuperset(node.output)]
    return placed


def to_int8(onnx: Path, target: Path, pictures: Sequence[np.ndarray]) -> Path:
    """Write an fp32 ONNX file with its convolutions in int8.

    Args:
        pictures: (S, S) uint8 network inputs from which the ranges are calibrated.

    The last convolutions, which give boxes and scores, remain fp32, since scores depend on their exact outputs. Weights use 7 bits, since
    CPUs without VNNI overflow with 8.

    Raises:
        UsageError: the extra `train` (for onnx) is missing, or there are no pictures.
    """
    module = _onnx()
    import_onnxruntime()
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    if not len(pictures):
        raise UsageError("int8 needs at least one calibration radiograph")
    graph = module.load(onnx).graph

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._pictures = iter(pictures)

        def get_next(self) -> dict[str, np.ndarray] | None:
            picture = next(self._pictures, None)
            if picture is None:
                return None
            return {graph.input[0].name: np.broadcast_to(picture, (1, 3, *picture.shape)).astype(np.float32) / np.float32(255)}

    quantize_static(
        str(onnx), str(target), Reader(), quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=True,
        op_types_to_quantize=["Conv"], activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        nodes_to_exclude=_tail(graph),
    )
    return target


def _tail(graph) -> list[str]:
    """Names of the last convolutions and of all nodes after them, the arithmetic on boxes and scores. That includes one convolution with one
    output channel, which computes the mean of a distribution over distances."""
    producers = {output: node for node in graph.node for output in node.output}
    channels = {tensor.name: tensor.dims[0] for tensor in graph.initializer if tensor.dims}
    if not all(node.name for node in graph.node):
        raise WeightsError("the network has nodes without a name")
    todo = [output.name for output in graph.output]
    names: set[str] = set()
    while todo:
        node = producers.get(todo.pop())
        if node is None or node.name in names:
            continue
        names.add(node.name)
        if node.op_type != "Shape" and (node.op_type != "Conv" or channels.get(node.input[1]) == 1):
            todo.extend(node.input)
    return sorted(names)


def _onnx():
    try:
        import onnx
    except ImportError as error:
        raise UsageError(f"fp16 and int8 need the extra 'train': pip install 'markerremover[train]' ({error})") from error
    return onnx
