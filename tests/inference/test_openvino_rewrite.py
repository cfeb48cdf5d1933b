"""The localizer without the arithmetic that nobody reads gives what the whole network gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from markerremover.inference import backends, openvino_rewrite
from markerremover.inference.shipped_weights import default_weights
from markerremover.synthesis import radiograph

openvino = pytest.importorskip("openvino")
FLOOR = 0.01


def picture(seed: int, size: int) -> np.ndarray:
    import cv2

    return cv2.resize(radiograph(np.random.default_rng(seed)).image, (size, size), interpolation=cv2.INTER_AREA)


def compared(whole: np.ndarray, part: np.ndarray, floor: float = FLOOR) -> int:
    """Assert that the lean answer holds exactly the anchors that reach the floor, alike; how many those are."""
    anchors = np.flatnonzero(whole[4:].max(axis=0) >= floor)
    assert part.shape == (len(whole), len(anchors))
    np.testing.assert_allclose(part[4:], whole[4:, anchors], atol=1e-5)
    np.testing.assert_allclose(part[:4], whole[:4, anchors], atol=0.01)  # network pixels
    return len(anchors)


@pytest.mark.parametrize("size", [640, 320])
def test_shipped_weights_give_the_same_scores_and_boxes(size):
    (whole,), name = backends.open_sessions(default_weights(), [size], "cpu", 1, precision="f32")
    (part,), same = backends.open_sessions(default_weights(), [size], "cpu", 1, precision="f32", floor=FLOOR)
    assert name == same
    found = 0
    for seed in range(4):
        shown = picture(seed, size)
        before = shown.copy()
        found += compared(whole(shown), part(shown))
        assert (shown == before).all()
    assert found > 20


def test_marks_cut_by_every_edge_get_the_same_boxes():
    """The branch sees zeros beyond the map, as the whole network does."""
    import cv2

    (whole,), _ = backends.open_sessions(default_weights(), [320], "cpu", 1, precision="f32")
    (part,), _ = backends.open_sessions(default_weights(), [320], "cpu", 1, precision="f32", floor=1e-5)
    shown = np.full((320, 320), 30, np.uint8)
    for at in ((-6, 150), (300, 150), (150, 12), (150, 325), (-6, 12), (302, 326)):
        cv2.putText(shown, "R", at, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 250, 3)
    out = whole(shown)
    anchors = np.flatnonzero(out[4:].max(axis=0) >= 1e-5)
    first = anchors[anchors < 1600]
    rows, columns = np.divmod(first, 40)
    for edge in (rows == 0, rows == 39, columns == 0, columns == 39):
        assert edge.any()
    compared(out, part(shown), 1e-5)


def test_a_picture_without_anything_gives_no_anchors():
    (part,), _ = backends.open_sessions(default_weights(), [320], "cpu", 1, precision="f32", floor=0.9)
    assert part(np.zeros((320, 320), np.uint8)).shape == (6, 0)


def test_a_score_that_is_no_number_is_passed_on(monkeypatch):
    """The detector refuses such an answer; it must not vanish among the anchors that score too little."""
    real = openvino_rewrite.scores_and_features

    def broken(openvino, model, parts):
        return real(openvino, spoiled(model), parts)

    def spoiled(model):
        ops, scores = openvino.opset13, model.get_results()[0].input_value(0).get_node().input(1)
        bad = ops.divide(scores.get_source_output(), ops.constant(np.float32(0)))
        bad = ops.subtract(bad, bad)  # infinite less infinite
        scores.replace_source_output(bad.output(0))
        return model

    monkeypatch.setattr(openvino_rewrite, "scores_and_features", broken)
    (part,), _ = backends.open_sessions(default_weights(), [320], "cpu", 1, precision="f32", floor=FLOOR)
    answer = part(np.zeros((320, 320), np.uint8))
    assert answer.shape[1] == 2100 and np.isnan(answer[4:]).all()


def network(first_channels: int = 3, head: bool = False):
    """A small network that ends otherwise than the head of ultralytics."""
    ops = openvino.opset13
    images = ops.parameter([1, 3, 32, 32], np.float32, name="images")
    start = images if first_channels == 3 else ops.reduce_mean(images, ops.constant(np.array([1])), True)
    weights = np.random.default_rng(1).normal(size=(6, first_channels, 3, 3)).astype(np.float32)
    out = ops.convolution(start, ops.constant(weights), [1, 1], [1, 1], [1, 1], [1, 1])
    out = ops.reshape(out, ops.constant(np.array([1, 6, -1])), False)
    if head:
        out = ops.concat([out, ops.sigmoid(out)], 1)
    return openvino.Model([out], [images], "other")


@pytest.mark.parametrize("head", [False, True], ids=["one part", "boxes and scores, but of no distribution"])
def test_a_network_with_another_head_runs_whole(tmp_path: Path, head):
    path = tmp_path / "other.xml"
    openvino.save_model(network(head=head), path, compress_to_fp16=False)
    assert openvino_rewrite.branches(openvino.Core().read_model(path)) is None
    (whole,), _ = backends.open_sessions(path, [32], "cpu", 1)
    (part,), _ = backends.open_sessions(path, [32], "cpu", 1, floor=0.5)
    shown = picture(1, 32)
    assert (whole(shown) == part(shown)).all() and whole(shown).shape[1] == 1024


def test_summing_equal_channels_changes_nothing(tmp_path: Path):
    path = tmp_path / "other.xml"
    openvino.save_model(network(), path, compress_to_fp16=False)
    model = openvino.Core().read_model(path)
    assert openvino_rewrite.grey(openvino, model) and list(model.inputs[0].shape) == [1, 1, 32, 32]
    shown = picture(2, 32)
    three = np.broadcast_to(shown, (1, 3, 32, 32)).astype(np.float32)
    run = [openvino.Core().compile_model(m, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}) for m in (openvino.Core().read_model(path), model)]
    np.testing.assert_allclose(run[0](three)[0], run[1](three[:, :1])[0], rtol=1e-4, atol=1e-2)


def test_a_network_that_does_not_begin_with_a_convolution_keeps_its_three_channels(tmp_path: Path):
    model = network(first_channels=1)
    assert not openvino_rewrite.grey(openvino, model) and list(model.inputs[0].shape) == [1, 3, 32, 32]


def ran(model, shape: tuple[int, ...], seed: int = 5) -> list[np.ndarray]:
    """A network's outputs for some random input."""
    network = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = network(np.random.default_rng(seed).normal(size=shape).astype(np.float32))
    return [np.array(found[output]) for output in network.outputs]


