"""What reading and writing compressed radiographs takes, beside what the codec itself takes.

usage: python eval/codec_speed.py [-o eval/results/codecs.json]

Processor time, the lesser of two rounds, of one grey picture of 6.7 megapixels. JPEG 2000 lossless of 12 bits: a file through `formats.images`, and its
codestream through the OpenJPEG of pylibjpeg, OpenCV and Pillow, and of imagecodecs where that is installed. JPEG of 8 bits: read, and written with one
box removed and read back, in its coefficients.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import openjpeg
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.pixels import compress

from markerremover.formats import images

SHAPE_HW, ROUNDS = (2400, 2800), 2


def least_s(do: Callable[[], object]) -> float:
    """Processor seconds of the quickest of some rounds."""
    found = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        do()
        found.append(time.process_time() - begun)
    return round(min(found), 3)


def picture() -> np.ndarray:
    """(H, W) uint16 of 12 bits: smooth, with grain."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(200, 3800, (48, 56)).astype(np.uint16)
    smooth = cv2.resize(coarse, SHAPE_HW[::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 12, SHAPE_HW), 0, 4095).astype(np.uint16)


def as_jpeg_2000(path: Path, pixels: np.ndarray) -> Path:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = uid.DigitalXRayImageStorageForPresentation, "1.2.3", "DX"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    compress(dataset, uid.JPEG2000Lossless, pixels, generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)
    return path


def steps_of(path: Path) -> dict[str, float]:
    """A file read, written with one box removed, and compared after reading it back."""
    radiograph = images.read(path)
    new, mask = radiograph.stored.copy(), np.zeros(radiograph.stored.shape, bool)
    mask[:, 100:200, 100:900] = True
    new[mask] = radiograph.fill[0]
    target, options = path.with_name("out"), {"touched": True, "removed": mask}
    return {
        "read": least_s(lambda: images.read(path)), "write": least_s(lambda: images.write(radiograph, new, target, **options)),
        "compare": least_s(lambda: images.verify_written(radiograph, new, target, **options)),
    }


def floor(codestream: bytes, pixels: np.ndarray) -> dict[str, float]:
    """The codec alone, by library."""
    found = {
        "OpenJPEG of pylibjpeg, decode": least_s(lambda: openjpeg.decode(io.BytesIO(codestream))),
        "OpenCV, decode": least_s(lambda: cv2.imdecode(np.frombuffer(codestream, np.uint8), cv2.IMREAD_UNCHANGED)),
        "Pillow, decode": least_s(lambda: np.asarray(Image.open(io.BytesIO(codestream)))),
    }
    try:
        import imagecodecs
    except ImportError:
        return found
    encode = {"level": 0, "reversible": True, "codecformat": "j2k", "bitspersample": 12, "numthreads": 1}
    return found | {
        "imagecodecs, decode": least_s(lambda: imagecodecs.jpeg2k_decode(codestream, numthreads=1)),
        "imagecodecs, encode": least_s(lambda: imagecodecs.jpeg2k_encode(pixels, **encode)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    pixels = picture()
    result: dict = {"shape_hw": list(SHAPE_HW), "seconds": {}}
    with tempfile.TemporaryDirectory() as name:
        path = as_jpeg_2000(Path(name) / "j2k.dcm", pixels)
        result["seconds"]["JPEG 2000 lossless, DICOM"] = steps_of(path)
        result["seconds"]["JPEG 2000 lossless, codec alone"] = floor(next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1)), pixels)
        for kind, progressive in (("JPEG", False), ("JPEG, progressive", True)):
            path = Path(name) / "in.jpg"
            Image.fromarray((pixels >> 4).astype(np.uint8)).save(path, quality=90, progressive=progressive)
            result["seconds"][kind] = steps_of(path)
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
