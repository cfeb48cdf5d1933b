"""The examples of docs/how-to/export-dataset.md read a data set back, where torch and datasets are installed."""

from __future__ import annotations

import fakes
import numpy as np
import pages
import pytest

from markerremover.dataset.export import export_dataset
from markerremover.dataset.options import PARTS, ExportOptions
from markerremover.formats import read_apart
from markerremover.run import batch

PAGE = pages.ROOT / "docs" / "how-to" / "export-dataset.md"


def example(name: str) -> str:
    """The Python block of the page that needs a library."""
    [code] = [step.text for step in pages.steps(PAGE) if step.kind == "python" and f"needs {name}," in step.skip]
    return code


@pytest.fixture(params=[8, 16], ids=["8 bit", "16 bit"])
def dataset(request, tmp_path, monkeypatch):
    """Nine films of nine patients in `dataset`, three in each part; the tests' folder is the one above."""
    for i in range(9):
        fakes.put(tmp_path / "in" / f"p{i}" / "0.png", fakes.png(fakes.radiograph(i)))
    monkeypatch.setattr(read_apart, "call", lambda function, path, limit=None: function(path))
    batch.remove([tmp_path / "in"], tmp_path / "clean", options=fakes.RunOptions(policy=fakes.Policy(keep=()), workers=1, time_limit=None), open_cleaner=fakes.cleaner)
    export_dataset(tmp_path / "clean", tmp_path / "dataset", options=ExportOptions(bits=request.param, size=64, shares=(1 / 3, 1 / 3, 1 / 3)))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "dataset"


def test_torch_reads_every_picture(dataset):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    names: dict = {"__name__": "example"}
    exec(compile(example("torch"), PAGE.name, "exec"), names)
    for part in PARTS:
        films = names["Films"]("dataset", part)
        assert len(films) == 3
        for image, row in torch.utils.data.DataLoader(films, batch_size=1):
            stored = fakes.read(dataset / row["file_name"][0])
            assert image.shape == (1, 1, 48, 64) and image.dtype == torch.float32 and 0 <= image.min() and image.max() <= 1
            assert np.allclose(image[0, 0].numpy(), stored / np.iinfo(stored.dtype).max)


def test_hugging_face_reads_the_table_and_the_folders(dataset, monkeypatch, tmp_path):
    for name in ("HF_HOME", "HF_DATASETS_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    library = pytest.importorskip("datasets", reason="datasets is not installed")
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    names: dict = {}
    exec(compile(example("datasets"), PAGE.name, "exec"), names)
    films, pictures = names["films"], names["pictures"]
    assert len(films) == 9 and set(films["split"]) == set(PARTS) and films[0]["image"].size == (64, 48) and films.column_names[0] == "file_name"
    assert {name: len(pictures[name]) for name in pictures} == {"train": 3, "validation": 3, "test": 3}
