"""Pictures of a data set: bright = dense, windowed as shown, upright, of the size that was asked for."""

from __future__ import annotations

import doctest
import io
from dataclasses import replace

import cv2
import dicom_files
import fakes
import numpy as np
import pytest
import tifffile
from PIL import Image

from markerremover.cli import export_dataset
from markerremover.dataset import export, facts, rendering, splits
from markerremover.dataset.options import ExportOptions
from markerremover.formats import images
from markerremover.system import wording

NO_BOXES = {"boxes": []}
RAMP = (300 + np.arange(512, dtype=np.uint16) * 6).reshape(16, 32)[None]


@pytest.mark.parametrize("module", [export, export_dataset, facts, rendering, splits, wording], ids=lambda m: m.__name__)
def test_doctests_hold(module):
    assert doctest.testmod(module).failed == 0


def dicom(tmp_path, stored=RAMP, **elements):
    return images.read(dicom_files.save(tmp_path, stored, **elements))


@pytest.mark.parametrize("elements", [dict(WindowCenter=1800, WindowWidth=3200), dict(WindowCenter=1500, WindowWidth=2000, VOILUTFunction="SIGMOID"),
    dict(WindowCenter=1800, WindowWidth=3200, photometric="MONOCHROME1"), dict(WindowCenter=800, WindowWidth=3200, RescaleIntercept=-1000, RescaleSlope=1),
    dict(WindowCenter=1800, WindowWidth=3200, PresentationLUTShape="INVERSE")], ids=["linear", "sigmoid", "MONOCHROME1", "rescaled", "inverse"])
def test_a_header_s_window_gives_what_a_viewer_shows(tmp_path, elements):
    radiograph = dicom(tmp_path, **elements)
    [eight], [sixteen] = (rendering.pictures(radiograph, NO_BOXES, ExportOptions(bits=bits)) for bits in (8, 16))
    assert eight.window == "header" and eight.pixels.dtype == np.uint8 and np.array_equal(eight.pixels, radiograph.display[0])
    assert sixteen.pixels.dtype == np.uint16 and np.abs(sixteen.pixels / 257 - eight.pixels).max() <= 0.5 and len(np.unique(sixteen.pixels)) > len(np.unique(eight.pixels))


@pytest.mark.parametrize("elements", [{}, dict(WindowCenter=60000, WindowWidth=10)], ids=["none", "one that shows nothing"])
def test_without_a_sound_window_percentiles_are_taken(tmp_path, elements):
    [picture] = rendering.pictures(dicom(tmp_path, **elements), NO_BOXES, ExportOptions())
    assert picture.window == "percentile" and picture.pixels.min() == 0 and picture.pixels.max() == 255


def test_removed_boxes_and_padding_count_for_no_percentile(tmp_path):
    stored = RAMP.copy()
    stored[0, :8] = 0
    stored[0, 8:10] = 4095
    row = {"boxes": [{"action": "remove", "frame": 0, "xyxy": [0, 0, 32, 8]}, {"action": "keep", "frame": 0, "xyxy": [0, 10, 4, 12]}]}
    [picture] = rendering.pictures(dicom(tmp_path, stored, PixelPaddingValue=4095), row, ExportOptions(window="percentile"))
    rest = picture.pixels[10:]
    assert not picture.pixels[:8].any() and rest.min() == 0 and rest.max() == 255 and 100 < np.median(rest) < 155


def test_a_uniform_picture_is_black(tmp_path):
    [picture] = rendering.pictures(dicom(tmp_path, np.full((1, 16, 16), 900, np.uint16)), NO_BOXES, ExportOptions())
    assert not picture.pixels.any()


def test_eight_bit_files_stay_as_stored_and_deeper_ones_are_stretched(tmp_path):
    image = fakes.radiograph(1, boxes=())
    for name, stored, window in (("8.png", image, "stored"), ("16.png", image.astype(np.uint16) * 16, "percentile")):
        [picture] = rendering.pictures(images.read(fakes.put(tmp_path / name, fakes.png(stored))), NO_BOXES, ExportOptions())
        assert picture.window == window and picture.pixels.max() == (image.max() if window == "stored" else 255)


def test_white_is_zero_of_a_tiff_is_turned(tmp_path):
    image = fakes.radiograph(1, boxes=())
    for photometric in ("minisblack", "miniswhite"):
        tifffile.imwrite(tmp_path / f"{photometric}.tif", image, photometric=photometric)
    black, white = (rendering.pictures(images.read(tmp_path / f"{name}.tif"), NO_BOXES, ExportOptions())[0].pixels for name in ("minisblack", "miniswhite"))
    assert np.array_equal(black, image) and np.array_equal(white, 255 - image)