def shipped():
    model = openvino.Core().read_model(default_weights())
    model.reshape([1, 3, 160, 192])
    return model


def test_copies_are_spared_in_the_shipped_weights_and_nothing_else_changes():
    model = shipped()
    assert openvino_rewrite.spare_copies(openvino, model) == (8, 2)
    assert openvino_rewrite.spare_copies(openvino, model) == (0, 0), "and none are left"
    assert not [node for node in model.get_ordered_ops() if node.get_type_name() == "VariadicSplit" and node.get_output_element_type(0) == openvino.Type.f32
                and len(node.get_output_shape(0)) == 4]
    (before,), (after,) = ran(shipped(), (1, 3, 160, 192)), ran(model, (1, 3, 160, 192))
    np.testing.assert_allclose(after[:, 4:], before[:, 4:], atol=1e-5)
    np.testing.assert_allclose(after[:, :4], before[:, :4], atol=0.01)


def convolved(ops, source, outputs: int, rng):
    weights = rng.normal(size=(outputs, source.get_output_shape(0)[1], 1, 1)).astype(np.float32)
    conv = ops.convolution(source, ops.constant(weights), [1, 1], [0, 0], [0, 0], [1, 1])
    return ops.add(conv, ops.constant(rng.normal(size=(1, outputs, 1, 1)).astype(np.float32)))


