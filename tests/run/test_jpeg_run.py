"""A run over JPEG files, as such and in DICOM: the row says what became of the coefficients, and the review shows only what was removed."""

from __future__ import annotations

import fakes
import numpy as np
import pytest
from dicom_files import save_frames
from pydicom import uid

from markerremover.audit import field_docs, manifest_files
from markerremover.formats import images
from markerremover.options import RunOptions
from markerremover.records import Policy
from markerremover.review import pictures
from markerremover.run import batch

DATA = fakes.jpeg(fakes.radiograph(1))


@pytest.mark.parametrize("name", ["0.jpg", "0.dcm"])
def test_a_row_says_that_all_other_blocks_kept_their_coefficients(tmp_path, name):
    source = fakes.put(tmp_path / "in" / name, DATA)
    if name == "0.dcm":
        save_frames(source, np.zeros((1, *fakes.SHAPE), np.uint8), [DATA], uid.JPEGBaseline8Bit, bits=8)
    batch.remove([source.parent], tmp_path / "out", options=RunOptions(policy=Policy(keep=()), headers="keep"), open_cleaner=fakes.cleaner)
    (row,) = manifest_files.read_manifest(tmp_path / "out-audit" / manifest_files.MANIFEST)
    assert row["status"] == "cleaned" and row["jpeg"]["coefficients"] == "kept" and 0 < row["jpeg"]["rewritten"] < row["jpeg"]["blocks"]
    assert {f"jpeg.{key}" for key in row["jpeg"]} <= set(field_docs.MANIFEST)
    before, after = images.read(source), images.read(tmp_path / "out" / row["relative"])
    removed = np.zeros(fakes.SHAPE, bool)
    for x1, y1, x2, y2 in (box["xyxy"] for box in row["boxes"]):
        removed[y1:y2, x1:x2] = True
    around = removed.reshape(fakes.SHAPE[0] // 8, 8, -1, 8).any(axis=(1, 3)).repeat(8, axis=0).repeat(8, axis=1)
    assert np.array_equal(after.stored[0][~around], before.stored[0][~around]) and (around & ~removed).sum() == row["jpeg"]["around_px"]
    assert after.stored[0][removed].mean() < 4
    pair = pictures.load(source, tmp_path / "out" / row["relative"], row, row["boxes"])
    assert pair.moved is not None and not pair.moved[0][~around].any()
