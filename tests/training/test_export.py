"""Exports of the shipped weights, and what keeps a bad one from being left behind."""

import json
import shutil
import sys
from importlib import util

import numpy as np
import pytest

from markerremover import options
from markerremover.cli import main
from markerremover.cli.output import information
from markerremover.detection import localizer
from markerremover.errors import ParityError, UsageError, WeightsError
from markerremover.inference import backends, network, runtimes, shipped_weights, tensorrt_engine
from markerremover.inference.card_files import NETWORKS
from markerremover.inference.weights_card import model_sha256
from markerremover.synthesis import radiograph
from markerremover.training import export, precision

WEIGHTS = shipped_weights.default_weights()
CHECKPOINT = WEIGHTS.with_suffix(".pt")
onnx_needed = pytest.mark.skipif(not util.find_spec("onnx"), reason="the extra 'train' is not installed")


@pytest.fixture(scope="module")
def samples():
    return export.synthetic_samples(4)


@pytest.fixture(scope="module")
def openvino_model(samples, tmp_path_factory):
    pytest.importorskip("openvino")
    return export.export(WEIGHTS, tmp_path_factory.mktemp("exported"), format="openvino", samples=samples, device="cpu")


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_samples_are_the_same_every_time_and_marked(samples):
    again = export.synthetic_samples(4)
    assert all((a.display == b.display).all() for a, b in zip(samples, again))
    assert all(640 <= max(s.display.shape) <= 1400 for s in samples) and sum(len(s.planted) for s in samples) > 4


def test_openvino_finds_what_onnx_runtime_finds_with_the_shipped_weights(openvino_model):
    card = json.loads(openvino_model.with_suffix(".json").read_text())
    [check] = [c for c in card["parity"]["checks"] if c["backend"] == "OpenVINO CPU, f32"]
    assert check["rule"] == "same boxes" and check["matched"] > 4 and check["max_shift_px"] <= 1
    source = json.loads(WEIGHTS.with_suffix(".json").read_text())
    assert source.keys() <= card.keys() and card["exported_from"] == source["sha256"]
    assert (card["format"], card["precision"], card["file"]) == ("openvino", "fp32", openvino_model.name)
    assert card["sha256"] == model_sha256(openvino_model)
    assert (card["parity"]["images"], card["parity"]["samples"], card["parity"]["reference"]) == (4, "given", "ONNX Runtime CPU")
    further = sorted(source[name]["file"] for name in NETWORKS if name in source)
    files = [openvino_model.stem + end for end in (".bin", ".json", ".xml")] + further
    assert leftovers(openvino_model.parent) == files


def test_an_openvino_model_opens_and_is_refused_when_either_file_is_not_its_own(openvino_model, tmp_path):
    detector = localizer.load_detector(openvino_model, device="cpu")
    assert detector.backend.startswith("OpenVINO CPU, ")
    for suffix in (".xml", ".bin", ".json"):
        folder = tmp_path / suffix
        shutil.copytree(openvino_model.parent, folder)
        changed = folder / openvino_model.with_suffix(suffix).name
        content = changed.read_bytes()
        changed.write_bytes(b"{}" if suffix == ".json" else content[:-1] + b"?")
        with pytest.raises(WeightsError):
            localizer.load_detector(folder / openvino_model.name)
        changed.unlink()
        with pytest.raises(WeightsError):
            localizer.load_detector(folder / openvino_model.name)


@pytest.mark.parametrize("how", [{"device": "cuda"}, {"device": "tensorrt"}, {"runtime": "onnxruntime"}])
def test_an_openvino_model_runs_nowhere_else(openvino_model, how):
    with pytest.raises(UsageError, match="OpenVINO"):
        localizer.load_detector(openvino_model, **how)


