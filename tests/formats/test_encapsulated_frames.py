"""Compressed frames: whatever is not the picture is seen, and does not leave with a file that nobody touched."""

from __future__ import annotations

import struct
from pathlib import Path

import fakes
import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.pixels.encoders import RLELosslessEncoder
from test_dicom import header, random_stored, rewrite, save

from markerremover.errors import HeldError, ReadError, WriteError
from markerremover.formats.dicom.files import read_dicom, verify_dicom, write_dicom

SECRET = b"SMITH^JOHN"
PLAIN, MARKED = fakes.radiograph(1, ()), fakes.radiograph(2)
SAMPLES = {
    "JPEG": "JPGExtended.dcm",
    "JPEG lossless": "SC_rgb_jpeg_gdcm.dcm",
    "JPEG-LS": "MR_small_jpeg_ls_lossless.dcm",
    "JPEG 2000": "MR_small_jp2klossless.dcm",
    "RLE": "MR_small_RLE.dcm",
}


def sample(kind: str) -> tuple[pydicom.Dataset, bytes]:
    """A compressed file of one frame, and that frame without padding."""
    dataset = pydicom.dcmread(get_testdata_file(SAMPLES[kind]))
    dataset.PatientName = ""
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    return dataset, frame if kind == "RLE" else frame[: frame.rindex(b"\xff\xd9") + 2]


def put(folder: Path, dataset: pydicom.Dataset, value: bytes, **elements) -> Path:
    dataset.PixelData = value
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    for keyword, content in elements.items():
        setattr(dataset, keyword, content)
    dataset.save_as(folder / "in.dcm", enforce_file_format=True)
    return folder / "in.dcm"


def jpegs(folder: Path, streams: list[bytes], frames: int = 1, **options) -> Path:
    dataset = header(uid.JPEGBaseline8Bit, PatientName="", NumberOfFrames=frames, SamplesPerPixel=1, BitsAllocated=8, BitsStored=8)
    dataset.Rows, dataset.Columns, dataset.HighBit, dataset.PixelRepresentation = *PLAIN.shape, 7, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    return put(folder, dataset, encapsulate(streams, **options))


def unchanged(folder: Path, path: Path) -> tuple[bool, bytes]:
    """Write the file with nothing removed: whether it was dirty, and the bytes that come out; pixels stay as decoded."""
    radiograph, _, again, _ = rewrite(folder, path, touched=False)
    assert np.array_equal(again.stored, radiograph.stored)
    return radiograph.source.dirty, (folder / "out.dcm").read_bytes()


@pytest.mark.parametrize("kind", SAMPLES)
def test_an_honest_frame_keeps_its_bytes_padded_or_not(tmp_path, kind):
    dataset, frame = sample(kind)
    for padding in (b"", b"\0\0"):
        dirty, out = unchanged(tmp_path, put(tmp_path, dataset, encapsulate([frame + padding])))
        assert not dirty and frame in out


@pytest.mark.parametrize("kind", SAMPLES)
def test_what_lies_behind_the_end_of_a_frame_does_not_leave(tmp_path, kind):
    dataset, frame = sample(kind)
    before = read_dicom(put(tmp_path, dataset, encapsulate([frame]))).stored
    path = put(tmp_path, dataset, encapsulate([frame + b"\0\0" + SECRET]))
    dirty, out = unchanged(tmp_path, path)
    assert dirty and SECRET not in out and np.array_equal(read_dicom(path).stored, before)


@pytest.mark.parametrize("kind", ["JPEG", "JPEG lossless", "JPEG-LS"])
@pytest.mark.parametrize("marker", [0xFE, 0xE0, 0xE1, 0xE8, 0xEE, 0xEF, 0xDD, 0xDC, 0xF8])
def test_no_segment_of_a_jpeg_frame_carries_text_out(tmp_path, kind, marker):
    dataset, frame = sample(kind)
    body = {0xE0: b"JFIF\0\1\1\0\0\1\0\1\0\0", 0xEE: b"Adobe\0\x64\0\0\0\0\0"}.get(marker, b"") + SECRET
    segment = struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
    path = put(tmp_path, dataset, encapsulate([frame[:2] + segment + frame[2:]]))
    try:
        dirty, out = unchanged(tmp_path, path)
    except ReadError:
        return  # the decoder refused such a segment: no image, no leak
    assert dirty and SECRET not in out


