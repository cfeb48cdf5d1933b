"""pydicom's own test files through a whole run: each ends with an image or with a true reason, none unexpectedly."""

from __future__ import annotations

import json
from pathlib import Path

from fakes import cleaner
from pydicom.data import get_testdata_file

from markerremover.options import RunOptions
from markerremover.run import batch


def test_every_file_ends_cleaned_unchanged_held_or_failed_with_a_reason(tmp_path):
    folder = Path(get_testdata_file("CT_small.dcm")).parent
    names = [path.name for path in folder.glob("*.dcm")]
    for path in folder.glob("*.dcm"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    summary = batch.remove([tmp_path / "in"], tmp_path / "out", options=RunOptions(paths="keep", allow_modality=("all",)), open_cleaner=cleaner)
    rows = [json.loads(line) for line in (tmp_path / "out-audit" / "manifest.jsonl").read_text().splitlines()]
    assert sorted(row["relative"] for row in rows) == sorted(names) and summary["reconciles"]
    released = summary["counts"]["cleaned"] + summary["counts"]["unchanged"]
    assert released >= 40
    for row in rows:
        assert bool(row["reason"]) == (row["status"] in ("held", "failed")) and "unexpected" not in row["reason"]
