"""TIFF: every supported layout is read as stored and written back to the bit; other tags do not survive."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import fakes
import numpy as np
import pytest
import tifffile
from PIL import Image

from markerremover.errors import HeldError, ReadError
from markerremover.formats.tiff import encode_tiff, read_tiff
from markerremover.formats.tiff_source import assemble

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


def declared_as(data: bytes, height: int, width: int = 0) -> bytes:
    """The file with another height, in one strip where it has strips, and perhaps another width."""
    out = bytearray(data)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = file.pages[0].tags
        for tag, value in ((257, height), (256, width), (278, 0 if 322 in tags else height)):
            if value and tag in tags:
                kind, at = {3: "H", 4: "I"}[int(tags[tag].dtype)], tags[tag].valueoffset
                out[at : at + struct.calcsize(kind)] = struct.pack(file.byteorder + kind, value)
    return bytes(out)


def one_strip(pixels: np.ndarray, compression: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "TIFF", compression=compression, tiffinfo={278: len(pixels)})
    return buffer.getvalue()


COMPRESSIONS = ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate", "tiff_deflate"]


@pytest.mark.parametrize("rows", [1, 20, 36])
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("pixels", [samples(8), samples(16), samples(8, 3)], ids=["grey 8", "grey 16", "rgb"])
def test_rows_behind_the_declared_height_do_not_survive(compression, pixels, rows):
    radiograph = read_tiff(PATHLESS, declared_as(one_strip(pixels, compression), rows))
    assert np.array_equal(radiograph.stored[0], pixels[:rows])
    new, data, again = rewritten(radiograph, False)
    assert np.array_equal(again.stored, new) and not again.source.hides
    assert b"".join(unpacked(again)) == pixels[:rows].astype(f"{again.source.order}u{pixels.itemsize}").tobytes()


def unpacked(radiograph) -> list[bytes]:
    """What the strips of a file without predictor, or with the one of `encode_tiff`, hold as pixels: all of it."""
    source = radiograph.source
    parts = [zlib.decompress(part) if source.compression == 8 else part for part in source.segments]
    if source.predictor == 1:
        return parts
    word = f"{source.order}u{source.depth // 8}"
    blocks = (np.frombuffer(part, word).reshape(-1, source.shape_hw[1], source.samples) for part in parts)
    return [np.cumsum(block, axis=1, dtype=word).astype(word).tobytes() for block in blocks]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_bytes_behind_a_compressed_strip_do_not_survive(compression):
    plain = read_tiff(PATHLESS, one_strip(samples(8), compression)).source
    tags = {256: ("I", (SHAPE[1],)), 257: ("I", (SHAPE[0],)), 258: ("H", (8,)), 259: ("H", (plain.compression,))}
    tags |= {262: ("H", (1,)), 277: ("H", (1,)), 278: ("I", (SHAPE[0],))}
    radiograph = read_tiff(PATHLESS, assemble("<", tags, (plain.segments[0] + b"SMITH",)))
    new, data, again = rewritten(radiograph, False)
    assert b"SMITH" not in data and np.array_equal(new[0], samples(8)) and np.array_equal(again.stored, new)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("shape", [(37, 32), (32, 53), (37, 53)], ids=["below", "beside", "both"])
def test_pixels_of_a_tile_outside_the_image_do_not_survive(compression, shape):
    full = [-(-size // tile) * tile for size, tile in zip(shape, (16, 32))]
    whole = np.random.default_rng(1).integers(0, 256, full).astype(np.uint8)
    data = declared_as(tiff(whole, tile=(16, 32), compression=compression), *shape)
    radiograph = read_tiff(PATHLESS, data)
    new, out, again = rewritten(radiograph, False)
    assert np.array_equal(new[0], whole[: shape[0], : shape[1]]) and np.array_equal(again.stored, new)
    assert b"".join(unpacked(again)) == new.tobytes()


def test_tiles_filled_up_with_one_value_are_copied():
    radiograph = read_tiff(PATHLESS, tiff(samples(8), tile=(16, 32)))
    assert rewritten(radiograph, False)[2].source.segments == radiograph.source.segments and radiograph.source.tiled


@pytest.mark.parametrize("shown", [64, 70], ids=["whole blocks", "part of a block"])
def test_rows_behind_the_declared_height_of_jpeg_inside_tiff_do_not_survive(shown):
    smooth = np.asarray(Image.fromarray(samples(8)).resize((160, 120), Image.BICUBIC))
    radiograph = read_tiff(PATHLESS, declared_as(one_strip(smooth, "jpeg"), shown))
    new, _, again = rewritten(radiograph, False)
    assert again.source.compression == 8 and np.array_equal(again.stored, new)
    assert b"".join(unpacked(again)) == new.tobytes()


def test_jpeg_inside_tiff_that_ends_early_is_an_error():
    smooth = np.asarray(Image.fromarray(samples(8)).resize((160, 120), Image.BICUBIC))
    source = read_tiff(PATHLESS, one_strip(smooth, "jpeg")).source
    tags = {256: ("I", (160,)), 257: ("I", (120,)), 258: ("H", (8,)), 259: ("H", (7,)), 262: ("H", (1,)), 277: ("H", (1,))}
    tags |= {278: ("I", (120,)), 347: ("b", tuple(source.tables))}
    whole = source.segments[0]
    assert read_tiff(PATHLESS, assemble("<", tags, (whole,))).stored[0].shape == smooth.shape
    with pytest.raises(ReadError, match="truncated"):
        read_tiff(PATHLESS, assemble("<", tags, (whole[: len(whole) // 2] + b"\xff\xd9",)))


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
