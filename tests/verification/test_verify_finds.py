"""Good results, spoilt one way at a time: `verify` finds each, though the manifest's hash is that of the spoilt file."""

from __future__ import annotations

import io
import json
import zlib

import fakes
import numpy as np
import pydicom
import pytest
import verifying
from PIL import Image, PngImagePlugin
from pydicom import uid
from pydicom.encaps import encapsulate, generate_frames

from markerremover.verification import rows

X1, Y1, X2, Y2 = fakes.NAME_BOX
INSIDE, FAR = (Y1 + 4, X1 + 6), (80, 100)  # row, column
SMITH = "SMITH JOHN/1.dcm"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return verifying.cleaned(tmp_path_factory.mktemp("spoilt"))


@pytest.fixture
def run(good, tmp_path):
    return verifying.copied(good, tmp_path)


def first(run):
    """Path of the output of John Smith's film; its folder has a pseudonym."""
    return run.path("/1.dcm")


def spoil_pixels(change):
    """A change of the (F, H, W) stored pixels of John Smith's film; it gets those of the input, too."""
    def spoil(run):
        original = verifying.pixels(pydicom.dcmread(run.source / SMITH))

        def edit(dataset):
            stored = verifying.pixels(dataset)
            change(stored, original)
            dataset.PixelData = stored.tobytes()

        run.edit(first(run), edit)
    return spoil


def spoil_header(change):
    """A change of the header of John Smith's film."""
    return lambda run: run.edit(first(run), change)


def one_more(stored, original):
    stored[0][FAR] += 1


def one_back(stored, original):
    stored[0][INSIDE] = original[0][INSIDE]


def all_back(stored, original):
    stored[:] = original


def grey(stored, original):
    stored[0, Y1:Y2, X1:X2] = 700


def a_bit_less(stored, original):
    stored &= 0xFFE


def private(dataset):
    dataset.private_block(0x0011, "ACME", create=True).add_new(1, "LO", "John Smith")


def nested(dataset):
    item = pydicom.Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99X", "of 4711 X"
    dataset.ViewCodeSequence = [item]


def turned_rescale(dataset):
    dataset.RescaleSlope, dataset.RescaleIntercept = "-1", "4095"


