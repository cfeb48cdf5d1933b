"""Images a second, step by step from PyTorch in fp32 to half precision, TensorRT, batches and decoding ahead, as AnonImMed's table does.

usage: python eval/bench_gpu.py [--device auto|cuda|cpu] [--images 24] [--repeat 3] [--workers 4] [-o eval/results/gpu.json]

Synthetic 8-bit PNGs of 1920 x 1080 and 1024 x 1024. Timed is a file until its boxes are known: read and decode, every look of the localizer
(whole, and for the larger ones closer), boxes, second network. Each row adds one step to the fastest before it; the row before the last has
`--workers` processes decode while one process has the network, and the last is the whole of `remove`: verification, writing, reading
back. A row whose backend is missing is left out with the reason. Rows say what they ran on; those of a CPU are no measure of a GPU.
PyTorch and the fp16 file need the extra `train`. The median of `--repeat` rounds counts; the first round of each row is not timed.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from markerremover.detection import localizer, rescorer, text_detector, views
from markerremover.errors import MarkerRemoverError, UsageError
from markerremover.formats import images
from markerremover.inference import backends, network
from markerremover.inference.server import InferenceServer
from markerremover.inference.session import Session
from markerremover.inference.weights_card import read_card
from markerremover.options import RunOptions
from markerremover.run import batch
from markerremover.synthesis import synthesize
from markerremover.system.telemetry import import_ultralytics

SIZES = {"1920 x 1080": (1080, 1920), "1024 x 1024": (1024, 1024)}  # rows, columns
BATCH = 4
SEED = 8008


def torch_detector(device: str) -> localizer.Detector:
    """The checkpoint of the shipped weights in PyTorch, fp32."""
    try:
        import torch

        YOLO = import_ultralytics().YOLO
    except ImportError as error:
        raise UsageError(f"PyTorch needs the extra 'train' ({error})") from error
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("torch sees no GPU here")
    model = network.model_of(None)
    checkpoint, card = model.with_suffix(".pt"), read_card(model)
    if not checkpoint.is_file():
        raise UsageError("no checkpoint here; a checkout has it")
    net = YOLO(checkpoint).model.float().eval().to(device)

    def run(pictures):
        with torch.inference_mode():
            raw = net(torch.from_numpy(pictures).to(device)[:, None].expand(-1, 3, -1, -1).float() / 255)
        return list((raw[0] if isinstance(raw, (list, tuple)) else raw).float().cpu().numpy())

    session = Session(run, BATCH, pads=True, wide=True)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    return localizer.Detector(session, card, f"PyTorch on {name}", session, rescorer.of_card(card, model.parent), text_detector.of_card(card, model.parent))


def half_file(folder: Path) -> Path:
    """The shipped weights in half precision, made for this run."""
    from markerremover.training.export import export

    return export(None, folder, format="onnx", precision="fp16", device="cpu")


def steps(device: str, scratch: Path) -> list[tuple[str, Callable[[], localizer.Detector], dict[str, Any]]]:
    """(name, opens the localizer, what `network.open_network` is told for it) of the rows with one picture a call."""
    half = functools.cache(lambda: half_file(scratch / "half"))

    def opened(**told: Any) -> localizer.Detector:
        return localizer.load_detector(**{"batch": 1, **told})

    rows = [("PyTorch fp32", lambda: torch_detector(device), {})]
    if device == "cpu":
        for name in ("onnxruntime", "openvino"):
            told = {"device": name}
            rows.append((f"{backends.BACKENDS[name].title} fp32", functools.partial(opened, **told, inference_precision="f32"), told))
        return rows
    told = {"device": "cuda", "inference_precision": "f32"}
    rows.append(("ONNX Runtime CUDA fp32", functools.partial(opened, **told), told))
    for name, kind in (("ONNX Runtime CUDA fp16", "cuda"), ("TensorRT fp16", "tensorrt")):
        rows.append((name, functools.partial(_half, kind, half), {"device": kind, "half": half}))
    return rows


def _half(kind: str, half: Callable[[], Path]) -> localizer.Detector:
    """The weights in half precision on a GPU. Raises UsageError, before any export is made, where there is none."""
    backends.candidates(network.model_of(None), kind)
    return localizer.load_detector(half(), device=kind, batch=1)


def one_by_one(detector: localizer.Detector, paths: Sequence[Path]) -> int:
    """Each file read and looked at; how many boxes."""
    return sum(len(detector(images.read(path).display[0])) for path in paths)


def in_batches(detector: localizer.Detector, paths: Sequence[Path]) -> int:
    """The same, the looks at `BATCH` files together through the network; how many candidates scored the threshold."""
    found = 0
    for start in range(0, len(paths), BATCH):
        frames = [images.read(path).display[0] for path in paths[start : start + BATCH]]
        looks = [(k, view) for k, frame in enumerate(frames) for view in detector.views(frame.shape)]
        shown = [views.show(frames[k], view, detector.size) for k, view in looks]
        raws = localizer.answers(detector._session, [picture for picture, _, _ in shown])
        rows = [(k, detector._rows(raw, view, pad, detector.threshold, frames[k].shape)) for raw, (k, view), (_, *pad) in zip(raws, looks, shown)]
        for k, frame in enumerate(frames):
            merged = localizer.merge([own for index, own in rows if index == k], detector.class_names)
            found += len(detector._rescored(frame, merged, detector.threshold))
    return found


_asking: dict[str, localizer.Detector] = {}


def _ask(address: str, path: Path) -> int:
    """In a worker: read a file and have the server look at it."""
    if address not in _asking:
        _asking[address] = localizer.load_detector(server=address, threads=1)
    return one_by_one(_asking[address], [path])


def timed(task: Callable[[], Any], count: int, repeat: int) -> float:
    """Images a second, the median of some rounds after one that is not timed."""
    seconds = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - start)
    return count / median(seconds[1:])


def row(name: str, backend: str, rate: float) -> dict[str, Any]:
    print(f"  {name}: {rate:.2f} images/s, {1000 / rate:.1f} ms ({backend})", flush=True)
    return {"step": name, "backend": backend, "on_gpu": "CUDA" in backend or "TensorRT" in backend or backend.startswith("PyTorch on NVIDIA"),
            "images_per_second": round(rate, 2), "ms": round(1000 / rate, 1)}


def left_out(name: str, error: Exception) -> dict[str, Any]:
    print(f"  {name}: left out: {error}", flush=True)
    return {"step": name, "left_out": str(error)}


def table(paths: list[Path], device: str, repeat: int, workers: int, scratch: Path) -> list[dict[str, Any]]:
    """Every row for one size of image."""
    rows, best = [], None
    for name, make, told in steps(device, scratch):
        try:
            detector = make()
            rate = timed(lambda: one_by_one(detector, paths), len(paths), repeat)
        except MarkerRemoverError as error:
            rows.append(left_out(name, error))
            continue
        rows.append(row(name, detector.backend, rate))
        if told and (best is None or rate > best[0]):
            best = rate, name, told
    if best is None:
        return rows
    told = {key: value for key, value in best[2].items() if key != "half"} | ({"weights": best[2]["half"]()} if "half" in best[2] else {})
    many = localizer.load_detector(**told, batch=BATCH)
    rows.append(row(f"{best[1]}, batches of {BATCH}", many.backend, timed(functools.partial(in_batches, many, paths), len(paths), repeat)))
    del many
    opener = functools.partial(network.open_network, **told, batch=BATCH)
    with InferenceServer(opener) as server, ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        ask = functools.partial(_ask, server.address)
        rate = timed(lambda: list(pool.map(ask, paths)), len(paths), repeat)
        rows.append(row(f"and {workers} processes that decode ahead", _title(server.address), rate))
    rows.append(whole(paths, told, workers))
    return rows


def _title(address: str) -> str:
    return localizer.load_detector(server=address, threads=1).backend


def whole(paths: list[Path], told: dict[str, Any], workers: int) -> dict[str, Any]:
    """All of `remove`, its start included."""
    with tempfile.TemporaryDirectory() as scratch:
        options = RunOptions(device=told["device"], weights=told.get("weights"), workers=workers, batch=BATCH, time_limit=900.0)
        summary = batch.remove(paths, Path(scratch) / "out", options=options)
    return row(f"the whole of remove, {workers} workers", summary["backend"], summary["images_per_second"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    device = args.device if args.device != "auto" else "cpu" if backends.BACKENDS["cuda"].missing() else "cuda"
    document: dict[str, Any] = {
        "device": device, "processor": platform.processor() or platform.machine(), "cores": os.cpu_count(), "images": args.images,
        "load": [round(os.getloadavg()[0], 1)], "sizes": {}}
    for name, size in SIZES.items():
        print(name)
        with tempfile.TemporaryDirectory() as scratch:
            paths = list(synthesize(Path(scratch) / "in", args.images, SEED, split="eval", size=size, formats=("png",)))
            document["sizes"][name] = table(paths, device, args.repeat, args.workers, Path(scratch))
    document["load"].append(round(os.getloadavg()[0], 1))
    if args.out:
        args.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
