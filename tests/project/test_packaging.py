"""What an installed wheel holds, and that no file of the project names a machine or a registry."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import markerremover

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory) -> set[str]:
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_the_pages_the_fonts_and_the_licence(wheel_names):
    pages = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("markerremover/**/static/*")}
    assert {"markerremover/audit/page/static/page.css", "markerremover/review/static/index.html"} <= pages <= wheel_names
    templates = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("markerremover/**/*.j2")}
    assert {"markerremover/audit/report_page.html.j2", "markerremover/audit/page/page.html.j2", "markerremover/evaluation/report.html.j2"} <= templates <= wheel_names
    assert {"markerremover/py.typed", "markerremover/keep_lists/groups.toml"} <= wheel_names
    assert any(name.startswith("markerremover/fonts/") for name in wheel_names)
    assert any(name.endswith("licenses/LICENSE") for name in wheel_names)


def test_the_wheel_holds_the_weights_as_onnx_and_card_only(wheel_names):
    shipped = {f"markerremover/weights/{p.name}" for p in (ROOT / "weights").iterdir() if p.suffix in (".onnx", ".json") and not p.name.startswith("in-training")}
    assert {name for name in wheel_names if "weights/" in name} == shipped


def test_the_wheel_holds_nothing_else_of_the_checkout(wheel_names):
    assert {name.split("/")[0] for name in wheel_names} == {"markerremover", f"markerremover-{markerremover.__version__}.dist-info"}


@pytest.mark.parametrize("name", ["pyproject.toml", "Makefile", ".ci/run", "tools/prepare-system"])
def test_no_machine_path_and_no_registry_is_named(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"https?://|index-url|find-links|/home/|/root/", text)


def test_the_files_of_tests_that_go_first_exist():
    from conftest import SLOW

    assert set(SLOW) <= {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