def test_colour_is_grey_as_it_is_shown(tmp_path):
    radiograph = images.read(fakes.put(tmp_path / "a.png", fakes.png(np.random.default_rng(1).integers(0, 255, (20, 30, 3)).astype(np.uint8))))
    [picture] = rendering.pictures(radiograph, NO_BOXES, ExportOptions(bits=16))
    assert picture.window == "display" and np.array_equal(picture.pixels, radiograph.display[0] * np.uint16(257))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright_as_pillow_turns_them(tmp_path, orientation):
    from PIL import ImageOps

    image, buffer, exif = Image.fromarray(np.add.outer(np.arange(24) * 4, np.arange(40) * 3).astype(np.uint8)), io.BytesIO(), Image.Exif()
    exif[274] = orientation
    image.save(buffer, "JPEG", quality=95, exif=exif)
    [picture] = rendering.pictures(images.read(fakes.put(tmp_path / "a.jpg", buffer.getvalue())), NO_BOXES, ExportOptions())
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(buffer.getvalue()))))
    assert picture.pixels.shape == expected.shape and np.abs(picture.pixels.astype(int) - expected).max() <= 2 and picture.turned == (orientation >= 5)


@pytest.mark.parametrize("size, pad, shape, inner, black", [
    (64, None, (48, 64), (48, 64), (0, 0, 0, 0)), (64, True, (64, 64), (48, 64), (0, 8, 0, 8)), ((64, 40), None, (40, 64), (40, 53), (5, 0, 6, 0)),
    ((64, 40), False, (40, 53), (40, 53), (0, 0, 0, 0)), (256, None, (192, 256), (192, 256), (0, 0, 0, 0)), (None, None, (96, 128), (96, 128), (0, 0, 0, 0)),
], ids=["longer side", "square", "width and height", "fitted", "enlarged", "as it is"])
def test_sizes(tmp_path, size, pad, shape, inner, black):
    image = np.full((96, 128), 200, np.uint8)
    [picture] = rendering.pictures(images.read(fakes.put(tmp_path / "a.png", fakes.png(image))), NO_BOXES, ExportOptions(size=size, pad=pad))
    left, top, right, bottom = picture.pad
    assert picture.pixels.shape == shape and picture.pad == black and picture.scale_yx == (inner[0] / 96, inner[1] / 128)
    inside = picture.pixels[top : shape[0] - bottom, left : shape[1] - right]
    assert inside.shape == inner and (inside == 200).all() and picture.pixels.sum() == inside.sum(dtype=np.int64)


def test_png_bytes_read_back_and_nothing_given_is_changed(tmp_path):
    radiograph = dicom(tmp_path)
    before = radiograph.stored.copy()
    [picture] = rendering.pictures(radiograph, NO_BOXES, ExportOptions(bits=16, size=9))
    assert np.array_equal(cv2.imdecode(np.frombuffer(rendering.png(picture.pixels), np.uint8), cv2.IMREAD_UNCHANGED), picture.pixels)
    assert np.array_equal(radiograph.stored, before) and not picture.pixels.flags.writeable and replace(picture) is not picture


def test_spacing_goes_with_size_and_with_the_turn():
    assert facts.resized_mm((0.1, 0.3), (0.5, 0.5), True) == (0.6, 0.2) and facts.resized_mm(None, (1, 1), False) == ("", "")


@pytest.mark.parametrize("row, meanings, side", [
    ({"boxes": []}, {}, ""), ({"boxes": [{"action": "remove", "frame": 0, "text": "L"}]}, {}, ""),
    ({"boxes": [{"action": "keep", "frame": 0, "text": "D"}]}, {"D": "right"}, "right"), ({"boxes": [{"action": "keep", "frame": 1, "text": "R"}]}, {}, ""),
    ({"boxes": [{"action": "keep", "frame": 0, "text": t} for t in "LR"]}, {}, "both"), ({"laterality": {"side": None}, "boxes": [{"action": "keep", "frame": 0, "text": "R"}]}, {}, ""),
    ({"laterality": {"side": "left"}}, {}, "left"), ({"laterality": {"side": "unclear"}}, {}, ""),
])
def test_the_side(row, meanings, side):
    assert facts.side(row, 0, meanings) == side
