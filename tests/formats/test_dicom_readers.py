"""Readers of others agree: DCMTK dumps and renders what is written, and dicom3tools finds no error that the input had not."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from dicom_files import NATIVE, radiograph_header, random_stored, save
from pydicom import uid
from pydicom.data import get_testdata_file

from markerremover.errors import HeldError, ReadError
from markerremover.formats.dicom.files import read_dicom, verify_dicom, write_dicom
from markerremover.headers.profile import HeaderProfile
from markerremover.options import TRANSFER_SYNTAXES

TOOLS = ("dcmdump", "dcm2pnm", "dcmj2pnm", "dcml2pnm", "dciodvfy")
MISSING = [tool for tool in TOOLS if not shutil.which(tool)]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (Debian: dcmtk, dicom3tools)")

BOX = (slice(0, 3), slice(0, 3))  # the smallest of pydicom's images has 3 x 3 pixels
KEY = bytes(range(32))
PROFILES = (HeaderProfile(), HeaderProfile("basic", KEY), HeaderProfile("basic", KEY, ("age", "sex", "size", "weight"), True))
THEIRS = sorted(path.name for path in Path(get_testdata_file("CT_small.dcm")).parent.glob("*.dcm"))
RENDERED = (*NATIVE, uid.RLELossless, *uid.JPEGTransferSyntaxes, *uid.JPEGLSTransferSyntaxes)
"""Transfer syntaxes that DCMTK shows; it has no JPEG 2000."""

LOSSY_JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
NEARLY_BLACK = 48  # grey levels; the 3 x 3 pixels are a part of one coarsely quantised block, of which the rest shows what it showed


def said_by(tool: str, *arguments: object) -> tuple[int, set[str]]:
    """Exit status and what a tool complains of, without values, offsets and paths."""
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, encoding="utf-8", errors="replace", timeout=600)
    lines = (done.stdout + done.stderr).splitlines() if tool == "dciodvfy" else done.stderr.splitlines()
    found = [line for line in lines if ("Error" in line if tool == "dciodvfy" else line[:2] in ("W:", "E:", "F:"))]
    kinds = (re.sub(r"(value|VR)? ?<[^<>]*>(?= for value| not )|'[^']*'|\d+ bytes|at position \d+|/\S+", "_", line) for line in found)
    return done.returncode, set(kinds)


def errors(path: Path) -> set[str]:
    """Kinds of errors, with the element, that dciodvfy finds; it cannot inflate, so deflated files are inflated for it."""
    dataset = pydicom.dcmread(path, force=True)
    if dataset.file_meta.get("TransferSyntaxUID") == uid.DeflatedExplicitVRLittleEndian:
        path = path.with_name(f"inflated-{path.name}") if path.parent.name != "test_files" else path
        dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        dataset.save_as(path)
    return said_by("dciodvfy", path)[1]


def rendering(path: Path, *options: object) -> np.ndarray | None:
    """The first frame as DCMTK shows it: (H, W, 3); None where it cannot."""
    syntax = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
    tool = "dcml2pnm" if syntax in uid.JPEGLSTransferSyntaxes else "dcmj2pnm" if syntax in uid.JPEGTransferSyntaxes else "dcm2pnm"
    target = path.with_suffix(".pnm")
    target.unlink(missing_ok=True)
    said_by(tool, "+op", *options, path, target)
    return cv2.imread(str(target)) if target.exists() else None


def written(path: Path, target: Path, *, touched: bool, **said):
    """What the pipeline writes for a file, or None where it is refused; the box is black where touched."""
    radiograph = read_dicom(path)
    new = radiograph.stored.copy()
    if touched:
        new[:, BOX[0], BOX[1]] = radiograph.fill if new.ndim == 4 else radiograph.fill[0]
    write_dicom(radiograph, new, target, touched=touched, verified=True, method="markerremover 0, weights 0", **said)
    verify_dicom(radiograph, new, target, touched=touched, **said)
    return pydicom.dcmread(target)


def agree(path: Path, target: Path, dataset, *, touched: bool) -> None:
    """Every reader's word on the output against that on the input."""
    (status, complaints), (status_before, complaints_before) = said_by("dcmdump", target), said_by("dcmdump", path)
    assert complaints <= complaints_before and (status == 0 or status_before)
    assert errors(target) <= errors(path)
    if dataset.file_meta.TransferSyntaxUID not in RENDERED:
        return
    windows = [("+Wm",)] + ([("+Wi", 1)] if dataset.get("WindowCenter") not in (None, "") else [])
    for window in windows if dataset.SamplesPerPixel == 1 else [()]:
        shown = rendering(target, *window)
        assert shown is not None and shown.shape[:2] == (dataset.Rows, dataset.Columns)
        if touched:
            brightest = shown.max(axis=2)
            allowed = NEARLY_BLACK if dataset.file_meta.TransferSyntaxUID in LOSSY_JPEG else brightest.min()
            assert brightest[BOX].max() <= allowed