def doubling(ops, source, mode: str = "nearest", scales: tuple[float, ...] = (1, 1, 2, 2)):
    return ops.interpolate(source, ops.constant(np.array(scales, np.float32)), mode, "scales", coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def joining(kind: str):
    """A small network in which a doubled map is joined to another, or something that only looks like it."""
    ops, rng = openvino.opset13, np.random.default_rng(6)
    fine, coarse = ops.parameter([1, 4, 8, 6], np.float32, name="fine"), ops.parameter([1, 6, 4, 3], np.float32, name="coarse")
    scaled = doubling(ops, coarse, "linear_onnx" if kind == "smooth" else "nearest")
    if kind == "turned":  # channels are scaled as well: twelve of them come of six
        scaled = doubling(ops, coarse, scales=(1, 2, 2, 2))
    joined = ops.concat([scaled, fine], 1)
    ends = [ops.swish(convolved(ops, joined, 5, rng)) for _ in range(2 if kind == "two readers" else 1)]
    ends += [ops.relu(joined)] if kind == "read as it is" else []
    return openvino.Model([end.output(0) for end in ends], [fine, coarse], kind)


@pytest.mark.parametrize(
    "kind, joins", [("plain", 1), ("two readers", 1), ("smooth", 0), ("turned", 0), ("read as it is", 0)], ids=lambda value: str(value))
def test_a_join_to_a_doubled_map_goes_only_where_the_doubling_repeats_cells_and_convolutions_alone_read_it(kind, joins):
    def both(model):
        network = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        rng = np.random.default_rng(7)
        found = network([rng.normal(size=tuple(each.shape)).astype(np.float32) for each in network.inputs])
        return [np.array(found[output]) for output in network.outputs]

    before, model = both(joining(kind)), joining(kind)
    assert openvino_rewrite.spare_copies(openvino, model) == (0, joins)
    for one, other in zip(before, both(model), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("axis, splits", [(1, 1), (2, 0)], ids=["channels", "rows"])
def test_only_a_split_of_channels_becomes_two_convolutions(axis, splits):
    ops = openvino.opset13

    def model():
        rng, source = np.random.default_rng(8), ops.parameter([1, 3, 6, 4], np.float32, name="source")
        active = ops.swish(convolved(ops, source, 6, rng))
        parts = ops.variadic_split(active, ops.constant(np.array(axis)), ops.constant(np.array([2, 4])))
        return openvino.Model([ops.relu(part).output(0) for part in parts.outputs()], [source], "splits")

    changed = model()
    assert openvino_rewrite.spare_copies(openvino, changed) == (splits, 0)
    for one, other in zip(ran(model(), (1, 3, 6, 4)), ran(changed, (1, 3, 6, 4)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_a_network_in_half_precision_is_left_as_it_is():
    """As an fp16 export's: constants put into it would have to be of its kind."""
    ops, rng = openvino.opset13, np.random.default_rng(9)
    fine, coarse = ops.parameter([1, 4, 8, 6], np.float16), ops.parameter([1, 6, 4, 3], np.float16)

    def half(source, outputs):
        weights = rng.normal(size=(outputs, source.get_output_shape(0)[1], 1, 1)).astype(np.float16)
        conv = ops.convolution(source, ops.constant(weights), [1, 1], [0, 0], [0, 0], [1, 1])
        return ops.add(conv, ops.constant(rng.normal(size=(1, outputs, 1, 1)).astype(np.float16)))

    linear = half(ops.concat([doubling(ops, coarse), fine], 1), 6)
    parts = ops.variadic_split(ops.multiply(linear, ops.sigmoid(linear)), ops.constant(np.array(1)), ops.constant(np.array([2, 4])))
    model = openvino.Model([ops.relu(part).output(0) for part in parts.outputs()], [fine, coarse], "half")
    assert openvino_rewrite.spare_copies(openvino, model) == (0, 0)


def test_no_anchors_no_boxes():
    empty = openvino_rewrite.boxes_of([np.zeros((4, 4, 8), np.float32)], [None], np.zeros(0, int), 32)
    assert empty.shape == (4, 0)


@pytest.mark.train
@pytest.mark.parametrize("yaml", ["yolov5n.yaml", "yolov8n.yaml", "yolo11n.yaml"])
def test_other_networks_of_ultralytics_give_the_same_boxes(tmp_path: Path, yaml):
    """Untrained ones: their scores are small, so the floor is."""
    from ultralytics import YOLO

    path = Path(YOLO(yaml).export(format="onnx", imgsz=128, opset=17, verbose=False))
    path = path.rename(tmp_path / "other.onnx")
    (whole,), _ = backends.open_sessions(path, [128], "cpu", 1, precision="f32", runtime="openvino")
    out = whole(picture(3, 128))
    floor = float(np.quantile(out[4:].max(axis=0), 0.9))
    (part,), _ = backends.open_sessions(path, [128], "cpu", 1, precision="f32", runtime="openvino", floor=floor)
    assert compared(out, part(picture(3, 128)), floor) >= 20
