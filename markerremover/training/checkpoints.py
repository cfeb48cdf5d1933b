"""Checkpoints of a localizer: reading, saving without training state, and blending with their base."""

from __future__ import annotations

import csv
from pathlib import Path

from ..errors import UsageError, WeightsError


def check_freeze(freeze: int, layers: int) -> None:
    """Refuse to freeze a whole network: its last layer, which gives the boxes, must be trained.

    Raises:
        UsageError: `freeze` is negative, or `layers` or more.
    """
    if not 0 <= freeze < layers:
        raise UsageError(f"freeze is {freeze}, allowed is 0 to {layers - 1}: the network has {layers} layers, and the last one must learn")


def layers_of(checkpoint: Path | str) -> int:
    """Number of layers of a checkpoint's network, as `freeze` counts them.

    Raises:
        WeightsError: it cannot be loaded.
    """
    import torch

    try:
        return len(torch.load(checkpoint, map_location="cpu", weights_only=False)["model"].model)
    except Exception as error:
        raise WeightsError(f"{checkpoint}: cannot be loaded ({type(error).__name__}: {error})") from error


def save_checkpoint(checkpoint: Path | str, target: Path | str) -> Path:
    """Copy a finished checkpoint without the paths and the log of its training.

    Raises:
        WeightsError: it cannot be loaded.
    """
    import torch

    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=False)
        arguments = content["train_args"]
    except Exception as error:
        raise WeightsError(f"{checkpoint}: cannot be loaded ({type(error).__name__}: {error})") from error
    replaced = {"model": Path(target).name, "project": None, "name": None, "data": None, "save_dir": None, "resume": False}
    content["train_args"] = arguments | {key: value for key, value in replaced.items() if key in arguments}
    model = content["model"]
    if isinstance(getattr(model, "args", None), dict):
        model.args = model.args | {key: value for key, value in replaced.items() if key in model.args}
    if hasattr(model, "pt_path"):
        model.pt_path = Path(target).name
    torch.save({key: value for key, value in content.items() if key not in ("git", "train_results")}, target)
    return Path(target)


def blend(base: Path | str, tuned: Path | str, share: float, target: Path | str) -> Path:
    """Write a checkpoint with the weighted mean of two networks' weights (Wortsman et al. 2022).

    Args:
        base, tuned: checkpoints of the same architecture, from a trusted source.  share: weight of `tuned`, 0–1.
        target: gets the rest of its content from `tuned`.

    Raises:
        WeightsError: one cannot be loaded, or their weights differ in name or shape.
    """
    import torch

    contents = []
    for path in (base, tuned):
        try:
            contents.append(torch.load(path, map_location="cpu", weights_only=False))
        except Exception as error:
            raise WeightsError(f"{path}: cannot be loaded ({type(error).__name__}: {error})") from error
    old, new = (content["model"].state_dict() for content in contents)
    if {k: v.shape for k, v in old.items()} != {k: v.shape for k, v in new.items()}:
        raise WeightsError(f"{tuned}: its weights have other names or shapes than those of {base}")
    mixed = {
        k: ((1 - share) * old[k].float() + share * v.float()).to(v.dtype) if v.is_floating_point() else v for k, v in new.items()
    }
    contents[1]["model"].load_state_dict(mixed)
    torch.save(contents[1], target)
    return Path(target)


def best_epoch(run: Path | str) -> dict[str, float]:
    """Validation metrics (precision, recall, mAP-50, mAP-50-95, epoch) of a run's best epoch by mAP-50."""
    with (Path(run) / "results.csv").open(newline="", encoding="utf-8") as handle:
        rows = [{k.strip(): float(v) for k, v in row.items()} for row in csv.DictReader(handle)]
    best = max(rows, key=lambda row: row["metrics/mAP50(B)"])
    names = {"epoch": "epoch", "metrics/precision(B)": "precision", "metrics/recall(B)": "recall",
             "metrics/mAP50(B)": "mAP-50", "metrics/mAP50-95(B)": "mAP-50-95"}
    return {name: best[key] for key, name in names.items()}
