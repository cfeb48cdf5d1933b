"""Backends behind one interface: which is chosen, what is said where one is missing, and that a batch changes nothing."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import threading
from importlib import util

import numpy as np
import pytest

from markerremover import options
from markerremover.detection import localizer
from markerremover.errors import UsageError
from markerremover.inference import backends, network, ort_binding, runtimes, weights_card
from markerremover.inference import session as batching
from markerremover.inference.shipped_weights import default_weights
from markerremover.synthesis import radiograph

WEIGHTS = default_weights()
FLOOR = 0.01
HERE = [name for name, module in (("openvino", "openvino"), ("onnxruntime", "onnxruntime")) if util.find_spec(module)]


def pictures(count: int, size: int) -> np.ndarray:
    import cv2

    made = [radiograph(np.random.default_rng(seed), size=(size, size)).image for seed in range(count)]
    return np.stack([cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA) for image in made])


# batches

def test_a_session_cuts_rows_of_pictures_into_few_sizes_and_keeps_their_order():
    calls = []

    def run(part):
        calls.append(len(part))
        return [picture.astype(np.float32) for picture in part]

    given = np.arange(7, dtype=np.uint8).reshape(7, 1, 1)
    assert [int(found[0, 0]) for found in batching.Session(run, 4).many(given)] == list(range(7)) and calls == [4, 2, 1]
    calls.clear()
    assert [int(found[0, 0]) for found in batching.Session(run, 4, pads=True).many(given)] == list(range(7)) and calls == [4, 3]
    assert batching.Session(run, 4).many(given[:0]) == [] and int(batching.Session(run)(given[5])[0, 0]) == 5


def test_pictures_of_several_shapes_are_answered_in_their_order():
    calls = []

    def run(part):
        calls.append(part.shape)
        return [int(picture[0, 0]) for picture in part]

    shapes = [(4, 4), (4, 8), (4, 4), (8, 4), (4, 8)]
    given = [np.full(shape, k, np.uint8) for k, shape in enumerate(shapes)]
    assert batching.answers(batching.Session(run, 8), given) == [0, 1, 2, 3, 4]
    assert calls == [(2, 4, 4), (2, 4, 8), (1, 8, 4)]


def test_fewer_large_pictures_go_through_the_network_together():
    assert [batching.room(8, *shape) for shape in ((320, 320), (640, 640), (1280, 640), (1280, 1280), (4000, 4000))] == [8, 8, 4, 2, 1]
    calls = []
    batching.Session(lambda part: calls.append(len(part)) or list(part), 8).many(np.zeros((5, 1280, 1280), np.uint8))
    assert calls == [2, 2, 1]


def test_batches_of_the_usual_squares_are_not_given_up_for_wide_pictures(monkeypatch):
    made = []

    def compiled(openvino, model, shape, *rest):
        made.append(shape)
        return (lambda pictures: list(pictures)), "f32", []

    monkeypatch.setattr(runtimes, "_compiled", compiled)
    (session, _), _ = runtimes.open_openvino(None, WEIGHTS, [64, 32], 1, None, None, 6)
    squares = [(count, side, side) for side in (64, 32) for count in (1, 2, 4, 6)]
    for shape in [*squares, *[(1, 64, 64 + 32 * k) for k in range(1, 2 * runtimes.SHAPES)], *squares]:
        session.many(np.zeros(shape, np.uint8))
    assert set(squares) < set(made) and len(made) == len(set(made))


@pytest.mark.skipif(sys.platform != "linux" or os.cpu_count() < 2, reason="needs Linux and two cores")
@pytest.mark.parametrize("name", HERE)
def test_no_network_ties_the_thread_that_asks_it_to_a_core(name):
    """The workers of a run know nothing of each other: tied, the networks of all of them would share the first core."""
    (session,), _ = backends.open_sessions(WEIGHTS, [640], name, 1, precision="f32", floor=FLOOR)
    picture, seen, done, me = pictures(1, 640)[0], set(), threading.Event(), threading.get_native_id()
    session(picture)

    def watch():
        while not done.is_set():
            seen.add(frozenset(os.sched_getaffinity(me)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(5):
            session(picture)
    finally:
        done.set()
        watcher.join()
    assert seen == {frozenset(os.sched_getaffinity(0))}


@pytest.mark.parametrize("name", HERE)
def test_a_wide_picture_is_seen_as_its_parts_are(name):
    """The wide one holds a usual one far from its edges, and there finds what that finds far from its own."""
    small = pictures(1, 320)[0]
    wide = np.full((512, 768), 114, np.uint8)
    wide[96:416, 224:544] = small
    around = np.full((640, 640), 114, np.uint8)
    around[160:480, 160:480] = small
    found = []
    (session,), _ = backends.open_sessions(WEIGHTS, [640], name, 1, precision="f32", floor=FLOOR)
    assert session.wide
    for picture, corner in ((wide, (224, 96)), (around, (160, 160))):
        raw = session(picture)
        raw = raw[:, raw[4:].max(axis=0) >= 0.2]
        raw[:2] -= np.array(corner)[:, None]
        found.append(raw)
    assert found[0].shape == found[1].shape and found[0].shape[1] > 3
    for one, other in (found, found[::-1]):  # each row has its like among the others, in whatever order
        off = np.abs(one[:, :, None] - other[:, None])
        assert ((off[:4] <= 2).all(axis=0) & (off[4:] <= 0.05).all(axis=0)).any(axis=1).all()


def test_a_plain_callable_is_asked_one_by_one():
    assert batching.answers(lambda picture: picture.sum(), [np.ones((2, 2)), np.zeros((2, 2))]) == [4, 0]


@pytest.mark.parametrize("name", HERE)
def test_a_batch_gives_the_boxes_of_single_pictures(name):
    """ONNX Runtime bit by bit; OpenVINO, which compiles each size anew, within rounding."""
    shown = pictures(3, 320)
    (one,), title = backends.open_sessions(WEIGHTS, [320], name, 1, precision="f32", floor=FLOOR)
    (four,), same = backends.open_sessions(WEIGHTS, [320], name, 1, precision="f32", floor=FLOOR, batch=4)
    assert title == same and (one.batch, four.batch) == (1, 4)
    before = shown.copy()
    anchors = 0
    for single, batched in zip([one(picture) for picture in shown], four.many(shown), strict=True):
        assert single.shape == batched.shape
        np.testing.assert_allclose(batched[4:], single[4:], atol=0 if name == "onnxruntime" else 1e-5)
        np.testing.assert_allclose(batched[:4], single[:4], atol=0 if name == "onnxruntime" else 0.01)
        anchors += int((single[4:].max(axis=0) >= FLOOR).sum())
    assert anchors > 5 and (shown == before).all()


@pytest.mark.parametrize("name", HERE)
def test_a_large_image_is_seen_alike_in_batches(name):
    """The windows of a close look go through the network together, and the whole image and a closer look at it do not."""
    display = radiograph(np.random.default_rng(5), size=(1640, 1300)).image
    single = localizer.load_detector(device=name, inference_precision="f32", threads=1)
    batched = localizer.load_detector(device=name, inference_precision="f32", threads=1, batch=4)
    assert (single.batch, batched.batch) == (1, 4)
    found, again = single(display), batched(display)
    assert len(found) > 0 and found.class_ids.tolist() == again.class_ids.tolist()
    np.testing.assert_allclose(again.xyxy, found.xyxy, atol=0.05)
    np.testing.assert_allclose(again.scores, found.scores, atol=1e-4)
    near, near_again = single.near(display, found.xyxy), batched.near(display, found.xyxy)
    assert len(near) > 0
    np.testing.assert_allclose(near_again.xyxy, near.xyxy, atol=0.05)


# ONNX Runtime with bound input

class FakeValue:
    """An OrtValue on a card; counts what was copied into it."""

    copied = 0

    def __init__(self, part, *where):
        self.array, self.where = np.array(part), where

    def update_inplace(self, part):
        self.array[...] = part
        FakeValue.copied += 1


class FakeSession:
    """Answers with the mean of each picture."""

    def get_inputs(self):
        return [type("Input", (), {"name": "images"})]

    def get_outputs(self):
        return [type("Output", (), {"name": "output0"})]

    def io_binding(self):
        session = self

        class Binding:
            def bind_ortvalue_input(self, name, value):
                self.value = value

            def bind_output(self, name, device):
                self.device = device

            def copy_outputs_to_cpu(self):
                return [session.answer]

        return Binding()

    def run_with_iobinding(self, binding):
        self.shape, self.device = binding.value.array.shape, binding.device
        self.answer = binding.value.array.mean(axis=(1, 2))[:, None, :1]


def test_on_a_gpu_pictures_go_through_one_page_locked_buffer_and_short_batches_are_filled_up(monkeypatch):
    import onnxruntime

    pinned = []
    monkeypatch.setattr(ort_binding, "pin", lambda array: pinned.append(array.nbytes) or True)
    monkeypatch.setattr(onnxruntime, "OrtValue", type("OrtValue", (), {"ortvalue_from_numpy": staticmethod(FakeValue)}))
    session = FakeSession()
    run = ort_binding.BoundRun(session, 8, "cuda")
    assert run.pinned is None
    given = np.stack([np.full((4, 4), level, np.uint8) for level in (0, 51, 255)])
    for _ in range(2):
        found = run(given)
        assert [round(float(answer[0, 0]), 5) for answer in found] == [0.0, 0.2, 1.0]
        assert session.shape == (4, 3, 4, 4) and session.device == "cuda"
    assert pinned == [8 * 3 * 4 * 4 * 4] and run.pinned and FakeValue.copied == 2
    run(np.zeros((7, 4, 4), np.uint8))
    assert session.shape[0] == 8 and len(pinned) == 1


def test_buffers_of_shapes_that_are_no_longer_asked_are_given_back(monkeypatch):
    import onnxruntime

    pinned = set()
    monkeypatch.setattr(ort_binding, "pin", lambda array: pinned.add(array.ctypes.data) or True)
    monkeypatch.setattr(ort_binding, "unpin", lambda array: pinned.remove(array.ctypes.data))
    monkeypatch.setattr(onnxruntime, "OrtValue", type("OrtValue", (), {"ortvalue_from_numpy": staticmethod(FakeValue)}))
    session = FakeSession()
    run = ort_binding.BoundRun(session, 2, "cuda")
    for turn in range(2):
        for side in range(1, ort_binding.SHAPES + 4):
            assert round(float(run(np.full((1, side, 4), 51, np.uint8))[0][0, 0]), 5) == 0.2
            assert session.shape == (1, 3, side, 4) and len(pinned) == min(ort_binding.SHAPES, side + turn * ort_binding.SHAPES)


def test_memory_is_page_locked_by_the_runtime_that_is_there(monkeypatch):
    asked = []

    class Runtime:
        def __init__(self, name):
            if name != ort_binding.CUDA_RUNTIMES[1]:
                raise OSError(name)

        def cudaHostRegister(self, pointer, size, flags):
            asked.append((pointer.value, size.value, flags.value))
            return 0 if len(asked) == 1 else 2

    array = np.zeros(6, np.float32)
    assert not ort_binding.pin(array)  # no CUDA on the machines that run this
    monkeypatch.setattr(ort_binding.ctypes, "CDLL", Runtime)
    assert ort_binding.pin(array) and asked == [(array.ctypes.data, 24, 0)] and not ort_binding.pin(array)


# which backend

def test_every_device_names_backends_that_exist():
    assert {name for names in backends.CHOICES.values() for name in names} == set(backends.BACKENDS)
    assert options.DEVICES == network.DEVICES == tuple(backends.CHOICES)


@pytest.mark.parametrize("device, title", [("openvino", "OpenVINO CPU, "), ("onnxruntime", "ONNX Runtime CPU")])
def test_a_backend_can_be_asked_for_by_name(device, title):
    if device not in HERE:
        pytest.skip(f"{device} is not installed")
    assert localizer.load_detector(device=device).backend.startswith(title)


def test_one_that_was_asked_for_and_is_missing_is_an_error_that_names_what_is_missing(monkeypatch):
    monkeypatch.setattr(backends.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="OpenVINO is not installed here"):
        localizer.load_detector(device="openvino")
    with pytest.raises(UsageError, match="'onnxruntime', but ONNX Runtime is not installed"):
        localizer.load_detector(device="onnxruntime")


def test_without_openvino_the_cpu_is_onnx_runtime(monkeypatch):
    monkeypatch.setattr(backends.util, "find_spec", lambda name: None if name == "openvino" else object())
    assert localizer.load_detector(device="auto").backend == "ONNX Runtime CPU"


def test_auto_says_so_where_it_passes_over_a_gpu_that_does_not_start(monkeypatch, caplog):
    import onnxruntime

    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [runtimes.CUDA, runtimes.CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda path, settings, providers: real(path, settings, providers=[runtimes.CPU]))
    with caplog.at_level(logging.WARNING):
        assert "CPU" in localizer.load_detector(device="auto").backend
    assert "ONNX Runtime CUDA does not start and is passed over" in caplog.text


@pytest.fixture
def cuda(monkeypatch):
    """ONNX Runtime as with a GPU, in truth on the CPU; returns what it was asked to open."""
    asked = []

    def opened(model, providers, threads, needed=None, *, batch=1):
        asked.append((model.name, providers[0], needed, batch))
        return real(model, [runtimes.CPU], threads, batch=batch)

    real = runtimes.onnxruntime_session
    monkeypatch.setattr(runtimes, "onnxruntime_session", opened)
    monkeypatch.setitem(backends.BACKENDS, "cuda", _there(backends.BACKENDS["cuda"]))
    return asked


def _there(backend):
    from dataclasses import replace

    return replace(backend, missing=lambda: "")


def half_export(folder, **changes):
    """A folder with the weights and what passes for their fp16 export."""
    for path in (WEIGHTS, WEIGHTS.with_suffix(".json"), WEIGHTS.with_name("rescorer.onnx")):
        shutil.copy(path, folder)
    card = json.loads(WEIGHTS.with_suffix(".json").read_text())
    half = folder / "detector-onnx-fp16.onnx"
    shutil.copy(WEIGHTS, half)
    card |= {"exported_from": card["sha256"], "sha256": weights_card.model_sha256(half), "precision": "fp16", "file": half.name, "parity": {"checks": []}}
    half.with_suffix(".json").write_text(json.dumps(card | changes))
    return folder / WEIGHTS.name


def test_cuda_takes_batches_and_the_export_in_half_precision_that_lies_beside(cuda, tmp_path):
    found = localizer.load_detector(half_export(tmp_path), device="auto")
    assert found.backend == "ONNX Runtime CUDA, f16" and found.card["precision"] == "fp16" and found.batch == backends.GPU_BATCH
    name, (provider, settings), needed, batch = cuda[0]
    assert (name, provider, needed, batch) == ("detector-onnx-fp16.onnx", runtimes.CUDA, runtimes.CUDA, 8) and settings["use_tf32"] == "0"
    assert localizer.load_detector(tmp_path / WEIGHTS.name, device="cuda", inference_precision="f32").backend == "ONNX Runtime CUDA"
    assert cuda[1][0] == WEIGHTS.name


@pytest.mark.parametrize("changes", [{"exported_from": "0" * 64}, {"parity": None}], ids=["of other weights", "never checked"])
def test_another_export_in_half_precision_is_not_taken(cuda, tmp_path, changes):
    assert localizer.load_detector(half_export(tmp_path, **changes), device="cuda").backend == "ONNX Runtime CUDA" and cuda[0][0] == WEIGHTS.name


def test_the_cpu_does_not_take_the_export_in_half_precision(tmp_path):
    assert localizer.load_detector(half_export(tmp_path), device="cpu").card.get("precision") is None


def test_choosing_loads_no_library_that_is_not_asked_for():
    import subprocess

    code = ("import sys; from markerremover.inference import backends; backends.candidates(backends.Path('x.onnx'), 'openvino'); "
            "print([m for m in ('torch', 'onnxruntime', 'openvino') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if "openvino" in HERE:
        assert done.stdout.strip() == "[]", done.stderr
