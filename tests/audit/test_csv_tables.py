"""manifest.csv and boxes.csv say what manifest.jsonl says, to Python, R and a spreadsheet."""

from __future__ import annotations

import csv
import re
import stat
from dataclasses import replace

import audits
import fakes
import pytest
import reviewing

from markerremover.audit import manifest_files, tables
from markerremover.options import RunOptions
from markerremover.records import Policy

FILES = (tables.MANIFEST_CSV, tables.BOXES_CSV)


def read(path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle, strict=True))


def test_every_row_and_every_box_has_a_line_with_the_names_of_the_json(clean):
    summary, rows = clean()
    audit = reviewing.Path(summary["audit"])
    files, boxes = (read(audit / name) for name in FILES)
    assert [row["relative"] for row in files] == list(rows) and len(boxes) == sum(len(row["boxes"]) for row in rows.values()) == 4
    for row in files:
        of_json = rows[row["relative"]]
        for name in ("status", "reason", "format", "sha256_in", "sha256_out", "released_held", "weights_sha256", "version", "settings_sha256"):
            assert row[name] == of_json[name]
        assert [int(row[name]) for name in ("frames", "rows", "columns")] == of_json["shape"] and row["channels"] == ""
        assert row["boxes_removed"] == "1" and row["laterality_markers_retained"] == "0" and row["path_tells"] == "FALSE"
        assert float(row["timings_ms"]) == pytest.approx(sum(of_json["timings_ms"].values()), abs=0.1)
    for box in boxes:
        [of_json] = rows[box["relative"]]["boxes"]
        assert [int(box[name]) for name in ("x1", "y1", "x2", "y2")] == of_json["xyxy"] and box["action"] == "remove"
        assert float(box["score"]) == of_json["score"] and [box["crop_before"], box["crop_after"]] == rows[box["relative"]]["crops"][0]


def test_only_the_owner_may_read_them_and_excel_knows_the_encoding(clean):
    summary, _ = clean()
    for name in FILES:
        path = reviewing.Path(summary["audit"]) / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and path.read_bytes().startswith(b"\xef\xbb\xbfrelative,")


HOSTILE = ["=cmd|'/c calc'!A0.png", "+1.png", "-1.png", "@sum(a1).png", " =1.png", "\t=1.png", "\uff1d1.png"]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_path_is_no_formula(name):
    text = tables.cell(name)
    assert text == f"'{name}"


@pytest.mark.parametrize("value, text", [("a=1.png", "a=1.png"), (-90.0, -90.0), (0, 0), (False, "FALSE"), (["a", "=b"], "a; =b"), (["=b"], "'=b"),
    ({"side": "L"}, "side L"), ("caf\u00e9.png", "caf\u00e9.png"), ("\udce9.png", "\\udce9.png")], ids=ascii)
def test_other_values_are_as_they_are(value, text):
    assert tables.cell(value) == text


def test_awkward_paths_and_fields_of_all_kinds_read_back(tmp_path):
    rows = [row | {"relative": name} for row, name in zip(audits.rows(8), ('a,b.png', 'a "b".png', "line\nbreak.png", "return\rhere.png", "#1.png", "it's.png", "", "NA.png"))]
    rows[1] |= {"quality": ["burned_out", "rotated"], "laterality": {"side": "L", "of": ["a"], "deep": {"x": 1}}, "duplicate_of": None,
                "review": {"verdict": "accept", "marks": [{"frame": 0}], "boxes_before": []}}
    tables.write_tables(tmp_path, iter(rows))
    files = read(tmp_path / tables.MANIFEST_CSV)
    assert [row["relative"] for row in files] == [row["relative"] for row in rows]
    assert files[1]["quality"] == "burned_out; rotated" and files[1]["laterality.side"] == "L" and files[1]["review.verdict"] == "accept"
    assert files[0]["quality"] == "" and "review.marks" not in files[0] and "laterality.deep" not in files[0]


