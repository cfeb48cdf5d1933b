"""Every transfer syntax that is read, written in every one that can be: pixels outside the box bit-identical, lossy history kept."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_files import BOX, ENCODED, NATIVE, SHAPE, lossless_jpeg, lut, random_stored, rewrite, save, save_frames
from PIL import Image
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.pixels import get_encoder, pixel_array

from markerremover.errors import UsageError, WriteError
from markerremover.formats.dicom import pixels
from markerremover.formats.dicom.files import read_dicom, verify_dicom, write_dicom
from markerremover.options import TRANSFER_SYNTAXES, RunOptions

KINDS = {  # bits, bits allocated, signed, photometric interpretation
    "8": (8, 8, False, "MONOCHROME2"),
    "8 signed": (8, 8, True, "MONOCHROME1"),
    "8 in 16": (8, 16, False, "MONOCHROME1"),
    "10 signed": (10, 16, True, "MONOCHROME2"),
    "12": (12, 16, False, "MONOCHROME1"),
    "12 signed": (12, 16, True, "MONOCHROME2"),
    "16": (16, 16, False, "MONOCHROME2"),
    "16 signed": (16, 16, True, "MONOCHROME1"),
    "palette": (8, 8, False, "PALETTE COLOR"),
    "palette of 12": (12, 16, False, "PALETTE COLOR"),
    "RGB": (8, 8, False, "RGB"),
    "RGB of 16": (16, 16, False, "RGB"),
    "YBR": (8, 8, False, "YBR_FULL"),
}
JPEG_LOSSLESS = {uid.JPEGLossless: 7, uid.JPEGLosslessSV1: 1}
"""Transfer syntax and predictor."""
HTJ2K = {  # 33 x 37 pixels of 1000, rows 4-11 and columns 8-23 of them 3000; made with OpenJPH 0.26.3
    uid.HTJ2KLossless: (
        '|4;u>04YEK0000b0000X00000000000000b0000X0000000000009pH0sl|{2mk^A000XAQUDA90ssL31q1{@0smY86Cj9?kdTm&kdTm&kdTmw'
        'h=~7W02crOPjF>!N>E53R%LP^FfKASE;BCwkN^q*00001wEzMClfVEg09W)4{2=-a`~rcr0KfnfzyK1!01|)>V!;CgbO3t*0yF@j0S9ydzyK9+'
        '00n#i0aBd4yUmiy0C2#y028wT<R%W?GW-A{fWDRh0+5hJ3IRa00Kfni>;M65zyKDo{;-rHASxhCF+!q%5r7#0;1>k2!5{|Ih(Ixz06~$`JnGtX'
        'uGO~K0Ths+zyW6f9~gjAxd4Moay3iPq*k&X2yigq04(VUKq;62zyKFf003Q_00DFWcvf1}-N{noE=4f{i3b$P=%XIQ;2*$2ae@nuaCyPN3=3rd'
        'z_wEXIw6(j#X9(r415%bBQJc27_cLP>0Gd*AIQiDfi@yzM+gBP02&J53xVV!02&}bnNR`nEV6LC!-(SX4kL;OJc}$G9|MVp;$grH2SotDbzcC$'
        '04{<60d}we3q<&Qwa-)Q{PUCHd}QSDxBoywFhVkpQOr(aa6`~T(gFBtpMU=O=bwLmGV*z9op;`O=bd*xGVqU|-~a&#%uqA?DM0t^K%fAC=>`Tg'
        'j9^l{L)`)9&!0E9#D4(+L<InY(1YCo|Je'
    ),
    uid.HTJ2K: (
        '|4;u>04YEK0000b0000X00000000000000b0000X0000000000009pH0sl|{2mk^A001igQUDA90ssL31q1{@0RLP7BO<pLw(7R(w!E(ZuK=#%'
        'r%b0zr(}==kOPoLm(rKgmtp^802crOPjF>!N>E53R%LP^FfKASE;BCwkN^q*00002#Q*{SlfVE0UKd@U#Tz_810TJ?1Oc=FzyJYJ000E=002zZ'
        'Gz9SkgLD8FAM^mCGypOF0*7<}zyJca000(*001h0Y~b2}{+B|=0C9k|0A@)DfK;yr>=OI{BY?h^0Q$bb5;*Vx!ju5O00q=Q00q%N00p|IBID43'
        '{~QY&4#mQXk!u5)5CJlf1EPQdNpJuP_z!u*L>tObF`587!Hol&hU=r`TKSjB9|%nW(ANSm$pGX4g@Hgflz?Ko0G*;XH&od7pT5P5h5)p14DiSN'
        '02XM(H;6zfngGB67o@-d7o$J`7i>3R3U$_1#OZKGgP>GLT|}J?S{Q-~l@VE*lEx`!P#~i~8IZN9X-I+v0RSMu1OWg5KmZd+06+jA01rXvharrD'
        'KrsS9Gmrrpg7R=1G(6iAUDib7QE?Cr5QOPs3v$%Xz<@jP{4zm@OR=k(2>_4~DA1zF5G3{<00BE$*nSv3;6=>&=*R&&AOO&|0doW>Kk*=l+zeQ5'
        '!cq9}5y1zbXf7qf9T0dB%Ekg32u22?9u(b8z+n4;z$`!n0U`i^CX)fc02ige02jT$02g+U%N>&ui#@|6QA@*bu`ZNkEeyAXnm`uBMB*%ictlwe'
        '0|~PT!VyLQKyNCLM+g9KD1fj301PioFGoo_OPB&KU<jc2hcJ9Ym;r{}1w)dCtK}AMX@*;x;g)8&r5R+21Y*u&)C*7%fB|bL#32rGh(iqG5qZ$D'
        '$SeuN*J6veFyk%E_!efog&E5NiNu)Y5pMtm01i+CAq-&%Ll{C3j=+yU;|bc<vx5p|Fcj&Sz*8n5?i01GX9gvNAOaBx0FXnI0uIicAymi%GiC~r'
        'Qh)>kB|b32j6#Xx;EXc}EeL@U3y|=yC;SR>oB)16=mYWxY07W_-a*I#yn~qm|Je'
    ),
}


def palette(bits: int) -> dict[str, object]:
    ramp = np.linspace(0, 65535, 1 << bits).astype("<u2").tobytes()
    return {f"{n}PaletteColorLookupTable{part}": value for n in ("Red", "Green", "Blue")
            for part, value in (("Data", ramp), ("Descriptor", [(1 << bits) % 65536, 0, 16]))}  # fmt: skip


def make(folder: Path, syntax: uid.UID, kind: str, frames: int) -> tuple[Path, np.ndarray]:
    """A file of a lossless transfer syntax and the stored values that it holds."""
    bits, allocated, signed, photometric = KINDS[kind]
    stored = random_stored(bits, signed, frames, channels=3 if photometric in ("RGB", "YBR_FULL") else 0)
    stored = stored.astype(f"{'i' if signed else 'u'}{allocated // 8}")
    how = {"bits": bits, "photometric": photometric} | (palette(bits) if photometric == "PALETTE COLOR" else {})
    if syntax in JPEG_LOSSLESS:
        words = stored.view(f"u{allocated // 8}") & ((1 << bits) - 1)
        return save_frames(folder / "in.dcm", stored, [lossless_jpeg(w, bits, JPEG_LOSSLESS[syntax]) for w in words], syntax, **how), stored
    return save(folder, stored, syntax=syntax, **how), stored


READ = [*NATIVE, *ENCODED, *JPEG_LOSSLESS]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("syntax", READ, ids=lambda s: s.keyword)
def test_every_lossless_syntax_is_read_and_written_in_every_other(tmp_path, syntax, kind):
    for number, choice in enumerate(TRANSFER_SYNTAXES):
        turn = number + READ.index(syntax) + list(KINDS).index(kind)  # every kind is touched in every other syntax, each has its turn
        touched, frames = bool(turn % 2), 1 + turn // 2 % 2
        path, stored = make(tmp_path, syntax, kind, frames)
        radiograph, new, again, out = rewrite(tmp_path, path, touched, transfer_syntax=choice)
        assert np.array_equal(radiograph.stored, stored) and radiograph.stored.dtype == stored.dtype
        outside = np.ones(stored.shape, bool)
        outside[:, BOX[0], BOX[1]] = not touched
        assert np.array_equal(again.stored[outside], stored[outside]) and again.source.photometric == KINDS[kind][3]
        assert not touched or again.display[:, BOX[0], BOX[1]].max() == again.display.min()
        own = uid.ExplicitVRLittleEndian if touched and syntax in JPEG_LOSSLESS else syntax
        expected = pixels.CHOICES.get(choice, own)
        assert out.file_meta.TransferSyntaxUID == expected and "LossyImageCompression" not in out
        before = pydicom.dcmread(path)
        assert (out.SOPInstanceUID == before.SOPInstanceUID) == (out.ImageType == before.ImageType) == (not touched)
        assert touched or expected != syntax or out.PixelData == before.PixelData


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("choice", ["jpeg2000-lossless", "jpeg-ls-lossless", "rle"])
def test_other_decoders_than_the_one_that_verifies_read_what_the_encoders_wrote(tmp_path, choice, kind):
    path, stored = make(tmp_path, uid.ExplicitVRLittleEndian, kind, 2)
    rewrite(tmp_path, path, touched=False, transfer_syntax=choice)
    plugin = {"rle": "pydicom"}.get(choice, "pylibjpeg")
    seen = pixel_array(tmp_path / "out.dcm", decoding_plugin=plugin, raw=True)
    bits, _, signed, _ = KINDS[kind]
    values = seen.astype(np.int64) & ((1 << bits) - 1)
    assert np.array_equal(values, stored.astype(np.int64) & ((1 << bits) - 1))


def lossy_files(folder: Path) -> dict[uid.UID, Path]:
    """One file a lossy transfer syntax."""
    ramp = np.add.outer(np.arange(SHAPE[0]) * 3, np.arange(SHAPE[1]) * 3)
    grey, deep = ramp.astype(np.uint8)[None], (ramp * 16).astype(np.uint16)[None]
    buffer = io.BytesIO()
    Image.fromarray(grey[0]).save(buffer, "JPEG", quality=80)
    facts = {"rows": SHAPE[0], "columns": SHAPE[1], "number_of_frames": 1, "samples_per_pixel": 1, "photometric_interpretation": "MONOCHROME2",
             "bits_allocated": 16, "bits_stored": 12, "pixel_representation": 0, "pixel_keyword": "PixelData"}  # fmt: skip
    near = list(get_encoder(uid.JPEGLSNearLossless).iter_encode(deep[0], jls_error=3, **facts))
    j2k = list(get_encoder(uid.JPEG2000).iter_encode(deep[0], j2k_cr=[4], **facts))
    ht = base64.b85decode(HTJ2K[uid.HTJ2K])
    return {
        uid.JPEGBaseline8Bit: save_frames(folder / "base.dcm", grey, [buffer.getvalue()], uid.JPEGBaseline8Bit, bits=8),
        uid.JPEGExtended12Bit: Path(get_testdata_file("JPGExtended.dcm")),
        uid.JPEGLSNearLossless: save_frames(folder / "near.dcm", deep, near, uid.JPEGLSNearLossless),
        uid.JPEG2000: save_frames(folder / "j2k.dcm", deep, j2k, uid.JPEG2000),
        uid.HTJ2K: save_frames(folder / "ht.dcm", deep, [ht], uid.HTJ2K, bits=16),
    }


METHODS = {
    uid.JPEGBaseline8Bit: "ISO_10918_1", uid.JPEGExtended12Bit: "ISO_10918_1", uid.JPEGLSNearLossless: "ISO_14495_1",
    uid.JPEG2000: "ISO_15444_1", uid.HTJ2K: "ISO_15444_15",
}  # fmt: skip


@pytest.mark.parametrize("choice", TRANSFER_SYNTAXES)
@pytest.mark.parametrize("syntax", METHODS, ids=lambda s: s.keyword)
def test_lossy_sources_come_out_lossless_and_say_so(tmp_path, syntax, choice):
    path = lossy_files(tmp_path)[syntax]
    before = pydicom.dcmread(path)
    for touched in (False, True):
        radiograph, new, again, out = rewrite(tmp_path, path, touched, transfer_syntax=choice)
        is_edited = touched and choice == "source" and syntax == uid.JPEGBaseline8Bit  # see test_jpeg_coefficients
        assert is_edited or np.array_equal(again.stored, new)
        if choice == "source" and not touched:
            assert out.PixelData == before.PixelData and out.file_meta.TransferSyntaxUID == syntax
            continue
        assert out.file_meta.TransferSyntaxUID == (syntax if is_edited else pixels.CHOICES.get(choice, uid.ExplicitVRLittleEndian))
        assert out.LossyImageCompression == "01" and out.ImageType[0] == "DERIVED"
        assert out.LossyImageCompressionMethod == before.get("LossyImageCompressionMethod", METHODS[syntax])
        assert 1 <= out.LossyImageCompressionRatio == pytest.approx(
            float(before.get("LossyImageCompressionRatio", 0)) or radiograph.source.byte_count / len(before.PixelData), abs=0.01
        )


def test_high_throughput_jpeg_2000_is_read_exactly(tmp_path):
    truth = np.full((1, *SHAPE), 1000, np.uint16)
    truth[:, 4:12, 8:24] = 3000
    path = save_frames(tmp_path / "in.dcm", truth, [base64.b85decode(HTJ2K[uid.HTJ2KLossless])], uid.HTJ2KLossless, bits=16)
    radiograph, new, again, out = rewrite(tmp_path, path)
    assert np.array_equal(radiograph.stored, truth) and np.array_equal(again.stored, new)
    assert out.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian and "LossyImageCompression" not in out


def test_an_earlier_lossy_history_is_not_overwritten(tmp_path):
    path = lossy_files(tmp_path)[uid.JPEGLSNearLossless]
    dataset = pydicom.dcmread(path)
    dataset.LossyImageCompression, dataset.LossyImageCompressionRatio = "01", ["12.5", "3"]
    dataset.LossyImageCompressionMethod = ["ISO_10918_1", "ISO_14495_1"]
    dataset.save_as(path)
    *_, out = rewrite(tmp_path, path, transfer_syntax="rle")
    assert list(out.LossyImageCompressionRatio) == [12.5, 3] and list(out.LossyImageCompressionMethod) == ["ISO_10918_1", "ISO_14495_1"]


def test_reversible_jpeg_2000_under_the_lossy_syntax_is_believed_to_be_lossless(tmp_path):
    path, _ = make(tmp_path, uid.JPEG2000Lossless, "12", 1)
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID, dataset.LossyImageCompression = uid.JPEG2000, "00"
    dataset.save_as(path)
    *_, out = rewrite(tmp_path, path)
    assert out.LossyImageCompression == "00" and "LossyImageCompressionMethod" not in out


@pytest.mark.parametrize("choice", [c for c in TRANSFER_SYNTAXES if c != "source"])
def test_tables_of_big_endian_files_turn_round_with_the_pixels(tmp_path, choice):
    curve = (np.linspace(0, 1, 4096) ** 2 * 65535).astype(int)
    tables = lut(curve)
    tables[0][0x00283006].value = np.array(curve, ">u2").tobytes()
    path = save(tmp_path, random_stored(), syntax=uid.ExplicitVRBigEndian, VOILUTSequence=tables)
    radiograph, _, again, out = rewrite(tmp_path, path, touched=False, transfer_syntax=choice)
    assert np.array_equal(np.frombuffer(out.VOILUTSequence[0].LUTData, "<u2"), curve)
    assert np.array_equal(again.display, radiograph.display)


def test_shifted_values_move_down_where_a_codec_has_no_high_bit(tmp_path):
    stored = random_stored(10)
    path = save(tmp_path, stored, bits=10, shift=4)
    for choice in TRANSFER_SYNTAXES:
        *_, again, out = rewrite(tmp_path, path, touched=False, transfer_syntax=choice)
        assert np.array_equal(again.stored, stored)
        assert out.HighBit == (9 if out.file_meta.TransferSyntaxUID in ENCODED else 13)


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("choice", TRANSFER_SYNTAXES)
def test_colour_by_plane_is_written_in_every_syntax(tmp_path, choice, planar):
    stored = random_stored(8, channels=3)
    path = save(tmp_path, stored, bits=8, photometric="RGB", PlanarConfiguration=planar)
    *_, again, out = rewrite(tmp_path, path, touched=False, transfer_syntax=choice)
    assert np.array_equal(again.stored, stored) and np.array_equal(out.pixel_array, stored[0])


@pytest.mark.parametrize(
    ("choice", "bits", "photometric", "rows", "word"),
    [("jpeg2000-lossless", 12, "MONOCHROME2", 31, "31 rows"), ("jpeg-ls-lossless", 1, "MONOCHROME2", 33, "1 bit a sample"),
     ("rle", 16, "YBR_FULL", 33, "YBR_FULL of 16 bits"), ("jpeg-ls-lossless", 16, "YBR_FULL", 33, "YBR_FULL of 16 bits")],
)  # fmt: skip
def test_what_cannot_be_encoded_fails_with_its_reason(tmp_path, choice, bits, photometric, rows, word):
    stored = random_stored(bits, channels=3 if photometric == "YBR_FULL" else 0)[:, :rows]
    path = save(tmp_path, stored, bits=bits, photometric=photometric)
    for touched in (False, True):
        with pytest.raises(WriteError, match=f"in.dcm: cannot be written as {choice}: .*{word}"):
            rewrite(tmp_path, path, touched, transfer_syntax=choice)


def test_a_source_whose_own_syntax_cannot_be_written_again_becomes_explicit_little_endian(tmp_path, monkeypatch):
    path, _ = make(tmp_path, uid.JPEGLSLossless, "12", 1)

    def refuse(*_):
        raise RuntimeError("SMITH^JOHN")

    monkeypatch.setattr(pixels, "_encode", refuse)
    *_, out = rewrite(tmp_path, path)
    assert out.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
    with pytest.raises(WriteError, match="the encoder refuses it .RuntimeError.$"):
        rewrite(tmp_path, path, transfer_syntax="jpeg-ls-lossless")


def test_verification_sees_the_wrong_syntax_a_lost_history_and_a_wrong_colour_space(tmp_path):
    target = tmp_path / "out.dcm"
    radiograph = read_dicom(make(tmp_path, uid.ExplicitVRLittleEndian, "12", 1)[0])
    write_dicom(radiograph, radiograph.stored, target, touched=False)
    with pytest.raises(WriteError, match="transfer syntax"):
        verify_dicom(radiograph, radiograph.stored, target, touched=False, transfer_syntax="rle")
    radiograph = read_dicom(lossy_files(tmp_path)[uid.JPEGLSNearLossless])
    write_dicom(radiograph, radiograph.stored, target, touched=False, transfer_syntax="rle")
    dataset = pydicom.dcmread(target)
    del dataset.LossyImageCompression
    dataset.save_as(target)
    with pytest.raises(WriteError, match="with loss"):
        verify_dicom(radiograph, radiograph.stored, target, touched=False, transfer_syntax="rle")
    radiograph = read_dicom(make(tmp_path, uid.ExplicitVRLittleEndian, "RGB", 1)[0])
    write_dicom(radiograph, radiograph.stored, target, touched=False)
    dataset = pydicom.dcmread(target)
    dataset.PhotometricInterpretation = "YBR_FULL"
    dataset.save_as(target)
    with pytest.raises(WriteError, match="photometric"):
        verify_dicom(radiograph, radiograph.stored, target, touched=False)


def test_the_option_names_what_can_be_written_and_is_part_of_the_settings():
    assert set(TRANSFER_SYNTAXES) == {"source", *pixels.CHOICES}
    assert len({RunOptions(transfer_syntax=name).settings_sha256() for name in TRANSFER_SYNTAXES}) == len(TRANSFER_SYNTAXES)
    with pytest.raises(UsageError, match="transfer_syntax is 'jpeg'"):
        RunOptions(transfer_syntax="jpeg")
