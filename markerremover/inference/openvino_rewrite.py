"""A YOLOv8 localizer in OpenVINO without the arithmetic whose result nobody reads, and without the copying that can be spared: the same
scores, the same boxes, a sixth to a quarter less time.

- The picture is grey: the first convolution's weights are summed over its three equal channels.
- Boxes are worked out only for anchors that score enough to be looked at, some 20 of 8,400: the three convolutions that give a
  box its sides run on the 5 x 5 cells around such an anchor instead of on whole feature maps.
- What is split in two after a 1 x 1 convolution comes out of two instead; a 1 x 1 convolution of a map that was doubled and joined to
  another goes before the doubling, on a quarter of the cells; the maps come out with channels last, as they lie in memory.

All are exact up to the order of additions. What does not look like the detection head of ultralytics (anchor-free, distances to the
four sides as distributions), or else like what a change is for, is left as it is.

By hand, for OpenVINO's own passes, ONNX Runtime's and onnxslim's were looked at and keep every output of a network as it is: they cannot
know that three channels are equal, nor that nobody reads the box of an anchor with a low score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

BATCH = 16  # anchors a call of a branch
REACH = 2  # cells around an anchor that the two 3 x 3 convolutions see


@dataclass(frozen=True)
class Branch:
    """What gives the boxes of one feature map: three convolutions, the first two 3 x 3 with SiLU, the last 1 x 1.

    feature: OpenVINO output, (N, C, h, w).  weights, biases: of the three, in order.
    """

    feature: Any
    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]


def grey(openvino: Any, model: Any) -> bool:
    """Have a network take (N, 1, S, S) instead of three equal channels, in place. False, and nothing done, if it does not begin with a
    convolution of its input."""
    ops = openvino.opset13

    (parameter,) = model.get_parameters()
    readers = list(parameter.output(0).get_target_inputs())
    if len(readers) != 1 or readers[0].get_node().get_type_name() != "Convolution" or readers[0].get_index() != 0:
        return False
    weights = _constant(readers[0].get_node().input_value(1))
    shape = list(parameter.get_output_shape(0))
    if weights is None or weights.ndim != 4 or weights.shape[1] != 3 or shape[1] != 3:
        return False
    one = ops.parameter([shape[0], 1, *shape[2:]], np.float32, name=parameter.get_friendly_name())
    conv = readers[0].get_node()
    conv.input(0).replace_source_output(one.output(0))
    conv.input(1).replace_source_output(ops.constant(weights.sum(axis=1, keepdims=True)).output(0))
    model.add_parameters([one])
    model.remove_parameter(parameter)
    model.validate_nodes_and_infer_types()
    return True


def spare_copies(openvino: Any, model: Any) -> tuple[int, int]:
    """Change a network in place, as the module's last point says. How many splits, and how many joins to a doubled map, there are no more."""
    nodes = [node for node in model.get_ordered_ops() if node.get_output_size() and node.get_output_element_type(0) == openvino.Type.f32]
    splits = sum(_apart(openvino.opset13, node) for node in nodes if node.get_type_name() in ("Split", "VariadicSplit"))
    joins = sum(_before_doubling(openvino.opset13, node) for node in nodes if node.get_type_name() == "Concat")
    model.validate_nodes_and_infer_types()
    return splits, joins


def _apart(ops: Any, split: Any) -> bool:
    """Two convolutions for one whose channels are split after its SiLU."""
    before = _before_silu(split.input_value(0))
    found = _convolution(before, 1) if before is not None else None
    axis = _constant(split.input_value(1))
    if found is None or axis is None or axis.ravel().tolist() != [1]:
        return False
    source, weights, bias = found
    start = 0
    for output in split.outputs():
        channels = slice(start, start + output.get_shape()[1])
        conv = _convolved(ops, source, weights[channels])
        part = ops.swish(ops.add(conv, ops.constant(bias[channels].reshape(1, -1, 1, 1))))
        _give(output, part)
        start = channels.stop
    return True