@pytest.mark.parametrize("at", ["main header", "tile-part header"])
@pytest.mark.parametrize("text", [SECRET, b"Kakadu-SMITH", b"Kakadu-7.1 SMITH^JOHN"])
def test_a_comment_in_a_codestream_does_not_leave_unless_it_only_names_the_encoder(tmp_path, at, text):
    dataset, frame = sample("JPEG 2000")
    segment = struct.pack(">BBHH", 0xFF, 0x64, len(text) + 4, 1) + text
    tile = frame.index(b"\xff\x90")
    if at == "main header":
        frame = frame[:tile] + segment + frame[tile:]
    else:
        (size,) = struct.unpack_from(">L", frame, tile + 6)
        head = frame[: tile + 6] + struct.pack(">L", size + len(segment)) + frame[tile + 10 : tile + 12]
        frame = head + segment + frame[tile + 12 :]
    dirty, out = unchanged(tmp_path, put(tmp_path, dataset, encapsulate([frame])))
    assert dirty and b"SMITH" not in out


def test_a_codestream_in_a_jp2_file_is_unpacked(tmp_path):
    dirty, out = unchanged(tmp_path, Path(get_testdata_file("GDCMJ2K_TextGBR.dcm")))
    assert dirty and b"ftypjp2" not in out


@pytest.mark.parametrize("fragments", [1, 2], ids=["in one fragment", "in its own fragment"])
@pytest.mark.parametrize("frames", [1, 2])
def test_a_picture_more_than_declared_holds_the_file(tmp_path, frames, fragments):
    hidden = fakes.jpeg(MARKED)
    streams = [fakes.jpeg(PLAIN)] * frames
    streams = [*streams, hidden] if fragments == 2 else [*streams[:-1], streams[-1] + hidden]
    for has_bot in (False, True):
        path = jpegs(tmp_path, streams, frames, has_bot=has_bot)
        with pytest.raises(HeldError, match="frames"):
            unchanged(tmp_path, path)


@pytest.mark.parametrize("hides", [True, False], ids=["a picture", "zeros"])
def test_an_offset_table_that_skips_a_fragment_does_not_hide_it(tmp_path, hides):
    plain, hidden = fakes.jpeg(PLAIN), fakes.jpeg(MARKED) if hides else bytes(64)
    value, offsets, lengths = encapsulate_extended([plain, hidden])
    path = put(tmp_path, pydicom.dcmread(jpegs(tmp_path, [plain])), value, ExtendedOffsetTable=offsets[:8], ExtendedOffsetTableLengths=lengths[:8])
    if hides:
        with pytest.raises(HeldError, match="2 fragments"):
            read_dicom(path)
    else:
        assert unchanged(tmp_path, path)[0], "encoded anew"


@pytest.mark.parametrize("lie", [False, True], ids=["true", "untrue"])
def test_an_extended_offset_table_stays_if_it_is_true(tmp_path, lie):
    streams = [fakes.jpeg(PLAIN), fakes.jpeg(fakes.radiograph(5, ()))]
    value, offsets, lengths = encapsulate_extended(streams)
    path = put(tmp_path, pydicom.dcmread(jpegs(tmp_path, streams, 2)), value, ExtendedOffsetTable=offsets,
               ExtendedOffsetTableLengths=lengths if not lie else struct.pack("<2Q", len(streams[0]) - 400, len(streams[1])))  # fmt: skip
    if lie:
        with pytest.raises(ReadError, match="no end"):
            read_dicom(path)
        return
    dirty, _ = unchanged(tmp_path, path)
    assert not dirty and pydicom.dcmread(tmp_path / "out.dcm").ExtendedOffsetTable == offsets


