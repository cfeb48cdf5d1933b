"""What would change a file without a word: bits, frames and elements. Each is held, repaired or left out, and the row says so."""

from __future__ import annotations

import json
import zlib

import fakes
import numpy as np
import pydicom
import pytest
from dicom_files import header, item, random_stored, save
from pydicom import uid

from markerremover.errors import HeldError, ReadError, UsageError
from markerremover.formats.dicom import parsing
from markerremover.formats.dicom.files import read_dicom
from markerremover.headers import header_changes
from markerremover.options import RunOptions
from markerremover.run import batch

SHAPE = (60, 80)


def smooth(bits: int) -> np.ndarray:
    """A picture (H, W) uint16 whose values rise slowly up to the most that so many bits hold."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / np.float64(max(SHAPE))
    noise = np.random.default_rng(0).normal(0, 0.004, SHAPE)
    return (np.clip(0.2 + 0.5 * y + 0.4 * x + noise, 0, 1) * ((1 << bits) - 1)).astype(np.uint16)


def put(folder, words: np.ndarray, *, bits=12, high=None, signed=0, syntax=uid.ExplicitVRLittleEndian, name="in.dcm", **elements):
    """A file of (H, W) words with a header that says what it is told to."""
    dataset = header(syntax, **elements)
    dataset.Rows, dataset.Columns = words.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", signed
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * words.dtype.itemsize, bits, bits - 1 if high is None else high
    dataset.PixelData = words.tobytes()
    dataset["PixelData"].VR = "OW" if words.dtype.itemsize == 2 else "OB"
    for keyword in [k for k in elements if k in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "PhotometricInterpretation")]:
        setattr(dataset, keyword, elements[keyword])
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def row_of(folder, **options):
    """The only row of a run over a folder, and its output, None without one."""
    out = folder.with_name(folder.name + "-out")
    batch.remove([folder], out, options=RunOptions(**options), open_cleaner=fakes.cleaner)
    (row,) = map(json.loads, (out.with_name(out.name + "-audit") / "manifest.jsonl").read_text().splitlines())
    written = list(out.glob("*.dcm"))
    return row, pydicom.dcmread(written[0]) if written else None


# bits


@pytest.mark.parametrize("bits", [13, 14, 16])
def test_a_picture_that_needs_more_bits_than_are_stored_is_held(tmp_path, bits):
    with pytest.raises(HeldError, match="in.dcm: says that 12 bits up to high bit 11 are stored"):
        read_dicom(put(tmp_path, smooth(bits)))


def test_a_compressed_picture_that_needs_more_bits_is_held_too(tmp_path):
    path = save(tmp_path, smooth(14)[None], bits=16, syntax=uid.RLELossless)
    dataset = pydicom.dcmread(path)
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.save_as(path)
    with pytest.raises(HeldError, match="12 bits"):
        read_dicom(path)


def test_eight_bits_declared_for_twelve_are_held(tmp_path):
    with pytest.raises(HeldError, match="8 bits"):
        read_dicom(put(tmp_path, smooth(12), bits=8))


def test_a_high_bit_that_is_not_where_the_values_end_is_held(tmp_path):
    with pytest.raises(HeldError, match="high bit 15"):
        read_dicom(put(tmp_path, smooth(12), high=15))


def test_signed_values_beyond_their_bits_are_held(tmp_path):
    values = (smooth(14).astype(np.int32) - 6000).astype(np.int16)
    assert values.min() < -2048 and values.max() > 2047
    with pytest.raises(HeldError, match="12 bits"):
        read_dicom(put(tmp_path, values, signed=1))


def test_signs_written_in_two_ways_are_held(tmp_path):
    values = (smooth(12).astype(np.int32) - 1000).astype(np.int16)
    assert values.min() < 0 and values.max() > 2047, "too large for twelve bits, which nothing but the other negative values shows"
    with pytest.raises(HeldError, match="sign"):
        read_dicom(put(tmp_path, values, signed=1))


def test_padding_outside_the_stored_bits_is_held(tmp_path):
    words = smooth(12)
    words[:, :9] = 0xFFFF
    with pytest.raises(HeldError, match="bits 12 to 15"):
        read_dicom(put(tmp_path, words, PixelPaddingValue=0xFFFF))


@pytest.mark.parametrize("position", [12, 15])
@pytest.mark.parametrize("declared", [False, True])
def test_an_overlay_in_a_spare_bit_is_cleared_and_said(tmp_path, position, declared):
    plain = smooth(12)
    words = plain.copy()
    words[20:30, 10:40] |= 1 << position
    path = put(tmp_path / "in", words)
    if declared:
        dataset = pydicom.dcmread(path)
        dataset.add_new(0x60000100, "US", 16)
        dataset.add_new(0x60000102, "US", position)
        dataset.save_as(path)
    row, out = row_of(tmp_path / "in")
    assert np.array_equal(np.frombuffer(out.PixelData, "<u2").reshape(SHAPE), plain) and (0x6000, 0x0102) not in out
    assert "PixelData (7FE0,0010): bits outside the stored ones were set, cleared" in row["notes"]
    assert not declared or any("(6000,xxxx)" in note for note in row["notes"])


def test_two_declared_overlays_are_cleared_and_two_that_nobody_declares_are_held(tmp_path):
    words = smooth(12)
    words[20:30, 10:40] |= 0x1000
    words[40:50, 20:60] |= 0x8000
    with pytest.raises(HeldError):
        read_dicom(put(tmp_path, words))
    path = put(tmp_path, words)
    dataset = pydicom.dcmread(path)
    for group, position in ((0x6000, 12), (0x6002, 15)):
        dataset.add_new(group << 16 | 0x0102, "US", position)
    dataset.save_as(path)
    assert read_dicom(path).stored.max() < 4096


def test_a_declared_overlay_does_not_excuse_a_bit_of_the_picture(tmp_path):
    path = put(tmp_path, smooth(13))
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x60000102, "US", 12)
    dataset.save_as(path)
    with pytest.raises(HeldError, match="12 bits"):
        read_dicom(path)


# frames


@pytest.mark.parametrize("frames", [None, "1", "2"])
def test_uncompressed_frames_that_the_header_does_not_declare_are_held(tmp_path, frames):
    elements = {} if frames is None else {"NumberOfFrames": frames}
    with pytest.raises(HeldError, match=f"holds 3 frames, the header declares {frames or 1}"):
        read_dicom(put(tmp_path, np.vstack([smooth(12)] * 3), Rows=SHAPE[0], **elements))


@pytest.mark.parametrize("elements", [{"Rows": SHAPE[0] - 3}, {"Columns": SHAPE[1] - 4}, {"BitsAllocated": 8, "bits": 8}], ids=lambda e: next(iter(e)))
def test_rows_columns_and_bytes_that_the_header_does_not_declare_are_held(tmp_path, elements):
    with pytest.raises(HeldError, match="the header declares 1"):
        read_dicom(put(tmp_path, smooth(12), **elements))


def test_colour_that_is_declared_grey_is_held(tmp_path):
    with pytest.raises(HeldError, match="holds 3 frames"):
        read_dicom(put(tmp_path, np.dstack([smooth(8).astype(np.uint8)] * 3), bits=8))


def test_fewer_bytes_than_declared_fail(tmp_path):
    with pytest.raises(ReadError, match="truncated"):
        read_dicom(put(tmp_path, smooth(12), NumberOfFrames="2"))


@pytest.mark.parametrize(("extra", "noted"), [(b"\0" * 2 * SHAPE[1] * 5, True), (b"\0\0", True), (b"", False)], ids=["rows of zeros", "two zeros", "nothing"])
def test_bytes_behind_the_frames_go_and_the_row_says_so(tmp_path, extra, noted):
    path = put(tmp_path / "in", smooth(12))
    dataset = pydicom.dcmread(path)
    dataset.PixelData = dataset.PixelData + extra
    dataset.save_as(path)
    row, out = row_of(tmp_path / "in")
    assert row["status"] == "unchanged" and len(out.PixelData) == 2 * SHAPE[0] * SHAPE[1]
    assert row["notes"] == (["PixelData (7FE0,0010): bytes behind the declared frames, left out"] if noted else [])


@pytest.mark.parametrize(("text", "noted"), [(b"0 ", True), (b"  ", False)])
def test_no_frames_are_one_frame(tmp_path, text, noted):
    path = put(tmp_path / "in", smooth(12), NumberOfFrames="1")
    path.write_bytes(path.read_bytes().replace(b"IS\x02\x001 ", b"IS\x02\x00" + text))
    row, out = row_of(tmp_path / "in")
    assert row["status"] == "unchanged" and row["notes"] == ["NumberOfFrames (0028,0008): is 0, written as 1"] * noted
    assert (out.NumberOfFrames or 0) == noted


@pytest.mark.parametrize("text", [b"ab", b"-1", b"\xff\xff"])
def test_a_number_of_frames_that_is_none_fails_with_a_word(tmp_path, text):
    path = put(tmp_path, smooth(12), NumberOfFrames="1")
    path.write_bytes(path.read_bytes().replace(b"IS\x02\x001 ", b"IS\x02\x00" + text))
    with pytest.raises(ReadError, match="NumberOfFrames is missing or not a number|-1 frames"):
        read_dicom(path)


# elements


def spoilt(tmp_path, old: bytes, new: bytes, **elements):
    """A file of which some bytes were replaced, as often as they stand in it, before it goes through a run."""
    path = put(tmp_path / "in", smooth(12), **elements)
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    return path


@pytest.mark.parametrize("mode", ["basic", "keep"])
def test_a_decimal_comma_is_written_as_a_point_at_any_depth_and_said(tmp_path, mode):
    inner = item(FrameVOILUTSequence=[item(WindowCenter="1234567", WindowWidth="40")])
    spoilt(tmp_path, b"1234567 ", b"2000,25 ", WindowCenter=["1234567", "60"], WindowWidth=["3000", "80"], SharedFunctionalGroupsSequence=[inner])
    spoilt_path = tmp_path / "in" / "in.dcm"
    spoilt_path.write_bytes(spoilt_path.read_bytes().replace(b"1234567\\", b"2000,25\\"))
    row, out = row_of(tmp_path / "in", headers=mode)
    assert [str(v) for v in out.WindowCenter] == ["2000.25", "60"]
    assert out.SharedFunctionalGroupsSequence[0].FrameVOILUTSequence[0].WindowCenter == 2000.25
    assert row["notes"] == [
        "WindowCenter (0028,1050): has a decimal comma, written as a point",
        "SharedFunctionalGroupsSequence[0].FrameVOILUTSequence[0].WindowCenter (0028,1050): has a decimal comma, written as a point",
    ]


@pytest.mark.parametrize("text", [b"1,024 ", b"1,2,3 ", b"QUIXMO", b"0x10  "])
def test_a_number_that_cannot_be_read_goes_and_its_name_is_said_but_not_its_value(tmp_path, text):
    spoilt(tmp_path, b"765432", text, WindowCenter="765432", WindowWidth="40", ViewCodeSequence=[item(WindowWidth="765432", CodeValue="1")])
    row, out = row_of(tmp_path / "in")
    assert "WindowCenter" not in out and "WindowWidth" not in out.ViewCodeSequence[0] and out.WindowWidth == 40
    assert [note.split(":")[0] for note in row["notes"]] == ["WindowCenter (0028,1050)", "ViewCodeSequence[0].WindowWidth (0028,1051)"]
    assert text.decode().strip() not in json.dumps(row["notes"])


def test_what_the_table_removes_anyway_is_not_named(tmp_path):
    spoilt(tmp_path, b"20200131", b"January ", StudyDate="20200131", AcquisitionDate="20200131", PatientBirthDate="19610102")
    dataset = pydicom.dcmread(tmp_path / "in" / "in.dcm")
    dataset.private_block(0x0011, "ACME", create=True).add_new(1, "LO", "SMITH private")
    dataset.save_as(tmp_path / "in" / "in.dcm")
    row, _ = row_of(tmp_path / "in")
    assert row["status"] == "unchanged" and row["notes"] == []


def test_every_element_that_leaves_for_another_reason_is_named_at_any_depth(tmp_path):
    inner = item(CodeMeaning="of J. SMITH", CodeValue="1", CodingSchemeDesignator="99X", FloatPixelData=b"\0" * 8)
    path = put(tmp_path / "in", smooth(12), ViewCodeSequence=[inner], SmallestImagePixelValue=7)
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x60000010, "US", 1)
    dataset.add_new(0x60003000, "OW", b"\0\0")
    dataset.add_new(0x00189FF0, "LO", "unknown")
    dataset.add_new(0x00189311, "FD", [1.0] * 40)
    dataset.save_as(path)
    row, out = row_of(tmp_path / "in")
    named = {note.rsplit(": ", 1)[0]: note.rsplit(": ", 1)[1] for note in row["notes"]}
    assert named == {
        "(0018,9ff0)": header_changes.UNKNOWN, "(6000,xxxx)": header_changes.CARRIER,
        "ViewCodeSequence[0].FloatPixelData (7fe0,0008)": header_changes.CARRIER,
        "ViewCodeSequence[0].CodeMeaning (0008,0104)": header_changes.NAMES,
    }
    assert "SMITH" not in json.dumps(row["notes"])


def test_pixel_extremes_are_named_where_pixels_changed(tmp_path):
    image = fakes.radiograph(1)
    put(tmp_path / "in", image, bits=8, SmallestImagePixelValue=7)
    row, out = row_of(tmp_path / "in")
    assert row["status"] == "cleaned" and "SmallestImagePixelValue" not in out
    assert row["notes"] == ["SmallestImagePixelValue (0028,0106): describes the pixels as they were before"]


def test_headers_that_are_kept_keep_their_bytes_and_say_what_went(tmp_path):
    path = put(tmp_path / "in", smooth(12), WindowCenter="765432", WindowWidth="40")
    path.write_bytes(path.read_bytes().replace(b"765432", b"QUIXMO"))
    dataset = pydicom.dcmread(path)
    dataset.add_new(0x00420011, "OB", b"document")
    dataset.save_as(path)
    row, out = row_of(tmp_path / "in", headers="keep")
    assert row["notes"] == [f"EncapsulatedDocument (0042,0011): {header_changes.CARRIER}"]
    assert b"QUIXMO" in next((tmp_path / "in-out").glob("*")).read_bytes()


def test_a_summary_counts_the_files_with_notes_and_the_command_line_says_so(tmp_path, capsys):
    from markerremover.cli.remove import print_summary

    put(tmp_path / "in", smooth(12), NumberOfFrames="0")
    put(tmp_path / "in", smooth(12), name="b.dcm")
    summary = batch.remove([tmp_path / "in"], tmp_path / "out", options=fakes.NO_KEEP, open_cleaner=fakes.cleaner)
    print_summary(summary)
    assert summary["noted"] == 1 and "of 1 file something was changed or left out" in capsys.readouterr().out


def test_notes_are_no_more_than_a_page():
    notes = header_changes.shortened([f"(0018,{n:04x}): x" for n in range(100)] + ["OverlayRows (6002,0010): x", "OverlayColumns (6002,0011): x"])
    assert len(notes) == header_changes.MOST + 1 and notes[-1] == "61 more"


# streams without their end


def compressed(tmp_path, tail: bytes):
    """A file of RLE frames, its sequence delimiter replaced."""
    path = save(tmp_path, random_stored(), syntax=uid.RLELossless)
    data = path.read_bytes()
    assert data.endswith(b"\xfe\xff\xdd\xe0\0\0\0\0")
    path.write_bytes(data[:-8] + tail)
    return path


@pytest.mark.parametrize("tail", [b"", bytes(2), bytes(64), b"\xfe\xff\xdd\xe0", b"\xfe\xff", b"\xfc\xff\xfc\xffOB\0\0\4\0\0\0\0\0\0\0"], ids=repr)
def test_pixel_data_whose_delimiter_is_missing_is_read_and_the_row_says_so(tmp_path, tail):
    radiograph = read_dicom(compressed(tmp_path, tail))
    assert np.array_equal(radiograph.stored, random_stored())
    assert radiograph.source.notes == (() if tail == b"\xfe\xff\xdd\xe0" else (parsing.UNENDED,)), "a delimiter without its length is one"


@pytest.mark.parametrize(("tail", "words"), [
    (b"\xfe\xff\x00\xe0\x10\0\0\0abc", "truncated"), (b"SMITH^JO", "something else follows"), (bytes(90) + b"SMITH", "something else follows"),
])  # fmt: skip
def test_what_else_is_wrong_with_its_end_is_said_in_a_line(tmp_path, tail, words):
    with pytest.raises(ReadError, match=f"in.dcm: .*{words}"):
        read_dicom(compressed(tmp_path, tail))


def test_a_sequence_without_an_end_is_said_in_a_line(tmp_path):
    path = put(tmp_path, smooth(12))
    path.write_bytes(path.read_bytes()[:300] + b"\x40\x00\x75\x02SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff")
    with pytest.raises(ReadError, match="in.dcm: "):
        read_dicom(path)


def deflated(tmp_path, change=lambda data: data):
    """A deflated file whose stream was changed."""
    path = put(tmp_path, smooth(12), syntax=uid.DeflatedExplicitVRLittleEndian)
    data = path.read_bytes()
    at = 144 + int.from_bytes(data[140:144], "little")
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = stream.compress(zlib.decompressobj(-15).decompress(data[at:])) + stream.flush()
    path.write_bytes(data[:at] + change(body))
    return path


@pytest.mark.parametrize("padding", [b"", b"\0", b"\0\0", b"\0" * 4000])
def test_a_deflated_file_ends_where_its_stream_does(tmp_path, padding):
    assert np.array_equal(read_dicom(deflated(tmp_path, lambda data: data + padding)).stored[0], smooth(12))


@pytest.mark.parametrize("cut", [1, 7, 500])
def test_a_deflated_file_without_an_end_fails_with_a_word(tmp_path, cut):
    with pytest.raises(ReadError, match="truncated|cannot be inflated"):
        read_dicom(deflated(tmp_path, lambda data: data[:-cut]))


# the key


@pytest.mark.parametrize("options", [{}, {"headers": "keep", "paths": "pseudonym"}], ids=["headers", "paths"])
def test_a_lost_key_ends_resume_before_anything_is_done(tmp_path, options):
    put(tmp_path / "in", smooth(12))
    row_of(tmp_path / "in", **options)
    audit, out = tmp_path / "in-out-audit", tmp_path / "in-out"
    before, key = fakes.files(out), (audit / "key").read_text()
    (audit / "key").unlink()
    with pytest.raises(UsageError, match="key of the earlier run is missing"):
        batch.remove([tmp_path / "in"], out, options=RunOptions(resume=True, **options), open_cleaner=fakes.cleaner)
    assert fakes.files(out) == before and not (audit / "key").exists()
    (audit / "key").touch(0o600)
    (audit / "key").write_text(key)
    summary = batch.remove([tmp_path / "in"], out, options=RunOptions(resume=True, **options), open_cleaner=fakes.cleaner)
    assert summary["resumed"] == 1 and fakes.files(out) == before


def test_a_run_without_a_result_yet_makes_a_key_on_resume(tmp_path):
    put(tmp_path / "in", smooth(14))
    assert row_of(tmp_path / "in")[0]["status"] == "held"
    (tmp_path / "in-out-audit" / "key").unlink()
    batch.remove([tmp_path / "in"], tmp_path / "in-out", options=RunOptions(resume=True), open_cleaner=fakes.cleaner)
    assert (tmp_path / "in-out-audit" / "key").exists()


# other formats


def raster_row(folder, name: str, data: bytes):
    """The row of a run over one file that is no DICOM file."""
    fakes.put(folder / "in" / name, data)
    batch.remove([folder / "in"], folder / "out", options=fakes.NO_KEEP, open_cleaner=fakes.cleaner)
    return json.loads((folder / "out-audit" / "manifest.jsonl").read_text())


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_bytes_behind_the_end_of_an_image_are_said(tmp_path, kind):
    row = raster_row(tmp_path, f"a.{kind}", getattr(fakes, kind)(fakes.radiograph(0)) + b"SMITH")
    assert row["status"] == "cleaned" and row["notes"] == ["bytes behind the end of the image, left out"]


@pytest.mark.parametrize("second", ["png", "jpeg"])
@pytest.mark.parametrize("first", ["png", "jpeg"])
def test_a_further_picture_behind_the_first_holds_the_file(tmp_path, first, second):
    pictures = [getattr(fakes, kind)(fakes.radiograph(i)) for i, kind in enumerate((first, second))]
    if (first, second) == ("jpeg", "png"):
        pictures[1] = fakes.jpeg(fakes.radiograph(1))
    row = raster_row(tmp_path, f"a.{first}", pictures[0] + b"\0\0" + pictures[1])
    assert row["status"] == "held" and "a further picture follows" in row["reason"]


def test_frames_of_an_animation_without_its_head_hold_the_file(tmp_path):
    data = fakes.png(fakes.radiograph(0))
    body = b"fdAT\0\0\0\1" + zlib.compress(b"frame")
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    assert raster_row(tmp_path, "a.png", data[:-12] + chunk + data[-12:])["status"] == "held"


def test_pictures_in_directories_below_a_page_hold_the_file(tmp_path):
    import io

    import tifffile

    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(fakes.radiograph(0), subifds=1, photometric="minisblack")
        writer.write(fakes.radiograph(1), photometric="minisblack")
    row = raster_row(tmp_path, "a.tif", buffer.getvalue())
    assert row["status"] == "held" and "further pictures" in row["reason"]


# text that became pixels


@pytest.mark.parametrize("spelt", ["QUIXMORE", "quixmore", "Quixmore"])
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless], ids=["uncompressed", "RLE"])
def test_pixels_that_spell_a_name_of_the_header_have_no_output(tmp_path, spelt, syntax):
    picture = (smooth(8)).astype(np.uint8)
    picture[-1, -16:] = np.frombuffer(b"padding " + spelt.encode(), np.uint8)
    path = put(tmp_path / "in", picture, bits=8, PatientName="Quixmore^Zelda")
    if syntax == uid.RLELossless:
        dataset = pydicom.dcmread(path)
        dataset.compress(syntax)
        dataset.save_as(path)
    row, written = row_of(tmp_path / "in")
    assert (row["status"], row["reason"], written) == ("failed", "in.dcm: the bytes of its pixels spell a name of its header", None)
    row, written = row_of(tmp_path / "in", headers="keep", overwrite=True)
    assert row["status"] == "unchanged" and written is not None, "the name stands in the header too, as was asked for"


def test_pixels_that_spell_a_short_or_another_name_come_out(tmp_path):
    picture = (smooth(8)).astype(np.uint8)
    picture[-1, -16:] = np.frombuffer(b"padding QUIXMORE", np.uint8)
    put(tmp_path / "in", picture, bits=8, PatientName="More^Quix")
    assert row_of(tmp_path / "in")[0]["status"] == "unchanged"