DICOM = {
    "a pixel outside is one grey level brighter": (spoil_pixels(one_more), "outside", "1 pixels outside"),
    "a removed pixel is back": (spoil_pixels(one_back), "inside", "1 of "),
    "all removed pixels are back": (spoil_pixels(all_back), "inside", "look black"),
    "a removed area is grey": (spoil_pixels(grey), "inside", "another value"),
    "the lowest bit is lost": (spoil_pixels(a_bit_less), "outside", "pixels outside"),
    "a name in a private element": (spoil_header(private), "identifier", "a name"),
    "a name in a comment": (spoil_header(lambda d: setattr(d, "ContentQualification", None) or setattr(d, "DeviceDescription", "unit of J. Smith")), "identifier", "DeviceDescription"),
    "the name where it was": (spoil_header(lambda d: setattr(d, "PatientName", "SMITH^JOHN")), "identifier", "PatientName"),
    "a number in a code, with another separator": (spoil_header(nested), "identifier", "a number"),
    "a day of birth in words": (spoil_header(lambda d: setattr(d, "AcquisitionProtocolDescription", "born Jan 2nd, 1961")), "identifier", "a date"),
    "a day of birth in another order": (spoil_header(lambda d: setattr(d, "AcquisitionProtocolDescription", "02.01.61")), "identifier", "a date"),
    "the day of the study where it was": (spoil_header(lambda d: setattr(d, "StudyDate", "20200131")), "identifier", "StudyDate"),
    "a UID where it was": (spoil_header(lambda d: setattr(d, "StudyInstanceUID", "1.2.840.99.1")), "identifier", "StudyInstanceUID"),
    "a UID within a text": (spoil_header(lambda d: setattr(d, "AcquisitionProtocolDescription", "see 1.2.840.99.1.1.1")), "identifier", "a UID"),
    "a name in the file meta information": (spoil_header(lambda d: setattr(d.file_meta, "SourceApplicationEntityTitle", "SMITH")), "identifier", "SourceApplicationEntityTitle"),
    "the hospital where it was": (spoil_header(lambda d: setattr(d, "InstitutionName", "General Hospital")), "identifier", "InstitutionName"),
    "fewer bits are stored": (spoil_header(lambda d: setattr(d, "BitsStored", 11) or setattr(d, "HighBit", 10)), "picture", "Bits Stored"),
    "white is black": (spoil_header(lambda d: setattr(d, "PhotometricInterpretation", "MONOCHROME1")), "picture", "Photometric"),
    "rows and columns are turned": (spoil_header(lambda d: setattr(d, "Rows", 128) or setattr(d, "Columns", 96)), "picture", "rows and columns"),
    "an overlay": (spoil_header(lambda d: d.add_new(0x60003000, "OW", bytes(2))), "metadata", "(6000,3000)"),
    "a rescale that shows the fill white": (spoil_header(turned_rescale), "inside", "look black"),
    "a preamble": (lambda run: run.replace(first(run), b"SMITH".ljust(128) + run.data(first(run))[128:]), "metadata", "preamble"),
    "a byte behind the last element": (lambda run: run.replace(first(run), run.data(first(run)) + b"S"), "metadata", "bytes"),
    "an element behind the pixels": (lambda run: run.replace(first(run), run.data(first(run)) + b"\xfc\xff\xfc\xffOB\0\0\6\0\0\0SMITH\0"), "identifier", "a name"),
    "a frame less": (lambda run: run.edit("frames.dcm", lambda d: setattr(d, "NumberOfFrames", 2) or setattr(d, "PixelData", d.PixelData[: 2 * 96 * 128 * 2])), "picture", "frames"),
    "frames in another order": (lambda run: run.edit("frames.dcm", lambda d: setattr(d, "PixelData", d.PixelData[96 * 128 * 2 :] + d.PixelData[: 96 * 128 * 2])), "outside", "of frame"),
    "bytes behind a deflated data set": (lambda run: run.replace("deflated.dcm", run.data("deflated.dcm") + b"SMITH"), "metadata", "follow"),
}


def compressed_with_loss(run):
    dataset = pydicom.dcmread(run.out / "jpeg2000.dcm")
    stored = dataset.pixel_array
    dataset.file_meta.TransferSyntaxUID, dataset.PixelData = uid.ExplicitVRLittleEndian, (stored // 4 * 4).astype("<u2").tobytes()
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OW", False
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset)
    run.replace("jpeg2000.dcm", buffer.getvalue())


def png(name, change=lambda pixels: pixels, info=None):
    """A PNG output written anew by Pillow."""
    def spoil(run):
        image = Image.open(run.out / name)
        image = Image.fromarray(change(np.array(image))) if image.mode != "P" else image
        run.replace(name, verifying.saved(image, "PNG", pnginfo=info))
    return spoil


def at(place, value):
    def change(pixels):
        pixels[place] = value
        return pixels
    return change


def text():
    info = PngImagePlugin.PngInfo()
    info.add_text("Patient", "of nobody", zip=True)
    return info


def original_of(name):
    return lambda run: run.replace(name, (run.source / name).read_bytes())


def recoloured(run):
    image = Image.open(run.out / "palette.png")
    image.putpalette(bytes(image.getpalette("RGB")[:-3]) + b"\x99\x88\x77" if len(image.getpalette("RGB")) > 3 else b"")
    image.putpalette([255 - value if value else 0 for value in image.getpalette("RGB")])
    run.replace("palette.png", verifying.saved(image, "PNG"))


def jpeg(name, change=lambda pixels: pixels, **options):
    def spoil(run):
        image = Image.open(run.out / name)
        options.setdefault("qtables", image.quantization)
        run.replace(name, verifying.saved(Image.fromarray(change(np.array(image))), "JPEG", **options))
    return spoil


