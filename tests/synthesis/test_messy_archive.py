"""The messy archive: what its table says is what its files are."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest

from markerremover.cli.main import main
from markerremover.errors import ReadError, UsageError
from markerremover.formats import images
from markerremover.synthesis import messy_archive
from markerremover.triage import UNUSABLE, judge, marked

NO_IMAGES = ("truncated file", "text file", "DICOMDIR", "empty file")


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> tuple[Path, dict[str, messy_archive.Item]]:
    out = tmp_path_factory.mktemp("messy") / "archive"
    return out, {item.path: item for item in messy_archive.write(out, 11)}


def digests(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


def test_the_table_lists_every_file_and_lies_beside_the_folder(archive):
    out, items = archive
    rows = list(csv.DictReader(messy_archive.truth_path(out).read_text().splitlines()))
    assert messy_archive.truth_path(out).parent == out.parent and not list(out.rglob("*.csv"))
    assert set(digests(out)) == set(items) == {row["path"] for row in rows} and len(rows) == 60
    counts = Counter(row["kind"] for row in rows)
    assert counts == messy_archive.COUNTS | {"ordinary": 60 - sum(messy_archive.COUNTS.values())}
    assert {int(row["patient"]) for row in rows if row["kind"] == "ordinary"} == set(range(1, 13))
    assert {row["view"] for row in rows} >= {"AP", "PA", "LATERAL"} and {row["marker"] for row in rows} >= {"L", "R"}
    assert {row["format"] for row in rows} == {"DICOM", "PNG", "JPEG", "TIFF", ""} and "yes" in {row["marker_mirrored"] for row in rows}


def test_equal_seeds_give_equal_files(archive, tmp_path):
    out, _ = archive
    messy_archive.write(tmp_path / "again", 11)
    assert digests(tmp_path / "again") == digests(out)


def test_every_image_is_read_and_what_is_none_is_refused(archive):
    out, items = archive
    for path, item in items.items():
        if item.kind in NO_IMAGES:
            with pytest.raises(ReadError):
                images.read(out / path)
        else:
            assert images.read(out / path).format == item.format, path


def test_headers_say_what_the_table_says(archive):
    out, items = archive
    for path, item in items.items():
        if item.format == "DICOM" and item.kind != "truncated file":
            header = pydicom.dcmread(out / path, stop_before_pixels=True)
            assert header.Modality == (item.kind if item.kind in ("CT", "MR", "US") else "DX")
            assert header.get("Laterality", "") == item.header_laterality
    wrong = [item for item in items.values() if item.kind == "side contradicts header"]
    assert [(item.marker, item.header_laterality, item.marker_mirrored) for item in wrong] == [("L", "R", "no")]


def test_triage_finds_what_the_table_says(archive):
    out, items = archive
    rows = []
    for path, item in items.items():
        if item.kind not in NO_IMAGES:
            quality = judge(images.read(out / path))
            rows.append({"relative": path, "quality": list(quality.flags), "pixel_hash": quality.hashes[0], "perceptual_hash": quality.hashes[1]})
    found = {row["relative"]: row for row in marked(rows)}
    for path, row in found.items():
        item = items[path]
        if item.kind == "photo of a screen":  # a screen whose pixels do not show is a colour photograph like others
            assert row["quality"] in (["photo of a screen"], ["colour photograph"]), item
        elif item.kind in ("blank", "noise", "scanned text", "colour photograph", "tiny", "exact duplicate", "near duplicate"):
            assert item.kind in row["quality"], item
        else:
            assert not set(row["quality"]) & set(UNUSABLE) - {item.kind}, item  # black cut off before black ground shows no cut
        assert row["duplicate_of"] == item.duplicate_of, item


def test_another_seed_gives_other_files_and_nothing_is_overwritten(archive, tmp_path, capsys):
    assert main(["synthesize", str(tmp_path / "a"), "--messy", "--seed", "1"]) == 0 and "60 files" in capsys.readouterr().out
    assert digests(tmp_path / "a") != digests(archive[0])
    before = digests(tmp_path)
    with pytest.raises(UsageError):
        messy_archive.write(tmp_path / "a", 2)
    assert digests(tmp_path) == before
    assert main(["synthesize", str(tmp_path / "b"), "--messy", "--seed", "1", "--count", "3"]) == 2 and not (tmp_path / "b").exists()
    assert main(["synthesize", str(tmp_path / "b"), "--seed", "1"]) == 2


def test_lateral_chests_differ():
    one, other = (messy_archive._lateral_chest(np.random.default_rng(seed), (200, 160)) for seed in (1, 2))
    assert one.shape == (200, 160) and np.abs(one - other).mean() > 1