def test_the_batch_is_free_and_changes_nothing(openvino_model):
    import onnxruntime
    import openvino

    batch = np.random.default_rng(3).random((3, 3, 320, 320), np.float32)
    session = onnxruntime.InferenceSession(str(WEIGHTS), providers=["CPUExecutionProvider"])
    model = openvino.Core().compile_model(openvino_model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for run in (lambda x: session.run(None, {"images": x})[0], lambda x: np.array(model(x)[0])):
        rows = run(batch)
        assert rows.shape == (3, 6, 2100)
        assert np.allclose(rows, np.concatenate([run(one[None]) for one in batch]), atol=1e-2, rtol=1e-3)


@onnx_needed
@pytest.mark.long
def test_fp16_is_smaller_finds_the_same_and_opens(samples, tmp_path):
    model = export.export(WEIGHTS, tmp_path / "out", format="onnx", precision="fp16", samples=samples, device="cpu")
    assert model.stat().st_size < 0.6 * WEIGHTS.stat().st_size
    card = json.loads(model.with_suffix(".json").read_text())
    assert card["precision"] == "fp16" and {c["rule"] for c in card["parity"]["checks"]} == {"same decisions"}
    assert localizer.load_detector(model, device="cpu", runtime="onnxruntime").backend == "ONNX Runtime CPU"
    assert backends.half_beside(model.with_name("detector.onnx"), card["exported_from"]) == model  # where the source lies there, too
    assert backends.half_beside(model.with_name("detector.onnx"), "0" * 64) is None
    with pytest.raises(UsageError, match="fp16 already"):
        export.export(model, tmp_path / "out", format="openvino", samples=samples)


@onnx_needed
def test_int8_stores_the_convolutions_in_a_byte_and_leaves_the_last_ones(samples, tmp_path):
    import onnx

    model = precision.to_int8(WEIGHTS, tmp_path / "int8.onnx", [samples[0].display[:320, :320]])
    graph = onnx.load(model).graph
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    quantized = [node for node in convolutions if node.input[1].endswith("DequantizeLinear_Output")]
    assert model.stat().st_size < 0.5 * WEIGHTS.stat().st_size and 0 < len(convolutions) - len(quantized) <= 7
    with pytest.raises(UsageError, match="calibration"):
        precision.to_int8(WEIGHTS, tmp_path / "none.onnx", [])


def shifted(onnx_file, target, **options):
    """A conversion that moves every box by 5 network pixels."""
    import openvino
    from openvino import opset13 as ops

    model = openvino.Core().read_model(onnx_file)
    step = ops.constant(np.array([5, 5, 0, 0, 0, 0], np.float32).reshape(1, 6, 1))
    moved = ops.add(model.outputs[0].get_node().input_value(0), step)
    openvino.save_model(openvino.Model([moved], model.get_parameters()), target, compress_to_fp16=False)


@pytest.mark.long
def test_an_export_that_finds_something_else_leaves_nothing_and_exits_1(samples, tmp_path, monkeypatch, capsys):
    pytest.importorskip("openvino")
    monkeypatch.setattr(export, "to_openvino", shifted)
    monkeypatch.setattr(export, "synthetic_samples", lambda: samples)
    out = tmp_path / "out"
    assert main.main(["export", "-o", str(out), "--format", "openvino", "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert "not the same boxes" in error and "network pixels off, allowed is 1" in error, error
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("x")
    with pytest.raises(ParityError):
        export.export(WEIGHTS, out, format="openvino", samples=samples, device="cpu")
    assert leftovers(out) == ["mine.txt"]


def test_a_conversion_that_breaks_off_is_a_weights_error_and_leaves_nothing(samples, tmp_path, monkeypatch):
    def breaks(onnx_file, target, **options):
        target.write_bytes(b"half")
        raise RuntimeError("unsupported node")

    monkeypatch.setattr(export, "to_openvino", breaks)
    with pytest.raises(WeightsError, match="unsupported node"):
        export.export(WEIGHTS, tmp_path / "out", format="openvino", samples=samples)
    assert not (tmp_path / "out").exists()


def test_info_says_what_openvino_computes_in(openvino_model):
    assert information.gather(openvino_model)["backend"] in ("OpenVINO CPU, f32", "OpenVINO CPU, bf16", "OpenVINO CPU, f16")


def test_samples_on_which_nothing_is_found_prove_nothing(tmp_path):
    pytest.importorskip("openvino")
    blank = [export.Sample(np.zeros((64, 64), np.uint8))]
    with pytest.raises(ParityError, match="nothing can be compared"):
        export.export(WEIGHTS, tmp_path / "out", format="openvino", samples=blank, device="cpu")


def test_a_model_that_is_there_is_not_replaced(openvino_model, samples):
    before = openvino_model.read_bytes()
    with pytest.raises(UsageError, match="already"):
        export.export(WEIGHTS, openvino_model.parent, format="openvino", samples=samples)
    assert openvino_model.read_bytes() == before


def test_samples_may_be_a_folder_of_radiographs(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.full((20, 30), 7, np.uint8))
    [sample] = export.read_samples(tmp_path)
    assert sample.display.shape == (20, 30) and sample.planted is None
    (tmp_path / "a.png").unlink()
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError):
            export.read_samples(folder)


@pytest.mark.parametrize("arguments, said", [
    (["--format", "engine", "--precision", "int8"], "not offered"),
    (["--format", "onnx", "--weights", str(WEIGHTS)], "made from a .pt"),
    (["--format", "openvino", "--weights", "x.engine"], "starts from"),
    (["--format", "openvino", "--weights", "missing.onnx"], "missing.onnx"),
    (["--format", "openvino", "--weights", "missing.pt"], "no such checkpoint"),
    (["--format", "openvino", "--calibration", "."], "--calibration"), (["--format", "coreml"], "--format"),
])
def test_wrong_use_is_one_line_and_exit_2(arguments, said, tmp_path, capsys):
    assert main.main(["export", "-o", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not (tmp_path / "out").exists()


def test_devices_are_the_same_on_the_command_line_and_in_the_detector():
    assert options.DEVICES == network.DEVICES


# TensorRT: everything but TensorRT itself

@pytest.fixture
def gpu(monkeypatch):
    """A machine on which torch sees a GPU; returns the set of modules that are installed, to be changed."""
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    installed = {"ultralytics", "torch", "tensorrt"}
    monkeypatch.setattr(tensorrt_engine.util, "find_spec", lambda name: name if name in installed else None)
    return installed


def test_an_engine_without_a_gpu_is_wrong_use(tmp_path, monkeypatch, capsys):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main.main(["export", "-o", str(tmp_path / "out"), "--format", "engine", "--precision", "fp16"]) == 2
    assert "NVIDIA GPU" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("absent, said", [("tensorrt", "pip install tensorrt"), ("ultralytics", "extra 'train'")])
def test_an_engine_without_what_builds_it_is_wrong_use(gpu, absent, said, tmp_path, capsys):
    gpu.discard(absent)
    assert main.main(["export", "-o", str(tmp_path / "out"), "--format", "engine"]) == 2
    assert said in capsys.readouterr().err


def test_an_engine_is_built_by_ultralytics_with_free_sizes(gpu, tmp_path, monkeypatch):
    ultralytics = pytest.importorskip("ultralytics")
    asked = {}

    class Yolo:
        def __init__(self, path):
            self.path = path

        def export(self, **options):
            asked.update(options)
            self.path.with_suffix(".engine").write_bytes(b"engine")
            return str(self.path.with_suffix(".engine"))

    monkeypatch.setattr(ultralytics, "YOLO", Yolo)
    target = tensorrt_engine.build_engine(CHECKPOINT, tmp_path / "d.engine", precision="fp16", image_size=640)
    assert target.read_bytes() == b"engine"
    assert asked["format"] == "engine" and asked["dynamic"] and asked["half"] and asked["imgsz"] == 640
    monkeypatch.setattr(Yolo, "export", lambda self, **options: 1 / 0)
    with pytest.raises(WeightsError, match="no engine could be built"):
        tensorrt_engine.build_engine(CHECKPOINT, tmp_path / "e.engine", precision="fp32", image_size=640)


def test_an_engine_opens_with_its_card_and_never_on_the_cpu(tmp_path, monkeypatch):
    path = tmp_path / "d.engine"
    path.write_bytes(b"engine")
    with pytest.raises(WeightsError):
        localizer.load_detector(path)
    card = {"classes": ["marker"], "image_size": 64, "threshold": 0.2, "sha256": model_sha256(path)}
    path.with_suffix(".json").write_text(json.dumps(card))
    answer = np.array([[32, 32, 10, 10, 0.9]], np.float32).T
    monkeypatch.setattr(tensorrt_engine, "open_engine", lambda path, batch: lambda picture: answer)
    detector = localizer.load_detector(path)
    assert detector.backend == "TensorRT" and len(detector(np.zeros((64, 64), np.uint8))) == 1
    with pytest.raises(UsageError, match="GPU only"):
        localizer.load_detector(path, device="cpu")


def test_the_tensorrt_device_needs_the_provider_and_never_falls_back(tmp_path, monkeypatch):
    import onnxruntime

    with pytest.raises(UsageError, match="offers no TensorRT"):
        localizer.load_detector(device="tensorrt")
    asked = []

    class Session:
        runs = ["CPUExecutionProvider"]

        def __init__(self, path, settings, providers):
            asked.extend(providers)

        def get_providers(self):
            return self.runs

        def get_inputs(self):
            return [type("Input", (), {"name": "images"})]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["TensorrtExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    with pytest.raises(UsageError, match="could not start TensorrtExecutionProvider"):
        localizer.load_detector(device="tensorrt", engine_cache=tmp_path / "cache")
    Session.runs = ["TensorrtExecutionProvider"]
    assert localizer.load_detector(device="tensorrt", engine_cache=tmp_path / "cache").backend == "ONNX Runtime TensorRT, f32"
    name, settings = asked[0]
    assert settings["trt_engine_cache_enable"] and settings["trt_engine_cache_path"] == str(tmp_path / "cache")
    assert settings["trt_profile_min_shapes"] == "images:1x3x320x320" and settings["trt_profile_max_shapes"] == "images:8x3x768x768"


def test_cuda_that_does_not_start_is_an_error_when_asked_for_and_the_cpu_otherwise(monkeypatch):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    real = onnxruntime.InferenceSession
    on_cpu = {"providers": ["CPUExecutionProvider"]}
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda path, settings, providers: real(path, settings, **on_cpu))
    with pytest.raises(UsageError, match="could not start CUDA"):
        localizer.load_detector(device="cuda")
    assert "CPU" in localizer.load_detector(device="auto").backend


def test_the_engine_cache_is_one_folder_for_each_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    a, b = shipped_weights.engine_cache_folder("a" * 64), shipped_weights.engine_cache_folder("b" * 64)
    assert a != b and a.parent == b.parent == tmp_path / "markerremover" / "tensorrt"


# OpenVINO's inference precision

@pytest.fixture
def bf16_machine(monkeypatch, samples, request):
    """OpenVINO as on a CPU with bf16, its answers those of ONNX Runtime, in bf16 (or what else is asked for) a twentieth smaller or with
    lower scores."""
    asked = getattr(request, "param", {})
    pytest.importorskip("openvino")
    [session], _ = backends.open_sessions(WEIGHTS, [640], "cpu", 2, runtime="onnxruntime")

    def opened(openvino, model, sizes, threads, precision, floor, batch):
        def run(picture):
            raw = session(picture)
            if (precision or "bf16") in ("bf16", asked.get("also_in")):
                raw[2:4] *= 1 if asked else 0.95
                raw[4:] *= asked.get("scores", 1)
            return raw

        return [run] * len(sizes), precision or "bf16"

    monkeypatch.setattr(runtimes, "open_openvino", opened)
    return samples[:2]


def test_fp32_is_checked_in_f32_and_what_bf16_makes_of_it_by_decisions(bf16_machine, tmp_path):
    model = export.export(WEIGHTS, tmp_path, format="openvino", samples=bf16_machine, device="cpu")
    card = json.loads(model.with_suffix(".json").read_text())
    assert [(c["backend"], c["rule"]) for c in card["parity"]["checks"]] == [
        ("OpenVINO CPU, f32", "same boxes"), ("OpenVINO CPU, bf16", "same decisions")]
    assert card["inference_precision"] == "bf16" and card["parity"]["checks"][1]["max_shift_px"] > 1


@pytest.mark.parametrize("bf16_machine", [{"scores": 0.02}], indirect=True)
def test_a_model_runs_in_f32_where_bf16_does_not_decide_alike(bf16_machine, tmp_path, caplog, capsys):
    model = export.export(WEIGHTS, tmp_path, format="openvino", samples=bf16_machine, device="cpu")
    card = json.loads(model.with_suffix(".json").read_text())
    assert card["inference_precision"] == "f32" and "not the same decisions" in card["parity"]["checks"][1]["broken"]
    assert "it will run in f32" in caplog.text
    assert localizer.load_detector(model, device="cpu").backend == "OpenVINO CPU, f32"


@pytest.mark.parametrize("bf16_machine", [{"scores": 0.02, "also_in": "f32"}], indirect=True)
def test_a_model_that_does_not_decide_alike_in_f32_either_is_not_kept(bf16_machine, tmp_path):
    with pytest.raises(ParityError, match="OpenVINO CPU, f32: not the same boxes"):
        export.export(WEIGHTS, tmp_path, format="openvino", samples=bf16_machine, device="cpu")
    assert not any(tmp_path.iterdir())


def test_what_is_not_checked_in_bf16_runs_in_f32_unless_it_is_asked_for(bf16_machine, tmp_path):
    assert localizer.load_detector(device="cpu").backend == "OpenVINO CPU, f32"
    assert localizer.load_detector(device="cpu", inference_precision=network.FASTEST).backend == "OpenVINO CPU, bf16"
    shutil.copy(WEIGHTS, tmp_path / "w.onnx")
    card = json.loads(WEIGHTS.with_suffix(".json").read_text()) | {"inference_precision": "bf16"}
    (tmp_path / "w.json").write_text(json.dumps(card))
    assert localizer.load_detector(tmp_path / "w.onnx", device="cpu").backend == "OpenVINO CPU, bf16"


@pytest.mark.train
def test_a_checkpoint_becomes_onnx_and_is_compared_with_pytorch(samples, tmp_path):
    pytest.importorskip("ultralytics")
    if not CHECKPOINT.is_file():
        pytest.skip("the checkpoint is not part of this installation")
    drawn = radiograph(np.random.default_rng(5), size=(1640, 1300))  # large enough for a closer look
    large = export.Sample(drawn.image)
    model = export.export(CHECKPOINT, tmp_path / "out", format="onnx", samples=[samples[0], large], device="cpu")
    card = json.loads(model.with_suffix(".json").read_text())
    assert card["parity"]["reference"] == "PyTorch CPU" and card["exported_from"] == model_sha256(CHECKPOINT)
    assert {c["rule"] for c in card["parity"]["checks"] if not c["backend"].endswith(export.REDUCED)} == {"same boxes"}
    wrong = tmp_path / "w.pt"
    shutil.copy(CHECKPOINT, wrong)
    wrong.with_suffix(".json").write_text(json.dumps(card | {"classes": ["marker"]}))
    with pytest.raises(WeightsError, match="classes"):
        export.export(wrong, tmp_path / "other", format="onnx", samples=samples[:2])


def test_help_loads_nothing_heavy():
    import subprocess

    code = "import sys; from markerremover.cli import main as cli; cli.main(['export', '--help']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    loaded = done.stdout.splitlines()[-1]
    assert "'markerremover.cli.export'" in loaded
    assert not [name for name in ("torch", "onnx", "onnxruntime", "openvino", "cv2") if f"'{name}'" in loaded]