def longer(name, data):
    return lambda run: run.replace(name, run.data(name) + data)


def tiff(name, change=lambda pixels: pixels, **options):
    def spoil(run):
        run.replace(name, verifying.saved(change(np.array(Image.open(run.out / name))), "TIFF", **options))
    return spoil


def hidden_in_the_stream(run):
    data = run.data("8.png")
    stream = zlib.compress(b"of nobody")
    chunk = len(stream).to_bytes(4, "big") + b"IDAT" + stream + zlib.crc32(b"IDAT" + stream).to_bytes(4, "big")
    run.replace("8.png", data[:-12] + chunk + data[-12:])


RASTERS = {
    "PNG: a pixel outside": (png("8.png", at(FAR, 3)), "outside", "1 pixels outside"),
    "PNG: a removed pixel": (png("8.png", at(INSIDE, 1)), "inside", "1 of "),
    "PNG: the original": (original_of("8.png"), "inside", "look black"),
    "PNG: the lower byte is lost": (png("16.png", lambda pixels: pixels & 0xFF00), "outside", "pixels outside"),
    "PNG: 8 bits of 16": (png("16.png", lambda pixels: (pixels >> 8).astype(np.uint8)), "picture", "bits"),
    "PNG: colour of 8 bits": (lambda run: run.replace("colour.png", fakes.png((fakes.read(run.out / "colour.png") >> 8).astype(np.uint8))), "picture", "bits"),
    "PNG: another palette": (recoloured, "outside", "pixels outside"),
    "PNG: a text": (png("8.png", info=text()), "metadata", "zTXt"),
    "PNG: bytes behind its end": (longer("8.png", b"SMITH"), "metadata", "follow its end"),
    "PNG: bytes behind its pixels": (hidden_in_the_stream, "metadata", "compressed pixels"),
    "PNG: an unchanged file compressed again": (png("plain.png"), "outside", "other bytes"),
    "JPEG: the original": (original_of("1.jpg"), "inside", "black"),
    "JPEG: a grey block in a removed area": (jpeg("1.jpg", at(np.s_[16:24, 24:48], 90)), "inside", "black"),
    "JPEG: another block": (jpeg("1.jpg", at(np.s_[64:72, 64:72], 250)), "outside", "outside"),
    "JPEG: a block of an unchanged file": (jpeg("plain.jpg", at(np.s_[64:72, 64:72], 250), progressive=True), "outside", "blocks changed"),
    "JPEG: compressed with more loss": (jpeg("1.jpg", qtables=None, quality=50), "outside", "compressed again with loss"),
    "JPEG: other sampling": (jpeg("colour.jpg", subsampling=0), "outside", "sampling"),
    "JPEG: a comment": (jpeg("1.jpg", comment=b"of nobody"), "metadata", "segment 0xfe"),
    "JPEG: Exif": (jpeg("1.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x3b\1\2\0\4\0\0\0JOHN\0\0\0\0"), "metadata", "Exif"),
    "JPEG: bytes behind its end": (longer("1.jpg", b"SMITH"), "metadata", "follow its end"),
    "TIFF: a pixel outside": (tiff("1.tif", at(FAR, 3)), "outside", "1 pixels outside"),
    "TIFF: a removed pixel": (tiff("1.tif", at(INSIDE, 1)), "inside", "1 of "),
    "TIFF: an artist": (tiff("1.tif", tiffinfo={315: "of nobody"}), "metadata", "tag 315"),
    "TIFF: bytes of none of its parts": (longer("16.tif", b"SMITH"), "metadata", "none of its parts"),
    "TIFF: white is black": (lambda run: run.replace("white.tif", verifying.saved(np.array(Image.open(run.out / "white.tif")), "TIFF")), "picture", "kind of colour"),
    "a PNG where a TIFF was": (lambda run: run.replace("1.tif", run.data("8.png")), "picture", "is PNG"),
    "no picture": (lambda run: run.replace("8.png", b"\x89PNG\r\n\x1a\nno more"), "unread", "cannot be decoded"),
}