@pytest.mark.parametrize("name", THEIRS)
def test_files_of_others(tmp_path, name):
    path = tmp_path / "in.dcm"
    shutil.copy(get_testdata_file(name), path)
    try:
        read_dicom(path)
    except (ReadError, HeldError):
        return  # test_dicom.py looks at the reasons
    for touched, headers in enumerate(PROFILES[:2]):
        dataset = written(path, tmp_path / "out.dcm", touched=bool(touched), headers=headers)
        agree(path, tmp_path / "out.dcm", dataset, touched=bool(touched))


def whole(folder: Path, kind: str, **how) -> Path:
    return save(folder, random_stored(12, frames=how.pop("frames", 1)), **radiograph_header(kind), **how)


@pytest.mark.parametrize("kind", ["CR", "DX", "MG", "SC"])
@pytest.mark.parametrize("headers", PROFILES, ids=["keep", "basic", "retain and shift"])
def test_whole_headers(tmp_path, kind, headers):
    path = whole(tmp_path, kind)
    assert len(errors(path)) <= {"CR": 0, "DX": 0, "MG": 9, "SC": 0}[kind], "the input is sound, or new errors could hide among old ones"
    for touched in (False, True):
        agree(path, tmp_path / "out.dcm", written(path, tmp_path / "out.dcm", touched=touched, headers=headers), touched=touched)


@pytest.mark.parametrize("choice", TRANSFER_SYNTAXES)
@pytest.mark.parametrize("syntax", [*NATIVE, uid.RLELossless, uid.JPEGLSLossless], ids=lambda s: s.keyword)
def test_every_transfer_syntax(tmp_path, syntax, choice):
    path = whole(tmp_path, "CR", syntax=syntax, photometric=f"MONOCHROME{1 + TRANSFER_SYNTAXES.index(choice) % 2}")
    for touched in (False, True) if choice == "source" else (True,):
        dataset = written(path, tmp_path / "out.dcm", touched=touched, headers=PROFILES[1], transfer_syntax=choice)
        agree(path, tmp_path / "out.dcm", dataset, touched=touched)


@pytest.mark.parametrize("choice", TRANSFER_SYNTAXES)
@pytest.mark.parametrize(("bits", "signed", "photometric"), [(8, False, "RGB"), (8, False, "YBR_FULL"), (12, True, "MONOCHROME2")])
def test_colour_and_signed_values(tmp_path, choice, bits, signed, photometric):
    stored = random_stored(bits, signed, channels=3 if photometric != "MONOCHROME2" else 0)
    elements = radiograph_header("SC") | ({"RescaleIntercept": "0", "RescaleSlope": "1"} if signed else {})
    if stored.ndim == 4:
        del elements["WindowCenter"], elements["WindowWidth"]
    path = save(tmp_path, stored, bits=bits, photometric=photometric, **elements)
    dataset = written(path, tmp_path / "out.dcm", touched=True, headers=PROFILES[1], transfer_syntax=choice)
    agree(path, tmp_path / "out.dcm", dataset, touched=True)


def test_a_name_in_every_text_leaves_a_sound_header(tmp_path):
    dataset = pydicom.dcmread(whole(tmp_path, "DX"))
    for element in dataset.iterall():
        if element.VR in ("LO", "SH", "ST", "LT", "UT") and element.keyword not in ("CodingSchemeDesignator", "RescaleType"):
            element.value = "of Smith"
    path = tmp_path / "named.dcm"
    dataset.save_as(path)
    out = written(path, tmp_path / "out.dcm", touched=True, headers=PROFILES[1])
    agree(path, tmp_path / "out.dcm", out, touched=True)
    assert b"Smith" not in (tmp_path / "out.dcm").read_bytes()


def test_a_spoilt_output_is_told_from_a_sound_one(tmp_path):
    path, spoilt = whole(tmp_path, "DX"), tmp_path / "spoilt.dcm"
    dataset = pydicom.dcmread(path)
    dataset.Manufacturer, dataset.StudyDate = "", "31.01.2020"
    del dataset.Modality
    dataset.save_as(spoilt)
    assert len(errors(spoilt) - errors(path)) >= 2
    with pytest.raises(AssertionError):
        agree(path, spoilt, dataset, touched=False)
    with pytest.raises(AssertionError):
        agree(path, path, pydicom.dcmread(path), touched=True)
