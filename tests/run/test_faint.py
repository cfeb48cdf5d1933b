"""Pictures that use a small part of their range, in every format: what looks sees them stretched, what is stored stays."""

from __future__ import annotations

import io

import cv2
import dicom_files
import fakes
import numpy as np
import pytest
import tifffile
from PIL import Image

from markerremover.audit import manifest_files
from markerremover.evaluation import evaluate, results
from markerremover.formats import images
from markerremover.labels import labelled_folder, labelme
from markerremover.options import RunOptions
from markerremover.records import Annotation, Element, Policy
from markerremover.review import pictures, proposals
from markerremover.run import batch

NOTHING = Policy(keep=())
X1, Y1, X2, Y2 = fakes.NAME_BOX
FAINT = (fakes.radiograph(1).astype(np.uint16) * 16 // 272).astype(np.uint8)  # 0-15, as 12 bits // 256 leave it
TOP = FAINT + 240


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(pixels: np.ndarray, photometric: str) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric=photometric)
    return buffer.getvalue()


def palette(pixels: np.ndarray) -> Image.Image:
    image = Image.fromarray(pixels).convert("P")
    image.putpalette([level for level in range(256) for _ in range(3)])
    return image


GREY, OPAQUE = Image.fromarray(FAINT), Image.new("L", FAINT.shape[::-1], 255)
FILES = {
    "grey.png": encoded(GREY, "PNG"), "top.png": encoded(Image.fromarray(TOP), "PNG"), "rgb.png": encoded(GREY.convert("RGB"), "PNG"),
    "grey-alpha.png": encoded(Image.merge("LA", (GREY, OPAQUE)), "PNG"), "rgba.png": encoded(Image.merge("RGBA", (*[GREY] * 3, OPAQUE)), "PNG"),
    "palette.png": encoded(palette(FAINT), "PNG"), "grey.tif": tiff(FAINT, "minisblack"), "white-is-zero.tif": tiff(255 - FAINT, "miniswhite"),
    "rgb.tif": tiff(np.dstack([FAINT] * 3), "rgb"), "grey.jpg": encoded(GREY, "JPEG", quality=100),
    "rgb.jpg": encoded(GREY.convert("RGB"), "JPEG", quality=100, subsampling=0), "lzw.tif": encoded(GREY, "TIFF", compression="tiff_lzw"),
}
KINDS = ["MONOCHROME2", "MONOCHROME1", "RGB", "window", "MONOCHROME1 window", "PALETTE COLOR"]


def find_bright(frame: np.ndarray, threshold: float | None = None):
    """`fakes.find_white` for print that JPEG has blurred by a grey of the fifteen."""
    return fakes.find_white(np.where(frame > 205, 255, 0).astype(np.uint8))


def cleaner(threads: int = 1):
    return fakes.cleaner(detector=find_bright)


def dicom(folder, kind: str):
    stored = (255 - FAINT if "1" in kind else FAINT)[None]
    window = {"WindowCenter": 128, "WindowWidth": 256} if "window" in kind else {}
    if kind == "RGB":
        return dicom_files.save(folder, np.stack([stored] * 3, axis=-1), bits=8, photometric="RGB")
    if kind == "PALETTE COLOR":
        ramp = (np.arange(256, dtype=np.uint16) * 257).tobytes()
        for colour in ("Red", "Green", "Blue"):
            window |= {f"{colour}PaletteColorLookupTableDescriptor": [256, 0, 16], f"{colour}PaletteColorLookupTableData": ramp}
    return dicom_files.save(folder, stored, bits=8, photometric=kind.split()[0].replace("window", "MONOCHROME2").replace("PALETTE", kind), **window)


@pytest.fixture(params=[*FILES, *KINDS], ids=str)
def faint(request, tmp_path):
    (tmp_path / "in").mkdir()
    if request.param in FILES:
        return fakes.put(tmp_path / "in" / request.param, FILES[request.param])
    return dicom(tmp_path / "in", request.param)


