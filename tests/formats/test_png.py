"""PNG: every colour type and bit depth survives to the bit, nothing else does."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import fakes
import numpy as np
import pytest
from PIL import Image

from markerremover.errors import HeldError, ReadError
from markerremover.formats import png
from markerremover.formats.png import encode_png, read_png

PATHLESS = Path("x.png")
TYPES = [(colour, depth) for colour, depths in png._DEPTHS.items() for depth in depths]
SHAPE = (19, 27)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def samples(colour: int, depth: int, seed=0) -> np.ndarray:
    """(H, W) or (H, W, C) random samples, opaque where there is alpha."""
    channels = png.CHANNELS[colour]
    dtype = np.uint16 if depth == 16 else np.uint8
    pixels = np.random.default_rng(seed).integers(0, 1 << depth, (*SHAPE, channels)).astype(dtype)
    if colour in (4, 6):
        pixels[..., -1] = (1 << depth) - 1
    return pixels[..., 0] if channels == 1 else pixels


def build(colour: int, depth: int, pixels: np.ndarray, extra: bytes = b"", tail: bytes = b"", stream: bytes | None = None) -> bytes:
    """An unfiltered PNG, written here from the standard alone."""
    rows = pixels.reshape(pixels.shape[0], -1)
    if depth < 8:
        bits = np.unpackbits(rows[..., None].astype(np.uint8), axis=2)[..., 8 - depth :].reshape(len(rows), -1)
        rows = np.packbits(bits, axis=1)
    plain = b"".join(b"\0" + row.astype(">u2" if depth == 16 else np.uint8).tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], depth, colour, 0, 0, 0)
    palette = b""
    if colour == 3:
        palette = chunk(b"PLTE", bytes((7 * i + k) % 251 for i in range(1 << depth) for k in range(3)))
    stream = zlib.compress(plain) if stream is None else stream
    return png.MAGIC + chunk(b"IHDR", header) + palette + extra + chunk(b"IDAT", stream) + chunk(b"IEND", b"") + tail


def kinds(data: bytes) -> set[bytes]:
    return {kind for kind, _ in png._chunks(PATHLESS, data)}


@pytest.mark.parametrize(("colour", "depth"), TYPES, ids=str)
def test_pixels_are_read_as_stored_and_written_back_to_the_bit(colour, depth):
    pixels = samples(colour, depth)
    radiograph = read_png(PATHLESS, build(colour, depth, pixels))
    assert np.array_equal(radiograph.stored[0], pixels)
    new = radiograph.stored.copy()
    new[:, 3:9, 4:15] = radiograph.fill if new.ndim == 4 else radiograph.fill[0]
    again = read_png(PATHLESS, encode_png(radiograph, new, touched=True))
    assert np.array_equal(again.stored, new) and again.stored.dtype == new.dtype
    assert (again.source.colour, again.source.depth) == (colour, depth)
    assert again.display[:, 3:9, 4:15].max() <= (again.display.min() if colour == 3 else 0)  # nothing of a palette is darker


def stream_of(data: bytes) -> bytes:
    return b"".join(body for kind, body in png._chunks(PATHLESS, data) if kind == b"IDAT")


@pytest.mark.parametrize("ground", ["grain", "flat", "half flat"])
def test_what_is_written_is_small_and_quick_to_decode_whatever_it_shows(ground):
    """Rows as differences from those above; in files hardly larger than OpenCV's own."""
    import cv2

    pixels = np.random.default_rng(1).normal(120, 6, (480, 400)).astype(np.uint8)
    pixels[: {"grain": 0, "flat": 470, "half flat": 240}[ground]] = 3
    radiograph = read_png(PATHLESS, build(0, 8, pixels))
    data = encode_png(radiograph, radiograph.stored, touched=True)
    rows = np.frombuffer(zlib.decompress(stream_of(data)), np.uint8).reshape(480, 401)
    if hasattr(cv2, "IMWRITE_PNG_FILTER"):
        assert (rows[:, 0] == 2).all(), "filter type Up"
    own = cv2.imencode(".png", pixels)[1].nbytes
    assert len(data) <= 1.1 * own and np.array_equal(read_png(PATHLESS, data).stored[0], pixels)


def test_an_opencv_that_cannot_be_told_how_to_filter_writes_the_same_pixels(monkeypatch):
    import cv2

    monkeypatch.delattr(cv2, "IMWRITE_PNG_FILTER", raising=False)
    pixels = samples(0, 16)
    radiograph = read_png(PATHLESS, build(0, 16, pixels))
    assert np.array_equal(read_png(PATHLESS, encode_png(radiograph, radiograph.stored, touched=True)).stored[0], pixels)