def as_r_reads(text: str) -> list[list[str]]:
    """Records by the rules of R's read.csv: quotes double within quotes, a line may end within them, and nothing else is special."""
    assert text.startswith("\ufeff")  # dropped by fileEncoding = "UTF-8-BOM"
    fields = re.findall(r'("(?:[^"]|"")*"|[^",\n]*)([,\n])', text[1:])
    records, record = [], []
    for value, end in fields:
        record.append(value[1:-1].replace('""', '"') if value.startswith('"') else value)
        if end == "\n":
            records.append(record)
            record = []
    return records


def test_r_reads_the_same_cells(tmp_path):
    rows = list(audits.rows(120))
    rows[0]["relative"] = 'a "b",\nc.png'
    tables.write_tables(tmp_path, rows)
    for name in FILES:
        header, *records = as_r_reads((tmp_path / name).read_bytes().decode("utf-8"))
        assert all(len(record) == len(header) for record in records) and records == [list(row.values()) for row in read(tmp_path / name)]
        assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9._]*", column) for column in header) and len(set(header)) == len(header), "make.names changes none"


def test_boxes_of_each_action_are_counted(tmp_path):
    rows = list(audits.rows(60))
    tables.write_tables(tmp_path, rows)
    for row, line in zip(rows, read(tmp_path / tables.MANIFEST_CSV)):
        assert int(line["boxes_removed"]) + int(line["laterality_markers_retained"]) == len(row["boxes"])
    assert {line["action"] for line in read(tmp_path / tables.BOXES_CSV)} <= {"keep", "remove"}


def test_no_cell_is_longer_than_spreadsheets_take_however_many_boxes_hold_a_file(tmp_path):
    box = {"frame": 0, "xyxy": [1, 2, 3, 4], "score": 0.7, "label": "verify", "action": "remove", "reason": "still found after removal", "text": ""}
    row = next(audits.rows(1)) | {"held_for": [box] * 900, "quality": ["noise", "tiny"]}
    tables.write_tables(tmp_path, [row])
    (record,) = read(tmp_path / tables.MANIFEST_CSV)
    assert record["held_for"] == "900" and record["quality"] == "noise; tiny" and max(map(len, record.values())) < 32_767  # of Excel


def test_a_review_that_is_applied_changes_them(tmp_path):
    audit = reviewing.run(tmp_path)
    reviewing.say(audit, ("a/1.png", reviewing.draw()), ("a/1.png", reviewing.ACCEPT))
    before = len(read(audit / tables.BOXES_CSV))
    reviewing.redo(audit)
    files = {row["relative"]: row for row in read(audit / tables.MANIFEST_CSV)}
    assert len(read(audit / tables.BOXES_CSV)) == before + 1 and files["a/1.png"]["boxes_removed"] == "2"
    assert files["a/1.png"]["review.verdict"] == "accept" and files["a/1.png"]["sha256_out"] == reviewing.rows(audit)["a/1.png"]["sha256_out"]


def test_each_part_of_a_run_has_its_own_and_the_merged_run_all(inputs, out, clean):
    for part in (1, 2):
        clean(RunOptions(policy=Policy(keep=()), shard=(part, 2), workers=1))
    audit = out.with_name("out-audit")
    parts = [{row["relative"] for row in read(audit / f"shard-{part}-of-2" / tables.MANIFEST_CSV)} for part in (1, 2)]
    assert not parts[0] & parts[1] and len(parts[0] | parts[1]) == 4 and not (audit / tables.MANIFEST_CSV).exists()
    clean(replace(fakes.NO_KEEP, resume=True))
    assert {row["relative"] for row in read(audit / tables.MANIFEST_CSV)} == parts[0] | parts[1]


def test_a_run_that_stops_leaves_no_tables_of_the_run_before(inputs, out, clean, monkeypatch):
    clean()
    monkeypatch.setattr(manifest_files, "write_summary", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        clean(replace(fakes.NO_KEEP, resume=True))
    assert not any((out.with_name("out-audit") / name).exists() for name in FILES)