@pytest.mark.parametrize("name", [*DICOM, *RASTERS])
def test_a_spoilt_output_is_found_by_its_content(run, name):
    spoil, kind, said = (DICOM | RASTERS)[name]
    before = {name: row["sha256_out"] for name, row in run.rows().items()}
    spoil(run)
    (changed,) = [name for name, row in run.rows().items() if row["sha256_out"] != before[name]]
    findings = run.findings(changed)
    assert any(f.kind == kind and said in f.detail for f in findings), [(f.kind, f.detail) for f in findings]
    assert not any("smith" in f.detail.lower() or "4711" in f.detail for f in findings), "no value is quoted"


def test_loss_in_a_compressed_dicom_file_is_found(run):
    compressed_with_loss(run)
    assert [f.kind for f in run.findings("jpeg2000.dcm")] == ["outside"]


@pytest.mark.parametrize("frame", [0, 1])
def test_a_name_that_is_back_in_a_frame_of_a_dicom_jpeg_is_found(run, frame):
    def edit(dataset):
        original, streams = (list(generate_frames(d.PixelData, number_of_frames=2)) for d in (pydicom.dcmread(run.source / "jpeg.dcm"), dataset))
        streams[frame] = original[frame]
        dataset.PixelData = encapsulate(streams)

    run.edit("jpeg.dcm", edit)
    findings = run.findings("jpeg.dcm")
    assert findings and {f.kind for f in findings} == {"inside"}


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    def some(folder):
        fakes.put(folder / "8.png", fakes.png(verifying.film(1)))
        fakes.put(folder / "plain.png", fakes.png(verifying.film(4, ())))
        verifying.dicom(folder / SMITH, verifying.film(1).astype(np.uint16)[None] * 16)
        return folder

    return verifying.cleaned(tmp_path_factory.mktemp("three"), some)


@pytest.fixture
def few(three, tmp_path):
    return verifying.copied(three, tmp_path)


def swap(run):
    a, b = run.data("8.png"), run.data("plain.png")
    (run.out / "8.png").write_bytes(b)
    (run.out / "plain.png").write_bytes(a)


def swap_with_hashes(run):
    a, b = run.data("8.png"), run.data("plain.png")
    run.replace("8.png", b)
    run.replace("plain.png", a)


def hold(run):
    run.change("8.png", status="held", reason="x", sha256_out="")


ACCOUNT = {
    "a file more": (lambda run: fakes.put(run.out / "a" / ".more.png", run.data("8.png")), "output without a row"),
    "a file less": (lambda run: (run.out / "8.png").unlink(), "there is no output"),
    "a row less": (lambda run: run.keep([row for name, row in run.rows().items() if name != "8.png"]), "output without a row"),
    "a row twice": (lambda run: run.keep([*run.rows().values(), run.rows()["8.png"]]), "2 rows have this output"),
    "a row of no input": (lambda run: run.keep([*run.rows().values(), run.rows()["8.png"] | {"relative": "9.png", "sha256_in": "00" * 32}]), "row without an input"),
    "a line cut short": (lambda run: run.manifest.write_text(run.manifest.read_text()[:-40]), "is no row"),
    "an output of a held file": (hold, "output of a file that was held"),
    "swapped files": (swap, "SHA-256 differs"),
    "another input": (lambda run: run.change("8.png", sha256_in="00" * 32), "another SHA-256"),
    "a link": (lambda run: ((run.out / "8.png").unlink(), (run.out / "8.png").symlink_to(run.source / "8.png")), "no regular file"),
}


@pytest.mark.parametrize("name", ACCOUNT)
def test_what_does_not_add_up_is_found(few, name):
    spoil, said = ACCOUNT[name]
    spoil(few)
    findings = few.verify().findings
    assert any(f.kind == "account" and said in f.detail for f in findings), [(f.kind, f.detail) for f in findings]