def test_a_scan_that_shows_a_component_again_is_not_kept(tmp_path):
    plain, other = fakes.jpeg(PLAIN), fakes.jpeg(MARKED)
    scan = other[other.index(b"\xff\xda") : -2]
    path = jpegs(tmp_path, [plain[:-2] + scan + plain[-2:]])
    try:
        dirty, out = unchanged(tmp_path, path)
    except ReadError:
        return  # a decoder that refuses a second scan leaves nothing to leak
    assert dirty and scan not in out


def rle(words: np.ndarray) -> bytes:
    return RLELosslessEncoder.encode(
        words, rows=words.shape[0], columns=words.shape[1], samples_per_pixel=1, photometric_interpretation="MONOCHROME2",
        bits_allocated=16, bits_stored=16, pixel_representation=0, number_of_frames=1)  # fmt: skip


@pytest.mark.parametrize("signed", [False, True])
def test_an_overlay_in_the_unused_bits_of_compressed_pixels_goes(tmp_path, signed):
    stored = random_stored(12, signed)
    words = stored[0].astype(np.int64) & 0xFFF
    words[3:9, 4:12] |= 0x8000
    dataset = pydicom.dcmread(save(tmp_path, stored, syntax=uid.RLELossless))
    path = put(tmp_path, dataset, encapsulate([rle(words.astype(np.uint16))]))
    dirty, _ = unchanged(tmp_path, path)
    out = pydicom.dcmread(tmp_path / "out.dcm")
    out.BitsStored, out.HighBit, out.PixelRepresentation = 16, 15, 0
    assert dirty and np.array_equal(read_dicom(path).stored, stored)
    left = out.pixel_array & ~np.uint16(0x0FFF)
    assert not (left & 0x7FFF != np.where(left >> 15, 0x7000, 0)).any()  # nothing, or the sign
    assert np.array_equal(left >> 15, stored[0] < 0)


def test_compressed_pixels_with_bits_below_the_stored_ones_are_held(tmp_path):
    stored = random_stored()
    dataset = pydicom.dcmread(save(tmp_path, stored, syntax=uid.RLELossless))
    dataset.HighBit = 15
    with pytest.raises(HeldError, match="high bit 15"):
        read_dicom(put(tmp_path, dataset, encapsulate([rle(stored[0] << 4)])))


@pytest.mark.parametrize("where", ["between segments", "in the header"])
def test_an_rle_frame_hides_nothing_between_its_segments(tmp_path, where):
    dataset, frame = sample("RLE")
    head, body = list(struct.unpack_from("<16L", frame)), frame[64:]
    if where == "between segments":
        cut = head[2] - 64
        body = body[:cut] + SECRET + body[cut:]
        head[2] += len(SECRET)
    else:
        head[4:7] = struct.unpack("<3L", SECRET + b"!!")
    dirty, out = unchanged(tmp_path, put(tmp_path, dataset, encapsulate([struct.pack("<16L", *head) + body])))
    assert dirty and SECRET not in out


def test_an_rle_run_that_is_too_long_is_an_error_and_no_panic(tmp_path):
    dataset, frame = sample("RLE")
    head = struct.unpack_from("<16L", frame)
    low = dataset.pixel_array.astype("<u2").tobytes()[::2]
    runs = [low[i : i + 128] for i in range(0, len(low) - 128, 128)] + [low[-128:-8], low[-8:] + SECRET]
    frame = frame[: head[2]] + b"".join(bytes([len(run) - 1]) + run for run in runs)
    with pytest.raises(ReadError, match="longer than the image"):
        read_dicom(put(tmp_path, dataset, encapsulate([frame])))


def test_an_output_that_holds_more_than_its_pixels_is_not_released(tmp_path):
    path = jpegs(tmp_path, [fakes.jpeg(PLAIN)])
    radiograph, target = read_dicom(path), tmp_path / "out.dcm"
    write_dicom(radiograph, radiograph.stored, target, touched=False)
    spoilt = pydicom.dcmread(target)
    spoilt.PixelData = encapsulate([fakes.jpeg(PLAIN) + SECRET])
    spoilt.save_as(target)
    with pytest.raises(WriteError, match="more than its pixels"):
        verify_dicom(radiograph, radiograph.stored, target, touched=False)
