"""Exports a localizer as ONNX, OpenVINO or TensorRT in lower precision, if its detections match its source's.

The reference is the source as given: an `.onnx` through ONNX Runtime, a `.pt` through PyTorch, both fp32 on the CPU. The
rule is `parity.SAME_BOXES` where model and device compute in fp32, else `parity.SAME_DECISIONS`.
"""

from __future__ import annotations

import datetime
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..detection import localizer, rescorer, text_detector, views
from ..errors import MarkerRemoverError, ParityError, UsageError, WeightsError
from ..formats import read_apart
from ..inference import network, tensorrt_engine
from ..inference.card_files import carry
from ..inference.shipped_weights import default_weights
from ..inference.weights_card import model_sha256, parse_card
from ..records import UNCERTAIN, locked
from ..run import inputs
from . import parity
from .precision import to_fp16, to_int8, to_openvino

log = logging.getLogger(__name__)

FORMATS = {"onnx": ".onnx", "openvino": ".xml", "engine": ".engine"}
PRECISIONS = ("fp32", "fp16", "int8")
SAMPLE_COUNT = 12  # number of radiographs in a parity check
CALIBRATION_COUNT = 32  # number of radiographs from which int8's ranges are calibrated
SAMPLE_SEED, CALIBRATION_SEED = 4101, 4102
REDUCED = (", bf16", ", f16")  # endings of a backend's name where it computes in less than fp32


@dataclass(frozen=True)
class Sample:
    """One radiograph to compare models on.

    display: (H, W) uint8, bright = dense.  planted: (K, 4) xyxy source pixels of the known annotations; None if unknown.
    """

    display: np.ndarray
    planted: np.ndarray | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "display", locked(self.display))


def synthetic_samples(count: int = SAMPLE_COUNT, *, seed: int = SAMPLE_SEED, split: str = "eval") -> list[Sample]:
    """Synthetic radiographs whose longer side has 640 to 1400 pixels; the same seed makes the same ones."""
    from .. import synthesis

    result = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        longer = int(rng.integers(640, 1401))
        scene = synthesis.radiograph(rng, split=split, size=(longer, int(longer * rng.uniform(0.75, 1))), unmarked_share=0)
        planted = [e.xyxy for e in scene.annotation.elements if e.kind != UNCERTAIN]
        result.append(Sample(scene.image, np.array(planted, np.float64).reshape(-1, 4)))
    return result


def read_samples(folder: Path) -> list[Sample]:
    """Every frame of every radiograph below a folder, with unknown annotations.

    Raises:
        UsageError: there is no such folder, or it holds no radiographs.  ReadError, HeldError: a file in it is no readable radiograph.
    """
    files, _ = inputs.gather([Path(folder)], ())
    for item in files:
        if item.problem:
            raise UsageError(f"{item.source}: {item.problem}")
    result = [Sample(frame) for item in files for frame in read_apart.read(item.source).display]
    if not result:
        raise UsageError(f"{folder}: holds no radiographs")
    return result


