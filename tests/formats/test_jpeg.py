"""JPEG: untouched scans keep their bytes, touched ones the source's own tables; only what decoding needs survives."""

from __future__ import annotations

import doctest
import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from markerremover.errors import HeldError, ReadError, WriteError
from markerremover.formats import exif, jpeg_scans
from markerremover.formats.jpeg import SOS, assemble, encode_jpeg, read_jpeg, segments, verify_jpeg

PATHLESS = Path("x.jpg")
BOX = (slice(None), slice(16, 60), slice(20, 90))


def picture(channels: int = 1) -> np.ndarray:
    """A smooth (120, 160[, 3]) image with white text-like bars in BOX."""
    rng = np.random.default_rng(0)
    small = rng.integers(60, 180, (8, 10, channels), dtype=np.uint8)
    image = np.stack([np.asarray(Image.fromarray(small[..., c]).resize((160, 120), Image.BICUBIC)) for c in range(channels)], -1)
    image[20:56:4, 24:86] = 255
    return image[..., 0] if channels == 1 else image


def jpeg(channels: int = 1, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture(channels)).save(buffer, "JPEG", **{"quality": 90, **options})
    return buffer.getvalue()


def insert(data: bytes, *parts: tuple[int, bytes]) -> bytes:
    """The file with segments put in right behind its start."""
    added = b"".join(bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body for marker, body in parts)
    return data[:2] + added + data[2:]


def encoded(radiograph, new: np.ndarray, *, touched: bool) -> bytes:
    return encode_jpeg(radiograph, new, touched=touched)[0]


def redacted(radiograph) -> np.ndarray:
    new = radiograph.stored.copy()
    new[BOX] = 0
    return new


def scans(data: bytes) -> list[bytes]:
    return [body for marker, body in segments(PATHLESS, data) if marker == SOS]


def test_doctests_of_the_exif_module_hold():
    assert doctest.testmod(exif).failed == 0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_untouched_scans_keep_their_bytes(channels, progressive):
    data = jpeg(channels, progressive=progressive)
    radiograph = read_jpeg(PATHLESS, data)
    out = encoded(radiograph, radiograph.stored, touched=False)
    assert scans(out) == scans(data)
    assert np.array_equal(read_jpeg(PATHLESS, out).stored, radiograph.stored)


@pytest.mark.parametrize("quality", [40, 75, 95])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_touched_files_keep_tables_subsampling_and_kind(quality, subsampling, progressive):
    radiograph = read_jpeg(PATHLESS, jpeg(3, quality=quality, subsampling=subsampling, progressive=progressive))
    new = redacted(radiograph)
    out = encoded(radiograph, new, touched=True)
    again = read_jpeg(PATHLESS, out)
    verify_jpeg(radiograph, new, again.stored)
    assert again.source.tables == radiograph.source.tables
    assert again.source.subsampling == subsampling and again.source.progressive == progressive
    outside = np.ones(new.shape, bool)
    outside[:, 8:68, 12:98] = False
    assert np.abs(again.stored.astype(int) - new)[outside].mean() < 1.5


@pytest.mark.parametrize("quality", [20, 50, 75, 90, 98])
def test_removed_text_is_near_black_and_illegible(quality):
    radiograph = read_jpeg(PATHLESS, jpeg(quality=quality))
    again = read_jpeg(PATHLESS, encoded(radiograph, redacted(radiograph), touched=True)).stored
    inner = again[:, 24:52, 32:80]
    assert inner.max() <= 24 and again[BOX].mean() < 5


def test_grey_stays_grey_and_rgb_stays_rgb():
    grey = read_jpeg(PATHLESS, jpeg())
    assert read_jpeg(PATHLESS, encoded(grey, redacted(grey), touched=True)).stored.ndim == 3
    rgb = read_jpeg(PATHLESS, jpeg(3, keep_rgb=True))
    assert rgb.source.rgb
    for touched in (False, True):
        again = read_jpeg(PATHLESS, encoded(rgb, redacted(rgb) if touched else rgb.stored, touched=touched))
        assert again.source.rgb and np.abs(again.stored[:, 80:].astype(int) - rgb.stored[:, 80:]).max() < 12


