"""docs/reference is what the code says, and what the code says of its fields is what runs write."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import fakes
import pytest

from markerremover.audit import field_docs, manifest_files
from markerremover.cli.main import build_parser
from markerremover.inference.shipped_weights import default_weights
from markerremover.laterality.burned_in import Laterality
from markerremover.options import RunOptions
from markerremover.records import Policy
from markerremover.redaction.cleaning import Cleaner
from markerremover.run import batch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_those_of_the_code(reference, capsys):
    assert reference.main(["--check"]) == 0, capsys.readouterr().err


def test_a_page_that_disagrees_is_told_and_written_anew(reference, tmp_path, monkeypatch, capsys):
    page = tmp_path / "docs" / "reference" / "exit-codes.md"
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    monkeypatch.setattr(reference, "documents", lambda: {page: reference.exit_codes()})
    assert reference.main(["--check"]) == 1 and "exit-codes.md" in capsys.readouterr().err and not page.exists()
    assert reference.main([]) == 0 and reference.main(["--check"]) == 0 and "`130`" in page.read_text()


def test_the_command_line_page_has_every_command_and_option(reference):
    text = reference.command_line()
    for name, (_, parser) in reference.commands().items():
        part = re.search(rf"^## {name}$(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)[1]
        options = [o for action in parser._actions for o in action.option_strings if o not in ("-h", "--help")]
        assert all(f"`{option}" in part for option in options), name
    assert "%(default)s" not in text and set(reference.commands()) >= {"remove", "review", "finetune", "evaluate"}
    assert build_parser().prog in text


def names(value, prefix: str = "") -> set[str]:
    """The dotted names of everything in a document that `fields` names one by one."""
    found = set()
    for key, inner in value.items():
        name = prefix + key
        if isinstance(inner, list) and f"{name}[]" in field_docs.MANIFEST:
            found.add(f"{name}[]")
            found |= {n for item in inner if isinstance(item, dict) for n in names(item, f"{name}[].")}
        elif isinstance(inner, dict) and any(f.startswith(f"{name}.") for f in field_docs.SUMMARY) and not prefix:
            found |= names(inner, f"{name}.")
        else:
            found.add(name)
    return found


def test_every_field_of_a_run_is_described_and_every_described_one_is_written(inputs, out):
    found: set[str] = set()
    for style in ("box", "mask"):
        target = out.with_name(style)
        summary = batch.remove([inputs], target, options=RunOptions(policy=Policy(keep=(), style=style)),
            open_cleaner=lambda threads, style=style: Cleaner(fakes.find_white, fakes.SilentReader(), Policy(keep=(), style=style)))
        found |= {n for row in manifest_files.read_manifest(Path(summary["audit"]) / manifest_files.MANIFEST) for n in names(row)}
    elsewhere = {"review", "orientation", "outside_validation", "recognizable", "boxes[].area_px", "boxes[].removed", "jpeg"}  # test_review_apply.py, test_placement.py, test_drawn_boxes.py, test_gate.py and test_jpeg_run.py have rows with them
    sides = {f"laterality.{name}" for name in Laterality().row}  # test_read_laterality.py has rows with them
    jpeg = {name for name in field_docs.MANIFEST if name.startswith("jpeg.")}
    assert found | elsewhere | sides | jpeg == set(field_docs.MANIFEST)
    assert names(json.loads((target.with_name("mask-audit") / manifest_files.SUMMARY).read_text())) == set(field_docs.SUMMARY)


def test_every_field_of_the_shipped_card_is_described():
    assert set(json.loads(default_weights().with_suffix(".json").read_text())) <= set(field_docs.CARD)

