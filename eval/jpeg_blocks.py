"""What becomes of a JPEG in which something is removed: edited in its coefficients, and encoded again as a whole as was done before.

usage: python eval/jpeg_blocks.py [--count 8] [-o eval/results/jpeg.json]

Synthetic radiographs are saved as JPEG (quality 90, grey, and colour with 4:2:0) and as DICOM JPEG Baseline, and their annotations are blacked out with a
margin of `MARGIN_PX`. Asked is how many blocks that no removed pixel lies in have other coefficients, how many pixels outside of the removed areas
changed and by how much, how large the files are, and what writing and reading back take (processor time, medians).
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from markerremover.formats import images
from markerremover.formats.coefficients import blocks
from markerremover.formats.coefficients import stream as coefficient_stream
from markerremover.synthesis.generate import radiograph as synthetic

MARGIN_PX, QUALITY = 6, 90
NOT_THERE = "left out for this measurement"


def removed(sample) -> np.ndarray:
    """(1, H, W) bool: the boxes of all annotations with their margin."""
    mask = np.zeros((1, *sample.image.shape), bool)
    for element in sample.annotation.elements:
        x1, y1, x2, y2 = (round(v) for v in element.xyxy)
        mask[:, max(0, y1 - MARGIN_PX) : y2 + MARGIN_PX, max(0, x1 - MARGIN_PX) : x2 + MARGIN_PX] = True
    return mask


def as_jpeg(image: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=QUALITY, **options)
    return buffer.getvalue()


def as_dicom(path: Path, image: np.ndarray) -> Path:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = uid.DigitalXRayImageStorageForPresentation, "1.2.3", "DX"
    dataset.Rows, dataset.Columns = image.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = encapsulate([as_jpeg(image)])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.save_as(path, enforce_file_format=True)
    return path


def written(path: Path, mask: np.ndarray, *, edited: bool) -> tuple[Path, float, float]:
    """The output, and processor seconds of writing and of reading back.  edited: False encodes again as if the library were not there."""
    radiograph = images.read(path)
    new = radiograph.stored.copy()
    new[mask] = radiograph.fill[0] if new.ndim == 3 else radiograph.fill
    target = path.with_name("out" + path.suffix)
    real = coefficient_stream._opened
    if not edited:
        coefficient_stream._opened = _refused
    try:
        begun = time.process_time()
        notes = images.write(radiograph, new, target, touched=True, removed=mask)
        between = time.process_time()
        images.verify_written(radiograph, new, target, touched=True, removed=mask, notes=notes)
        return target, between - begun, time.process_time() - between
    finally:
        coefficient_stream._opened = real


def _refused(stream: bytes):
    raise coefficient_stream.UnsuitedError(NOT_THERE)


def measured(source: bytes, output: bytes, mask: np.ndarray) -> dict[str, float]:
    """How much two JPEG streams differ where nothing was removed."""
    before, after = coefficient_stream.read(source), coefficient_stream.read(output)
    count = changed = 0
    for i, touched in enumerate(blocks.touched(before, mask)):
        different = (blocks.grid(before.planes[i]) != blocks.grid(after.planes[i])).any(axis=(2, 3))
        count, changed = count + int((~touched).sum()), changed + int((different & ~touched).sum())
    old, new = (np.asarray(Image.open(io.BytesIO(data)).convert("L"), np.int16) for data in (source, output))
    difference = np.abs(old - new)[~mask]
    return {"other_blocks": count, "other_blocks_changed": changed, "pixels_changed": float((difference > 0).mean()), "greatest": int(difference.max())}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    rows: dict[str, list[dict]] = {}
    with tempfile.TemporaryDirectory() as name:
        for number in range(args.count):
            sample = synthetic(np.random.default_rng([23, number]), size=(1200, 1000))
            mask = removed(sample)
            colour = np.stack([sample.image] * 3, -1)
            colour[..., 2] = colour[..., 2] // 8 * 7
            files = {"JPEG, grey": as_jpeg(sample.image), "JPEG, 4:2:0": as_jpeg(colour, subsampling=2)}
            for kind, data in files.items():
                path = Path(name) / "in.jpg"
                path.write_bytes(data)
                for edited in (True, False):
                    target, write_s, verify_s = written(path, mask, edited=edited)
                    row = measured(data, target.read_bytes(), mask[0])
                    rows.setdefault(f"{kind}, {'edited' if edited else 'encoded again'}", []).append(
                        row | {"bytes_in": len(data), "bytes_out": target.stat().st_size, "write_s": write_s, "verify_s": verify_s})
            path = as_dicom(Path(name) / "in.dcm", sample.image)
            for edited in (True, False):
                target, write_s, verify_s = written(path, mask, edited=edited)
                syntax = pydicom.dcmread(target, stop_before_pixels=True).file_meta.TransferSyntaxUID.name
                rows.setdefault(f"DICOM JPEG Baseline, {'edited' if edited else 'decompressed'}", []).append(
                    {"bytes_in": path.stat().st_size, "bytes_out": target.stat().st_size, "write_s": write_s, "verify_s": verify_s, "syntax": syntax})
    result = {"films": args.count, "shape_hw": [1200, 1000], "quality": QUALITY, "kinds": {kind: summed(found) for kind, found in rows.items()}}
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def summed(found: list[dict]) -> dict:
    """One kind's figures over all films: sums of counts and bytes, medians of times, the rest as means."""
    out: dict = {}
    for key in found[0]:
        values = [row[key] for row in found]
        if key == "syntax":
            out[key] = values[0]
        elif key.endswith("_s"):
            out[key] = round(statistics.median(values), 3)
        elif key == "pixels_changed":
            out[key] = round(statistics.mean(values), 5)
        else:
            out[key] = max(values) if key == "greatest" else sum(values)
    return out


if __name__ == "__main__":
    raise SystemExit(main())