def export(
    weights: Path | str | None, out: Path | str, *, format: str, precision: str = "fp32", samples: Sequence[Sample] | None = None,
    calibration: Sequence[Sample] | None = None, device: str = "auto", threads: int | None = None,
) -> Path:
    """Write a localizer in another format or precision, with its card, if its detections match its source's.

    Args:
        weights: a `.onnx` with its card, or a `.pt` with the card of the same stem, which gives its classes, input size
            and threshold. None takes the shipped `.onnx`, or the shipped `.pt` where the format needs one.
        out: folder that gets STEM-FORMAT-PRECISION with the suffix of the format, and its card; created if missing.
        format: one of FORMATS; "engine", and "onnx" at fp32, need a `.pt`.
        precision: one of PRECISIONS; "engine" has no int8.
        samples: radiographs for the parity check; synthetic ones by default.
        calibration: radiographs from which int8's ranges are calibrated; synthetic ones of the train split by default.
        device: device of the check, besides ONNX Runtime on the CPU, as for `localizer.load_detector`.
        threads: CPU threads.

    Returns:
        Path of the model; the card beside it has the results of the parity check.

    Raises:
        UsageError: an option is out of range, the target exists, or something the format needs is missing.
        WeightsError: the source or its card is missing or damaged, or cannot be converted.
        ParityError: the detections do not match the source's; the result is then deleted.
    """
    source = _source(weights, format, precision)
    reference = _reference(source, threads)
    if reference.card.get("precision", "fp32") != "fp32":
        raise UsageError(f"{source}: is {reference.card['precision']} already; an export starts from fp32")
    out, name = Path(out), f"{source.stem}-{format}-{precision}"
    is_new = not out.exists()
    existing = [name + suffix for suffix in (FORMATS[format], ".json", ".bin") if (out / (name + suffix)).exists()]
    if existing:
        raise UsageError(f"{out}: has {', '.join(existing)} already; remove it or choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=out, prefix=".export-") as scratch:
            model = Path(scratch) / (name + FORMATS[format])
            try:
                _convert(source, model, format, precision, reference, calibration)
            except MarkerRemoverError:
                raise
            except Exception as error:
                reason = f"{type(error).__name__}: {error}"
                raise WeightsError(f"{source}: cannot be written as {format} at {precision} ({reason})") from error
            card = _card(reference, source, model, format, precision)
            _write_card(model, card)
            carry(card, source.parent, model.parent)
            radiographs = list(samples) if samples is not None else synthetic_samples()
            checks = _checks(model, reference, radiographs, precision, device, threads)
            ran_in = [check["backend"].rpartition(", ")[2] for check in checks if check["backend"].startswith("OpenVINO") and "broken" not in check]
            card |= {"inference_precision": ran_in[-1]} if ran_in else {}
            origin = f"synthetic, eval split, seed {SAMPLE_SEED}" if samples is None else "given"
            card["parity"] = {"reference": reference.backend, "samples": origin, "images": len(radiographs), "checks": checks}
            _write_card(model, card)
            # the card last: without it nothing opens the model
            for path in sorted(Path(scratch).iterdir(), key=lambda path: path.suffix == ".json"):
                path.rename(out / path.name)
    finally:
        if is_new and not any(out.iterdir()):
            out.rmdir()
    return out / (name + FORMATS[format])


def _source(weights: Path | str | None, format: str, precision: str) -> Path:
    """The file to start from, after checks of the options and of TensorRT for an engine."""
    if format not in FORMATS or precision not in PRECISIONS:
        raise UsageError(f"format {format!r} at {precision!r}, allowed are {', '.join(FORMATS)} at {', '.join(PRECISIONS)}")
    needs_checkpoint = format == "engine" or (format, precision) == ("onnx", "fp32")
    source = Path(weights) if weights is not None else default_weights().with_suffix(".pt" if needs_checkpoint else ".onnx")
    if source.suffix not in (".onnx", ".pt"):
        raise UsageError(f"{source}: an export starts from an .onnx or a .pt")
    if needs_checkpoint and source.suffix != ".pt":
        raise UsageError(f"{source}: {format} at {precision} is made from a .pt checkpoint")
    if format == "engine":
        if precision == "int8":
            raise UsageError("format 'engine' at 'int8' is not offered, allowed are fp32 and fp16")
        tensorrt_engine.require()
    return source


def _reference(source: Path, threads: int | None) -> localizer.Detector:
    if source.suffix == ".onnx":
        return localizer.load_detector(source, device="cpu", runtime="onnxruntime", threads=threads)
    if not source.is_file():
        raise WeightsError(f"{source}: there is no such checkpoint")
    from . import localizer_files

    card = parse_card(source.with_suffix(".json"))
    second, text = rescorer.of_card(card, source.parent), text_detector.of_card(card, source.parent)
    return localizer.Detector(localizer_files.checkpoint_session(source, card["classes"]), card, "PyTorch CPU", rescorer=second, text=text)


def _checks(model: Path, reference: localizer.Detector, samples: Sequence[Sample], precision: str, device: str,
            threads: int | None) -> list[dict]:
    """Compare the model with the reference in every available way to run it; one entry each, the fastest last. Where OpenVINO computes in less
    than fp32 and the rule is broken, the entry has `broken`, and the model is not run in that way."""
    references = {True: reference, False: reference.in_tiles()}  # a model in tiles is compared with the reference in tiles
    entries: list[dict[str, Any]] = []
    for detector in _ways(model, device, threads):
        expected = [references[detector.wide](sample.display) for sample in samples]
        exact = precision == "fp32" and not detector.backend.endswith(REDUCED)
        rule = parity.SAME_BOXES if exact else parity.SAME_DECISIONS
        result = parity.total([
            parity.compare(reference_boxes, detector(sample.display), threshold=reference.threshold, rule=rule, planted=sample.planted,
                           scale=parity.network_scale(sample.display.shape, reference.size))
            for sample, reference_boxes in zip(samples, expected)
        ])
        try:
            entry = parity.check(result, rule, f"{model.name} through {detector.backend}")
        except ParityError as error:
            if not (entries and detector.backend.startswith("OpenVINO") and detector.backend.endswith(REDUCED)):
                raise
            log.warning("%s; it will run in f32", error)
            entry = {"rule": rule.name, "broken": str(error)}
        entries.append({"backend": detector.backend, **entry})
    return entries


def _ways(model: Path, device: str, threads: int | None) -> Iterator[localizer.Detector]:
    """The model in ONNX Runtime, in OpenVINO at f32, and in OpenVINO's fastest precision, each once."""
    options: list[dict[str, Any]] = [{"device": "cpu", "runtime": "onnxruntime"}] if model.suffix == ".onnx" else []
    if model.suffix != ".engine":
        options.append({"device": device, "inference_precision": "f32"})
    options.append({"device": device, "inference_precision": network.FASTEST})
    backends = set()
    for arguments in options:
        detector = localizer.load_detector(model, threads=threads, **arguments)
        if detector.backend not in backends:
            yield detector
        backends.add(detector.backend)


def _card(reference: localizer.Detector, source: Path, model: Path, format: str, precision: str) -> dict:
    """The card of the result: the source's, without the results of an earlier export of the source."""
    base_card = {key: value for key, value in reference.card.items() if key not in ("inference_precision", "parity")}
    return {
        **base_card, "name": model.stem, "file": model.name, "sha256": model_sha256(model), "format": format,
        "precision": precision, "written": datetime.date.today().isoformat(), "exported_from": model_sha256(source),
        **({"batch": tensorrt_engine.BATCH} if format == "engine" else {}),
    }


def _write_card(model: Path, card: dict) -> None:
    model.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def _convert(source: Path, model: Path, format: str, precision: str, reference: localizer.Detector,
             calibration: Sequence[Sample] | None) -> None:
    """Write `source` as `model`, and for OpenVINO a `.bin` beside it; its folder gets no other files."""
    if format == "engine":
        tensorrt_engine.build_engine(source, model, precision=precision, image_size=reference.size)
        return
    with tempfile.TemporaryDirectory() as scratch:
        onnx = source
        if source.suffix == ".pt":
            from . import localizer_files

            onnx = localizer_files.export_onnx(source, Path(scratch) / "fp32.onnx")
        if precision == "int8":
            onnx = to_int8(onnx, Path(scratch) / "int8.onnx", _pictures(calibration, reference.size))
        elif (format, precision) == ("onnx", "fp16"):
            onnx = to_fp16(onnx, Path(scratch) / "fp16.onnx")
        if format == "openvino":
            to_openvino(onnx, model, fp16=precision == "fp16")
        else:
            shutil.copyfile(onnx, model)


def _pictures(calibration: Sequence[Sample] | None, size: int) -> list[np.ndarray]:
    """The whole calibration radiographs as network inputs, (size, size) uint8; synthetic ones where None is given."""
    if calibration is None:
        calibration = synthetic_samples(CALIBRATION_COUNT, seed=CALIBRATION_SEED, split="train")
    displays = [sample.display for sample in calibration]
    return [views.show(display, views.views(display.shape, size, views.Tiling())[0], size)[0] for display in displays]
