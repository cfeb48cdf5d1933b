"""TIFF: every supported layout is read as stored and written back to the bit; other tags do not survive."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import fakes
from markerremover.errors import HeldError, ReadError
from markerremover.tiff import assemble, encode_tiff, read_tiff

PATHLESS = Path("x.tif")
SHAPE = (37, 53)
NAME = "SMITH JOHN"


def samples(depth: int, channels: int = 1) -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 1 << depth, (*SHAPE, channels)).astype(f"u{depth // 8}")
    return pixels[..., 0] if channels == 1 else pixels


def tiff(pixels: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    options = {"photometric": "rgb" if pixels.ndim == 3 else "minisblack", "description": NAME, "software": NAME, **options}
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def pillow(pixels: np.ndarray, compression: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "TIFF", compression=compression)
    return buffer.getvalue()


def rewritten(radiograph, touched: bool):
    new = radiograph.stored.copy()
    if touched:
        new[:, 5:20, 8:30] = radiograph.fill if new.ndim == 4 else radiograph.fill[0]
    data = encode_tiff(radiograph, new, touched=touched)
    return new, data, read_tiff(PATHLESS, data)


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 7}, {"tile": (16, 32)}], ids=["plain", "strips", "tiles"])
def test_uncompressed_layouts(order, depth, channels, layout):
    pixels = samples(depth, channels)
    radiograph = read_tiff(PATHLESS, tiff(pixels, byteorder=order, **layout))
    assert np.array_equal(radiograph.stored[0], pixels)
    for touched in (False, True):
        new, data, again = rewritten(radiograph, touched)
        assert np.array_equal(again.stored, new) and again.stored.dtype == new.dtype
        assert np.array_equal(tifffile.imread(io.BytesIO(data)), new[0])
        assert again.source.compression == 1 and again.source.order == order and NAME.encode() not in data
    assert not again.display[:, 5:20, 8:30].any()


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "tiff_deflate"])
@pytest.mark.parametrize("pixels", [samples(8), samples(16), samples(8, 3)], ids=["grey 8", "grey 16", "rgb"])
def test_compressions_that_libtiff_writes(compression, pixels):
    radiograph = read_tiff(PATHLESS, pillow(pixels, compression))
    assert np.array_equal(radiograph.stored[0], pixels)
    _, _, untouched = rewritten(radiograph, False)
    assert untouched.source.segments == radiograph.source.segments
    new, data, touched = rewritten(radiograph, True)
    assert np.array_equal(touched.stored, new) and touched.source.compression == 8
    if pixels.dtype == np.uint8:
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), new[0])


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("pixels", [samples(8), samples(16), samples(16, 3)], ids=["grey 8", "grey 16", "rgb 16"])
def test_deflate_with_differences_between_neighbours(order, pixels):
    steps = pixels.copy()
    steps[:, 1:] -= pixels[:, :-1]
    parts = (zlib.compress(steps.astype(f"{order}u{pixels.itemsize}").tobytes()),)
    channels = 1 if pixels.ndim == 2 else 3
    tags = {256: ("I", (SHAPE[1],)), 257: ("I", (SHAPE[0],)), 258: ("H", (8 * pixels.itemsize,) * channels), 259: ("H", (8,))}
    tags |= {262: ("H", (1 if channels == 1 else 2,)), 277: ("H", (channels,)), 278: ("I", (SHAPE[0],)), 317: ("H", (2,))}
    radiograph = read_tiff(PATHLESS, assemble(order, tags, parts))
    assert np.array_equal(radiograph.stored[0], pixels)
    assert np.array_equal(rewritten(radiograph, False)[2].stored, radiograph.stored)


@pytest.mark.parametrize("depth", [8, 16])
def test_white_is_zero_stays_and_its_fill_is_the_greatest_value(depth):
    pixels = samples(depth)
    radiograph = read_tiff(PATHLESS, tiff(pixels, photometric="miniswhite"))
    assert np.array_equal(radiograph.stored[0], pixels) and radiograph.fill == ((1 << depth) - 1,)
    _, _, again = rewritten(radiograph, True)
    assert again.source.photometric == 0 and not again.display[:, 5:20, 8:30].any()
    assert radiograph.display.ravel()[pixels.argmin()] == 255


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_inside_tiff_is_copied_or_comes_out_lossless(mode):
    smooth = np.asarray(Image.fromarray(samples(8, 3)).resize((160, 120), Image.BICUBIC).convert(mode))
    radiograph = read_tiff(PATHLESS, pillow(smooth, "jpeg"))
    _, _, untouched = rewritten(radiograph, False)
    assert untouched.source.compression == 7 and np.array_equal(untouched.stored, radiograph.stored)
    new, _, touched = rewritten(radiograph, True)
    assert touched.source.compression == 8 and np.array_equal(touched.stored, new)


def test_orientation_and_resolution_survive_and_other_tags_do_not():
    data = tiff(samples(8), resolution=(300, 200), resolutionunit=2, extratags=[(274, 3, 1, 6, True), (315, 2, 0, NAME, True)])
    for touched in (False, True):
        _, out, _ = rewritten(read_tiff(PATHLESS, data), touched)
        with tifffile.TiffFile(io.BytesIO(out)) as file:
            tags = {tag.code for tag in file.pages[0].tags}
            assert file.pages[0].tags[274].value == 6 and file.pages[0].tags[282].value[0] / file.pages[0].tags[282].value[1] == 300
        assert tags <= {256, 257, 258, 259, 262, 273, 274, 277, 278, 279, 282, 283, 284, 296} and b"SMITH" not in out


def test_bytes_between_and_behind_the_strips_do_not_survive():
    data = tiff(samples(8)) + b"SMITH"
    assert b"SMITH" not in rewritten(read_tiff(PATHLESS, data), False)[1]


def test_bytes_inside_a_strip_behind_its_pixels_do_not_survive():
    tags = {256: ("I", (4,)), 257: ("I", (2,)), 258: ("H", (8,)), 262: ("H", (1,)), 277: ("H", (1,)), 278: ("I", (2,))}
    for compression, part in ((1, b"12345678"), (8, zlib.compress(b"12345678"))):
        data = assemble("<", {**tags, 259: ("H", (compression,))}, (part + b"SMITH",))
        assert b"SMITH" not in rewritten_small(data)


def rewritten_small(data: bytes) -> bytes:
    radiograph = read_tiff(PATHLESS, data)
    assert radiograph.stored.tobytes() == b"12345678"
    return encode_tiff(radiograph, radiograph.stored, touched=False)


def test_an_opaque_alpha_channel_stays_and_another_is_held():
    pixels = np.dstack([samples(8, 3), np.full(SHAPE, 255, np.uint8)])
    radiograph = read_tiff(PATHLESS, tiff(pixels, extrasamples=["unassalpha"]))
    new, _, again = rewritten(radiograph, True)
    assert radiograph.fill == (0, 0, 0, 255) and np.array_equal(again.stored, new)
    pixels[3, 3, 3] = 7
    with pytest.raises(HeldError, match="transparency"):
        read_tiff(PATHLESS, tiff(pixels, extrasamples=["unassalpha"]))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tiff(np.stack([samples(8)] * 4), photometric="minisblack"), "4 pages"),
        (tiff(samples(16).astype(np.int16)), "depth or format"),
        (tiff(samples(16).astype(np.float32)), "depth or format"),
        (tiff(np.moveaxis(samples(8, 3), 2, 0), planarconfig="separate"), "planes"),
        (pillow(samples(8) > 99, "group4"), "compression 4"),
        (tiff(samples(8), photometric="palette", colormap=np.zeros((3, 256), np.uint16)), "photometric 3"),
    ],
    ids=["pages", "signed", "float", "planar", "fax", "palette"],
)
def test_what_cannot_be_cleaned_safely_is_held(data, message):
    with pytest.raises(HeldError, match=message):
        read_tiff(PATHLESS, data)


def test_a_bomb_is_held_before_anything_is_decoded():
    tags = {256: ("I", (60000,)), 257: ("I", (60000,)), 258: ("H", (8,)), 259: ("H", (8,)), 262: ("H", (1,)), 277: ("H", (1,))}
    with pytest.raises(HeldError, match="allowed are"):
        read_tiff(PATHLESS, assemble("<", tags, (b"x",)))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "packbits", "tiff_adobe_deflate"])
@pytest.mark.parametrize("keep", [0.3, 0.8])
def test_short_strips_are_an_error(compression, keep):
    radiograph = read_tiff(PATHLESS, pillow(samples(8), compression) if compression else tiff(samples(8)))
    part = b"".join(radiograph.source.segments)
    tags = {256: ("I", (SHAPE[1],)), 257: ("I", (SHAPE[0],)), 258: ("H", (8,)), 259: ("H", (radiograph.source.compression,))}
    tags |= {262: ("H", (1,)), 277: ("H", (1,)), 278: ("I", (SHAPE[0],))}
    with pytest.raises(ReadError):
        read_tiff(PATHLESS, assemble("<", tags, (part[: int(len(part) * keep)],)))


def test_a_missing_end_of_the_file_is_an_error():
    data = tiff(samples(8))
    with pytest.raises(ReadError, match="truncated"):
        read_tiff(PATHLESS, data[: len(data) - 100])


def test_colour_that_uses_few_of_its_16_bits_is_not_shown_black(tmp_path):
    pixels = np.repeat(fakes.radiograph(3).astype(np.uint16)[..., None] * 4, 3, 2)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric="rgb", metadata=None)
    shown = read_tiff(tmp_path / "x.tif", buffer.getvalue()).display
    assert shown.max() == 255 and shown.mean() > 50


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_a_second_view_shows_what_the_percentiles_clip(tmp_path, photometric):
    pixels = np.random.default_rng(0).integers(100, 200, (300, 300)).astype(np.uint16)
    pixels[:8, :8], pixels[2:6, 3:5] = 3000, 4000
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, photometric=photometric, metadata=None)
    (second,) = read_tiff(tmp_path / "x.tif", buffer.getvalue()).also
    assert abs(int(second[0, 3, 3]) - int(second[0, 0, 0])) > 40
