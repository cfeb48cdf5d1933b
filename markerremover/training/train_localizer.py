"""Training of the localizer with ultralytics (extra `train`), and its operating point."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..detection import localizer, operating_point
from ..errors import UsageError
from ..labels import labelled_folder
from ..records import LATERALITY, MARKER
from ..system.telemetry import import_ultralytics
from ..system.wording import counted
from . import window_dataset
from .checkpoints import check_freeze
from .localizer_files import rewrite_card

CLASS_NAMES = (LATERALITY, MARKER)
#: Read before ultralytics is imported: it sets OMP_NUM_THREADS to 1, and leaves a core idle.
THREADS = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
KEPT_BYTES = 6 << 30  # largest size of decoded training images kept in memory, all loader processes together; decoding takes a sixth of a step
MOST_FALSE = 0.06  # highest share of false-positive boxes accepted in each folder, in favour of recall, as of the shipped weights
ARCHITECTURES = tuple(f"yolov{v}{s}" for v in (8, 5) for s in "nsmlx")


def train(data: Sequence[Path | str], out: Path | str, *, arch: str = "yolov8n", weights: Path | str | None = None,
          shares: Sequence[float] | None = None, epochs: int = 50, hours: float | None = None, window: int = 320,
          image_size: int = 768, windows_per_epoch: int = 4000, positive_share: float = 0.8, batch: int = 16, lr0: float = 1.5e-3, lrf: float = 0.02,
          warmup_epochs: float = 0.3, freeze: int = 0, patience: int = 0, loader_workers: int = 1, seed: int = 0,
          device: str = "cpu", class_names: Sequence[str] = CLASS_NAMES, hard: dict[str, list] | None = None, resume: bool = False,
          callbacks: dict[str, list] | None = None) -> Path:
    """Train a localizer on LabelMe folders.

    Args:
        data: folders with `images/`, `annotations/` and optionally `split.csv` (see `labelled_folder.load_samples`).
        out: folder for checkpoints, logs and results; created if missing.
        arch: one of ARCHITECTURES, built from ultralytics' own YAML, from scratch unless `weights` is given.
        weights: a `.pt` to start from.
        shares: how often each folder is drawn, any positive numbers; by image count if None.
        epochs, hours: whichever ends first; `hours` re-plans the learning rate for the time given.
        window, image_size: side of a training window and longer side of whole images, network pixels.
        positive_share: share of windows placed around an annotation, 0–1; the rest are placed anywhere.
        lr0, lrf: first learning rate and last as a share of it (AdamW, cosine).
        freeze: number of first layers that are not trained.
        hard: errors of an earlier localizer, from `mine`; a quarter of the windows are placed there.
        resume: continue from `out/weights/last.pt`.
        callbacks: ultralytics trainer events -> functions of the trainer.

    Returns:
        Path of the best checkpoint (`out/weights/best.pt`), by mAP-50 on the validation parts.

    Raises:
        UsageError: ultralytics or torch is missing, or an option is out of range.
        AnnotationError: labels are missing or malformed.
    """
    require()
    if arch not in ARCHITECTURES:
        raise UsageError(f"arch is {arch!r}, allowed are {', '.join(ARCHITECTURES)}")
    class_names = tuple(class_names)
    if class_names not in (CLASS_NAMES, (MARKER,)):
        raise UsageError(f"classes are {class_names}, allowed are {CLASS_NAMES} and ('marker',)")
    check_settings(
        epochs=epochs, batch=batch, lr0=lr0, lrf=lrf, loader_workers=loader_workers, seed=seed, device=device, window=window,
        image_size=image_size, windows_per_epoch=windows_per_epoch, positive_share=positive_share)
    if weights is not None and not Path(weights).is_file():
        raise UsageError(f"{weights}: there is no such checkpoint to start from")
    groups = [labelled_folder.load_samples(Path(d), "train") for d in data]
    val = [s for d in data for s in labelled_folder.load_samples(Path(d), "val")]
    leaked = {(s.path.parent, s.patient) for s in val} & {(s.path.parent, s.patient) for g in groups for s in g}
    if leaked:
        raise UsageError(f"{counted(len(leaked), 'patient')} in both training and validation")
    if not val:
        raise UsageError("no validation images: add a split.csv or more patients")
    pixels = sum(s.annotation.shape_hw[0] * s.annotation.shape_hw[1] for g in groups for s in g)
    train_set = window_dataset.WindowDataset(groups, class_names, shares=list(shares) if shares else None, window=window,
                                      scale_to=image_size, length=windows_per_epoch, positive_share=positive_share, hard=hard,
                                      keep_decoded=pixels * max(1, loader_workers) <= KEPT_BYTES)
    val_set = window_dataset.WholeDataset(val, class_names, size=image_size)
    return fit(
        train_set, val_set, out, model=str(weights) if weights else f"{arch}.yaml", class_names=class_names, image_size=image_size,
        epochs=epochs, hours=hours, batch=batch, lr0=lr0, lrf=lrf, warmup_epochs=warmup_epochs, freeze=freeze, patience=patience,
        loader_workers=loader_workers, seed=seed, device=device, resume=resume, callbacks=callbacks,
    )


def fit(train_set, val_set, out: Path | str, *, model: str, class_names: Sequence[str], image_size: int, epochs: int,
        hours: float | None = None, batch: int = 16, optimizer: str = "AdamW", lr0: float = 1.5e-3, lrf: float = 0.02,
        cosine: bool = True, momentum: float = 0.9, weight_decay: float = 0.01, warmup_epochs: float = 0.3, freeze: int = 0,
        patience: int = 0, loader_workers: int = 1, seed: int = 0, device: str = "cpu", resume: bool = False,
        stop_after: int | None = None, callbacks: dict[str, list] | None = None) -> Path:
    """Train on datasets of `window_dataset`; shared by `train` and `finetune`. Images are never flipped.

    Args:
        train_set, val_set: map-style datasets of `window_dataset.as_item` items. With `val_set` None nothing is validated, no
            epoch is chosen, and the last one is the best.
        out: folder of the run.
        model: a `.pt` to start from, or an ultralytics YAML name for a start from scratch.
        cosine: whether the learning rate has a cosine schedule, else a linear one.
        stop_after: stop after this many epochs, with the schedule of the learning rate for all of `epochs`.
        Others as in `train`.

    Returns:
        Path of the best checkpoint, fp16 and without optimizer state.

    Raises:
        UsageError: ultralytics or torch is missing.
    """
    trainer_class = _trainer_class()
    check_settings(epochs=epochs, batch=batch, lr0=lr0, lrf=lrf, loader_workers=loader_workers, seed=seed, device=device)
    out = Path(out).resolve()
    overrides = dict(
        model=model, project=str(out.parent), name=out.name, exist_ok=True,
        epochs=epochs, time=hours, imgsz=image_size, batch=batch, nbs=batch, optimizer=optimizer, lr0=lr0, lrf=lrf,
        cos_lr=cosine, warmup_epochs=warmup_epochs, warmup_bias_lr=lr0, weight_decay=weight_decay, momentum=momentum,
        freeze=freeze or None, patience=patience or 10**6, workers=loader_workers, seed=seed, device=device, plots=False,
        val=True, close_mosaic=0, amp=device != "cpu", task="detect", verbose=False, fliplr=0.0, flipud=0.0, mosaic=0.0,
    )
    if resume:
        overrides = {**overrides, "model": str(out / "weights" / "last.pt"), "resume": str(out / "weights" / "last.pt")}
    trainer = trainer_class(overrides=overrides, train_set=train_set, val_set=val_set, class_names=tuple(class_names))
    for event, functions in (callbacks or {}).items():
        for function in functions:
            trainer.add_callback(event, function)
    if stop_after is not None:
        trainer.add_callback("on_fit_epoch_end", lambda t: setattr(t, "stop", t.stop or t.epoch + 1 >= stop_after))
    trainer.train()
    return out / "weights" / "best.pt"


def require() -> None:
    """Raises UsageError if the extra `train` is not installed."""
    _trainer_class()


@contextmanager
def quieter() -> Iterator[None]:
    """Limit ultralytics' log to warnings, without progress bars, for the duration of the block."""
    import_ultralytics()
    from ultralytics.utils import LOGGER

    level = LOGGER.level
    LOGGER.setLevel(logging.WARNING)
    try:
        yield
    finally:
        LOGGER.setLevel(level)


