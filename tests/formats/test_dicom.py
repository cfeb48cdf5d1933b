"""DICOM: pixels outside are bit-identical, inside renders black, every other carrier goes, tags say what was done."""

from __future__ import annotations

import logging
import threading
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import BOX, ENCODED, NATIVE, SHAPE, header, lut, random_stored, rendered, rewrite, save
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import config, uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, convert_color_space, pixel_array
from pydicom.sequence import Sequence

from markerremover.errors import HeldError, ReadError, WriteError
from markerremover.formats.dicom import files, tags
from markerremover.formats.dicom.files import read_dicom, verify_dicom, write_dicom


@settings(max_examples=80, deadline=None)
@given(
    data=st.data(),
    bits=st.integers(8, 16),
    signed=st.booleans(),
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
    frames=st.integers(1, 3),
    syntax=st.sampled_from(NATIVE + ENCODED),
)
def test_outside_is_bit_identical_and_inside_renders_black(tmp_path_factory, data, bits, signed, photometric, frames, syntax):
    folder = tmp_path_factory.mktemp("d")
    stored = random_stored(bits, signed, frames, seed=data.draw(st.integers(0, 999)))
    shift = data.draw(st.integers(0, 16 - bits)) if bits > 8 and syntax in NATIVE else 0
    elements = {}
    if data.draw(st.booleans()):
        elements = {"WindowCenter": data.draw(st.integers(-3000, 60000)), "WindowWidth": data.draw(st.integers(1, 60000))}
    if data.draw(st.booleans()):
        elements |= {"RescaleSlope": data.draw(st.sampled_from([1, 0.5, 2])), "RescaleIntercept": data.draw(st.integers(-2000, 2000))}
    path = save(folder, stored, bits=bits, shift=shift, photometric=photometric, syntax=syntax, **elements)
    y, x = data.draw(st.integers(0, SHAPE[0] - 1)), data.draw(st.integers(0, SHAPE[1] - 1))
    box = (slice(y, data.draw(st.integers(y + 1, SHAPE[0]))), slice(x, data.draw(st.integers(x + 1, SHAPE[1]))))
    radiograph, new, again, out = rewrite(folder, path, box=box)
    assert np.array_equal(radiograph.stored, stored) and radiograph.stored.dtype == stored.dtype
    outside = np.ones(stored.shape, bool)
    outside[:, box[0], box[1]] = False
    assert np.array_equal(again.stored[outside], stored[outside]) and len(again.stored) == frames
    assert (again.stored[:, box[0], box[1]] == radiograph.fill[0]).all()
    assert again.display[:, box[0], box[1]].max() == again.display.min()
    extreme = again.stored.max() if photometric == "MONOCHROME1" else again.stored.min()
    assert radiograph.fill[0] == extreme  # black after min-max normalisation too
    if shift == 0:
        shown = rendered(out).reshape(stored.shape)
        if shown.min() < shown.max():  # a window that shows all of the picture as one value says nothing of black
            assert shown[:, box[0], box[1]].max() == 0


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    bits=st.integers(8, 16),
    signed=st.booleans(),
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
    shape=st.sampled_from([None, "IDENTITY", "INVERSE"]),
)
def test_padding_voi_luts_and_presentation_shapes_leave_the_box_black(tmp_path_factory, data, bits, signed, photometric, shape):
    folder = tmp_path_factory.mktemp("d")
    stored = random_stored(bits, signed, seed=data.draw(st.integers(0, 999)))
    low, high = int(stored.min()), int(stored.max())
    elements = {"PresentationLUTShape": shape} if shape else {}
    if data.draw(st.booleans()):
        elements["PixelPaddingValue"] = data.draw(st.integers(low, high))
    if not signed and data.draw(st.booleans()):
        elements["VOILUTSequence"] = lut((np.linspace(0, 1, 1 << bits) ** 2 * 65535).astype(int) if bits < 16 else np.arange(1, 65536))
    radiograph, new, again, out = rewrite(folder, save(folder, stored, bits=bits, photometric=photometric, **elements))
    outside = np.ones(stored.shape, bool)
    outside[:, BOX[0], BOX[1]] = False
    assert np.array_equal(again.stored[outside], stored[outside])
    dark_high = photometric == "MONOCHROME1" or shape == "INVERSE"
    assert radiograph.fill[0] == (again.stored.max() if dark_high else again.stored.min())
    shown = apply_voi_lut(apply_modality_lut(out.pixel_array, out), out).astype(float)
    assert shown[BOX].min() == shown.max() if dark_high else shown[BOX].max() == shown.min()


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    photometric=st.sampled_from(["RGB", "YBR_FULL", "PALETTE COLOR"]),
    bits=st.sampled_from([8, 16]),
    frames=st.integers(1, 2),
    syntax=st.sampled_from(NATIVE),
)
def test_in_colour_too_outside_is_bit_identical_and_inside_renders_black(tmp_path_factory, data, photometric, bits, frames, syntax):
    folder, seed = tmp_path_factory.mktemp("d"), data.draw(st.integers(0, 999))
    elements = {}
    if photometric == "PALETTE COLOR":
        bits, stored = 8, random_stored(8, frames=frames, seed=seed)
        colours = np.random.default_rng(seed).integers(1, 256, (3, 256)) * 257
        colours[:, data.draw(st.integers(0, 255))] = 0
        for name, values in zip(("Red", "Green", "Blue"), colours):
            # pydicom leaves the bytes of OW as they are given
            elements[f"{name}PaletteColorLookupTableData"] = values.astype(">u2" if syntax == uid.ExplicitVRBigEndian else "<u2").tobytes()
            elements[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
    else:
        stored = random_stored(bits, frames=frames, channels=3, seed=seed)
        elements["PlanarConfiguration"] = data.draw(st.sampled_from([0, 1]))
    y, x = data.draw(st.integers(0, SHAPE[0] - 1)), data.draw(st.integers(0, SHAPE[1] - 1))
    box = (slice(y, data.draw(st.integers(y + 1, SHAPE[0]))), slice(x, data.draw(st.integers(x + 1, SHAPE[1]))))
    _, _, again, out = rewrite(folder, save(folder, stored, bits=bits, photometric=photometric, syntax=syntax, **elements), box=box)
    outside = np.ones(stored.shape, bool)
    outside[:, box[0], box[1]] = False
    assert np.array_equal(again.stored[outside], stored[outside]) and len(again.stored) == frames
    pixels = pixel_array(out, raw=True).reshape(stored.shape)
    if photometric == "PALETTE COLOR":
        pixels = np.stack([apply_color_lut(frame, out) for frame in pixels])
    elif photometric == "YBR_FULL" and bits == 8:
        pixels = np.stack([convert_color_space(frame, "YBR_FULL", "RGB") for frame in pixels])
    elif photometric == "YBR_FULL":  # pydicom converts 8 bits only: no light, and no colour
        pixels = np.abs(pixels.astype(int) - [0, 1 << 15, 1 << 15])
    assert not pixels[:, box[0], box[1]].any()
    assert not again.display[:, box[0], box[1]].any()


@pytest.mark.parametrize("syntax", NATIVE + ENCODED, ids=lambda s: s.name)
@pytest.mark.parametrize("frames", [1, 2])
def test_untouched_pixel_data_keeps_its_bytes_in_every_syntax(tmp_path, syntax, frames):
    path = save(tmp_path, random_stored(frames=frames), syntax=syntax)
    before = pydicom.dcmread(path)
    *_, out = rewrite(tmp_path, path, touched=False)
    assert out.PixelData == before.PixelData and out.file_meta.TransferSyntaxUID == syntax
    assert out.SOPInstanceUID == before.SOPInstanceUID and out.ImageType == before.ImageType


@pytest.mark.parametrize("name", ["MR_small_jpeg_ls_lossless.dcm", "SC_rgb_rle_16bit_2frame.dcm", "examples_jpeg2k.dcm"])
def test_touched_files_of_others_keep_a_lossless_syntax(tmp_path, name):
    path = Path(get_testdata_file(name))
    _, new, again, out = rewrite(tmp_path, path)
    assert out.file_meta.TransferSyntaxUID == pydicom.dcmread(path).file_meta.TransferSyntaxUID
    assert np.array_equal(again.stored, new) and not again.display[:, BOX[0], BOX[1]].any()
    assert out.get("LossyImageCompression", "00") == "00"


@pytest.mark.parametrize("syntax", NATIVE + ENCODED, ids=lambda s: s.name)
def test_touched_files_keep_a_lossless_syntax(tmp_path, syntax):
    path = save(tmp_path, random_stored(), syntax=syntax)
    *_, out = rewrite(tmp_path, path)
    assert out.file_meta.TransferSyntaxUID == syntax


@pytest.mark.parametrize(
    ("name", "lossy"),
    [
        ("JPEG2000.dcm", True),
        ("JPEGLSNearLossless_16.dcm", True),
        ("JPGExtended.dcm", True),
        ("SC_rgb_jpeg_gdcm.dcm", False),
    ],
)
def test_other_compressed_syntaxes_come_out_as_explicit_little_endian(tmp_path, name, lossy):
    path = Path(get_testdata_file(name))
    radiograph, new, again, out = rewrite(tmp_path, path)
    assert out.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
    assert np.array_equal(again.stored, new) and not again.display[:, BOX[0], BOX[1]].any()
    if lossy:
        assert out.LossyImageCompression == "01"
    *_, untouched = rewrite(tmp_path, path, touched=False)
    assert untouched.PixelData == pydicom.dcmread(path).PixelData


def test_every_file_that_pydicom_ships_ends_with_an_image_or_a_reason(tmp_path):
    folder = Path(get_testdata_file("CT_small.dcm")).parent
    done = 0
    for path in sorted(folder.glob("*.dcm")):
        for touched in (False, True):
            try:
                rewrite(tmp_path, path, touched=touched, box=(slice(0, 3), slice(0, 3)))
                done += 1
            except (ReadError, HeldError) as exc:
                assert str(exc).startswith(path.name)
    assert done > 80


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("bits", [8, 16])
def test_colour_is_read_as_stored_and_blacked_out(tmp_path, photometric, planar, bits):
    stored = random_stored(bits, channels=3)
    path = save(tmp_path, stored, bits=bits, photometric=photometric, PlanarConfiguration=planar)
    radiograph, new, again, out = rewrite(tmp_path, path)
    assert np.array_equal(radiograph.stored, stored) and np.array_equal(again.stored, new)
    assert not again.display[:, BOX[0], BOX[1]].any()
    assert (out.PhotometricInterpretation, out.PlanarConfiguration) == (photometric, planar)


def test_palette_colour_takes_its_black_entry_and_is_held_without_one(tmp_path):
    def palette(values):
        data = np.array(values, "<u2").tobytes()
        names = ("Red", "Green", "Blue")
        tables = {f"{n}PaletteColorLookupTableData": data for n in names}
        return tables | {f"{n}PaletteColorLookupTableDescriptor": [256, 0, 16] for n in names}

    ramp = [257 * i for i in range(255, -1, -1)]
    path = save(tmp_path, random_stored(8), bits=8, photometric="PALETTE COLOR", **palette(ramp))
    radiograph, _, again, _ = rewrite(tmp_path, path)
    assert radiograph.fill == (255,) and not again.display[:, BOX[0], BOX[1]].any()
    path = save(tmp_path, random_stored(8), bits=8, photometric="PALETTE COLOR", **palette([30000] * 256))
    with pytest.raises(HeldError, match="in.dcm: its palette"):
        read_dicom(path)


def test_the_fill_is_the_darker_of_the_image_and_the_window(tmp_path):
    stored = random_stored() // 2 + 1000
    cases = [
        (("MONOCHROME2", 2048, 4096), 0),  # the window's lower edge, within BitsStored
        (("MONOCHROME2", 2048, 1000), int(stored.min())),
        (("MONOCHROME2", 600, 202), 499),
        (("MONOCHROME1", 2048, 4096), 4095),
        (("MONOCHROME1", 2048, 1000), int(stored.max())),
    ]
    for (photometric, center, width), fill in cases:
        path = save(tmp_path, stored, photometric=photometric, WindowCenter=center, WindowWidth=width)
        assert read_dicom(path).fill == (fill,)


def test_the_fill_is_black_in_every_window_of_the_file(tmp_path):
    path = save(tmp_path, random_stored() // 4 + 2000, WindowCenter=[2500, 1500], WindowWidth=[200, 1002])
    assert read_dicom(path).fill == (999,)


@pytest.mark.parametrize("padding", [0, 4095])
def test_padding_confuses_neither_window_nor_fill(tmp_path, padding):
    stored = random_stored() // 8 + 1500
    stored[:, :6] = padding
    path = save(tmp_path, stored, PixelPaddingValue=padding)
    radiograph, new, again, _ = rewrite(tmp_path, path, box=(slice(8, 12), slice(3, 9)))
    assert radiograph.display[:, 6:].std() > 40
    assert radiograph.fill[0] == stored.min() and not again.display[:, 8:12, 3:9].any()


def test_signed_padding_that_reads_as_unsigned_is_understood(tmp_path):
    stored = (random_stored() // 8).astype(np.int16)
    stored[:, :6] = -2000
    dataset = pydicom.dcmread(save(tmp_path, stored, bits=16))
    dataset.add_new(0x00280120, "US", 63536)
    dataset.save_as(tmp_path / "p.dcm")
    assert read_dicom(tmp_path / "p.dcm").display[:, 6:].std() > 40


def test_an_inverse_presentation_shape_shows_low_values_bright(tmp_path):
    stored = random_stored()
    path = save(tmp_path, stored, PresentationLUTShape="INVERSE")
    radiograph, _, again, _ = rewrite(tmp_path, path)
    assert radiograph.display.ravel()[stored.argmin()] >= 254 and radiograph.fill == (int(stored.max()),)
    assert not again.display[:, BOX[0], BOX[1]].any()
    path = save(tmp_path, stored, photometric="MONOCHROME1", PresentationLUTShape="INVERSE")
    assert read_dicom(path).display.ravel()[stored.argmin()] >= 254  # the one inversion that MONOCHROME1 means


def test_a_negative_slope_shows_low_values_bright(tmp_path):
    stored = random_stored()
    path = save(tmp_path, stored, RescaleSlope=-1, RescaleIntercept=4095, WindowCenter=2048, WindowWidth=4096)
    radiograph, _, again, _ = rewrite(tmp_path, path)
    assert radiograph.fill[0] == 4095 and not again.display[:, BOX[0], BOX[1]].any()


@pytest.mark.parametrize("falling", [False, True])
def test_a_voi_lut_decides_what_is_dark(tmp_path, falling):
    curve = (np.linspace(0, 1, 4096) ** 2 * 65535).astype(int)
    curve = curve[::-1] if falling else curve
    path = save(tmp_path, random_stored(), VOILUTSequence=lut(curve))
    radiograph, _, again, _ = rewrite(tmp_path, path)
    assert (radiograph.display.ravel()[radiograph.stored.argmin()] > 200) == falling
    assert again.display[:, BOX[0], BOX[1]].max() == 0


def test_a_modality_lut_is_followed(tmp_path):
    path = save(tmp_path, random_stored(), ModalityLUTSequence=lut(np.arange(4095, -1, -1)))
    radiograph, _, again, _ = rewrite(tmp_path, path)
    assert radiograph.display.ravel()[radiograph.stored.argmin()] >= 254 and not again.display[:, BOX[0], BOX[1]].any()


@pytest.mark.parametrize("window", [("", ""), (2048, 0), (-90000, 10)], ids=str)
def test_an_absent_or_absurd_window_falls_back_on_the_image(tmp_path, window):
    path = save(tmp_path, random_stored() // 8 + 1500, WindowCenter=window[0], WindowWidth=window[1])
    assert read_dicom(path).display.std() > 50


def test_every_other_carrier_of_pixels_goes(tmp_path):
    path = save(tmp_path, random_stored())
    dataset = pydicom.dcmread(path)
    for group in (0x6000, 0x601E):
        dataset.add_new((group, 0x0010), "US", SHAPE[0])
        dataset.add_new((group, 0x3000), "OW", b"SMITH^JOHN")
    dataset.add_new(0x50003000, "OW", b"SMITH^JOHN")
    icon = header()
    icon.PixelData = b"SMITH^JOHN"
    icon["PixelData"].VR = "OB"
    del icon.file_meta
    dataset.IconImageSequence = Sequence([icon])
    nested = Dataset()
    nested.IconImageSequence = Sequence([icon])
    nested.add_new(0x60003000, "OW", b"SMITH^JOHN")
    nested.add_new(0x7FE00010, "OB", b"SMITH^JOHN")
    dataset.ReferencedImageSequence = Sequence([nested])
    dataset.add_new(0x00420011, "OB", b"SMITH^JOHN")
    dataset.add_new(0xFFFCFFFC, "OB", b"SMITH^JOHN")
    dataset.add_new(0xFFFAFFFA, "SQ", [Dataset()])
    dataset.add_new(0x4FFE0001, "SQ", [Dataset()])
    dataset.PatientName = ""
    dataset.save_as(path)
    for touched in (False, True):
        *_, out = rewrite(tmp_path, path, touched=touched)
        assert b"SMITH" not in (tmp_path / "out.dcm").read_bytes()
        assert tags.remove_carriers(out) == 0 and len(out.ReferencedImageSequence) == 1


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless], ids=lambda s: s.name)
@pytest.mark.parametrize(
    ("tag", "vr"),
    [(0x7FE00008, "OF"), (0x7FE00009, "OD"), (0x7FE00020, "OB"), (0x7F000010, "OW"), (0x7FDE0010, "OW"), (0x7FE10010, "OB")],
    ids=lambda v: f"{v:08X}" if isinstance(v, int) else v,
)
def test_no_other_pixel_element_survives(tmp_path, syntax, tag, vr):
    path = save(tmp_path, random_stored(), syntax=syntax, PatientName="")
    dataset = pydicom.dcmread(path)
    dataset.add_new(tag, vr, b"SMITH^JOHN^HIDES")
    dataset.save_as(path)
    *_, out = rewrite(tmp_path, path, touched=False)
    assert b"SMITH" not in (tmp_path / "out.dcm").read_bytes() and tag not in out


@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
def test_floating_point_pixels_alone_are_held(tmp_path, keyword):
    path = save(tmp_path, random_stored())
    dataset = pydicom.dcmread(path)
    setattr(dataset, keyword, dataset.PixelData + b"\0" * 6)
    del dataset.PixelData
    dataset.save_as(path)
    with pytest.raises(HeldError, match="floating-point"):
        read_dicom(path)


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian], ids=lambda s: s.name)
@pytest.mark.parametrize("vr", ["OB", "OW", "UN", "US", "standard OW", "unknown US"])
def test_a_binary_value_that_could_be_a_picture_goes_and_a_short_one_stays(tmp_path, syntax, vr):
    limit = tags.BULK_BYTES
    path = save(tmp_path, random_stored(), syntax=syntax, PatientName="")
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x00290010, "LO", "ACME")
    places = {"standard OW": (0x54001010, 0x54001012), "unknown US": (0x00441000, 0x00441001)}
    long, short = places.get(vr, (0x00291010, 0x00291011))
    for tag, size in ((long, limit + 2), (short, limit)):
        content = b"SMITH^" * 99 if size > limit else b"x" * size
        dataset.add_new(tag, vr[-2:], list(range(size // 2)) if vr[-2:] == "US" else content)
    dataset.save_as(path)
    *_, out = rewrite(tmp_path, path, touched=False)
    assert long not in out and short in out and b"SMITH" not in (tmp_path / "out.dcm").read_bytes()


def test_look_up_tables_and_palettes_are_long_but_needed(tmp_path):
    path = save(tmp_path, random_stored(), VOILUTSequence=lut(np.arange(4096)))
    *_, out = rewrite(tmp_path, path, touched=False)
    assert len(out.VOILUTSequence[0].LUTData) == 2 * 4096


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian], ids=lambda s: s.name)
@pytest.mark.parametrize("size", [16, 4000], ids=["tiny", "large"])
def test_an_icon_inside_a_private_sequence_goes(tmp_path, syntax, size):
    path = save(tmp_path, random_stored(), syntax=syntax, PatientName="")
    dataset, icon, holder = pydicom.dcmread(path), Dataset(), Dataset()
    icon.Rows, icon.Columns, icon.PixelData = 4, 4, b"SMITHX" * (size // 6)
    icon["PixelData"].VR = "OW"
    holder.IconImageSequence = Sequence([icon])
    dataset.add_new(0x00290010, "LO", "ACME")
    dataset.add_new(0x00291010, "SQ", [holder])
    dataset.save_as(path)
    rewrite(tmp_path, path, touched=False)
    assert b"SMITH" not in (tmp_path / "out.dcm").read_bytes()


def test_preamble_file_meta_and_trailing_bytes_do_not_survive(tmp_path):
    path = save(tmp_path, random_stored(), PatientName="")
    dataset = pydicom.dcmread(path)
    dataset.preamble = b"SMITH".ljust(128)
    dataset.file_meta.SourceApplicationEntityTitle = "SMITH"
    dataset.file_meta.PrivateInformationCreatorUID = "1.2.3"
    dataset.file_meta.PrivateInformation = b"SMITH."
    dataset.save_as(path)
    rewrite(tmp_path, path, touched=False)
    assert b"SMITH" not in (tmp_path / "out.dcm").read_bytes()


@pytest.mark.parametrize("extra", [b"SMITH^JOHN", b"\0" * 2 * SHAPE[0] * SHAPE[1]], ids=["some bytes", "zeros"])
def test_bytes_beyond_the_declared_frames_do_not_survive(tmp_path, extra):
    path = save(tmp_path, random_stored(), PatientName="")
    dataset = pydicom.dcmread(path)
    dataset.PixelData = dataset.PixelData + extra
    dataset.save_as(path)
    *_, again, out = rewrite(tmp_path, path, touched=False)
    assert len(out.PixelData) == 2 * SHAPE[0] * SHAPE[1] and again.stored.shape == (1, *SHAPE)


def test_more_compressed_frames_than_declared_are_held(tmp_path):
    path = save(tmp_path, random_stored(frames=2), syntax=uid.RLELossless)
    dataset = pydicom.dcmread(path)
    dataset.NumberOfFrames = 1
    dataset.save_as(path)
    with pytest.raises((HeldError, ReadError)):
        read_dicom(path)


@pytest.mark.parametrize("touched", [False, True], ids=["untouched", "touched"])
@pytest.mark.parametrize("shift", [0, 2])
def test_what_hides_in_unused_bits_is_cleared(tmp_path, touched, shift):
    path = save(tmp_path, random_stored(), shift=shift, noise=0x8000 | (1 if shift else 0))
    radiograph, new, again, out = rewrite(tmp_path, path, touched=touched)
    assert radiograph.source.dirty and np.array_equal(again.stored, new) and not again.source.dirty
    words = np.frombuffer(out.PixelData, "<u2")
    assert not (words & ~np.uint16(0x0FFF << shift)).any()
    assert out.SOPInstanceUID != "1.2.3.4"


@pytest.mark.parametrize("extended", [False, True])
def test_signed_values_keep_their_way_of_filling_unused_bits(tmp_path, extended):
    stored = random_stored(12, signed=True)
    path = save(tmp_path, stored)
    dataset = pydicom.dcmread(path)
    if extended:
        dataset.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)
        dataset.save_as(path)
    radiograph, new, again, out = rewrite(tmp_path, path)
    assert not radiograph.source.dirty and np.array_equal(again.stored, new)
    words = np.frombuffer(out.PixelData, "<i2")[: new.size]
    assert np.array_equal(words, new.ravel() if extended else new.ravel() & 0xFFF)


def test_tags_after_a_verified_clean(tmp_path):
    earlier = Dataset()
    earlier.CodeValue, earlier.CodingSchemeDesignator, earlier.CodeMeaning = "113100", "DCM", "Basic"
    path = save(tmp_path, random_stored(), DeidentificationMethodCodeSequence=Sequence([earlier]), DeidentificationMethod="first",
                PatientIdentityRemoved="NO", SmallestImagePixelValue=1, LargestImagePixelValue=4000)  # fmt: skip
    *_, out = rewrite(tmp_path, path, verified=True, method="markerremover 0.1")
    assert out.BurnedInAnnotation == "NO" and out.PatientIdentityRemoved == "NO"
    assert [item.CodeValue for item in out.DeidentificationMethodCodeSequence] == ["113100", "113101"]
    assert list(out.DeidentificationMethod) == ["first", "markerremover 0.1"]
    assert out.ImageType[0] == "DERIVED" and out.ImageType[1] == "PRIMARY"
    assert out.SOPInstanceUID == out.file_meta.MediaStorageSOPInstanceUID != "1.2.3.4"
    assert "SmallestImagePixelValue" not in out and "LargestImagePixelValue" not in out and "WindowCenter" not in out
    again = rewrite(tmp_path, tmp_path / "out.dcm", verified=True)[3]
    assert [item.CodeValue for item in again.DeidentificationMethodCodeSequence] == ["113100", "113101"]


def test_without_verification_nothing_is_claimed(tmp_path):
    path = save(tmp_path, random_stored(), BurnedInAnnotation="YES")
    *_, out = rewrite(tmp_path, path, method="markerremover")
    assert out.BurnedInAnnotation == "YES"
    assert "DeidentificationMethodCodeSequence" not in out and "DeidentificationMethod" not in out


def test_the_rest_of_the_header_stays_and_the_input_record_too(tmp_path):
    path = save(tmp_path, random_stored(), StudyDescription="Chest", WindowCenter=2000, WindowWidth=3000)
    radiograph, *_, out = rewrite(tmp_path, path, verified=True)
    changed = {0x00080008, 0x00080018, 0x00280301, 0x00120064, 0x7FE00010}
    before = pydicom.dcmread(path)
    assert {e.tag for e in before} <= {e.tag for e in out}
    assert all(out[e.tag].value == e.value for e in before if int(e.tag) not in changed)
    assert "BurnedInAnnotation" not in radiograph.source.dataset and radiograph.source.dataset.SOPInstanceUID == "1.2.3.4"


def test_the_same_result_gets_the_same_uid_and_another_result_another(tmp_path):
    path = save(tmp_path, random_stored())
    first, second = rewrite(tmp_path, path)[3], rewrite(tmp_path, path)[3]
    other = rewrite(tmp_path, path, box=(slice(0, 2), slice(0, 2)))[3]
    assert first.SOPInstanceUID == second.SOPInstanceUID != other.SOPInstanceUID
    assert uid.UID(first.SOPInstanceUID).is_valid


def test_lossy_history_stays(tmp_path):
    path = save(tmp_path, random_stored(), LossyImageCompression="01", LossyImageCompressionRatio="12.5")
    *_, out = rewrite(tmp_path, path)
    assert out.LossyImageCompression == "01" and out.LossyImageCompressionRatio == 12.5


def spoil(folder, **elements) -> Path:
    dataset = pydicom.dcmread(save(folder, random_stored()))
    for keyword, value in elements.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(folder / "spoilt.dcm")
    return folder / "spoilt.dcm"


@pytest.mark.parametrize(
    ("elements", "error", "message"),
    [
        ({"PixelData": None}, ReadError, "no pixel data"),
        ({"PixelData": b""}, ReadError, "no pixel data"),
        ({"PixelData": b"\0\0"}, ReadError, "truncated"),
        ({"Rows": 0}, ReadError, "0 rows"),
        ({"Columns": None}, ReadError, "Columns"),
        ({"Rows": 60000, "Columns": 60000}, HeldError, "allowed are"),
        ({"BitsAllocated": 32}, HeldError, "not supported"),
        ({"BitsStored": 17}, HeldError, "not supported"),
        ({"HighBit": 3}, HeldError, "high bit"),
        ({"SamplesPerPixel": 4}, HeldError, "not supported"),
        ({"PhotometricInterpretation": "HSV"}, HeldError, "photometric"),
        ({"SOPClassUID": None}, HeldError, "SOP Class"),
    ],
    ids=lambda v: ", ".join(f"{k}={'' if x is None else x}" for k, x in v.items()) if isinstance(v, dict) else None,
)
def test_what_is_wrong_is_said_and_names_the_file(tmp_path, elements, error, message):
    with pytest.raises(error, match=f"spoilt.dcm: .*{message}"):
        read_dicom(spoil(tmp_path, **elements))


@pytest.mark.parametrize("name", ["JPGExtended.dcm", "JPEGLSNearLossless_16.dcm", "JPEG2000.dcm", "MR_small_RLE.dcm"])
def test_a_compressed_frame_without_its_end_is_an_error(tmp_path, name):
    dataset = pydicom.dcmread(get_testdata_file(name))
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([frame[: len(frame) * 7 // 10]])
    dataset.save_as(tmp_path / "cut.dcm")
    with pytest.raises(ReadError, match="truncated|damaged"):
        read_dicom(tmp_path / "cut.dcm")


def test_an_unknown_transfer_syntax_is_held(tmp_path):
    path = save(tmp_path, random_stored())
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.77"))
    with pytest.raises((HeldError, ReadError)):
        read_dicom(path)


def test_neither_errors_nor_logs_nor_warnings_quote_the_header(tmp_path, caplog):
    path = save(tmp_path, random_stored())
    broken = bytearray(path.read_bytes())
    at = broken.index(b"SMITH^JOHN")
    broken[at - 8 : at - 2] = b"\x10\0\x10\0QQ"
    path.write_bytes(bytes(broken))
    with warnings.catch_warnings(record=True) as seen, caplog.at_level(logging.DEBUG):
        warnings.simplefilter("always")
        try:
            rewrite(tmp_path, path)
        except (ReadError, HeldError, WriteError) as exc:
            assert "SMITH" not in str(exc)
    assert not seen and "SMITH" not in caplog.text
    dataset = pydicom.dcmread(save(tmp_path, random_stored()))
    assert dataset.PatientName == "SMITH^JOHN"


def test_threads_that_read_at_once_are_all_silent_and_leave_everything_as_it_was():
    def state():
        return config.settings.reading_validation_mode, config.settings.writing_validation_mode, logging.getLogger("pydicom").level, len(warnings.filters)

    before, ways = state(), [threading.Event() for _ in range(3)]
    silent = []

    def first():
        with files.quiet:
            ways[0].set()
            ways[1].wait(600)
        silent.append(state())  # the other one is still at it
        ways[2].set()

    def other():
        ways[0].wait(600)
        with files.quiet:
            ways[1].set()
            ways[2].wait(600)
            silent.append(state())

    threads = [threading.Thread(target=task) for task in (first, other)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(silent) == 2 and silent[0] == silent[1] and silent[0][:2] == (config.IGNORE, config.IGNORE) and silent[0][2] > logging.CRITICAL
    assert state() == before != silent[0]


def test_verification_sees_wrong_pixels_and_leftover_carriers(tmp_path):
    radiograph = read_dicom(save(tmp_path, random_stored()))
    target = tmp_path / "out.dcm"
    write_dicom(radiograph, radiograph.stored, target, touched=False)
    new = radiograph.stored.copy()
    new[:, BOX[0], BOX[1]] = 0
    with pytest.raises(WriteError, match="pixels"):
        verify_dicom(radiograph, new, target, touched=True)
    dataset = pydicom.dcmread(target)
    dataset.add_new(0x60003000, "OW", b"SMITH^JOHN")
    dataset.save_as(target)
    with pytest.raises(WriteError, match="overlays"):
        verify_dicom(radiograph, radiograph.stored, target, touched=False)
    target.write_bytes(b"x" * 200)
    with pytest.raises(WriteError, match="read back"):
        verify_dicom(radiograph, new, target, touched=True)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("text", "ground"), [(3900, 2600), (400, 40), (40, 400)])
@pytest.mark.parametrize("centers", [["1250"], ["1250", "2048"]], ids=["one window", "two windows"])
def test_text_that_the_files_window_hides_is_shown_in_a_further_view(tmp_path, photometric, text, ground, centers):
    stored = np.random.default_rng(0).integers(700, 1800, (1, *SHAPE)).astype(np.uint16)
    stored[0, :20], stored[0, 6:12, 8:20] = ground, text
    path = save(tmp_path, stored, photometric=photometric, WindowCenter=centers, WindowWidth=["1500", "4096"][: len(centers)])
    radiograph = read_dicom(path)
    assert radiograph.display[0, 8, 10] == radiograph.display[0, 1, 1]
    (further,) = radiograph.also
    sign = -1 if (photometric == "MONOCHROME1") != (text < ground) else 1
    assert (int(further[0, 8, 10]) - int(further[0, 1, 1])) * sign > 40


def test_a_window_that_hides_nothing_costs_no_further_view(tmp_path):
    assert read_dicom(save(tmp_path, random_stored(), WindowCenter=2048, WindowWidth=4096)).also == ()


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_colour_that_uses_few_of_its_stored_bits_is_not_shown_black(tmp_path, photometric):
    stored = random_stored(10, channels=3)
    stored[..., 1:] = stored[..., :1] if photometric == "RGB" else 32768
    shown = read_dicom(save(tmp_path, stored, bits=16, photometric=photometric)).display
    assert shown.max() == 255 and shown.mean() > 50


def test_palette_entries_of_one_colour_hide_nothing_and_dim_ones_are_brightened(tmp_path):
    stored = np.full((1, *SHAPE), 200, np.uint8)
    stored[0, 6:12, 8:20], stored[0, 20:] = 201, 0
    ramp = np.minimum(np.arange(256), 200).astype("<u2") * 4
    names = ("Red", "Green", "Blue")
    palette = {f"{n}PaletteColorLookupTableData": ramp.tobytes() for n in names}
    palette |= {f"{n}PaletteColorLookupTableDescriptor": [256, 0, 16] for n in names}
    radiograph = read_dicom(save(tmp_path, stored, bits=8, photometric="PALETTE COLOR", **palette))
    assert radiograph.display.max() == 255
    assert any(view[0, 8, 10] != view[0, 1, 1] for view in radiograph.also)
