"""All backends that run here decide alike on a few synthetic radiographs, and the comparison would see it if they did not."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from markerremover.inference.backends import BACKENDS
from markerremover.training import export

EVAL = Path(__file__).resolve().parents[2] / "eval"


def script(name: str):
    spec = importlib.util.spec_from_file_location(name, EVAL / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def agree():
    return script("backends_agree")


@pytest.mark.long
def test_the_backends_decide_alike(agree, tmp_path, capsys):
    pytest.importorskip("openvino")
    target = tmp_path / "backends.json"
    assert agree.main(["--synthetic", "3", "--threads", "1", "-o", str(target)]) == 0
    document = json.loads(target.read_text())
    reduced = {name for name in document["decisions"] if name.endswith(export.REDUCED)}  # on processors with bf16, which need not decide alike
    pairs = [pair for pair in document["pairs"] if not reduced & set(pair["backends"])]
    assert len(set(document["decisions"]) - reduced) == 3 and len(pairs) == 3
    for pair in pairs:
        assert pair["images_with_the_same_decisions"] == pair["images"] == 3 and not pair["differences"] and pair["pairs_of_decisions"] > 3
    assert "same decisions in 3 of 3" in capsys.readouterr().out


def test_what_two_backends_decide_otherwise_is_told(agree):
    def result(actions, *xyxy, fill=0, doubt=""):
        count = len(xyxy)
        return agree.Result(np.array(xyxy, float).reshape(-1, 4), actions, (0.9,) * count, ("x",) * count, np.full((1, 4, 4, 1), fill, np.uint8), doubt)

    a = result(("remove", "keep"), (0, 0, 10, 10), (20, 0, 30, 10))
    assert agree.differences(a, a) == ([], 2, 0.0, 0.0)
    found, pairs, shift, _ = agree.differences(a, result(("remove", "remove", "keep"), (1, 0, 10, 10), (20, 0, 30, 10), (50, 50, 60, 60), doubt="d"))
    assert [one["kind"] for one in found] == ["other action", "only in the second", "held by one"] and (pairs, shift) == (2, 1.0)
    none = result(())
    assert [one["kind"] for one in agree.differences(a, none)[0]] == ["only in the first"] * 2
    pair = agree.compared("a", "b", [a, a], [a, result(("remove", "keep"), (0, 0, 10, 10), (20, 0, 30, 10), fill=1)])
    assert (pair["images_with_the_same_decisions"], pair["images_identical_in_every_pixel"]) == (2, 1)


def test_the_benchmark_leaves_out_what_is_not_there_with_the_reason(tmp_path, monkeypatch, capsys):
    bench = script("bench_gpu")
    for name in ("cuda", "tensorrt"):
        monkeypatch.setitem(BACKENDS, name, _missing(BACKENDS[name]))
    monkeypatch.setattr(bench, "torch_detector", _no_torch)
    rows = bench.table([], "cuda", 1, 1, tmp_path)
    assert [row["step"] for row in rows] == ["PyTorch fp32", "ONNX Runtime CUDA fp32", "ONNX Runtime CUDA fp16", "TensorRT fp16"]
    assert all("no card" in row["left_out"] for row in rows) and capsys.readouterr().out.count("left out") == 4


def _missing(backend):
    from dataclasses import replace

    return replace(backend, missing=lambda: "no card")


def _no_torch(device):
    from markerremover.errors import UsageError

    raise UsageError("no card for torch")
