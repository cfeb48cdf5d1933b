"""Training end to end on a handful of tiny images: that it runs, resumes, exports, and that the export loads."""

import json

import numpy as np
import pytest
from test_window_dataset import folder_of

pytest.importorskip("torch", reason="the extra 'train' is not installed")
pytest.importorskip("ultralytics", reason="the extra 'train' is not installed")

from markerremover.detection import localizer
from markerremover.errors import UsageError, WeightsError  # noqa: E402
from markerremover.inference import runtimes
from markerremover.labels import labelled_folder
from markerremover.system.files import sha256_file
from markerremover.training import checkpoints, localizer_files, train_localizer, window_dataset  # noqa: E402

pytestmark = pytest.mark.train
SPLIT = [("a", "train"), ("b", "train"), ("c", "train"), ("d", "train"), ("e", "val"), ("f", "val")]
TINY = dict(window=96, image_size=128, windows_per_epoch=8, batch=4, loader_workers=0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = folder_of(tmp_path_factory.mktemp("data") / "site", split=SPLIT)
    out = tmp_path_factory.mktemp("runs") / "run"
    train_localizer.train([folder], out, epochs=1, **TINY)
    return folder, out


def test_training_writes_checkpoints_and_can_go_on_from_them(trained):
    folder, out = trained
    import torch

    def epoch(path):
        return torch.load(path, weights_only=False)["train_args"]["epochs"]

    assert epoch(out / "weights" / "last.pt") == 1
    again = train_localizer.train([folder], out.with_name("more"), weights=out / "weights" / "last.pt", epochs=2, **TINY)
    assert again.is_file() and again.parent.parent.name == "more"


def test_an_interrupted_training_resumes_where_it_stopped(trained, tmp_path):
    folder, _ = trained

    class Stop(RuntimeError):
        pass

    out = tmp_path / "run"
    with pytest.raises(Stop):
        train_localizer.train([folder], out, epochs=3, callbacks={"on_fit_epoch_end": [lambda t: _stop_after(t, 1, Stop)]}, **TINY)
    seen = []
    train_localizer.train([folder], out, epochs=3, resume=True, callbacks={"on_train_epoch_start": [lambda t: seen.append(t.epoch)]}, **TINY)
    assert seen == [1, 2] or seen == [2]


def _stop_after(trainer, epoch, error):
    if trainer.epoch == epoch:
        raise error


def test_no_left_right_flip_is_ever_configured(trained):
    _, out = trained
    import torch

    args = torch.load(out / "weights" / "last.pt", weights_only=False)["train_args"]
    assert args["fliplr"] == 0 and args["flipud"] == 0 and args["mosaic"] == 0


def test_the_export_and_its_card_open_in_the_detector(trained, tmp_path):
    _, out = trained
    onnx = localizer_files.export_onnx(out / "weights" / "last.pt", tmp_path / "w.onnx")
    localizer_files.write_card(onnx, arch="yolov8n", class_names=train_localizer.CLASS_NAMES, image_size=128, threshold=0.01, data="synthetic")
    card = json.loads(onnx.with_suffix(".json").read_text())
    assert card["sha256"] == sha256_file(onnx) and card["data"] == "synthetic"
    found = localizer.load_detector(onnx, device="cpu")
    result = found(np.random.default_rng(0).integers(0, 255, (200, 150)).astype(np.uint8))
    assert result.xyxy.shape[1] == 4


def test_both_backends_give_the_same_boxes(trained, tmp_path):
    _, out = trained
    onnx = localizer_files.export_onnx(out / "weights" / "last.pt", tmp_path / "w.onnx")
    picture = np.random.default_rng(1).integers(0, 255, (128, 128)).astype(np.uint8)
    openvino = pytest.importorskip("openvino")
    a = runtimes.openvino_session(openvino, onnx, 128, 1)(picture)
    b = runtimes.onnxruntime_session(onnx, ["CPUExecutionProvider"], 1)(picture)
    assert a.shape == b.shape and np.abs(a[:4] - b[:4]).max() < 1.5 and np.abs(a[4:] - b[4:]).max() < 0.02


def test_without_validation_the_last_epoch_is_the_best_and_an_early_end_is_kept_to(trained, tmp_path):
    import torch

    folder, out = trained
    dataset = window_dataset.WindowDataset([labelled_folder.load_samples(folder, "train")], train_localizer.CLASS_NAMES, window=96, scale_to=128, length=8)
    epochs = []
    best = train_localizer.fit(
        dataset, None, tmp_path / "run", model=str(out / "weights" / "last.pt"), class_names=train_localizer.CLASS_NAMES, image_size=128, epochs=4,
        batch=4, loader_workers=0, stop_after=2, callbacks={"on_train_epoch_start": [lambda t: epochs.append(t.epoch)]},
    )
    a, b = (torch.load(path, weights_only=False)["model"].state_dict() for path in (best, best.with_name("last.pt")))
    assert epochs == [0, 1] and all(torch.equal(a[k], b[k]) for k in a)
    assert checkpoints.best_epoch(tmp_path / "run")["mAP-50"] == 0


def test_two_checkpoints_are_blended_weight_by_weight(trained, tmp_path):
    import torch

    def weights(path):
        return torch.load(path, weights_only=False)["model"].state_dict()

    _, out = trained
    base = out / "weights" / "last.pt"
    content = torch.load(base, weights_only=False)
    content["model"].load_state_dict({k: v + 1 if v.is_floating_point() else v for k, v in content["model"].state_dict().items()})
    torch.save(content, tmp_path / "moved.pt")
    old, new = weights(base), weights(tmp_path / "moved.pt")
    for share in (0.0, 0.25, 1.0):
        mixed = weights(checkpoints.blend(base, tmp_path / "moved.pt", share, tmp_path / "mixed.pt"))
        assert all(torch.allclose(v.float(), (1 - share) * old[k].float() + share * new[k].float(), atol=2e-3) for k, v in mixed.items())
    assert any(not torch.equal(old[k], new[k]) for k in old)
    content["model"].model[0].conv = torch.nn.Conv2d(3, 8, 3)
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="names or shapes"):
        checkpoints.blend(base, tmp_path / "other.pt", 0.5, tmp_path / "x.pt")
    (tmp_path / "bad.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match="cannot be loaded"):
        checkpoints.blend(base, tmp_path / "bad.pt", 0.5, tmp_path / "x.pt")
    assert not (tmp_path / "x.pt").exists()


def test_wrong_requests_are_refused_before_any_work(trained, tmp_path):
    folder, _ = trained
    with pytest.raises(UsageError, match="arch"):
        train_localizer.train([folder], tmp_path / "x", arch="yolov11n")
    with pytest.raises(UsageError, match="no validation"):
        train_localizer.train([folder_of(tmp_path / "noval", split=[("a", "train")] * 6)], tmp_path / "x")
    (tmp_path / "bad.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError):
        localizer_files.export_onnx(tmp_path / "bad.pt", tmp_path / "bad.onnx")


@pytest.mark.parametrize(("setting", "words"), [
    ({"epochs": 0}, "epochs is 0, allowed is 1 or more"), ({"batch": 0}, "batch is 0"), ({"lr0": float("nan")}, "lr0 is nan"), ({"loader_workers": -1}, "loader_workers is -1"),
    ({"seed": -1}, "seed is -1"), ({"device": "gpu"}, "device is 'gpu', allowed is cpu"), ({"window": 0}, "window is 0"), ({"positive_share": 2}, "positive_share is 2"),
    ({"weights": "none.pt"}, "none.pt: there is no such checkpoint"),
])
def test_a_setting_that_no_training_can_have_is_refused_before_it(tmp_path, setting, words):
    with pytest.raises(UsageError, match=words):
        train_localizer.train([tmp_path], tmp_path / "run", **setting)


@pytest.mark.parametrize("shares", ["nan", "inf", "0", "1,1", "a"])
def test_shares_are_positive_numbers(tmp_path, shares, capsys):
    from markerremover.cli import main

    assert main.main(["train", str(tmp_path), "-o", str(tmp_path / "run"), "--shares", shares]) == 2
    assert "--shares" in capsys.readouterr().err