@pytest.mark.parametrize(("colour", "depth"), TYPES, ids=str)
def test_untouched_pixels_keep_their_compressed_stream(colour, depth):
    data = build(colour, depth, samples(colour, depth))
    radiograph = read_png(PATHLESS, data)
    again = read_png(PATHLESS, encode_png(radiograph, radiograph.stored, touched=False))
    assert again.source.stream == radiograph.source.stream and again.source.palette == radiograph.source.palette


def test_pillow_agrees_on_what_was_written():
    pixels = samples(2, 8)
    radiograph = read_png(PATHLESS, build(2, 8, pixels))
    out = encode_png(radiograph, radiograph.stored, touched=True)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(out))), pixels)


@pytest.mark.parametrize("touched", [False, True], ids=["untouched", "touched"])
def test_only_harmless_chunks_survive(touched):
    exif = b"MM\0*\0\0\0\x08\0\x02\x01\x0e\0\x02\0\0\0\x04SMI\0\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    extra = b"".join(
        [
            chunk(b"tEXt", b"Author\0SMITH"),
            chunk(b"zTXt", b"Name\0\0" + zlib.compress(b"SMITH")),
            chunk(b"iTXt", b"Name\0\0\0\0\0SMITH"),
            chunk(b"iCCP", b"SMITH\0\0" + zlib.compress(b"SMITH")),
            chunk(b"tIME", bytes(7)),
            chunk(b"prVt", b"SMITH"),
            chunk(b"eXIf", exif),
            chunk(b"pHYs", struct.pack(">IIB", 3000, 3000, 1)),
            chunk(b"gAMA", b"SMITH JOHN"),
            chunk(b"sRGB", b"\0"),
        ]
    )
    radiograph = read_png(PATHLESS, build(0, 8, samples(0, 8), extra, b"SMITH"))
    out = encode_png(radiograph, radiograph.stored, touched=touched)
    assert kinds(out) == {b"IHDR", b"IDAT", b"IEND", b"pHYs", b"sRGB", b"eXIf"}
    assert b"SMI" not in out and Image.open(io.BytesIO(out)).getexif() == {0x0112: 6}


@pytest.mark.parametrize("hidden", ["behind the stream", "more rows"])
def test_nothing_hides_in_the_compressed_stream(hidden):
    pixels = samples(0, 8)
    plain = b"".join(b"\0" + row.tobytes() for row in pixels)
    name = b"\0" + b"SMITH".ljust(SHAPE[1])
    stream = zlib.compress(plain) + b"SMITH" if hidden == "behind the stream" else zlib.compress(plain + name, 0)
    radiograph = read_png(PATHLESS, build(0, 8, pixels, stream=stream))
    out = encode_png(radiograph, radiograph.stored, touched=False)
    assert b"SMITH" not in out and np.array_equal(read_png(PATHLESS, out).stored[0], pixels)


def test_interlaced_images_are_read_and_written():
    buffer = io.BytesIO(_interlaced())
    pixels = np.asarray(Image.open(buffer))
    radiograph = read_png(PATHLESS, buffer.getvalue())
    assert np.array_equal(radiograph.stored[0], pixels)
    untouched = read_png(PATHLESS, encode_png(radiograph, radiograph.stored, touched=False))
    assert untouched.source.interlaced and untouched.source.stream == radiograph.source.stream
    touched = read_png(PATHLESS, encode_png(radiograph, radiograph.stored, touched=True))
    assert np.array_equal(touched.stored, radiograph.stored)


def _interlaced() -> bytes:
    pixels, plain = samples(0, 8), b""
    for x, y, dx, dy in png._ADAM7:
        plain += b"".join(b"\0" + row.tobytes() for row in pixels[y::dy, x::dx])
    header = struct.pack(">IIBBBBB", SHAPE[1], SHAPE[0], 8, 0, 0, 0, 1)
    return png.MAGIC + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(plain)) + chunk(b"IEND", b"")


def test_animated_files_are_held():
    with pytest.raises(HeldError, match="animated"):
        read_png(PATHLESS, build(0, 8, samples(0, 8), chunk(b"acTL", struct.pack(">II", 2, 0))))


@pytest.mark.parametrize("colour", [4, 6])
def test_pixels_hidden_under_alpha_are_held(colour):
    pixels = samples(colour, 8)
    pixels[2, 3, -1] = 254
    with pytest.raises(HeldError, match="transparency"):
        read_png(PATHLESS, build(colour, 8, pixels))