@pytest.mark.parametrize("touched", [False, True], ids=["untouched", "touched"])
def test_only_orientation_and_density_survive_of_the_metadata(touched):
    block = Image.Exif()
    block[0x010E], block[0x0112] = "SMITH JOHN", 6
    data = jpeg(exif=block, dpi=(300, 300), comment=b"SMITH", icc_profile=b"SMITH" * 40)
    thumbnail = b"JFIF\0\x01\x01\0\0\x01\0\x01\x02\x02" + b"SMITHSMITHxx"
    data = insert(data, (0xED, b"Photoshop 3.0\0SMITH"), (0xE1, b"http://ns.adobe.com/xap/1.0/\0SMITH"), (0xE0, thumbnail)) + b"SMITH"
    radiograph = read_jpeg(PATHLESS, data)
    out = encoded(radiograph, redacted(radiograph) if touched else radiograph.stored, touched=touched)
    assert b"SMITH" not in out
    image = Image.open(io.BytesIO(out))
    assert dict(image.getexif()) == {0x0112: 6} and "comment" not in image.info and "icc_profile" not in image.info
    assert {marker for marker, _ in segments(PATHLESS, out)} <= {0xE0, 0xE1, 0xEE, 0xDB, 0xC4, 0xC0, 0xC2, 0xDD, SOS}


def test_density_survives():
    radiograph = read_jpeg(PATHLESS, jpeg(dpi=(300, 300)))
    out = encoded(radiograph, radiograph.stored, touched=False)
    assert Image.open(io.BytesIO(out)).info["dpi"] == (300, 300)


def test_several_pictures_in_one_file_are_held():
    with pytest.raises(HeldError, match="several"):
        read_jpeg(PATHLESS, insert(jpeg(), (0xE2, b"MPF\0MM\0*" + bytes(20))))


def test_cmyk_is_held():
    buffer = io.BytesIO()
    Image.new("CMYK", (20, 20)).save(buffer, "JPEG")
    with pytest.raises(HeldError, match="components"):
        read_jpeg(PATHLESS, buffer.getvalue())


@pytest.mark.parametrize("marker", [0xC3, 0xC9], ids=["lossless", "arithmetic"])
def test_kinds_that_cannot_be_decoded_are_held(marker):
    data = jpeg()
    with pytest.raises(HeldError, match="not supported"):
        read_jpeg(PATHLESS, data.replace(b"\xff\xc0", bytes([0xFF, marker]), 1))


def test_a_bomb_is_held_before_anything_is_decoded():
    data = jpeg()
    at = data.index(b"\xff\xc0") + 5
    with pytest.raises(HeldError, match="allowed are"):
        read_jpeg(PATHLESS, data[:at] + b"\xff\xf0\xff\xf0" + data[at + 4 :])


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_truncated_files_are_an_error(keep):
    data = jpeg()
    with pytest.raises(ReadError, match="truncated|damaged"):
        read_jpeg(PATHLESS, data[: int(len(data) * keep)])


def test_verification_sees_text_that_stayed():
    radiograph = read_jpeg(PATHLESS, jpeg())
    with pytest.raises(WriteError, match="from black"):
        verify_jpeg(radiograph, redacted(radiograph), radiograph.stored)
    with pytest.raises(WriteError, match="shape"):
        verify_jpeg(radiograph, redacted(radiograph), radiograph.stored[:, 1:])
    with pytest.raises(WriteError, match="on average"):
        verify_jpeg(radiograph, radiograph.stored, 255 - radiograph.stored)


def test_unusual_subsampling_comes_out_finer():
    data = with_size(jpeg(3, subsampling=2), height=128).replace(b"\x03\x01\x22\x00", b"\x03\x01\x41\x00")  # as many blocks
    radiograph = read_jpeg(PATHLESS, data)
    assert radiograph.stored.shape == (1, 128, 160, 3) and radiograph.source.subsampling == 0


