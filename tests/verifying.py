"""A finished run over films of every format, for the tests of `verify`; and changes of its results that somebody might make."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dicom_files
import fakes
import numpy as np
import pydicom
import tifffile
from PIL import Image
from pydicom import uid
from pydicom.encaps import encapsulate

from markerremover.options import RunOptions
from markerremover.records import Policy
from markerremover.redaction.cleaning import Cleaner
from markerremover.run import batch
from markerremover.verification.account import Pair
from markerremover.verification.check import verify
from markerremover.verification.findings import Finding, Report
from markerremover.verification.pair import check_pair


def film(seed: int, boxes=(fakes.NAME_BOX,)) -> np.ndarray:
    """(96, 128) uint8: soft, with little grain, so that JPEG keeps white white, and white boxes."""
    y, x = np.mgrid[: fakes.SHAPE[0], : fakes.SHAPE[1]]
    image = (90 + 40 * np.sin(x / 20 + seed) + 25 * np.sin(y / 15)).astype(np.uint8) + np.random.default_rng(seed).integers(0, 8, fakes.SHAPE).astype(np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = 255
    return image


def dicom(path: Path, stored: np.ndarray, bits: int = 12, **more) -> Path:
    """A file of John Smith with a whole header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    elements = dicom_files.radiograph_header("DX") | {"WindowCenter": str(1 << (bits - 1)), "WindowWidth": str(1 << bits)} | more
    return dicom_files.save(path.parent, stored, bits=bits, name=path.name, **{k: v for k, v in elements.items() if v is not None})


def jpeg_dicom(path: Path, frames: list[np.ndarray], **more) -> Path:
    """JPEG Baseline in DICOM, by Pillow."""
    dicom(path, np.stack(frames), 8, **more)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = encapsulate([fakes.jpeg(frame) for frame in frames])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
    dataset.save_as(path)
    return path


def saved(image: np.ndarray | Image.Image, kind: str, **options) -> bytes:
    """An image file, by Pillow."""
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def films(folder: Path) -> Path:
    """Films of every format, most of them with a white box."""
    words = film(1).astype(np.uint16) * 16 + 15 - np.arange(fakes.SHAPE[1], dtype=np.uint16) % 16 * (film(1) < 255)
    dicom(folder / "SMITH JOHN" / "1.dcm", words[None])
    dicom(folder / "frames.dcm", np.stack([words, film(2).astype(np.uint16) * 16, film(3, ()).astype(np.uint16) * 16]))
    dicom(folder / "jpeg2000.dcm", words[None], syntax=uid.JPEG2000Lossless)
    dicom(folder / "deflated.dcm", words[None], syntax=uid.DeflatedExplicitVRLittleEndian)
    dicom(folder / "big.dcm", words[None], syntax=uid.ExplicitVRBigEndian)
    dicom(folder / "white.dcm", 4095 - words[None], photometric="MONOCHROME1")
    dicom(folder / "signed.dcm", words[None].astype(np.int16) - 2048, RescaleIntercept="0", WindowCenter=None, WindowWidth=None)
    dicom(folder / "colour.dcm", np.repeat(film(1)[None, ..., None], 3, axis=3), 8, photometric="RGB", WindowCenter=None, WindowWidth=None)
    dicom(folder / "plain.dcm", film(4, ()).astype(np.uint16)[None] * 16)
    jpeg_dicom(folder / "jpeg.dcm", [film(5), film(6)])
    fakes.put(folder / "8.png", fakes.png(film(1)))
    fakes.put(folder / "16.png", fakes.png(film(1).astype(np.uint16) * 257))
    fakes.put(folder / "colour.png", fakes.png(np.repeat(film(1)[..., None], 3, axis=2).astype(np.uint16) * 257))
    indexed = Image.fromarray(film(1))
    indexed = indexed.convert("RGB").quantize(64)
    fakes.put(folder / "palette.png", saved(indexed, "PNG"))
    fakes.put(folder / "plain.png", fakes.png(film(4, ())))
    fakes.put(folder / "1.jpg", fakes.jpeg(film(1)))
    fakes.put(folder / "colour.jpg", saved(np.repeat(film(1)[..., None], 3, axis=2), "JPEG", quality=90, subsampling=2))
    fakes.put(folder / "plain.jpg", saved(film(4, ()), "JPEG", quality=90, progressive=True, comment=b"of nobody"))
    fakes.put(folder / "1.tif", saved(film(1), "TIFF", compression="tiff_lzw"))
    tifffile.imwrite(folder / "16.tif", film(1).astype(np.uint16) * 257, photometric="minisblack", description="of nobody")
    tifffile.imwrite(folder / "white.tif", 255 - film(1), photometric="miniswhite", compression="zlib")
    return folder