def test_swapped_files_are_found_by_their_pixels_too(few):
    swap_with_hashes(few)
    assert {(f.file, f.kind) for f in few.verify().findings} >= {("8.png", "outside"), ("plain.png", "outside")}


@pytest.mark.parametrize("folder", ["Smith", "born 1961-01-02", "4711x"])
def test_a_path_that_tells_is_found_whatever_file_it_is_of(few, folder):
    target = few.out / folder / "8.png"
    target.parent.mkdir()
    (few.out / "8.png").rename(target)
    few.change("8.png", relative=f"{folder}/8.png")
    assert [f.kind for f in few.verify().findings] == ["identifier"]


@pytest.mark.parametrize("fields", [{"xyxy": [0, 0, 500, 10]}, {"removed": "no bits"}, {"removed": verifying.packed(np.ones((3, 3), bool))}, {"frame": 7}],
                         ids=["a box outside", "no bits", "too few bits", "no such frame"])
def test_a_row_that_makes_no_sense_is_no_excuse(run, fields):
    (box,) = run.rows()["8.png"]["boxes"]
    run.change("8.png", boxes=[box | fields])
    assert [(f.file, f.kind) for f in run.findings("8.png")] == [("8.png", "unread")]


def test_a_row_that_tells_less_or_more_than_was_removed_is_found(run):
    (box,) = run.rows()["8.png"]["boxes"]
    left, top, right, bottom = box["xyxy"]
    area = np.ones((bottom - top, right - left), bool)
    area[0, 0] = False
    run.change("8.png", boxes=[box | {"removed": verifying.packed(area)}])
    assert [f.kind for f in run.findings("8.png")] == ["outside"]
    run.change("8.png", boxes=[box | {"xyxy": [left, top, right, bottom + 1]}])
    assert [f.kind for f in run.findings("8.png")] == ["inside"]
    run.change("8.png", boxes=[])
    assert [f.kind for f in run.findings("8.png")] == ["outside"]


@pytest.fixture(scope="module")
def styled(tmp_path_factory):
    def some(folder):
        fakes.put(folder / "8.png", fakes.png(verifying.film(1)))
        return verifying.dicom(folder / "1.dcm", verifying.film(1).astype(np.uint16)[None] * 16).parent

    return {style: verifying.cleaned(tmp_path_factory.mktemp(style), some, style) for style in ("mask", "fill")}


@pytest.mark.parametrize("style", ["mask", "fill"])
def test_a_hole_or_a_fill_in_which_the_print_is_back_is_found(styled, tmp_path, style):
    run = verifying.copied(styled[style], tmp_path)
    run.replace("8.png", (run.source / "8.png").read_bytes())
    assert [f.kind for f in run.findings("8.png")][:1] == ["inside"]


def test_a_fill_that_a_header_does_not_own_up_to_is_found(styled, tmp_path):
    run = verifying.copied(styled["fill"], tmp_path)
    run.edit("1.dcm", lambda dataset: dataset.__delattr__("SyntheticData"))
    assert [f.kind for f in run.findings("1.dcm")] == ["picture"]


def test_areas_in_the_manifest_are_read_as_they_are_written():
    area = np.random.default_rng(0).random((7, 5)) < 0.5
    assert np.array_equal(rows.unpacked(verifying.packed(area), (7, 5)), area)
    with pytest.raises(ValueError):
        rows.unpacked(verifying.packed(area), (70, 50))


def test_the_input_is_never_changed_and_nothing_is_written_beside_the_report(three):
    before = {path: path.stat().st_mtime_ns for folder in (three.source, three.out, three.manifest.parent) for path in folder.rglob("*")}
    three.verify()
    assert before == {path: path.stat().st_mtime_ns for folder in (three.source, three.out, three.manifest.parent) for path in folder.rglob("*")}
    assert json.loads(json.dumps(three.verify().as_json()))["passed"]