def _before_doubling(ops: Any, join: Any) -> bool:
    """For 1 x 1 convolutions of maps joined along their channels, of which some were scaled up by repeating cells: convolutions of each, added
    up, those of the scaled ones before the scaling. False, and nothing done, if something else reads what was joined."""
    maps = [join.input_value(index) for index in range(join.get_input_size())]
    readers = [target.get_node() for target in join.output(0).get_target_inputs()]
    sums = [target.get_node() for reader in readers for target in reader.output(0).get_target_inputs() if target.get_node().get_type_name() == "Add"]
    found = [_convolution(node.output(0), 1) for node in sums]
    if join.get_attributes().get("axis") != 1 or not any(map(_doubled, maps)) or len(sums) != len(readers) or None in found:
        return False
    for node, (_, weights, bias) in zip(sums, found):
        start, total = 0, None
        for each in maps:
            channels = slice(start, start + each.get_shape()[1])
            start = channels.stop
            if _doubled(each):
                scaling = each.get_node()
                conv = _convolved(ops, scaling.input_value(0), weights[:, channels])
                more = [scaling.input_value(index) for index in range(1, scaling.get_input_size())]
                settings = scaling.get_attributes()
                part = ops.interpolate(conv, more[0], axes=more[1] if more[1:] else None, **settings)
            else:
                part = _convolved(ops, each, weights[:, channels])
            total = ops.add(part, ops.constant(bias.reshape(1, -1, 1, 1)) if total is None else total)
        _give(node.output(0), total)
    return True


def _doubled(output: Any) -> bool:
    """Whether a map was scaled by repeating its cells, which does the same to any number of channels."""
    node = output.get_node()
    if node.get_type_name() != "Interpolate" or node.get_type_info().version_id != "opset11":
        return False
    settings, source, result = node.get_attributes(), node.get_input_shape(0), node.get_output_shape(0)
    plain = (settings["mode"], settings["shape_calculation_mode"]) == ("nearest", "scales") and not any((*settings["pads_begin"], *settings["pads_end"]))
    return plain and list(source[:2]) == list(result[:2])


def _convolved(ops: Any, source: Any, weights: np.ndarray) -> Any:
    return ops.convolution(source, ops.constant(np.ascontiguousarray(weights)), [1, 1], [0, 0], [0, 0], [1, 1])


def _give(output: Any, other: Any) -> None:
    """Have whatever reads an output read another node's."""
    for target in list(output.get_target_inputs()):
        target.replace_source_output(other.output(0))


def branches(model: Any) -> list[Branch] | None:
    """The parts of a network that give the boxes, one a feature map, coarsest last; None where its end is another."""
    end = model.get_results()[0].input_value(0).get_node()
    if len(model.get_results()) != 1 or end.get_type_name() != "Concat" or end.get_input_size() != 2:
        return None
    if end.input_value(1).get_node().get_type_name() != "Sigmoid":
        return None
    todo, seen, parts, means = [end.input_value(0).get_node()], set(), None, None
    while todo and parts is None:
        node = todo.pop(0)
        if node.get_friendly_name() in seen:
            continue
        seen.add(node.get_friendly_name())
        if node.get_type_name() == "Convolution" and means is None:  # of a distribution over distances: 0, 1, 2 ...
            means = _constant(node.input_value(1))
        if node.get_type_name() == "Concat":
            parts = _parts(node)
        todo += [node.input_value(i).get_node() for i in range(node.get_input_size())]
    if parts is None or means is None:
        return None
    steps = means.ravel()
    if not np.array_equal(steps, np.arange(len(steps))) or any(len(p.biases[-1]) != 4 * len(steps) for p in parts):
        return None
    return parts


def _parts(concat: Any) -> list[Branch] | None:
    found = []
    for index in range(concat.get_input_size()):
        node = concat.input_value(index).get_node()
        if node.get_type_name() != "Reshape":
            return None
        output, weights, biases = node.input_value(0), [], []
        for number, kernel in enumerate((1, 3, 3)):
            output = _before_silu(output) if number else output
            convolution = _convolution(output, kernel) if output is not None else None
            if convolution is None:
                return None
            output = convolution[0]
            weights.insert(0, convolution[1])
            biases.insert(0, convolution[2])
        found.append(Branch(output, tuple(weights), tuple(biases)))
    return found or None


def _constant(output: Any) -> np.ndarray | None:
    """The value of a constant, or of one kept in half precision; None of anything else."""
    node = output.get_node()
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return np.array(node.data, np.float32) if node.get_type_name() == "Constant" else None


