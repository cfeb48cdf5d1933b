"""The notebook: its cells run in order, and it is committed without outputs."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "tutorial" / "5-python.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_it_is_a_notebook_without_outputs_and_paths_of_a_machine():
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5) and len({cell["id"] for cell in CELLS}) == len(CELLS)
    for cell in CELLS:
        assert cell["cell_type"] in ("markdown", "code") and cell["metadata"] == {}
        assert cell["cell_type"] == "markdown" or (cell["outputs"], cell["execution_count"]) == ([], None)
    text = "".join(line for cell in CELLS for line in cell["source"])
    assert not re.search(r"/(home|root|Users|work|tmp)/|[A-Z]:\\", text)
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (NOTEBOOK.parent / link).is_file(), link


def test_its_cells_run_in_order_and_show_what_they_say(tmp_path, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plt, "show", lambda: (shown.append(len(plt.gcf().axes)), plt.close("all")))
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        for cell in (c for c in CELLS if c["cell_type"] == "code"):
            exec(compile("".join(cell["source"]), f"{NOTEBOOK.name}:{cell['id']}", "exec"), names)
    lines = said.getvalue().splitlines()
    assert shown == [2, 1, 2, 2] and "2 of 2" in lines and "pixels outside the mask are those of the film: True" in lines
    result, found = names["result"], names["found"]
    assert len(found) >= 2 and result.status == "cleaned" and {d.action for d in result.decisions} == {"keep", "remove"}
    (share,) = (int(line.split("%")[0]) for line in lines if "of the header's pixels" in line)
    assert share >= 95 and np.unique(names["windowed"].array[names["windowed"].mask]).tolist() == [-1000]
    saved = sorted(p.name for p in (tmp_path / "notebook" / "results").iterdir())
    assert saved == ["film.dcm", "film.png", "film.tif"]
    assert "^" not in str(pydicom.dcmread(tmp_path / "notebook" / "results" / "film.dcm").PatientName)
