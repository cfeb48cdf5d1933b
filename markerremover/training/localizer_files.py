"""The files of a trained localizer: ONNX and its card."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import UsageError, WeightsError
from ..inference.session import Session
from ..system.files import sha256_file
from ..system.telemetry import import_ultralytics


def export_onnx(checkpoint: Path | str, target: Path | str) -> Path:
    """Write a checkpoint as ONNX: input `images` (N, 3, H, W) float32 in 0–1, H and W any multiples of 32, output
    (N, 4 + classes, anchors) with xywh in network pixels and class scores.

    Raises:
        UsageError: the extra `train` is missing.  WeightsError: the checkpoint cannot be loaded or exported.
    """
    try:
        YOLO = import_ultralytics().YOLO
    except ImportError as error:
        raise UsageError(f"exporting needs the extra 'train': pip install 'markerremover[train]' ({error})") from error
    import shutil
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "model.pt"
        shutil.copyfile(checkpoint, copy)
        try:
            exported = YOLO(copy).export(format="onnx", dynamic=True, simplify=False, opset=17, verbose=False)
        except Exception as error:
            raise WeightsError(f"{checkpoint}: cannot be exported ({type(error).__name__}: {error})") from error
        shutil.copyfile(exported, target)
    return Path(target)


def checkpoint_session(checkpoint: Path | str, class_names: Sequence[str]) -> Session:
    """A session that runs a checkpoint in PyTorch, fp32 on the CPU.

    Raises:
        UsageError: the extra `train` is missing.  WeightsError: the checkpoint cannot be loaded or has other classes.
    """
    try:
        import torch

        YOLO = import_ultralytics().YOLO
    except ImportError as error:
        raise UsageError(f"a checkpoint needs the extra 'train': pip install 'markerremover[train]' ({error})") from error
    try:
        network = YOLO(checkpoint).model.float().eval()
    except Exception as error:
        raise WeightsError(f"{checkpoint}: cannot be loaded ({type(error).__name__}: {error})") from error
    network_classes = [network.names[i] for i in sorted(network.names)]
    if network_classes != list(class_names):
        raise WeightsError(f"{checkpoint}: its classes are {network_classes}, in its card they are {list(class_names)}")

    def run(pictures: np.ndarray) -> list[np.ndarray]:
        shape = (len(pictures), 3, *pictures.shape[1:])
        batch = torch.from_numpy(np.ascontiguousarray(np.broadcast_to(pictures[:, None], shape))).float() / 255
        with torch.inference_mode():
            return list(network(batch)[0].numpy())

    return Session(run, wide=True)


def set_threshold(onnx: Path | str, threshold: float) -> dict:
    """Write another threshold (0–1, calibrated score) into a card; returns the card."""
    card = {**json.loads(Path(onnx).with_suffix(".json").read_text(encoding="utf-8")), "threshold": threshold}
    rewrite_card(onnx, card)
    return card


def rewrite_card(onnx: Path | str, card: dict) -> Path:
    """Write a whole card beside an ONNX file; returns its path."""
    target = Path(onnx).with_suffix(".json")
    target.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return target


def write_card(onnx: Path | str, *, arch: str, class_names: Sequence[str], image_size: int, threshold: float, **extra) -> Path:
    """Write the JSON card beside an ONNX file; `extra` (data, metrics, recipe, …) is added unchanged."""
    onnx = Path(onnx)
    card = {
        "name": onnx.stem, "file": onnx.name, "sha256": sha256_file(onnx), "architecture": arch, "classes": list(class_names),
        "image_size": image_size, "threshold": threshold, "written": datetime.date.today().isoformat(),
        "licence": "AGPL-3.0-or-later", **extra,
    }
    return rewrite_card(onnx, card)
