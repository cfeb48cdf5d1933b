from __future__ import annotations

import json
import stat
from dataclasses import replace

import numpy as np
import pytest

from markerremover.audit import manifest_files
from markerremover.errors import UsageError
from markerremover.records import Decision, Outcome, Reading
from markerremover.system import files

RUN = {"weights_sha256": "ab", "version": "0.1.0", "settings_sha256": "cd"}
READING = Reading((10, 10, 30, 30), "L", 0.91234, np.ones((20, 20), bool), rotation_deg=90.0, mirrored=True)
KEPT = Decision(0, (8, 8, 32, 32), "keep", "isolated sign", 0.87654, "laterality", READING, np.ones((24, 24), bool))
GONE = Decision(1, (np.int64(1), 2, 3, 4), "remove", "no sign", np.float32(0.5))
OUTCOME = Outcome("a/b.png", "cleaned", "", "PNG", (2, 40, 40), "1" * 64, "2" * 64, (KEPT, GONE), (("x", "y"), ("", "")), {"read": 1.5})


def test_a_row_holds_every_box_with_what_was_read_and_why():
    row = json.loads(json.dumps(manifest_files.manifest_row(OUTCOME, RUN)))
    assert list(row) == ["relative", "status", "reason", "format", "shape", "sha256_in", "sha256_out", "boxes", "held_for", "crops", "full_pictures", "path_tells",
                         "released_held", "notes", "timings_ms", "weights_sha256", "version", "settings_sha256"]
    assert row["boxes"][0] == {
        "frame": 0, "xyxy": [8, 8, 32, 32], "score": 0.8765, "label": "laterality", "action": "keep", "reason": "isolated sign",
        "text": "L", "confidence": 0.9123, "rotation_deg": 90.0, "mirrored": True,
    }
    assert row["boxes"][1]["xyxy"] == [1, 2, 3, 4] and row["boxes"][1]["text"] == ""


def test_a_row_says_which_pixels_of_a_box_were_removed_where_not_all_were():
    removed = np.zeros((2, 40, 40), bool)
    removed[0, 9:20, 12:30] = True
    removed[1, 2:4, 1:3] = True
    outcome = replace(OUTCOME, areas=manifest_files.packed_areas(removed, (KEPT, GONE)))
    row = json.loads(json.dumps(manifest_files.manifest_row(outcome, RUN)))
    assert "removed" in row["boxes"][0] and "removed" not in row["boxes"][1]
    assert np.array_equal(manifest_files.removed_pixels(row, removed.shape), removed)
    row["boxes"][0]["removed"] = "no bits"
    with pytest.raises(UsageError, match="cannot be read"):
        manifest_files.removed_pixels(row, removed.shape)


def test_a_manifest_reads_back_and_a_cut_last_line_is_left_out(tmp_path):
    path = tmp_path / manifest_files.MANIFEST
    rows = [manifest_files.manifest_row(Outcome(name, "failed", "bad"), RUN) for name in ("é\udce9.png", "line\nbreak.png")]
    with files.open_private(path, "a") as handle:
        for row in rows:
            manifest_files.append(handle, row)
        handle.write('{"relative": "cut.png", "sta')
    assert manifest_files.read_manifest(path) == rows
    assert manifest_files.read_manifest(tmp_path / "none") == []
    manifest_files.write_rows(path, rows[:1])
    assert manifest_files.read_manifest(path) == rows[:1] and stat.S_IMODE(path.stat().st_mode) == 0o600


def test_counts_name_every_status():
    assert manifest_files.counts([]) == {"inputs": 0, "cleaned": 0, "unchanged": 0, "held": 0, "failed": 0}
    assert manifest_files.counts([{"status": "held"}, {"status": "held"}])["held"] == 2


def test_boxes_before_a_review_are_those_of_the_program():
    assert manifest_files.boxes_before({"boxes": [1]}) == manifest_files.boxes_before({"boxes": [1], "review": None}) == [1]
    assert manifest_files.boxes_before({"boxes": [1], "review": {"boxes_before": [2]}}) == [2]