def with_size(data: bytes, *, height: int) -> bytes:
    """The file with another height in its frame."""
    at = next(data.index(bytes([0xFF, m, 0, n])) for m in (0xC0, 0xC2) for n in (11, 17) if bytes([0xFF, m, 0, n]) in data)
    return data[: at + 5] + height.to_bytes(2, "big") + data[at + 7 :]


KINDS = {
    "grey": (1, {}), "colour": (3, {"subsampling": 0}), "coarse colour": (3, {"subsampling": 2}), "RGB": (3, {"keep_rgb": True}),
    "optimised": (1, {"optimize": True}), "progressive": (1, {"progressive": True}),
    "progressive colour": (3, {"progressive": True, "subsampling": 2}), "restarts": (1, {"restart_marker_rows": 1}),
    "many restarts in colour": (3, {"restart_marker_blocks": 3}),
    "progressive restarts": (1, {"progressive": True, "restart_marker_rows": 1}),
}
every_kind = pytest.mark.parametrize("channels, options", KINDS.values(), ids=KINDS.keys())


@every_kind
@pytest.mark.parametrize("shown", [64, 70], ids=["whole blocks", "part of a block"])
def test_rows_behind_the_declared_height_do_not_survive(channels, options, shown):
    pixels = picture(channels)
    pixels[:72] = 90  # what shows is plain, also in the block that the edge cuts
    pixels[80:112:4, 24:86] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90, **options)
    radiograph = read_jpeg(PATHLESS, with_size(buffer.getvalue(), height=shown))
    out = encoded(radiograph, radiograph.stored, touched=False)
    assert np.array_equal(read_jpeg(PATHLESS, out).stored, radiograph.stored)
    both = buffer.getvalue(), with_size(out, height=120)
    before, after = (np.asarray(Image.open(io.BytesIO(data)))[80:112, 40:86] for data in both)
    assert np.ptp(before) > 150 and np.ptp(after) < 40  # left of these columns, the last bits may still decode to something


def test_a_picture_in_the_block_that_the_edge_cuts_is_held():
    pixels = picture()
    pixels[75:80, 24:86:6] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    with pytest.raises(HeldError, match="outside of its declared size"):
        read_jpeg(PATHLESS, with_size(buffer.getvalue(), height=73))


@every_kind
def test_bytes_behind_the_coded_pixels_do_not_survive(channels, options):
    data = jpeg(channels, **options)
    found = segments(PATHLESS, data)
    for at in (i for i, (marker, _) in enumerate(found) if marker == SOS):
        parts = [(m, body + b"SMITH^JOHN^1961" if i == at else body) for i, (m, body) in enumerate(found)]
        radiograph = read_jpeg(PATHLESS, assemble(parts))
        out = encoded(radiograph, radiograph.stored, touched=False)
        assert b"SMITH" not in out and np.array_equal(read_jpeg(PATHLESS, out).stored, read_jpeg(PATHLESS, data).stored)


@pytest.mark.parametrize("restarts", [1, 5, 40])
def test_bytes_before_a_restart_marker_do_not_survive(restarts):
    data = jpeg(restart_marker_blocks=restarts)
    hiding = data.replace(b"\xff\xd0", b"SMITH\xff\xd0", 2).replace(b"\xff\xd1", b"\xff\x00SMITH\xff\xff\xd1", 1)
    radiograph = read_jpeg(PATHLESS, hiding)
    out = encoded(radiograph, radiograph.stored, touched=False)
    assert hiding != data and scans(out) == scans(data)