@dataclass(frozen=True)
class Run:
    """A finished run: inputs in `source`, results in `out`, the audit beside it."""

    source: Path
    out: Path

    @property
    def manifest(self) -> Path:
        """Its manifest."""
        return self.out.with_name("out-audit") / "manifest.jsonl"

    def rows(self) -> dict[str, dict]:
        """Path below OUT -> row."""
        return {row["relative"]: row for row in map(json.loads, self.manifest.read_text().splitlines())}

    def keep(self, rows) -> None:
        """Write the manifest anew."""
        self.manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def change(self, name: str, /, **fields) -> None:
        """Change fields of a row."""
        self.keep([row | fields if row["relative"] == name else row for row in self.rows().values()])

    def replace(self, relative: str, data: bytes) -> None:
        """Replace an output, and say so in its row: only its content can tell."""
        (self.out / relative).write_bytes(data)
        self.change(relative, sha256_out=hashlib.sha256(data).hexdigest())

    def edit(self, relative: str, change: Callable[[pydicom.Dataset], None]) -> None:
        """Change the dataset of a DICOM output."""
        dataset = pydicom.dcmread(self.out / relative)
        change(dataset)
        buffer = io.BytesIO()
        with pydicom.config.disable_value_validation():
            pydicom.dcmwrite(buffer, dataset)
        self.replace(relative, buffer.getvalue())

    def data(self, relative: str) -> bytes:
        """The bytes of an output."""
        return (self.out / relative).read_bytes()

    def path(self, start: str) -> str:
        """The path of the output of `SMITH JOHN/1.dcm`, whose folder has a pseudonym."""
        return next(name for name in self.rows() if name.endswith(start))

    def findings(self, relative: str) -> tuple[Finding, ...]:
        """What is found in one output and its input, which are matched by SHA-256."""
        row = self.rows()[relative]
        source = next(path for path in self.source.rglob("*.*") if hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256_in"])
        return check_pair(Pair(source, self.out / relative, row)).findings

    def verify(self, **options) -> Report:
        """Check it, in this process."""
        return verify([self.source], self.out, workers=1, **options)


def cleaned(folder: Path, make=films, style: str = "box", **options) -> Run:
    """The films of `make`, cleaned with the fake localizer."""
    policy = Policy(keep=(), style=style)
    reader = fakes.SilentReader() if style != "box" else None
    batch.remove([make(folder / "in")], folder / "out", options=RunOptions(policy=policy, workers=1, **options),
                 open_cleaner=lambda threads: Cleaner(fakes.find_white, reader, policy))
    return Run(folder / "in", folder / "out")


def copied(run: Run, folder: Path) -> Run:
    """The run with results and audit of its own; the inputs are shared."""
    shutil.copytree(run.out, folder / "out")
    (folder / "out-audit").mkdir()
    for path in run.manifest.parent.glob("*.jsonl"):
        shutil.copy(path, folder / "out-audit")
    return Run(run.source, folder / "out")


def pixels(dataset: pydicom.Dataset) -> np.ndarray:
    """(F, H, W) view of the uncompressed pixels of a dataset, to be changed in place and put back."""
    return np.frombuffer(bytearray(dataset.PixelData), "<u2").reshape(-1, dataset.Rows, dataset.Columns)


def packed(area: np.ndarray) -> str:
    """A box's area as the manifest has it, by the words of docs/reference/manifest.md."""
    return base64.b64encode(zlib.compress(np.packbits(area).tobytes())).decode()