def computes_bf16() -> bool:
    """Whether the processor multiplies bfloat16 itself: a step then takes 0.6 of its time, where it is emulated ten times as long."""
    import torch

    return any(getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


def _trainer_class():
    try:
        import_ultralytics()
        import torch
        from ultralytics.data.dataset import YOLODataset
        from ultralytics.models.yolo.detect import DetectionTrainer
        from ultralytics.utils.torch_utils import strip_optimizer
    except ImportError as error:
        raise UsageError(f"training needs the extra 'train': pip install 'markerremover[train]' ({error})") from error

    class WindowTrainer(DetectionTrainer):
        """ultralytics' detection trainer on our datasets."""

        def __init__(self, *, overrides: dict, train_set, val_set, class_names) -> None:
            self._sets, self._names = {"train": train_set, "val": val_set}, class_names
            for dataset in filter(None, self._sets.values()):
                dataset.collate_fn = YOLODataset.collate_fn
            super().__init__(overrides=overrides)
            self.add_callback("on_train_start", lambda _: torch.set_num_threads(THREADS))
            if self.device.type == "cpu" and computes_bf16():
                self.add_callback("on_train_start", lambda trainer: setattr(trainer, "amp", True))  # ultralytics turns it off on any CPU

        def preprocess_batch(self, batch):
            batch = super().preprocess_batch(batch)
            batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
            return batch

        def setup_model(self):
            checkpoint = super().setup_model()
            check_freeze(self.args.freeze or 0, len(self.model.model))
            self.model = self.model.to(memory_format=torch.channels_last)  # memory layout that CPU convolutions run faster on: a sixth less time per step
            return checkpoint

        def get_dataset(self) -> dict:
            return {"train": "train", "val": "val", "names": dict(enumerate(self._names)), "nc": len(self._names), "channels": 3}

        def build_dataset(self, img_path, mode="train", batch=None):
            return self._sets[mode]

        def get_dataloader(self, dataset_path, batch_size=16, rank=0, mode="train"):
            if self._sets[mode] is None:
                return torch.utils.data.DataLoader([])
            return super().get_dataloader(dataset_path, batch_size if mode == "train" else 4, rank, mode)

        def validate(self):
            if self._sets["val"] is not None:
                return super().validate()
            self.best_fitness = float(self.epoch + 1)  # so that the newest checkpoint is saved as the best one
            return dict(self.metrics), self.best_fitness

        def final_eval(self):
            """Only strips the checkpoints: the best one was validated before, and ultralytics would need a data file here."""
            for path in (self.last, self.best):
                if path.exists():
                    strip_optimizer(path)

    return WindowTrainer


#: Setting -> smallest and largest allowed value, None for no limit.
LIMITS = {
    "epochs": (1, None), "batch": (1, None), "lr0": (1e-9, 1), "lrf": (1e-9, 1), "loader_workers": (0, None), "seed": (0, 2**32 - 1),
    "window": (32, None), "image_size": (32, None), "windows_per_epoch": (1, None), "positive_share": (0, 1),
}


def check_settings(*, device: str, **values: float) -> None:
    """Check settings. values: names in `LIMITS`.

    Raises:
        UsageError: a value is out of range, or there is no such device.
    """
    import torch

    for name, value in values.items():
        low, high = LIMITS[name]
        if not (value >= low and (high is None or value <= high)):
            raise UsageError(f"{name} is {value}, allowed is {low} " + ("or more" if high is None else f"to {high}"))
    available = [str(i) for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if unknown := [part for part in str(device).split(",") if part != "cpu" and part not in available]:
        alternatives = f" or a CUDA device number: {', '.join(available)}" if available else "; PyTorch sees no CUDA device here"
        raise UsageError(f"device is {unknown[0]!r}, allowed is cpu{alternatives}")


def mine(onnx: Path | str, data: Sequence[Path | str], *, threshold: float = 0.1, limit: int = 600) -> dict[str, list]:
    """Hard examples: false-positive boxes and missed elements on training images.

    Args:
        onnx: a localizer with its card.  data: LabelMe folders.
        threshold: lowest score of a box that counts, 0–1.  limit: highest number of images per folder, evenly spaced.

    Returns:
        Image path -> xyxy boxes in source pixels, for `train(hard=…)`.
    """
    detector = localizer.load_detector(onnx, device="cpu")
    hard: dict[str, list] = {}
    for folder in map(Path, data):
        samples = labelled_folder.load_samples(folder, "train")
        for sample in samples[:: max(1, len(samples) // limit)][:limit]:
            detections = detector(labelled_folder.read_grey(sample.path), threshold)
            errors = operating_point.wrong(detections, sample.annotation)
            if errors:
                hard[str(sample.path)] = errors
    return hard


def fit_operating_point(
    onnx: Path | str, data: Sequence[Path | str], *, part: str = "train", most_false: float = MOST_FALSE, limit: int = 600
) -> dict:
    """Choose threshold and calibration for an exported localizer on labelled images and write them into its card.

    Args:
        onnx: with its card beside it; an earlier calibration is dropped first.
        data: LabelMe folders, each a group of its own.  part: "train" or "val" rows of them.
        most_false: share of false boxes on anatomy, see `operating_point.choose_threshold`.  limit: highest number of images per folder, evenly spaced.

    Returns:
        The new card.
    """
    onnx = Path(onnx)
    card = {k: v for k, v in json.loads(onnx.with_suffix(".json").read_text(encoding="utf-8")).items()
            if k not in ("beside_marker", "calibration", "curve", "operating_point")}
    rewrite_card(onnx, card)
    detector = localizer.load_detector(onnx, device="cpu")
    groups = {}
    for folder in map(Path, data):
        samples = labelled_folder.load_samples(folder, part)
        samples = samples[:: max(1, len(samples) // limit)][:limit]
        name = folder.name if folder.name not in groups else str(folder)
        groups[name] = operating_point.gather(detector, ((labelled_folder.read_grey(s.path), s.annotation) for s in samples))
    card = {**card, **operating_point.summary(groups, card["classes"], most_false)}
    rewrite_card(onnx, card)
    return card