@every_kind
def test_a_file_that_libjpeg_codes_the_same_is_not_walked(channels, options, monkeypatch):
    data = jpeg(channels, **options)
    expected = scans(data)
    monkeypatch.setattr(jpeg_scans, "_decode", None)
    hiding = [(m, body + b"SMITH" if m == SOS else body) for m, body in segments(PATHLESS, data)]
    for stream in (data, assemble(hiding)):
        radiograph = read_jpeg(PATHLESS, stream)
        assert scans(encoded(radiograph, radiograph.stored, touched=False)) == expected


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}], ids=["baseline", "progressive", "optimised"])
def test_without_the_library_files_are_walked(options, monkeypatch):
    monkeypatch.setitem(sys.modules, "jpegio", None)
    data = jpeg(**options)
    hiding = [(m, body + b"SMITH^JOHN^1961" if m == SOS else body) for m, body in segments(PATHLESS, data)]
    radiograph = read_jpeg(PATHLESS, assemble(hiding))
    assert b"SMITH" not in encoded(radiograph, radiograph.stored, touched=False)
    with pytest.raises(ReadError, match="truncated"):
        read_jpeg(PATHLESS, data[: len(data) * 2 // 3] + b"\xff\xd9")


def test_text_in_a_number_of_lines_does_not_survive():
    data = jpeg()
    hiding = data[:-2] + b"\xff\xdc\x00\x0cSMITH^JOHN" + data[-2:]
    radiograph = read_jpeg(PATHLESS, hiding)
    out = encoded(radiograph, radiograph.stored, touched=False)
    assert b"SMITH" not in out and scans(out) == scans(data)


@every_kind
@pytest.mark.parametrize("keep", [0.3, 0.5, 0.9, 0.995])
def test_files_cut_short_that_end_with_an_end_marker_are_an_error(channels, options, keep):
    data = jpeg(channels, **options)
    start = segments_end_of_head(data)
    with pytest.raises(ReadError, match="truncated|damaged"):
        read_jpeg(PATHLESS, data[: start + int((len(data) - start) * keep)].rstrip(b"\xff") + b"\xff\xd9")


def segments_end_of_head(data: bytes) -> int:
    """Where the first scan's data begins, about."""
    return data.index(b"\xff\xda") + 14


def test_an_empty_table_that_nothing_uses_does_no_harm():
    data = jpeg()
    assert np.array_equal(read_jpeg(PATHLESS, insert(data, (0xC4, b"\x03" + bytes(16)))).stored, read_jpeg(PATHLESS, data).stored)


def test_a_broken_table_is_an_error():
    with pytest.raises(ReadError, match="table"):
        read_jpeg(PATHLESS, insert(jpeg(), (0xC4, b"\x03" + bytes(15))))


def test_missing_restart_intervals_are_an_error():
    data = jpeg(restart_marker_rows=1)
    at = data.index(b"\xff\xd3")
    with pytest.raises(ReadError, match="restart"):
        read_jpeg(PATHLESS, data[:at] + data[data.index(b"\xff\xd4") :])


def test_a_scan_that_a_later_one_replaces_is_held():
    found = segments(PATHLESS, jpeg())
    with pytest.raises(HeldError, match="replaces"):
        read_jpeg(PATHLESS, assemble([*found, found[-1]]))


def test_a_progressive_file_without_its_last_scan_is_an_error():
    found = segments(PATHLESS, jpeg(progressive=True))
    with pytest.raises(ReadError, match="scans of its JPEG are missing"):
        read_jpeg(PATHLESS, assemble(found[:-1]))


@pytest.mark.parametrize("quality", [30, 75, 90, 98])
@pytest.mark.parametrize("kind", ["noise", "black", "half black"])
@pytest.mark.parametrize("channels, options", KINDS.values(), ids=KINDS.keys())
def test_nothing_is_cut_from_a_file_that_hides_nothing(channels, options, kind, quality):
    pixels = np.random.default_rng(quality).integers(0, 120, (75, 101, channels), dtype=np.uint8)
    pixels[{"noise": 75, "black": 0, "half black": 40}[kind] :] = 0
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(buffer, "JPEG", quality=quality, **options)
    radiograph = read_jpeg(PATHLESS, buffer.getvalue())
    assert scans(encoded(radiograph, radiograph.stored, touched=False)) == scans(buffer.getvalue())
