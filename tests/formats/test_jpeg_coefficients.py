"""JPEG redacted in its coefficients: what no removed area touches is identical, what was removed as a whole has no detail left."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import save_frames
from PIL import Image
from pydicom import uid
from pydicom.data import get_testdata_file

from markerremover.errors import WriteError
from markerremover.formats.coefficients import blocks, check
from markerremover.formats.coefficients.stream import UnsuitedError, encoded, read
from markerremover.formats.dicom.files import read_dicom, verify_dicom, write_dicom
from markerremover.formats.jpeg import AGAIN, SOS, assemble, encode_jpeg, read_jpeg, segments, verify_redacted

PATHLESS = Path("x.jpg")
HEIGHT, WIDTH = 91, 133  # neither is a multiple of a block
BOX = (slice(21, 61), slice(30, 119))
INNER = (slice(32, 48), slice(32, 112))  # whole blocks of 16 of the box


def picture(channels: int = 1, print_seed: int = 0) -> np.ndarray:
    """A smooth (H, W[, 3]) image with grain, and print in INNER that depends on a seed."""
    rng = np.random.default_rng(1)
    small = rng.integers(60, 180, (6, 9, channels), dtype=np.uint8)
    image = np.stack([np.asarray(Image.fromarray(small[..., c]).resize((WIDTH, HEIGHT), Image.BICUBIC)) for c in range(channels)], -1)
    image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    shape = image[INNER].shape[:2]
    image[INNER] = np.where(np.random.default_rng(print_seed).random(shape) > 0.5, 255, 40)[..., None]
    return image[..., 0] if channels == 1 else image


def jpeg(image: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", **{"quality": 85, **options})
    return buffer.getvalue()


def in_several_scans(image: np.ndarray) -> bytes:
    """A baseline file with one scan a component, of (H, W, 3) YCbCr values."""
    parts = [segments(PATHLESS, jpeg(np.ascontiguousarray(image[..., c]))) for c in range(3)]
    (dqt, table), (frame, head), *_ = [s for s in parts[0] if s[0] in (0xDB, 0xC0)]
    whole = head[:5] + b"\x03" + b"".join(bytes([c + 1, 0x11, 0]) for c in range(3))
    codes = [s for s in parts[0] if s[0] == 0xC4]
    scans = [next(body for marker, body in part if marker == SOS) for part in parts]
    return assemble([(dqt, table), (frame, whole), *codes, *((SOS, b"\x01" + bytes([c + 1]) + scan[2:]) for c, scan in enumerate(scans))])


KINDS = {
    "grey": lambda seed: jpeg(picture(1, seed)),
    "grey with two tables": lambda seed: with_spare_table(jpeg(picture(1, seed))),
    "progressive": lambda seed: jpeg(picture(1, seed), progressive=True),
    "restarts": lambda seed: jpeg(picture(1, seed), restart_marker_blocks=5),
    "4:4:4": lambda seed: jpeg(picture(3, seed), subsampling=0),
    "4:2:2": lambda seed: jpeg(picture(3, seed), subsampling=1),
    "4:2:0": lambda seed: jpeg(picture(3, seed), subsampling=2),
    "4:2:0, progressive, restarts": lambda seed: jpeg(picture(3, seed), subsampling=2, progressive=True, restart_marker_blocks=9),
    "several scans": lambda seed: in_several_scans(picture(3, seed)),
    "extended": lambda seed: jpeg(picture(1, seed)).replace(b"\xff\xc0", b"\xff\xc1", 1),
    "Adobe's YCbCr": lambda seed: adobe(jpeg(picture(3, seed), subsampling=2)),
}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())


def with_spare_table(data: bytes) -> bytes:
    return data[:2] + b"\xff\xdb\x00\x43\x03" + bytes([7] * 64) + data[2:]


def adobe(data: bytes) -> bytes:
    """The file with Adobe's segment, which says YCbCr, in place of JFIF's."""
    return assemble([(0xEE, b"Adobe\0\x64\0\0\0\0\x01"), *segments(PATHLESS, data)])


def redacted(data: bytes, new_value: int = 0, box=BOX):
    """(radiograph, new pixels, mask, output, its row) of a JPEG whose box was removed."""
    radiograph = read_jpeg(PATHLESS, data)
    new, mask = radiograph.stored.copy(), np.zeros(radiograph.stored.shape[:3], bool)
    mask[:, box[0], box[1]] = True
    new[mask] = new_value
    out, notes = encode_jpeg(radiograph, new, touched=True, removed=mask)
    return radiograph, new, mask, out, verify_redacted(radiograph, new, read_jpeg(PATHLESS, out), mask, notes), notes


def bodies(data: bytes, *markers: int) -> list[tuple[int, bytes]]:
    return [segment for segment in segments(PATHLESS, data) if segment[0] in markers]


@every_kind
def test_blocks_that_no_removed_area_touches_keep_their_coefficients(make):
    data = make(0)
    radiograph, new, mask, out, row, notes = redacted(data)
    assert not notes and row["coefficients"] == "kept"
    before, after = read(data), read(out)
    count = rewritten = 0
    for i, (y, x) in enumerate(before.steps_yx):
        rows, columns = (slice(s.start // (8 * step), -(-s.stop // (8 * step))) for s, step in zip(BOX, (y, x)))
        touched = np.zeros((before.planes[i].shape[0] // 8, before.planes[i].shape[1] // 8), bool)
        touched[rows, columns] = True
        same = (blocks.grid(before.planes[i]) == blocks.grid(after.planes[i])).all(axis=(2, 3))
        assert same[~touched].all() and (i or not same[touched].all())  # colour that was black already may be the same
        count, rewritten = count + touched.size, rewritten + int(touched.sum())
    assert (row["blocks"], row["rewritten"]) == (count, rewritten)
    again = read_jpeg(PATHLESS, out)
    assert again.source.tables == radiograph.source.tables and again.source.subsampling == radiograph.source.subsampling
    assert bodies(out, 0xC0, 0xC1, 0xC2, 0xEE, 0xDD) == bodies(data, 0xC0, 0xC1, 0xC2, 0xEE, 0xDD)
    assert [m for m, _ in bodies(out, 0xE0)] == [m for m, _ in bodies(data, 0xE0)]


@every_kind
def test_a_block_removed_as_a_whole_has_no_detail_and_is_black(make):
    _, new, mask, out, *_ = redacted(make(0))
    after = read(out)
    for i, (plane, table, (y, x)) in enumerate(zip(after.planes, after.tables, after.steps_yx)):
        rows, columns = (slice(-(-s.start // (8 * step)), s.stop // (8 * step)) for s, step in zip(BOX, (y, x)))
        inner = blocks.grid(plane)[rows, columns]
        assert inner.size and not inner.reshape(-1, 64)[:, 1:].any()
        assert (np.abs(inner[..., 0, 0] * table[0, 0] + (1024 if i == 0 else 0)) <= table[0, 0] / 2).all()
    seen = read_jpeg(PATHLESS, out).stored[0]
    assert seen[INNER].max() <= 2
    assert seen[BOX].astype(int).mean() < 6


@every_kind
def test_the_output_does_not_depend_on_what_was_printed_in_whole_blocks(make):
    assert make(0) != make(5)
    assert redacted(make(0))[3] == redacted(make(5))[3]


def test_pixels_of_a_block_outside_the_box_stay_within_the_reach_of_its_quantisation():
    radiograph, new, mask, out, row, _ = redacted(jpeg(picture(), quality=60))
    coefficients = read(out)
    around = blocks.footprint(coefficients, mask[0]) & ~mask[0]
    difference = np.abs(read_jpeg(PATHLESS, out).stored[0].astype(int) - radiograph.stored[0])
    assert not difference[~around & ~mask[0]].any() and row["around_px"] == around.sum() > 0
    assert 0 < difference[around].mean() < np.sqrt((coefficients.tables[0] ** 2 / 4).mean())


@pytest.mark.parametrize("channels", [1, 3])
def test_new_pixels_other_than_black_are_written(channels):
    radiograph, new, mask, out, *_ = redacted(jpeg(picture(channels), quality=95, subsampling=2), 90)
    seen = read_jpeg(PATHLESS, out).stored[0]
    assert np.abs(seen[INNER].astype(int) - 90).max() <= 3


def test_detail_below_black_is_removed_too():
    source = read(jpeg(np.full((48, 64), 3, np.uint8), quality=90))
    plane = np.array(source.planes[0])
    blocks.grid(plane)[2, 3] = 0
    blocks.grid(plane)[2, 3, 0, 0], blocks.grid(plane)[2, 3, 1, 1] = -100000 // (8 * int(source.tables[0][0, 0])) // 16, 9
    radiograph = read_jpeg(PATHLESS, encoded(source, (plane,)))
    mask = np.zeros((1, 48, 64), bool)
    mask[:, 16:24, 24:32] = True
    black = np.where(mask, np.uint8(0), radiograph.stored)
    out, _ = encode_jpeg(radiograph, black, touched=True, removed=mask)
    assert not blocks.grid(read(out).planes[0])[2, 3].ravel()[1:].any()


def test_padding_beyond_the_edge_repeats_the_new_pixels():
    box = (slice(80, HEIGHT), slice(0, WIDTH))
    image = picture()
    image[box] = np.random.default_rng(0).integers(0, 255, image[box].shape)
    assert not blocks.grid(read(redacted(jpeg(image), box=box)[3]).planes[0])[10:].reshape(-1, 64)[:, 1:].any()


@pytest.mark.parametrize(
    ("make", "reason"),
    [(lambda: jpeg(picture(3), keep_rgb=True), "not stored as YCbCr"),
     (lambda: jpeg(picture(3)[:, :128], subsampling=2).replace(b"\x03\x01\x22\x00", b"\x03\x01\x41\x00"), "unusual proportions"),
     (lambda: with_later_table(jpeg(picture(), progressive=True)), "between scans")],
    ids=["RGB", "four to one", "tables between scans"])  # fmt: skip
def test_what_cannot_be_edited_is_encoded_again_and_says_so(make, reason):
    *_, row, notes = redacted(make(), box=(slice(20, 60), slice(30, 100)))
    assert row == {"coefficients": "encoded again"} and notes[0].startswith(AGAIN) and reason in notes[0]


def with_later_table(data: bytes) -> bytes:
    parts = segments(PATHLESS, data)
    last = max(i for i, (marker, _) in enumerate(parts) if marker == SOS)
    return assemble([*parts[:last], *bodies(data, 0xDB), *parts[last:]])


def test_without_the_library_all_blocks_are_encoded_again(monkeypatch):
    monkeypatch.setitem(sys.modules, "jpegio", None)
    *_, row, notes = redacted(jpeg(picture()))
    assert row == {"coefficients": "encoded again"} and "not installed" in notes[0]


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xc0\x00\x0b\x08\xff\xff\xff\xff\x01\x01\x11\x00\xff\xd9"])
def test_a_stream_that_the_library_refuses_is_an_error_without_its_numbers(data):
    with pytest.raises(UnsuitedError) as error:
        read(data)
    assert not any(c.isdigit() for c in str(error.value))


def test_the_check_sees_text_that_stayed_and_blocks_that_changed():
    data = jpeg(picture())
    radiograph, new, mask, out, *_ = redacted(data)
    pixels = radiograph.stored[0], read_jpeg(PATHLESS, out).stored[0]
    assert check.compared(data, out, new[0], mask[0], pixels).fault == ""
    assert "not what was to be written" in check.compared(data, data, new[0], mask[0], (pixels[0], pixels[0])).fault
    smaller = mask[0] & (np.arange(WIDTH) < 60)
    assert "other coefficients" in check.compared(data, out, new[0], smaller, pixels).fault
    assert "have changed" in check.compared(data, out, new[0], mask[0], (pixels[0], np.maximum(pixels[1], 2) - 2)).fault
    assert "tables" in check.compared(data, jpeg(picture(), quality=50), new[0], mask[0], pixels).fault
    with pytest.raises(WriteError, match="other coefficients"):  # a file that was encoded again without a note
        verify_redacted(radiograph, new, read_jpeg(PATHLESS, jpeg(new[0])), mask)


def frames_file(folder: Path, frames: list[bytes], *, photometric="MONOCHROME2", syntax=uid.JPEGBaseline8Bit, **elements) -> Path:
    channels = 1 if photometric.startswith("MONO") else 3
    shape = (len(frames), HEIGHT, WIDTH) if channels == 1 else (len(frames), HEIGHT, WIDTH, 3)
    return save_frames(folder / "in.dcm", np.zeros(shape, np.uint8), frames, syntax, bits=8, photometric=photometric, **elements)


def rewrite(path: Path, value=0, box=BOX, frame=0):
    """(radiograph, output's radiograph, its dataset, its row, notes) of a DICOM file whose box was removed from one frame."""
    radiograph = read_dicom(path)
    new, mask = radiograph.stored.copy(), np.zeros(radiograph.stored.shape[:3], bool)
    mask[frame, box[0], box[1]] = True
    new[mask] = value
    target = path.with_name("out.dcm")
    notes = write_dicom(radiograph, new, target, touched=True, removed=mask)
    row = verify_dicom(radiograph, new, target, touched=True, removed=mask)["jpeg"]
    return radiograph, read_dicom(target), pydicom.dcmread(target), row, notes


@pytest.mark.parametrize("photometric, kind, fill", [
    ("MONOCHROME2", "grey", 0), ("MONOCHROME1", "restarts", 255), ("MONOCHROME2", "progressive", 0), ("MONOCHROME2", "extended", 0),
    ("YBR_FULL", "4:4:4", 0), ("YBR_FULL_422", "4:2:2", 0), ("YBR_FULL_422", "4:2:0", 0),
])  # fmt: skip
def test_dicom_frames_stay_lossy_in_their_own_syntax_and_say_so(tmp_path, photometric, kind, fill):
    syntax = uid.JPEGExtended12Bit if kind == "extended" else uid.JPEGBaseline8Bit
    frames = [KINDS[kind](seed) for seed in (0, 5)]
    path = frames_file(tmp_path, frames, photometric=photometric, syntax=syntax, LossyImageCompression="01")
    radiograph, again, out, row, notes = rewrite(path, fill, frame=1)
    assert row["coefficients"] == "kept" and not any("PixelData" in note for note in notes)
    assert out.file_meta.TransferSyntaxUID == syntax and out.PhotometricInterpretation == photometric and out.NumberOfFrames == 2
    assert out.LossyImageCompression == "01" and out.LossyImageCompressionMethod == "ISO_10918_1" and out.LossyImageCompressionRatio > 1
    assert out.ImageType[0] == "DERIVED" and out.SOPInstanceUID != "1.2.3.4"
    assert len(out.PixelData) < 1.1 * len(pydicom.dcmread(path).PixelData)
    assert np.array_equal(again.stored[0], radiograph.stored[0])  # the other frame
    assert np.abs(again.stored[1][INNER].astype(int) - fill).max() <= 4  # colour of the next block is smoothed into its last pixels
    edge = blocks.footprint(read(frames[1]), np.isin(np.arange(HEIGHT), range(21, 61))[:, None] & np.isin(np.arange(WIDTH), range(30, 119)))
    edge[1:] |= edge[:-1].copy()
    edge[:-1] |= edge[1:].copy()
    edge[:, 1:] |= edge[:, :-1].copy()
    edge[:, :-1] |= edge[:, 1:].copy()
    assert np.array_equal(again.stored[1][~edge], radiograph.stored[1][~edge])


def test_a_frame_with_a_comment_is_written_without_it(tmp_path):
    comment = jpeg(picture())
    comment = comment[:2] + b"\xff\xfe\x00\x0cSMITH^JOHN" + comment[2:]
    radiograph = read_dicom(frames_file(tmp_path, [comment]))
    assert radiograph.source.dirty
    write_dicom(radiograph, radiograph.stored, tmp_path / "out.dcm", touched=False)
    verify_dicom(radiograph, radiograph.stored, tmp_path / "out.dcm", touched=False)
    out = pydicom.dcmread(tmp_path / "out.dcm")
    assert b"SMITH" not in out.PixelData and out.file_meta.TransferSyntaxUID == uid.JPEGBaseline8Bit
    assert np.array_equal(read_dicom(tmp_path / "out.dcm").stored, radiograph.stored)


@pytest.mark.parametrize("name, reason", [("JPGExtended.dcm", "12 bits"), ("SC_rgb_dcmtk_+eb+cr.dcm", "not stored as YCbCr")])
def test_dicom_frames_that_cannot_be_edited_are_decompressed_and_the_row_says_why(tmp_path, name, reason):
    path = tmp_path / "in.dcm"
    path.write_bytes(Path(get_testdata_file(name)).read_bytes())
    radiograph, again, out, row, notes = rewrite(path, box=(slice(5, 20), slice(5, 20)))
    assert row == {"coefficients": "decompressed"} and any(reason in note for note in notes)
    assert out.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian and not again.stored[0, 5:20, 5:20].any()


def test_frames_that_hide_a_picture_below_the_image_are_decompressed(tmp_path):
    image = picture()
    image[86:, 24:100:5] = 255
    shorter = jpeg(image).replace((HEIGHT).to_bytes(2, "big") + WIDTH.to_bytes(2, "big"), (85).to_bytes(2, "big") + WIDTH.to_bytes(2, "big"), 1)
    path = save_frames(tmp_path / "in.dcm", np.zeros((1, 85, WIDTH), np.uint8), [shorter], uid.JPEGBaseline8Bit, bits=8)
    *_, row, notes = rewrite(path)
    assert row == {"coefficients": "decompressed"} and any("outside of the image" in note for note in notes)


def test_whether_decoders_agree_about_a_stream(tmp_path):
    data = jpeg(picture())
    at = data.index(b"\xff\xda") + 400
    damaged = data[:at] + bytes(byte ^ 0x41 for byte in data[at : at + 40]).replace(b"\xff", b"\x00") + data[at + 40 :]
    radiograph = read_dicom(frames_file(tmp_path, [damaged]))
    assert check.agree(data, radiograph.stored[0]) is False and check.agree(b"", radiograph.stored[0]) is False
    assert check.agree(data, np.asarray(Image.open(io.BytesIO(data))))


def test_verification_sees_a_jpeg_frame_that_was_not_redacted(tmp_path):
    path = frames_file(tmp_path, [jpeg(picture())], LossyImageCompression="01")
    radiograph = read_dicom(path)
    new = radiograph.stored.copy()
    new[:, BOX[0], BOX[1]] = 0
    write_dicom(radiograph, radiograph.stored, tmp_path / "out.dcm", touched=True, removed=np.zeros(new.shape, bool))
    with pytest.raises(WriteError, match="not what was to be written"):
        verify_dicom(radiograph, new, tmp_path / "out.dcm", touched=True)


def test_a_requested_lossless_syntax_is_written_without_loss(tmp_path):
    radiograph = read_dicom(frames_file(tmp_path, [jpeg(picture())]))
    new = radiograph.stored.copy()
    new[:, BOX[0], BOX[1]] = 0
    write_dicom(radiograph, new, tmp_path / "out.dcm", touched=True, transfer_syntax="rle")
    assert verify_dicom(radiograph, new, tmp_path / "out.dcm", touched=True, transfer_syntax="rle")["jpeg"] == {"coefficients": "decompressed"}
    assert np.array_equal(read_dicom(tmp_path / "out.dcm").stored, new)
