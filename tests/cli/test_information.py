"""`info` tells what is there, what is missing and what would be used, whatever is broken."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from markerremover import __version__
from markerremover.cli import main
from markerremover.cli.output import information
from markerremover.detection import localizer
from markerremover.inference import backends
from markerremover.second_pass import tesseract


def test_json_holds_everything_that_the_text_says(capsys):
    assert main.main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    detector = localizer.load_detector()
    assert facts["markerremover"] == __version__ and facts["backend"] == detector.backend and facts["batch"] == 1
    assert facts["weights"]["sha256"] == detector.sha256 and facts["weights"]["threshold"] == detector.threshold
    assert {b["name"] for b in facts["backends"]} == set(backends.BACKENDS)
    [used] = [b for b in facts["backends"] if b["used"]]
    assert used["available"] and used["version"] and detector.backend.startswith(used["title"])
    assert all(b["available"] or b["missing"] for b in facts["backends"])
    assert facts["codecs"]["JPEG-LS Lossless Image Compression"] == {"read": True, "write": True}
    assert facts["codecs"]["JPEG Baseline (Process 1)"] == {"read": True, "write": False}
    assert 1 <= facts["cpu"]["workers_of_a_large_run"] <= facts["cpu"]["cores"] and facts["libraries"]["numpy"]


def test_text_is_a_line_a_fact(capsys):
    assert main.main(["info", "--device", "onnxruntime"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"markerremover: {__version__}" in lines and "backend: ONNX Runtime CPU (device onnxruntime, batches of 1)" in lines
    assert any(line.startswith("  onnxruntime  used ") for line in lines)
    for start in ("weights SHA-256: ", "classes: laterality, marker; input 768 px; threshold 0.", "OCR engine: ", "DICOM written losslessly as: ", "CPU: "):
        assert any(line.startswith(start) for line in lines), start


def test_the_ocr_engine_comes_with_version_and_data(capsys):
    if not tesseract.available():
        pytest.skip("no Tesseract here")
    found = information.gather()["ocr"]
    assert found["engine"] in ("tesserocr", "pytesseract") and found["tesseract"][0].isdigit() and found["tessdata"]


def test_what_is_broken_is_told_and_nothing_fails(monkeypatch, capsys, tmp_path):
    def broken(*args, **kwargs):
        raise RuntimeError("undefined symbol")

    monkeypatch.setattr(tesseract, "engine", broken)
    monkeypatch.setattr("markerremover.formats.dicom.pixels.codecs", broken)
    monkeypatch.setattr(localizer, "load_detector", broken)
    monkeypatch.setitem(backends.BACKENDS, "openvino", replace(backends.BACKENDS["openvino"], missing=broken))
    assert main.main(["info"]) == 0
    text = capsys.readouterr().out
    assert text.count("RuntimeError: undefined symbol") == 4 and "backend: none" in text
    monkeypatch.setattr(tesseract, "engine", lambda: None)
    assert main.main(["info", "--weights", str(tmp_path / "no.onnx"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ocr"] is None


def test_a_device_that_is_missing_is_told(monkeypatch, capsys):
    monkeypatch.setitem(backends.BACKENDS, "cuda", replace(backends.BACKENDS["cuda"], missing=lambda: "no card in this machine"))
    assert main.main(["info", "--device", "cuda"]) == 0
    text = capsys.readouterr().out
    assert "device is 'cuda', but no card in this machine" in text and "backend: none" in text