def test_the_print_is_found_and_only_its_stored_pixels_change(faint, tmp_path):
    radiograph = images.read(faint)
    assert radiograph.display[0, Y1 + 4, X1 + 4] >= 230 and radiograph.display[0, 40:, 70:].max() < 200
    batch.remove([faint.parent], tmp_path / "out", options=RunOptions(policy=NOTHING), open_cleaner=cleaner)
    (row,) = manifest_files.read_manifest(tmp_path / "out-audit" / manifest_files.MANIFEST)
    assert row["status"] == "cleaned", row["reason"]
    after = images.read(tmp_path / "out" / row["relative"])
    box = np.zeros(radiograph.stored.shape[:3], bool)
    for x1, y1, x2, y2 in (b["xyxy"] for b in row["boxes"]):
        box[:, y1:y2, x1:x2] = True
    assert box[0, Y1:Y2, X1:X2].all() and not box[0, 60:, 80:].any()
    if radiograph.format == "JPEG":
        assert np.abs(after.stored.astype(int) - radiograph.stored)[~box].max() <= 6 and after.stored[box].max() <= 6
    else:
        assert np.array_equal(after.stored[~box], radiograph.stored[~box]) and (after.stored[box] == radiograph.fill).all()


def test_a_result_is_shown_and_judged_as_its_original_is(faint, tmp_path):
    batch.remove([faint.parent], tmp_path / "out", options=RunOptions(policy=NOTHING, headers="keep"), open_cleaner=cleaner)
    (row,) = manifest_files.read_manifest(tmp_path / "out-audit" / manifest_files.MANIFEST)
    before, after = images.read(faint), images.read(tmp_path / "out" / row["relative"])
    shown = results.shown_after(before, after)
    assert np.array_equal(shown[60:, 80:], before.display[0, 60:, 80:])
    (tmp_path / "truth").mkdir()
    note = Annotation(faint.name, fakes.SHAPE, (Element((X1 - 2.0, Y1 - 2.0, X2 + 2.0, Y2 + 2.0), "marker"),))
    labelme.write(tmp_path / "truth" / "0.json", note)
    document, _ = evaluate.evaluate(tmp_path / "out", tmp_path / "truth", faint.parent)
    assert document["recall"]["k"] == 1 and document["false_regions"]["k"] == 0 and document["anatomy_removed"]["value"] == 0
    pair = pictures.load(faint, tmp_path / "out" / row["relative"], row, row["boxes"])
    assert np.abs(pictures.render(pair, "after", 0)[60:, 80:].astype(int) - before.display[0, 60:, 80:]).max() <= (70 if before.format == "JPEG" else 0)
    assert (pictures.render(pair, "difference", 0)[60:, 80:] == pictures.FLAT).all()


def test_annotations_show_it_stretched_and_training_sees_the_same(faint, tmp_path):
    done = proposals.annotate([faint.parent], tmp_path / "labels", policy=NOTHING, open_cleaner=cleaner)
    assert done["written"] == 1
    (picture,) = (tmp_path / "labels" / "images").iterdir()
    display = images.read(faint).display[0]
    assert np.array_equal(cv2.imread(str(picture), cv2.IMREAD_UNCHANGED), display) and np.array_equal(labelled_folder.read_grey(picture), display)
    if faint.suffix != ".dcm":
        assert np.array_equal(labelled_folder.read_grey(faint), display)


def test_few_bits_of_a_png_that_hold_fewer(tmp_path):
    pixels = (FAINT // 5).astype(np.uint8)  # 0-3 of 0-15
    image = Image.fromarray(pixels)
    packed = np.packbits(((pixels[..., None] >> np.arange(3, -1, -1)) & 1).astype(np.uint8).reshape(pixels.shape[0], -1), axis=1)
    assert packed.shape[1] * 2 == image.width
    import struct
    import zlib

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + row.tobytes() for row in packed)
    header = struct.pack(">IIBBBBB", image.width, image.height, 4, 0, 0, 0, 0)
    path = fakes.put(tmp_path / "four.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    radiograph = images.read(path)
    assert np.array_equal(radiograph.stored[0], pixels) and radiograph.display[0, Y1 + 4, X1 + 4] == 255


def test_a_faint_frame_of_a_cine_is_cleaned_too(tmp_path):
    (tmp_path / "in").mkdir()
    dicom_files.save(tmp_path / "in", np.stack([fakes.radiograph(0, ()), FAINT, TOP]), bits=8)
    batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(policy=NOTHING, headers="keep"), open_cleaner=cleaner)
    (row,) = manifest_files.read_manifest(tmp_path / "out-audit" / manifest_files.MANIFEST)
    stored = images.read(tmp_path / "out" / "in.dcm").stored
    assert row["status"] == "cleaned" and not stored[1:, Y1:Y2, X1:X2].any()


def test_training_sees_sixteen_bits_as_the_models_do(tmp_path):
    path = fakes.put(tmp_path / "wide.png", encoded(Image.fromarray(fakes.radiograph(1).astype(np.uint16) * 4), "PNG"))
    assert np.array_equal(labelled_folder.read_grey(path), images.read(path).display[0]) and labelled_folder.read_grey(path).max() == 255
