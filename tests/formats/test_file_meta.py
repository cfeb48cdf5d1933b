"""The head of a DICOM file: named without parsing what is behind it."""

import dicom_files
import pytest
from pydicom import uid

from markerremover.formats.dicom import file_meta

DX = str(uid.DigitalXRayImageStorageForPresentation)


@pytest.mark.parametrize("syntax", dicom_files.NATIVE)
def test_the_facts_of_a_file_and_where_its_data_set_begins(tmp_path, syntax):
    path = dicom_files.save(tmp_path, dicom_files.random_stored(), syntax=syntax)
    data = path.read_bytes()
    facts = file_meta.file_facts(data[:400])
    assert facts[:3] == (DX, "1.2.3.4", str(syntax))
    if syntax != uid.DeflatedExplicitVRLittleEndian:
        assert data[facts.offset : facts.offset + 2] in (b"\x08\x00", b"\x00\x08")


def test_a_head_made_here_reads_back():
    head = file_meta.file_head(DX, "1.2.3", str(uid.ExplicitVRLittleEndian))
    assert file_meta.file_facts(head + b"data") == (DX, "1.2.3", str(uid.ExplicitVRLittleEndian), len(head))


@pytest.mark.parametrize("damage", [
    lambda head: b"", lambda head: head[:-1], lambda head: b"x" * len(head), lambda head: head[:140] + b"\xff\xff\xff\xff" + head[144:],
    lambda head: head[:144] + b"\xff" * (len(head) - 144)], ids=["nothing", "cut", "no head", "a length beyond the file", "noise"])
def test_what_is_no_head_has_no_facts(damage):
    head = file_meta.file_head(DX, "1.2.3", str(uid.ExplicitVRLittleEndian))
    assert file_meta.file_facts(damage(head)) is None


def test_the_syntaxes_that_are_read_have_decoders_or_need_none():
    syntaxes = file_meta.read_syntaxes()
    assert set(dicom_files.NATIVE) | set(dicom_files.ENCODED) <= set(syntaxes) and uid.MPEG2MPML not in syntaxes