def _convolution(output: Any, kernel: int) -> tuple[Any, np.ndarray, np.ndarray] | None:
    """(input, weights, bias) of a biased convolution that keeps the size; None if `output` comes from something else."""
    node = output.get_node()
    if node.get_type_name() != "Add":
        return None
    conv, bias = node.input_value(0).get_node(), node.input_value(1).get_node()
    if conv.get_type_name() != "Convolution":
        return None
    bias = bias.input_value(0) if bias.get_type_name() == "Reshape" else node.input_value(1)
    weights, bias = _constant(conv.input_value(1)), _constant(bias)
    settings = conv.get_attributes()
    same = [kernel // 2] * 2
    if weights is None or bias is None or weights.shape[2:] != (kernel, kernel) or list(settings["strides"]) != [1, 1]:
        return None
    if list(settings["pads_begin"]) != same or list(settings["pads_end"]) != same or list(settings["dilations"]) != [1, 1]:
        return None
    return conv.input_value(0), weights, bias.ravel()


def _before_silu(output: Any) -> Any:
    """What goes into a SiLU; None if `output` is not one's."""
    node = output.get_node()
    if node.get_type_name() == "Swish":
        beta = _constant(node.input_value(1)) if node.get_input_size() > 1 else np.ones(1)
        return node.input_value(0) if beta is not None and (beta == 1).all() else None
    if node.get_type_name() != "Multiply":
        return None
    for index in (0, 1):
        gate = node.input_value(index).get_node()
        if gate.get_type_name() == "Sigmoid" and gate.input_value(0) == node.input_value(1 - index):
            return gate.input_value(0)
    return None


def scores_and_features(openvino: Any, model: Any, parts: list[Branch]) -> Any:
    """The network as far as its scores (N, classes, anchors) and the feature maps (N, h, w, C) that the boxes are made from."""
    ops = openvino.opset13
    scores = model.get_results()[0].input_value(0).get_node().input_value(1)
    last = ops.constant(np.array([0, 2, 3, 1]))
    return openvino.Model([scores, *(ops.transpose(part.feature, last).output(0) for part in parts)], model.get_parameters(), "scores")


def branch_model(openvino: Any, part: Branch) -> Any:
    """(BATCH, C, 5, 5) cells and (BATCH, 1, 3, 3) mask of those in the map that hold the anchor's neighbours -> (BATCH, 4 x bins)."""
    ops = openvino.opset13

    cells = ops.parameter([BATCH, part.weights[0].shape[1], 2 * REACH + 1, 2 * REACH + 1], np.float32, name="cells")
    inside = ops.parameter([BATCH, 1, 3, 3], np.float32, name="inside")
    out = cells
    for number, (weights, bias) in enumerate(zip(part.weights, part.biases)):
        conv = ops.convolution(out, ops.constant(weights), [1, 1], [0, 0], [0, 0], [1, 1])
        out = ops.add(conv, ops.constant(bias.reshape(1, -1, 1, 1)))
        out = ops.swish(out) if number < 2 else out
        out = ops.multiply(out, inside) if number == 0 else out  # beyond the map the next convolution sees zeros
    return openvino.Model([ops.reshape(out, ops.constant(np.array([BATCH, -1])), False)], [cells, inside], "boxes")


def boxes_of(features: list[np.ndarray], sides: list[Callable], anchors: np.ndarray, height: int) -> np.ndarray:
    """(4, N) float32: centre x, centre y, width and height in network pixels of some anchors.

    Args:
        features: (h, w, C) each, finest first.  sides: for each, ((N, C, 5, 5), (N, 1, 3, 3)) -> (N, 4 x bins).
        anchors: (N,) ascending indices into all the cells of all the maps.  height: of the network's input, pixels.
    """
    result, start = np.zeros((4, len(anchors)), np.float32), 0
    for feature, run in zip(features, sides, strict=bool(len(anchors))):
        h, w, _ = feature.shape
        here = np.flatnonzero((anchors >= start) & (anchors < start + h * w))
        if len(here):
            rows, columns = np.divmod(anchors[here] - start, w)
            cells, inside = _around(feature, rows, columns)
            bins = run(cells, inside).reshape(len(here), 4, -1).astype(np.float64)
            bins = np.exp(bins - bins.max(axis=-1, keepdims=True))
            left, top, right, bottom = ((bins / bins.sum(axis=-1, keepdims=True)) @ np.arange(bins.shape[-1])).T
            x, y = columns + 0.5, rows + 0.5
            result[:, here] = np.stack([x + (right - left) / 2, y + (bottom - top) / 2, left + right, top + bottom]) * (height / h)
        start += h * w
    return result


def _around(feature: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, C, 5, 5) cells around some places of a (h, w, C) map, 0 beyond it, and (N, 1, 3, 3): which of the inner ones lie in it."""
    h, w, _ = feature.shape
    steps = np.arange(-REACH, REACH + 1)
    y, x = rows[:, None] + steps, columns[:, None] + steps
    inside = ((y >= 0) & (y < h))[:, :, None] & ((x >= 0) & (x < w))[:, None, :]
    cells = feature[y.clip(0, h - 1)[:, :, None], x.clip(0, w - 1)[:, None, :]].transpose(0, 3, 1, 2)
    cells = np.where(inside[:, None], cells, np.float32(0))
    return cells, inside[:, None, 1:-1, 1:-1].astype(np.float32)
