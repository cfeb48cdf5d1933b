"""The figures in README.md are those of eval/results, and those are of the shipped weights."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from markerremover.inference.card_files import identity
from markerremover.inference.shipped_weights import default_weights

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "eval" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_results(tables):
    for page in tables.PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert tables.PLACE.search(text) and tables.filled(text) == text, "run python eval/tables.py"


def test_every_table_stands_on_a_page(tables):
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in tables.PAGES)
    assert {place[2] for place in tables.PLACE.finditer(text)} == set(tables.TABLES)


def test_a_page_that_disagrees_is_told_and_mended(tables, tmp_path, monkeypatch, capsys):
    (tmp_path / "README.md").write_text("x\n<!-- table real -->\n| 99 % |\n<!-- end of table -->\ny\n")
    (tmp_path / "eval").symlink_to(ROOT / "eval")
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "PAGES", ("README.md",))
    monkeypatch.setattr(sys, "argv", ["tables.py", "--check"])
    assert tables.main() == 1 and "README.md" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["tables.py"])
    assert tables.main() == 0
    text = (tmp_path / "README.md").read_text()
    assert "99 %" not in text and "53/53" in text and text.startswith("x\n<!--") and text.endswith("-->\ny\n")


def test_a_table_without_results_is_an_error(tables):
    with pytest.raises(KeyError):
        tables.filled("<!-- table none -->\n<!-- end of table -->")


def test_the_script_runs_as_its_docstring_says():
    command = [sys.executable, str(ROOT / "eval" / "tables.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["val", "hannover", "limbs", "actualmed"])
def test_results_are_of_the_shipped_weights(name):
    card = json.loads(default_weights().with_suffix(".json").read_text())
    found = json.loads((ROOT / "eval" / "results" / f"{name}.json").read_text())
    assert found["weights_sha256"] == identity(card) and found.get("threshold", card["threshold"]) == card["threshold"]


def test_results_name_no_image_and_no_path():
    for path in (ROOT / "eval" / "results").glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert not any(part in text for part in (".png", ".jpg", ".dcm", "/tmp", "/home", "/work")), path.name
