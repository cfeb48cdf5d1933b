"""images: recognised by content, refused for a stated reason, read back before it counts. Formats have tests of their own."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
import tifffile
from PIL import Image
from pydicom.data import get_testdata_file

from markerremover.errors import HeldError, MarkerRemoverError, ReadError, UsageError, WriteError
from markerremover.formats import images

GREY = np.random.default_rng(0).integers(0, 256, (21, 34), dtype=np.uint8)


def encoded(kind: str, pixels=GREY) -> bytes:
    buffer = io.BytesIO()
    if kind == "TIFF":
        tifffile.imwrite(buffer, pixels, photometric="minisblack")
    else:
        Image.fromarray(pixels).save(buffer, kind, **({"quality": 90} if kind == "JPEG" else {}))
    return buffer.getvalue()


def dicom_bytes() -> bytes:
    with open(get_testdata_file("CT_small.dcm"), "rb") as file:
        return file.read()


def put(folder, data: bytes, name="image.bin"):
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_rasters_are_recognised_by_content_not_by_name(tmp_path, kind):
    path = put(tmp_path, encoded(kind), "scan.dcm")
    assert images.recognise(path) == kind == images.read(path).format


def test_dicom_is_recognised_with_and_without_a_preamble(tmp_path):
    data = dicom_bytes()
    assert images.recognise(put(tmp_path, data, "a.png")) == "DICOM"
    meta_end = 132 + 12 + int.from_bytes(data[140:144], "little")
    assert images.recognise(put(tmp_path, data[meta_end:], "bare")) == "DICOM"


@pytest.mark.parametrize(
    "data", [b"hello world, this is text", b"\x08\0 nothing that parses" * 9, b"GIF89a" + bytes(50), b"\x89PN"], ids=["text", "group 8", "gif", "short"]
)
def test_what_is_no_image_is_none_and_fails_to_read(tmp_path, data):
    path = put(tmp_path, data)
    assert images.recognise(path) is None
    with pytest.raises(ReadError, match="image.bin: is not a"):
        images.read(path)


def test_an_empty_file_says_so(tmp_path):
    with pytest.raises(ReadError, match="empty"):
        images.recognise(put(tmp_path, b""))


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ReadError, match="cannot be read"):
        images.recognise(tmp_path / "nowhere")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_folders_and_pipes_are_refused_without_blocking(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ReadError, match="regular"):
            images.read(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_says_so(tmp_path):
    path = put(tmp_path, encoded("PNG"))
    path.chmod(0)
    with pytest.raises(ReadError, match="cannot be read"):
        images.read(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "DICOM"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_truncated_files_never_decode(tmp_path, kind, share):
    data = dicom_bytes() if kind == "DICOM" else encoded(kind, np.tile(GREY, (5, 5)))
    path = put(tmp_path, data[: int(len(data) * share)])
    with pytest.raises(ReadError):
        images.read(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "DICOM"])
def test_flipped_bytes_end_in_an_error_of_ours_or_an_image(tmp_path, kind):
    data = dicom_bytes()[:3000] if kind == "DICOM" else encoded(kind)
    rng = np.random.default_rng(0)
    for _ in range(60):
        broken = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            broken[at] = rng.integers(0, 256)
        path = put(tmp_path, bytes(broken))
        try:
            if images.recognise(path):
                images.read(path)
        except MarkerRemoverError:
            pass


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "DICOM"])
@pytest.mark.parametrize("touched", [False, True], ids=["untouched", "touched"])
def test_every_format_comes_back_as_it_was_written(tmp_path, kind, touched):
    path = put(tmp_path, dicom_bytes() if kind == "DICOM" else encoded(kind, np.tile(GREY, (3, 3))))
    radiograph = images.read(path)
    new = radiograph.stored.copy()
    if touched:
        new[:, 4:12, 4:20] = radiograph.fill[0]
    target = tmp_path / "out"
    images.write(radiograph, new, target, touched=touched)
    images.verify_written(radiograph, new, target, touched=touched)
    again = images.read(target)
    assert again.format == kind and again.stored.shape == new.shape and again.stored.dtype == new.dtype
    if touched:
        assert again.display[:, 5:11, 5:19].max() <= (24 if kind == "JPEG" else 0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "DICOM"])
def test_a_result_other_than_asked_for_is_refused(tmp_path, kind):
    path = put(tmp_path, dicom_bytes() if kind == "DICOM" else encoded(kind, np.tile(GREY, (3, 3))))
    radiograph = images.read(path)
    new = radiograph.stored.copy()
    new[:, 4:20, 4:30] = radiograph.fill[0]
    target = tmp_path / "out"
    images.write(radiograph, radiograph.stored, target, touched=False)
    with pytest.raises(WriteError):
        images.verify_written(radiograph, new, target, touched=True)
    target.write_bytes(b"")
    with pytest.raises(WriteError):
        images.verify_written(radiograph, new, target, touched=True)


@pytest.mark.parametrize("kind", ["PNG", "DICOM"])
def test_an_unwritable_target_is_a_write_error(tmp_path, kind):
    radiograph = images.read(put(tmp_path, dicom_bytes() if kind == "DICOM" else encoded(kind)))
    with pytest.raises(WriteError):
        images.write(radiograph, radiograph.stored, tmp_path / "no" / "such" / "folder", touched=False)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("kind", ["PNG", "DICOM"])
def test_a_full_disk_is_a_write_error(tmp_path, kind):
    radiograph = images.read(put(tmp_path, dicom_bytes() if kind == "DICOM" else encoded(kind)))
    with pytest.raises(WriteError):
        images.write(radiograph, radiograph.stored, "/dev/full", touched=False)


def test_pixels_that_do_not_fit_the_file_are_refused(tmp_path):
    radiograph = images.read(put(tmp_path, encoded("PNG")))
    for new in (radiograph.stored[:, 1:], radiograph.stored.astype(np.uint16)):
        with pytest.raises(UsageError):
            images.write(radiograph, new, tmp_path / "out", touched=True)


def test_changed_pixels_cannot_be_written_as_untouched(tmp_path):
    radiograph = images.read(put(tmp_path, encoded("PNG")))
    with pytest.raises(UsageError):
        images.write(radiograph, radiograph.stored ^ 1, tmp_path / "out", touched=False)


def test_the_input_is_never_written_to(tmp_path):
    path = put(tmp_path, encoded("PNG"))
    before = path.read_bytes()
    radiograph = images.read(path)
    images.write(radiograph, radiograph.stored, tmp_path / "out", touched=False)
    assert path.read_bytes() == before and not radiograph.stored.flags.writeable


def test_a_file_too_large_for_memory_is_held(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 100)
    with pytest.raises(HeldError, match="allowed are 100"):
        images.read(put(tmp_path, encoded("PNG")))
