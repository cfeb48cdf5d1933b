"""TensorRT engines, built and run by ultralytics (extra `train`, TensorRT and an NVIDIA GPU).

Unverified: no engine has been built with this module yet. An engine's detections are compared with those of its source
before `export` keeps it, as for every other exported model.
"""

from __future__ import annotations

from importlib import util
from pathlib import Path

import numpy as np

from ..errors import UsageError, WeightsError
from ..system.forks import NO_GPU, Own
from ..system.telemetry import import_ultralytics
from .session import Session

BATCH = 8  # maximum number of images per call that an engine is built for


def require() -> None:
    """Check that an engine can be built and run here; otherwise ultralytics would try to install TensorRT by itself.

    Raises:
        UsageError: ultralytics, torch, an NVIDIA GPU or TensorRT is missing; the message says which.
    """
    missing = [name for name in ("ultralytics", "torch") if not util.find_spec(name)]
    if missing:
        absent = ", ".join(missing)
        raise UsageError(f"a TensorRT engine needs the extra 'train': pip install 'markerremover[train]' (no {absent})")
    import torch

    if not torch.cuda.is_available():
        raise UsageError("a TensorRT engine needs an NVIDIA GPU, and torch sees none here")
    if not util.find_spec("tensorrt"):
        raise UsageError("a TensorRT engine needs TensorRT, which is not installed here: pip install tensorrt")


def build_engine(checkpoint: Path, target: Path, *, precision: str, image_size: int) -> Path:
    """Build an engine from a `.pt` for the GPU of this machine, for 1 to `BATCH` square images of 32 to twice `image_size` pixels a side.

    Args:
        target: path of the new engine.
        precision: "fp32" or "fp16".

    Returns:
        `target`.

    Raises:
        UsageError: see `require`.
        WeightsError: ultralytics could not build it.
    """
    require()
    import shutil
    import tempfile

    YOLO = import_ultralytics().YOLO
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "model.pt"
        shutil.copyfile(checkpoint, copy)
        try:
            written = YOLO(copy).export(
                format="engine", half=precision == "fp16", dynamic=True, batch=BATCH, imgsz=image_size, device=0, verbose=False,
            )
        except Exception as error:
            raise WeightsError(f"{checkpoint}: no engine could be built ({type(error).__name__}: {error})") from error
        shutil.copyfile(written, target)
    return target


def open_engine(path: Path, batch: int = 1) -> Session:
    """An engine as a session. Images are copied to the GPU as bytes, from page-locked memory.

    Args:
        batch: maximum number of images per call that the engine was built for.

    Raises:
        UsageError: see `require`.
        WeightsError: the engine was built for another GPU or version of TensorRT.
    """
    require()
    import torch

    import_ultralytics()
    from ultralytics.nn.autobackend import AutoBackend

    device = torch.device("cuda:0")
    try:
        network = AutoBackend(path, device=device, verbose=False)
    except Exception as error:
        raise WeightsError(f"{path}: cannot be opened here; build it again ({type(error).__name__}: {error})") from error

    opened = Own(lambda: network, NO_GPU)

    def run(pictures: np.ndarray) -> list[np.ndarray]:
        network = opened()
        tensor = torch.from_numpy(np.ascontiguousarray(pictures)).pin_memory().to(device, non_blocking=True)
        with torch.inference_mode():
            raw = network(tensor[:, None].expand(-1, 3, -1, -1).float() / 255)
        raw = raw[0] if isinstance(raw, (list, tuple)) else raw
        return list(raw.float().cpu().numpy())

    return Session(run, batch, pads=True)