@pytest.mark.parametrize(("colour", "clear"), [(0, b"\0\x05"), (2, b"\0\x01\0\x02\0\x03"), (3, b"\xff\xff\x00")], ids=["grey", "rgb", "palette"])
def test_a_transparent_colour_holds_the_file_only_if_a_pixel_has_it(colour, clear):
    pixels = samples(colour, 8)
    pixels[pixels == (2 if colour == 3 else 5)] = 77
    if colour == 2:
        pixels[...] = np.maximum(pixels, 9)
    extra = chunk(b"tRNS", clear)
    radiograph = read_png(PATHLESS, build(colour, 8, pixels, extra))
    assert b"tRNS" not in kinds(encode_png(radiograph, radiograph.stored, touched=False))
    pixels[4, 4] = {0: 5, 2: (1, 2, 3), 3: 2}[colour]
    with pytest.raises(HeldError, match="transparency"):
        read_png(PATHLESS, build(colour, 8, pixels, extra))


def palette_file(colours: bytes, pixels: np.ndarray) -> bytes:
    data = build(3, 8, pixels)
    start = data.index(b"PLTE") - 4
    end = start + 12 + 256 * 3
    return data[:start] + chunk(b"PLTE", colours) + data[end:]


def test_a_palette_without_black_gets_one_only_when_something_goes_black():
    pixels = samples(3, 8) % 10
    radiograph = read_png(PATHLESS, palette_file(bytes(range(100, 130)), pixels))
    assert radiograph.fill == (10,)
    new = radiograph.stored.copy()
    new[:, :5] = 10
    again = read_png(PATHLESS, encode_png(radiograph, new, touched=True))
    assert again.source.palette == bytes(range(100, 130)) + b"\0\0\0" and not again.display[:, :5].any()
    assert read_png(PATHLESS, encode_png(radiograph, radiograph.stored, touched=False)).source.palette == bytes(range(100, 130))


def test_a_full_palette_gives_up_an_entry_that_no_pixel_uses():
    pixels = np.minimum(samples(3, 8), 254)
    radiograph = read_png(PATHLESS, palette_file(b"\x80" * 768, pixels))
    assert not (pixels == radiograph.fill[0]).any()
    new = radiograph.stored.copy()
    new[:, :5] = radiograph.fill[0]
    assert not read_png(PATHLESS, encode_png(radiograph, new, touched=True)).display[:, :5].any()


def test_a_full_palette_without_black_or_room_is_held():
    pixels = (np.arange(19 * 27) % 256).astype(np.uint8).reshape(SHAPE)
    with pytest.raises(HeldError, match="black"):
        read_png(PATHLESS, palette_file(b"\x80" * 768, pixels))


def test_pixels_that_point_behind_the_palette_are_an_error():
    with pytest.raises(ReadError, match="palette"):
        read_png(PATHLESS, palette_file(b"\x80" * 9, samples(3, 8)))


def test_a_bomb_is_held_before_anything_is_decoded():
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0))
    with pytest.raises(HeldError, match="allowed are"):
        read_png(PATHLESS, png.MAGIC + header + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d[:-12], "truncated"),
        (lambda d: d[:60], "truncated"),
        (lambda d: d[:70] + bytes([d[70] ^ 1]) + d[71:], "checksum"),
        (lambda d: png.MAGIC + chunk(b"IEND", b""), "header"),
        (lambda d: png.MAGIC + d[33:], "header"),
        (lambda d: d[:33] + d[8:33] + d[33:], "more than one"),
        (lambda d: build(0, 8, samples(0, 8), stream=zlib.compress(b"\0" * 20)), "damaged"),
        (lambda d: build(0, 8, samples(0, 8), stream=b"rubbish"), "damaged"),
        (lambda d: png.MAGIC + chunk(b"IHDR", bytes(8) + d[24:29]) + d[33:], "size"),
    ],
    ids=["no end", "cut", "bit flip", "no pixels", "no header", "two headers", "too few rows", "no stream", "zero size"],
)
def test_damage_is_an_error_with_its_reason(damage, message):
    with pytest.raises(ReadError, match=message):
        read_png(PATHLESS, damage(build(0, 8, samples(0, 8))))


def test_colour_that_uses_few_of_its_16_bits_is_not_shown_black(tmp_path):
    pixels = np.repeat(fakes.radiograph(3).astype(np.uint16)[..., None] * 4, 3, 2)
    shown = read_png(tmp_path / "x.png", fakes.png(pixels)).display
    assert shown.max() == 255 and shown.mean() > 50


def test_a_second_view_shows_what_the_percentiles_clip(tmp_path):
    pixels = np.random.default_rng(0).integers(100, 200, (300, 300)).astype(np.uint16)
    pixels[:8, :8], pixels[2:6, 3:5] = 3000, 4000
    (second,) = read_png(tmp_path / "x.png", fakes.png(pixels)).also
    assert int(second[0, 3, 3]) - int(second[0, 0, 0]) > 40
