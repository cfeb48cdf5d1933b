"""The further networks of a localizer: where their files lie, that they are those that the card means, and what tells weights apart."""

import hashlib
import shutil

import pytest

from markerremover.errors import WeightsError
from markerremover.inference import card_files


def written(folder, content=b"network", name="rescorer.onnx"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return {"file": name, "sha256": hashlib.sha256(content).hexdigest()}


def test_the_file_lies_beside_the_card_and_is_the_one_that_it_means(tmp_path, monkeypatch):
    monkeypatch.setattr(card_files, "weights_folder", lambda: tmp_path / "shipped")
    facts = written(tmp_path / "site")
    assert card_files.find(facts, tmp_path / "site") == tmp_path / "site" / "rescorer.onnx"
    with pytest.raises(WeightsError, match="is not there"):
        card_files.find(facts, tmp_path / "elsewhere")
    shutil.copytree(tmp_path / "site", tmp_path / "shipped")
    assert card_files.find(facts, tmp_path / "elsewhere") == tmp_path / "shipped" / "rescorer.onnx"
    with pytest.raises(WeightsError, match="another SHA-256"):
        card_files.find({**facts, "sha256": "2" * 64}, tmp_path / "site")


def test_it_goes_along_when_weights_are_written_elsewhere(tmp_path):
    facts, text = written(tmp_path / "base"), written(tmp_path / "base", b"text", "text_detector.onnx")
    (tmp_path / "out").mkdir()
    card_files.carry({"rescorer": facts, "text_detector": text}, tmp_path / "base", tmp_path / "out")
    card_files.carry({}, tmp_path / "base", tmp_path / "nowhere")
    assert card_files.find(facts, tmp_path / "out") == tmp_path / "out" / "rescorer.onnx"
    assert card_files.find(text, tmp_path / "out") == tmp_path / "out" / "text_detector.onnx"


def test_weights_are_told_apart_by_every_network():
    card = {"sha256": "a", "rescorer": {"sha256": "b"}, "text_detector": {"sha256": "c"}}
    assert card_files.identity(card) == "a+b+c" and card_files.identity({"sha256": "a", "rescorer": None}) == "a"
