import pytest

from markerremover.errors import WeightsError
from markerremover.inference import shipped_weights


def test_a_shipped_file_that_is_missing_is_named_with_what_needs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped_weights, "PACKAGE", tmp_path / "markerremover")
    with pytest.raises(WeightsError, match="strokes.onnx: is not there, the second pass needs it"):
        shipped_weights.shipped_file("strokes.onnx", "the second pass")


def test_weights_beside_the_package_serve_a_checkout_and_packaged_ones_come_first(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped_weights, "PACKAGE", tmp_path / "markerremover")
    assert shipped_weights.default_weights() == tmp_path / "weights" / "detector.onnx"
    for folder in ("weights", "markerremover/weights"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "small.onnx").touch()
        assert shipped_weights.default_weights() == tmp_path / folder / "small.onnx"
    (tmp_path / "markerremover/weights/detector.onnx").touch()
    assert shipped_weights.default_weights().name == "detector.onnx"
